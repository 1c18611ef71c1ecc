//  pause.c - stop for a while, go on, and leave without losing anything
//
//  SPDX-License-Identifier: MPL-2.0

#include "example.h"

int
main (void)
{
    char why[256] = "";
    tern_peer_t *peer = open_peer ("example-pause");
    tern_producer_t *producer = NULL;
    tern_consumer_t *jobs = NULL;
    must (tern_producer_open (&producer, peer, "jobs", why, sizeof why), why);
    must (tern_consumer_open (&jobs, peer, "jobs", NULL), "consume jobs");

    //  A paused consumer takes nothing; other consumers of the queue get it all.
    //  There is no other here, so the job waits with its publisher.
    tern_consumer_pause (jobs);
    const uint64_t seq = send_off (producer, text ("sweep"));
    if (!tern_consumer_recv (jobs, 100)) {
        printf ("paused: nothing comes\n");
    }
    tern_consumer_resume (jobs);
    const tern_msg_t *job = tern_consumer_recv (jobs, -1);
    show ("resumed", job);
    tern_consumer_accept (jobs, job);

    //  Before leaving: take nothing new, and wait up to 10 s until what is in
    //  hand has been settled, here and with those that we have sent to.
    must (tern_peer_drain (peer, 10000), "drain");
    printf ("drained: %s\n",
            tern_producer_level (producer, seq) == TERN_PROCESSED ? "all done"
                                                                  : "no");
    const int rc = tern_producer_send (producer, "late", 4, 0, NULL);
    printf ("sending now: %s\n", tern_strerror (rc));

    tern_consumer_close (&jobs);
    tern_producer_close (&producer);
    //  What is left would be kept for the next opening, or for tern drain.
    const uint64_t left = tern_peer_close (&peer, -1);
    printf ("left behind: %u\n", (unsigned) left);
    return 0;
}
