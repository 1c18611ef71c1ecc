//  cli/bench_consume.c - a consuming process of tern bench
//
//  Accepts what comes and keeps count, so that the parent can see that nothing
//  was lost.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/bench.h"
#include "cli/format.h"
#include "cli/say.h"

#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SINGLE_MS 1000  //  one message; then a look whether the parent is there
#define BOUND_MS 30000

//  Consuming -----------------------------------------------------------------

typedef struct {
    const cli_bench_job_t *job;
    tern_peer_t *peer;
    tern_consumer_t *consumers[CLI_BENCH_QUEUES_MAX];
    struct pollfd items[CLI_BENCH_QUEUES_MAX + 1];
    uint64_t count;
    int64_t last_ns;    //  when no message was left last
    uint64_t *samples;  //  one way, ns; NULL unless stamped
    size_t sample_count;
} consumer_t;

//  A durable subscriber has a queue of its own, bound to the exchange.
static int
s_bind (const consumer_t *self, const char *queue)
{
    const tern_binding_t binding = {
        .exchange = CLI_BENCH_EXCHANGE,
        .type = TERN_FANOUT,
        .queue = queue,
    };
    const int rc = tern_peer_bind (self->peer, &binding, NULL, 0);
    return rc ? rc : tern_peer_bound (self->peer, &binding, BOUND_MS);
}

static int
s_open_consumer (consumer_t *self, uint64_t index, const char *queue)
{
    const tern_consumer_options_t options
        = {.prefetch = (uint32_t) self->job->prefetch};
    const int rc = self->job->exchange ? s_bind (self, queue) : TERN_OK;
    return rc ? rc
              : tern_consumer_open (&self->consumers[index], self->peer, queue,
                                    &options);
}

static bool
s_open_consumers (consumer_t *self)
{
    char name[CLI_BENCH_NAME];
    self->items[0] = (struct pollfd) {.fd = STDIN_FILENO, .events = POLLIN};
    for (uint64_t index = 0; index < self->job->queues; index++) {
        const int rc = s_open_consumer (
            self, index, cli_bench_queue_name (name, self->job->first + index));
        if (rc) {
            cli_fail_tern (rc, name, NULL);
            return false;
        }
        if (!self->job->single) {
            self->items[index + 1] = (struct pollfd) {
                .fd = tern_consumer_fd (self->consumers[index]),
                .events = POLLIN,
            };
        }
    }
    return true;
}

static void
s_take_sample (consumer_t *self, const tern_msg_t *msg)
{
    int64_t sent_ns;
    if (self->sample_count < self->job->count
        && tern_msg_size (msg) >= sizeof sent_ns) {
        memcpy (&sent_ns, tern_msg_body (msg), sizeof sent_ns);
        self->samples[self->sample_count++]
            = (uint64_t) (cli_clock_ns () - sent_ns);
    }
}

static void
s_take_all (consumer_t *self, tern_consumer_t *consumer)
{
    tern_msg_t *msg;
    while ((msg = tern_consumer_recv (consumer, 0))) {
        tern_consumer_accept (consumer, msg);
        self->count++;
    }
}

//  Accept all that has come, to every queue or to those that poll () named.

static void
s_consume_waiting (consumer_t *self, bool all)
{
    for (uint64_t index = 0; index < self->job->queues; index++) {
        if (all || self->items[index + 1].revents) {
            s_take_all (self, self->consumers[index]);
        }
    }
    self->last_ns = cli_clock_ns ();
}

//  Until the parent says that no more will come.

static void
s_consume_all (consumer_t *self)
{
    s_consume_waiting (self, true);
    do {
        poll (self->items, (nfds_t) self->job->queues + 1, -1);
        s_consume_waiting (self, false);
    } while (!self->items[0].revents);
    s_consume_waiting (self, true);
}

//  One message at a time, waiting in the call itself, as libzmq's side does.
//  Turns: from accepting one to holding the next of those that wait.

static void
s_consume_single (consumer_t *self)
{
    const bool turns = self->job->single == CLI_BENCH_TURNS;
    int64_t accepted_ns = 0;
    while (self->count < self->job->count) {
        tern_msg_t *msg = tern_consumer_recv (self->consumers[0], SINGLE_MS);
        if (!msg && poll (self->items, 1, 0) > 0) {
            break;
        }
        if (!msg) {
            continue;
        }
        if (!turns) {
            s_take_sample (self, msg);
        } else if (accepted_ns) {
            self->samples[self->sample_count++]
                = (uint64_t) (cli_clock_ns () - accepted_ns);
        }
        accepted_ns = cli_clock_ns ();
        tern_consumer_accept (self->consumers[0], msg);
        self->count++;
    }
    self->last_ns = cli_clock_ns ();
}

static bool
s_consume (consumer_t *self)
{
    cli_bench_meter_t meter;
    if (!s_open_consumers (self)) {
        return false;
    }
    cli_bench_tell ("ready");
    if (!cli_bench_hear ("go")) {
        return false;
    }
    cli_bench_meter_start (&meter);
    if (self->job->single) {
        s_consume_single (self);
    } else {
        s_consume_all (self);
    }
    if (!cli_bench_hear ("stop")) {
        return false;
    }
    cli_bench_tell (
        "done count=%" PRIu64 " last_ns=%" PRId64 " cpu_us=%" PRIu64
        " peak_kib=%" PRIu64 " samples=%zu p50_ns=%" PRIu64 " p99_ns=%" PRIu64,
        self->count, self->last_ns, cli_bench_meter_cpu_us (&meter),
        cli_bench_peak_kib (), self->sample_count,
        cli_bench_quantile (self->samples, self->sample_count, 0.5),
        cli_bench_quantile (self->samples, self->sample_count, 0.99));
    return true;
}

int
cli_bench_consume (const cli_bench_job_t *job)
{
    consumer_t self = {.job = job};
    if (job->single) {
        self.samples = calloc (job->count, sizeof *self.samples);
    }
    self.peer = cli_bench_peer (job);
    const bool good = self.peer && s_consume (&self);
    for (uint64_t index = 0; index < job->queues; index++) {
        tern_consumer_close (&self.consumers[index]);
    }
    tern_peer_close (&self.peer, 0);
    free (self.samples);
    return good ? CLI_DONE : CLI_FAILED;
}
