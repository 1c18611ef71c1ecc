//  cli/output.c - stdout for results in large numbers
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/output.h"
#include "cli/say.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
cli_output_init (cli_output_t *self)
{
    *self = (cli_output_t) {0};
}

void
cli_output_free (cli_output_t *self)
{
    free (self->bytes);
    *self = (cli_output_t) {0};
}

void
cli_output_add (cli_output_t *self, const void *bytes, size_t size)
{
    if (size > self->capacity - self->size) {
        size_t capacity = self->capacity ? self->capacity : 4096;
        while (capacity - self->size < size) {
            capacity *= 2;
        }
        self->bytes = realloc (self->bytes, capacity);
        if (!self->bytes) {
            fprintf (stderr, "tern: no memory for %zu bytes of output\n",
                     capacity);
            abort ();
        }
        self->capacity = capacity;
    }
    if (size > 0) {
        memcpy (self->bytes + self->size, bytes, size);
    }
    self->size += size;
}

void
cli_output_text (cli_output_t *self, const char *text)
{
    cli_output_add (self, text, strlen (text));
}

int
cli_output_flush (cli_output_t *self)
{
    size_t done = 0;
    while (done < self->size) {
        const ssize_t put
            = write (STDOUT_FILENO, self->bytes + done, self->size - done);
        if (put > 0) {
            done += (size_t) put;
        } else if (put < 0 && errno == EAGAIN) {
            //  Somebody made our stdout non-blocking; wait as usual.
            struct pollfd item = {.fd = STDOUT_FILENO, .events = POLLOUT};
            poll (&item, 1, -1);
        } else if (put < 0 && errno != EINTR) {
            return errno;
        }
    }
    self->size = 0;
    return 0;
}

int
cli_output_end (cli_output_t *self)
{
    const int error = cli_output_flush (self);
    cli_output_free (self);
    return error
               ? cli_fail (CLI_FAILED, "standard output: %s", strerror (error))
               : CLI_DONE;
}

bool
cli_output_gone (void)
{
    struct pollfd item = {.fd = STDOUT_FILENO, .events = 0};
    return poll (&item, 1, 0) > 0 && (item.revents & (POLLERR | POLLNVAL));
}
