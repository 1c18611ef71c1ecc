//  test_peer_turn - who waits for a message fetches it
//
//  One message alone goes without its peers' actors: whoever sends or waits
//  takes the turn.  What happened is read from inside, never from a clock.
//
//  SPDX-License-Identifier: MPL-2.0

#include "scene.h"

#include "peer/consumer.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

//  An actor may be awake for reasons of its own when a message comes, so not
//  every one goes past it; on a busy machine few do.
#define MESSAGES 300
#define DIRECT_ENOUGH 10
#define ROUNDS_MAX 50

//  Short enough to end often, long enough to be waiting most of the time.
#define SHORT_MS 5

//  One message at a time ----------------------------------------------------

//  Publishes MESSAGES, each when the one before is settled.
typedef struct {
    tern_producer_t *producer;
    pthread_t thread;
} pacer_t;

static void *
s_pace (void *arg)
{
    const pacer_t *self = arg;
    uint64_t count = 0;
    uint64_t seq = 0;
    while (count < MESSAGES
           && tern_producer_send (self->producer, "x", 1, -1, &seq) == TERN_OK
           && tern_producer_wait (self->producer, seq, TERN_PROCESSED,
                                  SCENE_DEADLINE_MS)
                  == TERN_OK) {
        count++;
    }
    return count == MESSAGES ? arg : NULL;
}

static void
s_start (pacer_t *self, tern_peer_t *peer, const char *queue)
{
    self->producer = scene_producer (peer, queue);
    scene_consumers (peer, queue, 1);
    assert_int_equal (pthread_create (&self->thread, NULL, s_pace, self), 0);
}

static void
s_join (pacer_t *self)
{
    void *result = NULL;
    pthread_join (self->thread, &result);
    assert_ptr_equal (result, self);
    tern_producer_close (&self->producer);
}

static void
test_one_message_alone_needs_no_actor (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *consumer = scene_consumer (payment, "hello", 0);
    bool enough = false;
    for (unsigned round = 0; round < ROUNDS_MAX && !enough; round++) {
        pacer_t pacer;
        s_start (&pacer, orders, "hello");
        for (unsigned count = 0; count < MESSAGES; count++) {
            tern_msg_t *msg = scene_receive (consumer);
            assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
        }
        s_join (&pacer);
        enough = consumer->direct >= DIRECT_ENOUGH
                 && atomic_load (&orders->boxes[0]->helped) >= DIRECT_ENOUGH;
    }
    assert_true (enough);

    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

static void
test_a_descriptor_user_is_served_while_another_waits (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *looped = scene_consumer (payment, "looped", 0);
    struct pollfd item = {.fd = tern_consumer_fd (looped), .events = POLLIN};
    tern_consumer_t *waiting = scene_consumer (payment, "waiting", 0);
    pacer_t pacers[2];
    s_start (&pacers[0], orders, "looped");
    s_start (&pacers[1], orders, "waiting");
    //  One thread here serves both, so while it waits in the call the other
    //  queue's messages come too; its descriptor must tell so.
    unsigned counts[2] = {0};
    while (counts[0] + counts[1] < 2 * MESSAGES) {
        tern_msg_t *msg = tern_consumer_recv (waiting, SHORT_MS);
        if (msg) {
            counts[1]++;
            assert_int_equal (tern_consumer_accept (waiting, msg), TERN_OK);
        }
        if (counts[0] < MESSAGES) {
            const int wait_ms
                = counts[1] == MESSAGES ? SCENE_DEADLINE_MS : SHORT_MS;
            if (poll (&item, 1, wait_ms) > 0) {
                msg = tern_consumer_recv (looped, 0);
                assert_non_null (msg);
                counts[0]++;
                assert_int_equal (tern_consumer_accept (looped, msg), TERN_OK);
            } else {
                assert_int_not_equal (wait_ms, SCENE_DEADLINE_MS);
            }
        }
    }
    s_join (&pacers[0]);
    s_join (&pacers[1]);
    tern_consumer_close (&looped);
    tern_consumer_close (&waiting);
    tern_peer_close (&payment, 0);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

//  Several waiting at once ---------------------------------------------------

//  A thread of its own for each consumer of one peer.
typedef struct {
    tern_consumer_t *consumer;
    int timeout_ms;  //  of one call
    unsigned wanted;
    uint8_t *seen;  //  by seq - 1
    pthread_t thread;
} waiter_t;

static void *
s_wait (void *arg)
{
    waiter_t *self = arg;
    const int64_t until_ms = scene_now_ms () + SCENE_DEADLINE_MS;
    unsigned count = 0;
    while (count < self->wanted && scene_now_ms () < until_ms) {
        tern_msg_t *msg = tern_consumer_recv (self->consumer, self->timeout_ms);
        if (msg) {
            self->seen[tern_msg_seq (msg) - 1]++;
            if (tern_consumer_accept (self->consumer, msg) != TERN_OK) {
                break;
            }
            count++;
        }
    }
    //  Closing while the others wait.
    tern_consumer_close (&self->consumer);
    return count == self->wanted ? arg : NULL;
}

#define WAITERS 4

static void
test_consumers_of_one_peer_may_all_wait (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    static const char *const queues[WAITERS] = {"one", "two", "three", "four"};
    //  One waits without end, the others give up and come again, so that each
    //  is now the one that receives for all, now one that is called.
    static const int timeouts[WAITERS] = {-1, SHORT_MS, 2 * SHORT_MS, 1};
    static uint8_t seen[WAITERS][MESSAGES];
    memset (seen, 0, sizeof seen);
    waiter_t waiters[WAITERS];
    for (size_t index = 0; index < WAITERS; index++) {
        waiters[index] = (waiter_t) {
            .consumer = scene_consumer (payment, queues[index], 0),
            .timeout_ms = timeouts[index],
            .wanted = MESSAGES,
            .seen = seen[index],
        };
        assert_int_equal (pthread_create (&waiters[index].thread, NULL, s_wait,
                                          &waiters[index]),
                          0);
    }
    pacer_t pacers[WAITERS];
    for (size_t index = 0; index < WAITERS; index++) {
        s_start (&pacers[index], orders, queues[index]);
    }
    for (size_t index = 0; index < WAITERS; index++) {
        s_join (&pacers[index]);
        void *result = NULL;
        pthread_join (waiters[index].thread, &result);
        assert_ptr_equal (result, &waiters[index]);
        for (size_t seq = 0; seq < MESSAGES; seq++) {
            assert_int_equal (seen[index][seq], 1);
        }
    }
    tern_peer_close (&payment, 0);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

static void
test_waiting_consumers_drain_a_backlog_together (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, "work");
    const uint64_t last
        = scene_send_numbers (producer, "job", WAITERS * MESSAGES);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    static uint8_t seen[WAITERS][WAITERS * MESSAGES];
    memset (seen, 0, sizeof seen);
    waiter_t waiters[WAITERS];
    for (size_t index = 0; index < WAITERS; index++) {
        waiters[index] = (waiter_t) {
            .consumer = scene_consumer (payment, "work", 1),
            .timeout_ms = SHORT_MS,
            .seen = seen[index],
        };
    }
    //  A few leave early, one at a time, and the last must end it.
    unsigned rest = WAITERS * MESSAGES;
    for (size_t index = 0; index < WAITERS; index++) {
        waiters[index].wanted = index + 1 < WAITERS ? 50 : rest;
        rest -= waiters[index].wanted;
        assert_int_equal (pthread_create (&waiters[index].thread, NULL, s_wait,
                                          &waiters[index]),
                          0);
    }
    scene_settled (producer, last);
    for (size_t index = 0; index < WAITERS; index++) {
        void *result = NULL;
        pthread_join (waiters[index].thread, &result);
        assert_ptr_equal (result, &waiters[index]);
    }
    for (size_t seq = 0; seq < last; seq++) {
        unsigned times = 0;
        for (size_t index = 0; index < WAITERS; index++) {
            times += seen[index][seq];
        }
        assert_int_equal (times, 1);
    }
    tern_producer_close (&producer);
    tern_peer_close (&payment, 0);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

static void
test_waiting_ends_when_it_is_over (void **state)
{
    tern_peer_t *peer = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *consumer = scene_consumer (peer, "hello", 0);
    static const int timeouts_ms[] = {0, 1, SHORT_MS, 10 * SHORT_MS};
    for (size_t index = 0; index < sizeof timeouts_ms / sizeof *timeouts_ms;
         index++) {
        const int64_t began_ms = scene_now_ms ();
        assert_null (tern_consumer_recv (consumer, timeouts_ms[index]));
        assert_true (scene_now_ms () - began_ms >= timeouts_ms[index]);
    }
    tern_consumer_close (&consumer);
    tern_peer_close (&peer, 0);
}

int
main (void)
{
    cmocka_set_message_output (CM_OUTPUT_TAP);
#define CLAIM(name)                                                            \
    cmocka_unit_test_setup_teardown (name, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        CLAIM (test_one_message_alone_needs_no_actor),
        CLAIM (test_a_descriptor_user_is_served_while_another_waits),
        CLAIM (test_consumers_of_one_peer_may_all_wait),
        CLAIM (test_waiting_consumers_drain_a_backlog_together),
        CLAIM (test_waiting_ends_when_it_is_over),
    };
    return cmocka_run_group_tests_name ("peer turn", tests, NULL, NULL);
}
