//  sql/row.c - a message as a row of tern_outbox
//
//  Writing is done by us or by anybody with an INSERT statement, so reading
//  trusts nothing.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sql/relay.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

//  Out: what was set of a message.
#define INSERT                                                                 \
    "INSERT INTO tern_outbox (place, key, headers, body, priority, ttl_ms,"    \
    " delay_ms, order_key, reply_to, correlation)"                             \
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"

//  Headers -----------------------------------------------------------------

//  name, zero, value, zero, ...  NULL if one holds a zero itself.  The caller
//  frees it.
static char *
s_pack_headers (const tern_msg_t *msg, size_t *size_p)
{
    const char *name, *value;
    size_t name_size, value_size;
    size_t size = 0;
    char *packed = trn_sql_alloc (1);
    for (size_t index = 0; tern_msg_header_at (msg, index, &name, &name_size,
                                               &value, &value_size);
         index++) {
        if (memchr (name, 0, name_size) || memchr (value, 0, value_size)) {
            free (packed);
            return NULL;
        }
        char *more = trn_sql_alloc (size + name_size + value_size + 2);
        memcpy (more, packed, size);
        memcpy (more + size, name, name_size);
        memcpy (more + size + name_size + 1, value, value_size);
        size += name_size + value_size + 2;
        free (packed);
        packed = more;
    }
    *size_p = size;
    return packed;
}

static int
s_unpack_headers (tern_msg_t *msg, const trn_sql_value_t *column)
{
    const char *at = column->at;
    if (column->size == 0) {
        return TERN_OK;
    }
    if (at[column->size - 1] != '\0') {
        return TERN_EINVAL;
    }
    const char *end = at + column->size;
    while (at < end) {
        const char *value = at + strlen (at) + 1;
        if (value == end) {
            return TERN_EINVAL;  //  a name without a value
        }
        const int rc = tern_msg_set_header (msg, at, value);
        if (rc != TERN_OK) {
            return rc;
        }
        at = value + strlen (value) + 1;
    }
    return TERN_OK;
}

//  Put ---------------------------------------------------------------------

static bool
s_is_name_char (char c, bool edge)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')
           || (!edge && (c == '.' || c == '_' || c == '-'));
}

static bool
s_is_name (const char *name, size_t size)
{
    for (size_t index = 0; index < size; index++) {
        if (!s_is_name_char (name[index], index == 0 || index == size - 1)
            || (name[index] == '.' && name[index + 1] == '.')) {
            return false;
        }
    }
    return size >= 1 && size <= 63;
}

//  As the peer will see it, when it is too late for the application: a queue is
//  a name, or '@' and a name.
bool
trn_place_read (trn_place_t *self, const char *place)
{
    static const char *const types[] = {[TERN_DIRECT] = "direct#",
                                        [TERN_FANOUT] = "fanout#",
                                        [TERN_TOPIC] = "topic#",
                                        [TERN_HEADERS] = "headers#"};
    *self = (trn_place_t) {.name = place};
    for (int type = TERN_DIRECT; type <= TERN_HEADERS; type++) {
        const size_t size = strlen (types[type]);
        if (strncmp (place, types[type], size) == 0) {
            self->type = type;
            self->name = place + size;
        }
    }
    self->size = strlen (self->name);
    const bool is_private = !self->type && place[0] == '@';
    return s_is_name (self->name + is_private, self->size - is_private);
}

static int
s_insert (trn_db_t *db, const char *place, const tern_msg_t *msg)
{
    size_t size = 0;
    char *headers = s_pack_headers (msg, &size);
    if (!headers) {
        return trn_db_fail (db, TERN_EINVAL, "a header holds a zero byte");
    }
    trn_sql_value_t values[10];
    values[0] = trn_sql_text (place);
    values[2] = trn_sql_bytes (size ? headers : NULL, size);
    values[3] = trn_sql_bytes (tern_msg_body (msg), tern_msg_size (msg));
    if (values[3].size == 0) {
        values[3] = trn_sql_bytes ("", 0);
    }
    values[4] = trn_sql_number (tern_msg_priority (msg));
    values[5] = trn_sql_number ((int64_t) tern_msg_ttl (msg));
    values[6] = trn_sql_number ((int64_t) tern_msg_delay (msg));
    const char *word = tern_msg_key (msg, &size);
    values[1] = trn_sql_bytes (size ? word : NULL, size);
    word = tern_msg_order_key (msg, &size);
    values[7] = trn_sql_bytes (word, size);
    word = tern_msg_reply_to (msg, &size);
    values[8] = trn_sql_bytes (word, size);
    word = tern_msg_correlation (msg, &size);
    values[9] = trn_sql_bytes (word, size);
    const int rc = trn_db_do (db, INSERT, values, 10);
    free (headers);
    return rc;
}

int
trn_relay_put (trn_db_t *db, const char *place, const tern_msg_t *msg,
               char *why, size_t why_size)
{
    assert (db && place && msg);
    int rc = TERN_OK;
    trn_place_t to;
    if (!trn_place_read (&to, place)) {
        rc = trn_db_fail (db, TERN_ENAME, "neither a queue nor TYPE#EXCHANGE");
    } else {
        rc = s_insert (db, place, msg);
    }
    trn_db_tell (db, rc, why, why_size);
    db->kind->close (&db);
    return rc;
}

int
trn_relay_create (trn_db_t *db, char *why, size_t why_size)
{
    assert (db);
    const int rc = trn_db_schema (db, "relay", db->kind->relay_schema);
    trn_db_tell (db, rc, why, why_size);
    db->kind->close (&db);
    return rc;
}

//  Read --------------------------------------------------------------------

//  Apply a setter for text to a column, if there is any.
static int
s_set_word (tern_msg_t *msg, int (*set) (tern_msg_t *, const char *),
            const trn_sql_value_t *column)
{
    char word[256];
    if (column->size == 0) {
        return TERN_OK;
    }
    if (column->size >= sizeof word) {
        return TERN_ETOOBIG;
    }
    memcpy (word, column->at, column->size);
    word[column->size] = '\0';
    return strlen (word) == column->size ? set (msg, word) : TERN_EINVAL;
}

static int
s_set_time (tern_msg_t *msg, int (*set) (tern_msg_t *, uint64_t),
            const trn_sql_value_t *column)
{
    return column->number ? set (msg, (uint64_t) column->number) : TERN_OK;
}

static int
s_set_priority (tern_msg_t *msg, const trn_sql_value_t *column)
{
    return column->number < 0 || column->number > TERN_PRIORITY_MAX
               ? TERN_EINVAL
               : tern_msg_set_priority (msg, (int) column->number);
}

tern_msg_t *
trn_row_message (const trn_sql_value_t *columns, char reason[TRN_WHY_SIZE])
{
    const trn_sql_value_t *body = &columns[3];
    tern_msg_t *msg
        = body->size > TERN_BODY_MAX
              ? NULL
              : tern_msg_new (body->size ? body->at : "", body->size);
    if (!msg) {
        snprintf (reason, TRN_WHY_SIZE, "body of %zu bytes: over %d",
                  body->size, TERN_BODY_MAX);
        return NULL;
    }
    static const char *const names[]
        = {"key",      "headers",   "priority", "ttl_ms",
           "delay_ms", "order_key", "reply_to", "correlation"};
    const int results[] = {
        s_set_word (msg, tern_msg_set_key, &columns[1]),
        s_unpack_headers (msg, &columns[2]),
        s_set_priority (msg, &columns[4]),
        s_set_time (msg, tern_msg_set_ttl, &columns[5]),
        s_set_time (msg, tern_msg_set_delay, &columns[6]),
        s_set_word (msg, tern_msg_set_order_key, &columns[7]),
        s_set_word (msg, tern_msg_set_reply_to, &columns[8]),
        s_set_word (msg, tern_msg_set_correlation, &columns[9]),
    };
    for (size_t index = 0; index < sizeof results / sizeof *results; index++) {
        if (results[index] != TERN_OK) {
            snprintf (reason, TRN_WHY_SIZE, "%s: %s", names[index],
                      tern_strerror (results[index]));
            tern_msg_destroy (&msg);
            return NULL;
        }
    }
    return msg;
}
