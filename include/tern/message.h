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
//  UTF-8, received message), TERN_ETOOBIG (64 headers, 64 KiB in all).
TERN_EXPORT TERN_MUST_CHECK int
tern_msg_set_header (tern_msg_t *self, const char *name, const char *value);

TERN_EXPORT const void *
tern_msg_body (const tern_msg_t *self);

TERN_EXPORT size_t
tern_msg_size (const tern_msg_t *self);

//  Routing key and its size in bytes; not terminated.
TERN_EXPORT const char *
tern_msg_key (const tern_msg_t *self, size_t *size_p);

//  Value of a header and its size, NULL if absent; not terminated.  Borrowed
//  as long as the message.
TERN_EXPORT const char *
tern_msg_header (const tern_msg_t *self, const char *name, size_t *size_p);

//  Headers in order: index from 0; false behind the last.
TERN_EXPORT bool
tern_msg_header_at (const tern_msg_t *self, size_t index, const char **name_p,
                    size_t *name_size_p, const char **value_p,
                    size_t *value_size_p);

//  Only for received messages ---------------------------------------------

//  "orders-1/hello/42": publisher, outbox, seq.  Names this payload for ever.
//  Borrowed as long as the message.
TERN_EXPORT const char *
tern_msg_id (tern_msg_t *self);

TERN_EXPORT uint64_t
tern_msg_seq (const tern_msg_t *self);

TERN_EXPORT const char *
tern_msg_publisher (const tern_msg_t *self);

TERN_EXPORT const char *
tern_msg_queue (const tern_msg_t *self);

//  Wall clock of the publisher when it accepted the message, microseconds
//  since 1970.  For people: clocks differ.
TERN_EXPORT uint64_t
tern_msg_time_us (const tern_msg_t *self);

//  How many times it has been delivered, this one included.
TERN_EXPORT uint32_t
tern_msg_deliveries (const tern_msg_t *self);

//  True if it may have been delivered before, here or elsewhere.
TERN_EXPORT bool
tern_msg_redelivered (const tern_msg_t *self);

TERN_END_DECLS

#endif
