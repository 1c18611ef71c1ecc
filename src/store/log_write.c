//  store/log_write.c - the disk side of the log: write, sync, prepare, skip
//
//  Knows: which file what goes to, and in which order things become durable.
//
//  Invariants: `written` and `synced` are ends of records; `synced` is
//  published only after the fdatasync of every file below it returned success
//  (L12); a segment is used only after its header, its size and its name were
//  synced (L2, L14); after the first failed write or sync nothing is written
//  (L16).
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/log_private.h"

#include "store/io.h"

#include <tern/error.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

enum {
    PIECES = 16,  //  chunks handled per turn of the lock
    GONE = 16,
    AHEAD = 64 * 1024  //  bytes made really written at a time
};

static bool
s_failed (const trn_log_t *self)
{
    return atomic_load_explicit (&self->failed, memory_order_acquire);
}

//  No space is a state that passes; everything else ends the log.
static int
s_disk_said (trn_log_t *self, int rc, const char *call, uint64_t segment)
{
    if (rc == TERN_EFULL) {
        atomic_store_explicit (&self->full, true, memory_order_release);
        return rc;
    }
    return rc < 0 ? trn_log_fail (self, call, segment) : rc;
}

//  Under lock.
static trn_log_segment_t *
s_segment (trn_log_t *self, uint64_t segment)
{
    const uint64_t first = self->segments[0].segment;
    assert (segment >= first && segment - first < self->segment_count);
    return &self->segments[segment - first];
}

//  Writing ---------------------------------------------------------------

//  What one chunk has grown by.
typedef struct {
    trn_chunk_t *chunk;
    uint32_t from;
    uint32_t to;
    uint64_t last_seq;
    int file;
} trn_piece_t;

static trn_chunk_t *
s_ring_at (const trn_log_t *self, size_t number)
{
    return self->ring[number & (self->ring_capacity - 1)];
}

static size_t
s_gather (trn_log_t *self, trn_piece_t *pieces)
{
    size_t count = 0;
    pthread_mutex_lock (&self->lock);
    for (size_t i = self->ring_write; i < self->ring_next && count < PIECES;
         i++) {
        trn_chunk_t *const chunk = s_ring_at (self, i);
        if (chunk->written == chunk->filled) {
            continue;
        }
        const uint32_t records
            = atomic_load_explicit (&chunk->count, memory_order_relaxed);
        pieces[count++]
            = (trn_piece_t) {.chunk = chunk,
                             .from = chunk->written,
                             .to = chunk->filled,
                             .last_seq = chunk->first_seq + records - 1,
                             .file = s_segment (self, chunk->segment)->file};
    }
    pthread_mutex_unlock (&self->lock);
    return count;
}

//  Only now is the segment dirty: marked before the write, a sync in between
//  would take the mark away and cover nothing.
static void
s_piece_written (trn_log_t *self, const trn_piece_t *piece)
{
    trn_chunk_t *gone[GONE];
    pthread_mutex_lock (&self->lock);
    piece->chunk->written = piece->to;
    s_segment (self, piece->chunk->segment)->dirty = true;
    atomic_store_explicit (
        &self->unwritten,
        atomic_load_explicit (&self->unwritten, memory_order_relaxed)
            - (piece->to - piece->from),
        memory_order_relaxed);
    atomic_store_explicit (&self->written, piece->last_seq,
                           memory_order_release);
    while (self->ring_write + 1 < self->ring_next) {
        const trn_chunk_t *const chunk = s_ring_at (self, self->ring_write);
        if (chunk->written < chunk->filled) {
            break;
        }
        self->kept += chunk->capacity;
        self->ring_write++;
    }
    const size_t count = trn_log_evict (self, gone, GONE);
    pthread_mutex_unlock (&self->lock);
    for (size_t i = 0; i < count; i++) {
        trn_chunk_release (&gone[i]);
    }
}

//  Preallocated space is marked as never written; the first write to a page of
//  it makes the sync wait for the file system's journal (0.20 instead of 0.13
//  ms, docs/STORAGE.md).  A slow trickle therefore writes zeros ahead, a block
//  at a time, and no more than is there already: of a thousand outboxes most stay
//  small.  Under load the large writes do it by themselves.
static void
s_write_ahead (trn_log_t *self, const trn_piece_t *piece)
{
    static const uint8_t zeros[AHEAD];
    const int64_t end = piece->chunk->offset + (int64_t) piece->to;
    int64_t block = TRN_LOG_PAGE;
    while (block < end && block < AHEAD) {
        block *= 2;
    }
    int64_t to = (end + block - 1) / block * block;
    pthread_mutex_lock (&self->lock);
    trn_log_segment_t *const segment = s_segment (self, piece->chunk->segment);
    to = to < segment->size ? to : segment->size;
    const bool wipe = end > segment->wiped && to > end;
    segment->wiped = to > segment->wiped ? to : segment->wiped;
    pthread_mutex_unlock (&self->lock);
    //  It only saves time: what goes wrong here, the next write will meet.
    if (wipe && piece->to - piece->from < AHEAD) {
        (void) trn_io_write (self->disk, piece->file, zeros,
                             (size_t) (to - end), end);
    }
}

static int
s_push (trn_log_t *self)
{
    trn_piece_t pieces[PIECES];
    int rc = 0;
    pthread_mutex_lock (&self->write_lock);
    size_t count = 0;
    while (rc >= 0 && (count = s_gather (self, pieces)) > 0) {
        for (size_t i = 0; rc >= 0 && i < count; i++) {
            const trn_piece_t *const piece = &pieces[i];
            rc = s_failed (self)
                     ? TERN_EIO
                     : trn_io_write (self->disk, piece->file,
                                     piece->chunk->data + piece->from,
                                     piece->to - piece->from,
                                     piece->chunk->offset
                                         + (int64_t) piece->from);
            rc = s_disk_said (self, rc, "pwrite", piece->chunk->segment);
            if (rc == 0) {
                if (i + 1 == count && count < PIECES) {
                    s_write_ahead (self, piece);
                }
                s_piece_written (self, piece);
                rc = 1;
            }
        }
        if (count < PIECES) {
            break;
        }
    }
    if (rc > 0 && !trn_log_wants_segment (self)) {
        atomic_store_explicit (&self->full, false, memory_order_release);
    }
    pthread_mutex_unlock (&self->write_lock);
    return rc;
}

int
trn_log_push (trn_log_t *self)
{
    assert (self);
    //  Most turns find nothing new; they cost no lock.
    if (trn_log_unwritten (self) == 0) {
        return s_failed (self) ? TERN_EIO : 0;
    }
    int rc = s_push (self);
    while (rc == TERN_EFULL && trn_log_yield (self) > 0) {
        rc = s_push (self);
    }
    return rc;
}

int
trn_log_write (trn_log_t *self)
{
    const int pushed = trn_log_push (self);
    if (pushed < 0) {
        return pushed;
    }
    const int prepared = trn_log_prepare (self);
    return prepared != 0 ? prepared : pushed;
}

//  Preparing the next segment --------------------------------------------

//  All of it but the name.
static int
s_fill_segment (trn_log_t *self, int file, uint64_t segment, int64_t *size_p)
{
    //  A disk that is nearly full may still have room for a smaller one.
    int rc = trn_io_allocate (self->disk, file, *size_p);
    while (rc == TERN_EFULL
           && *size_p / 4 >= (int64_t) self->config.segment_min) {
        *size_p /= 4;
        rc = trn_io_allocate (self->disk, file, *size_p);
    }
    if (rc < 0 && rc != TERN_ENOTSUP) {
        return rc;
    }
    const trn_place_t place = trn_log_place (self, segment);
    uint8_t header[TRN_SEGMENT_HEADER];
    trn_segment_encode (header, &place, (uint64_t) *size_p,
                        self->config.incarnation);
    rc = trn_io_write (self->disk, file, header, sizeof header, 0);
    return rc < 0 ? rc : trn_io_sync (self->disk, file);
}

int
trn_log_create_segment (trn_log_t *self, uint64_t segment, int64_t *size_p)
{
    trn_disk_t *const disk = self->disk;
    char name[TRN_SEGMENT_NAME];
    char fresh[TRN_SEGMENT_NAME + 4];
    trn_segment_name (name, segment);
    memcpy (fresh, name, strlen (name) + 1);
    strncat (fresh, ".new", sizeof fresh - strlen (fresh) - 1);

    //  What an earlier try left there is not worth keeping.
    (void) disk->unlink (disk, self->dir, fresh);
    int file = disk->open (disk, self->dir, fresh, O_RDWR | O_CREAT | O_EXCL);
    if (file < 0) {
        return trn_io_error (file);
    }
    int rc = s_fill_segment (self, file, segment, size_p);
    if (rc == 0) {
        const int renamed = disk->rename (disk, self->dir, fresh, name);
        rc = renamed < 0 ? trn_io_error (renamed) : 0;
    }
#ifndef TERN_BUG_4
    if (rc == 0) {
        rc = trn_io_sync (disk, self->dir);
    }
#endif
    if (rc < 0) {
        (void) disk->close (disk, file);
        (void) disk->unlink (disk, self->dir, fresh);
        return rc == TERN_EFULL ? rc : TERN_EIO;
    }
    return file;
}

static int
s_prepare (trn_log_t *self)
{
    pthread_mutex_lock (&self->prepare_lock);
    //  Taken back first: who asks from here on asks for the one after.
    atomic_store_explicit (&self->wants_segment, false, memory_order_release);
    pthread_mutex_lock (&self->lock);
    const trn_log_segment_t last = self->segments[self->segment_count - 1];
    const bool needed = self->tail + 1 == self->segment_count;
    pthread_mutex_unlock (&self->lock);

    int rc = 0;
    if (needed) {
        int64_t size = last.size * 4;
        if (size > (int64_t) self->config.segment_max) {
            size = self->config.segment_max;
        }
        rc = trn_log_create_segment (self, last.segment + 1, &size);
        if (rc >= 0) {
            pthread_mutex_lock (&self->lock);
            trn_log_add_segment (self, last.segment + 1, size)->file = rc;
            pthread_mutex_unlock (&self->lock);
            rc = 1;
        }
        rc = s_disk_said (self, rc, "creation", last.segment + 1);
    }
    if (rc >= 0) {
        atomic_store_explicit (&self->full, false, memory_order_release);
    } else {
        atomic_store_explicit (&self->wants_segment, true,
                               memory_order_release);
    }
    pthread_mutex_unlock (&self->prepare_lock);
    return rc;
}

int
trn_log_prepare (trn_log_t *self)
{
    assert (self);
    if (!trn_log_wants_segment (self)) {
        return 0;
    }
    int rc = s_failed (self) ? TERN_EIO : s_prepare (self);
    while (rc == TERN_EFULL && trn_log_yield (self) > 0) {
        rc = s_prepare (self);
    }
    return rc;
}

//  Syncing ---------------------------------------------------------------

int
trn_log_put_meta (trn_log_t *self, uint64_t reserved, bool clean)
{
    trn_log_meta_t meta = {
        .reserved = reserved,
        .durable = atomic_load_explicit (&self->proved, memory_order_acquire),
        .clean = clean};
    memcpy (meta.store_uuid, self->store_uuid, sizeof meta.store_uuid);
    memcpy (meta.name, self->name, sizeof meta.name);
    size_t size = 0;
    uint8_t *const bytes = trn_log_meta_encode (&meta, &size);
    const int rc = trn_cell_replace (&self->meta, bytes, size);
    free (bytes);
    return rc;
}

//  So many seqs may be used behind last.  Under sync_lock.
static int
s_reserve_behind (trn_log_t *self, uint64_t last)
{
    const uint64_t reserved = last + self->config.reserve;
    const int rc = trn_log_put_meta (self, reserved, false);
    if (rc == 0) {
        atomic_store_explicit (&self->reserved, reserved, memory_order_release);
    }
    return s_disk_said (self, rc, "reserving", 0);
}

//  Half of the reserved seqs are used: reserve more, before anybody waits.
static int
s_extend_reservation (trn_log_t *self)
{
    const uint64_t appended = trn_log_appended (self);
    const uint64_t reserved
        = atomic_load_explicit (&self->reserved, memory_order_relaxed);
    if (reserved - appended > self->config.reserve / 2) {
        return 0;
    }
    const int rc = s_reserve_behind (self, appended);
    return rc < 0 ? rc : 1;
}

//  Under lock: the segment that the next byte is written to.
static uint64_t
s_writing (const trn_log_t *self)
{
    return self->ring_write < self->ring_next
               ? s_ring_at (self, self->ring_write)->segment
               : self->segments[self->tail].segment;
}

//  Which files to sync so that everything up to `covers` is durable.
static void
s_gather_dirty (trn_log_t *self)
{
    size_t count = 0;
    pthread_mutex_lock (&self->lock);
    self->covers = trn_log_written (self);
    const uint64_t writing = s_writing (self);
    const uint64_t first = self->segments[0].segment;
    if (self->sync_from < first) {
        self->sync_from = first;
    }
    for (uint64_t i = self->sync_from;
         i <= writing && count < TRN_LOG_SYNC_FILES; i++) {
        trn_log_segment_t *const segment = s_segment (self, i);
        if (segment->dirty || (segment->file >= 0 && i < writing)) {
            self->unsynced[count++]
                = (trn_unsynced_t) {.segment = i,
                                    .file = segment->file,
                                    .dirty = segment->dirty,
                                    .complete = i < writing};
            segment->dirty = false;
        }
        if (count == TRN_LOG_SYNC_FILES && i < writing) {
            //  Too many for one turn: promise only what they cover.
            const uint64_t covered = segment->last_seq;
            self->covers = covered < self->covers ? covered : self->covers;
        }
    }
    self->unsynced_count = count;
    pthread_mutex_unlock (&self->lock);
}

//  A complete segment is never written again; reading opens its own file.
static int
s_retire (trn_log_t *self, const trn_unsynced_t *done)
{
    pthread_mutex_lock (&self->lock);
    self->sync_from = done->segment + 1;
    s_segment (self, done->segment)->file = -1;
    pthread_mutex_unlock (&self->lock);
    const int rc = self->disk->close (self->disk, done->file);
    return rc < 0 ? TERN_EIO : 0;
}

static void
s_count_sync (trn_log_t *self, uint64_t took_us)
{
    atomic_fetch_add_explicit (&self->syncs, 1, memory_order_relaxed);
    atomic_store_explicit (&self->sync_us_last, took_us, memory_order_relaxed);
    if (took_us
        > atomic_load_explicit (&self->sync_us_max, memory_order_relaxed)) {
        atomic_store_explicit (&self->sync_us_max, took_us,
                               memory_order_relaxed);
    }
}

static int
s_sync_file (trn_log_t *self, int file)
{
    uint64_t (*const clock_us) (void) = self->config.clock_us;
    const uint64_t before = clock_us ? clock_us () : 0;
    const int rc = trn_io_sync_data (self->disk, file);
    s_count_sync (self, clock_us ? clock_us () - before : 0);
    return rc;
}

//  error: what the disk said to a sync of this file; NULL: nobody asked it yet.
static int
s_file_synced (trn_log_t *self, int file, const int *error)
{
    //  Interrupted is not failed.
    if (!error || *error == -EINTR) {
        return s_sync_file (self, file);
    }
    return *error < 0 ? TERN_EIO : 0;
}

//  errors: of each dirty file, or NULL.
static int
s_sync_data (trn_log_t *self, const int *errors)
{
    int rc = 0;
    for (size_t i = 0; i < self->unsynced_count && rc == 0; i++) {
        const trn_unsynced_t *const part = &self->unsynced[i];
        if (part->dirty) {
            rc = s_file_synced (self, part->file, errors);
            rc = s_disk_said (self, rc, "fdatasync", part->segment);
            errors = errors ? errors + 1 : NULL;
        }
        if (rc == 0 && part->complete) {
            rc = s_retire (self, part);
            rc = s_disk_said (self, rc, "close", part->segment);
        }
    }
    if (rc < 0 || self->covers <= trn_log_synced (self)) {
        return rc;
    }
    atomic_store_explicit (&self->proved, self->covers, memory_order_release);
    atomic_store_explicit (&self->synced, self->covers, memory_order_release);
    return 1;
}

//  Under sync_lock.
static size_t
s_begin_sync (trn_log_t *self, int files[TRN_LOG_SYNC_FILES])
{
    self->covers = 0;
    self->unsynced_count = 0;
    if (!s_failed (self) && trn_log_written (self) > trn_log_synced (self)) {
        s_gather_dirty (self);
    }
    size_t count = 0;
    for (size_t i = 0; i < self->unsynced_count; i++) {
        if (self->unsynced[i].dirty) {
            files[count++] = self->unsynced[i].file;
        }
    }
    return count;
}

//  Under sync_lock.
static int
s_end_sync (trn_log_t *self, const int *errors)
{
    int rc = s_failed (self) ? TERN_EIO : 0;
    if (rc == 0 && self->covers) {
        rc = s_sync_data (self, errors);
    }
    if (rc >= 0) {
        const int extended = s_extend_reservation (self);
        rc = extended != 0 ? extended : rc;
    }
    return rc;
}

size_t
trn_log_begin_sync (trn_log_t *self, int files[TRN_LOG_SYNC_FILES])
{
    assert (self && files);
    pthread_mutex_lock (&self->sync_lock);
    assert (!self->syncing);
    self->syncing = true;
    const size_t count = s_begin_sync (self, files);
    pthread_mutex_unlock (&self->sync_lock);
    return count;
}

int
trn_log_end_sync (trn_log_t *self, const int *errors, uint64_t took_us)
{
    assert (self);
    pthread_mutex_lock (&self->sync_lock);
    assert (self->syncing);
    self->syncing = false;
    if (errors && self->covers) {
        s_count_sync (self, took_us);
    }
    const int rc = s_end_sync (self, errors);
    pthread_mutex_unlock (&self->sync_lock);
    return rc;
}

int
trn_log_sync (trn_log_t *self)
{
    assert (self);
    int files[TRN_LOG_SYNC_FILES];
    pthread_mutex_lock (&self->sync_lock);
    assert (!self->syncing);
    (void) s_begin_sync (self, files);
    const int rc = s_end_sync (self, NULL);
    pthread_mutex_unlock (&self->sync_lock);
    return rc;
}

//  Skipping --------------------------------------------------------------

//  Under lock: what comes next is this seq.
static void
s_give_up (trn_log_t *self, uint64_t seq)
{
    if (seq > self->next_seq) {
        trn_ranges_add (&self->gaps, self->next_seq, seq - 1);
        self->backlog_gaps += seq - self->next_seq;
        self->gap_from = self->gap_from ? self->gap_from : self->next_seq;
        self->next_seq = seq;
    }
}

int
trn_log_skip (trn_log_t *self, uint64_t seq)
{
    assert (self);
    if (seq > TRN_LOG_SKIP_MAX) {
        return TERN_ETOOBIG;
    }
    //  Each gap begins a chunk: these must not pile up in memory.
    int rc = trn_log_push (self);
    pthread_mutex_lock (&self->sync_lock);
    if (rc >= 0
        && seq > atomic_load_explicit (&self->reserved, memory_order_relaxed)) {
        rc = s_reserve_behind (self, seq - 1);
    }
    if (rc >= 0) {
        pthread_mutex_lock (&self->lock);
        s_give_up (self, seq);
        pthread_mutex_unlock (&self->lock);
    }
    pthread_mutex_unlock (&self->sync_lock);
    return rc < 0 ? rc : 0;
}
