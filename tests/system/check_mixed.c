//  tests/system/check_mixed.c - judge what kill_mixed wrote
//
//      check_mixed FOLDER
//
//  Reads the logs of all processes (mixed.h) in order of time.  These must be 0:
//
//      lost        confirmed, and not accepted: by a consumer of "keyed", by
//                  every subscriber whose topic it is, by nobody and no dead
//                  letter of "doomed"; a request that nobody was given
//      again       given to the process that had accepted it in this life
//      overtaken   a keyed message given out before an older one of its key and
//                  publisher was accepted
//      strayed     a subscriber got what is not its topic
//      spared      a dead letter that tells of fewer deliveries than its queue
//                  allows, or a doomed message given out more often
//      unanswered  a request of a publisher's last life without a reply
//      left        unsettled when a publisher had drained
//      damaged     payloads that nobody has sent, lines that nobody can read
//
//  Exit status: 0 all zero, 1 not, 2 usage or unreadable.
//
//  SPDX-License-Identifier: MPL-2.0

#include "mixed.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PUBLISHERS 8
#define NAME_MAX_ 32
#define SHOWN_MAX 20

//  Who may have a payload: the queue it was sent to, or the subscribers.
#define SLOTS (MIXED_SUBSCRIBERS + 1)
#define DEAD 0  //  of a doomed one: its dead letter

typedef struct {
    int64_t got_ns, accept_ns;           //  the first time; 0 never
    char last_accepted[NAME_MAX_ + 12];  //  process and life
    bool accepted;
} slot_t;

typedef struct {
    bool tried, sent, confirmed, served, replied;
    mixed_kind_t kind;
    uint64_t seq;
    uint32_t life;  //  of its publisher
    uint32_t given;
    slot_t slots[SLOTS];
} payload_t;

typedef struct {
    char name[NAME_MAX_];
    payload_t *payloads;  //  by n
    uint64_t count;
    uint64_t looked[MIXED_KINDS];  //  payloads below were confirmed, or lost
    uint32_t life;
} publisher_t;

typedef struct {
    int64_t ns;
    char *words;  //  what follows the time; owned
} line_t;

typedef struct {
    line_t *lines;
    size_t count, capacity;
    publisher_t publishers[PUBLISHERS];
    size_t publisher_count;
    uint64_t lost, again, overtaken, strayed, spared, unanswered, left, damaged;
    uint64_t sent, confirmed, got, accepted, dead, asked, replied;
    unsigned shown;
} judge_t;

static void *
s_grow (void *memory, size_t size)
{
    void *grown = realloc (memory, size);
    if (!grown) {
        fprintf (stderr, "check_mixed: no memory\n");
        exit (2);
    }
    return grown;
}

static void
s_count (judge_t *self, uint64_t *counter, const char *what,
         const char *publisher, uint64_t n, const char *who)
{
    ++*counter;
    if (self->shown++ < SHOWN_MAX) {
        printf ("  %s: %s payload %" PRIu64 " %s\n", what, publisher, n, who);
    }
}

//  Reading -------------------------------------------------------------------

static void
s_read_file (judge_t *self, const char *path)
{
    FILE *file = fopen (path, "r");
    char text[400];
    while (file && fgets (text, sizeof text, file)) {
        char *end = NULL;
        const int64_t ns = strtoll (text, &end, 10);
        text[strcspn (text, "\n")] = '\0';
        if (self->count == self->capacity) {
            self->capacity = self->capacity ? self->capacity * 2 : 4096;
            self->lines
                = s_grow (self->lines, self->capacity * sizeof *self->lines);
        }
        char *words = s_grow (NULL, strlen (end) + 1);
        strcpy (words, end);
        self->lines[self->count++] = (line_t) {ns, words};
    }
    if (!file || fclose (file)) {
        perror (path);
        exit (2);
    }
}

static bool
s_read_folder (judge_t *self, const char *folder)
{
    DIR *dir = opendir (folder);
    const struct dirent *entry;
    while (dir && (entry = readdir (dir))) {
        const char *dot = strrchr (entry->d_name, '.');
        if (dot && strcmp (dot, ".mixed") == 0) {
            char path[1024];
            snprintf (path, sizeof path, "%s/%s", folder, entry->d_name);
            s_read_file (self, path);
        }
    }
    if (dir) {
        closedir (dir);
    }
    return dir && self->count;
}

static int
s_by_time (const void *left, const void *right)
{
    const line_t *a = left;
    const line_t *b = right;
    return a->ns < b->ns ? -1 : a->ns > b->ns;
}

//  Finding -------------------------------------------------------------------

static publisher_t *
s_publisher (judge_t *self, const char *name)
{
    for (size_t index = 0; index < self->publisher_count; index++) {
        if (strcmp (self->publishers[index].name, name) == 0) {
            return &self->publishers[index];
        }
    }
    if (self->publisher_count == PUBLISHERS) {
        fprintf (stderr, "check_mixed: over %d publishers\n", PUBLISHERS);
        exit (2);
    }
    publisher_t *added = &self->publishers[self->publisher_count++];
    snprintf (added->name, sizeof added->name, "%s", name);
    return added;
}

static payload_t *
s_payload (publisher_t *publisher, uint64_t n)
{
    while (publisher->count <= n) {
        const uint64_t count = publisher->count ? publisher->count * 2 : 1024;
        publisher->payloads
            = s_grow (publisher->payloads, count * sizeof *publisher->payloads);
        memset (publisher->payloads + publisher->count, 0,
                (count - publisher->count) * sizeof *publisher->payloads);
        publisher->count = count;
    }
    return &publisher->payloads[n];
}

static mixed_kind_t
s_kind (const char *name)
{
    unsigned kind = 0;
    while (kind < MIXED_ECHO
           && strcmp (mixed_name ((mixed_kind_t) kind), name)) {
        kind++;
    }
    return (mixed_kind_t) kind;
}

static unsigned
s_slot (const char *queue)
{
    return strncmp (queue, "sub-", 4) == 0 ? (unsigned) atoi (queue + 4) : 0;
}

static bool
s_wants (unsigned slot, uint64_t n)
{
    return slot == 1 || (slot == 2 && n % 2 == 0) || (slot == 3 && n % 2);
}

//  Walking -------------------------------------------------------------------

static void
s_on_got (judge_t *self, int64_t ns, const char *who, const char *queue,
          const char *from, uint64_t n)
{
    payload_t *payload = s_payload (s_publisher (self, from), n);
    const unsigned slot = s_slot (queue);
    self->got++;
    if (!payload->tried || slot >= SLOTS) {
        s_count (self, &self->damaged, "damaged", from, n, who);
        return;
    }
    if (strcmp (queue, "doomed") == 0) {
        if (++payload->given > MIXED_DELIVERIES) {
            s_count (self, &self->spared, "spared", from, n, who);
        }
        return;
    }
    if (slot && !s_wants (slot, n)) {
        s_count (self, &self->strayed, "strayed", from, n, who);
    }
    slot_t *one = &payload->slots[slot];
    one->got_ns = one->got_ns ? one->got_ns : ns;
    if (strcmp (one->last_accepted, who) == 0) {
        s_count (self, &self->again, "again", from, n, who);
    }
}

static void
s_on_accept (judge_t *self, int64_t ns, const char *who, const char *queue,
             const char *from, uint64_t n, bool done)
{
    slot_t *one = &s_payload (s_publisher (self, from), n)
                       ->slots[s_slot (queue) % SLOTS];
    one->accept_ns = one->accept_ns ? one->accept_ns : ns;
    if (done) {
        self->accepted += !one->accepted;
        one->accepted = true;
        snprintf (one->last_accepted, sizeof one->last_accepted, "%s", who);
    }
}

//  What this life has sent up to this seq.  Numbers of an earlier one, which its
//  end may have taken, are below, too.
static void
s_confirm (publisher_t *publisher, uint32_t life, mixed_kind_t kind,
           uint64_t seq)
{
    for (uint64_t n = publisher->looked[kind]; n < publisher->count; n++) {
        payload_t *payload = &publisher->payloads[n];
        if (payload->kind != kind || !payload->sent) {
            continue;
        }
        if (payload->life == life && payload->seq > seq) {
            return;
        }
        payload->confirmed = payload->life == life;
        publisher->looked[kind] = n + 1;
    }
}

static void
s_on_publisher (judge_t *self, const char *process, uint32_t life,
                const char *op, const char *rest)
{
    publisher_t *publisher = s_publisher (self, process);
    char name[16] = "";
    uint64_t n = 0;
    uint64_t seq = 0;
    sscanf (rest, "%15s %" SCNu64 " %" SCNu64, name, &n, &seq);
    const mixed_kind_t kind = s_kind (name);
    publisher->life = life > publisher->life ? life : publisher->life;
    if (strcmp (op, "synced") == 0) {
        s_confirm (publisher, life, kind, n);
        return;
    }
    payload_t *payload = s_payload (publisher, n);
    payload->kind = kind;
    if (strcmp (op, "try") == 0) {
        payload->tried = true;
        payload->life = life;
    } else if (strcmp (op, "reply") == 0) {
        self->replied += !payload->replied;
        payload->replied = true;
    } else {
        payload->sent = true;
        payload->seq = seq;
        self->sent += kind != MIXED_ECHO;
        self->asked += kind == MIXED_ECHO;
    }
}

static void
s_on_line (judge_t *self, const line_t *line)
{
    char process[NAME_MAX_], op[16], queue[16], from[NAME_MAX_];
    char who[NAME_MAX_ + 12];
    uint32_t life = 0;
    uint64_t n = 0;
    uint64_t more = 0;
    int used = 0;
    if (sscanf (line->words, " %31s %" SCNu32 " %15s %n", process, &life, op,
                &used)
        != 3) {
        self->damaged++;
        return;
    }
    const char *rest = line->words + used;
    snprintf (who, sizeof who, "%s/%" PRIu32, process, life);
    if (strcmp (op, "got") == 0
        && sscanf (rest, "%15s %31s %" SCNu64, queue, from, &n) == 3) {
        s_on_got (self, line->ns, who, queue, from, n);
    } else if (strncmp (op, "accept", 6) == 0
               && sscanf (rest, "%15s %31s %" SCNu64, queue, from, &n) == 3) {
        s_on_accept (self, line->ns, who, queue, from, n, op[6] != '\0');
    } else if (strcmp (op, "dead") == 0) {
        const int read
            = sscanf (rest, "%31s %" SCNu64 " %" SCNu64, from, &n, &more);
        self->dead++;
        if (read != 3 || more != MIXED_DELIVERIES) {
            s_count (self, &self->spared, "spared", from, n, rest);
        }
    } else if (strcmp (op, "serve") == 0
               && sscanf (rest, "%31s %" SCNu64, from, &n) == 2) {
        s_payload (s_publisher (self, from), n)->served = true;
    } else if (strcmp (op, "left") == 0) {
        self->left += strtoull (rest, NULL, 10);
    } else if (strcmp (op, "damaged") == 0) {
        s_count (self, &self->damaged, "damaged", rest, 0, who);
    } else {
        s_on_publisher (self, process, life, op, rest);
    }
}

//  The sum -------------------------------------------------------------------

//  Was it confirmed, and is there somebody who should have it and has not?
static void
s_check_payload (judge_t *self, const publisher_t *publisher, uint64_t n)
{
    const payload_t *payload = &publisher->payloads[n];
    if (payload->kind == MIXED_ECHO) {
        if (payload->sent && !payload->served) {
            s_count (self, &self->lost, "lost", publisher->name, n, "request");
        }
        if (payload->sent && !payload->replied
            && payload->life == publisher->life) {
            s_count (self, &self->unanswered, "unanswered", publisher->name, n,
                     "");
        }
        return;
    }
    if (!payload->confirmed) {
        return;
    }
    self->confirmed++;
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        const bool wanted
            = payload->kind == MIXED_NEWS ? s_wants (slot, n) : slot == DEAD;
        //  Who was killed at that moment may not have written that it is done.
        if (wanted && !payload->slots[slot].accept_ns) {
            s_count (self, &self->lost, "lost", publisher->name, n,
                     mixed_name (payload->kind));
        }
    }
}

static void
s_check_keys (judge_t *self, const publisher_t *publisher)
{
    const payload_t *before[16] = {NULL};
    for (uint64_t n = 1; n < publisher->count; n++) {
        const payload_t *payload = &publisher->payloads[n];
        const slot_t *slot = &payload->slots[0];
        if (payload->kind != MIXED_KEYED || !slot->got_ns) {
            continue;
        }
        const payload_t **older = &before[mixed_key (n)];
        if (*older
            && (!(*older)->slots[0].accept_ns
                || (*older)->slots[0].accept_ns > slot->got_ns)) {
            s_count (self, &self->overtaken, "overtaken", publisher->name, n,
                     "");
        }
        *older = payload;
    }
}

static int
s_judge (judge_t *self)
{
    qsort (self->lines, self->count, sizeof *self->lines, s_by_time);
    for (size_t index = 0; index < self->count; index++) {
        s_on_line (self, &self->lines[index]);
    }
    for (size_t index = 0; index < self->publisher_count; index++) {
        const publisher_t *publisher = &self->publishers[index];
        for (uint64_t n = 1; n < publisher->count; n++) {
            if (publisher->payloads[n].tried) {
                s_check_payload (self, publisher, n);
            }
        }
        s_check_keys (self, publisher);
    }
    const uint64_t rows[]
        = {self->sent,  self->confirmed,  self->got,     self->accepted,
           self->dead,  self->asked,      self->replied, self->lost,
           self->again, self->overtaken,  self->strayed, self->spared,
           self->left,  self->unanswered, self->damaged};
    static const char *const names[]
        = {"sent",    "confirmed", "delivered", "accepted",   "dead",
           "asked",   "replied",   "lost",      "again",      "overtaken",
           "strayed", "spared",    "left",      "unanswered", "damaged"};
    uint64_t wrong = 0;
    for (size_t index = 0; index < sizeof rows / sizeof *rows; index++) {
        printf ("  %-11s %10" PRIu64 "%s\n", names[index], rows[index],
                index > 6 ? "  must be 0" : "");
        wrong += index > 6 ? rows[index] : 0;
    }
    if (!self->confirmed || !self->dead || !self->replied) {
        printf ("  too little has happened: no verdict\n");
        return 1;
    }
    return wrong > 0;
}

int
main (int argc, char **argv)
{
    static judge_t self;
    if (argc != 2 || !s_read_folder (&self, argv[1])) {
        fprintf (stderr, "usage: check_mixed FOLDER\n");
        return 2;
    }
    const int failed = s_judge (&self);
    for (size_t index = 0; index < self.count; index++) {
        free (self.lines[index].words);
    }
    free (self.lines);
    for (size_t index = 0; index < self.publisher_count; index++) {
        free (self.publishers[index].payloads);
    }
    return failed;
}
