//  test_core_state - an outbox remembers what was settled
//
//  SPDX-License-Identifier: MPL-2.0

#include "base/bytes.h"
#include "core/publication.h"
#include "core/rng.h"
#include "core/state.h"
#include "support/no_runs.h"

#include <tern/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HIGH 1000000u

static trn_publication_t *
s_publication (const char *queue)
{
    trn_publication_t *self = trn_publication_new (1, "orders", HIGH);
    if (queue) {
        trn_publication_add_queue (self, queue, 1, 1);
    }
    return self;
}

static void
s_expect_same (const trn_seqset_t *one, const trn_seqset_t *other)
{
    assert_int_equal (trn_seqset_total (one), trn_seqset_total (other));
    trn_range_t part;
    for (uint64_t from = 1; trn_seqset_first_in (one, from, HIGH, &part);
         from = part.to + 1) {
        assert_int_equal (trn_seqset_count (other, part.from, part.to),
                          part.to - part.from + 1);
    }
}

static void
test_what_was_settled_comes_back (void **state)
{
    (void) state;
    trn_publication_t *first = s_publication ("jobs");
    trn_subscription_t *sub = first->subs.at[0];
    trn_rng_t rng = {3};
    for (unsigned count = 0; count < 500; count++) {
        const uint64_t from = 1 + trn_rng_below (&rng, HIGH - 100);
        trn_subscription_add_settled (sub, from,
                                      from + trn_rng_below (&rng, 90));
    }
    trn_subscription_add_settled (sub, 1, 77);
    sub->next = 90;
    uint8_t blob[TRN_STATE_MAX];
    const size_t size = trn_state_encode (first, blob, sizeof blob);

    trn_publication_t *second = s_publication (NULL);
    assert_int_equal (trn_state_decode (second, true, blob, size), 0);
    assert_int_equal (second->subs.count, 1);
    const trn_subscription_t *again = second->subs.at[0];
    assert_string_equal (again->queue, "jobs");
    s_expect_same (&again->settled, &sub->settled);
    assert_int_equal (again->durable_low, trn_subscription_low (sub));
    assert_int_equal (again->doubt, 0);
    trn_publication_destroy (&first);
    trn_publication_destroy (&second);
}

static void
test_after_a_crash_everything_is_in_doubt (void **state)
{
    (void) state;
    trn_publication_t *first = s_publication ("jobs");
    uint8_t blob[TRN_STATE_MAX];
    const size_t size = trn_state_encode (first, blob, sizeof blob);
    trn_publication_t *second = s_publication (NULL);
    assert_int_equal (trn_state_decode (second, false, blob, size), 0);
    const trn_subscription_t *sub = second->subs.at[0];
    assert_int_equal (sub->doubt, HIGH);
    trn_publication_destroy (&first);
    trn_publication_destroy (&second);
}

static void
test_the_lowest_are_kept_when_not_all_fit (void **state)
{
    (void) state;
    trn_publication_t *first = s_publication ("jobs");
    trn_subscription_t *sub = first->subs.at[0];
    for (uint64_t seq = 2; seq < HIGH; seq += 2) {
        trn_subscription_add_settled (sub, seq, seq);
    }
    uint8_t blob[TRN_STATE_MAX];
    const size_t size = trn_state_encode (first, blob, sizeof blob);
    assert_true (size <= TRN_STATE_MAX && size > TRN_STATE_MAX - 64);
    assert_true (sub->saving.count < trn_seqset_total (&sub->settled));
    assert_int_equal (sub->saving.at[0].from, 2);

    trn_publication_t *second = s_publication (NULL);
    assert_int_equal (trn_state_decode (second, true, blob, size), 0);
    const trn_subscription_t *again = second->subs.at[0];
    assert_int_equal (trn_seqset_total (&again->settled), sub->saving.count);
    for (size_t index = 0; index < sub->saving.count; index++) {
        assert_int_equal (again->durable.at[index].from,
                          sub->saving.at[index].from);
        assert_true (
            trn_seqset_has (&again->settled, sub->saving.at[index].from));
    }
    trn_publication_destroy (&first);
    trn_publication_destroy (&second);
}

static void
test_every_queue_gets_its_share (void **state)
{
    (void) state;
    trn_publication_t *first = s_publication (NULL);
    for (unsigned count = 0; count < TRN_QUEUES_MAX; count++) {
        char queue[TRN_NAME_MAX + 1];
        memset (queue, 'a' + (int) (count % 26), TRN_NAME_MAX);
        queue[0] = (char) ('a' + count / 26);
        queue[TRN_NAME_MAX] = 0;
        trn_subscription_t *sub
            = trn_publication_add_queue (first, queue, count + 1, 1);
        for (uint64_t seq = 2; seq < 1000; seq += 2) {
            trn_subscription_add_settled (sub, seq, seq);
        }
    }
    uint8_t blob[TRN_STATE_MAX];
    const size_t size = trn_state_encode (first, blob, sizeof blob);
    trn_publication_t *second = s_publication (NULL);
    assert_int_equal (trn_state_decode (second, true, blob, size), 0);
    assert_int_equal (second->subs.count, TRN_QUEUES_MAX);
    for (size_t index = 0; index < second->subs.count; index++) {
        const trn_subscription_t *sub = second->subs.at[index];
        assert_true (trn_seqset_total (&sub->settled) > 30);
    }
    trn_publication_destroy (&first);
    trn_publication_destroy (&second);
}

static int
s_decode (const uint8_t *blob, size_t size)
{
    trn_publication_t *self = s_publication (NULL);
    const int rc = trn_state_decode (self, true, blob, size);
    trn_publication_destroy (&self);
    return rc;
}

static void
test_another_version_is_refused (void **state)
{
    (void) state;
    const uint8_t newer[] = {3, 0, 0, 0};
    assert_int_equal (s_decode (newer, sizeof newer), TERN_EVERSION);
}

static void
test_counts_and_policies_come_back (void **state)
{
    (void) state;
    trn_publication_t *first = s_publication ("jobs");
    trn_publication_add_queue (first, "more", 7, 5);
    trn_subscription_t *sub = first->subs.at[0];
    first->policy.ttl_ms = 5000;
    first->given = 77;
    sub->own_policy = true;
    sub->policy.pause = TRN_PAUSE_LIST;
    sub->policy.pause_count = 2;
    sub->policy.pauses[1] = 30;
    sub->policy.single = true;
    trn_subscription_add_settled (sub, 1, 10);
    trn_subscription_add_settled (sub, 15, 20);
    trn_subscription_add_count (sub, 12, 30, 3);
    trn_subscription_add_count (sub, 40, 40, 9);
    uint8_t blob[TRN_STATE_MAX];
    const size_t size = trn_state_encode (first, blob, sizeof blob);
    assert_int_equal (sub->cut, 0);

    trn_publication_t *second = s_publication (NULL);
    assert_int_equal (trn_state_decode (second, true, blob, size), 0);
    assert_int_equal (second->policy.ttl_ms, 5000);
    assert_int_equal (second->given, 77);
    assert_int_equal (second->sub_number, 7);
    const trn_subscription_t *again = second->subs.at[0];
    assert_true (again->policy.single);
    assert_int_equal (again->policy.pauses[1], 30);
    uint64_t to = HIGH;
    assert_int_equal (trn_counts_get (&again->counts, 11, &to), 0);
    assert_int_equal (to, 11);
    to = HIGH;
    assert_int_equal (trn_counts_get (&again->counts, 12, &to), 3);
    assert_int_equal (to, 14);
    to = HIGH;
    assert_int_equal (trn_counts_get (&again->counts, 40, &to), 9);
    assert_int_equal (to, 40);
    const trn_subscription_t *more = second->subs.at[1];
    assert_int_equal (more->number, 7);
    assert_int_equal (more->low, 5);
    trn_publication_destroy (&first);
    trn_publication_destroy (&second);
}

static void
test_counts_that_do_not_fit_are_named (void **state)
{
    (void) state;
    trn_publication_t *first = s_publication ("jobs");
    trn_subscription_t *sub = first->subs.at[0];
    for (uint64_t seq = 2; seq < 60000; seq += 2) {
        trn_subscription_add_count (sub, seq, seq, 1 + (uint32_t) (seq % 5));
    }
    uint8_t blob[TRN_STATE_MAX];
    const size_t size = trn_state_encode (first, blob, sizeof blob);
    assert_true (sub->cut > 10000 && sub->cut < 60000);
    trn_publication_t *second = s_publication (NULL);
    assert_int_equal (trn_state_decode (second, true, blob, size), 0);
    const trn_subscription_t *again = second->subs.at[0];
    uint64_t to = sub->cut;
    assert_true (trn_counts_get (&again->counts, sub->cut - 2, &to) > 0);
    trn_publication_destroy (&first);
    trn_publication_destroy (&second);
}

//  Each unclean opening gives up a million seqs: counts of many lives lie far
//  apart, with nothing but settled ones between them.
#define FAR 759169024u

static void
test_counts_of_many_lives_come_back (void **state)
{
    (void) state;
    trn_publication_t *first = trn_publication_new (1, "orders", FAR);
    trn_publication_add_queue (first, "jobs", 1, 1);
    trn_subscription_t *sub = first->subs.at[0];
    trn_subscription_add_settled (sub, 3, FAR - 1);
    trn_subscription_add_count (sub, 2, 2, 7);
    trn_subscription_add_count (sub, FAR, FAR, 7);
    uint8_t blob[TRN_STATE_MAX];
    const size_t size = trn_state_encode (first, blob, sizeof blob);
    trn_publication_t *second = trn_publication_new (1, "orders", FAR);
    assert_int_equal (trn_state_decode (second, true, blob, size), 0);
    const trn_subscription_t *again = second->subs.at[0];
    uint64_t to = 2;
    assert_int_equal (trn_counts_get (&again->counts, 2, &to), 7);
    to = FAR;
    assert_int_equal (trn_counts_get (&again->counts, FAR, &to), 7);
    assert_int_equal (again->counts.total, 2);
    trn_publication_destroy (&first);
    trn_publication_destroy (&second);
}

//  low 2, 3 .. FAR - 1 settled, counted 7 in one: 2 .. FAR.
static size_t
s_put_bridged (uint8_t *blob, bool settled)
{
    static const uint8_t queue[] = {4, 'j', 'o', 'b', 's', 1, 0, 0, 0, 0};
    static const uint8_t ranges[] = {1, 0, 0, 0, 1, 0xfc, 0xff, 0xff, 0xe9, 2};
    static const uint8_t counts[]
        = {1, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xe9, 2, 7};
    trn_policy_t policy;
    trn_policy_default (&policy);
    uint8_t *at = blob;
    memset (at, 0, 16);
    at[0] = 2;
    at[2] = at[4] = 1;
    at += 16;
    at += trn_policy_encode (&policy, at);
    memcpy (at, queue, sizeof queue);
    at += sizeof queue;
    memset (at, 0, 16);
    trn_put_u64 (at + 16, 2);
    at += 24;
    memcpy (at, ranges, sizeof ranges);
    at[0] = settled;
    at += settled ? sizeof ranges : 4;
    memcpy (at, counts, sizeof counts);
    return (size_t) (at - blob) + sizeof counts;
}

static void
test_counts_over_settled_ones_cost_nothing (void **state)
{
    (void) state;
    uint8_t blob[256];
    size_t size = s_put_bridged (blob, true);
    trn_publication_t *one = trn_publication_new (1, "orders", FAR);
    assert_int_equal (trn_state_decode (one, true, blob, size), 0);
    const trn_subscription_t *sub = one->subs.at[0];
    assert_int_equal (trn_seqset_count (&sub->settled, 3, FAR - 1), FAR - 3);
    assert_int_equal (sub->counts.total, 2);
    trn_publication_destroy (&one);

    size = s_put_bridged (blob, false);
    trn_publication_t *other = trn_publication_new (1, "orders", FAR);
    assert_int_equal (trn_state_decode (other, true, blob, size),
                      TERN_ECORRUPT);
    trn_publication_destroy (&other);
}

//  What the first version wrote: one queue, next 90, low 5, and 10..12 settled.
static void
test_a_state_of_the_first_version_is_read (void **state)
{
    (void) state;
    uint8_t blob[64] = {1, 0, 1, 0, 4, 'j', 'o', 'b', 's'};
    trn_put_u64 (blob + 9, 90);
    trn_put_u64 (blob + 17, 5);
    trn_put_u32 (blob + 25, 1);
    blob[29] = 5;
    blob[30] = 2;
    trn_publication_t *self = s_publication (NULL);
    assert_int_equal (trn_state_decode (self, true, blob, 31), 0);
    const trn_subscription_t *sub = self->subs.at[0];
    assert_int_equal (sub->low, 5);
    assert_int_equal (sub->doubt, 89);
    assert_int_equal (sub->number, 1);
    assert_int_equal (trn_seqset_total (&sub->settled), 4 + 3);
    assert_true (trn_seqset_has (&sub->settled, 12));
    trn_publication_destroy (&self);
}

static void
test_a_damaged_blob_is_refused_or_harmless (void **state)
{
    (void) state;
    trn_publication_t *first = s_publication ("jobs");
    trn_subscription_t *sub = first->subs.at[0];
    trn_subscription_add_settled (sub, 1, 10);
    trn_subscription_add_settled (sub, 20, 30);
    trn_subscription_add_settled (sub, 500, 99999);
    uint8_t blob[TRN_STATE_MAX];
    const size_t size = trn_state_encode (first, blob, sizeof blob);
    for (size_t cut = 0; cut < size; cut++) {
        assert_int_equal (s_decode (blob, cut), TERN_ECORRUPT);
    }
    blob[size] = 0;
    assert_int_equal (s_decode (blob, size + 1), TERN_ECORRUPT);
    for (size_t bit = 0; bit < size * 8; bit++) {
        blob[bit / 8] ^= (uint8_t) (1u << bit % 8);
        (void) s_decode (blob, size);
        blob[bit / 8] ^= (uint8_t) (1u << bit % 8);
    }
    assert_int_equal (s_decode (blob, size), 0);
    trn_publication_destroy (&first);
}

static void
test_a_state_ahead_of_its_log_is_refused (void **state)
{
    (void) state;
    trn_publication_t *first = s_publication ("jobs");
    trn_subscription_t *sub = first->subs.at[0];
    trn_subscription_add_settled (sub, 1, HIGH);
    uint8_t blob[TRN_STATE_MAX];
    const size_t size = trn_state_encode (first, blob, sizeof blob);
    assert_int_equal (s_decode (blob, size), 0);
    trn_publication_t *shorter = trn_publication_new (1, "orders", HIGH - 1);
    assert_int_equal (trn_state_decode (shorter, true, blob, size),
                      TERN_ECORRUPT);
    trn_publication_destroy (&shorter);
    trn_publication_destroy (&first);
}

//  T-171: what was settled behind an unsettled message, or was never for this
//  queue, counts as well; what did not fit into the state does not.
static void
test_settled_is_for_good_when_a_state_that_says_so_is_durable (void **state)
{
    (void) state;
    trn_publication_t *self = s_publication ("jobs");
    trn_subscription_t *sub = self->subs.at[0];
    uint8_t blob[TRN_STATE_MAX];
    trn_subscription_add_settled (sub, 5, 7);
    trn_subscription_skip (sub, 9, 9);
    assert_false (trn_subscription_settled_for_good (sub, 5));
    assert_true (trn_subscription_settled_for_good (sub, 9));
    trn_state_encode (self, blob, sizeof blob);
    trn_subscription_saving (sub);
    trn_subscription_add_settled (sub, 11, 11);
    assert_false (trn_subscription_settled_for_good (sub, 5));
    trn_subscription_saved (sub);
    assert_true (trn_subscription_settled_for_good (sub, 5));
    assert_true (trn_subscription_settled_for_good (sub, 7));
    assert_false (trn_subscription_settled_for_good (sub, 4));
    assert_false (trn_subscription_settled_for_good (sub, 11));
    //  Room for one of many ranges.
    for (uint64_t seq = 13; seq < 1000; seq += 2) {
        trn_subscription_add_settled (sub, seq, seq);
    }
    trn_state_encode (self, blob, 200);
    trn_subscription_saving (sub);
    trn_subscription_saved (sub);
    assert_true (trn_subscription_settled_for_good (sub, 5));
    assert_false (trn_subscription_settled_for_good (sub, 999));
    trn_publication_destroy (&self);
}

//  Saving ---------------------------------------------------------------------

static trn_engine_t *
s_engine (unsigned outboxes)
{
    const trn_engine_config_t config = {.name = "orders-1", .save_ms = 500};
    trn_engine_t *self = trn_engine_new (&config, &test_no_runs);
    for (unsigned index = 0; index < outboxes; index++) {
        char name[16];
        snprintf (name, sizeof name, "q%u", index);
        trn_outbox_id_t id = 0;
        assert_int_equal (trn_engine_add_outbox (self, name, name, 0, NULL,
                                                 true, NULL, 0, &id),
                          0);
    }
    return self;
}

static void
test_one_outbox_is_saved_at_once_after_a_quiet_time (void **state)
{
    (void) state;
    trn_engine_t *engine = s_engine (1);
    trn_publication_t *self = engine->publications.at[0];
    trn_engine_advance (engine, 12345);
    trn_publication_touch (engine, self);
    assert_true (trn_publication_deadline (engine, self) <= 12345);
    trn_engine_destroy (&engine);
}

static void
test_a_thousand_outboxes_are_saved_many_at_a_time (void **state)
{
    (void) state;
    enum {
        OUTBOXES = 1000,
        STEP_MS = 160
    };
    trn_engine_t *engine = s_engine (OUTBOXES);
    unsigned moments = 0;
    int64_t last_ms = 0;
    for (int64_t index = 0; index < OUTBOXES; index++) {
        const int64_t now_ms = 50000 + index;
        trn_publication_t *self = engine->publications.at[index];
        trn_engine_advance (engine, now_ms);
        trn_publication_touch (engine, self);
        //  What is settled later does not put it off.
        trn_engine_advance (engine, now_ms + 1);
        trn_publication_touch (engine, self);
        const int64_t due_ms = trn_publication_deadline (engine, self);
        assert_true (due_ms > now_ms && due_ms <= now_ms + STEP_MS);
        assert_int_equal (trn_engine_deadline (engine) <= due_ms, true);
        moments += due_ms != last_ms;
        last_ms = due_ms;
    }
    assert_true (moments <= OUTBOXES / STEP_MS + 2);
    trn_engine_destroy (&engine);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (test_what_was_settled_comes_back),
        cmocka_unit_test (test_after_a_crash_everything_is_in_doubt),
        cmocka_unit_test (test_the_lowest_are_kept_when_not_all_fit),
        cmocka_unit_test (test_every_queue_gets_its_share),
        cmocka_unit_test (test_another_version_is_refused),
        cmocka_unit_test (test_counts_and_policies_come_back),
        cmocka_unit_test (test_counts_that_do_not_fit_are_named),
        cmocka_unit_test (test_counts_of_many_lives_come_back),
        cmocka_unit_test (test_counts_over_settled_ones_cost_nothing),
        cmocka_unit_test (test_a_state_of_the_first_version_is_read),
        cmocka_unit_test (test_a_damaged_blob_is_refused_or_harmless),
        cmocka_unit_test (test_a_state_ahead_of_its_log_is_refused),
        cmocka_unit_test (
            test_settled_is_for_good_when_a_state_that_says_so_is_durable),
        cmocka_unit_test (test_one_outbox_is_saved_at_once_after_a_quiet_time),
        cmocka_unit_test (test_a_thousand_outboxes_are_saved_many_at_a_time),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
