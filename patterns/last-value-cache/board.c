//  board.c - shows all prices: what they are now, then every change
//
//      board NAME
//
//  Subscribes first, asks for the snapshot second, so no update falls between;
//  what is in both is told apart by its number.  Says "ready" with the snapshot,
//  and ends with an update named "end", printing what it shows then.
//
//  SPDX-License-Identifier: MPL-2.0

#include "prices.h"

static int
s_snapshot (tern_peer_t *peer, zhashx_t *prices, char *why, size_t why_size)
{
    tern_requester_t *asking = NULL;
    int rc = tern_requester_open (&asking, peer, "prices.snapshot", NULL);
    if (rc) {
        return rc;
    }
    uint64_t id = 0;
    tern_msg_t *question = tern_msg_new ("", 0);
    rc = tern_requester_begin (asking, question, 10000, &id);
    tern_msg_destroy (&question);
    tern_reply_t reply = {.last = false};
    while (!rc && !reply.last) {
        rc = tern_requester_next (asking, id, &reply, -1);
        rc = rc ? rc : reply.status;
        if (!rc && reply.msg) {
            size_t size = 0;
            char name[128];
            char value[64];
            char seq[32];
            const char *text = tern_msg_key (reply.msg, &size);
            snprintf (name, sizeof name, "%.*s", (int) size, text);
            snprintf (value, sizeof value, "%.*s",
                      (int) tern_msg_size (reply.msg),
                      (const char *) tern_msg_body (reply.msg));
            text = tern_msg_header (reply.msg, "seq", &size);
            snprintf (seq, sizeof seq, "%.*s", (int) size, text ? text : "0");
            prices_put (prices, name, value, strtoull (seq, NULL, 10));
        }
        tern_msg_destroy (&reply.msg);
    }
    if (rc) {
        snprintf (why, why_size, "no snapshot: %s", reply.why);
    }
    tern_requester_close (&asking);
    return rc;
}

int
main (int argc, char **argv)
{
    char queue[64];
    snprintf (queue, sizeof queue, "prices.%.40s",
              argc > 1 ? argv[1] : "board");
    char why[256] = "";
    tern_config_t *config = tern_config_new ();
    tern_peer_t *peer = NULL;
    tern_consumer_t *updates = NULL;
    zhashx_t *prices = prices_new ();
    int rc = tern_config_environment (config, why, sizeof why);
    rc = rc ? rc : tern_peer_open (&peer, config, why, sizeof why);
    rc = rc ? rc : prices_subscribe (peer, queue, &updates, why, sizeof why);
    rc = rc ? rc : s_snapshot (peer, prices, why, sizeof why);
    tern_config_destroy (&config);
    fprintf (stderr, "%s\n", rc ? why[0] ? why : tern_strerror (rc) : "ready");

    while (!rc && !zhashx_lookup (prices, "end")) {
        tern_msg_t *update = tern_consumer_recv (updates, -1);
        prices_on_update (prices, update);
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
