#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *edit_allocate(void *old, size_t size)
{
    void *found = realloc(old, size ? size : 1);
    if (!found) {
        abort();
    }
    return found;
}

struct edit_text edit_words(const char *words)
{
    return (struct edit_text){words, strlen(words)};
}

bool edit_is(struct edit_text a, struct edit_text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool edit_starts(struct edit_text text, struct edit_text start)
{
    return text.len >= start.len && edit_is(edit_until(text, start.len), start);
}

bool edit_ends(struct edit_text text, struct edit_text end)
{
    return text.len >= end.len && edit_is(edit_from(text, text.len - end.len), end);
}

size_t edit_find(struct edit_text text, struct edit_text what)
{
    for (size_t at = 0; at + what.len <= text.len; at++) {
        if (memcmp(text.ptr + at, what.ptr, what.len) == 0) {
            return at;
        }
    }
    return text.len;
}

bool edit_has(struct edit_text text, struct edit_text what)
{
    return edit_find(text, what) < text.len;
}

struct edit_text edit_from(struct edit_text text, size_t start)
{
    return start == 0 ? text : (struct edit_text){text.ptr + start, text.len - start};
}

struct edit_text edit_until(struct edit_text text, size_t end)
{
    return (struct edit_text){text.ptr, end};
}

// How many bytes of a blank a text starts with.
static size_t blank(struct edit_text text)
{
    static const char *const LONG[] = {
        "\xc2\x85", "\u00a0", "\u1680", "\u2000", "\u2001", "\u2002", "\u2003", "\u2004", "\u2005",
        "\u2006", "\u2007", "\u2008", "\u2009", "\u200a", "\u2028", "\u2029", "\u202f", "\u205f",
        "\u3000",
    };
    if (text.len > 0 && (text.ptr[0] == ' ' || (text.ptr[0] >= '\t' && text.ptr[0] <= '\r'))) {
        return 1;
    }
    for (size_t n = 0; n < sizeof LONG / sizeof *LONG; n++) {
        if (edit_starts(text, edit_words(LONG[n]))) {
            return strlen(LONG[n]);
        }
    }
    return 0;
}

struct edit_text edit_trim_start(struct edit_text text)
{
    for (size_t size; (size = blank(text)) > 0;) {
        text = edit_from(text, size);
    }
    return text;
}

struct edit_text edit_trim(struct edit_text text)
{
    text = edit_trim_start(text);
    for (size_t size = 1; size <= 3 && size <= text.len;) {
        bool is_blank = blank(edit_from(text, text.len - size)) == size;
        text.len -= is_blank ? size : 0;
        size = is_blank ? 1 : size + 1;
    }
    return text;
}

void edit_put(struct edit_buffer *buffer, struct edit_text text)
{
    if (buffer->room - buffer->len < text.len) {
        buffer->room = 2 * (buffer->len + text.len);
        buffer->ptr = edit_allocate(buffer->ptr, buffer->room);
    }
    if (text.len > 0) {
        memcpy(buffer->ptr + buffer->len, text.ptr, text.len);
        buffer->len += text.len;
    }
}

void edit_put_byte(struct edit_buffer *buffer, char byte)
{
    edit_put(buffer, (struct edit_text){&byte, 1});
}

void edit_put_char(struct edit_buffer *buffer, uint32_t code)
{
    int tail = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const uint8_t HEADS[] = {0, 0xc0, 0xe0, 0xf0};
    edit_put_byte(buffer, (char)(HEADS[tail] | code >> (6 * tail)));
    while (tail-- > 0) {
        edit_put_byte(buffer, (char)(0x80 | (code >> (6 * tail) & 0x3f)));
    }
}

struct edit_text edit_taken(const struct edit_buffer *buffer)
{
    return (struct edit_text){buffer->ptr, buffer->len};
}

struct edit_text edit_join(struct edit_text a, struct edit_text b, struct edit_text c)
{
    struct edit_buffer buffer = {0};
    edit_put(&buffer, a);
    edit_put(&buffer, b);
    edit_put(&buffer, c);
    return edit_taken(&buffer);
}

struct edit_text edit_with_ends_of(struct edit_text old, struct edit_text made)
{
    struct edit_text newline = WORDS("\n"), end = edit_end_of(old);
    if (old.len > 0 && !edit_ends(old, newline) && edit_ends(made, newline)) {
        made.len--;
    }
    if (edit_is(end, newline)) {
        return made;
    }
    struct edit_buffer out = {0};
    for (size_t n = 0; n < made.len; n++) {
        bool is_long = made.ptr[n] == '\r' && n + 1 < made.len && made.ptr[n + 1] == '\n';
        n += is_long;
        edit_put(&out, made.ptr[n] == '\n' ? end : (struct edit_text){made.ptr + n, 1});
    }
    return edit_taken(&out);
}

struct edit_text edit_end_of(struct edit_text text)
{
    size_t at = edit_find(text, WORDS("\n"));
    bool is_long = at > 0 && at < text.len && text.ptr[at - 1] == '\r';
    return is_long ? WORDS("\r\n") : WORDS("\n");
}

void edit_fail(struct edit_reader *reader, struct edit_text why)
{
    if (edit_failed(reader)) {
        return;
    }
    unsigned line = 1, column = 1;
    for (size_t n = 0; n < reader->at; n++) {
        bool is_newline = reader->all.ptr[n] == '\n';
        bool is_first_byte = (reader->all.ptr[n] & 0xc0) != 0x80;
        line += is_newline;
        column = is_newline ? 1 : column + is_first_byte;
    }
    char place[64];
    snprintf(place, sizeof place, " at line %u column %u", line, column);
    reader->error = edit_join(why, edit_words(place), WORDS(""));
    reader->at = reader->all.len;
}

bool edit_failed(const struct edit_reader *reader)
{
    return reader->error.len > 0;
}

struct edit_text edit_rest(const struct edit_reader *reader)
{
    return edit_from(reader->all, reader->at);
}

bool edit_at(const struct edit_reader *reader, struct edit_text token)
{
    return edit_starts(edit_rest(reader), token);
}

bool edit_take(struct edit_reader *reader, struct edit_text token)
{
    bool is_there = edit_at(reader, token);
    reader->at += is_there ? token.len : 0;
    return is_there;
}

void edit_expect(struct edit_reader *reader, struct edit_text token)
{
    if (!edit_take(reader, token)) {
        edit_fail(reader, edit_join(WORDS("expected `"), token, WORDS("`")));
    }
}

struct edit_text edit_while(struct edit_reader *reader, bool (*is_one)(char))
{
    struct edit_text rest = edit_rest(reader);
    size_t count = 0;
    while (count < rest.len && is_one(rest.ptr[count])) {
        count++;
    }
    reader->at += count;
    return edit_until(rest, count);
}

bool edit_is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

int64_t edit_hex(struct edit_reader *reader, size_t count)
{
    struct edit_text rest = edit_rest(reader);
    int64_t code = 0;
    for (size_t n = 0; n < count; n++) {
        char byte = n < rest.len ? rest.ptr[n] : ' ';
        const char *digits = "0123456789abcdefABCDEF", *found = byte ? strchr(digits, byte) : NULL;
        if (!found) {
            return -1;
        }
        code = 16 * code + (found - digits < 16 ? found - digits : found - digits - 6);
    }
    reader->at += count;
    return code;
}
