//  tests/system/kill_worker.c - a publisher or a consumer, made to be killed
//
//      kill_worker publish NAME FOLDER DIRECTORY LIFE SEED
//      kill_worker consume NAME FOLDER DIRECTORY LIFE SEED
//
//  Stores are FOLDER/NAME, histories FOLDER/history/NAME.jsonl.  Both run until
//  SIGTERM; then a publisher waits until everything it ever published has been
//  processed, and a consumer settles what is in its hands.  Uses what <tern.h>
//  offers and nothing else.
//
//  SPDX-License-Identifier: MPL-2.0

#include "history.h"
#include "support/seed.h"

#include <tern.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define QUEUE "work"
#define SLICE_MS 50
#define BURST_MAX 512
#define BODY_MAX 4096

//  Beyond this a publisher that still has unsettled messages has failed.
#define DRAIN_MS 60000

static volatile sig_atomic_t s_stop_asked;

static void
s_on_term (int signal)
{
    (void) signal;
    s_stop_asked = 1;
}

typedef struct {
    const char *name;
    char history_folder[300];
    test_random_t random;
    history_t history;
    tern_peer_t *peer;
} worker_t;

static int64_t
s_now_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int
s_fail (const worker_t *self, const char *what, int error, const char *why)
{
    fprintf (stderr, "%s: %s: %s (%d) %s\n", self->name, what,
             tern_strerror (error), error, why);
    return 1;
}

static int
s_open_peer (worker_t *self, const char *folder, const char *directory)
{
    char data[300];
    char why[256] = "";
    snprintf (data, sizeof data, "%s/%s", folder, self->name);
    const char *const settings[][2] = {
        {"name", self->name},
        {"data", data},
        {"directory", directory},
        {"limit_messages", "4000"},
    };
    tern_config_t *config = tern_config_new ();
    int rc = TERN_OK;
    for (size_t index = 0; index < 4 && rc == TERN_OK; index++) {
        rc = tern_config_set (config, settings[index][0], settings[index][1],
                              why, sizeof why);
    }
    if (rc == TERN_OK) {
        rc = tern_peer_open (&self->peer, config, why, sizeof why);
    }
    tern_config_destroy (&config);
    return rc == TERN_OK ? 0 : s_fail (self, "open", rc, why);
}

//  Publishing ----------------------------------------------------------------

typedef struct {
    worker_t *worker;
    tern_producer_t *producer;
    uint64_t next;      //  n of the next payload
    uint64_t last;      //  seq of the last accepted one in this life
    uint64_t acked[5];  //  per level, as written to the history
} publisher_t;

//  Payload numbers go on where the last life stopped: none is used twice.
static uint64_t
s_next_payload (const worker_t *worker)
{
    char path[400];
    snprintf (path, sizeof path, "%s/%s.jsonl", worker->history_folder,
              worker->name);
    FILE *file = fopen (path, "r");
    uint64_t next = 1;
    uint64_t bad = 0;
    history_event_t event;
    while (file && history_read (file, &event, &bad)) {
        if (event.op == HISTORY_ATTEMPT && event.n + event.count > next) {
            next = event.n + event.count;
        }
    }
    if (file) {
        fclose (file);
    }
    return next;
}

static void
s_note_levels (publisher_t *self)
{
    static const tern_level_t levels[]
        = {TERN_WRITTEN, TERN_SYNCED, TERN_PROCESSED};
    for (size_t index = 0; index < 3; index++) {
        const tern_level_t level = levels[index];
        uint64_t reached = tern_producer_reached (self->producer, level);
        reached = reached < self->last ? reached : self->last;
        if (reached > self->acked[level]) {
            self->acked[level] = reached;
            history_add (&self->worker->history,
                         &(history_event_t) {.op = HISTORY_ACK,
                                             .seq = reached,
                                             .level = (uint32_t) level});
        }
    }
    history_flush (&self->worker->history);
}

static size_t
s_body_size (test_random_t *random)
{
    //  Mostly small; now and then larger than a network packet.
    return PAYLOAD_MIN
           + test_random_below (random, test_random_below (random, 16)
                                            ? 200
                                            : BODY_MAX - PAYLOAD_MIN);
}

//  One payload; false when asked to stop while there was no room for it.
static bool
s_send_one (publisher_t *self, history_event_t *run, int *failed_p)
{
    char body[BODY_MAX];
    const size_t size = s_body_size (&self->worker->random);
    payload_make (body, size, self->worker->name, self->next);
    uint64_t seq = 0;
    int rc;
    do {
        rc = tern_producer_send (self->producer, body, size, SLICE_MS, &seq);
    } while (rc == TERN_ETIMEOUT && !s_stop_asked);
    if (rc != TERN_OK) {
        *failed_p
            = rc == TERN_ETIMEOUT ? 0 : s_fail (self->worker, "send", rc, "");
        return false;
    }
    //  Numbers jump where a block was reserved anew: such a run ends.
    if (run->count > 0 && seq != run->seq + run->count) {
        history_add (&self->worker->history, run);
        run->count = 0;
    }
    if (run->count == 0) {
        run->n = self->next;
        run->seq = seq;
    }
    run->count++;
    self->last = seq;
    self->next++;
    return true;
}

static int
s_send_burst (publisher_t *self, uint64_t count)
{
    history_t *history = &self->worker->history;
    history_add (history, &(history_event_t) {.op = HISTORY_ATTEMPT,
                                              .n = self->next,
                                              .count = count});
    history_flush (history);
    history_event_t run = {.op = HISTORY_ACCEPT};
    int failed = 0;
    const uint64_t end = self->next + count;
    while (self->next < end && s_send_one (self, &run, &failed)) {
    }
    self->next = end;
    if (run.count > 0) {
        history_add (history, &run);
    }
    history_flush (history);
    return failed;
}

//  Sometimes wait for a level, so that kills meet every stage of a message.
static void
s_maybe_wait (publisher_t *self)
{
    static const tern_level_t levels[8]
        = {TERN_WRITTEN, TERN_WRITTEN,   TERN_SYNCED, TERN_SYNCED,
           TERN_SYNCED,  TERN_PROCESSED, 0,           0};
    const tern_level_t level
        = levels[test_random_below (&self->worker->random, 8)];
    if (level != 0 && self->last > 0) {
        const int rc
            = tern_producer_wait (self->producer, self->last, level, SLICE_MS);
        (void) rc;  //  what was reached is asked for and noted anyway
    }
}

static int
s_drain (publisher_t *self)
{
    const int64_t until = s_now_ms () + DRAIN_MS;
    const uint64_t last = tern_producer_last (self->producer);
    int rc = TERN_OK;
    if (last > 0) {
        do {
            rc = tern_producer_wait (self->producer, last, TERN_PROCESSED,
                                     SLICE_MS);
            s_note_levels (self);
        } while (rc == TERN_ETIMEOUT && s_now_ms () < until);
    }
    if (rc != TERN_OK) {
        tern_stats_t row[1];
        tern_event_t event;
        tern_peer_stats (self->worker->peer, row, 1);
        while (tern_peer_event (self->worker->peer, &event, 0)) {
            fprintf (stderr, "%s: %s %s\n", self->worker->name, event.id,
                     event.text);
        }
        fprintf (stderr,
                 "%s: last=%llu processed=%llu depth=%llu in_flight=%llu "
                 "consumers=%u\n",
                 self->worker->name, (unsigned long long) last,
                 (unsigned long long) tern_producer_reached (self->producer,
                                                             TERN_PROCESSED),
                 (unsigned long long) row[0].depth,
                 (unsigned long long) row[0].in_flight, row[0].consumers);
        return s_fail (self->worker, "drain", rc, "");
    }
    return 0;
}

static int
s_publish (worker_t *worker)
{
    publisher_t self = {.worker = worker, .next = s_next_payload (worker)};
    char why[256] = "";
    int rc = tern_producer_open (&self.producer, worker->peer, QUEUE, why,
                                 sizeof why);
    if (rc != TERN_OK) {
        return s_fail (worker, "producer", rc, why);
    }
    int failed = 0;
    while (!failed && !s_stop_asked) {
        const uint64_t most
            = test_random_below (&worker->random, 8) ? 32 : BURST_MAX;
        failed = s_send_burst (&self,
                               1 + test_random_below (&worker->random, most));
        s_maybe_wait (&self);
        s_note_levels (&self);
    }
    failed = failed ? failed : s_drain (&self);
    tern_producer_close (&self.producer);
    const uint64_t left = tern_peer_close (&worker->peer, 0);
    history_add (&worker->history,
                 &(history_event_t) {.op = HISTORY_DRAINED, .count = left});
    if (!failed && left > 0) {
        fprintf (stderr, "%s: %llu unsettled after all was processed\n",
                 worker->name, (unsigned long long) left);
        failed = 1;
    }
    return failed;
}

//  Consuming -----------------------------------------------------------------

#define BATCH_MAX 64

typedef struct {
    worker_t *worker;
    tern_consumer_t *consumer;
    tern_msg_t *kept[BATCH_MAX];
    uint64_t numbers[BATCH_MAX];
    size_t count;
} consumer_t;

//  Put a message to the run before it if it goes on there, else start one.
static void
s_extend (worker_t *worker, history_event_t *run, history_op_t op,
          const tern_msg_t *msg, uint64_t n)
{
    const uint64_t seq = tern_msg_seq (msg);
    const char *from = tern_msg_publisher (msg);
    const bool again = tern_msg_redelivered (msg);
    if (run->count > 0 && run->op == op && run->seq + run->count == seq
        && run->n + run->count == n && run->again == again
        && strcmp (run->from, from) == 0) {
        run->count++;
        return;
    }
    if (run->count > 0) {
        history_add (&worker->history, run);
    }
    *run = (history_event_t) {
        .op = op, .seq = seq, .n = n, .count = 1, .again = again};
    snprintf (run->from, sizeof run->from, "%s", from);
}

static void
s_note_run (worker_t *worker, const history_event_t *run)
{
    if (run->count > 0) {
        history_add (&worker->history, run);
    }
    history_flush (&worker->history);
}

static uint64_t
s_check_payload (worker_t *worker, const tern_msg_t *msg)
{
    uint64_t n = 0;
    if (!payload_read (tern_msg_body (msg), tern_msg_size (msg),
                       tern_msg_publisher (msg), &n)) {
        history_event_t event
            = {.op = HISTORY_DAMAGED, .seq = tern_msg_seq (msg), .count = 1};
        snprintf (event.from, sizeof event.from, "%s",
                  tern_msg_publisher (msg));
        history_add (&worker->history, &event);
    }
    return n;
}

//  Settle one; a few go back to the queue.
static void
s_settle (consumer_t *self, const tern_msg_t *msg, uint64_t n,
          history_event_t *run)
{
    const bool back = test_random_below (&self->worker->random, 200) == 0;
    const int rc = back ? tern_consumer_requeue (self->consumer, msg)
                        : tern_consumer_accept (self->consumer, msg);
    if (rc == TERN_OK) {
        s_extend (self->worker, run, back ? HISTORY_REQUEUE : HISTORY_SETTLE,
                  msg, n);
    }
}

//  The delivery is in the history before anything is settled.
static void
s_consume_kept (consumer_t *self)
{
    history_event_t run = {.count = 0};
    for (size_t index = 0; index < self->count; index++) {
        s_extend (self->worker, &run, HISTORY_DELIVER, self->kept[index],
                  self->numbers[index]);
    }
    s_note_run (self->worker, &run);
    run = (history_event_t) {.count = 0};
    for (size_t index = 0; index < self->count; index++) {
        s_settle (self, self->kept[index], self->numbers[index], &run);
        tern_msg_destroy (&self->kept[index]);
    }
    s_note_run (self->worker, &run);
    self->count = 0;
}

static void
s_consume_lent (consumer_t *self, const tern_msg_t *msg)
{
    const uint64_t n = s_check_payload (self->worker, msg);
    history_event_t run = {.count = 0};
    s_extend (self->worker, &run, HISTORY_DELIVER, msg, n);
    s_note_run (self->worker, &run);
    run = (history_event_t) {.count = 0};
    s_settle (self, msg, n, &run);
    s_note_run (self->worker, &run);
}

static int
s_consume (worker_t *worker)
{
    static const uint32_t prefetches[] = {0, 0, 1, 16, 1000};
    consumer_t self = {.worker = worker};
    const tern_consumer_options_t options
        = {.prefetch = prefetches[test_random_below (&worker->random, 5)]};
    const int rc
        = tern_consumer_open (&self.consumer, worker->peer, QUEUE, &options);
    if (rc != TERN_OK) {
        return s_fail (worker, "consumer", rc, "");
    }
    while (!s_stop_asked) {
        tern_msg_t *msg = tern_consumer_recv (self.consumer, SLICE_MS);
        if (msg && test_random_below (&worker->random, 16) == 0) {
            s_consume_lent (&self, msg);
            continue;
        }
        while (msg) {
            self.numbers[self.count] = s_check_payload (worker, msg);
            self.kept[self.count++] = tern_msg_dup (msg);
            msg = self.count < BATCH_MAX ? tern_consumer_recv (self.consumer, 0)
                                         : NULL;
        }
        s_consume_kept (&self);
    }
    tern_consumer_close (&self.consumer);
    tern_peer_close (&worker->peer, 0);
    return 0;
}

int
main (int argc, char **argv)
{
    if (argc != 7
        || (strcmp (argv[1], "publish") && strcmp (argv[1], "consume"))) {
        fprintf (stderr, "usage: kill_worker publish|consume NAME FOLDER "
                         "DIRECTORY LIFE SEED\n");
        return 2;
    }
    static worker_t self;
    struct sigaction action = {.sa_handler = s_on_term};
    sigaction (SIGTERM, &action, NULL);
    sigset_t term;
    sigemptyset (&term);
    sigaddset (&term, SIGTERM);
    sigprocmask (SIG_UNBLOCK, &term, NULL);
    self.name = argv[2];
    self.random.state = strtoull (argv[6], NULL, 10);
    snprintf (self.history_folder, sizeof self.history_folder, "%s/history",
              argv[3]);
    if (!history_open (&self.history, self.history_folder, self.name,
                       (uint32_t) strtoul (argv[5], NULL, 10))) {
        return s_fail (&self, "history", 0, strerror (errno));
    }
    int failed = s_open_peer (&self, argv[3], argv[4]);
    if (!failed) {
        history_add (&self.history, &(history_event_t) {.op = HISTORY_OPEN});
        history_flush (&self.history);
        failed = strcmp (argv[1], "publish") == 0 ? s_publish (&self)
                                                  : s_consume (&self);
    }
    history_close (&self.history);
    return failed;
}
