/* store: all that a store may do, as one process each: toward one other store, then by itself. Part of shard.pml. */

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
