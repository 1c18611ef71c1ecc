//  tests/fuzz/fuzz_frame.c - any bytes as a frame of the link
//
//  SPDX-License-Identifier: MPL-2.0

#include "fuzz.h"

#include "wire/frame.h"

#include <tern/error.h>

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    static trn_frame_t frame;
    static uint8_t once[TRN_CONTROL_MAX], twice[TRN_CONTROL_MAX];
    const int rc = trn_frame_decode (&frame, data, size);
    assert (rc == 0 || rc == TERN_EPROTO || rc == TERN_ETOOBIG
            || rc == TERN_EVERSION);
    if (rc) {
        return 0;
    }

    //  What was understood is the same when it is said again.
    assert (trn_frame_name (frame.type)[0] != '?');
    const size_t first = trn_frame_encode (&frame, once, sizeof once);
    assert (trn_frame_decode (&frame, once, first) == 0);
    const size_t second = trn_frame_encode (&frame, twice, sizeof twice);
    assert (first == second && memcmp (once, twice, first) == 0);
    return 0;
}
