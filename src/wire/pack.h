//  wire/pack.h - the bounding pre-scan, and a reader over scanned bytes
//
//  msgpack-c believes declared counts and allocates for them; so nothing from
//  outside reaches it before trn_pack_scan () has walked the bytes without
//  allocating (reliability rules: depth, elements, lengths against what is
//  left, UTF-8 strings without NUL, exactly one object and no rest, no ext).
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_PACK_H
#define TRN_PACK_H

#include <stddef.h>
#include <stdint.h>

//  0, TERN_EPROTO or TERN_ETOOBIG.
int
trn_pack_scan (const uint8_t *bytes, size_t size, unsigned depth_max,
               size_t elements_max);

#endif
