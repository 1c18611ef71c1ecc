//  tests/system/chaos_proxy.h - a TCP proxy that treats connections badly
//
//  Listens on a port of its own and forwards to an ipc socket, which is where a
//  peer under test is bound while it announces the proxy.  Bytes are never
//  changed or reordered, as TCP promises; everything else happens: they come in
//  pieces of any size, late, and connections end, or fall silent without ending.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TEST_CHAOS_PROXY_H
#define TEST_CHAOS_PROXY_H

#include <stdint.h>

typedef struct {
    uint32_t piece_max;     //  bytes passed on at a time; 0: as they come
    uint32_t delay_max_ms;  //  before each piece
    uint32_t blow_bytes;    //  a connection is struck after so many at most
    uint32_t cuts;          //  so many are reset or closed, ...
    uint32_t silences;      //  ... and so many stay open and pass nothing on
} chaos_plan_t;

typedef struct chaos chaos_t;

//  Forwards to path; seed decides sizes, times and moments.
chaos_t *
chaos_new (const char *path, const chaos_plan_t *plan, uint64_t seed);

void
chaos_destroy (chaos_t **self_p);

//  "tcp://127.0.0.1:port"
const char *
chaos_endpoint (const chaos_t *self);

//  How many blows have fallen; any thread.
uint32_t
chaos_blows (const chaos_t *self);

#endif
