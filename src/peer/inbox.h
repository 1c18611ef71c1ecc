//  peer/inbox.h - a consumer's own durable copy of what it is given
//
//  A queue that is consumed with an inbox has, in the store of the consuming peer,
//  an outbox of its own, named '+' and the queue.  What publishers send goes into
//  its log; the application gets it from there, over this peer's link to itself:
//
//      publisher ══ link ══▶ inbox ─▶ log +queue ══ own link ══▶ consumer ─▶ app
//          ▲                   │ synced                             │
//          │     STORED, or ◀──┘                                    │
//          └──── ACCEPTED ◀───── (early: when synced) ◀── accepted ─┘
//
//  So the copy has the rules of a queue, counts, dead letters, limits, recovery
//  and inspection because it lies in one.  What is left here is the seam: which
//  message of which publisher a copy is of.
//
//  Thread: the actor, or who opens the peer.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_INBOX_H
#define TRN_INBOX_H

#include "peer/peer.h"
#include "peer/taken.h"

//  What it needs to know of a consumer.
typedef struct {
    uint32_t prefetch, bytes;
    bool early;  //  accept as soon as it is synced
} trn_inbox_terms_t;

trn_inbox_t *
trn_inbox_new (trn_box_t *box);

void
trn_inbox_destroy (trn_inbox_t **self_p);

//  A record of an earlier life; arg is the box.
void
trn_inbox_found (void *arg, const trn_record_t *record);

//  What was taken in, which stands before the engine's state.  Returns the size.
#define TRN_INBOX_STATE_MAX TRN_TAKEN_STATE_MAX

size_t
trn_inbox_pack (const trn_inbox_t *self, uint8_t to[TRN_INBOX_STATE_MAX]);

//  Returns the size, 0 if these bytes are none.  With self NULL only that.
size_t
trn_inbox_unpack (trn_inbox_t *self, const uint8_t *bytes, size_t size);

//  The engine knows the outbox now.
void
trn_inbox_start (trn_box_t *box);

//  One more consumer takes from it.  TERN_EINVAL: another one settles otherwise.
//  TERN_EIO: its log has failed.
int
trn_inbox_join (trn_inbox_t *self, const trn_inbox_terms_t *terms);

void
trn_inbox_leave (trn_inbox_t *self, const trn_inbox_terms_t *terms);

//  One of its consumers takes nothing for a while.
void
trn_inbox_pause (trn_inbox_t *self, bool paused);

//  Do publishers hear of us?
bool
trn_inbox_takes (const trn_inbox_t *self);

//  DELIVER to an inbox?  Then it was done.
bool
trn_inbox_deliver (tern_peer_t *peer, const trn_action_t *action);

//  A consumer settled from..to of the inbox.
void
trn_inbox_settle (trn_inbox_t *self, trn_consumer_id_t consumer, uint32_t flow,
                  uint64_t from, uint64_t to, trn_outcome_t outcome,
                  int64_t now_ms);

//  The engine has told its progress.
void
trn_inbox_progress (trn_inbox_t *self);

//  News from the disk.
void
trn_inbox_look (trn_inbox_t *self);

#endif
