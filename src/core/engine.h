//  core/engine.h - what one peer decides, without doing any of it
//
//  The engine is the whole reliable conversation of one peer as a pure machine:
//  events and the time go in, actions come out, in order.  It is given every
//  number it uses, so the same seed and the same events give the same actions.
//
//      shell: sockets, disk, timers                engine
//      ------------------------------------------  --------------------------
//      roster changed, frame came, log grew    ->   on_* ()   links
//      application settled, tick               ->             subscriptions
//      connect, send, deliver, save, report    <-   actions   dispatch, dedup
//
//  As a publisher it has outboxes; each has subscriptions (one per queue; a
//  plain queue has one); per link and subscription there is a flow to one
//  consuming peer.  As a consumer it has consumers; per inbound link and queue
//  there is a flow from one publisher's outbox.
//
//  Events only note what happened; what follows from them is decided when the
//  shell drains the actions.  So a shell that takes several events before it
//  drains gets larger runs and fewer frames, and one that drains after each gets
//  the lowest latency.  Only one event may not wait: after on_inbound () with a
//  DATA frame drain before the next one, as TRN_DO_DELIVER speaks of that run.
//
//  Thread: one.  The shell is the peer's actor, or the simulator.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_ENGINE_H
#define TRN_ENGINE_H

#include "base/ranges.h"
#include "base/seqset.h"
#include "core/policy.h"
#include "wire/frame.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct trn_engine trn_engine_t;

//  Handles chosen by the engine, counted from 1, never reused within 2^32.  A
//  link is one consuming peer's name; it has one socket at a time.
typedef uint32_t trn_link_id_t;  //  outgoing link, publisher's side
typedef uint32_t trn_outbox_id_t;
typedef uint32_t trn_consumer_id_t;
//  Chosen by the shell: one inbound connection as the ROUTER sees it.
typedef uint64_t trn_route_t;

typedef struct {
    const char *name;
    uint8_t store_uuid[16];
    uint64_t incarnation;
    uint64_t random;
    uint64_t seed;              //  for jitter
    uint32_t hello_ms;          //  0: 3000   no WELCOME: reconnect
    uint32_t ping_ms;           //  0: 1000   when nothing else was sent
    uint32_t suspect_ms;        //  0: 4000   nothing heard: close
    uint32_t backoff_min_ms;    //  0: 50
    uint32_t backoff_max_ms;    //  0: 30000
    uint32_t save_ms;           //  0: 500    between two saves of a state
    uint32_t redeliver_min_ms;  //  0: 100    first wait after a requeue
    uint32_t redeliver_max_ms;  //  0: 30000
} trn_engine_config_t;

//  A run the shell can send now, or why not.  READY starts at the seq asked for
//  and keeps within count_max; only a single record may exceed bytes_max.
typedef enum {
    TRN_RUN_READY,  //  *run is filled; the engine sends it or releases it
    TRN_RUN_LATER,  //  being read; the shell calls trn_engine_on_records ()
    TRN_RUN_GONE    //  these seqs cannot be delivered any more; see skip_to
} trn_run_answer_t;

//  What the engine knows of a run; the memory is the shell's business.
typedef struct {
    void *handle;  //  shell's; one reference moves with it
    uint64_t first_seq;
    uint32_t count;
    uint32_t size;  //  bytes
    uint64_t segment;
    uint64_t offset;
    uint64_t stamp_us;  //  publisher's wall clock at the first record
    uint64_t skip_to;   //  only with TRN_RUN_GONE: next seq that may exist
} trn_engine_run_t;

//  Pure from the engine's side: the answer depends on the shell's state only.
typedef struct {
    trn_run_answer_t (*run) (void *arg, trn_outbox_id_t outbox, uint64_t seq,
                             uint32_t count_max, uint32_t bytes_max,
                             trn_engine_run_t *run);
    void (*release) (void *arg, void *handle);
    void *arg;
} trn_run_source_t;

typedef enum {
    TRN_DO_CONNECT,     //  link: new socket to endpoint; frames go at once
    TRN_DO_DISCONNECT,  //  link: close that socket; also after the shell said
                        //  on_disconnected (): the one place to clean up
    TRN_DO_SEND,        //  link: frame
    TRN_DO_SEND_RUN,    //  link: frame (DATA) and run
    TRN_DO_REPLY,       //  route: frame
    TRN_DO_DROP_ROUTE,  //  route: forget it, ignore what it still says
    TRN_DO_DELIVER,     //  consumer: part of the run just given to inbound
    TRN_DO_SAVE,        //  outbox: ask trn_engine_state () and save it
    TRN_DO_PROGRESS,    //  outbox: processed, stored or ahead moved
    TRN_DO_CALL,        //  link: frame (CALL) and the record of call.number
    TRN_DO_ANSWERED,    //  call.number: the record just given to on_answered ()
    TRN_DO_CALL_OVER,   //  call.number: no (more) answers; call.end, words
    TRN_DO_SERVE,       //  service: call.number is a task, its record that just
                        //  given to inbound
    TRN_DO_TASK_ROOM,   //  call.number, a task: so many answers may be sent
    TRN_DO_TASK_GONE,   //  call.number, a task: nobody waits for answers
    TRN_DO_ANSWER,      //  route: frame (ANSWER) and the record of on_answer ()
    TRN_DO_BURY,        //  outbox, bury: copy it to the dead letters, sync the
                        //  copy, then say on_buried () or on_bury_failed ()
    TRN_DO_REPORT       //  tell the application: an event with a stable id
} trn_action_type_t;

//  Why a call is over without its last answer.
typedef enum {
    TRN_CALL_FAILED,    //  the server says so, in words
    TRN_CALL_TIME_OUT,  //  its time is over
    TRN_CALL_NOBODY,    //  ... and nobody has served it all that time
    TRN_CALL_LOST       //  the server is gone, and another cannot go on
} trn_call_end_t;

typedef struct {
    trn_action_type_t type;
    trn_link_id_t link;
    trn_route_t route;
    trn_outbox_id_t outbox;
    trn_consumer_id_t consumer;
    trn_frame_t frame;     //  SEND, SEND_RUN, REPLY
    trn_engine_run_t run;  //  SEND_RUN: the reference moves to the shell
    char endpoint[TRN_ENDPOINT_MAX + 1];  //  CONNECT
    struct {
        uint32_t flow;        //  for on_settle (): one (store, outbox, queue),
                              //  the same after the publisher reconnected
        uint32_t number;      //  of the queue in its outbox; 0: not told
        uint64_t from, to;    //  which records of the run
        uint32_t deliveries;  //  1 = first time
        bool redelivered;
        uint64_t missed;  //  of this queue and publisher, lost to the outbox's
                          //  limit or to time, and not told before `from`
    } deliver;
    struct {
        uint64_t number;  //  of the call, or of the task
        uint32_t service;
        int64_t due_ms;           //  SERVE: nobody waits after; INT64_MAX none
        bool repeated;            //  SERVE: somebody else may have seen it
        bool last;                //  ANSWERED
        uint64_t answers, bytes;  //  SERVE, TASK_ROOM: limits, absolute
        trn_call_end_t end;       //  CALL_OVER
        const char *words;        //  CALL_OVER: as long as the frame at hand
        size_t words_size;
    } call;
    uint64_t processed;  //  PROGRESS
    uint64_t stored;     //  PROGRESS: the same, or on a consumer's disk
    uint64_t ahead;      //  PROGRESS: settled above processed, at least
    struct {
        uint32_t number;  //  of the queue in its outbox
        const char *queue;
        uint64_t seq;
        const char *reason;    //  "rejected", "spent", "expired"; static
        uint32_t deliveries;   //  so far
        const char *consumer;  //  peer that had it last, "" if none
    } bury;
    struct {
        const char *id;  //  "TERN-PEER-GONE", static
        int level;       //  0 debug 1 info 2 warning 3 error
        char text[256];  //  key=value, escaped
    } report;
} trn_action_t;

trn_engine_t *
trn_engine_new (const trn_engine_config_t *config,
                const trn_run_source_t *source);

void
trn_engine_destroy (trn_engine_t **self_p);

//  Next action in order, or NULL when all is said; then settlements that came
//  together have been gathered into one frame, and what may be sent has been
//  dispatched.  Borrowed until the next engine call of any kind, frame texts
//  included.
const trn_action_t *
trn_engine_action (trn_engine_t *self);

//  Called after TRN_RUN_LATER with the seqs that will be asked for next, the one
//  of that answer first: read them together, then say on_records ().  Never
//  called when the next ones just follow it.
typedef void
trn_engine_want_fn (void *arg, trn_outbox_id_t outbox, const uint64_t *seqs,
                    size_t count);

void
trn_engine_on_want (trn_engine_t *self, trn_engine_want_fn *fn, void *arg);

//  When to call on_tick () at the latest, monotonic ms; INT64_MAX never.  Ask
//  after draining.
int64_t
trn_engine_deadline (trn_engine_t *self);

void
trn_engine_on_tick (trn_engine_t *self, int64_t now_ms);

//  Outboxes --------------------------------------------------------------

//  A recovered or new outbox.  state is the blob that trn_engine_state () made
//  in an earlier life (size 0: new); gaps name no message; high is the last
//  seq used; clean says that nothing was sent after the state was saved, else
//  whatever is unsettled is offered as redelivered.  TERN_EVERSION or
//  TERN_ECORRUPT if the blob is not ours, TERN_ETOOBIG: too many outboxes.
int
trn_engine_add_outbox (trn_engine_t *self, const char *name, const char *queue,
                       uint64_t high, const trn_ranges_t *gaps, bool clean,
                       const uint8_t *state, size_t size,
                       trn_outbox_id_t *outbox_p);

//  Records up to seq exist and may be sent: their numbers are durably reserved.
void
trn_engine_on_appended (trn_engine_t *self, trn_outbox_id_t outbox,
                        uint64_t seq, int64_t now_ms);

//  Records asked for with TRN_RUN_LATER can be had now, or turned out not to
//  exist: the engine asks for the run again.
void
trn_engine_on_records (trn_engine_t *self, trn_outbox_id_t outbox,
                       int64_t now_ms);

//  Everything below floor was dropped by the outbox's own limit.
void
trn_engine_on_dropped (trn_engine_t *self, trn_outbox_id_t outbox,
                       uint64_t floor, int64_t now_ms);

//  The state to save, into buffer; returns its size, sets *low_p (segments
//  below may go once the state is durable) and *stamp_p, to be given to
//  on_saved () then.  Asked for by DO_SAVE, or closing: for the last time.
size_t
trn_engine_state (trn_engine_t *self, trn_outbox_id_t outbox, bool closing,
                  uint8_t *buffer, size_t capacity, uint64_t *low_p,
                  uint64_t *stamp_p);

void
trn_engine_on_saved (trn_engine_t *self, trn_outbox_id_t outbox, uint64_t stamp,
                     int64_t now_ms);

//  Has this seq been settled?  Cumulative progress comes as TRN_DO_PROGRESS.
bool
trn_engine_settled (const trn_engine_t *self, trn_outbox_id_t outbox,
                    uint64_t seq);

//  Is that durable too?  Then no later life of this outbox sends it again.
bool
trn_engine_settled_for_good (const trn_engine_t *self, trn_outbox_id_t outbox,
                             uint64_t seq);

//  Is it settled, or on the disk of a consumer of each queue that it goes to?
bool
trn_engine_stored (const trn_engine_t *self, trn_outbox_id_t outbox,
                   uint64_t seq);

//  Does a consumer that is connected now tell what it has stored?
bool
trn_engine_stores (const trn_engine_t *self, trn_outbox_id_t outbox);

//  Rules and queues of an outbox ------------------------------------------
//
//  docs/QUEUES.md has the rules and their order.

//  What the engine has to know of a message that is not plain.  Times are wall
//  clock milliseconds of this publisher, see on_clock ().
typedef struct {
    uint64_t seq;
    uint64_t due_ms;      //  not before; 0 at once
    uint64_t expires_ms;  //  not after; 0 never
    uint64_t order;    //  hash of its ordering key, 0 none; two keys with one
                       //  hash only wait for each other
    uint8_t priority;  //  0..9
    const uint32_t
        *targets;         //  routed outbox: the queues it goes to, by number,
    size_t target_count;  //  ascending; elsewhere NULL: all of them
} trn_rule_t;

//  Before on_appended () covers its seq, in order of seqs; also, after
//  add_outbox (), for those unsettled messages of earlier lives that are ruled.
//  In a routed outbox every message is: one that is not said when a later one is
//  goes to no queue.  A queue takes no notice of what it was told before.
void
trn_engine_on_message (trn_engine_t *self, trn_outbox_id_t outbox,
                       const trn_rule_t *rule);

//  It is wall_ms now, at now_ms.  Before the first outbox, and every few
//  seconds.
void
trn_engine_on_clock (trn_engine_t *self, uint64_t wall_ms, int64_t now_ms);

//  As add_outbox (), for an exchange: it begins without a queue, or with those
//  that the state knows.  routed: messages go where their targets say, not to
//  all.
int
trn_engine_add_exchange (trn_engine_t *self, const char *name, bool routed,
                         uint64_t high, const trn_ranges_t *gaps, bool clean,
                         const uint8_t *state, size_t size,
                         trn_outbox_id_t *outbox_p);

//  One more queue of an exchange, from seq on; high + 1: only what is new.  Of
//  what it begins with in the past the shell says more by on_past ().  Known
//  already: its number.  Numbers are from 1 on and are never used again in this
//  outbox.  TERN_ETOOBIG: too many.
int
trn_engine_add_queue (trn_engine_t *self, trn_outbox_id_t outbox,
                      const char *queue, uint64_t from, uint32_t *number_p,
                      int64_t now_ms);

//  What a queue that was just added gets of the past.  Of a routed outbox the
//  targets of that time cannot name it: so the shell has chosen, and says in a
//  later life by on_message () that it is a target of what it chose now.
typedef struct {
    uint32_t number;          //  of the queue
    uint64_t to;              //  the past ends here; may lie behind high
    const trn_seqset_t *own;  //  what of it is for this queue; nothing else is
    const trn_rule_t *rules;  //  of that, what is ruled, in order; no targets
    size_t rule_count;
    bool withheld;  //  nothing is given out and no state knows the queue before
                    //  the shell has stored its choice, see on_past_kept ()
} trn_engine_past_t;

//  After add_queue () and before any action is taken.
void
trn_engine_on_past (trn_engine_t *self, trn_outbox_id_t outbox,
                    const trn_engine_past_t *past);

//  What was chosen is durable.  A queue that is gone is ignored.
void
trn_engine_on_past_kept (trn_engine_t *self, trn_outbox_id_t outbox,
                         uint32_t number, int64_t now_ms);

//  The first seq from here on that is in no gap.
uint64_t
trn_engine_after_gap (const trn_engine_t *self, trn_outbox_id_t outbox,
                      uint64_t seq);

//  Has the queue of this number settled all up to here, or has it gone, so that
//  a later life does not have to know what was chosen?
bool
trn_engine_past_over (const trn_engine_t *self, trn_outbox_id_t outbox,
                      uint32_t number, uint64_t to);

//  It is not bound any more: what waits for it is dropped, counted, reported.
void
trn_engine_remove_queue (trn_engine_t *self, trn_outbox_id_t outbox,
                         uint32_t number, int64_t now_ms);

//  Walk the queues of an outbox, index from 0: false behind the last.  The name
//  is borrowed until a queue is added or removed.
bool
trn_engine_queue_at (const trn_engine_t *self, trn_outbox_id_t outbox,
                     size_t index, const char **queue_p, uint32_t *number_p);

//  The rules of a queue (number 0: of all queues of the outbox, and those that
//  come later).  Saved with the state.
void
trn_engine_set_policy (trn_engine_t *self, trn_outbox_id_t outbox,
                       uint32_t number, const trn_policy_t *policy,
                       int64_t now_ms);

const trn_policy_t *
trn_engine_policy (const trn_engine_t *self, trn_outbox_id_t outbox,
                   uint32_t number);

//  The copy that DO_BURY asked for is synced as dead_seq in dead_outbox.  Say it
//  before on_appended () of that outbox covers dead_seq.  The message is settled
//  here; the copy is not delivered before a state that says so is durable.
//  After a restart, before any action is taken, the shell says this again for
//  every dead letter found whose first id is of this store; what is settled
//  already is no news.  dead_seq 0: the record is not there (any more): dropped,
//  counted.
void
trn_engine_on_buried (trn_engine_t *self, trn_outbox_id_t outbox,
                      uint32_t number, uint64_t seq,
                      trn_outbox_id_t dead_outbox, uint64_t dead_seq,
                      int64_t now_ms);

//  The copy could not be made now (disk full): DO_BURY comes again after a
//  pause.
void
trn_engine_on_bury_failed (trn_engine_t *self, trn_outbox_id_t outbox,
                           uint32_t number, uint64_t seq, int64_t now_ms);

//  Drop everything that waits for a queue (number 0: for all), not what is with
//  consumers, and not what is dead.  Returns how many.
uint64_t
trn_engine_purge (trn_engine_t *self, trn_outbox_id_t outbox, uint32_t number,
                  int64_t now_ms);

//  Ruled messages that are kept, each once for every queue that it waits for, and
//  how many queues that are.  Beyond TRN_RULED_MAX, or a lower limit, the shell
//  takes no more of them.
uint64_t
trn_engine_ruled (const trn_engine_t *self, trn_outbox_id_t outbox,
                  uint32_t *queues_p);

//  Drop so many of them that nobody holds, the oldest of the queue that has most
//  first.  Returns how many, which may be less.
uint64_t
trn_engine_drop_ruled (trn_engine_t *self, trn_outbox_id_t outbox,
                       uint64_t count, int64_t now_ms);

//  Numbers that the application gave (idempotent publishing): the highest one
//  in this outbox, saved with the state.
void
trn_engine_on_number (trn_engine_t *self, trn_outbox_id_t outbox,
                      uint64_t number);

uint64_t
trn_engine_number (const trn_engine_t *self, trn_outbox_id_t outbox);

//  Consumers -------------------------------------------------------------

//  Consume a queue: at most prefetch messages and about bytes record bytes are
//  held here unsettled, over all publishers.
trn_consumer_id_t
trn_engine_add_consumer (trn_engine_t *self, const char *queue,
                         uint32_t prefetch, uint32_t bytes, int64_t now_ms);

//  Everything it holds unsettled goes back to the publishers at once.  What was
//  never given to the application the shell gives back as RELEASED before this
//  call; the rest counts as a delivery.
void
trn_engine_remove_consumer (trn_engine_t *self, trn_consumer_id_t consumer,
                            int64_t now_ms);

//  No more messages for this consumer, until it is said again with false.  Some
//  may be on their way: the shell gives them back as RELEASED.
void
trn_engine_pause_consumer (trn_engine_t *self, trn_consumer_id_t consumer,
                           bool paused, int64_t now_ms);

//  It holds more, or less, from now on.
void
trn_engine_resize_consumer (trn_engine_t *self, trn_consumer_id_t consumer,
                            uint32_t prefetch, uint32_t bytes, int64_t now_ms);

//  This consumer keeps what it is given on its own disk, and will say
//  on_stored ().  Before the shell announces the queue.
void
trn_engine_keep_consumer (trn_engine_t *self, trn_consumer_id_t consumer);

//  from..to of a delivery are durable here.  They stay in hand; a report to the
//  publisher, if it wants any, and nothing else.
void
trn_engine_on_stored (trn_engine_t *self, trn_consumer_id_t consumer,
                      uint32_t flow, uint64_t from, uint64_t to,
                      int64_t now_ms);

//  Is this one in the consumer's hand, under a lease that can be answered?
bool
trn_engine_leased (const trn_engine_t *self, trn_consumer_id_t consumer,
                   uint32_t flow, uint64_t seq);

//  The application (or the shell, for RELEASED) settled from..to of a delivery.
//  Unknown or already settled numbers are ignored and counted.
void
trn_engine_on_settle (trn_engine_t *self, trn_consumer_id_t consumer,
                      uint32_t flow, uint64_t from, uint64_t to,
                      trn_outcome_t outcome, int64_t now_ms);

//  Links -----------------------------------------------------------------

//  The directory's view: a peer consumes these queues at this endpoint now; an
//  older incarnation of the same name is replaced.  queues are borrowed.
void
trn_engine_on_peer (trn_engine_t *self, const char *name, uint64_t incarnation,
                    const char *endpoint, const char *const *queues,
                    size_t queue_count, int64_t now_ms);

//  The directory says this peer is gone (lease over or goodbye).  A live link
//  is kept until it fails by itself: a directory may be wrong.
void
trn_engine_on_peer_gone (trn_engine_t *self, const char *name, int64_t now_ms);

//  A frame from a consumer, over the DEALER of this link.  frame is decoded.
//  Frames and disconnects of a link that the engine has given up are ignored.
void
trn_engine_on_frame (trn_engine_t *self, trn_link_id_t link,
                     const trn_frame_t *frame, int64_t now_ms);

//  The same for an ANSWER with its record, which the shell has verified, see
//  answering ().  Drain before the next one, as TRN_DO_ANSWERED speaks of it.
void
trn_engine_on_answered (trn_engine_t *self, trn_link_id_t link,
                        const trn_frame_t *frame, uint32_t answer_size,
                        int64_t now_ms);

//  The shell could not connect, or found the socket dead.
void
trn_engine_on_disconnected (trn_engine_t *self, trn_link_id_t link,
                            int64_t now_ms);

//  A frame from a publisher, over the ROUTER.  For DATA, the shell has already
//  verified every record of the run against store uuid, outbox, segment and
//  offset (see inbound_flow ()), and seqs first_seq..+count-1 are in order.
void
trn_engine_on_inbound (trn_engine_t *self, trn_route_t route,
                       const trn_frame_t *frame, uint32_t run_size,
                       int64_t now_ms);

//  A reply could not be sent: that connection is over.
void
trn_engine_on_route_lost (trn_engine_t *self, trn_route_t route,
                          int64_t now_ms);

//  What the shell needs to verify a DATA frame: false (drop it) if route,
//  connection or flow are unknown.  Pointers borrowed until the next call.
bool
trn_engine_inbound_flow (const trn_engine_t *self, trn_route_t route,
                         uint64_t connection, uint32_t flow,
                         const uint8_t **store_uuid_p, const char **outbox_p,
                         const char **peer_p);

//  A frame that did not decode, or a run that failed its checksums.  Counted;
//  reported at a bounded rate; a bad run ends that link.  For garbage from a
//  consumer over a DEALER say route 0: counted and reported only.
void
trn_engine_on_garbage (trn_engine_t *self, trn_route_t route, bool run,
                       int64_t now_ms);

//  Stop: settle what was said, BYE on every link; the far sides take back what
//  is held here.  Later events are ignored.
void
trn_engine_on_close (trn_engine_t *self, int64_t now_ms);

//  Calls -----------------------------------------------------------------
//
//  A call is a request that is not stored.  It goes to one of the peers that
//  serve its service; if that one is gone before an answer, to another.

//  This service will be called: links to its servers are kept open from now on.
//  Counted.  TERN_ETOOBIG: too many.
int
trn_engine_add_need (trn_engine_t *self, const char *service, int64_t now_ms);

//  Its calls are over or abandoned.
void
trn_engine_remove_need (trn_engine_t *self, const char *service,
                        int64_t now_ms);

typedef struct {
    uint64_t number;          //  the shell's, 1..TRN_SEQ_MAX, never used again
    uint64_t answers, bytes;  //  room, at least 1
    int64_t due_ms;           //  INT64_MAX: none
    bool once;                //  one server at most may see it
} trn_call_terms_t;

//  The service is one that is needed.
void
trn_engine_on_call (trn_engine_t *self, const char *service,
                    const trn_call_terms_t *terms, int64_t now_ms);

//  The application took answers: room for so many, absolute.
void
trn_engine_on_take (trn_engine_t *self, uint64_t number, uint64_t answers,
                    uint64_t bytes, int64_t now_ms);

//  Nobody waits for it; no CALL_OVER follows.
void
trn_engine_on_abandon (trn_engine_t *self, uint64_t number, int64_t now_ms);

//  What the shell needs to verify an ANSWER: false (give it to on_answered ()
//  as it is, to be counted) if nobody waits for it here.
bool
trn_engine_answering (const trn_engine_t *self, trn_link_id_t link,
                      uint64_t connection, uint64_t number,
                      const uint8_t **store_uuid_p, const char **service_p,
                      const char **peer_p);

//  The record of an ANSWER failed its sum: that link is over.
void
trn_engine_on_damage (trn_engine_t *self, trn_link_id_t link, int64_t now_ms);

//  Serve: at most so many calls, and about so many record bytes, are in hand.
uint32_t
trn_engine_add_service (trn_engine_t *self, const char *name, uint32_t calls,
                        uint64_t bytes, int64_t now_ms);

//  The requesters of what is in hand are told to ask others.
void
trn_engine_remove_service (trn_engine_t *self, uint32_t service,
                           int64_t now_ms);

//  What the shell needs to verify the record of a CALL, as inbound_flow ().
bool
trn_engine_calling (const trn_engine_t *self, trn_route_t route,
                    uint64_t connection, uint32_t seat,
                    const uint8_t **store_uuid_p, const char **service_p,
                    const char **peer_p);

//  An answer of size bytes, within the task's room; drain before the next event,
//  as TRN_DO_ANSWER speaks of it.  The task is over with the last one.
void
trn_engine_on_answer (trn_engine_t *self, uint64_t task, uint32_t size,
                      bool last, int64_t now_ms);

//  The task is over without (more) answers: failed in these words, or with
//  another reason.  Of a task that is gone: it is out of hand.
void
trn_engine_on_task_over (trn_engine_t *self, uint64_t task,
                         trn_failure_t reason, const char *words,
                         int64_t now_ms);

//  Counters for stats (totals since the start).
typedef struct {
    uint64_t transmitted;  //  Q: records sent
    uint64_t consumed;     //  C: records settled as accepted
    uint64_t redelivered;
    uint64_t requeued, rejected, released;  //  settle answers
    uint64_t stale;                         //  refused: that lease is over
    uint64_t dropped;    //  by the outbox's limit, or found missing
    uint64_t expired;    //  of these dropped: their time was over
    uint64_t dead;       //  dead-lettered
    uint64_t delayed;    //  of waiting: not ready before some time
    uint64_t waiting;    //  not assigned yet
    uint64_t in_flight;  //  assigned, not settled
    uint64_t parked;     //  dead, kept until the dead letters have them
    uint64_t ruled;      //  unsettled and not plain; of all queues
    uint64_t low;        //  first seq not settled
    uint64_t processed;  //  low - 1
    uint32_t consumers;  //  flows open now
} trn_engine_outbox_stats_t;

void
trn_engine_outbox_stats (const trn_engine_t *self, trn_outbox_id_t outbox,
                         trn_engine_outbox_stats_t *stats);

//  T_delay: called for each settled lease with the wall stamp of its first
//  record and the number of messages; the shell owns the clock.
typedef void
trn_engine_delay_fn (void *arg, trn_outbox_id_t outbox, uint64_t stamp_us,
                     uint64_t count);

void
trn_engine_on_delay (trn_engine_t *self, trn_engine_delay_fn *fn, void *arg);

typedef struct {
    uint32_t links, links_open;
    uint32_t routes;
    uint64_t received;    //  records taken in
    uint64_t delivered;   //  of these, given to consumers
    uint64_t duplicates;  //  of these, dropped because settled here before
    uint64_t unknown;     //  settled by the application, but not in its hands
    uint64_t garbage;     //  frames and runs dropped as nonsense
    uint64_t late;        //  frames of an old connection
    uint64_t calls;       //  sent, again included
    uint64_t calls_repeated;  //  of these, to another server
    uint64_t answers;         //  taken in
    uint64_t answers_late;    //  dropped: nobody waited any more
    uint64_t served;          //  calls taken in
    uint64_t served_busy;     //  calls sent away: no room, or not served
    uint32_t calls_open;      //  now
    uint32_t tasks_open;      //  now
} trn_engine_stats_t;

void
trn_engine_stats (const trn_engine_t *self, trn_engine_stats_t *stats);

#endif
