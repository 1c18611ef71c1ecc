//  worker.c - do tasks, one at a time, until told to stop
//
//      worker FOLDER
//
//  The work of a task is to add a line to FOLDER/done, with one write.  Start as
//  many workers as there is work for; each gets what it has room for.
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t s_stop;

static void
s_on_signal (int number)
{
    (void) number;
    s_stop = 1;
}

//  Returns 0 when the work is done, so that the task may leave the queue.
static int
s_work (int done, const tern_msg_t *task)
{
    char line[128];
    const int size = snprintf (
        line, sizeof line, "%.*s%s\n", (int) tern_msg_size (task),
        (const char *) tern_msg_body (task),
        tern_msg_redelivered (task) ? " (somebody may have begun it)" : "");
    return write (done, line, (size_t) size) == size ? 0 : -1;
}

int
main (int argc, char **argv)
{
    char path[4096];
    snprintf (path, sizeof path, "%s/done", argc > 1 ? argv[1] : ".");
    const int done = open (path, O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (done < 0) {
        perror (path);
        return 1;
    }
    struct sigaction action = {.sa_handler = s_on_signal};
    sigaction (SIGTERM, &action, NULL);
    sigaction (SIGINT, &action, NULL);

    char why[256] = "";
    tern_config_t *config = tern_config_new ();
    tern_peer_t *peer = NULL;
    tern_consumer_t *tasks = NULL;
    int rc = tern_config_environment (config, why, sizeof why);
    if (!rc) {
        rc = tern_peer_open (&peer, config, why, sizeof why);
    }
    if (!rc) {
        //  No more than one task in hand: a slow worker holds up one task, and
        //  one that dies gives one back.
        const tern_consumer_options_t one = {.prefetch = 1};
        rc = tern_consumer_open (&tasks, peer, "tasks", &one);
    }
    tern_config_destroy (&config);
    if (rc) {
        fprintf (stderr, "worker: %s\n", why[0] ? why : tern_strerror (rc));
        tern_peer_close (&peer, 0);
        close (done);
        return 1;
    }

    while (!s_stop) {
        tern_msg_t *task = tern_consumer_recv (tasks, 200);
        if (!task) {
            continue;
        }
        //  Work first, settle after: who dies in between leaves the task to
        //  another.  It is then done twice at worst, never not at all.
        if (s_work (done, task) == 0) {
            tern_consumer_accept (tasks, task);
        } else {
            tern_consumer_requeue (tasks, task);
        }
    }

    //  What is in hand and unsettled goes back at once.
    tern_consumer_close (&tasks);
    tern_peer_close (&peer, -1);
    close (done);
    return 0;
}
