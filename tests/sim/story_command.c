//  sim/story_command.c - a test told in text: what happens
//
//  Knows: the verbs.  Each is one function; the table at the end names them.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sim/story.h"

#include "base/memory.h"
#include "support/disk_faulty.h"
#include "support/disk_memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

//  Peers ------------------------------------------------------------------

static sim_peer_t *
s_new_peer (story_t *story, const char *label, const char *name)
{
    sim_peer_t *peer = sim_peer_new (&story->world, name);
    snprintf (story->labels[peer->index], sizeof story->labels[0], "%s", label);
    peer->keep_texts = true;
    peer->timing.save_ms = 50;
    peer->timing.backoff_max_ms = 500;
    peer->logging.segment_min = 16384;
    peer->logging.segment_max = 65536;
    return peer;
}

static void
s_peers (story_t *story, const story_line_t *line)
{
    for (unsigned index = 1; index < line->count; index++) {
        const sim_peer_t *peer
            = s_new_peer (story, line->words[index], line->words[index]);
        story->spare[peer->index] = strcmp (line->words[0], "spare") == 0;
    }
}

static void
s_start (story_t *story, const story_line_t *line)
{
    for (unsigned index = 1; index < line->count; index++) {
        sim_peer_t *peer = story_peer (story, line, line->words[index]);
        if (peer && !peer->up && !sim_peer_start (peer)) {
            story_mistake (story, line, "the peer does not start");
        }
    }
}

static void
s_end (story_t *story, const story_line_t *line)
{
    const sim_end_t end = strcmp (line->words[0], "stop") == 0   ? SIM_STOP
                          : strcmp (line->words[0], "kill") == 0 ? SIM_KILL
                                                                 : SIM_CRASH;
    for (unsigned index = 1; index < line->count; index++) {
        sim_peer_t *peer = story_peer (story, line, line->words[index]);
        if (peer && peer->up) {
            sim_peer_end (peer, end);
        }
    }
}

static void
s_timing (story_t *story, const story_line_t *line)
{
    sim_peer_t *peer = story_peer (story, line, line->words[1]);
    if (!peer) {
        return;
    }
    trn_engine_config_t *timing = &peer->timing;
    timing->hello_ms
        = (uint32_t) story_option (line, "hello", timing->hello_ms);
    timing->ping_ms = (uint32_t) story_option (line, "ping", timing->ping_ms);
    timing->suspect_ms
        = (uint32_t) story_option (line, "suspect", timing->suspect_ms);
    timing->save_ms = (uint32_t) story_option (line, "save", timing->save_ms);
    timing->redeliver_min_ms
        = (uint32_t) story_option (line, "redeliver", timing->redeliver_min_ms);
    peer->logging.reserve
        = (uint32_t) story_option (line, "reserve", peer->logging.reserve);
    peer->logging.kept_max
        = (uint32_t) story_option (line, "kept", peer->logging.kept_max);
}

static void
s_pause (story_t *story, const story_line_t *line)
{
    sim_peer_t *peer = story_peer (story, line, line->words[1]);
    if (peer) {
        peer->paused_until_us
            = story->world.now_us
              + (int64_t) story_option (line, "ms", 1000) * 1000;
    }
}

//  policy a hello max=3 pause=MS ttl=MS drop single: now, or from the start on.
static void
s_policy (story_t *story, const story_line_t *line)
{
    sim_peer_t *peer = story_peer (story, line, line->words[1]);
    sim_outbox_t *outbox
        = line->count > 2 ? story_outbox (story, line, peer, line->words[2])
                          : NULL;
    if (!outbox) {
        return;
    }
    trn_policy_t *policy = &outbox->policy;
    policy->max_deliveries
        = (uint32_t) story_option (line, "max", policy->max_deliveries);
    policy->ttl_ms = story_option (line, "ttl", policy->ttl_ms);
    policy->drop_expired = story_has (line, "drop");
    policy->single = story_has (line, "single");
    const uint64_t pause_ms = story_option (line, "pause", UINT64_MAX);
    if (pause_ms != UINT64_MAX) {
        policy->pause = TRN_PAUSE_FIXED;
        policy->pause_min_ms = (uint32_t) pause_ms;
    }
    if (peer->up) {
        trn_engine_set_policy (peer->engine, outbox->id, 0, policy,
                               sim_peer_now (peer));
        sim_ledger_rule (story->world.ledger, outbox->stream, policy);
        sim_peer_drain_soon (peer);
    }
}

//  Disks ------------------------------------------------------------------

static void
s_backup (story_t *story, const story_line_t *line)
{
    sim_peer_t *peer = story_peer (story, line, line->words[1]);
    if (!peer) {
        return;
    }
    trn_disk_memory_destroy (&story->backups[peer->index]);
    story->backups[peer->index] = trn_disk_memory_copy (peer->memory);
    for (unsigned index = 0; index < peer->outbox_count; index++) {
        const sim_outbox_t *outbox = &peer->outboxes[index];
        story->backup_written[peer->index][index]
            = outbox->log ? trn_log_written (outbox->log) : outbox->appended;
    }
}

static void
s_restore (story_t *story, const story_line_t *line)
{
    sim_peer_t *peer = story_peer (story, line, line->words[1]);
    if (!peer || peer->up || !story->backups[peer->index]) {
        story_mistake (story, line, "needs a peer that is down and a backup");
        return;
    }
    sim_peer_set_disk (peer, story->backups[peer->index]);
    story->world.put_back = true;
    story->backups[peer->index] = NULL;
    peer->ended = SIM_KILL;
    for (unsigned index = 0; index < peer->outbox_count; index++) {
        peer->outboxes[index].stream = sim_ledger_fork (
            story->world.ledger, peer->outboxes[index].stream,
            story->backup_written[peer->index][index]);
    }
}

static void
s_lose (story_t *story, const story_line_t *line)
{
    sim_peer_t *peer = story_peer (story, line, line->words[1]);
    if (peer && !peer->up) {
        sim_peer_lose_disk (peer);
    }
}

//  clone a as a2: another process with a copy of a's disk and a's name.
static void
s_clone (story_t *story, const story_line_t *line)
{
    sim_peer_t *peer = story_peer (story, line, line->words[1]);
    if (!peer || line->count < 4) {
        story_mistake (story, line, "clone PEER as LABEL");
        return;
    }
    sim_peer_t *clone = s_new_peer (story, line->words[3], peer->name);
    sim_peer_set_disk (clone, trn_disk_memory_copy (peer->memory));
    story->world.put_back = true;
    trn_disk_memory_kill (clone->memory);
    clone->ended = SIM_KILL;
    for (unsigned index = 0; index < peer->outbox_count; index++) {
        const sim_outbox_t *original = &peer->outboxes[index];
        if (original->source) {
            continue;
        }
        sim_outbox_t *twin = sim_peer_add_outbox (clone, original->queue);
        twin->twin = true;
        twin->stream = sim_ledger_twin (story->world.ledger, original->stream);
    }
}

static void
s_disk (story_t *story, const story_line_t *line)
{
    sim_peer_t *peer = story_peer (story, line, line->words[1]);
    if (!peer || line->count < 3) {
        return;
    }
    if (strcmp (line->words[2], "full") == 0) {
        trn_disk_memory_limit (peer->memory,
                               trn_disk_memory_used (peer->memory));
    } else if (strcmp (line->words[2], "ok") == 0) {
        trn_disk_memory_limit (peer->memory, UINT64_MAX);
    } else if (strcmp (line->words[2], "fails") == 0) {
        trn_disk_faulty_plan (peer->disk, &(trn_disk_fault_t) {
                                              .call = TRN_CALL_FDATASYNC,
                                              .nth = 1,
                                              .error = EIO,
                                          });
    }
}

//  Network and directory --------------------------------------------------

static void
s_add_trigger (story_t *story, const story_line_t *line, const char *pair,
               const char *frame, const char *nth, bool before,
               const char *command)
{
    sim_peer_t *left = NULL;
    sim_peer_t *right = NULL;
    if (story->trigger_count == STORY_TRIGGERS_MAX
        || !story_pair (story, line, pair, '-', &left, &right)) {
        return;
    }
    story_trigger_t *trigger = &story->triggers[story->trigger_count++];
    *trigger = (story_trigger_t) {
        .left = left,
        .right = right,
        .type = story_frame (story, line, frame),
        .left_to_go = strtoull (nth, NULL, 10),
        .before = before,
    };
    snprintf (trigger->command, sizeof trigger->command, "%s", command);
}

static void
s_cut (story_t *story, const story_line_t *line)
{
    sim_peer_t *left = NULL;
    sim_peer_t *right = NULL;
    if (line->count == 5) {
        char command[256];
        snprintf (command, sizeof command, "cut %s", line->words[1]);
        s_add_trigger (story, line, line->words[1], line->words[3],
                       line->words[4], strcmp (line->words[2], "at") == 0,
                       command);
    } else if (story_pair (story, line, line->words[1], '-', &left, &right)) {
        sim_net_cut (story->world.net, left, right);
    }
}

//  when a-b DATA 2 kill b
static void
s_when (story_t *story, const story_line_t *line)
{
    char command[512] = "";
    for (unsigned index = 4; index < line->count; index++) {
        const size_t used = strlen (command);
        snprintf (command + used, sizeof command - used, "%s ",
                  line->words[index]);
    }
    if (line->count > 4) {
        s_add_trigger (story, line, line->words[1], line->words[2],
                       line->words[3], false, command);
    }
}

static void
s_block (story_t *story, const story_line_t *line)
{
    const bool block = line->words[0][0] == 'b';
    sim_peer_t *from = NULL;
    sim_peer_t *to = NULL;
    if (story_pair (story, line, line->words[1], '>', &from, &to)) {
        sim_net_block (story->world.net, from, to, block);
    }
}

static void
s_partition (story_t *story, const story_line_t *line)
{
    sim_peer_t *left = NULL;
    sim_peer_t *right = NULL;
    if (story_pair (story, line, line->words[1], '-', &left, &right)) {
        sim_net_block (story->world.net, left, right, true);
        sim_net_block (story->world.net, right, left, true);
    }
}

static void
s_heal (story_t *story, const story_line_t *line)
{
    (void) line;
    sim_net_heal (story->world.net);
}

static void
s_net (story_t *story, const story_line_t *line)
{
    const sim_net_config_t config = {
        .delay_min_us = (int64_t) story_option (line, "delay", 100),
        .delay_max_us = (int64_t) story_option (line, "delay", 1000),
        .replay_per_mille = (unsigned) story_option (line, "replay", 0),
        .notice_per_mille = (unsigned) story_option (line, "notice", 1000),
    };
    sim_net_configure (story->world.net, &config);
}

static void
s_directory (story_t *story, const story_line_t *line)
{
    sim_directory_set_down (&story->world, story_has (line, "down"));
}

//  Applications -----------------------------------------------------------

static void
s_send (story_t *story, const story_line_t *line)
{
    sim_peer_t *peer = story_peer (story, line, line->words[1]);
    sim_outbox_t *outbox
        = line->count > 2 ? story_outbox (story, line, peer, line->words[2])
                          : NULL;
    if (!outbox || !peer->up) {
        story_mistake (story, line,
                       "send PEER QUEUE TEXT..., from a live peer");
        return;
    }
    const uint64_t many = story_option (line, "n", 0);
    const uint64_t size = story_option (line, "size", 0);
    if (many) {
        outbox->size_max = (uint32_t) size;
        sim_app_produce (outbox, many);
        return;
    }
    const uint64_t wall_ms = sim_peer_wall_ms (peer);
    const uint64_t delay_ms = story_option (line, "delay", 0);
    const uint64_t ttl_ms = story_option (line, "ttl", 0);
    const trn_rule_t rule = {
        .priority = (uint8_t) story_option (line, "priority", 0),
        .due_ms = delay_ms ? wall_ms + delay_ms : 0,
        .expires_ms = ttl_ms ? wall_ms + ttl_ms : 0,
        .order = story_option (line, "key", 0),
    };
    const bool is_ruled
        = rule.priority || rule.due_ms || rule.expires_ms || rule.order;
    for (unsigned index = 3; index < line->count; index++) {
        if (line->words[index][0] != '"') {
            continue;
        }
        const char *text = story_text (line->words[index]);
        if (!sim_app_publish (outbox, text, (uint32_t) strlen (text),
                              is_ruled ? &rule : NULL)
            && !story_has (line, "try")) {
            story_mistake (story, line, "the log does not take it");
        }
    }
}

static sim_consumer_t *
s_consumer (story_t *story, const story_line_t *line, sim_peer_t *peer,
            const char *queue)
{
    for (unsigned index = 0; peer && index < peer->consumer_count; index++) {
        if (!queue || strcmp (peer->consumers[index].queue, queue) == 0) {
            return &peer->consumers[index];
        }
    }
    story_mistake (story, line, "that peer consumes no such queue");
    return NULL;
}

static void
s_consume (story_t *story, const story_line_t *line)
{
    sim_peer_t *peer = story_peer (story, line, line->words[1]);
    if (!peer || line->count < 3) {
        story_mistake (story, line, "consume PEER QUEUE [prefetch=N] [manual]");
        return;
    }
    sim_consumer_t *consumer = sim_peer_add_consumer (
        peer, line->words[2], (uint32_t) story_option (line, "prefetch", 100),
        (uint32_t) story_option (line, "bytes", 1000000));
    consumer->manner.automatic = !story_has (line, "manual");
}

static void
s_leave (story_t *story, const story_line_t *line)
{
    sim_peer_t *peer = story_peer (story, line, line->words[1]);
    sim_consumer_t *consumer = s_consumer (
        story, line, peer, line->count > 2 ? line->words[2] : NULL);
    if (consumer && peer->up) {
        if (strcmp (line->words[0], "leave") == 0) {
            sim_app_leave (consumer);
        } else {
            sim_app_join (consumer);
        }
    }
}

//  look b "one": the application has the message now, so it is not released.
static bool
s_apply (sim_consumer_t *consumer, size_t index, const char *verb)
{
    if (strcmp (verb, "look") == 0) {
        consumer->hands[index].taken = true;
        return false;
    }
    sim_app_settle (consumer, index, 1,
                    strcmp (verb, "accept") == 0    ? TRN_ACCEPTED
                    : strcmp (verb, "requeue") == 0 ? TRN_REQUEUED
                    : strcmp (verb, "reject") == 0  ? TRN_REJECTED
                                                    : TRN_RELEASED);
    return true;
}

static void
s_settle (story_t *story, const story_line_t *line)
{
    sim_peer_t *peer = story_peer (story, line, line->words[1]);
    sim_consumer_t *consumer = s_consumer (story, line, peer, NULL);
    for (unsigned at = 2; consumer && at < line->count; at++) {
        const bool all = strcmp (line->words[at], "all") == 0;
        const char *text = story_text (line->words[at]);
        bool found = all;
        for (size_t index = 0; index < consumer->hand_count;) {
            const bool match
                = all || strcmp (consumer->hands[index].text, text) == 0;
            found = found || match;
            if (!match || !s_apply (consumer, index, line->words[0])) {
                index++;
            } else if (!all) {
                break;
            }
        }
        if (!found) {
            story_mistake (story, line, "the application does not hold that");
        }
    }
}

//  Time -------------------------------------------------------------------

static bool
s_idle (const story_t *story)
{
    if (sim_ledger_open (story->world.ledger)) {
        return false;
    }
    for (unsigned index = 0; index < story->world.peer_count; index++) {
        const sim_peer_t *peer = story->world.peers[index];
        for (unsigned at = 0; peer->up && at < peer->outbox_count; at++) {
            trn_engine_outbox_stats_t stats;
            if (!peer->outboxes[at].log) {
                continue;
            }
            trn_engine_outbox_stats (peer->engine, peer->outboxes[at].id,
                                     &stats);
            if (stats.waiting || stats.in_flight || stats.parked
                || peer->outboxes[at].backlog) {
                return false;
            }
        }
    }
    return true;
}

//  run 500ms, run 3s, run until=idle, run until=b:3 (b received so many)
static void
s_run (story_t *story, const story_line_t *line)
{
    sim_world_t *world = &story->world;
    const char *word = line->count > 1 ? line->words[1] : "";
    if (strncmp (word, "until=", 6)) {
        char *unit = NULL;
        const int64_t number = (int64_t) strtoull (word, &unit, 10);
        sim_run_until (
            world, world->now_us
                       + number * (strcmp (unit, "s") == 0 ? 1000000 : 1000));
        return;
    }
    const bool idle = strcmp (word + 6, "idle") == 0;
    char label[TRN_NAME_MAX + 1];
    snprintf (label, sizeof label, "%.*s", (int) strcspn (word + 6, ":"),
              word + 6);
    const sim_peer_t *peer = idle ? NULL : story_peer (story, line, label);
    const char *colon = strchr (word, ':');
    const size_t wanted = colon ? strtoull (colon + 1, NULL, 10) : 0;
    const int64_t until_us = world->now_us + 60 * 1000000;
    while (!world->failed && world->now_us < until_us) {
        if (idle ? s_idle (story) : peer->received_count >= wanted) {
            //  A little more, so that the last confirmations arrive.
            if (idle) {
                sim_run_until (world, world->now_us + 300000);
            }
            return;
        }
        sim_run_until (world, world->now_us + 1000);
    }
    story_mistake (story, line, "that did not happen within 60 s");
}

//  The verbs --------------------------------------------------------------

enum {
    SETTING = 6  //  so many verbs only set the scene
};

static const struct {
    const char *verb;
    void (*fn) (story_t *story, const story_line_t *line);
} s_verbs[] = {
    {"peers", s_peers},
    {"spare", s_peers},
    {"timing", s_timing},
    {"net", s_net},
    {"consume", s_consume},
    {"policy", s_policy},
    {"start", s_start},
    {"stop", s_end},
    {"kill", s_end},
    {"crash", s_end},
    {"pause", s_pause},
    {"backup", s_backup},
    {"restore", s_restore},
    {"lose", s_lose},
    {"clone", s_clone},
    {"disk", s_disk},
    {"cut", s_cut},
    {"when", s_when},
    {"block", s_block},
    {"unblock", s_block},
    {"partition", s_partition},
    {"heal", s_heal},
    {"directory", s_directory},
    {"send", s_send},
    {"leave", s_leave},
    {"join", s_leave},
    {"accept", s_settle},
    {"requeue", s_settle},
    {"reject", s_settle},
    {"release", s_settle},
    {"look", s_settle},
    {"run", s_run},
};

//  The peers start before the first thing that happens.
static void
s_start_all (story_t *story, const story_line_t *line)
{
    story->started = true;
    for (unsigned index = 0; index < story->world.peer_count; index++) {
        if (!story->spare[index]
            && !sim_peer_start (story->world.peers[index])) {
            story_mistake (story, line, "a peer does not start");
        }
    }
}

void
story_command (story_t *story, const story_line_t *line)
{
    for (size_t index = 0; index < sizeof s_verbs / sizeof *s_verbs; index++) {
        if (strcmp (s_verbs[index].verb, line->words[0]) == 0) {
            if (line->count < 2 && strcmp (line->words[0], "heal")) {
                story_mistake (story, line, "a word is missing");
                return;
            }
            if (index >= SETTING && !story->started) {
                s_start_all (story, line);
            }
            sim_trace (&story->world, "story %s %s", line->words[0],
                       line->count > 1 ? line->words[1] : "");
            s_verbs[index].fn (story, line);
            return;
        }
    }
    story_mistake (story, line, "no such command");
}
