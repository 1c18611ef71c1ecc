//  core/binding.h - which queue gets what from which exchange
//
//  A binding says: the queue gets those messages of the exchange whose routing
//  key (direct: equal; topic: words with * and #) or headers (all or any of some
//  names and values) match; fanout: all of them.
//
//  Bindings are facts of the whole network: whoever makes or removes one stamps
//  it, the later stamp wins, then the greater writer's name; a removed one is
//  remembered for a while.  So any number of directories and peers that tell
//  each other what they know agree in the end, and a directory that was wiped
//  learns them again.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_BINDING_H
#define TRN_BINDING_H

#include "base/limits.h"
#include "wire/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    TRN_EXCHANGE_DIRECT = 1,
    TRN_EXCHANGE_FANOUT = 2,
    TRN_EXCHANGE_TOPIC = 3,
    TRN_EXCHANGE_HEADERS = 4
} trn_exchange_type_t;

//  Where a queue that is new to a publisher starts in what the publisher kept.
typedef enum {
    TRN_FROM_NEW = 0,
    TRN_FROM_EARLIEST = 1,
    TRN_FROM_SEQ = 2,
    TRN_FROM_TIME = 3  //  wall clock of the publisher, ms since 1970
} trn_from_t;

//  Identity: exchange, queue, pattern, headers, any.  The rest is its content.
//  Texts are borrowed, or owned by the table that gave it.
typedef struct {
    trn_text_t exchange;
    trn_exchange_type_t type;
    trn_text_t queue;
    trn_text_t pattern;      //  direct, topic; up to TRN_KEY_MAX
    const uint8_t *headers;  //  headers: a props map of text values
    size_t headers_size;
    bool any;  //  one of the headers is enough
    trn_from_t from;
    uint64_t from_value;
    trn_text_t alternate;  //  exchange for what nobody gets; "" none
    uint64_t stamp_us;  //  wall clock of the writer, raised above what it knew
    trn_text_t writer;  //  peer's name
    bool removed;
} trn_binding_t;

//  0, or TERN_ENAME (a name), TERN_EINVAL (a pattern or headers that this type
//  of exchange cannot have, an unknown type or start).
int
trn_binding_check (const trn_binding_t *binding);

//  The table ---------------------------------------------------------------

typedef struct trn_bindings trn_bindings_t;

trn_bindings_t *
trn_bindings_new (size_t bindings_max, size_t bytes_max);

void
trn_bindings_destroy (trn_bindings_t **self_p);

typedef enum {
    TRN_BINDING_OLD,       //  known, or older than what is known
    TRN_BINDING_NEW,       //  the table has changed
    TRN_BINDING_CONFLICT,  //  the exchange has another type
    TRN_BINDING_FULL
} trn_binding_verdict_t;

//  Take a binding in (copied), if it is news.
trn_binding_verdict_t
trn_bindings_take (trn_bindings_t *self, const trn_binding_t *binding);

//  index from 0 in the order of exchange, queue, pattern; removed ones too;
//  false behind the last.  Borrowed until the next change.
bool
trn_bindings_at (const trn_bindings_t *self, size_t index,
                 trn_binding_t *binding);

size_t
trn_bindings_count (const trn_bindings_t *self);

//  Type of an exchange that has a live binding, 0 none.
trn_exchange_type_t
trn_bindings_type (const trn_bindings_t *self, trn_text_t exchange);

//  Forget removed ones whose stamp is below.
void
trn_bindings_forget (trn_bindings_t *self, uint64_t below_us);

//  One number over all content, the same for equal tables in any order of
//  arrival: two parties compare it and tell each other only if it differs.
uint64_t
trn_bindings_digest (const trn_bindings_t *self);

//  Routing: one exchange, made ready for matching ---------------------------

typedef struct trn_router trn_router_t;

trn_router_t *
trn_router_new (trn_exchange_type_t type);

void
trn_router_destroy (trn_router_t **self_p);

//  target is the caller's number of the queue; several bindings may have the
//  same one.  0, or TERN_EINVAL as trn_binding_check ().
int
trn_router_bind (trn_router_t *self, const trn_binding_t *binding,
                 uint32_t target);

//  Was it there?
bool
trn_router_unbind (trn_router_t *self, const trn_binding_t *binding,
                   uint32_t target);

//  Targets of a message, ascending, each once; returns how many there are, of
//  which the first max were filled.  props may be NULL.  Costs the key's length
//  for direct; for topic the nodes of the trie that match; never the number of
//  bindings.  Thread: one at a time (it keeps scratch memory).
size_t
trn_router_route (trn_router_t *self, const void *key, size_t key_size,
                  const uint8_t *props, size_t props_size, uint32_t *targets,
                  size_t max);

#endif
