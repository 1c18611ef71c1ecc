//  test_inbox_pq - exactly-once effect in a PostgreSQL database
//
//  SPDX-License-Identifier: MPL-2.0

#include "inbox_story.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

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

//  Two transactions, side by side.
typedef struct {
    char *place;
    bank_t *one, *two;
    tern_inbox_t *first, *second;
} s_pair_t;

static s_pair_t
s_open_pair (const char *name)
{
    s_pair_t self = {.place = bank_place (name)};
    self.one = bank_open (self.place);
    self.two = bank_open (self.place);
    self.first = bank_inbox (self.one);
    self.second = bank_inbox (self.two);
    return self;
}

static void
s_close_pair (s_pair_t *self)
{
    tern_inbox_close (&self->second);
    tern_inbox_close (&self->first);
    bank_close (&self->two);
    bank_close (&self->one);
    free (self->place);
}

static const inbox_letter_t s_fifth
    = {"store-0123456789", "pay", "pay", 5, 1, 0};
static const inbox_letter_t s_ninth
    = {"store-0123456789", "pay", "pay", 9, 9, 0};

typedef struct {
    s_pair_t *pair;
    int answer;
} s_second_t;

static void *
s_ask_second (void *arg)
{
    s_second_t *second = arg;
    second->answer = inbox_ask (second->pair->second, &s_fifth);
    return NULL;
}

//  Both ask for the same message; the second is answered when the first is
//  over.
static int
s_race (const char *name, bool commit)
{
    s_pair_t pair = s_open_pair (name);
    s_second_t second = {&pair, 0};
    pthread_t thread;
    //  The stream is known, so that they meet at the mark.
    assert_int_equal (inbox_take (pair.one, pair.first, &s_ninth),
                      TERN_INBOX_NEW);
    bank_do (pair.one, "UPDATE tern_inbox_stream SET low = 0");
    bank_begin (pair.one);
    bank_begin (pair.two);
    assert_int_equal (inbox_ask (pair.first, &s_fifth), TERN_INBOX_NEW);
    pthread_create (&thread, NULL, s_ask_second, &second);
    bank_t *watcher = bank_open (pair.place);
    const int64_t deadline = scene_now_ms () + SCENE_DEADLINE_MS;
    while (bank_number (watcher, "SELECT count(*) FROM pg_stat_activity"
                                 " WHERE datname = current_database ()"
                                 " AND wait_event_type = 'Lock'")
           == 0) {
        assert_true (scene_now_ms () < deadline);
    }
    bank_close (&watcher);
    bank_do (pair.one, commit ? "COMMIT" : "ROLLBACK");
    pthread_join (thread, NULL);
    bank_commit (pair.two);
    s_close_pair (&pair);
    return second.answer;
}

static void
test_the_second_waits_for_the_first (void **state)
{
    (void) state;
    assert_int_equal (s_race ("race1", true), TERN_INBOX_SEEN);
    assert_int_equal (s_race ("race2", false), TERN_INBOX_NEW);
}

//  Somebody forgets the mark of the fifth between the begin of a transaction
//  and its question for the fifth: it is seen, whatever the transaction can
//  see.
static int
s_ask_late (const char *name, const char *begin)
{
    s_pair_t pair = s_open_pair (name);
    assert_int_equal (inbox_take (pair.one, pair.first, &s_fifth),
                      TERN_INBOX_NEW);
    bank_do (pair.two, begin);
    bank_number (pair.two, "SELECT count(*) FROM payment");  //  its snapshot
    assert_int_equal (inbox_take (pair.one, pair.first, &s_ninth),
                      TERN_INBOX_NEW);
    assert_int_equal (bank_number (pair.one, "SELECT count(*) FROM tern_inbox"),
                      1);
    int answer = inbox_ask (pair.second, &s_fifth);
    if (answer == TERN_INBOX_NEW) {
        //  It can still be refused.
        answer = bank_try (pair.two, "COMMIT") ? answer : TERN_EAGAIN;
    }
    bank_try (pair.two, "ROLLBACK");
    s_close_pair (&pair);
    return answer;
}

static void
test_no_isolation_level_does_it_twice (void **state)
{
    (void) state;
    assert_int_equal (s_ask_late ("late1", "BEGIN"), TERN_INBOX_SEEN);
    assert_int_equal (
        s_ask_late ("late2", "BEGIN ISOLATION LEVEL REPEATABLE READ"),
        TERN_EAGAIN);
    assert_int_equal (
        s_ask_late ("late3", "BEGIN ISOLATION LEVEL SERIALIZABLE"),
        TERN_EAGAIN);
}

//  Whoever is at the row does the forgetting; nobody waits for that.
static void
test_forgetting_waits_for_nobody (void **state)
{
    (void) state;
    s_pair_t pair = s_open_pair ("skip");
    const inbox_letter_t tenth = {"store-0123456789", "pay", "pay", 10, 10, 0};
    assert_int_equal (inbox_take (pair.one, pair.first, &s_fifth),
                      TERN_INBOX_NEW);
    bank_begin (pair.one);
    assert_int_equal (inbox_ask (pair.first, &s_ninth), TERN_INBOX_NEW);
    assert_int_equal (inbox_take (pair.two, pair.second, &tenth),
                      TERN_INBOX_NEW);
    bank_commit (pair.one);
    assert_int_equal (inbox_take (pair.two, pair.second, &s_fifth),
                      TERN_INBOX_SEEN);
    s_close_pair (&pair);
}

static void
test_a_failed_transaction_says_so (void **state)
{
    (void) state;
    s_pair_t pair = s_open_pair ("failed");
    bank_begin (pair.one);
    bank_try (pair.one, "SELECT 1 / 0");
    assert_int_equal (inbox_ask (pair.first, &s_fifth), TERN_EINVAL);
    bank_rollback (pair.one);
    s_close_pair (&pair);
}

static void
test_a_lost_connection_is_told (void **state)
{
    (void) state;
    s_pair_t pair = s_open_pair ("lost");
    bank_begin (pair.one);
    bank_do (pair.two, "SELECT pg_terminate_backend (pid)"
                       " FROM pg_stat_activity"
                       " WHERE datname = current_database ()"
                       " AND pid <> pg_backend_pid ()");
    assert_int_equal (inbox_ask (pair.first, &s_fifth), TERN_ENET);
    s_close_pair (&pair);
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
        cmocka_unit_test (test_the_second_waits_for_the_first),
        cmocka_unit_test (test_no_isolation_level_does_it_twice),
        cmocka_unit_test (test_forgetting_waits_for_nobody),
        cmocka_unit_test (test_a_failed_transaction_says_so),
        cmocka_unit_test (test_a_lost_connection_is_told),
        cmocka_unit_test (test_missing_tables_are_told),
        cmocka_unit_test (test_the_table_stays_as_small_as_what_is_unsettled),
        cmocka_unit_test (test_a_consumer_may_be_killed_at_every_step),
    };
    const char *missing = bank_begin_all (NULL);
    if (missing) {
        printf ("1..0 # SKIP %s\n", missing);
    }
    const int failed
        = missing ? 0
                  : cmocka_run_group_tests (tests, scene_setup, scene_teardown);
    bank_end_all ();
    return failed;
}
