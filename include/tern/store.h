//  tern/store.h - looking into a store
//
//  A store is a peer's data directory: one outbox for each queue it publishes
//  to.  These calls read it as it lies on the disk.  They take no lock and
//  change nothing, so the owner may be running meanwhile; what they say is then
//  how things were a moment ago.  tern_store_salvage () alone writes, into a new
//  place.
//
//  Threads: one at a time per store.  Program: tern-outbox(1).
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TERN_STORE_H
#define TERN_STORE_H

#include <tern/error.h>
#include <tern/export.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

TERN_BEGIN_DECLS

typedef struct tern_store tern_store_t;

//  Open a data directory for reading.
//
//  Returns 0 and sets *self_p: caller owns it.  On failure *self_p is NULL and
//  why (may be NULL) holds one line:
//      TERN_ENOENT     there is no store
//      TERN_ECORRUPT   its META is damaged
//      TERN_EVERSION   written by a newer Tern
//      TERN_EACCESS    the system says no
//      TERN_EIO        the disk failed
TERN_EXPORT TERN_MUST_CHECK int
tern_store_open (tern_store_t **self_p, const char *path, char *why,
                 size_t why_size);

//  NULL is allowed; sets *self_p to NULL.
TERN_EXPORT void
tern_store_close (tern_store_t **self_p);

//  The owner's name, the store's uuid as text, how often it was opened.
//  Borrowed as long as the store.
TERN_EXPORT const char *
tern_store_name (const tern_store_t *self);

TERN_EXPORT const char *
tern_store_uuid (const tern_store_t *self);

TERN_EXPORT uint64_t
tern_store_incarnation (const tern_store_t *self);

//  Outboxes ----------------------------------------------------------------

//  Name of an outbox, index from 0 in order of names; NULL behind the last.  An
//  outbox whose own META is damaged goes by the name of its directory.
//  Borrowed as long as the store.
TERN_EXPORT const char *
tern_store_outbox_at (const tern_store_t *self, size_t index);

typedef enum {
    TERN_OUTBOX_CLEAN = 0,   //  closed properly
    TERN_OUTBOX_OPEN = 1,    //  in use, or its owner ended without closing it
    TERN_OUTBOX_TORN = 2,    //  as OPEN; the next opening cuts torn_bytes
    TERN_OUTBOX_CORRUPT = 3  //  damaged; it will not open, see salvage
} tern_outbox_health_t;

typedef struct {
    tern_outbox_health_t health;
    uint64_t low;         //  everything below is settled
    uint64_t first_seq;   //  of the oldest message kept; 0: none
    uint64_t high;        //  of the newest; 0: none ever
    uint64_t messages;    //  kept, settled ones included
    uint64_t waiting;     //  of them, at or above low
    uint64_t bytes;       //  of all messages kept
    uint64_t disk_bytes;  //  of the files
    uint32_t segments;
    uint64_t torn_bytes;
    //  Only with TERN_OUTBOX_CORRUPT: where, and what is known.
    uint64_t segment;
    int64_t offset;
    uint64_t last_good_seq;
    uint64_t durable_seq;  //  all up to this one had been synced
    char problem[120];
} tern_outbox_info_t;

//  Read an outbox from end to end and check every message: about half a second
//  for each gigabyte.
//
//  Returns 0 and fills *info, also when the outbox is corrupt; or
//      TERN_ENOENT     there is no such outbox
//      TERN_EVERSION   written by a newer Tern
//      TERN_EACCESS    the system says no
//      TERN_EIO        the disk failed
TERN_EXPORT TERN_MUST_CHECK int
tern_store_verify (tern_store_t *self, const char *outbox,
                   tern_outbox_info_t *info);

//  Large bodies (tern/large.h) that lie in the store, those of uploads under way
//  included.
typedef struct {
    uint64_t bodies;
    uint64_t bytes;
} tern_store_large_t;

//  Returns 0 and fills *large, or TERN_EACCESS, TERN_EIO, TERN_EFULL (too many
//  files).
TERN_EXPORT TERN_MUST_CHECK int
tern_store_large (tern_store_t *self, tern_store_large_t *large);

typedef enum {
    TERN_BODY_WHOLE = 0,
    TERN_BODY_MISSING = 1,
    TERN_BODY_SHORT = 2,    //  its end is missing
    TERN_BODY_DAMAGED = 3,  //  not what was sent, or cannot be read
    TERN_BODY_ORPHAN = 4    //  no message needs it
} tern_body_health_t;

//  A body, and a message that needs it; borrowed for the call that shows it.
typedef struct {
    tern_body_health_t health;
    char file[24];       //  in the store
    const char *outbox;  //  NULL with TERN_BODY_ORPHAN
    uint64_t seq;
    uint64_t size;    //  as the message says; of an orphan that of the file
    uint64_t offset;  //  SHORT: where it ends; DAMAGED: of the first part that
                      //  is not right
} tern_store_body_t;

//  Return non-zero to stop.
typedef int
tern_store_body_fn (void *arg, const tern_store_body_t *body);

//  Read every body that an unsettled message of this outbox (NULL: of any) needs,
//  compare it with the message, and show fn how it is; with NULL then the
//  orphans, which the next opening removes: left by an upload that was not
//  finished, or of one under way.  What stands behind damage in an outbox is not
//  known; then there are no orphans.
//
//  0 at the end, a positive number that fn returned, or
//      TERN_ENOENT     there is no such outbox
//      TERN_ECORRUPT   an outbox is damaged, see tern_store_verify ()
//  or as tern_store_large ().
TERN_EXPORT TERN_MUST_CHECK int
tern_store_verify_large (tern_store_t *self, const char *outbox,
                         tern_store_body_fn *fn, void *arg);

//  Messages ----------------------------------------------------------------

//  A message as it was published; borrowed for the call that shows it.
typedef struct {
    uint64_t seq;
    uint64_t time_us;  //  publisher's wall clock, since 1970
    const char *key;   //  routing key, not terminated
    size_t key_size;
    const void *body;
    size_t size;
    const void *props;  //  for tern_store_header_at ()
    size_t props_size;
} tern_store_message_t;

//  Header of a message, index from 0; false behind the last.  Not terminated;
//  borrowed as the message is.
TERN_EXPORT bool
tern_store_header_at (const tern_store_message_t *message, size_t index,
                      const char **name_p, size_t *name_size_p,
                      const char **value_p, size_t *value_size_p);

//  Return non-zero to stop.
typedef int
tern_store_message_fn (void *arg, const tern_store_message_t *message);

//  Show fn every message from from_seq on, oldest first, as far as they are
//  whole.  0 at the end, a positive number that fn returned, or as
//  tern_store_verify (), or TERN_ECORRUPT when it stopped at damage.
TERN_EXPORT TERN_MUST_CHECK int
tern_store_peek (tern_store_t *self, const char *outbox, uint64_t from_seq,
                 tern_store_message_fn *fn, void *arg);

//  How a message is to be delivered, if anybody said.  Texts are not terminated;
//  borrowed as the message is.
typedef struct {
    int priority;         //  0..9
    uint64_t due_ms;      //  not before, milliseconds since 1970; 0: at once
    uint64_t expires_ms;  //  not after; 0: never
    const char *order_key;
    size_t order_key_size;
    const char *first_id;  //  of a replay: that of the first message
    size_t first_id_size;
    uint64_t large_size;  //  of its body, which is not here; 0: it is
} tern_store_rules_t;

TERN_EXPORT void
tern_store_rules (const tern_store_message_t *message,
                  tern_store_rules_t *rules);

//  What the owner knew of a message and one of its queues when it saved its
//  state last: a moment ago if it runs, before it ended if it does not.
typedef struct {
    char queue[65];
    bool settled;         //  accepted, dead-lettered or dropped
    uint32_t deliveries;  //  counted; the last ones may be missing
} tern_store_fate_t;

//  The queues of a message that the log still has, index from 0.  Returns 0, or
//      TERN_ENOENT     behind the last, or there is no such outbox
//  or as tern_store_verify ().
TERN_EXPORT TERN_MUST_CHECK int
tern_store_fate (tern_store_t *self, const char *outbox, uint64_t seq,
                 size_t index, tern_store_fate_t *fate);

//  Salvage -----------------------------------------------------------------

typedef struct {
    uint64_t outboxes;
    uint64_t messages;  //  copied
    uint64_t bytes;
    uint64_t damaged;  //  places that could not be read
    uint64_t damaged_bytes;
    uint64_t missing;  //  seqs lost between the first and the last copied
    uint64_t bodies;   //  of large messages, copied
    uint64_t body_bytes;
    uint64_t bodies_lost;  //  not whole: not copied, nor the message
    uint64_t pasts;        //  choices of what late queues get, copied
    uint64_t pasts_lost;   //  counted as damaged, too
    uint64_t queues_lost;  //  messages copied whose queues are not known
} tern_salvage_t;

typedef enum {
    TERN_LOSS_BODY = 0,  //  of a large message: neither is copied
    TERN_LOSS_PAST = 1,  //  what a late queue had not settled of its past
    TERN_LOSS_QUEUES
        = 2  //  of an exchange: its messages are copied, and nobody
             //  will get them
} tern_loss_kind_t;

//  What salvage could not keep; borrowed for the call that shows it.
typedef struct {
    tern_loss_kind_t kind;
    const char *outbox;
    const tern_store_body_t *body;  //  BODY
    const char *file;               //  PAST: in the folder of the outbox
    uint64_t messages;              //  QUEUES: how many
} tern_loss_t;

typedef void
tern_loss_fn (void *arg, const tern_loss_t *loss);

//  Copy every message at or above its outbox's low that is whole, also behind
//  damage, into a new store of the same name at path.  The old store is left as
//  it is.
//
//  The new store has an identity of its own, so consumers see its messages as new
//  ones.  They keep their numbers, and each outbox keeps what its owner had saved:
//  its queues, what each had settled, also out of order, how often what is left
//  was delivered, and what a late queue was given of the past.  If the old outbox
//  was not closed properly, the new one is not taken for closed either: messages
//  that may have been delivered are given out as such.
//
//  Where that is damaged, every message that can be found is copied as one that
//  nobody has settled.  Of an exchange nobody knows the queues of these then: fn
//  is told, and tern_store_peek () shows them until a publisher opens the outbox.
//
//  A large message is copied with its body.  One whose body is not whole is not,
//  and fn is told.  Its body may be missing because it was settled out of order.
//  What is only retained for replay stays behind.
//
//  fn may be NULL.  Returns 0 and fills *result, or with one line in why (may be
//  NULL):
//      TERN_EINUSE     there is a store at path already
//      TERN_EFULL      no space; what was made so far is left behind
//      TERN_EACCESS    the system says no
//      TERN_EIO        the disk failed
TERN_EXPORT TERN_MUST_CHECK int
tern_store_salvage (tern_store_t *self, const char *path, tern_loss_fn *fn,
                    void *arg, tern_salvage_t *result, char *why,
                    size_t why_size);

TERN_END_DECLS

#endif
