//  support/core_world.h - a few engines, and a network in the hand of a test
//
//  Peers publish made-up records and consume what others publish.  Every frame
//  passes through its encoding.  Nothing moves unless the test says so: settle ()
//  lets events happen until nothing is left to do now, wait () lets time pass.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CORE_WORLD_H
#define CORE_WORLD_H

#include "core/engine.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WORLD_PEERS 8
#define WORLD_CONNS 4096
#define WORLD_RECORD 100u  //  bytes of a record
#define WORLD_REPORTS 4096
#define WORLD_BURIES 4096
#define WORLD_CALLS 1024  //  of one peer, made or served

typedef struct world world_t;
typedef struct peer peer_t;

//  A delivery that the application has in hand.
typedef struct {
    trn_consumer_id_t consumer;
    unsigned publisher;  //  index of the peer it came from
    uint32_t flow;
    uint64_t seq;
    uint32_t deliveries;
    bool redelivered;
    uint64_t missed;
} hand_t;

//  A call that the application has in hand.
typedef struct {
    uint64_t id;
    bool repeated, gone;
    int64_t due_ms;
    uint64_t room, bytes;  //  answers that may be sent
} world_task_t;

//  What became of a call, by its number.
typedef struct {
    uint64_t answers;
    bool over, answered;
    trn_call_end_t end;
    char words[64];
} world_call_t;

//  A dead message that the engine wants to be copied.
typedef struct {
    uint32_t number;
    uint64_t seq;
    uint32_t deliveries;
    char reason[16];
    char consumer[32];
} bury_t;

struct peer {
    world_t *world;
    char name[32];
    uint8_t store_uuid[16];
    uint64_t incarnation;
    uint64_t random;
    uint64_t salt;         //  makes another random number of an incarnation
    trn_engine_t *engine;  //  NULL: not running
    trn_outbox_id_t outbox;
    trn_outbox_id_t grave;  //  its dead letters, or 0
    char queue[64];         //  what it publishes to
    uint64_t high;          //  records that exist
    uint64_t gone_below;    //  records below are not in the log any more
    bool later;             //  records have to be read first
    bool asked;             //  ... and the engine has asked for some
    uint8_t state[TRN_STATE_MAX];
    size_t state_size;  //  last durable state
    bool save_held;     //  states stay on their way to the disk
    uint64_t stamp_held;
    const char *consumes[4];
    trn_consumer_id_t consumers[4];
    unsigned consumer_count;
    trn_route_t data_route;  //  where the run at hand came from
    uint64_t data_connection;
    uint32_t data_flow;
    hand_t *hands;  //  in order of delivery
    size_t hand_count, hand_capacity;
    uint64_t processed;  //  as PROGRESS says
    uint64_t settles_sent, credits_sent, runs_sent, offers_sent;
    uint64_t delays;  //  messages told to the delay function
    struct {
        char id[32];
        char text[256];
    } reports[WORLD_REPORTS];
    unsigned report_count;
    bury_t buries[WORLD_BURIES];  //  asked for, in order
    unsigned bury_count;
    world_task_t tasks[WORLD_CALLS];  //  all that ever came
    unsigned task_count;
    world_call_t calls[WORLD_CALLS];
};

struct world {
    int64_t now_ms;
    uint64_t stamp_us;     //  of records, and their seq more
    uint32_t record_size;  //  of what is sent from now on; 0: WORLD_RECORD
    void (*on_hand) (void *arg, peer_t *peer, const hand_t *hand);
    void *on_hand_arg;  //  called for every delivery
    peer_t peers[WORLD_PEERS];
    unsigned peer_count;
    struct conn *conns[WORLD_CONNS];
    unsigned conn_count;
    bool partitioned;  //  frames stay where they are
    int runs_out;      //  references that shells hold
};

world_t *
world_new (void);

void
world_destroy (world_t **self_p);

//  A running peer.  Names are static.
peer_t *
world_peer (world_t *self, const char *name);

//  The engine dies without a word; its connections with it.
void
peer_kill (peer_t *self);

//  A new engine over the state that was saved last, under the next incarnation.
//  high is what the log says now; clean as trn_engine_add_outbox () has it.
void
peer_start (peer_t *self, bool clean);

//  Publish count more records to a queue (the same at every call).
void
peer_publish (peer_t *self, const char *queue, uint64_t count);

trn_consumer_id_t
peer_consume (peer_t *self, const char *queue, uint32_t prefetch);

//  Everybody learns who consumes what.
void
world_meet (world_t *self);

//  Let things happen until nothing is left to do at this time.
void
world_settle (world_t *self);

//  Let time pass, timers fire and things happen.
void
world_wait (world_t *self, int64_t ms);

//  Break every connection between two peers; both learn of it, or nobody.
void
world_cut (world_t *self, const peer_t *one, const peer_t *other, bool known);

//  The application settles the first count deliveries in hand.
void
peer_settle (peer_t *self, size_t count, trn_outcome_t outcome);

//  ... or the one at this place.
void
peer_settle_at (peer_t *self, size_t index, trn_outcome_t outcome);

//  How often this was reported.
unsigned
peer_reported (const peer_t *self, const char *id);

trn_engine_outbox_stats_t
peer_outbox_stats (const peer_t *self);

#endif
