//  board.c - shows all prices: what they are now, then every change
//
//      board QUEUE
//
//  Subscribes first, asks for the snapshot second, so no update falls between;
//  what is in both is told apart by its number.  Says "ready" with the snapshot,
//  and ends with an update named "end", printing what it shows then.
//
//  SPDX-License-Identifier: MPL-2.0

#include "prices.h"

static int
s_snapshot (tern_peer_t *peer, zhashx_t *prices)
{
    tern_requester_t *asking = NULL;
    uint64_t id = 0;
    tern_msg_t *question = tern_msg_new ("", 0);
    int rc = tern_requester_open (&asking, peer, "prices.snapshot", NULL);
    rc = rc ? rc : tern_requester_begin (asking, question, 10000, &id);
    tern_msg_destroy (&question);
    tern_reply_t reply = {.last = false};
    while (!rc && !reply.last) {
        rc = tern_requester_next (asking, id, &reply, -1);
        rc = rc ? rc : reply.status;
        if (!rc && reply.msg) {
            char seq[32];
            size_t size = 0;
            const char *text = tern_msg_header (reply.msg, "seq", &size);
            snprintf (seq, sizeof seq, "%.*s", (int) size, text ? text : "0");
            prices_take (prices, reply.msg, strtoull (seq, NULL, 10));
        }
        tern_msg_destroy (&reply.msg);
    }
    tern_requester_close (&asking);
    return rc;
}

int
main (int argc, char **argv)
{
    const char *queue = argc > 1 ? argv[1] : "prices.board";
    tern_consumer_t *updates = NULL;
    zhashx_t *prices = prices_new ();
    tern_peer_t *peer = prices_peer ();
    int rc = peer ? prices_subscribe (peer, queue, &updates) : 1;
    rc = rc ? rc : s_snapshot (peer, prices);
    fprintf (stderr, "%s\n", rc ? tern_strerror (rc) : "ready");

    while (!rc && !zhashx_lookup (prices, "end")) {
        tern_msg_t *update = tern_consumer_recv (updates, -1);
        prices_take (prices, update, tern_msg_seq (update));
        tern_consumer_accept (updates, update);
    }
    zhashx_delete (prices, "end");
    for (price_t *price = zhashx_first (prices); price && !rc;
         price = zhashx_next (prices)) {
        printf ("%s %s\n", (const char *) zhashx_cursor (prices), price->value);
    }
    tern_consumer_close (&updates);
    tern_peer_close (&peer, -1);
    zhashx_destroy (&prices);
    return rc ? 1 : 0;
}
