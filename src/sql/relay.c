//  sql/relay.c - the thread that moves rows to outboxes
//
//  One round looks which places have rows and lets each ship some; then it
//  sleeps until something is committed, somebody calls, or a retry is due.
//  Places do not wait for each other: one whose outbox is full, or that cannot
//  be opened, is tried again later, with pauses that grow to five seconds.  So
//  is the whole database when it fails.  A connection that is lost is replaced.
//
//  A database belongs to one store: its name is in tern_outbox_owner, and the
//  store's lock sees to it that one process has it.  Within a process a list of
//  databases does, by an id that each has.
//
//  Threads: the relay's own has the connection, the lines and everything about
//  them; what lock protects is for all.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sql/relay.h"

#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_MIN_MS 20
#define PAUSE_MAX_MS 5000
#define ID_SIZE 64

struct tern_relay {
    tern_peer_t *peer;
    trn_relay_connect_fn *connect;
    char *where;
    char id[ID_SIZE];         //  of the database
    char store[ID_SIZE];      //  the peer's
    tern_relay_t *next_open;  //  in s_open_relays
    int wake_fd;
    atomic_bool stopped;
    pthread_t thread;

    //  The thread's own.
    trn_db_t *db;
    trn_line_t *lines;
    int64_t retry_at;  //  the database, after it failed; 0 it did not
    int pause_ms;

    pthread_mutex_t lock;
    pthread_cond_t answered_more;
    uint64_t asked;     //  calls of tern_relay_wait () so far
    uint64_t answered;  //  of these, the last that found nothing left
    tern_relay_status_t status;
};

static pthread_mutex_t s_open_lock = PTHREAD_MUTEX_INITIALIZER;
static tern_relay_t *s_open_relays;

static int64_t
s_now_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int
s_longer (int pause_ms)
{
    const int longer = pause_ms ? pause_ms * 2 : PAUSE_MIN_MS;
    return longer < PAUSE_MAX_MS ? longer : PAUSE_MAX_MS;
}

//  Status ------------------------------------------------------------------

static void
s_tell (tern_relay_t *self, int error, const char *why)
{
    pthread_mutex_lock (&self->lock);
    self->status.error = error;
    snprintf (self->status.why, sizeof self->status.why, "%s", why);
    pthread_mutex_unlock (&self->lock);
}

static void
s_count (tern_relay_t *self, const trn_shipped_t *done)
{
    pthread_mutex_lock (&self->lock);
    self->status.shipped += done->shipped;
    self->status.refused += done->refused;
    pthread_mutex_unlock (&self->lock);
}

static void
s_fail (tern_relay_t *self, int rc, const char *why)
{
    s_tell (self, rc, why);
    self->pause_ms = s_longer (self->pause_ms);
    self->retry_at = s_now_ms () + self->pause_ms;
    //  Lost, or not the database that it was.
    if (self->db && (rc == TERN_ENET || rc == TERN_EFENCED)) {
        self->db->kind->close (&self->db);
    }
}

//  Places ------------------------------------------------------------------

typedef struct {
    tern_relay_t *relay;
    size_t found;
} s_scan_t;

static trn_line_t *
s_find_line (tern_relay_t *self, const char *place, size_t size)
{
    trn_line_t *line = self->lines;
    while (line
           && (strlen (line->place) != size
               || memcmp (line->place, place, size) != 0)) {
        line = line->next;
    }
    if (!line) {
        line = trn_line_new (place, size);
        line->next = self->lines;
        self->lines = line;
    }
    return line;
}

static bool
s_found_place (void *arg, const trn_sql_value_t *columns)
{
    s_scan_t *scan = arg;
    s_find_line (scan->relay, columns[0].at, columns[0].size)->waiting = true;
    scan->found++;
    return true;
}

//  Which places have rows?  From one to the next by the index: the rows between
//  are not looked at.
static int
s_scan_places (tern_relay_t *self, size_t *found_p)
{
    s_scan_t scan = {.relay = self};
    for (trn_line_t *line = self->lines; line; line = line->next) {
        line->waiting = false;
    }
    const trn_sql_t statement
        = {.sql = "WITH RECURSIVE places (place) AS ("
                  "SELECT (SELECT MIN (place) FROM tern_outbox"
                  " WHERE refused IS NULL)"
                  " UNION ALL "
                  "SELECT (SELECT MIN (o.place) FROM tern_outbox o"
                  " WHERE o.refused IS NULL AND o.place > places.place)"
                  " FROM places WHERE places.place IS NOT NULL"
                  ") SELECT place FROM places WHERE place IS NOT NULL",
           .row = s_found_place,
           .arg = &scan};
    const int rc = self->db->kind->run (self->db, &statement);
    *found_p = scan.found;
    return rc;
}

//  One batch of a line.  0, or the database failed.
static int
s_ship (tern_relay_t *self, trn_line_t *line, bool *moved_p)
{
    trn_shipped_t done;
    const int rc
        = trn_line_ship (line, self->db, self->peer, &self->stopped, &done);
    s_count (self, &done);
    if (done.shipped || done.refused) {
        *moved_p = true;
        line->pause_ms = 0;
    }
    if (line->error) {
        line->pause_ms = s_longer (line->pause_ms);
        line->retry_at = s_now_ms () + line->pause_ms;
        s_tell (self, line->error, line->why);
        return TERN_OK;
    }
    return rc;
}

//  One batch of each place whose time it is.
static int
s_ship_all (tern_relay_t *self, bool *moved_p)
{
    const int64_t now = s_now_ms ();
    int rc = TERN_OK;
    for (trn_line_t *line = self->lines;
         line && rc == TERN_OK && !atomic_load (&self->stopped);
         line = line->next) {
        if (line->waiting && line->retry_at <= now) {
            rc = s_ship (self, line, moved_p);
        }
    }
    return rc;
}

//  Rounds ------------------------------------------------------------------

static void
s_answer (tern_relay_t *self, uint64_t asked)
{
    pthread_mutex_lock (&self->lock);
    if (asked > self->answered) {
        self->answered = asked;
        pthread_cond_broadcast (&self->answered_more);
    }
    pthread_mutex_unlock (&self->lock);
}

static bool
s_is_stuck (const tern_relay_t *self)
{
    const trn_line_t *line = self->lines;
    while (line && !(line->waiting && line->error)) {
        line = line->next;
    }
    return line != NULL;
}

//  Returns whether to look again at once.
static bool
s_round (tern_relay_t *self)
{
    pthread_mutex_lock (&self->lock);
    const uint64_t asked = self->asked;
    pthread_mutex_unlock (&self->lock);
    size_t found = 0;
    bool moved = false;
    int rc = s_scan_places (self, &found);
    if (rc == TERN_OK && found == 0) {
        s_answer (self, asked);
    } else if (rc == TERN_OK) {
        rc = s_ship_all (self, &moved);
    }
    if (rc != TERN_OK) {
        char why[TRN_WHY_SIZE];
        memcpy (why, self->db->why, sizeof why);
        s_fail (self, rc, why);
        return false;
    }
    self->retry_at = 0;
    self->pause_ms = 0;
    if (!s_is_stuck (self)) {
        s_tell (self, TERN_OK, "");
    }
    return moved;
}

typedef struct {
    char id[ID_SIZE], store[ID_SIZE];
} s_owner_t;

static bool
s_keep_owner (void *arg, const trn_sql_value_t *columns)
{
    s_owner_t *owner = arg;
    snprintf (owner->id, ID_SIZE, "%.*s", (int) columns[0].size,
              (const char *) columns[0].at);
    snprintf (owner->store, ID_SIZE, "%.*s", (int) columns[1].size,
              (const char *) columns[1].at);
    return false;
}

static int
s_read_owner (trn_db_t *db, s_owner_t *owner)
{
    const trn_sql_t statement
        = {.sql = "SELECT id, store FROM tern_outbox_owner",
           .row = s_keep_owner,
           .arg = owner};
    return db->kind->run (db, &statement);
}

//  The same database as before, as far as it goes; what else may have changed
//  is looked at anew.
static int
s_recognise (tern_relay_t *self)
{
    s_owner_t owner = {{0}, {0}};
    const int rc = s_read_owner (self->db, &owner);
    if (rc != TERN_OK) {
        return rc;
    }
    if (strcmp (owner.id, self->id) != 0
        || strcmp (owner.store, self->store) != 0) {
        return trn_db_fail (self->db, TERN_EFENCED,
                            "another database than before");
    }
    for (trn_line_t *line = self->lines; line; line = line->next) {
        line->checked = false;
    }
    return TERN_OK;
}

static void
s_reconnect (tern_relay_t *self)
{
    char why[TRN_WHY_SIZE] = "";
    int rc = self->connect (&self->db, self->where, why, sizeof why);
    if (rc == TERN_OK) {
        rc = s_recognise (self);
        trn_db_tell (self->db, rc, why, sizeof why);
    }
    if (rc != TERN_OK) {
        s_fail (self, rc, why);
    }
}

//  How long until a retry is due, or the database wants to be looked at anyway.
static int
s_sleep_ms (const tern_relay_t *self)
{
    int64_t until = self->retry_at ? self->retry_at : INT64_MAX;
    for (const trn_line_t *line = self->lines; line && !self->retry_at;
         line = line->next) {
        if (line->waiting && line->retry_at < until) {
            until = line->retry_at;
        }
    }
    const int64_t most = self->db ? self->db->kind->wait_ms : PAUSE_MAX_MS;
    const int64_t left = until == INT64_MAX ? most : until - s_now_ms ();
    return (int) (left < 0 ? 0 : left < most ? left : most);
}

//  A database that fails is left alone until its time has come, whatever its
//  descriptors say.
static void
s_sleep (tern_relay_t *self)
{
    const int sleep_ms = s_sleep_ms (self);
    if (sleep_ms == 0) {
        return;
    }
    if (self->db && !self->retry_at) {
        self->db->kind->wait (self->db, self->wake_fd, sleep_ms);
        return;
    }
    struct pollfd item = {.fd = self->wake_fd, .events = POLLIN};
    poll (&item, 1, sleep_ms);
}

static void *
s_run (void *arg)
{
    tern_relay_t *self = arg;
    while (!atomic_load (&self->stopped)) {
        uint64_t calls;
        const ssize_t got = read (self->wake_fd, &calls, sizeof calls);
        (void) got;  //  nobody has called, or somebody has
        bool again = false;
        if (self->retry_at <= s_now_ms ()) {
            if (!self->db) {
                s_reconnect (self);
            }
            again = self->db && s_round (self);
        }
        if (!again) {
            s_sleep (self);
        }
    }
    return NULL;
}

//  Opening -----------------------------------------------------------------

//  The store that this peer has, as text.
static int
s_store_uuid (tern_peer_t *peer, char uuid[ID_SIZE], char *why, size_t why_size)
{
    tern_store_t *store = NULL;
    const int rc
        = tern_store_open (&store, tern_peer_data (peer), why, why_size);
    if (rc == TERN_OK) {
        snprintf (uuid, ID_SIZE, "%s", tern_store_uuid (store));
        tern_store_close (&store);
    }
    return rc;
}

//  Bind the database to the store, if it is not bound.
static int
s_bind (tern_relay_t *self)
{
    trn_db_t *db = self->db;
    const char *store = self->store;
    s_owner_t owner = {{0}, {0}};
    int rc = s_read_owner (db, &owner);
    if (rc == TERN_OK && !owner.id[0]) {
        const trn_sql_value_t values[1] = {trn_sql_text (store)};
        rc = db->kind->script (db, db->kind->begin_schema);
        if (rc == TERN_OK) {
            rc = trn_db_end (db,
                             trn_db_do (db, db->kind->relay_bind, values, 1));
        }
        if (rc == TERN_OK) {
            rc = s_read_owner (db, &owner);
        }
    }
    if (rc == TERN_OK && strcmp (owner.store, store) != 0) {
        rc = trn_db_fail (db, TERN_EFENCED,
                          "this database is relayed by store %s, this peer's is"
                          " %s",
                          owner.store, store);
    }
    snprintf (self->id, sizeof self->id, "%s", owner.id);
    return rc;
}

//  In this process, once.
static int
s_enlist (tern_relay_t *self)
{
    pthread_mutex_lock (&s_open_lock);
    const tern_relay_t *other = s_open_relays;
    while (other && strcmp (other->id, self->id) != 0) {
        other = other->next_open;
    }
    if (!other) {
        self->next_open = s_open_relays;
        s_open_relays = self;
    }
    pthread_mutex_unlock (&s_open_lock);
    return other ? trn_db_fail (self->db, TERN_EBUSY,
                                "this process relays the database already")
                 : TERN_OK;
}

static void
s_delist (tern_relay_t *self)
{
    pthread_mutex_lock (&s_open_lock);
    tern_relay_t **link = &s_open_relays;
    while (*link && *link != self) {
        link = &(*link)->next_open;
    }
    if (*link) {
        *link = self->next_open;
    }
    pthread_mutex_unlock (&s_open_lock);
}

static void
s_free (tern_relay_t **self_p)
{
    tern_relay_t *self = *self_p;
    s_delist (self);
    while (self->lines) {
        trn_line_t *line = self->lines;
        self->lines = line->next;
        trn_line_destroy (&line);
    }
    if (self->db) {
        self->db->kind->close (&self->db);
    }
    if (self->wake_fd >= 0) {
        close (self->wake_fd);
    }
    pthread_cond_destroy (&self->answered_more);
    pthread_mutex_destroy (&self->lock);
    free (self->where);
    free (self);
    *self_p = NULL;
}

static tern_relay_t *
s_new (tern_peer_t *peer, trn_relay_connect_fn *connect, const char *where)
{
    tern_relay_t *self = trn_sql_alloc (sizeof *self);
    self->peer = peer;
    self->connect = connect;
    self->where = trn_sql_alloc (strlen (where) + 1);
    memcpy (self->where, where, strlen (where));
    atomic_init (&self->stopped, false);
    pthread_mutex_init (&self->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init (&attributes);
    pthread_condattr_setclock (&attributes, CLOCK_MONOTONIC);
    pthread_cond_init (&self->answered_more, &attributes);
    pthread_condattr_destroy (&attributes);
    self->wake_fd = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
    return self;
}

//  Signals are the application's.
static int
s_start (tern_relay_t *self)
{
    sigset_t all, before;
    sigfillset (&all);
    pthread_sigmask (SIG_SETMASK, &all, &before);
    const int failed = pthread_create (&self->thread, NULL, s_run, self);
    pthread_sigmask (SIG_SETMASK, &before, NULL);
    return failed ? trn_db_fail (self->db, TERN_ENOMEM, "no thread: %s",
                                 strerror (failed))
                  : TERN_OK;
}

int
trn_relay_open (tern_relay_t **self_p, tern_peer_t *peer,
                trn_relay_connect_fn *connect, const char *where, char *why,
                size_t why_size)
{
    assert (self_p && peer && connect && where);
    *self_p = NULL;
    tern_relay_t *self = s_new (peer, connect, where);
    int rc = s_store_uuid (peer, self->store, why, why_size);
    if (rc != TERN_OK) {
        s_free (&self);
        return rc;
    }
    rc = self->connect (&self->db, where, why, why_size);
    if (rc == TERN_OK) {
        trn_db_t *db = self->db;
        rc = self->wake_fd < 0
                 ? trn_db_fail (db, TERN_ENOMEM, "no descriptor is left")
                 : trn_db_schema (db, "relay", db->kind->relay_schema);
        rc = rc ? rc : s_bind (self);
        rc = rc ? rc : s_enlist (self);
        rc = rc ? rc : s_start (self);
        trn_db_tell (db, rc, why, why_size);
    }
    if (rc != TERN_OK) {
        s_free (&self);
        return rc;
    }
    *self_p = self;
    return TERN_OK;
}

void
tern_relay_close (tern_relay_t **self_p)
{
    assert (self_p);
    if (*self_p) {
        atomic_store (&(*self_p)->stopped, true);
        tern_relay_notify (*self_p);
        pthread_join ((*self_p)->thread, NULL);
        s_free (self_p);
    }
}

//  For others --------------------------------------------------------------

void
tern_relay_notify (tern_relay_t *self)
{
    assert (self);
    const uint64_t one = 1;
    const ssize_t put = write (self->wake_fd, &one, sizeof one);
    (void) put;  //  full: it is awake
}

int
tern_relay_wait (tern_relay_t *self, int timeout_ms)
{
    assert (self);
    struct timespec until;
    clock_gettime (CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long) (timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock (&self->lock);
    const uint64_t asked = ++self->asked;
    pthread_mutex_unlock (&self->lock);
    tern_relay_notify (self);
    pthread_mutex_lock (&self->lock);
    int rc = 0;
    while (self->answered < asked && rc == 0) {
        rc = timeout_ms < 0
                 ? pthread_cond_wait (&self->answered_more, &self->lock)
                 : pthread_cond_timedwait (&self->answered_more, &self->lock,
                                           &until);
    }
    rc = self->answered < asked ? TERN_ETIMEOUT : TERN_OK;
    pthread_mutex_unlock (&self->lock);
    return rc;
}

void
tern_relay_status (tern_relay_t *self, tern_relay_status_t *status)
{
    assert (self && status);
    pthread_mutex_lock (&self->lock);
    *status = self->status;
    pthread_mutex_unlock (&self->lock);
}
