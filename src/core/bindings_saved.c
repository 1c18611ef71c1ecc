//  core/bindings_saved.c - the table of bindings as bytes that are kept
//
//  Pages of core/paged.h; they are frames BINDINGS.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/binding.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "core/paged.h"

#include <tern/error.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC "TRNBIND1"

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
    size_t used = TRN_PAGED_HEADER;
    size_t room = TRN_PAGED_HEADER + TRN_DIRECTORY_FRAME_MAX;
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
    trn_paged_seal (bytes, used, MAGIC);
    *size_p = used;
    return bytes;
}

int
trn_bindings_load (trn_bindings_t *self, const uint8_t *saved, size_t size)
{
    assert (self && (saved || !size));
    const int rc = trn_paged_check (saved, size, MAGIC, TRN_DIR_BINDINGS);
    size_t at = TRN_PAGED_HEADER;
    trn_dirframe_t frame;
    while (rc == TERN_OK && trn_paged_next (saved, size, &at, &frame)) {
        trn_binding_t binding;
        while (trn_binds_next (&frame.bindings.items, &binding)) {
            //  A table with less room than the one that was saved keeps what it
            //  can; what it lacks, others tell.
            (void) trn_bindings_take (self, &binding);
        }
    }
    return rc;
}
