//  peer/policy.c - what a publisher says about its queues
//
//  Knows: where a policy comes from.  What the configuration says holds from
//  opening on; what a program says, from then on; else what the outbox's state
//  has kept of an earlier life.  Two kinds of queues have one of their own, which
//  nobody can change: in dead letters, and in the private queue of a peer, nothing
//  dies, but is dropped.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/peer.h"

#include "io/clock.h"

#include <assert.h>
#include <string.h>

void
tern_policy_default (tern_policy_t *self)
{
    assert (self);
    trn_policy_t policy;
    trn_policy_default (&policy);
    *self = (tern_policy_t) {
        .max_deliveries = policy.max_deliveries,
        .backoff = TERN_BACKOFF_EXPONENTIAL,
        .backoff_min_ms = policy.pause_min_ms,
        .backoff_max_ms = policy.pause_max_ms,
    };
}

static bool
s_valid (const tern_policy_t *self)
{
    if (self->ttl_ms > TRN_RULE_MS_MAX) {
        return false;
    }
    switch (self->backoff) {
    case TERN_BACKOFF_EXPONENTIAL:
        return self->backoff_min_ms >= 1
               && self->backoff_max_ms >= self->backoff_min_ms;
    case TERN_BACKOFF_FIXED: return self->backoff_min_ms >= 1;
    case TERN_BACKOFF_LIST:
        if (self->pause_count < 1 || self->pause_count > TERN_PAUSES_MAX) {
            return false;
        }
        for (uint32_t index = 0; index < self->pause_count; index++) {
            if (self->pauses_ms[index] < 1) {
                return false;
            }
        }
        return true;
    default: return false;
    }
}

static trn_policy_t
s_inside (const tern_policy_t *self)
{
    trn_policy_t policy;
    trn_policy_default (&policy);
    policy.max_deliveries = self->max_deliveries;
    policy.ttl_ms = self->ttl_ms;
    policy.drop_expired = self->drop_expired;
    policy.single = self->single;
    switch (self->backoff) {
    case TERN_BACKOFF_EXPONENTIAL:
        policy.pause = TRN_PAUSE_EXPONENTIAL;
        policy.pause_min_ms = self->backoff_min_ms;
        policy.pause_max_ms = self->backoff_max_ms;
        break;
    case TERN_BACKOFF_FIXED:
        policy.pause = TRN_PAUSE_FIXED;
        policy.pause_min_ms = self->backoff_min_ms;
        policy.pause_max_ms = self->backoff_min_ms;
        break;
    case TERN_BACKOFF_LIST:
    default:
        policy.pause = TRN_PAUSE_LIST;
        policy.pause_count = self->pause_count;
        memcpy (policy.pauses, self->pauses_ms, sizeof policy.pauses);
    }
    return policy;
}

void
trn_box_set_policy (trn_box_t *box, uint32_t number, const char *queue)
{
    trn_policy_t policy;
    const bool set = trn_config_policy (box->peer->config, queue, &policy);
    policy.terminal = trn_dead_name (queue) || queue[0] == '@';
    if (set || policy.terminal) {
        trn_engine_set_policy (box->peer->engine, box->id, number, &policy,
                               trn_clock_ms ());
    }
}

typedef struct {
    trn_box_t *box;
    trn_policy_t policy;
} s_setting_t;

static void
s_set (tern_peer_t *peer, void *arg)
{
    const s_setting_t *setting = arg;
    trn_engine_set_policy (peer->engine, setting->box->id, 0, &setting->policy,
                           trn_clock_ms ());
}

int
trn_box_policy (trn_box_t *box, const tern_policy_t *policy)
{
    assert (box && policy);
    if (!s_valid (policy)) {
        return TERN_EINVAL;
    }
    s_setting_t setting = {box, s_inside (policy)};
    setting.policy.terminal = box->queue[0] == '@';
    trn_actor_call (box->peer, s_set, &setting);
    return TERN_OK;
}
