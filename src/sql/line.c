//  sql/line.c - the rows of one place on their way to one outbox
//
//  A batch of rows goes through four steps, each durable before the next:
//
//      claim     the database knows that rows up to here may be sent
//      send      the outbox has them, each at most once by its number
//      sync      ... on the disk
//      delete    the database has forgotten them
//
//  A crash after any of them repeats the rest, and sending again stores nothing
//  again.  The claim is written with a sync, which makes durable what the
//  application committed before, even if that did not sync itself.  So at any
//  time, for one database and one outbox that belong together,
//
//      shipped  <=  number in the outbox  <=  claimed
//
//  and where that does not hold one of the two went back in time, or somebody
//  else numbers messages of that outbox: then nothing is sent.
//
//  Rows that can never be sent are marked as refused in step delete.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sql/relay.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX 256                 //  of a batch
#define BYTES_MAX (2 * 1024 * 1024)  //  of its bodies; one row is always taken
#define REFUSED_MAX 16               //  of a batch
#define WAIT_MS 100                  //  for a sync, before looking at stopped

typedef struct {
    trn_line_t *line;
    //  Measuring: the rows to be taken.
    int64_t to;
    int64_t bytes;
    int count;
    //  Sending: the rows that are done.
    int64_t done;
    uint64_t shipped;
    int rc;  //  why no further
    struct {
        int64_t id;
        char reason[TRN_WHY_SIZE];
    } refused[REFUSED_MAX];
    int refused_count;
} s_batch_t;

trn_line_t *
trn_line_new (const char *place, size_t size)
{
    trn_line_t *self = trn_sql_alloc (sizeof *self);
    self->place = trn_sql_alloc (size + 1);
    memcpy (self->place, place, size);
    return self;
}

void
trn_line_destroy (trn_line_t **self_p)
{
    assert (self_p);
    if (*self_p) {
        tern_producer_close (&(*self_p)->producer);
        free ((*self_p)->place);
        free (*self_p);
        *self_p = NULL;
    }
}

//  The line fails, not the database.
static int
s_fail (trn_line_t *self, int rc, const char *reason)
{
    self->error = rc;
    snprintf (self->why, sizeof self->why, "%.127s: %.120s", self->place,
              reason);
    return rc;
}

//  Opening -----------------------------------------------------------------

static bool
s_keep_progress (void *arg, const trn_sql_value_t *columns)
{
    trn_line_t *self = arg;
    self->claimed = columns[0].number;
    self->shipped = columns[1].number;
    return false;
}

static int
s_check (trn_line_t *self, trn_db_t *db)
{
    const trn_sql_value_t values[1] = {trn_sql_text (self->place)};
    const trn_sql_t look = {.sql = "SELECT claimed, shipped"
                                   " FROM tern_outbox_place WHERE place = $1",
                            .values = values,
                            .count = 1,
                            .row = s_keep_progress,
                            .arg = self};
    self->claimed = self->shipped = 0;
    const int rc = db->kind->run (db, &look);
    if (rc != TERN_OK) {
        return rc;
    }
    const int64_t number = (int64_t) tern_producer_number (self->producer);
    char reason[160];
    if (number > self->claimed) {
        snprintf (reason, sizeof reason,
                  "the outbox has number %lld, the database knows %lld: put"
                  " back from a backup, or of another database",
                  (long long) number, (long long) self->claimed);
        return s_fail (self, TERN_EFENCED, reason);
    }
    if (number < self->shipped) {
        snprintf (reason, sizeof reason,
                  "the database knows number %lld, the outbox has %lld: the"
                  " peer's store went back",
                  (long long) self->shipped, (long long) number);
        return s_fail (self, TERN_EFENCED, reason);
    }
    self->checked = true;
    return TERN_OK;
}

static int
s_open (trn_line_t *self, trn_db_t *db, tern_peer_t *peer)
{
    if (!self->producer) {
        char why[TRN_WHY_SIZE] = "";
        trn_place_t to;
        int rc = TERN_ENAME;
        if (trn_place_read (&to, self->place)) {
            rc = to.type ? tern_producer_open_exchange (
                     &self->producer, peer, to.name,
                     (tern_exchange_type_t) to.type, NULL, why, sizeof why)
                         : tern_producer_open (&self->producer, peer, to.name,
                                               why, sizeof why);
        }
        if (rc != TERN_OK) {
            return s_fail (self, rc, why[0] ? why : tern_strerror (rc));
        }
    }
    return self->checked ? TERN_OK : s_check (self, db);
}

//  A row that can never be sent; false if no more fit into this batch.
static bool
s_refuse (s_batch_t *batch, int64_t id, const char *reason)
{
    batch->refused[batch->refused_count].id = id;
    snprintf (batch->refused[batch->refused_count].reason, TRN_WHY_SIZE, "%s",
              reason);
    batch->refused_count++;
    batch->done = id;
    return batch->refused_count < REFUSED_MAX;
}

//  Claim -------------------------------------------------------------------

static bool
s_measure_row (void *arg, const trn_sql_value_t *columns)
{
    s_batch_t *batch = arg;
    const int64_t size = columns[1].number;
    batch->bytes += size;
    if (batch->count > 0
        && (batch->bytes > BYTES_MAX || size > TERN_BODY_MAX)) {
        return false;
    }
    if (size > TERN_BODY_MAX) {
        //  It may be far too large even to be read.
        s_refuse (batch, columns[0].number, "body: over 1 MiB");
        return false;
    }
    batch->to = columns[0].number;
    batch->count++;
    return true;
}

static int
s_measure (trn_db_t *db, s_batch_t *batch)
{
    const trn_sql_value_t values[2]
        = {trn_sql_text (batch->line->place), trn_sql_number (ROWS_MAX)};
    const trn_sql_t statement
        = {.sql = "SELECT id, LENGTH (body) FROM tern_outbox"
                  " WHERE place = $1 AND refused IS NULL ORDER BY id LIMIT $2",
           .values = values,
           .count = 2,
           .row = s_measure_row,
           .arg = batch};
    return db->kind->run (db, &statement);
}

//  Everything that is there now is claimed at once: that is one sync for many
//  batches.
static int
s_claim (trn_line_t *self, trn_db_t *db)
{
    const trn_sql_value_t values[2]
        = {trn_sql_text (self->place), trn_sql_number (self->shipped)};
    int64_t last = 0;
    int rc = db->kind->script (db, db->kind->begin_write);
    if (rc != TERN_OK) {
        return rc;
    }
    rc = trn_db_number (db,
                        "SELECT COALESCE (MAX (id), 0) FROM tern_outbox"
                        " WHERE place = $1 AND refused IS NULL",
                        values, 1, 0, &last);
    if (rc == TERN_OK) {
        const trn_sql_value_t claim[3]
            = {values[0], values[1], trn_sql_number (last)};
        rc = trn_db_do (db,
                        "INSERT INTO tern_outbox_place"
                        " (place, shipped, claimed) VALUES ($1, $2, $3)"
                        " ON CONFLICT (place) DO UPDATE SET claimed = $3",
                        claim, 3);
    }
    rc = trn_db_end (db, rc);
    if (rc == TERN_OK) {
        self->claimed = last;
    }
    return rc;
}

//  Send --------------------------------------------------------------------

//  Will this message never be taken, whatever happens?
static bool
s_is_final (int rc)
{
    return rc == TERN_ETOOBIG || rc == TERN_EINVAL;
}

static bool
s_send_row (void *arg, const trn_sql_value_t *columns)
{
    s_batch_t *batch = arg;
    const int64_t id = columns[0].number;
    char reason[TRN_WHY_SIZE];
    if (id <= batch->line->shipped) {
        return s_refuse (batch, id, "id was given to another row before");
    }
    tern_msg_t *msg = trn_row_message (columns, reason);
    if (!msg) {
        return s_refuse (batch, id, reason);
    }
    uint64_t seq = 0;
    const int rc = tern_producer_send_once (batch->line->producer, msg,
                                            (uint64_t) id, 0, &seq);
    tern_msg_destroy (&msg);
    if (s_is_final (rc)) {
        return s_refuse (batch, id, tern_strerror (rc));
    }
    if (rc != TERN_OK) {
        batch->rc = rc;
        return false;
    }
    batch->done = id;
    batch->shipped++;
    return true;
}

static int
s_send (trn_db_t *db, s_batch_t *batch)
{
    const trn_sql_value_t values[2]
        = {trn_sql_text (batch->line->place), trn_sql_number (batch->to)};
    const trn_sql_t statement
        = {.sql = "SELECT " TRN_ROW_COLUMNS " FROM tern_outbox"
                  " WHERE place = $1 AND refused IS NULL AND id <= $2"
                  " ORDER BY id",
           .values = values,
           .count = 2,
           .row = s_send_row,
           .arg = batch};
    return db->kind->run (db, &statement);
}

//  Sync --------------------------------------------------------------------

//  Also what was stored in an earlier life and is not sent again.
static int
s_sync (trn_line_t *self, atomic_bool *stopped)
{
    const uint64_t last = tern_producer_last (self->producer);
    int rc = last ? TERN_ETIMEOUT : TERN_OK;
    while (rc == TERN_ETIMEOUT && !atomic_load (stopped)) {
        rc = tern_producer_wait (self->producer, last, TERN_SYNCED, WAIT_MS);
    }
    return rc;
}

//  Delete ------------------------------------------------------------------

static int
s_mark_refused (trn_db_t *db, const s_batch_t *batch)
{
    int rc = TERN_OK;
    for (int index = 0; index < batch->refused_count && rc == TERN_OK;
         index++) {
        const trn_sql_value_t values[2]
            = {trn_sql_number (batch->refused[index].id),
               trn_sql_text (batch->refused[index].reason)};
        rc = trn_db_do (db, "UPDATE tern_outbox SET refused = $2 WHERE id = $1",
                        values, 2);
    }
    return rc;
}

static int
s_delete (trn_line_t *self, trn_db_t *db, const s_batch_t *batch)
{
    int rc = db->kind->script (db, db->kind->begin_write);
    if (rc != TERN_OK) {
        return rc;
    }
    rc = s_mark_refused (db, batch);
    const int64_t shipped
        = batch->done > self->shipped ? batch->done : self->shipped;
    const trn_sql_value_t values[3]
        = {trn_sql_text (self->place), trn_sql_number (batch->done),
           trn_sql_number (shipped)};
    if (rc == TERN_OK) {
        rc = trn_db_do (db,
                        "DELETE FROM tern_outbox"
                        " WHERE place = $1 AND id <= $2 AND refused IS NULL",
                        values, 2);
    }
    if (rc == TERN_OK) {
        rc = trn_db_do (db,
                        "UPDATE tern_outbox_place SET shipped = $3"
                        " WHERE place = $1",
                        values, 3);
    }
    rc = trn_db_end (db, rc);
    if (rc == TERN_OK) {
        self->shipped = shipped;
    }
    return rc;
}

//  All of it ---------------------------------------------------------------

int
trn_line_ship (trn_line_t *self, trn_db_t *db, tern_peer_t *peer,
               atomic_bool *stopped, trn_shipped_t *done)
{
    assert (self && db && peer && stopped && done);
    s_batch_t batch = {.line = self};
    *done = (trn_shipped_t) {0};
    self->error = TERN_OK;
    int rc = s_open (self, db, peer);
    if (rc == TERN_OK) {
        rc = s_measure (db, &batch);
    }
    if (rc == TERN_OK && batch.to > self->claimed) {
        rc = s_claim (self, db);
    }
    if (rc == TERN_OK && batch.count) {
        rc = s_send (db, &batch);
    }
    if (rc != TERN_OK || (batch.done == 0 && batch.rc == TERN_OK)) {
        return rc;
    }
    if (batch.done) {
        rc = s_sync (self, stopped);
        if (rc != TERN_OK) {
            return s_fail (self, rc, tern_strerror (rc));
        }
        rc = s_delete (self, db, &batch);
        if (rc != TERN_OK) {
            return rc;
        }
        done->shipped = batch.shipped;
        done->refused = (uint64_t) batch.refused_count;
    }
    return batch.rc ? s_fail (self, batch.rc, tern_strerror (batch.rc))
                    : TERN_OK;
}
