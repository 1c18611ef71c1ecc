//  core/dedup.h - what a consumer knows of one stream
//
//  A stream is one (store uuid, outbox, queue).  Of each of its seqs we know
//  that it was settled here, or that it is in hand: with the application, or
//  waiting for it.  Everything else is new.  In hand is kept with the token
//  under which we answer; when the connection ends the tokens are void, and a
//  message that is sent again while in hand only brings its new token.
//
//  What was settled here is replaced by the publisher's promise never to send it
//  again, never by time (reliability rule 7).  Promises are kept as well: they
//  cover what all consumers settled, and whoever breaks one has an older state
//  than it had.  Both are sets of bits, so that it does not matter in which
//  order messages come and are settled: priorities, delays and keys scatter it.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_DEDUP_H
#define TRN_DEDUP_H

#include "base/seqset.h"
#include "core/hand.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

//  A zeroed trn_dedup_t knows nothing.
typedef struct {
    uint64_t seen;          //  highest seq that ever came
    uint64_t floor;         //  nothing below is ever sent again
    trn_seqset_t settled;   //  here, at or above floor, not promised
    trn_seqset_t promised;  //  at or above floor
    trn_hands_t hand;       //  with the application, or about to be
} trn_dedup_t;

typedef enum {
    TRN_SEQ_NEW,
    TRN_SEQ_SETTLED,
    TRN_SEQ_IN_HAND
} trn_seq_state_t;

void
trn_dedup_clear (trn_dedup_t *self);

//  The state of seq from, which is not promised, and in *end_p how far towards
//  to it reaches.
trn_seq_state_t
trn_dedup_look (const trn_dedup_t *self, uint64_t from, uint64_t to,
                uint64_t *end_p);

//  Is any of from..to promised?
bool
trn_dedup_promised (const trn_dedup_t *self, uint64_t from, uint64_t to);

//  New seqs come into a consumer's hand.
void
trn_dedup_take (trn_dedup_t *self, const trn_hand_t *hand);

//  Seqs in hand (all of from..to) get a new token.
void
trn_dedup_adopt (trn_dedup_t *self, uint64_t from, uint64_t to, uint64_t token);

//  Those of from..to that are in this consumer's hand are durable here.
void
trn_dedup_store (trn_dedup_t *self, uint32_t consumer, uint64_t from,
                 uint64_t to);

//  Take the first part of from..to that this consumer holds out of its hand:
//  false if there is none.
bool
trn_dedup_release (trn_dedup_t *self, uint32_t consumer, uint64_t from,
                   uint64_t to, trn_hand_t *part);

//  Remember that from..to were settled here.
void
trn_dedup_settle (trn_dedup_t *self, uint64_t from, uint64_t to);

//  Another queue begins with that name, which may send anything; what is in hand
//  stays there.
void
trn_dedup_renew (trn_dedup_t *self);

//  The connection is over: every token is void.
void
trn_dedup_orphan (trn_dedup_t *self);

//  The publisher promises not to send anything below floor, or from..to, again.
void
trn_dedup_raise (trn_dedup_t *self, uint64_t floor);

void
trn_dedup_promise (trn_dedup_t *self, uint64_t from, uint64_t to);

//  Entries in hand.
size_t
trn_dedup_held (const trn_dedup_t *self);

//  What bounds the memory of settled and promised: pages of base/seqset.h.
size_t
trn_dedup_pages (const trn_dedup_t *self);

#endif
