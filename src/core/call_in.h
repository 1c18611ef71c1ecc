//  core/call_in.h - calls that this peer serves
//
//  A service is a handle of the application, a guest a requester's seat at our
//  end of a connection, a task one call in hand.  A task has a place in its
//  service until the application has done with it, also when nobody waits for
//  it any more.
//
//      CALL ──▶ in hand ──▶ answered: over
//                 │
//                 └── connection over, abandoned, late: gone ──▶ over
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_CALL_IN_H
#define TRN_CALL_IN_H

#include "core/inside.h"

typedef struct {
    uint32_t id;
    char name[TRN_NAME_MAX + 2];
    uint32_t calls;  //  in hand at most
    uint64_t bytes;  //  ... about
    uint32_t held;   //  now
    uint64_t held_bytes;
} trn_service_t;

typedef struct {
    uint32_t number;
    trn_inbound_t *inbound;
    char service[TRN_NAME_MAX + 2];
    uint32_t room;  //  as told
    uint32_t open;  //  its calls that are not over
    bool hungry;    //  sent away; waits to be told of room
} trn_guest_t;

typedef struct {
    uint64_t id;             //  for the shell
    uint64_t number;         //  the requester's
    trn_service_t *service;  //  NULL: removed
    trn_guest_t *guest;      //  NULL: gone, nobody waits
    uint32_t size;
    int64_t due_ms;
    uint64_t answers, bytes;  //  sent
    uint64_t answers_max, bytes_max;
} trn_task_t;

//  See engine.h.
uint32_t
trn_call_in_add_service (trn_engine_t *engine, const char *name, uint32_t calls,
                         uint64_t bytes);

void
trn_call_in_remove_service (trn_engine_t *engine, uint32_t id);

void
trn_call_in_answer (trn_engine_t *engine, uint64_t id, uint32_t size,
                    bool last);

void
trn_call_in_over (trn_engine_t *engine, uint64_t id, trn_failure_t reason,
                  const char *words);

const trn_guest_t *
trn_call_in_find_guest (const trn_inbound_t *inbound, uint32_t seat);

//  For link_in.c -----------------------------------------------------------

//  SEEK, CALL, TAKE or ABANDON.  False: that breaks the protocol.
bool
trn_call_in_on_frame (trn_engine_t *engine, trn_inbound_t *inbound,
                      const trn_frame_t *frame, uint32_t size);

//  The connection is over: nobody waits for what came over it.
void
trn_call_in_end (trn_engine_t *engine, trn_inbound_t *inbound);

//  For engine.c ------------------------------------------------------------

void
trn_call_in_on_tick (trn_engine_t *engine);

void
trn_call_in_clear (trn_engine_t *engine);

#endif
