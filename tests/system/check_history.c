//  tests/system/check_history.c - judge a folder of histories
//
//      check_history FOLDER [--quiet]
//
//  Reads what the processes wrote (history.h), puts it in order of time and
//  counts in the words of Jepsen's total-queue checker:
//
//      attempted      payloads a publisher meant to send
//      accepted       of these, send () gave them a seq
//      acknowledged   of these, a level was confirmed: written, synced,
//                     processed
//      delivered      handed to an application at least once
//      settled        accepted by an application at least once
//      redelivered    deliveries beyond the first of each payload
//      recovered      delivered although nothing was confirmed to the publisher
//      vanished       accepted, never confirmed, never delivered: a kill took
//                     them before they were written, as the header says
//
//  and these must be zero:
//
//      lost           acknowledged, never delivered
//      duplicated     delivered to a process that had settled it
//      disordered     first deliveries of one publisher out of order
//      unmarked       delivered before, yet not flagged as redelivered
//      unexpected     damaged, never attempted, or two payloads of one seq
//      premature      confirmed as processed before anybody had it
//      stranded       still in an outbox when its publisher had drained it
//
//  Exit status: 0 all zero, 1 not, 2 usage or unreadable.
//
//  SPDX-License-Identifier: MPL-2.0

#include "history.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PUBLISHERS_MAX 64
#define LIVES_MAX 8192
#define SETTLERS 4
#define SHOWN_MAX 10

//  One payload.  Its number is its place in the publisher's array.
typedef struct {
    uint64_t seq;   //  0 unknown yet
    uint32_t life;  //  of the publisher, when it was accepted
    uint32_t deliveries;
    uint32_t settles;
    uint16_t settled_by[SETTLERS];  //  the latest lives of consumers, 1 based
    uint8_t level;
    bool attempted, accepted;
} payload_t;

typedef struct {
    char name[HISTORY_NAME_MAX];
    payload_t *payloads;
    uint64_t size;  //  of the array
    uint64_t end;   //  behind the last attempted
} publisher_t;

//  One life of a consumer, and how far each publisher's first deliveries are.
typedef struct {
    char process[HISTORY_NAME_MAX];
    uint32_t life;
    uint64_t first_seq[PUBLISHERS_MAX];
} life_t;

typedef struct {
    history_event_t *events;
    size_t count, capacity;
    publisher_t publishers[PUBLISHERS_MAX];
    size_t publisher_count;
    life_t *lives;
    size_t life_count;
    uint64_t bad_lines;
    size_t shown;
    uint64_t duplicated, disordered, unmarked, unexpected, premature, stranded;
} judge_t;

static void *
s_grow (void *memory, size_t size)
{
    void *grown = realloc (memory, size);
    if (!grown) {
        fprintf (stderr, "check_history: no memory\n");
        exit (2);
    }
    return grown;
}

//  Say what was found, but not a million times.
static void
s_show (judge_t *self, const char *what, const char *publisher, uint64_t n,
        const history_event_t *event)
{
    if (self->shown++ < SHOWN_MAX) {
        printf ("  %s: %s payload %" PRIu64 " (event: %s life %u seq %" PRIu64
                " count %" PRIu64 " t %" PRId64 ")\n",
                what, publisher, n, event->process, event->life, event->seq,
                event->count, event->time_ns);
    }
}

//  Reading -----------------------------------------------------------------

static int
s_read_file (judge_t *self, const char *path)
{
    FILE *file = fopen (path, "r");
    if (!file) {
        perror (path);
        return 2;
    }
    history_event_t event;
    while (history_read (file, &event, &self->bad_lines)) {
        if (self->count == self->capacity) {
            self->capacity = self->capacity ? self->capacity * 2 : 4096;
            self->events
                = s_grow (self->events, self->capacity * sizeof *self->events);
        }
        self->events[self->count++] = event;
    }
    fclose (file);
    return 0;
}

static int
s_read_folder (judge_t *self, const char *folder)
{
    DIR *dir = opendir (folder);
    if (!dir) {
        perror (folder);
        return 2;
    }
    int failed = 0;
    struct dirent *entry;
    while (!failed && (entry = readdir (dir)) != NULL) {
        const char *dot = strrchr (entry->d_name, '.');
        if (dot && strcmp (dot, ".jsonl") == 0) {
            char path[1024];
            snprintf (path, sizeof path, "%s/%s", folder, entry->d_name);
            failed = s_read_file (self, path);
        }
    }
    closedir (dir);
    return failed;
}

static int
s_by_time (const void *left, const void *right)
{
    const history_event_t *a = left;
    const history_event_t *b = right;
    return a->time_ns < b->time_ns ? -1 : a->time_ns > b->time_ns;
}

//  Finding -----------------------------------------------------------------

static publisher_t *
s_publisher (judge_t *self, const char *name)
{
    for (size_t index = 0; index < self->publisher_count; index++) {
        if (strcmp (self->publishers[index].name, name) == 0) {
            return &self->publishers[index];
        }
    }
    if (self->publisher_count == PUBLISHERS_MAX) {
        fprintf (stderr, "check_history: over %d publishers\n", PUBLISHERS_MAX);
        exit (2);
    }
    publisher_t *added = &self->publishers[self->publisher_count++];
    snprintf (added->name, sizeof added->name, "%s", name);
    return added;
}

static size_t
s_life (judge_t *self, const history_event_t *event)
{
    for (size_t index = self->life_count; index > 0; index--) {
        const life_t *life = &self->lives[index - 1];
        if (life->life == event->life
            && strcmp (life->process, event->process) == 0) {
            return index - 1;
        }
    }
    if (self->life_count == LIVES_MAX) {
        fprintf (stderr, "check_history: over %d lives\n", LIVES_MAX);
        exit (2);
    }
    life_t *added = &self->lives[self->life_count];
    snprintf (added->process, sizeof added->process, "%s", event->process);
    added->life = event->life;
    return self->life_count++;
}

static payload_t *
s_payload (publisher_t *publisher, uint64_t n)
{
    return n > 0 && n < publisher->size ? &publisher->payloads[n] : NULL;
}

//  One event after the other ----------------------------------------------

static void
s_on_attempt (judge_t *self, const history_event_t *event)
{
    publisher_t *publisher = s_publisher (self, event->process);
    const uint64_t end = event->n + event->count;
    if (end > publisher->size) {
        const uint64_t size = end + end / 2;
        publisher->payloads
            = s_grow (publisher->payloads, size * sizeof *publisher->payloads);
        memset (publisher->payloads + publisher->size, 0,
                (size - publisher->size) * sizeof *publisher->payloads);
        publisher->size = size;
    }
    for (uint64_t n = event->n; n < end; n++) {
        publisher->payloads[n].attempted = true;
    }
    publisher->end = end > publisher->end ? end : publisher->end;
}

//  The seq by which a payload is known never changes.
static void
s_name (judge_t *self, publisher_t *publisher, uint64_t n, uint64_t seq,
        const history_event_t *event)
{
    payload_t *payload = s_payload (publisher, n);
    if (payload->seq == 0) {
        payload->seq = seq;
    } else if (payload->seq != seq) {
        self->unexpected++;
        s_show (self, "unexpected: two seqs", publisher->name, n, event);
    }
}

static void
s_on_accept (judge_t *self, const history_event_t *event)
{
    publisher_t *publisher = s_publisher (self, event->process);
    for (uint64_t index = 0; index < event->count; index++) {
        payload_t *payload = s_payload (publisher, event->n + index);
        if (!payload || !payload->attempted) {
            self->unexpected++;
            s_show (self, "unexpected: accepted without an attempt",
                    publisher->name, event->n + index, event);
            continue;
        }
        payload->accepted = true;
        payload->life = event->life;
        s_name (self, publisher, event->n + index, event->seq + index, event);
    }
}

//  Raises what this life has accepted up to the acknowledged seq.
static void
s_on_ack (judge_t *self, const history_event_t *event)
{
    publisher_t *publisher = s_publisher (self, event->process);
    for (uint64_t n = publisher->end; n-- > 1;) {
        payload_t *payload = &publisher->payloads[n];
        if (!payload->accepted || payload->seq > event->seq) {
            continue;
        }
        //  Going back in order: all before this one is known to be so far, or
        //  was accepted by an earlier life, whose acks are its own.
        if (payload->life != event->life || payload->level >= event->level) {
            break;
        }
        payload->level = (uint8_t) event->level;
        if (event->level >= 4 && payload->deliveries == 0) {
            self->premature++;
            s_show (self, "premature", publisher->name, n, event);
        }
    }
}

static void
s_deliver_one (judge_t *self, const history_event_t *event, size_t life,
               publisher_t *publisher, uint64_t n, uint64_t seq)
{
    payload_t *payload = s_payload (publisher, n);
    if (!payload || !payload->attempted) {
        self->unexpected++;
        s_show (self, "unexpected: delivered without an attempt",
                publisher->name, n, event);
        return;
    }
    s_name (self, publisher, n, seq, event);
    if (payload->deliveries++ > 0 && !event->again) {
        self->unmarked++;
        s_show (self, "unmarked", publisher->name, n, event);
    }
    for (size_t index = 0; index < SETTLERS; index++) {
        if (payload->settled_by[index] == life + 1) {
            self->duplicated++;
            s_show (self, "duplicated", publisher->name, n, event);
            break;
        }
    }
    uint64_t *last = &self->lives[life].first_seq[publisher - self->publishers];
    if (!event->again) {
        if (seq <= *last) {
            self->disordered++;
            s_show (self, "disordered", publisher->name, n, event);
        }
        *last = seq;
    }
}

static void
s_on_deliver (judge_t *self, const history_event_t *event)
{
    publisher_t *publisher = s_publisher (self, event->from);
    const size_t life = s_life (self, event);
    for (uint64_t index = 0; index < event->count; index++) {
        s_deliver_one (self, event, life, publisher, event->n + index,
                       event->seq + index);
    }
}

static void
s_on_settle (judge_t *self, const history_event_t *event)
{
    publisher_t *publisher = s_publisher (self, event->from);
    const size_t life = s_life (self, event);
    for (uint64_t index = 0; index < event->count; index++) {
        payload_t *payload = s_payload (publisher, event->n + index);
        if (payload) {
            payload->settled_by[payload->settles++ % SETTLERS]
                = (uint16_t) (life + 1);
        }
    }
}

static void
s_walk (judge_t *self)
{
    for (size_t index = 0; index < self->count; index++) {
        const history_event_t *event = &self->events[index];
        switch (event->op) {
        case HISTORY_ATTEMPT: s_on_attempt (self, event); break;
        case HISTORY_ACCEPT: s_on_accept (self, event); break;
        case HISTORY_ACK: s_on_ack (self, event); break;
        case HISTORY_DELIVER: s_on_deliver (self, event); break;
        case HISTORY_SETTLE: s_on_settle (self, event); break;
        case HISTORY_DAMAGED:
            self->unexpected++;
            s_show (self, "unexpected: damaged", event->from, 0, event);
            break;
        case HISTORY_DRAINED: self->stranded += event->count; break;
        case HISTORY_OPEN:
        case HISTORY_REQUEUE:
        case HISTORY_OPS: break;
        }
    }
}

//  The sum -----------------------------------------------------------------

static int
s_by_seq (const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *) left;
    const uint64_t b = *(const uint64_t *) right;
    return a < b ? -1 : a > b;
}

//  A seq never names two payloads.
static void
s_check_seqs (judge_t *self, const publisher_t *publisher)
{
    uint64_t *seqs = s_grow (NULL, (publisher->end + 1) * sizeof *seqs);
    size_t count = 0;
    for (uint64_t n = 1; n < publisher->end; n++) {
        if (publisher->payloads[n].seq) {
            seqs[count++] = publisher->payloads[n].seq;
        }
    }
    qsort (seqs, count, sizeof *seqs, s_by_seq);
    for (size_t index = 1; index < count; index++) {
        if (seqs[index] == seqs[index - 1]) {
            self->unexpected++;
            printf ("  unexpected: %s seq %" PRIu64 " names two payloads\n",
                    publisher->name, seqs[index]);
        }
    }
    free (seqs);
}

typedef struct {
    uint64_t attempted, accepted, written, synced, processed, delivered,
        settled, redelivered, recovered, vanished, lost;
} totals_t;

static void
s_sum (judge_t *self, totals_t *totals)
{
    for (size_t index = 0; index < self->publisher_count; index++) {
        const publisher_t *publisher = &self->publishers[index];
        s_check_seqs (self, publisher);
        for (uint64_t n = 1; n < publisher->end; n++) {
            const payload_t *at = &publisher->payloads[n];
            totals->attempted += at->attempted;
            totals->accepted += at->accepted;
            totals->written += at->level >= 1;
            totals->synced += at->level >= 2;
            totals->processed += at->level >= 4;
            totals->delivered += at->deliveries > 0;
            totals->settled += at->settles > 0;
            totals->redelivered += at->deliveries > 1 ? at->deliveries - 1 : 0;
            totals->recovered += at->deliveries > 0 && at->level == 0;
            totals->vanished
                += at->accepted && at->deliveries == 0 && at->level == 0;
            if (at->level > 0 && at->deliveries == 0) {
                totals->lost++;
                if (self->shown++ < SHOWN_MAX) {
                    printf ("  lost: %s payload %" PRIu64 " seq %" PRIu64
                            " level %u life %u\n",
                            publisher->name, n, at->seq, at->level, at->life);
                }
            }
        }
    }
}

static void
s_row (const char *name, uint64_t count, const char *words)
{
    printf ("  %-13s %10" PRIu64 "  %s\n", name, count, words);
}

static int
s_judge (judge_t *self, bool quiet)
{
    totals_t totals = {0};
    qsort (self->events, self->count, sizeof *self->events, s_by_time);
    s_walk (self);
    s_sum (self, &totals);
    const uint64_t wrong = totals.lost + self->duplicated + self->disordered
                           + self->unmarked + self->unexpected + self->premature
                           + self->stranded + self->bad_lines;
    if (!quiet || wrong > 0) {
        s_row ("attempted", totals.attempted, "");
        s_row ("accepted", totals.accepted, "given a seq by send ()");
        s_row ("written", totals.written, "acknowledged");
        s_row ("synced", totals.synced, "acknowledged");
        s_row ("processed", totals.processed, "acknowledged");
        s_row ("delivered", totals.delivered, "");
        s_row ("settled", totals.settled, "");
        s_row ("redelivered", totals.redelivered, "");
        s_row ("recovered", totals.recovered, "delivered, not acknowledged");
        s_row ("vanished", totals.vanished, "killed before it was written");
        s_row ("lost", totals.lost, "must be 0");
        s_row ("duplicated", self->duplicated, "must be 0");
        s_row ("disordered", self->disordered, "must be 0");
        s_row ("unmarked", self->unmarked, "must be 0");
        s_row ("unexpected", self->unexpected + self->bad_lines, "must be 0");
        s_row ("premature", self->premature, "must be 0");
        s_row ("stranded", self->stranded, "must be 0");
    }
    if (totals.processed == 0) {
        printf ("  nothing was processed: no verdict\n");
        return 1;
    }
    return wrong > 0;
}

int
main (int argc, char **argv)
{
    const bool quiet = argc == 3 && strcmp (argv[2], "--quiet") == 0;
    if (argc != 2 && !quiet) {
        fprintf (stderr, "usage: check_history FOLDER [--quiet]\n");
        return 2;
    }
    static judge_t self;
    self.lives = calloc (LIVES_MAX, sizeof *self.lives);
    if (!self.lives) {
        return 2;
    }
    int failed = s_read_folder (&self, argv[1]);
    if (!failed) {
        failed = s_judge (&self, quiet);
    }
    for (size_t index = 0; index < self.publisher_count; index++) {
        free (self.publishers[index].payloads);
    }
    free (self.lives);
    free (self.events);
    return failed;
}
