//  base/bytes.h - fixed-width little-endian numbers, byte by byte
//
//  The disk and the wire know no struct, no size_t and no enum.  These eight
//  functions are the only way in and out; compilers turn each into one move.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_BYTES_H
#define TRN_BYTES_H

#include <stdint.h>

static inline void
trn_put_u16 (uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t) value;
    at[1] = (uint8_t) (value >> 8);
}

static inline void
trn_put_u32 (uint8_t *at, uint32_t value)
{
    trn_put_u16 (at, (uint16_t) value);
    trn_put_u16 (at + 2, (uint16_t) (value >> 16));
}

static inline void
trn_put_u64 (uint8_t *at, uint64_t value)
{
    trn_put_u32 (at, (uint32_t) value);
    trn_put_u32 (at + 4, (uint32_t) (value >> 32));
}

static inline uint16_t
trn_get_u16 (const uint8_t *at)
{
    return (uint16_t) (at[0] | at[1] << 8);
}

static inline uint32_t
trn_get_u32 (const uint8_t *at)
{
    return (uint32_t) trn_get_u16 (at) | (uint32_t) trn_get_u16 (at + 2) << 16;
}

static inline uint64_t
trn_get_u64 (const uint8_t *at)
{
    return (uint64_t) trn_get_u32 (at) | (uint64_t) trn_get_u32 (at + 4) << 32;
}

#endif
