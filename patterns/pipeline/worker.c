//  worker.c - the stage between: squares numbers
//
//  The one rule of a stage: what comes out is safe before what came in is
//  accepted.  A worker that dies in between does the piece again, so the next
//  stage must be ready to see a result twice; the key says which it is.
//
//  SPDX-License-Identifier: MPL-2.0

#include "pipeline.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static volatile sig_atomic_t s_stop;

static void
s_on_signal (int number)
{
    (void) number;
    s_stop = 1;
}

//  Work on one piece; 0 if its result is on our disk.
static int
s_work (tern_producer_t *results, const tern_msg_t *piece)
{
    char number[32];
    snprintf (number, sizeof number, "%.*s", (int) tern_msg_size (piece),
              (const char *) tern_msg_body (piece));
    const uint64_t value = strtoull (number, NULL, 10);
    char body[32];
    const int size = snprintf (body, sizeof body, "%" PRIu64, value * value);
    tern_msg_t *result = tern_msg_new (body, (size_t) size);
    uint64_t seq = 0;
    int rc = tern_msg_set_key (result, number);
    if (!rc) {
        rc = tern_producer_send_msg (results, result, -1, &seq);
    }
    tern_msg_destroy (&result);
    return rc ? rc : tern_producer_wait (results, seq, TERN_SYNCED, -1);
}

int
main (void)
{
    struct sigaction action = {.sa_handler = s_on_signal};
    sigaction (SIGTERM, &action, NULL);
    tern_peer_t *peer = pipeline_peer ("worker");
    if (!peer) {
        return 1;
    }
    const tern_consumer_options_t some = {.prefetch = 32};
    tern_consumer_t *work = NULL;
    tern_producer_t *results = NULL;
    int rc = tern_consumer_open (&work, peer, "work", &some);
    if (!rc) {
        rc = tern_producer_open (&results, peer, "results", NULL, 0);
    }
    while (!rc && !s_stop) {
        tern_msg_t *piece = tern_consumer_recv (work, 200);
        if (piece && s_work (results, piece) == 0) {
            tern_consumer_accept (work, piece);
        } else if (piece) {
            tern_consumer_requeue (work, piece);
        }
    }
    tern_consumer_close (&work);
    tern_producer_close (&results);
    //  Results that the sink has not taken yet: wait for it, for a while.
    tern_peer_close (&peer, 10000);
    return rc ? pipeline_fail ("worker", "cannot start", rc) : 0;
}
