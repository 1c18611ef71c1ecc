//  cli/exec.c - settling messages by what commands say about them
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/exec.h"
#include "cli/child.h"
#include "cli/large.h"
#include "cli/say.h"
#include "cli/stop.h"

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

//  sh -c CMD says this when nobody will ever be able to do it.
#define EXIT_REJECT 65

//  A command that cannot be started is not retried faster than this.
#define START_PAUSE_MS 1000

void
cli_exec_init (cli_exec_t *self, const char *command, tern_peer_t *peer,
               tern_consumer_t *consumer, size_t most)
{
    assert (most >= 1 && most <= CLI_JOBS_MAX);
    *self = (cli_exec_t) {
        .command = command, .peer = peer, .consumer = consumer, .most = most};
    self->jobs = calloc (most, sizeof *self->jobs);
    if (!self->jobs) {
        abort ();
    }
}

void
cli_exec_free (cli_exec_t *self)
{
    assert (self->running == 0);
    free (self->jobs);
    self->jobs = NULL;
}

bool
cli_exec_has_room (const cli_exec_t *self)
{
    return self->running < self->most;
}

//  Endings -------------------------------------------------------------------

static const char *
s_describe (char *text, size_t size, const cli_ending_t *ending)
{
    if (ending->error) {
        snprintf (text, size, "cannot be started: %s",
                  strerror (ending->error));
    } else if (ending->signal) {
        snprintf (text, size, "ended by %s", strsignal (ending->signal));
    } else {
        snprintf (text, size, "exit status %d", ending->status);
    }
    return text;
}

static void
s_settle_one (cli_exec_t *self, tern_msg_t *msg, const cli_ending_t *ending)
{
    char text[128];
    const bool ended = !ending->error && !ending->signal;
    if (ended && ending->status == 0) {
        self->accepted++;
        tern_consumer_accept (self->consumer, msg);
    } else if (ended && ending->status == EXIT_REJECT) {
        self->rejected++;
        tern_consumer_reject (self->consumer, msg);
        cli_note ("%s: rejected, %s", tern_msg_id (msg),
                  s_describe (text, sizeof text, ending));
    } else {
        self->requeued++;
        tern_consumer_requeue (self->consumer, msg);
        cli_note ("%s: requeued, %s", tern_msg_id (msg),
                  s_describe (text, sizeof text, ending));
    }
}

void
cli_exec_settle (cli_exec_t *self)
{
    cli_child_clear ();
    for (size_t index = 0; index < self->running;) {
        cli_job_t *job = &self->jobs[index];
        cli_ending_t ending;
        if (!cli_child_ended (job->pid, &ending)) {
            index++;
            continue;
        }
        s_settle_one (self, job->msg, &ending);
        tern_msg_destroy (&job->msg);
        *job = self->jobs[--self->running];
    }
}

//  Beginnings ----------------------------------------------------------------

//  The body of a large message in a file: false if it could not be fetched, and
//  the message is settled, or goes back when we leave.
static bool
s_fetch (cli_exec_t *self, tern_msg_t *msg, int *body_p)
{
    const int rc = cli_large_open (self->peer, msg, body_p);
    if (rc == TERN_OK) {
        return true;
    }
    if (cli_large_is_lost (rc)) {
        self->rejected++;
        tern_consumer_reject (self->consumer, msg);
    } else if (!cli_stop_asked ()) {
        self->requeued++;
        tern_consumer_requeue (self->consumer, msg);
    }
    cli_note ("%s: its body cannot be fetched: %s; %s", tern_msg_id (msg),
              tern_strerror (rc),
              cli_large_is_lost (rc) ? "rejected" : "it goes back");
    return false;
}

void
cli_exec_start (cli_exec_t *self, const tern_msg_t *msg)
{
    assert (cli_exec_has_room (self));
    cli_job_t *job = &self->jobs[self->running];
    *job = (cli_job_t) {.msg = tern_msg_dup (msg)};
    int body = -1;
    if (tern_large_size (msg) && !s_fetch (self, job->msg, &body)) {
        tern_msg_destroy (&job->msg);
        return;
    }
    const cli_ending_t ending
        = {.error = cli_child_start (&job->pid, self->command, job->msg, body)};
    if (body >= 0) {
        close (body);
    }
    if (ending.error == 0) {
        self->running++;
        return;
    }
    s_settle_one (self, job->msg, &ending);
    tern_msg_destroy (&job->msg);
    cli_stop_wait (-1, START_PAUSE_MS);
}

void
cli_exec_finish (cli_exec_t *self)
{
    cli_exec_settle (self);
    while (self->running > 0) {
        struct pollfd item = {.fd = cli_child_fd (), .events = POLLIN};
        if (poll (&item, 1, -1) > 0) {
            cli_exec_settle (self);
        }
    }
}
