//  support/no_runs.h - an engine whose outboxes cannot be read
//
//  For tests in which nothing is sent: whatever the engine asks for comes later.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TEST_NO_RUNS_H
#define TEST_NO_RUNS_H

#include "core/engine.h"

static inline trn_run_answer_t
test_no_run (void *arg, trn_outbox_id_t outbox, uint64_t seq,
             uint32_t count_max, uint32_t bytes_max, trn_engine_run_t *run)
{
    (void) arg, (void) outbox, (void) seq, (void) count_max, (void) bytes_max;
    (void) run;
    return TRN_RUN_LATER;
}

static inline void
test_no_release (void *arg, void *handle)
{
    (void) arg, (void) handle;
}

static const trn_run_source_t test_no_runs
    = {.run = test_no_run, .release = test_no_release};

#endif
