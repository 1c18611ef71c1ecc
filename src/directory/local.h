//  directory/local.h - this user's own folder, and the lock of its directory
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_LOCAL_H
#define TRN_LOCAL_H

#include <stdbool.h>
#include <stddef.h>

//  Room for a path that fits in a socket address, and for a folder in which
//  there is room for names of sockets.
#define TRN_LOCAL_PATH 108
#define TRN_LOCAL_FOLDER (TRN_LOCAL_PATH - 32)

typedef struct {
    char folder[TRN_LOCAL_FOLDER];  //  0700, ours
    char socket[TRN_LOCAL_PATH];    //  where peers connect
    char binding[TRN_LOCAL_PATH];   //  where we bind, until it is renamed
    int lock_fd;                    //  -1: not held
} trn_local_t;

//  Find or make the folder; fills the paths.  0, TERN_EACCESS, TERN_ETOOBIG
//  with one line in why.
int
trn_local_find (trn_local_t *self, char *why, size_t why_size);

//  Take the lock.  0, TERN_EINUSE, TERN_EACCESS with one line in why.
int
trn_local_lock (trn_local_t *self, char *why, size_t why_size);

//  What was bound at binding is the local directory from now on.
int
trn_local_publish (trn_local_t *self, char *why, size_t why_size);

//  Not any more, if it was; gives the lock back.
void
trn_local_leave (trn_local_t *self);

//  Does anybody listen on this socket file?
bool
trn_local_answers (const char *path);

#endif
