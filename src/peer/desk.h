//  peer/desk.h - where the replies of durable requests arrive
//
//  One per peer, while it has durable requesters: it consumes the private queue
//  '@' name and hands each reply to whoever waits for its correlation.  What
//  nobody waits for is settled and counted, unless it belongs to a request of an
//  earlier life: that is kept a while, for an application that asks for it again.
//
//  Threads: its own hands out; any may add.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_DESK_H
#define TRN_DESK_H

#include "peer/peer.h"

typedef struct trn_desk trn_desk_t;

//  What came: a message of the desk's, one reference for the taker, with what its
//  marks say; or none and a status.
typedef struct {
    tern_msg_t *msg;
    int status;
    bool last, empty;  //  empty: the message only says that this is the end
    trn_text_t why;
} trn_desk_reply_t;

//  Somebody who waits; embedded.  The desk drops it after the last reply, or
//  when it finds it dead, and then calls done.
typedef struct trn_wanted {
    struct trn_wanted *next;
    char correlation[TRN_WORD_MAX + 1];
    int64_t due_ms;
    uint64_t parts;  //  heard
    atomic_bool dead;
    //  False: nobody waits any more, the message is still the desk's.
    bool (*hear) (struct trn_wanted *wanted, const trn_desk_reply_t *reply);
    void (*done) (struct trn_wanted *wanted);
} trn_wanted_t;

//  The peer's desk, opened if there is none.  Counted.  0, or what
//  tern_consumer_open () returns.
int
trn_desk_acquire (tern_peer_t *peer, trn_desk_t **self_p);

//  Sets *self_p to NULL.
void
trn_desk_release (trn_desk_t **self_p);

void
trn_desk_add (trn_desk_t *self, trn_wanted_t *wanted);

//  A requester is closed: a reply to any request so far may be asked for again.
void
trn_desk_leave (trn_desk_t *self);

//  Drop those that are dead, now.
void
trn_desk_sweep (trn_desk_t *self);

//  The application has it: never send it again.
void
trn_desk_settle (trn_desk_t *self, const tern_msg_t *msg);

#endif
