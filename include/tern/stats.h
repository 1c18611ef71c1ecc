//  tern/stats.h - one row of numbers per queue, as a peer or the fleet tells
//
//  Rates are messages per second over the last 1, 10 and 60 seconds.  With
//  R, Q and C in messages per second the model's processing time of one message
//  is T_process = 1/R + 1/Q + 1/C.  T_delay is t(settled) - t(accepted), both
//  by the publisher's clock.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TERN_STATS_H
#define TERN_STATS_H

#include <stdint.h>

typedef enum {
    TERN_ROLE_PUBLISHER = 1,
    TERN_ROLE_CONSUMER = 2
} tern_role_t;

typedef struct {
    uint64_t total;
    double per_s[3];  //  over the last 1, 10 and 60 seconds
} tern_rate_t;

typedef struct {
    char peer[64];
    char queue[65];
    tern_role_t role;
    tern_rate_t produced;     //  P: offered to send (), refused ones included
    tern_rate_t accepted;     //  R: stored by the outbox
    tern_rate_t transmitted;  //  Q: sent to (or received by) a consumer
    tern_rate_t consumed;     //  C: settled as accepted
    uint64_t redelivered;
    uint64_t refused;     //  by limits, full disk or a failed log
    uint64_t rejected;    //  set aside by consumers
    uint64_t duplicates;  //  dropped by a consumer's deduplication
    uint64_t dropped;     //  by drop_oldest, or because their time was over
    uint64_t expired;     //  of these, because their time was over
    uint64_t dead;        //  dead-lettered, for whatever reason
    uint64_t depth;       //  accepted, not settled
    uint64_t in_flight;   //  of these, assigned to a consumer
    uint64_t parked;      //  of these, dead and not yet among the dead letters
    uint64_t delayed;     //  of these, not ready before some time
    uint64_t oldest_ms;   //  age of the oldest unsettled, 0 if none
    uint64_t disk_bytes;
    uint64_t sync_us_last;  //  last fdatasync
    uint64_t sync_us_max;
    uint64_t delay_p50_us;  //  T_delay over the peer's life
    uint64_t delay_p99_us;
    uint64_t delay_max_us;
    uint32_t consumers;  //  flows open (publisher's row)
    uint64_t missed;     //  lost to a limit or to time before a consumer had
                         //  them, as tern_msg_missed () of what it settled
                         //  says (consumer's row)
} tern_stats_t;

#endif
