//  base/name.h - the grammar of names, and how foreign text is shown
//
//  One function decides what a name is, at every boundary (spec: names).
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_NAME_H
#define TRN_NAME_H

#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>

//  [a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])? without "..", compared as bytes.
bool
trn_name_valid (const char *name, size_t size);

//  A queue is a name, or '@' and a peer's name (its private queue).
bool
trn_queue_valid (const char *name, size_t size);

//  What a peer may say that it takes in: a queue, or '%' and a name, where the
//  large bodies of the peer of that name are fetched.
bool
trn_place_valid (const char *name, size_t size);

//  What a subscription is of: a queue, or the inbox of a named one, which is the
//  mark and its name.  An inbox is consumed by the peer that keeps it, never by
//  another.
#define TRN_INBOX_MARK '+'

bool
trn_subscribed_valid (const char *name, size_t size);

//  The queue of an inbox; of anything else the name itself.
static inline const char *
trn_inbox_of (const char *name)
{
    return name + (name[0] == TRN_INBOX_MARK);
}

//  An outbox is named like what it is of, or '#' and the name of its exchange.
bool
trn_outbox_valid (const char *name, size_t size);

//  Scheme tcp, ipc or inproc, printable, within TRN_ENDPOINT_MAX.
bool
trn_endpoint_valid (const char *endpoint, size_t size);

//  Show foreign bytes: control characters, quotes, backslash and what is not
//  UTF-8 become \xNN; cut after 128 bytes.  buffer is always terminated and
//  returned.
#define TRN_ESCAPED_MAX 520

const char *
trn_escape (char buffer[TRN_ESCAPED_MAX], const void *text, size_t size);

#endif
