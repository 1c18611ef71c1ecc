//  tests/bench/bench_router.c - what routing one message costs
//
//  bench_router [BINDINGS]: each row is so many bindings of one exchange, routed
//  by random keys; the row of '#' is what a hostile peer would bind.  A timing,
//  no verdict.
//
//  SPDX-License-Identifier: MPL-2.0

#include "core/rng.h"
#include "core/router.h"
#include "wire/props.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BINDINGS 10000
#define MESSAGES 200000
#define KEYS 4096
#define TEXT_MAX 128
#define TARGETS 65536

typedef void
make_text_fn (trn_rng_t *rng, uint32_t index, char text[TEXT_MAX]);

//  Six words from small sets, as real keys have: "eu.berlin.order.42.paid.v1".
static void
s_make_key (trn_rng_t *rng, uint32_t index, char text[TEXT_MAX])
{
    (void) index;
    snprintf (
        text, TEXT_MAX, "r%u.c%u.order.%u.s%u.v%u",
        (unsigned) trn_rng_below (rng, 8), (unsigned) trn_rng_below (rng, 50),
        (unsigned) trn_rng_below (rng, 200), (unsigned) trn_rng_below (rng, 5),
        (unsigned) trn_rng_below (rng, 2));
}

//  The same with some words left open.
static void
s_make_pattern (trn_rng_t *rng, uint32_t index, char text[TEXT_MAX])
{
    char key[TEXT_MAX];
    s_make_key (rng, index, key);
    text[0] = 0;
    size_t used = 0;
    char *rest = key;
    for (char *word = strtok_r (rest, ".", &rest); word;
         word = strtok_r (rest, ".", &rest)) {
        const char *shown = trn_rng_below (rng, 4) ? word : "*";
        used += (size_t) snprintf (text + used, TEXT_MAX - used, "%s%s",
                                   used ? "." : "", shown);
    }
    if (trn_rng_below (rng, 8) == 0) {
        char *dot = strrchr (text, '.');
        strcpy (dot, ".#");
    }
}

//  Every # keeps a way open, so that most nodes are in play at every word.
static void
s_make_hostile (trn_rng_t *rng, uint32_t index, char text[TEXT_MAX])
{
    (void) rng;
    snprintf (text, TEXT_MAX, "#.#.r%u.#.#.c%u.#.#.s%u.#.#.v%u", index % 8,
              index / 8 % 50, index / 400 % 5, index / 2000);
}

static double
s_seconds (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

static void
s_measure (const char *name, trn_exchange_type_t type, uint32_t bindings,
           make_text_fn *make_pattern)
{
    static char keys[KEYS][TEXT_MAX];
    static uint32_t targets[TARGETS];
    trn_rng_t rng = {1};
    trn_router_t *router = trn_router_new (type);
    const double begun = s_seconds ();
    for (uint32_t index = 0; index < bindings; index++) {
        char pattern[TEXT_MAX];
        make_pattern (&rng, index, pattern);
        const trn_binding_t binding = {
            .exchange = trn_text ("x"),
            .type = type,
            .queue = trn_text ("q"),
            .pattern = trn_text (pattern),
        };
        if (trn_router_bind (router, &binding, index)) {
            fprintf (stderr, "bench_router: cannot bind %s\n", pattern);
            exit (1);
        }
    }
    const double bound = s_seconds ();
    for (size_t index = 0; index < KEYS; index++) {
        s_make_key (&rng, 0, keys[index]);
    }
    size_t found = 0;
    const double routing = s_seconds ();
    for (size_t message = 0; message < MESSAGES; message++) {
        const char *key = keys[message % KEYS];
        found += trn_router_route (router, key, strlen (key), NULL, 0, targets,
                                   TARGETS);
    }
    const double done = s_seconds ();
    printf ("| %s | %u | %.2f | %.2f | %.2f |\n", name, bindings,
            (bound - begun) * 1e6 / bindings, (done - routing) * 1e6 / MESSAGES,
            (double) found / MESSAGES);
    trn_router_destroy (&router);
}

int
main (int argc, char **argv)
{
    const uint32_t bindings
        = argc > 1 ? (uint32_t) strtoul (argv[1], NULL, 10) : BINDINGS;
    if (bindings < 1 || bindings > TARGETS) {
        fprintf (stderr, "usage: bench_router [BINDINGS]\n");
        return 2;
    }
    printf ("| exchange | bindings | us to bind | us to route | queues found "
            "|\n|---|---:|---:|---:|---:|\n");
    s_measure ("direct", TRN_EXCHANGE_DIRECT, bindings, s_make_key);
    s_measure ("topic", TRN_EXCHANGE_TOPIC, bindings, s_make_pattern);
    s_measure ("topic, hostile", TRN_EXCHANGE_TOPIC, bindings, s_make_hostile);
    return 0;
}
