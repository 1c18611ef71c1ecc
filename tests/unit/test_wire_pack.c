//  test_wire_pack - the pre-scan, the reader and the packer
//
//  SPDX-License-Identifier: MPL-2.0

#include "wire/pack.h"
#include "wire/packer.h"

#include "support/seed.h"

#include <tern/error.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

//  Scan bytes that lie in memory of their own size: one too far is caught.
static int
s_scan (const void *bytes, size_t size, unsigned depth, size_t elements)
{
    uint8_t *copy = malloc (size ? size : 1);
    assert_non_null (copy);
    memcpy (copy, bytes, size);
    const int rc = trn_pack_scan (copy, size, depth, elements);

    //  Whatever the scan said, the reader stays inside the bytes too.
    trn_unpack_t in;
    trn_unpack_start (&in, copy, size);
    trn_unpack_skip (&in, 1);
    if (rc == 0) {
        assert_int_equal (in.error, 0);
        assert_ptr_equal (in.at, in.end);
    }
    free (copy);
    return rc;
}

#define SCAN(bytes) s_scan (bytes, sizeof (bytes) - 1, 8, 100)

//  T-100
static void
every_form_of_value_is_one_object (void **state)
{
    (void) state;
    assert_int_equal (SCAN ("\x00"), 0);
    assert_int_equal (SCAN ("\x7f"), 0);
    assert_int_equal (SCAN ("\xe0"), 0);
    assert_int_equal (SCAN ("\xc0"), 0);
    assert_int_equal (SCAN ("\xc2"), 0);
    assert_int_equal (SCAN ("\xc3"), 0);
    assert_int_equal (SCAN ("\xcc\x80"), 0);
    assert_int_equal (SCAN ("\xcd\x80\0"), 0);
    assert_int_equal (SCAN ("\xce\x80\0\0\0"), 0);
    assert_int_equal (SCAN ("\xcf\x80\0\0\0\0\0\0\0"), 0);
    assert_int_equal (SCAN ("\xd0\x80"), 0);
    assert_int_equal (SCAN ("\xd1\x80\0"), 0);
    assert_int_equal (SCAN ("\xd2\x80\0\0\0"), 0);
    assert_int_equal (SCAN ("\xd3\x80\0\0\0\0\0\0\0"), 0);
    assert_int_equal (SCAN ("\xca\0\0\0\0"), 0);
    assert_int_equal (SCAN ("\xcb\0\0\0\0\0\0\0\0"), 0);
    assert_int_equal (SCAN ("\xa0"), 0);
    assert_int_equal (SCAN ("\xa1x"), 0);
    assert_int_equal (SCAN ("\xd9\1x"), 0);
    assert_int_equal (SCAN ("\xda\0\1x"), 0);
    assert_int_equal (SCAN ("\xdb\0\0\0\1x"), 0);
    assert_int_equal (SCAN ("\xc4\1\xff"), 0);
    assert_int_equal (SCAN ("\xc5\0\1\0"), 0);
    assert_int_equal (SCAN ("\xc6\0\0\0\1\0"), 0);
    assert_int_equal (SCAN ("\x90"), 0);
    assert_int_equal (SCAN ("\x91\1"), 0);
    assert_int_equal (SCAN ("\xdc\0\1\1"), 0);
    assert_int_equal (SCAN ("\xdd\0\0\0\1\1"), 0);
    assert_int_equal (SCAN ("\x80"), 0);
    assert_int_equal (SCAN ("\x81\1\2"), 0);
    assert_int_equal (SCAN ("\xde\0\1\1\2"), 0);
    assert_int_equal (SCAN ("\xdf\0\0\0\1\1\2"), 0);
}

static void
no_object_two_objects_or_a_rest_is_refused (void **state)
{
    (void) state;
    assert_int_equal (SCAN (""), TERN_EPROTO);
    assert_int_equal (SCAN ("\1\1"), TERN_EPROTO);
    assert_int_equal (SCAN ("\x90\x90"), TERN_EPROTO);
    assert_int_equal (SCAN ("\x91"), TERN_EPROTO);
    assert_int_equal (SCAN ("\x81\1"), TERN_EPROTO);
    assert_int_equal (SCAN ("\x92\x91\1"), TERN_EPROTO);
}

static void
ext_and_the_unused_byte_are_refused (void **state)
{
    (void) state;
    assert_int_equal (SCAN ("\xc1"), TERN_EPROTO);
    const uint8_t ext[] = {0xc7, 0xc8, 0xc9, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8};
    for (size_t index = 0; index < sizeof ext; index++) {
        uint8_t bytes[32] = {0};
        bytes[0] = ext[index];
        for (size_t size = 1; size <= sizeof bytes; size++) {
            assert_int_equal (s_scan (bytes, size, 8, 100), TERN_EPROTO);
        }
    }
}

static void
a_value_cut_short_is_refused_wherever_it_is_cut (void **state)
{
    (void) state;
    static const char whole[]
        = "\x9a\xcc\x80\xcd\x80\0\xce\x80\0\0\0\xcf\x80\0\0\0\0\0\0\0\xd9\2xy"
          "\xc4\2xy\xdc\0\1\1\x82\xa1k\1\2\x90\xcb\0\0\0\0\0\0\0\0\xc3";
    const size_t size = sizeof whole - 1;
    assert_int_equal (s_scan (whole, size, 8, 100), 0);
    for (size_t cut = 0; cut < size; cut++) {
        assert_int_equal (s_scan (whole, cut, 8, 100), TERN_EPROTO);
    }
}

//  T-101
static void
declared_sizes_beyond_the_bytes_left_cost_nothing (void **state)
{
    (void) state;
    //  These made msgpack-c reserve gigabytes.
    assert_int_equal (SCAN ("\xdd\x08\0\0\0"), TERN_EPROTO);
    assert_int_equal (SCAN ("\xdd\xff\xff\xff\xff"), TERN_EPROTO);
    assert_int_equal (SCAN ("\xdf\xff\xff\xff\xff\0\0"), TERN_EPROTO);
    assert_int_equal (SCAN ("\xdf\x80\0\0\0\0\0"), TERN_EPROTO);
    assert_int_equal (SCAN ("\xdb\xff\xff\xff\xffx"), TERN_EPROTO);
    assert_int_equal (SCAN ("\xc6\xff\xff\xff\xffx"), TERN_EPROTO);
    assert_int_equal (SCAN ("\xdc\xff\xff\1\1"), TERN_EPROTO);
    uint8_t nested[31 * 3];
    for (size_t at = 0; at < sizeof nested; at += 3) {
        memcpy (nested + at, "\xdc\xff\xff", 3);
    }
    assert_int_equal (s_scan (nested, sizeof nested, 32, 4096), TERN_EPROTO);
}

//  T-101
static void
depth_and_elements_are_bounded (void **state)
{
    (void) state;
    uint8_t nested[40];
    memset (nested, 0x91, sizeof nested);
    for (unsigned depth = 0; depth < 32; depth++) {
        nested[depth] = 0x90;
        assert_int_equal (s_scan (nested, depth + 1, depth + 1, 100), 0);
        assert_int_equal (s_scan (nested, depth + 1, depth, 100), TERN_ETOOBIG);
        nested[depth] = 0x91;
    }
    uint8_t flat[3 + 1000] = {0xdc, 1000 >> 8, 1000 & 255};
    assert_int_equal (s_scan (flat, sizeof flat, 1, 1001), 0);
    assert_int_equal (s_scan (flat, sizeof flat, 1, 1000), TERN_ETOOBIG);
    assert_int_equal (s_scan ("\1", 1, 0, 1), 0);
    assert_int_equal (s_scan ("\1", 1, 0, 0), TERN_ETOOBIG);
}

//  T-100
static void
text_is_utf8_without_nul_and_binary_is_anything (void **state)
{
    (void) state;
    assert_int_equal (SCAN ("\xa2\xc3\xa9"), 0);
    assert_int_equal (SCAN ("\xa2\xc3("), TERN_EPROTO);
    assert_int_equal (SCAN ("\xa1\xc3"), TERN_EPROTO);
    assert_int_equal (SCAN ("\xa3\xed\xa0\x80"), TERN_EPROTO);
    assert_int_equal (SCAN ("\xa3x\0y"), TERN_EPROTO);
    assert_int_equal (SCAN ("\xc4\3x\0\xff"), 0);
}

static void
random_bytes_never_lead_scan_or_reader_astray (void **state)
{
    (void) state;
    test_random_t random = test_random_start ();
    for (int round = 0; round < 200000; round++) {
        uint8_t bytes[64];
        const size_t size = (size_t) test_random_below (&random, 64);
        for (size_t at = 0; at < size; at++) {
            //  Mostly heads of containers, so that nesting happens.
            const uint64_t draw = test_random (&random);
            bytes[at] = (uint8_t) (draw % 3 ? draw >> 8 : 0x80 + draw % 32);
        }
        s_scan (bytes, size, 8, 64);
    }
}

//  Reader and packer -------------------------------------------------------

static void
numbers_come_back_whatever_their_width (void **state)
{
    (void) state;
    test_random_t random = test_random_start ();
    for (int round = 0; round < 100000; round++) {
        const uint64_t number = test_random_wide (&random);
        const int64_t other
            = (int64_t) test_random_wide (&random) * (round % 2 ? 1 : -1);
        uint8_t bytes[32];
        trn_packer_t out;
        trn_packer_start (&out, bytes, sizeof bytes);
        trn_pack_uint (&out, number);
        trn_pack_int (&out, other);
        assert_false (out.full);
        trn_unpack_t in;
        trn_unpack_start (&in, bytes, out.used);
        assert_true (trn_unpack_uint (&in, 0, UINT64_MAX) == number);
        assert_true (trn_unpack_int (&in) == other);
        assert_true (in.error == 0 && in.at == in.end);
    }
}

static void
wide_and_signed_forms_of_a_number_are_that_number (void **state)
{
    (void) state;
    static const struct {
        const char *bytes;
        size_t size;
    } forms[] = {{"\x05", 1},
                 {"\xcc\x05", 2},
                 {"\xcd\0\x05", 3},
                 {"\xce\0\0\0\x05", 5},
                 {"\xcf\0\0\0\0\0\0\0\x05", 9},
                 {"\xd0\x05", 2},
                 {"\xd1\0\x05", 3},
                 {"\xd2\0\0\0\x05", 5},
                 {"\xd3\0\0\0\0\0\0\0\x05", 9}};
    for (size_t index = 0; index < 9; index++) {
        trn_unpack_t in;
        trn_unpack_start (&in, (const uint8_t *) forms[index].bytes,
                          forms[index].size);
        assert_int_equal (trn_unpack_peek (&in), TRN_PACK_UINT);
        assert_int_equal (trn_unpack_uint (&in, 5, 5), 5);
        assert_int_equal (in.error, 0);
    }
    trn_unpack_t in;
    trn_unpack_start (&in, (const uint8_t *) "\xff\xd0\x80\xd1\x80\0", 6);
    assert_int_equal (trn_unpack_int (&in), -1);
    assert_int_equal (trn_unpack_int (&in), -128);
    assert_int_equal (trn_unpack_int (&in), -32768);
    assert_int_equal (in.error, 0);
}

static void
a_number_out_of_range_or_of_another_kind_is_refused (void **state)
{
    (void) state;
    static const char *const bytes[]
        = {"\x04", "\x0b", "\xff", "\xa1x", "\xc3", "\xc0", "\x90"};
    for (size_t index = 0; index < 7; index++) {
        trn_unpack_t in;
        trn_unpack_start (&in, (const uint8_t *) bytes[index],
                          strlen (bytes[index]));
        assert_int_equal (trn_unpack_uint (&in, 5, 10), 0);
        assert_int_equal (in.error, TERN_EPROTO);
    }
    trn_unpack_t in;
    trn_unpack_start (&in, (const uint8_t *) "\xcf\x80\0\0\0\0\0\0\0", 9);
    assert_int_equal (trn_unpack_int (&in), 0);
    assert_int_equal (in.error, TERN_EPROTO);
}

static void
the_first_failure_is_kept_and_nothing_is_read_after_it (void **state)
{
    (void) state;
    trn_unpack_t in;
    trn_unpack_start (&in, (const uint8_t *) "\xa3xyz\x01\xc3\x91\x02", 8);
    assert_int_equal (trn_unpack_text (&in, 2).size, 0);
    assert_int_equal (in.error, TERN_ETOOBIG);
    assert_int_equal (trn_unpack_uint (&in, 0, 9), 0);
    assert_false (trn_unpack_bool (&in));
    assert_int_equal (trn_unpack_array (&in, 9), 0);
    assert_int_equal (trn_unpack_map (&in, 9), 0);
    assert_int_equal (trn_unpack_fields (&in, 0), 0);
    assert_int_equal (trn_unpack_int (&in), 0);
    size_t size = 7;
    assert_null (trn_unpack_bytes (&in, &size));
    assert_int_equal (size, 0);
    uint8_t fixed[2] = {1, 1};
    trn_unpack_fixed (&in, fixed, 2);
    assert_int_equal (fixed[0], 0);
    trn_unpack_skip (&in, 1);
    trn_unpack_fail (&in, TERN_EPROTO);
    assert_int_equal (trn_unpack_peek (&in), TRN_PACK_NOTHING);
    assert_int_equal (in.error, TERN_ETOOBIG);
}

//  T-102
static void
fields_beyond_the_known_ones_can_be_passed_over (void **state)
{
    (void) state;
    static const uint8_t bytes[] = {0x95, 1,    2,    0x82, 0xa1, 'k',  0x91, 1,
                                    2,    0x90, 0xc4, 1,    0xff, 0xc0, 7};
    trn_unpack_t in;
    trn_unpack_start (&in, bytes, sizeof bytes);
    const uint32_t more = trn_unpack_fields (&in, 2);
    assert_int_equal (more, 3);
    assert_int_equal (trn_unpack_uint (&in, 0, 9), 1);
    assert_int_equal (trn_unpack_uint (&in, 0, 9), 2);
    trn_unpack_skip (&in, more);
    assert_int_equal (trn_unpack_uint (&in, 0, 9), 7);
    assert_int_equal (in.error, 0);
    assert_ptr_equal (in.at, in.end);

    trn_unpack_start (&in, bytes, sizeof bytes);
    assert_int_equal (trn_unpack_fields (&in, 6), 0);
    assert_int_equal (in.error, TERN_EPROTO);
}

static void
texts_and_binaries_come_back (void **state)
{
    (void) state;
    static char content[70000];
    static uint8_t bytes[sizeof content + 16];
    memset (content, 'x', sizeof content);
    const size_t sizes[] = {0, 1, 31, 32, 255, 256, 65535, 65536, 70000};
    for (size_t index = 0; index < 9; index++) {
        const size_t size = sizes[index];
        trn_packer_t out;
        trn_packer_start (&out, bytes, sizeof bytes);
        trn_pack_text (&out, (trn_text_t) {content, size});
        assert_false (out.full);
        assert_int_equal (trn_pack_scan (bytes, out.used, 0, 1), 0);
        trn_unpack_t in;
        trn_unpack_start (&in, bytes, out.used);
        const trn_text_t text = trn_unpack_text (&in, size);
        assert_int_equal (in.error, 0);
        assert_int_equal (text.size, size);
        assert_memory_equal (text.at, content, size);

        trn_packer_start (&out, bytes, sizeof bytes);
        trn_pack_bytes (&out, content, size);
        trn_unpack_start (&in, bytes, out.used);
        size_t found = 0;
        const uint8_t *at = trn_unpack_bytes (&in, &found);
        assert_int_equal (in.error, 0);
        assert_int_equal (found, size);
        assert_memory_equal (at, content, size);
    }
}

static void
what_does_not_fit_is_not_written (void **state)
{
    (void) state;
    for (size_t capacity = 0; capacity < 40; capacity++) {
        uint8_t bytes[48];
        memset (bytes, 0xee, sizeof bytes);
        trn_packer_t out;
        trn_packer_start (&out, bytes, capacity);
        trn_pack_array (&out, 5);
        trn_pack_uint (&out, UINT64_MAX);
        trn_pack_text (&out, trn_text ("hello"));
        trn_pack_bytes (&out, "world", 5);
        trn_pack_bool (&out, true);
        const size_t place = trn_pack_open_array (&out);
        trn_pack_count (&out, place, 0);
        trn_pack_map (&out, 0);
        assert_int_equal (out.full, capacity < 1 + 9 + 6 + 7 + 1 + 3 + 1);
        assert_true (out.used <= capacity);
        for (size_t at = capacity; at < sizeof bytes; at++) {
            assert_int_equal (bytes[at], 0xee);
        }
    }
}

static void
a_count_can_be_filled_in_later (void **state)
{
    (void) state;
    uint8_t bytes[400];
    trn_packer_t out;
    trn_packer_start (&out, bytes, sizeof bytes);
    const size_t place = trn_pack_open_array (&out);
    for (uint32_t count = 0; count < 300; count++) {
        trn_pack_count (&out, place, count);
        assert_int_equal (trn_pack_scan (bytes, out.used, 1, 400), 0);
        trn_pack_bool (&out, count % 2);
    }
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (every_form_of_value_is_one_object),
        cmocka_unit_test (no_object_two_objects_or_a_rest_is_refused),
        cmocka_unit_test (ext_and_the_unused_byte_are_refused),
        cmocka_unit_test (a_value_cut_short_is_refused_wherever_it_is_cut),
        cmocka_unit_test (declared_sizes_beyond_the_bytes_left_cost_nothing),
        cmocka_unit_test (depth_and_elements_are_bounded),
        cmocka_unit_test (text_is_utf8_without_nul_and_binary_is_anything),
        cmocka_unit_test (random_bytes_never_lead_scan_or_reader_astray),
        cmocka_unit_test (numbers_come_back_whatever_their_width),
        cmocka_unit_test (wide_and_signed_forms_of_a_number_are_that_number),
        cmocka_unit_test (a_number_out_of_range_or_of_another_kind_is_refused),
        cmocka_unit_test (
            the_first_failure_is_kept_and_nothing_is_read_after_it),
        cmocka_unit_test (fields_beyond_the_known_ones_can_be_passed_over),
        cmocka_unit_test (texts_and_binaries_come_back),
        cmocka_unit_test (what_does_not_fit_is_not_written),
        cmocka_unit_test (a_count_can_be_filled_in_later),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name ("wire/pack", tests, NULL, NULL);
}
