//  tests/unit/test_store_inspect.c - looking into stores, and salvaging one
//
//  Rule L9.
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/inspect.h"
#include "store/store.h"
#include "support/disk_memory.h"
#include "wire/props.h"

#include <tern/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    MESSAGES = 50
};

static trn_outbox_t *
s_outbox (trn_store_t *store, const char *name)
{
    const trn_log_config_t config = {.segment_min = 0};
    trn_outbox_t *outbox = NULL;
    uint8_t *state = NULL;
    size_t size = 0;
    assert_int_equal (trn_store_outbox (store, name, &config, &outbox, &state,
                                        &size, NULL, NULL, 0),
                      0);
    free (state);
    return outbox;
}

//  MESSAGES messages "text <n>" with a key, in outbox hello; left open.
static trn_store_t *
s_store (trn_disk_t *disk, trn_outbox_t **outbox_p)
{
    const trn_store_config_t config
        = {.disk = disk, .path = "data", .name = "orders-1"};
    trn_store_t *store = NULL;
    assert_int_equal (trn_store_open (&store, &config, NULL, NULL, 0), 0);
    *outbox_p = s_outbox (store, "hello");
    uint64_t seq = 0;
    for (unsigned i = 1; i <= MESSAGES; i++) {
        char text[200] = "";
        snprintf (text, sizeof text, "text %u", i);
        trn_record_t record = {.body = (const uint8_t *) text,
                               .body_size = sizeof text,
                               .stamp_us = 1000 + i,
                               .key = (const uint8_t *) "a.b",
                               .key_size = 3};
        assert_int_equal (trn_outbox_append (*outbox_p, &record, -1, &seq), 0);
    }
    trn_outbox_store (*outbox_p);
    assert_int_equal (trn_outbox_wait (*outbox_p, seq, true, -1), 0);
    return store;
}

static tern_store_t *
s_look (trn_disk_t *disk, const char *path)
{
    tern_store_t *seen = NULL;
    char why[128] = "";
    const int rc = trn_inspect_open (&seen, disk, path, why, sizeof why);
    if (rc < 0) {
        fail_msg ("%s", why);
    }
    return seen;
}

//  Path of the only outbox's first segment.
static void
s_segment_path (trn_disk_t *disk, char path[128])
{
    tern_store_t *seen = s_look (disk, "data");
    snprintf (path, 128, "data/outbox/%s/seg-0000000000000001",
              seen->boxes[0].entry);
    tern_store_close (&seen);
}

typedef struct {
    unsigned count;
    unsigned stop_at;
    uint64_t first;
    uint64_t last;
} s_seen_t;

static int
s_see (void *arg, const tern_store_message_t *message)
{
    s_seen_t *const seen = arg;
    char expected[32];
    assert_int_equal (message->key_size, 3);
    assert_memory_equal (message->key, "a.b", 3);
    snprintf (expected, sizeof expected, "text %u",
              (unsigned) (message->time_us - 1000));
    assert_string_equal ((const char *) message->body, expected);
    if (seen->count++ == 0) {
        seen->first = message->seq;
    }
    seen->last = message->seq;
    return seen->count == seen->stop_at ? 7 : 0;
}

static void
test_a_store_in_use_can_be_looked_into (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    trn_outbox_t *outbox = NULL;
    trn_store_t *store = s_store (disk, &outbox);
    tern_store_t *seen = s_look (disk, "data");
    assert_string_equal (tern_store_name (seen), "orders-1");
    assert_int_equal (strlen (tern_store_uuid (seen)), 36);
    assert_int_equal (tern_store_incarnation (seen), 1);
    assert_string_equal (tern_store_outbox_at (seen, 0), "hello");
    assert_null (tern_store_outbox_at (seen, 1));
    tern_outbox_info_t info;
    assert_int_equal (tern_store_verify (seen, "hello", &info), 0);
    assert_int_equal (info.health, TERN_OUTBOX_OPEN);
    assert_int_equal (info.messages, MESSAGES);
    assert_int_equal (info.waiting, MESSAGES);
    assert_int_equal (info.first_seq, 1);
    assert_int_equal (info.high, MESSAGES);
    assert_int_equal (tern_store_verify (seen, "other", &info), TERN_ENOENT);
    tern_store_close (&seen);

    trn_outbox_save (outbox, NULL, 0, 11, 1);
    assert_int_equal (trn_store_close (&store), 0);
    seen = s_look (disk, "data");
    assert_int_equal (tern_store_verify (seen, "hello", &info), 0);
    assert_int_equal (info.health, TERN_OUTBOX_CLEAN);
    assert_int_equal (info.low, 11);
    assert_int_equal (info.waiting, MESSAGES - 10);
    tern_store_close (&seen);
    trn_disk_memory_destroy (&disk);
}

static void
test_peek_shows_from_a_seq_until_told_to_stop (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    trn_outbox_t *outbox = NULL;
    trn_store_t *store = s_store (disk, &outbox);
    tern_store_t *seen = s_look (disk, "data");
    s_seen_t all = {.count = 0};
    assert_int_equal (tern_store_peek (seen, "hello", 0, s_see, &all), 0);
    assert_int_equal (all.count, MESSAGES);
    s_seen_t some = {.stop_at = 4};
    assert_int_equal (tern_store_peek (seen, "hello", 20, s_see, &some), 7);
    assert_int_equal (some.first, 20);
    assert_int_equal (some.last, 23);
    tern_store_close (&seen);
    assert_int_equal (trn_store_close (&store), 0);
    trn_disk_memory_destroy (&disk);
}

//  A routed message, a delayed one and a plain one, in an exchange's outbox.
static void
s_fill_exchange (trn_store_t *store)
{
    trn_outbox_t *outbox = s_outbox (store, "#prices");
    uint64_t seq = 0;
    for (unsigned i = 1; i <= 3; i++) {
        trn_propset_t props = {.bytes = NULL};
        assert_int_equal (
            trn_propset_text (&props, trn_text ("lang"), trn_text ("c")), 0);
        assert_int_equal (
            trn_propset_number (&props, trn_text ("tern.due"), (int64_t) i), 0);
        if (i == 3) {
            assert_int_equal (trn_propset_text (&props,
                                                trn_text ("tern.dead.reason"),
                                                trn_text ("spent")),
                              0);
        }
        trn_record_t record = {.flags = i < 3 ? TRN_RECORD_RULED : 0,
                               .stamp_us = i,
                               .body = (const uint8_t *) "x",
                               .body_size = 1};
        size_t size = 0;
        record.props = trn_propset_map (&props, &size);
        record.props_size = (uint16_t) size;
        assert_int_equal (trn_outbox_append (outbox, &record, -1, &seq), 0);
        trn_propset_clear (&props);
    }
    trn_outbox_store (outbox);
    assert_int_equal (trn_outbox_wait (outbox, seq, true, -1), 0);
}

static int
s_expect_header (void *arg, const tern_store_message_t *message)
{
    unsigned *const count = arg;
    const char *name = NULL;
    const char *value = NULL;
    size_t name_size = 0;
    size_t value_size = 0;
    assert_true (tern_store_header_at (message, 0, &name, &name_size, &value,
                                       &value_size));
    assert_int_equal (name_size, 4);
    assert_memory_equal (name, "lang", 4);
    //  Tern's own is no header, but for what a dead letter says.
    assert_int_equal (tern_store_header_at (message, 1, &name, &name_size,
                                            &value, &value_size),
                      message->seq == 3);
    if (message->seq == 3) {
        assert_memory_equal (value, "spent", value_size);
    }
    (*count)++;
    return 0;
}

static void
s_count_ruled (void *arg, const trn_record_t *record)
{
    trn_props_t props;
    trn_prop_t prop;
    assert_int_equal (
        trn_props_open (&props, record->props, record->props_size), 0);
    assert_true (trn_props_find (&props, trn_text ("tern.due"), &prop));
    assert_int_equal (prop.number, record->stamp_us);
    (*(unsigned *) arg)++;
}

static int
s_salvage (tern_store_t *seen, trn_disk_t *disk, const char *path,
           tern_salvage_t *result)
{
    char why[128];
    const trn_salvage_to_t to = {.disk = disk, .path = path};
    return trn_inspect_salvage (seen, &to, result, why, sizeof why);
}

static void
test_rules_and_exchanges_survive_looking_and_salvage (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    const trn_store_config_t config
        = {.disk = disk, .path = "data", .name = "orders-1"};
    trn_store_t *store = NULL;
    assert_int_equal (trn_store_open (&store, &config, NULL, NULL, 0), 0);
    s_fill_exchange (store);
    trn_store_abandon (&store);

    tern_store_t *seen = s_look (disk, "data");
    assert_string_equal (tern_store_outbox_at (seen, 0), "#prices");
    tern_outbox_info_t info;
    assert_int_equal (tern_store_verify (seen, "#prices", &info), 0);
    assert_int_equal (info.messages, 3);
    unsigned count = 0;
    assert_int_equal (
        tern_store_peek (seen, "#prices", 1, s_expect_header, &count), 0);
    assert_int_equal (count, 3);
    tern_salvage_t result;
    assert_int_equal (s_salvage (seen, disk, "saved", &result), 0);
    assert_int_equal (result.messages, 3);
    tern_store_close (&seen);

    const trn_store_config_t saved
        = {.disk = disk, .path = "saved", .name = "orders-1"};
    assert_int_equal (trn_store_open (&store, &saved, NULL, NULL, 0), 0);
    unsigned ruled = 0;
    const trn_log_config_t log
        = {.on_ruled = s_count_ruled, .on_ruled_arg = &ruled};
    trn_outbox_t *outbox = NULL;
    uint8_t *blob = NULL;
    size_t size = 0;
    assert_int_equal (trn_store_outbox (store, "#prices", &log, &outbox, &blob,
                                        &size, NULL, NULL, 0),
                      0);
    assert_int_equal (ruled, 2);
    free (blob);
    assert_int_equal (trn_store_close (&store), 0);
    trn_disk_memory_destroy (&disk);
}

static void
test_torn_and_corrupt_are_told_apart_and_nothing_is_changed (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    trn_outbox_t *outbox = NULL;
    trn_store_t *store = s_store (disk, &outbox);
    trn_store_abandon (&store);
    trn_disk_memory_kill (disk);
    char path[128];
    s_segment_path (disk, path);
    const int64_t record = 40 + 3 + 200 + 5;
    const uint8_t junk[] = {1, 2, 3};
    trn_disk_memory_poke (disk, path, junk, sizeof junk,
                          128 + MESSAGES * record + 16);
    tern_store_t *seen = s_look (disk, "data");
    tern_outbox_info_t info;
    assert_int_equal (tern_store_verify (seen, "hello", &info), 0);
    assert_int_equal (info.health, TERN_OUTBOX_TORN);
    assert_int_equal (info.torn_bytes, 19);
    s_seen_t all = {.count = 0};
    assert_int_equal (tern_store_peek (seen, "hello", 0, s_see, &all), 0);
    assert_int_equal (all.count, MESSAGES);

    uint8_t body = 0;
    const int64_t damaged = 128 + 9 * record;
    trn_disk_memory_peek (disk, path, &body, 1, damaged + 100);
    body ^= 1;
    trn_disk_memory_poke (disk, path, &body, 1, damaged + 100);
    assert_int_equal (tern_store_verify (seen, "hello", &info), 0);
    assert_int_equal (info.health, TERN_OUTBOX_CORRUPT);
    assert_int_equal (info.segment, 1);
    assert_int_equal (info.offset, damaged);
    assert_int_equal (info.last_good_seq, 9);
    assert_string_equal (info.problem, "damage");
    all = (s_seen_t) {.count = 0};
    assert_int_equal (tern_store_peek (seen, "hello", 0, s_see, &all),
                      TERN_ECORRUPT);
    assert_int_equal (all.count, 9);
    uint8_t still = 0;
    trn_disk_memory_peek (disk, path, &still, 1, damaged + 100);
    assert_int_equal (still, body);
    tern_store_close (&seen);
    trn_disk_memory_destroy (&disk);
}

static void
test_salvage_copies_what_is_good_on_both_sides_of_damage (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    trn_outbox_t *outbox = NULL;
    trn_store_t *store = s_store (disk, &outbox);
    trn_outbox_save (outbox, NULL, 0, 3, 1);
    assert_int_equal (trn_store_close (&store), 0);
    char path[128];
    s_segment_path (disk, path);
    const int64_t record = 40 + 3 + 200 + 5;
    uint8_t zeros[300] = {0};
    trn_disk_memory_poke (disk, path, zeros, sizeof zeros,
                          128 + 20 * record + 10);

    tern_store_t *seen = s_look (disk, "data");
    tern_salvage_t result;
    assert_int_equal (s_salvage (seen, disk, "data", &result), TERN_EINUSE);
    assert_int_equal (s_salvage (seen, disk, "new", &result), 0);
    //  Records 21 and 22 are hit; 1 and 2 were settled.
    assert_int_equal (result.outboxes, 1);
    assert_int_equal (result.messages, MESSAGES - 4);
    assert_int_equal (result.damaged, 1);
    assert_int_equal (result.missing, 2);

    tern_store_t *fresh = s_look (disk, "new");
    assert_string_equal (tern_store_name (fresh), "orders-1");
    assert_string_not_equal (tern_store_uuid (fresh), tern_store_uuid (seen));
    tern_outbox_info_t info;
    assert_int_equal (tern_store_verify (fresh, "hello", &info), 0);
    assert_int_equal (info.health, TERN_OUTBOX_CLEAN);
    assert_int_equal (info.messages, MESSAGES - 4);
    s_seen_t all = {.count = 0};
    assert_int_equal (tern_store_peek (fresh, "hello", 0, s_see, &all), 0);
    assert_int_equal (all.count, MESSAGES - 4);
    tern_store_close (&fresh);
    tern_store_close (&seen);
    trn_disk_memory_destroy (&disk);
}

static void
test_no_store_is_said_to_be_none (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    tern_store_t *seen = NULL;
    char why[128] = "";
    assert_int_equal (
        trn_inspect_open (&seen, disk, "nowhere", why, sizeof why),
        TERN_ENOENT);
    assert_null (seen);
    assert_true (why[0] != 0);
    assert_int_equal (tern_store_open (&seen, "/nonexistent/tern", NULL, 0),
                      TERN_ENOENT);
    tern_store_close (&seen);
    trn_disk_memory_destroy (&disk);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_a_store_in_use_can_be_looked_into),
        cmocka_unit_test (test_peek_shows_from_a_seq_until_told_to_stop),
        cmocka_unit_test (test_rules_and_exchanges_survive_looking_and_salvage),
        cmocka_unit_test (
            test_torn_and_corrupt_are_told_apart_and_nothing_is_changed),
        cmocka_unit_test (
            test_salvage_copies_what_is_good_on_both_sides_of_damage),
        cmocka_unit_test (test_no_store_is_said_to_be_none),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
