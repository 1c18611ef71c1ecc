//  test_base_ranges - sets of numbers against a slow oracle
//
//  SPDX-License-Identifier: MPL-2.0

#include "base/ranges.h"

#include "support/seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

//  The oracle: one byte per number of a small universe.
#define UNIVERSE 200u

typedef struct {
    trn_ranges_t set;
    uint8_t has[UNIVERSE];
    uint64_t base;  //  number 0 of the universe
} both_t;

static void
s_check_shape (const trn_ranges_t *set)
{
    for (size_t index = 0; index < set->count; index++) {
        assert_true (set->at[index].from <= set->at[index].to);
        if (index) {
            assert_true (set->at[index - 1].to + 1 < set->at[index].from);
        }
    }
    assert_true (set->count <= set->capacity);
}

static void
s_check_contents (const both_t *both)
{
    uint64_t total = 0;
    for (uint64_t number = 0; number < UNIVERSE; number++) {
        assert_int_equal (trn_ranges_has (&both->set, both->base + number),
                          both->has[number]);
        total += both->has[number];
    }
    assert_true (trn_ranges_total (&both->set) == total);
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
            = wanted ? trn_ranges_first_in (&both->set, both->base + from,
                                            both->base + to, &found)
                     : trn_ranges_first_out (&both->set, both->base + from,
                                             both->base + to, &found);
        assert_int_equal (got, any);
        if (any) {
            assert_true (found.from == both->base + expected.from);
            assert_true (found.to == both->base + expected.to);
        }
    }
}

static void
s_random_operations (test_random_t *random, uint64_t base)
{
    both_t both = {.base = base};
    for (int step = 0; step < 2000; step++) {
        uint64_t from = test_random_below (random, UNIVERSE);
        uint64_t to = from + test_random_below (random, 12);
        to = to < UNIVERSE ? to : UNIVERSE - 1;
        const uint64_t what = test_random_below (random, 16);
        if (what == 0) {
            from = 0;
            to = test_random_below (random, UNIVERSE);
        }
        const bool add = what % 2 != 0;
        if (add) {
            trn_ranges_add (&both.set, base + from, base + to);
        } else {
            trn_ranges_remove (&both.set, base + from, base + to);
        }
        memset (both.has + from, add, (size_t) (to - from + 1));
        s_check_shape (&both.set);
        s_check_first (&both, from, to);
        s_check_first (&both, 0, UNIVERSE - 1);
        if (step % 16 == 0) {
            s_check_contents (&both);
        }
    }
    s_check_contents (&both);
    trn_ranges_clear (&both.set);
    assert_true (both.set.count == 0 && !both.set.at);
}

static void
random_operations_agree_with_a_slow_oracle (void **state)
{
    (void) state;
    test_random_t random = test_random_start ();
    for (int round = 0; round < 20; round++) {
        s_random_operations (&random, 1);
    }
}

static void
the_same_holds_at_both_ends_of_the_numbers (void **state)
{
    (void) state;
    test_random_t random = test_random_start ();
    s_random_operations (&random, 0);
    s_random_operations (&random, UINT64_MAX - UNIVERSE);
    s_random_operations (&random, (UINT64_C (1) << 32) - UNIVERSE / 2);
}

static void
numbers_in_order_are_one_range (void **state)
{
    (void) state;
    trn_ranges_t set = {0};
    for (uint64_t number = 1; number <= 1000; number++) {
        trn_ranges_add (&set, number, number);
    }
    assert_true (set.count == 1);
    assert_true (set.at[0].from == 1 && set.at[0].to == 1000);
    trn_ranges_clear (&set);
}

static void
a_hole_that_is_filled_joins_its_neighbours (void **state)
{
    (void) state;
    trn_ranges_t set = {0};
    trn_ranges_add (&set, 1, 3);
    trn_ranges_add (&set, 7, 9);
    trn_ranges_add (&set, 11, 11);
    assert_true (set.count == 3);
    trn_ranges_add (&set, 4, 6);
    assert_true (set.count == 2);
    trn_ranges_add (&set, 0, 20);
    assert_true (set.count == 1 && trn_ranges_total (&set) == 21);
    trn_ranges_remove (&set, 0, UINT64_MAX - 1);
    assert_true (set.count == 0 && trn_ranges_total (&set) == 0);
    trn_ranges_clear (&set);
}

static void
an_empty_set_has_nothing (void **state)
{
    (void) state;
    const trn_ranges_t set = {0};
    trn_range_t found;
    assert_false (trn_ranges_has (&set, 0));
    assert_false (trn_ranges_first_in (&set, 0, UINT64_MAX, &found));
    assert_true (trn_ranges_first_out (&set, 5, 9, &found));
    assert_true (found.from == 5 && found.to == 9);
    assert_true (trn_ranges_total (&set) == 0);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (random_operations_agree_with_a_slow_oracle),
        cmocka_unit_test (the_same_holds_at_both_ends_of_the_numbers),
        cmocka_unit_test (numbers_in_order_are_one_range),
        cmocka_unit_test (a_hole_that_is_filled_joins_its_neighbours),
        cmocka_unit_test (an_empty_set_has_nothing),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name ("base/ranges", tests, NULL, NULL);
}
