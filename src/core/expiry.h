//  core/expiry.h - what happens to messages because the wall clock moves
//
//  Ruled ones have their times in a heap.  Plain ones of a queue with a time to
//  live have none: marks say up to which seq all were accepted by when, so that
//  most go in a few steps, and what lies between two marks is looked at when it
//  would be delivered.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_EXPIRY_H
#define TRN_EXPIRY_H

#include "core/inside.h"

//  The outbox has grown to its high now.
void
trn_expiry_mark (const trn_engine_t *engine, trn_publication_t *publication);

//  Those that are due become ready, those whose time is over are dead.
void
trn_expiry_run (trn_engine_t *engine, trn_subscription_t *sub);

//  from..to came back: the time of some may have passed meanwhile.
void
trn_expiry_look (trn_engine_t *engine, trn_subscription_t *sub, uint64_t from,
                 uint64_t to);

//  Accepted then: is its time over by the queue's rule?
bool
trn_expiry_is_over (const trn_engine_t *engine, const trn_subscription_t *sub,
                    uint64_t stamp_us);

//  The time of from..to is over: those that nobody holds are dead, or dropped.
void
trn_expiry_end (trn_engine_t *engine, trn_subscription_t *sub, uint64_t from,
                uint64_t to);

//  When the clock will say something new about this queue.
int64_t
trn_expiry_deadline (const trn_engine_t *engine, const trn_subscription_t *sub);

#endif
