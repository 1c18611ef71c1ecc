//  tests/system/mixed.h - what kill_mixed writes and check_mixed reads
//
//  Each process appends lines to FOLDER/NAME.mixed, an intent before it acts and
//  a result after: time in ns, its name, its life, and one of
//
//      try KIND n             a publisher is going to send its payload n
//      sent KIND n seq        it is the library's now
//      asked echo n           ... of a request
//      synced KIND seq        all up to it are confirmed
//      reply echo n           an answer has come
//      left count             so many were unsettled when it closed
//      got QUEUE from n d     delivered for the d-th time
//      accept QUEUE from n    is going to be accepted
//      accepted QUEUE from n  has been
//      serve from n           a request is going to be answered
//      dead from n d          a dead letter says: after d deliveries
//      damaged from           a payload that nobody has sent
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TEST_MIXED_H
#define TEST_MIXED_H

#include <stdint.h>

typedef enum {
    MIXED_KEYED,
    MIXED_DOOMED,
    MIXED_NEWS,
    MIXED_ECHO,
    MIXED_KINDS
} mixed_kind_t;

#define MIXED_DELIVERIES 3  //  of what is doomed
#define MIXED_SUBSCRIBERS 3

//  What the subscribers want: all, and one topic each.
#define MIXED_PATTERNS                                                         \
    {                                                                          \
        "#", "even.*", "odd.*"                                                 \
    }

static inline const char *
mixed_name (mixed_kind_t kind)
{
    static const char *const names[] = {"keyed", "doomed", "news", "echo"};
    return names[kind];
}

//  Ordering key of a payload.
static inline unsigned
mixed_key (uint64_t n)
{
    return (unsigned) (n / 3 % 4);
}

static inline const char *
mixed_topic (uint64_t n)
{
    return n % 2 ? "odd.n" : "even.n";
}

#endif
