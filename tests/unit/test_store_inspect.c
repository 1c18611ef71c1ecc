//  tests/unit/test_store_inspect.c - looking into stores, and salvaging one
//
//  Rule L9.
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/inspect.h"

#include "base/bytes.h"
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
    //  Whatever was done with the store: they keep their numbers.
    assert_int_equal (message->seq, message->time_us - 1000);
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
static trn_outbox_t *
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
    return outbox;
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

//  What salvage could not keep.
typedef struct {
    unsigned count;
    tern_loss_kind_t kind;
    char outbox[80];
    char file[24];
    uint64_t messages;
} s_losses_t;

static void
s_note_loss (void *arg, const tern_loss_t *loss)
{
    s_losses_t *const losses = arg;
    losses->count++;
    losses->kind = loss->kind;
    losses->messages = loss->messages;
    snprintf (losses->outbox, sizeof losses->outbox, "%s", loss->outbox);
    snprintf (losses->file, sizeof losses->file, "%s",
              loss->file ? loss->file : "");
}

static s_losses_t s_losses;

static int
s_salvage (tern_store_t *seen, trn_disk_t *disk, const char *path,
           tern_salvage_t *result)
{
    char why[128];
    s_losses = (s_losses_t) {.count = 0};
    const trn_salvage_to_t to
        = {.disk = disk, .path = path, .fn = s_note_loss, .arg = &s_losses};
    return trn_inspect_salvage (seen, &to, result, why, sizeof why);
}

//  From data into saved.
static tern_salvage_t
s_rescue (trn_disk_t *disk)
{
    tern_store_t *seen = s_look (disk, "data");
    tern_salvage_t result;
    assert_int_equal (s_salvage (seen, disk, "saved", &result), 0);
    tern_store_close (&seen);
    return result;
}

//  An outbox of the store that was saved, as its owner finds it.
typedef struct {
    trn_store_t *store;
    trn_outbox_t *outbox;
    trn_log_report_t report;
    uint8_t *state;
    size_t size;
} s_owned_t;

static s_owned_t
s_own (trn_disk_t *disk, const char *name)
{
    s_owned_t owned = {.store = NULL};
    const trn_store_config_t config
        = {.disk = disk, .path = "saved", .name = "orders-1"};
    const trn_log_config_t log = {.segment_min = 0};
    assert_int_equal (trn_store_open (&owned.store, &config, NULL, NULL, 0), 0);
    assert_int_equal (trn_store_outbox (owned.store, name, &log, &owned.outbox,
                                        &owned.state, &owned.size,
                                        &owned.report, NULL, 0),
                      0);
    return owned;
}

static uint64_t
s_publish (s_owned_t *owned)
{
    uint64_t seq = 0;
    trn_record_t record = {.body = (const uint8_t *) "new", .body_size = 3};
    assert_int_equal (trn_outbox_append (owned->outbox, &record, -1, &seq), 0);
    return seq;
}

static void
s_disown (s_owned_t *owned)
{
    free (owned->state);
    trn_ranges_clear (&owned->report.gaps);
    assert_int_equal (trn_store_close (&owned->store), 0);
}

static void
s_outbox_path (trn_disk_t *disk, const char *file, char path[128])
{
    tern_store_t *seen = s_look (disk, "data");
    snprintf (path, 128, "data/outbox/%s/%s", seen->boxes[0].entry, file);
    tern_store_close (&seen);
}

//  A half of a cell is damaged: the newer, or both.
static void
s_damage_cell (trn_disk_t *disk, const char *file, int64_t half, bool both)
{
    char path[128];
    uint8_t generation[2][8];
    s_outbox_path (disk, file, path);
    trn_disk_memory_peek (disk, path, generation[0], 8, 24);
    trn_disk_memory_peek (disk, path, generation[1], 8, half + 24);
    const bool second
        = trn_get_u64 (generation[0]) < trn_get_u64 (generation[1]);
    for (int index = 0; index < 2; index++) {
        if (both || index == second) {
            const int64_t at = index * half + 41;
            uint8_t byte = 0;
            trn_disk_memory_peek (disk, path, &byte, 1, at);
            byte ^= 1;
            trn_disk_memory_poke (disk, path, &byte, 1, at);
        }
    }
}

static void
test_a_salvaged_outbox_keeps_seqs_and_state (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    trn_outbox_t *outbox = NULL;
    trn_store_t *store = s_store (disk, &outbox);
    const uint8_t blob[] = "what the owner knew of seqs";
    trn_outbox_save (outbox, blob, sizeof blob, 11, 1);
    assert_int_equal (trn_store_close (&store), 0);
    tern_salvage_t result = s_rescue (disk);
    assert_int_equal (result.messages, MESSAGES - 10);
    assert_int_equal (result.damaged, 0);
    assert_int_equal (s_losses.count, 0);

    tern_store_t *seen = s_look (disk, "saved");
    s_seen_t all = {.count = 0};
    assert_int_equal (tern_store_peek (seen, "hello", 0, s_see, &all), 0);
    assert_int_equal (all.first, 11);
    assert_int_equal (all.last, MESSAGES);
    tern_outbox_info_t info;
    assert_int_equal (tern_store_verify (seen, "hello", &info), 0);
    assert_int_equal (info.health, TERN_OUTBOX_CLEAN);
    assert_int_equal (info.low, 11);
    tern_store_close (&seen);

    s_owned_t owned = s_own (disk, "hello");
    assert_true (owned.report.clean);
    assert_int_equal (owned.report.high, MESSAGES);
    assert_int_equal (trn_ranges_total (&owned.report.gaps), 10);
    assert_int_equal (owned.size, sizeof blob);
    assert_memory_equal (owned.state, blob, sizeof blob);
    assert_int_equal (s_publish (&owned), MESSAGES + 1);
    s_disown (&owned);
    trn_disk_memory_destroy (&disk);
}

static void
test_what_was_settled_to_the_last_leaves_its_state (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    trn_outbox_t *outbox = NULL;
    trn_store_t *store = s_store (disk, &outbox);
    trn_outbox_save (outbox, (const uint8_t *) "all", 3, MESSAGES + 1, 1);
    assert_int_equal (trn_store_close (&store), 0);
    tern_salvage_t result = s_rescue (disk);
    assert_int_equal (result.messages, 0);
    s_owned_t owned = s_own (disk, "hello");
    assert_true (owned.report.clean);
    assert_memory_equal (owned.state, "all", 3);
    assert_int_equal (s_publish (&owned), MESSAGES + 1);
    s_disown (&owned);
    trn_disk_memory_destroy (&disk);
}

//  A state may call settled what its log has lost.
static void
test_a_seq_that_a_state_may_know_is_not_given_again (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    trn_outbox_t *outbox = NULL;
    trn_store_t *store = s_store (disk, &outbox);
    trn_outbox_save (outbox, (const uint8_t *) "x", 1, 3, 1);
    assert_int_equal (trn_store_close (&store), 0);
    char path[128];
    static const uint8_t zeros[64 * 1024];
    s_segment_path (disk, path);
    const int64_t record = 40 + 3 + 200 + 5;
    const int64_t from = 128 + 30 * record;
    trn_disk_memory_poke (disk, path, zeros,
                          (size_t) ((MESSAGES - 30) * record), from);
    tern_salvage_t result = s_rescue (disk);
    assert_int_equal (result.messages, 28);
    s_owned_t owned = s_own (disk, "hello");
    assert_int_equal (owned.report.high, MESSAGES);
    assert_int_equal (s_publish (&owned), MESSAGES + 1);
    s_disown (&owned);
    trn_disk_memory_destroy (&disk);
}

static void
test_what_was_in_doubt_stays_in_doubt (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    trn_outbox_t *outbox = NULL;
    trn_store_t *store = s_store (disk, &outbox);
    trn_outbox_save (outbox, (const uint8_t *) "x", 1, 11, 1);
    assert_int_equal (trn_outbox_wait_saved (outbox, 1, -1), 0);
    trn_store_abandon (&store);
    trn_disk_memory_kill (disk);
    tern_salvage_t result = s_rescue (disk);
    assert_int_equal (result.messages, MESSAGES - 10);

    s_owned_t owned = s_own (disk, "hello");
    assert_false (owned.report.clean);
    assert_int_equal (owned.size, 1);
    //  Seqs up to the reservation may have been seen.
    assert_true (s_publish (&owned) > TRN_LOG_RESERVE);
    s_disown (&owned);
    trn_disk_memory_destroy (&disk);
}

//  The newer half of META is damaged; the older says of a shorter log that it
//  was closed.
static void
test_a_meta_that_is_older_than_the_records_is_not_believed (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    trn_outbox_t *outbox = NULL;
    trn_store_t *store = s_store (disk, &outbox);
    trn_outbox_save (outbox, (const uint8_t *) "x", 1, 3, 1);
    assert_int_equal (trn_store_close (&store), 0);
    const trn_store_config_t config = {.disk = disk, .path = "data"};
    assert_int_equal (trn_store_open (&store, &config, NULL, NULL, 0), 0);
    outbox = s_outbox (store, "hello");
    trn_record_t more = {.stamp_us = 1000 + MESSAGES + 1,
                         .body = (const uint8_t *) "text 51",
                         .body_size = 8,
                         .key = (const uint8_t *) "a.b",
                         .key_size = 3};
    uint64_t seq = 0;
    assert_int_equal (trn_outbox_append (outbox, &more, -1, &seq), 0);
    assert_int_equal (trn_outbox_wait (outbox, seq, true, -1), 0);
    trn_store_abandon (&store);
    s_damage_cell (disk, TRN_LOG_META_FILE, trn_log_meta_half (), false);
    tern_store_t *seen = s_look (disk, "data");
    tern_outbox_info_t info;
    assert_int_equal (tern_store_verify (seen, "hello", &info), 0);
    assert_string_equal (info.problem, "META is older than the records");
    tern_store_close (&seen);

    tern_salvage_t result = s_rescue (disk);
    assert_int_equal (result.messages, MESSAGES - 2 + 1);
    s_owned_t owned = s_own (disk, "hello");
    assert_false (owned.report.clean);
    assert_true (s_publish (&owned) > TRN_LOG_RESERVE + MESSAGES + 1);
    s_disown (&owned);
    trn_disk_memory_destroy (&disk);
}

static void
test_without_its_state_nothing_is_settled (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    trn_outbox_t *outbox = NULL;
    trn_store_t *store = s_store (disk, &outbox);
    trn_outbox_save (outbox, (const uint8_t *) "x", 1, 11, 1);
    assert_int_equal (trn_store_close (&store), 0);
    s_damage_cell (disk, TRN_LOG_STATE_FILE, trn_log_state_half (), true);
    tern_salvage_t result = s_rescue (disk);
    assert_int_equal (result.messages, MESSAGES);
    assert_int_equal (result.damaged, 1);
    //  Of one queue: nobody needs to say which.
    assert_int_equal (result.queues_lost, 0);
    assert_int_equal (s_losses.count, 0);
    s_owned_t owned = s_own (disk, "hello");
    assert_false (owned.report.clean);
    assert_int_equal (owned.size, 0);
    assert_true (s_publish (&owned) > MESSAGES);
    s_disown (&owned);
    trn_disk_memory_destroy (&disk);
}

static trn_store_t *
s_exchange_store (trn_disk_t *disk, trn_outbox_t **outbox_p)
{
    const trn_store_config_t config
        = {.disk = disk, .path = "data", .name = "orders-1"};
    trn_store_t *store = NULL;
    assert_int_equal (trn_store_open (&store, &config, NULL, NULL, 0), 0);
    *outbox_p = s_fill_exchange (store);
    return store;
}

static void
test_an_exchange_without_its_state_has_lost_its_queues (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    trn_outbox_t *outbox = NULL;
    trn_store_t *store = s_exchange_store (disk, &outbox);
    trn_store_abandon (&store);
    s_damage_cell (disk, TRN_LOG_STATE_FILE, trn_log_state_half (), true);
    tern_salvage_t result = s_rescue (disk);
    assert_int_equal (result.messages, 3);
    assert_int_equal (result.queues_lost, 3);
    assert_int_equal (s_losses.count, 1);
    assert_int_equal (s_losses.kind, TERN_LOSS_QUEUES);
    assert_int_equal (s_losses.messages, 3);
    assert_string_equal (s_losses.outbox, "#prices");
    tern_store_t *seen = s_look (disk, "saved");
    unsigned count = 0;
    assert_int_equal (
        tern_store_peek (seen, "#prices", 1, s_expect_header, &count), 0);
    assert_int_equal (count, 3);
    tern_store_close (&seen);
    trn_disk_memory_destroy (&disk);
}

static void
s_expect_past (void *arg, trn_selection_t *past)
{
    assert_int_equal (past->number, 1);
    assert_int_equal (past->to, 3);
    assert_int_equal (trn_seqset_total (&past->seqs), 2);
    assert_true (trn_seqset_has (&past->seqs, 1));
    assert_true (trn_seqset_has (&past->seqs, 3));
    (*(unsigned *) arg)++;
}

static void
test_pasts_are_copied_and_a_damaged_one_is_named (void **state)
{
    (void) state;
    trn_disk_t *disk = trn_disk_memory_new ();
    trn_outbox_t *outbox = NULL;
    trn_store_t *store = s_exchange_store (disk, &outbox);
    for (uint32_t number = 1; number <= 2; number++) {
        trn_selection_t past = {.number = number, .to = 3};
        trn_seqset_add (&past.seqs, 1, 1);
        trn_seqset_add (&past.seqs, 3, 3);
        assert_int_equal (trn_outbox_keep (outbox, &past), 0);
        trn_seqset_clear (&past.seqs);
    }
    trn_outbox_save (outbox, (const uint8_t *) "x", 1, 1, 1);
    assert_int_equal (trn_store_close (&store), 0);
    char path[128];
    s_outbox_path (disk, "past-00000002", path);
    trn_disk_memory_poke (disk, path, (const uint8_t *) "y", 1, 50);

    tern_salvage_t result = s_rescue (disk);
    assert_int_equal (result.messages, 3);
    assert_int_equal (result.pasts, 1);
    assert_int_equal (result.pasts_lost, 1);
    assert_int_equal (result.damaged, 1);
    assert_int_equal (s_losses.count, 1);
    assert_int_equal (s_losses.kind, TERN_LOSS_PAST);
    assert_string_equal (s_losses.outbox, "#prices");
    assert_string_equal (s_losses.file, "past-00000002");
    s_owned_t owned = s_own (disk, "#prices");
    unsigned count = 0;
    assert_int_equal (
        trn_outbox_selections (owned.outbox, s_expect_past, &count, NULL, 0),
        0);
    assert_int_equal (count, 1);
    s_disown (&owned);

    //  Without the state that knows its queue a past would be another's.
    s_damage_cell (disk, TRN_LOG_STATE_FILE, trn_log_state_half (), true);
    tern_store_t *seen = s_look (disk, "data");
    assert_int_equal (s_salvage (seen, disk, "again", &result), 0);
    assert_int_equal (result.pasts, 0);
    tern_store_close (&seen);
    trn_disk_memory_destroy (&disk);
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
    (void) s_fill_exchange (store);
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
        cmocka_unit_test (test_a_salvaged_outbox_keeps_seqs_and_state),
        cmocka_unit_test (test_what_was_settled_to_the_last_leaves_its_state),
        cmocka_unit_test (test_a_seq_that_a_state_may_know_is_not_given_again),
        cmocka_unit_test (test_what_was_in_doubt_stays_in_doubt),
        cmocka_unit_test (
            test_a_meta_that_is_older_than_the_records_is_not_believed),
        cmocka_unit_test (test_without_its_state_nothing_is_settled),
        cmocka_unit_test (
            test_an_exchange_without_its_state_has_lost_its_queues),
        cmocka_unit_test (test_pasts_are_copied_and_a_damaged_one_is_named),
        cmocka_unit_test (test_no_store_is_said_to_be_none),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
