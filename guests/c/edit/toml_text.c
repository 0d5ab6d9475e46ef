// Texts of a TOML document.
#include "toml.h"

#include <string.h>

static bool is_of_literal(char byte)
{
    return byte != '\'' && byte != '\n' && !edit_is_control(byte);
}

static bool is_of_basic(char byte)
{
    return byte != '"' && byte != '\\' && byte != '\n' && !edit_is_control(byte);
}

static void read_escape(struct edit_reader *reader, struct edit_buffer *text)
{
    static const char ESCAPES[] = "befnrt\"\\", CHARS[] = "\b\x1b\f\n\r\t\"\\";
    edit_expect(reader, WORDS("\\"));
    size_t digits = edit_take(reader, WORDS("x"))   ? 2
                    : edit_take(reader, WORDS("u")) ? 4
                    : edit_take(reader, WORDS("U")) ? 8
                                                    : 0;
    if (digits > 0) {
        int64_t code = edit_hex(reader, digits);
        if (code < 0 || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
            edit_fail(reader, WORDS("no such character"));
        } else {
            edit_put_char(text, (uint32_t)code);
        }
        return;
    }
    struct edit_text rest = edit_rest(reader);
    const char *found = rest.len ? memchr(ESCAPES, rest.ptr[0], sizeof ESCAPES - 1) : NULL;
    if (!found) {
        edit_fail(reader, WORDS("no such escape"));
        return;
    }
    edit_put_byte(text, CHARS[found - ESCAPES]);
    reader->at++;
}

struct edit_text edit_read_line(struct edit_reader *reader)
{
    bool is_literal = edit_take(reader, WORDS("'"));
    if (!is_literal) {
        edit_expect(reader, WORDS("\""));
    }
    struct edit_text quote = is_literal ? WORDS("'") : WORDS("\"");
    struct edit_buffer text = {0};
    while (!edit_failed(reader) && !edit_take(reader, quote)) {
        edit_put(&text, edit_while(reader, is_literal ? is_of_literal : is_of_basic));
        if (edit_at(reader, WORDS("\\"))) {
            read_escape(reader, &text);
        } else if (!edit_at(reader, quote)) {
            edit_fail(reader, WORDS("expected the end of the text"));
        }
    }
    return edit_taken(&text);
}

// A backslash at the end of a line takes it away, with the blanks that follow.
static bool take_joined(struct edit_reader *reader)
{
    size_t start = reader->at;
    edit_expect(reader, WORDS("\\"));
    edit_read_blanks(reader);
    if (!edit_read_newline(reader)) {
        reader->at = start;
        return false;
    }
    while (edit_read_blanks(reader).len > 0 || edit_read_newline(reader)) {
    }
    return true;
}

struct edit_text edit_read_text(struct edit_reader *reader)
{
    bool is_literal = edit_at(reader, WORDS("'''"));
    struct edit_text quotes = is_literal ? WORDS("'''") : WORDS("\"\"\"");
    if (!edit_take(reader, quotes)) {
        return edit_read_line(reader);
    }
    struct edit_text quote = edit_until(quotes, 1);
    struct edit_buffer text = {0};
    edit_read_newline(reader);
    while (!edit_failed(reader) && !edit_take(reader, quotes)) {
        struct edit_text found = edit_while(reader, is_literal ? is_of_literal : is_of_basic);
        size_t start = reader->at;
        edit_put(&text, found);
        if (found.len > 0) {
            continue;
        }
        if (edit_at(reader, WORDS("\\"))) {
            if (!take_joined(reader)) {
                read_escape(reader, &text);
            }
        } else if (edit_read_newline(reader) || edit_take(reader, quote)) {
            edit_put(&text, edit_from(edit_until(reader->all, reader->at), start));
        } else {
            edit_fail(reader, WORDS("expected the end of the text"));
        }
    }
    // Up to two more quotes are of the text.
    for (int n = 0; n < 2 && edit_take(reader, quote); n++) {
        edit_put(&text, quote);
    }
    return edit_taken(&text);
}
