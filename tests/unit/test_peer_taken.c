//  test_peer_taken - which messages an inbox has taken in
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/taken.h"

#include "peer/message.h"
#include "peer/origin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t s_uuid[16] = {1, 2, 3};

static void
s_next_is (const trn_taken_t *taken, uint64_t *from, uint64_t to,
           const trn_giver_t *giver, uint64_t first, uint64_t last)
{
    trn_giver_t *found = NULL;
    trn_range_t part;
    assert_true (trn_taken_next (taken, from, to, &found, &part));
    assert_ptr_equal (found, giver);
    assert_int_equal (part.from, first);
    assert_int_equal (part.to, last);
}

static void
s_no_more (const trn_taken_t *taken, uint64_t from, uint64_t to)
{
    trn_giver_t *found = NULL;
    trn_range_t part;
    assert_false (trn_taken_next (taken, &from, to, &found, &part));
}

static void
s_add (trn_taken_t *taken, trn_giver_t *giver, uint64_t at, uint64_t seq,
       uint64_t count)
{
    for (uint64_t step = 0; step < count; step++) {
        trn_taken_add (taken, giver, at + step, seq + step);
    }
}

static void
the_log_is_mapped_to_its_publishers (void **state)
{
    (void) state;
    trn_taken_t *taken = trn_taken_new ();
    trn_giver_t *a = trn_taken_giver (taken, s_uuid, "a");
    trn_giver_t *b = trn_taken_giver (taken, s_uuid, "#b");
    assert_ptr_not_equal (a, b);
    assert_ptr_equal (trn_taken_giver (taken, s_uuid, "a"), a);
    s_add (taken, a, 1, 101, 10);
    s_add (taken, b, 11, 7, 2);
    s_add (taken, a, 20, 111, 5);
    uint64_t from = 3;
    s_next_is (taken, &from, 22, a, 103, 110);
    assert_int_equal (from, 11);
    s_next_is (taken, &from, 22, b, 7, 8);
    s_next_is (taken, &from, 22, a, 111, 113);
    s_no_more (taken, from, 22);

    //  What is done is passed over.
    trn_seqset_remove (&a->open, 104, 109);
    from = 1;
    s_next_is (taken, &from, 11, a, 101, 103);
    s_next_is (taken, &from, 11, a, 110, 110);
    s_next_is (taken, &from, 11, b, 7, 7);
    s_no_more (taken, from, 11);
    trn_taken_forget (taken, 12);
    s_no_more (taken, 1, 19);
    from = 1;
    s_next_is (taken, &from, 100, a, 111, 115);
    trn_taken_destroy (&taken);
    assert_null (taken);
}

//  The publisher sends it again, and then it lies at another place of the log.
static void
what_was_dropped_is_another_when_it_comes_again (void **state)
{
    (void) state;
    trn_taken_t *taken = trn_taken_new ();
    trn_giver_t *a = trn_taken_giver (taken, s_uuid, "a");
    s_add (taken, a, 1, 1, 5);
    trn_giver_make_sure (a, 1, 5);
    trn_taken_drop (taken, 3);
    trn_taken_drop (taken, 3);
    assert_false (trn_seqset_has (&a->open, 3));
    assert_false (trn_seqset_has (&a->sure, 3));
    trn_taken_add (taken, a, 6, 3);
    uint64_t from = 1;
    s_next_is (taken, &from, 5, a, 1, 2);
    s_next_is (taken, &from, 5, a, 4, 5);
    s_no_more (taken, from, 5);
    from = 6;
    s_next_is (taken, &from, 6, a, 3, 3);

    //  At either end of a lot, and all of one.
    trn_taken_drop (taken, 1);
    trn_taken_drop (taken, 5);
    trn_taken_drop (taken, 6);
    from = 1;
    s_next_is (taken, &from, 9, a, 2, 2);
    s_next_is (taken, &from, 9, a, 4, 4);
    s_no_more (taken, from, 9);
    trn_taken_destroy (&taken);
}

static bool
s_first_four (void *arg, uint64_t at)
{
    (void) arg;
    return at <= 4;
}

//  3 was handed back before the crash: it is settled in the log, and not sure.
static void
another_life_believes_the_state_and_the_log (void **state)
{
    (void) state;
    uint8_t bytes[TRN_TAKEN_STATE_MAX];
    trn_taken_t *taken = trn_taken_new ();
    trn_giver_t *a = trn_taken_giver (taken, s_uuid, "a");
    s_add (taken, a, 1, 11, 4);
    trn_giver_make_sure (a, 11, 14);
    trn_giver_raise (a, 11);
    trn_taken_drop (taken, 3);
    const size_t size = trn_taken_pack (taken, bytes);
    trn_taken_destroy (&taken);

    taken = trn_taken_new ();
    a = trn_taken_giver (taken, s_uuid, "a");
    s_add (taken, a, 1, 11, 4);
    trn_taken_add (taken, a, 5, 13);  //  sent again, and taken again
    trn_taken_add (taken, a, 6, 15);
    assert_int_equal (trn_taken_unpack (taken, bytes, size), size);
    trn_taken_restore (taken, s_first_four, NULL);
    uint64_t from = 1;
    s_next_is (taken, &from, 9, a, 13, 13);
    s_next_is (taken, &from, 9, a, 15, 15);
    s_no_more (taken, from, 9);
    assert_int_equal (trn_seqset_count (&a->sure, 11, 15), 5);
    assert_int_equal (a->floor, 11);
    trn_taken_destroy (&taken);

    //  Without that second copy 13 is neither, so it will be taken.
    taken = trn_taken_new ();
    assert_int_equal (trn_taken_unpack (taken, bytes, size), size);
    a = trn_taken_giver (taken, s_uuid, "a");
    assert_false (trn_seqset_has (&a->sure, 13));
    assert_true (trn_seqset_has (&a->sure, 14));
    trn_taken_destroy (&taken);
}

static void
a_state_has_its_size_whatever_there_is_to_say (void **state)
{
    (void) state;
    static uint8_t bytes[TRN_TAKEN_STATE_MAX + 64];
    memset (bytes, 0xaa, sizeof bytes);
    trn_taken_t *taken = trn_taken_new ();
    for (unsigned number = 0; number < 3000; number++) {
        uint8_t uuid[16] = {(uint8_t) number, (uint8_t) (number >> 8)};
        trn_giver_t *giver = trn_taken_giver (taken, uuid, "a-queue");
        for (uint64_t seq = 1; seq < 40; seq += 2) {
            trn_giver_make_sure (giver, seq, seq);
        }
    }
    const size_t size = trn_taken_pack (taken, bytes);
    assert_true (size > TRN_TAKEN_STATE_MAX / 2);
    assert_true (size <= TRN_TAKEN_STATE_MAX);
    assert_int_equal (bytes[TRN_TAKEN_STATE_MAX], 0xaa);
    trn_taken_destroy (&taken);

    //  Whoever was heard last is in it.
    taken = trn_taken_new ();
    assert_int_equal (trn_taken_unpack (taken, bytes, size), size);
    const uint8_t last[16] = {2999 & 0xff, 2999 >> 8};
    assert_true (
        trn_seqset_total (&trn_taken_giver (taken, last, "a-queue")->sure) > 0);
    trn_taken_destroy (&taken);
}

static void
a_damaged_state_is_none (void **state)
{
    (void) state;
    uint8_t bytes[TRN_TAKEN_STATE_MAX];
    trn_taken_t *taken = trn_taken_new ();
    trn_giver_t *a = trn_taken_giver (taken, s_uuid, "a");
    trn_giver_make_sure (a, 11, 14);
    const size_t size = trn_taken_pack (taken, bytes);
    trn_taken_destroy (&taken);
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *part = malloc (cut + 1);
        assert_non_null (part);
        memcpy (part, bytes, cut);
        assert_int_equal (trn_taken_unpack (NULL, part, cut), 0);
        free (part);
    }
    for (size_t at = 0; at < size; at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            bytes[at] ^= (uint8_t) (1u << bit);
            taken = trn_taken_new ();
            const size_t read = trn_taken_unpack (taken, bytes, size);
            assert_true (read <= size);
            trn_taken_destroy (&taken);
            bytes[at] ^= (uint8_t) (1u << bit);
        }
    }
}

//  11..14 are done or open; 14 is open and was never durable.
static void
another_queue_may_begin_anywhere (void **state)
{
    (void) state;
    uint8_t bytes[TRN_TAKEN_STATE_MAX];
    trn_taken_t *taken = trn_taken_new ();
    trn_giver_t *a = trn_taken_giver (taken, s_uuid, "a");
    trn_giver_meet (a, 3);
    s_add (taken, a, 1, 11, 4);
    trn_giver_make_sure (a, 11, 13);
    trn_seqset_remove (&a->open, 11, 12);
    trn_giver_raise (a, 11);
    trn_giver_meet (a, 3);
    trn_giver_meet (a, 0);
    trn_giver_meet (a, 2);
    trn_giver_meet (a, 3);
    assert_int_equal (trn_seqset_total (&a->sure), 3);
    assert_int_equal (a->floor, 11);

    const size_t size = trn_taken_pack (taken, bytes);
    trn_giver_meet (a, 4);
    assert_int_equal (trn_seqset_total (&a->sure), 1);
    assert_true (trn_seqset_has (&a->sure, 13));
    assert_int_equal (trn_seqset_count (&a->open, 13, 14), 2);
    assert_int_equal (a->floor, 0);
    trn_giver_make_sure (a, 1, 1);
    assert_true (trn_seqset_has (&a->sure, 1));
    trn_taken_destroy (&taken);

    //  The next life knows it too.
    taken = trn_taken_new ();
    assert_int_equal (trn_taken_unpack (taken, bytes, size), size);
    a = trn_taken_giver (taken, s_uuid, "a");
    trn_giver_meet (a, 3);
    assert_int_equal (trn_seqset_total (&a->sure), 3);
    trn_giver_meet (a, 4);
    assert_int_equal (trn_seqset_total (&a->sure), 0);
    trn_taken_destroy (&taken);
}

//  Origins -------------------------------------------------------------------

static void
a_copy_says_what_it_is_of (void **state)
{
    (void) state;
    trn_propset_t sent = {0};
    trn_propset_t props = {0};
    assert_int_equal (
        trn_propset_text (&sent, trn_text ("colour"), trn_text ("red")), 0);
    assert_int_equal (
        trn_propset_number (&sent, trn_text (TRN_OWN_PRIORITY), 7), 0);
    assert_int_equal (trn_propset_number (&sent, trn_text (TRN_OWN_DUE), 9), 0);
    assert_int_equal (trn_propset_number (&sent, trn_text (TRN_OWN_EXPIRES), 9),
                      0);
    assert_int_equal (
        trn_propset_bytes (&sent, trn_text (TRN_OWN_ORIGIN), "forged", 6), 0);
    size_t size = 0;
    trn_record_t record
        = {.kind = TRN_RECORD_MESSAGE, .flags = TRN_RECORD_RULED};
    record.props = trn_propset_map (&sent, &size);
    record.props_size = (uint16_t) size;
    trn_origin_t origin = {.seq = 42,
                           .stamp_us = 43,
                           .floor = 44,
                           .missed = 45,
                           .deliveries = 2,
                           .redelivered = true,
                           .publisher = "orders-1",
                           .outbox = "#prices"};
    memcpy (origin.store_uuid, s_uuid, 16);
    trn_origin_t read;
    assert_false (trn_origin_read (&record, &read));
    trn_origin_seal (&origin, &record, false, &props);
    record.props = trn_propset_map (&props, &size);
    record.props_size = (uint16_t) size;

    assert_true (trn_origin_read (&record, &read));
    assert_memory_equal (read.store_uuid, s_uuid, 16);
    assert_true (read.seq == 42 && read.stamp_us == 43 && read.floor == 44
                 && read.missed == 45 && read.deliveries == 2
                 && read.redelivered);
    assert_string_equal (read.publisher, "orders-1");
    assert_string_equal (read.outbox, "#prices");
    trn_props_t all;
    trn_prop_t prop;
    assert_int_equal (trn_props_open (&all, record.props, record.props_size),
                      0);
    assert_true (trn_props_find (&all, trn_text ("colour"), &prop));
    assert_true (trn_props_find (&all, trn_text (TRN_OWN_PRIORITY), &prop));
    assert_true (trn_props_find (&all, trn_text (TRN_OWN_ID), &prop));
    assert_true (trn_text_is (prop.text, "orders-1/#prices/42"));
    assert_false (trn_props_find (&all, trn_text (TRN_OWN_DUE), &prop));
    assert_false (trn_props_find (&all, trn_text (TRN_OWN_EXPIRES), &prop));
    trn_propset_clear (&sent);
    trn_propset_clear (&props);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (the_log_is_mapped_to_its_publishers),
        cmocka_unit_test (what_was_dropped_is_another_when_it_comes_again),
        cmocka_unit_test (another_life_believes_the_state_and_the_log),
        cmocka_unit_test (a_state_has_its_size_whatever_there_is_to_say),
        cmocka_unit_test (a_damaged_state_is_none),
        cmocka_unit_test (another_queue_may_begin_anywhere),
        cmocka_unit_test (a_copy_says_what_it_is_of),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name ("peer/taken", tests, NULL, NULL);
}
