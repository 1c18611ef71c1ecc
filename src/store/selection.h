//  store/selection.h - what of its past a queue of an outbox was given
//
//      <outbox>/past-<8 hex digits of the queue's number>
//
//  A routed message names its queues, and cannot name one that came later.  What
//  such a queue was given all the same is chosen once, when it comes, by what it
//  was bound with then, and the choice is kept in a file: a later life can
//  neither guess it from bindings that may have changed nor do without.
//
//      0  checksum     u64   XXH3-64 of all that follows
//      8  magic        "TERNPAST"
//     16  major, minor u16, u16
//     20  number       u32   of the queue
//     24  to           u64   the last seq of the past
//     32  parts, in ascending order, up to the end of the file:
//           page       u64   seq / 4096
//           count      u64   seqs: 4096 for each of so many pages in a row, or
//                            fewer, of one page; then
//           bits       512   one for each seq of the page, low ones first
//
//  The checksum is seeded with whose outbox it is: a copy from elsewhere fails.
//  A file is written once and never changed.  One whose queue no state knows, or
//  whose past is settled, means nothing.
//
//  Thread: one at a time.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_SELECTION_H
#define TRN_SELECTION_H

#include "base/seqset.h"
#include "store/disk.h"

#define TRN_SELECTION_HEADER 32u
#define TRN_SELECTION_PART_MAX 528u

//  Parts of a selection, as of a trn_seqset_t: 35 MB.
#define TRN_SELECTION_PARTS_MAX (64u * 1024)

typedef struct {
    uint32_t number;    //  of the queue, at least 1
    uint64_t to;        //  the last seq of its past
    trn_seqset_t seqs;  //  of these; owned
} trn_selection_t;

//  The bytes of a file; the caller frees them.  At most TRN_SELECTION_PARTS_MAX
//  parts.
uint8_t *
trn_selection_encode (const trn_selection_t *self, uint64_t seed,
                      size_t *size_p);

//  0, TERN_ECORRUPT, TERN_EVERSION; then there is nothing in it.
int
trn_selection_decode (trn_selection_t *self, uint64_t seed,
                      const uint8_t *bytes, size_t size);

//  The file is there with these bytes, whatever crashes from now on, or not at
//  all.  Replaces one of that number.  0, TERN_EFULL, TERN_EACCESS, TERN_EIO.
int
trn_selection_write (trn_disk_t *disk, int dir, uint32_t number,
                     const uint8_t *bytes, size_t size);

//  It may be back after a crash.
void
trn_selection_remove (trn_disk_t *disk, int dir, uint32_t number);

//  The numbers of those in dir; the caller frees.  0, TERN_EIO, TERN_EFULL.
int
trn_selection_list (trn_disk_t *disk, int dir, uint32_t **numbers_p,
                    size_t *count_p);

//  Read the one of this number: 0 and its seqs, the caller's to clear; or
//  TERN_ENOENT, TERN_ECORRUPT, TERN_EVERSION, TERN_EIO, TERN_EFULL.
int
trn_selection_read (trn_disk_t *disk, int dir, uint64_t seed, uint32_t number,
                    trn_selection_t *selection);

//  The name of its file.
#define TRN_SELECTION_NAME 14

void
trn_selection_name (char name[TRN_SELECTION_NAME], uint32_t number);

//  Call fn (NULL: only look whether all are good) for each one in dir, which may
//  take its seqs.  0, or TERN_ECORRUPT, TERN_EVERSION, TERN_EIO, TERN_EFULL of one
//  that cannot be read, and its number.
typedef void
trn_selection_fn (void *arg, trn_selection_t *selection);

int
trn_selection_each (trn_disk_t *disk, int dir, uint64_t seed,
                    trn_selection_fn *fn, void *arg, uint32_t *number_p);

//  What a crash left of files that were being written goes.
void
trn_selection_tidy (trn_disk_t *disk, int dir);

#endif
