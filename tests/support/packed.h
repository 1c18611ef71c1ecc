//  tests/support/packed.h - take packed arrays apart and change one field
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_TEST_PACKED_H
#define TRN_TEST_PACKED_H

#include "wire/pack.h"
#include "wire/packer.h"

#include <assert.h>
#include <string.h>

typedef struct {
    uint8_t bytes[80 * 1024];
    size_t size;
} test_packed_t;

//  Values of the outer array.
static inline uint32_t
test_packed_count (const test_packed_t *self)
{
    trn_unpack_t in;
    trn_unpack_start (&in, self->bytes, self->size);
    return trn_unpack_array (&in, UINT32_MAX);
}

//  Where value index of the array at start begins; count is the end.
static inline size_t
test_packed_at (const test_packed_t *self, size_t start, uint32_t index)
{
    trn_unpack_t in;
    trn_unpack_start (&in, self->bytes + start, self->size - start);
    (void) trn_unpack_array (&in, UINT32_MAX);
    trn_unpack_skip (&in, index);
    assert (!in.error);
    return (size_t) (in.at - self->bytes);
}

//  Replace from..to by other bytes.
static inline void
test_packed_splice (test_packed_t *self, size_t from, size_t to,
                    const void *bytes, size_t size)
{
    assert (self->size - (to - from) + size <= sizeof self->bytes);
    memmove (self->bytes + from + size, self->bytes + to, self->size - to);
    if (size) {
        memcpy (self->bytes + from, bytes, size);
    }
    self->size = self->size - (to - from) + size;
}

//  A path to a value: indexes into nested arrays, -1 ends it.
typedef struct {
    int at[3];
} test_path_t;

static inline void
test_packed_replace (test_packed_t *self, test_path_t path, const void *bytes,
                     size_t size)
{
    size_t start = 0;
    size_t from = 0;
    size_t to = self->size;
    for (int level = 0; level < 3 && path.at[level] >= 0; level++) {
        from = test_packed_at (self, start, (uint32_t) path.at[level]);
        to = test_packed_at (self, start, (uint32_t) path.at[level] + 1);
        start = from;
    }
    test_packed_splice (self, from, to, bytes, size);
}

static inline void
test_packed_number (test_packed_t *self, test_path_t path, uint64_t number)
{
    uint8_t bytes[16];
    trn_packer_t out;
    trn_packer_start (&out, bytes, sizeof bytes);
    trn_pack_uint (&out, number);
    test_packed_replace (self, path, bytes, out.used);
}

//  Give the array that starts at a place another count and drop or add values
//  at its end: add is what is appended, keep how many old values stay.
static inline void
test_packed_resize (test_packed_t *self, size_t start, uint32_t keep,
                    const void *add, size_t add_size, uint32_t add_count)
{
    trn_unpack_t in;
    trn_unpack_start (&in, self->bytes + start, self->size - start);
    const uint32_t count = trn_unpack_array (&in, UINT32_MAX);
    assert (!in.error && keep <= count);
    const size_t head = (size_t) (in.at - self->bytes);
    const size_t cut = test_packed_at (self, start, keep);
    const size_t end = test_packed_at (self, start, count);
    test_packed_splice (self, cut, end, add, add_size);
    uint8_t bytes[8];
    trn_packer_t out;
    trn_packer_start (&out, bytes, sizeof bytes);
    trn_pack_array (&out, keep + add_count);
    test_packed_splice (self, start, head, bytes, out.used);
}

#endif
