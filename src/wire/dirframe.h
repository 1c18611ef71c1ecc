//  wire/dirframe.h - the frames between a peer and a directory, as structs
//
//  One frame is one msgpack array: [type, field ...].  docs/spec/2-DIRECTORY.md
//  has one table per frame; the order of fields here is theirs.
//
//      peer -> directory                 directory -> peer
//      REGISTER (who, where, what)       REGISTERED (for how long)
//      REFRESH  (still here, numbers)    REGISTERED, or REFUSED
//      GOODBYE
//      WATCH    (what I know already)    SNAPSHOT pages, then a DELTA each time
//      QUERY    (numbers of the fleet)   STATS pages
//      PING                              PONG
//      DIGESTS  (of my bindings)         DIGESTS, and BINDINGS where they differ
//      BINDINGS (to you, or: take these) TAKEN; BINDINGS each time one changes
//
//  epoch names one life of a directory; number counts its changes in that life.
//  A watcher applies DELTA number n + 1 after n; any other means that it missed
//  something, and it says WATCH again.  PONG tells the number too, so that a
//  hole at the end is noticed.
//
//  Frames are at most TRN_DIRECTORY_FRAME_MAX bytes.  Lists that may be longer
//  are paged: the pages of one answer have the same epoch and number, and page
//  counts from 0 up to the one that says last.  One item always fits in a page.
//
//  Decoding allocates nothing: texts point into the bytes given, lists are
//  checked as a whole and then read one by one.  Unknown trailing fields of a
//  frame, an entry or a row are ignored; unknown feature bits too.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_DIRFRAME_H
#define TRN_DIRFRAME_H

#include "base/limits.h"
#include "wire/binding.h"
#include "wire/packer.h"
#include "wire/text.h"

#include <tern/stats.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

//  Not the numbers of the link: a frame on the wrong socket is unknown there.
typedef enum {
    TRN_DIR_REGISTER = 33,
    TRN_DIR_REGISTERED = 34,
    TRN_DIR_REFRESH = 35,
    TRN_DIR_REFUSED = 36,
    TRN_DIR_GOODBYE = 37,
    TRN_DIR_WATCH = 38,
    TRN_DIR_SNAPSHOT = 39,
    TRN_DIR_DELTA = 40,
    TRN_DIR_QUERY = 41,
    TRN_DIR_STATS = 42,
    TRN_DIR_PING = 43,
    TRN_DIR_PONG = 44,
    TRN_DIR_BINDINGS = 45,
    TRN_DIR_DIGESTS = 46,
    TRN_DIR_TAKEN = 47
} trn_dirframe_type_t;

typedef enum {
    TRN_DIR_UNKNOWN = 1,  //  not registered here (any more): REGISTER again
    TRN_DIR_NAME = 2,     //  another live store holds this name
    TRN_DIR_FENCED = 3,   //  a newer incarnation of this store is registered
    TRN_DIR_FULL = 4,     //  no room for one more peer or watcher
    TRN_DIR_RIGHTS = 5,
    TRN_DIR_VERSION = 6
} trn_dir_refusal_t;

//  What a node says of a binding that it was asked to take.
typedef enum {
    TRN_DIR_TOOK = 0,       //  it has it, as durable as it keeps anything
    TRN_DIR_TOOK_TYPE = 1,  //  no: the exchange is of another type
    TRN_DIR_TOOK_FULL = 2,  //  no: no room
    TRN_DIR_TOOK_RIGHTS = 3,
    TRN_DIR_TOOK_OLD = 4  //  no: it knows a later one that says otherwise
} trn_dir_verdict_t;

//  Bindings that one frame may ask to be taken.
#define TRN_DIR_ASK_MAX 64

//  WATCH flags.
#define TRN_WATCH_ONCE 1u  //  a snapshot only, no deltas afterwards

//  One peer as the directory knows it.
typedef struct {
    trn_text_t name;
    uint8_t store_uuid[16];
    uint64_t incarnation;
    uint64_t random;    //  of this incarnation
    uint64_t version;   //  peer's own count of changes; the higher is newer
    uint64_t features;  //  bits; unknown ones are ignored
    uint64_t heard_ms;  //  since the directory heard of it; 0 in REGISTER
    uint32_t endpoint_count;
    trn_text_t endpoints[TRN_ENDPOINTS_MAX];  //  the first is preferred
    uint32_t queue_count;
    trn_text_t queues[TRN_QUEUES_MAX];  //  consumed here
} trn_entry_t;

//  Items of a decoded list, checked already; see trn_entries_next (),
//  trn_rows_next () and trn_binds_next ().  Borrowed from the frame's bytes.
typedef struct {
    const uint8_t *at;
    const uint8_t *end;
    uint32_t left;  //  items not read yet
} trn_items_t;

typedef struct {
    trn_dirframe_type_t type;
    union {
        struct {
            uint64_t version_min, version_max;  //  of this protocol
            uint64_t lease_ms;                  //  wanted, 1..TRN_LEASE_MAX_MS
            trn_entry_t entry;
        } enrol;  //  REGISTER ("register" is a word of C)
        struct {
            uint64_t epoch;
            uint64_t number;
            uint64_t version;   //  of the entry that is registered
            uint64_t lease_ms;  //  granted, >= TRN_LEASE_MIN_MS
            uint64_t features;  //  of the directory
        } registered;
        struct {
            trn_text_t name;
            uint8_t store_uuid[16];
            uint64_t incarnation;
            uint64_t version;  //  of the entry as last registered
            uint64_t page;     //  page 0 replaces the rows, others add
            trn_items_t rows;  //  encode: trn_dirpage_t
            bool last;
        } refresh;
        struct {
            trn_dir_refusal_t reason;
            trn_text_t text;
        } refused;
        struct {
            trn_text_t name;
            uint8_t store_uuid[16];
            uint64_t incarnation;
        } goodbye;
        struct {
            uint64_t version_min, version_max;
            uint64_t epoch;  //  known already; 0 none
            uint64_t number;
            uint64_t flags;  //  TRN_WATCH_*
        } watch;
        struct {
            uint64_t epoch;
            uint64_t number;
            uint64_t page;
            trn_items_t entries;  //  encode: trn_dirpage_t
            bool last;
        } snapshot;
        struct {
            uint64_t epoch;
            uint64_t number;
            bool removed;  //  else added or changed
            trn_entry_t entry;
        } delta;
        struct {
            uint64_t nonce;    //  the answer returns it
            trn_text_t peer;   //  only rows of this peer; empty: of all
            trn_text_t queue;  //  only rows of this queue; empty: of all
        } query;
        struct {
            uint64_t nonce;
            uint64_t page;
            trn_items_t rows;  //  encode: trn_dirpage_t
            bool last;
        } stats;
        struct {
            uint64_t nonce;
        } ping;
        struct {
            uint64_t nonce;
            uint64_t epoch;
            uint64_t number;
            uint64_t digest;  //  of all bindings
        } pong;
        struct {
            uint64_t nonce;  //  peer: 0, or TAKEN tells what became of each;
                             //  node: of the DIGESTS, 0: these have changed
            uint64_t page;
            trn_items_t items;  //  encode: trn_dirpage_t
            bool last;
        } bindings;
        struct {
            uint64_t nonce;  //  the answer returns it
            const uint8_t
                *buckets;  //  TRN_BINDING_BUCKETS * 8 bytes, borrowed;
                           //  see trn_digest_at ()
        } digests;
        struct {
            uint64_t nonce;
            uint8_t verdicts[TRN_DIR_ASK_MAX];  //  trn_dir_verdict_t
            uint32_t count;
        } taken;
    };
} trn_dirframe_t;

//  Encode a frame without a paged list; returns the bytes used.  capacity >=
//  TRN_DIRECTORY_FRAME_MAX always fits.  Text is within limits.h, but a
//  refusal's, which is cut to TRN_TEXT_MAX.
size_t
trn_dirframe_encode (const trn_dirframe_t *frame, uint8_t *to, size_t capacity);

//  Encode REFRESH, SNAPSHOT, STATS or BINDINGS: begin with the frame's other
//  fields, add items while there is room, end.  add () says false when the item
//  does not fit: end this page and begin the next with page + 1.  The first
//  item of a page always fits when capacity >= TRN_DIRECTORY_FRAME_MAX.
typedef struct {
    trn_packer_t out;
    size_t place;  //  where the number of items is filled in at the end
    uint32_t count;
} trn_dirpage_t;

void
trn_dirpage_begin (trn_dirpage_t *self, const trn_dirframe_t *frame,
                   uint8_t *to, size_t capacity);

bool
trn_dirpage_add_entry (trn_dirpage_t *self, const trn_entry_t *entry);

//  row->peer is the reporting peer; REFRESH carries it too.
bool
trn_dirpage_add_row (trn_dirpage_t *self, const tern_stats_t *row);

bool
trn_dirpage_add_binding (trn_dirpage_t *self, const trn_binding_t *binding);

size_t
trn_dirpage_end (trn_dirpage_t *self, bool last);

//  Decode one frame, all fields and every item of its lists checked against
//  limits.h and for grammar.  0, TERN_EPROTO (malformed), TERN_ETOOBIG (a named
//  limit), TERN_EVERSION (unknown type: ignore the frame).
int
trn_dirframe_decode (trn_dirframe_t *frame, const uint8_t *bytes, size_t size);

//  Next item of a decoded list; false behind the last.
bool
trn_entries_next (trn_items_t *self, trn_entry_t *entry);

bool
trn_rows_next (trn_items_t *self, tern_stats_t *row);

bool
trn_binds_next (trn_items_t *self, trn_binding_t *binding);

//  Digests in a frame: little-endian, one behind the other.
uint64_t
trn_digest_at (const uint8_t *buckets, uint32_t bucket);

//  Name of a frame type for logs and traces, "?" if unknown.
const char *
trn_dirframe_name (trn_dirframe_type_t type);

#endif
