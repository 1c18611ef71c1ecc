//  store/log_repair.c - what an unclean end makes necessary
//
//  Only after the survey found that the log may be opened: what follows its
//  last good record is kept aside and cut (L8), what only a page cache may hold
//  is written again.
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/log_private.h"

#include "base/memory.h"
#include "store/io.h"

#include <tern/error.h>

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    COPY_BLOCK = 1024 * 1024,
    TORN_MAX = 1024 * 1024,  //  bytes of a torn tail that are kept
    TORN_FILES = 4
};

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
    trn_torn_files_t found = {.count = 0};
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
    const int to
        = log->disk->open (log->disk, log->dir, aside, O_RDWR | O_CREAT);
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

//  Cut one segment at offset and make that durable, before anything is appended
//  (L8): new records must never be followed by old bytes.
static int
s_cut (trn_log_t *log, uint64_t segment, int64_t offset, uint64_t *torn_bytes_p)
{
    char name[TRN_SEGMENT_NAME];
    trn_segment_name (name, segment);
    const int file = log->disk->open (log->disk, log->dir, name, O_RDWR);
    if (file < 0) {
        return trn_io_error (file);
    }
    trn_file_source_t source_file = {.disk = log->disk, .file = file};
    const trn_source_t source = trn_source_file (&source_file);
    const int64_t torn = trn_source_last_byte (&source, offset) - offset;
    int rc = 0;
    if (torn > 0) {
        *torn_bytes_p += (uint64_t) torn;
        s_keep_torn (log, file, segment, offset, torn);
        const int cut = log->disk->ftruncate (log->disk, file, offset);
        rc = cut < 0 ? trn_io_error (cut) : 0;
#ifndef TERN_BUG_6
        if (rc == 0) {
            rc = trn_io_sync (log->disk, file);
        }
#endif
    }
    (void) log->disk->close (log->disk, file);
    return rc;
}

//  Later segments first: while the hole is there, they are known to be void.
int
trn_log_cut_tail (trn_log_t *self, const trn_survey_t *survey,
                  uint64_t *torn_bytes_p)
{
    assert (self && survey && torn_bytes_p);
    if (!survey->broken) {
        return 0;
    }
    for (size_t i = survey->segment_count; i > survey->end_index + 1; i--) {
        const int rc = s_cut (self, survey->segments[i - 1].segment,
                              TRN_SEGMENT_HEADER, torn_bytes_p);
        if (rc < 0) {
            return rc;
        }
    }
    return s_cut (self, survey->segments[survey->end_index].segment,
                  survey->end, torn_bytes_p);
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

//  Records after the last that is proved to be synced may be in the page cache
//  and nowhere else; after a failed sync they may even pass for clean there.
//  They were checked, so write them once more and sync.
int
trn_log_harden (trn_log_t *self, uint64_t proved)
{
    assert (self);
    for (size_t i = 0; i <= self->tail; i++) {
        const trn_log_segment_t *const segment = &self->segments[i];
        if (segment->last_seq <= proved || !segment->first_seq) {
            continue;
        }
        const trn_mark_t from = trn_log_find_mark (segment, proved + 1, NULL);
        char name[TRN_SEGMENT_NAME];
        trn_segment_name (name, segment->segment);
        const int file = self->disk->open (self->disk, self->dir, name, O_RDWR);
        if (file < 0) {
            return trn_io_error (file);
        }
        const int rc = s_rewrite (self, file, from.offset, segment->end);
        (void) self->disk->close (self->disk, file);
        if (rc < 0) {
            return rc;
        }
    }
    return trn_io_sync (self->disk, self->dir);
}
