//  sql/pq.c - a connection to a PostgreSQL server
//
//  Parameters and results go in binary: bytes need no quoting, and no setting
//  of the application's connection changes what they mean.  Only what is ASCII
//  goes as text.  Nothing is prepared by name, since the connection, or a
//  pooler behind it, is not ours.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sql/pq.h"
#include "sql/pq_schema.h"

#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define VALUES_MAX 16
#define SLOW_LOOK_MS 5000

//  Types of parameters and results, as the server's catalogue numbers them.
enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25
};

typedef struct {
    trn_db_t base;
    PGconn *connection;
    bool owned;
} s_pq_t;

//  Errors ------------------------------------------------------------------

//  By SQLSTATE: the longest beginning that is listed here.
static int
s_error (const char *state)
{
    static const struct {
        const char *begins;
        int error;
    } errors[] = {
        {"08", TERN_ENET},         //  connection
        {"22", TERN_EINVAL},       //  data
        {"23", TERN_EINVAL},       //  constraint
        {"25006", TERN_EACCESS},   //  read-only transaction
        {"25", TERN_EINVAL},       //  transaction state
        {"28", TERN_EACCESS},      //  who are you?
        {"40", TERN_EAGAIN},       //  deadlock, not serializable
        {"42501", TERN_EACCESS},   //  no right
        {"42P01", TERN_ENOENT},    //  no such table
        {"42", TERN_EINVAL},       //  syntax
        {"53100", TERN_EFULL},     //  disk
        {"53", TERN_EAGAIN},       //  memory, connections
        {"54", TERN_ETOOBIG},      //  limits
        {"55", TERN_EAGAIN},       //  locks
        {"57014", TERN_EAGAIN},    //  cancelled by a timeout
        {"57", TERN_ENET},         //  shutdown
        {"XX001", TERN_ECORRUPT},  //  data
        {"XX002", TERN_ECORRUPT},  //  index
    };
    int error = TERN_EIO;
    size_t best = 0;
    for (size_t index = 0; index < sizeof errors / sizeof *errors; index++) {
        const size_t size = strlen (errors[index].begins);
        if (size > best && strncmp (state, errors[index].begins, size) == 0) {
            best = size;
            error = errors[index].error;
        }
    }
    return error;
}

static int
s_fail (s_pq_t *self, const PGresult *result)
{
    const char *state
        = result ? PQresultErrorField (result, PG_DIAG_SQLSTATE) : NULL;
    const bool lost = PQstatus (self->connection) != CONNECTION_OK;
    const char *text
        = result ? PQresultErrorField (result, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    return trn_db_fail (&self->base,
                        lost    ? TERN_ENET
                        : state ? s_error (state)
                                : TERN_EIO,
                        "postgresql: %s",
                        text ? text : PQerrorMessage (self->connection));
}

//  Values ------------------------------------------------------------------

static void
s_put_number (uint8_t *bytes, int64_t number)
{
    for (int index = 7; index >= 0; index--) {
        bytes[index] = (uint8_t) ((uint64_t) number & 0xff);
        number = (int64_t) ((uint64_t) number >> 8);
    }
}

static int64_t
s_get_number (const uint8_t *bytes, int size)
{
    //  Two's complement of fewer bytes is filled up with its sign.
    uint64_t number = size > 0 && bytes[0] & 0x80 ? UINT64_MAX : 0;
    for (int index = 0; index < size; index++) {
        number = number << 8 | bytes[index];
    }
    return (int64_t) number;
}

static trn_sql_value_t
s_column (const PGresult *result, int row, int column)
{
    trn_sql_value_t value = {.kind = TRN_SQL_NULL};
    if (PQgetisnull (result, row, column)) {
        return value;
    }
    const char *at = PQgetvalue (result, row, column);
    const int size = PQgetlength (result, row, column);
    switch (PQftype (result, column)) {
    case OID_BOOL:
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
        value.kind = TRN_SQL_NUMBER;
        value.number = s_get_number ((const uint8_t *) at, size);
        break;
    default:
        value.kind = TRN_SQL_BYTES;
        value.at = at;
        value.size = (size_t) size;
        break;
    }
    return value;
}

static void
s_hand_over (const trn_sql_t *statement, const PGresult *result)
{
    const int count = PQnfields (result);
    assert (count <= TRN_SQL_COLUMNS_MAX);
    for (int row = 0; row < PQntuples (result); row++) {
        trn_sql_value_t columns[TRN_SQL_COLUMNS_MAX] = {{0}};
        for (int column = 0; column < count; column++) {
            columns[column] = s_column (result, row, column);
        }
        if (!statement->row (statement->arg, columns)) {
            return;
        }
    }
}

//  Statements --------------------------------------------------------------

static int
s_finish (s_pq_t *self, const trn_sql_t *statement, PGresult *result)
{
    const ExecStatusType status = PQresultStatus (result);
    int rc = TERN_OK;
    if (status == PGRES_TUPLES_OK) {
        if (statement->row) {
            s_hand_over (statement, result);
        }
    } else if (status != PGRES_COMMAND_OK) {
        rc = s_fail (self, result);
    }
    if (rc == TERN_OK && statement->changed_p) {
        *statement->changed_p = strtoll (PQcmdTuples (result), NULL, 10);
    }
    PQclear (result);
    return rc;
}

static int
s_run (trn_db_t *base, const trn_sql_t *statement)
{
    s_pq_t *self = (s_pq_t *) base;
    static const Oid oids[] = {[TRN_SQL_NULL] = 0,
                               [TRN_SQL_NUMBER] = OID_INT8,
                               [TRN_SQL_TEXT] = OID_TEXT,
                               [TRN_SQL_BYTES] = OID_BYTEA};
    Oid types[VALUES_MAX];
    const char *values[VALUES_MAX];
    int sizes[VALUES_MAX];
    int formats[VALUES_MAX];
    uint8_t numbers[VALUES_MAX][8];
    assert (statement->count <= VALUES_MAX);
    for (size_t index = 0; index < statement->count; index++) {
        const trn_sql_value_t *value = &statement->values[index];
        types[index] = oids[value->kind];
        values[index] = value->at;
        sizes[index] = (int) value->size;
        formats[index] = 1;
        if (value->kind == TRN_SQL_NUMBER) {
            s_put_number (numbers[index], value->number);
            values[index] = (const char *) numbers[index];
            sizes[index] = 8;
        }
    }
    return s_finish (self, statement,
                     PQexecParams (self->connection, statement->sql,
                                   (int) statement->count, types, values, sizes,
                                   formats, 1));
}

static int
s_script (trn_db_t *base, const char *script)
{
    s_pq_t *self = (s_pq_t *) base;
    const trn_sql_t statement = {.sql = script};
    return s_finish (self, &statement, PQexec (self->connection, script));
}

static bool
s_in_transaction (trn_db_t *base)
{
    const PGTransactionStatusType status
        = PQtransactionStatus (((s_pq_t *) base)->connection);
    //  INERROR too must be rolled back; a statement in it says what it is.
    return status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
}

//  Waiting -----------------------------------------------------------------

static bool
s_was_notified (s_pq_t *self)
{
    bool notified = false;
    PGnotify *notify;
    while ((notify = PQnotifies (self->connection)) != NULL) {
        PQfreemem (notify);
        notified = true;
    }
    return notified;
}

static void
s_wait (trn_db_t *base, int wake_fd, int timeout_ms)
{
    s_pq_t *self = (s_pq_t *) base;
    struct pollfd items[2] = {
        {.fd = PQsocket (self->connection), .events = POLLIN},
        {.fd = wake_fd, .events = POLLIN},
    };
    if (!s_was_notified (self) && poll (items, 2, timeout_ms) > 0
        && items[0].revents) {
        //  A lost connection is found out by the next statement.
        PQconsumeInput (self->connection);
        s_was_notified (self);
    }
}

//  Opening -----------------------------------------------------------------

static void
s_close (trn_db_t **self_p)
{
    s_pq_t *self = (s_pq_t *) *self_p;
    if (self->owned) {
        PQfinish (self->connection);
    }
    free (self);
    *self_p = NULL;
}

static const trn_db_kind_t s_kind = {
    .run = s_run,
    .script = s_script,
    .in_transaction = s_in_transaction,
    .wait = s_wait,
    .close = s_close,
    .wait_ms = SLOW_LOOK_MS,
    .begin_write = "BEGIN",
    //  A number of our own, "tern" as bytes.
    .begin_schema = "BEGIN; SELECT pg_advisory_xact_lock (1952805486)",
    .inbox_schema = trn_pq_inbox_schema,
    .inbox_look
    = "SELECT id, low,"
      " current_setting ('transaction_isolation') <> 'read committed'"
      " FROM tern_inbox_stream"
      " WHERE store = $1 AND outbox = $2 AND queue = $3",
    .inbox_raise = "UPDATE tern_inbox_stream SET low = $2 WHERE id ="
                   " (SELECT id FROM tern_inbox_stream"
                   " WHERE id = $1 AND low < $2 FOR UPDATE SKIP LOCKED)",
    .relay_schema = trn_pq_relay_schema,
    .relay_bind = "INSERT INTO tern_outbox_owner (id, store)"
                  " SELECT md5 (random ()::text || clock_timestamp ()::text),"
                  " $1 WHERE NOT EXISTS (SELECT 1 FROM tern_outbox_owner)",
};

static s_pq_t *
s_new (PGconn *connection, bool owned)
{
    s_pq_t *self = trn_sql_alloc (sizeof *self);
    self->base.kind = &s_kind;
    self->connection = connection;
    self->owned = owned;
    return self;
}

trn_db_t *
trn_pq_borrow (PGconn *connection)
{
    assert (connection);
    return &s_new (connection, false)->base;
}

//  What the server has to say to people is not printed by a library.
static void
s_ignore_notice (void *arg, const PGresult *result)
{
    (void) arg;
    (void) result;
}

int
trn_pq_open (trn_db_t **self_p, const char *conninfo, char *why,
             size_t why_size)
{
    *self_p = NULL;
    s_pq_t *self = s_new (PQconnectdb (conninfo), true);
    int rc = TERN_OK;
    if (PQstatus (self->connection) != CONNECTION_OK) {
        rc = trn_db_fail (&self->base, TERN_ENET, "postgresql: %s",
                          PQerrorMessage (self->connection));
    } else {
        PQsetNoticeReceiver (self->connection, s_ignore_notice, NULL);
        rc = s_script (&self->base, "SET synchronous_commit = on;"
                                    "SET default_transaction_isolation ="
                                    " 'read committed';"
                                    "LISTEN tern_outbox");
    }
    trn_db_t *base = &self->base;
    trn_db_tell (base, rc, why, why_size);
    if (rc != TERN_OK) {
        s_close (&base);
        return rc;
    }
    *self_p = base;
    return TERN_OK;
}
