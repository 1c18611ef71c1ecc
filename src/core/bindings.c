//  core/bindings.c - the table of bindings
//
//  Knows: which of two versions stays, how many there may be, and what has
//  changed lately.
//
//      sorted:    [ a/q1/x ][ a/q2/# ][ b/q1/ ] ...   by identity
//      exchanges: [ a: 2 live topic ][ b: 1 ... ]     by name, counts only
//      buckets:   0 -> row -> row     255 -> row      by a hash of the identity
//      news:      ring of the rows that changed last, by their number
//
//  Each row is in all of them.  The digest of a bucket
//  is the sum of its rows' content, so it does not depend on the order.
//
//  Invariants: of an identity there is one row; a removed one that was unknown
//  is not learnt if its stamp is below floor_us; the ring names a row at its
//  last change only.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/binding.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

//  A full table forgets so many of its removed rows at once, so that the search
//  for the oldest is not made each time.
#define EVICT_SHARE 8

typedef struct row {
    trn_binding_t *binding;  //  owned
    size_t bytes;            //  of both
    uint64_t content;        //  hash
    uint64_t number;         //  of the change that made it
    uint32_t bucket;
    struct row *next, **link;  //  of the bucket; link points here
} row_t;

//  One with rows, removed ones too.
typedef struct {
    char name[TRN_NAME_MAX + 1];
    uint32_t rows;
    uint32_t live[TRN_EXCHANGE_HEADERS + 1];  //  by type
} exchange_t;

struct trn_bindings {
    size_t bindings_max, bytes_max;
    exchange_t **exchanges;  //  sorted
    size_t exchange_count, exchange_capacity;
    row_t **rows;  //  sorted
    size_t count, capacity;
    size_t removed;  //  of them
    size_t bytes;
    row_t *buckets[TRN_BINDING_BUCKETS];
    uint64_t digests[TRN_BINDING_BUCKETS];
    row_t *news[TRN_BINDINGS_NEWS];
    uint64_t number;
    uint64_t floor_us;  //  removed ones below are forgotten
};

trn_bindings_t *
trn_bindings_new (size_t bindings_max, size_t bytes_max)
{
    assert (bindings_max && bytes_max);
    trn_bindings_t *self = trn_alloc (sizeof *self);
    self->bindings_max = bindings_max;
    self->bytes_max = bytes_max;
    return self;
}

//  Exchanges -----------------------------------------------------------------

static int
s_order_name (const exchange_t *self, trn_text_t name)
{
    const size_t own_size = strlen (self->name);
    const size_t size = own_size < name.size ? own_size : name.size;
    const int order = memcmp (self->name, name.at, size);
    return order ? order : (own_size > name.size) - (own_size < name.size);
}

//  Where it is, or would be.
static size_t
s_exchange_place (const trn_bindings_t *self, trn_text_t name)
{
    size_t low = 0;
    size_t high = self->exchange_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (s_order_name (self->exchanges[middle], name) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static exchange_t *
s_find_exchange (const trn_bindings_t *self, trn_text_t name)
{
    const size_t at = s_exchange_place (self, name);
    return at < self->exchange_count
                   && s_order_name (self->exchanges[at], name) == 0
               ? self->exchanges[at]
               : NULL;
}

static exchange_t *
s_add_exchange (trn_bindings_t *self, trn_text_t name)
{
    if (self->exchange_count == self->exchange_capacity) {
        self->exchange_capacity
            = self->exchange_capacity ? 2 * self->exchange_capacity : 8;
        self->exchanges = trn_realloc (
            self->exchanges, self->exchange_capacity * sizeof *self->exchanges);
    }
    const size_t at = s_exchange_place (self, name);
    memmove (self->exchanges + at + 1, self->exchanges + at,
             (self->exchange_count - at) * sizeof *self->exchanges);
    self->exchange_count++;
    exchange_t *exchange = trn_alloc (sizeof *exchange);
    memcpy (exchange->name, name.at, name.size);
    self->exchanges[at] = exchange;
    return exchange;
}

//  A row comes (1) or goes (-1).
static void
s_count_exchange (trn_bindings_t *self, const trn_binding_t *binding, int step)
{
    exchange_t *exchange = s_find_exchange (self, binding->exchange);
    if (!exchange) {
        exchange = s_add_exchange (self, binding->exchange);
    }
    exchange->rows += (uint32_t) step;
    if (!binding->removed) {
        exchange->live[binding->type] += (uint32_t) step;
    }
    if (!exchange->rows) {
        const size_t at = s_exchange_place (self, binding->exchange);
        self->exchange_count--;
        memmove (self->exchanges + at, self->exchanges + at + 1,
                 (self->exchange_count - at) * sizeof *self->exchanges);
        free (exchange);
    }
}

static uint32_t
s_live (const exchange_t *exchange)
{
    uint32_t live = 0;
    for (int type = TRN_EXCHANGE_DIRECT; type <= TRN_EXCHANGE_HEADERS; type++) {
        live += exchange->live[type];
    }
    return live;
}

//  Rows --------------------------------------------------------------------

static row_t *
s_new_row (const trn_binding_t *binding)
{
    size_t bytes;
    row_t *row = trn_alloc (sizeof *row);
    row->binding = trn_binding_copy (binding, &bytes);
    row->bytes = sizeof *row + bytes;
    row->content = trn_binding_content (row->binding);
    row->bucket = (uint32_t) (trn_binding_identity (row->binding) >> 56);
    return row;
}

static void
s_free_row (row_t *row)
{
    free (row->binding);
    free (row);
}

void
trn_bindings_destroy (trn_bindings_t **self_p)
{
    if (!self_p || !*self_p) {
        return;
    }
    trn_bindings_t *self = *self_p;
    for (size_t index = 0; index < self->count; index++) {
        s_free_row (self->rows[index]);
    }
    for (size_t index = 0; index < self->exchange_count; index++) {
        free (self->exchanges[index]);
    }
    free (self->exchanges);
    free (self->rows);
    free (self);
    *self_p = NULL;
}

static void
s_link_row (trn_bindings_t *self, row_t *row)
{
    row_t **const head = &self->buckets[row->bucket];
    row->next = *head;
    row->link = head;
    if (row->next) {
        row->next->link = &row->next;
    }
    *head = row;
    self->digests[row->bucket] += row->content;
    self->bytes += row->bytes;
    self->removed += row->binding->removed;
    s_count_exchange (self, row->binding, 1);
}

static void
s_unlink_row (trn_bindings_t *self, row_t *row)
{
    *row->link = row->next;
    if (row->next) {
        row->next->link = row->link;
    }
    self->digests[row->bucket] -= row->content;
    self->bytes -= row->bytes;
    self->removed -= row->binding->removed;
    s_count_exchange (self, row->binding, -1);
    row_t **const news = &self->news[row->number % TRN_BINDINGS_NEWS];
    if (*news == row) {
        *news = NULL;
    }
}

static void
s_note_news (trn_bindings_t *self, row_t *row)
{
    row->number = ++self->number;
    self->news[row->number % TRN_BINDINGS_NEWS] = row;
}

//  Where it is, or would be.
static size_t
s_place (const trn_bindings_t *self, const trn_binding_t *binding, bool *here_p)
{
    size_t low = 0;
    size_t high = self->count;
    *here_p = false;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order
            = trn_binding_order (self->rows[middle]->binding, binding);
        if (order == 0) {
            *here_p = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

//  The first row that is not before this exchange, or with past, behind it.
static size_t
s_bound (const trn_bindings_t *self, trn_text_t exchange, bool past)
{
    size_t low = 0;
    size_t high = self->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const trn_text_t own = self->rows[middle]->binding->exchange;
        const size_t size = own.size < exchange.size ? own.size : exchange.size;
        int order = memcmp (own.at, exchange.at, size);
        order = order ? order
                      : (own.size > exchange.size) - (own.size < exchange.size);
        if (order < 0 || (past && order == 0)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void
s_insert_row (trn_bindings_t *self, size_t at, row_t *row)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? 2 * self->capacity : 16;
        self->rows
            = trn_realloc (self->rows, self->capacity * sizeof *self->rows);
    }
    memmove (self->rows + at + 1, self->rows + at,
             (self->count - at) * sizeof *self->rows);
    self->rows[at] = row;
    self->count++;
}

//  Forgetting ----------------------------------------------------------------

void
trn_bindings_forget (trn_bindings_t *self, uint64_t below_us)
{
    assert (self);
    if (below_us <= self->floor_us) {
        return;
    }
    self->floor_us = below_us;
    size_t kept = 0;
    for (size_t index = 0; index < self->count; index++) {
        row_t *row = self->rows[index];
        if (row->binding->removed && row->binding->stamp_us < below_us) {
            s_unlink_row (self, row);
            s_free_row (row);
        } else {
            self->rows[kept++] = row;
        }
    }
    self->count = kept;
}

static int
s_order_stamps (const void *one, const void *other)
{
    const uint64_t a = *(const uint64_t *) one;
    const uint64_t b = *(const uint64_t *) other;
    return (a > b) - (a < b);
}

//  The oldest of the removed rows give way.
static void
s_evict (trn_bindings_t *self)
{
    if (!self->removed) {
        return;
    }
    uint64_t *stamps = trn_alloc (self->removed * sizeof *stamps);
    size_t count = 0;
    for (size_t index = 0; index < self->count; index++) {
        const trn_binding_t *binding = self->rows[index]->binding;
        if (binding->removed) {
            stamps[count++] = binding->stamp_us;
        }
    }
    qsort (stamps, count, sizeof *stamps, s_order_stamps);
    const uint64_t last = stamps[(count - 1) / EVICT_SHARE];
    free (stamps);
    trn_bindings_forget (self, last + 1);
}

//  Taking in -----------------------------------------------------------------

static bool
s_exchange_has_room (const trn_bindings_t *self, trn_text_t name)
{
    const exchange_t *exchange = s_find_exchange (self, name);
    return !exchange || s_live (exchange) < TRN_BINDINGS_OF_ONE;
}

static bool
s_has_room (const trn_bindings_t *self, size_t bytes)
{
    return self->count < self->bindings_max && self->bytes <= self->bytes_max
           && bytes <= self->bytes_max - self->bytes;
}

//  A version of an identity that is known.
static trn_binding_verdict_t
s_replace (trn_bindings_t *self, size_t at, row_t *row)
{
    row_t *before = self->rows[at];
    if (!trn_binding_later (row->binding, before->binding)) {
        s_free_row (row);
        return TRN_BINDING_OLD;
    }
    //  The identity is the same, what can grow are two names: always room.
    s_unlink_row (self, before);
    s_free_row (before);
    self->rows[at] = row;
    s_link_row (self, row);
    s_note_news (self, row);
    return TRN_BINDING_NEW;
}

static trn_binding_verdict_t
s_add (trn_bindings_t *self, size_t at, row_t *row)
{
    if (!s_has_room (self, row->bytes)) {
        bool here;
        s_evict (self);
        at = s_place (self, row->binding, &here);
    }
    if (!s_has_room (self, row->bytes)
        || !s_exchange_has_room (self, row->binding->exchange)) {
        s_free_row (row);
        return TRN_BINDING_FULL;
    }
    s_insert_row (self, at, row);
    s_link_row (self, row);
    s_note_news (self, row);
    return TRN_BINDING_NEW;
}

trn_binding_verdict_t
trn_bindings_take (trn_bindings_t *self, const trn_binding_t *binding)
{
    assert (self && binding && binding->stamp_us && binding->writer.size);
    assert (trn_binding_check (binding) == 0);
    trn_binding_t own = *binding;
    uint8_t headers[TRN_BINDING_HEADERS_MAX];
    own.headers = headers;
    own.headers_size = trn_binding_headers (binding->headers,
                                            binding->headers_size, headers);
    bool here;
    const size_t at = s_place (self, &own, &here);
    if (here) {
        return s_replace (self, at, s_new_row (&own));
    }
    //  Its removal was forgotten on purpose: not learnt again.
    if (own.removed && own.stamp_us < self->floor_us) {
        return TRN_BINDING_OLD;
    }
    return s_add (self, at, s_new_row (&own));
}

//  Asking --------------------------------------------------------------------

bool
trn_bindings_conflict (const trn_bindings_t *self, const trn_binding_t *binding)
{
    assert (self && binding);
    const exchange_t *exchange = s_find_exchange (self, binding->exchange);
    if (!exchange) {
        return false;
    }
    return s_live (exchange) > exchange->live[binding->type];
}

bool
trn_bindings_find (const trn_bindings_t *self, const trn_binding_t *identity,
                   trn_binding_t *binding)
{
    assert (self && identity && binding);
    trn_binding_t own = *identity;
    uint8_t headers[TRN_BINDING_HEADERS_MAX];
    own.headers = headers;
    own.headers_size = trn_binding_headers (identity->headers,
                                            identity->headers_size, headers);
    bool here;
    const size_t at = s_place (self, &own, &here);
    if (here) {
        *binding = *self->rows[at]->binding;
    }
    return here;
}

bool
trn_bindings_at (const trn_bindings_t *self, size_t index,
                 trn_binding_t *binding)
{
    assert (self && binding);
    if (index >= self->count) {
        return false;
    }
    *binding = *self->rows[index]->binding;
    return true;
}

size_t
trn_bindings_count (const trn_bindings_t *self)
{
    assert (self);
    return self->count;
}

size_t
trn_bindings_bytes (const trn_bindings_t *self)
{
    assert (self);
    return self->bytes;
}

//  Was a written before b?  The order of versions, for bindings of any
//  identity.
static bool
s_before (const trn_binding_t *a, const trn_binding_t *b)
{
    return a->stamp_us != b->stamp_us ? a->stamp_us < b->stamp_us
                                      : a->type < b->type;
}

trn_exchange_type_t
trn_bindings_type (const trn_bindings_t *self, trn_text_t name)
{
    assert (self);
    const exchange_t *exchange = s_find_exchange (self, name);
    const uint32_t live = exchange ? s_live (exchange) : 0;
    if (!live) {
        return 0;
    }
    for (trn_exchange_type_t type = TRN_EXCHANGE_DIRECT;
         type <= TRN_EXCHANGE_HEADERS; type++) {
        if (exchange->live[type] == live) {
            return type;
        }
    }
    //  Of several types, after a network was split: the first one written.
    const trn_binding_t *first = NULL;
    const size_t past = s_bound (self, name, true);
    for (size_t at = s_bound (self, name, false); at < past; at++) {
        const trn_binding_t *binding = self->rows[at]->binding;
        if (!binding->removed && (!first || s_before (binding, first))) {
            first = binding;
        }
    }
    return first ? first->type : 0;
}

uint64_t
trn_bindings_digest (const trn_bindings_t *self)
{
    assert (self);
    uint64_t digest = 0;
    for (uint32_t bucket = 0; bucket < TRN_BINDING_BUCKETS; bucket++) {
        digest += self->digests[bucket];
    }
    return digest;
}

uint64_t
trn_bindings_bucket (const trn_bindings_t *self, uint32_t bucket)
{
    assert (self && bucket < TRN_BINDING_BUCKETS);
    return self->digests[bucket];
}

bool
trn_bindings_in_bucket (const trn_bindings_t *self, uint32_t bucket,
                        size_t index, trn_binding_t *binding)
{
    assert (self && bucket < TRN_BINDING_BUCKETS && binding);
    const row_t *row = self->buckets[bucket];
    while (row && index) {
        row = row->next;
        index--;
    }
    if (row) {
        *binding = *row->binding;
    }
    return row != NULL;
}

//  News ----------------------------------------------------------------------

uint64_t
trn_bindings_number (const trn_bindings_t *self)
{
    assert (self);
    return self->number;
}

bool
trn_bindings_missed (const trn_bindings_t *self, uint64_t number)
{
    assert (self && number <= self->number);
    return self->number - number > TRN_BINDINGS_NEWS;
}

bool
trn_bindings_next_news (const trn_bindings_t *self, uint64_t *number_p,
                        trn_binding_t *binding)
{
    assert (self && number_p && binding && *number_p <= self->number);
    if (trn_bindings_missed (self, *number_p)) {
        *number_p = self->number - TRN_BINDINGS_NEWS;
    }
    while (*number_p < self->number) {
        const row_t *row = self->news[++*number_p % TRN_BINDINGS_NEWS];
        if (row && row->number == *number_p) {
            *binding = *row->binding;
            return true;
        }
    }
    return false;
}
