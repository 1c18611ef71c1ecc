//  prices.h - the last value of each name, and which update it came with
//
//  Updates of one publisher are numbered, so of two values of a name the one
//  with the higher number is newer, in whatever order they are heard.  (With
//  several publishers of one name, keep a number for each.)
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef PRICES_H
#define PRICES_H

#include <czmq.h>
#include <tern.h>

typedef struct {
    uint64_t seq;
    char value[64];
} price_t;

//  Names to price_t, owned.
zhashx_t *
prices_new (void);

//  Take in a value, if it is newer than what is known.
void
prices_put (zhashx_t *prices, const char *name, const char *value,
            uint64_t seq);

//  A peer as the environment says (TERN_NAME, ...), or NULL with a message.
tern_peer_t *
prices_peer (void);

//  Subscribe to the updates under a queue of one's own, and consume it.
int
prices_subscribe (tern_peer_t *peer, const char *queue,
                  tern_consumer_t **updates_p);

//  The value that this message brings: its key says of what.
void
prices_take (zhashx_t *prices, const tern_msg_t *msg, uint64_t seq);

#endif
