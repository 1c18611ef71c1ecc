//  cli/seat.h - taking a seat in the network: a peer for one command
//
//  A command that was given no name is called <command>-<host>-<slot>: the
//  first slot whose store nobody has open.  So several run side by side, and
//  what one left behind is delivered by the next that takes its slot.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CLI_SEAT_H
#define CLI_SEAT_H

#include "cli/options.h"

//  Open a peer as the options say.  CLI_DONE, or the exit code with one line
//  said.  The caller owns *peer_p.
int
cli_seat_open (tern_peer_t **peer_p, const cli_common_t *common,
               const char *command);

//  Open the store at path under its own name, as its owner who is gone: for what
//  it holds, not to consume.  CLI_DONE; CLI_IN_USE with nothing said; or another
//  exit code with one line said.  The caller owns *peer_p.
int
cli_seat_adopt (tern_peer_t **peer_p, const cli_common_t *common,
                const char *path);

typedef struct {
    uint64_t left;  //  wait for a consumer, are with one, or are being buried
    uint64_t delivered;  //  accepted by consumers since the peer was opened
} cli_seat_work_t;

//  Of all outboxes of the peer; of dead letters only if somebody consumes them.
cli_seat_work_t
cli_seat_work (tern_peer_t *peer);

//  Leave at once.  What is left stays in the store; returns how many.
uint64_t
cli_seat_close (tern_peer_t **peer_p);

#endif
