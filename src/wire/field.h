//  wire/field.h - fields that frames of the link and the directory share
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_FIELD_H
#define TRN_FIELD_H

#include "wire/pack.h"
#include "wire/packer.h"

//  A peer's name; TERN_EPROTO outside the grammar, TERN_ETOOBIG if too long.
trn_text_t
trn_field_name (trn_unpack_t *in);

//  A queue's name: a name, or '@' and a name.
trn_text_t
trn_field_queue (trn_unpack_t *in);

//  Of what a peer takes in: a queue's, or '%' and a name.
trn_text_t
trn_field_place (trn_unpack_t *in);

//  Of what a subscription is of: a queue's, or '+' and a name.
trn_text_t
trn_field_subscribed (trn_unpack_t *in);

//  An outbox's name: that, or '#' and a name.
trn_text_t
trn_field_outbox (trn_unpack_t *in);

trn_text_t
trn_field_endpoint (trn_unpack_t *in);

//  Words for people, up to TRN_TEXT_MAX bytes.
trn_text_t
trn_field_words (trn_unpack_t *in);

//  The same outwards: cut at a character rather than refused.
void
trn_field_pack_words (trn_packer_t *out, trn_text_t words);

uint32_t
trn_field_u32 (trn_unpack_t *in, uint32_t min, uint32_t max);

//  A seq, or a count that grows with seqs: min..TRN_SEQ_MAX.
uint64_t
trn_field_seq (trn_unpack_t *in, uint64_t min);

//  Any 64-bit number: a nonce, a token, feature bits.
uint64_t
trn_field_u64 (trn_unpack_t *in);

#endif
