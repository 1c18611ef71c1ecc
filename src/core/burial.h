//  core/burial.h - what becomes of dead messages
//
//  A dead message is parked in its queue; the shell copies it to the dead
//  letters, syncs the copy and says so; then it is settled.  The copy is held
//  there until a state that says "settled" is durable here.  So after any crash
//  it is in one of the two, and a consumer never sees it in both.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_BURIAL_H
#define TRN_BURIAL_H

#include "core/inside.h"

//  from..to of this queue are dead: leased ones, or some that nobody holds.
void
trn_burial_park (trn_engine_t *engine, trn_subscription_t *sub, uint64_t from,
                 uint64_t to, trn_death_t reason, uint32_t link);

//  Ask the shell for copies, so many at once.
void
trn_burial_run (trn_engine_t *engine, trn_subscription_t *sub);

//  When to ask again after a failure, INT64_MAX if nothing waits for that.
int64_t
trn_burial_deadline (const trn_subscription_t *sub);

void
trn_burial_on_buried (trn_engine_t *engine, trn_subscription_t *sub,
                      uint64_t seq, trn_outbox_id_t dead_outbox,
                      uint64_t dead_seq);

void
trn_burial_on_failed (trn_engine_t *engine, trn_subscription_t *sub,
                      uint64_t seq);

//  A state of this outbox is durable: what it says is gone may be seen.
void
trn_burial_on_saved (trn_engine_t *engine, trn_publication_t *publication);

#endif
