// JSON files.
#include "json.h"

static struct edit_json *merged(struct edit_json *old, struct edit_json *patch)
{
    if (patch->kind != JSON_OBJECT) {
        return patch;
    }
    struct edit_json *made = edit_json_new(JSON_OBJECT);
    for (size_t n = 0; old && old->kind == JSON_OBJECT && n < old->count; n++) {
        edit_json_set(made, old->members[n].key, old->members[n].value);
    }
    for (size_t n = 0; n < patch->count; n++) {
        struct edit_text key = patch->members[n].key;
        struct edit_json *value = patch->members[n].value;
        if (value->kind == JSON_NULL) {
            edit_json_remove(made, key);
        } else {
            // A key that is there keeps its place: the order is what a person knows the file by.
            edit_json_set(made, key, merged(edit_json_get(made, key), value));
        }
    }
    return made;
}

static size_t blanks(struct edit_text line)
{
    size_t count = 0;
    while (count < line.len && (line.ptr[count] == ' ' || line.ptr[count] == '\t')) {
        count++;
    }
    return count;
}

// What the first line that is indented is indented with.
static struct edit_text indentation(struct edit_text text)
{
    while (text.len > 0) {
        size_t end = edit_find(text, WORDS("\n"));
        struct edit_text line = edit_until(text, end);
        if (blanks(line) > 0 && edit_trim(line).len > 0) {
            return edit_until(line, blanks(line));
        }
        text = edit_from(text, end < text.len ? end + 1 : end);
    }
    return WORDS("  ");
}

bool edit_json_merge(struct edit_text text, struct edit_text patch, struct edit_text *made)
{
    struct edit_text error;
    struct edit_json *wanted = edit_json_parse(patch, &error);
    if (!wanted) {
        *made = edit_join(WORDS("the patch is no JSON: "), error, WORDS(""));
        return false;
    }
    bool is_blank = edit_trim(text).len == 0;
    struct edit_json *old =
        is_blank ? edit_json_new(JSON_OBJECT) : edit_json_parse(text, &error);
    if (!old) {
        *made = edit_join(WORDS("it is no JSON: "), error, WORDS(""));
        return false;
    }
    struct edit_json *new = merged(old, wanted);
    *made = text;
    if (is_blank || !edit_json_is(new, old)) {
        struct edit_buffer out = {0};
        edit_json_write(&out, new, indentation(text), WORDS("\n"));
        edit_put(&out, WORDS("\n"));
        *made = edit_with_ends_of(text, edit_taken(&out));
    }
    return true;
}
