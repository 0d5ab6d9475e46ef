// A TOML document as a tree that remembers how it was spelled. What surrounds a thing, blanks and
// comments, is its prefix and suffix; without them it has what is usual there.
#ifndef EDIT_TOML_H
#define EDIT_TOML_H

#include "text.h"

struct edit_around {
    bool is_set;
    struct edit_text prefix, suffix;
};

struct edit_key {
    struct edit_text name;
    // As it was spelled; empty if it was not.
    struct edit_text spelling;
    // Around all of "a.b.c", kept with "c".
    struct edit_around around;
    // Around this part only, at its dots.
    struct edit_text dot_prefix, dot_suffix;
};

enum edit_toml_kind {
    // With a header, made by dotted keys, named by headers below it only, or in braces.
    TOML_TABLE,
    // Tables with headers in double brackets.
    TOML_TABLES,
    TOML_LIST,
    TOML_TEXT,
    TOML_INTEGER,
    TOML_FLOAT,
    TOML_FLAG,
    TOML_TIME,
};

struct edit_toml {
    enum edit_toml_kind kind;
    struct edit_around around;
    // Of a value that is no list: as it was spelled; empty if it was not.
    struct edit_text spelling;
    struct edit_text text;
    // Also of a flag.
    int64_t integer;
    double number;
    // Of tables and lists; in a list without keys.
    struct edit_toml_item *items;
    size_t count, room;
    // In braces.
    bool is_inline;
    // Named by headers below it only, or made by a dotted key.
    bool is_implicit, is_dotted;
    // Which header of the document it has, from 1; 0 if it has none there.
    int position;
    // Of a list and of a table in braces: whether a comma ends it, and what is behind it.
    bool has_comma;
    struct edit_text trailing;
};

struct edit_toml_item {
    struct edit_key *key;
    struct edit_toml *value;
};

// A path of keys.
struct edit_path {
    struct edit_key **keys;
    size_t count, room;
};

struct edit_toml *edit_toml_new(enum edit_toml_kind kind);
struct edit_key *edit_key_new(struct edit_text name);
void edit_around_set(struct edit_around *around, struct edit_text prefix,
                     struct edit_text suffix);
struct edit_toml *edit_toml_get(const struct edit_toml *table, struct edit_text name);
// In place of what is there, its key too, or at the end.
void edit_toml_put(struct edit_toml *table, struct edit_key *key, struct edit_toml *value);
bool edit_toml_remove(struct edit_toml *table, struct edit_text name);

// The tables of a document, and what is behind all of them.
struct edit_toml *edit_toml_parse(struct edit_reader *reader, struct edit_text *trailing);
struct edit_text edit_toml_write(struct edit_toml *root, struct edit_text trailing);

// Parts of the parser.
struct edit_path edit_read_path(struct edit_reader *reader);
struct edit_toml *edit_read_value(struct edit_reader *reader, int depth);
struct edit_toml *edit_read_scalar(struct edit_reader *reader);
// A text on one line, or on several.
struct edit_text edit_read_line(struct edit_reader *reader);
struct edit_text edit_read_text(struct edit_reader *reader);
struct edit_text edit_read_blanks(struct edit_reader *reader);
struct edit_text edit_read_blanks_and_comment(struct edit_reader *reader);
// Of the ends of lines, only "\n" is kept.
struct edit_text edit_read_blanks_and_comments(struct edit_reader *reader);
bool edit_read_newline(struct edit_reader *reader);
void edit_fail_at_key(struct edit_reader *reader, const char *why, struct edit_text name);
// What no text and no comment may hold; the end of a line is not among it.
bool edit_is_control(char byte);
bool edit_is_of_bare_key(char byte);

#endif
