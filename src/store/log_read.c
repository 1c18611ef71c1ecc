//  store/log_read.c - read records back from the files
//
//  A read begins at a mark and passes over what lies before the seq by lengths
//  alone; what it hands out has been checked.  Reads in order begin where the
//  last one ended, with the file still open.  Finding a time means finding its
//  segment in memory and walking that one.
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/log_private.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "store/io.h"

#include <tern/error.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

enum {
    READ_MIN = 4 * 1024,
    SKIP = 32 * 1024,  //  read at once to pass over records
    READ_MAX = 4 * 1024 * 1024,
    BYTES_PER_RECORD = 64
};

int
trn_log_plan_read (trn_log_t *self, uint64_t seq, trn_read_plan_t *plan)
{
    if (seq > trn_log_written (self)) {
        return TERN_ENOENT;
    }
    pthread_mutex_lock (&self->lock);
    //  A gap counts as written from the start, its record may not be yet.
    const trn_log_segment_t *const found
        = trn_ranges_has (&self->gaps, seq) ? NULL
                                            : trn_log_find_segment (self, seq);
    if (found) {
        plan->segment = found->segment;
        plan->end = found->end;
        plan->from = trn_log_find_mark (found, seq, &plan->to);
        if (self->read_segment == found->segment
            && self->read_next_seq == seq) {
            plan->from
                = (trn_mark_t) {.seq = seq, .offset = self->read_next_offset};
        }
    }
    pthread_mutex_unlock (&self->lock);
    return found ? 0 : TERN_ENOENT;
}

int
trn_log_open_read (trn_log_t *self, uint64_t segment)
{
    if (self->read_file >= 0 && self->read_segment == segment) {
        return 0;
    }
    if (self->read_file >= 0) {
        (void) self->disk->close (self->disk, self->read_file);
    }
    char name[TRN_SEGMENT_NAME];
    trn_segment_name (name, segment);
    self->read_file = self->disk->open (self->disk, self->dir, name, O_RDONLY);
    self->read_segment = segment;
    //  Where a read ended was a place in the other one.
    self->read_next_seq = 0;
    if (self->read_file != -ENOENT) {
        return self->read_file < 0 ? trn_io_error (self->read_file) : 0;
    }
    //  Trimmed meanwhile; or still on our list, so that somebody else has taken
    //  the file away.
    pthread_mutex_lock (&self->lock);
    const bool trimmed = self->segments[0].segment > segment;
    pthread_mutex_unlock (&self->lock);
    return trimmed ? TERN_ENOENT : TERN_ECORRUPT;
}

//  Pass over records up to seq.  Their lengths are only trusted to find the
//  place: what stands there is checked before it is used.
static int
s_skip_to (trn_log_t *self, const trn_read_plan_t *plan, uint64_t seq,
           int64_t *offset_p)
{
    uint8_t header[TRN_RECORD_HEADER + 8];
    const size_t block = SKIP + TRN_RECORD_HEADER + 8;
    uint8_t *bytes = NULL;
    int64_t bytes_from = 0;
    int64_t bytes_size = 0;
    int64_t offset = plan->from.offset;
    uint64_t at_seq = plan->from.seq;
    int rc = 0;
    while (at_seq < seq) {
        const int64_t need = (int64_t) sizeof header;
        if (!bytes || offset + need > bytes_from + bytes_size) {
            bytes = bytes ? bytes : trn_alloc (block);
            bytes_from = offset;
            bytes_size = trn_io_read (self->disk, self->read_file, bytes, block,
                                      offset);
            if (bytes_size < need) {
                rc = bytes_size < 0 ? (int) bytes_size : TERN_ECORRUPT;
                break;
            }
        }
        const uint8_t *const at = bytes + (offset - bytes_from);
        trn_record_t record;
        const int size = trn_record_peek (at, TRN_RECORD_MAX + 8, &record);
        if (size <= 0 || record.seq < at_seq) {
            rc = TERN_ECORRUPT;
            break;
        }
        at_seq = record.kind == TRN_RECORD_GAP
                     ? trn_get_u64 (at + TRN_RECORD_HEADER) + 1
                     : record.seq + 1;
        offset += size;
    }
    free (bytes);
    if (rc == 0 && at_seq > seq) {
        rc = TERN_ENOENT;
    }
    *offset_p = offset;
    return rc;
}

int64_t
trn_log_index_chunk (trn_log_t *self, trn_chunk_t *chunk, uint32_t size)
{
    const uint64_t seq = chunk->first_seq;
    const uint64_t written = trn_log_written (self);
    const uint64_t seed
        = trn_record_seed (self->store_uuid, self->name, chunk->segment);
    uint32_t at = 0;
    uint32_t count = 0;
    while (seq + count <= written && count < chunk->index_size
           && size - at >= TRN_RECORD_HEADER) {
        const uint32_t length = trn_get_u32 (chunk->data + at + 8);
        if (length >= TRN_RECORD_HEADER && length <= TRN_RECORD_MAX
            && trn_record_padded (length) > size - at) {
            if (count == 0) {
                return trn_record_padded (length);
            }
            break;
        }
        trn_record_t record;
        const int step = trn_record_read (chunk->data + at, size - at, seed,
                                          chunk->offset + at, &record);
        if (step > 0 && record.kind == TRN_RECORD_GAP) {
            break;
        }
        if (step <= 0 || record.seq != seq + count) {
            //  Hand out what is good; the next read says what is wrong.
            if (count > 0) {
                break;
            }
            return TERN_ECORRUPT;
        }
        chunk->index[count++] = at;
        at += (uint32_t) step;
    }
    if (count == 0) {
        return size >= TRN_RECORD_HEADER ? TERN_ENOENT : TERN_ECORRUPT;
    }
    chunk->filled = at;
    chunk->written = at;
    atomic_store_explicit (&chunk->count, count, memory_order_release);
    return 0;
}

static int
s_read_chunk (trn_log_t *self, const trn_read_plan_t *plan, uint64_t seq,
              int64_t offset, uint32_t capacity, trn_chunk_t **chunk_p)
{
    int64_t left = plan->end - offset;
    if (left < (int64_t) capacity) {
        capacity = left > 0 ? (uint32_t) left : 1;
    }
    for (;;) {
        trn_chunk_t *chunk = trn_chunk_new (
            capacity, capacity / BYTES_PER_RECORD + 1, self->account);
        chunk->first_seq = seq;
        chunk->segment = plan->segment;
        chunk->offset = offset;
        const int64_t got = trn_io_read (self->disk, self->read_file,
                                         chunk->data, capacity, offset);
        const int64_t rc
            = got < 0 ? got : trn_log_index_chunk (self, chunk, (uint32_t) got);
        if (rc == 0) {
            *chunk_p = chunk;
            return 0;
        }
        trn_chunk_release (&chunk);
        if (rc < 0 || rc <= (int64_t) capacity) {
            return rc < 0 ? (int) rc : TERN_ECORRUPT;
        }
        capacity = (uint32_t) rc;  //  one record alone is larger than asked
    }
}

int
trn_log_read (trn_log_t *self, uint64_t seq, uint32_t max_bytes,
              trn_chunk_t **chunk_p)
{
    assert (self && chunk_p);
    uint32_t capacity = max_bytes < READ_MIN ? READ_MIN : max_bytes;
    if (capacity > READ_MAX) {
        capacity = READ_MAX;
    }
    trn_read_plan_t plan;
    pthread_mutex_lock (&self->read_lock);
    int rc = trn_log_plan_read (self, seq, &plan);
    if (rc == 0) {
        rc = trn_log_open_read (self, plan.segment);
    }
    int64_t offset = 0;
    if (rc == 0) {
        rc = s_skip_to (self, &plan, seq, &offset);
    }
    if (rc == 0) {
        rc = s_read_chunk (self, &plan, seq, offset, capacity, chunk_p);
    }
    if (rc == 0) {
        self->read_next_seq
            = seq
              + atomic_load_explicit (&(*chunk_p)->count, memory_order_relaxed);
        self->read_next_offset = offset + (int64_t) (*chunk_p)->filled;
    }
    pthread_mutex_unlock (&self->read_lock);
    return rc;
}

//  Times ----------------------------------------------------------------------

typedef struct {
    uint64_t wall_us;
    uint64_t last;  //  seqs beyond are not wholly in the file
    uint64_t seq;   //  found; 0: not yet
} trn_time_search_t;

static int
s_look_at_time (void *arg, const trn_record_t *record, int64_t offset,
                uint32_t size)
{
    (void) offset;
    (void) size;
    trn_time_search_t *const search = arg;
    if (record->seq > search->last) {
        return 1;
    }
    if (record->kind == TRN_RECORD_MESSAGE
        && record->stamp_us >= search->wall_us) {
        search->seq = record->seq;
        return 1;
    }
    return 0;
}

static int
s_search_segment (trn_log_t *self, uint64_t segment, trn_time_search_t *search)
{
    char name[TRN_SEGMENT_NAME];
    trn_segment_name (name, segment);
    trn_file_source_t file = {.disk = self->disk};
    file.file = self->disk->open (self->disk, self->dir, name, O_RDONLY);
    if (file.file == -ENOENT) {
        return TERN_ENOENT;
    }
    if (file.file < 0) {
        return trn_io_error (file.file);
    }
    const trn_source_t source = trn_source_file (&file);
    const trn_place_t place = trn_log_place (self, segment);
    trn_walk_t walk;
    const int rc = source.size < 0
                       ? trn_io_error ((int) source.size)
                       : trn_segment_walk (&source, &place, TRN_SEGMENT_HEADER,
                                           0, s_look_at_time, search, &walk);
    (void) self->disk->close (self->disk, file.file);
    return rc;
}

//  What the files do not have yet is in memory.
static void
s_search_memory (trn_log_t *self, trn_time_search_t *search)
{
    const uint64_t appended = trn_log_appended (self);
    uint64_t seq = search->last + 1;
    while (!search->seq && seq <= appended) {
        trn_run_t run;
        if (trn_log_run (self, seq, 1, UINT32_MAX, &run) != 1) {
            break;  //  left memory meanwhile: rather one too early
        }
        trn_record_t record;
        if (trn_record_peek (run.data, run.size, &record) > 0
            && record.stamp_us >= search->wall_us) {
            search->seq = seq;
        }
        seq++;
        trn_chunk_release (&run.chunk);
    }
    search->seq = search->seq ? search->seq : seq;
}

//  The first segment from number `from` on that has a record so young.
static bool
s_segment_of_time (trn_log_t *self, uint64_t wall_us, uint64_t from,
                   uint64_t *segment_p)
{
    bool found = false;
    pthread_mutex_lock (&self->lock);
    for (size_t i = 0; i <= self->tail && !found; i++) {
        const trn_log_segment_t *const segment = &self->segments[i];
        found = segment->segment >= from && segment->first_seq
                && segment->stamp_us >= wall_us;
        *segment_p = segment->segment;
    }
    pthread_mutex_unlock (&self->lock);
    return found;
}

int
trn_log_find_time (trn_log_t *self, uint64_t wall_us, uint64_t *seq_p)
{
    assert (self && seq_p);
    trn_time_search_t search
        = {.wall_us = wall_us, .last = trn_log_written (self)};
    uint64_t segment = 0;
    int rc = 0;
    //  A segment may be trimmed while we look for it: then the next one is it.
    while (rc == 0 && !search.seq
           && s_segment_of_time (self, wall_us, segment, &segment)) {
        rc = s_search_segment (self, segment, &search);
        rc = rc == TERN_ENOENT ? 0 : rc;
        segment++;
    }
    if (rc == 0 && !search.seq) {
        s_search_memory (self, &search);
    }
    *seq_p = search.seq;
    return rc;
}
