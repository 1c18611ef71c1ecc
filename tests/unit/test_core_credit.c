//  test_core_credit - a consumer is never given more than it asked for
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/rng.h"
#include "support/core_world.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MAKERS 4u

typedef struct {
    world_t *world;
    peer_t *makers[MAKERS];
    peer_t *taker;
    uint32_t prefetch;
} shop_t;

static void
s_on_hand (void *arg, peer_t *peer, const hand_t *hand)
{
    const shop_t *shop = arg;
    (void) hand;
    assert_true (peer->hand_count <= shop->prefetch);
}

static int
s_set_up (void **state)
{
    static shop_t shop;
    static const char *const names[]
        = {"maker-a", "maker-b", "maker-c", "maker-d"};
    shop.world = world_new ();
    shop.world->on_hand = s_on_hand;
    shop.world->on_hand_arg = &shop;
    for (unsigned index = 0; index < MAKERS; index++) {
        shop.makers[index] = world_peer (shop.world, names[index]);
    }
    shop.taker = world_peer (shop.world, "taker");
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
    shop->prefetch = prefetch;
    peer_consume (shop->taker, "jobs", prefetch);
}

//  So many publishers have a link, and nothing to send.
static void
s_meet (shop_t *shop, unsigned makers)
{
    for (unsigned index = 0; index < makers; index++) {
        peer_publish (shop->makers[index], "jobs", 0);
        world_meet (shop->world);
        world_settle (shop->world);
    }
}

static void
test_one_publisher_gets_everything_at_once (void **state)
{
    shop_t *shop = *state;
    s_consume (shop, 1000);
    s_meet (shop, 1);
    assert_int_equal (shop->taker->credits_sent, 1);
    peer_publish (shop->makers[0], "jobs", 1000);
    world_settle (shop->world);
    assert_int_equal (shop->taker->hand_count, 1000);
}

static void
test_credit_is_granted_in_batches (void **state)
{
    shop_t *shop = *state;
    s_consume (shop, 1000);
    s_meet (shop, 1);
    for (unsigned count = 0; count < 10000; count++) {
        peer_publish (shop->makers[0], "jobs", 1);
        world_settle (shop->world);
        peer_settle (shop->taker, 1, TRN_ACCEPTED);
    }
    world_settle (shop->world);
    assert_int_equal (shop->makers[0]->processed, 10000);
    assert_true (shop->taker->credits_sent < 30);
}

static void
test_small_rooms_are_granted_after_a_short_wait (void **state)
{
    shop_t *shop = *state;
    s_consume (shop, 100);
    s_meet (shop, 1);
    peer_publish (shop->makers[0], "jobs", 200);
    world_settle (shop->world);
    assert_int_equal (shop->taker->hand_count, 100);
    peer_settle (shop->taker, 3, TRN_ACCEPTED);
    world_wait (shop->world, 20);
    assert_int_equal (shop->taker->hand_count, 100);
}

static void
test_an_idle_publisher_does_not_keep_the_only_credit (void **state)
{
    shop_t *shop = *state;
    s_consume (shop, 1);
    s_meet (shop, MAKERS);
    for (unsigned round = 0; round < 20; round++) {
        peer_t *maker = shop->makers[round % MAKERS];
        peer_publish (maker, "jobs", 1);
        world_wait (shop->world, 5);
        assert_int_equal (shop->taker->hand_count, 1);
        peer_settle (shop->taker, 1, TRN_ACCEPTED);
        world_wait (shop->world, 200);
    }
    for (unsigned index = 0; index < MAKERS; index++) {
        assert_int_equal (shop->makers[index]->processed, 5);
    }
}

static void
test_busy_publishers_take_turns_for_one_credit (void **state)
{
    shop_t *shop = *state;
    s_consume (shop, 1);
    s_meet (shop, MAKERS);
    for (unsigned index = 0; index < MAKERS; index++) {
        peer_publish (shop->makers[index], "jobs", 100);
    }
    for (unsigned round = 0; round < 100; round++) {
        world_settle (shop->world);
        assert_int_equal (shop->taker->hand_count, 1);
        peer_settle (shop->taker, 1, TRN_ACCEPTED);
    }
    world_settle (shop->world);
    for (unsigned index = 0; index < MAKERS; index++) {
        assert_in_range (shop->makers[index]->processed, 20, 30);
    }
}

static void
test_a_busy_publisher_gets_what_idle_ones_do_not_use (void **state)
{
    shop_t *shop = *state;
    s_consume (shop, 100);
    s_meet (shop, MAKERS);
    peer_publish (shop->makers[2], "jobs", 5000);
    world_wait (shop->world, 300);
    assert_in_range (shop->taker->hand_count, 70, 100);
    while (shop->taker->hand_count) {
        peer_settle (shop->taker, 1, TRN_ACCEPTED);
        world_wait (shop->world, 1);
    }
    assert_int_equal (shop->makers[2]->processed, 5000);
}

static void
test_bytes_are_limited_too (void **state)
{
    shop_t *shop = *state;
    shop->prefetch = 1000;
    const trn_consumer_id_t id
        = trn_engine_add_consumer (shop->taker->engine, "jobs", 1000,
                                   3 * WORLD_RECORD, shop->world->now_ms);
    shop->taker->consumes[0] = "jobs";
    shop->taker->consumers[0] = id;
    shop->taker->consumer_count = 1;
    s_meet (shop, 2);
    peer_publish (shop->makers[0], "jobs", 20);
    peer_publish (shop->makers[1], "jobs", 20);
    unsigned settled = 0;
    for (unsigned round = 0; settled < 40 && round < 1000; round++) {
        world_wait (shop->world, 20);
        assert_true (shop->taker->hand_count <= 5);
        if (shop->taker->hand_count) {
            peer_settle (shop->taker, 1, TRN_ACCEPTED);
            settled++;
        }
    }
    assert_int_equal (settled, 40);
}

//  Found by the simulator: one publisher had the only message of credit and no
//  bytes, another all the bytes and no message, and each time bytes were taken
//  back they were given to it again.
static void
test_no_publisher_keeps_bytes_that_another_needs (void **state)
{
    shop_t *shop = *state;
    shop->prefetch = 2;
    for (uint32_t limit = 100; limit <= 1500; limit += 50) {
        trn_rng_t rng = {limit};
        peer_t *taker = shop->taker;
        taker->consumes[0] = "jobs";
        taker->consumer_count = 1;
        taker->consumers[0] = trn_engine_add_consumer (
            taker->engine, "jobs", 1 + limit / 50 % 2, limit,
            shop->world->now_ms);
        s_meet (shop, MAKERS);
        for (unsigned round = 0; round < 300; round++) {
            shop->world->record_size
                = 20 + (uint32_t) trn_rng_below (&rng, 2 * limit);
            peer_publish (shop->makers[trn_rng_below (&rng, MAKERS)], "jobs",
                          trn_rng_below (&rng, 4));
            world_wait (shop->world, (int64_t) trn_rng_below (&rng, 30));
            if (taker->hand_count) {
                peer_settle (taker, 1, TRN_ACCEPTED);
            }
        }
        for (unsigned round = 0; round < 1000; round++) {
            world_wait (shop->world, 120);
            if (taker->hand_count) {
                peer_settle (taker, 1, TRN_ACCEPTED);
            }
        }
        for (unsigned index = 0; index < MAKERS; index++) {
            const peer_t *maker = shop->makers[index];
            assert_int_equal (maker->processed, maker->high);
        }
        trn_engine_remove_consumer (taker->engine, taker->consumers[0],
                                    shop->world->now_ms);
    }
}

static void
test_a_record_larger_than_the_limit_still_comes (void **state)
{
    shop_t *shop = *state;
    shop->prefetch = 1000;
    trn_engine_add_consumer (shop->taker->engine, "jobs", 1000, 1,
                             shop->world->now_ms);
    shop->taker->consumes[0] = "jobs";
    shop->taker->consumer_count = 1;
    s_meet (shop, 1);
    peer_publish (shop->makers[0], "jobs", 3);
    for (unsigned round = 1; round <= 3; round++) {
        world_wait (shop->world, 20);
        assert_int_equal (shop->taker->hand_count, 1);
        peer_settle (shop->taker, 1, TRN_ACCEPTED);
    }
    world_settle (shop->world);
    assert_int_equal (shop->makers[0]->processed, 3);
}

static void
test_two_consumers_of_a_queue_share_its_flows (void **state)
{
    shop_t *shop = *state;
    s_consume (shop, 30);
    const trn_consumer_id_t first = shop->taker->consumers[0];
    const trn_consumer_id_t second = trn_engine_add_consumer (
        shop->taker->engine, "jobs", 10, 1u << 20, shop->world->now_ms);
    shop->prefetch = 40;
    s_meet (shop, 1);
    peer_publish (shop->makers[0], "jobs", 100);
    world_settle (shop->world);
    unsigned counts[2] = {0};
    for (size_t index = 0; index < shop->taker->hand_count; index++) {
        counts[shop->taker->hands[index].consumer == second]++;
    }
    assert_int_equal (counts[0], 30);
    assert_int_equal (counts[1], 10);

    //  When one leaves, what it held comes to the other.
    trn_engine_remove_consumer (shop->taker->engine, second,
                                shop->world->now_ms);
    for (size_t index = shop->taker->hand_count; index; index--) {
        if (shop->taker->hands[index - 1].consumer == second) {
            shop->taker->hands[index - 1]
                = shop->taker->hands[--shop->taker->hand_count];
        }
    }
    shop->prefetch = 30;
    unsigned settled = 0;
    for (unsigned round = 0; settled < 100 && round < 1000; round++) {
        world_wait (shop->world, 20);
        assert_true (shop->taker->hand_count <= 30);
        if (shop->taker->hand_count) {
            assert_int_equal (shop->taker->hands[0].consumer, first);
            peer_settle (shop->taker, 1, TRN_ACCEPTED);
            settled++;
        }
    }
    world_settle (shop->world);
    assert_int_equal (shop->makers[0]->processed, 100);
}

int
main (void)
{
#define TEST(name) cmocka_unit_test_setup_teardown (name, s_set_up, s_tear_down)
    const struct CMUnitTest tests[] = {
        TEST (test_one_publisher_gets_everything_at_once),
        TEST (test_credit_is_granted_in_batches),
        TEST (test_small_rooms_are_granted_after_a_short_wait),
        TEST (test_an_idle_publisher_does_not_keep_the_only_credit),
        TEST (test_busy_publishers_take_turns_for_one_credit),
        TEST (test_a_busy_publisher_gets_what_idle_ones_do_not_use),
        TEST (test_bytes_are_limited_too),
        TEST (test_no_publisher_keeps_bytes_that_another_needs),
        TEST (test_a_record_larger_than_the_limit_still_comes),
        TEST (test_two_consumers_of_a_queue_share_its_flows),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
