//  test_missed - who was away is told how many it missed, exactly
//
//  Publishers whose outboxes drop what nobody fetched, by number or by age, and a
//  subscriber that writes down every message, and how many it says are missing,
//  before it accepts it.  All of them are killed on the way.  Of a message that
//  was written down twice the last note counts: the first was not settled.
//
//  SPDX-License-Identifier: MPL-2.0

#include "scene.h"

#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define QUEUE "news"
#define NOTES_MAX 20000

//  Roles ---------------------------------------------------------------------

static tern_peer_t *
s_open (const scene_t *scene, const char *name, const char *limit)
{
    return scene_peer (scene, name, "limit_messages", limit, "at_limit",
                       "drop_oldest", "suspect_ms", "1000", NULL);
}

//  publish NAME LIMIT COUNT [leave|go]: send, wait until it is synced, say so;
//  wait until all is settled, say that; stay, or leave.  Or go at once: what a
//  limit dropped is in the saved state then, and told with what comes next.
static int
s_publish (const scene_t *scene, int argc, char **argv)
{
    assert_true (argc == 3 || argc == 4);
    tern_peer_t *peer = s_open (scene, argv[0], argv[1]);
    tern_producer_t *producer = scene_producer (peer, QUEUE);
    const unsigned count = (unsigned) strtoul (argv[2], NULL, 10);
    uint64_t last = tern_producer_last (producer);
    if (count) {
        last = scene_send_numbers (producer, "item", count);
        assert_int_equal (
            tern_producer_wait (producer, last, TERN_SYNCED, SCENE_DEADLINE_MS),
            TERN_OK);
    }
    printf ("synced\n");
    const char *then = argc == 4 ? argv[3] : "stay";
    if (strcmp (then, "go")) {
        if (last) {
            scene_settled (producer, last);
        }
        printf ("settled\n");
    }
    if (strcmp (then, "stay") == 0) {
        scene_stay ();
    }
    tern_producer_close (&producer);
    tern_peer_close (&peer, 0);
    return 0;
}

static bool
s_are_expired (void *arg)
{
    return scene_stats (arg, QUEUE, TERN_ROLE_PUBLISHER).dropped == 300;
}

//  age NAME: send 300 that nobody takes in time, and say so when they are gone.
static int
s_age (const scene_t *scene, int argc, char **argv)
{
    assert_int_equal (argc, 1);
    tern_peer_t *peer = s_open (scene, argv[0], "100000");
    tern_producer_t *producer = scene_producer (peer, QUEUE);
    tern_policy_t policy;
    tern_policy_default (&policy);
    policy.ttl_ms = 50;
    policy.drop_expired = true;
    assert_int_equal (tern_producer_set_policy (producer, &policy), TERN_OK);
    scene_send_numbers (producer, "item", 300);
    scene_until (peer, s_are_expired, peer, "300 items expired");
    policy.ttl_ms = 0;
    assert_int_equal (tern_producer_set_policy (producer, &policy), TERN_OK);
    tern_producer_close (&producer);
    tern_peer_close (&peer, 0);
    printf ("aged\n");
    return 0;
}

//  take [COUNT]: say what comes, then accept it; of so many, then stay.
static int
s_take (const scene_t *scene, int argc, char **argv)
{
    unsigned long left = argc ? strtoul (argv[0], NULL, 10) : ULONG_MAX;
    tern_peer_t *peer = scene_peer (scene, "ben", "suspect_ms", "1000", NULL);
    tern_consumer_t *consumer = scene_consumer (peer, QUEUE, 10);
    for (; left; left--) {
        tern_msg_t *msg = tern_consumer_recv (consumer, -1);
        printf ("%s %llu %llu\n", tern_msg_publisher (msg),
                (unsigned long long) tern_msg_seq (msg),
                (unsigned long long) tern_msg_missed (msg));
        tern_consumer_accept (consumer, msg);
    }
    scene_stay ();
}

//  Notes -----------------------------------------------------------------------

typedef struct {
    char publisher[64];
    unsigned long long seq, missed;
} note_t;

typedef struct {
    note_t at[NOTES_MAX];
    size_t count;
} notes_t;

static void
s_note (notes_t *self, const char *line)
{
    note_t note;
    assert_non_null (line);
    assert_int_equal (sscanf (line, "%63s %llu %llu", note.publisher, &note.seq,
                              &note.missed),
                      3);
    for (size_t index = 0; index < self->count; index++) {
        note_t *other = &self->at[index];
        if (note.seq == other->seq
            && strcmp (note.publisher, other->publisher) == 0) {
            other->missed = note.missed;
            return;
        }
    }
    assert_true (self->count < NOTES_MAX);
    self->at[self->count++] = note;
}

//  Messages of a publisher that were taken or missed.
static unsigned long long
s_known (const notes_t *self, const char *publisher)
{
    unsigned long long known = 0;
    for (size_t index = 0; index < self->count; index++) {
        const note_t *note = &self->at[index];
        if (strcmp (note->publisher, publisher) == 0) {
            known += 1 + note->missed;
        }
    }
    return known;
}

static void
s_take_lines (notes_t *notes, scene_child_t *taker, unsigned count)
{
    for (; count; count--) {
        s_note (notes, scene_line (taker));
    }
}

static void
s_take_until (notes_t *notes, scene_child_t *taker, const char *publisher,
              unsigned long long known)
{
    while (s_known (notes, publisher) != known) {
        s_note (notes, scene_line (taker));
    }
}

//  What was said before the end is in the pipe.
static void
s_kill_taker (notes_t *notes, scene_child_t *taker)
{
    kill (taker->pid, SIGKILL);
    const char *line;
    while ((line = scene_line (taker))) {
        s_note (notes, line);
    }
    scene_kill (taker);
}

//  A whole life of a publisher, whatever was dropped in it or in one before.
static void
s_publish_and_go (const scene_t *scene, const char *name, const char *limit,
                  const char *count)
{
    scene_child_t child;
    scene_start (scene, &child, "publish", name, limit, count, "go", NULL);
    scene_says (&child, "synced");
    assert_int_equal (scene_ended (&child), 0);
}

//  Stories --------------------------------------------------------------------

static void
test_what_a_limit_dropped_is_told_exactly_whatever_is_killed (void **state)
{
    const scene_t *scene = *state;
    notes_t *notes = calloc (1, sizeof *notes);
    scene_child_t anna, bob, ben;

    //  Nobody is there: most of it is dropped, and a publisher is killed.
    scene_start (scene, &anna, "publish", "anna", "200", "1000", NULL);
    scene_says (&anna, "synced");
    scene_kill (&anna);
    s_publish_and_go (scene, "anna", "200", "0");
    s_publish_and_go (scene, "bob", "100", "1500");
    scene_start (scene, &anna, "publish", "anna", "200", "0", NULL);
    scene_start (scene, &bob, "publish", "bob", "100", "0", NULL);
    scene_says (&bob, "synced");

    //  The subscriber is killed, and then a publisher again, in the middle.
    scene_start (scene, &ben, "take", "60", NULL);
    s_take_lines (notes, &ben, 60);
    s_kill_taker (notes, &ben);
    scene_start (scene, &ben, "take", "150", NULL);
    s_take_lines (notes, &ben, 60);
    scene_kill (&anna);
    scene_start (scene, &anna, "publish", "anna", "200", "0", NULL);
    s_take_lines (notes, &ben, 90);
    s_kill_taker (notes, &ben);
    scene_start (scene, &ben, "take", NULL);
    s_take_until (notes, &ben, "anna", 1000);
    s_take_until (notes, &ben, "bob", 1500);
    scene_says (&bob, "settled");

    //  Away once more: what was told before is not told again, even if who told
    //  it is killed before it could save that.
    scene_kill (&bob);
    scene_start (scene, &bob, "publish", "bob", "100", "0", "leave", NULL);
    scene_says (&bob, "synced");
    scene_says (&bob, "settled");
    assert_int_equal (scene_ended (&bob), 0);
    s_kill_taker (notes, &ben);
    s_publish_and_go (scene, "bob", "100", "700");
    scene_start (scene, &bob, "publish", "bob", "100", "0", NULL);
    scene_says (&bob, "synced");
    scene_start (scene, &ben, "take", NULL);
    s_take_until (notes, &ben, "bob", 2200);
    scene_says (&bob, "settled");
    s_kill_taker (notes, &ben);
    assert_int_equal (s_known (notes, "anna"), 1000);
    assert_int_equal (s_known (notes, "bob"), 2200);
    scene_kill (&anna);
    scene_kill (&bob);
    free (notes);
}

static void
test_what_grew_too_old_is_told_exactly (void **state)
{
    const scene_t *scene = *state;
    notes_t *notes = calloc (1, sizeof *notes);
    scene_child_t anna, ben;
    scene_start (scene, &anna, "age", "anna", NULL);
    scene_says (&anna, "aged");
    assert_int_equal (scene_ended (&anna), 0);
    scene_start (scene, &anna, "publish", "anna", "1000", "20", NULL);
    scene_says (&anna, "synced");
    scene_kill (&anna);
    scene_start (scene, &anna, "publish", "anna", "1000", "0", NULL);
    scene_start (scene, &ben, "take", NULL);
    s_take_until (notes, &ben, "anna", 320);
    assert_int_equal (notes->at[0].missed, 300);
    s_kill_taker (notes, &ben);
    assert_int_equal (s_known (notes, "anna"), 320);
    scene_kill (&anna);
    free (notes);
}

static uint64_t
s_row_missed (tern_peer_t *peer)
{
    return scene_stats (peer, QUEUE, TERN_ROLE_CONSUMER).missed;
}

//  150 where 100 have room; what comes again after a requeue counts once.  A loss
//  is told once the state that says so is durable, with what comes next: so
//  something has to come.
static void
s_expect_numbers (const scene_t *scene, bool inbox)
{
    tern_peer_t *orders = s_open (scene, "orders-1", "100");
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    uint64_t last = scene_send_numbers (producer, "item", 150);
    scene_event (orders, "TERN-MESSAGES-DROPPED");
    tern_peer_t *ben = scene_peer (scene, "ben", NULL);
    const tern_consumer_options_t options = {.prefetch = 10, .inbox = inbox};
    tern_consumer_t *consumer = NULL;
    assert_int_equal (tern_consumer_open (&consumer, ben, QUEUE, &options),
                      TERN_OK);
    uint64_t sent = 150, taken = 0, known = 0;
    bool again = true;
    while (known < sent) {
        if (taken == sent - 50) {
            last = scene_send (producer, "one more");
            sent++;
        }
        tern_msg_t *msg = scene_receive (consumer);
        if (again && tern_msg_missed (msg)) {
            again = false;
            assert_int_equal (s_row_missed (ben), 0);
            assert_int_equal (tern_consumer_requeue (consumer, msg), TERN_OK);
            continue;
        }
        known += 1 + tern_msg_missed (msg);
        taken++;
        assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    }
    assert_int_equal (known, sent);
    assert_int_equal (s_row_missed (ben), 50);
    scene_settled (producer, last);
    tern_consumer_close (&consumer);
    tern_peer_close (&ben, 0);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

static void
test_the_numbers_of_a_consumer_say_how_many_it_missed (void **state)
{
    s_expect_numbers (*state, false);
}

static void
test_so_do_those_of_one_with_an_inbox (void **state)
{
    s_expect_numbers (*state, true);
}

int
main (int argc, char **argv)
{
    static const scene_role_t roles[] = {
        {"publish", s_publish},
        {"age", s_age},
        {"take", s_take},
        {NULL, NULL},
    };
    const int played = scene_main (roles, argc, argv);
    if (played >= 0) {
        return played;
    }
    cmocka_set_message_output (CM_OUTPUT_TAP);
#define CLAIM(name)                                                            \
    cmocka_unit_test_setup_teardown (name, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        CLAIM (test_what_a_limit_dropped_is_told_exactly_whatever_is_killed),
        CLAIM (test_what_grew_too_old_is_told_exactly),
        CLAIM (test_the_numbers_of_a_consumer_say_how_many_it_missed),
        CLAIM (test_so_do_those_of_one_with_an_inbox),
    };
    return cmocka_run_group_tests_name ("missed", tests, NULL, NULL);
}
