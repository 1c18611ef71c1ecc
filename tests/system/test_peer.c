//  test_peer - what <tern.h> promises, on real sockets and a real disk
//
//  SPDX-License-Identifier: MPL-2.0

#include "scene.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

//  One way -------------------------------------------------------------------

static void
test_a_message_reaches_its_consumer (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *consumer = scene_consumer (payment, "hello", 0);
    tern_producer_t *producer = scene_producer (orders, "hello");

    const uint64_t seq = scene_send (producer, "Hello World!");
    assert_int_equal (seq, tern_producer_last (producer));
    tern_msg_t *msg = scene_expect (consumer, "Hello World!");
    char id[128];
    snprintf (id, sizeof id, "orders-1/hello/%llu", (unsigned long long) seq);
    assert_string_equal (tern_msg_id (msg), id);
    assert_int_equal (tern_msg_seq (msg), seq);
    assert_string_equal (tern_msg_publisher (msg), "orders-1");
    assert_string_equal (tern_msg_queue (msg), "hello");
    assert_int_equal (tern_msg_deliveries (msg), 1);
    assert_false (tern_msg_redelivered (msg));

    assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    assert_int_equal (tern_consumer_accept (consumer, msg), TERN_ENOENT);
    scene_settled (producer, seq);

    scene_end (&orders, &producer, &consumer);
    assert_int_equal (tern_peer_close (&payment, 0), 0);
}

static void
test_key_and_headers_arrive_as_they_were_set (void **state)
{
    tern_peer_t *peer = scene_peer (*state, "orders-1", NULL);
    tern_consumer_t *consumer = scene_consumer (peer, "hello", 0);
    tern_producer_t *producer = scene_producer (peer, "hello");
    tern_msg_t *out = tern_msg_new ("body", 4);
    assert_int_equal (tern_msg_set_key (out, "eu.order"), TERN_OK);
    assert_int_equal (tern_msg_set_header (out, "kind", "first"), TERN_OK);
    assert_int_equal (tern_msg_set_header (out, "kind", "order"), TERN_OK);
    assert_int_equal (tern_msg_set_header (out, "who", "Zoë"), TERN_OK);
    assert_int_equal (tern_msg_set_header (out, "tern.x", "y"), TERN_EINVAL);
    const uint64_t seq = scene_send_msg (producer, out);

    tern_msg_t *msg = scene_expect (consumer, "body");
    size_t size = 0;
    assert_memory_equal (tern_msg_key (msg, &size), "eu.order", 8);
    assert_int_equal (size, 8);
    assert_memory_equal (tern_msg_header (msg, "kind", &size), "order", 5);
    assert_int_equal (size, 5);
    assert_memory_equal (tern_msg_header (msg, "who", &size), "Zoë", 4);
    assert_null (tern_msg_header (msg, "other", &size));
    assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    scene_settled (producer, seq);

    tern_producer_close (&producer);
    tern_consumer_close (&consumer);
    tern_peer_close (&peer, 0);
}

static void
test_messages_wait_for_a_consumer_that_comes_later (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, "hello");
    const uint64_t last = scene_send_numbers (producer, "early", 1000);
    assert_int_equal (tern_producer_wait (producer, last, TERN_SYNCED, -1),
                      TERN_OK);
    assert_int_equal (
        tern_producer_wait (producer, last, TERN_PROCESSED, SCENE_QUIET_MS),
        TERN_ETIMEOUT);

    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *consumer = scene_consumer (payment, "hello", 0);
    scene_accept_numbers (consumer, "early", 1, 1000);
    scene_settled (producer, last);

    tern_producer_close (&producer);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

static void
test_a_peer_may_consume_what_it_publishes (void **state)
{
    tern_peer_t *peer = scene_peer (*state, "orders-1", NULL);
    tern_consumer_t *consumer = scene_consumer (peer, "self", 0);
    tern_producer_t *producer = scene_producer (peer, "self");
    const uint64_t seq = scene_send (producer, "to me");
    scene_accept (consumer, "to me");
    scene_settled (producer, seq);
    tern_producer_close (&producer);
    tern_consumer_close (&consumer);
    tern_peer_close (&peer, 0);
}

static void
test_a_body_may_have_any_size_up_to_the_limit (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *consumer = scene_consumer (payment, "big", 0);
    tern_producer_t *producer = scene_producer (orders, "big");
    static const size_t sizes[]
        = {0, 1, 4095, 65536, 262144, TERN_BODY_MAX - 1, TERN_BODY_MAX};
    char *body = malloc (TERN_BODY_MAX + 1);
    for (size_t index = 0; index <= TERN_BODY_MAX; index++) {
        body[index] = (char) (index * 7 + index / 4096);
    }
    uint64_t seq = 0;
    assert_int_equal (
        tern_producer_send (producer, body, TERN_BODY_MAX + 1, -1, &seq),
        TERN_ETOOBIG);
    assert_int_equal (tern_producer_last (producer), 0);
    for (size_t index = 0; index < sizeof sizes / sizeof *sizes; index++) {
        assert_int_equal (
            tern_producer_send (producer, body, sizes[index], -1, &seq),
            TERN_OK);
    }
    for (size_t index = 0; index < sizeof sizes / sizeof *sizes; index++) {
        tern_msg_t *msg = scene_receive (consumer);
        assert_int_equal (tern_msg_size (msg), sizes[index]);
        assert_memory_equal (tern_msg_body (msg), body, sizes[index]);
        assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    }
    scene_settled (producer, seq);
    free (body);
    tern_producer_close (&producer);
    tern_consumer_close (&consumer);
    tern_peer_close (&orders, 0);
    tern_peer_close (&payment, 0);
}

//  Many ----------------------------------------------------------------------

#define THREADS 4
#define PER_THREAD 2000

typedef struct {
    tern_producer_t *producer;
    unsigned number;
    bool failed;
} sender_t;

static void *
s_send_many (void *arg)
{
    sender_t *self = arg;
    for (unsigned count = 0; count < PER_THREAD; count++) {
        char text[32];
        const int size
            = snprintf (text, sizeof text, "%u %u", self->number, count);
        self->failed |= tern_producer_send (self->producer, text, (size_t) size,
                                            -1, NULL)
                        != TERN_OK;
    }
    return NULL;
}

static void
test_threads_may_share_a_producer (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *consumer = scene_consumer (payment, "hello", 0);
    tern_producer_t *producer = scene_producer (orders, "hello");
    pthread_t threads[THREADS];
    sender_t senders[THREADS];
    for (unsigned index = 0; index < THREADS; index++) {
        senders[index] = (sender_t) {producer, index, false};
        pthread_create (&threads[index], NULL, s_send_many, &senders[index]);
    }
    unsigned next[THREADS] = {0};
    uint64_t last_seq = 0;
    for (unsigned count = 0; count < THREADS * PER_THREAD; count++) {
        tern_msg_t *msg = scene_receive (consumer);
        char text[32] = "";
        memcpy (text, tern_msg_body (msg), tern_msg_size (msg));
        unsigned thread = THREADS;
        unsigned number = 0;
        assert_int_equal (sscanf (text, "%u %u", &thread, &number), 2);
        assert_true (thread < THREADS);
        assert_int_equal (number, next[thread]++);
        assert_true (tern_msg_seq (msg) > last_seq);
        last_seq = tern_msg_seq (msg);
        assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    }
    for (unsigned index = 0; index < THREADS; index++) {
        pthread_join (threads[index], NULL);
        assert_false (senders[index].failed);
    }
    scene_settled (producer, tern_producer_last (producer));
    tern_producer_close (&producer);
    tern_consumer_close (&consumer);
    tern_peer_close (&orders, 0);
    tern_peer_close (&payment, 0);
}

static void
test_consumers_share_the_work (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, "work");
    tern_peer_t *peers[3];
    tern_consumer_t *consumers[3];
    for (unsigned index = 0; index < 3; index++) {
        char name[32];
        snprintf (name, sizeof name, "worker-%u", index + 1);
        peers[index] = scene_peer (*state, name, NULL);
        consumers[index] = scene_consumer (peers[index], "work", 10);
    }
    scene_consumers (orders, "work", 3);
    const uint64_t last = scene_send_numbers (producer, "job", 30);
    //  Nobody settles, so each holds what its prefetch allows.
    tern_msg_t *held[3][10];
    for (unsigned index = 0; index < 3; index++) {
        for (unsigned count = 0; count < 10; count++) {
            held[index][count]
                = tern_msg_dup (scene_receive (consumers[index]));
        }
    }
    for (unsigned index = 0; index < 3; index++) {
        for (unsigned count = 0; count < 10; count++) {
            tern_msg_t *msg = held[index][count];
            assert_int_equal (tern_consumer_accept (consumers[index], msg),
                              TERN_OK);
            tern_msg_destroy (&msg);
        }
    }
    scene_settled (producer, last);
    tern_producer_close (&producer);
    for (unsigned index = 0; index < 3; index++) {
        tern_consumer_close (&consumers[index]);
        tern_peer_close (&peers[index], 0);
    }
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

static void
test_order_is_kept_per_publisher (void **state)
{
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *consumer = scene_consumer (payment, "hello", 100);
    tern_peer_t *peers[3];
    tern_producer_t *producers[3];
    for (unsigned index = 0; index < 3; index++) {
        char name[32];
        snprintf (name, sizeof name, "orders-%u", index + 1);
        peers[index] = scene_peer (*state, name, NULL);
        producers[index] = scene_producer (peers[index], "hello");
        scene_send_numbers (producers[index], name, 1000);
    }
    unsigned next[3] = {1, 1, 1};
    for (unsigned count = 0; count < 3000; count++) {
        tern_msg_t *msg = scene_receive (consumer);
        const char *publisher = tern_msg_publisher (msg);
        const unsigned index = (unsigned) (publisher[7] - '1');
        char text[64];
        snprintf (text, sizeof text, "%s %u", publisher, next[index]++);
        assert_int_equal (tern_msg_size (msg), strlen (text));
        assert_memory_equal (tern_msg_body (msg), text, strlen (text));
        assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    }
    for (unsigned index = 0; index < 3; index++) {
        scene_settled (producers[index], tern_producer_last (producers[index]));
        tern_producer_close (&producers[index]);
        tern_peer_close (&peers[index], 0);
    }
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
}

//  Settling ------------------------------------------------------------------

static void
test_prefetch_bounds_what_a_consumer_holds (void **state)
{
    scene_pair_t pair = scene_pair (*state, "hello", 1);
    const uint64_t last = scene_send_numbers (pair.producer, "job", 3);
    for (unsigned number = 1; number <= 3; number++) {
        tern_msg_t *msg = tern_msg_dup (scene_receive (pair.consumer));
        scene_nothing (pair.consumer);
        assert_int_equal (
            scene_stats (pair.orders, "hello", TERN_ROLE_PUBLISHER).in_flight,
            1);
        assert_int_equal (tern_consumer_accept (pair.consumer, msg), TERN_OK);
        tern_msg_destroy (&msg);
    }
    scene_settled (pair.producer, last);
    scene_part (&pair);
}

static void
test_a_requeued_message_comes_again_and_says_so (void **state)
{
    scene_pair_t pair = scene_pair (*state, "hello", 0);
    const uint64_t seq = scene_send (pair.producer, "hard");
    for (uint32_t delivery = 1; delivery <= 3; delivery++) {
        tern_msg_t *msg = scene_expect (pair.consumer, "hard");
        assert_int_equal (tern_msg_seq (msg), seq);
        assert_int_equal (tern_msg_deliveries (msg), delivery);
        assert_int_equal (tern_msg_redelivered (msg), delivery > 1);
        if (delivery < 3) {
            assert_int_equal (tern_consumer_requeue (pair.consumer, msg),
                              TERN_OK);
        } else {
            assert_int_equal (tern_consumer_accept (pair.consumer, msg),
                              TERN_OK);
        }
    }
    scene_settled (pair.producer, seq);
    scene_part (&pair);
}

static void
test_a_rejected_message_is_set_aside_and_stops_nobody (void **state)
{
    scene_pair_t pair = scene_pair (*state, "hello", 0);
    scene_send (pair.producer, "impossible");
    scene_send (pair.producer, "possible");
    tern_msg_t *msg = scene_expect (pair.consumer, "impossible");
    assert_int_equal (tern_consumer_reject (pair.consumer, msg), TERN_OK);
    scene_accept (pair.consumer, "possible");
    scene_nothing (pair.consumer);
    const tern_stats_t row
        = scene_stats (pair.orders, "hello", TERN_ROLE_PUBLISHER);
    assert_int_equal (row.rejected, 1);
    assert_int_equal (row.consumed.total, 1);
    scene_part (&pair);
}

static void
test_kept_messages_may_be_settled_in_any_order (void **state)
{
    scene_pair_t pair = scene_pair (*state, "hello", 0);
    const uint64_t last = scene_send_numbers (pair.producer, "job", 100);
    tern_msg_t *kept[100];
    for (unsigned index = 0; index < 100; index++) {
        kept[index] = tern_msg_dup (scene_receive (pair.consumer));
    }
    for (unsigned index = 100; index-- > 1;) {
        assert_int_equal (tern_consumer_accept (pair.consumer, kept[index]),
                          TERN_OK);
        tern_msg_destroy (&kept[index]);
    }
    assert_int_equal (tern_consumer_flush (pair.consumer, -1), TERN_OK);
    assert_int_equal (tern_producer_wait (pair.producer, last, TERN_PROCESSED,
                                          SCENE_QUIET_MS),
                      TERN_ETIMEOUT);
    assert_int_equal (tern_consumer_accept (pair.consumer, kept[0]), TERN_OK);
    tern_msg_destroy (&kept[0]);
    scene_settled (pair.producer, last);
    scene_part (&pair);
}

static bool
s_has_received_ten (void *arg)
{
    return scene_stats (arg, "hello", TERN_ROLE_CONSUMER).transmitted.total
           == 10;
}

static void
test_a_closed_consumer_gives_back_what_it_holds (void **state)
{
    scene_pair_t pair = scene_pair (*state, "hello", 0);
    const uint64_t last = scene_send_numbers (pair.producer, "job", 10);
    scene_expect (pair.consumer, "job 1");
    scene_expect (pair.consumer, "job 2");
    //  What is still on its way counts as seen: nobody knows better.
    scene_until (pair.payment, s_has_received_ten, pair.payment,
                 "ten messages here");
    tern_consumer_close (&pair.consumer);

    //  The same peer consumes again: what the application had seen is flagged,
    //  the rest is not, all in order.
    pair.consumer = scene_consumer (pair.payment, "hello", 0);
    for (unsigned number = 1; number <= 10; number++) {
        char text[32];
        snprintf (text, sizeof text, "job %u", number);
        tern_msg_t *msg = scene_expect (pair.consumer, text);
        assert_int_equal (tern_msg_redelivered (msg), number <= 2);
        assert_int_equal (tern_consumer_accept (pair.consumer, msg), TERN_OK);
    }
    scene_settled (pair.producer, last);
    scene_part (&pair);
}

//  Levels --------------------------------------------------------------------

static void
test_levels_rise_and_unknown_numbers_are_refused (void **state)
{
    scene_pair_t pair = scene_pair (*state, "hello", 0);
    assert_int_equal (tern_producer_last (pair.producer), 0);
    const uint64_t seq = scene_send (pair.producer, "one");
    assert_int_equal (tern_producer_wait (pair.producer, seq, TERN_WRITTEN,
                                          SCENE_DEADLINE_MS),
                      TERN_OK);
    assert_int_equal (
        tern_producer_wait (pair.producer, seq, TERN_SYNCED, SCENE_DEADLINE_MS),
        TERN_OK);
    assert_int_equal (tern_producer_reached (pair.producer, TERN_SYNCED), seq);
    assert_int_equal (tern_producer_reached (pair.producer, TERN_PROCESSED), 0);
    assert_int_equal (
        tern_producer_wait (pair.producer, seq + 1, TERN_SYNCED, 0),
        TERN_EINVAL);
    assert_int_equal (tern_producer_wait (pair.producer, seq, TERN_STORED, 0),
                      TERN_ETIMEOUT);
    assert_int_equal (
        tern_producer_wait (pair.producer, seq, (tern_level_t) 5, 0),
        TERN_EINVAL);
    scene_accept (pair.consumer, "one");
    scene_settled (pair.producer, seq);
    assert_int_equal (tern_producer_reached (pair.producer, TERN_PROCESSED),
                      seq);
    scene_part (&pair);
}

static void
test_closing_waits_as_long_as_it_was_told (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, "hello");
    scene_send_numbers (producer, "job", 5);
    tern_producer_close (&producer);
    const int64_t began = scene_now_ms ();
    assert_int_equal (tern_peer_close (&orders, 50), 5);
    assert_true (scene_now_ms () - began >= 50);

    //  All five are delivered by the next opening.
    orders = scene_peer (*state, "orders-1", NULL);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *consumer = scene_consumer (payment, "hello", 0);
    scene_accept_numbers (consumer, "job", 1, 5);
    assert_int_equal (tern_peer_close (&orders, -1), 0);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
}

//  Opening -------------------------------------------------------------------

static void
test_a_store_is_open_once (void **state)
{
    tern_peer_t *first = scene_peer (*state, "orders-1", NULL);
    tern_config_t *config = scene_config (*state, "orders-1", NULL);
    tern_peer_t *second = NULL;
    char why[256] = "";
    assert_int_equal (tern_peer_open (&second, config, why, sizeof why),
                      TERN_EINUSE);
    assert_null (second);
    assert_true (strlen (why) > 0);
    tern_peer_close (&first, 0);
    assert_int_equal (tern_peer_open (&second, config, why, sizeof why),
                      TERN_OK);
    tern_peer_close (&second, 0);
    tern_config_destroy (&config);
}

static void
test_names_outside_the_grammar_are_refused (void **state)
{
    tern_peer_t *peer = scene_peer (*state, "orders-1", NULL);
    static const char *const names[]
        = {"",
           "Hello",
           "a b",
           "-a",
           "a-",
           "a..b",
           "../a",
           "a23456789012345678901234567890123456789012345678901234567890123a"};
    for (size_t index = 0; index < sizeof names / sizeof *names; index++) {
        tern_producer_t *producer = NULL;
        tern_consumer_t *consumer = NULL;
        char why[256] = "";
        assert_int_equal (
            tern_producer_open (&producer, peer, names[index], why, sizeof why),
            TERN_ENAME);
        assert_int_equal (
            tern_consumer_open (&consumer, peer, names[index], NULL),
            TERN_ENAME);
        assert_null (producer);
        assert_null (consumer);
    }
    tern_peer_close (&peer, 0);
}

//  Descriptors -----------------------------------------------------------------

static void
test_the_consumer_descriptor_is_level_triggered (void **state)
{
    scene_pair_t pair = scene_pair (*state, "hello", 0);
    const int fd = tern_consumer_fd (pair.consumer);
    assert_false (scene_readable (fd, 0));
    const uint64_t last = scene_send_numbers (pair.producer, "job", 3);
    assert_true (scene_readable (fd, SCENE_DEADLINE_MS));
    assert_true (scene_readable (fd, 0));
    for (unsigned number = 1; number <= 3; number++) {
        assert_true (scene_readable (fd, SCENE_DEADLINE_MS));
        tern_msg_t *msg = tern_consumer_recv (pair.consumer, 0);
        assert_non_null (msg);
        assert_int_equal (tern_consumer_accept (pair.consumer, msg), TERN_OK);
    }
    //  Not when somebody has looked in vain: as soon as none waits.
    assert_false (scene_readable (fd, 0));
    assert_null (tern_consumer_recv (pair.consumer, 0));
    assert_false (scene_readable (fd, 0));
    scene_settled (pair.producer, last);
    scene_part (&pair);
}

static void
test_a_descriptor_taken_late_knows_what_waits (void **state)
{
    scene_pair_t pair = scene_pair (*state, "hello", 0);
    scene_send_numbers (pair.producer, "job", 2);
    tern_msg_t *msg = scene_receive (pair.consumer);
    assert_int_equal (tern_consumer_accept (pair.consumer, msg), TERN_OK);
    assert_true (
        scene_readable (tern_consumer_fd (pair.consumer), SCENE_DEADLINE_MS));
    msg = scene_receive (pair.consumer);
    assert_int_equal (tern_consumer_accept (pair.consumer, msg), TERN_OK);
    scene_part (&pair);
}

static void
test_the_peer_descriptor_tells_of_events (void **state)
{
    tern_peer_t *peer = scene_peer (*state, "orders-1", NULL);
    const int fd = tern_peer_fd (peer);
    //  Registering is an event by itself, or else a consumer that comes is.
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *consumer = scene_consumer (payment, "hello", 0);
    tern_producer_t *producer = scene_producer (peer, "hello");
    scene_consumers (peer, "hello", 1);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    assert_true (scene_readable (fd, SCENE_DEADLINE_MS));
    assert_true (scene_readable (fd, 0));
    tern_producer_close (&producer);
    tern_peer_close (&peer, 0);
}

//  A program with one poll () for everything, as an event loop has it.
static void
test_one_poll_serves_several_consumers (void **state)
{
    tern_peer_t *peer = scene_peer (*state, "payment-1", NULL);
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    static const char *const queues[] = {"red", "green", "blue"};
    tern_consumer_t *consumers[3];
    struct pollfd items[3];
    for (size_t index = 0; index < 3; index++) {
        consumers[index] = scene_consumer (peer, queues[index], 7);
        items[index] = (struct pollfd) {
            .fd = tern_consumer_fd (consumers[index]), .events = POLLIN};
        tern_producer_t *producer = scene_producer (orders, queues[index]);
        scene_send_numbers (producer, queues[index], 500);
        tern_producer_close (&producer);
    }
    unsigned seen[3] = {0};
    while (seen[0] + seen[1] + seen[2] < 1500) {
        assert_true (poll (items, 3, SCENE_DEADLINE_MS) > 0);
        for (size_t index = 0; index < 3; index++) {
            tern_msg_t *msg = items[index].revents
                                  ? tern_consumer_recv (consumers[index], 0)
                                  : NULL;
            if (msg) {
                seen[index]++;
                assert_int_equal (tern_consumer_accept (consumers[index], msg),
                                  TERN_OK);
            }
        }
    }
    for (size_t index = 0; index < 3; index++) {
        assert_int_equal (seen[index], 500);
        tern_consumer_close (&consumers[index]);
    }
    tern_peer_close (&peer, 0);
    assert_int_equal (tern_peer_close (&orders, SCENE_DEADLINE_MS), 0);
}

int
main (void)
{
    cmocka_set_message_output (CM_OUTPUT_TAP);
#define CLAIM(name)                                                            \
    cmocka_unit_test_setup_teardown (name, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        CLAIM (test_a_message_reaches_its_consumer),
        CLAIM (test_key_and_headers_arrive_as_they_were_set),
        CLAIM (test_messages_wait_for_a_consumer_that_comes_later),
        CLAIM (test_a_peer_may_consume_what_it_publishes),
        CLAIM (test_a_body_may_have_any_size_up_to_the_limit),
        CLAIM (test_threads_may_share_a_producer),
        CLAIM (test_consumers_share_the_work),
        CLAIM (test_order_is_kept_per_publisher),
        CLAIM (test_prefetch_bounds_what_a_consumer_holds),
        CLAIM (test_a_requeued_message_comes_again_and_says_so),
        CLAIM (test_a_rejected_message_is_set_aside_and_stops_nobody),
        CLAIM (test_kept_messages_may_be_settled_in_any_order),
        CLAIM (test_a_closed_consumer_gives_back_what_it_holds),
        CLAIM (test_levels_rise_and_unknown_numbers_are_refused),
        CLAIM (test_closing_waits_as_long_as_it_was_told),
        CLAIM (test_a_store_is_open_once),
        CLAIM (test_names_outside_the_grammar_are_refused),
        CLAIM (test_the_consumer_descriptor_is_level_triggered),
        CLAIM (test_a_descriptor_taken_late_knows_what_waits),
        CLAIM (test_the_peer_descriptor_tells_of_events),
        CLAIM (test_one_poll_serves_several_consumers),
    };
    return cmocka_run_group_tests_name ("peer", tests, NULL, NULL);
}
