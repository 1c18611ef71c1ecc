//  examples/request/client.c - ask a service and print its reply
//
//  usage: client TEXT
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <stdio.h>
#include <string.h>

int
main (int argc, char **argv)
{
    const char *text = argc > 1 ? argv[1] : "hello";
    char why[256];
    tern_peer_t *peer = NULL;
    if (tern_peer_open (&peer, NULL, why, sizeof why) != TERN_OK) {
        fprintf (stderr, "client: %s\n", why);
        return 1;
    }

    tern_requester_t *requester = NULL;
    tern_msg_t *request = tern_msg_new (text, strlen (text));
    tern_msg_t *reply = NULL;
    int rc = tern_requester_open (&requester, peer, "echo", NULL);
    if (rc == TERN_OK) {
        //  Waits for a server to come, if there is none.
        rc = tern_requester_request (requester, request, 20000, &reply, why,
                                     sizeof why);
    }
    if (rc == TERN_OK) {
        printf ("%.*s\n", (int) tern_msg_size (reply),
                (const char *) tern_msg_body (reply));
    } else {
        fprintf (stderr, "client: %s %s\n", tern_strerror (rc), why);
    }
    tern_msg_destroy (&reply);
    tern_msg_destroy (&request);
    tern_requester_close (&requester);
    tern_peer_close (&peer, 0);
    return rc != TERN_OK;
}
