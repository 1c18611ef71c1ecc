//  watch.c - reports whose key matches one of the patterns, until a signal
//
//      watch QUEUE PATTERN...
//
//  Patterns: words with dots between them; * is one word, # any number of them.
//  Says "ready" when it watches.
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <signal.h>
#include <stdio.h>

static volatile sig_atomic_t s_stop;

static void
s_on_signal (int number)
{
    (void) number;
    s_stop = 1;
}

static int
s_watch (tern_peer_t *peer, const char *queue, char **patterns, char *why,
         size_t size)
{
    int rc = 0;
    for (; *patterns && !rc; patterns++) {
        const tern_binding_t binding = {
            .exchange = "logs",
            .type = TERN_TOPIC,
            .queue = queue,
            .pattern = *patterns,
        };
        rc = tern_peer_bind (peer, &binding, why, size);
        if (!rc) {
            rc = tern_peer_bound (peer, &binding, -1);
        }
    }
    return rc;
}

int
main (int argc, char **argv)
{
    if (argc < 3) {
        fprintf (stderr, "usage: watch QUEUE PATTERN...\n");
        return 2;
    }
    struct sigaction action = {.sa_handler = s_on_signal};
    sigaction (SIGTERM, &action, NULL);
    char why[256] = "";
    tern_config_t *config = tern_config_new ();
    tern_peer_t *peer = NULL;
    tern_consumer_t *reports = NULL;
    int rc = tern_config_environment (config, why, sizeof why);
    if (!rc) {
        rc = tern_peer_open (&peer, config, why, sizeof why);
    }
    if (!rc) {
        rc = s_watch (peer, argv[1], argv + 2, why, sizeof why);
    }
    if (!rc) {
        rc = tern_consumer_open (&reports, peer, argv[1], NULL);
    }
    tern_config_destroy (&config);
    if (rc) {
        fprintf (stderr, "watch: %s\n", why[0] ? why : tern_strerror (rc));
    } else {
        fprintf (stderr, "ready\n");
    }
    while (!rc && !s_stop) {
        tern_msg_t *msg = tern_consumer_recv (reports, 200);
        if (msg) {
            size_t size;
            const char *key = tern_msg_key (msg, &size);
            printf ("%.*s %.*s\n", (int) size, key, (int) tern_msg_size (msg),
                    (const char *) tern_msg_body (msg));
            fflush (stdout);
            tern_consumer_accept (reports, msg);
        }
    }
    tern_consumer_close (&reports);
    tern_peer_close (&peer, -1);
    return rc ? 1 : 0;
}
