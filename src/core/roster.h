//  core/roster.h - who is there, as one peer learns it from the directories
//
//  The roster is a peer's side of the directory as a pure machine: it keeps the
//  peer registered with every node it was given, watches them, and merges what
//  they say into one view.  Events and the time go in, actions come out.
//
//      shell: sockets, timers, disk                roster
//      ------------------------------------------  --------------------------
//      frame from node k, socket trouble, tick  ->  on_* ()   state per node
//      my endpoints, queues, numbers changed    ->            one view of peers
//      connect, send, host; peer is there, gone <-  actions
//
//  What it promises:
//    - registered again by itself whenever a node returns, without a storm;
//    - while no node answers, nobody is dropped from the view;
//    - a node that comes back empty drops nobody before the grace is over;
//    - what a hostile node can do is bounded: it denies, it cannot grow us.
//
//  It also has all bindings (core/binding.h), and brings them to every node that
//  lacks one.
//
//  Sockets, for the shell: one DEALER per node and CONNECT, with RECONNECT_IVL
//  -1, IMMEDIATE 0 (what is sent right after CONNECT waits for the connection),
//  LINGER 0 and MAXMSGSIZE TRN_DIRECTORY_FRAME_MAX; one part per frame, sent
//  with DONTWAIT.  A frame that cannot be sent may be dropped: the roster says
//  it again, or notices the silence and connects anew.
//
//  Thread: one.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_ROSTER_H
#define TRN_ROSTER_H

#include "base/limits.h"
#include "core/binding.h"

#include <tern/log.h>
#include <tern/stats.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRN_NODES_MAX 8

//  Peers in the view, and bytes of the saved one.
#define TRN_ROSTER_PEERS_MAX 4096
#define TRN_ROSTER_VIEW_MAX (24 * 1024 * 1024)

//  Bindings of ours that no node has answered for.
#define TRN_ROSTER_ASKED_MAX 4096

//  Rows of numbers that go to a directory.
#define TRN_ROSTER_ROWS_MAX 1024

typedef struct trn_roster trn_roster_t;

typedef struct {
    const char *name;
    uint8_t store_uuid[16];
    uint64_t incarnation;
    uint64_t random;
    uint64_t seed;             //  for jitter and nonces
    const char *const *nodes;  //  endpoints of directory nodes
    size_t node_count;         //  1..TRN_NODES_MAX
    bool local;                //  the one node is this user's: host it if
                               //  nobody does
    uint32_t lease_ms;         //  0: 5000   wanted
    uint32_t ping_ms;          //  0: 1000, local 200
    uint32_t silence_ms;       //  0: 3000, local 600   nothing heard: reconnect
    uint32_t backoff_min_ms;   //  0: 50
    uint32_t backoff_max_ms;   //  0: 5000, local 250
    uint32_t grace_ms;         //  0: a lease, and twice the backoff at least
    uint32_t load_ms;          //  0: 1000   numbers go out at most so often
} trn_roster_config_t;

typedef enum {
    TRN_ROSTER_CONNECT,     //  node: a new socket to endpoint, in place of the
                            //  one before
    TRN_ROSTER_DISCONNECT,  //  node: close that socket
    TRN_ROSTER_SEND,        //  node: bytes, size
    TRN_ROSTER_HOST,        //  tern_directory_open_local (), if not open here
                            //  yet; then trn_roster_on_hosted ()
    TRN_ROSTER_PEER,        //  peer is there, or has changed
    TRN_ROSTER_PEER_GONE,   //  peer.name is not in the view any more
    TRN_ROSTER_BINDING,     //  binding is there, has changed, or was removed
    TRN_ROSTER_BOUND,       //  binding of ours was taken by a directory, or
                            //  refused and taken back: result
    TRN_ROSTER_SAVE,        //  the view has changed: trn_roster_view (), save
    TRN_ROSTER_REPORT       //  tell the application
} trn_roster_action_type_t;

//  Another peer.  One's own entry is never shown: what a peer consumes of its
//  own, it knows.
typedef struct {
    const char *name;
    uint8_t store_uuid[16];
    uint64_t incarnation;
    uint64_t random;
    size_t endpoint_count;  //  >= 1, the first is preferred; 0 in PEER_GONE
    const char *const *endpoints;
    size_t queue_count;  //  consumed there
    const char *const *queues;
} trn_roster_peer_t;

typedef struct {
    trn_roster_action_type_t type;
    uint32_t node;         //  CONNECT, DISCONNECT, SEND
    const char *endpoint;  //  CONNECT
    const uint8_t *bytes;  //  SEND
    size_t size;
    trn_roster_peer_t peer;  //  PEER, PEER_GONE
    trn_binding_t binding;   //  BINDING, BOUND
    int result;              //  BOUND: 0, TERN_ETYPE, TERN_EFULL, TERN_EACCESS
    struct {
        const char *id;  //  "TERN-DIRECTORY-LOST", static
        tern_log_level_t level;
        char text[256];  //  key=value, escaped
    } report;
} trn_roster_action_t;

//  config is borrowed for the call.  Nothing happens before the first tick.
trn_roster_t *
trn_roster_new (const trn_roster_config_t *config);

void
trn_roster_destroy (trn_roster_t **self_p);

//  Next action in order, or NULL.  It and what it points to are borrowed until
//  the next call that takes a trn_roster_t *.  The shell drains this after
//  every event.
const trn_roster_action_t *
trn_roster_action (trn_roster_t *self);

//  When to call on_tick () at the latest, monotonic ms; INT64_MAX never.
int64_t
trn_roster_deadline (const trn_roster_t *self);

void
trn_roster_on_tick (trn_roster_t *self, int64_t now_ms);

//  What others shall know of us.  Nothing is registered before there is an
//  endpoint.  Saying the same again is free.  Lists are copied; they are within
//  TRN_ENDPOINTS_MAX and TRN_QUEUES_MAX, and valid.
void
trn_roster_on_endpoints (trn_roster_t *self, const char *const *endpoints,
                         size_t count, int64_t now_ms);

void
trn_roster_on_queues (trn_roster_t *self, const char *const *queues,
                      size_t count, int64_t now_ms);

//  Our rows of numbers (copied); they go out with the next refresh.  Rows
//  behind TRN_ROSTER_ROWS_MAX are left out.
void
trn_roster_on_load (trn_roster_t *self, const tern_stats_t *rows, size_t count,
                    int64_t now_ms);

//  Bind, or unbind (binding->removed): the network learns it from us, now or as
//  soon as a node answers.  stamp_us is the wall clock now, the writer is set
//  here.  Saying what is so already only asks a node to confirm it.  0, and then
//  BINDING if it is news and BOUND some time, of what was said last of this
//  binding; as trn_binding_check (); TERN_ETYPE (the exchange has another type),
//  TERN_EFULL, TERN_EAGAIN (too many wait for an answer).
int
trn_roster_bind (trn_roster_t *self, const trn_binding_t *binding,
                 int64_t now_ms);

//  Have a node confirm what we know of this identity (headers in the one form),
//  unless it is asked already.  0, and BOUND some time; TERN_ENOENT; TERN_EAGAIN
//  as above; or what BOUND said, if what we said last was refused.
int
trn_roster_confirm (trn_roster_t *self, const trn_binding_t *identity,
                    int64_t now_ms);

//  Forget removed bindings whose stamp is below.
void
trn_roster_forget (trn_roster_t *self, uint64_t below_us);

//  Borrowed until the next event.
const trn_bindings_t *
trn_roster_bindings (const trn_roster_t *self);

//  Has a node told all bindings that it knows since the start?
bool
trn_roster_bindings_known (const trn_roster_t *self);

//  A frame came from a node.  Late ones of an earlier socket must not be given.
void
trn_roster_on_frame (trn_roster_t *self, uint32_t node, const void *bytes,
                     size_t size, int64_t now_ms);

//  The shell could not connect, or knows that the socket is dead.
void
trn_roster_on_trouble (trn_roster_t *self, uint32_t node, int64_t now_ms);

//  Answer to HOST: what tern_directory_open_local () returned (0: we host it,
//  or did so already).
void
trn_roster_on_hosted (trn_roster_t *self, int result, int64_t now_ms);

//  Leave: says goodbye to every node; no other action follows.
void
trn_roster_on_close (trn_roster_t *self, int64_t now_ms);

//  Does a directory answer, and are we registered with it?
bool
trn_roster_online (const trn_roster_t *self);

//  Is the view complete: has a node told all it knows since the start?
bool
trn_roster_complete (const trn_roster_t *self);

//  The view, index from 0 in no order that means anything; false behind the
//  last.
bool
trn_roster_peer_at (const trn_roster_t *self, size_t index,
                    trn_roster_peer_t *peer);

//  Encode the view and the bindings for the next start; returns the size, at
//  most capacity and TRN_ROSTER_VIEW_MAX.  What does not fit is left out.
//  capacity is 64 KiB at least.
size_t
trn_roster_view (trn_roster_t *self, uint8_t *buffer, size_t capacity);

//  A capacity that is enough for all of it now, and little more.
size_t
trn_roster_view_room (const trn_roster_t *self);

//  Start from a view saved in an earlier life, before the first tick.  Its
//  peers are there at once, until a directory says otherwise, and so are the
//  bindings.  0, or having taken nothing TERN_ECORRUPT or TERN_EVERSION.
int
trn_roster_restore (trn_roster_t *self, const uint8_t *view, size_t size);

typedef struct {
    uint32_t peers;
    uint32_t nodes_online;
    uint64_t connects, registrations, refreshes, refusals;
    uint64_t snapshots, deltas, holes;
    uint64_t garbage;      //  frames that were nonsense
    uint64_t over;         //  peers or bindings left out, no room
    uint64_t comparisons;  //  of bindings with a node
    uint64_t told;         //  bindings told to nodes that differed
} trn_roster_stats_t;

void
trn_roster_stats (const trn_roster_t *self, trn_roster_stats_t *stats);

#endif
