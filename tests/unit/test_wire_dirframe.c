//  test_wire_dirframe - the frames between a peer and a directory
//
//  SPDX-License-Identifier: MPL-2.0

#include "wire/dirframe.h"

#include "support/packed.h"
#include "support/seed.h"

#include <tern/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const uint8_t s_uuid[16] = "0123456789abcdef";

static void
s_entry (trn_entry_t *entry)
{
    *entry = (trn_entry_t) {.name = trn_text ("orders-1"),
                            .incarnation = 7,
                            .random = 0x1122334455667788u,
                            .version = 3,
                            .features = 1,
                            .heard_ms = 40,
                            .endpoint_count = 2,
                            .queue_count = 2};
    memcpy (entry->store_uuid, s_uuid, 16);
    entry->endpoints[0] = trn_text ("tcp://127.0.0.1:5671");
    entry->endpoints[1] = trn_text ("ipc:///run/tern/orders-1");
    entry->queues[0] = trn_text ("hello");
    entry->queues[1] = trn_text ("@orders-1");
}

static void
s_row (tern_stats_t *row)
{
    *row = (tern_stats_t) {.peer = "orders-1",
                           .queue = "hello",
                           .role = TERN_ROLE_PUBLISHER,
                           .produced = {1000, {10.5, 3.25, 0.125}},
                           .accepted = {999, {10, 3, 1}},
                           .transmitted = {900, {1e6, 2e6, 3e6}},
                           .consumed = {800, {0, 0, 0.001}},
                           .redelivered = 1,
                           .refused = 2,
                           .rejected = 3,
                           .duplicates = 4,
                           .dropped = 5,
                           .depth = 199,
                           .in_flight = 100,
                           .oldest_ms = 1234,
                           .disk_bytes = UINT64_C (1) << 40,
                           .sync_us_last = 96,
                           .sync_us_max = 40000,
                           .delay_p50_us = 150,
                           .delay_p99_us = 900,
                           .delay_max_us = 100000,
                           .consumers = 3,
                           .dead = 6,
                           .expired = 7,
                           .delayed = 8,
                           .missed = 9};
}

static uint8_t s_digests[TRN_BINDING_BUCKETS * 8] = {[8] = 1, [2047] = 2};

static void
s_binding (trn_binding_t *binding)
{
    *binding = (trn_binding_t) {
        .exchange = trn_text ("orders"),
        .type = TRN_EXCHANGE_HEADERS,
        .queue = trn_text ("billing"),
        .pattern = trn_text (""),
        .headers = (const uint8_t *) "\x82\xa1k\xa1v\xa4kind\xa5order",
        .headers_size = 16,
        .any = true,
        .from = TRN_FROM_SEQ,
        .from_value = 7,
        .alternate = trn_text ("lost"),
        .stamp_us = 1700000000000000,
        .writer = trn_text ("orders-1"),
        .removed = true,
    };
}

//  One good frame of a type that has no paged list.
static void
s_sample (trn_dirframe_t *frame, trn_dirframe_type_t type)
{
    memset (frame, 0, sizeof *frame);
    frame->type = type;
    switch (type) {
    case TRN_DIR_REGISTER:
        frame->enrol.version_min = 2;
        frame->enrol.version_max = 5;
        frame->enrol.lease_ms = 15000;
        s_entry (&frame->enrol.entry);
        break;
    case TRN_DIR_REGISTERED:
        frame->registered.epoch = 11;
        frame->registered.number = 12;
        frame->registered.version = 3;
        frame->registered.lease_ms = 15000;
        frame->registered.features = 1;
        break;
    case TRN_DIR_REFUSED:
        frame->refused.reason = TRN_DIR_FENCED;
        frame->refused.text = trn_text ("a newer incarnation is registered");
        break;
    case TRN_DIR_GOODBYE:
        frame->goodbye.name = trn_text ("orders-1");
        memcpy (frame->goodbye.store_uuid, s_uuid, 16);
        frame->goodbye.incarnation = 7;
        break;
    case TRN_DIR_WATCH:
        frame->watch.version_min = 2;
        frame->watch.version_max = 5;
        frame->watch.epoch = 11;
        frame->watch.number = 12;
        frame->watch.flags = TRN_WATCH_ONCE;
        break;
    case TRN_DIR_DELTA:
        frame->delta.epoch = 11;
        frame->delta.number = 13;
        frame->delta.removed = true;
        s_entry (&frame->delta.entry);
        break;
    case TRN_DIR_QUERY:
        frame->query.nonce = 5;
        frame->query.peer = trn_text ("orders-1");
        frame->query.queue = trn_text ("@orders-1");
        break;
    case TRN_DIR_PING: frame->ping.nonce = 5; break;
    case TRN_DIR_PONG:
        frame->pong.nonce = 5;
        frame->pong.epoch = 11;
        frame->pong.number = 13;
        frame->pong.digest = 0x1122334455667788u;
        break;
    case TRN_DIR_BINDINGS:
        frame->bindings.nonce = 5;
        frame->bindings.page = 1;
        break;
    case TRN_DIR_DIGESTS:
        frame->digests.nonce = 5;
        frame->digests.buckets = s_digests;
        break;
    case TRN_DIR_TAKEN:
        frame->taken.nonce = 5;
        frame->taken.count = 3;
        frame->taken.verdicts[1] = TRN_DIR_TOOK_TYPE;
        break;
    case TRN_DIR_REFRESH:
        frame->refresh.name = trn_text ("orders-1");
        memcpy (frame->refresh.store_uuid, s_uuid, 16);
        frame->refresh.incarnation = 7;
        frame->refresh.version = 3;
        frame->refresh.page = 1;
        break;
    case TRN_DIR_SNAPSHOT:
        frame->snapshot.epoch = 11;
        frame->snapshot.number = 12;
        frame->snapshot.page = 1;
        break;
    case TRN_DIR_STATS:
        frame->stats.nonce = 5;
        frame->stats.page = 1;
        break;
    }
}

//  Encode it; what has a paged list gets one item.
static void
s_pack (test_packed_t *packed, const trn_dirframe_t *frame)
{
    trn_dirpage_t page;
    trn_entry_t entry;
    tern_stats_t row;
    s_entry (&entry);
    s_row (&row);
    const size_t capacity = TRN_DIRECTORY_FRAME_MAX;
    if (frame->type == TRN_DIR_SNAPSHOT) {
        trn_dirpage_begin (&page, frame, packed->bytes, capacity);
        assert_true (trn_dirpage_add_entry (&page, &entry));
        packed->size = trn_dirpage_end (&page, true);
    } else if (frame->type == TRN_DIR_REFRESH || frame->type == TRN_DIR_STATS) {
        trn_dirpage_begin (&page, frame, packed->bytes, capacity);
        assert_true (trn_dirpage_add_row (&page, &row));
        packed->size = trn_dirpage_end (&page, true);
    } else if (frame->type == TRN_DIR_BINDINGS) {
        trn_binding_t binding;
        s_binding (&binding);
        trn_dirpage_begin (&page, frame, packed->bytes, capacity);
        assert_true (trn_dirpage_add_binding (&page, &binding));
        packed->size = trn_dirpage_end (&page, true);
    } else {
        packed->size = trn_dirframe_encode (frame, packed->bytes, capacity);
    }
}

//  Decode from memory of exactly the size, so that one byte too far is caught.
static int
s_decode (trn_dirframe_t *frame, const test_packed_t *packed)
{
    static uint8_t *copy;
    free (copy);
    copy = malloc (packed->size ? packed->size : 1);
    assert_non_null (copy);
    memcpy (copy, packed->bytes, packed->size);
    return trn_dirframe_decode (frame, copy, packed->size);
}

//  Encode what was decoded, its items one by one.
static void
s_repack (test_packed_t *packed, const trn_dirframe_t *frame)
{
    trn_dirpage_t page;
    trn_items_t items;
    static trn_entry_t entry;
    tern_stats_t row;
    const size_t capacity = sizeof packed->bytes;
    switch (frame->type) {
    case TRN_DIR_SNAPSHOT:
        trn_dirpage_begin (&page, frame, packed->bytes, capacity);
        items = frame->snapshot.entries;
        while (trn_entries_next (&items, &entry)) {
            assert_true (trn_dirpage_add_entry (&page, &entry));
        }
        packed->size = trn_dirpage_end (&page, frame->snapshot.last);
        break;
    case TRN_DIR_REFRESH:
    case TRN_DIR_STATS:
        trn_dirpage_begin (&page, frame, packed->bytes, capacity);
        items = frame->type == TRN_DIR_STATS ? frame->stats.rows
                                             : frame->refresh.rows;
        while (trn_rows_next (&items, &row)) {
            assert_true (trn_dirpage_add_row (&page, &row));
        }
        packed->size = trn_dirpage_end (&page, frame->type == TRN_DIR_STATS
                                                   ? frame->stats.last
                                                   : frame->refresh.last);
        break;
    case TRN_DIR_BINDINGS:
        trn_dirpage_begin (&page, frame, packed->bytes, capacity);
        items = frame->bindings.items;
        trn_binding_t binding;
        while (trn_binds_next (&items, &binding)) {
            assert_true (trn_dirpage_add_binding (&page, &binding));
        }
        packed->size = trn_dirpage_end (&page, frame->bindings.last);
        break;
    case TRN_DIR_REGISTER:
    case TRN_DIR_REGISTERED:
    case TRN_DIR_REFUSED:
    case TRN_DIR_GOODBYE:
    case TRN_DIR_WATCH:
    case TRN_DIR_DELTA:
    case TRN_DIR_QUERY:
    case TRN_DIR_PING:
    case TRN_DIR_PONG:
    case TRN_DIR_DIGESTS:
    case TRN_DIR_TAKEN:
        packed->size = trn_dirframe_encode (frame, packed->bytes, capacity);
        break;
    }
}

static int
s_again (const test_packed_t *packed)
{
    static trn_dirframe_t frame;
    static test_packed_t again;
    const int rc = s_decode (&frame, packed);
    if (rc == 0) {
        s_repack (&again, &frame);
        assert_int_equal (again.size, packed->size);
        assert_memory_equal (again.bytes, packed->bytes, packed->size);
    }
    return rc;
}

static void
every_frame_comes_back (void **state)
{
    (void) state;
    static trn_dirframe_t frame;
    static test_packed_t packed;
    for (trn_dirframe_type_t type = TRN_DIR_REGISTER; type <= TRN_DIR_TAKEN;
         type++) {
        s_sample (&frame, type);
        s_pack (&packed, &frame);
        assert_int_equal (s_again (&packed), 0);
    }
}

static void
an_entry_comes_back_field_by_field (void **state)
{
    (void) state;
    static trn_dirframe_t frame;
    static test_packed_t packed;
    s_sample (&frame, TRN_DIR_REGISTER);
    s_pack (&packed, &frame);
    memset (&frame, 0xee, sizeof frame);
    assert_int_equal (s_decode (&frame, &packed), 0);
    assert_true (frame.enrol.version_min == 2 && frame.enrol.version_max == 5
                 && frame.enrol.lease_ms == 15000);
    const trn_entry_t *entry = &frame.enrol.entry;
    assert_true (trn_text_is (entry->name, "orders-1"));
    assert_memory_equal (entry->store_uuid, s_uuid, 16);
    assert_true (entry->incarnation == 7 && entry->version == 3
                 && entry->random == 0x1122334455667788u && entry->features == 1
                 && entry->heard_ms == 40);
    assert_true (entry->endpoint_count == 2
                 && trn_text_is (entry->endpoints[0], "tcp://127.0.0.1:5671"));
    assert_true (entry->queue_count == 2
                 && trn_text_is (entry->queues[1], "@orders-1"));
}

static void
a_row_comes_back_field_by_field (void **state)
{
    (void) state;
    static trn_dirframe_t frame;
    static test_packed_t packed;
    s_sample (&frame, TRN_DIR_STATS);
    s_pack (&packed, &frame);
    assert_int_equal (s_decode (&frame, &packed), 0);
    assert_true (frame.stats.nonce == 5 && frame.stats.page == 1
                 && frame.stats.last && frame.stats.rows.left == 1);
    tern_stats_t sent, row;
    s_row (&sent);
    memset (&row, 0xee, sizeof row);
    assert_true (trn_rows_next (&frame.stats.rows, &row));
    assert_false (trn_rows_next (&frame.stats.rows, &row));
    assert_string_equal (row.peer, sent.peer);
    assert_string_equal (row.queue, sent.queue);
    assert_int_equal (row.role, sent.role);
    assert_true (row.produced.total == 1000 && row.produced.per_s[0] == 10.5
                 && row.produced.per_s[1] == 3.25
                 && row.produced.per_s[2] == 0.125);
    assert_true (row.accepted.total == 999 && row.transmitted.total == 900
                 && row.transmitted.per_s[2] == 3e6 && row.consumed.total == 800
                 && row.consumed.per_s[2] == 0.001);
    assert_true (row.redelivered == 1 && row.refused == 2 && row.rejected == 3
                 && row.duplicates == 4 && row.dropped == 5 && row.depth == 199
                 && row.in_flight == 100 && row.oldest_ms == 1234
                 && row.disk_bytes == UINT64_C (1) << 40
                 && row.sync_us_last == 96 && row.sync_us_max == 40000
                 && row.delay_p50_us == 150 && row.delay_p99_us == 900
                 && row.delay_max_us == 100000 && row.consumers == 3);
    assert_true (row.dead == 6 && row.expired == 7 && row.delayed == 8
                 && row.missed == 9);
}

static void
a_row_without_its_later_numbers_has_zeros (void **state)
{
    (void) state;
    uint8_t bytes[1024];
    const trn_dirframe_t shape = {.type = TRN_DIR_STATS, .stats = {.nonce = 5}};
    trn_dirframe_t frame;
    trn_dirpage_t page;
    tern_stats_t row;
    s_row (&row);
    row.missed = 0;
    trn_dirpage_begin (&page, &shape, bytes, sizeof bytes);
    assert_true (trn_dirpage_add_row (&page, &row));
    row.dead = row.expired = row.delayed = 0;
    strcpy (row.queue, "#prices");
    assert_true (trn_dirpage_add_row (&page, &row));
    const size_t size = trn_dirpage_end (&page, true);
    assert_int_equal (trn_dirframe_decode (&frame, bytes, size), 0);
    memset (&row, 0xee, sizeof row);
    assert_true (trn_rows_next (&frame.stats.rows, &row));
    assert_true (row.delayed == 8 && row.missed == 0);
    memset (&row, 0xee, sizeof row);
    assert_true (trn_rows_next (&frame.stats.rows, &row));
    assert_true (row.dead == 0 && row.expired == 0 && row.delayed == 0
                 && row.missed == 0);
    assert_int_equal (row.consumers, 3);
    assert_string_equal (row.queue, "#prices");
}

static void
a_rate_that_is_no_number_or_no_rate_is_tamed (void **state)
{
    (void) state;
    tern_stats_t row;
    s_row (&row);
    const double zero = 0;
    row.produced.per_s[0] = zero / zero;
    row.produced.per_s[1] = -1;
    row.produced.per_s[2] = 1 / zero;
    trn_dirframe_t *frame = malloc (sizeof *frame);
    s_sample (frame, TRN_DIR_STATS);
    static uint8_t bytes[1024];
    trn_dirpage_t page;
    trn_dirpage_begin (&page, frame, bytes, sizeof bytes);
    assert_true (trn_dirpage_add_row (&page, &row));
    const size_t size = trn_dirpage_end (&page, false);
    assert_int_equal (trn_dirframe_decode (frame, bytes, size), 0);
    assert_true (trn_rows_next (&frame->stats.rows, &row));
    assert_true (row.produced.per_s[0] == 0 && row.produced.per_s[1] == 0
                 && row.produced.per_s[2] == 1e9);
    free (frame);
}

//  T-104
static void
a_frame_cut_short_is_refused_wherever_it_is_cut (void **state)
{
    (void) state;
    static trn_dirframe_t frame;
    static test_packed_t packed;
    for (trn_dirframe_type_t type = TRN_DIR_REGISTER; type <= TRN_DIR_TAKEN;
         type++) {
        s_sample (&frame, type);
        s_pack (&packed, &frame);
        while (packed.size) {
            packed.size--;
            assert_int_equal (s_decode (&frame, &packed), TERN_EPROTO);
        }
    }
}

//  T-104
static void
a_missing_field_is_refused (void **state)
{
    (void) state;
    static trn_dirframe_t frame;
    static test_packed_t whole, packed;
    for (trn_dirframe_type_t type = TRN_DIR_REGISTER; type <= TRN_DIR_TAKEN;
         type++) {
        s_sample (&frame, type);
        s_pack (&whole, &frame);
        for (uint32_t keep = 0; keep < test_packed_count (&whole); keep++) {
            packed = whole;
            test_packed_resize (&packed, 0, keep, NULL, 0, 0);
            assert_int_equal (s_decode (&frame, &packed), TERN_EPROTO);
        }
    }
    //  An entry without its queues; a row without its last number.
    s_sample (&frame, TRN_DIR_REGISTER);
    s_pack (&packed, &frame);
    test_packed_resize (&packed, test_packed_at (&packed, 0, 4), 8, NULL, 0, 0);
    assert_int_equal (s_decode (&frame, &packed), TERN_EPROTO);
    s_sample (&frame, TRN_DIR_STATS);
    s_pack (&packed, &frame);
    const size_t rows = test_packed_at (&packed, 0, 3);
    test_packed_resize (&packed, test_packed_at (&packed, rows, 0), 21, NULL, 0,
                        0);
    assert_int_equal (s_decode (&frame, &packed), TERN_EPROTO);
}

//  T-102
static void
fields_of_a_later_version_are_ignored (void **state)
{
    (void) state;
    static trn_dirframe_t frame;
    static test_packed_t whole, packed;
    static const char later[] = "\x82\xa1k\x92\1\xc0\xa1l\xc4\1\xff\x2a";
    const size_t size = sizeof later - 1;
    for (trn_dirframe_type_t type = TRN_DIR_REGISTER; type <= TRN_DIR_TAKEN;
         type++) {
        s_sample (&frame, type);
        s_pack (&whole, &frame);
        packed = whole;
        test_packed_resize (&packed, 0, test_packed_count (&whole), later, size,
                            2);
        assert_int_equal (s_decode (&frame, &packed), 0);
        s_repack (&packed, &frame);
        assert_int_equal (packed.size, whole.size);
        assert_memory_equal (packed.bytes, whole.bytes, whole.size);
    }
    //  The same inside an entry and a row that are followed by something.
    s_sample (&frame, TRN_DIR_SNAPSHOT);
    s_pack (&packed, &frame);
    size_t list = test_packed_at (&packed, 0, 4);
    test_packed_resize (&packed, test_packed_at (&packed, list, 0), 9, later,
                        size, 2);
    assert_int_equal (s_decode (&frame, &packed), 0);
    static trn_entry_t entry;
    assert_true (trn_entries_next (&frame.snapshot.entries, &entry));
    assert_true (trn_text_is (entry.queues[1], "@orders-1"));

    s_sample (&frame, TRN_DIR_STATS);
    s_pack (&packed, &frame);
    list = test_packed_at (&packed, 0, 3);
    test_packed_resize (&packed, test_packed_at (&packed, list, 0), 26, later,
                        size, 2);
    assert_int_equal (s_decode (&frame, &packed), 0);
    tern_stats_t row;
    assert_true (trn_rows_next (&frame.stats.rows, &row));
    assert_int_equal (row.consumers, 3);
}

static void
a_binding_comes_back_field_by_field (void **state)
{
    (void) state;
    static trn_dirframe_t frame;
    static test_packed_t packed;
    s_sample (&frame, TRN_DIR_BINDINGS);
    s_pack (&packed, &frame);
    assert_int_equal (s_decode (&frame, &packed), 0);
    trn_binding_t sent, found;
    s_binding (&sent);
    assert_true (trn_binds_next (&frame.bindings.items, &found));
    assert_false (trn_binds_next (&frame.bindings.items, &found));
    assert_true (trn_text_is (found.exchange, "orders")
                 && trn_text_is (found.queue, "billing")
                 && trn_text_is (found.pattern, "")
                 && trn_text_is (found.alternate, "lost")
                 && trn_text_is (found.writer, "orders-1"));
    assert_int_equal (found.headers_size, sent.headers_size);
    assert_memory_equal (found.headers, sent.headers, sent.headers_size);
    assert_true (found.type == sent.type && found.any && found.removed
                 && found.from == sent.from && found.from_value == 7
                 && found.stamp_us == sent.stamp_us);
}

#define ANY UINT64_MAX
#define U32 UINT32_MAX
#define SEQ TRN_SEQ_MAX

//  Every number of every frame, with the range of the specification's tables.
static const struct {
    trn_dirframe_type_t type;
    test_path_t path;
    uint64_t min, max;
} s_numbers[] = {
    {TRN_DIR_REGISTER, {{1, -1}}, 1, 5},
    {TRN_DIR_REGISTER, {{2, -1}}, 2, U32},
    {TRN_DIR_REGISTER, {{3, -1}}, 1, TRN_LEASE_MAX_MS},
    {TRN_DIR_REGISTER, {{4, 2, -1}}, 0, ANY},
    {TRN_DIR_REGISTER, {{4, 3, -1}}, 0, ANY},
    {TRN_DIR_REGISTER, {{4, 4, -1}}, 0, SEQ},
    {TRN_DIR_REGISTER, {{4, 5, -1}}, 0, ANY},
    {TRN_DIR_REGISTER, {{4, 6, -1}}, 0, SEQ},
    {TRN_DIR_REGISTERED, {{1, -1}}, 1, ANY},
    {TRN_DIR_REGISTERED, {{2, -1}}, 0, SEQ},
    {TRN_DIR_REGISTERED, {{3, -1}}, 0, SEQ},
    {TRN_DIR_REGISTERED, {{4, -1}}, TRN_LEASE_MIN_MS, TRN_LEASE_MAX_MS},
    {TRN_DIR_REGISTERED, {{5, -1}}, 0, ANY},
    {TRN_DIR_REFRESH, {{3, -1}}, 0, ANY},
    {TRN_DIR_REFRESH, {{4, -1}}, 0, SEQ},
    {TRN_DIR_REFRESH, {{5, -1}}, 0, U32},
    {TRN_DIR_REFUSED, {{1, -1}}, 1, 255},
    {TRN_DIR_GOODBYE, {{3, -1}}, 0, ANY},
    {TRN_DIR_WATCH, {{1, -1}}, 1, 5},
    {TRN_DIR_WATCH, {{2, -1}}, 2, U32},
    {TRN_DIR_WATCH, {{3, -1}}, 0, ANY},
    {TRN_DIR_WATCH, {{4, -1}}, 0, SEQ},
    {TRN_DIR_WATCH, {{5, -1}}, 0, ANY},
    {TRN_DIR_SNAPSHOT, {{1, -1}}, 1, ANY},
    {TRN_DIR_SNAPSHOT, {{2, -1}}, 0, SEQ},
    {TRN_DIR_SNAPSHOT, {{3, -1}}, 0, U32},
    {TRN_DIR_DELTA, {{1, -1}}, 1, ANY},
    {TRN_DIR_DELTA, {{2, -1}}, 1, SEQ},
    {TRN_DIR_QUERY, {{1, -1}}, 0, ANY},
    {TRN_DIR_STATS, {{1, -1}}, 0, ANY},
    {TRN_DIR_STATS, {{2, -1}}, 0, U32},
    {TRN_DIR_STATS, {{3, 0, 2}}, 1, 2},
    {TRN_DIR_STATS, {{3, 0, 7}}, 0, ANY},
    {TRN_DIR_STATS, {{3, 0, 20}}, 0, ANY},
    {TRN_DIR_STATS, {{3, 0, 21}}, 0, U32},
    {TRN_DIR_PING, {{1, -1}}, 0, ANY},
    {TRN_DIR_PONG, {{1, -1}}, 0, ANY},
    {TRN_DIR_PONG, {{2, -1}}, 1, ANY},
    {TRN_DIR_PONG, {{3, -1}}, 0, SEQ},
    {TRN_DIR_PONG, {{4, -1}}, 0, ANY},
    {TRN_DIR_BINDINGS, {{1, -1}}, 0, ANY},
    {TRN_DIR_BINDINGS, {{2, -1}}, 0, U32},
    {TRN_DIR_BINDINGS, {{3, 0, 6}}, 2, 3},
    {TRN_DIR_BINDINGS, {{3, 0, 7}}, 0, SEQ},
    {TRN_DIR_BINDINGS, {{3, 0, 9}}, 1, TRN_STAMP_MAX},
    {TRN_DIR_DIGESTS, {{1, -1}}, 0, ANY},
    {TRN_DIR_TAKEN, {{1, -1}}, 0, ANY},
};

static int
s_with_number (trn_dirframe_type_t type, test_path_t path, uint64_t number)
{
    static trn_dirframe_t frame;
    static test_packed_t packed;
    s_sample (&frame, type);
    s_pack (&packed, &frame);
    test_packed_number (&packed, path, number);
    return s_decode (&frame, &packed);
}

static int
s_with_value (trn_dirframe_type_t type, test_path_t path, const void *value,
              size_t size)
{
    static trn_dirframe_t frame;
    static test_packed_t packed;
    s_sample (&frame, type);
    s_pack (&packed, &frame);
    test_packed_replace (&packed, path, value, size);
    return s_decode (&frame, &packed);
}

//  T-101
static void
every_number_is_accepted_at_its_limits_and_refused_beyond (void **state)
{
    (void) state;
    for (size_t at = 0; at < sizeof s_numbers / sizeof *s_numbers; at++) {
        const trn_dirframe_type_t type = s_numbers[at].type;
        const test_path_t path = s_numbers[at].path;
        const uint64_t min = s_numbers[at].min;
        const uint64_t max = s_numbers[at].max;
        assert_int_equal (s_with_number (type, path, min), 0);
        assert_int_equal (s_with_number (type, path, max), 0);
        if (min) {
            assert_int_equal (s_with_number (type, path, min - 1), TERN_EPROTO);
        }
        if (max < ANY) {
            assert_int_equal (s_with_number (type, path, max + 1), TERN_EPROTO);
        }
        assert_int_equal (s_with_value (type, path, "\xff", 1), TERN_EPROTO);
        assert_int_equal (s_with_value (type, path, "\xa1x", 2), TERN_EPROTO);
        assert_int_equal (s_with_value (type, path, "\xc3", 1), TERN_EPROTO);
        assert_int_equal (s_with_value (type, path, "\x90", 1), TERN_EPROTO);
    }
}

static int
s_with_text (trn_dirframe_type_t type, test_path_t path, const char *text,
             size_t size)
{
    static uint8_t bytes[1024];
    trn_packer_t out;
    trn_packer_start (&out, bytes, sizeof bytes);
    trn_pack_text (&out, (trn_text_t) {text, size});
    return s_with_value (type, path, bytes, out.used);
}

//  T-1, T-2, T-3
static void
texts_follow_their_grammar_and_limits (void **state)
{
    (void) state;
    char text[TRN_TEXT_MAX + 2];
    memset (text, 'a', sizeof text);
    const struct {
        trn_dirframe_type_t type;
        test_path_t path;
        bool queue;
    } names[] = {{TRN_DIR_REGISTER, {{4, 0, -1}}, false},
                 {TRN_DIR_REGISTER, {{4, 8, 1}}, true},
                 {TRN_DIR_REFRESH, {{1, -1}}, false},
                 {TRN_DIR_REFRESH, {{6, 0, 0}}, false},
                 {TRN_DIR_REFRESH, {{6, 0, 1}}, true},
                 {TRN_DIR_GOODBYE, {{1, -1}}, false},
                 {TRN_DIR_SNAPSHOT, {{4, 0, 0}}, false},
                 {TRN_DIR_DELTA, {{4, 0, -1}}, false},
                 {TRN_DIR_BINDINGS, {{3, 0, 0}}, false},
                 {TRN_DIR_BINDINGS, {{3, 0, 2}}, true},
                 {TRN_DIR_BINDINGS, {{3, 0, 10}}, false},
                 {TRN_DIR_QUERY, {{2, -1}}, true},
                 {TRN_DIR_QUERY, {{3, -1}}, true}};
    for (size_t at = 0; at < sizeof names / sizeof *names; at++) {
        const trn_dirframe_type_t type = names[at].type;
        const test_path_t path = names[at].path;
        const size_t max = TRN_NAME_MAX + (names[at].queue ? 1 : 0);
        assert_int_equal (s_with_text (type, path, text, TRN_NAME_MAX), 0);
        assert_int_equal (s_with_text (type, path, text, max + 1),
                          TERN_ETOOBIG);
        assert_int_equal (s_with_text (type, path, "", 0),
                          type == TRN_DIR_QUERY ? 0 : TERN_EPROTO);
        assert_int_equal (s_with_text (type, path, "No", 2), TERN_EPROTO);
        assert_int_equal (s_with_text (type, path, "@a", 2),
                          names[at].queue ? 0 : TERN_EPROTO);
    }
    const test_path_t endpoint = {{4, 7, 0}};
    memcpy (text, "tcp://", 6);
    assert_int_equal (
        s_with_text (TRN_DIR_REGISTER, endpoint, text, TRN_ENDPOINT_MAX), 0);
    assert_int_equal (
        s_with_text (TRN_DIR_REGISTER, endpoint, text, TRN_ENDPOINT_MAX + 1),
        TERN_ETOOBIG);
    assert_int_equal (s_with_text (TRN_DIR_REGISTER, endpoint, "udp://x", 7),
                      TERN_EPROTO);
    const test_path_t words = {{2, -1}};
    assert_int_equal (s_with_text (TRN_DIR_REFUSED, words, text, 255), 0);
    assert_int_equal (s_with_text (TRN_DIR_REFUSED, words, text, 256),
                      TERN_ETOOBIG);
}

//  T-142
static void
the_largest_entry_fits_one_page_of_each_kind (void **state)
{
    (void) state;
    static trn_dirframe_t frame;
    static test_packed_t packed;
    static char endpoint[TRN_ENDPOINT_MAX], queue[TRN_NAME_MAX + 1];
    memset (endpoint, 'a', sizeof endpoint);
    memcpy (endpoint, "tcp://", 6);
    memset (queue, 'q', sizeof queue);
    queue[0] = '@';
    s_sample (&frame, TRN_DIR_REGISTER);
    trn_entry_t *entry = &frame.enrol.entry;
    entry->name = (trn_text_t) {queue + 1, TRN_NAME_MAX};
    entry->incarnation = entry->random = entry->features = UINT64_MAX;
    entry->version = entry->heard_ms = TRN_SEQ_MAX;
    entry->endpoint_count = TRN_ENDPOINTS_MAX;
    entry->queue_count = TRN_QUEUES_MAX;
    for (uint32_t at = 0; at < TRN_QUEUES_MAX; at++) {
        entry->endpoints[at % TRN_ENDPOINTS_MAX]
            = (trn_text_t) {endpoint, sizeof endpoint};
        entry->queues[at] = (trn_text_t) {queue, sizeof queue};
    }
    s_pack (&packed, &frame);
    assert_true (packed.size < TRN_DIRECTORY_FRAME_MAX);
    assert_int_equal (s_again (&packed), 0);

    //  One more of either is over the limit.
    static test_packed_t more;
    static char item[260];
    item[0] = (char) 0xd9;
    item[1] = (char) 0xff;
    memcpy (item + 2, endpoint, sizeof endpoint);
    more = packed;
    const size_t at = test_packed_at (&more, 0, 4);
    test_packed_resize (&more, test_packed_at (&more, at, 7), TRN_ENDPOINTS_MAX,
                        item, 2 + sizeof endpoint, 1);
    assert_int_equal (s_decode (&frame, &more), TERN_ETOOBIG);
    more = packed;
    test_packed_resize (&more, test_packed_at (&more, at, 8), TRN_QUEUES_MAX,
                        "\xa1q", 2, 1);
    assert_int_equal (s_decode (&frame, &more), TERN_ETOOBIG);
}

//  T-142
static void
a_long_list_goes_over_several_full_pages (void **state)
{
    (void) state;
    static trn_dirframe_t frame;
    static uint8_t bytes[TRN_DIRECTORY_FRAME_MAX];
    tern_stats_t row;
    s_row (&row);
    uint64_t sent = 0;
    uint64_t seen = 0;
    const uint64_t all = 2000;
    uint64_t pages = 0;
    for (bool last = false; !last; pages++) {
        s_sample (&frame, TRN_DIR_STATS);
        frame.stats.page = pages;
        trn_dirpage_t page;
        trn_dirpage_begin (&page, &frame, bytes, sizeof bytes);
        while (sent < all) {
            row.depth = sent;
            if (!trn_dirpage_add_row (&page, &row)) {
                break;
            }
            sent++;
        }
        last = sent == all;
        const size_t size = trn_dirpage_end (&page, last);
        assert_true (size <= sizeof bytes);
        assert_true (last || size > sizeof bytes - 500);
        assert_int_equal (trn_dirframe_decode (&frame, bytes, size), 0);
        assert_true (frame.stats.page == pages && frame.stats.last == last);
        tern_stats_t found;
        while (trn_rows_next (&frame.stats.rows, &found)) {
            assert_true (found.depth == seen++);
        }
    }
    assert_true (seen == all && pages > 3);
}

static void
an_item_that_does_not_fit_leaves_the_page_as_it_was (void **state)
{
    (void) state;
    static trn_dirframe_t frame;
    static uint8_t bytes[512];
    trn_entry_t entry;
    s_entry (&entry);
    for (size_t capacity = 64; capacity < sizeof bytes; capacity++) {
        s_sample (&frame, TRN_DIR_SNAPSHOT);
        trn_dirpage_t page;
        trn_dirpage_begin (&page, &frame, bytes, capacity);
        uint32_t added = 0;
        while (trn_dirpage_add_entry (&page, &entry)) {
            added++;
        }
        assert_false (trn_dirpage_add_entry (&page, &entry));
        const size_t size = trn_dirpage_end (&page, true);
        assert_true (size <= capacity);
        assert_int_equal (trn_dirframe_decode (&frame, bytes, size), 0);
        assert_int_equal (frame.snapshot.entries.left, added);
    }
}

//  T-103
static void
an_unknown_type_is_told_from_nonsense (void **state)
{
    (void) state;
    const test_path_t type = {{0, -1}};
    const uint64_t unknown[] = {1, 14, 32, 48, 200, U32};
    for (size_t at = 0; at < 6; at++) {
        assert_int_equal (s_with_number (TRN_DIR_PING, type, unknown[at]),
                          TERN_EVERSION);
    }
    assert_int_equal (s_with_number (TRN_DIR_PING, type, 0), TERN_EPROTO);
    static trn_dirframe_t frame;
    assert_int_equal (trn_dirframe_decode (&frame, NULL, 0), TERN_EPROTO);
    static uint8_t bytes[TRN_DIRECTORY_FRAME_MAX + 1];
    assert_int_equal (trn_dirframe_decode (&frame, bytes, sizeof bytes),
                      TERN_ETOOBIG);
}

static void
damaged_frames_give_a_listed_answer_and_survive_the_round_trip (void **state)
{
    (void) state;
    test_random_t random = test_random_start ();
    static trn_dirframe_t frame;
    static test_packed_t packed, again;
    for (int round = 0; round < 60000; round++) {
        const uint64_t type = 33 + test_random_below (&random, 15);
        s_sample (&frame, (trn_dirframe_type_t) type);
        s_pack (&packed, &frame);
        for (uint64_t hits = 1 + test_random_below (&random, 3); hits; hits--) {
            packed.bytes[test_random_below (&random, packed.size)]
                = (uint8_t) test_random (&random);
        }
        const int rc = s_decode (&frame, &packed);
        assert_true (rc == 0 || rc == TERN_EPROTO || rc == TERN_ETOOBIG
                     || rc == TERN_EVERSION);
        if (rc == 0) {
            s_repack (&again, &frame);
            assert_int_equal (s_again (&again), 0);
        }
    }
}

static void
every_type_has_a_name_and_no_other_number_has (void **state)
{
    (void) state;
    assert_string_equal (trn_dirframe_name (TRN_DIR_REGISTER), "REGISTER");
    assert_string_equal (trn_dirframe_name (TRN_DIR_SNAPSHOT), "SNAPSHOT");
    assert_string_equal (trn_dirframe_name (TRN_DIR_PONG), "PONG");
    assert_string_equal (trn_dirframe_name ((trn_dirframe_type_t) 32), "?");
    assert_string_equal (trn_dirframe_name (TRN_DIR_TAKEN), "TAKEN");
    assert_string_equal (trn_dirframe_name ((trn_dirframe_type_t) 48), "?");
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (every_frame_comes_back),
        cmocka_unit_test (an_entry_comes_back_field_by_field),
        cmocka_unit_test (a_row_comes_back_field_by_field),
        cmocka_unit_test (a_row_without_its_later_numbers_has_zeros),
        cmocka_unit_test (a_binding_comes_back_field_by_field),
        cmocka_unit_test (a_rate_that_is_no_number_or_no_rate_is_tamed),
        cmocka_unit_test (a_frame_cut_short_is_refused_wherever_it_is_cut),
        cmocka_unit_test (a_missing_field_is_refused),
        cmocka_unit_test (fields_of_a_later_version_are_ignored),
        cmocka_unit_test (
            every_number_is_accepted_at_its_limits_and_refused_beyond),
        cmocka_unit_test (texts_follow_their_grammar_and_limits),
        cmocka_unit_test (the_largest_entry_fits_one_page_of_each_kind),
        cmocka_unit_test (a_long_list_goes_over_several_full_pages),
        cmocka_unit_test (an_item_that_does_not_fit_leaves_the_page_as_it_was),
        cmocka_unit_test (an_unknown_type_is_told_from_nonsense),
        cmocka_unit_test (
            damaged_frames_give_a_listed_answer_and_survive_the_round_trip),
        cmocka_unit_test (every_type_has_a_name_and_no_other_number_has),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name ("wire/dirframe", tests, NULL, NULL);
}
