//  cli/bench_zmq.c - what libzmq does alone: the yardstick of tern bench
//
//  PUSH and PULL over tcp loopback, one process each, nothing stored.
//  High-water marks hold 64 MiB of messages each: libzmq's own 1000 would slow
//  it down with small ones, none at all would let memory grow without end.
//  Throughput: all messages one way.  Latency: one message in flight, stamped
//  at its sender, answered over a second pair so that the next one leaves only
//  then; what counts is the way out.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/bench.h"
#include "cli/format.h"
#include "cli/say.h"

#include <zmq.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

//  After the parent said stop, silence for so long means that all is in.
#define QUIET_MS 200

typedef struct {
    void *context;
    void *out, *in;  //  PUSH, PULL; NULL if not used
} sockets_t;

static void
s_close (sockets_t *self)
{
    if (self->out) {
        zmq_close (self->out);
    }
    if (self->in) {
        zmq_close (self->in);
    }
    zmq_ctx_term (self->context);
}

static int
s_end (sockets_t *self, bool good, const char *what)
{
    const int code
        = good ? CLI_DONE
               : cli_fail (CLI_FAILED, "%s: %s", what, zmq_strerror (errno));
    s_close (self);
    return code;
}

#define HWM_BYTES (64 * 1024 * 1024)
#define HWM_LEAST 1000

static bool
s_set_marks (void *socket, uint64_t size)
{
    const uint64_t fitting = HWM_BYTES / (size > 0 ? size : 1);
    const int mark = fitting < HWM_LEAST ? HWM_LEAST : (int) fitting;
    return zmq_setsockopt (socket, ZMQ_SNDHWM, &mark, sizeof mark) == 0
           && zmq_setsockopt (socket, ZMQ_RCVHWM, &mark, sizeof mark) == 0;
}

static void *
s_bind (void *context, int type, uint64_t message_size, char endpoint[64])
{
    void *socket = zmq_socket (context, type);
    size_t size = 64;
    if (socket && s_set_marks (socket, message_size)
        && zmq_bind (socket, "tcp://127.0.0.1:*") == 0
        && zmq_getsockopt (socket, ZMQ_LAST_ENDPOINT, endpoint, &size) == 0) {
        return socket;
    }
    if (socket) {
        zmq_close (socket);
    }
    return NULL;
}

//  Connect to one of the endpoints by commas; *rest_p moves behind it.

static bool
s_connect (void *socket, const char **rest_p)
{
    char endpoint[64];
    const size_t size = strcspn (*rest_p, ",");
    snprintf (endpoint, sizeof endpoint, "%.*s", (int) size, *rest_p);
    *rest_p += size + ((*rest_p)[size] == ',');
    return zmq_connect (socket, endpoint) == 0;
}

//  Throughput ----------------------------------------------------------------

int
cli_bench_push (const cli_bench_job_t *job)
{
    sockets_t self = {.context = zmq_ctx_new ()};
    char *body = calloc (1, job->size + 1);
    self.out = zmq_socket (self.context, ZMQ_PUSH);
    bool good = body && self.out && s_set_marks (self.out, job->size);
    const char *rest = job->endpoints;
    while (good && *rest) {
        good = s_connect (self.out, &rest);
    }
    if (!good) {
        free (body);
        return s_end (&self, false, "zmq push");
    }
    cli_bench_meter_t meter;
    cli_bench_tell ("ready");
    good = cli_bench_hear ("go");
    cli_bench_meter_start (&meter);
    for (uint64_t index = 0; good && index < job->count; index++) {
        good = zmq_send (self.out, body, job->size, 0) >= 0;
    }
    free (body);
    if (!good) {
        return s_end (&self, false, "zmq push");
    }
    //  Closing waits until the kernel has everything; that work is ours.
    s_close (&self);
    cli_bench_tell (
        "done begin_ns=%" PRId64 " cpu_us=%" PRIu64 " peak_kib=%" PRIu64,
        meter.began_ns, cli_bench_meter_cpu_us (&meter), cli_bench_peak_kib ());
    return cli_bench_hear ("stop") ? CLI_DONE : CLI_FAILED;
}

//  The plain loop of every benchmark, when it is known how many will come.

static uint64_t
s_pull_exactly (void *socket, uint64_t count, int64_t *last_ns_p)
{
    uint64_t pulled = 0;
    zmq_msg_t msg;
    zmq_msg_init (&msg);
    while (pulled < count && zmq_msg_recv (&msg, socket, 0) >= 0) {
        pulled++;
    }
    zmq_msg_close (&msg);
    *last_ns_p = cli_clock_ns ();
    return pulled;
}

//  Take all that waits; returns how many, and the time when none was left.

static uint64_t
s_pull_waiting (void *socket, int64_t *last_ns_p)
{
    uint64_t count = 0;
    zmq_msg_t msg;
    zmq_msg_init (&msg);
    while (zmq_msg_recv (&msg, socket, ZMQ_DONTWAIT) >= 0) {
        count++;
    }
    zmq_msg_close (&msg);
    if (count > 0) {
        *last_ns_p = cli_clock_ns ();
    }
    return count;
}

int
cli_bench_pull (const cli_bench_job_t *job)
{
    sockets_t self = {.context = zmq_ctx_new ()};
    char endpoint[64];
    self.in = s_bind (self.context, ZMQ_PULL, job->size, endpoint);
    if (!self.in) {
        return s_end (&self, false, "zmq pull");
    }
    cli_bench_meter_t meter;
    uint64_t count = 0;
    int64_t last_ns = 0;
    cli_bench_tell ("ready endpoint=%s", endpoint);
    if (!cli_bench_hear ("go")) {
        return s_end (&self, true, NULL);
    }
    cli_bench_meter_start (&meter);
    if (job->count > 0) {
        count = s_pull_exactly (self.in, job->count, &last_ns);
    }
    zmq_pollitem_t items[] = {
        {.socket = self.in, .events = ZMQ_POLLIN},
        {.fd = STDIN_FILENO, .events = ZMQ_POLLIN},
    };
    do {
        zmq_poll (items, 2, -1);
        count += s_pull_waiting (self.in, &last_ns);
    } while (!items[1].revents);
    while (zmq_poll (items, 1, QUIET_MS) > 0) {
        count += s_pull_waiting (self.in, &last_ns);
    }
    if (!cli_bench_hear ("stop")) {
        return s_end (&self, true, NULL);
    }
    cli_bench_tell ("done count=%" PRIu64 " last_ns=%" PRId64 " cpu_us=%" PRIu64
                    " peak_kib=%" PRIu64,
                    count, last_ns, cli_bench_meter_cpu_us (&meter),
                    cli_bench_peak_kib ());
    return s_end (&self, true, NULL);
}

//  Publish and subscribe -----------------------------------------------------

//  As PUB, but it says who has subscribed, and waits where PUB drops.

static bool
s_await_subscribers (void *socket, uint64_t count)
{
    bool good = true;
    for (uint64_t index = 0; good && index < count; index++) {
        uint8_t word[2];
        good = zmq_recv (socket, word, sizeof word, 0) == 1 && word[0] == 1;
    }
    return good;
}

int
cli_bench_pub (const cli_bench_job_t *job)
{
    sockets_t self = {.context = zmq_ctx_new ()};
    const int one = 1;
    char endpoint[64];
    char *body = calloc (1, job->size + 1);
    self.out = s_bind (self.context, ZMQ_XPUB, job->size, endpoint);
    bool good
        = body && self.out
          && zmq_setsockopt (self.out, ZMQ_XPUB_NODROP, &one, sizeof one) == 0
          && zmq_setsockopt (self.out, ZMQ_XPUB_VERBOSE, &one, sizeof one) == 0;
    cli_bench_meter_t meter;
    if (good) {
        cli_bench_tell ("ready endpoint=%s", endpoint);
        good = cli_bench_hear ("go")
               && s_await_subscribers (self.out, job->consumers);
    }
    cli_bench_meter_start (&meter);
    for (uint64_t index = 0; good && index < job->count; index++) {
        good = zmq_send (self.out, body, job->size, 0) >= 0;
    }
    free (body);
    if (!good) {
        return s_end (&self, false, "zmq pub");
    }
    s_close (&self);
    cli_bench_tell (
        "done begin_ns=%" PRId64 " cpu_us=%" PRIu64 " peak_kib=%" PRIu64,
        meter.began_ns, cli_bench_meter_cpu_us (&meter), cli_bench_peak_kib ());
    return cli_bench_hear ("stop") ? CLI_DONE : CLI_FAILED;
}

int
cli_bench_sub (const cli_bench_job_t *job)
{
    sockets_t self = {.context = zmq_ctx_new ()};
    const char *rest = job->endpoints;
    self.in = zmq_socket (self.context, ZMQ_SUB);
    bool good = self.in && s_set_marks (self.in, job->size)
                && zmq_setsockopt (self.in, ZMQ_SUBSCRIBE, "", 0) == 0
                && s_connect (self.in, &rest);
    cli_bench_meter_t meter;
    int64_t last_ns = 0;
    if (good) {
        cli_bench_tell ("ready");
        good = cli_bench_hear ("go");
    }
    if (good) {
        cli_bench_meter_start (&meter);
        const uint64_t count = s_pull_exactly (self.in, job->count, &last_ns);
        good = cli_bench_hear ("stop");
        cli_bench_tell ("done count=%" PRIu64 " last_ns=%" PRId64
                        " cpu_us=%" PRIu64 " peak_kib=%" PRIu64,
                        count, last_ns, cli_bench_meter_cpu_us (&meter),
                        cli_bench_peak_kib ());
    }
    return s_end (&self, good, "zmq sub");
}

//  Latency -------------------------------------------------------------------

int
cli_bench_ping (const cli_bench_job_t *job)
{
    sockets_t self = {.context = zmq_ctx_new ()};
    char *body = calloc (1, job->size < 8 ? 8 : job->size);
    self.out = zmq_socket (self.context, ZMQ_PUSH);
    self.in = zmq_socket (self.context, ZMQ_PULL);
    const char *rest = job->endpoints;
    bool good = body && self.out && self.in && s_connect (self.out, &rest)
                && s_connect (self.in, &rest);
    if (good) {
        cli_bench_tell ("ready");
        good = cli_bench_hear ("go");
    }
    for (uint64_t index = 0; good && index < job->count; index++) {
        const int64_t now_ns = cli_clock_ns ();
        memcpy (body, &now_ns, sizeof now_ns);
        char answer;
        good = zmq_send (self.out, body, job->size, 0) >= 0
               && zmq_recv (self.in, &answer, 1, 0) >= 0;
    }
    free (body);
    if (good) {
        cli_bench_tell ("done");
        good = cli_bench_hear ("stop");
    }
    return s_end (&self, good, "zmq ping");
}

static bool
s_answer_all (const sockets_t *self, uint64_t *samples, uint64_t count)
{
    zmq_msg_t msg;
    bool good = true;
    zmq_msg_init (&msg);
    for (uint64_t index = 0; good && index < count; index++) {
        int64_t sent_ns = 0;
        good = zmq_msg_recv (&msg, self->in, 0) >= (int) sizeof sent_ns;
        const int64_t now_ns = cli_clock_ns ();
        if (good) {
            memcpy (&sent_ns, zmq_msg_data (&msg), sizeof sent_ns);
            samples[index] = (uint64_t) (now_ns - sent_ns);
            good = zmq_send (self->out, "", 0, 0) >= 0;
        }
    }
    zmq_msg_close (&msg);
    return good;
}

int
cli_bench_pong (const cli_bench_job_t *job)
{
    sockets_t self = {.context = zmq_ctx_new ()};
    char in[64], out[64];
    uint64_t *samples = calloc (job->count, sizeof *samples);
    self.in = s_bind (self.context, ZMQ_PULL, job->size, in);
    self.out = s_bind (self.context, ZMQ_PUSH, job->size, out);
    bool good = samples && self.in && self.out;
    if (good) {
        cli_bench_tell ("ready in=%s out=%s", in, out);
        good = cli_bench_hear ("go")
               && s_answer_all (&self, samples, job->count)
               && cli_bench_hear ("stop");
    }
    if (good) {
        cli_bench_tell (
            "done samples=%" PRIu64 " p50_ns=%" PRIu64 " p99_ns=%" PRIu64,
            job->count, cli_bench_quantile (samples, job->count, 0.5),
            cli_bench_quantile (samples, job->count, 0.99));
    }
    free (samples);
    return s_end (&self, good, "zmq pong");
}
