//  tests/system/inbox_story.h - what an inbox promises, on any database
//
//  Each is one test; test_inbox_sqlite.c and test_inbox_pq.c run them.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TEST_INBOX_STORY_H
#define TEST_INBOX_STORY_H

#include "bank.h"
#include "scene.h"

//  A received message as it might have come, and the answer of the inbox to it
//  in a transaction of its own: committed.
typedef struct {
    const char *store;  //  16 characters
    const char *outbox;
    const char *queue;
    uint64_t seq, floor;
    uint64_t first;  //  not 0: a replay of this seq of the same store, outbox
} inbox_letter_t;

tern_msg_t *
inbox_letter (const inbox_letter_t *letter);

//  Within the transaction that is open.
int
inbox_ask (tern_inbox_t *inbox, const inbox_letter_t *letter);

int
inbox_take (bank_t *bank, tern_inbox_t *inbox, const inbox_letter_t *letter);

void
test_a_message_is_new_once (void **state);

void
test_a_rollback_takes_the_mark_back (void **state);

void
test_streams_are_apart (void **state);

void
test_a_late_copy_is_seen (void **state);

void
test_what_never_comes_again_is_forgotten (void **state);

void
test_many_publishers_leave_a_row_each (void **state);

void
test_a_replayed_dead_letter_is_new_once_for_ever (void **state);

void
test_a_replay_of_what_was_done_is_seen (void **state);

void
test_no_mark_is_made_outside_a_transaction (void **state);

void
test_tables_of_a_newer_tern_are_refused (void **state);

void
test_missing_tables_are_told (void **state);

void
test_the_table_stays_as_small_as_what_is_unsettled (void **state);

void
test_a_consumer_may_be_killed_at_every_step (void **state);

//  The other process of the last one.
int
inbox_work (const scene_t *scene, int argc, char **argv);

//  All of them, for the table of a program that links one kind of bank.
#define INBOX_CLAIMS                                                           \
    cmocka_unit_test (test_a_message_is_new_once),                             \
        cmocka_unit_test (test_a_rollback_takes_the_mark_back),                \
        cmocka_unit_test (test_streams_are_apart),                             \
        cmocka_unit_test (test_a_late_copy_is_seen),                           \
        cmocka_unit_test (test_what_never_comes_again_is_forgotten),           \
        cmocka_unit_test (test_many_publishers_leave_a_row_each),              \
        cmocka_unit_test (test_a_replayed_dead_letter_is_new_once_for_ever),   \
        cmocka_unit_test (test_a_replay_of_what_was_done_is_seen),             \
        cmocka_unit_test (test_no_mark_is_made_outside_a_transaction),         \
        cmocka_unit_test (test_tables_of_a_newer_tern_are_refused),            \
        cmocka_unit_test (test_missing_tables_are_told),                       \
        cmocka_unit_test (test_the_table_stays_as_small_as_what_is_unsettled), \
        cmocka_unit_test (test_a_consumer_may_be_killed_at_every_step)

#endif
