// TOML files.
#include "toml.h"

#include "json.h"

#include <string.h>

struct edit_toml *edit_toml_new(enum edit_toml_kind kind)
{
    struct edit_toml *made = edit_allocate(NULL, sizeof *made);
    *made = (struct edit_toml){.kind = kind};
    return made;
}

struct edit_key *edit_key_new(struct edit_text name)
{
    struct edit_key *made = edit_allocate(NULL, sizeof *made);
    *made = (struct edit_key){.name = name};
    return made;
}

void edit_around_set(struct edit_around *around, struct edit_text prefix, struct edit_text suffix)
{
    *around = (struct edit_around){true, prefix, suffix};
}

static size_t find(const struct edit_toml *table, struct edit_text name)
{
    size_t at = 0;
    while (at < table->count && !edit_is(table->items[at].key->name, name)) {
        at++;
    }
    return at;
}

struct edit_toml *edit_toml_get(const struct edit_toml *table, struct edit_text name)
{
    size_t at = find(table, name);
    return at < table->count ? table->items[at].value : NULL;
}

void edit_toml_put(struct edit_toml *table, struct edit_key *key, struct edit_toml *value)
{
    size_t at = key ? find(table, key->name) : table->count;
    if (at == table->count) {
        EDIT_GROW(table->items, table->count, table->room);
        table->count++;
    }
    table->items[at] = (struct edit_toml_item){key, value};
}

bool edit_toml_remove(struct edit_toml *table, struct edit_text name)
{
    size_t at = find(table, name);
    if (at == table->count) {
        return false;
    }
    struct edit_toml_item *from = table->items + at;
    table->count--;
    memmove(from, from + 1, (table->count - at) * sizeof *from);
    return true;
}

// Puts the key in front of what is wrong below it.
static void put_key(struct edit_text *error, struct edit_text key)
{
    *error = edit_join(WORDS("`"), key, edit_join(WORDS("`: "), *error, WORDS("")));
}

// A whole number that a signed word holds.
static bool integer_of(struct edit_text digits, int64_t *integer)
{
    bool is_negative = edit_starts(digits, WORDS("-"));
    uint64_t value = 0, most = (uint64_t)INT64_MAX + is_negative;
    for (size_t n = is_negative; n < digits.len; n++) {
        unsigned digit = (unsigned)(digits.ptr[n] - '0');
        if (value > (most - digit) / 10) {
            return false;
        }
        value = 10 * value + digit;
    }
    *integer = (int64_t)(is_negative ? 0 - value : value);
    return true;
}

// What a patch says, as a value or as a table in braces; NULL, and `*error` says why.
static struct edit_toml *value_of(const struct edit_json *json, struct edit_text *error)
{
    static const enum edit_toml_kind KINDS[] = {
        [JSON_FALSE] = TOML_FLAG,  [JSON_TRUE] = TOML_FLAG, [JSON_WHOLE] = TOML_INTEGER,
        [JSON_FLOAT] = TOML_FLOAT, [JSON_TEXT] = TOML_TEXT, [JSON_LIST] = TOML_LIST,
        [JSON_OBJECT] = TOML_TABLE,
    };
    if (json->kind == JSON_NULL) {
        *error = WORDS("TOML knows no null within a list");
        return NULL;
    }
    struct edit_toml *made = edit_toml_new(KINDS[json->kind]);
    made->text = json->text;
    made->number = json->number;
    made->integer = json->kind == JSON_TRUE;
    made->is_inline = json->kind == JSON_OBJECT;
    if (json->kind == JSON_WHOLE && !integer_of(json->text, &made->integer)) {
        *error = edit_join(WORDS("TOML knows no number as large as "), json->text, WORDS(""));
        return NULL;
    }
    for (size_t n = 0; n < json->count; n++) {
        const struct edit_member *member = &json->members[n];
        struct edit_toml *inner = value_of(member->value, error);
        if (!inner) {
            if (made->is_inline) {
                put_key(error, member->key);
            }
            return NULL;
        }
        edit_toml_put(made, made->is_inline ? edit_key_new(member->key) : NULL, inner);
    }
    return made;
}

// Whether two values are the same, however they are spelled.
static bool is_same(const struct edit_toml *a, const struct edit_toml *b)
{
    if (a->kind != b->kind || a->count != b->count) {
        return false;
    }
    for (size_t n = 0; n < a->count; n++) {
        const struct edit_toml *there = a->kind == TOML_LIST
                                            ? b->items[n].value
                                            : edit_toml_get(b, a->items[n].key->name);
        if (!there || !is_same(a->items[n].value, there)) {
            return false;
        }
    }
    switch (a->kind) {
    case TOML_TEXT:
        return edit_is(a->text, b->text);
    case TOML_FLOAT:
        return a->number == b->number;
    case TOML_INTEGER:
    case TOML_FLAG:
        return a->integer == b->integer;
    default:
        return a->kind == TOML_TABLE || a->kind == TOML_LIST;
    }
}

static bool merge(struct edit_toml *table, const struct edit_json *patch, bool is_inline,
                  bool *is_changed, struct edit_text *error);

static bool merge_key(struct edit_toml *table, struct edit_text key,
                      const struct edit_json *wanted, bool is_inline, bool *is_changed,
                      struct edit_text *error)
{
    struct edit_toml *there = edit_toml_get(table, key);
    bool is_table = there && there->kind == TOML_TABLE;
    if (wanted->kind == JSON_NULL) {
        *is_changed = edit_toml_remove(table, key) || *is_changed;
        return true;
    }
    if (wanted->kind == JSON_OBJECT) {
        if (!is_table) {
            there = edit_toml_new(TOML_TABLE);
            there->is_inline = is_inline;
            edit_toml_put(table, edit_key_new(key), there);
            *is_changed = true;
        }
        return merge(there, wanted, there->is_inline, is_changed, error);
    }
    struct edit_toml *made = value_of(wanted, error);
    if (!made) {
        return false;
    }
    bool is_value = there && there->kind != TOML_TABLES && (!is_table || there->is_inline);
    if (is_value && is_same(there, made)) {
        return true;
    }
    *is_changed = true;
    if (is_value) {
        made->around = there->around;
        table->items[find(table, key)].value = made;
    } else {
        edit_toml_put(table, edit_key_new(key), made);
    }
    return true;
}

// Merges into a table, and tells whether that changed it; false, and `*error` says why.
static bool merge(struct edit_toml *table, const struct edit_json *patch, bool is_inline,
                  bool *is_changed, struct edit_text *error)
{
    for (size_t n = 0; n < patch->count; n++) {
        const struct edit_member *member = &patch->members[n];
        if (!merge_key(table, member->key, member->value, is_inline, is_changed, error)) {
            put_key(error, member->key);
            return false;
        }
    }
    return true;
}

bool edit_toml_merge(struct edit_text text, struct edit_text patch, struct edit_text *made)
{
    struct edit_reader reader = {.all = text};
    struct edit_text trailing = WORDS(""), error = WORDS("");
    struct edit_toml *root = edit_toml_parse(&reader, &trailing);
    if (edit_failed(&reader)) {
        *made = edit_join(WORDS("it is no TOML: "), reader.error, WORDS(""));
        return false;
    }
    struct edit_json *wanted = edit_json_parse(patch, &error);
    if (!wanted) {
        *made = edit_join(WORDS("the patch is no JSON: "), error, WORDS(""));
        return false;
    }
    if (wanted->kind != JSON_OBJECT) {
        *made = WORDS("a TOML document is a table: expected an object to merge");
        return false;
    }
    bool is_changed = false;
    if (!merge(root, wanted, false, &is_changed, &error)) {
        *made = error;
        return false;
    }
    *made = is_changed ? edit_with_ends_of(text, edit_toml_write(root, trailing)) : text;
    return true;
}
