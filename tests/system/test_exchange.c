//  test_exchange - exchanges and bindings, on real sockets and a real disk
//
//  SPDX-License-Identifier: MPL-2.0

#include "scene.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

//  As scene_publish (), but says what became of it.
static int
s_publish (tern_producer_t *producer, const char *key, const char *text)
{
    tern_msg_t *msg = tern_msg_new (text, strlen (text));
    assert_int_equal (tern_msg_set_key (msg, key), TERN_OK);
    const int rc
        = tern_producer_send_msg (producer, msg, SCENE_DEADLINE_MS, NULL);
    tern_msg_destroy (&msg);
    return rc;
}

//  A publisher hears of a change some time: send until it goes (or not).
static void
s_until (tern_producer_t *producer, const char *key, const char *text, int rc)
{
    const int64_t until = scene_now_ms () + SCENE_DEADLINE_MS;
    while (s_publish (producer, key, text) != rc) {
        if (scene_now_ms () > until) {
            fail_msg ("%s: never %s", text, tern_strerror (rc));
        }
        poll (NULL, 0, 5);
    }
}

static void
test_a_topic_reaches_the_queues_whose_patterns_match (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    const tern_binding_t eu = {.exchange = "events",
                               .type = TERN_TOPIC,
                               .queue = "eu",
                               .pattern = "eu.#"};
    const tern_binding_t all = {.exchange = "events",
                                .type = TERN_TOPIC,
                                .queue = "orders",
                                .pattern = "*.order"};
    scene_bind (payment, &eu);
    scene_bind (payment, &all);
    tern_consumer_t *first = scene_consumer (payment, "eu", 0);
    tern_consumer_t *second = scene_consumer (payment, "orders", 0);
    tern_producer_t *producer
        = scene_exchange (orders, "events", TERN_TOPIC, NULL);
    //  The first one waits for the bindings.
    scene_publish (producer, "eu.order", "both");
    scene_publish (producer, "eu.x.y", "eu only");
    const uint64_t last = scene_publish (producer, "us.order", "orders only");
    assert_int_equal (s_publish (producer, "us.x", "nobody"), TERN_ENOROUTE);
    assert_int_equal (tern_producer_last (producer), last);
    tern_msg_t *msg = scene_expect (first, "both");
    assert_string_equal (tern_msg_exchange (msg), "events");
    assert_string_equal (tern_msg_queue (msg), "eu");
    assert_string_equal (tern_msg_outbox (msg), "#events");
    assert_string_equal (tern_msg_id (msg), "orders-1/#events/1");
    assert_int_equal (tern_consumer_accept (first, msg), TERN_OK);
    scene_accept (first, "eu only");
    scene_accept (second, "both");
    scene_accept (second, "orders only");
    scene_settled (producer, last);
    tern_consumer_close (&first);
    tern_consumer_close (&second);
    tern_producer_close (&producer);
    tern_peer_close (&payment, 0);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

static void
test_a_confirm_names_the_queues_reached (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    const char *const queues[] = {"one", "two", "three"};
    for (size_t index = 0; index < 3; index++) {
        const tern_binding_t binding = {.exchange = "direct",
                                        .type = TERN_DIRECT,
                                        .queue = queues[index],
                                        .pattern = index < 2 ? "a" : "b"};
        scene_bind (orders, &binding);
    }
    tern_producer_t *producer
        = scene_exchange (orders, "direct", TERN_DIRECT, NULL);
    tern_msg_t *msg = tern_msg_new ("x", 1);
    assert_int_equal (tern_msg_set_key (msg, "a"), TERN_OK);
    uint32_t numbers[1] = {0};
    size_t count = 0;
    uint64_t seq = 0;
    assert_int_equal (
        tern_producer_send_routed (producer, msg, -1, &seq, numbers, 1, &count),
        TERN_OK);
    assert_int_equal (count, 2);
    char name[65] = "";
    assert_true (
        tern_producer_queue_name (producer, numbers[0], name, sizeof name));
    assert_string_equal (name, "one");
    assert_false (tern_producer_queue_name (producer, 99, name, sizeof name));
    assert_int_equal (tern_msg_set_key (msg, "c"), TERN_OK);
    assert_int_equal (
        tern_producer_send_routed (producer, msg, -1, &seq, numbers, 1, &count),
        TERN_ENOROUTE);
    assert_int_equal (count, 0);
    tern_msg_destroy (&msg);

    uint64_t purged = 0;
    assert_int_equal (tern_producer_purge (producer, "other", &purged),
                      TERN_ENOENT);
    assert_int_equal (tern_producer_purge (producer, "one", &purged), TERN_OK);
    assert_int_equal (purged, 1);
    assert_int_equal (tern_producer_purge (producer, NULL, &purged), TERN_OK);
    assert_int_equal (purged, 1);
    scene_settled (producer, 1);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

static void
test_headers_decide_where_a_message_goes (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    const tern_header_t wanted[] = {{"kind", "order"}, {"region", "eu"}};
    const tern_binding_t all = {.exchange = "by-header",
                                .type = TERN_HEADERS,
                                .queue = "all",
                                .headers = wanted,
                                .header_count = 2};
    tern_binding_t any = all;
    any.queue = "any";
    any.any = true;
    scene_bind (orders, &all);
    scene_bind (orders, &any);
    tern_producer_t *producer
        = scene_exchange (orders, "by-header", TERN_HEADERS, NULL);
    tern_consumer_t *every = scene_consumer (orders, "all", 0);
    tern_consumer_t *some = scene_consumer (orders, "any", 0);
    tern_msg_t *msg = tern_msg_new ("one", 3);
    assert_int_equal (tern_msg_set_header (msg, "region", "eu"), TERN_OK);
    assert_int_equal (tern_producer_send_msg (producer, msg, -1, NULL),
                      TERN_OK);
    tern_msg_destroy (&msg);
    msg = tern_msg_new ("two", 3);
    assert_int_equal (tern_msg_set_header (msg, "region", "eu"), TERN_OK);
    assert_int_equal (tern_msg_set_header (msg, "kind", "order"), TERN_OK);
    assert_int_equal (tern_producer_send_msg (producer, msg, -1, NULL),
                      TERN_OK);
    tern_msg_destroy (&msg);
    assert_int_equal (tern_producer_send (producer, "x", 1, -1, NULL),
                      TERN_ENOROUTE);
    scene_accept (every, "two");
    scene_accept (some, "one");
    scene_accept (some, "two");
    scene_settled (producer, 2);
    tern_consumer_close (&every);
    scene_end (&orders, &producer, &some);
}

static void
test_what_nobody_gets_goes_to_the_alternate (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    const tern_binding_t eu = {.exchange = "events",
                               .type = TERN_TOPIC,
                               .queue = "eu",
                               .pattern = "eu.#"};
    const tern_binding_t rest
        = {.exchange = "rest", .type = TERN_FANOUT, .queue = "lost-and-found"};
    scene_bind (orders, &eu);
    scene_bind (orders, &rest);
    const tern_exchange_options_t options = {.alternate = "rest"};
    tern_producer_t *producer
        = scene_exchange (orders, "events", TERN_TOPIC, &options);
    tern_consumer_t *found = scene_consumer (orders, "lost-and-found", 0);
    tern_consumer_t *bound = scene_consumer (orders, "eu", 0);
    scene_publish (producer, "eu.x", "bound");
    const uint64_t seq = scene_publish (producer, "us.x", "found");
    scene_accept (found, "found");
    scene_accept (bound, "bound");
    scene_settled (producer, seq);
    scene_unbind (orders, &rest);
    assert_int_equal (s_publish (producer, "us.x", "lost"), TERN_ENOROUTE);
    tern_consumer_close (&found);
    scene_end (&orders, &producer, &bound);
}

static void
test_queues_come_and_go_while_messages_move (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_producer_t *producer
        = scene_exchange (orders, "all", TERN_FANOUT, NULL);
    assert_int_equal (s_publish (producer, "", "nobody"), TERN_ENOROUTE);
    const tern_binding_t one
        = {.exchange = "all", .type = TERN_FANOUT, .queue = "one"};
    const tern_binding_t two
        = {.exchange = "all", .type = TERN_FANOUT, .queue = "two"};
    scene_bind (payment, &one);
    s_until (producer, "", "first", TERN_OK);
    scene_bind (payment, &two);
    tern_consumer_t *both[] = {scene_consumer (payment, "one", 0),
                               scene_consumer (payment, "two", 0)};
    scene_accept (both[0], "first");
    //  The second queue gets what comes after its binding has arrived here.
    tern_msg_t *msg = NULL;
    while (!msg) {
        scene_publish (producer, "", "next");
        msg = tern_consumer_recv (both[1], 10);
    }
    assert_memory_equal (tern_msg_body (msg), "next", 4);
    assert_int_equal (tern_consumer_accept (both[1], msg), TERN_OK);
    scene_unbind (payment, &one);
    scene_unbind (payment, &two);
    s_until (producer, "", "next", TERN_ENOROUTE);
    //  Nothing waits for a queue that is not bound.
    scene_settled (producer, tern_producer_last (producer));
    tern_consumer_close (&both[0]);
    tern_consumer_close (&both[1]);
    tern_producer_close (&producer);
    tern_peer_close (&payment, 0);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

static void
test_wrong_bindings_and_exchanges_are_refused (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    char why[256] = "";
    tern_binding_t binding = {.exchange = "events",
                              .type = TERN_TOPIC,
                              .queue = "eu",
                              .pattern = "eu.#"};
    scene_bind (orders, &binding);
    binding.exchange = "No Name";
    assert_int_equal (tern_peer_bind (orders, &binding, why, sizeof why),
                      TERN_ENAME);
    assert_non_null (strstr (why, "No Name"));
    binding.exchange = "events";
    binding.queue = "";
    assert_int_equal (tern_peer_bind (orders, &binding, NULL, 0), TERN_ENAME);
    binding.queue = "other";
    binding.type = TERN_DIRECT;
    assert_int_equal (tern_peer_bind (orders, &binding, why, sizeof why),
                      TERN_ETYPE);
    //  Nor may the only binding there is become one of another type.
    binding.queue = "eu";
    binding.pattern = "eu.#";
    assert_int_equal (tern_peer_bind (orders, &binding, why, sizeof why),
                      TERN_ETYPE);
    binding.queue = "other";
    binding.type = (tern_exchange_type_t) 9;
    assert_int_equal (tern_peer_bind (orders, &binding, why, sizeof why),
                      TERN_EINVAL);
    binding.type = TERN_HEADERS;
    assert_int_equal (tern_peer_bind (orders, &binding, why, sizeof why),
                      TERN_EINVAL);
    binding.type = TERN_TOPIC;
    char pattern[300];
    memset (pattern, 'p', sizeof pattern);
    pattern[256] = 0;
    binding.pattern = pattern;
    assert_int_equal (tern_peer_bind (orders, &binding, why, sizeof why),
                      TERN_ETOOBIG);
    binding.pattern = "never.said";
    assert_int_equal (tern_peer_bound (orders, &binding, 10), TERN_ENOENT);
    assert_int_equal (tern_peer_unbind (orders, &binding, why, sizeof why),
                      TERN_OK);

    tern_producer_t *producer = NULL;
    assert_int_equal (tern_producer_open_exchange (&producer, orders, "events",
                                                   TERN_DIRECT, NULL, why,
                                                   sizeof why),
                      TERN_ETYPE);
    assert_int_equal (tern_producer_open_exchange (&producer, orders, "#events",
                                                   TERN_TOPIC, NULL, why,
                                                   sizeof why),
                      TERN_ENAME);
    assert_int_equal (tern_producer_open_exchange (&producer, orders, "events",
                                                   (tern_exchange_type_t) 0,
                                                   NULL, why, sizeof why),
                      TERN_EINVAL);
    const tern_exchange_options_t options = {.alternate = "other"};
    assert_int_equal (tern_producer_open_exchange (&producer, orders, "all",
                                                   TERN_FANOUT, &options, why,
                                                   sizeof why),
                      TERN_EINVAL);
    assert_null (producer);
    producer = scene_exchange (orders, "events", TERN_TOPIC, NULL);
    tern_producer_close (&producer);
    tern_peer_close (&orders, 0);
}

static void
test_bindings_are_listed (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    const tern_header_t wanted[] = {{"kind", "order"}, {"region", "eu"}};
    const tern_binding_t bindings[] = {
        {.exchange = "b",
         .type = TERN_HEADERS,
         .queue = "q",
         .headers = wanted,
         .header_count = 2,
         .any = true},
        {.exchange = "a", .type = TERN_TOPIC, .queue = "q2", .pattern = "x.*"},
        {.exchange = "a", .type = TERN_TOPIC, .queue = "q1", .pattern = "#"},
    };
    for (size_t index = 0; index < 3; index++) {
        scene_bind (orders, &bindings[index]);
    }
    tern_binding_t shown;
    assert_true (tern_peer_binding_at (orders, 0, &shown));
    assert_string_equal (shown.exchange, "a");
    assert_string_equal (shown.queue, "q1");
    assert_string_equal (shown.pattern, "#");
    assert_true (tern_peer_binding_at (orders, 1, &shown));
    assert_string_equal (shown.queue, "q2");
    assert_true (tern_peer_binding_at (orders, 2, &shown));
    assert_int_equal (shown.type, TERN_HEADERS);
    assert_int_equal (shown.header_count, 2);
    assert_string_equal (shown.headers[0].name, "kind");
    assert_string_equal (shown.headers[1].value, "eu");
    assert_true (shown.any);
    assert_false (tern_peer_binding_at (orders, 3, &shown));
    scene_unbind (orders, &bindings[2]);
    assert_true (tern_peer_binding_at (orders, 0, &shown));
    assert_string_equal (shown.queue, "q2");
    assert_true (tern_peer_binding_at (orders, 1, &shown));
    assert_false (tern_peer_binding_at (orders, 2, &shown));
    tern_peer_close (&orders, 0);
}

//  Across kill -9 -------------------------------------------------------------

//  Publish count messages to a topic exchange, every third to both queues.
static int
s_publishing (const scene_t *scene, int argc, char **argv)
{
    (void) argc;
    tern_peer_t *peer = scene_peer (scene, "orders-1", NULL);
    tern_producer_t *producer
        = scene_exchange (peer, "events", TERN_TOPIC, NULL);
    const uint64_t count = strtoull (argv[0], NULL, 10);
    uint64_t number = tern_producer_number (producer);
    while (number < count) {
        char text[32];
        snprintf (text, sizeof text, "job %llu", (unsigned long long) ++number);
        tern_msg_t *msg = tern_msg_new (text, strlen (text));
        assert_int_equal (
            tern_msg_set_key (msg, number % 3 ? "one.x" : "both.x"), TERN_OK);
        assert_int_equal (
            tern_producer_send_once (producer, msg, number, -1, NULL), TERN_OK);
        tern_msg_destroy (&msg);
    }
    scene_stay_written (producer);
}

static void
test_each_queue_gets_its_own_whatever_crashes (void **state)
{
    enum {
        COUNT = 300
    };
    const scene_t *scene = *state;
    tern_peer_t *payment = scene_peer (scene, "payment-1", NULL);
    const tern_binding_t one = {.exchange = "events",
                                .type = TERN_TOPIC,
                                .queue = "one",
                                .pattern = "#"};
    const tern_binding_t both = {.exchange = "events",
                                 .type = TERN_TOPIC,
                                 .queue = "both",
                                 .pattern = "both.*"};
    scene_bind (payment, &one);
    scene_bind (payment, &both);
    tern_consumer_t *consumers[2] = {scene_consumer (payment, "one", 10),
                                     scene_consumer (payment, "both", 10)};
    bool seen[2][COUNT + 1] = {{false}};
    unsigned left = COUNT + COUNT / 3;
    scene_child_t child = {.pid = 0};
    unsigned since = 0;
    int lives = 0;
    const int64_t until = scene_now_ms () + SCENE_DEADLINE_MS;
    while (left) {
        if (!child.pid) {
            scene_start (scene, &child, "publishing", "300", NULL);
            scene_says (&child, "written");
            lives++;
            since = 0;
        }
        for (int which = 0; which < 2; which++) {
            tern_msg_t *msg = tern_consumer_recv (consumers[which], 2);
            if (!msg) {
                continue;
            }
            const unsigned number = scene_number (msg, "job");
            assert_in_range (number, 1, COUNT);
            assert_true (which == 0 || number % 3 == 0);
            if (tern_consumer_accept (consumers[which], msg) == TERN_OK
                && !seen[which][number]) {
                seen[which][number] = true;
                left--;
            }
            since++;
        }
        if (lives < 4 && since >= 60) {
            scene_kill (&child);
        }
        if (scene_now_ms () > until) {
            fail_msg ("%u are missing", left);
        }
    }
    scene_kill (&child);

    //  What was unbound while the publisher was away is not bound any more.
    scene_unbind (payment, &both);
    tern_peer_t *orders = scene_peer (scene, "orders-1", NULL);
    tern_producer_t *producer
        = scene_exchange (orders, "events", TERN_TOPIC, NULL);
    tern_msg_t *msg = tern_msg_new ("x", 1);
    assert_int_equal (tern_msg_set_key (msg, "both.x"), TERN_OK);
    size_t count = 0;
    const int64_t soon = scene_now_ms () + SCENE_DEADLINE_MS;
    do {
        assert_int_equal (tern_producer_send_routed (producer, msg, -1, NULL,
                                                     NULL, 0, &count),
                          TERN_OK);
        assert_true (scene_now_ms () < soon);
    } while (count != 1);
    tern_msg_destroy (&msg);
    tern_producer_close (&producer);
    tern_peer_close (&orders, 0);
    tern_consumer_close (&consumers[0]);
    tern_consumer_close (&consumers[1]);
    tern_peer_close (&payment, 0);
}

static void
test_bindings_survive_the_directory (void **state)
{
    scene_t *scene = *state;
    tern_peer_t *orders = scene_peer (scene, "orders-1", NULL);
    const tern_binding_t binding
        = {.exchange = "all", .type = TERN_FANOUT, .queue = "one"};
    scene_bind (orders, &binding);
    tern_producer_t *producer
        = scene_exchange (orders, "all", TERN_FANOUT, NULL);
    scene_publish (producer, "", "first");
    tern_directory_close (&scene->directory);
    scene_publish (producer, "", "second");
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 2);
    //  From what an earlier life knew.
    orders = scene_peer (scene, "orders-1", NULL);
    producer = scene_exchange (orders, "all", TERN_FANOUT, NULL);
    const uint64_t seq = scene_publish (producer, "", "third");
    tern_consumer_t *consumer = scene_consumer (orders, "one", 0);
    scene_accept (consumer, "first");
    scene_accept (consumer, "second");
    scene_accept (consumer, "third");
    scene_settled (producer, seq);
    scene_end (&orders, &producer, &consumer);
}

static void
test_a_late_queue_gets_what_was_kept (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    const tern_binding_t early
        = {.exchange = "all", .type = TERN_FANOUT, .queue = "early"};
    scene_bind (orders, &early);
    const tern_exchange_options_t options = {.retain_bytes = 1 << 20};
    tern_producer_t *producer
        = scene_exchange (orders, "all", TERN_FANOUT, &options);
    tern_consumer_t *consumer = scene_consumer (orders, "early", 0);
    for (unsigned number = 1; number <= 10; number++) {
        char text[32];
        snprintf (text, sizeof text, "news %u", number);
        scene_send (producer, text);
        scene_accept (consumer, text);
    }
    scene_settled (producer, 10);
    const tern_binding_t late = {.exchange = "all",
                                 .type = TERN_FANOUT,
                                 .queue = "late",
                                 .from = TERN_FROM_EARLIEST};
    const tern_binding_t some = {.exchange = "all",
                                 .type = TERN_FANOUT,
                                 .queue = "some",
                                 .from = TERN_FROM_SEQ,
                                 .from_seq = 8};
    scene_bind (orders, &late);
    scene_bind (orders, &some);
    tern_consumer_t *all = scene_consumer (orders, "late", 0);
    tern_consumer_t *three = scene_consumer (orders, "some", 0);
    for (unsigned number = 1; number <= 10; number++) {
        char text[32];
        snprintf (text, sizeof text, "news %u", number);
        scene_accept (all, text);
        if (number >= 8) {
            scene_accept (three, text);
        }
    }
    scene_send (producer, "news 11");
    scene_accept (all, "news 11");
    scene_accept (three, "news 11");
    scene_accept (consumer, "news 11");
    tern_consumer_close (&all);
    tern_consumer_close (&three);
    tern_consumer_close (&consumer);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, SCENE_DEADLINE_MS), 0);
}

static void
test_a_late_pattern_gets_what_matched_it (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    const tern_binding_t early = {.exchange = "events",
                                  .type = TERN_TOPIC,
                                  .queue = "early",
                                  .pattern = "#"};
    scene_bind (orders, &early);
    const tern_exchange_options_t options = {.retain_ms = 3600000};
    tern_producer_t *producer
        = scene_exchange (orders, "events", TERN_TOPIC, &options);
    tern_consumer_t *consumer = scene_consumer (orders, "early", 0);
    struct timespec between = {0};
    uint64_t seq = 0;
    for (unsigned number = 1; number <= 3000; number++) {
        char text[32];
        if (number == 2001) {
            //  The clock moves on, so that the time is between two messages.
            assert_int_equal (tern_producer_wait (producer, seq, TERN_SYNCED,
                                                  SCENE_DEADLINE_MS),
                              TERN_OK);
            poll (NULL, 0, 5);
            clock_gettime (CLOCK_REALTIME, &between);
            poll (NULL, 0, 5);
        }
        snprintf (text, sizeof text, "news %u", number);
        seq = scene_publish (producer, number % 10 ? "us.x" : "eu.x", text);
        scene_accept (consumer, text);
    }
    scene_settled (producer, 3000);
    const tern_binding_t late = {.exchange = "events",
                                 .type = TERN_TOPIC,
                                 .queue = "late",
                                 .pattern = "eu.#",
                                 .from = TERN_FROM_EARLIEST};
    const tern_binding_t since
        = {.exchange = "events",
           .type = TERN_TOPIC,
           .queue = "since",
           .pattern = "eu.*",
           .from = TERN_FROM_TIME,
           .from_ms = (uint64_t) between.tv_sec * 1000
                      + (uint64_t) between.tv_nsec / 1000000};
    tern_consumer_t *all = scene_consumer (orders, "late", 0);
    tern_consumer_t *some = scene_consumer (orders, "since", 0);
    scene_bind (orders, &late);
    scene_bind (orders, &since);
    for (unsigned number = 10; number <= 3000; number += 10) {
        char text[32];
        snprintf (text, sizeof text, "news %u", number);
        scene_accept (all, text);
        if (number > 2000) {
            scene_accept (some, text);
        }
    }
    seq = scene_publish (producer, "eu.x", "new");
    scene_accept (all, "new");
    scene_accept (some, "new");
    scene_accept (consumer, "new");
    scene_settled (producer, seq);
    tern_consumer_close (&all);
    tern_consumer_close (&some);
    tern_consumer_close (&consumer);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, SCENE_DEADLINE_MS), 0);
}

//  Room -----------------------------------------------------------------------

#define QUEUES 256

//  Does the queue get a message that is published now?  Returns how many do.
static size_t
s_reached (tern_producer_t *producer, const char *queue, bool *is_there)
{
    uint32_t numbers[QUEUES + 1];
    size_t count = 0;
    char name[65];
    tern_msg_t *msg = tern_msg_new ("x", 1);
    assert_int_equal (tern_producer_send_routed (producer, msg,
                                                 SCENE_DEADLINE_MS, NULL,
                                                 numbers, QUEUES + 1, &count),
                      TERN_OK);
    tern_msg_destroy (&msg);
    *is_there = false;
    for (size_t index = 0; index < count && index <= QUEUES; index++) {
        assert_true (tern_producer_queue_name (producer, numbers[index], name,
                                               sizeof name));
        *is_there = *is_there || strcmp (name, queue) == 0;
    }
    return count;
}

//  One queue more than there is room for: it is said, and it has the place of
//  the first that goes.
static void
test_an_exchange_takes_so_many_queues (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer
        = scene_exchange (orders, "many", TERN_FANOUT, NULL);
    char name[16];
    tern_binding_t binding
        = {.exchange = "many", .type = TERN_FANOUT, .queue = name};
    for (int number = 0; number <= QUEUES; number++) {
        snprintf (name, sizeof name, "q-%d", number);
        assert_int_equal (tern_peer_bind (orders, &binding, NULL, 0), TERN_OK);
    }
    assert_int_equal (tern_peer_bound (orders, &binding, SCENE_DEADLINE_MS),
                      TERN_OK);
    scene_event (orders, "TERN-EXCHANGE-FULL");
    bool is_there = true;
    assert_int_equal (s_reached (producer, name, &is_there), QUEUES);
    assert_false (is_there);

    snprintf (name, sizeof name, "q-%d", 7);
    scene_unbind (orders, &binding);
    snprintf (name, sizeof name, "q-%d", QUEUES);
    assert_int_equal (s_reached (producer, name, &is_there), QUEUES);
    assert_true (is_there);
    tern_producer_close (&producer);
    tern_peer_close (&orders, 0);
}

static void
test_the_producer_descriptor_tells_of_room (void **state)
{
    tern_peer_t *orders
        = scene_peer (*state, "orders-1", "limit_messages", "3", NULL);
    tern_producer_t *producer = scene_producer (orders, "jobs");
    const int fd = tern_producer_fd (producer);
    assert_true (scene_readable (fd, 0));
    scene_send_numbers (producer, "job", 3);
    assert_int_equal (tern_producer_send (producer, "x", 1, 0, NULL),
                      TERN_EAGAIN);
    assert_false (scene_readable (fd, SCENE_QUIET_MS));
    tern_consumer_t *consumer = scene_consumer (orders, "jobs", 0);
    scene_accept (consumer, "job 1");
    assert_true (scene_readable (fd, SCENE_DEADLINE_MS));
    assert_true (scene_readable (fd, 0));
    assert_int_equal (tern_producer_send (producer, "x", 1, 0, NULL), TERN_OK);
    tern_consumer_close (&consumer);
    tern_producer_close (&producer);
    tern_peer_close (&orders, 0);
}

static void
test_each_message_has_its_level (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, "jobs");
    assert_int_equal (tern_producer_level (producer, 0), 0);
    assert_int_equal (tern_producer_level (producer, 1), 0);
    const uint64_t last = scene_send_numbers (producer, "job", 3);
    assert_int_equal (tern_producer_wait (producer, last, TERN_SYNCED, -1),
                      TERN_OK);
    assert_int_equal (tern_producer_level (producer, last), TERN_SYNCED);
    tern_consumer_t *consumer = scene_consumer (orders, "jobs", 0);
    tern_msg_t *first = tern_msg_dup (scene_expect (consumer, "job 1"));
    scene_accept (consumer, "job 2");
    scene_accept (consumer, "job 3");
    //  The first holds up what was reached together, not what each has reached.
    const int64_t until = scene_now_ms () + SCENE_DEADLINE_MS;
    while (tern_producer_level (producer, 3) != TERN_PROCESSED) {
        assert_true (scene_now_ms () < until);
        poll (NULL, 0, 1);
    }
    assert_int_equal (tern_producer_level (producer, 1), TERN_SYNCED);
    assert_int_equal (tern_producer_reached (producer, TERN_PROCESSED), 0);
    assert_int_equal (tern_consumer_accept (consumer, first), TERN_OK);
    tern_msg_destroy (&first);
    scene_settled (producer, last);
    assert_int_equal (tern_producer_level (producer, 1), TERN_PROCESSED);
    scene_end (&orders, &producer, &consumer);
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
        CLAIM (test_a_topic_reaches_the_queues_whose_patterns_match),
        CLAIM (test_a_confirm_names_the_queues_reached),
        CLAIM (test_headers_decide_where_a_message_goes),
        CLAIM (test_what_nobody_gets_goes_to_the_alternate),
        CLAIM (test_queues_come_and_go_while_messages_move),
        CLAIM (test_wrong_bindings_and_exchanges_are_refused),
        CLAIM (test_bindings_are_listed),
        CLAIM (test_each_queue_gets_its_own_whatever_crashes),
        CLAIM (test_bindings_survive_the_directory),
        CLAIM (test_a_late_queue_gets_what_was_kept),
        CLAIM (test_a_late_pattern_gets_what_matched_it),
        CLAIM (test_an_exchange_takes_so_many_queues),
        CLAIM (test_the_producer_descriptor_tells_of_room),
        CLAIM (test_each_message_has_its_level),
    };
    return cmocka_run_group_tests_name ("exchange", tests, NULL, NULL);
}
