//  test_record - the record that lies in the log and travels on the wire
//
//  SPDX-License-Identifier: MPL-2.0

#include "wire/record.h"

#include "base/bytes.h"
#include "support/seed.h"

#include <tern/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t s_uuid[16]
    = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static uint8_t s_content[TRN_BODY_MAX];

static trn_record_t
s_record (uint8_t key_size, uint16_t props_size, uint32_t body_size)
{
    return (trn_record_t) {.kind = TRN_RECORD_MESSAGE,
                           .flags = 5,
                           .seq = 0x1122334455667788u,
                           .stamp_us = 0x0005e2a1c0ffee42u,
                           .incarnation = 0xa1b2c3d4u,
                           .unsynced = 77,
                           .key = s_content,
                           .props = s_content + 1000,
                           .body = s_content + 2000 * (body_size < 4096),
                           .key_size = key_size,
                           .props_size = props_size,
                           .body_size = body_size};
}

static void
s_check_same (const trn_record_t *one, const trn_record_t *other)
{
    assert_int_equal (one->kind, other->kind);
    assert_int_equal (one->flags, other->flags);
    assert_true (one->seq == other->seq);
    assert_true (one->stamp_us == other->stamp_us);
    assert_int_equal (one->incarnation, other->incarnation);
    assert_int_equal (one->unsynced, other->unsynced);
    assert_int_equal (one->key_size, other->key_size);
    assert_int_equal (one->props_size, other->props_size);
    assert_int_equal (one->body_size, other->body_size);
    assert_memory_equal (one->key, other->key, one->key_size);
    assert_memory_equal (one->props, other->props, one->props_size);
    assert_memory_equal (one->body, other->body, one->body_size);
}

static void
s_round_trip (uint8_t key_size, uint16_t props_size, uint32_t body_size)
{
    const uint64_t seed = trn_record_seed (s_uuid, "hello", 3);
    const trn_record_t record = s_record (key_size, props_size, body_size);
    const uint32_t size = trn_record_size (&record);
    assert_true (size % 8 == 0 && size <= TRN_RECORD_MAX);

    //  Not one byte beyond its size is written or needed.
    uint8_t *bytes = malloc (size);
    assert_non_null (bytes);
    trn_record_write (bytes, &record, seed, 4096);
    trn_record_t found;
    assert_int_equal (trn_record_read (bytes, size, seed, 4096, &found),
                      (int) size);
    s_check_same (&found, &record);
    assert_int_equal (trn_record_peek (bytes, size, &found), (int) size);
    s_check_same (&found, &record);
    free (bytes);
}

//  T-110
static void
what_is_written_comes_back (void **state)
{
    (void) state;
    for (uint32_t body = 0; body < 70; body++) {
        s_round_trip (0, 0, body);
        s_round_trip ((uint8_t) (body % 9), (uint16_t) (body % 11), body);
    }
    s_round_trip (255, 0, 0);
    s_round_trip (0, 65535, 0);
    s_round_trip (0, 0, TRN_BODY_MAX);
}

static void
the_largest_record_is_the_limit (void **state)
{
    (void) state;
    s_round_trip (TRN_KEY_MAX, TRN_PROPS_MAX, TRN_BODY_MAX);
    const trn_record_t record
        = s_record (TRN_KEY_MAX, TRN_PROPS_MAX, TRN_BODY_MAX);
    assert_true (trn_record_size (&record) == TRN_RECORD_MAX);
}

//  T-111
static void
every_flipped_bit_is_noticed (void **state)
{
    (void) state;
    const uint64_t seed = trn_record_seed (s_uuid, "hello", 3);
    const trn_record_t record = s_record (3, 4, 30);
    const uint32_t length = TRN_RECORD_HEADER + 3 + 4 + 30;
    const uint32_t size = trn_record_size (&record);
    uint8_t bytes[128] = {0};
    trn_record_write (bytes, &record, seed, 64);
    for (uint32_t bit = 0; bit < length * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t) (1u << bit % 8);
        trn_record_t found;
        assert_int_equal (
            trn_record_read (bytes, sizeof bytes, seed, 64, &found),
            TERN_ECORRUPT);
        bytes[bit / 8] ^= (uint8_t) (1u << bit % 8);
    }

    //  The padding is nobody's: it is written as zeros and never read.
    for (uint32_t bit = length * 8; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t) (1u << bit % 8);
        trn_record_t found;
        assert_int_equal (trn_record_read (bytes, size, seed, 64, &found),
                          (int) size);
        s_check_same (&found, &record);
    }
}

//  T-112
static void
a_record_counts_only_in_its_own_place (void **state)
{
    (void) state;
    const uint64_t seed = trn_record_seed (s_uuid, "hello", 3);
    const trn_record_t record = s_record (3, 4, 30);
    const uint32_t size = trn_record_size (&record);
    uint8_t bytes[128];
    trn_record_write (bytes, &record, seed, 64);
    trn_record_t found;
    for (int64_t offset = 0; offset < 1 << 20; offset += 8) {
        const int expected = offset == 64 ? (int) size : TERN_ECORRUPT;
        assert_int_equal (trn_record_read (bytes, size, seed, offset, &found),
                          expected);
    }
    uint8_t other[16];
    memcpy (other, s_uuid, 16);
    other[15] ^= 1;
    const uint64_t foreign[] = {trn_record_seed (other, "hello", 3),
                                trn_record_seed (s_uuid, "hellp", 3),
                                trn_record_seed (s_uuid, "hell", 3),
                                trn_record_seed (s_uuid, "hello", 4),
                                trn_record_seed (s_uuid, "hello", 3u << 8)};
    for (size_t index = 0; index < 5; index++) {
        assert_int_equal (
            trn_record_read (bytes, size, foreign[index], 64, &found),
            TERN_ECORRUPT);
    }
}

static void
a_record_cut_short_is_corrupt_wherever_it_is_cut (void **state)
{
    (void) state;
    const uint64_t seed = trn_record_seed (s_uuid, "hello", 3);
    const trn_record_t record = s_record (3, 4, 30);
    const uint32_t size = trn_record_size (&record);
    uint8_t whole[128];
    trn_record_write (whole, &record, seed, 0);
    for (uint32_t cut = 0; cut < size; cut++) {
        //  In memory of its own, so that one byte too far is caught.
        uint8_t *bytes = malloc (cut ? cut : 1);
        memcpy (bytes, whole, cut);
        trn_record_t found;
        assert_int_equal (trn_record_read (bytes, cut, seed, 0, &found),
                          TERN_ECORRUPT);
        free (bytes);
    }
}

//  T-113
static void
zeros_are_the_end_of_the_log (void **state)
{
    (void) state;
    const uint8_t zeros[64] = {0};
    trn_record_t found;
    assert_int_equal (trn_record_read (zeros, 64, 1, 0, &found), 0);
    assert_int_equal (trn_record_read (zeros, 40, 1, 0, &found), 0);
    assert_int_equal (trn_record_read (zeros, 39, 1, 0, &found), TERN_ECORRUPT);
}

//  A hostile writer could make any sum good: lengths must hold without it.
static int
s_read_forged (size_t at, uint32_t value, size_t width)
{
    uint8_t bytes[128] = {0};
    const trn_record_t record = s_record (3, 4, 30);
    trn_record_write (bytes, &record, 9, 0);
    if (width == 4) {
        trn_put_u32 (bytes + at, value);
    } else {
        bytes[at] = (uint8_t) value;
    }
    trn_record_t found;
    return trn_record_peek (bytes, sizeof bytes, &found);
}

static void
lengths_that_cannot_be_are_refused_before_any_use (void **state)
{
    (void) state;
    const uint32_t lengths[] = {1,
                                39,
                                40 + 6,
                                129,
                                TRN_RECORD_MAX + 1,
                                INT32_MAX,
                                UINT32_MAX - 6,
                                UINT32_MAX};
    for (size_t index = 0; index < 8; index++) {
        assert_int_equal (s_read_forged (8, lengths[index], 4), TERN_ECORRUPT);
    }
    //  A key that reaches beyond the record.
    assert_int_equal (s_read_forged (13, 255, 1), TERN_ECORRUPT);
    assert_int_equal (s_read_forged (15, 255, 1), TERN_ECORRUPT);
}

//  T-114
static void
an_unknown_kind_is_corrupt_though_its_sum_is_right (void **state)
{
    (void) state;
    uint8_t bytes[128];
    for (uint8_t kind = 0; kind < 16; kind++) {
        trn_record_t record = s_record (3, 4, 30);
        record.kind = kind;
        trn_record_write (bytes, &record, 9, 0);
        trn_record_t found;
        const bool known = kind == TRN_RECORD_MESSAGE || kind == TRN_RECORD_GAP;
        assert_int_equal (
            trn_record_read (bytes, sizeof bytes, 9, 0, &found) > 0, known);
    }
}

static void
random_bytes_are_never_a_record (void **state)
{
    (void) state;
    test_random_t random = test_random_start ();
    uint8_t bytes[256];
    for (int round = 0; round < 100000; round++) {
        for (size_t at = 0; at < sizeof bytes; at += 8) {
            trn_put_u64 (bytes + at, test_random (&random));
        }
        //  Half of them with a length that could be.
        if (round % 2) {
            trn_put_u32 (bytes + 8,
                         (uint32_t) test_random_below (&random, 300));
            bytes[13] = (uint8_t) test_random_below (&random, 50);
            trn_put_u16 (bytes + 14,
                         (uint16_t) test_random_below (&random, 50));
        }
        trn_record_t found;
        assert_int_equal (trn_record_read (bytes, sizeof bytes,
                                           test_random (&random), 0, &found),
                          TERN_ECORRUPT);
    }
}

int
main (void)
{
    for (size_t at = 0; at < sizeof s_content; at++) {
        s_content[at] = (uint8_t) (at * 7 + at / 251);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (what_is_written_comes_back),
        cmocka_unit_test (the_largest_record_is_the_limit),
        cmocka_unit_test (every_flipped_bit_is_noticed),
        cmocka_unit_test (a_record_counts_only_in_its_own_place),
        cmocka_unit_test (a_record_cut_short_is_corrupt_wherever_it_is_cut),
        cmocka_unit_test (zeros_are_the_end_of_the_log),
        cmocka_unit_test (lengths_that_cannot_be_are_refused_before_any_use),
        cmocka_unit_test (an_unknown_kind_is_corrupt_though_its_sum_is_right),
        cmocka_unit_test (random_bytes_are_never_a_record),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name ("wire/record", tests, NULL, NULL);
}
