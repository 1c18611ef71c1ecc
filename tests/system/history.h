//  tests/system/history.h - what processes did, written so that kills tell
//
//  Each process appends JSON lines to a file of its own, an intent before it
//  acts and a result after; a line is in the kernel before the call returns, so
//  kill -9 loses none.  Runs of messages make one line.  check_history reads
//  all files of a folder and judges.
//
//      {"t":12345,"p":"pub-1","i":2,"op":"attempt","n":101,"count":64}
//
//      op        p          n       seq      count  other
//      open      any        -       -        -
//      attempt   publisher  first   -        yes
//      accept    publisher  first   first    yes
//      ack       publisher  -       up to    -      level
//      deliver   consumer   first   first    yes    from, again
//      settle    consumer   first   first    yes    from
//      requeue   consumer   first   first    yes    from
//      damaged   consumer   -       seq      -      from
//      drained   publisher  -       -        left
//
//  t is the monotonic clock in nanoseconds, the same for all processes of one
//  machine; i counts the lives of a process; n numbers the payloads of one
//  publisher over all its lives.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TEST_HISTORY_H
#define TEST_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define HISTORY_NAME_MAX 64

typedef enum {
    HISTORY_OPEN,
    HISTORY_ATTEMPT,
    HISTORY_ACCEPT,
    HISTORY_ACK,
    HISTORY_DELIVER,
    HISTORY_SETTLE,
    HISTORY_REQUEUE,
    HISTORY_DAMAGED,
    HISTORY_DRAINED,
    HISTORY_OPS
} history_op_t;

typedef struct {
    int64_t time_ns;
    char process[HISTORY_NAME_MAX];
    uint32_t life;
    history_op_t op;
    char from[HISTORY_NAME_MAX];  //  publisher of what was delivered
    uint64_t n;
    uint64_t seq;
    uint64_t count;
    uint32_t level;  //  1 written, 2 synced, 4 processed
    bool again;      //  flagged as redelivered
} history_event_t;

//  Writing -----------------------------------------------------------------

typedef struct {
    int fd;
    char process[HISTORY_NAME_MAX];
    uint32_t life;
    char buffer[64 * 1024];
    size_t used;
} history_t;

//  Appends to folder/process.jsonl.  false: errno says why.
bool
history_open (history_t *self, const char *folder, const char *process,
              uint32_t life);

//  Process, life and time are filled in.
void
history_add (history_t *self, const history_event_t *event);

//  Hand over what was added: after this, kill -9 cannot take it back.
void
history_flush (history_t *self);

void
history_close (history_t *self);

//  Reading -----------------------------------------------------------------

//  Next event of a file; false at its end.  A line that is cut off (its writer
//  was killed in the middle) is skipped; *bad_p counts lines that are not ours.
bool
history_read (FILE *file, history_event_t *event, uint64_t *bad_p);

//  Payloads ----------------------------------------------------------------

#define PAYLOAD_MIN 32

//  Fill size bytes so that publisher and n can be read out and any change of a
//  byte is seen.
void
payload_make (char *bytes, size_t size, const char *publisher, uint64_t n);

//  false if it is not what payload_make () made.
bool
payload_read (const void *bytes, size_t size, const char *publisher,
              uint64_t *n_p);

#endif
