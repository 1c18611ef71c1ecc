//  tests/system/kill_mixed.c - everything at once, made to be killed
//
//      kill_mixed publish NAME FOLDER DIRECTORY LIFE SEED
//      kill_mixed consume NAME FOLDER DIRECTORY LIFE SEED
//
//  A publisher sends, in any order, to the queue "keyed" (ordering keys,
//  priorities, delays), to "doomed" (nobody accepts it: dead after three
//  deliveries) and to the topic exchange "news", whose three queues are durable
//  subscribers; and it asks the service "echo" durably.  Each consumer competes
//  for both queues and the dead letters, serves, and con-N is the subscriber
//  sub-N.  All of it goes into logs that check_mixed judges (mixed.h).
//
//  Both run until SIGTERM; then a publisher waits until nothing of it is left.
//
//  SPDX-License-Identifier: MPL-2.0

#include "history.h"
#include "mixed.h"
#include "support/seed.h"

#include <tern.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SLICE_MS 20
#define BURST_MAX 24
#define BODY_MAX 600
#define LEFT_MS 60000

static volatile sig_atomic_t s_stop_asked;

static void
s_on_term (int signal)
{
    (void) signal;
    s_stop_asked = 1;
}

typedef struct {
    const char *name, *life;
    test_random_t random;
    int log;
    tern_peer_t *peer;
} worker_t;

static int
s_fail (const worker_t *self, const char *what, int error, const char *why)
{
    fprintf (stderr, "%s: %s: %s (%d) %s\n", self->name, what,
             tern_strerror (error), error, why);
    return 1;
}

//  One line; in the kernel when this returns, so kill -9 does not take it.
static void
s_note (const worker_t *self, const char *format, ...)
    __attribute__ ((format (printf, 2, 3)));

static void
s_note (const worker_t *self, const char *format, ...)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    char line[300];
    int used = snprintf (line, sizeof line, "%" PRId64 " %s %s ",
                         (int64_t) now.tv_sec * 1000000000 + now.tv_nsec,
                         self->name, self->life);
    va_list arguments;
    va_start (arguments, format);
    used += vsnprintf (line + used, sizeof line - (size_t) used - 1, format,
                       arguments);
    va_end (arguments);
    line[used++] = '\n';
    if (write (self->log, line, (size_t) used) != used) {
        perror (self->name);
        _exit (1);
    }
}

static int
s_open (worker_t *self, const char *folder, const char *directory)
{
    char path[400];
    char why[256] = "";
    snprintf (path, sizeof path, "%s/history/%s.mixed", folder, self->name);
    self->log = open (path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (self->log < 0) {
        return s_fail (self, path, 0, strerror (errno));
    }
    snprintf (path, sizeof path, "%s/%s", folder, self->name);
    const char *const settings[][2] = {{"name", self->name},
                                       {"data", path},
                                       {"directory", directory},
                                       {"limit_messages", "2000"},
                                       //  Killed with too many consumers is
                                       //  dead; of these nothing may die.
                                       {"queue/keyed/max_deliveries", "0"},
                                       {"queue/echo/max_deliveries", "0"},
                                       {"queue/news/max_deliveries", "0"},
                                       {"queue/sub-1/max_deliveries", "0"},
                                       {"queue/sub-2/max_deliveries", "0"},
                                       {"queue/sub-3/max_deliveries", "0"}};
    tern_config_t *config = tern_config_new ();
    int rc = TERN_OK;
    for (size_t index = 0;
         index < sizeof settings / sizeof *settings && rc == TERN_OK; index++) {
        rc = tern_config_set (config, settings[index][0], settings[index][1],
                              why, sizeof why);
    }
    rc = rc ? rc : tern_peer_open (&self->peer, config, why, sizeof why);
    tern_config_destroy (&config);
    return rc ? s_fail (self, "open", rc, why) : 0;
}

//  Publishing ----------------------------------------------------------------

typedef struct {
    worker_t *worker;
    tern_producer_t *producers[MIXED_KINDS];
    tern_requester_t *requester;
    uint64_t next;                 //  n of the next payload
    uint64_t synced[MIXED_KINDS];  //  as noted
    uint64_t open;                 //  requests of this life without a reply
} publisher_t;

//  Numbers go on where the last life stopped.
static uint64_t
s_next (const worker_t *worker)
{
    char path[64];
    char line[300];
    uint64_t next = 1;
    snprintf (path, sizeof path, "/proc/self/fd/%d", worker->log);
    FILE *file = fopen (path, "r");
    while (file && fgets (line, sizeof line, file)) {
        uint64_t n = 0;
        if (sscanf (line, "%*d %*s %*s try %*s %" SCNu64, &n) == 1
            && n >= next) {
            next = n + 1;
        }
    }
    if (file) {
        fclose (file);
    }
    return next;
}

static int
s_bind_all (const worker_t *worker)
{
    static const char *const patterns[] = MIXED_PATTERNS;
    int rc = TERN_OK;
    for (unsigned index = 0; index < MIXED_SUBSCRIBERS && rc == TERN_OK;
         index++) {
        char queue[16];
        snprintf (queue, sizeof queue, "sub-%u", index + 1);
        const tern_binding_t binding = {.exchange = "news",
                                        .type = TERN_TOPIC,
                                        .queue = queue,
                                        .pattern = patterns[index]};
        rc = tern_peer_bind (worker->peer, &binding, NULL, 0);
    }
    return rc;
}

static int
s_open_all (publisher_t *self)
{
    char why[256] = "";
    tern_peer_t *peer = self->worker->peer;
    tern_policy_t policy;
    tern_policy_default (&policy);
    policy.max_deliveries = MIXED_DELIVERIES;
    policy.backoff_min_ms = 1;
    policy.backoff_max_ms = 20;
    const tern_requester_options_t options = {.durable = true};
    int rc = s_bind_all (self->worker);
    rc = rc ? rc
            : tern_producer_open (&self->producers[MIXED_KEYED], peer, "keyed",
                                  why, sizeof why);
    rc = rc ? rc
            : tern_producer_open (&self->producers[MIXED_DOOMED], peer,
                                  "doomed", why, sizeof why);
    rc = rc ? rc
            : tern_producer_set_policy (self->producers[MIXED_DOOMED], &policy);
    rc = rc ? rc
            : tern_producer_open_exchange (&self->producers[MIXED_NEWS], peer,
                                           "news", TERN_TOPIC, NULL, why,
                                           sizeof why);
    rc = rc ? rc
            : tern_requester_open (&self->requester, peer, "echo", &options);
    return rc ? s_fail (self->worker, "open", rc, why) : 0;
}

//  What its number makes of a message, so that everybody can tell.
static tern_msg_t *
s_make (publisher_t *self, mixed_kind_t kind)
{
    char body[BODY_MAX];
    const size_t size
        = PAYLOAD_MIN
          + test_random_below (&self->worker->random, BODY_MAX - PAYLOAD_MIN);
    payload_make (body, size, self->worker->name, self->next);
    tern_msg_t *msg = tern_msg_new (body, size);
    char key[16];
    snprintf (key, sizeof key, "k%u", mixed_key (self->next));
    int rc = TERN_OK;
    if (kind == MIXED_KEYED) {
        rc = tern_msg_set_order_key (msg, key);
        rc = rc ? rc : tern_msg_set_priority (msg, (int) (self->next % 7));
        if (self->next % 5 == 0) {
            rc = rc ? rc : tern_msg_set_delay (msg, 1 + self->next % 100);
        }
    } else if (kind == MIXED_NEWS) {
        rc = tern_msg_set_key (msg, mixed_topic (self->next));
    }
    if (rc) {
        exit (s_fail (self->worker, "message", rc, ""));
    }
    return msg;
}

static int
s_send (publisher_t *self)
{
    const mixed_kind_t kind
        = (mixed_kind_t) test_random_below (&self->worker->random, 4);
    tern_msg_t *msg = s_make (self, kind);
    const uint64_t n = self->next++;
    s_note (self->worker, "try %s %" PRIu64, mixed_name (kind), n);
    uint64_t seq = 0;
    int rc;
    do {
        rc = kind == MIXED_ECHO
                 ? tern_requester_begin (self->requester, msg, LEFT_MS, &seq)
                 : tern_producer_send_msg (self->producers[kind], msg, SLICE_MS,
                                           &seq);
    } while (rc == TERN_ETIMEOUT && !s_stop_asked);
    tern_msg_destroy (&msg);
    if (rc == TERN_OK && kind != MIXED_ECHO) {
        s_note (self->worker, "sent %s %" PRIu64 " %" PRIu64, mixed_name (kind),
                n, seq);
    } else if (rc == TERN_OK) {
        s_note (self->worker, "asked %s %" PRIu64, mixed_name (kind), n);
        self->open++;
    }
    return rc == TERN_OK || rc == TERN_ETIMEOUT || rc == TERN_EAGAIN
               ? 0
               : s_fail (self->worker, "send", rc, "");
}

//  A queue that is new to an exchange is durable there when it has given out
//  something; before that nothing is promised (docs/GUARANTEES.md).
static void
s_note_synced (publisher_t *self)
{
    for (unsigned kind = 0; kind < MIXED_ECHO; kind++) {
        tern_producer_t *producer = self->producers[kind];
        const uint64_t synced = tern_producer_reached (producer, TERN_SYNCED);
        if (synced > self->synced[kind]
            && (kind != MIXED_NEWS
                || tern_producer_reached (producer, TERN_PROCESSED))) {
            self->synced[kind] = synced;
            s_note (self->worker, "synced %s %" PRIu64,
                    mixed_name ((mixed_kind_t) kind), synced);
        }
    }
}

static void
s_take_replies (publisher_t *self, int timeout_ms)
{
    tern_reply_t reply;
    while (tern_requester_next (self->requester, 0, &reply, timeout_ms)
           == TERN_OK) {
        uint64_t n = 0;
        if (reply.msg
            && payload_read (tern_msg_body (reply.msg),
                             tern_msg_size (reply.msg), self->worker->name,
                             &n)) {
            s_note (self->worker, "reply echo %" PRIu64, n);
        } else {
            fprintf (stderr, "%s: a request failed: %s (%d) %s\n",
                     self->worker->name, tern_strerror (reply.status),
                     reply.status, reply.why);
        }
        self->open -= reply.last;
        tern_msg_destroy (&reply.msg);
        if (!self->open) {
            return;
        }
    }
}

static int64_t
s_now_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

//  Until nothing of this peer waits anywhere, dead letters included.
static int
s_drain (publisher_t *self)
{
    tern_stats_t rows[16];
    uint64_t depth = 1;
    size_t count = 0;
    const int64_t until = s_now_ms () + LEFT_MS;
    while (depth && s_now_ms () < until) {
        depth = 0;
        count = tern_peer_stats (self->worker->peer, rows, 16);
        count = count < 16 ? count : 16;
        for (size_t index = 0; index < count; index++) {
            depth += rows[index].role == TERN_ROLE_PUBLISHER ? rows[index].depth
                                                             : 0;
        }
        tern_event_t event;
        (void) tern_peer_event (self->worker->peer, &event,
                                depth ? SLICE_MS : 0);
        s_note_synced (self);
    }
    for (size_t index = 0; depth && index < count; index++) {
        fprintf (stderr,
                 "%s: %s depth=%" PRIu64 " in_flight=%" PRIu64
                 " parked=%" PRIu64 " delayed=%" PRIu64 " consumers=%u\n",
                 self->worker->name, rows[index].queue, rows[index].depth,
                 rows[index].in_flight, rows[index].parked, rows[index].delayed,
                 rows[index].consumers);
    }
    return depth != 0;
}

static int
s_publish (worker_t *worker)
{
    publisher_t self = {.worker = worker, .next = s_next (worker)};
    int failed = s_open_all (&self);
    while (!failed && !s_stop_asked) {
        uint64_t count = 1 + test_random_below (&worker->random, BURST_MAX);
        while (count-- && !failed && !s_stop_asked) {
            failed = s_send (&self);
        }
        if (test_random_below (&worker->random, 2)) {
            const int rc = tern_producer_wait (
                self.producers[MIXED_KEYED],
                tern_producer_last (self.producers[MIXED_KEYED]), TERN_SYNCED,
                SLICE_MS);
            (void) rc;  //  what was reached is asked for anyway
        }
        s_note_synced (&self);
        s_take_replies (&self, 0);
    }
    if (self.open) {
        s_take_replies (&self, LEFT_MS);
    }
    failed = failed ? failed : s_drain (&self);
    for (unsigned kind = 0; kind < MIXED_ECHO; kind++) {
        tern_producer_close (&self.producers[kind]);
    }
    tern_requester_close (&self.requester);
    const uint64_t left = tern_peer_close (&worker->peer, LEFT_MS);
    s_note (worker, "left %" PRIu64, left);
    return failed;
}

//  Consuming -----------------------------------------------------------------

//  Reads out which message this is.
static uint64_t
s_number (const worker_t *worker, const tern_msg_t *msg, const char *publisher)
{
    uint64_t n = 0;
    if (!payload_read (tern_msg_body (msg), tern_msg_size (msg), publisher,
                       &n)) {
        s_note (worker, "damaged %s", publisher);
    }
    return n;
}

static int
s_consume_one (const worker_t *worker, const char *queue,
               tern_consumer_t *consumer)
{
    const tern_msg_t *msg = tern_consumer_recv (consumer, 0);
    if (!msg) {
        return 0;
    }
    const char *from = tern_msg_publisher (msg);
    const uint64_t n = s_number (worker, msg, from);
    s_note (worker, "got %s %s %" PRIu64 " %u", queue, from, n,
            (unsigned) tern_msg_deliveries (msg));
    if (strcmp (queue, "doomed") == 0) {
        return tern_consumer_requeue (consumer, msg);
    }
    if (strcmp (queue, "doomed.dead") == 0) {
        size_t size = 0;
        const char *count = tern_msg_header (msg, "tern.dead.count", &size);
        s_note (worker, "dead %s %" PRIu64 " %.*s", from, n, (int) size,
                count ? count : "");
    }
    s_note (worker, "accept %s %s %" PRIu64, queue, from, n);
    const int rc = tern_consumer_accept (consumer, msg);
    if (rc == TERN_OK) {
        s_note (worker, "accepted %s %s %" PRIu64, queue, from, n);
    }
    return rc;
}

//  Answer with what was asked.
static int
s_serve_one (const worker_t *worker, tern_service_t *service)
{
    const tern_msg_t *request = tern_service_recv (service, 0);
    if (!request) {
        return 0;
    }
    const char *from = tern_msg_publisher (request);
    const uint64_t n = s_number (worker, request, from);
    s_note (worker, "serve %s %" PRIu64, from, n);
    tern_msg_t *reply
        = tern_msg_new (tern_msg_body (request), tern_msg_size (request));
    int rc;
    do {
        rc = tern_service_reply (service, request, reply, true, SLICE_MS);
    } while (rc == TERN_ETIMEOUT && !s_stop_asked);
    tern_msg_destroy (&reply);
    return rc == TERN_ETIMEOUT || rc == TERN_ENOENT ? 0 : rc;
}

static int
s_consume (worker_t *worker)
{
    char subscriber[32];
    snprintf (subscriber, sizeof subscriber, "sub-%.20s", worker->name + 4);
    const char *const queues[] = {"keyed", "doomed", "doomed.dead", subscriber};
    tern_consumer_t *consumers[4] = {NULL};
    const tern_consumer_options_t options
        = {.prefetch = 1 + (uint32_t) test_random_below (&worker->random, 30)};
    tern_service_t *service = NULL;
    int rc = tern_service_open (&service, worker->peer, "echo", NULL);
    for (size_t index = 0; index < 4 && rc == TERN_OK; index++) {
        rc = tern_consumer_open (&consumers[index], worker->peer, queues[index],
                                 &options);
    }
    if (rc) {
        return s_fail (worker, "consumer", rc, "");
    }
    while (!s_stop_asked) {
        tern_event_t event;
        (void) tern_peer_event (worker->peer, &event, 1);
        for (unsigned round = 0; round < 64 && !s_stop_asked; round++) {
            const size_t index
                = (size_t) test_random_below (&worker->random, 4);
            rc = s_consume_one (worker, queues[index], consumers[index]);
            rc = rc ? rc : s_serve_one (worker, service);
        }
        if (rc) {
            return s_fail (worker, "consume", rc, "");
        }
    }
    for (size_t index = 0; index < 4; index++) {
        tern_consumer_close (&consumers[index]);
    }
    tern_service_close (&service);
    tern_peer_close (&worker->peer, 0);
    return 0;
}

int
main (int argc, char **argv)
{
    if (argc != 7
        || (strcmp (argv[1], "publish") && strcmp (argv[1], "consume"))) {
        fprintf (stderr, "usage: kill_mixed publish|consume NAME FOLDER "
                         "DIRECTORY LIFE SEED\n");
        return 2;
    }
    static worker_t self;
    const struct sigaction action = {.sa_handler = s_on_term};
    sigaction (SIGTERM, &action, NULL);
    sigset_t term;
    sigemptyset (&term);
    sigaddset (&term, SIGTERM);
    sigprocmask (SIG_UNBLOCK, &term, NULL);
    self.name = argv[2];
    self.life = argv[5];
    self.random.state = strtoull (argv[6], NULL, 10);
    int failed = s_open (&self, argv[3], argv[4]);
    if (!failed) {
        failed = strcmp (argv[1], "publish") == 0 ? s_publish (&self)
                                                  : s_consume (&self);
    }
    close (self.log);
    return failed;
}
