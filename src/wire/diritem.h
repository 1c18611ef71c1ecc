//  wire/diritem.h - the items that directory frames carry: entries and rows
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_DIRITEM_H
#define TRN_DIRITEM_H

#include "wire/dirframe.h"
#include "wire/pack.h"

void
trn_diritem_pack_entry (trn_packer_t *out, const trn_entry_t *entry);

void
trn_diritem_unpack_entry (trn_unpack_t *in, trn_entry_t *entry);

void
trn_diritem_pack_row (trn_packer_t *out, const tern_stats_t *row);

//  Check a whole list and leave it packed, to be read item by item.
void
trn_diritem_unpack_entries (trn_unpack_t *in, trn_items_t *items);

void
trn_diritem_unpack_rows (trn_unpack_t *in, trn_items_t *items);

void
trn_diritem_unpack_binds (trn_unpack_t *in, trn_items_t *items);

#endif
