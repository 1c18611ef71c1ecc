//  teller.c - do the steps of accounts; start as many as you like
//
//      teller LEDGER
//
//  Doing a step is writing "begin" and "end" with its account into the ledger.
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static volatile sig_atomic_t s_stop;

static void
s_on_signal (int number)
{
    (void) number;
    s_stop = 1;
}

static int
s_write (int ledger, const char *what, const tern_msg_t *step)
{
    char line[128];
    const int size = snprintf (
        line, sizeof line, "%s %.*s %d\n", what, (int) tern_msg_size (step),
        (const char *) tern_msg_body (step), (int) getpid ());
    return write (ledger, line, (size_t) size) == size ? 0 : -1;
}

int
main (int argc, char **argv)
{
    const int ledger = open (argc > 1 ? argv[1] : "ledger",
                             O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (ledger < 0) {
        perror ("teller: ledger");
        return 1;
    }
    struct sigaction action = {.sa_handler = s_on_signal};
    sigaction (SIGTERM, &action, NULL);

    char why[256] = "";
    tern_config_t *config = tern_config_new ();
    tern_peer_t *peer = NULL;
    tern_consumer_t *steps = NULL;
    int rc = tern_config_environment (config, why, sizeof why);
    if (!rc) {
        rc = tern_peer_open (&peer, config, why, sizeof why);
    }
    if (!rc) {
        const tern_consumer_options_t some = {.prefetch = 16};
        rc = tern_consumer_open (&steps, peer, "steps", &some);
    }
    tern_config_destroy (&config);
    if (rc) {
        fprintf (stderr, "teller: %s\n", why[0] ? why : tern_strerror (rc));
    }
    while (!rc && !s_stop) {
        tern_msg_t *step = tern_consumer_recv (steps, 200);
        if (!step) {
            continue;
        }
        //  Nobody else has a step of this account now, and none comes before
        //  this one is settled, here or elsewhere.
        if (s_write (ledger, "begin", step) || s_write (ledger, "end", step)) {
            tern_consumer_requeue (steps, step);
        } else {
            tern_consumer_accept (steps, step);
        }
    }
    tern_consumer_close (&steps);
    tern_peer_close (&peer, -1);
    close (ledger);
    return rc ? 1 : 0;
}
