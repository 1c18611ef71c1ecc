//  cli/serve.c - tern serve: answer requests with what a command prints
//
//  Up to so many commands run at once, each with a request of its own on its
//  standard input.  What it prints is the reply; if it fails, the first line it
//  says on stderr is the failure.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/child.h"
#include "cli/command.h"
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
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define JOBS_MAX 1024

//  The requester may be slow to make room for its reply.
#define REPLY_MS 5000

//  So long durable replies may take to get there when we end.
#define LINGER_MS 3000

typedef struct {
    pid_t pid;
    tern_msg_t *request;
    int out, err;  //  files that its output goes to
} job_t;

typedef struct {
    cli_common_t common;
    const char *service;
    const char *command;
    uint64_t count;  //  stop after so many
    uint64_t most;   //  jobs at once

    tern_peer_t *peer;
    tern_service_t *handle;
    job_t *jobs;  //  those that run, in no order
    size_t running;
    uint64_t taken, answered, failed;
} serve_t;

//  Answers -------------------------------------------------------------------

static void
s_fail (serve_t *self, const job_t *job, const char *why)
{
    self->failed++;
    const int rc = tern_service_fail (self->handle, job->request, why);
    cli_detail ("%s: failed: %s%s", tern_msg_id (job->request), why,
                rc ? " (nobody waits)" : "");
}

//  The first line it said, or how it ended.
static void
s_fail_job (serve_t *self, const job_t *job, const cli_ending_t *ending)
{
    char line[256];
    const ssize_t size = pread (job->err, line, sizeof line - 1, 0);
    line[size > 0 ? size : 0] = '\0';
    line[strcspn (line, "\n")] = '\0';
    if (!line[0] && ending->signal) {
        snprintf (line, sizeof line, "the command was ended by signal %d",
                  ending->signal);
    } else if (!line[0]) {
        snprintf (line, sizeof line, "the command exited with %d",
                  ending->status);
    }
    s_fail (self, job, line);
}

static void
s_reply (serve_t *self, const job_t *job)
{
    struct stat file;
    if (fstat (job->out, &file) != 0 || file.st_size > TERN_BODY_MAX) {
        s_fail (self, job, "the command printed more than a message holds");
        return;
    }
    const size_t size = (size_t) file.st_size;
    char *body = malloc (size + 1);
    if (!body) {
        abort ();
    }
    tern_msg_t *reply = NULL;
    if (pread (job->out, body, size, 0) == (ssize_t) size) {
        reply = tern_msg_new (body, size);
    }
    free (body);
    if (!reply) {
        s_fail (self, job, "the command's output cannot be read");
        return;
    }
    const int rc = tern_service_reply (self->handle, job->request, reply, true,
                                       REPLY_MS);
    tern_msg_destroy (&reply);
    if (rc == TERN_OK) {
        self->answered++;
    } else if (rc == TERN_ENOENT) {
        cli_detail ("%s: nobody waits for the reply any more",
                    tern_msg_id (job->request));
    } else {
        s_fail (self, job, tern_strerror (rc));
    }
}

//  Jobs ----------------------------------------------------------------------

static void
s_end (job_t *job)
{
    tern_msg_destroy (&job->request);
    if (job->out >= 0) {
        close (job->out);
    }
    if (job->err >= 0) {
        close (job->err);
    }
}

//  There is room.
static void
s_start (serve_t *self, const tern_msg_t *request)
{
    job_t *job = &self->jobs[self->running];
    *job = (job_t) {.request = tern_msg_dup (request),
                    .out = memfd_create ("tern-reply", MFD_CLOEXEC),
                    .err = memfd_create ("tern-failure", MFD_CLOEXEC)};
    int error = errno;
    if (job->out >= 0 && job->err >= 0) {
        error = cli_child_start_into (&job->pid, self->command, job->request,
                                      job->out, job->err);
    }
    if (error) {
        s_fail (self, job, strerror (error));
        s_end (job);
    } else {
        self->running++;
    }
}

//  Answer for those that have ended.
static void
s_collect (serve_t *self)
{
    cli_child_clear ();
    for (size_t index = 0; index < self->running;) {
        job_t *job = &self->jobs[index];
        cli_ending_t ending = {0};
        if (!cli_child_ended (job->pid, &ending)) {
            index++;
            continue;
        }
        if (ending.status || ending.signal) {
            s_fail_job (self, job, &ending);
        } else {
            s_reply (self, job);
        }
        s_end (job);
        *job = self->jobs[--self->running];
    }
}

//  Wait for a request, the end of a command or a signal.
static void
s_wait (const serve_t *self, bool wants)
{
    struct pollfd items[] = {
        {.fd = wants ? cli_stop_fd () : -1, .events = POLLIN},
        {.fd = wants && self->running < self->most
                   ? tern_service_fd (self->handle)
                   : -1,
         .events = POLLIN},
        {.fd = cli_child_fd (), .events = POLLIN},
    };
    while (poll (items, 3, -1) < 0 && errno == EINTR) {
    }
}

static void
s_run (serve_t *self)
{
    while (!cli_stop_asked () && self->taken < self->count) {
        s_collect (self);
        const tern_msg_t *request = self->running < self->most
                                        ? tern_service_recv (self->handle, 0)
                                        : NULL;
        if (request) {
            self->taken++;
            s_start (self, request);
        } else {
            s_wait (self, true);
        }
    }
    //  What runs is answered.
    while (self->running) {
        s_collect (self);
        if (self->running) {
            s_wait (self, false);
        }
    }
}

static int
s_open_and_run (serve_t *self)
{
    const int code = cli_seat_open (&self->peer, &self->common, "serve");
    if (code != CLI_DONE) {
        return code;
    }
    const tern_service_options_t options = {.prefetch = (uint32_t) self->most};
    const int rc = tern_service_open (&self->handle, self->peer, self->service,
                                      &options);
    if (rc == TERN_OK) {
        s_run (self);
    }
    tern_service_close (&self->handle);
    //  Durable replies should reach those who wait before we are gone.
    const uint64_t left = tern_peer_close (&self->peer, LINGER_MS);
    if (left > 0) {
        cli_note ("%" PRIu64 " stored replies wait for their requesters; the "
                  "next peer of this name delivers them, or tern drain",
                  left);
    }
    if (rc != TERN_OK) {
        return cli_fail_tern (rc, self->service, NULL);
    }
    cli_hint ("%" PRIu64 " answered, %" PRIu64 " failed", self->answered,
              self->failed);
    return CLI_DONE;
}

int
cli_serve (int argc, char **argv)
{
    serve_t self = {.most = 1, .count = UINT64_MAX};
    const cli_option_t options[] = {
        {"exec", 'e', CLI_TEXT, &self.command, "CMD",
         "run CMD for each: its output is the reply", 0, 0},
        {"jobs", 'j', CLI_NUMBER, &self.most, "N", "run N at once (1)", 1,
         JOBS_MAX},
        {"count", 'n', CLI_NUMBER, &self.count, "N", "stop after N requests", 1,
         UINT64_MAX},
    };
    const cli_usage_t usage = {
        .name = "serve",
        .synopsis = "SERVICE --exec CMD",
        .summary = "Answer the requests to a service with a command's output.",
        .text
        = "CMD finds the request on its standard input.  If it fails, the "
          "first line of\nits standard error is what the requester is "
          "told.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .operands_min = 1,
        .operands_max = 1,
        .missing = "name the service",
    };
    size_t operands = 0;
    int code = cli_parse (&usage, &self.common, argc, argv, &operands);
    if (code != CLI_PARSED) {
        return code;
    }
    self.service = argv[1];
    if (!self.command) {
        return cli_fail (CLI_USAGE, "--exec: say what answers");
    }
    self.jobs = calloc (self.most, sizeof *self.jobs);
    if (!self.jobs) {
        abort ();
    }
    code = s_open_and_run (&self);
    free (self.jobs);
    return code;
}
