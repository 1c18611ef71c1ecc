//  test_base_utf8 - what is UTF-8 and what is not
//
//  SPDX-License-Identifier: MPL-2.0

#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

//  The same question answered the slow way: decode, then look at the number.
static bool
s_slow_valid (const uint8_t *text, size_t size)
{
    while (size) {
        size_t more = 0;
        uint32_t point = text[0];
        uint32_t least = 0;
        if (text[0] >= 0xf0 && text[0] <= 0xf7) {
            more = 3;
            point = text[0] & 7u;
            least = 0x10000;
        } else if (text[0] >= 0xe0 && text[0] <= 0xef) {
            more = 2;
            point = text[0] & 15u;
            least = 0x800;
        } else if (text[0] >= 0xc0 && text[0] <= 0xdf) {
            more = 1;
            point = text[0] & 31u;
            least = 0x80;
        } else if (text[0] >= 0x80) {
            return false;
        }
        if (size <= more) {
            return false;
        }
        for (size_t index = 1; index <= more; index++) {
            if (text[index] < 0x80 || text[index] > 0xbf) {
                return false;
            }
            point = point << 6 | (text[index] & 63u);
        }
        if (point < least || point > 0x10ffff
            || (point >= 0xd800 && point <= 0xdfff)) {
            return false;
        }
        text += more + 1;
        size -= more + 1;
    }
    return true;
}

//  Every class of byte that RFC 3629 tells apart, at its two ends.
static const uint8_t s_edges[]
    = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0,
       0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0,
       0xf1, 0xf3, 0xf4, 0xf5, 0xf7, 0xf8, 0xfb, 0xfc, 0xfe, 0xff};

static void
every_one_and_two_byte_text_is_judged_as_the_rfc_does (void **state)
{
    (void) state;
    uint8_t text[2];
    for (unsigned first = 0; first < 256; first++) {
        text[0] = (uint8_t) first;
        assert_int_equal (trn_utf8_valid (text, 1), s_slow_valid (text, 1));
        for (unsigned second = 0; second < 256; second++) {
            text[1] = (uint8_t) second;
            assert_int_equal (trn_utf8_valid (text, 2), s_slow_valid (text, 2));
        }
    }
}

static void
every_class_boundary_up_to_four_bytes_is_judged_as_the_rfc_does (void **state)
{
    (void) state;
    const size_t edges = sizeof s_edges;
    uint8_t text[4];
    for (size_t number = 0; number < edges * edges * edges * edges; number++) {
        size_t rest = number;
        for (size_t index = 0; index < 4; index++) {
            text[index] = s_edges[rest % edges];
            rest /= edges;
        }
        for (size_t size = 3; size <= 4; size++) {
            if (trn_utf8_valid (text, size) != s_slow_valid (text, size)) {
                fail_msg ("%02x %02x %02x %02x, %zu bytes", text[0], text[1],
                          text[2], text[3], size);
            }
        }
    }
}

static void
a_sequence_cut_short_is_not_utf8 (void **state)
{
    (void) state;
    const char *const texts[]
        = {"\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x90\xa6"};
    for (size_t index = 0; index < 3; index++) {
        const uint8_t *text = (const uint8_t *) texts[index];
        const size_t size = strlen (texts[index]);
        assert_true (trn_utf8_step (text, size) == size);
        for (size_t cut = 1; cut < size; cut++) {
            assert_true (trn_utf8_step (text, cut) == 0);
            assert_false (trn_utf8_valid (text, cut));
        }
    }
}

static void
nothing_is_utf8_but_no_character (void **state)
{
    (void) state;
    assert_true (trn_utf8_valid (NULL, 0));
    assert_true (trn_utf8_step (NULL, 0) == 0);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (
            every_one_and_two_byte_text_is_judged_as_the_rfc_does),
        cmocka_unit_test (
            every_class_boundary_up_to_four_bytes_is_judged_as_the_rfc_does),
        cmocka_unit_test (a_sequence_cut_short_is_not_utf8),
        cmocka_unit_test (nothing_is_utf8_but_no_character),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name ("base/utf8", tests, NULL, NULL);
}
