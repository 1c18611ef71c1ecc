//  cli/format.c - numbers and times as people read them
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

const char *
cli_format_count (cli_text_t *buffer, uint64_t count)
{
    char digits[24];
    const size_t size
        = (size_t) snprintf (digits, sizeof digits, "%" PRIu64, count);
    char *put = buffer->text;
    for (size_t index = 0; index < size; index++) {
        if (index > 0 && (size - index) % 3 == 0) {
            *put++ = ',';
        }
        *put++ = digits[index];
    }
    *put = '\0';
    return buffer->text;
}

const char *
cli_format_rate (cli_text_t *buffer, double per_s)
{
    if (per_s >= 10.0) {
        return cli_format_count (buffer, (uint64_t) (per_s + 0.5));
    }
    if (per_s <= 0.0) {
        strcpy (buffer->text, "0");
        return buffer->text;
    }
    snprintf (buffer->text, sizeof buffer->text, "%.2g", per_s);
    return buffer->text;
}

const char *
cli_format_us (cli_text_t *buffer, double us)
{
    char *text = buffer->text;
    const size_t size = sizeof buffer->text;
    if (us <= 0.0) {
        snprintf (text, size, "-");
    } else if (us < 10.0) {
        snprintf (text, size, "%.2f us", us);
    } else if (us < 1e3) {
        snprintf (text, size, "%.0f us", us);
    } else if (us < 1e6) {
        snprintf (text, size, "%.3g ms", us / 1e3);
    } else if (us < 120e6) {
        snprintf (text, size, "%.1f s", us / 1e6);
    } else if (us < 7200e6) {
        snprintf (text, size, "%.0f min", us / 60e6);
    } else {
        const unsigned minutes = (unsigned) (us / 60e6);
        snprintf (text, size, "%u h %02u min", minutes / 60, minutes % 60);
    }
    return text;
}

const char *
cli_format_bytes (cli_text_t *buffer, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double amount = (double) bytes;
    size_t unit = 0;
    while (amount >= 1024.0 && unit + 1 < sizeof units / sizeof *units) {
        amount /= 1024.0;
        unit++;
    }
    snprintf (buffer->text, sizeof buffer->text,
              unit == 0 || amount >= 100.0 ? "%.0f %s" : "%.1f %s", amount,
              units[unit]);
    return buffer->text;
}

const char *
cli_format_time (cli_text_t *buffer, uint64_t us)
{
    char clock[24] = "";
    struct tm when;
    const time_t seconds = (time_t) (us / 1000000u);
    if (gmtime_r (&seconds, &when)) {
        strftime (clock, sizeof clock, "%Y-%m-%dT%H:%M:%S", &when);
    }
    snprintf (buffer->text, sizeof buffer->text, "%s.%03uZ", clock,
              (unsigned) (us / 1000u % 1000u));
    return buffer->text;
}

int64_t
cli_clock_ns (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t
cli_clock_ms (void)
{
    return cli_clock_ns () / 1000000;
}
