//  core/router.c - one exchange, made ready for matching
//
//  Knows: which targets get a message.  One trie serves all types; what a step
//  in it is depends on the type:
//
//      fanout   no step: all targets are at the root
//      direct   one step, the whole key
//      topic    a step per word; * and # are steps of their own
//      headers  one step, a name with its value; filters are there
//
//  A topic is matched like this: a set of nodes where the words so far may have
//  led, then the next word moves the set.  A node is in a set once, so a message
//  costs at most words times nodes, whatever the patterns; a pattern such as
//  "#.#.#.a" costs four nodes, not a search.
//
//      #.b     root --#--> 1 --b--> 2           key a.b
//      a.*     root --a--> 3 --*--> 4           {0 1} -a-> {1 3} -b-> {1 2 4}
//
//  Invariants: targets of a node ascend, each once; a node but the root has a
//  target, a filter or a child; node 0 is the root and nobody's child.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/router_inside.h"

#include "base/memory.h"

#include <tern/error.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

//  Life ----------------------------------------------------------------------

trn_router_t *
trn_router_new (trn_exchange_type_t type)
{
    assert (type >= TRN_EXCHANGE_DIRECT && type <= TRN_EXCHANGE_HEADERS);
    trn_router_t *self = trn_alloc (sizeof *self);
    self->type = type;
    self->free_node = TRN_INDEX_NONE;
    self->free_filter = TRN_INDEX_NONE;
    trn_router_new_node (self, TRN_ROUTER_ROOT);
    return self;
}

void
trn_router_destroy (trn_router_t **self_p)
{
    if (!self_p || !*self_p) {
        return;
    }
    trn_router_t *self = *self_p;
    for (uint32_t index = 0; index < self->node_count; index++) {
        free (self->nodes[index].word);
        free (self->nodes[index].targets.at);
    }
    for (uint32_t index = 0; index < self->filter_count; index++) {
        free (self->filters[index].headers);
    }
    trn_index_clear (&self->by_step);
    free (self->nodes);
    free (self->marks);
    free (self->filters);
    free (self->now.at);
    free (self->next.at);
    free (self->found.at);
    free (self);
    *self_p = NULL;
}

//  Words ---------------------------------------------------------------------

//  Cut the next word off; false behind the last.  rest->at is NULL then.
static bool
s_next_word (trn_text_t *rest, trn_text_t *word)
{
    if (!rest->at) {
        return false;
    }
    const char *dot = rest->size ? memchr (rest->at, '.', rest->size) : NULL;
    *word = *rest;
    if (!dot) {
        *rest = (trn_text_t) {NULL, 0};
        return true;
    }
    word->size = (size_t) (dot - rest->at);
    rest->at = dot + 1;
    rest->size -= word->size + 1;
    return true;
}

//  The words of a key or pattern; the empty one has none.
static trn_text_t
s_words (const void *key, size_t size)
{
    return (trn_text_t) {size ? key : NULL, size};
}

//  The node of a pattern; with make, made if need be, else 0 may be returned
//  for one that is not there.
static uint32_t
s_walk (trn_router_t *self, trn_text_t pattern, bool make)
{
    uint32_t at = TRN_ROUTER_ROOT;
    trn_text_t rest = s_words (pattern.at, pattern.size);
    trn_text_t word;
    while (s_next_word (&rest, &word)) {
        const bool star = trn_text_is (word, "*");
        const bool many = trn_text_is (word, "#");
        uint32_t next = star   ? self->nodes[at].star
                        : many ? self->nodes[at].hash
                               : trn_router_child (self, at, word,
                                                   trn_router_hash (word));
        if (!next && !make) {
            return TRN_ROUTER_ROOT;
        }
        if (!next && !star && !many) {
            next = trn_router_make_child (self, at, word);
        } else if (!next) {
            next = trn_router_new_node (self, at);
            self->nodes[next].many = many;
            *(star ? &self->nodes[at].star : &self->nodes[at].hash) = next;
        }
        at = next;
    }
    return at;
}

//  Where the targets of a pattern are; false: nowhere.
static bool
s_pattern_node (trn_router_t *self, trn_text_t pattern, bool make,
                uint32_t *node_p)
{
    *node_p = TRN_ROUTER_ROOT;
    switch (self->type) {
    case TRN_EXCHANGE_FANOUT: return true;
    case TRN_EXCHANGE_TOPIC:
        *node_p = s_walk (self, pattern, make);
        return *node_p || !pattern.size;
    case TRN_EXCHANGE_DIRECT:
        *node_p = make ? trn_router_make_child (self, TRN_ROUTER_ROOT, pattern)
                       : trn_router_child (self, TRN_ROUTER_ROOT, pattern,
                                           trn_router_hash (pattern));
        return *node_p;
    case TRN_EXCHANGE_HEADERS: break;
    }
    return false;
}

//  Binding -------------------------------------------------------------------

static int
s_check (const trn_router_t *self, const trn_binding_t *binding)
{
    const int rc = trn_binding_check (binding);
    return !rc && binding->type != self->type ? TERN_ETYPE : rc;
}

int
trn_router_bind (trn_router_t *self, const trn_binding_t *binding,
                 uint32_t target)
{
    assert (self && binding);
    const int rc = s_check (self, binding);
    if (rc) {
        return rc;
    }
    if (self->type == TRN_EXCHANGE_HEADERS) {
        uint8_t headers[TRN_BINDING_HEADERS_MAX];
        const trn_router_filter_t filter = {
            .headers = headers,
            .headers_size = trn_binding_headers (
                binding->headers, binding->headers_size, headers),
            .target = target,
            .any = binding->any,
        };
        trn_router_bind_filter (self, &filter);
        return 0;
    }
    uint32_t node;
    s_pattern_node (self, binding->pattern, true, &node);
    trn_idlist_add (&self->nodes[node].targets, target);
    return 0;
}

bool
trn_router_unbind (trn_router_t *self, const trn_binding_t *binding,
                   uint32_t target)
{
    assert (self && binding);
    if (s_check (self, binding)) {
        return false;
    }
    if (self->type == TRN_EXCHANGE_HEADERS) {
        uint8_t headers[TRN_BINDING_HEADERS_MAX];
        const trn_router_filter_t filter = {
            .headers = headers,
            .headers_size = trn_binding_headers (
                binding->headers, binding->headers_size, headers),
            .target = target,
            .any = binding->any,
        };
        return trn_router_unbind_filter (self, &filter);
    }
    uint32_t node;
    if (!s_pattern_node (self, binding->pattern, false, &node)
        || !trn_idlist_remove (&self->nodes[node].targets, target)) {
        return false;
    }
    trn_router_prune (self, node);
    return true;
}

//  Matching topics -----------------------------------------------------------

//  Put a node into the next set, once; where it is, no word leads on to its #.
static void
s_enter (trn_router_t *self, uint32_t node)
{
    while (node && self->marks[node] != self->mark) {
        self->marks[node] = self->mark;
        trn_idlist_append (&self->next, node);
        node = self->nodes[node].hash;
    }
}

//  The next set becomes the present one.
static void
s_advance (trn_router_t *self)
{
    const trn_idlist_t done = self->now;
    self->now = self->next;
    self->next = done;
    self->next.count = 0;
    self->mark++;
}

static void
s_match_topic (trn_router_t *self, const void *key, size_t size)
{
    self->next.count = 0;
    self->mark++;
    trn_idlist_append (&self->next, TRN_ROUTER_ROOT);
    s_enter (self, self->nodes[TRN_ROUTER_ROOT].hash);
    s_advance (self);
    trn_text_t rest = s_words (key, size);
    trn_text_t word;
    while (self->now.count && s_next_word (&rest, &word)) {
        const uint64_t hash = trn_router_hash (word);
        for (size_t index = 0; index < self->now.count; index++) {
            const uint32_t at = self->now.at[index];
            s_enter (self, trn_router_child (self, at, word, hash));
            s_enter (self, self->nodes[at].star);
            if (self->nodes[at].many) {
                s_enter (self, at);
            }
        }
        s_advance (self);
    }
    for (size_t index = 0; index < self->now.count; index++) {
        trn_idlist_append_all (&self->found,
                               &self->nodes[self->now.at[index]].targets);
    }
}

size_t
trn_router_route (trn_router_t *self, const void *key, size_t key_size,
                  const uint8_t *props, size_t props_size, uint32_t *targets,
                  size_t max)
{
    assert (self && (key || !key_size) && (targets || !max));
    const trn_text_t text = {key_size ? key : "", key_size};
    const trn_idlist_t *found = &self->found;
    uint32_t node = TRN_ROUTER_ROOT;
    self->found.count = 0;
    switch (self->type) {
    case TRN_EXCHANGE_FANOUT:
        found = &self->nodes[TRN_ROUTER_ROOT].targets;
        break;
    case TRN_EXCHANGE_DIRECT:
        node = trn_router_child (self, TRN_ROUTER_ROOT, text,
                                 trn_router_hash (text));
        found = node ? &self->nodes[node].targets : found;
        break;
    case TRN_EXCHANGE_TOPIC:
        s_match_topic (self, key, key_size);
        trn_idlist_sort (&self->found);
        break;
    case TRN_EXCHANGE_HEADERS:
        trn_router_match_headers (self, props, props_size);
        trn_idlist_sort (&self->found);
        break;
    }
    const size_t filled = found->count < max ? found->count : max;
    if (filled) {
        memcpy (targets, found->at, filled * sizeof *targets);
    }
    return found->count;
}
