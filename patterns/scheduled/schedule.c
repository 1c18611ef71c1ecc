//  schedule.c - reminders for later: "MS TEXT", a line each, from standard input
//
//  Says "scheduled N" when they are safe on the disk, then stays until all have
//  rung.  Killed meanwhile, it goes on when it is started again under its name,
//  with nothing new to say (standard input at its end).
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

//  Send one line; 0 and the seq, or why not.
static int
s_schedule (tern_producer_t *bell, char *line, uint64_t *seq_p)
{
    char *text = NULL;
    const uint64_t delay_ms = strtoull (line, &text, 10);
    text += strspn (text, " ");
    text[strcspn (text, "\n")] = 0;
    tern_msg_t *reminder = tern_msg_new (text, strlen (text));
    char header[32];
    snprintf (header, sizeof header, "%" PRIu64, delay_ms);
    int rc = tern_msg_set_header (reminder, "delay-ms", header);
    if (!rc && delay_ms) {
        rc = tern_msg_set_delay (reminder, delay_ms);
    }
    if (!rc) {
        rc = tern_producer_send_msg (bell, reminder, -1, seq_p);
    }
    tern_msg_destroy (&reminder);
    return rc;
}

int
main (void)
{
    char why[256] = "";
    tern_config_t *config = tern_config_new ();
    tern_peer_t *peer = NULL;
    tern_producer_t *bell = NULL;
    int rc = tern_config_environment (config, why, sizeof why);
    if (!rc) {
        rc = tern_peer_open (&peer, config, why, sizeof why);
    }
    if (!rc) {
        rc = tern_producer_open (&bell, peer, "bell", why, sizeof why);
    }
    tern_config_destroy (&config);

    char line[1024];
    int count = 0;
    while (!rc && fgets (line, sizeof line, stdin)) {
        uint64_t seq;
        rc = s_schedule (bell, line, &seq);
        count++;
    }
    //  What an earlier life left counts too: the last number is the outbox's.
    const uint64_t last = rc ? 0 : tern_producer_last (bell);
    if (last) {
        rc = tern_producer_wait (bell, last, TERN_SYNCED, -1);
        printf ("scheduled %d\n", count);
        fflush (stdout);
    }
    if (!rc && last) {
        rc = tern_producer_wait (bell, last, TERN_PROCESSED, -1);
    }
    if (rc) {
        fprintf (stderr, "schedule: %s\n", why[0] ? why : tern_strerror (rc));
    }
    tern_producer_close (&bell);
    tern_peer_close (&peer, 0);
    return rc ? 1 : 0;
}
