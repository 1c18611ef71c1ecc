//  report.c - what happened: "FACILITY.SEVERITY TEXT", a line each
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <stdio.h>
#include <string.h>

//  The first word of the line is the routing key.
static int
s_report (tern_producer_t *logs, char *line, unsigned *unwatched)
{
    char *text = line + strcspn (line, " ");
    if (*text) {
        *text++ = 0;
    }
    tern_msg_t *msg = tern_msg_new (text, strlen (text));
    int rc = tern_msg_set_key (msg, line);
    if (!rc) {
        rc = tern_producer_send_msg (logs, msg, -1, NULL);
    }
    tern_msg_destroy (&msg);
    if (rc == TERN_ENOROUTE) {
        (*unwatched)++;
        rc = 0;
    }
    return rc;
}

int
main (void)
{
    char why[256] = "";
    tern_config_t *config = tern_config_new ();
    tern_peer_t *peer = NULL;
    tern_producer_t *logs = NULL;
    int rc = tern_config_environment (config, why, sizeof why);
    if (!rc) {
        rc = tern_peer_open (&peer, config, why, sizeof why);
    }
    if (!rc) {
        rc = tern_producer_open_exchange (&logs, peer, "logs", TERN_TOPIC, NULL,
                                          why, sizeof why);
    }
    tern_config_destroy (&config);
    char line[1024];
    unsigned unwatched = 0;
    while (!rc && fgets (line, sizeof line, stdin)) {
        line[strcspn (line, "\n")] = 0;
        rc = s_report (logs, line, &unwatched);
    }
    if (!rc && tern_producer_last (logs)) {
        rc = tern_producer_wait (logs, tern_producer_last (logs),
                                 TERN_PROCESSED, -1);
    }
    if (rc) {
        fprintf (stderr, "report: %s\n", why[0] ? why : tern_strerror (rc));
    } else {
        printf ("%u reports that nobody watches\n", unwatched);
    }
    tern_producer_close (&logs);
    tern_peer_close (&peer, 0);
    return rc ? 1 : 0;
}
