//  test_store_shelf - records that were read back are found until they go
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/shelf.h"
#include "support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

//  A chunk of count records of so many bytes each.
static trn_chunk_t *
s_chunk (uint64_t first_seq, uint32_t count, uint32_t size)
{
    trn_chunk_t *const chunk = trn_chunk_new (count * size, count, NULL);
    chunk->first_seq = first_seq;
    chunk->filled = count * size;
    for (uint32_t i = 0; i < count; i++) {
        chunk->index[i] = i * size;
    }
    atomic_store (&chunk->count, count);
    return chunk;
}

static void
s_put (trn_shelf_t *shelf, uint64_t first_seq, uint32_t count, uint32_t size)
{
    trn_chunk_t *chunk = s_chunk (first_seq, count, size);
    trn_shelf_put (shelf, &chunk);
    assert_null (chunk);
}

static bool
s_has (const trn_shelf_t *shelf, uint64_t seq)
{
    const trn_chunk_t *const chunk = trn_shelf_find (shelf, seq);
    if (chunk) {
        assert_true (chunk->first_seq <= seq
                     && seq - chunk->first_seq < atomic_load (&chunk->count));
    }
    return chunk != NULL;
}

static void
test_each_record_of_a_chunk_is_found_and_goes_alone (void **state)
{
    (void) state;
    trn_shelf_t *shelf = trn_shelf_new ();
    s_put (shelf, 10, 3, 64);
    s_put (shelf, 500, 1, 64);
    assert_int_equal (trn_shelf_count (shelf), 4);
    assert_true (s_has (shelf, 10) && s_has (shelf, 12) && s_has (shelf, 500));
    assert_false (s_has (shelf, 9) || s_has (shelf, 13));
    trn_shelf_remove (shelf, 11, 1);
    assert_false (s_has (shelf, 11));
    assert_true (s_has (shelf, 10) && s_has (shelf, 12));
    trn_shelf_remove (shelf, 1, 1000);
    assert_int_equal (trn_shelf_count (shelf), 0);
    trn_shelf_destroy (&shelf);
    trn_shelf_destroy (&shelf);
}

static void
test_the_oldest_go_when_there_are_too_many (void **state)
{
    (void) state;
    trn_shelf_t *shelf = trn_shelf_new ();
    for (uint64_t seq = 1; seq <= 3 * TRN_SHELF_RECORDS; seq++) {
        s_put (shelf, seq * 1000, 1, 64);
        assert_true (trn_shelf_count (shelf) <= TRN_SHELF_RECORDS);
        assert_true (s_has (shelf, seq * 1000));
    }
    assert_true (s_has (shelf, (2 * TRN_SHELF_RECORDS + 1) * 1000));
    assert_false (s_has (shelf, 2 * TRN_SHELF_RECORDS * 1000));
    //  What comes again is young again.
    s_put (shelf, (2 * TRN_SHELF_RECORDS + 1) * 1000, 1, 64);
    for (uint64_t seq = 1; seq < TRN_SHELF_RECORDS; seq++) {
        s_put (shelf, seq, 1, 64);
    }
    assert_true (s_has (shelf, (2 * TRN_SHELF_RECORDS + 1) * 1000));
    trn_shelf_destroy (&shelf);
}

static void
test_the_oldest_go_when_there_are_too_many_bytes (void **state)
{
    (void) state;
    trn_shelf_t *shelf = trn_shelf_new ();
    for (uint64_t seq = 1; seq <= 40; seq++) {
        s_put (shelf, seq, 1, 1024 * 1024);
        assert_true (s_has (shelf, seq));
    }
    assert_int_equal (trn_shelf_count (shelf), 16);
    assert_true (s_has (shelf, 25) && !s_has (shelf, 24));
    trn_shelf_destroy (&shelf);
}

//  Against a model that knows when each came.
static void
test_random_use_agrees_with_a_slow_model (void **state)
{
    (void) state;
    enum {
        SEQS = 4000
    };
    static uint64_t came[SEQS];
    memset (came, 0, sizeof came);
    test_random_t random = test_random_start ();
    trn_shelf_t *shelf = trn_shelf_new ();
    uint64_t number = 0;
    for (unsigned step = 0; step < 20000; step++) {
        const uint64_t seq = test_random_below (&random, SEQS - 8);
        const uint32_t count = 1 + (uint32_t) test_random_below (&random, 8);
        if (test_random_below (&random, 3)) {
            s_put (shelf, seq, count, 64);
            for (uint32_t i = 0; i < count; i++) {
                came[seq + i] = ++number;
            }
        } else {
            trn_shelf_remove (shelf, seq, count);
            memset (came + seq, 0, count * sizeof *came);
        }
        if (step % 200 == 0) {
            for (uint64_t at = 0; at < SEQS; at++) {
                const bool young
                    = came[at] && number - came[at] < TRN_SHELF_RECORDS;
                assert_int_equal (s_has (shelf, at), young);
            }
        }
    }
    trn_shelf_destroy (&shelf);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_each_record_of_a_chunk_is_found_and_goes_alone),
        cmocka_unit_test (test_the_oldest_go_when_there_are_too_many),
        cmocka_unit_test (test_the_oldest_go_when_there_are_too_many_bytes),
        cmocka_unit_test (test_random_use_agrees_with_a_slow_model),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
