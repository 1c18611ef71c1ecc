//  core/hand.h - what is in hand of one stream: runs of seqs, in order
//
//  A run is with one consumer under one token.  Runs come and go anywhere, since
//  priorities, delays and keys scatter them, and there may be as many as credit
//  allows; so they lie in short blocks, and none of these calls takes longer
//  because many runs are in hand than a binary search does.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_HAND_H
#define TRN_HAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t from, to;
    uint64_t token;     //  0: no lease now
    uint32_t consumer;  //  who holds it
    uint32_t each;      //  about so many bytes per message
    bool stored;        //  durable here: every publisher is told, again if
                        //  it gives them a new lease
} trn_hand_t;

typedef struct trn_hand_block trn_hand_block_t;

//  Zeroed, it is empty.
typedef struct {
    trn_hand_block_t **block;  //  sorted, none of them empty; owned
    size_t block_count, block_capacity;
    size_t count;  //  runs
} trn_hands_t;

//  Which one; good until runs come or go.
typedef struct {
    size_t block, index;
} trn_hand_at_t;

//  Release its memory; empty after.
void
trn_hands_clear (trn_hands_t *self);

//  The first run that ends at or after seq; NULL if there is none.  Its token,
//  and its from and to as far as it stays apart from its neighbours, may be
//  changed.
trn_hand_t *
trn_hands_find (const trn_hands_t *self, uint64_t seq, trn_hand_at_t *at_p);

//  The one behind it, or NULL.
trn_hand_t *
trn_hands_next (const trn_hands_t *self, trn_hand_at_t *at_p);

//  Another run, apart from all others.
void
trn_hands_add (trn_hands_t *self, const trn_hand_t *hand);

void
trn_hands_remove (trn_hands_t *self, trn_hand_at_t at);

#endif
