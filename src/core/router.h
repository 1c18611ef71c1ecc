//  core/router.h - one exchange, made ready for matching
//
//  Topics are as in AMQP 0-9-1: a key is words with dots between them, * in a
//  pattern is one word, # any number of words, none too.  The empty key has no
//  word; "a..b" has an empty one in the middle.
//
//  Headers: all (or any) of the names have these values.  Only text counts.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_ROUTER_H
#define TRN_ROUTER_H

#include "core/binding.h"

typedef struct trn_router trn_router_t;

trn_router_t *
trn_router_new (trn_exchange_type_t type);

void
trn_router_destroy (trn_router_t **self_p);

//  target is the caller's number of the queue; several bindings may have the
//  same one.  The same binding twice is one.  0, or as trn_binding_check (), or
//  TERN_ETYPE (it is for another type of exchange).
int
trn_router_bind (trn_router_t *self, const trn_binding_t *binding,
                 uint32_t target);

//  Was it there?
bool
trn_router_unbind (trn_router_t *self, const trn_binding_t *binding,
                   uint32_t target);

//  Targets of a message, ascending, each once; returns how many there are, of
//  which the first max were filled.  props may be NULL.  Costs the key's length
//  for direct; for topic the nodes of the trie that match, each at most once
//  per word of the key; for headers the bindings that share a header with it.
//  Thread: one at a time (it keeps scratch memory).
size_t
trn_router_route (trn_router_t *self, const void *key, size_t key_size,
                  const uint8_t *props, size_t props_size, uint32_t *targets,
                  size_t max);

#endif
