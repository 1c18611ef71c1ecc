//  peer/large.h - large bodies, from the publisher's side
//
//  A body lives as long as a manifest that names it is not settled for good, in
//  its outbox or among the dead letters: a reference each.
//
//      send        upload ─▶ append the manifest ─▶ referred, before the engine
//                                                   hears of the message
//      dies        the letter is on the disk    ─▶ referred, before the engine
//                                                   settles the message
//      settled     a state that says so is durable ─▶ released; the last one
//                                                   removes the body
//
//  Nothing but the outboxes says which bodies live: opening finds the manifests
//  while it reads the logs anyway, and removes whatever no manifest names.
//
//  One thread per peer, begun with the first body, gives parts to those who ask
//  at '%' name, and removes.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_LARGE_H
#define TRN_LARGE_H

#include "peer/message.h"
#include "peer/peer.h"
#include "store/bodies.h"

//  Before the outboxes are opened.  0, or as trn_bodies_open ().
int
trn_large_open (tern_peer_t *peer);

//  Actor: a manifest in this box names a body.
void
trn_large_refer (trn_box_t *box, uint64_t seq, uint64_t body, uint64_t size);

//  All outboxes are open, no actor runs yet: forget what is settled, remove what
//  nobody names.
void
trn_large_restore (tern_peer_t *peer);

//  From now on parts are given.  0, or as tern_service_open ().  Any thread but
//  the actor.
int
trn_large_serve (tern_peer_t *peer);

//  The same if there is anything to give.
int
trn_large_resume (tern_peer_t *peer);

//  Actor: the box's state of this stamp is made; is durable.
void
trn_large_saving (trn_box_t *box, uint64_t stamp);

void
trn_large_saved (trn_box_t *box);

//  No more parts are given.  The actor still runs.
void
trn_large_stop (tern_peer_t *peer);

//  The actor has ended and has said the last states: what they settle goes, if
//  they are durable soon.
void
trn_large_settle (tern_peer_t *peer);

//  The store is still open.
void
trn_large_free (tern_peer_t *peer);

//  Is this consumer the peer's own, of those who ask for parts?
bool
trn_large_is_ours (const char *queue);

//  Any thread: room for a body in this outbox.  0, TERN_EFULL, TERN_ETIMEOUT,
//  TERN_ECLOSED.
int
trn_large_wait_room (trn_box_t *box, int timeout_ms);

trn_bodies_t *
trn_large_bodies (tern_peer_t *peer);

//  A body that will not have a manifest.
void
trn_large_drop (tern_peer_t *peer, uint64_t body);

//  upload.c: make an outgoing message without a body the manifest of this one.
//  sums has TRN_SUM_SIZE bytes for each part.  0, or TERN_ETOOBIG.
int
trn_manifest_make (tern_msg_t *msg, uint64_t size, uint64_t id,
                   const uint8_t *sums);

//  fetch.c: the way to publishers that are asked for bodies.  close (): nobody
//  fetches any more, the actor still runs.
void
trn_fetchers_open (tern_peer_t *peer);

void
trn_fetchers_close (tern_peer_t *peer);

void
trn_fetchers_free (tern_peer_t *peer);

//  What a part is asked for by, and how it is said that there is none.
#define TRN_LARGE_ASK_SIZE 32u
#define TRN_LARGE_GONE "gone"
#define TRN_LARGE_UNREADABLE "unreadable"

#endif
