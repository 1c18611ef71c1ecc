//  subscribe.c - all news since the first time, under a name
//
//      subscribe NAME COUNT
//
//  Says "ready" when the subscription is made, then COUNT messages, a line each.
//  It lasts until it is taken back (tern unbind news news.NAME): what is
//  published while this program is not running waits for it.
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <stdio.h>
#include <stdlib.h>

//  Each subscriber has a queue of its own; several processes that consume one
//  queue share it.
static int
s_subscribe (tern_peer_t *peer, const char *queue, char *why, size_t size)
{
    const tern_binding_t binding
        = {.exchange = "news", .type = TERN_FANOUT, .queue = queue};
    const int rc = tern_peer_bind (peer, &binding, why, size);
    return rc ? rc : tern_peer_bound (peer, &binding, -1);
}

int
main (int argc, char **argv)
{
    if (argc != 3) {
        fprintf (stderr, "usage: subscribe NAME COUNT\n");
        return 2;
    }
    char queue[64];
    snprintf (queue, sizeof queue, "news.%s", argv[1]);
    const long count = strtol (argv[2], NULL, 10);

    char why[256] = "";
    tern_config_t *config = tern_config_new ();
    tern_peer_t *peer = NULL;
    tern_consumer_t *news = NULL;
    int rc = tern_config_environment (config, why, sizeof why);
    if (!rc) {
        rc = tern_peer_open (&peer, config, why, sizeof why);
    }
    if (!rc) {
        rc = s_subscribe (peer, queue, why, sizeof why);
    }
    if (!rc) {
        rc = tern_consumer_open (&news, peer, queue, NULL);
    }
    tern_config_destroy (&config);
    if (!rc) {
        fprintf (stderr, "ready\n");
    }
    for (long seen = 0; seen < count && !rc; seen++) {
        tern_msg_t *msg = tern_consumer_recv (news, -1);
        printf ("%.*s\n", (int) tern_msg_size (msg),
                (const char *) tern_msg_body (msg));
        fflush (stdout);
        tern_consumer_accept (news, msg);
    }
    if (rc) {
        fprintf (stderr, "subscribe: %s\n", why[0] ? why : tern_strerror (rc));
    }
    tern_consumer_close (&news);
    tern_peer_close (&peer, -1);
    return rc ? 1 : 0;
}
