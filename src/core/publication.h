//  core/publication.h - an outbox as the engine sees it: progress and saving
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_PUBLICATION_H
#define TRN_PUBLICATION_H

#include "core/inside.h"

trn_publication_t *
trn_publication_new (trn_outbox_id_t id, const char *name, uint64_t high);

void
trn_publication_destroy (trn_publication_t **self_p);

//  Lowest seq that some subscription has not settled.
uint64_t
trn_publication_low (const trn_publication_t *self);

//  Something was settled: tell progress, and save when it is time.
void
trn_publication_touch (trn_engine_t *engine, trn_publication_t *self);

//  Something may have moved that no state has to say.
void
trn_publication_look (trn_engine_t *engine, trn_publication_t *self);

//  Say what the touched ones have to say.
void
trn_publication_run (trn_engine_t *engine);

//  Something waits for the next state: save sooner.
void
trn_publication_urge (trn_engine_t *engine, trn_publication_t *self);

//  When the next save is due.
int64_t
trn_publication_deadline (const trn_engine_t *engine,
                          const trn_publication_t *self);

//  The queue of this number, or NULL; number 0 is none.
trn_subscription_t *
trn_publication_queue (const trn_publication_t *self, uint32_t number);

//  These seqs name no message, to queues that there are and those to come.
void
trn_publication_add_gap (trn_publication_t *self, const trn_range_t *gap);

//  One more queue, whose first seq is low.
trn_subscription_t *
trn_publication_add_queue (trn_publication_t *self, const char *queue,
                           uint32_t number, uint64_t low);

//  The state of this stamp is durable.
void
trn_publication_on_saved (trn_engine_t *engine, trn_publication_t *self,
                          uint64_t stamp);

#endif
