//  core/bindings.c - the table of bindings
//
//  Knows: which of two versions stays, how many there may be, and what has
//  changed lately.
//
//      sorted:   [ a/q1/x ][ a/q2/# ][ b/q1/ ] ...   by identity
//      buckets:  0 -> row -> row     255 -> row      by a hash of the identity
//      news:     ring of the rows that changed last, by their number
//
//  Each row is one piece of memory, and in all three.  The digest of a bucket
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
    trn_binding_t binding;  //  its texts lie behind
    size_t bytes;           //  of this piece of memory
    uint64_t content;       //  hash
    uint64_t number;        //  of the change that made it
    uint32_t bucket;
    struct row *next, **link;  //  of the bucket; link points here
} row_t;

struct trn_bindings {
    size_t bindings_max, bytes_max;
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

void
trn_bindings_destroy (trn_bindings_t **self_p)
{
    if (!self_p || !*self_p) {
        return;
    }
    trn_bindings_t *self = *self_p;
    for (size_t index = 0; index < self->count; index++) {
        free (self->rows[index]);
    }
    free (self->rows);
    free (self);
    *self_p = NULL;
}

//  Rows --------------------------------------------------------------------

static trn_text_t
s_copy_text (char **to_p, trn_text_t text)
{
    const trn_text_t copy = {*to_p, text.size};
    if (text.size) {
        memcpy (*to_p, text.at, text.size);
    }
    *to_p += text.size;
    return copy;
}

//  binding has its headers in the one form.
static row_t *
s_new_row (const trn_binding_t *binding)
{
    const size_t bytes = sizeof (row_t) + binding->exchange.size
                         + binding->queue.size + binding->pattern.size
                         + binding->headers_size + binding->alternate.size
                         + binding->writer.size;
    row_t *row = trn_alloc (bytes);
    char *text = (char *) (row + 1);
    row->binding = *binding;
    row->binding.exchange = s_copy_text (&text, binding->exchange);
    row->binding.queue = s_copy_text (&text, binding->queue);
    row->binding.pattern = s_copy_text (&text, binding->pattern);
    row->binding.alternate = s_copy_text (&text, binding->alternate);
    row->binding.writer = s_copy_text (&text, binding->writer);
    row->binding.headers = NULL;
    if (binding->headers_size) {
        row->binding.headers = (const uint8_t *) text;
        memcpy (text, binding->headers, binding->headers_size);
    }
    row->bytes = bytes;
    row->content = trn_binding_content (binding);
    row->bucket = (uint32_t) (trn_binding_identity (binding) >> 56);
    return row;
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
    self->removed += row->binding.removed;
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
    self->removed -= row->binding.removed;
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
            = trn_binding_order (&self->rows[middle]->binding, binding);
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
        const trn_text_t own = self->rows[middle]->binding.exchange;
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
        if (row->binding.removed && row->binding.stamp_us < below_us) {
            s_unlink_row (self, row);
            free (row);
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
        const trn_binding_t *binding = &self->rows[index]->binding;
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

//  Live bindings of an exchange are bounded; counted only when it matters.
static bool
s_exchange_has_room (const trn_bindings_t *self, trn_text_t exchange)
{
    const size_t first = s_bound (self, exchange, false);
    const size_t past = s_bound (self, exchange, true);
    if (past - first < TRN_BINDINGS_OF_ONE) {
        return true;
    }
    size_t live = 0;
    for (size_t at = first; at < past; at++) {
        live += !self->rows[at]->binding.removed;
    }
    return live < TRN_BINDINGS_OF_ONE;
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
    if (!trn_binding_later (&row->binding, &before->binding)) {
        free (row);
        return TRN_BINDING_OLD;
    }
    //  The identity is the same, what can grow are two names: always room.
    s_unlink_row (self, before);
    free (before);
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
        at = s_place (self, &row->binding, &here);
    }
    if (!s_has_room (self, row->bytes)
        || !s_exchange_has_room (self, row->binding.exchange)) {
        free (row);
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
    const size_t past = s_bound (self, binding->exchange, true);
    for (size_t at = s_bound (self, binding->exchange, false); at < past;
         at++) {
        const trn_binding_t *other = &self->rows[at]->binding;
        if (!other->removed && other->type != binding->type) {
            trn_binding_t found;
            if (!trn_bindings_find (self, binding, &found)
                || trn_binding_order (&found, other)) {
                return true;
            }
        }
    }
    return false;
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
        *binding = self->rows[at]->binding;
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
    *binding = self->rows[index]->binding;
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
trn_bindings_type (const trn_bindings_t *self, trn_text_t exchange)
{
    assert (self);
    const trn_binding_t *first = NULL;
    const size_t past = s_bound (self, exchange, true);
    for (size_t at = s_bound (self, exchange, false); at < past; at++) {
        const trn_binding_t *binding = &self->rows[at]->binding;
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
        *binding = row->binding;
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
            *binding = row->binding;
            return true;
        }
    }
    return false;
}
