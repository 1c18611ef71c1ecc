//  peer/outlink.c - the socket of one outgoing link
//
//  Knows: one DEALER per connection, never reused; runs leave from the log's
//  memory without a copy.  What the socket does not take yet (not connected,
//  or full) waits here in order; credit bounds how much that can be.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/peer.h"

#include "base/memory.h"
#include "io/clock.h"
#include "io/socket.h"
#include "peer/actor.h"
#include "peer/call.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

//  Below this size a copy is cheaper than a reference and pins no chunk.
#define COPY_BELOW 1024

//  So many frames are still heard from a connection that has ended.
#define LAST_WORDS_MAX 4096

//  A frame that waits for room.
typedef struct trn_unsent {
    struct trn_unsent *next;
    zmq_msg_t run;
    bool has_run;
    size_t size;
    uint8_t bytes[];
} s_unsent_t;

static trn_outlink_t **
s_find (tern_peer_t *self, trn_link_id_t id)
{
    trn_outlink_t **link = &self->links[id % TRN_LINK_BUCKETS];
    while (*link && (*link)->id != id) {
        link = &(*link)->next;
    }
    return link;
}

static void
s_free (tern_peer_t *self, trn_outlink_t **link_p)
{
    trn_outlink_t *link = *link_p;
    *link_p = link->next;
    if (link->monitor) {
        trn_poller_remove (self->poller, &link->monitor_item);
        trn_socket_unmonitor (link->dealer, &link->monitor);
    }
    if (link->dealer) {
        trn_poller_remove (self->poller, &link->item);
        trn_socket_close (&link->dealer);
    }
    while (link->unsent) {
        s_unsent_t *unsent = link->unsent;
        link->unsent = unsent->next;
        if (unsent->has_run) {
            zmq_msg_close (&unsent->run);
        }
        free (unsent);
    }
    free (link);
}

void
trn_outlink_connect (tern_peer_t *self, trn_link_id_t id, const char *endpoint)
{
    trn_outlink_t **slot = s_find (self, id);
    if (*slot) {
        s_free (self, slot);
    }
    trn_outlink_t *link = trn_alloc (sizeof *link);
    link->id = id;
    link->unsent_tail = &link->unsent;
    slot = s_find (self, id);
    link->next = *slot;
    *slot = link;

    link->dealer
        = trn_socket_dealer (self->context, endpoint, TRN_FRAME_MAX, false);
    if (link->dealer) {
        link->item.socket = link->dealer;
        link->item.kind = TRN_ITEM_LINK;
        link->item.owner = link;
        if (trn_poller_add (self->poller, &link->item) != TERN_OK) {
            trn_socket_close (&link->dealer);
        }
    }
    if (link->dealer) {
        link->monitor = trn_socket_monitor (self->context, link->dealer);
    }
    if (link->monitor) {
        link->monitor_item.socket = link->monitor;
        link->monitor_item.kind = TRN_ITEM_LINK_MONITOR;
        link->monitor_item.owner = link;
        if (trn_poller_add (self->poller, &link->monitor_item) != TERN_OK) {
            trn_socket_unmonitor (link->dealer, &link->monitor);
        }
    }
    if (!link->dealer) {
        trn_engine_on_disconnected (self->engine, id, trn_clock_ms ());
    }
}

void
trn_outlink_disconnect (tern_peer_t *self, trn_link_id_t id)
{
    trn_outlink_t **slot = s_find (self, id);
    if (*slot) {
        if (self->stopping && (*slot)->dealer) {
            trn_socket_linger ((*slot)->dealer);
        }
        s_free (self, slot);
    }
}

void
trn_outlink_close_all (tern_peer_t *self)
{
    for (size_t bucket = 0; bucket < TRN_LINK_BUCKETS; bucket++) {
        while (self->links[bucket]) {
            if (self->links[bucket]->dealer) {
                trn_socket_linger (self->links[bucket]->dealer);
            }
            s_free (self, &self->links[bucket]);
        }
    }
}

static void
s_release_chunk (void *data, void *hint)
{
    (void) data;
    trn_chunk_t *chunk = hint;
    trn_chunk_release (&chunk);
}

//  The run's bytes as a message, with the run's reference inside.
static void
s_wrap_run (zmq_msg_t *msg, const trn_engine_run_t *run)
{
    trn_chunk_t *chunk = run->handle;
    uint8_t *data = chunk->data + ((int64_t) run->offset - chunk->offset);
    if (run->size < COPY_BELOW) {
        zmq_msg_init_size (msg, run->size);
        memcpy (zmq_msg_data (msg), data, run->size);
        trn_chunk_release (&chunk);
    } else {
        const int rc
            = zmq_msg_init_data (msg, data, run->size, s_release_chunk, chunk);
        assert (rc == 0);  //  no memory is the only failure
        (void) rc;
    }
}

//  0, TERN_EAGAIN with nothing sent, or another failure with the run closed.
static int
s_put (trn_outlink_t *link, const uint8_t *bytes, size_t size, zmq_msg_t *run)
{
    int rc = trn_socket_send (link->dealer, bytes, size, run != NULL);
    if (rc == TERN_EAGAIN) {
        return rc;
    }
    if (rc == TERN_OK && run) {
        //  A message whose first part was taken has room for the rest.
        rc = trn_socket_send_msg (link->dealer, run, false);
        rc = rc == TERN_OK ? TERN_OK : TERN_ENET;
    }
    if (rc != TERN_OK && run) {
        zmq_msg_close (run);
    }
    return rc;
}

static void
s_keep_unsent (trn_outlink_t *link, const uint8_t *bytes, size_t size,
               zmq_msg_t *run)
{
    s_unsent_t *unsent = trn_alloc (sizeof *unsent + size);
    unsent->size = size;
    memcpy (unsent->bytes, bytes, size);
    if (run) {
        unsent->has_run = true;
        zmq_msg_init (&unsent->run);
        zmq_msg_move (&unsent->run, run);
        zmq_msg_close (run);
    }
    *link->unsent_tail = unsent;
    link->unsent_tail = &unsent->next;
    link->item.want_out = true;
}

//  With a second part, which is taken over.
static void
s_send (tern_peer_t *self, trn_outlink_t *link, const trn_frame_t *frame,
        zmq_msg_t *part)
{
    uint8_t bytes[TRN_CONTROL_MAX];
    const size_t size = trn_frame_encode (frame, bytes, sizeof bytes);
    int rc = TERN_EAGAIN;
    if (!link->unsent) {
        rc = s_put (link, bytes, size, part);
    }
    if (rc == TERN_EAGAIN) {
        s_keep_unsent (link, bytes, size, part);
    } else if (rc != TERN_OK) {
        trn_engine_on_disconnected (self->engine, link->id, trn_clock_ms ());
    }
    trn_poller_touch (self->poller, &link->item);
}

void
trn_outlink_send (tern_peer_t *self, trn_link_id_t id, const trn_frame_t *frame,
                  const trn_engine_run_t *run)
{
    trn_outlink_t *link = *s_find (self, id);
    if (!link || !link->dealer) {
        if (run) {
            trn_box_release_run (self, run->handle);
        }
        return;
    }
    zmq_msg_t msg;
    if (run) {
        s_wrap_run (&msg, run);
    }
    s_send (self, link, frame, run ? &msg : NULL);
}

void
trn_outlink_send_part (tern_peer_t *self, trn_link_id_t id,
                       const trn_frame_t *frame, zmq_msg_t *record)
{
    trn_outlink_t *link = *s_find (self, id);
    if (link && link->dealer) {
        zmq_msg_t shared;
        zmq_msg_init (&shared);
        zmq_msg_copy (&shared, record);
        s_send (self, link, frame, &shared);
    }
}

//  What waited goes first, in order.
static int
s_send_unsent (trn_outlink_t *link)
{
    while (link->unsent) {
        s_unsent_t *unsent = link->unsent;
        const int rc = s_put (link, unsent->bytes, unsent->size,
                              unsent->has_run ? &unsent->run : NULL);
        if (rc == TERN_EAGAIN) {
            return TERN_OK;
        }
        link->unsent = unsent->next;
        if (!link->unsent) {
            link->unsent_tail = &link->unsent;
        }
        free (unsent);
        if (rc != TERN_OK) {
            return rc;
        }
    }
    link->item.want_out = false;
    return TERN_OK;
}

//  An answer is checked as a run is, see inbound.c.  False: the link is over.
static bool
s_on_answer (tern_peer_t *self, const trn_outlink_t *link,
             const trn_frame_t *frame, zmq_msg_t *record, int64_t now)
{
    const trn_link_id_t id = link->id;
    const uint8_t *store_uuid = NULL;
    const char *service = NULL;
    const char *server = NULL;
    const size_t size = zmq_msg_size (record);
    if (trn_engine_answering (self->engine, id, frame->connection,
                              frame->answer.call, &store_uuid, &service,
                              &server)) {
        if (!trn_call_verify (store_uuid, service, frame->answer.number,
                              record)) {
            trn_engine_on_damage (self->engine, id, now);
            trn_actor_drain (self);
            return false;
        }
        trn_inbound_hold (self, record, frame->answer.number, store_uuid,
                          service, server);
    }
    trn_engine_on_answered (self->engine, id, frame, (uint32_t) size, now);
    trn_actor_drain (self);
    trn_inrun_release (&self->inrun);
    return *s_find (self, id) == link;
}

//  One message of count parts, -1 for too many.  False: the link is over.
static bool
s_on_message (tern_peer_t *self, const trn_outlink_t *link, zmq_msg_t *parts,
              int count, int64_t now)
{
    const trn_link_id_t id = link->id;
    trn_frame_t frame;
    int rc = TERN_EPROTO;
    if (count > 0) {
        rc = trn_frame_decode (&frame, zmq_msg_data (&parts[0]),
                               zmq_msg_size (&parts[0]));
    }
    if (rc == TERN_EVERSION) {
        return true;
    }
    const bool answer = rc == TERN_OK && frame.type == TRN_ANSWER;
    if (rc != TERN_OK || count != (answer ? 2 : 1)) {
        trn_engine_on_garbage (self->engine, 0, false, now);
        return true;
    }
    if (answer) {
        return s_on_answer (self, link, &frame, &parts[1], now);
    }
    trn_engine_on_frame (self->engine, id, &frame, now);
    if (frame.type == TRN_FAIL) {
        //  Its words end with the message: let the engine finish.
        trn_actor_drain (self);
        return *s_find (self, id) == link;
    }
    return true;
}

//  Take up to burst frames.  False: the link is over.
static bool
s_receive (tern_peer_t *self, trn_outlink_t *link, int burst, int64_t now)
{
    for (int index = 0; index < burst; index++) {
        zmq_msg_t parts[2];
        const int count = trn_socket_recv (link->dealer, parts, 2);
        if (count == 0) {
            break;
        }
        const bool goes_on = s_on_message (self, link, parts, count, now);
        for (int part = 0; part < count; part++) {
            zmq_msg_close (&parts[part]);
        }
        if (!goes_on) {
            return false;
        }
    }
    return true;
}

void
trn_outlink_ready (tern_peer_t *self, trn_outlink_t *link)
{
    const int64_t now = trn_clock_ms ();
    if (link->item.ready_out && s_send_unsent (link) != TERN_OK) {
        trn_engine_on_disconnected (self->engine, link->id, now);
        return;
    }
    if (link->item.ready_in && !s_receive (self, link, TRN_ITEM_BURST, now)) {
        return;
    }
    trn_poller_touch (self->poller, &link->item);
}

//  A consumer that leaves settles, says BYE and closes: its end may be seen
//  before its last words are read, and they must not be lost with the socket.
void
trn_outlink_monitored (tern_peer_t *self, trn_outlink_t *link)
{
    const bool ended = trn_socket_monitor_ended (link->monitor);
    trn_poller_touch (self->poller, &link->monitor_item);
    if (ended) {
        const int64_t now = trn_clock_ms ();
        const trn_link_id_t id = link->id;
        if (s_receive (self, link, LAST_WORDS_MAX, now)) {
            trn_engine_on_disconnected (self->engine, id, now);
        }
    }
}
