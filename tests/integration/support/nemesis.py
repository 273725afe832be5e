"""What the nemesis does to a ProvingGround: kinds of faults, and plans of them drawn from a seed.

A plan depends on its seed alone, never on how fast the machine is. Faults overlap where the cluster still has a chance to go
on; those that take everything away stand alone. Each fault says in one line what it did.
"""

import random
import shutil
import signal
import time
from dataclasses import dataclass

from .etcd import etcd_names
from .waiting import until

GAP_S = (0.3, 2.5)  # between the beginnings of two faults
AT_ONCE = 3  # faults that overlap, at most


class Fault:
    """Drawn from `chance` for a cluster with these nodes; begin() and end() do it and say what they did."""

    kind = ""
    weight = 1
    lasts_s = (1, 6)
    needs = ()  # of what a ProvingGround may lack: network, disk, clock
    alone = False  # whether no other fault may overlap with it

    def __init__(self, chance, nodes):
        self.chance, self.nodes, self.members = chance, nodes, etcd_names()
        self.lasting_s = round(chance.uniform(*self.lasts_s), 1)
        self.touches = set()  # processes that no other fault should meddle with meanwhile
        self.out = set()  # nodes and members of etcd that the others can't count on meanwhile
        self.draw()

    def draw(self):
        raise NotImplementedError

    def begin(self, ground):
        raise NotImplementedError

    def end(self, ground):
        raise NotImplementedError


class Kill(Fault):
    kind, weight, lasts_s = "kill", 3, (0.1, 6)

    def draw(self):
        self.who = self.chance.choice(self.nodes)
        self.touches = self.out = {self.who}

    def begin(self, ground):
        ground.process_of(self.who).kill()
        return f"SIGKILL of {self.who}"

    def end(self, ground):
        ground.process_of(self.who).spawn()
        return f"{self.who} starts"


class KillEtcd(Kill):
    kind, weight = "kill_etcd", 1

    def draw(self):
        self.who = self.chance.choice(self.members)
        self.touches = self.out = {self.who}


class Restart(Kill):
    """As an upgrade does it."""

    kind, weight = "restart", 1

    def begin(self, ground):
        node = ground.node(self.who)
        code = node.stop()
        # One that was only just started may not have got as far as to wait for signals.
        assert code == 0 or code == -signal.SIGTERM and not node.has_begun(), f"{self.who} ended with {code} after SIGTERM"
        return f"SIGTERM of {self.who}, which ended with {code}"


class Drain(Fault):
    """As an operator does it, who takes to force after a while if it is refused, or at once. The node ends by itself, unless its
    lease and with it the order was gone before it heard."""

    kind, weight, lasts_s = "drain", 2, (1, 6)
    patience_s = 5  # how long it is tried without force
    refusals = ("does not run", "there is no node", "is the only node that runs")  # force does not help there

    def draw(self):
        self.who = self.chance.choice(self.nodes)
        self.force = self.chance.random() < 0.5
        self.touches = self.out = {self.who}

    def begin(self, ground):
        self.node = ground.node(self.who)
        began = time.monotonic()

        def is_settled():
            """Given, or refused although it was by force and has been tried for long enough."""
            is_last = time.monotonic() - began >= self.patience_s
            self.force = self.force or is_last
            self.order = ground.order_drain(self.who, self.force)
            # Returns when the command has said which, or raises: there is never a second one beside it.
            self.is_given = self.order.is_given()
            return self.is_given or is_last

        until(is_settled, f"drain of {self.who} is given, or refused by force", ground.drain_limit_s, step_s=0.5)
        if not self.is_given:
            reason = self.order.said().strip()
            assert any(r in reason for r in self.refusals), f"drain of {self.who} by force was refused: {reason}"
            return f"drain of {self.who} is refused: {reason}"
        return f"drain of {self.who}{' by force' if self.force else ''}"

    def _has_ended(self):
        return self.node.process.poll() is not None

    def _never_hears(self, ground):
        """The command's end does not tell: it may have failed while the order stands, and a node whose lease ends before it has
        heard writes the order anew with its next registration. That is one transaction with the node's key, which has to be
        what it was; and both keys go with the same lease. So once the order is gone from etcd only a process that has heard
        of it can bring it back, and that one has said so. In this order: it may hear while we look."""
        try:
            if not self.order.has_ended() or f"drains/{self.who}" in ground.stored("drains/"):
                return False
        except OSError:
            return False  # no member of etcd could tell
        return "what=draining" not in self.node.log_of_process()

    def end(self, ground):
        if not self.is_given:
            return f"{self.who} was not drained"
        until(lambda: self._has_ended() or self._never_hears(ground),
              f"{self.who} has ended, or can't hear any more that it should", ground.drain_limit_s, step_s=0.1)
        if not self._has_ended():
            return f"{self.who} never heard of its drain"
        code, log = self.node.process.wait(), self.node.log_of_process()
        assert code == 0, f"{self.who} ended with {code} after its drain"
        is_done = "what=drained" in log
        assert is_done or "what=drain_incomplete" in log, f"{self.who} ended with 0, and not because it was drained"
        result = self.order.wait()
        # The command looks at etcd now and then. If that takes long, it may not have seen the last shard go before the node did.
        assert result == 0 or not is_done or "while it led" in self.order.said(), (
            f"{self.who} was drained, but the command ended with {result}: {self.order.said()}")
        self.node.spawn()
        return f"{self.who}, {'drained' if is_done else 'which kept something until its time was over'}, starts"


class Stop(Fault):
    kind, weight, lasts_s = "stop", 3, (1, 10)

    def draw(self):
        self.who = self.chance.choice(self.nodes)
        self.touches = self.out = {self.who}

    def begin(self, ground):
        ground.signal(self.who, signal.SIGSTOP)
        return f"SIGSTOP of {self.who} for {self.lasting_s} s"

    def end(self, ground):
        ground.signal(self.who, signal.SIGCONT)
        return f"{self.who} goes on"


class StopEtcd(Stop):
    kind, weight = "stop_etcd", 1

    def draw(self):
        self.who = self.chance.choice(self.members)
        self.touches = self.out = {self.who}


class PowerCut(Fault):
    """All nodes at once; they come back one after another, in any order."""

    kind, lasts_s, alone = "power_cut", (0.1, 4), True

    def draw(self):
        self.order = self.chance.sample(self.nodes, len(self.nodes))

    def begin(self, ground):
        for name in self.order:
            ground.node(name).process.kill()
        for name in self.order:
            ground.node(name).kill()
        return "SIGKILL of all nodes"

    def end(self, ground):
        for name in self.order:
            ground.node(name).spawn()
        return f"{', '.join(self.order)} start"


class EtcdOutage(Fault):
    """All of etcd, for up to several leases."""

    kind, lasts_s, alone = "etcd_outage", (1, 10), True

    def draw(self):
        self.kills = self.chance.random() < 0.5

    def begin(self, ground):
        for name in self.members:
            if self.kills:
                ground.member(name).kill()
            else:
                ground.signal(name, signal.SIGSTOP)
        return f"{'SIGKILL' if self.kills else 'SIGSTOP'} of all of etcd for {self.lasting_s} s"

    def end(self, ground):
        for name in self.members:
            if self.kills:
                ground.member(name).spawn()
            else:
                ground.signal(name, signal.SIGCONT)
        return "etcd is back"


class Loss(Fault):
    """Packets get lost between places. `pairs` are directions, `says` is what is cut."""

    kind, weight, lasts_s, needs = "loss", 2, (2, 8), ("network",)
    percent = 100

    def draw(self):
        one, other = self.chance.sample(self.nodes, 2)
        self.percent = self.chance.choice([5, 20, 40])
        self.pairs = both_ways([one], [other])
        self.says = f"{self.percent} % of the packets between {one} and {other} get lost"

    def begin(self, ground):
        self.losses = [ground.network.drop(*pair, self.percent) for pair in self.pairs]
        return f"{self.says} for {self.lasting_s} s"

    def end(self, ground):
        for loss in self.losses:
            ground.network.undrop(loss)
        return f"no more: {self.says}"


def both_ways(some, others):
    return [(a, b) for a in some for b in others] + [(b, a) for a in some for b in others]


class Cut(Loss):
    kind = "cut"

    def draw(self):
        one, other = self.chance.sample(self.nodes, 2)
        self.pairs = both_ways([one], [other])
        self.says = f"{one} and {other} are cut from each other"


class Isolation(Loss):
    kind = "isolation"

    def draw(self):
        who = self.chance.choice(self.nodes)
        others = [n for n in self.nodes if n != who]
        self.out = {who}
        with_etcd = self.chance.random() < 0.5
        self.pairs = both_ways([who], others + (self.members if with_etcd else []))
        self.says = f"{who} is cut from all other nodes{' and etcd' if with_etcd else ''}"


class Split(Loss):
    """Two parts of nodes, and etcd on either side or torn as well."""

    kind = "split"

    def draw(self):
        everybody = self.chance.sample(self.nodes, len(self.nodes))
        at = self.chance.randint(1, len(everybody) - 1)
        few, many = sorted((everybody[:at], everybody[at:]), key=len)
        etcd_at = self.chance.randint(0, len(self.members) // 2)
        cut_off = self.chance.sample(self.members, etcd_at)
        self.out = set(few) | set(cut_off)
        self.pairs = both_ways(few + cut_off, many + [m for m in self.members if m not in cut_off])
        self.says = f"{', '.join(few + cut_off)} are cut from the rest"


class OneWay(Loss):
    kind = "one_way"

    def draw(self):
        one, other = self.chance.sample(self.nodes, 2)
        what = self.chance.randrange(3)
        if what == 0:
            self.pairs = [(one, other)]
            self.says = f"nothing from {one} reaches {other}"
        elif what == 1:
            self.out = {one}
            self.pairs = [(one, m) for m in self.members]
            self.says = f"nothing from {one} reaches etcd"
        else:
            self.out = {one}
            self.pairs = [(m, one) for m in self.members]
            self.says = f"nothing from etcd reaches {one}"


class CutEtcd(Loss):
    kind = "cut_etcd"

    def draw(self):
        who = self.chance.choice(self.nodes)
        members = self.members if self.chance.random() < 0.7 else [self.chance.choice(self.members)]
        self.out = {who} if len(members) > 1 else set()
        self.pairs = both_ways([who], members)
        self.says = f"{who} is cut from {'etcd' if len(members) > 1 else members[0]}"


class SplitEtcd(Loss):
    kind, weight = "split_etcd", 1

    def draw(self):
        who = self.chance.choice(self.members)
        self.out = {who}
        self.pairs = both_ways([who], [m for m in self.members if m != who])
        self.says = f"{who} is cut from the rest of etcd"


class Slow(Fault):
    kind, weight, lasts_s, needs = "slow", 2, (2, 10), ("network",)

    def draw(self):
        one, other = sorted(self.chance.sample(self.nodes, 2))
        self.link = (one, other)
        self._draw_how()

    def _draw_how(self):
        self.how = self.chance.choice([("delay_s", 0.05), ("delay_s", 0.3), ("delay_s", 1.0), ("bytes_per_s", 50_000),
                                       ("bytes_per_s", 5_000), ("holds", True)])

    def lines(self, ground):
        return [ground.links[self.link]]

    def begin(self, ground):
        for line in self.lines(ground):
            line.set(**dict([self.how]))
        self.says = f"{self.lines(ground)[0].name}: {self.how[0]}={self.how[1]}"
        return f"{self.says} for {self.lasting_s} s"

    def end(self, ground):
        for line in self.lines(ground):
            line.clear()
        return f"no more: {self.says}"


class SlowEtcd(Slow):
    kind, weight = "slow_etcd", 1

    def draw(self):
        self.who = self.chance.choice([n for n in self.nodes if int(n[1:]) % 2])  # those whose lines go over the proxy
        self.out = {self.who}
        self._draw_how()

    def lines(self, ground):
        return ground.etcd_lines[self.who]


class DiskFull(Fault):
    kind, weight, lasts_s, needs = "disk_full", 2, (2, 10), ("disk",)

    def draw(self):
        self.who = self.chance.choice(self.nodes)
        self.leave_bytes = self.chance.choice([0, 2 << 20])
        self.touches = self.out = {self.who}

    def begin(self, ground):
        ground.fill_disk(ground.node(self.who), self.leave_bytes)
        return f"the disk of {self.who} has {self.leave_bytes} bytes left for {self.lasting_s} s"

    def end(self, ground):
        ground.empty_disk(ground.node(self.who))
        return f"the disk of {self.who} has space again"


class Wipe(Fault):
    """Only when every shard has all its copies, as with the loss of a real disk: two of three may not be lost."""

    kind, weight, lasts_s, alone = "wipe", 1, (0.1, 2), True

    def draw(self):
        self.who = self.chance.choice(self.nodes)

    def begin(self, ground):
        ground.wait_whole()
        node = ground.node(self.who)
        node.kill()
        shutil.rmtree(node.data)
        return f"SIGKILL of {self.who}, its data is wiped"

    def end(self, ground):
        ground.node(self.who).spawn()
        return f"{self.who} starts with nothing"


class Clock(Fault):
    kind, weight, lasts_s, needs = "clock", 2, (2, 10), ("clock",)

    def draw(self):
        self.who = self.chance.choice(self.nodes)
        self.offset_s = self.chance.choice([-1, 1]) * self.chance.choice([2, 30, 600, 1800])

    def begin(self, ground):
        ground.set_clock(ground.node(self.who), self.offset_s)
        return f"the clock of {self.who} jumps by {self.offset_s:+d} s"

    def end(self, ground):
        ground.set_clock(ground.node(self.who), 0)
        return f"the clock of {self.who} jumps back"


FAULTS = {f.kind: f for f in (Kill, KillEtcd, Restart, Drain, Stop, StopEtcd, PowerCut, EtcdOutage, Loss, Cut, Isolation, Split,
                              OneWay, CutEtcd, SplitEtcd, Slow, SlowEtcd, DiskFull, Wipe, Clock)}


@dataclass
class Step:
    at_s: float  # since the beginning of the round
    fault: Fault
    begins: bool

    def do(self, ground):
        return self.fault.begin(ground) if self.begins else self.fault.end(ground)


def leaves_a_chance(fault, active, nodes):
    """Whether the cluster may go on with this fault beside those."""
    if not active:
        return True
    if fault.alone or any(f.alone for f in active) or len(active) >= AT_ONCE:
        return False
    if any(fault.touches & f.touches for f in active):
        return False
    out = set(fault.out).union(*(f.out for f in active))
    members = etcd_names()
    return (len(out & set(nodes)) <= (len(nodes) - 1) // 2
            and len(out & set(members)) <= (len(members) - 1) // 2)


def draw_plan(seed, count, nodes, kinds=None, gap_s=GAP_S, once_each=False):
    """The steps of `count` faults, in order. All kinds come, as often as they weigh, before they come anew; or each once."""
    chance = random.Random(seed)
    kinds = list(kinds or FAULTS)
    steps, active, bag = [], [], []
    now = 0.0
    for _ in range(count):
        if not bag:
            bag = [k for k in kinds for _ in range(1 if once_each else FAULTS[k].weight)]
            chance.shuffle(bag)
        fault = FAULTS[bag.pop()](chance, nodes)
        now += chance.uniform(*gap_s)
        while not leaves_a_chance(fault, [f for f, until in active if until > now], nodes):
            now = min(until for _, until in active if until > now)
        active = [(f, until) for f, until in active if until > now] + [(fault, now + fault.lasting_s)]
        steps += [Step(now, fault, True), Step(now + fault.lasting_s, fault, False)]
    # An end that falls together with a beginning comes first.
    return sorted(steps, key=lambda s: (s.at_s, s.begins))
