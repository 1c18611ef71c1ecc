//  dead_letters.c - a message that always fails is set aside, and brought back
//
//  SPDX-License-Identifier: MPL-2.0

#include "example.h"

static void
s_show_header (const tern_msg_t *letter, const char *name)
{
    size_t size = 0;
    const char *value = tern_msg_header (letter, name, &size);
    printf ("  %s %.*s\n", name, (int) size, value ? value : "");
}

int
main (void)
{
    char why[256] = "";
    tern_peer_t *peer = open_peer ("example-dead-letters");
    tern_producer_t *producer = NULL;
    tern_consumer_t *jobs = NULL;
    tern_consumer_t *dead = NULL;
    must (tern_producer_open (&producer, peer, "jobs", why, sizeof why), why);
    must (tern_consumer_open (&jobs, peer, "jobs", NULL), "consume jobs");
    must (tern_consumer_open (&dead, peer, "jobs.dead", NULL), "consume dead");

    //  The publisher says how often to try; docs/QUEUES.md has all the rules.
    tern_policy_t policy;
    tern_policy_default (&policy);
    policy.max_deliveries = 3;
    policy.backoff = TERN_BACKOFF_FIXED;
    policy.backoff_min_ms = 10;
    must (tern_producer_set_policy (producer, &policy), "set the policy");

    send_off (producer, text ("divide by zero"));
    for (int tries = 0; tries < 3; tries++) {
        tern_msg_t *job = tern_consumer_recv (jobs, -1);
        printf ("delivery %u fails\n", tern_msg_deliveries (job));
        tern_consumer_requeue (jobs, job);
    }

    //  Now it is dead.  Its queue goes on; it waits among the dead letters, with
    //  what became of it in its headers.
    tern_msg_t *letter = tern_consumer_recv (dead, -1);
    show ("dead", letter);
    s_show_header (letter, "tern.dead.reason");
    s_show_header (letter, "tern.dead.count");
    s_show_header (letter, "tern.dead.queue");

    //  Whoever has mended the worker sends it again, under its first id, and
    //  only then takes it from the dead.  "tern dead replay jobs" does this.
    send_off (producer, tern_msg_replay (letter));
    tern_consumer_accept (dead, letter);
    tern_msg_t *again = tern_consumer_recv (jobs, -1);
    show ("replayed", again);
    tern_consumer_accept (jobs, again);

    tern_consumer_close (&dead);
    tern_consumer_close (&jobs);
    tern_producer_close (&producer);
    tern_peer_close (&peer, -1);
    return 0;
}
