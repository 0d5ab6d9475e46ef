// Numbers, flags and times of a TOML document.
#include "toml.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_of_word(char byte)
{
    return byte == 0 || !strchr("=,[]{} \t#\r\n", byte);
}

static bool is_hex(char byte)
{
    return edit_is_digit(byte) || (byte >= 'a' && byte <= 'f') || (byte >= 'A' && byte <= 'F');
}

static bool is_octal(char byte)
{
    return byte >= '0' && byte <= '7';
}

static bool is_binary(char byte)
{
    return byte == '0' || byte == '1';
}

// Takes digits, with single underscores between them; how many digits there are.
static size_t take_digits(struct edit_reader *word, bool (*is_one)(char))
{
    size_t count = edit_while(word, is_one).len;
    for (size_t more = count; more > 0;) {
        size_t start = word->at;
        more = edit_take(word, WORDS("_")) ? edit_while(word, is_one).len : 0;
        word->at = more > 0 ? word->at : start;
        count += more;
    }
    return count;
}

static bool is_done(const struct edit_reader *word)
{
    return word->at == word->all.len;
}

static struct edit_text without_underscores(struct edit_text word)
{
    struct edit_buffer out = {0};
    for (size_t n = 0; n < word.len; n++) {
        if (word.ptr[n] != '_') {
            edit_put_byte(&out, word.ptr[n]);
        }
    }
    return edit_taken(&out);
}

// Reads digits as a signed word; false if it does not fit.
static bool to_integer(struct edit_text digits, unsigned base, bool is_negative, int64_t *integer)
{
    uint64_t value = 0, most = (uint64_t)INT64_MAX + is_negative;
    for (size_t n = 0; n < digits.len; n++) {
        char byte = digits.ptr[n];
        unsigned digit = (unsigned)(edit_is_digit(byte) ? byte - '0' : (byte | 0x20) - 'a' + 10);
        if (value > (most - digit) / base) {
            return false;
        }
        value = base * value + digit;
    }
    *integer = (int64_t)(is_negative ? 0 - value : value);
    return true;
}

// 0x, 0o, 0b.
static bool is_radixed(struct edit_text text, struct edit_toml *made, bool *is_good)
{
    static const struct {
        const char *prefix;
        bool (*is_one)(char);
        unsigned base;
    } RADIXES[] = {{"0x", is_hex, 16}, {"0o", is_octal, 8}, {"0b", is_binary, 2}};
    for (size_t n = 0; n < sizeof RADIXES / sizeof *RADIXES; n++) {
        struct edit_reader word = {.all = text};
        if (edit_take(&word, edit_words(RADIXES[n].prefix)) &&
            take_digits(&word, RADIXES[n].is_one) > 0 && is_done(&word)) {
            made->kind = TOML_INTEGER;
            struct edit_text digits = without_underscores(edit_from(text, 2));
            *is_good = to_integer(digits, RADIXES[n].base, false, &made->integer);
            return true;
        }
    }
    return false;
}

static bool is_number(struct edit_text text, struct edit_toml *made, bool *is_good)
{
    struct edit_reader word = {.all = text};
    bool is_negative = edit_take(&word, WORDS("-"));
    (void)(is_negative || edit_take(&word, WORDS("+")));
    struct edit_text digits = without_underscores(edit_rest(&word));
    bool is_nan = edit_is(digits, WORDS("nan"));
    if (is_nan || edit_is(digits, WORDS("inf"))) {
        made->kind = TOML_FLOAT;
        made->number = is_nan ? (double)NAN : is_negative ? -(double)INFINITY : (double)INFINITY;
        return edit_is(digits, edit_rest(&word));
    }
    bool is_zero = edit_at(&word, WORDS("0"));
    size_t count = take_digits(&word, edit_is_digit);
    if (count == 0 || (is_zero && count > 1)) {
        return false;
    }
    if (is_done(&word)) {
        made->kind = TOML_INTEGER;
        *is_good = to_integer(digits, 10, is_negative, &made->integer);
        return true;
    }
    if (edit_take(&word, WORDS(".")) && take_digits(&word, edit_is_digit) == 0) {
        return false;
    }
    if (edit_take(&word, WORDS("e")) || edit_take(&word, WORDS("E"))) {
        (void)(edit_take(&word, WORDS("+")) || edit_take(&word, WORDS("-")));
        if (take_digits(&word, edit_is_digit) == 0) {
            return false;
        }
    }
    made->kind = TOML_FLOAT;
    made->number = edit_double(digits) * (is_negative ? -1 : 1);
    *is_good = !isinf(made->number);
    return is_done(&word);
}

// Takes exactly so many digits that say no less and no more; -1 if they are not there.
static int take_part(struct edit_reader *word, size_t count, int least, int most)
{
    struct edit_text digits = edit_while(word, edit_is_digit);
    int value = 0;
    for (size_t n = 0; n < digits.len && n < count; n++) {
        value = 10 * value + digits.ptr[n] - '0';
    }
    return digits.len == count && value >= least && value <= most ? value : -1;
}

static bool take_date(struct edit_reader *word)
{
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year = take_part(word, 4, 0, 9999);
    int month = year >= 0 && edit_take(word, WORDS("-")) ? take_part(word, 2, 1, 12) : -1;
    if (month < 0 || !edit_take(word, WORDS("-"))) {
        return false;
    }
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return take_part(word, 2, 1, DAYS[month - 1] + (month == 2 && is_leap)) > 0;
}

static bool take_clock(struct edit_reader *word)
{
    bool is_good = take_part(word, 2, 0, 23) >= 0 && edit_take(word, WORDS(":")) &&
                   take_part(word, 2, 0, 59) >= 0;
    if (is_good && edit_take(word, WORDS(":"))) {
        is_good = take_part(word, 2, 0, 60) >= 0;
        if (is_good && edit_take(word, WORDS("."))) {
            is_good = edit_while(word, edit_is_digit).len > 0;
        }
    }
    return is_good;
}

static bool take_offset(struct edit_reader *word)
{
    if (edit_take(word, WORDS("Z")) || edit_take(word, WORDS("z")) || is_done(word)) {
        return true;
    }
    bool is_signed = edit_take(word, WORDS("+")) || edit_take(word, WORDS("-"));
    return is_signed && take_part(word, 2, 0, 23) >= 0 && edit_take(word, WORDS(":")) &&
           take_part(word, 2, 0, 59) >= 0;
}

static bool is_time(struct edit_text text)
{
    struct edit_reader word = {.all = text};
    if (take_clock(&word)) {
        return is_done(&word);
    }
    word.at = 0;
    if (!take_date(&word)) {
        return false;
    }
    bool has_clock = edit_take(&word, WORDS("T")) || edit_take(&word, WORDS("t")) ||
                     edit_take(&word, WORDS(" "));
    return (!has_clock || (take_clock(&word) && take_offset(&word))) && is_done(&word);
}

struct edit_toml *edit_read_scalar(struct edit_reader *reader)
{
    size_t start = reader->at;
    struct edit_toml *made = edit_toml_new(TOML_TIME);
    if (edit_at(reader, WORDS("\"")) || edit_at(reader, WORDS("'"))) {
        made->kind = TOML_TEXT;
        made->text = edit_read_text(reader);
        made->spelling = edit_from(edit_until(reader->all, reader->at), start);
        return made;
    }
    struct edit_text word = edit_while(reader, is_of_word), rest = edit_rest(reader);
    struct edit_reader date = {.all = word};
    // A date and a time may have a blank between them.
    if (take_date(&date) && is_done(&date) && rest.len > 1 && rest.ptr[0] == ' ' &&
        is_of_word(rest.ptr[1])) {
        reader->at++;
        word.len += 1 + edit_while(reader, is_of_word).len;
    }
    bool is_good = true;
    made->spelling = word;
    if (edit_is(word, WORDS("true")) || edit_is(word, WORDS("false"))) {
        made->kind = TOML_FLAG;
        made->integer = word.len == 4;
    } else if (!is_radixed(word, made, &is_good) && !is_number(word, made, &is_good)) {
        made->kind = TOML_TIME;
        if (word.len == 0) {
            edit_fail(reader, WORDS("expected a value"));
        } else if (!is_time(word)) {
            edit_fail_at_key(reader, "` is no value", word);
        }
    }
    if (!is_good) {
        edit_fail(reader, WORDS("the number is too large"));
    }
    return made;
}
