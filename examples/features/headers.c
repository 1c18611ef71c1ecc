//  headers.c - routing by headers, who got it, and what nobody wants
//
//  The other types of exchange are in ../tutorial: fanout, direct, topic.
//
//  SPDX-License-Identifier: MPL-2.0

#include "example.h"

static void
s_bind (tern_peer_t *peer, const tern_binding_t *binding)
{
    char why[256] = "";
    must (tern_peer_bind (peer, binding, why, sizeof why), why);
    //  From here on others know it, too.
    must (tern_peer_bound (peer, binding, -1), "bind");
}

//  A confirm names the queues that the message has reached.
static void
s_send (tern_producer_t *scans, const char *words, const char *format,
        const char *colour)
{
    uint32_t numbers[4];
    size_t count = 0;
    char queue[65];
    tern_msg_t *msg = text (words);
    must (tern_msg_set_header (msg, "format", format), "header");
    must (tern_msg_set_header (msg, "colour", colour), "header");
    must (tern_producer_send_routed (scans, msg, -1, NULL, numbers, 4, &count),
          words);
    printf ("%s goes to", words);
    for (size_t index = 0; index < count && index < 4; index++) {
        tern_producer_queue_name (scans, numbers[index], queue, sizeof queue);
        printf (" %s", queue);
    }
    printf ("\n");
    tern_msg_destroy (&msg);
}

int
main (void)
{
    const tern_header_t headers[] = {{.name = "format", .value = "pdf"},
                                     {.name = "colour", .value = "yes"}};
    const tern_binding_t printer = {.exchange = "scans",
                                    .type = TERN_HEADERS,
                                    .queue = "printer",
                                    .headers = headers,
                                    .header_count = 2};
    const tern_binding_t archive = {.exchange = "scans",
                                    .type = TERN_HEADERS,
                                    .queue = "archive",
                                    .headers = headers,
                                    .header_count = 2,
                                    .any = true};
    const tern_binding_t rest
        = {.exchange = "unwanted", .type = TERN_FANOUT, .queue = "rest"};
    const tern_exchange_options_t options = {.alternate = "unwanted"};
    char why[256] = "";
    tern_peer_t *peer = open_peer ("example-headers");
    tern_producer_t *scans = NULL;
    s_bind (peer, &printer);
    s_bind (peer, &archive);
    s_bind (peer, &rest);
    must (tern_producer_open_exchange (&scans, peer, "scans", TERN_HEADERS,
                                       &options, why, sizeof why),
          why);

    s_send (scans, "a coloured report", "pdf", "yes");  //  all, and any
    s_send (scans, "a grey report", "pdf", "no");       //  any
    s_send (scans, "a grey photo", "png", "no");        //  neither

    tern_producer_close (&scans);
    tern_peer_close (&peer, 0);
    return 0;
}
