//  store/shelf.h - single records that were read back, until they are sent
//
//  What a batch of reads brought (trn_outbox_want_many ()) is looked up by seq
//  here.  A record leaves when it was sent; if too many lie here, or too many
//  bytes, the oldest go and are read again when their turn comes.
//
//  Thread: the owner's.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_SHELF_H
#define TRN_SHELF_H

#include "store/chunk.h"

#include <stdbool.h>

//  A whole batch and more; and twice its bytes.
#define TRN_SHELF_RECORDS 1024
#define TRN_SHELF_BYTES (16 * 1024 * 1024)

typedef struct trn_shelf trn_shelf_t;

trn_shelf_t *
trn_shelf_new (void);

//  Accepts NULL, leaves NULL.
void
trn_shelf_destroy (trn_shelf_t **self_p);

//  Put all records of the chunk here; takes the reference.  Of a chunk with more
//  than TRN_SHELF_RECORDS the first are not found.
void
trn_shelf_put (trn_shelf_t *self, trn_chunk_t **chunk_p);

//  The chunk that holds seq, borrowed until the next call of another kind; NULL.
trn_chunk_t *
trn_shelf_find (const trn_shelf_t *self, uint64_t seq);

//  These are not needed any more.
void
trn_shelf_remove (trn_shelf_t *self, uint64_t from, uint32_t count);

//  Records that lie here.
size_t
trn_shelf_count (const trn_shelf_t *self);

#endif
