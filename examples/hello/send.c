//  send.c - put "Hello World!" into the queue hello
//
//  Build: cc send.c $(pkg-config --cflags --libs tern)
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <stdio.h>

int
main (void)
{
    static const char text[] = "Hello World!";
    char why[256] = "";
    uint64_t seq;
    tern_peer_t *peer = NULL;
    tern_producer_t *hello = NULL;

    if (tern_peer_open (&peer, NULL, why, sizeof why)
        || tern_producer_open (&hello, peer, "hello", why, sizeof why)) {
        fprintf (stderr, "send: %s\n", why);
        return 1;
    }
    int rc = tern_producer_send (hello, text, sizeof text - 1, -1, &seq);
    if (!rc) {
        //  On our disk now; wait until a consumer has accepted it.
        rc = tern_producer_wait (hello, seq, TERN_PROCESSED, -1);
    }
    puts (rc ? tern_strerror (rc) : "sent Hello World!");
    tern_producer_close (&hello);
    tern_peer_close (&peer, 0);
    return rc ? 1 : 0;
}
