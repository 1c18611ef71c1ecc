//  store/log.c - the memory side of the log: appending, runs, progress
//
//      ring_first          ring_write           ring_next
//      | written, kept to send  | not yet written    |
//      [chunk][chunk][chunk]....[chunk][chunk][chunk]
//                                              ^ the open one, growing
//
//  Knows: seqs, chunks, limits.  Never calls the disk.
//
//  Invariants: a chunk lies in one segment and holds consecutive seqs; a gap
//  record can only be the first thing in a chunk and is not in its index;
//  bytes in a chunk have their space in a file (L18), except where the file
//  system cannot preallocate.
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/log_private.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <tern/error.h>

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK_MIN = 16 * 1024,
    CHUNK_MAX = 512 * 1024,
    CHUNK_BYTES_PER_RECORD = 64,  //  index entries for records so small
    EVICT_AT_ONCE = 8
};

static uint64_t
s_load (const atomic_uint_least64_t *value)
{
    return atomic_load_explicit (value, memory_order_acquire);
}

static void
s_raise (atomic_uint_least64_t *value, uint64_t to)
{
    uint64_t now = atomic_load_explicit (value, memory_order_relaxed);
    while (now < to
           && !atomic_compare_exchange_weak_explicit (
               value, &now, to, memory_order_acq_rel, memory_order_relaxed)) {
    }
}

int
trn_log_fail (trn_log_t *self, const char *call, uint64_t segment)
{
    pthread_mutex_lock (&self->lock);
    if (!self->failed_call) {
        self->failed_call = call;
        self->failed_segment = segment;
    }
    pthread_mutex_unlock (&self->lock);
    atomic_store_explicit (&self->failed, true, memory_order_release);
    return TERN_EIO;
}

void
trn_log_failure (trn_log_t *self, char *why, size_t size)
{
    assert (self && why && size);
    pthread_mutex_lock (&self->lock);
    why[0] = 0;
    if (self->failed_call) {
        snprintf (why, size, "outbox %s: %s failed in segment %016" PRIx64,
                  self->name, self->failed_call, self->failed_segment);
    }
    pthread_mutex_unlock (&self->lock);
}

//  Segments and marks ----------------------------------------------------

trn_log_segment_t *
trn_log_add_segment (trn_log_t *self, uint64_t segment, int64_t size)
{
    if (self->segment_count == self->segment_capacity) {
        self->segment_capacity = self->segment_capacity * 2 + 4;
        self->segments = trn_realloc (
            self->segments, self->segment_capacity * sizeof *self->segments);
    }
    trn_log_segment_t *const added = &self->segments[self->segment_count++];
    *added = (trn_log_segment_t) {.segment = segment,
                                  .size = size,
                                  .end = TRN_SEGMENT_HEADER,
                                  .wiped = TRN_LOG_PAGE,
                                  .file = -1};
    return added;
}

void
trn_log_mark (trn_log_segment_t *segment, const trn_record_t *record,
              int64_t offset)
{
    if (record->stamp_us > segment->stamp_us) {
        segment->stamp_us = record->stamp_us;
    }
    const size_t count = segment->mark_count;
    if (count
        && offset - (int64_t) segment->marks[count - 1].offset
               < TRN_MARK_STEP) {
        return;
    }
    if (count == 0) {
        segment->mark_seq = record->seq;
    }
    //  Seqs that jump too far, as behind many gaps, are found without a mark.
    const uint64_t after = record->seq - segment->mark_seq;
    if (after > UINT32_MAX) {
        return;
    }
    if (count == segment->mark_capacity) {
        segment->mark_capacity = segment->mark_capacity * 2 + 4;
        segment->marks = trn_realloc (
            segment->marks, segment->mark_capacity * sizeof *segment->marks);
    }
    segment->marks[segment->mark_count++] = (trn_kept_mark_t) {
        .after = (uint32_t) after, .offset = (uint32_t) offset};
}

trn_log_segment_t *
trn_log_find_segment (trn_log_t *self, uint64_t seq)
{
    //  The last one whose first seq is not above.  Some are empty: those at the
    //  end, and in the middle what a crash has left so.
    size_t low = 0;
    size_t high = self->segment_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        size_t at = middle;
        while (at > low && self->segments[at].first_seq == 0) {
            at--;
        }
        if (self->segments[at].first_seq <= seq) {
            low = middle + 1;
        } else {
            high = at;
        }
    }
    while (low > 0 && self->segments[low - 1].first_seq == 0) {
        low--;
    }
    if (low == 0 || self->segments[low - 1].last_seq < seq) {
        return NULL;
    }
    return &self->segments[low - 1];
}

uint64_t
trn_log_first_seq (const trn_log_t *self, size_t index)
{
    while (index < self->tail && self->segments[index].first_seq == 0) {
        index++;
    }
    return self->segments[index].first_seq ? self->segments[index].first_seq
           : self->gap_from                ? self->gap_from
                                           : self->next_seq;
}

static trn_mark_t
s_mark_at (const trn_log_segment_t *segment, size_t index)
{
    const trn_kept_mark_t *const mark = &segment->marks[index];
    return (trn_mark_t) {.seq = segment->mark_seq + mark->after,
                         .offset = mark->offset};
}

trn_mark_t
trn_log_find_mark (const trn_log_segment_t *segment, uint64_t seq,
                   trn_mark_t *next_p)
{
    size_t low = 0;
    size_t high = segment->mark_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (s_mark_at (segment, middle).seq <= seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (next_p) {
        *next_p = low < segment->mark_count
                      ? s_mark_at (segment, low)
                      : (trn_mark_t) {.seq = segment->last_seq + 1,
                                      .offset = segment->end};
    }
    return low ? s_mark_at (segment, low - 1)
               : (trn_mark_t) {.seq = segment->first_seq,
                               .offset = TRN_SEGMENT_HEADER};
}

//  The ring of chunks ----------------------------------------------------

static trn_chunk_t **
s_slot (trn_log_t *self, size_t number)
{
    return &self->ring[number & (self->ring_capacity - 1)];
}

static void
s_push_chunk (trn_log_t *self, trn_chunk_t *chunk)
{
    if (self->ring_next - self->ring_first == self->ring_capacity) {
        const size_t capacity
            = self->ring_capacity ? self->ring_capacity * 2 : 8;
        trn_chunk_t **const ring = trn_alloc (capacity * sizeof *ring);
        for (size_t i = self->ring_first; i < self->ring_next; i++) {
            ring[i & (capacity - 1)] = *s_slot (self, i);
        }
        free (self->ring);
        self->ring = ring;
        self->ring_capacity = capacity;
    }
    *s_slot (self, self->ring_next++) = chunk;
}

//  The chunk that grows, or NULL when the next record starts a new one.
static trn_chunk_t *
s_open_chunk (trn_log_t *self)
{
    return self->ring_next > self->ring_first
               ? *s_slot (self, self->ring_next - 1)
               : NULL;
}

size_t
trn_log_evict (trn_log_t *self, trn_chunk_t **gone, size_t max)
{
    size_t count = 0;
    while (count < max && self->ring_first < self->ring_write) {
        trn_chunk_t *const chunk = *s_slot (self, self->ring_first);
        const uint64_t next_seq
            = chunk->first_seq
              + atomic_load_explicit (&chunk->count, memory_order_relaxed);
        if (next_seq > self->hint && self->kept <= self->config.kept_max) {
            break;
        }
        self->kept -= chunk->capacity;
        self->ring_first++;
        gone[count++] = chunk;
    }
    return count;
}

static void
s_release_all (trn_chunk_t **gone, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        trn_chunk_release (&gone[i]);
    }
}

void
trn_log_hint (trn_log_t *self, uint64_t next_seq)
{
    assert (self);
    trn_chunk_t *gone[EVICT_AT_ONCE];
    size_t count = 0;
    do {
        pthread_mutex_lock (&self->lock);
        self->hint = next_seq;
        count = trn_log_evict (self, gone, EVICT_AT_ONCE);
        pthread_mutex_unlock (&self->lock);
        s_release_all (gone, count);
    } while (count == EVICT_AT_ONCE);
}

//  The last chunk that starts at or before seq; NULL if memory starts above.
static trn_chunk_t *
s_find_chunk (trn_log_t *self, uint64_t seq)
{
    size_t low = self->ring_first;
    size_t high = self->ring_next;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if ((*s_slot (self, middle))->first_seq <= seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > self->ring_first ? *s_slot (self, low - 1) : NULL;
}

int
trn_log_run (trn_log_t *self, uint64_t seq, uint32_t max_count,
             uint32_t max_bytes, trn_run_t *run)
{
    assert (self && run && max_count > 0);
    if (seq > trn_log_appended (self)) {
        return TERN_ENOENT;
    }
    pthread_mutex_lock (&self->lock);
    trn_chunk_t *chunk = s_find_chunk (self, seq);
    if (chunk) {
        trn_chunk_retain (chunk);
    }
    pthread_mutex_unlock (&self->lock);
    if (!chunk) {
        return 0;
    }
    const int rc = trn_chunk_run (chunk, seq, max_count, max_bytes, run);
    trn_chunk_release (&chunk);
    //  Behind a chunk comes a gap, or what is read: read () tells them apart.
    return rc == TERN_ENOENT ? 0 : rc;
}

//  Limits ----------------------------------------------------------------

//  Log bytes before seq, as exactly as memory or a mark can say; never more
//  than there are.
static uint64_t
s_position (trn_log_t *self, uint64_t seq)
{
    const trn_log_segment_t *const tail = &self->segments[self->tail];
    if (seq >= self->next_seq) {
        return tail->base + (uint64_t) tail->end;
    }
    const trn_log_segment_t *const found = trn_log_find_segment (self, seq);
    if (!found) {
        return 0;
    }
    const trn_chunk_t *const chunk = s_find_chunk (self, seq);
    if (chunk
        && seq - chunk->first_seq
               < atomic_load_explicit (&chunk->count, memory_order_relaxed)) {
        return found->base + (uint64_t) chunk->offset
               + chunk->index[seq - chunk->first_seq];
    }
    return found->base + (uint64_t) trn_log_find_mark (found, seq, NULL).offset;
}

//  Numbers in from..to that are inside a gap.
static uint64_t
s_count_gaps (const trn_log_t *self, uint64_t from, uint64_t to)
{
    uint64_t count = 0;
    trn_range_t gap;
    while (from <= to && trn_ranges_first_in (&self->gaps, from, to, &gap)) {
        count += gap.to - gap.from + 1;
        from = gap.to + 1;
    }
    return count;
}

void
trn_log_move_backlog (trn_log_t *self, uint64_t low)
{
    if (low > self->backlog_low) {
        self->backlog_low = low;
        self->backlog_base = s_position (self, low);
        self->backlog_gaps = s_count_gaps (self, low, UINT64_MAX - 1);
    }
}

//  What is settled behind one that is not does not count; gaps are settled as
//  well, if the owner tells of any.  How many these are may have been told for a
//  lower or a higher low than ours: then it is too few, but for what DROP_OLDEST
//  has just dropped, which the owner tells of next.
static uint64_t
s_backlog_messages (const trn_log_t *self)
{
    if (self->next_seq <= self->backlog_low) {
        return 0;
    }
    const uint64_t ahead = s_load (&self->ahead);
    const uint64_t least
        = ahead > self->backlog_gaps ? ahead : self->backlog_gaps;
    const uint64_t all = self->next_seq - self->backlog_low;
    return all > least ? all - least : 0;
}

static bool
s_too_many (const trn_log_t *self)
{
    return self->config.limit_messages
           && s_backlog_messages (self) >= self->config.limit_messages;
}

static bool
s_beyond_limits (const trn_log_t *self, uint32_t size)
{
    //  One message is always allowed, or nothing would ever move.
    if (s_backlog_messages (self) == 0) {
        return false;
    }
    const trn_log_segment_t *const tail = &self->segments[self->tail];
    const uint64_t bytes
        = tail->base + (uint64_t) tail->end - self->backlog_base;
    return s_too_many (self)
           || (self->config.limit_bytes
               && bytes + size > self->config.limit_bytes);
}

//  The smallest low above the present one that a search by bytes can step to:
//  the next record in memory, else the next mark, else the next segment.
static uint64_t
s_next_low (trn_log_t *self)
{
    const uint64_t low = self->backlog_low;
    const trn_log_segment_t *const found
        = s_find_chunk (self, low) ? NULL : trn_log_find_segment (self, low);
    if (!found) {
        return low + 1;
    }
    for (size_t i = 0; i < found->mark_count; i++) {
        if (s_mark_at (found, i).seq > low) {
            return s_mark_at (found, i).seq;
        }
    }
    return found->last_seq + 1;
}

static void
s_drop_oldest (trn_log_t *self, uint32_t size)
{
    const uint64_t before = self->backlog_low;
    while (s_beyond_limits (self, size)) {
        trn_range_t gap;
        uint64_t low = s_next_low (self);
        if (trn_ranges_first_in (&self->gaps, self->backlog_low,
                                 self->backlog_low, &gap)) {
            trn_ranges_first_out (&self->gaps, self->backlog_low,
                                  UINT64_MAX - 1, &gap);
            low = gap.from;
        } else if (s_too_many (self)) {
            low = self->backlog_low + s_backlog_messages (self)
                  - self->config.limit_messages + 1;
        }
        trn_log_move_backlog (self,
                              low < self->next_seq ? low : self->next_seq);
    }
    //  Seqs of a gap named nothing that could be dropped.
    self->dropped += self->backlog_low - before
                     - s_count_gaps (self, before, self->backlog_low - 1);
    s_raise (&self->floor, self->backlog_low);
}

static int
s_check_limits (trn_log_t *self, uint32_t size)
{
    const trn_log_config_t *const config = &self->config;
    if (!config->limit_bytes && !config->limit_messages) {
        return 0;
    }
    if (!s_beyond_limits (self, size)) {
        return 0;
    }
    trn_log_move_backlog (self, s_load (&self->settled));
    if (!s_beyond_limits (self, size)) {
        return 0;
    }
    switch (config->at_limit) {
    case TRN_AT_LIMIT_DROP_OLDEST: s_drop_oldest (self, size); return 0;
    case TRN_AT_LIMIT_REFUSE: return TERN_EFULL;
    case TRN_AT_LIMIT_BLOCK: break;
    }
    return TERN_EAGAIN;
}

void
trn_log_settled (trn_log_t *self, uint64_t low, uint64_t ahead)
{
    assert (self);
    //  In this order: who sees the low sees what belongs to it, or to one above.
    atomic_store_explicit (&self->ahead, ahead, memory_order_release);
    s_raise (&self->settled, low);
}

//  Appending -------------------------------------------------------------

//  May a record of this size come in now?
static int
s_admit (trn_log_t *self, uint32_t size)
{
    if (atomic_load_explicit (&self->failed, memory_order_acquire)) {
        return TERN_EIO;
    }
    const size_t unwritten
        = atomic_load_explicit (&self->unwritten, memory_order_relaxed);
    if (unwritten && unwritten + size > self->config.unwritten_max) {
        return atomic_load_explicit (&self->full, memory_order_relaxed)
                   ? TERN_EFULL
                   : TERN_EAGAIN;
    }
    if (self->next_seq
        > atomic_load_explicit (&self->reserved, memory_order_relaxed)) {
        return TERN_EAGAIN;
    }
    return s_check_limits (self, size);
}

//  Is there room for need bytes in the segment that grows, or in the next?
static int
s_find_room (trn_log_t *self, uint32_t need, bool *next_p)
{
    const trn_log_segment_t *const tail = &self->segments[self->tail];
    *next_p = false;
    if (tail->end + need <= tail->size || tail->end == TRN_SEGMENT_HEADER) {
        return 0;
    }
    if (self->tail + 1 < self->segment_count) {
        *next_p = true;
        return 0;
    }
    atomic_store_explicit (&self->wants_segment, true, memory_order_release);
    return atomic_load_explicit (&self->full, memory_order_relaxed)
               ? TERN_EFULL
               : TERN_EAGAIN;
}

static void
s_next_segment (trn_log_t *self)
{
    const trn_log_segment_t *const old = &self->segments[self->tail++];
    trn_log_segment_t *const tail = &self->segments[self->tail];
    tail->base = old->base + (uint64_t) old->end;
    self->tail_seed
        = trn_record_seed (self->store_uuid, self->name, tail->segment);
}

//  Chunks are as large as the backlog of the disk says: a quiet outbox costs
//  16 KiB, a busy one writes half a megabyte with one call.
static uint32_t
s_chunk_capacity (trn_log_t *self, uint32_t need)
{
    const trn_log_segment_t *const tail = &self->segments[self->tail];
    const size_t unwritten
        = atomic_load_explicit (&self->unwritten, memory_order_relaxed);
    uint32_t capacity = CHUNK_MIN;
    while (capacity < CHUNK_MAX && capacity < unwritten * 2) {
        capacity *= 2;
    }
    const int64_t left = tail->size - tail->end;
    if (left < (int64_t) capacity) {
        capacity = left > 0 ? (uint32_t) left : 0;
    }
    return capacity > need ? capacity : need;
}

//  Seqs that an unclean end left in doubt, or that were skipped, are given up in
//  front of the first record that comes after them.
static void
s_write_gap (trn_log_t *self, trn_chunk_t *chunk)
{
    uint8_t last[8];
    trn_put_u64 (last, self->next_seq - 1);
    const trn_record_t gap
        = {.kind = TRN_RECORD_GAP,
           .seq = self->gap_from,
           .incarnation = (uint32_t) self->config.incarnation,
           .body = last,
           .body_size = sizeof last};
    trn_record_write (chunk->data, &gap, self->tail_seed, chunk->offset);
    chunk->filled = TRN_GAP_SIZE;
    atomic_fetch_add_explicit (&self->unwritten, TRN_GAP_SIZE,
                               memory_order_relaxed);
    trn_log_segment_t *const tail = &self->segments[self->tail];
    tail->end += TRN_GAP_SIZE;
    tail->last_seq = self->next_seq - 1;
    if (!tail->first_seq) {
        tail->first_seq = self->gap_from;
    }
    self->gap_from = 0;
}

//  A new chunk for a record of size bytes, where the log now ends.
static int
s_start_chunk (trn_log_t *self, uint32_t size, trn_chunk_t **chunk_p)
{
    const uint32_t need = size + (self->gap_from ? TRN_GAP_SIZE : 0);
    bool next = false;
    const int rc = s_find_room (self, need, &next);
    if (rc < 0) {
        return rc;
    }
    if (next) {
        s_next_segment (self);
    }
    const trn_log_segment_t *const tail = &self->segments[self->tail];
    const uint32_t capacity = s_chunk_capacity (self, need);
    trn_chunk_t *const chunk = trn_chunk_new (
        capacity, capacity / CHUNK_BYTES_PER_RECORD + 1, self->account);
    chunk->first_seq = self->next_seq;
    chunk->segment = tail->segment;
    chunk->offset = tail->end;
    //  The chunk before this one will not grow any more.
    if (self->ring_write + 1 == self->ring_next) {
        const trn_chunk_t *const before = s_open_chunk (self);
        if (before->written == before->filled) {
            self->ring_write++;
            self->kept += before->capacity;
        }
    }
    s_push_chunk (self, chunk);
    if (self->gap_from) {
        s_write_gap (self, chunk);
    }
    //  Ready the next segment long before this one is full.
    if (self->tail + 1 == self->segment_count && tail->end > tail->size / 4) {
        atomic_store_explicit (&self->wants_segment, true,
                               memory_order_release);
    }
    *chunk_p = chunk;
    return 0;
}

static void
s_put_record (trn_log_t *self, trn_chunk_t *chunk, trn_record_t *record,
              uint32_t size)
{
    trn_log_segment_t *const tail = &self->segments[self->tail];
    const uint64_t behind
        = self->next_seq
          - atomic_load_explicit (&self->proved, memory_order_relaxed);
    record->kind = TRN_RECORD_MESSAGE;
    record->seq = self->next_seq;
    record->incarnation = (uint32_t) self->config.incarnation;
    //  Too far to say: that would prove what never was.
    record->unsynced = behind <= UINT32_MAX ? (uint32_t) behind : 0;
    trn_record_write (chunk->data + chunk->filled, record, self->tail_seed,
                      tail->end);
    trn_log_mark (tail, record, tail->end);

    const uint32_t count
        = atomic_load_explicit (&chunk->count, memory_order_relaxed);
    chunk->index[count] = chunk->filled;
    chunk->filled += size;
    tail->end += size;
    tail->last_seq = record->seq;
    if (!tail->first_seq) {
        tail->first_seq = record->seq;
    }
    self->next_seq++;
    //  Plain arithmetic will do for a number that only changes under the lock.
    atomic_store_explicit (
        &self->unwritten,
        atomic_load_explicit (&self->unwritten, memory_order_relaxed) + size,
        memory_order_relaxed);
    atomic_store_explicit (&chunk->count, count + 1, memory_order_release);
    atomic_store_explicit (&self->appended, record->seq, memory_order_release);
}

int
trn_log_append (trn_log_t *self, trn_record_t *record, uint64_t *seq_p)
{
    assert (self && record && seq_p);
    if (record->body_size > TRN_BODY_MAX) {
        return TERN_ETOOBIG;
    }
    const uint32_t size = trn_record_size (record);
    trn_chunk_t *gone[EVICT_AT_ONCE];
    size_t count = 0;

    pthread_mutex_lock (&self->lock);
    int rc = s_admit (self, size);
    if (rc == 0) {
        trn_chunk_t *chunk = s_open_chunk (self);
        if (!chunk || self->gap_from || size > chunk->capacity - chunk->filled
            || atomic_load_explicit (&chunk->count, memory_order_relaxed)
                   == chunk->index_size) {
            rc = s_start_chunk (self, size, &chunk);
            count = trn_log_evict (self, gone, EVICT_AT_ONCE);
        }
        if (rc == 0) {
            s_put_record (self, chunk, record, size);
            *seq_p = record->seq;
        }
    }
    pthread_mutex_unlock (&self->lock);
    s_release_all (gone, count);
    return rc;
}

bool
trn_log_room (trn_log_t *self, uint32_t size)
{
    assert (self);
    pthread_mutex_lock (&self->lock);
    //  What drop_oldest would drop is not dropped by asking.
    int rc = self->config.at_limit == TRN_AT_LIMIT_DROP_OLDEST
                     && s_beyond_limits (self, size)
                 ? 0
                 : s_admit (self, size);
    const trn_chunk_t *const chunk = s_open_chunk (self);
    if (rc == 0
        && (!chunk || self->gap_from
            || size > chunk->capacity - chunk->filled)) {
        bool next = false;
        rc = s_find_room (self, size + (self->gap_from ? TRN_GAP_SIZE : 0),
                          &next);
    }
    pthread_mutex_unlock (&self->lock);
    return rc != TERN_EAGAIN;
}

//  Progress --------------------------------------------------------------

uint64_t
trn_log_appended (const trn_log_t *self)
{
    return s_load (&self->appended);
}

uint64_t
trn_log_written (const trn_log_t *self)
{
    return s_load (&self->written);
}

uint64_t
trn_log_synced (const trn_log_t *self)
{
    return s_load (&self->synced);
}

uint64_t
trn_log_floor (const trn_log_t *self)
{
    return s_load (&self->floor);
}

size_t
trn_log_unwritten (const trn_log_t *self)
{
    return atomic_load_explicit (&self->unwritten, memory_order_relaxed);
}

bool
trn_log_wants_segment (const trn_log_t *self)
{
    return atomic_load_explicit (&self->wants_segment, memory_order_acquire);
}

int
trn_log_status (const trn_log_t *self)
{
    if (atomic_load_explicit (&self->failed, memory_order_acquire)) {
        return TERN_EIO;
    }
    return atomic_load_explicit (&self->full, memory_order_acquire) ? TERN_EFULL
                                                                    : 0;
}

void
trn_log_stats (trn_log_t *self, trn_log_stats_t *stats)
{
    assert (self && stats);
    *stats
        = (trn_log_stats_t) {.syncs = s_load (&self->syncs),
                             .sync_us_last = s_load (&self->sync_us_last),
                             .sync_us_max = s_load (&self->sync_us_max),
                             .memory = trn_chunk_account_bytes (self->account)};
    pthread_mutex_lock (&self->lock);
    const trn_log_segment_t *const first = &self->segments[0];
    const trn_log_segment_t *const tail = &self->segments[self->tail];
    stats->first_seq = trn_log_first_seq (self, 0);
    stats->bytes = tail->base + (uint64_t) tail->end - first->base;
    for (size_t i = 0; i < self->segment_count; i++) {
        stats->disk_bytes += (uint64_t) self->segments[i].size;
    }
    stats->segments = (uint32_t) self->segment_count;
    stats->dropped = self->dropped;
    pthread_mutex_unlock (&self->lock);
}
