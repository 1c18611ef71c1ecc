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

void
prices_take (zhashx_t *prices, const tern_msg_t *msg, uint64_t seq)
{
    char name[128];
    char value[64];
    size_t size = 0;
    const char *key = tern_msg_key (msg, &size);
    snprintf (name, sizeof name, "%.*s", (int) size, key);
    snprintf (value, sizeof value, "%.*s", (int) tern_msg_size (msg),
              (const char *) tern_msg_body (msg));
    prices_put (prices, name, value, seq);
}

tern_peer_t *
prices_peer (void)
{
    char why[256] = "";
    tern_peer_t *peer = NULL;
    tern_config_t *config = tern_config_new ();
    if (tern_config_environment (config, why, sizeof why)
        || tern_peer_open (&peer, config, why, sizeof why)) {
        fprintf (stderr, "%s\n", why);
    }
    tern_config_destroy (&config);
    return peer;
}

int
prices_subscribe (tern_peer_t *peer, const char *queue,
                  tern_consumer_t **updates_p)
{
    const tern_binding_t binding
        = {.exchange = "prices", .type = TERN_FANOUT, .queue = queue};
    int rc = tern_peer_bind (peer, &binding, NULL, 0);
    rc = rc ? rc : tern_peer_bound (peer, &binding, -1);
    return rc ? rc : tern_consumer_open (updates_p, peer, queue, NULL);
}
