//  order_key.c - in order where it matters, side by side where it does not
//
//  The messages of one account are delivered one at a time, in the order of
//  sending, whichever consumers there are; other accounts do not wait for it.
//
//  SPDX-License-Identifier: MPL-2.0

#include "example.h"

static void
s_send (tern_producer_t *producer, const char *account, const char *words)
{
    tern_msg_t *msg = text (words);
    must (tern_msg_set_order_key (msg, account), "ordering key");
    send_off (producer, msg);
}

int
main (void)
{
    char why[256] = "";
    tern_peer_t *peer = open_peer ("example-order-key");
    tern_producer_t *producer = NULL;
    tern_consumer_t *steps = NULL;
    must (tern_producer_open (&producer, peer, "steps", why, sizeof why), why);
    s_send (producer, "anna", "anna opens");
    s_send (producer, "anna", "anna pays");
    s_send (producer, "ben", "ben opens");
    s_send (producer, "ben", "ben pays");

    //  There is room for all four, yet only the first of each account comes.
    must (tern_consumer_open (&steps, peer, "steps", NULL), "consume steps");
    tern_msg_t *anna = tern_msg_dup (tern_consumer_recv (steps, -1));
    tern_msg_t *ben = tern_msg_dup (tern_consumer_recv (steps, -1));
    show ("in hand", anna);
    show ("in hand", ben);
    if (!tern_consumer_recv (steps, 100)) {
        printf ("no other comes\n");
    }

    //  Each step that is done lets the next one of its account go.
    tern_consumer_accept (steps, ben);
    tern_msg_t *next = tern_consumer_recv (steps, -1);
    show ("ben is done, next", next);
    tern_consumer_accept (steps, next);
    tern_consumer_accept (steps, anna);
    next = tern_consumer_recv (steps, -1);
    show ("anna is done, next", next);
    tern_consumer_accept (steps, next);

    tern_msg_destroy (&anna);
    tern_msg_destroy (&ben);
    tern_consumer_close (&steps);
    tern_producer_close (&producer);
    tern_peer_close (&peer, -1);
    return 0;
}
