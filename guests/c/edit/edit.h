// Edits of configuration files, as pure functions from the old text to the new one: read the file,
// edit its text as often as needed, write it once.
//
// To apply one twice changes nothing more. Lines keep their ends ("\n" or "\r\n"), new ones get that
// of the first line, and a file without a final newline stays without one.
//
// What is returned may share bytes with what was handed in, and is never freed: each call of a recipe
// has an instance of its own, whose memory goes with it.
#ifndef EDIT_H
#define EDIT_H

#include <stdbool.h>
#include <stddef.h>

// UTF-8, without a zero byte at its end.
struct edit_text {
    const char *ptr;
    size_t len;
};

// A text of C's.
struct edit_text edit_words(const char *words);

// Has `line` be in the text, at its end if it is not there.
struct edit_text edit_line_present(struct edit_text text, struct edit_text line);

// Has `line` not be in the text.
struct edit_text edit_line_absent(struct edit_text text, struct edit_text line);

// Has exactly one line that starts with `prefix`, blanks before it aside, and that it be `line`: in
// place of the first such line, or at the end. `line` must start with `prefix` itself; it is found
// again otherwise by its whole text.
struct edit_text edit_line_key(struct edit_text text, struct edit_text prefix,
                               struct edit_text line);

// Has the lines of `content` be between a line `begin` and a line `end`: in place of what is there
// between them, or at the end of the text. Without content, which is NULL, the markers go too. A
// `begin` that is not closed is taken for an ordinary line.
struct edit_text edit_block(struct edit_text text, struct edit_text begin, struct edit_text end,
                            const struct edit_text *content);

// Has `key` of a section of an INI file have this value; the keys before the first section are of
// the section named by the empty text. A line that is there keeps its place and its spelling of `=`;
// others of the same key in that section go. What is missing is added at the section's end.
struct edit_text edit_ini_set(struct edit_text text, struct edit_text section,
                              struct edit_text key, struct edit_text value);

// Has `key` of a section of an INI file not be there. The section stays.
struct edit_text edit_ini_remove(struct edit_text text, struct edit_text section,
                                 struct edit_text key);

// Merges `patch`, which is JSON too, into a JSON document as RFC 7396 says: an object is merged key
// by key, `null` takes a key away, and anything else replaces what is there. Keys keep their order
// and the text its indentation; what is of an unusual layout gets one value a line. A document that
// says all of it already stays as it is, byte for byte. Whole numbers beyond 64 bits become floats.
//
// If that cannot be done, it is false, and `*made` says why.
bool edit_json_merge(struct edit_text text, struct edit_text patch, struct edit_text *made);

// Merges `patch`, which is JSON, into a TOML document in the same way. Comments, order and spelling
// of all that is not named stay, and so does the comment behind a value.
bool edit_toml_merge(struct edit_text text, struct edit_text patch, struct edit_text *made);

#endif
