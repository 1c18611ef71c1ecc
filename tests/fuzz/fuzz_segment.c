//  tests/fuzz/fuzz_segment.c - any bytes as a segment file
//
//  The first byte chooses how much of the input is made good before recovery
//  looks at it, or no input would ever get past a checksum:
//
//      bit 0   the header is right
//      bit 1   records that could be ones get their right sums
//      bit 2   something is known to have been synced
//
//  SPDX-License-Identifier: MPL-2.0

#include "fuzz.h"

#include "store/segment.h"

#include <tern/error.h>

static const uint8_t s_uuid[16] = "0123456789abcdef";
static const trn_place_t s_place = {s_uuid, "hello", 3};

static void
s_repair_records (uint8_t *bytes, size_t size)
{
    const uint64_t seed
        = trn_record_seed (s_uuid, s_place.outbox, s_place.segment);
    static uint8_t fresh[TRN_RECORD_MAX];
    trn_record_t record;
    for (size_t at = TRN_SEGMENT_HEADER; at < size;) {
        const int step = trn_record_peek (bytes + at, size - at, &record);
        if (step <= 0) {
            return;
        }
        trn_record_write (fresh, &record, seed, (int64_t) at);
        memcpy (bytes + at, fresh, (size_t) step);
        at += (size_t) step;
    }
}

//  A visitor that trusts nothing.
static int
s_visit (void *arg, const trn_record_t *record, int64_t offset, uint32_t size)
{
    const size_t *end = arg;
    assert (offset >= TRN_SEGMENT_HEADER && offset % 8 == 0);
    assert ((uint64_t) offset + size <= *end);
    assert (size == trn_record_size (record));
    return 0;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    fuzz_input_t input = {data, size};
    const uint8_t choice = fuzz_byte (&input);
    uint8_t *bytes = malloc (input.left ? input.left : 1);
    assert (bytes);
    memcpy (bytes, input.at, input.left);
    if (choice & 1 && input.left >= TRN_SEGMENT_HEADER) {
        trn_segment_encode (bytes, &s_place, input.left, 1);
    }
    if (choice & 2) {
        s_repair_records (bytes, input.left);
    }
    uint64_t file_size = 0;
    const int head
        = trn_segment_decode (bytes, input.left, &s_place, &file_size);
    assert (head == 0 || head == TERN_ECORRUPT || head == TERN_EVERSION
            || head == TERN_ENAME);

    trn_memory_source_t memory = {bytes, input.left};
    const trn_source_t source = trn_source_memory (&memory);
    trn_walk_t walk;
    if (input.left >= TRN_SEGMENT_HEADER) {
        assert (trn_segment_walk (&source, &s_place, TRN_SEGMENT_HEADER, 0,
                                  s_visit, &input.left, &walk)
                == 0);
        assert (walk.end >= TRN_SEGMENT_HEADER
                && (uint64_t) walk.end <= input.left);
    }
    trn_tail_t tail = TRN_TAIL_CLEAN;
    const int rc = trn_segment_recover (&source, &s_place, 1,
                                        choice & 4 ? 2 : 0, &walk, &tail);
    assert (rc <= 0);
    free (bytes);
    return 0;
}
