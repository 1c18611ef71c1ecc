//  test_core_counts - how often each seq was delivered
//
//  SPDX-License-Identifier: MPL-2.0

#include "base/limits.h"
#include "core/counts.h"
#include "core/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SEQS 20000u

//  What any range says is what an array of all seqs says.
static void
s_compare (const trn_counts_t *counts, const uint16_t *model)
{
    uint64_t total = 0;
    for (uint64_t seq = 0; seq < SEQS; seq++) {
        total += model[seq] != 0;
    }
    assert_int_equal (counts->total, total);
    uint64_t from = 0;
    while (from < SEQS) {
        uint64_t end = from;
        while (end + 1 < SEQS && model[end + 1] == model[from]) {
            end++;
        }
        uint64_t to = SEQS - 1;
        assert_int_equal (trn_counts_get (counts, from, &to), model[from]);
        assert_int_equal (to, end);
        trn_counted_t found;
        if (model[from]) {
            assert_true (trn_counts_next (counts, from, SEQS - 1, &found));
            assert_int_equal (found.from, from);
            assert_int_equal (found.to, end);
            assert_int_equal (found.count, model[from]);
        } else {
            assert_int_equal (trn_counts_next (counts, from, end, &found), 0);
        }
        from = end + 1;
    }
}

static void
test_ranges_say_what_single_seqs_would (void **state)
{
    (void) state;
    static uint16_t model[SEQS];
    memset (model, 0, sizeof model);
    trn_counts_t counts = {0};
    trn_rng_t rng = {1};
    for (int round = 0; round < 300; round++) {
        const uint64_t from = trn_rng_below (&rng, SEQS);
        const uint64_t most = round % 3 ? 50 : SEQS;
        uint64_t to = from + trn_rng_below (&rng, most);
        to = to < SEQS ? to : SEQS - 1;
        const uint16_t count = (uint16_t) trn_rng_below (&rng, 3);
        trn_counts_set (&counts, from, to, count);
        for (uint64_t seq = from; seq <= to; seq++) {
            model[seq] = count;
        }
        if (round % 10 == 0) {
            s_compare (&counts, model);
        }
    }
    trn_counts_set (&counts, 0, SEQS, 0);
    memset (model, 0, sizeof model);
    s_compare (&counts, model);
    assert_int_equal (counts.used, 0);
    trn_counts_clear (&counts);
}

//  None of this ends if it takes a step per page between.
static void
test_the_distance_between_counts_costs_nothing (void **state)
{
    (void) state;
    trn_counts_t counts = {0};
    trn_counts_set (&counts, 1, 1, 7);
    trn_counts_set (&counts, TRN_SEQ_MAX, TRN_SEQ_MAX, UINT32_MAX);
    assert_int_equal (counts.used, 2);
    uint64_t to = TRN_SEQ_MAX;
    assert_int_equal (trn_counts_get (&counts, 2, &to), 0);
    assert_int_equal (to, TRN_SEQ_MAX - 1);
    trn_counted_t found;
    assert_true (trn_counts_next (&counts, 2, TRN_SEQ_MAX, &found));
    assert_int_equal (found.from, TRN_SEQ_MAX);
    assert_int_equal (found.count, TRN_COUNT_MAX);
    trn_counts_set (&counts, 2, TRN_SEQ_MAX, 0);
    assert_int_equal (counts.total, 1);
    trn_counts_clear (&counts);
    assert_int_equal (counts.total, 0);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_ranges_say_what_single_seqs_would),
        cmocka_unit_test (test_the_distance_between_counts_costs_nothing),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
