//  worker.c - lesson 2: do COUNT tasks, a second for each dot
//
//      worker COUNT
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int
main (int argc, char **argv)
{
    const long count = argc > 1 ? strtol (argv[1], NULL, 10) : 1;
    const tern_consumer_options_t one = {.prefetch = 1};
    char why[256] = "";
    tern_peer_t *peer = NULL;
    tern_consumer_t *tasks = NULL;
    if (tern_peer_open (&peer, NULL, why, sizeof why)
        || tern_consumer_open (&tasks, peer, "tasks", &one)) {
        fprintf (stderr, "worker: %s\n", why);
        return 1;
    }
    for (long done = 0; done < count; done++) {
        tern_msg_t *task = tern_consumer_recv (tasks, -1);
        const char *text = tern_msg_body (task);
        for (size_t at = 0; at < tern_msg_size (task); at++) {
            if (text[at] == '.') {
                sleep (1);
            }
        }
        printf ("done: %.*s\n", (int) tern_msg_size (task), text);
        tern_consumer_accept (tasks, task);
    }
    tern_consumer_close (&tasks);
    tern_peer_close (&peer, -1);
    return 0;
}
