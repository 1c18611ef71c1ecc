//  directory/state.h - what a directory node keeps on the disk: its bindings
//
//  One file, "bindings", replaced as a whole by a thread of its own, so that a
//  slow disk does not make the node silent.
//
//  Thread: the directory's, but for what the writer does inside.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_DIRECTORY_STATE_H
#define TRN_DIRECTORY_STATE_H

#include "io/wake.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

//  No node saves more; a larger file is not ours.
#define TRN_STATE_FILE_MAX (64u * 1024 * 1024)

typedef struct trn_directory_state trn_directory_state_t;

//  Open the folder and take its lock; wake is woken when a save is done.  0, or
//  TERN_EACCESS (the system says no), TERN_EINUSE (another node has it), with
//  one line in why.
int
trn_directory_state_open (trn_directory_state_t **self_p, const char *folder,
                          trn_wake_t *wake, char *why, size_t why_size);

//  What is saved there: *bytes_p is the caller's, or NULL if nothing is.  0,
//  TERN_EIO, or TERN_ETOOBIG, with one line in why.
int
trn_directory_state_read (trn_directory_state_t *self, uint8_t **bytes_p,
                          size_t *size_p, char *why, size_t why_size);

//  Move the file aside, as "bindings.damaged", so that the next save does not
//  take it away.  0 or TERN_EIO.
int
trn_directory_state_set_aside (trn_directory_state_t *self);

//  Save these in the background; takes them.  One at a time.
void
trn_directory_state_save (trn_directory_state_t *self, uint8_t *bytes,
                          size_t size);

//  Is a save done whose result was not taken yet?
bool
trn_directory_state_done (trn_directory_state_t *self);

//  Take the result: 0 or an errno.
int
trn_directory_state_result (trn_directory_state_t *self);

//  Waits for the save that is under way.
void
trn_directory_state_close (trn_directory_state_t **self_p);

#endif
