/* moves: what steps of stores and of the world are made of: the record, links, logs, a primary's beginning, start and crash.
 * Part of shard.pml; each is within an atomic step. */

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
