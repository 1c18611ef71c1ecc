//  tests/fuzz/fuzz_record_run.c - any bytes as a run of records
//
//  The first byte chooses: even, the bytes are verified as they are; odd, each
//  record that could be one gets its right checksum first, or no input would
//  ever pass it.
//
//  SPDX-License-Identifier: MPL-2.0

#include "fuzz.h"

#include "wire/record.h"
#include "wire/run.h"

#include <tern/error.h>

#define OFFSET 4096

static const uint8_t s_uuid[16] = "0123456789abcdef";

//  Write every record again in its place, with its checksum.
static void
s_repair (uint8_t *bytes, size_t size)
{
    const uint64_t seed = trn_record_seed (s_uuid, "hello", 1);
    static uint8_t fresh[TRN_RECORD_MAX];
    size_t at = 0;
    trn_record_t record;
    while (at < size) {
        const int step = trn_record_peek (bytes + at, size - at, &record);
        if (step <= 0) {
            return;
        }
        trn_record_write (fresh, &record, seed, (int64_t) (OFFSET + at));
        memcpy (bytes + at, fresh, (size_t) step);
        at += (size_t) step;
    }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    fuzz_input_t input = {data, size};
    const uint8_t choice = fuzz_byte (&input);
    static trn_frame_t frame;
    frame.type = TRN_DATA;
    frame.data.segment = 1;
    frame.data.offset = OFFSET;
    frame.data.first_seq = 1;
    frame.data.count = 1 + choice / 2 % 8;

    uint8_t *bytes = malloc (input.left ? input.left : 1);
    assert (bytes);
    memcpy (bytes, input.at, input.left);
    if (choice % 2) {
        s_repair (bytes, input.left);
    }
    if (trn_run_verify (&frame, s_uuid, "hello", bytes, input.left)) {
        //  A good run is good nowhere else.
        frame.data.offset += 8;
        assert (!trn_run_verify (&frame, s_uuid, "hello", bytes, input.left));
        frame.data.offset -= 8;
        frame.data.count++;
        assert (!trn_run_verify (&frame, s_uuid, "hello", bytes, input.left));
    }
    free (bytes);
    return 0;
}
