//  peer/call.c - calls, between application threads and the actor
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/call.h"

#include "io/clock.h"
#include "peer/message.h"
#include "wire/record.h"

#include <assert.h>

//  Ops ---------------------------------------------------------------------

void
trn_op_post (tern_peer_t *peer, trn_op_t *op, bool alone)
{
    assert (peer && op && op->run);
    trn_op_t *first = atomic_load (&peer->ops);
    do {
        op->next = first;
    } while (!atomic_compare_exchange_weak (&peer->ops, &first, op));
    if (!alone || !trn_actor_help (peer)) {
        trn_wake_up (&peer->wake);
    }
}

void
trn_op_collect (tern_peer_t *peer)
{
    assert (peer);
    if (!atomic_load (&peer->ops)) {
        return;
    }
    //  The list is last first.
    trn_op_t *op = atomic_exchange (&peer->ops, NULL);
    trn_op_t *ordered = NULL;
    while (op) {
        trn_op_t *next = op->next;
        op->next = ordered;
        ordered = op;
        op = next;
    }
    while (ordered) {
        op = ordered;
        ordered = op->next;
        op->run (peer, op);
    }
}

//  Records -----------------------------------------------------------------

int
trn_call_pack (tern_peer_t *peer, const char *service, const tern_msg_t *msg,
               uint64_t seq, zmq_msg_t *record)
{
    assert (peer && service && msg && seq && record);
    const uint64_t now_us = trn_clock_wall_us ();
    const trn_seal_t seal = {.wall_ms = now_us / 1000};
    trn_propset_t scratch = {0};
    trn_record_t sealed;
    int rc = trn_msg_seal (msg, &seal, &scratch, &sealed);
    sealed.seq = seq;
    sealed.stamp_us = now_us;
    sealed.incarnation = (uint32_t) trn_store_incarnation (peer->store);
    sealed.unsynced = 0;
    const uint32_t size = rc == TERN_OK ? trn_record_size (&sealed) : 0;
    if (size > TRN_RECORD_MAX) {
        rc = TERN_ETOOBIG;
    }
    if (rc == TERN_OK) {
        zmq_msg_init_size (record, size);
        trn_record_write (
            zmq_msg_data (record), &sealed,
            trn_record_seed (trn_store_uuid (peer->store), service, 0), 0);
    }
    trn_propset_clear (&scratch);
    return rc;
}

bool
trn_call_verify (const uint8_t store_uuid[16], const char *service,
                 uint64_t seq, zmq_msg_t *record)
{
    assert (store_uuid && service && record);
    const size_t size = zmq_msg_size (record);
    trn_record_t found;
    const int step
        = trn_record_read (zmq_msg_data (record), size,
                           trn_record_seed (store_uuid, service, 0), 0, &found);
    return step > 0 && (size_t) step == size && found.kind == TRN_RECORD_MESSAGE
           && found.seq == seq;
}

//  Marks -------------------------------------------------------------------

tern_msg_t *
trn_call_end_mark (void)
{
    tern_msg_t *msg = tern_msg_new (NULL, 0);
    assert (msg);
    const int rc = trn_propset_number (&msg->props, trn_text (TRN_OWN_END), 2);
    assert (rc == TERN_OK);
    (void) rc;
    size_t size = 0;
    msg->record.props = trn_propset_map (&msg->props, &size);
    msg->record.props_size = (uint16_t) size;
    return msg;
}

bool
trn_call_is_end (const tern_msg_t *msg)
{
    assert (msg);
    trn_props_t props;
    trn_prop_t prop;
    return msg->record.props_size
           && trn_props_open (&props, msg->record.props, msg->record.props_size)
                  == TERN_OK
           && trn_props_find (&props, trn_text (TRN_OWN_END), &prop)
           && prop.kind == TRN_PROP_NUMBER && prop.number == 2;
}
