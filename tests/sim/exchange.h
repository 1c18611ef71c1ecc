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

#endif
