//  test_past - queues that begin in the past of an exchange, and crashes
//
//  SPDX-License-Identifier: MPL-2.0

#include "scene.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

//  Every MATCHING-th message is for who binds "eu.#".
enum {
    COUNT = 3000,
    MATCHING = 3
};

static const tern_exchange_options_t s_kept = {.retain_ms = 3600000};

static const tern_binding_t s_early = {
    .exchange = "events", .type = TERN_TOPIC, .queue = "early", .pattern = "#"};

static const tern_binding_t s_late = {.exchange = "events",
                                      .type = TERN_TOPIC,
                                      .queue = "late",
                                      .pattern = "eu.#",
                                      .from = TERN_FROM_EARLIEST};

static uint64_t
s_publish_many (tern_producer_t *producer, unsigned from, unsigned to)
{
    uint64_t seq = 0;
    for (unsigned number = from; number <= to; number++) {
        char text[32];
        snprintf (text, sizeof text, "news %u", number);
        seq = scene_publish (producer, number % MATCHING ? "us.x" : "eu.x",
                             text);
    }
    return seq;
}

//  Take what the queue that was there in time gets, up to the last.
static void
s_take_early (tern_consumer_t *early, unsigned to)
{
    unsigned number = 0;
    while (number != to) {
        tern_msg_t *msg = scene_receive (early);
        number = scene_number (msg, "news");
        assert_int_equal (tern_consumer_accept (early, msg), TERN_OK);
    }
}

//  Take the next ones of the late queue, which are exactly from..to.
static void
s_take_late (tern_consumer_t *late, unsigned from, unsigned to)
{
    for (unsigned number = from; number <= to; number++) {
        tern_msg_t *msg = scene_receive (late);
        assert_int_equal (scene_number (msg, "news"), number * MATCHING);
        assert_int_equal (tern_consumer_accept (late, msg), TERN_OK);
    }
}

//  A publisher whose past is settled by all that were there, one message of the
//  others last.
static tern_producer_t *
s_make_past (tern_peer_t *orders)
{
    scene_bind (orders, &s_early);
    tern_producer_t *producer
        = scene_exchange (orders, "events", TERN_TOPIC, &s_kept);
    tern_consumer_t *early = scene_consumer (orders, "early", 0);
    const uint64_t last = s_publish_many (producer, 1, COUNT + 1);
    s_take_early (early, COUNT + 1);
    scene_settled (producer, last);
    tern_consumer_close (&early);
    return producer;
}

//  What does not match is not given out, even behind all that does.
static void
test_a_past_ends_where_the_present_begins (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = s_make_past (orders);
    scene_bind (orders, &s_late);
    tern_consumer_t *late = scene_consumer (orders, "late", 0);
    s_take_late (late, 1, COUNT / MATCHING);
    scene_nothing (late);
    scene_end (&orders, &producer, &late);
}

static void
test_a_past_survives_a_restart (void **state)
{
    enum {
        BEFORE = 100
    };
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = s_make_past (orders);
    scene_bind (orders, &s_late);
    tern_consumer_t *late = scene_consumer (orders, "late", 1);
    s_take_late (late, 1, BEFORE);
    tern_consumer_close (&late);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), COUNT / MATCHING - BEFORE);

    //  Twice: what a restart found is kept for the next one.
    orders = scene_peer (*state, "orders-1", NULL);
    late = scene_consumer (orders, "late", 1);
    s_take_late (late, BEFORE + 1, 2 * BEFORE);
    tern_consumer_close (&late);
    assert_int_equal (tern_peer_close (&orders, 0),
                      COUNT / MATCHING - 2 * BEFORE);

    orders = scene_peer (*state, "orders-1", NULL);
    producer = scene_exchange (orders, "events", TERN_TOPIC, &s_kept);
    late = scene_consumer (orders, "late", 0);
    s_take_late (late, 2 * BEFORE + 1, COUNT / MATCHING);
    scene_nothing (late);
    tern_consumer_t *early = scene_consumer (orders, "early", 0);
    s_publish_many (producer, COUNT + 2, COUNT + MATCHING);
    s_take_late (late, COUNT / MATCHING + 1, COUNT / MATCHING + 1);
    s_take_early (early, COUNT + MATCHING);
    tern_consumer_close (&early);
    tern_consumer_close (&late);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, SCENE_DEADLINE_MS), 0);
}

//  The past was chosen by the bindings of then.  What is bound or taken back
//  later says what comes later.
static void
test_a_past_is_that_of_its_bindings (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_producer_t *producer = s_make_past (orders);
    scene_bind (orders, &s_late);
    tern_consumer_t *late = scene_consumer (orders, "late", 1);
    s_take_late (late, 1, 10);
    tern_consumer_close (&late);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), COUNT / MATCHING - 10);

    tern_binding_t us = s_late;
    us.pattern = "us.#";
    scene_bind (payment, &us);
    scene_unbind (payment, &s_late);
    orders = scene_peer (*state, "orders-1", NULL);
    late = scene_consumer (orders, "late", 1);
    s_take_late (late, 11, 20);
    assert_int_equal (tern_peer_bindings_known (orders, SCENE_DEADLINE_MS),
                      TERN_OK);
    s_take_late (late, 21, COUNT / MATCHING);
    producer = scene_exchange (orders, "events", TERN_TOPIC, &s_kept);
    scene_publish (producer, "eu.x", "news 9997");
    scene_publish (producer, "us.x", "news 9998");
    scene_accept (late, "news 9998");
    tern_consumer_close (&late);
    tern_producer_close (&producer);
    tern_peer_close (&payment, 0);
    tern_peer_close (&orders, 0);
}

//  Everything that is unbound meanwhile is gone, its past too.
static void
test_a_past_that_is_unbound_is_gone (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = s_make_past (orders);
    scene_bind (orders, &s_late);
    tern_consumer_t *late = scene_consumer (orders, "late", 1);
    s_take_late (late, 1, 10);
    scene_unbind (orders, &s_late);
    scene_event (orders, "TERN-MESSAGES-DROPPED");
    //  Bound again, it begins at another place.
    tern_binding_t again = s_late;
    again.from = TERN_FROM_SEQ;
    again.from_seq = COUNT - 2;
    scene_bind (orders, &again);
    //  The consumer may have had one more in hand, which is left to it.
    tern_msg_t *msg = scene_receive (late);
    if (scene_number (msg, "news") == 11 * MATCHING) {
        assert_int_equal (tern_consumer_accept (late, msg), TERN_OK);
        msg = scene_receive (late);
    }
    assert_int_equal (scene_number (msg, "news"), COUNT);
    assert_int_equal (tern_consumer_accept (late, msg), TERN_OK);
    scene_end (&orders, &producer, &late);
    orders = scene_peer (*state, "orders-1", NULL);
    late = scene_consumer (orders, "late", 1);
    scene_nothing (late);
    tern_consumer_close (&late);
    tern_peer_close (&orders, 0);
}

//  T-191: what a consumer knows of the queue that had this name before says nothing
//  about the one that has it now, in this life of the publisher or in another.
static void
s_bind_again (const scene_t *scene, bool inbox)
{
    tern_peer_t *orders = scene_peer (scene, "orders-1", NULL);
    tern_peer_t *payment = scene_peer (scene, "payment-1", NULL);
    tern_producer_t *producer = s_make_past (orders);
    scene_bind (orders, &s_late);
    const tern_consumer_options_t options = {.prefetch = 10, .inbox = inbox};
    tern_consumer_t *late = NULL;
    assert_int_equal (tern_consumer_open (&late, payment, "late", &options),
                      TERN_OK);
    s_take_late (late, 1, COUNT / MATCHING);
    scene_settled (producer, COUNT + 1);

    scene_unbind (orders, &s_late);
    scene_bind (orders, &s_late);
    s_take_late (late, 1, COUNT / MATCHING);
    scene_unbind (orders, &s_late);
    tern_producer_close (&producer);
    tern_peer_close (&orders, 0);

    orders = scene_peer (scene, "orders-1", NULL);
    scene_bind (orders, &s_late);
    s_take_late (late, 1, COUNT / MATCHING);
    scene_nothing (late);
    tern_consumer_close (&late);
    tern_peer_close (&payment, 0);
    tern_peer_close (&orders, 0);
}

static void
test_a_queue_that_is_bound_again_begins_anew (void **state)
{
    s_bind_again (*state, false);
}

static void
test_so_does_one_that_is_taken_into_an_inbox (void **state)
{
    s_bind_again (*state, true);
}

//  While others publish -------------------------------------------------------

enum {
    WRITERS = 3,
    WRITTEN = 4000,  //  of each
    LATE = 8
};

typedef struct {
    tern_producer_t *producer;
    unsigned writer;
} s_writer_t;

static void *
s_write (void *arg)
{
    const s_writer_t *self = arg;
    for (unsigned number = 1; number <= WRITTEN; number++) {
        char text[32];
        snprintf (text, sizeof text, "%u %u", self->writer, number);
        scene_publish (self->producer, "eu.x", text);
    }
    return NULL;
}

//  However many publish while a queue begins in the past, it misses none of what
//  is before it is known, nor of what comes after.
static void
test_between_past_and_present_nothing_is_missing (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    scene_bind (orders, &s_early);
    tern_producer_t *producer
        = scene_exchange (orders, "events", TERN_TOPIC, &s_kept);
    tern_consumer_t *late[LATE];
    char names[LATE][8];
    pthread_t threads[WRITERS];
    s_writer_t writers[WRITERS];
    for (unsigned index = 0; index < WRITERS; index++) {
        writers[index] = (s_writer_t) {producer, index};
        assert_int_equal (
            pthread_create (&threads[index], NULL, s_write, &writers[index]),
            0);
    }
    for (unsigned index = 0; index < LATE; index++) {
        tern_binding_t binding = s_late;
        snprintf (names[index], sizeof names[index], "late%u", index);
        binding.queue = names[index];
        scene_bind (orders, &binding);
        late[index] = scene_consumer (orders, names[index], 0);
    }
    for (unsigned index = 0; index < WRITERS; index++) {
        pthread_join (threads[index], NULL);
    }
    for (unsigned index = 0; index < LATE; index++) {
        unsigned next[WRITERS] = {0};
        for (unsigned count = 0; count < WRITERS * WRITTEN; count++) {
            tern_msg_t *msg = scene_receive (late[index]);
            char text[32] = "";
            unsigned writer = 0;
            unsigned number = 0;
            memcpy (text, tern_msg_body (msg), tern_msg_size (msg));
            assert_int_equal (sscanf (text, "%u %u", &writer, &number), 2);
            assert_in_range (writer, 0, WRITERS - 1);
            assert_int_equal (number, ++next[writer]);
            assert_int_equal (tern_consumer_accept (late[index], msg), TERN_OK);
        }
        tern_consumer_close (&late[index]);
    }
    tern_producer_close (&producer);
    tern_peer_close (&orders, 0);
}

//  Across kill -9 -------------------------------------------------------------

static int
s_publishing (const scene_t *scene, int argc, char **argv)
{
    (void) argc;
    tern_peer_t *peer = scene_peer (scene, "orders-1", NULL);
    tern_producer_t *producer
        = scene_exchange (peer, "events", TERN_TOPIC, &s_kept);
    if (strcmp (argv[0], "first") == 0) {
        const uint64_t last = s_publish_many (producer, 1, COUNT + 1);
        assert_int_equal (
            tern_producer_wait (producer, last, TERN_PROCESSED, -1), TERN_OK);
        //  What is processed may not be written yet, and only what is written
        //  survives a kill.
        assert_int_equal (tern_producer_wait (producer, last, TERN_WRITTEN, -1),
                          TERN_OK);
    }
    puts ("kept");
    scene_stay ();
}

//  Kill the publisher whenever the late queues have got some more: at first
//  before they can have got anything.
static void
test_a_past_survives_kill_9 (void **state)
{
    enum {
        KILLS = 6,
        EACH = 100,
        QUEUES = 2
    };
    const scene_t *scene = *state;
    tern_peer_t *payment = scene_peer (scene, "payment-1", NULL);
    scene_bind (payment, &s_early);
    tern_consumer_t *early = scene_consumer (payment, "early", 0);
    scene_child_t child = {.pid = 0};
    scene_start (scene, &child, "publishing", "first", NULL);
    s_take_early (early, COUNT + 1);
    scene_says (&child, "kept");

    tern_binding_t us = s_late;
    us.queue = "later";
    us.pattern = "us.#";
    tern_consumer_t *late[QUEUES] = {scene_consumer (payment, "late", 10),
                                     scene_consumer (payment, "later", 10)};
    scene_bind (payment, &s_late);
    scene_bind (payment, &us);
    scene_kill (&child);
    static bool seen[COUNT + 2];
    memset (seen, 0, sizeof seen);
    unsigned left = COUNT + 1;
    unsigned since = 0;
    int kills = 0;
    const int64_t until = scene_now_ms () + SCENE_DEADLINE_MS;
    while (left) {
        if (!child.pid) {
            scene_start (scene, &child, "publishing", "again", NULL);
            scene_says (&child, "kept");
            since = 0;
        }
        for (unsigned which = 0; which < QUEUES; which++) {
            tern_msg_t *msg = tern_consumer_recv (late[which], 2);
            if (!msg) {
                continue;
            }
            const unsigned number = scene_number (msg, "news");
            assert_in_range (number, 1, COUNT + 1);
            assert_int_equal (which, number % MATCHING ? 1 : 0);
            if (tern_consumer_accept (late[which], msg) == TERN_OK
                && !seen[number]) {
                seen[number] = true;
                left--;
            }
            since++;
        }
        if (kills < KILLS && since >= (unsigned) kills * EACH) {
            scene_kill (&child);
            kills++;
        }
        if (scene_now_ms () > until) {
            fail_msg ("%u are missing", left);
        }
    }
    scene_kill (&child);
    tern_consumer_close (&late[0]);
    tern_consumer_close (&late[1]);
    tern_consumer_close (&early);
    tern_peer_close (&payment, 0);
}

//  Rules ----------------------------------------------------------------------

static void
s_publish_ruled (tern_producer_t *producer, const char *text, int priority,
                 uint64_t ttl_ms)
{
    tern_msg_t *msg = tern_msg_new (text, strlen (text));
    assert_int_equal (tern_msg_set_key (msg, "eu.x"), TERN_OK);
    assert_int_equal (tern_msg_set_priority (msg, priority), TERN_OK);
    if (ttl_ms) {
        assert_int_equal (tern_msg_set_ttl (msg, ttl_ms), TERN_OK);
    }
    scene_send_msg (producer, msg);
}

//  Of a past, too, the urgent ones come first, and what is too old does not.
static void
s_rules_of_a_past (scene_t *scene, tern_exchange_type_t type)
{
    tern_peer_t *orders = scene_peer (scene, "orders-1", NULL);
    tern_binding_t early = s_early;
    tern_binding_t late = s_late;
    early.type = late.type = type;
    if (type == TERN_FANOUT) {
        early.pattern = late.pattern = NULL;
    }
    scene_bind (orders, &early);
    tern_producer_t *producer
        = scene_exchange (orders, "events", type, &s_kept);
    tern_consumer_t *consumer = scene_consumer (orders, "early", 0);
    s_publish_ruled (producer, "low", 1, 0);
    s_publish_ruled (producer, "short", 0, 60000);
    s_publish_ruled (producer, "passing", 9, 1000);
    scene_publish (producer, "eu.x", "plain");
    s_publish_ruled (producer, "high", 8, 0);
    for (int count = 0; count < 5; count++) {
        tern_msg_t *msg = scene_receive (consumer);
        assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    }
    scene_settled (producer, 5);
    tern_consumer_close (&consumer);
    poll (NULL, 0, 1100);  //  the time to live of one of them
    scene_bind (orders, &late);
    consumer = scene_consumer (orders, "late", 1);
    scene_accept (consumer, "high");
    tern_consumer_close (&consumer);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 3);

    orders = scene_peer (scene, "orders-1", NULL);
    consumer = scene_consumer (orders, "late", 1);
    scene_accept (consumer, "low");
    scene_accept (consumer, "short");
    scene_accept (consumer, "plain");
    scene_nothing (consumer);
    tern_consumer_close (&consumer);
    assert_int_equal (tern_peer_close (&orders, SCENE_DEADLINE_MS), 0);
}

static void
test_rules_hold_for_the_past_of_a_topic (void **state)
{
    s_rules_of_a_past (*state, TERN_TOPIC);
}

static void
test_rules_hold_for_the_past_of_a_fanout (void **state)
{
    s_rules_of_a_past (*state, TERN_FANOUT);
}

static const scene_role_t s_roles[] = {
    {"publishing", s_publishing},
    {NULL, NULL},
};

#define CLAIM(name)                                                            \
    cmocka_unit_test_setup_teardown (name, scene_setup, scene_teardown)

int
main (int argc, char **argv)
{
    const int rc = scene_main (s_roles, argc, argv);
    if (rc >= 0) {
        return rc;
    }
    cmocka_set_message_output (CM_OUTPUT_TAP);
    const struct CMUnitTest tests[] = {
        CLAIM (test_a_past_ends_where_the_present_begins),
        CLAIM (test_a_past_survives_a_restart),
        CLAIM (test_a_past_is_that_of_its_bindings),
        CLAIM (test_a_past_that_is_unbound_is_gone),
        CLAIM (test_a_queue_that_is_bound_again_begins_anew),
        CLAIM (test_so_does_one_that_is_taken_into_an_inbox),
        CLAIM (test_between_past_and_present_nothing_is_missing),
        CLAIM (test_a_past_survives_kill_9),
        CLAIM (test_rules_hold_for_the_past_of_a_topic),
        CLAIM (test_rules_hold_for_the_past_of_a_fanout),
    };
    return cmocka_run_group_tests_name ("past", tests, NULL, NULL);
}
