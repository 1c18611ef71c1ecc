//  test_peer_call - the records of calls
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/call.h"
#include "wire/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t s_store[16] = {1, 2, 3};

static void
s_make (zmq_msg_t *msg, uint8_t kind, uint64_t seq)
{
    const trn_record_t record = {.kind = kind,
                                 .seq = seq,
                                 .stamp_us = 1,
                                 .body = (const uint8_t *) "how much?",
                                 .body_size = 9};
    zmq_msg_init_size (msg, trn_record_size (&record));
    trn_record_write (zmq_msg_data (msg), &record,
                      trn_record_seed (s_store, "prices", 0), 0);
}

//  T-165
static void
a_record_is_of_its_sender_service_and_number_or_refused (void **state)
{
    (void) state;
    zmq_msg_t msg;
    s_make (&msg, TRN_RECORD_MESSAGE, 77);
    assert_true (trn_call_verify (s_store, "prices", 77, &msg));
    assert_false (trn_call_verify (s_store, "prices", 78, &msg));
    assert_false (trn_call_verify (s_store, "orders", 77, &msg));
    const uint8_t other[16] = {9};
    assert_false (trn_call_verify (other, "prices", 77, &msg));
    zmq_msg_close (&msg);
    s_make (&msg, TRN_RECORD_GAP, 77);
    assert_false (trn_call_verify (s_store, "prices", 77, &msg));
    zmq_msg_close (&msg);
}

//  T-165
static void
a_record_with_any_bit_changed_is_refused (void **state)
{
    (void) state;
    zmq_msg_t msg;
    s_make (&msg, TRN_RECORD_MESSAGE, 77);
    uint8_t *bytes = zmq_msg_data (&msg);
    const trn_record_t record = {.body_size = 9};
    const size_t used = TRN_RECORD_HEADER + record.body_size;
    for (size_t bit = 0; bit < used * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t) (1u << bit % 8);
        assert_false (trn_call_verify (s_store, "prices", 77, &msg));
        bytes[bit / 8] ^= (uint8_t) (1u << bit % 8);
    }
    zmq_msg_close (&msg);
}

//  T-165
static void
nothing_may_stand_before_or_behind_it (void **state)
{
    (void) state;
    zmq_msg_t msg;
    zmq_msg_t longer;
    s_make (&msg, TRN_RECORD_MESSAGE, 77);
    const size_t size = zmq_msg_size (&msg);
    zmq_msg_init_size (&longer, size + 8);
    memset (zmq_msg_data (&longer), 0, size + 8);
    memcpy (zmq_msg_data (&longer), zmq_msg_data (&msg), size);
    assert_false (trn_call_verify (s_store, "prices", 77, &longer));
    zmq_msg_close (&longer);
    zmq_msg_init_size (&longer, size - 8);
    memcpy (zmq_msg_data (&longer), zmq_msg_data (&msg), size - 8);
    assert_false (trn_call_verify (s_store, "prices", 77, &longer));
    zmq_msg_close (&longer);
    zmq_msg_close (&msg);
    zmq_msg_init (&msg);
    assert_false (trn_call_verify (s_store, "prices", 77, &msg));
    zmq_msg_close (&msg);
}

static void
words_are_cut_and_made_fit_to_travel (void **state)
{
    (void) state;
    char words[TRN_TEXT_MAX + 1];
    trn_call_words (words, "no\xff such\nthing");
    assert_string_equal (words, "no? such?thing");
    trn_call_words (words, "");
    assert_string_equal (words, "");
    char text[3 * TRN_TEXT_MAX];
    memset (text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    memcpy (text + TRN_TEXT_MAX - 1, "\xc3\xab", 2);
    trn_call_words (words, text);
    //  The character that would be cut in two is left out.
    assert_int_equal (strlen (words), TRN_TEXT_MAX - 1);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (
            a_record_is_of_its_sender_service_and_number_or_refused),
        cmocka_unit_test (a_record_with_any_bit_changed_is_refused),
        cmocka_unit_test (nothing_may_stand_before_or_behind_it),
        cmocka_unit_test (words_are_cut_and_made_fit_to_travel),
    };
    return cmocka_run_group_tests (tests, NULL, NULL);
}
