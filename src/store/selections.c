//  store/selections.c - an outbox's selections, written in the background
//
//  Knows: the writer does this, in the order in which it was asked for.  One that
//  finds no room on the disk waits for some, and those behind it too.
//
//  SPDX-License-Identifier: MPL-2.0

#include "store/store_private.h"

#include "base/memory.h"
#include "store/log_state.h"

#include <tern/error.h>

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct trn_selection_job {
    trn_selection_job_t *next;
    uint32_t number;
    uint8_t *bytes;  //  owned; NULL: the file shall go
    size_t size;
    int rc;  //  once it is done
};

static void
s_destroy (trn_selection_job_t *job)
{
    if (job) {
        free (job->bytes);
        free (job);
    }
}

//  Lock held.
static void
s_add (trn_selection_job_t **list, trn_selection_job_t *job)
{
    while (*list) {
        list = &(*list)->next;
    }
    job->next = NULL;
    *list = job;
}

static trn_selection_job_t *
s_take (trn_outbox_t *self, trn_selection_job_t **list)
{
    pthread_mutex_lock (&self->lock);
    trn_selection_job_t *job = *list;
    if (job) {
        *list = job->next;
    }
    pthread_mutex_unlock (&self->lock);
    return job;
}

static void
s_ask (trn_outbox_t *self, const trn_selection_job_t *wanted)
{
    trn_selection_job_t *job = trn_alloc (sizeof *job);
    *job = *wanted;
    pthread_mutex_lock (&self->lock);
    s_add (&self->selecting, job);
    pthread_mutex_unlock (&self->lock);
    trn_outbox_mark (self, TRN_FOR_WRITER);
}

static uint64_t
s_seed (const trn_outbox_t *self)
{
    return trn_log_state_seed (self->store->uuid, self->name);
}

void
trn_outbox_select (trn_outbox_t *self, const trn_selection_t *selection)
{
    assert (self && selection);
    trn_selection_job_t job = {.number = selection->number};
    job.bytes = trn_selection_encode (selection, s_seed (self), &job.size);
    s_ask (self, &job);
}

int
trn_outbox_keep (trn_outbox_t *self, const trn_selection_t *selection)
{
    assert (self && selection);
    size_t size = 0;
    uint8_t *bytes = trn_selection_encode (selection, s_seed (self), &size);
    const int rc = trn_selection_write (self->store->disk, self->dir,
                                        selection->number, bytes, size);
    free (bytes);
    return rc;
}

int
trn_outbox_selected (trn_outbox_t *self, uint32_t *number_p)
{
    assert (self && number_p);
    trn_selection_job_t *job = s_take (self, &self->selected);
    const int rc = !job ? 0 : job->rc ? job->rc : 1;
    *number_p = job ? job->number : 0;
    s_destroy (job);
    return rc;
}

void
trn_outbox_unselect (trn_outbox_t *self, uint32_t number)
{
    assert (self && number);
    s_ask (self, &(trn_selection_job_t) {.number = number});
}

int
trn_outbox_selections (trn_outbox_t *self, trn_selection_fn *fn, void *arg,
                       char *why, size_t why_size)
{
    assert (self && fn);
    uint32_t number = 0;
    trn_selection_tidy (self->store->disk, self->dir);
    const int rc = trn_selection_each (self->store->disk, self->dir,
                                       s_seed (self), fn, arg, &number);
    if (rc != TERN_OK && why && why_size) {
        snprintf (why, why_size, "%s: past-%08" PRIx32 ": %s", self->name,
                  number, tern_strerror (rc));
    }
    return rc;
}

//  The writer ---------------------------------------------------------------

static int
s_serve (trn_outbox_t *self, trn_selection_job_t *job)
{
    trn_disk_t *disk = self->store->disk;
    if (job->bytes) {
        return trn_selection_write (disk, self->dir, job->number, job->bytes,
                                    job->size);
    }
    trn_selection_remove (disk, self->dir, job->number);
    return TERN_OK;
}

int
trn_selections_serve (trn_outbox_t *self)
{
    trn_selection_job_t *job = NULL;
    while ((job = s_take (self, &self->selecting))) {
        job->rc = s_serve (self, job);
        if (job->rc == TERN_EFULL) {
            pthread_mutex_lock (&self->lock);
            job->next = self->selecting;
            self->selecting = job;
            pthread_mutex_unlock (&self->lock);
            return TERN_EFULL;
        }
        if (!job->bytes) {
            s_destroy (job);
            continue;
        }
        pthread_mutex_lock (&self->lock);
        s_add (&self->selected, job);
        pthread_mutex_unlock (&self->lock);
        trn_outbox_tell (self);
    }
    return TERN_OK;
}

void
trn_selections_clear (trn_outbox_t *self)
{
    trn_selection_job_t *job = NULL;
    while ((job = s_take (self, &self->selecting))
           || (job = s_take (self, &self->selected))) {
        s_destroy (job);
    }
}
