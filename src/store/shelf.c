//  store/shelf.c - single records that were read back, until they are sent
//
//  A table by seq (open addressing, half empty at least) and a ring that says in
//  which order they came.  A place in the ring outlives its record: it is void
//  when the table has no record of that seq that came at that time.
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/shelf.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

enum {
    SLOTS = 2 * TRN_SHELF_RECORDS
};

typedef struct {
    trn_chunk_t *chunk;  //  a reference; NULL: free
    uint64_t seq;
    uint64_t came;  //  number of its place in the ring
    uint32_t size;
} trn_shelf_slot_t;

struct trn_shelf {
    trn_shelf_slot_t slots[SLOTS];
    uint64_t ring[TRN_SHELF_RECORDS];  //  seqs; numbers count for ever
    uint64_t ring_first, ring_next;
    size_t count;
    size_t bytes;
};

trn_shelf_t *
trn_shelf_new (void)
{
    return trn_alloc (sizeof (trn_shelf_t));
}

void
trn_shelf_destroy (trn_shelf_t **self_p)
{
    assert (self_p);
    trn_shelf_t *const self = *self_p;
    *self_p = NULL;
    for (size_t i = 0; self && i < SLOTS; i++) {
        trn_chunk_release (&self->slots[i].chunk);
    }
    free (self);
}

static size_t
s_home (uint64_t seq)
{
    return (size_t) (seq * UINT64_C (0x9e3779b97f4a7c15) >> 32) % SLOTS;
}

//  The slot of seq, or the free one where it would be.
static size_t
s_slot (const trn_shelf_t *self, uint64_t seq)
{
    size_t at = s_home (seq);
    while (self->slots[at].chunk && self->slots[at].seq != seq) {
        at = (at + 1) % SLOTS;
    }
    return at;
}

//  Free a slot; those behind it move up if they were waiting for it.
static void
s_free (trn_shelf_t *self, size_t at)
{
    self->count--;
    self->bytes -= self->slots[at].size;
    trn_chunk_release (&self->slots[at].chunk);
    size_t next = at;
    for (;;) {
        next = (next + 1) % SLOTS;
        const trn_shelf_slot_t *const slot = &self->slots[next];
        if (!slot->chunk) {
            return;
        }
        const size_t away = (next + SLOTS - s_home (slot->seq)) % SLOTS;
        if (away >= (next + SLOTS - at) % SLOTS) {
            self->slots[at] = *slot;
            self->slots[next].chunk = NULL;
            at = next;
        }
    }
}

static void
s_drop_oldest (trn_shelf_t *self)
{
    const uint64_t number = self->ring_first++;
    const uint64_t seq = self->ring[number % TRN_SHELF_RECORDS];
    const size_t at = s_slot (self, seq);
    if (self->slots[at].chunk && self->slots[at].came == number) {
        s_free (self, at);
    }
}

static void
s_put (trn_shelf_t *self, trn_chunk_t *chunk, uint64_t seq, uint32_t size)
{
    trn_shelf_remove (self, seq, 1);
    while (self->ring_next - self->ring_first == TRN_SHELF_RECORDS
           || (self->count && self->bytes + size > TRN_SHELF_BYTES)) {
        s_drop_oldest (self);
    }
    self->ring[self->ring_next % TRN_SHELF_RECORDS] = seq;
    self->slots[s_slot (self, seq)]
        = (trn_shelf_slot_t) {.chunk = trn_chunk_retain (chunk),
                              .seq = seq,
                              .came = self->ring_next++,
                              .size = size};
    self->count++;
    self->bytes += size;
}

void
trn_shelf_put (trn_shelf_t *self, trn_chunk_t **chunk_p)
{
    assert (self && chunk_p && *chunk_p);
    trn_chunk_t *const chunk = *chunk_p;
    const uint32_t count
        = atomic_load_explicit (&chunk->count, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t end
            = i + 1 < count ? chunk->index[i + 1] : chunk->filled;
        s_put (self, chunk, chunk->first_seq + i, end - chunk->index[i]);
    }
    trn_chunk_release (chunk_p);
}

trn_chunk_t *
trn_shelf_find (const trn_shelf_t *self, uint64_t seq)
{
    assert (self);
    return self->slots[s_slot (self, seq)].chunk;
}

void
trn_shelf_remove (trn_shelf_t *self, uint64_t from, uint32_t count)
{
    assert (self);
    for (uint64_t seq = from; self->count && seq - from < count; seq++) {
        const size_t at = s_slot (self, seq);
        if (self->slots[at].chunk) {
            s_free (self, at);
        }
    }
}

size_t
trn_shelf_count (const trn_shelf_t *self)
{
    assert (self);
    return self->count;
}
