//  base/limits.h - every number that bounds what comes from outside
//
//  A size, count or depth that a peer, a file or an option can set is compared
//  with one of these on the line above its first use.  docs/spec lists them.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_LIMITS_H
#define TRN_LIMITS_H

#include <stdint.h>

//  Names of peers, queues and exchanges, in bytes, without the final NUL.
#define TRN_NAME_MAX 63
#define TRN_ENDPOINT_MAX 255

//  Words for people in REFUSE, BYE and the like, in bytes.
#define TRN_TEXT_MAX 255

//  Seqs, and other counts that grow with them: nobody's sum can overflow.
#define TRN_SEQ_MAX ((uint64_t) INT64_MAX)

//  One message.
#define TRN_BODY_MAX (1024 * 1024)
#define TRN_KEY_MAX 255
#define TRN_PROPS_MAX 65535

//  The body of a large message, and the part of it that is fetched at a time.
#define TRN_LARGE_MAX (1024 * 1024 * 1024)
#define TRN_LARGE_PART (256 * 1024)

//  Its properties: how many, and the bytes of one key.  The application's
//  headers leave room for what Tern itself has to say.
#define TRN_PROPS_COUNT 80
#define TRN_PROPS_KEY_MAX 127
#define TRN_HEADERS_COUNT 64
#define TRN_HEADERS_BYTES (63 * 1024)

//  Texts in Tern's own properties: ordering key, correlation.
#define TRN_WORD_MAX 127

//  One record: header, key, properties, body, padded to 8.
#define TRN_RECORD_HEADER 40u
#define TRN_RECORD_MAX                                                         \
    (TRN_RECORD_HEADER + TRN_KEY_MAX + TRN_PROPS_MAX + TRN_BODY_MAX + 2)

//  One run of records in one DATA frame.  A run is cut at RUN_BYTES unless a
//  single record is larger.
#define TRN_RUN_BYTES (256 * 1024)
#define TRN_RUN_COUNT 8192

//  A run starts at such an offset at the latest: its end cannot overflow.
#define TRN_OFFSET_MAX (INT64_MAX / 2)

//  What a socket accepts in one ZeroMQ frame, and frames in one message.
#define TRN_FRAME_MAX (1024 * 1024 + 128 * 1024)
#define TRN_DIRECTORY_FRAME_MAX (64 * 1024)
#define TRN_CONTROL_MAX (16 * 1024)
#define TRN_PARTS_MAX 8

//  The msgpack pre-scan.
#define TRN_PACK_DEPTH 8
#define TRN_PACK_ELEMENTS 4096
#define TRN_DIRECTORY_ELEMENTS 65536

//  Lists inside control frames.
#define TRN_RANGES_MAX 64
#define TRN_SETTLES_MAX 64
#define TRN_ENDPOINTS_MAX 4
#define TRN_QUEUES_MAX 256

//  A registration lives so long without being refreshed; a peer that was told
//  less would do nothing but refresh it.
#define TRN_LEASE_MIN_MS 100
#define TRN_LEASE_MAX_MS (300 * 1000)

//  A rate that a peer may tell, in messages per second.
#define TRN_RATE_MAX UINT64_C (1000000000)

//  Tables of a peer.
#define TRN_LINKS_MAX 1024
#define TRN_FLOWS_MAX 4096
#define TRN_OUTBOXES_MAX 4096
#define TRN_DEDUP_PAGES_MAX 32768

//  Calls: services that one link is asked for, and calls open at once for one
//  of them over one link; services that one peer calls.
#define TRN_SEATS_MAX 256
#define TRN_SEAT_CALLS 64
#define TRN_NEEDS_MAX 256

//  What a consumer remembers: publishing stores, and outbox and queue pairs of
//  one store.
#define TRN_STORES_MAX 4096
#define TRN_STREAMS_MAX 1024

//  Pages (base/seqset.h: 4096 seqs, some 600 bytes) that a consumer remembers
//  of all streams together; beyond that only streams that need no more than a
//  little get credit.
#define TRN_REMEMBERED_MAX 65536
#define TRN_REMEMBERED_LITTLE 16

//  What a publisher lets one flow hold unsettled, whatever credit it was given;
//  how scattered (pages of base/seqset.h) a subscription may become before
//  nothing new is assigned.
#define TRN_WINDOW_MESSAGES (1024 * 1024)
#define TRN_WINDOW_BYTES (64 * 1024 * 1024)
#define TRN_SCATTER_PAGES (64 * 1024)

//  Messages of one outbox with a priority, a time or an ordering key that are
//  kept in memory (some 70 bytes each), once for each queue that they wait for.
#define TRN_RULED_MAX (4 * 1024 * 1024)

//  Dead letters of one queue that are being written at once.
#define TRN_BURIES_MAX 64

//  Bindings: of one table, of one exchange, and bytes that the table may take;
//  headers of one (as a packed map), words of its topic pattern, and its latest
//  stamp (the year 2200).
#define TRN_BINDINGS_MAX 100000
#define TRN_BINDINGS_OF_ONE 32768
#define TRN_BINDINGS_BYTES (32 * 1024 * 1024)
#define TRN_BINDING_HEADERS_MAX 4096
#define TRN_BINDING_WORDS_MAX 32
#define TRN_STAMP_MAX UINT64_C (7258118400000000)

//  The saved state of an outbox.
#define TRN_STATE_MAX (60 * 1024)

#endif
