//  bell.c - ring N reminders: print each when it comes, and whether it was early
//
//      bell N
//
//  SPDX-License-Identifier: MPL-2.0

#include <tern.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t
s_now_us (void)
{
    struct timespec now;
    clock_gettime (CLOCK_REALTIME, &now);
    return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

//  On one host the two clocks are one, so early can be told from late.
static bool
s_early (const tern_msg_t *reminder)
{
    size_t size;
    char text[32] = "";
    const char *delay = tern_msg_header (reminder, "delay-ms", &size);
    if (delay && size < sizeof text) {
        memcpy (text, delay, size);
    }
    //  The due time is kept in whole milliseconds.
    return s_now_us () + 1000
           < tern_msg_time_us (reminder) + strtoull (text, NULL, 10) * 1000;
}

int
main (int argc, char **argv)
{
    const long count = argc > 1 ? strtol (argv[1], NULL, 10) : 1;
    char why[256] = "";
    tern_config_t *config = tern_config_new ();
    tern_peer_t *peer = NULL;
    tern_consumer_t *bell = NULL;
    int rc = tern_config_environment (config, why, sizeof why);
    if (!rc) {
        rc = tern_peer_open (&peer, config, why, sizeof why);
    }
    if (!rc) {
        rc = tern_consumer_open (&bell, peer, "bell", NULL);
    }
    tern_config_destroy (&config);
    for (long rung = 0; rung < count && !rc; rung++) {
        tern_msg_t *reminder = tern_consumer_recv (bell, -1);
        printf ("%.*s%s\n", (int) tern_msg_size (reminder),
                (const char *) tern_msg_body (reminder),
                s_early (reminder) ? " (too early)" : "");
        fflush (stdout);
        tern_consumer_accept (bell, reminder);
    }
    if (rc) {
        fprintf (stderr, "bell: %s\n", why[0] ? why : tern_strerror (rc));
    }
    tern_consumer_close (&bell);
    tern_peer_close (&peer, -1);
    return rc ? 1 : 0;
}
