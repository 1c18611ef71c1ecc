//  cli/bench_report.c - the results of tern bench, for people and scripts
//
//  MB are millions of bytes of bodies; CPU is of all processes together.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/bench.h"
#include "cli/format.h"
#include "cli/json.h"

#include <inttypes.h>
#include <stdio.h>

static double
s_mb_per_s (const cli_bench_t *self, const cli_bench_run_t *run)
{
    return run->msgs_per_s * (double) self->size / 1e6;
}

static double
s_cpu_s_per_million (const cli_bench_t *self, const cli_bench_run_t *run)
{
    return run->cpu_s / (double) self->count * 1e6;
}

static double
s_mb (uint64_t kib)
{
    return (double) kib * 1024 / 1e6;
}

static double
s_largest_mb (const cli_bench_run_t *run)
{
    return s_mb (run->rss_publisher_kib > run->rss_consumer_kib
                     ? run->rss_publisher_kib
                     : run->rss_consumer_kib);
}

//  JSON ----------------------------------------------------------------------

static void
s_json_runs (cli_json_t *json, const char *key, const cli_bench_run_t *runs,
             size_t count)
{
    cli_json_open (json, key, '[');
    for (size_t index = 0; index < count; index++) {
        cli_json_real (json, NULL, runs[index].msgs_per_s);
    }
    cli_json_close (json);
}

static void
s_json_throughput (const cli_bench_t *self, cli_json_t *json)
{
    const cli_bench_run_t *tern = &self->tern_median;
    const cli_bench_run_t *zmq = &self->zmq_median;
    cli_json_real (json, "msgs_per_s", tern->msgs_per_s);
    cli_json_real (json, "mb_per_s", s_mb_per_s (self, tern));
    cli_json_real (json, "cpu_s_per_million", s_cpu_s_per_million (self, tern));
    cli_json_real (json, "rss_mb", s_largest_mb (tern));
    cli_json_real (json, "rss_publisher_mb", s_mb (tern->rss_publisher_kib));
    cli_json_real (json, "rss_consumer_mb", s_mb (tern->rss_consumer_kib));
    s_json_runs (json, "runs", self->tern, self->runs);
    if (self->baseline) {
        cli_json_real (json, "baseline_msgs_per_s", zmq->msgs_per_s);
        cli_json_real (json, "baseline_cpu_s_per_million",
                       s_cpu_s_per_million (self, zmq));
        s_json_runs (json, "baseline_runs", self->zmq, self->runs);
        cli_json_real (json, "ratio", tern->msgs_per_s / zmq->msgs_per_s);
    }
}

static void
s_json_latency (const cli_bench_t *self, cli_json_t *json)
{
    cli_json_real (json, "p50_us", self->delivery.p50_us);
    cli_json_real (json, "p99_us", self->delivery.p99_us);
    cli_json_real (json, "baseline_p50_us", self->zmq_delivery.p50_us);
    cli_json_real (json, "baseline_p99_us", self->zmq_delivery.p99_us);
    cli_json_real (json, "latency_ratio",
                   self->delivery.p50_us / self->zmq_delivery.p50_us);
    cli_json_real (json, "synced_p50_us", self->confirmed.p50_us);
    cli_json_real (json, "synced_p99_us", self->confirmed.p99_us);
    cli_json_real (json, "bare_p50_us", self->bare.p50_us);
    cli_json_real (json, "bare_p99_us", self->bare.p99_us);
    cli_json_real (json, "synced_ratio",
                   self->confirmed.p50_us / self->bare.p50_us);
}

static double
s_open_ms_per_gb (const cli_bench_backlog_t *waiting)
{
    return waiting->open_ms / ((double) waiting->store_bytes / 1e9);
}

static void
s_json_backlog (const cli_bench_t *self, cli_json_t *json)
{
    const cli_bench_backlog_t *waiting = &self->waiting;
    const double count = (double) self->backlog;
    cli_json_count (json, "backlog", self->backlog);
    cli_json_count (json, "store_bytes", waiting->store_bytes);
    cli_json_real (json, "stored_per_s", count / waiting->store_s);
    cli_json_real (json, "rss_store_mb", s_mb (waiting->rss_store_kib));
    cli_json_real (json, "open_ms", waiting->open_ms);
    cli_json_real (json, "open_ms_per_gb", s_open_ms_per_gb (waiting));
    cli_json_real (json, "drained_per_s", count / waiting->drain_s);
    cli_json_real (json, "drain_cpu_s_per_million",
                   waiting->drain_cpu_s / count * 1e6);
    cli_json_real (json, "rss_drain_mb", s_mb (waiting->rss_drain_kib));
    cli_json_real (json, "rss_consumer_mb", s_mb (waiting->rss_consumer_kib));
}

static int
s_report_json (const cli_bench_t *self)
{
    cli_output_t output;
    cli_json_t json;
    cli_output_init (&output);
    cli_json_init (&json, &output);
    cli_json_open (&json, NULL, '{');
    cli_json_count (&json, "size", self->size);
    cli_json_count (&json, "count",
                    self->backlog ? self->backlog : self->count);
    cli_json_count (&json, "queues", self->queues);
    cli_json_count (&json, "publishers", self->publishers);
    cli_json_count (&json, "consumers", self->consumers);
    cli_json_text (&json, "wait", self->wait);
    if (self->backlog) {
        s_json_backlog (self, &json);
    } else {
        s_json_throughput (self, &json);
    }
    if (!self->backlog && self->latency) {
        s_json_latency (self, &json);
    }
    cli_json_close (&json);
    return cli_output_end (&output);
}

//  For people ----------------------------------------------------------------

static void
s_print_run (const cli_bench_t *self, const char *who,
             const cli_bench_run_t *run)
{
    cli_text_t rate;
    printf ("%-11s %12s msg/s %9.1f MB/s %7.2f CPU s per million\n", who,
            cli_format_rate (&rate, run->msgs_per_s), s_mb_per_s (self, run),
            s_cpu_s_per_million (self, run));
    printf ("%-11s publisher %.0f MB, consumer %.0f MB at most\n", "",
            s_mb (run->rss_publisher_kib), s_mb (run->rss_consumer_kib));
}

static void
s_print_latency (const char *what, const cli_bench_latency_t *tern,
                 const char *other, const cli_bench_latency_t *yardstick)
{
    cli_text_t a, b, c, d;
    printf ("%-11s p50 %s, p99 %s; %s: p50 %s, p99 %s; ratio %.2f\n", what,
            cli_format_us (&a, tern->p50_us), cli_format_us (&b, tern->p99_us),
            other, cli_format_us (&c, yardstick->p50_us),
            cli_format_us (&d, yardstick->p99_us),
            tern->p50_us / yardstick->p50_us);
}

static void
s_print_backlog (const cli_bench_t *self)
{
    const cli_bench_backlog_t *waiting = &self->waiting;
    const double count = (double) self->backlog;
    cli_text_t a, b;
    printf ("stored      %12s msg/s, %s on disk, publisher %.0f MB at most\n",
            cli_format_rate (&a, count / waiting->store_s),
            cli_format_bytes (&b, waiting->store_bytes),
            s_mb (waiting->rss_store_kib));
    printf ("opened      in %.0f ms, %.0f ms per GB\n", waiting->open_ms,
            s_open_ms_per_gb (waiting));
    printf (
        "drained     %12s msg/s, %.2f CPU s per million, publisher %.0f MB, "
        "consumer %.0f MB at most\n",
        cli_format_rate (&a, count / waiting->drain_s),
        waiting->drain_cpu_s / count * 1e6, s_mb (waiting->rss_drain_kib),
        s_mb (waiting->rss_consumer_kib));
}

static int
s_report_text (const cli_bench_t *self)
{
    cli_text_t count;
    printf (
        "%s messages of %" PRIu64 " B, %" PRIu64 " publisher%s, %" PRIu64
        " consumer%s, %" PRIu64 " queue%s, wait %s\n",
        cli_format_count (&count, self->backlog ? self->backlog : self->count),
        self->size, self->publishers, self->publishers > 1 ? "s" : "",
        self->consumers, self->consumers > 1 ? "s" : "", self->queues,
        self->queues > 1 ? "s" : "", self->wait);
    if (self->backlog) {
        s_print_backlog (self);
        return 0;
    }
    s_print_run (self, "tern", &self->tern_median);
    if (self->baseline) {
        s_print_run (self, "zmq", &self->zmq_median);
        printf ("ratio       %12.2f   median of %" PRIu64 " runs each\n",
                self->tern_median.msgs_per_s / self->zmq_median.msgs_per_s,
                self->runs);
    }
    if (self->latency) {
        s_print_latency ("delivered", &self->delivery, "zmq one way",
                         &self->zmq_delivery);
        s_print_latency ("synced", &self->confirmed, "bare write+fdatasync",
                         &self->bare);
    }
    return 0;
}

int
cli_bench_report (const cli_bench_t *self)
{
    return self->common.json ? s_report_json (self) : s_report_text (self);
}
