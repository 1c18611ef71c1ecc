//  client.c - ask for the prices of things, all at once
//
//  usage: client THING...
//
//  Every request is answered once or fails with words.  Whether a server dies
//  meanwhile is no business of ours: another one gets the request.
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SERVICE "prices"
#define TIMEOUT_MS 30000

//  Which thing has which id.
typedef struct {
    uint64_t id;
    const char *thing;
} question_t;

static int
s_ask_all (tern_requester_t *requester, question_t *questions, char **things,
           int count)
{
    for (int index = 0; index < count; index++) {
        tern_msg_t *msg = tern_msg_new (things[index], strlen (things[index]));
        questions[index].thing = things[index];
        const int rc = tern_requester_begin (requester, msg, TIMEOUT_MS,
                                             &questions[index].id);
        tern_msg_destroy (&msg);
        if (rc != TERN_OK) {
            fprintf (stderr, "%s: %s\n", things[index], tern_strerror (rc));
            return rc;
        }
    }
    return TERN_OK;
}

static const char *
s_thing (const question_t *questions, uint64_t id)
{
    while (questions->id != id) {
        questions++;
    }
    return questions->thing;
}

//  Each has exactly one answer; they come in any order.
static int
s_hear_all (tern_requester_t *requester, const question_t *questions, int count)
{
    int failed = 0;
    while (count > 0) {
        tern_reply_t reply;
        if (tern_requester_next (requester, 0, &reply, -1) != TERN_OK) {
            return 1;
        }
        const char *thing = s_thing (questions, reply.id);
        if (reply.msg) {
            printf ("%s costs %.*s\n", thing, (int) tern_msg_size (reply.msg),
                    (const char *) tern_msg_body (reply.msg));
        } else if (reply.status != TERN_OK) {
            printf ("%s: %s %s\n", thing, tern_strerror (reply.status),
                    reply.why);
            failed++;
        }
        count -= reply.last;
        tern_msg_destroy (&reply.msg);
        fflush (stdout);
    }
    return failed > 0;
}

int
main (int argc, char **argv)
{
    question_t questions[256];
    char why[256];
    tern_peer_t *peer = NULL;
    tern_requester_t *requester = NULL;
    if (argc < 2 || argc > 256) {
        fprintf (stderr, "usage: client THING...\n");
        return 2;
    }
    if (tern_peer_open (&peer, NULL, why, sizeof why) != TERN_OK) {
        fprintf (stderr, "%s\n", why);
        return 1;
    }
    int rc = tern_requester_open (&requester, peer, SERVICE, NULL);
    if (rc == TERN_OK) {
        rc = s_ask_all (requester, questions, argv + 1, argc - 1);
    }
    if (rc == TERN_OK) {
        rc = s_hear_all (requester, questions, argc - 1);
    }
    tern_requester_close (&requester);
    tern_peer_close (&peer, 0);
    return rc != TERN_OK;
}
