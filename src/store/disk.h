//  store/disk.h - the one table of functions through which Tern meets a disk
//
//  Everything under store/ calls the disk only through this table, so that the
//  tests can put another disk below: one in memory that forgets a legal subset
//  of what was not synced when it "crashes", and one whose n-th call fails.
//
//  Conventions: paths are relative to a directory handle (never joined from
//  foreign text); a negative result is -errno; a short write is a legal
//  result; handles are small integers of the implementation.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_DISK_H
#define TRN_DISK_H

#include <stddef.h>
#include <stdint.h>

//  Directory entries of one listing; see list ().
typedef int
trn_disk_entry_fn (void *arg, const char *name);

typedef struct trn_disk trn_disk_t;

struct trn_disk {
    //  Open a directory by absolute or working-directory path, creating it
    //  (0700) with its missing parents if create.  Returns a handle.
    int (*open_root) (trn_disk_t *self, const char *path, int create);
    //  Open a directory below another, creating it (0700) if create.
    int (*open_dir) (trn_disk_t *self, int dir, const char *name, int create);
    //  Open a file: flags are O_RDONLY or O_RDWR, with O_CREAT, O_EXCL.  Always
    //  O_NOFOLLOW | O_CLOEXEC, mode 0600.
    int (*open) (trn_disk_t *self, int dir, const char *name, int flags);
    int (*close) (trn_disk_t *self, int handle);
    int64_t (*pread) (trn_disk_t *self, int file, void *to, size_t size,
                      int64_t offset);
    int64_t (*pwrite) (trn_disk_t *self, int file, const void *from,
                       size_t size, int64_t offset);
    int (*fdatasync) (trn_disk_t *self, int file);
    //  What was written goes on its way; an fdatasync that follows waits less.
    //  Nothing is durable by it, and a disk may do nothing here.
    int (*start_sync) (trn_disk_t *self, int file);
    //  An fdatasync of each of these files, at once: 0, and in errors what each
    //  would have returned.  -EOPNOTSUPP: there is no shorter way than one
    //  after the other.  After any other error nothing is known, none of the
    //  files' own news is taken, and an fdatasync of each says it.
    int (*sync_files) (trn_disk_t *self, const int *files, size_t count,
                       int *errors);
    int (*fsync) (trn_disk_t *self, int handle);  //  file or directory
    int (*fallocate) (trn_disk_t *self, int file, int64_t size);
    int (*ftruncate) (trn_disk_t *self, int file, int64_t size);
    int64_t (*size) (trn_disk_t *self, int file);
    int (*rename) (trn_disk_t *self, int dir, const char *from, const char *to);
    int (*unlink) (trn_disk_t *self, int dir, const char *name);
    //  Exclusive lock that dies with the handle and the process; -EWOULDBLOCK
    //  when somebody, also in this process, holds it.
    int (*lock) (trn_disk_t *self, int file);
    //  Call fn for every entry but "." and ".."; stops when fn returns
    //  non-zero and returns that.
    int (*list) (trn_disk_t *self, int dir, trn_disk_entry_fn *fn, void *arg);
    //  Owner, mode and file system fit to hold a store?  0, or -EACCES with
    //  one line in why; a file system whose locks or syncs mean little (tmpfs,
    //  nfs, overlay) is named in warning.  Either buffer may be NULL.
    int (*check) (trn_disk_t *self, int dir, char *why, char *warning,
                  size_t size);
};

//  The machine's own.  Static, needs no release; any thread.
trn_disk_t *
trn_disk_real (void);

#endif
