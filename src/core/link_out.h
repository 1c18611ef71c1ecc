//  core/link_out.h - the publisher's side of a link: one consuming peer
//
//               roster lists it, and it consumes what we publish
//      IDLE ───────────────────────────────────────▶ GREETING ──▶ OPEN
//        ▲                                            │   ▲        │
//        │ nothing to do there          no WELCOME,   │   │ time   │ silence,
//        │ any more                     REFUSE        ▼   │        │ BYE, nonsense
//        └───────────────────────────────────────── WAITING ◀──────┘
//
//  One socket per attempt, closed by one action.  Suspicion closes a connection
//  and decides nothing else.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_LINK_OUT_H
#define TRN_LINK_OUT_H

#include "core/inside.h"

//  A link to a peer of this name, idle and in no table yet.
trn_link_t *
trn_link_out_new (trn_engine_t *engine, const char *name);

//  What is wanted of it may have changed: greet, offer, or stop trying.
void
trn_link_out_look (trn_engine_t *engine, trn_link_t *self);

//  The same for one subscription that may be offered now, whatever others there
//  are: this one costs nothing more where there are thousands.
void
trn_link_out_look_at (trn_engine_t *engine, trn_link_t *self,
                      trn_subscription_t *sub);

//  Whoever sits at the old place is not whom the roster means now: hang up.
void
trn_link_out_move (trn_engine_t *engine, trn_link_t *self);

//  answer_size: of the record that came with an ANSWER.
void
trn_link_out_on_frame (trn_engine_t *engine, trn_link_t *self,
                       const trn_frame_t *frame, uint32_t answer_size);

//  The record of an ANSWER failed its sum.
void
trn_link_out_on_damage (trn_engine_t *engine, trn_link_t *self);

//  The socket is dead, or never came to life.
void
trn_link_out_on_disconnected (trn_engine_t *engine, trn_link_t *self);

//  Time passes.
void
trn_link_out_on_tick (trn_engine_t *engine, trn_link_t *self);

//  Own lag: what nobody could hear was not silence.
void
trn_link_out_forgive (trn_engine_t *engine, trn_link_t *self);

int64_t
trn_link_out_deadline (const trn_engine_t *engine, const trn_link_t *self);

//  Say goodbye and close.
void
trn_link_out_close (trn_engine_t *engine, trn_link_t *self);

void
trn_link_out_destroy (trn_engine_t *engine, trn_link_t **self_p);

//  A frame to send over an open link, to be filled in; valid until the next
//  action.  The second takes over the run's reference.
trn_frame_t *
trn_link_out_send (trn_engine_t *engine, trn_link_t *self,
                   trn_frame_type_t type);

trn_frame_t *
trn_link_out_send_run (trn_engine_t *engine, trn_link_t *self,
                       trn_frame_type_t type, const trn_engine_run_t *run);

#endif
