//  undertaker.c - look at N dead letters: what, why, how often tried
//
//      undertaker N
//
//  A dead-letter queue is a queue.  Accepting buries; to try again send
//  tern_msg_replay () to where it died, then accept.
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <stdio.h>
#include <stdlib.h>

static void
s_show (const tern_msg_t *dead, const char *header)
{
    size_t size = 0;
    const char *value = tern_msg_header (dead, header, &size);
    printf (" %.*s", (int) size, value ? value : "");
}

int
main (int argc, char **argv)
{
    const long count = argc > 1 ? strtol (argv[1], NULL, 10) : 1;
    char why[256] = "";
    tern_config_t *config = tern_config_new ();
    tern_peer_t *peer = NULL;
    tern_consumer_t *dead = NULL;
    int rc = tern_config_environment (config, why, sizeof why);
    if (!rc) {
        rc = tern_peer_open (&peer, config, why, sizeof why);
    }
    if (!rc) {
        rc = tern_consumer_open (&dead, peer, "tasks.dead", NULL);
    }
    tern_config_destroy (&config);
    for (long seen = 0; seen < count && !rc; seen++) {
        tern_msg_t *letter = tern_consumer_recv (dead, -1);
        printf ("%.*s:", (int) tern_msg_size (letter),
                (const char *) tern_msg_body (letter));
        s_show (letter, "tern.dead.reason");
        s_show (letter, "tern.dead.count");
        s_show (letter, "tern.dead.id");
        printf ("\n");
        tern_consumer_accept (dead, letter);
    }
    if (rc) {
        fprintf (stderr, "undertaker: %s\n", why[0] ? why : tern_strerror (rc));
    }
    tern_consumer_close (&dead);
    tern_peer_close (&peer, -1);
    return rc ? 1 : 0;
}
