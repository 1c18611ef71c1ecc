//  cli/format.h - numbers and times as people read them
//
//  Each function writes into the caller's buffer and returns it, so that
//  several fit into one printf ().
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef CLI_FORMAT_H
#define CLI_FORMAT_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    char text[32];
} cli_text_t;

//  1234567 -> "1,234,567"
const char *
cli_format_count (cli_text_t *buffer, uint64_t count);

//  Per second: two digits that matter below 10, none above, "0" for none.
const char *
cli_format_rate (cli_text_t *buffer, double per_s);

//  "85 us", "1.2 ms", "3.5 s", "2 h 05 min"; "-" for none.
const char *
cli_format_us (cli_text_t *buffer, double us);

//  "512 B", "1.5 KiB", "64 MiB"
const char *
cli_format_bytes (cli_text_t *buffer, uint64_t bytes);

//  Microseconds since 1970 -> "2026-02-28T09:30:00.125Z"
const char *
cli_format_time (cli_text_t *buffer, uint64_t us);

//  Monotonic clock.
int64_t
cli_clock_ms (void);

int64_t
cli_clock_ns (void);

#endif
