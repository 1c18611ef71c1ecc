//  peer/exchange.h - an outbox whose messages go to the queues that are bound
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_EXCHANGE_H
#define TRN_EXCHANGE_H

#include "core/router.h"
#include "peer/peer.h"

#include <tern/exchange.h>

//  What an exchange's outbox remembers of itself, before the engine's state.
struct trn_exchange_spec {
    trn_exchange_type_t type;
    uint64_t retain_ms, retain_bytes;
    char alternate[TRN_NAME_MAX + 1];  //  "" none
};

#define TRN_EXCHANGE_SPEC_MAX (20 + TRN_NAME_MAX)

//  Returns the size.
size_t
trn_exchange_pack (const trn_exchange_spec_t *spec,
                   uint8_t to[TRN_EXCHANGE_SPEC_MAX]);

//  Returns the size, 0 if these bytes are none.
size_t
trn_exchange_unpack (trn_exchange_spec_t *spec, const uint8_t *bytes,
                     size_t size);

//  Do messages go where their targets say, not to all queues?
bool
trn_exchange_routed (const trn_exchange_spec_t *spec);

trn_exchange_t *
trn_exchange_new (const trn_exchange_spec_t *spec, const char *name);

void
trn_exchange_destroy (trn_exchange_t **self_p);

const trn_exchange_spec_t *
trn_exchange_spec (const trn_exchange_t *self);

//  Do the bindings that are known allow an exchange to be of this type?
bool
trn_exchange_type_free (tern_peer_t *peer, const char *name,
                        trn_exchange_type_t type);

//  Actor: the engine knows the outbox; take its queues and all bindings.
void
trn_exchange_start (trn_box_t *box);

//  Actor: another alternate exchange, another retention.
void
trn_exchange_respecify (trn_box_t *box, const trn_exchange_spec_t *spec);

//  Actor: a binding of any exchange is news to the peer.
void
trn_exchange_on_binding (trn_box_t *box, const trn_binding_t *binding);

//  Actor: a directory has told all bindings: queues that have none are unbound.
void
trn_exchange_on_known (trn_box_t *box);

//  Actor: make the engine know a queue, from this seq on; then count anew what is
//  ruled.  Returns its number, 0 if there are too many.
uint32_t
trn_exchange_add_queue (trn_box_t *box, trn_text_t queue, uint64_t from);

//  Actor: route to a queue that was added, by all its bindings.
void
trn_exchange_take_queue (trn_box_t *box, trn_text_t queue);

//  past.c ------------------------------------------------------------------

//  Actor: a binding of a queue that is new and begins in the past.
void
trn_past_bind (trn_box_t *box, const trn_binding_t *binding);

//  Was it one of those?
bool
trn_past_unbind (trn_box_t *box, const trn_binding_t *binding);

bool
trn_past_has (trn_box_t *box, trn_text_t queue);

//  Opening: what queues were given in earlier lives.  0, or as
//  trn_outbox_selections ().
int
trn_past_load (trn_box_t *box, char *why, size_t why_size);

//  Actor: the engine knows the outbox, and not yet what was found in it: add these
//  queues to the targets of that.
void
trn_past_restore (trn_box_t *box);

//  Actor: something is durable.
void
trn_past_on_disk (trn_box_t *box);

//  Actor: go on as far as records are at hand.
void
trn_past_run (trn_box_t *box);

void
trn_past_clear (trn_box_t *box);

//  The queues of one message, ascending.  at is either own or few.
typedef struct {
    uint32_t *at;
    size_t count;
    uint32_t few[64];
} trn_targets_t;

//  Which queues get it?  Waits for the first view of the bindings, up to until
//  (monotonic ms), before it says none.  0, TERN_ENOROUTE, or TERN_EAGAIN if no
//  view came.
int
trn_exchange_route (trn_box_t *box, const trn_record_t *record, int64_t until,
                    trn_targets_t *targets);

void
trn_targets_clear (trn_targets_t *self);

//  Name of a queue by its number, false if there never was one.
bool
trn_exchange_queue (trn_exchange_t *self, uint32_t number,
                    char name[TRN_NAME_MAX + 2]);

#endif
