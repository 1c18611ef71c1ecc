//  test_base_seqset - sets of scattered seqs against a slow oracle
//
//  SPDX-License-Identifier: MPL-2.0

#include "base/seqset.h"

#include "base/limits.h"
#include "support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define PAGE TRN_SEQSET_PAGE

//  The oracle: one byte per number of a small universe.
#define UNIVERSE (6 * PAGE)

typedef struct {
    trn_seqset_t set;
    uint8_t has[UNIVERSE];
    uint64_t base;  //  number 0 of the universe
} both_t;

//  What the top of seqset.c promises of its parts.
static void
s_check_shape (const trn_seqset_t *set)
{
    uint64_t total = 0;
    uint64_t next = 0;
    bool full_before = false;
    for (size_t index = 0; index < set->count; index++) {
        const trn_seqset_part_t *part = &set->at[set->head + index];
        const bool touches = index && part->page == next;
        assert_true (part->page >= next);
        assert_true (part->bits ? part->in > 0 && part->in < PAGE
                                : part->in > 0 && part->in % PAGE == 0);
        assert_false (touches && full_before && !part->bits);
        full_before = !part->bits;
        next = part->page + (part->bits ? 1 : part->in / PAGE);
        total += part->in;
    }
    assert_true (set->head + set->count <= set->capacity);
    assert_true (total == trn_seqset_total (set));
    assert_true (trn_seqset_pages (set) == set->count);
}

static uint64_t
s_slow_count (const both_t *both, uint64_t from, uint64_t to)
{
    uint64_t count = 0;
    for (uint64_t number = from; number <= to; number++) {
        count += both->has[number];
    }
    return count;
}

//  The first run of numbers in from..to whose membership is wanted.
static bool
s_slow_first (const both_t *both, uint64_t from, uint64_t to, uint8_t wanted,
              trn_range_t *found)
{
    while (from <= to && both->has[from] != wanted) {
        from++;
    }
    if (from > to) {
        return false;
    }
    *found = (trn_range_t) {from, from};
    while (found->to < to && both->has[found->to + 1] == wanted) {
        found->to++;
    }
    return true;
}

static void
s_check_first (const both_t *both, uint64_t from, uint64_t to)
{
    for (uint8_t wanted = 0; wanted < 2; wanted++) {
        trn_range_t expected = {0, 0};
        trn_range_t found = {0, 0};
        const bool any = s_slow_first (both, from, to, wanted, &expected);
        const bool got
            = wanted ? trn_seqset_first_in (&both->set, both->base + from,
                                            both->base + to, &found)
                     : trn_seqset_first_out (&both->set, both->base + from,
                                             both->base + to, &found);
        assert_int_equal (got, any);
        if (any) {
            assert_true (found.from == both->base + expected.from);
            assert_true (found.to == both->base + expected.to);
        }
    }
}

static void
s_check_contents (const both_t *both)
{
    for (uint64_t number = 0; number < UNIVERSE; number++) {
        assert_int_equal (trn_seqset_has (&both->set, both->base + number),
                          both->has[number]);
    }
    assert_true (trn_seqset_total (&both->set)
                 == s_slow_count (both, 0, UNIVERSE - 1));
}

//  Single numbers, parts of pages, whole pages, several of them.
static trn_range_t
s_draw (test_random_t *random, uint64_t base)
{
    uint64_t from = test_random_below (random, UNIVERSE);
    uint64_t size = 1;
    switch (test_random_below (random, 6)) {
    case 0: size += test_random_below (random, 64); break;
    case 1: size += test_random_below (random, 2 * PAGE); break;
    case 2: size += test_random_below (random, UNIVERSE); break;
    case 3:
        from -= (base + from) % PAGE <= from ? (base + from) % PAGE : 0;
        size = PAGE * (1 + test_random_below (random, 3));
        break;
    case 4:
        from -= (base + from) % PAGE <= from ? (base + from) % PAGE : 0;
        size = PAGE - test_random_below (random, 2);
        break;
    default: break;
    }
    const uint64_t to = from + size - 1;
    return (trn_range_t) {from, to < UNIVERSE ? to : UNIVERSE - 1};
}

static void
s_random_operations (test_random_t *random, uint64_t base)
{
    static both_t both;
    both = (both_t) {.base = base};
    for (int step = 0; step < 400; step++) {
        const trn_range_t what = s_draw (random, base);
        const uint64_t size = what.to - what.from + 1;
        const uint64_t in = s_slow_count (&both, what.from, what.to);
        const bool add = test_random_below (random, 2);
        assert_true (
            trn_seqset_count (&both.set, base + what.from, base + what.to)
            == in);
        if (add) {
            assert_true (
                trn_seqset_add (&both.set, base + what.from, base + what.to)
                == size - in);
        } else {
            assert_true (
                trn_seqset_remove (&both.set, base + what.from, base + what.to)
                == in);
        }
        memset (both.has + what.from, add, (size_t) size);
        s_check_shape (&both.set);
        const trn_range_t asked = s_draw (random, base);
        s_check_first (&both, asked.from, asked.to);
        s_check_first (&both, what.from, UNIVERSE - 1);
        if (step % 32 == 0) {
            s_check_contents (&both);
        }
    }
    s_check_contents (&both);
    trn_seqset_clear (&both.set);
    assert_true (trn_seqset_total (&both.set) == 0 && !both.set.at);
}

static void
random_operations_agree_with_a_slow_oracle (void **state)
{
    (void) state;
    test_random_t random = test_random_start ();
    for (int round = 0; round < 20; round++) {
        s_random_operations (&random, test_random_below (&random, PAGE));
    }
}

static void
the_same_holds_at_both_ends_of_the_numbers (void **state)
{
    (void) state;
    test_random_t random = test_random_start ();
    s_random_operations (&random, 0);
    s_random_operations (&random, UINT64_MAX - UNIVERSE);
    s_random_operations (&random, TRN_SEQ_MAX - UNIVERSE / 2);
    s_random_operations (&random, (UINT64_C (1) << 32) - UNIVERSE / 2);
}

//  Seqs that come at one end and go at the other, most of them in order.
static void
a_window_that_moves_stays_small (void **state)
{
    (void) state;
    test_random_t random = test_random_start ();
    trn_seqset_t set = {0};
    const uint64_t window = 16 * PAGE;
    for (uint64_t seq = 1; seq < 300 * PAGE; seq++) {
        if (test_random_below (&random, 2)) {
            trn_seqset_add (&set, seq, seq);
        }
        if (seq > window && seq % 100 == 0) {
            trn_seqset_remove (&set, 0, seq - window);
            assert_true (trn_seqset_pages (&set) <= 18);
            assert_true (set.capacity <= 18 * 4);
        }
    }
    s_check_shape (&set);
    trn_seqset_clear (&set);
}

static void
a_million_scattered_seqs_take_a_few_hundred_pages (void **state)
{
    (void) state;
    trn_seqset_t set = {0};
    const uint64_t first = UINT64_C (100000000);
    for (uint64_t index = 0; index < 1000000; index++) {
        const uint64_t scattered = index * 7919 % 1000000;
        assert_true (
            trn_seqset_add (&set, first + 2 * scattered, first + 2 * scattered)
            == 1);
    }
    s_check_shape (&set);
    assert_true (trn_seqset_total (&set) == 1000000);
    assert_true (trn_seqset_pages (&set) <= 2000000 / PAGE + 2);
    trn_range_t found;
    assert_true (trn_seqset_first_in (&set, 1, TRN_SEQ_MAX, &found));
    assert_true (found.from == first && found.to == first);

    //  When the holes are filled, three parts are left.
    for (uint64_t index = 0; index < 1000000; index++) {
        const uint64_t scattered = index * 104729 % 1000000;
        trn_seqset_add (&set, first + 2 * scattered + 1,
                        first + 2 * scattered + 1);
    }
    s_check_shape (&set);
    assert_true (trn_seqset_pages (&set) <= 3);
    assert_true (trn_seqset_first_in (&set, 1, TRN_SEQ_MAX, &found));
    assert_true (found.from == first && found.to == first + 1999999);
    trn_seqset_clear (&set);
}

//  A store that ends uncleanly skips up to 4 million seqs each time.
static void
jumps_of_millions_cost_nothing (void **state)
{
    (void) state;
    trn_seqset_t set = {0};
    for (uint64_t jump = 0; jump < 1000; jump++) {
        trn_seqset_add (&set, jump << 22 | 5, jump << 22 | 5);
    }
    assert_true (trn_seqset_pages (&set) == 1000);
    assert_true (set.capacity <= 1500);
    for (uint64_t jump = 0; jump < 1000; jump++) {
        trn_seqset_add (&set, jump << 22 | 6, (jump + 1) << 22 | 4);
    }
    s_check_shape (&set);
    assert_true (trn_seqset_pages (&set) <= 3);
    assert_true (trn_seqset_count (&set, 1, TRN_SEQ_MAX)
                 == UINT64_C (1000) << 22);
    trn_seqset_clear (&set);
}

static void
all_seqs_are_a_few_parts (void **state)
{
    (void) state;
    trn_seqset_t set = {0};
    assert_true (trn_seqset_add (&set, 1, TRN_SEQ_MAX) == TRN_SEQ_MAX);
    assert_true (trn_seqset_remove (&set, 5, 5) == 1);
    assert_true (
        trn_seqset_remove (&set, UINT64_C (1) << 40, UINT64_C (1) << 41)
        == (UINT64_C (1) << 40) + 1);
    assert_true (trn_seqset_pages (&set) <= 5);
    trn_range_t found;
    assert_true (trn_seqset_first_out (&set, 6, TRN_SEQ_MAX, &found));
    assert_true (found.from == UINT64_C (1) << 40
                 && found.to == UINT64_C (1) << 41);
    assert_true (trn_seqset_first_in (&set, 6, TRN_SEQ_MAX, &found));
    assert_true (found.from == 6 && found.to == (UINT64_C (1) << 40) - 1);
    trn_seqset_remove (&set, 0, UINT64_MAX - 1);
    assert_true (trn_seqset_total (&set) == 0 && trn_seqset_pages (&set) == 0);
    trn_seqset_clear (&set);
}

static void
an_empty_set_has_nothing (void **state)
{
    (void) state;
    trn_seqset_t set = {0};
    trn_range_t found;
    assert_false (trn_seqset_has (&set, 0));
    assert_false (trn_seqset_first_in (&set, 0, UINT64_MAX, &found));
    assert_true (trn_seqset_first_out (&set, 5, 9, &found));
    assert_true (found.from == 5 && found.to == 9);
    assert_true (trn_seqset_count (&set, 0, UINT64_MAX) == 0);
    assert_true (trn_seqset_remove (&set, 0, UINT64_MAX - 1) == 0);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (random_operations_agree_with_a_slow_oracle),
        cmocka_unit_test (the_same_holds_at_both_ends_of_the_numbers),
        cmocka_unit_test (a_window_that_moves_stays_small),
        cmocka_unit_test (a_million_scattered_seqs_take_a_few_hundred_pages),
        cmocka_unit_test (jumps_of_millions_cost_nothing),
        cmocka_unit_test (all_seqs_are_a_few_parts),
        cmocka_unit_test (an_empty_set_has_nothing),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name ("base/seqset", tests, NULL, NULL);
}
