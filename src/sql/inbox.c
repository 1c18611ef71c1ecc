//  sql/inbox.c - which messages were done, in the application's database
//
//  A stream is what one outbox of one store sends to one queue.  Of each stream
//  the database knows
//
//      low     the publisher never sends anything below again
//      marks   seqs that were done: at or above low, and the kept ones
//
//  so a seq was done if it is marked, or is below low.  Except for a replayed
//  dead letter: it comes under the seq of the first message, which is below low
//  as a rule, in a record of another stream, whose promises say nothing about
//  it.  For it only its mark counts, and that is kept for ever.
//
//  The mark comes first, then the look at low.  Whoever raises low and deletes
//  marks does both in one transaction, so another who could still set a mark
//  that had been deleted sees the higher low when he looks after it.  That
//  needs a second look that is newer than the first, which a transaction with
//  one snapshot for all (repeatable read, serializable) does not give: there
//  the row is locked, and the database refuses what is not the newest.
//
//  Nothing about the database is remembered here: transactions are rolled back.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sql/inbox.h"

#include <assert.h>
#include <stdlib.h>

struct tern_inbox {
    trn_db_t *db;
};

//  Parameters of all statements about one message.
typedef struct {
    trn_sql_value_t name[5];  //  store, outbox, queue, seq, kept
    uint64_t seq, floor;
    bool replayed;
} s_message_t;

//  The stream as it was looked at.
typedef struct {
    int64_t id, low;
    bool found;
    bool old;  //  as of the beginning of the transaction
} s_stream_t;

int
trn_inbox_open (tern_inbox_t **self_p, trn_db_t *db, char *why, size_t why_size)
{
    assert (self_p && db);
    *self_p = NULL;
    const int rc = trn_db_schema (db, "inbox", db->kind->inbox_schema);
    trn_db_tell (db, rc, why, why_size);
    if (rc != TERN_OK) {
        db->kind->close (&db);
        return rc;
    }
    tern_inbox_t *self = trn_sql_alloc (sizeof *self);
    self->db = db;
    *self_p = self;
    return TERN_OK;
}

void
tern_inbox_close (tern_inbox_t **self_p)
{
    assert (self_p);
    if (*self_p) {
        (*self_p)->db->kind->close (&(*self_p)->db);
        free (*self_p);
        *self_p = NULL;
    }
}

//  One message -------------------------------------------------------------

//  Set the mark; *marked_p says whether it is ours.  It is not if there was one
//  or if the stream is not known.
static int
s_mark (trn_db_t *db, const s_message_t *message, bool *marked_p)
{
    int64_t changed = 0;
    const trn_sql_t statement
        = {.sql = "INSERT INTO tern_inbox (stream, seq, kept)"
                  " SELECT id, $4, $5 FROM tern_inbox_stream"
                  " WHERE store = $1 AND outbox = $2 AND queue = $3"
                  " ON CONFLICT (stream, seq) DO NOTHING",
           .values = message->name,
           .count = 5,
           .changed_p = &changed};
    const int rc = db->kind->run (db, &statement);
    *marked_p = changed > 0;
    return rc;
}

static bool
s_keep_stream (void *arg, const trn_sql_value_t *columns)
{
    s_stream_t *stream = arg;
    stream->found = true;
    stream->id = columns[0].number;
    stream->low = columns[1].number;
    stream->old = columns[2].number != 0;
    return false;
}

static int
s_look (trn_db_t *db, const s_message_t *message, s_stream_t *stream)
{
    *stream = (s_stream_t) {0};
    const trn_sql_t statement = {.sql = db->kind->inbox_look,
                                 .values = message->name,
                                 .count = 3,
                                 .row = s_keep_stream,
                                 .arg = stream};
    int rc = db->kind->run (db, &statement);
    if (rc == TERN_OK && stream->found && stream->old) {
        const trn_sql_value_t values[1] = {trn_sql_number (stream->id)};
        rc = trn_db_number (
            db, "SELECT low FROM tern_inbox_stream WHERE id = $1 FOR SHARE",
            values, 1, stream->low, &stream->low);
    }
    return rc;
}

static int
s_add_stream (trn_db_t *db, const s_message_t *message)
{
    return trn_db_do (db,
                      "INSERT INTO tern_inbox_stream"
                      " (store, outbox, queue, low) VALUES ($1, $2, $3, 0)"
                      " ON CONFLICT (store, outbox, queue) DO NOTHING",
                      message->name, 3);
}

//  Somebody has done it; if this is a replay, that must stay known.
static int
s_keep_mark (trn_db_t *db, const s_message_t *message, const s_stream_t *stream)
{
    if (!message->replayed) {
        return TERN_OK;
    }
    const trn_sql_value_t values[2] = {trn_sql_number (stream->id),
                                       trn_sql_number ((int64_t) message->seq)};
    return trn_db_do (db,
                      "UPDATE tern_inbox SET kept = 1"
                      " WHERE stream = $1 AND seq = $2 AND kept = 0",
                      values, 2);
}

//  Forget what can never come again.  Changes nothing if another transaction is
//  at it.
static int
s_prune (trn_db_t *db, const s_message_t *message, const s_stream_t *stream)
{
    if (message->replayed || (int64_t) message->floor <= stream->low) {
        return TERN_OK;
    }
    int64_t changed = 0;
    const trn_sql_value_t values[2] = {
        trn_sql_number (stream->id), trn_sql_number ((int64_t) message->floor)};
    const trn_sql_t raise = {.sql = db->kind->inbox_raise,
                             .values = values,
                             .count = 2,
                             .changed_p = &changed};
    int rc = db->kind->run (db, &raise);
    if (rc == TERN_OK && changed) {
        rc = trn_db_do (db,
                        "DELETE FROM tern_inbox"
                        " WHERE stream = $1 AND seq < $2 AND kept = 0",
                        values, 2);
    }
    return rc;
}

static int
s_take (trn_db_t *db, const s_message_t *message)
{
    bool marked = false;
    s_stream_t stream = {0};
    int rc = s_mark (db, message, &marked);
    if (rc == TERN_OK) {
        rc = s_look (db, message, &stream);
    }
    if (rc == TERN_OK && !stream.found) {
        rc = s_add_stream (db, message);
        if (rc == TERN_OK) {
            rc = s_mark (db, message, &marked);
        }
        if (rc == TERN_OK) {
            rc = s_look (db, message, &stream);
        }
    }
    if (rc == TERN_OK && !marked) {
        rc = s_keep_mark (db, message, &stream);
    }
    if (rc == TERN_OK) {
        rc = s_prune (db, message, &stream);
    }
    if (rc != TERN_OK) {
        return rc;
    }
    const bool below
        = !message->replayed && (int64_t) message->seq < stream.low;
    return marked && !below ? TERN_INBOX_NEW : TERN_INBOX_SEEN;
}

int
tern_inbox_take (tern_inbox_t *self, tern_msg_t *msg, char *why,
                 size_t why_size)
{
    assert (self && msg);
    trn_db_t *db = self->db;
    if (!db->kind->in_transaction (db)) {
        return trn_db_tell (
            db, trn_db_fail (db, TERN_EINVAL, "no transaction is open"), why,
            why_size);
    }
    s_message_t message
        = {.seq = tern_msg_seq (msg), .floor = tern_msg_floor (msg)};
    message.replayed = message.floor == 0;
    message.name[0] = trn_sql_bytes (tern_msg_store_uuid (msg), 16);
    message.name[1] = trn_sql_text (tern_msg_outbox (msg));
    message.name[2] = trn_sql_text (tern_msg_queue (msg));
    message.name[3] = trn_sql_number ((int64_t) message.seq);
    message.name[4] = trn_sql_number (message.replayed);
    return trn_db_tell (db, s_take (db, &message), why, why_size);
}
