//  cli/bench_meter.c - what a worker says and how it measures itself
//
//  The worker's half of the conversation with tern bench, its CPU time and
//  memory, and quantiles of what it has timed.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/bench.h"
#include "cli/format.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

//  The conversation ----------------------------------------------------------

void
cli_bench_tell (const char *format, ...)
{
    va_list args;
    va_start (args, format);
    vprintf (format, args);
    va_end (args);
    putchar ('\n');
    fflush (stdout);
}

bool
cli_bench_hear (const char *word)
{
    char line[64];
    while (fgets (line, sizeof line, stdin)) {
        line[strcspn (line, "\n")] = '\0';
        if (strcmp (line, word) == 0) {
            return true;
        }
    }
    return false;
}

//  Measuring -----------------------------------------------------------------

static uint64_t
s_cpu_us (void)
{
    struct rusage usage;
    getrusage (RUSAGE_SELF, &usage);
    return (uint64_t) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000u
           + (uint64_t) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

void
cli_bench_meter_start (cli_bench_meter_t *self)
{
    self->began_ns = cli_clock_ns ();
    self->cpu_us = s_cpu_us ();
}

uint64_t
cli_bench_meter_cpu_us (const cli_bench_meter_t *self)
{
    return s_cpu_us () - self->cpu_us;
}

//  Not ru_maxrss: that one begins with what the parent had before exec.

uint64_t
cli_bench_peak_kib (void)
{
    static const char label[] = "VmHWM:";
    FILE *file = fopen ("/proc/self/status", "re");
    char line[256];
    uint64_t kib = 0;
    while (file && kib == 0 && fgets (line, sizeof line, file)) {
        if (strncmp (line, label, sizeof label - 1) == 0) {
            kib = strtoull (line + sizeof label - 1, NULL, 10);
        }
    }
    if (file) {
        fclose (file);
    }
    return kib;
}

static int
s_compare (const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *) a;
    const uint64_t y = *(const uint64_t *) b;
    return (x > y) - (x < y);
}

uint64_t
cli_bench_quantile (uint64_t *values, size_t count, double rank)
{
    if (count == 0) {
        return 0;
    }
    qsort (values, count, sizeof *values, s_compare);
    return values[(size_t) ((double) (count - 1) * rank)];
}
