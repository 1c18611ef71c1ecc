//  store/inspect.c - looking into a store without touching it
//
//  The owner may be writing meanwhile.  A tail that looks damaged may just be
//  growing, a file that is missing may just have been trimmed: such a verdict
//  is only believed when it comes again.
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/inspect.h"

#include "base/memory.h"
#include "store/cell.h"
#include "store/io.h"
#include "store/selection.h"
#include "store/survey.h"
#include "wire/props.h"

#include <tern/error.h>

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TRIES = 3  //  before a bad verdict is believed
};

//  Opening ---------------------------------------------------------------

static int
s_say (char *why, size_t size, int rc, const char *what)
{
    if (why && size) {
        snprintf (why, size, "%s: %s", what, tern_strerror (rc));
    }
    return rc;
}

static int
s_read_meta (tern_store_t *self)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    int rc
        = trn_cell_read (self->disk, self->root, "META", trn_store_meta_seed (),
                         trn_store_meta_half (), &bytes, &size);
    if (rc == 0) {
        rc = trn_store_meta_decode (bytes, size, &self->meta);
    }
    free (bytes);
    return rc;
}

static void
s_write_uuid (tern_store_t *self)
{
    char hex[33];
    sodium_bin2hex (hex, sizeof hex, self->meta.uuid, sizeof self->meta.uuid);
    snprintf (self->uuid, sizeof self->uuid, "%.8s-%.4s-%.4s-%.4s-%.12s", hex,
              hex + 8, hex + 12, hex + 16, hex + 20);
}

static int
s_collect (void *arg, const char *entry)
{
    tern_store_t *const self = arg;
    if (strlen (entry) != TRN_STORE_ENTRY - 1) {
        return 0;
    }
    trn_inspect_box_t box = {.name = ""};
    memcpy (box.entry, entry, TRN_STORE_ENTRY);
    const int rc
        = trn_store_outbox_name (self->disk, self->outbox_dir, entry, box.name);
    //  Without META it was never born.
    if (rc == TERN_ENOENT) {
        return 0;
    }
    if (rc < 0) {
        memcpy (box.name, entry, TRN_STORE_ENTRY);
    }
    self->boxes = trn_realloc (self->boxes, (self->box_count + 1) * sizeof box);
    self->boxes[self->box_count++] = box;
    return 0;
}

static int
s_compare_boxes (const void *left, const void *right)
{
    return strcmp (((const trn_inspect_box_t *) left)->name,
                   ((const trn_inspect_box_t *) right)->name);
}

static int
s_find_boxes (tern_store_t *self)
{
    self->outbox_dir
        = self->disk->open_dir (self->disk, self->root, "outbox", 0);
    if (self->outbox_dir < 0) {
        const int rc = trn_io_error (self->outbox_dir);
        return rc == TERN_ENOENT ? 0 : rc;
    }
    const int rc
        = self->disk->list (self->disk, self->outbox_dir, s_collect, self);
    if (self->box_count) {
        qsort (self->boxes, self->box_count, sizeof *self->boxes,
               s_compare_boxes);
    }
    return rc < 0 ? trn_io_error (rc) : 0;
}

int
trn_inspect_open (tern_store_t **self_p, trn_disk_t *disk, const char *path,
                  char *why, size_t why_size)
{
    assert (self_p && disk && path);
    *self_p = NULL;
    tern_store_t *self = trn_alloc (sizeof *self);
    self->disk = disk;
    self->outbox_dir = -1;
    self->root = disk->open_root (disk, path, 0);
    int rc = self->root < 0 ? trn_io_error (self->root) : 0;
    if (rc == 0) {
        rc = s_read_meta (self);
    }
    if (rc == 0) {
        s_write_uuid (self);
        rc = s_find_boxes (self);
    }
    if (rc < 0) {
        tern_store_close (&self);
        return s_say (why, why_size, rc, path);
    }
    *self_p = self;
    return 0;
}

int
tern_store_open (tern_store_t **self_p, const char *path, char *why,
                 size_t why_size)
{
    assert (self_p && path);
    *self_p = NULL;
    if (sodium_init () < 0) {
        return s_say (why, why_size, TERN_EIO, "libsodium");
    }
    return trn_inspect_open (self_p, trn_disk_real (), path, why, why_size);
}

void
tern_store_close (tern_store_t **self_p)
{
    assert (self_p);
    tern_store_t *const self = *self_p;
    *self_p = NULL;
    if (!self) {
        return;
    }
    if (self->outbox_dir >= 0) {
        (void) self->disk->close (self->disk, self->outbox_dir);
    }
    if (self->root >= 0) {
        (void) self->disk->close (self->disk, self->root);
    }
    free (self->boxes);
    free (self);
}

const char *
tern_store_name (const tern_store_t *self)
{
    return self->meta.name;
}

const char *
tern_store_uuid (const tern_store_t *self)
{
    return self->uuid;
}

uint64_t
tern_store_incarnation (const tern_store_t *self)
{
    return self->meta.incarnation;
}

const char *
tern_store_outbox_at (const tern_store_t *self, size_t index)
{
    assert (self);
    return index < self->box_count ? self->boxes[index].name : NULL;
}

//  One outbox ------------------------------------------------------------

static const trn_inspect_box_t *
s_find_box (const tern_store_t *self, const char *name)
{
    for (size_t i = 0; i < self->box_count; i++) {
        if (strcmp (self->boxes[i].name, name) == 0) {
            return &self->boxes[i];
        }
    }
    return NULL;
}

int
trn_inspect_open_cells (tern_store_t *self, const trn_inspect_box_t *box,
                        trn_inspect_cells_t *cells)
{
    *cells = (trn_inspect_cells_t) {.dir = -1};
    trn_disk_t *const disk = self->disk;
    cells->dir = disk->open_dir (disk, self->outbox_dir, box->entry, 0);
    if (cells->dir < 0) {
        return trn_io_error (cells->dir);
    }
    uint8_t *bytes = NULL;
    size_t size = 0;
    int rc = trn_cell_read (disk, cells->dir, TRN_LOG_META_FILE,
                            trn_log_meta_seed (), trn_log_meta_half (), &bytes,
                            &size);
    if (rc == 0) {
        rc = trn_log_meta_decode (bytes, size, &cells->meta);
    }
    free (bytes);
    if (rc < 0) {
        return rc;
    }
    cells->state_rc = trn_cell_read (
        disk, cells->dir, TRN_LOG_STATE_FILE,
        trn_log_state_seed (cells->meta.store_uuid, cells->meta.name),
        trn_log_state_half (), &cells->state_bytes, &size);
    if (cells->state_rc == 0) {
        cells->state_rc
            = trn_log_state_decode (cells->state_bytes, size, &cells->state);
    }
    return 0;
}

int
trn_inspect_open_outbox (tern_store_t *self, const char *outbox,
                         trn_inspect_cells_t *cells)
{
    *cells = (trn_inspect_cells_t) {.dir = -1};
    const trn_inspect_box_t *const box = s_find_box (self, outbox);
    return box ? trn_inspect_open_cells (self, box, cells) : TERN_ENOENT;
}

void
trn_inspect_close_cells (tern_store_t *self, trn_inspect_cells_t *cells)
{
    if (cells->dir >= 0) {
        (void) self->disk->close (self->disk, cells->dir);
    }
    free (cells->state_bytes);
    *cells = (trn_inspect_cells_t) {.dir = -1};
}

//  Verifying -------------------------------------------------------------

static void
s_corrupt (tern_outbox_info_t *info, const char *problem)
{
    info->health = TERN_OUTBOX_CORRUPT;
    snprintf (info->problem, sizeof info->problem, "%s", problem);
}

typedef struct {
    uint64_t low;
    tern_outbox_info_t *info;
} trn_counting_t;

static void
s_count_record (void *arg, size_t segment_index, const trn_record_t *record,
                int64_t offset)
{
    (void) segment_index;
    (void) offset;
    const trn_counting_t *const counting = arg;
    if (record->kind == TRN_RECORD_MESSAGE) {
        counting->info->waiting += record->seq >= counting->low;
        counting->info->high = record->seq;
        if (!counting->info->first_seq) {
            counting->info->first_seq = record->seq;
        }
    }
}

//  What follows the end of the log, in all files.
static uint64_t
s_torn_bytes (tern_store_t *self, int dir, const trn_survey_t *survey)
{
    uint64_t torn = 0;
    for (size_t i = survey->end_index; i < survey->segment_count; i++) {
        char name[TRN_SEGMENT_NAME];
        trn_segment_name (name, survey->segments[i].segment);
        const int file = self->disk->open (self->disk, dir, name, O_RDONLY);
        if (file < 0) {
            continue;
        }
        trn_file_source_t source_file = {.disk = self->disk, .file = file};
        const trn_source_t source = trn_source_file (&source_file);
        const int64_t from = i == survey->end_index
                                 ? survey->end
                                 : (int64_t) TRN_SEGMENT_HEADER;
        const int64_t last = trn_source_last_byte (&source, from);
        torn += last > from ? (uint64_t) (last - from) : 0;
        (void) self->disk->close (self->disk, file);
    }
    return torn;
}

static void
s_fill_info (tern_store_t *self, const trn_inspect_cells_t *cells,
             const trn_survey_t *survey, int rc, tern_outbox_info_t *info)
{
    info->messages = survey->messages;
    info->bytes = survey->bytes;
    info->segments = (uint32_t) survey->segment_count;
    for (size_t i = 0; i < survey->segment_count; i++) {
        info->disk_bytes += (uint64_t) survey->segments[i].file_size;
    }
    if (rc == TERN_ECORRUPT) {
        s_corrupt (info, survey->problem ? survey->problem : "damage");
        info->segment = survey->problem_segment;
        info->offset = survey->problem_offset;
        info->last_good_seq = survey->next_seq - 1;
        info->durable_seq = survey->proved;
        return;
    }
    info->health = cells->meta.clean ? TERN_OUTBOX_CLEAN : TERN_OUTBOX_OPEN;
    if (survey->tail == TRN_TAIL_TORN) {
        info->health = TERN_OUTBOX_TORN;
        info->torn_bytes = s_torn_bytes (self, cells->dir, survey);
    }
}

//  What queues were given of the past.
static int
s_verify_pasts (tern_store_t *self, const trn_inspect_cells_t *cells,
                tern_outbox_info_t *info)
{
    uint32_t number = 0;
    const int rc = trn_selection_each (
        self->disk, cells->dir,
        trn_log_state_seed (cells->meta.store_uuid, cells->meta.name), NULL,
        NULL, &number);
    if (rc == TERN_ECORRUPT && info->health != TERN_OUTBOX_CORRUPT) {
        char problem[40];
        snprintf (problem, sizeof problem, "past-%08" PRIx32 " is damaged",
                  number);
        s_corrupt (info, problem);
    }
    return rc == TERN_ECORRUPT ? TERN_OK : rc;
}

static int
s_verify_once (tern_store_t *self, const trn_inspect_box_t *box,
               tern_outbox_info_t *info)
{
    *info = (tern_outbox_info_t) {.health = TERN_OUTBOX_CLEAN};
    trn_inspect_cells_t cells;
    int rc = trn_inspect_open_cells (self, box, &cells);
    if (rc == TERN_ECORRUPT) {
        s_corrupt (info, "META is damaged");
        rc = 0;
    } else if (rc == 0
               && memcmp (cells.meta.store_uuid, self->meta.uuid, 16) != 0) {
        s_corrupt (info, "META of another store");
    } else if (rc == 0 && cells.state_rc < 0) {
        s_corrupt (info, cells.state_rc == TERN_ENOENT ? "STATE is missing"
                                                       : "STATE is damaged");
    } else if (rc == 0) {
        info->low = cells.state.low;
        trn_counting_t counting = {.low = cells.state.low, .info = info};
        trn_survey_t survey = {.disk = self->disk,
                               .dir = cells.dir,
                               .meta = &cells.meta,
                               .state = &cells.state,
                               .on_record = s_count_record,
                               .arg = &counting};
        rc = trn_survey (&survey);
        if (rc == 0 || rc == TERN_ECORRUPT) {
            s_fill_info (self, &cells, &survey, rc, info);
            rc = s_verify_pasts (self, &cells, info);
        }
        trn_survey_clear (&survey);
    }
    trn_inspect_close_cells (self, &cells);
    return rc;
}

int
tern_store_verify (tern_store_t *self, const char *outbox,
                   tern_outbox_info_t *info)
{
    assert (self && outbox && info);
    const trn_inspect_box_t *const box = s_find_box (self, outbox);
    if (!box) {
        return TERN_ENOENT;
    }
    int rc = 0;
    for (unsigned i = 0; i < TRIES; i++) {
        rc = s_verify_once (self, box, info);
        if (rc == 0 && info->health < TERN_OUTBOX_TORN) {
            break;
        }
    }
    return rc;
}

//  Messages --------------------------------------------------------------

//  What is not Tern's own, or tells of a death.
static bool
s_is_header (const trn_prop_t *prop)
{
    static const char dead[] = "tern.dead.";
    return prop->kind == TRN_PROP_TEXT
           && (!trn_prop_reserved (prop->key)
               || (prop->key.size >= sizeof dead
                   && memcmp (prop->key.at, dead, sizeof dead - 1) == 0));
}

bool
tern_store_header_at (const tern_store_message_t *message, size_t index,
                      const char **name_p, size_t *name_size_p,
                      const char **value_p, size_t *value_size_p)
{
    assert (message && name_p && name_size_p && value_p && value_size_p);
    trn_props_t props;
    trn_prop_t prop;
    if (trn_props_open (&props, message->props, message->props_size) < 0) {
        return false;
    }
    while (trn_props_next (&props, &prop)) {
        if (s_is_header (&prop) && index-- == 0) {
            *name_p = prop.key.at;
            *name_size_p = prop.key.size;
            *value_p = prop.text.at;
            *value_size_p = prop.text.size;
            return true;
        }
    }
    return false;
}

typedef struct {
    uint64_t from_seq;
    tern_store_message_fn *fn;
    void *arg;
} trn_peeking_t;

static int
s_show_record (void *arg, const trn_record_t *record, int64_t offset,
               uint32_t size)
{
    (void) offset;
    (void) size;
    const trn_peeking_t *const peeking = arg;
    if (record->kind != TRN_RECORD_MESSAGE || record->seq < peeking->from_seq) {
        return 0;
    }
    const tern_store_message_t message = {.seq = record->seq,
                                          .time_us = record->stamp_us,
                                          .key = (const char *) record->key,
                                          .key_size = record->key_size,
                                          .body = record->body,
                                          .size = record->body_size,
                                          .props = record->props,
                                          .props_size = record->props_size};
    return peeking->fn (peeking->arg, &message);
}

//  One segment of a row that may be trimmed or grow while we read.  1: go on.
static int
s_peek_segment (tern_store_t *self, const trn_inspect_cells_t *cells,
                uint64_t segment, uint64_t *next_seq_p, trn_peeking_t *peeking,
                int *stopped_p)
{
    char name[TRN_SEGMENT_NAME];
    trn_segment_name (name, segment);
    trn_file_source_t file = {.disk = self->disk};
    file.file = self->disk->open (self->disk, cells->dir, name, O_RDONLY);
    if (file.file < 0) {
        const int rc = trn_io_error (file.file);
        return rc == TERN_ENOENT ? 1 : rc;
    }
    const trn_source_t source = trn_source_file (&file);
    const trn_place_t place = {.store_uuid = cells->meta.store_uuid,
                               .outbox = cells->meta.name,
                               .segment = segment};
    trn_walk_t walk;
    int rc = trn_segment_walk (&source, &place, TRN_SEGMENT_HEADER, *next_seq_p,
                               s_show_record, peeking, &walk);
    (void) self->disk->close (self->disk, file.file);
    if (rc == 0) {
        *next_seq_p = walk.next_seq;
        *stopped_p = walk.stopped;
        rc = walk.broken ? TERN_ECORRUPT : walk.stopped == 0;
    }
    return rc;
}

int
tern_store_peek (tern_store_t *self, const char *outbox, uint64_t from_seq,
                 tern_store_message_fn *fn, void *arg)
{
    assert (self && outbox && fn);
    const trn_inspect_box_t *const box = s_find_box (self, outbox);
    if (!box) {
        return TERN_ENOENT;
    }
    trn_inspect_cells_t cells;
    uint64_t *numbers = NULL;
    size_t count = 0;
    int rc = trn_inspect_open_cells (self, box, &cells);
    if (rc == 0) {
        rc = trn_survey_list (self->disk, cells.dir, &numbers, &count);
    }
    trn_peeking_t peeking = {.from_seq = from_seq, .fn = fn, .arg = arg};
    uint64_t next_seq = 0;
    int stopped = 0;
    for (size_t i = 0; i < count && rc >= 0 && stopped == 0; i++) {
        if (cells.state_rc == 0 && numbers[i] < cells.state.first_segment) {
            continue;
        }
        rc = s_peek_segment (self, &cells, numbers[i], &next_seq, &peeking,
                             &stopped);
    }
    free (numbers);
    trn_inspect_close_cells (self, &cells);
    if (rc == TERN_ECORRUPT) {
        //  A torn tail is no damage: whoever opens next cuts it.
        tern_outbox_info_t info;
        rc = tern_store_verify (self, outbox, &info);
        return rc == 0 && info.health == TERN_OUTBOX_CORRUPT ? TERN_ECORRUPT
                                                             : rc;
    }
    return rc < 0 ? rc : stopped;
}
