//  cli/bench_crew.c - the worker processes of tern bench
//
//  Each is this same program started again as a hidden command, so that what
//  is measured is what is installed.  Workers are ended by their pid, and
//  every way out of the benchmark passes cli_crew_end ().
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/bench.h"
#include "cli/command.h"
#include "cli/format.h"
#include "cli/say.h"
#include "cli/stop.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

//  A worker that was told to stop may take so long before it is killed.
#define END_MS 5000

//  argv of a worker: words that it owns.
#define WORDS_MAX 24

typedef struct {
    char text[WORDS_MAX][1024];
    char *argv[WORDS_MAX + 1];
    size_t count;
} words_t;

static void
s_add_word (words_t *self, const char *key, const char *value)
{
    assert (self->count < WORDS_MAX);
    char *text = self->text[self->count];
    snprintf (text, sizeof self->text[0], "%s%s%s", key, value ? "=" : "",
              value ? value : "");
    self->argv[self->count++] = text;
}

static void
s_add_number (words_t *self, const char *key, uint64_t number)
{
    char text[24];
    snprintf (text, sizeof text, "%" PRIu64, number);
    s_add_word (self, key, text);
}

static void
s_add_text (words_t *self, const char *key, const char *text)
{
    if (text) {
        s_add_word (self, key, text);
    }
}

static void
s_job_words (words_t *self, const cli_bench_job_t *job)
{
    s_add_word (self, "tern", NULL);
    s_add_word (self, CLI_BENCH_WORKER, NULL);
    s_add_text (self, "role", job->role);
    s_add_text (self, "name", job->name);
    s_add_text (self, "data", job->data);
    s_add_text (self, "directory", job->directory);
    s_add_text (self, "endpoints", job->endpoints);
    s_add_number (self, "size", job->size);
    s_add_number (self, "count", job->count);
    s_add_number (self, "first", job->first);
    s_add_number (self, "queues", job->queues);
    s_add_number (self, "exchange", job->exchange);
    s_add_number (self, "prefetch", job->prefetch);
    s_add_number (self, "rule", job->rule);
    s_add_number (self, "seconds", job->seconds);
    s_add_number (self, "level", job->level);
    s_add_number (self, "consumers", job->consumers);
    s_add_number (self, "single", job->single);
    s_add_number (self, "progress", job->progress);
}

//  Our ends must not survive in the worker (or in later ones), or nobody would
//  see the other side go: they are close-on-exec from the start.

static int
s_spawn (cli_worker_t *self, char *const *argv)
{
    int down[2], up[2];
    if (pipe2 (down, O_CLOEXEC)) {
        return errno;
    }
    if (pipe2 (up, O_CLOEXEC)) {
        const int error = errno;
        close (down[0]);
        close (down[1]);
        return error;
    }
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    posix_spawn_file_actions_init (&actions);
    posix_spawn_file_actions_adddup2 (&actions, down[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2 (&actions, up[1], STDOUT_FILENO);
    posix_spawnattr_init (&attributes);
    sigemptyset (&defaults);
    sigaddset (&defaults, SIGINT);
    sigaddset (&defaults, SIGTERM);
    posix_spawnattr_setsigdefault (&attributes, &defaults);
    posix_spawnattr_setflags (&attributes, POSIX_SPAWN_SETSIGDEF);
    const int error = posix_spawn (&self->pid, "/proc/self/exe", &actions,
                                   &attributes, argv, environ);
    posix_spawnattr_destroy (&attributes);
    posix_spawn_file_actions_destroy (&actions);
    close (down[0]);
    close (up[1]);
    self->to = down[1];
    self->from = up[0];
    if (error) {
        close (self->to);
        close (self->from);
        self->pid = 0;
    }
    return error;
}

cli_worker_t *
cli_crew_start (cli_crew_t *self, const cli_bench_job_t *job)
{
    assert (self->count < CLI_BENCH_WORKERS_MAX);
    cli_worker_t *worker = &self->workers[self->count];
    words_t words = {.count = 0};
    s_job_words (&words, job);
    *worker = (cli_worker_t) {.role = job->role};
    const int error = s_spawn (worker, words.argv);
    if (error) {
        cli_fail (CLI_FAILED, "%s: cannot be started: %s", job->role,
                  strerror (error));
        return NULL;
    }
    self->count++;
    return cli_worker_hear (worker, "ready") == CLI_DONE ? worker : NULL;
}

void
cli_worker_say (cli_worker_t *self, const char *word)
{
    char line[32];
    const int size = snprintf (line, sizeof line, "%s\n", word);
    //  A worker that has gone shows in hear ().
    const ssize_t put = write (self->to, line, (size_t) size);
    (void) put;
}

//  One line into self->line.  1; 0 at its end; -1 at a signal.

static int
s_read_line (cli_worker_t *self)
{
    for (;;) {
        char *newline = memchr (self->buffer, '\n', self->buffered);
        if (newline) {
            const size_t size = (size_t) (newline - self->buffer);
            memcpy (self->line, self->buffer, size);
            self->line[size] = '\0';
            self->buffered -= size + 1;
            memmove (self->buffer, newline + 1, self->buffered);
            return 1;
        }
        if (!cli_stop_wait (self->from, -1)) {
            if (cli_stop_asked ()) {
                return -1;
            }
            continue;
        }
        const ssize_t got = read (self->from, self->buffer + self->buffered,
                                  sizeof self->buffer - self->buffered);
        if (got == 0 || (got < 0 && errno != EINTR)) {
            return 0;
        }
        self->buffered += got > 0 ? (size_t) got : 0;
    }
}

int
cli_worker_hear (cli_worker_t *self, const char *word)
{
    int got;
    while ((got = s_read_line (self)) == 1) {
        if (strncmp (self->line, "at ", 3) == 0) {
            cli_progress ("%s: %s", self->role, self->line + 3);
        } else if (strncmp (self->line, word, strlen (word)) == 0) {
            return CLI_DONE;
        }
    }
    return cli_fail (CLI_FAILED,
                     got < 0 ? "interrupted: %s was ended"
                             : "%s: ended before it was done",
                     self->role);
}

void
cli_worker_text (const cli_worker_t *self, const char *key, char *text,
                 size_t size)
{
    const size_t key_size = strlen (key);
    *text = '\0';
    for (const char *at = self->line; (at = strchr (at, ' '));) {
        at++;
        if (strncmp (at, key, key_size) == 0 && at[key_size] == '=') {
            at += key_size + 1;
            snprintf (text, size, "%.*s", (int) strcspn (at, " "), at);
            return;
        }
    }
}

uint64_t
cli_worker_number (const cli_worker_t *self, const char *key)
{
    char text[32];
    uint64_t number = 0;
    cli_worker_text (self, key, text, sizeof text);
    return cli_number (text, 0, UINT64_MAX, &number) ? number : 0;
}

//  Closing its stdin tells a worker that nobody wants it any more.

static void
s_end_worker (cli_worker_t *self)
{
    close (self->to);
    const int64_t until_ms = cli_clock_ms () + END_MS;
    bool ended = false;
    while (!ended && !cli_stop_asked () && cli_clock_ms () < until_ms) {
        //  Its end closes the pipe: what is still in it is of no interest.
        char rest[256];
        if (cli_stop_wait (self->from, 100)) {
            ended = read (self->from, rest, sizeof rest) <= 0;
        }
    }
    if (!ended) {
        kill (self->pid, SIGKILL);
    }
    close (self->from);
    while (waitpid (self->pid, NULL, 0) < 0 && errno == EINTR) {
    }
    self->pid = 0;
}

void
cli_crew_end (cli_crew_t *self)
{
    //  All at once first, so that their leaving overlaps.
    for (size_t index = 0; index < self->count; index++) {
        cli_worker_say (&self->workers[index], "stop");
    }
    for (size_t index = 0; index < self->count; index++) {
        s_end_worker (&self->workers[index]);
    }
    self->count = 0;
}
