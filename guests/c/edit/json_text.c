// JSON, read and written.
#include "json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// As deep as objects and lists may hold each other.
static const int DEPTH = 127;

static bool is_blank(char byte)
{
    return byte == ' ' || byte == '\t' || byte == '\r' || byte == '\n';
}

static bool take(struct edit_reader *reader, struct edit_text token)
{
    edit_while(reader, is_blank);
    return edit_take(reader, token);
}

static void expect(struct edit_reader *reader, struct edit_text token)
{
    edit_while(reader, is_blank);
    edit_expect(reader, token);
}

static bool is_plain(char byte)
{
    return (unsigned char)byte >= ' ' && byte != '"' && byte != '\\';
}

static void read_escape(struct edit_reader *reader, struct edit_buffer *out)
{
    edit_expect(reader, WORDS("\\"));
    if (edit_take(reader, WORDS("u"))) {
        int64_t code = edit_hex(reader, 4);
        if (code >= 0xd800 && code < 0xdc00 && edit_take(reader, WORDS("\\u"))) {
            int64_t low = edit_hex(reader, 4);
            bool is_low = low >= 0xdc00 && low < 0xe000;
            code = is_low ? 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00) : -1;
        }
        if (code < 0 || (code >= 0xd800 && code < 0xe000)) {
            edit_fail(reader, WORDS("no such character"));
        } else {
            edit_put_char(out, (uint32_t)code);
        }
        return;
    }
    struct edit_text rest = edit_rest(reader);
    const char *from = "\"\\/bfnrt", *found = rest.len ? memchr(from, rest.ptr[0], 8) : NULL;
    if (!found) {
        edit_fail(reader, WORDS("no such escape"));
        return;
    }
    edit_put_byte(out, "\"\\/\b\f\n\r\t"[found - from]);
    reader->at++;
}

static struct edit_text read_text(struct edit_reader *reader)
{
    struct edit_buffer out = {0};
    edit_expect(reader, WORDS("\""));
    while (!edit_failed(reader) && !edit_take(reader, WORDS("\""))) {
        edit_put(&out, edit_while(reader, is_plain));
        if (edit_at(reader, WORDS("\\"))) {
            read_escape(reader, &out);
        } else if (!edit_at(reader, WORDS("\""))) {
            edit_fail(reader, WORDS("expected the end of the text"));
        }
    }
    return edit_taken(&out);
}

// Whether 64 bits hold a whole number, with a sign or without.
static bool is_word(struct edit_text digits)
{
    bool is_negative = digits.ptr[0] == '-';
    struct edit_text most =
        is_negative ? WORDS("-9223372036854775808") : WORDS("18446744073709551615");
    bool is_short = digits.len < most.len;
    return is_short || (digits.len == most.len && memcmp(digits.ptr, most.ptr, most.len) <= 0);
}

static struct edit_json *read_number(struct edit_reader *reader)
{
    size_t start = reader->at;
    edit_take(reader, WORDS("-"));
    bool is_zero = edit_take(reader, WORDS("0"));
    bool is_good = is_zero || edit_while(reader, edit_is_digit).len > 0;
    bool is_whole = true;
    if (edit_take(reader, WORDS("."))) {
        is_good = is_good && edit_while(reader, edit_is_digit).len > 0;
        is_whole = false;
    }
    if (edit_take(reader, WORDS("e")) || edit_take(reader, WORDS("E"))) {
        (void)(edit_take(reader, WORDS("+")) || edit_take(reader, WORDS("-")));
        is_good = is_good && edit_while(reader, edit_is_digit).len > 0;
        is_whole = false;
    }
    struct edit_text digits = edit_from(edit_until(reader->all, reader->at), start);
    struct edit_text rest = edit_rest(reader);
    if (!is_good || (rest.len > 0 && edit_is_digit(rest.ptr[0]))) {
        edit_fail(reader, WORDS("expected a value"));
        return edit_json_new(JSON_NULL);
    }
    is_whole = is_whole && !edit_is(digits, WORDS("-0")) && is_word(digits);
    struct edit_json *made = edit_json_new(is_whole ? JSON_WHOLE : JSON_FLOAT);
    made->text = digits;
    made->number = edit_double(digits);
    if (isinf(made->number)) {
        edit_fail(reader, WORDS("the number is out of range"));
    }
    return made;
}

static struct edit_json *read_value(struct edit_reader *reader, int depth)
{
    edit_while(reader, is_blank);
    bool is_object = edit_at(reader, WORDS("{")), is_list = edit_at(reader, WORDS("["));
    if (is_object || is_list) {
        if (depth >= DEPTH) {
            edit_fail(reader, WORDS("it is too deep"));
        }
        struct edit_json *made = edit_json_new(is_object ? JSON_OBJECT : JSON_LIST);
        struct edit_text end = is_object ? WORDS("}") : WORDS("]"), key = WORDS("");
        reader->at += !edit_failed(reader);
        while (!edit_failed(reader) && !take(reader, end)) {
            if (made->count > 0) {
                expect(reader, WORDS(","));
            }
            if (is_object) {
                edit_while(reader, is_blank);
                key = read_text(reader);
                expect(reader, WORDS(":"));
            }
            edit_json_set(made, key, read_value(reader, depth + 1));
        }
        return made;
    }
    if (edit_at(reader, WORDS("\""))) {
        struct edit_json *made = edit_json_new(JSON_TEXT);
        made->text = read_text(reader);
        return made;
    }
    if (edit_take(reader, WORDS("null"))) {
        return edit_json_new(JSON_NULL);
    }
    if (edit_take(reader, WORDS("true"))) {
        return edit_json_new(JSON_TRUE);
    }
    return edit_take(reader, WORDS("false")) ? edit_json_new(JSON_FALSE) : read_number(reader);
}

struct edit_json *edit_json_parse(struct edit_text text, struct edit_text *error)
{
    struct edit_reader reader = {.all = text};
    struct edit_json *made = read_value(&reader, 0);
    edit_while(&reader, is_blank);
    if (reader.at < text.len) {
        edit_fail(&reader, WORDS("trailing characters"));
    }
    *error = reader.error;
    return edit_failed(&reader) ? NULL : made;
}

struct edit_json *edit_json_new(enum edit_json_kind kind)
{
    struct edit_json *made = edit_allocate(NULL, sizeof *made);
    *made = (struct edit_json){.kind = kind};
    return made;
}

static size_t find(const struct edit_json *object, struct edit_text key)
{
    size_t at = 0;
    while (at < object->count && !edit_is(object->members[at].key, key)) {
        at++;
    }
    return at;
}

struct edit_json *edit_json_get(const struct edit_json *object, struct edit_text key)
{
    size_t at = find(object, key);
    return at < object->count ? object->members[at].value : NULL;
}

void edit_json_set(struct edit_json *object, struct edit_text key, struct edit_json *value)
{
    size_t at = object->kind == JSON_OBJECT ? find(object, key) : object->count;
    if (at == object->count) {
        EDIT_GROW(object->members, object->count, object->room);
        object->count++;
    }
    object->members[at] = (struct edit_member){key, value};
}

void edit_json_remove(struct edit_json *object, struct edit_text key)
{
    size_t at = find(object, key);
    if (at < object->count) {
        struct edit_member *from = object->members + at;
        object->count--;
        memmove(from, from + 1, (object->count - at) * sizeof *from);
    }
}

bool edit_json_is(const struct edit_json *a, const struct edit_json *b)
{
    if (a->kind != b->kind || a->count != b->count) {
        return false;
    }
    for (size_t n = 0; n < a->count; n++) {
        const struct edit_member *member = &a->members[n];
        const struct edit_json *there =
            a->kind == JSON_LIST ? b->members[n].value : edit_json_get(b, member->key);
        if (!there || !edit_json_is(member->value, there)) {
            return false;
        }
    }
    return a->kind == JSON_FLOAT ? a->number == b->number : edit_is(a->text, b->text);
}

// Escapes what must be, and nothing else.
static void write_text(struct edit_buffer *out, struct edit_text text)
{
    static const char ESCAPED[] = "\"\\\b\f\n\r\t", ESCAPES[] = "\"\\bfnrt";
    edit_put_byte(out, '"');
    for (size_t n = 0; n < text.len; n++) {
        unsigned char byte = (unsigned char)text.ptr[n];
        const char *found = memchr(ESCAPED, byte, sizeof ESCAPED - 1);
        if (found) {
            edit_put_byte(out, '\\');
            edit_put_byte(out, ESCAPES[found - ESCAPED]);
        } else if (byte < ' ') {
            char escape[8];
            snprintf(escape, sizeof escape, "\\u%04x", byte);
            edit_put(out, edit_words(escape));
        } else {
            edit_put_byte(out, (char)byte);
        }
    }
    edit_put_byte(out, '"');
}

void edit_json_write(struct edit_buffer *out, const struct edit_json *value,
                     struct edit_text indent, struct edit_text margin)
{
    static const char *const NAMES[] = {"null", "false", "true"};
    bool is_object = value->kind == JSON_OBJECT;
    struct edit_text inner = WORDS("");
    switch (value->kind) {
    case JSON_WHOLE:
        edit_put(out, value->text);
        return;
    case JSON_FLOAT:
        edit_put_float(out, value->number);
        return;
    case JSON_TEXT:
        write_text(out, value->text);
        return;
    case JSON_LIST:
    case JSON_OBJECT:
        inner = edit_join(margin, indent, WORDS(""));
        edit_put_byte(out, is_object ? '{' : '[');
        for (size_t n = 0; n < value->count; n++) {
            edit_put(out, n > 0 ? WORDS(",") : WORDS(""));
            edit_put(out, inner);
            if (is_object) {
                write_text(out, value->members[n].key);
                edit_put(out, WORDS(": "));
            }
            edit_json_write(out, value->members[n].value, indent, inner);
        }
        edit_put(out, value->count > 0 ? margin : WORDS(""));
        edit_put_byte(out, is_object ? '}' : ']');
        return;
    default:
        edit_put(out, edit_words(NAMES[value->kind]));
    }
}
