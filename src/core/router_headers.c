//  core/router_headers.c - the filters of a router, and matching headers
//
//  A filter (all or any of some headers) is found by one of its headers if it
//  wants all of them: that which the fewest others are found by; by each of
//  them if one is enough; at the root if it has none.  A node of its own tells
//  that it is there.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/router_inside.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "wire/props.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

//  A name with its value as one word.  Names have no NUL, so it tells where
//  they end.  Only what a binding can have has a word.
#define PAIR_MAX (TRN_PROPS_KEY_MAX + 1 + TRN_BINDING_HEADERS_MAX)

static bool
s_pair_word (const trn_prop_t *prop, char buffer[PAIR_MAX], trn_text_t *word)
{
    if (prop->kind != TRN_PROP_TEXT
        || prop->text.size > TRN_BINDING_HEADERS_MAX) {
        return false;
    }
    memcpy (buffer, prop->key.at, prop->key.size);
    buffer[prop->key.size] = 0;
    if (prop->text.size) {
        memcpy (buffer + prop->key.size + 1, prop->text.at, prop->text.size);
    }
    *word = (trn_text_t) {buffer, prop->key.size + 1 + prop->text.size};
    return true;
}

static trn_props_t
s_open (const uint8_t *headers, size_t size)
{
    trn_props_t props;
    const int rc = trn_props_open (&props, headers, size);
    assert (!rc);  //  it passed the check
    (void) rc;
    return props;
}

static uint32_t
s_new_filter (trn_router_t *self, const trn_router_filter_t *filter)
{
    uint32_t number = self->free_filter;
    if (number != TRN_INDEX_NONE) {
        self->free_filter = self->filters[number].next;
    } else {
        if (self->filter_count == self->filter_capacity) {
            self->filter_capacity
                = self->filter_capacity ? 2 * self->filter_capacity : 16;
            self->filters = trn_realloc (
                self->filters, self->filter_capacity * sizeof *self->filters);
        }
        number = self->filter_count++;
    }
    trn_router_filter_t *own = &self->filters[number];
    *own = *filter;
    own->headers = trn_alloc (filter->headers_size + 1);
    if (filter->headers_size) {
        memcpy (own->headers, filter->headers, filter->headers_size);
    }
    return number;
}

static void
s_free_filter (trn_router_t *self, uint32_t number)
{
    free (self->filters[number].headers);
    self->filters[number] = (trn_router_filter_t) {.next = self->free_filter};
    self->free_filter = number;
}

//  A filter as one word, to find it again.  No name begins with a NUL.
#define FILTER_MAX (6 + TRN_BINDING_HEADERS_MAX)

static trn_text_t
s_filter_word (const trn_router_filter_t *filter, char buffer[FILTER_MAX])
{
    buffer[0] = 0;
    buffer[1] = filter->any;
    trn_put_u32 ((uint8_t *) buffer + 2, filter->target);
    memcpy (buffer + 6, filter->headers, filter->headers_size);
    return (trn_text_t) {buffer, 6 + filter->headers_size};
}

//  The nodes of its headers that are there; *least_p: that with the fewest
//  filters, made if need be.  At least one, the root if it has no header.
static size_t
s_filter_nodes (trn_router_t *self, const trn_router_filter_t *filter,
                bool make, uint32_t nodes[TRN_PROPS_COUNT], uint32_t *least_p)
{
    trn_props_t props = s_open (filter->headers, filter->headers_size);
    nodes[0] = *least_p = TRN_ROUTER_ROOT;
    if (!props.left) {
        return 1;
    }
    size_t count = 0;
    size_t least = SIZE_MAX;
    trn_prop_t prop;
    while (trn_props_next (&props, &prop)) {
        char buffer[PAIR_MAX];
        trn_text_t word = {"", 0};
        s_pair_word (&prop, buffer, &word);
        const uint32_t node
            = make ? trn_router_make_child (self, TRN_ROUTER_ROOT, word)
                   : trn_router_child (self, TRN_ROUTER_ROOT, word,
                                       trn_router_hash (word));
        if (!node) {
            continue;
        }
        nodes[count++] = node;
        if (self->nodes[node].targets.count < least) {
            least = self->nodes[node].targets.count;
            *least_p = node;
        }
    }
    return count;
}

void
trn_router_bind_filter (trn_router_t *self, const trn_router_filter_t *filter)
{
    char buffer[FILTER_MAX];
    const trn_text_t word = s_filter_word (filter, buffer);
    const uint32_t known = trn_router_make_child (self, TRN_ROUTER_ROOT, word);
    if (self->nodes[known].targets.count) {
        return;
    }
    const uint32_t number = s_new_filter (self, filter);
    trn_idlist_append (&self->nodes[known].targets, number);
    uint32_t nodes[TRN_PROPS_COUNT];
    uint32_t least;
    const size_t count = s_filter_nodes (self, filter, true, nodes, &least);
    for (size_t index = 0; index < count; index++) {
        if (filter->any || nodes[index] == least) {
            trn_idlist_append (&self->nodes[nodes[index]].targets, number);
        }
        trn_router_prune (self, nodes[index]);
    }
}

bool
trn_router_unbind_filter (trn_router_t *self, const trn_router_filter_t *filter)
{
    char buffer[FILTER_MAX];
    const trn_text_t word = s_filter_word (filter, buffer);
    const uint32_t known = trn_router_child (self, TRN_ROUTER_ROOT, word,
                                             trn_router_hash (word));
    if (!known) {
        return false;
    }
    const uint32_t number = self->nodes[known].targets.at[0];
    self->nodes[known].targets.count = 0;
    trn_router_prune (self, known);
    uint32_t nodes[TRN_PROPS_COUNT];
    uint32_t least;
    const size_t count = s_filter_nodes (self, filter, false, nodes, &least);
    for (size_t index = 0; index < count; index++) {
        trn_idlist_pick (&self->nodes[nodes[index]].targets, number);
        trn_router_prune (self, nodes[index]);
    }
    s_free_filter (self, number);
    return true;
}

static bool
s_same_text (trn_text_t one, trn_text_t other)
{
    return one.size == other.size
           && (!one.size || !memcmp (one.at, other.at, one.size));
}

//  Does the message, whose headers are given, have all that the filter wants?
static bool
s_has_all (const trn_router_filter_t *filter, const trn_prop_t *headers,
           size_t count)
{
    trn_props_t props = s_open (filter->headers, filter->headers_size);
    if (props.left > count) {
        return false;
    }
    trn_prop_t wanted;
    while (trn_props_next (&props, &wanted)) {
        size_t at = 0;
        while (at < count && !s_same_text (headers[at].key, wanted.key)) {
            at++;
        }
        if (at == count || headers[at].kind != TRN_PROP_TEXT
            || !s_same_text (headers[at].text, wanted.text)) {
            return false;
        }
    }
    return true;
}

static void
s_collect_filters (trn_router_t *self, uint32_t node, const trn_prop_t *headers,
                   size_t count)
{
    const trn_idlist_t *there = &self->nodes[node].targets;
    for (size_t index = 0; index < there->count; index++) {
        const trn_router_filter_t *filter = &self->filters[there->at[index]];
        if (filter->any || s_has_all (filter, headers, count)) {
            trn_idlist_append (&self->found, filter->target);
        }
    }
}

void
trn_router_match_headers (trn_router_t *self, const uint8_t *bytes, size_t size)
{
    trn_prop_t headers[TRN_PROPS_COUNT];
    size_t count = 0;
    trn_props_t props;
    if (trn_props_open (&props, bytes, bytes ? size : 0) == 0) {
        while (trn_props_next (&props, &headers[count])) {
            count++;
        }
    }
    s_collect_filters (self, TRN_ROUTER_ROOT, headers, count);
    for (size_t index = 0; index < count; index++) {
        char buffer[PAIR_MAX];
        trn_text_t word;
        if (s_pair_word (&headers[index], buffer, &word)) {
            const uint32_t node = trn_router_child (self, TRN_ROUTER_ROOT, word,
                                                    trn_router_hash (word));
            if (node) {
                s_collect_filters (self, node, headers, count);
            }
        }
    }
}
