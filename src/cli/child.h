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

#include <stdbool.h>
#include <sys/types.h>

typedef struct {
    int error;   //  errno if it could not be started, else 0
    int status;  //  exit status, or
    int signal;  //  the signal that ended it
} cli_ending_t;

//  Start it, with the body from this file, or from the message if it is -1.  0
//  and *pid_p, or errno.
int
cli_child_start (pid_t *pid_p, const char *command, tern_msg_t *msg, int body);

//  With the message's body, and its output and what it says going to these
//  files; -1: to ours.
int
cli_child_start_into (pid_t *pid_p, const char *command, tern_msg_t *msg,
                      int out, int err);

//  Has it come to its end?  Says so once.
bool
cli_child_ended (pid_t pid, cli_ending_t *ending);

//  Readable when any child may have ended since cli_child_clear ().  Clear
//  first, then look at all of them.
int
cli_child_fd (void);

void
cli_child_clear (void);

#endif
