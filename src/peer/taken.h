//  peer/taken.h - which messages of which publishers an inbox has taken in
//
//  Of each publisher's outbox: `open` are in the inbox's log and not done, `sure`
//  are durable here or done, so that the publisher may hear so.  What is in either
//  and comes again is not taken twice.
//
//      taken in ──▶ open ── synced ──▶ open, sure ── settled ──▶ sure
//                                                                 │
//                              publisher never sends it again ────┴──▶ forgotten
//
//  Only sure is saved, in one state with what is settled of the log: a state must
//  not claim a message that a crash may still take.  What is open in a later life
//  the log itself says.
//
//  Thread: one at a time.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_TAKEN_H
#define TRN_TAKEN_H

#include "base/limits.h"
#include "base/seqset.h"

typedef struct trn_taken trn_taken_t;

//  One outbox of a publisher.
typedef struct {
    uint8_t store_uuid[16];
    char outbox[TRN_NAME_MAX + 2];
    uint32_t flow;    //  the engine's word for it; 0: not heard in this life
    uint64_t heard;   //  when it was heard last, as a number that grows
    uint64_t floor;   //  it sends nothing below again
    uint32_t number;  //  of the queue in its outbox; 0: not told
    trn_seqset_t sure, open;
    trn_seqset_t large;  //  of these open: their bodies are with the publisher
} trn_giver_t;

trn_taken_t *
trn_taken_new (void);

void
trn_taken_destroy (trn_taken_t **self_p);

//  Known or new.  Borrowed until the next call of this function: whoever was not
//  heard for longest and has nothing open makes room for others.
trn_giver_t *
trn_taken_giver (trn_taken_t *self, const uint8_t store_uuid[16],
                 const char *outbox);

//  It sends nothing below again.
void
trn_giver_raise (trn_giver_t *giver, uint64_t floor);

//  What comes is of the queue of this number in its outbox, 0 if that was not told.
//  A higher one than before is another queue, which may begin anywhere: what was
//  done of the old one is forgotten, what is open stays.
void
trn_giver_meet (trn_giver_t *giver, uint32_t number);

//  These are durable here, or done.
void
trn_giver_make_sure (trn_giver_t *giver, uint64_t from, uint64_t to);

//  Its seq lies at this seq of the log, behind all others.
void
trn_taken_add (trn_taken_t *self, trn_giver_t *giver, uint64_t at,
               uint64_t seq);

//  The first part of *from..to of the log that is open, as seqs of its giver;
//  *from is behind it then.  False if there is none.
bool
trn_taken_next (const trn_taken_t *self, uint64_t *from, uint64_t to,
                trn_giver_t **giver_p, trn_range_t *part);

//  This one is no copy of anything any more: its publisher may send it again, and
//  that will be another one.
void
trn_taken_drop (trn_taken_t *self, uint64_t at);

//  Nothing of the log up to here is open.
void
trn_taken_forget (trn_taken_t *self, uint64_t at);

//  After what was found and the state of an earlier life: of what was added, only
//  what is not settled stays, and it is sure.
typedef bool
trn_taken_settled_fn (void *arg, uint64_t at);

void
trn_taken_restore (trn_taken_t *self, trn_taken_settled_fn *settled, void *arg);

//  Returns the size.  What does not fit is forgotten by the next life, and may
//  come twice there.
#define TRN_TAKEN_STATE_MAX (24 * 1024)

size_t
trn_taken_pack (const trn_taken_t *self, uint8_t to[TRN_TAKEN_STATE_MAX]);

//  Returns the size, 0 if these bytes are none.  self may be NULL.
size_t
trn_taken_unpack (trn_taken_t *self, const uint8_t *bytes, size_t size);

#endif
