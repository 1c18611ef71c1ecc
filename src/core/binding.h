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
//  The struct and its check are wire/binding.h, what becomes of a message is
//  core/router.h.  Here: which of two bindings counts (core/binding.c), and the
//  table (core/bindings.c).
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_BINDING_H
#define TRN_BINDING_H

#include "base/limits.h"
#include "wire/binding.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

//  The same headers in the one form that tables and routers compare: sorted by
//  name, shortest encoding, nothing if there are none.  bytes passed the check;
//  returns the size.
size_t
trn_binding_headers (const uint8_t *bytes, size_t size,
                     uint8_t to[TRN_BINDING_HEADERS_MAX]);

//  Order of identities, as memcmp () tells it: exchange, queue, pattern,
//  headers, any.  Both have their headers in the one form.
int
trn_binding_order (const trn_binding_t *one, const trn_binding_t *other);

//  The later stamp, then the greater writer, then the removed one, then what
//  is greater in its content: of two versions all parties choose the same.
bool
trn_binding_later (const trn_binding_t *one, const trn_binding_t *other);

//  Do both say the same of one identity, whoever says it, and when?  Both removed,
//  or both there with the same content.
bool
trn_binding_says (const trn_binding_t *one, const trn_binding_t *other);

//  A number for its identity, and one for its whole content.
uint64_t
trn_binding_identity (const trn_binding_t *binding);

uint64_t
trn_binding_content (const trn_binding_t *binding);

//  One piece of memory with all of it, headers in the one form; the caller
//  frees it.  *bytes_p, if not NULL: its size.
trn_binding_t *
trn_binding_copy (const trn_binding_t *binding, size_t *bytes_p);

//  The table ---------------------------------------------------------------

//  Changes that trn_bindings_next_news () knows.
#define TRN_BINDINGS_NEWS 1024

typedef struct trn_bindings trn_bindings_t;

trn_bindings_t *
trn_bindings_new (size_t bindings_max, size_t bytes_max);

void
trn_bindings_destroy (trn_bindings_t **self_p);

typedef enum {
    TRN_BINDING_OLD,  //  known, or older than what is known
    TRN_BINDING_NEW,  //  the table has changed
    TRN_BINDING_FULL  //  no room in the table, or for this exchange
} trn_binding_verdict_t;

//  Take a binding in (copied), if it is news.  It passed the check, with stamp
//  and writer.  When the table is full, the oldest removed ones make room.
//  The type is not looked at, or parties that heard of two types in another
//  order would never agree: ask trn_bindings_conflict () before making one.
trn_binding_verdict_t
trn_bindings_take (trn_bindings_t *self, const trn_binding_t *binding);

//  Has the exchange live bindings of another type, this very one included?
bool
trn_bindings_conflict (const trn_bindings_t *self,
                       const trn_binding_t *binding);

//  The one with this identity, removed or not; its headers may be in any form.
//  Borrowed until the next change.
bool
trn_bindings_find (const trn_bindings_t *self, const trn_binding_t *identity,
                   trn_binding_t *binding);

//  index from 0 in the order of exchange, queue, pattern; removed ones too;
//  false behind the last.  Borrowed until the next change.
bool
trn_bindings_at (const trn_bindings_t *self, size_t index,
                 trn_binding_t *binding);

size_t
trn_bindings_count (const trn_bindings_t *self);

//  Bytes that count against bytes_max.
size_t
trn_bindings_bytes (const trn_bindings_t *self);

//  Type of an exchange that has live bindings, 0 none.  If they are of several
//  types, the one that was written first counts.
trn_exchange_type_t
trn_bindings_type (const trn_bindings_t *self, trn_text_t exchange);

//  Removed ones are remembered for 30 days and up to one more: all parties
//  forget at the same moment of the day.  The stamp below which they may go.
static inline uint64_t
trn_bindings_floor (uint64_t wall_us)
{
    const uint64_t day_us = UINT64_C (24) * 3600 * 1000000;
    return wall_us / day_us > 30 ? (wall_us / day_us - 30) * day_us : 0;
}

//  Forget removed ones whose stamp is below, and do not learn them again.
void
trn_bindings_forget (trn_bindings_t *self, uint64_t below_us);

//  One number over all content, the same for equal tables in any order of
//  arrival; 0 if empty.
uint64_t
trn_bindings_digest (const trn_bindings_t *self);

//  The same of one bucket, 0..TRN_BINDING_BUCKETS - 1.
uint64_t
trn_bindings_bucket (const trn_bindings_t *self, uint32_t bucket);

//  index from 0 in a bucket, in no order that means anything.
bool
trn_bindings_in_bucket (const trn_bindings_t *self, uint32_t bucket,
                        size_t index, trn_binding_t *binding);

//  Count of changes so far.
uint64_t
trn_bindings_number (const trn_bindings_t *self);

//  Next binding that changed after *number_p, as it is now, once; *number_p
//  moves on.  false if there is none.  Only the last TRN_BINDINGS_NEWS changes
//  are known: who may be further behind asks trn_bindings_missed () first.
bool
trn_bindings_next_news (const trn_bindings_t *self, uint64_t *number_p,
                        trn_binding_t *binding);

bool
trn_bindings_missed (const trn_bindings_t *self, uint64_t number);

//  Saved -------------------------------------------------------------------

//  All of it, encoded; at most capacity bytes, what does not fit is left out.
//  Caller frees the bytes.
uint8_t *
trn_bindings_save (const trn_bindings_t *self, size_t capacity, size_t *size_p);

//  Take in what was saved.  0, or having taken nothing TERN_ECORRUPT or
//  TERN_EVERSION.
int
trn_bindings_load (trn_bindings_t *self, const uint8_t *saved, size_t size);

#endif
