//  fib_server.c - lesson 6: answer COUNT requests for Fibonacci numbers
//
//      fib_server COUNT
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t
s_fib (unsigned long n)
{
    uint64_t one = 0;
    uint64_t next = 1;
    for (; n > 0; n--) {
        const uint64_t sum = one + next;
        one = next;
        next = sum;
    }
    return one;
}

int
main (int argc, char **argv)
{
    char why[256] = "";
    tern_peer_t *peer = NULL;
    tern_service_t *fib = NULL;
    if (tern_peer_open (&peer, NULL, why, sizeof why)
        || tern_service_open (&fib, peer, "fib", NULL)) {
        fprintf (stderr, "fib_server: %s\n", why);
        return 1;
    }
    int rc = 0;
    for (long left = argc > 1 ? strtol (argv[1], NULL, 10) : 1; left > 0 && !rc;
         left--) {
        tern_msg_t *request = tern_service_recv (fib, -1);
        char text[32];
        snprintf (text, sizeof text, "%.*s", (int) tern_msg_size (request),
                  (const char *) tern_msg_body (request));
        const int size = snprintf (text, sizeof text, "%" PRIu64,
                                   s_fib (strtoul (text, NULL, 10) % 90));
        tern_msg_t *reply = tern_msg_new (text, (size_t) size);
        rc = tern_service_reply (fib, request, reply, true, 1000);
        tern_msg_destroy (&reply);
    }
    tern_service_close (&fib);
    tern_peer_close (&peer, 1000);
    return rc ? 1 : 0;
}
