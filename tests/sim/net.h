//  sim/net.h - connections that delay, break, hang, and speak up late
//
//  A connection is what one connecting socket makes of one endpoint.  Within a
//  connection and a direction frames keep their order; between connections
//  nothing is ordered.  What can happen to it:
//
//      delay       every frame takes its time, now and then a long one
//      cut         it breaks; what was on the way is lost; each side may or
//                  may not be told
//      block       one direction between two peers hangs; what is on the way
//                  waits, and arrives after the block if the connection lives
//      close       the connecting side goes; what it had sent may still arrive
//      replay      an old frame comes again: idempotent ones on the same
//                  connection, any on a later connection of the same pair
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef SIM_NET_H
#define SIM_NET_H

#include "sim/world.h"

#include "core/engine.h"

typedef enum {
    SIM_TO_CONSUMER = 0,
    SIM_TO_PUBLISHER = 1
} sim_direction_t;

typedef struct sim_packet sim_packet_t;

//  One message on the wire: the frame as bytes, and the run of a DATA frame.
struct sim_packet {
    sim_packet_t *next;
    trn_frame_type_t type;
    uint32_t frame_size;
    uint32_t run_size;
    uint8_t *run;     //  inside bytes
    uint8_t bytes[];  //  frame, then run
};

//  What the publisher may send on one flow, as far as it has been told.
typedef struct {
    uint32_t flow;
    void *outbox;  //  sim_outbox_t whose flow it is
    char queue[TRN_NAME_MAX + 2];
    uint64_t messages, bytes;  //  granted
    uint64_t sent_messages, sent_bytes;
} sim_credit_t;

typedef struct sim_conn sim_conn_t;

struct sim_conn {
    sim_conn_t *next;
    uint64_t number;  //  also the consumer's route
    uint64_t id;      //  as WELCOME said; frames with another are late
    sim_peer_t *publisher;
    uint32_t publisher_life;
    trn_link_id_t link;
    char endpoint[TRN_ENDPOINT_MAX + 1];
    sim_peer_t *consumer;  //  NULL until the first frame arrives
    uint32_t consumer_life;
    bool closed;       //  by the publisher
    bool dropped;      //  the consumer does not listen any more
    bool cut;          //  nothing passes any more
    int64_t delay_us;  //  usual time of one frame
    struct {
        sim_packet_t *first, *last;  //  on the way, in order
        int64_t arrives_us;          //  of the last one
        bool held;                   //  the first one waits for a heal
    } way[2];
    sim_credit_t *credits;
    unsigned credit_count;
};

//  Settings of a run; all zero is a quiet network.
typedef struct {
    int64_t delay_min_us, delay_max_us;  //  usual time, per connection
    unsigned spike_per_mille;            //  frames that take much longer
    int64_t spike_us;
    unsigned replay_per_mille;
    unsigned notice_per_mille;  //  a broken connection is noticed by the OS
} sim_net_config_t;

//  Told of every frame sent; the stories count them.
typedef void
sim_net_watch_fn (void *arg, sim_conn_t *conn, sim_direction_t way,
                  trn_frame_type_t type);

sim_net_t *
sim_net_new (sim_world_t *world);

void
sim_net_destroy (sim_net_t **self_p);

void
sim_net_configure (sim_net_t *self, const sim_net_config_t *config);

void
sim_net_watch (sim_net_t *self, sim_net_watch_fn *fn, void *arg);

void
sim_net_connect (sim_net_t *self, sim_peer_t *publisher, trn_link_id_t link,
                 const char *endpoint);

void
sim_net_disconnect (sim_net_t *self, sim_peer_t *publisher, trn_link_id_t link);

//  The publisher's open connection of this link, or NULL.
sim_conn_t *
sim_net_link (const sim_net_t *self, const sim_peer_t *publisher,
              trn_link_id_t link);

//  The connection behind a route of this consumer, or NULL.
sim_conn_t *
sim_net_route (const sim_net_t *self, const sim_peer_t *consumer,
               uint64_t route);

//  Send a frame, with a run of records or NULL.
void
sim_net_send (sim_net_t *self, sim_conn_t *conn, sim_direction_t way,
              const trn_frame_t *frame, const uint8_t *run, uint32_t run_size);

//  A peer's process is gone: so are its sockets.
void
sim_net_peer_down (sim_net_t *self, sim_peer_t *peer);

//  Break all connections between two peers, whoever connected.
void
sim_net_cut (sim_net_t *self, sim_peer_t *left, sim_peer_t *right);

void
sim_net_cut_conn (sim_net_t *self, sim_conn_t *conn);

//  Block or unblock frames from one peer to another.
void
sim_net_block (sim_net_t *self, const sim_peer_t *from, const sim_peer_t *to,
               bool blocked);

bool
sim_net_blocked (const sim_net_t *self, const sim_peer_t *from,
                 const sim_peer_t *to);

void
sim_net_heal (sim_net_t *self);

//  Frames seen so far, from a publisher to a consumer or back.
uint64_t
sim_net_sent (const sim_net_t *self, const sim_peer_t *from,
              const sim_peer_t *to, trn_frame_type_t type);

#endif
