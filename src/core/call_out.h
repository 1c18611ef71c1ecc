//  core/call_out.h - calls that this peer makes
//
//  A need is a service that is called from here; on every open link to a peer
//  that consumes its name it has a seat.  A call is with exactly one of them:
//
//      on_call () ──▶ waiting at the need ──▶ out, at a seat ──▶ answered
//                          ▲                        │
//                          └── busy, gone, left ────┘  if none was answered yet
//
//  and leaves from wherever it is when its time is over or nobody wants it.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_CALL_OUT_H
#define TRN_CALL_OUT_H

#include "core/inside.h"

typedef struct trn_call trn_call_t;

//  Calls in order, linked through themselves.
typedef struct {
    trn_call_t *first, *last;
} trn_call_list_t;

typedef struct {
    char service[TRN_NAME_MAX + 2];
    uint32_t users;
    trn_list_t seats;         //  of trn_seat_t, those of open links
    size_t turn;              //  who is asked first among equals
    trn_call_list_t waiting;  //  for a seat with room
    bool touched;             //  somebody may have room now
    int64_t served_ms;        //  when somebody last had room, or could have
} trn_need_t;

typedef struct {
    uint32_t number;
    trn_link_t *link;
    trn_need_t *need;  //  NULL: it is not called any more
    char service[TRN_NAME_MAX + 2];
    uint32_t room;          //  calls open at once, as told; 0: not served there
    uint32_t open;          //  calls out
    int64_t busy_ms;        //  it had no room: not asked before this time
    trn_call_list_t calls;  //  out
} trn_seat_t;

struct trn_call {
    trn_call_terms_t terms;
    trn_need_t *need;
    trn_seat_t *seat;  //  NULL: waiting
    trn_call_t *before, *after;
    int64_t since_ms;
    uint64_t answers, bytes;  //  taken in
    bool repeated;            //  a server may have seen it and is gone
};

//  See engine.h.
int
trn_call_out_add_need (trn_engine_t *engine, const char *service);

void
trn_call_out_remove_need (trn_engine_t *engine, const char *service);

void
trn_call_out_begin (trn_engine_t *engine, const char *service,
                    const trn_call_terms_t *terms);

void
trn_call_out_take (trn_engine_t *engine, uint64_t number, uint64_t answers,
                   uint64_t bytes);

void
trn_call_out_abandon (trn_engine_t *engine, uint64_t number);

//  The call if it is out over this link, else NULL.
const trn_call_t *
trn_call_out_find (const trn_engine_t *engine, const trn_link_t *link,
                   uint64_t number);

//  For link_out.c ----------------------------------------------------------

//  Does this peer consume the name of a service that we call?
bool
trn_call_out_wants (const trn_engine_t *engine, const trn_link_t *link);

//  The link is open: a seat for every such service that has none yet.
void
trn_call_out_seek (trn_engine_t *engine, trn_link_t *link);

//  ROOM, ANSWER or FAIL.  False: that breaks the protocol.
bool
trn_call_out_on_frame (trn_engine_t *engine, trn_link_t *link,
                       const trn_frame_t *frame, uint32_t answer_size);

//  The connection is over, its seats with it.
void
trn_call_out_lose (trn_engine_t *engine, trn_link_t *link);

//  For engine.c ------------------------------------------------------------

//  Send what waits to those who have room.
void
trn_call_out_run (trn_engine_t *engine);

void
trn_call_out_on_tick (trn_engine_t *engine);

//  No action speaks of the seats of connections that are over any more, so their
//  memory goes: when all is said, and at the end.
void
trn_call_out_free_lost (trn_engine_t *engine);

void
trn_call_out_clear (trn_engine_t *engine);

#endif
