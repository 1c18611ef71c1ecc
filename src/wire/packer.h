//  wire/packer.h - msgpack into a buffer of fixed size
//
//  Packing goes through msgpack-c; this only bounds it.  What does not fit is
//  not written, sets full, and neither is anything after it.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_PACKER_H
#define TRN_PACKER_H

#include "wire/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint8_t *to;
    size_t capacity;
    size_t used;
    bool full;  //  something did not fit
} trn_packer_t;

void
trn_packer_start (trn_packer_t *self, uint8_t *to, size_t capacity);

void
trn_pack_array (trn_packer_t *self, uint32_t count);

//  An array whose count is filled in later, up to UINT16_MAX.  Returns the
//  place to give to trn_pack_count ().
size_t
trn_pack_open_array (trn_packer_t *self);

void
trn_pack_count (trn_packer_t *self, size_t place, uint32_t count);

void
trn_pack_map (trn_packer_t *self, uint32_t count);

void
trn_pack_uint (trn_packer_t *self, uint64_t number);

void
trn_pack_int (trn_packer_t *self, int64_t number);

void
trn_pack_bool (trn_packer_t *self, bool value);

void
trn_pack_text (trn_packer_t *self, trn_text_t text);

void
trn_pack_bytes (trn_packer_t *self, const void *bytes, size_t size);

#endif
