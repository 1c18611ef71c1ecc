//  core/routes.h - the registry's table of connections
//
//  One slot per route that was heard of lately: its allowances, and how far it
//  has been told what it asked for.  When the table is full, the route that has
//  been silent longest goes.
//
//  Thread: the registry's.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_ROUTES_H
#define TRN_ROUTES_H

#include "base/limits.h"
#include "core/index.h"
#include "wire/binding.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

//  A token bucket as one number (GCRA): the time up to which the allowance is
//  spent.  Each take costs cost_us, and burst_us may be spent in advance.
typedef int64_t trn_allowance_t;

bool
trn_allowance_take (trn_allowance_t *self, int64_t now_ms, int64_t cost_us,
                    int64_t burst_us);

//  What is still to be told to a route.  Small, so that it can be copied before
//  a frame is made and put back when the frame could not be sent.
typedef struct {
    enum {
        TRN_WATCH_NONE,
        TRN_WATCH_SNAPSHOT,
        TRN_WATCH_STREAM
    } watch;
    bool once;            //  a snapshot only
    uint32_t watch_slot;  //  SNAPSHOT: next slot to tell
    uint64_t watch_page;  //  SNAPSHOT: next page
    uint64_t number;      //  SNAPSHOT: its number; STREAM: last change told
    bool asked;           //  a QUERY is being answered
    uint32_t query_slot;  //  next slot and row to tell
    size_t query_row;
    uint64_t query_page;
    uint64_t query_nonce;
    char query_peer[TRN_NAME_MAX + 2];  //  filters, "" for all
    char query_queue[TRN_NAME_MAX + 2];
    uint64_t binding_number;  //  last change of a binding told, if it watches
    bool comparing;           //  DIGESTS are being answered
    bool compare_said;        //  with ours; now the bindings
    uint64_t compare_nonce;
    uint64_t compare_page;
    uint32_t compare_bucket;  //  next bucket and binding in it to tell
    size_t compare_index;
    uint8_t compare_differ[TRN_BINDING_BUCKETS / 8];  //  one bit each
} trn_telling_t;

typedef struct {
    uint64_t id;
    bool used;
    bool ready;  //  in the queue of those with something to tell
    uint32_t next_ready;
    uint32_t newer, older;  //  by when they were last heard
    int64_t heard_at_ms;
    int64_t deaf_until_ms;     //  what it says until then is ignored
    int64_t blocked_until_ms;  //  0: its pipe takes frames
    int64_t blocked_wait_ms;   //  grows while it stays blocked
    trn_allowance_t frames;
    trn_allowance_t refusals;
    trn_telling_t telling;
} trn_routes_slot_t;

typedef struct {
    trn_routes_slot_t *slots;
    uint32_t slots_max;
    uint32_t slots_used;  //  slots from here on were never used
    uint32_t free_head;   //  chained by newer
    uint32_t count;
    uint32_t newest, oldest;  //  TRN_INDEX_NONE if empty
    uint32_t ready_head, ready_tail;
    uint32_t blocked;         //  routes with blocked_until_ms
    int64_t next_unblock_ms;  //  lower bound; INT64_MAX if none
    trn_index_t index;        //  by id
    uint64_t seed;
} trn_routes_t;

void
trn_routes_init (trn_routes_t *self, uint32_t slots_max, uint64_t seed);

void
trn_routes_clear (trn_routes_t *self);

trn_routes_slot_t *
trn_routes_find (trn_routes_t *self, uint64_t id);

//  Heard of a route: its slot, made if need be.  Never NULL.
trn_routes_slot_t *
trn_routes_hear (trn_routes_t *self, uint64_t id, int64_t now_ms);

void
trn_routes_remove (trn_routes_t *self, trn_routes_slot_t *slot);

//  Has the oldest been silent since then?  That one, or NULL.
trn_routes_slot_t *
trn_routes_silent (trn_routes_t *self, int64_t since_ms);

//  Put a slot at the end of the ready queue, if it is not blocked nor in it.
void
trn_routes_push_ready (trn_routes_t *self, trn_routes_slot_t *slot);

//  Next ready slot, taken out; NULL if none.
trn_routes_slot_t *
trn_routes_pop_ready (trn_routes_t *self);

//  Its pipe is full: try again after a while.
void
trn_routes_block (trn_routes_t *self, trn_routes_slot_t *slot, int64_t now_ms);

//  A frame went out: it is not blocked any more.
void
trn_routes_flowing (trn_routes_slot_t *slot);

//  Make those ready whose wait is over.
void
trn_routes_unblock (trn_routes_t *self, int64_t now_ms);

//  How many of them watch.
uint32_t
trn_routes_watchers (const trn_routes_t *self);

//  All routes, from the one heard last: NULL starts, NULL ends.
trn_routes_slot_t *
trn_routes_next (trn_routes_t *self, const trn_routes_slot_t *slot);

#endif
