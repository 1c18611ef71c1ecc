//  test_request - what <tern/request.h> promises, on real sockets
//
//  SPDX-License-Identifier: MPL-2.0

#include "request_scene.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SERVICE "prices"
#define PATIENCE SCENE_DEADLINE_MS

//  Helpers -------------------------------------------------------------------

static tern_request_stats_t
s_stats (tern_peer_t *peer)
{
    tern_request_stats_t stats;
    tern_peer_request_stats (peer, &stats);
    return stats;
}

//  A pair that most tests need.
typedef struct {
    tern_peer_t *shop, *depot;
    tern_requester_t *requester;
    tern_service_t *service;
} pair_t;

static pair_t
s_pair (void **state, uint32_t prefetch,
        const tern_requester_options_t *options)
{
    pair_t pair = {.shop = scene_peer (*state, "shop-1", NULL),
                   .depot = scene_peer (*state, "depot-1", NULL)};
    pair.service = scene_service (pair.depot, SERVICE, prefetch);
    pair.requester = scene_requester (pair.shop, SERVICE, options);
    return pair;
}

static void
s_part (pair_t *pair)
{
    tern_requester_close (&pair->requester);
    tern_service_close (&pair->service);
    tern_peer_close (&pair->shop, 0);
    tern_peer_close (&pair->depot, 0);
}

//  A service that answers in a thread of its own ------------------------------

typedef struct {
    tern_service_t *service;
    pthread_t thread;
    atomic_uint served;
} worker_t;

static void *
s_work (void *arg)
{
    worker_t *self = arg;
    for (;;) {
        tern_msg_t *request = tern_service_recv (self->service, PATIENCE);
        if (!request || tern_msg_size (request) == 0) {
            if (request) {
                assert_int_equal (tern_service_reply (self->service, request,
                                                      NULL, true, PATIENCE),
                                  TERN_OK);
            }
            return NULL;
        }
        tern_msg_t *reply
            = tern_msg_new (tern_msg_body (request), tern_msg_size (request));
        assert_int_equal (
            tern_service_reply (self->service, request, reply, true, PATIENCE),
            TERN_OK);
        tern_msg_destroy (&reply);
        self->served++;
    }
}

static void
s_stop (worker_t *self, tern_requester_t *requester)
{
    const uint64_t id = scene_begin (requester, "", PATIENCE);
    scene_request_ends (requester, id, TERN_OK);
    pthread_join (self->thread, NULL);
}

//  One request ---------------------------------------------------------------

static void
test_a_request_gets_its_reply (void **state)
{
    pair_t pair = s_pair (state, 0, NULL);
    worker_t worker = {.service = pair.service};
    pthread_create (&worker.thread, NULL, s_work, &worker);
    tern_msg_t *request = tern_msg_new ("apples", 6);
    tern_msg_t *reply = NULL;
    char why[256];
    assert_int_equal (tern_requester_request (pair.requester, request, PATIENCE,
                                              &reply, why, sizeof why),
                      TERN_OK);
    scene_is_text (reply, "apples");
    assert_string_equal (tern_msg_publisher (reply), "depot-1");
    assert_string_equal (tern_msg_queue (reply), SERVICE);
    tern_msg_destroy (&reply);
    tern_msg_destroy (&request);
    s_stop (&worker, pair.requester);
    s_part (&pair);
}

static void
test_key_headers_and_sender_travel_with_both (void **state)
{
    pair_t pair = s_pair (state, 0, NULL);
    tern_msg_t *out = tern_msg_new ("q", 1);
    assert_int_equal (tern_msg_set_key (out, "fruit"), TERN_OK);
    assert_int_equal (tern_msg_set_header (out, "lang", "de"), TERN_OK);
    uint64_t id = 0;
    assert_int_equal (tern_requester_begin (pair.requester, out, -1, &id),
                      TERN_OK);
    tern_msg_destroy (&out);
    tern_msg_t *request = scene_request (pair.service, "q");
    size_t size = 0;
    assert_memory_equal (tern_msg_key (request, &size), "fruit", 5);
    assert_memory_equal (tern_msg_header (request, "lang", &size), "de", 2);
    assert_string_equal (tern_msg_publisher (request), "shop-1");
    assert_string_equal (tern_msg_queue (request), SERVICE);
    assert_false (tern_msg_redelivered (request));
    assert_true (tern_service_wanted (pair.service, request));
    out = tern_msg_new ("a", 1);
    assert_int_equal (tern_msg_set_header (out, "unit", "kg"), TERN_OK);
    assert_int_equal (
        tern_service_reply (pair.service, request, out, true, PATIENCE),
        TERN_OK);
    assert_int_equal (
        tern_service_reply (pair.service, request, out, true, PATIENCE),
        TERN_ENOENT);
    tern_msg_destroy (&out);
    tern_reply_t reply;
    assert_int_equal (
        tern_requester_next (pair.requester, id, &reply, PATIENCE), TERN_OK);
    assert_memory_equal (tern_msg_header (reply.msg, "unit", &size), "kg", 2);
    tern_msg_destroy (&reply.msg);
    assert_int_equal (
        tern_requester_next (pair.requester, id, &reply, PATIENCE),
        TERN_ENOENT);
    s_part (&pair);
}

static void
test_a_peer_may_ask_itself (void **state)
{
    tern_peer_t *peer = scene_peer (*state, "shop-1", NULL);
    tern_service_t *service = scene_service (peer, SERVICE, 1);
    tern_requester_t *requester = scene_requester (peer, SERVICE, NULL);
    const uint64_t id = scene_begin (requester, "me", PATIENCE);
    scene_serve (service, "me", "you");
    scene_replied (requester, id, "you", true);
    tern_requester_close (&requester);
    tern_service_close (&service);
    tern_peer_close (&peer, 0);
}

static void
test_words_of_a_failure_reach_the_requester (void **state)
{
    pair_t pair = s_pair (state, 0, NULL);
    const uint64_t id = scene_begin (pair.requester, "pears", PATIENCE);
    tern_msg_t *request = scene_request (pair.service, "pears");
    assert_int_equal (
        tern_service_fail (pair.service, request, "no pears in winter"),
        TERN_OK);
    assert_int_equal (tern_service_fail (pair.service, request, "again"),
                      TERN_ENOENT);
    const tern_reply_t end
        = scene_request_ends (pair.requester, id, TERN_EFAILED);
    assert_string_equal (end.why, "no pears in winter");
    s_part (&pair);
}

static void
test_a_request_that_is_given_up_fails (void **state)
{
    pair_t pair = s_pair (state, 0, NULL);
    const uint64_t first = scene_begin (pair.requester, "first", PATIENCE);
    scene_request (pair.service, "first");
    const uint64_t second = scene_begin (pair.requester, "second", PATIENCE);
    tern_msg_t *request = scene_request (pair.service, "second");
    //  Nobody can answer the first any more.
    scene_request_ends (pair.requester, first, TERN_EFAILED);
    assert_int_equal (scene_reply (pair.service, request, "done", true),
                      TERN_OK);
    scene_replied (pair.requester, second, "done", true);
    s_part (&pair);
}

//  Time ------------------------------------------------------------------------

//  From here on a request takes no longer than the machine makes it.
static void
s_meet (const pair_t *pair)
{
    const uint64_t id = scene_begin (pair->requester, "hello", PATIENCE);
    tern_msg_t *request = tern_service_recv (pair->service, PATIENCE);
    while (request && tern_msg_size (request) != strlen ("hello")) {
        //  One that is overdue, and its server does not know yet.
        tern_msg_destroy (&request);
        request = tern_service_recv (pair->service, PATIENCE);
    }
    scene_is_text (request, "hello");
    assert_int_equal (scene_reply (pair->service, request, "hello", true),
                      TERN_OK);
    scene_replied (pair->requester, id, "hello", true);
}

//  A request that its server has in hand when its time is over.
static tern_msg_t *
s_overdue (const pair_t *pair)
{
    tern_msg_t *request = NULL;
    for (int time_ms = 100; !request; time_ms *= 2) {
        assert_true (time_ms < PATIENCE);
        const uint64_t id = scene_begin (pair->requester, "slow", time_ms);
        request = tern_service_recv (pair->service, time_ms);
        scene_request_ends (pair->requester, id, TERN_ETIMEOUT);
    }
    scene_is_text (request, "slow");
    return request;
}

static void
test_nobody_serves_is_told_apart_from_no_reply (void **state)
{
    tern_peer_t *shop = scene_peer (*state, "shop-1", NULL);
    tern_requester_t *requester = scene_requester (shop, SERVICE, NULL);
    uint64_t id = scene_begin (requester, "anybody", 50);
    scene_request_ends (requester, id, TERN_ENOROUTE);

    //  A consumer of the queue is no server.
    tern_consumer_t *consumer = scene_consumer (shop, SERVICE, 1);
    id = scene_begin (requester, "anybody", 300);
    scene_request_ends (requester, id, TERN_ENOROUTE);
    tern_consumer_close (&consumer);

    tern_service_t *service = scene_service (shop, SERVICE, 1);
    id = scene_begin (requester, "slow", PATIENCE);
    tern_msg_t *request = scene_request (service, "slow");
    const uint64_t late = scene_begin (requester, "late", 50);
    scene_request_ends (requester, late, TERN_ETIMEOUT);
    assert_int_equal (scene_reply (service, request, "ok", true), TERN_OK);
    scene_replied (requester, id, "ok", true);
    tern_requester_close (&requester);
    tern_service_close (&service);
    tern_peer_close (&shop, 0);
}

static void
test_a_server_that_comes_in_time_gets_what_waits (void **state)
{
    tern_peer_t *shop = scene_peer (*state, "shop-1", NULL);
    tern_requester_t *requester = scene_requester (shop, SERVICE, NULL);
    const uint64_t id = scene_begin (requester, "patient", -1);
    tern_peer_t *depot = scene_peer (*state, "depot-1", NULL);
    tern_service_t *service = scene_service (depot, SERVICE, 1);
    scene_serve (service, "patient", "ok");
    scene_replied (requester, id, "ok", true);
    tern_requester_close (&requester);
    tern_service_close (&service);
    tern_peer_close (&shop, 0);
    tern_peer_close (&depot, 0);
}

static void
test_a_late_reply_is_refused_at_the_server_or_dropped (void **state)
{
    pair_t pair = s_pair (state, 0, NULL);
    s_meet (&pair);
    tern_msg_t *request = s_overdue (&pair);
    const int rc = scene_reply (pair.service, request, "too late", true);
    if (rc == TERN_OK) {
        //  It was on its way before the server knew.  Where it crossed the
        //  news that it is late, it was dropped.
        s_meet (&pair);
        assert_int_equal (
            s_stats (pair.shop).dropped + s_stats (pair.depot).dropped, 1);
    } else {
        assert_int_equal (rc, TERN_ENOENT);
    }
    s_part (&pair);
}

static void
test_what_is_too_late_is_not_handed_to_the_server (void **state)
{
    pair_t pair = s_pair (state, 2, NULL);
    s_meet (&pair);
    const uint64_t first = scene_begin (pair.requester, "first", PATIENCE);
    const uint64_t late = scene_begin (pair.requester, "late", 100);
    const uint64_t id = scene_begin (pair.requester, "last", PATIENCE);
    scene_request_ends (pair.requester, late, TERN_ETIMEOUT);
    scene_serve (pair.service, "first", "1");
    scene_replied (pair.requester, first, "1", true);
    scene_serve (pair.service, "last", "3");
    scene_replied (pair.requester, id, "3", true);
    s_part (&pair);
}

//  Cancelling ------------------------------------------------------------------

typedef struct {
    tern_service_t *service;
    tern_msg_t *request;
} hand_t;

static bool
s_is_unwanted (void *arg)
{
    const hand_t *hand = arg;
    return !tern_service_wanted (hand->service, hand->request);
}

static void
test_a_server_learns_that_nobody_waits (void **state)
{
    pair_t pair = s_pair (state, 0, NULL);
    const uint64_t id = scene_begin (pair.requester, "never mind", PATIENCE);
    tern_msg_t *request = scene_request (pair.service, "never mind");
    assert_int_equal (tern_requester_cancel (pair.requester, id), TERN_OK);
    assert_int_equal (tern_requester_cancel (pair.requester, id), TERN_ENOENT);
    hand_t hand = {pair.service, request};
    scene_until (pair.depot, s_is_unwanted, &hand, "cancelled");
    assert_int_equal (scene_reply (pair.service, request, "done", true),
                      TERN_ENOENT);
    tern_reply_t reply;
    assert_int_equal (tern_requester_next (pair.requester, 0, &reply, 0),
                      TERN_ETIMEOUT);
    s_part (&pair);
}

//  Streams ---------------------------------------------------------------------

typedef struct {
    tern_service_t *service;
    unsigned count;
    pthread_t thread;
} streamer_t;

static void *
s_stream (void *arg)
{
    streamer_t *self = arg;
    tern_msg_t *request = tern_service_recv (self->service, PATIENCE);
    for (unsigned number = 1; request && number <= self->count; number++) {
        char text[32];
        snprintf (text, sizeof text, "part %u", number);
        assert_int_equal (
            scene_reply (self->service, request, text, number == self->count),
            TERN_OK);
    }
    return NULL;
}

static void
test_a_stream_of_replies_comes_in_order_and_ends (void **state)
{
    pair_t pair = s_pair (state, 0, NULL);
    streamer_t streamer = {.service = pair.service, .count = 1000};
    pthread_create (&streamer.thread, NULL, s_stream, &streamer);
    const uint64_t id = scene_begin (pair.requester, "all", PATIENCE);
    for (unsigned number = 1; number <= 1000; number++) {
        char text[32];
        snprintf (text, sizeof text, "part %u", number);
        scene_replied (pair.requester, id, text, number == 1000);
    }
    pthread_join (streamer.thread, NULL);
    s_part (&pair);
}

static void
test_a_requester_that_does_not_take_stops_the_server (void **state)
{
    pair_t pair = s_pair (state, 0, NULL);
    const uint64_t id = scene_begin (pair.requester, "all", PATIENCE);
    tern_msg_t *request = scene_request (pair.service, "all");
    tern_msg_t *part = tern_msg_new ("part", 4);
    unsigned sent = 0;
    while (tern_service_reply (pair.service, request, part, false, 0)
           == TERN_OK) {
        sent++;
        assert_true (sent < 100);
    }
    assert_true (sent > 0);
    scene_replied (pair.requester, id, "part", false);
    for (unsigned taken = 1; taken < sent; taken++) {
        scene_replied (pair.requester, id, "part", false);
    }
    assert_int_equal (
        tern_service_reply (pair.service, request, part, false, PATIENCE),
        TERN_OK);
    scene_replied (pair.requester, id, "part", false);
    assert_int_equal (
        tern_service_reply (pair.service, request, NULL, true, PATIENCE),
        TERN_OK);
    scene_request_ends (pair.requester, id, TERN_OK);
    tern_msg_destroy (&part);
    s_part (&pair);
}

//  Many ------------------------------------------------------------------------

//  T-166
static void
test_requests_in_hand_are_bounded_by_prefetch (void **state)
{
    pair_t pair = s_pair (state, 3, NULL);
    for (unsigned number = 0; number < 10; number++) {
        scene_begin (pair.requester, "job", PATIENCE);
    }
    tern_msg_t *kept[3];
    for (unsigned at = 0; at < 3; at++) {
        kept[at] = tern_msg_dup (scene_request (pair.service, "job"));
    }
    assert_null (tern_service_recv (pair.service, 100));
    for (unsigned at = 0; at < 3; at++) {
        assert_int_equal (scene_reply (pair.service, kept[at], "ok", true),
                          TERN_OK);
        tern_msg_destroy (&kept[at]);
    }
    for (unsigned number = 3; number < 10; number++) {
        scene_serve (pair.service, "job", "ok");
    }
    for (unsigned number = 0; number < 10; number++) {
        scene_replied (pair.requester, 0, "ok", true);
    }
    s_part (&pair);
}

static void
test_open_requests_are_bounded (void **state)
{
    const tern_requester_options_t options = {.open_max = 2};
    pair_t pair = s_pair (state, 1, &options);
    scene_begin (pair.requester, "1", PATIENCE);
    const uint64_t second = scene_begin (pair.requester, "2", PATIENCE);
    tern_msg_t *msg = tern_msg_new ("3", 1);
    uint64_t id = 0;
    assert_int_equal (tern_requester_begin (pair.requester, msg, -1, &id),
                      TERN_EAGAIN);
    assert_int_equal (tern_requester_cancel (pair.requester, second), TERN_OK);
    assert_int_equal (tern_requester_begin (pair.requester, msg, -1, &id),
                      TERN_OK);
    assert_int_equal (tern_requester_begin (pair.requester, msg, 0, &id),
                      TERN_EINVAL);
    tern_msg_destroy (&msg);
    s_part (&pair);
}

static void
test_the_descriptor_is_readable_while_a_reply_waits (void **state)
{
    pair_t pair = s_pair (state, 0, NULL);
    const int fd = tern_requester_fd (pair.requester);
    assert_false (scene_readable (fd, 0));
    scene_begin (pair.requester, "q", PATIENCE);
    assert_true (
        scene_readable (tern_service_fd (pair.service), SCENE_DEADLINE_MS));
    tern_msg_t *request = scene_request (pair.service, "q");
    assert_int_equal (scene_reply (pair.service, request, "a", false), TERN_OK);
    assert_int_equal (scene_reply (pair.service, request, "b", true), TERN_OK);
    assert_true (scene_readable (fd, SCENE_DEADLINE_MS));
    scene_replied (pair.requester, 0, "a", false);
    assert_true (scene_readable (fd, SCENE_DEADLINE_MS));
    scene_replied (pair.requester, 0, "b", true);
    assert_false (scene_readable (fd, 0));
    s_part (&pair);
}

#define THREADS 4
#define EACH 200

typedef struct {
    tern_requester_t *requester;
    unsigned number;
    unsigned wrong;
} asker_t;

static void *
s_ask (void *arg)
{
    asker_t *self = arg;
    for (unsigned at = 0; at < EACH; at++) {
        char text[32];
        const int size
            = snprintf (text, sizeof text, "%u.%u", self->number, at);
        tern_msg_t *request = tern_msg_new (text, (size_t) size);
        tern_msg_t *reply = NULL;
        const int rc = tern_requester_request (self->requester, request,
                                               PATIENCE, &reply, NULL, 0);
        self->wrong += rc != TERN_OK || tern_msg_size (reply) != (size_t) size
                       || memcmp (tern_msg_body (reply), text, (size_t) size);
        tern_msg_destroy (&reply);
        tern_msg_destroy (&request);
    }
    return NULL;
}

static void
test_many_threads_share_a_requester_and_two_servers_the_work (void **state)
{
    pair_t pair = s_pair (state, 0, NULL);
    tern_service_t *other = scene_service (pair.shop, SERVICE, 0);
    worker_t workers[2] = {{.service = pair.service}, {.service = other}};
    for (unsigned at = 0; at < 2; at++) {
        pthread_create (&workers[at].thread, NULL, s_work, &workers[at]);
    }
    unsigned found = 0;
    //  Both have been found when both have had one.
    while (!atomic_load (&workers[0].served)
           || !atomic_load (&workers[1].served)) {
        const uint64_t id = scene_begin (pair.requester, "hello", PATIENCE);
        scene_replied (pair.requester, id, "hello", true);
        found++;
    }
    asker_t askers[THREADS];
    pthread_t threads[THREADS];
    for (unsigned at = 0; at < THREADS; at++) {
        askers[at] = (asker_t) {.requester = pair.requester, .number = at};
        pthread_create (&threads[at], NULL, s_ask, &askers[at]);
    }
    for (unsigned at = 0; at < THREADS; at++) {
        pthread_join (threads[at], NULL);
        assert_int_equal (askers[at].wrong, 0);
    }
    //  One each, as they have the same to do: nothing.
    const uint64_t first = scene_begin (pair.requester, "", PATIENCE);
    const uint64_t second = scene_begin (pair.requester, "", PATIENCE);
    scene_request_ends (pair.requester, first, TERN_OK);
    scene_request_ends (pair.requester, second, TERN_OK);
    for (unsigned at = 0; at < 2; at++) {
        pthread_join (workers[at].thread, NULL);
    }
    assert_int_equal (workers[0].served + workers[1].served,
                      THREADS * EACH + found);
    tern_service_close (&other);
    s_part (&pair);
}

static void
test_a_request_as_large_as_a_message_may_be (void **state)
{
    pair_t pair = s_pair (state, 0, NULL);
    char *body = malloc (TERN_BODY_MAX);
    assert_non_null (body);
    memset (body, 'x', TERN_BODY_MAX);
    tern_msg_t *large = tern_msg_new (body, TERN_BODY_MAX);
    uint64_t id = 0;
    assert_int_equal (tern_requester_begin (pair.requester, large, -1, &id),
                      TERN_OK);
    tern_msg_t *request = tern_service_recv (pair.service, PATIENCE);
    assert_non_null (request);
    assert_int_equal (tern_msg_size (request), TERN_BODY_MAX);
    //  What came in may go out.
    assert_int_equal (
        tern_service_reply (pair.service, request, request, true, PATIENCE),
        TERN_OK);
    tern_reply_t reply;
    assert_int_equal (
        tern_requester_next (pair.requester, id, &reply, PATIENCE), TERN_OK);
    assert_int_equal (tern_msg_size (reply.msg), TERN_BODY_MAX);
    assert_memory_equal (tern_msg_body (reply.msg), body, TERN_BODY_MAX);
    tern_msg_destroy (&reply.msg);
    tern_msg_destroy (&large);
    free (body);
    s_part (&pair);
}

//  Servers that go -------------------------------------------------------------

static void
test_a_service_that_closes_hands_over_what_it_has (void **state)
{
    pair_t pair = s_pair (state, 2, NULL);
    const uint64_t seen = scene_begin (pair.requester, "seen", PATIENCE);
    const uint64_t unseen = scene_begin (pair.requester, "unseen", PATIENCE);
    scene_request (pair.service, "seen");
    tern_peer_t *other = scene_peer (*state, "depot-2", NULL);
    tern_service_t *service = scene_service (other, SERVICE, 2);
    tern_service_close (&pair.service);
    for (unsigned at = 0; at < 2; at++) {
        tern_msg_t *request = tern_service_recv (service, PATIENCE);
        assert_non_null (request);
        assert_int_equal (tern_msg_redelivered (request),
                          tern_msg_size (request) == strlen ("seen"));
        assert_int_equal (scene_reply (service, request, "ok", true), TERN_OK);
    }
    scene_replied (pair.requester, seen, "ok", true);
    scene_replied (pair.requester, unseen, "ok", true);
    tern_service_close (&service);
    tern_peer_close (&other, 0);
    s_part (&pair);
}

//  hold NAME: take one request, say so, never reply.
static int
s_hold (const scene_t *scene, int argc, char **argv)
{
    assert_int_equal (argc, 1);
    tern_peer_t *peer = scene_peer (scene, argv[0], NULL);
    tern_service_t *service = scene_service (peer, SERVICE, 1);
    printf ("ready\n");
    tern_msg_t *request = tern_service_recv (service, PATIENCE);
    assert_non_null (request);
    printf ("took %.*s\n", (int) tern_msg_size (request),
            (const char *) tern_msg_body (request));
    scene_stay ();
}

static void
test_a_server_killed_in_the_middle_is_replaced (void **state)
{
    tern_peer_t *shop = scene_peer (*state, "shop-1", NULL);
    tern_requester_t *requester = scene_requester (shop, SERVICE, NULL);
    scene_child_t child;
    scene_start (*state, &child, "hold", "depot-1", NULL);
    scene_says (&child, "ready");
    const uint64_t id = scene_begin (requester, "apples", PATIENCE);
    scene_says (&child, "took apples");
    tern_peer_t *other = scene_peer (*state, "depot-2", NULL);
    tern_service_t *service = scene_service (other, SERVICE, 1);
    scene_kill (&child);
    tern_msg_t *request = scene_request (service, "apples");
    assert_true (tern_msg_redelivered (request));
    assert_int_equal (scene_reply (service, request, "2.50", true), TERN_OK);
    scene_replied (requester, id, "2.50", true);
    assert_int_equal (s_stats (shop).repeated, 1);
    tern_requester_close (&requester);
    tern_service_close (&service);
    tern_peer_close (&other, 0);
    tern_peer_close (&shop, 0);
}

static void
test_a_request_for_one_server_only_is_lost_with_it (void **state)
{
    tern_peer_t *shop = scene_peer (*state, "shop-1", NULL);
    const tern_requester_options_t options = {.once = true};
    tern_requester_t *requester = scene_requester (shop, SERVICE, &options);
    scene_child_t child;
    scene_start (*state, &child, "hold", "depot-1", NULL);
    scene_says (&child, "ready");
    const uint64_t id = scene_begin (requester, "pay", PATIENCE);
    scene_says (&child, "took pay");
    scene_kill (&child);
    scene_request_ends (requester, id, TERN_ELOST);
    tern_requester_close (&requester);
    tern_peer_close (&shop, 0);
}

//  Names and limits ------------------------------------------------------------

static void
test_a_service_has_the_name_of_a_queue (void **state)
{
    tern_peer_t *peer = scene_peer (*state, "shop-1", NULL);
    tern_requester_t *requester = NULL;
    tern_service_t *service = NULL;
    assert_int_equal (tern_requester_open (&requester, peer, "No!", NULL),
                      TERN_ENAME);
    assert_int_equal (tern_service_open (&service, peer, "No!", NULL),
                      TERN_ENAME);
    assert_null (requester);
    assert_null (service);
    tern_requester_close (&requester);
    tern_service_close (&service);
    tern_peer_close (&peer, 0);
}

#define IN_SCENE(test)                                                         \
    cmocka_unit_test_setup_teardown (test, scene_setup, scene_teardown)

int
main (int argc, char **argv)
{
    const scene_role_t roles[] = {{"hold", s_hold}, {NULL, NULL}};
    const int status = scene_main (roles, argc, argv);
    if (status >= 0) {
        return status;
    }
    const struct CMUnitTest tests[] = {
        IN_SCENE (test_a_request_gets_its_reply),
        IN_SCENE (test_key_headers_and_sender_travel_with_both),
        IN_SCENE (test_a_peer_may_ask_itself),
        IN_SCENE (test_words_of_a_failure_reach_the_requester),
        IN_SCENE (test_a_request_that_is_given_up_fails),
        IN_SCENE (test_nobody_serves_is_told_apart_from_no_reply),
        IN_SCENE (test_a_server_that_comes_in_time_gets_what_waits),
        IN_SCENE (test_a_late_reply_is_refused_at_the_server_or_dropped),
        IN_SCENE (test_what_is_too_late_is_not_handed_to_the_server),
        IN_SCENE (test_a_server_learns_that_nobody_waits),
        IN_SCENE (test_a_stream_of_replies_comes_in_order_and_ends),
        IN_SCENE (test_a_requester_that_does_not_take_stops_the_server),
        IN_SCENE (test_requests_in_hand_are_bounded_by_prefetch),
        IN_SCENE (test_open_requests_are_bounded),
        IN_SCENE (test_the_descriptor_is_readable_while_a_reply_waits),
        IN_SCENE (test_many_threads_share_a_requester_and_two_servers_the_work),
        IN_SCENE (test_a_request_as_large_as_a_message_may_be),
        IN_SCENE (test_a_service_that_closes_hands_over_what_it_has),
        IN_SCENE (test_a_server_killed_in_the_middle_is_replaced),
        IN_SCENE (test_a_request_for_one_server_only_is_lost_with_it),
        IN_SCENE (test_a_service_has_the_name_of_a_queue),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
