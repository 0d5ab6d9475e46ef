// JSON as a tree that keeps the order of keys, and whether a number has a fraction.
#ifndef EDIT_JSON_H
#define EDIT_JSON_H

#include "text.h"

enum edit_json_kind {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    // A whole number that 64 bits hold, as its digits.
    JSON_WHOLE,
    JSON_FLOAT,
    JSON_TEXT,
    JSON_LIST,
    JSON_OBJECT,
};

struct edit_member {
    // Of a list: none.
    struct edit_text key;
    struct edit_json *value;
};

struct edit_json {
    enum edit_json_kind kind;
    struct edit_text text;
    double number;
    struct edit_member *members;
    size_t count, room;
};

// NULL, and `*error` says why.
struct edit_json *edit_json_parse(struct edit_text text, struct edit_text *error);
struct edit_json *edit_json_new(enum edit_json_kind kind);
// The value of a key, or NULL.
struct edit_json *edit_json_get(const struct edit_json *object, struct edit_text key);
// Sets a key of an object, in its place if it is there; or adds to a list.
void edit_json_set(struct edit_json *object, struct edit_text key, struct edit_json *value);
void edit_json_remove(struct edit_json *object, struct edit_text key);
bool edit_json_is(const struct edit_json *a, const struct edit_json *b);
// One value a line, each depth indented by `indent`; `margin` is a newline and the depth so far.
void edit_json_write(struct edit_buffer *out, const struct edit_json *value,
                     struct edit_text indent, struct edit_text margin);

#endif
