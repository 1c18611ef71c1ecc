//  tests/system/relay_story.c - what a relay promises, on any database
//
//  "shop" is the application whose database is relayed, "bank" consumes into a
//  database of its own through an inbox, so that what it did can be counted.
//
//  SPDX-License-Identifier: MPL-2.0

#include "relay_story.h"
#include "doom.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define QUEUE "orders"

void
relay_put (bank_t *bank, const char *to, const char *text)
{
    tern_msg_t *msg = tern_msg_new (text, strlen (text));
    assert_int_equal (bank_put (bank, to, msg), TERN_OK);
    tern_msg_destroy (&msg);
}

int64_t
relay_rows (bank_t *bank)
{
    return bank_number (bank, "SELECT count(*) FROM tern_outbox"
                              " WHERE refused IS NULL");
}

void
relay_expect_error (tern_relay_t *relay, int error)
{
    const int64_t deadline = scene_now_ms () + SCENE_DEADLINE_MS;
    tern_relay_status_t status;
    tern_relay_status (relay, &status);
    while (status.error != error) {
        if (scene_now_ms () > deadline) {
            fail_msg ("error %d: %s", status.error, status.why);
        }
        //  Returns at the end of its next pass, or a little later.
        const int rc = tern_relay_wait (relay, 20);
        assert_true (rc == TERN_OK || rc == TERN_ETIMEOUT);
        tern_relay_status (relay, &status);
    }
    assert_int_equal (error != TERN_OK, status.why[0] != '\0');
}

//  A database with an outbox, and the peer that relays it.  Each has a peer of
//  its own: one outbox has one line of numbers.
typedef struct {
    char name[40];
    char *place;
    bank_t *bank;
    tern_peer_t *peer;
    tern_relay_t *relay;
} s_shop_t;

static s_shop_t
s_open (const char *name)
{
    s_shop_t self = {.place = bank_place (name)};
    snprintf (self.name, sizeof self.name, "shop-%s", name);
    self.bank = bank_open (self.place);
    bank_make_outbox (self.bank);
    return self;
}

static void
s_open_relay (s_shop_t *self, const scene_t *scene)
{
    self->peer = scene_peer (scene, self->name, NULL);
    self->relay = bank_relay (self->place, self->peer);
}

static void
s_close_relay (s_shop_t *self)
{
    tern_relay_close (&self->relay);
    tern_peer_close (&self->peer, 0);
}

static void
s_close (s_shop_t *self)
{
    s_close_relay (self);
    bank_close (&self->bank);
    free (self->place);
}

static void
s_wait (tern_relay_t *relay)
{
    if (tern_relay_wait (relay, SCENE_DEADLINE_MS)) {
        tern_relay_status_t status;
        tern_relay_status (relay, &status);
        fail_msg ("relay: %s", status.why);
    }
}

//  Plain -------------------------------------------------------------------

void
test_what_was_committed_is_sent_in_order (void **state)
{
    s_shop_t self = s_open ("order");
    s_open_relay (&self, *state);
    tern_peer_t *bank = scene_peer (*state, "bank", NULL);
    tern_consumer_t *consumer = scene_consumer (bank, QUEUE, 1000);
    char text[32];
    for (int number = 0; number < 400; number++) {
        snprintf (text, sizeof text, "order %d", number);
        bank_begin (self.bank);
        relay_put (self.bank, QUEUE, number % 3 ? "nothing" : text);
        if (number % 3) {
            bank_rollback (self.bank);
        } else {
            bank_commit (self.bank);
        }
        if (number % 50 == 0) {
            tern_relay_notify (self.relay);
        }
    }
    for (int number = 0; number < 400; number += 3) {
        snprintf (text, sizeof text, "order %d", number);
        tern_consumer_accept (consumer, scene_expect (consumer, text));
    }
    s_wait (self.relay);
    assert_int_equal (relay_rows (self.bank), 0);
    tern_relay_status_t status;
    tern_relay_status (self.relay, &status);
    assert_int_equal (status.shipped, 134);
    assert_int_equal (status.refused, 0);
    assert_int_equal (status.error, TERN_OK);
    tern_consumer_close (&consumer);
    tern_peer_close (&bank, 0);
    s_close (&self);
}

static void
s_assert_word (const char *word, size_t size, const char *expected)
{
    assert_non_null (word);
    assert_int_equal (size, strlen (expected));
    assert_memory_equal (word, expected, size);
}

void
test_all_of_a_message_is_sent (void **state)
{
    s_shop_t self = s_open ("all");
    s_open_relay (&self, *state);
    tern_peer_t *bank = scene_peer (*state, "bank", NULL);
    tern_consumer_t *consumer = scene_consumer (bank, QUEUE, 10);
    tern_msg_t *msg = tern_msg_new ("a\0b", 3);
    assert_int_equal (tern_msg_set_key (msg, "eu.de"), TERN_OK);
    assert_int_equal (tern_msg_set_header (msg, "kind", "gr\xc3\xbc\xc3\x9f"),
                      TERN_OK);
    assert_int_equal (tern_msg_set_header (msg, "empty", ""), TERN_OK);
    assert_int_equal (tern_msg_set_priority (msg, 7), TERN_OK);
    assert_int_equal (tern_msg_set_ttl (msg, 3600000), TERN_OK);
    assert_int_equal (tern_msg_set_order_key (msg, "customer-1"), TERN_OK);
    assert_int_equal (tern_msg_set_reply_to (msg, "@shop"), TERN_OK);
    assert_int_equal (tern_msg_set_correlation (msg, "c-1"), TERN_OK);
    bank_begin (self.bank);
    assert_int_equal (bank_put (self.bank, QUEUE, msg), TERN_OK);
    bank_commit (self.bank);
    tern_msg_destroy (&msg);
    tern_relay_notify (self.relay);
    msg = scene_receive (consumer);
    size_t size = 0;
    assert_int_equal (tern_msg_size (msg), 3);
    assert_memory_equal (tern_msg_body (msg), "a\0b", 3);
    const char *word = tern_msg_key (msg, &size);
    s_assert_word (word, size, "eu.de");
    word = tern_msg_header (msg, "kind", &size);
    s_assert_word (word, size, "gr\xc3\xbc\xc3\x9f");
    word = tern_msg_header (msg, "empty", &size);
    s_assert_word (word, size, "");
    assert_int_equal (tern_msg_priority (msg), 7);
    word = tern_msg_order_key (msg, &size);
    s_assert_word (word, size, "customer-1");
    word = tern_msg_reply_to (msg, &size);
    s_assert_word (word, size, "@shop");
    word = tern_msg_correlation (msg, &size);
    s_assert_word (word, size, "c-1");
    tern_consumer_accept (consumer, msg);
    //  Any program may put one, and a body may be empty.
    bank_do (self.bank, "INSERT INTO tern_outbox (place, body)"
                        " VALUES ('orders', 'by hand')");
    bank_do (self.bank, "INSERT INTO tern_outbox (place, body)"
                        " VALUES ('orders', '')");
    tern_consumer_accept (consumer, scene_expect (consumer, "by hand"));
    tern_consumer_accept (consumer, scene_expect (consumer, ""));
    tern_consumer_close (&consumer);
    tern_peer_close (&bank, 0);
    s_close (&self);
}

void
test_a_row_that_cannot_be_sent_stops_nobody (void **state)
{
    s_shop_t self = s_open ("refused");
    relay_put (self.bank, QUEUE, "before");
    bank_do (self.bank, "INSERT INTO tern_outbox (place, body, priority)"
                        " VALUES ('orders', 'x', 12)");
    bank_do (self.bank, "INSERT INTO tern_outbox (place, body, headers)"
                        " VALUES ('orders', 'x', 'no end')");
    bank_put_large (self.bank, QUEUE, TERN_BODY_MAX + 1);
    bank_put_large (self.bank, QUEUE, TERN_BODY_MAX);
    relay_put (self.bank, QUEUE, "after");
    tern_msg_t *msg = tern_msg_new ("x", 1);
    assert_int_equal (bank_put (self.bank, "No Queue", msg), TERN_ENAME);
    assert_int_equal (bank_put (self.bank, "", msg), TERN_ENAME);
    tern_msg_destroy (&msg);
    s_open_relay (&self, *state);
    s_wait (self.relay);
    tern_relay_status_t status;
    tern_relay_status (self.relay, &status);
    assert_int_equal (status.shipped, 3);
    assert_int_equal (status.refused, 3);
    assert_int_equal (bank_number (self.bank,
                                   "SELECT count(*) FROM tern_outbox"
                                   " WHERE refused LIKE 'priority: %'"
                                   " OR refused LIKE 'headers: %'"
                                   " OR refused LIKE 'body: %'"),
                      3);
    tern_producer_t *producer = scene_producer (self.peer, QUEUE);
    assert_int_equal (tern_producer_last (producer), 3);
    tern_producer_close (&producer);
    s_close (&self);
}

void
test_a_place_that_is_full_stops_no_other (void **state)
{
    s_shop_t self = s_open ("full");
    char text[32];
    for (int number = 0; number < 12; number++) {
        snprintf (text, sizeof text, "order %d", number);
        relay_put (self.bank, QUEUE, text);
    }
    for (int number = 0; number < 3; number++) {
        snprintf (text, sizeof text, "letter %d", number);
        relay_put (self.bank, "post", text);
    }
    self.peer = scene_peer (*state, self.name, "limit_messages", "5", NULL);
    self.relay = bank_relay (self.place, self.peer);
    tern_peer_t *bank = scene_peer (*state, "bank", NULL);
    tern_consumer_t *post = scene_consumer (bank, "post", 10);
    for (int number = 0; number < 3; number++) {
        snprintf (text, sizeof text, "letter %d", number);
        tern_consumer_accept (post, scene_expect (post, text));
    }
    relay_expect_error (self.relay, TERN_EAGAIN);
    assert_int_equal (tern_relay_wait (self.relay, 0), TERN_ETIMEOUT);
    tern_consumer_t *orders = scene_consumer (bank, QUEUE, 10);
    for (int number = 0; number < 12; number++) {
        snprintf (text, sizeof text, "order %d", number);
        tern_consumer_accept (orders, scene_expect (orders, text));
    }
    s_wait (self.relay);
    relay_expect_error (self.relay, TERN_OK);
    tern_consumer_close (&orders);
    tern_consumer_close (&post);
    tern_peer_close (&bank, 0);
    s_close (&self);
}

//  Without a binding it waits, and only what is for that exchange.
void
test_exchanges_get_what_is_put_for_them (void **state)
{
    s_shop_t self = s_open ("exchange");
    tern_msg_t *msg = tern_msg_new ("rain", 4);
    assert_int_equal (tern_msg_set_key (msg, "weather.de"), TERN_OK);
    assert_int_equal (bank_put (self.bank, "topic#news", msg), TERN_OK);
    assert_int_equal (bank_put (self.bank, "topic#", msg), TERN_ENAME);
    assert_int_equal (bank_put (self.bank, "odd#news", msg), TERN_ENAME);
    tern_msg_destroy (&msg);
    relay_put (self.bank, QUEUE, "order");
    s_open_relay (&self, *state);
    tern_peer_t *bank = scene_peer (*state, "bank", NULL);
    tern_consumer_t *orders = scene_consumer (bank, QUEUE, 10);
    tern_consumer_accept (orders, scene_expect (orders, "order"));
    relay_expect_error (self.relay, TERN_ENOROUTE);
    const tern_binding_t binding = {.exchange = "news",
                                    .type = TERN_TOPIC,
                                    .queue = "clouds",
                                    .pattern = "weather.*"};
    char why[256] = "";
    assert_int_equal (tern_peer_bind (bank, &binding, why, sizeof why),
                      TERN_OK);
    tern_consumer_t *clouds = scene_consumer (bank, "clouds", 10);
    msg = scene_expect (clouds, "rain");
    assert_string_equal (tern_msg_exchange (msg), "news");
    tern_consumer_accept (clouds, msg);
    s_wait (self.relay);
    tern_consumer_close (&clouds);
    tern_consumer_close (&orders);
    tern_peer_close (&bank, 0);
    s_close (&self);
}

//  Identity ----------------------------------------------------------------

void
test_a_database_belongs_to_one_store (void **state)
{
    s_shop_t self = s_open ("owner");
    s_open_relay (&self, *state);
    char why[256] = "";
    tern_relay_t *second = NULL;
    assert_int_equal (
        bank_try_relay (&second, self.place, self.peer, why, sizeof why),
        TERN_EBUSY);
    tern_peer_t *other = scene_peer (*state, "other", NULL);
    assert_int_equal (
        bank_try_relay (&second, self.place, other, why, sizeof why),
        TERN_EFENCED);
    assert_null (second);
    assert_non_null (strstr (why, "is relayed by store"));
    tern_peer_close (&other, 0);
    s_close_relay (&self);
    s_open_relay (&self, *state);
    s_close (&self);
}

//  Ship one row, and begin anew after the change.
static void
s_ship_one_then (s_shop_t *self, const scene_t *scene, const char *change)
{
    s_open_relay (self, scene);
    relay_put (self->bank, QUEUE, "first");
    s_wait (self->relay);
    s_close_relay (self);
    bank_do (self->bank, change);
    relay_put (self->bank, QUEUE, "second");
    s_open_relay (self, scene);
    relay_expect_error (self->relay, TERN_EFENCED);
    assert_int_equal (relay_rows (self->bank), 1);
    tern_producer_t *producer = scene_producer (self->peer, QUEUE);
    assert_int_equal (tern_producer_last (producer), 1);
    tern_producer_close (&producer);
}

void
test_a_database_that_went_back_is_refused (void **state)
{
    s_shop_t self = s_open ("backup");
    s_ship_one_then (&self, *state, "DELETE FROM tern_outbox_place");
    s_close (&self);
}

void
test_an_outbox_that_went_back_is_refused (void **state)
{
    s_shop_t self = s_open ("lost");
    s_ship_one_then (&self, *state,
                     "UPDATE tern_outbox_place SET shipped = 7, claimed = 7");
    s_close (&self);
}

//  Failures ----------------------------------------------------------------

//  The bank's consumer and database, in this process.
typedef struct {
    bank_t *bank;
    tern_inbox_t *inbox;
    tern_peer_t *peer;
    tern_consumer_t *consumer;
} s_bank_t;

static s_bank_t
s_open_bank (const scene_t *scene, const char *name)
{
    char *place = bank_place (name);
    s_bank_t self = {.bank = bank_open (place)};
    free (place);
    self.inbox = bank_inbox (self.bank);
    self.peer = scene_peer (scene, "bank", NULL);
    self.consumer = scene_consumer (self.peer, QUEUE, 100);
    return self;
}

static void
s_close_bank (s_bank_t *self)
{
    tern_consumer_close (&self->consumer);
    tern_peer_close (&self->peer, 0);
    tern_inbox_close (&self->inbox);
    bank_close (&self->bank);
}

static int64_t
s_paid (s_bank_t *self)
{
    return bank_number (self->bank, "SELECT count(*) FROM payment");
}

//  Serve what comes until so many were paid; what is new must be text, then the
//  next.  Returns false after a while in which nothing has come.
static void
s_pay_until (s_bank_t *self, int64_t count)
{
    const int64_t deadline = scene_now_ms () + SCENE_DEADLINE_MS;
    while (s_paid (self) < count) {
        tern_msg_t *msg = tern_consumer_recv (self->consumer, 100);
        if (!msg) {
            if (scene_now_ms () > deadline) {
                fail_msg ("%d paid, %d expected", (int) s_paid (self),
                          (int) count);
            }
            continue;
        }
        char why[256] = "";
        bank_begin (self->bank);
        const int rc = tern_inbox_take (self->inbox, msg, why, sizeof why);
        if (rc < 0) {
            fail_msg ("take: %s", why);
        }
        if (rc == TERN_INBOX_NEW) {
            char number[24];
            snprintf (number, sizeof number, "%d", (int) s_paid (self));
            assert_int_equal (tern_msg_size (msg), strlen (number));
            assert_memory_equal (tern_msg_body (msg), number, strlen (number));
            bank_pay (self->bank, tern_msg_body (msg), tern_msg_size (msg));
        }
        bank_commit (self->bank);
        tern_consumer_accept (self->consumer, msg);
    }
}

//  Put the next numbers, in one transaction each.
static void
s_put_numbers (bank_t *bank, int64_t *next, int count)
{
    for (; count; count--) {
        char text[24];
        snprintf (text, sizeof text, "%d", (int) (*next)++);
        bank_begin (bank);
        relay_put (bank, QUEUE, text);
        bank_commit (bank);
    }
}

void
test_the_database_may_fail_at_every_call (void **state)
{
    s_shop_t self = s_open ("failing");
    s_bank_t bank = s_open_bank (*state, "failing-bank");
    s_open_relay (&self, *state);
    int64_t next = 0;
    unsigned long calls = 0;
    for (unsigned long call = 1; call <= calls + 1; call++) {
        s_wait (self.relay);
        doom_fail_at (call);
        s_put_numbers (self.bank, &next, 2);
        s_wait (self.relay);
        calls = doom_fail_at (0);
        s_pay_until (&bank, next);
    }
    assert_int_equal (relay_rows (self.bank), 0);
    print_message ("failed at each of %lu calls\n", calls);
    s_close_bank (&bank);
    s_close (&self);
}

//  run PEER PLACE STEP: relay until everything is sent, say so, and stay; die
//  at STEP.
int
relay_run (const scene_t *scene, int argc, char **argv)
{
    assert_int_equal (argc, 3);
    doom_at (strtoul (argv[2], NULL, 10));
    tern_peer_t *peer = scene_peer (scene, argv[0], NULL);
    tern_relay_t *relay = bank_relay (argv[1], peer);
    s_wait (relay);
    doom_at (0);
    printf ("sent\n");
    for (;;) {
        pause ();
    }
}

void
test_the_relay_may_be_killed_at_every_step (void **state)
{
    s_shop_t self = s_open ("killed");
    s_bank_t bank = s_open_bank (*state, "killed-bank");
    int64_t next = 0;
    unsigned long step = 0;
    bool survived = false;
    while (!survived) {
        char number[24];
        scene_child_t child;
        step++;
        snprintf (number, sizeof number, "%lu", step);
        s_put_numbers (self.bank, &next, 2);
        scene_start (*state, &child, "run", self.name, self.place, number,
                     NULL);
        survived = scene_line (&child) != NULL;
        if (!survived) {
            scene_kill (&child);
            scene_start (*state, &child, "run", self.name, self.place, "0",
                         NULL);
            scene_says (&child, "sent");
        }
        s_pay_until (&bank, next);
        scene_kill (&child);
        assert_int_equal (relay_rows (self.bank), 0);
    }
    //  Scan, measure, claim, two sent, synced, deleted.
    assert_true (step > 20);
    assert_int_equal (s_paid (&bank), next);
    print_message ("killed at each of %lu steps\n", step - 1);
    s_close_bank (&bank);
    s_close (&self);
}

//  apply PLACE STEP: two payments, each with its message; die at STEP.
int
relay_apply (const scene_t *scene, int argc, char **argv)
{
    (void) scene;
    assert_int_equal (argc, 2);
    bank_t *bank = bank_open (argv[0]);
    doom_at (strtoul (argv[1], NULL, 10));
    for (int count = 0; count < 2; count++) {
        char text[24];
        bank_begin (bank);
        snprintf (text, sizeof text, "%d",
                  (int) bank_number (bank, "SELECT count(*) FROM payment"));
        bank_pay (bank, text, strlen (text));
        relay_put (bank, QUEUE, text);
        bank_commit (bank);
    }
    doom_at (0);
    printf ("done\n");
    bank_close (&bank);
    return 0;
}

void
test_the_application_may_be_killed_at_every_step (void **state)
{
    s_shop_t self = s_open ("applied");
    s_bank_t bank = s_open_bank (*state, "applied-bank");
    s_open_relay (&self, *state);
    unsigned long step = 0;
    bool survived = false;
    while (!survived) {
        char number[24];
        scene_child_t child;
        step++;
        snprintf (number, sizeof number, "%lu", step);
        scene_start (*state, &child, "apply", self.place, number, NULL);
        survived = scene_line (&child) != NULL;
        scene_kill (&child);
        s_wait (self.relay);
        s_pay_until (&bank,
                     bank_number (self.bank, "SELECT count(*) FROM payment"));
    }
    //  Begin, look, pay, put, commit, twice.
    assert_true (step > 2 * 5 * 2);
    assert_int_equal (s_paid (&bank),
                      bank_number (self.bank, "SELECT count(*) FROM payment"));
    print_message ("killed at each of %lu steps\n", step - 1);
    s_close_bank (&bank);
    s_close (&self);
}
