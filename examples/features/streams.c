//  streams.c - many questions at once, answers in several parts, and giving up
//
//  One question and its one answer: ../request.
//
//  SPDX-License-Identifier: MPL-2.0

#include "example.h"

#include <poll.h>

static uint64_t
s_ask (tern_requester_t *requester, const char *words)
{
    uint64_t id = 0;
    tern_msg_t *request = text (words);
    must (tern_requester_begin (requester, request, 20000, &id), words);
    tern_msg_destroy (&request);
    return id;
}

//  The server's end: one request, answered in as many parts as it asks for.
static void
s_serve (tern_service_t *service)
{
    const tern_msg_t *request = tern_service_recv (service, -1);
    char number[32] = "";
    if (tern_msg_size (request) < sizeof number) {
        memcpy (number, tern_msg_body (request), tern_msg_size (request));
    }
    long left = strtol (number, NULL, 10);
    if (left <= 0) {
        tern_service_fail (service, request, "not a number above zero");
    }
    for (int rc = TERN_OK; left > 0 && !rc; left--) {
        snprintf (number, sizeof number, "%ld", left);
        tern_msg_t *part = text (number);
        rc = tern_service_reply (service, request, part, left == 1, -1);
        tern_msg_destroy (&part);
    }
}

//  Every request ends with a reply that is the last, or with words.
static void
s_hear (tern_requester_t *requester, uint64_t id, const char *what)
{
    tern_reply_t reply = {.last = false};
    while (!reply.last) {
        must (tern_requester_next (requester, id, &reply, -1), "next");
        if (reply.msg) {
            show (what, reply.msg);
        } else {
            printf ("%s: %s: %s\n", what, tern_strerror (reply.status),
                    reply.why);
        }
        tern_msg_destroy (&reply.msg);
    }
}

int
main (void)
{
    tern_peer_t *peer = open_peer ("example-streams");
    tern_service_t *service = NULL;
    tern_requester_t *requester = NULL;
    must (tern_service_open (&service, peer, "countdown", NULL), "serve");
    must (tern_requester_open (&requester, peer, "countdown", NULL), "ask");

    const uint64_t three = s_ask (requester, "3");
    const uint64_t word = s_ask (requester, "soon");
    s_serve (service);
    s_serve (service);
    s_hear (requester, word, "soon");  //  in any order
    s_hear (requester, three, "three");

    //  Given up: whoever serves it is told, and need not go on.
    const uint64_t never = s_ask (requester, "1000000");
    const tern_msg_t *request = tern_service_recv (service, -1);
    must (tern_requester_cancel (requester, never), "cancel");
    while (tern_service_wanted (service, request)) {
        poll (NULL, 0, 10);
    }
    printf ("server: nobody waits any more\n");

    tern_requester_close (&requester);
    tern_service_close (&service);
    tern_peer_close (&peer, 0);
    return 0;
}
