//  store/inspect.h - what looking into a store and salvaging it share
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_INSPECT_H
#define TRN_INSPECT_H

#include "store/bodies.h"
#include "store/disk.h"
#include "store/log_state.h"
#include "store/segment.h"
#include "store/store_meta.h"

#include <tern/store.h>

//  An outbox that was found.
typedef struct {
    char entry[TRN_STORE_ENTRY];
    char name[TRN_NAME_MAX + 2];
} trn_inspect_box_t;

struct tern_store {
    trn_disk_t *disk;
    int root;
    int outbox_dir;  //  -1: none yet
    trn_store_meta_t meta;
    char uuid[37];
    trn_inspect_box_t *boxes;  //  by name
    size_t box_count;
};

//  As tern_store_open (), on any disk.
int
trn_inspect_open (tern_store_t **self_p, trn_disk_t *disk, const char *path,
                  char *why, size_t why_size);

//  The cells and the directory of one outbox.
typedef struct {
    int dir;
    trn_log_meta_t meta;
    trn_log_state_t state;
    uint8_t *state_bytes;  //  owned
    int state_rc;          //  what reading STATE said
} trn_inspect_cells_t;

//  0 if META could be read, whatever STATE said; to be closed in any case.
int
trn_inspect_open_cells (tern_store_t *self, const trn_inspect_box_t *box,
                        trn_inspect_cells_t *cells);

//  The same of the outbox of this name; TERN_ENOENT: there is none.
int
trn_inspect_open_outbox (tern_store_t *self, const char *outbox,
                         trn_inspect_cells_t *cells);

void
trn_inspect_close_cells (tern_store_t *self, trn_inspect_cells_t *cells);

//  How the body is that this manifest names: 0, and the health, file, size and
//  offset of *body.  Or TERN_EACCESS, TERN_EFULL, or what fn, see
//  trn_bodies_walk (), returned, which has to be positive.
int
trn_inspect_body (trn_bodies_t *bodies, const trn_manifest_t *manifest,
                  trn_bodies_part_fn *fn, void *arg, tern_store_body_t *body);

void
trn_inspect_body_file (char file[24], uint64_t id);

typedef struct {
    trn_disk_t *disk;  //  of the new store
    const char *path;
    tern_loss_fn *fn;  //  may be NULL
    void *arg;
} trn_salvage_to_t;

//  As tern_store_salvage (), from and to any disk.
int
trn_inspect_salvage (tern_store_t *self, const trn_salvage_to_t *to,
                     tern_salvage_t *result, char *why, size_t why_size);

#endif
