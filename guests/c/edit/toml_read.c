// Keys, lists and tables in braces of a TOML document.
#include "toml.h"

// As deep as values may hold each other, and keys have dots.
static const int DEPTH = 80;

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t';
}

bool edit_is_control(char byte)
{
    unsigned char code = (unsigned char)byte;
    return (code < ' ' && byte != '\t' && byte != '\n') || code == 0x7f;
}

static bool is_of_comment(char byte)
{
    return byte != '\n' && !edit_is_control(byte);
}

bool edit_is_of_bare_key(char byte)
{
    bool is_letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
    return is_letter || edit_is_digit(byte) || byte == '_' || byte == '-';
}

struct edit_text edit_read_blanks(struct edit_reader *reader)
{
    return edit_while(reader, is_blank);
}

struct edit_text edit_read_blanks_and_comment(struct edit_reader *reader)
{
    size_t start = reader->at;
    edit_while(reader, is_blank);
    if (edit_at(reader, WORDS("#"))) {
        edit_while(reader, is_of_comment);
    }
    return edit_from(edit_until(reader->all, reader->at), start);
}

bool edit_read_newline(struct edit_reader *reader)
{
    return edit_take(reader, WORDS("\n")) || edit_take(reader, WORDS("\r\n"));
}

struct edit_text edit_read_blanks_and_comments(struct edit_reader *reader)
{
    struct edit_buffer found = {0};
    for (size_t start = reader->at + 1; start != reader->at;) {
        start = reader->at;
        edit_put(&found, edit_read_blanks_and_comment(reader));
        edit_put(&found, edit_read_newline(reader) ? WORDS("\n") : WORDS(""));
    }
    return edit_taken(&found);
}

struct edit_path edit_read_path(struct edit_reader *reader)
{
    struct edit_path path = {0};
    struct edit_text before = WORDS("");
    for (;;) {
        size_t start = reader->at;
        bool is_quoted = edit_at(reader, WORDS("\"")) || edit_at(reader, WORDS("'"));
        struct edit_key *key = edit_key_new(is_quoted ? edit_read_line(reader)
                                                      : edit_while(reader, edit_is_of_bare_key));
        if (reader->at == start) {
            edit_fail(reader, WORDS("expected a key"));
        }
        key->spelling = edit_from(edit_until(reader->all, reader->at), start);
        key->dot_prefix = before;
        EDIT_GROW(path.keys, path.count, path.room);
        path.keys[path.count++] = key;
        if (path.count > (size_t)DEPTH) {
            edit_fail(reader, WORDS("too many dots"));
        }
        size_t end = reader->at;
        struct edit_text after = edit_read_blanks(reader);
        if (!edit_take(reader, WORDS("."))) {
            reader->at = end;
            return path;
        }
        key->dot_suffix = after;
        before = edit_read_blanks(reader);
    }
}

// Adds to a table in braces.
static void add(struct edit_reader *reader, struct edit_toml *table, const struct edit_path *path,
                struct edit_toml *value)
{
    for (size_t n = 0; n + 1 < path->count; n++) {
        struct edit_key *key = path->keys[n];
        struct edit_toml *there = edit_toml_get(table, key->name);
        if (!there) {
            there = edit_toml_new(TOML_TABLE);
            there->is_inline = there->is_implicit = there->is_dotted = true;
            edit_toml_put(table, key, there);
        } else if (there->kind != TOML_TABLE || !there->is_implicit) {
            edit_fail_at_key(reader, "` cannot be extended", key->name);
            return;
        }
        table = there;
    }
    struct edit_key *key = path->keys[path->count - 1];
    if (edit_toml_get(table, key->name) || (path->count == 1 && table->is_dotted)) {
        edit_fail_at_key(reader, "` is a duplicate key", key->name);
    }
    edit_toml_put(table, key, value);
}

// What is in braces between two commas, behind what is before it.
static void read_setting(struct edit_reader *reader, struct edit_toml *table,
                         struct edit_text prefix, int depth)
{
    struct edit_path path = edit_read_path(reader);
    struct edit_text suffix = edit_read_blanks_and_comments(reader);
    edit_around_set(&path.keys[path.count - 1]->around, prefix, suffix);
    edit_expect(reader, WORDS("="));
    struct edit_text before = edit_read_blanks_and_comments(reader);
    struct edit_toml *value = edit_read_value(reader, depth);
    edit_around_set(&value->around, before, edit_read_blanks_and_comments(reader));
    add(reader, table, &path, value);
}

struct edit_toml *edit_read_value(struct edit_reader *reader, int depth)
{
    bool is_table = edit_take(reader, WORDS("{"));
    if (!is_table && !edit_take(reader, WORDS("["))) {
        return edit_read_scalar(reader);
    }
    if (depth == DEPTH) {
        edit_fail(reader, WORDS("too deep"));
    }
    struct edit_toml *made = edit_toml_new(is_table ? TOML_TABLE : TOML_LIST);
    struct edit_text end = is_table ? WORDS("}") : WORDS("]");
    made->is_inline = is_table;
    while (!edit_failed(reader)) {
        struct edit_text prefix = edit_read_blanks_and_comments(reader);
        if (edit_take(reader, end)) {
            made->trailing = prefix;
            made->has_comma = made->count > 0;
            break;
        }
        if (is_table) {
            read_setting(reader, made, prefix, depth + 1);
        } else {
            struct edit_toml *value = edit_read_value(reader, depth + 1);
            edit_around_set(&value->around, prefix, edit_read_blanks_and_comments(reader));
            edit_toml_put(made, NULL, value);
        }
        if (edit_take(reader, end)) {
            break;
        }
        edit_expect(reader, WORDS(","));
    }
    return made;
}
