//  sim/ledger.h - what was promised, and whether it was kept
//
//  The ledger watches from outside: it is told what applications published,
//  what they were told about it, what they were given and what they settled.
//  It never looks into an engine.  A call that breaks a promise ends the run
//  with one line that says which.  The promises (docs/GUARANTEES.md):
//
//      L-lost      what was confirmed is there after the restart that it was
//                  confirmed to survive, and is accepted in the end
//      L-payload   a seq never names two payloads
//      L-again     what an application accepted does not come to it again in
//                  the same life; what it holds is not given to it twice
//      L-order     first deliveries of one publisher's queue come in order
//      L-flag      what is sent again says so, unless it was given back unopened
//      L-early     a publisher never takes for settled what no application
//                  accepted, and what is not among the dead letters
//      L-count     no application is given a message more often than its queue
//                  allows, unless it gave it back unopened
//      L-time      nothing is sent before it is due, or when its time is over
//      L-key       of one ordering key nothing is sent before all older ones are
//                  accepted, dead, or dropped
//      L-urgent    nothing is sent for the first time while something more urgent
//                  waits
//      L-answer    a request that was accepted has a reply that was accepted, or
//                  that was synced and went with its disk
//      L-dead      a message dies once; its dead letter is not sent before its
//                  queue durably forgot it, and it is not sent itself after
//
//  A stream is one outbox of one store.  A life is one run of one peer; lives
//  have numbers that never come twice.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef SIM_LEDGER_H
#define SIM_LEDGER_H

#include "sim/world.h"

#include "base/ranges.h"
#include "core/engine.h"
#include "wire/frame.h"

//  What a restart left of a store.
typedef enum {
    SIM_SURVIVES_ALL,   //  a clean stop: every record is there
    SIM_SURVIVES_KILL,  //  the process died: what was written is there
    SIM_SURVIVES_CRASH  //  the power failed: what was synced is there
} sim_survival_t;

sim_ledger_t *
sim_ledger_new (sim_world_t *world);

void
sim_ledger_destroy (sim_ledger_t **self_p);

//  A body as one number (FNV-1a).
uint64_t
sim_ledger_print (const uint8_t *body, uint32_t size);

//  The stream of this outbox, known from now on.
unsigned
sim_ledger_stream (sim_ledger_t *self, const uint8_t store_uuid[16],
                   const char *outbox);

//  The application published a message; print is a hash of its body.
void
sim_ledger_append (sim_ledger_t *self, unsigned stream, uint64_t seq,
                   uint64_t print);

//  The publisher was told how far its messages are safe.
void
sim_ledger_confirm (sim_ledger_t *self, unsigned stream, uint64_t written,
                    uint64_t synced);

//  The outbox was opened again; it continues above high.
void
sim_ledger_reopen (sim_ledger_t *self, unsigned stream, sim_survival_t survival,
                   uint64_t high, const trn_ranges_t *gaps);

//  The store is gone on purpose: nothing is expected of its messages.
void
sim_ledger_forget (sim_ledger_t *self, unsigned stream);

//  The store was replaced by a copy made when its last seq was `high`: from
//  now on this is another stream under the old name.  Returns its number.
unsigned
sim_ledger_fork (sim_ledger_t *self, unsigned stream, uint64_t high);

//  Another process runs on a copy of this store: its messages are a stream of
//  their own, and nothing is expected of what it found.  Returns its number.
unsigned
sim_ledger_twin (sim_ledger_t *self, unsigned stream);

//  A message of an exchange belongs to this queue, too: a new one, or one of the
//  past that the queue begins with.
void
sim_ledger_join (sim_ledger_t *self, unsigned stream, uint64_t seq,
                 uint64_t print, const trn_rule_t *rule);

//  The queue is not bound any more: nothing is expected of what it had.
void
sim_ledger_unbind (sim_ledger_t *self, unsigned stream);

//  No saved state knew the queue, so its publisher's new life does not: nothing
//  that was confirmed may have been in it.
void
sim_ledger_lose (sim_ledger_t *self, unsigned stream, sim_survival_t survival);

//  The outbox's limit dropped what is below floor.
void
sim_ledger_drop (sim_ledger_t *self, unsigned stream, uint64_t floor);

//  What the publisher of a stream says about its queue.
void
sim_ledger_rule (sim_ledger_t *self, unsigned stream,
                 const trn_policy_t *policy);

//  What is not plain about the message that was published last.
void
sim_ledger_ruled (sim_ledger_t *self, unsigned stream, const trn_rule_t *rule);

//  The message that was published last is a request, or a reply to the one with
//  this print.
void
sim_ledger_asks (sim_ledger_t *self, unsigned stream);

void
sim_ledger_answers (sim_ledger_t *self, unsigned stream, uint64_t print);

//  A message died and is this one of another stream now; that is synced.
void
sim_ledger_bury (sim_ledger_t *self, unsigned stream, uint64_t seq,
                 unsigned dead_stream, uint64_t dead_seq);

//  A publisher sends a run, under a token.
void
sim_ledger_send (sim_ledger_t *self, unsigned stream, uint64_t first_seq,
                 uint32_t count, uint64_t token, bool redelivered);

//  The token under which this message was sent last, 0 for never.
uint64_t
sim_ledger_token (const sim_ledger_t *self, unsigned stream, uint64_t seq);

//  A message came into an application's hands (its consumer's queue).
void
sim_ledger_deliver (sim_ledger_t *self, const uint8_t store_uuid[16],
                    const char *outbox, uint64_t seq, uint64_t print,
                    uint32_t life, bool redelivered);

//  The application settled it, or gave it back unopened (RELEASED).
void
sim_ledger_settle (sim_ledger_t *self, const uint8_t store_uuid[16],
                   const char *outbox, uint64_t seq, uint64_t print,
                   uint32_t life, trn_outcome_t outcome);

//  The publisher takes everything up to `processed` for settled.
void
sim_ledger_progress (sim_ledger_t *self, unsigned stream, uint64_t processed);

//  Ask is_settled () about every message the publisher may hold for settled.
typedef bool
sim_settled_fn (void *arg, uint64_t seq);

void
sim_ledger_audit (sim_ledger_t *self, unsigned stream,
                  sim_settled_fn *is_settled, void *arg);

//  A state is made of what is settled now; it is durable now; or a life begins
//  with what is durable.
void
sim_ledger_saving (sim_ledger_t *self, unsigned stream,
                   sim_settled_fn *is_settled, void *arg);

void
sim_ledger_saved (sim_ledger_t *self, unsigned stream);

void
sim_ledger_left (sim_ledger_t *self, unsigned stream,
                 sim_settled_fn *is_settled, void *arg);

//  Only one consumer, and it gives nothing back: every message a life sees for
//  the first time must come in order, whatever happens on the way.
void
sim_ledger_expect_order (sim_ledger_t *self, bool expected);

//  Highest seq of this stream that this life ever got, 0 for none.
uint64_t
sim_ledger_seen (const sim_ledger_t *self, unsigned stream, uint32_t life);

//  Was this message accepted?  For the stories in text.
bool
sim_ledger_accepted (const sim_ledger_t *self, unsigned stream, uint64_t seq);

//  Messages that are neither accepted nor rejected nor lost with permission.
uint64_t
sim_ledger_open (const sim_ledger_t *self);

//  The first few of them, for a trace.
void
sim_ledger_show_open (const sim_ledger_t *self);

//  Everything has drained: is everything where it should be?
void
sim_ledger_finish (sim_ledger_t *self);

typedef struct {
    uint64_t published, accepted, delivered, redelivered, lost_unconfirmed;
} sim_ledger_totals_t;

sim_ledger_totals_t
sim_ledger_totals (const sim_ledger_t *self);

#endif
