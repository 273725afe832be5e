/* properties: what is asserted, by the numbers of README.md; and commit and serve, where most of it is. Part of shard.pml. */

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
