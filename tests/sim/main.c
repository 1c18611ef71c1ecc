//  sim/main.c - the simulator as a program
//
//      sim                      the sweep of make check
//      sim --seeds N --from S   N random runs from seed S on
//      sim FILE...              stories, each with some seeds
//      --seeds N FILE...        the same, with N seeds each
//      --first                  stop at the first red seed
//      -v                       print what happens (one seed)
//      TERN_SEED=S              only this seed
//
//  Output is TAP.  A run that fails prints its seed, and the seed alone brings
//  it back.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sim/chaos.h"
#include "sim/story.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SEEDS = 2000,       //  of a sweep
    STORY_SEEDS = 20,   //  of a story
    CHUNKS = 20,        //  lines of TAP per sweep
    FAILURES_MAX = 10,  //  told before it gives up
    HEAP_SLACK = 1 << 20
};

typedef struct {
    uint64_t seeds;  //  0: as usual
    uint64_t from;
    bool one;  //  a single seed was asked for
    bool trace;
    unsigned lines;                   //  of TAP so far
    unsigned failures, failures_max;  //  then it gives up
} s_program_t;

static void
s_line (s_program_t *self, bool good, const char *what)
{
    printf ("%sok %u - %s\n", good ? "" : "not ", ++self->lines, what);
    fflush (stdout);
}

//  A run leaves the heap as it found it, but for what malloc keeps at hand.
static bool
s_chaos (s_program_t *self, uint64_t seed, sim_totals_t *totals)
{
    char why[512] = "";
    const size_t before = mallinfo2 ().uordblks;
    const bool good
        = sim_chaos_run (seed, self->trace, totals, why, sizeof why);
    const size_t after = mallinfo2 ().uordblks;
    if (!good) {
        printf ("# seed %" PRIu64 ": %s\n", seed, why);
        printf ("# replay: TERN_SEED=%" PRIu64 " tests/sim/sim -v\n", seed);
        self->failures++;
        return false;
    }
    if (after > before + HEAP_SLACK) {
        printf ("# seed %" PRIu64 ": L-memory: %zu bytes were not freed\n",
                seed, after - before);
        self->failures++;
        return false;
    }
    return true;
}

static void
s_sweep (s_program_t *self)
{
    const unsigned chunks = self->one ? 1 : CHUNKS;
    const uint64_t seeds = self->seeds ? self->seeds : SEEDS;
    printf ("1..%u\n", chunks);
    sim_totals_t totals = {0};
    uint64_t seed = self->from;
    for (unsigned chunk = 0; chunk < chunks; chunk++) {
        const uint64_t end = self->from + seeds * (chunk + 1) / chunks;
        const uint64_t first = seed;
        bool good = true;
        for (; seed < end && self->failures < self->failures_max; seed++) {
            good = s_chaos (self, seed, &totals) && good;
        }
        char what[100];
        snprintf (what, sizeof what,
                  "seeds %" PRIu64 "..%" PRIu64 " keep every promise", first,
                  end - 1);
        s_line (self, good && seed == end, what);
    }
    printf ("# %" PRIu64 " runs, %" PRIu64 " events, %" PRIu64
            " faults, %.0f simulated seconds\n",
            totals.runs, totals.events, totals.faults,
            (double) totals.simulated_us / 1e6);
    printf ("# %" PRIu64 " published, %" PRIu64 " accepted, %" PRIu64
            " delivered (%" PRIu64 " flagged as redelivered), %" PRIu64
            " lost with permission\n",
            totals.published, totals.accepted, totals.delivered,
            totals.redelivered, totals.lost_unconfirmed);
}

static void
s_story (s_program_t *self, const char *path)
{
    char title[200];
    sim_story_title (path, title, sizeof title);
    const uint64_t seeds = self->seeds ? self->seeds : STORY_SEEDS;
    bool good = true;
    for (uint64_t seed = self->from; seed < self->from + seeds && good;
         seed++) {
        char why[512] = "";
        good = sim_story_run (path, seed, self->trace, why, sizeof why);
        if (!good) {
            printf ("# seed %" PRIu64 ": %s\n", seed, why);
            printf ("# replay: TERN_SEED=%" PRIu64 " tests/sim/sim -v %s\n",
                    seed, path);
            self->failures++;
        }
    }
    s_line (self, good, title);
}

static int
s_usage (void)
{
    fprintf (stderr, "usage: sim [--seeds N] [--from S] [--first] [-v] "
                     "[STORY...]\n");
    return 2;
}

int
main (int argc, char **argv)
{
    s_program_t self = {.from = 1, .failures_max = FAILURES_MAX};
    int at = 1;
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (strcmp (argv[at], "-v") == 0) {
            self.trace = true;
        } else if (strcmp (argv[at], "--first") == 0) {
            self.failures_max = 1;
        } else if (strcmp (argv[at], "--seeds") == 0 && at + 1 < argc) {
            self.seeds = strtoull (argv[++at], NULL, 10);
        } else if (strcmp (argv[at], "--from") == 0 && at + 1 < argc) {
            self.from = strtoull (argv[++at], NULL, 10);
        } else {
            return s_usage ();
        }
    }
    const char *seed = getenv ("TERN_SEED");
    if (seed) {
        self.from = strtoull (seed, NULL, 10);
        self.seeds = 1;
        self.one = true;
    }
    if (at == argc) {
        s_sweep (&self);
    } else {
        printf ("1..%d\n", argc - at);
        for (; at < argc && self.failures < self.failures_max; at++) {
            s_story (&self, argv[at]);
        }
    }
    return self.failures ? 1 : 0;
}
