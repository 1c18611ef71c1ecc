//  tests/support/disk_memory.h - a disk in memory that can lose power
//
//  Behaves like the real one through trn_disk_t, and remembers what was synced.
//  A crash keeps a random legal subset of the rest, chosen by the seed alone:
//
//  * data: each 512-byte sector of a file is one of the versions it had since
//    its last sync, independently of its neighbours;
//  * sizes: any of the sizes the file had since its last sync;
//  * names: each create, rename and unlink since the directory's last fsync
//    happened or did not.
//
//  Open handles and locks die with the crash; what is left can be opened again.
//  Preallocated space costs no memory.  Calls are safe from any thread.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_TEST_DISK_MEMORY_H
#define TRN_TEST_DISK_MEMORY_H

#include "store/disk.h"

#include <stdbool.h>

//  An empty disk without a limit.  The caller owns it.
trn_disk_t *
trn_disk_memory_new (void);

//  Every handle dies.  Accepts NULL, leaves NULL.
void
trn_disk_memory_destroy (trn_disk_t **self_p);

//  The power goes: see above.
void
trn_disk_memory_crash (trn_disk_t *self, uint64_t seed);

//  The process goes (kill -9): handles and locks die, every write stays.
void
trn_disk_memory_kill (trn_disk_t *self);

//  A disk with the same contents and the same unsynced history, no handles:
//  crash one copy many ways.  The caller owns it.
trn_disk_t *
trn_disk_memory_copy (trn_disk_t *self);

//  Bytes that files may take together, preallocated space included; beyond it
//  pwrite and fallocate say -ENOSPC.  UINT64_MAX, the default: no limit.
void
trn_disk_memory_limit (trn_disk_t *self, uint64_t bytes);

//  Bytes that files take now.
uint64_t
trn_disk_memory_used (trn_disk_t *self);

//  What a failed fsync leaves on Linux: what was not synced is still read
//  back, counts as clean from now on, and is gone after a crash.
void
trn_disk_memory_lose_unsynced (trn_disk_t *self, int handle);

//  Look at or damage a file behind everybody's back.  path is "root/dir/name"
//  as the calls built it.  peek copies up to size bytes from offset and returns
//  how many there were, or -ENOENT; poke changes the file as if the medium did,
//  synced; resize likewise.
int64_t
trn_disk_memory_peek (trn_disk_t *self, const char *path, void *to, size_t size,
                      int64_t offset);

int
trn_disk_memory_poke (trn_disk_t *self, const char *path, const void *from,
                      size_t size, int64_t offset);

int
trn_disk_memory_resize (trn_disk_t *self, const char *path, int64_t size);

//  Size of a file in bytes, or -ENOENT.
int64_t
trn_disk_memory_size (trn_disk_t *self, const char *path);

#endif
