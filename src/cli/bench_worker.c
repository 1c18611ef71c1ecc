//  cli/bench_worker.c - one process of tern bench
//
//  Plays one role, measures itself, tells its parent.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/bench.h"
#include "cli/command.h"
#include "cli/format.h"
#include "cli/say.h"

#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define SAMPLES_MAX 1000000

//  A seat for a worker -------------------------------------------------------

static bool
s_set (tern_config_t *config, const char *key, const char *value)
{
    char why[256];
    if (tern_config_set (config, key, value, why, sizeof why)) {
        cli_fail (CLI_FAILED, "%s", why);
        return false;
    }
    return true;
}

tern_peer_t *
cli_bench_peer (const cli_bench_job_t *job)
{
    tern_peer_t *peer = NULL;
    tern_config_t *config = tern_config_new ();
    if (s_set (config, "name", job->name) && s_set (config, "data", job->data)
        && s_set (config, "directory", job->directory)
        && s_set (config, "bind", "tcp://127.0.0.1:*")) {
        char why[512] = "";
        const int rc = tern_peer_open (&peer, config, why, sizeof why);
        if (rc) {
            cli_fail_tern (rc, job->data, why);
        }
    }
    tern_config_destroy (&config);
    return peer;
}

const char *
cli_bench_queue_name (char name[CLI_BENCH_NAME], uint64_t index)
{
    snprintf (name, CLI_BENCH_NAME, "bench-%" PRIu64, index + 1);
    return name;
}

//  Entry ---------------------------------------------------------------------

static const struct {
    const char *name;
    int (*fn) (const cli_bench_job_t *job);
} s_roles[] = {
    {"publish", cli_bench_publish},
    {"consume", cli_bench_consume},
    {"sync", cli_bench_sync},
    {"drip", cli_bench_drip},
    {"bare-drip", cli_bench_bare_drip},
    {"push", cli_bench_push},
    {"pull", cli_bench_pull},
    {"pub", cli_bench_pub},
    {"sub", cli_bench_sub},
    {"ping", cli_bench_ping},
    {"pong", cli_bench_pong},
    {"ask", cli_bench_ask},
    {"serve", cli_bench_serve},
    {"req", cli_bench_req},
    {"rep", cli_bench_rep},
};

//  key=value words, as cli_crew_start () writes them.

static bool
s_parse_job (cli_bench_job_t *job, int argc, char **argv)
{
    static const struct {
        const char *key;
        size_t offset;
        bool text;
    } fields[] = {
        {"role", offsetof (cli_bench_job_t, role), true},
        {"name", offsetof (cli_bench_job_t, name), true},
        {"data", offsetof (cli_bench_job_t, data), true},
        {"directory", offsetof (cli_bench_job_t, directory), true},
        {"endpoints", offsetof (cli_bench_job_t, endpoints), true},
        {"size", offsetof (cli_bench_job_t, size), false},
        {"count", offsetof (cli_bench_job_t, count), false},
        {"first", offsetof (cli_bench_job_t, first), false},
        {"queues", offsetof (cli_bench_job_t, queues), false},
        {"exchange", offsetof (cli_bench_job_t, exchange), false},
        {"prefetch", offsetof (cli_bench_job_t, prefetch), false},
        {"rule", offsetof (cli_bench_job_t, rule), false},
        {"seconds", offsetof (cli_bench_job_t, seconds), false},
        {"level", offsetof (cli_bench_job_t, level), false},
        {"consumers", offsetof (cli_bench_job_t, consumers), false},
        {"single", offsetof (cli_bench_job_t, single), false},
        {"progress", offsetof (cli_bench_job_t, progress), false},
    };
    for (int word = 1; word < argc; word++) {
        char *value = strchr (argv[word], '=');
        bool known = false;
        for (size_t at = 0; value && at < sizeof fields / sizeof *fields;
             at++) {
            if (strncmp (argv[word], fields[at].key,
                         (size_t) (value - argv[word]))
                || strlen (fields[at].key) != (size_t) (value - argv[word])) {
                continue;
            }
            char *field = (char *) job + fields[at].offset;
            known = fields[at].text
                    || cli_number (value + 1, 0, UINT64_MAX,
                                   (uint64_t *) (void *) field);
            if (fields[at].text) {
                *(const char **) (void *) field = value + 1;
            }
        }
        if (!known) {
            return false;
        }
    }
    return job->role && job->size <= TERN_BODY_MAX
           && job->queues <= CLI_BENCH_QUEUES_MAX
           && (!job->single || job->count <= SAMPLES_MAX);
}

int
cli_bench_worker (int argc, char **argv)
{
    cli_bench_job_t job = {.queues = 1};
    cli_say_setup ("bench", false, 0);
    signal (SIGPIPE, SIG_IGN);
    //  What poll () says about stdin must hold for fgets () too.
    setvbuf (stdin, NULL, _IONBF, 0);
    if (s_parse_job (&job, argc, argv)) {
        for (size_t index = 0; index < sizeof s_roles / sizeof *s_roles;
             index++) {
            if (strcmp (job.role, s_roles[index].name) == 0) {
                return s_roles[index].fn (&job);
            }
        }
    }
    return cli_fail (CLI_USAGE, "%s: only tern bench starts this",
                     CLI_BENCH_WORKER);
}
