//  tests/fuzz/fuzz_manifest.c - any bytes as the manifest of a large message
//
//  The first byte is the record's flags, the next two say how many bytes are
//  its properties; the rest is its body.
//
//  SPDX-License-Identifier: MPL-2.0

#include "fuzz.h"

#include "peer/ruling.h"
#include "wire/manifest.h"

#include <tern/error.h>

//  A copy of these bytes alone, so that what reads behind them is seen.
static uint8_t *
s_copy (const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc (size ? size : 1);
    assert (copy);
    if (size) {
        memcpy (copy, bytes, size);
    }
    return copy;
}

//  Its parts make up the body, and each has its sum within the record.
static void
s_check_parts (const trn_record_t *record, const trn_manifest_t *manifest)
{
    static uint8_t zeros[TRN_LARGE_PART];
    const uint32_t parts = trn_manifest_parts (manifest->size);
    uint64_t size = 0;
    assert (manifest->sums == record->body);
    assert (parts >= 1 && parts <= TRN_PARTS_OF_LARGE);
    assert (record->body_size == parts * TRN_SUM_SIZE);
    for (uint32_t part = 0; part < parts; part++) {
        const uint32_t one = trn_manifest_part_size (manifest, part);
        assert (one >= 1 && one <= TRN_LARGE_PART);
        assert (one == TRN_LARGE_PART || part == parts - 1);
        size += one;
        assert (!trn_manifest_fits (manifest, part, zeros, one - 1));
    }
    assert (size == manifest->size);
    const uint32_t last = trn_manifest_part_size (manifest, parts - 1);
    (void) trn_manifest_fits (manifest, parts - 1, zeros, last);
}

//  Named anew, as salvage does, it says just that.
static void
s_check_renamed (const trn_record_t *record, const trn_manifest_t *manifest)
{
    const uint64_t id = manifest->id == UINT64_MAX ? 1 : manifest->id + 1;
    trn_propset_t set = {0};
    trn_props_t props;
    trn_prop_t prop;
    assert (trn_props_open (&props, record->props, record->props_size) == 0);
    int rc = 0;
    while (rc == 0 && trn_props_next (&props, &prop)) {
        rc = trn_propset_add (&set, &prop);
    }
    rc = rc ? rc : trn_manifest_name (&set, manifest->size, id);
    if (rc == 0) {
        trn_record_t renamed = *record;
        size_t size = 0;
        renamed.props = trn_propset_map (&set, &size);
        renamed.props_size = (uint16_t) size;
        trn_manifest_t again;
        assert (trn_manifest_read (&renamed, &again));
        assert (again.size == manifest->size);
        assert (again.id == id);
    }
    trn_propset_clear (&set);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    fuzz_input_t input = {data, size};
    trn_record_t record = {.kind = TRN_RECORD_MESSAGE, .seq = 1};
    record.flags = fuzz_byte (&input);
    const size_t wanted = (size_t) fuzz_number (&input, 2);
    record.props_size = (uint16_t) (wanted < input.left ? wanted : input.left);
    record.body_size = (uint32_t) (input.left - record.props_size);
    uint8_t *props = s_copy (input.at, record.props_size);
    uint8_t *body = s_copy (input.at + record.props_size, record.body_size);
    record.props = props;
    record.body = body;

    trn_manifest_t manifest;
    trn_ruling_t ruling;
    trn_ruling_read (&record, &ruling);
    if (trn_manifest_read (&record, &manifest)) {
        assert (record.flags & TRN_RECORD_LARGE);
        assert (manifest.id && manifest.size <= TRN_LARGE_MAX);
        assert (ruling.body == manifest.id);
        assert (ruling.body_size == manifest.size);
        s_check_parts (&record, &manifest);
        s_check_renamed (&record, &manifest);
        record.flags = 0;
        assert (!trn_manifest_read (&record, &manifest));
    } else {
        assert (!ruling.body);
    }
    free (ruling.targets);
    free (props);
    free (body);
    return 0;
}
