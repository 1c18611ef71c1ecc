//  tests/unit/test_log_recover.c - what opening does with what it finds
//
//  Rules L1, L5, L7 to L9, L22, L25.  The verdict at every byte is the business
//  of test_log_sweep; here is what follows from it.
//
//  SPDX-License-Identifier: MPL-2.0

#include "base/bytes.h"
#include "store/log_state.h"
#include "store/segment.h"
#include "support/disk_log.h"

#include <tern/error.h>

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static trn_disk_log_t *
s_log_of (unsigned count, uint32_t size)
{
    trn_disk_log_t *const self = trn_disk_log_new (1);
    self->config.reserve = 1000;
    assert_int_equal (trn_disk_log_open (self), 0);
    for (unsigned i = 0; i < count; i++) {
        //  Memory may have to be written, and then a segment be made.
        int rc = TERN_EAGAIN;
        for (unsigned tries = 0; tries < 3 && rc == TERN_EAGAIN; tries++) {
            rc = trn_disk_log_append (self, size);
            if (rc == TERN_EAGAIN) {
                assert_true (trn_log_write (self->log) >= 0);
            }
        }
        assert_int_equal (rc, 0);
    }
    assert_true (trn_log_write (self->log) >= 0);
    return self;
}

static const char *
s_path (uint64_t segment)
{
    static char path[64];
    char name[TRN_SEGMENT_NAME];
    trn_segment_name (name, segment);
    snprintf (path, sizeof path, "data/%s", name);
    return path;
}

static void
s_flip (trn_disk_log_t *self, const char *path, int64_t offset)
{
    uint8_t byte = 0;
    assert_int_equal (
        trn_disk_memory_peek (self->memory, path, &byte, 1, offset), 1);
    byte ^= 4;
    assert_int_equal (
        trn_disk_memory_poke (self->memory, path, &byte, 1, offset), 0);
}

static bool
s_exists (trn_disk_log_t *self, const char *path)
{
    return trn_disk_memory_size (self->memory, path) >= 0;
}

static void
test_a_torn_tail_is_kept_aside_and_cut (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_log_of (5, 100);
    trn_disk_log_kill (self);
    //  The sixth record began to be written.
    const int64_t end = 128 + 5 * 144;
    const uint8_t begun[20] = {1, 2, 3, 4, 5, 6, 7, 8, 200};
    trn_disk_memory_poke (self->memory, s_path (1), begun, sizeof begun, end);
    assert_int_equal (trn_disk_log_open (self), 0);
    assert_int_equal (self->report.torn_bytes, 9);
    assert_int_equal (self->report.messages, 5);
    uint8_t kept[32] = {0};
    char torn[80];
    snprintf (torn, sizeof torn, "%s.torn", s_path (1));
    assert_int_equal (
        trn_disk_memory_peek (self->memory, torn, kept, sizeof kept, 0), 9);
    assert_memory_equal (kept, begun, 9);
    //  The segment has its space again.
    assert_int_equal (trn_disk_memory_size (self->memory, s_path (1)), 4096);
    assert_int_equal (trn_disk_log_append (self, 100), 0);
    trn_disk_log_destroy (&self);
}

static void
s_add_more (trn_disk_log_t *self, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        while (trn_disk_log_append (self, i % 90) == TERN_EAGAIN) {
            assert_true (trn_log_write (self->log) >= 0);
            assert_true (trn_disk_log_sync (self) >= 0);
        }
    }
    assert_true (trn_log_write (self->log) >= 0);
}

//  Every opening compares what it was told with what was appended.
static void
test_opening_tells_of_each_message_with_rules_in_order (void **state)
{
    (void) state;
    trn_disk_log_t *self = trn_disk_log_new (7);
    self->config.reserve = 5000;
    assert_int_equal (trn_disk_log_open (self), 0);
    s_add_more (self, 8000);
    assert_true (trn_disk_log_sync (self) >= 0);
    trn_disk_log_kill (self);
    assert_int_equal (trn_disk_log_open (self), 0);
    assert_false (self->report.clean);
    assert_in_range (self->ruled_count, 1500, 2500);

    //  Behind a gap, with a low in the middle of a segment and a torn tail.
    s_add_more (self, 4000);
    assert_int_equal (trn_disk_log_save (self, 4001), 0);
    trn_disk_log_crash (self, 3);
    assert_int_equal (trn_disk_log_open (self), 0);
    assert_true (self->report.first_seq < 4001);
    assert_in_range (self->ruled_count, 900, 2500);
    s_add_more (self, 100);
    assert_int_equal (trn_disk_log_close (self), 0);
    assert_int_equal (trn_disk_log_open (self), 0);
    assert_true (self->report.clean);
    assert_in_range (self->ruled_count, 900, 2500);

    //  All settled: none is left.
    assert_int_equal (trn_disk_log_save (self, self->appended + 1), 0);
    assert_int_equal (trn_disk_log_close (self), 0);
    assert_int_equal (trn_disk_log_open (self), 0);
    assert_int_equal (self->ruled_count, 0);
    trn_disk_log_destroy (&self);
}

static void
test_only_the_newest_four_torn_tails_are_kept (void **state)
{
    (void) state;
    trn_disk_log_t *self = trn_disk_log_new (1);
    self->config.reserve = 1000;
    assert_int_equal (trn_disk_log_open (self), 0);
    for (unsigned i = 0; i < 7; i++) {
        trn_log_stats_t stats;
        do {
            (void) trn_disk_log_append (self, 3000);
            assert_true (trn_log_write (self->log) >= 0);
            trn_log_stats (self->log, &stats);
        } while (stats.segments < i + 2);
        assert_true (trn_disk_log_sync (self) >= 0);
        const uint64_t last = stats.segments;
        trn_disk_log_kill (self);
        const uint8_t junk = 7;
        trn_disk_memory_poke (self->memory, s_path (last), &junk, 1, 4000);
        assert_int_equal (trn_disk_log_open (self), 0);
    }
    unsigned kept = 0;
    for (uint64_t segment = 1; segment < 20; segment++) {
        char torn[80];
        snprintf (torn, sizeof torn, "%s.torn", s_path (segment));
        kept += s_exists (self, torn);
    }
    assert_in_range (kept, 1, 4);
    trn_disk_log_destroy (&self);
}

//  L7, L9.  Also finds the planted bug of cutting at the first bad record.
static void
test_damage_in_synced_records_refuses_and_says_where (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_log_of (5, 100);
    assert_true (trn_disk_log_sync (self) >= 0);
    assert_int_equal (trn_disk_log_append (self, 100), 0);
    assert_true (trn_log_write (self->log) >= 0);
    trn_disk_log_kill (self);
    const int64_t third = 128 + 2 * 144;
    s_flip (self, s_path (1), third + 60);
    uint8_t before[4096];
    trn_disk_memory_peek (self->memory, s_path (1), before, 4096, 0);

    assert_int_equal (trn_disk_log_open (self), TERN_ECORRUPT);
    assert_int_equal (self->report.segment, 1);
    assert_int_equal (self->report.offset, third);
    assert_int_equal (self->report.last_good_seq, 2);
    assert_int_equal (self->report.durable_seq, 5);
    assert_non_null (strstr (self->why, "outbox outbox: damage in segment"));
    uint8_t after[4096];
    trn_disk_memory_peek (self->memory, s_path (1), after, 4096, 0);
    assert_memory_equal (before, after, 4096);
    trn_disk_log_destroy (&self);
}

static void
test_a_hole_before_unsynced_records_is_torn (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_log_of (12, 400);
    trn_disk_log_kill (self);
    //  None was synced.  The second sector never reached the disk.
    static const uint8_t zeros[512];
    trn_disk_memory_poke (self->memory, s_path (1), zeros, 512, 512);
    assert_int_equal (trn_disk_log_open (self), 0);
    assert_int_equal (self->report.messages, 0);
    assert_true (self->report.torn_bytes > 2000);
    trn_disk_log_destroy (&self);
}

//  The second segment never reached the disk, of the third a part: the log goes
//  on in the third, and the one before stays empty.
static void
test_what_follows_an_empty_segment_is_found (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_log_of (25, 900);
    trn_disk_log_kill (self);
    static const uint8_t zeros[16384];
    assert_int_equal (trn_disk_memory_poke (self->memory, s_path (2), zeros,
                                            sizeof zeros - 128, 128),
                      0);
    assert_int_equal (
        trn_disk_memory_poke (self->memory, s_path (3), zeros, 512, 512), 0);
    assert_int_equal (trn_disk_log_open (self), 0);
    assert_int_equal (self->report.messages, 4);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal (trn_disk_log_append (self, 900), 0);
    }
    assert_true (trn_log_write (self->log) >= 0);
    assert_true (trn_disk_log_sync (self) > 0);
    trn_chunk_t *chunk = NULL;
    assert_int_equal (trn_log_read (self->log, self->appended, 0, &chunk), 0);
    trn_chunk_release (&chunk);
    //  Opening reads each one.
    trn_disk_log_kill (self);
    assert_int_equal (trn_disk_log_open (self), 0);
    assert_int_equal (self->report.messages, 7);
    trn_disk_log_destroy (&self);
}

//  L3: a record that was valid at another offset is nothing here.  Finds the
//  planted bug of a checksum that leaves the offset out.
static void
test_a_record_inside_a_message_is_no_witness (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_log_of (2, 100);
    uint8_t copy[64] = {0};
    const trn_record_t other
        = {.kind = TRN_RECORD_MESSAGE, .seq = 5, .body = copy, .body_size = 0};
    trn_record_write (copy, &other,
                      trn_record_seed (self->config.store_uuid, "outbox", 1),
                      2048);
    trn_record_t record = {.body = copy, .body_size = sizeof copy};
    uint64_t seq = 0;
    assert_int_equal (trn_log_append (self->log, &record, &seq), 0);
    assert_true (trn_log_write (self->log) >= 0);
    trn_disk_log_kill (self);
    s_flip (self, s_path (1), 128 + 2 * 144);
    assert_int_equal (trn_disk_log_open (self), 0);
    assert_int_equal (self->report.messages, 2);
    assert_in_range (self->report.torn_bytes, 41, 104);
    trn_disk_log_destroy (&self);
}

static void
test_damage_after_a_proper_close_is_never_cut (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_log_of (5, 100);
    assert_int_equal (trn_disk_log_close (self), 0);
    s_flip (self, s_path (1), 128 + 4 * 144 + 60);
    assert_int_equal (trn_disk_log_open (self), TERN_ECORRUPT);
    assert_int_equal (self->report.last_good_seq, 4);
    trn_disk_log_destroy (&self);

    self = s_log_of (5, 100);
    assert_int_equal (trn_disk_log_close (self), 0);
    const uint8_t junk = 1;
    trn_disk_memory_poke (self->memory, s_path (1), &junk, 1, 4000);
    assert_int_equal (trn_disk_log_open (self), TERN_ECORRUPT);
    trn_disk_log_destroy (&self);
}

static void
test_a_missing_segment_refuses (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_log_of (60, 900);
    assert_true (trn_disk_log_sync (self) >= 0);
    assert_int_equal (trn_disk_log_close (self), 0);
    assert_true (s_exists (self, s_path (3)));
    trn_disk_t *const disk = self->memory;
    const int root = disk->open_root (disk, "data", 0);
    assert_int_equal (disk->unlink (disk, root, "seg-0000000000000002"), 0);
    assert_int_equal (trn_disk_log_open (self), TERN_ECORRUPT);
    assert_int_equal (self->report.segment, 2);
    trn_disk_log_destroy (&self);
}

static void
test_the_missing_last_segment_refuses (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_log_of (8, 900);
    assert_int_equal (trn_disk_log_close (self), 0);
    trn_disk_t *const disk = self->memory;
    const int root = disk->open_root (disk, "data", 0);
    assert_int_equal (disk->unlink (disk, root, "seg-0000000000000002"), 0);
    assert_int_equal (trn_disk_log_open (self), TERN_ECORRUPT);
    trn_disk_log_destroy (&self);
}

static void
s_put_foreign (trn_disk_log_t *self, uint64_t segment)
{
    static const uint8_t other[16] = {42};
    const trn_place_t place
        = {.store_uuid = other, .outbox = "outbox", .segment = segment};
    uint8_t header[TRN_SEGMENT_HEADER];
    trn_segment_encode (header, &place, 4096, 1);
    trn_disk_t *const disk = self->memory;
    const int root = disk->open_root (disk, "data", 0);
    char name[TRN_SEGMENT_NAME];
    trn_segment_name (name, segment);
    const int file = disk->open (disk, root, name, O_RDWR | O_CREAT);
    assert_true (file >= 0);
    assert_int_equal (disk->pwrite (disk, file, header, sizeof header, 0),
                      sizeof header);
    (void) disk->close (disk, file);
    (void) disk->close (disk, root);
}

static void
test_a_foreign_segment_is_set_aside_not_deleted (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_log_of (2, 100);
    assert_int_equal (trn_disk_log_close (self), 0);
    s_put_foreign (self, 2);
    assert_int_equal (trn_disk_log_open (self), 0);
    assert_int_equal (self->report.messages, 2);
    char aside[80];
    snprintf (aside, sizeof aside, "%s.foreign", s_path (2));
    assert_true (s_exists (self, aside));
    trn_disk_log_destroy (&self);
}

static void
test_a_newer_format_is_left_alone (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_log_of (2, 100);
    assert_int_equal (trn_disk_log_close (self), 0);
    uint8_t header[TRN_SEGMENT_HEADER];
    trn_disk_memory_peek (self->memory, s_path (1), header, 128, 0);
    header[8] = 2;
    trn_disk_memory_poke (self->memory, s_path (1), header, 128, 0);
    //  A wrong sum is damage, not a version.
    assert_int_equal (trn_disk_log_open (self), TERN_ECORRUPT);
    trn_disk_log_destroy (&self);
}

static void
test_cells_that_are_gone_or_from_elsewhere_refuse (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_log_of (2, 100);
    assert_int_equal (trn_disk_log_close (self), 0);
    trn_disk_t *const disk = self->memory;
    const int root = disk->open_root (disk, "data", 0);
    assert_int_equal (disk->rename (disk, root, "STATE", "gone"), 0);
    assert_int_equal (trn_disk_log_open (self), TERN_ECORRUPT);
    assert_int_equal (disk->rename (disk, root, "gone", "STATE"), 0);
    assert_int_equal (disk->rename (disk, root, "META", "gone"), 0);
    assert_int_equal (trn_disk_log_open (self), TERN_ECORRUPT);
    assert_int_equal (disk->rename (disk, root, "gone", "META"), 0);
    self->config.store_uuid[5] = 77;
    assert_int_equal (trn_disk_log_open (self), TERN_ECORRUPT);
    self->config.store_uuid[5] = 0;
    assert_int_equal (trn_disk_log_open (self), 0);
    trn_disk_log_destroy (&self);
}

static void
test_one_bad_half_of_a_cell_is_survived (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_log_of (2, 100);
    assert_int_equal (trn_disk_log_save (self, 2), 0);
    trn_disk_log_kill (self);
    //  The older half is what a torn replace leaves behind.
    const int64_t half = trn_log_state_half ();
    uint8_t generations[2];
    trn_disk_memory_peek (self->memory, "data/STATE", &generations[0], 1, 24);
    trn_disk_memory_peek (self->memory, "data/STATE", &generations[1], 1,
                          half + 24);
    s_flip (self, "data/STATE",
            generations[0] < generations[1] ? 40 : half + 40);
    assert_int_equal (trn_disk_log_open (self), 0);
    trn_disk_log_kill (self);
    s_flip (self, "data/STATE", 41);
    s_flip (self, "data/STATE", half + 41);
    assert_int_equal (trn_disk_log_open (self), TERN_ECORRUPT);
    trn_disk_log_destroy (&self);
}

//  A store's META from a backup would use an incarnation twice (L22).
static void
test_records_of_a_later_incarnation_refuse (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_log_of (2, 100);
    assert_int_equal (trn_disk_log_close (self), 0);
    self->config.incarnation = UINT64_MAX;  //  opening adds one
    assert_int_equal (trn_disk_log_open (self), TERN_ECORRUPT);
    assert_non_null (strstr (self->why, "META is older"));
    trn_disk_log_destroy (&self);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_a_torn_tail_is_kept_aside_and_cut),
        cmocka_unit_test (
            test_opening_tells_of_each_message_with_rules_in_order),
        cmocka_unit_test (test_only_the_newest_four_torn_tails_are_kept),
        cmocka_unit_test (test_damage_in_synced_records_refuses_and_says_where),
        cmocka_unit_test (test_a_hole_before_unsynced_records_is_torn),
        cmocka_unit_test (test_what_follows_an_empty_segment_is_found),
        cmocka_unit_test (test_a_record_inside_a_message_is_no_witness),
        cmocka_unit_test (test_damage_after_a_proper_close_is_never_cut),
        cmocka_unit_test (test_a_missing_segment_refuses),
        cmocka_unit_test (test_the_missing_last_segment_refuses),
        cmocka_unit_test (test_a_foreign_segment_is_set_aside_not_deleted),
        cmocka_unit_test (test_a_newer_format_is_left_alone),
        cmocka_unit_test (test_cells_that_are_gone_or_from_elsewhere_refuse),
        cmocka_unit_test (test_one_bad_half_of_a_cell_is_survived),
        cmocka_unit_test (test_records_of_a_later_incarnation_refuse),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
