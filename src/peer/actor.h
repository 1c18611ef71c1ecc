//  peer/actor.h - the peer's own thread
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_ACTOR_H
#define TRN_ACTOR_H

#include "peer/peer.h"

//  Frames taken from one socket before the others get their turn.
#define TRN_ITEM_BURST 64

//  Kinds of poll items.
enum {
    TRN_ITEM_WAKE,
    TRN_ITEM_ROUTER,
    TRN_ITEM_LINK,
    TRN_ITEM_LINK_MONITOR,
    TRN_ITEM_NODE,
    TRN_ITEM_NODE_MONITOR
};

//  Do everything that the engine has decided.
void
trn_actor_drain (tern_peer_t *self);

#endif
