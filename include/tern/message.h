//  tern/message.h - a message, going out or come in
//
//  A received message is a view into the memory in which it came: reading it
//  copies nothing.  It is valid until the next tern_consumer_recv () on its
//  consumer; tern_msg_dup () keeps it longer.  A message to send is made with
//  tern_msg_new (); plain bodies need none, see tern_producer_send ().
//
//  Thread: one at a time per message.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TERN_MESSAGE_H
#define TERN_MESSAGE_H

#include <tern/export.h>
#include <tern/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

TERN_BEGIN_DECLS

typedef struct tern_msg tern_msg_t;

//  The largest body, in bytes.
#define TERN_BODY_MAX (1024 * 1024)

//  The highest priority; 0 is the lowest, and the default.
#define TERN_PRIORITY_MAX 9

//  A message to send, with a copy of body (NULL only if size is 0).  NULL if
//  size is over TERN_BODY_MAX.  The caller owns it.
TERN_EXPORT tern_msg_t *
tern_msg_new (const void *body, size_t size);

//  Keep a received message (or copy one to send).  A kept message holds the
//  memory of the run it came in: settle and destroy it in time.  Caller owns.
TERN_EXPORT tern_msg_t *
tern_msg_dup (const tern_msg_t *self);

//  NULL is allowed; sets *self_p to NULL.  Not for what recv () lent.
TERN_EXPORT void
tern_msg_destroy (tern_msg_t **self_p);

//  Routing key, up to 255 bytes.  TERN_ETOOBIG beyond; TERN_EINVAL on a
//  received message.
TERN_EXPORT TERN_MUST_CHECK int
tern_msg_set_key (tern_msg_t *self, const char *key);

//  Application header: name 1..127 bytes of UTF-8 not starting with "tern.",
//  value UTF-8 text.  Replaces one of the same name.  TERN_EINVAL (name, not
//  UTF-8, received message), TERN_ETOOBIG (64 headers, 63 KiB in all).
TERN_EXPORT TERN_MUST_CHECK int
tern_msg_set_header (tern_msg_t *self, const char *name, const char *value);

//  How it shall be delivered -----------------------------------------------
//
//  Guide: tern(7), "Rules of a queue".  All of these are for messages to send;
//  TERN_EINVAL on a received one, or for a value out of range.

//  Milliseconds that it is worth delivering, 1 to 366 days, counted by the
//  publisher's clock from when it accepts the message.  Then the policy of the
//  queue says whether it is dead or dropped.  One that a consumer holds at that
//  time is left to it.
TERN_EXPORT TERN_MUST_CHECK int
tern_msg_set_ttl (tern_msg_t *self, uint64_t ms);

//  Milliseconds before which it is not delivered, 1 to 366 days, counted the
//  same way.  Holds across restarts.
TERN_EXPORT TERN_MUST_CHECK int
tern_msg_set_delay (tern_msg_t *self, uint64_t ms);

//  0 to TERN_PRIORITY_MAX: of what waits, higher ones are delivered first.
TERN_EXPORT TERN_MUST_CHECK int
tern_msg_set_priority (tern_msg_t *self, int priority);

//  1 to 127 bytes of UTF-8: the messages of one publisher and queue with the
//  same key are delivered one at a time, in the order of sending, whichever
//  consumers there are; messages with other keys do not wait for them.
TERN_EXPORT TERN_MUST_CHECK int
tern_msg_set_order_key (tern_msg_t *self, const char *key);

//  The queue where an answer is awaited.  TERN_ENAME if it is not a queue name.
TERN_EXPORT TERN_MUST_CHECK int
tern_msg_set_reply_to (tern_msg_t *self, const char *queue);

//  What an answer belongs to: 1 to 127 bytes of UTF-8.
TERN_EXPORT TERN_MUST_CHECK int
tern_msg_set_correlation (tern_msg_t *self, const char *id);

//  What was set of a message to send; 0 if nothing was, and of a received one.
TERN_EXPORT uint64_t
tern_msg_ttl (const tern_msg_t *self);

TERN_EXPORT uint64_t
tern_msg_delay (const tern_msg_t *self);

//  What was set, of messages to send and received ones: 0 (priority) or NULL
//  and size 0 if nothing was.  Texts are not terminated, and borrowed as long as
//  the message.
TERN_EXPORT int
tern_msg_priority (const tern_msg_t *self);

TERN_EXPORT const char *
tern_msg_order_key (const tern_msg_t *self, size_t *size_p);

TERN_EXPORT const char *
tern_msg_reply_to (const tern_msg_t *self, size_t *size_p);

TERN_EXPORT const char *
tern_msg_correlation (const tern_msg_t *self, size_t *size_p);

//  What it says ------------------------------------------------------------

TERN_EXPORT const void *
tern_msg_body (const tern_msg_t *self);

TERN_EXPORT size_t
tern_msg_size (const tern_msg_t *self);

//  Routing key and its size in bytes; not terminated.
TERN_EXPORT const char *
tern_msg_key (const tern_msg_t *self, size_t *size_p);

//  Value of a header and its size, NULL if absent; not terminated.  Borrowed
//  as long as the message.  A dead letter has more of them, "tern.dead.reason"
//  and others: see tern(7).
TERN_EXPORT const char *
tern_msg_header (const tern_msg_t *self, const char *name, size_t *size_p);

//  Headers in order: index from 0; false behind the last.
TERN_EXPORT bool
tern_msg_header_at (const tern_msg_t *self, size_t index, const char **name_p,
                    size_t *name_size_p, const char **value_p,
                    size_t *value_size_p);

//  Only for received messages ---------------------------------------------

//  "orders-1/hello/42": publisher, outbox, seq.  Names this payload for ever.
//  Borrowed as long as the message.  A replay has the id of the first one.
TERN_EXPORT const char *
tern_msg_id (tern_msg_t *self);

//  The same for a database: the outbox is unique in its store, the seq in its
//  outbox, and the store in the world.  The uuid has 16 bytes.  All of these
//  are the first one's if this is a replay.
TERN_EXPORT uint64_t
tern_msg_seq (const tern_msg_t *self);

TERN_EXPORT const char *
tern_msg_outbox (tern_msg_t *self);

TERN_EXPORT const uint8_t *
tern_msg_store_uuid (const tern_msg_t *self);

TERN_EXPORT const char *
tern_msg_publisher (const tern_msg_t *self);

TERN_EXPORT const char *
tern_msg_queue (const tern_msg_t *self);

//  A promise of the publisher, on its disk: no message of this store and outbox
//  with a lower seq is ever sent to this queue again.  Copies that were sent
//  before may still be with a slow consumer.  0 of a replay, whose seq belongs
//  to another stream of messages than the one that brought it.  What has to
//  remember messages (an inbox) may forget those below.
TERN_EXPORT uint64_t
tern_msg_floor (const tern_msg_t *self);

//  The exchange through which it came, NULL if none.
TERN_EXPORT const char *
tern_msg_exchange (const tern_msg_t *self);

//  Wall clock of the publisher when it accepted the message, microseconds
//  since 1970.  For people: clocks differ.
TERN_EXPORT uint64_t
tern_msg_time_us (const tern_msg_t *self);

//  How many messages of this publisher to this queue were lost before this one,
//  dropped by a limit (drop_oldest) or because their time was over, and not told
//  before; 0 nearly always.  It belongs to the delivery that you settle: add it up
//  when you accept or reject.  Should a message come again, so does its number.
TERN_EXPORT uint64_t
tern_msg_missed (const tern_msg_t *self);

//  How many times it has been delivered, this one included.
TERN_EXPORT uint32_t
tern_msg_deliveries (const tern_msg_t *self);

//  True if it may have been delivered before, here or elsewhere.
TERN_EXPORT bool
tern_msg_redelivered (const tern_msg_t *self);

//  A message to send that brings a dead letter back: its body, key, headers,
//  priority and ordering key, under the id of the first message, without its
//  times.  Send it to the queue in which it died, header "tern.dead.queue",
//  then accept the dead letter.  The caller owns it.  NULL if this is no dead
//  letter.
TERN_EXPORT tern_msg_t *
tern_msg_replay (const tern_msg_t *dead);

TERN_END_DECLS

#endif
