//  tests/unit/test_store_golden.c - what was once written is read for ever
//
//  Rule L27.  tests/golden/ holds small stores as text, each as the version of
//  its name wrote it; they are never written again.  When the format changes,
//  add one: TERN_GOLDEN=folder makes this test write those of today there.
//
//  Each was opened three times.  First: seqs 1 to 5 of outbox hello, state with
//  low 3, then a kill.  Second: 3 more behind the gap, 2 in #prices; then a
//  kill or a proper close.
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/inspect.h"
#include "store/store.h"
#include "support/disk_image.h"
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
    RESERVE = 100,
    FIRST_LIFE = 5,
    SECOND_LIFE = 3,
    PRICES = 2
};

static const char s_state[] = "what the owner saved";

static trn_store_t *
s_open (trn_disk_t *disk, const char *name)
{
    const trn_store_config_t config
        = {.disk = disk, .path = "data", .name = name};
    trn_store_t *store = NULL;
    char why[256] = "";
    if (trn_store_open (&store, &config, why, NULL, sizeof why) < 0) {
        fail_msg ("%s", why);
    }
    return store;
}

static trn_outbox_t *
s_outbox (trn_store_t *store, const char *name, trn_log_config_t *config,
          uint8_t **state_p, size_t *size_p, trn_log_report_t *report)
{
    trn_outbox_t *outbox = NULL;
    char why[256] = "";
    config->segment_min = 8192;
    config->segment_max = 8192;
    config->reserve = RESERVE;
    if (trn_store_outbox (store, name, config, &outbox, state_p, size_p, report,
                          why, sizeof why)
        < 0) {
        fail_msg ("%s", why);
    }
    return outbox;
}

//  Writing --------------------------------------------------------------------

//  The number-th message: every second one has rules.
static void
s_send (trn_outbox_t *outbox, unsigned number)
{
    char text[32];
    snprintf (text, sizeof text, "message %u", number);
    trn_propset_t props = {.bytes = NULL};
    assert_int_equal (
        trn_propset_text (&props, trn_text ("lang"), trn_text (text)), 0);
    assert_int_equal (trn_propset_number (&props, trn_text ("tern.pri"), 7), 0);
    size_t size = 0;
    trn_record_t record
        = {.flags = (uint8_t) (number % 2 ? 0 : TRN_RECORD_RULED),
           .stamp_us = 1000000 + number,
           .key = (const uint8_t *) "a.b",
           .key_size = (uint8_t) (number % 3 ? 3 : 0),
           .props = trn_propset_map (&props, &size),
           .body = (const uint8_t *) text,
           .body_size = (uint32_t) strlen (text)};
    record.props_size = (uint16_t) size;
    uint64_t seq = 0;
    assert_int_equal (trn_outbox_append (outbox, &record, -1, &seq), 0);
    trn_outbox_store (outbox);
    assert_int_equal (trn_outbox_wait (outbox, seq, true, -1), 0);
    trn_propset_clear (&props);
}

static trn_outbox_t *
s_fill (trn_store_t *store, const char *name, unsigned first, unsigned count)
{
    trn_log_config_t config = {.segment_min = 0};
    trn_log_report_t report;
    uint8_t *state = NULL;
    size_t size = 0;
    trn_outbox_t *const outbox
        = s_outbox (store, name, &config, &state, &size, &report);
    for (unsigned i = 0; i < count; i++) {
        s_send (outbox, first + i);
    }
    free (state);
    trn_ranges_clear (&report.gaps);
    return outbox;
}

static void
s_save (trn_outbox_t *outbox, uint64_t low)
{
    trn_outbox_save (outbox, (const uint8_t *) s_state, sizeof s_state, low, 1);
    while (trn_outbox_saved (outbox) != 1) {
        trn_outbox_want_time (outbox, 0);  //  wakes the writer
    }
}

static void
s_write (const char *folder, bool clean)
{
    trn_disk_t *disk = trn_disk_memory_new ();
    trn_store_t *store = s_open (disk, "golden-1");
    s_save (s_fill (store, "hello", 1, FIRST_LIFE), 3);
    trn_store_abandon (&store);
    store = s_open (disk, "golden-1");
    s_save (s_fill (store, "hello", FIRST_LIFE + 1, SECOND_LIFE), 3);
    s_save (s_fill (store, "#prices", 1, PRICES), 1);
    if (clean) {
        assert_int_equal (trn_store_close (&store), 0);
    } else {
        trn_store_abandon (&store);
    }
    char path[512];
    snprintf (path, sizeof path, "%s/store-1.0-%s", folder,
              clean ? "closed" : "killed");
    assert_int_equal (
        test_image_save (disk, "data", path, "see test_store_golden.c"), 0);
    trn_disk_memory_destroy (&disk);
}

//  Reading --------------------------------------------------------------------

static void
s_check_record (trn_log_t *log, uint64_t seq, unsigned number)
{
    trn_chunk_t *chunk = NULL;
    assert_int_equal (trn_log_read (log, seq, 1, &chunk), 0);
    trn_record_t record;
    assert_true (trn_record_peek (chunk->data, chunk->filled, &record) > 0);
    char text[32];
    snprintf (text, sizeof text, "message %u", number);
    assert_int_equal (record.kind, TRN_RECORD_MESSAGE);
    assert_int_equal (record.flags, number % 2 ? 0 : TRN_RECORD_RULED);
    assert_int_equal (record.seq, seq);
    assert_int_equal (record.stamp_us, 1000000 + number);
    assert_int_equal (record.key_size, number % 3 ? 3 : 0);
    assert_memory_equal (record.key, "a.b", record.key_size);
    assert_int_equal (record.body_size, strlen (text));
    assert_memory_equal (record.body, text, strlen (text));
    trn_props_t props;
    trn_prop_t prop;
    assert_int_equal (trn_props_open (&props, record.props, record.props_size),
                      0);
    assert_true (trn_props_find (&props, trn_text ("lang"), &prop));
    assert_true (trn_text_is (prop.text, text));
    assert_true (trn_props_find (&props, trn_text ("tern.pri"), &prop));
    assert_int_equal (prop.number, 7);
    trn_chunk_release (&chunk);
}

static void
s_on_ruled (void *arg, const trn_record_t *record)
{
    (void) record;
    (*(unsigned *) arg)++;
}

static void
s_check_outbox (trn_store_t *store, const char *name, uint64_t low, bool clean)
{
    unsigned ruled = 0;
    trn_log_config_t config = {.on_ruled = s_on_ruled, .on_ruled_arg = &ruled};
    trn_log_report_t report;
    uint8_t *state = NULL;
    size_t size = 0;
    trn_outbox_t *const outbox
        = s_outbox (store, name, &config, &state, &size, &report);
    trn_log_t *const log = trn_outbox_log (outbox);
    assert_int_equal (size, sizeof s_state);
    assert_memory_equal (state, s_state, size);
    assert_int_equal (report.clean, clean);
    assert_int_equal (report.torn_bytes, 0);
    assert_int_equal (trn_log_floor (log), low);
    if (name[0] == '#') {
        assert_int_equal (report.messages, PRICES);
        assert_int_equal (ruled, 1);
        s_check_record (log, 1, 1);
        s_check_record (log, 2, 2);
    } else {
        assert_int_equal (report.messages, FIRST_LIFE + SECOND_LIFE);
        assert_int_equal (ruled, 3);  //  of seqs from 3 on
        for (unsigned i = 1; i <= FIRST_LIFE; i++) {
            s_check_record (log, i, i);
        }
        assert_true (trn_ranges_has (&report.gaps, FIRST_LIFE + 1));
        assert_true (trn_ranges_has (&report.gaps, RESERVE));
        for (unsigned i = 1; i <= SECOND_LIFE; i++) {
            s_check_record (log, RESERVE + i, FIRST_LIFE + i);
        }
    }
    //  It goes on where it was.
    s_send (outbox, 9);
    s_check_record (log, trn_log_appended (log), 9);
    free (state);
    trn_ranges_clear (&report.gaps);
}

static void
s_check (const char *kind)
{
    const char *const source = getenv ("TERN_SRCDIR");
    char path[512];
    snprintf (path, sizeof path, "%s/tests/golden/store-1.0-%s",
              source ? source : ".", kind);
    const bool clean = strcmp (kind, "closed") == 0;
    trn_disk_t *disk = trn_disk_memory_new ();
    if (test_image_load (disk, "data", path) < 0) {
        fail_msg ("%s: cannot be read; set TERN_SRCDIR", path);
    }
    tern_store_t *seen = NULL;
    tern_outbox_info_t info;
    assert_int_equal (trn_inspect_open (&seen, disk, "data", NULL, 0), 0);
    assert_int_equal (tern_store_verify (seen, "hello", &info), 0);
    assert_int_equal (info.health,
                      clean ? TERN_OUTBOX_CLEAN : TERN_OUTBOX_OPEN);
    tern_store_close (&seen);

    trn_store_t *store = s_open (disk, NULL);
    assert_string_equal (trn_store_name (store), "golden-1");
    assert_int_equal (trn_store_incarnation (store), 3);
    s_check_outbox (store, "hello", 3, clean);
    s_check_outbox (store, "#prices", 1, clean);
    assert_int_equal (trn_store_close (&store), 0);
    trn_disk_memory_destroy (&disk);
}

static void
test_a_store_of_1_0_that_was_closed_opens (void **state)
{
    (void) state;
    s_check ("closed");
}

static void
test_a_store_of_1_0_that_was_killed_opens (void **state)
{
    (void) state;
    s_check ("killed");
}

int
main (void)
{
    const char *const folder = getenv ("TERN_GOLDEN");
    if (folder) {
        s_write (folder, true);
        s_write (folder, false);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_a_store_of_1_0_that_was_closed_opens),
        cmocka_unit_test (test_a_store_of_1_0_that_was_killed_opens),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
