//  sim/story.c - a test told in text: reading it
//
//  Knows: lines, words and names.  Outboxes are found by looking ahead: who
//  sends to a queue has an outbox for it from the start.
//
//  SPDX-License-Identifier: MPL-2.0

#include "sim/story.h"

#include "base/memory.h"
#include "support/disk_memory.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
story_mistake (story_t *story, const story_line_t *line, const char *what)
{
    sim_fail (&story->world, "%s:%u: %s", story->path, line->number, what);
}

bool
story_split (story_line_t *line, const char *text, unsigned number)
{
    line->number = number;
    line->count = 0;
    snprintf (line->text, sizeof line->text, "%s", text);
    char *at = line->text;
    for (;;) {
        while (isspace ((unsigned char) *at)) {
            at++;
        }
        if (!*at || *at == '#') {
            return line->count > 0;
        }
        if (line->count == STORY_WORDS_MAX) {
            return false;
        }
        line->words[line->count++] = at;
        bool quoted = false;
        while (*at && (quoted || !isspace ((unsigned char) *at))) {
            quoted = *at == '"' ? !quoted : quoted;
            at++;
        }
        if (*at) {
            *at++ = '\0';
        }
    }
}

const char *
story_text (const char *word)
{
    static char text[256];
    const char *from = *word == '"' ? word + 1 : word;
    snprintf (text, sizeof text, "%s", from);
    const size_t length = strlen (text);
    if (length && text[length - 1] == '"') {
        text[length - 1] = '\0';
    }
    return text;
}

uint64_t
story_option (const story_line_t *line, const char *key, uint64_t otherwise)
{
    const size_t length = strlen (key);
    for (unsigned index = 1; index < line->count; index++) {
        const char *word = line->words[index];
        if (strncmp (word, key, length) == 0 && word[length] == '=') {
            return strtoull (word + length + 1, NULL, 10);
        }
    }
    return otherwise;
}

bool
story_has (const story_line_t *line, const char *wanted)
{
    for (unsigned index = 1; index < line->count; index++) {
        if (strcmp (line->words[index], wanted) == 0) {
            return true;
        }
    }
    return false;
}

static sim_peer_t *
s_find_peer (const story_t *story, const char *label)
{
    for (unsigned index = 0; index < story->world.peer_count; index++) {
        if (strcmp (story->labels[index], label) == 0) {
            return story->world.peers[index];
        }
    }
    return NULL;
}

sim_peer_t *
story_peer (story_t *story, const story_line_t *line, const char *label)
{
    sim_peer_t *peer = s_find_peer (story, label);
    if (!peer) {
        story_mistake (story, line, "no such peer");
    }
    return peer;
}

sim_outbox_t *
story_outbox (story_t *story, const story_line_t *line, sim_peer_t *peer,
              const char *queue)
{
    for (unsigned index = 0; peer && index < peer->outbox_count; index++) {
        if (strcmp (peer->outboxes[index].queue, queue) == 0) {
            return &peer->outboxes[index];
        }
    }
    story_mistake (story, line, "that peer publishes no such queue");
    return NULL;
}

bool
story_pair (story_t *story, const story_line_t *line, const char *word,
            char sign, sim_peer_t **left_p, sim_peer_t **right_p)
{
    const char *middle = strchr (word, sign);
    char label[TRN_NAME_MAX + 1];
    if (!middle || (size_t) (middle - word) >= sizeof label) {
        story_mistake (story, line, "two peers are needed here");
        return false;
    }
    memcpy (label, word, (size_t) (middle - word));
    label[middle - word] = '\0';
    *left_p = story_peer (story, line, label);
    *right_p = story_peer (story, line, middle + 1);
    return *left_p && *right_p;
}

trn_frame_type_t
story_frame (story_t *story, const story_line_t *line, const char *name)
{
    for (unsigned type = TRN_HELLO; type <= TRN_FRAME_LAST; type++) {
        if (strcmp (trn_frame_name ((trn_frame_type_t) type), name) == 0) {
            return (trn_frame_type_t) type;
        }
    }
    story_mistake (story, line, "no such frame");
    return TRN_HELLO;
}

//  Triggers ---------------------------------------------------------------

static void
s_on_trigger (sim_world_t *world, const sim_event_t *event)
{
    (void) world;
    story_t *story = event->object;
    const story_trigger_t *trigger = &story->triggers[event->number];
    story_line_t line;
    if (story_split (&line, trigger->command, 0)) {
        story_command (story, &line);
    }
}

static void
s_watch (void *arg, sim_conn_t *conn, sim_direction_t way,
         trn_frame_type_t type)
{
    story_t *story = arg;
    sim_world_t *world = &story->world;
    for (unsigned index = 0; index < story->trigger_count; index++) {
        story_trigger_t *trigger = &story->triggers[index];
        const bool ours = (conn->publisher == trigger->left
                           && conn->consumer == trigger->right)
                          || (conn->publisher == trigger->right
                              && conn->consumer == trigger->left);
        if (!ours || trigger->type != type || !trigger->left_to_go
            || --trigger->left_to_go) {
            continue;
        }
        if (trigger->before) {
            sim_net_cut_conn (world->net, conn);
        } else {
            sim_after (world, conn->way[way].arrives_us + 1 - world->now_us,
                       s_on_trigger, NULL, story, index);
        }
    }
}

//  The story --------------------------------------------------------------

static char *
s_read_file (const char *path)
{
    FILE *file = fopen (path, "r");
    if (!file) {
        return NULL;
    }
    char *text = trn_alloc (65536);
    const size_t size = fread (text, 1, 65535, file);
    text[size] = '\0';
    fclose (file);
    return text;
}

void
sim_story_title (const char *path, char *title, size_t size)
{
    char *text = s_read_file (path);
    const char *from = text ? text : path;
    while (*from == '#' || *from == ' ') {
        from++;
    }
    snprintf (title, size, "%.*s", (int) strcspn (from, "\n"), from);
    free (text);
}

//  These lines are obeyed while looking ahead.
static bool
s_creates (const char *verb)
{
    return strcmp (verb, "peers") == 0 || strcmp (verb, "spare") == 0;
}

//  Who sends to which queue?  Peers start with these outboxes.
static void
s_find_outboxes (story_t *story, const char *text)
{
    unsigned number = 0;
    for (const char *at = text; *at; at += strcspn (at, "\n") + 1) {
        char row[1024];
        snprintf (row, sizeof row, "%.*s", (int) strcspn (at, "\n"), at);
        story_line_t line;
        const char *send = strstr (row, "send ");
        number++;
        if (story_split (&line, row, number) && s_creates (line.words[0])) {
            story_command (story, &line);
        } else if (row[0] != '#' && send && story_split (&line, send, number)
                   && line.count >= 3) {
            //  A clone is not there yet; it publishes what its original does.
            sim_peer_t *peer = s_find_peer (story, line.words[1]);
            bool known = !peer;
            for (unsigned index = 0; peer && index < peer->outbox_count;
                 index++) {
                known = known
                        || strcmp (peer->outboxes[index].queue, line.words[2])
                               == 0;
            }
            if (!known) {
                sim_peer_add_outbox (peer, line.words[2]);
            }
        }
        if (!at[strcspn (at, "\n")]) {
            break;
        }
    }
}

static void
s_tell (story_t *story, char *text)
{
    bool expecting = false;
    unsigned number = 0;
    char *rest = text;
    while (rest && !story->world.failed) {
        char *row = rest;
        rest = strchr (row, '\n');
        if (rest) {
            *rest++ = '\0';
        }
        number++;
        story_line_t line;
        if (strncmp (row, "----", 4) == 0) {
            expecting = !expecting;
        } else if (story_split (&line, row, number)) {
            if (expecting) {
                story_expect (story, &line);
            } else if (!s_creates (line.words[0])) {
                story_command (story, &line);
            }
        }
    }
}

bool
sim_story_run (const char *path, uint64_t seed, bool trace, char *why,
               size_t why_size)
{
    story_t *story = trn_alloc (sizeof *story);
    story->path = path;
    sim_world_open (&story->world, seed, trace);
    sim_net_watch (story->world.net, s_watch, story);
    char *text = s_read_file (path);
    if (text) {
        s_find_outboxes (story, text);
        s_tell (story, text);
    } else {
        sim_fail (&story->world, "%s: cannot be read", path);
    }
    const bool good = !story->world.failed;
    if (!good) {
        snprintf (why, why_size, "%s", story->world.failure);
    }
    free (text);
    sim_world_close (&story->world);
    for (unsigned index = 0; index < SIM_PEERS_MAX; index++) {
        trn_disk_memory_destroy (&story->backups[index]);
    }
    free (story);
    return good;
}
