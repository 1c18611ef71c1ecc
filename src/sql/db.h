//  sql/db.h - one connection to a database, whichever it is
//
//  Inbox and relay are written once, against this.  Their statements are the
//  same text for both databases, with parameters $1, $2 ...; what differs is in
//  trn_db_kind_t.
//
//  Rules of this folder: it knows Tern by its public headers only, and holds no
//  transaction open while it waits for anything.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_SQL_DB_H
#define TRN_SQL_DB_H

#include <tern.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRN_WHY_SIZE 256
#define TRN_SQL_COLUMNS_MAX 16  //  of a result

typedef enum {
    TRN_SQL_NULL,
    TRN_SQL_NUMBER,
    TRN_SQL_TEXT,
    TRN_SQL_BYTES
} trn_sql_kind_t;

typedef struct {
    trn_sql_kind_t kind;
    int64_t number;
    const void *at;  //  text or bytes, not terminated
    size_t size;
} trn_sql_value_t;

//  One row of a result; its values are borrowed for the call.  Must not use the
//  connection.  False: no more rows are wanted.
typedef bool
trn_sql_row_fn (void *arg, const trn_sql_value_t *columns);

//  A statement to run.  The text is a constant of the program: its address may
//  serve as its name.
typedef struct {
    const char *sql;
    const trn_sql_value_t *values;
    size_t count;
    trn_sql_row_fn *row;  //  may be NULL
    void *arg;
    int64_t *changed_p;  //  may be NULL: rows inserted, updated or deleted
} trn_sql_t;

typedef struct trn_db trn_db_t;

typedef struct {
    int (*run) (trn_db_t *self, const trn_sql_t *statement);
    //  Statements without parameters, by semicolons.
    int (*script) (trn_db_t *self, const char *script);
    //  Inside a transaction that has not failed?
    bool (*in_transaction) (trn_db_t *self);
    //  Sleep until something may have been committed, wake_fd is readable, or
    //  the time is over.
    void (*wait) (trn_db_t *self, int wake_fd, int timeout_ms);
    void (*close) (trn_db_t **self_p);

    int wait_ms;               //  wait () may sleep so long at once
    const char *begin_write;   //  begins a transaction that will write
    const char *begin_schema;  //  ... and lets no other make tables meanwhile
    const char *const *inbox_schema;  //  by version, NULL after the last
    const char *const *relay_schema;
    const char *relay_bind;  //  give the database an id, and the store $1
    //  See inbox.c: id, low and whether both are as of the beginning of the
    //  transaction, by store, outbox, queue; raise low of an id.
    const char *inbox_look;
    const char *inbox_raise;
} trn_db_kind_t;

//  What every kind of connection begins with.
struct trn_db {
    const trn_db_kind_t *kind;
    char why[TRN_WHY_SIZE];  //  about the last failure
};

//  Values ------------------------------------------------------------------

trn_sql_value_t
trn_sql_number (int64_t number);

trn_sql_value_t
trn_sql_text (const char *text);

//  NULL is the NULL of the database.
trn_sql_value_t
trn_sql_bytes (const void *bytes, size_t size);

//  Using one ---------------------------------------------------------------

//  Run a statement for its effect.
int
trn_db_do (trn_db_t *self, const char *sql, const trn_sql_value_t *values,
           size_t count);

//  The number in the first column of the first row; fallback without a row.
int
trn_db_number (trn_db_t *self, const char *sql, const trn_sql_value_t *values,
               size_t count, int64_t fallback, int64_t *number_p);

//  End a transaction: commit if rc is 0, else, or if that fails, roll back.
int
trn_db_end (trn_db_t *self, int rc);

//  Make or complete the tables of one part, "inbox" or "relay"; as its public
//  opening says.
int
trn_db_schema (trn_db_t *self, const char *part, const char *const *scripts);

//  Set why and return rc.
int
trn_db_fail (trn_db_t *self, int rc, const char *format, ...)
    __attribute__ ((format (printf, 3, 4)));

//  Give the last failure's line to a caller who asked for it; returns rc.
int
trn_db_tell (const trn_db_t *self, int rc, char *why, size_t why_size);

//  Zeroed memory; ends the process if there is none.
void *
trn_sql_alloc (size_t size);

#endif
