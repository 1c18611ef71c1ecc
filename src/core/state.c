//  core/state.c - what an outbox remembers from one life to the next
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/state.h"

#include "base/bytes.h"
#include "base/name.h"
#include "core/publication.h"

#include <tern/error.h>

#include <assert.h>
#include <string.h>

#define VERSION 2
#define HEADER_1 4u
#define HEADER 16u
#define FIXED 38u  //  of a subscription, without its queue's name and policy
#define VARINT_MAX 10u

//  Seqs that counts of one kind are kept for: a damaged state must not cost all
//  memory.
#define COUNTED_MAX (64u * 1024 * 1024)

//  Counts that are alike are written as one over so many settled seqs between
//  them.  Not over more: where the settled ones do not fit into the state, those
//  between have a count as well.
#define BRIDGED_MAX 4096u

enum {
    EXCHANGE = 1,
    ROUTED = 2,
    LOSSES = 4
};

enum {
    OWN_POLICY = 1,
    LOST = 2
};

#define LOST_SIZE 16u

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
    uint8_t policy[TRN_POLICY_SIZE_MAX];
    return FIXED + strlen (sub->queue)
           + (sub->own_policy ? trn_policy_encode (&sub->policy, policy) : 0)
           + (sub->lost.total ? LOST_SIZE : 0);
}

//  The next range that this queue settled itself.
static bool
s_next_settled (const trn_subscription_t *sub, uint64_t from,
                trn_range_t *range)
{
    while (trn_seqset_first_in (&sub->settled, from, TRN_SEQ_MAX, range)) {
        if (!trn_seqset_total (&sub->foreign)
            || trn_seqset_count (&sub->foreign, range->from, range->to)
                   <= range->to - range->from) {
            return true;
        }
        from = range->to + 1;
    }
    return false;
}

static uint8_t *
s_put_ranges (uint8_t *at, trn_subscription_t *sub, const uint8_t *end)
{
    uint8_t *count_at = at;
    at += 4;
    uint32_t count = 0;
    uint64_t after = sub->low;
    trn_range_t range;
    while ((size_t) (end - at) >= 2 * VARINT_MAX
           && s_next_settled (sub, after, &range)) {
        at = s_put_varint (at, range.from - after);
        at = s_put_varint (at, range.to - range.from);
        after = range.to + 1;
        trn_ranges_add (&sub->saving, range.from, range.to);
        count++;
    }
    trn_put_u32 (count_at, count);
    return at;
}

//  Are these alike, with nothing but settled ones between them?
static bool
s_may_bridge (const trn_subscription_t *sub, const trn_counted_t *part,
              const trn_counted_t *more)
{
    const uint64_t between = more->from - part->to - 1;
    trn_range_t open;
    return more->count == part->count && between <= BRIDGED_MAX
           && more->to - part->from < COUNTED_MAX
           && (!between
               || !trn_seqset_first_out (&sub->settled, part->to + 1,
                                         more->from - 1, &open));
}

//  Counts from..to that are one, with what is settled between them.
static bool
s_next_counted (const trn_subscription_t *sub, uint64_t from,
                trn_counted_t *found)
{
    if (!trn_counts_next (&sub->counts, from, TRN_SEQ_MAX, found)) {
        return false;
    }
    trn_counted_t more;
    while (trn_counts_next (&sub->counts, found->to + 1, TRN_SEQ_MAX, &more)
           && s_may_bridge (sub, found, &more)) {
        found->to = more.to;
    }
    if (found->to - found->from >= COUNTED_MAX) {
        found->to = found->from + COUNTED_MAX - 1;
    }
    return true;
}

static uint8_t *
s_put_counts (uint8_t *at, trn_subscription_t *sub, const uint8_t *end)
{
    uint8_t *count_at = at;
    at += 4;
    uint32_t count = 0;
    uint64_t after = sub->low;
    trn_counted_t part;
    sub->cut = 0;
    while (s_next_counted (sub, after, &part)) {
        if ((size_t) (end - at) < 3 * VARINT_MAX) {
            sub->cut = part.from;
            break;
        }
        at = s_put_varint (at, part.from - after);
        at = s_put_varint (at, part.to - part.from);
        at = s_put_varint (at, part.count);
        after = part.to + 1;
        count++;
    }
    trn_put_u32 (count_at, count);
    return at;
}

//  What an earlier life may have delivered stays in doubt until it is counted,
//  however many lives that takes.
static void
s_put_doubt (uint8_t *at, const trn_subscription_t *sub)
{
    uint64_t from = sub->next > sub->doubt_from ? sub->next : sub->doubt_from;
    trn_range_t ruled;
    if (sub->doubt_from <= sub->doubt
        && trn_seqset_first_in (&sub->ruled_seqs, sub->doubt_from, sub->doubt,
                                &ruled)) {
        from = ruled.from < from ? ruled.from : from;
    }
    from = from > sub->low ? from : sub->low;
    const bool any = from <= sub->doubt;
    trn_put_u64 (at, any ? from : 0);
    trn_put_u64 (at + 8, any ? sub->doubt : 0);
}

//  One subscription; spare is the room for ranges and counts.
static uint8_t *
s_put_subscription (uint8_t *at, trn_subscription_t *sub, size_t spare)
{
    const size_t queue_size = strlen (sub->queue);
    *at++ = (uint8_t) queue_size;
    memcpy (at, sub->queue, queue_size);
    at += queue_size;
    trn_put_u32 (at, sub->number);
    at[4] = (uint8_t) ((sub->own_policy ? OWN_POLICY : 0)
                       | (sub->lost.total ? LOST : 0));
    at += 5;
    if (sub->own_policy) {
        at += trn_policy_encode (&sub->policy, at);
    }
    if (sub->lost.total) {
        trn_put_u64 (at, sub->lost.total);
        trn_put_u64 (at + 8, sub->lost.told);
        at += LOST_SIZE;
    }
    s_put_doubt (at, sub);
    trn_put_u64 (at + 16, sub->low);
    at += 24;

    //  Counts have the first half if they need it, and come last.
    uint8_t counts[TRN_STATE_MAX / 2 + 4];
    const uint8_t *end = s_put_counts (counts, sub, counts + 4 + spare / 2);
    const size_t counts_size = (size_t) (end - counts);
    trn_ranges_clear (&sub->saving);
    sub->saving_low = sub->low;
    at = s_put_ranges (at, sub, at + 4 + spare - (counts_size - 4));
    memcpy (at, counts, counts_size);
    return at + counts_size;
}

//  Those that a state may know.
static trn_list_t
s_said (const trn_publication_t *publication)
{
    trn_list_t said = {0};
    for (size_t index = 0; index < publication->subs.count; index++) {
        trn_subscription_t *sub = publication->subs.at[index];
        if (!sub->withheld) {
            trn_list_add (&said, sub);
        }
    }
    return said;
}

static bool
s_has_losses (const trn_list_t *subs)
{
    for (size_t index = 0; index < subs->count; index++) {
        const trn_subscription_t *sub = subs->at[index];
        if (sub->lost.total) {
            return true;
        }
    }
    return false;
}

static size_t
s_put_header (uint8_t *at, const trn_publication_t *publication,
              const trn_list_t *subs)
{
    at[0] = VERSION;
    at[1] = (uint8_t) ((publication->exchange ? EXCHANGE : 0)
                       | (publication->routed ? ROUTED : 0)
                       | (s_has_losses (subs) ? LOSSES : 0));
    trn_put_u16 (at + 2, (uint16_t) subs->count);
    trn_put_u32 (at + 4, publication->sub_number);
    trn_put_u64 (at + 8, publication->given);
    return HEADER + trn_policy_encode (&publication->policy, at + HEADER);
}

size_t
trn_state_encode (trn_publication_t *publication, uint8_t *buffer,
                  size_t capacity)
{
    assert (publication && buffer && capacity >= HEADER + TRN_POLICY_SIZE_MAX);
    trn_list_t subs = s_said (publication);
    const size_t header = s_put_header (buffer, publication, &subs);
    size_t fixed = header;
    for (size_t index = 0; index < subs.count; index++) {
        fixed += s_fixed_size (subs.at[index]);
    }
    assert (fixed <= capacity);
    size_t spare = capacity - fixed;

    uint8_t *at = buffer + header;
    for (size_t index = 0; index < subs.count; index++) {
        //  What one does not need of its share, the next may use.
        trn_subscription_t *sub = subs.at[index];
        const uint8_t *start = at;
        at = s_put_subscription (at, sub, spare / (subs.count - index));
        spare -= (size_t) (at - start) - s_fixed_size (sub);
    }
    trn_list_clear (&subs);
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

//  The next range after `after`, of a list in ascending order.
static bool
s_take_range (s_reader_t *reader, uint64_t after, uint64_t least, uint64_t high,
              trn_range_t *range)
{
    const uint64_t distance = s_take_varint (reader);
    const uint64_t more = s_take_varint (reader);
    if (reader->failed || distance < least || after > high
        || distance > high - after || more > high - after - distance) {
        return false;
    }
    *range = (trn_range_t) {after + distance, after + distance + more};
    return true;
}

static bool
s_take_ranges (s_reader_t *reader, trn_subscription_t *sub, uint64_t high)
{
    trn_range_t range = {0, sub->low - 1};
    for (uint32_t count = trn_get_u32 (s_take (reader, 4)); count; count--) {
        if (!s_take_range (reader, range.to + 1, 1, high, &range)) {
            return false;
        }
        trn_subscription_add_settled (sub, range.from, range.to);
        trn_ranges_add (&sub->durable, range.from, range.to);
    }
    return !reader->failed;
}

static bool
s_take_counts (s_reader_t *reader, trn_subscription_t *sub, uint64_t high)
{
    trn_range_t range = {0, sub->low - 1};
    for (uint32_t count = trn_get_u32 (s_take (reader, 4)); count; count--) {
        if (!s_take_range (reader, range.to + 1, 0, high, &range)) {
            return false;
        }
        const uint64_t times = s_take_varint (reader);
        const uint64_t settled
            = trn_seqset_count (&sub->settled, range.from, range.to);
#ifdef TERN_BUG_27
        const uint64_t most = 2;
#else
        const uint64_t most = TRN_COUNT_MAX;
#endif
        if (reader->failed || !times || times > most
            || range.to - range.from - settled >= COUNTED_MAX) {
            return false;
        }
        trn_subscription_add_count (sub, range.from, range.to,
                                    (uint32_t) times);
    }
    return !reader->failed;
}

static bool
s_is_named (const trn_publication_t *publication, const char *queue,
            uint32_t number)
{
    for (size_t index = 0; index < publication->subs.count; index++) {
        const trn_subscription_t *sub = publication->subs.at[index];
        if (strcmp (sub->queue, queue) == 0 || sub->number == number) {
            return true;
        }
    }
    return false;
}

static bool
s_take_policy (s_reader_t *reader, trn_policy_t *policy)
{
    if (reader->failed) {
        return false;
    }
    const int size = trn_policy_decode (policy, reader->at, reader->left);
    if (size > 0) {
        reader->at += size;
        reader->left -= (size_t) size;
    }
    return size > 0;
}

//  A queue's name; NULL if it is none.  In buffer.
static const char *
s_take_queue (s_reader_t *reader, char buffer[TRN_NAME_MAX + 2])
{
    const size_t size = *s_take (reader, 1);
    if (size > TRN_NAME_MAX + 1) {
        return NULL;
    }
    memcpy (buffer, s_take (reader, size), size);
    buffer[size] = '\0';
    return !reader->failed && trn_subscribed_valid (buffer, size) ? buffer
                                                                  : NULL;
}

static bool
s_take_subscription_1 (s_reader_t *reader, trn_publication_t *publication,
                       bool clean)
{
    const uint64_t high = publication->high;
    char buffer[TRN_NAME_MAX + 2];
    const char *queue = s_take_queue (reader, buffer);
    const uint64_t next = trn_get_u64 (s_take (reader, 8));
    const uint64_t low = trn_get_u64 (s_take (reader, 8));
    if (reader->failed || !queue || s_is_named (publication, queue, 0)
        || low < 1 || low > high + 1 || next < 1 || next > high + 1) {
        return false;
    }
    trn_subscription_t *sub = trn_publication_add_queue (
        publication, queue, publication->sub_number + 1, low);
    sub->doubt = clean ? next - 1 : high;
    return s_take_ranges (reader, sub, high);
}

static bool
s_take_subscription (s_reader_t *reader, trn_publication_t *publication,
                     bool clean)
{
    const uint64_t high = publication->high;
    char buffer[TRN_NAME_MAX + 2];
    const char *queue = s_take_queue (reader, buffer);
    const uint32_t number = trn_get_u32 (s_take (reader, 4));
    const uint8_t flags = *s_take (reader, 1);
    trn_policy_t policy = publication->policy;
    if (!queue || (flags & OWN_POLICY && !s_take_policy (reader, &policy))) {
        return false;
    }
    trn_lost_t lost = {0};
    if (flags & LOST) {
        const uint64_t total = trn_get_u64 (s_take (reader, 8));
        const uint64_t told = trn_get_u64 (s_take (reader, 8));
        if (!trn_lost_restore (&lost, total, told)) {
            return false;
        }
    }
    const uint64_t doubt_from = trn_get_u64 (s_take (reader, 8));
    const uint64_t doubt = trn_get_u64 (s_take (reader, 8));
    const uint64_t low = trn_get_u64 (s_take (reader, 8));
    if (reader->failed || !number || number > publication->sub_number
        || s_is_named (publication, queue, number) || low < 1 || low > high + 1
        || doubt > high || doubt_from > TRN_SEQ_MAX) {
        return false;
    }
    trn_subscription_t *sub
        = trn_publication_add_queue (publication, queue, number, low);
    sub->policy = policy;
    sub->own_policy = flags & OWN_POLICY;
    sub->lost = lost;
    sub->doubt_from = clean ? doubt_from : 0;
    sub->doubt = clean ? doubt : high;
    return s_take_ranges (reader, sub, high)
           && s_take_counts (reader, sub, high);
}

//  What stands before the subscriptions; *count_p says how many there are.
static int
s_take_header (s_reader_t *reader, trn_publication_t *publication,
               uint8_t *version_p, uint16_t *count_p)
{
    const uint8_t *header = s_take (reader, HEADER_1);
    if (reader->failed) {
        return TERN_ECORRUPT;
    }
    *version_p = header[0];
    *count_p = trn_get_u16 (header + 2);
    if (header[0] == 1) {
        return header[1] ? TERN_EVERSION : 0;
    }
    if (header[0] != VERSION || header[1] & ~(EXCHANGE | ROUTED | LOSSES)) {
        return TERN_EVERSION;
    }
    publication->exchange = header[1] & EXCHANGE;
    publication->routed = header[1] & ROUTED;
    publication->sub_number = trn_get_u32 (s_take (reader, 4));
    publication->given = trn_get_u64 (s_take (reader, 8));
    return s_take_policy (reader, &publication->policy) ? 0 : TERN_ECORRUPT;
}

int
trn_state_decode (trn_publication_t *publication, bool clean,
                  const uint8_t *bytes, size_t size)
{
    assert (publication && (bytes || !size));
    s_reader_t reader = {bytes, size, size > TRN_STATE_MAX};
    uint8_t version = 0;
    uint16_t count = 0;
    const int rc = s_take_header (&reader, publication, &version, &count);
    if (rc) {
        return rc;
    }
    if (count > TRN_QUEUES_MAX) {
        return TERN_ECORRUPT;
    }
    for (; count; count--) {
        const bool good
            = version == 1 ? s_take_subscription_1 (&reader, publication, clean)
                           : s_take_subscription (&reader, publication, clean);
        if (!good) {
            return TERN_ECORRUPT;
        }
    }
    return reader.left ? TERN_ECORRUPT : 0;
}
