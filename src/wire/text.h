//  wire/text.h - borrowed text inside a frame
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_TEXT_H
#define TRN_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

//  UTF-8 without NUL, not terminated.
typedef struct {
    const char *at;
    size_t size;
} trn_text_t;

static inline trn_text_t
trn_text (const char *string)
{
    return (trn_text_t) {string, strlen (string)};
}

static inline bool
trn_text_is (trn_text_t text, const char *string)
{
    const size_t size = strlen (string);
    return text.size == size && (!size || !memcmp (text.at, string, size));
}

#endif
