//  core/subscription.h - one queue's position in one outbox
//
//  Every seq from 1 to the outbox's high is in exactly one of these states:
//
//                 ┌────────────────── resume ─────────────────┐
//                 │                                           ▼
//      ready ── assign ──▶ leased ── accepted ──────────▶  settled
//        ▲                  │  │                            ▲   ▲
//        │                  │  └── rejected, spent ─┐       │   └─ gap, dropped
//   its time has come,      ▼                       ▼       │
//   its count is saved   resting ── expired ──▶   parked ── buried
//
//  Ready are the plain ones from next on, which take no memory, and those that
//  stand in `again` (came back) and `fresh` (ruled), by priority.  Resting is
//  what came back and waits for its time or for its count to be durable, what is
//  not due yet, what stands behind an older one of its ordering key, and what is
//  held.  low is the first seq that is not settled.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_SUBSCRIPTION_H
#define TRN_SUBSCRIPTION_H

#include "base/limits.h"
#include "base/ranges.h"
#include "base/seqset.h"
#include "core/counts.h"
#include "core/list.h"
#include "core/lost.h"
#include "core/policy.h"
#include "core/returned.h"
#include "core/ruled.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trn_publication;

typedef struct {
    uint64_t requeued, rejected, released, stale, dropped, expired, dead;
    uint64_t transmitted, consumed, redelivered;
} trn_subscription_stats_t;

typedef enum {
    TRN_DEAD_REJECTED,
    TRN_DEAD_SPENT,
    TRN_DEAD_EXPIRED
} trn_death_t;

//  Dead ones, on their way to the dead letters.
typedef struct {
    uint64_t from, to;
    trn_death_t reason;
    uint32_t link;  //  whose consumer had it last, 0 if nobody knows
} trn_grave_t;

typedef struct {
    trn_grave_t *at;  //  owned; live from head on
    size_t head, count, capacity;
} trn_graves_t;

//  One more at the end.
void
trn_graves_add (trn_graves_t *self, const trn_grave_t *grave);

typedef struct {
    struct trn_publication *publication;  //  the outbox it belongs to
    char queue[TRN_NAME_MAX + 2];
    uint32_t number;  //  of the queue in the outbox
    trn_policy_t policy;
    bool own_policy;  //  not that of the outbox
    uint64_t low;     //  the first seq that is not settled
    uint64_t next;    //  plain ones: never assigned in this life from here on
    uint64_t doubt_from, doubt;  //  an earlier life may have delivered these
    uint64_t told;               //  ruled ones are known up to here
    trn_seqset_t settled;        //  gaps, dropped and foreign ones included
    trn_seqset_t foreign;        //  settled because it was never for this queue
    trn_seqset_t leased;
    trn_seqset_t parked;  //  dead, not buried yet
    trn_seqset_t stored;  //  from low on: a consumer has it on its disk.  Says
                          //  nothing of its state

    //  Ready, but for the plain ones.
    trn_seqset_t again[TRN_PRIORITIES], fresh[TRN_PRIORITIES];
    uint64_t ready;      //  in these
    trn_seqset_t aside;  //  plain, from next on, but resting or in one of these

    //  Resting.
    trn_seqset_t unripe;     //  in returned
    trn_seqset_t uncounted;  //  its count is in no state
    trn_seqset_t counting;   //  its count is in the state that is being saved
    trn_seqset_t pressing[TRN_PRIORITIES];  //  of these two, by priority:
                                            //  nothing new goes before them
    trn_seqset_t held;  //  a dead letter that has not left its queue yet
    trn_returned_t returned;

    uint64_t cut;             //  counts from here on are in no state, or 0
    trn_counts_t counts;      //  deliveries so far, without the one of a lease
    trn_seqset_t ruled_seqs;  //  what is in ruled
    trn_ruled_t ruled;        //  not settled
    uint64_t swept;           //  all up to here has outlived the queue's ttl
    trn_graves_t graves;      //  to be asked for
    trn_graves_t asked;       //  one seq each
    int64_t bury_ms;          //  ask not before
    uint32_t bury_failures;   //  in a row
    bool wants_save;          //  something is uncounted

    //  A queue that no saved state knows gives nothing out: a crash would take
    //  it, and another that begins in its place would not say what was sent.
    bool unknown;
    bool introduced;  //  the state that is being saved knows it
    bool withheld;    //  no state may know it, see trn_engine_on_past ()

    trn_lost_t lost;  //  to its limit or to time

    //  What a saved state says: consumers may forget it.  And what the state
    //  says that is being saved.
    uint64_t durable_low, saving_low;
    trn_ranges_t durable, saving;

    //  Who consumes it now; kept by dispatch.
    trn_list_t flows;  //  of trn_flow_t, open ones
    size_t turn;       //  who is first next time
    bool reading;      //  the shell fetches records for us
    bool dirty;        //  dispatch has to look
    trn_subscription_stats_t stats;
} trn_subscription_t;

//  Consecutive seqs that can be given to somebody now.
typedef struct {
    uint64_t from, to;
    uint32_t deliveries;  //  of the delivery to come
    bool redelivered;
    trn_seqset_t *set;  //  where they stand; NULL: plain ones from next on
} trn_chance_t;

//  Start at low (>= 1), everything below it settled.
trn_subscription_t *
trn_subscription_new (const char *queue, uint64_t low);

void
trn_subscription_destroy (trn_subscription_t **self_p);

//  The first seq that is not settled.
uint64_t
trn_subscription_low (const trn_subscription_t *self);

//  An earlier life settled from..to, or it names no message.
void
trn_subscription_add_settled (trn_subscription_t *self, uint64_t from,
                              uint64_t to);

//  An earlier life knew that from..to were delivered so often.
void
trn_subscription_add_count (trn_subscription_t *self, uint64_t from,
                            uint64_t to, uint32_t count);

//  from..to are there now: the times of the ruled ones among them begin to count.
//  A rule comes first, and until then its message must not end: it may never
//  come, or come again under another seq after a crash.
void
trn_subscription_append (trn_subscription_t *self, uint64_t from, uint64_t to);

//  The chance's first count seqs are leased now.
void
trn_subscription_assign (trn_subscription_t *self, const trn_chance_t *chance,
                         uint64_t count);

//  Leased seqs change their state; from..to are all leased.
void
trn_subscription_accept (trn_subscription_t *self, uint64_t from, uint64_t to);

//  Never opened: ready again, and counts as if it had not been sent.
void
trn_subscription_release (trn_subscription_t *self, uint64_t from, uint64_t to);

//  Delivered so often now, and not before due_ms again; 0: no wait.  Its count
//  must be durable first if there is a limit.
void
trn_subscription_return (trn_subscription_t *self, uint64_t from, uint64_t to,
                         uint32_t deliveries, int64_t due_ms);

//  It is dead: leased ones, or any that nobody holds.  In a queue where nothing
//  dies it is dropped.
void
trn_subscription_park (trn_subscription_t *self, uint64_t from, uint64_t to,
                       trn_death_t reason, uint32_t link);

//  The first part of from..to that is neither settled nor with a consumer, nor
//  dead: false if there is none.
bool
trn_subscription_waits (const trn_subscription_t *self, uint64_t from,
                        uint64_t to, trn_range_t *part);

//  Settle what nobody holds.  Drop: it is lost, dead ones included.  Returns
//  how many.
uint64_t
trn_subscription_drop (trn_subscription_t *self, uint64_t from, uint64_t to);

//  The time of from..to, which nobody holds, is over: they are lost.
void
trn_subscription_expire (trn_subscription_t *self, uint64_t from, uint64_t to);

//  A consumer settled from..to in an earlier connection: whatever nobody holds
//  now is settled.  Returns how many were.
uint64_t
trn_subscription_resume (trn_subscription_t *self, uint64_t from, uint64_t to,
                         uint64_t high);

//  Never meant for this queue: nothing of it was given out.
void
trn_subscription_skip (trn_subscription_t *self, uint64_t from, uint64_t to);

//  It has just begun: its past is up to seq, and of that it gets its own.  What it
//  does not get was never for it, or (unless foreign) is settled.
void
trn_subscription_begin (trn_subscription_t *self, const trn_seqset_t *own,
                        uint64_t to, bool foreign);

//  Drop all that waits, up to high.  Returns how many.
uint64_t
trn_subscription_purge (trn_subscription_t *self, uint64_t high);

//  One that nobody holds is settled for another reason.
void
trn_subscription_settle (trn_subscription_t *self, uint64_t from, uint64_t to);

//  Not to be delivered, until released.
void
trn_subscription_hold (trn_subscription_t *self, uint64_t seq);

void
trn_subscription_unhold (trn_subscription_t *self, uint64_t seq);

//  Does a limit of deliveries hold, so that counts must be durable?
bool
trn_subscription_counts (const trn_subscription_t *self);

//  The state that holds these counts, and the settled seqs, is being saved; is
//  durable.
void
trn_subscription_saving (trn_subscription_t *self);

void
trn_subscription_saved (trn_subscription_t *self);

//  Is it settled, or was it never for this queue, and will a later life know?
bool
trn_subscription_settled_for_good (const trn_subscription_t *self,
                                   uint64_t seq);

//  A consumer has these on its disk.
void
trn_subscription_store (trn_subscription_t *self, uint64_t from, uint64_t to);

//  The first seq that is neither settled nor stored.
uint64_t
trn_subscription_stored (const trn_subscription_t *self);

//  Waiting messages, exactly: neither settled nor leased nor dead.
uint64_t
trn_subscription_waiting (const trn_subscription_t *self, uint64_t high);

#endif
