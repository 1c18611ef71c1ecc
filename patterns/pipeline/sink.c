//  sink.c - fan in: adds up N results, each counted once
//
//      sink N
//
//  SPDX-License-Identifier: MPL-2.0

#include "pipeline.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t
s_number (const void *text, size_t size)
{
    char copy[32] = "";
    memcpy (copy, text, size < sizeof copy ? size : sizeof copy - 1);
    return strtoull (copy, NULL, 10);
}

int
main (int argc, char **argv)
{
    const uint64_t count = argc > 1 ? strtoull (argv[1], NULL, 10) : 10;
    bool *seen = calloc (count + 1, sizeof *seen);
    tern_peer_t *peer = seen ? pipeline_peer ("sink") : NULL;
    tern_consumer_t *results = NULL;
    if (!peer || tern_consumer_open (&results, peer, "results", NULL)) {
        tern_peer_close (&peer, 0);
        free (seen);
        return 1;
    }
    uint64_t sum = 0;
    uint64_t pieces = 0;
    uint64_t repeated = 0;
    while (pieces < count) {
        tern_msg_t *result = tern_consumer_recv (results, -1);
        size_t size;
        const char *key = tern_msg_key (result, &size);
        const uint64_t number = s_number (key, size);
        if (number >= 1 && number <= count && !seen[number]) {
            seen[number] = true;
            sum += s_number (tern_msg_body (result), tern_msg_size (result));
            if (++pieces % 1000 == 0) {
                fprintf (stderr, "%" PRIu64 " results\n", pieces);
            }
        } else {
            repeated++;
        }
        tern_consumer_accept (results, result);
    }
    printf ("%" PRIu64 " results, sum %" PRIu64 "\n", pieces, sum);
    fprintf (stderr, "%" PRIu64 " came twice and were counted once\n",
             repeated);
    tern_consumer_close (&results);
    tern_peer_close (&peer, -1);
    free (seen);
    return 0;
}
