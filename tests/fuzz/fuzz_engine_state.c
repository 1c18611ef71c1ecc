//  tests/fuzz/fuzz_engine_state.c - any bytes as the saved state of an outbox
//
//  The first byte says whether the outbox was closed properly and how many
//  messages its log has.
//
//  SPDX-License-Identifier: MPL-2.0

#include "fuzz.h"

#include "base/memory.h"
#include "core/engine.h"
#include "support/no_runs.h"

#include <tern/error.h>

static trn_engine_t *
s_engine (void)
{
    const trn_engine_config_t config
        = {.name = "fuzz", .incarnation = 1, .random = 2, .seed = 3};
    return trn_engine_new (&config, &test_no_runs);
}

//  Load a state into a fresh engine; returns what add_outbox () said.
static int
s_load (trn_engine_t *engine, uint64_t high, bool clean, const uint8_t *bytes,
        size_t size)
{
    const trn_ranges_t gaps = {0};
    trn_outbox_id_t outbox = 0;
    const int rc = trn_engine_add_outbox (engine, "hello", "hello", high, &gaps,
                                          clean, bytes, size, &outbox);
    assert (rc == 0 || rc == TERN_EVERSION || rc == TERN_ECORRUPT);
    return rc;
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    fuzz_input_t input = {data, size};
    const uint8_t choice = fuzz_byte (&input);
    const bool clean = choice & 1;
    const uint64_t high = choice & 128 ? TRN_SEQ_MAX / 2 : choice / 2;
    trn_engine_t *engine = s_engine ();
    if (s_load (engine, high, clean, input.at, input.left) == 0) {
        //  What was understood can be saved and loaded again.
        while (trn_engine_action (engine)) {
        }
        trn_engine_on_tick (engine, 100000);
        while (trn_engine_action (engine)) {
        }
        static uint8_t saved[TRN_STATE_MAX];
        uint64_t low = 0;
        uint64_t stamp = 0;
        const size_t saved_size = trn_engine_state (engine, 1, false, saved,
                                                    sizeof saved, &low, &stamp);
        assert (saved_size <= sizeof saved);
        trn_engine_t *again = s_engine ();
        assert (s_load (again, high, clean, saved, saved_size) == 0);
        trn_engine_destroy (&again);
    }
    trn_engine_destroy (&engine);
    return 0;
}
