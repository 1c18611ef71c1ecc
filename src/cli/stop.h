//  cli/stop.h - SIGINT and SIGTERM as something to wait for
//
//  The first signal asks the command to stop taking new work, settle what is
//  in hand and leave; a second one ends the process as if nobody had caught it,
//  which loses nothing either: what is stored stays stored.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CLI_STOP_H
#define CLI_STOP_H

#include <stdbool.h>

//  Catch the signals from now on, and ignore SIGPIPE: writes say EPIPE.  Call
//  before the first peer is opened.
void
cli_stop_setup (void);

bool
cli_stop_asked (void);

//  Readable for ever once a signal came.
int
cli_stop_fd (void);

//  Wait until fd is readable: true; false at a signal or after timeout_ms (-1:
//  no limit).  A negative fd only waits.
bool
cli_stop_wait (int fd, int timeout_ms);

#endif
