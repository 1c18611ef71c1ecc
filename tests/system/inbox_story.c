//  tests/system/inbox_story.c - what an inbox promises, on any database
//
//  Most of it is about letters made here, with the seqs, floors and ids that a
//  claim is about.  The last two send real messages to real processes.
//
//  SPDX-License-Identifier: MPL-2.0

#include "inbox_story.h"
#include "doom.h"

#include "base/memory.h"
#include "peer/message.h"
#include "peer/parcel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define STORE "store-0123456789"
#define QUEUE "pay"

tern_msg_t *
inbox_letter (const inbox_letter_t *letter)
{
    trn_propset_t props = {0};
    if (letter->first) {
        char id[100];
        snprintf (id, sizeof id, "shop/%s/%llu", letter->outbox,
                  (unsigned long long) letter->first);
        assert_int_equal (
            trn_propset_text (&props, trn_text (TRN_OWN_ID), trn_text (id)),
            TERN_OK);
        assert_int_equal (trn_propset_bytes (&props, trn_text (TRN_OWN_STORE),
                                             (const uint8_t *) letter->store,
                                             16),
                          TERN_OK);
    }
    size_t size = 0;
    const uint8_t *map = trn_propset_map (&props, &size);
    const trn_record_t record = {.kind = TRN_RECORD_MESSAGE,
                                 .flags = letter->first ? TRN_RECORD_RULED : 0,
                                 .seq = letter->seq,
                                 .props = map,
                                 .props_size = (uint16_t) size,
                                 .body = (const uint8_t *) "1",
                                 .body_size = 1};
    zmq_msg_t frame;
    zmq_msg_init_size (&frame, trn_record_size (&record));
    trn_record_write (zmq_msg_data (&frame), &record, 1, 0);
    trn_inrun_t *run = trn_inrun_new (&frame);
    tern_msg_t *msg = trn_alloc (sizeof *msg);
    msg->parcel = trn_parcel_new (run, letter->seq, letter->seq, letter->seq);
    trn_inrun_release (&run);
    //  A replay comes in a stream of its own, which promises other things.
    memcpy (msg->parcel->store_uuid,
            letter->first ? "another-store-00" : letter->store, 16);
    snprintf (msg->parcel->publisher, sizeof msg->parcel->publisher, "shop");
    snprintf (msg->parcel->outbox, sizeof msg->parcel->outbox, "%s",
              letter->outbox);
    snprintf (msg->parcel->queue, sizeof msg->parcel->queue, "%s",
              letter->queue);
    msg->parcel->floor = letter->floor;
    assert_true (trn_parcel_step (msg->parcel, &msg->record));
    trn_propset_clear (&props);
    return msg;
}

int
inbox_ask (tern_inbox_t *inbox, const inbox_letter_t *letter)
{
    tern_msg_t *msg = inbox_letter (letter);
    char why[256] = "";
    const int answer = tern_inbox_take (inbox, msg, why, sizeof why);
    if (answer < 0) {
        assert_int_not_equal (why[0], '\0');
    }
    tern_msg_destroy (&msg);
    return answer;
}

int
inbox_take (bank_t *bank, tern_inbox_t *inbox, const inbox_letter_t *letter)
{
    bank_begin (bank);
    const int answer = inbox_ask (inbox, letter);
    bank_commit (bank);
    return answer;
}

//  A fresh database, its inbox, and the seq'th letter of one stream.
typedef struct {
    bank_t *bank;
    tern_inbox_t *inbox;
} s_place_t;

static s_place_t
s_open (const char *name)
{
    char *place = bank_place (name);
    s_place_t self = {.bank = bank_open (place)};
    self.inbox = bank_inbox (self.bank);
    free (place);
    return self;
}

static void
s_close (s_place_t *self)
{
    tern_inbox_close (&self->inbox);
    bank_close (&self->bank);
}

static inbox_letter_t
s_letter (uint64_t seq, uint64_t floor)
{
    return (inbox_letter_t) {STORE, QUEUE, QUEUE, seq, floor, 0};
}

static int
s_take (s_place_t *self, uint64_t seq, uint64_t floor)
{
    const inbox_letter_t letter = s_letter (seq, floor);
    return inbox_take (self->bank, self->inbox, &letter);
}

static int
s_replay (s_place_t *self, uint64_t first)
{
    inbox_letter_t letter = s_letter (1, 1);
    letter.first = first;
    return inbox_take (self->bank, self->inbox, &letter);
}

static int64_t
s_marks (s_place_t *self)
{
    return bank_number (self->bank, "SELECT count(*) FROM tern_inbox");
}

//  Letters -----------------------------------------------------------------

void
test_a_message_is_new_once (void **state)
{
    (void) state;
    s_place_t self = s_open ("once");
    assert_int_equal (s_take (&self, 1, 1), TERN_INBOX_NEW);
    assert_int_equal (s_take (&self, 1, 1), TERN_INBOX_SEEN);
    assert_int_equal (s_take (&self, 2, 1), TERN_INBOX_NEW);
    assert_int_equal (s_take (&self, 1, 1), TERN_INBOX_SEEN);
    //  Also within one transaction, and in another life.
    bank_begin (self.bank);
    const inbox_letter_t third = s_letter (3, 1);
    assert_int_equal (inbox_ask (self.inbox, &third), TERN_INBOX_NEW);
    assert_int_equal (inbox_ask (self.inbox, &third), TERN_INBOX_SEEN);
    bank_commit (self.bank);
    s_close (&self);
    self = s_open ("once");
    assert_int_equal (s_take (&self, 3, 1), TERN_INBOX_SEEN);
    assert_int_equal (s_take (&self, 4, 1), TERN_INBOX_NEW);
    s_close (&self);
}

void
test_a_rollback_takes_the_mark_back (void **state)
{
    (void) state;
    s_place_t self = s_open ("rollback");
    const inbox_letter_t letter = s_letter (7, 3);
    for (int time = 0; time < 3; time++) {
        bank_begin (self.bank);
        assert_int_equal (inbox_ask (self.inbox, &letter), TERN_INBOX_NEW);
        bank_rollback (self.bank);
    }
    //  The stream was new too, and what it was given may now be another's.
    inbox_letter_t other = letter;
    other.queue = "other";
    assert_int_equal (inbox_take (self.bank, self.inbox, &other),
                      TERN_INBOX_NEW);
    assert_int_equal (s_take (&self, 7, 3), TERN_INBOX_NEW);
    assert_int_equal (s_take (&self, 7, 3), TERN_INBOX_SEEN);
    s_close (&self);
}

void
test_streams_are_apart (void **state)
{
    (void) state;
    s_place_t self = s_open ("streams");
    const inbox_letter_t letters[] = {
        {STORE, "pay", "pay", 5, 2, 0},
        {"store-0123456780", "pay", "pay", 5, 2, 0},
        {STORE, "#events", "pay", 5, 2, 0},
        {STORE, "#events", "audit", 5, 2, 0},
    };
    const size_t count = sizeof letters / sizeof *letters;
    for (size_t index = 0; index < count; index++) {
        assert_int_equal (inbox_take (self.bank, self.inbox, &letters[index]),
                          TERN_INBOX_NEW);
    }
    for (size_t index = 0; index < count; index++) {
        assert_int_equal (inbox_take (self.bank, self.inbox, &letters[index]),
                          TERN_INBOX_SEEN);
    }
    s_close (&self);
}

//  A copy that a slow consumer holds while another has done it, and its mark is
//  forgotten.
void
test_a_late_copy_is_seen (void **state)
{
    (void) state;
    s_place_t self = s_open ("late");
    assert_int_equal (s_take (&self, 5, 1), TERN_INBOX_NEW);
    assert_int_equal (s_take (&self, 9, 8), TERN_INBOX_NEW);
    assert_int_equal (s_marks (&self), 1);
    assert_int_equal (s_take (&self, 5, 1), TERN_INBOX_SEEN);
    assert_int_equal (s_take (&self, 7, 1), TERN_INBOX_SEEN);
    assert_int_equal (s_take (&self, 8, 1), TERN_INBOX_NEW);
    s_close (&self);
}

void
test_what_never_comes_again_is_forgotten (void **state)
{
    (void) state;
    s_place_t self = s_open ("prune");
    bank_begin (self.bank);
    for (uint64_t seq = 1; seq <= 1000; seq++) {
        const inbox_letter_t letter = s_letter (seq, seq > 20 ? seq - 20 : 1);
        assert_int_equal (inbox_ask (self.inbox, &letter), TERN_INBOX_NEW);
    }
    bank_commit (self.bank);
    assert_int_equal (s_marks (&self), 21);
    for (uint64_t seq = 1; seq <= 1000; seq++) {
        assert_int_equal (s_take (&self, seq, 1), TERN_INBOX_SEEN);
    }
    s_close (&self);
}

void
test_many_publishers_leave_a_row_each (void **state)
{
    (void) state;
    s_place_t self = s_open ("many");
    bank_begin (self.bank);
    for (unsigned publisher = 0; publisher < 2000; publisher++) {
        char store[17];
        snprintf (store, sizeof store, "publisher-%06u", publisher);
        inbox_letter_t letter = {store, QUEUE, QUEUE, 1, 1, 0};
        for (; letter.seq <= 4; letter.seq++) {
            letter.floor = letter.seq;
            assert_int_equal (inbox_ask (self.inbox, &letter), TERN_INBOX_NEW);
        }
    }
    bank_commit (self.bank);
    assert_int_equal (s_marks (&self), 2000);
    assert_int_equal (
        bank_number (self.bank, "SELECT count(*) FROM tern_inbox_stream"),
        2000);
    s_close (&self);
}

void
test_a_replayed_dead_letter_is_new_once_for_ever (void **state)
{
    (void) state;
    s_place_t self = s_open ("replay");
    //  5 was rejected, so it was never marked; the publisher is far beyond.
    assert_int_equal (s_take (&self, 100, 100), TERN_INBOX_NEW);
    assert_int_equal (s_replay (&self, 5), TERN_INBOX_NEW);
    assert_int_equal (s_replay (&self, 5), TERN_INBOX_SEEN);
    assert_int_equal (s_take (&self, 200, 200), TERN_INBOX_NEW);
    assert_int_equal (s_replay (&self, 5), TERN_INBOX_SEEN);
    assert_int_equal (s_replay (&self, 6), TERN_INBOX_NEW);
    //  Of a stream that was never heard of.
    inbox_letter_t letter = {STORE, "#x", QUEUE, 1, 1, 3};
    assert_int_equal (inbox_take (self.bank, self.inbox, &letter),
                      TERN_INBOX_NEW);
    assert_int_equal (inbox_take (self.bank, self.inbox, &letter),
                      TERN_INBOX_SEEN);
    s_close (&self);
}

//  Done, but its consumer died before it could say so, and it was the last
//  delivery allowed.
void
test_a_replay_of_what_was_done_is_seen (void **state)
{
    (void) state;
    s_place_t self = s_open ("replay-done");
    assert_int_equal (s_take (&self, 5, 1), TERN_INBOX_NEW);
    assert_int_equal (s_replay (&self, 5), TERN_INBOX_SEEN);
    //  The replay may come again when the publisher has gone on.
    assert_int_equal (s_take (&self, 100, 100), TERN_INBOX_NEW);
    assert_int_equal (s_replay (&self, 5), TERN_INBOX_SEEN);
    s_close (&self);
}

void
test_no_mark_is_made_outside_a_transaction (void **state)
{
    (void) state;
    s_place_t self = s_open ("outside");
    const inbox_letter_t letter = s_letter (1, 1);
    assert_int_equal (inbox_ask (self.inbox, &letter), TERN_EINVAL);
    assert_int_equal (s_marks (&self), 0);
    s_close (&self);
}

void
test_tables_of_a_newer_tern_are_refused (void **state)
{
    (void) state;
    s_place_t self = s_open ("newer");
    bank_do (self.bank, "UPDATE tern_schema SET version = 99"
                        " WHERE part = 'inbox'");
    tern_inbox_close (&self.inbox);
    char why[256] = "";
    assert_int_equal (bank_try_inbox (self.bank, why, sizeof why),
                      TERN_EVERSION);
    assert_string_equal (why, "tables of version 99, this Tern knows 1");
    bank_begin (self.bank);
    assert_int_equal (bank_try_inbox (self.bank, why, sizeof why), TERN_EINVAL);
    bank_rollback (self.bank);
    bank_close (&self.bank);
}

void
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

//  Processes ---------------------------------------------------------------

//  Take one message as the header says.
static void
s_serve (bank_t *bank, tern_inbox_t *inbox, tern_consumer_t *consumer,
         tern_msg_t *msg)
{
    char why[256] = "";
    bank_begin (bank);
    switch (tern_inbox_take (inbox, msg, why, sizeof why)) {
    case TERN_INBOX_NEW:
        bank_pay (bank, tern_msg_body (msg), tern_msg_size (msg));
        break;
    case TERN_INBOX_SEEN: break;
    default: fail_msg ("take: %s", why);
    }
    bank_commit (bank);
    tern_consumer_accept (consumer, msg);
}

//  work PLACE STEP COUNT: serve COUNT messages, say so, and stay; die at STEP.
int
inbox_work (const scene_t *scene, int argc, char **argv)
{
    assert_int_equal (argc, 3);
    bank_t *bank = bank_open (argv[0]);
    tern_inbox_t *inbox = bank_inbox (bank);
    tern_peer_t *peer = scene_peer (scene, "bank", NULL);
    tern_consumer_t *consumer = scene_consumer (peer, QUEUE, 10);
    doom_at (strtoul (argv[1], NULL, 10));
    for (unsigned long left = strtoul (argv[2], NULL, 10); left; left--) {
        s_serve (bank, inbox, consumer, tern_consumer_recv (consumer, -1));
    }
    doom_at (0);
    const int rc = tern_consumer_flush (consumer, SCENE_DEADLINE_MS);
    printf ("%s\n", rc ? "not flushed" : "done");
    for (;;) {
        s_serve (bank, inbox, consumer, tern_consumer_recv (consumer, -1));
    }
}

void
test_the_table_stays_as_small_as_what_is_unsettled (void **state)
{
    s_place_t self = s_open ("small");
    tern_peer_t *shop = scene_peer (*state, "shop", NULL);
    tern_producer_t *producer = scene_producer (shop, QUEUE);
    tern_peer_t *peer = scene_peer (*state, "bank", NULL);
    tern_consumer_t *consumer = scene_consumer (peer, QUEUE, 100);
    const uint64_t last = scene_send_numbers (producer, "pay", 2000);
    for (uint64_t seq = 1; seq <= last; seq++) {
        s_serve (self.bank, self.inbox, consumer, scene_receive (consumer));
    }
    scene_settled (producer, last);
    assert_int_equal (
        bank_number (self.bank, "SELECT count(DISTINCT what) FROM payment"),
        2000);
    //  The promise comes with a message, and is behind by half a second: so long
    //  nothing else moves.
    const int64_t deadline = scene_now_ms () + SCENE_DEADLINE_MS;
    while (s_marks (&self) > 2) {
        assert_true (scene_now_ms () < deadline);
        assert_null (tern_consumer_recv (consumer, 600));
        scene_send (producer, "more");
        s_serve (self.bank, self.inbox, consumer, scene_receive (consumer));
    }
    tern_consumer_close (&consumer);
    tern_producer_close (&producer);
    tern_peer_close (&peer, 0);
    tern_peer_close (&shop, 0);
    s_close (&self);
}

void
test_a_consumer_may_be_killed_at_every_step (void **state)
{
    s_place_t self = s_open ("killed");
    char *place = bank_place ("killed");
    tern_peer_t *shop = scene_peer (*state, "shop", NULL);
    tern_producer_t *producer = scene_producer (shop, QUEUE);
    unsigned long step = 0;
    int64_t sent = 0;
    bool survived = false;
    while (!survived) {
        char number[24];
        char text[48];
        scene_child_t first;
        step++;
        snprintf (number, sizeof number, "%lu", step);
        snprintf (text, sizeof text, "pay-%lu", step);
        uint64_t last = scene_send_numbers (producer, text, 2);
        sent += 2;
        scene_start (*state, &first, "work", place, number, "2", NULL);
        survived = scene_line (&first) != NULL;
        scene_kill (&first);
        if (!survived) {
            scene_child_t second;
            scene_start (*state, &second, "work", place, "0", "1", NULL);
            scene_settled (producer, last);
            scene_kill (&second);
        }
        assert_int_equal (
            bank_number (self.bank, "SELECT count(*) FROM payment"), sent);
    }
    //  Two messages: begin, mark, look, pay, commit, accept, each twice.
    assert_true (step > 2 * 6 * 2);
    assert_int_equal (
        bank_number (self.bank, "SELECT count(DISTINCT what) FROM payment"),
        sent);
    print_message ("killed at each of %lu steps\n", step - 1);
    tern_producer_close (&producer);
    tern_peer_close (&shop, 0);
    free (place);
    s_close (&self);
}
