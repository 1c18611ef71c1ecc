//  test_hostile - strangers at a peer's ROUTER, and a directory that lies
//
//  Whatever they say is counted and dropped: nothing aborts, memory does not
//  follow them, and whoever speaks properly is served all the while.
//
//  SPDX-License-Identifier: MPL-2.0

#include "scene.h"
#include "stranger.h"

#include "wire/dirframe.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

#include <cmocka.h>

#define QUEUE "hello"

//  What the whole process may grow by while it is spoken to like that: the
//  strangers' own sockets are in it too.
#define GROWTH_MAX (64u * 1024 * 1024)

//  Sanitizers keep what was freed.
static void
s_assert_small (size_t before)
{
    const size_t after = scene_resident ();
    if (!scene_is_instrumented () && after > before + GROWTH_MAX) {
        fail_msg ("grew by %zu MiB", (after - before) / 1048576);
    }
}

//  A peer that consumes, and somebody who speaks properly to it.
typedef struct {
    tern_peer_t *payment, *orders;
    tern_consumer_t *consumer;
    tern_producer_t *producer;
    size_t resident;
} victim_t;

static victim_t
s_victim (void **state)
{
    victim_t self;
    self.payment = scene_peer (*state, "payment-1", NULL);
    self.orders = scene_peer (*state, "orders-1", NULL);
    self.consumer = scene_consumer (self.payment, QUEUE, 100);
    self.producer = scene_producer (self.orders, QUEUE);
    scene_consumers (self.orders, QUEUE, 1);
    self.resident = scene_resident ();
    return self;
}

//  Good messages still pass.  Strangers who did it right may be heard too.
static void
s_still_serves (victim_t *self)
{
    char text[64];
    snprintf (text, sizeof text, "still here %llu",
              (unsigned long long) tern_producer_last (self->producer));
    const uint64_t seq = scene_send (self->producer, text);
    bool found = false;
    while (!found) {
        tern_msg_t *msg = scene_receive (self->consumer);
        found = strcmp (tern_msg_publisher (msg), "orders-1") == 0;
        if (found) {
            assert_memory_equal (tern_msg_body (msg), text, strlen (text));
        }
        assert_int_equal (tern_consumer_accept (self->consumer, msg), TERN_OK);
    }
    scene_settled (self->producer, seq);
}

static void
s_end (victim_t *self)
{
    s_still_serves (self);
    s_assert_small (self->resident);
    tern_producer_close (&self->producer);
    tern_consumer_close (&self->consumer);
    tern_peer_close (&self->orders, 0);
    tern_peer_close (&self->payment, 0);
}

//  At the ROUTER ---------------------------------------------------------------

static void
test_nonsense_is_counted_and_dropped (void **state)
{
    victim_t victim = s_victim (state);
    test_random_t random = test_random_start ();
    for (unsigned round = 0; round < 10; round++) {
        stranger_t stranger;
        //  Ids that a ROUTER might give itself, and ones that it never would.
        uint8_t id[255] = {0};
        const size_t id_size = round % 3 == 0   ? 0
                               : round % 3 == 1 ? 5
                                                : sizeof id;
        for (size_t index = round % 3 == 1; index < id_size; index++) {
            id[index] = (uint8_t) test_random (&random);
        }
        id[0] = id_size == sizeof id ? 'x' : 0;
        stranger_open (&stranger, tern_peer_endpoint (victim.payment), id,
                       id_size);
        if (round % 2 && id_size == 0) {
            //  Nonsense in the middle of a conversation that began well.
            stranger_begins (&stranger, "stranger-1", QUEUE);
        }
        stranger_babbles (&stranger, &random, 2000);
        s_still_serves (&victim);
        stranger_close (&stranger);
    }
    scene_event (victim.payment, "TERN-GARBAGE");
    s_end (&victim);
}

static void
test_a_giant_frame_ends_only_its_own_connection (void **state)
{
    victim_t victim = s_victim (state);
    const size_t size = 64u * 1024 * 1024;
    char *giant = calloc (1, size);
    stranger_t stranger;
    stranger_open (&stranger, tern_peer_endpoint (victim.payment), NULL, 0);
    assert_int_equal (stranger_begins (&stranger, "stranger-1", QUEUE).type,
                      TRN_CREDIT);
    const size_t before = scene_resident ();
    stranger_say (&stranger, giant, size, NULL, 0);
    //  The connection ends and comes again, as bare ZeroMQ does; the old
    //  conversation is over.
    scene_event (victim.payment, "TERN-PEER-GONE");
    s_assert_small (before + size);
    stranger_close (&stranger);
    free (giant);
    victim.resident += size;  //  what malloc may keep of it
    s_end (&victim);
}

static void
test_a_crowd_of_names_does_not_fill_memory (void **state)
{
    victim_t victim = s_victim (state);
    stranger_t strangers[20];
    for (unsigned index = 0; index < 20; index++) {
        stranger_open (&strangers[index], tern_peer_endpoint (victim.payment),
                       NULL, 0);
    }
    for (unsigned count = 0; count < 10000; count++) {
        stranger_t *stranger = &strangers[count % 20];
        char name[32];
        snprintf (name, sizeof name, "crowd-%u", count);
        trn_frame_t frame = {.type = TRN_HELLO};
        frame.hello.version_min = 1;
        frame.hello.version_max = 1;
        frame.hello.who = (trn_identity_t) {.name = trn_text (name),
                                            .incarnation = 1,
                                            .random = count,
                                            .frame_max = TRN_FRAME_MAX};
        memcpy (frame.hello.who.store_uuid, name, strlen (name));
        stranger_frame (stranger, &frame, NULL, 0);
        //  A second HELLO on one connection ends it: the next begins anew.
        trn_frame_t bye = {.type = TRN_PING, .connection = count + 1};
        stranger_frame (stranger, &bye, NULL, 0);
    }
    s_still_serves (&victim);
    for (unsigned index = 0; index < 20; index++) {
        stranger_close (&strangers[index]);
    }
    s_end (&victim);
}

//  The text of a message that must be the next one of the stranger.
static void
s_expect_accept (victim_t *victim, const char *text)
{
    tern_msg_t *msg = scene_expect (victim->consumer, text);
    assert_string_equal (tern_msg_publisher (msg), "stranger-1");
    assert_int_equal (tern_consumer_accept (victim->consumer, msg), TERN_OK);
}

static void
test_a_run_that_is_said_twice_is_delivered_once (void **state)
{
    victim_t victim = s_victim (state);
    stranger_t stranger;
    stranger_open (&stranger, tern_peer_endpoint (victim.payment), NULL, 0);
    assert_int_equal (stranger_begins (&stranger, "stranger-1", QUEUE).type,
                      TRN_CREDIT);
    uint8_t run[512];
    size_t size = stranger_record (&stranger, run, 1, 128, "one");
    size += stranger_record (&stranger, run + size, 2, 128 + (int64_t) size,
                             "two");
    trn_frame_t data = stranger_data (&stranger, 1, 1, 2, 128);
    stranger_frame (&stranger, &data, run, size);
    s_expect_accept (&victim, "one");
    s_expect_accept (&victim, "two");

    //  The same again, as a new lease and flagged: settled here before.
    data.data.token = 2;
    data.data.deliveries = 2;
    data.data.flags = TRN_DATA_REDELIVERED;
    stranger_frame (&stranger, &data, run, size);
    trn_frame_t answer = {.type = TRN_SETTLE};
    while (answer.settle.entries[0].token != 2) {
        assert_true (stranger_hears (&stranger, TRN_SETTLE, &answer));
    }
    assert_null (tern_consumer_recv (victim.consumer, 0));
    stranger_close (&stranger);
    s_end (&victim);
}

static void
test_a_run_with_a_changed_byte_ends_its_link (void **state)
{
    victim_t victim = s_victim (state);
    for (unsigned place = 0; place < 48; place += 5) {
        stranger_t stranger;
        stranger_open (&stranger, tern_peer_endpoint (victim.payment), NULL, 0);
        assert_int_equal (stranger_begins (&stranger, "stranger-1", QUEUE).type,
                          TRN_CREDIT);
        uint8_t run[512];
        const size_t size = stranger_record (&stranger, run, 1, 128, "damaged");
        run[place % size] ^= 0x10;
        const trn_frame_t data = stranger_data (&stranger, 1, 1, 1, 128);
        stranger_frame (&stranger, &data, run, size);
        trn_frame_t answer;
        assert_true (stranger_hears (&stranger, TRN_BYE, &answer));
        stranger_close (&stranger);
    }
    assert_null (tern_consumer_recv (victim.consumer, 0));
    s_end (&victim);
}

static void
test_a_run_of_another_place_or_store_ends_its_link (void **state)
{
    victim_t victim = s_victim (state);
    for (unsigned lie = 0; lie < 3; lie++) {
        stranger_t stranger;
        stranger_open (&stranger, tern_peer_endpoint (victim.payment), NULL, 0);
        assert_int_equal (stranger_begins (&stranger, "stranger-1", QUEUE).type,
                          TRN_CREDIT);
        stranger_t other = stranger;
        other.store_uuid[15] ^= (uint8_t) (lie == 0);
        uint8_t run[512];
        const size_t size = stranger_record (&other, run, lie == 1 ? 2 : 1,
                                             lie == 2 ? 136 : 128, "moved");
        const trn_frame_t data = stranger_data (&stranger, 1, 1, 1, 128);
        stranger_frame (&stranger, &data, run, size);
        trn_frame_t answer;
        assert_true (stranger_hears (&stranger, TRN_BYE, &answer));
        stranger_close (&stranger);
    }
    assert_null (tern_consumer_recv (victim.consumer, 0));
    s_end (&victim);
}

static void
test_who_sends_beyond_his_credit_is_cut_off (void **state)
{
    victim_t victim = s_victim (state);
    stranger_t stranger;
    stranger_open (&stranger, tern_peer_endpoint (victim.payment), NULL, 0);
    const trn_frame_t credit = stranger_begins (&stranger, "stranger-1", QUEUE);
    assert_int_equal (credit.type, TRN_CREDIT);
    assert_true (credit.credit.messages <= 100);
    static uint8_t run[1024 * 64];
    size_t size = 0;
    const uint32_t count = 1000;
    for (uint32_t seq = 1; seq <= count; seq++) {
        size += stranger_record (&stranger, run + size, seq,
                                 128 + (int64_t) size, "greed");
    }
    const trn_frame_t data = stranger_data (&stranger, 1, 1, count, 128);
    stranger_frame (&stranger, &data, run, size);
    trn_frame_t answer;
    assert_true (stranger_hears (&stranger, TRN_BYE, &answer));
    scene_event (victim.payment, "TERN-PROTOCOL-ERROR");
    assert_null (tern_consumer_recv (victim.consumer, 0));
    stranger_close (&stranger);
    s_end (&victim);
}

static void
test_nobody_is_taken_for_the_peer_itself (void **state)
{
    victim_t victim = s_victim (state);
    stranger_t stranger;
    stranger_open (&stranger, tern_peer_endpoint (victim.payment), NULL, 0);
    trn_frame_t frame = {.type = TRN_HELLO};
    frame.hello.version_min = 1;
    frame.hello.version_max = 1;
    frame.hello.who = (trn_identity_t) {.name = trn_text ("payment-1"),
                                        .incarnation = 1,
                                        .random = 7,
                                        .frame_max = TRN_FRAME_MAX};
    stranger_frame (&stranger, &frame, NULL, 0);
    trn_frame_t answer;
    assert_true (stranger_hears (&stranger, TRN_REFUSE, &answer));
    assert_int_equal (answer.refuse.reason, TRN_REFUSE_NAME);
    frame.hello.version_min = frame.hello.version_max = 99;
    stranger_frame (&stranger, &frame, NULL, 0);
    assert_true (stranger_hears (&stranger, TRN_REFUSE, &answer));
    assert_int_equal (answer.refuse.reason, TRN_REFUSE_VERSION);
    stranger_close (&stranger);
    s_end (&victim);
}

//  Servers that lie ------------------------------------------------------------

//  A ROUTER that answers whatever comes with nonsense, on a thread.
typedef struct {
    void *context, *router;
    char endpoint[128];
    pthread_t thread;
    atomic_bool stop;
    atomic_uint answered;
    test_random_t random;
    bool directory;  //  answers like a directory, else like a consumer
} liar_t;

//  Directory frames that say too much, of epochs that nobody knows.
static size_t
s_lie_as_directory (test_random_t *random, uint8_t *bytes, size_t capacity)
{
    trn_dirframe_t frame = {.type = TRN_DIR_PONG};
    switch (test_random_below (random, 4)) {
    case 0:
        frame.type = TRN_DIR_REGISTERED;
        frame.registered.epoch = test_random_wide (random) / 2;
        frame.registered.version = test_random_below (random, 4);
        frame.registered.lease_ms = 1 + test_random_below (random, 300000);
        break;
    case 1:
        frame.type = TRN_DIR_DELTA;
        frame.delta.epoch = 1;
        frame.delta.number = test_random_below (random, 50);
        frame.delta.removed = test_random_below (random, 2);
        frame.delta.entry.name = trn_text ("ghost");
        frame.delta.entry.incarnation = test_random_wide (random) / 2;
        frame.delta.entry.endpoint_count = 1;
        frame.delta.entry.endpoints[0] = trn_text ("tcp://127.0.0.1:9");
        frame.delta.entry.queue_count = 1;
        frame.delta.entry.queues[0] = trn_text (QUEUE);
        break;
    case 2:
        frame.type = TRN_DIR_REFUSED;
        frame.refused.reason
            = (trn_dir_refusal_t) (1 + test_random_below (random, 6));
        frame.refused.text = trn_text ("\x1b[2J%n");
        break;
    default:
        frame.pong.nonce = test_random_wide (random) / 2;
        frame.pong.epoch = test_random_below (random, 2);
        frame.pong.number = test_random_below (random, 50);
        break;
    }
    return trn_dirframe_encode (&frame, bytes, capacity);
}

static size_t
s_lie_as_consumer (test_random_t *random, uint8_t *bytes, size_t capacity)
{
    trn_frame_t frame = {.type = TRN_WELCOME, .connection = 5};
    frame.welcome.version = 1;
    frame.welcome.who = (trn_identity_t) {.name = trn_text ("liar-1"),
                                          .incarnation = 1,
                                          .random = 1,
                                          .frame_max = TRN_FRAME_MAX};
    switch (test_random_below (random, 5)) {
    case 0:
        frame = (trn_frame_t) {.type = TRN_ACCEPT, .connection = 5};
        frame.accept.flow = (uint32_t) test_random_below (random, 4);
        frame.accept.seen = test_random_wide (random) / 2;
        break;
    case 1:
        frame = (trn_frame_t) {.type = TRN_CREDIT, .connection = 5};
        frame.credit.flow = (uint32_t) test_random_below (random, 4);
        frame.credit.messages = test_random_wide (random) / 2;
        frame.credit.bytes = test_random_wide (random) / 2;
        break;
    case 2:
        frame = (trn_frame_t) {.type = TRN_SETTLE, .connection = 5};
        frame.settle.flow = (uint32_t) test_random_below (random, 4);
        frame.settle.count = 1;
        frame.settle.entries[0]
            = (trn_settle_t) {test_random_below (random, 8), TRN_REQUEUED, 1,
                              1 + test_random_below (random, 50)};
        break;
    default: break;
    }
    return trn_frame_encode (&frame, bytes, capacity);
}

static void
s_answer (liar_t *self, const uint8_t *id, size_t id_size)
{
    static uint8_t bytes[TRN_DIRECTORY_FRAME_MAX];
    for (unsigned count = 0; count < 20; count++) {
        size_t size
            = self->directory
                  ? s_lie_as_directory (&self->random, bytes, sizeof bytes)
                  : s_lie_as_consumer (&self->random, bytes, sizeof bytes);
        if (test_random_below (&self->random, 3) == 0) {
            bytes[test_random_below (&self->random, size)]
                ^= (uint8_t) test_random (&self->random);
        }
        zmq_send (self->router, id, id_size, ZMQ_DONTWAIT | ZMQ_SNDMORE);
        const bool more = test_random_below (&self->random, 10) == 0;
        zmq_send (self->router, bytes, size,
                  ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0));
        if (more) {
            zmq_send (self->router, bytes, size / 2, ZMQ_DONTWAIT);
        }
    }
    atomic_fetch_add (&self->answered, 1);
}

static void *
s_lie (void *arg)
{
    liar_t *self = arg;
    while (!atomic_load (&self->stop)) {
        zmq_pollitem_t item = {self->router, 0, ZMQ_POLLIN, 0};
        if (zmq_poll (&item, 1, 20) != 1) {
            continue;
        }
        uint8_t id[256];
        const int id_size
            = zmq_recv (self->router, id, sizeof id, ZMQ_DONTWAIT);
        int more = 1;
        size_t size = sizeof more;
        uint8_t rest[256];
        while (more) {
            zmq_recv (self->router, rest, sizeof rest, ZMQ_DONTWAIT);
            zmq_getsockopt (self->router, ZMQ_RCVMORE, &more, &size);
        }
        if (id_size > 0) {
            s_answer (self, id, (size_t) id_size);
        }
    }
    zmq_close (self->router);
    return NULL;
}

static void
s_liar_start (liar_t *self, bool directory)
{
    *self = (liar_t) {.directory = directory};
    self->random = test_random_start ();
    self->context = zmq_ctx_new ();
    self->router = zmq_socket (self->context, ZMQ_ROUTER);
    const int none = 0;
    size_t size = sizeof self->endpoint;
    zmq_setsockopt (self->router, ZMQ_LINGER, &none, sizeof none);
    assert_int_equal (zmq_bind (self->router, "tcp://127.0.0.1:*"), 0);
    assert_int_equal (
        zmq_getsockopt (self->router, ZMQ_LAST_ENDPOINT, self->endpoint, &size),
        0);
    pthread_create (&self->thread, NULL, s_lie, self);
}

static void
s_liar_stop (liar_t *self)
{
    atomic_store (&self->stop, true);
    pthread_join (self->thread, NULL);
    zmq_ctx_term (self->context);
}

static bool
s_has_lied_enough (void *arg)
{
    liar_t *self = arg;
    return atomic_load (&self->answered) >= 10;
}

static void
test_a_directory_that_lies_only_wastes_its_breath (void **state)
{
    scene_t *scene = *state;
    liar_t liar;
    s_liar_start (&liar, true);
    char both[300];
    snprintf (both, sizeof both, "%s,%s", liar.endpoint, scene->endpoint);
    victim_t victim;
    victim.payment = scene_peer (scene, "payment-1", "directory", both, NULL);
    victim.orders = scene_peer (scene, "orders-1", "directory", both, NULL);
    victim.consumer = scene_consumer (victim.payment, QUEUE, 100);
    victim.producer = scene_producer (victim.orders, QUEUE);
    victim.resident = scene_resident ();
    s_still_serves (&victim);
    scene_until (victim.orders, s_has_lied_enough, &liar, "lies");
    s_still_serves (&victim);
    s_end (&victim);
    s_liar_stop (&liar);
}

static void
test_a_consumer_that_lies_harms_no_other (void **state)
{
    scene_t *scene = *state;
    liar_t liar;
    s_liar_start (&liar, false);
    victim_t victim = s_victim (state);
    //  The directory is told of a consumer, and where to find it.
    tern_peer_t *decoy
        = scene_peer (scene, "liar-1", "advertise", liar.endpoint, NULL);
    tern_consumer_t *consumer = scene_consumer (decoy, QUEUE, 10);
    scene_until (victim.orders, s_has_lied_enough, &liar, "lies");
    //  What it claims to have settled or takes without reading may be gone for
    //  it alone; everything sent after it left is delivered.
    tern_consumer_close (&consumer);
    tern_peer_close (&decoy, 0);
    s_liar_stop (&liar);
    scene_consumers (victim.orders, QUEUE, 1);
    s_end (&victim);
}

int
main (void)
{
    cmocka_set_message_output (CM_OUTPUT_TAP);
#define CLAIM(name)                                                            \
    cmocka_unit_test_setup_teardown (name, scene_setup, scene_teardown)
    const struct CMUnitTest tests[] = {
        CLAIM (test_nonsense_is_counted_and_dropped),
        CLAIM (test_a_giant_frame_ends_only_its_own_connection),
        CLAIM (test_a_crowd_of_names_does_not_fill_memory),
        CLAIM (test_a_run_that_is_said_twice_is_delivered_once),
        CLAIM (test_a_run_with_a_changed_byte_ends_its_link),
        CLAIM (test_a_run_of_another_place_or_store_ends_its_link),
        CLAIM (test_who_sends_beyond_his_credit_is_cut_off),
        CLAIM (test_nobody_is_taken_for_the_peer_itself),
        CLAIM (test_a_directory_that_lies_only_wastes_its_breath),
        CLAIM (test_a_consumer_that_lies_harms_no_other),
    };
    return cmocka_run_group_tests_name ("hostile", tests, NULL, NULL);
}
