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

//  What the roster says; see engine.h.
void
trn_link_out_on_peer (trn_engine_t *engine, const char *name,
                      uint64_t incarnation, const char *endpoint,
                      const char *const *queues, size_t queue_count);

void
trn_link_out_on_peer_gone (trn_engine_t *engine, const char *name);

//  A queue that we publish to is new: links that consume it have work.
void
trn_link_out_on_subscription (trn_engine_t *engine);

void
trn_link_out_on_frame (trn_engine_t *engine, trn_link_t *self,
                       const trn_frame_t *frame);

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
