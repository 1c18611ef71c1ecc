//  peer/origin.c - where a message in an inbox came from
//
//      0   store uuid   16   seq   24   stamp_us   32   floor
//      40  missed   48   deliveries   52   redelivered
//      53  publisher, NUL, outbox, NUL
//
//  The names end as C wants them, so that they can be lent as they lie there.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/origin.h"

#include "base/bytes.h"
#include "base/name.h"
#include "peer/message.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FIXED 53u
#define NAMES_MAX (2 * TRN_NAME_MAX + 4)

//  What of the message's own properties the copy keeps.
static bool
s_keeps (const trn_prop_t *prop, bool expires)
{
    static const char *const own[]
        = {TRN_OWN_PRIORITY, TRN_OWN_ORDER, TRN_OWN_REPLY, TRN_OWN_CORRELATION,
           TRN_OWN_ID,       TRN_OWN_STORE, TRN_OWN_LARGE};
    const size_t dead = strlen (TRN_OWN_DEAD);
    if (!trn_prop_reserved (prop->key)
        || (prop->key.size > dead
            && memcmp (prop->key.at, TRN_OWN_DEAD, dead) == 0)) {
        return true;
    }
    for (size_t index = 0; index < sizeof own / sizeof *own; index++) {
        if (trn_text_is (prop->key, own[index])) {
            return true;
        }
    }
    return expires && trn_text_is (prop->key, TRN_OWN_EXPIRES);
}

static int
s_say (const trn_origin_t *origin, trn_propset_t *to)
{
    uint8_t bytes[FIXED + NAMES_MAX];
    const size_t publisher = strlen (origin->publisher) + 1;
    const size_t outbox = strlen (origin->outbox) + 1;
    assert (publisher + outbox <= NAMES_MAX);
    memcpy (bytes, origin->store_uuid, 16);
    trn_put_u64 (bytes + 16, origin->seq);
    trn_put_u64 (bytes + 24, origin->stamp_us);
    trn_put_u64 (bytes + 32, origin->floor);
    trn_put_u64 (bytes + 40, origin->missed);
    trn_put_u32 (bytes + 48, origin->deliveries);
    bytes[52] = origin->redelivered;
    memcpy (bytes + FIXED, origin->publisher, publisher);
    memcpy (bytes + FIXED + publisher, origin->outbox, outbox);
    return trn_propset_bytes (to, trn_text (TRN_OWN_ORIGIN), bytes,
                              FIXED + publisher + outbox);
}

static int
s_say_id (const trn_origin_t *origin, trn_propset_t *to)
{
    char id[2 * TRN_NAME_MAX + 32];
    snprintf (id, sizeof id, "%s/%s/%" PRIu64, origin->publisher,
              origin->outbox, origin->seq);
    const int rc = trn_propset_text (to, trn_text (TRN_OWN_ID), trn_text (id));
    return rc ? rc
              : trn_propset_bytes (to, trn_text (TRN_OWN_STORE),
                                   origin->store_uuid, 16);
}

void
trn_origin_seal (const trn_origin_t *origin, const trn_record_t *record,
                 bool expires, trn_propset_t *to)
{
    assert (origin && record && to);
    trn_props_t props;
    trn_prop_t prop;
    const bool any
        = trn_props_open (&props, record->props, record->props_size) == 0;
    int rc = s_say (origin, to);
    //  A replay has the id of the first message already.
    if (!any || !trn_props_find (&props, trn_text (TRN_OWN_ID), &prop)) {
        rc = s_say_id (origin, to);
    }
    assert (rc == 0);  //  these come first and are short: there is room
    while (any && trn_props_next (&props, &prop)) {
        if (s_keeps (&prop, expires)) {
            rc = trn_propset_add (to, &prop);
        }
    }
    (void) rc;
}

//  A name of at most max bytes that ends within the property.
static const char *
s_name (const uint8_t **at, const uint8_t *end)
{
    const char *name = (const char *) *at;
    const uint8_t *last = memchr (*at, 0, (size_t) (end - *at));
    *at = last ? last + 1 : end;
    return last ? name : NULL;
}

bool
trn_origin_read (const trn_record_t *record, trn_origin_t *origin)
{
    assert (record && origin);
    trn_props_t props;
    trn_prop_t prop;
    if (!(record->flags & TRN_RECORD_RULED)
        || trn_props_open (&props, record->props, record->props_size) != 0
        || !trn_props_find (&props, trn_text (TRN_OWN_ORIGIN), &prop)
        || prop.kind != TRN_PROP_BYTES || prop.bytes_size <= FIXED) {
        return false;
    }
    const uint8_t *at = prop.bytes + FIXED;
    const uint8_t *end = prop.bytes + prop.bytes_size;
    memcpy (origin->store_uuid, prop.bytes, 16);
    origin->seq = trn_get_u64 (prop.bytes + 16);
    origin->stamp_us = trn_get_u64 (prop.bytes + 24);
    origin->floor = trn_get_u64 (prop.bytes + 32);
    origin->missed = trn_get_u64 (prop.bytes + 40);
    origin->deliveries = trn_get_u32 (prop.bytes + 48);
    origin->redelivered = prop.bytes[52] != 0;
    origin->publisher = s_name (&at, end);
    origin->outbox = s_name (&at, end);
    return origin->publisher && origin->outbox && origin->seq >= 1
           && origin->seq <= TRN_SEQ_MAX
           && trn_name_valid (origin->publisher, strlen (origin->publisher))
           && trn_outbox_valid (origin->outbox, strlen (origin->outbox));
}
