// The options that a job gives to a component: one JSON object.
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What an option is.
enum option {
    OPTION_MISSING,
    OPTION_GOOD,
    OPTION_WRONG,
};

// Looks for a text in `json`, whose syntax the host vouches for. On OPTION_GOOD, `*text` holds it
// (from malloc) and `*size` its size in bytes.
enum option option_text(const uint8_t *json, size_t json_size, const char *name, uint8_t **text,
                        size_t *size);

// Looks for a whole number that 32 bits hold.
enum option option_number(const uint8_t *json, size_t json_size, const char *name,
                          uint32_t *number);

#endif
