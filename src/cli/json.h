//  cli/json.h - writing JSON (RFC 8259)
//
//      cli_json_open (&json, NULL, '{');
//      cli_json_text (&json, "queue", "hello");
//      cli_json_close (&json);              //  {"queue":"hello"}
//
//  Keys are given inside objects and NULL inside arrays.  Whatever the bytes,
//  what comes out is valid JSON and UTF-8.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CLI_JSON_H
#define CLI_JSON_H

#include "cli/output.h"

#include <stdbool.h>
#include <stdint.h>

#define CLI_JSON_DEPTH 8

typedef struct {
    cli_output_t *output;       //  borrowed
    char ends[CLI_JSON_DEPTH];  //  closing bracket of each open one
    size_t depth;
    bool comma;  //  something stands before
} cli_json_t;

void
cli_json_init (cli_json_t *self, cli_output_t *output);

//  bracket is '{' or '['.
void
cli_json_open (cli_json_t *self, const char *key, char bracket);

//  Closes what was opened last; behind the outermost one stands a newline.
void
cli_json_close (cli_json_t *self);

void
cli_json_text (cli_json_t *self, const char *key, const char *text);

//  Text that is not terminated; bytes that are not UTF-8 become U+FFFD.
void
cli_json_string (cli_json_t *self, const char *key, const void *text,
                 size_t size);

//  A string that also serves as key: for maps with foreign keys.
void
cli_json_member (cli_json_t *self, const void *key, size_t key_size,
                 const void *text, size_t size);

//  Bytes as "key" if they are UTF-8, else as "key_base64".
void
cli_json_bytes (cli_json_t *self, const char *key, const void *bytes,
                size_t size);

void
cli_json_count (cli_json_t *self, const char *key, uint64_t count);

//  A number with decimals; not finite becomes null.
void
cli_json_real (cli_json_t *self, const char *key, double real);

void
cli_json_bool (cli_json_t *self, const char *key, bool value);

void
cli_json_null (cli_json_t *self, const char *key);

#endif
