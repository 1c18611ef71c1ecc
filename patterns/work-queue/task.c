//  task.c - put tasks into the queue, wait until all of them are done
//
//      task COUNT
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int
s_fail (const char *what, const char *why)
{
    fprintf (stderr, "task: %s: %s\n", what, why);
    return 1;
}

int
main (int argc, char **argv)
{
    const long count = argc > 1 ? strtol (argv[1], NULL, 10) : 10;
    char why[256] = "";
    tern_config_t *config = tern_config_new ();
    tern_peer_t *peer = NULL;
    tern_producer_t *tasks = NULL;
    int rc = tern_config_environment (config, why, sizeof why);
    if (!rc) {
        rc = tern_peer_open (&peer, config, why, sizeof why);
    }
    if (!rc) {
        rc = tern_producer_open (&tasks, peer, "tasks", why, sizeof why);
    }
    tern_config_destroy (&config);
    if (rc) {
        tern_peer_close (&peer, 0);
        return s_fail ("cannot start", why);
    }

    //  Sending is pipelined: nothing waits for the disk or a worker here.
    uint64_t last = 0;
    for (long number = 1; number <= count && !rc; number++) {
        char body[32];
        const int size = snprintf (body, sizeof body, "task %ld", number);
        rc = tern_producer_send (tasks, body, (size_t) size, -1, &last);
    }

    //  One wait for all: this message and those before it were accepted.  If
    //  this process dies while it waits, the tasks lie in its outbox and go on
    //  when it is started again under its name, or by "tern drain".
    if (!rc) {
        rc = tern_producer_wait (tasks, last, TERN_PROCESSED, -1);
    }
    if (rc) {
        s_fail ("not all tasks were done", tern_strerror (rc));
    } else {
        printf ("%ld tasks done\n", count);
    }
    tern_producer_close (&tasks);
    tern_peer_close (&peer, 0);
    return rc ? 1 : 0;
}
