//  peer/call.c - calls, between application threads and the actor
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/call.h"

#include "base/utf8.h"
#include "io/clock.h"
#include "peer/message.h"
#include "wire/record.h"

#include <assert.h>
#include <string.h>

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

void
trn_call_words (char words[TRN_TEXT_MAX + 1], const char *text)
{
    const uint8_t *at = (const uint8_t *) text;
    size_t left = strlen (text);
    size_t used = 0;
    while (left) {
        const size_t step = trn_utf8_step (at, left);
        if (used + (step ? step : 1) > TRN_TEXT_MAX) {
            break;
        }
        if (step == 0 || (step == 1 && *at < ' ')) {
            words[used++] = '?';
        } else {
            memcpy (words + used, at, step);
            used += step;
        }
        at += step ? step : 1;
        left -= step ? step : 1;
    }
    words[used] = 0;
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

//  The record carries the properties as they are packed.
static int
s_use_props (tern_msg_t *msg, int rc)
{
    size_t size = 0;
    msg->record.props = trn_propset_map (&msg->props, &size);
    msg->record.props_size = (uint16_t) size;
    return rc;
}

tern_msg_t *
trn_call_copy (const tern_msg_t *msg)
{
    if (msg && !msg->parcel) {
        return tern_msg_dup (msg);
    }
    tern_msg_t *copy = tern_msg_new (msg ? tern_msg_body (msg) : NULL,
                                     msg ? tern_msg_size (msg) : 0);
    assert (copy);
    if (!msg) {
        return copy;
    }
    char key[TRN_KEY_MAX + 1] = "";
    size_t size = 0;
    memcpy (key, tern_msg_key (msg, &size), msg->record.key_size);
    int rc = tern_msg_set_key (copy, key);
    const char *name, *value;
    size_t name_size, value_size;
    for (size_t index = 0; rc == TERN_OK
                           && tern_msg_header_at (msg, index, &name, &name_size,
                                                  &value, &value_size);
         index++) {
        rc = trn_propset_text (&copy->props, (trn_text_t) {name, name_size},
                               (trn_text_t) {value, value_size});
    }
    //  It came within the limits, so it fits.
    s_use_props (copy, rc);
    return copy;
}

int
trn_call_set_end (tern_msg_t *msg, bool empty)
{
    assert (msg && !msg->parcel);
    return s_use_props (msg,
                        trn_propset_number (&msg->props, trn_text (TRN_OWN_END),
                                            empty ? 2 : 1));
}

int
trn_call_set_fail (tern_msg_t *msg, const char *why)
{
    assert (msg && !msg->parcel && why);
    char words[TRN_TEXT_MAX + 1];
    trn_call_words (words, why);
    return s_use_props (msg,
                        trn_propset_text (&msg->props, trn_text (TRN_OWN_FAIL),
                                          trn_text (words)));
}

int
trn_call_set_part (tern_msg_t *msg, uint64_t part)
{
    assert (msg && !msg->parcel);
    return s_use_props (msg, trn_propset_number (&msg->props,
                                                 trn_text (TRN_OWN_PART),
                                                 (int64_t) part));
}

trn_call_marks_t
trn_call_marks (const tern_msg_t *msg)
{
    assert (msg);
    trn_call_marks_t marks = {.why = {"", 0}};
    trn_props_t props;
    trn_prop_t prop;
    if (!msg->record.props_size
        || trn_props_open (&props, msg->record.props, msg->record.props_size)
               != TERN_OK) {
        return marks;
    }
    if (trn_props_find (&props, trn_text (TRN_OWN_END), &prop)
        && prop.kind == TRN_PROP_NUMBER) {
        marks.last = true;
        marks.empty = prop.number == 2;
    }
    if (trn_props_find (&props, trn_text (TRN_OWN_PART), &prop)
        && prop.kind == TRN_PROP_NUMBER && prop.number > 0) {
        marks.part = (uint64_t) prop.number;
    }
    if (trn_props_find (&props, trn_text (TRN_OWN_FAIL), &prop)
        && prop.kind == TRN_PROP_TEXT) {
        marks.failed = true;
        marks.last = true;
        marks.empty = true;
        marks.why = prop.text;
    }
    return marks;
}
