//  tests/fuzz/fuzz_session.c - a stream of frames and events into an engine
//
//  One engine publishes and consumes; the far sides of all its links are the
//  fuzzer, who knows the numbers that the engine gave out and mostly uses them,
//  so that it gets beyond the first check.  Each step is a byte that says what
//  happens and then what it needs.
//
//  Held at every step: whatever the engine says is a legal frame; references to
//  runs are given back; nothing asserts, whatever the far sides say.
//
//  SPDX-License-Identifier: MPL-2.0

#include "fuzz.h"

#include "core/engine.h"
#include "wire/frame.h"

#include <tern/error.h>

#define ROUTES 3
#define OUTBOXES 2  //  a queue, and an exchange that routes
#define LINKS 3
#define HANDS 32
#define SERVED 4
#define CALLS_MAX 60
#define CALL_BYTES 48
#define STEPS_MAX 400

typedef struct {
    uint32_t flow;
    trn_consumer_id_t consumer;
    uint64_t from, to;
} hand_t;

//  A call that the application has in hand.
typedef struct {
    uint64_t id;
    uint64_t answers, answers_max, bytes, bytes_max;
} task_t;

typedef struct {
    trn_engine_t *engine;
    fuzz_input_t input;
    int64_t now_ms;
    uint64_t high[OUTBOXES + 1];            //  records in each outbox
    int runs_out;                           //  references the engine or we hold
    uint64_t route_connection[ROUTES + 1];  //  as WELCOME said
    uint64_t tokens[8];                     //  seen in DATA, the latest
    size_t token_count;
    hand_t hands[HANDS];
    size_t hand_count;
    trn_consumer_id_t consumers[4];
    size_t consumer_count;
    uint64_t calls;     //  made, the last number
    uint64_t calls_up;  //  bits: not over, of the first 64
    bool needs;
    uint32_t service;      //  0: none
    task_t tasks[SERVED];  //  in hand, id 0: none
} session_t;

//  The shell ---------------------------------------------------------------

static trn_run_answer_t
s_run (void *arg, trn_outbox_id_t outbox, uint64_t seq, uint32_t count_max,
       uint32_t bytes_max, trn_engine_run_t *run)
{
    session_t *self = arg;
    assert (outbox >= 1 && outbox <= OUTBOXES);
    assert (seq >= 1 && seq <= self->high[outbox]);
    assert (count_max >= 1 && bytes_max >= 1);
    if (seq % 7 == 3 && self->now_ms % 2) {
        return TRN_RUN_LATER;
    }
    if (seq % 31 == 30) {
        run->skip_to = seq + 2;
        return TRN_RUN_GONE;
    }
    const uint64_t left = self->high[outbox] - seq + 1;
    uint64_t count = left < count_max ? left : count_max;
    const uint64_t fit = bytes_max / 64 ? bytes_max / 64 : 1;
    count = count < fit ? count : fit;
    self->runs_out++;
    *run = (trn_engine_run_t) {.handle = self,
                               .first_seq = seq,
                               .count = (uint32_t) count,
                               .size = (uint32_t) count * 64,
                               .segment = 1,
                               .offset = seq * 64,
                               .stamp_us = 1};
    return TRN_RUN_READY;
}

static void
s_release (void *arg, void *handle)
{
    session_t *self = arg;
    assert (handle == self);
    self->runs_out--;
}

//  Whatever is said is a legal frame.
static void
s_check_said (const trn_frame_t *frame)
{
    static uint8_t bytes[TRN_CONTROL_MAX];
    static trn_frame_t again;
    const size_t size = trn_frame_encode (frame, bytes, sizeof bytes);
    assert (trn_frame_decode (&again, bytes, size) == 0);
    assert (again.type == frame->type);
}

static void
s_keep_hand (session_t *self, const trn_action_t *action)
{
    const hand_t hand = {action->deliver.flow, action->consumer,
                         action->deliver.from, action->deliver.to};
    assert (hand.from >= 1 && hand.from <= hand.to);
    self->hands[self->hand_count++ % HANDS] = hand;
}

static task_t *
s_find_task (session_t *self, uint64_t id)
{
    for (size_t index = 0; index < SERVED; index++) {
        if (self->tasks[index].id == id) {
            return &self->tasks[index];
        }
    }
    return NULL;
}

//  No more tasks than the service takes, none told of twice.
static void
s_on_task (session_t *self, const trn_action_t *action)
{
    task_t *task = s_find_task (self, action->call.number);
    if (action->type == TRN_DO_SERVE) {
        assert (!task && self->service);
        task = s_find_task (self, 0);
        assert (task);
        *task = (task_t) {.id = action->call.number};
    }
    assert (task);
    if (action->type != TRN_DO_TASK_GONE) {
        assert (action->call.answers >= task->answers_max);
        task->answers_max = action->call.answers;
        task->bytes_max = action->call.bytes;
    }
}

//  Of a call one hears until it is over, and nothing after.
static void
s_on_call (session_t *self, const trn_action_t *action)
{
    const uint64_t number = action->call.number;
    assert (number >= 1 && number <= self->calls);
    const uint64_t bit = UINT64_C (1) << number;
    assert (self->calls_up & bit);
    if (action->type == TRN_DO_CALL_OVER || action->call.last) {
        self->calls_up &= ~bit;
    }
}

//  The disk takes some copies, and is full for others.
static void
s_bury (session_t *self, const trn_action_t *action)
{
    if (action->bury.seq % 3) {
        trn_engine_on_buried (self->engine, action->outbox, action->bury.number,
                              action->bury.seq, 0, 0, self->now_ms);
    } else {
        trn_engine_on_bury_failed (self->engine, action->outbox,
                                   action->bury.number, action->bury.seq,
                                   self->now_ms);
    }
}

static void
s_drain (session_t *self)
{
    static uint8_t saved[TRN_STATE_MAX];
    const trn_action_t *action;
    while ((action = trn_engine_action (self->engine))) {
        switch (action->type) {
        case TRN_DO_SEND: s_check_said (&action->frame); break;
        case TRN_DO_SEND_RUN:
            s_check_said (&action->frame);
            assert (action->run.count == action->frame.data.count);
            self->tokens[self->token_count++ % 8] = action->frame.data.token;
            self->runs_out--;
            break;
        case TRN_DO_REPLY:
            s_check_said (&action->frame);
            if (action->frame.type == TRN_WELCOME && action->route <= ROUTES) {
                self->route_connection[action->route]
                    = action->frame.connection;
            }
            break;
        case TRN_DO_DELIVER: s_keep_hand (self, action); break;
        case TRN_DO_CALL:
        case TRN_DO_ANSWER: s_check_said (&action->frame); break;
        case TRN_DO_SERVE:
        case TRN_DO_TASK_ROOM:
        case TRN_DO_TASK_GONE: s_on_task (self, action); break;
        case TRN_DO_ANSWERED:
        case TRN_DO_CALL_OVER: s_on_call (self, action); break;
        case TRN_DO_SAVE: {
            uint64_t low = 0;
            uint64_t stamp = 0;
            (void) trn_engine_state (self->engine, action->outbox, false, saved,
                                     sizeof saved, &low, &stamp);
            assert (low >= 1);
            trn_engine_on_saved (self->engine, action->outbox, stamp,
                                 self->now_ms);
            break;
        }
        case TRN_DO_BURY: s_bury (self, action); break;
        case TRN_DO_CONNECT:
        case TRN_DO_DISCONNECT:
        case TRN_DO_DROP_ROUTE:
        case TRN_DO_PROGRESS:
        case TRN_DO_REPORT: break;
        }
    }
    assert (self->runs_out >= 0);
}

//  The far side ------------------------------------------------------------

//  A seq that could matter: mostly small.
static uint64_t
s_seq (session_t *self)
{
    const uint8_t form = fuzz_byte (&self->input);
    return form < 250 ? 1u + form % 64u : fuzz_number (&self->input, 8);
}

static void
s_ranges (session_t *self, trn_range_t *ranges, uint32_t *count_p)
{
    uint64_t at = 1;
    const uint32_t count = fuzz_byte (&self->input) % 6;
    for (uint32_t index = 0; index < count; index++) {
        at += fuzz_byte (&self->input) % 8;
        const uint64_t to = at + fuzz_byte (&self->input) % 8;
        ranges[index] = (trn_range_t) {at, to};
        at = to + 1;
    }
    *count_p = count;
}

static void
s_identity (session_t *self, trn_identity_t *who)
{
    static const char *const names[] = {"far-1", "far-2", "me", "far-3"};
    const uint8_t form = fuzz_byte (&self->input);
    who->name = trn_text (names[form & 3]);
    memset (who->store_uuid, form & 7, 16);
    who->incarnation = fuzz_byte (&self->input) % 4;
    who->random = fuzz_byte (&self->input) % 2;
    who->features = 0;
    who->frame_max = TRN_FRAME_MAX;
}

static void
s_make_call_frame (session_t *self, trn_frame_t *frame)
{
    fuzz_input_t *in = &self->input;
    const uint32_t seat = fuzz_byte (in) % 4;
    const uint64_t call = 1 + fuzz_byte (in) % 8;
    if (frame->type == TRN_SEEK) {
        frame->seek.seat = seat;
        frame->seek.service = trn_text (fuzz_byte (in) % 4 ? "jobs" : "none");
    } else if (frame->type == TRN_ROOM) {
        frame->room.seat = seat;
        frame->room.calls = fuzz_byte (in);
    } else if (frame->type == TRN_CALL) {
        frame->call.seat = seat;
        frame->call.call = call;
        frame->call.left_ms = fuzz_byte (in) * 8u;
        frame->call.answers = 1 + fuzz_byte (in) % 4;
        frame->call.bytes = 1 + fuzz_byte (in) * 16u;
        frame->call.flags = fuzz_byte (in) % 2;
    } else if (frame->type == TRN_ANSWER) {
        frame->answer.call = call;
        frame->answer.number = 1 + fuzz_byte (in) % 4;
        frame->answer.flags = fuzz_byte (in) % 2;
    } else if (frame->type == TRN_FAIL) {
        frame->fail.call = call;
        frame->fail.reason = (trn_failure_t) (1 + fuzz_byte (in) % 6);
        frame->fail.text = trn_text ("no\x1b");
    } else if (frame->type == TRN_TAKE) {
        frame->take.call = call;
        frame->take.answers = 1 + fuzz_byte (in);
        frame->take.bytes = 1 + fuzz_byte (in) * 64u;
    } else {
        frame->abandon.call = call;
    }
}

//  Some frame of the far side; false if this input is too wild to be one.
static bool
s_make_frame (session_t *self, trn_frame_t *frame)
{
    fuzz_input_t *in = &self->input;
    frame->type = (trn_frame_type_t) (1 + fuzz_byte (in) % TRN_FRAME_LAST);
    const uint32_t flow = fuzz_byte (in) % 4;
    switch (frame->type) {
    case TRN_HELLO:
        frame->hello.version_min = 1;
        frame->hello.version_max = 1 + fuzz_byte (in) % 2;
        s_identity (self, &frame->hello.who);
        break;
    case TRN_WELCOME:
        frame->welcome.version = 1 + (fuzz_byte (in) == 0);
        s_identity (self, &frame->welcome.who);
        break;
    case TRN_REFUSE:
        frame->refuse.reason = (trn_refusal_t) (1 + fuzz_byte (in) % 8);
        frame->refuse.text = trn_text ("no\x1b");
        break;
    case TRN_OFFER:
        frame->offer.flow = flow;
        frame->offer.queue = trn_text (fuzz_byte (in) % 8 ? "jobs" : "none");
        frame->offer.outbox = trn_text (fuzz_byte (in) % 2 ? "jobs" : "#news");
        frame->offer.low = s_seq (self);
        frame->offer.high = frame->offer.low - 1 + fuzz_byte (in);
        break;
    case TRN_ACCEPT:
        frame->accept.flow = flow;
        frame->accept.seen = fuzz_byte (in) % 4 ? 0 : s_seq (self);
        s_ranges (self, frame->accept.ranges, &frame->accept.range_count);
        frame->accept.told = fuzz_byte (in) % 4 ? 0 : s_seq (self);
        break;
    case TRN_CREDIT:
        frame->credit.flow = flow;
        frame->credit.messages = s_seq (self);
        frame->credit.bytes = 64 * s_seq (self) % TRN_SEQ_MAX;
        break;
    case TRN_DATA:
        frame->data.flow = flow;
        frame->data.token = fuzz_byte (in);
        frame->data.low = 1 + fuzz_byte (in) % 8;
        frame->data.segment = 1;
        frame->data.offset = 128;
        frame->data.first_seq = s_seq (self);
        frame->data.count = 1 + fuzz_byte (in) % 16;
        frame->data.deliveries = 1 + fuzz_byte (in) % 3;
        frame->data.flags = fuzz_byte (in);
        frame->data.missed = frame->data.flags & 8 ? s_seq (self) : 0;
        frame->data.told = frame->data.missed / 2;
        break;
    case TRN_SETTLE:
        frame->settle.flow = flow;
        frame->settle.count = fuzz_byte (in) % 4;
        for (uint32_t index = 0; index < frame->settle.count; index++) {
            trn_settle_t *entry = &frame->settle.entries[index];
            const uint8_t form = fuzz_byte (in);
            entry->token = form < 240 ? self->tokens[form % 8] : form;
            entry->outcome
                = (trn_outcome_t) (TRN_ACCEPTED + fuzz_byte (in) % 4);
            entry->from = s_seq (self);
            entry->to = entry->from + fuzz_byte (in) % 32;
        }
        break;
    case TRN_FLOOR:
        frame->floor.flow = flow;
        s_ranges (self, frame->floor.ranges, &frame->floor.range_count);
        frame->floor.low = 1 + fuzz_byte (in) % 4;
        break;
    case TRN_CANCEL: frame->cancel.flow = flow; break;
    case TRN_RETIRE: frame->retire.flow = flow; break;
    case TRN_PING: frame->ping.nonce = fuzz_byte (in); break;
    case TRN_PONG: frame->pong.nonce = fuzz_byte (in); break;
    case TRN_BYE: frame->bye.reason = trn_text ("bye"); break;
    case TRN_SEEK:
    case TRN_ROOM:
    case TRN_CALL:
    case TRN_ANSWER:
    case TRN_FAIL:
    case TRN_TAKE:
    case TRN_ABANDON: s_make_call_frame (self, frame); break;
    }
    return true;
}

//  The frame as it would arrive, or false: the decoder keeps it out.
static bool
s_arrive (trn_frame_t *frame)
{
    static uint8_t bytes[TRN_CONTROL_MAX];
    if (frame->type == TRN_HELLO || frame->type == TRN_REFUSE) {
        frame->connection = 0;
    } else if (!frame->connection) {
        frame->connection = 1;
    }
    const size_t size = trn_frame_encode (frame, bytes, sizeof bytes);
    return trn_frame_decode (frame, bytes, size) == 0;
}

static void
s_inbound (session_t *self)
{
    static trn_frame_t frame;
    const trn_route_t route = 1 + fuzz_byte (&self->input) % ROUTES;
    frame.connection = self->route_connection[route];
    if (!s_make_frame (self, &frame) || !s_arrive (&frame)) {
        return;
    }
    uint32_t run_size = 0;
    if (frame.type == TRN_DATA) {
        const uint8_t *uuid = NULL;
        const char *outbox = NULL;
        const char *peer = NULL;
        if (trn_engine_inbound_flow (self->engine, route, frame.connection,
                                     frame.data.flow, &uuid, &outbox, &peer)) {
            assert (uuid && outbox && peer);
        }
        run_size = frame.data.count * 48;
    } else if (frame.type == TRN_CALL) {
        run_size = CALL_BYTES;
    }
    trn_engine_on_inbound (self->engine, route, &frame, run_size, self->now_ms);
}

static void
s_answer (session_t *self)
{
    static trn_frame_t frame;
    const trn_link_id_t link = 1 + fuzz_byte (&self->input) % LINKS;
    frame.connection = link;
    if (s_make_frame (self, &frame) && s_arrive (&frame)) {
        trn_engine_on_answered (self->engine, link, &frame, CALL_BYTES,
                                self->now_ms);
    }
}

//  The application and the directory ---------------------------------------

static void
s_settle (session_t *self)
{
    const uint8_t which = fuzz_byte (&self->input);
    const uint8_t form = fuzz_byte (&self->input);
    if (!self->hand_count) {
        return;
    }
    const size_t kept = self->hand_count < HANDS ? self->hand_count : HANDS;
    const hand_t *hand = &self->hands[which % kept];
    uint64_t to = hand->to;
    if (form & 4 && to > hand->from) {
        to--;
    }
    trn_engine_on_settle (self->engine, hand->consumer, hand->flow, hand->from,
                          to, (trn_outcome_t) (TRN_ACCEPTED + (form & 3)),
                          self->now_ms);
}

static void
s_meet (session_t *self)
{
    static const char *const names[] = {"far-1", "far-2", "far-3"};
    static const char *const queues[] = {"jobs", "other"};
    const uint8_t form = fuzz_byte (&self->input);
    const char *name = names[form % 3];
    if (form & 128) {
        trn_engine_on_peer_gone (self->engine, name, self->now_ms);
    } else {
        trn_engine_on_peer (self->engine, name, (form >> 2) & 3,
                            form & 64 ? "tcp://h:1" : "tcp://h:2", queues,
                            (form >> 4) & 3 ? 1 + (form >> 5 & 1) : 0,
                            self->now_ms);
    }
}

static void
s_consume (session_t *self)
{
    const uint8_t form = fuzz_byte (&self->input);
    if (form & 1 && self->consumer_count < 4) {
        self->consumers[self->consumer_count++] = trn_engine_add_consumer (
            self->engine, "jobs", form / 2 % 32, 65536, self->now_ms);
    } else if (self->consumer_count) {
        trn_engine_remove_consumer (self->engine,
                                    self->consumers[--self->consumer_count],
                                    self->now_ms);
    }
}

static void
s_pass_time (session_t *self)
{
    const uint8_t form = fuzz_byte (&self->input);
    self->now_ms += form < 128 ? form : (form - 127) * 100;
    trn_engine_on_tick (self->engine, self->now_ms);
}

static void
s_publish (session_t *self)
{
    self->high[1] += 1 + fuzz_byte (&self->input) % 16;
    trn_engine_on_appended (self->engine, 1, self->high[1], self->now_ms);
    trn_engine_on_records (self->engine, 1, self->now_ms);
}

static void
s_break (session_t *self)
{
    const uint8_t form = fuzz_byte (&self->input);
    switch (form % 5) {
    case 0:
        trn_engine_on_disconnected (self->engine, 1 + form / 5 % LINKS,
                                    self->now_ms);
        break;
    case 1:
        trn_engine_on_route_lost (self->engine, 1 + form / 5 % ROUTES,
                                  self->now_ms);
        break;
    case 2:
        trn_engine_on_garbage (self->engine, form / 5 % (ROUTES + 1), form & 64,
                               self->now_ms);
        break;
    case 3:
        trn_engine_on_dropped (
            self->engine, 1 + (form >> 7),
            1 + self->high[1 + (form >> 7)] / (1 + form / 5 % 4), self->now_ms);
        break;
    case 4:
        if (form > 250) {
            trn_engine_on_close (self->engine, self->now_ms);
        }
        break;
    }
}

//  What the application sends is not plain, or routed.  The rule comes first; time
//  may pass between.
static void
s_publish_ruled (session_t *self)
{
    static const uint32_t targets[] = {1, 2, 3, 7};
    fuzz_input_t *in = &self->input;
    const uint8_t form = fuzz_byte (in);
    const uint8_t times = fuzz_byte (in);
    const trn_outbox_id_t outbox = 1 + (form & 1);
    const uint64_t wall_ms = 1000000 + (uint64_t) self->now_ms;
    trn_rule_t rule = {
        .seq = self->high[outbox] + 1,
        .priority = (form >> 4) % 10,
        .order = form >> 1 & 3,
        .due_ms = times & 1 ? wall_ms + (times >> 2) * 8u : 0,
        .expires_ms = times & 2 ? wall_ms + (times >> 3) * 16u : 0,
    };
    if (outbox == 2) {
        rule.targets = targets + (times & 1);
        rule.target_count = times >> 6;
    }
    trn_engine_on_message (self->engine, outbox, &rule);
    if (form & 8) {
        self->now_ms += times * 8;
        trn_engine_on_tick (self->engine, self->now_ms);
        s_drain (self);
    }
    self->high[outbox]++;
    trn_engine_on_appended (self->engine, outbox, self->high[outbox],
                            self->now_ms);
}

//  Queues of the exchange come and go.
static void
s_bind (session_t *self)
{
    static const char *const queues[] = {"jobs", "other", "third", "jobs.dead"};
    const uint8_t form = fuzz_byte (&self->input);
    uint32_t number = 0;
    if (form & 128) {
        trn_engine_remove_queue (self->engine, 2, 1 + form % 8, self->now_ms);
    } else if (form & 64) {
        (void) trn_engine_purge (self->engine, 1 + (form & 1), form / 2 % 8,
                                 self->now_ms);
    } else {
        const int rc = trn_engine_add_queue (self->engine, 2, queues[form & 3],
                                             1 + (form >> 2 & 15), &number,
                                             self->now_ms);
        assert (rc == 0 && number >= 1);
    }
}

static void
s_rule (session_t *self)
{
    fuzz_input_t *in = &self->input;
    const uint8_t form = fuzz_byte (in);
    if (form == 255) {
        //  The wall clock jumps.
        trn_engine_on_clock (self->engine,
                             1000000 + (uint64_t) self->now_ms
                                 + fuzz_byte (in) * 100u,
                             self->now_ms);
        return;
    }
    trn_policy_t policy = {
        .max_deliveries = form & 3,
        .pause = (trn_pause_kind_t) ((form >> 2) % 3),
        .pause_min_ms = fuzz_byte (in),
        .pause_max_ms = fuzz_byte (in) * 4u,
        .pause_count = 2,
        .pauses = {form, form * 2u},
        .ttl_ms = form & 16 ? 1 + fuzz_byte (in) * 4u : 0,
        .drop_expired = form & 32,
        .single = form & 64,
    };
    const trn_outbox_id_t outbox = 1 + (form >> 7);
    trn_engine_set_policy (self->engine, outbox, fuzz_byte (in) % 4, &policy,
                           self->now_ms);
    assert (trn_engine_policy (self->engine, outbox, 0));
}

//  Our application calls "jobs".
static void
s_call (session_t *self)
{
    const uint8_t form = fuzz_byte (&self->input);
    if (!self->needs) {
        const int rc = trn_engine_add_need (self->engine, "jobs", self->now_ms);
        assert (rc == 0);
        self->needs = true;
    } else if (form % 8 == 0 && !self->calls_up) {
        trn_engine_remove_need (self->engine, "jobs", self->now_ms);
        self->needs = false;
    } else if (form % 8 < 5 && self->calls < CALLS_MAX) {
        const trn_call_terms_t terms
            = {.number = ++self->calls,
               .answers = 1 + form % 3,
               .bytes = 1 + form,
               .due_ms = form & 64 ? self->now_ms + form * 20 : INT64_MAX,
               .once = form & 128};
        self->calls_up |= UINT64_C (1) << terms.number;
        trn_engine_on_call (self->engine, "jobs", &terms, self->now_ms);
    } else if (self->calls) {
        const uint64_t number = 1 + form / 8 % self->calls;
        if (form % 8 == 5) {
            trn_engine_on_take (self->engine, number, form, form * 64u + 1,
                                self->now_ms);
        } else {
            self->calls_up &= ~(UINT64_C (1) << number);
            trn_engine_on_abandon (self->engine, number, self->now_ms);
        }
    }
}

//  Our application serves "jobs".
static void
s_serve (session_t *self)
{
    const uint8_t form = fuzz_byte (&self->input);
    task_t *task = &self->tasks[form / 8 % SERVED];
    if (!self->service) {
        self->service = trn_engine_add_service (self->engine, "jobs", SERVED,
                                                65536, self->now_ms);
    } else if (form == 255) {
        trn_engine_remove_service (self->engine, self->service, self->now_ms);
        self->service = 0;
        memset (self->tasks, 0, sizeof self->tasks);
    } else if (task->id && form % 8 == 0) {
        trn_engine_on_task_over (self->engine, task->id, TRN_FAIL_FAILED, "no",
                                 self->now_ms);
        task->id = 0;
    } else if (task->id && task->answers < task->answers_max
               && task->bytes < task->bytes_max) {
        const bool last = form % 8 < 4;
        task->answers++;
        task->bytes += CALL_BYTES;
        trn_engine_on_answer (self->engine, task->id, CALL_BYTES, last,
                              self->now_ms);
        if (last) {
            task->id = 0;
        }
    }
}

static void
s_step (session_t *self)
{
    switch (fuzz_byte (&self->input) % 17) {
    case 0:
    case 1:
    case 2:
    case 3: s_inbound (self); break;
    case 4:
    case 5:
    case 6: s_answer (self); break;
    case 7: s_settle (self); break;
    case 8: s_meet (self); break;
    case 9: s_pass_time (self); break;
    case 10: s_publish (self); break;
    case 11:
        if (fuzz_byte (&self->input) % 2) {
            s_consume (self);
        } else {
            s_break (self);
        }
        break;
    case 12: s_call (self); break;
    case 13: s_serve (self); break;
    case 14: s_publish_ruled (self); break;
    case 15: s_bind (self); break;
    case 16: s_rule (self); break;
    }
    s_drain (self);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    session_t session = {.input = {data, size}, .now_ms = 1000};
    session_t *self = &session;
    trn_engine_config_t config
        = {.name = "me", .incarnation = 3, .random = 1, .seed = 5};
    memset (config.store_uuid, 2, 16);
    const trn_run_source_t source
        = {.run = s_run, .release = s_release, .arg = self};
    self->engine = trn_engine_new (&config, &source);
    const trn_ranges_t gaps = {0};
    trn_outbox_id_t outbox = 0;
    assert (trn_engine_add_outbox (self->engine, "jobs", "jobs", 0, &gaps, true,
                                   NULL, 0, &outbox)
            == 0);
    assert (outbox == 1);
    assert (trn_engine_add_exchange (self->engine, "#news", true, 0, &gaps,
                                     true, NULL, 0, &outbox)
            == 0);
    assert (outbox == 2);
    trn_engine_on_clock (self->engine, 1000000 + (uint64_t) self->now_ms,
                         self->now_ms);
    for (int step = 0; step < STEPS_MAX && self->input.left; step++) {
        s_step (self);
    }
    trn_engine_destroy (&self->engine);
    assert (self->runs_out == 0);
    return 0;
}
