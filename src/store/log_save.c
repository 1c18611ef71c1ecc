//  store/log_save.c - the owner's state, and which segments go with it
//
//  Knows: which segments are still needed.  Those wholly below the owner's low
//  are not, except that some are kept for replay while retention says so and
//  nobody needs the space:
//
//      1          2          3          4          5
//      [settled ][settled ][settled ][settled | waits ][...
//      ^ too old           ^ retained  ^ low
//                          first_segment
//
//  Invariants: a segment is unlinked only after the STATE that begins behind it
//  is durable (L24); first_segment never goes back, so what was unlinked is
//  never looked for.
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/log_private.h"

#include <tern/error.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static bool
s_retains (const trn_log_t *self)
{
    return atomic_load (&self->retain_ms) || atomic_load (&self->retain_bytes);
}

//  Which segments stay --------------------------------------------------------

//  Under lock: the first segment that is needed when nothing below low is.  All
//  before it are complete, synced and hold only what is below.
static size_t
s_first_needed (const trn_log_t *self, uint64_t low)
{
    const uint64_t synced = trn_log_synced (self);
    size_t i = 0;
    while (i < self->tail && self->segments[i].last_seq < low
           && self->segments[i].last_seq <= synced
           && self->segments[i].file < 0) {
        i++;
    }
    return i;
}

//  Under lock: what is the time, for ages of records?
static uint64_t
s_now_us (const trn_log_t *self)
{
    uint64_t newest = 0;
    for (size_t i = 0; !self->config.wall_us && i <= self->tail; i++) {
        const uint64_t stamp_us = self->segments[i].stamp_us;
        newest = stamp_us > newest ? stamp_us : newest;
    }
    return self->config.wall_us ? self->config.wall_us () : newest;
}

//  Under lock: the first segment that stays, of those before the needed ones.
static size_t
s_first_retained (const trn_log_t *self, size_t needed)
{
    const uint64_t ms = atomic_load (&self->retain_ms);
    const uint64_t bytes = atomic_load (&self->retain_bytes);
    if (needed == 0 || (ms == 0 && bytes == 0)) {
        return needed;
    }
    const uint64_t now_us = s_now_us (self);
    uint64_t total = 0;
    size_t first = needed;
    while (first > 0) {
        const trn_log_segment_t *const segment = &self->segments[first - 1];
        const uint64_t age_us
            = now_us > segment->stamp_us ? now_us - segment->stamp_us : 0;
        total += (uint64_t) segment->end;
        if ((bytes && total > bytes) || (ms && age_us / 1000 >= ms)) {
            break;
        }
        first--;
    }
    return first;
}

//  Under lock: the log shall begin with this segment.
static void
s_begin_at (const trn_log_t *self, size_t index, trn_log_state_t *state)
{
    state->first_segment = self->segments[index].segment;
    state->first_seq = trn_log_first_seq (self, index);
}

//  Take the first segment off the list if it is below first.
static bool
s_take_segment (trn_log_t *self, uint64_t first, uint64_t *segment_p)
{
    bool taken = false;
    pthread_mutex_lock (&self->lock);
    if (self->segments[0].segment < first) {
        *segment_p = self->segments[0].segment;
        free (self->segments[0].marks);
        self->segment_count--;
        self->tail--;
        memmove (self->segments, self->segments + 1,
                 self->segment_count * sizeof *self->segments);
        taken = true;
    }
    pthread_mutex_unlock (&self->lock);
    return taken;
}

//  The directory is synced with the next new segment: a name that comes back
//  after a crash is below first_segment and goes at the next opening.
static void
s_trim (trn_log_t *self, uint64_t first)
{
    uint64_t segment = 0;
    while (s_take_segment (self, first, &segment)) {
        char name[TRN_SEGMENT_NAME];
        trn_segment_name (name, segment);
        (void) self->disk->unlink (self->disk, self->dir, name);
    }
}

//  Saving ---------------------------------------------------------------------

//  Replace STATE, then let go what it does not begin with any more.
static int
s_replace_state (trn_log_t *self, const trn_log_state_t *state)
{
#ifdef TERN_BUG_13
    s_trim (self, state->first_segment);
#endif
    size_t length = 0;
    uint8_t *const bytes = trn_log_state_encode (state, &length);
    const int rc = trn_cell_replace (&self->state, bytes, length);
    free (bytes);
    if (rc < 0) {
        return rc == TERN_EFULL ? rc
                                : trn_log_fail (self, "saving the state", 0);
    }
    self->saved_low = state->low;
    const bool retained = s_retains (self) && state->first_seq < state->low;
    const uint64_t least = retained ? state->first_seq : state->low;
    uint64_t floor = trn_log_floor (self);
    while (floor < least
           && !atomic_compare_exchange_weak (&self->floor, &floor, least)) {
    }
    uint64_t settled = atomic_load (&self->settled);
    while (settled < state->low
           && !atomic_compare_exchange_weak (&self->settled, &settled,
                                             state->low)) {
    }
    s_trim (self, state->first_segment);
    return 0;
}

//  Under lock.  What was trimmed does not come back; what is retained may.
static uint64_t
s_legal_low (const trn_log_t *self, uint64_t low)
{
    const uint64_t first = trn_log_first_seq (self, 0);
    const bool retained = s_retains (self) && first < self->saved_low;
    const uint64_t least = retained ? first : self->saved_low;
    low = low > least ? low : least;
    return low < self->next_seq ? low : self->next_seq;
}

int
trn_log_save_state (trn_log_t *self, const uint8_t *state, size_t size,
                    uint64_t low)
{
    assert (self && (state || size == 0) && size <= TRN_LOG_STATE_MAX);
    if (trn_log_status (self) == TERN_EIO) {
        return TERN_EIO;
    }
    pthread_mutex_lock (&self->state_lock);
    trn_log_state_t saved = {
        .durable = atomic_load_explicit (&self->proved, memory_order_acquire),
        .blob = state,
        .blob_size = size};
    pthread_mutex_lock (&self->lock);
    saved.low = s_legal_low (self, low);
    saved.dropped = self->dropped;
    s_begin_at (self, s_first_retained (self, s_first_needed (self, saved.low)),
                &saved);
    pthread_mutex_unlock (&self->lock);
    const int rc = s_replace_state (self, &saved);
    pthread_mutex_unlock (&self->state_lock);
    return rc;
}

//  Retention --------------------------------------------------------------------

void
trn_log_retain (trn_log_t *self, uint64_t ms, uint64_t bytes)
{
    assert (self);
    pthread_mutex_lock (&self->lock);
    atomic_store (&self->retain_ms, ms);
    atomic_store (&self->retain_bytes, bytes);
    //  What is there may be read from now on.
    const uint64_t first = trn_log_first_seq (self, 0);
    if (s_retains (self) && first < trn_log_floor (self)) {
        atomic_store (&self->floor, first);
    }
    pthread_mutex_unlock (&self->lock);
}

uint64_t
trn_log_first_retained (trn_log_t *self)
{
    assert (self);
    pthread_mutex_lock (&self->lock);
    const uint64_t first = self->segments[0].first_seq
                               ? self->segments[0].first_seq
                               : self->next_seq;
    pthread_mutex_unlock (&self->lock);
    return first;
}

//  The state says again what it said, and begins later.
static int
s_begin_later (trn_log_t *self, size_t index)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    int rc = trn_cell_read (self->disk, self->dir, TRN_LOG_STATE_FILE,
                            trn_log_state_seed (self->store_uuid, self->name),
                            trn_log_state_half (), &bytes, &size);
    trn_log_state_t state = {0};
    if (rc == 0) {
        rc = trn_log_state_decode (bytes, size, &state);
    }
    if (rc == 0) {
        pthread_mutex_lock (&self->lock);
        s_begin_at (self, index, &state);
        pthread_mutex_unlock (&self->lock);
        rc = s_replace_state (self, &state);
    }
    free (bytes);
    return rc < 0 ? rc : 1;
}

int
trn_log_yield (trn_log_t *self)
{
    assert (self);
    if (trn_log_status (self) == TERN_EIO) {
        return TERN_EIO;
    }
    pthread_mutex_lock (&self->state_lock);
    pthread_mutex_lock (&self->lock);
    const size_t retained = s_first_needed (self, self->saved_low);
    pthread_mutex_unlock (&self->lock);
    //  The older half; who still has no space asks again.
    const int rc = retained ? s_begin_later (self, (retained + 1) / 2) : 0;
    pthread_mutex_unlock (&self->state_lock);
    return rc;
}
