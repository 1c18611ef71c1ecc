//  directory/local.c - this user's own folder, and the lock of its directory
//
//      $XDG_RUNTIME_DIR/tern/directory        the socket
//                            directory.lock   flock: whoever holds it hosts
//
//  Where that variable names no folder of ours, /tmp/tern-<uid> serves.
//
//  Knows the trap: libzmq removes whatever lies at the path it binds, also a
//  living socket, and there is a moment without any before the new one is
//  there.  So a host binds under a name of its own and renames the socket into
//  place, under the lock: the path leads to the old host's or the new one's.
//
//  The lock file is never removed: two processes could hold locks on two files
//  of one name.
//
//  SPDX-License-Identifier: MPL-2.0

#include "directory/local.h"

#include "io/clock.h"

#include <tern/directory.h>

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BINDING "dir-"

static int
s_refuse (int error, char *why, size_t why_size, const char *folder,
          const char *reason)
{
    if (why && why_size) {
        snprintf (why, why_size, "%s: %s", folder, reason);
    }
    return error;
}

//  The parent that the session gives us, or NULL if there is none that is ours.
static const char *
s_runtime_folder (void)
{
    const char *path = getenv ("XDG_RUNTIME_DIR");
    struct stat info;
    if (!path || path[0] != '/' || stat (path, &info) != 0
        || !S_ISDIR (info.st_mode) || info.st_uid != geteuid ()) {
        return NULL;
    }
    return path;
}

//  Ours alone, and a folder: not a link that somebody else may turn.
static int
s_check_folder (const char *folder, char *why, size_t why_size)
{
    const int fd
        = open (folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        const bool link = errno == ELOOP || errno == ENOTDIR;
        return s_refuse (TERN_EACCESS, why, why_size, folder,
                         link ? "is not a folder" : strerror (errno));
    }
    struct stat info;
    const int rc = fstat (fd, &info);
    close (fd);
    if (rc != 0) {
        return s_refuse (TERN_EACCESS, why, why_size, folder, strerror (errno));
    }
    if (info.st_uid != geteuid ()) {
        return s_refuse (TERN_EACCESS, why, why_size, folder,
                         "belongs to another user");
    }
    if (info.st_mode & (S_IRWXG | S_IRWXO)) {
        return s_refuse (TERN_EACCESS, why, why_size, folder,
                         "others may enter it: chmod 700");
    }
    return TERN_OK;
}

int
trn_local_find (trn_local_t *self, char *why, size_t why_size)
{
    assert (self);
    *self = (trn_local_t) {.lock_fd = -1};
    const char *parent = s_runtime_folder ();
    char folder[256];
    int size;
    if (parent) {
        size = snprintf (folder, sizeof folder, "%s/tern", parent);
    } else {
        size = snprintf (folder, sizeof folder, "/tmp/tern-%" PRIuMAX,
                         (uintmax_t) geteuid ());
    }
    if (size < 0 || (size_t) size >= sizeof self->folder) {
        return s_refuse (TERN_ETOOBIG, why, why_size, parent ? parent : "/tmp",
                         "path too long for a socket: set XDG_RUNTIME_DIR");
    }
    memcpy (self->folder, folder, (size_t) size + 1);
    if (mkdir (folder, 0700) != 0 && errno != EEXIST) {
        return s_refuse (TERN_EACCESS, why, why_size, folder, strerror (errno));
    }
    const int rc = s_check_folder (folder, why, why_size);
    if (rc) {
        return rc;
    }
    snprintf (self->socket, sizeof self->socket, "%s/directory", self->folder);
    snprintf (self->binding, sizeof self->binding, "%s/" BINDING "%016" PRIx64,
              self->folder, trn_clock_random ());
    return TERN_OK;
}

//  What a host left that died between binding and renaming.  Only who holds the
//  lock has such a file, and we hold it.
static void
s_sweep (const trn_local_t *self)
{
    DIR *folder = opendir (self->folder);
    if (!folder) {
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir (folder))) {
        if (!strncmp (entry->d_name, BINDING, strlen (BINDING))) {
            unlinkat (dirfd (folder), entry->d_name, 0);
        }
    }
    closedir (folder);
}

int
trn_local_lock (trn_local_t *self, char *why, size_t why_size)
{
    assert (self && self->lock_fd < 0);
    char path[TRN_LOCAL_PATH];
    snprintf (path, sizeof path, "%s/directory.lock", self->folder);
    const int fd = open (path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        return s_refuse (TERN_EACCESS, why, why_size, path, strerror (errno));
    }
    int rc;
    do {
        rc = flock (fd, LOCK_EX | LOCK_NB);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0) {
        const int error = errno;
        close (fd);
        return error == EWOULDBLOCK
                   ? s_refuse (TERN_EINUSE, why, why_size, self->socket,
                               "another process hosts it")
                   : s_refuse (TERN_EACCESS, why, why_size, path,
                               strerror (error));
    }
    self->lock_fd = fd;
    s_sweep (self);
    return TERN_OK;
}

int
trn_local_publish (trn_local_t *self, char *why, size_t why_size)
{
    assert (self && self->lock_fd >= 0);
    if (rename (self->binding, self->socket) != 0) {
        const int error = errno;
        unlink (self->binding);
        return s_refuse (TERN_EACCESS, why, why_size, self->socket,
                         strerror (error));
    }
    return TERN_OK;
}

void
trn_local_leave (trn_local_t *self)
{
    assert (self);
    if (self->lock_fd >= 0) {
        unlink (self->socket);
        close (self->lock_fd);
        self->lock_fd = -1;
    }
}

bool
trn_local_answers (const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t size = strlen (path);
    if (size >= sizeof address.sun_path) {
        return false;
    }
    memcpy (address.sun_path, path, size + 1);
    const int fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return false;
    }
    const bool answers
        = connect (fd, (const struct sockaddr *) &address, sizeof address) == 0;
    close (fd);
    return answers;
}

int
tern_directory_local (char *folder, size_t folder_size, char *endpoint,
                      size_t endpoint_size, char *why, size_t why_size)
{
    assert (folder && endpoint);
    trn_local_t local;
    const int rc = trn_local_find (&local, why, why_size);
    if (rc) {
        return rc;
    }
    if (strlen (local.folder) >= folder_size
        || strlen ("ipc://") + strlen (local.socket) >= endpoint_size) {
        return s_refuse (TERN_ETOOBIG, why, why_size, local.folder,
                         "no room for the path");
    }
    snprintf (folder, folder_size, "%s", local.folder);
    snprintf (endpoint, endpoint_size, "ipc://%s", local.socket);
    return TERN_OK;
}
