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
//  A filter (all or any of some headers) is found by one of its headers if it
//  wants all of them: that which the fewest others are found by; by each of
//  them if one is enough; at the root if it has none.  A node of its own tells
//  that it is there.
//
//  Invariants: targets of a node ascend, each once; a node but the root has a
//  target, a filter or a child; node 0 is the root and nobody's child.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/router.h"

#include "base/bytes.h"
#include "base/memory.h"
#include "core/index.h"
#include "wire/props.h"

#include <tern/error.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define ROOT 0u

//  Numbers, in a list of our own.
typedef struct {
    uint32_t *at;
    size_t count, capacity;
} numbers_t;

typedef struct {
    char *word;  //  of the step that leads here; owned, NULL: * or # or free
    size_t word_size;
    uint32_t parent;
    uint32_t star, hash;  //  children; 0: none
    uint32_t children;    //  by a word
    numbers_t targets;    //  headers: filters
    bool many;            //  a # leads here
} node_t;

typedef struct {
    uint8_t *headers;  //  in the one form, owned; NULL: the slot is free
    size_t headers_size;
    uint32_t target;
    bool any;
    uint32_t next;  //  free slot
} filter_t;

struct trn_router {
    trn_exchange_type_t type;
    node_t *nodes;
    uint32_t node_count, node_capacity;
    uint32_t free_node;   //  linked by parent; TRN_INDEX_NONE: none
    trn_index_t by_step;  //  (parent, word) -> node
    filter_t *filters;
    uint32_t filter_count, filter_capacity;
    uint32_t free_filter;
    //  Scratch.
    uint64_t *marks;  //  per node: the set it was last put into
    uint64_t mark;
    numbers_t now, next;  //  sets of nodes
    numbers_t found;      //  targets
};

//  Numbers -------------------------------------------------------------------

static void
s_reserve (numbers_t *self, size_t more)
{
    if (self->count + more > self->capacity) {
        self->capacity = 2 * (self->count + more);
        self->at = trn_realloc (self->at, self->capacity * sizeof *self->at);
    }
}

static void
s_append (numbers_t *self, uint32_t number)
{
    s_reserve (self, 1);
    self->at[self->count++] = number;
}

static void
s_append_all (numbers_t *self, const numbers_t *other)
{
    if (other->count) {
        s_reserve (self, other->count);
        memcpy (self->at + self->count, other->at,
                other->count * sizeof *self->at);
        self->count += other->count;
    }
}

//  Where number is in an ascending list, or would be.
static size_t
s_place (const numbers_t *self, uint32_t number)
{
    size_t low = 0;
    size_t high = self->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (self->at[middle] < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void
s_add_sorted (numbers_t *self, uint32_t number)
{
    const size_t at = s_place (self, number);
    if (at < self->count && self->at[at] == number) {
        return;
    }
    s_reserve (self, 1);
    memmove (self->at + at + 1, self->at + at,
             (self->count - at) * sizeof *self->at);
    self->at[at] = number;
    self->count++;
}

static bool
s_remove_sorted (numbers_t *self, uint32_t number)
{
    const size_t at = s_place (self, number);
    if (at == self->count || self->at[at] != number) {
        return false;
    }
    self->count--;
    memmove (self->at + at, self->at + at + 1,
             (self->count - at) * sizeof *self->at);
    return true;
}

static int
s_order (const void *one, const void *other)
{
    const uint32_t a = *(const uint32_t *) one;
    const uint32_t b = *(const uint32_t *) other;
    return (a > b) - (a < b);
}

//  Ascending, each once.
static void
s_sort (numbers_t *self)
{
    size_t sorted = 1;
    while (sorted < self->count && self->at[sorted - 1] < self->at[sorted]) {
        sorted++;
    }
    if (sorted >= self->count) {
        return;
    }
    qsort (self->at, self->count, sizeof *self->at, s_order);
    size_t kept = 1;
    for (size_t index = 1; index < self->count; index++) {
        if (self->at[index] != self->at[kept - 1]) {
            self->at[kept++] = self->at[index];
        }
    }
    self->count = kept;
}

//  Nodes ---------------------------------------------------------------------

static uint64_t
s_hash_word (trn_text_t word)
{
    return XXH3_64bits (word.at, word.size);
}

//  Of the step from a node by a word.
static uint64_t
s_hash_step (uint32_t parent, uint64_t word_hash)
{
    uint64_t hash = word_hash ^ (parent + 1) * UINT64_C (0x9e3779b97f4a7c15);
    hash ^= hash >> 32;
    hash *= UINT64_C (0xd6e8feb86659fd93);
    return hash ^ hash >> 32;
}

//  Twice the room, and the index made anew for it.
static void
s_grow_nodes (trn_router_t *self)
{
    const uint32_t capacity
        = self->node_capacity ? 2 * self->node_capacity : 16;
    self->nodes = trn_realloc (self->nodes, capacity * sizeof *self->nodes);
    self->marks = trn_realloc (self->marks, capacity * sizeof *self->marks);
    memset (self->marks + self->node_capacity, 0,
            (capacity - self->node_capacity) * sizeof *self->marks);
    self->node_capacity = capacity;
    trn_index_clear (&self->by_step);
    trn_index_init (&self->by_step, capacity);
    for (uint32_t index = 0; index < self->node_count; index++) {
        const node_t *node = &self->nodes[index];
        if (node->word) {
            const trn_text_t word = {node->word, node->word_size};
            trn_index_add (&self->by_step,
                           s_hash_step (node->parent, s_hash_word (word)),
                           index);
        }
    }
}

static uint32_t
s_new_node (trn_router_t *self, uint32_t parent)
{
    uint32_t number = self->free_node;
    if (number != TRN_INDEX_NONE) {
        self->free_node = self->nodes[number].parent;
    } else {
        if (self->node_count == self->node_capacity) {
            s_grow_nodes (self);
        }
        number = self->node_count++;
    }
    self->nodes[number] = (node_t) {.parent = parent};
    return number;
}

//  0: none.
static uint32_t
s_child (const trn_router_t *self, uint32_t parent, trn_text_t word,
         uint64_t word_hash)
{
    if (!self->nodes[parent].children) {
        return 0;
    }
    const uint64_t hash = s_hash_step (parent, word_hash);
    for (uint32_t slot = trn_index_first (&self->by_step, hash);
         slot != TRN_INDEX_NONE; slot = trn_index_next (&self->by_step, slot)) {
        const node_t *node = &self->nodes[slot];
        if (node->parent == parent && node->word_size == word.size
            && (!word.size || !memcmp (node->word, word.at, word.size))) {
            return slot;
        }
    }
    return 0;
}

static uint32_t
s_make_child (trn_router_t *self, uint32_t parent, trn_text_t word)
{
    const uint64_t word_hash = s_hash_word (word);
    uint32_t number = s_child (self, parent, word, word_hash);
    if (number) {
        return number;
    }
    number = s_new_node (self, parent);
    node_t *node = &self->nodes[number];
    node->word = trn_strndup (word.size ? word.at : "", word.size);
    node->word_size = word.size;
    trn_index_add (&self->by_step, s_hash_step (parent, word_hash), number);
    self->nodes[parent].children++;
    return number;
}

//  Nodes that nothing needs any more go, from this one upwards.
static void
s_prune (trn_router_t *self, uint32_t number)
{
    while (number != ROOT) {
        node_t *node = &self->nodes[number];
        if (node->targets.count || node->star || node->hash || node->children) {
            return;
        }
        node_t *parent = &self->nodes[node->parent];
        const uint32_t above = node->parent;
        if (node->word) {
            trn_index_remove (&self->by_step, number);
            parent->children--;
        } else if (node->many) {
            parent->hash = 0;
        } else {
            parent->star = 0;
        }
        free (node->word);
        free (node->targets.at);
        *node = (node_t) {.parent = self->free_node};
        self->free_node = number;
        number = above;
    }
}

//  Life ----------------------------------------------------------------------

trn_router_t *
trn_router_new (trn_exchange_type_t type)
{
    assert (type >= TRN_EXCHANGE_DIRECT && type <= TRN_EXCHANGE_HEADERS);
    trn_router_t *self = trn_alloc (sizeof *self);
    self->type = type;
    self->free_node = TRN_INDEX_NONE;
    self->free_filter = TRN_INDEX_NONE;
    s_new_node (self, ROOT);
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
    uint32_t at = ROOT;
    trn_text_t rest = s_words (pattern.at, pattern.size);
    trn_text_t word;
    while (s_next_word (&rest, &word)) {
        const bool star = trn_text_is (word, "*");
        const bool many = trn_text_is (word, "#");
        uint32_t next = star   ? self->nodes[at].star
                        : many ? self->nodes[at].hash
                               : s_child (self, at, word, s_hash_word (word));
        if (!next && !make) {
            return ROOT;
        }
        if (!next && !star && !many) {
            next = s_make_child (self, at, word);
        } else if (!next) {
            next = s_new_node (self, at);
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
    *node_p = ROOT;
    switch (self->type) {
    case TRN_EXCHANGE_FANOUT: return true;
    case TRN_EXCHANGE_TOPIC:
        *node_p = s_walk (self, pattern, make);
        return *node_p || !pattern.size;
    case TRN_EXCHANGE_DIRECT:
        *node_p = make ? s_make_child (self, ROOT, pattern)
                       : s_child (self, ROOT, pattern, s_hash_word (pattern));
        return *node_p;
    case TRN_EXCHANGE_HEADERS: break;
    }
    return false;
}

//  Headers -------------------------------------------------------------------

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
s_new_filter (trn_router_t *self, const filter_t *filter)
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
    filter_t *own = &self->filters[number];
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
    self->filters[number] = (filter_t) {.next = self->free_filter};
    self->free_filter = number;
}

//  A filter as one word, to find it again.  No name begins with a NUL.
#define FILTER_MAX (6 + TRN_BINDING_HEADERS_MAX)

static trn_text_t
s_filter_word (const filter_t *filter, char buffer[FILTER_MAX])
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
s_filter_nodes (trn_router_t *self, const filter_t *filter, bool make,
                uint32_t nodes[TRN_PROPS_COUNT], uint32_t *least_p)
{
    trn_props_t props = s_open (filter->headers, filter->headers_size);
    nodes[0] = *least_p = ROOT;
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
            = make ? s_make_child (self, ROOT, word)
                   : s_child (self, ROOT, word, s_hash_word (word));
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

static void
s_bind_filter (trn_router_t *self, const filter_t *filter)
{
    char buffer[FILTER_MAX];
    const trn_text_t word = s_filter_word (filter, buffer);
    const uint32_t known = s_make_child (self, ROOT, word);
    if (self->nodes[known].targets.count) {
        return;
    }
    const uint32_t number = s_new_filter (self, filter);
    s_append (&self->nodes[known].targets, number);
    uint32_t nodes[TRN_PROPS_COUNT];
    uint32_t least;
    const size_t count = s_filter_nodes (self, filter, true, nodes, &least);
    for (size_t index = 0; index < count; index++) {
        if (filter->any || nodes[index] == least) {
            s_append (&self->nodes[nodes[index]].targets, number);
        }
        s_prune (self, nodes[index]);
    }
}

//  Out of an unordered list.
static void
s_remove_number (numbers_t *self, uint32_t number)
{
    for (size_t index = 0; index < self->count; index++) {
        if (self->at[index] == number) {
            self->at[index] = self->at[--self->count];
            return;
        }
    }
}

static bool
s_unbind_filter (trn_router_t *self, const filter_t *filter)
{
    char buffer[FILTER_MAX];
    const trn_text_t word = s_filter_word (filter, buffer);
    const uint32_t known = s_child (self, ROOT, word, s_hash_word (word));
    if (!known) {
        return false;
    }
    const uint32_t number = self->nodes[known].targets.at[0];
    self->nodes[known].targets.count = 0;
    s_prune (self, known);
    uint32_t nodes[TRN_PROPS_COUNT];
    uint32_t least;
    const size_t count = s_filter_nodes (self, filter, false, nodes, &least);
    for (size_t index = 0; index < count; index++) {
        s_remove_number (&self->nodes[nodes[index]].targets, number);
        s_prune (self, nodes[index]);
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
s_has_all (const filter_t *filter, const trn_prop_t *headers, size_t count)
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
    const numbers_t *there = &self->nodes[node].targets;
    for (size_t index = 0; index < there->count; index++) {
        const filter_t *filter = &self->filters[there->at[index]];
        if (filter->any || s_has_all (filter, headers, count)) {
            s_append (&self->found, filter->target);
        }
    }
}

static void
s_match_headers (trn_router_t *self, const uint8_t *bytes, size_t size)
{
    trn_prop_t headers[TRN_PROPS_COUNT];
    size_t count = 0;
    trn_props_t props;
    if (trn_props_open (&props, bytes, bytes ? size : 0) == 0) {
        while (trn_props_next (&props, &headers[count])) {
            count++;
        }
    }
    s_collect_filters (self, ROOT, headers, count);
    for (size_t index = 0; index < count; index++) {
        char buffer[PAIR_MAX];
        trn_text_t word;
        if (s_pair_word (&headers[index], buffer, &word)) {
            const uint32_t node
                = s_child (self, ROOT, word, s_hash_word (word));
            if (node) {
                s_collect_filters (self, node, headers, count);
            }
        }
    }
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
        const filter_t filter = {
            .headers = headers,
            .headers_size = trn_binding_headers (
                binding->headers, binding->headers_size, headers),
            .target = target,
            .any = binding->any,
        };
        s_bind_filter (self, &filter);
        return 0;
    }
    uint32_t node;
    s_pattern_node (self, binding->pattern, true, &node);
    s_add_sorted (&self->nodes[node].targets, target);
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
        const filter_t filter = {
            .headers = headers,
            .headers_size = trn_binding_headers (
                binding->headers, binding->headers_size, headers),
            .target = target,
            .any = binding->any,
        };
        return s_unbind_filter (self, &filter);
    }
    uint32_t node;
    if (!s_pattern_node (self, binding->pattern, false, &node)
        || !s_remove_sorted (&self->nodes[node].targets, target)) {
        return false;
    }
    s_prune (self, node);
    return true;
}

//  Matching topics -----------------------------------------------------------

//  Put a node into the next set, once; where it is, no word leads on to its #.
static void
s_enter (trn_router_t *self, uint32_t node)
{
    while (node && self->marks[node] != self->mark) {
        self->marks[node] = self->mark;
        s_append (&self->next, node);
        node = self->nodes[node].hash;
    }
}

//  The next set becomes the present one.
static void
s_advance (trn_router_t *self)
{
    const numbers_t done = self->now;
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
    s_append (&self->next, ROOT);
    s_enter (self, self->nodes[ROOT].hash);
    s_advance (self);
    trn_text_t rest = s_words (key, size);
    trn_text_t word;
    while (self->now.count && s_next_word (&rest, &word)) {
        const uint64_t hash = s_hash_word (word);
        for (size_t index = 0; index < self->now.count; index++) {
            const uint32_t at = self->now.at[index];
            s_enter (self, s_child (self, at, word, hash));
            s_enter (self, self->nodes[at].star);
            if (self->nodes[at].many) {
                s_enter (self, at);
            }
        }
        s_advance (self);
    }
    for (size_t index = 0; index < self->now.count; index++) {
        s_append_all (&self->found, &self->nodes[self->now.at[index]].targets);
    }
}

size_t
trn_router_route (trn_router_t *self, const void *key, size_t key_size,
                  const uint8_t *props, size_t props_size, uint32_t *targets,
                  size_t max)
{
    assert (self && (key || !key_size) && (targets || !max));
    const trn_text_t text = {key_size ? key : "", key_size};
    const numbers_t *found = &self->found;
    uint32_t node = ROOT;
    self->found.count = 0;
    switch (self->type) {
    case TRN_EXCHANGE_FANOUT: found = &self->nodes[ROOT].targets; break;
    case TRN_EXCHANGE_DIRECT:
        node = s_child (self, ROOT, text, s_hash_word (text));
        found = node ? &self->nodes[node].targets : found;
        break;
    case TRN_EXCHANGE_TOPIC:
        s_match_topic (self, key, key_size);
        s_sort (&self->found);
        break;
    case TRN_EXCHANGE_HEADERS:
        s_match_headers (self, props, props_size);
        s_sort (&self->found);
        break;
    }
    const size_t filled = found->count < max ? found->count : max;
    if (filled) {
        memcpy (targets, found->at, filled * sizeof *targets);
    }
    return found->count;
}
