/*  3pc.pml - three-phase commit and its termination protocol
 *
 *  Sources: Skeen, Nonblocking Commit Protocols, SIGMOD 1981; Bernstein,
 *  Hadzilacos and Goodman, Concurrency Control and Recovery in Database
 *  Systems, ch. 7.
 *
 *  What the protocol assumes is built in: a site that stops never comes back,
 *  all others know at once, and what was sent before arrives.  So a message is
 *  a step of its sender at the receiver, and a crash comes between two of them.
 *  Site 0 coordinates; when it is gone, the lowest of those left does, and so
 *  on down to the last.  Under these assumptions nobody disagrees and nobody
 *  waits (AC1, AC5).
 *
 *      PARTITION  the sites may fall into two groups, each of which takes the
 *                 other for dead: must fail, so this is not for networks
 *      BUG_...    a broken twin, which must fail; so must a CLAIM_..., or the
 *                 model shows nothing
 *
 *  SPDX-License-Identifier: MPL-2.0
 */

#define N 4

mtype = {INITIAL, READY, PRECOMMITTED, COMMITTED, ABORTED}
mtype site[N] = INITIAL
bool down[N]
bool far[N] /*  in the second group  */

mtype = {VOTING, PRECOMMITTING, COMMITTING, ABORTING}
mtype coordinator = VOTING

bool parted
byte crashes

/*  Site k takes j for alive.  */
#define SEES(k, j) (!down[j] && far[k] == far[j])
#define LED(k) SEES (k, 0)
#define LEADS(k)                                                               \
    (!down[k] && !LED (k) && !(k > 1 && SEES (k, 1)) && !(k > 2 && SEES (k, 2)))

#define HAS(k, j, what) (SEES (k, j) && site[j] == what)
#define ANY(k, what)                                                           \
    (HAS (k, 0, what) || HAS (k, 1, what) || HAS (k, 2, what)                  \
     || HAS (k, 3, what))
#define ALL_SEE(k) (SEES (k, 0) && SEES (k, 1) && SEES (k, 2) && SEES (k, 3))
#define ALL_READY                                                              \
    (site[0] == READY && site[1] == READY && site[2] == READY                  \
     && site[3] == READY)

#define DECIDED(k) (down[k] || site[k] == COMMITTED || site[k] == ABORTED)

bool told_commit, told_abort

inline decide (k, what)
{
    site[k] = what
    if
    :: what == COMMITTED -> told_commit = true
    :: else -> told_abort = true
    fi
    assert (!(told_commit && told_abort)) /*  AC1  */
#ifdef CLAIM_NOBODY_COMMITS_ALONE
    assert (what == ABORTED || !down[0])
#endif
}

/*  The coordinator does with k what its phase asks for.  */
#define COORDINATE(k)                                                          \
    :: atomic { (LED (k) && coordinator == VOTING && site[k] == INITIAL) ->    \
        site[k] = READY                                                        \
    }                                                                          \
    :: atomic { (LED (k) && coordinator == VOTING && site[k] == INITIAL) ->    \
        decide (k, ABORTED)                                                    \
    }                                                                          \
    :: atomic { (LED (k) && coordinator == PRECOMMITTING && !down[k]           \
                 && site[k] == READY) ->                                       \
        site[k] = PRECOMMITTED                                                 \
    }                                                                          \
    :: atomic { (LED (k) && coordinator == COMMITTING && !down[k]              \
                 && site[k] == PRECOMMITTED) ->                                \
        decide (k, COMMITTED)                                                  \
    }                                                                          \
    :: atomic { (LED (k) && coordinator == ABORTING && !down[k]                \
                 && (site[k] == INITIAL || site[k] == READY)) ->               \
        decide (k, ABORTED)                                                    \
    }

/*  k leads those that are left, and brings j one step further.  */
#define TERMINATE(k, j)                                                        \
    :: atomic { (LEADS (k) && SEES (k, j) && ANY (k, COMMITTED)                \
                 && site[j] != COMMITTED) ->                                   \
        decide (j, COMMITTED)                                                  \
    }                                                                          \
    :: atomic { (LEADS (k) && SEES (k, j) && ANY (k, ABORTED)                  \
                 && site[j] != ABORTED) ->                                     \
        decide (j, ABORTED)                                                    \
    }                                                                          \
    :: atomic { (LEADS (k) && SEES (k, j) && UNDECIDED (k)                     \
                 && ANY (k, PRECOMMITTED) && !MAY_COMMIT (k)                   \
                 && site[j] != PRECOMMITTED) ->                                \
        site[j] = PRECOMMITTED                                                 \
    }                                                                          \
    :: atomic { (LEADS (k) && SEES (k, j) && UNDECIDED (k)                     \
                 && ANY (k, PRECOMMITTED) && MAY_COMMIT (k)) ->                \
        decide (j, COMMITTED)                                                  \
    }                                                                          \
    :: atomic { (LEADS (k) && SEES (k, j) && UNDECIDED (k)                     \
                 && !ANY (k, PRECOMMITTED)) ->                                 \
        decide (j, ABORTED)                                                    \
    }
#define UNDECIDED(k) (!ANY (k, COMMITTED) && !ANY (k, ABORTED))
#ifdef BUG_COMMITS_AT_ONCE
#define MAY_COMMIT(k) true
#else
#define MAY_COMMIT(k) (!ANY (k, INITIAL) && !ANY (k, READY))
#endif

#define CRASH(k)                                                               \
    :: atomic { (crashes < N - 1 && !down[k]) -> crashes++; down[k] = true }

active proctype world ()
{
    do
    COORDINATE (0)
    COORDINATE (1)
    COORDINATE (2)
    COORDINATE (3)
    :: atomic { (!down[0] && coordinator == VOTING && ALL_READY) ->
        coordinator = PRECOMMITTING
        site[0] = PRECOMMITTED
    }
    /*  Somebody said no, or is gone.  */
    :: atomic { (!down[0] && coordinator == VOTING
                 && (ANY (0, ABORTED) || !ALL_SEE (0))) ->
        coordinator = ABORTING
    }
    /*  All have acknowledged but those that are gone.  */
    :: atomic { (!down[0] && coordinator == PRECOMMITTING
                 && !ANY (0, READY)) ->
        coordinator = COMMITTING
    }
    TERMINATE (1, 1)
    TERMINATE (1, 2)
    TERMINATE (1, 3)
    TERMINATE (2, 2)
    TERMINATE (2, 3)
    TERMINATE (3, 3)
    CRASH (0)
    CRASH (1)
    CRASH (2)
    CRASH (3)
#ifdef PARTITION
    :: atomic { !parted ->
        parted = true
        if
        :: far[1] = true
        :: far[2] = true; far[3] = true
        :: far[1] = true; far[2] = true; far[3] = true
        fi
    }
#endif
    :: timeout ->
        assert (DECIDED (0) && DECIDED (1) && DECIDED (2) && DECIDED (3))
        break
    od
}
