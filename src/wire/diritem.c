//  wire/diritem.c - the items that directory frames carry: entries and rows
//
//  Knows: the order of fields in an entry and a row, and their ranges.
//
//  A list in a decoded frame stays packed: it is read through once to check it
//  and again, item by item, by whoever wants it.  So no list needs memory.
//
//  SPDX-License-Identifier: MPL-2.0

#include "wire/diritem.h"

#include "wire/field.h"

#include <tern/error.h>

#include <assert.h>
#include <string.h>

//  An entry ----------------------------------------------------------------

static void
s_pack_texts (trn_packer_t *out, const trn_text_t *texts, uint32_t count)
{
    trn_pack_array (out, count);
    for (uint32_t index = 0; index < count; index++) {
        trn_pack_text (out, texts[index]);
    }
}

void
trn_diritem_pack_entry (trn_packer_t *out, const trn_entry_t *entry)
{
    assert (entry->endpoint_count <= TRN_ENDPOINTS_MAX);
    assert (entry->queue_count <= TRN_QUEUES_MAX);
    trn_pack_array (out, 9);
    trn_pack_text (out, entry->name);
    trn_pack_bytes (out, entry->store_uuid, sizeof entry->store_uuid);
    trn_pack_uint (out, entry->incarnation);
    trn_pack_uint (out, entry->random);
    trn_pack_uint (out, entry->version);
    trn_pack_uint (out, entry->features);
    trn_pack_uint (out, entry->heard_ms);
    s_pack_texts (out, entry->endpoints, entry->endpoint_count);
    s_pack_texts (out, entry->queues, entry->queue_count);
}

void
trn_diritem_unpack_entry (trn_unpack_t *in, trn_entry_t *entry)
{
    const uint32_t more = trn_unpack_fields (in, 9);
    entry->name = trn_field_name (in);
    trn_unpack_fixed (in, entry->store_uuid, sizeof entry->store_uuid);
    entry->incarnation = trn_field_u64 (in);
    entry->random = trn_field_u64 (in);
    entry->version = trn_field_seq (in, 0);
    entry->features = trn_field_u64 (in);
    entry->heard_ms = trn_field_seq (in, 0);
    entry->endpoint_count = trn_unpack_array (in, TRN_ENDPOINTS_MAX);
    for (uint32_t index = 0; index < entry->endpoint_count; index++) {
        entry->endpoints[index] = trn_field_endpoint (in);
    }
    entry->queue_count = trn_unpack_array (in, TRN_QUEUES_MAX);
    for (uint32_t index = 0; index < entry->queue_count; index++) {
        entry->queues[index] = trn_field_place (in);
    }
    trn_unpack_skip (in, more);
}

//  A row -------------------------------------------------------------------

static_assert (sizeof ((tern_stats_t *) 0)->peer == TRN_NAME_MAX + 1,
               "a row holds every name");
static_assert (sizeof ((tern_stats_t *) 0)->queue == TRN_NAME_MAX + 2,
               "a row holds every queue's name");

//  The plain numbers of a row, in the order of the wire.
#define S_ROW_NUMBERS 14

static void
s_row_numbers (tern_stats_t *row, uint64_t *numbers[S_ROW_NUMBERS])
{
    uint64_t *const order[S_ROW_NUMBERS]
        = {&row->redelivered,  &row->refused,     &row->rejected,
           &row->duplicates,   &row->dropped,     &row->depth,
           &row->in_flight,    &row->oldest_ms,   &row->disk_bytes,
           &row->sync_us_last, &row->sync_us_max, &row->delay_p50_us,
           &row->delay_p99_us, &row->delay_max_us};
    memcpy (numbers, order, sizeof order);
}

//  What came later than the first version: left out if it is all 0; the last,
//  which came later still, if it is 0.
#define S_ROW_LATER 4

static void
s_row_later (tern_stats_t *row, uint64_t *numbers[S_ROW_LATER])
{
    uint64_t *const order[S_ROW_LATER]
        = {&row->dead, &row->expired, &row->delayed, &row->missed};
    memcpy (numbers, order, sizeof order);
}

//  Rates travel as messages per 1000 seconds: the wire knows no fractions.
static uint64_t
s_milli (double per_s)
{
    if (!(per_s > 0)) {
        return 0;
    }
    return per_s < (double) TRN_RATE_MAX ? (uint64_t) (per_s * 1000 + 0.5)
                                         : TRN_RATE_MAX * 1000;
}

static void
s_pack_rate (trn_packer_t *out, const tern_rate_t *rate)
{
    trn_pack_array (out, 4);
    trn_pack_uint (out, rate->total);
    for (int span = 0; span < 3; span++) {
        trn_pack_uint (out, s_milli (rate->per_s[span]));
    }
}

static void
s_unpack_rate (trn_unpack_t *in, tern_rate_t *rate)
{
    const uint32_t more = trn_unpack_fields (in, 4);
    rate->total = trn_field_u64 (in);
    for (int span = 0; span < 3; span++) {
        const uint64_t milli = trn_unpack_uint (in, 0, TRN_RATE_MAX * 1000);
        rate->per_s[span] = (double) milli / 1000;
    }
    trn_unpack_skip (in, more);
}

void
trn_diritem_pack_row (trn_packer_t *out, const tern_stats_t *row)
{
    tern_stats_t copy = *row;
    uint64_t *numbers[S_ROW_NUMBERS];
    uint64_t *later[S_ROW_LATER];
    s_row_numbers (&copy, numbers);
    s_row_later (&copy, later);
    const uint32_t more = row->missed ? S_ROW_LATER
                          : row->dead || row->expired || row->delayed
                              ? S_ROW_LATER - 1
                              : 0;
    trn_pack_array (out, 8 + S_ROW_NUMBERS + more);
    trn_pack_text (out, trn_text (row->peer));
    trn_pack_text (out, trn_text (row->queue));
    trn_pack_uint (out, row->role);
    s_pack_rate (out, &row->produced);
    s_pack_rate (out, &row->accepted);
    s_pack_rate (out, &row->transmitted);
    s_pack_rate (out, &row->consumed);
    for (size_t index = 0; index < S_ROW_NUMBERS; index++) {
        trn_pack_uint (out, *numbers[index]);
    }
    trn_pack_uint (out, row->consumers);
    for (size_t index = 0; index < more; index++) {
        trn_pack_uint (out, *later[index]);
    }
}

//  Text that the grammar has bounded already, into an array with room for it.
static void
s_copy_text (char *to, size_t capacity, trn_text_t text)
{
    assert (text.size < capacity);
    memcpy (to, text.at, text.size);
    to[text.size] = 0;
}

static void
s_unpack_row (trn_unpack_t *in, tern_stats_t *row)
{
    uint64_t *numbers[S_ROW_NUMBERS];
    uint64_t *later[S_ROW_LATER];
    *row = (tern_stats_t) {.role = TERN_ROLE_PUBLISHER};
    s_row_numbers (row, numbers);
    s_row_later (row, later);
    uint32_t more = trn_unpack_fields (in, 8 + S_ROW_NUMBERS);
    s_copy_text (row->peer, sizeof row->peer, trn_field_name (in));
    s_copy_text (row->queue, sizeof row->queue, trn_field_outbox (in));
    row->role = (tern_role_t) trn_field_u32 (in, TERN_ROLE_PUBLISHER,
                                             TERN_ROLE_CONSUMER);
    s_unpack_rate (in, &row->produced);
    s_unpack_rate (in, &row->accepted);
    s_unpack_rate (in, &row->transmitted);
    s_unpack_rate (in, &row->consumed);
    for (size_t index = 0; index < S_ROW_NUMBERS; index++) {
        *numbers[index] = trn_field_u64 (in);
    }
    row->consumers = trn_field_u32 (in, 0, UINT32_MAX);
    for (size_t index = 0; index < S_ROW_LATER && more > 0; index++, more--) {
        *later[index] = trn_field_u64 (in);
    }
    trn_unpack_skip (in, more);
}

//  Lists -------------------------------------------------------------------

//  Take count items from a list that ends where the reader then stands.
void
trn_diritem_unpack_entries (trn_unpack_t *in, trn_items_t *items)
{
    items->left = trn_unpack_array (in, UINT16_MAX);
    items->at = in->at;
    trn_entry_t entry;
    for (uint32_t index = 0; index < items->left && !in->error; index++) {
        trn_diritem_unpack_entry (in, &entry);
    }
    items->end = in->at;
}

void
trn_diritem_unpack_rows (trn_unpack_t *in, trn_items_t *items)
{
    items->left = trn_unpack_array (in, UINT16_MAX);
    items->at = in->at;
    tern_stats_t row;
    for (uint32_t index = 0; index < items->left && !in->error; index++) {
        s_unpack_row (in, &row);
    }
    items->end = in->at;
}

void
trn_diritem_unpack_binds (trn_unpack_t *in, trn_items_t *items)
{
    items->left = trn_unpack_array (in, UINT16_MAX);
    items->at = in->at;
    trn_binding_t binding;
    for (uint32_t index = 0; index < items->left && !in->error; index++) {
        trn_binding_unpack (in, &binding);
    }
    items->end = in->at;
}

bool
trn_entries_next (trn_items_t *self, trn_entry_t *entry)
{
    assert (self && entry);
    if (!self->left) {
        return false;
    }
    trn_unpack_t in;
    trn_unpack_start (&in, self->at, (size_t) (self->end - self->at));
    trn_diritem_unpack_entry (&in, entry);
    assert (!in.error);  //  checked when the frame was decoded
    self->at = in.at;
    self->left--;
    return true;
}

bool
trn_rows_next (trn_items_t *self, tern_stats_t *row)
{
    assert (self && row);
    if (!self->left) {
        return false;
    }
    trn_unpack_t in;
    trn_unpack_start (&in, self->at, (size_t) (self->end - self->at));
    s_unpack_row (&in, row);
    assert (!in.error);
    self->at = in.at;
    self->left--;
    return true;
}

bool
trn_binds_next (trn_items_t *self, trn_binding_t *binding)
{
    assert (self && binding);
    if (!self->left) {
        return false;
    }
    trn_unpack_t in;
    trn_unpack_start (&in, self->at, (size_t) (self->end - self->at));
    trn_binding_unpack (&in, binding);
    assert (!in.error);
    self->at = in.at;
    self->left--;
    return true;
}
