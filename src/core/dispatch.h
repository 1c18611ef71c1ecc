//  core/dispatch.h - which consumer gets which messages, and when
//
//  Runs go to the flows that have credit, in turn.  A run is no larger than a
//  fair share of what is there: with one flow it takes everything, with three
//  and six messages each gets two.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_DISPATCH_H
#define TRN_DISPATCH_H

#include "core/inside.h"

//  An open flow takes part, or no longer.
void
trn_dispatch_join (trn_engine_t *engine, trn_flow_t *flow);

void
trn_dispatch_leave (trn_engine_t *engine, trn_flow_t *flow);

//  Something changed for this subscription: look at it before the shell gets
//  its last action.
void
trn_dispatch_touch (trn_engine_t *engine, trn_subscription_t *sub);

//  Records that were being fetched are there.
void
trn_dispatch_on_records (trn_engine_t *engine, trn_subscription_t *sub);

//  Look at all that were touched.
void
trn_dispatch_run (trn_engine_t *engine);

//  When time changes something for this subscription.
int64_t
trn_dispatch_deadline (const trn_engine_t *engine,
                       const trn_subscription_t *sub);

#endif
