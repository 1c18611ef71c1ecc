//  confirms.c - fast and sure: send on while confirmations come in
//
//  A message rises through levels: written (survives kill -9), synced (survives
//  power loss), processed (a consumer has accepted it).  Waiting for each one
//  costs a disk's flush each; waiting for many at once costs the same flush
//  once.
//
//  SPDX-License-Identifier: MPL-2.0

#include "example.h"

#include <inttypes.h>

#define COUNT 10000
#define WINDOW 1000  //  sent and not known to be on the disk, at most

int
main (void)
{
    char why[256] = "";
    tern_peer_t *peer = open_peer ("example-confirms");
    tern_producer_t *producer = NULL;
    tern_consumer_t *meter = NULL;
    must (tern_producer_open (&producer, peer, "meter", why, sizeof why), why);

    //  Levels are numbers that rise: seq and all before it have reached one.
    //  So a window needs no list, and asking how far it is never blocks.
    uint64_t seq = 0;
    for (int value = 0; value < COUNT; value++) {
        must (tern_producer_send (producer, &value, sizeof value, -1, &seq),
              "send");
        if (seq - tern_producer_reached (producer, TERN_SYNCED) >= WINDOW) {
            must (tern_producer_wait (producer, seq - WINDOW / 2, TERN_SYNCED,
                                      -1),
                  "wait");
        }
    }
    must (tern_producer_wait (producer, seq, TERN_SYNCED, -1), "wait");
    printf ("%d are on the disk\n", COUNT);

    //  Nobody has consumed them: a wait may end without its level.  Nothing is
    //  lost by that, it goes on.
    const int rc = tern_producer_wait (producer, seq, TERN_PROCESSED, 0);
    printf ("processed? %s\n", tern_strerror (rc));

    must (tern_consumer_open (&meter, peer, "meter", NULL), "consume");
    for (int count = 0; count < COUNT; count++) {
        tern_consumer_accept (meter, tern_consumer_recv (meter, -1));
    }
    must (tern_producer_wait (producer, seq, TERN_PROCESSED, -1), "wait");
    printf ("%" PRIu64 " are processed\n",
            tern_producer_reached (producer, TERN_PROCESSED) - seq + COUNT);

    tern_consumer_close (&meter);
    tern_producer_close (&producer);
    tern_peer_close (&peer, -1);
    return 0;
}
