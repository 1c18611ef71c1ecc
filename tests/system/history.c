//  tests/system/history.c - what processes did, written so that kills tell
//
//  SPDX-License-Identifier: MPL-2.0

#include "history.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const s_op_names[HISTORY_OPS]
    = {"open",   "attempt", "accept",  "ack",    "deliver",
       "settle", "requeue", "damaged", "drained"};

//  Writing -----------------------------------------------------------------

bool
history_open (history_t *self, const char *folder, const char *process,
              uint32_t life)
{
    char path[512];
    snprintf (path, sizeof path, "%s/%s.jsonl", folder, process);
    snprintf (self->process, sizeof self->process, "%s", process);
    self->life = life;
    self->used = 0;
    self->fd = open (path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (self->fd < 0) {
        return false;
    }
    //  The life before may have been killed in the middle of a line.
    if (lseek (self->fd, 0, SEEK_END) > 0) {
        self->buffer[self->used++] = '\n';
    }
    return true;
}

void
history_add (history_t *self, const history_event_t *event)
{
    if (self->used + 512 > sizeof self->buffer) {
        history_flush (self);
    }
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    const int64_t time_ns = (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
    const int used = snprintf (
        self->buffer + self->used, sizeof self->buffer - self->used,
        "{\"t\":%" PRId64 ",\"p\":\"%s\",\"i\":%" PRIu32 ",\"op\":\"%s\","
        "\"from\":\"%s\",\"n\":%" PRIu64 ",\"seq\":%" PRIu64
        ",\"count\":%" PRIu64 ",\"level\":%" PRIu32 ",\"again\":%d}\n",
        time_ns, self->process, self->life, s_op_names[event->op], event->from,
        event->n, event->seq, event->count, event->level, event->again);
    assert (used > 0 && used < 512);
    self->used += (size_t) used;
}

void
history_flush (history_t *self)
{
    size_t done = 0;
    while (done < self->used) {
        const ssize_t put
            = write (self->fd, self->buffer + done, self->used - done);
        if (put < 0) {
            perror ("history");
            exit (70);
        }
        done += (size_t) put;
    }
    self->used = 0;
}

void
history_close (history_t *self)
{
    history_flush (self);
    close (self->fd);
}

//  Reading -----------------------------------------------------------------

static bool
s_parse (const char *line, history_event_t *event)
{
    char op[16] = "";
    int again = 0;
    int end = 0;
    *event = (history_event_t) {0};
    //  An empty "from" matches no %[, so there are two forms of a line.
    int found = sscanf (
        line,
        "{\"t\":%" SCNd64 ",\"p\":\"%63[^\"]\",\"i\":%" SCNu32
        ",\"op\":\"%15[^\"]\",\"from\":\"\",\"n\":%" SCNu64 ",\"seq\":%" SCNu64
        ",\"count\":%" SCNu64 ",\"level\":%" SCNu32 ",\"again\":%d}%n",
        &event->time_ns, event->process, &event->life, op, &event->n,
        &event->seq, &event->count, &event->level, &again, &end);
    if (found != 9 || end == 0) {
        end = 0;
        found = sscanf (
            line,
            "{\"t\":%" SCNd64 ",\"p\":\"%63[^\"]\",\"i\":%" SCNu32
            ",\"op\":\"%15[^\"]\",\"from\":\"%63[^\"]\",\"n\":%" SCNu64
            ",\"seq\":%" SCNu64 ",\"count\":%" SCNu64 ",\"level\":%" SCNu32
            ",\"again\":%d}%n",
            &event->time_ns, event->process, &event->life, op, event->from,
            &event->n, &event->seq, &event->count, &event->level, &again, &end);
        if (found != 10 || end == 0) {
            return false;
        }
    }
    event->again = again != 0;
    for (int known = 0; known < HISTORY_OPS; known++) {
        if (strcmp (op, s_op_names[known]) == 0) {
            event->op = (history_op_t) known;
            return true;
        }
    }
    return false;
}

bool
history_read (FILE *file, history_event_t *event, uint64_t *bad_p)
{
    char line[1024];
    while (fgets (line, sizeof line, file)) {
        if (line[0] == '\n') {
            continue;
        }
        if (s_parse (line, event)) {
            return true;
        }
        //  A line that its writer could not finish has no closing brace.
        if (strchr (line, '}')) {
            ++*bad_p;
        }
    }
    return false;
}

//  Payloads ----------------------------------------------------------------

//  What comes after the first words: a stream that depends on all of them.
static uint8_t
s_filler (uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint8_t) (*state >> 56);
}

static size_t
s_head (char *head, size_t head_size, size_t size, const char *publisher,
        uint64_t n, uint64_t *state)
{
    const int used
        = snprintf (head, head_size, "%s %" PRIu64 " %zu ", publisher, n, size);
    assert (used > 0 && (size_t) used < head_size);
    *state = n * 0x9e3779b97f4a7c15u + size;
    return (size_t) used;
}

void
payload_make (char *bytes, size_t size, const char *publisher, uint64_t n)
{
    char head[128];
    uint64_t state;
    assert (size >= PAYLOAD_MIN);
    const size_t used = s_head (head, sizeof head, size, publisher, n, &state);
    memcpy (bytes, head, used < size ? used : size);
    for (size_t index = used; index < size; index++) {
        bytes[index] = (char) s_filler (&state);
    }
}

bool
payload_read (const void *bytes, size_t size, const char *publisher,
              uint64_t *n_p)
{
    char copy[128] = "";
    if (size < PAYLOAD_MIN) {
        return false;
    }
    memcpy (copy, bytes, size < sizeof copy ? size : sizeof copy - 1);
    copy[sizeof copy - 1] = '\0';
    char *space = strchr (copy, ' ');
    if (!space) {
        return false;
    }
    *n_p = strtoull (space + 1, NULL, 10);
    char head[128];
    uint64_t state;
    const size_t used
        = s_head (head, sizeof head, size, publisher, *n_p, &state);
    if (used > size || memcmp (bytes, head, used) != 0) {
        return false;
    }
    const uint8_t *at = bytes;
    for (size_t index = used; index < size; index++) {
        if (at[index] != s_filler (&state)) {
            return false;
        }
    }
    return true;
}
