//  core/router_inside.h - the router's own memory, shared by its files
//
//      router.c          life, binding, matching words
//      router_trie.c     the nodes, found by the step that leads to them
//      router_headers.c  filters, and matching headers
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_ROUTER_INSIDE_H
#define TRN_ROUTER_INSIDE_H

#include "core/index.h"
#include "core/idlist.h"
#include "core/router.h"
#include "wire/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRN_ROUTER_ROOT 0u

typedef struct {
    char *word;  //  of the step that leads here; owned, NULL: * or # or free
    size_t word_size;
    uint32_t parent;
    uint32_t star, hash;   //  children; 0: none
    uint32_t children;     //  by a word
    trn_idlist_t targets;  //  headers: filters
    bool many;             //  a # leads here
} trn_router_node_t;

typedef struct {
    uint8_t *headers;  //  in the one form, owned; NULL: the slot is free
    size_t headers_size;
    uint32_t target;
    bool any;
    uint32_t next;  //  free slot
} trn_router_filter_t;

struct trn_router {
    trn_exchange_type_t type;
    trn_router_node_t *nodes;
    uint32_t node_count, node_capacity;
    uint32_t free_node;   //  linked by parent; TRN_INDEX_NONE: none
    trn_index_t by_step;  //  (parent, word) -> node
    trn_router_filter_t *filters;
    uint32_t filter_count, filter_capacity;
    uint32_t free_filter;
    //  Scratch.
    uint64_t *marks;  //  per node: the set it was last put into
    uint64_t mark;
    trn_idlist_t now, next;  //  sets of nodes
    trn_idlist_t found;      //  targets
};

//  router_trie.c -----------------------------------------------------------

uint64_t
trn_router_hash (trn_text_t word);

//  A node without a word, which its parent does not know yet.
uint32_t
trn_router_new_node (trn_router_t *self, uint32_t parent);

//  Where a word leads; 0: nowhere.
uint32_t
trn_router_child (const trn_router_t *self, uint32_t parent, trn_text_t word,
                  uint64_t word_hash);

uint32_t
trn_router_make_child (trn_router_t *self, uint32_t parent, trn_text_t word);

//  Nodes that nothing needs any more go, from this one upwards.
void
trn_router_prune (trn_router_t *self, uint32_t number);

//  router_headers.c --------------------------------------------------------

//  Their headers are borrowed.  Once is as good as twice.
void
trn_router_bind_filter (trn_router_t *self, const trn_router_filter_t *filter);

//  Was it there?
bool
trn_router_unbind_filter (trn_router_t *self,
                          const trn_router_filter_t *filter);

//  The targets of a message with these properties, into found.
void
trn_router_match_headers (trn_router_t *self, const uint8_t *bytes,
                          size_t size);

#endif
