//  cli/exec.h - settling messages by what commands say about them
//
//  Up to so many commands run at once, each with a message of its own.  Its exit
//  status settles the message: 0 accepts, 65 rejects, anything else requeues.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CLI_EXEC_H
#define CLI_EXEC_H

#include <tern.h>

#include <sys/types.h>

//  Commands at once, at most.
#define CLI_JOBS_MAX 1024

typedef struct {
    pid_t pid;
    tern_msg_t *msg;  //  kept until the command has ended
} cli_job_t;

typedef struct {
    const char *command;        //  for sh -c
    tern_peer_t *peer;          //  that fetches large bodies
    tern_consumer_t *consumer;  //  of the messages
    cli_job_t *jobs;            //  those that run, in no order
    size_t running, most;
    uint64_t accepted, requeued, rejected;
} cli_exec_t;

//  command, peer and consumer are borrowed.
void
cli_exec_init (cli_exec_t *self, const char *command, tern_peer_t *peer,
               tern_consumer_t *consumer, size_t most);

//  Nothing runs any more: see cli_exec_finish ().
void
cli_exec_free (cli_exec_t *self);

bool
cli_exec_has_room (const cli_exec_t *self);

//  Start the command for a message that recv () lent; there is room.  A large
//  body is fetched first; while it is, nothing else is done.
void
cli_exec_start (cli_exec_t *self, const tern_msg_t *msg);

//  Settle the messages of those that have ended.
void
cli_exec_settle (cli_exec_t *self);

//  Wait for all that run, signals to ourselves notwithstanding, and settle.
void
cli_exec_finish (cli_exec_t *self);

#endif
