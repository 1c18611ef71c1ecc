//  take.c - papers whose labels match all (or any) of those given, until a
//  signal
//
//      take QUEUE all|any NAME=VALUE...
//
//  Says "ready" when the queue is bound.
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

static volatile sig_atomic_t s_stop;

static void
s_on_signal (int number)
{
    (void) number;
    s_stop = 1;
}

static int
s_bind (tern_peer_t *peer, const char *queue, bool any, char **labels,
        char *why, size_t size)
{
    tern_header_t headers[TERN_BINDING_HEADERS_MAX];
    size_t count = 0;
    for (; *labels && count < TERN_BINDING_HEADERS_MAX; labels++) {
        char *value = strchr (*labels, '=');
        if (value) {
            *value++ = 0;
            headers[count++] = (tern_header_t) {*labels, value};
        }
    }
    const tern_binding_t binding = {
        .exchange = "papers",
        .type = TERN_HEADERS,
        .queue = queue,
        .headers = headers,
        .header_count = count,
        .any = any,
    };
    const int rc = tern_peer_bind (peer, &binding, why, size);
    return rc ? rc : tern_peer_bound (peer, &binding, -1);
}

int
main (int argc, char **argv)
{
    if (argc < 4) {
        fprintf (stderr, "usage: take QUEUE all|any NAME=VALUE...\n");
        return 2;
    }
    struct sigaction action = {.sa_handler = s_on_signal};
    sigaction (SIGTERM, &action, NULL);
    char why[256] = "";
    tern_config_t *config = tern_config_new ();
    tern_peer_t *peer = NULL;
    tern_consumer_t *papers = NULL;
    int rc = tern_config_environment (config, why, sizeof why);
    if (!rc) {
        rc = tern_peer_open (&peer, config, why, sizeof why);
    }
    if (!rc) {
        rc = s_bind (peer, argv[1], strcmp (argv[2], "any") == 0, argv + 3, why,
                     sizeof why);
    }
    if (!rc) {
        rc = tern_consumer_open (&papers, peer, argv[1], NULL);
    }
    tern_config_destroy (&config);
    if (rc) {
        fprintf (stderr, "take: %s\n", why[0] ? why : tern_strerror (rc));
    } else {
        fprintf (stderr, "ready\n");
    }
    while (!rc && !s_stop) {
        tern_msg_t *msg = tern_consumer_recv (papers, 200);
        if (msg) {
            printf ("%.*s\n", (int) tern_msg_size (msg),
                    (const char *) tern_msg_body (msg));
            fflush (stdout);
            tern_consumer_accept (papers, msg);
        }
    }
    tern_consumer_close (&papers);
    tern_peer_close (&peer, -1);
    return rc ? 1 : 0;
}
