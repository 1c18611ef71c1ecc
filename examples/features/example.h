//  example.h - what the programs of this folder share
//
//  An example ends at the first error and says what it was; a service would
//  look at the value and go on (tern/error.h).  In each program one peer has
//  both ends, so that one command shows the whole; in life they are two
//  processes, and nothing else changes.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <tern.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

//  rc is what a call returned, words what it was about, or its own why.
static inline void
must (int rc, const char *words)
{
    if (rc) {
        fprintf (stderr, "%s (%s)\n", words, tern_strerror (rc));
        exit (1);
    }
}

//  A peer of this name, and with a store of that name; what the environment says
//  holds for the rest.
static inline tern_peer_t *
open_peer (const char *name)
{
    char why[256] = "";
    tern_peer_t *peer = NULL;
    tern_config_t *config = tern_config_new ();
    must (tern_config_environment (config, why, sizeof why), why);
    must (tern_config_set (config, "name", name, why, sizeof why), why);
    must (tern_peer_open (&peer, config, why, sizeof why), why);
    tern_config_destroy (&config);
    return peer;
}

//  A message to send, of text.
static inline tern_msg_t *
text (const char *words)
{
    return tern_msg_new (words, strlen (words));
}

//  Send a message and let go of it; returns its number.
static inline uint64_t
send_off (tern_producer_t *producer, tern_msg_t *msg)
{
    uint64_t seq = 0;
    must (tern_producer_send_msg (producer, msg, -1, &seq), "send");
    tern_msg_destroy (&msg);
    return seq;
}

//  One line of output: what, and the body.
static inline void
show (const char *what, const tern_msg_t *msg)
{
    printf ("%s: %.*s\n", what, (int) tern_msg_size (msg),
            (const char *) tern_msg_body (msg));
}

#endif
