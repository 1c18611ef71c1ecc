//  settle.c - what a worker may say of a message: accept, requeue, reject
//
//  Whoever says nothing and dies gives it back: another gets it, flagged.
//
//  SPDX-License-Identifier: MPL-2.0

#include "example.h"

static bool
s_is (const tern_msg_t *task, const char *words)
{
    return tern_msg_size (task) == strlen (words)
           && memcmp (tern_msg_body (task), words, strlen (words)) == 0;
}

static void
s_work (tern_consumer_t *tasks, const tern_msg_t *task)
{
    if (s_is (task, "nonsense")) {
        //  Nobody will ever do it: aside with it, to the queue tasks.dead.
        show ("reject", task);
        tern_consumer_reject (tasks, task);
    } else if (s_is (task, "too early") && !tern_msg_redelivered (task)) {
        //  Not now: it comes again after a pause, here or at another worker.
        show ("requeue", task);
        tern_consumer_requeue (tasks, task);
    } else {
        //  Done.  Accept after the work, never before.
        show (tern_msg_redelivered (task) ? "accept, second try" : "accept",
              task);
        tern_consumer_accept (tasks, task);
    }
}

int
main (void)
{
    char why[256] = "";
    tern_peer_t *peer = open_peer ("example-settle");
    tern_producer_t *producer = NULL;
    tern_consumer_t *tasks = NULL;
    //  One in hand at a time: a slow worker holds up one task, no more.
    const tern_consumer_options_t one = {.prefetch = 1};
    must (tern_producer_open (&producer, peer, "tasks", why, sizeof why), why);
    must (tern_consumer_open (&tasks, peer, "tasks", &one), "consume tasks");

    send_off (producer, text ("too early"));
    send_off (producer, text ("nonsense"));
    const uint64_t last = send_off (producer, text ("simple"));
    while (tern_producer_reached (producer, TERN_PROCESSED) < last) {
        const tern_msg_t *task = tern_consumer_recv (tasks, 20);
        if (task) {
            s_work (tasks, task);
        }
    }
    printf ("all are settled\n");

    tern_consumer_close (&tasks);
    tern_producer_close (&producer);
    tern_peer_close (&peer, 0);
    return 0;
}
