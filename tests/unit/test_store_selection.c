//  test_store_selection - what a queue was given of the past, through crashes
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/selection.h"

#include "store/inspect.h"
#include "store/store.h"

#include "base/bytes.h"
#include "base/limits.h"
#include "support/disk_faulty.h"
#include "support/disk_memory.h"

#include <tern/error.h>

#include <errno.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#include <cmocka.h>

#define SEED 7

//  Bytes --------------------------------------------------------------------

static trn_selection_t
s_some (uint32_t number)
{
    trn_selection_t selection = {.number = number, .to = 30000};
    trn_seqset_add (&selection.seqs, 1, 1);
    trn_seqset_add (&selection.seqs, 4095, 4096);
    trn_seqset_add (&selection.seqs, 8192, 8192 + 3 * 4096 - 1);
    trn_seqset_add (&selection.seqs, 30000, 30000);
    return selection;
}

static bool
s_is_same (const trn_seqset_t *left, const trn_seqset_t *right)
{
    trn_range_t one, other;
    uint64_t from = 0;
    for (;;) {
        const bool more = trn_seqset_first_in (left, from, TRN_SEQ_MAX, &one);
        if (more != trn_seqset_first_in (right, from, TRN_SEQ_MAX, &other)) {
            return false;
        }
        if (!more) {
            return true;
        }
        if (one.from != other.from || one.to != other.to) {
            return false;
        }
        from = one.to + 1;
    }
}

static void
test_a_selection_is_what_it_was (void **state)
{
    (void) state;
    trn_selection_t selection = s_some (3);
    size_t size = 0;
    uint8_t *bytes = trn_selection_encode (&selection, SEED, &size);
    trn_selection_t read;
    assert_int_equal (trn_selection_decode (&read, SEED, bytes, size), TERN_OK);
    assert_int_equal (read.number, 3);
    assert_int_equal (read.to, 30000);
    assert_true (s_is_same (&read.seqs, &selection.seqs));
    trn_seqset_clear (&read.seqs);
    //  Somebody else's, and damage at any byte.
    assert_int_equal (trn_selection_decode (&read, SEED + 1, bytes, size),
                      TERN_ECORRUPT);
    for (size_t at = 0; at < size; at++) {
        bytes[at] ^= 0x10;
        assert_int_not_equal (trn_selection_decode (&read, SEED, bytes, size),
                              TERN_OK);
        bytes[at] ^= 0x10;
        assert_int_not_equal (trn_selection_decode (&read, SEED, bytes, at),
                              TERN_OK);
    }
    free (bytes);
    trn_seqset_clear (&selection.seqs);
}

//  The format, as it will have to be read for ever.
static void
test_a_selection_has_these_bytes (void **state)
{
    (void) state;
    static const uint8_t wanted[] = {
        'T',  'E',  'R', 'N', 'P', 'A', 'S', 'T',  //
        1,    0,    0,   0,                        //  version
        0x2a, 0,    0,   0,                        //  number
        0xff, 0x2f, 0,   0,   0,   0,   0,   0,    //  to: 12287
        0,    0,    0,   0,   0,   0,   0,   0,    //  page 0
        2,    0,    0,   0,   0,   0,   0,   0,    //  2 of it
        0x02, 0x01, 0,   0,   0,   0,   0,   0,    //  1 and 8
    };
    static const uint8_t last[] = {
        1, 0,    0, 0, 0, 0, 0, 0,  //  page 1
        0, 0x20, 0, 0, 0, 0, 0, 0,  //  8192: and page 2
    };
    trn_selection_t selection = {.number = 42, .to = 12287};
    trn_seqset_add (&selection.seqs, 1, 1);
    trn_seqset_add (&selection.seqs, 8, 8);
    trn_seqset_add (&selection.seqs, 4096, 12287);
    size_t size = 0;
    uint8_t *bytes = trn_selection_encode (&selection, SEED, &size);
    assert_int_equal (size, 32 + 528 + 16);
    assert_memory_equal (bytes + 8, wanted, sizeof wanted);
    assert_memory_equal (bytes + 32 + 528, last, sizeof last);
    assert_true (trn_get_u64 (bytes)
                 == XXH3_64bits_withSeed (bytes + 8, size - 8, SEED));
    free (bytes);
    trn_seqset_clear (&selection.seqs);
}

static void
s_sign (uint8_t *bytes, size_t size)
{
    trn_put_u64 (bytes, XXH3_64bits_withSeed (bytes + 8, size - 8, SEED));
}

//  A right sum over wrong contents.
static void
test_what_cannot_be_is_refused (void **state)
{
    (void) state;
    static const struct {
        size_t at;
        uint64_t value;
        int rc;
    } wrong[] = {
        {16, UINT64_C (2), TERN_EVERSION},
        {16, UINT64_C (1), TERN_ECORRUPT},  //  number 0
        {24, UINT64_MAX, TERN_ECORRUPT},    //  to: no seq
        {32, 8, TERN_ECORRUPT},             //  a page behind to
        {32, UINT64_MAX, TERN_ECORRUPT},
        {40, 0, TERN_ECORRUPT},  //  a part without seqs
        {40, UINT64_MAX, TERN_ECORRUPT},
    };
    trn_selection_t selection = s_some (3);
    for (size_t index = 0; index < sizeof wrong / sizeof *wrong; index++) {
        size_t size = 0;
        uint8_t *bytes = trn_selection_encode (&selection, SEED, &size);
        trn_put_u64 (bytes + wrong[index].at, wrong[index].value);
        s_sign (bytes, size);
        trn_selection_t read;
        assert_int_equal (trn_selection_decode (&read, SEED, bytes, size),
                          wrong[index].rc);
        free (bytes);
    }
    trn_seqset_clear (&selection.seqs);
}

//  Files --------------------------------------------------------------------

typedef struct {
    unsigned count;
    uint32_t numbers[8];
} s_found_t;

static void
s_note (void *arg, trn_selection_t *selection)
{
    s_found_t *found = arg;
    trn_selection_t wanted = s_some (selection->number);
    assert_true (found->count < 8);
    assert_true (s_is_same (&selection->seqs, &wanted.seqs));
    found->numbers[found->count++] = selection->number;
    trn_seqset_clear (&wanted.seqs);
}

static s_found_t
s_read (trn_disk_t *disk)
{
    s_found_t found = {0};
    uint32_t number = 0;
    const int dir = disk->open_root (disk, "outbox", 1);
    assert_true (dir >= 0);
    trn_selection_tidy (disk, dir);
    assert_int_equal (
        trn_selection_each (disk, dir, SEED, s_note, &found, &number), TERN_OK);
    disk->close (disk, dir);
    return found;
}

static int
s_write (trn_disk_t *disk, int dir, uint32_t number)
{
    trn_selection_t selection = s_some (number);
    size_t size = 0;
    uint8_t *bytes = trn_selection_encode (&selection, SEED, &size);
    const int rc = trn_selection_write (disk, dir, number, bytes, size);
    free (bytes);
    trn_seqset_clear (&selection.seqs);
    return rc;
}

//  At each call of the disk the power goes, or the process: a selection is there
//  as it is or not at all, and one that was said to be there is.
static void
test_a_crash_leaves_all_of_a_selection_or_nothing (void **state)
{
    (void) state;
    bool done = false;
    for (uint64_t nth = 1; !done; nth++) {
        trn_disk_t *memory = trn_disk_memory_new ();
        trn_disk_t *disk = trn_disk_faulty_new (memory);
        const int dir = disk->open_root (disk, "outbox", 1);
        assert_int_equal (disk->fsync (disk, dir), 0);
        const trn_disk_fault_t fault
            = {.nth = nth, .forever = true, .error = EIO};
        trn_disk_faulty_plan (disk, &fault);
        const int rc = s_write (disk, dir, 1);
        done = rc == TERN_OK;
        for (uint64_t seed = 1; seed <= 50; seed++) {
            trn_disk_t *copy = trn_disk_memory_copy (memory);
            if (seed == 1) {
                trn_disk_memory_kill (copy);
            } else {
                trn_disk_memory_crash (copy, seed);
            }
            const s_found_t found = s_read (copy);
            assert_true (found.count <= 1);
            assert_true (!done || found.count == 1);
            trn_disk_memory_destroy (&copy);
        }
        trn_disk_faulty_destroy (&disk);
        trn_disk_memory_destroy (&memory);
        assert_true (nth < 100);
    }
}

static void
test_selections_come_and_go (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    const int dir = disk->open_root (disk, "outbox", 1);
    assert_int_equal (s_write (disk, dir, 1), TERN_OK);
    assert_int_equal (s_write (disk, dir, 0xabcdef01), TERN_OK);
    assert_int_equal (s_write (disk, dir, 1), TERN_OK);
    assert_int_equal (s_read (disk).count, 2);
    trn_selection_remove (disk, dir, 1);
    const s_found_t found = s_read (disk);
    assert_int_equal (found.count, 1);
    assert_int_equal (found.numbers[0], 0xabcdef01);
    //  A name says which one it is.
    assert_int_equal (
        disk->rename (disk, dir, "past-abcdef01", "past-00000001"), 0);
    s_found_t none = {0};
    uint32_t number = 0;
    assert_int_equal (
        trn_selection_each (disk, dir, SEED, s_note, &none, &number),
        TERN_ECORRUPT);
    assert_int_equal (number, 1);
    //  What is called otherwise is somebody else's.
    assert_int_equal (disk->rename (disk, dir, "past-00000001", "past-1"), 0);
    assert_int_equal (s_read (disk).count, 0);
    trn_disk_memory_destroy (&disk);
}

static void
test_a_full_disk_keeps_nothing_of_it (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    const int dir = disk->open_root (disk, "outbox", 1);
    trn_disk_memory_limit (disk, 600);
    assert_int_equal (s_write (disk, dir, 1), TERN_EFULL);
    assert_int_equal (trn_disk_memory_used (disk), 0);
    trn_disk_memory_limit (disk, UINT64_MAX);
    assert_int_equal (s_write (disk, dir, 1), TERN_OK);
    assert_int_equal (s_read (disk).count, 1);
    trn_disk_memory_destroy (&disk);
}

//  A store ------------------------------------------------------------------

enum {
    PATIENCE_MS = 30000,
    QUIET_MS = 50
};

typedef struct {
    trn_store_t *store;
    trn_outbox_t *outbox;
    sem_t news;
} s_owner_t;

static void
s_notify (void *arg)
{
    sem_post (arg);
}

static void
s_open (s_owner_t *self, trn_disk_t *disk)
{
    *self = (s_owner_t) {.store = NULL};
    sem_init (&self->news, 0, 0);
    const trn_store_config_t config = {.disk = disk,
                                       .path = "data",
                                       .name = "a",
                                       .notify = s_notify,
                                       .notify_arg = &self->news};
    assert_int_equal (trn_store_open (&self->store, &config, NULL, NULL, 0),
                      TERN_OK);
    const trn_log_config_t log = {0};
    uint8_t *state = NULL;
    size_t size = 0;
    assert_int_equal (trn_store_outbox (self->store, "#news", &log,
                                        &self->outbox, &state, &size, NULL,
                                        NULL, 0),
                      TERN_OK);
    free (state);
}

static void
s_abandon (s_owner_t *self)
{
    trn_store_abandon (&self->store);
    sem_destroy (&self->news);
}

static void
s_select (s_owner_t *self, uint32_t number)
{
    trn_selection_t selection = s_some (number);
    trn_outbox_select (self->outbox, &selection);
    trn_seqset_clear (&selection.seqs);
}

//  What is said next of a selection; 0: nothing in this time.
static int
s_selected (s_owner_t *self, int timeout_ms, uint32_t *number_p)
{
    struct timespec until;
    clock_gettime (CLOCK_REALTIME, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long) (timeout_ms % 1000) * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    int rc = 0;
    while ((rc = trn_outbox_selected (self->outbox, number_p)) == 0
           && sem_timedwait (&self->news, &until) == 0) {
    }
    return rc;
}

//  This is said next, of this selection.
static void
s_is_told (s_owner_t *self, int wanted, uint32_t of)
{
    uint32_t number = 0;
    assert_int_equal (s_selected (self, PATIENCE_MS, &number), wanted);
    assert_int_equal (number, of);
}

static s_found_t
s_selections (const s_owner_t *self, int rc)
{
    s_found_t found = {0};
    char why[128] = "";
    assert_int_equal (
        trn_outbox_selections (self->outbox, s_note, &found, why, sizeof why),
        rc);
    assert_true (rc == TERN_OK || strstr (why, "past-00000002"));
    return found;
}

//  In the background: the owner is told when one is durable.
static void
test_an_outbox_keeps_selections (void **state)
{
    (void) state;
    s_owner_t owner;
    trn_disk_t *disk = trn_disk_memory_new ();
    s_open (&owner, disk);
    for (uint32_t number = 1; number <= 3; number++) {
        s_select (&owner, number);
    }
    trn_outbox_unselect (owner.outbox, 1);
    for (uint32_t number = 1; number <= 3; number++) {
        s_is_told (&owner, 1, number);
    }
    trn_disk_t *crashed = trn_disk_memory_copy (disk);
    trn_disk_memory_crash (crashed, 1);
    s_abandon (&owner);
    trn_disk_memory_destroy (&disk);

    s_open (&owner, crashed);
    assert_in_range (s_selections (&owner, TERN_OK).count, 2, 3);
    assert_int_equal (trn_store_close (&owner.store), TERN_OK);
    sem_destroy (&owner.news);

    //  Damage is found by whoever looks, and who opens.
    tern_store_t *seen = NULL;
    tern_outbox_info_t info;
    assert_int_equal (trn_inspect_open (&seen, crashed, "data", NULL, 0), 0);
    assert_int_equal (tern_store_verify (seen, "#news", &info), 0);
    assert_int_not_equal (info.health, TERN_OUTBOX_CORRUPT);
    char path[128];
    snprintf (path, sizeof path, "data/outbox/%s/past-00000002",
              seen->boxes[0].entry);
    assert_int_equal (trn_disk_memory_resize (crashed, path, 100), 0);
    assert_int_equal (tern_store_verify (seen, "#news", &info), 0);
    assert_int_equal (info.health, TERN_OUTBOX_CORRUPT);
    assert_string_equal (info.problem, "past-00000002 is damaged");
    tern_store_close (&seen);
    s_open (&owner, crashed);
    s_selections (&owner, TERN_ECORRUPT);
    s_abandon (&owner);
    trn_disk_memory_destroy (&crashed);
}

static void
test_a_selection_waits_for_room (void **state)
{
    (void) state;
    s_owner_t owner;
    trn_disk_t *disk = trn_disk_memory_new ();
    s_open (&owner, disk);
    trn_disk_memory_limit (disk, trn_disk_memory_used (disk));
    s_select (&owner, 1);
    uint32_t number = 0;
    assert_int_equal (s_selected (&owner, QUIET_MS, &number), 0);
    //  States can be saved meanwhile.
    trn_outbox_save (owner.outbox, (const uint8_t *) "x", 1, 1, 1);
    assert_int_equal (trn_outbox_wait_saved (owner.outbox, 1, PATIENCE_MS),
                      TERN_OK);
    trn_disk_memory_limit (disk, UINT64_MAX);
    s_is_told (&owner, 1, 1);
    s_abandon (&owner);
    trn_disk_memory_destroy (&disk);
}

//  A disk that fails does not come back in this life.
static void
test_a_selection_that_cannot_be_is_told (void **state)
{
    (void) state;
    s_owner_t owner;
    trn_disk_t *memory = trn_disk_memory_new ();
    trn_disk_t *disk = trn_disk_faulty_new (memory);
    s_open (&owner, disk);
    const trn_disk_fault_t fault = {.nth = 1, .forever = true, .error = EIO};
    trn_disk_faulty_plan (disk, &fault);
    s_select (&owner, 7);
    s_is_told (&owner, TERN_EIO, 7);
    s_abandon (&owner);
    trn_disk_faulty_destroy (&disk);
    trn_disk_memory_destroy (&memory);
}

int
main (void)
{
    cmocka_set_message_output (CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_a_selection_is_what_it_was),
        cmocka_unit_test (test_a_selection_has_these_bytes),
        cmocka_unit_test (test_what_cannot_be_is_refused),
        cmocka_unit_test (test_a_crash_leaves_all_of_a_selection_or_nothing),
        cmocka_unit_test (test_selections_come_and_go),
        cmocka_unit_test (test_a_full_disk_keeps_nothing_of_it),
        cmocka_unit_test (test_an_outbox_keeps_selections),
        cmocka_unit_test (test_a_selection_waits_for_room),
        cmocka_unit_test (test_a_selection_that_cannot_be_is_told),
    };
    return cmocka_run_group_tests_name ("selection", tests, NULL, NULL);
}
