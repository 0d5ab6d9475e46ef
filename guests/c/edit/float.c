// Floats, read and written.
#include "text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The fewest digits that are a float, and how many of them are before the point.
struct decimal {
    bool is_negative;
    char digits[20];
    int point;
};

// Adds one to the last digit of a number that is written with an exponent; false if all are nines.
static bool round_up(char *text)
{
    char *at = strchr(text, 'e');
    while (at-- > text) {
        if (*at == '9') {
            *at = '0';
        } else if (*at != '.') {
            ++*at;
            return true;
        }
    }
    return false;
}

static struct decimal decimal_of(double value)
{
    struct decimal made = {.is_negative = signbit(value)};
    char text[40];
    for (int precision = 0; precision < 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, fabs(value));
        if (strtod(text, NULL) == fabs(value)) {
            break;
        }
        // Below a power of two, floats are closer than above it: what is nearest may not be it.
        if (precision < 16 && round_up(text) && strtod(text, NULL) == fabs(value)) {
            break;
        }
    }
    char *to = made.digits, *from = text;
    for (; *from != 'e'; from++) {
        if (*from != '.') {
            *to++ = *from;
        }
    }
    made.point = atoi(from + 1) + 1;
    return made;
}

static void put_decimal(struct edit_buffer *buffer, const struct decimal *decimal)
{
    int count = (int)strlen(decimal->digits);
    edit_put(buffer, decimal->is_negative ? WORDS("-") : WORDS(""));
    if (decimal->point <= 0) {
        edit_put(buffer, WORDS("0."));
    }
    for (int n = decimal->point; n < 0; n++) {
        edit_put_byte(buffer, '0');
    }
    for (int n = 0; n < count || n < decimal->point + 1; n++) {
        if (n == decimal->point && n > 0) {
            edit_put_byte(buffer, '.');
        }
        edit_put_byte(buffer, n < count ? decimal->digits[n] : '0');
    }
}

void edit_put_float(struct edit_buffer *out, double value)
{
    struct decimal decimal = decimal_of(value);
    if (decimal.point > -5 && decimal.point <= 16) {
        put_decimal(out, &decimal);
        return;
    }
    char exponent[16];
    snprintf(exponent, sizeof exponent, "e%+d", decimal.point - 1);
    edit_put(out, decimal.is_negative ? WORDS("-") : WORDS(""));
    edit_put_byte(out, decimal.digits[0]);
    edit_put(out, decimal.digits[1] ? WORDS(".") : WORDS(""));
    edit_put(out, edit_words(decimal.digits + 1));
    edit_put(out, edit_words(exponent));
}

double edit_double(struct edit_text digits)
{
    char *copy = edit_allocate(NULL, digits.len + 1);
    memcpy(copy, digits.ptr, digits.len);
    copy[digits.len] = 0;
    return strtod(copy, NULL);
}
