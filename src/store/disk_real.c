//  store/disk_real.c - the machine's own disk
//
//  Knows: Linux calls and what they return.  Handles are file descriptors.
//  Every call is a thin one: what a short write, -ENOSPC or a failed sync
//  means is decided above.
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/disk.h"

#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

//  flock () already refuses a second opening, also in this process.  But the
//  lock lives on in a forked child, so a handle that a child inherited would
//  pass for a lock held; this list knows what this process itself locked.
typedef struct s_held s_held_t;

struct s_held {
    s_held_t *next;
    int file;
    dev_t device;
    ino_t inode;
};

static pthread_mutex_t s_held_lock = PTHREAD_MUTEX_INITIALIZER;
static s_held_t *s_held_first;

static int
s_fsync (trn_disk_t *self, int handle)
{
    (void) self;
    return fsync (handle) == 0 ? 0 : -errno;
}

//  Make one directory and its name durable.  An existing one is fine.
static int
s_make_dir (int parent, const char *name)
{
    if (mkdirat (parent, name, 0700) == 0) {
        return fsync (parent) == 0 ? 0 : -errno;
    }
    return errno == EEXIST ? 0 : -errno;
}

static int
s_open_dir_at (int parent, const char *name, int follow)
{
    const int fd = openat (parent, name,
                           O_RDONLY | O_DIRECTORY | O_CLOEXEC
                               | (follow ? 0 : O_NOFOLLOW));
    return fd >= 0 ? fd : -errno;
}

static int
s_open_root (trn_disk_t *self, const char *path, int create)
{
    (void) self;
    if (!create) {
        return s_open_dir_at (AT_FDCWD, path, 1);
    }
    //  Walk down from the start, making what is missing on the way.
    char *const copy = trn_strdup (path);
    char *rest = copy;
    int dir = s_open_dir_at (AT_FDCWD, *rest == '/' ? "/" : ".", 1);
    while (dir >= 0) {
        rest += strspn (rest, "/");
        if (*rest == 0) {
            break;
        }
        const size_t length = strcspn (rest, "/");
        const char after = rest[length];
        rest[length] = 0;
        int next = s_make_dir (dir, rest);
        if (next == 0) {
            next = s_open_dir_at (dir, rest, 1);
        }
        (void) close (dir);
        dir = next;
        rest[length] = after;
        rest += length;
    }
    free (copy);
    return dir;
}

static int
s_open_dir (trn_disk_t *self, int dir, const char *name, int create)
{
    (void) self;
    if (create) {
        const int rc = s_make_dir (dir, name);
        if (rc < 0) {
            return rc;
        }
    }
    return s_open_dir_at (dir, name, 0);
}

static int
s_open (trn_disk_t *self, int dir, const char *name, int flags)
{
    (void) self;
    const int fd = openat (dir, name, flags | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return -errno;
    }
    //  Files are read from front to back; only a hint, so no answer.
    (void) posix_fadvise (fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return fd;
}

static void
s_forget_lock (int file)
{
    pthread_mutex_lock (&s_held_lock);
    for (s_held_t **at = &s_held_first; *at; at = &(*at)->next) {
        if ((*at)->file == file) {
            s_held_t *const held = *at;
            *at = held->next;
            free (held);
            break;
        }
    }
    pthread_mutex_unlock (&s_held_lock);
}

//  Linux closes the descriptor whatever close () says: never again (L30).
static int
s_close (trn_disk_t *self, int handle)
{
    (void) self;
    s_forget_lock (handle);
    return close (handle) == 0 || errno == EINTR ? 0 : -errno;
}

static int64_t
s_pread (trn_disk_t *self, int file, void *to, size_t size, int64_t offset)
{
    (void) self;
    const ssize_t got = pread (file, to, size, (off_t) offset);
    return got >= 0 ? (int64_t) got : -errno;
}

static int64_t
s_pwrite (trn_disk_t *self, int file, const void *from, size_t size,
          int64_t offset)
{
    (void) self;
    const ssize_t put = pwrite (file, from, size, (off_t) offset);
    return put >= 0 ? (int64_t) put : -errno;
}

static int
s_fdatasync (trn_disk_t *self, int file)
{
    (void) self;
    return fdatasync (file) == 0 ? 0 : -errno;
}

//  Asks for the writes only: it neither waits for them nor takes the news of one
//  that fails from the fdatasync, which reports it as ever.
static int
s_start_sync (trn_disk_t *self, int file)
{
    (void) self;
    return sync_file_range (file, 0, 0, SYNC_FILE_RANGE_WRITE) == 0 ? 0
                                                                    : -errno;
}

//  Does syncfs () report what it could not write?  Not before Linux 5.8.
static bool
s_syncfs_reports (void)
{
    struct utsname system;
    if (uname (&system) < 0) {
        return false;
    }
    char *end = system.release;
    const unsigned long major = strtoul (end, &end, 10);
    const unsigned long minor = *end == '.' ? strtoul (end + 1, NULL, 10) : 0;
    return major > 5 || (major == 5 && minor >= 8);
}

//  Does syncfs () wait for all that is written, and flush the disk's cache?  On
//  ext4 it does.  Of its family only ext4 knows when a file was born: ext2 lets
//  what it wrote lie in that cache.  Others forward the call to nobody (FUSE) or
//  to a server (NFS), or were not tried.
static bool
s_syncfs_flushes (int file, struct statx *about)
{
    struct statfs system;
    return fstatfs (file, &system) == 0
           && (unsigned long) system.f_type == EXT4_SUPER_MAGIC
           && statx (file, "", AT_EMPTY_PATH, STATX_BTIME, about) == 0
           && (about->stx_mask & STATX_BTIME);
}

static bool
s_share_syncfs (const int *files, size_t count)
{
    struct statx about;
    if (!s_syncfs_flushes (files[0], &about)) {
        return false;
    }
    const dev_t device = makedev (about.stx_dev_major, about.stx_dev_minor);
    for (size_t index = 1; index < count; index++) {
        struct stat other;
        if (fstat (files[index], &other) < 0 || other.st_dev != device) {
            return false;
        }
    }
    return true;
}

//  What syncfs () says is of the file system, and of that only what came since it
//  was last asked through this descriptor: what a file lost earlier may be
//  nobody's news any more.  So each is asked for its own, which an fdatasync
//  would report; there is nothing left to wait for.
static int
s_sync_files (trn_disk_t *self, const int *files, size_t count, int *errors)
{
    (void) self;
    if (!s_syncfs_reports () || !s_share_syncfs (files, count)) {
        return -EOPNOTSUPP;
    }
    if (syncfs (files[0]) < 0) {
        return -errno;
    }
    for (size_t index = 0; index < count; index++) {
        errors[index] = 0;
        if (sync_file_range (files[index], 0, 0, SYNC_FILE_RANGE_WAIT_BEFORE)
            < 0) {
            //  A sandbox may forbid the question; then nobody was asked.
            if (errno == ENOSYS || errno == EPERM) {
                return -EOPNOTSUPP;
            }
            errors[index] = -errno;
        }
    }
    return 0;
}

//  Not posix_fallocate (): where the file system cannot do it, that one writes
//  every block; the log rather does without (L11).
static int
s_fallocate (trn_disk_t *self, int file, int64_t size)
{
    (void) self;
    return fallocate (file, 0, 0, (off_t) size) == 0 ? 0 : -errno;
}

static int
s_ftruncate (trn_disk_t *self, int file, int64_t size)
{
    (void) self;
    return ftruncate (file, (off_t) size) == 0 ? 0 : -errno;
}

static int64_t
s_size (trn_disk_t *self, int file)
{
    (void) self;
    struct stat status;
    return fstat (file, &status) == 0 ? (int64_t) status.st_size : -errno;
}

static int
s_rename (trn_disk_t *self, int dir, const char *from, const char *to)
{
    (void) self;
    return renameat (dir, from, dir, to) == 0 ? 0 : -errno;
}

static int
s_unlink (trn_disk_t *self, int dir, const char *name)
{
    (void) self;
    return unlinkat (dir, name, 0) == 0 ? 0 : -errno;
}

static int
s_lock (trn_disk_t *self, int file)
{
    (void) self;
    struct stat status;
    if (fstat (file, &status) < 0) {
        return -errno;
    }
    int rc = 0;
    pthread_mutex_lock (&s_held_lock);
    for (const s_held_t *held = s_held_first; held; held = held->next) {
        if (held->device == status.st_dev && held->inode == status.st_ino) {
            rc = -EWOULDBLOCK;
        }
    }
    if (rc == 0 && flock (file, LOCK_EX | LOCK_NB) < 0) {
        rc = -errno;
    }
    if (rc == 0) {
        s_held_t *const held = trn_alloc (sizeof *held);
        held->file = file;
        held->device = status.st_dev;
        held->inode = status.st_ino;
        held->next = s_held_first;
        s_held_first = held;
    }
    pthread_mutex_unlock (&s_held_lock);
    return rc;
}

static int
s_list (trn_disk_t *self, int dir, trn_disk_entry_fn *fn, void *arg)
{
    (void) self;
    //  A fresh description: the caller's position must not move.
    const int fd = openat (dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    DIR *const stream = fdopendir (fd);
    if (!stream) {
        const int rc = -errno;
        (void) close (fd);
        return rc;
    }
    int rc = 0;
    while (rc == 0) {
        errno = 0;
        const struct dirent *const entry = readdir (stream);
        if (!entry) {
            rc = -errno;
            break;
        }
        if (strcmp (entry->d_name, ".") != 0
            && strcmp (entry->d_name, "..") != 0) {
            rc = fn (arg, entry->d_name);
        }
    }
    (void) closedir (stream);
    return rc;
}

//  File systems whose locks or syncs mean less than the rules assume (L21).
static const char *
s_weak_file_system (const struct statfs *status)
{
    switch ((unsigned long) status->f_type) {
    case TMPFS_MAGIC:
    case RAMFS_MAGIC: return "tmpfs: a reboot loses the store";
    case OVERLAYFS_SUPER_MAGIC:
        return "overlayfs: the store goes with the container";
    case NFS_SUPER_MAGIC: return "nfs: locks and syncs depend on the server";
    case V9FS_MAGIC: return "9p: locks and syncs depend on the host";
    default: return NULL;
    }
}

static void
s_say (char *to, size_t size, const char *text)
{
    if (to && size) {
        snprintf (to, size, "%s", text);
    }
}

static int
s_check (trn_disk_t *self, int dir, char *why, char *warning, size_t size)
{
    (void) self;
    s_say (why, size, "");
    s_say (warning, size, "");
    struct stat status;
    struct statfs system;
    if (fstat (dir, &status) < 0 || fstatfs (dir, &system) < 0) {
        return -errno;
    }
    if (status.st_uid != geteuid () && geteuid () != 0) {
        s_say (why, size, "the data directory belongs to another user");
        return -EACCES;
    }
    if (status.st_mode & (S_IWGRP | S_IWOTH)) {
        s_say (why, size,
               "others may write in the data directory; "
               "chmod go-w it");
        return -EACCES;
    }
    const char *const weak = s_weak_file_system (&system);
    if (weak) {
        s_say (warning, size, weak);
    }
    return 0;
}

trn_disk_t *
trn_disk_real (void)
{
    static trn_disk_t disk = {
        .open_root = s_open_root,
        .open_dir = s_open_dir,
        .open = s_open,
        .close = s_close,
        .pread = s_pread,
        .pwrite = s_pwrite,
        .fdatasync = s_fdatasync,
        .start_sync = s_start_sync,
        .sync_files = s_sync_files,
        .fsync = s_fsync,
        .fallocate = s_fallocate,
        .ftruncate = s_ftruncate,
        .size = s_size,
        .rename = s_rename,
        .unlink = s_unlink,
        .lock = s_lock,
        .list = s_list,
        .check = s_check,
    };
    return &disk;
}
