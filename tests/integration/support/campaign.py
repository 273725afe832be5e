"""Rounds of faults on a ProvingGround: players play while a plan is carried out; then everything is healed, service must
return, and what was promised is checked.
"""

import time
from collections import Counter

from .checker import Record, check
from .fault_players import Guest, Latecomer, Reader, Repeater
from .kill import Play, Sender, Subscriber
from .nemesis import draw_plan
from .stores import check_claims, claims, compare, digest
from .uploader import Uploader
from .waiting import LIMIT_S, until

PATIENCE_S = 8  # how long a player waits for an answer, a little longer than the server itself does
PACE_S = 0.04  # between two sends of one sender
PROGRESS_S = 60  # after all faults have ended, every sender is answered within this
FAULTS_PER_ROUND = 10
OLD = 86_400  # s; tokens are good from then on, whatever clocks say


class Violation(AssertionError):
    """What a round showed to be wrong, as sentences."""


class Home:
    """The cluster as one player sees it: mostly over the node that is nearest, so that there are clients on all of them."""

    def __init__(self, ground, node, chance):
        self.ground, self.node, self.chance = ground, node, chance

    def open(self, name="", **how):
        is_alive = self.node.process and self.node.process.poll() is None
        return (self.node if is_alive and self.chance.random() < 0.7 else self.ground).open(name, **how)

    def __getattr__(self, name):
        return getattr(self.ground, name)


class Campaign:
    def __init__(self, ground, seed, say=print):
        self.ground, self.seed, self.say = ground, seed, say
        self.began = time.monotonic()
        self.round = 0
        self.history = {}  # room -> (what history told whom of it, epoch) as of the round that used it
        self.faults, self.totals = Counter(), Counter()

    def note(self, text):
        self.say(f"{time.monotonic() - self.began:7.1f} s  {text}")

    def run(self, faults, kinds=None, per_round=None, first_whole=True, **how):
        """Raises Violation. `first_whole`: nothing is broken before all copies have been made. `how` is for draw_plan()."""
        self.ground.start()
        if first_whole:
            self.ground.wait_whole(LIMIT_S * 10)  # nothing was promised yet of how soon
        self.note("the cluster is there")
        while faults > 0:
            self.round += 1
            count = min(per_round or FAULTS_PER_ROUND, faults)
            faults -= count
            plan = draw_plan(f"{self.seed}/{self.round}", count, [n.name for n in self.ground.nodes], kinds, **how)
            self.play_round(plan)

    def play_round(self, plan):
        record, play, readers = self._set_up()
        record.clocks_jump = any(step.fault.kind == "clock" for step in plan)
        play.begin()
        try:
            self._carry_out(plan, play)
            self._expect_service(play)
            logs, epochs = play.end(readers)
        except Exception as e:
            raise Violation(f"round {self.round}: {type(e).__name__}: {e}" + "".join(f"\n{b}" for b in record.broken)) from e
        finally:
            for p in play.players:
                p.stops.set()
            for p in play.players:
                p.thread.join(LIMIT_S)
        problems = check(record, logs, epochs)
        problems += self._check_history()
        told = {p.room: p for p in record.pages if p.is_whole}
        self.history.update({room: (told[room].events, epochs[room], told[room].user) for room in logs})
        problems += self._compare_stores()
        self._count(record, play, logs)
        if problems:
            raise Violation(f"round {self.round}: " + "\n".join(problems[:30]))
        self.note(f"round {self.round}: {len(record.acks)} sends and changes acknowledged, all of them kept once; stores alike")

    # -- a round -------------------------------------------------------------------------------------------------------
    def _set_up(self):
        """New rooms, and players in them."""
        ground, record = self.ground, Record()
        rooms = [f"{name}-{self.round}" for name in ("hall", "team/green", "quiet")]
        door, files = f"door-{self.round}", f"files-{self.round}"
        names = [n.name for n in ground.nodes]
        owner = ground.sign_in("owner", subscribe="none")
        positions = {}
        for room in [*rooms, door]:
            made = owner.request("create", room=room)
            positions[room] = {"epoch": made["epoch"], "seq": made["seq"]}
        owner.leave()
        uploader = ground.sign_in(self._user("uploader", names[-1]), subscribe="none")
        uploader.request("create", room=files, kind="private")
        uploader.leave()
        for user in [self._user(who, n) for n in names for who in ("sender", "member")]:
            client = ground.sign_in(user, subscribe="none")
            for room in rooms:
                positions[room]["seq"] = client.request("join", room=room)["seq"]
            client.leave()
        play = Play(ground, record, f"{self.seed}/{self.round}")
        for node in ground.nodes:
            def player(kind, who, at=node, **how):
                made = kind(Home(ground, at, ground.chance), record, self._user(who, at.name), play.seed, **how)
                made.token = ground.token(made.user, OLD, sid=f"session-of-{made.user}", iat=int(time.time()) - OLD)
                made.patience_s = PATIENCE_S
                play.players.append(made)
                return made

            sender = player(Sender, "sender", rooms=rooms, direct=[self._user("member", node.name)], window=4)
            sender.refusals_are_certain, sender.pause_s = False, PACE_S
            player(Repeater, "sender")
            player(Subscriber, "member", positions={r: positions[r] for r in rooms}, subscribe="all")
            player(Subscriber, "listener", positions=positions, subscribe=[*rooms, door])
        player(Reader, "reader")
        player(Reader, "sender")  # who sees own reactions, from connections beside the sender's
        player(Latecomer, "latecomer", positions={r: positions[r] for r in rooms})
        player(Guest, "guest", room=door)
        player(Uploader, "uploader", room=files)
        readers = {room: ("owner", self._user("sender", names[0])) for room in positions}
        for n in names:
            pair = sorted([self._user("sender", n), self._user("member", n)])
            readers[f"@{'+'.join(pair)}"] = pair
        return record, play, readers

    def _user(self, who, node):
        """Others in each round, so that their direct rooms are new, too."""
        return f"{who}-{node}-{self.round}"

    def _carry_out(self, plan, play):
        began = time.monotonic()
        late = 0.0
        for step in plan:
            until(lambda: play.check_players() or time.monotonic() >= began + step.at_s + late, "the next step",
                  LIMIT_S * 2, 0.02)
            due = began + step.at_s + late
            self.note(f"round {self.round}: {step.do(self.ground)}")
            late += time.monotonic() - due  # what it took moves all that follows
            if step.begins:
                self.faults[step.fault.kind] += 1

    def _expect_service(self, play):
        """Everything is healed; now service must come back by itself."""
        ground = self.ground
        started = ground.heal()
        died = [n.name for n in ground.nodes if n.name in started]
        if died:
            self.note(f"round {self.round}: {', '.join(died)} had ended by themselves, or did not start, and are started again")
            self.totals["ended by themselves"] += len(died)
        for n in ground.nodes:
            until(lambda: play.check_players() or n.process.poll() is not None or n.is_ready(),
                  f"{n.name} is ready after all faults have ended", PROGRESS_S)
            assert n.process.poll() is None, f"{n.name} ended with {n.process.poll()} after all faults had ended"
        before = {p: p.answered for p in play.players if isinstance(p, Sender)}
        healed = time.monotonic()
        until(lambda: play.check_players() or all(p.answered > n + 5 for p, n in before.items()),
              "every sender is answered again", PROGRESS_S)
        self.note(f"round {self.round}: all healed; service after {time.monotonic() - healed:.1f} s")
        ground.wait_whole()
        self.note(f"round {self.round}: whole")
        for p in play.players:
            if not isinstance(p, (Sender, Subscriber)):
                p.finish.set()
        until(lambda: play.check_players() or not any(
            p.thread.is_alive() for p in play.players if not isinstance(p, (Sender, Subscriber))), "readers and guests end")

    # -- what is checked afterwards ------------------------------------------------------------------------------------
    def _check_history(self):
        """The rooms of earlier rounds are what they were."""
        problems = []
        for room, (told, epoch, reader) in self.history.items():
            now, page = self.ground.history(self.ground.token(reader), room)
            if now != told or page["epoch"] != epoch:
                problems.append(f"{room}: was {len(told)} events of epoch {epoch} in its round, is {len(now)} of {page['epoch']}")
        return problems

    def _compare_stores(self):
        """All nodes lose their power at once; their stores must tell one story."""
        ground = self.ground
        self._await_heartbeats()
        records = ground.records()
        for n in ground.nodes:
            n.process.kill()
        ground.kill_nodes()
        stores = dict(digest(n.data) for n in ground.nodes)
        problems, alike = compare(stores, records)
        problems += check_claims([c for n in ground.nodes for c in claims(n.name, n.log_text())])
        self.totals["pairs of states alike"] += alike
        for n in ground.nodes:
            n.spawn()
        for n in ground.nodes:
            n.wait_ready(LIMIT_S * 2)
        ground.wait_whole()
        return problems

    def _await_heartbeats(self, rounds=2):
        """Until the primaries have told their followers that often how far they are, as the letters that arrive show: an append
        and its answer for each follower of each shard. So most shards have applied the same and can be compared; right or wrong
        does not depend on it."""
        ground = self.ground
        per_round = 128 * (min(3, len(ground.nodes)) - 1) * 2

        def letters():
            return sum(count for n in ground.nodes for name, count in n.metrics().items()
                       if name.startswith("greenroom_cluster_letters_received_total"))

        goal = letters() + rounds * per_round
        until(lambda: letters() >= goal, "heartbeats arrive", PROGRESS_S, 0.05)

    def _count(self, record, play, logs):
        kept = Counter(e["ev"] for log in logs.values() for e in log)
        made = {(e["from"], room, e["key"]) for room, log in logs.items() for e in log if "key" in e}
        self.totals["sends and changes acknowledged"] += len(record.acks)
        self.totals["sends kept for later"] += len({(k.room, k.user, k.key) for k in record.kept})
        self.totals["asked too late"] += len(record.passed)
        self.totals["replies kept"] += sum("reply_to" in e for log in logs.values() for e in log)
        self.totals["threads"] += len(record.threads)
        self.totals["reactions that changed nothing"] += sum((a.user, a.room, a.key) not in made for a in record.acks)
        self.totals["changes refused for good"] += len(record.refusals)
        self.totals["with a conflict"] += sum(r.code == "conflict" for r in record.refusals)
        self.totals["unavailable"] += sum(p.refused for p in play.players if isinstance(p, Sender))
        self.totals["answered as duplicates"] += sum(p.duplicates for p in play.players if isinstance(p, Sender))
        self.totals["events seen"] += sum(len(e) for s in record.seen.values() for e in s.values())
        self.totals["reads"] += sum(getattr(p, "reads", 0) for p in play.players)
        self.totals["repeats"] += sum(getattr(p, "repeats", 0) for p in play.players)
        self.totals["attachments"] += sum(getattr(p, "uploads", 0) for p in play.players)
        self.totals["visits"] += sum(getattr(p, "visits", 0) for p in play.players)
        self.totals["resumes from seq 0"] += len(record.left) + len(record.resumed)
        self.totals["pages"] += len(record.pages)
        self.totals["messages kept"] += kept["message"]
        for kind in ("edited", "revoked", "reaction"):
            self.totals[f"{kind} kept"] += kept[kind]

    def summary(self):
        lines = [f"{sum(self.faults.values())} faults: " + ", ".join(f"{k} {n}" for k, n in sorted(self.faults.items()))]
        return lines + [", ".join(f"{n} {k}" for k, n in self.totals.items())]
