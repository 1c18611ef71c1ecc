//  recv.c - take one message from the queue hello
//
//  Build: cc recv.c $(pkg-config --cflags --libs tern)
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <stdio.h>

int
main (void)
{
    char why[256] = "";
    tern_peer_t *peer = NULL;
    tern_consumer_t *hello = NULL;

    if (tern_peer_open (&peer, NULL, why, sizeof why)) {
        fprintf (stderr, "recv: %s\n", why);
        return 1;
    }
    if (tern_consumer_open (&hello, peer, "hello", NULL)) {
        return 1;
    }
    tern_msg_t *msg = tern_consumer_recv (hello, -1);
    printf ("received %.*s\n", (int) tern_msg_size (msg),
            (const char *) tern_msg_body (msg));
    tern_consumer_accept (hello, msg);

    tern_consumer_close (&hello);
    tern_peer_close (&peer, -1);
    return 0;
}
