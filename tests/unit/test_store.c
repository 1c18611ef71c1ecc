//  tests/unit/test_store.c - identity, lock, threads, outboxes, cells, disks
//
//  Rules L20 to L22, L30.
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/cell.h"
#include "store/store.h"
#include "support/disk_faulty.h"
#include "support/disk_memory.h"

#include <tern/error.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    PATIENCE_MS = 60000  //  long enough for any machine; never slept through
};

//  A store on the disk in memory -----------------------------------------

static trn_store_t *
s_open (trn_disk_t *disk, const char *name)
{
    const trn_store_config_t config
        = {.disk = disk, .path = "data", .name = name};
    trn_store_t *store = NULL;
    char why[256];
    char warning[256];
    const int rc = trn_store_open (&store, &config, why, warning, sizeof why);
    if (rc < 0) {
        fail_msg ("%s", why);
    }
    return store;
}

static int
s_try_open (trn_disk_t *disk, const char *path, const char *name)
{
    const trn_store_config_t config
        = {.disk = disk, .path = path, .name = name};
    trn_store_t *store = NULL;
    char why[256];
    const int rc = trn_store_open (&store, &config, why, NULL, sizeof why);
    assert_true ((rc == 0) == (store != NULL));
    assert_true (rc == 0 || why[0] != 0);
    if (store) {
        assert_int_equal (trn_store_close (&store), 0);
    }
    return rc;
}

static trn_outbox_t *
s_outbox (trn_store_t *store, const char *name, trn_log_report_t *report)
{
    const trn_log_config_t config = {.segment_min = 0};
    trn_outbox_t *outbox = NULL;
    uint8_t *state = NULL;
    size_t size = 0;
    trn_log_report_t own;
    char why[256] = "";
    const int rc
        = trn_store_outbox (store, name, &config, &outbox, &state, &size,
                            report ? report : &own, why, sizeof why);
    if (rc < 0) {
        fail_msg ("%s", why);
    }
    free (state);
    trn_ranges_clear (report ? &report->gaps : &own.gaps);
    return outbox;
}

static uint64_t
s_send (trn_outbox_t *outbox, const char *text)
{
    trn_record_t record = {.body = (const uint8_t *) text,
                           .body_size = (uint32_t) strlen (text)};
    uint64_t seq = 0;
    assert_int_equal (trn_outbox_append (outbox, &record, -1, &seq), 0);
    trn_outbox_store (outbox);
    return seq;
}

static void
test_each_opening_raises_the_incarnation (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    trn_store_t *store = s_open (disk, "orders-1");
    uint8_t uuid[16];
    memcpy (uuid, trn_store_uuid (store), 16);
    const uint64_t random = trn_store_random (store);
    assert_int_equal (trn_store_incarnation (store), 1);
    assert_int_equal (trn_store_close (&store), 0);
    //  Without a name the store says whose it is.
    store = s_open (disk, NULL);
    assert_int_equal (trn_store_incarnation (store), 2);
    assert_string_equal (trn_store_name (store), "orders-1");
    assert_memory_equal (trn_store_uuid (store), uuid, 16);
    assert_true (trn_store_random (store) != random);
    trn_store_abandon (&store);
    //  Durable before anything else: a crash does not take it back.
    trn_disk_memory_crash (disk, 4);
    store = s_open (disk, "orders-1");
    assert_int_equal (trn_store_incarnation (store), 3);
    assert_int_equal (trn_store_close (&store), 0);
    trn_disk_memory_destroy (&disk);
}

static void
test_a_store_is_opened_once_and_by_its_name (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    assert_int_equal (s_try_open (disk, "data", NULL), TERN_ENOENT);
    assert_int_equal (s_try_open (disk, "data", "Not A Name"), TERN_ENAME);
    trn_store_t *store = s_open (disk, "a");
    assert_int_equal (s_try_open (disk, "data", "a"), TERN_EINUSE);
    assert_int_equal (trn_store_close (&store), 0);
    assert_int_equal (s_try_open (disk, "data", "b"), TERN_ENAME);
    assert_int_equal (s_try_open (disk, "data", "a"), 0);
    trn_disk_memory_destroy (&disk);
}

static void
test_a_store_without_its_meta_is_not_made_anew (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    assert_int_equal (s_try_open (disk, "data", "a"), 0);
    const int root = disk->open_root (disk, "data", 0);
    assert_int_equal (disk->unlink (disk, root, "META"), 0);
    assert_int_equal (s_try_open (disk, "data", "a"), TERN_ECORRUPT);
    trn_disk_memory_destroy (&disk);
}

static int
s_count_name (void *arg, const char *name)
{
    unsigned *const count = arg;
    assert_true (strcmp (name, "hello") == 0 || strcmp (name, "@me") == 0);
    (*count)++;
    return 0;
}

static void
test_outboxes_are_found_again_by_name (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    trn_store_t *store = s_open (disk, "a");
    s_send (s_outbox (store, "hello", NULL), "one");
    s_send (s_outbox (store, "@me", NULL), "two");
    unsigned count = 0;
    assert_int_equal (trn_store_each (store, s_count_name, &count), 0);
    assert_int_equal (count, 2);
    trn_outbox_t *outbox = NULL;
    uint8_t *blob = NULL;
    size_t size = 0;
    const trn_log_config_t config = {.segment_min = 0};
    assert_int_equal (trn_store_outbox (store, "hello", &config, &outbox, &blob,
                                        &size, NULL, NULL, 0),
                      TERN_EBUSY);
    assert_int_equal (trn_store_close (&store), 0);
    store = s_open (disk, "a");
    trn_log_report_t report;
    s_outbox (store, "hello", &report);
    assert_int_equal (report.messages, 1);
    assert_true (report.clean);
    assert_int_equal (trn_store_close (&store), 0);
    trn_disk_memory_destroy (&disk);
}

static void
test_waiting_for_synced_means_synced (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    trn_store_t *store = s_open (disk, "a");
    trn_outbox_t *outbox = s_outbox (store, "hello", NULL);
    const uint64_t seq = s_send (outbox, "one");
    assert_int_equal (trn_outbox_wait (outbox, seq, false, PATIENCE_MS), 0);
    assert_int_equal (trn_outbox_wait (outbox, seq, true, PATIENCE_MS), 0);
    trn_disk_t *twin = trn_disk_memory_copy (disk);
    trn_store_abandon (&store);
    trn_disk_memory_destroy (&disk);
    trn_disk_memory_crash (twin, 9);
    store = s_open (twin, "a");
    trn_log_report_t report;
    s_outbox (store, "hello", &report);
    assert_int_equal (report.messages, 1);
    assert_false (report.clean);
    assert_int_equal (trn_store_close (&store), 0);
    trn_disk_memory_destroy (&twin);
}

static void
test_waiting_ends_at_the_deadline (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    trn_store_t *store = s_open (disk, "a");
    trn_outbox_t *outbox = s_outbox (store, "hello", NULL);
    assert_int_equal (trn_outbox_wait (outbox, 1, true, 0), TERN_ETIMEOUT);
    assert_int_equal (trn_outbox_wait (outbox, 1, true, 5), TERN_ETIMEOUT);
    assert_int_equal (trn_store_close (&store), 0);
    trn_disk_memory_destroy (&disk);
}

//  Many appenders --------------------------------------------------------

enum {
    APPENDERS = 4,
    EACH = 3000
};

static void *
s_appender (void *arg)
{
    trn_outbox_t *const outbox = arg;
    uint64_t last = 0;
    for (unsigned i = 0; i < EACH; i++) {
        const uint64_t seq = s_send (outbox, "a message of some bytes");
        if (seq <= last) {
            return arg;
        }
        last = seq;
        if (i % 500 == 0
            && trn_outbox_wait (outbox, seq, true, PATIENCE_MS) != 0) {
            return arg;
        }
    }
    return trn_outbox_wait (outbox, last, true, PATIENCE_MS) == 0 ? NULL : arg;
}

static void
test_many_threads_append_and_each_is_woken (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    trn_store_t *store = s_open (disk, "a");
    trn_outbox_t *outbox = s_outbox (store, "hello", NULL);
    pthread_t threads[APPENDERS];
    for (unsigned i = 0; i < APPENDERS; i++) {
        assert_int_equal (
            pthread_create (&threads[i], NULL, s_appender, outbox), 0);
    }
    for (unsigned i = 0; i < APPENDERS; i++) {
        void *failed = NULL;
        pthread_join (threads[i], &failed);
        assert_null (failed);
    }
    assert_int_equal (trn_log_synced (trn_outbox_log (outbox)),
                      APPENDERS * EACH);
    assert_int_equal (trn_store_close (&store), 0);
    store = s_open (disk, "a");
    trn_log_report_t report;
    s_outbox (store, "hello", &report);
    assert_int_equal (report.messages, APPENDERS * EACH);
    assert_int_equal (trn_store_close (&store), 0);
    trn_disk_memory_destroy (&disk);
}

//  Reads and states ------------------------------------------------------

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t heard;
    unsigned count;
} s_ear_t;

static void
s_notify (void *arg)
{
    s_ear_t *const ear = arg;
    pthread_mutex_lock (&ear->lock);
    ear->count++;
    pthread_cond_signal (&ear->heard);
    pthread_mutex_unlock (&ear->lock);
}

//  The next notification after those counted before.
static void
s_listen (s_ear_t *ear, unsigned before)
{
    pthread_mutex_lock (&ear->lock);
    while (ear->count == before) {
        pthread_cond_wait (&ear->heard, &ear->lock);
    }
    pthread_mutex_unlock (&ear->lock);
}

static unsigned
s_heard (s_ear_t *ear)
{
    pthread_mutex_lock (&ear->lock);
    const unsigned count = ear->count;
    pthread_mutex_unlock (&ear->lock);
    return count;
}

static void
test_reads_and_saves_come_back_with_a_notification (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    s_ear_t ear = {.lock = PTHREAD_MUTEX_INITIALIZER,
                   .heard = PTHREAD_COND_INITIALIZER};
    const trn_store_config_t config = {.disk = disk,
                                       .path = "data",
                                       .name = "a",
                                       .notify = s_notify,
                                       .notify_arg = &ear};
    trn_store_t *store = NULL;
    char why[128];
    assert_int_equal (trn_store_open (&store, &config, why, NULL, sizeof why),
                      0);
    trn_outbox_t *outbox = s_outbox (store, "hello", NULL);
    for (unsigned i = 0; i < 100; i++) {
        s_send (outbox, "text");
    }
    assert_int_equal (trn_outbox_wait (outbox, 100, true, PATIENCE_MS), 0);

    assert_true (trn_outbox_want (outbox, 50, 4096));
    assert_false (trn_outbox_want (outbox, 50, 4096));
    uint64_t seq = 0;
    trn_chunk_t *chunk = NULL;
    int rc = 0;
    for (;;) {
        const unsigned before = s_heard (&ear);
        rc = trn_outbox_fetch (outbox, &seq, &chunk);
        if (rc != 0) {
            break;
        }
        s_listen (&ear, before);
    }
    assert_int_equal (rc, 1);
    assert_int_equal (seq, 50);
    assert_int_equal (chunk->first_seq, 50);
    trn_chunk_release (&chunk);

    const uint8_t blob[] = {1, 2, 3};
    trn_outbox_save (outbox, blob, sizeof blob, 90, 7);
    while (trn_outbox_saved (outbox) != 7) {
        const unsigned before = s_heard (&ear);
        if (trn_outbox_saved (outbox) != 7) {
            s_listen (&ear, before);
        }
    }
    assert_int_equal (trn_store_close (&store), 0);

    store = s_open (disk, "a");
    trn_log_config_t log = {.segment_min = 0};
    uint8_t *found = NULL;
    size_t size = 0;
    assert_int_equal (trn_store_outbox (store, "hello", &log, &outbox, &found,
                                        &size, NULL, why, sizeof why),
                      0);
    assert_int_equal (size, sizeof blob);
    assert_memory_equal (found, blob, sizeof blob);
    assert_int_equal (trn_log_floor (trn_outbox_log (outbox)), 90);
    free (found);
    assert_int_equal (trn_store_close (&store), 0);
    trn_disk_memory_destroy (&disk);
}

//  What comes of the reads that were asked for; 0 or the error.
static int
s_fetch (s_ear_t *ear, trn_outbox_t *outbox, uint64_t *seq_p, unsigned *count_p)
{
    trn_chunk_t *chunk = NULL;
    int rc = 0;
    for (;;) {
        const unsigned before = s_heard (ear);
        rc = trn_outbox_fetch (outbox, seq_p, &chunk);
        if (rc != 0) {
            break;
        }
        s_listen (ear, before);
    }
    *count_p = 0;
    if (chunk) {
        assert_int_equal (chunk->first_seq, *seq_p);
        *count_p = atomic_load (&chunk->count);
    }
    trn_chunk_release (&chunk);
    return rc < 0 ? rc : 0;
}

static void
test_single_records_are_read_together_the_urgent_one_first (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    s_ear_t ear = {.lock = PTHREAD_MUTEX_INITIALIZER,
                   .heard = PTHREAD_COND_INITIALIZER};
    const trn_store_config_t config = {.disk = disk,
                                       .path = "data",
                                       .name = "a",
                                       .notify = s_notify,
                                       .notify_arg = &ear};
    trn_store_t *store = NULL;
    char why[128];
    assert_int_equal (trn_store_open (&store, &config, why, NULL, sizeof why),
                      0);
    trn_outbox_t *outbox = s_outbox (store, "hello", NULL);
    for (unsigned i = 0; i < 500; i++) {
        s_send (outbox, "text");
    }
    assert_int_equal (trn_outbox_wait (outbox, 500, true, PATIENCE_MS), 0);

    const uint64_t wanted[] = {300, 7, 450, 5, 9999, 300, 6, 7};
    assert_true (trn_outbox_want_many (outbox, wanted, 8));
    assert_false (trn_outbox_want_many (outbox, wanted, 1));
    const struct {
        uint64_t seq;
        unsigned count;
        int rc;
    } expected[]
        = {{300, 1, 0}, {5, 3, 0}, {450, 1, 0}, {9999, 0, TERN_ENOENT}};
    for (size_t i = 0; i < 4; i++) {
        uint64_t seq = 0;
        unsigned count = 0;
        assert_int_equal (s_fetch (&ear, outbox, &seq, &count), expected[i].rc);
        assert_int_equal (seq, expected[i].seq);
        assert_int_equal (count, expected[i].count);
    }

    //  Bytes are bounded, but the urgent one always comes.
    static char large[TRN_BODY_MAX + 1];
    memset (large, 'x', TRN_BODY_MAX);
    uint64_t many[20];
    for (unsigned i = 0; i < 20; i++) {
        many[19 - i] = s_send (outbox, large);
    }
    assert_int_equal (trn_outbox_wait (outbox, many[0], true, PATIENCE_MS), 0);
    assert_true (trn_outbox_want_many (outbox, many, 20));
    uint64_t seq = 0;
    unsigned got = 0;
    unsigned count = 0;
    assert_int_equal (s_fetch (&ear, outbox, &seq, &count), 0);
    assert_int_equal (seq, many[0]);
    while (!trn_outbox_want_many (outbox, wanted, 1)) {
        assert_int_equal (s_fetch (&ear, outbox, &seq, &count), 0);
        got += count;
    }
    assert_in_range (got, 7, 10);
    //  What was not fetched goes with the store.
    assert_int_equal (trn_store_close (&store), 0);
    trn_disk_memory_destroy (&disk);
}

static void
test_a_time_is_looked_for_by_the_writer (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    s_ear_t ear = {.lock = PTHREAD_MUTEX_INITIALIZER,
                   .heard = PTHREAD_COND_INITIALIZER};
    const trn_store_config_t config = {.disk = disk,
                                       .path = "data",
                                       .name = "a",
                                       .notify = s_notify,
                                       .notify_arg = &ear};
    trn_store_t *store = NULL;
    char why[128];
    assert_int_equal (trn_store_open (&store, &config, why, NULL, sizeof why),
                      0);
    trn_outbox_t *outbox = s_outbox (store, "hello", NULL);
    uint64_t seq = 0;
    for (unsigned i = 1; i <= 50; i++) {
        trn_record_t record = {.stamp_us = i * 1000};
        assert_int_equal (trn_outbox_append (outbox, &record, -1, &seq), 0);
    }
    assert_int_equal (trn_outbox_time (outbox, &seq), 0);
    trn_outbox_want_time (outbox, 7000);
    trn_outbox_want_time (outbox, 31500);
    for (;;) {
        const unsigned before = s_heard (&ear);
        const int rc = trn_outbox_time (outbox, &seq);
        if (rc != 0) {
            assert_int_equal (rc, 1);
            break;
        }
        s_listen (&ear, before);
    }
    assert_int_equal (seq, 32);
    assert_int_equal (trn_outbox_time (outbox, &seq), 0);
    assert_int_equal (trn_store_close (&store), 0);
    trn_disk_memory_destroy (&disk);
}

static void
test_a_failed_sync_reaches_everyone_who_waits (void **state)
{
    (void) state;
    trn_disk_t *memory = trn_disk_memory_new ();
    trn_disk_t *disk = trn_disk_faulty_new (memory);
    trn_store_t *store = s_open (disk, "a");
    trn_outbox_t *outbox = s_outbox (store, "hello", NULL);
    const trn_disk_fault_t fault
        = {.call = TRN_CALL_FDATASYNC, .nth = 1, .forever = true, .error = EIO};
    trn_disk_faulty_plan (disk, &fault);
    const uint64_t seq = s_send (outbox, "one");
    assert_int_equal (trn_outbox_wait (outbox, seq, true, PATIENCE_MS),
                      TERN_EIO);
    trn_record_t record = {.body_size = 0};
    uint64_t next = 0;
    assert_int_equal (trn_outbox_append (outbox, &record, -1, &next), TERN_EIO);
    assert_int_equal (trn_store_close (&store), TERN_EIO);
    trn_disk_faulty_destroy (&disk);
    trn_disk_memory_destroy (&memory);
}

#define QUIET 32

//  One message to each of many outboxes, until they were synced at once; so many
//  of them ended by it.  What was said to be synced survives the power.
static void
s_sync_many (const trn_disk_fault_t *fault, unsigned ended)
{
    trn_disk_t *memory = trn_disk_memory_new ();
    trn_disk_t *disk = trn_disk_faulty_new (memory);
    trn_disk_faulty_on_lost_sync (disk, trn_disk_memory_lose_unsynced);
    trn_store_t *store = s_open (disk, "a");
    trn_outbox_t *outboxes[QUIET];
    uint64_t synced[QUIET] = {0};
    char name[16];
    for (unsigned i = 0; i < QUIET; i++) {
        snprintf (name, sizeof name, "queue-%u", i);
        outboxes[i] = s_outbox (store, name, NULL);
    }
    trn_disk_faulty_plan (disk, fault);
    while (trn_disk_faulty_calls (disk, TRN_CALL_SYNC_FILES) == 0) {
        uint64_t seqs[QUIET];
        for (unsigned i = 0; i < QUIET; i++) {
            seqs[i] = s_send (outboxes[i], "one");
        }
        for (unsigned i = 0; i < QUIET; i++) {
            const int rc
                = trn_outbox_wait (outboxes[i], seqs[i], true, PATIENCE_MS);
            assert_true (rc == 0 || (rc == TERN_EIO && ended > 0));
            ended -= rc < 0;
            synced[i] = rc == 0 ? seqs[i] : synced[i];
        }
    }
    assert_int_equal (ended, 0);
    assert_true (trn_disk_faulty_hits (disk) == (fault->nth > 0));
    trn_disk_memory_kill (memory);
    trn_store_abandon (&store);
    trn_disk_faulty_destroy (&disk);
    trn_disk_memory_crash (memory, 7);
    store = s_open (memory, "a");
    for (unsigned i = 0; i < QUIET; i++) {
        trn_log_report_t report;
        snprintf (name, sizeof name, "queue-%u", i);
        (void) s_outbox (store, name, &report);
        assert_true (report.high >= synced[i]);
    }
    assert_int_equal (trn_store_close (&store), 0);
    trn_disk_memory_destroy (&memory);
}

static void
test_many_outboxes_are_synced_at_once (void **state)
{
    (void) state;
    const trn_disk_fault_t none = {.call = TRN_CALL_SYNC_FILES};
    s_sync_many (&none, 0);
}

static void
test_where_many_cannot_be_synced_at_once_each_is (void **state)
{
    (void) state;
    const trn_disk_fault_t fault
        = {.call = TRN_CALL_SYNC_FILES, .nth = 1, .error = EOPNOTSUPP};
    s_sync_many (&fault, 0);
}

//  Not its neighbours, and not another one in its place.
static void
test_of_many_that_are_synced_at_once_the_one_that_lost_ends (void **state)
{
    (void) state;
    for (uint64_t nth = 1; nth <= 4; nth++) {
        const trn_disk_fault_t fault
            = {.call = TRN_CALL_SYNC_OF_MANY, .nth = nth, .error = EIO};
        s_sync_many (&fault, 1);
    }
    const trn_disk_fault_t whole
        = {.call = TRN_CALL_SYNC_FILES, .nth = 1, .error = EIO};
    s_sync_many (&whole, 1);
}

//  L18: a disk that was full and is not any more, with nobody asking.
//  A sync that failed may have lost what the next one reports as done: the name
//  of a new outbox, and with it all that is synced in there later (L16).
static void
test_an_outbox_whose_opening_lost_a_sync_is_not_opened_again (void **state)
{
    (void) state;
    for (uint64_t nth = 1; nth < 12; nth++) {
        trn_disk_t *memory = trn_disk_memory_new ();
        trn_disk_t *disk = trn_disk_faulty_new (memory);
        trn_disk_faulty_on_lost_sync (disk, trn_disk_memory_lose_unsynced);
        trn_store_t *store = s_open (disk, "a");
        trn_disk_faulty_plan (disk, &(trn_disk_fault_t) {.call = TRN_CALL_FSYNC,
                                                         .nth = nth,
                                                         .error = EIO});
        const trn_log_config_t config = {.segment_min = 0};
        trn_outbox_t *outbox = NULL;
        uint8_t *blob = NULL;
        size_t size = 0;
        char why[256] = "";
        const int rc = trn_store_outbox (store, "hello", &config, &outbox,
                                         &blob, &size, NULL, why, sizeof why);
        const bool hit = trn_disk_faulty_hits (disk) > 0;
        assert_int_equal (rc, hit ? TERN_EIO : 0);
        free (blob);
        blob = NULL;
        if (hit) {
            //  Others are open to all.
            assert_int_equal (s_send (s_outbox (store, "other", NULL), "m"), 1);
            why[0] = 0;
            assert_int_equal (trn_store_outbox (store, "hello", &config,
                                                &outbox, &blob, &size, NULL,
                                                why, sizeof why),
                              TERN_EIO);
            assert_null (outbox);
            assert_non_null (strstr (why, "hello"));
        }
        trn_store_abandon (&store);
        trn_disk_faulty_destroy (&disk);
        //  After the machine has lost it as well, it is born anew.
        trn_disk_memory_crash (memory, nth);
        store = s_open (memory, "a");
        assert_int_equal (s_send (s_outbox (store, "hello", NULL), "m") > 0, 1);
        assert_int_equal (trn_store_close (&store), 0);
        trn_disk_memory_destroy (&memory);
        if (!hit) {
            assert_true (nth > 4);
            return;
        }
    }
    fail_msg ("an opening syncs more often than this test knows");
}

static void
test_a_full_disk_is_tried_again_without_being_asked (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    trn_store_t *store = s_open (disk, "a");
    trn_outbox_t *outbox = s_outbox (store, "hello", NULL);
    trn_disk_memory_limit (disk, trn_disk_memory_used (disk));
    uint8_t *const body = calloc (1, 100000);
    trn_record_t record = {.body = body, .body_size = 100000};
    uint64_t seq = 0;
    int rc = 0;
    while (rc == 0) {
        rc = trn_outbox_append (outbox, &record, PATIENCE_MS, &seq);
    }
    assert_int_equal (rc, TERN_EFULL);
    trn_outbox_save (outbox, body, 10, 1, 3);
    assert_int_equal (trn_outbox_wait (outbox, seq, true, PATIENCE_MS), 0);
    trn_disk_memory_limit (disk, UINT64_MAX);
    do {
        rc = trn_outbox_append (outbox, &record, PATIENCE_MS, &seq);
    } while (rc == TERN_EFULL);
    assert_int_equal (rc, 0);
    free (body);
    assert_int_equal (trn_store_close (&store), 0);
    trn_disk_memory_destroy (&disk);
}

//  A store whose notifications are counted.
static void
s_count_news (void *arg)
{
    atomic_fetch_add ((atomic_uint *) arg, 1);
}

//  A disk without preallocation may have no room for a small write either, and
//  a quiet publisher appends nothing more that would try again.
static void
test_a_write_without_space_is_tried_again_and_synced (void **state)
{
    (void) state;
    trn_disk_t *memory = trn_disk_memory_new ();
    trn_disk_t *disk = trn_disk_faulty_new (memory);
    atomic_uint news = 0;
    const trn_store_config_t config = {.disk = disk,
                                       .path = "data",
                                       .name = "a",
                                       .notify = s_count_news,
                                       .notify_arg = &news};
    trn_store_t *store = NULL;
    assert_int_equal (trn_store_open (&store, &config, NULL, NULL, 0), 0);
    trn_outbox_t *outbox = s_outbox (store, "hello", NULL);
    const trn_log_t *log = trn_outbox_log (outbox);
    const trn_disk_fault_t full
        = {.call = TRN_CALL_PWRITE, .nth = 1, .forever = true, .error = ENOSPC};
    trn_disk_faulty_plan (disk, &full);
    const uint64_t seq = s_send (outbox, "one");
    for (int ms = 0; ms < PATIENCE_MS && trn_disk_faulty_hits (disk) < 4;
         ms++) {
        usleep (1000);
    }
    assert_true (trn_disk_faulty_hits (disk) >= 4);
    assert_int_equal (trn_log_status (log), TERN_EFULL);
    const unsigned before = atomic_load (&news);
    assert_true (before > 0);

    const trn_disk_fault_t none = {.nth = 0};
    trn_disk_faulty_plan (disk, &none);
    for (int ms = 0;
         ms < PATIENCE_MS
         && (trn_log_synced (log) < seq || atomic_load (&news) == before);
         ms++) {
        usleep (1000);
    }
    assert_true (trn_log_synced (log) >= seq);
    assert_int_equal (trn_log_status (log), 0);
    //  That there is room again was told.
    assert_true (atomic_load (&news) > before);
    assert_int_equal (trn_store_close (&store), 0);
    trn_disk_faulty_destroy (&disk);
    trn_disk_memory_destroy (&memory);
}

//  What is in doubt ------------------------------------------------------

//  Opened after a kill and closed again before anybody could say what had been
//  sent, as a peer does whose opening fails half-way.
static void
test_what_is_in_doubt_stays_so_until_its_owner_has_spoken (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    trn_store_t *store = s_open (disk, "a");
    trn_outbox_t *outbox = s_outbox (store, "hello", NULL);
    const uint64_t seq = s_send (outbox, "one");
    assert_int_equal (trn_outbox_wait (outbox, seq, true, PATIENCE_MS), 0);
    trn_store_abandon (&store);
    for (unsigned life = 0; life < 3; life++) {
        store = s_open (disk, "a");
        trn_log_report_t report;
        outbox = s_outbox (store, "hello", &report);
        assert_int_equal (report.messages, 1);
        assert_false (report.clean);
        if (life == 2) {
            trn_outbox_save (outbox, (const uint8_t *) "state", 5, 1, 1);
        }
        assert_int_equal (trn_store_close (&store), 0);
    }
    for (unsigned life = 0; life < 2; life++) {
        store = s_open (disk, "a");
        trn_log_report_t report;
        outbox = s_outbox (store, "hello", &report);
        assert_true (report.clean);
        assert_int_equal (trn_store_close (&store), 0);
    }
    trn_disk_memory_destroy (&disk);
}

//  The last state must not be replaced by the one before it.
static void
test_closing_says_the_state_that_a_full_disk_kept_out (void **state)
{
    (void) state;
    trn_disk_t *memory = trn_disk_memory_new ();
    trn_disk_t *disk = trn_disk_faulty_new (memory);
    trn_store_t *store = s_open (disk, "a");
    trn_outbox_t *outbox = s_outbox (store, "hello", NULL);
    trn_outbox_save (outbox, (const uint8_t *) "old", 3, 1, 1);
    for (int ms = 0; ms < PATIENCE_MS && trn_outbox_saved (outbox) < 1; ms++) {
        usleep (1000);
    }
    //  Once is enough: there is room again when the store closes.
    const trn_disk_fault_t full
        = {.call = TRN_CALL_PWRITE, .nth = 1, .error = ENOSPC};
    trn_disk_faulty_plan (disk, &full);
    trn_outbox_save (outbox, (const uint8_t *) "newest", 6, 1, 2);
    for (int ms = 0; ms < PATIENCE_MS && trn_disk_faulty_hits (disk) == 0;
         ms++) {
        usleep (1000);
    }
    assert_int_equal (trn_store_close (&store), 0);

    store = s_open (disk, "a");
    const trn_log_config_t config = {.segment_min = 0};
    uint8_t *found = NULL;
    size_t size = 0;
    trn_log_report_t report;
    assert_int_equal (trn_store_outbox (store, "hello", &config, &outbox,
                                        &found, &size, &report, NULL, 0),
                      0);
    assert_true (report.clean);
    assert_int_equal (size, 6);
    assert_memory_equal (found, "newest", 6);
    free (found);
    trn_ranges_clear (&report.gaps);
    assert_int_equal (trn_store_close (&store), 0);
    trn_disk_faulty_destroy (&disk);
    trn_disk_memory_destroy (&memory);
}

//  Cells -----------------------------------------------------------------

static void
test_a_cell_is_old_or_new_after_a_crash (void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        trn_disk_t *disk = trn_disk_memory_new ();
        int dir = disk->open_root (disk, "d", 1);
        trn_cell_t cell;
        uint8_t contents[3000];
        memset (contents, 1, sizeof contents);
        assert_int_equal (trn_cell_create (&cell, disk, dir, "CELL", 5, 4096,
                                           contents, sizeof contents),
                          0);
        memset (contents, 2, sizeof contents);
        assert_int_equal (trn_cell_replace (&cell, contents, sizeof contents),
                          0);
        //  The third one is written but not synced.
        memset (contents, 3, sizeof contents);
        trn_disk_t *faulty = trn_disk_faulty_new (disk);
        const trn_disk_fault_t fault
            = {.call = TRN_CALL_FDATASYNC, .nth = 1, .error = EIO};
        trn_disk_faulty_plan (faulty, &fault);
        cell.disk = faulty;
        assert_int_equal (trn_cell_replace (&cell, contents, 2000), TERN_EIO);
        trn_disk_memory_crash (disk, seed);
        dir = disk->open_root (disk, "d", 0);
        uint8_t *found = NULL;
        size_t size = 0;
        assert_int_equal (
            trn_cell_open (&cell, disk, dir, "CELL", 5, 4096, &found, &size),
            0);
        assert_true ((found[0] == 2 && size == 3000)
                     || (found[0] == 3 && size == 2000));
        free (found);
        trn_cell_close (&cell);
        //  Somebody else's cell does not pass for this one.
        assert_int_equal (
            trn_cell_read (disk, dir, "CELL", 6, 4096, &found, &size),
            TERN_ECORRUPT);
        trn_disk_faulty_destroy (&faulty);
        trn_disk_memory_destroy (&disk);
    }
}

//  Finds the planted bug of a state that needs new space.
static void
test_a_cell_is_replaced_on_a_full_disk (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    const int dir = disk->open_root (disk, "d", 1);
    trn_cell_t cell;
    const uint8_t byte = 1;
    assert_int_equal (
        trn_cell_create (&cell, disk, dir, "CELL", 5, 4096, &byte, 1), 0);
    trn_disk_memory_limit (disk, 0);
    const uint8_t contents[4000] = {9};
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal (trn_cell_replace (&cell, contents, sizeof contents),
                          0);
    }
    trn_cell_close (&cell);
    trn_disk_memory_destroy (&disk);
}

//  The machine's own disk ------------------------------------------------

static void
test_the_real_disk_locks_checks_and_follows_no_link (void **state)
{
    (void) state;
    char path[] = "/tmp/tern-test-store.XXXXXX";
    assert_non_null (mkdtemp (path));
    char data[64];
    snprintf (data, sizeof data, "%s/a/b", path);
    trn_disk_t *const disk = trn_disk_real ();
    trn_store_t *store = NULL;
    const trn_store_config_t config = {.path = data, .name = "a"};
    char why[256];
    char warning[256];
    assert_int_equal (
        trn_store_open (&store, &config, why, warning, sizeof why), 0);
    assert_int_equal (s_try_open (NULL, data, "a"), TERN_EINUSE);
    trn_outbox_t *outbox = s_outbox (store, "hello", NULL);
    const uint64_t seq = s_send (outbox, "on a real disk");
    assert_int_equal (trn_outbox_wait (outbox, seq, true, PATIENCE_MS), 0);
    assert_int_equal (trn_store_close (&store), 0);
    assert_int_equal (s_try_open (NULL, data, "a"), 0);

    const int root = disk->open_root (disk, data, 0);
    assert_true (root >= 0);
    assert_int_equal (symlinkat ("META", root, "link"), 0);
    assert_true (disk->open (disk, root, "link", O_RDONLY) < 0);
    assert_int_equal (disk->close (disk, root), 0);
    assert_int_equal (chmod (data, 0777), 0);
    assert_int_equal (s_try_open (NULL, data, "a"), TERN_EACCESS);

    char command[96];
    snprintf (command, sizeof command, "rm -rf '%s'", path);
    assert_int_equal (system (command), 0);
}

//  Whatever the file system is: done, or said to be impossible.
static void
test_the_real_disk_syncs_files_of_one_file_system (void **state)
{
    (void) state;
    char path[] = "/tmp/tern-test-sync.XXXXXX";
    assert_non_null (mkdtemp (path));
    trn_disk_t *const disk = trn_disk_real ();
    const int root = disk->open_root (disk, path, 0);
    assert_true (root >= 0);
    int files[3];
    const int flags = O_RDWR | O_CREAT | O_EXCL;
    for (int i = 0; i < 3; i++) {
        const char name[] = {(char) ('a' + i), 0};
        files[i] = disk->open (disk, root, name, flags);
        assert_true (files[i] >= 0);
        assert_int_equal (disk->pwrite (disk, files[i], "x", 1, 0), 1);
    }
    int errors[3] = {-1, -1, -1};
    const int rc = disk->sync_files (disk, files, 3, errors);
    assert_true (rc == 0 || rc == -EOPNOTSUPP);
    for (int i = 0; i < 3; i++) {
        assert_int_equal (errors[i], rc == 0 ? 0 : -1);
    }
    //  /proc is another one.
    const int own = files[2];
    files[2] = open ("/proc/self/stat", O_RDONLY);
    assert_true (files[2] >= 0);
    assert_int_equal (disk->sync_files (disk, files, 3, errors), -EOPNOTSUPP);
    assert_int_equal (close (files[2]), 0);
    files[2] = own;
    for (int i = 0; i < 3; i++) {
        const char name[] = {(char) ('a' + i), 0};
        assert_int_equal (disk->close (disk, files[i]), 0);
        assert_int_equal (disk->unlink (disk, root, name), 0);
    }
    assert_int_equal (disk->close (disk, root), 0);
    assert_int_equal (rmdir (path), 0);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_each_opening_raises_the_incarnation),
        cmocka_unit_test (test_a_store_is_opened_once_and_by_its_name),
        cmocka_unit_test (test_a_store_without_its_meta_is_not_made_anew),
        cmocka_unit_test (test_outboxes_are_found_again_by_name),
        cmocka_unit_test (test_waiting_for_synced_means_synced),
        cmocka_unit_test (test_waiting_ends_at_the_deadline),
        cmocka_unit_test (test_many_threads_append_and_each_is_woken),
        cmocka_unit_test (test_reads_and_saves_come_back_with_a_notification),
        cmocka_unit_test (
            test_single_records_are_read_together_the_urgent_one_first),
        cmocka_unit_test (test_a_time_is_looked_for_by_the_writer),
        cmocka_unit_test (test_a_failed_sync_reaches_everyone_who_waits),
        cmocka_unit_test (test_many_outboxes_are_synced_at_once),
        cmocka_unit_test (test_where_many_cannot_be_synced_at_once_each_is),
        cmocka_unit_test (
            test_of_many_that_are_synced_at_once_the_one_that_lost_ends),
        cmocka_unit_test (
            test_an_outbox_whose_opening_lost_a_sync_is_not_opened_again),
        cmocka_unit_test (test_a_full_disk_is_tried_again_without_being_asked),
        cmocka_unit_test (test_a_write_without_space_is_tried_again_and_synced),
        cmocka_unit_test (
            test_what_is_in_doubt_stays_so_until_its_owner_has_spoken),
        cmocka_unit_test (
            test_closing_says_the_state_that_a_full_disk_kept_out),
        cmocka_unit_test (test_a_cell_is_old_or_new_after_a_crash),
        cmocka_unit_test (test_a_cell_is_replaced_on_a_full_disk),
        cmocka_unit_test (test_the_real_disk_locks_checks_and_follows_no_link),
        cmocka_unit_test (test_the_real_disk_syncs_files_of_one_file_system),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
