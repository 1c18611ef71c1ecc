//  core/state.h - what an outbox remembers from one life to the next
//
//  A blob of at most TRN_STATE_MAX bytes, little-endian:
//
//      0  version   u8   2
//      1  flags     u8   1 an exchange, 2 a routed one, 4 a queue says what it
//                        lost
//      2  count     u16  subscriptions
//      4  number    u32  of the last queue that was ever added
//      8  given     u64  highest number that the application gave
//     16  policy         of queues without one (core/policy.c); then for each
//           queue size u8, queue
//           number     u32
//           flags      u8    1 a policy of its own follows, 2 the next line
//           lost       u64, u64   messages ever, and those a consumer was told of
//           doubt      u64, u64   from..to: may have been delivered once more
//                            than counts say; to 0: none
//           low        u64   all below is settled
//           ranges     u32   and these, above low: per range two varints, the
//                            distance from the end of the one before (low at
//                            first) and the length - 1
//           counts     u32   deliveries: per range three varints, distance and
//                            length - 1 as above, and the count; what is
//                            settled in it does not matter
//
//  Forgetting a settled range costs a second delivery, never a loss: so if there
//  are more than fit, the lowest are kept; and of counts the lowest, in at most
//  half of the room.
//
//  Version 1 had no numbers, policies and counts, and one u64 for doubt: the
//  first seq that was never assigned.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_STATE_H
#define TRN_STATE_H

#include "core/inside.h"

//  Encode into capacity bytes (TRN_STATE_MAX is always enough) and remember in
//  each subscription what was said, and in its cut the first seq whose count
//  found no room, or 0.  Returns the size.
size_t
trn_state_encode (trn_publication_t *publication, uint8_t *buffer,
                  size_t capacity);

//  Make the subscriptions that the blob names; clean says nothing was sent
//  since.  0, TERN_EVERSION, TERN_ECORRUPT (then some may have been made).
int
trn_state_decode (trn_publication_t *publication, bool clean,
                  const uint8_t *bytes, size_t size);

#endif
