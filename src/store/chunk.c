//  store/chunk.c - a piece of the log in memory, shared by reference
//
//  Knows: that the head, the index and the bytes are one block of memory, so
//  that a chunk costs one allocation.  The bytes are not zeroed: nobody reads
//  above `filled`.
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/chunk.h"

#include "base/memory.h"
#include "store/log.h"

#include <tern/error.h>

#include <assert.h>
#include <stdlib.h>

//  Records start on multiples of 8 in memory too, after the odd index.
#define ALIGN 16u

static size_t
s_block_size (uint32_t capacity, uint32_t index_size)
{
    const size_t head = sizeof (trn_chunk_t) + sizeof (uint32_t) * index_size;
    return (head + ALIGN - 1) / ALIGN * ALIGN + capacity;
}

//  The owner's own unit keeps the account alive while it holds no chunk.
trn_chunk_account_t *
trn_chunk_account_new (void)
{
    trn_chunk_account_t *const self = trn_alloc (sizeof *self);
    atomic_init (&self->bytes, 1);
    return self;
}

static void
s_settle (trn_chunk_account_t **account_p, size_t size)
{
    trn_chunk_account_t *const account = *account_p;
    *account_p = NULL;
    if (atomic_fetch_sub_explicit (&account->bytes, size, memory_order_acq_rel)
        == size) {
        free (account);
    }
}

void
trn_chunk_account_leave (trn_chunk_account_t **self_p)
{
    assert (self_p);
    if (*self_p) {
        s_settle (self_p, 1);
    }
}

size_t
trn_chunk_account_bytes (const trn_chunk_account_t *self)
{
    return atomic_load_explicit (&self->bytes, memory_order_relaxed) - 1;
}

trn_chunk_t *
trn_chunk_new (uint32_t capacity, uint32_t index_size,
               trn_chunk_account_t *account)
{
    const size_t size = s_block_size (capacity, index_size);
    trn_chunk_t *const self = trn_realloc (NULL, size);
    *self = (trn_chunk_t) {.capacity = capacity, .index_size = index_size};
    atomic_init (&self->references, 1);
    atomic_init (&self->count, 0);
    self->index = (uint32_t *) (self + 1);
    self->data = (uint8_t *) self + size - capacity;
    self->account = account;
    if (account) {
        atomic_fetch_add_explicit (&account->bytes, size, memory_order_relaxed);
    }
    return self;
}

trn_chunk_t *
trn_chunk_retain (trn_chunk_t *self)
{
    assert (self);
    atomic_fetch_add_explicit (&self->references, 1, memory_order_relaxed);
    return self;
}

void
trn_chunk_release (trn_chunk_t **self_p)
{
    assert (self_p);
    trn_chunk_t *const self = *self_p;
    *self_p = NULL;
    //  The last one must see what every other did before it let go.
    if (!self
        || atomic_fetch_sub_explicit (&self->references, 1,
                                      memory_order_acq_rel)
               != 1) {
        return;
    }
    trn_chunk_account_t *account = self->account;
    const size_t size = s_block_size (self->capacity, self->index_size);
    free (self);
    if (account) {
        s_settle (&account, size);
    }
}

//  Bytes of the record that starts here; it was checked when it came.
static uint32_t
s_size_at (const uint8_t *at, trn_record_t *record)
{
    const int size = trn_record_peek (at, TRN_RECORD_MAX + 8, record);
    assert (size > 0);
    return (uint32_t) size;
}

int
trn_chunk_run (trn_chunk_t *chunk, uint64_t seq, uint32_t max_count,
               uint32_t max_bytes, trn_run_t *run)
{
    assert (chunk && run && max_count > 0);
    const uint32_t count
        = atomic_load_explicit (&chunk->count, memory_order_acquire);
    if (seq < chunk->first_seq || seq - chunk->first_seq >= count) {
        return TERN_ENOENT;
    }
    //  The published records end where the last of them ends; `filled` may
    //  already be further.
    trn_record_t record;
    const uint32_t last = chunk->index[count - 1];
    const uint32_t end = last + s_size_at (chunk->data + last, &record);

    //  Records first..to-1: as many as end within max_bytes, by halving.
    const uint32_t first = (uint32_t) (seq - chunk->first_seq);
    const uint32_t from = chunk->index[first];
    uint32_t to = first + 1;
    uint32_t most = max_count < count - first ? first + max_count : count;
    while (to < most) {
        const uint32_t middle = to + (most - to + 1) / 2;
        const uint32_t stop = middle < count ? chunk->index[middle] : end;
        if (stop - from <= max_bytes) {
            to = middle;
        } else {
            most = middle - 1;
        }
    }
    s_size_at (chunk->data + from, &record);
    *run = (trn_run_t) {.chunk = trn_chunk_retain (chunk),
                        .data = chunk->data + from,
                        .size = (to < count ? chunk->index[to] : end) - from,
                        .count = to - first,
                        .first_seq = seq,
                        .segment = chunk->segment,
                        .offset = chunk->offset + from,
                        .stamp_us = record.stamp_us};
    return 1;
}
