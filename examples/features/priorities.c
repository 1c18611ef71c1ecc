//  priorities.c - what is urgent, what comes later, what is soon worth nothing
//
//  SPDX-License-Identifier: MPL-2.0

#include "example.h"

int
main (void)
{
    char why[256] = "";
    tern_peer_t *peer = open_peer ("example-priorities");
    tern_producer_t *producer = NULL;
    tern_consumer_t *alarms = NULL;
    tern_consumer_t *dead = NULL;
    must (tern_producer_open (&producer, peer, "alarms", why, sizeof why), why);

    tern_msg_t *msg = text ("tea is ready");
    must (tern_msg_set_delay (msg, 300), "delay");  //  not before 300 ms
    send_off (producer, msg);

    msg = text ("door open");
    must (tern_msg_set_priority (msg, 1), "priority");
    send_off (producer, msg);

    msg = text ("fire");
    must (tern_msg_set_priority (msg, TERN_PRIORITY_MAX), "priority");
    send_off (producer, msg);

    msg = text ("bus leaves");
    must (tern_msg_set_ttl (msg, 20), "ttl");  //  worth nothing after 20 ms
    send_off (producer, msg);

    //  Nobody consumes alarms yet, so the bus leaves.  What has expired is a
    //  dead letter, or dropped if the policy says so (drop_expired).
    must (tern_consumer_open (&dead, peer, "alarms.dead", NULL), "consume");
    msg = tern_consumer_recv (dead, -1);
    show ("expired", msg);
    tern_consumer_accept (dead, msg);

    //  Of what waits the most urgent comes first.
    const tern_consumer_options_t one = {.prefetch = 1};
    must (tern_consumer_open (&alarms, peer, "alarms", &one), "consume");
    for (int count = 0; count < 3; count++) {
        msg = tern_consumer_recv (alarms, -1);
        printf ("priority %d, ", tern_msg_priority (msg));
        show ("alarm", msg);
        tern_consumer_accept (alarms, msg);
    }

    tern_consumer_close (&alarms);
    tern_consumer_close (&dead);
    tern_producer_close (&producer);
    tern_peer_close (&peer, -1);
    return 0;
}
