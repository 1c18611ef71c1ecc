//  core/engine_calls.c - the engine's calls, from here and served here
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/call_in.h"
#include "core/call_out.h"
#include "core/inside.h"
#include "core/link_in.h"
#include "core/link_out.h"

#include <assert.h>

//  From here ----------------------------------------------------------------

int
trn_engine_add_need (trn_engine_t *self, const char *service, int64_t now_ms)
{
    assert (self && service);
    trn_engine_advance (self, now_ms);
    return trn_call_out_add_need (self, service);
}

void
trn_engine_remove_need (trn_engine_t *self, const char *service, int64_t now_ms)
{
    assert (self && service);
    trn_engine_advance (self, now_ms);
    trn_call_out_remove_need (self, service);
}

void
trn_engine_on_call (trn_engine_t *self, const char *service,
                    const trn_call_terms_t *terms, int64_t now_ms)
{
    assert (self && service && terms);
    trn_engine_advance (self, now_ms);
    trn_call_out_begin (self, service, terms);
}

void
trn_engine_on_take (trn_engine_t *self, uint64_t number, uint64_t answers,
                    uint64_t bytes, int64_t now_ms)
{
    assert (self);
    trn_engine_advance (self, now_ms);
    trn_call_out_take (self, number, answers, bytes);
}

void
trn_engine_on_abandon (trn_engine_t *self, uint64_t number, int64_t now_ms)
{
    assert (self);
    trn_engine_advance (self, now_ms);
    trn_call_out_abandon (self, number);
}

bool
trn_engine_answering (const trn_engine_t *self, trn_link_id_t link_id,
                      uint64_t connection, uint64_t number,
                      const uint8_t **store_uuid_p, const char **service_p,
                      const char **peer_p)
{
    assert (self && store_uuid_p && service_p && peer_p);
    const trn_link_t *link = trn_table_get (&self->links_by_id, link_id);
    if (!link || link->state != TRN_LINK_OPEN
        || link->connection != connection) {
        return false;
    }
    const trn_call_t *call = trn_call_out_find (self, link, number);
    if (!call) {
        return false;
    }
    *store_uuid_p = link->store_uuid;
    *service_p = call->need->service;
    *peer_p = link->name;
    return true;
}

void
trn_engine_on_damage (trn_engine_t *self, trn_link_id_t link_id, int64_t now_ms)
{
    assert (self);
    trn_engine_advance (self, now_ms);
    trn_link_t *link = trn_table_get (&self->links_by_id, link_id);
    if (link && !self->closed) {
        trn_link_in_on_garbage (self, 0, true);
        trn_link_out_on_damage (self, link);
    }
}

//  Served here --------------------------------------------------------------

uint32_t
trn_engine_add_service (trn_engine_t *self, const char *name, uint32_t calls,
                        uint64_t bytes, int64_t now_ms)
{
    assert (self && name);
    trn_engine_advance (self, now_ms);
    return trn_call_in_add_service (self, name, calls, bytes);
}

void
trn_engine_remove_service (trn_engine_t *self, uint32_t service, int64_t now_ms)
{
    assert (self);
    trn_engine_advance (self, now_ms);
    trn_call_in_remove_service (self, service);
}

bool
trn_engine_calling (const trn_engine_t *self, trn_route_t route,
                    uint64_t connection, uint32_t seat,
                    const uint8_t **store_uuid_p, const char **service_p,
                    const char **peer_p)
{
    assert (self && store_uuid_p && service_p && peer_p);
    const trn_inbound_t *inbound
        = trn_table_get (&self->inbounds_by_route, route);
    if (!inbound || inbound->connection != connection) {
        return false;
    }
    const trn_guest_t *guest = trn_call_in_find_guest (inbound, seat);
    if (!guest) {
        return false;
    }
    *store_uuid_p = inbound->store->store_uuid;
    *service_p = guest->service;
    *peer_p = inbound->store->name;
    return true;
}

void
trn_engine_on_answer (trn_engine_t *self, uint64_t task, uint32_t size,
                      bool last, int64_t now_ms)
{
    assert (self);
    trn_engine_advance (self, now_ms);
    trn_call_in_answer (self, task, size, last);
}

void
trn_engine_on_task_over (trn_engine_t *self, uint64_t task,
                         trn_failure_t reason, const char *words,
                         int64_t now_ms)
{
    assert (self && words);
    trn_engine_advance (self, now_ms);
    trn_call_in_over (self, task, reason, words);
}
