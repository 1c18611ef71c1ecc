//  peer/taken.c - which messages of which publishers an inbox has taken in
//
//  A lot is a run of the log that is a run of one publisher's outbox: most lots
//  are long, as runs come in order.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/taken.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "base/name.h"
#include "core/list.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

//  Remembered, if nothing of them is open.
#define GIVERS_MAX 1024

//  Ranges of one of them that are saved.
#define RANGES_MAX 256

typedef struct {
    trn_giver_t *giver;
    uint64_t at;   //  its first seq in the log
    uint64_t seq;  //  ... and at the publisher
    uint64_t count;
} s_lot_t;

struct trn_taken {
    trn_list_t givers;  //  of trn_giver_t; owned
    uint64_t clock;
    s_lot_t *lots;  //  ascending; live from head on; owned
    size_t head, count, capacity;
};

trn_taken_t *
trn_taken_new (void)
{
    return trn_alloc (sizeof (trn_taken_t));
}

//  Sources ------------------------------------------------------------------

static void
s_forget (trn_taken_t *self, trn_giver_t *giver)
{
    trn_list_remove (&self->givers, giver);
    trn_seqset_clear (&giver->sure);
    trn_seqset_clear (&giver->open);
    trn_seqset_clear (&giver->large);
    free (giver);
}

void
trn_taken_destroy (trn_taken_t **self_p)
{
    assert (self_p);
    trn_taken_t *self = *self_p;
    *self_p = NULL;
    if (self) {
        while (self->givers.count) {
            s_forget (self, self->givers.at[self->givers.count - 1]);
        }
        trn_list_clear (&self->givers);
        free (self->lots);
        free (self);
    }
}

static bool
s_has_lots (const trn_taken_t *self, const trn_giver_t *giver)
{
    for (size_t index = self->head; index < self->count; index++) {
        if (self->lots[index].giver == giver) {
            return true;
        }
    }
    return false;
}

static void
s_forget_one (trn_taken_t *self)
{
    trn_giver_t *victim = NULL;
    for (size_t index = 0; index < self->givers.count; index++) {
        trn_giver_t *giver = self->givers.at[index];
        if (!trn_seqset_total (&giver->open)
            && (!victim || giver->heard < victim->heard)
            && !s_has_lots (self, giver)) {
            victim = giver;
        }
    }
    if (victim) {
        s_forget (self, victim);
    }
}

trn_giver_t *
trn_taken_giver (trn_taken_t *self, const uint8_t store_uuid[16],
                 const char *outbox)
{
    assert (self && store_uuid && outbox);
    trn_giver_t *giver = NULL;
    for (size_t index = 0; index < self->givers.count && !giver; index++) {
        trn_giver_t *other = self->givers.at[index];
        if (memcmp (other->store_uuid, store_uuid, 16) == 0
            && strcmp (other->outbox, outbox) == 0) {
            giver = other;
        }
    }
    if (!giver) {
        if (self->givers.count >= GIVERS_MAX) {
            s_forget_one (self);
        }
        giver = trn_alloc (sizeof *giver);
        assert (strlen (outbox) < sizeof giver->outbox);
        memcpy (giver->store_uuid, store_uuid, sizeof giver->store_uuid);
        memcpy (giver->outbox, outbox, strlen (outbox));
        trn_list_add (&self->givers, giver);
    }
    giver->heard = ++self->clock;
    return giver;
}

void
trn_giver_raise (trn_giver_t *giver, uint64_t floor)
{
    assert (giver);
    if (floor > giver->floor) {
        giver->floor = floor;
        trn_seqset_remove (&giver->sure, 0, floor - 1);
    }
}

static void
s_forget_done (trn_giver_t *giver)
{
    trn_seqset_t kept = {0};
    trn_range_t part = {0, 0};
    while (
        trn_seqset_first_in (&giver->sure, part.to + 1, TRN_SEQ_MAX, &part)) {
        const uint64_t to = part.to;
        uint64_t from = part.from;
        while (from <= to
               && trn_seqset_first_in (&giver->open, from, to, &part)) {
            trn_seqset_add (&kept, part.from, part.to);
            from = part.to + 1;
        }
        part.to = to;
    }
    trn_seqset_clear (&giver->sure);
    giver->sure = kept;
    giver->floor = 0;
}

void
trn_giver_meet (trn_giver_t *giver, uint32_t number)
{
    assert (giver);
    if (giver->number && number > giver->number) {
        s_forget_done (giver);
    }
    giver->number = number > giver->number ? number : giver->number;
}

void
trn_giver_make_sure (trn_giver_t *giver, uint64_t from, uint64_t to)
{
    assert (giver && from <= to);
    if (to >= giver->floor) {
        trn_seqset_add (&giver->sure, from > giver->floor ? from : giver->floor,
                        to);
    }
}

//  Lots ----------------------------------------------------------------------

static void
s_make_room (trn_taken_t *self)
{
    if (self->count == self->capacity && self->head > self->capacity / 2) {
        self->count -= self->head;
        memmove (self->lots, self->lots + self->head,
                 self->count * sizeof *self->lots);
        self->head = 0;
    }
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 64;
        self->lots
            = trn_realloc (self->lots, self->capacity * sizeof *self->lots);
    }
}

void
trn_taken_add (trn_taken_t *self, trn_giver_t *giver, uint64_t at, uint64_t seq)
{
    assert (self && giver && at && seq);
    trn_seqset_add (&giver->open, seq, seq);
    s_lot_t *last
        = self->count > self->head ? &self->lots[self->count - 1] : NULL;
    if (last && last->giver == giver && last->at + last->count == at
        && last->seq + last->count == seq) {
        last->count++;
        return;
    }
    s_make_room (self);
    self->lots[self->count++] = (s_lot_t) {giver, at, seq, 1};
}

//  The first lot that ends at or after this seq of the log.
static size_t
s_find_lot (const trn_taken_t *self, uint64_t at)
{
    size_t low = self->head;
    size_t high = self->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const s_lot_t *lot = &self->lots[middle];
        if (lot->at + lot->count <= at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool
trn_taken_next (const trn_taken_t *self, uint64_t *from, uint64_t to,
                trn_giver_t **giver_p, trn_range_t *part)
{
    assert (self && from && giver_p && part);
    for (size_t index = s_find_lot (self, *from);
         *from <= to && index < self->count && self->lots[index].at <= to;
         index++) {
        const s_lot_t *lot = &self->lots[index];
        const uint64_t first = *from > lot->at ? *from - lot->at : 0;
        const uint64_t last
            = to - lot->at < lot->count ? to - lot->at : lot->count - 1;
        if (trn_seqset_first_in (&lot->giver->open, lot->seq + first,
                                 lot->seq + last, part)) {
            *giver_p = lot->giver;
            *from = lot->at + (part->to - lot->seq) + 1;
            return true;
        }
    }
    return false;
}

void
trn_taken_drop (trn_taken_t *self, uint64_t at)
{
    assert (self);
    s_make_room (self);
    const size_t index = s_find_lot (self, at);
    if (index == self->count || self->lots[index].at > at) {
        return;
    }
    s_lot_t *lot = &self->lots[index];
    const uint64_t before = at - lot->at;
    const s_lot_t rest = {.giver = lot->giver,
                          .at = at + 1,
                          .seq = lot->seq + before + 1,
                          .count = lot->count - before - 1};
    trn_seqset_remove (&lot->giver->open, rest.seq - 1, rest.seq - 1);
    trn_seqset_remove (&lot->giver->sure, rest.seq - 1, rest.seq - 1);
    lot->count = before;
    const size_t from = index + 1;
    const size_t to = index + (before > 0) + (rest.count > 0);
    memmove (self->lots + to, self->lots + from,
             (self->count - from) * sizeof *self->lots);
    self->count = self->count - from + to;
    if (rest.count) {
        self->lots[to - 1] = rest;
    }
}

void
trn_taken_forget (trn_taken_t *self, uint64_t at)
{
    assert (self);
    self->head = s_find_lot (self, at + 1);
    if (self->head == self->count) {
        self->head = self->count = 0;
    }
}

void
trn_taken_restore (trn_taken_t *self, trn_taken_settled_fn *settled, void *arg)
{
    assert (self && settled);
    s_lot_t *found = self->lots;
    const size_t first = self->head;
    const size_t count = self->count;
    self->lots = NULL;
    self->head = self->count = self->capacity = 0;
    for (size_t index = first; index < count; index++) {
        trn_seqset_clear (&found[index].giver->open);
    }
    for (size_t index = first; index < count; index++) {
        const s_lot_t *lot = &found[index];
        for (uint64_t step = 0; step < lot->count; step++) {
            if (!settled (arg, lot->at + step)) {
                const uint64_t seq = lot->seq + step;
                trn_taken_add (self, lot->giver, lot->at + step, seq);
                trn_giver_make_sure (lot->giver, seq, seq);
            }
        }
    }
    free (found);
}

//  State ---------------------------------------------------------------------
//
//      version 2, givers 2
//      giver: store 16, floor 8, number 4, outbox 1 + n, ranges 2,
//             (from 8, to 8) ...
//
//  Whoever was heard last comes first.

#define VERSION 2
#define HEADER 3
#define NUMBER_AT (16 + 8)
#define OUTBOX_AT (NUMBER_AT + 4 + 1)
#define GIVER_FIXED (OUTBOX_AT + 2)

static int
s_compare (const void *left, const void *right)
{
    const trn_giver_t *const *a = left;
    const trn_giver_t *const *b = right;
    return ((*a)->heard < (*b)->heard) - ((*a)->heard > (*b)->heard);
}

//  Returns the end, or NULL if there is no room.
static uint8_t *
s_pack_giver (const trn_giver_t *giver, uint8_t *at, const uint8_t *end)
{
    const size_t name = strlen (giver->outbox);
    if ((size_t) (end - at) < GIVER_FIXED + name) {
        return NULL;
    }
    memcpy (at, giver->store_uuid, 16);
    trn_put_u64 (at + 16, giver->floor);
    trn_put_u32 (at + NUMBER_AT, giver->number);
    at[OUTBOX_AT - 1] = (uint8_t) name;
    memcpy (at + OUTBOX_AT, giver->outbox, name);
    uint8_t *count_at = at + OUTBOX_AT + name;
    at = count_at + 2;
    uint16_t count = 0;
    trn_range_t range = {0, 0};
    while (count < RANGES_MAX && end - at >= 16
           && trn_seqset_first_in (&giver->sure, range.to + 1, TRN_SEQ_MAX,
                                   &range)) {
        trn_put_u64 (at, range.from);
        trn_put_u64 (at + 8, range.to);
        at += 16;
        count++;
    }
    trn_put_u16 (count_at, count);
    return at;
}

size_t
trn_taken_pack (const trn_taken_t *self, uint8_t to[TRN_TAKEN_STATE_MAX])
{
    assert (self && to);
    const size_t count = self->givers.count;
    trn_giver_t **givers = trn_alloc ((count + 1) * sizeof *givers);
    for (size_t index = 0; index < count; index++) {
        givers[index] = self->givers.at[index];
    }
    qsort (givers, count, sizeof *givers, s_compare);
    uint8_t *at = to + HEADER;
    uint16_t packed = 0;
    for (size_t index = 0; index < count; index++) {
        uint8_t *end
            = s_pack_giver (givers[index], at, to + TRN_TAKEN_STATE_MAX);
        if (!end) {
            break;
        }
        at = end;
        packed++;
    }
    free (givers);
    to[0] = VERSION;
    trn_put_u16 (to + 1, packed);
    return (size_t) (at - to);
}

//  Returns the end, or NULL if this is none.
static const uint8_t *
s_unpack_giver (trn_taken_t *self, const uint8_t *at, const uint8_t *end)
{
    if ((size_t) (end - at) < GIVER_FIXED
        || (size_t) (end - at) < GIVER_FIXED + (size_t) at[OUTBOX_AT - 1]) {
        return NULL;
    }
    const size_t name = at[OUTBOX_AT - 1];
    const uint16_t count = trn_get_u16 (at + OUTBOX_AT + name);
    const uint8_t *ranges = at + GIVER_FIXED + name;
    char outbox[TRN_NAME_MAX + 2] = "";
    if (!trn_outbox_valid ((const char *) at + OUTBOX_AT, name)
        || (size_t) (end - ranges) < (size_t) count * 16) {
        return NULL;
    }
    memcpy (outbox, at + OUTBOX_AT, name);
    trn_giver_t *giver = self ? trn_taken_giver (self, at, outbox) : NULL;
    for (size_t index = 0; index < count; index++) {
        const uint64_t from = trn_get_u64 (ranges + index * 16);
        const uint64_t to = trn_get_u64 (ranges + index * 16 + 8);
        if (from < 1 || from > to || to > TRN_SEQ_MAX) {
            return NULL;
        }
        if (giver) {
            trn_giver_make_sure (giver, from, to);
        }
    }
    if (giver) {
        trn_giver_raise (giver, trn_get_u64 (at + 16));
        giver->number = trn_get_u32 (at + NUMBER_AT);
    }
    return ranges + (size_t) count * 16;
}

size_t
trn_taken_unpack (trn_taken_t *self, const uint8_t *bytes, size_t size)
{
    assert (bytes || !size);
    if (size < HEADER || bytes[0] != VERSION) {
        return 0;
    }
    const uint16_t count = trn_get_u16 (bytes + 1);
    const uint8_t *at = bytes + HEADER;
    for (uint16_t index = 0; index < count && at; index++) {
        at = s_unpack_giver (self, at, bytes + size);
    }
    return at ? (size_t) (at - bytes) : 0;
}
