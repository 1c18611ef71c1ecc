//  test_base_name - what is a name, and how foreign text is shown
//
//  SPDX-License-Identifier: MPL-2.0

#include "base/name.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static bool
s_name (const char *text)
{
    return trn_name_valid (text, strlen (text));
}

static bool
s_queue (const char *text)
{
    return trn_queue_valid (text, strlen (text));
}

static bool
s_outbox (const char *text)
{
    return trn_outbox_valid (text, strlen (text));
}

static bool
s_endpoint (const char *text)
{
    return trn_endpoint_valid (text, strlen (text));
}

//  T-1
static void
names_follow_the_grammar (void **state)
{
    (void) state;
    assert_true (s_name ("a"));
    assert_true (s_name ("7"));
    assert_true (s_name ("orders-1"));
    assert_true (s_name ("a.b_c-d.e"));
    assert_true (s_name ("a--b__c"));
    assert_false (s_name (""));
    assert_false (trn_name_valid (NULL, 0));
    assert_false (s_name ("A"));
    assert_false (s_name ("-a"));
    assert_false (s_name ("a-"));
    assert_false (s_name (".a"));
    assert_false (s_name ("a."));
    assert_false (s_name ("_"));
    assert_false (s_name ("a..b"));
    assert_false (s_name ("a/b"));
    assert_false (s_name ("a b"));
    assert_false (s_name ("\xc3\xa9"));
    assert_false (trn_name_valid ("a\0b", 3));
}

static void
every_byte_is_judged_alone_and_in_the_middle (void **state)
{
    (void) state;
    for (unsigned byte = 0; byte < 256; byte++) {
        const char alone = (char) byte;
        const char middle[3] = {'a', (char) byte, 'z'};
        const bool edge
            = (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9');
        const bool inner = edge || byte == '.' || byte == '_' || byte == '-';
        assert_int_equal (trn_name_valid (&alone, 1), edge);
        assert_int_equal (trn_name_valid (middle, 3), inner);
    }
}

static void
a_name_has_at_most_63_bytes (void **state)
{
    (void) state;
    char text[TRN_NAME_MAX + 2];
    memset (text, 'a', sizeof text);
    assert_true (trn_name_valid (text, TRN_NAME_MAX));
    assert_false (trn_name_valid (text, TRN_NAME_MAX + 1));
}

//  T-2
static void
a_queue_is_a_name_or_at_and_a_name (void **state)
{
    (void) state;
    assert_true (s_queue ("hello"));
    assert_true (s_queue ("@orders-1"));
    assert_false (s_queue ("@"));
    assert_false (s_queue ("@@a"));
    assert_false (s_queue ("a@b"));
    assert_false (s_queue (""));
    assert_false (trn_queue_valid (NULL, 0));
    char text[TRN_NAME_MAX + 2];
    memset (text, 'a', sizeof text);
    text[0] = '@';
    assert_true (trn_queue_valid (text, TRN_NAME_MAX + 1));
    assert_false (trn_queue_valid (text, TRN_NAME_MAX + 2));
}

//  T-2
static void
a_place_is_a_queue_or_percent_and_a_name (void **state)
{
    (void) state;
    assert_true (trn_place_valid ("hello", 5));
    assert_true (trn_place_valid ("@orders-1", 9));
    assert_true (trn_place_valid ("%orders-1", 9));
    assert_false (trn_place_valid ("%", 1));
    assert_false (trn_place_valid ("%%a", 3));
    assert_false (trn_place_valid ("%@a", 3));
    assert_false (trn_place_valid ("#a", 2));
    assert_false (trn_place_valid (NULL, 0));
    assert_false (s_queue ("%orders-1"));
    assert_false (s_outbox ("%orders-1"));
    char text[TRN_NAME_MAX + 2];
    memset (text, 'a', sizeof text);
    text[0] = '%';
    assert_true (trn_place_valid (text, TRN_NAME_MAX + 1));
    assert_false (trn_place_valid (text, TRN_NAME_MAX + 2));
}

//  T-2
static void
an_outbox_is_a_queue_or_hash_and_a_name (void **state)
{
    (void) state;
    assert_true (s_outbox ("hello"));
    assert_true (s_outbox ("@orders-1"));
    assert_true (s_outbox ("#prices"));
    assert_false (s_outbox ("#"));
    assert_false (s_outbox ("##a"));
    assert_false (s_outbox ("#@a"));
    assert_false (s_outbox ("@#a"));
    assert_false (s_outbox ("a#b"));
    assert_false (s_outbox (""));
    assert_false (s_queue ("#prices"));
    assert_false (trn_outbox_valid (NULL, 0));
    char text[TRN_NAME_MAX + 2];
    memset (text, 'a', sizeof text);
    text[0] = '#';
    assert_true (trn_outbox_valid (text, TRN_NAME_MAX + 1));
    assert_false (trn_outbox_valid (text, TRN_NAME_MAX + 2));
}

//  T-2
static void
an_inbox_is_subscribed_to_and_no_queue (void **state)
{
    (void) state;
    assert_true (trn_subscribed_valid ("+hello", 6));
    assert_true (trn_subscribed_valid ("hello", 5));
    assert_true (s_outbox ("+hello"));
    assert_false (s_queue ("+hello"));
    assert_false (s_outbox ("+"));
    assert_false (s_outbox ("+@a"));
    assert_false (s_outbox ("+#a"));
    assert_false (s_outbox ("++a"));
    assert_false (trn_subscribed_valid ("#a", 2));
    assert_false (trn_subscribed_valid (NULL, 0));
    assert_string_equal (trn_inbox_of ("+hello"), "hello");
    assert_string_equal (trn_inbox_of ("hello"), "hello");
}

//  T-3
static void
an_endpoint_has_a_known_scheme_and_no_blank (void **state)
{
    (void) state;
    assert_true (s_endpoint ("tcp://127.0.0.1:5670"));
    assert_true (s_endpoint ("ipc:///run/tern/directory"));
    assert_true (s_endpoint ("inproc://x"));
    assert_false (s_endpoint (""));
    assert_false (trn_endpoint_valid (NULL, 0));
    assert_false (s_endpoint ("tcp://"));
    assert_false (s_endpoint ("udp://127.0.0.1:5670"));
    assert_false (s_endpoint ("TCP://127.0.0.1:5670"));
    assert_false (s_endpoint ("tcp://127.0.0.1: 5670"));
    assert_false (s_endpoint ("tcp://h\x7f:1"));
    assert_false (s_endpoint ("tcp://h\xc3\xa9:1"));
    assert_false (trn_endpoint_valid ("tcp://a\0b", 9));
    char text[TRN_ENDPOINT_MAX + 1];
    memset (text, 'a', sizeof text);
    memcpy (text, "tcp://", 6);
    assert_true (trn_endpoint_valid (text, TRN_ENDPOINT_MAX));
    assert_false (trn_endpoint_valid (text, TRN_ENDPOINT_MAX + 1));
}

static void
foreign_text_is_shown_without_control_characters (void **state)
{
    (void) state;
    char shown[TRN_ESCAPED_MAX];
    assert_string_equal (trn_escape (shown, "plain", 5), "plain");
    assert_string_equal (trn_escape (shown, "", 0), "");
    assert_string_equal (trn_escape (shown, NULL, 0), "");
    assert_string_equal (trn_escape (shown, "a\nb\0c", 5), "a\\x0ab\\x00c");
    assert_string_equal (trn_escape (shown, "\"'\\", 3), "\\x22\\x27\\x5c");
    assert_string_equal (trn_escape (shown, "\x1b[2J\x7f", 5), "\\x1b[2J\\x7f");
    assert_string_equal (trn_escape (shown, "\xc3\xa9\xff", 3),
                         "\xc3\xa9\\xff");
    assert_string_equal (trn_escape (shown, "%s%n", 4), "%s%n");
}

static void
the_longest_escape_fits_and_is_cut_after_128_bytes (void **state)
{
    (void) state;
    char worst[300];
    memset (worst, 0xff, sizeof worst);
    char shown[TRN_ESCAPED_MAX];
    memset (shown, 'x', sizeof shown);
    assert_int_equal (strlen (trn_escape (shown, worst, sizeof worst)),
                      128 * 4);

    //  A character that begins before the cut is shown whole.
    memset (worst, 'a', sizeof worst);
    memcpy (worst + 127, "\xf0\x9f\x90\xa6", 4);
    assert_int_equal (strlen (trn_escape (shown, worst, sizeof worst)),
                      127 + 4);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (names_follow_the_grammar),
        cmocka_unit_test (every_byte_is_judged_alone_and_in_the_middle),
        cmocka_unit_test (a_name_has_at_most_63_bytes),
        cmocka_unit_test (a_queue_is_a_name_or_at_and_a_name),
        cmocka_unit_test (a_place_is_a_queue_or_percent_and_a_name),
        cmocka_unit_test (an_outbox_is_a_queue_or_hash_and_a_name),
        cmocka_unit_test (an_inbox_is_subscribed_to_and_no_queue),
        cmocka_unit_test (an_endpoint_has_a_known_scheme_and_no_blank),
        cmocka_unit_test (foreign_text_is_shown_without_control_characters),
        cmocka_unit_test (the_longest_escape_fits_and_is_cut_after_128_bytes),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name ("base/name", tests, NULL, NULL);
}
