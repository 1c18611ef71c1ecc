//  cli/trace.c - tern trace: what became of one message
//
//  Everything is read from the publisher's store as it lies on the disk:
//
//      outbox           is it in the log, for which queues, settled in which
//      <queue>.dead     is it a dead letter, and is that settled
//      other stores     was it sent again under its first id
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/command.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/say.h"
#include "cli/stop.h"
#include "cli/stores.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUFFIX ".dead"
#define NAME_SIZE 66

typedef struct {
    cli_common_t common;
    const char *id;
    char publisher[NAME_SIZE];
    char outbox[NAME_SIZE];
    uint64_t seq;
    cli_stores_t stores;
    size_t found;  //  stores that know it

    cli_output_t output;
    cli_json_t json;

    //  Of what is being read.
    tern_store_t *store;
    const char *path;
    const char *letters;   //  outbox of dead letters
    char home[NAME_SIZE];  //  where the letter died; "": it did not
    bool in_log;
} trace_t;

//  For people ----------------------------------------------------------------

static void
s_line (trace_t *self, const char *format, ...)
    __attribute__ ((format (printf, 2, 3)));

static void
s_line (trace_t *self, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start (args, format);
    vsnprintf (line, sizeof line, format, args);
    va_end (args);
    //  Names may come from other hosts.
    for (char *at = line; *at; at++) {
        const unsigned char byte = (unsigned char) *at;
        *at = byte < ' ' || byte == 0x7f ? '.' : *at;
    }
    cli_output_text (&self->output, line);
    cli_output_text (&self->output, "\n");
}

static void
s_print_rules (trace_t *self, const tern_store_rules_t *rules)
{
    cli_text_t text;
    if (rules->priority > 0) {
        s_line (self, "  priority %d", rules->priority);
    }
    if (rules->order_key) {
        s_line (self, "  ordering key %.*s", (int) rules->order_key_size,
                rules->order_key);
    }
    if (rules->due_ms > 0) {
        s_line (self, "  not before %s",
                cli_format_time (&text, rules->due_ms * 1000));
    }
    if (rules->expires_ms > 0) {
        s_line (self, "  not after %s",
                cli_format_time (&text, rules->expires_ms * 1000));
    }
    if (rules->first_id) {
        s_line (self, "  sent again for %.*s", (int) rules->first_id_size,
                rules->first_id);
    }
}

static void
s_print_message (trace_t *self, const tern_store_message_t *message)
{
    cli_text_t time, bytes;
    tern_store_rules_t rules;
    tern_store_rules (message, &rules);
    s_line (self, "  accepted %s, %s",
            cli_format_time (&time, message->time_us),
            cli_format_bytes (&bytes, rules.large_size ? rules.large_size
                                                       : message->size));
    if (message->key_size > 0) {
        s_line (self, "  key %.*s", (int) message->key_size, message->key);
    }
    s_print_rules (self, &rules);
}

//  JSON ----------------------------------------------------------------------

static void
s_json_text (cli_json_t *json, const char *key, const char *text, size_t size)
{
    if (text) {
        cli_json_string (json, key, text, size);
    } else {
        cli_json_null (json, key);
    }
}

static void
s_json_message (cli_json_t *json, const tern_store_message_t *message)
{
    tern_store_rules_t rules;
    tern_store_rules (message, &rules);
    cli_json_count (json, "time_us", message->time_us);
    cli_json_count (json, "size",
                    rules.large_size ? rules.large_size : message->size);
    cli_json_bytes (json, "key", message->key, message->key_size);
    cli_json_open (json, "headers", '{');
    const char *name, *value;
    size_t name_size, size;
    for (size_t index = 0; tern_store_header_at (message, index, &name,
                                                 &name_size, &value, &size);
         index++) {
        cli_json_member (json, name, name_size, value, size);
    }
    cli_json_close (json);
    cli_json_count (json, "priority", (uint64_t) rules.priority);
    s_json_text (json, "order_key", rules.order_key, rules.order_key_size);
    cli_json_count (json, "due_ms", rules.due_ms);
    cli_json_count (json, "expires_ms", rules.expires_ms);
    s_json_text (json, "first_id", rules.first_id, rules.first_id_size);
}

//  The message itself --------------------------------------------------------

static int
s_on_message (void *arg, const tern_store_message_t *message)
{
    trace_t *self = arg;
    if (message->seq == self->seq) {
        self->in_log = true;
        if (self->common.json) {
            s_json_message (&self->json, message);
        } else {
            s_print_message (self, message);
        }
    }
    return 1;
}

static void
s_print_fate (trace_t *self, const tern_store_fate_t *fate)
{
    if (self->common.json) {
        cli_json_open (&self->json, NULL, '{');
        cli_json_text (&self->json, "queue", fate->queue);
        cli_json_bool (&self->json, "settled", fate->settled);
        cli_json_count (&self->json, "deliveries", fate->deliveries);
        cli_json_close (&self->json);
    } else if (fate->settled) {
        s_line (self, "  queue %s: settled", fate->queue);
    } else if (fate->deliveries > 0) {
        s_line (self, "  queue %s: waiting, delivered %" PRIu32 " times",
                fate->queue, fate->deliveries);
    } else {
        s_line (self, "  queue %s: waiting", fate->queue);
    }
}

//  Its queues; CLI_DONE or an exit code with one line said.

static int
s_trace_queues (trace_t *self)
{
    tern_store_fate_t fate;
    int rc = TERN_OK;
    if (self->common.json) {
        cli_json_open (&self->json, "queues", '[');
    }
    for (size_t index = 0; self->in_log && rc == TERN_OK; index++) {
        rc = tern_store_fate (self->store, self->outbox, self->seq, index,
                              &fate);
        if (rc == TERN_OK) {
            s_print_fate (self, &fate);
        }
    }
    if (self->common.json) {
        cli_json_close (&self->json);
    }
    return rc == TERN_OK || rc == TERN_ENOENT
               ? CLI_DONE
               : cli_fail_tern (rc, self->path, NULL);
}

//  Dead letters --------------------------------------------------------------

static bool
s_header (const tern_store_message_t *message, const char *wanted, char *text,
          size_t text_size)
{
    const char *name, *value;
    size_t name_size, size;
    for (size_t index = 0; tern_store_header_at (message, index, &name,
                                                 &name_size, &value, &size);
         index++) {
        if (name_size == strlen (wanted)
            && memcmp (name, wanted, name_size) == 0) {
            snprintf (text, text_size, "%.*s", (int) size, value);
            return true;
        }
    }
    *text = '\0';
    return false;
}

static void
s_print_letter (trace_t *self, const tern_store_message_t *letter)
{
    char reason[32], count[24], consumer[NAME_SIZE];
    s_header (letter, "tern.dead.reason", reason, sizeof reason);
    s_header (letter, "tern.dead.count", count, sizeof count);
    s_header (letter, "tern.dead.consumer", consumer, sizeof consumer);
    uint64_t deliveries = 0;
    if (!cli_number (count, 0, UINT64_MAX, &deliveries)) {
        deliveries = 0;
    }
    tern_store_fate_t fate;
    const bool settled
        = tern_store_fate (self->store, self->letters, letter->seq, 0, &fate)
              == TERN_OK
          && fate.settled;
    if (self->common.json) {
        cli_json_t *json = &self->json;
        cli_json_open (json, NULL, '{');
        cli_json_text (json, "queue", self->letters);
        cli_json_count (json, "seq", letter->seq);
        cli_json_text (json, "reason", reason);
        cli_json_count (json, "count", deliveries);
        cli_json_text (json, "consumer", consumer);
        cli_json_count (json, "died_us", letter->time_us);
        cli_json_bool (json, "settled", settled);
        cli_json_close (json);
        return;
    }
    cli_text_t died;
    s_line (self,
            "  dead in %s: %s %s, delivered %" PRIu64 " times, last to %s; %s",
            self->home, reason, cli_format_time (&died, letter->time_us),
            deliveries, *consumer ? consumer : "nobody",
            settled ? "replayed or dropped since" : "see tern dead");
}

static int
s_on_letter (void *arg, const tern_store_message_t *letter)
{
    trace_t *self = arg;
    char id[256];
    if (s_header (letter, "tern.dead.id", id, sizeof id)
        && strcmp (id, self->id) == 0) {
        s_header (letter, "tern.dead.queue", self->home, sizeof self->home);
        s_print_letter (self, letter);
    }
    return cli_stop_asked ();
}

static bool
s_is_letters (const char *outbox)
{
    const size_t size = strlen (outbox);
    const size_t suffix = strlen (SUFFIX);
    return size > suffix && strcmp (outbox + size - suffix, SUFFIX) == 0;
}

static int
s_trace_letters (trace_t *self)
{
    int worst = CLI_DONE;
    if (self->common.json) {
        cli_json_open (&self->json, "dead", '[');
    }
    for (size_t index = 0;
         (self->letters = tern_store_outbox_at (self->store, index)); index++) {
        const int rc = s_is_letters (self->letters) ? tern_store_peek (
                           self->store, self->letters, 1, s_on_letter, self)
                                                    : 0;
        if (rc < 0) {
            worst = cli_fail_tern (rc, self->path, NULL);
        }
    }
    if (self->common.json) {
        cli_json_close (&self->json);
    }
    return worst;
}

//  Replays -------------------------------------------------------------------

static int
s_on_replay (void *arg, const tern_store_message_t *message)
{
    trace_t *self = arg;
    tern_store_rules_t rules;
    tern_store_rules (message, &rules);
    if (rules.first_id_size != strlen (self->id)
        || memcmp (rules.first_id, self->id, rules.first_id_size) != 0) {
        return cli_stop_asked ();
    }
    char id[256];
    cli_text_t time;
    tern_store_fate_t fate = {.settled = false};
    snprintf (id, sizeof id, "%s/%s/%" PRIu64, tern_store_name (self->store),
              self->home, message->seq);
    const int rc
        = tern_store_fate (self->store, self->home, message->seq, 0, &fate);
    const bool settled = rc == TERN_OK && fate.settled;
    if (self->common.json) {
        cli_json_open (&self->json, NULL, '{');
        cli_json_text (&self->json, "id", id);
        cli_json_text (&self->json, "store", self->path);
        cli_json_count (&self->json, "time_us", message->time_us);
        cli_json_bool (&self->json, "settled", settled);
        cli_json_close (&self->json);
    } else {
        s_line (self, "  sent again as %s %s: %s", id,
                cli_format_time (&time, message->time_us),
                settled ? "settled" : "waiting");
    }
    return cli_stop_asked ();
}

//  In any store that publishes to the queue where it died.

static int
s_trace_replays (trace_t *self)
{
    tern_store_t *const publisher = self->store;
    const char *const path = self->path;
    if (self->common.json) {
        cli_json_open (&self->json, "replays", '[');
    }
    for (size_t index = 0; *self->home && index < self->stores.count; index++) {
        self->path = self->stores.paths[index];
        if (tern_store_open (&self->store, self->path, NULL, 0) == TERN_OK) {
            const int rc = tern_store_peek (self->store, self->home, 1,
                                            s_on_replay, self);
            (void) rc;  //  a store that cannot be read is not ours to judge
        }
        tern_store_close (&self->store);
    }
    if (self->common.json) {
        cli_json_close (&self->json);
    }
    self->store = publisher;
    self->path = path;
    return CLI_DONE;
}

//  One store -----------------------------------------------------------------

static void
s_print_head (trace_t *self, const tern_outbox_info_t *info)
{
    static const char *const states[]
        = {"its publisher is not running", "in use, or not closed properly",
           "not closed properly", "damaged"};
    if (!self->common.json) {
        s_line (self, "%s in %s, %s", self->id, self->path,
                states[info->health]);
        return;
    }
    cli_json_init (&self->json, &self->output);
    cli_json_open (&self->json, NULL, '{');
    cli_json_text (&self->json, "id", self->id);
    cli_json_text (&self->json, "store", self->path);
    cli_json_bool (&self->json, "clean", info->health == TERN_OUTBOX_CLEAN);
}

static int
s_trace_outbox (trace_t *self, const tern_outbox_info_t *info)
{
    self->found++;
    self->in_log = false;
    *self->home = '\0';
    s_print_head (self, info);
    const int rc = tern_store_peek (self->store, self->outbox, self->seq,
                                    s_on_message, self);
    int code = rc < 0 ? cli_fail_tern (rc, self->path, NULL) : CLI_DONE;
    if (self->common.json) {
        cli_json_bool (&self->json, "in_log", self->in_log);
    } else if (!self->in_log) {
        s_line (self, "  settled, and not in the log any more");
    }
    const int parts[] = {s_trace_queues (self), s_trace_letters (self),
                         s_trace_replays (self)};
    for (size_t index = 0; index < sizeof parts / sizeof *parts; index++) {
        code = parts[index] > code ? parts[index] : code;
    }
    if (self->common.json) {
        cli_json_close (&self->json);
    }
    return code;
}

static int
s_trace_store (trace_t *self)
{
    tern_outbox_info_t info;
    if (tern_store_open (&self->store, self->path, NULL, 0)) {
        return CLI_DONE;  //  of which nobody knows the name
    }
    int code = CLI_DONE;
    if (strcmp (tern_store_name (self->store), self->publisher) == 0) {
        const int rc = tern_store_verify (self->store, self->outbox, &info);
        if (rc == TERN_OK && (self->seq <= info.high || self->seq < info.low)) {
            code = s_trace_outbox (self, &info);
        } else if (rc && rc != TERN_ENOENT) {
            code = cli_fail_tern (rc, self->path, NULL);
        }
    }
    tern_store_close (&self->store);
    return code;
}

//  Entry ---------------------------------------------------------------------

//  "publisher/outbox/seq"

static bool
s_parse_id (trace_t *self, const char *id)
{
    const char *outbox = strchr (id, '/');
    const char *seq = outbox ? strchr (outbox + 1, '/') : NULL;
    if (!seq || outbox == id || seq == outbox + 1 || outbox - id >= NAME_SIZE
        || seq - outbox > NAME_SIZE) {
        return false;
    }
    snprintf (self->publisher, NAME_SIZE, "%.*s", (int) (outbox - id), id);
    snprintf (self->outbox, NAME_SIZE, "%.*s", (int) (seq - outbox - 1),
              outbox + 1);
    self->id = id;
    return cli_number (seq + 1, 1, INT64_MAX, &self->seq);
}

static int
s_run (trace_t *self)
{
    char root[4096];
    const char *folder = self->common.data;
    if (!folder) {
        if (!cli_stores_root (root, sizeof root)) {
            return cli_fail (CLI_FAILED, "no folder of stores: set --data, "
                                         "XDG_DATA_HOME or HOME");
        }
        folder = root;
    }
    int code = cli_stores_find (&self->stores, folder);
    for (size_t index = 0; index < self->stores.count && !cli_stop_asked ();
         index++) {
        self->path = self->stores.paths[index];
        const int one = s_trace_store (self);
        code = one > code ? one : code;
    }
    const int ended = cli_output_end (&self->output);
    code = code == CLI_DONE ? ended : code;
    if (code == CLI_DONE && self->found == 0) {
        code = cli_fail (CLI_FAILED,
                         "%s: no such message in %s; --data says where the "
                         "store of its publisher is",
                         self->id, folder);
    }
    cli_stores_free (&self->stores);
    return code;
}

int
cli_trace (int argc, char **argv)
{
    trace_t self = {.id = NULL};
    const cli_usage_t usage = {
        .name = "trace",
        .synopsis = "ID",
        .summary = "Say what became of one message.",
        .text = "ID is as tern recv --json and tern outbox peek say it: "
                "PUBLISHER/QUEUE/SEQ.\nIts publisher's store is looked for in "
                "--data; default: this user's stores.",
        .operands_min = 1,
        .operands_max = 1,
        .missing = "name the message",
    };
    size_t operands = 0;
    const int code = cli_parse (&usage, &self.common, argc, argv, &operands);
    if (code != CLI_PARSED) {
        return code;
    }
    if (!s_parse_id (&self, argv[1])) {
        return cli_fail (CLI_USAGE, "%s: not PUBLISHER/QUEUE/SEQ", argv[1]);
    }
    cli_output_init (&self.output);
    return s_run (&self);
}
