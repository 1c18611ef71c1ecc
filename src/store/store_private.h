//  store/store_private.h - what the files of the store share
//
//      store.c     identity, lock, opening and closing
//      outbox.c    what the actor and the appenders call
//      reads.c     what the actor wants read, and reading it
//      selections.c  what queues were given of the past
//      threads.c   the syncer and the writer
//
//  Locks: an outbox's lock and the store's lock are never held together, and
//  neither is held while the disk is used.
//
//  SPDX-License-Identifier: MPL-2.0

#ifndef TRN_STORE_PRIVATE_H
#define TRN_STORE_PRIVATE_H

#include "store/cell.h"
#include "store/store.h"

#include <pthread.h>
#include <stdatomic.h>

#define TRN_STORE_META_FILE "META"
#define TRN_STORE_LOCK_FILE "LOCK"
#define TRN_STORE_OUTBOX_DIR "outbox"

typedef enum {
    TRN_READ_FREE,
    TRN_READ_WAITS,
    TRN_READ_RUNS,
    TRN_READ_DONE
} trn_read_phase_t;

typedef struct {
    trn_read_phase_t phase;
    uint64_t seq;
    uint32_t max_bytes;
    int rc;
    trn_chunk_t *chunk;
} trn_read_request_t;

//  What was read of a batch: a chunk from seq on, or an error for seq.
typedef struct {
    uint64_t seq;
    int rc;
    trn_chunk_t *chunk;
} trn_picked_t;

//  Single records that are read together.
typedef struct {
    trn_read_phase_t phase;
    uint64_t seqs[TRN_OUTBOX_BATCH];  //  the first is urgent, the rest rises
    size_t count;
    trn_picked_t picked[TRN_OUTBOX_BATCH];
    size_t picked_count;
    size_t fetched;
} trn_batch_t;

//  A time whose first seq is looked for.
typedef struct {
    trn_read_phase_t phase;
    uint64_t wall_us;
    int rc;
    uint64_t seq;
} trn_time_request_t;

//  A state that waits to be saved.
typedef struct {
    uint8_t *bytes;  //  owned; NULL with waits false
    size_t size;
    uint64_t low;
    uint64_t stamp;
    bool waits;
} trn_save_request_t;

typedef struct trn_selection_job trn_selection_job_t;

//  Which thread an outbox waits for.
typedef enum {
    TRN_FOR_SYNCER,
    TRN_FOR_WRITER,
    TRN_THREADS
} trn_duty_t;

struct trn_outbox {
    trn_store_t *store;
    trn_outbox_t *next;  //  all of the store's
    trn_log_t *log;
    int dir;
    char name[TRN_NAME_MAX + 2];

    //  On the list of that thread, or about to be.  Cleared by the thread
    //  before it looks at the log: what is appended later marks it again.
    atomic_bool marked[TRN_THREADS];
    trn_outbox_t *next_marked[TRN_THREADS];  //  under the store's lock

    pthread_mutex_t lock;
    pthread_cond_t progress;  //  written, synced, room, failure
    unsigned waiters;
    trn_read_request_t reads[TRN_OUTBOX_READS];
    unsigned read_first;  //  oldest request
    unsigned read_count;
    trn_batch_t *batch;  //  made when first wanted
    trn_time_request_t time;
    trn_save_request_t save;
    uint8_t *last_state;  //  what closing says again
    size_t last_state_size;
    bool stated;                     //  it says all that was sent
    trn_selection_job_t *selecting;  //  in order
    trn_selection_job_t *selected;   //  the owner has not asked yet

    bool stuck;               //  disk full; the writer's own
    atomic_bool news;         //  the owner was notified and has not looked
    atomic_bool room_wanted;  //  the owner wants to know of progress
    atomic_bool told_full;    //  the owner was told of a full disk
    atomic_uint_least64_t saved;
};

//  One thread's work: outboxes in order of arrival.
typedef struct {
    pthread_t thread;
    bool started;
    pthread_cond_t wake;
    bool sleeps;
    trn_outbox_t *first;
    trn_outbox_t *last;
    uint64_t alone_until_us;  //  the syncer's own, on CLOCK_MONOTONIC
    uint64_t alone_us;        //  how long that was; 0: it is not needed
} trn_worker_t;

struct trn_store {
    trn_disk_t *disk;
    int root;
    int lock_file;
    int outbox_dir;
    trn_cell_t meta;
    uint8_t uuid[16];
    uint64_t incarnation;
    uint64_t random;
    char name[TRN_NAME_MAX + 1];
    trn_store_notify_fn *notify;
    void *notify_arg;
    trn_outbox_t *outboxes;
    trn_outbox_t *ruined;  //  no log: their opening met an error of the disk

    pthread_mutex_t lock;
    trn_worker_t workers[TRN_THREADS];  //  under lock
    uint8_t *note;                      //  to be written; owned; under lock
    size_t note_size;
    atomic_bool closing;
};

//  CLOCK_MONOTONIC.
uint64_t
trn_store_clock_us (void);

//  Start and end the two threads.  Ending finishes what is queued.
int
trn_threads_start (trn_store_t *self);

void
trn_threads_stop (trn_store_t *self);

//  The writer's part of trn_store_note ().
void
trn_store_write_note (trn_store_t *self);

//  Put the outbox on a thread's list and wake the thread if it sleeps.
void
trn_outbox_mark (trn_outbox_t *self, trn_duty_t duty);

//  The writer's part of the reads of an outbox.
void
trn_reads_serve (trn_outbox_t *self);

void
trn_reads_clear (trn_outbox_t *self);

//  The same of its selections.  0, or TERN_EFULL: some wait for room.
int
trn_selections_serve (trn_outbox_t *self);

void
trn_selections_clear (trn_outbox_t *self);

//  Tell the owner that there is news.
void
trn_outbox_tell (trn_outbox_t *self);

//  Wake whoever waits for progress of this outbox, and the actor.
void
trn_outbox_progress (trn_outbox_t *self);

trn_outbox_t *
trn_outbox_new (trn_store_t *store, const char *name);

void
trn_outbox_destroy (trn_outbox_t **self_p);

//  A condition whose deadlines are monotonic.
void
trn_condition_init (pthread_cond_t *condition);

#endif
