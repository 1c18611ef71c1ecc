//  test_core_hostile - whatever a peer says, nothing breaks and nothing grows
//
//  One honest engine; the test is the far side and says what it likes.
//
//  SPDX-License-Identifier: MPL-2.0

#include "support/core_world.h"

#include "base/bytes.h"
#include "core/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ROUTE 77u

typedef struct {
    trn_engine_t *engine;
    trn_consumer_id_t consumer;
    trn_outbox_id_t outbox;
    trn_link_id_t link;
    uint64_t connection;  //  of the inbound link
    uint64_t token;       //  of the last DATA that went out
    uint64_t task;        //  the last call taken in
    uint32_t flow;        //  of the last OFFER that went out
    uint32_t handle;      //  of the last delivery
    unsigned delivered, sent, settles, ends, reports, runs;
    trn_frame_t last;  //  last frame that came back
} s_case_t;

static trn_run_answer_t
s_run (void *arg, trn_outbox_id_t outbox, uint64_t seq, uint32_t count_max,
       uint32_t bytes_max, trn_engine_run_t *run)
{
    s_case_t *self = arg;
    (void) outbox;
    (void) bytes_max;
    self->runs++;
    *run = (trn_engine_run_t) {
        .first_seq = seq, .count = count_max, .size = count_max * 100};
    return TRN_RUN_READY;
}

static void
s_release (void *arg, void *handle)
{
    s_case_t *self = arg;
    (void) handle;
    self->runs--;
}

static void
s_drain (s_case_t *self)
{
    const trn_action_t *action;
    while ((action = trn_engine_action (self->engine))) {
        switch (action->type) {
        case TRN_DO_CONNECT: self->link = action->link; break;
        case TRN_DO_SEND_RUN: self->runs--;  //  fall through
        case TRN_DO_SEND:
        case TRN_DO_REPLY:
            self->sent++;
            self->last = action->frame;
            if (action->frame.type == TRN_WELCOME) {
                self->connection = action->frame.connection;
            } else if (action->frame.type == TRN_DATA) {
                self->token = action->frame.data.token;
            } else if (action->frame.type == TRN_OFFER) {
                self->flow = action->frame.offer.flow;
            }
            self->settles += action->frame.type == TRN_SETTLE;
            break;
        case TRN_DO_DISCONNECT:
        case TRN_DO_DROP_ROUTE: self->ends++; break;
        case TRN_DO_DELIVER:
            self->delivered++;
            self->handle = action->deliver.flow;
            break;
        case TRN_DO_REPORT: self->reports++; break;
        case TRN_DO_SERVE: self->task = action->call.number; break;
        case TRN_DO_CALL:
        case TRN_DO_ANSWER:
            self->sent++;
            self->last = action->frame;
            break;
        case TRN_DO_ANSWERED:
        case TRN_DO_CALL_OVER:
        case TRN_DO_TASK_ROOM:
        case TRN_DO_TASK_GONE:
        case TRN_DO_SAVE:
        case TRN_DO_BURY:
        case TRN_DO_PROGRESS: break;
        }
    }
}

static void
s_inbound (s_case_t *self, trn_frame_t *frame, uint32_t size)
{
    frame->connection = frame->type == TRN_HELLO ? 0 : self->connection;
    trn_engine_on_inbound (self->engine, ROUTE, frame, size, 1000);
    s_drain (self);
}

static void
s_outbound (s_case_t *self, trn_frame_t *frame)
{
    frame->connection = frame->type == TRN_REFUSE ? 0 : 5;
    trn_engine_on_frame (self->engine, self->link, frame, 1000);
    s_drain (self);
}

static trn_identity_t
s_identity (const char *name)
{
    trn_identity_t who = {.name = trn_text (name),
                          .incarnation = 3,
                          .random = 9,
                          .frame_max = TRN_FRAME_MAX};
    memset (who.store_uuid, name[0], 16);
    return who;
}

static void
s_greet (s_case_t *self, uint16_t store)
{
    trn_frame_t hello = {.type = TRN_HELLO};
    hello.hello.version_min = 1;
    hello.hello.version_max = 1;
    hello.hello.who = s_identity ("stranger");
    trn_put_u16 (hello.hello.who.store_uuid, store);
    s_inbound (self, &hello, 0);
}

static void
s_offer (s_case_t *self, uint32_t flow)
{
    trn_frame_t offer = {.type = TRN_OFFER};
    offer.offer.flow = flow;
    offer.offer.queue = trn_text ("jobs");
    offer.offer.outbox = trn_text ("jobs");
    offer.offer.low = 1;
    s_inbound (self, &offer, 0);
}

static trn_frame_t
s_data (uint32_t flow, uint64_t first_seq, uint32_t count)
{
    trn_frame_t data = {.type = TRN_DATA};
    data.data.flow = flow;
    data.data.token = 1;
    data.data.low = 1;
    data.data.first_seq = first_seq;
    data.data.count = count;
    data.data.deliveries = 1;
    return data;
}

//  An engine that publishes to and consumes jobs; a consumer "victim" of it and
//  a publisher "stranger" to it are the test.
static int
s_set_up (void **state)
{
    static s_case_t self;
    self = (s_case_t) {0};
    const trn_engine_config_t config
        = {.name = "honest", .incarnation = 1, .random = 1, .seed = 1};
    const trn_run_source_t source = {s_run, s_release, &self};
    self.engine = trn_engine_new (&config, &source);
    trn_engine_on_tick (self.engine, 1000);
    self.consumer
        = trn_engine_add_consumer (self.engine, "jobs", 10, 1000, 1000);
    int rc = trn_engine_add_outbox (self.engine, "jobs", "jobs", 0, NULL, true,
                                    NULL, 0, &self.outbox);
    assert_int_equal (rc, 0);
    const char *queue = "jobs";
    trn_engine_on_peer (self.engine, "victim", 1, "tcp://127.0.0.1:1", &queue,
                        1, 1000);
    s_drain (&self);
    s_greet (&self, 0);
    s_offer (&self, 1);
    *state = &self;
    return 0;
}

static int
s_tear_down (void **state)
{
    s_case_t *self = *state;
    trn_engine_destroy (&self->engine);
    assert_int_equal (self->runs, 0);
    return 0;
}

//  Open the outgoing link, with credit, and have three messages sent over it.
static void
s_welcome (s_case_t *self)
{
    trn_frame_t frame = {.type = TRN_WELCOME};
    frame.welcome.version = 1;
    frame.welcome.who = s_identity ("victim");
    s_outbound (self, &frame);
    frame = (trn_frame_t) {.type = TRN_ACCEPT};
    frame.accept.flow = self->flow;
    s_outbound (self, &frame);
    frame = (trn_frame_t) {.type = TRN_CREDIT};
    frame.credit.flow = self->flow;
    frame.credit.messages = 1000;
    frame.credit.bytes = 1000000;
    s_outbound (self, &frame);
    trn_engine_on_appended (self->engine, self->outbox, 3, 1000);
    s_drain (self);
    assert_int_equal (self->last.type, TRN_DATA);
}

static trn_engine_outbox_stats_t
s_stats (const s_case_t *self)
{
    trn_engine_outbox_stats_t stats;
    trn_engine_outbox_stats (self->engine, self->outbox, &stats);
    return stats;
}

static void
s_settle (s_case_t *self, uint64_t token, uint64_t from, uint64_t to)
{
    trn_frame_t frame = {.type = TRN_SETTLE};
    frame.settle.flow = self->flow;
    frame.settle.count = 1;
    frame.settle.entries[0] = (trn_settle_t) {token, TRN_ACCEPTED, from, to};
    s_outbound (self, &frame);
}

static void
test_a_foreign_token_settles_nothing (void **state)
{
    s_case_t *self = *state;
    s_welcome (self);
    s_settle (self, self->token + 1, 1, 3);
    s_settle (self, 0, 1, TRN_SEQ_MAX);
    assert_int_equal (s_stats (self).consumed, 0);
    assert_int_equal (s_stats (self).in_flight, 3);
    assert_int_equal (s_stats (self).stale, 3 + TRN_RUN_COUNT);
    s_settle (self, self->token, 1, TRN_SEQ_MAX);
    assert_int_equal (s_stats (self).consumed, 3);
    assert_int_equal (s_stats (self).low, 4);
}

static void
test_settling_the_middle_leaves_the_rest (void **state)
{
    s_case_t *self = *state;
    s_welcome (self);
    s_settle (self, self->token, 2, 2);
    assert_int_equal (s_stats (self).consumed, 1);
    assert_int_equal (s_stats (self).low, 1);
    s_settle (self, self->token, 2, 2);
    assert_int_equal (s_stats (self).consumed, 1);
}

static void
test_a_late_frame_of_another_connection_is_dropped (void **state)
{
    s_case_t *self = *state;
    trn_frame_t data = s_data (1, 1, 1);
    data.connection = self->connection + 1;
    trn_engine_on_inbound (self->engine, ROUTE, &data, 100, 1000);
    s_drain (self);
    assert_int_equal (self->delivered, 0);
    trn_engine_stats_t stats;
    trn_engine_stats (self->engine, &stats);
    assert_int_equal (stats.late, 1);
    assert_int_equal (stats.routes, 1);
}

static void
test_more_than_was_granted_ends_the_link (void **state)
{
    s_case_t *self = *state;
    trn_frame_t data = s_data (1, 1, 11);
    s_inbound (self, &data, 11 * 8);
    assert_int_equal (self->delivered, 0);
    assert_int_equal (self->ends, 1);
}

static void
test_more_bytes_than_were_granted_end_the_link (void **state)
{
    s_case_t *self = *state;
    trn_frame_t data = s_data (1, 1, 2);
    s_inbound (self, &data, 100000);
    assert_int_equal (self->ends, 1);
}

static void
test_one_large_record_is_let_in_and_the_next_is_not (void **state)
{
    s_case_t *self = *state;
    trn_frame_t data = s_data (1, 1, 1);
    s_inbound (self, &data, 100000);
    assert_int_equal (self->delivered, 1);
    data = s_data (1, 2, 1);
    s_inbound (self, &data, 8);
    assert_int_equal (self->ends, 1);
}

static void
test_data_below_its_own_floor_ends_the_link (void **state)
{
    s_case_t *self = *state;
    trn_frame_t data = s_data (1, 5, 1);
    data.data.low = 6;
    s_inbound (self, &data, 100);
    assert_int_equal (self->ends, 1);
}

static void
test_a_broken_promise_is_reported_and_ends_the_link (void **state)
{
    s_case_t *self = *state;
    trn_frame_t frame = {.type = TRN_FLOOR};
    frame.floor.flow = 1;
    frame.floor.low = 1;
    frame.floor.range_count = 1;
    frame.floor.ranges[0] = (trn_range_t) {4, 8};
    s_inbound (self, &frame, 0);
    const unsigned reports = self->reports;
    frame = s_data (1, 3, 3);
    s_inbound (self, &frame, 300);
    assert_int_equal (self->delivered, 0);
    assert_int_equal (self->ends, 1);
    assert_true (self->reports > reports);
    assert_int_equal (self->last.type, TRN_REFUSE);
}

static void
test_frames_of_the_wrong_side_end_the_link (void **state)
{
    s_case_t *self = *state;
    trn_frame_t frame = {.type = TRN_SETTLE};
    s_inbound (self, &frame, 0);
    assert_int_equal (self->ends, 1);
}

static void
test_a_damaged_run_ends_the_link_and_a_damaged_frame_does_not (void **state)
{
    s_case_t *self = *state;
    trn_engine_on_garbage (self->engine, ROUTE, false, 1000);
    trn_engine_on_garbage (self->engine, 0, false, 1000);
    s_drain (self);
    assert_int_equal (self->ends, 0);
    trn_engine_on_garbage (self->engine, ROUTE, true, 1000);
    s_drain (self);
    assert_int_equal (self->ends, 1);
}

static void
test_my_store_under_another_number_is_a_clone (void **state)
{
    s_case_t *self = *state;
    trn_frame_t hello = {.type = TRN_HELLO};
    hello.hello.version_min = 1;
    hello.hello.version_max = 9;
    hello.hello.who = s_identity ("honest");
    memset (hello.hello.who.store_uuid, 0, 16);
    hello.hello.who.incarnation = 1;
    hello.hello.who.random = 2;
    trn_engine_on_inbound (self->engine, 78, &hello, 0, 1000);
    s_drain (self);
    assert_int_equal (self->last.type, TRN_REFUSE);
    assert_int_equal (self->last.refuse.reason, TRN_REFUSE_FENCED);
    hello.hello.who.store_uuid[0] = 1;
    trn_engine_on_inbound (self->engine, 79, &hello, 0, 1000);
    s_drain (self);
    assert_int_equal (self->last.refuse.reason, TRN_REFUSE_NAME);
    hello.hello.version_min = 2;
    trn_engine_on_inbound (self->engine, 80, &hello, 0, 1000);
    s_drain (self);
    assert_int_equal (self->last.refuse.reason, TRN_REFUSE_VERSION);
}

static void
test_another_peer_at_the_endpoint_is_not_spoken_to (void **state)
{
    s_case_t *self = *state;
    trn_frame_t frame = {.type = TRN_WELCOME};
    frame.welcome.version = 1;
    frame.welcome.who = s_identity ("somebody");
    s_outbound (self, &frame);
    assert_int_equal (self->ends, 1);
    assert_int_equal (self->flow, 0);
}

//  Any frame ----------------------------------------------------------------

static uint64_t
s_number (trn_rng_t *rng)
{
    switch (trn_rng_below (rng, 4)) {
    case 0: return trn_rng_below (rng, 4);
    case 1: return trn_rng_below (rng, 40);
    case 2: return TRN_SEQ_MAX - trn_rng_below (rng, 3);
    default: return trn_rng_next (rng) >> (1 + trn_rng_below (rng, 63));
    }
}

static uint32_t
s_ranges (trn_rng_t *rng, uint64_t low, trn_range_t *ranges)
{
    uint32_t count = 0;
    while (count < TRN_RANGES_MAX && low < TRN_SEQ_MAX - 1000
           && trn_rng_below (rng, 4)) {
        ranges[count].from = low + trn_rng_below (rng, 5);
        ranges[count].to = ranges[count].from + trn_rng_below (rng, 5);
        low = ranges[count++].to + 1;
    }
    return count;
}

//  Anything that the decoder would let through.
static void
s_any_frame (trn_rng_t *rng, trn_frame_t *frame, uint64_t token)
{
    *frame = (trn_frame_t) {0};
    frame->type = (trn_frame_type_t) (TRN_OFFER + trn_rng_below (rng, 9));
    const uint32_t flow
        = trn_rng_below (rng, 20) ? 1 : (uint32_t) trn_rng_below (rng, 4);
    switch (frame->type) {
    case TRN_OFFER:
        frame->offer.flow = flow;
        frame->offer.queue
            = trn_text (trn_rng_below (rng, 4) ? "jobs" : "other");
        frame->offer.outbox
            = trn_text (trn_rng_below (rng, 2) ? "jobs" : "more");
        frame->offer.low = 1 + trn_rng_below (rng, 3);
        frame->offer.high = frame->offer.low + s_number (rng) % 100;
        frame->offer.number = (uint32_t) trn_rng_below (rng, 4);
        break;
    case TRN_ACCEPT:
        frame->accept.flow = flow;
        frame->accept.seen = trn_rng_below (rng, 9) == 0;
        frame->accept.range_count = s_ranges (rng, 1, frame->accept.ranges);
        break;
    case TRN_CREDIT:
        frame->credit.flow = flow;
        frame->credit.messages = s_number (rng);
        frame->credit.bytes = s_number (rng);
        break;
    case TRN_DATA:
        *frame = s_data (flow, 1 + s_number (rng) % 50,
                         1 + (uint32_t) trn_rng_below (rng, 4));
        frame->data.token = s_number (rng);
        frame->data.low = 1 + trn_rng_below (rng, 5);
        frame->data.flags = (uint32_t) trn_rng_below (rng, 4);
        break;
    case TRN_SETTLE:
        frame->settle.flow = flow;
        frame->settle.count = (uint32_t) trn_rng_below (rng, 5);
        for (uint32_t index = 0; index < frame->settle.count; index++) {
            trn_settle_t *entry = &frame->settle.entries[index];
            entry->token = token - trn_rng_below (rng, 4);
            entry->outcome = (trn_outcome_t) (1 + trn_rng_below (rng, 4));
            entry->from = 1 + s_number (rng) % 100;
            entry->to = entry->from + s_number (rng) % 100;
        }
        break;
    case TRN_FLOOR:
        frame->floor.flow = flow;
        frame->floor.low = 1 + trn_rng_below (rng, 10);
        frame->floor.range_count
            = s_ranges (rng, frame->floor.low, frame->floor.ranges);
        break;
    case TRN_CANCEL: frame->cancel.flow = flow; break;
    case TRN_RETIRE: frame->retire.flow = flow; break;
    case TRN_HELLO:
    case TRN_WELCOME:
    case TRN_REFUSE:
    case TRN_PONG:
    case TRN_BYE:
    case TRN_SEEK:
    case TRN_ROOM:
    case TRN_CALL:
    case TRN_ANSWER:
    case TRN_FAIL:
    case TRN_TAKE:
    case TRN_ABANDON:
    case TRN_PING:
        frame->type = TRN_PING;
        frame->ping.nonce = s_number (rng);
        break;
    }
}

static void
s_check_sums (s_case_t *self, uint64_t high)
{
    const trn_engine_outbox_stats_t stats = s_stats (self);
    const uint64_t settled = stats.consumed + stats.dropped;
    assert_true (settled + stats.waiting + stats.in_flight + stats.parked
                 == high);
}

static void
test_any_frames_in_any_order_do_no_harm (void **state)
{
    s_case_t *self = *state;
    trn_rng_t rng = {11};
    uint64_t high = 3;
    int64_t now_ms = 1000;
    s_welcome (self);
    for (unsigned step = 0; step < 60000; step++) {
        trn_frame_t frame;
        s_any_frame (&rng, &frame, self->token);
        if (frame.type == TRN_DATA || frame.type == TRN_FLOOR
            || frame.type == TRN_RETIRE || frame.type == TRN_OFFER
            || trn_rng_below (&rng, 40) == 0) {
            frame.connection = self->connection;
            trn_engine_on_inbound (
                self->engine, ROUTE, &frame,
                frame.type == TRN_DATA ? frame.data.count * 100 : 0, now_ms);
        } else {
            frame.connection = 5;
            trn_engine_on_frame (self->engine, self->link, &frame, now_ms);
        }
        s_drain (self);
        if (trn_rng_below (&rng, 8) == 0) {
            trn_engine_on_settle (
                self->engine, self->consumer,
                self->handle - (uint32_t) trn_rng_below (&rng, 2),
                1 + trn_rng_below (&rng, 60), 70 + trn_rng_below (&rng, 9),
                TRN_ACCEPTED, now_ms);
        }
        if (trn_rng_below (&rng, 8) == 0) {
            trn_engine_on_appended (self->engine, self->outbox,
                                    high += trn_rng_below (&rng, 4), now_ms);
        }
        now_ms += (int64_t) trn_rng_below (&rng, 20);
        trn_engine_on_tick (self->engine, now_ms);
        s_drain (self);
        if (trn_rng_below (&rng, 20) == 0) {
            //  A new attempt, should the last have ended.
            //  A store that broke a promise is not trusted again.
            s_greet (self, (uint16_t) (step / 50));
            s_offer (self, 1);
            trn_frame_t welcome = {.type = TRN_WELCOME, .connection = 5};
            welcome.welcome.version = 1;
            welcome.welcome.who = s_identity ("victim");
            trn_engine_on_frame (self->engine, self->link, &welcome, now_ms);
            s_drain (self);
        }
        s_check_sums (self, high);
    }
    assert_in_range (self->delivered, 50, 60000);
    assert_in_range (self->ends, 100, 60000);
    assert_in_range (self->settles, 1, 60000);
    assert_in_range (s_stats (self).consumed, 10, high);
}

int
main (void)
{
#define TEST(name) cmocka_unit_test_setup_teardown (name, s_set_up, s_tear_down)
    const struct CMUnitTest tests[] = {
        TEST (test_a_foreign_token_settles_nothing),
        TEST (test_settling_the_middle_leaves_the_rest),
        TEST (test_a_late_frame_of_another_connection_is_dropped),
        TEST (test_more_than_was_granted_ends_the_link),
        TEST (test_more_bytes_than_were_granted_end_the_link),
        TEST (test_one_large_record_is_let_in_and_the_next_is_not),
        TEST (test_data_below_its_own_floor_ends_the_link),
        TEST (test_a_broken_promise_is_reported_and_ends_the_link),
        TEST (test_frames_of_the_wrong_side_end_the_link),
        TEST (test_a_damaged_run_ends_the_link_and_a_damaged_frame_does_not),
        TEST (test_my_store_under_another_number_is_a_clone),
        TEST (test_another_peer_at_the_endpoint_is_not_spoken_to),
        TEST (test_any_frames_in_any_order_do_no_harm),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
