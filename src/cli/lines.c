//  cli/lines.c - reading lines of any length, fast, from a file descriptor
//
//      bytes   [ lent | begin ... end | room ]
//
//  Invariant: end - begin <= limit before a read, so a line is either complete
//  in the buffer or known to be too long: memory does not grow.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/lines.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES (256 * 1024)

void
cli_lines_init (cli_lines_t *self, int fd, size_t limit)
{
    *self = (cli_lines_t) {.fd = fd, .limit = limit};
    self->bytes = malloc (limit + READ_BYTES);
    if (!self->bytes) {
        fputs ("tern: no memory for reading lines\n", stderr);
        abort ();
    }
}

void
cli_lines_free (cli_lines_t *self)
{
    free (self->bytes);
    self->bytes = NULL;
}

//  The line ends at begin + size (a newline there, or the end of all).

static cli_line_t
s_finish (cli_lines_t *self, size_t size, bool newline, const char **line_p,
          size_t *size_p)
{
    const char *line = self->bytes + self->begin;
    self->begin += size + (newline ? 1 : 0);
    self->number++;
    if (self->skipping || size > self->limit) {
        *size_p = (size_t) self->skipped + size;
        self->skipping = false;
        self->skipped = 0;
        return CLI_LINE_TOO_LONG;
    }
    *line_p = line;
    *size_p = size;
    return CLI_LINE;
}

cli_line_t
cli_lines_next (cli_lines_t *self, const char **line_p, size_t *size_p)
{
    const size_t waiting = self->end - self->begin;
    const char *begin = self->bytes + self->begin;
    const char *newline = waiting ? memchr (begin, '\n', waiting) : NULL;
    if (newline) {
        return s_finish (self, (size_t) (newline - begin), true, line_p,
                         size_p);
    }
    if (self->ended) {
        return waiting > 0 || self->skipping
                   ? s_finish (self, waiting, false, line_p, size_p)
                   : CLI_LINE_END;
    }
    if (self->skipping || waiting > self->limit) {
        self->skipping = true;
        self->skipped += waiting;
        self->begin = self->end;
    }
    return CLI_LINE_NONE;
}

int
cli_lines_fill (cli_lines_t *self)
{
    const size_t waiting = self->end - self->begin;
    assert (waiting <= self->limit);
    memmove (self->bytes, self->bytes + self->begin, waiting);
    self->begin = 0;
    self->end = waiting;
    const ssize_t got = read (self->fd, self->bytes + self->end, READ_BYTES);
    if (got < 0) {
        return errno == EINTR || errno == EAGAIN ? 0 : errno;
    }
    self->end += (size_t) got;
    self->ended = got == 0;
    return 0;
}
