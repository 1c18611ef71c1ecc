//  core/flow.h - one subscription given to one consuming peer
//
//  A flow is offered, accepted with what the consumer settled before, then runs
//  go out under absolute credit and come back as settlements.  When it ends, for
//  whatever reason, what is unsettled goes back to the subscription at once.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_FLOW_H
#define TRN_FLOW_H

#include "core/inside.h"

//  A new flow of an open link, offered.
trn_flow_t *
trn_flow_new (trn_engine_t *engine, trn_link_t *link, trn_subscription_t *sub);

//  Give back what is unsettled, leave the subscription, free.  The link forgets
//  it first.
void
trn_flow_end (trn_engine_t *engine, trn_flow_t **self_p);

//  Frames of the consumer.  False: it broke the protocol.
bool
trn_flow_on_accept (trn_engine_t *engine, trn_flow_t *self,
                    const trn_frame_t *frame);

bool
trn_flow_on_credit (trn_engine_t *engine, trn_flow_t *self,
                    const trn_frame_t *frame);

//  Whatever it has of from..to is accepted.
void
trn_flow_settled (trn_engine_t *engine, trn_flow_t *self, uint64_t from,
                  uint64_t to);

bool
trn_flow_on_settle (trn_engine_t *engine, trn_flow_t *self,
                    const trn_frame_t *frame);

//  Say what is durably settled, as far as it was not said yet.
void
trn_flow_tell_floor (trn_engine_t *engine, trn_flow_t *self);

//  Messages wait and there is no credit for them: say so, once per CREDIT, by
//  the same OFFER again.
void
trn_flow_tell_more (trn_engine_t *engine, trn_flow_t *self);

//  The floor to tell: what a saved state says.
uint64_t
trn_flow_floor (const trn_flow_t *self);

//  How much it may be sent now; 0 messages: nothing.
uint64_t
trn_flow_room (const trn_flow_t *self, uint64_t *bytes_p);

//  How many messages this consumer accepts in 16 ms, as it did of late; 0 if it
//  did not.
uint64_t
trn_flow_pace (const trn_flow_t *self, int64_t now_ms);

#endif
