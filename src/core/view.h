//  core/view.h - who is there, merged from what several directories claim
//
//  Each source (a directory node, or the view saved in an earlier life) claims
//  an entry per peer.  Of one store the newest counts; between two stores of
//  one name, what was said last by a source that still answers.
//
//  A claim is stale when its source does not answer any more, or came back
//  without it.  Stale claims count as long as nobody knows better: the owner
//  decides when to drop them.
//
//  Thread: the roster's.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_VIEW_H
#define TRN_VIEW_H

#include "core/index.h"
#include "core/member.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    trn_member_t *member;    //  NULL: no claim; owned
    uint64_t told;           //  order of telling; higher is later
    uint64_t mark;           //  snapshot that last mentioned it
    int64_t stale_since_ms;  //  -1: not stale
} trn_view_claim_t;

typedef struct {
    trn_view_claim_t *claims;  //  one per source; NULL: a free slot; owned
    trn_member_t *shown;       //  what the owner was told; NULL: nothing
    uint32_t shown_at;         //  its place in the list of shown slots
    uint32_t next;             //  next changed slot, or next free one
    bool changed;              //  in the queue of changed slots
} trn_view_slot_t;

typedef struct {
    uint32_t sources;
    trn_view_slot_t *slots;
    uint32_t slots_max;
    uint32_t slots_used;
    uint32_t free_head;
    trn_index_t index;  //  by name
    uint64_t seed;
    uint32_t *shown;  //  slots that are shown, in no order
    uint32_t shown_count;
    uint32_t changed_head, changed_tail;
    trn_member_t *gone;  //  the peer told gone last, kept for its name
    uint64_t told;
    uint64_t mark;
    uint64_t *marks;  //  per source: its last snapshot
    uint64_t *lives;  //  per source: the first snapshot of its life;
                      //  claims with a lower mark are of an earlier one
    uint32_t stale;   //  claims that are
    uint64_t over;    //  claims left out: no room
    size_t memory;
    size_t memory_max;
} trn_view_t;

void
trn_view_init (trn_view_t *self, uint32_t sources, uint32_t peers_max,
               size_t memory_max, uint64_t seed);

void
trn_view_clear (trn_view_t *self);

//  A source says that this is so.  stale_since_ms is -1 unless it is known to
//  be old.
void
trn_view_claim (trn_view_t *self, uint32_t source, const trn_entry_t *entry,
                int64_t stale_since_ms);

//  A source says that this peer is not there.
void
trn_view_unclaim (trn_view_t *self, uint32_t source, trn_text_t name);

//  A snapshot of a source begins; at its end, what was claimed in this life of
//  the source and is not mentioned is dropped.  Claims of its earlier lives, if
//  not mentioned, are stale from now on.
void
trn_view_begin_snapshot (trn_view_t *self, uint32_t source);

void
trn_view_end_snapshot (trn_view_t *self, uint32_t source, bool same_life,
                       int64_t now_ms);

//  The source does not answer any more; or it does again and means what it
//  said before in this life.
void
trn_view_make_stale (trn_view_t *self, uint32_t source, int64_t now_ms);

void
trn_view_make_fresh (trn_view_t *self, uint32_t source);

//  Drop what is stale since no later than this.  Returns since when the oldest
//  of the others is, INT64_MAX if none.
int64_t
trn_view_drop_stale (trn_view_t *self, int64_t since_ms);

//  Next peer that is shown now otherwise than before: its entry, or *gone_p and
//  an entry of which only the name counts.  NULL at the end.  Borrowed until
//  the next call.
const trn_member_t *
trn_view_next_change (trn_view_t *self, bool *gone_p);

//  Peers shown, index from 0; NULL behind the last.
const trn_member_t *
trn_view_at (const trn_view_t *self, size_t index);

//  Encode what is shown; returns the bytes, at most capacity.  Peers that do
//  not fit are left out: TRN_DIRECTORY_FRAME_MAX and a little must be free for
//  each further page.
size_t
trn_view_save (const trn_view_t *self, uint8_t *buffer, size_t capacity);

//  Claim for source, stale since ever, what was saved.  0, or having taken
//  nothing TERN_ECORRUPT or TERN_EVERSION.
int
trn_view_load (trn_view_t *self, uint32_t source, const uint8_t *saved,
               size_t size);

#endif
