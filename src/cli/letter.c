//  cli/letter.c - dead letters, as programs and people read them
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/letter.h"
#include "cli/format.h"
#include "cli/large.h"
#include "cli/message.h"
#include "cli/options.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

//  A header as terminated text, cut if need be; "-" if there is none.

const char *
cli_letter_header (const tern_msg_t *letter, const char *name, char *text,
                   size_t text_size)
{
    size_t size = 0;
    const char *value = tern_msg_header (letter, name, &size);
    snprintf (text, text_size, "%.*s", value ? (int) size : 1,
              value ? value : "-");
    return text;
}

static uint64_t
s_number (const tern_msg_t *letter, const char *name)
{
    char text[24];
    uint64_t number = 0;
    return cli_number (cli_letter_header (letter, name, text, sizeof text), 0,
                       UINT64_MAX, &number)
               ? number
               : 0;
}

//  For programs --------------------------------------------------------------

static void
s_json_letter (cli_json_t *json, tern_msg_t *letter)
{
    char text[256];
    cli_json_text (
        json, "first_id",
        cli_letter_header (letter, "tern.dead.id", text, sizeof text));
    cli_json_text (
        json, "reason",
        cli_letter_header (letter, "tern.dead.reason", text, sizeof text));
    cli_json_count (json, "count", s_number (letter, "tern.dead.count"));
    cli_json_text (
        json, "consumer",
        cli_letter_header (letter, "tern.dead.consumer", text, sizeof text));
    cli_json_count (json, "accepted_us", s_number (letter, "tern.dead.time"));
    cli_json_count (json, "died_us", tern_msg_time_us (letter));
    cli_json_count (json, "size", cli_large_body_size (letter));
}

void
cli_letter_json (cli_output_t *output, tern_msg_t *letter, bool whole)
{
    cli_json_t json;
    cli_json_init (&json, output);
    cli_json_open (&json, NULL, '{');
    s_json_letter (&json, letter);
    if (whole) {
        cli_message_json (&json, letter);
    }
    cli_json_close (&json);
}

//  For people ----------------------------------------------------------------

void
cli_letter_table (cli_table_t *table)
{
    static const char *const titles[]
        = {"ID", "REASON", ">COUNT", "CONSUMER", "DIED", ">SIZE"};
    cli_table_init (table, titles, sizeof titles / sizeof *titles);
}

void
cli_letter_row (cli_table_t *table, const tern_msg_t *letter)
{
    char text[256];
    cli_text_t number;
    cli_table_add (
        table, cli_letter_header (letter, "tern.dead.id", text, sizeof text));
    cli_table_add (table, cli_letter_header (letter, "tern.dead.reason", text,
                                             sizeof text));
    cli_table_add (table, cli_format_count (
                              &number, s_number (letter, "tern.dead.count")));
    cli_letter_header (letter, "tern.dead.consumer", text, sizeof text);
    cli_table_add (table, *text ? text : "-");
    cli_table_add (table, cli_format_time (&number, tern_msg_time_us (letter)));
    cli_table_add (table,
                   cli_format_bytes (&number, cli_large_body_size (letter)));
}

//  Text that came from elsewhere: what a terminal might take for a command
//  becomes '.'.  Lines of it are indented if it may have any.

static void
s_print_text (cli_output_t *output, const char *text, size_t size,
              const char *indent)
{
    cli_output_text (output, indent ? indent : "");
    for (size_t at = 0; at < size; at++) {
        const unsigned char byte = (unsigned char) text[at];
        const bool control = (byte < ' ' && byte != '\t') || byte == 0x7f;
        if (byte != '\n' || !indent) {
            cli_output_add (output, control ? "." : &text[at], 1);
        } else if (at + 1 < size) {
            cli_output_text (output, "\n");
            cli_output_text (output, indent);
        }
    }
    cli_output_text (output, "\n");
}

static void
s_print_member (cli_output_t *output, const char *name, size_t name_size,
                const char *value, size_t size)
{
    cli_output_text (output, "  ");
    cli_output_add (output, name, name_size);
    cli_output_text (output, ": ");
    s_print_text (output, value, size, NULL);
}

void
cli_letter_show (cli_output_t *output, const tern_msg_t *letter)
{
    char id[256], reason[32], consumer[80];
    char line[640];
    cli_text_t died, accepted;
    cli_letter_header (letter, "tern.dead.consumer", consumer, sizeof consumer);
    snprintf (
        line, sizeof line,
        "%s\n  %s, delivered %" PRIu64 " times, last to %s\n"
        "  died %s, first accepted %s\n",
        cli_letter_header (letter, "tern.dead.id", id, sizeof id),
        cli_letter_header (letter, "tern.dead.reason", reason, sizeof reason),
        s_number (letter, "tern.dead.count"), *consumer ? consumer : "nobody",
        cli_format_time (&died, tern_msg_time_us (letter)),
        cli_format_time (&accepted, s_number (letter, "tern.dead.time")));
    cli_output_text (output, line);
    size_t size = 0;
    const char *value = tern_msg_key (letter, &size);
    if (size > 0) {
        s_print_member (output, "key", 3, value, size);
    }
    const char *name;
    size_t name_size;
    for (size_t index = 0;
         tern_msg_header_at (letter, index, &name, &name_size, &value, &size);
         index++) {
        if (name_size < 5 || memcmp (name, "tern.", 5) != 0) {
            s_print_member (output, name, name_size, value, size);
        }
    }
    cli_text_t bytes;
    snprintf (line, sizeof line, "  body, %s%s\n",
              cli_format_bytes (&bytes, cli_large_body_size (letter)),
              tern_large_size (letter) ? ", large: tern recv fetches it" : "");
    cli_output_text (output, line);
    if (tern_msg_size (letter) > 0) {
        s_print_text (output, tern_msg_body (letter), tern_msg_size (letter),
                      "    ");
    }
}
