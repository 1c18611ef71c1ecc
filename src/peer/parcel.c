//  peer/parcel.c - part of a run on its way through a consumer
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/parcel.h"

#include "base/memory.h"
#include "peer/service.h"

#include <assert.h>
#include <stdlib.h>

trn_inrun_t *
trn_inrun_new (zmq_msg_t *frame)
{
    trn_inrun_t *self = trn_alloc (sizeof *self);
    atomic_init (&self->references, 1);
    zmq_msg_init (&self->frame);
    zmq_msg_move (&self->frame, frame);
    return self;
}

trn_inrun_t *
trn_inrun_retain (trn_inrun_t *self)
{
    assert (self);
    atomic_fetch_add_explicit (&self->references, 1, memory_order_relaxed);
    return self;
}

void
trn_inrun_release (trn_inrun_t **self_p)
{
    assert (self_p);
    trn_inrun_t *self = *self_p;
    *self_p = NULL;
    if (self && atomic_fetch_sub (&self->references, 1) == 1) {
        zmq_msg_close (&self->frame);
        free (self);
    }
}

trn_parcel_t *
trn_parcel_new (trn_inrun_t *run, uint64_t first_seq, uint64_t from,
                uint64_t to)
{
    assert (run && first_seq <= from && from <= to && from > 0);
    trn_parcel_t *self = trn_alloc (sizeof *self);
    atomic_init (&self->references, 1);
    self->run = trn_inrun_retain (run);
    self->at = zmq_msg_data (&run->frame);
    self->end = self->at + zmq_msg_size (&run->frame);
    self->from = first_seq;
    self->next_seq = first_seq;
    self->to = to;
    trn_record_t skipped;
    while (self->next_seq < from && trn_parcel_step (self, &skipped)) {
    }
    self->from = from;
    atomic_init (&self->accepted, from - 1);
    self->collected = from - 1;
    return self;
}

trn_parcel_t *
trn_parcel_retain (trn_parcel_t *self)
{
    assert (self);
    atomic_fetch_add_explicit (&self->references, 1, memory_order_relaxed);
    return self;
}

void
trn_parcel_release (trn_parcel_t **self_p)
{
    assert (self_p);
    trn_parcel_t *self = *self_p;
    *self_p = NULL;
    if (self && atomic_fetch_sub (&self->references, 1) == 1) {
        trn_inrun_release (&self->run);
        if (self->served) {
            trn_served_release (&self->served);
        }
        free (self);
    }
}
