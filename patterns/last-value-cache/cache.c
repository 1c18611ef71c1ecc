//  cache.c - knows the last value of everything, and tells it to who asks
//
//      cache FILE
//
//  Updates are accepted when the file holds them, so a cache that is killed
//  knows everything again when it is back: what is in the file, and what comes
//  again.  So there is no other way to end it.  Says "ready" when it can be asked.
//
//  SPDX-License-Identifier: MPL-2.0

#include "prices.h"

#define SAVE_EVERY 100

static void
s_load (zhashx_t *prices, const char *path)
{
    FILE *file = fopen (path, "r");
    char line[256];
    while (file && fgets (line, sizeof line, file)) {
        char *rest = NULL;
        const char *name = strtok_r (line, " ", &rest);
        const char *value = strtok_r (NULL, " ", &rest);
        prices_put (prices, name, value, strtoull (rest, NULL, 10));
    }
    if (file) {
        fclose (file);
    }
}

//  The whole file anew, then its name: never half of it.
static int
s_save (zhashx_t *prices, const char *path)
{
    char draft[4096];
    snprintf (draft, sizeof draft, "%s.new", path);
    FILE *file = fopen (draft, "w");
    if (!file) {
        return -1;
    }
    for (price_t *price = zhashx_first (prices); price;
         price = zhashx_next (prices)) {
        fprintf (file, "%s %s %" PRIu64 "\n",
                 (const char *) zhashx_cursor (prices), price->value,
                 price->seq);
    }
    const bool stored = fflush (file) == 0 && fsync (fileno (file)) == 0;
    return fclose (file) || !stored || rename (draft, path) ? -1 : 0;
}

//  All prices, a reply each: name as key, number as header.
static void
s_answer (tern_service_t *service, const tern_msg_t *request, zhashx_t *prices)
{
    int rc = 0;
    for (price_t *price = zhashx_first (prices); price && !rc;
         price = zhashx_next (prices)) {
        tern_msg_t *reply = tern_msg_new (price->value, strlen (price->value));
        char seq[32];
        snprintf (seq, sizeof seq, "%" PRIu64, price->seq);
        rc = tern_msg_set_key (reply, zhashx_cursor (prices));
        rc = rc ? rc : tern_msg_set_header (reply, "seq", seq);
        rc = rc ? rc
                : tern_service_reply (service, request, reply, false, 1000);
        tern_msg_destroy (&reply);
    }
    if (!rc) {
        rc = tern_service_reply (service, request, NULL, true, 1000);
    }
    if (rc) {
        tern_service_fail (service, request, tern_strerror (rc));
    }
}

int
main (int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "prices";
    tern_consumer_t *updates = NULL;
    tern_service_t *service = NULL;
    zhashx_t *prices = prices_new ();
    s_load (prices, path);
    tern_peer_t *peer = prices_peer ();
    int rc = peer ? prices_subscribe (peer, "prices.cache", &updates) : 1;
    rc = rc ? rc : tern_service_open (&service, peer, "prices.snapshot", NULL);
    fprintf (stderr, "%s\n", rc ? tern_strerror (rc) : "ready");
    if (rc) {
        tern_consumer_close (&updates);
        tern_peer_close (&peer, 0);
        zhashx_destroy (&prices);
        return 1;
    }

    tern_msg_t *held[SAVE_EVERY];
    size_t count = 0;
    for (;;) {
        zmq_pollitem_t items[] = {
            {.fd = tern_consumer_fd (updates), .events = ZMQ_POLLIN},
            {.fd = tern_service_fd (service), .events = ZMQ_POLLIN},
        };
        zmq_poll (items, 2, -1);
        tern_msg_t *update;
        while (count < SAVE_EVERY
               && (update = tern_consumer_recv (updates, 0)) != NULL) {
            prices_take (prices, update, tern_msg_seq (update));
            held[count++] = tern_msg_dup (update);
        }
        const bool saved = count && s_save (prices, path) == 0;
        for (; saved && count; count--) {
            tern_consumer_accept (updates, held[count - 1]);
            tern_msg_destroy (&held[count - 1]);
        }
        tern_msg_t *request;
        while ((request = tern_service_recv (service, 0)) != NULL) {
            s_answer (service, request, prices);
        }
    }
}
