//  tests/support/disk_faulty.c - a disk whose n-th call fails
//
//  SPDX-License-Identifier: MPL-2.0

#include "support/disk_faulty.h"

#include "base/memory.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

typedef struct {
    trn_disk_t disk;  //  first: handed out
    trn_disk_t *below;
    pthread_mutex_t lock;
    trn_disk_fault_t fault;
    uint64_t calls[TRN_CALLS];
    uint64_t hits;
    int lossy;  //  the next fdatasync of this handle fails; -1 none
    void (*lost) (trn_disk_t *below, int handle);
} trn_faulty_t;

static trn_faulty_t *
s_self (trn_disk_t *disk)
{
    return (trn_faulty_t *) disk;
}

//  Count the call.  Is it the planned one?
static bool
s_hit (trn_faulty_t *self, trn_disk_call_t call)
{
    pthread_mutex_lock (&self->lock);
    self->calls[call]++;
    self->calls[TRN_CALL_ANY]++;
    const trn_disk_fault_t *const fault = &self->fault;
    const bool counts = fault->nth > 0
                        && (fault->call == TRN_CALL_ANY || fault->call == call);
    const uint64_t number = self->calls[fault->call];
    const bool hit
        = counts
          && (fault->forever ? number >= fault->nth : number == fault->nth);
    self->hits += hit;
    pthread_mutex_unlock (&self->lock);
    return hit;
}

//  Fault 0 only means something to reads and writes.
static bool
s_fails (trn_faulty_t *self, trn_disk_call_t call)
{
    return s_hit (self, call) && self->fault.error != 0;
}

static int
s_open_root (trn_disk_t *disk, const char *path, int create)
{
    trn_faulty_t *const self = s_self (disk);
    return s_fails (self, TRN_CALL_OPEN_ROOT)
               ? -self->fault.error
               : self->below->open_root (self->below, path, create);
}

static int
s_open_dir (trn_disk_t *disk, int dir, const char *name, int create)
{
    trn_faulty_t *const self = s_self (disk);
    return s_fails (self, TRN_CALL_OPEN_DIR)
               ? -self->fault.error
               : self->below->open_dir (self->below, dir, name, create);
}

static int
s_open (trn_disk_t *disk, int dir, const char *name, int flags)
{
    trn_faulty_t *const self = s_self (disk);
    if (s_fails (self, TRN_CALL_OPEN)) {
        return -self->fault.error;
    }
    const int handle = self->below->open (self->below, dir, name, flags);
    //  What was lost before it was opened is not its news.
    self->lossy = self->lossy == handle ? -1 : self->lossy;
    return handle;
}

static int
s_close (trn_disk_t *disk, int handle)
{
    trn_faulty_t *const self = s_self (disk);
    const bool fails = s_fails (self, TRN_CALL_CLOSE);
    const int rc = self->below->close (self->below, handle);
    return fails ? -self->fault.error : rc;
}

static int64_t
s_pread (trn_disk_t *disk, int file, void *to, size_t size, int64_t offset)
{
    trn_faulty_t *const self = s_self (disk);
    if (s_hit (self, TRN_CALL_PREAD)) {
        if (self->fault.error) {
            return -self->fault.error;
        }
        size = size > 1 ? size / 2 : size;
    }
    return self->below->pread (self->below, file, to, size, offset);
}

static int64_t
s_pwrite (trn_disk_t *disk, int file, const void *from, size_t size,
          int64_t offset)
{
    trn_faulty_t *const self = s_self (disk);
    if (s_hit (self, TRN_CALL_PWRITE)) {
        if (self->fault.error) {
            return -self->fault.error;
        }
        size = size > 1 ? size / 2 : size;
    }
    return self->below->pwrite (self->below, file, from, size, offset);
}

static int
s_failed_sync (trn_faulty_t *self, int handle)
{
    //  An interrupted sync lost nothing.
    if (self->lost && self->fault.error != EINTR) {
        self->lost (self->below, handle);
    }
    return -self->fault.error;
}

//  As Linux does.  If it fails as a whole, the data of one file is lost, and its
//  own next sync says so; else each file has its own answer.
static int
s_sync_files (trn_disk_t *disk, const int *files, size_t count, int *errors)
{
    trn_faulty_t *const self = s_self (disk);
    if (s_fails (self, TRN_CALL_SYNC_FILES)) {
        if (self->lost && self->fault.error != EOPNOTSUPP
            && self->fault.error != EINTR) {
            self->lossy = files[0];
            self->lost (self->below, files[0]);
        }
        return -self->fault.error;
    }
    for (size_t index = 0; index < count; index++) {
        errors[index]
            = s_fails (self, TRN_CALL_SYNC_OF_MANY)
                  ? s_failed_sync (self, files[index])
                  : self->below->fdatasync (self->below, files[index]);
    }
    return 0;
}

static int
s_fdatasync (trn_disk_t *disk, int file)
{
    trn_faulty_t *const self = s_self (disk);
    if (file == self->lossy) {
        self->lossy = -1;
        return -EIO;
    }
    return s_fails (self, TRN_CALL_FDATASYNC)
               ? s_failed_sync (self, file)
               : self->below->fdatasync (self->below, file);
}

static int
s_start_sync (trn_disk_t *disk, int file)
{
    trn_faulty_t *const self = s_self (disk);
    return s_fails (self, TRN_CALL_START_SYNC)
               ? -self->fault.error
               : self->below->start_sync (self->below, file);
}

static int
s_fsync (trn_disk_t *disk, int handle)
{
    trn_faulty_t *const self = s_self (disk);
    return s_fails (self, TRN_CALL_FSYNC)
               ? s_failed_sync (self, handle)
               : self->below->fsync (self->below, handle);
}

static int
s_fallocate (trn_disk_t *disk, int file, int64_t size)
{
    trn_faulty_t *const self = s_self (disk);
    return s_fails (self, TRN_CALL_FALLOCATE)
               ? -self->fault.error
               : self->below->fallocate (self->below, file, size);
}

static int
s_ftruncate (trn_disk_t *disk, int file, int64_t size)
{
    trn_faulty_t *const self = s_self (disk);
    return s_fails (self, TRN_CALL_FTRUNCATE)
               ? -self->fault.error
               : self->below->ftruncate (self->below, file, size);
}

static int64_t
s_size (trn_disk_t *disk, int file)
{
    trn_faulty_t *const self = s_self (disk);
    return s_fails (self, TRN_CALL_SIZE)
               ? -self->fault.error
               : self->below->size (self->below, file);
}

static int
s_rename (trn_disk_t *disk, int dir, const char *from, const char *to)
{
    trn_faulty_t *const self = s_self (disk);
    return s_fails (self, TRN_CALL_RENAME)
               ? -self->fault.error
               : self->below->rename (self->below, dir, from, to);
}

static int
s_unlink (trn_disk_t *disk, int dir, const char *name)
{
    trn_faulty_t *const self = s_self (disk);
    return s_fails (self, TRN_CALL_UNLINK)
               ? -self->fault.error
               : self->below->unlink (self->below, dir, name);
}

static int
s_lock_file (trn_disk_t *disk, int file)
{
    trn_faulty_t *const self = s_self (disk);
    return s_fails (self, TRN_CALL_LOCK)
               ? -self->fault.error
               : self->below->lock (self->below, file);
}

static int
s_list (trn_disk_t *disk, int dir, trn_disk_entry_fn *fn, void *arg)
{
    trn_faulty_t *const self = s_self (disk);
    return s_fails (self, TRN_CALL_LIST)
               ? -self->fault.error
               : self->below->list (self->below, dir, fn, arg);
}

static int
s_check (trn_disk_t *disk, int dir, char *why, char *warning, size_t size)
{
    trn_faulty_t *const self = s_self (disk);
    return s_fails (self, TRN_CALL_CHECK)
               ? -self->fault.error
               : self->below->check (self->below, dir, why, warning, size);
}

trn_disk_t *
trn_disk_faulty_new (trn_disk_t *below)
{
    assert (below);
    trn_faulty_t *const self = trn_alloc (sizeof *self);
    self->disk = (trn_disk_t) {.open_root = s_open_root,
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
                               .lock = s_lock_file,
                               .list = s_list,
                               .check = s_check};
    self->below = below;
    self->lossy = -1;
    pthread_mutex_init (&self->lock, NULL);
    return &self->disk;
}

void
trn_disk_faulty_destroy (trn_disk_t **self_p)
{
    assert (self_p);
    if (*self_p) {
        trn_faulty_t *const self = s_self (*self_p);
        pthread_mutex_destroy (&self->lock);
        free (self);
        *self_p = NULL;
    }
}

void
trn_disk_faulty_plan (trn_disk_t *disk, const trn_disk_fault_t *fault)
{
    trn_faulty_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    self->fault = *fault;
    for (unsigned i = 0; i < TRN_CALLS; i++) {
        self->calls[i] = 0;
    }
    self->hits = 0;
    pthread_mutex_unlock (&self->lock);
}

uint64_t
trn_disk_faulty_calls (trn_disk_t *disk, trn_disk_call_t call)
{
    assert (call < TRN_CALLS);
    trn_faulty_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    const uint64_t calls = self->calls[call];
    pthread_mutex_unlock (&self->lock);
    return calls;
}

uint64_t
trn_disk_faulty_hits (trn_disk_t *disk)
{
    trn_faulty_t *const self = s_self (disk);
    pthread_mutex_lock (&self->lock);
    const uint64_t hits = self->hits;
    pthread_mutex_unlock (&self->lock);
    return hits;
}

void
trn_disk_faulty_on_lost_sync (trn_disk_t *disk,
                              void (*lost) (trn_disk_t *below, int handle))
{
    s_self (disk)->lost = lost;
}

const char *
trn_disk_call_name (trn_disk_call_t call)
{
    static const char *const names[TRN_CALLS]
        = {"any",          "open_root", "open_dir",  "open",       "close",
           "pread",        "pwrite",    "fdatasync", "start_sync", "sync_files",
           "sync_of_many", "fsync",     "fallocate", "ftruncate",  "size",
           "rename",       "unlink",    "lock",      "list",       "check"};
    assert (call < TRN_CALLS);
    return names[call];
}
