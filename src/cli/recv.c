//  cli/recv.c - tern recv: consume a queue
//
//  A message is accepted only when its result is out of our hands: printed and
//  flushed, or done by the command it was given to (cli/exec.h).  Until then it
//  belongs to the queue, whatever becomes of us.
//
//  Printing works in batches: messages are kept while more wait, then one write
//  puts all their lines out, then they are accepted together.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/binding.h"
#include "cli/child.h"
#include "cli/command.h"
#include "cli/exec.h"
#include "cli/format.h"
#include "cli/large.h"
#include "cli/message.h"
#include "cli/options.h"
#include "cli/say.h"
#include "cli/seat.h"
#include "cli/stop.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

//  A batch ends when either is reached, or when no message waits.
#define BATCH_MESSAGES 1024
#define BATCH_BYTES (256 * 1024)

#define FLUSH_MS 5000
#define BIND_MS 5000

typedef struct {
    cli_common_t common;
    const char *queue;
    const char *command;  //  --exec
    cli_list_t binds;     //  --bind, EXCHANGE or EXCHANGE=PATTERN
    const char *type;     //  of these exchanges
    const char *from;
    uint64_t count;    //  stop after so many
    uint64_t idle_ms;  //  UINT64_MAX: never
    uint64_t prefetch;
    uint64_t jobs;  //  --exec: so many at once
    bool raw;
    bool no_ack;
    const char *large_to;  //  folder for large bodies
    bool inbox;            //  --inbox, --settle-early
    bool early;

    tern_peer_t *peer;
    tern_consumer_t *consumer;
    cli_output_t output;
    tern_msg_t **batch;  //  kept, printed, not yet accepted
    size_t batched;
    uint64_t received;
    cli_exec_t exec;
} recv_t;

//  Printing ------------------------------------------------------------------

//  file: where its large body is, or NULL.
static void
s_print_json (recv_t *self, tern_msg_t *msg, const char *file)
{
    cli_json_t json;
    cli_json_init (&json, &self->output);
    cli_json_open (&json, NULL, '{');
    cli_message_json (&json, msg);
    if (file) {
        cli_json_text (&json, "file", file);
    }
    cli_json_close (&json);
}

static void
s_print (recv_t *self, tern_msg_t *msg)
{
    if (self->common.json) {
        s_print_json (self, msg, NULL);
        return;
    }
    cli_output_add (&self->output, tern_msg_body (msg), tern_msg_size (msg));
    if (!self->raw) {
        cli_output_text (&self->output, "\n");
    }
}

//  The batch is out: settle it.  CLI_DONE, or CLI_FAILED if stdout failed; then
//  all of it goes back to the queue.

static int
s_end_batch (recv_t *self)
{
    if (self->batched == 0) {
        return CLI_DONE;
    }
    const int error = cli_output_flush (&self->output);
    for (size_t index = 0; index < self->batched; index++) {
        tern_msg_t **msg_p = &self->batch[index];
        if (error == 0 && !self->no_ack) {
            tern_consumer_accept (self->consumer, *msg_p);
        }
        tern_msg_destroy (msg_p);
    }
    self->batched = 0;
    return error ? cli_fail (CLI_FAILED,
                             "standard output: %s; what was not written goes "
                             "back to %s",
                             strerror (error), self->queue)
                 : CLI_DONE;
}

//  Large bodies --------------------------------------------------------------

//  What cannot be had is for nobody, and people should know.
static int
s_large_failed (recv_t *self, tern_msg_t *msg, int rc, const char *where)
{
    if (rc == TERN_ETIMEOUT) {
        return CLI_FAILED;  //  a signal; it goes back
    }
    if (cli_large_is_lost (rc) && !self->no_ack) {
        tern_consumer_reject (self->consumer, msg);
    }
    return cli_fail (
        cli_exit_code (rc), "%s: %s: %s; %s", tern_msg_id (msg), where,
        rc == TERN_EIO && errno ? strerror (errno) : tern_strerror (rc),
        cli_large_is_lost (rc) && !self->no_ack ? "it was rejected"
                                                : "it goes back to its queue");
}

//  Into a file; what is printed says which.
static int
s_save_large (recv_t *self, tern_msg_t *msg)
{
    char path[CLI_LARGE_PATH] = "";
    const int rc = cli_large_save (self->peer, msg, self->large_to, path);
    if (rc != TERN_OK) {
        return s_large_failed (self, msg, rc, path);
    }
    if (self->common.json) {
        s_print_json (self, msg, path);
    } else {
        cli_output_text (&self->output, path);
        cli_output_text (&self->output, "\n");
    }
    return CLI_DONE;
}

//  Everything before it is out already, so its pieces follow in order.
static int
s_print_large (recv_t *self, tern_msg_t *msg)
{
    if (self->common.json && self->no_ack) {
        s_print_json (self, msg, NULL);
        return CLI_DONE;
    }
    if (self->common.json) {
        return cli_fail (CLI_USAGE,
                         "%s: a large message; with --json say where its body "
                         "shall be put, --large-to DIR; it goes back to %s",
                         tern_msg_id (msg), self->queue);
    }
    const int rc = cli_large_print (self->peer, msg);
    if (rc != TERN_OK) {
        return s_large_failed (self, msg, rc, "standard output");
    }
    cli_output_text (&self->output, self->raw ? "" : "\n");
    return CLI_DONE;
}

static int
s_on_large (recv_t *self, tern_msg_t *msg)
{
    int code = s_end_batch (self);
    if (code == CLI_DONE) {
        code = self->large_to ? s_save_large (self, msg)
                              : s_print_large (self, msg);
    }
    if (code == CLI_DONE) {
        self->batch[self->batched++] = tern_msg_dup (msg);
        code = s_end_batch (self);
    }
    return code;
}

static int
s_on_print (recv_t *self, tern_msg_t *msg)
{
    if (tern_large_size (msg)) {
        return s_on_large (self, msg);
    }
    s_print (self, msg);
    self->batch[self->batched++] = tern_msg_dup (msg);
    return self->batched == BATCH_MESSAGES || self->output.size >= BATCH_BYTES
               ? s_end_batch (self)
               : CLI_DONE;
}

//  Receiving -----------------------------------------------------------------

//  Wait for a message, the end of a command, a signal, a broken stdout or the
//  idle time.  True if it is worth looking again.

static bool
s_wait (const recv_t *self)
{
    const bool prints = !self->command;
    const bool wants = prints || cli_exec_has_room (&self->exec);
    struct pollfd items[] = {
        {.fd = cli_stop_fd (), .events = POLLIN},
        {.fd = wants ? tern_consumer_fd (self->consumer) : -1,
         .events = POLLIN},
        {.fd = prints ? STDOUT_FILENO : cli_child_fd (),
         .events = prints ? 0 : POLLIN},
    };
    //  Nothing is idle while a command runs.
    const bool endless = self->idle_ms > INT32_MAX || self->exec.running > 0;
    const int64_t until_ms = cli_clock_ms () + (int64_t) self->idle_ms;
    for (;;) {
        const int64_t left_ms = endless ? -1 : until_ms - cli_clock_ms ();
        if (!endless && left_ms < 0) {
            return false;
        }
        const int ready = poll (items, 3, (int) left_ms);
        if (cli_stop_asked () || ready == 0) {
            return false;
        }
        if (ready > 0) {
            //  A reader that left can only be told by a failing write.
            return items[1].revents != 0 || (!prints && items[2].revents != 0);
        }
    }
}

//  Print what comes.

static int
s_run_printing (recv_t *self)
{
    int code = CLI_DONE;
    while (code == CLI_DONE && !cli_stop_asked ()
           && self->received < self->count) {
        tern_msg_t *msg = tern_consumer_recv (self->consumer, 0);
        if (msg) {
            self->received++;
            code = s_on_print (self, msg);
            continue;
        }
        code = s_end_batch (self);
        if (code == CLI_DONE && !s_wait (self)) {
            break;
        }
    }
    const int ended = s_end_batch (self);
    if (code == CLI_DONE && ended == CLI_DONE && self->received < self->count
        && cli_output_gone ()) {
        code = cli_fail (CLI_FAILED, "standard output: closed by its reader");
    }
    return code == CLI_DONE ? ended : code;
}

//  Give what comes to commands.

static int
s_run_commands (recv_t *self)
{
    cli_exec_init (&self->exec, self->command, self->peer, self->consumer,
                   (size_t) self->jobs);
    while (!cli_stop_asked () && self->received < self->count) {
        cli_exec_settle (&self->exec);
        tern_msg_t *msg = cli_exec_has_room (&self->exec)
                              ? tern_consumer_recv (self->consumer, 0)
                              : NULL;
        if (msg) {
            self->received++;
            cli_exec_start (&self->exec, msg);
        } else if (!s_wait (self)) {
            break;
        }
    }
    cli_exec_finish (&self->exec);
    cli_exec_free (&self->exec);
    return CLI_DONE;
}

//  Binding -------------------------------------------------------------------

static int
s_bind (const recv_t *self, const char *item, tern_peer_t *peer)
{
    char *exchange = strdup (item);
    if (!exchange) {
        abort ();
    }
    char *pattern = strchr (exchange, '=');
    if (pattern) {
        *pattern++ = '\0';
    }
    const cli_binding_words_t words
        = {.type = self->type, .pattern = pattern, .from = self->from};
    cli_binding_t binding;
    int code = cli_binding_read (&binding, exchange, self->queue, &words);
    if (code == CLI_DONE && peer) {
        code = cli_binding_say (peer, &binding, false, BIND_MS);
    }
    cli_binding_free (&binding);
    free (exchange);
    return code;
}

//  All of them, or with peer NULL only a look whether their words make sense.

static int
s_bind_all (const recv_t *self, tern_peer_t *peer)
{
    int code = CLI_DONE;
    for (size_t index = 0; index < self->binds.count && code == CLI_DONE;
         index++) {
        code = s_bind (self, self->binds.items[index], peer);
    }
    return code;
}

static int
s_open_and_run (recv_t *self)
{
    int code = cli_seat_open (&self->peer, &self->common, "recv");
    if (code != CLI_DONE) {
        return code;
    }
    code = s_bind_all (self, self->peer);
    if (code != CLI_DONE) {
        cli_seat_close (&self->peer);
        return code;
    }
    const tern_consumer_options_t options
        = {.prefetch = (uint32_t) self->prefetch,
           .inbox = self->inbox,
           .settle_early = self->early};
    const int rc = tern_consumer_open (&self->consumer, self->peer, self->queue,
                                       &options);
    if (rc) {
        cli_seat_close (&self->peer);
        return cli_fail_tern (rc, self->queue, NULL);
    }
    code = self->command ? s_run_commands (self) : s_run_printing (self);
    if (tern_consumer_flush (self->consumer, FLUSH_MS)) {
        cli_note ("%s: a publisher did not hear all of our settlements in "
                  "time; it will send those messages again",
                  self->queue);
    }
    tern_consumer_close (&self->consumer);
    cli_seat_close (&self->peer);
    if (self->command) {
        cli_hint (
            "%" PRIu64 " accepted, %" PRIu64 " requeued, %" PRIu64 " rejected",
            self->exec.accepted, self->exec.requeued, self->exec.rejected);
    }
    return code;
}

int
cli_recv (int argc, char **argv)
{
    recv_t self = {.count = UINT64_MAX, .idle_ms = UINT64_MAX};
    const cli_option_t options[] = {
        {"count", 'n', CLI_NUMBER, &self.count, "N", "stop after N messages", 1,
         UINT64_MAX},
        {"idle", 0, CLI_NUMBER, &self.idle_ms, "MS",
         "stop when nothing came for so long", 1, INT32_MAX},
        {"exec", 'e', CLI_TEXT, &self.command, "CMD",
         "run CMD for each: 0 accepts, 65 rejects", 0, 0},
        {"jobs", 'j', CLI_NUMBER, &self.jobs, "N", "--exec: run N at once", 1,
         CLI_JOBS_MAX},
        {"raw", 0, CLI_FLAG, &self.raw, NULL, "bodies as they are, no newline",
         0, 0},
        {"prefetch", 0, CLI_NUMBER, &self.prefetch, "N",
         "hold up to N unsettled (16384; --exec: N jobs)", 1, UINT32_MAX},
        {"bind", 'b', CLI_MANY, &self.binds, "EXCHANGE[=P]",
         "bind the queue first; may be repeated", 0, 0},
        {"type", 0, CLI_TEXT, &self.type, "TYPE",
         "--bind: direct, fanout or topic", 0, 0},
        {"from", 0, CLI_TEXT, &self.from, "WHERE",
         "--bind: new (default), earliest, number or time", 0, 0},
        {"large-to", 0, CLI_TEXT, &self.large_to, "DIR",
         "large bodies: a file each, and its path as the line", 0, 0},
        {"inbox", 0, CLI_FLAG, &self.inbox, NULL,
         "keep what comes on the own disk until it is done", 0, 0},
        {"settle-early", 0, CLI_FLAG, &self.early, NULL,
         "--inbox: take it over as soon as it is there", 0, 0},
        {"no-ack", 0, CLI_FLAG, &self.no_ack, NULL, "only look: settle nothing",
         0, 0},
    };
    const cli_usage_t usage = {
        .name = "recv",
        .synopsis = "QUEUE",
        .summary = "Consume a queue: one line per message on standard output.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .operands_min = 1,
        .operands_max = 1,
        .missing = "name the queue",
    };
    size_t operands = 0;
    int code = cli_parse (&usage, &self.common, argc, argv, &operands);
    if (code != CLI_PARSED) {
        return code;
    }
    self.queue = argv[1];
    if (self.raw && self.common.json) {
        return cli_fail (CLI_USAGE, "--raw and --json: choose one of them");
    }
    if (self.command
        && (self.raw || self.common.json || self.no_ack || self.large_to)) {
        return cli_fail (CLI_USAGE, "--exec and --%s: choose one of them",
                         self.raw           ? "raw"
                         : self.common.json ? "json"
                         : self.no_ack      ? "no-ack"
                                            : "large-to");
    }
    if ((self.type || self.from) && self.binds.count == 0) {
        return cli_fail (CLI_USAGE, "--%s: only with --bind",
                         self.type ? "type" : "from");
    }
    if (self.early && !self.inbox) {
        return cli_fail (CLI_USAGE, "--settle-early: only with --inbox");
    }
    code = s_bind_all (&self, NULL);
    if (code != CLI_DONE) {
        return code;
    }
    if (self.jobs > 0 && !self.command) {
        return cli_fail (CLI_USAGE, "--jobs: only with --exec");
    }
    if (self.jobs == 0) {
        self.jobs = 1;
    }
    if (self.command && self.prefetch == 0) {
        self.prefetch = self.jobs;  //  slow work is for whoever is free
    }
    if (self.command && self.prefetch < self.jobs) {
        return cli_fail (CLI_USAGE,
                         "--prefetch %" PRIu64 ": --jobs %" PRIu64
                         " cannot all have a message",
                         self.prefetch, self.jobs);
    }
    self.batch = calloc (BATCH_MESSAGES, sizeof (tern_msg_t *));
    if (!self.batch) {
        abort ();
    }
    cli_output_init (&self.output);
    code = s_open_and_run (&self);
    cli_output_free (&self.output);
    free (self.batch);
    return code;
}
