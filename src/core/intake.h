//  core/intake.h - a queue consumed here: who takes it, and who may send how much
//
//  The consumers of a queue say how much they hold at most; that is shared out
//  to the publishers as credit.  What is granted and not used, and what is in
//  hand and not settled, together never exceed it.
//
//  A publisher alone gets everything.  Of several, each keeps a little and the
//  rest goes to those that use it.  If one has messages and no credit, unused
//  credit of another is taken back: its limit is lowered, and once it has
//  answered the PING that follows, it cannot use the old one any more.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_INTAKE_H
#define TRN_INTAKE_H

#include "core/inside.h"

trn_intake_t *
trn_intake_find (trn_engine_t *engine, trn_text_t queue);

trn_consumer_t *
trn_intake_add_consumer (trn_engine_t *engine, const char *queue,
                         uint32_t prefetch, uint32_t bytes);

void
trn_intake_remove_consumer (trn_engine_t *engine, trn_consumer_t *consumer);

//  Does one of its consumers say what it has stored?
bool
trn_intake_keeps (const trn_intake_t *self);

//  A paused one gets no credit, and what it had is taken back.
void
trn_intake_pause (trn_consumer_t *consumer, bool paused);

//  Free an intake with its consumers; no flow is left.
void
trn_intake_destroy (trn_engine_t *engine, trn_intake_t **self_p);

//  A flow may send to this queue, or no longer.
void
trn_intake_join (trn_engine_t *engine, trn_intake_t *self, trn_inflow_t *flow);

void
trn_intake_leave (trn_intake_t *self, trn_inflow_t *flow);

//  The consumer with most room, and in *room_p how many messages it takes: all
//  of count if nobody has room, as what is here has to go somewhere.
trn_consumer_t *
trn_intake_choose (const trn_intake_t *self, uint64_t count, uint64_t *room_p);

//  The publisher answered the PING that took credit back.
void
trn_intake_on_pong (trn_inflow_t *flow, uint64_t nonce);

//  Grant what there is to grant.
void
trn_intake_run (trn_engine_t *engine);

#endif
