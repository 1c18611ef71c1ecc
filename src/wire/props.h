//  wire/props.h - the properties of a message: a small map of named values
//
//  Only there when used: a record without properties has none at all.  On the
//  wire they are one msgpack map, depth 1, from text to text, integer, boolean
//  or binary; at most TRN_PROPS_COUNT of them in TRN_PROPS_MAX bytes, no key
//  twice.  Keys that begin with "tern." are Tern's own (reply-to, expiry and
//  the like); all others are headers of the application.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_PROPS_H
#define TRN_PROPS_H

#include "base/limits.h"
#include "wire/pack.h"
#include "wire/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    TRN_PROP_TEXT,
    TRN_PROP_NUMBER,
    TRN_PROP_FLAG,
    TRN_PROP_BYTES
} trn_prop_kind_t;

//  One property; borrowed from the bytes it was read in.
typedef struct {
    trn_text_t key;
    trn_text_t text;       //  TRN_PROP_TEXT
    int64_t number;        //  TRN_PROP_NUMBER
    const uint8_t *bytes;  //  TRN_PROP_BYTES
    size_t bytes_size;
    trn_prop_kind_t kind;
    bool flag;  //  TRN_PROP_FLAG
} trn_prop_t;

bool
trn_prop_reserved (trn_text_t key);

//  Reading -----------------------------------------------------------------

//  Properties that were checked as a whole, read one by one.  A copy reads on
//  from the same place.
typedef struct {
    trn_unpack_t in;
    uint32_t left;  //  not read yet
} trn_props_t;

//  0; TERN_EPROTO (not such a map), TERN_ETOOBIG (a limit).  No bytes are no
//  properties.  On failure there is nothing to read.
int
trn_props_open (trn_props_t *self, const uint8_t *bytes, size_t size);

//  false behind the last.
bool
trn_props_next (trn_props_t *self, trn_prop_t *prop);

//  Among those not read yet; self stays where it is.
bool
trn_props_find (const trn_props_t *self, trn_text_t key, trn_prop_t *prop);

//  Building ----------------------------------------------------------------

//  Zeroed, it is empty.  Thread: the owner's.
typedef struct {
    uint8_t *bytes;  //  owned; room for the map's head, then the pairs
    size_t used;     //  with that room; 0 if there never was a pair
    size_t capacity;
    uint32_t count;
} trn_propset_t;

//  Set or replace.  0; TERN_EINVAL (a key that is empty or not UTF-8, text that
//  is not UTF-8, a NUL in either), TERN_ETOOBIG (key, count or bytes in all);
//  on failure nothing has changed.
int
trn_propset_text (trn_propset_t *self, trn_text_t key, trn_text_t value);

int
trn_propset_number (trn_propset_t *self, trn_text_t key, int64_t value);

int
trn_propset_flag (trn_propset_t *self, trn_text_t key, bool value);

int
trn_propset_bytes (trn_propset_t *self, trn_text_t key, const void *bytes,
                   size_t size);

//  One that was read, whatever it is.
int
trn_propset_add (trn_propset_t *self, const trn_prop_t *prop);

//  Was it there?
bool
trn_propset_remove (trn_propset_t *self, trn_text_t key);

//  Replace what is in self by a copy.
void
trn_propset_copy (trn_propset_t *self, const trn_propset_t *from);

//  The map as it goes into a record; NULL and 0 if empty.  Borrowed until the
//  next change.
const uint8_t *
trn_propset_map (trn_propset_t *self, size_t *size_p);

//  Release the memory; empty after.
void
trn_propset_clear (trn_propset_t *self);

#endif
