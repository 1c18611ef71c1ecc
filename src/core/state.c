//  core/state.c - what an outbox remembers from one life to the next
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/state.h"

#include "base/bytes.h"
#include "base/name.h"

#include <tern/error.h>

#include <assert.h>
#include <string.h>

#define VERSION 1
#define HEADER 4u
#define FIXED 21u  //  of a subscription, without its queue's name
#define VARINT_MAX 10u

//  Writing ------------------------------------------------------------------

static uint8_t *
s_put_varint (uint8_t *at, uint64_t number)
{
    while (number >= 0x80) {
        *at++ = (uint8_t) (number | 0x80);
        number >>= 7;
    }
    *at++ = (uint8_t) number;
    return at;
}

static size_t
s_fixed_size (const trn_subscription_t *sub)
{
    return FIXED + strlen (sub->queue);
}

//  One subscription into at most size bytes, which is room for its fixed part.
static uint8_t *
s_put_subscription (uint8_t *at, trn_subscription_t *sub, size_t size)
{
    const uint8_t *end = at + size;
    const size_t queue_size = strlen (sub->queue);
    const uint64_t low = trn_subscription_low (sub);
    trn_ranges_clear (&sub->saving);
    sub->saving_low = low;
    *at++ = (uint8_t) queue_size;
    memcpy (at, sub->queue, queue_size);
    at += queue_size;
    //  What an earlier life may have delivered stays in doubt until it is sent
    //  again, however many lives that takes.
    trn_put_u64 (at, sub->next > sub->doubt ? sub->next : sub->doubt + 1);
    trn_put_u64 (at + 8, low);
    uint8_t *count_at = at + 16;
    at += 20;
    uint32_t count = 0;
    uint64_t after = low;
    for (size_t index = 0; index < sub->settled.count; index++) {
        const trn_range_t *range = &sub->settled.at[index];
        if (range->from < low) {
            continue;
        }
        if ((size_t) (end - at) < 2 * VARINT_MAX) {
            break;
        }
        at = s_put_varint (at, range->from - after);
        at = s_put_varint (at, range->to - range->from);
        after = range->to + 1;
        trn_ranges_add (&sub->saving, range->from, range->to);
        count++;
    }
    trn_put_u32 (count_at, count);
    return at;
}

size_t
trn_state_encode (trn_publication_t *publication, uint8_t *buffer,
                  size_t capacity)
{
    assert (publication && buffer);
    const trn_list_t *subs = &publication->subs;
    size_t fixed = HEADER;
    for (size_t index = 0; index < subs->count; index++) {
        fixed += s_fixed_size (subs->at[index]);
    }
    assert (fixed <= capacity);
    size_t spare = capacity - fixed;

    buffer[0] = VERSION;
    buffer[1] = 0;
    trn_put_u16 (buffer + 2, (uint16_t) subs->count);
    uint8_t *at = buffer + HEADER;
    for (size_t index = 0; index < subs->count; index++) {
        //  What one does not need of its share, the next may use.
        trn_subscription_t *sub = subs->at[index];
        const size_t need = s_fixed_size (sub);
        uint8_t *start = at;
        at = s_put_subscription (at, sub, need + spare / (subs->count - index));
        spare -= (size_t) (at - start) - need;
    }
    return (size_t) (at - buffer);
}

//  Reading ------------------------------------------------------------------

typedef struct {
    const uint8_t *at;
    size_t left;
    bool failed;
} s_reader_t;

static const uint8_t *
s_take (s_reader_t *reader, size_t size)
{
    static const uint8_t nothing[TRN_NAME_MAX + 1];
    assert (size <= sizeof nothing);
    if (reader->failed || reader->left < size) {
        reader->failed = true;
        return nothing;
    }
    const uint8_t *at = reader->at;
    reader->at += size;
    reader->left -= size;
    return at;
}

static uint64_t
s_take_varint (s_reader_t *reader)
{
    uint64_t number = 0;
    for (unsigned shift = 0; shift < 63; shift += 7) {
        const uint8_t byte = *s_take (reader, 1);
        number |= (uint64_t) (byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            return number;
        }
    }
    reader->failed = true;
    return 0;
}

static bool
s_take_ranges (s_reader_t *reader, trn_subscription_t *sub, uint64_t low,
               uint64_t high)
{
    uint64_t after = low;
    for (uint32_t count = trn_get_u32 (s_take (reader, 4)); count; count--) {
        const uint64_t distance = s_take_varint (reader);
        const uint64_t more = s_take_varint (reader);
        if (reader->failed || distance == 0 || after > high
            || distance > high - after || more > high - after - distance) {
            return false;
        }
        const uint64_t from = after + distance;
        trn_ranges_add (&sub->settled, from, from + more);
        trn_ranges_add (&sub->durable, from, from + more);
        after = from + more + 1;
    }
    return !reader->failed;
}

static bool
s_is_named (const trn_publication_t *publication, const char *queue)
{
    for (size_t index = 0; index < publication->subs.count; index++) {
        const trn_subscription_t *sub = publication->subs.at[index];
        if (strcmp (sub->queue, queue) == 0) {
            return true;
        }
    }
    return false;
}

static bool
s_take_subscription (s_reader_t *reader, trn_publication_t *publication,
                     bool clean)
{
    const uint64_t high = publication->high;
    const size_t queue_size = *s_take (reader, 1);
    if (queue_size > TRN_NAME_MAX + 1) {
        return false;
    }
    char queue[TRN_NAME_MAX + 2] = {0};
    memcpy (queue, s_take (reader, queue_size), queue_size);
    const uint64_t next = trn_get_u64 (s_take (reader, 8));
    const uint64_t low = trn_get_u64 (s_take (reader, 8));
    if (reader->failed || !trn_queue_valid (queue, queue_size)
        || s_is_named (publication, queue) || low < 1 || low > high + 1
        || next < 1 || next > high + 1) {
        return false;
    }
    trn_subscription_t *sub = trn_subscription_new (queue, low);
    trn_list_add (&publication->subs, sub);
    sub->publication = publication;
    sub->doubt = clean ? next - 1 : high;
    return s_take_ranges (reader, sub, low, high);
}

int
trn_state_decode (trn_publication_t *publication, bool clean,
                  const uint8_t *bytes, size_t size)
{
    assert (publication && (bytes || !size));
    s_reader_t reader = {bytes, size, size < HEADER || size > TRN_STATE_MAX};
    const uint8_t *header = s_take (&reader, HEADER);
    if (reader.failed) {
        return TERN_ECORRUPT;
    }
    if (header[0] != VERSION || header[1] != 0) {
        return TERN_EVERSION;
    }
    uint16_t count = trn_get_u16 (header + 2);
    if (count > TRN_QUEUES_MAX) {
        return TERN_ECORRUPT;
    }
    for (; count; count--) {
        if (!s_take_subscription (&reader, publication, clean)) {
            return TERN_ECORRUPT;
        }
    }
    return reader.left ? TERN_ECORRUPT : 0;
}
