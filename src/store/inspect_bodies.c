//  store/inspect_bodies.c - looking at the large bodies of a store
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/inspect.h"

#include <tern/error.h>

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

void
trn_inspect_body_file (char file[24], uint64_t id)
{
    snprintf (file, 24, TRN_BODIES_DIR "/%016" PRIx64, id);
}

int
trn_inspect_body (trn_bodies_t *bodies, const trn_manifest_t *manifest,
                  trn_bodies_part_fn *fn, void *arg, tern_store_body_t *body)
{
    assert (bodies && manifest && body);
    trn_inspect_body_file (body->file, manifest->id);
    body->size = manifest->size;
    const int rc = trn_bodies_walk (bodies, manifest, fn, arg, &body->offset);
    const int64_t there = trn_bodies_size (bodies, manifest->id);
    switch (rc) {
    case TERN_OK: body->health = TERN_BODY_WHOLE; return TERN_OK;
    case TERN_ENOENT: body->health = TERN_BODY_MISSING; return TERN_OK;
    case TERN_ECORRUPT:
    case TERN_EIO:
        body->health = there >= 0 && (uint64_t) there < manifest->size
                           ? TERN_BODY_SHORT
                           : TERN_BODY_DAMAGED;
        return TERN_OK;
    default: return rc;
    }
}

//  How many ----------------------------------------------------------------

typedef struct {
    trn_bodies_t *bodies;
    tern_store_large_t *large;
} s_counting_t;

static void
s_count_body (void *arg, uint64_t id)
{
    const s_counting_t *counting = arg;
    const int64_t size = trn_bodies_size (counting->bodies, id);
    if (size >= 0) {
        counting->large->bodies++;
        counting->large->bytes += (uint64_t) size;
    }
}

int
tern_store_large (tern_store_t *self, tern_store_large_t *large)
{
    assert (self && large);
    *large = (tern_store_large_t) {0};
    s_counting_t counting = {NULL, large};
    int rc = trn_bodies_open (&counting.bodies, self->disk, self->root, 0);
    if (rc == 0) {
        rc = trn_bodies_each (counting.bodies, s_count_body, &counting);
    }
    trn_bodies_close (&counting.bodies);
    return rc;
}
