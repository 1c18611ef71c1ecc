//  peer/actor.c - the peer's own thread: events in, actions out
//
//  Knows: the order of one turn.  Work that came in is noted to the engine,
//  its decisions are carried out, and only then may the thread sleep.  It never
//  waits for the disk, and for nobody's lock longer than a pointer takes.
//
//  Engine and sockets belong to whoever holds the turn.  That is the actor while
//  it is awake.  While it sleeps, others may take the turn: a publisher, to send
//  a message that has none before it; a consumer that waits, to receive its
//  message; and again, to send its settlement.  Each is one thread to wake less
//  on the way of a single message.  Such a turn does a part of the whole, and
//  what it leaves behind wakes the actor.  libzmq allows a socket to change
//  threads under a full fence, which the turn's mutex is.
//
//      turn:  commands · grown boxes · disk news · settlements · timers
//             drain actions · announce sleep, look again · poll · frames
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/actor.h"
#include "peer/inbox.h"

#include "io/clock.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>

//  The turn ----------------------------------------------------------------

//  The peer whose turn this thread has in place of its actor.
static _Thread_local const tern_peer_t *s_turn_of;

//  The settled have moved on since the last turn: tell those who wait.
static void
s_tell_progress (tern_peer_t *self)
{
    pthread_mutex_lock (&self->lock);
    pthread_cond_broadcast (&self->changed);
    pthread_mutex_unlock (&self->lock);
}

//  Told after the turn: who waits will likely send next, and finds it free.
static void
s_leave_turn (tern_peer_t *self)
{
    const bool progressed = self->progressed;
    self->progressed = false;
    pthread_mutex_unlock (&self->turn);
    if (progressed) {
        s_tell_progress (self);
    }
}

//  Commands ----------------------------------------------------------------

struct trn_command {
    trn_command_t *next;
    trn_command_fn *fn;
    void *arg;
    bool done;
};

void
trn_actor_call (tern_peer_t *self, trn_command_fn *fn, void *arg)
{
    if (!self->running || s_turn_of == self
        || pthread_equal (pthread_self (), self->thread)) {
        fn (self, arg);
        return;
    }
    trn_command_t command = {.fn = fn, .arg = arg};
    pthread_mutex_lock (&self->lock);
    *self->commands_tail = &command;
    // cppcheck-suppress autoVariables ; ours until done is set
    self->commands_tail = &command.next;
    trn_wake_up (&self->wake);
    while (!command.done) {
        pthread_cond_wait (&self->changed, &self->lock);
    }
    pthread_mutex_unlock (&self->lock);
}

static void
s_announce (tern_peer_t *self)
{
    if (self->queues_changed) {
        self->queues_changed = false;
        trn_nodes_announce (self, trn_clock_ms ());
    }
}

//  Run what is queued; it counts as done when its actions are carried out.
static void
s_run_commands (tern_peer_t *self)
{
    pthread_mutex_lock (&self->lock);
    trn_command_t *commands = self->commands;
    self->commands = NULL;
    self->commands_tail = &self->commands;
    pthread_mutex_unlock (&self->lock);
    if (!commands) {
        return;
    }
    for (trn_command_t *at = commands; at; at = at->next) {
        at->fn (self, at->arg);
    }
    s_announce (self);
    trn_actor_drain (self);
    pthread_mutex_lock (&self->lock);
    while (commands) {
        //  The caller's stack may be gone once done is set.
        trn_command_t *next = commands->next;
        commands->done = true;
        commands = next;
    }
    pthread_cond_broadcast (&self->changed);
    pthread_mutex_unlock (&self->lock);
}

//  Actions -----------------------------------------------------------------

static void
s_progress (tern_peer_t *self, const trn_action_t *action)
{
    trn_box_t *box = self->boxes[action->outbox - 1];
    atomic_store (&box->processed, action->processed);
    atomic_store (&box->stored, action->stored);
    trn_outbox_settled (box->outbox, action->processed + 1, action->ahead);
    trn_room_look (box);
    if (box->inbox) {
        trn_inbox_progress (box->inbox);
    }
    if (atomic_load (&box->waiters)) {
        self->progressed = true;
    }
}

static void
s_act (tern_peer_t *self)
{
    const trn_action_t *action;
    while ((action = trn_engine_action (self->engine)) != NULL) {
        switch (action->type) {
        case TRN_DO_CONNECT:
            trn_outlink_connect (self, action->link, action->endpoint);
            break;
        case TRN_DO_DISCONNECT:
            trn_outlink_disconnect (self, action->link);
            break;
        case TRN_DO_SEND:
            trn_outlink_send (self, action->link, &action->frame, NULL);
            break;
        case TRN_DO_SEND_RUN:
            trn_outlink_send (self, action->link, &action->frame, &action->run);
            break;
        case TRN_DO_REPLY:
            trn_inbound_reply (self, action->route, &action->frame);
            break;
        case TRN_DO_DROP_ROUTE:
            break;  //  the engine ignores what it still says
        case TRN_DO_DELIVER:
            if (!trn_inbox_deliver (self, action)) {
                trn_consumer_deliver (self, action);
            }
            break;
        case TRN_DO_CALL:
        case TRN_DO_ANSWERED:
        case TRN_DO_CALL_OVER: trn_requester_do (self, action); break;
        case TRN_DO_SERVE:
        case TRN_DO_TASK_ROOM:
        case TRN_DO_TASK_GONE:
        case TRN_DO_ANSWER: trn_service_do (self, action); break;
        case TRN_DO_SAVE:
            trn_box_save (self->boxes[action->outbox - 1], false);
            break;
        case TRN_DO_PROGRESS: s_progress (self, action); break;
        case TRN_DO_BURY: trn_box_bury (self, action); break;
        case TRN_DO_REPORT:
            trn_events_add (&self->events, action->report.id,
                            (tern_log_level_t) action->report.level,
                            action->report.text);
            break;
        default: assert (false);
        }
    }
}

void
trn_actor_drain (tern_peer_t *self)
{
    s_act (self);
    while (self->crowded && trn_crowd_look (self)) {
        s_act (self);
    }
}

//  The loop ----------------------------------------------------------------

static void
s_on_item (tern_peer_t *self, trn_poll_item_t *item)
{
    switch (item->kind) {
    case TRN_ITEM_WAKE: trn_wake_clear (&self->wake); break;
    case TRN_ITEM_ROUTER: trn_inbound_ready (self, TRN_ITEM_BURST); break;
    case TRN_ITEM_LINK: trn_outlink_ready (self, item->owner); break;
    case TRN_ITEM_LINK_MONITOR:
        trn_outlink_monitored (self, item->owner);
        break;
    case TRN_ITEM_NODE: trn_node_ready (self, item->owner); break;
    case TRN_ITEM_NODE_MONITOR: trn_node_monitored (self, item->owner); break;
    default: assert (false);
    }
}

static bool
s_has_work (tern_peer_t *self)
{
    pthread_mutex_lock (&self->lock);
    const bool commands = self->commands != NULL;
    pthread_mutex_unlock (&self->lock);
    return commands || atomic_load (&self->dirty)
           || atomic_load (&self->settled) || atomic_load (&self->urgent)
           || atomic_load (&self->ops) || atomic_load (&self->disk_news);
}

static int64_t
s_deadline (const tern_peer_t *self)
{
    int64_t at = trn_engine_deadline (self->engine);
    const int64_t others[3]
        = {trn_roster_deadline (self->roster), self->watch_at, self->sample_at};
    for (size_t index = 0; index < 3; index++) {
        at = others[index] < at ? others[index] : at;
    }
    return at;
}

static int
s_timeout (const tern_peer_t *self, int64_t now_ms)
{
    const int64_t at = s_deadline (self);
    if (at <= now_ms) {
        return 0;
    }
    return at - now_ms < 60000 ? (int) (at - now_ms) : 60000;
}

static void
s_on_timers (tern_peer_t *self, int64_t now_ms)
{
    if (now_ms >= trn_engine_deadline (self->engine)) {
        trn_engine_on_tick (self->engine, now_ms);
    }
    if (now_ms >= trn_roster_deadline (self->roster)) {
        trn_roster_on_tick (self->roster, now_ms);
    }
    if (now_ms >= self->sample_at) {
        trn_engine_on_clock (self->engine, trn_clock_wall_us () / 1000, now_ms);
        trn_stats_sample (self, now_ms);
        trn_box_read_again (self, now_ms);
        trn_nodes_note (self, now_ms, false);
    }
}

//  Sleep without the turn, so that others can take it.
static void
s_sleep (tern_peer_t *self, int timeout_ms, int64_t now_ms)
{
    self->sleeps_until = now_ms + timeout_ms;
    s_leave_turn (self);
    trn_poller_sleep (self->poller, timeout_ms);
    pthread_mutex_lock (&self->turn);
}

//  In place of the actor --------------------------------------------------

static bool
s_take_turn (tern_peer_t *self)
{
    //  The actor may have woken and slept since, or be waiting for the turn:
    //  both is well.
    if (!atomic_load_explicit (&self->wake.sleeping, memory_order_relaxed)
        || pthread_mutex_trylock (&self->turn) != 0) {
        return false;
    }
    s_turn_of = self;
    return true;
}

//  The actor sleeps, so what is left behind must wake it: something has come in
//  while our use of the sockets swallowed that news, or a timer is due earlier
//  than it sleeps.
static void
s_give_turn_back (tern_peer_t *self)
{
    trn_actor_drain (self);
    const bool left = trn_poller_pending (self->poller)
                      || s_deadline (self) < self->sleeps_until;
    s_turn_of = NULL;
    s_leave_turn (self);
    if (left) {
        trn_wake_up (&self->wake);
    }
}

bool
trn_actor_help (tern_peer_t *self)
{
    if (!s_take_turn (self)) {
        return false;
    }
    trn_box_collect (self);
    trn_consumer_collect (self, trn_clock_ms (), false);
    trn_op_collect (self);
    s_give_turn_back (self);
    return true;
}

bool
trn_actor_receive (tern_peer_t *self)
{
    if (!s_take_turn (self)) {
        return false;
    }
    trn_inbound_ready (self, 1);
    s_give_turn_back (self);
    return true;
}

static void *
s_run (void *arg)
{
    tern_peer_t *self = arg;
    pthread_mutex_lock (&self->turn);
    while (!self->stopping) {
        s_run_commands (self);
        trn_box_collect (self);
        trn_box_disk_news (self);
        s_announce (self);
        trn_box_look_back (self);
        const int64_t now = trn_clock_ms ();
        trn_consumer_collect (self, now, false);
        trn_op_collect (self);
        s_on_timers (self, now);
        trn_actor_drain (self);
        trn_nodes_drain (self, now);
        if (self->stopping) {
            break;
        }
        int timeout = 0;
        if (!trn_poller_busy (self->poller)) {
            trn_wake_announce (&self->wake);
            if (s_has_work (self)) {
                trn_wake_cancel (&self->wake);
            } else {
                timeout = s_timeout (self, now);
            }
        }
        if (timeout > 0) {
            s_sleep (self, timeout, now);
        } else if (self->progressed) {
            self->progressed = false;
            s_tell_progress (self);
        }
        trn_poller_wait (self->poller, 0);
        trn_wake_cancel (&self->wake);
        trn_poll_item_t *item;
        while ((item = trn_poller_next (self->poller)) != NULL) {
            s_on_item (self, item);
        }
    }
    s_leave_turn (self);
    return NULL;
}

int
trn_actor_start (tern_peer_t *self)
{
    //  The thread takes no signals: they are the application's.
    sigset_t all;
    sigset_t old;
    sigfillset (&all);
    pthread_sigmask (SIG_SETMASK, &all, &old);
    self->running = true;
    const int rc = pthread_create (&self->thread, NULL, s_run, self);
    pthread_sigmask (SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        self->running = false;
        return TERN_ENET;
    }
    return TERN_OK;
}

static void
s_stop (tern_peer_t *self, void *arg)
{
    (void) arg;
    const int64_t now = trn_clock_ms ();
    trn_consumer_collect (self, now, true);
    trn_box_collect (self);
    trn_engine_on_close (self->engine, now);
    self->stopping = true;
    trn_actor_drain (self);
    for (uint32_t index = 0; index < self->box_count; index++) {
        trn_box_save (self->boxes[index], true);
    }
    trn_nodes_note (self, now, true);
    trn_roster_on_close (self->roster, now);
    trn_nodes_drain (self, now);
}

void
trn_actor_stop (tern_peer_t *self)
{
    if (self->running) {
        trn_actor_call (self, s_stop, NULL);
        pthread_join (self->thread, NULL);
        self->running = false;
    }
}
