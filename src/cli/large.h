//  cli/large.h - bodies that are not in their messages
//
//  Fetching goes on until it is done or a signal asks us to stop.  A publisher
//  that is away is waited for.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CLI_LARGE_H
#define CLI_LARGE_H

#include <tern.h>

#include <stdbool.h>

//  Room for the path of a file that holds a body.
#define CLI_LARGE_PATH 4096

//  As tern_large_fetch () and tern_large_fetch_file (); TERN_ETIMEOUT only after
//  a signal.
int
cli_large_fetch (tern_peer_t *peer, const tern_msg_t *msg, uint64_t offset,
                 void *buffer, size_t size, size_t *got_p);

int
cli_large_fetch_file (tern_peer_t *peer, const tern_msg_t *msg, int fd);

//  Into a file below the folder, named after the message's id, that is there
//  under this name only when it is whole.  Part of it may be there from before.
//  Returns as above, or TERN_EIO with errno, and path says which file.
int
cli_large_save (tern_peer_t *peer, tern_msg_t *msg, const char *folder,
                char path[CLI_LARGE_PATH]);

//  Into a file without a name, beside the peer's store, at its beginning: *fd_p,
//  or -1.
int
cli_large_open (tern_peer_t *peer, const tern_msg_t *msg, int *fd_p);

//  To standard output.  The same.
int
cli_large_print (tern_peer_t *peer, const tern_msg_t *msg);

//  Will it never be there, or is it not what was sent?  Then nobody can do the
//  message.
bool
cli_large_is_lost (int rc);

//  What the message brings, here or not.
uint64_t
cli_large_body_size (const tern_msg_t *msg);

#endif
