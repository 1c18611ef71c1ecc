/*  e3pc.pml - quorum commit, the enhanced three-phase commit
 *
 *  Source: Keidar and Dolev, Increasing the Resilience of Distributed and
 *  Replicated Database Systems, JCSS 57(3), 1998.  The decision table is as
 *  lectures give it; that it holds is shown here, not taken from the paper.
 *
 *  Three sites; site 0 began the transaction, which counts as election 1.  A
 *  message that was sent is never taken away, so loss, repetition, order and
 *  partitions of every kind are in.  All that a site answers by is in its log
 *  before it answers, so a crash takes nothing but what a leader has collected:
 *  it is a leader that does no more, which any may do here at any time.  Two
 *  leaders may choose one number; a site follows one of them.
 *
 *      ELECTIONS  how many numbers there are beside the first
 *      READ_ONLY  more participants have voted read-only and left: together
 *                 they weigh 2, and what is left decides among itself as soon
 *                 as a site has seen a PRECOMMIT, which names who voted yes
 *      BUG_...    a broken twin, which must fail; so must a CLAIM_..., or the
 *                 model shows nothing
 *
 *  SPDX-License-Identifier: MPL-2.0
 */

#define N 3
#ifndef ELECTIONS
#define ELECTIONS 3
#endif

/*  A site: all of it is in its log.  */
mtype = {INITIAL, WAITING, PRECOMMITTED, PREABORTED, COMMITTED, ABORTED}
mtype site[N] = INITIAL
byte elected[N] = 1   /*  never follows a lower one again  */
byte attempted[N]     /*  the election of its last attempt  */
byte leader[N]        /*  of that election  */
bool voted[N]
bool knows[N]         /*  who voted yes  */
#ifdef BUG_ELECTED_NOT_LOGGED
byte logged[N] = 1
bool crashed
#endif

/*  What a leader has collected: who answered, and with what.  */
byte number[N]
byte answered[N]
bool reached[N] /*  one of them knows who voted yes  */
mtype answer[9]
byte answer_attempt[9]

/*  Sent, by (number - 1) * N + leader: an attempt, and who acknowledged it.  */
#define SENT(e, r) (((e) - 1) * N + (r))
#define ALL_SENT ((ELECTIONS + 1) * N)
mtype = {NOTHING, PRECOMMIT, PREABORT}
mtype attempt[ALL_SENT] = NOTHING
byte acknowledged[ALL_SENT]
bool base[ALL_SENT] /*  its leader knows who voted yes  */
bool commit, abort

byte k, last

#define FINAL(k) (site[k] == COMMITTED || site[k] == ABORTED)
#define BIT(k) (1 << (k))
#define WEIGHT(set) (((set) & 1) + (((set) >> 1) & 1) + (((set) >> 2) & 1))

/*  Of those that know who voted yes a majority of these is enough, of others it
 *  has to be one of all that were asked.
 */
#ifdef READ_ONLY
#ifdef BUG_READ_ONLY_COUNTS
#define OTHERS 2
#else
#define OTHERS 0
#endif
#define QUORUM(set, known)                                                     \
    (known -> WEIGHT (set) > 1 : WEIGHT (set) + OTHERS > 2)
#else
#define QUORUM(set, known) (WEIGHT (set) > 1)
#endif

inline decide (k, what)
{
    site[k] = what
    if
    :: what == COMMITTED -> commit = true
    :: else -> abort = true
    fi
    assert (!(commit && abort)) /*  AC1  */
    assert (!commit || (voted[0] && voted[1] && voted[2])) /*  AC3  */
#ifdef CLAIM_NOBODY_COMMITS_ALONE
    assert (what == ABORTED || elected[0] == 1)
#endif
}

/*  Site k makes the attempt of election e, led by r.  */
inline try (k, e, r)
{
    site[k] = (attempt[SENT (e, r)] == PRECOMMIT -> PRECOMMITTED : PREABORTED)
    attempted[k] = e
    acknowledged[SENT (e, r)] = acknowledged[SENT (e, r)] | BIT (k)
    if
    :: attempt[SENT (e, r)] == PRECOMMIT -> knows[k] = true
    :: else -> skip
    fi
}

/*  Site k follows r in election e, and says where it is.  */
inline follow (k, e, r)
{
    elected[k] = e
    leader[k] = r
    answered[r] = answered[r] | BIT (k)
    answer[r * N + k] = site[k]
    answer_attempt[r * N + k] = attempted[k]
    if
    :: knows[k] -> reached[r] = true
    :: else -> skip
    fi
}
#define SAYS(r, k, what)                                                       \
    ((answered[r] & BIT (k)) && answer[(r) * N + (k)] == what)
#define ONE_SAYS(r, what)                                                      \
    (SAYS (r, 0, what) || SAYS (r, 1, what) || SAYS (r, 2, what))

/*  Of those that made the last attempt of all who answered, were all
 *  PRECOMMITTED? Not if nobody made any.
 */
#define ATTEMPT(r, k)                                                          \
    ((answered[r] & BIT (k)) -> answer_attempt[(r) * N + (k)] : 0)
#define IS_LAST(r, k, most)                                                    \
    (!(answered[r] & BIT (k)) || ATTEMPT (r, k) != most                        \
     || answer[(r) * N + (k)] == PRECOMMITTED)
inline find_last (r)
{
    last = ATTEMPT (r, 0)
    last = (ATTEMPT (r, 1) > last -> ATTEMPT (r, 1) : last)
    last = (ATTEMPT (r, 2) > last -> ATTEMPT (r, 2) : last)
}
#define LAST_PRECOMMITTED(r)                                                   \
    (last > 0 && IS_LAST (r, 0, last) && IS_LAST (r, 1, last)                  \
     && IS_LAST (r, 2, last))

/*  What was collected is used once.  */
inline forget (r)
{
    number[r] = 0
    answered[r] = 0
    reached[r] = false
    k = 0
    do
    :: k < N ->
        answer[r * N + k] = 0
        answer_attempt[r * N + k] = 0
        k++
    :: else -> k = 0; break
    od
}

inline lead (me)
{
    forget (me)
    number[me] = elected[me] + 1
    follow (me, number[me], me)
}

/*  The table.  */
inline conclude (me)
{
    find_last (me)
    if
    :: ONE_SAYS (me, COMMITTED) -> decide (me, COMMITTED)
    :: ONE_SAYS (me, ABORTED) -> decide (me, ABORTED)
    :: else ->
        if
        :: !QUORUM (answered[me], reached[me]) -> skip
        :: else ->
            attempt[SENT (number[me], me)] =
                (LAST_PRECOMMITTED (me) -> PRECOMMIT : PREABORT)
            base[SENT (number[me], me)] = reached[me]
            try (me, number[me], me)
        fi
    fi
    last = 0
    forget (me)
}

inline vote (me)
{
    site[me] = WAITING
    voted[me] = true
}

#ifdef BUG_ELECTED_NOT_LOGGED
inline crash (me)
{
    crashed = true
    elected[me] = logged[me]
    leader[me] = 0
}
#endif

/*  Votes; what others have decided; somebody suspects, and leads an election of
 *  a number that is new to it; a leader has heard whom it waits for.
 */
#define SITE(me)                                                               \
    :: atomic { (site[me] == INITIAL && elected[me] == 1) -> vote (me) }       \
    :: atomic { (site[me] == INITIAL && elected[me] == 1) ->                   \
        decide (me, ABORTED)                                                   \
    }                                                                          \
    :: atomic { (commit && !FINAL (me)) -> decide (me, COMMITTED) }            \
    :: atomic { (abort && !FINAL (me)) -> decide (me, ABORTED) }               \
    :: atomic { (!FINAL (me) && elected[me] <= ELECTIONS) -> lead (me) }       \
    :: atomic { (number[me] > 0 && elected[me] == number[me]                   \
                 && leader[me] == me) ->                                       \
        conclude (me)                                                          \
    }                                                                          \
    CRASH (me)

/*  Site k follows r, who has a number that k has not seen.  */
#define FOLLOW(k, r)                                                           \
    :: atomic { (number[r] > elected[k]) -> follow (k, number[r], r) }

/*  Site k hears of the attempt of r in election e.  */
#define HEAR(k, e, r)                                                          \
    :: atomic { (attempt[SENT (e, r)] != NOTHING && !FINAL (k)                 \
                 && FENCE (k, e, r)                                            \
                 && !(acknowledged[SENT (e, r)] & BIT (k))) ->                 \
        try (k, e, r)                                                          \
    }
#ifdef BUG_NO_FENCE
#define FENCE(k, e, r) true
#else
#define FENCE(k, e, r) (elected[k] == e && leader[k] == r)
#endif

/*  Enough have made the attempt of r in election e: that decides.  */
#define CLOSE(e, r)                                                            \
    :: atomic { (attempt[SENT (e, r)] == PRECOMMIT && !commit                  \
                 && QUORUM (acknowledged[SENT (e, r)], base[SENT (e, r)])) ->  \
        decide (r, COMMITTED)                                                  \
    }                                                                          \
    :: atomic { (attempt[SENT (e, r)] == PREABORT && !abort                    \
                 && QUORUM (acknowledged[SENT (e, r)], base[SENT (e, r)])) ->  \
        decide (r, ABORTED)                                                    \
    }

#define ELECTION(e, r)                                                         \
    HEAR (0, e, r)                                                             \
    HEAR (1, e, r)                                                             \
    HEAR (2, e, r)                                                             \
    CLOSE (e, r)

#ifdef BUG_ELECTED_NOT_LOGGED
/*  Once, a site comes back without having followed.  */
#define CRASH(me)                                                              \
    :: atomic { (!crashed && elected[me] > logged[me]) -> crash (me) }
#else
#define CRASH(me)
#endif

active proctype world ()
{
    do
    SITE (0)
    SITE (1)
    SITE (2)
    FOLLOW (0, 1)
    FOLLOW (0, 2)
    FOLLOW (1, 0)
    FOLLOW (1, 2)
    FOLLOW (2, 0)
    FOLLOW (2, 1)
    /*  Who began it: all have said yes; or it waits no longer.  */
    :: atomic { (site[0] == WAITING && elected[0] == 1
                 && voted[1] && voted[2]) ->
        attempt[SENT (1, 0)] = PRECOMMIT
        base[SENT (1, 0)] = true
        try (0, 1, 0)
    }
    :: atomic { (site[0] == WAITING && elected[0] == 1) ->
        decide (0, ABORTED)
    }
    ELECTION (1, 0)
    ELECTION (2, 0)
    ELECTION (2, 1)
    ELECTION (2, 2)
#if ELECTIONS > 1
    ELECTION (3, 0)
    ELECTION (3, 1)
    ELECTION (3, 2)
#endif
#if ELECTIONS > 2
    ELECTION (4, 0)
    ELECTION (4, 1)
    ELECTION (4, 2)
#endif
    :: timeout -> break
    od
}
