//  store/reads.c - what the actor wants read, and the writer reading it
//
//  Three kinds of wishes: runs in order (a few at a time, each one large read),
//  a batch of single records (one pass, many small reads), and the first seq at
//  a wall time.  The actor never waits: it asks, is notified, and fetches.
//
//  Invariant: what a request holds belongs to the writer while it runs and to
//  the actor's side, under the lock, in every other phase.
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/store_private.h"

#include "base/memory.h"

#include <tern/error.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void
trn_reads_clear (trn_outbox_t *self)
{
    for (unsigned i = 0; i < TRN_OUTBOX_READS; i++) {
        trn_chunk_release (&self->reads[i].chunk);
    }
    for (size_t i = 0; self->batch && i < self->batch->picked_count; i++) {
        trn_chunk_release (&self->batch->picked[i].chunk);
    }
    free (self->batch);
    self->batch = NULL;
}

//  Asking ---------------------------------------------------------------------

bool
trn_outbox_want (trn_outbox_t *self, uint64_t seq, uint32_t max_bytes)
{
    assert (self);
    bool taken = false;
    pthread_mutex_lock (&self->lock);
    bool known = false;
    for (unsigned i = 0; i < self->read_count; i++) {
        const unsigned slot = (self->read_first + i) % TRN_OUTBOX_READS;
        known = known || self->reads[slot].seq == seq;
    }
    if (!known && self->read_count < TRN_OUTBOX_READS) {
        const unsigned slot
            = (self->read_first + self->read_count) % TRN_OUTBOX_READS;
        self->reads[slot] = (trn_read_request_t) {
            .phase = TRN_READ_WAITS, .seq = seq, .max_bytes = max_bytes};
        self->read_count++;
        taken = true;
    }
    pthread_mutex_unlock (&self->lock);
    if (taken) {
        trn_outbox_mark (self, TRN_FOR_WRITER);
    }
    return taken;
}

static int
s_compare (const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *) left;
    const uint64_t b = *(const uint64_t *) right;
    return (a > b) - (a < b);
}

//  The urgent one, then the others in order, each once.
static void
s_fill_batch (trn_batch_t *batch, const uint64_t *seqs, size_t count)
{
    count = count < TRN_OUTBOX_BATCH ? count : TRN_OUTBOX_BATCH;
    memcpy (batch->seqs, seqs, count * sizeof *seqs);
    qsort (batch->seqs + 1, count - 1, sizeof *seqs, s_compare);
    batch->count = 1;
    for (size_t i = 1; i < count; i++) {
        const uint64_t seq = batch->seqs[i];
        const bool again
            = batch->count > 1 && batch->seqs[batch->count - 1] == seq;
        if (seq != batch->seqs[0] && !again) {
            batch->seqs[batch->count++] = seq;
        }
    }
    batch->picked_count = batch->fetched = 0;
    batch->phase = TRN_READ_WAITS;
}

bool
trn_outbox_want_many (trn_outbox_t *self, const uint64_t *seqs, size_t count)
{
    assert (self && seqs && count > 0);
    pthread_mutex_lock (&self->lock);
    if (!self->batch) {
        self->batch = trn_alloc (sizeof *self->batch);
    }
    const bool taken = self->batch->phase == TRN_READ_FREE;
    if (taken) {
        s_fill_batch (self->batch, seqs, count);
    }
    pthread_mutex_unlock (&self->lock);
    if (taken) {
        trn_outbox_mark (self, TRN_FOR_WRITER);
    }
    return taken;
}

void
trn_outbox_want_time (trn_outbox_t *self, uint64_t wall_us)
{
    assert (self);
    pthread_mutex_lock (&self->lock);
    self->time
        = (trn_time_request_t) {.phase = TRN_READ_WAITS, .wall_us = wall_us};
    pthread_mutex_unlock (&self->lock);
    trn_outbox_mark (self, TRN_FOR_WRITER);
}

//  Fetching -------------------------------------------------------------------

//  Under lock.
static int
s_fetch_picked (trn_batch_t *batch, uint64_t *seq_p, trn_chunk_t **chunk_p)
{
    if (!batch || batch->phase != TRN_READ_DONE) {
        return 0;
    }
    trn_picked_t *const picked = &batch->picked[batch->fetched++];
    *seq_p = picked->seq;
    *chunk_p = picked->chunk;
    picked->chunk = NULL;
    if (batch->fetched == batch->picked_count) {
        batch->phase = TRN_READ_FREE;
    }
    return picked->rc < 0 ? picked->rc : 2;
}

int
trn_outbox_fetch (trn_outbox_t *self, uint64_t *seq_p, trn_chunk_t **chunk_p)
{
    assert (self && seq_p && chunk_p);
    int rc = 0;
    *chunk_p = NULL;
    pthread_mutex_lock (&self->lock);
    trn_read_request_t *const oldest = &self->reads[self->read_first];
    if (self->read_count && oldest->phase == TRN_READ_DONE) {
        rc = oldest->rc < 0 ? oldest->rc : 1;
        *seq_p = oldest->seq;
        *chunk_p = oldest->chunk;
        *oldest = (trn_read_request_t) {.phase = TRN_READ_FREE};
        self->read_first = (self->read_first + 1) % TRN_OUTBOX_READS;
        self->read_count--;
    } else {
        rc = s_fetch_picked (self->batch, seq_p, chunk_p);
    }
    pthread_mutex_unlock (&self->lock);
    return rc;
}

int
trn_outbox_time (trn_outbox_t *self, uint64_t *seq_p)
{
    assert (self && seq_p);
    int rc = 0;
    pthread_mutex_lock (&self->lock);
    if (self->time.phase == TRN_READ_DONE) {
        rc = self->time.rc < 0 ? self->time.rc : 1;
        *seq_p = self->time.seq;
        self->time.phase = TRN_READ_FREE;
    }
    pthread_mutex_unlock (&self->lock);
    return rc;
}

//  Reading: the writer's thread -----------------------------------------------

//  The next read that waits, taken; under no lock.
static bool
s_take_read (trn_outbox_t *self, unsigned *slot_p, uint64_t *seq_p,
             uint32_t *max_bytes_p)
{
    bool found = false;
    pthread_mutex_lock (&self->lock);
    for (unsigned i = 0; i < self->read_count && !found; i++) {
        const unsigned slot = (self->read_first + i) % TRN_OUTBOX_READS;
        trn_read_request_t *const request = &self->reads[slot];
        if (request->phase == TRN_READ_WAITS) {
            request->phase = TRN_READ_RUNS;
            *slot_p = slot;
            *seq_p = request->seq;
            *max_bytes_p = request->max_bytes;
            found = true;
        }
    }
    pthread_mutex_unlock (&self->lock);
    return found;
}

static void
s_serve_runs (trn_outbox_t *self)
{
    unsigned slot = 0;
    uint64_t seq = 0;
    uint32_t max_bytes = 0;
    while (s_take_read (self, &slot, &seq, &max_bytes)) {
        trn_chunk_t *chunk = NULL;
        const int rc = trn_log_read (self->log, seq, max_bytes, &chunk);
        pthread_mutex_lock (&self->lock);
        self->reads[slot].rc = rc;
        self->reads[slot].chunk = chunk;
        self->reads[slot].phase = TRN_READ_DONE;
        pthread_mutex_unlock (&self->lock);
        trn_outbox_tell (self);
    }
}

static void
s_on_picked (void *arg, uint64_t seq, int rc, trn_chunk_t *chunk)
{
    trn_batch_t *const batch = arg;
    batch->picked[batch->picked_count++]
        = (trn_picked_t) {.seq = seq, .rc = rc, .chunk = chunk};
}

//  The urgent one first, whatever the bytes of the others.
static void
s_serve_batch (trn_outbox_t *self)
{
    pthread_mutex_lock (&self->lock);
    trn_batch_t *const batch = self->batch;
    const bool waits = batch && batch->phase == TRN_READ_WAITS;
    if (waits) {
        batch->phase = TRN_READ_RUNS;
    }
    pthread_mutex_unlock (&self->lock);
    if (!waits) {
        return;
    }
    (void) trn_log_pick (self->log, batch->seqs, 1, 0, s_on_picked, batch);
    if (batch->count > 1) {
        (void) trn_log_pick (self->log, batch->seqs + 1, batch->count - 1,
                             TRN_OUTBOX_BATCH_BYTES, s_on_picked, batch);
    }
    pthread_mutex_lock (&self->lock);
    batch->phase = TRN_READ_DONE;
    pthread_mutex_unlock (&self->lock);
    trn_outbox_tell (self);
}

static void
s_serve_time (trn_outbox_t *self)
{
    pthread_mutex_lock (&self->lock);
    const trn_time_request_t asked = self->time;
    pthread_mutex_unlock (&self->lock);
    if (asked.phase != TRN_READ_WAITS) {
        return;
    }
    uint64_t seq = 0;
    const int rc = trn_log_find_time (self->log, asked.wall_us, &seq);
    pthread_mutex_lock (&self->lock);
    //  A newer question may have come; it has marked the outbox again.
    if (self->time.phase == TRN_READ_WAITS
        && self->time.wall_us == asked.wall_us) {
        self->time.phase = TRN_READ_DONE;
        self->time.rc = rc;
        self->time.seq = seq;
    }
    pthread_mutex_unlock (&self->lock);
    trn_outbox_tell (self);
}

void
trn_reads_serve (trn_outbox_t *self)
{
    assert (self);
    s_serve_runs (self);
    s_serve_batch (self);
    s_serve_time (self);
}
