//  test_core_limits - every table is full some day, and says so
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/engine.h"

#include "base/bytes.h"
#include "support/no_runs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct {
    trn_engine_t *engine;
    unsigned connects, refused, cancelled, accepted, delivered, forgotten, full;
    uint64_t connection;
    uint32_t handle;  //  of the last delivery
} s_self;

static void
s_drain (void)
{
    const trn_action_t *action;
    while ((action = trn_engine_action (s_self.engine))) {
        s_self.connects += action->type == TRN_DO_CONNECT;
        if (action->type == TRN_DO_DELIVER) {
            s_self.delivered++;
            s_self.handle = action->deliver.flow;
        } else if (action->type == TRN_DO_REPORT) {
            s_self.forgotten
                += strcmp (action->report.id, "TERN-PUBLISHER-FORGOTTEN") == 0;
            s_self.full += strcmp (action->report.id, "TERN-TABLE-FULL") == 0;
        } else if (action->type == TRN_DO_REPLY) {
            s_self.refused += action->frame.type == TRN_REFUSE;
            s_self.cancelled += action->frame.type == TRN_CANCEL;
            s_self.accepted += action->frame.type == TRN_ACCEPT;
            if (action->frame.type == TRN_WELCOME) {
                s_self.connection = action->frame.connection;
            }
        }
    }
}

static int
s_set_up (void **state)
{
    (void) state;
    memset (&s_self, 0, sizeof s_self);
    const trn_engine_config_t config
        = {.name = "honest", .incarnation = 1, .random = 1, .seed = 1};
    s_self.engine = trn_engine_new (&config, &test_no_runs);
    trn_engine_on_tick (s_self.engine, 1000);
    return 0;
}

static int
s_tear_down (void **state)
{
    (void) state;
    trn_engine_destroy (&s_self.engine);
    return 0;
}

static void
s_list (unsigned number, int64_t now_ms)
{
    char name[32];
    snprintf (name, sizeof name, "peer-%u", number);
    const char *queue = "jobs";
    trn_engine_on_peer (s_self.engine, name, 1, "tcp://127.0.0.1:1", &queue, 1,
                        now_ms);
    s_drain ();
}

static void
test_links_are_bounded_and_absent_peers_make_room (void **state)
{
    (void) state;
    trn_outbox_id_t outbox;
    assert_int_equal (trn_engine_add_outbox (s_self.engine, "jobs", "jobs", 0,
                                             NULL, true, NULL, 0, &outbox),
                      0);
    for (unsigned number = 0; number < TRN_LINKS_MAX; number++) {
        s_list (number, 1000);
    }
    assert_int_equal (s_self.connects, TRN_LINKS_MAX);
    assert_int_equal (s_self.full, 0);
    s_list (TRN_LINKS_MAX, 1000);
    assert_int_equal (s_self.connects, TRN_LINKS_MAX);
    assert_int_equal (s_self.full, 1);

    //  One says goodbye before it was reached: its place is free.
    trn_engine_on_peer_gone (s_self.engine, "peer-7", 1000);
    trn_engine_on_disconnected (s_self.engine, 8, 1000);
    s_drain ();
    s_list (TRN_LINKS_MAX, 1000);
    assert_int_equal (s_self.connects, TRN_LINKS_MAX + 1);
}

//  Publishing stores --------------------------------------------------------

static void
s_hello (trn_route_t route, uint32_t store)
{
    char name[32];
    snprintf (name, sizeof name, "store-%u", store);
    trn_frame_t hello = {.type = TRN_HELLO};
    hello.hello.version_min = 1;
    hello.hello.version_max = 1;
    hello.hello.who.name = trn_text (name);
    hello.hello.who.incarnation = 1;
    hello.hello.who.frame_max = TRN_FRAME_MAX;
    trn_put_u32 (hello.hello.who.store_uuid, store + 1);
    trn_engine_on_inbound (s_self.engine, route, &hello, 0, 1000 + store);
    s_drain ();
}

static void
s_say (trn_route_t route, trn_frame_t *frame, uint32_t size)
{
    frame->connection = s_self.connection;
    trn_engine_on_inbound (s_self.engine, route, frame, size, 1000);
    s_drain ();
}

static void
s_bye (trn_route_t route)
{
    trn_frame_t bye = {.type = TRN_BYE};
    s_say (route, &bye, 0);
}

static void
s_offer (trn_route_t route, uint32_t flow, const char *outbox)
{
    trn_frame_t offer = {.type = TRN_OFFER};
    offer.offer.flow = flow;
    offer.offer.queue = trn_text ("jobs");
    offer.offer.outbox = trn_text (outbox);
    offer.offer.low = 1;
    s_say (route, &offer, 0);
}

//  One message of this store, delivered; the connection ends.
static void
s_send_one (trn_route_t route, uint32_t store)
{
    s_hello (route, store);
    s_offer (route, 1, "jobs");
    trn_frame_t data = {.type = TRN_DATA};
    data.data.flow = 1;
    data.data.token = 1;
    data.data.low = 1;
    data.data.first_seq = 5;
    data.data.count = 1;
    data.data.deliveries = 1;
    s_say (route, &data, 10);
}

static void
test_connections_are_bounded (void **state)
{
    (void) state;
    for (uint32_t store = 0; store <= TRN_LINKS_MAX; store++) {
        s_hello (store + 1, store);
    }
    assert_int_equal (s_self.refused, 1);
    assert_int_equal (s_self.full, 1);
    trn_engine_stats_t stats;
    trn_engine_stats (s_self.engine, &stats);
    assert_int_equal (stats.routes, TRN_LINKS_MAX);
}

static void
test_stores_are_forgotten_from_the_least_known_on (void **state)
{
    (void) state;
    const trn_consumer_id_t consumer
        = trn_engine_add_consumer (s_self.engine, "jobs", 10, 1000, 1000);

    //  Store 0 has a message in hand, store 1 was settled, the rest said hello.
    s_send_one (1, 0);
    const uint32_t in_hand = s_self.handle;
    s_bye (1);
    s_send_one (2, 1);
    trn_engine_on_settle (s_self.engine, consumer, s_self.handle, 5, 5,
                          TRN_ACCEPTED, 1000);
    s_bye (2);
    uint32_t store = 2;
    for (; store < TRN_STORES_MAX + 10; store++) {
        s_hello (store + 1, store);
        s_bye (store + 1);
    }
    assert_int_equal (s_self.forgotten, 0);

    //  Store 1 is still known: what it settled does not come again.
    s_send_one (TRN_STORES_MAX + 50, 1);
    s_bye (TRN_STORES_MAX + 50);
    assert_int_equal (s_self.delivered, 2);
    trn_engine_on_settle (s_self.engine, consumer, in_hand, 5, 5, TRN_ACCEPTED,
                          1000);
    trn_engine_stats_t stats;
    trn_engine_stats (s_self.engine, &stats);
    assert_int_equal (stats.unknown, 0);
    assert_int_equal (stats.duplicates, 1);
}

static void
test_what_was_settled_is_not_forgotten_in_silence (void **state)
{
    (void) state;
    const trn_consumer_id_t consumer
        = trn_engine_add_consumer (s_self.engine, "jobs", 10, 1000, 1000);
    for (uint32_t store = 0; store <= TRN_STORES_MAX; store++) {
        s_send_one (store + 1, store);
        trn_engine_on_settle (s_self.engine, consumer, s_self.handle, 5, 5,
                              TRN_ACCEPTED, 1000);
        s_bye (store + 1);
    }
    assert_int_equal (s_self.delivered, TRN_STORES_MAX + 1);
    assert_int_equal (s_self.forgotten, 1);
}

static void
test_streams_of_a_store_are_bounded (void **state)
{
    (void) state;
    trn_engine_add_consumer (s_self.engine, "jobs", 10, 1000, 1000);
    s_hello (1, 1);
    for (uint32_t flow = 1; flow <= TRN_STREAMS_MAX + 1; flow++) {
        char outbox[32];
        snprintf (outbox, sizeof outbox, "outbox-%u", flow);
        s_offer (1, flow, outbox);
    }
    assert_int_equal (s_self.accepted, TRN_STREAMS_MAX);
    assert_int_equal (s_self.cancelled, 1);
    assert_int_equal (s_self.full, 1);
}

int
main (void)
{
#define TEST(name) cmocka_unit_test_setup_teardown (name, s_set_up, s_tear_down)
    const struct CMUnitTest tests[] = {
        TEST (test_links_are_bounded_and_absent_peers_make_room),
        TEST (test_connections_are_bounded),
        TEST (test_stores_are_forgotten_from_the_least_known_on),
        TEST (test_what_was_settled_is_not_forgotten_in_silence),
        TEST (test_streams_of_a_store_are_bounded),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
