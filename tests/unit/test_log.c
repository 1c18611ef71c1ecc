//  tests/unit/test_log.c - append, send, settle, limits, full disk
//
//  SPDX-License-Identifier: MPL-2.0

#include "support/disk_log.h"

#include <tern/error.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static trn_disk_log_t *
s_open_with (void (*change) (trn_log_config_t *config))
{
    static const trn_disk_fault_t none;
    trn_disk_log_t *const self = trn_disk_log_new (1);
    trn_disk_faulty_plan (self->disk, &none);
    self->config.reserve = 1000000;
    if (change) {
        change (&self->config);
    }
    assert_int_equal (trn_disk_log_open (self), 0);
    return self;
}

static void
s_fill (trn_disk_log_t *self, unsigned count, uint32_t size)
{
    for (unsigned i = 0; i < count; i++) {
        int rc = trn_disk_log_append (self, size);
        while (rc == TERN_EAGAIN) {
            assert_true (trn_log_write (self->log) >= 0);
            rc = trn_disk_log_append (self, size);
        }
        assert_int_equal (rc, 0);
    }
    assert_true (trn_log_write (self->log) >= 0);
    assert_true (trn_disk_log_sync (self) >= 0);
}

static void
s_large_segments (trn_log_config_t *config)
{
    config->segment_min = 0;
    config->segment_max = 0;
    config->unwritten_max = 0;
    config->kept_max = 0;
}

static void
test_a_run_holds_as_many_whole_records_as_fit (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_open_with (s_large_segments);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal (trn_disk_log_append (self, 60), 0);
    }
    const uint32_t size = 104;  //  40 + 60, padded to 8
    trn_run_t run;
    assert_int_equal (trn_log_run (self->log, 3, 100, 4 * size + 1, &run), 1);
    assert_int_equal (run.count, 4);
    assert_int_equal (run.size, 4 * size);
    assert_int_equal (run.first_seq, 3);
    assert_int_equal (run.segment, 1);
    assert_int_equal (run.offset, 128 + 2 * size);
    trn_chunk_release (&run.chunk);
    //  One record is always allowed.
    assert_int_equal (trn_log_run (self->log, 10, 100, 1, &run), 1);
    assert_int_equal (run.count, 1);
    assert_int_equal (run.size, size);
    trn_chunk_release (&run.chunk);
    assert_int_equal (trn_log_run (self->log, 1, 2, 100000, &run), 1);
    assert_int_equal (run.count, 2);
    trn_chunk_release (&run.chunk);
    assert_int_equal (trn_log_run (self->log, 1, 100, 100000, &run), 1);
    assert_int_equal (run.count, 10);
    trn_chunk_release (&run.chunk);
    assert_int_equal (trn_log_run (self->log, 11, 1, 1, &run), TERN_ENOENT);
    trn_disk_log_destroy (&self);
}

static void
test_a_chunk_outlives_its_log (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_open_with (s_large_segments);
    assert_int_equal (trn_disk_log_append (self, 60), 0);
    trn_run_t run;
    assert_int_equal (trn_log_run (self->log, 1, 1, 1000, &run), 1);
    trn_disk_log_destroy (&self);
    trn_record_t record;
    assert_int_equal (trn_record_peek (run.data, run.size, &record), 104);
    assert_int_equal (record.seq, 1);
    trn_chunk_release (&run.chunk);
}

static void
test_the_last_segment_grows_and_settled_ones_go (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_open_with (NULL);
    s_fill (self, 200, 500);
    trn_log_stats_t stats;
    trn_log_stats (self->log, &stats);
    assert_in_range (stats.segments, 5, 20);
    assert_int_equal (stats.first_seq, 1);
    const uint64_t before = trn_disk_memory_used (self->memory);
    const uint64_t segments_before = stats.disk_bytes;
    assert_int_equal (trn_disk_log_save (self, 150), 0);
    trn_log_stats (self->log, &stats);
    assert_in_range (stats.first_seq, 100, 150);
    assert_true (stats.disk_bytes < segments_before / 2);
    assert_int_equal (before - trn_disk_memory_used (self->memory),
                      segments_before - stats.disk_bytes);
    assert_int_equal (trn_log_floor (self->log), 150);
    trn_chunk_t *chunk = NULL;
    assert_int_equal (trn_log_read (self->log, 1, 0, &chunk), TERN_ENOENT);
    trn_disk_log_destroy (&self);
}

static void
test_memory_is_bounded_whatever_the_backlog (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_open_with (NULL);
    s_fill (self, 3000, 500);
    trn_log_stats_t stats;
    trn_log_stats (self->log, &stats);
    assert_true (stats.bytes > 1600000);
    //  kept_max, a chunk being filled, and what chunks have besides.
    assert_true (stats.memory < 3 * 32768);
    trn_run_t run;
    assert_int_equal (trn_log_run (self->log, 1, 1, 1, &run), 0);
    assert_int_equal (trn_log_run (self->log, 3000, 1, 1, &run), 1);
    trn_chunk_release (&run.chunk);
    trn_disk_log_destroy (&self);
}

static void
test_what_was_sent_leaves_memory (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_open_with (s_large_segments);
    s_fill (self, 2000, 500);
    trn_log_stats_t before;
    trn_log_stats (self->log, &before);
    trn_log_hint (self->log, 2001);
    trn_log_stats_t after;
    trn_log_stats (self->log, &after);
    assert_true (before.memory > 1000000);
    assert_true (after.memory < 700000);
    trn_disk_log_destroy (&self);
}

static void
test_records_are_read_back_from_any_seq (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_open_with (s_large_segments);
    s_fill (self, 5000, 300);
    for (uint64_t seq = 1; seq <= 5000; seq += 321) {
        trn_chunk_t *chunk = NULL;
        assert_int_equal (trn_log_read (self->log, seq, 4096, &chunk), 0);
        assert_int_equal (chunk->first_seq, seq);
        trn_run_t run;
        assert_int_equal (trn_chunk_run (chunk, seq, 1, 1, &run), 1);
        trn_record_t record;
        assert_true (trn_record_read (run.data, run.size,
                                      trn_record_seed (self->config.store_uuid,
                                                       "outbox", run.segment),
                                      run.offset, &record)
                     > 0);
        assert_int_equal (record.seq, seq);
        trn_chunk_release (&run.chunk);
        trn_chunk_release (&chunk);
    }
    trn_chunk_t *chunk = NULL;
    assert_int_equal (trn_log_read (self->log, 5001, 0, &chunk), TERN_ENOENT);
    trn_disk_log_destroy (&self);
}

static void
s_drop_picked (void *arg, uint64_t seq, int rc, trn_chunk_t *chunk)
{
    (void) arg;
    (void) seq;
    assert_int_equal (rc, 0);
    trn_chunk_release (&chunk);
}

//  Where a read in order ended is a place in its own segment only.
static void
test_reading_in_order_goes_on_after_a_record_elsewhere (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_open_with (NULL);
    s_fill (self, 200, 500);
    uint64_t seq = 1;
    while (seq <= 200) {
        trn_chunk_t *chunk = NULL;
        assert_int_equal (trn_log_read (self->log, seq, 4096, &chunk), 0);
        assert_int_equal (chunk->first_seq, seq);
        seq += chunk->count;
        trn_chunk_release (&chunk);
        const uint64_t elsewhere = seq + 1;
        if (elsewhere <= 200) {
            assert_int_equal (
                trn_log_pick (self->log, &elsewhere, 1, 0, s_drop_picked, NULL),
                1);
        }
    }
    trn_disk_log_destroy (&self);
}

static void
test_the_largest_message_passes_and_a_larger_one_does_not (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_open_with (s_large_segments);
    uint8_t *const body = calloc (1, TRN_BODY_MAX + 1);
    uint8_t *const props = calloc (1, TRN_PROPS_MAX);
    uint8_t key[TRN_KEY_MAX] = {0};
    trn_record_t record = {.body = body,
                           .body_size = TRN_BODY_MAX,
                           .props = props,
                           .props_size = TRN_PROPS_MAX,
                           .key = key,
                           .key_size = TRN_KEY_MAX};
    const uint32_t largest = trn_record_size (&record);
    for (uint64_t i = 1; i <= 5; i++) {
        uint64_t seq = 0;
        int rc = trn_log_append (self->log, &record, &seq);
        if (rc == TERN_EAGAIN) {
            assert_true (trn_log_write (self->log) >= 0);
            rc = trn_log_append (self->log, &record, &seq);
        }
        assert_int_equal (rc, 0);
        assert_int_equal (seq, i);
    }
    record.body_size = TRN_BODY_MAX + 1;
    uint64_t seq = 0;
    assert_int_equal (trn_log_append (self->log, &record, &seq), TERN_ETOOBIG);
    assert_true (trn_log_write (self->log) >= 0);
    trn_chunk_t *chunk = NULL;
    assert_int_equal (trn_log_read (self->log, 3, 0, &chunk), 0);
    assert_int_equal (chunk->filled, largest);
    trn_chunk_release (&chunk);
    free (body);
    free (props);
    trn_disk_log_destroy (&self);
}

static void
test_an_unclean_end_leaves_a_gap_and_a_clean_one_does_not (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_open_with (NULL);
    s_fill (self, 5, 10);
    trn_disk_log_kill (self);
    assert_int_equal (trn_disk_log_open (self), 0);
    assert_false (self->report.clean);
    assert_int_equal (self->report.messages, 5);
    assert_int_equal (self->report.high, 1000000);
    trn_chunk_t *chunk = NULL;
    assert_int_equal (trn_log_read (self->log, 6, 0, &chunk), TERN_ENOENT);
    //  Also while the gap's own record is not written yet.
    assert_int_equal (trn_disk_log_append (self, 10), 0);
    assert_int_equal (trn_log_read (self->log, 6, 0, &chunk), TERN_ENOENT);
    s_fill (self, 0, 10);
    assert_int_equal (trn_log_appended (self->log), 1000001);
    assert_int_equal (trn_log_read (self->log, 6, 0, &chunk), TERN_ENOENT);
    assert_int_equal (trn_log_read (self->log, 1000001, 0, &chunk), 0);
    trn_chunk_release (&chunk);
    //  A run never spans a gap.
    trn_run_t run;
    assert_int_equal (trn_log_run (self->log, 1000001, 9, 9999, &run), 1);
    assert_int_equal (run.count, 1);
    trn_chunk_release (&run.chunk);

    assert_int_equal (trn_disk_log_close (self), 0);
    assert_int_equal (trn_disk_log_open (self), 0);
    assert_true (self->report.clean);
    assert_int_equal (self->report.high, 1000001);
    assert_int_equal (self->report.messages, 6);
    trn_disk_log_destroy (&self);
}

static void
test_seqs_that_are_skipped_name_nothing (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_open_with (NULL);
    s_fill (self, 5, 10);
    assert_int_equal (trn_disk_log_skip (self, 9), 0);
    assert_int_equal (trn_log_appended (self->log), 5);
    s_fill (self, 3, 10);
    assert_int_equal (trn_log_synced (self->log), 11);
    //  Once more before anything came, and back to what was given out.
    assert_int_equal (trn_disk_log_skip (self, 20), 0);
    assert_int_equal (trn_disk_log_skip (self, 30), 0);
    assert_int_equal (trn_log_skip (self->log, 7), 0);
    s_fill (self, 1, 10);
    assert_int_equal (trn_log_appended (self->log), 30);
    trn_chunk_t *chunk = NULL;
    assert_int_equal (trn_log_read (self->log, 6, 0, &chunk), TERN_ENOENT);
    assert_int_equal (trn_log_read (self->log, 8, 0, &chunk), TERN_ENOENT);
    assert_int_equal (trn_log_read (self->log, 29, 0, &chunk), TERN_ENOENT);
    assert_int_equal (trn_log_read (self->log, 9, 0, &chunk), 0);
    assert_int_equal (chunk->count, 3);
    trn_chunk_release (&chunk);
    //  A run never spans a gap.
    trn_run_t run;
    assert_int_equal (trn_log_run (self->log, 4, 9, 9999, &run), 1);
    assert_int_equal (run.count, 2);
    trn_chunk_release (&run.chunk);
    assert_int_equal (trn_log_run (self->log, 12, 9, 9999, &run), 0);

    //  Opening compares what is there, and what is a gap.
    assert_int_equal (trn_disk_log_close (self), 0);
    assert_int_equal (trn_disk_log_open (self), 0);
    assert_true (self->report.clean);
    assert_int_equal (self->report.messages, 9);
    assert_int_equal (self->report.first_seq, 1);
    assert_int_equal (self->report.high, 30);
    trn_disk_log_destroy (&self);
}

static void
test_a_skip_beyond_the_reservation_reserves (void **state)
{
    (void) state;
    trn_disk_log_t *self = trn_disk_log_new (1);
    self->config.reserve = 10;
    assert_int_equal (trn_disk_log_open (self), 0);
    assert_int_equal (trn_disk_log_skip (self, 1000), 0);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal (trn_disk_log_append (self, 1), 0);
    }
    assert_int_equal (self->appended, 1009);
    assert_int_equal (trn_disk_log_append (self, 1), TERN_EAGAIN);
    trn_disk_log_kill (self);
    //  Nothing was written, and yet these are never given out again.
    assert_int_equal (trn_disk_log_open (self), 0);
    assert_int_equal (self->report.high, 1009);

    //  A skip that no message follows holds if the log is closed.
    assert_int_equal (trn_disk_log_skip (self, 2000), 0);
    assert_int_equal (trn_disk_log_close (self), 0);
    assert_int_equal (trn_disk_log_open (self), 0);
    assert_true (self->report.clean);
    assert_int_equal (self->report.high, 1999);
    assert_int_equal (trn_disk_log_append (self, 1), 0);
    assert_int_equal (self->appended, 2000);
    assert_int_equal (trn_log_skip (self->log, UINT64_MAX), TERN_ETOOBIG);
    assert_int_equal (trn_log_skip (self->log, TRN_LOG_SKIP_MAX + 1),
                      TERN_ETOOBIG);
    trn_disk_log_destroy (&self);
}

static void
s_append_raw (trn_disk_log_t *self, uint32_t size, uint64_t expected)
{
    static const uint8_t body[2000];
    trn_record_t record = {.body = body, .body_size = size};
    uint64_t seq = 0;
    assert_int_equal (trn_log_append (self->log, &record, &seq), 0);
    assert_int_equal (seq, expected);
}

//  What is not synced behind a wide gap proves nothing about the gap.
static void
test_a_wide_gap_that_was_never_synced_is_torn (void **state)
{
    (void) state;
    const uint64_t far = UINT64_C (6000000000);
    trn_disk_log_t *self = s_open_with (NULL);
    s_append_raw (self, 344, 1);
    assert_int_equal (trn_log_skip (self->log, far), 0);
    s_append_raw (self, 600, far);
    s_append_raw (self, 600, far + 1);
    assert_true (trn_log_write (self->log) >= 0);
    trn_disk_log_kill (self);
    //  The gap is the first thing in the sector that is missing.
    static const uint8_t zeros[512];
    trn_disk_memory_poke (self->memory, "data/seg-0000000000000001", zeros, 512,
                          512);
    self->config.incarnation++;
    self->config.dir = self->disk->open_root (self->disk, "data", 1);
    uint8_t *blob = NULL;
    size_t size = 0;
    trn_log_report_t report;
    assert_int_equal (trn_log_open (&self->log, &self->config, &blob, &size,
                                    &report, NULL, 0),
                      0);
    assert_int_equal (report.messages, 1);
    assert_true (report.torn_bytes > 600);
    assert_true (report.high >= far + 1);
    trn_ranges_clear (&report.gaps);
    free (blob);
    trn_disk_log_destroy (&self);
}

static void
test_seqs_beyond_the_reservation_wait_for_the_next_sync (void **state)
{
    (void) state;
    trn_disk_log_t *self = trn_disk_log_new (1);
    self->config.reserve = 10;
    assert_int_equal (trn_disk_log_open (self), 0);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal (trn_disk_log_append (self, 1), 0);
    }
    assert_int_equal (trn_disk_log_append (self, 1), TERN_EAGAIN);
    assert_false (trn_log_room (self->log, 48));
    assert_true (trn_log_write (self->log) > 0);
    assert_int_equal (trn_disk_log_append (self, 1), TERN_EAGAIN);
    assert_true (trn_disk_log_sync (self) > 0);
    assert_true (trn_log_room (self->log, 48));
    assert_int_equal (trn_disk_log_append (self, 1), 0);
    trn_disk_log_destroy (&self);
}

static void
test_unwritten_bytes_are_bounded (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_open_with (NULL);
    unsigned count = 0;
    int rc = 0;
    while ((rc = trn_disk_log_append (self, 960)) == 0) {
        count++;
    }
    //  The first segment has 4 KiB; the next is not there yet.
    assert_int_equal (rc, TERN_EAGAIN);
    assert_int_equal (count, 3);
    assert_true (trn_log_write (self->log) > 0);
    while ((rc = trn_disk_log_append (self, 960)) == 0) {
        count++;
    }
    assert_int_equal (rc, TERN_EAGAIN);
    assert_true (trn_log_unwritten (self->log) <= 16384);
    trn_disk_log_destroy (&self);
}

//  Limits ----------------------------------------------------------------

static void
s_block_at_ten (trn_log_config_t *config)
{
    s_large_segments (config);
    config->limit_messages = 10;
    config->at_limit = TRN_AT_LIMIT_BLOCK;
}

static void
test_block_waits_until_something_is_settled (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_open_with (s_block_at_ten);
    s_fill (self, 10, 10);
    assert_int_equal (trn_disk_log_append (self, 10), TERN_EAGAIN);
    assert_false (trn_log_room (self->log, 56));
    trn_log_settled (self->log, 4, 0);
    assert_true (trn_log_room (self->log, 56));
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal (trn_disk_log_append (self, 10), 0);
    }
    assert_int_equal (trn_disk_log_append (self, 10), TERN_EAGAIN);
    trn_disk_log_destroy (&self);
}

static void
test_what_is_settled_behind_the_oldest_makes_room (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_open_with (s_block_at_ten);
    s_fill (self, 10, 10);
    trn_log_settled (self->log, 1, 2);
    assert_int_equal (trn_disk_log_append (self, 10), 0);
    assert_int_equal (trn_disk_log_append (self, 10), 0);
    assert_int_equal (trn_disk_log_append (self, 10), TERN_EAGAIN);
    //  All but the last two: those behind the oldest are no longer behind.
    trn_log_settled (self->log, 11, 0);
    for (unsigned i = 0; i < 8; i++) {
        assert_int_equal (trn_disk_log_append (self, 10), 0);
    }
    assert_int_equal (trn_disk_log_append (self, 10), TERN_EAGAIN);
    trn_disk_log_destroy (&self);
}

static void
test_skipped_seqs_do_not_count_towards_the_limit (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_open_with (s_block_at_ten);
    s_fill (self, 3, 10);
    assert_int_equal (trn_disk_log_skip (self, 100), 0);
    s_fill (self, 7, 10);
    assert_int_equal (trn_disk_log_append (self, 10), TERN_EAGAIN);
    trn_log_settled (self->log, 101, 0);
    assert_int_equal (trn_disk_log_append (self, 10), 0);
    trn_disk_log_destroy (&self);
}

static void
s_refuse_at_4000_bytes (trn_log_config_t *config)
{
    s_large_segments (config);
    config->limit_bytes = 4000;
    config->at_limit = TRN_AT_LIMIT_REFUSE;
}

static void
test_refuse_says_full (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_open_with (s_refuse_at_4000_bytes);
    s_fill (self, 4, 900);
    assert_int_equal (trn_disk_log_append (self, 900), TERN_EFULL);
    assert_int_equal (trn_log_status (self->log), 0);
    assert_int_equal (trn_disk_log_save (self, 2), 0);
    assert_int_equal (trn_disk_log_append (self, 900), 0);
    assert_int_equal (trn_disk_log_append (self, 900), TERN_EFULL);
    trn_disk_log_destroy (&self);
}

static void
s_drop_at_ten (trn_log_config_t *config)
{
    s_large_segments (config);
    config->limit_messages = 10;
    config->at_limit = TRN_AT_LIMIT_DROP_OLDEST;
}

static void
s_drop_at_4000_bytes (trn_log_config_t *config)
{
    s_large_segments (config);
    config->limit_bytes = 4000;
    config->at_limit = TRN_AT_LIMIT_DROP_OLDEST;
}

static void
test_drop_oldest_raises_the_floor_and_counts (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_open_with (s_drop_at_ten);
    s_fill (self, 25, 10);
    trn_log_stats_t stats;
    trn_log_stats (self->log, &stats);
    assert_int_equal (trn_log_floor (self->log), 16);
    assert_int_equal (stats.dropped, 15);
    //  The count outlives the process, once the owner has saved the new low.
    assert_int_equal (trn_disk_log_save (self, 16), 0);
    assert_int_equal (trn_disk_log_close (self), 0);
    assert_int_equal (trn_disk_log_open (self), 0);
    trn_log_stats (self->log, &stats);
    assert_int_equal (stats.dropped, 15);
    assert_int_equal (trn_log_floor (self->log), 16);
    trn_disk_log_destroy (&self);

    self = s_open_with (s_drop_at_4000_bytes);
    s_fill (self, 10, 960);
    assert_int_equal (trn_log_floor (self->log), 7);
    trn_disk_log_destroy (&self);
}

static void
test_a_gap_does_not_count_towards_the_limit (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_open_with (s_drop_at_ten);
    s_fill (self, 6, 10);
    trn_disk_log_kill (self);
    assert_int_equal (trn_disk_log_open (self), 0);
    s_fill (self, 4, 10);
    trn_log_stats_t stats;
    trn_log_stats (self->log, &stats);
    assert_int_equal (stats.dropped, 0);
    s_fill (self, 7, 10);
    trn_log_stats (self->log, &stats);
    assert_int_equal (stats.dropped, 7);
    assert_int_equal (trn_log_floor (self->log), 1000002);
    trn_disk_log_destroy (&self);
}

//  Full disk -------------------------------------------------------------

static void
test_a_full_disk_loses_nothing_and_comes_back_by_itself (void **state)
{
    (void) state;
    trn_disk_log_t *self = s_open_with (NULL);
    trn_disk_memory_limit (self->memory,
                           trn_disk_memory_used (self->memory) + 40000);
    int rc = 0;
    while (rc != TERN_EFULL) {
        rc = trn_disk_log_append (self, 900);
        if (rc == TERN_EAGAIN) {
            const int wrote = trn_log_write (self->log);
            assert_true (wrote >= 0 || wrote == TERN_EFULL);
        } else {
            assert_true (rc == 0 || rc == TERN_EFULL);
        }
    }
    assert_int_equal (trn_log_status (self->log), TERN_EFULL);
    //  What was accepted can be written and synced,
    assert_true (trn_log_push (self->log) >= 0);
    assert_true (trn_disk_log_sync (self) >= 0);
    assert_int_equal (self->synced, self->appended);
    //  settled, and thereby makes room (L18).
    trn_disk_memory_limit (self->memory, trn_disk_memory_used (self->memory));
    assert_int_equal (trn_disk_log_save (self, self->appended), 0);
    rc = trn_log_write (self->log);
    assert_true (rc >= 0);
    assert_int_equal (trn_log_status (self->log), 0);
    assert_int_equal (trn_disk_log_append (self, 900), 0);
    //  A full disk can be opened.
    trn_disk_memory_limit (self->memory, 0);
    trn_disk_log_kill (self);
    assert_int_equal (trn_disk_log_open (self), 0);
    trn_disk_log_destroy (&self);
}

static void
test_a_disk_that_cannot_preallocate_will_do (void **state)
{
    (void) state;
    trn_disk_log_t *self = trn_disk_log_new (3);
    self->config.reserve = 1000000;
    const trn_disk_fault_t never = {.call = TRN_CALL_FALLOCATE,
                                    .nth = 1,
                                    .forever = true,
                                    .error = EOPNOTSUPP};
    trn_disk_faulty_plan (self->disk, &never);
    assert_int_equal (trn_disk_log_open (self), 0);
    s_fill (self, 100, 500);
    trn_disk_log_crash (self, 5);
    assert_int_equal (trn_disk_log_open (self), 0);
    assert_int_equal (self->report.messages, 100);
    trn_disk_log_destroy (&self);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_a_run_holds_as_many_whole_records_as_fit),
        cmocka_unit_test (test_a_chunk_outlives_its_log),
        cmocka_unit_test (test_the_last_segment_grows_and_settled_ones_go),
        cmocka_unit_test (test_memory_is_bounded_whatever_the_backlog),
        cmocka_unit_test (test_what_was_sent_leaves_memory),
        cmocka_unit_test (test_records_are_read_back_from_any_seq),
        cmocka_unit_test (
            test_reading_in_order_goes_on_after_a_record_elsewhere),
        cmocka_unit_test (
            test_the_largest_message_passes_and_a_larger_one_does_not),
        cmocka_unit_test (
            test_an_unclean_end_leaves_a_gap_and_a_clean_one_does_not),
        cmocka_unit_test (test_seqs_that_are_skipped_name_nothing),
        cmocka_unit_test (test_a_skip_beyond_the_reservation_reserves),
        cmocka_unit_test (test_a_wide_gap_that_was_never_synced_is_torn),
        cmocka_unit_test (test_skipped_seqs_do_not_count_towards_the_limit),
        cmocka_unit_test (
            test_seqs_beyond_the_reservation_wait_for_the_next_sync),
        cmocka_unit_test (test_unwritten_bytes_are_bounded),
        cmocka_unit_test (test_block_waits_until_something_is_settled),
        cmocka_unit_test (test_what_is_settled_behind_the_oldest_makes_room),
        cmocka_unit_test (test_refuse_says_full),
        cmocka_unit_test (test_drop_oldest_raises_the_floor_and_counts),
        cmocka_unit_test (test_a_gap_does_not_count_towards_the_limit),
        cmocka_unit_test (
            test_a_full_disk_loses_nothing_and_comes_back_by_itself),
        cmocka_unit_test (test_a_disk_that_cannot_preallocate_will_do),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
