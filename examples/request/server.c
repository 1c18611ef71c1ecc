//  examples/request/server.c - reply with what was asked, once or for ever
//
//  usage: server [COUNT]
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <stdio.h>
#include <stdlib.h>

int
main (int argc, char **argv)
{
    unsigned long left = argc > 1 ? strtoul (argv[1], NULL, 10) : 0;
    const bool endless = left == 0;
    char why[256];
    tern_peer_t *peer = NULL;
    tern_service_t *service = NULL;
    if (tern_peer_open (&peer, NULL, why, sizeof why) != TERN_OK) {
        fprintf (stderr, "server: %s\n", why);
        return 1;
    }
    int rc = tern_service_open (&service, peer, "echo", NULL);
    while (rc == TERN_OK && (endless || left > 0)) {
        const tern_msg_t *request = tern_service_recv (service, -1);
        rc = tern_service_reply (service, request, request, true, -1);
        if (rc == TERN_ENOENT) {
            rc = TERN_OK;  //  nobody waits for this one any more
        }
        left--;
    }
    if (rc != TERN_OK) {
        fprintf (stderr, "server: %s\n", tern_strerror (rc));
    }
    tern_service_close (&service);
    tern_peer_close (&peer, 0);
    return rc != TERN_OK;
}
