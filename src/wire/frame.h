//  wire/frame.h - the frames of the link, as structs
//
//  One control frame is one msgpack array: [type, connection, field ...].  A
//  DATA message has two parts: this array and the run of records.  docs/spec
//  1/LINK has one table per frame; the order of fields here is theirs.
//
//      publisher -> consumer          consumer -> publisher
//      HELLO                          WELCOME or REFUSE
//      OFFER  (a flow: one queue      ACCEPT (resume point of that flow)
//              of one outbox)         CREDIT (absolute limits)
//      DATA                           SETTLE
//      FLOOR  (never sent again)      CANCEL (this flow is not wanted)
//      RETIRE (this flow is over)
//      SEEK   (a service)             ROOM   (for so many calls at once)
//      CALL   (request)               ANSWER (one reply of a call)
//      TAKE   (room for answers)      FAIL   (no reply, or no more)
//      ABANDON (nobody waits)
//      PING PONG BYE                  PING PONG BYE
//
//  CALL and ANSWER have two parts as DATA has: the second is one record.
//
//  Decoding allocates nothing: strings point into the bytes given, lists go
//  into fixed arrays of the struct; only the members of the frame's own type
//  are set.  Bytes are pre-scanned (depth, elements, lengths, UTF-8, one
//  object, no rest) before a field is read.  Fields that a later version adds
//  at the end of a frame, an identity or a settlement are ignored.
//
//  Seqs, lows and credit are at most TRN_SEQ_MAX, so sums of them cannot wrap.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_FRAME_H
#define TRN_FRAME_H

#include "base/limits.h"
#include "base/ranges.h"
#include "wire/text.h"

#include <stddef.h>
#include <stdint.h>

#define TRN_PROTOCOL_MIN 1
#define TRN_PROTOCOL_MAX 1

typedef enum {
    TRN_HELLO = 1,
    TRN_WELCOME = 2,
    TRN_REFUSE = 3,
    TRN_OFFER = 4,
    TRN_ACCEPT = 5,
    TRN_CREDIT = 6,
    TRN_DATA = 7,
    TRN_SETTLE = 8,
    TRN_FLOOR = 9,
    TRN_CANCEL = 10,
    TRN_RETIRE = 11,
    TRN_PING = 12,
    TRN_PONG = 13,
    TRN_BYE = 14,
    TRN_SEEK = 15,
    TRN_ROOM = 16,
    TRN_CALL = 17,
    TRN_ANSWER = 18,
    TRN_FAIL = 19,
    TRN_TAKE = 20,
    TRN_ABANDON = 21
} trn_frame_type_t;

#define TRN_FRAME_LAST TRN_ABANDON

typedef enum {
    TRN_ACCEPTED = 1,  //  done: never send it again
    TRN_REQUEUED = 2,  //  not done: deliver it again, to anybody
    TRN_REJECTED = 3,  //  cannot be done by anybody: set it aside
    TRN_RELEASED = 4,  //  never given to the application: no delivery happened
    TRN_STORED = 5     //  no settlement: it is on the consumer's disk too
} trn_outcome_t;

//  Bits of an identity's features.
#define TRN_FEATURE_STORED 1u  //  may be told STORED

typedef enum {
    TRN_REFUSE_VERSION = 1,  //  no common version
    TRN_REFUSE_NAME = 2,     //  not a name, or mine
    TRN_REFUSE_FENCED = 3,   //  older incarnation, or a clone of a live one
    TRN_REFUSE_FULL = 4,     //  too many links or flows
    TRN_REFUSE_RIGHTS = 5
} trn_refusal_t;

typedef enum {
    TRN_FAIL_NOBODY = 1,  //  nobody serves that here: ask another
    TRN_FAIL_BUSY = 2,    //  no room: ask another, or after the next ROOM
    TRN_FAIL_LEFT = 3,    //  whoever had it has left without an answer
    TRN_FAIL_FAILED = 4   //  the server says so; text is for the requester
} trn_failure_t;

//  Who is speaking; in HELLO and WELCOME.
typedef struct {
    trn_text_t name;
    uint8_t store_uuid[16];
    uint64_t incarnation;
    uint64_t random;    //  of this incarnation: tells a clone from the original
    uint64_t features;  //  bits; unknown ones are ignored
    uint64_t frame_max;  //  >= TRN_CONTROL_MAX
} trn_identity_t;

typedef struct {
    uint64_t token;
    trn_outcome_t outcome;
    uint64_t from;
    uint64_t to;
} trn_settle_t;

typedef struct {
    trn_frame_type_t type;
    uint64_t connection;  //  0 in HELLO and REFUSE only: the acceptor's number
    union {
        struct {
            uint64_t version_min, version_max;
            trn_identity_t who;
        } hello;
        struct {
            uint64_t version;
            trn_identity_t who;
        } welcome;
        struct {
            trn_refusal_t reason;
            trn_text_t text;
        } refuse;
        struct {
            uint32_t flow;  //  chosen by the publisher, unique in the link
            trn_text_t queue;
            trn_text_t outbox;
            uint64_t low;   //  nothing below is ever sent again (durable), >= 1
            uint64_t high;  //  last seq that earlier lives of this store used,
                            //  0 none
            uint32_t number;  //  of the queue in the outbox, rising with each
                              //  one that begins there; absent: 0, unknown
        } offer;
        struct {
            uint32_t flow;
            uint64_t seen;         //  highest seq received here from earlier
                                   //  lives of this store, 0 none
            uint32_t range_count;  //  settled here at or above low
            trn_range_t ranges[TRN_RANGES_MAX];  //  ascending, disjoint
            uint64_t told;   //  as in DATA, with what is settled here
            uint32_t flags;  //  TRN_ACCEPT_STORES; absent: 0
        } accept;
        struct {
            uint32_t flow;
            uint64_t messages;  //  deliveries since ACCEPT, absolute
            uint64_t bytes;     //  record bytes since ACCEPT, absolute
        } credit;
        struct {
            uint32_t flow;
            uint64_t token;
            uint64_t low;  //  as in OFFER and FLOOR, >= 1
            uint64_t segment;
            uint64_t offset;      //  of the run in its segment, by 8
            uint64_t first_seq;   //  >= 1
            uint32_t count;       //  records in the run, 1..TRN_RUN_COUNT
            uint32_t deliveries;  //  1 = first time
            uint32_t flags;       //  TRN_DATA_REDELIVERED, TRN_DATA_MORE
            uint64_t missed;      //  lost of this queue, ever; 0: not told
            uint64_t told;        //  ... and told before; <= missed
        } data;
        struct {
            uint32_t flow;
            uint32_t count;
            trn_settle_t entries[TRN_SETTLES_MAX];
        } settle;
        struct {
            uint32_t flow;
            uint64_t low;  //  all below: durably settled; >= 1
            uint32_t range_count;
            trn_range_t ranges[TRN_RANGES_MAX];  //  and these, from low on
        } floor;
        struct {
            uint32_t flow;
        } cancel, retire;
        struct {
            uint64_t nonce;  //  PONG returns it
        } ping, pong;
        struct {
            trn_text_t reason;
        } bye;
        struct {
            uint32_t seat;  //  chosen by the requester, rising in the link
            trn_text_t service;
        } seek;
        struct {
            uint32_t seat;
            uint32_t calls;  //  open at once, at most; 0: not served here
        } room;
        struct {
            uint32_t seat;
            uint64_t call;     //  requester's number, never of two calls
            uint32_t left_ms;  //  until nobody waits any more; 0 no limit
            uint64_t answers;  //  may be sent, absolute
            uint64_t bytes;    //  ... and record bytes; the last may exceed
            uint32_t flags;    //  TRN_CALL_REPEATED
        } call;
        struct {
            uint64_t call;
            uint64_t number;  //  1, 2, 3 ... of this call
            uint32_t flags;   //  TRN_ANSWER_LAST
        } answer;
        struct {
            uint64_t call;
            trn_failure_t reason;
            trn_text_t text;
        } fail;
        struct {
            uint64_t call;
            uint64_t answers, bytes;  //  as in CALL, now
        } take;
        struct {
            uint64_t call;
        } abandon;
    };
} trn_frame_t;

#define TRN_ACCEPT_STORES 1u  //  STORED will be told of this flow
#define TRN_DATA_REDELIVERED 1u
#define TRN_DATA_MORE 2u      //  more messages wait than credit allows
#define TRN_CALL_REPEATED 1u  //  another server may have seen it
#define TRN_ANSWER_LAST 1u

//  Encode; returns the bytes used.  capacity >= TRN_CONTROL_MAX always fits.
//  Counts are within limits.h; words for people beyond TRN_TEXT_MAX are cut.
size_t
trn_frame_encode (const trn_frame_t *frame, uint8_t *to, size_t capacity);

//  Decode one frame, all fields checked against limits.h and for grammar.
//  0, TERN_EPROTO (malformed), TERN_ETOOBIG (a named limit), TERN_EVERSION
//  (unknown type: ignore the frame, keep the link; type is not set).
int
trn_frame_decode (trn_frame_t *frame, const uint8_t *bytes, size_t size);

//  Name of a frame type for logs and traces, "?" if unknown.
const char *
trn_frame_name (trn_frame_type_t type);

#endif
