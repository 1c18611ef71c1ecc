//  core/inside.h - what the parts of the engine share
//
//  The engine is one machine in several files; this is its state.  Left column
//  the publisher's side, right column the consumer's; they share the actions and
//  the clock, nothing else.
//
//      trn_publication_t    an outbox          trn_known_t    a publishing store
//       └ trn_subscription_t  one queue         └ trn_stream_t  outbox and queue
//      trn_link_t           a consuming peer   trn_inbound_t  a connection
//       └ trn_flow_t          a subscription    └ trn_inflow_t  a stream given
//                             given to it                       over it
//                                              trn_intake_t   a queue consumed
//                                               └ trn_consumer_t
//
//  Only core/ includes this.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_INSIDE_H
#define TRN_INSIDE_H

#include "core/actions.h"
#include "core/backoff.h"
#include "core/dedup.h"
#include "core/engine.h"
#include "core/lease.h"
#include "core/list.h"
#include "core/report.h"
#include "core/rng.h"
#include "core/subscription.h"
#include "core/table.h"

//  Publisher -----------------------------------------------------------------

//  All seqs up to this one were accepted no later than that.
typedef struct {
    uint64_t seq, wall_ms;
} trn_mark_t;

//  A dead letter that is not to be seen before its message is durably gone.
typedef struct {
    uint32_t number;  //  of the queue where it died
    uint64_t seq;
    trn_outbox_id_t dead_outbox;
    uint64_t dead_seq;
} trn_hold_t;

#define TRN_MARKS_MAX 512

typedef struct trn_publication {
    trn_outbox_id_t id;
    char name[TRN_NAME_MAX + 2];
    bool exchange, routed;
    bool urgent;           //  what came back waits for the next state
    bool touched;          //  something was settled since the last look
    bool unsaved;          //  ... since the last state was made
    bool saving;           //  a state was asked for and is not durable yet
    bool stale;            //  engine->dues has an old time for it
    uint32_t sub_number;   //  last one used
    uint64_t opened_high;  //  last seq of earlier lives
    uint64_t high;         //  last seq that may be sent
    trn_ranges_t gaps;     //  of earlier lives: they name no message
    trn_list_t subs;       //  of trn_subscription_t; owned
    trn_policy_t policy;   //  of queues without one of their own
    uint64_t given;        //  highest number that the application gave
    trn_mark_t *marks;     //  ascending; owned
    size_t mark_count;
    uint64_t mark_every_ms;
    trn_hold_t *holds;  //  owned
    size_t hold_count, hold_capacity;
    uint64_t processed;  //  as last told
    uint64_t stored;     //  the same, never below processed
    uint64_t ahead;      //  the same: settled above processed
    int64_t unsaved_ms;  //  unsaved since then
    int64_t saved_ms;    //  when a state was last asked for
    uint64_t stamp;      //  of the last state made
} trn_publication_t;

typedef enum {
    TRN_FLOW_OFFERED,  //  no answer yet
    TRN_FLOW_OPEN,
    TRN_FLOW_REFUSED  //  we went back in their eyes; nothing is sent
} trn_flow_state_t;

typedef struct trn_flow {
    uint32_t number;
    struct trn_link *link;
    trn_subscription_t *sub;
    trn_flow_state_t state;
    uint64_t credit_messages, credit_bytes;  //  since ACCEPT, absolute
    uint64_t sent_messages, sent_bytes;      //  since ACCEPT
    bool stores;                             //  they tell what they have stored
    bool paused;     //  something was RELEASED; until the next CREDIT
    bool told_more;  //  they know that more waits; until the next CREDIT
    trn_leases_t leases;
    uint64_t paced;       //  messages accepted since ...
    int64_t paced_ms;     //  ... this time
    uint64_t pace;        //  see trn_flow_pace ()
    uint64_t told_low;    //  highest floor told over this flow
    uint64_t floor_turn;  //  where the next FLOOR's ranges start
} trn_flow_t;

typedef enum {
    TRN_LINK_IDLE,      //  nothing to do there, or nowhere to go
    TRN_LINK_WAITING,   //  for the next attempt
    TRN_LINK_GREETING,  //  HELLO is out
    TRN_LINK_OPEN
} trn_link_state_t;

typedef struct trn_link {
    trn_link_id_t id;
    char name[TRN_NAME_MAX + 1];
    char endpoint[TRN_ENDPOINT_MAX + 1];
    uint64_t listed_incarnation;
    bool listed;                       //  the roster says it is there
    char (*queues)[TRN_NAME_MAX + 2];  //  it consumes; owned
    size_t queue_count;

    trn_link_state_t state;
    int64_t due_ms;    //  WAITING: next attempt; GREETING: patience ends
    int64_t since_ms;  //  OPEN: since when
    int64_t heard_ms, sent_ms;
    int64_t offer_ms;  //  offer again what was cancelled; INT64_MAX not
    trn_backoff_t backoff;
    uint64_t connection;
    trn_list_t flows;      //  of trn_flow_t; owned
    uint32_t flow_number;  //  last one used in this connection
    trn_list_t seats;      //  of trn_seat_t (call_out.h); owned

    //  Who was there the last time.
    bool known;
    uint8_t store_uuid[16];
    uint64_t incarnation;
    uint64_t random;
} trn_link_t;

//  Consumer ------------------------------------------------------------------

typedef struct {
    trn_consumer_id_t id;
    struct trn_intake *intake;
    uint32_t prefetch, bytes;   //  at most
    uint64_t held, held_bytes;  //  unsettled here
    bool paused;                //  nothing more for now
    bool keeps;                 //  will say what it has stored
} trn_consumer_t;

typedef struct trn_intake {
    char queue[TRN_NAME_MAX + 2];
    trn_list_t consumers;         //  of trn_consumer_t; owned
    trn_list_t flows;             //  of trn_inflow_t, accepted ones
    size_t turn;                  //  which flow is granted to first
    bool dirty;                   //  credit has to be looked at
    int64_t due_ms;               //  look again then, INT64_MAX never
    struct trn_inflow *recalled;  //  whose credit is being taken back
} trn_intake_t;

//  What was lost of a stream.  A message that comes again tells the same again.
typedef struct {
    uint64_t total;   //  ever, as told
    uint64_t before;  //  ... and as told with the message before
    uint64_t seq;     //  that it was told with
} trn_missed_t;

typedef struct trn_stream {
    uint32_t handle;  //  the shell's word for it
    struct trn_known *store;
    char outbox[TRN_NAME_MAX + 2];
    char queue[TRN_NAME_MAX + 2];
    trn_dedup_t dedup;
    uint32_t number;       //  of the queue in its outbox; 0: not told
    uint64_t seen_before;  //  highest seq from earlier lives of the publisher
    bool went_back;        //  once older than that: never trusted again
    size_t remembered;     //  pages, as last counted
    trn_missed_t missed;   //  as the publisher told last
    struct trn_inflow *flow;    //  NULL: nobody sends it now
    uint64_t held, held_bytes;  //  in hand
} trn_stream_t;

typedef struct trn_known {
    uint8_t store_uuid[16];
    char name[TRN_NAME_MAX + 1];
    uint64_t incarnation;
    uint64_t random;
    int64_t heard_ms;
    struct trn_inbound *inbound;  //  NULL: not connected
    trn_list_t streams;           //  of trn_stream_t; owned
} trn_known_t;

typedef struct trn_inbound {
    trn_route_t route;
    uint64_t connection;
    trn_known_t *store;
    bool told_stored;  //  it wants to be told what is STORED
    int64_t heard_ms, sent_ms;
    trn_list_t flows;      //  of trn_inflow_t; owned
    uint32_t flow_number;  //  highest one offered
    trn_list_t guests;     //  of trn_guest_t (call_in.h); owned
    trn_list_t tasks;      //  of trn_task_t, those not over
} trn_inbound_t;

typedef struct trn_inflow {
    uint32_t number;
    trn_inbound_t *inbound;
    trn_stream_t *stream;
    trn_intake_t *intake;  //  NULL: refused, nothing is granted
    uint64_t received_messages, received_bytes;  //  since ACCEPT
    uint64_t granted_messages, granted_bytes;    //  since ACCEPT
    uint64_t ceiling_messages, ceiling_bytes;  //  highest grant that may still
                                               //  be in use
    uint64_t window;  //  messages it may have, granted or in hand
    int64_t used_ms;  //  when it last used or got credit
    uint64_t recall;  //  nonce of the PING that takes credit back, or 0
    bool wants;       //  it has messages and no credit
    bool wanted;      //  ... when it was granted to the last time
    bool told;        //  say CREDIT even if nothing changed
    bool dirty;       //  entries wait
    uint32_t entry_count;
    trn_settle_t entries[TRN_SETTLES_MAX];
} trn_inflow_t;

//  Calls ---------------------------------------------------------------------

typedef struct {
    trn_list_t needs;  //  of trn_need_t, services called; owned
    trn_list_t lost;   //  of trn_seat_t, those that are gone, but that
                       //  actions which are not drained may speak of; owned
    trn_table_t by_number;  //  of trn_call_t, all that are open; owned
    uint64_t number;        //  highest one used
    int64_t due_ms;         //  look at all of them then; 0 is never yet
} trn_calls_out_t;

typedef struct {
    trn_list_t services;  //  of trn_service_t; owned
    trn_list_t tasks;     //  of trn_task_t, those with a service; owned
    trn_table_t by_id;    //  the same
    trn_list_t hungry;    //  of trn_guest_t, told that there was no room
    uint64_t id;          //  last one used, of services and tasks
    int64_t due_ms;
} trn_calls_in_t;

//  The machine ---------------------------------------------------------------

struct trn_engine {
    trn_engine_config_t config;
    char name[TRN_NAME_MAX + 1];
    trn_run_source_t source;
    trn_engine_delay_fn *delay;
    void *delay_arg;
    trn_rng_t rng;
    int64_t now_ms;  //  of the latest event; never goes back
    bool closed;
    trn_actions_t actions;
    trn_reports_t reports;
    trn_engine_stats_t stats;

    trn_engine_want_fn *want;
    void *want_arg;
    uint64_t wall_ms;         //  publisher's clock ...
    int64_t wall_at_ms;       //  ... at this time
    trn_list_t publications;  //  by id - 1; owned
    int64_t *dues;            //  when they want a tick, in their order; owned
    int64_t first_due_ms;     //  the least of them; none: INT64_MAX
    trn_list_t stale;         //  publications whose time may be another now
    trn_list_t touched;       //  publications to look at
    trn_list_t removed;       //  subscriptions that are gone, but that actions
                              //  which are not drained may speak of; owned
    trn_list_t subs;          //  subscriptions for dispatch to look at
    trn_list_t links;         //  owned
    trn_table_t links_by_id;
    trn_link_id_t link_id;  //  last one used
    uint64_t token;         //  last one used

    trn_list_t intakes;  //  owned
    trn_table_t consumers_by_id;
    trn_consumer_id_t consumer_id;
    trn_list_t stores;    //  of trn_known_t; owned
    trn_list_t inbounds;  //  owned
    trn_table_t inbounds_by_route;
    trn_table_t streams_by_handle;
    uint32_t stream_handle;
    size_t inflow_count;
    size_t remembered;    //  pages of all streams, see known.h
    trn_list_t settling;  //  inflows with entries that wait

    trn_calls_out_t calls_out;  //  see call_out.h
    trn_calls_in_t calls_in;    //  see call_in.h
};

//  The identity this engine speaks with.
trn_identity_t
trn_engine_identity (const trn_engine_t *self);

//  The wall clock now; 0 if the shell has not told it.
uint64_t
trn_engine_wall (const trn_engine_t *self);

//  When the wall clock will show this, INT64_MAX if it is not known.
int64_t
trn_engine_at_wall (const trn_engine_t *self, uint64_t wall_ms);

//  An event happened at this time.
void
trn_engine_advance (trn_engine_t *self, int64_t now_ms);

//  Something has happened to it: when it wants a tick may have changed.
void
trn_engine_stale (trn_engine_t *self, trn_publication_t *publication);

//  Begin a report now; see report.h.
trn_action_t *
trn_engine_report (trn_engine_t *self, trn_report_kind_t kind);

#endif
