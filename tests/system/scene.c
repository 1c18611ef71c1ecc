//  tests/system/scene.c - where a test plays: a folder, a directory, peers
//
//  SPDX-License-Identifier: MPL-2.0

#include "scene.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define ARGUMENTS_MAX 16

extern char **environ;

int64_t
scene_now_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

//  The scene ---------------------------------------------------------------

static int
s_remove_one (const char *path, const struct stat *info, int kind,
              struct FTW *where)
{
    (void) info;
    (void) kind;
    (void) where;
    return remove (path);
}

int
scene_setup (void **state)
{
    scene_t *self = calloc (1, sizeof *self);
    assert_non_null (self);
    const char *base = getenv ("TMPDIR");
    snprintf (self->folder, sizeof self->folder, "%.36s/tern-test-XXXXXX",
              base && base[0] == '/' ? base : "/tmp");
    assert_non_null (mkdtemp (self->folder));
    //  Nothing of the user's own Tern is touched.
    setenv ("XDG_RUNTIME_DIR", self->folder, 1);
    setenv ("XDG_DATA_HOME", self->folder, 1);
    unsetenv ("TERN_NAME");
    unsetenv ("TERN_DATA");
    unsetenv ("TERN_DIRECTORY");
    unsetenv ("TERN_CONFIG");

    const char *const binds[] = {"tcp://127.0.0.1:*"};
    const tern_directory_options_t options = {.binds = binds, .bind_count = 1};
    char why[256] = "";
    if (tern_directory_open (&self->directory, &options, why, sizeof why)) {
        fail_msg ("directory: %s", why);
    }
    snprintf (self->endpoint, sizeof self->endpoint, "%s",
              tern_directory_endpoint (self->directory, 0));
    *state = self;
    return 0;
}

int
scene_teardown (void **state)
{
    scene_t *self = *state;
    tern_directory_close (&self->directory);
    nftw (self->folder, s_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free (self);
    return 0;
}

//  Peers -------------------------------------------------------------------

static void
s_set (tern_config_t *config, const char *key, const char *value)
{
    char why[256] = "";
    if (tern_config_set (config, key, value, why, sizeof why)) {
        fail_msg ("%s=%s: %s", key, value, why);
    }
}

static tern_config_t *
s_config (const scene_t *self, const char *name, va_list more)
{
    char data[128];
    snprintf (data, sizeof data, "%s/%s", self->folder, name);
    tern_config_t *config = tern_config_new ();
    s_set (config, "name", name);
    s_set (config, "data", data);
    s_set (config, "directory", self->endpoint);
    const char *key;
    while ((key = va_arg (more, const char *)) != NULL) {
        s_set (config, key, va_arg (more, const char *));
    }
    return config;
}

tern_config_t *
scene_config (const scene_t *self, const char *name, ...)
{
    va_list more;
    va_start (more, name);
    tern_config_t *config = s_config (self, name, more);
    va_end (more);
    return config;
}

tern_peer_t *
scene_peer (const scene_t *self, const char *name, ...)
{
    va_list more;
    va_start (more, name);
    tern_config_t *config = s_config (self, name, more);
    va_end (more);
    tern_peer_t *peer = NULL;
    char why[256] = "";
    const int rc = tern_peer_open (&peer, config, why, sizeof why);
    tern_config_destroy (&config);
    if (rc) {
        fail_msg ("peer %s: %s (%s)", name, tern_strerror (rc), why);
    }
    return peer;
}

tern_producer_t *
scene_producer (tern_peer_t *peer, const char *queue)
{
    tern_producer_t *producer = NULL;
    char why[256] = "";
    if (tern_producer_open (&producer, peer, queue, why, sizeof why)) {
        fail_msg ("producer of %s: %s", queue, why);
    }
    return producer;
}

tern_consumer_t *
scene_consumer (tern_peer_t *peer, const char *queue, uint32_t prefetch)
{
    tern_consumer_t *consumer = NULL;
    const tern_consumer_options_t options = {.prefetch = prefetch};
    assert_int_equal (tern_consumer_open (&consumer, peer, queue, &options),
                      TERN_OK);
    return consumer;
}

uint64_t
scene_send (tern_producer_t *producer, const char *text)
{
    uint64_t seq = 0;
    assert_int_equal (tern_producer_send (producer, text, strlen (text),
                                          SCENE_DEADLINE_MS, &seq),
                      TERN_OK);
    return seq;
}

uint64_t
scene_send_numbers (tern_producer_t *producer, const char *prefix,
                    unsigned count)
{
    uint64_t seq = 0;
    for (unsigned number = 1; number <= count; number++) {
        char text[64];
        snprintf (text, sizeof text, "%s %u", prefix, number);
        seq = scene_send (producer, text);
    }
    return seq;
}

uint64_t
scene_send_msg (tern_producer_t *producer, tern_msg_t *msg)
{
    uint64_t seq = 0;
    assert_int_equal (
        tern_producer_send_msg (producer, msg, SCENE_DEADLINE_MS, &seq),
        TERN_OK);
    assert_int_not_equal (seq, 0);
    tern_msg_destroy (&msg);
    return seq;
}

tern_msg_t *
scene_receive (tern_consumer_t *consumer)
{
    tern_msg_t *msg = tern_consumer_recv (consumer, SCENE_DEADLINE_MS);
    if (!msg) {
        fail_msg ("no message came in time");
    }
    return msg;
}

//  So many bytes of a message are shown to whoever reads of a failure.
static int
s_shown (const tern_msg_t *msg)
{
    return (int) (tern_msg_size (msg) < 80 ? tern_msg_size (msg) : 80);
}

tern_msg_t *
scene_expect (tern_consumer_t *consumer, const char *text)
{
    tern_msg_t *msg = scene_receive (consumer);
    if (tern_msg_size (msg) != strlen (text)
        || memcmp (tern_msg_body (msg), text, strlen (text)) != 0) {
        fail_msg ("expected \"%s\", received \"%.*s\"", text, s_shown (msg),
                  (const char *) tern_msg_body (msg));
    }
    return msg;
}

void
scene_accept (tern_consumer_t *consumer, const char *text)
{
    const tern_msg_t *msg = scene_expect (consumer, text);
    assert_int_equal (tern_consumer_accept (consumer, msg), TERN_OK);
}

void
scene_accept_numbers (tern_consumer_t *consumer, const char *prefix,
                      unsigned from, unsigned to)
{
    for (unsigned number = from; number <= to; number++) {
        char text[64];
        snprintf (text, sizeof text, "%s %u", prefix, number);
        scene_accept (consumer, text);
    }
}

void
scene_nothing (tern_consumer_t *consumer)
{
    tern_msg_t *msg = tern_consumer_recv (consumer, SCENE_QUIET_MS);
    if (msg) {
        fail_msg ("unexpected: %s \"%.*s\"", tern_msg_id (msg), s_shown (msg),
                  (const char *) tern_msg_body (msg));
    }
}

unsigned
scene_number (const tern_msg_t *msg, const char *prefix)
{
    char text[64] = "";
    unsigned number = 0;
    const size_t skip = strlen (prefix);
    assert_in_range (tern_msg_size (msg), skip + 1, sizeof text - 1);
    memcpy (text, tern_msg_body (msg), tern_msg_size (msg));
    assert_memory_equal (text, prefix, skip);
    assert_int_equal (sscanf (text + skip, " %u", &number), 1);
    return number;
}

void
scene_settled (tern_producer_t *producer, uint64_t seq)
{
    const int rc
        = tern_producer_wait (producer, seq, TERN_PROCESSED, SCENE_DEADLINE_MS);
    if (rc) {
        fail_msg ("seq %llu: %s; processed up to %llu",
                  (unsigned long long) seq, tern_strerror (rc),
                  (unsigned long long) tern_producer_reached (producer,
                                                              TERN_PROCESSED));
    }
}

//  Exchanges ---------------------------------------------------------------

void
scene_bind (tern_peer_t *peer, const tern_binding_t *binding)
{
    char why[256] = "";
    if (tern_peer_bind (peer, binding, why, sizeof why)) {
        fail_msg ("bind %s: %s", binding->queue, why);
    }
    assert_int_equal (tern_peer_bound (peer, binding, SCENE_DEADLINE_MS),
                      TERN_OK);
}

void
scene_unbind (tern_peer_t *peer, const tern_binding_t *binding)
{
    char why[256] = "";
    if (tern_peer_unbind (peer, binding, why, sizeof why)) {
        fail_msg ("unbind %s: %s", binding->queue, why);
    }
    assert_int_equal (tern_peer_bound (peer, binding, SCENE_DEADLINE_MS),
                      TERN_OK);
}

tern_producer_t *
scene_exchange (tern_peer_t *peer, const char *name, tern_exchange_type_t type,
                const tern_exchange_options_t *options)
{
    tern_producer_t *producer = NULL;
    char why[256] = "";
    if (tern_producer_open_exchange (&producer, peer, name, type, options, why,
                                     sizeof why)) {
        fail_msg ("exchange %s: %s", name, why);
    }
    return producer;
}

uint64_t
scene_publish (tern_producer_t *producer, const char *key, const char *text)
{
    tern_msg_t *msg = tern_msg_new (text, strlen (text));
    assert_int_equal (tern_msg_set_key (msg, key), TERN_OK);
    return scene_send_msg (producer, msg);
}

//  Looking -----------------------------------------------------------------

void
scene_until (tern_peer_t *peer, scene_condition_fn *condition, void *arg,
             const char *what)
{
    const int64_t until = scene_now_ms () + SCENE_DEADLINE_MS;
    while (!condition (arg)) {
        tern_event_t event;
        if (scene_now_ms () >= until) {
            fail_msg ("not in time: %s", what);
        }
        tern_peer_event (peer, &event, 5);
    }
}

bool
scene_readable (int fd, int timeout_ms)
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    return poll (&item, 1, timeout_ms) == 1 && (item.revents & POLLIN);
}

typedef struct {
    tern_peer_t *peer;
    const char *queue;
    uint32_t count;
} wanted_t;

static bool
s_has_consumers (void *arg)
{
    const wanted_t *wanted = arg;
    return tern_peer_consumers (wanted->peer, wanted->queue) == wanted->count;
}

void
scene_consumers (tern_peer_t *peer, const char *queue, uint32_t count)
{
    wanted_t wanted = {peer, queue, count};
    scene_until (peer, s_has_consumers, &wanted, "consumers connected");
}

void
scene_event (tern_peer_t *peer, const char *id)
{
    const int64_t until = scene_now_ms () + SCENE_DEADLINE_MS;
    tern_event_t event;
    do {
        const int64_t left = until - scene_now_ms ();
        if (left <= 0 || !tern_peer_event (peer, &event, (int) left)) {
            fail_msg ("no event %s", id);
        }
    } while (strcmp (event.id, id) != 0);
}

tern_stats_t
scene_stats (tern_peer_t *peer, const char *queue, tern_role_t role)
{
    tern_stats_t rows[16];
    size_t count = tern_peer_stats (peer, rows, 16);
    for (size_t index = 0; index < count && index < 16; index++) {
        if (rows[index].role == role
            && strcmp (rows[index].queue, queue) == 0) {
            return rows[index];
        }
    }
    fail_msg ("no numbers of %s", queue);
    return rows[0];
}

//  Pairs -------------------------------------------------------------------

scene_pair_t
scene_pair (const scene_t *self, const char *queue, uint32_t prefetch)
{
    scene_pair_t pair;
    pair.orders = scene_peer (self, "orders-1", NULL);
    pair.payment = scene_peer (self, "payment-1", NULL);
    pair.consumer = scene_consumer (pair.payment, queue, prefetch);
    pair.producer = scene_producer (pair.orders, queue);
    scene_consumers (pair.orders, queue, 1);
    return pair;
}

void
scene_part (scene_pair_t *pair)
{
    tern_producer_close (&pair->producer);
    tern_consumer_close (&pair->consumer);
    tern_peer_close (&pair->payment, 0);
    tern_peer_close (&pair->orders, 0);
}

void
scene_end (tern_peer_t **peer_p, tern_producer_t **producer_p,
           tern_consumer_t **consumer_p)
{
    tern_consumer_close (consumer_p);
    tern_producer_close (producer_p);
    assert_int_equal (tern_peer_close (peer_p, 0), 0);
}

//  This process ------------------------------------------------------------

size_t
scene_resident (void)
{
    unsigned long pages = 0;
    FILE *file = fopen ("/proc/self/statm", "r");
    if (!file || fscanf (file, "%*u %lu", &pages) != 1) {
        pages = 0;
    }
    if (file) {
        fclose (file);
    }
    return pages * (size_t) sysconf (_SC_PAGESIZE);
}

bool
scene_is_instrumented (void)
{
    const char *instrument = getenv ("TERN_INSTRUMENT");
    return instrument && *instrument;
}

//  Child processes ---------------------------------------------------------

void
scene_stay (void)
{
    for (;;) {
        pause ();
    }
}

void
scene_stay_written (tern_producer_t *producer)
{
    const uint64_t last = tern_producer_last (producer);
    if (last) {
        assert_int_equal (tern_producer_wait (producer, last, TERN_WRITTEN, -1),
                          TERN_OK);
    }
    puts ("written");
    scene_stay ();
}

//  argv of a child: program, "scene", folder, endpoint, role, ...
int
scene_main (const scene_role_t *roles, int argc, char **argv)
{
    if (argc < 5 || strcmp (argv[1], "scene") != 0) {
        return -1;
    }
    //  A test that fails leaves nobody behind.
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    setvbuf (stdout, NULL, _IOLBF, 0);
    scene_t self = {.directory = NULL};
    snprintf (self.folder, sizeof self.folder, "%s", argv[2]);
    snprintf (self.endpoint, sizeof self.endpoint, "%s", argv[3]);
    for (; roles->name; roles++) {
        if (strcmp (roles->name, argv[4]) == 0) {
            return roles->fn (&self, argc - 5, argv + 5);
        }
    }
    fprintf (stderr, "no role %s\n", argv[4]);
    return 2;
}

void
scene_start (const scene_t *self, scene_child_t *child, const char *role, ...)
{
    const char *arguments[ARGUMENTS_MAX + 1]
        = {"/proc/self/exe", "scene", self->folder, self->endpoint, role};
    size_t count = 5;
    va_list more;
    va_start (more, role);
    const char *argument;
    while ((argument = va_arg (more, const char *)) != NULL) {
        assert_true (count < ARGUMENTS_MAX);
        arguments[count++] = argument;
    }
    va_end (more);

    int ends[2];
    *child = (scene_child_t) {.pid = 0};
    assert_int_equal (pipe2 (ends, O_CLOEXEC), 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init (&actions);
    posix_spawn_file_actions_adddup2 (&actions, ends[1], STDOUT_FILENO);
    const int rc = posix_spawn (&child->pid, "/proc/self/exe", &actions, NULL,
                                (char *const *) (uintptr_t) arguments, environ);
    posix_spawn_file_actions_destroy (&actions);
    close (ends[1]);
    assert_int_equal (rc, 0);
    child->out = ends[0];
}

const char *
scene_line (scene_child_t *child)
{
    const int64_t until = scene_now_ms () + SCENE_DEADLINE_MS;
    child->used = 0;
    while (child->used + 1 < sizeof child->buffer) {
        struct pollfd item = {.fd = child->out, .events = POLLIN};
        const int64_t left = until - scene_now_ms ();
        if (left <= 0 || poll (&item, 1, (int) left) == 0) {
            fail_msg ("process %d says nothing", (int) child->pid);
        }
        char *at = child->buffer + child->used;
        const ssize_t got = read (child->out, at, 1);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return NULL;
        }
        if (*at == '\n') {
            *at = '\0';
            return child->buffer;
        }
        child->used++;
    }
    fail_msg ("process %d says too much in one line", (int) child->pid);
    return NULL;
}

void
scene_says (scene_child_t *child, const char *line)
{
    const char *said = scene_line (child);
    if (!said || strcmp (said, line) != 0) {
        fail_msg ("expected \"%s\", process %d said \"%s\"", line,
                  (int) child->pid, said ? said : "nothing");
    }
}

void
scene_kill (scene_child_t *child)
{
    kill (child->pid, SIGKILL);
    assert_int_equal (waitpid (child->pid, NULL, 0), child->pid);
    close (child->out);
    child->pid = 0;
}

int
scene_ended (scene_child_t *child)
{
    //  Its standard output closes when it ends; what it still says is skipped.
    while (scene_line (child)) {
    }
    int status = 0;
    assert_int_equal (waitpid (child->pid, &status, 0), child->pid);
    close (child->out);
    child->pid = 0;
    return WIFEXITED (status) ? WEXITSTATUS (status) : -WTERMSIG (status);
}
