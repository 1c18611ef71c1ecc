//  receive.c - lessons 3 to 5: COUNT messages of the exchange "logs"
//
//      receive fanout|direct|topic QUEUE COUNT [KEY or PATTERN...]
//
//  SPDX-License-Identifier: MPL-2.0

#include "logs.h"

#include <stdlib.h>

//  Bind the queue: with fanout once, else with each of the words.
static int
s_bind (tern_peer_t *peer, tern_binding_t *binding, char **words, char *why,
        size_t size)
{
    int rc = 0;
    do {
        binding->pattern = binding->type == TERN_FANOUT ? NULL : *words;
        rc = tern_peer_bind (peer, binding, why, size);
        rc = rc ? rc : tern_peer_bound (peer, binding, -1);
    } while (!rc && *words && *++words);
    return rc;
}

int
main (int argc, char **argv)
{
    char exchange[64];
    char why[256] = "";
    tern_peer_t *peer = NULL;
    tern_consumer_t *logs = NULL;
    tern_binding_t binding = {.exchange = exchange};
    if (argc < 4 || logs_exchange (argv[1], exchange, &binding.type)
        || (binding.type != TERN_FANOUT && argc < 5)) {
        fprintf (stderr, "usage: receive fanout|direct|topic QUEUE COUNT "
                         "[KEY or PATTERN...]\n");
        return 2;
    }
    binding.queue = argv[2];
    if (tern_peer_open (&peer, NULL, why, sizeof why)
        || s_bind (peer, &binding, argv + 4, why, sizeof why)
        || tern_consumer_open (&logs, peer, binding.queue, NULL)) {
        fprintf (stderr, "receive: %s\n", why);
        return 1;
    }
    fprintf (stderr, "ready\n");
    for (long count = strtol (argv[3], NULL, 10); count > 0; count--) {
        tern_msg_t *msg = tern_consumer_recv (logs, -1);
        printf ("%.*s\n", (int) tern_msg_size (msg),
                (const char *) tern_msg_body (msg));
        tern_consumer_accept (logs, msg);
    }
    tern_consumer_close (&logs);
    tern_peer_close (&peer, -1);
    return 0;
}
