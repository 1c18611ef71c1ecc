//  store/log_read.c - read records back from the files
//
//  A read begins at a mark and passes over what lies before the seq by lengths
//  alone; what it hands out has been checked.  Reads in order begin where the
//  last one ended, with the file still open.
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
    READ_MIN = 64 * 1024,
    READ_MAX = 4 * 1024 * 1024,
    BYTES_PER_RECORD = 64
};

//  Where to begin, and how far records are written.
typedef struct {
    uint64_t segment;
    trn_mark_t from;
    int64_t end;
} trn_read_plan_t;

static int
s_plan (trn_log_t *self, uint64_t seq, trn_read_plan_t *plan)
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
        plan->from = trn_log_find_mark (found, seq);
        if (self->read_segment == found->segment
            && self->read_next_seq == seq) {
            plan->from
                = (trn_mark_t) {.seq = seq, .offset = self->read_next_offset};
        }
    }
    pthread_mutex_unlock (&self->lock);
    return found ? 0 : TERN_ENOENT;
}

static int
s_open_file (trn_log_t *self, uint64_t segment)
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
    //  Still on our list, so somebody has taken the file away: not trimmed.
    return self->read_file == -ENOENT ? TERN_ECORRUPT
           : self->read_file < 0      ? trn_io_error (self->read_file)
                                      : 0;
}

//  Pass over records up to seq.  Their lengths are only trusted to find the
//  place: what stands there is checked before it is used.
static int
s_skip_to (trn_log_t *self, const trn_read_plan_t *plan, uint64_t seq,
           int64_t *offset_p)
{
    uint8_t header[TRN_RECORD_HEADER + 8];
    const size_t block = READ_MIN + TRN_RECORD_HEADER + 8;
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

//  Index the messages in data[0..size), the first of which must be seq, and
//  check each.  Stops in front of a gap, of what is not written, and of a
//  record that is cut.  Returns how many bytes the first one needs if it is the
//  one that is cut, else 0 or an error.
static int64_t
s_index (trn_chunk_t *chunk, uint32_t size, uint64_t seq, uint64_t written,
         uint64_t seed)
{
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
            = got < 0
                  ? got
                  : s_index (chunk, (uint32_t) got, seq, trn_log_written (self),
                             trn_record_seed (self->store_uuid, self->name,
                                              plan->segment));
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
    int rc = s_plan (self, seq, &plan);
    if (rc == 0) {
        rc = s_open_file (self, plan.segment);
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
