//  test_rules - the rules of a queue, on real sockets and a real disk
//
//  docs/QUEUES.md says which rules there are and in which order they apply.
//
//  SPDX-License-Identifier: MPL-2.0

#include "scene.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define QUEUE "jobs"
#define DEAD "jobs.dead"

static tern_msg_t *
s_text (const char *text)
{
    return tern_msg_new (text, strlen (text));
}

static uint64_t
s_send_priority (tern_producer_t *producer, const char *text, int priority)
{
    tern_msg_t *msg = s_text (text);
    assert_int_equal (tern_msg_set_priority (msg, priority), TERN_OK);
    return scene_send_msg (producer, msg);
}

static uint64_t
s_send_keyed (tern_producer_t *producer, const char *text, const char *key)
{
    tern_msg_t *msg = s_text (text);
    assert_int_equal (tern_msg_set_order_key (msg, key), TERN_OK);
    return scene_send_msg (producer, msg);
}

static uint64_t
s_send_ttl (tern_producer_t *producer, const char *text, uint64_t ms)
{
    tern_msg_t *msg = s_text (text);
    assert_int_equal (tern_msg_set_ttl (msg, ms), TERN_OK);
    return scene_send_msg (producer, msg);
}

static void
s_expect_header (const tern_msg_t *msg, const char *name, const char *value)
{
    size_t size = 0;
    const char *got = tern_msg_header (msg, name, &size);
    if (!got || size != strlen (value) || memcmp (got, value, size) != 0) {
        fail_msg ("%s: expected \"%s\", got \"%.*s\"", name, value, (int) size,
                  got ? got : "");
    }
}

static void
s_set_policy (tern_producer_t *producer, uint32_t max_deliveries,
              uint64_t ttl_ms, bool drop)
{
    tern_policy_t policy;
    tern_policy_default (&policy);
    policy.max_deliveries = max_deliveries;
    policy.backoff = TERN_BACKOFF_FIXED;
    policy.backoff_min_ms = 1;
    policy.ttl_ms = ttl_ms;
    policy.drop_expired = drop;
    assert_int_equal (tern_producer_set_policy (producer, &policy), TERN_OK);
}

//  Ready --------------------------------------------------------------------

static void
test_higher_priorities_come_first (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    scene_send (producer, "plain 1");
    s_send_priority (producer, "five 1", 5);
    s_send_priority (producer, "nine 1", 9);
    scene_send (producer, "plain 2");
    s_send_priority (producer, "five 2", 5);
    const uint64_t last = s_send_priority (producer, "nine 2", 9);

    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_consumer_t *consumer = scene_consumer (payment, QUEUE, 1);
    scene_accept (consumer, "nine 1");
    scene_accept (consumer, "nine 2");
    scene_accept (consumer, "five 1");
    tern_msg_t *msg = scene_expect (consumer, "five 2");
    assert_int_equal (tern_msg_priority (msg), 5);
    assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    scene_accept (consumer, "plain 1");
    scene_accept (consumer, "plain 2");
    scene_settled (producer, last);
    tern_producer_close (&producer);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

static void
test_a_delayed_message_waits_and_stops_nobody (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_consumer_t *consumer = scene_consumer (orders, QUEUE, 0);
    tern_msg_t *msg = s_text ("later");
    assert_int_equal (tern_msg_set_delay (msg, 200), TERN_OK);
    const int64_t sent_at = scene_now_ms ();
    const uint64_t seq = scene_send_msg (producer, msg);
    scene_send (producer, "now");
    scene_accept (consumer, "now");
    scene_accept (consumer, "later");
    //  The wall clock, which decides, and ours differ in their fractions.
    assert_true (scene_now_ms () - sent_at >= 199);
    scene_settled (producer, seq);
    scene_end (&orders, &producer, &consumer);
}


//  Take what is there, and leave it unsettled.
static void
s_take (tern_consumer_t *consumer, tern_msg_t **kept, size_t *count_p,
        size_t count)
{
    while (*count_p < count) {
        kept[*count_p] = tern_msg_dup (scene_receive (consumer));
        (*count_p)++;
    }
    scene_nothing (consumer);
}

static void
test_messages_with_one_key_come_one_at_a_time (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    s_send_keyed (producer, "a 1", "customer-a");
    s_send_keyed (producer, "a 2", "customer-a");
    s_send_keyed (producer, "b 1", "customer-b");
    const uint64_t last = s_send_keyed (producer, "a 3", "customer-a");
    tern_consumer_t *consumer = scene_consumer (payment, QUEUE, 0);
    tern_msg_t *kept[2];
    size_t count = 0;
    s_take (consumer, kept, &count, 2);
    assert_memory_equal (tern_msg_body (kept[0]), "a 1", 3);
    assert_memory_equal (tern_msg_body (kept[1]), "b 1", 3);
    size_t size = 0;
    assert_memory_equal (tern_msg_order_key (kept[0], &size), "customer-a", 10);
    for (size_t index = 0; index < 2; index++) {
        assert_int_equal (tern_consumer_accept (consumer, kept[index]),
                          TERN_OK);
        tern_msg_destroy (&kept[index]);
    }
    scene_accept (consumer, "a 2");
    scene_accept (consumer, "a 3");
    scene_settled (producer, last);
    tern_producer_close (&producer);
    tern_consumer_close (&consumer);
    tern_peer_close (&payment, 0);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

static void
test_a_requeued_message_holds_up_its_key_only (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_consumer_t *consumer = scene_consumer (orders, QUEUE, 1);
    s_send_keyed (producer, "a 1", "a");
    tern_msg_t *msg = scene_expect (consumer, "a 1");
    assert_int_equal (tern_consumer_requeue (consumer, msg), TERN_OK);
    s_send_keyed (producer, "a 2", "a");
    const uint64_t last = s_send_keyed (producer, "b 1", "b");
    scene_accept (consumer, "b 1");
    scene_accept (consumer, "a 1");
    scene_accept (consumer, "a 2");
    scene_settled (producer, last);
    scene_end (&orders, &producer, &consumer);
}

static void
test_a_single_active_consumer_has_all_until_it_leaves (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_peer_t *one = scene_peer (*state, "payment-1", NULL);
    tern_peer_t *two = scene_peer (*state, "payment-2", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_policy_t policy;
    tern_policy_default (&policy);
    policy.single = true;
    assert_int_equal (tern_producer_set_policy (producer, &policy), TERN_OK);
    tern_consumer_t *second = scene_consumer (two, QUEUE, 1);
    tern_consumer_t *first = scene_consumer (one, QUEUE, 1);
    scene_consumers (orders, QUEUE, 2);
    scene_send_numbers (producer, "job", 3);
    scene_accept (first, "job 1");
    scene_accept (first, "job 2");
    scene_nothing (second);
    scene_accept (first, "job 3");
    tern_consumer_close (&first);
    const uint64_t last = scene_send (producer, "job 4");
    scene_accept (second, "job 4");
    scene_settled (producer, last);
    tern_producer_close (&producer);
    tern_consumer_close (&second);
    tern_peer_close (&one, 0);
    tern_peer_close (&two, 0);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

//  Dead ---------------------------------------------------------------------

static void
test_a_message_is_dead_after_so_many_deliveries (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    s_set_policy (producer, 3, 0, false);
    tern_consumer_t *consumer = scene_consumer (payment, QUEUE, 0);
    tern_consumer_t *dead = scene_consumer (payment, DEAD, 0);
    tern_msg_t *out = s_text ("poison");
    assert_int_equal (tern_msg_set_key (out, "eu.order"), TERN_OK);
    assert_int_equal (tern_msg_set_header (out, "kind", "order"), TERN_OK);
    assert_int_equal (tern_msg_set_priority (out, 4), TERN_OK);
    const uint64_t seq = scene_send_msg (producer, out);
    char id[64];
    snprintf (id, sizeof id, "orders-1/jobs/%llu", (unsigned long long) seq);
    for (uint32_t delivery = 1; delivery <= 3; delivery++) {
        tern_msg_t *msg = scene_expect (consumer, "poison");
        assert_int_equal (tern_msg_deliveries (msg), delivery);
        assert_int_equal (tern_consumer_requeue (consumer, msg), TERN_OK);
    }
    tern_msg_t *letter = scene_expect (dead, "poison");
    s_expect_header (letter, "tern.dead.id", id);
    s_expect_header (letter, "tern.dead.queue", QUEUE);
    s_expect_header (letter, "tern.dead.reason", "spent");
    s_expect_header (letter, "tern.dead.count", "3");
    s_expect_header (letter, "tern.dead.consumer", "payment-1");
    s_expect_header (letter, "kind", "order");
    size_t size = 0;
    assert_memory_equal (tern_msg_key (letter, &size), "eu.order", 8);
    scene_settled (producer, seq);
    scene_nothing (consumer);
    assert_int_equal (tern_consumer_accept (dead, letter), TERN_OK);
    tern_consumer_close (&consumer);
    tern_consumer_close (&dead);
    tern_peer_close (&payment, 0);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, SCENE_DEADLINE_MS), 0);
}

static void
test_a_replayed_message_has_its_first_id (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_consumer_t *consumer = scene_consumer (payment, QUEUE, 0);
    tern_consumer_t *dead = scene_consumer (payment, DEAD, 0);
    tern_msg_t *out = s_text ("bad");
    assert_int_equal (tern_msg_set_header (out, "kind", "order"), TERN_OK);
    const uint64_t seq = scene_send_msg (producer, out);
    char id[64];
    snprintf (id, sizeof id, "orders-1/jobs/%llu", (unsigned long long) seq);
    for (int round = 0; round < 2; round++) {
        tern_msg_t *msg = scene_expect (consumer, "bad");
        assert_string_equal (tern_msg_id (msg), id);
        assert_int_equal (tern_msg_seq (msg), seq);
        assert_string_equal (tern_msg_outbox (msg), QUEUE);
        assert_int_equal (tern_msg_deliveries (msg), 1);
        assert_null (tern_msg_replay (msg));
        assert_int_equal (tern_consumer_reject (consumer, msg), TERN_OK);
        tern_msg_t *letter = scene_expect (dead, "bad");
        s_expect_header (letter, "tern.dead.id", id);
        s_expect_header (letter, "tern.dead.reason", "rejected");
        tern_msg_t *replay = tern_msg_replay (letter);
        assert_non_null (replay);
        scene_send_msg (producer, replay);
        assert_int_equal (tern_consumer_accept (dead, letter), TERN_OK);
    }
    tern_msg_t *msg = scene_expect (consumer, "bad");
    assert_string_equal (tern_msg_id (msg), id);
    s_expect_header (msg, "kind", "order");
    assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    tern_consumer_close (&consumer);
    tern_consumer_close (&dead);
    tern_peer_close (&payment, 0);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, SCENE_DEADLINE_MS), 0);
}

static void
test_what_expires_is_dead_or_dropped (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    s_send_ttl (producer, "short", 30);
    const uint64_t last = s_send_ttl (producer, "long", 3600000);
    tern_consumer_t *dead = scene_consumer (orders, DEAD, 0);
    tern_msg_t *letter = scene_expect (dead, "short");
    s_expect_header (letter, "tern.dead.reason", "expired");
    s_expect_header (letter, "tern.dead.count", "0");
    s_expect_header (letter, "tern.dead.consumer", "");
    assert_int_equal (tern_consumer_accept (dead, letter), TERN_OK);
    tern_consumer_t *consumer = scene_consumer (orders, QUEUE, 0);
    scene_accept (consumer, "long");
    scene_settled (producer, last);

    //  And by policy: the shorter time counts, and nobody is told.
    tern_consumer_close (&consumer);
    s_set_policy (producer, 16, 30, true);
    s_send_ttl (producer, "long", 3600000);
    const uint64_t plain = scene_send (producer, "plain");
    scene_settled (producer, plain);
    scene_nothing (dead);
    assert_int_equal (scene_stats (orders, QUEUE, TERN_ROLE_PUBLISHER).dropped,
                      2);
    tern_producer_close (&producer);
    tern_consumer_close (&dead);
    assert_int_equal (tern_peer_close (&orders, SCENE_DEADLINE_MS), 0);
}

static void
test_nothing_dies_among_the_dead (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_consumer_t *consumer = scene_consumer (orders, QUEUE, 0);
    tern_consumer_t *dead = scene_consumer (orders, DEAD, 0);
    const uint64_t seq = scene_send (producer, "bad");
    tern_msg_t *msg = scene_expect (consumer, "bad");
    assert_int_equal (tern_consumer_reject (consumer, msg), TERN_OK);
    for (int again = 0; again < 3; again++) {
        msg = scene_expect (dead, "bad");
        assert_int_equal (tern_consumer_requeue (dead, msg), TERN_OK);
    }
    msg = scene_expect (dead, "bad");
    assert_int_equal (tern_consumer_reject (dead, msg), TERN_OK);
    scene_settled (producer, seq);
    char name[65];
    for (size_t index = 0; tern_peer_outbox_at (orders, index, name, 65);
         index++) {
        assert_string_not_equal (name, "jobs.dead.dead");
    }
    char why[128];
    tern_producer_t *wrong = NULL;
    assert_int_equal (
        tern_producer_open (&wrong, orders, DEAD, why, sizeof why), TERN_ENAME);
    tern_producer_close (&producer);
    tern_consumer_close (&consumer);
    tern_consumer_close (&dead);
    assert_int_equal (tern_peer_close (&orders, SCENE_DEADLINE_MS), 0);
}

static void
test_the_longest_name_has_dead_letters_too (void **state)
{
    const char *queue
        = "a-queue-with-the-longest-name-that-there-can-be-in-this-world-2";
    assert_int_equal (strlen (queue), 63);
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, queue);
    tern_consumer_t *consumer = scene_consumer (orders, queue, 0);
    const uint64_t seq = scene_send (producer, "bad");
    tern_msg_t *msg = scene_expect (consumer, "bad");
    assert_int_equal (tern_consumer_reject (consumer, msg), TERN_OK);
    scene_settled (producer, seq);
    char name[65] = "";
    size_t index = 0;
    while (tern_peer_outbox_at (orders, index, name, sizeof name)
           && strcmp (name, queue) == 0) {
        index++;
    }
    assert_memory_equal (name, queue, 49);
    assert_int_equal (strlen (name), 63);
    tern_consumer_t *dead = scene_consumer (orders, name, 0);
    msg = scene_expect (dead, "bad");
    s_expect_header (msg, "tern.dead.queue", queue);
    assert_int_equal (tern_consumer_accept (dead, msg), TERN_OK);
    tern_producer_close (&producer);
    tern_consumer_close (&consumer);
    tern_consumer_close (&dead);
    assert_int_equal (tern_peer_close (&orders, SCENE_DEADLINE_MS), 0);
}

//  Policies -------------------------------------------------------------------

static void
test_a_policy_outside_its_ranges_is_refused (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_policy_t policy;
    tern_policy_default (&policy);
    assert_int_equal (policy.max_deliveries, 16);
    assert_int_equal (tern_producer_set_policy (producer, &policy), TERN_OK);
    policy.backoff_min_ms = 0;
    assert_int_equal (tern_producer_set_policy (producer, &policy),
                      TERN_EINVAL);
    tern_policy_default (&policy);
    policy.backoff_max_ms = policy.backoff_min_ms - 1;
    assert_int_equal (tern_producer_set_policy (producer, &policy),
                      TERN_EINVAL);
    tern_policy_default (&policy);
    policy.backoff = TERN_BACKOFF_LIST;
    assert_int_equal (tern_producer_set_policy (producer, &policy),
                      TERN_EINVAL);
    policy.pause_count = 1;
    assert_int_equal (tern_producer_set_policy (producer, &policy),
                      TERN_EINVAL);
    policy.pauses_ms[0] = 1;
    assert_int_equal (tern_producer_set_policy (producer, &policy), TERN_OK);
    policy.ttl_ms = UINT64_C (366) * 24 * 3600 * 1000 + 1;
    assert_int_equal (tern_producer_set_policy (producer, &policy),
                      TERN_EINVAL);
    tern_producer_close (&producer);
    tern_peer_close (&orders, 0);
}

//  Requeue one message until it is dead; returns how often it came.
static unsigned
s_spend (tern_peer_t *peer, const char *text)
{
    tern_consumer_t *consumer = scene_consumer (peer, QUEUE, 0);
    tern_consumer_t *dead = scene_consumer (peer, DEAD, 0);
    unsigned deliveries = 0;
    tern_msg_t *letter;
    while (!(letter = tern_consumer_recv (dead, 10))) {
        tern_msg_t *msg = tern_consumer_recv (consumer, 0);
        if (msg) {
            deliveries++;
            assert_int_equal (tern_consumer_requeue (consumer, msg), TERN_OK);
        }
    }
    assert_memory_equal (tern_msg_body (letter), text, strlen (text));
    assert_int_equal (tern_consumer_accept (dead, letter), TERN_OK);
    tern_consumer_close (&consumer);
    tern_consumer_close (&dead);
    return deliveries;
}

static void
test_a_policy_holds_after_a_restart (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    s_set_policy (producer, 2, 0, false);
    scene_send (producer, "one");
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 1);
    //  Nobody has opened a producer yet.
    orders = scene_peer (*state, "orders-1", NULL);
    assert_int_equal (s_spend (orders, "one"), 2);

    //  What the configuration says holds over it.  A message that may have been
    //  on its way when the peer closed would count as delivered.
    scene_consumers (orders, QUEUE, 0);
    producer = scene_producer (orders, QUEUE);
    scene_send (producer, "two");
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 1);
    orders = scene_peer (*state, "orders-1", "queue/jobs/max_deliveries", "3",
                         "queue/jobs/backoff", "1,2", NULL);
    assert_int_equal (s_spend (orders, "two"), 3);
    assert_int_equal (tern_peer_close (&orders, SCENE_DEADLINE_MS), 0);
}

static void
test_a_queue_may_have_limits_of_its_own (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", "limit_messages", "5",
                                      "queue/jobs/limit_messages", "2",
                                      "queue/jobs/at_limit", "refuse", NULL);
    tern_producer_t *jobs = scene_producer (orders, QUEUE);
    tern_producer_t *other = scene_producer (orders, "other");
    scene_send_numbers (jobs, "job", 2);
    assert_int_equal (tern_producer_send (jobs, "no", 2, -1, NULL), TERN_EFULL);
    tern_msg_t *msg = s_text ("no");
    assert_int_equal (tern_msg_set_priority (msg, 1), TERN_OK);
    assert_int_equal (tern_producer_send_msg (jobs, msg, -1, NULL), TERN_EFULL);
    scene_send_numbers (other, "job", 5);
    assert_int_equal (tern_producer_send (other, "no", 2, 0, NULL),
                      TERN_EAGAIN);
    assert_int_equal (tern_producer_send_msg (other, msg, 0, NULL),
                      TERN_EAGAIN);
    assert_int_equal (tern_producer_send_msg (other, msg, 20, NULL),
                      TERN_ETIMEOUT);
    tern_msg_destroy (&msg);
    tern_producer_close (&jobs);
    tern_producer_close (&other);
    assert_int_equal (tern_peer_close (&orders, 0), 7);
}

//  Ruled sends wait for room like plain ones.
static void
test_a_ruled_message_waits_for_room (void **state)
{
    tern_peer_t *orders
        = scene_peer (*state, "orders-1", "limit_messages", "2", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    s_send_priority (producer, "one", 1);
    s_send_priority (producer, "two", 1);
    tern_consumer_t *consumer = scene_consumer (orders, QUEUE, 0);
    scene_accept (consumer, "one");
    scene_accept (consumer, "two");
    const uint64_t seq = s_send_priority (producer, "three", 1);
    scene_accept (consumer, "three");
    scene_settled (producer, seq);
    scene_end (&orders, &producer, &consumer);
}

//  Idempotent publishing ------------------------------------------------------

static int
s_send_once (tern_producer_t *producer, uint64_t number, uint64_t *seq_p)
{
    char text[32];
    snprintf (text, sizeof text, "job %llu", (unsigned long long) number);
    tern_msg_t *msg = s_text (text);
    const int rc = tern_producer_send_once (producer, msg, number,
                                            SCENE_DEADLINE_MS, seq_p);
    tern_msg_destroy (&msg);
    return rc;
}

static void
test_a_number_is_stored_once (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    uint64_t seq = 0;
    assert_int_equal (tern_producer_number (producer), 0);
    assert_int_equal (s_send_once (producer, 0, &seq), TERN_EINVAL);
    assert_int_equal (s_send_once (producer, UINT64_MAX, &seq), TERN_EINVAL);
    assert_int_equal (s_send_once (producer, 7, &seq), TERN_OK);
    const uint64_t first = seq;
    assert_int_equal (s_send_once (producer, 7, &seq), TERN_OK);
    assert_int_equal (seq, 0);
    assert_int_equal (s_send_once (producer, 3, &seq), TERN_OK);
    assert_int_equal (seq, 0);
    assert_int_equal (s_send_once (producer, 10, &seq), TERN_OK);
    assert_int_equal (seq, first + 1);
    assert_int_equal (tern_producer_number (producer), 10);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 2);

    //  From the records, while they wait.
    orders = scene_peer (*state, "orders-1", NULL);
    producer = scene_producer (orders, QUEUE);
    assert_int_equal (tern_producer_number (producer), 10);
    assert_int_equal (s_send_once (producer, 9, &seq), TERN_OK);
    assert_int_equal (seq, 0);
    tern_consumer_t *consumer = scene_consumer (orders, QUEUE, 0);
    scene_accept (consumer, "job 7");
    scene_accept (consumer, "job 10");
    scene_settled (producer, first + 1);
    scene_end (&orders, &producer, &consumer);

    //  From the state, when all are settled.
    orders = scene_peer (*state, "orders-1", NULL);
    producer = scene_producer (orders, QUEUE);
    assert_int_equal (tern_producer_number (producer), 10);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

//  Across kill -9 -------------------------------------------------------------

//  Send numbered messages of all kinds for ever; say each number once written.
static int
s_numbering (const scene_t *scene, int argc, char **argv)
{
    (void) argc;
    tern_peer_t *peer = scene_peer (scene, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (peer, QUEUE);
    uint64_t number = tern_producer_number (producer);
    const uint64_t last = number + strtoull (argv[0], NULL, 10);
    for (;;) {
        char text[32];
        snprintf (text, sizeof text, "job %llu", (unsigned long long) ++number);
        tern_msg_t *msg = s_text (text);
        assert_int_equal (tern_msg_set_priority (msg, (int) (number % 10)),
                          TERN_OK);
        uint64_t seq = 0;
        assert_int_equal (
            tern_producer_send_once (producer, msg, number, -1, &seq), TERN_OK);
        tern_msg_destroy (&msg);
        if (number == last) {
            assert_int_equal (
                tern_producer_wait (producer, seq, TERN_WRITTEN, -1), TERN_OK);
            printf ("%llu\n", (unsigned long long) number);
        }
    }
    return 0;
}

static void
test_a_killed_publisher_goes_on_with_its_numbers (void **state)
{
    const scene_t *scene = *state;
    tern_peer_t *payment = scene_peer (scene, "payment-1", NULL);
    uint64_t safe = 0;
    for (int life = 0; life < 3; life++) {
        //  One life without a consumer, two with.
        tern_consumer_t *consumer
            = life ? scene_consumer (payment, QUEUE, 100) : NULL;
        scene_child_t child;
        scene_start (scene, &child, "numbering", "300", NULL);
        for (int taken = 0; consumer && taken < 200; taken++) {
            tern_msg_t *msg = scene_receive (consumer);
            assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
        }
        const char *line = scene_line (&child);
        assert_non_null (line);
        const uint64_t written = strtoull (line, NULL, 10);
        assert_true (written >= safe + 300);
        safe = written;
        scene_kill (&child);
        tern_consumer_close (&consumer);
    }
    tern_peer_t *orders = scene_peer (scene, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    const uint64_t number = tern_producer_number (producer);
    assert_true (number >= safe);

    //  What waits comes by priority again.
    tern_consumer_t *consumer = scene_consumer (payment, QUEUE, 1);
    int priority = 9;
    for (int taken = 0; taken < 50; taken++) {
        tern_msg_t *msg = scene_receive (consumer);
        assert_in_range (tern_msg_priority (msg), 0, priority);
        priority = tern_msg_priority (msg);
        assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
    }
    tern_consumer_close (&consumer);
    tern_producer_close (&producer);
    tern_peer_close (&orders, 0);
    tern_peer_close (&payment, 0);
}

//  Publish messages with ids of our own, as many as are asked for, then wait.
static int
s_publishing (const scene_t *scene, int argc, char **argv)
{
    (void) argc;
    tern_peer_t *peer = scene_peer (scene, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (peer, QUEUE);
    const uint64_t count = strtoull (argv[0], NULL, 10);
    uint64_t number = tern_producer_number (producer);
    while (number < count) {
        assert_int_equal (s_send_once (producer, ++number, NULL), TERN_OK);
    }
    scene_stay_written (producer);
}

//  Every message is rejected while its publisher is killed again and again: each
//  is among the dead letters exactly once in the end.
static void
test_the_dead_are_buried_once_whatever_crashes (void **state)
{
    enum {
        COUNT = 200,
        LIVES = 8
    };
    const scene_t *scene = *state;
    tern_peer_t *payment = scene_peer (scene, "payment-1", NULL);
    tern_consumer_t *consumer = scene_consumer (payment, QUEUE, 7);
    tern_consumer_t *dead = scene_consumer (payment, DEAD, 0);
    unsigned buried[COUNT + 1] = {0};
    unsigned letters = 0;
    scene_child_t child = {.pid = 0};
    const int64_t until = scene_now_ms () + SCENE_DEADLINE_MS;
    int life = 0;
    unsigned since = 0;
    while (letters < COUNT) {
        if (!child.pid) {
            scene_start (scene, &child, "publishing", "200", NULL);
            scene_says (&child, "written");
            life++;
            since = 0;
        }
        tern_msg_t *msg = tern_consumer_recv (consumer, 5);
        if (msg) {
            const int rc = tern_consumer_reject (consumer, msg);
            assert_true (rc == TERN_OK || rc == TERN_ENOENT);
            since++;
        }
        tern_msg_t *letter = tern_consumer_recv (dead, 0);
        if (letter) {
            const unsigned number = scene_number (letter, "job");
            assert_in_range (number, 1, COUNT);
            if (tern_consumer_accept (dead, letter) == TERN_OK) {
                //  A letter that comes again is known by its id.
                letters += !buried[number];
                if (buried[number]
                    && buried[number] != (unsigned) tern_msg_seq (letter)) {
                    fail_msg ("job %u is buried twice", number);
                }
                buried[number] = (unsigned) tern_msg_seq (letter);
            }
        }
        if (life < LIVES && since >= 20) {
            scene_kill (&child);
        }
        if (scene_now_ms () > until) {
            fail_msg ("%u of %d are buried", letters, COUNT);
        }
    }
    scene_kill (&child);
    tern_consumer_close (&consumer);
    tern_consumer_close (&dead);
    tern_peer_close (&payment, 0);
}

//  Times hold across a restart.
static void
test_times_pass_while_the_publisher_is_away (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    s_send_ttl (producer, "short", 1);
    tern_msg_t *late = s_text ("late");
    assert_int_equal (tern_msg_set_delay (late, 3600000), TERN_OK);
    scene_send_msg (producer, late);
    s_send_ttl (producer, "long", 3600000);
    tern_producer_close (&producer);
    tern_peer_close (&orders, 0);
    orders = scene_peer (*state, "orders-1", NULL);
    tern_consumer_t *dead = scene_consumer (orders, DEAD, 0);
    tern_consumer_t *consumer = scene_consumer (orders, QUEUE, 0);
    scene_accept (consumer, "long");
    scene_accept (dead, "short");
    scene_nothing (consumer);
    tern_consumer_close (&consumer);
    tern_consumer_close (&dead);
    assert_int_equal (tern_peer_close (&orders, 0), 1);
}

//  The first death of a peer starts a thread of it, just when it closes.
static void
test_a_peer_closes_while_messages_die (void **state)
{
    enum {
        LIVES = 20,
        EACH = 3
    };
    for (int life = 0; life < LIVES; life++) {
        tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
        tern_producer_t *producer = scene_producer (orders, QUEUE);
        for (int count = 0; count < EACH; count++) {
            s_send_ttl (producer, "short", 1);
        }
        tern_producer_close (&producer);
        tern_peer_close (&orders, life % 4);
    }
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_consumer_t *dead = scene_consumer (orders, DEAD, 0);
    for (int count = 0; count < LIVES * EACH; count++) {
        scene_accept (dead, "short");
    }
    tern_consumer_close (&dead);
    assert_int_equal (tern_peer_close (&orders, -1), 0);
}

//  Stopping -------------------------------------------------------------------

static void
test_a_paused_consumer_gets_nothing_and_gives_back (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    tern_consumer_t *paused = scene_consumer (payment, QUEUE, 0);
    scene_send_numbers (producer, "job", 10);
    tern_msg_t *msg = tern_msg_dup (scene_expect (paused, "job 1"));
    tern_consumer_pause (paused);
    scene_nothing (paused);

    tern_peer_t *other = scene_peer (*state, "payment-2", NULL);
    tern_consumer_t *active = scene_consumer (other, QUEUE, 0);
    scene_send (producer, "job 11");
    for (unsigned number = 2; number <= 11; number++) {
        char text[32];
        snprintf (text, sizeof text, "job %u", number);
        tern_msg_t *got = scene_receive (active);
        //  What was never handed out has not been delivered.
        assert_int_equal (tern_msg_deliveries (got), 1);
        assert_int_equal (tern_consumer_accept (active, got), TERN_OK);
    }
    assert_null (tern_consumer_recv (paused, 0));
    //  What it holds, it still settles.
    assert_int_equal (tern_consumer_accept (paused, msg), TERN_OK);
    tern_msg_destroy (&msg);
    scene_settled (producer, 11);
    tern_consumer_close (&active);
    tern_peer_close (&other, 0);

    tern_consumer_resume (paused);
    const uint64_t last = scene_send (producer, "job 12");
    scene_accept (paused, "job 12");
    scene_settled (producer, last);
    tern_producer_close (&producer);
    tern_consumer_close (&paused);
    tern_peer_close (&payment, 0);
    assert_int_equal (tern_peer_close (&orders, 0), 0);
}

typedef struct {
    tern_consumer_t *consumer;
    unsigned count;
} worker_t;

static void *
s_work (void *arg)
{
    worker_t *worker = arg;
    tern_msg_t *msg;
    while ((msg = tern_consumer_recv (worker->consumer, -1)) != NULL) {
        worker->count++;
        if (tern_consumer_accept (worker->consumer, msg)) {
            break;
        }
    }
    return NULL;
}

static void
test_a_drained_peer_finishes_and_takes_nothing_new (void **state)
{
    tern_peer_t *orders = scene_peer (*state, "orders-1", NULL);
    tern_peer_t *payment = scene_peer (*state, "payment-1", NULL);
    tern_producer_t *producer = scene_producer (orders, QUEUE);
    worker_t worker = {scene_consumer (payment, QUEUE, 4), 0};
    pthread_t thread;
    scene_send_numbers (producer, "job", 1000);
    assert_int_equal (pthread_create (&thread, NULL, s_work, &worker), 0);
    tern_producer_t *own = scene_producer (payment, "own");
    assert_int_equal (tern_peer_drain (payment, SCENE_DEADLINE_MS), TERN_OK);
    pthread_join (thread, NULL);
    assert_int_equal (tern_producer_send (own, "x", 1, -1, NULL), TERN_ECLOSED);
    tern_msg_t *msg = s_text ("x");
    assert_int_equal (tern_producer_send_once (own, msg, 1, -1, NULL),
                      TERN_ECLOSED);
    tern_msg_destroy (&msg);
    tern_producer_close (&own);
    assert_null (tern_consumer_recv (worker.consumer, -1));
    tern_consumer_close (&worker.consumer);
    assert_int_equal (tern_peer_close (&payment, 0), 0);

    //  All that it did not accept is still there, and none is lost.
    tern_peer_t *next = scene_peer (*state, "payment-2", NULL);
    tern_consumer_t *consumer = scene_consumer (next, QUEUE, 0);
    for (unsigned count = worker.count; count < 1000; count++) {
        tern_msg_t *got = scene_receive (consumer);
        assert_int_equal (tern_consumer_accept (consumer, got), TERN_OK);
    }
    scene_settled (producer, 1000);
    tern_consumer_close (&consumer);
    tern_peer_close (&next, 0);

    scene_send (producer, "left");
    assert_int_equal (tern_peer_drain (orders, 10), TERN_ETIMEOUT);
    tern_producer_close (&producer);
    assert_int_equal (tern_peer_close (&orders, 0), 1);
}

static const scene_role_t s_roles[] = {
    {"numbering", s_numbering},
    {"publishing", s_publishing},
    {NULL, NULL},
};

#define RULE(name)                                                             \
    cmocka_unit_test_setup_teardown (test_##name, scene_setup, scene_teardown)

int
main (int argc, char **argv)
{
    const int rc = scene_main (s_roles, argc, argv);
    if (rc >= 0) {
        return rc;
    }
    const struct CMUnitTest tests[] = {
        RULE (higher_priorities_come_first),
        RULE (a_delayed_message_waits_and_stops_nobody),
        RULE (messages_with_one_key_come_one_at_a_time),
        RULE (a_requeued_message_holds_up_its_key_only),
        RULE (a_single_active_consumer_has_all_until_it_leaves),
        RULE (a_message_is_dead_after_so_many_deliveries),
        RULE (a_replayed_message_has_its_first_id),
        RULE (what_expires_is_dead_or_dropped),
        RULE (nothing_dies_among_the_dead),
        RULE (the_longest_name_has_dead_letters_too),
        RULE (a_policy_outside_its_ranges_is_refused),
        RULE (a_policy_holds_after_a_restart),
        RULE (a_queue_may_have_limits_of_its_own),
        RULE (a_ruled_message_waits_for_room),
        RULE (a_number_is_stored_once),
        RULE (a_killed_publisher_goes_on_with_its_numbers),
        RULE (the_dead_are_buried_once_whatever_crashes),
        RULE (times_pass_while_the_publisher_is_away),
        RULE (a_peer_closes_while_messages_die),
        RULE (a_paused_consumer_gets_nothing_and_gives_back),
        RULE (a_drained_peer_finishes_and_takes_nothing_new),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
