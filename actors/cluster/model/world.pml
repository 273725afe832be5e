/* world: what etcd, the controller and the network may do at any time. Part of shard.pml. */

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
