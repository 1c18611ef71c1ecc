//  store/log_recover.c - opening and closing a log
//
//  Opening reads everything once: the two cells, then every segment from the
//  first that is needed, and decides what the bytes after the last good record
//  are (segment.h).  A log that is refused keeps every byte.  Else, in this
//  order, each step durable before the next: a torn tail is cut, what only a
//  page cache may hold is written again, seqs beyond all that were ever used
//  are reserved.
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
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEGMENT_MIN = 1152 * 1024,       //  holds the largest record
    SEGMENT_MAX = 64 * 1024 * 1024,
    RESERVE = 1 << 22,
    UNWRITTEN_MAX = 8 * 1024 * 1024,
    KEPT_MAX = 16 * 1024 * 1024,
    COPY_BLOCK = 1024 * 1024,
    TORN_MAX = 1024 * 1024,          //  bytes of a torn tail that are kept
    TORN_FILES = 4
};

//  Everything that opening passes from step to step.
typedef struct {
    trn_log_t *log;
    trn_log_report_t *report;
    char *why;
    size_t why_size;
    trn_log_meta_t meta;
    trn_log_state_t state;
    uint8_t *state_bytes;    //  owned; the blob lies in it
    uint64_t *numbers;       //  segments in the directory; owned
    size_t number_count;
    uint64_t proved;         //  highest seq known to have been synced
    uint32_t incarnation;    //  highest in any record
    uint64_t next_seq;       //  after the last good record
    size_t end_segment;      //  index of the segment where the log ends
    int64_t end;             //  and the offset there
    bool broken;
    bool misplaced;
    trn_beyond_t beyond;
} trn_opening_t;

static int
s_say (trn_opening_t *self, int rc, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));

static int
s_say (trn_opening_t *self, int rc, const char *format, ...)
{
    if (self->why && self->why_size && self->why[0] == 0) {
        char text[256];
        va_list args;
        va_start (args, format);
        vsnprintf (text, sizeof text, format, args);
        va_end (args);
        snprintf (self->why, self->why_size, "outbox %s: %s",
                  self->log->name, text);
    }
    return rc;
}

static int
s_io (trn_opening_t *self, int rc, const char *what)
{
    return rc < 0 ? s_say (self, rc, "%s: %s", what, tern_strerror (rc)) : rc;
}

//  Refuse to open: say where and what is known (L9).
static int
s_corrupt (trn_opening_t *self, uint64_t segment, int64_t offset,
           const char *what)
{
    trn_log_report_t *const report = self->report;
    report->segment = segment;
    report->offset = offset;
    report->last_good_seq = self->next_seq ? self->next_seq - 1 : 0;
    report->durable_seq = self->proved > self->beyond.proved
                              ? self->proved
                              : self->beyond.proved;
    return s_say (self, TERN_ECORRUPT,
                  "%s in segment %016" PRIx64 " at %" PRId64
                  ", last good seq %" PRIu64 ", synced up to %" PRIu64,
                  what, segment, offset, report->last_good_seq,
                  report->durable_seq);
}

//  The object ------------------------------------------------------------

static void
s_default (uint32_t *value, uint32_t otherwise)
{
    if (*value == 0) {
        *value = otherwise;
    }
}

static trn_log_t *
s_new (const trn_log_config_t *config)
{
    assert (config->disk && config->name && config->name[0]);
    assert (strlen (config->name) <= TRN_NAME_MAX + 1);
    trn_log_t *const self = trn_alloc (sizeof *self);
    self->disk = config->disk;
    self->dir = config->dir;
    self->config = *config;
    s_default (&self->config.segment_min, SEGMENT_MIN);
    s_default (&self->config.segment_max, SEGMENT_MAX);
    s_default (&self->config.reserve, RESERVE);
    s_default (&self->config.unwritten_max, UNWRITTEN_MAX);
    s_default (&self->config.kept_max, KEPT_MAX);
    if (self->config.segment_max < self->config.segment_min) {
        self->config.segment_max = self->config.segment_min;
    }
    snprintf (self->name, sizeof self->name, "%s", config->name);
    self->config.name = self->name;
    memcpy (self->store_uuid, config->store_uuid, sizeof self->store_uuid);
    self->account = trn_chunk_account_new ();
    self->meta.file = -1;
    self->state.file = -1;
    self->read_file = -1;
    pthread_mutex_init (&self->sync_lock, NULL);
    pthread_mutex_init (&self->state_lock, NULL);
    pthread_mutex_init (&self->prepare_lock, NULL);
    pthread_mutex_init (&self->read_lock, NULL);
    pthread_mutex_init (&self->write_lock, NULL);
    pthread_mutex_init (&self->lock, NULL);
    return self;
}

void
trn_log_abandon (trn_log_t **self_p)
{
    assert (self_p);
    trn_log_t *const self = *self_p;
    *self_p = NULL;
    if (!self) {
        return;
    }
    for (size_t i = self->ring_first; i < self->ring_next; i++) {
        trn_chunk_release (&self->ring[i & (self->ring_capacity - 1)]);
    }
    for (size_t i = 0; i < self->segment_count; i++) {
        if (self->segments[i].file >= 0) {
            (void) self->disk->close (self->disk, self->segments[i].file);
        }
        free (self->segments[i].marks);
    }
    if (self->read_file >= 0) {
        (void) self->disk->close (self->disk, self->read_file);
    }
    trn_cell_close (&self->meta);
    trn_cell_close (&self->state);
    trn_chunk_account_leave (&self->account);
    trn_ranges_clear (&self->gaps);
    pthread_mutex_destroy (&self->sync_lock);
    pthread_mutex_destroy (&self->state_lock);
    pthread_mutex_destroy (&self->prepare_lock);
    pthread_mutex_destroy (&self->read_lock);
    pthread_mutex_destroy (&self->write_lock);
    pthread_mutex_destroy (&self->lock);
    free (self->segments);
    free (self->ring);
    free (self);
}

//  The directory and the cells -------------------------------------------

static int
s_collect (void *arg, const char *name)
{
    trn_opening_t *const self = arg;
    uint64_t segment = 0;
    if (trn_segment_parse_name (name, &segment)) {
        self->numbers
            = trn_realloc (self->numbers, (self->number_count + 1)
                                              * sizeof *self->numbers);
        self->numbers[self->number_count++] = segment;
    }
    return 0;
}

static int
s_compare_numbers (const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *) left;
    const uint64_t b = *(const uint64_t *) right;
    return (a > b) - (a < b);
}

static int
s_list_segments (trn_opening_t *self)
{
    trn_disk_t *const disk = self->log->disk;
    const int rc = disk->list (disk, self->log->dir, s_collect, self);
    if (rc < 0) {
        return s_io (self, trn_io_error (rc), "the directory");
    }
    if (self->number_count) {
        qsort (self->numbers, self->number_count, sizeof *self->numbers,
               s_compare_numbers);
    }
    return 0;
}

//  META is written last when an outbox is born.  Without it there is either
//  nothing, or an outbox whose META somebody took away.
static int
s_check_unborn (trn_opening_t *self)
{
    trn_log_t *const log = self->log;
    for (size_t i = 0; i < self->number_count; i++) {
        char name[TRN_SEGMENT_NAME];
        trn_segment_name (name, self->numbers[i]);
        trn_file_source_t file = { .disk = log->disk };
        file.file = log->disk->open (log->disk, log->dir, name, O_RDONLY);
        if (file.file < 0) {
            return s_io (self, trn_io_error (file.file), name);
        }
        const trn_source_t source = trn_source_file (&file);
        const trn_place_t place = trn_log_place (log, self->numbers[i]);
        trn_walk_t walk;
        const int rc = trn_segment_walk (&source, &place, TRN_SEGMENT_HEADER,
                                         0, NULL, NULL, &walk);
        (void) log->disk->close (log->disk, file.file);
        if (rc < 0) {
            return s_io (self, rc, name);
        }
        if (walk.first_seq || walk.broken) {
            return s_corrupt (self, self->numbers[i], 0,
                              "META is missing but there are records");
        }
    }
    return 0;
}

//  The first segment, STATE, META, each durable before the next.
static int
s_create (trn_opening_t *self)
{
    trn_log_t *const log = self->log;
    int rc = s_check_unborn (self);
    if (rc < 0) {
        return rc;
    }
    int64_t size = log->config.segment_min;
    const int file = trn_log_create_segment (log, 1, &size);
    if (file < 0) {
        return s_io (self, file, "creating the first segment");
    }
    trn_log_add_segment (log, 1, size)->file = file;

    const trn_log_state_t state = { .low = 1, .first_segment = 1,
                                    .first_seq = 1 };
    size_t length = 0;
    uint8_t *bytes = trn_log_state_encode (&state, &length);
    rc = trn_cell_create (&log->state, log->disk, log->dir,
                          TRN_LOG_STATE_FILE,
                          trn_log_state_seed (log->store_uuid, log->name),
                          trn_log_state_half (), bytes, length);
    free (bytes);
    if (rc < 0) {
        return s_io (self, rc, "creating STATE");
    }
    trn_log_meta_t meta = { .reserved = log->config.reserve };
    memcpy (meta.store_uuid, log->store_uuid, sizeof meta.store_uuid);
    memcpy (meta.name, log->name, sizeof meta.name);
    bytes = trn_log_meta_encode (&meta, &length);
    rc = trn_cell_create (&log->meta, log->disk, log->dir, TRN_LOG_META_FILE,
                          trn_log_meta_seed (), trn_log_meta_half (), bytes,
                          length);
    free (bytes);
    if (rc < 0) {
        return s_io (self, rc, "creating META");
    }
    self->state = state;
    self->meta = meta;
    self->next_seq = 1;
    self->end = TRN_SEGMENT_HEADER;
    self->report->clean = true;
    return 0;
}

static int
s_open_meta (trn_opening_t *self)
{
    trn_log_t *const log = self->log;
    uint8_t *bytes = NULL;
    size_t size = 0;
    int rc = trn_cell_open (&log->meta, log->disk, log->dir,
                            TRN_LOG_META_FILE, trn_log_meta_seed (),
                            trn_log_meta_half (), &bytes, &size);
    if (rc == TERN_ENOENT) {
        return rc;
    }
    if (rc == 0) {
        rc = trn_log_meta_decode (bytes, size, &self->meta);
        free (bytes);
    }
    if (rc < 0) {
        return s_io (self, rc, "META");
    }
    if (memcmp (self->meta.store_uuid, log->store_uuid, 16) != 0
        || strcmp (self->meta.name, log->name) != 0) {
        return s_corrupt (self, 0, 0, "META of another store or outbox");
    }
    return 0;
}

static int
s_open_state (trn_opening_t *self)
{
    trn_log_t *const log = self->log;
    size_t size = 0;
    int rc = trn_cell_open (&log->state, log->disk, log->dir,
                            TRN_LOG_STATE_FILE,
                            trn_log_state_seed (log->store_uuid, log->name),
                            trn_log_state_half (), &self->state_bytes, &size);
    if (rc == 0) {
        rc = trn_log_state_decode (self->state_bytes, size, &self->state);
    }
    return rc == TERN_ENOENT ? s_corrupt (self, 0, 0, "STATE is missing")
                             : s_io (self, rc, "STATE");
}

//  Walking the segments --------------------------------------------------

typedef struct {
    trn_log_segment_t *segment;
    trn_ranges_t *gaps;
} trn_indexing_t;

static int
s_index_record (void *arg, const trn_record_t *record, int64_t offset,
                uint32_t size)
{
    (void) size;
    trn_indexing_t *const self = arg;
    trn_log_mark (self->segment, record->seq, offset);
    if (record->kind == TRN_RECORD_GAP) {
        trn_ranges_add (self->gaps, record->seq, trn_get_u64 (record->body));
    }
    return 0;
}

//  What is not ours, or not needed any more, goes out of the way (L25).
static int
s_set_aside (trn_opening_t *self, const char *name)
{
    trn_log_t *const log = self->log;
    char aside[TRN_SEGMENT_NAME + 16];
    snprintf (aside, sizeof aside, "%s.foreign", name);
    const int rc = log->disk->rename (log->disk, log->dir, name, aside);
    return s_io (self, rc < 0 ? trn_io_error (rc) : 0, name);
}

//  Header of one segment.  1 if it is ours, 0 if it was set aside.
static int
s_check_header (trn_opening_t *self, uint64_t number,
                const trn_source_t *source, uint64_t *size_p)
{
    char name[TRN_SEGMENT_NAME];
    trn_segment_name (name, number);
    uint8_t header[TRN_SEGMENT_HEADER];
    const int64_t got = source->read (source->arg, header, sizeof header, 0);
    if (got < 0) {
        return s_io (self, (int) got, name);
    }
    const trn_place_t place = trn_log_place (self->log, number);
    const int rc = trn_segment_decode (header, (size_t) got, &place, size_p);
    if (rc == TERN_ENAME) {
        return s_set_aside (self, name);
    }
    if (rc == TERN_EVERSION) {
        return s_say (self, rc, "segment %016" PRIx64 " has a newer format",
                      number);
    }
    return rc < 0 ? s_corrupt (self, number, 0, "a bad header") : 1;
}

//  The first place where the log is not valid was found before: whatever comes
//  in later segments only bears witness about it.
static int
s_search_segment (trn_opening_t *self, const trn_source_t *source,
                  const trn_place_t *place, int64_t offset)
{
    return s_io (self,
                 trn_segment_search (source, place, offset, self->next_seq,
                                     &self->beyond),
                 "searching a segment");
}

static int
s_walk_segment (trn_opening_t *self, const trn_source_t *source,
                const trn_place_t *place, trn_log_segment_t *segment)
{
    trn_indexing_t indexing
        = { .segment = segment, .gaps = &self->report->gaps };
    trn_walk_t walk;
    int rc = trn_segment_walk (source, place, TRN_SEGMENT_HEADER,
                               self->next_seq, s_index_record, &indexing,
                               &walk);
    if (rc < 0) {
        return s_io (self, rc, "reading a segment");
    }
    segment->end = walk.end;
    segment->first_seq = walk.first_seq;
    segment->last_seq = walk.first_seq ? walk.next_seq - 1 : 0;
    self->report->messages += walk.messages;
    self->report->bytes += walk.bytes;
    if (walk.proved > self->proved) {
        self->proved = walk.proved;
    }
    if (walk.incarnation > self->incarnation) {
        self->incarnation = walk.incarnation;
    }
    if (walk.first_seq && self->report->first_seq == 0) {
        self->report->first_seq = walk.first_seq;
    }
    //  A later segment that goes on with a later seq: the one before lost its
    //  end.  The hole is there, not here.
    if (walk.misplaced && walk.end == TRN_SEGMENT_HEADER
        && walk.misplaced_seq > self->next_seq) {
        self->broken = true;
        return s_search_segment (self, source, place, TRN_SEGMENT_HEADER);
    }
    self->next_seq = walk.next_seq;
    if (walk.first_seq || walk.broken || self->end == 0) {
        self->end_segment = self->log->segment_count - 1;
        self->end = walk.end;
    }
    self->misplaced = walk.misplaced;
    if (walk.broken) {
        self->broken = true;
        return s_search_segment (self, source, place, walk.end);
    }
    return 0;
}

static int
s_read_segment (trn_opening_t *self, uint64_t number)
{
    trn_log_t *const log = self->log;
    char name[TRN_SEGMENT_NAME];
    trn_segment_name (name, number);
    trn_file_source_t file = { .disk = log->disk };
    file.file = log->disk->open (log->disk, log->dir, name, O_RDONLY);
    if (file.file < 0) {
        return s_io (self, trn_io_error (file.file), name);
    }
    const trn_source_t source = trn_source_file (&file);
    int rc = source.size < 0
                 ? s_io (self, trn_io_error (source.size), name)
                 : 0;
    uint64_t size = 0;
    if (rc == 0) {
        rc = s_check_header (self, number, &source, &size);
    }
    if (rc > 0) {
        const trn_place_t place = trn_log_place (log, number);
        trn_log_segment_t *const segment
            = trn_log_add_segment (log, number, (int64_t) size);
        rc = self->broken
                 ? s_search_segment (self, &source, &place,
                                     TRN_SEGMENT_HEADER)
                 : s_walk_segment (self, &source, &place, segment);
    }
    (void) log->disk->close (log->disk, file.file);
    return rc;
}

//  Segments are dense from the first that is needed (L5).
static int
s_read_segments (trn_opening_t *self)
{
    trn_log_t *const log = self->log;
    uint64_t expected = self->state.first_segment;
    self->next_seq = self->state.first_seq;
    for (size_t i = 0; i < self->number_count; i++) {
        const uint64_t number = self->numbers[i];
        char name[TRN_SEGMENT_NAME];
        trn_segment_name (name, number);
        if (number < self->state.first_segment) {
            //  Trimmed before, and the crash brought the name back.
            (void) log->disk->unlink (log->disk, log->dir, name);
            continue;
        }
        const size_t before = log->segment_count;
        const int rc = s_read_segment (self, number);
        if (rc < 0) {
            return rc;
        }
        if (log->segment_count == before) {
            continue;
        }
        if (number != expected) {
            return s_corrupt (self, expected, 0, "a file is missing");
        }
        expected++;
    }
    if (log->segment_count == 0) {
        return s_corrupt (self, expected, 0, "every file is missing");
    }
    return 0;
}

//  The verdict -----------------------------------------------------------

static int
s_unwritten (trn_opening_t *self, bool *unwritten_p)
{
    trn_log_t *const log = self->log;
    char name[TRN_SEGMENT_NAME];
    trn_segment_name (name, log->segments[self->end_segment].segment);
    trn_file_source_t file = { .disk = log->disk };
    file.file = log->disk->open (log->disk, log->dir, name, O_RDONLY);
    if (file.file < 0) {
        return s_io (self, trn_io_error (file.file), name);
    }
    const trn_source_t source = trn_source_file (&file);
    const int rc = trn_segment_unwritten (&source, self->end, unwritten_p);
    (void) log->disk->close (log->disk, file.file);
    return s_io (self, rc, name);
}

//  Does the log end as a log may end?
static int
s_judge (trn_opening_t *self)
{
    const trn_log_t *const log = self->log;
    const uint64_t segment = log->segments[self->end_segment].segment;
    if (self->next_seq - 1 > self->meta.reserved) {
        return s_corrupt (self, segment, self->end,
                          "META is older than the records");
    }
    if (self->incarnation > (uint32_t) log->config.incarnation) {
        return s_corrupt (self, segment, self->end,
                          "the store's META is older than the records");
    }
    bool unwritten = false;
    if (self->beyond.found) {
        const int rc = s_unwritten (self, &unwritten);
        if (rc < 0) {
            return rc;
        }
    }
    const trn_tail_t tail
        = trn_segment_judge (self->next_seq, self->broken, self->misplaced,
                             &self->beyond, self->proved, unwritten);
#ifndef TERN_BUG_5
    if (tail == TRN_TAIL_CORRUPT) {
        return s_corrupt (self, segment, self->end, "damage");
    }
#endif
    if (tail == TRN_TAIL_TORN && self->meta.clean) {
        return s_corrupt (self, segment, self->end,
                          "damage after a proper close");
    }
    return 0;
}

//  Repair ----------------------------------------------------------------

typedef struct {
    char oldest[TRN_SEGMENT_NAME];
    unsigned count;
} trn_torn_files_t;

static int
s_find_torn (void *arg, const char *name)
{
    trn_torn_files_t *const found = arg;
    const size_t length = strlen (name);
    if (length >= sizeof found->oldest || strncmp (name, "seg-", 4) != 0
        || strcmp (name + length - 5, ".torn") != 0) {
        return 0;
    }
    //  Names are of one length: their order is the order of the segments.
    if (found->count++ == 0 || strcmp (name, found->oldest) < 0) {
        memcpy (found->oldest, name, length + 1);
    }
    return 0;
}

//  Keep the newest few torn tails; never at the price of not opening.
static void
s_bound_torn_files (trn_log_t *log)
{
    trn_torn_files_t found = { .count = 0 };
    (void) log->disk->list (log->disk, log->dir, s_find_torn, &found);
    if (found.count > TORN_FILES) {
        (void) log->disk->unlink (log->disk, log->dir, found.oldest);
    }
}

//  A copy of what is cut, for whoever wants to look; best effort, bounded.
static void
s_keep_torn (trn_log_t *log, int from, uint64_t segment, int64_t offset,
             int64_t size)
{
    char name[TRN_SEGMENT_NAME];
    char aside[TRN_SEGMENT_NAME + 8];
    trn_segment_name (name, segment);
    snprintf (aside, sizeof aside, "%s.torn", name);
    const size_t keep = size < TORN_MAX ? (size_t) size : TORN_MAX;
    uint8_t *const bytes = trn_alloc (keep);
    const int64_t got = trn_io_read (log->disk, from, bytes, keep, offset);
    const int to = log->disk->open (log->disk, log->dir, aside,
                                    O_RDWR | O_CREAT);
    if (to >= 0) {
        (void) log->disk->ftruncate (log->disk, to, 0);
        if (got > 0) {
            (void) trn_io_write (log->disk, to, bytes, (size_t) got, 0);
        }
        (void) log->disk->close (log->disk, to);
    }
    free (bytes);
    s_bound_torn_files (log);
}

//  Bytes after offset up to the last that is not zero.
static int64_t
s_torn_size (trn_log_t *log, int file, int64_t offset)
{
    int64_t last = offset;
    uint8_t *const block = trn_alloc (COPY_BLOCK);
    for (int64_t at = offset;;) {
        const int64_t got
            = trn_io_read (log->disk, file, block, COPY_BLOCK, at);
        if (got <= 0) {
            break;
        }
        for (int64_t i = got; i > 0; i--) {
            if (block[i - 1]) {
                last = at + i;
                break;
            }
        }
        at += got;
    }
    free (block);
    return last - offset;
}

//  Cut one segment at offset and make that durable, before anything is appended
//  (L8): new records must never be followed by old bytes.
static int
s_cut (trn_opening_t *self, trn_log_segment_t *segment, int64_t offset)
{
    trn_log_t *const log = self->log;
    char name[TRN_SEGMENT_NAME];
    trn_segment_name (name, segment->segment);
    const int file = log->disk->open (log->disk, log->dir, name, O_RDWR);
    if (file < 0) {
        return s_io (self, trn_io_error (file), name);
    }
    const int64_t torn = s_torn_size (log, file, offset);
    int rc = 0;
    if (torn > 0) {
        self->report->torn_bytes += (uint64_t) torn;
        s_keep_torn (log, file, segment->segment, offset, torn);
        const int cut = log->disk->ftruncate (log->disk, file, offset);
        rc = cut < 0 ? trn_io_error (cut) : 0;
#ifndef TERN_BUG_6
        if (rc == 0) {
            rc = trn_io_sync (log->disk, file);
        }
#endif
    }
    (void) log->disk->close (log->disk, file);
    return s_io (self, rc, name);
}

//  Later segments first: while the hole is there, they are known to be void.
static int
s_cut_tail (trn_opening_t *self)
{
    trn_log_t *const log = self->log;
    if (!self->broken) {
        return 0;
    }
    for (size_t i = log->segment_count; i > self->end_segment + 1; i--) {
        trn_log_segment_t *const segment = &log->segments[i - 1];
        const int rc = s_cut (self, segment, TRN_SEGMENT_HEADER);
        if (rc < 0) {
            return rc;
        }
        segment->end = TRN_SEGMENT_HEADER;
        segment->first_seq = segment->last_seq = 0;
        segment->mark_count = 0;
    }
    return s_cut (self, &log->segments[self->end_segment], self->end);
}

//  Write the same bytes again, so that the next fdatasync means them.
static int
s_rewrite (trn_log_t *log, int file, int64_t from, int64_t to)
{
    uint8_t *const block = trn_alloc (COPY_BLOCK);
    int rc = 0;
    while (rc == 0 && from < to) {
        const size_t size
            = to - from < COPY_BLOCK ? (size_t) (to - from) : COPY_BLOCK;
        const int64_t got = trn_io_read (log->disk, file, block, size, from);
        if (got != (int64_t) size) {
            rc = got < 0 ? (int) got : TERN_EIO;
            break;
        }
        rc = trn_io_write (log->disk, file, block, size, from);
        from += got;
    }
    free (block);
    return rc == 0 ? trn_io_sync_data (log->disk, file) : rc;
}

//  After an unclean end the last records may be in the page cache and nowhere
//  else; after a failed sync they may even pass for clean there.  They were
//  checked, so write them once more and sync.
static int
s_harden (trn_opening_t *self)
{
    trn_log_t *const log = self->log;
    for (size_t i = 0; i <= self->end_segment; i++) {
        trn_log_segment_t *const segment = &log->segments[i];
        if (segment->last_seq <= self->proved || !segment->first_seq) {
            continue;
        }
        const trn_mark_t from
            = trn_log_find_mark (segment, self->proved + 1);
        char name[TRN_SEGMENT_NAME];
        trn_segment_name (name, segment->segment);
        const int file = log->disk->open (log->disk, log->dir, name, O_RDWR);
        if (file < 0) {
            return s_io (self, trn_io_error (file), name);
        }
        const int rc = s_rewrite (log, file, from.offset, segment->end);
        (void) log->disk->close (log->disk, file);
        if (rc < 0) {
            return s_io (self, rc, name);
        }
    }
    return s_io (self, trn_io_sync (log->disk, log->dir), "the directory");
}

//  Going on --------------------------------------------------------------

//  Open what may be written, and give it its space again.
static int
s_open_tail (trn_opening_t *self)
{
    trn_log_t *const log = self->log;
    uint64_t base = 0;
    for (size_t i = 0; i < log->segment_count; i++) {
        trn_log_segment_t *const segment = &log->segments[i];
        segment->base = base;
        base += (uint64_t) segment->end;
        if (i < self->end_segment || segment->file >= 0) {
            continue;
        }
        char name[TRN_SEGMENT_NAME];
        trn_segment_name (name, segment->segment);
        segment->file = log->disk->open (log->disk, log->dir, name, O_RDWR);
        if (segment->file < 0) {
            return s_io (self, trn_io_error (segment->file), name);
        }
        const int rc = trn_io_allocate (log->disk, segment->file,
                                        segment->size);
        if (rc == TERN_EFULL) {
            //  What was cut is not given back: go on in another segment.
            const int64_t size = log->disk->size (log->disk, segment->file);
            segment->size = size > segment->end ? size : segment->end;
        }
    }
    log->tail = self->end_segment;
    const trn_log_segment_t *const tail = &log->segments[log->tail];
    atomic_store (&log->wants_segment, log->tail + 1 == log->segment_count
                                           && tail->end > tail->size / 4);
    log->tail_seed = trn_record_seed (log->store_uuid, log->name,
                                      log->segments[log->tail].segment);
    log->sync_from = log->segments[log->tail].segment;
    return 0;
}

//  Seqs above the last record up to the reservation may have been sent before
//  the end that nobody saw: they are given up.
static int
s_reserve (trn_opening_t *self)
{
    trn_log_t *const log = self->log;
    const uint64_t last = self->next_seq - 1;
    const bool born = self->state_bytes == NULL;
    uint64_t high = last;
    if (!born && self->meta.reserved > last) {
        high = self->meta.reserved;
        log->gap_from = last + 1;
        trn_ranges_add (&self->report->gaps, last + 1, high);
    }
    log->next_seq = high + 1;
    atomic_store (&log->appended, high);
    atomic_store (&log->written, high);
    atomic_store (&log->synced, high);
    atomic_store (&log->proved, last);
    atomic_store (&log->settled, self->state.low);
    atomic_store (&log->floor, self->state.low);
    log->saved_low = self->state.low;
    log->dropped = self->state.dropped;
    for (size_t i = 0; i < self->report->gaps.count; i++) {
        trn_ranges_add (&log->gaps, self->report->gaps.at[i].from,
                        self->report->gaps.at[i].to);
    }
    trn_log_move_backlog (log, self->state.low ? self->state.low : 1);

    int rc = 0;
    uint64_t reserved = self->meta.reserved;
    if (!born) {
        reserved = high + log->config.reserve;
        rc = trn_log_put_meta (log, reserved, false);
    }
    atomic_store (&log->reserved, reserved);
    self->report->high = high;
    if (self->report->first_seq == 0) {
        self->report->first_seq = high + 1;
    }
    return s_io (self, rc, "reserving seqs in META");
}

static int
s_open_existing (trn_opening_t *self)
{
    int rc = s_open_state (self);
    if (rc < 0) {
        return rc;
    }
    self->report->clean = self->meta.clean;
    self->proved = self->meta.durable > self->state.durable
                       ? self->meta.durable
                       : self->state.durable;
    rc = s_read_segments (self);
    if (rc == 0) {
        rc = s_judge (self);
    }
    if (rc == 0) {
        rc = s_cut_tail (self);
    }
    if (rc == 0 && !self->meta.clean) {
        rc = s_harden (self);
    }
    return rc;
}

static int
s_open (trn_opening_t *self)
{
    int rc = s_list_segments (self);
    if (rc == 0) {
        rc = s_open_meta (self);
        rc = rc == TERN_ENOENT ? s_create (self)
             : rc == 0         ? s_open_existing (self)
                               : rc;
    }
    if (rc == 0) {
        rc = s_open_tail (self);
    }
    return rc == 0 ? s_reserve (self) : rc;
}

int
trn_log_open (trn_log_t **self_p, const trn_log_config_t *config,
              uint8_t **state_p, size_t *state_size_p,
              trn_log_report_t *report, char *why, size_t why_size)
{
    assert (self_p && config && state_p && state_size_p);
    *self_p = NULL;
    *state_p = NULL;
    *state_size_p = 0;
    if (why && why_size) {
        why[0] = 0;
    }
    trn_log_report_t own;
    trn_opening_t opening = { .log = s_new (config),
                              .report = report ? report : &own,
                              .why = why,
                              .why_size = why_size };
    *opening.report = (trn_log_report_t){ .first_seq = 0 };
    const int rc = s_open (&opening);
    if (rc == 0) {
        *state_p = trn_alloc (opening.state.blob_size + 1);
        if (opening.state.blob_size) {
            memcpy (*state_p, opening.state.blob, opening.state.blob_size);
        }
        *state_size_p = opening.state.blob_size;
        *self_p = opening.log;
    } else {
        trn_log_abandon (&opening.log);
    }
    if (!report) {
        trn_ranges_clear (&own.gaps);
    }
    free (opening.state_bytes);
    free (opening.numbers);
    return rc;
}

//  Everything durable, then the state, then the word that it was all.
static int
s_finish (trn_log_t *self, const uint8_t *state, size_t size)
{
    int rc = trn_log_push (self);
    while (rc >= 0 && trn_log_synced (self) < trn_log_appended (self)) {
        rc = trn_log_sync (self);
        if (rc == 0) {
            rc = trn_log_push (self);
        }
    }
    if (rc >= 0) {
        rc = trn_log_save_state (self, state, size, self->saved_low);
    }
    if (rc < 0) {
        return rc;
    }
    //  Nothing is in doubt any more: what was reserved beyond is free again.
    return trn_log_put_meta (self, self->next_seq - 1, true);
}

int
trn_log_close (trn_log_t **self_p, const uint8_t *state, size_t state_size)
{
    assert (self_p && *self_p);
    trn_log_t *const self = *self_p;
    int rc = trn_log_status (self) == TERN_EIO
                 ? TERN_EIO
                 : s_finish (self, state, state_size);
    trn_log_abandon (self_p);
    return rc;
}
