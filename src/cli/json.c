//  cli/json.c - writing JSON (RFC 8259)
//
//  Hides escaping, commas and brackets.  Invariant: output is a prefix of one
//  valid document, or of documents separated by newlines.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

void
cli_json_init (cli_json_t *self, cli_output_t *output)
{
    *self = (cli_json_t) {.output = output};
}

//  Bytes of the well-formed UTF-8 sequence that starts here, 0 if none.

static size_t
s_utf8_step (const uint8_t *text, size_t size)
{
    static const struct {
        uint8_t first, last;          //  range of the lead byte
        uint8_t second, second_last;  //  range of the byte behind it
        uint8_t bytes;
    } forms[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2},
        {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
        {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t form = 0; form < sizeof forms / sizeof *forms; form++) {
        if (text[0] < forms[form].first || text[0] > forms[form].last) {
            continue;
        }
        const size_t bytes = forms[form].bytes;
        if (bytes > size) {
            return 0;
        }
        for (size_t index = 1; index < bytes; index++) {
            const uint8_t low = index == 1 ? forms[form].second : 0x80;
            const uint8_t high = index == 1 ? forms[form].second_last : 0xbf;
            if (text[index] < low || text[index] > high) {
                return 0;
            }
        }
        return bytes;
    }
    return 0;
}

static void
s_add_escape (cli_json_t *self, uint8_t byte)
{
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (const char *pair = shorts; *pair; pair += 2) {
        if ((uint8_t) *pair == byte) {
            const char escape[] = {'\\', pair[1]};
            cli_output_add (self->output, escape, 2);
            return;
        }
    }
    char escape[8];
    snprintf (escape, sizeof escape, "\\u%04x", byte);
    cli_output_text (self->output, escape);
}

//  Plain stretches are copied whole: most text is nothing else.

static void
s_add_string (cli_json_t *self, const uint8_t *text, size_t size)
{
    cli_output_text (self->output, "\"");
    size_t plain = 0;
    size_t at = 0;
    while (at < size) {
        const uint8_t byte = text[at];
        const size_t step = s_utf8_step (text + at, size - at);
        const bool special = byte < 0x20 || byte == '"' || byte == '\\'
                             || byte == 0x7f || step == 0;
        if (!special) {
            at += step;
            continue;
        }
        cli_output_add (self->output, text + plain, at - plain);
        if (step == 0) {
            cli_output_text (self->output, "\\ufffd");
        } else {
            s_add_escape (self, byte);
        }
        plain = ++at;
    }
    cli_output_add (self->output, text + plain, size - plain);
    cli_output_text (self->output, "\"");
}

static void
s_begin_sized (cli_json_t *self, const void *key, size_t key_size)
{
    if (self->comma) {
        cli_output_text (self->output, ",");
    }
    if (key) {
        s_add_string (self, key, key_size);
        cli_output_text (self->output, ":");
    }
    self->comma = true;
}

static void
s_begin (cli_json_t *self, const char *key)
{
    s_begin_sized (self, key, key ? strlen (key) : 0);
}

void
cli_json_open (cli_json_t *self, const char *key, char bracket)
{
    assert (self->depth < CLI_JSON_DEPTH);
    const char text[] = {bracket, '\0'};
    s_begin (self, key);
    cli_output_text (self->output, text);
    self->ends[self->depth++] = bracket == '{' ? '}' : ']';
    self->comma = false;
}

void
cli_json_close (cli_json_t *self)
{
    assert (self->depth > 0);
    const char text[] = {self->ends[--self->depth], '\0'};
    cli_output_text (self->output, text);
    self->comma = self->depth > 0;
    if (self->depth == 0) {
        cli_output_text (self->output, "\n");
    }
}

void
cli_json_text (cli_json_t *self, const char *key, const char *text)
{
    cli_json_string (self, key, text, strlen (text));
}

void
cli_json_string (cli_json_t *self, const char *key, const void *text,
                 size_t size)
{
    s_begin (self, key);
    s_add_string (self, text, size);
}

void
cli_json_member (cli_json_t *self, const void *key, size_t key_size,
                 const void *text, size_t size)
{
    s_begin_sized (self, key, key_size);
    s_add_string (self, text, size);
}

static void
s_add_base64 (cli_json_t *self, const uint8_t *bytes, size_t size)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   "abcdefghijklmnopqrstuvwxyz0123456789+/";
    cli_output_text (self->output, "\"");
    for (size_t at = 0; at < size; at += 3) {
        const size_t left = size - at;
        const uint32_t bits = (uint32_t) bytes[at] << 16
                              | (left > 1 ? (uint32_t) bytes[at + 1] << 8 : 0)
                              | (left > 2 ? (uint32_t) bytes[at + 2] : 0);
        const char group[4] = {alphabet[bits >> 18], alphabet[bits >> 12 & 63],
                               left > 1 ? alphabet[bits >> 6 & 63] : '=',
                               left > 2 ? alphabet[bits & 63] : '='};
        cli_output_add (self->output, group, sizeof group);
    }
    cli_output_text (self->output, "\"");
}

void
cli_json_bytes (cli_json_t *self, const char *key, const void *bytes,
                size_t size)
{
    const uint8_t *text = bytes;
    size_t at = 0;
    while (at < size) {
        const size_t step = s_utf8_step (text + at, size - at);
        if (step == 0) {
            break;
        }
        at += step;
    }
    if (at == size) {
        cli_json_string (self, key, bytes, size);
        return;
    }
    char name[64];
    snprintf (name, sizeof name, "%s_base64", key);
    s_begin (self, name);
    s_add_base64 (self, bytes, size);
}

void
cli_json_count (cli_json_t *self, const char *key, uint64_t count)
{
    char text[24];
    s_begin (self, key);
    snprintf (text, sizeof text, "%" PRIu64, count);
    cli_output_text (self->output, text);
}

void
cli_json_real (cli_json_t *self, const char *key, double real)
{
    char text[32];
    if (!isfinite (real)) {
        cli_json_null (self, key);
        return;
    }
    //  Nobody calls setlocale () here, so the decimal point is a point.
    s_begin (self, key);
    snprintf (text, sizeof text, "%.9g", real);
    cli_output_text (self->output, text);
}

void
cli_json_bool (cli_json_t *self, const char *key, bool value)
{
    s_begin (self, key);
    cli_output_text (self->output, value ? "true" : "false");
}

void
cli_json_null (cli_json_t *self, const char *key)
{
    s_begin (self, key);
    cli_output_text (self->output, "null");
}
