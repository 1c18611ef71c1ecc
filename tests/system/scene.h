//  tests/system/scene.h - where a test plays: a folder, a directory, peers
//
//  Everything is private to the scene and gone with it: stores on the real
//  disk, a directory node in this process, sockets on ephemeral ports, child
//  processes.  Waiting is for something that happens, with a deadline that no
//  healthy run comes near.
//
//  A test program that needs child processes runs itself: scene_run () gives
//  argv to scene_start () 's children, which find their scene in it.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TEST_SCENE_H
#define TEST_SCENE_H

#include <tern.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

//  Generous: sanitizers and a busy machine are ten times slower.
#define SCENE_DEADLINE_MS 30000

//  So long nothing comes when nothing may come.  A violation that is slower is
//  missed; a correct library never fails for it.
#define SCENE_QUIET_MS 100

typedef struct {
    char folder[64];
    char endpoint[128];  //  of the directory
    tern_directory_t *directory;
} scene_t;

//  Milliseconds on the monotonic clock.
int64_t
scene_now_ms (void);

//  cmocka's setup and teardown: *state is the scene.
int
scene_setup (void **state);

int
scene_teardown (void **state);

//  Settings of a peer of this scene, more as key, value, ... , NULL.
tern_config_t *
scene_config (const scene_t *self, const char *name, ...)
    __attribute__ ((sentinel));

//  An open peer of this name with more settings; the test fails if it does not
//  open.
tern_peer_t *
scene_peer (const scene_t *self, const char *name, ...)
    __attribute__ ((sentinel));

tern_producer_t *
scene_producer (tern_peer_t *peer, const char *queue);

tern_consumer_t *
scene_consumer (tern_peer_t *peer, const char *queue, uint32_t prefetch);

//  Send text as one message; returns its seq.
uint64_t
scene_send (tern_producer_t *producer, const char *text);

//  Send "PREFIX 1" .. "PREFIX count".
uint64_t
scene_send_numbers (tern_producer_t *producer, const char *prefix,
                    unsigned count);

//  Next message within the deadline, which must hold this text.
tern_msg_t *
scene_expect (tern_consumer_t *consumer, const char *text);

//  The same, and accept it.
void
scene_accept (tern_consumer_t *consumer, const char *text);

//  Accept "PREFIX from" .. "PREFIX to".
void
scene_accept_numbers (tern_consumer_t *consumer, const char *prefix,
                      unsigned from, unsigned to);

//  Next message within the deadline; the test fails if there is none.
tern_msg_t *
scene_receive (tern_consumer_t *consumer);

//  Send a message and destroy it; returns its seq.
uint64_t
scene_send_msg (tern_producer_t *producer, tern_msg_t *msg);

//  Nothing comes.
void
scene_nothing (tern_consumer_t *consumer);

//  The number of a message "PREFIX number".
unsigned
scene_number (const tern_msg_t *msg, const char *prefix);

//  Everything up to seq has been processed within the deadline.
void
scene_settled (tern_producer_t *producer, uint64_t seq);

//  Bind or unbind, and wait until the directory knows.
void
scene_bind (tern_peer_t *peer, const tern_binding_t *binding);

void
scene_unbind (tern_peer_t *peer, const tern_binding_t *binding);

tern_producer_t *
scene_exchange (tern_peer_t *peer, const char *name, tern_exchange_type_t type,
                const tern_exchange_options_t *options);

//  Send text under a key, which some queue gets; returns its seq.
uint64_t
scene_publish (tern_producer_t *producer, const char *key, const char *text);

//  Wait until condition holds, looking whenever the peer has an event and every
//  few milliseconds.  The test fails, naming what, after the deadline.
typedef bool
scene_condition_fn (void *arg);

void
scene_until (tern_peer_t *peer, scene_condition_fn *condition, void *arg,
             const char *what);

//  Is there something to read within this time?
bool
scene_readable (int fd, int timeout_ms);

//  So many consumers of the queue are connected to the peer.
void
scene_consumers (tern_peer_t *peer, const char *queue, uint32_t count);

//  Wait for an event of this id.
void
scene_event (tern_peer_t *peer, const char *id);

//  This publisher's (consumer's) row of numbers.
tern_stats_t
scene_stats (tern_peer_t *peer, const char *queue, tern_role_t role);

//  Pairs -------------------------------------------------------------------

//  One publishes to a queue, the other consumes it: what most tests need.
typedef struct {
    tern_peer_t *orders, *payment;  //  "orders-1", "payment-1"
    tern_producer_t *producer;
    tern_consumer_t *consumer;
} scene_pair_t;

//  Two peers that know each other.
scene_pair_t
scene_pair (const scene_t *self, const char *queue, uint32_t prefetch);

//  Close what is still open of them.
void
scene_part (scene_pair_t *pair);

//  Close both handles and then the publisher's peer, which has no message left.
void
scene_end (tern_peer_t **peer_p, tern_producer_t **producer_p,
           tern_consumer_t **consumer_p);

//  This process ------------------------------------------------------------

//  Bytes that it has in memory.
size_t
scene_resident (void);

//  Does a sanitizer or valgrind watch it?  Then memory says little.
bool
scene_is_instrumented (void);

//  Child processes ---------------------------------------------------------

typedef struct {
    pid_t pid;
    int out;  //  its standard output
    char buffer[4096];
    size_t used;
} scene_child_t;

//  What a child does: scene_run () calls it in the new process.  Its result is
//  the exit status.
typedef int
scene_role_fn (const scene_t *scene, int argc, char **argv);

typedef struct {
    const char *name;
    scene_role_fn *fn;
} scene_role_t;

//  A child does nothing more until it is killed.
_Noreturn void
scene_stay (void);

//  A child waits until all that it sent is written, says "written" and stays.
_Noreturn void
scene_stay_written (tern_producer_t *producer);

//  To be called first in main (): if this process is a child, play its role and
//  return its exit status; else return -1.
int
scene_main (const scene_role_t *roles, int argc, char **argv);

//  Start this program again in a role, with more arguments, NULL.
void
scene_start (const scene_t *self, scene_child_t *child, const char *role, ...)
    __attribute__ ((sentinel));

//  Next line of its standard output within the deadline; NULL at the end.
//  Borrowed until the next call.
const char *
scene_line (scene_child_t *child);

//  The child prints this line next.
void
scene_says (scene_child_t *child, const char *line);

//  Kill with SIGKILL and reap.
void
scene_kill (scene_child_t *child);

//  Wait for its end within the deadline; returns the exit status, or minus the
//  signal.
int
scene_ended (scene_child_t *child);

#endif
