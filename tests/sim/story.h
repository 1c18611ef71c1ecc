//  sim/story.h - a test told in text, on the simulator
//
//  What happens, a line "----", and what must be true then.  tests/README.md
//  has the vocabulary.  The ledger's promises hold in every story besides.
//
//      # T-23: a run lost with its connection is sent again, in order.
//      peers a b
//      consume b hello
//      cut a-b after DATA 2
//      send a hello "one" "two" "three"
//      run until=idle
//      ----
//      b receives "one" "two" "three"
//      a settled hello 1..3
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef SIM_STORY_H
#define SIM_STORY_H

#include "sim/net.h"
#include "sim/peer.h"
#include "sim/world.h"

#define STORY_WORDS_MAX 40
#define STORY_TRIGGERS_MAX 8

//  One line, cut into words; "quoted text" is one word with its quotes.
typedef struct {
    char *words[STORY_WORDS_MAX];
    unsigned count;
    unsigned number;  //  in the file
    char text[1024];
} story_line_t;

//  Something to be done when the n-th frame of a kind passes.
typedef struct {
    const sim_peer_t *left, *right;
    trn_frame_type_t type;
    uint64_t left_to_go;  //  0: done
    bool before;          //  the frame itself is lost
    char command[512];
} story_trigger_t;

typedef struct {
    const char *path;
    sim_world_t world;
    char labels[SIM_PEERS_MAX][TRN_NAME_MAX + 1];
    trn_disk_t *backups[SIM_PEERS_MAX];
    uint64_t backup_written[SIM_PEERS_MAX][SIM_OUTBOXES_MAX];
    story_trigger_t triggers[STORY_TRIGGERS_MAX];
    unsigned trigger_count;
    bool spare[SIM_PEERS_MAX];  //  not started by itself
    bool started;
} story_t;

//  Tell the story in this file with this seed.  True if it went as told; else
//  one line in why.
bool
sim_story_run (const char *path, uint64_t seed, bool trace, char *why,
               size_t why_size);

//  The first line of the file without its '#', for test output.
void
sim_story_title (const char *path, char *title, size_t size);

//  story_command.c, story_expect.c: one line.  Mistakes in the text and broken
//  expectations end in sim_fail () with the line's number.
void
story_command (story_t *story, const story_line_t *line);

void
story_expect (story_t *story, const story_line_t *line);

//  For both: words of a line.
bool
story_split (story_line_t *line, const char *text, unsigned number);

sim_peer_t *
story_peer (story_t *story, const story_line_t *line, const char *label);

sim_outbox_t *
story_outbox (story_t *story, const story_line_t *line, sim_peer_t *peer,
              const char *queue);

//  "a-b" as two peers; the sign between them may be another.
bool
story_pair (story_t *story, const story_line_t *line, const char *word,
            char sign, sim_peer_t **left_p, sim_peer_t **right_p);

trn_frame_type_t
story_frame (story_t *story, const story_line_t *line, const char *name);

//  The number after "key=" in the line, or the default.
uint64_t
story_option (const story_line_t *line, const char *key, uint64_t otherwise);

bool
story_has (const story_line_t *line, const char *word);

//  A quoted word without its quotes, in a static buffer of this thread.
const char *
story_text (const char *word);

void
story_mistake (story_t *story, const story_line_t *line, const char *what);

#endif
