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
 *
 * Here: bounds, words, and all that is remembered. Then properties.pml: what is asserted. moves.pml: what a step is made of.
 * store.pml: the steps of a store. world.pml: those of etcd, the controller and the network.
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

#define leads(s) (role[s] == TAKES_OVER || role[s] == SERVES)

hidden byte i, j, k, e, p, pe, x, c, w; /* scratch, nothing between two steps */

#include "properties.pml"
#include "moves.pml"
#include "store.pml"
#include "world.pml"

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
