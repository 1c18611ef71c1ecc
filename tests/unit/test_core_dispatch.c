//  test_core_dispatch - who gets what, and when it comes again
//
//  SPDX-License-Identifier: MPL-2.0

#include "support/core_world.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

typedef struct {
    world_t *world;
    peer_t *maker;
    peer_t *takers[3];
} shop_t;

static int
s_set_up (void **state)
{
    static shop_t shop;
    static const char *const names[] = {"taker-a", "taker-b", "taker-c"};
    shop.world = world_new ();
    shop.maker = world_peer (shop.world, "maker");
    for (unsigned index = 0; index < 3; index++) {
        shop.takers[index] = world_peer (shop.world, names[index]);
    }
    *state = &shop;
    return 0;
}

static int
s_tear_down (void **state)
{
    shop_t *shop = *state;
    world_destroy (&shop->world);
    return 0;
}

static void
s_consume (shop_t *shop, uint32_t prefetch)
{
    for (unsigned index = 0; index < 3; index++) {
        peer_consume (shop->takers[index], "jobs", prefetch);
    }
    peer_publish (shop->maker, "jobs", 0);
    world_meet (shop->world);
    world_settle (shop->world);
}

static size_t
s_total (const shop_t *shop)
{
    return shop->takers[0]->hand_count + shop->takers[1]->hand_count
           + shop->takers[2]->hand_count;
}

static void
test_a_batch_is_shared_out_evenly (void **state)
{
    shop_t *shop = *state;
    s_consume (shop, 100);
    peer_publish (shop->maker, "jobs", 90);
    world_settle (shop->world);
    for (unsigned index = 0; index < 3; index++) {
        assert_int_equal (shop->takers[index]->hand_count, 30);
    }
    assert_int_equal (shop->maker->runs_sent, 3);
}

//  A few milliseconds of its work are not worth a frame for each consumer; for
//  one that takes its time, or did nothing of late, they are.
static void
test_who_is_fast_gets_thick_runs_until_it_is_not (void **state)
{
    shop_t *shop = *state;
    s_consume (shop, 10000);
    for (unsigned step = 0; step < 20; step++) {
        peer_publish (shop->maker, "jobs", 300);
        world_settle (shop->world);
        for (unsigned index = 0; index < 3; index++) {
            peer_settle (shop->takers[index], shop->takers[index]->hand_count,
                         TRN_ACCEPTED);
        }
        world_wait (shop->world, 10);
    }
    uint64_t runs = shop->maker->runs_sent;
    peer_publish (shop->maker, "jobs", 90);
    world_settle (shop->world);
    assert_int_equal (shop->maker->runs_sent, runs + 1);
    assert_int_equal (s_total (shop), 90);
    for (unsigned index = 0; index < 3; index++) {
        peer_settle (shop->takers[index], shop->takers[index]->hand_count,
                     TRN_ACCEPTED);
    }
    world_wait (shop->world, 500);
    runs = shop->maker->runs_sent;
    peer_publish (shop->maker, "jobs", 90);
    world_settle (shop->world);
    for (unsigned index = 0; index < 3; index++) {
        assert_int_equal (shop->takers[index]->hand_count, 30);
    }
    assert_int_equal (shop->maker->runs_sent, runs + 3);
}

static void
test_single_messages_go_round (void **state)
{
    shop_t *shop = *state;
    s_consume (shop, 100);
    for (unsigned count = 0; count < 30; count++) {
        peer_publish (shop->maker, "jobs", 1);
        world_settle (shop->world);
    }
    for (unsigned index = 0; index < 3; index++) {
        assert_int_equal (shop->takers[index]->hand_count, 10);
    }
}

static void
test_who_settles_gets_more_and_who_does_not_waits (void **state)
{
    shop_t *shop = *state;
    s_consume (shop, 2);
    peer_publish (shop->maker, "jobs", 100);
    for (unsigned count = 0; count < 94; count++) {
        world_settle (shop->world);
        peer_settle (shop->takers[1], 1, TRN_ACCEPTED);
        world_wait (shop->world, 20);
    }
    assert_int_equal (s_total (shop), 6);
    assert_int_equal (peer_outbox_stats (shop->maker).consumed, 94);
    assert_int_equal (peer_outbox_stats (shop->maker).waiting, 0);
    assert_int_equal (peer_outbox_stats (shop->maker).in_flight, 6);
}

static void
test_prefetch_one_holds_one (void **state)
{
    shop_t *shop = *state;
    peer_consume (shop->takers[0], "jobs", 1);
    peer_publish (shop->maker, "jobs", 50);
    world_meet (shop->world);
    for (uint64_t seq = 1; seq <= 50; seq++) {
        world_settle (shop->world);
        assert_int_equal (shop->takers[0]->hand_count, 1);
        assert_int_equal (shop->takers[0]->hands[0].seq, seq);
        peer_settle (shop->takers[0], 1, TRN_ACCEPTED);
    }
    world_settle (shop->world);
    assert_int_equal (shop->maker->processed, 50);
}

static void
test_requeued_comes_again_after_a_growing_wait (void **state)
{
    shop_t *shop = *state;
    peer_consume (shop->takers[0], "jobs", 10);
    peer_publish (shop->maker, "jobs", 1);
    world_meet (shop->world);
    world_settle (shop->world);
    int64_t least_ms = 50;
    int64_t most_ms = 100;
    for (uint32_t deliveries = 1; deliveries <= 8; deliveries++) {
        assert_int_equal (shop->takers[0]->hand_count, 1);
        assert_int_equal (shop->takers[0]->hands[0].deliveries, deliveries);
        assert_true (shop->takers[0]->hands[0].redelivered == (deliveries > 1));
        peer_settle (shop->takers[0], 1, TRN_REQUEUED);
        world_wait (shop->world, least_ms);
        assert_int_equal (shop->takers[0]->hand_count, 0);
        world_wait (shop->world, most_ms - least_ms + 5);
        least_ms *= 2;
        most_ms *= 2;
    }
    assert_int_equal (peer_outbox_stats (shop->maker).requeued, 8);
    assert_int_equal (peer_outbox_stats (shop->maker).redelivered, 8);
}

static void
test_rejected_is_set_aside_and_reported (void **state)
{
    shop_t *shop = *state;
    peer_consume (shop->takers[0], "jobs", 10);
    peer_publish (shop->maker, "jobs", 3);
    world_meet (shop->world);
    world_settle (shop->world);
    peer_settle_at (shop->takers[0], 1, TRN_REJECTED);
    peer_settle (shop->takers[0], 2, TRN_ACCEPTED);
    world_wait (shop->world, 60000);
    assert_int_equal (shop->takers[0]->hand_count, 0);
    const trn_engine_outbox_stats_t stats = peer_outbox_stats (shop->maker);
    assert_int_equal (stats.parked, 1);
    assert_int_equal (stats.rejected, 1);
    assert_int_equal (stats.low, 2);
    assert_int_equal (stats.processed, 1);
    assert_int_equal (peer_reported (shop->maker, "TERN-MESSAGE-REJECTED"), 1);
    assert_true (
        trn_engine_settled (shop->maker->engine, shop->maker->outbox, 3));
    assert_false (
        trn_engine_settled (shop->maker->engine, shop->maker->outbox, 2));
}

static void
test_released_comes_again_as_if_never_sent (void **state)
{
    shop_t *shop = *state;
    peer_consume (shop->takers[0], "jobs", 2);
    peer_publish (shop->maker, "jobs", 2);
    world_meet (shop->world);
    world_settle (shop->world);
    peer_settle (shop->takers[0], 1, TRN_RELEASED);
    world_wait (shop->world, 50);
    assert_int_equal (shop->takers[0]->hand_count, 2);
    assert_int_equal (shop->takers[0]->hands[1].seq, 1);
    assert_int_equal (shop->takers[0]->hands[1].deliveries, 1);
    assert_false (shop->takers[0]->hands[1].redelivered);
}

static void
test_records_that_must_be_read_come_later_and_in_order (void **state)
{
    shop_t *shop = *state;
    peer_consume (shop->takers[0], "jobs", 100);
    shop->maker->later = true;
    peer_publish (shop->maker, "jobs", 10);
    world_meet (shop->world);
    world_settle (shop->world);
    assert_true (shop->maker->asked);
    assert_int_equal (shop->takers[0]->hand_count, 0);
    peer_publish (shop->maker, "jobs", 10);
    world_settle (shop->world);
    shop->maker->later = false;
    trn_engine_on_records (shop->maker->engine, shop->maker->outbox,
                           shop->world->now_ms);
    world_settle (shop->world);
    assert_int_equal (shop->takers[0]->hand_count, 20);
    assert_int_equal (shop->takers[0]->hands[0].seq, 1);
}

static void
test_records_that_are_gone_are_counted_and_reported (void **state)
{
    shop_t *shop = *state;
    peer_consume (shop->takers[0], "jobs", 100);
    shop->maker->gone_below = 6;
    peer_publish (shop->maker, "jobs", 10);
    world_meet (shop->world);
    world_settle (shop->world);
    assert_int_equal (shop->takers[0]->hand_count, 5);
    assert_int_equal (shop->takers[0]->hands[0].seq, 6);
    assert_int_equal (peer_outbox_stats (shop->maker).dropped, 5);
    assert_int_equal (shop->maker->processed, 5);
    assert_int_equal (peer_reported (shop->maker, "TERN-MESSAGES-DROPPED"), 1);
}

static void
test_what_the_limit_drops_is_not_waited_for (void **state)
{
    shop_t *shop = *state;
    peer_publish (shop->maker, "jobs", 10);
    trn_engine_on_dropped (shop->maker->engine, shop->maker->outbox, 8,
                           shop->world->now_ms);
    peer_consume (shop->takers[0], "jobs", 100);
    world_meet (shop->world);
    world_settle (shop->world);
    assert_int_equal (shop->takers[0]->hand_count, 3);
    assert_int_equal (peer_outbox_stats (shop->maker).dropped, 7);
    trn_engine_on_dropped (shop->maker->engine, shop->maker->outbox, 8,
                           shop->world->now_ms);
    assert_int_equal (peer_outbox_stats (shop->maker).dropped, 7);
}

static void
test_a_quiet_outbox_is_saved_at_once_and_a_busy_one_at_times (void **state)
{
    shop_t *shop = *state;
    peer_consume (shop->takers[0], "jobs", 100);
    peer_publish (shop->maker, "jobs", 100);
    world_meet (shop->world);
    world_settle (shop->world);
    shop->maker->state_size = 0;
    peer_settle (shop->takers[0], 1, TRN_ACCEPTED);
    world_settle (shop->world);
    assert_true (shop->maker->state_size > 0);
    shop->maker->state_size = 0;
    peer_settle (shop->takers[0], 1, TRN_ACCEPTED);
    world_wait (shop->world, 490);
    assert_int_equal (shop->maker->state_size, 0);
    world_wait (shop->world, 20);
    assert_true (shop->maker->state_size > 0);
}

int
main (void)
{
#define TEST(name) cmocka_unit_test_setup_teardown (name, s_set_up, s_tear_down)
    const struct CMUnitTest tests[] = {
        TEST (test_a_batch_is_shared_out_evenly),
        TEST (test_who_is_fast_gets_thick_runs_until_it_is_not),
        TEST (test_single_messages_go_round),
        TEST (test_who_settles_gets_more_and_who_does_not_waits),
        TEST (test_prefetch_one_holds_one),
        TEST (test_requeued_comes_again_after_a_growing_wait),
        TEST (test_rejected_is_set_aside_and_reported),
        TEST (test_released_comes_again_as_if_never_sent),
        TEST (test_records_that_must_be_read_come_later_and_in_order),
        TEST (test_records_that_are_gone_are_counted_and_reported),
        TEST (test_what_the_limit_drops_is_not_waited_for),
        TEST (test_a_quiet_outbox_is_saved_at_once_and_a_busy_one_at_times),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
