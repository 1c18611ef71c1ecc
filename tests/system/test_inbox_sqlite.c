//  test_inbox_sqlite - exactly-once effect in an SQLite database
//
//  SPDX-License-Identifier: MPL-2.0

#include "inbox_story.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static int
s_setup (void **state)
{
    scene_setup (state);
    return bank_begin_all (((scene_t *) *state)->folder) ? -1 : 0;
}

static void
test_a_message_is_new_once (void **state)
{
    inbox_message_is_new_once (state);
}

static void
test_a_rollback_takes_the_mark_back (void **state)
{
    inbox_rollback_takes_the_mark_back (state);
}

static void
test_streams_are_apart (void **state)
{
    inbox_streams_are_apart (state);
}

static void
test_a_late_copy_is_seen (void **state)
{
    inbox_late_copy_is_seen (state);
}

static void
test_what_never_comes_again_is_forgotten (void **state)
{
    inbox_forgets_what_never_comes_again (state);
}

static void
test_many_publishers_leave_a_row_each (void **state)
{
    inbox_stays_small_with_many_publishers (state);
}

static void
test_a_replayed_dead_letter_is_new_once_for_ever (void **state)
{
    inbox_replay_is_new_once_for_ever (state);
}

static void
test_a_replay_of_what_was_done_is_seen (void **state)
{
    inbox_replay_of_what_was_done_is_seen (state);
}

static void
test_no_mark_is_made_outside_a_transaction (void **state)
{
    inbox_needs_a_transaction (state);
}

static void
test_tables_of_a_newer_tern_are_refused (void **state)
{
    inbox_newer_tables_are_refused (state);
}

//  Somebody else writes: say so, and leave it to the application.
static void
test_a_locked_database_says_again (void **state)
{
    (void) state;
    char *place = bank_place ("locked");
    bank_t *one = bank_open (place);
    bank_t *two = bank_open (place);
    tern_inbox_t *inbox = bank_inbox (two);
    bank_do (two, "PRAGMA busy_timeout = 0");
    const inbox_letter_t letter = {"store-0123456789", "pay", "pay", 1, 1, 0};
    bank_begin (one);
    bank_do (two, "BEGIN");
    assert_int_equal (inbox_ask (inbox, &letter), TERN_EAGAIN);
    bank_rollback (two);
    bank_commit (one);
    assert_int_equal (inbox_take (two, inbox, &letter), TERN_INBOX_NEW);
    tern_inbox_close (&inbox);
    bank_close (&two);
    bank_close (&one);
    free (place);
}

static void
test_missing_tables_are_told (void **state)
{
    (void) state;
    char *place = bank_place ("dropped");
    bank_t *bank = bank_open (place);
    tern_inbox_t *inbox = bank_inbox (bank);
    const inbox_letter_t letter = {"store-0123456789", "pay", "pay", 1, 1, 0};
    bank_do (bank, "DROP TABLE tern_inbox");
    bank_begin (bank);
    assert_int_equal (inbox_ask (inbox, &letter), TERN_ENOENT);
    bank_rollback (bank);
    tern_inbox_close (&inbox);
    bank_close (&bank);
    free (place);
}

static void
test_the_table_stays_as_small_as_what_is_unsettled (void **state)
{
    inbox_table_stays_as_small_as_what_is_unsettled (state);
}

static void
test_a_consumer_may_be_killed_at_every_step (void **state)
{
    inbox_consumer_may_be_killed_at_every_step (state);
}

int
main (int argc, char **argv)
{
    static const scene_role_t roles[] = {{"work", inbox_work}, {NULL, NULL}};
    const int role = scene_main (roles, argc, argv);
    if (role >= 0) {
        return role;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_a_message_is_new_once),
        cmocka_unit_test (test_a_rollback_takes_the_mark_back),
        cmocka_unit_test (test_streams_are_apart),
        cmocka_unit_test (test_a_late_copy_is_seen),
        cmocka_unit_test (test_what_never_comes_again_is_forgotten),
        cmocka_unit_test (test_many_publishers_leave_a_row_each),
        cmocka_unit_test (test_a_replayed_dead_letter_is_new_once_for_ever),
        cmocka_unit_test (test_a_replay_of_what_was_done_is_seen),
        cmocka_unit_test (test_no_mark_is_made_outside_a_transaction),
        cmocka_unit_test (test_tables_of_a_newer_tern_are_refused),
        cmocka_unit_test (test_a_locked_database_says_again),
        cmocka_unit_test (test_missing_tables_are_told),
        cmocka_unit_test (test_the_table_stays_as_small_as_what_is_unsettled),
        cmocka_unit_test (test_a_consumer_may_be_killed_at_every_step),
    };
    return cmocka_run_group_tests (tests, s_setup, scene_teardown);
}
