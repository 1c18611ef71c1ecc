//  peer/crowd.c - how many messages with rules an outbox may hold
//
//  Knows: that a plain message takes no memory while it waits, and one with a
//  priority, a time or an ordering key does, once for each queue that it waits
//  for (core/ruled.h).  So their number has a limit of its own, at which happens
//  what at_limit says.
//
//  The number is counted up by those who send and never down: whoever finds no
//  room asks the actor to count anew.  So it costs a send nothing to be far from
//  the limit, and what is refused is refused rightly.
//
//      publisher   no room · press ──▶ actor: count · room? · drop, refuse or
//                  sleeps ◀── settled: count · room ◀──────── note who waits
//
//  What is on the disk is never refused: an outbox opens with more than its limit
//  and takes none until it is below.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/inbox.h"

#include "io/clock.h"

#include <assert.h>

//  With drop_oldest such a part of the limit goes at once.
#define DROP_PART 1024

uint32_t
trn_crowd_weight (const trn_box_t *box, const trn_rule_t *rule)
{
    assert (box && rule);
    if (!rule->due_ms && !rule->expires_ms && !rule->order && !rule->priority) {
        return 0;
    }
    return !box->exchange  ? 1
           : rule->targets ? (uint32_t) rule->target_count
                           : (uint32_t) atomic_load_explicit (
                               &box->queues, memory_order_relaxed);
}

//  One that is kept more often than there may be at all waits until it is alone.
bool
trn_crowd_has_room (const trn_box_t *box, uint32_t weight)
{
    assert (box);
    const uint64_t count = atomic_load (&box->ruled_count);
    return !weight || !count || count + weight <= box->limit_ruled;
}

//  Actor: those that the engine has, and those that it has not heard of.
static bool
s_count (trn_box_t *box, uint32_t weight)
{
    uint32_t queues = 0;
    const uint64_t told
        = trn_engine_ruled (box->peer->engine, box->id, &queues);
    atomic_store (&box->queues, queues);
    pthread_mutex_lock (&box->ruling);
    atomic_store (&box->ruled_count, told + box->ruled_untold);
    pthread_mutex_unlock (&box->ruling);
    return trn_crowd_has_room (box, weight);
}

//  Actor: somebody waits for so much.
static void
s_note (trn_box_t *box, uint32_t weight)
{
    if (!box->crowded) {
        box->peer->crowded++;
        box->crowded = weight;
    } else if (weight < box->crowded) {
        box->crowded = weight;
    }
}

bool
trn_crowd_recount (trn_box_t *box, uint32_t weight)
{
    assert (box);
    if (s_count (box, weight)) {
        return true;
    }
    s_note (box, weight);
    return false;
}

//  Waiting -----------------------------------------------------------------

typedef struct {
    trn_box_t *box;
    uint32_t weight;
    int result;
} s_pressing_t;

static bool
s_drop_oldest (trn_box_t *box, uint32_t weight, int64_t now_ms)
{
    const uint64_t part = box->limit_ruled / DROP_PART;
    trn_engine_drop_ruled (box->peer->engine, box->id,
                           part > weight ? part : weight, now_ms);
    return s_count (box, weight);
}

static void
s_press (tern_peer_t *peer, void *arg)
{
    s_pressing_t *pressing = arg;
    trn_box_t *box = pressing->box;
    const int64_t now = trn_clock_ms ();
    (void) peer;
    trn_box_appended (box, trn_ruled_collect (box), now);
    pressing->result = TERN_OK;
    if (s_count (box, pressing->weight)) {
        return;
    }
    if (box->at_limit == TRN_AT_LIMIT_REFUSE) {
        pressing->result = TERN_EFULL;
    } else if (box->at_limit == TRN_AT_LIMIT_BLOCK
               || !s_drop_oldest (box, pressing->weight, now)) {
        //  What consumers hold is not dropped.
        s_note (box, pressing->weight);
        pressing->result = TERN_EAGAIN;
    }
}

int
trn_crowd_wait (trn_box_t *box, uint32_t weight, int timeout_ms)
{
    assert (box);
    tern_peer_t *peer = box->peer;
    const struct timespec until
        = trn_clock_after (timeout_ms < 0 ? 0 : timeout_ms);
    s_pressing_t pressing = {box, weight, TERN_OK};
    trn_actor_call (peer, s_press, &pressing);
    if (pressing.result != TERN_EAGAIN) {
        return pressing.result;
    }
    bool room = false;
    bool time_left = timeout_ms != 0;
    pthread_mutex_lock (&peer->lock);
    //  The actor counts first and then takes this lock to tell.
    while (!(room = trn_crowd_has_room (box, weight)) && time_left
           && !atomic_load (&peer->drains)) {
        time_left = timeout_ms < 0
                        ? !pthread_cond_wait (&peer->changed, &peer->lock)
                        : !pthread_cond_timedwait (&peer->changed, &peer->lock,
                                                   &until);
    }
    pthread_mutex_unlock (&peer->lock);
    return room                          ? TERN_OK
           : atomic_load (&peer->drains) ? TERN_ECLOSED
                                         : TERN_ETIMEOUT;
}

bool
trn_crowd_look (tern_peer_t *peer)
{
    assert (peer);
    bool found = false;
    for (uint32_t index = 0; peer->crowded && index < peer->box_count;
         index++) {
        trn_box_t *box = peer->boxes[index];
        if (!box->crowded || !s_count (box, box->crowded)) {
            continue;
        }
        box->crowded = 0;
        peer->crowded--;
        peer->progressed = true;
        found = true;
        trn_room_look (box);
        if (box->inbox) {
            trn_inbox_look (box->inbox);
        }
    }
    return found;
}
