//  store/survey.c - read all segments of an outbox and say how it is
//
//  Knows: that segments are dense (L5), that seqs go on from one to the next,
//  and how witnesses in later segments bear on the place where the log ends
//  (L7).  The first record is known too: STATE says which it must be.
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/survey.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "store/io.h"

#include <tern/error.h>

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

//  A segment file, open for reading.
typedef struct {
    trn_file_source_t file;
    trn_source_t source;
    trn_place_t place;
} trn_survey_file_t;

static int
s_problem (trn_survey_t *self, int rc, uint64_t segment, int64_t offset,
           const char *problem)
{
    self->problem = problem;
    self->problem_segment = segment;
    self->problem_offset = offset;
    return rc;
}

static int
s_open_file (trn_survey_t *self, uint64_t segment, trn_survey_file_t *file)
{
    char name[TRN_SEGMENT_NAME];
    trn_segment_name (name, segment);
    file->file.disk = self->disk;
    file->file.file = self->disk->open (self->disk, self->dir, name, O_RDONLY);
    if (file->file.file < 0) {
        return trn_io_error (file->file.file);
    }
    file->place = (trn_place_t) {.store_uuid = self->meta->store_uuid,
                                 .outbox = self->meta->name,
                                 .segment = segment};
    file->source = trn_source_file (&file->file);
    return file->source.size < 0 ? trn_io_error (file->source.size) : 0;
}

static void
s_close_file (trn_survey_t *self, trn_survey_file_t *file)
{
    if (file->file.file >= 0) {
        (void) self->disk->close (self->disk, file->file.file);
    }
}

//  Which files there are -------------------------------------------------

typedef struct {
    uint64_t *numbers;
    size_t count;
} trn_numbers_t;

static void
s_add_number (uint64_t **numbers_p, size_t *count_p, uint64_t number)
{
    *numbers_p = trn_realloc (*numbers_p, (*count_p + 1) * sizeof **numbers_p);
    (*numbers_p)[(*count_p)++] = number;
}

static int
s_collect (void *arg, const char *name)
{
    trn_numbers_t *const found = arg;
    uint64_t segment = 0;
    if (trn_segment_parse_name (name, &segment)) {
        s_add_number (&found->numbers, &found->count, segment);
    }
    return 0;
}

static int
s_compare (const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *) left;
    const uint64_t b = *(const uint64_t *) right;
    return (a > b) - (a < b);
}

int
trn_survey_list (trn_disk_t *disk, int dir, uint64_t **numbers_p,
                 size_t *count_p)
{
    assert (disk && numbers_p && count_p);
    trn_numbers_t found = {.numbers = NULL};
    const int rc = disk->list (disk, dir, s_collect, &found);
    if (rc < 0) {
        free (found.numbers);
        return trn_io_error (rc);
    }
    if (found.count) {
        qsort (found.numbers, found.count, sizeof *found.numbers, s_compare);
    }
    *numbers_p = found.numbers;
    *count_p = found.count;
    return 0;
}

//  One segment -----------------------------------------------------------

//  The place where the log ends was found before: what comes here only bears
//  witness about it.
static int
s_search (trn_survey_t *self, const trn_survey_file_t *file, int64_t offset)
{
    return trn_segment_search (&file->source, &file->place, offset,
                               self->next_seq, &self->beyond);
}

typedef struct {
    trn_survey_t *survey;
    size_t index;
} trn_visit_t;

static int
s_visit (void *arg, const trn_record_t *record, int64_t offset, uint32_t size)
{
    (void) size;
    const trn_visit_t *const visit = arg;
    trn_survey_t *const self = visit->survey;
    if (record->kind == TRN_RECORD_GAP) {
        trn_ranges_add (&self->gaps, record->seq, trn_get_u64 (record->body));
    }
    if (self->on_record) {
        self->on_record (self->arg, visit->index, record, offset);
    }
    return 0;
}

static void
s_add_up (trn_survey_t *self, const trn_walk_t *walk)
{
    self->messages += walk->messages;
    self->bytes += walk->bytes;
    if (walk->proved > self->proved) {
        self->proved = walk->proved;
    }
    if (walk->incarnation > self->incarnation) {
        self->incarnation = walk->incarnation;
    }
    if (self->first_seq == 0) {
        self->first_seq = walk->first_seq;
    }
}

static int
s_walk (trn_survey_t *self, const trn_survey_file_t *file)
{
    trn_visit_t visit = {.survey = self, .index = self->segment_count - 1};
    trn_walk_t walk;
    const int rc
        = trn_segment_walk (&file->source, &file->place, TRN_SEGMENT_HEADER,
                            self->next_seq, s_visit, &visit, &walk);
    if (rc < 0) {
        return rc;
    }
    trn_survey_segment_t *const segment = &self->segments[visit.index];
    segment->end = walk.end;
    segment->first_seq = walk.first_seq;
    segment->last_seq = walk.first_seq ? walk.next_seq - 1 : 0;
    s_add_up (self, &walk);
    //  A segment that begins with a later seq: the one before lost its end.
    //  The hole is there, not here.
    if (visit.index > 0 && walk.misplaced && walk.first_seq == 0
        && walk.misplaced_seq > self->next_seq) {
        self->broken = true;
        return s_search (self, file, TRN_SEGMENT_HEADER);
    }
    self->next_seq = walk.next_seq;
    if (walk.first_seq || walk.broken || visit.index == 0) {
        self->end_index = visit.index;
        self->end = walk.end;
    }
    self->misplaced = walk.misplaced;
    if (walk.broken) {
        self->broken = true;
        return s_search (self, file, walk.end);
    }
    return 0;
}

static int
s_add_segment (trn_survey_t *self, uint64_t number, uint64_t size,
               const trn_survey_file_t *file)
{
    //  A file beyond a hole in the row.
    const uint64_t expected = self->state->first_segment + self->segment_count;
    if (number != expected) {
        return s_problem (self, TERN_ECORRUPT, expected, 0,
                          "a file is missing");
    }
    self->segments = trn_realloc (self->segments, (self->segment_count + 1)
                                                      * sizeof *self->segments);
    self->segments[self->segment_count++]
        = (trn_survey_segment_t) {.segment = number,
                                  .size = (int64_t) size,
                                  .file_size = file->source.size,
                                  .end = TRN_SEGMENT_HEADER};
    return self->broken ? s_search (self, file, TRN_SEGMENT_HEADER)
                        : s_walk (self, file);
}

static int
s_read_segment (trn_survey_t *self, uint64_t number)
{
    trn_survey_file_t file = {0};
    int rc = s_open_file (self, number, &file);
    uint8_t header[TRN_SEGMENT_HEADER];
    int64_t got = 0;
    if (rc == 0) {
        assert (file.source.read);
        got = file.source.read (file.source.arg, header, sizeof header, 0);
        rc = got < 0 ? (int) got : 0;
    }
    if (rc == 0) {
        uint64_t size = 0;
        switch (trn_segment_decode (header, (size_t) got, &file.place, &size)) {
        case 0: rc = s_add_segment (self, number, size, &file); break;
        case TERN_ENAME:
            s_add_number (&self->foreign, &self->foreign_count, number);
            break;
        case TERN_EVERSION:
            rc = s_problem (self, TERN_EVERSION, number, 0, "a newer format");
            break;
        default:
            rc = s_problem (self, TERN_ECORRUPT, number, 0, "a bad header");
        }
    }
    s_close_file (self, &file);
    return rc;
}

//  All of them -----------------------------------------------------------

static int
s_read_segments (trn_survey_t *self)
{
    uint64_t *numbers = NULL;
    size_t count = 0;
    int rc = trn_survey_list (self->disk, self->dir, &numbers, &count);
    for (size_t i = 0; i < count && rc == 0; i++) {
        if (numbers[i] < self->state->first_segment) {
            s_add_number (&self->stale, &self->stale_count, numbers[i]);
        } else {
            rc = s_read_segment (self, numbers[i]);
        }
    }
    free (numbers);
    if (rc == 0 && self->segment_count == 0) {
        return s_problem (self, TERN_ECORRUPT, self->state->first_segment, 0,
                          "every file is missing");
    }
    return rc;
}

static int
s_unwritten (trn_survey_t *self, bool *unwritten_p)
{
    trn_survey_file_t file;
    int rc = s_open_file (self, self->segments[self->end_index].segment, &file);
    if (rc == 0) {
        rc = trn_segment_unwritten (&file.source, self->end, unwritten_p);
    }
    s_close_file (self, &file);
    return rc;
}

//  Does the log end as a log may end?
static int
s_judge (trn_survey_t *self)
{
    const uint64_t segment = self->segments[self->end_index].segment;
    if (self->next_seq - 1 > self->meta->reserved) {
        return s_problem (self, TERN_ECORRUPT, segment, self->end,
                          "META is older than the records");
    }
    bool unwritten = false;
    if (self->beyond.found) {
        const int rc = s_unwritten (self, &unwritten);
        if (rc < 0) {
            return rc;
        }
    }
    self->tail
        = trn_segment_judge (self->next_seq, self->broken, self->misplaced,
                             &self->beyond, self->proved, unwritten);
    if (self->beyond.proved > self->proved) {
        self->proved = self->beyond.proved;
    }
#ifndef TERN_BUG_5
    if (self->tail == TRN_TAIL_CORRUPT) {
        return s_problem (self, TERN_ECORRUPT, segment, self->end, "damage");
    }
#endif
    if (self->tail == TRN_TAIL_TORN && self->meta->clean) {
        return s_problem (self, TERN_ECORRUPT, segment, self->end,
                          "damage after a proper close");
    }
    return 0;
}

int
trn_survey (trn_survey_t *self)
{
    assert (self && self->disk && self->meta && self->state);
    self->proved = self->meta->durable > self->state->durable
                       ? self->meta->durable
                       : self->state->durable;
    self->next_seq = self->state->first_seq;
    const int rc = s_read_segments (self);
    return rc == 0 ? s_judge (self) : rc;
}

void
trn_survey_clear (trn_survey_t *self)
{
    assert (self);
    free (self->segments);
    free (self->stale);
    free (self->foreign);
    trn_ranges_clear (&self->gaps);
    self->segments = NULL;
    self->stale = self->foreign = NULL;
    self->segment_count = self->stale_count = self->foreign_count = 0;
}
