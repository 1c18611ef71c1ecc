//  test_core_link - two peers find each other, talk, part and meet again
//
//  SPDX-License-Identifier: MPL-2.0

#include "support/core_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

typedef struct {
    world_t *world;
    peer_t *maker, *taker;
} pair_t;

static int
s_set_up (void **state)
{
    static pair_t pair;
    pair.world = world_new ();
    pair.maker = world_peer (pair.world, "maker");
    pair.taker = world_peer (pair.world, "taker");
    *state = &pair;
    return 0;
}

static int
s_tear_down (void **state)
{
    pair_t *pair = *state;
    world_destroy (&pair->world);
    return 0;
}

//  Everything published so far is delivered, each once and in order.
static void
s_expect_hands (const peer_t *peer, uint64_t from, uint64_t to)
{
    assert_int_equal (peer->hand_count, to - from + 1);
    for (size_t index = 0; index < peer->hand_count; index++) {
        assert_int_equal (peer->hands[index].seq, from + index);
    }
}

static void
test_messages_arrive_in_order_and_are_settled (void **state)
{
    pair_t *pair = *state;
    peer_consume (pair->taker, "jobs", 1000);
    world_meet (pair->world);
    peer_publish (pair->maker, "jobs", 300);
    world_meet (pair->world);
    world_settle (pair->world);
    s_expect_hands (pair->taker, 1, 300);
    assert_false (pair->taker->hands[0].redelivered);
    assert_int_equal (pair->taker->hands[0].deliveries, 1);
    peer_settle (pair->taker, 300, TRN_ACCEPTED);
    world_settle (pair->world);
    assert_int_equal (pair->maker->processed, 300);
    assert_int_equal (pair->maker->delays, 300);
    const trn_engine_outbox_stats_t stats = peer_outbox_stats (pair->maker);
    assert_int_equal (stats.consumed, 300);
    assert_int_equal (stats.transmitted, 300);
    assert_int_equal (stats.in_flight, 0);
    assert_int_equal (stats.waiting, 0);
    assert_int_equal (stats.low, 301);
}

static void
test_one_run_carries_what_waits_and_one_frame_settles_it (void **state)
{
    pair_t *pair = *state;
    peer_consume (pair->taker, "jobs", 1000);
    peer_publish (pair->maker, "jobs", 300);
    world_meet (pair->world);
    world_settle (pair->world);
    assert_int_equal (pair->maker->runs_sent, 1);
    peer_settle (pair->taker, 300, TRN_ACCEPTED);
    world_settle (pair->world);
    assert_int_equal (pair->taker->settles_sent, 1);
}

static void
test_nobody_is_called_whose_queues_are_not_ours (void **state)
{
    pair_t *pair = *state;
    peer_consume (pair->taker, "other", 10);
    peer_publish (pair->maker, "jobs", 3);
    world_meet (pair->world);
    world_wait (pair->world, 10000);
    assert_int_equal (pair->world->conn_count, 0);
}

static void
test_a_queue_that_appears_later_is_offered_on_the_live_link (void **state)
{
    pair_t *pair = *state;
    peer_publish (pair->maker, "jobs", 3);
    world_meet (pair->world);
    world_wait (pair->world, 1000);
    peer_consume (pair->taker, "jobs", 10);
    world_meet (pair->world);
    world_settle (pair->world);
    s_expect_hands (pair->taker, 1, 3);
    assert_int_equal (pair->world->conn_count, 1);
}

static void
test_a_peer_consumes_what_it_publishes_itself (void **state)
{
    pair_t *pair = *state;
    peer_consume (pair->maker, "jobs", 10);
    peer_publish (pair->maker, "jobs", 5);
    world_meet (pair->world);
    world_settle (pair->world);
    s_expect_hands (pair->maker, 1, 5);
    peer_settle (pair->maker, 5, TRN_ACCEPTED);
    world_settle (pair->world);
    assert_int_equal (pair->maker->processed, 5);
}

//  T-83
static void
test_an_idle_link_lives_by_pings (void **state)
{
    pair_t *pair = *state;
    peer_consume (pair->taker, "jobs", 10);
    peer_publish (pair->maker, "jobs", 1);
    world_meet (pair->world);
    world_wait (pair->world, 60000);
    assert_int_equal (pair->world->conn_count, 1);
    assert_int_equal (peer_reported (pair->maker, "TERN-PEER-GONE"), 0);
    peer_publish (pair->maker, "jobs", 1);
    world_settle (pair->world);
    s_expect_hands (pair->taker, 1, 2);
}

static void
test_a_broken_link_is_made_again_and_nothing_comes_twice (void **state)
{
    pair_t *pair = *state;
    peer_consume (pair->taker, "jobs", 10);
    peer_publish (pair->maker, "jobs", 10);
    world_meet (pair->world);
    world_settle (pair->world);
    peer_settle (pair->taker, 4, TRN_ACCEPTED);
    world_cut (pair->world, pair->maker, pair->taker, true);
    peer_settle (pair->taker, 2, TRN_ACCEPTED);
    world_wait (pair->world, 10000);

    //  Four in hand still, four more have come, settled ones have not.
    assert_int_equal (peer_reported (pair->maker, "TERN-PEER-GONE"), 1);
    s_expect_hands (pair->taker, 7, 10);
    peer_settle (pair->taker, 4, TRN_ACCEPTED);
    world_settle (pair->world);
    assert_int_equal (pair->maker->processed, 10);
}

static void
test_silence_ends_a_link_and_gives_everything_to_another (void **state)
{
    pair_t *pair = *state;
    peer_t *other = world_peer (pair->world, "other");
    peer_consume (pair->taker, "jobs", 10);
    peer_publish (pair->maker, "jobs", 10);
    world_meet (pair->world);
    world_settle (pair->world);
    peer_kill (pair->taker);
    peer_consume (other, "jobs", 100);
    world_meet (pair->world);
    world_wait (pair->world, 5000);
    s_expect_hands (other, 1, 10);
    assert_true (other->hands[0].redelivered);
    assert_int_equal (other->hands[0].deliveries, 2);
}

//  T-47
static void
test_a_late_answer_does_not_settle_what_another_has (void **state)
{
    pair_t *pair = *state;
    peer_t *other = world_peer (pair->world, "other");
    peer_consume (pair->taker, "jobs", 10);
    peer_publish (pair->maker, "jobs", 1);
    world_meet (pair->world);
    world_settle (pair->world);
    assert_int_equal (pair->taker->hand_count, 1);
    peer_consume (other, "jobs", 10);
    world_meet (pair->world);
    world_cut (pair->world, pair->maker, pair->taker, true);
    world_settle (pair->world);
    s_expect_hands (other, 1, 1);
    peer_settle (pair->taker, 1, TRN_ACCEPTED);
    world_wait (pair->world, 1000);
    assert_int_equal (peer_outbox_stats (pair->maker).in_flight, 1);
    peer_settle (other, 1, TRN_ACCEPTED);
    world_settle (pair->world);
    assert_int_equal (pair->maker->processed, 1);
}

static void
test_a_restarted_publisher_sends_only_what_is_not_settled (void **state)
{
    pair_t *pair = *state;
    peer_consume (pair->taker, "jobs", 100);
    peer_publish (pair->maker, "jobs", 10);
    world_meet (pair->world);
    world_settle (pair->world);
    peer_settle (pair->taker, 6, TRN_ACCEPTED);
    world_settle (pair->world);
    peer_kill (pair->maker);
    peer_start (pair->maker, false);
    world_meet (pair->world);
    world_wait (pair->world, 100);
    s_expect_hands (pair->taker, 7, 10);
    peer_settle (pair->taker, 4, TRN_ACCEPTED);
    world_settle (pair->world);
    assert_int_equal (pair->maker->processed, 10);
}

static void
test_a_restarted_consumer_gets_what_it_had_in_hand (void **state)
{
    pair_t *pair = *state;
    peer_consume (pair->taker, "jobs", 100);
    peer_publish (pair->maker, "jobs", 10);
    world_meet (pair->world);
    world_settle (pair->world);
    peer_settle (pair->taker, 6, TRN_ACCEPTED);
    world_settle (pair->world);
    peer_kill (pair->taker);
    peer_start (pair->taker, true);
    peer_consume (pair->taker, "jobs", 100);
    world_meet (pair->world);
    world_wait (pair->world, 20);
    s_expect_hands (pair->taker, 7, 10);
    assert_true (pair->taker->hands[0].redelivered);
}

static void
test_an_older_log_is_found_out_by_both_sides (void **state)
{
    pair_t *pair = *state;
    peer_consume (pair->taker, "jobs", 100);
    peer_publish (pair->maker, "jobs", 10);
    pair->maker->save_held = true;
    world_meet (pair->world);
    world_settle (pair->world);
    peer_kill (pair->maker);
    pair->maker->high = 5;
    peer_start (pair->maker, false);
    world_meet (pair->world);
    world_wait (pair->world, 1000);
    assert_int_equal (peer_reported (pair->maker, "TERN-PUBLISHER-WENT-BACK"),
                      1);
    assert_int_equal (peer_reported (pair->taker, "TERN-PUBLISHER-WENT-BACK"),
                      1);
    assert_int_equal (pair->maker->runs_sent, 1);
}

//  T-73
static void
test_a_forked_log_is_refused_by_its_floor (void **state)
{
    pair_t *pair = *state;
    peer_consume (pair->taker, "jobs", 100);
    peer_publish (pair->maker, "jobs", 10);
    world_meet (pair->world);
    world_settle (pair->world);
    peer_settle (pair->taker, 10, TRN_ACCEPTED);
    world_wait (pair->world, 1000);
    peer_kill (pair->maker);
    pair->maker->high = 20;
    pair->maker->state_size = 0;
    peer_start (pair->maker, false);
    world_meet (pair->world);
    world_wait (pair->world, 1000);
    assert_int_equal (peer_reported (pair->taker, "TERN-PUBLISHER-WENT-BACK"),
                      1);
    assert_int_equal (peer_reported (pair->maker, "TERN-PEER-FENCED"), 1);
    assert_int_equal (pair->taker->hand_count, 0);
}

//  T-12
//  The store is opened again as this incarnation, and tries to publish.
static void
s_reopen (pair_t *pair, uint64_t incarnation)
{
    peer_kill (pair->maker);
    pair->maker->incarnation = incarnation - 1;
    peer_start (pair->maker, false);
    world_meet (pair->world);
    world_wait (pair->world, 1000);
}

static void
test_an_older_incarnation_is_fenced (void **state)
{
    pair_t *pair = *state;
    peer_consume (pair->taker, "jobs", 100);
    peer_publish (pair->maker, "jobs", 10);
    world_meet (pair->world);
    world_settle (pair->world);
    s_reopen (pair, 6);
    assert_int_equal (peer_reported (pair->taker, "TERN-PEER-FENCED"), 0);
    s_reopen (pair, 4);
    assert_int_equal (peer_reported (pair->taker, "TERN-PEER-FENCED"), 1);
    assert_int_equal (peer_reported (pair->maker, "TERN-PEER-FENCED"), 1);
    s_reopen (pair, 7);
    assert_int_equal (peer_reported (pair->taker, "TERN-PEER-FENCED"), 1);
}

static void
test_a_clone_of_a_known_store_is_fenced (void **state)
{
    pair_t *pair = *state;
    peer_consume (pair->taker, "jobs", 100);
    peer_publish (pair->maker, "jobs", 10);
    world_meet (pair->world);
    world_settle (pair->world);

    //  The same incarnation, drawn under another random number.
    pair->maker->salt = 1;
    s_reopen (pair, pair->maker->incarnation);
    assert_int_equal (peer_reported (pair->taker, "TERN-PEER-FENCED"), 1);
    assert_int_equal (pair->taker->hand_count, 10);
}

static void
test_a_name_with_another_store_has_lost_its_state (void **state)
{
    pair_t *pair = *state;
    peer_consume (pair->taker, "jobs", 100);
    peer_publish (pair->maker, "jobs", 10);
    world_meet (pair->world);
    world_settle (pair->world);
    peer_kill (pair->maker);
    pair->maker->store_uuid[5] ^= 1;
    pair->maker->incarnation = 0;
    pair->maker->state_size = 0;
    pair->maker->high = 2;
    peer_start (pair->maker, true);
    world_meet (pair->world);
    world_wait (pair->world, 1000);
    assert_int_equal (peer_reported (pair->taker, "TERN-PEER-LOST-STATE"), 1);
    assert_int_equal (pair->taker->hand_count, 12);
}

static void
test_a_consumer_that_leaves_gives_back_at_once (void **state)
{
    pair_t *pair = *state;
    peer_t *other = world_peer (pair->world, "other");
    const trn_consumer_id_t id = peer_consume (pair->taker, "jobs", 10);
    peer_publish (pair->maker, "jobs", 10);
    world_meet (pair->world);
    world_settle (pair->world);
    peer_consume (other, "jobs", 100);
    world_meet (pair->world);
    world_settle (pair->world);

    //  The application never saw the second half.
    for (size_t index = 5; index < 10; index++) {
        peer_settle_at (pair->taker, 5, TRN_RELEASED);
    }
    trn_engine_remove_consumer (pair->taker->engine, id, pair->world->now_ms);
    world_settle (pair->world);
    assert_int_equal (other->hand_count, 10);
    unsigned redelivered = 0;
    for (size_t index = 0; index < 10; index++) {
        const hand_t *hand = &other->hands[index];
        redelivered += hand->redelivered;
        assert_int_equal (hand->deliveries, hand->seq <= 5 ? 2 : 1);
    }
    assert_int_equal (redelivered, 5);
}

static void
test_closing_says_goodbye_and_gives_back (void **state)
{
    pair_t *pair = *state;
    peer_t *other = world_peer (pair->world, "other");
    peer_consume (pair->taker, "jobs", 10);
    peer_publish (pair->maker, "jobs", 10);
    world_meet (pair->world);
    world_settle (pair->world);
    peer_consume (other, "jobs", 100);
    world_meet (pair->world);
    peer_settle (pair->taker, 3, TRN_ACCEPTED);
    trn_engine_on_close (pair->taker->engine, pair->world->now_ms);
    world_wait (pair->world, 20);
    s_expect_hands (other, 4, 10);
    assert_true (trn_engine_deadline (pair->taker->engine) == INT64_MAX);
}

//  T-82
static void
test_own_lag_is_not_taken_for_silence (void **state)
{
    pair_t *pair = *state;
    peer_consume (pair->taker, "jobs", 10);
    peer_publish (pair->maker, "jobs", 1);
    world_meet (pair->world);
    world_settle (pair->world);

    //  Both processes stood still for a minute.
    pair->world->now_ms += 60000;
    trn_engine_on_tick (pair->maker->engine, pair->world->now_ms);
    trn_engine_on_tick (pair->taker->engine, pair->world->now_ms);
    world_wait (pair->world, 10000);
    assert_int_equal (peer_reported (pair->maker, "TERN-PEER-GONE"), 0);
    assert_int_equal (peer_reported (pair->taker, "TERN-PEER-GONE"), 0);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown (name, s_set_up, s_tear_down)
        TEST (test_messages_arrive_in_order_and_are_settled),
        TEST (test_one_run_carries_what_waits_and_one_frame_settles_it),
        TEST (test_nobody_is_called_whose_queues_are_not_ours),
        TEST (test_a_queue_that_appears_later_is_offered_on_the_live_link),
        TEST (test_a_peer_consumes_what_it_publishes_itself),
        TEST (test_an_idle_link_lives_by_pings),
        TEST (test_a_broken_link_is_made_again_and_nothing_comes_twice),
        TEST (test_silence_ends_a_link_and_gives_everything_to_another),
        TEST (test_a_late_answer_does_not_settle_what_another_has),
        TEST (test_a_restarted_publisher_sends_only_what_is_not_settled),
        TEST (test_a_restarted_consumer_gets_what_it_had_in_hand),
        TEST (test_an_older_log_is_found_out_by_both_sides),
        TEST (test_a_forked_log_is_refused_by_its_floor),
        TEST (test_an_older_incarnation_is_fenced),
        TEST (test_a_clone_of_a_known_store_is_fenced),
        TEST (test_a_name_with_another_store_has_lost_its_state),
        TEST (test_a_consumer_that_leaves_gives_back_at_once),
        TEST (test_closing_says_goodbye_and_gives_back),
        TEST (test_own_lag_is_not_taken_for_silence),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
