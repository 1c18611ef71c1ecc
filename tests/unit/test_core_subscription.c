//  test_core_subscription - where each seq of a queue stands
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/lease.h"
#include "core/ready.h"
#include "core/rng.h"
#include "core/subscription.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define HIGH 100u

static int
s_set_up (void **state)
{
    *state = trn_subscription_new ("jobs", 1);
    return 0;
}

static int
s_tear_down (void **state)
{
    trn_subscription_t *self = *state;
    trn_subscription_destroy (&self);
    assert_null (self);
    return 0;
}

//  Assign what comes next, at most count, and check where it begins and ends.
static trn_chance_t
s_assign (trn_subscription_t *self, uint64_t count, uint64_t from, uint64_t to)
{
    trn_chance_t chance;
    assert_true (trn_ready_chance (self, HIGH, &chance));
    const uint64_t there = chance.to - chance.from + 1;
    count = count < there ? count : there;
    trn_subscription_assign (self, &chance, count);
    assert_int_equal (chance.from, from);
    assert_int_equal (chance.from + count - 1, to);
    return chance;
}

//  They come back, and the state that holds their counts is durable.
static void
s_return (trn_subscription_t *self, uint64_t from, uint64_t to, int64_t due_ms,
          uint32_t deliveries)
{
    trn_subscription_return (self, from, to, deliveries, due_ms);
    trn_subscription_saving (self);
    trn_subscription_saved (self);
}

static bool
s_chance (trn_subscription_t *self, int64_t now_ms, trn_chance_t *chance)
{
    trn_ready_ripen (self, now_ms);
    return trn_ready_chance (self, HIGH, chance);
}

static void
test_new_messages_go_out_in_order (void **state)
{
    trn_subscription_t *self = *state;
    const trn_chance_t chance = s_assign (self, 10, 1, 10);
    assert_int_equal (chance.deliveries, 1);
    assert_false (chance.redelivered);
    s_assign (self, 1000, 11, 100);
    trn_chance_t none;
    assert_false (trn_ready_chance (self, HIGH, &none));
    assert_int_equal ((int) trn_seqset_total (&self->leased), 100);
}

static void
test_settling_moves_low_over_what_was_settled_before (void **state)
{
    trn_subscription_t *self = *state;
    s_assign (self, 10, 1, 10);
    trn_subscription_accept (self, 3, 4);
    assert_int_equal (trn_subscription_low (self), 1);
    trn_subscription_accept (self, 1, 2);
    assert_int_equal (trn_subscription_low (self), 5);
    assert_int_equal ((int) trn_seqset_total (&self->leased), 6);
}

static void
test_in_order_settling_keeps_one_range (void **state)
{
    trn_subscription_t *self = *state;
    s_assign (self, 100, 1, 100);
    for (uint64_t seq = 1; seq <= 100; seq++) {
        trn_subscription_accept (self, seq, seq);
        assert_int_equal (self->settled.count - self->settled.head, 1);
    }
}

static void
test_what_comes_back_goes_out_first_and_in_order (void **state)
{
    trn_subscription_t *self = *state;
    s_assign (self, 50, 1, 50);
    s_return (self, 30, 35, 0, 1);
    s_return (self, 10, 12, 0, 1);
    s_return (self, 13, 14, 0, 1);
    const trn_chance_t chance = s_assign (self, 100, 10, 14);
    assert_int_equal (chance.deliveries, 2);
    assert_true (chance.redelivered);
    s_assign (self, 2, 30, 31);
    s_assign (self, 100, 32, 35);
    s_assign (self, 1, 51, 51);
}

static void
test_messages_of_different_counts_are_not_mixed_in_a_run (void **state)
{
    trn_subscription_t *self = *state;
    s_assign (self, 50, 1, 50);
    s_return (self, 1, 3, 0, 1);
    s_return (self, 4, 6, 0, 2);
    assert_int_equal (s_assign (self, 100, 1, 3).deliveries, 2);
    assert_int_equal (s_assign (self, 100, 4, 6).deliveries, 3);
}

static void
test_a_requeued_message_waits_for_its_time (void **state)
{
    trn_subscription_t *self = *state;
    s_assign (self, 100, 1, 100);
    s_return (self, 7, 7, 500, 1);
    s_return (self, 3, 3, 400, 1);
    trn_chance_t chance;
    assert_false (s_chance (self, 399, &chance));
    assert_int_equal (trn_returned_deadline (&self->returned), 400);
    assert_true (s_chance (self, 400, &chance));
    assert_int_equal (chance.from, 3);
    trn_subscription_assign (self, &chance, 1);
    assert_false (s_chance (self, 499, &chance));
    assert_true (s_chance (self, 500, &chance));
    assert_int_equal (chance.from, 7);
}

static void
test_a_parked_message_is_neither_settled_nor_given_out (void **state)
{
    trn_subscription_t *self = *state;
    s_assign (self, 3, 1, 3);
    trn_subscription_park (self, 2, 2, TRN_DEAD_REJECTED, 0);
    trn_subscription_accept (self, 1, 1);
    trn_subscription_accept (self, 3, 3);
    assert_int_equal (trn_subscription_low (self), 2);
    s_assign (self, 1, 4, 4);
}

static void
test_gaps_are_stepped_over (void **state)
{
    trn_subscription_t *self = *state;
    trn_subscription_add_settled (self, 5, 9);
    trn_subscription_add_settled (self, 20, 100);
    s_assign (self, 100, 1, 4);
    s_assign (self, 100, 10, 19);
    trn_chance_t none;
    assert_false (trn_ready_chance (self, HIGH, &none));
    assert_int_equal (trn_subscription_waiting (self, HIGH), 0);
}

static void
test_what_an_earlier_life_sent_is_flagged (void **state)
{
    trn_subscription_t *self = *state;
    self->doubt = 10;
    self->policy.max_deliveries = 1;
    assert_true (s_assign (self, 100, 1, 10).redelivered);
    assert_false (s_assign (self, 100, 11, 100).redelivered);
}

//  Each life that ends in a crash may have sent what it could still send, once.
static void
test_what_is_spent_is_counted_no_further (void **state)
{
    trn_subscription_t *self = *state;
    self->policy.max_deliveries = 3;
    self->doubt = 10;
    trn_subscription_add_count (self, 1, 2, 3);
    trn_subscription_add_count (self, 3, 4, 2);
    //  5 .. 10 have to be counted first.
    trn_chance_t none;
    assert_false (trn_ready_chance (self, HIGH, &none));
    uint64_t to = 4;
    assert_int_equal (trn_counts_get (&self->counts, 1, &to), 3);
    assert_int_equal (to, 4);
    assert_int_equal (trn_seqset_count (&self->parked, 1, 4), 4);
}

static void
test_resuming_settles_only_what_nobody_holds (void **state)
{
    trn_subscription_t *self = *state;
    s_assign (self, 20, 1, 20);
    s_return (self, 5, 8, 0, 1);
    s_return (self, 12, 12, 900, 1);

    //  4 leased, 5..8 returned, 9..11 leased, 12 waits, 13..20 leased, then new.
    assert_int_equal (trn_subscription_resume (self, 4, 25, HIGH), 4 + 1 + 5);
    assert_true (trn_seqset_has (&self->settled, 5));
    assert_true (trn_seqset_has (&self->settled, 12));
    assert_true (trn_seqset_has (&self->settled, 25));
    assert_false (trn_seqset_has (&self->settled, 4));
    assert_false (trn_seqset_has (&self->settled, 20));
    assert_int_equal ((int) trn_seqset_total (&self->leased), 15);
    s_assign (self, 1, 26, 26);
}

static void
test_resuming_stops_at_the_end_of_the_log (void **state)
{
    trn_subscription_t *self = *state;
    assert_int_equal (trn_subscription_resume (self, 90, 5000, HIGH), 11);
    assert_int_equal (trn_subscription_resume (self, 101, 5000, HIGH), 0);
    assert_false (trn_seqset_has (&self->settled, 101));
}

static void
test_dropping_leaves_what_somebody_holds (void **state)
{
    trn_subscription_t *self = *state;
    s_assign (self, 4, 1, 4);
    s_return (self, 2, 2, 0, 1);
    assert_int_equal (trn_subscription_drop (self, 1, 10), 7);
    assert_int_equal (self->stats.dropped, 7);
    assert_int_equal (trn_subscription_low (self), 1);
    trn_subscription_accept (self, 1, 1);
    trn_subscription_accept (self, 3, 4);
    assert_int_equal (trn_subscription_low (self), 11);
}

//  A count is durable before the redelivery that it counts.
static void
test_what_came_back_waits_for_its_count_to_be_saved (void **state)
{
    trn_subscription_t *self = *state;
    s_assign (self, 100, 1, 100);
    trn_subscription_return (self, 7, 9, 1, 0);
    assert_true (self->wants_save);
    trn_chance_t chance;
    assert_false (trn_ready_chance (self, HIGH, &chance));
    trn_subscription_saving (self);
    trn_subscription_return (self, 20, 20, 1, 0);
    assert_false (trn_ready_chance (self, HIGH, &chance));
    trn_subscription_saved (self);
    s_assign (self, 10, 7, 9);
    assert_false (trn_ready_chance (self, HIGH, &chance));
    trn_subscription_saving (self);
    trn_subscription_saved (self);
    s_assign (self, 10, 20, 20);
}

static void
test_what_was_never_opened_waits_for_nothing (void **state)
{
    trn_subscription_t *self = *state;
    s_assign (self, 5, 1, 5);
    trn_subscription_release (self, 2, 3);
    assert_false (self->wants_save);
    const trn_chance_t chance = s_assign (self, 10, 2, 3);
    assert_int_equal (chance.deliveries, 1);
    assert_false (chance.redelivered);
}

static void
test_without_a_limit_no_count_is_waited_for (void **state)
{
    trn_subscription_t *self = *state;
    self->policy.max_deliveries = 0;
    s_assign (self, 5, 1, 5);
    trn_subscription_return (self, 2, 2, 70, 0);
    assert_int_equal (s_assign (self, 1, 2, 2).deliveries, 71);
}

static void
test_doubt_counts_as_one_delivery_and_is_saved_first (void **state)
{
    trn_subscription_t *self = *state;
    self->doubt = 10;
    trn_subscription_add_count (self, 3, 4, 2);
    trn_subscription_add_count (self, 6, 6, 15);
    trn_chance_t chance;
    assert_false (trn_ready_chance (self, HIGH, &chance));
    trn_subscription_saving (self);
    trn_subscription_saved (self);
    assert_int_equal (s_assign (self, 100, 1, 2).deliveries, 2);
    assert_int_equal (s_assign (self, 100, 3, 4).deliveries, 4);
    assert_int_equal (s_assign (self, 100, 5, 5).deliveries, 2);
    //  6 was delivered 15 times, or 16.
    assert_true (trn_seqset_has (&self->parked, 6));
    assert_int_equal (s_assign (self, 100, 7, 10).deliveries, 2);
    s_assign (self, 100, 11, 100);
}

static void
test_after_a_clean_end_what_came_back_goes_first (void **state)
{
    trn_subscription_t *self = *state;
    trn_subscription_add_count (self, 50, 51, 3);
    assert_int_equal (s_assign (self, 100, 50, 51).deliveries, 4);
    assert_int_equal (s_assign (self, 100, 1, 49).deliveries, 1);
    assert_int_equal (s_assign (self, 100, 52, 100).deliveries, 1);
}

static void
test_a_held_message_is_passed_over (void **state)
{
    trn_subscription_t *self = *state;
    trn_subscription_hold (self, 2);
    s_assign (self, 100, 1, 1);
    s_assign (self, 3, 3, 5);
    trn_subscription_unhold (self, 2);
    const trn_chance_t chance = s_assign (self, 100, 2, 2);
    assert_false (chance.redelivered);
    s_assign (self, 100, 6, 100);
}

//  Leases -------------------------------------------------------------------

static void
s_lease (trn_leases_t *self, uint64_t token, uint64_t first, uint64_t last)
{
    const trn_lease_t lease = {
        .token = token,
        .first = first,
        .last = last,
        .open = last - first + 1,
        .size = 10,
        .deliveries = 1,
    };
    trn_leases_add (self, &lease);
}

static uint64_t
s_settle (trn_leases_t *self, uint64_t token, uint64_t from, uint64_t to)
{
    trn_lease_t *lease = trn_leases_find (self, token);
    trn_range_t part;
    uint64_t settled = 0;
    while (lease && trn_leases_settle (self, lease, from, to, &part)) {
        settled += part.to - part.from + 1;
    }
    trn_leases_tidy (self);
    return settled;
}

static void
test_a_lease_ends_when_all_of_it_is_settled (void **state)
{
    (void) state;
    trn_leases_t self = {0};
    s_lease (&self, 5, 10, 19);
    assert_int_equal (s_settle (&self, 5, 12, 13), 2);
    assert_int_equal (s_settle (&self, 5, 12, 14), 1);
    assert_int_equal (s_settle (&self, 5, 1, 11), 2);
    assert_int_equal (self.at[self.head].first, 15);
    assert_int_equal (s_settle (&self, 5, 1, 1000), 5);
    assert_null (trn_leases_find (&self, 5));
    assert_int_equal (self.open, 0);
    assert_int_equal (self.bytes, 0);
    trn_leases_clear (&self);
}

static void
test_an_unknown_token_finds_nothing (void **state)
{
    (void) state;
    trn_leases_t self = {0};
    assert_null (trn_leases_find (&self, 5));
    s_lease (&self, 5, 1, 1);
    s_lease (&self, 7, 2, 2);
    assert_null (trn_leases_find (&self, 4));
    assert_null (trn_leases_find (&self, 6));
    assert_null (trn_leases_find (&self, 8));
    trn_leases_clear (&self);
}

static void
test_a_message_never_settled_does_not_keep_the_rest (void **state)
{
    (void) state;
    trn_leases_t self = {0};
    s_lease (&self, 1, 1, 1);
    for (uint64_t token = 2; token < 10000; token++) {
        s_lease (&self, token, token, token);
        assert_int_equal (s_settle (&self, token, token, token), 1);
    }
    assert_true (self.capacity < 100);
    assert_int_equal (self.open, 1);
    assert_int_equal (trn_leases_first (&self)->token, 1);
    trn_leases_clear (&self);
}

int
main (void)
{
#define TEST(name) cmocka_unit_test_setup_teardown (name, s_set_up, s_tear_down)
    const struct CMUnitTest tests[] = {
        TEST (test_new_messages_go_out_in_order),
        TEST (test_settling_moves_low_over_what_was_settled_before),
        TEST (test_in_order_settling_keeps_one_range),
        TEST (test_what_comes_back_goes_out_first_and_in_order),
        TEST (test_messages_of_different_counts_are_not_mixed_in_a_run),
        TEST (test_a_requeued_message_waits_for_its_time),
        TEST (test_a_parked_message_is_neither_settled_nor_given_out),
        TEST (test_gaps_are_stepped_over),
        TEST (test_what_is_spent_is_counted_no_further),
        TEST (test_what_an_earlier_life_sent_is_flagged),
        TEST (test_resuming_settles_only_what_nobody_holds),
        TEST (test_resuming_stops_at_the_end_of_the_log),
        TEST (test_dropping_leaves_what_somebody_holds),
        TEST (test_what_came_back_waits_for_its_count_to_be_saved),
        TEST (test_what_was_never_opened_waits_for_nothing),
        TEST (test_without_a_limit_no_count_is_waited_for),
        TEST (test_doubt_counts_as_one_delivery_and_is_saved_first),
        TEST (test_after_a_clean_end_what_came_back_goes_first),
        TEST (test_a_held_message_is_passed_over),
        cmocka_unit_test (test_a_lease_ends_when_all_of_it_is_settled),
        cmocka_unit_test (test_an_unknown_token_finds_nothing),
        cmocka_unit_test (test_a_message_never_settled_does_not_keep_the_rest),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
