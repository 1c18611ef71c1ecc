//  cli/bench_worker.c - one process of tern bench
//
//  Plays one role, measures itself, tells its parent.  Publishers send as fast
//  as they may and wait once, at the end; consumers accept what comes and keep
//  count, so that the parent can see that nothing was lost.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/bench.h"
#include "cli/command.h"
#include "cli/format.h"
#include "cli/say.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUEUES_MAX 256
#define CONSUMERS_MS 30000  //  until the consumers must have been found
#define SAMPLES_MAX 1000000
#define SINGLE_MS 1000  //  one message; then a look whether the parent is there
#define PROGRESS_EVERY 65536

//  A seat for a worker -------------------------------------------------------

static bool
s_set (tern_config_t *config, const char *key, const char *value)
{
    char why[256];
    if (tern_config_set (config, key, value, why, sizeof why)) {
        cli_fail (CLI_FAILED, "%s", why);
        return false;
    }
    return true;
}

static tern_peer_t *
s_open_peer (const cli_bench_job_t *job)
{
    tern_peer_t *peer = NULL;
    tern_config_t *config = tern_config_new ();
    if (s_set (config, "name", job->name) && s_set (config, "data", job->data)
        && s_set (config, "directory", job->directory)
        && s_set (config, "bind", "tcp://127.0.0.1:*")) {
        char why[512] = "";
        const int rc = tern_peer_open (&peer, config, why, sizeof why);
        if (rc) {
            cli_fail_tern (rc, job->data, why);
        }
    }
    tern_config_destroy (&config);
    return peer;
}

tern_peer_t *
cli_bench_peer (const cli_bench_job_t *job)
{
    return s_open_peer (job);
}

static const char *
s_queue_name (char name[32], uint64_t index)
{
    snprintf (name, 32, "bench-%" PRIu64, index + 1);
    return name;
}

//  Publishing ----------------------------------------------------------------

typedef struct {
    const cli_bench_job_t *job;
    tern_peer_t *peer;
    tern_producer_t *producers[QUEUES_MAX];
    uint64_t last[QUEUES_MAX];  //  seq
    char *body;
    int64_t open_ns;  //  how long tern_peer_open () took
} publisher_t;

static bool
s_open_producers (publisher_t *self)
{
    char name[32], why[256] = "";
    for (uint64_t index = 0; index < self->job->queues; index++) {
        const int rc
            = tern_producer_open (&self->producers[index], self->peer,
                                  s_queue_name (name, index), why, sizeof why);
        if (rc) {
            cli_fail_tern (rc, name, why);
            return false;
        }
        self->last[index] = tern_producer_last (self->producers[index]);
    }
    return true;
}

//  Every queue must have its consumers before the clock starts.  Events of the
//  peer wake us; the short wait is for links that open without one.

static bool
s_await_consumers (const publisher_t *self)
{
    const int64_t until_ms = cli_clock_ms () + CONSUMERS_MS;
    char name[32];
    for (uint64_t index = 0; index < self->job->queues; index++) {
        s_queue_name (name, index);
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

static bool
s_publish_all (publisher_t *self)
{
    const cli_bench_job_t *job = self->job;
    uint64_t queue = 0;
    for (uint64_t index = 0; index < job->count; index++) {
        const int rc = tern_producer_send (self->producers[queue], self->body,
                                           job->size, -1, &self->last[queue]);
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
    if (!(job->single ? s_publish_single (self) : s_publish_all (self))
        || !s_await_level (self, (tern_level_t) job->level)) {
        return false;
    }
    const int64_t confirmed_ns = cli_clock_ns ();
    const bool consumed = job->consumers > 0 || job->count == 0;
    if (consumed && !s_await_level (self, TERN_PROCESSED)) {
        return false;
    }
    cli_bench_tell ("done begin_ns=%" PRId64 " confirmed_ns=%" PRId64
                    " settled_ns=%" PRId64 " cpu_us=%" PRIu64
                    " peak_kib=%" PRIu64,
                    meter.began_ns, confirmed_ns, cli_clock_ns (),
                    cli_bench_meter_cpu_us (&meter), cli_bench_peak_kib ());
    return cli_bench_hear ("stop");
}

static int
s_publisher (const cli_bench_job_t *job)
{
    char *body = calloc (1, job->size < 8 ? 8 : job->size);
    publisher_t self = {.job = job, .body = body};
    const int64_t began_ns = cli_clock_ns ();
    self.peer = body ? s_open_peer (job) : NULL;
    self.open_ns = cli_clock_ns () - began_ns;
    const bool good = self.peer && s_publish (&self);
    for (uint64_t index = 0; index < job->queues; index++) {
        tern_producer_close (&self.producers[index]);
    }
    tern_peer_close (&self.peer, 0);
    free (body);
    return good ? CLI_DONE : CLI_FAILED;
}

//  Consuming -----------------------------------------------------------------

typedef struct {
    const cli_bench_job_t *job;
    tern_peer_t *peer;
    tern_consumer_t *consumers[QUEUES_MAX];
    struct pollfd items[QUEUES_MAX + 1];
    uint64_t count;
    int64_t last_ns;    //  when no message was left last
    uint64_t *samples;  //  one way, ns; NULL unless stamped
    size_t sample_count;
} consumer_t;

static bool
s_open_consumers (consumer_t *self)
{
    char name[32];
    self->items[0] = (struct pollfd) {.fd = STDIN_FILENO, .events = POLLIN};
    for (uint64_t index = 0; index < self->job->queues; index++) {
        const int rc = tern_consumer_open (&self->consumers[index], self->peer,
                                           s_queue_name (name, index), NULL);
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

//  Accept all that has come to every queue.

static void
s_consume_waiting (consumer_t *self)
{
    for (uint64_t index = 0; index < self->job->queues; index++) {
        tern_consumer_t *consumer = self->consumers[index];
        tern_msg_t *msg;
        while ((msg = tern_consumer_recv (consumer, 0))) {
            tern_consumer_accept (consumer, msg);
            self->count++;
        }
    }
    self->last_ns = cli_clock_ns ();
}

//  One message in flight: waiting in the call itself, as libzmq's side does.

static void
s_consume_single (consumer_t *self)
{
    while (self->count < self->job->count) {
        tern_msg_t *msg = tern_consumer_recv (self->consumers[0], SINGLE_MS);
        if (msg) {
            s_take_sample (self, msg);
            tern_consumer_accept (self->consumers[0], msg);
            self->count++;
        } else if (poll (self->items, 1, 0) > 0) {
            break;
        }
    }
    self->last_ns = cli_clock_ns ();
}

//  Until the parent says that no more will come.

static void
s_consume_all (consumer_t *self)
{
    do {
        s_consume_waiting (self);
        poll (self->items, (nfds_t) self->job->queues + 1, -1);
    } while (!self->items[0].revents);
    s_consume_waiting (self);
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

static int
s_consumer (const cli_bench_job_t *job)
{
    consumer_t self = {.job = job};
    if (job->single) {
        self.samples = calloc (job->count, sizeof *self.samples);
    }
    self.peer = s_open_peer (job);
    const bool good = self.peer && s_consume (&self);
    for (uint64_t index = 0; index < job->queues; index++) {
        tern_consumer_close (&self.consumers[index]);
    }
    tern_peer_close (&self.peer, 0);
    free (self.samples);
    return good ? CLI_DONE : CLI_FAILED;
}

//  Confirmation against the bare disk ----------------------------------------

//  In turn: one message until it is synced, one bare write of the same size
//  until it is synced.  Same folder, same minute, same neighbours.

static bool
s_sync_in_turn (const cli_bench_job_t *job, tern_producer_t *producer, int fd,
                const char *body, uint64_t *confirmed, uint64_t *bare)
{
    for (uint64_t index = 0; index < job->count; index++) {
        uint64_t seq = 0;
        int64_t began_ns = cli_clock_ns ();
        int rc = tern_producer_send (producer, body, job->size, -1, &seq);
        if (rc == TERN_OK) {
            rc = tern_producer_wait (producer, seq, TERN_SYNCED, -1);
        }
        if (rc) {
            cli_fail_tern (rc, job->name, NULL);
            return false;
        }
        confirmed[index] = (uint64_t) (cli_clock_ns () - began_ns);

        began_ns = cli_clock_ns ();
        if (pwrite (fd, body, job->size, (off_t) (index * job->size))
                != (ssize_t) job->size
            || fdatasync (fd)) {
            cli_fail (CLI_FAILED, "%s: %s", job->data, strerror (errno));
            return false;
        }
        bare[index] = (uint64_t) (cli_clock_ns () - began_ns);
    }
    return true;
}

static bool
s_sync (const cli_bench_job_t *job, tern_producer_t *producer, int fd)
{
    char *body = calloc (1, job->size);
    uint64_t *confirmed = calloc (job->count, sizeof *confirmed);
    uint64_t *bare = calloc (job->count, sizeof *bare);
    bool good = body && confirmed && bare;
    if (good) {
        cli_bench_tell ("ready");
        good = cli_bench_hear ("go")
               && s_sync_in_turn (job, producer, fd, body, confirmed, bare);
    }
    if (good) {
        cli_bench_tell (
            "done samples=%" PRIu64 " p50_ns=%" PRIu64 " p99_ns=%" PRIu64
            " bare_p50_ns=%" PRIu64 " bare_p99_ns=%" PRIu64,
            job->count, cli_bench_quantile (confirmed, job->count, 0.5),
            cli_bench_quantile (confirmed, job->count, 0.99),
            cli_bench_quantile (bare, job->count, 0.5),
            cli_bench_quantile (bare, job->count, 0.99));
        good = cli_bench_hear ("stop");
    }
    free (body);
    free (confirmed);
    free (bare);
    return good;
}

static int
s_syncer (const cli_bench_job_t *job)
{
    char path[4096], why[256] = "";
    tern_producer_t *producer = NULL;
    tern_peer_t *peer = s_open_peer (job);
    bool good = false;
    if (peer) {
        const int rc = tern_producer_open (&producer, peer, "bench-sync", why,
                                           sizeof why);
        snprintf (path, sizeof path, "%s.bare", job->data);
        const int fd = open (path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (rc) {
            cli_fail_tern (rc, job->data, why);
        } else if (fd < 0
                   || posix_fallocate (fd, 0, (off_t) (job->count * job->size))
                   || fsync (fd)) {
            cli_fail (CLI_FAILED, "%s: cannot be preallocated", path);
        } else {
            good = s_sync (job, producer, fd);
        }
        if (fd >= 0) {
            close (fd);
        }
    }
    tern_producer_close (&producer);
    tern_peer_close (&peer, 0);
    return good ? CLI_DONE : CLI_FAILED;
}

//  Entry ---------------------------------------------------------------------

static const struct {
    const char *name;
    int (*fn) (const cli_bench_job_t *job);
} s_roles[] = {
    {"publish", s_publisher},   {"consume", s_consumer},
    {"sync", s_syncer},         {"push", cli_bench_push},
    {"pull", cli_bench_pull},   {"ping", cli_bench_ping},
    {"pong", cli_bench_pong},   {"ask", cli_bench_ask},
    {"serve", cli_bench_serve}, {"req", cli_bench_req},
    {"rep", cli_bench_rep},
};

//  key=value words, as cli_crew_start () writes them.

static bool
s_parse_job (cli_bench_job_t *job, int argc, char **argv)
{
    static const struct {
        const char *key;
        size_t offset;
        bool text;
    } fields[] = {
        {"role", offsetof (cli_bench_job_t, role), true},
        {"name", offsetof (cli_bench_job_t, name), true},
        {"data", offsetof (cli_bench_job_t, data), true},
        {"directory", offsetof (cli_bench_job_t, directory), true},
        {"endpoints", offsetof (cli_bench_job_t, endpoints), true},
        {"size", offsetof (cli_bench_job_t, size), false},
        {"count", offsetof (cli_bench_job_t, count), false},
        {"queues", offsetof (cli_bench_job_t, queues), false},
        {"level", offsetof (cli_bench_job_t, level), false},
        {"consumers", offsetof (cli_bench_job_t, consumers), false},
        {"single", offsetof (cli_bench_job_t, single), false},
        {"progress", offsetof (cli_bench_job_t, progress), false},
    };
    for (int word = 1; word < argc; word++) {
        char *value = strchr (argv[word], '=');
        bool known = false;
        for (size_t at = 0; value && at < sizeof fields / sizeof *fields;
             at++) {
            if (strncmp (argv[word], fields[at].key,
                         (size_t) (value - argv[word]))
                || strlen (fields[at].key) != (size_t) (value - argv[word])) {
                continue;
            }
            char *field = (char *) job + fields[at].offset;
            known = fields[at].text
                    || cli_number (value + 1, 0, UINT64_MAX,
                                   (uint64_t *) (void *) field);
            if (fields[at].text) {
                *(const char **) (void *) field = value + 1;
            }
        }
        if (!known) {
            return false;
        }
    }
    return job->role && job->size <= TERN_BODY_MAX && job->queues <= QUEUES_MAX
           && (!job->single || job->count <= SAMPLES_MAX);
}

int
cli_bench_worker (int argc, char **argv)
{
    cli_bench_job_t job = {.queues = 1};
    cli_say_setup ("bench", false, 0);
    signal (SIGPIPE, SIG_IGN);
    //  What poll () says about stdin must hold for fgets () too.
    setvbuf (stdin, NULL, _IONBF, 0);
    if (s_parse_job (&job, argc, argv)) {
        for (size_t index = 0; index < sizeof s_roles / sizeof *s_roles;
             index++) {
            if (strcmp (job.role, s_roles[index].name) == 0) {
                return s_roles[index].fn (&job);
            }
        }
    }
    return cli_fail (CLI_USAGE, "%s: only tern bench starts this",
                     CLI_BENCH_WORKER);
}
