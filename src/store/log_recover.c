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
    SEGMENT_MIN = 1152 * 1024,  //  holds the largest record
    SEGMENT_MAX = 64 * 1024 * 1024,
    UNWRITTEN_MAX = 8 * 1024 * 1024,
    KEPT_MAX = 16 * 1024 * 1024
};

//  Everything that opening passes from step to step.
typedef struct {
    trn_log_t *log;
    trn_log_report_t *report;
    char *why;
    size_t why_size;
    trn_log_meta_t meta;
    trn_log_state_t state;
    uint8_t *state_bytes;  //  owned; the blob lies in it
    trn_survey_t survey;
    bool born;  //  in this opening
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
        snprintf (self->why, self->why_size, "outbox %s: %s", self->log->name,
                  text);
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
    const trn_survey_t *const survey = &self->survey;
    trn_log_report_t *const report = self->report;
    report->segment = segment;
    report->offset = offset;
    report->last_good_seq = survey->next_seq ? survey->next_seq - 1 : 0;
    report->durable_seq = survey->proved;
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
    s_default (&self->config.reserve, TRN_LOG_RESERVE);
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

//  The cells --------------------------------------------------------------

//  META is written last when an outbox is born.  Without it there is either
//  nothing, or an outbox whose META somebody took away.
static int
s_check_unborn (trn_opening_t *self)
{
    trn_log_t *const log = self->log;
    uint64_t *numbers = NULL;
    size_t count = 0;
    int rc = trn_survey_list (log->disk, log->dir, &numbers, &count);
    for (size_t i = 0; i < count && rc == 0; i++) {
        char name[TRN_SEGMENT_NAME];
        trn_segment_name (name, numbers[i]);
        trn_file_source_t file = {.disk = log->disk};
        file.file = log->disk->open (log->disk, log->dir, name, O_RDONLY);
        if (file.file < 0) {
            rc = trn_io_error (file.file);
            break;
        }
        const trn_source_t source = trn_source_file (&file);
        const trn_place_t place = trn_log_place (log, numbers[i]);
        trn_walk_t walk;
        rc = trn_segment_walk (&source, &place, TRN_SEGMENT_HEADER, 0, NULL,
                               NULL, &walk);
        (void) log->disk->close (log->disk, file.file);
        if (rc == 0 && (walk.first_seq || walk.broken)) {
            rc = s_corrupt (self, numbers[i], 0,
                            "META is missing but there are records");
        }
    }
    free (numbers);
    return s_io (self, rc, "looking for segments");
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

    const trn_log_state_t state
        = {.low = 1, .first_segment = 1, .first_seq = 1};
    size_t length = 0;
    uint8_t *bytes = trn_log_state_encode (&state, &length);
    rc = trn_cell_create (&log->state, log->disk, log->dir, TRN_LOG_STATE_FILE,
                          trn_log_state_seed (log->store_uuid, log->name),
                          trn_log_state_half (), bytes, length);
    free (bytes);
    if (rc < 0) {
        return s_io (self, rc, "creating STATE");
    }
    trn_log_meta_t meta = {.reserved = log->config.reserve};
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
    self->survey.next_seq = 1;
    self->born = true;
    self->report->clean = true;
    return 0;
}

static int
s_open_meta (trn_opening_t *self)
{
    trn_log_t *const log = self->log;
    uint8_t *bytes = NULL;
    size_t size = 0;
    int rc = trn_cell_open (&log->meta, log->disk, log->dir, TRN_LOG_META_FILE,
                            trn_log_meta_seed (), trn_log_meta_half (), &bytes,
                            &size);
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
    int rc
        = trn_cell_open (&log->state, log->disk, log->dir, TRN_LOG_STATE_FILE,
                         trn_log_state_seed (log->store_uuid, log->name),
                         trn_log_state_half (), &self->state_bytes, &size);
    if (rc == 0) {
        rc = trn_log_state_decode (self->state_bytes, size, &self->state);
    }
    return rc == TERN_ENOENT ? s_corrupt (self, 0, 0, "STATE is missing")
                             : s_io (self, rc, "STATE");
}

//  What is there ----------------------------------------------------------

static void
s_index_record (void *arg, size_t index, const trn_record_t *record,
                int64_t offset)
{
    const trn_opening_t *const self = arg;
    trn_log_t *const log = self->log;
    while (log->segment_count <= index) {
        trn_log_add_segment (log,
                             self->state.first_segment + log->segment_count, 0);
    }
    trn_log_mark (&log->segments[index], record, offset);
    if (record->kind == TRN_RECORD_MESSAGE
        && (record->flags & TRN_RECORD_RULED) != 0
        && record->seq >= self->state.low && log->config.on_ruled) {
        log->config.on_ruled (log->config.on_ruled_arg, record);
    }
}

//  What the survey found becomes the log's list.
static void
s_adopt_segments (trn_opening_t *self)
{
    trn_log_t *const log = self->log;
    const trn_survey_t *const survey = &self->survey;
    uint64_t base = 0;
    for (size_t i = 0; i < survey->segment_count; i++) {
        const trn_survey_segment_t *const found = &survey->segments[i];
        if (i >= log->segment_count) {
            trn_log_add_segment (log, found->segment, 0);
        }
        trn_log_segment_t *const segment = &log->segments[i];
        segment->size = found->size;
        segment->base = base;
        //  Beyond the end of the log everything is cut.
        if (i <= survey->end_index) {
            segment->end = found->end;
            segment->first_seq = found->first_seq;
            segment->last_seq = found->last_seq;
        }
        base += (uint64_t) segment->end;
    }
    log->tail = survey->end_index;
}

//  What is not needed any more goes; what is not ours is only moved away (L25).
static int
s_clear_away (trn_opening_t *self)
{
    trn_log_t *const log = self->log;
    const trn_survey_t *const survey = &self->survey;
    char name[TRN_SEGMENT_NAME];
    for (size_t i = 0; i < survey->stale_count; i++) {
        trn_segment_name (name, survey->stale[i]);
        (void) log->disk->unlink (log->disk, log->dir, name);
    }
    int rc = 0;
    for (size_t i = 0; i < survey->foreign_count && rc == 0; i++) {
        char aside[TRN_SEGMENT_NAME + 16];
        trn_segment_name (name, survey->foreign[i]);
        snprintf (aside, sizeof aside, "%s.foreign", name);
        rc = log->disk->rename (log->disk, log->dir, name, aside);
    }
    return s_io (self, rc < 0 ? trn_io_error (rc) : 0,
                 "setting a foreign segment aside");
}

static int
s_survey (trn_opening_t *self)
{
    trn_log_t *const log = self->log;
    trn_survey_t *const survey = &self->survey;
    *survey = (trn_survey_t) {.disk = log->disk,
                              .dir = log->dir,
                              .meta = &self->meta,
                              .state = &self->state,
                              .on_record = s_index_record,
                              .arg = self};
    const int rc = trn_survey (survey);
    if (rc == TERN_EVERSION) {
        return s_say (self, rc, "segment %016" PRIx64 " has %s",
                      survey->problem_segment, survey->problem);
    }
    if (rc == TERN_ECORRUPT && survey->problem) {
        return s_corrupt (self, survey->problem_segment, survey->problem_offset,
                          survey->problem);
    }
    if (rc < 0) {
        return s_io (self, rc, "reading the segments");
    }
    if (survey->incarnation > (uint32_t) log->config.incarnation) {
        return s_corrupt (self, survey->segments[survey->end_index].segment,
                          survey->end,
                          "the store's META is older than the records");
    }
    trn_log_report_t *const report = self->report;
    report->first_seq = survey->first_seq;
    report->messages = survey->messages;
    report->bytes = survey->bytes;
    report->gaps = survey->gaps;
    survey->gaps = (trn_ranges_t) {.at = NULL};
    return 0;
}

//  Going on --------------------------------------------------------------

//  Open what may be written, and give it its space again.
static int
s_open_tail (trn_opening_t *self)
{
    trn_log_t *const log = self->log;
    for (size_t i = log->tail; i < log->segment_count; i++) {
        trn_log_segment_t *const segment = &log->segments[i];
        if (segment->file >= 0) {
            continue;
        }
        char name[TRN_SEGMENT_NAME];
        trn_segment_name (name, segment->segment);
        segment->file = log->disk->open (log->disk, log->dir, name, O_RDWR);
        if (segment->file < 0) {
            return s_io (self, trn_io_error (segment->file), name);
        }
        const int rc
            = trn_io_allocate (log->disk, segment->file, segment->size);
        if (rc == TERN_EFULL) {
            //  What was cut is not given back: go on in another segment.
            const int64_t size = log->disk->size (log->disk, segment->file);
            segment->size = size > segment->end ? size : segment->end;
        }
    }
    const trn_log_segment_t *const tail = &log->segments[log->tail];
    atomic_store (&log->wants_segment, log->tail + 1 == log->segment_count
                                           && tail->end > tail->size / 4);
    log->tail_seed
        = trn_record_seed (log->store_uuid, log->name, tail->segment);
    log->sync_from = tail->segment;
    return 0;
}

//  Seqs above the last record up to the reservation may have been sent before
//  the end that nobody saw: they are given up.
static int
s_reserve (trn_opening_t *self)
{
    trn_log_t *const log = self->log;
    const uint64_t last = self->survey.next_seq - 1;
    uint64_t high = last;
    if (!self->born && self->meta.reserved > last) {
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
    if (!self->born) {
        reserved = high + log->config.reserve;
        rc = trn_log_put_meta (log, reserved, false);
    }
    atomic_store (&log->reserved, reserved);
    trn_log_retain (log, log->config.retain_ms, log->config.retain_bytes);
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
    rc = s_survey (self);
    if (rc == 0) {
        rc = s_clear_away (self);
    }
    if (rc < 0) {
        return rc;
    }
    s_adopt_segments (self);
    trn_log_t *const log = self->log;
    rc = trn_log_cut_tail (log, &self->survey, &self->report->torn_bytes);
    if (rc == 0 && !self->meta.clean) {
        rc = trn_log_harden (log, self->survey.proved);
    }
    return s_io (self, rc, "repairing an unclean end");
}

static int
s_open (trn_opening_t *self)
{
    int rc = s_open_meta (self);
    rc = rc == TERN_ENOENT ? s_create (self)
         : rc == 0         ? s_open_existing (self)
                           : rc;
    if (rc == 0) {
        rc = s_open_tail (self);
    }
    return rc == 0 ? s_reserve (self) : rc;
}

int
trn_log_open (trn_log_t **self_p, const trn_log_config_t *config,
              uint8_t **state_p, size_t *state_size_p, trn_log_report_t *report,
              char *why, size_t why_size)
{
    assert (self_p && config && state_p && state_size_p);
    *self_p = NULL;
    *state_p = NULL;
    *state_size_p = 0;
    if (why && why_size) {
        why[0] = 0;
    }
    trn_log_report_t own = {0};
    trn_opening_t opening = {.log = s_new (config),
                             .report = report ? report : &own,
                             .why = why,
                             .why_size = why_size};
    *opening.report = (trn_log_report_t) {.first_seq = 0};
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
    trn_survey_clear (&opening.survey);
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
