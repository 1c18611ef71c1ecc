//  cli/bench_request.c - how long a request takes, there and back
//
//  One light request in flight between two processes, beside REQ and REP of
//  libzmq alone with the same bodies over the same loopback.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/bench_stage.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/say.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#define SERVICE "bench-request"
#define SAMPLES 5000
#define ROUNDS 3
#define PATIENCE_MS 30000

//  A server looks so often whether its parent is there.
#define LOOK_MS 1000

//  Workers -------------------------------------------------------------------

//  The parent's next word, or its end, waits.
static bool
s_is_told (void)
{
    struct pollfd item = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll (&item, 1, 0) > 0;
}

int
cli_bench_serve (const cli_bench_job_t *job)
{
    tern_peer_t *peer = cli_bench_peer (job);
    tern_service_t *service = NULL;
    bool good = peer && tern_service_open (&service, peer, SERVICE, NULL) == 0;
    if (good) {
        cli_bench_tell ("ready");
    }
    while (good && !s_is_told ()) {
        tern_msg_t *request = tern_service_recv (service, LOOK_MS);
        good = !request
               || tern_service_reply (service, request, request, true, -1) == 0;
    }
    tern_service_close (&service);
    tern_peer_close (&peer, 0);
    return good ? CLI_DONE : cli_fail (CLI_FAILED, "%s: no service", job->name);
}

static void
s_tell_samples (uint64_t *samples, uint64_t count)
{
    cli_bench_tell ("done samples=%" PRIu64 " p50_ns=%" PRIu64
                    " p99_ns=%" PRIu64,
                    count, cli_bench_quantile (samples, count, 0.5),
                    cli_bench_quantile (samples, count, 0.99));
}

static int
s_ask_once (tern_requester_t *requester, const tern_msg_t *request)
{
    tern_msg_t *reply = NULL;
    const int rc = tern_requester_request (requester, request, PATIENCE_MS,
                                           &reply, NULL, 0);
    tern_msg_destroy (&reply);
    return rc;
}

static int
s_ask_all (const cli_bench_job_t *job, tern_requester_t *requester)
{
    char *body = calloc (1, job->size + 1);
    uint64_t *samples = calloc (job->count, sizeof *samples);
    if (!body || !samples) {
        abort ();
    }
    tern_msg_t *request = tern_msg_new (body, job->size);
    //  The first one waits until the server is found.
    int rc = s_ask_once (requester, request);
    if (rc == TERN_OK) {
        cli_bench_tell ("ready");
        if (!cli_bench_hear ("go")) {
            rc = TERN_ECLOSED;
        }
    }
    for (uint64_t index = 0; index < job->count && rc == TERN_OK; index++) {
        const int64_t began_ns = cli_clock_ns ();
        rc = s_ask_once (requester, request);
        samples[index] = (uint64_t) (cli_clock_ns () - began_ns);
    }
    if (rc == TERN_OK) {
        s_tell_samples (samples, job->count);
        rc = cli_bench_hear ("stop") ? TERN_OK : TERN_ECLOSED;
    }
    tern_msg_destroy (&request);
    free (samples);
    free (body);
    return rc;
}

int
cli_bench_ask (const cli_bench_job_t *job)
{
    tern_peer_t *peer = cli_bench_peer (job);
    tern_requester_t *requester = NULL;
    int rc = peer ? tern_requester_open (&requester, peer, SERVICE, NULL)
                  : TERN_ECLOSED;
    if (rc == TERN_OK) {
        rc = s_ask_all (job, requester);
    }
    tern_requester_close (&requester);
    tern_peer_close (&peer, 0);
    return rc == TERN_OK ? CLI_DONE : cli_fail_tern (rc, job->name, NULL);
}

//  The same without Tern -----------------------------------------------------

int
cli_bench_rep (const cli_bench_job_t *job)
{
    void *context = zmq_ctx_new ();
    void *socket = zmq_socket (context, ZMQ_REP);
    char endpoint[64];
    size_t size = sizeof endpoint;
    bool good
        = socket && zmq_bind (socket, "tcp://127.0.0.1:*") == 0
          && zmq_getsockopt (socket, ZMQ_LAST_ENDPOINT, endpoint, &size) == 0;
    (void) job;
    if (good) {
        cli_bench_tell ("ready endpoint=%s", endpoint);
        const int look_ms = LOOK_MS;
        good = zmq_setsockopt (socket, ZMQ_RCVTIMEO, &look_ms, sizeof look_ms)
               == 0;
    }
    zmq_msg_t msg;
    zmq_msg_init (&msg);
    while (good && !s_is_told ()) {
        if (zmq_msg_recv (&msg, socket, 0) >= 0) {
            good = zmq_msg_send (&msg, socket, 0) >= 0;
        }
    }
    zmq_msg_close (&msg);
    if (socket) {
        zmq_close (socket);
    }
    zmq_ctx_term (context);
    return good ? CLI_DONE : cli_fail (CLI_FAILED, "zmq rep: failed");
}

static bool
s_req_all (const cli_bench_job_t *job, void *socket, char *body,
           uint64_t *samples)
{
    bool good = zmq_connect (socket, job->endpoints) == 0
                && zmq_send (socket, body, job->size, 0) >= 0
                && zmq_recv (socket, body, job->size, 0) >= 0;
    if (good) {
        cli_bench_tell ("ready");
        good = cli_bench_hear ("go");
    }
    for (uint64_t index = 0; index < job->count && good; index++) {
        const int64_t began_ns = cli_clock_ns ();
        good = zmq_send (socket, body, job->size, 0) >= 0
               && zmq_recv (socket, body, job->size, 0) >= 0;
        samples[index] = (uint64_t) (cli_clock_ns () - began_ns);
    }
    if (good) {
        s_tell_samples (samples, job->count);
        good = cli_bench_hear ("stop");
    }
    return good;
}

int
cli_bench_req (const cli_bench_job_t *job)
{
    void *context = zmq_ctx_new ();
    void *socket = zmq_socket (context, ZMQ_REQ);
    char *body = calloc (1, job->size + 1);
    uint64_t *samples = calloc (job->count, sizeof *samples);
    const bool good
        = socket && body && samples && s_req_all (job, socket, body, samples);
    free (samples);
    free (body);
    if (socket) {
        zmq_close (socket);
    }
    zmq_ctx_term (context);
    return good ? CLI_DONE : cli_fail (CLI_FAILED, "zmq req: failed");
}

//  The parent's side ---------------------------------------------------------

//  The two of one round; the server is there first.
typedef struct {
    const char *server, *client;  //  roles
    uint64_t count;
} s_pair_t;

static cli_worker_t *
s_start (cli_stage_t *stage, const char *role, const char *endpoints,
         uint64_t count)
{
    cli_bench_job_t job = cli_stage_job (stage, role, role, 0);
    job.endpoints = endpoints;
    job.count = count;
    return cli_crew_start (&stage->crew, &job);
}

static int
s_time (cli_stage_t *stage, const s_pair_t *pair, cli_bench_latency_t *latency)
{
    char endpoint[64] = "";
    cli_worker_t *answering = s_start (stage, pair->server, NULL, pair->count);
    if (!answering) {
        return CLI_FAILED;
    }
    cli_worker_text (answering, "endpoint", endpoint, sizeof endpoint);
    cli_worker_t *asking = s_start (stage, pair->client, endpoint, pair->count);
    if (!asking) {
        return CLI_FAILED;
    }
    cli_worker_say (asking, "go");
    const int code = cli_worker_hear (asking, "done");
    *latency = (cli_bench_latency_t) {
        .samples = cli_worker_number (asking, "samples"),
        .p50_us = (double) cli_worker_number (asking, "p50_ns") / 1e3,
        .p99_us = (double) cli_worker_number (asking, "p99_ns") / 1e3,
    };
    return code;
}

static int
s_round (cli_stage_t *stage, uint64_t count, cli_bench_latency_t *tern,
         cli_bench_latency_t *zmq)
{
    const s_pair_t ours = {"serve", "ask", count};
    const s_pair_t theirs = {"rep", "req", count};
    int code = s_time (stage, &ours, tern);
    cli_crew_end (&stage->crew);
    if (code == CLI_DONE && stage->bench->baseline) {
        code = s_time (stage, &theirs, zmq);
        cli_crew_end (&stage->crew);
    }
    return code;
}

static int
s_compare (const void *a, const void *b)
{
    const double x = ((const cli_bench_latency_t *) a)->p50_us;
    const double y = ((const cli_bench_latency_t *) b)->p50_us;
    return (x > y) - (x < y);
}

static int
s_report (const cli_bench_t *self, uint64_t count,
          const cli_bench_latency_t *tern, const cli_bench_latency_t *zmq)
{
    const double ratio = self->baseline ? tern->p50_us / zmq->p50_us : 0;
    if (!self->common.json) {
        cli_text_t a, b;
        printf ("%" PRIu64 " requests of %" PRIu64 " B, one at a time\n", count,
                self->size);
        printf ("tern        p50 %s, p99 %s\n",
                cli_format_us (&a, tern->p50_us),
                cli_format_us (&b, tern->p99_us));
        if (self->baseline) {
            printf ("zmq req/rep p50 %s, p99 %s\nratio       %.2f\n",
                    cli_format_us (&a, zmq->p50_us),
                    cli_format_us (&b, zmq->p99_us), ratio);
        }
        return CLI_DONE;
    }
    cli_output_t output;
    cli_json_t json;
    cli_output_init (&output);
    cli_json_init (&json, &output);
    cli_json_open (&json, NULL, '{');
    cli_json_count (&json, "size", self->size);
    cli_json_count (&json, "count", count);
    cli_json_real (&json, "p50_us", tern->p50_us);
    cli_json_real (&json, "p99_us", tern->p99_us);
    if (self->baseline) {
        cli_json_real (&json, "baseline_p50_us", zmq->p50_us);
        cli_json_real (&json, "baseline_p99_us", zmq->p99_us);
        cli_json_real (&json, "request_ratio", ratio);
    }
    cli_json_close (&json);
    return cli_output_end (&output);
}

//  In alternation; the round in the middle counts.
int
cli_bench_request (cli_bench_t *self)
{
    const uint64_t count = self->count < SAMPLES ? self->count : SAMPLES;
    cli_bench_latency_t tern[ROUNDS] = {0};
    cli_bench_latency_t zmq[ROUNDS] = {0};
    cli_stage_t *stage = calloc (1, sizeof *stage);
    if (!stage) {
        abort ();
    }
    int code = cli_stage_open (stage, self);
    for (size_t round = 0; round < ROUNDS && code == CLI_DONE; round++) {
        cli_progress ("requests, round %zu", round + 1);
        code = s_round (stage, count, &tern[round], &zmq[round]);
    }
    cli_stage_close (stage);
    free (stage);
    if (code != CLI_DONE) {
        return code;
    }
    qsort (tern, ROUNDS, sizeof *tern, s_compare);
    qsort (zmq, ROUNDS, sizeof *zmq, s_compare);
    return s_report (self, count, &tern[ROUNDS / 2], &zmq[ROUNDS / 2]);
}
