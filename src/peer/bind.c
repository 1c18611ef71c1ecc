//  peer/bind.c - binding queues to exchanges, and listing what is bound
//
//  Knows: that the roster keeps the bindings, and who waits for a directory to
//  take one.  Routing by them is exchange.c.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/exchange.h"

#include "base/memory.h"
#include "base/name.h"
#include "io/clock.h"
#include "wire/props.h"

#include <tern/exchange.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

//  From outside to inside ----------------------------------------------------

static trn_text_t
s_text (const char *text)
{
    return trn_text (text ? text : "");
}

//  0, or why it cannot be one; headers are packed in props, the caller's.
static int
s_convert (const tern_binding_t *from, trn_propset_t *props, trn_binding_t *to)
{
    if (from->header_count > TERN_BINDING_HEADERS_MAX) {
        return TERN_ETOOBIG;
    }
    for (size_t index = 0; index < from->header_count; index++) {
        const int rc
            = trn_propset_text (props, s_text (from->headers[index].name),
                                s_text (from->headers[index].value));
        if (rc != TERN_OK) {
            return rc;
        }
    }
    *to = (trn_binding_t) {
        .exchange = s_text (from->exchange),
        .type = (trn_exchange_type_t) from->type,
        .queue = s_text (from->queue),
        .pattern = s_text (from->pattern),
        .any = from->any,
        .from = (trn_from_t) from->from,
        .from_value = from->from == TERN_FROM_SEQ    ? from->from_seq
                      : from->from == TERN_FROM_TIME ? from->from_ms
                                                     : 0,
        .alternate = s_text (""),
        .writer = s_text (""),
    };
    to->headers = trn_propset_map (props, &to->headers_size);
    return from->from > TERN_FROM_TIME ? TERN_EINVAL : trn_binding_check (to);
}

static void
s_explain (int rc, const tern_binding_t *binding, char *why, size_t why_size)
{
    if (rc == TERN_OK || !why || !why_size) {
        return;
    }
    const char *const reason
        = rc == TERN_ETYPE     ? "the exchange has bindings of another type"
          : rc == TERN_ENAME   ? "not names of an exchange and a queue"
          : rc == TERN_EINVAL  ? "not a pattern or headers for this type"
          : rc == TERN_ETOOBIG ? "pattern or headers too long"
                               : tern_strerror (rc);
    char exchange[TRN_ESCAPED_MAX];
    char queue[TRN_ESCAPED_MAX];
    const char *one = binding->exchange ? binding->exchange : "";
    const char *other = binding->queue ? binding->queue : "";
    snprintf (why, why_size, "%s to %s: %s",
              trn_escape (queue, other, strlen (other)),
              trn_escape (exchange, one, strlen (one)), reason);
}

//  Binding -------------------------------------------------------------------

typedef struct {
    trn_binding_t *binding;
    int result;
} s_binding_t;

static void
s_bind (tern_peer_t *peer, void *arg)
{
    s_binding_t *binding = arg;
    const int64_t now = trn_clock_ms ();
    binding->binding->stamp_us = trn_clock_wall_us ();
    binding->result = trn_roster_bind (peer->roster, binding->binding, now);
    trn_nodes_drain (peer, now);
}

static int
s_say (tern_peer_t *self, const tern_binding_t *binding, bool removed,
       char *why, size_t why_size)
{
    trn_propset_t props = {0};
    trn_binding_t inside;
    int rc = s_convert (binding, &props, &inside);
    if (rc == TERN_OK) {
        inside.removed = removed;
        s_binding_t saying = {&inside, TERN_OK};
        trn_actor_call (self, s_bind, &saying);
        rc = saying.result;
    }
    s_explain (rc, binding, why, why_size);
    trn_propset_clear (&props);
    return rc;
}

int
tern_peer_bind (tern_peer_t *self, const tern_binding_t *binding, char *why,
                size_t why_size)
{
    assert (self && binding);
    return s_say (self, binding, false, why, why_size);
}

int
tern_peer_unbind (tern_peer_t *self, const tern_binding_t *binding, char *why,
                  size_t why_size)
{
    assert (self && binding);
    return s_say (self, binding, true, why, why_size);
}

//  Waiting -------------------------------------------------------------------

//  Somebody waits until a directory has answered.  On the waiter's stack, in the
//  peer's list under its lock.
struct trn_bound_wait {
    struct trn_bound_wait *next;
    trn_binding_t *binding;  //  headers in the one form
    bool done;
    int result;
};

void
trn_bound_tell (tern_peer_t *peer, const trn_binding_t *binding, int result)
{
    pthread_mutex_lock (&peer->lock);
    for (trn_bound_wait_t *at = peer->bound_waits; at; at = at->next) {
        if (trn_binding_order (at->binding, binding) == 0) {
            at->done = true;
            at->result = result;
        }
    }
    pthread_cond_broadcast (&peer->changed);
    pthread_mutex_unlock (&peer->lock);
}

//  Actor: a directory is to confirm what holds.
static void
s_confirm (tern_peer_t *peer, void *arg)
{
    s_binding_t *asked = arg;
    const int64_t now = trn_clock_ms ();
    asked->result = trn_roster_confirm (peer->roster, asked->binding, now);
    trn_nodes_drain (peer, now);
}

static int
s_wait_bound (tern_peer_t *self, trn_bound_wait_t *wait, int timeout_ms)
{
    const struct timespec until
        = trn_clock_after (timeout_ms < 0 ? 0 : timeout_ms);
    int rc = timeout_ms == 0;
    pthread_mutex_lock (&self->lock);
    while (!wait->done && rc == 0) {
        rc = timeout_ms < 0
                 ? pthread_cond_wait (&self->changed, &self->lock)
                 : pthread_cond_timedwait (&self->changed, &self->lock, &until);
    }
    pthread_mutex_unlock (&self->lock);
    return wait->done ? wait->result : TERN_ETIMEOUT;
}

int
tern_peer_bound (tern_peer_t *self, const tern_binding_t *binding,
                 int timeout_ms)
{
    assert (self && binding);
    trn_propset_t props = {0};
    trn_binding_t inside;
    uint8_t headers[TRN_BINDING_HEADERS_MAX];
    int rc = s_convert (binding, &props, &inside);
    if (rc != TERN_OK) {
        trn_propset_clear (&props);
        return TERN_ENOENT;  //  it cannot have been said
    }
    inside.headers_size
        = trn_binding_headers (inside.headers, inside.headers_size, headers);
    inside.headers = headers;
    trn_bound_wait_t wait = {.binding = &inside};
    pthread_mutex_lock (&self->lock);
    wait.next = self->bound_waits;
    // cppcheck-suppress autoVariables ; taken out below
    self->bound_waits = &wait;
    pthread_mutex_unlock (&self->lock);

    s_binding_t asked = {&inside, TERN_OK};
    trn_actor_call (self, s_confirm, &asked);
    rc = asked.result == TERN_OK ? s_wait_bound (self, &wait, timeout_ms)
                                 : asked.result;

    pthread_mutex_lock (&self->lock);
    trn_bound_wait_t **link = &self->bound_waits;
    while (*link != &wait) {
        link = &(*link)->next;
    }
    *link = wait.next;
    pthread_mutex_unlock (&self->lock);
    trn_propset_clear (&props);
    return rc;
}

//  Listing -------------------------------------------------------------------

//  A binding as it is shown, with the memory it points to.
struct trn_shown {
    tern_header_t headers[TERN_BINDING_HEADERS_MAX];
    char text[TRN_BINDING_HEADERS_MAX + TRN_KEY_MAX + 4 * TRN_NAME_MAX
              + 4 * TERN_BINDING_HEADERS_MAX];
    size_t used;
};

static const char *
s_show_text (trn_shown_t *shown, trn_text_t text)
{
    char *at = shown->text + shown->used;
    assert (shown->used + text.size < sizeof shown->text);
    memcpy (at, text.at, text.size);
    at[text.size] = 0;
    shown->used += text.size + 1;
    return at;
}

static void
s_show (trn_shown_t *shown, const trn_binding_t *from, tern_binding_t *to)
{
    shown->used = 0;
    *to = (tern_binding_t) {
        .exchange = s_show_text (shown, from->exchange),
        .type = (tern_exchange_type_t) from->type,
        .queue = s_show_text (shown, from->queue),
        .pattern = s_show_text (shown, from->pattern),
        .headers = shown->headers,
        .any = from->any,
        .from = (tern_from_t) from->from,
        .from_seq = from->from == TRN_FROM_SEQ ? from->from_value : 0,
        .from_ms = from->from == TRN_FROM_TIME ? from->from_value : 0,
    };
    trn_props_t props;
    trn_prop_t prop;
    if (trn_props_open (&props, from->headers, from->headers_size) != 0) {
        return;
    }
    while (to->header_count < TERN_BINDING_HEADERS_MAX
           && trn_props_next (&props, &prop)) {
        tern_header_t *header = &shown->headers[to->header_count++];
        header->name = s_show_text (shown, prop.key);
        header->value = s_show_text (shown, prop.text);
    }
}

typedef struct {
    size_t index;
    tern_binding_t *binding;
    bool found;
} s_listing_t;

static void
s_list (tern_peer_t *peer, void *arg)
{
    s_listing_t *listing = arg;
    const trn_bindings_t *bindings = trn_roster_bindings (peer->roster);
    trn_binding_t binding;
    //  Removed ones are passed over; from where the last call was.
    trn_listed_t *listed = &peer->listed;
    if (listing->index == 0 || listing->index != listed->index
        || listed->number != trn_bindings_number (bindings)) {
        *listed = (trn_listed_t) {.number = trn_bindings_number (bindings)};
    }
    while (!listing->found
           && trn_bindings_at (bindings, listed->at, &binding)) {
        listed->at++;
        if (!binding.removed && listed->index++ == listing->index) {
            if (!peer->shown) {
                peer->shown = trn_alloc (sizeof *peer->shown);
            }
            s_show (peer->shown, &binding, listing->binding);
            listing->found = true;
        }
    }
}

bool
tern_peer_binding_at (tern_peer_t *self, size_t index, tern_binding_t *binding)
{
    assert (self && binding);
    s_listing_t listing = {index, binding, false};
    trn_actor_call (self, s_list, &listing);
    return listing.found;
}
