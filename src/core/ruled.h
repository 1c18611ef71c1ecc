//  core/ruled.h - the messages of one queue that are not plain
//
//  What a plain message costs nothing for is kept here: when it may go, when its
//  time is over, how urgent it is, and behind which one it must wait.  40 bytes
//  each, 4 more for one with a time, and some 8 for each way to find it: by seq
//  and, for the oldest one of each ordering key, by that key.
//
//  The order of one key is a ring of its messages, oldest first; only the first
//  is found by the key, and its place before it is the last.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_RULED_H
#define TRN_RULED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRN_RULED_NONE UINT32_MAX
#define TRN_PRIORITIES 10u
#define TRN_RULED_TIME_MAX ((UINT64_C (1) << 44) - 1)  //  the year 2527

typedef struct {
    uint64_t seq;
    uint64_t due_ms : 44;  //  wall clock; 0: none, or over
    uint64_t priority : 4;
    uint64_t counted : 1;      //  what an earlier life did is in its count
    uint64_t expires_ms : 44;  //  wall clock; 0: never
    uint32_t order;            //  its key's hash, 0 none
    uint32_t next, before;     //  in the ring of its key
    uint32_t place;            //  in the heap of times; TRN_RULED_NONE none
} trn_ruled_entry_t;

//  Entries are named by their number, which stays the same while they are in.
//  A zeroed trn_ruled_t is empty.
typedef struct {
    trn_ruled_entry_t *at;
    uint32_t count;           //  in use
    uint32_t delayed;         //  of these: not due yet
    uint32_t used, capacity;  //  of at
    uint32_t free;            //  first free one + 1, chained by next; 0 none
    struct trn_ruled_map {
        uint32_t *slots;  //  number + 1; 0: free
        uint32_t mask, count;
    } by_seq, by_key;
    uint32_t *times;  //  a heap of numbers
    uint32_t time_count, time_capacity;
} trn_ruled_t;

void
trn_ruled_clear (trn_ruled_t *self);

//  Take in a message that is not in yet; of its key it is the last.  Only seq,
//  due_ms, priority, expires_ms and order of the entry count.  Returns its
//  number.
uint32_t
trn_ruled_add (trn_ruled_t *self, const trn_ruled_entry_t *entry);

//  TRN_RULED_NONE if there is none.
uint32_t
trn_ruled_find (const trn_ruled_t *self, uint64_t seq);

//  Is no older one of its key there?
bool
trn_ruled_is_first (const trn_ruled_t *self, uint32_t number);

//  It is settled.  Returns the one that is the first of its key by that, or
//  TRN_RULED_NONE.
uint32_t
trn_ruled_remove (trn_ruled_t *self, uint32_t number);

//  It is due.
void
trn_ruled_set_due (trn_ruled_t *self, uint32_t number);

//  It waits for its times from now on, or for none of them.
void
trn_ruled_set_time (trn_ruled_t *self, uint32_t number, bool waits);

//  The one whose next time is the earliest, and that time; TRN_RULED_NONE if no
//  one waits for a time.
uint32_t
trn_ruled_earliest (const trn_ruled_t *self, uint64_t *wall_ms_p);

#endif
