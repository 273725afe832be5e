"""What is checked after a round of faults can fail: each kind of mistake, put into what a good round leaves, is found. And the
plan of a round is what its seed says."""

import copy
import random
import socket

import pytest
from support import proving_ground
from support.nemesis import AT_ONCE, FAULTS, Drain, draw_plan, leaves_a_chance
from support.network import Loopback, listener
from support.proving_ground import DrainOrder
from support.server import free_port
from support.stores import check_claims, claims, compare
from support.tcp_proxy import Proxy
from support.waiting import LIMIT_S

NODES = ["n1", "n2", "n3"]


def good_stores():
    """One shard on three stores; c has not applied the last entry yet, and keeps less of its log."""
    log = [[1, 1, ""], [1, 2, "aa"], [2, 3, ""], [2, 4, "bb"], [2, 5, "cc"]]
    held = {"first": [0, 0], "applied": [2, 5], "last": [2, 5], "installing": False, "log": log, "state": "s5"}
    stores = {name: {0: copy.deepcopy(held)} for name in "abc"}
    stores["c"][0].update(applied=[2, 4], state="s4", first=[1, 2], log=copy.deepcopy(log[2:]))
    return stores, [{"epoch": 2, "primary": "a", "in_sync": ["a", "b", "c"]}]


def other_epoch(stores, records):
    stores["b"][0]["log"][1][0] = 2


def other_batch(stores, records):
    stores["b"][0]["log"][3][2] = "bc"


def other_state(stores, records):
    stores["b"][0]["state"] = "s5 but not quite"


def lose_entries(stores, records):
    shard = stores["c"][0]
    del shard["log"][-2:]
    shard.update(applied=[2, 3], last=[2, 3])


def still_installing(stores, records):
    shard = stores["b"][0]
    del shard["log"], shard["state"]
    shard["installing"] = True


def lose_shard(stores, records):
    del stores["b"][0]


def turn_epoch_back(stores, records):
    for s in stores.values():
        s[0]["log"][-1][0] = 1


def test_good_stores_pass():
    stores, records = good_stores()
    assert compare(stores, records) == ([], 1)


def test_a_store_that_nobody_counts_on_may_lag_behind_and_have_a_tail_of_its_own():
    stores, records = good_stores()
    records[0]["in_sync"] = ["a", "b"]
    stores["c"][0]["log"][-1][0:3] = [1, 5, "of an old primary"]
    stores["c"][0]["log"][-2][0:3] = [1, 4, "of an old primary"]
    stores["c"][0]["log"][-3][0:3] = [1, 3, "of an old primary"]
    stores["c"][0].update(applied=[1, 2], last=[1, 5], state="s2")
    assert compare(stores, records) == ([], 1)
    stores["c"][0].update(applied=[1, 4])  # but not if it holds that for the truth
    assert any("index 4" in p for p in compare(stores, records)[0])


@pytest.mark.parametrize("spoil,word", [
    (other_epoch, "index 2 is of epoch"), (other_batch, "index 4 is of epoch"), (other_state, "different states"),
    (lose_entries, "applied elsewhere"), (still_installing, "applied elsewhere"), (lose_shard, "applied elsewhere"),
    (turn_epoch_back, "epoch 1 follows on 2"),
], ids=lambda x: getattr(x, "__name__", x))
def test_each_difference_between_stores_is_found(spoil, word):
    stores, records = good_stores()
    spoil(stores, records)
    problems, _ = compare(stores, records)
    assert any(word in p for p in problems), problems


def test_an_epoch_that_was_served_twice_is_found():
    n1 = ("== process 1\n... info what=serving shard=7 epoch=2\n... what=serving shard=7 epoch=4\n"
          "== process 2\n... what=serving shard=8 epoch=2\n")
    n2 = "== process 1\nwhat=serving shard=7 epoch=3\n"
    assert check_claims(claims("n1", n1) + claims("n2", n2)) == []
    by_another = check_claims(claims("n1", n1) + claims("n2", n2 + "what=serving shard=7 epoch=4\n"))
    assert by_another == ["shard 7: epoch 4 was served by n1, process 1 and by n2, process 1"]
    after_a_restart = check_claims(claims("n1", n1 + "what=serving shard=7 epoch=4\n"))
    assert after_a_restart == ["shard 7: epoch 4 was served by n1, process 1 and by n1, process 2"]


# -- plans -------------------------------------------------------------------------------------------------------------
def told(plan):
    return [(round(s.at_s, 6), s.begins, s.fault.kind, sorted(s.fault.touches), s.fault.lasting_s) for s in plan]


def test_a_plan_is_what_its_seed_says():
    assert told(draw_plan("7", 50, NODES)) == told(draw_plan("7", 50, NODES))
    assert told(draw_plan("7", 50, NODES)) != told(draw_plan("8", 50, NODES))


@pytest.mark.parametrize("seed", range(20))
def test_faults_leave_a_chance_and_end(seed):
    nodes = NODES + ["n4", "n5"][:seed % 3]
    active, overlaps = [], 0
    for step in draw_plan(seed, 60, nodes):
        if step.begins:
            assert leaves_a_chance(step.fault, active, nodes)
            overlaps += bool(active)
            active.append(step.fault)
        else:
            active.remove(step.fault)
        assert len(active) <= AT_ONCE
    assert not active and overlaps > 5


def test_every_kind_is_drawn():
    assert {s.fault.kind for s in draw_plan("1", sum(f.weight for f in FAULTS.values()), NODES)} == set(FAULTS)


# -- drains ------------------------------------------------------------------------------------------------------------
ORDERED, REFUSED = "n1 drains: it leads 40 shards, it has not answered yet", "1 shard has no other live copy in sync"
HEARD = "what=draining node=n1\n"


class Order:
    """Stands in for the command: has said this, and ended with that; None: it goes on."""

    def __init__(self, said=ORDERED, result=None):
        self.text, self.result = said, result

    def said(self):
        return self.text

    def has_ended(self):
        return self.result is not None

    def is_given(self):
        if not self.text:
            raise AssertionError("still not: the order is given, or refused")
        return self.text == ORDERED

    def wait(self):
        return self.result


class Ground:
    """Stands in for a proving ground and for its only node. `tale`: one look at etcd after the other: whether the order
    stands (None: etcd does not answer), and what the node has logged and ended with by then; the last one stays."""

    name, drain_limit_s = "n1", LIMIT_S

    def __init__(self, orders, tale=((True, "", None),)):
        self.orders, self.tale, self.ordered = list(orders), list(tale), []
        self.process, self.starts = self, 0

    def node(self, _):
        return self

    def order_drain(self, _, force=False):
        self.ordered.append(force)
        return self.orders.pop(0)

    def stored(self, prefix):
        stands, *_ = self.tale[0]
        if len(self.tale) > 1:
            self.tale.pop(0)
        if stands is None:
            raise OSError("no member of etcd answers")
        return {f"{prefix}n1": "{}"} if stands else {}

    def log_of_process(self):
        return self.tale[0][1]

    def poll(self):
        return self.tale[0][2]

    wait = poll

    def spawn(self):
        self.starts += 1


def drain_of_n1(force=False, patience_s=0):
    fault = Drain(random.Random(1), ["n1"])
    fault.force, fault.patience_s = force, patience_s
    return fault


def test_a_drain_is_forced_when_it_was_refused_for_long_enough():
    ground = Ground([Order(REFUSED, 1), Order()])
    assert drain_of_n1(patience_s=0.1).begin(ground) == "drain of n1 by force"
    assert ground.ordered == [False, True]


def test_a_drain_that_is_refused_where_force_does_not_help_does_nothing():
    ground = Ground([Order("the node n1 does not run: there is nothing to drain", 1)])
    fault = drain_of_n1()
    assert fault.begin(ground) == "drain of n1 is refused: the node n1 does not run: there is nothing to drain"
    assert fault.end(ground) == "n1 was not drained" and ground.starts == 0


def test_a_drain_that_is_refused_by_force_is_found():
    with pytest.raises(AssertionError, match="by force was refused: 1 shard"):
        drain_of_n1(force=True).begin(Ground([Order(REFUSED, 1)]))


def test_a_drain_command_that_hangs_is_found_and_gets_no_second_one_beside_it():
    ground = Ground([Order(said=""), Order()])
    with pytest.raises(AssertionError, match="the order is given, or refused"):
        drain_of_n1(patience_s=LIMIT_S).begin(ground)
    assert ground.ordered == [False]


def test_a_drain_command_that_hangs_is_ended(tmp_path, monkeypatch):
    program = tmp_path / "hangs"
    program.write_text("#!/bin/sh\necho it is about to try\nexec sleep 1000\n")
    program.chmod(0o755)
    monkeypatch.setattr(proving_ground, "GREENROOM", program)
    monkeypatch.setattr(DrainOrder, "limit_s", 0.5)
    order = DrainOrder(tmp_path, 1, ["n1"])
    try:
        with pytest.raises(AssertionError, match="the order is given, or refused"):
            order.is_given()
        assert order.has_ended()
    finally:
        order.kill()


DRAINED = HEARD + "what=drained node=n1\n"


@pytest.mark.parametrize("tale", [
    # Its lease ended before it had heard; it registers with the order, which it hears of then.
    [(True, "", None), (True, "what=registered\n", None), (True, HEARD, None), (False, DRAINED, 0)],
    # It hears while etcd is looked at.
    [(False, "", None), (False, HEARD, None), (False, DRAINED, 0)],
    # Nobody can say whether the order stands.
    [(None, "", None), (None, "", None), (True, HEARD, None), (False, DRAINED, 0)],
], ids=["registers anew", "hears just now", "etcd is away"])
def test_a_node_may_hear_of_its_drain_after_the_command_has_ended(tale):
    ground = Ground([Order(result=1)], tale)
    fault = drain_of_n1()
    fault.begin(ground)
    fault.order.text += "\nn1 has gone from etcd while it led 40 shards"
    assert fault.end(ground) == "n1, drained, starts" and ground.starts == 1


def test_a_node_whose_order_is_gone_before_it_heard_never_hears():
    ground = Ground([Order(result=1)], [(True, "", None), (False, "", None)])
    fault = drain_of_n1()
    fault.begin(ground)
    assert fault.end(ground) == "n1 never heard of its drain" and ground.starts == 0


@pytest.mark.parametrize("log,code,word", [(DRAINED, 3, "ended with 3"), ("", 0, "not because it was drained"),
                                           (DRAINED, 0, "but the command ended with 1")],
                         ids=["the node fails", "nothing in the log", "the command fails"])
def test_a_drain_that_ends_in_a_wrong_way_is_found(log, code, word):
    fault, ground = drain_of_n1(), Ground([Order(result=1)], [(True, log, code)])
    fault.begin(ground)
    with pytest.raises(AssertionError, match=word):
        fault.end(ground)


# -- lines -------------------------------------------------------------------------------------------------------------
def test_a_line_carries_holds_and_goes_on():
    here = Loopback(["here"]).places["here"]
    proxy = Proxy()
    far = listener(here, ("127.0.0.1", 0))
    port = free_port()
    try:
        line = proxy.line("line", (here, "127.0.0.1", port), (here, *far.getsockname()))
        near = socket.create_connection(("127.0.0.1", port), LIMIT_S)
        come, _ = far.accept()
        come.settimeout(LIMIT_S)
        near.sendall(b"one")
        assert come.recv(10) == b"one"
        line.set(holds=True)
        near.sendall(b"two")
        come.settimeout(0.5)
        with pytest.raises(TimeoutError):
            come.recv(10)
        line.set(bytes_per_s=1_000)
        come.settimeout(LIMIT_S)
        assert come.recv(10) == b"two"
        line.set(delay_s=0.2)
        near.sendall(b"three")
        near.shutdown(socket.SHUT_WR)
        assert come.recv(10) == b"three" and come.recv(10) == b""
        near.close()
        come.close()
    finally:
        proxy.end()
        far.close()
