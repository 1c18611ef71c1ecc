//  test_core_parts - the small things under the engine
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/backoff.h"
#include "core/list.h"
#include "core/lost.h"
#include "core/report.h"
#include "core/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void
test_the_same_seed_gives_the_same_numbers (void **state)
{
    (void) state;

    //  The published sequence of splitmix64 for the seed 1234567.
    trn_rng_t rng = {1234567};
    assert_true (trn_rng_next (&rng) == 6457827717110365317u);
    assert_true (trn_rng_next (&rng) == 3203168211198807973u);
    assert_true (trn_rng_next (&rng) == 9817491932198370423u);
    assert_int_equal (trn_rng_below (&rng, 0), 0);
    assert_int_equal (trn_rng_below (&rng, 1), 0);
}

static void
test_waits_double_up_to_the_cap_and_are_spread (void **state)
{
    (void) state;
    trn_rng_t rng = {1};
    trn_backoff_t backoff = {.min_ms = 50, .max_ms = 30000};
    for (unsigned attempt = 0; attempt < 100; attempt++) {
        const uint32_t ceiling
            = trn_backoff_ceiling (50, 30000, backoff.attempts);
        assert_true (ceiling == (attempt < 10 ? 50u << attempt : 30000));
        const uint32_t wait = trn_backoff_next (&backoff, &rng);
        assert_in_range (wait, 1, ceiling);
    }
}

static void
test_a_table_finds_what_was_put_and_not_removed (void **state)
{
    (void) state;
    enum {
        KEYS = 600
    };
    static char things[KEYS];
    bool there[KEYS] = {false};
    trn_table_t table = {0};
    trn_rng_t rng = {5};
    assert_null (trn_table_get (&table, 0));
    trn_table_remove (&table, 0);
    for (unsigned step = 0; step < 20000; step++) {
        const uint64_t key = trn_rng_below (&rng, KEYS);
        if (trn_rng_below (&rng, 2)) {
            trn_table_put (&table, key, &things[key]);
            there[key] = true;
        } else {
            trn_table_remove (&table, key);
            there[key] = false;
        }
        const uint64_t other = trn_rng_below (&rng, KEYS);
        assert_ptr_equal (trn_table_get (&table, other),
                          there[other] ? &things[other] : NULL);
    }
    trn_table_clear (&table);
}

//  So many more are lost, and a state says so.
static void
s_lose (trn_lost_t *lost, uint64_t count)
{
    trn_lost_add (lost, count);
    trn_lost_saving (lost);
    trn_lost_saved (lost);
}

//  T-48: no DATA says more of what was told than of what was missed, or its
//  consumer would end the link.  Told may overtake what is on its way: a consumer
//  heard it of a life that a store which was put back does not know.
static void
test_what_was_told_before_goes_with_no_message (void **state)
{
    (void) state;
    trn_lost_t lost = {0};
    s_lose (&lost, 5);
    assert_true (trn_lost_tell (&lost, 10));
    assert_int_equal (lost.telling, 5);
    s_lose (&lost, 2);
    trn_lost_heard (&lost, 6);
    assert_true (trn_lost_tell (&lost, 10));
    assert_int_equal (lost.telling, 7);
    assert_int_equal (lost.told, 6);
    trn_lost_heard (&lost, 9);
    assert_false (trn_lost_tell (&lost, 10));
    s_lose (&lost, 1);
    assert_true (trn_lost_tell (&lost, 11));
    assert_int_equal (lost.telling, 8);
    assert_int_equal (lost.told, 7);
}

static void
test_a_list_keeps_its_order (void **state)
{
    (void) state;
    char things[40];
    trn_list_t list = {0};
    for (size_t index = 0; index < sizeof things; index++) {
        trn_list_add (&list, &things[index]);
    }
    assert_true (trn_list_remove (&list, &things[7]));
    assert_false (trn_list_remove (&list, &things[7]));
    assert_int_equal (list.count, sizeof things - 1);
    assert_ptr_equal (list.at[6], &things[6]);
    assert_ptr_equal (list.at[7], &things[8]);
    trn_list_clear (&list);
}

static void
test_reports_are_limited_and_say_what_was_left_out (void **state)
{
    (void) state;
    trn_reports_t reports = {0};
    trn_actions_t actions = {0};
    const trn_run_source_t source = {0};
    unsigned told = 0;
    for (unsigned count = 0; count < 1000; count++) {
        told += trn_report (&reports, &actions, TRN_GARBAGE, 5000) != NULL;
    }
    assert_int_equal (told, TRN_REPORT_BURST);

    //  Another kind is not silenced by this one.
    assert_non_null (
        trn_report (&reports, &actions, TRN_PEER_LOST_STATE, 5000));
    const trn_action_t *next
        = trn_report (&reports, &actions, TRN_GARBAGE, 6000);
    assert_non_null (next);
    assert_string_equal (next->report.text, "suppressed=980");
    assert_null (trn_report (&reports, &actions, TRN_GARBAGE, 6000));
    trn_actions_clear (&actions, &source);
}

static void
test_foreign_words_in_reports_are_shown_harmless (void **state)
{
    (void) state;
    trn_reports_t reports = {0};
    trn_actions_t actions = {0};
    const trn_run_source_t source = {0};
    trn_action_t *report = trn_report (&reports, &actions, TRN_PEER_REFUSED, 0);
    trn_report_number (report, "seq", UINT64_MAX);
    trn_report_bytes (report, "text", "a\n\x1b[31m", 7);
    assert_string_equal (report->report.id, "TERN-PEER-REFUSED");
    assert_string_equal (report->report.text,
                         "seq=18446744073709551615 text=a\\x0a\\x1b[31m");
    char noise[500];
    memset (noise, '\n', sizeof noise);
    for (unsigned count = 0; count < 5; count++) {
        trn_report_bytes (report, "noise", noise, sizeof noise);
        trn_report_text (report, "name", "value");
    }
    assert_true (strlen (report->report.text) < sizeof report->report.text);
    trn_report_text (NULL, "key", "a suppressed report takes anything");
    trn_actions_clear (&actions, &source);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_the_same_seed_gives_the_same_numbers),
        cmocka_unit_test (test_waits_double_up_to_the_cap_and_are_spread),
        cmocka_unit_test (test_a_table_finds_what_was_put_and_not_removed),
        cmocka_unit_test (test_what_was_told_before_goes_with_no_message),
        cmocka_unit_test (test_a_list_keeps_its_order),
        cmocka_unit_test (test_reports_are_limited_and_say_what_was_left_out),
        cmocka_unit_test (test_foreign_words_in_reports_are_shown_harmless),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
