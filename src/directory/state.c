//  directory/state.c - what a directory node keeps on the disk: its bindings
//
//      bindings.new --write, fsync--> --rename--> bindings --fsync folder-->
//
//  Knows: the order of these steps, and that a save is not done before the last
//  one.  What the bytes mean, and whether they are whole, is the registry's
//  business (core/bindings_saved.c): the sum is inside.
//
//  SPDX-License-Identifier: MPL-2.0

#include "directory/state.h"

#include "base/memory.h"

#include <tern/error.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "bindings"
#define NEW_NAME "bindings.new"
#define DAMAGED_NAME "bindings.damaged"
#define LOCK_NAME "lock"

struct trn_directory_state {
    char *folder;   //  for messages
    int folder_fd;  //  the way to all files
    int lock_fd;
    trn_wake_t *wake;
    pthread_t thread;
    pthread_mutex_t lock;  //  the rest
    pthread_cond_t changed;
    uint8_t *bytes;  //  to be saved; NULL: nothing
    size_t size;
    bool done;  //  and not told yet
    int error;
    bool stopping;
};

static int
s_fail (const trn_directory_state_t *self, int error, char *why,
        size_t why_size, const char *what, const char *reason)
{
    if (why && why_size) {
        snprintf (why, why_size, "%s/%s: %s", self->folder, what, reason);
    }
    return error;
}

//  Writing -------------------------------------------------------------------

static int
s_write_all (int fd, const uint8_t *bytes, size_t size)
{
    while (size) {
        const ssize_t written = write (fd, bytes, size);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return written ? errno : EIO;
        }
        bytes += written;
        size -= (size_t) written;
    }
    return 0;
}

static int
s_sync (int fd)
{
    return fsync (fd) == 0 ? 0 : errno;
}

//  0 or an errno.
static int
s_replace (const trn_directory_state_t *self, const uint8_t *bytes, size_t size)
{
    const int fd
        = openat (self->folder_fd, NEW_NAME,
                  O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return errno;
    }
    int error = s_write_all (fd, bytes, size);
    error = error ? error : s_sync (fd);
    if (close (fd) != 0 && !error) {
        error = errno;
    }
    if (!error
        && renameat (self->folder_fd, NEW_NAME, self->folder_fd, FILE_NAME)) {
        error = errno;
    }
    return error ? error : s_sync (self->folder_fd);
}

static void *
s_run (void *arg)
{
    trn_directory_state_t *self = arg;
    pthread_mutex_lock (&self->lock);
    for (;;) {
        while (!self->bytes && !self->stopping) {
            pthread_cond_wait (&self->changed, &self->lock);
        }
        if (!self->bytes) {
            break;
        }
        uint8_t *const bytes = self->bytes;
        const size_t size = self->size;
        pthread_mutex_unlock (&self->lock);
        const int error = s_replace (self, bytes, size);
        pthread_mutex_lock (&self->lock);
        free (bytes);
        self->bytes = NULL;
        self->error = error;
        self->done = true;
        trn_wake_up (self->wake);
    }
    pthread_mutex_unlock (&self->lock);
    return NULL;
}

//  Opening -------------------------------------------------------------------

//  One node per folder: two would take each other's bindings away.
static int
s_take_lock (trn_directory_state_t *self, char *why, size_t why_size)
{
    self->lock_fd = openat (self->folder_fd, LOCK_NAME,
                            O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (self->lock_fd < 0) {
        return s_fail (self, TERN_EACCESS, why, why_size, LOCK_NAME,
                       strerror (errno));
    }
    int rc;
    do {
        rc = flock (self->lock_fd, LOCK_EX | LOCK_NB);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0) {
        return errno == EWOULDBLOCK
                   ? s_fail (self, TERN_EINUSE, why, why_size, LOCK_NAME,
                             "another directory keeps its state here")
                   : s_fail (self, TERN_EACCESS, why, why_size, LOCK_NAME,
                             strerror (errno));
    }
    return 0;
}

static void
s_discard (trn_directory_state_t *self)
{
    if (self->lock_fd >= 0) {
        close (self->lock_fd);
    }
    if (self->folder_fd >= 0) {
        close (self->folder_fd);
    }
    pthread_mutex_destroy (&self->lock);
    pthread_cond_destroy (&self->changed);
    free (self->folder);
    free (self);
}

//  The thread takes no signals: they are the application's.
static int
s_start (trn_directory_state_t *self, char *why, size_t why_size)
{
    sigset_t all;
    sigset_t before;
    sigfillset (&all);
    pthread_sigmask (SIG_SETMASK, &all, &before);
    const int rc = pthread_create (&self->thread, NULL, s_run, self);
    pthread_sigmask (SIG_SETMASK, &before, NULL);
    if (rc != 0) {
        return s_fail (self, TERN_EACCESS, why, why_size, FILE_NAME,
                       strerror (rc));
    }
    pthread_setname_np (self->thread, "tern-state");
    return 0;
}

int
trn_directory_state_open (trn_directory_state_t **self_p, const char *folder,
                          trn_wake_t *wake, char *why, size_t why_size)
{
    assert (self_p && folder && wake);
    *self_p = NULL;
    trn_directory_state_t *self = trn_alloc (sizeof *self);
    self->folder = trn_strdup (folder);
    self->wake = wake;
    self->lock_fd = -1;
    pthread_mutex_init (&self->lock, NULL);
    pthread_cond_init (&self->changed, NULL);
    self->folder_fd = open (folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = self->folder_fd < 0 ? s_fail (self, TERN_EACCESS, why, why_size,
                                           FILE_NAME, strerror (errno))
                                 : 0;
    rc = rc ? rc : s_take_lock (self, why, why_size);
    rc = rc ? rc : s_start (self, why, why_size);
    if (rc) {
        s_discard (self);
        return rc;
    }
    *self_p = self;
    return 0;
}

void
trn_directory_state_close (trn_directory_state_t **self_p)
{
    if (!self_p || !*self_p) {
        return;
    }
    trn_directory_state_t *self = *self_p;
    pthread_mutex_lock (&self->lock);
    self->stopping = true;
    pthread_cond_signal (&self->changed);
    pthread_mutex_unlock (&self->lock);
    pthread_join (self->thread, NULL);
    s_discard (self);
    *self_p = NULL;
}

//  Reading -------------------------------------------------------------------

//  0 or an errno.
static int
s_read_all (int fd, uint8_t *bytes, size_t size)
{
    while (size) {
        const ssize_t got = read (fd, bytes, size);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got ? errno : EIO;
        }
        bytes += got;
        size -= (size_t) got;
    }
    return 0;
}

int
trn_directory_state_read (trn_directory_state_t *self, uint8_t **bytes_p,
                          size_t *size_p, char *why, size_t why_size)
{
    assert (self && bytes_p && size_p);
    *bytes_p = NULL;
    *size_p = 0;
    const int fd = openat (self->folder_fd, FILE_NAME,
                           O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return errno == ENOENT ? 0
                               : s_fail (self, TERN_EIO, why, why_size,
                                         FILE_NAME, strerror (errno));
    }
    struct stat info;
    int error = fstat (fd, &info) ? errno : 0;
    if (!error && info.st_size > (off_t) TRN_STATE_FILE_MAX) {
        close (fd);
        return s_fail (self, TERN_ETOOBIG, why, why_size, FILE_NAME,
                       "larger than any directory's");
    }
    const size_t size = error ? 0 : (size_t) info.st_size;
    uint8_t *bytes = trn_alloc (size + 1);
    error = error ? error : s_read_all (fd, bytes, size);
    close (fd);
    if (error) {
        free (bytes);
        return s_fail (self, TERN_EIO, why, why_size, FILE_NAME,
                       strerror (error));
    }
    *bytes_p = bytes;
    *size_p = size;
    return 0;
}

int
trn_directory_state_set_aside (trn_directory_state_t *self)
{
    assert (self);
    return renameat (self->folder_fd, FILE_NAME, self->folder_fd, DAMAGED_NAME)
                       == 0
                   && fsync (self->folder_fd) == 0
               ? 0
               : TERN_EIO;
}

//  Saving --------------------------------------------------------------------

void
trn_directory_state_save (trn_directory_state_t *self, uint8_t *bytes,
                          size_t size)
{
    assert (self && bytes);
    pthread_mutex_lock (&self->lock);
    assert (!self->bytes);
    self->bytes = bytes;
    self->size = size;
    pthread_cond_signal (&self->changed);
    pthread_mutex_unlock (&self->lock);
}

bool
trn_directory_state_done (trn_directory_state_t *self)
{
    assert (self);
    pthread_mutex_lock (&self->lock);
    const bool done = self->done;
    pthread_mutex_unlock (&self->lock);
    return done;
}

int
trn_directory_state_result (trn_directory_state_t *self)
{
    assert (self);
    pthread_mutex_lock (&self->lock);
    assert (self->done);
    self->done = false;
    const int error = self->error;
    pthread_mutex_unlock (&self->lock);
    return error;
}
