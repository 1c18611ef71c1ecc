//  test_core_state - an outbox remembers what was settled
//
//  SPDX-License-Identifier: MPL-2.0

#include "base/bytes.h"
#include "core/publication.h"
#include "core/rng.h"
#include "core/state.h"

#include <tern/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define HIGH 1000000u

static trn_publication_t *
s_publication (const char *queue)
{
    trn_publication_t *self = trn_publication_new (1, "orders", HIGH);
    if (queue) {
        trn_subscription_t *sub = trn_subscription_new (queue, 1);
        sub->publication = self;
        trn_list_add (&self->subs, sub);
    }
    return self;
}

static void
s_expect_same (const trn_ranges_t *one, const trn_ranges_t *other)
{
    assert_int_equal (one->count, other->count);
    for (size_t index = 0; index < one->count; index++) {
        assert_int_equal (one->at[index].from, other->at[index].from);
        assert_int_equal (one->at[index].to, other->at[index].to);
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
        trn_ranges_add (&sub->settled, from, from + trn_rng_below (&rng, 90));
    }
    trn_ranges_add (&sub->settled, 1, 77);
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
    assert_int_equal (again->doubt, 89);
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
        trn_ranges_add (&sub->settled, seq, seq);
    }
    uint8_t blob[TRN_STATE_MAX];
    const size_t size = trn_state_encode (first, blob, sizeof blob);
    assert_true (size <= TRN_STATE_MAX && size > TRN_STATE_MAX - 64);
    assert_true (sub->saving.count < sub->settled.count);
    assert_int_equal (sub->saving.at[0].from, 2);

    trn_publication_t *second = s_publication (NULL);
    assert_int_equal (trn_state_decode (second, true, blob, size), 0);
    const trn_subscription_t *again = second->subs.at[0];
    s_expect_same (&again->settled, &sub->saving);
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
        trn_subscription_t *sub = trn_subscription_new (queue, 1);
        sub->publication = first;
        trn_list_add (&first->subs, sub);
        for (uint64_t seq = 2; seq < 1000; seq += 2) {
            trn_ranges_add (&sub->settled, seq, seq);
        }
    }
    uint8_t blob[TRN_STATE_MAX];
    const size_t size = trn_state_encode (first, blob, sizeof blob);
    trn_publication_t *second = s_publication (NULL);
    assert_int_equal (trn_state_decode (second, true, blob, size), 0);
    assert_int_equal (second->subs.count, TRN_QUEUES_MAX);
    for (size_t index = 0; index < second->subs.count; index++) {
        const trn_subscription_t *sub = second->subs.at[index];
        assert_true (sub->settled.count > 30);
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
    const uint8_t newer[] = {2, 0, 0, 0};
    assert_int_equal (s_decode (newer, sizeof newer), TERN_EVERSION);
}

static void
test_a_damaged_blob_is_refused_or_harmless (void **state)
{
    (void) state;
    trn_publication_t *first = s_publication ("jobs");
    trn_subscription_t *sub = first->subs.at[0];
    trn_ranges_add (&sub->settled, 1, 10);
    trn_ranges_add (&sub->settled, 20, 30);
    trn_ranges_add (&sub->settled, 500, 99999);
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
    trn_ranges_add (&sub->settled, 1, HIGH);
    uint8_t blob[TRN_STATE_MAX];
    const size_t size = trn_state_encode (first, blob, sizeof blob);
    assert_int_equal (s_decode (blob, size), 0);
    trn_publication_t *shorter = trn_publication_new (1, "orders", HIGH - 1);
    assert_int_equal (trn_state_decode (shorter, true, blob, size),
                      TERN_ECORRUPT);
    trn_publication_destroy (&shorter);
    trn_publication_destroy (&first);
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
        cmocka_unit_test (test_a_damaged_blob_is_refused_or_harmless),
        cmocka_unit_test (test_a_state_ahead_of_its_log_is_refused),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
