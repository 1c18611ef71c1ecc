//  prices.c - the last value of each name, and which update it came with
//
//  SPDX-License-Identifier: MPL-2.0

#include "prices.h"

static void
s_free (void **item_p)
{
    free (*item_p);
    *item_p = NULL;
}

zhashx_t *
prices_new (void)
{
    zhashx_t *prices = zhashx_new ();
    zhashx_set_destructor (prices, s_free);
    return prices;
}

void
prices_put (zhashx_t *prices, const char *name, const char *value, uint64_t seq)
{
    price_t *price = (price_t *) zhashx_lookup (prices, name);
    if (!price) {
        price = (price_t *) zmalloc (sizeof *price);
        zhashx_insert (prices, name, price);
    }
    if (seq > price->seq) {
        price->seq = seq;
        snprintf (price->value, sizeof price->value, "%s", value);
    }
}

int
prices_subscribe (tern_peer_t *peer, const char *queue,
                  tern_consumer_t **updates_p, char *why, size_t size)
{
    const tern_binding_t binding
        = {.exchange = "prices", .type = TERN_FANOUT, .queue = queue};
    int rc = tern_peer_bind (peer, &binding, why, size);
    if (!rc) {
        rc = tern_peer_bound (peer, &binding, -1);
    }
    return rc ? rc : tern_consumer_open (updates_p, peer, queue, NULL);
}

void
prices_on_update (zhashx_t *prices, const tern_msg_t *update)
{
    char name[128];
    char value[64];
    size_t size = 0;
    const char *key = tern_msg_key (update, &size);
    snprintf (name, sizeof name, "%.*s", (int) size, key);
    snprintf (value, sizeof value, "%.*s", (int) tern_msg_size (update),
              (const char *) tern_msg_body (update));
    prices_put (prices, name, value, tern_msg_seq (update));
}
