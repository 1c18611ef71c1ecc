//  store/bodies.c - bodies that are too large for a message, a file each
//
//  Knows: a body is written and synced by the thread that publishes it, a few
//  megabytes at a time, so that what waits for the disk is bounded and the sync
//  of an outbox beside it does not wait for a gigabyte.
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/bodies.h"

#include "base/memory.h"
#include "store/io.h"

#include <tern/error.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

//  Written and not synced, at most.
#define SYNC_BYTES (8 * 1024 * 1024)

struct trn_bodies {
    trn_disk_t *disk;
    int root;
    uint64_t incarnation;

    pthread_mutex_t lock;
    int dir;          //  -1: there is none yet
    uint32_t number;  //  of the last one begun in this life
};

struct trn_body {
    trn_bodies_t *bodies;
    uint64_t id;
    int file;
    uint64_t size;
    size_t unsynced;
};

static void
s_entry (char entry[TRN_BODY_ENTRY], uint64_t id)
{
    snprintf (entry, TRN_BODY_ENTRY, "%016" PRIx64, id);
}

//  False if it is not the name of a body.
static bool
s_parse (const char *entry, uint64_t *id_p)
{
    char again[TRN_BODY_ENTRY];
    *id_p = strtoull (entry, NULL, 16);
    s_entry (again, *id_p);
    return strcmp (entry, again) == 0;
}

//  Open and close ----------------------------------------------------------

int
trn_bodies_open (trn_bodies_t **self_p, trn_disk_t *disk, int root,
                 uint64_t incarnation)
{
    assert (self_p && disk && root >= 0);
    *self_p = NULL;
    const int dir = disk->open_dir (disk, root, TRN_BODIES_DIR, 0);
    if (dir < 0 && dir != -ENOENT) {
        return trn_io_error (dir);
    }
    trn_bodies_t *self = trn_alloc (sizeof *self);
    self->disk = disk;
    self->root = root;
    self->incarnation = incarnation;
    self->dir = dir < 0 ? -1 : dir;
    pthread_mutex_init (&self->lock, NULL);
    *self_p = self;
    return TERN_OK;
}

void
trn_bodies_close (trn_bodies_t **self_p)
{
    assert (self_p);
    trn_bodies_t *self = *self_p;
    *self_p = NULL;
    if (self) {
        if (self->dir >= 0) {
            (void) self->disk->close (self->disk, self->dir);
        }
        pthread_mutex_destroy (&self->lock);
        free (self);
    }
}

//  The folder, which never changes once it is there.
static int
s_dir (trn_bodies_t *self)
{
    pthread_mutex_lock (&self->lock);
    const int dir = self->dir;
    pthread_mutex_unlock (&self->lock);
    return dir;
}

//  Those that are there ----------------------------------------------------

typedef struct {
    trn_bodies_fn *fn;
    void *arg;
} s_each_t;

static int
s_each (void *arg, const char *entry)
{
    const s_each_t *each = arg;
    uint64_t id = 0;
    if (s_parse (entry, &id)) {
        each->fn (each->arg, id);
    }
    return 0;
}

int
trn_bodies_each (trn_bodies_t *self, trn_bodies_fn *fn, void *arg)
{
    assert (self && fn);
    s_each_t each = {fn, arg};
    const int dir = s_dir (self);
    const int rc
        = dir < 0 ? 0 : self->disk->list (self->disk, dir, s_each, &each);
    return rc < 0 ? trn_io_error (rc) : TERN_OK;
}

//  A handle for reading, or a negative errno.
static int
s_open (trn_bodies_t *self, uint64_t id)
{
    char entry[TRN_BODY_ENTRY];
    s_entry (entry, id);
    const int dir = s_dir (self);
    return dir < 0 ? -ENOENT
                   : self->disk->open (self->disk, dir, entry, O_RDONLY);
}

int64_t
trn_bodies_size (trn_bodies_t *self, uint64_t id)
{
    assert (self);
    const int file = s_open (self, id);
    if (file < 0) {
        return trn_io_error (file);
    }
    const int64_t size = self->disk->size (self->disk, file);
    (void) self->disk->close (self->disk, file);
    return size < 0 ? trn_io_error (size) : size;
}

int
trn_bodies_read (trn_bodies_t *self, uint64_t id, uint64_t offset, void *to,
                 size_t size)
{
    assert (self && (to || !size) && offset <= INT64_MAX / 2);
    trn_disk_t *disk = self->disk;
    const int file = s_open (self, id);
    if (file < 0) {
        return trn_io_error (file);
    }
    const int64_t got = trn_io_read (disk, file, to, size, (int64_t) offset);
    (void) disk->close (disk, file);
    if (got < 0) {
        return (int) got;
    }
    return (uint64_t) got == size ? TERN_OK : TERN_ECORRUPT;
}

int
trn_bodies_walk (trn_bodies_t *self, const trn_manifest_t *manifest,
                 trn_bodies_part_fn *fn, void *arg, uint64_t *offset_p)
{
    assert (self && manifest && offset_p);
    *offset_p = 0;
    const int64_t there = trn_bodies_size (self, manifest->id);
    if (there < 0) {
        return (int) there;
    }
    uint8_t *bytes = trn_alloc (TRN_LARGE_PART);
    const uint32_t parts = trn_manifest_parts (manifest->size);
    int rc = TERN_OK;
    for (uint32_t part = 0; part < parts && rc == TERN_OK; part++) {
        const uint32_t size = trn_manifest_part_size (manifest, part);
        *offset_p = (uint64_t) part * TRN_LARGE_PART;
        if (*offset_p + size > (uint64_t) there) {
            *offset_p = (uint64_t) there;
            rc = TERN_ECORRUPT;
        } else {
            rc = trn_bodies_read (self, manifest->id, *offset_p, bytes, size);
        }
        if (rc == TERN_OK && !trn_manifest_fits (manifest, part, bytes, size)) {
            rc = TERN_ECORRUPT;
        }
        if (rc == TERN_OK && fn) {
            rc = fn (arg, bytes, size);
        }
    }
    free (bytes);
    return rc;
}

//  Not synced: one that comes back is removed when the store is opened.
int
trn_bodies_remove (trn_bodies_t *self, uint64_t id)
{
    assert (self);
    char entry[TRN_BODY_ENTRY];
    s_entry (entry, id);
    const int dir = s_dir (self);
    const int rc
        = dir < 0 ? -ENOENT : self->disk->unlink (self->disk, dir, entry);
    return rc < 0 ? trn_io_error (rc) : TERN_OK;
}

//  A new one ---------------------------------------------------------------

//  The folder, made if it is not there: its name is durable when this returns.
static int
s_make_dir (trn_bodies_t *self)
{
    trn_disk_t *disk = self->disk;
    int rc = TERN_OK;
    pthread_mutex_lock (&self->lock);
    if (self->dir < 0) {
        const int dir = disk->open_dir (disk, self->root, TRN_BODIES_DIR, 1);
        rc = dir < 0 ? trn_io_error (dir) : trn_io_sync (disk, self->root);
        if (rc == TERN_OK) {
            self->dir = dir;
        } else if (dir >= 0) {
            (void) disk->close (disk, dir);
        }
    }
    pthread_mutex_unlock (&self->lock);
    return rc;
}

int
trn_body_begin (trn_body_t **self_p, trn_bodies_t *bodies)
{
    assert (self_p && bodies);
    *self_p = NULL;
    const int rc = s_make_dir (bodies);
    if (rc != TERN_OK) {
        return rc;
    }
    pthread_mutex_lock (&bodies->lock);
    const uint64_t id = bodies->incarnation << 32 | ++bodies->number;
    pthread_mutex_unlock (&bodies->lock);
    char entry[TRN_BODY_ENTRY];
    s_entry (entry, id);
    const int file = bodies->disk->open (bodies->disk, bodies->dir, entry,
                                         O_RDWR | O_CREAT | O_EXCL);
    if (file < 0) {
        return trn_io_error (file);
    }
    trn_body_t *self = trn_alloc (sizeof *self);
    self->bodies = bodies;
    self->id = id;
    self->file = file;
    *self_p = self;
    return TERN_OK;
}

int
trn_body_write (trn_body_t *self, const void *bytes, size_t size)
{
    assert (self && (bytes || !size));
    trn_disk_t *disk = self->bodies->disk;
    int rc = trn_io_write (disk, self->file, bytes, size, (int64_t) self->size);
    if (rc == TERN_OK) {
        self->size += size;
        self->unsynced += size;
    }
    if (rc == TERN_OK && self->unsynced >= SYNC_BYTES) {
        rc = trn_io_sync_data (disk, self->file);
        self->unsynced = 0;
    }
    return rc;
}

int
trn_body_finish (trn_body_t **self_p, uint64_t *id_p)
{
    assert (self_p && *self_p && id_p);
    trn_body_t *self = *self_p;
    trn_bodies_t *bodies = self->bodies;
    int rc = trn_io_sync_data (bodies->disk, self->file);
    if (rc == TERN_OK) {
        rc = trn_io_sync (bodies->disk, bodies->dir);
    }
    if (rc == TERN_OK) {
        *id_p = self->id;
        (void) bodies->disk->close (bodies->disk, self->file);
        free (self);
        *self_p = NULL;
    }
    return rc;
}

void
trn_body_abandon (trn_body_t **self_p)
{
    assert (self_p);
    trn_body_t *self = *self_p;
    *self_p = NULL;
    if (self) {
        trn_bodies_t *bodies = self->bodies;
        (void) bodies->disk->close (bodies->disk, self->file);
        //  What is left after a failure is removed by the next opening.
        (void) trn_bodies_remove (bodies, self->id);
        free (self);
    }
}
