//  cli/send.c - tern send: publish messages to a queue or an exchange
//
//  Three sources (words, a whole file, lines of stdin) feed one sender; then
//  one wait for the last message covers all before it.  However it ends, what
//  was stored stays stored: the end says how much of it is still to deliver.
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/command.h"
#include "cli/form.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/lines.h"
#include "cli/options.h"
#include "cli/route.h"
#include "cli/say.h"
#include "cli/seat.h"
#include "cli/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

//  How long a signal may go unnoticed while something is waited for.
#define SLICE_MS 100

//  At --wait written or synced, messages that a consumer is about to take are
//  given so long to leave; the rest is for the next peer of this name.
#define LINGER_MS 2000

typedef struct {
    cli_common_t common;
    const char *queue;  //  or the exchange
    const char *file;
    const char *wait;
    cli_form_t form;
    cli_route_t route;
    uint64_t timeout_ms;  //  UINT64_MAX: none
    bool whole;

    int fd;  //  what lines or the whole are read from
    tern_level_t level;
    tern_peer_t *peer;
    tern_producer_t *producer;
    int64_t started_ns;
    uint64_t sent;
    uint64_t too_long;  //  lines refused
    uint64_t last_seq;
} send_t;

static const char *const s_level_names[]
    = {"", "written", "synced", "stored", "processed"};

static int
s_parse_level (send_t *self)
{
    for (int level = TERN_WRITTEN; level <= TERN_PROCESSED; level++) {
        if (strcmp (self->wait, s_level_names[level]) == 0) {
            self->level = (tern_level_t) level;
            return CLI_DONE;
        }
    }
    return cli_fail (CLI_USAGE,
                     "--wait: \"%s\" is not written, synced, stored or "
                     "processed",
                     self->wait);
}

//  Sending -------------------------------------------------------------------

//  A message of the form around a body.

static int
s_send_formed (send_t *self, const void *body, size_t size, int timeout_ms)
{
    tern_msg_t *msg = NULL;
    int rc = cli_form_make (&self->form, body, size, &msg);
    if (rc == TERN_OK) {
        rc = self->route.exchange
                 ? cli_route_send (&self->route, msg, timeout_ms,
                                   &self->last_seq)
                 : tern_producer_send_msg (self->producer, msg, timeout_ms,
                                           &self->last_seq);
    }
    tern_msg_destroy (&msg);
    return rc;
}

static void
s_draw_progress (const send_t *self)
{
    if (cli_progress_due ()) {
        cli_text_t sent, left;
        const uint64_t reached
            = tern_producer_reached (self->producer, self->level);
        cli_progress (
            "%s sent, %s not yet %s", cli_format_count (&sent, self->sent),
            cli_format_count (
                &left, self->last_seq > reached ? self->last_seq - reached : 0),
            s_level_names[self->level]);
    }
}

//  What became of one that was not stored.

static int
s_not_sent (const send_t *self, int rc)
{
    if (rc == TERN_ETIMEOUT) {
        return cli_stop_asked () ? CLI_FAILED
                                 : cli_fail (CLI_TIMEOUT,
                                             "%s: no room in the outbox for "
                                             "message %" PRIu64 " within "
                                             "--timeout",
                                             self->queue, self->sent + 1);
    }
    if (rc == TERN_ENOROUTE) {
        return cli_fail (CLI_FAILED,
                         "%s: no queue is bound that gets this message; it was "
                         "not sent; see tern exchanges",
                         self->queue);
    }
    return cli_fail_tern (rc, self->queue, NULL);
}

//  Send one body, however long the outbox makes us wait for room.

static int
s_send_body (send_t *self, const void *body, size_t size)
{
    const int64_t began_ms = cli_clock_ms ();
    int rc;
    do {
        rc = cli_form_used (&self->form) || self->route.exchange
                 ? s_send_formed (self, body, size, SLICE_MS)
                 : tern_producer_send (self->producer, body, size, SLICE_MS,
                                       &self->last_seq);
        s_draw_progress (self);
        if (rc == TERN_ETIMEOUT
            && (uint64_t) (cli_clock_ms () - began_ms) >= self->timeout_ms) {
            break;
        }
    } while (rc == TERN_ETIMEOUT && !cli_stop_asked ());
    if (rc == TERN_OK) {
        self->sent++;
        return CLI_DONE;
    }
    return s_not_sent (self, rc);
}

//  Sources -------------------------------------------------------------------

static int
s_send_words (send_t *self, char **words, size_t count)
{
    cli_output_t body;
    cli_output_init (&body);
    for (size_t index = 0; index < count; index++) {
        cli_output_text (&body, index > 0 ? " " : "");
        cli_output_text (&body, words[index]);
    }
    const int code
        = body.size > TERN_BODY_MAX
              ? cli_fail (CLI_REFUSED, "TEXT: %zu bytes, over the limit of %d",
                          body.size, TERN_BODY_MAX)
              : s_send_body (self, body.size > 0 ? body.bytes : "", body.size);
    cli_output_free (&body);
    return code;
}

//  What is larger than a message: its beginning was read already.

typedef struct {
    int fd;
    const char *begun;
    size_t left;  //  of that
    int error;    //  errno
} reading_t;

static int64_t
s_read (void *arg, void *buffer, size_t size)
{
    reading_t *self = arg;
    if (self->left > 0) {
        const size_t some = self->left < size ? self->left : size;
        memcpy (buffer, self->begun, some);
        self->begun += some;
        self->left -= some;
        return (int64_t) some;
    }
    while (!cli_stop_asked ()) {
        const ssize_t got
            = cli_stop_wait (self->fd, -1) ? read (self->fd, buffer, size) : -1;
        if (got >= 0) {
            return got;
        }
        if (errno != EINTR && errno != EAGAIN && !cli_stop_asked ()) {
            self->error = errno;
            return TERN_EIO;
        }
    }
    return TERN_ECLOSED;
}

static int
s_send_large (send_t *self, int fd, const char *name, const char *begun,
              size_t size)
{
    tern_msg_t *msg = NULL;
    struct stat info;
    reading_t reading = {.fd = fd, .begun = begun, .left = size};
    const bool too_big = fstat (fd, &info) == 0 && S_ISREG (info.st_mode)
                         && info.st_size > TERN_LARGE_MAX;
    int rc
        = too_big ? TERN_ETOOBIG : cli_form_make (&self->form, NULL, 0, &msg);
    if (rc == TERN_OK) {
        rc = tern_large_send (
            self->producer, msg, s_read, &reading,
            self->timeout_ms > INT32_MAX ? -1 : (int) self->timeout_ms,
            &self->last_seq);
    }
    tern_msg_destroy (&msg);
    if (rc == TERN_OK) {
        self->sent++;
        return CLI_DONE;
    }
    if (cli_stop_asked ()) {
        return CLI_FAILED;
    }
    if (reading.error) {
        return cli_fail (CLI_FAILED, "%s: %s; nothing was sent", name,
                         strerror (reading.error));
    }
    return rc == TERN_ETOOBIG
               ? cli_fail (CLI_REFUSED,
                           "%s: over the limit of %d bytes for one message; "
                           "nothing was sent",
                           name, TERN_LARGE_MAX)
               : s_not_sent (self, rc);
}

//  All of fd as one message.

static int
s_send_whole (send_t *self, int fd, const char *name)
{
    char *bytes = malloc (TERN_BODY_MAX + 1);
    if (!bytes) {
        abort ();
    }
    size_t size = 0;
    ssize_t got = 1;
    while (got != 0 && size <= TERN_BODY_MAX) {
        if (!cli_stop_wait (fd, -1)) {
            if (cli_stop_asked ()) {
                free (bytes);
                return CLI_FAILED;
            }
            continue;
        }
        got = read (fd, bytes + size, TERN_BODY_MAX + 1 - size);
        if (got < 0 && errno != EINTR && errno != EAGAIN) {
            free (bytes);
            return cli_fail (CLI_FAILED, "%s: %s; nothing was sent", name,
                             strerror (errno));
        }
        size += got > 0 ? (size_t) got : 0;
    }
    const int code = size > TERN_BODY_MAX
                         ? s_send_large (self, fd, name, bytes, size)
                         : s_send_body (self, bytes, size);
    free (bytes);
    return code;
}

//  Every line that is complete in memory.  *ended_p when there are no more.

static int
s_send_waiting_lines (send_t *self, cli_lines_t *lines, bool *ended_p)
{
    const char *line;
    size_t size;
    int code = CLI_DONE;
    while (code == CLI_DONE && !cli_stop_asked ()) {
        switch (cli_lines_next (lines, &line, &size)) {
        case CLI_LINE: code = s_send_body (self, line, size); break;
        case CLI_LINE_TOO_LONG:
            self->too_long++;
            cli_fail (CLI_REFUSED,
                      "line %" PRIu64 ": %zu bytes, over the limit of %d; it "
                      "was left out",
                      lines->number, size, TERN_BODY_MAX);
            break;
        case CLI_LINE_NONE: return CLI_DONE;
        case CLI_LINE_END: *ended_p = true; return CLI_DONE;
        }
    }
    return code;
}

static int
s_send_lines (send_t *self, int fd, const char *name)
{
    cli_lines_t lines;
    cli_lines_init (&lines, fd, TERN_BODY_MAX);
    bool ended = false;
    int code = CLI_DONE;
    while (code == CLI_DONE && !ended && !cli_stop_asked ()) {
        code = s_send_waiting_lines (self, &lines, &ended);
        if (code == CLI_DONE && !ended && cli_stop_wait (fd, SLICE_MS)) {
            const int error = cli_lines_fill (&lines);
            if (error) {
                code = cli_fail (CLI_FAILED,
                                 "%s: %s; %" PRIu64 " lines before it were "
                                 "sent",
                                 name, strerror (error), self->sent);
            }
        }
        s_draw_progress (self);
    }
    cli_lines_free (&lines);
    return code;
}

static int
s_send_source (send_t *self, char **words, size_t count)
{
    if (count > 0) {
        return s_send_words (self, words, count);
    }
    const char *name = self->file ? self->file : "standard input";
    return self->whole ? s_send_whole (self, self->fd, name)
                       : s_send_lines (self, self->fd, name);
}

//  Waiting -------------------------------------------------------------------

//  The numbers of our outbox, all zero if there are none.

static tern_stats_t
s_row (const send_t *self)
{
    tern_stats_t row = {.role = TERN_ROLE_PUBLISHER};
    const size_t count = tern_peer_stats (self->peer, NULL, 0);
    tern_stats_t *rows = calloc (count + 1, sizeof *rows);
    if (!rows) {
        abort ();
    }
    tern_peer_stats (self->peer, rows, count);
    for (size_t index = 0; index < count; index++) {
        //  That of an exchange is called "#exchange".
        const char *name = rows[index].queue + (self->route.exchange ? 1 : 0);
        if (rows[index].role == TERN_ROLE_PUBLISHER
            && (*rows[index].queue == '#') == (self->route.exchange != NULL)
            && strcmp (name, self->queue) == 0) {
            row = rows[index];
        }
    }
    free (rows);
    return row;
}

static uint32_t
s_consumers (const send_t *self)
{
    return self->route.exchange ? s_row (self).consumers
                                : tern_peer_consumers (self->peer, self->queue);
}

//  A message that died is out of the way of those behind it, but nobody has
//  done it.

static int
s_check_dead (const send_t *self)
{
    const tern_stats_t row = s_row (self);
    if (row.dead > 0) {
        return cli_fail (CLI_FAILED,
                         "%s: %" PRIu64 " dead, %" PRIu64
                         " of them rejected; see tern dead ls %s",
                         self->queue, row.dead, row.rejected,
                         self->route.exchange ? "QUEUE" : self->queue);
    }
    return row.expired > 0 ? cli_fail (CLI_FAILED,
                                       "%s: %" PRIu64 " expired before a "
                                       "consumer accepted them",
                                       self->queue, row.expired)
                           : CLI_DONE;
}

//  Why it may take long, in words that go on; "" if nothing is known.

static const char *
s_obstacle (const send_t *self, tern_level_t level)
{
    if (level < TERN_STORED) {
        return "";
    }
    if (s_consumers (self) == 0) {
        return "; nobody consumes this queue now";
    }
    return level == TERN_STORED && !tern_producer_stores (self->producer)
               ? "; no consumer of the queue keeps an inbox"
               : "";
}

//  Until the last message has reached the level: CLI_DONE, CLI_TIMEOUT, or
//  CLI_FAILED at a signal.  patience_ms counts from now.

static int
s_await (send_t *self, tern_level_t level, uint64_t patience_ms)
{
    const int64_t began_ms = cli_clock_ms ();
    bool said = false;
    int rc;
    while ((rc = tern_producer_wait (self->producer, self->last_seq, level,
                                     SLICE_MS))
           == TERN_ETIMEOUT) {
        const uint64_t waited = (uint64_t) (cli_clock_ms () - began_ms);
        if (cli_stop_asked ()) {
            return CLI_FAILED;
        }
        if (waited >= patience_ms) {
            return CLI_TIMEOUT;
        }
        if (!said && waited >= 500 && level == self->level) {
            said = true;
            cli_hint ("%s: waiting until %" PRIu64 " are %s%s", self->queue,
                      self->sent, s_level_names[level],
                      s_obstacle (self, level));
        }
        s_draw_progress (self);
    }
    return rc == TERN_OK
               ? CLI_DONE
               : cli_fail_tern (rc, tern_peer_data (self->peer), NULL);
}

//  What became of it, in the words of tern stats.

static void
s_report_row (const send_t *self, cli_json_t *json)
{
    const tern_stats_t row = s_row (self);
    cli_json_count (json, "produced", row.produced.total);
    cli_json_count (json, "accepted", row.accepted.total);
    cli_json_count (json, "transmitted", row.transmitted.total);
    cli_json_count (json, "consumed", row.consumed.total);
    cli_json_count (json, "redelivered", row.redelivered);
    cli_json_count (json, "dead", row.dead);
    cli_json_count (json, "expired", row.expired);
    cli_json_open (json, "t_delay_us", '{');
    cli_json_count (json, "p50", row.delay_p50_us);
    cli_json_count (json, "p99", row.delay_p99_us);
    cli_json_count (json, "max", row.delay_max_us);
    cli_json_close (json);
}

static void
s_report (const send_t *self, tern_level_t reached, double seconds)
{
    cli_text_t count, rate;
    const double per_s = seconds > 0 ? (double) self->sent / seconds : 0;
    char queues[48] = "";
    if (self->route.queues > 0) {
        snprintf (queues, sizeof queues, " (%zu queue%s)", self->route.queues,
                  self->route.queues == 1 ? "" : "s");
    }
    cli_note ("sent %s to %s%s, %s, in %.3f s (%s msg/s)",
              cli_format_count (&count, self->sent), self->queue, queues,
              reached ? s_level_names[reached] : "none of them written",
              seconds, cli_format_rate (&rate, per_s));
    if (self->common.json) {
        cli_output_t output;
        cli_json_t json;
        cli_output_init (&output);
        cli_json_init (&json, &output);
        cli_json_open (&json, NULL, '{');
        if (self->route.exchange) {
            cli_route_json (&self->route, &json);
        } else {
            cli_json_text (&json, "queue", self->queue);
        }
        cli_json_text (&json, "peer", tern_peer_name (self->peer));
        cli_json_count (&json, "sent", self->sent);
        cli_json_count (&json, "last_seq", self->last_seq);
        cli_json_text (&json, "level", s_level_names[reached]);
        cli_json_real (&json, "seconds", seconds);
        cli_json_real (&json, "msgs_per_s", per_s);
        s_report_row (self, &json);
        cli_json_close (&json);
        cli_output_end (&output);
    }
}

//  The highest level that everything sent has reached.

static tern_level_t
s_reached (const send_t *self)
{
    static const tern_level_t levels[]
        = {TERN_PROCESSED, TERN_STORED, TERN_SYNCED, TERN_WRITTEN};
    for (size_t index = 0; index < sizeof levels / sizeof *levels; index++) {
        if (tern_producer_reached (self->producer, levels[index])
            >= self->last_seq) {
            return levels[index];
        }
    }
    return (tern_level_t) 0;
}

//  Everything from the open peer to the last word about it.

static int
s_run (send_t *self, char **words, size_t count)
{
    self->started_ns = cli_clock_ns ();
    int code = s_send_source (self, words, count);
    if (self->sent > 0) {
        //  Even after an error: what was sent before it shall be safe.
        int waited = s_await (self, self->level, self->timeout_ms);
        const double seconds
            = (double) (cli_clock_ns () - self->started_ns) / 1e9;
        s_report (self, s_reached (self), seconds);
        if (waited == CLI_TIMEOUT) {
            cli_fail (CLI_TIMEOUT,
                      "%s: not all %s within %" PRIu64 " ms%s; what is stored "
                      "stays",
                      self->queue, s_level_names[self->level], self->timeout_ms,
                      self->level == TERN_STORED
                          ? s_obstacle (self, self->level)
                          : "");
        }
        if (waited == CLI_DONE && self->level < TERN_PROCESSED
            && self->form.delay_ms < LINGER_MS && s_consumers (self) > 0) {
            const int lingered = s_await (self, TERN_PROCESSED, LINGER_MS);
            (void) lingered;  //  a courtesy to the consumer, not a promise
        }
        if (waited == CLI_DONE && self->level == TERN_PROCESSED) {
            waited = s_check_dead (self);
        }
        code = code == CLI_DONE ? waited : code;
    } else if (code == CLI_DONE) {
        cli_note ("nothing sent: the input was empty");
    }
    if (code == CLI_DONE && self->too_long > 0) {
        code = CLI_REFUSED;
    }
    if (cli_stop_asked () && code == CLI_DONE) {
        code = CLI_FAILED;  //  there was more to send
    }
    return code;
}

static int
s_open_producer (send_t *self)
{
    if (self->route.exchange) {
        return cli_route_open (&self->route, &self->producer, self->peer,
                               self->timeout_ms);
    }
    char why[256] = "";
    const int rc = tern_producer_open (&self->producer, self->peer, self->queue,
                                       why, sizeof why);
    return rc ? cli_fail_tern (rc, self->queue, why) : CLI_DONE;
}

static int
s_open_and_run (send_t *self, char **words, size_t count)
{
    int code = cli_seat_open (&self->peer, &self->common, "send");
    if (code != CLI_DONE) {
        return code;
    }
    code = s_open_producer (self);
    if (code == CLI_DONE) {
        code = s_run (self, words, count);
    }
    tern_producer_close (&self->producer);

    char data[4096];
    snprintf (data, sizeof data, "%s", tern_peer_data (self->peer));
    const uint64_t left = cli_seat_close (&self->peer);
    if (left > 0) {
        cli_text_t text;
        cli_note ("%s not yet delivered, kept in %s; the next peer of that "
                  "name delivers it, or: tern drain %s",
                  cli_format_count (&text, left), data, data);
    }
    return code;
}

int
cli_send (int argc, char **argv)
{
    send_t self = {.wait = "processed",
                   .form = {.priority = CLI_NO_PRIORITY},
                   .timeout_ms = UINT64_MAX,
                   .fd = STDIN_FILENO};
    const cli_option_t options[] = {
        {"file", 'f', CLI_TEXT, &self.file, "FILE",
         "read FILE instead of standard input", 0, 0},
        {"whole", 'w', CLI_FLAG, &self.whole, NULL,
         "all of the input is one message", 0, 0},
        {"exchange", 'x', CLI_TEXT, &self.route.exchange, "EXCHANGE",
         "publish to an exchange, not to a queue", 0, 0},
        {"type", 0, CLI_TEXT, &self.route.type, "TYPE",
         "of the exchange; default: as its queues are bound", 0, 0},
        {"key", 'k', CLI_TEXT, &self.form.key, "KEY", "routing key", 0, 0},
        {"header", 'H', CLI_MANY, &self.form.headers, "NAME=VALUE",
         "header; may be repeated", 0, 0},
        {"ttl", 0, CLI_NUMBER, &self.form.ttl_ms, "MS",
         "worth delivering for so long", 1, CLI_RULE_MS_MAX},
        {"delay", 0, CLI_NUMBER, &self.form.delay_ms, "MS",
         "not delivered before", 1, CLI_RULE_MS_MAX},
        {"priority", 0, CLI_NUMBER, &self.form.priority, "0..9",
         "higher ones are delivered first", 0, TERN_PRIORITY_MAX},
        {"order-key", 0, CLI_TEXT, &self.form.order_key, "KEY",
         "one at a time and in order with others of this key", 0, 0},
        {"wait", 0, CLI_TEXT, &self.wait, "LEVEL",
         "written, synced, stored or processed (default)", 0, 0},
        {"timeout", 't', CLI_NUMBER, &self.timeout_ms, "MS",
         "wait no longer than this", 0, INT32_MAX},
    };
    const cli_usage_t usage = {
        .name = "send",
        .synopsis = "QUEUE|--exchange EXCHANGE [TEXT]...",
        .summary = "Publish messages to a queue or an exchange.",
        .text = "One message from TEXT; without TEXT one message per line of "
                "standard input.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .operands_max = SIZE_MAX,
    };
    size_t operands = 0;
    int code = cli_parse (&usage, &self.common, argc, argv, &operands);
    if (code != CLI_PARSED) {
        return code;
    }
    const size_t named = self.route.exchange ? 0 : 1;
    if (operands < named) {
        return cli_fail (CLI_USAGE, "name the queue; usage: tern send %s",
                         usage.synopsis);
    }
    if (self.route.type && !self.route.exchange) {
        return cli_fail (CLI_USAGE, "--type: only with --exchange");
    }
    self.queue = named ? argv[1] : self.route.exchange;
    if (operands > named && (self.file || self.whole)) {
        return cli_fail (CLI_USAGE, "TEXT and --%s: choose one of them",
                         self.file ? "file" : "whole");
    }
    code = s_parse_level (&self);
    if (code == CLI_DONE) {
        code = cli_form_check (&self.form);
    }
    if (code == CLI_DONE && self.file) {
        self.fd = open (self.file, O_RDONLY | O_CLOEXEC);
        if (self.fd < 0) {
            code = cli_fail (CLI_FAILED, "%s: %s", self.file, strerror (errno));
        }
    }
    if (code == CLI_DONE) {
        code = s_open_and_run (&self, argv + 1 + named, operands - named);
    }
    if (self.file && self.fd >= 0) {
        close (self.fd);
    }
    cli_route_free (&self.route);
    return code;
}
