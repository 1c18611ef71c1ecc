//  wire/manifest.c - the small message that stands for a large one
//
//  Knows: a manifest may come from anybody; what it says of itself must agree
//  before any of it is used.
//
//  SPDX-License-Identifier: MPL-2.0

#include "wire/manifest.h"

#include "base/bytes.h"

#include <tern/error.h>

#include <assert.h>
#include <xxhash.h>

#define NAMED_SIZE 16u

uint32_t
trn_manifest_parts (uint64_t size)
{
    assert (size <= TRN_LARGE_MAX);
    return (uint32_t) ((size + TRN_LARGE_PART - 1) / TRN_LARGE_PART);
}

uint32_t
trn_manifest_part_size (const trn_manifest_t *self, uint32_t part)
{
    const uint64_t offset = (uint64_t) part * TRN_LARGE_PART;
    assert (offset < self->size);
    const uint64_t left = self->size - offset;
    return (uint32_t) (left < TRN_LARGE_PART ? left : TRN_LARGE_PART);
}

uint64_t
trn_part_sum (const void *bytes, size_t size)
{
    return XXH3_64bits (bytes, size);
}

bool
trn_manifest_fits (const trn_manifest_t *self, uint32_t part, const void *bytes,
                   size_t size)
{
    return size == trn_manifest_part_size (self, part)
           && trn_part_sum (bytes, size)
                  == trn_get_u64 (self->sums + part * TRN_SUM_SIZE);
}

//  What the property says: size and number.
static bool
s_read_named (const trn_props_t *props, uint64_t *size_p, uint64_t *id_p)
{
    trn_prop_t prop;
    if (!trn_props_find (props, trn_text (TRN_OWN_LARGE), &prop)
        || prop.kind != TRN_PROP_BYTES || prop.bytes_size != NAMED_SIZE) {
        return false;
    }
    *size_p = trn_get_u64 (prop.bytes);
    *id_p = trn_get_u64 (prop.bytes + 8);
    return *size_p >= 1 && *size_p <= TRN_LARGE_MAX && *id_p != 0;
}

uint64_t
trn_manifest_size (const trn_props_t *props)
{
    uint64_t size = 0;
    uint64_t id = 0;
    return s_read_named (props, &size, &id) ? size : 0;
}

bool
trn_manifest_read (const trn_record_t *record, trn_manifest_t *manifest)
{
    assert (record && manifest);
    trn_props_t props;
    *manifest = (trn_manifest_t) {.sums = record->body};
    return (record->flags & TRN_RECORD_LARGE)
           && trn_props_open (&props, record->props, record->props_size)
                  == TERN_OK
           && s_read_named (&props, &manifest->size, &manifest->id)
           && record->body_size
                  == trn_manifest_parts (manifest->size) * TRN_SUM_SIZE;
}

int
trn_manifest_name (trn_propset_t *props, uint64_t size, uint64_t id)
{
    assert (props && size >= 1 && size <= TRN_LARGE_MAX && id);
    uint8_t named[NAMED_SIZE];
    trn_put_u64 (named, size);
    trn_put_u64 (named + 8, id);
    return trn_propset_bytes (props, trn_text (TRN_OWN_LARGE), named,
                              sizeof named);
}
