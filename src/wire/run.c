//  wire/run.c - is what a DATA frame brings what the frame says?
//
//  This is the end of the end-to-end check: the sums compared here are those
//  that the publisher computed when it accepted the messages.
//
//  SPDX-License-Identifier: MPL-2.0

#include "wire/run.h"

#include "wire/record.h"

#include <assert.h>

bool
trn_run_verify (const trn_frame_t *frame, const uint8_t store_uuid[16],
                const char *outbox, const uint8_t *bytes, size_t size)
{
    assert (frame && frame->type == TRN_DATA);
    assert (store_uuid && outbox && (bytes || !size));
    const uint64_t seed
        = trn_record_seed (store_uuid, outbox, frame->data.segment);
    int64_t offset = (int64_t) frame->data.offset;
    size_t at = 0;
    for (uint32_t index = 0; index < frame->data.count; index++) {
        if (at == size) {
            return false;
        }
        trn_record_t record;
        const int step
            = trn_record_read (bytes + at, size - at, seed, offset, &record);
        if (step <= 0 || record.kind != TRN_RECORD_MESSAGE
            || record.seq != frame->data.first_seq + index) {
            return false;
        }
        at += (size_t) step;
        offset += step;
    }
    return at == size;
}
