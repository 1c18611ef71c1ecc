//  tests/fuzz/fuzz_meta.c - any bytes as a cell, and as what cells hold
//
//  The first byte chooses which of the three contents is tried.  Each is tried
//  bare, and what decodes is encoded and decoded again; and the bytes are taken
//  as a whole cell file, with right checksums if bit 7 is set.
//
//  SPDX-License-Identifier: MPL-2.0

#include "fuzz.h"

#include "base/bytes.h"
#include "store/cell.h"
#include "store/log_state.h"
#include "store/store_meta.h"

#include <tern/error.h>

#include <xxhash.h>

static void
s_try_log_meta (const uint8_t *bytes, size_t size)
{
    trn_log_meta_t meta, again;
    if (trn_log_meta_decode (bytes, size, &meta)) {
        return;
    }
    size_t encoded_size = 0;
    uint8_t *encoded = trn_log_meta_encode (&meta, &encoded_size);
    assert (trn_log_meta_decode (encoded, encoded_size, &again) == 0);
    assert (again.reserved == meta.reserved && again.clean == meta.clean);
    assert (strcmp (again.name, meta.name) == 0);
    free (encoded);
}

static void
s_try_log_state (const uint8_t *bytes, size_t size)
{
    trn_log_state_t state, again;
    if (trn_log_state_decode (bytes, size, &state)) {
        return;
    }
    size_t encoded_size = 0;
    uint8_t *encoded = trn_log_state_encode (&state, &encoded_size);
    assert (trn_log_state_decode (encoded, encoded_size, &again) == 0);
    assert (again.low == state.low && again.blob_size == state.blob_size);
    assert (!state.blob_size
            || memcmp (again.blob, state.blob, state.blob_size) == 0);
    free (encoded);
}

static void
s_try_store_meta (const uint8_t *bytes, size_t size)
{
    trn_store_meta_t meta, again;
    if (trn_store_meta_decode (bytes, size, &meta)) {
        return;
    }
    size_t encoded_size = 0;
    uint8_t *encoded = trn_store_meta_encode (&meta, &encoded_size);
    assert (trn_store_meta_decode (encoded, encoded_size, &again) == 0);
    assert (again.incarnation == meta.incarnation);
    assert (strcmp (again.name, meta.name) == 0);
    free (encoded);
}

static void
s_try (unsigned which, const uint8_t *bytes, size_t size)
{
    switch (which % 3) {
    case 0: s_try_log_meta (bytes, size); break;
    case 1: s_try_log_state (bytes, size); break;
    case 2: s_try_store_meta (bytes, size); break;
    }
}

//  Make the sum of one half right, as store/cell.h describes it.
static void
s_repair_half (uint8_t *half, uint32_t half_size, uint64_t seed)
{
    const uint32_t length = trn_get_u32 (half + 20);
    if (length <= half_size - TRN_CELL_HEADER) {
        trn_put_u64 (half, XXH3_64bits_withSeed (
                               half + 8, TRN_CELL_HEADER - 8 + length, seed));
    }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    fuzz_input_t input = {data, size};
    const uint8_t choice = fuzz_byte (&input);
    s_try (choice & 3, input.at, input.left);

    const uint64_t seed = 42;
    const uint32_t half = trn_cell_half_size (64);
    uint8_t *bytes = calloc (1, 2 * half + input.left);
    assert (bytes);
    //  Short inputs lie at the start of both halves.
    memcpy (bytes, input.at, input.left);
    size_t cell_size = input.left;
    if (input.left <= half) {
        memcpy (bytes + half, input.at, input.left);
        cell_size = 2 * half;
    }
    if (choice & 128 && cell_size >= 2 * half) {
        s_repair_half (bytes, half, seed);
        s_repair_half (bytes + half, half, seed);
    }
    const uint8_t *contents = NULL;
    size_t length = 0;
    uint64_t generation = 0;
    unsigned newest = 7;
    const int rc = trn_cell_decode (bytes, cell_size, seed, half, &contents,
                                    &length, &generation, &newest);
    assert (rc == 0 || rc == TERN_ECORRUPT || rc == TERN_EVERSION);
    if (rc == 0) {
        assert (newest < 2 && contents >= bytes
                && contents + length <= bytes + cell_size);
        s_try (choice & 3, contents, length);
    }
    free (bytes);
    return 0;
}
