//  cli/bench_publish.c - a publishing process of tern bench
//
//  Sends as fast as it may and waits once, at the end; or one message at a time.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/bench.h"
#include "cli/format.h"
#include "cli/say.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONSUMERS_MS 30000  //  until the consumers must have been found
#define PROGRESS_EVERY 65536

//  Publishing ----------------------------------------------------------------

typedef struct {
    const cli_bench_job_t *job;
    tern_peer_t *peer;
    tern_producer_t *producers[CLI_BENCH_QUEUES_MAX];
    uint64_t last[CLI_BENCH_QUEUES_MAX];  //  seq
    char *body;
    uint64_t *samples;  //  until settled, ns; NULL unless one at a time
    tern_msg_t *msg;    //  NULL: plain
    uint64_t drawn;     //  what the rules are drawn from
    int64_t open_ns;    //  how long tern_peer_open () took
    int64_t begun_ms;
} publisher_t;

static int
s_open_producer (publisher_t *self, uint64_t index, char name[CLI_BENCH_NAME],
                 char *why, size_t why_size)
{
    tern_producer_t **producer_p = &self->producers[index];
    if (self->job->exchange) {
        snprintf (name, CLI_BENCH_NAME, "%s", CLI_BENCH_EXCHANGE);
        return tern_producer_open_exchange (producer_p, self->peer, name,
                                            TERN_FANOUT, NULL, why, why_size);
    }
    return tern_producer_open (producer_p, self->peer,
                               cli_bench_queue_name (name, index), why,
                               why_size);
}

static bool
s_open_producers (publisher_t *self)
{
    char name[CLI_BENCH_NAME], why[256] = "";
    for (uint64_t index = 0; index < self->job->queues; index++) {
        const int rc = s_open_producer (self, index, name, why, sizeof why);
        if (rc) {
            cli_fail_tern (rc, name, why);
            return false;
        }
        self->last[index] = tern_producer_last (self->producers[index]);
    }
    return true;
}

//  Every queue must have its consumers before the clock starts, an exchange all
//  of them.  Events of the peer wake us; the short wait is for links that open
//  without one.

static bool
s_await_consumers (const publisher_t *self)
{
    const int64_t until_ms = cli_clock_ms () + CONSUMERS_MS;
    char name[CLI_BENCH_NAME] = "#" CLI_BENCH_EXCHANGE;
    for (uint64_t index = 0; index < self->job->queues; index++) {
        if (!self->job->exchange) {
            cli_bench_queue_name (name, index);
        }
        while (tern_peer_consumers (self->peer, name) < self->job->consumers) {
            tern_event_t event;
            if (cli_clock_ms () > until_ms) {
                cli_fail (CLI_TIMEOUT,
                          "%s: its consumers were not found "
                          "within %d ms",
                          name, CONSUMERS_MS);
                return false;
            }
            tern_peer_event (self->peer, &event, 10);
        }
    }
    return true;
}

//  The next of some numbers that look random and are the same in every run.
static uint64_t
s_draw (publisher_t *self, uint64_t below)
{
    self->drawn = self->drawn * UINT64_C (6364136223846793005) + 1;
    return (self->drawn >> 33) % below;
}

static int
s_set_rule (publisher_t *self)
{
    char key[CLI_BENCH_NAME];
    switch ((cli_rule_t) self->job->rule) {
    case CLI_RULE_NONE: break;
    case CLI_RULE_PRIORITY:
        return tern_msg_set_priority (
            self->msg, (int) s_draw (self, TERN_PRIORITY_MAX + 1));
    case CLI_RULE_DELAY: {
        const int64_t due_ms = self->begun_ms + CLI_BENCH_DELAY_MS
                               + (int64_t) s_draw (self, 1000);
        const int64_t left_ms = due_ms - cli_clock_ms ();
        return tern_msg_set_delay (self->msg,
                                   left_ms > 0 ? (uint64_t) left_ms : 1);
    }
    case CLI_RULE_KEY:
        snprintf (key, sizeof key, "key-%" PRIu64,
                  s_draw (self, CLI_BENCH_KEYS));
        return tern_msg_set_order_key (self->msg, key);
    }
    return TERN_OK;
}

static int
s_send (publisher_t *self, uint64_t queue)
{
    if (!self->msg) {
        return tern_producer_send (self->producers[queue], self->body,
                                   self->job->size, -1, &self->last[queue]);
    }
    const int rc = s_set_rule (self);
    return rc ? rc
              : tern_producer_send_msg (self->producers[queue], self->msg, -1,
                                        &self->last[queue]);
}

static bool
s_publish_all (publisher_t *self)
{
    const cli_bench_job_t *job = self->job;
    uint64_t queue = 0;
    for (uint64_t index = 0; index < job->count; index++) {
        const int rc = s_send (self, queue);
        if (rc) {
            cli_fail_tern (rc, job->name, NULL);
            return false;
        }
        if (++queue == job->queues) {
            queue = 0;
        }
        if (job->progress && index % PROGRESS_EVERY == 0) {
            cli_bench_tell ("at %" PRIu64, index);
        }
    }
    return true;
}

//  One message in flight: its body carries the moment it left.

static bool
s_publish_single (publisher_t *self)
{
    for (uint64_t index = 0; index < self->job->count; index++) {
        const int64_t now_ns = cli_clock_ns ();
        memcpy (self->body, &now_ns, sizeof now_ns);
        int rc = tern_producer_send (self->producers[0], self->body,
                                     self->job->size, -1, &self->last[0]);
        if (rc == TERN_OK) {
            rc = tern_producer_wait (self->producers[0], self->last[0],
                                     TERN_PROCESSED, -1);
            self->samples[index] = (uint64_t) (cli_clock_ns () - now_ns);
        }
        if (rc) {
            cli_fail_tern (rc, self->job->name, NULL);
            return false;
        }
    }
    return true;
}

static bool
s_await_level (publisher_t *self, tern_level_t level)
{
    for (uint64_t index = 0; index < self->job->queues; index++) {
        const int rc = self->last[index] == 0
                           ? TERN_OK
                           : tern_producer_wait (self->producers[index],
                                                 self->last[index], level, -1);
        if (rc) {
            cli_fail_tern (rc, self->job->name, NULL);
            return false;
        }
    }
    return true;
}

static bool
s_publish (publisher_t *self)
{
    const cli_bench_job_t *job = self->job;
    cli_bench_meter_t meter;
    if (!s_open_producers (self) || !s_await_consumers (self)) {
        return false;
    }
    cli_bench_tell ("ready open_ns=%" PRId64, self->open_ns);
    if (!cli_bench_hear ("go")) {
        return false;
    }
    cli_bench_meter_start (&meter);
    self->begun_ms = meter.began_ns / 1000000;
    if (!(self->samples ? s_publish_single (self) : s_publish_all (self))
        || !s_await_level (self, (tern_level_t) job->level)) {
        return false;
    }
    const int64_t confirmed_ns = cli_clock_ns ();
    const uint64_t samples = self->samples ? job->count : 0;
    const bool consumed = job->consumers > 0 || job->count == 0;
    if (consumed && !s_await_level (self, TERN_PROCESSED)) {
        return false;
    }
    cli_bench_tell ("done begin_ns=%" PRId64 " confirmed_ns=%" PRId64
                    " settled_ns=%" PRId64 " cpu_us=%" PRIu64
                    " peak_kib=%" PRIu64 " samples=%" PRIu64 " p50_ns=%" PRIu64
                    " p99_ns=%" PRIu64,
                    meter.began_ns, confirmed_ns, cli_clock_ns (),
                    cli_bench_meter_cpu_us (&meter), cli_bench_peak_kib (),
                    samples, cli_bench_quantile (self->samples, samples, 0.5),
                    cli_bench_quantile (self->samples, samples, 0.99));
    return cli_bench_hear ("stop");
}

int
cli_bench_publish (const cli_bench_job_t *job)
{
    char *body = calloc (1, job->size < 8 ? 8 : job->size);
    publisher_t self = {.job = job, .body = body};
    if (job->single == CLI_BENCH_STAMPED) {
        self.samples = calloc (job->count, sizeof *self.samples);
    }
    if (body && job->rule) {
        self.msg = tern_msg_new (body, job->size);
    }
    const int64_t began_ns = cli_clock_ns ();
    self.peer = body ? cli_bench_peer (job) : NULL;
    self.open_ns = cli_clock_ns () - began_ns;
    const bool good = self.peer && s_publish (&self);
    for (uint64_t index = 0; index < job->queues; index++) {
        tern_producer_close (&self.producers[index]);
    }
    tern_peer_close (&self.peer, 0);
    tern_msg_destroy (&self.msg);
    free (self.samples);
    free (body);
    return good ? CLI_DONE : CLI_FAILED;
}
