//  store/cell.c - a small piece of state that is replaced in place
//
//  Invariants: the newest valid half is never written; before the older one
//  is, the newest is durable.  Halves share no sector and no page.
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/cell.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "store/io.h"

#include <tern/error.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum {
    AT_CHECKSUM = 0,
    AT_MAGIC = 8,
    AT_MAJOR = 16,
    AT_MINOR = 18,
    AT_LENGTH = 20,
    AT_GENERATION = 24,
    MAJOR = 1,
    MINOR = 0,
    PAGE = 4096
};

static const uint8_t s_magic[] = {'T', 'E', 'R', 'N', 'C', 'E', 'L', 'L'};

uint32_t
trn_cell_half_size (uint32_t size_max)
{
    return (TRN_CELL_HEADER + size_max + PAGE - 1) / PAGE * PAGE;
}

static uint64_t
s_checksum (const uint8_t *half, uint32_t length, uint64_t seed)
{
    return XXH3_64bits_withSeed (half + AT_MAGIC,
                                 TRN_CELL_HEADER - AT_MAGIC + length, seed);
}

static bool
s_half_valid (const uint8_t *half, uint64_t seed, uint32_t half_size)
{
    const uint32_t length = trn_get_u32 (half + AT_LENGTH);
    return memcmp (half + AT_MAGIC, s_magic, sizeof s_magic) == 0
           && length <= half_size - TRN_CELL_HEADER
           && trn_get_u64 (half + AT_CHECKSUM)
                  == s_checksum (half, length, seed);
}

int
trn_cell_decode (const uint8_t *bytes, size_t size, uint64_t seed,
                 uint32_t half_size, const uint8_t **contents_p,
                 size_t *length_p, uint64_t *generation_p, unsigned *newest_p)
{
    assert (bytes && half_size > TRN_CELL_HEADER);
    const uint8_t *newest = NULL;
    for (unsigned i = 0; i < 2 && size >= (i + 1) * (size_t) half_size; i++) {
        const uint8_t *const half = bytes + i * (size_t) half_size;
        if (!s_half_valid (half, seed, half_size)) {
            continue;
        }
        if (!newest
            || trn_get_u64 (half + AT_GENERATION)
                   > trn_get_u64 (newest + AT_GENERATION)) {
            newest = half;
            *newest_p = i;
        }
    }
    if (!newest) {
        return TERN_ECORRUPT;
    }
    if (trn_get_u16 (newest + AT_MAJOR) != MAJOR) {
        return TERN_EVERSION;
    }
    *generation_p = trn_get_u64 (newest + AT_GENERATION);
    *contents_p = newest + TRN_CELL_HEADER;
    *length_p = trn_get_u32 (newest + AT_LENGTH);
    return 0;
}

//  Read and decode an open file into self and a copy of its contents.
static int
s_load (trn_cell_t *self, uint8_t **contents_p, size_t *length_p)
{
    const size_t size = 2 * (size_t) self->half_size;
    uint8_t *const bytes = trn_alloc (size);
    const int64_t got = trn_io_read (self->disk, self->file, bytes, size, 0);
    const uint8_t *contents = NULL;
    int rc = got < 0 ? (int) got
                     : trn_cell_decode (bytes, (size_t) got, self->seed,
                                        self->half_size, &contents, length_p,
                                        &self->generation, &self->newest);
    if (rc == 0) {
        *contents_p = trn_alloc (*length_p + 1);
        memcpy (*contents_p, contents, *length_p);
    }
    free (bytes);
    return rc;
}

static int
s_write_half (trn_cell_t *self, unsigned which, uint64_t generation,
              const uint8_t *contents, size_t length)
{
    assert (length <= self->half_size - TRN_CELL_HEADER);
    uint8_t *const half = trn_alloc (TRN_CELL_HEADER + length);
    memcpy (half + AT_MAGIC, s_magic, sizeof s_magic);
    trn_put_u16 (half + AT_MAJOR, MAJOR);
    trn_put_u16 (half + AT_MINOR, MINOR);
    trn_put_u32 (half + AT_LENGTH, (uint32_t) length);
    trn_put_u64 (half + AT_GENERATION, generation);
    if (length) {
        memcpy (half + TRN_CELL_HEADER, contents, length);
    }
    trn_put_u64 (half + AT_CHECKSUM,
                 s_checksum (half, (uint32_t) length, self->seed));
    int rc
        = trn_io_write (self->disk, self->file, half, TRN_CELL_HEADER + length,
                        (int64_t) which * self->half_size);
    free (half);
#ifndef TERN_BUG_11
    if (rc == 0) {
        rc = trn_io_sync_data (self->disk, self->file);
    }
#endif
    return rc;
}

//  Writing needs no right that opening did not need.
static int
s_write_error (int rc)
{
    return rc == TERN_EFULL ? rc : TERN_EIO;
}

int
trn_cell_read (trn_disk_t *disk, int dir, const char *name, uint64_t seed,
               uint32_t half_size, uint8_t **contents_p, size_t *length_p)
{
    assert (disk && name && contents_p && length_p);
    trn_cell_t cell = {.disk = disk, .seed = seed, .half_size = half_size};
    cell.file = disk->open (disk, dir, name, O_RDONLY);
    if (cell.file < 0) {
        return trn_io_error (cell.file);
    }
    const int rc = s_load (&cell, contents_p, length_p);
    trn_cell_close (&cell);
    return rc;
}

int
trn_cell_open (trn_cell_t *self, trn_disk_t *disk, int dir, const char *name,
               uint64_t seed, uint32_t half_size, uint8_t **contents_p,
               size_t *length_p)
{
    assert (self && disk && name && contents_p && length_p);
    *self = (trn_cell_t) {.disk = disk, .seed = seed, .half_size = half_size};
    self->file = disk->open (disk, dir, name, O_RDWR);
    if (self->file < 0) {
        return trn_io_error (self->file);
    }
    int rc = s_load (self, contents_p, length_p);
    if (rc == 0) {
        //  What was read may be known to the page cache only: a killed
        //  process never synced it, or its sync failed.  It must be durable
        //  before the other half, perhaps the only durable one, is written.
        rc = s_write_half (self, self->newest, self->generation, *contents_p,
                           *length_p);
        if (rc < 0) {
            rc = s_write_error (rc);
            free (*contents_p);
            *contents_p = NULL;
        }
    }
    if (rc < 0) {
        trn_cell_close (self);
    }
    return rc;
}

static int
s_fill (trn_cell_t *self, const uint8_t *contents, size_t length)
{
    const size_t size = 2 * (size_t) self->half_size;
    uint8_t *const zeros = trn_alloc (size);
    int rc = trn_io_write (self->disk, self->file, zeros, size, 0);
    free (zeros);
    if (rc == 0) {
        rc = s_write_half (self, 0, self->generation, contents, length);
    }
    if (rc == 0) {
        rc = trn_io_sync (self->disk, self->file);
    }
    return rc;
}

int
trn_cell_create (trn_cell_t *self, trn_disk_t *disk, int dir, const char *name,
                 uint64_t seed, uint32_t half_size, const uint8_t *contents,
                 size_t length)
{
    assert (self && disk && name);
    *self = (trn_cell_t) {
        .disk = disk, .seed = seed, .half_size = half_size, .generation = 1};
    char fresh[64];
    const int size = snprintf (fresh, sizeof fresh, "%s.new", name);
    assert (size > 0 && (size_t) size < sizeof fresh);
    self->file = disk->open (disk, dir, fresh, O_RDWR | O_CREAT);
    if (self->file < 0) {
        return trn_io_error (self->file);
    }
    int rc = s_fill (self, contents, length);
    if (rc == 0) {
        const int renamed = disk->rename (disk, dir, fresh, name);
        rc = renamed < 0 ? trn_io_error (renamed) : trn_io_sync (disk, dir);
    }
    if (rc < 0) {
        trn_cell_close (self);
    }
    return rc;
}

int
trn_cell_replace (trn_cell_t *self, const uint8_t *contents, size_t length)
{
    assert (self && self->file >= 0);
#ifdef TERN_BUG_14
    const int grown
        = trn_io_allocate (self->disk, self->file,
                           (int64_t) (self->generation + 2) * self->half_size);
    if (grown < 0) {
        return grown;
    }
#endif
    const int rc = s_write_half (self, self->newest ^ 1u, self->generation + 1,
                                 contents, length);
    if (rc < 0) {
        return s_write_error (rc);
    }
    self->generation++;
    self->newest ^= 1u;
    return 0;
}

void
trn_cell_close (trn_cell_t *self)
{
    assert (self);
    if (self->file >= 0) {
        //  Every write was synced: closing has nothing left to say.
        (void) self->disk->close (self->disk, self->file);
        self->file = -1;
    }
}
