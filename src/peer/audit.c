//  peer/audit.c - are the bodies there that large messages need?
//
//  Reads the manifests of a store and compares each body with its own.  The owner
//  may be running: it settles messages and removes their bodies meanwhile, so a
//  body that is not whole is only told of when its message is unsettled still,
//  and one that nobody needs when it is still there.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/fate.h"

#include "base/memory.h"
#include "base/name.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    uint64_t *at;
    size_t count, capacity;
} s_ids_t;

typedef struct {
    tern_store_t *store;
    trn_bodies_t *bodies;
    tern_store_body_fn *fn;
    void *arg;
    s_ids_t there, needed;
    const char *outbox;
    trn_publication_t *publication;  //  NULL: its state cannot be read
    int error;
} s_audit_t;

static void
s_add_id (void *arg, uint64_t id)
{
    s_ids_t *self = arg;
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 64;
        self->at = trn_realloc (self->at, self->capacity * sizeof *self->at);
    }
    self->at[self->count++] = id;
}

static int
s_compare (const void *left, const void *right)
{
    const uint64_t *one = left;
    const uint64_t *other = right;
    return (*one > *other) - (*one < *other);
}

//  Messages ----------------------------------------------------------------

//  What its state says now.
static bool
s_is_settled_now (s_audit_t *self, const tern_store_message_t *message)
{
    trn_publication_destroy (&self->publication);
    (void) trn_fate_open (self->store, self->outbox, &self->publication);
    return self->publication && trn_fate_settled (self->publication, message);
}

static int
s_on_message (void *arg, const tern_store_message_t *message)
{
    s_audit_t *self = arg;
    const trn_record_t record = {.flags = TRN_RECORD_LARGE,
                                 .seq = message->seq,
                                 .props = message->props,
                                 .props_size = (uint16_t) message->props_size,
                                 .body = message->body,
                                 .body_size = (uint32_t) message->size};
    trn_manifest_t manifest;
    if (!trn_manifest_read (&record, &manifest)
        || (self->publication
            && trn_fate_settled (self->publication, message))) {
        return 0;
    }
    s_add_id (&self->needed, manifest.id);
    tern_store_body_t body = {.outbox = self->outbox, .seq = message->seq};
    self->error = trn_inspect_body (self->bodies, &manifest, NULL, NULL, &body);
    if (self->error) {
        return 1;
    }
    if (body.health != TERN_BODY_WHOLE && s_is_settled_now (self, message)) {
        return 0;
    }
    return self->fn (self->arg, &body);
}

//  0, what fn returned, or what went wrong.
static int
s_audit_outbox (s_audit_t *self, const char *outbox)
{
    if (outbox[0] == TRN_INBOX_MARK) {
        return 0;  //  copies: their bodies are with their publishers
    }
    self->outbox = outbox;
    (void) trn_fate_open (self->store, outbox, &self->publication);
    const int rc = tern_store_peek (self->store, outbox, 0, s_on_message, self);
    trn_publication_destroy (&self->publication);
    return self->error ? self->error : rc;
}

//  Orphans -----------------------------------------------------------------

static int
s_show_orphans (s_audit_t *self)
{
    int rc = 0;
    if (self->needed.count) {
        qsort (self->needed.at, self->needed.count, sizeof *self->needed.at,
               s_compare);
    }
    for (size_t index = 0; index < self->there.count && rc == 0; index++) {
        const uint64_t *id = &self->there.at[index];
        const int64_t size = trn_bodies_size (self->bodies, *id);
        if (size >= 0
            && (!self->needed.count
                || !bsearch (id, self->needed.at, self->needed.count,
                             sizeof *id, s_compare))) {
            tern_store_body_t body
                = {.health = TERN_BODY_ORPHAN, .size = (uint64_t) size};
            trn_inspect_body_file (body.file, *id);
            rc = self->fn (self->arg, &body);
        }
    }
    return rc;
}

//  All outboxes, and what is left.
static int
s_audit_all (s_audit_t *self)
{
    bool damage = false;
    int rc = 0;
    const char *outbox;
    for (size_t index = 0;
         rc == 0 && (outbox = tern_store_outbox_at (self->store, index));
         index++) {
        rc = s_audit_outbox (self, outbox);
        //  The others can be looked at all the same.
        damage = damage || rc == TERN_ECORRUPT;
        rc = rc == TERN_ECORRUPT ? 0 : rc;
    }
    if (rc == 0 && !damage) {
        rc = s_show_orphans (self);
    }
    return rc == 0 && damage ? TERN_ECORRUPT : rc;
}

int
tern_store_verify_large (tern_store_t *self, const char *outbox,
                         tern_store_body_fn *fn, void *arg)
{
    assert (self && fn);
    s_audit_t audit = {.store = self, .fn = fn, .arg = arg};
    int rc = trn_bodies_open (&audit.bodies, self->disk, self->root, 0);
    if (rc == TERN_OK) {
        //  First, so that what is sent from here on is not among them.
        rc = trn_bodies_each (audit.bodies, s_add_id, &audit.there);
    }
    if (rc == TERN_OK) {
        rc = outbox ? s_audit_outbox (&audit, outbox) : s_audit_all (&audit);
    }
    trn_bodies_close (&audit.bodies);
    free (audit.there.at);
    free (audit.needed.at);
    return rc;
}
