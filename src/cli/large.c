//  cli/large.c - bodies that are not in their messages
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/large.h"
#include "cli/output.h"
#include "cli/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLICE_MS 500

//  A file is looked through again after each slice, so these grow.
#define FILE_SLICE_MS 1000
#define FILE_SLICE_MAX_MS 30000

#define PIECE_SIZE (8 * TERN_LARGE_PART)

//  Somebody may still come back with it.
static bool
s_may_come (int rc)
{
    return (rc == TERN_ETIMEOUT || rc == TERN_ENOROUTE || rc == TERN_EAGAIN)
           && !cli_stop_asked ();
}

static int
s_ended (int rc)
{
    return rc == TERN_ENOROUTE ? TERN_ETIMEOUT : rc;
}

int
cli_large_fetch (tern_peer_t *peer, const tern_msg_t *msg, uint64_t offset,
                 void *buffer, size_t size, size_t *got_p)
{
    int rc;
    do {
        rc = tern_large_fetch (peer, msg, offset, buffer, size, got_p,
                               SLICE_MS);
    } while (s_may_come (rc));
    return s_ended (rc);
}

int
cli_large_fetch_file (tern_peer_t *peer, const tern_msg_t *msg, int fd)
{
    int slice_ms = FILE_SLICE_MS;
    int rc;
    while (s_may_come (rc = tern_large_fetch_file (peer, msg, fd, slice_ms))) {
        slice_ms = slice_ms * 2 < FILE_SLICE_MAX_MS ? slice_ms * 2
                                                    : FILE_SLICE_MAX_MS;
    }
    return s_ended (rc);
}

bool
cli_large_is_lost (int rc)
{
    return rc == TERN_ENOENT || rc == TERN_ECORRUPT || rc == TERN_EINVAL;
}

uint64_t
cli_large_body_size (const tern_msg_t *msg)
{
    const uint64_t size = tern_large_size (msg);
    return size ? size : tern_msg_size (msg);
}

//  Files ---------------------------------------------------------------------

//  The id as one name: '+' is in no name of ours.
static bool
s_name (tern_msg_t *msg, const char *folder, char path[CLI_LARGE_PATH])
{
    const size_t size = strlen (folder);
    const int used
        = snprintf (path, CLI_LARGE_PATH, "%s/%s", folder, tern_msg_id (msg));
    for (char *at = path + size + 1; used > 0 && used < CLI_LARGE_PATH && *at;
         at++) {
        *at = *at == '/' ? '+' : *at;
    }
    return used > 0 && used < CLI_LARGE_PATH;
}

//  Open what is there from before, whole or in part, as the part.
static int
s_open_part (const char *path, const char *part)
{
    if (rename (path, part) != 0 && errno != ENOENT) {
        return -1;
    }
    return open (part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
}

int
cli_large_save (tern_peer_t *peer, tern_msg_t *msg, const char *folder,
                char path[CLI_LARGE_PATH])
{
    char part[CLI_LARGE_PATH + 8];
    if (!s_name (msg, folder, path)) {
        errno = ENAMETOOLONG;
        return TERN_EIO;
    }
    snprintf (part, sizeof part, "%s.part", path);
    const int fd = s_open_part (path, part);
    if (fd < 0) {
        return TERN_EIO;
    }
    errno = 0;
    int rc = cli_large_fetch_file (peer, msg, fd);
    if (close (fd) != 0 && rc == TERN_OK) {
        rc = TERN_EIO;
    }
    if (rc == TERN_OK && rename (part, path) != 0) {
        rc = TERN_EIO;
    }
    return rc;
}

//  A file without a name, where there is room for what is large.
static int
s_open_unnamed (const char *folder)
{
    const int fd = open (folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0) {
        return fd;
    }
    char path[CLI_LARGE_PATH];
    if (snprintf (path, sizeof path, "%s/body-XXXXXX", folder)
        >= (int) sizeof path) {
        return -1;
    }
    const int named = mkostemp (path, O_CLOEXEC);
    if (named >= 0) {
        unlink (path);
    }
    return named;
}

int
cli_large_open (tern_peer_t *peer, const tern_msg_t *msg, int *fd_p)
{
    *fd_p = s_open_unnamed (tern_peer_data (peer));
    int rc = *fd_p < 0 ? TERN_EIO : cli_large_fetch_file (peer, msg, *fd_p);
    if (rc == TERN_OK && lseek (*fd_p, 0, SEEK_SET) != 0) {
        rc = TERN_EIO;
    }
    if (rc != TERN_OK && *fd_p >= 0) {
        close (*fd_p);
        *fd_p = -1;
    }
    return rc;
}

int
cli_large_print (tern_peer_t *peer, const tern_msg_t *msg)
{
    const uint64_t size = tern_large_size (msg);
    char *piece = malloc (PIECE_SIZE);
    cli_output_t output;
    cli_output_init (&output);
    if (!piece) {
        abort ();
    }
    int rc = TERN_OK;
    for (uint64_t at = 0; at < size && rc == TERN_OK;) {
        size_t got = 0;
        rc = cli_large_fetch (peer, msg, at, piece, PIECE_SIZE, &got);
        cli_output_add (&output, piece, got);
        errno = cli_output_flush (&output);
        rc = rc == TERN_OK && errno ? TERN_EIO : rc;
        at += got;
    }
    cli_output_free (&output);
    free (piece);
    return rc;
}
