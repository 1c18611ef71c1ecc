//  fib.c - lesson 6: ask for a Fibonacci number
//
//      fib N
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <stdio.h>
#include <string.h>

int
main (int argc, char **argv)
{
    const char *number = argc > 1 ? argv[1] : "30";
    char why[256] = "";
    tern_peer_t *peer = NULL;
    tern_requester_t *fib = NULL;
    tern_msg_t *reply = NULL;
    if (tern_peer_open (&peer, NULL, why, sizeof why)
        || tern_requester_open (&fib, peer, "fib", NULL)) {
        fprintf (stderr, "fib: %s\n", why);
        return 1;
    }
    tern_msg_t *request = tern_msg_new (number, strlen (number));
    const int rc
        = tern_requester_request (fib, request, 10000, &reply, why, sizeof why);
    if (rc) {
        fprintf (stderr, "fib: %s %s\n", tern_strerror (rc), why);
    } else {
        printf ("fib (%s) = %.*s\n", number, (int) tern_msg_size (reply),
                (const char *) tern_msg_body (reply));
    }
    tern_msg_destroy (&reply);
    tern_msg_destroy (&request);
    tern_requester_close (&fib);
    tern_peer_close (&peer, 0);
    return rc ? 1 : 0;
}
