/*  2pc.pml - two-phase commit with presumed abort, and cooperative termination
 *
 *  Sources: Mohan, Lindsay and Obermarck, TODS 11(4), 1986 (presumed abort);
 *  Bernstein, Hadzilacos and Goodman, Concurrency Control and Recovery in
 *  Database Systems, ch. 7 (cooperative termination).
 *
 *  A message that was sent is never taken away: whoever may receive it does so
 *  at any time, any number of times, or never.  So loss, repetition and every
 *  order are in.  Writing and then sending is one step: a crash between the two
 *  is a crash with the message lost.  All sites together crash and come back
 *  CRASHES times.
 *
 *  Each step changes something and only crashes change back, so every run ends.
 *  Where it ends, all participants have decided (AC5), or none can, as
 *  `may_end` says.
 *
 *      N            participants, 2 or 3
 *      COOPERATIVE  the coordinator may be gone for good; others are asked
 *      BUG_...      a broken twin, which must fail; so must a CLAIM_..., or
 *                   the model shows nothing
 *
 *  SPDX-License-Identifier: MPL-2.0
 */

#ifndef N
#define N 2
#endif
#ifndef CRASHES
#define CRASHES 3
#endif
#if N == 2
#define ALL(what) (what[0] && what[1])
#define ALL_ARE(state) (site[0] == state && site[1] == state)
#else
#define ALL(what) (what[0] && what[1] && what[2])
#define ALL_ARE(state)                                                         \
    (site[0] == state && site[1] == state && site[2] == state)
#endif

/*  The coordinator: where it is, and whether its log says COMMIT.  */
mtype = {ACTIVE, PREPARING, COMMITTED, FORGOTTEN, GONE}
mtype coordinator = ACTIVE
bool commit_logged

/*  Participants: where they are, and the last record of their logs.  */
mtype = {IDLE, PREPARED, DONE, UNDONE}
mtype site[N] = IDLE
mtype logged[N] = IDLE

/*  Sent.  */
bool prepare, yes[N], commit, abort, ack[N], inquired, asked[N]

/*  What somebody was told for good.  */
bool told_commit, told_abort

byte crashes

#define DECIDED(k) (site[k] == (told_commit -> DONE : UNDONE))
#define BLOCKED (coordinator == GONE && ALL_ARE (PREPARED))
#define may_end ((DECIDED (0) && DECIDED (1) && DECIDED (N - 1)) || BLOCKED)

inline tell_commit ()
{
    assert (!told_abort) /*  AC1, AC2  */
#ifdef CLAIM_NOBODY_COMMITS
    assert (false)
#endif
    told_commit = true
}

inline tell_abort ()
{
    assert (!told_commit)
    told_abort = true
}

active proctype coordinate ()
{
    do
    :: atomic { coordinator == ACTIVE ->
        prepare = true
        coordinator = PREPARING
    }
    :: atomic { coordinator == PREPARING && ALL (yes) ->
        coordinator = COMMITTED
#ifdef BUG_COMMIT_BEFORE_LOG
        commit = true
    }
    :: atomic { coordinator == COMMITTED && !commit_logged ->
        commit_logged = true
        tell_commit ()
#else
        commit_logged = true
        tell_commit ()
        commit = true /*  T2  */
#endif
    }
    /*  Somebody said no, the application did, or time is up.  */
    :: atomic { coordinator == PREPARING ->
        tell_abort ()
        coordinator = FORGOTTEN
        abort = true
    }
    :: atomic { coordinator == COMMITTED && commit_logged && ALL (ack) ->
        assert (logged[0] == DONE && logged[1] == DONE && logged[N - 1] == DONE)
        coordinator = FORGOTTEN /*  T3  */
    }
    /*  Unknown, and mine: that is the presumption.  */
    :: atomic { coordinator == FORGOTTEN && inquired && !abort -> abort = true }
    :: atomic { (crashes < CRASHES
                 && (coordinator == PREPARING || coordinator == COMMITTED)) ->
        crashes++
        coordinator = (commit_logged -> COMMITTED : FORGOTTEN)
    }
#ifdef BUG_ANSWERS_FOR_A_LOST_DISK
    :: atomic { crashes < CRASHES && coordinator == COMMITTED ->
        crashes++
        coordinator = FORGOTTEN
    }
#endif
#ifdef COOPERATIVE
    :: atomic { coordinator != GONE -> coordinator = GONE }
#endif
    :: timeout -> assert (may_end); break
    od
}

inline commit_here (me)
{
    assert (logged[me] == PREPARED) /*  T1  */
    assert (yes[0] && yes[1] && yes[N - 1]) /*  AC3  */
    tell_commit ()
    site[me] = DONE
    logged[me] = DONE
}

/*  It need not be in the log: after a crash it is asked for once more.  */
inline abort_here (me)
{
    tell_abort ()
    site[me] = UNDONE
}

/*  Who is asked before it has voted refuses for good: that has to be in its
 *  log, or after a crash it would vote yes.  The same holds for one that has
 *  refused and not yet logged it.
 */
inline answer (me, other)
{
    site[other] = UNDONE
#ifndef BUG_REFUSES_WITHOUT_LOG
    logged[other] = UNDONE
#endif
    abort_here (me)
}

#define MAY_ASK(me) (asked[me] && site[me] == PREPARED)

active [N] proctype participate ()
{
    byte me = _pid - 1
    do
    :: atomic { prepare && site[me] == IDLE ->
        site[me] = PREPARED
#ifndef BUG_YES_BEFORE_LOG
        logged[me] = PREPARED
#endif
        yes[me] = true
    }
#ifdef BUG_YES_BEFORE_LOG
    :: atomic { site[me] == PREPARED && logged[me] == IDLE ->
        logged[me] = PREPARED
    }
#endif
    /*  Says no, or waits no longer.  */
    :: atomic { site[me] == IDLE -> site[me] = UNDONE }
    :: atomic { site[me] == UNDONE && logged[me] != UNDONE ->
        logged[me] = UNDONE
    }
    :: atomic { site[me] == PREPARED && logged[me] == PREPARED && commit ->
        commit_here (me)
        ack[me] = true
    }
    :: atomic { commit && site[me] == DONE && !ack[me] -> ack[me] = true }
    :: atomic { site[me] == PREPARED && abort -> abort_here (me) }
    :: atomic { site[me] == PREPARED && !inquired -> inquired = true }
    :: atomic { crashes < CRASHES && site[me] != IDLE ->
        crashes++
        site[me] = logged[me]
    }
#ifdef COOPERATIVE
    :: atomic { site[me] == PREPARED && !asked[me] -> asked[me] = true }
#define ASK(other)                                                             \
    :: atomic { MAY_ASK (me) && logged[other] == DONE -> commit_here (me) }    \
    :: atomic { MAY_ASK (me) && logged[other] == UNDONE -> abort_here (me) }   \
    :: atomic { (MAY_ASK (me) && logged[other] == IDLE                         \
                 && (site[other] == IDLE || site[other] == UNDONE)) ->         \
        answer (me, other)                                                     \
    }
    ASK ((me + 1) % N)
#if N > 2
    ASK ((me + 2) % N)
#endif
#endif
    :: timeout -> assert (may_end); break
    od
}
