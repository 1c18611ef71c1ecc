//  test_base_bytes - numbers in and out of bytes
//
//  SPDX-License-Identifier: MPL-2.0

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void
numbers_lie_least_byte_first (void **state)
{
    (void) state;
    uint8_t at[8];
    trn_put_u16 (at, 0x0102);
    assert_memory_equal (at, "\x02\x01", 2);
    trn_put_u32 (at, 0x01020304);
    assert_memory_equal (at, "\x04\x03\x02\x01", 4);
    trn_put_u64 (at, 0x0102030405060708u);
    assert_memory_equal (at, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
}

static void
every_bit_comes_back (void **state)
{
    (void) state;
    uint8_t at[8];
    for (unsigned bit = 0; bit < 64; bit++) {
        const uint64_t number = UINT64_C (1) << bit;
        trn_put_u64 (at, number);
        assert_true (trn_get_u64 (at) == number);
        trn_put_u64 (at, ~number);
        assert_true (trn_get_u64 (at) == ~number);
        trn_put_u32 (at, (uint32_t) number);
        assert_true (trn_get_u32 (at) == (uint32_t) number);
        trn_put_u16 (at, (uint16_t) number);
        assert_true (trn_get_u16 (at) == (uint16_t) number);
    }
}

static void
no_alignment_is_needed (void **state)
{
    (void) state;
    uint8_t at[16] = {0};
    for (size_t shift = 0; shift < 8; shift++) {
        trn_put_u64 (at + shift, 0xfedcba9876543210u);
        assert_true (trn_get_u64 (at + shift) == 0xfedcba9876543210u);
    }
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (numbers_lie_least_byte_first),
        cmocka_unit_test (every_bit_comes_back),
        cmocka_unit_test (no_alignment_is_needed),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name ("base/bytes", tests, NULL, NULL);
}
