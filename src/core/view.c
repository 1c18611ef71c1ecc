//  core/view.c - who is there, merged from what several directories claim
//
//  Every claim that changes puts its peer into the queue of changed ones.  Only
//  when the owner takes it from there is it decided anew what is shown, so that
//  a hundred changes of one peer are told as one.
//
//  Invariants: a used slot has a claim, or is in the queue; a slot leaves when
//  it is taken from the queue and nothing is claimed.  memory counts claims and
//  what is shown.
//
//  Saved, the view is the pages of a SNAPSHOT, as core/paged.h keeps them.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/view.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "core/paged.h"

#include <tern/error.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define MAGIC "TRNVIEW1"

void
trn_view_init (trn_view_t *self, uint32_t sources, uint32_t peers_max,
               size_t memory_max, uint64_t seed)
{
    assert (self && sources && peers_max);
    *self = (trn_view_t) {
        .sources = sources,
        .slots = trn_alloc (peers_max * sizeof *self->slots),
        .slots_max = peers_max,
        .free_head = TRN_INDEX_NONE,
        .seed = seed,
        .shown = trn_alloc (peers_max * sizeof *self->shown),
        .changed_head = TRN_INDEX_NONE,
        .changed_tail = TRN_INDEX_NONE,
        .marks = trn_alloc (sources * sizeof *self->marks),
        .lives = trn_alloc (sources * sizeof *self->lives),
        .memory_max = memory_max,
    };
    trn_index_init (&self->index, peers_max);
}

void
trn_view_clear (trn_view_t *self)
{
    for (uint32_t slot = 0; slot < self->slots_used; slot++) {
        trn_view_slot_t *at = &self->slots[slot];
        for (uint32_t source = 0; at->claims && source < self->sources;
             source++) {
            free (at->claims[source].member);
        }
        free (at->claims);
        free (at->shown);
    }
    free (self->slots);
    free (self->shown);
    free (self->marks);
    free (self->lives);
    free (self->gone);
    trn_index_clear (&self->index);
    *self = (trn_view_t) {0};
}

//  Slots -----------------------------------------------------------------

static const char *
s_name (const trn_view_t *self, const trn_view_slot_t *slot)
{
    if (slot->shown) {
        return slot->shown->name;
    }
    for (uint32_t source = 0; source < self->sources; source++) {
        if (slot->claims[source].member) {
            return slot->claims[source].member->name;
        }
    }
    return NULL;  //  claimed and dropped before it was ever shown
}

static trn_view_slot_t *
s_find (trn_view_t *self, trn_text_t name)
{
    const uint64_t hash = XXH3_64bits_withSeed (name.at, name.size, self->seed);
    for (uint32_t slot = trn_index_first (&self->index, hash);
         slot != TRN_INDEX_NONE; slot = trn_index_next (&self->index, slot)) {
        const char *own = s_name (self, &self->slots[slot]);
        if (own && trn_text_is (name, own)) {
            return &self->slots[slot];
        }
    }
    return NULL;
}

static trn_view_slot_t *
s_add_slot (trn_view_t *self, trn_text_t name)
{
    uint32_t number = self->free_head;
    if (number != TRN_INDEX_NONE) {
        self->free_head = self->slots[number].next;
    } else if (self->slots_used < self->slots_max) {
        number = self->slots_used++;
    } else {
        return NULL;
    }
    trn_view_slot_t *slot = &self->slots[number];
    *slot = (trn_view_slot_t) {
        .claims = trn_alloc (self->sources * sizeof *slot->claims),
    };
    trn_index_add (&self->index,
                   XXH3_64bits_withSeed (name.at, name.size, self->seed),
                   number);
    return slot;
}

static void
s_remove_slot (trn_view_t *self, trn_view_slot_t *slot)
{
    const uint32_t number = (uint32_t) (slot - self->slots);
    trn_index_remove (&self->index, number);
    free (slot->claims);
    *slot = (trn_view_slot_t) {.next = self->free_head};
    self->free_head = number;
}

static void
s_note_change (trn_view_t *self, trn_view_slot_t *slot)
{
    if (slot->changed) {
        return;
    }
    const uint32_t number = (uint32_t) (slot - self->slots);
    slot->changed = true;
    slot->next = TRN_INDEX_NONE;
    if (self->changed_tail == TRN_INDEX_NONE) {
        self->changed_head = number;
    } else {
        self->slots[self->changed_tail].next = number;
    }
    self->changed_tail = number;
}

//  Claims ----------------------------------------------------------------

static void
s_set_stale (trn_view_t *self, trn_view_claim_t *claim, int64_t since_ms)
{
    self->stale += since_ms >= 0;
    self->stale -= claim->stale_since_ms >= 0;
    claim->stale_since_ms = since_ms;
}

static void
s_drop_claim (trn_view_t *self, trn_view_slot_t *slot, trn_view_claim_t *claim)
{
    s_set_stale (self, claim, -1);
    self->memory -= claim->member->bytes;
    free (claim->member);
    *claim = (trn_view_claim_t) {0};
    s_note_change (self, slot);
}

void
trn_view_claim (trn_view_t *self, uint32_t source, const trn_entry_t *entry,
                int64_t stale_since_ms)
{
    assert (self && self->slots && source < self->sources && entry);
    trn_view_slot_t *slot = s_find (self, entry->name);
    if (!slot) {
        slot = self->memory < self->memory_max ? s_add_slot (self, entry->name)
                                               : NULL;
    }
    if (!slot) {
        self->over++;
        return;
    }
    trn_view_claim_t *claim = &slot->claims[source];
    if (!claim->member) {
        claim->stale_since_ms = -1;
    }
    claim->mark = self->marks[source];
    const bool was_stale = claim->stale_since_ms >= 0;
    s_set_stale (self, claim, stale_since_ms);
    //  Said before and meant all the time: no news.
    if (claim->member && !was_stale && trn_member_same (claim->member, entry)) {
        return;
    }
    claim->told = ++self->told;
    if (claim->member) {
        self->memory -= claim->member->bytes;
        free (claim->member);
    }
    claim->member = trn_member_new (entry);
    self->memory += claim->member->bytes;
    s_note_change (self, slot);
}

void
trn_view_unclaim (trn_view_t *self, uint32_t source, trn_text_t name)
{
    assert (self && source < self->sources);
    trn_view_slot_t *slot = s_find (self, name);
    if (slot && slot->claims[source].member) {
        s_drop_claim (self, slot, &slot->claims[source]);
    }
}

void
trn_view_begin_snapshot (trn_view_t *self, uint32_t source)
{
    assert (self && source < self->sources);
    self->marks[source] = ++self->mark;
}

void
trn_view_end_snapshot (trn_view_t *self, uint32_t source, bool same_life,
                       int64_t now_ms)
{
    assert (self && source < self->sources);
    for (uint32_t number = 0; number < self->slots_used; number++) {
        trn_view_slot_t *slot = &self->slots[number];
        trn_view_claim_t *claim = slot->claims ? &slot->claims[source] : NULL;
        if (!claim || !claim->member || claim->mark == self->marks[source]) {
            continue;
        }
        if (same_life && claim->mark >= self->lives[source]) {
            s_drop_claim (self, slot, claim);
        } else if (claim->stale_since_ms < 0) {
            s_set_stale (self, claim, now_ms);
        }
    }
    if (!same_life) {
        self->lives[source] = self->marks[source];
    }
}

//  All claims of a source that were made since mark.
static void
s_set_stale_all (trn_view_t *self, uint32_t source, uint64_t mark,
                 int64_t since_ms)
{
    for (uint32_t number = 0; number < self->slots_used; number++) {
        trn_view_slot_t *slot = &self->slots[number];
        trn_view_claim_t *claim = slot->claims ? &slot->claims[source] : NULL;
        if (!claim || !claim->member || claim->mark < mark
            || (claim->stale_since_ms >= 0) == (since_ms >= 0)) {
            continue;
        }
        s_set_stale (self, claim, since_ms);
        s_note_change (self, slot);
    }
}

void
trn_view_make_stale (trn_view_t *self, uint32_t source, int64_t now_ms)
{
    assert (self && source < self->sources && now_ms >= 0);
    s_set_stale_all (self, source, 0, now_ms);
}

void
trn_view_make_fresh (trn_view_t *self, uint32_t source)
{
    assert (self && source < self->sources);
    s_set_stale_all (self, source, self->lives[source], -1);
}

int64_t
trn_view_drop_stale (trn_view_t *self, int64_t since_ms)
{
    assert (self);
    int64_t oldest_ms = INT64_MAX;
    for (uint32_t number = 0; self->stale && number < self->slots_used;
         number++) {
        trn_view_slot_t *slot = &self->slots[number];
        for (uint32_t source = 0; slot->claims && source < self->sources;
             source++) {
            trn_view_claim_t *claim = &slot->claims[source];
            if (!claim->member || claim->stale_since_ms < 0) {
                continue;
            }
            if (claim->stale_since_ms <= since_ms) {
                s_drop_claim (self, slot, claim);
            } else if (claim->stale_since_ms < oldest_ms) {
                oldest_ms = claim->stale_since_ms;
            }
        }
    }
    return oldest_ms;
}

//  What is shown ---------------------------------------------------------

static bool
s_better (const trn_view_claim_t *claim, const trn_view_claim_t *than)
{
    const trn_member_t *a = claim->member;
    const trn_member_t *b = than->member;
    if (!memcmp (a->store_uuid, b->store_uuid, sizeof a->store_uuid)) {
        if (a->incarnation != b->incarnation) {
            return a->incarnation > b->incarnation;
        }
        if (a->version != b->version) {
            return a->version > b->version;
        }
    }
    const bool a_stale = claim->stale_since_ms >= 0;
    const bool b_stale = than->stale_since_ms >= 0;
    if (a_stale != b_stale) {
        return b_stale;
    }
    return claim->told > than->told;
}

//  The claim that counts; NULL if none, or if it cannot be reached anyway.
static const trn_member_t *
s_best (const trn_view_t *self, const trn_view_slot_t *slot, bool *claimed_p)
{
    const trn_view_claim_t *best = NULL;
    for (uint32_t source = 0; source < self->sources; source++) {
        const trn_view_claim_t *claim = &slot->claims[source];
        if (claim->member && (!best || s_better (claim, best))) {
            best = claim;
        }
    }
    *claimed_p = best != NULL;
    return best && best->member->endpoint_count ? best->member : NULL;
}

static void
s_show (trn_view_t *self, trn_view_slot_t *slot, const trn_entry_t *entry)
{
    if (slot->shown) {
        self->memory -= slot->shown->bytes;
        free (slot->shown);
    } else {
        slot->shown_at = self->shown_count;
        self->shown[self->shown_count++] = (uint32_t) (slot - self->slots);
    }
    slot->shown = trn_member_new (entry);
    self->memory += slot->shown->bytes;
}

static void
s_hide (trn_view_t *self, trn_view_slot_t *slot)
{
    self->memory -= slot->shown->bytes;
    self->gone = slot->shown;
    slot->shown = NULL;
    const uint32_t moved = self->shown[--self->shown_count];
    self->shown[slot->shown_at] = moved;
    self->slots[moved].shown_at = slot->shown_at;
}

const trn_member_t *
trn_view_next_change (trn_view_t *self, bool *gone_p)
{
    assert (self && gone_p);
    free (self->gone);
    self->gone = NULL;
    while (self->changed_head != TRN_INDEX_NONE) {
        trn_view_slot_t *slot = &self->slots[self->changed_head];
        self->changed_head = slot->next;
        if (self->changed_head == TRN_INDEX_NONE) {
            self->changed_tail = TRN_INDEX_NONE;
        }
        slot->changed = false;
        bool claimed;
        const trn_member_t *best = s_best (self, slot, &claimed);
        if (best) {
            trn_entry_t entry;
            trn_member_entry (best, 0, &entry);
            if (!slot->shown || !trn_member_same (slot->shown, &entry)) {
                s_show (self, slot, &entry);
                *gone_p = false;
                return slot->shown;
            }
            continue;
        }
        if (slot->shown) {
            s_hide (self, slot);
        }
        if (!claimed) {
            s_remove_slot (self, slot);
        }
        if (self->gone) {
            *gone_p = true;
            return self->gone;
        }
    }
    return NULL;
}

const trn_member_t *
trn_view_at (const trn_view_t *self, size_t index)
{
    assert (self);
    return index < self->shown_count ? self->slots[self->shown[index]].shown
                                     : NULL;
}

//  Saved -----------------------------------------------------------------

size_t
trn_view_save (const trn_view_t *self, uint8_t *buffer, size_t capacity)
{
    assert (self && buffer);
    size_t used = TRN_PAGED_HEADER;
    uint32_t index = 0;
    uint64_t page_number = 0;
    while (index < self->shown_count
           && capacity >= used + 4 + TRN_DIRECTORY_FRAME_MAX) {
        const trn_dirframe_t frame = {
            .type = TRN_DIR_SNAPSHOT,
            .snapshot = {.epoch = 1, .page = page_number++},
        };
        trn_dirpage_t page;
        trn_dirpage_begin (&page, &frame, buffer + used + 4,
                           TRN_DIRECTORY_FRAME_MAX);
        while (index < self->shown_count) {
            trn_entry_t entry;
            trn_member_entry (trn_view_at (self, index), 0, &entry);
            if (!trn_dirpage_add_entry (&page, &entry)) {
                break;
            }
            index++;
        }
        const size_t size = trn_dirpage_end (&page, index == self->shown_count);
        trn_put_u32 (buffer + used, (uint32_t) size);
        used += 4 + size;
    }
    trn_paged_seal (buffer, used, MAGIC);
    return used;
}

int
trn_view_load (trn_view_t *self, uint32_t source, const uint8_t *saved,
               size_t size)
{
    assert (self && source < self->sources && (saved || !size));
    const int rc = trn_paged_check (saved, size, MAGIC, TRN_DIR_SNAPSHOT);
    size_t at = TRN_PAGED_HEADER;
    trn_dirframe_t frame;
    while (rc == TERN_OK && trn_paged_next (saved, size, &at, &frame)) {
        trn_entry_t entry;
        while (trn_entries_next (&frame.snapshot.entries, &entry)) {
            trn_view_claim (self, source, &entry, 0);
        }
    }
    return rc;
}
