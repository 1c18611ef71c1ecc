//  store/note.c - a file of the owner's that is written in the background
//
//  Knows: that a note is a convenience.  It is replaced as a whole under a
//  temporary name and never synced: after a crash it may be the old one, the new
//  one or gone, and its owner must be able to tell damage.
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/store_private.h"

#include "base/memory.h"
#include "store/io.h"

#include <tern/error.h>

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define NOTE_FILE "NOTE"
#define NOTE_FILE_NEW "NOTE.new"

void
trn_store_note (trn_store_t *self, const uint8_t *bytes, size_t size)
{
    assert (self && bytes && size <= TRN_STORE_NOTE_MAX);
    uint8_t *copy = trn_alloc (size + 1);
    memcpy (copy, bytes, size);
    trn_worker_t *const worker = &self->workers[TRN_FOR_WRITER];
    pthread_mutex_lock (&self->lock);
    uint8_t *const old = self->note;
    self->note = copy;
    self->note_size = size;
    const bool wake = worker->sleeps;
    pthread_mutex_unlock (&self->lock);
    free (old);
    if (wake) {
        pthread_cond_signal (&worker->wake);
    }
}

void
trn_store_write_note (trn_store_t *self)
{
    pthread_mutex_lock (&self->lock);
    uint8_t *const bytes = self->note;
    const size_t size = self->note_size;
    self->note = NULL;
    pthread_mutex_unlock (&self->lock);
    if (!bytes) {
        return;
    }
    trn_disk_t *const disk = self->disk;
    (void) disk->unlink (disk, self->root, NOTE_FILE_NEW);
    const int file = disk->open (disk, self->root, NOTE_FILE_NEW,
                                 O_RDWR | O_CREAT | O_EXCL);
    if (file >= 0) {
        int rc = trn_io_write (disk, file, bytes, size, 0);
        (void) disk->close (disk, file);
        if (rc == 0) {
            rc = disk->rename (disk, self->root, NOTE_FILE_NEW, NOTE_FILE);
        }
        if (rc != 0) {
            (void) disk->unlink (disk, self->root, NOTE_FILE_NEW);
        }
    }
    free (bytes);
}

int
trn_store_read_note (trn_store_t *self, uint8_t **bytes_p, size_t *size_p)
{
    assert (self && bytes_p && size_p);
    trn_disk_t *const disk = self->disk;
    const int file = disk->open (disk, self->root, NOTE_FILE, O_RDONLY);
    if (file < 0) {
        return TERN_ENOENT;
    }
    int rc = TERN_ENOENT;
    const int64_t size = disk->size (disk, file);
    if (size > 0 && size <= TRN_STORE_NOTE_MAX) {
        uint8_t *bytes = trn_alloc ((size_t) size);
        rc = trn_io_read (disk, file, bytes, (size_t) size, 0) == size
                 ? TERN_OK
                 : TERN_EIO;
        if (rc == TERN_OK) {
            *bytes_p = bytes;
            *size_p = (size_t) size;
        } else {
            free (bytes);
        }
    }
    (void) disk->close (disk, file);
    return rc;
}
