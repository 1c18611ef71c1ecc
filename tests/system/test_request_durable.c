//  test_request_durable - requests and replies that survive either end
//
//  SPDX-License-Identifier: MPL-2.0

#include "request_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SERVICE "prices"
#define PATIENCE SCENE_DEADLINE_MS

static const tern_requester_options_t s_durable = {.durable = true};

//  Nothing waits in the outbox of this queue.
typedef struct {
    tern_peer_t *peer;
    const char *queue;
} outbox_t;

static bool
s_is_empty (void *arg)
{
    const outbox_t *outbox = arg;
    const tern_stats_t stats
        = scene_stats (outbox->peer, outbox->queue, TERN_ROLE_PUBLISHER);
    return stats.depth == 0;
}

static void
s_until_empty (tern_peer_t *peer, const char *queue)
{
    outbox_t outbox = {peer, queue};
    scene_until (peer, s_is_empty, &outbox, "all settled");
}

typedef struct {
    tern_peer_t *peer;
    uint64_t count;
} drops_t;

static bool
s_has_dropped (void *arg)
{
    const drops_t *drops = arg;
    tern_request_stats_t stats;
    tern_peer_request_stats (drops->peer, &stats);
    return stats.dropped == drops->count;
}

//  Both ends alive -------------------------------------------------------------

static void
test_a_durable_request_and_its_reply_are_settled (void **state)
{
    tern_peer_t *shop = scene_peer (*state, "shop-1", NULL);
    tern_peer_t *depot = scene_peer (*state, "depot-1", NULL);
    tern_requester_t *requester = scene_requester (shop, SERVICE, &s_durable);
    const uint64_t id = scene_begin (requester, "apples", PATIENCE);
    tern_service_t *service = scene_service (depot, SERVICE, 0);
    tern_msg_t *request = scene_request (service, "apples");
    size_t size = 0;
    assert_memory_equal (tern_msg_reply_to (request, &size), "@shop-1", 7);
    assert_int_equal (scene_reply (service, request, "2.50", true), TERN_OK);
    assert_int_equal (scene_reply (service, request, "3.50", true),
                      TERN_ENOENT);
    scene_replied (requester, id, "2.50", true);
    s_until_empty (shop, SERVICE);
    s_until_empty (depot, "@shop-1");
    tern_requester_close (&requester);
    tern_service_close (&service);
    tern_peer_close (&shop, 0);
    tern_peer_close (&depot, 0);
}

static void
test_a_stream_of_durable_replies_ends (void **state)
{
    tern_peer_t *shop = scene_peer (*state, "shop-1", NULL);
    tern_requester_t *requester = scene_requester (shop, SERVICE, &s_durable);
    tern_service_t *service = scene_service (shop, SERVICE, 0);
    const uint64_t id = scene_begin (requester, "all", PATIENCE);
    tern_msg_t *request = scene_request (service, "all");
    assert_int_equal (scene_reply (service, request, "a", false), TERN_OK);
    assert_int_equal (scene_reply (service, request, "b", false), TERN_OK);
    assert_int_equal (
        tern_service_reply (service, request, NULL, true, PATIENCE), TERN_OK);
    scene_replied (requester, id, "a", false);
    scene_replied (requester, id, "b", false);
    tern_reply_t end;
    assert_int_equal (tern_requester_next (requester, id, &end, PATIENCE),
                      TERN_OK);
    assert_true (end.last && !end.msg && end.status == TERN_OK);
    s_until_empty (shop, "@shop-1");
    tern_requester_close (&requester);
    tern_service_close (&service);
    tern_peer_close (&shop, 0);
}

static void
test_words_of_a_durable_failure_reach_the_requester (void **state)
{
    tern_peer_t *shop = scene_peer (*state, "shop-1", NULL);
    tern_requester_t *requester = scene_requester (shop, SERVICE, &s_durable);
    tern_service_t *service = scene_service (shop, SERVICE, 0);
    const uint64_t id = scene_begin (requester, "pears", PATIENCE);
    tern_msg_t *request = scene_request (service, "pears");
    assert_int_equal (tern_service_fail (service, request, "no\xff pears\n"),
                      TERN_OK);
    tern_reply_t end;
    assert_int_equal (tern_requester_next (requester, id, &end, PATIENCE),
                      TERN_OK);
    assert_int_equal (end.status, TERN_EFAILED);
    assert_string_equal (end.why, "no? pears?");
    tern_requester_close (&requester);
    tern_service_close (&service);
    tern_peer_close (&shop, 0);
}

static void
test_a_durable_reply_that_nobody_waits_for_is_dropped_and_counted (void **state)
{
    tern_peer_t *shop = scene_peer (*state, "shop-1", NULL);
    tern_peer_t *depot = scene_peer (*state, "depot-1", NULL);
    tern_requester_t *requester = scene_requester (shop, SERVICE, &s_durable);
    tern_service_t *service = scene_service (depot, SERVICE, 0);
    const uint64_t id = scene_begin (requester, "never mind", PATIENCE);
    assert_int_equal (tern_requester_cancel (requester, id), TERN_OK);
    scene_serve (service, "never mind", "done");
    drops_t drops = {shop, 1};
    scene_until (shop, s_has_dropped, &drops, "dropped");
    s_until_empty (depot, "@shop-1");
    tern_requester_close (&requester);
    tern_service_close (&service);
    tern_peer_close (&shop, 0);
    tern_peer_close (&depot, 0);
}

//  A server needs an outbox for each peer that it replies to.  One too many is
//  told so at the server; the request is not done, and another may do it.
static void
test_a_server_without_room_for_a_reply_leaves_it_to_another (void **state)
{
    tern_peer_t *first = scene_peer (*state, "shop-1", NULL);
    tern_peer_t *second = scene_peer (*state, "shop-2", NULL);
    tern_peer_t *depot
        = scene_peer (*state, "depot-1", "limit_outboxes", "1", NULL);
    tern_requester_t *one = scene_requester (first, SERVICE, &s_durable);
    tern_requester_t *two = scene_requester (second, SERVICE, &s_durable);
    tern_service_t *service = scene_service (depot, SERVICE, 0);
    uint64_t id = scene_begin (one, "apples", PATIENCE);
    scene_serve (service, "apples", "1");
    scene_replied (one, id, "1", true);
    id = scene_begin (two, "pears", PATIENCE);
    tern_msg_t *request = scene_request (service, "pears");
    assert_int_equal (scene_reply (service, request, "2", true), TERN_ETOOBIG);
    assert_int_equal (tern_service_fail (service, request, "no room"),
                      TERN_ETOOBIG);
    tern_service_close (&service);

    service = scene_service (first, SERVICE, 0);
    scene_serve (service, "pears", "2");
    scene_replied (two, id, "2", true);
    tern_service_close (&service);
    tern_requester_close (&one);
    tern_requester_close (&two);
    tern_peer_close (&depot, 0);
    tern_peer_close (&second, 0);
    tern_peer_close (&first, 0);
}

static void
test_a_message_without_a_requester_can_be_served (void **state)
{
    tern_peer_t *shop = scene_peer (*state, "shop-1", NULL);
    tern_service_t *service = scene_service (shop, SERVICE, 0);
    tern_producer_t *producer = scene_producer (shop, SERVICE);
    const uint64_t seq = scene_send (producer, "just do it");
    scene_serve (service, "just do it", "done");
    scene_settled (producer, seq);
    tern_producer_close (&producer);
    tern_service_close (&service);
    tern_peer_close (&shop, 0);
}

//  Ends that die ---------------------------------------------------------------

//  hold NAME: take one request, say so, never reply.
static int
s_hold (const scene_t *scene, int argc, char **argv)
{
    assert_int_equal (argc, 1);
    tern_peer_t *peer = scene_peer (scene, argv[0], NULL);
    tern_service_t *service = scene_service (peer, SERVICE, 0);
    tern_msg_t *request = tern_service_recv (service, PATIENCE);
    assert_non_null (request);
    printf ("took %.*s\n", (int) tern_msg_size (request),
            (const char *) tern_msg_body (request));
    scene_stay ();
}

//  ask NAME: begin one request, say so, wait for ever.
static int
s_ask (const scene_t *scene, int argc, char **argv)
{
    assert_int_equal (argc, 1);
    tern_peer_t *peer = scene_peer (scene, argv[0], NULL);
    tern_requester_t *requester = scene_requester (peer, SERVICE, &s_durable);
    tern_msg_t *msg = tern_msg_new ("apples", 6);
    uint64_t id = 0;
    assert_int_equal (tern_msg_set_correlation (msg, "order-17"), TERN_OK);
    assert_int_equal (tern_requester_begin (requester, msg, PATIENCE, &id),
                      TERN_OK);
    printf ("asked\n");
    scene_stay ();
}

static void
s_ask_and_die (const scene_t *scene)
{
    scene_child_t child;
    scene_start (scene, &child, "ask", "shop-1", NULL);
    scene_says (&child, "asked");
    scene_kill (&child);
}

//  Another reply comes behind the first, which is there and kept, therefore.
static void
s_ask_another (tern_requester_t *requester, tern_service_t *service)
{
    const uint64_t id = scene_begin (requester, "pears", PATIENCE);
    scene_serve (service, "pears", "1.50");
    scene_replied (requester, id, "1.50", true);
}

static void
test_a_durable_request_survives_its_server (void **state)
{
    tern_peer_t *shop = scene_peer (*state, "shop-1", NULL);
    tern_requester_t *requester = scene_requester (shop, SERVICE, &s_durable);
    scene_child_t child;
    scene_start (*state, &child, "hold", "depot-1", NULL);
    const uint64_t id = scene_begin (requester, "apples", PATIENCE);
    scene_says (&child, "took apples");
    scene_kill (&child);
    tern_peer_t *depot = scene_peer (*state, "depot-1", NULL);
    tern_service_t *service = scene_service (depot, SERVICE, 0);
    tern_msg_t *request = scene_request (service, "apples");
    assert_true (tern_msg_redelivered (request));
    assert_int_equal (scene_reply (service, request, "2.50", true), TERN_OK);
    scene_replied (requester, id, "2.50", true);
    tern_requester_close (&requester);
    tern_service_close (&service);
    tern_peer_close (&shop, 0);
    tern_peer_close (&depot, 0);
}

static void
test_a_requester_that_died_gets_its_reply_in_its_next_life (void **state)
{
    s_ask_and_die (*state);

    //  Nobody serves yet: the request waits in the store of the dead.
    tern_peer_t *shop = scene_peer (*state, "shop-1", NULL);
    tern_peer_t *depot = scene_peer (*state, "depot-1", NULL);
    tern_service_t *service = scene_service (depot, SERVICE, 0);
    scene_serve (service, "apples", "2.50");

    //  The reply is there before or after it is asked for.
    tern_requester_t *requester = scene_requester (shop, SERVICE, &s_durable);
    uint64_t id = 0;
    assert_int_equal (
        tern_requester_resume (requester, "order-17", PATIENCE, &id), TERN_OK);
    char correlation[128];
    assert_int_equal (tern_requester_correlation (requester, id, correlation),
                      TERN_OK);
    assert_string_equal (correlation, "order-17");
    scene_replied (requester, id, "2.50", true);
    s_until_empty (depot, "@shop-1");
    tern_requester_close (&requester);
    tern_service_close (&service);
    tern_peer_close (&shop, 0);
    tern_peer_close (&depot, 0);
}

static void
test_a_reply_kept_for_an_earlier_life_is_given_to_who_asks_later (void **state)
{
    s_ask_and_die (*state);
    tern_peer_t *shop = scene_peer (*state, "shop-1", NULL);
    tern_requester_t *requester = scene_requester (shop, SERVICE, &s_durable);
    tern_service_t *service = scene_service (shop, SERVICE, 0);
    scene_serve (service, "apples", "2.50");
    s_ask_another (requester, service);
    uint64_t id = 0;
    assert_int_equal (
        tern_requester_resume (requester, "order-17", PATIENCE, &id), TERN_OK);
    scene_replied (requester, id, "2.50", true);
    s_until_empty (shop, "@shop-1");
    tern_requester_close (&requester);
    tern_service_close (&service);
    tern_peer_close (&shop, 0);
}

//  The same of this life, whether another requester is open meanwhile or not.
static void
test_a_closed_requesters_reply_is_given_to_who_asks_later (void **state)
{
    tern_peer_t *shop = scene_peer (*state, "shop-1", NULL);
    tern_service_t *service = scene_service (shop, SERVICE, 0);
    for (unsigned open = 0; open < 2; open++) {
        tern_requester_t *first = scene_requester (shop, SERVICE, &s_durable);
        tern_requester_t *requester
            = open ? scene_requester (shop, SERVICE, &s_durable) : NULL;
        char correlation[128];
        uint64_t id = scene_begin (first, "apples", PATIENCE);
        assert_int_equal (tern_requester_correlation (first, id, correlation),
                          TERN_OK);
        tern_requester_close (&first);
        requester = requester ? requester
                              : scene_requester (shop, SERVICE, &s_durable);
        scene_serve (service, "apples", "2.50");
        s_ask_another (requester, service);
        assert_int_equal (
            tern_requester_resume (requester, correlation, PATIENCE, &id),
            TERN_OK);
        scene_replied (requester, id, "2.50", true);
        tern_requester_close (&requester);
    }
    tern_service_close (&service);
    tern_peer_close (&shop, 0);
}

//  Only so many are kept, from whatever servers: the oldest make room.
#define SERVERS 3
#define EACH 1000
#define KEPT 512

static void
s_reply_to_earlier_lives (tern_peer_t *peer)
{
    tern_producer_t *producer = NULL;
    assert_int_equal (tern_producer_open (&producer, peer, "@shop-1", NULL, 0),
                      TERN_OK);
    for (unsigned count = 0; count < EACH; count++) {
        tern_msg_t *msg = tern_msg_new ("1.50", 4);
        char correlation[32];
        snprintf (correlation, sizeof correlation, "0.%u", count);
        assert_int_equal (tern_msg_set_correlation (msg, correlation), TERN_OK);
        scene_send_msg (producer, msg);
    }
    tern_producer_close (&producer);
}

static void
test_many_replies_to_earlier_lives_hold_nothing_up (void **state)
{
    tern_peer_t *shop = scene_peer (*state, "shop-1", NULL);
    tern_requester_t *requester = scene_requester (shop, SERVICE, &s_durable);
    tern_peer_t *depots[SERVERS];
    for (unsigned index = 0; index < SERVERS; index++) {
        char name[16];
        snprintf (name, sizeof name, "depot-%u", index + 1);
        depots[index] = scene_peer (*state, name, NULL);
        s_reply_to_earlier_lives (depots[index]);
    }
    drops_t drops = {shop, SERVERS * EACH - KEPT};
    scene_until (shop, s_has_dropped, &drops, "the oldest dropped");
    const uint64_t id = scene_begin (requester, "apples", PATIENCE);
    tern_service_t *service = scene_service (depots[0], SERVICE, 0);
    scene_serve (service, "apples", "2.50");
    scene_replied (requester, id, "2.50", true);
    tern_service_close (&service);
    for (unsigned index = 0; index < SERVERS; index++) {
        tern_peer_close (&depots[index], 0);
    }
    tern_requester_close (&requester);
    tern_peer_close (&shop, 0);
}

static void
test_a_light_requester_cannot_resume (void **state)
{
    tern_peer_t *shop = scene_peer (*state, "shop-1", NULL);
    tern_requester_t *requester = NULL;
    assert_int_equal (tern_requester_open (&requester, shop, SERVICE, NULL),
                      TERN_OK);
    uint64_t id = 0;
    assert_int_equal (tern_requester_resume (requester, "x", PATIENCE, &id),
                      TERN_ENOTSUP);
    tern_requester_close (&requester);
    requester = scene_requester (shop, SERVICE, &s_durable);
    assert_int_equal (tern_requester_resume (requester, "", PATIENCE, &id),
                      TERN_EINVAL);
    tern_requester_close (&requester);
    tern_peer_close (&shop, 0);
}

#define IN_SCENE(test)                                                         \
    cmocka_unit_test_setup_teardown (test, scene_setup, scene_teardown)

int
main (int argc, char **argv)
{
    const scene_role_t roles[] = {{"hold", s_hold}, {"ask", s_ask}, {0}};
    const int status = scene_main (roles, argc, argv);
    if (status >= 0) {
        return status;
    }
    const struct CMUnitTest tests[] = {
        IN_SCENE (test_a_durable_request_and_its_reply_are_settled),
        IN_SCENE (test_a_stream_of_durable_replies_ends),
        IN_SCENE (test_words_of_a_durable_failure_reach_the_requester),
        IN_SCENE (
            test_a_durable_reply_that_nobody_waits_for_is_dropped_and_counted),
        IN_SCENE (test_a_server_without_room_for_a_reply_leaves_it_to_another),
        IN_SCENE (test_a_message_without_a_requester_can_be_served),
        IN_SCENE (test_a_durable_request_survives_its_server),
        IN_SCENE (test_a_requester_that_died_gets_its_reply_in_its_next_life),
        IN_SCENE (test_a_closed_requesters_reply_is_given_to_who_asks_later),
        IN_SCENE (
            test_a_reply_kept_for_an_earlier_life_is_given_to_who_asks_later),
        IN_SCENE (test_many_replies_to_earlier_lives_hold_nothing_up),
        IN_SCENE (test_a_light_requester_cannot_resume),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
