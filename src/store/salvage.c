//  store/salvage.c - copy what is good into a new store
//
//  Walks each segment of each outbox on its own, passes over what is damaged to
//  the next record that is whole, and puts what it meets into a store of another
//  identity (L9): nothing in the old one is trusted but what has a checksum of its
//  own, that is cells, records, pasts, and large bodies by the sums in their
//  manifests.
//
//  Messages keep their seqs, and the owner's state is taken over as it is: it
//  speaks of seqs, and records name queues by the numbers in it.
//
//      1 .. low - 1      records, holes between them      .. what was used
//      [ gap           ][ ][ ][ ][ gap ][ ][ ][ gap ][ ][ gap            ]
//                                                                         ^ next
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/inspect.h"

#include "base/bytes.h"
#include "base/name.h"
#include "store/io.h"
#include "store/selection.h"
#include "store/store.h"
#include "store/survey.h"

#include <tern/error.h>

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    tern_store_t *from;
    trn_store_t *to;
    trn_outbox_t *outbox;  //  in the new store; NULL until needed
    const char *name;
    uint64_t low;       //  settled below: not copied
    uint64_t next_seq;  //  after the last record seen; 0: none yet
    uint64_t last_seq;  //  copied
    uint64_t unrouted;  //  copied of this outbox, whose queues are not known
    bool stateless;     //  what its owner knew cannot be read
    trn_bodies_t *bodies, *new_bodies;
    const trn_salvage_to_t *place;
    tern_salvage_t *result;
    int error;
    char *why;
    size_t why_size;
} trn_salvage_t;

static int
s_open_outbox (trn_salvage_t *self)
{
    const trn_log_config_t config = {.segment_min = 0};
    uint8_t *state = NULL;
    size_t size = 0;
    const int rc
        = trn_store_outbox (self->to, self->name, &config, &self->outbox,
                            &state, &size, NULL, self->why, self->why_size);
    free (state);
    if (rc == 0) {
        self->result->outboxes++;
    }
    return rc;
}

static void
s_damage (trn_salvage_t *self, uint64_t bytes)
{
    self->result->damaged++;
    self->result->damaged_bytes += bytes;
}

static void
s_lose (const trn_salvage_t *self, tern_loss_t *loss)
{
    loss->outbox = self->name;
    if (self->place->fn) {
        self->place->fn (self->place->arg, loss);
    }
}

//  Records -----------------------------------------------------------------

//  Under its own seq: they only rise, see s_on_record ().
static int
s_append (trn_salvage_t *self, const trn_record_t *record)
{
    int rc = self->outbox ? 0 : s_open_outbox (self);
    if (rc == 0 && record->seq != self->last_seq + 1) {
        rc = trn_log_skip (trn_outbox_log (self->outbox), record->seq);
    }
    trn_record_t copy = *record;
    if (rc == 0) {
        rc = trn_outbox_append (self->outbox, &copy, -1, &self->last_seq);
    }
    if (rc == 0) {
        assert (self->last_seq == record->seq);
        trn_outbox_store (self->outbox);
        trn_log_hint (trn_outbox_log (self->outbox), self->last_seq);
        self->result->messages++;
        self->result->bytes += record->body_size;
        self->unrouted += self->stateless && self->name[0] == '#';
    }
    return rc;
}

//  Large bodies ------------------------------------------------------------
//
//  A body gets a number of the new store, and its manifest says it: the old one
//  might be given again there.

typedef struct {
    trn_body_t *body;
    int error;
} s_copying_t;

static int
s_copy_part (void *arg, const void *bytes, size_t size)
{
    s_copying_t *const copying = arg;
    copying->error = trn_body_write (copying->body, bytes, size);
    return copying->error ? 1 : 0;
}

//  0 and the body's new number, or 0 and *found says what is wrong with it.
static int
s_copy_body (trn_salvage_t *self, const trn_manifest_t *manifest,
             tern_store_body_t *found, uint64_t *id_p)
{
    s_copying_t copying = {NULL, 0};
    int rc = trn_body_begin (&copying.body, self->new_bodies);
    if (rc == 0) {
        rc = trn_inspect_body (self->bodies, manifest, s_copy_part, &copying,
                               found);
        rc = rc > 0 ? copying.error : rc;
    }
    if (rc == 0 && found->health == TERN_BODY_WHOLE) {
        rc = trn_body_finish (&copying.body, id_p);
    }
    trn_body_abandon (&copying.body);
    return rc;
}

static int
s_append_renamed (trn_salvage_t *self, const trn_record_t *record,
                  uint64_t size, uint64_t id)
{
    trn_propset_t set = {0};
    trn_props_t props;
    trn_prop_t prop;
    int rc = trn_props_open (&props, record->props, record->props_size);
    while (rc == 0 && trn_props_next (&props, &prop)) {
        rc = trn_propset_add (&set, &prop);
    }
    if (rc == 0) {
        rc = trn_manifest_name (&set, size, id);
    }
    if (rc == 0) {
        trn_record_t renamed = *record;
        size_t props_size = 0;
        renamed.props = trn_propset_map (&set, &props_size);
        renamed.props_size = (uint16_t) props_size;
        rc = s_append (self, &renamed);
    }
    trn_propset_clear (&set);
    return rc;
}

static int
s_copy (trn_salvage_t *self, const trn_record_t *record)
{
    trn_manifest_t manifest;
    //  An inbox has copies: their bodies are with their publishers.
    if (self->name[0] == TRN_INBOX_MARK
        || !trn_manifest_read (record, &manifest)) {
        return s_append (self, record);
    }
    tern_store_body_t found = {.outbox = self->name, .seq = record->seq};
    uint64_t id = 0;
    int rc = s_copy_body (self, &manifest, &found, &id);
    if (rc == 0 && found.health == TERN_BODY_WHOLE) {
        rc = s_append_renamed (self, record, manifest.size, id);
        self->result->bodies++;
        self->result->body_bytes += manifest.size;
    } else if (rc == 0) {
        self->result->bodies_lost++;
        s_lose (self, &(tern_loss_t) {.kind = TERN_LOSS_BODY, .body = &found});
    }
    return rc;
}

//  Segments ----------------------------------------------------------------

static int
s_on_record (void *arg, const trn_record_t *record, int64_t offset,
             uint32_t size)
{
    (void) offset;
    trn_salvage_t *const self = arg;
    const bool gap = record->kind == TRN_RECORD_GAP;
    const uint64_t last = gap ? trn_get_u64 (record->body) : record->seq;
    //  Nobody was ever given that: a wrong record with a sum that fits.
    if (last > TRN_LOG_SKIP_MAX) {
        s_damage (self, size);
        return 0;
    }
    if (self->next_seq && record->seq > self->next_seq) {
        self->result->missing += record->seq - self->next_seq;
    }
    //  Seen before, in a file that somebody copied: once is enough.
    if (self->next_seq && record->seq < self->next_seq) {
        return 0;
    }
    self->next_seq = last + 1;
    if (!gap && record->seq >= self->low) {
        self->error = s_copy (self, record);
    }
    return self->error;
}

static void
s_pass_over (trn_salvage_t *self, int64_t from, int64_t to)
{
    if (to > from) {
        s_damage (self, (uint64_t) (to - from));
    }
}

//  All good records of one segment, whatever lies between them.
static int
s_walk_segment (trn_salvage_t *self, const trn_source_t *source,
                const trn_place_t *place)
{
    int64_t offset = TRN_SEGMENT_HEADER;
    while (offset < source->size) {
        trn_walk_t walk;
        int rc = trn_segment_walk (source, place, offset, 0, s_on_record, self,
                                   &walk);
        if (rc < 0 || walk.stopped) {
            return rc < 0 ? rc : self->error;
        }
        if (!walk.broken) {
            return 0;
        }
        if (walk.misplaced) {
            offset = walk.end;
            continue;
        }
        trn_beyond_t beyond = {.found = false};
        rc = trn_segment_search (source, place, walk.end, 0, &beyond);
        if (rc < 0) {
            return rc;
        }
        if (!beyond.found) {
            s_pass_over (self, walk.end,
                         trn_source_last_byte (source, walk.end));
            return 0;
        }
        s_pass_over (self, walk.end, beyond.offset);
        offset = beyond.offset;
    }
    return 0;
}

static int
s_salvage_segment (trn_salvage_t *self, const trn_inspect_cells_t *cells,
                   uint64_t segment)
{
    trn_disk_t *const disk = self->from->disk;
    char name[TRN_SEGMENT_NAME];
    trn_segment_name (name, segment);
    trn_file_source_t file = {.disk = disk};
    file.file = disk->open (disk, cells->dir, name, O_RDONLY);
    if (file.file < 0) {
        return trn_io_error (file.file);
    }
    const trn_source_t source = trn_source_file (&file);
    const trn_place_t place = {.store_uuid = cells->meta.store_uuid,
                               .outbox = cells->meta.name,
                               .segment = segment};
    const int rc = s_walk_segment (self, &source, &place);
    (void) disk->close (disk, file.file);
    return rc;
}

static int
s_salvage_segments (trn_salvage_t *self, const trn_inspect_cells_t *cells)
{
    uint64_t *numbers = NULL;
    size_t count = 0;
    int rc = trn_survey_list (self->from->disk, cells->dir, &numbers, &count);
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = s_salvage_segment (self, cells, numbers[i]);
    }
    free (numbers);
    if (rc == 0 && self->outbox && self->last_seq) {
        rc = trn_outbox_wait (self->outbox, self->last_seq, true, -1);
    }
    return rc;
}

//  What the owner knew -------------------------------------------------------

static int
s_copy_past (trn_salvage_t *self, const trn_inspect_cells_t *cells,
             uint32_t number)
{
    trn_selection_t selection;
    int rc = trn_selection_read (
        self->from->disk, cells->dir,
        trn_log_state_seed (cells->meta.store_uuid, cells->meta.name), number,
        &selection);
    if (rc == 0) {
        rc = trn_outbox_keep (self->outbox, &selection);
        self->result->pasts += rc == 0;
    } else if (rc == TERN_ECORRUPT || rc == TERN_EVERSION) {
        char file[TRN_SELECTION_NAME];
        trn_selection_name (file, number);
        self->result->pasts_lost++;
        s_damage (self, 0);
        s_lose (self, &(tern_loss_t) {.kind = TERN_LOSS_PAST, .file = file});
        rc = 0;
    } else if (rc == TERN_ENOENT) {
        rc = 0;  //  its owner has removed it meanwhile
    }
    trn_seqset_clear (&selection.seqs);
    return rc;
}

//  Before the state that knows their queues.
static int
s_copy_pasts (trn_salvage_t *self, const trn_inspect_cells_t *cells)
{
    uint32_t *numbers = NULL;
    size_t count = 0;
    int rc
        = trn_selection_list (self->from->disk, cells->dir, &numbers, &count);
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = s_copy_past (self, cells, numbers[i]);
    }
    free (numbers);
    return rc;
}

static uint64_t
s_greater (uint64_t left, uint64_t right)
{
    return left > right ? left : right;
}

//  The last seq that is known to have been used.
static uint64_t
s_last_known (const trn_salvage_t *self, const trn_inspect_cells_t *cells)
{
    const uint64_t seen = self->next_seq ? self->next_seq - 1 : 0;
    const uint64_t known = s_greater (seen, cells->meta.durable);
    return self->stateless ? known
                           : s_greater (known, s_greater (cells->state.durable,
                                                          self->low - 1));
}

//  No seq that was ever used may be given out again: the state may call it
//  settled, though its record is damaged or never reached the disk.  META says
//  how far they go; unless its newer half is damaged, then it knows less than
//  others do: a reservation at most, and not how the outbox was left.
static int
s_copy_state (trn_salvage_t *self, const trn_inspect_cells_t *cells)
{
    const trn_log_state_t *const state = &cells->state;
    const uint64_t known = s_last_known (self, cells);
    const bool stale = known > cells->meta.reserved;
    uint64_t last = stale ? known + TRN_LOG_RESERVE : cells->meta.reserved;
    if (known >= TRN_LOG_SKIP_MAX || last >= TRN_LOG_SKIP_MAX) {
        last = TRN_LOG_SKIP_MAX - 1;
    }
    int rc = trn_log_skip (trn_outbox_log (self->outbox), last + 1);
    //  Without a state it begins as one of which nothing was ever settled.
    if (rc == 0 && self->stateless) {
        return trn_outbox_inherit (self->outbox, NULL, 0, 1, false);
    }
    if (rc == 0) {
        rc = s_copy_pasts (self, cells);
    }
    return rc ? rc
              : trn_outbox_inherit (self->outbox, state->blob, state->blob_size,
                                    state->low, cells->meta.clean && !stale);
}

//  Outboxes ------------------------------------------------------------------

//  What cannot be read now, but perhaps later, is no damage.
static int
s_look_at_state (trn_salvage_t *self, const trn_inspect_cells_t *cells)
{
    const int rc = cells->state_rc;
    self->stateless = rc != 0;
    self->low = self->stateless ? 1 : s_greater (cells->state.low, 1);
    if (rc == TERN_ECORRUPT || rc == TERN_EVERSION || rc == TERN_ENOENT) {
        s_damage (self, 0);
        return 0;
    }
    return rc;
}

static int
s_salvage_readable (trn_salvage_t *self, const trn_inspect_cells_t *cells)
{
    self->outbox = NULL;
    self->name = cells->meta.name;
    self->next_seq = self->last_seq = self->unrouted = 0;
    int rc = s_look_at_state (self, cells);
    if (rc == 0 && !self->stateless) {
        rc = s_open_outbox (self);
    }
    if (rc == 0) {
        rc = s_salvage_segments (self, cells);
    }
    if (rc == 0 && self->outbox) {
        rc = s_copy_state (self, cells);
    }
    if (rc == 0 && self->unrouted) {
        self->result->queues_lost += self->unrouted;
        s_lose (self, &(tern_loss_t) {.kind = TERN_LOSS_QUEUES,
                                      .messages = self->unrouted});
    }
    self->name = NULL;
    return rc;
}

//  Damage to the outbox's own META does not matter: it says nothing that the
//  store's META and the name do not say.  Without the name, though, no record
//  can be checked.
static int
s_salvage_outbox (trn_salvage_t *self, const trn_inspect_box_t *box)
{
    trn_inspect_cells_t cells;
    int rc = trn_inspect_open_cells (self->from, box, &cells);
    if (rc == TERN_ECORRUPT || rc == TERN_EVERSION) {
        s_damage (self, 0);
        rc = 0;
    } else if (rc == 0) {
        rc = s_salvage_readable (self, &cells);
    }
    trn_inspect_close_cells (self->from, &cells);
    return rc;
}

//  A store that is there already is never added to.
static int
s_refuse_existing (trn_disk_t *disk, const char *path)
{
    tern_store_t *there = NULL;
    const int rc = trn_inspect_open (&there, disk, path, NULL, 0);
    tern_store_close (&there);
    return rc == TERN_ENOENT ? 0 : TERN_EINUSE;
}

static int
s_say (trn_salvage_t *self, int rc, const char *what)
{
    if (rc < 0 && self->why && self->why_size && self->why[0] == 0) {
        snprintf (self->why, self->why_size, "%s: %s", what,
                  tern_strerror (rc));
    }
    return rc;
}

int
trn_inspect_salvage (tern_store_t *self, const trn_salvage_to_t *to,
                     tern_salvage_t *result, char *why, size_t why_size)
{
    assert (self && to && to->disk && to->path && result);
    *result = (tern_salvage_t) {.outboxes = 0};
    if (why && why_size) {
        why[0] = 0;
    }
    trn_salvage_t salvage = {.from = self,
                             .place = to,
                             .result = result,
                             .why = why,
                             .why_size = why_size};
    int rc = s_refuse_existing (to->disk, to->path);
    if (rc < 0) {
        return s_say (&salvage, rc, to->path);
    }
    const trn_store_config_t config
        = {.disk = to->disk, .path = to->path, .name = self->meta.name};
    rc = trn_store_open (&salvage.to, &config, why, NULL, why_size);
    if (rc < 0) {
        return rc;
    }
    rc = trn_bodies_open (&salvage.bodies, self->disk, self->root, 0);
    if (rc == 0) {
        rc = trn_store_bodies (salvage.to, &salvage.new_bodies);
    }
    for (size_t i = 0; i < self->box_count && rc == 0; i++) {
        rc = s_salvage_outbox (&salvage, &self->boxes[i]);
    }
    trn_bodies_close (&salvage.bodies);
    trn_bodies_close (&salvage.new_bodies);
    const int closed = trn_store_close (&salvage.to);
    return s_say (&salvage, rc < 0 ? rc : closed, "salvaging");
}

int
tern_store_salvage (tern_store_t *self, const char *path, tern_loss_fn *fn,
                    void *arg, tern_salvage_t *result, char *why,
                    size_t why_size)
{
    assert (self && path && result);
    const trn_salvage_to_t to
        = {.disk = trn_disk_real (), .path = path, .fn = fn, .arg = arg};
    return trn_inspect_salvage (self, &to, result, why, why_size);
}
