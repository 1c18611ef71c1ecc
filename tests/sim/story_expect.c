//  sim/story_expect.c - a test told in text: what must be true
//
//  Knows: the claims.  Each names a peer first, then what is claimed of it.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sim/story.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
s_broken (story_t *story, const story_line_t *line, const char *found)
{
    sim_fail (&story->world, "%s:%u: %s %s: %s", story->path, line->number,
              line->words[0], line->words[1], found);
}

//  b receives "one" *"two": exactly these, in this order; * = flagged as
//  redelivered.  b receives 5: so many.  b receives any "one" "two": these, in
//  any order, flagged or not.
static void
s_receives (story_t *story, const story_line_t *line, const sim_peer_t *peer)
{
    char found[400];
    if (line->count == 3 && line->words[2][0] >= '0'
        && line->words[2][0] <= '9') {
        if (peer->received_count != strtoull (line->words[2], NULL, 10)) {
            snprintf (found, sizeof found, "it was %zu", peer->received_count);
            s_broken (story, line, found);
        }
        return;
    }
    const bool any = story_has (line, "any");
    const unsigned first = any ? 3 : 2;
    bool good = peer->received_count == line->count - first;
    for (unsigned index = first; good && index < line->count; index++) {
        const char *word = line->words[index];
        char wanted[300];
        snprintf (wanted, sizeof wanted, "%s%s", *word == '*' ? "*" : "",
                  story_text (*word == '*' ? word + 1 : word));
        if (!any) {
            good = strcmp (peer->received[index - first], wanted) == 0;
            continue;
        }
        good = false;
        for (size_t at = 0; at < peer->received_count; at++) {
            const char *got = peer->received[at];
            good = good || strcmp (*got == '*' ? got + 1 : got, wanted) == 0;
        }
    }
    if (!good) {
        size_t used = (size_t) snprintf (found, sizeof found, "it was");
        for (size_t at = 0; at < peer->received_count && used < 360; at++) {
            used += (size_t) snprintf (found + used, sizeof found - used,
                                       " %.30s", peer->received[at]);
        }
        s_broken (story, line, found);
    }
}

//  a settled hello 1..3, a unsettled hello 2..2
static void
s_settled (story_t *story, const story_line_t *line, sim_peer_t *peer)
{
    const bool wanted = strcmp (line->words[1], "settled") == 0;
    const sim_outbox_t *outbox
        = line->count == 4 ? story_outbox (story, line, peer, line->words[2])
                           : NULL;
    if (!outbox || !peer->up) {
        story_mistake (story, line, "PEER settled QUEUE FROM..TO");
        return;
    }
    char *rest = NULL;
    const uint64_t from = strtoull (line->words[3], &rest, 10);
    const uint64_t to
        = strncmp (rest, "..", 2) == 0 ? strtoull (rest + 2, NULL, 10) : from;
    for (uint64_t seq = from; seq <= to; seq++) {
        if (trn_engine_settled (peer->engine, outbox->id, seq) != wanted) {
            char found[60];
            snprintf (found, sizeof found, "%" PRIu64 " is%s", seq,
                      wanted ? " not" : "");
            s_broken (story, line, found);
            return;
        }
    }
}

//  name=5, name>=5 or name<=5 against a number
static bool
s_holds (const char *word, const char *name, uint64_t number, bool *known_p)
{
    const size_t length = strlen (name);
    if (strncmp (word, name, length)
        || !strchr ("<>=", word[length] ? word[length] : 'x')) {
        return true;
    }
    *known_p = true;
    const char *sign = word + length;
    const uint64_t wanted = strtoull (sign + strspn (sign, "<>="), NULL, 10);
    return *sign == '>'   ? number >= wanted
           : *sign == '<' ? number <= wanted
                          : number == wanted;
}

static void
s_check_numbers (story_t *story, const story_line_t *line, unsigned first,
                 const char *const *names, const uint64_t *numbers,
                 size_t count)
{
    for (unsigned at = first; at < line->count; at++) {
        bool known = false;
        for (size_t index = 0; index < count; index++) {
            if (!s_holds (line->words[at], names[index], numbers[index],
                          &known)) {
                char found[100];
                snprintf (found, sizeof found, "%s is %" PRIu64, names[index],
                          numbers[index]);
                s_broken (story, line, found);
                return;
            }
        }
        if (!known) {
            story_mistake (story, line, "no such number");
        }
    }
}

//  a outbox hello low=3 parked=1: numbers of trn_engine_outbox_stats ()
static void
s_outbox (story_t *story, const story_line_t *line, sim_peer_t *peer)
{
    const sim_outbox_t *outbox
        = line->count > 2 ? story_outbox (story, line, peer, line->words[2])
                          : NULL;
    if (!outbox || !peer->up) {
        return;
    }
    trn_engine_outbox_stats_t stats;
    trn_engine_outbox_stats (peer->engine, outbox->id, &stats);
    static const char *const names[]
        = {"transmitted", "consumed", "redelivered", "requeued", "rejected",
           "released",    "stale",    "dropped",     "waiting",  "in_flight",
           "parked",      "low",      "consumers",   "expired",  "dead",
           "delayed",     "ruled"};
    const uint64_t numbers[] = {
        stats.transmitted, stats.consumed,  stats.redelivered, stats.requeued,
        stats.rejected,    stats.released,  stats.stale,       stats.dropped,
        stats.waiting,     stats.in_flight, stats.parked,      stats.low,
        stats.consumers,   stats.expired,   stats.dead,        stats.delayed,
        stats.ruled};
    s_check_numbers (story, line, 3, names, numbers,
                     sizeof numbers / sizeof *numbers);
}

//  b engine duplicates=2: numbers of trn_engine_stats ()
static void
s_engine (story_t *story, const story_line_t *line, const sim_peer_t *peer)
{
    trn_engine_stats_t stats;
    trn_engine_stats (peer->engine, &stats);
    static const char *const names[]
        = {"links_open", "links",   "routes",  "received", "delivered",
           "duplicates", "unknown", "garbage", "late"};
    const uint64_t numbers[]
        = {stats.links_open, stats.links,     stats.routes,
           stats.received,   stats.delivered, stats.duplicates,
           stats.unknown,    stats.garbage,   stats.late};
    s_check_numbers (story, line, 2, names, numbers,
                     sizeof numbers / sizeof *numbers);
}

//  a-b sent DATA=2: frames from a to b
static void
s_sent (story_t *story, const story_line_t *line)
{
    sim_peer_t *from = NULL;
    sim_peer_t *to = NULL;
    if (!story_pair (story, line, line->words[0], '-', &from, &to)) {
        return;
    }
    for (unsigned type = TRN_HELLO; type <= TRN_FRAME_LAST; type++) {
        const char *name = trn_frame_name ((trn_frame_type_t) type);
        const uint64_t number = sim_net_sent (story->world.net, from, to,
                                              (trn_frame_type_t) type);
        bool known = false;
        if (!s_holds (line->words[2], name, number, &known)) {
            char found[60];
            snprintf (found, sizeof found, "%s is %" PRIu64, name, number);
            s_broken (story, line, found);
        }
    }
}

static void
s_reports (story_t *story, const story_line_t *line, const sim_peer_t *peer)
{
    const bool wanted = strcmp (line->words[1], "reports") == 0;
    for (unsigned at = 2; at < line->count; at++) {
        if ((sim_peer_reported (peer, line->words[at]) > 0) != wanted) {
            s_broken (story, line, wanted ? "it does not" : "it does");
        }
    }
}

//  b holds 3 (now), b peaks 3 (most at a time)
static void
s_holding (story_t *story, const story_line_t *line, const sim_peer_t *peer)
{
    const bool now = strcmp (line->words[1], "holds") == 0;
    size_t total = 0;
    for (unsigned index = 0; index < peer->consumer_count; index++) {
        total += now ? peer->consumers[index].hand_count
                     : peer->consumers[index].hand_peak;
    }
    if (total != strtoull (line->words[2], NULL, 10)) {
        char found[60];
        snprintf (found, sizeof found, "it is %zu", total);
        s_broken (story, line, found);
    }
}

void
story_expect (story_t *story, const story_line_t *line)
{
    if (line->count < 3) {
        story_mistake (story, line, "a claim needs three words");
        return;
    }
    const char *verb = line->words[1];
    if (strcmp (verb, "sent") == 0) {
        s_sent (story, line);
        return;
    }
    if (strcmp (line->words[0], "all") == 0) {
        //  all open 0: messages that nobody accepted
        const uint64_t open = sim_ledger_open (story->world.ledger);
        if (open != strtoull (line->words[2], NULL, 10)) {
            char found[60];
            snprintf (found, sizeof found, "it is %" PRIu64, open);
            s_broken (story, line, found);
        }
        return;
    }
    sim_peer_t *peer = story_peer (story, line, line->words[0]);
    if (!peer) {
        return;
    }
    if (strcmp (verb, "receives") == 0) {
        s_receives (story, line, peer);
    } else if (strcmp (verb, "settled") == 0
               || strcmp (verb, "unsettled") == 0) {
        s_settled (story, line, peer);
    } else if (strcmp (verb, "outbox") == 0) {
        s_outbox (story, line, peer);
    } else if (strcmp (verb, "engine") == 0) {
        s_engine (story, line, peer);
    } else if (strcmp (verb, "reports") == 0 || strcmp (verb, "silent") == 0) {
        s_reports (story, line, peer);
    } else if (strcmp (verb, "holds") == 0 || strcmp (verb, "peaks") == 0) {
        s_holding (story, line, peer);
    } else {
        story_mistake (story, line, "no such claim");
    }
}
