//  core/subscription.h - one queue's position in one outbox
//
//  Every seq from 1 to the outbox's high is in exactly one of these states:
//
//                 ┌────────────────── resume ─────────────────┐
//                 │                                           ▼
//      new ── assign ──▶ leased ── accepted ──────────▶    settled
//                 ▲       │  │                              ▲   ▲
//              assign     │  └── rejected ──▶ parked        │   └─ gap, dropped
//                 │       ▼                                 │
//                 └─── returned ──────────── resume ────────┘
//
//  new is everything from next on that is not settled; settled, parked and
//  returned are kept; leased is the rest, and lives in the leases of the flows.
//  low is the first seq that is not settled.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_SUBSCRIPTION_H
#define TRN_SUBSCRIPTION_H

#include "base/limits.h"
#include "base/ranges.h"
#include "core/list.h"
#include "core/returned.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trn_publication;

typedef struct {
    uint64_t requeued, rejected, released, stale, dropped;
    uint64_t transmitted, consumed, redelivered;
} trn_subscription_stats_t;

typedef struct {
    struct trn_publication *publication;  //  the outbox it belongs to
    char queue[TRN_NAME_MAX + 2];
    uint64_t next;         //  never assigned in this life from here on
    uint64_t doubt;        //  up to here an earlier life may have delivered
    trn_ranges_t settled;  //  gaps and dropped ones included
    trn_ranges_t parked;   //  rejected; set aside for this life
    trn_returned_t returned;
    uint64_t leased;  //  messages

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
    bool returned;  //  from the returned ones, else new
} trn_chance_t;

//  Start at low (>= 1), everything below it settled.
trn_subscription_t *
trn_subscription_new (const char *queue, uint64_t low);

void
trn_subscription_destroy (trn_subscription_t **self_p);

//  The first seq that is not settled.
uint64_t
trn_subscription_low (const trn_subscription_t *self);

//  Messages that nobody holds and that could go now, about: settled ones among
//  the new are counted.
uint64_t
trn_subscription_available (trn_subscription_t *self, uint64_t high,
                            int64_t now_ms);

//  What to give next: returned ones that are due, in order, then new ones.
bool
trn_subscription_chance (trn_subscription_t *self, uint64_t high,
                         int64_t now_ms, trn_chance_t *chance);

//  The first count seqs of the chance just got are leased now, or (dropped)
//  turned out not to exist.
void
trn_subscription_assign (trn_subscription_t *self, const trn_chance_t *chance,
                         uint64_t count);

uint64_t
trn_subscription_drop (trn_subscription_t *self, uint64_t from, uint64_t to);

//  Leased seqs change their state; from..to are all leased.
void
trn_subscription_accept (trn_subscription_t *self, uint64_t from, uint64_t to);

void
trn_subscription_park (trn_subscription_t *self, uint64_t from, uint64_t to);

void
trn_subscription_return (trn_subscription_t *self, const trn_return_t *entry);

//  A consumer settled from..to in an earlier connection: whatever nobody holds
//  now is settled.  Returns how many were.
uint64_t
trn_subscription_resume (trn_subscription_t *self, uint64_t from, uint64_t to,
                         uint64_t high);

//  Too scattered to assign anything new: only what came back is delivered.
bool
trn_subscription_crowded (const trn_subscription_t *self);

//  New or returned messages, exactly.
uint64_t
trn_subscription_waiting (const trn_subscription_t *self, uint64_t high);

#endif
