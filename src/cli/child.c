//  cli/child.c - running a command for one message
//
//  The body lies in an anonymous file that becomes the command's stdin.  So a
//  command that never reads costs nothing, a large body needs nobody to feed
//  it, and there is no pipe that could break.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/child.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

//  An environment under construction: ours, without TERN_*, and the message's.
typedef struct {
    char **items;  //  terminated by NULL
    size_t count;
    size_t inherited;  //  items below are borrowed from environ
} environment_t;

static void *
s_must (void *memory)
{
    if (!memory) {
        fputs ("tern: no memory for a child's environment\n", stderr);
        abort ();
    }
    return memory;
}

static void
s_env_push (environment_t *self, char *item)
{
    self->items = s_must (
        realloc (self->items, (self->count + 2) * sizeof *self->items));
    self->items[self->count++] = item;
    self->items[self->count] = NULL;
}

//  The message's variables must not be those of an outer tern recv --exec.

static bool
s_is_message_variable (const char *item)
{
    static const char *const names[] = {
        "TERN_ID=", "TERN_QUEUE=", "TERN_KEY=", "TERN_COUNT=", "TERN_HEADER_"};
    for (size_t index = 0; index < sizeof names / sizeof *names; index++) {
        if (strncmp (item, names[index], strlen (names[index])) == 0) {
            return true;
        }
    }
    return false;
}

static void
s_env_inherit (environment_t *self)
{
    for (char **item = environ; *item; item++) {
        if (!s_is_message_variable (*item)) {
            s_env_push (self, *item);
        }
    }
    self->inherited = self->count;
}

static void
s_env_add (environment_t *self, const char *prefix, const char *name,
           size_t name_size, const char *value, size_t size)
{
    if (size > 0 && memchr (value, '\0', size)) {
        return;
    }
    const size_t prefix_size = strlen (prefix);
    const size_t total = prefix_size + name_size + 1 + size + 1;
    char *item = s_must (malloc (total));
    snprintf (item, total, "%s%.*s=", prefix, (int) name_size, name);
    for (char *at = item + prefix_size; at < item + prefix_size + name_size;
         at++) {
        const bool shell = (*at >= 'a' && *at <= 'z')
                           || (*at >= 'A' && *at <= 'Z')
                           || (*at >= '0' && *at <= '9');
        *at = shell ? *at : '_';
    }
    item[prefix_size + name_size] = '=';
    if (size > 0) {
        memcpy (item + prefix_size + name_size + 1, value, size);
    }
    item[total - 1] = '\0';
    s_env_push (self, item);
}

static void
s_env_message (environment_t *self, tern_msg_t *msg)
{
    char count[16];
    const char *id = tern_msg_id (msg);
    const char *queue = tern_msg_queue (msg);
    size_t key_size = 0;
    const char *key = tern_msg_key (msg, &key_size);
    snprintf (count, sizeof count, "%" PRIu32, tern_msg_deliveries (msg));
    s_env_add (self, "TERN_", "ID", 2, id, strlen (id));
    s_env_add (self, "TERN_", "QUEUE", 5, queue, strlen (queue));
    s_env_add (self, "TERN_", "KEY", 3, key, key_size);
    s_env_add (self, "TERN_", "COUNT", 5, count, strlen (count));

    const char *name, *value;
    size_t name_size, size;
    for (size_t index = 0;
         tern_msg_header_at (msg, index, &name, &name_size, &value, &size);
         index++) {
        s_env_add (self, "TERN_HEADER_", name, name_size, value, size);
    }
}

static void
s_env_free (environment_t *self)
{
    for (size_t index = self->inherited; index < self->count; index++) {
        free (self->items[index]);
    }
    free (self->items);
}

//  An anonymous file with the body, at its beginning; -1 and errno.

static int
s_body_file (const tern_msg_t *msg)
{
    const int fd = memfd_create ("tern-body", MFD_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    const char *body = tern_msg_body (msg);
    size_t left = tern_msg_size (msg);
    while (left > 0) {
        const ssize_t put = write (fd, body, left);
        if (put < 0 && errno != EINTR) {
            const int error = errno;
            close (fd);
            errno = error;
            return -1;
        }
        body += put > 0 ? put : 0;
        left -= put > 0 ? (size_t) put : 0;
    }
    lseek (fd, 0, SEEK_SET);
    return fd;
}

//  Everything we changed about signals goes back to what a command expects.

static int
s_spawn (pid_t *pid_p, const char *command, const int fds[3],
         char **environment)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults, none;
    posix_spawn_file_actions_init (&actions);
    posix_spawnattr_init (&attributes);
    for (int fd = 0; fd < 3; fd++) {
        if (fds[fd] >= 0) {
            posix_spawn_file_actions_adddup2 (&actions, fds[fd], fd);
        }
    }
    sigemptyset (&none);
    sigemptyset (&defaults);
    sigaddset (&defaults, SIGPIPE);
    sigaddset (&defaults, SIGINT);
    sigaddset (&defaults, SIGTERM);
    posix_spawnattr_setsigmask (&attributes, &none);
    posix_spawnattr_setsigdefault (&attributes, &defaults);
    posix_spawnattr_setflags (&attributes,
                              POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

    char *const argv[] = {(char *) "sh", (char *) "-c", (char *) command, NULL};
    const int error = posix_spawn (pid_p, "/bin/sh", &actions, &attributes,
                                   argv, environment);
    posix_spawnattr_destroy (&attributes);
    posix_spawn_file_actions_destroy (&actions);
    return error;
}

static int
s_start (pid_t *pid_p, const char *command, tern_msg_t *msg, const int fds[3])
{
    cli_child_fd ();
    environment_t environment = {0};
    s_env_inherit (&environment);
    s_env_message (&environment, msg);
    const int error = s_spawn (pid_p, command, fds, environment.items);
    s_env_free (&environment);
    return error;
}

int
cli_child_start_into (pid_t *pid_p, const char *command, tern_msg_t *msg,
                      int out, int err)
{
    const int fds[3] = {s_body_file (msg), out, err};
    if (fds[0] < 0) {
        return errno;
    }
    const int error = s_start (pid_p, command, msg, fds);
    close (fds[0]);
    return error;
}

int
cli_child_start (pid_t *pid_p, const char *command, tern_msg_t *msg, int body)
{
    const int fds[3] = {body, -1, -1};
    return body < 0 ? cli_child_start_into (pid_p, command, msg, -1, -1)
                    : s_start (pid_p, command, msg, fds);
}

//  Endings -------------------------------------------------------------------

static int s_fd = -1;  //  counts SIGCHLD

static void
s_on_child (int number)
{
    (void) number;
    const int saved = errno;
    const uint64_t one = 1;
    const ssize_t put = write (s_fd, &one, sizeof one);
    (void) put;
    errno = saved;
}

int
cli_child_fd (void)
{
    if (s_fd < 0) {
        s_fd = eventfd (0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (s_fd < 0) {
            abort ();
        }
        struct sigaction action = {.sa_handler = s_on_child};
        action.sa_flags = SA_NOCLDSTOP | SA_RESTART;
        sigemptyset (&action.sa_mask);
        sigaction (SIGCHLD, &action, NULL);
    }
    return s_fd;
}

void
cli_child_clear (void)
{
    uint64_t count;
    const ssize_t got = read (cli_child_fd (), &count, sizeof count);
    (void) got;
}

bool
cli_child_ended (pid_t pid, cli_ending_t *ending)
{
    int status = 0;
    if (waitpid (pid, &status, WNOHANG) != pid) {
        return false;
    }
    *ending = (cli_ending_t) {0};
    if (WIFSIGNALED (status)) {
        ending->signal = WTERMSIG (status);
    } else {
        ending->status = WEXITSTATUS (status);
    }
    return true;
}
