//  peer/peer.h - a peer from the inside: who owns what
//
//      application threads          actor thread             disk threads
//      ------------------------     ---------------------    ----------------
//      producer: append to log ───▶ dirty boxes ─▶ engine
//      consumer: walk parcels  ───▶ settled     ─▶ engine ──▶ sockets
//      open, close, stats: commands ─▶ done                   notify: news
//
//  The actor owns the engine, the roster, the poller and every socket.  It is
//  told of work through two lock-free lists (boxes that grew, consumers that
//  settled), one flag (news from the disk) and a queue of commands; it never
//  waits for anybody but the poller.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_PEER_H
#define TRN_PEER_H

#include "base/meter.h"
#include "core/engine.h"
#include "core/roster.h"
#include "core/table.h"
#include "io/poller.h"
#include "io/wake.h"
#include "peer/config.h"
#include "peer/events.h"
#include "peer/message.h"
#include "peer/parcel.h"
#include "peer/ruling.h"
#include "store/shelf.h"
#include "store/store.h"

#include <tern/consumer.h>
#include <tern/directory.h>
#include <tern/producer.h>
#include <tern/request.h>

#include <pthread.h>

//  Chunks read back from the files, per outbox.
#define TRN_BOX_CHUNKS 4

//  Numbers of idempotent publishing that the engine is not told yet, in order.
typedef struct {
    uint64_t seq;
    uint64_t number;
} trn_number_t;

typedef struct {
    trn_number_t *at;
    size_t first, count, capacity;
} trn_numbers_t;

//  A dead letter of an earlier life, see bury.c.
typedef struct trn_letter trn_letter_t;

//  What makes an outbox that of an exchange, see exchange.h.
typedef struct trn_exchange trn_exchange_t;
typedef struct trn_exchange_spec trn_exchange_spec_t;

//  A queue of it that begins in the past, see past.c.
typedef struct trn_past trn_past_t;
typedef struct trn_choice trn_choice_t;

//  What makes an outbox an inbox, see inbox.h.
typedef struct trn_inbox trn_inbox_t;

//  Bindings as they are listed, see bind.c.
typedef struct trn_bound_wait trn_bound_wait_t;
typedef struct trn_shown trn_shown_t;

typedef struct {
    size_t index;     //  of the next one that is bound,
    size_t at;        //  which is at or behind this place of the table
    uint64_t number;  //  of the table's last change
} trn_listed_t;

//  What the peer knows of one of its outboxes.
typedef struct trn_box {
    tern_peer_t *peer;
    trn_outbox_t *outbox;  //  the store's
    trn_outbox_id_t id;    //  the engine's
    char queue[TRN_NAME_MAX + 2];
    uint64_t opened_at;                    //  last seq before this opening
    uint32_t producers;                    //  open handles; the peer's lock
    trn_exchange_t *exchange;              //  NULL: of a queue
    trn_inbox_t *inbox;                    //  NULL: of our own messages
    uint64_t limit_bytes, limit_messages;  //  0 none
    uint64_t limit_ruled;                  //  see crowd.c
    trn_at_limit_t at_limit;
    struct trn_box *unnamed_next;  //  in the peer's list

    //  Application threads and actor.
    atomic_bool queued;  //  on the dirty list
    struct trn_box *dirty_next;
    atomic_uint_fast64_t refused;
    atomic_uint_fast64_t helped_us;   //  when a publisher last sent by itself
    atomic_uint_fast64_t helped_seq;  //  and up to where
    atomic_uint_fast64_t helped;      //  how often
    atomic_uint_fast64_t processed;   //  all up to here settled
    atomic_uint_fast64_t stored;      //  ... or on a consumer's disk
    atomic_uint waiters;              //  in tern_producer_wait () for these two

    //  Ruled messages, see ruled.c.
    atomic_bool ruled;       //  there has been one since opening
    pthread_mutex_t ruling;  //  the next three, and room's
    atomic_uint_fast64_t
        routes;             //  queues that came while messages were routed
    trn_rulings_t rulings;  //  appended; the engine is not told yet
    uint64_t number;        //  the highest one that the application gave

    //  How many of them there are, see crowd.c.
    atomic_uint_fast64_t ruled_count;  //  kept, or more; counted anew when full
    uint64_t ruled_untold;             //  in rulings; lock: ruling
    atomic_uint_fast32_t queues;       //  of an exchange
    uint32_t crowded;                  //  actor: somebody waits for so many

    //  Whether there is room, see room.c.
    atomic_bool room_wanted;  //  the descriptor is not readable
    int room_fd;              //  -1: nobody has asked
    uint32_t room_size;       //  of what was refused
    uint32_t room_ruled;      //  of these, see crowd.c

    //  Large bodies, see large.h.
    atomic_uint_fast64_t large_bytes;  //  of those that its messages name
    uint64_t large_limit;              //  of these; 0 none; fixed
    struct trn_large_ref *larges;      //  actor: the messages
    size_t large_count, large_capacity;

    //  Actor only.
    uint64_t seen;    //  appended, as the engine knows it
    uint64_t floor;   //  dropped below, as the engine knows it
    int status;       //  of the log, as the application was told
    bool broken;      //  reading it back failed: deliver no more
    bool read_later;  //  could not be read just now
    trn_chunk_t *chunks[TRN_BOX_CHUNKS];  //  read back, newest first
    trn_shelf_t *shelf;     //  single records read back; NULL: none yet
    trn_past_t *pasts;      //  queues to come, see past.c
    trn_choice_t *choices;  //  what was given to those that came
    trn_numbers_t numbers;
    trn_letter_t *graves;  //  of dead letters: found while opening
    size_t grave_count;
    uint64_t oldest_seq;  //  what oldest_us belongs to
    uint64_t oldest_us;   //  wall stamp of the oldest unsettled
    trn_meter_t produced, accepted, transmitted, consumed;
    trn_histogram_t delay;
} trn_box_t;

//  The socket of one outgoing link.
typedef struct trn_outlink {
    trn_link_id_t id;
    struct trn_outlink *next;  //  in its bucket
    void *dealer;
    void *monitor;
    trn_poll_item_t item;
    trn_poll_item_t monitor_item;
    struct trn_unsent *unsent;  //  frames that the socket would not take yet
    struct trn_unsent **unsent_tail;
} trn_outlink_t;

//  The socket to one directory node.
typedef struct {
    uint32_t number;
    void *dealer;
    void *monitor;
    trn_poll_item_t item;
    trn_poll_item_t monitor_item;
} trn_node_t;

typedef struct trn_command trn_command_t;
typedef void
trn_command_fn (tern_peer_t *peer, void *arg);

#define TRN_LINK_BUCKETS 256

struct tern_peer {
    tern_config_t *config;
    char name[TRN_NAME_MAX + 1];
    char endpoint[TRN_ENDPOINT_MAX + 1];  //  advertised
    char data[4096];
    bool draining;       //  tern drain: consume nothing, name of others
    bool view_restored;  //  what an earlier life knew of the network
    int64_t opened_ms;   //  monotonic
    trn_store_t *store;

    //  Whoever holds the turn: the actor while it is awake, else a publisher or
    //  consumer that helps itself (actor.c).  Everything marked "actor".
    pthread_mutex_t turn;
    trn_engine_t *engine;
    trn_roster_t *roster;
    tern_directory_t *hosted;  //  the local directory, when we host it
    void *context;
    void *router;
    trn_poller_t *poller;
    trn_poll_item_t router_item;
    trn_poll_item_t wake_item;
    trn_outlink_t *links[TRN_LINK_BUCKETS];
    trn_node_t nodes[TRN_NODES_MAX];
    trn_inrun_t *inrun;  //  of the DATA frame being handled
    uint64_t inrun_first, inrun_floor;
    uint8_t inrun_store[16];
    char inrun_outbox[TRN_NAME_MAX + 2];
    char inrun_publisher[TRN_NAME_MAX + 1];
    trn_listed_t listed;
    trn_shown_t *shown;
    struct trn_burial *burial;   //  NULL before the first death
    bool buries_no_more;         //  the peer closes
    uint32_t inboxes;            //  boxes that are one
    tern_consumer_t *consumers;  //  all of them
    tern_consumer_t *gathering;  //  given parcels in this burst
    tern_consumer_t *watched;    //  settling: looked at every millisecond
    int64_t watch_at;            //  when next; INT64_MAX if none is watched
    int64_t sample_at;
    int64_t sleeps_until;      //  the actor, when it last went to sleep
    trn_table_t asks;          //  requests made, by number
    trn_table_t tasks;         //  requests served, by the engine's number
    tern_service_t *services;  //  all of them
    struct trn_desk *desk;     //  `opening`; NULL: no durable requester
    struct trn_large *large;   //  large.h
    zmq_msg_t *answer;         //  given to the engine just now
    int64_t view_at;           //  the roster's view: not noted before
    bool view_wanted;          //  ... and it is to be noted
    bool progressed;           //  and those who wait for it are not told yet
    uint32_t crowded;          //  boxes that have no room for ruled messages
    bool queues_changed;
    bool running;  //  set before the thread starts
    bool stopping;

    //  Shared.
    pthread_t thread;
    trn_wake_t wake;
    _Atomic (trn_box_t *) dirty;
    _Atomic (trn_box_t *) helped;  //  whose publisher last sent by itself
    _Atomic (tern_consumer_t *) settled;
    _Atomic (struct trn_op *) ops;  //  call.h
    atomic_uint_fast64_t call_number;
    atomic_uint_fast64_t replies_dropped;
    atomic_bool drains;  //  takes no new work, see tern_peer_drain ()
    atomic_bool urgent;  //  settlements that should not wait
    atomic_bool disk_news;
    atomic_bool registered;
    atomic_bool bindings_known;  //  a directory has told all bindings
    atomic_bool router_led;      //  a waiting consumer watches the router
    trn_events_t events;

    pthread_mutex_t opening;  //  one outbox is opened at a time
    pthread_mutex_t lock;     //  the rest of this
    pthread_cond_t changed;   //  a command is done, processed moved
    trn_command_t *commands;
    trn_command_t **commands_tail;
    trn_bound_wait_t *bound_waits;
    trn_box_t *unnamed;   //  boxes of exchanges of no known type, see box.c
    trn_box_t **boxes;    //  by engine id - 1; grows, never shrinks
    uint32_t past_count;  //  queues of exchanges that begin in the past
    uint32_t box_count;
    uint32_t consumer_count;

    struct trn_fetchers *fetchers;  //  fetch.c
};

//  actor.c -----------------------------------------------------------------

int
trn_actor_start (tern_peer_t *self);

//  Say goodbye, give everything back, end the thread.
void
trn_actor_stop (tern_peer_t *self);

//  The caller has something to send, a message or a settlement, and the actor
//  sleeps: take its turn and send, which saves waking it.  False if somebody
//  else has the turn.
bool
trn_actor_help (tern_peer_t *self);

//  The router's descriptor is readable and the actor sleeps: take its turn and
//  one frame.  False if somebody else has the turn.
bool
trn_actor_receive (tern_peer_t *self);

//  Run fn on the actor's thread and wait until it has returned; at once if the
//  caller is that thread, or has its turn.
void
trn_actor_call (tern_peer_t *self, trn_command_fn *fn, void *arg);

//  outlink.c ---------------------------------------------------------------

void
trn_outlink_connect (tern_peer_t *self, trn_link_id_t id, const char *endpoint);

void
trn_outlink_disconnect (tern_peer_t *self, trn_link_id_t id);

//  Send a frame, with a run if run is not NULL (takes its reference).
void
trn_outlink_send (tern_peer_t *self, trn_link_id_t id, const trn_frame_t *frame,
                  const trn_engine_run_t *run);

//  Send a frame with a record behind it, which is shared.
void
trn_outlink_send_part (tern_peer_t *self, trn_link_id_t id,
                       const trn_frame_t *frame, zmq_msg_t *record);

//  The socket has frames for us or room for ours.
void
trn_outlink_ready (tern_peer_t *self, trn_outlink_t *link);

//  The monitor has something.
void
trn_outlink_monitored (tern_peer_t *self, trn_outlink_t *link);

void
trn_outlink_close_all (tern_peer_t *self);

//  inbound.c ---------------------------------------------------------------

//  0, or TERN_ENET and the like with one line in why.
int
trn_inbound_open (tern_peer_t *self, char *why, size_t why_size);

//  The socket has frames for us: take up to burst of them.
void
trn_inbound_ready (tern_peer_t *self, int burst);

//  A run, or one record, whose bytes were checked is handled now: its first seq
//  and whom it is from.  Takes over the message.
void
trn_inbound_hold (tern_peer_t *self, zmq_msg_t *run, uint64_t first,
                  const uint8_t store_uuid[16], const char *outbox,
                  const char *peer);

void
trn_inbound_reply (tern_peer_t *self, trn_route_t route,
                   const trn_frame_t *frame);

//  The same with a record behind it, which is shared.
void
trn_inbound_answer (tern_peer_t *self, trn_route_t route,
                    const trn_frame_t *frame, zmq_msg_t *record);

//  box.c -------------------------------------------------------------------

//  Open the outbox and make it known to the engine.  With an actor running,
//  any thread; before it runs, the opening thread.
int
trn_box_open (tern_peer_t *self, const char *queue, trn_box_t **box_p,
              char *why, size_t why_size);

//  The same for an exchange, which gets (another) alternate exchange and
//  retention; TERN_ETYPE if it is of another type.
int
trn_box_open_exchange (tern_peer_t *self, const char *name,
                       const trn_exchange_spec_t *spec, trn_box_t **box_p,
                       char *why, size_t why_size);

//  Actor: tell the engine what grew, was read, was saved.
void
trn_box_collect (tern_peer_t *self);

void
trn_box_disk_news (tern_peer_t *self);

//  Actor, every turn: queues that begin in the past.
void
trn_box_look_back (tern_peer_t *self);

//  Actor, every while: what could not be read just now may be readable again.
void
trn_box_read_again (tern_peer_t *self, int64_t now_ms);

//  Actor: save the outbox's state; closing also says that nothing was sent
//  after it.  Returns the stamp that trn_outbox_saved () will say.
uint64_t
trn_box_save (trn_box_t *box, bool closing);

//  Where the engine finds its runs.
trn_run_answer_t
trn_box_run (void *arg, trn_outbox_id_t outbox, uint64_t seq,
             uint32_t count_max, uint32_t bytes_max, trn_engine_run_t *run);

//  What the engine will ask for next.
void
trn_box_want (void *arg, trn_outbox_id_t outbox, const uint64_t *seqs,
              size_t count);

void
trn_box_release_run (void *arg, void *handle);

void
trn_box_destroy (trn_box_t **box_p);

//  A handle of it is closed.
void
trn_box_leave (trn_box_t *box);

//  Actor: the engine shall know of its records up to seq.
void
trn_box_appended (trn_box_t *box, uint64_t seq, int64_t now_ms);

//  policy.c ----------------------------------------------------------------

//  Actor: the policy that one queue of the box (number 0: the queue that it is)
//  has by its name or by the configuration.
void
trn_box_set_policy (trn_box_t *box, uint32_t number, const char *queue);

//  The policy that the application gives.  0 or TERN_EINVAL.
int
trn_box_policy (trn_box_t *box, const tern_policy_t *policy);

//  bury.c ------------------------------------------------------------------

//  Is this the queue of dead letters?
bool
trn_dead_name (const char *queue);

//  The dead letters of a queue: NAME.dead, or if that is too long, the first 49
//  bytes, a hash and .dead.
void
trn_dead_queue (const char *queue, char name[TRN_NAME_MAX + 2]);

//  Actor: do as DO_BURY says.
void
trn_box_bury (tern_peer_t *peer, const trn_action_t *action);

//  Actor: records that were sought may be at hand.
void
trn_burial_seek (tern_peer_t *peer);

//  No more letters are written.  The actor still runs.
void
trn_burial_stop (tern_peer_t *peer);

void
trn_burial_free (tern_peer_t *peer);

//  Opening: a dead letter of an earlier life; arg is its box.
void
trn_grave_found (void *arg, const trn_record_t *record);

//  Before the first action: tell the engine of all that were found.
void
trn_graves_restore (tern_peer_t *peer);

//  producer.c --------------------------------------------------------------

trn_box_t *
trn_producer_box (tern_producer_t *self);

//  The box has grown by this message at this time: see that it is sent.
void
trn_box_grew (trn_box_t *box, uint64_t seq, uint64_t now_us);

//  room.c ------------------------------------------------------------------

//  -1 if there is no descriptor left.
int
trn_room_fd (trn_box_t *box);

//  A message of this size, which is kept so often (crowd.c), found no room.
void
trn_room_refused (trn_box_t *box, uint32_t size, uint32_t ruled);

//  There may be room again.
void
trn_room_look (trn_box_t *box);

//  ruled.c -----------------------------------------------------------------

//  Opening: a ruled record of an earlier life; arg is the box.
void
trn_ruled_found (void *arg, const trn_record_t *record);

//  Actor: the engine knows the outbox now; tell it what was found.
void
trn_ruled_restore (trn_box_t *box);

typedef struct {
    uint64_t seq;  //  0: its number was known, nothing is stored
    uint64_t stamp_us;
    uint32_t size;
    uint32_t ruled;  //  how often it is kept, see crowd.c
    bool crowded;    //  refused for that
} trn_sent_t;

//  Append one message with its rule.  seal's time is filled in.  As
//  tern_producer_send_msg (), or TERN_ETOOBIG if what Tern adds does not fit.
int
trn_ruled_send (trn_box_t *box, const tern_msg_t *msg, trn_seal_t *seal,
                int timeout_ms, trn_sent_t *sent);

//  Actor: append the copy of a message, whose properties say its rule.  As
//  trn_outbox_append () without waiting.
int
trn_ruled_copy (trn_box_t *box, trn_record_t *record, uint64_t *seq_p);

//  The highest number that the application gave.
uint64_t
trn_ruled_number (trn_box_t *box);

//  Actor: tell the engine the rules of what was appended; returns up to which
//  seq that is.
uint64_t
trn_ruled_collect (trn_box_t *box);

//  Actor, before a state is made: tell the engine which number is safe.
void
trn_ruled_save (trn_box_t *box);

//  crowd.c -----------------------------------------------------------------

//  How often the engine keeps this message: for each queue that it goes to, if it
//  has a rule.
uint32_t
trn_crowd_weight (const trn_box_t *box, const trn_rule_t *rule);

//  Is there room for a message that is kept so often?  Any thread.
bool
trn_crowd_has_room (const trn_box_t *box, uint32_t weight);

//  It found no room.  Wait for some, or see what at_limit says.  0: try again;
//  TERN_ETIMEOUT, TERN_EFULL, TERN_ECLOSED.  Any thread but the actor.
int
trn_crowd_wait (trn_box_t *box, uint32_t weight, int timeout_ms);

//  Actor: count again, queues too.  True if there is room for it now; else
//  trn_inbox_look () is called when there is.
bool
trn_crowd_recount (trn_box_t *box, uint32_t weight);

//  Actor, while a box is crowded: is there room again?  True if there may be
//  actions now.
bool
trn_crowd_look (tern_peer_t *peer);

//  consumer.c --------------------------------------------------------------

//  Actor: part of the current inbound run is for this consumer.  A thin one waits
//  for the others of this burst, until it is handed over.
void
trn_consumer_deliver (tern_peer_t *self, const trn_action_t *action);

//  Actor: to each consumer all that waits for it, at the end of a burst.
void
trn_consumer_hand_over (tern_peer_t *self);

//  Actor: hand it out; takes the caller's reference.
void
trn_consumer_push (tern_consumer_t *self, trn_parcel_t *parcel);

//  Actor: tell the engine what was settled, of all consumers that said so.
void
trn_consumer_collect (tern_peer_t *self, int64_t now_ms, bool all);

//  Actor: nothing is handed out any more, what was not goes back, and nobody
//  waits for more.
void
trn_consumer_end (tern_consumer_t *self);

//  Actor: messages that the application has not settled.
uint64_t
trn_consumer_held (const tern_consumer_t *self);

//  call.c, requester.c, service.c ------------------------------------------

//  Actor: do what application threads want.
void
trn_op_collect (tern_peer_t *self);

//  Actor: what the engine says of calls made, and of calls served.
void
trn_requester_do (tern_peer_t *self, const trn_action_t *action);

void
trn_service_do (tern_peer_t *self, const trn_action_t *action);

//  Walking the peer's consumers.
tern_consumer_t *
trn_consumer_next (const tern_consumer_t *self);

//  As the engine knows it: that of its inbox, if it has one.
const char *
trn_consumer_queue (const tern_consumer_t *self);

trn_inbox_t *
trn_consumer_inbox (const tern_consumer_t *self);

//  nodes.c -----------------------------------------------------------------

void
trn_nodes_drain (tern_peer_t *self, int64_t now_ms);

void
trn_node_ready (tern_peer_t *self, trn_node_t *node);

void
trn_node_monitored (tern_peer_t *self, trn_node_t *node);

void
trn_nodes_close (tern_peer_t *self);

//  Start from the view of an earlier life.
void
trn_nodes_restore (tern_peer_t *self);

//  Note the view if it has changed, but not more often than every few seconds.
void
trn_nodes_note (tern_peer_t *self, int64_t now_ms, bool closing);

//  Tell roster and engine what we consume.
void
trn_nodes_announce (tern_peer_t *self, int64_t now_ms);

//  bind.c ------------------------------------------------------------------

//  Actor: a directory has answered for a binding of ours.
void
trn_bound_tell (tern_peer_t *peer, const trn_binding_t *binding, int result);

//  stats.c -----------------------------------------------------------------

void
trn_stats_sample (tern_peer_t *self, int64_t now_ms);

size_t
trn_stats_rows (tern_peer_t *self, tern_stats_t *rows, size_t max);

//  Engine's callback for T_delay.
void
trn_stats_delay (void *arg, trn_outbox_id_t outbox, uint64_t stamp_us,
                 uint64_t count);

#endif
