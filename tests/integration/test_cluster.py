"""Several nodes are one server: whoever is on whichever node hears the same, and what was acknowledged survives the death
of any of them.

GREENROOM_CLUSTER_SEED repeats the points at which nodes are killed, GREENROOM_CLUSTER_KILLS sets how often.
"""

import json
import os
import random
import signal
import threading
import time
from urllib.parse import quote

import pytest
from support.checker import Record, check
from support.client import RequestError
from support.cluster import Cluster, shard_of
from support.command_line import greenroom
from support.kill import Play, Sender, Subscriber
from support.waiting import LIMIT_S, until
from support.websocket import Closed

KILLS = int(os.environ.get("GREENROOM_CLUSTER_KILLS", "4"))
ROOMS = ["hall", "team/green", "quiet"]


@pytest.fixture
def cluster(tmp_path):
    made = Cluster(tmp_path / "cluster", limits__resume_events=1_000_000, log__level="info")
    try:
        made.start()
        made.wait_replicated()
        yield made
    finally:
        made.end()


def test_three_nodes_are_one_server(cluster):
    n1, n2, n3 = cluster.nodes
    ann = cluster.sign_in("ann", on=n1)
    bob = cluster.sign_in("bob", on=n2)
    eve = cluster.sign_in("eve", on=n3)
    ann.request("create", room="hall")
    for who in (bob, eve):
        who.request("join", room="hall")
    for n, who in enumerate((ann, bob, eve)):
        for i in range(10):
            sent = who.request("send", room="hall", key=f"{who.user}-{i}", text=f"{n} {i}")
        assert sent["stored"] == {"replicas": 3, "synced": 3}
    heard = [[(e["seq"], e["text"]) for e in who.messages(30, "hall")] for who in (ann, bob, eve)]
    assert heard[0] == heard[1] == heard[2]
    assert len(json.loads(cluster.command("shards", "--json"))) == 128
    assert "n3" in cluster.command("nodes")
    # The same key, on another node: the first result.
    again = cluster.sign_in("ann", on=n3)
    first = again.request("send", room="hall", key="ann-0", text="0 0")
    assert first["duplicate"] is True and first["stored"] == {"replicas": 3, "synced": 3}
    # A direct message finds its reader wherever that is, without being asked for.
    bob.request("send", to="eve", key="direct", text="psst")
    assert eve.event("message", text="psst")["room"] == "@bob+eve"
    # Who is online is known on every node.
    online = {m["user"]: m["online"] for m in again.request("members", room="hall")["members"]}
    assert online == {"ann": True, "bob": True, "eve": True}
    eve.leave()
    until(lambda: not {m["user"]: m["online"] for m in bob.request("members", room="hall")["members"]}["eve"],
          "eve is gone")
    # Connections are listed whichever node is asked.
    for n in cluster.nodes:
        mine = n.rest("GET", "/api/v1/sessions", token=cluster.token("ann")).json["sessions"]
        assert sorted(s["node"] for s in mine) == ["n1", "n3"]
        everybody = n.rest("GET", "/api/v1/sessions?all=true", token=cluster.token("root", admin=True)).json["sessions"]
        assert sorted((s["user"], s["node"]) for s in everybody) == [("ann", "n1"), ("ann", "n3"), ("bob", "n2")]
        pages, after = [], ""
        while after is not None and len(pages) < 4:
            page = n.rest("GET", f"/api/v1/sessions?all=true&limit=1{after and '&after='}{quote(after)}", token=cluster.token("root", admin=True)).json
            pages.append(page["sessions"])
            after = page.get("next")
        assert [len(p) for p in pages] == [1, 1, 1] and [s["session"] for p in pages for s in p] == [s["session"] for s in everybody]
        # A batch crosses nodes, and its operations find what those before them have left.
        room = f"batched-{cluster.nodes.index(n)}"
        operations = [{"op": "create", "room": room}, {"op": "send", "room": room, "key": "k", "text": "x"}, {"op": "pin", "room": room, "target": 2},
                      {"op": "pins", "room": room}, {"op": "members", "room": room, "muted": True}]
        answers = n.rest("POST", "/api/v1/batch", {"operations": operations}, token=cluster.token("ann")).json["answers"]
        assert [set(a) for a in answers] == [{"ok"}] * 5 and [e["seq"] for e in answers[3]["ok"]["events"]] == [2]
    # Resuming on another node.
    back = cluster.sign_in("eve", on=n1, resume=eve.positions)
    assert all(r["recovered"] for r in back.hello["resumed"].values())
    bob.request("send", room="hall", key="bob-last", text="welcome back")
    assert back.event("message", text="welcome back")


def test_what_one_node_is_told_all_of_them_know(cluster):
    n1, n2, n3 = cluster.nodes
    # A revoked session is over wherever it has connections; another session of the same user is not.
    account = {"user": "ann", "password": "correct horse"}
    grant = n1.rest("POST", "/api/v1/auth/register", account).json
    other = n2.rest("POST", "/api/v1/auth", account).json
    there = [n.sign_in("ann", token=grant["token"]) for n in cluster.nodes]
    ann = n3.sign_in("ann", token=other["token"])
    assert n2.rest("DELETE", "/api/v1/auth", token=grant["token"]).status == 204
    assert [c.closed() for c in there] == [3502] * 3
    for n in cluster.nodes:
        assert n.rest("GET", "/api/v1/sessions", token=grant["token"]).status == 401
        assert n.rest("POST", "/api/v1/auth/refresh", {"refresh_token": grant["refresh_token"]}).status == 401
    # So is one whose refresh token is used again, whichever nodes are asked.
    grant = n1.rest("POST", "/api/v1/auth", account).json
    there = [n.sign_in("ann", token=grant["token"]) for n in cluster.nodes]
    spent, again = grant["refresh_token"], "/api/v1/auth/refresh"
    token = n2.rest("POST", again, {"refresh_token": spent}).json["refresh_token"]
    assert n3.rest("POST", again, {"refresh_token": spent}).json["refresh_token"] == token
    token = n3.rest("POST", again, {"refresh_token": token}).json["refresh_token"]
    assert n1.rest("POST", again, {"refresh_token": spent}).status == 401
    assert [c.closed() for c in there] == [3502] * 3
    assert n2.rest("POST", again, {"refresh_token": token}).status == 401
    ann.settle()
    # What is never stored crosses nodes, too.
    bob = cluster.sign_in("bob", on=n2)
    ann.request("create", room="hall")
    bob.request("join", room="hall")
    sent = bob.request("send", room="hall", key="b1", text="hello")
    assert ann.request("typing", room="hall", on=True) == {}
    assert bob.event("typing", room="hall", user="ann", on=True)
    ann.request("read", room="hall", seq=sent["seq"])
    assert bob.event("read", room="hall", user="ann", seq=sent["seq"])
    # REST has one key space with the sockets, on whichever node.
    path, token = "/api/v1/rooms/hall/messages", other["token"]
    first = n1.rest("POST", path, {"text": "by post"}, token, {"Idempotency-Key": "k1"}).json
    assert n3.rest("POST", path, {"text": "by post"}, token, {"Idempotency-Key": "k1"}).json == {**first, "duplicate": True}
    assert ann.request("send", room="hall", key="k1", text="by post")["seq"] == first["seq"]
    assert bob.event("message", room="hall", text="by post")["seq"] == first["seq"]


def test_a_node_that_only_listens_hears_what_the_next_primary_says(cluster):
    """Nothing is under way from there when the primary dies, so nothing but the room itself can tell that node of it."""
    owner = cluster.sign_in("owner", subscribe="none")
    rooms = [f"room{i}" for i in range(12)]  # of different shards, so that each node leads some
    for room in rooms:
        owner.request("create", room=room)
    owner.leave()
    listeners = {n: cluster.sign_in("owner", on=n, subscribe=rooms) for n in cluster.nodes}
    dead = cluster.nodes[2]
    dead.kill()
    speaker = cluster.sign_in("owner", on=cluster.nodes[0], subscribe="none")
    for room in rooms:
        until(lambda: is_taken(speaker, room), f"{room} takes sends again")
    for room in rooms:
        for n in cluster.nodes[:2]:
            assert listeners[n].event("message", room=room, text="here")


def test_what_came_while_the_lease_had_ended_is_not_overtaken(cluster):
    """etcd pauses for longer than a lease, while somebody speaks without a pause on the node that leads the room."""
    room = "hall"
    owner = cluster.sign_in("owner", subscribe="none")
    owner.request("create", room=room)
    leader = cluster.node_of(cluster.records()[shard_of(room)]["primary"])
    speaker = cluster.sign_in("owner", on=leader, subscribe="none")

    prober = cluster.sign_in("owner", on=leader, subscribe="none")
    sent, stop = [], threading.Event()

    def speak():
        while not stop.is_set():
            sent.append(speaker.post("send", room=room, key=f"k{len(sent)}", text="and so on"))
            time.sleep(0.01)  # the pace of the speaker, not a wait for something

    speaking = threading.Thread(target=speak)
    speaking.start()
    try:
        for _ in range(3):
            logged = len(leader.log_text())
            cluster.etcd.process.send_signal(signal.SIGSTOP)
            try:
                leader.wait_logged("what=lease_lost", since=logged)
            finally:
                cluster.etcd.process.send_signal(signal.SIGCONT)
            until(lambda: is_taken(prober, room), "the lease holds again")
            said = len(sent)
            until(lambda: len(sent) > said + 50, "some more is said")
    finally:
        stop.set()
        speaking.join()
    refused = set()
    for n, request in enumerate(sent):
        try:
            speaker.answer(request)
        except RequestError as e:
            assert e.code == "unavailable", e
            refused.add(n)
    events, _ = cluster.history(cluster.token("owner"), room)
    order = [int(e["key"][1:]) for e in events if e["ev"] == "message" and e["key"].startswith("k")]
    order = [n for n in order if n not in refused]
    assert order == sorted(order), [(a, b) for a, b in zip(order, order[1:]) if b < a]
    assert len(order) == len(sent) - len(refused)


def test_what_was_unsubscribed_by_hand_stays_so_when_the_users_primary_dies(cluster):
    home, victim = cluster.nodes[0], cluster.nodes[1]
    records = cluster.records()

    def led_by(node, names):
        return (x for x in names if cluster.node_of(records[shard_of(x)]["primary"]) is node)

    user = next(led_by(victim, (f"eve{i}" for i in range(1000))))
    left, kept = (next(led_by(home, (f"{name}{i}" for i in range(1000)))) for name in ("left", "kept"))
    eve = cluster.sign_in(user, on=home, subscribe="all")
    for room in (left, kept):
        eve.request("create", room=room)
    eve.request("unsubscribe", room=left)
    victim.kill()
    for _ in range(2):  # the first may overtake the connection's own arrival at the next primary, the second does not
        until(lambda: is_answered(eve, "rooms"), "the user has a primary again")
    speaker = cluster.sign_in(user, on=home, subscribe="none")
    for room in (left, kept):
        speaker.request("send", room=room, key=room, text="here")
    assert eve.event("message", room=kept, text="here")
    eve.settle()
    assert not eve.has_event("message", room=left) and not eve.has_event("subscribed", room=left)


def test_a_node_that_is_cut_off_for_long_closes_its_sessions(tmp_path):
    """It can't know which of them were revoked meanwhile."""
    alone = Cluster(tmp_path / "cluster", nodes=1, cluster__unconfirmed_ms=1_000)
    try:
        alone.start()
        alone.wait_replicated(1)
        ann = alone.sign_in("ann")
        alone.etcd.process.send_signal(signal.SIGSTOP)
        try:
            assert ann.closed() == 3001
        finally:
            alone.etcd.process.send_signal(signal.SIGCONT)
        alone.nodes[0].wait_ready()
        alone.sign_in("ann")
    finally:
        alone.end()


def test_who_can_not_be_confirmed_is_closed_though_the_node_has_its_lease(tmp_path):
    """Two of three nodes are gone: etcd still knows the third, but nobody leads the shards any more."""
    trio = Cluster(tmp_path / "cluster", cluster__unconfirmed_ms=2_000)
    try:
        trio.start()
        trio.wait_replicated()
        left, *others = trio.nodes
        records = trio.records()
        ann = next(name for name in (f"ann{i}" for i in range(100))
                   if trio.node_of(records[shard_of(name)]["primary"]) is not left)
        listener = trio.sign_in(ann, on=left)
        for n in others:
            n.kill()
        assert listener.closed() == 3001
        others[0].spawn()
        others[0].wait_ready()
        until(lambda: is_welcome(trio, ann, left), "two of three serve again")
    finally:
        trio.end()


def is_welcome(cluster, user, on):
    try:
        cluster.sign_in(user, on=on)
        return True
    except (RequestError, Closed):  # refused, or closed while it waits: the shard has no primary yet
        return False


def is_answered(client, op, **fields):
    try:
        return client.request(op, **fields)
    except RequestError as e:
        assert e.code == "unavailable", e


def is_taken(client, room):
    return is_answered(client, "send", room=room, key="one", text="here")


def test_nothing_acknowledged_is_lost_when_nodes_are_killed(cluster):
    seed = os.environ.get("GREENROOM_CLUSTER_SEED") or str(int.from_bytes(os.urandom(4), "big"))
    print(f"GREENROOM_CLUSTER_SEED={seed}")
    chance = random.Random(seed)
    record = Record()
    owner = cluster.sign_in("owner", subscribe="none")
    positions = {}
    for room in ROOMS:
        owner.request("create", room=room)
        for user in ["sender0", "sender1", "sender2", "member"]:
            client = cluster.sign_in(user, subscribe="none")
            joined = client.request("join", room=room)
            client.leave()
        positions[room] = {"epoch": joined["epoch"], "seq": joined["seq"]}
    owner.leave()
    play = Play(cluster, record, seed)
    for i in range(3):
        play.players.append(Sender(cluster, record, f"sender{i}", seed, rooms=ROOMS, window=8))
    play.players += [Subscriber(cluster, record, "member", seed, positions=positions, subscribe="all"),
                     Subscriber(cluster, record, "listener", seed, positions=positions, subscribe=ROOMS)]
    play.begin()
    try:
        for _ in range(KILLS):
            before = play.answered()
            until(lambda: play.check_players() or play.answered() > before + 20, "sends are acknowledged")
            node = chance.choice(cluster.nodes)
            time.sleep(chance.random() * 0.5)  # the random point, not a wait for something
            node.kill()
            before = play.answered()
            until(lambda: play.check_players() or play.answered() > before + 20, "acknowledged without the node", 60)
            node.start()
            cluster.wait_replicated()
        logs, epochs = play.end({room: ("owner", "sender0") for room in ROOMS})
    finally:
        for p in play.players:
            p.finish.set()
            p.goal = {}
            p.unanswered = []
    problems = check(record, logs, epochs)
    print(f"{KILLS} kills, {len(record.acks)} acknowledged, "
          f"{sum(len(e) for s in record.seen.values() for e in s.values())} events seen")
    assert not problems, "\n".join(problems[:20])


def test_a_node_that_is_gone_for_good_is_removed(tmp_path):
    """One of four. Whether it is gone for good the others can't know: until somebody says so they show it."""
    made = Cluster(tmp_path / "cluster", nodes=4, cluster__replicas=2, cluster__min_in_sync=1, cluster__replace_s=600,
                   log__level="info")

    def remove(what, *flags):
        return greenroom("cluster", "remove", what, *flags, "--config", made.nodes[0].config, cwd=made.directory)

    def refusal(what):
        done = remove(what)
        assert done.returncode == 1 and not done.stdout, done
        return done.stderr

    def shards_of(store):
        return [n for n, r in enumerate(made.records()) if store in [r["primary"], *r["in_sync"], *r["replicas"]]]

    def shown():
        # It ends with 1 as long as a shard has no primary.
        done = greenroom("cluster", "nodes", "--json", "--config", made.nodes[0].config, cwd=made.directory)
        return {n["store"]: n["node"] for n in json.loads(done.stdout)}

    try:
        made.start()
        *others, dead = made.nodes
        store = next(s for s, node in shown().items() if node == "n4")
        # A room that it leads, with a copy elsewhere.
        shard = until(lambda: [n for n, r in enumerate(made.records()) if r["primary"] == store and len(r["in_sync"]) > 1],
                      "it leads a shard", LIMIT_S * 4)[0]
        room = next(f"room{i}" for i in range(100_000) if shard_of(f"room{i}") == shard)
        ann = made.sign_in("ann", on=others[0], subscribe="none")
        until(lambda: is_answered(ann, "create", room=room), "the room is made")
        assert "there is no node or store n9. Those that are known: n1, n2, n3, n4" in refusal("n9")
        assert "n4 runs: have it stopped by `greenroom cluster drain n4` first" in refusal("n4")
        assert "n4 runs" in refusal(store)
        dead.kill()
        until(lambda: "nodes/n4" not in made.stored("nodes/"), "its lease has ended")
        until(lambda: is_taken(ann, room), "somebody else leads the room")
        # Perhaps it is only being restarted: its copies are kept.
        until(lambda: f"{len(shards_of(store))} shards count on n4 (store {store})" in refusal("n4"), "they are counted")
        assert "cluster.replace_s (600 s here" in refusal("n4")
        # That it is not the operator knows, and has no time to wait.
        for n in others:
            n.kill()
            n.write_config(cluster__replace_s=1)
            n.spawn()
        for n in others:
            n.wait_ready()
        until(lambda: not shards_of(store), "nobody counts on it any more", LIMIT_S * 4)
        done = remove("n4", "--json")
        assert done.returncode == 0, done
        assert json.loads(done.stdout) == {"node": "n4", "store": store, "state": "removed"}
        assert sorted(shown().values()) == ["n1", "n2", "n3"]
        for again in ("n4", store):
            assert f"there is no node or store {again}. Those that are known: n1, n2, n3" in refusal(again)
        # It comes back after all, with a copy of the room from which the last line is missing.
        dead.start()
        assert shown()[store] == "n4"
        ann = made.sign_in("ann", on=dead, subscribe="none")
        until(lambda: is_answered(ann, "send", room=room, key="two", text="welcome back"), "sends are taken")
        events, _ = dead.history(made.token("ann"), room)
        assert [e["key"] for e in events if e["ev"] == "message"] == ["one", "two"]
    finally:
        made.end()
