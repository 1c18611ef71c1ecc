//  poll.c - Tern in an event loop of your own
//
//  Lines of standard input are published, messages are printed, events are told.
//  One thread, no callback: three descriptors beside those that you have.  They
//  are level-triggered, so any loop will do (poll, epoll, libuv, GLib ...).
//
//  SPDX-License-Identifier: MPL-2.0

#include "example.h"

#include <poll.h>
#include <unistd.h>

static char s_line[1024];
static size_t s_used;

//  Read on to the end of a line: 1 a line is there, 0 not yet, -1 end of input.
static int
s_read_line (void)
{
    while (s_used < sizeof s_line) {
        const ssize_t got = read (STDIN_FILENO, s_line + s_used, 1);
        if (got <= 0) {
            return s_used ? 1 : -1;
        }
        if (s_line[s_used] == '\n') {
            return 1;
        }
        s_used++;
        struct pollfd more = {.fd = STDIN_FILENO, .events = POLLIN};
        if (poll (&more, 1, 0) <= 0) {
            return 0;
        }
    }
    return 1;
}

int
main (void)
{
    char why[256] = "";
    tern_peer_t *peer = open_peer ("example-poll");
    tern_producer_t *producer = NULL;
    tern_consumer_t *lines = NULL;
    must (tern_producer_open (&producer, peer, "lines", why, sizeof why), why);
    must (tern_consumer_open (&lines, peer, "lines", NULL), "consume lines");

    int state = 0;  //  of the line: as s_read_line ()
    uint64_t sent = 0;
    while (state >= 0
           || tern_producer_reached (producer, TERN_PROCESSED) < sent) {
        //  A line that found no room waits for room; no other is read.
        struct pollfd fds[] = {
            {.fd = tern_consumer_fd (lines), .events = POLLIN},
            {.fd = tern_peer_fd (peer), .events = POLLIN},
            {.fd = state == 1   ? tern_producer_fd (producer)
                   : state == 0 ? STDIN_FILENO
                                : -1,
             .events = POLLIN},
        };
        if (poll (fds, 3, state < 0 ? 20 : -1) < 0) {
            perror ("poll");
            return 1;
        }
        tern_event_t event;
        while (tern_peer_event (peer, &event, 0)) {
            fprintf (stderr, "%s %s\n", event.id, event.text);
        }
        tern_msg_t *msg;
        while ((msg = tern_consumer_recv (lines, 0))) {
            show ("got", msg);
            tern_consumer_accept (lines, msg);
        }
        if (state == 0 && fds[2].revents) {
            state = s_read_line ();
        }
        if (state == 1) {
            const int rc
                = tern_producer_send (producer, s_line, s_used, 0, &sent);
            if (rc == TERN_EAGAIN) {
                continue;
            }
            must (rc, "send");
            s_used = 0;
            state = 0;
        }
    }
    printf ("all are processed\n");

    tern_consumer_close (&lines);
    tern_producer_close (&producer);
    tern_peer_close (&peer, -1);
    return 0;
}
