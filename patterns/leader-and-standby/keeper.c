//  keeper.c - leads while it gets commands, stands by while it does not
//
//      keeper JOURNAL
//
//  The journal is what only the leader may write: "NUMBER NAME", a line each.
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

int
main (int argc, char **argv)
{
    const int journal = open (argc > 1 ? argv[1] : "journal",
                              O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (journal < 0) {
        perror ("keeper: journal");
        return 1;
    }
    struct sigaction action = {.sa_handler = s_on_signal};
    sigaction (SIGTERM, &action, NULL);
    char why[256] = "";
    tern_config_t *config = tern_config_new ();
    tern_peer_t *peer = NULL;
    tern_consumer_t *commands = NULL;
    int rc = tern_config_environment (config, why, sizeof why);
    if (!rc) {
        rc = tern_peer_open (&peer, config, why, sizeof why);
    }
    if (!rc) {
        //  One at a time: a new leader waits for no more than one command.
        const tern_consumer_options_t one = {.prefetch = 1};
        rc = tern_consumer_open (&commands, peer, "commands", &one);
    }
    tern_config_destroy (&config);
    if (rc) {
        fprintf (stderr, "keeper: %s\n", why[0] ? why : tern_strerror (rc));
    }
    while (!rc && !s_stop) {
        tern_msg_t *command = tern_consumer_recv (commands, 200);
        if (!command) {
            continue;
        }
        char line[128];
        const int size = snprintf (
            line, sizeof line, "%.*s %s\n", (int) tern_msg_size (command),
            (const char *) tern_msg_body (command), tern_peer_name (peer));
        if (write (journal, line, (size_t) size) == size) {
            tern_consumer_accept (commands, command);
        } else {
            tern_consumer_requeue (commands, command);
        }
    }
    tern_consumer_close (&commands);
    tern_peer_close (&peer, -1);
    close (journal);
    return rc ? 1 : 0;
}
