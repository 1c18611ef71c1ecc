//  core/census.h - the registry's table of peers, its leases and its history
//
//  Slots of entries, found by name, each with its lease and its numbers.
//  Every change takes the next number and is remembered in a ring, so that
//  watchers can be told what changed since the number they know.
//
//  Thread: the registry's.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_CENSUS_H
#define TRN_CENSUS_H

#include "core/index.h"
#include "core/member.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    trn_member_t *member;  //  NULL: a free slot; owned
    uint32_t lease_ms;
    int64_t heard_at_ms;
    int64_t expires_at_ms;
    tern_stats_t *rows;  //  owned
    size_t row_count;
    size_t row_capacity;
} trn_census_slot_t;

//  What a watcher is told of an entry that is gone.
typedef struct {
    char name[TRN_NAME_MAX + 1];
    uint8_t store_uuid[16];
    uint64_t incarnation;
    uint64_t random;
    uint64_t version;
} trn_census_change_t;

typedef struct {
    trn_census_slot_t *slots;
    uint32_t slots_max;
    uint32_t slots_used;   //  slots from here on were never used
    uint32_t *free_slots;  //  a stack of freed ones below slots_used
    uint32_t free_count;
    uint32_t count;     //  peers
    trn_index_t index;  //  by name
    uint64_t seed;
    trn_census_change_t *history;  //  change n is at n % history_max
    uint32_t history_max;
    uint64_t number;         //  of the last change
    int64_t next_expiry_ms;  //  no lease ends before; INT64_MAX if none
    size_t memory;           //  bytes of members and rows
    size_t memory_max;
} trn_census_t;

void
trn_census_init (trn_census_t *self, uint32_t slots_max, uint32_t history_max,
                 size_t memory_max, uint64_t seed);

void
trn_census_clear (trn_census_t *self);

//  The slot of a name, or NULL.  Borrowed until it is removed.
trn_census_slot_t *
trn_census_find (trn_census_t *self, trn_text_t name);

//  Put an entry in, in place of slot's (NULL: a new one).  NULL if there is no
//  room; then nothing has changed.
trn_census_slot_t *
trn_census_put (trn_census_t *self, trn_census_slot_t *slot,
                const trn_entry_t *entry);

void
trn_census_remove (trn_census_t *self, trn_census_slot_t *slot);

//  Heard of it: the lease starts again.
void
trn_census_renew (trn_census_t *self, trn_census_slot_t *slot, int64_t now_ms);

//  A slot whose lease is over, or NULL.
trn_census_slot_t *
trn_census_expired (trn_census_t *self, int64_t now_ms);

//  We were not there for a while: leases do not count it.
void
trn_census_forgive (trn_census_t *self, int64_t missed_ms);

//  Add a row to the slot's; false if it does not fit.
bool
trn_census_add_row (trn_census_t *self, trn_census_slot_t *slot,
                    const tern_stats_t *row, size_t rows_max);

void
trn_census_drop_rows (trn_census_t *self, trn_census_slot_t *slot);

//  Can a watcher that knows number be told the changes after it?
bool
trn_census_has_history (const trn_census_t *self, uint64_t number);

//  What is so now of the peer that change number was about: its entry, or
//  removed.  Texts of entry are borrowed until the next change.
void
trn_census_change (trn_census_t *self, uint64_t number, int64_t now_ms,
                   bool *removed_p, trn_entry_t *entry);

#endif
