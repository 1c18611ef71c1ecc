//  wire/pack.h - the bounding pre-scan, and a reader over scanned bytes
//
//  msgpack-c believes declared counts and allocates for them (5 bytes reserve
//  4 GiB); so nothing from outside reaches it.  trn_pack_scan () walks the
//  bytes once without allocating: depth, elements, lengths against what is
//  left, UTF-8 strings without NUL, exactly one object and no rest, no ext.
//  Then the reader below pulls out the fields that the schema asks for.
//
//  Packing is in wire/packer.h.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_PACK_H
#define TRN_PACK_H

#include "wire/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

//  Deepest nesting a scan can be asked to allow.
#define TRN_PACK_DEPTH_MAX 32

//  0; TERN_EPROTO if this is not one well-formed object; TERN_ETOOBIG if it
//  nests deeper than depth_max or holds more than elements_max values.  An
//  array or map in an array is one level deeper; map keys count as elements.
int
trn_pack_scan (const uint8_t *bytes, size_t size, unsigned depth_max,
               size_t elements_max);

//  Reads values one after the other.  The first failure is kept in error and
//  every later call returns nothing, so a schema reads straight down and looks
//  at error once.  Never reads outside its bytes, scanned or not.
typedef struct {
    const uint8_t *at;  //  next value
    const uint8_t *end;
    int error;  //  0, or the first of TERN_EPROTO, TERN_ETOOBIG
} trn_unpack_t;

void
trn_unpack_start (trn_unpack_t *self, const uint8_t *bytes, size_t size);

//  What comes next; TRN_PACK_NOTHING at the end or after a failure.
typedef enum {
    TRN_PACK_NOTHING,
    TRN_PACK_NIL,
    TRN_PACK_BOOL,
    TRN_PACK_UINT,  //  also a signed form that holds no negative number
    TRN_PACK_INT,   //  negative
    TRN_PACK_FLOAT,
    TRN_PACK_TEXT,
    TRN_PACK_BYTES,
    TRN_PACK_ARRAY,
    TRN_PACK_MAP
} trn_pack_kind_t;

trn_pack_kind_t
trn_unpack_peek (const trn_unpack_t *self);

//  Items of the array (pairs of the map) that starts here.  More than max is
//  TERN_ETOOBIG.
uint32_t
trn_unpack_array (trn_unpack_t *self, uint32_t max);

uint32_t
trn_unpack_map (trn_unpack_t *self, uint32_t max);

//  Enter an array of at least min fields; returns how many follow after them,
//  to be skipped when those have been read.
uint32_t
trn_unpack_fields (trn_unpack_t *self, uint32_t min);

//  An integer within min..max, else TERN_EPROTO.
uint64_t
trn_unpack_uint (trn_unpack_t *self, uint64_t min, uint64_t max);

int64_t
trn_unpack_int (trn_unpack_t *self);

bool
trn_unpack_bool (trn_unpack_t *self);

//  Text of at most max bytes, longer is TERN_ETOOBIG.  Borrowed.
trn_text_t
trn_unpack_text (trn_unpack_t *self, size_t max);

//  Binary.  Borrowed; NULL only after a failure.
const uint8_t *
trn_unpack_bytes (trn_unpack_t *self, size_t *size_p);

//  Binary of exactly size bytes, copied.
void
trn_unpack_fixed (trn_unpack_t *self, uint8_t *to, size_t size);

//  Pass over count values, whatever they are.
void
trn_unpack_skip (trn_unpack_t *self, uint64_t count);

//  A value was well-formed but not acceptable.
void
trn_unpack_fail (trn_unpack_t *self, int error);

#endif
