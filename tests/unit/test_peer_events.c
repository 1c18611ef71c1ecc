//  test_peer_events - the newest events are kept, and the loss is told
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/events.h"

#include <poll.h>
#include <stdio.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static bool
s_readable (const trn_events_t *events)
{
    struct pollfd item = {.fd = events->fd, .events = POLLIN};
    return poll (&item, 1, 0) == 1;
}

static void
test_descriptor_is_a_level (void **state)
{
    (void) state;
    trn_events_t events = {0};
    tern_event_t event;
    assert_int_equal (trn_events_open (&events), 0);
    assert_false (s_readable (&events));
    assert_false (trn_events_take (&events, &event, 0));
    trn_events_add (&events, "TERN-A", TERN_LOG_INFO, "n=1");
    trn_events_add (&events, "TERN-B", TERN_LOG_WARNING, "n=2");
    assert_true (s_readable (&events));
    assert_true (trn_events_take (&events, &event, 0));
    assert_string_equal (event.id, "TERN-A");
    assert_true (s_readable (&events));
    assert_true (trn_events_take (&events, &event, -1));
    assert_string_equal (event.text, "n=2");
    assert_int_equal (event.lost, 0);
    assert_false (s_readable (&events));
    trn_events_close (&events);
}

static void
test_oldest_go_first_and_are_counted (void **state)
{
    (void) state;
    trn_events_t events = {0};
    tern_event_t event;
    assert_int_equal (trn_events_open (&events), 0);
    for (int number = 0; number < TRN_EVENTS_KEPT + 10; number++) {
        trn_events_addf (&events, "TERN-N", TERN_LOG_DEBUG, "n=%d", number);
    }
    assert_true (trn_events_take (&events, &event, 0));
    assert_string_equal (event.text, "n=10");
    assert_int_equal (event.lost, 10);
    assert_true (trn_events_take (&events, &event, 0));
    assert_int_equal (event.lost, 0);
    trn_events_close (&events);
}

static void
s_count (void *arg, tern_log_level_t level, const char *id, const char *line)
{
    (void) level;
    (void) id;
    (void) line;
    ++*(int *) arg;
}

static void
test_log_is_silent_until_asked (void **state)
{
    (void) state;
    int lines = 0;
    trn_events_t events = {0};
    assert_int_equal (trn_events_open (&events), 0);
    trn_events_add (&events, "TERN-A", TERN_LOG_ERROR, "");
    tern_log_set (s_count, &lines, TERN_LOG_WARNING);
    trn_events_add (&events, "TERN-A", TERN_LOG_INFO, "");
    assert_int_equal (lines, 0);
    trn_events_add (&events, "TERN-A", TERN_LOG_ERROR, "");
    assert_int_equal (lines, 1);
    tern_log_set (NULL, NULL, TERN_LOG_DEBUG);
    trn_events_add (&events, "TERN-A", TERN_LOG_ERROR, "");
    assert_int_equal (lines, 1);
    trn_events_close (&events);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_descriptor_is_a_level),
        cmocka_unit_test (test_oldest_go_first_and_are_counted),
        cmocka_unit_test (test_log_is_silent_until_asked),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
