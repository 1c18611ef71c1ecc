//  tern/directory.h - a node that tells peers where the others are
//
//  The directory holds soft state: who is there, where, consuming what, under a
//  lease; and the bindings of exchanges, which every peer knows as well.  It
//  never sees a message.  When it dies, peers go on with what they know, and
//  tell it all again by themselves when it is back.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TERN_DIRECTORY_H
#define TERN_DIRECTORY_H

#include <tern/export.h>
#include <tern/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

TERN_BEGIN_DECLS

typedef struct tern_directory tern_directory_t;

typedef struct {
    const char *const *binds;  //  endpoints; tcp port may be *
    size_t bind_count;         //  1..4
    const char *state;  //  folder that is there, to keep bindings in; NULL:
                        //  the peers keep them
} tern_directory_options_t;

//  Bind and serve on a thread of its own.  options is borrowed for the call.
//  Returns 0 and sets *self_p: the caller owns it, tern_directory_close () ends
//  it.  On failure *self_p is NULL and why (may be NULL) holds one line:
//      TERN_EINVAL     an endpoint that cannot be used
//      TERN_ENET       an endpoint that cannot be bound
//      TERN_EACCESS    the system says no to the folder
//      TERN_EINUSE     another directory keeps its state there
//      TERN_EIO        what is there cannot be read
//      TERN_EVERSION   it is of a later version
//      TERN_ETOOBIG    it is larger than any directory's
//  Bindings that are damaged are set aside as bindings.damaged, which is logged,
//  and learnt again from the peers.
TERN_EXPORT TERN_MUST_CHECK int
tern_directory_open (tern_directory_t **self_p,
                     const tern_directory_options_t *options, char *why,
                     size_t why_size);

//  Stop serving; peers notice and keep what they know.  Sets *self_p to NULL;
//  NULL is allowed.
TERN_EXPORT void
tern_directory_close (tern_directory_t **self_p);

//  What was bound, with real port numbers; NULL behind the last.  Borrowed.
TERN_EXPORT const char *
tern_directory_endpoint (const tern_directory_t *self, size_t index);

//  Host this user's local directory if nobody does: its lock file decides.
//  0; TERN_EINUSE: somebody else hosts it, connect to tern_directory_local ();
//  TERN_EACCESS, TERN_ENET with one line in why.
TERN_EXPORT TERN_MUST_CHECK int
tern_directory_open_local (tern_directory_t **self_p, char *why,
                           size_t why_size);

//  Folder (0700, this user's) of the local directory, where peers may put
//  their ipc sockets too, and its endpoint.  Creates the folder.  0, or
//  TERN_EACCESS with one line in why, TERN_ETOOBIG (path over the limit of ipc).
TERN_EXPORT TERN_MUST_CHECK int
tern_directory_local (char *folder, size_t folder_size, char *endpoint,
                      size_t endpoint_size, char *why, size_t why_size);

typedef struct {
    uint64_t peers, watchers;
    uint64_t registrations, refreshes, goodbyes, expired;
    uint64_t frames, garbage;
    uint64_t bindings;  //  removed ones that are still remembered, too
} tern_directory_stats_t;

TERN_EXPORT void
tern_directory_stats (tern_directory_t *self, tern_directory_stats_t *stats);

TERN_END_DECLS

#endif
