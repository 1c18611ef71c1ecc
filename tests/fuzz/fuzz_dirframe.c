//  tests/fuzz/fuzz_dirframe.c - any bytes as a frame of the directory
//
//  SPDX-License-Identifier: MPL-2.0

#include "fuzz.h"

#include "wire/dirframe.h"

#include <tern/error.h>

//  Say a frame again, its items one by one.
static size_t
s_encode (const trn_dirframe_t *frame, uint8_t *to, size_t capacity)
{
    static trn_entry_t entry;
    static tern_stats_t row;
    trn_dirpage_t page;
    if (frame->type == TRN_DIR_SNAPSHOT) {
        trn_items_t items = frame->snapshot.entries;
        trn_dirpage_begin (&page, frame, to, capacity);
        while (trn_entries_next (&items, &entry)) {
            assert (trn_dirpage_add_entry (&page, &entry));
        }
        return trn_dirpage_end (&page, frame->snapshot.last);
    }
    if (frame->type == TRN_DIR_BINDINGS) {
        trn_items_t items = frame->bindings.items;
        trn_binding_t binding;
        trn_dirpage_begin (&page, frame, to, capacity);
        while (trn_binds_next (&items, &binding)) {
            assert (trn_dirpage_add_binding (&page, &binding));
        }
        return trn_dirpage_end (&page, frame->bindings.last);
    }
    const bool stats = frame->type == TRN_DIR_STATS;
    if (stats || frame->type == TRN_DIR_REFRESH) {
        trn_items_t items = stats ? frame->stats.rows : frame->refresh.rows;
        trn_dirpage_begin (&page, frame, to, capacity);
        while (trn_rows_next (&items, &row)) {
            assert (trn_dirpage_add_row (&page, &row));
        }
        return trn_dirpage_end (&page, stats ? frame->stats.last
                                             : frame->refresh.last);
    }
    return trn_dirframe_encode (frame, to, capacity);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
    static trn_dirframe_t frame;
    //  Room for the longest forms of what came in the shortest.
    static uint8_t once[TRN_DIRECTORY_FRAME_MAX + 16],
        twice[TRN_DIRECTORY_FRAME_MAX + 16];
    const int rc = trn_dirframe_decode (&frame, data, size);
    assert (rc == 0 || rc == TERN_EPROTO || rc == TERN_ETOOBIG
            || rc == TERN_EVERSION);
    if (rc) {
        return 0;
    }
    assert (trn_dirframe_name (frame.type)[0] != '?');
    const size_t first = s_encode (&frame, once, sizeof once);
    if (first > TRN_DIRECTORY_FRAME_MAX) {
        return 0;
    }
    assert (trn_dirframe_decode (&frame, once, first) == 0);
    const size_t second = s_encode (&frame, twice, sizeof twice);
    assert (first == second && memcmp (once, twice, first) == 0);
    return 0;
}
