//  test_cli_format.c - numbers as people read them
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/format.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void
counts_are_grouped_by_three (void **state)
{
    (void) state;
    cli_text_t text;
    assert_string_equal (cli_format_count (&text, 0), "0");
    assert_string_equal (cli_format_count (&text, 999), "999");
    assert_string_equal (cli_format_count (&text, 1000), "1,000");
    assert_string_equal (cli_format_count (&text, 1234567), "1,234,567");
    assert_string_equal (cli_format_count (&text, UINT64_MAX),
                         "18,446,744,073,709,551,615");
}

static void
rates_keep_two_digits_when_small (void **state)
{
    (void) state;
    cli_text_t text;
    assert_string_equal (cli_format_rate (&text, 0.0), "0");
    assert_string_equal (cli_format_rate (&text, 0.25), "0.25");
    assert_string_equal (cli_format_rate (&text, 4.04), "4");
    assert_string_equal (cli_format_rate (&text, 1234.6), "1,235");
}

static void
times_choose_their_unit (void **state)
{
    (void) state;
    cli_text_t text;
    assert_string_equal (cli_format_us (&text, 0), "-");
    assert_string_equal (cli_format_us (&text, 0.5), "0.50 us");
    assert_string_equal (cli_format_us (&text, 85), "85 us");
    assert_string_equal (cli_format_us (&text, 1234), "1.23 ms");
    assert_string_equal (cli_format_us (&text, 3.5e6), "3.5 s");
    assert_string_equal (cli_format_us (&text, 600e6), "10 min");
    assert_string_equal (cli_format_us (&text, 7500e6), "2 h 05 min");
}

static void
bytes_choose_their_unit (void **state)
{
    (void) state;
    cli_text_t text;
    assert_string_equal (cli_format_bytes (&text, 512), "512 B");
    assert_string_equal (cli_format_bytes (&text, 1536), "1.5 KiB");
    assert_string_equal (cli_format_bytes (&text, 64u << 20), "64.0 MiB");
    assert_string_equal (cli_format_bytes (&text, UINT64_MAX), "16777216 TiB");
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (counts_are_grouped_by_three),
        cmocka_unit_test (rates_keep_two_digits_when_small),
        cmocka_unit_test (times_choose_their_unit),
        cmocka_unit_test (bytes_choose_their_unit),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
