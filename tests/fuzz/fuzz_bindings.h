//  tests/fuzz/fuzz_bindings.h - frames about bindings, made from an input
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_FUZZ_BINDINGS_H
#define TRN_FUZZ_BINDINGS_H

#include "fuzz.h"

#include "wire/dirframe.h"

//  Bindings of few names and stamps, so that they meet.
static inline size_t
fuzz_make_bindings (fuzz_input_t *in, uint64_t nonce, uint8_t *to,
                    size_t capacity)
{
    static const char *const names[] = {"x", "y", "z", "w"};
    const trn_dirframe_t frame = {
        .type = TRN_DIR_BINDINGS,
        .bindings = {.nonce = nonce, .page = fuzz_byte (in) % 3},
    };
    trn_dirpage_t page;
    trn_dirpage_begin (&page, &frame, to, capacity);
    for (uint8_t count = fuzz_byte (in) % 70; count; count--) {
        const uint8_t form = fuzz_byte (in);
        const trn_binding_t binding = {
            .exchange = trn_text (names[form % 4]),
            .type = form & 64 ? TRN_EXCHANGE_TOPIC : TRN_EXCHANGE_DIRECT,
            .queue = trn_text (names[form / 4 % 4]),
            .pattern = trn_text (form & 16 ? "a.#" : ""),
            .stamp_us = 1 + fuzz_byte (in) % 8,
            .writer = trn_text (names[form / 32 % 2]),
            .removed = form & 128,
        };
        (void) trn_dirpage_add_binding (&page, &binding);
    }
    return trn_dirpage_end (&page, fuzz_byte (in) % 2);
}

static inline size_t
fuzz_make_digests (fuzz_input_t *in, uint64_t nonce, uint8_t *to,
                   size_t capacity)
{
    uint8_t buckets[TRN_BINDING_BUCKETS * 8];
    memset (buckets, fuzz_byte (in) % 2, sizeof buckets);
    const trn_dirframe_t frame = {
        .type = TRN_DIR_DIGESTS,
        .digests = {.nonce = nonce, .buckets = buckets},
    };
    return trn_dirframe_encode (&frame, to, capacity);
}

#endif
