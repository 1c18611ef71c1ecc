//  cli/child.h - running a command for one message
//
//  The command is for sh -c.  It finds the body on its standard input and the
//  rest in its environment:
//
//      TERN_ID TERN_QUEUE TERN_KEY TERN_COUNT TERN_HEADER_<name>
//
//  Bytes of a header's name that a shell variable cannot have become '_'; a
//  value with a NUL in it is left out.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CLI_CHILD_H
#define CLI_CHILD_H

#include <tern.h>

typedef struct {
    int error;   //  errno if it could not be started, else 0
    int status;  //  exit status, or
    int signal;  //  the signal that ended it
} cli_ending_t;

//  Run it and wait for its end, signals to ourselves notwithstanding.
cli_ending_t
cli_child_run (const char *command, tern_msg_t *msg);

#endif
