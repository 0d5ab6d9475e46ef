// Holds the edits to the cases in the file that is named, as tests/edits.json has them.
#include "edit/json.h"

#include <stdio.h>
#include <stdlib.h>

static struct edit_text read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        exit(1);
    }
    struct edit_buffer all = {0};
    char piece[65536];
    for (size_t size; (size = fread(piece, 1, sizeof piece, file)) > 0;) {
        edit_put(&all, (struct edit_text){piece, size});
    }
    fclose(file);
    return edit_taken(&all);
}

// The text of an argument, or what it says in JSON.
static struct edit_text text_of(const struct edit_json *value)
{
    if (value->kind == JSON_TEXT) {
        return value->text;
    }
    struct edit_buffer out = {0};
    edit_json_write(&out, value, WORDS(" "), WORDS("\n"));
    return edit_taken(&out);
}

static bool run(struct edit_text name, struct edit_text text, const struct edit_json *arguments,
                struct edit_text *made)
{
    struct edit_text texts[3] = {{0}};
    for (size_t n = 0; n < arguments->count && n < 3; n++) {
        texts[n] = text_of(arguments->members[n].value);
    }
    struct edit_buffer patch = {0};
    edit_json_write(&patch, arguments->members[0].value, WORDS(" "), WORDS("\n"));
    bool is_good = true;
    if (edit_is(name, WORDS("line_present"))) {
        *made = edit_line_present(text, texts[0]);
    } else if (edit_is(name, WORDS("line_absent"))) {
        *made = edit_line_absent(text, texts[0]);
    } else if (edit_is(name, WORDS("line_key"))) {
        *made = edit_line_key(text, texts[0], texts[1]);
    } else if (edit_is(name, WORDS("block"))) {
        bool has_content = arguments->members[2].value->kind == JSON_TEXT;
        *made = edit_block(text, texts[0], texts[1], has_content ? &texts[2] : NULL);
    } else if (edit_is(name, WORDS("ini_set"))) {
        *made = edit_ini_set(text, texts[0], texts[1], texts[2]);
    } else if (edit_is(name, WORDS("ini_remove"))) {
        *made = edit_ini_remove(text, texts[0], texts[1]);
    } else if (edit_is(name, WORDS("json_merge"))) {
        is_good = edit_json_merge(text, edit_taken(&patch), made);
    } else if (edit_is(name, WORDS("toml_merge"))) {
        is_good = edit_toml_merge(text, edit_taken(&patch), made);
    } else {
        *made = WORDS("there is no such function");
        is_good = false;
    }
    return is_good;
}

int main(int count, char **arguments)
{
    struct edit_text error;
    struct edit_json *cases =
        count == 2 ? edit_json_parse(read_file(arguments[1]), &error) : NULL;
    if (!cases || cases->count == 0) {
        fprintf(stderr, "usage: edit_test edits.json\n");
        return 1;
    }
    size_t good = 0;
    for (size_t n = 0; n < cases->count; n++) {
        const struct edit_json *one = cases->members[n].value;
        const struct edit_json *result = edit_json_get(one, WORDS("result"));
        const struct edit_json *why = edit_json_get(one, WORDS("error"));
        struct edit_text made = {0};
        bool is_done = run(edit_json_get(one, WORDS("function"))->text,
                           edit_json_get(one, WORDS("text"))->text,
                           edit_json_get(one, WORDS("arguments")), &made);
        bool is_good = is_done ? result && edit_is(made, result->text)
                               : why && edit_has(made, why->text);
        good += is_good;
        if (!is_good) {
            struct edit_text said = text_of(one);
            fprintf(stderr, "case %zu: %.*s\n  got \"%.*s\"\n", n, (int)said.len, said.ptr,
                    (int)made.len, made.ptr);
        }
    }
    printf("C: %zu of %zu edits as they should be\n", good, cases->count);
    return good == cases->count ? 0 : 1;
}
