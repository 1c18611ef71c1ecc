//  test_core_rules - priority, delay, time to live, ordering keys, dead letters
//
//  SPDX-License-Identifier: MPL-2.0

#include "base/bytes.h"
#include "core/rng.h"
#include "core/ruled.h"
#include "support/core_world.h"

#include <tern/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WALL UINT64_C (1700000000000)

typedef struct {
    world_t *world;
    peer_t *maker, *taker, *other;
} shop_t;

static void
s_tell_clock (shop_t *shop)
{
    trn_engine_on_clock (shop->maker->engine,
                         WALL + (uint64_t) shop->world->now_ms,
                         shop->world->now_ms);
}

static uint64_t
s_wall (const shop_t *shop)
{
    return WALL + (uint64_t) shop->world->now_ms;
}

static int
s_set_up (void **state)
{
    shop_t *shop = calloc (1, sizeof *shop);
    shop->world = world_new ();
    shop->maker = world_peer (shop->world, "maker");
    shop->taker = world_peer (shop->world, "taker");
    shop->other = world_peer (shop->world, "other");
    s_tell_clock (shop);
    peer_publish (shop->maker, "jobs", 0);
    *state = shop;
    return 0;
}

static int
s_tear_down (void **state)
{
    shop_t *shop = *state;
    world_destroy (&shop->world);
    free (shop);
    return 0;
}

static void
s_publish (shop_t *shop, trn_rule_t rule)
{
    rule.seq = shop->maker->high + 1;
    trn_engine_on_message (shop->maker->engine, shop->maker->outbox, &rule);
    peer_publish (shop->maker, shop->maker->queue, 1);
}

static void
s_set_policy (shop_t *shop, const trn_policy_t *policy)
{
    trn_engine_set_policy (shop->maker->engine, shop->maker->outbox, 0, policy,
                           shop->world->now_ms);
}

static trn_policy_t
s_policy (void)
{
    trn_policy_t policy;
    trn_policy_default (&policy);
    return policy;
}

static void
s_open (shop_t *shop, uint32_t prefetch)
{
    peer_consume (shop->taker, "jobs", prefetch);
    world_meet (shop->world);
    world_settle (shop->world);
}

//  What the taker has in hand, in order.
static void
s_expect (const shop_t *shop, const uint64_t *seqs, size_t count)
{
    assert_int_equal (shop->taker->hand_count, count);
    for (size_t index = 0; index < count; index++) {
        assert_int_equal (shop->taker->hands[index].seq, seqs[index]);
    }
}

#define EXPECT(shop, ...)                                                      \
    s_expect (shop, (const uint64_t[]) {__VA_ARGS__},                          \
              sizeof (const uint64_t[]) {__VA_ARGS__} / sizeof (uint64_t))

//  Order --------------------------------------------------------------------

static void
test_urgent_ones_overtake (void **state)
{
    shop_t *shop = *state;
    peer_publish (shop->maker, "jobs", 2);
    s_publish (shop, (trn_rule_t) {.priority = 3});
    s_publish (shop, (trn_rule_t) {.priority = 9});
    peer_publish (shop->maker, "jobs", 1);
    s_publish (shop, (trn_rule_t) {.priority = 3});
    s_open (shop, 100);
    EXPECT (shop, 4, 3, 6, 1, 2, 5);
}

//  A consumer may come between the rule of a message and the message.
static void
test_a_rule_alone_gives_nothing_out (void **state)
{
    shop_t *shop = *state;
    const trn_rule_t rule = {.seq = 1, .priority = 7};
    trn_engine_on_message (shop->maker->engine, shop->maker->outbox, &rule);
    s_open (shop, 100);
    assert_int_equal (shop->taker->hand_count, 0);
    peer_publish (shop->maker, "jobs", 1);
    world_settle (shop->world);
    EXPECT (shop, 1);
}

static void
test_plain_and_ruled_ones_of_one_priority_keep_their_order (void **state)
{
    shop_t *shop = *state;
    for (unsigned count = 0; count < 3; count++) {
        peer_publish (shop->maker, "jobs", 1);
        s_publish (shop, (trn_rule_t) {.expires_ms = s_wall (shop) + 1000000});
    }
    s_open (shop, 100);
    EXPECT (shop, 1, 2, 3, 4, 5, 6);
}

static void
test_what_came_back_goes_before_what_is_new_of_its_priority (void **state)
{
    shop_t *shop = *state;
    s_publish (shop, (trn_rule_t) {.priority = 5});
    s_open (shop, 1);
    EXPECT (shop, 1);
    s_publish (shop, (trn_rule_t) {.priority = 5});
    s_publish (shop, (trn_rule_t) {.priority = 6});
    trn_policy_t policy = s_policy ();
    policy.pause = TRN_PAUSE_FIXED;
    policy.pause_min_ms = 0;
    s_set_policy (shop, &policy);
    trn_engine_remove_consumer (shop->taker->engine, shop->taker->consumers[0],
                                shop->world->now_ms);
    shop->taker->hand_count = shop->taker->consumer_count = 0;
    world_wait (shop->world, 50);
    s_open (shop, 100);
    EXPECT (shop, 3, 1, 2);
}

//  Delay --------------------------------------------------------------------

static void
test_a_delayed_one_comes_at_its_time_and_holds_nobody_up (void **state)
{
    shop_t *shop = *state;
    s_publish (shop,
               (trn_rule_t) {.due_ms = s_wall (shop) + 500, .priority = 9});
    peer_publish (shop->maker, "jobs", 1);
    s_open (shop, 100);
    EXPECT (shop, 2);
    assert_int_equal (peer_outbox_stats (shop->maker).delayed, 1);
    world_wait (shop->world, 498);
    EXPECT (shop, 2);
    world_wait (shop->world, 4);
    EXPECT (shop, 2, 1);
    assert_int_equal (peer_outbox_stats (shop->maker).delayed, 0);
}

static void
test_a_clock_that_jumps_moves_the_times (void **state)
{
    shop_t *shop = *state;
    s_publish (shop, (trn_rule_t) {.due_ms = s_wall (shop) + 3600000});
    s_open (shop, 100);
    assert_int_equal (shop->taker->hand_count, 0);
    trn_engine_on_clock (shop->maker->engine, s_wall (shop) + 3600000,
                         shop->world->now_ms);
    world_settle (shop->world);
    EXPECT (shop, 1);
}

//  Time to live -------------------------------------------------------------

static void
test_what_has_expired_dies_waiting_or_delayed (void **state)
{
    shop_t *shop = *state;
    s_publish (shop, (trn_rule_t) {.expires_ms = s_wall (shop) + 100});
    s_publish (shop, (trn_rule_t) {.expires_ms = s_wall (shop) + 100,
                                   .due_ms = s_wall (shop) + 500});
    peer_publish (shop->maker, "jobs", 1);
    world_wait (shop->world, 101);
    assert_int_equal (shop->maker->bury_count, 2);
    assert_string_equal (shop->maker->buries[0].reason, "expired");
    assert_int_equal (shop->maker->buries[0].deliveries, 0);
    s_open (shop, 100);
    EXPECT (shop, 3);
}

//  Its rule is told before it is: it may be that it never comes, or that whoever
//  gave it a number gives it again after a crash.
static void
test_what_is_not_there_yet_does_not_expire (void **state)
{
    shop_t *shop = *state;
    trn_policy_t policy = s_policy ();
    peer_publish (shop->maker, "jobs", 1);
    for (uint64_t seq = 2; seq <= 3; seq++) {
        policy.drop_expired = seq == 3;
        s_set_policy (shop, &policy);
        const trn_rule_t rule = {.seq = seq,
                                 .due_ms = s_wall (shop) + 50,
                                 .expires_ms = s_wall (shop) + 100};
        trn_engine_on_message (shop->maker->engine, shop->maker->outbox, &rule);
        world_wait (shop->world, 1000);
        assert_int_equal (shop->maker->bury_count, seq - 2);
        assert_int_equal (peer_outbox_stats (shop->maker).expired, 0);
        assert_false (
            trn_engine_settled (shop->maker->engine, shop->maker->outbox, seq));
        peer_publish (shop->maker, "jobs", 1);
        world_wait (shop->world, 1);
        assert_int_equal (shop->maker->bury_count, 1);
    }
    assert_int_equal (shop->maker->buries[0].seq, 2);
    assert_int_equal (peer_outbox_stats (shop->maker).expired, 1);
}

static void
test_what_is_with_a_consumer_is_left_to_it (void **state)
{
    shop_t *shop = *state;
    s_publish (shop, (trn_rule_t) {.expires_ms = s_wall (shop) + 100});
    s_publish (shop, (trn_rule_t) {.expires_ms = s_wall (shop) + 100});
    s_open (shop, 100);
    EXPECT (shop, 1, 2);
    world_wait (shop->world, 1000);
    assert_int_equal (shop->maker->bury_count, 0);
    peer_settle (shop->taker, 1, TRN_ACCEPTED);
    peer_settle (shop->taker, 1, TRN_REQUEUED);
    world_wait (shop->world, 1);
    assert_int_equal (shop->maker->bury_count, 1);
    assert_int_equal (shop->maker->buries[0].seq, 2);
    assert_int_equal (shop->maker->buries[0].deliveries, 1);
}

static void
test_a_queue_that_drops_the_expired_counts_them (void **state)
{
    shop_t *shop = *state;
    trn_policy_t policy = s_policy ();
    policy.ttl_ms = 5000;
    policy.drop_expired = true;
    s_set_policy (shop, &policy);
    peer_publish (shop->maker, "jobs", 10);
    world_wait (shop->world, 3000);
    peer_publish (shop->maker, "jobs", 10);
    world_wait (shop->world, 3000);
    assert_int_equal (peer_outbox_stats (shop->maker).expired, 10);
    assert_int_equal (peer_outbox_stats (shop->maker).dropped, 10);
    assert_int_equal (shop->maker->processed, 10);
    world_wait (shop->world, 3000);
    assert_int_equal (peer_outbox_stats (shop->maker).expired, 20);
}

//  Keys ---------------------------------------------------------------------

static void
test_of_one_key_only_the_oldest_is_out (void **state)
{
    shop_t *shop = *state;
    for (unsigned count = 0; count < 3; count++) {
        s_publish (shop, (trn_rule_t) {.order = 77});
        s_publish (shop, (trn_rule_t) {.order = 88});
    }
    peer_publish (shop->maker, "jobs", 1);
    s_open (shop, 100);
    EXPECT (shop, 1, 2, 7);
    peer_settle_at (shop->taker, 1, TRN_ACCEPTED);
    world_settle (shop->world);
    EXPECT (shop, 1, 7, 4);
    peer_settle_at (shop->taker, 0, TRN_REJECTED);
    world_wait (shop->world, 50);
    EXPECT (shop, 7, 4);
    assert_int_equal (shop->maker->bury_count, 1);
    trn_engine_on_buried (shop->maker->engine, shop->maker->outbox, 1, 1, 0, 0,
                          shop->world->now_ms);
    world_settle (shop->world);
    EXPECT (shop, 7, 4, 3);
}

static void
test_one_that_waits_holds_up_its_key_only (void **state)
{
    shop_t *shop = *state;
    s_publish (shop,
               (trn_rule_t) {.order = 77, .due_ms = s_wall (shop) + 1000});
    s_publish (shop, (trn_rule_t) {.order = 77, .priority = 9});
    s_publish (shop, (trn_rule_t) {.order = 88});
    s_open (shop, 100);
    EXPECT (shop, 3);
    world_wait (shop->world, 1001);
    EXPECT (shop, 3, 1);
    peer_settle_at (shop->taker, 1, TRN_REQUEUED);
    world_wait (shop->world, 10);
    EXPECT (shop, 3);
    world_wait (shop->world, 200);
    EXPECT (shop, 3, 1);
    peer_settle_at (shop->taker, 1, TRN_ACCEPTED);
    world_settle (shop->world);
    EXPECT (shop, 3, 2);
}

static void
test_an_expired_one_lets_the_next_of_its_key_go (void **state)
{
    shop_t *shop = *state;
    trn_policy_t policy = s_policy ();
    policy.drop_expired = true;
    s_set_policy (shop, &policy);
    s_publish (shop, (trn_rule_t) {.order = 77,
                                   .due_ms = s_wall (shop) + 1000,
                                   .expires_ms = s_wall (shop) + 500});
    s_publish (shop, (trn_rule_t) {.order = 77});
    s_open (shop, 100);
    assert_int_equal (shop->taker->hand_count, 0);
    world_wait (shop->world, 501);
    EXPECT (shop, 2);
}

//  Single active consumer ---------------------------------------------------

static void
test_a_single_consumer_is_the_one_of_the_lowest_name (void **state)
{
    shop_t *shop = *state;
    trn_policy_t policy = s_policy ();
    policy.single = true;
    s_set_policy (shop, &policy);
    s_open (shop, 2);
    peer_publish (shop->maker, "jobs", 6);
    world_settle (shop->world);
    EXPECT (shop, 1, 2);
    peer_consume (shop->other, "jobs", 100);
    world_meet (shop->world);
    world_wait (shop->world, 50);

    //  "other" is before "taker", and waits for what taker holds.
    assert_int_equal (shop->other->hand_count, 0);
    peer_settle (shop->taker, 1, TRN_ACCEPTED);
    world_wait (shop->world, 50);
    EXPECT (shop, 2);
    assert_int_equal (shop->other->hand_count, 0);
    peer_settle (shop->taker, 1, TRN_ACCEPTED);
    world_wait (shop->world, 50);
    assert_int_equal (shop->taker->hand_count, 0);
    assert_int_equal (shop->other->hand_count, 4);
}

//  Dead letters -------------------------------------------------------------

static void
test_a_copy_that_failed_is_asked_for_again (void **state)
{
    shop_t *shop = *state;
    peer_publish (shop->maker, "jobs", 1);
    s_open (shop, 10);
    peer_settle (shop->taker, 1, TRN_REJECTED);
    world_settle (shop->world);
    assert_int_equal (shop->maker->bury_count, 1);
    assert_string_equal (shop->maker->buries[0].consumer, "taker");
    trn_engine_on_bury_failed (shop->maker->engine, shop->maker->outbox, 1, 1,
                               shop->world->now_ms);
    world_wait (shop->world, 40);
    assert_int_equal (shop->maker->bury_count, 1);
    world_wait (shop->world, 100);
    assert_int_equal (shop->maker->bury_count, 2);
    assert_int_equal (peer_outbox_stats (shop->maker).parked, 1);
    trn_engine_on_buried (shop->maker->engine, shop->maker->outbox, 1, 1, 0, 0,
                          shop->world->now_ms);
    world_settle (shop->world);
    assert_int_equal (peer_outbox_stats (shop->maker).parked, 0);
    assert_int_equal (shop->maker->processed, 1);
}

static void
test_so_many_copies_are_asked_for_at_once (void **state)
{
    shop_t *shop = *state;
    peer_publish (shop->maker, "jobs", 1000);
    s_open (shop, 1000);
    peer_settle (shop->taker, 1000, TRN_REJECTED);
    world_settle (shop->world);
    assert_int_equal (shop->maker->bury_count, TRN_BURIES_MAX);
    for (uint64_t seq = 1; seq <= 1000; seq++) {
        assert_int_equal (shop->maker->buries[seq - 1].seq, seq);
        trn_engine_on_buried (shop->maker->engine, shop->maker->outbox, 1, seq,
                              0, 0, shop->world->now_ms);
        world_settle (shop->world);
    }
    assert_int_equal (shop->maker->bury_count, 1000);
    assert_int_equal (shop->maker->processed, 1000);
}

//  A second outbox of the maker, whose records are those of the first.
static void
test_a_dead_letter_is_held_until_its_message_is_durably_gone (void **state)
{
    shop_t *shop = *state;
    peer_publish (shop->maker, "jobs", 1);
    s_open (shop, 10);
    shop->maker->save_held = true;
    peer_settle (shop->taker, 1, TRN_REJECTED);
    world_wait (shop->world, 1000);
    assert_int_equal (shop->maker->bury_count, 1);
    trn_outbox_id_t dead = 0;
    assert_int_equal (trn_engine_add_outbox (shop->maker->engine, "jobs.dead",
                                             "jobs.dead", 0, NULL, true, NULL,
                                             0, &dead),
                      0);
    shop->maker->grave = dead;
    peer_consume (shop->other, "jobs.dead", 10);
    world_meet (shop->world);
    trn_engine_on_buried (shop->maker->engine, shop->maker->outbox, 1, 1, dead,
                          1, shop->world->now_ms);
    trn_engine_on_appended (shop->maker->engine, dead, 1, shop->world->now_ms);
    world_wait (shop->world, 1000);
    assert_int_equal (shop->other->hand_count, 0);
    assert_true (
        trn_engine_settled (shop->maker->engine, shop->maker->outbox, 1));
    shop->maker->save_held = false;
    trn_engine_on_saved (shop->maker->engine, shop->maker->outbox,
                         shop->maker->stamp_held, shop->world->now_ms);

    //  That state was made before; the next one says it.
    world_settle (shop->world);
    assert_int_equal (shop->other->hand_count, 0);
    world_wait (shop->world, 600);
    assert_int_equal (shop->other->hand_count, 1);
}

//  Of two states on their way only the second has the count.
static void
test_a_count_is_not_durable_with_an_older_state (void **state)
{
    shop_t *shop = *state;
    trn_engine_t *maker = shop->maker->engine;
    const trn_outbox_id_t outbox = shop->maker->outbox;
    trn_policy_t policy = s_policy ();
    policy.pause_min_ms = policy.pause_max_ms = 0;
    s_set_policy (shop, &policy);
    peer_publish (shop->maker, "jobs", 3);
    s_open (shop, 10);
    shop->maker->save_held = true;
    peer_settle (shop->taker, 1, TRN_ACCEPTED);
    world_wait (shop->world, 1000);
    const uint64_t first = shop->maker->stamp_held;
    assert_int_not_equal (first, 0);
    peer_settle (shop->taker, 1, TRN_REQUEUED);
    world_wait (shop->world, 1000);
    assert_int_equal (shop->taker->hand_count, 1);
    uint8_t later[TRN_STATE_MAX];
    uint64_t low = 0;
    uint64_t second = 0;
    trn_engine_state (maker, outbox, false, later, sizeof later, &low, &second);
    trn_engine_on_saved (maker, outbox, first, shop->world->now_ms);
    world_wait (shop->world, 1000);
    assert_int_equal (shop->taker->hand_count, 1);
    trn_engine_on_saved (maker, outbox, second, shop->world->now_ms);
    world_wait (shop->world, 1000);
    EXPECT (shop, 3, 2);
    assert_int_equal (shop->taker->hands[1].deliveries, 2);
}

//  Missed -------------------------------------------------------------------

//  What the taker has heard with what it has in hand.
static uint64_t
s_heard (const shop_t *shop)
{
    uint64_t missed = 0;
    for (size_t index = 0; index < shop->taker->hand_count; index++) {
        missed += shop->taker->hands[index].missed;
    }
    return missed;
}

static void
s_drop_below (shop_t *shop, uint64_t floor)
{
    trn_engine_on_dropped (shop->maker->engine, shop->maker->outbox, floor,
                           shop->world->now_ms);
}

//  T-48
static void
test_who_was_away_is_told_what_a_limit_dropped (void **state)
{
    shop_t *shop = *state;
    peer_publish (shop->maker, "jobs", 10);
    s_drop_below (shop, 4);
    world_wait (shop->world, 1000);
    s_drop_below (shop, 6);
    world_wait (shop->world, 1000);
    s_open (shop, 10);
    EXPECT (shop, 6, 7, 8, 9, 10);
    assert_int_equal (shop->taker->hands[0].missed, 5);
    assert_int_equal (s_heard (shop), 5);
    assert_int_equal (peer_reported (shop->taker, "TERN-MESSAGES-MISSED"), 1);
    peer_settle (shop->taker, 5, TRN_ACCEPTED);
    peer_publish (shop->maker, "jobs", 1);
    world_wait (shop->world, 1000);
    EXPECT (shop, 11);
    assert_int_equal (s_heard (shop), 0);
}

static void
test_what_time_took_is_missed_too (void **state)
{
    shop_t *shop = *state;
    trn_policy_t policy = s_policy ();
    policy.ttl_ms = 5000;
    policy.drop_expired = true;
    s_set_policy (shop, &policy);
    peer_publish (shop->maker, "jobs", 10);
    world_wait (shop->world, 6000);
    peer_publish (shop->maker, "jobs", 2);
    shop->world->stamp_us = s_wall (shop) * 1000;
    world_wait (shop->world, 1000);
    s_open (shop, 10);
    EXPECT (shop, 11, 12);
    assert_int_equal (s_heard (shop), 10);
}

//  What a crash of the publisher undoes is delivered after all.
static void
test_only_what_is_durably_lost_is_told (void **state)
{
    shop_t *shop = *state;
    peer_publish (shop->maker, "jobs", 10);
    world_wait (shop->world, 1000);
    shop->maker->save_held = true;
    s_drop_below (shop, 4);
    s_open (shop, 3);
    EXPECT (shop, 4, 5, 6);
    assert_int_equal (s_heard (shop), 0);
    world_wait (shop->world, 1000);
    trn_engine_on_saved (shop->maker->engine, shop->maker->outbox,
                         shop->maker->stamp_held, shop->world->now_ms);
    peer_settle (shop->taker, 3, TRN_ACCEPTED);
    world_settle (shop->world);
    EXPECT (shop, 7, 8, 9);
    assert_int_equal (s_heard (shop), 3);
}

//  The number stays with its message until that is settled.
static void
test_what_was_told_with_a_message_comes_with_it_again (void **state)
{
    shop_t *shop = *state;
    peer_publish (shop->maker, "jobs", 8);
    s_drop_below (shop, 4);
    world_wait (shop->world, 1000);
    s_open (shop, 3);
    EXPECT (shop, 4, 5, 6);
    assert_int_equal (shop->taker->hands[0].missed, 3);
    peer_settle_at (shop->taker, 1, TRN_ACCEPTED);
    peer_settle_at (shop->taker, 0, TRN_REQUEUED);
    world_wait (shop->world, 1000);
    EXPECT (shop, 6, 7, 8);
    assert_int_equal (s_heard (shop), 0);
    peer_settle (shop->taker, 3, TRN_ACCEPTED);
    world_wait (shop->world, 1000);
    EXPECT (shop, 4);
    assert_int_equal (s_heard (shop), 3);

    //  A consumer that dies has not settled it; the next one hears it.
    peer_kill (shop->taker);
    peer_start (shop->taker, true);
    s_open (shop, 10);
    world_wait (shop->world, 1000);
    EXPECT (shop, 4);
    assert_int_equal (s_heard (shop), 3);
    peer_settle (shop->taker, 1, TRN_ACCEPTED);
    peer_publish (shop->maker, "jobs", 1);
    world_wait (shop->world, 1000);
    EXPECT (shop, 9);
    assert_int_equal (s_heard (shop), 0);
}

//  T-49: the settlement is lost with the publisher; the consumer remembers.
static void
test_a_restarted_publisher_tells_nobody_twice (void **state)
{
    shop_t *shop = *state;
    peer_publish (shop->maker, "jobs", 8);
    s_drop_below (shop, 4);
    world_wait (shop->world, 1000);
    s_open (shop, 2);
    EXPECT (shop, 4, 5);
    assert_int_equal (s_heard (shop), 3);
    shop->maker->save_held = true;
    peer_settle (shop->taker, 2, TRN_ACCEPTED);
    world_settle (shop->world);
    peer_kill (shop->maker);
    peer_start (shop->maker, false);
    shop->maker->save_held = false;
    world_meet (shop->world);
    s_drop_below (shop, 7);
    world_wait (shop->world, 5000);
    EXPECT (shop, 6, 7);
    const uint64_t heard = s_heard (shop);
    assert_int_equal (heard, 0);
    peer_settle (shop->taker, 2, TRN_ACCEPTED);
    world_wait (shop->world, 5000);
    EXPECT (shop, 8);
    assert_int_equal (s_heard (shop), 0);
}

//  Exchanges ----------------------------------------------------------------

static void
s_add_exchange (shop_t *shop, bool routed)
{
    strcpy (shop->maker->queue, "#news");
    assert_int_equal (trn_engine_add_exchange (shop->maker->engine, "#news",
                                               routed, 0, NULL, true, NULL, 0,
                                               &shop->maker->outbox),
                      0);
}

static uint32_t
s_add_queue (shop_t *shop, const char *queue, uint64_t from)
{
    uint32_t number = 0;
    assert_int_equal (trn_engine_add_queue (shop->maker->engine,
                                            shop->maker->outbox, queue, from,
                                            &number, shop->world->now_ms),
                      0);
    return number;
}

static void
test_an_exchange_gives_each_queue_all_of_it (void **state)
{
    shop_t *shop = *state;
    s_add_exchange (shop, false);
    assert_int_equal (s_add_queue (shop, "jobs", 1), 1);
    peer_publish (shop->maker, "#news", 3);
    assert_int_equal (s_add_queue (shop, "late", 3), 2);
    assert_int_equal (s_add_queue (shop, "jobs", 1), 1);
    peer_consume (shop->taker, "jobs", 10);
    peer_consume (shop->other, "late", 10);
    world_meet (shop->world);
    world_settle (shop->world);
    EXPECT (shop, 1, 2, 3);
    assert_int_equal (shop->other->hand_count, 1);
    assert_int_equal (shop->other->hands[0].seq, 3);
    peer_settle (shop->taker, 3, TRN_ACCEPTED);
    world_settle (shop->world);
    assert_int_equal (shop->maker->processed, 2);
    peer_settle (shop->other, 1, TRN_ACCEPTED);
    world_settle (shop->world);
    assert_int_equal (shop->maker->processed, 3);
}

static void
test_a_routed_message_goes_where_it_says (void **state)
{
    shop_t *shop = *state;
    s_add_exchange (shop, true);
    const uint32_t one = s_add_queue (shop, "jobs", 1);
    const uint32_t two = s_add_queue (shop, "mail", 1);
    const uint32_t both[] = {one, two};
    s_publish (shop, (trn_rule_t) {.targets = &both[0], .target_count = 1});
    s_publish (shop, (trn_rule_t) {.targets = &both[1], .target_count = 1});
    s_publish (shop, (trn_rule_t) {.targets = both, .target_count = 2});
    s_publish (shop, (trn_rule_t) {.targets = both, .target_count = 0});
    s_open (shop, 10);
    EXPECT (shop, 1, 3);
    peer_consume (shop->other, "mail", 10);
    world_meet (shop->world);
    world_settle (shop->world);
    assert_int_equal (shop->other->hand_count, 2);
    peer_settle (shop->taker, 2, TRN_ACCEPTED);
    peer_settle (shop->other, 2, TRN_ACCEPTED);
    world_settle (shop->world);
    assert_int_equal (shop->maker->processed, 4);
}

//  3 and 5 of what there is up to 6 were chosen for the queue, 3 urgent.
static void
s_tell_past (shop_t *shop, uint32_t number, bool withheld)
{
    trn_seqset_t own = {0};
    trn_seqset_add (&own, 3, 3);
    trn_seqset_add (&own, 5, 5);
    const trn_rule_t rule = {.seq = 5, .priority = 9};
    const trn_engine_past_t past = {.number = number,
                                    .to = 6,
                                    .own = &own,
                                    .rules = &rule,
                                    .rule_count = 1,
                                    .withheld = withheld};
    trn_engine_on_past (shop->maker->engine, shop->maker->outbox, &past);
    trn_seqset_clear (&own);
}

//  A routed exchange with messages 1 to 6 for "mail", and "jobs" that begins with
//  the second of them.
static uint32_t
s_begin_late (shop_t *shop)
{
    s_add_exchange (shop, true);
    const uint32_t one = s_add_queue (shop, "mail", 1);
    for (unsigned count = 0; count < 6; count++) {
        s_publish (shop, (trn_rule_t) {.targets = &one, .target_count = 1});
    }
    return s_add_queue (shop, "jobs", 2);
}

static void
test_a_new_queue_of_a_routed_exchange_is_told_its_past (void **state)
{
    shop_t *shop = *state;
    const uint32_t two = s_begin_late (shop);
    s_tell_past (shop, two, false);
    s_open (shop, 10);
    EXPECT (shop, 5, 3);
    assert_int_equal (peer_outbox_stats (shop->maker).waiting, 6);
    //  What comes next goes where it says.
    s_publish (shop, (trn_rule_t) {.targets = &two, .target_count = 1});
    world_settle (shop->world);
    EXPECT (shop, 5, 3, 7);
    peer_settle (shop->taker, 3, TRN_ACCEPTED);
    world_wait (shop->world, 1000);
    assert_true (trn_engine_past_over (shop->maker->engine, shop->maker->outbox,
                                       two, 6));
}

//  The past may end behind what the engine has heard of.
static void
test_a_past_may_end_behind_high (void **state)
{
    shop_t *shop = *state;
    s_add_exchange (shop, true);
    const uint32_t one = s_add_queue (shop, "mail", 1);
    for (unsigned count = 0; count < 4; count++) {
        s_publish (shop, (trn_rule_t) {.targets = &one, .target_count = 1});
    }
    s_tell_past (shop, s_add_queue (shop, "jobs", 2), false);
    s_open (shop, 10);
    EXPECT (shop, 3);
    s_publish (shop, (trn_rule_t) {.targets = &one, .target_count = 1});
    s_publish (shop, (trn_rule_t) {.targets = &one, .target_count = 1});
    world_settle (shop->world);
    EXPECT (shop, 3, 5);
}

//  Of a fanout what is not chosen, too old, is settled.
static void
test_a_new_queue_of_a_fanout_is_told_the_rules_of_its_past (void **state)
{
    shop_t *shop = *state;
    s_add_exchange (shop, false);
    s_add_queue (shop, "mail", 1);
    peer_publish (shop->maker, "#news", 6);
    s_tell_past (shop, s_add_queue (shop, "jobs", 2), false);
    s_open (shop, 10);
    EXPECT (shop, 5, 3);
    peer_publish (shop->maker, "#news", 1);
    world_settle (shop->world);
    EXPECT (shop, 5, 3, 7);
}

//  As long as nobody would know in a later life what was chosen, no state says
//  that the queue is there, and nothing of it is given out.
static void
test_a_queue_waits_for_its_past_to_be_kept (void **state)
{
    static uint8_t buffer[65536];
    shop_t *shop = *state;
    trn_engine_t *maker = shop->maker->engine;
    const uint32_t two = s_begin_late (shop);
    const trn_outbox_id_t outbox = shop->maker->outbox;
    s_tell_past (shop, two, true);
    s_open (shop, 10);
    world_wait (shop->world, 2000);
    assert_int_equal (shop->taker->hand_count, 0);
    assert_false (trn_engine_past_over (maker, outbox, two, 6));
    uint64_t low = 0;
    uint64_t stamp = 0;
    assert_int_not_equal (trn_engine_state (maker, outbox, false, buffer,
                                            sizeof buffer, &low, &stamp),
                          0);
    assert_int_equal (trn_get_u16 (buffer + 2), 1);
    assert_int_equal (low, 1);
    trn_engine_on_saved (maker, outbox, stamp, shop->world->now_ms);
    world_wait (shop->world, 2000);
    assert_int_equal (shop->taker->hand_count, 0);

    trn_engine_on_past_kept (maker, outbox, two, shop->world->now_ms);
    world_wait (shop->world, 2000);
    EXPECT (shop, 5, 3);
    assert_int_not_equal (trn_engine_state (maker, outbox, false, buffer,
                                            sizeof buffer, &low, &stamp),
                          0);
    assert_int_equal (trn_get_u16 (buffer + 2), 2);
    //  One that has gone meanwhile is nobody's.
    trn_engine_remove_queue (maker, outbox, two, shop->world->now_ms);
    trn_engine_on_past_kept (maker, outbox, two, shop->world->now_ms);
    assert_true (trn_engine_past_over (maker, outbox, two, 6));
}

static void
test_a_queue_that_is_unbound_is_gone (void **state)
{
    shop_t *shop = *state;
    s_add_exchange (shop, false);
    s_add_queue (shop, "late", 1);
    s_add_queue (shop, "mail", 1);
    peer_publish (shop->maker, "#news", 5);
    peer_consume (shop->taker, "late", 2);
    world_meet (shop->world);
    world_settle (shop->world);
    EXPECT (shop, 1, 2);
    trn_engine_remove_queue (shop->maker->engine, shop->maker->outbox, 1,
                             shop->world->now_ms);
    world_wait (shop->world, 50);
    assert_int_equal (peer_reported (shop->maker, "TERN-MESSAGES-DROPPED"), 1);
    const char *queue = NULL;
    uint32_t number = 0;
    assert_true (trn_engine_queue_at (shop->maker->engine, shop->maker->outbox,
                                      0, &queue, &number));
    assert_string_equal (queue, "mail");
    assert_int_equal (number, 2);
    assert_false (trn_engine_queue_at (shop->maker->engine, shop->maker->outbox,
                                       1, &queue, &number));
    assert_int_equal (s_add_queue (shop, "late", 6), 3);
    peer_publish (shop->maker, "#news", 1);
    peer_settle (shop->taker, 2, TRN_ACCEPTED);
    world_wait (shop->world, 3000);
    EXPECT (shop, 6);
}

//  A crash would take the queue, and what died in it would die again.
static void
test_a_queue_that_no_state_knows_buries_nothing (void **state)
{
    shop_t *shop = *state;
    shop->maker->save_held = true;
    s_add_exchange (shop, false);
    s_add_queue (shop, "late", 1);
    s_publish (shop, (trn_rule_t) {.expires_ms = s_wall (shop) + 100});
    world_wait (shop->world, 3000);
    assert_int_equal (shop->maker->bury_count, 0);
    trn_engine_on_saved (shop->maker->engine, shop->maker->outbox,
                         shop->maker->stamp_held, shop->world->now_ms);
    world_settle (shop->world);
    assert_int_equal (shop->maker->bury_count, 1);
    assert_int_equal (shop->maker->buries[0].seq, 1);
}

//  T-191: what a peer has settled of its own queue says nothing of another that
//  has the name when the peer closes, and that it was not offered.
static void
test_a_peer_that_closes_settles_nothing_of_a_new_queue (void **state)
{
    shop_t *shop = *state;
    trn_engine_t *maker = shop->maker->engine;
    s_add_exchange (shop, false);
    s_add_queue (shop, "late", 1);
    peer_publish (shop->maker, "#news", 3);
    peer_consume (shop->maker, "late", 10);
    world_meet (shop->world);
    world_wait (shop->world, 1000);
    shop->maker->save_held = true;
    peer_settle (shop->maker, 3, TRN_ACCEPTED);
    world_settle (shop->world);
    trn_engine_remove_queue (maker, shop->maker->outbox, 1,
                             shop->world->now_ms);
    assert_int_equal (s_add_queue (shop, "late", 1), 2);
    trn_engine_on_close (maker, shop->world->now_ms);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        assert_false (trn_engine_settled (maker, shop->maker->outbox, seq));
    }
}

static void
test_purging_leaves_what_consumers_hold (void **state)
{
    shop_t *shop = *state;
    s_publish (shop, (trn_rule_t) {.order = 7});
    s_publish (shop, (trn_rule_t) {.order = 7});
    s_publish (shop, (trn_rule_t) {.due_ms = s_wall (shop) + 1000});
    peer_publish (shop->maker, "jobs", 10);
    s_open (shop, 3);
    EXPECT (shop, 1, 4, 5);
    assert_int_equal (trn_engine_purge (shop->maker->engine,
                                        shop->maker->outbox, 0,
                                        shop->world->now_ms),
                      10);
    peer_settle (shop->taker, 3, TRN_ACCEPTED);
    world_wait (shop->world, 2000);
    assert_int_equal (shop->taker->hand_count, 0);
    assert_int_equal (shop->maker->processed, 13);
    assert_int_equal (peer_outbox_stats (shop->maker).dropped, 10);
    assert_int_equal (peer_outbox_stats (shop->maker).ruled, 0);
}

//  Restart ------------------------------------------------------------------

//  The state was made without it, and became durable after it was added.
static void
test_a_state_on_its_way_says_nothing_of_a_new_queue (void **state)
{
    shop_t *shop = *state;
    s_add_exchange (shop, false);
    s_add_queue (shop, "jobs", 1);
    peer_publish (shop->maker, "#news", 4);
    s_open (shop, 10);
    world_wait (shop->world, 1000);
    shop->maker->save_held = true;
    peer_settle (shop->taker, 4, TRN_ACCEPTED);
    world_wait (shop->world, 1000);
    assert_int_not_equal (shop->maker->stamp_held, 0);
    s_add_queue (shop, "late", 3);
    trn_engine_on_saved (shop->maker->engine, shop->maker->outbox,
                         shop->maker->stamp_held, shop->world->now_ms);
    peer_consume (shop->other, "late", 10);
    world_meet (shop->world);
    world_wait (shop->world, 1000);
    //  A crash would take the queue, so nothing of it is given out before.
    assert_int_equal (shop->other->hand_count, 0);
    trn_engine_on_saved (shop->maker->engine, shop->maker->outbox,
                         shop->maker->stamp_held, shop->world->now_ms);
    world_wait (shop->world, 1000);
    assert_int_equal (shop->other->hand_count, 2);
    assert_int_equal (shop->other->hands[0].seq, 3);
}

//  An owner may save a state for reasons of its own: that counts as well.
static void
test_a_state_taken_unasked_counts (void **state)
{
    static uint8_t buffer[65536];
    shop_t *shop = *state;
    trn_engine_t *maker = shop->maker->engine;
    s_add_exchange (shop, false);
    s_add_queue (shop, "late", 1);
    uint64_t low = 0;
    uint64_t stamp = 0;
    assert_int_not_equal (trn_engine_state (maker, shop->maker->outbox, false,
                                            buffer, sizeof buffer, &low,
                                            &stamp),
                          0);
    trn_engine_on_saved (maker, shop->maker->outbox, stamp,
                         shop->world->now_ms);
    peer_publish (shop->maker, "#news", 2);
    peer_consume (shop->taker, "late", 10);
    world_meet (shop->world);
    world_wait (shop->world, 1000);
    EXPECT (shop, 1, 2);
}

//  Seqs that a crash left without a message are nobody's, whenever a queue comes.
static void
test_a_late_queue_knows_the_gaps (void **state)
{
    shop_t *shop = *state;
    trn_ranges_t gaps = {0};
    trn_ranges_add (&gaps, 1, 3);
    strcpy (shop->maker->queue, "#news");
    assert_int_equal (trn_engine_add_exchange (shop->maker->engine, "#news",
                                               false, 3, &gaps, false, NULL, 0,
                                               &shop->maker->outbox),
                      0);
    trn_ranges_clear (&gaps);
    assert_int_equal (
        trn_engine_after_gap (shop->maker->engine, shop->maker->outbox, 2), 4);
    assert_int_equal (
        trn_engine_after_gap (shop->maker->engine, shop->maker->outbox, 5), 5);
    s_add_queue (shop, "late", 1);
    world_settle (shop->world);
    assert_int_equal (shop->maker->processed, 3);
    assert_int_equal (peer_outbox_stats (shop->maker).waiting, 0);
}

//  What was said of it may stand in a frame that is not sent yet.
static void
test_a_queue_may_come_and_go_in_one_turn (void **state)
{
    shop_t *shop = *state;
    s_add_exchange (shop, false);
    peer_consume (shop->taker, "late", 10);
    world_meet (shop->world);
    world_settle (shop->world);
    const uint32_t number = s_add_queue (shop, "late", 1);
    trn_engine_remove_queue (shop->maker->engine, shop->maker->outbox, number,
                             shop->world->now_ms);
    world_settle (shop->world);
    assert_int_equal (shop->taker->hand_count, 0);
}

static void
test_rules_numbers_and_counts_hold_after_a_restart (void **state)
{
    shop_t *shop = *state;
    trn_policy_t policy = s_policy ();
    policy.max_deliveries = 2;
    s_set_policy (shop, &policy);
    trn_engine_on_number (shop->maker->engine, shop->maker->outbox, 4711);
    s_publish (shop, (trn_rule_t) {.priority = 4});
    s_publish (shop, (trn_rule_t) {.order = 9});
    s_open (shop, 10);
    EXPECT (shop, 1, 2);
    peer_settle_at (shop->taker, 1, TRN_REQUEUED);
    world_wait (shop->world, 40);
    peer_kill (shop->maker);
    peer_start (shop->maker, false);
    s_tell_clock (shop);
    assert_int_equal (
        trn_engine_policy (shop->maker->engine, shop->maker->outbox, 1)
            ->max_deliveries,
        2);
    assert_int_equal (
        trn_engine_number (shop->maker->engine, shop->maker->outbox), 4711);
    const trn_rule_t rules[]
        = {{.seq = 1, .priority = 4}, {.seq = 2, .order = 9}};
    trn_engine_on_message (shop->maker->engine, shop->maker->outbox, &rules[0]);
    trn_engine_on_message (shop->maker->engine, shop->maker->outbox, &rules[1]);
    peer_kill (shop->taker);
    peer_start (shop->taker, true);
    s_open (shop, 10);
    world_wait (shop->world, 50);

    //  The first was delivered once, or never; the second twice.
    EXPECT (shop, 1);
    assert_int_equal (shop->taker->hands[0].deliveries, 2);
    assert_int_equal (shop->maker->bury_count, 1);
    assert_int_equal (shop->maker->buries[0].seq, 2);
    assert_string_equal (shop->maker->buries[0].reason, "spent");
}

//  The table ----------------------------------------------------------------

static void
test_the_table_of_ruled_ones_agrees_with_a_slow_one (void **state)
{
    (void) state;
    enum {
        SEQS = 600,
        KEYS = 7
    };
    for (uint64_t seed = 1; seed <= 30; seed++) {
        trn_rng_t rng = {seed};
        trn_ruled_t self = {0};
        uint32_t order[SEQS + 1] = {0};
        uint64_t time[SEQS + 1] = {0};
        bool inside[SEQS + 1] = {false};
        uint64_t next = 1;
        for (unsigned step = 0; step < 3000; step++) {
            if (next <= SEQS && trn_rng_below (&rng, 3)) {
                order[next] = (uint32_t) trn_rng_below (&rng, KEYS);
                time[next] = trn_rng_below (&rng, 2)
                                 ? 1 + trn_rng_below (&rng, 1000)
                                 : 0;
                const trn_ruled_entry_t entry = {
                    .seq = next,
                    .expires_ms = time[next] & TRN_RULED_TIME_MAX,
                    .order = order[next],
                };
                trn_ruled_set_time (&self, trn_ruled_add (&self, &entry), true);
                inside[next++] = true;
            }
            const uint64_t seq = 1 + trn_rng_below (&rng, SEQS);
            const uint32_t number = trn_ruled_find (&self, seq);
            assert_true (inside[seq] == (number != TRN_RULED_NONE));
            if (!inside[seq]) {
                continue;
            }
            uint64_t before = 0;
            uint64_t after = 0;
            uint64_t least = 0;
            for (uint64_t at = 1; at <= SEQS; at++) {
                if (inside[at] && time[at] && (!least || time[at] < least)) {
                    least = time[at];
                }
                if (inside[at] && order[at] && order[at] == order[seq]) {
                    before = at < seq ? at : before;
                    after = at > seq && !after ? at : after;
                }
            }
            uint64_t wall_ms = 0;
            (void) trn_ruled_earliest (&self, &wall_ms);
            assert_int_equal (wall_ms, least);
            assert_true (trn_ruled_is_first (&self, number) == !before);
            const uint32_t first = trn_ruled_remove (&self, number);
            inside[seq] = false;
            if (before || !after) {
                assert_int_equal (first, TRN_RULED_NONE);
            } else {
                assert_int_equal (self.at[first].seq, after);
            }
        }
        trn_ruled_clear (&self);
    }
}

//  Pauses -------------------------------------------------------------------

static void
test_pauses_are_half_fixed_half_chance (void **state)
{
    (void) state;
    trn_rng_t rng = {1};
    trn_policy_t policy = s_policy ();
    for (unsigned count = 0; count < 1000; count++) {
        const uint64_t first = trn_policy_pause (&policy, 1, &rng);
        assert_true (first >= 50 && first <= 100);
        const uint64_t third = trn_policy_pause (&policy, 3, &rng);
        assert_true (third >= 200 && third <= 400);
        const uint64_t last = trn_policy_pause (&policy, 60, &rng);
        assert_true (last >= 15000 && last <= 30000);
    }
    policy.pause = TRN_PAUSE_FIXED;
    policy.pause_min_ms = 7;
    assert_true (trn_policy_pause (&policy, 9, &rng) <= 7);
    policy.pause = TRN_PAUSE_LIST;
    assert_int_equal (trn_policy_pause (&policy, 1, &rng), 0);
    policy.pause_count = 2;
    policy.pauses[0] = 10;
    policy.pauses[1] = 1000;
    assert_true (trn_policy_pause (&policy, 1, &rng) <= 10);
    assert_true (trn_policy_pause (&policy, 2, &rng) >= 500);
    assert_true (trn_policy_pause (&policy, 99, &rng) >= 500);
}

static void
test_a_policy_survives_its_encoding (void **state)
{
    (void) state;
    trn_policy_t policy = s_policy ();
    policy.pause = TRN_PAUSE_LIST;
    policy.pause_count = TRN_PAUSES_MAX;
    policy.pauses[15] = 99;
    policy.ttl_ms = TRN_RULE_MS_MAX;
    policy.drop_expired = policy.single = policy.terminal = true;
    uint8_t bytes[TRN_POLICY_SIZE_MAX];
    const size_t size = trn_policy_encode (&policy, bytes);
    assert_true (size <= sizeof bytes);
    trn_policy_t again;
    assert_int_equal (trn_policy_decode (&again, bytes, size), size);
    assert_memory_equal (&again, &policy, sizeof policy);
    for (size_t cut = 0; cut < size; cut++) {
        assert_int_equal (trn_policy_decode (&again, bytes, cut),
                          TERN_ECORRUPT);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, s_set_up, s_tear_down)

int
main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (test_urgent_ones_overtake),
        TEST (test_a_rule_alone_gives_nothing_out),
        TEST (test_plain_and_ruled_ones_of_one_priority_keep_their_order),
        TEST (test_what_came_back_goes_before_what_is_new_of_its_priority),
        TEST (test_a_delayed_one_comes_at_its_time_and_holds_nobody_up),
        TEST (test_a_clock_that_jumps_moves_the_times),
        TEST (test_what_has_expired_dies_waiting_or_delayed),
        TEST (test_what_is_not_there_yet_does_not_expire),
        TEST (test_what_is_with_a_consumer_is_left_to_it),
        TEST (test_a_queue_that_drops_the_expired_counts_them),
        TEST (test_of_one_key_only_the_oldest_is_out),
        TEST (test_one_that_waits_holds_up_its_key_only),
        TEST (test_an_expired_one_lets_the_next_of_its_key_go),
        TEST (test_a_single_consumer_is_the_one_of_the_lowest_name),
        TEST (test_a_copy_that_failed_is_asked_for_again),
        TEST (test_so_many_copies_are_asked_for_at_once),
        TEST (test_a_dead_letter_is_held_until_its_message_is_durably_gone),
        TEST (test_an_exchange_gives_each_queue_all_of_it),
        TEST (test_a_routed_message_goes_where_it_says),
        TEST (test_a_new_queue_of_a_routed_exchange_is_told_its_past),
        TEST (test_a_past_may_end_behind_high),
        TEST (test_a_new_queue_of_a_fanout_is_told_the_rules_of_its_past),
        TEST (test_a_queue_waits_for_its_past_to_be_kept),
        TEST (test_a_queue_that_is_unbound_is_gone),
        TEST (test_a_queue_that_no_state_knows_buries_nothing),
        TEST (test_a_peer_that_closes_settles_nothing_of_a_new_queue),
        TEST (test_purging_leaves_what_consumers_hold),
        TEST (test_who_was_away_is_told_what_a_limit_dropped),
        TEST (test_what_time_took_is_missed_too),
        TEST (test_only_what_is_durably_lost_is_told),
        TEST (test_what_was_told_with_a_message_comes_with_it_again),
        TEST (test_a_restarted_publisher_tells_nobody_twice),
        TEST (test_a_count_is_not_durable_with_an_older_state),
        TEST (test_a_state_on_its_way_says_nothing_of_a_new_queue),
        TEST (test_a_state_taken_unasked_counts),
        TEST (test_a_late_queue_knows_the_gaps),
        TEST (test_a_queue_may_come_and_go_in_one_turn),
        TEST (test_rules_numbers_and_counts_hold_after_a_restart),
        cmocka_unit_test (test_the_table_of_ruled_ones_agrees_with_a_slow_one),
        cmocka_unit_test (test_pauses_are_half_fixed_half_chance),
        cmocka_unit_test (test_a_policy_survives_its_encoding),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
