//  core/ready.h - which message of a queue comes next
//
//  The order of docs/QUEUES.md: by priority, what came back before what was
//  never given out, then by age.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_READY_H
#define TRN_READY_H

#include "core/engine.h"
#include "core/subscription.h"

//  A ruled message, unless it is settled here, or known; wall_ms is now.  One
//  beyond high is not there yet, see trn_subscription_append ().
void
trn_ready_add (trn_subscription_t *self, const trn_rule_t *rule, uint64_t high,
               uint64_t wall_ms);

//  from..to, or some of it, may have become ready; what came back goes before
//  what did not.
void
trn_ready_try (trn_subscription_t *self, uint64_t from, uint64_t to,
               bool came_back);

//  A ruled message is due, or the first of its key now.
void
trn_ready_try_ruled (trn_subscription_t *self, uint32_t number);

//  They wait for nothing but their count, or no longer.
void
trn_ready_press (trn_subscription_t *self, uint64_t from, uint64_t to);

void
trn_ready_unpress (trn_subscription_t *self, uint64_t from, uint64_t to);

//  It stands nowhere any more: it leaves all sets but settled and leased.
void
trn_ready_pull (trn_subscription_t *self, uint64_t from, uint64_t to);

//  What came back and whose time has come.
void
trn_ready_ripen (trn_subscription_t *self, int64_t now_ms);

//  Messages that nobody holds and that could go now, about: settled ones among
//  the plain are counted.
uint64_t
trn_ready_available (const trn_subscription_t *self, uint64_t high);

//  What to give next.
bool
trn_ready_chance (trn_subscription_t *self, uint64_t high,
                  trn_chance_t *chance);

//  The seqs that will be asked for next, at most so many: what follows the
//  chance that was just had, roughly in order.  Returns how many.
size_t
trn_ready_peek (const trn_subscription_t *self, uint64_t *seqs, size_t max);

#endif
