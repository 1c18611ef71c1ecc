//  late_joiner.c - publish-subscribe for who is away, and for who comes late
//
//  A subscriber is a queue of its own that is bound to the exchange.  It is
//  durable: what is published while nobody consumes it waits.  Where publishers
//  keep what was settled, a new one may begin in the past.
//
//  SPDX-License-Identifier: MPL-2.0

#include "example.h"

static void
s_subscribe (tern_peer_t *peer, const char *queue, tern_from_t from,
             uint64_t from_seq)
{
    const tern_binding_t binding = {.exchange = "news",
                                    .type = TERN_FANOUT,
                                    .queue = queue,
                                    .from = from,
                                    .from_seq = from_seq};
    char why[256] = "";
    must (tern_peer_bind (peer, &binding, why, sizeof why), why);
    must (tern_peer_bound (peer, &binding, -1), "bind");
}

//  Come, read so many, and go; the subscription stays.
static void
s_read (tern_peer_t *peer, const char *queue, int count)
{
    tern_consumer_t *news = NULL;
    must (tern_consumer_open (&news, peer, queue, NULL), queue);
    while (count-- > 0) {
        const tern_msg_t *msg = tern_consumer_recv (news, -1);
        show (queue, msg);
        tern_consumer_accept (news, msg);
    }
    tern_consumer_close (&news);
}

int
main (void)
{
    char why[256] = "";
    tern_peer_t *peer = open_peer ("example-late-joiner");
    tern_producer_t *news = NULL;
    //  Keep a day, but no more than about 64 MiB, of what everybody has read.
    const tern_exchange_options_t keep
        = {.retain_ms = 24 * 3600 * 1000, .retain_bytes = 64 << 20};
    s_subscribe (peer, "anna", TERN_FROM_NEW, 0);
    must (tern_producer_open_exchange (&news, peer, "news", TERN_FANOUT, &keep,
                                       why, sizeof why),
          why);

    send_off (news, text ("monday"));
    s_read (peer, "anna", 1);
    send_off (news, text ("tuesday"));  //  anna is away
    const uint64_t last = send_off (news, text ("wednesday"));
    s_read (peer, "anna", 2);

    //  Two who had never heard of it when it was published.
    s_subscribe (peer, "ben", TERN_FROM_EARLIEST, 0);
    s_subscribe (peer, "cleo", TERN_FROM_SEQ, last);
    s_read (peer, "ben", 3);
    s_read (peer, "cleo", 1);

    tern_producer_close (&news);
    tern_peer_close (&peer, 0);
    return 0;
}
