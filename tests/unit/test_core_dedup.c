//  test_core_dedup - what a consumer knows of each seq
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/dedup.h"
#include "core/rng.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int
s_set_up (void **state)
{
    static trn_dedup_t dedup;
    dedup = (trn_dedup_t) {0};
    *state = &dedup;
    return 0;
}

static int
s_tear_down (void **state)
{
    trn_dedup_clear (*state);
    return 0;
}

static void
s_take (trn_dedup_t *self, uint64_t from, uint64_t to, uint64_t token)
{
    const trn_hand_t hand = {from, to, token, 1, 100, false};
    trn_dedup_take (self, &hand);
}

static void
s_expect (const trn_dedup_t *self, uint64_t from, uint64_t to,
          trn_seq_state_t expected, uint64_t expected_end)
{
    uint64_t end;
    assert_int_equal (trn_dedup_look (self, from, to, &end), expected);
    assert_int_equal (end, expected_end);
}

static trn_hand_t
s_release (trn_dedup_t *self, uint64_t from, uint64_t to)
{
    trn_hand_t part;
    assert_true (trn_dedup_release (self, 1, from, to, &part));
    return part;
}

static void
test_a_run_above_everything_is_new_in_one_piece (void **state)
{
    trn_dedup_t *self = *state;
    s_expect (self, 1, 500, TRN_SEQ_NEW, 500);
    s_take (self, 1, 500, 9);
    s_expect (self, 501, 900, TRN_SEQ_NEW, 900);
}

static void
test_a_run_sent_again_is_cut_by_what_is_known (void **state)
{
    trn_dedup_t *self = *state;
    s_take (self, 1, 10, 9);
    s_release (self, 3, 5);
    trn_dedup_settle (self, 3, 4);
    s_expect (self, 1, 20, TRN_SEQ_IN_HAND, 2);
    s_expect (self, 3, 20, TRN_SEQ_SETTLED, 4);
    s_expect (self, 5, 20, TRN_SEQ_NEW, 5);
    s_expect (self, 6, 20, TRN_SEQ_IN_HAND, 10);
    s_expect (self, 11, 20, TRN_SEQ_NEW, 20);
}

static void
test_an_answer_takes_the_latest_token (void **state)
{
    trn_dedup_t *self = *state;
    s_take (self, 1, 10, 9);
    trn_dedup_orphan (self);
    assert_int_equal (s_release (self, 1, 1).token, 0);
    trn_dedup_adopt (self, 4, 6, 12);
    assert_int_equal (s_release (self, 3, 10).to, 3);
    const trn_hand_t adopted = s_release (self, 4, 10);
    assert_int_equal (adopted.token, 12);
    assert_int_equal (adopted.to, 6);
    assert_int_equal (s_release (self, 7, 10).token, 0);
}

static void
test_a_consumer_cannot_settle_what_another_holds (void **state)
{
    trn_dedup_t *self = *state;
    s_take (self, 1, 5, 9);
    const trn_hand_t other = {6, 8, 9, 2, 100, false};
    trn_dedup_take (self, &other);
    trn_hand_t part;
    assert_false (trn_dedup_release (self, 2, 1, 5, &part));
    assert_true (trn_dedup_release (self, 2, 1, 100, &part));
    assert_int_equal (part.from, 6);
    assert_int_equal (part.to, 8);
}

static void
test_knowledge_goes_with_the_floor_only (void **state)
{
    trn_dedup_t *self = *state;
    s_take (self, 1, 10, 9);
    s_release (self, 1, 10);
    trn_dedup_settle (self, 1, 10);
    s_expect (self, 1, 10, TRN_SEQ_SETTLED, 10);
    trn_dedup_raise (self, 6);
    assert_int_equal (trn_seqset_count (&self->settled, 1, 5), 0);
    assert_true (trn_dedup_promised (self, 1, 10));
    assert_false (trn_dedup_promised (self, 6, 10));
    s_expect (self, 6, 10, TRN_SEQ_SETTLED, 10);
    trn_dedup_raise (self, 3);
    assert_int_equal (self->floor, 6);
}

static void
test_promises_join_what_was_scattered (void **state)
{
    trn_dedup_t *self = *state;
    for (uint64_t seq = 11; seq < 2000; seq += 2) {
        s_take (self, seq, seq, 9);
        s_release (self, seq, seq);
        trn_dedup_settle (self, seq, seq);
    }
    assert_int_equal (trn_seqset_total (&self->settled), 995);
    trn_dedup_promise (self, 11, 1999);
    assert_int_equal (trn_seqset_total (&self->settled), 0);
    assert_int_equal (trn_dedup_pages (self), 1);
    assert_true (trn_dedup_promised (self, 12, 12));
    assert_true (trn_dedup_promised (self, 1999, 3000));
    assert_false (trn_dedup_promised (self, 2000, 3000));
    trn_dedup_raise (self, 2000);
    assert_int_equal (trn_dedup_pages (self), 0);
}

//  T-34.  Whatever order priorities, delays and keys bring.
static void
test_a_million_scattered_settlements_take_little (void **state)
{
    trn_dedup_t *self = *state;
    enum {
        SEQS = 1000003
    };
    for (uint64_t index = 1; index < SEQS; index++) {
        const uint64_t seq = 1 + index * 7919 % SEQS * 2;
        s_take (self, seq, seq, 9);
        s_release (self, seq, seq);
        trn_dedup_settle (self, seq, seq);
    }
    assert_int_equal (trn_seqset_total (&self->settled), SEQS - 1);
    assert_true (trn_dedup_pages (self) * 600 < 300 * 1000);
    trn_dedup_promise (self, 1, SEQS);
    assert_true (trn_dedup_pages (self) * 600 < 300 * 1000);
    assert_true (trn_dedup_promised (self, SEQS, SEQS));
    uint64_t end;
    assert_int_equal (trn_dedup_look (self, SEQS + 2, SEQS + 2, &end),
                      TRN_SEQ_SETTLED);
}

//  As many as the largest prefetch, in any order: each costs what the first did.
static void
test_a_hand_full_of_scattered_messages_does_not_stall (void **state)
{
    trn_dedup_t *self = *state;
    enum {
        SEQS = 100003
    };
    for (uint64_t index = 1; index < SEQS; index++) {
        const uint64_t seq = 1 + index * 7919 % SEQS * 2;
        s_take (self, seq, seq, index);
    }
    assert_int_equal (trn_dedup_held (self), SEQS - 1);
    for (uint64_t index = 1; index < SEQS; index++) {
        const uint64_t seq = 1 + index * 104729 % SEQS * 2;
        assert_int_equal (s_release (self, seq - 1, seq + 1).from, seq);
    }
    assert_int_equal (trn_dedup_held (self), 0);
}

//  Against a model that knows each seq by itself.
static void
test_every_seq_is_what_a_slow_model_says (void **state)
{
    trn_dedup_t *self = *state;
    enum {
        SEQS = 300
    };
    trn_seq_state_t model[SEQS + 1] = {TRN_SEQ_NEW};
    uint64_t tokens[SEQS + 1] = {0};
    trn_rng_t rng = {7};
    for (uint64_t step = 1; step < 4000; step++) {
        const uint64_t from = 1 + trn_rng_below (&rng, SEQS);
        uint64_t to = from + trn_rng_below (&rng, 9);
        to = to < SEQS ? to : SEQS;
        const bool take = trn_rng_below (&rng, 2);
        for (uint64_t at = from; take && at <= to;) {
            uint64_t end;
            const trn_seq_state_t found = trn_dedup_look (self, at, to, &end);
            assert_true (end >= at && end <= to);
            for (uint64_t seq = at; seq <= end; seq++) {
                assert_int_equal (model[seq], found);
            }
            if (found == TRN_SEQ_NEW) {
                s_take (self, at, end, step);
            } else if (found == TRN_SEQ_IN_HAND) {
                trn_dedup_adopt (self, at, end, step);
            }
            for (uint64_t seq = at; seq <= end; seq++) {
                if (found != TRN_SEQ_SETTLED) {
                    model[seq] = TRN_SEQ_IN_HAND;
                    tokens[seq] = step;
                }
            }
            at = end + 1;
        }
        trn_hand_t part;
        const bool accept = trn_rng_below (&rng, 3) == 0;
        while (!take && trn_dedup_release (self, 1, from, to, &part)) {
            for (uint64_t seq = part.from; seq <= part.to; seq++) {
                assert_int_equal (model[seq], TRN_SEQ_IN_HAND);
                assert_int_equal (tokens[seq], part.token);
                model[seq] = accept ? TRN_SEQ_SETTLED : TRN_SEQ_NEW;
            }
            if (accept) {
                trn_dedup_settle (self, part.from, part.to);
            }
        }
    }
}

int
main (void)
{
#define TEST(name) cmocka_unit_test_setup_teardown (name, s_set_up, s_tear_down)
    const struct CMUnitTest tests[] = {
        TEST (test_a_run_above_everything_is_new_in_one_piece),
        TEST (test_a_run_sent_again_is_cut_by_what_is_known),
        TEST (test_an_answer_takes_the_latest_token),
        TEST (test_a_consumer_cannot_settle_what_another_holds),
        TEST (test_knowledge_goes_with_the_floor_only),
        TEST (test_promises_join_what_was_scattered),
        TEST (test_a_million_scattered_settlements_take_little),
        TEST (test_a_hand_full_of_scattered_messages_does_not_stall),
        TEST (test_every_seq_is_what_a_slow_model_says),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
