//  store/cell.h - a small piece of state that is replaced in place
//
//  A cell is a file of two halves, both really written when it is created.  A
//  replace writes the older half and syncs; the newest valid half counts.  So
//  a crash leaves the old or the new contents, never neither, and a replace
//  needs no new space: it works on a full disk.
//
//      half:   0  checksum     u64   XXH3-64 of bytes 8..31+length
//              8  magic        "TERNCELL"
//             16  major, minor u16, u16
//             20  length       u32   of the contents
//             24  generation   u64   rises by one with each replace
//             32  contents
//
//  The checksum is seeded with whose cell it is: a copy from elsewhere fails.
//
//  Thread: one at a time.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_CELL_H
#define TRN_CELL_H

#include "store/disk.h"

#define TRN_CELL_HEADER 32u

typedef struct {
    trn_disk_t *disk;
    int file;  //  -1 when closed
    uint64_t seed;
    uint32_t half_size;   //  bytes, a multiple of 4096
    uint64_t generation;  //  of the newest half
    unsigned newest;      //  0 or 1
} trn_cell_t;

//  Bytes of a half that can hold size_max bytes of contents.
uint32_t
trn_cell_half_size (uint32_t size_max);

//  Pure: the newest valid half among bytes (a whole cell file).  Contents
//  borrow from bytes.  0, TERN_ECORRUPT, TERN_EVERSION.
int
trn_cell_decode (const uint8_t *bytes, size_t size, uint64_t seed,
                 uint32_t half_size, const uint8_t **contents_p,
                 size_t *length_p, uint64_t *generation_p, unsigned *newest_p);

//  Read a cell and leave it as it is.  Contents are the caller's to free ().
//  0, TERN_ENOENT, TERN_ECORRUPT, TERN_EVERSION, TERN_EIO.
int
trn_cell_read (trn_disk_t *disk, int dir, const char *name, uint64_t seed,
               uint32_t half_size, uint8_t **contents_p, size_t *length_p);

//  Open for replacing.  What is returned is durable.  As trn_cell_read (), or
//  TERN_EFULL, TERN_EACCESS.
int
trn_cell_open (trn_cell_t *self, trn_disk_t *disk, int dir, const char *name,
               uint64_t seed, uint32_t half_size, uint8_t **contents_p,
               size_t *length_p);

//  Create: exists with these contents after a crash, or not at all.  Replaces
//  a file of that name.  0, TERN_EFULL, TERN_EACCESS, TERN_EIO.
int
trn_cell_create (trn_cell_t *self, trn_disk_t *disk, int dir, const char *name,
                 uint64_t seed, uint32_t half_size, const uint8_t *contents,
                 size_t length);

//  0 and durable; TERN_EFULL: not replaced, may be tried again; TERN_EIO: one
//  of the two is there, and this cell must not be written again.
int
trn_cell_replace (trn_cell_t *self, const uint8_t *contents, size_t length);

void
trn_cell_close (trn_cell_t *self);

#endif
