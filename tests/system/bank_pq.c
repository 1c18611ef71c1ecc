//  tests/system/bank_pq.c - an application with a PostgreSQL database
//
//  The server is private to the test: its cluster lies in a temporary folder,
//  it listens on a socket there and nowhere else, and it ends with the test.
//  It refuses to run as root, so then it runs as nobody.
//
//  SPDX-License-Identifier: MPL-2.0

#include "bank.h"
#include "scene.h"

#include <errno.h>
#include <ftw.h>
#include <glob.h>
#include <libpq-fe.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NOBODY 65534

struct bank {
    PGconn *connection;
};

static char s_folder[64];
static pid_t s_server;

//  The server --------------------------------------------------------------

//  Folder of the server's programs: where PATH has them, or where Debian puts
//  them.
static bool
s_find_programs (char *bin, size_t size)
{
    char path[4096];
    snprintf (path, sizeof path, "%s", getenv ("PATH") ? getenv ("PATH") : "");
    char *rest = path;
    for (char *one; (one = strsep (&rest, ":")) != NULL;) {
        char program[4200];
        snprintf (program, sizeof program, "%s/initdb", one);
        if (access (program, X_OK) == 0) {
            snprintf (bin, size, "%s", one);
            return true;
        }
    }
    glob_t found;
    bool is_there = false;
    if (glob ("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) == 0) {
        snprintf (bin, size, "%.*s",
                  (int) strlen (found.gl_pathv[found.gl_pathc - 1]) - 7,
                  found.gl_pathv[found.gl_pathc - 1]);
        is_there = true;
        globfree (&found);
    }
    return is_there;
}

//  Start a program, silent, as nobody if we are root.
static pid_t
s_start (const char *const *arguments)
{
    const pid_t pid = fork ();
    if (pid == 0) {
        char log[100];
        snprintf (log, sizeof log, "%s/log", s_folder);
        if (getuid () == 0 && (setgid (NOBODY) || setuid (NOBODY))) {
            _exit (126);
        }
        prctl (PR_SET_PDEATHSIG, SIGQUIT);
        if (!freopen (log, "a", stdout) || dup2 (1, 2) < 0
            || chdir (s_folder)) {
            _exit (126);
        }
        execv (arguments[0], (char *const *) (uintptr_t) arguments);
        _exit (127);
    }
    return pid;
}

static int
s_remove_one (const char *path, const struct stat *info, int kind,
              struct FTW *where)
{
    (void) info;
    (void) kind;
    (void) where;
    return remove (path);
}

static PGconn *
s_connect (const char *database)
{
    char conninfo[200];
    snprintf (conninfo, sizeof conninfo, "host=%s user=tern dbname=%s",
              s_folder, database);
    return PQconnectdb (conninfo);
}

//  Does the process end by itself within the deadline?
static bool
s_ends (pid_t pid, int *status)
{
    const int fd = pidfd_open (pid, 0);
    struct pollfd item = {.fd = fd, .events = POLLIN};
    const bool ends = fd >= 0 && poll (&item, 1, SCENE_DEADLINE_MS) == 1
                      && waitpid (pid, status, 0) == pid;
    close (fd);
    return ends;
}

//  Does the server answer within the deadline?  Asked whenever it has written
//  something or ends.
static bool
s_answers (void)
{
    const int64_t deadline = scene_now_ms () + SCENE_DEADLINE_MS;
    char conninfo[200];
    snprintf (conninfo, sizeof conninfo, "host=%s user=tern dbname=postgres",
              s_folder);
    struct pollfd items[]
        = {{.fd = inotify_init1 (IN_NONBLOCK), .events = POLLIN},
           {.fd = pidfd_open (s_server, 0), .events = POLLIN}};
    //  Its log and its socket lie there.
    bool waits
        = items[0].fd >= 0 && items[1].fd >= 0
          && inotify_add_watch (items[0].fd, s_folder, IN_CREATE | IN_MODIFY)
                 >= 0;
    bool answers = false;
    while (!(answers = PQping (conninfo) == PQPING_OK) && waits) {
        char events[4096];
        const int64_t left = deadline - scene_now_ms ();
        waits
            = left > 0 && poll (items, 2, (int) left) > 0 && !items[1].revents;
        while (read (items[0].fd, events, sizeof events) > 0) {
        }
    }
    close (items[0].fd);
    close (items[1].fd);
    return answers;
}

const char *
bank_begin_all (const char *folder)
{
    (void) folder;  //  belongs to us alone; the server is nobody
    char bin[4096];
    if (!s_find_programs (bin, sizeof bin)) {
        return "the programs of a PostgreSQL server are not installed";
    }
    snprintf (s_folder, sizeof s_folder, "/tmp/tern-pq-XXXXXX");
    if (!mkdtemp (s_folder)
        || (getuid () == 0 && chown (s_folder, NOBODY, NOBODY))) {
        return "no folder for the server";
    }
    char program[4200];
    char data[100];
    snprintf (program, sizeof program, "%s/initdb", bin);
    snprintf (data, sizeof data, "%s/data", s_folder);
    const char *const make[]
        = {program, "-D", data,   "-A",         "trust", "-U",
           "tern",  "-E", "UTF8", "--locale=C", "-N",    NULL};
    int status = -1;
    const pid_t initdb = s_start (make);
    if (!s_ends (initdb, &status) || status != 0) {
        return "initdb has failed";
    }
    snprintf (program, sizeof program, "%s/postgres", bin);
    const char *const serve[] = {program,
                                 "-D",
                                 data,
                                 "-k",
                                 s_folder,
                                 "-c",
                                 "listen_addresses=",
                                 "-c",
                                 "fsync=off",
                                 "-c",
                                 "shared_buffers=16MB",
                                 "-c",
                                 "deadlock_timeout=50ms",
                                 NULL};
    s_server = s_start (serve);
    return s_answers () ? NULL : "the server does not answer";
}

//  For who has to find out why.
static void
s_show_log (void)
{
    char line[1000];
    snprintf (line, sizeof line, "%s/log", s_folder);
    FILE *log = fopen (line, "r");
    while (log && fgets (line, sizeof line, log)) {
        fprintf (stderr, "# %s", line);
    }
    if (log) {
        fclose (log);
    }
}

void
bank_end_all (void)
{
    if (s_server > 0) {
        kill (s_server, SIGQUIT);
        if (!s_ends (s_server, NULL)) {
            //  Its own children end when they see that it is gone.
            fprintf (stderr, "# the server did not end\n");
            s_show_log ();
            kill (s_server, SIGKILL);
            waitpid (s_server, NULL, 0);
        }
    }
    if (s_folder[0]) {
        nftw (s_folder, s_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
}

//  A database --------------------------------------------------------------

char *
bank_place (const char *name)
{
    PGconn *connection = s_connect ("postgres");
    char sql[100];
    snprintf (sql, sizeof sql, "CREATE DATABASE \"%s\"", name);
    PQclear (PQexec (connection, sql));  //  it may be there
    PQfinish (connection);
    char *place = malloc (200);
    assert_non_null (place);
    snprintf (place, 200, "host=%s user=tern dbname=%s", s_folder, name);
    return place;
}

static void
s_ignore_notice (void *arg, const PGresult *result)
{
    (void) arg;
    (void) result;
}

bank_t *
bank_open (const char *place)
{
    bank_t *self = calloc (1, sizeof *self);
    assert_non_null (self);
    self->connection = PQconnectdb (place);
    if (PQstatus (self->connection) != CONNECTION_OK) {
        fail_msg ("%s", PQerrorMessage (self->connection));
    }
    PQsetNoticeReceiver (self->connection, s_ignore_notice, NULL);
    bank_do (self, "CREATE TABLE IF NOT EXISTS payment (what BYTEA)");
    return self;
}

void
bank_close (bank_t **self_p)
{
    PQfinish ((*self_p)->connection);
    free (*self_p);
    *self_p = NULL;
}

tern_inbox_t *
bank_inbox (bank_t *self)
{
    tern_inbox_t *inbox = NULL;
    char why[256] = "";
    if (tern_inbox_open_pq (&inbox, self->connection, why, sizeof why)) {
        fail_msg ("inbox: %s", why);
    }
    return inbox;
}

int
bank_try_inbox (bank_t *self, char *why, size_t why_size)
{
    tern_inbox_t *inbox = NULL;
    const int rc = tern_inbox_open_pq (&inbox, self->connection, why, why_size);
    assert_true (rc == TERN_OK || inbox == NULL);
    tern_inbox_close (&inbox);
    return rc;
}

void
bank_make_outbox (bank_t *self)
{
    char why[256] = "";
    if (tern_relay_create_pq (self->connection, why, sizeof why)) {
        fail_msg ("outbox: %s", why);
    }
}

tern_relay_t *
bank_relay (const char *place, tern_peer_t *peer)
{
    tern_relay_t *relay = NULL;
    char why[256] = "";
    if (bank_try_relay (&relay, place, peer, why, sizeof why)) {
        fail_msg ("relay: %s", why);
    }
    return relay;
}

int
bank_try_relay (tern_relay_t **relay_p, const char *place, tern_peer_t *peer,
                char *why, size_t why_size)
{
    return tern_relay_open_pq (relay_p, peer, place, why, why_size);
}

int
bank_put (bank_t *self, const char *to, const tern_msg_t *msg)
{
    char why[256] = "";
    const int rc
        = tern_relay_put_pq (self->connection, to, msg, why, sizeof why);
    assert_int_equal (rc != TERN_OK, why[0] != '\0');
    return rc;
}

void
bank_put_large (bank_t *self, const char *to, size_t size)
{
    char sql[200];
    snprintf (sql, sizeof sql,
              "INSERT INTO tern_outbox (place, body)"
              " VALUES ('%s', repeat ('x', %zu)::bytea)",
              to, size);
    bank_do (self, sql);
}

void
bank_do (bank_t *self, const char *sql)
{
    PGresult *result = PQexec (self->connection, sql);
    const ExecStatusType status = PQresultStatus (result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        fail_msg ("%s: %s", sql, PQerrorMessage (self->connection));
    }
    PQclear (result);
}

bool
bank_try (bank_t *self, const char *sql)
{
    PGresult *result = PQexec (self->connection, sql);
    const ExecStatusType status = PQresultStatus (result);
    PQclear (result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

void
bank_begin (bank_t *self)
{
    bank_do (self, "BEGIN");
}

void
bank_commit (bank_t *self)
{
    bank_do (self, "COMMIT");
}

void
bank_rollback (bank_t *self)
{
    bank_do (self, "ROLLBACK");
}

void
bank_pay (bank_t *self, const char *text, size_t size)
{
    const int sizes[1] = {(int) size};
    const int formats[1] = {1};
    PGresult *result
        = PQexecParams (self->connection, "INSERT INTO payment VALUES ($1)", 1,
                        NULL, &text, sizes, formats, 0);
    assert_int_equal (PQresultStatus (result), PGRES_COMMAND_OK);
    PQclear (result);
}

int64_t
bank_number (bank_t *self, const char *sql)
{
    PGresult *result = PQexec (self->connection, sql);
    if (PQresultStatus (result) != PGRES_TUPLES_OK) {
        fail_msg ("%s: %s", sql, PQerrorMessage (self->connection));
    }
    const int64_t number = strtoll (PQgetvalue (result, 0, 0), NULL, 10);
    PQclear (result);
    return number;
}

void
bank_until (const char *place, const char *sql)
{
    const int64_t deadline = scene_now_ms () + SCENE_DEADLINE_MS;
    bank_t *watcher = bank_open (place);
    while (bank_number (watcher, sql) == 0) {
        if (scene_now_ms () > deadline) {
            fail_msg ("not in time: %s", sql);
        }
    }
    bank_close (&watcher);
}
