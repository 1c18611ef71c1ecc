//  store/log_pick.c - read single records, wherever they are
//
//  Priorities and ordering keys ask for records out of order.  A pick reads many
//  of them in one pass: seqs rise, so do the places, and what one block holds is
//  read once.
//
//  Between two marks records are mostly of one size.  So the first look is where
//  the record would be then, and mostly it is there; a small block is enough to
//  see.  If not, or if what looks like it fails its checksum, the records from
//  the mark on are passed over one by one.
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/log_private.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "store/io.h"

#include <tern/error.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK = TRN_MARK_STEP + 4 * 1024,
    GLANCE = 2 * 1024,
    HEAD = TRN_RECORD_HEADER + 8  //  with the last seq of a gap record
};

typedef struct {
    trn_log_t *log;
    uint64_t segment;  //  0: none yet
    uint8_t *bytes;    //  from..from+filled of it
    int64_t from;
    int64_t filled;
    trn_mark_t at;  //  a record starts there; seq 0: not known
} trn_picker_t;

//  Show the head of the record at offset, reading a block of so many bytes if
//  need be.  A message may end with the file.
static int
s_show (trn_picker_t *self, int64_t offset, size_t block,
        const uint8_t **head_p)
{
    if (offset < self->from || offset + HEAD > self->from + self->filled) {
        self->from = offset;
        self->filled = trn_io_read (self->log->disk, self->log->read_file,
                                    self->bytes, block, offset);
        if (self->filled < (int64_t) TRN_RECORD_HEADER) {
            const int64_t got = self->filled;
            self->filled = 0;
            return got < 0 ? (int) got : TERN_ECORRUPT;
        }
    }
    *head_p = self->bytes + (offset - self->from);
    return 0;
}

//  What the record at offset says of itself, not checked yet; the padded size.
static int
s_peek (trn_picker_t *self, int64_t offset, size_t block, trn_record_t *record)
{
    const uint8_t *head = NULL;
    const int rc = s_show (self, offset, block, &head);
    if (rc < 0) {
        return rc;
    }
    const int size = trn_record_peek (head, TRN_RECORD_MAX + 8, record);
    const bool cut = size > 0 && record->kind == TRN_RECORD_GAP
                     && offset + HEAD > self->from + self->filled;
    return size > 0 && !cut ? size : TERN_ECORRUPT;
}

//  Open the segment of seq, and say where it lies in there.
static int
s_open (trn_picker_t *self, uint64_t seq, trn_read_plan_t *plan)
{
    int rc = trn_log_plan_read (self->log, seq, plan);
    if (rc < 0 || plan->segment == self->segment) {
        return rc;
    }
    self->at.seq = 0;
    self->filled = 0;
    rc = trn_log_open_read (self->log, plan->segment);
    self->segment = rc == 0 ? plan->segment : 0;
    return rc;
}

//  Does seq seem to be where it would be if all around it were of one size?
static bool
s_guess (trn_picker_t *self, const trn_read_plan_t *plan, uint64_t seq)
{
    const uint64_t seqs = plan->to.seq - plan->from.seq;
    const int64_t bytes = plan->to.offset - plan->from.offset;
    if (seqs == 0 || (uint64_t) bytes % seqs != 0) {
        return false;
    }
    const size_t size = (size_t) bytes / seqs;
    const int64_t offset
        = plan->from.offset + (int64_t) ((seq - plan->from.seq) * size);
    const size_t block = size < GLANCE - HEAD ? GLANCE : size + HEAD;
    trn_record_t record = {0};
    if (size % 8 != 0 || block > BLOCK
        || s_peek (self, offset, block, &record) != (int) size
        || record.seq != seq) {
        return false;
    }
    self->at = (trn_mark_t) {.seq = seq, .offset = offset};
    return true;
}

//  Go to seq: from where the last pick ended, or from a mark if that is nearer.
static int
s_walk (trn_picker_t *self, const trn_read_plan_t *plan, uint64_t seq)
{
    if (self->at.seq == 0 || self->at.seq > seq
        || self->at.offset < plan->from.offset) {
        self->at = plan->from;
    }
    while (self->at.seq < seq) {
        trn_record_t record;
        const int size = s_peek (self, self->at.offset, BLOCK, &record);
        if (size < 0 || record.seq < self->at.seq) {
            return size < 0 ? size : TERN_ECORRUPT;
        }
        self->at.seq = record.kind == TRN_RECORD_GAP
                           ? trn_get_u64 (record.key) + 1
                           : record.seq + 1;
        self->at.offset += size;
    }
    return self->at.seq == seq ? 0 : TERN_ENOENT;
}

//  The bytes of the record here and of those wanted next to it, as far as the
//  block has them; *count_p says how many.
static int64_t
s_measure (trn_picker_t *self, const uint64_t *seqs, size_t count,
           uint32_t *count_p)
{
    const int64_t start = self->at.offset;
    trn_record_t record;
    const int size = s_peek (self, start, BLOCK, &record);
    if (size < 0 || record.kind != TRN_RECORD_MESSAGE
        || record.seq != seqs[0]) {
        return size < 0                        ? size
               : record.kind == TRN_RECORD_GAP ? TERN_ENOENT
                                               : TERN_ECORRUPT;
    }
    int64_t total = size;
    uint32_t found = 1;
    while (found < count && seqs[found] == seqs[0] + found
           && start + total + HEAD <= self->from + self->filled) {
        const int more = s_peek (self, start + total, BLOCK, &record);
        if (more < 0 || record.kind != TRN_RECORD_MESSAGE
            || record.seq != seqs[found]
            || start + total + more > self->from + self->filled) {
            break;
        }
        total += more;
        found++;
    }
    *count_p = found;
    return total;
}

//  One chunk, checked, of the record here and of those wanted next to it.
static int
s_take (trn_picker_t *self, const uint64_t *seqs, size_t count,
        trn_chunk_t **chunk_p)
{
    uint32_t found = 0;
    const int64_t size = s_measure (self, seqs, count, &found);
    if (size < 0) {
        return (int) size;
    }
    const int64_t offset = self->at.offset;
    trn_chunk_t *chunk
        = trn_chunk_new ((uint32_t) size, found, self->log->account);
    chunk->first_seq = seqs[0];
    chunk->segment = self->segment;
    chunk->offset = offset;
    int64_t got = size;
    if (offset + size <= self->from + self->filled) {
        memcpy (chunk->data, self->bytes + (offset - self->from),
                (size_t) size);
    } else {
        got = trn_io_read (self->log->disk, self->log->read_file, chunk->data,
                           (size_t) size, offset);
    }
    const int64_t checked
        = got < 0 ? got
                  : trn_log_index_chunk (self->log, chunk, (uint32_t) got);
    if (checked != 0) {
        trn_chunk_release (&chunk);
        return checked < 0 ? (int) checked : TERN_ECORRUPT;
    }
    self->at.seq += atomic_load_explicit (&chunk->count, memory_order_relaxed);
    self->at.offset += chunk->filled;
    *chunk_p = chunk;
    return 0;
}

static int
s_pick_next (trn_picker_t *self, const uint64_t *seqs, size_t count,
             trn_chunk_t **chunk_p)
{
    trn_read_plan_t plan;
    int rc = s_open (self, seqs[0], &plan);
    if (rc < 0) {
        return rc;
    }
    const trn_mark_t before = self->at;
    if (before.seq != seqs[0] && s_guess (self, &plan, seqs[0])) {
        if (s_take (self, seqs, count, chunk_p) == 0) {
            return 0;
        }
        self->at = before;
    }
    rc = s_walk (self, &plan, seqs[0]);
    rc = rc == 0 ? s_take (self, seqs, count, chunk_p) : rc;
    if (rc < 0) {
        self->at.seq = 0;
    }
    return rc;
}

size_t
trn_log_pick (trn_log_t *self, const uint64_t *seqs, size_t count,
              uint64_t max_bytes, trn_log_picked_fn *fn, void *arg)
{
    assert (self && seqs && fn);
    trn_picker_t picker = {.log = self};
    picker.bytes = trn_realloc (NULL, BLOCK);
    uint64_t bytes = 0;
    size_t done = 0;
    pthread_mutex_lock (&self->read_lock);
    while (done < count && (done == 0 || bytes < max_bytes)) {
        assert (done == 0 || seqs[done] > seqs[done - 1]);
        trn_chunk_t *chunk = NULL;
        const int rc = s_pick_next (&picker, seqs + done, count - done, &chunk);
        const uint64_t seq = seqs[done];
        done++;
        if (rc == 0) {
            done += atomic_load_explicit (&chunk->count, memory_order_relaxed)
                    - 1;
            bytes += chunk->filled;
        }
        fn (arg, seq, rc, chunk);
    }
    pthread_mutex_unlock (&self->read_lock);
    free (picker.bytes);
    return done;
}
