//  tests/system/bank.h - an application with a database of its own
//
//  One table, "payment", with a text and no key: what was done twice is there
//  twice.  One implementation for each database; a test program links one.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TEST_BANK_H
#define TEST_BANK_H

#include <tern.h>
#include <tern/inbox.h>
#include <tern/relay.h>

#include <stdbool.h>
#include <stdint.h>

typedef struct bank bank_t;

//  Start what a test program needs, in a folder of its own; NULL if it is here,
//  or why it is not: then the tests are skipped.  To be ended at exit.
const char *
bank_begin_all (const char *folder);

void
bank_end_all (void);

//  Where the database called name is, to be handed to other processes.  The
//  caller frees it.
char *
bank_place (const char *name);

bank_t *
bank_open (const char *place);

void
bank_close (bank_t **self_p);

tern_inbox_t *
bank_inbox (bank_t *self);

//  What opening an inbox returns; it is closed again.
int
bank_try_inbox (bank_t *self, char *why, size_t why_size);

//  The tables of a relay, a relay, what opening one returns.
void
bank_make_outbox (bank_t *self);

tern_relay_t *
bank_relay (const char *place, tern_peer_t *peer);

int
bank_try_relay (tern_relay_t **relay_p, const char *place, tern_peer_t *peer,
                char *why, size_t why_size);

//  Put msg into the outbox, in the transaction that is open.
int
bank_put (bank_t *self, const char *to, const tern_msg_t *msg);

//  Insert a row with a body of so many bytes, as another program might.
void
bank_put_large (bank_t *self, const char *to, size_t size);

//  These fail the test if the database fails.
void
bank_do (bank_t *self, const char *sql);

//  The same, but it may fail.
bool
bank_try (bank_t *self, const char *sql);

void
bank_begin (bank_t *self);

void
bank_commit (bank_t *self);

void
bank_rollback (bank_t *self);

//  The effect: a payment for this text.
void
bank_pay (bank_t *self, const char *text, size_t size);

//  The number that a query gives.
int64_t
bank_number (bank_t *self, const char *sql);

//  PostgreSQL only: wait until the query, on a connection of its own, gives more
//  than 0.
void
bank_until (const char *place, const char *sql);

#endif
