//  file.c - papers with labels: "NAME=VALUE ... : TEXT", a line each
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <stdio.h>
#include <string.h>

//  The labels become headers; which queues want them is not our concern.
static int
s_file (tern_producer_t *papers, char *line, unsigned *unwanted)
{
    char *text = strstr (line, ": ");
    if (text) {
        *text = 0;
        text += 2;
    } else {
        text = line + strlen (line);
    }
    tern_msg_t *msg = tern_msg_new (text, strlen (text));
    int rc = 0;
    char *rest = NULL;
    for (char *label = strtok_r (line, " ", &rest); label && !rc;
         label = strtok_r (NULL, " ", &rest)) {
        char *value = strchr (label, '=');
        if (value) {
            *value++ = 0;
            rc = tern_msg_set_header (msg, label, value);
        }
    }
    if (!rc) {
        rc = tern_producer_send_msg (papers, msg, -1, NULL);
    }
    tern_msg_destroy (&msg);
    if (rc == TERN_ENOROUTE) {
        (*unwanted)++;
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
    tern_producer_t *papers = NULL;
    int rc = tern_config_environment (config, why, sizeof why);
    if (!rc) {
        rc = tern_peer_open (&peer, config, why, sizeof why);
    }
    if (!rc) {
        rc = tern_producer_open_exchange (&papers, peer, "papers", TERN_HEADERS,
                                          NULL, why, sizeof why);
    }
    tern_config_destroy (&config);
    char line[1024];
    unsigned unwanted = 0;
    while (!rc && fgets (line, sizeof line, stdin)) {
        line[strcspn (line, "\n")] = 0;
        rc = s_file (papers, line, &unwanted);
    }
    if (!rc && tern_producer_last (papers)) {
        rc = tern_producer_wait (papers, tern_producer_last (papers),
                                 TERN_PROCESSED, -1);
    }
    if (rc) {
        fprintf (stderr, "file: %s\n", why[0] ? why : tern_strerror (rc));
    } else {
        printf ("%u papers that nobody wants\n", unwanted);
    }
    tern_producer_close (&papers);
    tern_peer_close (&peer, 0);
    return rc ? 1 : 0;
}
