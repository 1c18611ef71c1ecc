//  durable_request.c - a question whose answer comes, whoever dies meanwhile
//
//  The question is a message on the asker's disk, the answer one on the server's.
//  The asker notes how the answer will be known, and can ask for it in its next
//  life.
//
//  SPDX-License-Identifier: MPL-2.0

#include "example.h"

//  First life: ask, note the correlation, end before there is an answer.
static void
s_ask (tern_peer_t *peer, char correlation[128])
{
    const tern_requester_options_t durable = {.durable = true};
    tern_requester_t *requester = NULL;
    tern_msg_t *request = text ("an offer for 12 chairs");
    uint64_t id = 0;
    must (tern_requester_open (&requester, peer, "offers", &durable), "ask");
    must (tern_requester_begin (requester, request, -1, &id), "begin");
    must (tern_requester_correlation (requester, id, correlation), "note");
    tern_msg_destroy (&request);
    tern_requester_close (&requester);
}

//  A server that was not there at that time.
static void
s_serve (tern_peer_t *peer)
{
    tern_service_t *service = NULL;
    must (tern_service_open (&service, peer, "offers", NULL), "serve");
    const tern_msg_t *request = tern_service_recv (service, -1);
    tern_msg_t *reply = text ("640 euros");
    show ("asked", request);
    must (tern_service_reply (service, request, reply, true, -1), "reply");
    tern_msg_destroy (&reply);
    tern_service_close (&service);
}

//  Second life: only the note is left.
static void
s_resume (tern_peer_t *peer, const char *correlation)
{
    const tern_requester_options_t durable = {.durable = true};
    tern_requester_t *requester = NULL;
    tern_reply_t reply;
    uint64_t id = 0;
    must (tern_requester_open (&requester, peer, "offers", &durable), "ask");
    must (tern_requester_resume (requester, correlation, 20000, &id), "resume");
    must (tern_requester_next (requester, id, &reply, -1), "next");
    must (reply.status, reply.why);
    show ("answered", reply.msg);
    tern_msg_destroy (&reply.msg);
    tern_requester_close (&requester);
}

int
main (void)
{
    tern_peer_t *peer = open_peer ("example-durable-request");
    char correlation[128];
    s_ask (peer, correlation);
    s_serve (peer);
    s_resume (peer, correlation);
    tern_peer_close (&peer, 0);
    return 0;
}
