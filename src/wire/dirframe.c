//  wire/dirframe.c - the frames between a peer and a directory
//
//  Knows: the order of fields in every frame and their ranges; how a list is
//  paged.  Hides: msgpack.  docs/spec/2-DIRECTORY.md has one table per frame.
//  Entries and rows are in wire/diritem.c.
//
//  SPDX-License-Identifier: MPL-2.0

#include "wire/dirframe.h"

#include "base/bytes.h"
#include "wire/diritem.h"
#include "wire/field.h"

#include <tern/error.h>

#include <assert.h>
#include <string.h>

#define DIGESTS_SIZE ((size_t) TRN_BINDING_BUCKETS * 8)

//  Pages -------------------------------------------------------------------

void
trn_dirpage_begin (trn_dirpage_t *self, const trn_dirframe_t *frame,
                   uint8_t *to, size_t capacity)
{
    assert (self && frame && to);
    assert (frame->type == TRN_DIR_REFRESH || frame->type == TRN_DIR_SNAPSHOT
            || frame->type == TRN_DIR_STATS || frame->type == TRN_DIR_BINDINGS);
    trn_packer_t *const out = &self->out;
    trn_packer_start (out, to, capacity);
    self->count = 0;
    if (frame->type == TRN_DIR_REFRESH) {
        trn_pack_array (out, 8);
        trn_pack_uint (out, frame->type);
        trn_pack_text (out, frame->refresh.name);
        trn_pack_bytes (out, frame->refresh.store_uuid, 16);
        trn_pack_uint (out, frame->refresh.incarnation);
        trn_pack_uint (out, frame->refresh.version);
        trn_pack_uint (out, frame->refresh.page);
    } else if (frame->type == TRN_DIR_SNAPSHOT) {
        trn_pack_array (out, 6);
        trn_pack_uint (out, frame->type);
        trn_pack_uint (out, frame->snapshot.epoch);
        trn_pack_uint (out, frame->snapshot.number);
        trn_pack_uint (out, frame->snapshot.page);
    } else {
        const bool stats = frame->type == TRN_DIR_STATS;
        trn_pack_array (out, 5);
        trn_pack_uint (out, frame->type);
        trn_pack_uint (out, stats ? frame->stats.nonce : frame->bindings.nonce);
        trn_pack_uint (out, stats ? frame->stats.page : frame->bindings.page);
    }
    self->place = trn_pack_open_array (out);
}

//  Keep the item that was packed from used on, if the byte for last fits too.
static bool
s_keep_item (trn_dirpage_t *self, size_t used)
{
    if (self->out.full || self->out.used == self->out.capacity
        || self->count == UINT16_MAX) {
        self->out.used = used;
        self->out.full = false;
        return false;
    }
    self->count++;
    return true;
}

bool
trn_dirpage_add_entry (trn_dirpage_t *self, const trn_entry_t *entry)
{
    assert (self && entry);
    const size_t used = self->out.used;
    trn_diritem_pack_entry (&self->out, entry);
    return s_keep_item (self, used);
}

bool
trn_dirpage_add_row (trn_dirpage_t *self, const tern_stats_t *row)
{
    assert (self && row);
    const size_t used = self->out.used;
    trn_diritem_pack_row (&self->out, row);
    return s_keep_item (self, used);
}

bool
trn_dirpage_add_binding (trn_dirpage_t *self, const trn_binding_t *binding)
{
    assert (self && binding);
    const size_t used = self->out.used;
    trn_binding_pack (&self->out, binding);
    return s_keep_item (self, used);
}

size_t
trn_dirpage_end (trn_dirpage_t *self, bool last)
{
    assert (self);
    trn_pack_count (&self->out, self->place, self->count);
    trn_pack_bool (&self->out, last);
    assert (!self->out.full);
    return self->out.used;
}

//  Any frame ---------------------------------------------------------------

const char *
trn_dirframe_name (trn_dirframe_type_t type)
{
    static const char *const names[]
        = {"REGISTER", "REGISTERED", "REFRESH",  "REFUSED", "GOODBYE",
           "WATCH",    "SNAPSHOT",   "DELTA",    "QUERY",   "STATS",
           "PING",     "PONG",       "BINDINGS", "DIGESTS", "TAKEN"};
    return type >= TRN_DIR_REGISTER && type <= TRN_DIR_TAKEN
               ? names[type - TRN_DIR_REGISTER]
               : "?";
}

static void
s_start_frame (trn_packer_t *out, const trn_dirframe_t *frame, uint32_t fields)
{
    trn_pack_array (out, 1 + fields);
    trn_pack_uint (out, frame->type);
}

size_t
trn_dirframe_encode (const trn_dirframe_t *frame, uint8_t *to, size_t capacity)
{
    assert (frame && to);
    trn_packer_t packer;
    trn_packer_t *const out = &packer;
    trn_packer_start (out, to, capacity);
    switch (frame->type) {
    case TRN_DIR_REGISTER:
        s_start_frame (out, frame, 4);
        trn_pack_uint (out, frame->enrol.version_min);
        trn_pack_uint (out, frame->enrol.version_max);
        trn_pack_uint (out, frame->enrol.lease_ms);
        trn_diritem_pack_entry (out, &frame->enrol.entry);
        break;
    case TRN_DIR_REGISTERED:
        s_start_frame (out, frame, 5);
        trn_pack_uint (out, frame->registered.epoch);
        trn_pack_uint (out, frame->registered.number);
        trn_pack_uint (out, frame->registered.version);
        trn_pack_uint (out, frame->registered.lease_ms);
        trn_pack_uint (out, frame->registered.features);
        break;
    case TRN_DIR_REFUSED:
        s_start_frame (out, frame, 2);
        trn_pack_uint (out, frame->refused.reason);
        trn_field_pack_words (out, frame->refused.text);
        break;
    case TRN_DIR_GOODBYE:
        s_start_frame (out, frame, 3);
        trn_pack_text (out, frame->goodbye.name);
        trn_pack_bytes (out, frame->goodbye.store_uuid, 16);
        trn_pack_uint (out, frame->goodbye.incarnation);
        break;
    case TRN_DIR_WATCH:
        s_start_frame (out, frame, 5);
        trn_pack_uint (out, frame->watch.version_min);
        trn_pack_uint (out, frame->watch.version_max);
        trn_pack_uint (out, frame->watch.epoch);
        trn_pack_uint (out, frame->watch.number);
        trn_pack_uint (out, frame->watch.flags);
        break;
    case TRN_DIR_DELTA:
        s_start_frame (out, frame, 4);
        trn_pack_uint (out, frame->delta.epoch);
        trn_pack_uint (out, frame->delta.number);
        trn_pack_bool (out, frame->delta.removed);
        trn_diritem_pack_entry (out, &frame->delta.entry);
        break;
    case TRN_DIR_QUERY:
        s_start_frame (out, frame, 3);
        trn_pack_uint (out, frame->query.nonce);
        trn_pack_text (out, frame->query.peer);
        trn_pack_text (out, frame->query.queue);
        break;
    case TRN_DIR_PING:
        s_start_frame (out, frame, 1);
        trn_pack_uint (out, frame->ping.nonce);
        break;
    case TRN_DIR_PONG:
        s_start_frame (out, frame, 4);
        trn_pack_uint (out, frame->pong.nonce);
        trn_pack_uint (out, frame->pong.epoch);
        trn_pack_uint (out, frame->pong.number);
        trn_pack_uint (out, frame->pong.digest);
        break;
    case TRN_DIR_DIGESTS:
        s_start_frame (out, frame, 2);
        trn_pack_uint (out, frame->digests.nonce);
        trn_pack_bytes (out, frame->digests.buckets, DIGESTS_SIZE);
        break;
    case TRN_DIR_TAKEN:
        assert (frame->taken.count <= TRN_DIR_ASK_MAX);
        s_start_frame (out, frame, 2);
        trn_pack_uint (out, frame->taken.nonce);
        trn_pack_bytes (out, frame->taken.verdicts, frame->taken.count);
        break;
    case TRN_DIR_REFRESH:
    case TRN_DIR_SNAPSHOT:
    case TRN_DIR_STATS:
    case TRN_DIR_BINDINGS:
        assert (false);  //  a paged frame is packed by trn_dirpage_begin ()
    }
    assert (packer.used && !packer.full);
    return packer.used;
}

static void
s_unpack_versions (trn_unpack_t *in, uint64_t *min_p, uint64_t *max_p)
{
    *min_p = trn_unpack_uint (in, 1, UINT32_MAX);
    *max_p = trn_unpack_uint (in, *min_p, UINT32_MAX);
}

//  A filter: empty lets everything through.
static trn_text_t
s_unpack_filter (trn_unpack_t *in)
{
    trn_unpack_t ahead = *in;
    const trn_text_t text = trn_unpack_text (&ahead, TRN_NAME_MAX + 1);
    if (!ahead.error && !text.size) {
        *in = ahead;
        return text;
    }
    return trn_field_queue (in);
}

//  Binary of exactly this size, borrowed.
static const uint8_t *
s_unpack_exactly (trn_unpack_t *in, size_t size)
{
    size_t found;
    const uint8_t *bytes = trn_unpack_bytes (in, &found);
    if (bytes && found != size) {
        trn_unpack_fail (in, TERN_EPROTO);
    }
    return bytes;
}

static void
s_unpack_verdicts (trn_unpack_t *in, trn_dirframe_t *frame)
{
    size_t count;
    const uint8_t *bytes = trn_unpack_bytes (in, &count);
    frame->taken.count = 0;
    if (count > TRN_DIR_ASK_MAX) {
        trn_unpack_fail (in, TERN_ETOOBIG);
    } else if (count) {
        memcpy (frame->taken.verdicts, bytes, count);
        frame->taken.count = (uint32_t) count;
    }
}

uint64_t
trn_digest_at (const uint8_t *buckets, uint32_t bucket)
{
    assert (buckets && bucket < TRN_BINDING_BUCKETS);
    return trn_get_u64 (buckets + (size_t) bucket * 8);
}

static void
s_unpack_frame (trn_unpack_t *in, trn_dirframe_t *frame)
{
    switch (frame->type) {
    case TRN_DIR_REGISTER:
        s_unpack_versions (in, &frame->enrol.version_min,
                           &frame->enrol.version_max);
        frame->enrol.lease_ms = trn_unpack_uint (in, 1, TRN_LEASE_MAX_MS);
        trn_diritem_unpack_entry (in, &frame->enrol.entry);
        break;
    case TRN_DIR_REGISTERED:
        frame->registered.epoch = trn_unpack_uint (in, 1, UINT64_MAX);
        frame->registered.number = trn_field_seq (in, 0);
        frame->registered.version = trn_field_seq (in, 0);
        frame->registered.lease_ms
            = trn_unpack_uint (in, TRN_LEASE_MIN_MS, TRN_LEASE_MAX_MS);
        frame->registered.features = trn_field_u64 (in);
        break;
    case TRN_DIR_REFRESH:
        frame->refresh.name = trn_field_name (in);
        trn_unpack_fixed (in, frame->refresh.store_uuid, 16);
        frame->refresh.incarnation = trn_field_u64 (in);
        frame->refresh.version = trn_field_seq (in, 0);
        frame->refresh.page = trn_unpack_uint (in, 0, UINT32_MAX);
        trn_diritem_unpack_rows (in, &frame->refresh.rows);
        frame->refresh.last = trn_unpack_bool (in);
        break;
    case TRN_DIR_REFUSED:
        frame->refused.reason
            = (trn_dir_refusal_t) trn_field_u32 (in, 1, UINT8_MAX);
        frame->refused.text = trn_field_words (in);
        break;
    case TRN_DIR_GOODBYE:
        frame->goodbye.name = trn_field_name (in);
        trn_unpack_fixed (in, frame->goodbye.store_uuid, 16);
        frame->goodbye.incarnation = trn_field_u64 (in);
        break;
    case TRN_DIR_WATCH:
        s_unpack_versions (in, &frame->watch.version_min,
                           &frame->watch.version_max);
        frame->watch.epoch = trn_field_u64 (in);
        frame->watch.number = trn_field_seq (in, 0);
        frame->watch.flags = trn_field_u64 (in);
        break;
    case TRN_DIR_SNAPSHOT:
        frame->snapshot.epoch = trn_unpack_uint (in, 1, UINT64_MAX);
        frame->snapshot.number = trn_field_seq (in, 0);
        frame->snapshot.page = trn_unpack_uint (in, 0, UINT32_MAX);
        trn_diritem_unpack_entries (in, &frame->snapshot.entries);
        frame->snapshot.last = trn_unpack_bool (in);
        break;
    case TRN_DIR_DELTA:
        frame->delta.epoch = trn_unpack_uint (in, 1, UINT64_MAX);
        frame->delta.number = trn_field_seq (in, 1);
        frame->delta.removed = trn_unpack_bool (in);
        trn_diritem_unpack_entry (in, &frame->delta.entry);
        break;
    case TRN_DIR_QUERY:
        frame->query.nonce = trn_field_u64 (in);
        frame->query.peer = s_unpack_filter (in);
        frame->query.queue = s_unpack_filter (in);
        break;
    case TRN_DIR_STATS:
        frame->stats.nonce = trn_field_u64 (in);
        frame->stats.page = trn_unpack_uint (in, 0, UINT32_MAX);
        trn_diritem_unpack_rows (in, &frame->stats.rows);
        frame->stats.last = trn_unpack_bool (in);
        break;
    case TRN_DIR_PING: frame->ping.nonce = trn_field_u64 (in); break;
    case TRN_DIR_PONG:
        frame->pong.nonce = trn_field_u64 (in);
        frame->pong.epoch = trn_unpack_uint (in, 1, UINT64_MAX);
        frame->pong.number = trn_field_seq (in, 0);
        frame->pong.digest = trn_field_u64 (in);
        break;
    case TRN_DIR_BINDINGS:
        frame->bindings.nonce = trn_field_u64 (in);
        frame->bindings.page = trn_unpack_uint (in, 0, UINT32_MAX);
        trn_diritem_unpack_binds (in, &frame->bindings.items);
        frame->bindings.last = trn_unpack_bool (in);
        break;
    case TRN_DIR_DIGESTS:
        frame->digests.nonce = trn_field_u64 (in);
        frame->digests.buckets = s_unpack_exactly (in, DIGESTS_SIZE);
        break;
    case TRN_DIR_TAKEN:
        frame->taken.nonce = trn_field_u64 (in);
        s_unpack_verdicts (in, frame);
        break;
    }
}

int
trn_dirframe_decode (trn_dirframe_t *frame, const uint8_t *bytes, size_t size)
{
    assert (frame && (bytes || !size));
    if (size > TRN_DIRECTORY_FRAME_MAX) {
        return TERN_ETOOBIG;
    }
    const int rc
        = trn_pack_scan (bytes, size, TRN_PACK_DEPTH, TRN_DIRECTORY_ELEMENTS);
    if (rc) {
        return rc;
    }
    trn_unpack_t in;
    trn_unpack_start (&in, bytes, size);
    (void) trn_unpack_fields (&in, 1);
    const uint64_t type = trn_unpack_uint (&in, 1, UINT32_MAX);
    if (in.error) {
        return in.error;
    }
    if (type < TRN_DIR_REGISTER || type > TRN_DIR_TAKEN) {
        return TERN_EVERSION;
    }
    frame->type = (trn_dirframe_type_t) type;
    s_unpack_frame (&in, frame);
    return in.error;
}
