//  publish.c - news for whoever subscribes: a message for each line of input
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

//  Returns 0 also if nobody has subscribed: that is news to nobody.
static int
s_publish (tern_producer_t *news, const char *text, uint64_t *unheard)
{
    uint64_t seq;
    const int rc = tern_producer_send (news, text, strlen (text), -1, &seq);
    if (rc == TERN_ENOROUTE) {
        (*unheard)++;
        return 0;
    }
    return rc;
}

int
main (void)
{
    char why[256] = "";
    tern_config_t *config = tern_config_new ();
    tern_peer_t *peer = NULL;
    tern_producer_t *news = NULL;
    int rc = tern_config_environment (config, why, sizeof why);
    if (!rc) {
        rc = tern_peer_open (&peer, config, why, sizeof why);
    }
    if (!rc) {
        rc = tern_producer_open_exchange (&news, peer, "news", TERN_FANOUT,
                                          NULL, why, sizeof why);
    }
    tern_config_destroy (&config);

    char line[1024];
    uint64_t unheard = 0;
    while (!rc && fgets (line, sizeof line, stdin)) {
        line[strcspn (line, "\n")] = 0;
        rc = s_publish (news, line, &unheard);
    }
    //  One copy lies in our outbox until every subscriber has accepted it.
    if (!rc && tern_producer_last (news)) {
        rc = tern_producer_wait (news, tern_producer_last (news),
                                 TERN_PROCESSED, -1);
    }
    if (rc) {
        fprintf (stderr, "publish: %s\n", why[0] ? why : tern_strerror (rc));
    }
    if (unheard) {
        fprintf (stderr,
                 "publish: nobody has subscribed: %" PRIu64 " unheard\n",
                 unheard);
    }
    tern_producer_close (&news);
    tern_peer_close (&peer, 0);
    return rc ? 1 : 0;
}
