//  sim/peer.h - one peer of a simulation: real engine, real log, false world
//
//  What src/peer does with sockets, threads and clocks, this does with events:
//  it drains the engine's actions, runs the disk side of each log, and plays
//  the application.  A peer has lives; between two of them it is down, and only
//  its disk is left, as much of it as the way it ended leaves.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef SIM_PEER_H
#define SIM_PEER_H

#include "sim/ledger.h"
#include "sim/net.h"
#include "sim/world.h"

#include "core/binding.h"
#include "core/engine.h"
#include "core/router.h"
#include "store/log.h"
#include "store/selection.h"

#define SIM_OUTBOXES_MAX 24
#define SIM_CONSUMERS_MAX 12
#define SIM_BRANCHES_MAX 4

//  Of these, those that begin in the past, and some that were unbound.
#define SIM_PASTS_MAX (2 * SIM_BRANCHES_MAX)
#define SIM_TARGETS_MAX (SIM_BRANCHES_MAX + SIM_PASTS_MAX)
#define SIM_CHUNKS 4
#define SIM_REPORTS_MAX 32

//  A message in an application's hands.
typedef struct {
    uint8_t store_uuid[16];
    char outbox[TRN_NAME_MAX + 2];
    uint64_t seq;
    uint64_t print;
    uint32_t flow;
    uint32_t size;  //  of its record
    uint32_t deliveries;
    bool redelivered;
    bool taken;  //  the application has looked at it
    char *text;  //  body, in stories only; owned

    //  Of a request.
    const sim_peer_t *asker;
    const struct sim_outbox *outlet;  //  where the reply is, NULL: none yet
    uint64_t reply_seq;
} sim_hand_t;

//  How an application consumes by itself.
typedef struct {
    bool automatic;  //  else a story says what happens
    int64_t think_min_us, think_max_us;
    unsigned requeue_per_mille;
    unsigned reject_per_mille;
    unsigned disorder_per_mille;  //  settles another than the oldest
} sim_manner_t;

typedef struct {
    sim_peer_t *peer;
    char queue[TRN_NAME_MAX + 2];
    uint32_t prefetch, bytes;
    bool wanted;           //  consumes whenever its peer is up
    bool serves;           //  these are requests: accepted when replied to
    trn_consumer_id_t id;  //  0: not now
    sim_manner_t manner;
    sim_hand_t *hands;  //  in order of arrival
    size_t hand_count, hand_capacity;
    size_t hand_peak;
    bool busy;  //  an event of the application is asked for
} sim_consumer_t;

//  A copy that is not synced yet.
typedef struct {
    uint32_t number;  //  of the queue where it died
    uint64_t seq, dead_seq;
} sim_burial_t;

//  A queue of an exchange, once bound.
typedef struct {
    char queue[TRN_NAME_MAX + 2];
    uint32_t number;     //  as the engine of this life knows it; 0: not
    uint32_t bindings;   //  that lead to it
    unsigned stream;     //  in the ledger
    bool durable;        //  the saved state knows it
    bool saving;         //  the one being saved does
    bool was_durable;    //  in any life
    uint64_t gone_from;  //  it was removed before this seq, 0: it was not
    bool withheld;       //  what was chosen of its past is not durable
} sim_branch_t;

//  What was chosen of the past for a queue, which a later life must know.
typedef struct {
    trn_selection_t selection;
    sim_branch_t *branch;  //  that waits for it to be kept; NULL: it was before
} sim_past_t;

typedef struct sim_outbox sim_outbox_t;

struct sim_outbox {
    sim_peer_t *peer;
    char queue[TRN_NAME_MAX + 2];
    trn_policy_t policy;
    trn_exchange_type_t exchange;  //  0: it is a queue
    trn_router_t *router;          //  of an exchange, while up
    sim_branch_t branches[SIM_BRANCHES_MAX];
    unsigned branch_count;
    sim_past_t pasts[SIM_PASTS_MAX];
    unsigned past_count;
    int dir;                //  its own
    uint64_t retain_bytes;  //  of an exchange
    uint64_t limit_messages;
    trn_at_limit_t at_limit;
    uint64_t floor;         //  as the engine was told
    sim_outbox_t *grave;    //  its dead letters; NULL: none died yet
    sim_outbox_t *source;   //  whose dead letters these are; NULL: no one's
    sim_burial_t *burials;  //  owned
    unsigned burial_count;
    uint64_t first_seq;  //  of the log, when it was opened
    trn_ranges_t gaps;   //  then; owned
    trn_log_t *log;      //  NULL while down
    trn_outbox_id_t id;
    bool known;                //  was opened once, so it has a
    unsigned stream;           //  stream in the ledger
    bool twin;                 //  that stream is fixed: this is a clone's
    uint64_t appended;         //  as the engine has been told
    uint64_t backlog;          //  messages the application still wants to send
    uint32_t size_max;         //  of their bodies
    unsigned ruled_per_mille;  //  of them are not plain
    bool asks;                 //  they are requests
    bool replies;              //  it is a private queue, of a peer that asked
    bool producing;            //  an event is asked for
    bool ruined;               //  its opening met a fault: not in this life
    bool disk_busy;            //  a write or sync is asked for
    bool read_busy;
    uint64_t read_seq;
    trn_chunk_t *chunks[SIM_CHUNKS];  //  read back, newest anywhere
    unsigned chunk_next;
    bool save_busy, save_again;
    uint8_t *state;  //  being saved
    size_t state_size;
    uint64_t state_low, state_stamp;
};

//  call.c has them.
typedef struct sim_call sim_call_t;
typedef struct sim_task sim_task_t;

//  How a life ends.
typedef enum {
    SIM_STOP,  //  cleanly
    SIM_KILL,  //  kill -9: the machine goes on
    SIM_CRASH  //  power failure
} sim_end_t;

//  What a peer knows of another through the directory, on its way.
typedef struct sim_entry sim_entry_t;

struct sim_entry {
    sim_entry_t *next;
    const sim_peer_t *about;
    bool gone;
    uint64_t incarnation;
    char endpoint[TRN_ENDPOINT_MAX + 1];
    char queues[SIM_CONSUMERS_MAX][TRN_NAME_MAX + 2];
    unsigned queue_count;
};

struct sim_peer {
    sim_world_t *world;
    unsigned index;
    char name[TRN_NAME_MAX + 1];
    char endpoint[TRN_ENDPOINT_MAX + 1];
    trn_disk_t *memory;  //  what survives
    trn_disk_t *disk;    //  in front of it, with planned faults
    uint32_t life;       //  changes with every start and end
    bool up;
    sim_end_t ended;  //  how the last life ended
    int64_t paused_until_us;
    int64_t clock_ms;  //  this life's clock minus the world's

    uint8_t store_uuid[16];
    uint64_t incarnation, random;
    trn_engine_config_t timing;
    trn_log_config_t logging;
    int64_t disk_us;       //  usual time of a disk call
    trn_engine_t *engine;  //  NULL while down
    bool draining, drain_asked;
    int64_t tick_at_us;           //  a tick is asked for; INT64_MAX none
    const sim_packet_t *inbound;  //  the run that DO_DELIVER speaks of
    const trn_frame_t *inbound_frame;
    const sim_conn_t *inbound_conn;

    sim_outbox_t outboxes[SIM_OUTBOXES_MAX];
    unsigned outbox_count;
    sim_consumer_t consumers[SIM_CONSUMERS_MAX];
    unsigned consumer_count;
    uint64_t replies_max;  //  limit of an outbox of replies, 0: none
    const char *service;   //  that it calls, or serves; NULL: none
    bool calls_out;        //  it calls
    uint32_t tasks_max;    //  it serves, so many calls at once; 0: not
    uint32_t service_id;
    uint64_t call_number;   //  of the last one it made
    sim_call_t *calls;      //  of this life; owned
    sim_task_t *tasks;      //  in hand; owned
    const uint8_t *answer;  //  the record that DO_ANSWER speaks of
    uint32_t answer_size;
    bool drain_mode;  //  applications accept everything, quickly

    trn_bindings_t *bindings;  //  as it has heard, in this life; owned
    bool bindings_known;
    sim_entry_t *views_first, *views_last;
    int64_t views_arrive_us;
    struct {
        const char *id;
        unsigned count;
    } reports[SIM_REPORTS_MAX];
    unsigned report_count;
    bool keep_texts;  //  stories
    char **received;  //  texts in order of delivery, '*' before
                      //  a redelivered one; owned
    size_t received_count;
};

//  A peer with an empty disk, down.
sim_peer_t *
sim_peer_new (sim_world_t *world, const char *name);

void
sim_peer_destroy (sim_peer_t **self_p);

//  What it does in every life from the next on; while up, from now on.
sim_outbox_t *
sim_peer_add_outbox (sim_peer_t *self, const char *queue);

sim_outbox_t *
sim_peer_add_exchange (sim_peer_t *self, const char *name,
                       trn_exchange_type_t type);

//  What the ledger calls it: one stream for a queue, one for each queue of an
//  exchange.  index from 0; false behind the last.
bool
sim_outbox_stream (const sim_outbox_t *self, unsigned index,
                   unsigned *stream_p);

//  The next seq from here on that is no gap of earlier lives; behind the last
//  one: one more than that.
uint64_t
sim_outbox_next (const sim_outbox_t *self, uint64_t seq);

sim_consumer_t *
sim_peer_add_consumer (sim_peer_t *self, const char *queue, uint32_t prefetch,
                       uint32_t bytes);

//  Open its log and tell the engine of it.  False: not now.
bool
sim_peer_open_outbox (sim_peer_t *self, sim_outbox_t *outbox);

//  Open it now, in the middle of a life, if it is not.  False if the disk would
//  not let it; then the life may soon be over.
bool
sim_outbox_ready (sim_outbox_t *outbox);

//  Begin a life.  False if the disk would not let it; try again later.
bool
sim_peer_start (sim_peer_t *self);

void
sim_peer_end (sim_peer_t *self, sim_end_t end);

//  The disk is replaced by an empty one, or by a copy.  While down.
void
sim_peer_lose_disk (sim_peer_t *self);

void
sim_peer_set_disk (sim_peer_t *self, trn_disk_t *memory);

//  Its clock now, for the engine.
int64_t
sim_peer_now (const sim_peer_t *self);

//  The wall clock of all of them.
#define SIM_WALL_MS UINT64_C (1700000000000)

uint64_t
sim_peer_wall_ms (const sim_peer_t *self);

//  shell.c: the actor's part ---------------------------------------------

void
sim_peer_on_packet (sim_peer_t *self, sim_conn_t *conn, sim_direction_t way,
                    const sim_packet_t *packet);

void
sim_peer_on_disconnected (sim_peer_t *self, trn_link_id_t link);

//  Do what the engine decided, at once or a little later.
void
sim_peer_drain (sim_peer_t *self);

void
sim_peer_drain_soon (sim_peer_t *self);

//  For trn_engine_new ().
trn_run_source_t
sim_peer_source (sim_peer_t *self);

//  How often it reported an event with this id, in all lives.
unsigned
sim_peer_reported (const sim_peer_t *self, const char *id);

//  watch.c: what passes between peers --------------------------------------

//  A frame came to the publisher's end of the connection.
void
sim_watch_credit (sim_conn_t *conn, const trn_frame_t *frame);

//  A frame is about to leave: if it is an OFFER, its flow is that of this queue.
void
sim_watch_offer (sim_conn_t *conn, const trn_frame_t *frame);

//  The stream of a flow, if it is known: conn may be NULL.
bool
sim_watch_stream (const sim_outbox_t *outbox, const sim_conn_t *conn,
                  uint32_t flow, unsigned *stream_p);

//  A DATA frame with so many bytes of records is about to leave.
void
sim_watch_run (sim_outbox_t *outbox, sim_conn_t *conn, const trn_frame_t *frame,
               uint32_t size);

//  Unsettled seqs that a SETTLE names under a token that is not theirs any more.
typedef struct {
    const sim_outbox_t *outbox;
    uint64_t seqs[64];
    unsigned count;
} sim_stale_t;

//  Before the engine sees the frame, and after.  True if there are any.
bool
sim_watch_stale (const sim_conn_t *conn, const trn_frame_t *frame,
                 sim_stale_t *stale);

void
sim_watch_stale_end (const sim_peer_t *self, const sim_stale_t *stale);

//  Show a frame in the trace.
void
sim_watch_frame (const sim_peer_t *self, const sim_conn_t *conn,
                 const trn_frame_t *frame);

//  disk.c: the disk threads' part -----------------------------------------

void
sim_outbox_kick (sim_outbox_t *outbox);

void
sim_outbox_want (sim_outbox_t *outbox, uint64_t seq);

void
sim_outbox_save (sim_outbox_t *outbox);

//  The engine's state as it is now; the caller frees outbox->state.
void
sim_outbox_take_state (sim_outbox_t *outbox, bool closing);

//  state.c: can the state that was taken be read, and says it the same then?
void
sim_outbox_check_state (const sim_outbox_t *outbox);

//  grave.c: dead letters ----------------------------------------------------

//  The record at this seq, in a chunk that the caller releases.  Its size, or
//  why not.
int
sim_outbox_read (const sim_outbox_t *outbox, uint64_t seq, trn_record_t *record,
                 trn_chunk_t **chunk_p);

//  The engine wants a copy.
void
sim_grave_bury (sim_outbox_t *source, const trn_action_t *action);

//  Copies up to some seq are synced: tell the engine.
void
sim_grave_on_synced (sim_outbox_t *grave);

//  A life begins: tell the engine of all copies that are there.  False: the disk
//  would not let us read them.
bool
sim_grave_recall (sim_outbox_t *grave);

//  rule.c: messages that are not plain --------------------------------------

#define SIM_RULE_SIZE (25 + 4 * SIM_BRANCHES_MAX)

//  As the routing key of its record; returns the size.
uint8_t
sim_rule_put (const trn_rule_t *rule, uint8_t key[SIM_RULE_SIZE]);

//  False: it is plain.
bool
sim_rule_get (const trn_record_t *record, trn_rule_t *rule,
              uint32_t targets[SIM_BRANCHES_MAX]);

//  A life begins: tell the engine of all that are there.  False: the disk would
//  not let us read them.
bool
sim_rule_recall (sim_outbox_t *outbox);

//  request.c: durable requests -----------------------------------------------

//  A body that is about to be published is a request of this peer; whose it is.
void
sim_request_mark (const sim_outbox_t *outbox, uint8_t *body, uint32_t size);

const sim_peer_t *
sim_request_asker (const sim_world_t *world, const uint8_t *body,
                   uint32_t size);

//  Publish the reply to this hand, if the disk allows.
void
sim_request_answer (sim_consumer_t *consumer, size_t index);

//  Replies are synced: their requests are done.
void
sim_request_on_synced (sim_outbox_t *outlet);

//  call.c: calls that are not stored ------------------------------------------

//  What the engine wants done about them.
void
sim_call_do (sim_peer_t *self, const trn_action_t *action);

//  A CALL, an ANSWER with its record has come.
void
sim_call_on_call (sim_peer_t *self, const sim_conn_t *conn,
                  const trn_frame_t *frame, const sim_packet_t *packet);

void
sim_call_on_answer (sim_peer_t *self, const sim_conn_t *conn,
                    const trn_frame_t *frame, const sim_packet_t *packet);

//  A life begins; its service is served, or is not; the life is over.
void
sim_call_start (sim_peer_t *self);

void
sim_call_join (sim_peer_t *self);

void
sim_call_leave (sim_peer_t *self);

void
sim_call_drop (sim_peer_t *self);

//  How many of its calls are not over.
uint64_t
sim_call_open (const sim_peer_t *self);

//  app.c: the applications ------------------------------------------------

//  rule: NULL, or what is not plain about it.  False: not now (memory,
//  reservation, disk full).
bool
sim_app_publish (sim_outbox_t *outbox, const void *body, uint32_t size,
                 const trn_rule_t *rule);

//  Publish the backlog as the log takes it.
void
sim_app_produce (sim_outbox_t *outbox, uint64_t messages);

void
sim_app_on_delivery (sim_consumer_t *consumer, const sim_hand_t *hand);

//  Settle the hand at this index and forget it.
void
sim_app_settle (sim_consumer_t *consumer, size_t index, size_t count,
                trn_outcome_t outcome);

//  Start or stop consuming, while the peer is up.
void
sim_app_join (sim_consumer_t *consumer);

void
sim_app_leave (sim_consumer_t *consumer);

//  The life is over: hands are empty.
void
sim_app_drop (sim_consumer_t *consumer);

//  directory.c ------------------------------------------------------------

//  Tell everybody about this peer as it is now, each after a while.
void
sim_directory_announce (sim_peer_t *peer);

//  Tell this peer about everybody.
void
sim_directory_inform (sim_peer_t *peer);

void
sim_directory_forget_views (sim_peer_t *peer);

void
sim_directory_set_down (sim_world_t *world, bool down);

#endif
