//  tests/system/kill_cycles.c - kill -9 at random moments, then count
//
//      kill_cycles --ternd FILE [--cycles N] [--seed S] [--keep] [--mixed]
//
//  Three publishers, three consumers and a directory, each a process of its
//  own with its own store on the real disk, all on one queue; or with --mixed,
//  on everything there is (kill_mixed.c, check_mixed.c).  In each cycle
//  somebody is killed with SIGKILL after a random time, stays away for another
//  and is started again with the same store.  Now and then two die at once, or
//  one is stopped for a while first.  In the end all run, the publishers drain,
//  and check_history, which lies beside this program, judges what all of them
//  wrote.
//
//  The seed decides who and when; what the processes had done by then the
//  machine decides too, so a seed makes a failure likely again, not certain.
//
//  Exit status: that of the judgement, or 1 if a process failed by itself.
//
//  SPDX-License-Identifier: MPL-2.0

#include "support/seed.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PUBLISHERS 3
#define CONSUMERS 3
#define ACTORS (PUBLISHERS + CONSUMERS + 1)
#define DIRECTORY (ACTORS - 1)

#define UPTIME_MS 300  //  between two kills, at most
#define DOWNTIME_MS 200
#define START_MS 20000  //  the directory's first word
#define DRAIN_MS 90000  //  a publisher gives up by itself before

typedef struct {
    char name[32];
    const char *role;
    pid_t pid;  //  0: not running
    uint32_t life;
    uint32_t kills;
} actor_t;

typedef struct {
    char folder[64];
    char here[512];  //  where our own programs lie
    const char *ternd;
    char endpoint[128];  //  of the directory, once it is known
    actor_t actors[ACTORS];
    test_random_t random;
    int signals;  //  SIGCHLD, SIGINT, SIGTERM
    bool interrupted;
    bool failed;
    bool mixed;
} harness_t;

static int64_t
s_now_ms (void)
{
    struct timespec now;
    clock_gettime (CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

//  Processes -----------------------------------------------------------------

//  In the child: die with the parent, become the program.  SIGTERM waits until
//  a worker has its handler.
static void
s_become (const char *const *arguments, int out, bool worker)
{
    sigset_t held;
    sigemptyset (&held);
    if (worker) {
        sigaddset (&held, SIGTERM);
    }
    sigprocmask (SIG_SETMASK, &held, NULL);
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    if (out >= 0) {
        dup2 (out, STDOUT_FILENO);
    }
    execv (arguments[0], (char *const *) (uintptr_t) arguments);
    fprintf (stderr, "%s: %s\n", arguments[0], strerror (errno));
    _exit (127);
}

static pid_t
s_spawn (const char *const *arguments, int out, bool worker)
{
    const pid_t pid = fork ();
    if (pid == 0) {
        s_become (arguments, out, worker);
    }
    if (pid < 0) {
        perror ("fork");
        exit (1);
    }
    return pid;
}

//  The first line that the directory prints is where it listens.
static bool
s_read_endpoint (int fd, char *endpoint, size_t size)
{
    size_t used = 0;
    const int64_t until = s_now_ms () + START_MS;
    while (used + 1 < size) {
        struct pollfd item = {.fd = fd, .events = POLLIN};
        const int64_t left = until - s_now_ms ();
        if (left <= 0 || poll (&item, 1, (int) left) < 1) {
            return false;
        }
        const ssize_t got = read (fd, endpoint + used, 1);
        if (got != 1) {
            return false;
        }
        if (endpoint[used] == '\n') {
            endpoint[used] = '\0';
            return used > 0;
        }
        used++;
    }
    return false;
}

//  Only the first life chooses its port, so only that one is listened to.
static void
s_start_directory (harness_t *self, actor_t *actor)
{
    const bool first = actor->life == 1;
    const char *const arguments[]
        = {self->ternd, "--bind", first ? "tcp://127.0.0.1:0" : self->endpoint,
           NULL};
    int ends[2] = {-1, -1};
    if (first ? pipe2 (ends, O_CLOEXEC) != 0
              : (ends[1] = open ("/dev/null", O_WRONLY | O_CLOEXEC)) < 0) {
        perror ("directory");
        exit (1);
    }
    actor->pid = s_spawn (arguments, ends[1], false);
    close (ends[1]);
    if (first
        && !s_read_endpoint (ends[0], self->endpoint, sizeof self->endpoint)) {
        fprintf (stderr, "%s did not say where it listens\n", self->ternd);
        self->failed = true;
    }
    if (first) {
        close (ends[0]);
    }
}

static void
s_start (harness_t *self, actor_t *actor)
{
    actor->life++;
    if (actor == &self->actors[DIRECTORY]) {
        s_start_directory (self, actor);
        return;
    }
    char worker[640];
    char life[16];
    char seed[32];
    snprintf (worker, sizeof worker, "%s/%s", self->here,
              self->mixed ? "kill_mixed" : "kill_worker");
    snprintf (life, sizeof life, "%u", actor->life);
    snprintf (seed, sizeof seed, "%llu",
              (unsigned long long) test_random (&self->random));
    const char *const arguments[]
        = {worker,         actor->role, actor->name, self->folder,
           self->endpoint, life,        seed,        NULL};
    actor->pid = s_spawn (arguments, -1, true);
}

static void
s_describe_end (const actor_t *actor, int status)
{
    if (WIFSIGNALED (status)) {
        fprintf (stderr, "%s (life %u) died of %s\n", actor->name, actor->life,
                 strsignal (WTERMSIG (status)));
    } else {
        fprintf (stderr, "%s (life %u) ended with status %d\n", actor->name,
                 actor->life, WEXITSTATUS (status));
    }
}

//  Nobody ends by himself before he is asked to.
static void
s_reap (harness_t *self, bool ending)
{
    for (size_t index = 0; index < ACTORS; index++) {
        actor_t *actor = &self->actors[index];
        int status;
        if (actor->pid > 0
            && waitpid (actor->pid, &status, WNOHANG) == actor->pid) {
            actor->pid = 0;
            //  ternd may be asked to end before it listens to that.
            const bool asked = ending && index == DIRECTORY
                               && WIFSIGNALED (status)
                               && WTERMSIG (status) == SIGTERM;
            if (!asked
                && (!ending || !WIFEXITED (status)
                    || WEXITSTATUS (status) != 0)) {
                s_describe_end (actor, status);
                self->failed = true;
            }
        }
    }
}

//  Let time pass; children that end and signals to us are noticed at once.
static void
s_pass (harness_t *self, int64_t until_ms, bool ending)
{
    for (;;) {
        s_reap (self, ending);
        const int64_t left = until_ms - s_now_ms ();
        if (self->interrupted || self->failed || left <= 0) {
            return;
        }
        struct pollfd item = {.fd = self->signals, .events = POLLIN};
        if (poll (&item, 1, (int) left) == 1) {
            struct signalfd_siginfo info;
            const ssize_t got = read (self->signals, &info, sizeof info);
            if (got == sizeof info && info.ssi_signo != SIGCHLD) {
                self->interrupted = true;
            }
            if (ending) {
                s_reap (self, ending);
                return;
            }
        }
    }
}

static void
s_kill (actor_t *actor)
{
    if (actor->pid > 0) {
        kill (actor->pid, SIGKILL);
        waitpid (actor->pid, NULL, 0);
        actor->pid = 0;
        actor->kills++;
    }
}

//  Ask, then wait for a good end.
static void
s_end (harness_t *self, size_t from, size_t to)
{
    for (size_t index = from; index < to; index++) {
        if (self->actors[index].pid > 0) {
            kill (self->actors[index].pid, SIGTERM);
        }
    }
    const int64_t until = s_now_ms () + DRAIN_MS;
    bool running = true;
    while (running && !self->failed && !self->interrupted) {
        running = false;
        for (size_t index = from; index < to; index++) {
            running |= self->actors[index].pid > 0;
        }
        if (running && s_now_ms () >= until) {
            fprintf (stderr, "somebody does not end\n");
            self->failed = true;
        } else if (running) {
            s_pass (self, until, true);
        }
    }
}

//  Cycles --------------------------------------------------------------------

static actor_t *
s_victim (harness_t *self)
{
    //  The directory less often: without it less happens.
    const uint64_t choice = test_random_below (&self->random, 13);
    return &self->actors[choice == 12 ? DIRECTORY : choice % DIRECTORY];
}

static int64_t
s_random_ms (harness_t *self, uint64_t most)
{
    return s_now_ms () + (int64_t) test_random_below (&self->random, most);
}

static void
s_cycle (harness_t *self)
{
    s_pass (self, s_random_ms (self, UPTIME_MS), false);
    actor_t *victims[2] = {s_victim (self), NULL};
    if (test_random_below (&self->random, 5) == 0) {
        victims[1] = s_victim (self);
    }
    if (test_random_below (&self->random, 5) == 0 && victims[0]->pid > 0) {
        kill (victims[0]->pid, SIGSTOP);
        s_pass (self, s_random_ms (self, UPTIME_MS), false);
    }
    for (size_t index = 0; index < 2 && victims[index]; index++) {
        s_kill (victims[index]);
    }
    s_pass (self, s_random_ms (self, DOWNTIME_MS), false);
    for (size_t index = 0; index < 2; index++) {
        if (victims[index] && victims[index]->pid == 0 && !self->interrupted
            && !self->failed) {
            s_start (self, victims[index]);
        }
    }
}

static void
s_start_all (harness_t *self)
{
    for (size_t index = 0; index < ACTORS; index++) {
        actor_t *actor = &self->actors[index];
        if (index == DIRECTORY) {
            snprintf (actor->name, sizeof actor->name, "directory");
        } else if (index < PUBLISHERS) {
            actor->role = "publish";
            snprintf (actor->name, sizeof actor->name, "pub-%zu", index + 1);
        } else {
            actor->role = "consume";
            snprintf (actor->name, sizeof actor->name, "con-%zu",
                      index - PUBLISHERS + 1);
        }
    }
    s_start (self, &self->actors[DIRECTORY]);
    for (size_t index = 0; index < DIRECTORY && !self->failed; index++) {
        s_start (self, &self->actors[index]);
    }
}

static int
s_judge (harness_t *self)
{
    char program[640];
    char history[128];
    snprintf (program, sizeof program, "%s/%s", self->here,
              self->mixed ? "check_mixed" : "check_history");
    snprintf (history, sizeof history, "%s/history", self->folder);
    const char *const arguments[] = {program, history, NULL};
    fflush (stdout);
    const pid_t pid = s_spawn (arguments, -1, false);
    int status = 0;
    if (waitpid (pid, &status, 0) != pid || !WIFEXITED (status)) {
        return 1;
    }
    return WEXITSTATUS (status);
}

//  Folder --------------------------------------------------------------------

static int
s_remove_one (const char *path, const struct stat *info, int kind,
              struct FTW *where)
{
    (void) info;
    (void) kind;
    (void) where;
    return remove (path);
}

static bool
s_make_folder (harness_t *self)
{
    const char *base = getenv ("TMPDIR");
    char history[128];
    snprintf (self->folder, sizeof self->folder, "%.40s/tern-kill-XXXXXX",
              base && base[0] == '/' ? base : "/tmp");
    if (!mkdtemp (self->folder)) {
        perror (self->folder);
        return false;
    }
    snprintf (history, sizeof history, "%s/history", self->folder);
    //  Nothing of the user's own Tern is touched.
    setenv ("XDG_RUNTIME_DIR", self->folder, 1);
    setenv ("XDG_DATA_HOME", self->folder, 1);
    unsetenv ("TERN_NAME");
    unsetenv ("TERN_DATA");
    unsetenv ("TERN_DIRECTORY");
    unsetenv ("TERN_CONFIG");
    return mkdir (history, 0700) == 0;
}

static bool
s_find_here (harness_t *self)
{
    const ssize_t used
        = readlink ("/proc/self/exe", self->here, sizeof self->here - 1);
    if (used <= 0) {
        return false;
    }
    self->here[used] = '\0';
    *strrchr (self->here, '/') = '\0';
    return true;
}

static void
s_catch_signals (harness_t *self)
{
    sigset_t signals;
    sigemptyset (&signals);
    sigaddset (&signals, SIGCHLD);
    sigaddset (&signals, SIGINT);
    sigaddset (&signals, SIGTERM);
    sigprocmask (SIG_BLOCK, &signals, NULL);
    self->signals = signalfd (-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int
s_run (harness_t *self, unsigned cycles)
{
    const int64_t began = s_now_ms ();
    s_start_all (self);
    for (unsigned done = 0;
         done < cycles && !self->interrupted && !self->failed; done++) {
        s_cycle (self);
    }
    s_end (self, 0, PUBLISHERS);
    s_end (self, PUBLISHERS, ACTORS);
    const bool ended_well = !self->failed && !self->interrupted;
    uint32_t kills[3] = {0};
    for (size_t index = 0; index < ACTORS; index++) {
        kills[index == DIRECTORY ? 2 : index >= PUBLISHERS]
            += self->actors[index].kills;
        s_kill (&self->actors[index]);
    }
    printf ("%u cycles in %.1f s: kill -9 of publishers %u, consumers %u, "
            "directory %u\n",
            cycles, (double) (s_now_ms () - began) / 1000, kills[0], kills[1],
            kills[2]);
    if (self->interrupted) {
        return 1;
    }
    //  What was not drained is not lost, so there would be no verdict.
    return ended_well ? s_judge (self) : 1;
}

int
main (int argc, char **argv)
{
    static harness_t self;
    unsigned cycles = 12;
    bool keep = false;
    for (int index = 1; index < argc; index++) {
        const bool more = index + 1 < argc;
        if (strcmp (argv[index], "--ternd") == 0 && more) {
            self.ternd = argv[++index];
        } else if (strcmp (argv[index], "--cycles") == 0 && more) {
            cycles = (unsigned) strtoul (argv[++index], NULL, 10);
        } else if (strcmp (argv[index], "--seed") == 0 && more) {
            setenv ("TERN_SEED", argv[++index], 1);
        } else if (strcmp (argv[index], "--mixed") == 0) {
            self.mixed = true;
        } else if (strcmp (argv[index], "--keep") == 0) {
            keep = true;
        } else {
            self.ternd = NULL;
            break;
        }
    }
    if (!self.ternd || !s_find_here (&self)) {
        fprintf (stderr, "usage: kill_cycles --ternd FILE [--cycles N] "
                         "[--seed S] [--keep] [--mixed]\n");
        return 2;
    }
    setvbuf (stdout, NULL, _IOLBF, 0);
    self.random = test_random_start ();
    if (!s_make_folder (&self)) {
        return 1;
    }
    s_catch_signals (&self);
    const int status = s_run (&self, cycles);
    if (keep) {
        printf ("kept: %s\n", self.folder);
    } else {
        nftw (self.folder, s_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    }
    printf (status == 0 ? "nothing lost, nothing doubled, all in order\n"
                        : "FAILED\n");
    return status;
}
