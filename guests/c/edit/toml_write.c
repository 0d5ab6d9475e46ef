// A tree as a TOML document.
#include "toml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A table with a header, where it is; or a line `key = value`, where `value` is not a table or one in
// braces.
struct placed {
    struct edit_toml *value;
    struct edit_path path;
    bool is_of_many;
    int position;
    size_t number;
};

struct all_placed {
    struct placed *all;
    size_t count, room;
};

static void add(struct all_placed *places, struct placed place)
{
    EDIT_GROW(places->all, places->count, places->room);
    place.number = places->count;
    places->all[places->count++] = place;
}

static struct edit_path longer(const struct edit_path *path, struct edit_key *key)
{
    struct edit_path made = {.count = path->count + 1};
    made.keys = edit_allocate(NULL, made.count * sizeof *made.keys);
    for (size_t n = 0; n < path->count; n++) {
        made.keys[n] = path->keys[n];
    }
    made.keys[path->count] = key;
    return made;
}

// All tables with headers, whether these are shown or not.
static void visit(struct edit_toml *table, struct edit_path path, bool is_of_many,
                  struct all_placed *tables)
{
    if (!table->is_dotted) {
        // A table that was added comes behind the one before it in the tree.
        int before = tables->count > 0 ? tables->all[tables->count - 1].position : 0;
        int position = table->position > 0 ? table->position : before;
        add(tables, (struct placed){table, path, is_of_many, position, 0});
    }
    for (size_t n = 0; n < table->count; n++) {
        struct edit_toml *value = table->items[n].value;
        struct edit_path inner = longer(&path, table->items[n].key);
        if (value->kind == TOML_TABLE && !value->is_inline) {
            visit(value, inner, false, tables);
        }
        for (size_t i = 0; value->kind == TOML_TABLES && i < value->count; i++) {
            visit(value->items[i].value, inner, true, tables);
        }
    }
}

// What is written as `key = value` in a table, with the tables that its dotted keys made.
static void find_settings(const struct edit_toml *table, struct edit_path path,
                          struct all_placed *settings)
{
    for (size_t n = 0; n < table->count; n++) {
        struct edit_toml *value = table->items[n].value;
        struct edit_path inner = longer(&path, table->items[n].key);
        if (value->kind == TOML_TABLE && value->is_dotted) {
            find_settings(value, inner, settings);
        } else if (value->kind != TOML_TABLES && (value->kind != TOML_TABLE || value->is_inline)) {
            add(settings, (struct placed){.value = value, .path = inner});
        }
    }
}

static void put_quoted(struct edit_buffer *out, struct edit_text text, struct edit_text quote)
{
    static const char ESCAPED[] = "\b\t\n\f\r\\", ESCAPES[] = "btnfr\\";
    bool is_long = quote.len == 3;
    size_t quotes = 0;
    edit_put(out, quote);
    edit_put(out, is_long && edit_has(text, WORDS("\n")) ? WORDS("\n") : WORDS(""));
    for (size_t n = 0; n < text.len; n++) {
        char byte = text.ptr[n];
        const char *found = memchr(ESCAPED, byte, sizeof ESCAPED - 1);
        quotes = byte == '"' ? quotes + 1 : 0;
        if (quotes >= quote.len) {
            edit_put(out, WORDS("\\\""));
            quotes = 0;
        } else if (found && !(is_long && byte == '\n')) {
            edit_put_byte(out, '\\');
            edit_put_byte(out, ESCAPES[found - ESCAPED]);
        } else if (edit_is_control(byte)) {
            char escape[8];
            snprintf(escape, sizeof escape, "\\u%04X", (unsigned char)byte);
            edit_put(out, edit_words(escape));
        } else {
            edit_put_byte(out, byte);
        }
    }
    edit_put(out, quote);
}

static bool has_control(struct edit_text text)
{
    for (size_t n = 0; n < text.len; n++) {
        if (edit_is_control(text.ptr[n])) {
            return true;
        }
    }
    return false;
}

static void put_key(struct edit_buffer *out, struct edit_text name)
{
    struct edit_reader reader = {.all = name};
    bool is_bare = name.len > 0 && edit_while(&reader, edit_is_of_bare_key).len == name.len;
    bool is_plain = !edit_has(name, WORDS("\"")) && !edit_has(name, WORDS("\\"));
    bool is_quoted = edit_has(name, WORDS("'")) || has_control(name) || edit_has(name, WORDS("\n"));
    if (is_bare) {
        edit_put(out, name);
    } else if (is_plain || is_quoted) {
        put_quoted(out, name, WORDS("\""));
    } else {
        edit_put(out, edit_join(WORDS("'"), name, WORDS("'")));
    }
}

// In the quotes that need the fewest escapes.
static void put_text(struct edit_buffer *out, struct edit_text text)
{
    bool is_long = edit_has(text, WORDS("\n")), has_backslash = edit_has(text, WORDS("\\"));
    struct edit_text quote = is_long ? WORDS("\"\"\"") : WORDS("\"");
    if (has_control(text)) {
        put_quoted(out, text, quote);
    } else if (!has_backslash && !is_long && !edit_has(text, WORDS("\""))) {
        put_quoted(out, text, WORDS("\""));
    } else if (!is_long && !edit_has(text, WORDS("'"))) {
        edit_put(out, edit_join(WORDS("'"), text, WORDS("'")));
    } else if (!has_backslash && !edit_has(text, WORDS("\"\"\""))) {
        put_quoted(out, text, WORDS("\"\"\""));
    } else if (!edit_has(text, WORDS("'''"))) {
        edit_put(out, edit_join(is_long ? WORDS("'''\n") : WORDS("'''"), text, WORDS("'''")));
    } else {
        put_quoted(out, text, quote);
    }
}

static void put_path(struct edit_buffer *out, const struct edit_path *path,
                     struct edit_text prefix, struct edit_text suffix)
{
    const struct edit_around *around = &path->keys[path->count - 1]->around;
    edit_put(out, around->is_set ? around->prefix : prefix);
    for (size_t n = 0; n < path->count; n++) {
        const struct edit_key *key = path->keys[n];
        bool is_first = n == 0, is_last = n + 1 == path->count;
        edit_put(out, is_first ? WORDS("") : WORDS("."));
        edit_put(out, is_first ? WORDS("") : key->dot_prefix);
        if (key->spelling.len > 0) {
            edit_put(out, key->spelling);
        } else {
            put_key(out, key->name);
        }
        edit_put(out, is_last ? WORDS("") : key->dot_suffix);
    }
    edit_put(out, around->is_set ? around->suffix : suffix);
}

static void put_value(struct edit_buffer *out, const struct edit_toml *value,
                      struct edit_text prefix, struct edit_text suffix);

static void put_table(struct edit_buffer *out, const struct edit_toml *table)
{
    struct all_placed settings = {0};
    find_settings(table, (struct edit_path){0}, &settings);
    edit_put(out, WORDS("{"));
    for (size_t n = 0; n < settings.count; n++) {
        bool is_last = n + 1 == settings.count;
        edit_put(out, n > 0 ? WORDS(",") : WORDS(""));
        put_path(out, &settings.all[n].path, WORDS(" "), WORDS(" "));
        edit_put(out, WORDS("="));
        put_value(out, settings.all[n].value, WORDS(" "), is_last ? WORDS(" ") : WORDS(""));
    }
    edit_put(out, table->has_comma && table->count > 0 ? WORDS(",") : WORDS(""));
    edit_put(out, table->trailing);
    edit_put(out, WORDS("}"));
}

static void put_list(struct edit_buffer *out, const struct edit_toml *list)
{
    edit_put(out, WORDS("["));
    for (size_t n = 0; n < list->count; n++) {
        edit_put(out, n > 0 ? WORDS(",") : WORDS(""));
        put_value(out, list->items[n].value, n > 0 ? WORDS(" ") : WORDS(""), WORDS(""));
    }
    edit_put(out, list->has_comma && list->count > 0 ? WORDS(",") : WORDS(""));
    edit_put(out, list->trailing);
    edit_put(out, WORDS("]"));
}

static void put_value(struct edit_buffer *out, const struct edit_toml *value,
                      struct edit_text prefix, struct edit_text suffix)
{
    edit_put(out, value->around.is_set ? value->around.prefix : prefix);
    if (value->kind == TOML_TABLE) {
        put_table(out, value);
    } else if (value->kind == TOML_LIST) {
        put_list(out, value);
    } else if (value->spelling.len > 0) {
        edit_put(out, value->spelling);
    } else if (value->kind == TOML_TEXT) {
        put_text(out, value->text);
    } else if (value->kind == TOML_FLOAT) {
        edit_put_float(out, value->number);
    } else if (value->kind == TOML_INTEGER) {
        // Of a patch, whose digits are those of JSON.
        edit_put(out, value->text);
    } else {
        edit_put(out, value->integer ? WORDS("true") : WORDS("false"));
    }
    edit_put(out, value->around.is_set ? value->around.suffix : suffix);
}

static int by_position(const void *a, const void *b)
{
    const struct placed *one = a, *other = b;
    int by_number = (one->number > other->number) - (one->number < other->number);
    return one->position == other->position ? by_number : one->position - other->position;
}

struct edit_text edit_toml_write(struct edit_toml *root, struct edit_text trailing)
{
    struct all_placed tables = {0};
    struct edit_buffer out = {0};
    bool is_first = true;
    visit(root, (struct edit_path){0}, false, &tables);
    qsort(tables.all + 1, tables.count - 1, sizeof *tables.all, by_position);
    for (size_t n = 0; n < tables.count; n++) {
        const struct placed *one = &tables.all[n];
        const struct edit_toml *table = one->value;
        struct all_placed settings = {0};
        find_settings(table, (struct edit_path){0}, &settings);
        bool is_header = one->path.count > 0;
        bool is_shown =
            settings.count > 0 || (is_header && (one->is_of_many || !table->is_implicit));
        if (is_header && is_shown) {
            struct edit_text usual = is_first ? WORDS("") : WORDS("\n");
            edit_put(&out, table->around.is_set ? table->around.prefix : usual);
            edit_put(&out, one->is_of_many ? WORDS("[[") : WORDS("["));
            put_path(&out, &one->path, WORDS(""), WORDS(""));
            edit_put(&out, one->is_of_many ? WORDS("]]") : WORDS("]"));
            edit_put(&out, table->around.is_set ? table->around.suffix : WORDS(""));
            edit_put(&out, WORDS("\n"));
        }
        is_first = is_first && !is_shown;
        for (size_t i = 0; i < settings.count; i++) {
            put_path(&out, &settings.all[i].path, WORDS(""), WORDS(" "));
            edit_put(&out, WORDS("="));
            put_value(&out, settings.all[i].value, WORDS(" "), WORDS(""));
            edit_put(&out, WORDS("\n"));
        }
    }
    edit_put(&out, trailing);
    return edit_taken(&out);
}
