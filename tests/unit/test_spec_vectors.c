//  test_spec_vectors - docs/spec/vectors, replayed in both directions
//
//  A vector that is accepted: the bytes decode to the fields given, and the
//  fields encode to the bytes given.  One that is refused: decoding gives the
//  error given.  Each file is one test; a failure names the vector.
//
//  SPDX-License-Identifier: MPL-2.0

#include "base/memory.h"
#include "wire/dirframe.h"
#include "wire/frame.h"
#include "wire/props.h"
#include "wire/record.h"

#include <tern/error.h>

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

//  One vector: what the file says, and what came of it.
typedef struct {
    char title[128];
    uint8_t bytes[32 * 1024];
    size_t size;
    char fields[32 * 1024];  //  lines as in the file
    char found[32 * 1024];   //  lines that decoding gave
    size_t found_size;
} vector_t;

//  Writing fields ----------------------------------------------------------

static void
s_line (vector_t *self, const char *format, ...)
    __attribute__ ((format (printf, 2, 3)));

static void
s_line (vector_t *self, const char *format, ...)
{
    va_list args;
    va_start (args, format);
    const size_t room = sizeof self->found - self->found_size;
    const int size
        = vsnprintf (self->found + self->found_size, room, format, args);
    va_end (args);
    assert_true (size >= 0 && (size_t) size + 1 < room);
    self->found_size += (size_t) size;
    self->found[self->found_size++] = '\n';
    self->found[self->found_size] = 0;
}

static void
s_number (vector_t *self, const char *name, uint64_t number)
{
    s_line (self, "%s %" PRIu64, name, number);
}

static void
s_text (vector_t *self, const char *name, trn_text_t text)
{
    s_line (self, "%s %.*s", name, text.size ? (int) text.size : 1,
            text.size ? text.at : "-");
}

static void
s_hex (vector_t *self, const char *name, const uint8_t *bytes, size_t size)
{
    char hex[2 * 256 + 2] = "-";
    assert_true (size <= 256);
    for (size_t at = 0; at < size; at++) {
        snprintf (hex + 2 * at, 3, "%02x", bytes[at]);
    }
    s_line (self, "%s %s", name, hex);
}

//  Frames of the link ------------------------------------------------------

static void
s_show_identity (vector_t *out, const trn_identity_t *who)
{
    s_text (out, "who.name", who->name);
    s_hex (out, "who.store_uuid", who->store_uuid, 16);
    s_number (out, "who.incarnation", who->incarnation);
    s_number (out, "who.random", who->random);
    s_number (out, "who.features", who->features);
    s_number (out, "who.frame_max", who->frame_max);
}

static void
s_show_ranges (vector_t *out, const trn_range_t *ranges, uint32_t count)
{
    for (uint32_t index = 0; index < count; index++) {
        s_line (out, "range %" PRIu64 " %" PRIu64, ranges[index].from,
                ranges[index].to);
    }
}

static void
s_show_settle (vector_t *out, const trn_frame_t *frame)
{
    s_number (out, "flow", frame->settle.flow);
    for (uint32_t index = 0; index < frame->settle.count; index++) {
        const trn_settle_t *entry = &frame->settle.entries[index];
        s_line (out, "settle %" PRIu64 " %d %" PRIu64 " %" PRIu64, entry->token,
                (int) entry->outcome, entry->from, entry->to);
    }
}

static void
s_show_data (vector_t *out, const trn_frame_t *frame)
{
    s_number (out, "flow", frame->data.flow);
    s_number (out, "token", frame->data.token);
    s_number (out, "low", frame->data.low);
    s_number (out, "segment", frame->data.segment);
    s_number (out, "offset", frame->data.offset);
    s_number (out, "first_seq", frame->data.first_seq);
    s_number (out, "count", frame->data.count);
    s_number (out, "deliveries", frame->data.deliveries);
    s_number (out, "flags", frame->data.flags);
    if (frame->data.missed) {
        s_number (out, "missed", frame->data.missed);
        s_number (out, "told", frame->data.told);
    }
}

static void
s_show_call_frame (vector_t *out, const trn_frame_t *frame)
{
    if (frame->type == TRN_SEEK) {
        s_number (out, "seat", frame->seek.seat);
        s_text (out, "service", frame->seek.service);
    } else if (frame->type == TRN_ROOM) {
        s_number (out, "seat", frame->room.seat);
        s_number (out, "calls", frame->room.calls);
    } else if (frame->type == TRN_CALL) {
        s_number (out, "seat", frame->call.seat);
        s_number (out, "call", frame->call.call);
        s_number (out, "left_ms", frame->call.left_ms);
        s_number (out, "answers", frame->call.answers);
        s_number (out, "bytes", frame->call.bytes);
        s_number (out, "flags", frame->call.flags);
    } else if (frame->type == TRN_ANSWER) {
        s_number (out, "call", frame->answer.call);
        s_number (out, "number", frame->answer.number);
        s_number (out, "flags", frame->answer.flags);
    } else if (frame->type == TRN_FAIL) {
        s_number (out, "call", frame->fail.call);
        s_number (out, "reason", frame->fail.reason);
        s_text (out, "text", frame->fail.text);
    } else if (frame->type == TRN_TAKE) {
        s_number (out, "call", frame->take.call);
        s_number (out, "answers", frame->take.answers);
        s_number (out, "bytes", frame->take.bytes);
    } else {
        s_number (out, "call", frame->abandon.call);
    }
}

static void
s_show_frame (vector_t *out, const trn_frame_t *frame)
{
    s_line (out, "type %s", trn_frame_name (frame->type));
    s_number (out, "connection", frame->connection);
    switch (frame->type) {
    case TRN_HELLO:
        s_number (out, "version_min", frame->hello.version_min);
        s_number (out, "version_max", frame->hello.version_max);
        s_show_identity (out, &frame->hello.who);
        break;
    case TRN_WELCOME:
        s_number (out, "version", frame->welcome.version);
        s_show_identity (out, &frame->welcome.who);
        break;
    case TRN_REFUSE:
        s_number (out, "reason", frame->refuse.reason);
        s_text (out, "text", frame->refuse.text);
        break;
    case TRN_OFFER:
        s_number (out, "flow", frame->offer.flow);
        s_text (out, "queue", frame->offer.queue);
        s_text (out, "outbox", frame->offer.outbox);
        s_number (out, "low", frame->offer.low);
        s_number (out, "high", frame->offer.high);
        if (frame->offer.number) {
            s_number (out, "number", frame->offer.number);
        }
        break;
    case TRN_ACCEPT:
        s_number (out, "flow", frame->accept.flow);
        s_number (out, "seen", frame->accept.seen);
        s_show_ranges (out, frame->accept.ranges, frame->accept.range_count);
        if (frame->accept.told) {
            s_number (out, "told", frame->accept.told);
        }
        if (frame->accept.flags) {
            s_number (out, "flags", frame->accept.flags);
        }
        break;
    case TRN_CREDIT:
        s_number (out, "flow", frame->credit.flow);
        s_number (out, "messages", frame->credit.messages);
        s_number (out, "bytes", frame->credit.bytes);
        break;
    case TRN_DATA: s_show_data (out, frame); break;
    case TRN_SETTLE: s_show_settle (out, frame); break;
    case TRN_FLOOR:
        s_number (out, "flow", frame->floor.flow);
        s_number (out, "low", frame->floor.low);
        s_show_ranges (out, frame->floor.ranges, frame->floor.range_count);
        break;
    case TRN_CANCEL: s_number (out, "flow", frame->cancel.flow); break;
    case TRN_RETIRE: s_number (out, "flow", frame->retire.flow); break;
    case TRN_PING: s_number (out, "nonce", frame->ping.nonce); break;
    case TRN_PONG: s_number (out, "nonce", frame->pong.nonce); break;
    case TRN_BYE: s_text (out, "reason", frame->bye.reason); break;
    case TRN_SEEK:
    case TRN_ROOM:
    case TRN_CALL:
    case TRN_ANSWER:
    case TRN_FAIL:
    case TRN_TAKE:
    case TRN_ABANDON: s_show_call_frame (out, frame); break;
    }
}

static int
s_replay_link (vector_t *self)
{
    static trn_frame_t frame;
    const int rc = trn_frame_decode (&frame, self->bytes, self->size);
    if (rc == 0) {
        s_show_frame (self, &frame);
        uint8_t again[TRN_CONTROL_MAX];
        const size_t size = trn_frame_encode (&frame, again, sizeof again);
        assert_int_equal (size, self->size);
        assert_memory_equal (again, self->bytes, size);
    }
    return rc;
}

//  Frames of the directory -------------------------------------------------

static void
s_show_entry (vector_t *out, const trn_entry_t *entry)
{
    s_text (out, "entry.name", entry->name);
    s_hex (out, "entry.store_uuid", entry->store_uuid, 16);
    s_number (out, "entry.incarnation", entry->incarnation);
    s_number (out, "entry.random", entry->random);
    s_number (out, "entry.version", entry->version);
    s_number (out, "entry.features", entry->features);
    s_number (out, "entry.heard_ms", entry->heard_ms);
    for (uint32_t index = 0; index < entry->endpoint_count; index++) {
        s_text (out, "entry.endpoint", entry->endpoints[index]);
    }
    for (uint32_t index = 0; index < entry->queue_count; index++) {
        s_text (out, "entry.queue", entry->queues[index]);
    }
}

static void
s_show_rate (vector_t *out, const char *name, const tern_rate_t *rate)
{
    s_line (out, "row.%s %" PRIu64 " %.0f %.0f %.0f", name, rate->total,
            rate->per_s[0] * 1000, rate->per_s[1] * 1000,
            rate->per_s[2] * 1000);
}

static void
s_show_row (vector_t *out, const tern_stats_t *row)
{
    s_line (out, "row.peer %s", row->peer);
    s_line (out, "row.queue %s", row->queue);
    s_number (out, "row.role", row->role);
    s_show_rate (out, "produced", &row->produced);
    s_show_rate (out, "accepted", &row->accepted);
    s_show_rate (out, "transmitted", &row->transmitted);
    s_show_rate (out, "consumed", &row->consumed);
    s_number (out, "row.redelivered", row->redelivered);
    s_number (out, "row.refused", row->refused);
    s_number (out, "row.rejected", row->rejected);
    s_number (out, "row.duplicates", row->duplicates);
    s_number (out, "row.dropped", row->dropped);
    s_number (out, "row.depth", row->depth);
    s_number (out, "row.in_flight", row->in_flight);
    s_number (out, "row.oldest_ms", row->oldest_ms);
    s_number (out, "row.disk_bytes", row->disk_bytes);
    s_number (out, "row.sync_us_last", row->sync_us_last);
    s_number (out, "row.sync_us_max", row->sync_us_max);
    s_number (out, "row.delay_p50_us", row->delay_p50_us);
    s_number (out, "row.delay_p99_us", row->delay_p99_us);
    s_number (out, "row.delay_max_us", row->delay_max_us);
    s_number (out, "row.consumers", row->consumers);
}

static void
s_show_binding (vector_t *out, const trn_binding_t *binding)
{
    s_text (out, "binding.exchange", binding->exchange);
    s_number (out, "binding.type", binding->type);
    s_text (out, "binding.queue", binding->queue);
    s_text (out, "binding.pattern", binding->pattern);
    s_hex (out, "binding.headers", binding->headers, binding->headers_size);
    s_number (out, "binding.any", binding->any);
    s_number (out, "binding.from", binding->from);
    s_number (out, "binding.from_value", binding->from_value);
    s_text (out, "binding.alternate", binding->alternate);
    s_number (out, "binding.stamp_us", binding->stamp_us);
    s_text (out, "binding.writer", binding->writer);
    s_number (out, "binding.removed", binding->removed);
}

//  Show a paged list and pack it again; returns the bytes used.
static size_t
s_show_page (vector_t *out, const trn_dirframe_t *frame, uint8_t *to,
             size_t capacity)
{
    static trn_entry_t entry;
    static tern_stats_t row;
    trn_dirpage_t page;
    trn_dirpage_begin (&page, frame, to, capacity);
    bool last = false;
    if (frame->type == TRN_DIR_SNAPSHOT) {
        trn_items_t items = frame->snapshot.entries;
        while (trn_entries_next (&items, &entry)) {
            s_show_entry (out, &entry);
            assert_true (trn_dirpage_add_entry (&page, &entry));
        }
        last = frame->snapshot.last;
    } else if (frame->type == TRN_DIR_BINDINGS) {
        trn_items_t items = frame->bindings.items;
        trn_binding_t binding;
        while (trn_binds_next (&items, &binding)) {
            s_show_binding (out, &binding);
            assert_true (trn_dirpage_add_binding (&page, &binding));
        }
        last = frame->bindings.last;
    } else {
        const bool stats = frame->type == TRN_DIR_STATS;
        trn_items_t items = stats ? frame->stats.rows : frame->refresh.rows;
        while (trn_rows_next (&items, &row)) {
            s_show_row (out, &row);
            assert_true (trn_dirpage_add_row (&page, &row));
        }
        last = stats ? frame->stats.last : frame->refresh.last;
    }
    s_number (out, "last", last);
    return trn_dirpage_end (&page, last);
}

static void
s_show_enrol (vector_t *out, const trn_dirframe_t *frame)
{
    s_number (out, "version_min", frame->enrol.version_min);
    s_number (out, "version_max", frame->enrol.version_max);
    s_number (out, "lease_ms", frame->enrol.lease_ms);
    s_show_entry (out, &frame->enrol.entry);
}

static void
s_show_registered (vector_t *out, const trn_dirframe_t *frame)
{
    s_number (out, "epoch", frame->registered.epoch);
    s_number (out, "number", frame->registered.number);
    s_number (out, "version", frame->registered.version);
    s_number (out, "lease_ms", frame->registered.lease_ms);
    s_number (out, "features", frame->registered.features);
}

static void
s_show_watch (vector_t *out, const trn_dirframe_t *frame)
{
    s_number (out, "version_min", frame->watch.version_min);
    s_number (out, "version_max", frame->watch.version_max);
    s_number (out, "epoch", frame->watch.epoch);
    s_number (out, "number", frame->watch.number);
    s_number (out, "flags", frame->watch.flags);
}

//  The fields before a list, or all of them.
static void
s_show_dirframe (vector_t *out, const trn_dirframe_t *frame)
{
    s_line (out, "type %s", trn_dirframe_name (frame->type));
    switch (frame->type) {
    case TRN_DIR_REGISTER: s_show_enrol (out, frame); break;
    case TRN_DIR_REGISTERED: s_show_registered (out, frame); break;
    case TRN_DIR_REFRESH:
        s_text (out, "name", frame->refresh.name);
        s_hex (out, "store_uuid", frame->refresh.store_uuid, 16);
        s_number (out, "incarnation", frame->refresh.incarnation);
        s_number (out, "version", frame->refresh.version);
        s_number (out, "page", frame->refresh.page);
        break;
    case TRN_DIR_REFUSED:
        s_number (out, "reason", frame->refused.reason);
        s_text (out, "text", frame->refused.text);
        break;
    case TRN_DIR_GOODBYE:
        s_text (out, "name", frame->goodbye.name);
        s_hex (out, "store_uuid", frame->goodbye.store_uuid, 16);
        s_number (out, "incarnation", frame->goodbye.incarnation);
        break;
    case TRN_DIR_WATCH: s_show_watch (out, frame); break;
    case TRN_DIR_SNAPSHOT:
        s_number (out, "epoch", frame->snapshot.epoch);
        s_number (out, "number", frame->snapshot.number);
        s_number (out, "page", frame->snapshot.page);
        break;
    case TRN_DIR_DELTA:
        s_number (out, "epoch", frame->delta.epoch);
        s_number (out, "number", frame->delta.number);
        s_number (out, "removed", frame->delta.removed);
        s_show_entry (out, &frame->delta.entry);
        break;
    case TRN_DIR_QUERY:
        s_number (out, "nonce", frame->query.nonce);
        s_text (out, "peer", frame->query.peer);
        s_text (out, "queue", frame->query.queue);
        break;
    case TRN_DIR_STATS:
        s_number (out, "nonce", frame->stats.nonce);
        s_number (out, "page", frame->stats.page);
        break;
    case TRN_DIR_PING: s_number (out, "nonce", frame->ping.nonce); break;
    case TRN_DIR_PONG:
        s_number (out, "nonce", frame->pong.nonce);
        s_number (out, "epoch", frame->pong.epoch);
        s_number (out, "number", frame->pong.number);
        s_number (out, "digest", frame->pong.digest);
        break;
    case TRN_DIR_BINDINGS:
        s_number (out, "nonce", frame->bindings.nonce);
        s_number (out, "page", frame->bindings.page);
        break;
    case TRN_DIR_DIGESTS:
        s_number (out, "nonce", frame->digests.nonce);
        for (uint32_t bucket = 0; bucket < TRN_BINDING_BUCKETS; bucket++) {
            if (trn_digest_at (frame->digests.buckets, bucket)) {
                s_line (out, "bucket %" PRIu32 " %" PRIu64, bucket,
                        trn_digest_at (frame->digests.buckets, bucket));
            }
        }
        break;
    case TRN_DIR_TAKEN:
        s_number (out, "nonce", frame->taken.nonce);
        s_hex (out, "verdicts", frame->taken.verdicts, frame->taken.count);
        break;
    }
}

static int
s_replay_directory (vector_t *self)
{
    static trn_dirframe_t frame;
    static uint8_t again[TRN_DIRECTORY_FRAME_MAX];
    const int rc = trn_dirframe_decode (&frame, self->bytes, self->size);
    if (rc == 0) {
        s_show_dirframe (self, &frame);
        const bool paged
            = frame.type == TRN_DIR_SNAPSHOT || frame.type == TRN_DIR_REFRESH
              || frame.type == TRN_DIR_BINDINGS || frame.type == TRN_DIR_STATS;
        const size_t size
            = paged ? s_show_page (self, &frame, again, sizeof again)
                    : trn_dirframe_encode (&frame, again, sizeof again);
        assert_int_equal (size, self->size);
        assert_memory_equal (again, self->bytes, size);
    }
    return rc;
}

//  Properties --------------------------------------------------------------

static int
s_show_prop (vector_t *out, trn_propset_t *set, const trn_prop_t *prop)
{
    char name[160];
    const int size = (int) prop->key.size;
    switch (prop->kind) {
    case TRN_PROP_TEXT:
        snprintf (name, sizeof name, "text %.*s", size, prop->key.at);
        s_text (out, name, prop->text);
        return trn_propset_text (set, prop->key, prop->text);
    case TRN_PROP_NUMBER:
        s_line (out, "number %.*s %" PRId64, size, prop->key.at, prop->number);
        return trn_propset_number (set, prop->key, prop->number);
    case TRN_PROP_FLAG:
        s_line (out, "flag %.*s %d", size, prop->key.at, prop->flag);
        return trn_propset_flag (set, prop->key, prop->flag);
    case TRN_PROP_BYTES:
        snprintf (name, sizeof name, "bytes %.*s", size, prop->key.at);
        s_hex (out, name, prop->bytes, prop->bytes_size);
        return trn_propset_bytes (set, prop->key, prop->bytes,
                                  prop->bytes_size);
    }
    return TERN_EPROTO;
}

static int
s_replay_properties (vector_t *self)
{
    trn_props_t props;
    const int rc = trn_props_open (&props, self->bytes, self->size);
    trn_propset_t set = {0};
    trn_prop_t prop;
    const bool some = props.left > 0;
    while (trn_props_next (&props, &prop)) {
        assert_int_equal (s_show_prop (self, &set, &prop), 0);
    }
    //  An empty map is legal, but what has no property needs none.
    if (some) {
        size_t size = 0;
        const uint8_t *map = trn_propset_map (&set, &size);
        assert_int_equal (size, self->size);
        assert_memory_equal (map, self->bytes, size);
    }
    trn_propset_clear (&set);
    return rc;
}

//  Records -----------------------------------------------------------------

//  A field that is an input: value of the line that starts with name.
static const char *
s_given (const vector_t *self, const char *name, char *value, size_t size)
{
    const size_t length = strlen (name);
    for (const char *line = self->fields; *line;
         line += strcspn (line, "\n") + 1) {
        if (strncmp (line, name, length) == 0 && line[length] == ' ') {
            const char *at = line + length + 1;
            snprintf (value, size, "%.*s", (int) strcspn (at, "\n"), at);
            return value;
        }
    }
    fail_msg ("%s: no %s", self->title, name);
    return value;
}

//  The byte that the two hex digits here stand for.
static uint8_t
s_hex_byte (const char *hex)
{
    const char digits[3] = {hex[0], hex[1], 0};
    char *end = NULL;
    const unsigned long byte = strtoul (digits, &end, 16);
    assert_true (end == digits + 2);
    return (uint8_t) byte;
}

static int
s_replay_record (vector_t *self)
{
    char value[256], outbox[256];
    uint8_t uuid[16];
    s_given (self, "store_uuid", value, sizeof value);
    for (size_t at = 0; at < 16; at++) {
        uuid[at] = s_hex_byte (value + 2 * at);
    }
    s_given (self, "outbox", outbox, sizeof outbox);
    const uint64_t segment
        = strtoull (s_given (self, "segment", value, sizeof value), NULL, 10);
    const int64_t offset
        = strtoll (s_given (self, "offset", value, sizeof value), NULL, 10);
    s_hex (self, "store_uuid", uuid, 16);
    s_line (self, "outbox %s", outbox);
    s_number (self, "segment", segment);
    s_number (self, "offset", (uint64_t) offset);

    const uint64_t seed = trn_record_seed (uuid, outbox, segment);
    trn_record_t record;
    const int step
        = trn_record_read (self->bytes, self->size, seed, offset, &record);
    if (step <= 0) {
        if (step == 0) {
            s_line (self, "end");
        }
        return step;
    }
    s_number (self, "kind", record.kind);
    s_number (self, "flags", record.flags);
    s_number (self, "seq", record.seq);
    s_number (self, "stamp_us", record.stamp_us);
    s_number (self, "incarnation", record.incarnation);
    s_number (self, "unsynced", record.unsynced);
    s_hex (self, "key", record.key, record.key_size);
    s_hex (self, "props", record.props, record.props_size);
    s_hex (self, "body", record.body, record.body_size);
    uint8_t again[1024];
    assert_true (trn_record_size (&record) <= sizeof again);
    trn_record_write (again, &record, seed, offset);
    assert_int_equal (step, self->size);
    assert_memory_equal (again, self->bytes, self->size);
    return 0;
}

//  Reading files -----------------------------------------------------------

typedef int
replay_fn (vector_t *self);

static const char *
s_error_name (int rc)
{
    switch (rc) {
    case TERN_EPROTO: return "EPROTO";
    case TERN_ETOOBIG: return "ETOOBIG";
    case TERN_EVERSION: return "EVERSION";
    case TERN_ECORRUPT: return "ECORRUPT";
    default: return "?";
    }
}

static void
s_replay (vector_t *self, replay_fn *replay)
{
    print_message ("#   %s\n", self->title);
    const int rc = replay (self);
    if (rc) {
        s_line (self, "error %s", s_error_name (rc));
    }
    assert_string_equal (self->found, self->fields);
}

//  Pairs of digits, a blank before each.
static void
s_add_hex (vector_t *self, const char *hex)
{
    for (; hex[0] == ' '; hex += 3) {
        assert_true (self->size < sizeof self->bytes);
        self->bytes[self->size++] = s_hex_byte (hex + 1);
    }
}

static void
s_replay_file (const char *name, replay_fn *replay)
{
    const char *source = getenv ("TERN_SRCDIR");
    char path[4096];
    snprintf (path, sizeof path, "%s/docs/spec/vectors/%s",
              source ? source : ".", name);
    FILE *file = fopen (path, "r");
    if (!file) {
        fail_msg ("no %s: set TERN_SRCDIR to the source tree", path);
        return;
    }
    vector_t *self = trn_alloc (sizeof *self);
    int count = 0;
    char line[1024];
    while (fgets (line, sizeof line, file)) {
        if (strncmp (line, "vector ", 7) == 0) {
            if (count++) {
                s_replay (self, replay);
            }
            memset (self, 0, sizeof *self);
            snprintf (self->title, sizeof self->title, "%.*s",
                      (int) strcspn (line + 7, "\n"), line + 7);
        } else if (strncmp (line, "hex ", 4) == 0) {
            s_add_hex (self, line + 3);
        } else if (line[0] != '#' && line[0] != '\n') {
            const size_t used = strlen (self->fields);
            snprintf (self->fields + used, sizeof self->fields - used, "%s",
                      line);
        }
    }
    s_replay (self, replay);
    assert_true (count > 1);
    fclose (file);
    free (self);
}

static void
frames_of_the_link_are_as_specified (void **state)
{
    (void) state;
    s_replay_file ("link.txt", s_replay_link);
}

static void
frames_of_the_directory_are_as_specified (void **state)
{
    (void) state;
    s_replay_file ("directory.txt", s_replay_directory);
}

static void
properties_are_as_specified (void **state)
{
    (void) state;
    s_replay_file ("properties.txt", s_replay_properties);
}

static void
records_are_as_specified (void **state)
{
    (void) state;
    s_replay_file ("record.txt", s_replay_record);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (frames_of_the_link_are_as_specified),
        cmocka_unit_test (frames_of_the_directory_are_as_specified),
        cmocka_unit_test (properties_are_as_specified),
        cmocka_unit_test (records_are_as_specified),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name ("spec/vectors", tests, NULL, NULL);
}
