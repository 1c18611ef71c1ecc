//  store/bodies.h - bodies that are too large for a message, a file each
//
//      <data>/large/<16 hex digits>    the bytes as they are, nothing else
//
//  A large message is a small one in an outbox, the manifest, that names a body
//  here (docs/spec 3-RECORD, section 4).  The body comes first: it is durable,
//  bytes and name, before the manifest may be appended.  So every manifest that
//  survives has its body, and a body that no manifest names was begun by a
//  process that died: whoever opens the store removes it.  The sums of a body
//  are in its manifest, so that its bytes need no frame here.
//
//  A number names one body for ever: its upper half is the incarnation.
//
//  Threads: open, each, close: one at a time.  The rest: any; a trn_body_t
//  belongs to one.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_BODIES_H
#define TRN_BODIES_H

#include "store/disk.h"
#include "wire/manifest.h"

#include <stddef.h>
#include <stdint.h>

//  The folder, as readers of a store see it, and the names in it.
#define TRN_BODIES_DIR "large"
#define TRN_BODY_ENTRY 17

typedef struct trn_bodies trn_bodies_t;
typedef struct trn_body trn_body_t;

//  root is the store's folder; borrowed.  The folder is made with the first
//  body.  0, or TERN_EACCESS, TERN_EIO, TERN_EFULL.
int
trn_bodies_open (trn_bodies_t **self_p, trn_disk_t *disk, int root,
                 uint64_t incarnation);

//  NULL is allowed; sets *self_p to NULL.
void
trn_bodies_close (trn_bodies_t **self_p);

//  Those that are there, in no order; not after the first one was begun.  0, or
//  TERN_EIO and the like.
typedef void
trn_bodies_fn (void *arg, uint64_t id);

int
trn_bodies_each (trn_bodies_t *self, trn_bodies_fn *fn, void *arg);

//  Exactly size bytes from offset on.  0, TERN_ENOENT (no such body),
//  TERN_ECORRUPT (it is shorter), TERN_EIO, TERN_EFULL (no descriptor now).
int
trn_bodies_read (trn_bodies_t *self, uint64_t id, uint64_t offset, void *to,
                 size_t size);

//  Read all of the body that a manifest names, part by part, and compare it with
//  its sums; fn (may be NULL) gets what fits, in order.  0; as read (), or
//  TERN_ECORRUPT and *offset_p: the part that does not fit, or the end of what is
//  too short; or what fn returned, if that is not 0.
typedef int
trn_bodies_part_fn (void *arg, const void *bytes, size_t size);

int
trn_bodies_walk (trn_bodies_t *self, const trn_manifest_t *manifest,
                 trn_bodies_part_fn *fn, void *arg, uint64_t *offset_p);

//  Bytes of a body, so far.  Or as read ().
int64_t
trn_bodies_size (trn_bodies_t *self, uint64_t id);

//  0; TERN_ENOENT; or what the disk says, and then it may still be there.
int
trn_bodies_remove (trn_bodies_t *self, uint64_t id);

//  Begin a body.  0, or TERN_EFULL, TERN_EACCESS, TERN_EIO.
int
trn_body_begin (trn_body_t **self_p, trn_bodies_t *bodies);

//  Behind what was written before.  0; after anything else only abandon () is
//  left.
int
trn_body_write (trn_body_t *self, const void *bytes, size_t size);

//  All of it is on the disk, and found there after any crash: 0, *id_p, and
//  *self_p is NULL.  After anything else only abandon () is left.
int
trn_body_finish (trn_body_t **self_p, uint64_t *id_p);

//  As if it had never been.  NULL is allowed; sets *self_p to NULL.
void
trn_body_abandon (trn_body_t **self_p);

#endif
