//  worker.c - do tasks; poison kills it, as a bug would
//
//      worker DONE
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

static int
s_work (int done, const tern_msg_t *task)
{
    char line[64];
    const int size
        = snprintf (line, sizeof line, "%.*s\n", (int) tern_msg_size (task),
                    (const char *) tern_msg_body (task));
    if (strstr (line, "poison")) {
        raise (SIGKILL);
    }
    return write (done, line, (size_t) size) == size ? 0 : -1;
}

int
main (int argc, char **argv)
{
    const int done = open (argc > 1 ? argv[1] : "done",
                           O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (done < 0) {
        perror ("worker: done");
        return 1;
    }
    struct sigaction action = {.sa_handler = s_on_signal};
    sigaction (SIGTERM, &action, NULL);
    char why[256] = "";
    tern_config_t *config = tern_config_new ();
    tern_peer_t *peer = NULL;
    tern_consumer_t *tasks = NULL;
    int rc = tern_config_environment (config, why, sizeof why);
    if (!rc) {
        rc = tern_peer_open (&peer, config, why, sizeof why);
    }
    if (!rc) {
        //  With one in hand, one that is killed takes no other with it: every
        //  message a dead consumer holds counts as delivered.
        const tern_consumer_options_t one = {.prefetch = 1};
        rc = tern_consumer_open (&tasks, peer, "tasks", &one);
    }
    tern_config_destroy (&config);
    if (rc) {
        fprintf (stderr, "worker: %s\n", why[0] ? why : tern_strerror (rc));
    }
    while (!rc && !s_stop) {
        tern_msg_t *task = tern_consumer_recv (tasks, 200);
        if (task && s_work (done, task) == 0) {
            tern_consumer_accept (tasks, task);
        } else if (task) {
            tern_consumer_requeue (tasks, task);
        }
    }
    tern_consumer_close (&tasks);
    tern_peer_close (&peer, -1);
    close (done);
    return rc ? 1 : 0;
}
