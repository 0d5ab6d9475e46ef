// Texts, and what they are put together in.
#ifndef EDIT_TEXT_H
#define EDIT_TEXT_H

#include "edit.h"

#include <stdint.h>

// A text of a literal.
#define WORDS(literal) ((struct edit_text){"" literal, sizeof(literal) - 1})

// Memory, or the end of the program.
void *edit_allocate(void *old, size_t size);

bool edit_is(struct edit_text a, struct edit_text b);
bool edit_starts(struct edit_text text, struct edit_text start);
bool edit_ends(struct edit_text text, struct edit_text end);
// Where it is, or the text's length.
size_t edit_find(struct edit_text text, struct edit_text what);
bool edit_has(struct edit_text text, struct edit_text what);
struct edit_text edit_from(struct edit_text text, size_t start);
struct edit_text edit_until(struct edit_text text, size_t end);
// Without what Unicode calls blank at its start, or at both ends.
struct edit_text edit_trim_start(struct edit_text text);
struct edit_text edit_trim(struct edit_text text);

// A text that grows.
struct edit_buffer {
    char *ptr;
    size_t len, room;
};

void edit_put(struct edit_buffer *buffer, struct edit_text text);
void edit_put_byte(struct edit_buffer *buffer, char byte);
// A character as UTF-8.
void edit_put_char(struct edit_buffer *buffer, uint32_t code);
struct edit_text edit_taken(const struct edit_buffer *buffer);
// Three texts in one.
struct edit_text edit_join(struct edit_text a, struct edit_text b, struct edit_text c);

// `made`, which ends its lines with "\n", with the ends of lines that the first line of `old` has,
// and without one at the end of the text if `old` has none there.
struct edit_text edit_with_ends_of(struct edit_text old, struct edit_text made);
// How the first line ends, and so what is added.
struct edit_text edit_end_of(struct edit_text text);

// A list's memory has room for one item more.
#define EDIT_GROW(items, count, room)                                                            \
    do {                                                                                         \
        if ((count) == (room)) {                                                                 \
            (room) = (room) ? 2 * (room) : 8;                                                    \
            (items) = edit_allocate((items), (room) * sizeof *(items));                          \
        }                                                                                        \
    } while (0)

// A text that is read from its start to its end, or until something is wrong with it: then nothing
// is left to read, and `error` says what it was.
struct edit_reader {
    struct edit_text all;
    size_t at;
    struct edit_text error;
};

void edit_fail(struct edit_reader *reader, struct edit_text why);
bool edit_failed(const struct edit_reader *reader);
struct edit_text edit_rest(const struct edit_reader *reader);
bool edit_at(const struct edit_reader *reader, struct edit_text token);
bool edit_take(struct edit_reader *reader, struct edit_text token);
void edit_expect(struct edit_reader *reader, struct edit_text token);
// Takes bytes as long as they are of some kind.
struct edit_text edit_while(struct edit_reader *reader, bool (*is_one)(char));
bool edit_is_digit(char byte);
// Takes so many hexadecimal digits, if they are there; -1 if they are not.
int64_t edit_hex(struct edit_reader *reader, size_t count);

// A float with the fewest digits that are it and with its fraction: 1.0, not 1; with an exponent
// where it is long.
void edit_put_float(struct edit_buffer *buffer, double value);
// What digits say, or infinity.
double edit_double(struct edit_text digits);

#endif
