//  peer/fate.c - what became of a message, read from its owner's store
//
//  The store knows how an outbox lies on the disk, the core what its saved state
//  means; here they meet.  Nothing is changed, and the owner may be running.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/fate.h"

#include "base/name.h"
#include "core/counts.h"
#include "core/state.h"
#include "peer/exchange.h"
#include "peer/inbox.h"
#include "peer/message.h"
#include "peer/ruling.h"
#include "wire/manifest.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

//  Rules ---------------------------------------------------------------------

static void
s_read_ruling (const tern_store_message_t *message, trn_ruling_t *ruling)
{
    const trn_record_t record = {.seq = message->seq,
                                 .props = message->props,
                                 .props_size = (uint16_t) message->props_size};
    trn_ruling_read (&record, ruling);
}

static void
s_read_text (const trn_prop_t *prop, const char *name, const char **text_p,
             size_t *size_p)
{
    if (trn_text_is (prop->key, name)) {
        *text_p = prop->text.at;
        *size_p = prop->text.size;
    }
}

void
tern_store_rules (const tern_store_message_t *message,
                  tern_store_rules_t *rules)
{
    assert (message && rules);
    trn_ruling_t ruling;
    s_read_ruling (message, &ruling);
    *rules = (tern_store_rules_t) {.priority = ruling.rule.priority,
                                   .due_ms = ruling.rule.due_ms,
                                   .expires_ms = ruling.rule.expires_ms};
    free (ruling.targets);
    trn_props_t props;
    trn_prop_t prop;
    if (trn_props_open (&props, message->props, message->props_size) < 0) {
        return;
    }
    rules->large_size = trn_manifest_size (&props);
    while (trn_props_next (&props, &prop)) {
        if (prop.kind == TRN_PROP_TEXT) {
            s_read_text (&prop, TRN_OWN_ORDER, &rules->order_key,
                         &rules->order_key_size);
            s_read_text (&prop, TRN_OWN_ID, &rules->first_id,
                         &rules->first_id_size);
        }
    }
}

//  State ---------------------------------------------------------------------

//  What an exchange or an inbox remembers of itself stands before the engine's
//  state.
static int
s_decode (trn_publication_t *publication, const trn_log_state_t *state)
{
    size_t before = 0;
    if (publication->name[0] == '#' && state->blob_size) {
        trn_exchange_spec_t spec;
        before = trn_exchange_unpack (&spec, state->blob, state->blob_size);
        if (!before) {
            return TERN_ECORRUPT;
        }
    }
    if (publication->name[0] == TRN_INBOX_MARK && state->blob_size) {
        before = trn_inbox_unpack (NULL, state->blob, state->blob_size);
        if (!before) {
            return TERN_ECORRUPT;
        }
    }
    return state->blob_size > before
               ? trn_state_decode (publication, true, state->blob + before,
                                   state->blob_size - before)
               : 0;
}

//  A state that was never saved says nothing of any.
int
trn_fate_open (tern_store_t *self, const char *outbox,
               trn_publication_t **publication_p)
{
    assert (self && outbox && publication_p);
    *publication_p = NULL;
    trn_inspect_cells_t cells;
    int rc = trn_inspect_open_outbox (self, outbox, &cells);
    if (rc == 0) {
        rc = cells.state_rc == TERN_ENOENT ? TERN_ECORRUPT : cells.state_rc;
    }
    if (rc == 0) {
        trn_publication_t *publication
            = trn_publication_new (1, outbox, TRN_SEQ_MAX - 1);
        rc = s_decode (publication, &cells.state);
        if (rc == 0 && publication->name[0] != '#'
            && !publication->subs.count) {
            trn_publication_add_queue (publication, outbox, 1, 1);
        }
        if (rc < 0) {
            trn_publication_destroy (&publication);
        }
        *publication_p = publication;
    }
    trn_inspect_close_cells (self, &cells);
    return rc;
}

typedef struct {
    uint64_t seq;
    trn_ruling_t ruling;
} s_finding_t;

static int
s_find (void *arg, const tern_store_message_t *message)
{
    s_finding_t *const finding = arg;
    if (message->seq == finding->seq) {
        s_read_ruling (message, &finding->ruling);
    }
    return 1;
}

//  Does the message go to this queue?
static bool
s_goes_to (const trn_publication_t *publication, const trn_subscription_t *sub,
           const trn_ruling_t *ruling)
{
    const trn_rule_t *rule = &ruling->rule;
    bool named = false;
    for (size_t index = 0; index < rule->target_count; index++) {
        named = named || rule->targets[index] == sub->number;
    }
    return !publication->routed || named;
}

static bool
s_is_settled (const trn_subscription_t *sub, uint64_t seq)
{
    return seq < sub->low || trn_seqset_has (&sub->settled, seq);
}

bool
trn_fate_settled (const trn_publication_t *publication,
                  const tern_store_message_t *message)
{
    assert (publication && message);
    trn_ruling_t ruling;
    s_read_ruling (message, &ruling);
    bool settled = true;
    for (size_t at = 0; at < publication->subs.count && settled; at++) {
        const trn_subscription_t *sub = publication->subs.at[at];
        settled = !s_goes_to (publication, sub, &ruling)
                  || s_is_settled (sub, message->seq);
    }
    free (ruling.targets);
    return settled;
}

int
tern_store_fate (tern_store_t *self, const char *outbox, uint64_t seq,
                 size_t index, tern_store_fate_t *fate)
{
    assert (self && outbox && fate);
    trn_publication_t *publication = NULL;
    int rc = trn_fate_open (self, outbox, &publication);
    if (!publication) {
        return rc;
    }
    s_finding_t finding = {.seq = seq};
    if (publication->routed) {
        rc = tern_store_peek (self, outbox, seq, s_find, &finding);
    }
    const trn_subscription_t *sub = NULL;
    for (size_t at = 0; at < publication->subs.count && !sub && rc >= 0; at++) {
        const trn_subscription_t *one = publication->subs.at[at];
        if (s_goes_to (publication, one, &finding.ruling) && index-- == 0) {
            sub = one;
        }
    }
    if (sub) {
        uint64_t to = seq;
        snprintf (fate->queue, sizeof fate->queue, "%s", sub->queue);
        fate->settled = s_is_settled (sub, seq);
        fate->deliveries
            = fate->settled ? 0 : trn_counts_get (&sub->counts, seq, &to);
    }
    free (finding.ruling.targets);
    trn_publication_destroy (&publication);
    return rc < 0 ? rc : sub ? 0 : TERN_ENOENT;
}
