//  peer/call.h - calls, between application threads and the actor
//
//      requester: ask ────▶ op ─▶ engine ─▶ CALL      ANSWER ─▶ heard
//      service:   recv ◀─── parcel ◀─ CALL    reply ─▶ op ─▶ ANSWER
//
//  What an application thread wants of the engine is an op on a lock-free list.
//  A thread that has nothing before it takes the actor's turn and carries its
//  op out itself, as publishers do.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_PEER_CALL_H
#define TRN_PEER_CALL_H

#include "peer/peer.h"

#include <tern/request.h>

//  Something to be done with the turn; embedded in its owner.
typedef struct trn_op {
    struct trn_op *next;
    void (*run) (tern_peer_t *peer, struct trn_op *op);
} trn_op_t;

//  Any thread: have it run, after what was posted before.  alone: do it here
//  and now if the actor sleeps.
void
trn_op_post (tern_peer_t *peer, trn_op_t *op, bool alone);

//  Words as they travel: cut, and what is not UTF-8 or a line's end made '?'.
void
trn_call_words (char words[TRN_TEXT_MAX + 1], const char *text);

//  A message as the record of a call, with seq as its number.  0, TERN_ETOOBIG.
int
trn_call_pack (tern_peer_t *peer, const char *service, const tern_msg_t *msg,
               uint64_t seq, zmq_msg_t *record);

//  Properties of a reply: 1 it is the last, 2 also no message at all; the
//  failure's words; of a durable one its number, from 1 on.
#define TRN_OWN_END "tern.end"
#define TRN_OWN_FAIL "tern.fail"
#define TRN_OWN_PART "tern.part"

typedef struct {
    bool last, empty, failed;
    trn_text_t why;  //  borrowed from the message
    uint64_t part;   //  0: not said
} trn_call_marks_t;

//  What a reply says of itself.
trn_call_marks_t
trn_call_marks (const tern_msg_t *msg);

//  An outgoing message as this one (NULL: an empty one) that the caller owns and
//  may mark.
tern_msg_t *
trn_call_copy (const tern_msg_t *msg);

//  Mark an outgoing one.  0, or TERN_ETOOBIG.
int
trn_call_set_end (tern_msg_t *msg, bool empty);

int
trn_call_set_fail (tern_msg_t *msg, const char *why);

int
trn_call_set_part (tern_msg_t *msg, uint64_t part);

//  Is it a record of that sender, service and number?
bool
trn_call_verify (const uint8_t store_uuid[16], const char *service,
                 uint64_t seq, zmq_msg_t *record);

#endif
