//  sim/ledger.c - what was promised, and whether it was kept
//
//  Knows: every message of every stream, and what each life did with it.
//  Hides: the tables.  Messages of a stream lie in seq order, because seqs
//  only grow; a lookup is a binary search.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sim/ledger.h"
#include "sim/peer.h"

#include "base/memory.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef enum {
    HELD,  //  in the application's hands
    BACK,  //  given back
    ACCEPTED,
    REJECTED
} s_touch_state_t;

//  What one life did with one message.
typedef struct {
    uint32_t life;
    s_touch_state_t state;
} s_touch_t;

typedef struct {
    uint64_t seq;
    uint64_t print;
    uint64_t token;           //  under which it was sent last
    bool written, synced;     //  the publisher was told so
    bool gone;                //  lost, and allowed to be
    bool accepted, rejected;  //  by any application, ever
    bool sent;                //  at least once, by any life
    bool unopened;            //  was given back unopened once
    bool forked;              //  known from a copy of the store
    unsigned handed;          //  to applications, and opened
    uint64_t dead_seq;        //  of its dead letter, 0 none
    bool leaving, left;       //  a state that settles it was made, is durable
    bool posthumous;          //  its dead letter was sent
    unsigned of_stream;       //  of a dead letter: what it was
    uint64_t of_seq;          //  0: it is none
    bool asks;                //  it is a request
    uint64_t answers;         //  it is the reply to this one, 0: no reply
    trn_rule_t rule;
    uint64_t expires_ms;  //  by its own rule or its queue's; 0 never
    bool dropped;         //  expired and settled
    bool unbound;         //  its queue was, since
    uint32_t reopened;    //  its stream's then
    s_touch_t *touches;
    unsigned touch_count;
} s_message_t;

//  How far one life got in one stream.
typedef struct {
    uint32_t life;
    uint64_t first_delivery;  //  highest seq that came as a first delivery
    uint64_t seen;            //  highest seq of any delivery
} s_reader_t;

typedef struct {
    uint8_t store_uuid[16];
    char outbox[TRN_NAME_MAX + 2];
    bool current;  //  not replaced by a fork
    trn_policy_t policy;
    bool ruled;         //  not all are plain
    uint32_t reopened;  //  how often
    bool restored;      //  from a copy of a store ...
    unsigned future;    //  ... that went on as this stream
    uint32_t opened;    //  so often since
    s_message_t *messages;
    size_t count, capacity;
    size_t audited;  //  messages below are known to be settled
    s_reader_t *readers;
    unsigned reader_count;
} s_stream_t;

struct sim_ledger {
    sim_world_t *world;
    s_stream_t *streams;
    unsigned stream_count;
    bool in_order;
    uint64_t published, accepted, delivered, redelivered;
};

sim_ledger_t *
sim_ledger_new (sim_world_t *world)
{
    sim_ledger_t *self = trn_alloc (sizeof *self);
    self->world = world;
    return self;
}

void
sim_ledger_destroy (sim_ledger_t **self_p)
{
    assert (self_p);
    if (!*self_p) {
        return;
    }
    sim_ledger_t *self = *self_p;
    for (unsigned index = 0; index < self->stream_count; index++) {
        s_stream_t *stream = &self->streams[index];
        for (size_t at = 0; at < stream->count; at++) {
            free (stream->messages[at].touches);
        }
        free (stream->messages);
        free (stream->readers);
    }
    free (self->streams);
    free (self);
    *self_p = NULL;
}

uint64_t
sim_ledger_print (const uint8_t *body, uint32_t size)
{
    uint64_t print = 0xcbf29ce484222325u;
    for (uint32_t index = 0; index < size; index++) {
        print = (print ^ body[index]) * 0x100000001b3u;
    }
    return print;
}

unsigned
sim_ledger_stream (sim_ledger_t *self, const uint8_t store_uuid[16],
                   const char *outbox)
{
    for (unsigned index = 0; index < self->stream_count; index++) {
        const s_stream_t *stream = &self->streams[index];
        if (stream->current && memcmp (stream->store_uuid, store_uuid, 16) == 0
            && strcmp (stream->outbox, outbox) == 0) {
            return index;
        }
    }
    self->streams = trn_realloc (self->streams, (self->stream_count + 1)
                                                    * sizeof *self->streams);
    s_stream_t *stream = &self->streams[self->stream_count];
    *stream = (s_stream_t) {.current = true};
    memcpy (stream->store_uuid, store_uuid, 16);
    assert (strlen (outbox) < sizeof stream->outbox);
    strcpy (stream->outbox, outbox);
    return self->stream_count++;
}

//  Index of the first message at or above seq.
static size_t
s_find (const s_stream_t *stream, uint64_t seq)
{
    size_t low = 0;
    size_t high = stream->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (stream->messages[middle].seq < seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static s_message_t *
s_message (const s_stream_t *stream, uint64_t seq)
{
    const size_t at = s_find (stream, seq);
    if (at == stream->count || stream->messages[at].seq != seq) {
        return NULL;
    }
    return &stream->messages[at];
}

static s_message_t *
s_add (s_stream_t *stream, const s_message_t *message)
{
    if (stream->count == stream->capacity) {
        stream->capacity = stream->capacity ? stream->capacity * 2 : 64;
        stream->messages = trn_realloc (
            stream->messages, stream->capacity * sizeof *stream->messages);
    }
    stream->messages[stream->count] = *message;
    return &stream->messages[stream->count++];
}

void
sim_ledger_append (sim_ledger_t *self, unsigned number, uint64_t seq,
                   uint64_t print)
{
    s_stream_t *stream = &self->streams[number];
    if (stream->count && stream->messages[stream->count - 1].seq >= seq) {
        sim_fail (self->world,
                  "L-payload: seq %" PRIu64 " of %s was used before", seq,
                  stream->outbox);
        return;
    }
    s_add (stream, &(s_message_t) {.seq = seq, .print = print});
    self->published++;
}

void
sim_ledger_confirm (sim_ledger_t *self, unsigned number, uint64_t written,
                    uint64_t synced)
{
    s_stream_t *stream = &self->streams[number];
    for (size_t at = stream->count; at-- > 0;) {
        s_message_t *message = &stream->messages[at];
        if (message->synced) {
            break;
        }
        message->written = message->written || message->seq <= written;
        message->synced = message->seq <= synced;
    }
}

static uint64_t
s_wall_ms (const sim_ledger_t *self)
{
    return SIM_WALL_MS + (uint64_t) self->world->now_us / 1000;
}

static bool
s_is_expired (const sim_ledger_t *self, const s_message_t *message)
{
    return message->expires_ms && message->expires_ms <= s_wall_ms (self);
}

//  By what its publisher was told, must it be there after such an end?
static bool
s_is_promised (const s_message_t *message, sim_survival_t survival)
{
    return survival == SIM_SURVIVES_ALL
           || (survival == SIM_SURVIVES_KILL && message->written)
           || message->synced;
}

void
sim_ledger_reopen (sim_ledger_t *self, unsigned number, sim_survival_t survival,
                   uint64_t high, const trn_ranges_t *gaps)
{
    s_stream_t *stream = &self->streams[number];
    stream->reopened++;
    stream->opened++;
    for (size_t at = 0; at < stream->count; at++) {
        s_message_t *message = &stream->messages[at];
        const bool there
            = message->seq <= high && !trn_ranges_has (gaps, message->seq);
        if (message->seq > high) {
            sim_fail (self->world,
                      "L-payload: %s continues above %" PRIu64 " but %" PRIu64
                      " was used",
                      stream->outbox, high, message->seq);
            return;
        }
        if (there || message->gone || message->accepted) {
            continue;
        }
        if (s_is_promised (message, survival)) {
            sim_fail (self->world,
                      "L-lost: %s %" PRIu64 " was confirmed (%s) and is not "
                      "in the log",
                      stream->outbox, message->seq,
                      message->synced    ? "synced"
                      : message->written ? "written"
                                         : "clean stop");
            return;
        }
        message->gone = true;
    }
}

void
sim_ledger_lose (sim_ledger_t *self, unsigned number, sim_survival_t survival)
{
    const s_stream_t *stream = &self->streams[number];
    for (size_t at = 0; at < stream->count; at++) {
        s_message_t *message = &stream->messages[at];
        if (message->gone || message->accepted || message->dropped) {
            continue;
        }
        if (s_is_promised (message, survival)
            && !s_is_expired (self, message)) {
            sim_fail (self->world,
                      "L-lost: %s %" PRIu64 " was confirmed and its queue is "
                      "unknown",
                      stream->outbox, message->seq);
        }
        message->gone = true;
    }
}

void
sim_ledger_unbind (sim_ledger_t *self, unsigned number)
{
    const s_stream_t *stream = &self->streams[number];
    for (size_t at = 0; at < stream->count; at++) {
        s_message_t *message = &stream->messages[at];
        message->gone = message->gone || !message->accepted;
        message->unbound = true;
    }
}

void
sim_ledger_drop (sim_ledger_t *self, unsigned number, uint64_t floor)
{
    const s_stream_t *stream = &self->streams[number];
    for (size_t at = 0; at < stream->count && stream->messages[at].seq < floor;
         at++) {
        stream->messages[at].gone = true;
    }
}

void
sim_ledger_forget (sim_ledger_t *self, unsigned number)
{
    s_stream_t *stream = &self->streams[number];
    for (size_t at = 0; at < stream->count; at++) {
        stream->messages[at].gone = true;
    }
}

unsigned
sim_ledger_fork (sim_ledger_t *self, unsigned number, uint64_t high)
{
    self->streams[number].current = false;
    const s_stream_t name = self->streams[number];
    const unsigned fork
        = sim_ledger_stream (self, name.store_uuid, name.outbox);
    const s_stream_t *old = &self->streams[number];
    s_stream_t *stream = &self->streams[fork];
    stream->ruled = old->ruled;
    stream->reopened = old->reopened;
    stream->restored = true;
    stream->future = number;
    for (size_t at = 0; at < old->count && old->messages[at].seq <= high;
         at++) {
        //  The copy was made before its last messages were synced, perhaps.
        s_message_t *copy = s_add (stream, &old->messages[at]);
        copy->touches = NULL;
        copy->synced = false;
        copy->forked = true;
        if (copy->touch_count) {
            const size_t size = copy->touch_count * sizeof *copy->touches;
            copy->touches = trn_alloc (size);
            memcpy (copy->touches, old->messages[at].touches, size);
        }
    }
    sim_ledger_forget (self, number);
    return fork;
}

unsigned
sim_ledger_twin (sim_ledger_t *self, unsigned number)
{
    const unsigned twin = sim_ledger_fork (self, number, UINT64_MAX);
    s_stream_t *original = &self->streams[number];
    for (size_t at = 0; at < original->count; at++) {
        original->messages[at].gone = self->streams[twin].messages[at].gone;
    }
    original->current = true;
    self->streams[twin].current = false;
    sim_ledger_forget (self, twin);
    return twin;
}

static s_reader_t *
s_reader (s_stream_t *stream, uint32_t life)
{
    for (unsigned index = stream->reader_count; index-- > 0;) {
        if (stream->readers[index].life == life) {
            return &stream->readers[index];
        }
    }
    stream->readers = trn_realloc (
        stream->readers, (stream->reader_count + 1) * sizeof *stream->readers);
    s_reader_t *reader = &stream->readers[stream->reader_count++];
    *reader = (s_reader_t) {.life = life};
    return reader;
}

static s_touch_t *
s_touch (s_message_t *message, uint32_t life)
{
    for (unsigned index = 0; index < message->touch_count; index++) {
        if (message->touches[index].life == life) {
            return &message->touches[index];
        }
    }
    return NULL;
}

static bool
s_holds (s_message_t *message, uint32_t life)
{
    const s_touch_t *touch = s_touch (message, life);
    return touch && touch->state == HELD;
}

//  The message with this place and body, in the newest stream that has it and,
//  with a life, where that life holds it: a restored store may give a dead
//  letter the place and body of one that it has forgotten.
static s_message_t *
s_lookup (sim_ledger_t *self, const uint8_t store_uuid[16], const char *outbox,
          uint64_t seq, uint64_t print, uint32_t life, s_stream_t **stream_p)
{
    for (unsigned index = self->stream_count; index-- > 0;) {
        s_stream_t *stream = &self->streams[index];
        if (memcmp (stream->store_uuid, store_uuid, 16)
            || strcmp (stream->outbox, outbox)) {
            continue;
        }
        s_message_t *message = s_message (stream, seq);
        if (message && message->print == print
            && (!life || s_holds (message, life))) {
            *stream_p = stream;
            return message;
        }
    }
    sim_fail (self->world,
              "L-payload: %s %" PRIu64 " was never published with this body%s",
              outbox, seq, life ? ", or is in nobody's hands" : "");
    return NULL;
}

//  Rules --------------------------------------------------------------------

static void
s_set_rule (const sim_ledger_t *self, s_stream_t *stream, s_message_t *message,
            const trn_rule_t *rule)
{
    const uint64_t ttl_ms = stream->policy.ttl_ms;
    const uint64_t over_ms = ttl_ms ? s_wall_ms (self) + ttl_ms : 0;
    message->rule = *rule;
    message->reopened = stream->reopened;
    message->expires_ms
        = rule->expires_ms && (!over_ms || rule->expires_ms < over_ms)
              ? rule->expires_ms
              : over_ms;
    stream->ruled = stream->ruled || rule->priority || rule->due_ms
                    || rule->expires_ms || rule->order;
}

void
sim_ledger_ruled (sim_ledger_t *self, unsigned number, const trn_rule_t *rule)
{
    s_stream_t *stream = &self->streams[number];
    s_set_rule (self, stream, &stream->messages[stream->count - 1], rule);
}

//  Where it was inserted, in order.
static s_message_t *
s_insert (s_stream_t *stream, const s_message_t *message)
{
    const size_t at = s_find (stream, message->seq);
    s_add (stream, message);
    memmove (stream->messages + at + 1, stream->messages + at,
             (stream->count - 1 - at) * sizeof *stream->messages);
    stream->messages[at] = *message;
    stream->audited = at < stream->audited ? at : stream->audited;
    return &stream->messages[at];
}

void
sim_ledger_join (sim_ledger_t *self, unsigned number, uint64_t seq,
                 uint64_t print, const trn_rule_t *rule)
{
    s_stream_t *stream = &self->streams[number];
    s_message_t *message = s_message (stream, seq);
    if (!message) {
        message = s_insert (stream, &(s_message_t) {.seq = seq});
        message->print = print;
        self->published++;
    } else {
        message->gone = false;
    }
    s_set_rule (self, stream, message, rule);
}

//  An engine's clock may be behind by the time between two events.
enum {
    SLACK_MS = 2
};

//  Nothing more will be heard of it.
static bool
s_is_past (const sim_ledger_t *self, const s_message_t *message)
{
    return message->accepted || message->gone || message->dead_seq
           || message->dropped || s_is_expired (self, message);
}

static void
s_check_key (sim_ledger_t *self, const s_stream_t *stream,
             const s_message_t *message)
{
    for (const s_message_t *older = stream->messages; older < message;
         older++) {
        if (older->rule.order == message->rule.order
            && !s_is_past (self, older)) {
            sim_fail (self->world,
                      "L-key: %s %" PRIu64 " is sent before %" PRIu64
                      " of the same key is done",
                      stream->outbox, message->seq, older->seq);
            return;
        }
    }
}

//  Others that could go: of this life, never sent, and with no reason to wait.
static void
s_check_urgency (sim_ledger_t *self, const s_stream_t *stream,
                 const s_message_t *message)
{
    for (size_t at = 0; at < stream->count; at++) {
        const s_message_t *other = &stream->messages[at];
        if (other->rule.priority > message->rule.priority && !other->sent
            && !other->rule.due_ms && !other->rule.order
            && other->reopened == stream->reopened
            && !s_is_past (self, other)) {
            sim_fail (self->world,
                      "L-urgent: %s %" PRIu64 " is sent while %" PRIu64
                      " waits",
                      stream->outbox, message->seq, other->seq);
            return;
        }
    }
}

static void
s_check_rules (sim_ledger_t *self, const s_stream_t *stream,
               const s_message_t *message)
{
    const uint64_t wall_ms = s_wall_ms (self);
    if (message->rule.due_ms > wall_ms) {
        sim_fail (self->world,
                  "L-time: %s %" PRIu64 " is sent %" PRIu64
                  " ms before it is due",
                  stream->outbox, message->seq, message->rule.due_ms - wall_ms);
    }
    if (message->expires_ms && message->expires_ms + SLACK_MS <= wall_ms) {
        sim_fail (self->world,
                  "L-time: %s %" PRIu64 " is sent %" PRIu64
                  " ms after its time",
                  stream->outbox, message->seq, wall_ms - message->expires_ms);
    }
    if (message->rule.order) {
        s_check_key (self, stream, message);
    }
    if (stream->ruled && !message->sent) {
        s_check_urgency (self, stream, message);
    }
}

//  Requests ------------------------------------------------------------------

void
sim_ledger_asks (sim_ledger_t *self, unsigned number)
{
    s_stream_t *stream = &self->streams[number];
    stream->messages[stream->count - 1].asks = true;
}

void
sim_ledger_answers (sim_ledger_t *self, unsigned number, uint64_t print)
{
    s_stream_t *stream = &self->streams[number];
    stream->messages[stream->count - 1].answers = print;
}

static bool
s_is_answered (const sim_ledger_t *self, uint64_t print)
{
    for (unsigned index = 0; index < self->stream_count; index++) {
        const s_stream_t *stream = &self->streams[index];
        for (size_t at = 0; at < stream->count; at++) {
            const s_message_t *reply = &stream->messages[at];
            if (reply->answers == print
                && (reply->accepted || (reply->gone && reply->synced))) {
                return true;
            }
        }
    }
    return false;
}

static void
s_check_answers (sim_ledger_t *self, const s_stream_t *stream)
{
    for (size_t at = 0; at < stream->count; at++) {
        const s_message_t *request = &stream->messages[at];
        if (request->asks && request->accepted && !request->gone
            && !s_is_answered (self, request->print)) {
            sim_fail (self->world,
                      "L-answer: nobody heard a reply to %s %" PRIu64,
                      stream->outbox, request->seq);
            return;
        }
    }
}

//  Dead letters -------------------------------------------------------------

void
sim_ledger_rule (sim_ledger_t *self, unsigned number,
                 const trn_policy_t *policy)
{
    self->streams[number].policy = *policy;
}

void
sim_ledger_bury (sim_ledger_t *self, unsigned number, uint64_t seq,
                 unsigned dead_number, uint64_t dead_seq)
{
    const s_stream_t *stream = &self->streams[number];
    s_message_t *message = s_message (stream, seq);
    s_message_t *letter = s_message (&self->streams[dead_number], dead_seq);
    //  A store that went back may know a letter whose message it had not yet
    //  written.
    if (!message && letter && letter->forked) {
        return;
    }
    if (!message || !letter) {
        sim_fail (self->world,
                  "L-dead: %s %" PRIu64 " died and was never published",
                  stream->outbox, seq);
        return;
    }
    if (message->dead_seq && message->dead_seq != dead_seq && !message->forked
        && !letter->forked) {
        sim_fail (self->world,
                  "L-dead: %s %" PRIu64 " is a dead letter twice: %" PRIu64
                  " and %" PRIu64,
                  stream->outbox, seq, message->dead_seq, dead_seq);
    }
    if (message->print != letter->print) {
        sim_fail (self->world,
                  "L-payload: the dead letter of %s %" PRIu64 " is another",
                  stream->outbox, seq);
    }
    message->dead_seq = dead_seq;
    letter->of_stream = number;
    letter->of_seq = seq;
}

void
sim_ledger_saving (sim_ledger_t *self, unsigned number,
                   sim_settled_fn *is_settled, void *arg)
{
    const s_stream_t *stream = &self->streams[number];
    for (size_t at = 0; at < stream->count; at++) {
        s_message_t *message = &stream->messages[at];
        if (message->dead_seq && !message->left) {
            message->leaving = is_settled (arg, message->seq);
        }
    }
}

void
sim_ledger_saved (sim_ledger_t *self, unsigned number)
{
    const s_stream_t *stream = &self->streams[number];
    for (size_t at = 0; at < stream->count; at++) {
        s_message_t *message = &stream->messages[at];
        message->left = message->left || message->leaving;
    }
}

void
sim_ledger_left (sim_ledger_t *self, unsigned number,
                 sim_settled_fn *is_settled, void *arg)
{
    sim_ledger_saving (self, number, is_settled, arg);
    sim_ledger_saved (self, number);
}

//  A dead letter leaves its publisher.
static void
s_check_letter (sim_ledger_t *self, const s_message_t *letter)
{
    const s_stream_t *stream = &self->streams[letter->of_stream];
    s_message_t *message = s_message (stream, letter->of_seq);
    if (!message->left && !message->forked && !message->gone) {
        sim_fail (self->world,
                  "L-dead: the dead letter of %s %" PRIu64
                  " is sent before its queue has durably forgotten it",
                  stream->outbox, message->seq);
    }
    message->posthumous = true;
}

void
sim_ledger_send (sim_ledger_t *self, unsigned number, uint64_t first_seq,
                 uint32_t count, uint64_t token, bool redelivered)
{
    const s_stream_t *stream = &self->streams[number];
    for (uint64_t seq = first_seq; seq < first_seq + count; seq++) {
        s_message_t *message = s_message (stream, seq);
        if (!message) {
            sim_fail (self->world,
                      "L-payload: %s %" PRIu64
                      " is sent but was never published",
                      stream->outbox, seq);
            return;
        }
        if (message->sent && !message->unopened && !redelivered) {
            sim_fail (self->world,
                      "L-flag: %s %" PRIu64 " is sent again without a flag",
                      stream->outbox, seq);
        }
        if (!message->of_seq && !message->forked) {
            s_check_rules (self, stream, message);
        }
        if (message->posthumous && !message->forked) {
            sim_fail (self->world,
                      "L-dead: %s %" PRIu64
                      " is sent after its dead letter was",
                      stream->outbox, seq);
        }
        if (message->of_seq) {
            s_check_letter (self, message);
        }
        message->sent = true;
        message->token = token;
    }
}

uint64_t
sim_ledger_token (const sim_ledger_t *self, unsigned number, uint64_t seq)
{
    const s_message_t *message = s_message (&self->streams[number], seq);
    return message ? message->token : 0;
}

//  In which order may messages come to one life?
static void
s_check_order (sim_ledger_t *self, s_stream_t *stream,
               const s_message_t *message, uint32_t life, bool new_here,
               bool redelivered)
{
    s_reader_t *reader = s_reader (stream, life);
    //  A letter comes when a durable state says that its message has left: one
    //  may have to wait for that while a later one needs not.
    if (message->of_seq) {
        return;
    }
    if (!redelivered && !message->unopened && !stream->ruled) {
        if (message->seq <= reader->first_delivery) {
            sim_fail (self->world,
                      "L-order: %s %" PRIu64 " came first after %" PRIu64,
                      stream->outbox, message->seq, reader->first_delivery);
        }
        reader->first_delivery = message->seq;
    }
    //  A message that an earlier life accepted may come late: its publisher lost
    //  the settlement with its own life.
    if (self->in_order && new_here && !message->accepted
        && message->seq < reader->seen) {
        sim_fail (self->world,
                  "L-order: %s %" PRIu64 " came to its only consumer after "
                  "%" PRIu64,
                  stream->outbox, message->seq, reader->seen);
    }
    reader->seen = message->seq > reader->seen ? message->seq : reader->seen;
}

void
sim_ledger_deliver (sim_ledger_t *self, const uint8_t store_uuid[16],
                    const char *outbox, uint64_t seq, uint64_t print,
                    uint32_t life, bool redelivered)
{
    s_stream_t *stream = NULL;
    s_message_t *message
        = s_lookup (self, store_uuid, outbox, seq, print, 0, &stream);
    if (!message) {
        return;
    }
    self->delivered++;
    self->redelivered += redelivered;

    s_touch_t *touch = s_touch (message, life);
    if (touch && touch->state == ACCEPTED) {
        sim_fail (self->world,
                  "L-again: %s %" PRIu64 " came to the life that accepted it",
                  outbox, seq);
    }
    if (touch && touch->state == HELD) {
        sim_fail (self->world,
                  "L-again: %s %" PRIu64 " came to the life that holds it",
                  outbox, seq);
    }
    s_check_order (self, stream, message, life, !touch, redelivered);
    const uint32_t most = stream->policy.max_deliveries;
    if (++message->handed > most && most > 1 && !stream->policy.terminal
        && !message->forked) {
        sim_fail (self->world,
                  "L-count: %s %" PRIu64 " is given out %u times, of %u",
                  outbox, seq, message->handed, most);
    }
    if (!touch) {
        message->touches
            = trn_realloc (message->touches, (message->touch_count + 1)
                                                 * sizeof *message->touches);
        touch = &message->touches[message->touch_count++];
        touch->life = life;
    }
    touch->state = HELD;
}

void
sim_ledger_settle (sim_ledger_t *self, const uint8_t store_uuid[16],
                   const char *outbox, uint64_t seq, uint64_t print,
                   uint32_t life, trn_outcome_t outcome)
{
    s_stream_t *stream = NULL;
    s_message_t *message
        = s_lookup (self, store_uuid, outbox, seq, print, life, &stream);
    if (!message) {
        return;
    }
    s_touch_t *touch = s_touch (message, life);
    assert (touch && touch->state == HELD);
    switch (outcome) {
    case TRN_ACCEPTED:
        touch->state = ACCEPTED;
        self->accepted += !message->accepted;
        message->accepted = true;
        break;
    case TRN_REJECTED:
        touch->state = REJECTED;
        message->rejected = true;
        break;
    case TRN_REQUEUED: touch->state = BACK; break;
    case TRN_RELEASED:
        //  The next delivery may come without a flag, out of the order of first
        //  deliveries.
        touch->state = BACK;
        message->unopened = true;
        message->handed--;
        break;
    case TRN_STORED: assert (false);  //  settles nothing
    }
}

//  There is nothing more to do about it.
static bool
s_is_over (const s_stream_t *stream, const s_message_t *message)
{
    return message->accepted || message->gone || message->dead_seq
           || message->dropped
           || (message->rejected && stream->policy.terminal);
}

//  Was this number accepted by any life, as another message?
static bool
s_is_mistaken (const s_message_t *other, const s_message_t *message)
{
    bool accepted = false;
    for (unsigned index = 0; other && index < other->touch_count; index++) {
        accepted = accepted || other->touches[index].state == ACCEPTED;
    }
    return accepted && other->print != message->print;
}

//  A store that was put back in time gives numbers of its lost future away again.
//  If it is opened once more before it meets somebody who has accepted those, it
//  has passed them, nobody sees anything wrong, and new messages are taken for
//  old ones: the one thing about restored stores that is not found out.
static bool
s_is_taken_for_old (const sim_ledger_t *self, const s_stream_t *stream,
                    const s_message_t *message)
{
    if (!stream->restored || stream->opened < 2 || message->forked) {
        return false;
    }
    const s_stream_t *future = stream;
    while (future->restored) {
        future = &self->streams[future->future];
        if (s_is_mistaken (s_message (future, message->seq), message)) {
            return true;
        }
    }
    return false;
}

//  Settled at the publisher: then some application accepted it, or it is dead.
static void
s_check_settled (sim_ledger_t *self, const s_stream_t *stream,
                 s_message_t *message)
{
    if (stream->policy.drop_expired && s_is_expired (self, message)) {
        message->dropped = true;
    }
    if (!s_is_over (stream, message)
        && s_is_taken_for_old (self, stream, message)) {
        sim_trace (self->world, "%s %" PRIu64 " is taken for an old one",
                   stream->outbox, message->seq);
        message->gone = true;
    }
    if (!s_is_over (stream, message)) {
        sim_fail (self->world,
                  "L-early: %s %" PRIu64 " is settled but nobody accepted it",
                  stream->outbox, message->seq);
    }
}

void
sim_ledger_progress (sim_ledger_t *self, unsigned number, uint64_t processed)
{
    s_stream_t *stream = &self->streams[number];
    while (stream->audited < stream->count
           && stream->messages[stream->audited].seq <= processed) {
        s_check_settled (self, stream, &stream->messages[stream->audited++]);
    }
}

void
sim_ledger_audit (sim_ledger_t *self, unsigned number,
                  sim_settled_fn *is_settled, void *arg)
{
    s_stream_t *stream = &self->streams[number];
    for (size_t at = stream->audited; at < stream->count; at++) {
        s_message_t *message = &stream->messages[at];
        if (!s_is_over (stream, message) && is_settled (arg, message->seq)) {
            s_check_settled (self, stream, message);
        }
    }
}

void
sim_ledger_expect_order (sim_ledger_t *self, bool expected)
{
    self->in_order = expected;
}

uint64_t
sim_ledger_seen (const sim_ledger_t *self, unsigned number, uint32_t life)
{
    const s_stream_t *stream = &self->streams[number];
    for (unsigned index = 0; index < stream->reader_count; index++) {
        if (stream->readers[index].life == life) {
            return stream->readers[index].seen;
        }
    }
    return 0;
}

bool
sim_ledger_accepted (const sim_ledger_t *self, unsigned number, uint64_t seq)
{
    const s_message_t *message = s_message (&self->streams[number], seq);
    return message && message->accepted;
}

uint64_t
sim_ledger_open (const sim_ledger_t *self)
{
    uint64_t open = 0;
    for (unsigned index = 0; index < self->stream_count; index++) {
        const s_stream_t *stream = &self->streams[index];
        for (size_t at = 0; at < stream->count; at++) {
            const s_message_t *message = &stream->messages[at];
            open += !s_is_over (stream, message);
        }
    }
    return open;
}

void
sim_ledger_show_open (const sim_ledger_t *self)
{
    unsigned shown = 0;
    for (unsigned index = 0; index < self->stream_count; index++) {
        const s_stream_t *stream = &self->streams[index];
        for (size_t at = 0; at < stream->count && shown < 10; at++) {
            const s_message_t *message = &stream->messages[at];
            if (!s_is_over (stream, message)) {
                shown++;
                sim_trace (self->world,
                           "open  stream %u %s %" PRIu64 "%s%s%s, given out %u"
                           " times, expires %" PRIu64,
                           index, stream->outbox, message->seq,
                           message->synced ? " synced" : "",
                           message->sent ? " sent" : "",
                           message->rejected ? " rejected" : "",
                           message->handed, message->expires_ms);
            }
        }
    }
}

void
sim_ledger_finish (sim_ledger_t *self)
{
    for (unsigned index = 0; index < self->stream_count; index++) {
        const s_stream_t *stream = &self->streams[index];
        for (size_t at = 0; at < stream->count; at++) {
            const s_message_t *message = &stream->messages[at];
            if (!s_is_over (stream, message)) {
                sim_fail (self->world,
                          "L-lost: %s %" PRIu64 " (%s) was never accepted",
                          stream->outbox, message->seq,
                          message->synced    ? "synced"
                          : message->written ? "written"
                                             : "not confirmed");
                return;
            }
        }
        s_check_answers (self, stream);
    }
}

sim_ledger_totals_t
sim_ledger_totals (const sim_ledger_t *self)
{
    sim_ledger_totals_t totals = {
        .published = self->published,
        .accepted = self->accepted,
        .delivered = self->delivered,
        .redelivered = self->redelivered,
    };
    for (unsigned index = 0; index < self->stream_count; index++) {
        const s_stream_t *stream = &self->streams[index];
        for (size_t at = 0; at < stream->count; at++) {
            totals.lost_unconfirmed
                += stream->messages[at].gone && !stream->messages[at].synced;
        }
    }
    return totals;
}
