//  cli/outbox.c - tern outbox: look into stores
//
//  Reads what lies on the disk, whoever has it open, and changes nothing;
//  salvage writes, into a new place, and purge (cli/purge.h).
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/command.h"
#include "cli/format.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/purge.h"
#include "cli/say.h"
#include "cli/stop.h"
#include "cli/stores.h"
#include "cli/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LINE_BODY 120  //  bytes of a body that a line for people shows

typedef struct {
    cli_common_t common;
    const char *queue;  //  only this one
    uint64_t count;     //  peek: at most so many of each
    uint64_t from;      //  peek: 0: what waits
    cli_table_t table;  //  ls
    cli_output_t output;
    size_t outboxes;   //  that were looked at
    uint64_t shown;    //  peek: of this outbox
    const char *path;  //  of the store in hand
    tern_store_t *store;
    const char *outbox;
    int error;  //  errno of stdout
} outbox_t;

//  What is done with one outbox; returns an exit code.
typedef int
outbox_fn (outbox_t *self, const tern_outbox_info_t *info);

static const char *
s_health (const tern_outbox_info_t *info)
{
    switch (info->health) {
    case TERN_OUTBOX_CLEAN: return "clean";
    case TERN_OUTBOX_OPEN: return "open";
    case TERN_OUTBOX_TORN: return "torn";
    case TERN_OUTBOX_CORRUPT: return "corrupt";
    }
    return "unknown";
}

//  ls ------------------------------------------------------------------------

static void
s_print_info_json (outbox_t *self, const tern_outbox_info_t *info)
{
    cli_json_t json;
    cli_json_init (&json, &self->output);
    cli_json_open (&json, NULL, '{');
    cli_json_text (&json, "store", self->path);
    cli_json_text (&json, "peer", tern_store_name (self->store));
    cli_json_text (&json, "queue", self->outbox);
    cli_json_text (&json, "health", s_health (info));
    cli_json_count (&json, "waiting", info->waiting);
    cli_json_count (&json, "messages", info->messages);
    cli_json_count (&json, "low", info->low);
    cli_json_count (&json, "first_seq", info->first_seq);
    cli_json_count (&json, "high", info->high);
    cli_json_count (&json, "bytes", info->bytes);
    cli_json_count (&json, "disk_bytes", info->disk_bytes);
    cli_json_count (&json, "segments", info->segments);
    cli_json_count (&json, "torn_bytes", info->torn_bytes);
    if (info->health == TERN_OUTBOX_CORRUPT) {
        cli_json_text (&json, "problem", info->problem);
        cli_json_count (&json, "segment", info->segment);
        cli_json_count (&json, "offset", (uint64_t) info->offset);
        cli_json_count (&json, "last_good_seq", info->last_good_seq);
        cli_json_count (&json, "durable_seq", info->durable_seq);
    }
    cli_json_close (&json);
}

static void
s_add_count (cli_table_t *table, uint64_t count)
{
    cli_text_t text;
    cli_table_add (table, cli_format_count (&text, count));
}

static int
s_list (outbox_t *self, const tern_outbox_info_t *info)
{
    if (self->common.json) {
        s_print_info_json (self, info);
        return CLI_DONE;
    }
    cli_text_t text;
    cli_table_add (&self->table, tern_store_name (self->store));
    cli_table_add (&self->table, self->outbox);
    s_add_count (&self->table, info->waiting);
    s_add_count (&self->table, info->messages);
    s_add_count (&self->table, info->high);
    cli_table_add (&self->table, cli_format_bytes (&text, info->bytes));
    cli_table_add (&self->table, cli_format_bytes (&text, info->disk_bytes));
    s_add_count (&self->table, info->segments);
    cli_table_add (&self->table, s_health (info));
    cli_table_add (&self->table, self->path);
    return CLI_DONE;
}

//  verify --------------------------------------------------------------------

static int
s_verify (outbox_t *self, const tern_outbox_info_t *info)
{
    cli_text_t a, b;
    const bool corrupt = info->health == TERN_OUTBOX_CORRUPT;
    if (self->common.json) {
        s_print_info_json (self, info);
        return corrupt ? CLI_CORRUPT : CLI_DONE;
    }
    if (corrupt) {
        return cli_fail (CLI_CORRUPT,
                         "%s: %s: corrupt in segment %" PRIu64
                         " at offset %" PRId64 ": %s; good up to seq %" PRIu64
                         ", synced up to %" PRIu64
                         "; nothing was changed, see tern outbox salvage",
                         self->path, self->outbox, info->segment, info->offset,
                         info->problem, info->last_good_seq, info->durable_seq);
    }
    printf ("%s: %s: %s messages, %s, every one whole", self->path,
            self->outbox, cli_format_count (&a, info->messages),
            cli_format_bytes (&b, info->bytes));
    if (info->torn_bytes > 0) {
        printf ("; behind them %s torn bytes that the next opening cuts",
                cli_format_count (&a, info->torn_bytes));
    }
    putchar ('\n');
    return CLI_DONE;
}

//  verify, behind the outboxes: bodies of large messages, of all of them.

typedef struct {
    outbox_t *outbox;
    uint64_t whole, bytes, orphans;
    int code;
} s_bodies_t;

static const char *
s_body_health (const tern_store_body_t *body)
{
    switch (body->health) {
    case TERN_BODY_WHOLE: return "whole";
    case TERN_BODY_MISSING: return "missing";
    case TERN_BODY_SHORT: return "short";
    case TERN_BODY_DAMAGED: return "damaged";
    case TERN_BODY_ORPHAN: return "orphan";
    }
    return "unknown";
}

static void
s_print_body_json (outbox_t *self, const tern_store_body_t *body)
{
    cli_json_t json;
    cli_json_init (&json, &self->output);
    cli_json_open (&json, NULL, '{');
    cli_json_text (&json, "store", self->path);
    cli_json_text (&json, "peer", tern_store_name (self->store));
    cli_json_text (&json, "body", body->file);
    cli_json_text (&json, "health", s_body_health (body));
    if (body->outbox) {
        cli_json_text (&json, "queue", body->outbox);
        cli_json_count (&json, "seq", body->seq);
    }
    cli_json_count (&json, "bytes", body->size);
    if (body->health == TERN_BODY_SHORT || body->health == TERN_BODY_DAMAGED) {
        cli_json_count (&json, "offset", body->offset);
    }
    cli_json_close (&json);
}

//  What is wrong with it, in words, behind the name of its file.
static int
s_fail_body (const outbox_t *self, const tern_store_body_t *body)
{
    char where[64] = "";
    if (body->health == TERN_BODY_SHORT) {
        snprintf (where, sizeof where, ", ends at %" PRIu64, body->offset);
    } else if (body->health == TERN_BODY_DAMAGED) {
        snprintf (where, sizeof where, ", in the part at %" PRIu64,
                  body->offset);
    }
    return cli_fail (
        CLI_CORRUPT,
        "%s: %s: %s%s: the body, %" PRIu64 " bytes, of message %s/%s/%" PRIu64,
        self->path, body->file, s_body_health (body), where, body->size,
        tern_store_name (self->store), body->outbox, body->seq);
}

static int
s_on_body (void *arg, const tern_store_body_t *body)
{
    s_bodies_t *bodies = arg;
    outbox_t *self = bodies->outbox;
    const bool orphan = body->health == TERN_BODY_ORPHAN;
    const bool whole = body->health == TERN_BODY_WHOLE;
    bodies->whole += whole;
    bodies->bytes += whole ? body->size : 0;
    bodies->code = whole || orphan ? bodies->code : CLI_CORRUPT;
    cli_text_t text;
    if (self->common.json) {
        s_print_body_json (self, body);
    } else if (orphan) {
        printf ("%s: %s: %s that no message needs: an upload under way, or "
                "what the next opening removes\n",
                self->path, body->file, cli_format_bytes (&text, body->size));
    } else if (!whole) {
        s_fail_body (self, body);
    }
    return cli_stop_asked ();
}

static int
s_verify_large (outbox_t *self)
{
    s_bodies_t bodies = {.outbox = self, .code = CLI_DONE};
    cli_progress ("%s: large bodies", self->path);
    const int rc = tern_store_verify_large (self->store, self->queue, s_on_body,
                                            &bodies);
    //  What is wrong with an outbox has been said.
    if (rc < 0 && rc != TERN_ECORRUPT && rc != TERN_ENOENT) {
        return cli_fail_tern (rc, self->path, NULL);
    }
    if (bodies.whole > 0 && !self->common.json) {
        cli_text_t a, b;
        printf ("%s: %s large bodies, %s, whole\n", self->path,
                cli_format_count (&a, bodies.whole),
                cli_format_bytes (&b, bodies.bytes));
    }
    return bodies.code;
}

//  peek ----------------------------------------------------------------------

//  For people: what a terminal might take for a command becomes '.'.

static void
s_print_body (cli_output_t *output, const char *body, size_t size)
{
    const size_t shown = size < LINE_BODY ? size : LINE_BODY;
    for (size_t at = 0; at < shown; at++) {
        const unsigned char byte = (unsigned char) body[at];
        cli_output_add (output, byte < ' ' || byte == 0x7f ? "." : &body[at],
                        1);
    }
    cli_output_text (output, shown < size ? "...\n" : "\n");
}

static void
s_print_line (outbox_t *self, const tern_store_message_t *message)
{
    char line[256];
    cli_text_t clock;
    tern_store_rules_t rules;
    tern_store_rules (message, &rules);
    const uint64_t large = rules.large_size;
    snprintf (line, sizeof line, "%s/%s/%" PRIu64 "  %s  %" PRIu64 " B  ",
              tern_store_name (self->store), self->outbox, message->seq,
              cli_format_time (&clock, message->time_us),
              large ? large : message->size);
    cli_output_text (&self->output, line);
    if (large) {
        cli_output_text (&self->output, "(large)\n");
    } else {
        s_print_body (&self->output, message->body, message->size);
    }
}

static void
s_print_message_json (outbox_t *self, const tern_store_message_t *message)
{
    char id[256];
    cli_json_t json;
    snprintf (id, sizeof id, "%s/%s/%" PRIu64, tern_store_name (self->store),
              self->outbox, message->seq);
    cli_json_init (&json, &self->output);
    cli_json_open (&json, NULL, '{');
    cli_json_text (&json, "id", id);
    cli_json_text (&json, "queue", self->outbox);
    cli_json_bytes (&json, "key", message->key, message->key_size);
    cli_json_open (&json, "headers", '{');
    const char *name, *value;
    size_t name_size, size;
    for (size_t index = 0; tern_store_header_at (message, index, &name,
                                                 &name_size, &value, &size);
         index++) {
        cli_json_member (&json, name, name_size, value, size);
    }
    cli_json_close (&json);
    cli_json_count (&json, "time_us", message->time_us);
    tern_store_rules_t rules;
    tern_store_rules (message, &rules);
    if (rules.large_size) {
        cli_json_null (&json, "body");
        cli_json_count (&json, "large", rules.large_size);
    } else {
        cli_json_bytes (&json, "body", message->body, message->size);
    }
    cli_json_close (&json);
}

static int
s_on_message (void *arg, const tern_store_message_t *message)
{
    outbox_t *self = arg;
    if (self->shown == self->count || cli_stop_asked ()) {
        return 1;
    }
    self->shown++;
    if (self->common.json) {
        s_print_message_json (self, message);
    } else {
        s_print_line (self, message);
    }
    if (self->output.size > 64 * 1024) {
        self->error = cli_output_flush (&self->output);
    }
    return self->error ? 1 : 0;
}

static int
s_peek (outbox_t *self, const tern_outbox_info_t *info)
{
    self->shown = 0;
    const int rc = tern_store_peek (self->store, self->outbox,
                                    self->from > 0 ? self->from : info->low,
                                    s_on_message, self);
    if (!self->error) {
        self->error = cli_output_flush (&self->output);
    }
    if (self->error) {
        return cli_fail (CLI_FAILED, "standard output: %s",
                         strerror (self->error));
    }
    return rc < 0 ? cli_fail_tern (rc, self->path, NULL) : CLI_DONE;
}

//  ls, behind the outboxes: bodies of large messages, of all of them.

static int
s_list_large (outbox_t *self)
{
    tern_store_large_t large;
    const int rc = tern_store_large (self->store, &large);
    if (rc) {
        return cli_fail_tern (rc, self->path, NULL);
    }
    if (large.bodies == 0) {
        return CLI_DONE;
    }
    if (self->common.json) {
        cli_json_t json;
        cli_json_init (&json, &self->output);
        cli_json_open (&json, NULL, '{');
        cli_json_text (&json, "store", self->path);
        cli_json_text (&json, "peer", tern_store_name (self->store));
        cli_json_count (&json, "large_bodies", large.bodies);
        cli_json_count (&json, "bytes", large.bytes);
        cli_json_close (&json);
        return CLI_DONE;
    }
    cli_text_t text;
    cli_table_add (&self->table, tern_store_name (self->store));
    cli_table_add (&self->table, "(large bodies)");
    cli_table_add (&self->table, "-");
    s_add_count (&self->table, large.bodies);
    cli_table_add (&self->table, "-");
    cli_table_add (&self->table, cli_format_bytes (&text, large.bytes));
    cli_table_add (&self->table, cli_format_bytes (&text, large.bytes));
    cli_table_add (&self->table, "-");
    cli_table_add (&self->table, "-");
    cli_table_add (&self->table, self->path);
    return CLI_DONE;
}

//  Going through stores ------------------------------------------------------

static int
s_each_outbox (outbox_t *self, outbox_fn *fn)
{
    int worst = CLI_DONE;
    for (size_t index = 0;
         (self->outbox = tern_store_outbox_at (self->store, index))
         && !cli_stop_asked () && !self->error;
         index++) {
        if (self->queue && strcmp (self->queue, self->outbox) != 0) {
            continue;
        }
        tern_outbox_info_t info;
        cli_progress ("%s: %s", self->path, self->outbox);
        const int rc = tern_store_verify (self->store, self->outbox, &info);
        const int code
            = rc ? cli_fail_tern (rc, self->path, NULL) : fn (self, &info);
        worst = code > worst ? code : worst;
        self->outboxes++;
    }
    const int code = fn == s_list && !self->queue ? s_list_large (self)
                     : fn == s_verify             ? s_verify_large (self)
                                                  : CLI_DONE;
    worst = code > worst ? code : worst;
    return worst;
}

static int
s_each_store (outbox_t *self, const cli_stores_t *stores, outbox_fn *fn)
{
    int worst = CLI_DONE;
    for (size_t index = 0;
         index < stores->count && !cli_stop_asked () && !self->error; index++) {
        char why[256] = "";
        self->path = stores->paths[index];
        const int rc
            = tern_store_open (&self->store, self->path, why, sizeof why);
        const int code = rc ? cli_fail_tern (rc, self->path, why)
                            : s_each_outbox (self, fn);
        worst = code > worst ? code : worst;
        tern_store_close (&self->store);
    }
    return worst;
}

//  Stores named, or all of this user's.

static int
s_find_stores (cli_stores_t *stores, char **folders, size_t count)
{
    char root[4096];
    char *roots[] = {root};
    if (count == 0) {
        if (!cli_stores_root (root, sizeof root)) {
            return cli_fail (CLI_FAILED, "no folder of stores: name one, or "
                                         "set XDG_DATA_HOME or HOME");
        }
        folders = roots;
        count = 1;
    }
    for (size_t index = 0; index < count; index++) {
        const int code = cli_stores_find (stores, folders[index]);
        if (code != CLI_DONE) {
            return code;
        }
    }
    return stores->count > 0
               ? CLI_DONE
               : cli_fail (CLI_FAILED,
                           "%s: no store there; a store is the data "
                           "directory of a peer",
                           folders[count - 1]);
}

static int
s_look (outbox_t *self, outbox_fn *fn, char **folders, size_t count)
{
    static const char *const titles[]
        = {"PEER",   "QUEUE",    ">WAITING",  ">MESSAGES", ">HIGH",
           ">BYTES", ">ON DISK", ">SEGMENTS", "HEALTH",    "STORE"};
    cli_stores_t stores = {0};
    cli_table_init (&self->table, titles, sizeof titles / sizeof *titles);
    int code = s_find_stores (&stores, folders, count);
    if (code == CLI_DONE) {
        code = s_each_store (self, &stores, fn);
        cli_progress_end ();
        cli_table_print (&self->table);
        const int ended
            = self->error ? CLI_FAILED : cli_output_end (&self->output);
        code = code == CLI_DONE ? ended : code;
        if (code == CLI_DONE && self->outboxes == 0 && self->queue) {
            code = cli_fail (CLI_FAILED, "%s: no such outbox", self->queue);
        } else if (code == CLI_DONE && self->outboxes == 0) {
            cli_note ("no outboxes");
        }
    }
    cli_stores_free (&stores);
    return code;
}

//  salvage -------------------------------------------------------------------

static int
s_report_salvage (const outbox_t *self, const tern_salvage_t *result,
                  const char *from, const char *to)
{
    cli_text_t a, b, c;
    if (!self->common.json) {
        printf ("%s: %s messages, %s, copied to %s\n", from,
                cli_format_count (&a, result->messages),
                cli_format_bytes (&b, result->bytes), to);
        printf ("%s: %s damaged places, %s; %s messages missing\n", from,
                cli_format_count (&a, result->damaged),
                cli_format_bytes (&b, result->damaged_bytes),
                cli_format_count (&c, result->missing));
        if (result->bodies + result->bodies_lost > 0) {
            printf ("%s: %s large bodies, %s, copied; %s not whole, not "
                    "copied, nor their messages\n",
                    from, cli_format_count (&a, result->bodies),
                    cli_format_bytes (&b, result->body_bytes),
                    cli_format_count (&c, result->bodies_lost));
        }
        return CLI_DONE;
    }
    cli_output_t output;
    cli_json_t json;
    cli_output_init (&output);
    cli_json_init (&json, &output);
    cli_json_open (&json, NULL, '{');
    cli_json_text (&json, "store", from);
    cli_json_text (&json, "new_store", to);
    cli_json_count (&json, "outboxes", result->outboxes);
    cli_json_count (&json, "messages", result->messages);
    cli_json_count (&json, "bytes", result->bytes);
    cli_json_count (&json, "damaged", result->damaged);
    cli_json_count (&json, "damaged_bytes", result->damaged_bytes);
    cli_json_count (&json, "missing", result->missing);
    cli_json_count (&json, "bodies", result->bodies);
    cli_json_count (&json, "body_bytes", result->body_bytes);
    cli_json_count (&json, "bodies_lost", result->bodies_lost);
    cli_json_count (&json, "pasts", result->pasts);
    cli_json_count (&json, "pasts_lost", result->pasts_lost);
    cli_json_count (&json, "queues_lost", result->queues_lost);
    cli_json_close (&json);
    return cli_output_end (&output);
}

//  One line for each, on stderr.
static void
s_on_lost (void *arg, const tern_loss_t *loss)
{
    const outbox_t *self = arg;
    switch (loss->kind) {
    case TERN_LOSS_BODY: (void) s_fail_body (self, loss->body); break;
    case TERN_LOSS_PAST:
        (void) cli_fail (CLI_CORRUPT,
                         "%s: %s: %s is damaged: what its queue had not "
                         "settled of the past is lost",
                         self->path, loss->outbox, loss->file);
        break;
    case TERN_LOSS_QUEUES:
        (void) cli_fail (CLI_CORRUPT,
                         "%s: %s: STATE is damaged: for which queues its "
                         "messages are, %" PRIu64 " of them, is not known, and "
                         "nobody will get them; tern outbox peek shows them",
                         self->path, loss->outbox, loss->messages);
        break;
    }
}

static int
s_salvage (outbox_t *self, char **folders, size_t count)
{
    if (count != 2) {
        return cli_fail (CLI_USAGE, "salvage: name the store and the place of "
                                    "the new one; usage: tern outbox salvage "
                                    "DIR NEW-DIR");
    }
    if (self->queue) {
        return cli_fail (CLI_USAGE, "--queue: salvage takes all of a store");
    }
    char why[256] = "";
    tern_salvage_t result;
    self->path = folders[0];
    int rc = tern_store_open (&self->store, folders[0], why, sizeof why);
    if (rc) {
        return cli_fail_tern (rc, folders[0], why);
    }
    rc = tern_store_salvage (self->store, folders[1], s_on_lost, self, &result,
                             why, sizeof why);
    const int code
        = rc ? cli_fail_tern (rc, folders[1], why)
             : s_report_salvage (self, &result, folders[0], folders[1]);
    tern_store_close (&self->store);
    return code;
}

//  purge ---------------------------------------------------------------------

static int
s_purge (const outbox_t *self, char **words, size_t count)
{
    if (count < 2) {
        return cli_fail (CLI_USAGE, "purge: name the store and the queue; "
                                    "usage: tern outbox purge DIR... QUEUE");
    }
    if (self->queue) {
        return cli_fail (CLI_USAGE, "--queue: purge names it last");
    }
    cli_stores_t stores = {0};
    int code = s_find_stores (&stores, words, count - 1);
    if (code == CLI_DONE) {
        code = cli_purge (&self->common, &stores, words[count - 1]);
    }
    cli_stores_free (&stores);
    return code;
}

//  Entry ---------------------------------------------------------------------

static int
s_run (outbox_t *self, const char *verb, char **folders, size_t count)
{
    static const struct {
        const char *verb;
        outbox_fn *fn;
    } verbs[] = {{"ls", s_list}, {"peek", s_peek}, {"verify", s_verify}};
    for (size_t index = 0; index < sizeof verbs / sizeof *verbs; index++) {
        if (strcmp (verb, verbs[index].verb) == 0) {
            return s_look (self, verbs[index].fn, folders, count);
        }
    }
    if (strcmp (verb, "salvage") == 0) {
        return s_salvage (self, folders, count);
    }
    if (strcmp (verb, "purge") == 0) {
        return s_purge (self, folders, count);
    }
    return cli_fail (CLI_USAGE, "%s: not ls, peek, verify, salvage or purge",
                     verb);
}

int
cli_outbox (int argc, char **argv)
{
    outbox_t self = {.count = UINT64_MAX};
    const cli_option_t options[] = {
        {"queue", 0, CLI_TEXT, &self.queue, "QUEUE", "only this one", 0, 0},
        {"count", 'n', CLI_NUMBER, &self.count, "N", "peek: at most N of each",
         1, UINT64_MAX},
        {"from", 0, CLI_NUMBER, &self.from, "SEQ",
         "peek: from here, not from what waits", 1, UINT64_MAX},
    };
    const cli_usage_t usage = {
        .name = "outbox",
        .synopsis = "ls|peek|verify [DIR]... | salvage DIR NEW-DIR | "
                    "purge DIR... QUEUE",
        .summary = "Look into stores, whoever has them open.",
        .text = "DIR is a store, or a folder of stores; default: this user's.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .operands_min = 1,
        .operands_max = SIZE_MAX,
        .missing = "say what to do",
    };
    size_t operands = 0;
    const int code = cli_parse (&usage, &self.common, argc, argv, &operands);
    if (code != CLI_PARSED) {
        return code;
    }
    cli_output_init (&self.output);
    return s_run (&self, argv[1], argv + 2, operands - 1);
}
