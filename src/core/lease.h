//  core/lease.h - which messages a consumer holds, under which token
//
//  One lease is one run given to one flow.  It ends when all its messages are
//  settled.  Leases of a flow are kept in the order in which they were given,
//  which is the order of their tokens; a consumer that settles in order touches
//  only the first.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_LEASE_H
#define TRN_LEASE_H

#include "base/ranges.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t token;
    uint64_t first, last;  //  nothing outside is unsettled
    uint64_t open;         //  unsettled messages; 0: the lease is over
    trn_ranges_t done;     //  settled ones between first and last
    uint64_t stamp_us;     //  publisher's wall clock at its first record
    uint32_t size;         //  bytes of the run
    uint32_t deliveries;   //  this one included
    bool redelivered;
} trn_lease_t;

//  A zeroed trn_leases_t is empty.
typedef struct {
    trn_lease_t *at;  //  by token; live from head on
    size_t head, count, capacity;
    size_t over;     //  live ones with nothing open
    uint64_t open;   //  messages
    uint64_t bytes;  //  of leases that are not over
} trn_leases_t;

void
trn_leases_clear (trn_leases_t *self);

//  token is greater than every one before; done is empty and open is set.
void
trn_leases_add (trn_leases_t *self, const trn_lease_t *lease);

//  The lease of this token that is not over, or NULL.
trn_lease_t *
trn_leases_find (trn_leases_t *self, uint64_t token);

//  Take the first unsettled part of from..to out of a lease: false if there is
//  none.  The lease may be gone after the last part: call trn_leases_tidy ()
//  when no pointer to it is needed any more.
bool
trn_leases_settle (trn_leases_t *self, trn_lease_t *lease, uint64_t from,
                   uint64_t to, trn_range_t *part);

void
trn_leases_tidy (trn_leases_t *self);

//  The first lease that is not over, or NULL.
trn_lease_t *
trn_leases_first (trn_leases_t *self);

#endif
