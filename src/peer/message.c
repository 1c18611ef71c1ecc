//  peer/message.c - a message, going out or come in
//
//  A received one is a view: a record in a parcel, which holds the run.  An
//  outgoing one owns its body, key and packed properties; times among them are
//  known when it is sent.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/message.h"

#include "base/memory.h"
#include "base/name.h"
#include "core/policy.h"
#include "peer/origin.h"
#include "peer/parcel.h"
#include "peer/ruling.h"
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

//  The record carries the properties as they are packed.
static void
s_use_props (tern_msg_t *self)
{
    size_t size = 0;
    self->record.props = trn_propset_map (&self->props, &size);
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
    trn_propset_copy (&copy->props, &self->props);
    s_use_props (copy);
    copy->header_count = self->header_count;
    copy->large = self->large;
    copy->ttl_ms = self->ttl_ms;
    copy->delay_ms = self->delay_ms;
    return copy;
}

void
trn_msg_clear (tern_msg_t *self)
{
    assert (self);
    trn_parcel_release (&self->parcel);
    free (self->own_body);
    free (self->own_key);
    trn_propset_clear (&self->props);
    free (self->id);
    free (self->outbox);
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

//  Find a property of a message, going out or come in.
static bool
s_find (const tern_msg_t *self, const char *name, trn_prop_kind_t kind,
        trn_prop_t *prop)
{
    trn_props_t props;
    return self->record.props_size
           && trn_props_open (&props, self->record.props,
                              self->record.props_size)
                  == TERN_OK
           && trn_props_find (&props, trn_text (name), prop)
           && prop->kind == kind;
}

int
tern_msg_set_header (tern_msg_t *self, const char *name, const char *value)
{
    assert (self && name && value);
    const trn_text_t key = trn_text (name);
    if (self->parcel || trn_prop_reserved (key)) {
        return TERN_EINVAL;
    }
    trn_prop_t old;
    const bool replaces = s_find (self, name, TRN_PROP_TEXT, &old);
    const size_t bytes = self->props.used + key.size + strlen (value)
                         - (replaces ? old.key.size + old.text.size : 0);
    if (bytes > TRN_HEADERS_BYTES
        || (!replaces && self->header_count == TRN_HEADERS_COUNT)) {
        return TERN_ETOOBIG;
    }
    const int rc = trn_propset_text (&self->props, key, trn_text (value));
    s_use_props (self);
    self->header_count += rc == TERN_OK && !replaces;
    return rc;
}

const void *
tern_msg_body (const tern_msg_t *self)
{
    assert (self);
    return self->record.body;
}

//  What a manifest has is for Tern: to its reader it has no body.
size_t
tern_msg_size (const tern_msg_t *self)
{
    assert (self);
    return self->record.flags & TRN_RECORD_LARGE ? 0 : self->record.body_size;
}

const char *
tern_msg_key (const tern_msg_t *self, size_t *size_p)
{
    assert (self && size_p);
    *size_p = self->record.key_size;
    return self->record.key_size ? (const char *) self->record.key : "";
}

//  A header is text that is not Tern's own, or tells of a death.
static bool
s_is_header (const trn_prop_t *prop)
{
    const size_t size = strlen (TRN_OWN_DEAD);
    return prop->kind == TRN_PROP_TEXT
           && (!trn_prop_reserved (prop->key)
               || (prop->key.size > size
                   && memcmp (prop->key.at, TRN_OWN_DEAD, size) == 0));
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
    trn_prop_t prop;
    *size_p = 0;
    if (!s_find (self, name, TRN_PROP_TEXT, &prop) || !s_is_header (&prop)) {
        return NULL;
    }
    *size_p = prop.text.size;
    return prop.text.at;
}

//  How it is delivered -----------------------------------------------------

int
tern_msg_set_ttl (tern_msg_t *self, uint64_t ms)
{
    assert (self);
    if (self->parcel || ms < 1 || ms > TRN_RULE_MS_MAX) {
        return TERN_EINVAL;
    }
    self->ttl_ms = ms;
    return TERN_OK;
}

int
tern_msg_set_delay (tern_msg_t *self, uint64_t ms)
{
    assert (self);
    if (self->parcel || ms < 1 || ms > TRN_RULE_MS_MAX) {
        return TERN_EINVAL;
    }
    self->delay_ms = ms;
    return TERN_OK;
}

uint64_t
tern_msg_ttl (const tern_msg_t *self)
{
    assert (self);
    return self->ttl_ms;
}

uint64_t
tern_msg_delay (const tern_msg_t *self)
{
    assert (self);
    return self->delay_ms;
}

int
tern_msg_set_priority (tern_msg_t *self, int priority)
{
    assert (self);
    if (self->parcel || priority < 0 || priority > TERN_PRIORITY_MAX) {
        return TERN_EINVAL;
    }
    const trn_text_t key = trn_text (TRN_OWN_PRIORITY);
    int rc = TERN_OK;
    if (priority == 0) {
        trn_propset_remove (&self->props, key);
    } else {
        rc = trn_propset_number (&self->props, key, priority);
    }
    s_use_props (self);
    return rc;
}

int
tern_msg_priority (const tern_msg_t *self)
{
    assert (self);
    trn_prop_t prop;
    const bool set = s_find (self, TRN_OWN_PRIORITY, TRN_PROP_NUMBER, &prop)
                     && prop.number >= 0 && prop.number <= TERN_PRIORITY_MAX;
    return set ? (int) prop.number : 0;
}

//  Texts among Tern's own properties.
static int
s_set_word (tern_msg_t *self, const char *name, const char *word)
{
    assert (self && word);
    const trn_text_t text = trn_text (word);
    if (self->parcel || text.size < 1 || text.size > TRN_WORD_MAX) {
        return TERN_EINVAL;
    }
    const int rc = trn_propset_text (&self->props, trn_text (name), text);
    s_use_props (self);
    return rc;
}

static const char *
s_word (const tern_msg_t *self, const char *name, size_t *size_p)
{
    assert (self && size_p);
    trn_prop_t prop;
    *size_p = 0;
    if (!s_find (self, name, TRN_PROP_TEXT, &prop)) {
        return NULL;
    }
    *size_p = prop.text.size;
    return prop.text.at;
}

int
tern_msg_set_order_key (tern_msg_t *self, const char *key)
{
    return s_set_word (self, TRN_OWN_ORDER, key);
}

const char *
tern_msg_order_key (const tern_msg_t *self, size_t *size_p)
{
    return s_word (self, TRN_OWN_ORDER, size_p);
}

int
tern_msg_set_reply_to (tern_msg_t *self, const char *queue)
{
    assert (self && queue);
    if (!trn_queue_valid (queue, strlen (queue))) {
        return TERN_ENAME;
    }
    return s_set_word (self, TRN_OWN_REPLY, queue);
}

const char *
tern_msg_reply_to (const tern_msg_t *self, size_t *size_p)
{
    const char *queue = s_word (self, TRN_OWN_REPLY, size_p);
    if (queue && !trn_queue_valid (queue, *size_p)) {
        *size_p = 0;
        return NULL;
    }
    return queue;
}

int
tern_msg_set_correlation (tern_msg_t *self, const char *id)
{
    return s_set_word (self, TRN_OWN_CORRELATION, id);
}

const char *
tern_msg_correlation (const tern_msg_t *self, size_t *size_p)
{
    return s_word (self, TRN_OWN_CORRELATION, size_p);
}

//  Sending -----------------------------------------------------------------

//  Is there anything that concerns delivery among what was set?
static bool
s_is_ruled (const tern_msg_t *self)
{
    trn_prop_t prop;
    return self->props.count > self->header_count
           && (s_find (self, TRN_OWN_PRIORITY, TRN_PROP_NUMBER, &prop)
               || s_find (self, TRN_OWN_ORDER, TRN_PROP_TEXT, &prop)
               || s_find (self, TRN_OWN_ID, TRN_PROP_TEXT, &prop));
}

static uint8_t
s_flags (const tern_msg_t *self)
{
    return (uint8_t) (self->large         ? TRN_RECORD_RULED | TRN_RECORD_LARGE
                      : s_is_ruled (self) ? TRN_RECORD_RULED
                                          : 0);
}

static int
s_seal_targets (trn_propset_t *props, const trn_seal_t *seal)
{
    if (seal->target_count > TRN_PROPS_MAX) {
        return TERN_ETOOBIG;
    }
    uint8_t *bytes = trn_alloc (seal->target_count * TRN_TARGET_BYTES);
    const size_t size
        = trn_targets_encode (seal->targets, seal->target_count, bytes);
    const int rc
        = trn_propset_bytes (props, trn_text (TRN_OWN_TARGETS), bytes, size);
    free (bytes);
    return rc;
}

//  A received message that is sent on is a new one: it keeps its headers only.
static int
s_copy_headers (const tern_msg_t *self, trn_propset_t *to)
{
    trn_props_t props;
    trn_prop_t prop;
    int rc
        = trn_props_open (&props, self->record.props, self->record.props_size);
    while (rc == TERN_OK && trn_props_next (&props, &prop)) {
        if (prop.kind == TRN_PROP_TEXT && !trn_prop_reserved (prop.key)) {
            rc = trn_propset_text (to, prop.key, prop.text);
        }
    }
    return rc;
}

int
trn_msg_seal (const tern_msg_t *self, const trn_seal_t *seal,
              trn_propset_t *scratch, trn_record_t *record)
{
    assert (self && seal && scratch && record);
    if (self->record.flags & TRN_RECORD_LARGE) {
        return TERN_ETOOBIG;  //  received: its body is not here
    }
    *record = self->record;
    record->kind = TRN_RECORD_MESSAGE;
    record->flags = 0;
    if (!self->ttl_ms && !self->delay_ms && !seal->number && !seal->target_count
        && !self->parcel) {
        record->flags = s_flags (self);
        return TERN_OK;
    }
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {TRN_OWN_EXPIRES, self->ttl_ms ? seal->wall_ms + self->ttl_ms : 0},
        {TRN_OWN_DUE, self->delay_ms ? seal->wall_ms + self->delay_ms : 0},
        {TRN_OWN_NUMBER, seal->number},
    };
    int rc = TERN_OK;
    if (self->parcel) {
        rc = s_copy_headers (self, scratch);
    } else {
        trn_propset_copy (scratch, &self->props);
        record->flags = s_flags (self);
    }
    for (size_t index = 0; index < 3 && rc == TERN_OK; index++) {
        if (numbers[index].value) {
            record->flags |= TRN_RECORD_RULED;
            rc = trn_propset_number (scratch, trn_text (numbers[index].name),
                                     (int64_t) numbers[index].value);
        }
    }
    if (rc == TERN_OK && seal->target_count) {
        record->flags |= TRN_RECORD_RULED;
        rc = s_seal_targets (scratch, seal);
    }
    size_t size = 0;
    record->props = trn_propset_map (scratch, &size);
    record->props_size = (uint16_t) size;
    return rc;
}

//  Received ----------------------------------------------------------------

//  Identity: of the first one, if this is a replay of it.
typedef struct {
    trn_text_t id;
    trn_text_t outbox;
    uint64_t seq;
    const uint8_t *store_uuid;
} s_identity_t;

//  "publisher/outbox/seq"
static bool
s_parse_id (trn_text_t id, s_identity_t *identity)
{
    const char *end = id.at + id.size;
    const char *slash = memchr (id.at, '/', id.size);
    const char *outbox = slash ? slash + 1 : end;
    const char *last = memchr (outbox, '/', (size_t) (end - outbox));
    if (!last || end - last < 2 || end - last > 20) {
        return false;
    }
    uint64_t seq = 0;
    for (const char *at = last + 1; at < end; at++) {
        if (*at < '0' || *at > '9') {
            return false;
        }
        seq = seq * 10 + (uint64_t) (*at - '0');
    }
    identity->id = id;
    identity->outbox = (trn_text_t) {outbox, (size_t) (last - outbox)};
    identity->seq = seq;
    return trn_name_valid (id.at, (size_t) (slash - id.at))
           && trn_outbox_valid (identity->outbox.at, identity->outbox.size)
           && seq > 0 && seq <= TRN_SEQ_MAX;
}

//  False if it has none but its own, as nearly all.
static bool
s_first (const tern_msg_t *self, s_identity_t *identity)
{
    trn_prop_t id;
    trn_prop_t store;
    if (!(self->record.flags & TRN_RECORD_RULED)
        || !s_find (self, TRN_OWN_ID, TRN_PROP_TEXT, &id)
        || !s_find (self, TRN_OWN_STORE, TRN_PROP_BYTES, &store)
        || store.bytes_size != 16) {
        return false;
    }
    identity->store_uuid = store.bytes;
    return s_parse_id (id.text, identity);
}

//  Out of an inbox: what it is a copy of.  Never of others.
static bool
s_origin (const tern_msg_t *self, trn_origin_t *origin)
{
    return self->parcel->copied && trn_origin_read (&self->record, origin);
}

static char *
s_text_dup (trn_text_t text)
{
    char *copy = trn_alloc (text.size + 1);
    memcpy (copy, text.at, text.size);
    return copy;
}

const char *
tern_msg_id (tern_msg_t *self)
{
    assert (self && self->parcel);
    s_identity_t first;
    if (!self->id && s_first (self, &first)) {
        self->id = s_text_dup (first.id);
    }
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
    s_identity_t first;
    return s_first (self, &first) ? first.seq : self->record.seq;
}

const uint8_t *
tern_msg_store_uuid (const tern_msg_t *self)
{
    assert (self && self->parcel);
    s_identity_t first;
    return s_first (self, &first) ? first.store_uuid : self->parcel->store_uuid;
}

const char *
tern_msg_outbox (tern_msg_t *self)
{
    assert (self && self->parcel);
    s_identity_t first;
    if (!self->outbox && s_first (self, &first)) {
        self->outbox = s_text_dup (first.outbox);
    }
    return self->outbox ? self->outbox : self->parcel->outbox;
}

const char *
tern_msg_exchange (const tern_msg_t *self)
{
    assert (self);
    trn_origin_t origin;
    const char *outbox = !self->parcel              ? ""
                         : s_origin (self, &origin) ? origin.outbox
                                                    : self->parcel->outbox;
    return outbox[0] == '#' ? outbox + 1 : NULL;
}

//  The first message is what died, or what that was a replay of.
static bool
s_died (const tern_msg_t *self, s_identity_t *identity)
{
    trn_prop_t id;
    if (s_first (self, identity)) {
        return s_find (self, TRN_OWN_DEAD_ID, TRN_PROP_TEXT, &id);
    }
    identity->store_uuid = self->parcel->store_uuid;
    return s_find (self, TRN_OWN_DEAD_ID, TRN_PROP_TEXT, &id)
           && s_parse_id (id.text, identity);
}

//  What of a dead letter's own properties goes on with it.
static int
s_replay_props (const tern_msg_t *self, tern_msg_t *copy)
{
    static const char *const words[]
        = {TRN_OWN_ORDER, TRN_OWN_REPLY, TRN_OWN_CORRELATION};
    int rc = s_copy_headers (self, &copy->props);
    copy->header_count = copy->props.count;
    for (size_t index = 0; index < 3 && rc == TERN_OK; index++) {
        trn_prop_t prop;
        if (s_find (self, words[index], TRN_PROP_TEXT, &prop)) {
            rc = trn_propset_text (&copy->props, prop.key, prop.text);
        }
    }
    return rc == TERN_OK
               ? tern_msg_set_priority (copy, tern_msg_priority (self))
               : rc;
}

tern_msg_t *
tern_msg_replay (const tern_msg_t *dead)
{
    assert (dead && dead->parcel);
    s_identity_t first;
    if (!s_died (dead, &first)) {
        return NULL;
    }
    tern_msg_t *self
        = tern_msg_new (tern_msg_body (dead), tern_msg_size (dead));
    assert (self);
    self->own_key = s_text_dup (
        (trn_text_t) {(const char *) dead->record.key, dead->record.key_size});
    self->record.key = (const uint8_t *) self->own_key;
    self->record.key_size = dead->record.key_size;
    int rc = s_replay_props (dead, self);
    if (rc == TERN_OK) {
        rc = trn_propset_text (&self->props, trn_text (TRN_OWN_ID), first.id);
    }
    if (rc == TERN_OK) {
        rc = trn_propset_bytes (&self->props, trn_text (TRN_OWN_STORE),
                                first.store_uuid, 16);
    }
    s_use_props (self);
    if (rc != TERN_OK) {
        tern_msg_destroy (&self);
    }
    return self;
}

const char *
tern_msg_publisher (const tern_msg_t *self)
{
    assert (self && self->parcel);
    trn_origin_t origin;
    return s_origin (self, &origin) ? origin.publisher
                                    : self->parcel->publisher;
}

const char *
tern_msg_queue (const tern_msg_t *self)
{
    assert (self && self->parcel);
    return self->parcel->queue;
}

//  A replay stands in no order with what its outbox holds.
uint64_t
tern_msg_floor (const tern_msg_t *self)
{
    assert (self && self->parcel);
    s_identity_t first;
    trn_origin_t origin;
    if (s_origin (self, &origin)) {
        return s_first (self, &first)
                       && memcmp (first.store_uuid, origin.store_uuid, 16) == 0
                       && first.seq == origin.seq
                       && trn_text_is (first.outbox, origin.outbox)
                   ? origin.floor
                   : 0;
    }
    return s_first (self, &first) ? 0 : self->parcel->floor;
}

uint64_t
tern_msg_time_us (const tern_msg_t *self)
{
    assert (self && self->parcel);
    trn_origin_t origin;
    return s_origin (self, &origin) ? origin.stamp_us : self->record.stamp_us;
}

uint64_t
tern_msg_missed (const tern_msg_t *self)
{
    assert (self && self->parcel);
    const trn_parcel_t *parcel = self->parcel;
    trn_origin_t origin;
    return (self->record.seq == parcel->from ? parcel->missed : 0)
           + (s_origin (self, &origin) ? origin.missed : 0);
}

uint32_t
tern_msg_deliveries (const tern_msg_t *self)
{
    assert (self && self->parcel);
    trn_origin_t origin;
    const bool before = s_origin (self, &origin) && origin.deliveries > 0;
    return self->parcel->deliveries + (before ? origin.deliveries - 1 : 0);
}

bool
tern_msg_redelivered (const tern_msg_t *self)
{
    assert (self && self->parcel);
    trn_origin_t origin;
    return self->parcel->redelivered
           || (s_origin (self, &origin) && origin.redelivered);
}
