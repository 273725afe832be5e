"""Draining a node: its shards and its clients go to other nodes, then it ends, and nobody has lost anything."""

import json
import random
import threading
import time

import pytest
from support.balancer import Balancer
from support.checker import Ack, Record, check
from support.client import DURABLE
from support.cluster import Cluster
from support.command_line import Chat, greenroom
from support.waiting import LIMIT_S, until
from support.websocket import Refused

ROOMS = ["hall", "team/green", "quiet"]
SPREAD_MS = 3_000


@pytest.fixture
def cluster(tmp_path):
    made = Cluster(tmp_path / "cluster", limits__resume_events=1_000_000, log__level="info",
                   cluster__drain_spread_ms=SPREAD_MS, cluster__drain_grace_ms=60_000, cluster__drain_ms=600_000)
    try:
        made.start()
        made.wait_replicated()
        yield made
    finally:
        made.end()


class Guest(threading.Thread):
    """Sends without a pause, listens to everything, and does what it is told: after `goaway` it finishes what is under way,
    and goes on with a connection to another node, as a load balancer finds one. Nothing else may happen to it."""

    WINDOW = 4

    def __init__(self, cluster, record, user, node, positions):
        super().__init__(name=user)
        self.cluster, self.record, self.user, self.node = cluster, record, user, node
        self.positions = {r: dict(p) for r, p in positions.items()}
        self.token = cluster.token(user, 7200)
        self.chance = random.Random(user)
        self.finish = threading.Event()
        self.goal = None
        self.answered = 0
        self.went_away = []  # (node, reconnect_ms)
        self.unanswered = {}
        self.count = 0
        self.failure = None
        record.start[user] = {r: p["seq"] for r, p in positions.items()}
        record.seen[user] = {r: [] for r in positions}
        for room in ROOMS:
            record.sent[(user, room)] = []

    def run(self):
        try:
            while not self.is_done():
                self.visit()
        except BaseException as e:
            self.failure = e

    def is_done(self):
        return self.goal is not None and all(self.positions[r]["seq"] >= s for r, s in self.goal.items())

    def visit(self):
        client = self.node.sign_in(self.user, token=self.token, resume=self.positions, check_order=False)
        for room in self.positions:
            assert client.hello["resumed"][room].get("recovered") is True, client.hello
        leave_at = None
        while not self.is_done():
            told = next((e for e in client.events if e["ev"] == "goaway"), None)
            if told and leave_at is None:
                assert set(told) == {"ev", "reconnect_ms", "reason"} and 0 <= told["reconnect_ms"] <= SPREAD_MS, told
                self.went_away.append((self.node, told["reconnect_ms"]))
                leave_at = time.monotonic() + told["reconnect_ms"] / 1000
            self.take(client)
            leaving = leave_at is not None and time.monotonic() >= leave_at
            while len(self.unanswered) < self.WINDOW and not leaving and not self.finish.is_set():
                self.send(client)
            if leaving and not self.unanswered:
                assert client.leave() == 1000
                self.take(client)
                left = self.node
                self.node = until(lambda: next((n for n in self.cluster.nodes if n is not left and n.is_ready()), None),
                                  "a node that is ready")
                return
            try:
                client._pump(time.monotonic() + 0.05, "something")
            except AssertionError:
                pass
        client.kill()

    def send(self, client):
        self.count += 1
        room = self.chance.choice(ROOMS)
        key, text = f"{self.user}-{self.count}", f"{self.user} says {self.count}"
        self.record.sent[(self.user, room)].append(key)
        self.unanswered[client.post("send", room=room, key=key, text=text)] = (room, key, text)

    def take(self, client):
        for number in [n for n in client.answers if n in self.unanswered]:
            answer, (room, key, text) = client.answers.pop(number), self.unanswered.pop(number)
            assert "ok" in answer, answer
            ok = answer["ok"]
            assert "duplicate" not in ok, answer  # everybody lives: the first answer, which is the true one, comes first
            self.record.acks.append(Ack(room, self.user, key, text, ok["epoch"], ok["seq"], ok["ts"]))
            self.answered += 1
        while client.events:
            e = client.events.popleft()
            if e["ev"] in DURABLE and e["room"] in self.positions:
                self.record.seen[self.user][e["room"]].append(e)
                self.positions[e["room"]]["seq"] = e["seq"]


class Poster(threading.Thread):
    """Posts by REST, one after the other, each to a node that has just said that it is ready."""

    def __init__(self, cluster, record, user, node):
        super().__init__(name=user)
        self.cluster, self.record, self.user, self.node = cluster, record, user, node
        self.token = cluster.token(user, 7200)
        self.finish = threading.Event()
        self.answered = 0
        self.failure = None
        record.sent[(user, "hall")] = []

    def run(self):
        try:
            while not self.finish.is_set():
                self.node = until(lambda: next((n for n in [self.node, *self.cluster.nodes] if n.is_ready()), None), "ready")
                key, text = f"{self.user}-{self.answered}", f"{self.user} posts {self.answered}"
                self.record.sent[(self.user, "hall")].append(key)
                made = self.node.rest("POST", "/api/v1/rooms/hall/messages", {"text": text}, self.token,
                                      headers={"Idempotency-Key": key})
                assert made.status in (200, 201), made
                ok = made.json
                self.record.acks.append(Ack("hall", self.user, key, text, ok["epoch"], ok["seq"], ok["ts"]))
                self.answered += 1
        except BaseException as e:
            self.failure = e


def states(cluster):
    return {n["node"]: n for n in json.loads(cluster.command("nodes", "--json"))}


@pytest.mark.parametrize("which", ["the controller's node", "another node"])
def test_a_node_is_drained_and_comes_back_and_nobody_has_lost_anything(cluster, which):
    record = Record()
    owner = cluster.sign_in("owner", subscribe="none")
    positions = {}
    users = [f"guest{i}" for i in range(6)]
    for room in ROOMS:
        owner.request("create", room=room)
        for user in [*users, "poster"]:
            client = cluster.sign_in(user, subscribe="none")
            joined = client.request("join", room=room)
            client.leave()
        positions[room] = {"epoch": joined["epoch"], "seq": joined["seq"]}
    owner.leave()
    controller = cluster.controller()
    drained = next(n for n in cluster.nodes if (n.settings["node.name"] == controller) == (which != "another node"))
    name = drained.settings["node.name"]
    store = states(cluster)[name]["store"]
    assert states(cluster)[name]["leads"] > 0
    guests = [Guest(cluster, record, u, cluster.nodes[i % 3], positions) for i, u in enumerate(users)]
    poster = Poster(cluster, record, "poster", drained)
    players = [*guests, poster]

    def answered(more_than):
        for p in players:
            if p.failure:
                raise p.failure
        return all(p.answered > more_than[p.name] for p in players)

    for p in players:
        p.start()
    try:
        before = {p.name: 20 for p in players}
        until(lambda: answered(before), "sends are acknowledged")
        said = cluster.command("drain", name, "--json")
        steps = [json.loads(line) for line in said.splitlines()]
        assert steps[-1]["state"] == "gone"
        assert any(s["state"] == "draining" and s["leads"] > 0 for s in steps), steps
        assert drained.process.wait(LIMIT_S) == 0
        log = drained.log_text()
        assert "what=drained" in log and "drain_incomplete" not in log and "what=stopping reason=drained" in log
        before = {p.name: p.answered + 20 for p in players}
        until(lambda: answered(before), "acknowledged without the node")
        # Its copies stay where they are, and nothing is led by it any more.
        assert all(store in r["replicas"] and r["primary"] != store for r in cluster.records())
        drained.start()
        back = states(cluster)[name]
        assert back["alive"] is True and back["draining"] is False and back["store"] == store
        assert "drains/" + name not in cluster.stored("drains/")
        cluster.wait_replicated()
        until(lambda: states(cluster)[name]["leads"] > 0, "it leads again")
        before = {p.name: p.answered + 20 for p in players}
        until(lambda: answered(before), "acknowledged with the node")
    finally:
        for p in players:
            p.finish.set()
    poster.join(LIMIT_S)
    until(lambda: answered({p.name: 0 for p in players}) and not any(g.unanswered for g in guests), "all is answered")
    logs, epochs = {}, {}
    for room in ROOMS:
        logs[room], page = cluster.history(cluster.token("owner"), room)
        epochs[room] = page["epoch"]
    for g in guests:
        g.goal = {room: logs[room][-1]["seq"] for room in ROOMS}
    for g in guests:
        g.join(LIMIT_S)
    assert answered({p.name: 0 for p in players}) and not any(p.is_alive() for p in players)
    problems = check(record, logs, epochs)
    assert not problems, "\n".join(problems[:20])
    for g in guests:
        started_there = cluster.nodes[guests.index(g) % 3] is drained
        assert [n for n, _ in g.went_away] == ([drained] if started_there else []), (g.user, g.went_away)


def test_who_does_not_go_is_closed_and_who_comes_late_is_refused(cluster):
    node = cluster.nodes[1]
    node.kill()  # as an operator would who changes the grace
    node.settings.update({"cluster.drain_grace_ms": 20_000})
    node.start()
    cluster.wait_replicated()
    stays = cluster.sign_in("stays", on=node)
    said = cluster.command("drain", "n2", "--no-wait")
    assert said.startswith("n2 drains: it leads "), said
    refused = until(lambda: node.rest("GET", "/readyz").status == 503 and node.rest("GET", "/readyz"), "not ready")
    assert refused.body.startswith(b"draining"), refused.body
    late = cluster.sign_in("late", on=node)  # a load balancer that has not noticed yet, while there is time to go
    assert late.event("goaway")
    late.kill()
    told = stays.event("goaway")
    assert 0 <= told["reconnect_ms"] <= SPREAD_MS and told["reason"]
    assert stays.request("ping")  # it need not go yet
    status = json.loads(cluster.command("status", "--json"))
    assert status["draining"] == ["n2"] and "n2 drains" in cluster.command("status")
    assert states(cluster)["n2"]["draining"] is True and "draining" in cluster.command("nodes")
    # Another one has to wait; the same order is none.
    other = greenroom("cluster", "drain", "n3", "--config", cluster.nodes[0].config, cwd=cluster.directory)
    assert other.returncode == 1 and "n2 drains: one node at a time" in other.stderr, other
    again = greenroom("cluster", "drain", "n2", "--no-wait", "--config", cluster.nodes[0].config, cwd=cluster.directory)
    assert again.returncode == 0 and "drains already" in again.stderr, again

    def is_refused():
        try:
            cluster.sign_in("late", on=node).kill()
        except Refused as e:
            assert e.status == 503 and b"drains" in e.body, e
            return True
        return False

    until(is_refused, "late clients are refused")
    assert stays.closed() == 3001
    assert node.process.wait(LIMIT_S) == 0
    gone = greenroom("cluster", "drain", "n2", "--config", cluster.nodes[0].config, cwd=cluster.directory)
    assert gone.returncode == 1 and "does not run" in gone.stderr, gone
    unknown = greenroom("cluster", "drain", "n9", "--config", cluster.nodes[0].config, cwd=cluster.directory)
    assert unknown.returncode == 1 and "there is no node n9" in unknown.stderr, unknown


def test_a_conversation_goes_on_elsewhere_without_a_word(cluster):
    node = cluster.nodes[2]
    balancer = Balancer(cluster.nodes)
    chat = None
    try:
        speaker = cluster.sign_in("bob", on=cluster.nodes[0])
        speaker.request("create", room="lobby")
        # Until the balancer has sent it to the node that is drained.
        while not balancer.carried or balancer.carried[-1] is not node:
            if chat:
                assert chat.end() == 0
            chat = Chat(cluster.directory, "--url", f"ws://127.0.0.1:{balancer.port}", "--token", cluster.token("alice"),
                        "--room", "lobby")
            chat.notices_that("connected as alice")
        before = len(chat.notices)
        drain = threading.Thread(target=lambda: cluster.command("drain", "n3"))
        drain.start()
        said = 0

        def speak():
            nonlocal said
            said += 1
            speaker.request("send", room="lobby", key=f"bob-{said}", text=f"bob says {said}.")
            chat.type(f"alice says {said}.")
            return node.process.poll() is not None

        until(speak, "the node has gone", LIMIT_S * 2, step_s=0.02)
        assert node.process.wait() == 0
        drain.join()
        for i in range(3):
            speak()
        chat.sees(f"alice: alice says {said}.")
        chat.sees(f"bob: bob says {said}.")
        assert chat.end() == 0
        for who in ("alice", "bob"):
            shown = [line.split(": ", 1)[1] for line in chat.said if f"{who}: {who} says" in line]
            assert shown == [f"{who} says {i}." for i in range(1, said + 1)]
        assert chat.notices[before:] == []
        assert balancer.carried[-1] is not node
    finally:
        if chat:
            chat.kill()
        balancer.end()


def test_a_node_by_itself_is_not_drained(tmp_path):
    alone = Cluster(tmp_path / "cluster", nodes=1)
    try:
        alone.start()
        refused = greenroom("cluster", "drain", "n1", "--config", alone.nodes[0].config, cwd=alone.directory)
        assert refused.returncode == 1 and "is the only node that runs" in refused.stderr, refused
        assert alone.nodes[0].is_ready()
    finally:
        alone.end()
