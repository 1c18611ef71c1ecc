//  test_spec_link - requirements of docs/spec/1-LINK.md against a rude far side
//
//  The far side is the test: it says frames that an honest engine would not,
//  and looks at what is answered.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SAID_MAX 64

//  An engine, and what it did since the last look.
typedef struct {
    trn_engine_t *engine;
    int64_t now_ms;
    struct {
        trn_action_type_t type;
        trn_route_t route;
        trn_link_id_t link;
        trn_frame_t frame;
    } said[SAID_MAX];
    size_t count;
    uint64_t delivered;  //  messages
    uint64_t sent;       //  messages, by DATA
    int runs_out;
    struct {
        uint64_t processed, stored;
    } progress;
} side_t;

static side_t s_side;

static trn_run_answer_t
s_run (void *arg, trn_outbox_id_t outbox, uint64_t seq, uint32_t count_max,
       uint32_t bytes_max, trn_engine_run_t *run)
{
    (void) outbox;
    (void) bytes_max;
    side_t *self = arg;
    self->runs_out++;
    *run = (trn_engine_run_t) {.handle = self,
                               .first_seq = seq,
                               .count = count_max,
                               .size = 48 * count_max};
    return TRN_RUN_READY;
}

static void
s_release (void *arg, void *handle)
{
    (void) handle;
    side_t *self = arg;
    self->runs_out--;
}

static int
s_set_up (void **state)
{
    (void) state;
    memset (&s_side, 0, sizeof s_side);
    s_side.now_ms = 1000;
    const trn_engine_config_t config = {.name = "me",
                                        .store_uuid = {9},
                                        .incarnation = 5,
                                        .random = 7,
                                        .seed = 11};
    const trn_run_source_t source
        = {.run = s_run, .release = s_release, .arg = &s_side};
    s_side.engine = trn_engine_new (&config, &source);
    return 0;
}

static int
s_tear_down (void **state)
{
    (void) state;
    trn_engine_destroy (&s_side.engine);
    assert_int_equal (s_side.runs_out, 0);
    return 0;
}

//  Take everything the engine does now.
static void
s_drain (void)
{
    s_side.count = 0;
    const trn_action_t *action;
    while ((action = trn_engine_action (s_side.engine))) {
        if (action->type == TRN_DO_REPORT) {
            continue;
        }
        if (action->type == TRN_DO_DELIVER) {
            s_side.delivered += action->deliver.to - action->deliver.from + 1;
        } else if (action->type == TRN_DO_SEND_RUN) {
            s_side.sent += action->run.count;
            s_side.runs_out--;
        } else if (action->type == TRN_DO_PROGRESS) {
            s_side.progress.processed = action->processed;
            s_side.progress.stored = action->stored;
        }
        assert_true (s_side.count < SAID_MAX);
        s_side.said[s_side.count].type = action->type;
        s_side.said[s_side.count].route = action->route;
        s_side.said[s_side.count].link = action->link;
        s_side.said[s_side.count++].frame = action->frame;
    }
}

//  The first frame of this type that was said, or NULL.
static const trn_frame_t *
s_said (trn_frame_type_t type)
{
    for (size_t index = 0; index < s_side.count; index++) {
        const trn_action_type_t action = s_side.said[index].type;
        if ((action == TRN_DO_SEND || action == TRN_DO_SEND_RUN
             || action == TRN_DO_REPLY)
            && s_side.said[index].frame.type == type) {
            return &s_side.said[index].frame;
        }
    }
    return NULL;
}

static bool
s_did (trn_action_type_t type)
{
    for (size_t index = 0; index < s_side.count; index++) {
        if (s_side.said[index].type == type) {
            return true;
        }
    }
    return false;
}

//  Let time pass in small steps; what was said last is kept.
static void
s_pass (int64_t ms)
{
    for (const int64_t end_ms = s_side.now_ms + ms; s_side.now_ms < end_ms;) {
        s_side.now_ms += 10;
        trn_engine_on_tick (s_side.engine, s_side.now_ms);
        s_drain ();
        if (s_side.count) {
            return;
        }
    }
}

//  The far side as a publisher ---------------------------------------------

static void
s_hear (trn_route_t route, const trn_frame_t *frame, uint32_t run_size)
{
    trn_engine_on_inbound (s_side.engine, route, frame, run_size,
                           s_side.now_ms);
    s_drain ();
}

static trn_frame_t
s_hello (const char *name, uint8_t uuid, uint64_t incarnation)
{
    trn_frame_t frame = {.type = TRN_HELLO};
    frame.hello.version_min = 1;
    frame.hello.version_max = 1;
    frame.hello.who.name = trn_text (name);
    frame.hello.who.store_uuid[0] = uuid;
    frame.hello.who.incarnation = incarnation;
    frame.hello.who.random = 3;
    frame.hello.who.frame_max = TRN_FRAME_MAX;
    return frame;
}

//  Open a connection; returns its number.
static uint64_t
s_open (trn_route_t route, const char *name, uint8_t uuid, uint64_t incarnation)
{
    const trn_frame_t hello = s_hello (name, uuid, incarnation);
    s_hear (route, &hello, 0);
    const trn_frame_t *welcome = s_said (TRN_WELCOME);
    assert_non_null (welcome);
    assert_true (welcome->connection != 0);
    return welcome->connection;
}

static trn_consumer_id_t
s_consume (const char *queue)
{
    return trn_engine_add_consumer (s_side.engine, queue, 10, 65536,
                                    s_side.now_ms);
}

static trn_frame_t
s_offer (uint64_t connection, uint32_t flow, const char *queue)
{
    return (trn_frame_t) {.type = TRN_OFFER,
                          .connection = connection,
                          .offer = {.flow = flow,
                                    .queue = trn_text (queue),
                                    .outbox = trn_text (queue),
                                    .low = 1,
                                    .high = 100}};
}

static void
s_hear_offer (trn_route_t route, uint64_t connection, uint32_t flow,
              const char *queue)
{
    const trn_frame_t frame = s_offer (connection, flow, queue);
    s_hear (route, &frame, 0);
}

//  Open a connection that offers a queue; returns its number.
static uint64_t
s_open_with_offer (const char *queue)
{
    const uint64_t connection = s_open (1, "far", 1, 1);
    s_hear_offer (1, connection, 1, queue);
    return connection;
}

//  A run of the first flow, under a token of its own.
static trn_frame_t
s_data (uint64_t connection, uint64_t first, uint32_t count)
{
    return (trn_frame_t) {.type = TRN_DATA,
                          .connection = connection,
                          .data = {.flow = 1,
                                   .token = first,
                                   .low = 1,
                                   .offset = 128,
                                   .first_seq = first,
                                   .count = count,
                                   .deliveries = 1}};
}

static void
s_hear_data (trn_route_t route, uint64_t connection, uint64_t first,
             uint32_t count)
{
    const trn_frame_t frame = s_data (connection, first, count);
    s_hear (route, &frame, 48 * count);
}

//  T-10
static void
a_connection_begins_with_hello_and_a_common_version (void **state)
{
    (void) state;
    s_hear_offer (1, 77, 1, "jobs");
    assert_int_equal (s_side.count, 0);
    trn_frame_t hello = s_hello ("far", 1, 1);
    hello.hello.version_min = 2;
    hello.hello.version_max = 3;
    s_hear (1, &hello, 0);
    assert_non_null (s_said (TRN_REFUSE));
    assert_int_equal (s_said (TRN_REFUSE)->refuse.reason, TRN_REFUSE_VERSION);
    assert_true (s_did (TRN_DO_DROP_ROUTE));
    assert_null (s_said (TRN_WELCOME));

    //  Of several, the highest that both speak.
    hello.hello.version_min = 1;
    hello.hello.version_max = 9;
    s_hear (2, &hello, 0);
    assert_non_null (s_said (TRN_WELCOME));
    assert_int_equal (s_said (TRN_WELCOME)->welcome.version, 1);
}

//  T-11
static void
a_frame_of_another_connection_is_dropped_and_counted (void **state)
{
    (void) state;
    const uint64_t connection = s_open (1, "far", 1, 1);
    trn_frame_t ping = {.type = TRN_PING, .connection = connection + 1};
    s_hear (1, &ping, 0);
    assert_int_equal (s_side.count, 0);
    trn_engine_stats_t stats;
    trn_engine_stats (s_side.engine, &stats);
    assert_int_equal (stats.late, 1);
    ping.connection = connection;
    s_hear (1, &ping, 0);
    assert_non_null (s_said (TRN_PONG));

    //  The next connection has another number.
    assert_true (s_open (2, "far", 1, 2) != connection);
}

//  T-13
static void
my_name_and_the_name_of_a_known_store_are_taken (void **state)
{
    (void) state;
    trn_frame_t hello = s_hello ("me", 1, 1);
    s_hear (1, &hello, 0);
    assert_non_null (s_said (TRN_REFUSE));
    assert_int_equal (s_said (TRN_REFUSE)->refuse.reason, TRN_REFUSE_NAME);

    (void) s_open (2, "far", 1, 1);
    hello = s_hello ("other", 1, 2);
    s_hear (3, &hello, 0);
    assert_non_null (s_said (TRN_REFUSE));
    assert_int_equal (s_said (TRN_REFUSE)->refuse.reason, TRN_REFUSE_NAME);
}

//  T-14
static void
one_store_has_one_connection_and_the_later_one_counts (void **state)
{
    (void) state;
    const uint64_t first = s_open (1, "far", 1, 1);
    (void) s_open (2, "far", 1, 1);
    assert_true (s_did (TRN_DO_DROP_ROUTE));
    const trn_frame_t ping = {.type = TRN_PING, .connection = first};
    s_hear (1, &ping, 0);
    assert_null (s_said (TRN_PONG));
    trn_engine_stats_t stats;
    trn_engine_stats (s_side.engine, &stats);
    assert_int_equal (stats.routes, 1);
}

//  T-18
static void
a_queue_that_nobody_consumes_is_cancelled (void **state)
{
    (void) state;
    const uint64_t connection = s_open_with_offer ("jobs");
    assert_non_null (s_said (TRN_CANCEL));
    assert_int_equal (s_said (TRN_CANCEL)->cancel.flow, 1);
    assert_null (s_said (TRN_ACCEPT));
    s_consume ("jobs");
    s_hear_offer (1, connection, 2, "jobs");
    assert_non_null (s_said (TRN_ACCEPT));
    assert_non_null (s_said (TRN_CREDIT));
}

static void
s_hear_queue (uint64_t connection, uint32_t flow, uint32_t number, uint64_t low)
{
    trn_frame_t frame = s_offer (connection, flow, "jobs");
    frame.offer.outbox = trn_text ("#events");
    frame.offer.low = low;
    frame.offer.number = number;
    s_hear (1, &frame, 0);
}

static void
s_hear_end (uint64_t connection, uint32_t flow)
{
    const trn_frame_t frame = {
        .type = TRN_RETIRE, .connection = connection, .retire = {.flow = flow}};
    s_hear (1, &frame, 0);
}

//  T-191
static void
a_higher_number_is_another_queue_and_a_lower_one_an_older_state (void **state)
{
    (void) state;
    const trn_consumer_id_t jobs = s_consume ("jobs");
    const uint64_t connection = s_open (1, "far", 1, 1);
    s_hear_queue (connection, 1, 3, 1);
    s_hear_data (1, connection, 1, 5);
    trn_engine_on_settle (s_side.engine, jobs, 1, 1, 4, TRN_ACCEPTED,
                          s_side.now_ms);
    s_hear_end (connection, 1);

    //  Of the next one nothing is settled here, and it may begin anywhere.
    s_hear_queue (connection, 2, 3, 5);
    s_hear_end (connection, 2);
    s_hear_queue (connection, 3, 4, 1);
    assert_non_null (s_said (TRN_ACCEPT));
    assert_int_equal (s_said (TRN_ACCEPT)->accept.range_count, 0);
    s_hear_end (connection, 3);

    //  Who does not tell the number says nothing by that.
    s_hear_queue (connection, 4, 0, 1);
    assert_non_null (s_said (TRN_ACCEPT));
    s_hear_end (connection, 4);
    s_hear_queue (connection, 5, 3, 5);
    assert_null (s_said (TRN_ACCEPT));
    assert_int_equal (s_said (TRN_REFUSE)->refuse.reason, TRN_REFUSE_FENCED);
}

//  What the application is told with a run that begins at first, of `lost`
//  messages.
static uint64_t
s_told_with (uint64_t connection, uint64_t first, uint64_t lost)
{
    trn_frame_t frame = s_data (connection, first, 1);
    frame.data.missed = lost;
    trn_engine_on_inbound (s_side.engine, 1, &frame, 48, s_side.now_ms);
    uint64_t told = UINT64_MAX;
    const trn_action_t *action;
    while ((action = trn_engine_action (s_side.engine))) {
        if (action->type == TRN_DO_DELIVER) {
            told = action->deliver.missed;
        }
    }
    return told;
}

//  T-49
static void
what_was_told_with_a_message_that_goes_back_is_told_again (void **state)
{
    (void) state;
    const trn_consumer_id_t jobs = s_consume ("jobs");
    const uint64_t connection = s_open_with_offer ("jobs");
    assert_int_equal (s_told_with (connection, 51, 42), 42);
    trn_engine_on_settle (s_side.engine, jobs, 1, 51, 51, TRN_REQUEUED,
                          s_side.now_ms);
    assert_int_equal (s_told_with (connection, 61, 50), 50);
    trn_engine_on_settle (s_side.engine, jobs, 1, 61, 61, TRN_ACCEPTED,
                          s_side.now_ms);
    assert_int_equal (s_told_with (connection, 62, 60), 10);
}

//  T-189
static void
what_is_stored_is_told_to_whoever_wants_it (void **state)
{
    (void) state;
    const trn_consumer_id_t keeper = s_consume ("jobs");
    trn_engine_keep_consumer (s_side.engine, keeper);
    for (unsigned wants = 0; wants < 2; wants++) {
        trn_frame_t hello
            = s_hello (wants ? "new" : "old", (uint8_t) (1 + wants), 1);
        hello.hello.who.features = wants ? TRN_FEATURE_STORED : 0;
        const trn_route_t route = 1 + wants;
        s_hear (route, &hello, 0);
        const uint64_t connection = s_said (TRN_WELCOME)->connection;
        s_hear_offer (route, connection, 1, "jobs");
        assert_int_equal (s_said (TRN_ACCEPT)->accept.flags,
                          wants ? TRN_ACCEPT_STORES : 0);
        s_hear_data (route, connection, 1, 3);
        trn_engine_on_stored (s_side.engine, keeper, 1 + wants, 1, 2,
                              s_side.now_ms);
        s_drain ();
        const trn_frame_t *said = s_said (TRN_SETTLE);
        assert_true ((said != NULL) == (wants != 0));
        if (said) {
            assert_int_equal (said->settle.count, 1);
            assert_int_equal (said->settle.entries[0].outcome, TRN_STORED);
            assert_int_equal (said->settle.entries[0].from, 1);
            assert_int_equal (said->settle.entries[0].to, 2);
        }
        assert_true (trn_engine_leased (s_side.engine, keeper, 1 + wants, 2));
        trn_engine_on_settle (s_side.engine, keeper, 1 + wants, 1, 3,
                              TRN_ACCEPTED, s_side.now_ms);
        s_drain ();
        assert_non_null (s_said (TRN_SETTLE));
        const trn_frame_t bye = {.type = TRN_BYE, .connection = connection};
        s_hear (route, &bye, 0);
    }
}

//  T-189, T-32
static void
a_new_lease_is_told_what_is_stored (void **state)
{
    (void) state;
    const trn_consumer_id_t keeper = s_consume ("jobs");
    trn_engine_keep_consumer (s_side.engine, keeper);
    trn_frame_t hello = s_hello ("far", 1, 1);
    hello.hello.who.features = TRN_FEATURE_STORED;
    for (trn_route_t route = 1; route <= 2; route++) {
        s_hear (route, &hello, 0);
        const uint64_t connection = s_said (TRN_WELCOME)->connection;
        s_hear_offer (route, connection, 1, "jobs");
        s_hear_data (route, connection, 1, 3);
        if (route == 1) {
            trn_engine_on_stored (s_side.engine, keeper, 1, 1, 3,
                                  s_side.now_ms);
            s_drain ();
        }
        assert_non_null (s_said (TRN_SETTLE));
        assert_int_equal (s_said (TRN_SETTLE)->settle.entries[0].outcome,
                          TRN_STORED);
        assert_int_equal (s_said (TRN_SETTLE)->settle.entries[0].to, 3);
    }
    assert_int_equal (s_side.delivered, 3);
}

//  T-190
static void
an_inbox_is_nobody_elses (void **state)
{
    (void) state;
    s_consume ("+jobs");
    s_open_with_offer ("+jobs");
    assert_non_null (s_said (TRN_CANCEL));
    trn_frame_t mine = s_hello ("me", 9, 5);
    mine.hello.who.random = 7;
    s_hear (2, &mine, 0);
    s_hear_offer (2, s_said (TRN_WELCOME)->connection, 1, "+jobs");
    assert_non_null (s_said (TRN_ACCEPT));
}

//  T-50, T-55
static void
who_sends_beyond_credit_loses_the_connection (void **state)
{
    (void) state;
    s_consume ("jobs");
    const uint64_t connection = s_open_with_offer ("jobs");
    assert_non_null (s_said (TRN_CREDIT));
    assert_int_equal (s_said (TRN_CREDIT)->credit.messages, 10);
    s_hear_data (1, connection, 1, 10);
    assert_int_equal (s_side.delivered, 10);
    s_hear_data (1, connection, 11, 1);
    assert_int_equal (s_side.delivered, 10);
    assert_non_null (s_said (TRN_BYE));
    assert_true (s_did (TRN_DO_DROP_ROUTE));
}

//  T-86
static void
a_damaged_run_ends_the_connection_undelivered (void **state)
{
    (void) state;
    s_consume ("jobs");
    s_open_with_offer ("jobs");
    trn_engine_on_garbage (s_side.engine, 1, true, s_side.now_ms);
    s_drain ();
    assert_non_null (s_said (TRN_BYE));
    assert_true (s_did (TRN_DO_DROP_ROUTE));
    assert_int_equal (s_side.delivered, 0);
}

//  T-85
static void
a_frame_that_only_a_consumer_says_ends_an_incoming_connection (void **state)
{
    (void) state;
    const trn_frame_type_t wrong[] = {TRN_WELCOME, TRN_REFUSE, TRN_ACCEPT,
                                      TRN_CREDIT,  TRN_SETTLE, TRN_CANCEL};
    for (size_t index = 0; index < 6; index++) {
        const trn_route_t route = 1 + index;
        trn_frame_t frame = {.type = wrong[index]};
        frame.connection = s_open (route, "far", 1, 1 + index);
        s_hear (route, &frame, 0);
        assert_non_null (s_said (TRN_BYE));
        assert_true (s_did (TRN_DO_DROP_ROUTE));
    }
}

//  The far side as a consumer ----------------------------------------------

//  An outbox with messages, and a far side that consumes its queue.
static void
s_publish (uint64_t count)
{
    const trn_ranges_t gaps = {0};
    trn_outbox_id_t outbox = 0;
    assert_int_equal (trn_engine_add_outbox (s_side.engine, "jobs", "jobs", 0,
                                             &gaps, true, NULL, 0, &outbox),
                      0);
    const char *const queues[] = {"jobs"};
    trn_engine_on_appended (s_side.engine, outbox, count, s_side.now_ms);
    trn_engine_on_peer (s_side.engine, "far", 1, "tcp://h:1", queues, 1,
                        s_side.now_ms);
    s_drain ();
    assert_true (s_did (TRN_DO_CONNECT));
    assert_non_null (s_said (TRN_HELLO));
}

static void
s_answer (const trn_frame_t *frame)
{
    trn_engine_on_frame (s_side.engine, 1, frame, s_side.now_ms);
    s_drain ();
}

static void
s_answer_welcome (void)
{
    trn_frame_t frame = {.type = TRN_WELCOME, .connection = 42};
    frame.welcome.version = 1;
    frame.welcome.who = s_hello ("far", 1, 1).hello.who;
    s_answer (&frame);
}

static void
s_answer_accept (uint32_t flags)
{
    const trn_frame_t frame = {.type = TRN_ACCEPT,
                               .connection = 42,
                               .accept = {.flow = 1, .flags = flags}};
    s_answer (&frame);
}

static void
s_answer_credit (uint32_t flow, uint64_t messages)
{
    const trn_frame_t frame
        = {.type = TRN_CREDIT,
           .connection = 42,
           .credit = {.flow = flow, .messages = messages, .bytes = 1 << 20}};
    s_answer (&frame);
}

//  T-50, T-54
static void
credit_is_a_limit_that_may_fall (void **state)
{
    (void) state;
    s_publish (100);
    s_answer_welcome ();
    assert_non_null (s_said (TRN_OFFER));
    s_answer_accept (0);
    assert_int_equal (s_side.sent, 0);
    s_answer_credit (1, 10);
    assert_int_equal (s_side.sent, 10);
    s_answer_credit (1, 10);
    assert_int_equal (s_side.sent, 10);
    s_answer_credit (1, 4);
    assert_int_equal (s_side.sent, 10);
    s_answer_credit (1, 12);
    assert_int_equal (s_side.sent, 12);

    //  Frames of the flow go before the answer to a PING that came later.
    const trn_frame_t ping = {.type = TRN_PING, .connection = 42};
    s_answer (&ping);
    assert_non_null (s_said (TRN_PONG));
}

//  Of seqs from..to under the lease of a token.
static void
s_answer_settle (uint64_t token, trn_outcome_t outcome, uint64_t from,
                 uint64_t to)
{
    trn_frame_t frame = {.type = TRN_SETTLE, .connection = 42};
    frame.settle.flow = 1;
    frame.settle.count = 1;
    frame.settle.entries[0] = (trn_settle_t) {token, outcome, from, to};
    s_answer (&frame);
}

//  T-189
static void
what_is_stored_is_neither_settled_nor_released (void **state)
{
    (void) state;
    s_publish (10);
    s_answer_welcome ();
    assert_false (trn_engine_stores (s_side.engine, 1));
    s_answer_accept (TRN_ACCEPT_STORES);
    assert_true (trn_engine_stores (s_side.engine, 1));
    s_answer_credit (1, 6);
    const uint64_t token = s_said (TRN_DATA)->data.token;

    //  Only what is leased, whatever they say.
    s_answer_settle (token, TRN_STORED, 2, 100);
    assert_false (trn_engine_stored (s_side.engine, 1, 1));
    assert_true (trn_engine_stored (s_side.engine, 1, 2));
    assert_true (trn_engine_stored (s_side.engine, 1, 6));
    assert_false (trn_engine_stored (s_side.engine, 1, 7));
    assert_false (trn_engine_settled (s_side.engine, 1, 2));
    assert_false (s_did (TRN_DO_PROGRESS));

    //  All up to six now, but nothing is settled.
    s_answer_settle (token, TRN_ACCEPTED, 3, 3);
    s_answer_settle (token, TRN_STORED, 1, 1);
    assert_int_equal (s_side.progress.stored, 6);
    assert_int_equal (s_side.progress.processed, 0);
    trn_engine_outbox_stats_t stats;
    trn_engine_outbox_stats (s_side.engine, 1, &stats);
    assert_int_equal (stats.in_flight, 5);
    assert_int_equal (stats.stale, 0);

    //  Of another lease nothing is believed; what was said stays said.
    s_answer_settle (token + 1, TRN_STORED, 7, 7);
    assert_false (trn_engine_stored (s_side.engine, 1, 7));
    s_answer_settle (token, TRN_REQUEUED, 1, 6);
    assert_true (trn_engine_stored (s_side.engine, 1, 1));
    assert_int_equal (s_side.progress.stored, 6);
    assert_int_equal (s_side.progress.processed, 0);
}

//  T-18
static void
what_was_cancelled_is_offered_again_as_another_flow (void **state)
{
    (void) state;
    s_publish (1);
    s_answer_welcome ();
    assert_int_equal (s_said (TRN_OFFER)->offer.flow, 1);
    const trn_frame_t cancel
        = {.type = TRN_CANCEL, .connection = 42, .cancel = {.flow = 1}};
    s_answer (&cancel);
    for (int step = 0; step < 100 && !s_said (TRN_OFFER); step++) {
        //  Signs of life, so that nothing else happens.
        const trn_frame_t pong = {.type = TRN_PONG, .connection = 42};
        s_answer (&pong);
        s_pass (100);
    }
    assert_non_null (s_said (TRN_OFFER));
    assert_int_equal (s_said (TRN_OFFER)->offer.flow, 2);
}

//  T-85
static void
a_frame_that_only_a_publisher_says_ends_an_outgoing_link (void **state)
{
    (void) state;
    const trn_frame_type_t wrong[]
        = {TRN_OFFER, TRN_DATA, TRN_FLOOR, TRN_RETIRE, TRN_WELCOME};
    s_publish (1);
    for (size_t index = 0; index < 5; index++) {
        s_answer_welcome ();
        const trn_frame_t frame = {.type = wrong[index], .connection = 42};
        s_answer (&frame);
        assert_non_null (s_said (TRN_BYE));
        assert_true (s_did (TRN_DO_DISCONNECT));
        for (int step = 0; step < 400 && !s_did (TRN_DO_CONNECT); step++) {
            s_pass (100);
        }
        assert_true (s_did (TRN_DO_CONNECT));
    }
}

//  How long until the next attempt, after failing now.
static int64_t
s_wait_after (bool refused)
{
    if (refused) {
        const trn_frame_t refuse = {
            .type = TRN_REFUSE,
            .refuse = {.reason = TRN_REFUSE_FULL, .text = trn_text ("full")}};
        s_answer (&refuse);
    } else {
        trn_engine_on_disconnected (s_side.engine, 1, s_side.now_ms);
        s_drain ();
    }
    assert_true (s_did (TRN_DO_DISCONNECT));
    const int64_t from_ms = s_side.now_ms;
    while (!s_did (TRN_DO_CONNECT)) {
        s_pass (100);
        assert_true (s_side.now_ms - from_ms < 40000);
    }
    return s_side.now_ms - from_ms;
}

//  T-84
static void
attempts_wait_at_random_below_a_ceiling_that_doubles (void **state)
{
    (void) state;
    s_publish (1);
    int64_t sum_ms = 0;
    for (int attempt = 0; attempt < 12; attempt++) {
        const int64_t grown_ms = INT64_C (50) << attempt;
        const int64_t ceiling_ms = grown_ms < 30000 ? grown_ms : 30000;
        const int64_t wait_ms = s_wait_after (false);
        assert_in_range (wait_ms, 1, ceiling_ms + 10);
        sum_ms += wait_ms;
    }
    assert_true (sum_ms > 5000);

    //  A refusal is not asked again soon.
    sum_ms = 0;
    for (int attempt = 0; attempt < 8; attempt++) {
        const int64_t wait_ms = s_wait_after (true);
        assert_in_range (wait_ms, 1, 30010);
        sum_ms += wait_ms;
    }
    assert_true (sum_ms > 30000);
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, s_set_up, s_tear_down)

int
main (void)
{
    const struct CMUnitTest tests[] = {
        TEST (a_connection_begins_with_hello_and_a_common_version),
        TEST (a_frame_of_another_connection_is_dropped_and_counted),
        TEST (my_name_and_the_name_of_a_known_store_are_taken),
        TEST (one_store_has_one_connection_and_the_later_one_counts),
        TEST (a_queue_that_nobody_consumes_is_cancelled),
        TEST (what_was_told_with_a_message_that_goes_back_is_told_again),
        TEST (a_higher_number_is_another_queue_and_a_lower_one_an_older_state),
        TEST (what_is_stored_is_told_to_whoever_wants_it),
        TEST (a_new_lease_is_told_what_is_stored),
        TEST (an_inbox_is_nobody_elses),
        TEST (what_is_stored_is_neither_settled_nor_released),
        TEST (who_sends_beyond_credit_loses_the_connection),
        TEST (a_damaged_run_ends_the_connection_undelivered),
        TEST (a_frame_that_only_a_consumer_says_ends_an_incoming_connection),
        TEST (credit_is_a_limit_that_may_fall),
        TEST (what_was_cancelled_is_offered_again_as_another_flow),
        TEST (a_frame_that_only_a_publisher_says_ends_an_outgoing_link),
        TEST (attempts_wait_at_random_below_a_ceiling_that_doubles),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name ("spec/link", tests, NULL, NULL);
}
