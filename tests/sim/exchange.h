//  sim/exchange.h - exchanges of simulated peers, and who binds queues to them
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef SIM_EXCHANGE_H
#define SIM_EXCHANGE_H

#include "sim/peer.h"

#include "core/router.h"

//  Bind a queue in some way, or take back a binding, anywhere: all peers will
//  hear of it.
void
sim_exchange_bind (sim_world_t *world, const char *exchange,
                   trn_exchange_type_t type, const char *queue);

void
sim_exchange_unbind (sim_world_t *world);

//  The world ends.
void
sim_exchange_forget (sim_world_t *world);

//  A life begins: everything is told again.
void
sim_exchange_start (sim_peer_t *peer);

//  The engine has taken its outbox in.
void
sim_exchange_open (sim_outbox_t *outbox);

void
sim_exchange_check_left (sim_outbox_t *outbox, sim_survival_t survival);

void
sim_exchange_close (sim_outbox_t *outbox);

//  As the ledger calls what a queue gets of an exchange.
void
sim_exchange_stream_name (const char *exchange, const char *queue,
                          char name[TRN_NAME_MAX + 2]);

//  NULL if it never was one of its queues.
sim_branch_t *
sim_exchange_branch (sim_outbox_t *outbox, const char *queue);

//  Do messages say where they go?
bool
sim_exchange_is_routed (const sim_outbox_t *outbox);

//  What these bindings have for a message with this print; returns how many.
size_t
sim_exchange_match (trn_router_t *router, uint64_t print,
                    uint32_t targets[SIM_BRANCHES_MAX]);

//  The queues for a message with this print; returns how many.
size_t
sim_exchange_route (sim_outbox_t *outbox, uint64_t print,
                    uint32_t targets[SIM_BRANCHES_MAX]);

//  It was published: tell the ledger.
void
sim_exchange_append (sim_outbox_t *outbox, uint64_t print,
                     const trn_rule_t *rule);

//  A state was taken; it is durable.
void
sim_exchange_on_state (sim_outbox_t *outbox);

void
sim_exchange_on_saved (sim_outbox_t *outbox);

//  past.c -------------------------------------------------------------------

//  A queue that is new begins with what was kept from this seq on and matches.
void
sim_past_tell (sim_outbox_t *outbox, sim_branch_t *branch,
               const trn_binding_t *binding, uint64_t from);

//  A life begins: what was chosen in earlier ones.  False if a fault of the disk
//  does not let it be read.
bool
sim_past_load (sim_outbox_t *outbox);

//  The queues to which a message of the past was given are its targets, too.
void
sim_past_add_targets (const sim_outbox_t *outbox, trn_rule_t *rule,
                      uint32_t targets[SIM_TARGETS_MAX]);

//  A state is durable.
void
sim_past_on_saved (sim_outbox_t *outbox);

//  The life is over, or all have been told.
void
sim_past_forget (sim_outbox_t *outbox);

#endif
