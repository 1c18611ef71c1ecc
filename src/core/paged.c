//  core/paged.c - a table that is kept as pages, each a frame of the directory
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/paged.h"

#include "base/bytes.h"

#include <tern/error.h>

#include <assert.h>
#include <string.h>
#include <xxhash.h>

static uint64_t
s_sum (const uint8_t *bytes, size_t size)
{
    return XXH3_64bits (bytes + TRN_PAGED_HEADER, size - TRN_PAGED_HEADER);
}

void
trn_paged_seal (uint8_t *bytes, size_t size, const char *magic)
{
    assert (bytes && size >= TRN_PAGED_HEADER && magic);
    assert (strlen (magic) == TRN_PAGED_MAGIC);
    memcpy (bytes, magic, TRN_PAGED_MAGIC);
    trn_put_u64 (bytes + TRN_PAGED_MAGIC, s_sum (bytes, size));
}

//  One page at the front of what is left; returns its bytes, 0 if it is none.
static size_t
s_read_page (const uint8_t *at, size_t left, trn_dirframe_t *frame)
{
    if (left < 4) {
        return 0;
    }
    const size_t size = trn_get_u32 (at);
    if (size > TRN_DIRECTORY_FRAME_MAX || size > left - 4
        || trn_dirframe_decode (frame, at + 4, size) != TERN_OK) {
        return 0;
    }
    return 4 + size;
}

int
trn_paged_check (const uint8_t *bytes, size_t size, const char *magic,
                 trn_dirframe_type_t type)
{
    assert ((bytes || !size) && magic);
    if (size < TRN_PAGED_HEADER
        || memcmp (bytes, magic, TRN_PAGED_MAGIC - 1) != 0) {
        return TERN_ECORRUPT;
    }
    if (bytes[TRN_PAGED_MAGIC - 1] != (uint8_t) magic[TRN_PAGED_MAGIC - 1]) {
        return TERN_EVERSION;
    }
    if (trn_get_u64 (bytes + TRN_PAGED_MAGIC) != s_sum (bytes, size)) {
        return TERN_ECORRUPT;
    }
    for (size_t at = TRN_PAGED_HEADER; at < size;) {
        trn_dirframe_t frame;
        const size_t page = s_read_page (bytes + at, size - at, &frame);
        if (!page || frame.type != type) {
            return TERN_ECORRUPT;
        }
        at += page;
    }
    return TERN_OK;
}

bool
trn_paged_next (const uint8_t *bytes, size_t size, size_t *at_p,
                trn_dirframe_t *frame)
{
    assert (bytes && at_p && frame && *at_p >= TRN_PAGED_HEADER);
    if (*at_p >= size) {
        return false;
    }
    const size_t page = s_read_page (bytes + *at_p, size - *at_p, frame);
    assert (page);
    *at_p += page;
    return true;
}
