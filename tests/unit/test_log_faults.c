//  tests/unit/test_log_faults.c - the n-th call of the disk fails
//
//  Rules L11, L13, L16 to L18.  One script, run again and again: in the n-th
//  run the n-th call of one kind fails, once or for ever.  Every call of the
//  log then succeeds or says a listed error; after it the process is killed, or
//  the power fails, and what was confirmed is all there.
//
//  SPDX-License-Identifier: MPL-2.0

#include "support/disk_log.h"
#include "support/effort.h"

#include <tern/error.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static unsigned s_injections;

static bool
s_listed (int rc)
{
    return rc >= 0 || rc == TERN_EIO || rc == TERN_EFULL || rc == TERN_EAGAIN
           || rc == TERN_EACCESS || rc == TERN_ENOENT;
}

//  The script goes on through errors as an owner would; a log that has failed
//  is left, one whose disk is full is tried again.
static void
s_script (trn_disk_log_t *self, bool *confirmed_p)
{
    *confirmed_p = false;
    int rc = trn_disk_log_open (self);
    TRN_REQUIRE (self, s_listed (rc));
    for (unsigned step = 0; step < 70 && self->log; step++) {
        rc = trn_disk_log_step (self);
        TRN_REQUIRE (self, s_listed (rc));
        if (self->log && trn_log_status (self->log) == TERN_EIO) {
            //  Failed once is failed for good.
            TRN_REQUIRE (self, trn_disk_log_append (self, 10) == TERN_EIO);
            TRN_REQUIRE (self, trn_log_write (self->log) == TERN_EIO);
            TRN_REQUIRE (self, trn_log_sync (self->log) == TERN_EIO);
            char why[128];
            trn_log_failure (self->log, why, sizeof why);
            TRN_REQUIRE (self, why[0] != 0);
            return;
        }
    }
    if (self->log) {
        rc = trn_disk_log_close (self);
        *confirmed_p = rc == 0;
        TRN_REQUIRE (self, s_listed (rc));
    }
}

//  One run.  Says whether the planned call was reached at all.
static bool
s_inject (uint64_t seed, const trn_disk_fault_t *fault, bool power)
{
    static const trn_disk_fault_t none;
    trn_disk_log_t *self = trn_disk_log_new (seed);
    trn_disk_log_vary_retention (self);
    snprintf (self->why, sizeof self->why, "%s", "");
    trn_disk_faulty_plan (self->disk, fault);
    bool confirmed = false;
    s_script (self, &confirmed);
    const bool hit = trn_disk_faulty_hits (self->disk) > 0;
    trn_disk_faulty_plan (self->disk, &none);

    trn_disk_log_kill (self);
    TRN_REQUIRE (self, trn_disk_log_open (self) == 0);
    if (power) {
        //  What this opening saw must be durable, also when it came from a
        //  page cache that a failed sync had left behind.
        trn_disk_log_crash (self, seed + fault->nth);
        TRN_REQUIRE (self, trn_disk_log_open (self) == 0);
    }
    TRN_REQUIRE (self, trn_log_write (self->log) >= 0);
    TRN_REQUIRE (self, trn_disk_log_append (self, 100) == 0);
    TRN_REQUIRE (self, trn_log_write (self->log) >= 0);
    TRN_REQUIRE (self, trn_disk_log_sync (self) >= 0);
    TRN_REQUIRE (self, trn_disk_log_close (self) == 0);
    TRN_REQUIRE (self, trn_disk_log_open (self) == 0);
    TRN_REQUIRE (self, self->report.clean);
    trn_disk_log_destroy (&self);
    s_injections++;
    return hit;
}

static void
s_sweep (int error, bool forever)
{
    const uint64_t seeds = test_effort (14, 2);
    for (trn_disk_call_t call = TRN_CALL_ANY; call < TRN_CALLS; call++) {
        for (uint64_t seed = 1; seed <= seeds; seed++) {
            trn_disk_fault_t fault
                = {.call = call, .nth = 1, .forever = forever, .error = error};
            while (s_inject (seed, &fault, fault.nth % 2)) {
                fault.nth++;
            }
        }
    }
}

static void
test_an_io_error_ends_cleanly (void **state)
{
    (void) state;
    s_sweep (EIO, false);
    s_sweep (EIO, true);
}

static void
test_a_full_disk_ends_cleanly (void **state)
{
    (void) state;
    s_sweep (ENOSPC, false);
    s_sweep (ENOSPC, true);
    s_sweep (EDQUOT, false);
}

static void
test_too_many_files_and_no_right_end_cleanly (void **state)
{
    (void) state;
    s_sweep (EMFILE, false);
    s_sweep (EROFS, true);
}

static void
test_an_interrupted_call_is_made_again (void **state)
{
    (void) state;
    s_sweep (EINTR, false);
}

static void
test_a_short_read_or_write_is_gone_on_with (void **state)
{
    (void) state;
    s_sweep (0, false);
    s_sweep (0, true);
}

//  L16: a sync that failed once and would succeed the next time proves nothing.
static void
test_a_failed_sync_is_never_taken_back (void **state)
{
    (void) state;
    static const trn_disk_fault_t none;
    trn_disk_log_t *self = trn_disk_log_new (77);
    trn_disk_faulty_plan (self->disk, &none);
    TRN_REQUIRE (self, trn_disk_log_open (self) == 0);
    TRN_REQUIRE (self, trn_disk_log_append (self, 3000) == 0);
    TRN_REQUIRE (self, trn_log_write (self->log) >= 0);
    const trn_disk_fault_t once
        = {.call = TRN_CALL_FDATASYNC, .nth = 1, .error = EIO};
    trn_disk_faulty_plan (self->disk, &once);
    TRN_REQUIRE (self, trn_disk_log_sync (self) == TERN_EIO);
    TRN_REQUIRE (self, self->synced == 0);
    TRN_REQUIRE (self, trn_disk_log_sync (self) == TERN_EIO);
    TRN_REQUIRE (self, self->synced == 0);
    TRN_REQUIRE (self,
                 trn_disk_faulty_calls (self->disk, TRN_CALL_FDATASYNC) == 1);
    trn_disk_log_destroy (&self);
}

//  A log whose next record is written, and synced as one of many.
static void
s_write_for_many (trn_disk_log_t *self)
{
    if (!self->log) {
        TRN_REQUIRE (self, trn_disk_log_open (self) == 0);
    }
    TRN_REQUIRE (self, trn_disk_log_append (self, 300) == 0);
    TRN_REQUIRE (self, trn_log_write (self->log) >= 0);
    self->syncs = 1;
}

//  What syncs many at once may not be there, or fail because of another's file.
static void
test_what_could_not_be_synced_at_once_is_synced_by_itself (void **state)
{
    (void) state;
    trn_disk_log_t *self = trn_disk_log_new (78);
    const trn_disk_fault_t never = {.call = TRN_CALL_SYNC_FILES,
                                    .nth = 1,
                                    .forever = true,
                                    .error = EOPNOTSUPP};
    s_write_for_many (self);
    TRN_REQUIRE (self, trn_disk_log_sync (self) == 1);
    TRN_REQUIRE (self, self->synced == self->appended);
    s_write_for_many (self);
    trn_disk_faulty_plan (self->disk, &never);
    TRN_REQUIRE (self, trn_disk_log_sync (self) == 1);
    TRN_REQUIRE (self, self->synced == self->appended);
    TRN_REQUIRE (self, trn_disk_faulty_hits (self->disk) == 1);
    TRN_REQUIRE (self,
                 trn_disk_faulty_calls (self->disk, TRN_CALL_FDATASYNC) == 1);
    //  Nothing was written since: nothing is synced.
    self->syncs = 1;
    TRN_REQUIRE (self, trn_disk_log_sync (self) == 0);
    TRN_REQUIRE (self,
                 trn_disk_faulty_calls (self->disk, TRN_CALL_FDATASYNC) == 1);
    trn_disk_log_destroy (&self);
}

static void
s_lose_when_many_are_synced (trn_disk_call_t call)
{
    trn_disk_log_t *self = trn_disk_log_new (79);
    const trn_disk_fault_t once = {.call = call, .nth = 1, .error = EIO};
    s_write_for_many (self);
    trn_disk_faulty_plan (self->disk, &once);
    TRN_REQUIRE (self, trn_disk_log_sync (self) == TERN_EIO);
    TRN_REQUIRE (self, self->synced == 0);
    trn_disk_log_destroy (&self);
}

//  Said at once of the file that lost something, or by the file itself, later.
static void
test_what_was_lost_when_many_were_synced_ends_the_log (void **state)
{
    (void) state;
    s_lose_when_many_are_synced (TRN_CALL_SYNC_OF_MANY);
    s_lose_when_many_are_synced (TRN_CALL_SYNC_FILES);
}

static void
test_how_many_faults_were_injected (void **state)
{
    (void) state;
    print_message ("# %u runs with a planned fault\n", s_injections);
    assert_true (s_injections > 1000);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_an_io_error_ends_cleanly),
        cmocka_unit_test (test_a_full_disk_ends_cleanly),
        cmocka_unit_test (test_too_many_files_and_no_right_end_cleanly),
        cmocka_unit_test (test_an_interrupted_call_is_made_again),
        cmocka_unit_test (test_a_short_read_or_write_is_gone_on_with),
        cmocka_unit_test (test_a_failed_sync_is_never_taken_back),
        cmocka_unit_test (
            test_what_could_not_be_synced_at_once_is_synced_by_itself),
        cmocka_unit_test (
            test_what_was_lost_when_many_were_synced_ends_the_log),
        cmocka_unit_test (test_how_many_faults_were_injected),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
