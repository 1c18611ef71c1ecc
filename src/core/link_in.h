//  core/link_in.h - the consumer's side of a link: one connection that came in
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_LINK_IN_H
#define TRN_LINK_IN_H

#include "core/inside.h"

//  A frame came over this route, which may be new.
void
trn_link_in_on_frame (trn_engine_t *engine, trn_route_t route,
                      const trn_frame_t *frame, uint32_t run_size);

//  Bytes came that are no frame, or a damaged run.
void
trn_link_in_on_garbage (trn_engine_t *engine, trn_route_t route, bool run);

//  What we say does not get there.
void
trn_link_in_on_lost (trn_engine_t *engine, trn_inbound_t *self);

void
trn_link_in_on_tick (trn_engine_t *engine, trn_inbound_t *self);

//  Own lag: what nobody could hear was not silence.
void
trn_link_in_forgive (trn_engine_t *engine, trn_inbound_t *self);

int64_t
trn_link_in_deadline (const trn_engine_t *engine, const trn_inbound_t *self);

//  Say goodbye (with words) or not (NULL), and drop the route.
void
trn_link_in_close (trn_engine_t *engine, trn_inbound_t *self,
                   const char *goodbye);

//  A frame to send over it, to be filled in; valid until the next action.
trn_frame_t *
trn_link_in_send (trn_engine_t *engine, trn_inbound_t *self,
                  trn_frame_type_t type);

#endif
