/* shard: the replication protocol of ../README.md for one shard with three stores, for the model checker spin.
 *
 * Owns nothing of the program; says what replication.hpp, the writer of the record and the lease must do, and asserts
 * what they promise. scripts/model runs it, README.md in this folder says which bounds are searched exhaustively.
 *
 * What is abstract
 * - A log entry is its epoch and a number that stands for its batch; 0 is the empty entry. Position 0 is the same in all logs.
 * - The state is the applied prefix of the log, so a snapshot is a prefix.
 * - A request to etcd happens at any time after it was sent, or never; also after its sender has stopped waiting or has died. What
 *   came of it is only found out by reading the record. A request whose base revision is past can't happen any more, so
 *   that it is taken off the wire at once, and no revisions have to be counted.
 * - Time is not there. A lease ends at any time, first for its holder, then in etcd; the time between is left out, because
 *   the holder only does less in it.
 * - A link is FIFO, holds CAPACITY messages, and can lose all that is on it, both ways, at any time. What does not fit is not sent.
 *
 * Each step is atomic. FLAW_x takes one rule away, GOAL_x is a state that must be reachable: both must end in a failed assertion.
 */
#define N 3
#define NOBODY 7

/* -- bounds ------------------------------------------------------------------------------------------------------ */
#ifndef EPOCHS
#define EPOCHS 3   /* the highest epoch given out; the first is 1 */
#endif
#ifndef WRITES
#define WRITES 1   /* batches of clients */
#endif
#ifndef CHANGES
#define CHANGES 0  /* requests to change in_sync */
#endif
#ifndef GIVE_UPS
#define GIVE_UPS 0 /* requests to give the shard up */
#endif
#ifndef EXPIRIES
#define EXPIRIES 0 /* leases that end under a running process */
#endif
#ifndef CRASHES
#define CRASHES 0  /* of any process, each started again */
#endif
#ifndef WIPES
#define WIPES 0    /* stores that are lost; the next number is the store in its place, so it starts outside of IN_SYNC */
#endif
#ifndef INSTALLS
#define INSTALLS 0 /* snapshots sent to learners */
#endif
#ifndef CAPACITY
#define CAPACITY 1 /* of a link, in messages */
#endif
#ifndef FLIGHT
#define FLIGHT 2   /* messages on all links together */
#endif
#ifndef IN_SYNC
#define IN_SYNC 7  /* at first, a bit for each store; store 0 is primary of epoch 1 and serves */
#endif
#ifndef LAGS
#define LAGS 0     /* 1: what a store reads of the record is handled later, when it may be old */
#endif
#if WIPES
#define UNBORN 4   /* store 2 is the one in the place of a lost one */
#else
#define UNBORN 0
#endif
#define LAST (WRITES + EPOCHS - 1) /* positions: each epoch after the first may add its empty entry */

/* -- words ------------------------------------------------------------------------------------------------------- */
#define in(set, s) (((set) >> (s)) & 1)
#define with(set, s) ((set) | (1 << (s)))
#define without(set, s) ((set) & (255 - (1 << (s))))
#define entry(epoch, batch) (((epoch) << 3) | (batch))
#define epoch_of(x) ((x) >> 3)
#define at(s, i) log[(s) * (LAST + 1) + (i)]
#define matched(s, q) match[(s) * N + (q)]
#define link(a, b) ((a) * (N - 1) + ((b) > (a) -> (b) - 1 : (b)))
#define SNAPSHOT 255 /* in place of an entry */

/* -- etcd -------------------------------------------------------------------------------------------------------- */
byte rec_epoch = 1, rec_primary = 0, rec_in_sync = IN_SYNC;
byte keys = 7 - UNBORN;   /* whose node key is there */
#define NONE 0
#define CHANGE 1  /* in_sync becomes request_set */
#define GIVE_UP 2
#define NAME_SELF 3
byte request[N];  /* sent at the present revision, neither done nor lost */
byte request_set[N];

/* -- the links --------------------------------------------------------------------------------------------------- */
chan data[N * (N - 1)] = [CAPACITY] of { byte, byte, byte, byte, byte }; /* epoch, position before: index, epoch; entry; committed */
chan acks[N * (N - 1)] = [CAPACITY] of { byte, byte, byte };             /* epoch, index, what */
#define APPENDED 0
#define REFUSED 1
#define INSTALLED 2

byte flight;

/* -- what a store keeps ------------------------------------------------------------------------------------------ */
byte log[N * (LAST + 1)];
byte last[N];     /* index of the last entry */
byte synced[N];   /* up to here the log survives a crash */
byte applied[N];  /* which is also what this store knows to be committed */
byte installing;  /* who has the mark */

/* -- what a process knows ---------------------------------------------------------------------------------------- */
#define FOLLOWS 0
#define TAKES_OVER 1
#define SERVES 2
#define STOPPED 3 /* it gives up: no reads, no writes */
byte up = 7 - UNBORN;
byte lost;        /* the stores that are gone for ever */
byte unborn = UNBORN;
byte starting;    /* who has not seen the record since it was started */
byte role[N];
byte known[N];    /* the highest epoch seen anywhere */
byte view_in_sync[N]; /* of a primary */
byte newest; /* whose view is the present revision; a request of the others fails, so that it is not sent */
byte asked[N];    /* the request whose outcome is not known yet */
byte asked_set[N];
byte match[N * N]; /* what the other one acknowledged in this epoch */
byte told_to_install[N];
byte answered[N]; /* the learners that acknowledged anything in this epoch, since they were told to install if they were */
byte lease = 7 - UNBORN;  /* who believes in its lease */
byte seen_under_lease; /* who has seen the record since its node key was written under this lease */
#if LAGS
byte look;        /* who has read the record and not handled it */
byte look_epoch[N], look_primary[N], look_in_sync[N];
byte look_newest, look_under_lease, look_settles;
#endif

/* -- what the properties remember -------------------------------------------------------------------------------- */
byte agreed[LAST + 1]; /* the acknowledged entries */
byte agreed_last;
byte owed;             /* up to here a read must see, as the last acknowledged batch of a client stands there */
byte served = 1;       /* the highest epoch that has served */
byte commits_in[EPOCHS + 1]; /* who committed in this epoch, plus one */
byte writes, changes, give_ups, expiries, crashes, wipes, installs;

hidden byte i, j, k, e, p, pe, x, c, w;

/* -- properties -------------------------------------------------------------------------------------------------- */

/* 4: logs that share epoch and index are alike up to it. */
inline check_log(s) {
  for (j : 0 .. N - 1) {
    if
    :: j != s ->
      k = 0; /* whether a difference was seen below */
      for (i : 1 .. LAST) {
        if
        :: i <= last[s] && i <= last[j] ->
          if
          :: at(s, i) != at(j, i) -> k = 1
          :: else
          fi;
          assert(!(k && epoch_of(at(s, i)) == epoch_of(at(j, i))))
        :: else
        fi
      }
    :: else
    fi
  }
  i = 0; j = 0; k = 0
}

/* Whoever may be chosen has all that was acknowledged, and no mark: 1 and 6, before they could do harm. */
inline check_record() {
  for (j : 0 .. N - 1) {
    if
    :: in(rec_in_sync, j) && !in(lost, j) ->
      assert(!in(installing, j));
      assert(last[j] >= agreed_last);
      for (i : 1 .. LAST) {
        assert(i > agreed_last || at(j, i) == agreed[i])
      }
    :: else
    fi
  }
  i = 0; j = 0
}

/* `s` applies up to `upto` as its primary. */
inline commit(s, upto) {
  for (i : 1 .. LAST) {
    if
    :: i > applied[s] && i <= upto ->
      if
      :: i <= agreed_last -> assert(agreed[i] == at(s, i)) /* 1 */
      :: else ->
        assert(known[s] >= served); /* 3: an old one may still learn of what the newer one has, no more */
        agreed[i] = at(s, i);
        agreed_last = i;
        if
        :: at(s, i) == entry(epoch_of(at(s, i)), 0)
        :: else -> owed = i
        fi
      fi
    :: else
    fi
  }
  applied[s] = upto;
  assert(commits_in[known[s]] == 0 || commits_in[known[s]] == s + 1); /* 2 */
  commits_in[known[s]] = s + 1;
  i = 0;
  check_record()
}

inline serve(s) {
  role[s] = SERVES;
  assert(!in(installing, s));           /* 6 */
  assert(applied[s] >= agreed_last);    /* 1 */
  if
  :: known[s] > served -> served = known[s]
  :: else
  fi
}

#define leads(s) (role[s] == TAKES_OVER || role[s] == SERVES)

/* -- small steps ------------------------------------------------------------------------------------------------- */

inline write_record(epoch, primary, set) {
  rec_epoch = epoch;
  rec_primary = primary;
  rec_in_sync = set;
  for (i : 0 .. N - 1) {
    request[i] = NONE;
    request_set[i] = 0
  }
  i = 0;
  newest = 0;
#if LAGS
  look_newest = 0;
#endif
  check_record()
}

inline follow(s) {
  role[s] = FOLLOWS;
  view_in_sync[s] = 0;
  newest = without(newest, s);
  seen_under_lease = without(seen_under_lease, s);
  asked[s] = NONE;
  asked_set[s] = 0;
  told_to_install[s] = 0;
  answered[s] = 0;
  for (i : 0 .. N - 1) {
    matched(s, i) = 0
  }
  i = 0
}

inline lose_link(a, b) {
  do
  :: nempty(data[link(a, b)]) -> data[link(a, b)]?_,_,_,_,_; flight--
  :: empty(data[link(a, b)]) -> break
  od;
  do
  :: nempty(data[link(b, a)]) -> data[link(b, a)]?_,_,_,_,_; flight--
  :: empty(data[link(b, a)]) -> break
  od;
  do
  :: nempty(acks[link(a, b)]) -> acks[link(a, b)]?_,_,_; flight--
  :: empty(acks[link(a, b)]) -> break
  od;
  do
  :: nempty(acks[link(b, a)]) -> acks[link(b, a)]?_,_,_; flight--
  :: empty(acks[link(b, a)]) -> break
  od;
  told_to_install[a] = without(told_to_install[a], b);
  told_to_install[b] = without(told_to_install[b], a)
}

inline append(s, what) {
  last[s] = last[s] + 1;
  at(s, last[s]) = what;
  check_log(s)
}

inline acknowledged_by_all(s) { /* leaves it in c */
  c = synced[s];
  for (i : 0 .. N - 1) {
    if
#ifdef FLAW_NO_UNION
    :: i != s && in(view_in_sync[s], i) && matched(s, i) < c -> c = matched(s, i)
#else
    :: i != s && in(view_in_sync[s] | asked_set[s], i) && matched(s, i) < c -> c = matched(s, i)
#endif
    :: else
    fi
  }
#ifdef FLAW_MAJORITY
  c = 0;
  for (i : 0 .. N - 1) {
    if
    :: i != s && matched(s, i) > c -> c = (matched(s, i) < synced[s] -> matched(s, i) : synced[s])
    :: else
    fi
  }
#endif
  i = 0
}

/* Commits what all have acknowledged. */
inline advance(s) {
  if
  :: leads(s) ->
    acknowledged_by_all(s);
    if
    :: c > applied[s] -> commit(s, c)
    :: else
    fi;
    c = 0;
    if
#ifdef FLAW_NO_EMPTY_ENTRY
    :: role[s] == TAKES_OVER && applied[s] == last[s] -> serve(s)
#else
    :: role[s] == TAKES_OVER && epoch_of(at(s, applied[s])) == known[s] -> serve(s)
#endif
    :: else
    fi
  :: else
  fi
}

/* A primary's own entry. Without crashes it makes no difference when it is synced. */
inline append_own(s, what) {
  append(s, what);
#if !CRASHES && !WIPES
  synced[s] = last[s]
#endif
}

inline cut(s, after) {
  for (i : 1 .. LAST) {
    if
    :: i > after -> at(s, i) = 0
    :: else
    fi
  }
  i = 0;
  last[s] = after;
  if
  :: synced[s] > after -> synced[s] = after
  :: else
  fi
}

inline take_over(s) {
  role[s] = TAKES_OVER;
#ifndef FLAW_NO_EMPTY_ENTRY
  append_own(s, entry(known[s], 0));
#endif
#ifdef FLAW_SERVES_AT_ONCE
  serve(s)
#endif
}

inline crash(s) {
  follow(s);
  up = without(up, s);
  starting = without(starting, s);
  known[s] = 0;
  lease = without(lease, s);
#if LAGS
  look = without(look, s);
  look_newest = without(look_newest, s);
  look_under_lease = without(look_under_lease, s);
  look_settles = without(look_settles, s);
  look_epoch[s] = 0; look_primary[s] = 0; look_in_sync[s] = 0;
#endif
  lose_link(s, ((s + 1) % N));
  lose_link(s, ((s + 2) % N))
}

inline start(s) {
  up = with(up, s);
  starting = with(starting, s);
  keys = with(keys, s);
  lease = with(lease, s);
  newest = without(newest, s);
#ifdef FLAW_RESTART_FORGETS
  known[s] = epoch_of(at(s, last[s]))
#endif
}

/* The record is handled: epoch re, primary rp, set rs. `settles`: its revision is past the one that `s` asked to change. */
inline see_record(s, re, rp, rs, settles) {
  if
  :: settles -> asked[s] = NONE; asked_set[s] = 0
  :: else
  fi;
  if
  :: in(starting, s) ->
    /* What this record gives, it may have given to an earlier process. */
    starting = without(starting, s);
#ifdef FLAW_RESTART_KEEPS_EPOCH
    if
    :: rp == s && re >= known[s] -> role[s] = SERVES
    :: else
    fi;
#endif
    if
    :: re > known[s] -> known[s] = re
    :: else
    fi
  :: else ->
    if
    :: re > known[s] ->
      known[s] = re;
      follow(s);
      if
      :: rp == s -> take_over(s)
      :: else
      fi
    :: re == known[s] && role[s] != FOLLOWS && rp != s -> follow(s)
    :: re == known[s] && role[s] == STOPPED && asked[s] == NONE && rp == s ->
      /* It was not given up after all. */
      if
      :: epoch_of(at(s, applied[s])) == known[s] -> role[s] = SERVES
      :: else -> role[s] = TAKES_OVER
      fi
    :: else
    fi
  fi;
  if
  :: role[s] != FOLLOWS -> view_in_sync[s] = rs; advance(s)
  :: else
  fi
}

/* Others read it, too; that lets them refuse more, which is no more than a lost message. */
#define cares(s) (role[s] != FOLLOWS || rec_primary == s || in(starting, s))
#define has_news(s) (cares(s) && (!in(newest, s) || !in(seen_under_lease, s) || (asked[s] != NONE && request[s] == NONE)))
#ifdef FLAW_UNCHANGED_IS_AN_ANSWER
#define may_look(s) (in(up, s) && (has_news(s) || asked[s] != NONE))
#define settles_now(s) true
#else
#define may_look(s) (in(up, s) && has_news(s))
#define settles_now(s) (request[s] == NONE)
#endif

/* -- steps of store n that concern store q ----------------------------------------------------------------------- */

/* Before it has seen the record a process hears nobody: it does not know yet whom the one before it had left. Its last entry can't tell,
 * as a new primary may have made others cut theirs and then lost its own. */
#ifdef FLAW_RESTART_FORGETS
#define hears(s) in(up, s)
#else
#define hears(s) (in(up, s) && !in(starting, s))
#endif
/* A message that would change nothing on either side is not sent. */
#define useful(s, q) (in(up, s) && leads(s) && in(up, q) && flight < FLIGHT && nfull(data[link(s, q)]) && !in(told_to_install[s], q) && \
                      (known[s] != known[q] || !in(view_in_sync[s] | answered[s], q) || \
                       matched(s, q) < last[s] || applied[q] < applied[s]))
#define before_entry(s, q) data[link(s, q)]!known[s], i, epoch_of(at(s, i)), (i < last[s] -> at(s, i + 1) : 0), applied[s]; flight++

inline to_and_from(q) {
  if
  /* Sends what follows the last acknowledged position ... */
  :: d_step {
    useful(n, q) ->
    i = matched(n, q);
    before_entry(n, q);
    i = 0
  }
  /* ... or, hoping that the rest is there, only its last entry. */
  :: d_step {
    useful(n, q) && last[n] > matched(n, q) + 1 ->
    i = last[n] - 1;
    before_entry(n, q);
    i = 0
  }
  :: d_step {
    hears(n) && nempty(data[link(q, n)]) ->
    data[link(q, n)]?e,p,pe,x,c;
    flight--;
    if
    :: e < known[n] ->
      if
      :: nfull(acks[link(n, q)]) -> acks[link(n, q)]!known[n],0,REFUSED; flight++
      :: full(acks[link(n, q)])
      fi
    :: else ->
      assert(!(e == known[n] && role[n] != FOLLOWS));
      if
      :: e > known[n] -> known[n] = e; follow(n)
      :: else
      fi;
      if
      :: x == SNAPSHOT && !in(installing, n) ->
        /* Durable before the range is dropped. */
        installing = with(installing, n);
        cut(n, 0);
        applied[n] = 0
      :: x == SNAPSHOT && in(installing, n) ->
        for (i : 1 .. LAST) {
          if
          :: i <= c -> at(n, i) = at(q, i)
          :: else
          fi
        }
        last[n] = c; synced[n] = c; applied[n] = c;
        installing = without(installing, n);
        if
        :: nfull(acks[link(n, q)]) -> acks[link(n, q)]!e,c,INSTALLED; flight++
        :: full(acks[link(n, q)])
        fi
      :: x != SNAPSHOT && (!in(installing, n)
#ifdef FLAW_MARK_APPENDS
          || true
#endif
          ) &&
#ifdef FLAW_NO_POSITION_CHECK
          p <= last[n]
#else
          p <= last[n] && (p == 0 || epoch_of(at(n, p)) == pe)
#endif
        ->
        if
        :: x == 0
        :: x != 0 ->
          if
          :: p < last[n] && epoch_of(at(n, p + 1)) == epoch_of(x)
          :: else ->
            assert(p >= applied[n]); /* what was applied is never cut */
            cut(n, p);
            append(n, x)
          fi;
          p++
        fi;
#ifndef FLAW_ACK_BEFORE_SYNC
        synced[n] = last[n]; /* also what it had appended before, as a primary */
#endif
#ifdef FLAW_ACK_OF_LOG_END
        p = last[n];
#endif
        if
        :: c > p -> c = p
        :: else
        fi;
        if
        :: c > applied[n] -> applied[n] = c
        :: else
        fi;
        assert(applied[n] <= agreed_last);
        for (i : 1 .. LAST) {
          assert(i > applied[n] || at(n, i) == agreed[i])
        }
        i = 0;
        if
        :: nfull(acks[link(n, q)]) -> acks[link(n, q)]!e,p,APPENDED; flight++
        :: full(acks[link(n, q)])
        fi
      :: else
      fi
    fi;
    e = 0; p = 0; pe = 0; x = 0; c = 0
  }
  :: d_step {
    hears(n) && nempty(acks[link(q, n)]) ->
    acks[link(q, n)]?e,p,w;
    flight--;
    if
    :: e > known[n] -> known[n] = e; follow(n)
#ifdef FLAW_OLD_ACKS
    :: e <= known[n] && leads(n) && w != REFUSED ->
#else
    :: e == known[n] && leads(n) && w != REFUSED ->
#endif
      if
      :: w == INSTALLED -> told_to_install[n] = without(told_to_install[n], q)
      :: else
      fi;
      if
#ifndef FLAW_ACKS_WHILE_INSTALLING
      :: in(told_to_install[n], q)
#endif
      :: else ->
        if
        :: p > matched(n, q) -> matched(n, q) = p
        :: else
        fi;
        if
        :: !in(view_in_sync[n], q) -> answered[n] = with(answered[n], q)
        :: else
        fi;
        p = 0;
        advance(n)
      fi
    :: else
    fi;
    e = 0; p = 0; w = 0
  }
  /* Puts q out. */
  :: d_step {
    changes < CHANGES && in(up, n) && leads(n) && in(newest, n) && asked[n] == NONE && request[n] == NONE &&
        in(view_in_sync[n], q) ->
    changes++;
    asked[n] = CHANGE; asked_set[n] = without(view_in_sync[n], q);
    request[n] = CHANGE; request_set[n] = asked_set[n]
  }
  /* Takes q in. */
  :: d_step {
    changes < CHANGES && in(up, n) && in(newest, n) && asked[n] == NONE && request[n] == NONE && !in(view_in_sync[n], q) &&
#ifndef FLAW_TAKES_IN_EARLY
        /* Both have the first entry of this epoch, so all before it, too. It need not be committed: a dead member may prevent that. */
        epoch_of(at(n, (matched(n, q) < synced[n] -> matched(n, q) : synced[n]))) == known[n] &&
#endif
        leads(n) && !in(told_to_install[n], q) && in(answered[n], q) && matched(n, q) >= applied[n] ->
    changes++;
    answered[n] = without(answered[n], q);
    asked[n] = CHANGE; asked_set[n] = with(view_in_sync[n], q);
    request[n] = CHANGE; request_set[n] = asked_set[n]
  }
  :: d_step {
    installs < INSTALLS && in(up, n) && role[n] == SERVES && flight < FLIGHT && nfull(data[link(n, q)]) &&
#ifndef FLAW_MEMBER_INSTALLS
        !in(view_in_sync[n] | asked_set[n], q) &&
#endif
        !in(told_to_install[n], q) && in(up, q) ->
    installs++;
    told_to_install[n] = with(told_to_install[n], q);
    matched(n, q) = 0;
    answered[n] = without(answered[n], q);
    data[link(n, q)]!known[n],0,0,SNAPSHOT,applied[n];
    flight++
  }
  /* The rest of the snapshot. */
  :: d_step {
    in(up, n) && role[n] == SERVES && in(told_to_install[n], q) && flight < FLIGHT && nfull(data[link(n, q)]) && in(installing, q) ->
    data[link(n, q)]!known[n],0,0,SNAPSHOT,applied[n];
    flight++
  }
  fi
}

/* -- the rest of a store ----------------------------------------------------------------------------------------- */

proctype store(byte n) {
end:
  do
  /* A client's batch. */
  :: d_step {
    in(up, n) && role[n] == SERVES && writes < WRITES ->
    writes++;
    append_own(n, entry(known[n], writes));
    advance(n)
  }
  :: d_step { in(up, n) && synced[n] < last[n] -> synced[n] = last[n]; advance(n) }
  /* 5: a read that is answered now. */
  :: d_step {
    in(up, n) && in(lease, n) && applied[n] < owed &&
#ifdef FLAW_READS_WHILE_GIVING_UP
        (role[n] == SERVES || role[n] == STOPPED) &&
#else
        role[n] == SERVES &&
#endif
#ifdef FLAW_NEW_LEASE_OLD_VIEW
        true ->
#else
        in(seen_under_lease, n) ->
#endif
    assert(applied[n] >= owed)
  }
  /* The record. */
#if LAGS
  :: d_step {
    may_look(n) && !in(look, n) ->
    look = with(look, n);
    look_epoch[n] = rec_epoch; look_primary[n] = rec_primary; look_in_sync[n] = rec_in_sync;
    look_newest = with(look_newest, n);
    look_under_lease = (in(lease, n) -> with(look_under_lease, n) : without(look_under_lease, n));
    look_settles = (settles_now(n) -> with(look_settles, n) : without(look_settles, n))
  }
  :: d_step {
    in(up, n) && in(look, n) ->
    see_record(n, look_epoch[n], look_primary[n], look_in_sync[n], in(look_settles, n));
    newest = (in(look_newest, n) -> with(newest, n) : without(newest, n));
    seen_under_lease = (in(look_under_lease, n) -> with(seen_under_lease, n) : seen_under_lease);
    look = without(look, n);
    look_newest = without(look_newest, n);
    look_under_lease = without(look_under_lease, n);
    look_settles = without(look_settles, n);
    look_epoch[n] = 0; look_primary[n] = 0; look_in_sync[n] = 0
  }
#else
  :: d_step {
    may_look(n) ->
    w = settles_now(n);
    see_record(n, rec_epoch, rec_primary, rec_in_sync, w);
    w = 0;
    newest = with(newest, n);
    seen_under_lease = (in(lease, n) -> with(seen_under_lease, n) : seen_under_lease)
  }
#endif
  :: d_step {
    give_ups < GIVE_UPS && in(up, n) && leads(n) && in(newest, n) && asked[n] == NONE && request[n] == NONE ->
    give_ups++;
    role[n] = STOPPED;
    asked[n] = GIVE_UP; request[n] = GIVE_UP
  }
  /* Named for an epoch in which it does not serve. */
  :: d_step {
    in(up, n) && !in(starting, n) && role[n] == FOLLOWS && rec_primary == n && in(newest, n) && asked[n] == NONE &&
        request[n] == NONE && rec_epoch < EPOCHS ->
    asked[n] = NAME_SELF; request[n] = NAME_SELF
  }
  :: d_step {
    expiries < EXPIRIES && in(up, n) && in(keys, n) ->
    expiries++;
    keys = without(keys, n);
#ifndef FLAW_CLOCK
    lease = without(lease, n);
    seen_under_lease = without(seen_under_lease, n);
#if LAGS
    look_under_lease = without(look_under_lease, n)
#endif
#endif
  }
  :: d_step { in(up, n) && !in(lease, n) -> keys = with(keys, n); lease = with(lease, n) }
  :: d_step {
    crashes < CRASHES && in(up, n) ->
    crashes++;
    crash(n);
    cut(n, synced[n])
  }
  /* The tail was written, only not waited for. */
  :: d_step {
    crashes < CRASHES && in(up, n) && synced[n] < last[n] ->
    crashes++;
    crash(n);
    synced[n] = last[n]
  }
  :: d_step { !in(up, n) && in(keys, n) -> keys = without(keys, n) }
  :: d_step { !in(up, n) && !in(lost, n) && !in(unborn, n) -> start(n) }
#if WIPES
  :: d_step {
    wipes < WIPES && in(up, n) && !in(unborn, n) ->
    wipes++;
    crash(n);
    cut(n, 0);
    applied[n] = 0;
#ifndef FLAW_WIPED_KEEPS_ID
    lost = with(lost, n);
    unborn = 0
#endif
  }
#endif
  :: to_and_from(((n + 1) % N))
  :: to_and_from(((n + 2) % N))
  od
}

/* -- etcd, the controller, the network --------------------------------------------------------------------------- */

inline may_happen(s) {
  if
  :: d_step { request[s] == CHANGE -> write_record(rec_epoch, rec_primary, request_set[s]) }
  :: d_step { request[s] == GIVE_UP -> write_record(rec_epoch, NOBODY, rec_in_sync) }
  :: d_step { request[s] == NAME_SELF -> write_record(rec_epoch + 1, s, rec_in_sync) }
  /* Lost on its way; or its sender, who can't know that, has overtaken it by writing the record once more. */
  :: d_step { request[s] != NONE -> request[s] = NONE; request_set[s] = 0 }
  /* The controller names s. */
  :: d_step {
    rec_epoch < EPOCHS && in(keys, s) &&
#ifndef FLAW_PROMOTES_ANY
        in(rec_in_sync, s) &&
#endif
#if IN_SYNC == 7
        /* Stores 1 and 2 are alike up to here, so that only one of them has to be tried. */
        (rec_epoch > 1 || s != 2) &&
#endif
#ifdef FLAW_KEY_NOT_COMPARED
        rec_primary != s ->
#else
        (rec_primary == NOBODY || !in(keys, rec_primary)) ->
#endif
    write_record(rec_epoch + 1, s, rec_in_sync)
  }
  fi
}

inline may_fail(a, b) {
  if
  :: d_step {
    nempty(data[link(a, b)]) || nempty(data[link(b, a)]) || nempty(acks[link(a, b)]) || nempty(acks[link(b, a)]) ->
    lose_link(a, b)
  }
  fi
}

proctype world() {
end:
  do
  :: may_happen(0)
  :: may_happen(1)
  :: may_happen(2)
  :: may_fail(0, 1)
  :: may_fail(0, 2)
  :: may_fail(1, 2)
#ifdef GOAL
  :: d_step { GOAL -> assert(false) }
#endif
  od
}

init {
  d_step {
    role[0] = SERVES;
    commits_in[1] = 1;
    for (j : 0 .. N - 1) {
      at(j, 0) = entry(1, 0);
      if
      :: in(up, j) ->
        known[j] = 1
      :: else
      fi
    }
    j = 0;
    view_in_sync[0] = IN_SYNC;
    newest = 1;
    seen_under_lease = 1
  }
  atomic {
    run store(0);
    run store(1);
    run store(2);
    run world()
  }
}
