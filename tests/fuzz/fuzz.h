//  tests/fuzz/fuzz.h - what every fuzz target has
//
//  A target gets any bytes and must come back: no crash, no leak, no endless
//  loop, and what it claims about the bytes is asserted.  With --enable-fuzz
//  libFuzzer calls it; without, replay_main.c calls it once for every file in
//  tests/fuzz/corpus/<target>.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_FUZZ_H
#define TRN_FUZZ_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size);

//  Bytes taken from the front of an input, zeros behind its end.
typedef struct {
    const uint8_t *at;
    size_t left;
} fuzz_input_t;

static inline uint8_t
fuzz_byte (fuzz_input_t *self)
{
    if (!self->left) {
        return 0;
    }
    self->left--;
    return *self->at++;
}

static inline uint64_t
fuzz_number (fuzz_input_t *self, unsigned bytes)
{
    uint64_t number = 0;
    while (bytes--) {
        number = number << 8 | fuzz_byte (self);
    }
    return number;
}

#endif
