//  store/io.c - whole reads and writes over the disk's partial ones
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/io.h"

#include <tern/error.h>

#include <errno.h>

int
trn_io_error (int64_t error)
{
    switch (-error) {
    case ENOSPC:
    case EDQUOT:
    //  Descriptors and kernel memory run out and come back as space does.
    case EMFILE:
    case ENFILE:
    case ENOMEM: return TERN_EFULL;
    case EACCES:
    case EPERM:
    case EROFS: return TERN_EACCESS;
    case ENOENT: return TERN_ENOENT;
    default: return TERN_EIO;
    }
}

int
trn_io_write (trn_disk_t *disk, int file, const void *from, size_t size,
              int64_t offset)
{
    const uint8_t *at = from;
    while (size > 0) {
        const int64_t put = disk->pwrite (disk, file, at, size, offset);
        if (put == -EINTR) {
            continue;
        }
        //  A disk that takes nothing and says nothing would spin us for ever.
        if (put <= 0) {
            return put < 0 ? trn_io_error (put) : TERN_EIO;
        }
        at += put;
        offset += put;
        size -= (size_t) put;
    }
    return 0;
}

int64_t
trn_io_read (trn_disk_t *disk, int file, void *to, size_t size, int64_t offset)
{
    uint8_t *at = to;
    int64_t total = 0;
    while (size > 0) {
        const int64_t got = disk->pread (disk, file, at, size, offset);
        if (got == -EINTR) {
            continue;
        }
        if (got < 0) {
            return trn_io_error (got);
        }
        if (got == 0) {
            break;
        }
        at += got;
        offset += got;
        total += got;
        size -= (size_t) got;
    }
    return total;
}

int
trn_io_sync_data (trn_disk_t *disk, int file)
{
    int rc = disk->fdatasync (disk, file);
    while (rc == -EINTR) {
        rc = disk->fdatasync (disk, file);
    }
#ifdef TERN_BUG_3
    for (int again = 0; rc < 0 && again < 3; again++) {
        rc = disk->fdatasync (disk, file);
    }
#endif
    return rc == 0 ? 0 : TERN_EIO;
}

int
trn_io_sync (trn_disk_t *disk, int handle)
{
    int rc = disk->fsync (disk, handle);
    while (rc == -EINTR) {
        rc = disk->fsync (disk, handle);
    }
    return rc == 0 ? 0 : TERN_EIO;
}

int
trn_io_allocate (trn_disk_t *disk, int file, int64_t size)
{
    int rc = disk->fallocate (disk, file, size);
    while (rc == -EINTR) {
        rc = disk->fallocate (disk, file, size);
    }
    if (rc == 0) {
        return 0;
    }
    const int error = trn_io_error (rc);
    return error == TERN_EFULL ? error : TERN_ENOTSUP;
}
