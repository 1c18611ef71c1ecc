//  cli/gone.h - the stores of publishers that are gone, opened for a while
//
//  A queue is where its publishers are.  A command that looks into one would
//  see nothing of those whose process has ended; so it opens their stores, as
//  tern drain does, for as long as it looks.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CLI_GONE_H
#define CLI_GONE_H

#include "cli/options.h"

//  Stores opened at a time.
#define CLI_GONE_MAX 64

typedef struct {
    const char *outbox;
    tern_peer_t *peers[CLI_GONE_MAX];
    size_t count;
} cli_gone_t;

//  Open this user's stores that have messages waiting in this outbox and no
//  owner.  What cannot be opened is said and left alone.  outbox is borrowed.
void
cli_gone_open (cli_gone_t *self, const cli_common_t *common,
               const char *outbox);

//  Leave them, when no consumer of ours holds messages of that outbox any more.
void
cli_gone_close (cli_gone_t *self);

#endif
