//  cli/output.h - stdout for results in large numbers
//
//  Collects bytes and writes them in one go.  Every write is checked: a result
//  counts as given only when flush () said so.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    char *bytes;
    size_t size;
    size_t capacity;
} cli_output_t;

//  Empty; needs no memory until something is added.
void
cli_output_init (cli_output_t *self);

void
cli_output_free (cli_output_t *self);

void
cli_output_add (cli_output_t *self, const void *bytes, size_t size);

void
cli_output_text (cli_output_t *self, const char *text);

//  Write all to stdout and be empty again.  0, or errno of what went wrong.
int
cli_output_flush (cli_output_t *self);

//  Flush for the last time and free.  Returns the exit code: CLI_DONE, or
//  CLI_FAILED with one line said.
int
cli_output_end (cli_output_t *self);

//  Has the reader of stdout gone?  Only a pipe or socket can tell.
bool
cli_output_gone (void);

#endif
