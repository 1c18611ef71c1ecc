//  wire/packer.c - msgpack into a buffer of fixed size
//
//  Knows: where the buffer ends.  Hides: msgpack-c, which packs each number in
//  its shortest form; equal structs therefore give equal bytes.
//
//  SPDX-License-Identifier: MPL-2.0

#include "wire/packer.h"

#include <assert.h>
#include <msgpack/pack.h>
#include <string.h>

//  msgpack-c's sink.  Its answer is ignored: full says it once, at the end.
static int
s_append (void *arg, const char *bytes, size_t size)
{
    trn_packer_t *self = arg;
    if (self->full || size > self->capacity - self->used) {
        self->full = true;
        return -1;
    }
    if (size) {
        memcpy (self->to + self->used, bytes, size);
        self->used += size;
    }
    return 0;
}

static msgpack_packer
s_packer (trn_packer_t *self)
{
    assert (self);
    return (msgpack_packer) {self, s_append};
}

void
trn_packer_start (trn_packer_t *self, uint8_t *to, size_t capacity)
{
    assert (self && to);
    *self = (trn_packer_t) {to, capacity, 0, false};
}

void
trn_pack_array (trn_packer_t *self, uint32_t count)
{
    msgpack_packer packer = s_packer (self);
    msgpack_pack_array (&packer, count);
}

size_t
trn_pack_open_array (trn_packer_t *self)
{
    assert (self);
    const size_t place = self->used;
    s_append (self, "\xdc\0\0", 3);
    return place;
}

void
trn_pack_count (trn_packer_t *self, size_t place, uint32_t count)
{
    assert (self && count <= UINT16_MAX);
    if (!self->full || place + 3 <= self->used) {
        assert (self->to[place] == 0xdc);
        self->to[place + 1] = (uint8_t) (count >> 8);
        self->to[place + 2] = (uint8_t) count;
    }
}

void
trn_pack_map (trn_packer_t *self, uint32_t count)
{
    msgpack_packer packer = s_packer (self);
    msgpack_pack_map (&packer, count);
}

void
trn_pack_uint (trn_packer_t *self, uint64_t number)
{
    msgpack_packer packer = s_packer (self);
    msgpack_pack_uint64 (&packer, number);
}

void
trn_pack_int (trn_packer_t *self, int64_t number)
{
    msgpack_packer packer = s_packer (self);
    msgpack_pack_int64 (&packer, number);
}

void
trn_pack_bool (trn_packer_t *self, bool value)
{
    msgpack_packer packer = s_packer (self);
    if (value) {
        msgpack_pack_true (&packer);
    } else {
        msgpack_pack_false (&packer);
    }
}

void
trn_pack_text (trn_packer_t *self, trn_text_t text)
{
    msgpack_packer packer = s_packer (self);
    msgpack_pack_str (&packer, text.size);
    msgpack_pack_str_body (&packer, text.at, text.size);
}

void
trn_pack_bytes (trn_packer_t *self, const void *bytes, size_t size)
{
    msgpack_packer packer = s_packer (self);
    msgpack_pack_bin (&packer, size);
    msgpack_pack_bin_body (&packer, bytes, size);
}
