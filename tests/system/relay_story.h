//  tests/system/relay_story.h - what a relay promises, on any database
//
//  Each is one test; test_relay_sqlite.c and test_relay_pq.c run them.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TEST_RELAY_STORY_H
#define TEST_RELAY_STORY_H

#include "bank.h"
#include "scene.h"

//  Put text, in the transaction that is open.
void
relay_put (bank_t *bank, const char *to, const char *text);

//  Rows that are still to be sent.
int64_t
relay_rows (bank_t *bank);

//  Wait until the relay says this error.
void
relay_expect_error (tern_relay_t *relay, int error);

void
test_what_was_committed_is_sent_in_order (void **state);

void
test_all_of_a_message_is_sent (void **state);

void
test_a_row_that_cannot_be_sent_stops_nobody (void **state);

void
test_a_place_that_is_full_stops_no_other (void **state);

void
test_exchanges_get_what_is_put_for_them (void **state);

void
test_a_database_belongs_to_one_store (void **state);

void
test_a_database_that_went_back_is_refused (void **state);

void
test_an_outbox_that_went_back_is_refused (void **state);

void
test_the_database_may_fail_at_every_call (void **state);

void
test_the_relay_may_be_killed_at_every_step (void **state);

void
test_the_application_may_be_killed_at_every_step (void **state);

//  The other processes of the last two.
int
relay_run (const scene_t *scene, int argc, char **argv);

int
relay_apply (const scene_t *scene, int argc, char **argv);

//  All of them, for the table of a program that links one kind of bank.
#define RELAY_CLAIMS                                                           \
    cmocka_unit_test (test_what_was_committed_is_sent_in_order),               \
        cmocka_unit_test (test_all_of_a_message_is_sent),                      \
        cmocka_unit_test (test_a_row_that_cannot_be_sent_stops_nobody),        \
        cmocka_unit_test (test_a_place_that_is_full_stops_no_other),           \
        cmocka_unit_test (test_exchanges_get_what_is_put_for_them),            \
        cmocka_unit_test (test_a_database_belongs_to_one_store),               \
        cmocka_unit_test (test_a_database_that_went_back_is_refused),          \
        cmocka_unit_test (test_an_outbox_that_went_back_is_refused),           \
        cmocka_unit_test (test_the_database_may_fail_at_every_call),           \
        cmocka_unit_test (test_the_relay_may_be_killed_at_every_step),         \
        cmocka_unit_test (test_the_application_may_be_killed_at_every_step)

#endif
