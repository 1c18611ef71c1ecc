//  store/scan.c - read a segment from front to back and judge where it ends
//
//  Knows: what a record must look like to be worth a checksum, and which
//  remains a power failure can leave.  A file is read once, in blocks, through
//  a window that is just large enough for the largest record.
//
//  The verdict is rule L7, made exact for a log that is written ahead of its
//  sync (docs/STORAGE.md, "Torn or corrupt").
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/segment.h"

#include "base/bytes.h"
#include "base/memory.h"

#include <tern/error.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    BLOCK = 1024 * 1024,
    WINDOW = 2 * BLOCK,
    //  Bytes of checksums that one search may cost, per byte searched.  Only
    //  forged bytes need more than one or two.
    SEARCH_EFFORT = 16
};

_Static_assert(TRN_RECORD_MAX + 8 <= WINDOW, "a record fits in the window");

//  A window over the source: bytes from..from+filled of it.
typedef struct {
    const trn_source_t *source;
    uint8_t *bytes;
    size_t capacity;
    int64_t from;
    size_t filled;
} trn_window_t;

static void
s_window_open (trn_window_t *self, const trn_source_t *source, int64_t offset)
{
    const int64_t left = source->size - offset;
    *self = (trn_window_t) {.source = source, .from = offset};
    self->capacity = left < WINDOW ? (left > 0 ? (size_t) left : 0) : WINDOW;
    self->bytes = trn_realloc (NULL, self->capacity + 1);
}

static void
s_window_close (trn_window_t *self)
{
    free (self->bytes);
}

//  Make as much as possible of need bytes at offset visible; offset only grows.
//  *left_p is what is visible from there.  0 or what the source said.
static int
s_window_show (trn_window_t *self, int64_t offset, size_t need,
               const uint8_t **at_p, size_t *left_p)
{
    const size_t ahead = (size_t) (offset - self->from);
    const int64_t rest = self->source->size - offset;
    if (rest <= 0) {
        *at_p = self->bytes;
        *left_p = 0;
        return 0;
    }
    if ((uint64_t) rest < need) {
        need = (size_t) rest;
    }
    if (ahead + need > self->filled) {
        //  Slide what is left to the front and fill up behind it.
        const size_t keep = ahead < self->filled ? self->filled - ahead : 0;
        if (keep) {
            memmove (self->bytes, self->bytes + ahead, keep);
        }
        self->from = offset;
        self->filled = keep;
        while (self->filled < need) {
            const size_t space = self->capacity - self->filled;
            const int64_t got = self->source->read (
                self->source->arg, self->bytes + self->filled,
                space < BLOCK ? space : BLOCK, offset + (int64_t) self->filled);
            if (got < 0) {
                return (int) got;
            }
            if (got == 0) {
                break;
            }
            self->filled += (size_t) got;
        }
    }
    const size_t skip = (size_t) (offset - self->from);
    *at_p = self->bytes + skip;
    *left_p = self->filled - skip;
    return 0;
}

//  Bytes the record here claims to take, as far as that is possible at all;
//  else a header.
static size_t
s_claimed (const uint8_t *at, size_t left)
{
    const uint32_t length
        = left >= TRN_RECORD_HEADER ? trn_get_u32 (at + 8) : 0;
    return length >= TRN_RECORD_HEADER && length <= TRN_RECORD_MAX
               ? trn_record_padded (length)
               : TRN_RECORD_HEADER;
}

//  Show the whole record at offset, or what there is of it.
static int
s_show_record (trn_window_t *window, int64_t offset, const uint8_t **at_p,
               size_t *left_p)
{
    int rc = s_window_show (window, offset, TRN_RECORD_HEADER, at_p, left_p);
    if (rc == 0 && s_claimed (*at_p, *left_p) > *left_p) {
        rc = s_window_show (window, offset, s_claimed (*at_p, *left_p), at_p,
                            left_p);
    }
    return rc;
}

static uint64_t
s_last_seq (const trn_record_t *record)
{
    return record->kind == TRN_RECORD_GAP ? trn_get_u64 (record->body)
                                          : record->seq;
}

//  A gap record names its last seq, and nothing else.
static bool
s_record_sane (const trn_record_t *record)
{
    return record->kind != TRN_RECORD_GAP
           || (record->body_size == 8
               && trn_get_u64 (record->body) >= record->seq
               && trn_get_u64 (record->body) < UINT64_MAX);
}

static uint64_t
s_proves (const trn_record_t *record)
{
    return record->unsynced && record->unsynced <= record->seq
               ? record->seq - record->unsynced
               : 0;
}

//  Are there only zeros from offset to the end?
static int
s_only_zeros (trn_window_t *window, int64_t offset, bool *zeros_p)
{
    for (;;) {
        const uint8_t *at = NULL;
        size_t left = 0;
        const int rc = s_window_show (window, offset, 1, &at, &left);
        if (rc < 0 || left == 0) {
            *zeros_p = true;
            return rc;
        }
        //  A region equals itself moved by one if all its bytes are the same.
        if (at[0] != 0 || memcmp (at, at + 1, left - 1) != 0) {
            *zeros_p = false;
            return 0;
        }
        offset += (int64_t) left;
    }
}

int
trn_segment_walk (const trn_source_t *source, const trn_place_t *place,
                  int64_t offset, uint64_t next_seq, trn_segment_record_fn *fn,
                  void *arg, trn_walk_t *walk)
{
    assert (source && place && walk && offset % 8 == 0);
    *walk = (trn_walk_t) {.next_seq = next_seq, .end = offset};
    const uint64_t seed
        = trn_record_seed (place->store_uuid, place->outbox, place->segment);
    trn_window_t window;
    s_window_open (&window, source, offset);
    int rc = 0;
    for (;;) {
        const uint8_t *at = NULL;
        size_t left = 0;
        rc = s_show_record (&window, walk->end, &at, &left);
        if (rc < 0) {
            break;
        }
        trn_record_t record;
        const int size = trn_record_read (at, left, seed, walk->end, &record);
        if (size <= 0 || !s_record_sane (&record)) {
            bool zeros = true;
            rc = s_only_zeros (&window, walk->end, &zeros);
            walk->broken = !zeros;
            break;
        }
        if (walk->next_seq != 0 && record.seq != walk->next_seq) {
            walk->broken = true;
            walk->misplaced = true;
            walk->misplaced_seq = record.seq;
            break;
        }
        if (fn) {
            walk->stopped = fn (arg, &record, walk->end, (uint32_t) size);
            if (walk->stopped) {
                break;
            }
        }
        if (walk->first_seq == 0) {
            walk->first_seq = record.seq;
        }
        if (record.kind == TRN_RECORD_MESSAGE) {
            walk->messages++;
            walk->bytes += (uint64_t) size;
        }
        const uint64_t proved = s_proves (&record);
        if (proved > walk->proved) {
            walk->proved = proved;
        }
        if (record.incarnation > walk->incarnation) {
            walk->incarnation = record.incarnation;
        }
        walk->next_seq = s_last_seq (&record) + 1;
        walk->end += size;
    }
    s_window_close (&window);
    return rc;
}

//  Could a record that belongs here start at these 40 bytes?  Cheap, and wrong
//  only on the side of looking closer.
static bool
s_plausible (const uint8_t *at, int64_t rest, uint64_t next_seq)
{
    const uint32_t length = trn_get_u32 (at + 8);
    const unsigned kind = at[12] & 15;
    return length >= TRN_RECORD_HEADER && length <= TRN_RECORD_MAX
           && (int64_t) trn_record_padded (length) <= rest
           && (kind == TRN_RECORD_MESSAGE || kind == TRN_RECORD_GAP)
           && length >= TRN_RECORD_HEADER + at[13] + trn_get_u16 (at + 14)
           && trn_get_u64 (at + 16) >= next_seq;
}

int
trn_segment_search (const trn_source_t *source, const trn_place_t *place,
                    int64_t offset, uint64_t next_seq, trn_beyond_t *beyond)
{
    assert (source && place && beyond && offset % 8 == 0);
    const uint64_t seed
        = trn_record_seed (place->store_uuid, place->outbox, place->segment);
    //  Whatever the bytes claim, the work stays linear.
    int64_t effort
        = (source->size - offset) * SEARCH_EFFORT + 4 * (int64_t) WINDOW;
    trn_window_t window;
    s_window_open (&window, source, offset);
    int rc = 0;
    while (source->size - offset >= (int64_t) TRN_RECORD_HEADER) {
        const uint8_t *at = NULL;
        size_t left = 0;
        rc = s_window_show (&window, offset, TRN_RECORD_HEADER, &at, &left);
        if (rc < 0 || left < TRN_RECORD_HEADER) {
            break;
        }
        //  Most of what is searched is zeros: pass them in one go.
        size_t zeros = 0;
        while (zeros + 8 <= left && trn_get_u64 (at + zeros) == 0) {
            zeros += 8;
        }
        //  A record may start with a checksum of zero, so step one back.
        if (zeros > 8) {
            offset += (int64_t) zeros - 8;
            continue;
        }
        int step = 8;
        if (s_plausible (at, source->size - offset, next_seq)) {
            trn_record_t record;
            rc = s_show_record (&window, offset, &at, &left);
            if (rc < 0) {
                break;
            }
            effort -= (int64_t) s_claimed (at, left);
            if (effort < 0) {
                beyond->gave_up = true;
                break;
            }
            const int size = trn_record_read (at, left, seed, offset, &record);
            if (size > 0 && s_record_sane (&record)) {
                if (!beyond->found) {
                    beyond->found = true;
                    beyond->offset = offset;
                    beyond->seq = record.seq;
                }
                beyond->valid++;
                const uint64_t proved = s_proves (&record);
                if (proved > beyond->proved) {
                    beyond->proved = proved;
                }
                step = size;
            }
        }
        offset += step;
    }
    s_window_close (&window);
    return rc;
}

//  May the file end inside this record because a crash forgot that it had
//  grown?  Only where it grows at all: without preallocation, or for a record
//  larger than its segment, which is then the first in it, after a gap perhaps.
static int
s_may_be_cut (const trn_source_t *source, int64_t offset, bool *may_p)
{
    uint8_t header[TRN_SEGMENT_HEADER];
    const int64_t got = source->read (source->arg, header, sizeof header, 0);
    if (got < 0) {
        return (int) got;
    }
    const int64_t declared
        = got == TRN_SEGMENT_HEADER ? trn_segment_size (header) : 0;
    *may_p = source->size < declared
             || offset <= TRN_SEGMENT_HEADER + (int64_t) TRN_RECORD_HEADER + 8;
    return 0;
}

//  Is there a sector whose share of at[0..claimed) and of what follows it is
//  all zeros?
static bool
s_misses_sector (const uint8_t *at, size_t left, size_t claimed, int64_t offset)
{
    for (size_t from = 0; from < claimed && from < left;) {
        const size_t inside = (size_t) (offset + (int64_t) from) % TRN_SECTOR;
        const size_t to = from + TRN_SECTOR - inside < left
                              ? from + TRN_SECTOR - inside
                              : left;
        size_t zeros = from;
        while (zeros < to && at[zeros] == 0) {
            zeros++;
        }
        if (zeros == to) {
            return true;
        }
        from = to;
    }
    return left == 0;
}

int
trn_segment_unwritten (const trn_source_t *source, int64_t offset,
                       bool *unwritten_p)
{
    assert (source && unwritten_p);
    *unwritten_p = false;
    bool may_be_cut = false;
    int rc = s_may_be_cut (source, offset, &may_be_cut);
    if (rc < 0) {
        return rc;
    }
    trn_window_t window;
    s_window_open (&window, source, offset);
    const uint8_t *at = NULL;
    size_t left = 0;
    rc = s_show_record (&window, offset, &at, &left);
    const size_t claimed = rc == 0 ? s_claimed (at, left) : 0;
    if (rc == 0) {
        //  Also what shares the last sector with the record.
        rc = s_window_show (&window, offset, claimed + TRN_SECTOR, &at, &left);
    }
    if (rc == 0) {
        *unwritten_p = s_misses_sector (at, left, claimed, offset)
                       || (claimed > left && may_be_cut);
    }
    s_window_close (&window);
    return rc;
}

trn_tail_t
trn_segment_judge (uint64_t next_seq, bool broken, bool misplaced,
                   const trn_beyond_t *beyond, uint64_t proved, bool unwritten)
{
    //  Known to have been synced: neither a crash nor a torn write takes it.
    const uint64_t known = beyond->proved > proved ? beyond->proved : proved;
    if (next_seq <= known) {
        return TRN_TAIL_CORRUPT;
    }
    //  A good record in the wrong order is no crash's doing.
    if (misplaced || beyond->gave_up) {
        return TRN_TAIL_CORRUPT;
    }
    //  Sectors reach the disk in any order, so good records may follow a hole
    //  that nobody confirmed.  But then the hole shows a sector that is missing
    //  as a whole; a damaged record does not.
    if (beyond->found) {
        return unwritten ? TRN_TAIL_TORN : TRN_TAIL_CORRUPT;
    }
    return broken ? TRN_TAIL_TORN : TRN_TAIL_CLEAN;
}

int
trn_segment_recover (const trn_source_t *source, const trn_place_t *place,
                     uint64_t next_seq, uint64_t proved, trn_walk_t *walk,
                     trn_tail_t *tail_p)
{
    assert (source && place && walk && tail_p);
    uint8_t header[TRN_SEGMENT_HEADER];
    const int64_t got = source->read (source->arg, header, sizeof header, 0);
    if (got < 0) {
        return (int) got;
    }
    uint64_t size = 0;
    int rc = trn_segment_decode (header, (size_t) got, place, &size);
    if (rc == 0) {
        rc = trn_segment_walk (source, place, TRN_SEGMENT_HEADER, next_seq,
                               NULL, NULL, walk);
    }
    trn_beyond_t beyond = {.found = false};
    bool unwritten = false;
    if (rc == 0 && walk->broken) {
        rc = trn_segment_search (source, place, walk->end, walk->next_seq,
                                 &beyond);
    }
    if (rc == 0 && beyond.found) {
        rc = trn_segment_unwritten (source, walk->end, &unwritten);
    }
    if (rc == 0) {
        *tail_p = trn_segment_judge (
            walk->next_seq, walk->broken, walk->misplaced, &beyond,
            walk->proved > proved ? walk->proved : proved, unwritten);
    }
    return rc;
}
