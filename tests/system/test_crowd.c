//  test_crowd - how many messages with rules an outbox may hold
//
//  They take memory while they wait, so they have a limit of their own.
//
//  SPDX-License-Identifier: MPL-2.0

#include "scene.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define QUEUE "jobs"

//  As tern_producer_send_msg (), of a text with a priority.
static int
s_try (tern_producer_t *producer, const char *text, int priority,
       int timeout_ms)
{
    tern_msg_t *msg = tern_msg_new (text, strlen (text));
    assert_int_equal (tern_msg_set_priority (msg, priority), TERN_OK);
    const int rc = tern_producer_send_msg (producer, msg, timeout_ms, NULL);
    tern_msg_destroy (&msg);
    return rc;
}

//  "job FROM" .. "job TO", each more urgent than what is plain.
static void
s_send_ruled (tern_producer_t *producer, unsigned from, unsigned to)
{
    for (unsigned number = from; number <= to; number++) {
        char text[32];
        snprintf (text, sizeof text, "job %u", number);
        assert_int_equal (s_try (producer, text, 5, SCENE_DEADLINE_MS),
                          TERN_OK);
    }
}

//  At the limit ----------------------------------------------------------------

static void
test_at_their_limit_nothing_with_a_rule_goes_in (void **state)
{
    tern_peer_t *orders
        = scene_peer (*state, "orders-1", "limit_ruled", "100", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    s_send_ruled (producer, 1, 100);
    assert_int_equal (s_try (producer, "no", 5, 0), TERN_EAGAIN);
    assert_int_equal (s_try (producer, "no", 5, SCENE_QUIET_MS), TERN_ETIMEOUT);
    tern_msg_t *late = tern_msg_new ("no", 2);
    assert_int_equal (tern_msg_set_ttl (late, 60000), TERN_OK);
    assert_int_equal (tern_producer_send_msg (producer, late, 0, NULL),
                      TERN_EAGAIN);
    tern_msg_destroy (&late);
    //  What is plain takes no memory.
    scene_send (producer, "plain");
    assert_int_equal (tern_producer_last (producer), 101);
    assert_int_equal (scene_stats (orders, QUEUE, TERN_ROLE_PUBLISHER).refused,
                      3);
    tern_consumer_t *consumer = scene_consumer (orders, QUEUE, 0);
    scene_accept_numbers (consumer, "job", 1, 100);
    scene_accept (consumer, "plain");
    scene_settled (producer, 101);
    //  All of them again: what is settled does not count.
    s_send_ruled (producer, 101, 200);
    scene_accept_numbers (consumer, "job", 101, 200);
    scene_settled (producer, 201);
    scene_end (&orders, &producer, &consumer);
}

static void *
s_send_blocked (void *arg)
{
    static int rc;
    rc = s_try (arg, "blocked", 5, SCENE_DEADLINE_MS);
    return &rc;
}

//  The oldest stays, so the settled do not move: room comes all the same.
static void
test_who_is_blocked_goes_on_when_any_is_settled (void **state)
{
    tern_peer_t *orders
        = scene_peer (*state, "orders-1", "limit_ruled", "10", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    s_send_ruled (producer, 1, 9);
    assert_int_equal (s_try (producer, "urgent", 9, 0), TERN_OK);
    pthread_t thread;
    assert_int_equal (pthread_create (&thread, NULL, s_send_blocked, producer),
                      0);
    tern_consumer_t *consumer = scene_consumer (orders, QUEUE, 1);
    scene_accept (consumer, "urgent");
    void *result = NULL;
    assert_int_equal (pthread_join (thread, &result), 0);
    assert_int_equal (*(int *) result, TERN_OK);
    assert_int_equal (tern_producer_reached (producer, TERN_PROCESSED), 0);
    scene_accept_numbers (consumer, "job", 1, 9);
    scene_accept (consumer, "blocked");
    scene_settled (producer, 11);
    scene_end (&orders, &producer, &consumer);
}

static void
test_the_descriptor_tells_of_room_for_them (void **state)
{
    tern_peer_t *orders
        = scene_peer (*state, "orders-1", "limit_ruled", "10", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    const int fd = tern_producer_fd (producer);
    s_send_ruled (producer, 1, 9);
    assert_int_equal (s_try (producer, "urgent", 9, 0), TERN_OK);
    assert_true (scene_readable (fd, 0));
    assert_int_equal (s_try (producer, "job 10", 5, 0), TERN_EAGAIN);
    assert_false (scene_readable (fd, SCENE_QUIET_MS));
    tern_consumer_t *consumer = scene_consumer (orders, QUEUE, 1);
    scene_accept (consumer, "urgent");
    assert_true (scene_readable (fd, SCENE_DEADLINE_MS));
    assert_true (scene_readable (fd, 0));
    assert_int_equal (s_try (producer, "job 10", 5, 0), TERN_OK);
    scene_accept_numbers (consumer, "job", 1, 10);
    scene_settled (producer, 11);
    scene_end (&orders, &producer, &consumer);
}

static void
test_they_are_refused_when_told_to (void **state)
{
    tern_peer_t *orders
        = scene_peer (*state, "orders-1", "queue/" QUEUE "/limit_ruled", "10",
                      "at_limit", "refuse", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    s_send_ruled (producer, 1, 10);
    assert_int_equal (s_try (producer, "no", 5, -1), TERN_EFULL);
    tern_consumer_t *consumer = scene_consumer (orders, QUEUE, 0);
    scene_accept_numbers (consumer, "job", 1, 10);
    scene_settled (producer, 10);
    assert_int_equal (s_try (producer, "job 11", 5, 0), TERN_OK);
    scene_accept (consumer, "job 11");
    scene_settled (producer, 11);
    scene_end (&orders, &producer, &consumer);
}

static void
test_the_oldest_of_them_go_when_told_to (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", "limit_ruled", "10",
                                      "at_limit", "drop_oldest", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    scene_send (producer, "plain");
    s_send_ruled (producer, 1, 15);
    scene_event (orders, "TERN-MESSAGES-DROPPED");
    assert_int_equal (scene_stats (orders, QUEUE, TERN_ROLE_PUBLISHER).dropped,
                      5);
    tern_consumer_t *consumer = scene_consumer (orders, QUEUE, 0);
    scene_accept_numbers (consumer, "job", 6, 15);
    //  It is older than what went, but takes no memory.
    scene_accept (consumer, "plain");
    scene_settled (producer, 16);
    scene_end (&orders, &producer, &consumer);
}

//  A consumer may have done its work already.
static void
test_what_a_consumer_holds_is_not_dropped (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", "limit_ruled", "2",
                                      "at_limit", "drop_oldest", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_consumer_t *consumer = scene_consumer (orders, QUEUE, 2);
    s_send_ruled (producer, 1, 2);
    tern_msg_t *first = tern_msg_dup (scene_expect (consumer, "job 1"));
    tern_msg_t *second = tern_msg_dup (scene_expect (consumer, "job 2"));
    assert_int_equal (s_try (producer, "job 3", 5, 0), TERN_EAGAIN);
    assert_int_equal (tern_consumer_accept (consumer, first), TERN_OK);
    tern_msg_destroy (&first);
    assert_int_equal (s_try (producer, "job 3", 5, SCENE_DEADLINE_MS), TERN_OK);
    assert_int_equal (tern_consumer_accept (consumer, second), TERN_OK);
    tern_msg_destroy (&second);
    scene_accept (consumer, "job 3");
    scene_settled (producer, 3);
    assert_int_equal (scene_stats (orders, QUEUE, TERN_ROLE_PUBLISHER).dropped,
                      0);
    scene_end (&orders, &producer, &consumer);
}

//  Lives -----------------------------------------------------------------------

static void
test_a_store_with_more_than_the_limit_opens_and_loses_nothing (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    s_send_ruled (producer, 1, 200);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 200);

    orders = scene_peer (*state, "orders-1", "limit_ruled", "100", NULL);
    producer = scene_producer (orders, QUEUE);
    assert_int_equal (s_try (producer, "no", 5, 0), TERN_EAGAIN);
    tern_consumer_t *consumer = scene_consumer (orders, QUEUE, 1);
    scene_accept_numbers (consumer, "job", 1, 100);
    tern_msg_t *held = tern_msg_dup (scene_expect (consumer, "job 101"));
    scene_settled (producer, 100);
    assert_int_equal (s_try (producer, "no", 5, 0), TERN_EAGAIN);
    assert_int_equal (tern_consumer_accept (consumer, held), TERN_OK);
    tern_msg_destroy (&held);
    s_send_ruled (producer, 201, 201);
    scene_accept_numbers (consumer, "job", 102, 201);
    scene_settled (producer, 201);
    scene_end (&orders, &producer, &consumer);
}

//  Fan-out ---------------------------------------------------------------------

static void
s_bind (tern_peer_t *peer, const char *queue)
{
    const tern_binding_t binding
        = {.exchange = "news", .type = TERN_FANOUT, .queue = queue};
    scene_bind (peer, &binding);
}

static void
test_one_counts_for_each_queue_that_it_waits_for (void **state)
{
    tern_peer_t *orders
        = scene_peer (*state, "orders-1", "limit_ruled", "9", NULL);
    tern_producer_t *producer
        = scene_exchange (orders, "news", TERN_FANOUT, NULL);
    s_bind (orders, "a");
    s_bind (orders, "b");
    s_bind (orders, "c");
    //  Routed to all three from here on.
    const uint64_t first = scene_send (producer, "plain");
    tern_consumer_t *a = scene_consumer (orders, "a", 0);
    tern_consumer_t *b = scene_consumer (orders, "b", 0);
    tern_consumer_t *c = scene_consumer (orders, "c", 0);
    scene_accept (a, "plain");
    scene_accept (b, "plain");
    scene_accept (c, "plain");
    scene_settled (producer, first);
    tern_consumer_close (&a);
    tern_consumer_close (&b);
    tern_consumer_close (&c);
    s_send_ruled (producer, 1, 3);
    assert_int_equal (s_try (producer, "no", 5, 0), TERN_EAGAIN);
    a = scene_consumer (orders, "a", 0);
    scene_accept_numbers (a, "job", 1, 3);
    assert_int_equal (s_try (producer, "job 4", 5, SCENE_DEADLINE_MS), TERN_OK);
    assert_int_equal (s_try (producer, "no", 5, 0), TERN_EAGAIN);
    scene_accept_numbers (a, "job", 4, 4);
    b = scene_consumer (orders, "b", 0);
    scene_accept_numbers (b, "job", 1, 4);
    c = scene_consumer (orders, "c", 0);
    scene_accept_numbers (c, "job", 1, 4);
    scene_settled (producer, tern_producer_last (producer));
    tern_consumer_close (&b);
    tern_consumer_close (&c);
    scene_end (&orders, &producer, &a);
}

//  Inboxes ---------------------------------------------------------------------

static void
test_a_full_inbox_leaves_them_with_their_publisher (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_peer_t *payment
        = scene_peer (*state, "payment-1", "limit_ruled", "10", NULL);
    const tern_consumer_options_t options
        = {.prefetch = 1, .inbox = true, .settle_early = true};
    tern_consumer_t *consumer = NULL;
    assert_int_equal (tern_consumer_open (&consumer, payment, QUEUE, &options),
                      TERN_OK);
    s_send_ruled (producer, 1, 100);
    scene_accept (consumer, "job 1");
    //  So many are in the inbox, whatever its consumer is slow to take.
    assert_int_equal (
        tern_producer_wait (producer, 20, TERN_PROCESSED, SCENE_QUIET_MS),
        TERN_ETIMEOUT);
    scene_accept_numbers (consumer, "job", 2, 100);
    scene_settled (producer, 100);
    tern_consumer_close (&consumer);
    assert_int_equal (tern_peer_close (&payment, 0), 0);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

int
main (void)
{
    cmocka_set_message_output (CM_OUTPUT_TAP);
#define CLAIM(name)                                                            \
    cmocka_unit_test_setup_teardown (name, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        CLAIM (test_at_their_limit_nothing_with_a_rule_goes_in),
        CLAIM (test_who_is_blocked_goes_on_when_any_is_settled),
        CLAIM (test_the_descriptor_tells_of_room_for_them),
        CLAIM (test_they_are_refused_when_told_to),
        CLAIM (test_the_oldest_of_them_go_when_told_to),
        CLAIM (test_what_a_consumer_holds_is_not_dropped),
        CLAIM (test_a_store_with_more_than_the_limit_opens_and_loses_nothing),
        CLAIM (test_one_counts_for_each_queue_that_it_waits_for),
        CLAIM (test_a_full_inbox_leaves_them_with_their_publisher),
    };
    return cmocka_run_group_tests_name ("crowd", tests, NULL, NULL);
}
