//  core/lost.h - how many messages of a queue its consumers have missed
//
//  What an outbox lost to its limit or to time is counted for each queue, and
//  told with the next message that a consumer gets.  Numbers only grow: how many
//  were lost ever, and how many of these a consumer has been told of with a
//  message that it has settled.  So telling twice, or a crash of either end,
//  changes nothing:
//
//      total >= durable >= telling > told
//
//  Only what a durable state says is told: what a crash of the publisher undoes
//  may be delivered after all.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_LOST_H
#define TRN_LOST_H

#include <stdbool.h>
#include <stdint.h>

//  A zeroed one has lost nothing.
typedef struct {
    uint64_t total;    //  ever
    uint64_t durable;  //  as the state says that was saved last
    uint64_t saving;   //  as the state says that is being saved
    uint64_t told;     //  with a message that is settled
    uint64_t telling;  //  this total goes with ...
    uint64_t seq;      //  ... this message, until it is settled; 0 none
} trn_lost_t;

//  As an earlier life left it.  False: these numbers cannot be.
bool
trn_lost_restore (trn_lost_t *self, uint64_t total, uint64_t told);

void
trn_lost_add (trn_lost_t *self, uint64_t count);

//  A run that begins with seq is about to be given out: does a number go with
//  it?  Then it is in telling.
bool
trn_lost_tell (trn_lost_t *self, uint64_t seq);

//  The message that a number goes with comes first in its run: where a run that
//  begins at from must end at the latest.
uint64_t
trn_lost_end (const trn_lost_t *self, uint64_t from, uint64_t to);

//  from..to are settled, by a consumer that has heard what goes with them or not.
void
trn_lost_settle (trn_lost_t *self, uint64_t from, uint64_t to, bool heard);

//  A consumer says what it has been told in earlier lives of this publisher.
void
trn_lost_heard (trn_lost_t *self, uint64_t told);

//  The state that says so is being made; is durable.
void
trn_lost_saving (trn_lost_t *self);

void
trn_lost_saved (trn_lost_t *self);

#endif
