//  server.c - tell the prices of things; start as many as you like
//
//  usage: server [hang]
//
//  The price of a thing is the length of its name, and things that begin with
//  "no" have none.  With "hang" it takes requests and never answers, as a server
//  does that is about to die.
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define SERVICE "prices"

static volatile sig_atomic_t s_stop;

static void
s_on_signal (int number)
{
    (void) number;
    s_stop = 1;
}

static void
s_answer (tern_service_t *service, const tern_msg_t *request)
{
    char price[64];
    const char *thing = tern_msg_body (request);
    const size_t size = tern_msg_size (request);
    if (size >= 2 && memcmp (thing, "no", 2) == 0) {
        tern_service_fail (service, request, "has no price");
        return;
    }
    //  Another server may have done it before it died: here that does no harm.
    snprintf (price, sizeof price, "%zu%s", size,
              tern_msg_redelivered (request) ? " (asked again)" : "");
    tern_msg_t *reply = tern_msg_new (price, strlen (price));
    const int rc = tern_service_reply (service, request, reply, true, -1);
    if (rc != TERN_OK && rc != TERN_ENOENT) {
        fprintf (stderr, "reply: %s\n", tern_strerror (rc));
    }
    tern_msg_destroy (&reply);
}

//  Requests in hand, kept and not answered.
static void
s_hang (tern_service_t *service)
{
    tern_msg_t *kept[16];
    unsigned count = 0;
    while (!s_stop) {
        const tern_msg_t *request = tern_service_recv (service, 100);
        if (request && count < 16) {
            kept[count++] = tern_msg_dup (request);
            printf ("has %.*s and hangs\n", (int) tern_msg_size (request),
                    (const char *) tern_msg_body (request));
            fflush (stdout);
        }
    }
    while (count > 0) {
        tern_msg_destroy (&kept[--count]);
    }
}

int
main (int argc, char **argv)
{
    char why[256];
    tern_peer_t *peer = NULL;
    tern_service_t *service = NULL;
    signal (SIGINT, s_on_signal);
    signal (SIGTERM, s_on_signal);
    if (tern_peer_open (&peer, NULL, why, sizeof why) != TERN_OK) {
        fprintf (stderr, "%s\n", why);
        return 1;
    }
    const int rc = tern_service_open (&service, peer, SERVICE, NULL);
    if (rc != TERN_OK) {
        fprintf (stderr, "%s: %s\n", SERVICE, tern_strerror (rc));
        tern_peer_close (&peer, 0);
        return 1;
    }
    if (argc > 1 && strcmp (argv[1], "hang") == 0) {
        s_hang (service);
    }
    while (!s_stop) {
        const tern_msg_t *request = tern_service_recv (service, 100);
        if (request) {
            s_answer (service, request);
        }
    }
    tern_service_close (&service);
    tern_peer_close (&peer, 0);
    return 0;
}
