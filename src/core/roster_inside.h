//  core/roster_inside.h - the roster's own memory, shared by its files
//
//      roster.c       life, our own entry, the view, what to do next
//      roster_node.c  one node: connections, and what it tells
//      roster_say.c   one node: what is said to it, and when
//      roster_bind.c  bindings
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_ROSTER_INSIDE_H
#define TRN_ROSTER_INSIDE_H

#include "core/backoff.h"
#include "core/binding.h"
#include "core/list.h"
#include "core/roster.h"
#include "core/view.h"
#include "wire/dirframe.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

//  Of the protocol between peers and directories.
#define TRN_ROSTER_VERSION 1

#define TRN_ROSTER_NEVER INT64_MAX

//  A question that has an answer is asked again after this.
#define TRN_ROSTER_ANSWER_MS 1000

#define TRN_ROSTER_REPORTS_MAX 16

typedef enum {
    TRN_ROSTER_IDLE,
    TRN_ROSTER_HOSTING,
    TRN_ROSTER_OPEN
} trn_dirnode_state_t;

//  Bindings, between us and one node.
typedef struct {
    int64_t ask_at_ms;   //  ask it to take ours; NEVER: nothing to ask
    uint64_t ask_nonce;  //  of the question that is out
    uint32_t ask_count;  //  bindings in it; 0: none is out
    uint64_t ask[TRN_DIR_ASK_MAX];  //  their serials
    int64_t compare_at_ms;          //  send DIGESTS
    uint64_t compare_nonce;         //  whose answer comes; 0: none
    uint64_t compare_page;          //  next
    bool compare_heard;             //  its digests are here
    bool odd;                       //  PONG told another digest than ours
    uint32_t idle_ms;               //  wait before the next comparison
    uint64_t theirs, ours;          //  digests after the last one
    uint64_t digests[TRN_BINDING_BUCKETS];  //  the node's, as it told
    bool telling;                           //  ours are going out
    uint32_t tell_first;                    //  bucket
    uint32_t tell_done;                     //  buckets
    size_t tell_index;                      //  in the next one
    uint32_t tell_pages;
    uint8_t differ[TRN_BINDING_BUCKETS / 8];  //  one bit each
} trn_dirnode_bind_t;

//  A binding of ours that a node is to take.
typedef struct {
    trn_binding_t *binding;  //  owned
    uint64_t identity;       //  of it
    uint64_t serial;
    int result;  //  once answered
} trn_roster_asked_t;

typedef struct {
    char *endpoint;
    trn_dirnode_state_t state;
    int64_t retry_at_ms;  //  TRN_ROSTER_IDLE: connect then
    trn_backoff_t backoff;
    bool connect, disconnect, host;  //  to be done by the shell
    int64_t opened_at_ms;
    int64_t heard_at_ms;  //  -1: not on this connection
    uint32_t garbage;     //  on this connection
    //  The plan: when to say it next.
    int64_t register_at_ms;
    int64_t watch_at_ms;
    int64_t ping_at_ms;
    int64_t refresh_at_ms;
    bool goodbye;
    //  What it knows of us.
    bool registered;  //  under our present version
    int64_t said_register_ms;
    int64_t said_refresh_ms;
    uint32_t refused_ms;   //  last wait after a refusal
    uint32_t refused_why;  //  reported already; 0: none
    uint32_t lease_ms;     //  granted
    bool refreshing;       //  pages of a REFRESH are going out
    size_t refresh_row;
    uint64_t refresh_page;
    //  What we know from it.
    uint64_t epoch;   //  of what it told; 0: nothing yet
    uint64_t number;  //  last change known
    bool synced;      //  told all it knows, on this connection
    int64_t synced_at_ms;
    uint64_t snapshot_epoch;  //  of pages that come in; 0: none do
    uint64_t snapshot_number;
    uint64_t snapshot_page;  //  next
    uint64_t hole_number;    //  next after where we stood when it was ahead
                             //  of us; 0: it was not
    uint64_t nonce;
    uint32_t failures;  //  connections lost since it last answered
    bool known_lost;    //  its silence was reported
    trn_dirnode_bind_t bind;
} trn_dirnode_t;

typedef struct {
    const char *id;
    tern_log_level_t level;
    char text[256];
} trn_roster_report_t;

struct trn_roster {
    trn_roster_config_t config;
    trn_rng_t rng;
    int64_t now_ms;  //  of the last call, -1 before the first
    bool closing;
    char *name;
    uint64_t version;  //  of our entry
    size_t endpoint_count, queue_count;
    char *endpoints[TRN_ENDPOINTS_MAX];
    char *queues[TRN_QUEUES_MAX];
    tern_stats_t *rows;
    size_t row_count;
    size_t node_count;
    trn_dirnode_t nodes[TRN_NODES_MAX];
    size_t node_turn;  //  whose turn it is in action ()
    trn_view_t view;   //  sources: the nodes, then the saved view
    bool complete;
    trn_bindings_t *bindings;
    bool bindings_known;    //  compared with a node
    bool bindings_full;     //  and that was reported
    uint64_t shown_number;  //  last change of a binding that the shell saw
    bool show_all;          //  it sees all, from show_index on
    size_t show_index;
    trn_list_t asked;           //  of trn_roster_asked_t, in order; owned
    trn_list_t answered;        //  the same, to be told to the shell
    trn_list_t refused;         //  the same, till it is said again; some
    trn_roster_asked_t *shown;  //  the action's; owned
    uint64_t asked_serial;
    int64_t drop_at_ms;  //  look for stale claims; NEVER if none matter
    int64_t save_at_ms;
    int64_t saved_at_ms;
    trn_roster_report_t reports[TRN_ROSTER_REPORTS_MAX];
    size_t report_first, report_count;
    trn_roster_stats_t stats;
    trn_roster_action_t action;
    uint8_t *bytes;  //  of the action's frame
};

static inline int64_t
trn_least (int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t
trn_most (int64_t a, int64_t b)
{
    return a > b ? a : b;
}

//  About so long: from 80 to 120 percent.
int64_t
trn_roster_about (trn_roster_t *self, uint32_t ms);

//  Tell the application.  Texts from outside are escaped by the caller.
__attribute__ ((format (printf, 4, 5))) void
trn_roster_report (trn_roster_t *self, tern_log_level_t level, const char *id,
                   const char *format, ...);

//  The view or the bindings have changed: save soon.
void
trn_roster_plan_save (trn_roster_t *self);

//  How many nodes we are registered with.
size_t
trn_roster_registered (const trn_roster_t *self);

//  One node --------------------------------------------------------------

//  Its number, which is also its source in the view.
uint32_t
trn_dirnode_number (const trn_roster_t *self, const trn_dirnode_t *node);

void
trn_dirnode_tick (trn_roster_t *self, trn_dirnode_t *node);

int64_t
trn_dirnode_deadline (const trn_roster_t *self, const trn_dirnode_t *node);

void
trn_dirnode_hear (trn_roster_t *self, trn_dirnode_t *node, const void *bytes,
                  size_t size);

//  A new connection; the connection is over, whoever says so.
void
trn_dirnode_open (trn_roster_t *self, trn_dirnode_t *node);

void
trn_dirnode_lose (trn_roster_t *self, trn_dirnode_t *node, const char *why);

//  Our entry is to be told again.
void
trn_dirnode_plan_register (trn_roster_t *self, trn_dirnode_t *node);

//  What is due to it; NULL if nothing is.
const trn_roster_action_t *
trn_dirnode_action (trn_roster_t *self, trn_dirnode_t *node);

//  Bindings ----------------------------------------------------------------

void
trn_roster_bind_init (trn_roster_t *self);

void
trn_roster_bind_clear (trn_roster_t *self);

//  trn_roster_bind () but for the time.
int
trn_roster_bind_own (trn_roster_t *self, const trn_binding_t *binding);

//  trn_roster_confirm () but for the time.
int
trn_roster_confirm_own (trn_roster_t *self, const trn_binding_t *identity);

//  Next BINDING or BOUND, or NULL.
const trn_roster_action_t *
trn_roster_bind_action (trn_roster_t *self);

//  A new connection: nothing is known of what the node knows.
void
trn_dirnode_bind_open (trn_roster_t *self, trn_dirnode_t *node);

int64_t
trn_dirnode_bind_deadline (const trn_dirnode_t *node);

//  The next frame about bindings, in the roster's bytes; 0 if none is due.
size_t
trn_dirnode_say_bindings (trn_roster_t *self, trn_dirnode_t *node);

void
trn_dirnode_hear_bindings (trn_roster_t *self, trn_dirnode_t *node,
                           const trn_dirframe_t *frame);

void
trn_dirnode_hear_digests (trn_roster_t *self, trn_dirnode_t *node,
                          const trn_dirframe_t *frame);

void
trn_dirnode_hear_digest (trn_roster_t *self, trn_dirnode_t *node,
                         uint64_t digest);

void
trn_dirnode_hear_taken (trn_roster_t *self, trn_dirnode_t *node,
                        const trn_dirframe_t *frame);

#endif
