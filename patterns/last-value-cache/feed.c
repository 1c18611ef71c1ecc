//  feed.c - updates, "NAME VALUE" a line each, to whoever shows them
//
//  SPDX-License-Identifier: MPL-2.0

#include "prices.h"

static int
s_update (tern_producer_t *prices, char *line)
{
    char *value = line + strcspn (line, " ");
    if (*value) {
        *value++ = 0;
    }
    tern_msg_t *msg = tern_msg_new (value, strlen (value));
    int rc = tern_msg_set_key (msg, line);
    if (!rc) {
        rc = tern_producer_send_msg (prices, msg, -1, NULL);
    }
    tern_msg_destroy (&msg);
    return rc;
}

int
main (void)
{
    tern_producer_t *prices = NULL;
    tern_peer_t *peer = prices_peer ();
    int rc = !peer;
    rc = rc ? rc
            : tern_producer_open_exchange (&prices, peer, "prices", TERN_FANOUT,
                                           NULL, NULL, 0);
    char line[1024];
    while (!rc && fgets (line, sizeof line, stdin)) {
        line[strcspn (line, "\n")] = 0;
        rc = s_update (prices, line);
    }
    rc = rc ? rc
            : tern_producer_wait (prices, tern_producer_last (prices),
                                  TERN_PROCESSED, -1);
    if (rc < 0) {
        fprintf (stderr, "feed: %s\n", tern_strerror (rc));
    }
    tern_producer_close (&prices);
    tern_peer_close (&peer, 0);
    return rc ? 1 : 0;
}
