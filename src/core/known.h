//  core/known.h - the publishing stores that a consumer remembers
//
//  For the life of the process: the highest incarnation of each store and its
//  random number, so that a clone or an older one is known when it comes, and
//  its streams.  Bounded; see TERN-PUBLISHER-FORGOTTEN.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_KNOWN_H
#define TRN_KNOWN_H

#include "core/inside.h"

trn_known_t *
trn_known_find (trn_engine_t *engine, const uint8_t store_uuid[16]);

//  The store that came last under this name.
trn_known_t *
trn_known_find_name (trn_engine_t *engine, trn_text_t name);

//  Remember a new store; NULL if there is no room and none can be forgotten.
trn_known_t *
trn_known_add (trn_engine_t *engine, const trn_identity_t *who);

//  Its stream of this outbox and queue, made if need be; NULL: too many.
trn_stream_t *
trn_known_stream (trn_engine_t *engine, trn_known_t *self, trn_text_t outbox,
                  trn_text_t queue);

//  The store was opened again: what it sent until now was in earlier lives.
void
trn_known_begin_life (trn_known_t *self);

//  Count what is remembered of a stream, after it may have changed.
void
trn_known_count (trn_engine_t *engine, trn_stream_t *stream);

//  Forget it and its streams.
void
trn_known_remove (trn_engine_t *engine, trn_known_t *self);

#endif
