//  core/state.h - what an outbox remembers from one life to the next
//
//  A blob of at most TRN_STATE_MAX bytes, little-endian:
//
//      0  version   u8   1
//      1  reserved  u8   0
//      2  count     u16  subscriptions; then for each
//           queue size u8, queue
//           next       u64   never assigned from here on
//           low        u64   all below is settled
//           ranges     u32   and these, above low: per range two varints, the
//                            distance from the end of the one before (low at
//                            first) and the length - 1
//
//  Settled positions only.  Forgetting one costs a second delivery, never a
//  loss: so if there are more ranges than fit, the lowest are kept.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_STATE_H
#define TRN_STATE_H

#include "core/inside.h"

//  Encode into capacity bytes (TRN_STATE_MAX is always enough) and remember in
//  each subscription what was said.  Returns the size.
size_t
trn_state_encode (trn_publication_t *publication, uint8_t *buffer,
                  size_t capacity);

//  Make the subscriptions that the blob names; clean says nothing was sent
//  since.  0, TERN_EVERSION, TERN_ECORRUPT (then some may have been made).
int
trn_state_decode (trn_publication_t *publication, bool clean,
                  const uint8_t *bytes, size_t size);

#endif
