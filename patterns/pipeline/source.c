//  source.c - fan out: the numbers 1 to N, each a piece of work
//
//      source N
//
//  SPDX-License-Identifier: MPL-2.0

#include "pipeline.h"

#include <stdio.h>
#include <stdlib.h>

int
main (int argc, char **argv)
{
    const long count = argc > 1 ? strtol (argv[1], NULL, 10) : 10;
    tern_peer_t *peer = pipeline_peer ("source");
    if (!peer) {
        return 1;
    }
    tern_producer_t *work = NULL;
    int rc = tern_producer_open (&work, peer, "work", NULL, 0);
    uint64_t last = 0;
    for (long number = 1; number <= count && !rc; number++) {
        char body[32];
        const int size = snprintf (body, sizeof body, "%ld", number);
        rc = tern_producer_send (work, body, (size_t) size, -1, &last);
    }
    if (!rc) {
        rc = tern_producer_wait (work, last, TERN_PROCESSED, -1);
    }
    tern_producer_close (&work);
    tern_peer_close (&peer, 0);
    return rc ? pipeline_fail ("source", "not all was worked on", rc) : 0;
}
