#include "options.h"

#include <stdlib.h>
#include <string.h>

struct reader {
    const uint8_t *at;
    const uint8_t *end;
};

static void skip_space(struct reader *reader)
{
    while (reader->at < reader->end && strchr(" \t\r\n", *reader->at)) {
        reader->at++;
    }
}

static bool skip_byte(struct reader *reader, uint8_t byte)
{
    skip_space(reader);
    if (reader->at == reader->end || *reader->at != byte) {
        return false;
    }
    reader->at++;
    return true;
}

static uint32_t hex4(const uint8_t *at)
{
    char digits[5] = {0};
    memcpy(digits, at, 4);
    return strtoul(digits, NULL, 16);
}

static uint8_t *put_utf8(uint8_t *to, uint32_t code)
{
    if (code < 0x80) {
        *to++ = code;
    } else if (code < 0x800) {
        *to++ = 0xc0 | code >> 6;
        *to++ = 0x80 | (code & 0x3f);
    } else if (code < 0x10000) {
        *to++ = 0xe0 | code >> 12;
        *to++ = 0x80 | (code >> 6 & 0x3f);
        *to++ = 0x80 | (code & 0x3f);
    } else {
        *to++ = 0xf0 | code >> 18;
        *to++ = 0x80 | (code >> 12 & 0x3f);
        *to++ = 0x80 | (code >> 6 & 0x3f);
        *to++ = 0x80 | (code & 0x3f);
    }
    return to;
}

// Reads \uXXXX, and the second half of a pair with it.
static uint32_t read_escaped_code(struct reader *reader)
{
    if (reader->end - reader->at < 4) {
        reader->at = reader->end;
        return '?';
    }
    uint32_t code = hex4(reader->at);
    reader->at += 4;
    bool is_pair = code >= 0xd800 && code < 0xdc00 && reader->end - reader->at >= 6 &&
                   reader->at[0] == '\\' && reader->at[1] == 'u';
    if (is_pair) {
        code = 0x10000 + ((code - 0xd800) << 10) + (hex4(reader->at + 2) - 0xdc00);
        reader->at += 6;
    }
    return code;
}

// Reads a string, from its first quote to its last, into `*size` bytes from malloc.
static uint8_t *read_text(struct reader *reader, size_t *size)
{
    if (!skip_byte(reader, '"')) {
        return NULL;
    }
    // What is escaped only gets shorter.
    uint8_t *text = malloc(reader->end - reader->at + 1), *to = text;
    while (reader->at < reader->end && *reader->at != '"') {
        if (*reader->at != '\\') {
            *to++ = *reader->at++;
            continue;
        }
        reader->at++;
        uint8_t escape = reader->at < reader->end ? *reader->at++ : '\\';
        if (escape == 'u') {
            to = put_utf8(to, read_escaped_code(reader));
            continue;
        }
        const char *from = "bfnrt", *found = escape ? strchr(from, escape) : NULL;
        *to++ = found ? "\b\f\n\r\t"[found - from] : escape;
    }
    skip_byte(reader, '"');
    *size = to - text;
    return text;
}

static void skip_text(struct reader *reader)
{
    size_t size;
    free(read_text(reader, &size));
}

// Skips a value: an array or object by counting brackets outside of strings.
static void skip_value(struct reader *reader)
{
    int depth = 0;
    do {
        skip_space(reader);
        if (reader->at == reader->end) {
            return;
        }
        uint8_t byte = *reader->at;
        if (byte == '"') {
            skip_text(reader);
        } else if (byte == '{' || byte == '[') {
            depth++;
            reader->at++;
        } else if (byte == '}' || byte == ']') {
            depth--;
            reader->at++;
        } else if (byte == ',' || byte == ':') {
            reader->at++;
        } else {
            while (reader->at < reader->end && !strchr(",:]} \t\r\n", *reader->at)) {
                reader->at++;
            }
        }
    } while (depth > 0);
}

// Moves to the value of a member of the outermost object.
static bool find(struct reader *reader, const char *name)
{
    if (!skip_byte(reader, '{')) {
        return false;
    }
    do {
        size_t size = 0;
        uint8_t *key = read_text(reader, &size);
        if (!key || !skip_byte(reader, ':')) {
            free(key);
            return false;
        }
        bool is_it = size == strlen(name) && memcmp(key, name, size) == 0;
        free(key);
        skip_space(reader);
        if (is_it) {
            return true;
        }
        skip_value(reader);
    } while (skip_byte(reader, ','));
    return false;
}

enum option option_text(const uint8_t *json, size_t json_size, const char *name, uint8_t **text,
                        size_t *size)
{
    struct reader reader = {json, json + json_size};
    if (!find(&reader, name)) {
        return OPTION_MISSING;
    }
    *text = read_text(&reader, size);
    return *text ? OPTION_GOOD : OPTION_WRONG;
}

enum option option_number(const uint8_t *json, size_t json_size, const char *name,
                          uint32_t *number)
{
    struct reader reader = {json, json + json_size};
    if (!find(&reader, name)) {
        return OPTION_MISSING;
    }
    const uint8_t *start = reader.at;
    skip_value(&reader);
    char digits[64] = {0};
    size_t size = reader.at - start;
    // A number starts with a digit or a sign: `strtod` takes more than JSON does.
    if (size == 0 || size >= sizeof digits || !strchr("-0123456789", *start)) {
        return OPTION_WRONG;
    }
    memcpy(digits, start, size);
    double value = strtod(digits, NULL);
    if (!(value >= 0 && value <= UINT32_MAX) || value != (double)(uint32_t)value) {
        return OPTION_WRONG;
    }
    *number = value;
    return OPTION_GOOD;
}
