//  peer/parcel.h - part of a run on its way through a consumer
//
//  A run comes in one ZeroMQ frame and is checked once.  What of it shall be
//  delivered is a parcel: a range of records in that frame, with where it came
//  from.  The application walks through it without a lock and without an
//  allocation per message; that it has accepted a message is one store to
//  `accepted`, which the actor reads when it comes by.
//
//      from        accepted        next               to
//       |  settled    |  with the   |   not yet given  |
//       |  in order   | application |                  |
//
//  Threads: the consumer's thread walks, the actor collects, any thread may
//  hold a reference.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_PARCEL_H
#define TRN_PARCEL_H

#include "base/limits.h"
#include "wire/record.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <zmq.h>

//  The frame of one run, shared by its parcels.
typedef struct {
    atomic_uint references;
    zmq_msg_t frame;
} trn_inrun_t;

typedef struct trn_parcel trn_parcel_t;

struct trn_parcel {
    atomic_uint references;
    trn_inrun_t *run;
    trn_parcel_t *next;             //  in the consumer's queue
    const uint8_t *at;              //  record `next_seq`, the walker's
    const uint8_t *end;             //  of the run
    uint64_t from, to;              //  seqs in this parcel
    uint64_t next_seq;              //  to be given next, the walker's
    atomic_uint_fast64_t accepted;  //  last accepted in order; from - 1: none
    uint64_t collected;             //  the actor has told the engine up to here
    uint32_t flow;                  //  for trn_engine_on_settle ()
    uint64_t floor;                 //  the publisher never sends below again
    uint32_t deliveries;
    bool redelivered;
    bool copied;                //  out of an inbox, see origin.h
    uint64_t missed;            //  lost, and not told before `from`
    struct trn_served *served;  //  a light request, one reference, or NULL
    uint8_t store_uuid[16];
    char publisher[TRN_NAME_MAX + 1];
    char outbox[TRN_NAME_MAX + 2];
    char queue[TRN_NAME_MAX + 2];
};

//  Takes over the frame: *frame is empty after.  One reference.
trn_inrun_t *
trn_inrun_new (zmq_msg_t *frame);

trn_inrun_t *
trn_inrun_retain (trn_inrun_t *self);

void
trn_inrun_release (trn_inrun_t **self_p);

//  Records from..to of a run whose first record is first_seq and whose bytes
//  were checked.  One reference for the caller, and one to the run of its own.
trn_parcel_t *
trn_parcel_new (trn_inrun_t *run, uint64_t first_seq, uint64_t from,
                uint64_t to);

trn_parcel_t *
trn_parcel_retain (trn_parcel_t *self);

//  Accepts NULL; sets *self_p to NULL.
void
trn_parcel_release (trn_parcel_t **self_p);

//  Step to the next record; false at the end.
static inline bool
trn_parcel_step (trn_parcel_t *self, trn_record_t *record)
{
    if (self->next_seq > self->to) {
        return false;
    }
    const int step
        = trn_record_peek (self->at, (size_t) (self->end - self->at), record);
    if (step <= 0) {
        return false;  //  cannot be: the run was checked when it came
    }
    self->at += step;
    self->next_seq++;
    return true;
}

#endif
