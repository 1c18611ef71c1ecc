//  cli/dead.c - tern dead: look at dead letters, send them again, drop them
//
//  Dead letters are a queue, and this is a consumer of it that settles only
//  what it was told to.  What it holds and does not settle goes back when it
//  leaves, as it was.
//
//      ls, show    every letter: print it, settle nothing
//      drop        a chosen one: accept it
//      replay      a chosen one: send it, wait until it is synced, accept it
//
//  So a replay that is interrupted leaves a letter, perhaps besides the message
//  that came of it, and never neither.
//
//  Letters lie with who published the message.  Where that process is gone, its
//  store is opened for as long as we look (cli/gone.h).
//
//  SPDX-License-Identifier: MPL-2.0

#include "cli/command.h"
#include "cli/format.h"
#include "cli/gone.h"
#include "cli/large.h"
#include "cli/letter.h"
#include "cli/options.h"
#include "cli/say.h"
#include "cli/seat.h"
#include "cli/stop.h"
#include "cli/table.h"

#include <assert.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUFFIX ".dead"
#define NAME_MAX_BYTES 63

//  Letters held at a time: as many as anybody looks through.
#define HOLD_MESSAGES 1000000
#define HOLD_BYTES 0x40000000u

//  Replays between two syncs.
#define BATCH 256

#define SLICE_MS 100
#define FLUSH_MS 5000

typedef struct dead dead_t;

typedef int
dead_fn (dead_t *self, tern_msg_t *letter);

struct dead {
    cli_common_t common;
    const char *queue;  //  as it was named
    char letters[NAME_MAX_BYTES + 1];
    char **ids;  //  chosen; none: all
    size_t id_count;
    bool *found;  //  of each id
    uint64_t idle_ms;
    uint64_t timeout_ms;  //  replay: for a consumer
    bool all;
    dead_fn *fn;

    tern_peer_t *peer;
    tern_consumer_t *consumer;
    cli_gone_t gone;
    cli_table_t table;
    cli_output_t output;
    uint64_t seen;
    uint64_t done;

    tern_producer_t *producer;  //  of home
    char home[NAME_MAX_BYTES + 2];
    tern_msg_t *batch[BATCH];  //  sent again, not yet synced
    size_t batched;
    uint64_t last_seq;
};

//  ls, show ------------------------------------------------------------------

static int
s_list (dead_t *self, tern_msg_t *letter)
{
    if (self->common.json) {
        cli_letter_json (&self->output, letter, false);
    } else {
        cli_letter_row (&self->table, letter);
    }
    return CLI_DONE;
}

static int
s_show (dead_t *self, tern_msg_t *letter)
{
    if (self->common.json) {
        cli_letter_json (&self->output, letter, true);
        return CLI_DONE;
    }
    cli_output_text (&self->output, self->seen > 1 ? "\n" : "");
    cli_letter_show (&self->output, letter);
    return CLI_DONE;
}

//  drop and replay -----------------------------------------------------------

static void
s_report (dead_t *self, tern_msg_t *letter, const char *what)
{
    char id[256];
    cli_letter_header (letter, "tern.dead.id", id, sizeof id);
    self->done++;
    if (self->common.json) {
        cli_json_t json;
        cli_json_init (&json, &self->output);
        cli_json_open (&json, NULL, '{');
        cli_json_text (&json, "id", id);
        cli_json_text (&json, "done", what);
        cli_json_close (&json);
    } else if (!self->common.quiet) {
        cli_output_text (&self->output, id);
        cli_output_text (&self->output, ": ");
        cli_output_text (&self->output, what);
        cli_output_text (&self->output, "\n");
    }
}

static int
s_accept (dead_t *self, tern_msg_t *letter, const char *what)
{
    if (tern_consumer_accept (self->consumer, letter) != TERN_OK) {
        return cli_fail (CLI_FAILED,
                         "%s: its publisher went away meanwhile; look again "
                         "when it is back",
                         tern_msg_id (letter));
    }
    s_report (self, letter, what);
    return CLI_DONE;
}

static int
s_drop (dead_t *self, tern_msg_t *letter)
{
    return s_accept (self, letter, "dropped");
}

//  What was sent again is synced: its letters are not needed any more.  If it
//  is not, they stay.

static int
s_end_batch (dead_t *self)
{
    int code = CLI_DONE;
    if (self->batched == 0) {
        return CLI_DONE;
    }
    int rc;
    do {
        rc = tern_producer_wait (self->producer, self->last_seq, TERN_SYNCED,
                                 SLICE_MS);
    } while (rc == TERN_ETIMEOUT);
    if (rc) {
        code = cli_fail_tern (rc, tern_peer_data (self->peer), NULL);
    }
    for (size_t index = 0; index < self->batched; index++) {
        if (rc == TERN_OK) {
            const int accepted
                = s_accept (self, self->batch[index], "replayed");
            code = code == CLI_DONE ? accepted : code;
        }
        tern_msg_destroy (&self->batch[index]);
    }
    self->batched = 0;
    return code;
}

//  Have a producer of the queue where the letter died.

static int
s_go_home (dead_t *self, const char home[NAME_MAX_BYTES + 2])
{
    if (self->producer && strcmp (self->home, home) == 0) {
        return CLI_DONE;
    }
    const int code = s_end_batch (self);
    tern_producer_close (&self->producer);
    memcpy (self->home, home, sizeof self->home);
    char why[256] = "";
    const int rc = tern_producer_open (&self->producer, self->peer, home, why,
                                       sizeof why);
    return rc ? cli_fail_tern (rc, home, why) : code;
}

//  A large body is sent from here: its letter may go then.

typedef struct {
    dead_t *dead;
    const tern_msg_t *letter;
    uint64_t offset;
} reading_t;

static int64_t
s_read (void *arg, void *buffer, size_t size)
{
    reading_t *reading = arg;
    size_t got = 0;
    const int rc = cli_large_fetch (reading->dead->peer, reading->letter,
                                    reading->offset, buffer, size, &got);
    reading->offset += got;
    return rc == TERN_OK ? (int64_t) got : rc;
}

static int
s_send (dead_t *self, const tern_msg_t *letter, const tern_msg_t *again)
{
    if (tern_large_size (letter)) {
        reading_t reading = {self, letter, 0};
        return tern_large_send (self->producer, again, s_read, &reading, -1,
                                &self->last_seq);
    }
    int rc;
    do {
        rc = tern_producer_send_msg (self->producer, again, SLICE_MS,
                                     &self->last_seq);
    } while (rc == TERN_ETIMEOUT && !cli_stop_asked ());
    return rc;
}

static int
s_replay (dead_t *self, tern_msg_t *letter)
{
    char home[sizeof self->home];
    cli_letter_header (letter, "tern.dead.queue", home, sizeof home);
    tern_msg_t *again = tern_msg_replay (letter);
    if (!again) {
        return cli_fail (CLI_FAILED, "%s: no dead letter",
                         tern_msg_id (letter));
    }
    int code = s_go_home (self, home);
    if (code == CLI_DONE) {
        const int rc = s_send (self, letter, again);
        if (rc == TERN_OK) {
            self->batch[self->batched++] = tern_msg_dup (letter);
        } else if (rc == TERN_ETIMEOUT) {
            code = CLI_FAILED;
        } else {
            code = cli_fail_tern (rc, home, NULL);
        }
    }
    tern_msg_destroy (&again);
    if (code == CLI_DONE && self->batched == BATCH) {
        code = s_end_batch (self);
    }
    return code;
}

//  Whoever consumes the queue gets what was replayed while we are still here.

static void
s_linger (dead_t *self)
{
    const int64_t until_ms = cli_clock_ms () + (int64_t) self->timeout_ms;
    while (self->producer && self->last_seq > 0 && !cli_stop_asked ()
           && cli_clock_ms () < until_ms
           && tern_producer_wait (self->producer, self->last_seq,
                                  TERN_PROCESSED, SLICE_MS)
                  == TERN_ETIMEOUT) {
        cli_progress ("%s: waiting for a consumer", self->home);
    }
    cli_progress_end ();
}

//  Going through the letters -------------------------------------------------

//  Is it one of those chosen?  It may be called by its own id too.

static bool
s_chosen (dead_t *self, tern_msg_t *letter)
{
    char id[256];
    cli_letter_header (letter, "tern.dead.id", id, sizeof id);
    bool chosen = self->id_count == 0;
    for (size_t index = 0; index < self->id_count; index++) {
        if (strcmp (self->ids[index], id) == 0
            || strcmp (self->ids[index], tern_msg_id (letter)) == 0) {
            self->found[index] = true;
            chosen = true;
        }
    }
    return chosen;
}

//  Is there nothing left to look for?

static bool
s_complete (const dead_t *self)
{
    size_t missing = 0;
    for (size_t index = 0; index < self->id_count; index++) {
        missing += !self->found[index];
    }
    return self->id_count > 0 && missing == 0;
}

//  Wait for a letter as long as one may still come.

static bool
s_wait (const dead_t *self)
{
    struct pollfd items[] = {
        {.fd = cli_stop_fd (), .events = POLLIN},
        {.fd = tern_consumer_fd (self->consumer), .events = POLLIN},
    };
    return poll (items, 2, (int) self->idle_ms) > 0 && !cli_stop_asked ();
}

static int
s_each_letter (dead_t *self)
{
    int worst = CLI_DONE;
    uint64_t held = 0;
    while (!cli_stop_asked () && !s_complete (self) && held < HOLD_MESSAGES) {
        tern_msg_t *letter = tern_consumer_recv (self->consumer, 0);
        if (!letter) {
            cli_progress ("%s: %" PRIu64 " dead letters", self->letters, held);
            if (!s_wait (self)) {
                break;
            }
            continue;
        }
        held++;
        if (s_chosen (self, letter)) {
            self->seen++;
            const int code = self->fn (self, letter);
            worst = code > worst ? code : worst;
        }
    }
    const int code = s_end_batch (self);
    worst = code > worst ? code : worst;
    if (held == HOLD_MESSAGES) {
        cli_note ("%s: only the first %d were looked at", self->letters,
                  HOLD_MESSAGES);
    }
    for (size_t index = 0; index < self->id_count && !cli_stop_asked ();
         index++) {
        if (!self->found[index]) {
            worst = cli_fail (CLI_FAILED,
                              "%s: no such dead letter; see tern dead ls %s",
                              self->ids[index], self->queue);
        }
    }
    return cli_stop_asked () && worst == CLI_DONE ? CLI_FAILED : worst;
}

static int
s_print (dead_t *self, int code)
{
    if (self->seen == 0 && self->id_count == 0 && code == CLI_DONE) {
        cli_note ("%s: no dead letters", self->queue);
    }
    cli_progress_end ();
    cli_table_print (&self->table);
    const int ended = cli_output_end (&self->output);
    return code == CLI_DONE ? ended : code;
}

static int
s_run (dead_t *self)
{
    int code = cli_seat_open (&self->peer, &self->common, "dead");
    if (code != CLI_DONE) {
        return code;
    }
    cli_gone_open (&self->gone, &self->common, self->letters);
    const tern_consumer_options_t options
        = {.prefetch = HOLD_MESSAGES, .prefetch_bytes = HOLD_BYTES};
    const int rc = tern_consumer_open (&self->consumer, self->peer,
                                       self->letters, &options);
    code = rc ? cli_fail_tern (rc, self->letters, NULL) : s_each_letter (self);
    if (rc == TERN_OK && tern_consumer_flush (self->consumer, FLUSH_MS)) {
        cli_note ("%s: a publisher did not hear in time; what was settled "
                  "there may still be seen",
                  self->letters);
    }
    tern_consumer_close (&self->consumer);
    code = s_print (self, code);
    cli_gone_close (&self->gone);
    s_linger (self);
    tern_producer_close (&self->producer);

    char data[4096];
    snprintf (data, sizeof data, "%s", tern_peer_data (self->peer));
    const uint64_t left = cli_seat_close (&self->peer);
    if (left > 0 && self->last_seq > 0) {
        cli_text_t text;
        cli_note ("%s replayed, not yet delivered, kept in %s; the next peer "
                  "of that name delivers it, or: tern drain %s",
                  cli_format_count (&text, left), data, data);
    }
    return code;
}

//  Entry ---------------------------------------------------------------------

//  The dead letters of a queue; a queue of dead letters may be named itself.

static int
s_name_letters (dead_t *self)
{
    const size_t size = strlen (self->queue);
    const size_t suffix = strlen (SUFFIX);
    const bool named
        = size > suffix && strcmp (self->queue + size - suffix, SUFFIX) == 0;
    if (size + (named ? 0 : suffix) > NAME_MAX_BYTES) {
        return cli_fail (CLI_USAGE,
                         "%s: too long for a " SUFFIX " behind it; name its "
                         "queue of dead letters, see tern outbox ls",
                         self->queue);
    }
    snprintf (self->letters, sizeof self->letters, "%s%s", self->queue,
              named ? "" : SUFFIX);
    return CLI_DONE;
}

static int
s_choose (dead_t *self, const char *verb)
{
    static const struct {
        const char *verb;
        dead_fn *fn;
        bool changes;
    } verbs[] = {{"ls", s_list, false},
                 {"show", s_show, false},
                 {"replay", s_replay, true},
                 {"drop", s_drop, true}};
    for (size_t index = 0; index < sizeof verbs / sizeof *verbs; index++) {
        if (strcmp (verb, verbs[index].verb) != 0) {
            continue;
        }
        self->fn = verbs[index].fn;
        if (verbs[index].changes && self->id_count == 0 && !self->all) {
            return cli_fail (CLI_USAGE, "%s: name the letters, or --all", verb);
        }
        if (self->all && self->id_count > 0) {
            return cli_fail (CLI_USAGE, "ID and --all: choose one of them");
        }
        return s_name_letters (self);
    }
    return cli_fail (CLI_USAGE, "%s: not ls, show, replay or drop", verb);
}

int
cli_dead (int argc, char **argv)
{
    dead_t self = {.idle_ms = 500, .timeout_ms = 2000};
    const cli_option_t options[] = {
        {"all", 0, CLI_FLAG, &self.all, NULL, "every letter", 0, 0},
        {"idle", 0, CLI_NUMBER, &self.idle_ms, "MS",
         "nothing for so long: that was all (500)", 1, INT32_MAX},
        {"timeout", 't', CLI_NUMBER, &self.timeout_ms, "MS",
         "replay: stay for a consumer so long (2000)", 0, INT32_MAX},
    };
    const cli_usage_t usage = {
        .name = "dead",
        .synopsis = "ls|show|replay|drop QUEUE [ID]...",
        .summary = "Look at dead letters, send them again, drop them.",
        .text = "QUEUE is where they died; ID is that of the message.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .operands_min = 2,
        .operands_max = SIZE_MAX,
        .missing = "say what to do, and name the queue",
    };
    size_t operands = 0;
    int code = cli_parse (&usage, &self.common, argc, argv, &operands);
    if (code != CLI_PARSED) {
        return code;
    }
    self.queue = argv[2];
    self.ids = argv + 3;
    self.id_count = operands - 2;
    code = s_choose (&self, argv[1]);
    if (code != CLI_DONE) {
        return code;
    }
    self.found = calloc (self.id_count + 1, sizeof *self.found);
    if (!self.found) {
        abort ();
    }
    cli_letter_table (&self.table);
    cli_output_init (&self.output);
    code = s_run (&self);
    free (self.found);
    return code;
}
