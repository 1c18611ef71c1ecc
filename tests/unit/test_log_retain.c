//  tests/unit/test_log_retain.c - settled messages that are kept for replay
//
//  Rule L24 with retention: what is retained goes by age, by size or because
//  somebody needs the space, and never before STATE says so.  What retention
//  does at a crash and under faults is the business of test_log_crash and
//  test_log_faults, half of whose seeds retain.
//
//  SPDX-License-Identifier: MPL-2.0

#include "support/disk_log.h"

#include <tern/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static uint64_t s_wall_ms;

static uint64_t
s_wall_us (void)
{
    return s_wall_ms * 1000;
}

//  Records of 144 bytes, stamped 1, 2, 3 … ms, in segments of 4 to 16 KiB.
static trn_disk_log_t *
s_log (unsigned count, uint64_t retain_ms, uint64_t retain_bytes)
{
    static const trn_disk_fault_t none;
    trn_disk_log_t *const self = trn_disk_log_new (1);
    trn_disk_faulty_plan (self->disk, &none);
    self->config.reserve = 100000;
    self->config.retain_ms = retain_ms;
    self->config.retain_bytes = retain_bytes;
    assert_int_equal (trn_disk_log_open (self), 0);
    for (unsigned i = 0; i < count; i++) {
        int rc = trn_disk_log_append (self, 100);
        while (rc == TERN_EAGAIN) {
            assert_true (trn_log_write (self->log) >= 0);
            assert_true (trn_disk_log_sync (self) >= 0);
            rc = trn_disk_log_append (self, 100);
        }
        assert_int_equal (rc, 0);
    }
    assert_true (trn_log_write (self->log) >= 0);
    assert_true (trn_disk_log_sync (self) >= 0);
    return self;
}

static uint64_t
s_first (trn_disk_log_t *self)
{
    const uint64_t first = trn_log_first_retained (self->log);
    trn_log_stats_t stats;
    trn_log_stats (self->log, &stats);
    assert_int_equal (first, stats.first_seq);
    return first;
}

static int
s_read (trn_disk_log_t *self, uint64_t seq)
{
    trn_chunk_t *chunk = NULL;
    const int rc = trn_log_read (self->log, seq, 0, &chunk);
    if (rc == 0) {
        assert_int_equal (chunk->first_seq, seq);
    }
    trn_chunk_release (&chunk);
    return rc;
}

static void
test_by_size_the_newest_settled_ones_stay (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_log (2000, 0, 64 * 1024);
    assert_int_equal (trn_disk_log_save (self, 1500), 0);
    const uint64_t first = s_first (self);
    //  As many segments as fit: the largest has 16 KiB.
    assert_in_range ((1500 - first) * 144, 48 * 1024 - 16 * 1024,
                     64 * 1024 + 16 * 1024);
    assert_int_equal (s_read (self, first), 0);
    assert_int_equal (s_read (self, first - 1), TERN_ENOENT);
    assert_int_equal (trn_log_floor (self->log), first);

    //  The same after both kinds of an end.
    trn_disk_log_crash (self, 5);
    assert_int_equal (trn_disk_log_open (self), 0);
    assert_int_equal (s_first (self), first);
    assert_int_equal (trn_log_floor (self->log), first);
    assert_int_equal (trn_disk_log_close (self), 0);
    assert_int_equal (trn_disk_log_open (self), 0);
    assert_int_equal (s_read (self, first), 0);
    trn_disk_log_destroy (&self);
}

static void
test_by_age_the_old_ones_go (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_log (2000, 500, 0);
    assert_int_equal (trn_disk_log_save (self, 1900), 0);
    //  The newest stamp is the time, when there is no clock.
    uint64_t first = s_first (self);
    assert_in_range (first, 1500 - 16 * 1024 / 144, 1500);
    trn_disk_log_destroy (&self);

    self = s_log (2000, 500, 0);
    self->config.wall_us = s_wall_us;
    assert_int_equal (trn_disk_log_close (self), 0);
    assert_int_equal (trn_disk_log_open (self), 0);
    s_wall_ms = 2100;
    assert_int_equal (trn_disk_log_save (self, 1900), 0);
    first = s_first (self);
    assert_in_range (first, 1600 - 16 * 1024 / 144, 1600);
    s_wall_ms = 1000;  //  a clock that goes back takes nothing
    assert_int_equal (trn_disk_log_save (self, 1900), 0);
    assert_int_equal (s_first (self), first);
    s_wall_ms = 1000000;
    assert_int_equal (trn_disk_log_save (self, 1900), 0);
    assert_in_range (s_first (self), 1900 - 16 * 1024 / 144, 1900);
    trn_disk_log_destroy (&self);
}

static void
test_with_both_the_stricter_one_counts (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_log (2000, 500, 1000000);
    assert_int_equal (trn_disk_log_save (self, 1900), 0);
    assert_in_range (s_first (self), 1500 - 16 * 1024 / 144, 1500);
    trn_disk_log_destroy (&self);
    self = s_log (2000, 1900, 32 * 1024);
    assert_int_equal (trn_disk_log_save (self, 1900), 0);
    assert_true (s_first (self) > 1500);
    trn_disk_log_destroy (&self);
}

static void
test_what_is_not_settled_stays_whatever_its_age (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_log (2000, 1, 1);
    assert_int_equal (trn_disk_log_save (self, 300), 0);
    assert_in_range (s_first (self), 300 - 16 * 1024 / 144, 300);
    assert_int_equal (s_read (self, 300), 0);
    trn_disk_log_destroy (&self);
}

//  A subscription may begin in what is retained, and that lasts.
static void
test_low_may_go_back_to_what_is_retained (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_log (1000, 0, 64 * 1024);
    assert_int_equal (trn_disk_log_save (self, 1001), 0);
    const uint64_t from = s_first (self) + 7;
    assert_int_equal (trn_disk_log_save (self, from), 0);
    trn_log_retain (self->log, 0, 0);
    assert_int_equal (trn_disk_log_save (self, from), 0);
    assert_int_equal (s_read (self, from), 0);
    trn_disk_log_crash (self, 9);
    self->config.retain_bytes = 0;
    assert_int_equal (trn_disk_log_open (self), 0);
    assert_int_equal (s_read (self, from), 0);
    //  Without retention it does not.
    assert_int_equal (trn_disk_log_save (self, 1001), 0);
    self->saved_low = 1001;
    assert_int_equal (trn_disk_log_save (self, 1), 0);
    assert_true (s_first (self) > from);
    trn_disk_log_destroy (&self);
}

//  An owner reads in its saved state what it retains.
static void
test_retention_may_be_said_after_opening (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_log (1000, 0, 64 * 1024);
    assert_int_equal (trn_disk_log_save (self, 1000), 0);
    const uint64_t first = s_first (self);
    assert_true (first < 800);
    assert_int_equal (trn_disk_log_close (self), 0);
    self->config.retain_bytes = 0;
    assert_int_equal (trn_disk_log_open (self), 0);
    assert_int_equal (trn_log_floor (self->log), 1000);
    trn_log_retain (self->log, 0, 64 * 1024);
    assert_int_equal (trn_log_floor (self->log), first);
    assert_int_equal (trn_disk_log_save (self, 1000), 0);
    assert_int_equal (s_first (self), first);
    trn_disk_log_destroy (&self);
}

//  Space for what comes is worth more than what was settled.
static void
test_a_full_disk_takes_what_is_retained_first (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_log (2000, 0, 1000000);
    assert_int_equal (trn_disk_log_save (self, 1500), 0);
    assert_int_equal (s_first (self), 1);
    const uint64_t used = trn_disk_memory_used (self->memory);
    trn_disk_memory_limit (self->memory, used + 4096);
    for (unsigned i = 0; i < 1200; i++) {
        int rc = trn_disk_log_append (self, 100);
        for (unsigned tries = 0; rc == TERN_EAGAIN && tries < 4; tries++) {
            assert_true (trn_log_write (self->log) >= 0);
            assert_true (trn_disk_log_sync (self) >= 0);
            rc = trn_disk_log_append (self, 100);
        }
        assert_int_equal (rc, 0);
    }
    assert_int_equal (trn_log_status (self->log), 0);
    assert_in_range (s_first (self), 2, 1500);
    //  What waits is all there; in the end there is nothing more to give.
    trn_disk_log_crash (self, 11);
    assert_int_equal (trn_disk_log_open (self), 0);
    assert_int_equal (s_read (self, 1500), 0);
    while (trn_log_yield (self->log) > 0) {
    }
    assert_in_range (s_first (self), 1500 - 16 * 1024 / 144, 1500);
    assert_int_equal (s_read (self, 1500), 0);
    trn_disk_log_destroy (&self);
}

static uint64_t
s_find (trn_disk_log_t *self, uint64_t ms)
{
    uint64_t seq = 0;
    assert_int_equal (trn_log_find_time (self->log, ms * 1000, &seq), 0);
    return seq;
}

static void
test_a_time_is_found_in_one_segment (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_log (2000, 0, 100 * 1024);
    for (unsigned round = 0; round < 2; round++) {
        for (uint64_t ms = 1; ms <= 2000; ms += 7) {
            assert_int_equal (s_find (self, ms), ms);
        }
        assert_int_equal (s_find (self, 0), 1);
        assert_int_equal (trn_disk_log_close (self), 0);
        assert_int_equal (trn_disk_log_open (self), 0);
    }
    assert_int_equal (s_find (self, 2001), 2001);
    //  In memory as well.
    assert_int_equal (trn_disk_log_append (self, 10), 0);
    assert_int_equal (trn_disk_log_append (self, 10), 0);
    assert_int_equal (s_find (self, 2001), 2001);
    assert_int_equal (s_find (self, 2002), 2002);
    assert_int_equal (s_find (self, 9999), 2003);
    //  Before what is retained there is the first that is.
    assert_true (trn_log_write (self->log) >= 0);
    assert_true (trn_disk_log_sync (self) >= 0);
    assert_int_equal (trn_disk_log_save (self, 1900), 0);
    const uint64_t first = s_first (self);
    assert_true (first > 2);
    assert_int_equal (s_find (self, 2), first);
    assert_int_equal (s_find (self, first + 3), first + 3);
    trn_disk_log_destroy (&self);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_by_size_the_newest_settled_ones_stay),
        cmocka_unit_test (test_by_age_the_old_ones_go),
        cmocka_unit_test (test_with_both_the_stricter_one_counts),
        cmocka_unit_test (test_what_is_not_settled_stays_whatever_its_age),
        cmocka_unit_test (test_low_may_go_back_to_what_is_retained),
        cmocka_unit_test (test_retention_may_be_said_after_opening),
        cmocka_unit_test (test_a_full_disk_takes_what_is_retained_first),
        cmocka_unit_test (test_a_time_is_found_in_one_segment),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
