//  test_cli_lines.c - lines of any length, in pieces of any size
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/lines.h"

#include <errno.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define LIMIT 10

//  What the reader says of text that comes in pieces of step bytes: "[one][two]"
//  for lines, "<3:25>" for line 3 being 25 bytes long, too many.

static char *
s_read_in_pieces (const char *text, size_t size, size_t step)
{
    int ends[2];
    assert_int_equal (pipe (ends), 0);
    cli_lines_t lines;
    cli_lines_init (&lines, ends[0], LIMIT);
    char *said = NULL;
    size_t said_size = 0;
    FILE *memory = open_memstream (&said, &said_size);
    cli_line_t kind;
    const char *line;
    size_t line_size;
    while ((kind = cli_lines_next (&lines, &line, &line_size))
           != CLI_LINE_END) {
        if (kind == CLI_LINE) {
            fputc ('[', memory);
            fwrite (line, 1, line_size, memory);
            fputc (']', memory);
        } else if (kind == CLI_LINE_TOO_LONG) {
            fprintf (memory, "<%d:%zu>", (int) lines.number, line_size);
        } else if (size > 0) {
            const size_t piece = size < step ? size : step;
            assert_int_equal (write (ends[1], text, piece), (ssize_t) piece);
            text += piece;
            size -= piece;
            assert_int_equal (cli_lines_fill (&lines), 0);
        } else {
            close (ends[1]);
            assert_int_equal (cli_lines_fill (&lines), 0);
        }
    }
    fclose (memory);
    cli_lines_free (&lines);
    close (ends[0]);
    return said;
}

static void
s_expect (const char *text, const char *expected)
{
    for (size_t step = 1; step <= strlen (text) + 1; step++) {
        char *said = s_read_in_pieces (text, strlen (text), step);
        assert_string_equal (said, expected);
        free (said);
    }
}

static void
lines_come_without_their_newlines (void **state)
{
    (void) state;
    s_expect ("", "");
    s_expect ("one\ntwo\n", "[one][two]");
    s_expect ("\n\n", "[][]");
}

static void
a_last_line_needs_no_newline (void **state)
{
    (void) state;
    s_expect ("one\ntwo", "[one][two]");
}

static void
a_line_at_the_limit_is_a_line (void **state)
{
    (void) state;
    s_expect ("0123456789\nx\n", "[0123456789][x]");
    s_expect ("0123456789", "[0123456789]");
}

static void
a_line_over_the_limit_is_named_and_the_next_is_not_lost (void **state)
{
    (void) state;
    s_expect ("a\n01234567890\nb\n", "[a]<2:11>[b]");
    s_expect ("0123456789012345678901234\nb", "<1:25>[b]");
    s_expect ("b\n01234567890", "[b]<2:11>");
    s_expect ("01234567890\n01234567890123\n", "<1:11><2:14>");
}

static void
nul_bytes_are_bytes_of_a_line (void **state)
{
    (void) state;
    char *said = s_read_in_pieces ("a\0b\nc\n", 6, 1);
    assert_memory_equal (said, "[a\0b][c]", 8);
    free (said);
}

static void
a_bad_descriptor_is_an_error (void **state)
{
    (void) state;
    cli_lines_t lines;
    cli_lines_init (&lines, -1, LIMIT);
    assert_int_equal (cli_lines_fill (&lines), EBADF);
    cli_lines_free (&lines);
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (lines_come_without_their_newlines),
        cmocka_unit_test (a_last_line_needs_no_newline),
        cmocka_unit_test (a_line_at_the_limit_is_a_line),
        cmocka_unit_test (
            a_line_over_the_limit_is_named_and_the_next_is_not_lost),
        cmocka_unit_test (nul_bytes_are_bytes_of_a_line),
        cmocka_unit_test (a_bad_descriptor_is_an_error),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
