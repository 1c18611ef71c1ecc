//  core/bindings_saved.c - the table of bindings as bytes that are kept
//
//      | "TRNBIND1" | XXH3-64 of the rest | size u32, page | size u32, page ...
//
//  The pages are frames BINDINGS: what reads them is what reads a directory's,
//  with all its checks.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/binding.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "wire/dirframe.h"

#include <tern/error.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define MAGIC "TRNBIND1"
#define MAGIC_SIZE 8
#define HEADER_SIZE 16

//  A page with all bindings from *index_p on that it has room for.
static size_t
s_save_page (const trn_bindings_t *self, uint64_t number, size_t *index_p,
             uint8_t *to)
{
    const trn_dirframe_t frame = {
        .type = TRN_DIR_BINDINGS,
        .bindings = {.page = number},
    };
    trn_dirpage_t page;
    trn_dirpage_begin (&page, &frame, to, TRN_DIRECTORY_FRAME_MAX);
    trn_binding_t binding;
    while (trn_bindings_at (self, *index_p, &binding)
           && trn_dirpage_add_binding (&page, &binding)) {
        ++*index_p;
    }
    return trn_dirpage_end (&page, *index_p == trn_bindings_count (self));
}

uint8_t *
trn_bindings_save (const trn_bindings_t *self, size_t capacity, size_t *size_p)
{
    assert (self && size_p);
    size_t used = HEADER_SIZE;
    size_t room = HEADER_SIZE + TRN_DIRECTORY_FRAME_MAX;
    uint8_t *bytes = trn_alloc (room);
    uint8_t page[TRN_DIRECTORY_FRAME_MAX];
    size_t index = 0;
    for (uint64_t number = 0; index < trn_bindings_count (self); number++) {
        const size_t size = s_save_page (self, number, &index, page);
        if (used + 4 + size > capacity) {
            break;
        }
        if (used + 4 + size > room) {
            room = 2 * (used + 4 + size);
            bytes = trn_realloc (bytes, room);
        }
        trn_put_u32 (bytes + used, (uint32_t) size);
        memcpy (bytes + used + 4, page, size);
        used += 4 + size;
    }
    memcpy (bytes, MAGIC, MAGIC_SIZE);
    trn_put_u64 (bytes + MAGIC_SIZE,
                 XXH3_64bits (bytes + HEADER_SIZE, used - HEADER_SIZE));
    *size_p = used;
    return bytes;
}

//  One page at the front of what is left; returns its bytes, 0 if it is none.
static size_t
s_load_page (const uint8_t *at, size_t left, trn_dirframe_t *frame)
{
    if (left < 4) {
        return 0;
    }
    const size_t size = trn_get_u32 (at);
    if (size > TRN_DIRECTORY_FRAME_MAX || size > left - 4
        || trn_dirframe_decode (frame, at + 4, size) != TERN_OK
        || frame->type != TRN_DIR_BINDINGS) {
        return 0;
    }
    return 4 + size;
}

int
trn_bindings_load (trn_bindings_t *self, const uint8_t *saved, size_t size)
{
    assert (self && (saved || !size));
    if (size < HEADER_SIZE || memcmp (saved, MAGIC, MAGIC_SIZE - 1)) {
        return TERN_ECORRUPT;
    }
    if (saved[MAGIC_SIZE - 1] != (uint8_t) MAGIC[MAGIC_SIZE - 1]) {
        return TERN_EVERSION;
    }
    if (trn_get_u64 (saved + MAGIC_SIZE)
        != XXH3_64bits (saved + HEADER_SIZE, size - HEADER_SIZE)) {
        return TERN_ECORRUPT;
    }
    //  All of it, or nothing: look first, take then.
    for (int take = 0; take < 2; take++) {
        size_t at = HEADER_SIZE;
        while (at < size) {
            trn_dirframe_t frame;
            const size_t bytes = s_load_page (saved + at, size - at, &frame);
            if (!bytes) {
                return TERN_ECORRUPT;
            }
            trn_binding_t binding;
            while (take && trn_binds_next (&frame.bindings.items, &binding)) {
                //  A table with less room than the one that was saved keeps
                //  what it can; what it lacks, others tell.
                (void) trn_bindings_take (self, &binding);
            }
            at += bytes;
        }
    }
    return TERN_OK;
}
