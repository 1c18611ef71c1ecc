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

int
main (int argc, char **argv)
{
    static const scene_role_t roles[] = {{"work", inbox_work}, {NULL, NULL}};
    const int role = scene_main (roles, argc, argv);
    if (role >= 0) {
        return role;
    }
    const struct CMUnitTest tests[] = {
        INBOX_CLAIMS,
        cmocka_unit_test (test_a_locked_database_says_again),
    };
    return cmocka_run_group_tests (tests, s_setup, scene_teardown);
}
