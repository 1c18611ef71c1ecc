//  peer/desk.c - where the replies of durable requests arrive
//
//  Knows: a thread that waits for replies and for the end of patience.  It calls
//  the waiting under the desk's lock, which comes before any requester's.
//
//  A stream that is begun again by another server goes on where it stopped:
//  parts are numbered, and those that were heard are settled unseen.
//
//  SPDX-License-Identifier: MPL-2.0

#include "peer/desk.h"

#include "base/memory.h"
#include "io/clock.h"
#include "peer/call.h"
#include "peer/message.h"

#include <tern/consumer.h>

#include <assert.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PREFETCH 1024

//  Replies to an earlier life, or to a requester that was closed: so many, and so
//  long.
#define KEPT_MAX 512
#define KEPT_MS 60000

typedef struct s_kept {
    struct s_kept *next;
    tern_msg_t *msg;
    int64_t until_ms;
} s_kept_t;

struct trn_desk {
    tern_peer_t *peer;
    uint32_t users;  //  the peer's `opening`
    tern_consumer_t *consumer;
    pthread_t thread;
    int wake;       //  eventfd
    char life[24];  //  what correlations of this life begin with
    size_t life_size;

    pthread_mutex_t lock;
    trn_wanted_t *wanted;
    uint64_t left;  //  requests up to this one may be of closed requesters
    s_kept_t *kept, **kept_last;
    uint32_t kept_count;
    bool stopping;
};

static void
s_wake (trn_desk_t *self)
{
    const uint64_t one = 1;
    const ssize_t put = write (self->wake, &one, sizeof one);
    (void) put;  //  it can only be full, which wakes as well
}

//  Replies -------------------------------------------------------------------

void
trn_desk_settle (trn_desk_t *self, const tern_msg_t *msg)
{
    assert (self && msg);
    tern_consumer_accept (self->consumer, msg);
}

static void
s_drop (trn_desk_t *self, tern_msg_t **msg_p)
{
    trn_desk_settle (self, *msg_p);
    tern_msg_destroy (msg_p);
    atomic_fetch_add (&self->peer->replies_dropped, 1);
}

//  Under lock: whoever waits for it, and its place in the list.
static trn_wanted_t **
s_find (trn_desk_t *self, trn_text_t correlation)
{
    trn_wanted_t **link = &self->wanted;
    while (*link && !trn_text_is (correlation, (*link)->correlation)) {
        link = &(*link)->next;
    }
    return link;
}

static void
s_unlink (trn_wanted_t **link)
{
    trn_wanted_t *wanted = *link;
    *link = wanted->next;
    wanted->done (wanted);
}

//  Under lock: give it to the one who waits.
static void
s_give (trn_desk_t *self, trn_wanted_t **link, tern_msg_t *msg)
{
    const trn_call_marks_t marks = trn_call_marks (msg);
    trn_wanted_t *wanted = *link;
    //  What was made by hand has no number: it is the only one.
    const uint64_t part = marks.part ? marks.part : wanted->parts + 1;
    if (part <= wanted->parts) {
        s_drop (self, &msg);
        return;
    }
    wanted->parts = part;
    const trn_desk_reply_t reply = {
        .msg = msg,
        .status = marks.failed ? TERN_EFAILED : TERN_OK,
        .last = marks.last || !marks.part,
        .empty = marks.empty,
        .why = marks.why,
    };
    if (!wanted->hear (wanted, &reply)) {
        s_drop (self, &msg);
    }
    if (reply.last) {
        s_unlink (link);
    }
}

//  Under lock: nobody waits for it now.  What is of this life and was given up is
//  not asked for again.
static bool
s_may_be_resumed (const trn_desk_t *self, trn_text_t correlation)
{
    if (correlation.size <= self->life_size
        || memcmp (correlation.at, self->life, self->life_size) != 0) {
        return correlation.size > 0;
    }
    char number[24] = "";
    const size_t size = correlation.size - self->life_size;
    if (size >= sizeof number) {
        return true;
    }
    memcpy (number, correlation.at + self->life_size, size);
    return strtoull (number, NULL, 10) <= self->left;
}

//  Under lock: perhaps somebody asks for it again.
static void
s_keep (trn_desk_t *self, tern_msg_t *msg)
{
    if (self->kept_count >= KEPT_MAX) {
        s_kept_t *oldest = self->kept;
        self->kept = oldest->next;
        if (!self->kept) {
            self->kept_last = &self->kept;
        }
        s_drop (self, &oldest->msg);
        free (oldest);
        self->kept_count--;
    }
    s_kept_t *kept = trn_alloc (sizeof *kept);
    kept->msg = msg;
    kept->until_ms = trn_clock_ms () + KEPT_MS;
    *self->kept_last = kept;
    self->kept_last = &kept->next;
    self->kept_count++;
}

static trn_text_t
s_correlation (const tern_msg_t *msg)
{
    trn_text_t correlation = {"", 0};
    const char *at = tern_msg_correlation (msg, &correlation.size);
    if (at) {
        correlation.at = at;
    }
    return correlation;
}

static void
s_on_reply (trn_desk_t *self, const tern_msg_t *lent)
{
    tern_msg_t *msg = tern_msg_dup (lent);
    const trn_text_t correlation = s_correlation (msg);
    pthread_mutex_lock (&self->lock);
    trn_wanted_t **link = s_find (self, correlation);
    if (*link && !atomic_load (&(*link)->dead)) {
        s_give (self, link, msg);
    } else if (s_may_be_resumed (self, correlation)) {
        s_keep (self, msg);
    } else {
        s_drop (self, &msg);
    }
    pthread_mutex_unlock (&self->lock);
}

//  Time ----------------------------------------------------------------------

//  Under lock: what is over, and when to look again.
static int64_t
s_tick (trn_desk_t *self)
{
    const int64_t now = trn_clock_ms ();
    int64_t next = INT64_MAX;
    trn_wanted_t **link = &self->wanted;
    while (*link) {
        trn_wanted_t *wanted = *link;
        if (atomic_load (&wanted->dead)) {
            s_unlink (link);
        } else if (wanted->due_ms <= now) {
            const trn_desk_reply_t late
                = {.status = TERN_ETIMEOUT, .last = true};
            wanted->hear (wanted, &late);
            s_unlink (link);
        } else {
            next = wanted->due_ms < next ? wanted->due_ms : next;
            link = &wanted->next;
        }
    }
    while (self->kept && self->kept->until_ms <= now) {
        s_kept_t *kept = self->kept;
        self->kept = kept->next;
        if (!self->kept) {
            self->kept_last = &self->kept;
        }
        self->kept_count--;
        s_drop (self, &kept->msg);
        free (kept);
    }
    if (self->kept && self->kept->until_ms < next) {
        next = self->kept->until_ms;
    }
    return next;
}

static void *
s_run (void *arg)
{
    trn_desk_t *self = arg;
    struct pollfd items[2] = {
        {.fd = tern_consumer_fd (self->consumer), .events = POLLIN},
        {.fd = self->wake, .events = POLLIN},
    };
    for (;;) {
        pthread_mutex_lock (&self->lock);
        const bool stopping = self->stopping;
        const int64_t next = s_tick (self);
        pthread_mutex_unlock (&self->lock);
        if (stopping) {
            return NULL;
        }
        const int64_t left = next - trn_clock_ms ();
        poll (items, 2, left > 60000 ? 60000 : left > 0 ? (int) left : 0);
        uint64_t count;
        const ssize_t got = read (self->wake, &count, sizeof count);
        (void) got;
        const tern_msg_t *msg;
        while ((msg = tern_consumer_recv (self->consumer, 0)) != NULL) {
            s_on_reply (self, msg);
        }
    }
}

//  Waiting -------------------------------------------------------------------

void
trn_desk_add (trn_desk_t *self, trn_wanted_t *wanted)
{
    assert (self && wanted && wanted->hear && wanted->done);
    pthread_mutex_lock (&self->lock);
    wanted->next = self->wanted;
    self->wanted = wanted;
    //  What was kept for it comes now, until its last.
    s_kept_t **link = &self->kept;
    while (*link && self->wanted == wanted) {
        s_kept_t *kept = *link;
        if (!trn_text_is (s_correlation (kept->msg), wanted->correlation)) {
            link = &kept->next;
            continue;
        }
        *link = kept->next;
        self->kept_count--;
        s_give (self, &self->wanted, kept->msg);
        free (kept);
    }
    self->kept_last = &self->kept;
    while (*self->kept_last) {
        self->kept_last = &(*self->kept_last)->next;
    }
    pthread_mutex_unlock (&self->lock);
    s_wake (self);
}

void
trn_desk_leave (trn_desk_t *self)
{
    assert (self);
    pthread_mutex_lock (&self->lock);
    self->left = atomic_load (&self->peer->call_number);
    pthread_mutex_unlock (&self->lock);
}

void
trn_desk_sweep (trn_desk_t *self)
{
    assert (self);
    pthread_mutex_lock (&self->lock);
    trn_wanted_t **link = &self->wanted;
    while (*link) {
        if (atomic_load (&(*link)->dead)) {
            s_unlink (link);
        } else {
            link = &(*link)->next;
        }
    }
    pthread_mutex_unlock (&self->lock);
}

//  Open and close ------------------------------------------------------------

static void
s_free (trn_desk_t *self)
{
    while (self->kept) {
        //  Not settled: it comes again.
        s_kept_t *kept = self->kept;
        self->kept = kept->next;
        tern_msg_destroy (&kept->msg);
        free (kept);
    }
    tern_consumer_close (&self->consumer);
    if (self->wake >= 0) {
        close (self->wake);
    }
    pthread_mutex_destroy (&self->lock);
    free (self);
}

static int
s_open (trn_desk_t *self)
{
    char queue[TRN_NAME_MAX + 2];
    const tern_consumer_options_t options = {.prefetch = PREFETCH};
    snprintf (queue, sizeof queue, "@%s", self->peer->name);
    self->wake = eventfd (0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (self->wake < 0) {
        return TERN_ETOOBIG;
    }
    const int rc
        = tern_consumer_open (&self->consumer, self->peer, queue, &options);
    if (rc != TERN_OK) {
        return rc;
    }
    //  The thread takes no signals: they are the application's.
    sigset_t all;
    sigset_t old;
    sigfillset (&all);
    pthread_sigmask (SIG_SETMASK, &all, &old);
    const int failed = pthread_create (&self->thread, NULL, s_run, self);
    pthread_sigmask (SIG_SETMASK, &old, NULL);
    return failed ? TERN_ETOOBIG : TERN_OK;
}

int
trn_desk_acquire (tern_peer_t *peer, trn_desk_t **self_p)
{
    assert (peer && self_p);
    int rc = TERN_OK;
    pthread_mutex_lock (&peer->opening);
    if (!peer->desk) {
        trn_desk_t *self = trn_alloc (sizeof *self);
        self->peer = peer;
        self->kept_last = &self->kept;
        pthread_mutex_init (&self->lock, NULL);
        snprintf (self->life, sizeof self->life, "%" PRIu64 ".",
                  trn_store_incarnation (peer->store));
        self->life_size = strlen (self->life);
        self->left = atomic_load (&peer->call_number);
        rc = s_open (self);
        if (rc == TERN_OK) {
            peer->desk = self;
        } else {
            s_free (self);
        }
    }
    if (rc == TERN_OK) {
        peer->desk->users++;
    }
    *self_p = peer->desk;
    pthread_mutex_unlock (&peer->opening);
    return rc;
}

void
trn_desk_release (trn_desk_t **self_p)
{
    assert (self_p);
    trn_desk_t *self = *self_p;
    *self_p = NULL;
    if (!self) {
        return;
    }
    tern_peer_t *peer = self->peer;
    pthread_mutex_lock (&peer->opening);
    if (--self->users == 0) {
        peer->desk = NULL;
        pthread_mutex_lock (&self->lock);
        self->stopping = true;
        pthread_mutex_unlock (&self->lock);
        s_wake (self);
        pthread_join (self->thread, NULL);
        s_free (self);
    }
    pthread_mutex_unlock (&peer->opening);
}
