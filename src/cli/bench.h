//  cli/bench.h - the parts of tern bench
//
//      cli_bench ()  options, report               bench.c, bench_report.c
//        phases      what is measured              bench_throughput.c,
//                                                  bench_latency.c,
//                                                  bench_trip.c,
//                                                  bench_backlog.c,
//                                                  bench_request.c,
//                                                  bench_trickle.c
//          stage     folder, directory, workers    bench_stage.c
//            crew    processes                     bench_crew.c
//      worker        one role in one process       bench_worker.c
//        roles       of peers                      bench_publish.c,
//                                                  bench_consume.c,
//                                                  bench_sync.c
//        zmq         the roles without Tern        bench_zmq.c
//        meter       what it says and measures     bench_meter.c
//
//  Worker and parent talk in lines over the worker's stdin and stdout:
//
//      worker: ready [key=value]...      parent: go
//      worker: at COUNT                  (progress, now and then)
//      worker: done key=value...         parent: stop
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "cli/options.h"

#include <sys/types.h>

#define CLI_BENCH_WORKERS_MAX 64
#define CLI_BENCH_LINE_MAX 1024
#define CLI_BENCH_QUEUES_MAX 1024

//  One message at a time: until it is settled, or the next of those that wait.
enum {
    CLI_BENCH_STAMPED = 1,
    CLI_BENCH_TURNS = 2
};

//  What the messages of a publisher are besides plain.
typedef enum {
    CLI_RULE_NONE,
    CLI_RULE_PRIORITY,  //  0 to 9, drawn
    CLI_RULE_DELAY,     //  ready in the second after CLI_BENCH_DELAY_MS, drawn
    CLI_RULE_KEY        //  one of CLI_BENCH_KEYS ordering keys, drawn
} cli_rule_t;

#define CLI_BENCH_DELAY_MS 8000
#define CLI_BENCH_KEYS 10000

//  A worker's work, as its arguments say.
typedef struct {
    const char *role;  //  s_roles in bench_worker.c
    const char *name;  //  of the peer, and its data directory
    const char *data;
    const char *directory;
    const char *endpoints;  //  push, ping: where to connect, by commas
    uint64_t size;          //  of a body
    uint64_t count;         //  messages of this worker
    uint64_t first;         //  of the queues: bench-<first + 1> ...
    uint64_t queues;
    uint64_t exchange;   //  1: publish to an exchange, consume what is bound
    uint64_t prefetch;   //  0: as it comes
    uint64_t rule;       //  cli_rule_t
    uint64_t seconds;    //  trickle
    uint64_t level;      //  tern_level_t
    uint64_t consumers;  //  to be seen on every queue before ready
    uint64_t single;     //  CLI_BENCH_STAMPED, CLI_BENCH_TURNS, or 0
    uint64_t progress;   //  1: say at COUNT
} cli_bench_job_t;

//  Roles of peers.
int
cli_bench_publish (const cli_bench_job_t *job);

int
cli_bench_consume (const cli_bench_job_t *job);

int
cli_bench_sync (const cli_bench_job_t *job);

int
cli_bench_drip (const cli_bench_job_t *job);

//  The same without Tern: so many files, a message to each per second.
int
cli_bench_bare_drip (const cli_bench_job_t *job);

//  Roles that bench_zmq.c plays.
int
cli_bench_pub (const cli_bench_job_t *job);

int
cli_bench_sub (const cli_bench_job_t *job);

int
cli_bench_push (const cli_bench_job_t *job);

int
cli_bench_pull (const cli_bench_job_t *job);

int
cli_bench_ping (const cli_bench_job_t *job);

int
cli_bench_pong (const cli_bench_job_t *job);

//  Roles that bench_request.c plays: requests, with Tern and without.
int
cli_bench_ask (const cli_bench_job_t *job);

int
cli_bench_serve (const cli_bench_job_t *job);

int
cli_bench_req (const cli_bench_job_t *job);

int
cli_bench_rep (const cli_bench_job_t *job);

//  A peer as the job says, or NULL with one line said.
tern_peer_t *
cli_bench_peer (const cli_bench_job_t *job);

//  "bench-1" and so on.
#define CLI_BENCH_NAME 32
#define CLI_BENCH_EXCHANGE "bench"

const char *
cli_bench_queue_name (char name[CLI_BENCH_NAME], uint64_t index);

//  A worker's side of the conversation.  hear () waits for the parent's word;
//  false: the parent has gone, so leave.
void
cli_bench_tell (const char *format, ...)
    __attribute__ ((format (printf, 1, 2)));

bool
cli_bench_hear (const char *word);

//  What a worker has used since start () was called.
typedef struct {
    int64_t began_ns;
    uint64_t cpu_us;
} cli_bench_meter_t;

void
cli_bench_meter_start (cli_bench_meter_t *self);

uint64_t
cli_bench_meter_cpu_us (const cli_bench_meter_t *self);

//  Largest resident set of this process so far, KiB.
uint64_t
cli_bench_peak_kib (void);

//  Value at a rank (0.5: the median); sorts.
uint64_t
cli_bench_quantile (uint64_t *values, size_t count, double rank);

//  The parent's side ---------------------------------------------------------

typedef struct {
    pid_t pid;  //  0: none
    int to, from;
    char line[CLI_BENCH_LINE_MAX];  //  the last one heard
    char buffer[CLI_BENCH_LINE_MAX];
    size_t buffered;
    const char *role;
} cli_worker_t;

typedef struct {
    cli_worker_t workers[CLI_BENCH_WORKERS_MAX];
    size_t count;
} cli_crew_t;

//  Start one more worker and wait until it is ready.  NULL with one line said.
cli_worker_t *
cli_crew_start (cli_crew_t *self, const cli_bench_job_t *job);

//  Send a word to one worker.
void
cli_worker_say (cli_worker_t *self, const char *word);

//  Wait for a line that begins with word.  CLI_DONE, or the exit code with one
//  line said: the worker failed, or a signal came.
int
cli_worker_hear (cli_worker_t *self, const char *word);

//  A value of the last line; 0 or "" if it is not there.
uint64_t
cli_worker_number (const cli_worker_t *self, const char *key);

void
cli_worker_text (const cli_worker_t *self, const char *key, char *text,
                 size_t size);

//  End all: politely if they are listening, else by force.  Only our own.
void
cli_crew_end (cli_crew_t *self);

//  Results -------------------------------------------------------------------

//  One way through once: count messages from publishers to consumers.
typedef struct {
    double seconds;
    double msgs_per_s;
    double cpu_s;                //  of all processes
    uint64_t rss_publisher_kib;  //  the largest
    uint64_t rss_consumer_kib;
} cli_bench_run_t;

typedef struct {
    uint64_t samples;
    double p50_us, p99_us;
} cli_bench_latency_t;

typedef struct {
    double store_s;  //  until all N had reached the level
    double open_ms;
    double drain_s;          //  from when the first may go
    double drain_cpu_s;      //  of both
    uint64_t due_ns;         //  the first delay is over; 0: there is none
    uint64_t store_bytes;    //  on disk
    uint64_t rss_store_kib;  //  publisher, N waiting, nobody consuming
    uint64_t rss_drain_kib;  //  publisher that opened it again
    uint64_t rss_consumer_kib;
} cli_bench_backlog_t;

#define CLI_BENCH_RUNS_MAX 9

typedef struct {
    cli_common_t common;
    uint64_t size, count, queues, consumers, publishers, runs, backlog;
    uint64_t prefetch, fanout, trickle, seconds;
    const char *wait;
    const char *baseline;
    const char *rules;
    bool latency;
    bool request;
    bool round_trip;
    bool zmq_alone;  //  --baseline zmq
    uint64_t few;    //  --baseline N: so many consumers; 0 not
    cli_rule_t rule;
    tern_level_t level;
    const char *data;  //  folder for the stores of this call

    cli_bench_run_t tern[CLI_BENCH_RUNS_MAX];
    cli_bench_run_t zmq[CLI_BENCH_RUNS_MAX];  //  or another baseline
    cli_bench_run_t tern_median, zmq_median;
    cli_bench_latency_t delivery, zmq_delivery, confirmed, bare;
    cli_bench_backlog_t waiting;
} cli_bench_t;

//  The phases: each fills its part.  CLI_DONE, or the exit code with one line
//  said.
int
cli_bench_throughput (cli_bench_t *self);

int
cli_bench_latency (cli_bench_t *self);

int
cli_bench_backlog (cli_bench_t *self);

//  These print their own report.
int
cli_bench_request (cli_bench_t *self);

int
cli_bench_round_trip (cli_bench_t *self);

int
cli_bench_trickle (cli_bench_t *self);

//  Print it all; returns the exit code.
int
cli_bench_report (const cli_bench_t *self);

#endif
