//  peer/message.c - a message, going out or come in
//
//  A received one is a view: a record in a parcel, which holds the run.  An
//  outgoing one owns its body, key and packed headers.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/message.h"

#include "base/memory.h"
#include "peer/parcel.h"
#include "wire/props.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

tern_msg_t *
tern_msg_new (const void *body, size_t size)
{
    assert (body || size == 0);
    if (size > TRN_BODY_MAX) {
        return NULL;
    }
    tern_msg_t *self = trn_alloc (sizeof *self);
    self->own_body = trn_alloc (size + 1);
    if (size) {
        memcpy (self->own_body, body, size);
    }
    self->record.kind = TRN_RECORD_MESSAGE;
    self->record.body = (const uint8_t *) self->own_body;
    self->record.body_size = (uint32_t) size;
    return self;
}

//  The record carries the headers as they are packed.
static void
s_use_headers (tern_msg_t *self)
{
    size_t size = 0;
    self->record.props = trn_propset_map (&self->headers, &size);
    self->record.props_size = (uint16_t) size;
}

tern_msg_t *
tern_msg_dup (const tern_msg_t *self)
{
    assert (self);
    tern_msg_t *copy;
    if (self->parcel) {
        copy = trn_alloc (sizeof *copy);
        copy->record = self->record;
        copy->parcel = trn_parcel_retain (self->parcel);
        copy->settled = self->settled;
        return copy;
    }
    copy = tern_msg_new (self->record.body, self->record.body_size);
    assert (copy);
    copy->own_key = self->own_key ? trn_strdup (self->own_key) : NULL;
    copy->record.key = (const uint8_t *) copy->own_key;
    copy->record.key_size = self->record.key_size;
    trn_props_t props;
    trn_prop_t prop;
    int rc
        = trn_props_open (&props, self->record.props, self->record.props_size);
    while (rc == TERN_OK && trn_props_next (&props, &prop)) {
        rc = trn_propset_text (&copy->headers, prop.key, prop.text);
    }
    assert (rc == TERN_OK);  //  it was set by tern_msg_set_header ()
    s_use_headers (copy);
    return copy;
}

void
trn_msg_clear (tern_msg_t *self)
{
    assert (self);
    trn_parcel_release (&self->parcel);
    free (self->own_body);
    free (self->own_key);
    trn_propset_clear (&self->headers);
    free (self->id);
    *self = (tern_msg_t) {0};
}

void
tern_msg_destroy (tern_msg_t **self_p)
{
    assert (self_p);
    if (*self_p) {
        assert (!(*self_p)->lent);
        trn_msg_clear (*self_p);
        free (*self_p);
        *self_p = NULL;
    }
}

int
tern_msg_set_key (tern_msg_t *self, const char *key)
{
    assert (self && key);
    const size_t size = strlen (key);
    if (self->parcel) {
        return TERN_EINVAL;
    }
    if (size > TRN_KEY_MAX) {
        return TERN_ETOOBIG;
    }
    free (self->own_key);
    self->own_key = trn_strdup (key);
    self->record.key = (const uint8_t *) self->own_key;
    self->record.key_size = (uint8_t) size;
    return TERN_OK;
}

int
tern_msg_set_header (tern_msg_t *self, const char *name, const char *value)
{
    assert (self && name && value);
    if (self->parcel) {
        return TERN_EINVAL;
    }
    const trn_text_t key = {name, strlen (name)};
    const trn_text_t text = {value, strlen (value)};
    if (trn_prop_reserved (key)) {
        return TERN_EINVAL;
    }
    const int rc = trn_propset_text (&self->headers, key, text);
    s_use_headers (self);
    return rc;
}

const void *
tern_msg_body (const tern_msg_t *self)
{
    assert (self);
    return self->record.body;
}

size_t
tern_msg_size (const tern_msg_t *self)
{
    assert (self);
    return self->record.body_size;
}

const char *
tern_msg_key (const tern_msg_t *self, size_t *size_p)
{
    assert (self && size_p);
    *size_p = self->record.key_size;
    return self->record.key_size ? (const char *) self->record.key : "";
}

//  A header is a property that is not Tern's own and holds text.
static bool
s_is_header (const trn_prop_t *prop)
{
    return prop->kind == TRN_PROP_TEXT && !trn_prop_reserved (prop->key);
}

bool
tern_msg_header_at (const tern_msg_t *self, size_t index, const char **name_p,
                    size_t *name_size_p, const char **value_p,
                    size_t *value_size_p)
{
    assert (self && name_p && name_size_p && value_p && value_size_p);
    trn_props_t props;
    trn_prop_t prop;
    if (trn_props_open (&props, self->record.props, self->record.props_size)
        != TERN_OK) {
        return false;
    }
    while (trn_props_next (&props, &prop)) {
        if (s_is_header (&prop) && index-- == 0) {
            *name_p = prop.key.at;
            *name_size_p = prop.key.size;
            *value_p = prop.text.at;
            *value_size_p = prop.text.size;
            return true;
        }
    }
    return false;
}

const char *
tern_msg_header (const tern_msg_t *self, const char *name, size_t *size_p)
{
    assert (self && name && size_p);
    trn_props_t props;
    trn_prop_t prop;
    *size_p = 0;
    if (trn_props_open (&props, self->record.props, self->record.props_size)
            != TERN_OK
        || !trn_props_find (&props, (trn_text_t) {name, strlen (name)}, &prop)
        || !s_is_header (&prop)) {
        return NULL;
    }
    *size_p = prop.text.size;
    return prop.text.at;
}

//  Received ----------------------------------------------------------------

const char *
tern_msg_id (tern_msg_t *self)
{
    assert (self && self->parcel);
    if (!self->id) {
        char id[2 * TRN_NAME_MAX + 32];
        snprintf (id, sizeof id, "%s/%s/%" PRIu64, self->parcel->publisher,
                  self->parcel->outbox, self->record.seq);
        self->id = trn_strdup (id);
    }
    return self->id;
}

uint64_t
tern_msg_seq (const tern_msg_t *self)
{
    assert (self && self->parcel);
    return self->record.seq;
}

const char *
tern_msg_publisher (const tern_msg_t *self)
{
    assert (self && self->parcel);
    return self->parcel->publisher;
}

const char *
tern_msg_queue (const tern_msg_t *self)
{
    assert (self && self->parcel);
    return self->parcel->queue;
}

uint64_t
tern_msg_time_us (const tern_msg_t *self)
{
    assert (self && self->parcel);
    return self->record.stamp_us;
}

uint32_t
tern_msg_deliveries (const tern_msg_t *self)
{
    assert (self && self->parcel);
    return self->parcel->deliveries;
}

bool
tern_msg_redelivered (const tern_msg_t *self)
{
    assert (self && self->parcel);
    return self->parcel->redelivered;
}
