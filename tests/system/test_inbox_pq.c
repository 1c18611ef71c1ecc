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
    bank_until (pair.place, "SELECT count(*) FROM pg_stat_activity"
                            " WHERE datname = current_database ()"
                            " AND wait_event_type = 'Lock'");
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
        cmocka_unit_test (test_the_second_waits_for_the_first),
        cmocka_unit_test (test_no_isolation_level_does_it_twice),
        cmocka_unit_test (test_forgetting_waits_for_nobody),
        cmocka_unit_test (test_a_failed_transaction_says_so),
        cmocka_unit_test (test_a_lost_connection_is_told),
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
