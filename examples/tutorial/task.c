//  task.c - lesson 2: a task, with a dot for each second that it takes
//
//      task "some work ..."
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <stdio.h>
#include <string.h>

int
main (int argc, char **argv)
{
    const char *text = argc > 1 ? argv[1] : "some work ...";
    char why[256] = "";
    uint64_t seq;
    tern_peer_t *peer = NULL;
    tern_producer_t *tasks = NULL;
    if (tern_peer_open (&peer, NULL, why, sizeof why)
        || tern_producer_open (&tasks, peer, "tasks", why, sizeof why)) {
        fprintf (stderr, "task: %s\n", why);
        return 1;
    }
    int rc = tern_producer_send (tasks, text, strlen (text), -1, &seq);
    if (!rc) {
        rc = tern_producer_wait (tasks, seq, TERN_PROCESSED, -1);
    }
    printf ("%s: %s\n", rc ? tern_strerror (rc) : "done", text);
    tern_producer_close (&tasks);
    tern_peer_close (&peer, 0);
    return rc ? 1 : 0;
}
