//  shop.c - send payments, wait until all are made
//
//      shop COUNT
//
//  Payment n goes to account n modulo 10 and is n cents.
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <stdio.h>
#include <stdlib.h>

int
main (int argc, char **argv)
{
    const long count = argc > 1 ? strtol (argv[1], NULL, 10) : 10;
    char why[256] = "";
    tern_config_t *config = tern_config_new ();
    tern_peer_t *peer = NULL;
    tern_producer_t *payments = NULL;
    int rc = tern_config_environment (config, why, sizeof why);
    if (!rc) {
        rc = tern_peer_open (&peer, config, why, sizeof why);
    }
    if (!rc) {
        rc = tern_producer_open (&payments, peer, "payments", why, sizeof why);
    }
    tern_config_destroy (&config);

    uint64_t seq = 0;
    for (long number = 1; number <= count && !rc; number++) {
        char text[64];
        const int size
            = snprintf (text, sizeof text, "%ld %ld", number % 10, number);
        rc = tern_producer_send (payments, text, (size_t) size, -1, &seq);
    }
    if (!rc) {
        rc = tern_producer_wait (payments, seq, TERN_PROCESSED, -1);
    }
    if (rc) {
        fprintf (stderr, "shop: %s\n", why[0] ? why : tern_strerror (rc));
    } else {
        printf ("%ld payments sent and settled\n", count);
    }
    tern_producer_close (&payments);
    tern_peer_close (&peer, 0);
    return rc ? 1 : 0;
}
