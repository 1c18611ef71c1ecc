//  emit.c - lessons 3 to 5: a message to the exchange "logs"
//
//      emit fanout|direct|topic TEXT [KEY]
//
//  Each type has an exchange of its own here: logs-fanout and so on.
//
//  SPDX-License-Identifier: MPL-2.0

#include "logs.h"

#include <stdio.h>
#include <string.h>

int
main (int argc, char **argv)
{
    char exchange[64];
    tern_exchange_type_t type;
    char why[256] = "";
    uint64_t seq;
    tern_peer_t *peer = NULL;
    tern_producer_t *logs = NULL;
    if (argc < 3 || logs_exchange (argv[1], exchange, &type)) {
        fprintf (stderr, "usage: emit fanout|direct|topic TEXT [KEY]\n");
        return 2;
    }
    if (tern_peer_open (&peer, NULL, why, sizeof why)
        || tern_producer_open_exchange (&logs, peer, exchange, type, NULL, why,
                                        sizeof why)) {
        fprintf (stderr, "emit: %s\n", why);
        return 1;
    }
    tern_msg_t *msg = tern_msg_new (argv[2], strlen (argv[2]));
    int rc = tern_msg_set_key (msg, argc > 3 ? argv[3] : "");
    rc = rc ? rc : tern_producer_send_msg (logs, msg, 5000, &seq);
    rc = rc ? rc : tern_producer_wait (logs, seq, TERN_PROCESSED, -1);
    printf ("%s\n", rc ? tern_strerror (rc) : "everybody has it");
    tern_msg_destroy (&msg);
    tern_producer_close (&logs);
    tern_peer_close (&peer, 0);
    return rc ? 1 : 0;
}
