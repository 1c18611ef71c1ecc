//  wire/manifest.h - the small message that stands for a large one
//
//  Its record has the flag LARGE, its property tern.large the size of the body
//  and the number that the body has in the publisher's store, and its own body
//  lists the sums of the parts, XXH3-64 of TRN_LARGE_PART bytes each, the last
//  one of what is left: docs/spec 3-RECORD, section 4.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_MANIFEST_H
#define TRN_MANIFEST_H

#include "base/limits.h"
#include "wire/props.h"
#include "wire/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRN_OWN_LARGE "tern.large"

#define TRN_SUM_SIZE 8u
#define TRN_PARTS_OF_LARGE (TRN_LARGE_MAX / TRN_LARGE_PART)

typedef struct {
    uint64_t size;  //  of the body, TRN_LARGE_MAX at most
    uint64_t id;
    const uint8_t *sums;  //  borrowed from the record
} trn_manifest_t;

//  False if the record is none, or makes no sense as one.
bool
trn_manifest_read (const trn_record_t *record, trn_manifest_t *manifest);

//  The size that properties alone speak of, for people; 0: of none.
uint64_t
trn_manifest_size (const trn_props_t *props);

//  How many parts, and the size of one of them.
uint32_t
trn_manifest_parts (uint64_t size);

uint32_t
trn_manifest_part_size (const trn_manifest_t *self, uint32_t part);

uint64_t
trn_part_sum (const void *bytes, size_t size);

//  Are these the bytes of that part?
bool
trn_manifest_fits (const trn_manifest_t *self, uint32_t part, const void *bytes,
                   size_t size);

//  Name a body, in place of what was named before.  0, or TERN_ETOOBIG.
int
trn_manifest_name (trn_propset_t *props, uint64_t size, uint64_t id);

#endif
