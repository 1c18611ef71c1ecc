//  store/io.h - whole reads and writes over the disk's partial ones
//
//  Knows what the errno values of a disk mean to Tern (rules L13, L17, L18).
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_STORE_IO_H
#define TRN_STORE_IO_H

#include "store/disk.h"

//  TERN_EFULL for no space, descriptor or memory, TERN_EACCESS for no right,
//  TERN_ENOENT, and TERN_EIO for all the rest.  error is a negative errno.
int
trn_io_error (int64_t error);

//  Write all of it, going on after short writes and EINTR.  0 or an error as
//  above; after one, a part may have been written.
int
trn_io_write (trn_disk_t *disk, int file, const void *from, size_t size,
              int64_t offset);

//  Read size bytes or up to the end of the file.  Bytes read or an error.
int64_t
trn_io_read (trn_disk_t *disk, int file, void *to, size_t size, int64_t offset);

//  fdatasync and fsync.  Interrupted is not failed: only EINTR is tried again.
int
trn_io_sync_data (trn_disk_t *disk, int file);

int
trn_io_sync (trn_disk_t *disk, int handle);

//  Give the file its space.  0, TERN_EFULL, or TERN_ENOTSUP where the file
//  system cannot (L11).
int
trn_io_allocate (trn_disk_t *disk, int file, int64_t size);

#endif
