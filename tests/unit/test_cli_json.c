//  test_cli_json.c - whatever the bytes, what comes out is JSON
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/json.h"

#include <math.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

typedef struct {
    cli_output_t output;
    cli_json_t json;
} writer_t;

static void
s_begin (writer_t *self)
{
    cli_output_init (&self->output);
    cli_json_init (&self->json, &self->output);
}

//  Compare what was written and free it.

static void
s_expect (writer_t *self, const char *text)
{
    cli_output_add (&self->output, "", 1);
    assert_string_equal (self->output.bytes, text);
    cli_output_free (&self->output);
}

static void
objects_and_arrays_nest_with_commas_between (void **state)
{
    (void) state;
    writer_t writer;
    s_begin (&writer);
    cli_json_open (&writer.json, NULL, '{');
    cli_json_text (&writer.json, "a", "x");
    cli_json_open (&writer.json, "b", '[');
    cli_json_count (&writer.json, NULL, 1);
    cli_json_open (&writer.json, NULL, '{');
    cli_json_close (&writer.json);
    cli_json_bool (&writer.json, NULL, true);
    cli_json_close (&writer.json);
    cli_json_null (&writer.json, "c");
    cli_json_close (&writer.json);
    s_expect (&writer, "{\"a\":\"x\",\"b\":[1,{},true],\"c\":null}\n");
}

static void
documents_follow_each_other_on_lines (void **state)
{
    (void) state;
    writer_t writer;
    s_begin (&writer);
    for (uint64_t count = 1; count <= 2; count++) {
        cli_json_init (&writer.json, &writer.output);
        cli_json_open (&writer.json, NULL, '{');
        cli_json_count (&writer.json, "n", count);
        cli_json_close (&writer.json);
    }
    s_expect (&writer, "{\"n\":1}\n{\"n\":2}\n");
}

static void
quotes_controls_and_nul_are_escaped (void **state)
{
    (void) state;
    static const char text[] = "\"\\\b\f\n\r\t\x01\x1f\x7f/\0z";
    writer_t writer;
    s_begin (&writer);
    cli_json_string (&writer.json, NULL, text, sizeof text - 1);
    s_expect (&writer, "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f/"
                       "\\u0000z\"");
}

static void
utf8_passes_and_other_bytes_are_replaced (void **state)
{
    (void) state;
    static const struct {
        const char *bytes;
        const char *json;
    } cases[] = {
        {"gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\""},
        {"\xe2\x82\xac", "\"\xe2\x82\xac\""},
        {"\xf0\x9f\x90\xa6", "\"\xf0\x9f\x90\xa6\""},
        {"a\xff"
         "b",
         "\"a\\ufffdb\""},
        {"\xc3", "\"\\ufffd\""},
        {"\xc0\x80", "\"\\ufffd\\ufffd\""},
        {"\xe0\x9f\xbf", "\"\\ufffd\\ufffd\\ufffd\""},
        {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},
        {"\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
        {"\xe2\x82", "\"\\ufffd\\ufffd\""},
    };
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++) {
        writer_t writer;
        s_begin (&writer);
        cli_json_text (&writer.json, NULL, cases[at].bytes);
        s_expect (&writer, cases[at].json);
    }
}

static void
bodies_that_are_not_utf8_become_base64 (void **state)
{
    (void) state;
    //  RFC 4648, section 10, behind a byte that is never UTF-8.
    static const struct {
        const char *bytes;
        size_t size;
        const char *json;
    } cases[] = {
        {"text", 4, "{\"body\":\"text\"}\n"},
        {"", 0, "{\"body\":\"\"}\n"},
        {"\xff", 1, "{\"body_base64\":\"/w==\"}\n"},
        {"\xff"
         "f",
         2, "{\"body_base64\":\"/2Y=\"}\n"},
        {"\xff"
         "fo",
         3, "{\"body_base64\":\"/2Zv\"}\n"},
        {"\xff"
         "foo",
         4, "{\"body_base64\":\"/2Zvbw==\"}\n"},
        {"\xfb\xff\xfe\x00", 4, "{\"body_base64\":\"+//+AA==\"}\n"},
    };
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++) {
        writer_t writer;
        s_begin (&writer);
        cli_json_open (&writer.json, NULL, '{');
        cli_json_bytes (&writer.json, "body", cases[at].bytes, cases[at].size);
        cli_json_close (&writer.json);
        s_expect (&writer, cases[at].json);
    }
}

static void
foreign_keys_are_escaped_too (void **state)
{
    (void) state;
    writer_t writer;
    s_begin (&writer);
    cli_json_open (&writer.json, NULL, '{');
    cli_json_member (&writer.json, "a\"b", 3, "\n", 1);
    cli_json_close (&writer.json);
    s_expect (&writer, "{\"a\\\"b\":\"\\n\"}\n");
}

static void
numbers_that_json_lacks_are_null (void **state)
{
    (void) state;
    writer_t writer;
    s_begin (&writer);
    cli_json_open (&writer.json, NULL, '[');
    cli_json_real (&writer.json, NULL, 0.5);
    cli_json_real (&writer.json, NULL, NAN);
    cli_json_real (&writer.json, NULL, INFINITY);
    cli_json_count (&writer.json, NULL, UINT64_MAX);
    cli_json_close (&writer.json);
    s_expect (&writer, "[0.5,null,null,18446744073709551615]\n");
}

int
main (void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test (objects_and_arrays_nest_with_commas_between),
        cmocka_unit_test (documents_follow_each_other_on_lines),
        cmocka_unit_test (quotes_controls_and_nul_are_escaped),
        cmocka_unit_test (utf8_passes_and_other_bytes_are_replaced),
        cmocka_unit_test (bodies_that_are_not_utf8_become_base64),
        cmocka_unit_test (foreign_keys_are_escaped_too),
        cmocka_unit_test (numbers_that_json_lacks_are_null),
    };
    cmocka_set_message_output (CM_OUTPUT_TAP);
    return cmocka_run_group_tests (tests, NULL, NULL);
}
