//  core/callees.h - whom a publisher may have to call, as the roster says
//
//  One link per name of a consuming peer.  A link outlives its peer's absence,
//  so that we know the name again when it comes back with another store; the
//  table is bounded, and the first one idle and not listed makes room.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_CALLEES_H
#define TRN_CALLEES_H

#include "core/inside.h"

//  See engine.h.
void
trn_callees_on_peer (trn_engine_t *engine, const char *name,
                     uint64_t incarnation, const char *endpoint,
                     const char *const *queues, size_t queue_count);

void
trn_callees_on_peer_gone (trn_engine_t *engine, const char *name);

//  A queue that we publish to may be offered now: to the links that consume it.
void
trn_callees_on_subscription (trn_engine_t *engine, trn_subscription_t *sub);

//  A service that we call is new.
void
trn_callees_on_need (trn_engine_t *engine);

#endif
