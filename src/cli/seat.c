//  cli/seat.c - taking a seat in the network: a peer for one command
//
//  Knows how peers of the command line are named.  Who has a slot is decided
//  by the lock of its store and nothing else, so two that start at the same
//  moment cannot both get it.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/seat.h"
#include "cli/say.h"
#include "cli/stores.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOTS_MAX 1000
#define NAME_SIZE 64
#define HOST_MAX 40

//  The host's name up to its first dot, as far as a peer's name can hold it.

static void
s_host (char host[HOST_MAX + 1])
{
    char name[256] = "";
    gethostname (name, sizeof name - 1);
    size_t used = 0;
    for (const char *at = name; *at && *at != '.' && used < HOST_MAX; at++) {
        const char lower
            = *at >= 'A' && *at <= 'Z' ? (char) (*at - 'A' + 'a') : *at;
        if ((lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9')
            || lower == '-') {
            host[used++] = lower;
        }
    }
    host[used] = '\0';
    if (used == 0) {
        snprintf (host, HOST_MAX + 1, "host");
    }
}

//  A store made by --data alone is called by its place (FNV-1a of the path), so
//  that two of them on one host do not share a name.

static uint32_t
s_place (const char *path)
{
    uint32_t hash = 2166136261u;
    char folder[4096] = "";
    if (*path != '/' && !getcwd (folder, sizeof folder)) {
        *folder = '\0';
    }
    const char *parts[] = {folder, "/", path};
    for (size_t part = *path == '/' ? 2 : 0; part < 3; part++) {
        for (const char *at = parts[part]; *at; at++) {
            hash = (hash ^ (unsigned char) *at) * 16777619u;
        }
    }
    return hash;
}

static int
s_open_named (tern_peer_t **peer_p, tern_config_t *config, const char *name,
              char *why, size_t why_size)
{
    const int rc = tern_config_set (config, "name", name, why, why_size);
    return rc ? rc : tern_peer_open (peer_p, config, why, why_size);
}

static int
s_open_slot (tern_peer_t **peer_p, tern_config_t *config, const char *command,
             char name[NAME_SIZE], char *why, size_t why_size)
{
    char host[HOST_MAX + 1];
    s_host (host);
    int rc = TERN_EINUSE;
    for (int slot = 1; slot <= SLOTS_MAX && rc == TERN_EINUSE; slot++) {
        snprintf (name, NAME_SIZE, "%.10s-%s-%d", command, host, slot);
        rc = s_open_named (peer_p, config, name, why, why_size);
    }
    return rc;
}

int
cli_seat_open (tern_peer_t **peer_p, const cli_common_t *common,
               const char *command)
{
    tern_config_t *config = NULL;
    int code = cli_config (&config, common);
    if (code != CLI_DONE) {
        return code;
    }
    char why[512] = "";
    char name[NAME_SIZE] = "";
    const char *data = tern_config_get (config, "data");
    const char *given = tern_config_get (config, "name");
    int rc;
    if (given || (data && cli_stores_here (data))) {
        snprintf (name, sizeof name, "%s", given ? given : "");
        rc = tern_peer_open (peer_p, config, why, sizeof why);
    } else if (data) {
        char host[HOST_MAX + 1];
        s_host (host);
        snprintf (name, sizeof name, "%.10s-%s-%08" PRIx32, command, host,
                  s_place (data));
        rc = s_open_named (peer_p, config, name, why, sizeof why);
    } else {
        rc = s_open_slot (peer_p, config, command, name, why, sizeof why);
    }
    if (rc) {
        char root[4096], path[4200];
        const bool rooted = !data && cli_stores_root (root, sizeof root);
        snprintf (path, sizeof path, "%s%s%s", rooted ? root : "",
                  rooted ? "/" : "", name);
        code = cli_fail_tern (rc, data ? data : path, why);
    } else {
        cli_detail ("peer %s at %s, data in %s", tern_peer_name (*peer_p),
                    tern_peer_endpoint (*peer_p), tern_peer_data (*peer_p));
    }
    tern_config_destroy (&config);
    return code;
}

int
cli_seat_adopt (tern_peer_t **peer_p, const cli_common_t *common,
                const char *path)
{
    tern_config_t *config = NULL;
    cli_common_t its = *common;
    its.name = NULL;
    its.data = path;
    //  Those are for peers of our own.
    unsetenv ("TERN_NAME");
    unsetenv ("TERN_DATA");
    int code = cli_config (&config, &its);
    if (code != CLI_DONE) {
        return code;
    }
    char why[512] = "";
    int rc = tern_config_set (config, "drain", "yes", why, sizeof why);
    assert (rc == TERN_OK);
    rc = tern_peer_open (peer_p, config, why, sizeof why);
    tern_config_destroy (&config);
    if (rc == TERN_EINUSE || rc == TERN_EBUSY) {
        return CLI_IN_USE;
    }
    return rc ? cli_fail_tern (rc, path, why) : CLI_DONE;
}

//  Dead letters wait for somebody to look at them, and what is in an inbox for the
//  consumer that has taken it in, not for us.

static bool
s_is_work (const tern_stats_t *row)
{
    const size_t size = strlen (row->queue);
    const bool letters
        = size > 5 && strcmp (row->queue + size - 5, ".dead") == 0;
    return row->role == TERN_ROLE_PUBLISHER && row->queue[0] != '+'
           && (!letters || row->consumers > 0);
}

cli_seat_work_t
cli_seat_work (tern_peer_t *peer)
{
    const size_t count = tern_peer_stats (peer, NULL, 0);
    tern_stats_t *rows = calloc (count + 1, sizeof *rows);
    if (!rows) {
        abort ();
    }
    tern_peer_stats (peer, rows, count);
    cli_seat_work_t work = {0};
    for (size_t index = 0; index < count; index++) {
        if (s_is_work (&rows[index])) {
            work.left += rows[index].depth;
            work.delivered += rows[index].consumed.total;
        }
    }
    free (rows);
    return work;
}

uint64_t
cli_seat_close (tern_peer_t **peer_p)
{
    const uint64_t left = cli_seat_work (*peer_p).left;
    const uint64_t unsettled = tern_peer_close (peer_p, 0);
    return left < unsettled ? left : unsettled;
}
