//  core/registry_inside.h - the registry's own memory, shared by its files
//
//      registry.c        life, events, what is to be done next
//      registry_frame.c  what a frame is answered with
//      registry_tell.c   who is told what next
//
//  The tables are core/census.c (peers, leases, history), core/bound.c
//  (bindings) and core/routes.c (connections).
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_REGISTRY_INSIDE_H
#define TRN_REGISTRY_INSIDE_H

#include "core/bound.h"
#include "core/census.h"
#include "core/registry.h"
#include "core/routes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

//  Each a ring.
#define TRN_REGISTRY_REPLIES 16
#define TRN_REGISTRY_REPORTS 16

typedef struct {
    const char *id;
    tern_log_level_t level;
    char text[256];
} trn_registry_report_t;

typedef struct {
    trn_directory_route_t route;
    trn_dirframe_t frame;  //  its texts are static
} trn_registry_reply_t;

struct trn_registry {
    trn_registry_config_t config;
    trn_census_t census;
    trn_bound_t bound;
    trn_routes_t routes;
    int64_t now_ms;                 //  of the last call, -1 before the first
    trn_registry_reply_t *replies;  //  a ring
    size_t reply_first, reply_count;
    trn_registry_report_t *reports;  //  a ring
    size_t report_first, report_count;
    uint64_t suppressed;  //  reports left out since the last
    trn_allowance_t report_allowance;
    tern_directory_stats_t stats;
    trn_registry_action_t action;
    trn_telling_t before;   //  of the action's route, to be put back
    bool telling;           //  the action moved its route's cursors
    bool sending;           //  the action is a SEND
    uint8_t *bytes;         //  the action's frame
    uint8_t *change_bytes;  //  the change told last, encoded once for all
    size_t change_size;
    uint64_t change_number;  //  0: none
};

//  registry.c --------------------------------------------------------------

//  Say something to the operator, at a bounded rate.  Texts from outside are
//  names (grammar checked) or escaped.
void
trn_registry_report (trn_registry_t *self, tern_log_level_t level,
                     const char *id, const char *format, ...)
    __attribute__ ((format (printf, 4, 5)));

//  registry_frame.c --------------------------------------------------------

//  A frame that could be read: do what it says, and make the reply.
void
trn_registry_answer (trn_registry_t *self, trn_routes_slot_t *route,
                     const trn_dirframe_t *frame);

//  Something this route will not do better next time.  Too many of them, and
//  it is not listened to for a while.
void
trn_registry_count_refusal (trn_registry_t *self, trn_routes_slot_t *route);

//  A reply to who asked for bindings.
void
trn_registry_reply_taken (trn_registry_t *self, const trn_routes_slot_t *route,
                          const trn_bound_answer_t *answer);

//  registry_tell.c ---------------------------------------------------------

//  Something has changed: everybody who follows it has something to hear.
void
trn_registry_wake (trn_registry_t *self);

//  Tell everything from the start.
void
trn_registry_start_snapshot (trn_registry_t *self, trn_routes_slot_t *route);

//  Tell what changes after this number.
void
trn_registry_start_stream (trn_registry_t *self, trn_routes_slot_t *route,
                           uint64_t number);

bool
trn_registry_has_to_tell (const trn_registry_t *self,
                          const trn_routes_slot_t *route);

//  Make the next frame for a route that has something to be told: the action.
void
trn_registry_tell (trn_registry_t *self, trn_routes_slot_t *route);

#endif
