//  sender.c - tasks with a policy: three attempts, short pauses
//
//      sender COUNT
//
//  Every tenth task is poison: whoever takes it dies.  Says when nothing waits
//  any more, and stays until SIGTERM.
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

int
main (int argc, char **argv)
{
    const long count = argc > 1 ? strtol (argv[1], NULL, 10) : 10;
    sigset_t stop;
    sigemptyset (&stop);
    sigaddset (&stop, SIGTERM);
    sigprocmask (SIG_BLOCK, &stop, NULL);
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
    if (!rc) {
        tern_policy_t policy;
        tern_policy_default (&policy);
        policy.max_deliveries = 3;
        policy.backoff_min_ms = 10;
        policy.backoff_max_ms = 100;
        rc = tern_producer_set_policy (tasks, &policy);
    }
    uint64_t last = 0;
    for (long number = 1; number <= count && !rc; number++) {
        char body[64];
        const int size = snprintf (body, sizeof body, "task %ld%s", number,
                                   number % 10 == 0 ? " poison" : "");
        rc = tern_producer_send (tasks, body, (size_t) size, -1, &last);
    }
    //  Processed means: no message waits any more.  A dead one does not wait;
    //  it lies in the queue "tasks.dead", in this same store.
    if (!rc) {
        rc = tern_producer_wait (tasks, last, TERN_PROCESSED, -1);
    }
    if (rc) {
        fprintf (stderr, "sender: %s\n", why[0] ? why : tern_strerror (rc));
    }
    //  The dead can be looked at as long as we are there.
    if (!rc) {
        int number;
        printf ("nothing waits\n");
        fflush (stdout);
        sigwait (&stop, &number);
    }
    tern_producer_close (&tasks);
    tern_peer_close (&peer, 0);
    return rc ? 1 : 0;
}
