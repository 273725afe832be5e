"""Webhooks over real sockets: signed, in order, at least once, whatever fails: the receiver, the node, a node of three."""

import re
import threading

import pytest
from support.client import RequestError
from support.cluster import Cluster, shard_of
from support.command_line import greenroom
from support.server import ROOT, Server, certificate
from support.waiting import LIMIT_S, until
from support.webhooks import SECRET, Receiver, secret_file


@pytest.fixture
def receiver():
    with Receiver() as made:
        yield made


def with_hook(receiver, directory, **more):
    return {"webhook__audit__url": receiver.url, "webhook__audit__secret_file": secret_file(directory),
            "webhook__audit__retry_min_ms": 100, "webhook__audit__retry_max_s": 1,
            **{f"webhook__audit__{k}": v for k, v in more.items()}}


@pytest.fixture
def make(tmp_path):
    """A node with a webhook `audit` to a receiver."""
    made = []

    def make(receiver, **more):
        hook = {k: v for k, v in more.items() if "__" not in k}
        rest = {k: v for k, v in more.items() if "__" in k}
        made.append(Server(tmp_path / f"node{len(made)}", **with_hook(receiver, tmp_path, **hook), **rest))
        return made[-1].start()

    yield make
    for s in made:
        s.end()


def say(client, room, texts):
    for text in texts:
        client.request("send", room=room, key=text, text=text)


def lag_of(server):
    return {w["name"]: w for w in server.rest("GET", "/api/v1/webhooks", token=server.token("root", admin=True)).json["webhooks"]}


def wait_quiet(server):
    """Nothing is left to push."""
    until(lambda: all(w["pending_rooms"] == 0 and not w["more"] for w in lag_of(server).values()), "everything was pushed")


def test_events_are_pushed_as_clients_see_them(make, receiver):
    server = make(receiver)
    bob = server.sign_in("bob")
    bob.request("create", room="lobby")
    said = bob.request("send", room="lobby", key="k", text="hi", data={"n": 1.5})["seq"]
    bob.request("edit", room="lobby", target=said, key="e", text="hello")
    bob.request("react", room="lobby", target=said, key="r", emoji="+1", on=True)
    bob.request("typing", room="lobby", on=True)
    bob.request("send", room="lobby", text="psst", ephemeral=True)
    until(lambda: len(receiver.events("lobby")) == 4, "all four")
    wait_quiet(server)
    events, _ = server.history(server.token("bob"), "lobby")
    pushed = receiver.events("lobby")
    assert [e["ev"] for e in pushed.values()] == ["member", "message", "edited", "reaction"]
    assert {k: pushed[1][k] for k in pushed[1]} == events[0]
    assert pushed[said] | {"text": "hello"} == {k: v for k, v in events[1].items() if k in pushed[said]}
    first = receiver.accepted[0]
    assert first.headers["content-type"] == "application/json" and first.headers["greenroom-hook"] == "audit"
    assert first.body["hook"] == "audit" and first.body["delivery"] == first.delivery and first.attempt == 1
    assert first.body["epoch"] and receiver.badly_signed == 0
    samples = server.metrics()
    assert samples['greenroom_webhook_events_total{hook="audit"}'] == 4
    assert samples['greenroom_webhook_pending_rooms{hook="audit"}'] == 0
    assert lag_of(server)["audit"]["url"] == receiver.url.split("?")[0]


def test_the_document_tells_how_to_verify(make, receiver):
    text = (ROOT / "net" / "WEBHOOKS.md").read_text()
    told = {}
    exec(re.search(r"```python\n(.*?)```", text, re.S).group(1), told)
    shown = re.search(r"Greenroom-Signature: (v1=[0-9a-f]{64})", text).group(1)
    headers = {"Greenroom-Timestamp": "1700000000", "Greenroom-Signature": shown}
    body = b'{"hook":"audit"}'
    assert told["is_genuine"](b"0123456789abcdef", headers, body, now=1_700_000_100)
    assert not told["is_genuine"](b"0123456789abcdef", headers, body, now=1_700_001_000)
    assert not told["is_genuine"](b"0123456789abcdef", headers, body + b" ", now=1_700_000_100)
    server = make(receiver)
    bob = server.sign_in("bob")
    bob.request("create", room="lobby")
    receiver.wait_requests(1)
    request = receiver.requests[0]
    headers = {name: request.headers[name.lower()] for name in headers}
    assert told["is_genuine"](SECRET.encode(), headers, request.raw)


def test_over_tls_only_to_whom_the_certificate_names(make, tmp_path):
    cert, key = certificate(tmp_path, "hook")
    with Receiver(certificate=(cert, key)) as receiver:
        server = make(receiver, ca_file=str(cert))
        bob = server.sign_in("bob")
        bob.request("create", room="lobby")
        say(bob, "lobby", ["one"])
        receiver.wait_texts("lobby", ["one"])
        wrong, _ = certificate(tmp_path, "another")
        server.write_config(webhook__audit__ca_file=str(wrong))
        server.reload()
        server.wait_logged("what=reload_done")
        seen = len(receiver.requests)
        say(bob, "lobby", ["two"])
        until(lambda: lag_of(server)["audit"]["failures"] > 0, "it fails")
        assert "TLS" in lag_of(server)["audit"]["last_failure"] and len(receiver.requests) == seen
        server.write_config(webhook__audit__ca_file=str(cert))
        server.reload()
        receiver.wait_texts("lobby", ["two"])


def test_what_fails_is_repeated_under_its_id_and_nothing_overtakes_it(make, receiver):
    server = make(receiver, events=["message"])
    bob = server.sign_in("bob")
    bob.request("create", room="lobby")
    receiver.fails(503)
    say(bob, "lobby", ["a0"])
    receiver.wait_requests(1)
    say(bob, "lobby", [f"a{i}" for i in range(1, 5)])
    receiver.wait_requests(3)
    assert {r.delivery for r in receiver.requests} == {receiver.requests[0].delivery}
    assert [r.attempt for r in receiver.requests[:3]] == [1, 2, 3]
    assert all(r.texts == ["a0"] for r in receiver.requests)
    assert lag_of(server)["audit"]["last_failure"] == "the answer has status 503"
    receiver.works()
    receiver.wait_texts("lobby", [f"a{i}" for i in range(5)])
    wait_quiet(server)
    assert server.metrics()['greenroom_webhook_lag_seconds{hook="audit"}'] >= 0


def test_retry_after_is_kept(make, receiver):
    server = make(receiver, events=["message"])
    bob = server.sign_in("bob")
    bob.request("create", room="lobby")
    receiver.fails(429, **{"Retry-After": "3"})
    say(bob, "lobby", ["one"])
    receiver.wait_requests(1)
    receiver.works()
    receiver.wait_texts("lobby", ["one"])
    first, second = receiver.requests
    assert second.at - first.at >= 2.5  # a clock that ticks once in a second


def test_a_receiver_that_hangs_holds_up_its_room_alone(make, receiver):
    server = make(receiver, events=["message"], timeout_ms=1000)
    bob = server.sign_in("bob")
    bob.request("create", room="slow")
    bob.request("create", room="quick")
    release = threading.Event()

    def answer(request):
        if request.body["room"] == "slow" and not release.is_set():
            release.wait(LIMIT_S)
        return 200, b"", {}

    receiver.answer = answer
    say(bob, "slow", ["s1"])
    receiver.wait_requests(1)
    say(bob, "quick", ["q1", "q2"])
    receiver.wait_texts("quick", ["q1", "q2"])
    until(lambda: lag_of(server)["audit"]["failures"] > 0, "it took too long")
    assert "no answer in time" in lag_of(server)["audit"]["last_failure"]
    release.set()
    receiver.wait_texts("slow", ["s1"])


def test_nothing_is_lost_by_a_kill_between_push_and_cursor(make, receiver):
    """The node dies while an answer is on its way, again and again."""
    server = make(receiver, events=["message"])
    rooms = [f"room{i}" for i in range(6)]
    said = {room: [] for room in rooms}
    bob = server.sign_in("bob")
    for room in rooms:
        bob.request("create", room=room)
    for turn in range(4):
        bob = server.sign_in("bob")
        came = threading.Event()

        def answer(request, came=came):
            came.set()  # the receiver has it, and the node dies before it can note that
            return 200, b"", {}

        for room in rooms:
            texts = [f"{room}-{turn}-{i}" for i in range(5)]
            say(bob, room, texts)
            said[room] += texts
        receiver.answer = answer
        say(bob, rooms[0], [f"{rooms[0]}-{turn}-last"])
        said[rooms[0]].append(f"{rooms[0]}-{turn}-last")
        assert came.wait(LIMIT_S)
        server.kill()
        server.start()
    for room in rooms:
        receiver.wait_texts(room, said[room])
        texts = [e["text"] for _, e in sorted(receiver.events(room).items())]
        assert texts == said[room]
    wait_quiet(server)


def test_replay_by_route_and_by_command(make, receiver, tmp_path):
    server = make(receiver, events=["message"])
    bob = server.sign_in("bob")
    bob.request("create", room="lobby")
    say(bob, "lobby", ["one", "two", "three"])
    receiver.wait_texts("lobby", ["one", "two", "three"])
    wait_quiet(server)
    seen = len(receiver.accepted)
    root = server.token("root", admin=True)
    answer = server.rest("POST", "/api/v1/webhooks/audit/replay", {"room": "lobby", "seq": 3}, root)
    assert answer.status == 200 and answer.json == {"hook": "audit", "room": "lobby", "from": 3, "head": 4}
    until(lambda: len(receiver.accepted) > seen, "it comes again")
    wait_quiet(server)
    again = [t for r in receiver.accepted[seen:] for t in r.texts]
    assert again == ["two", "three"]
    assert not {r.delivery for r in receiver.accepted[:seen]} & {r.delivery for r in receiver.accepted[seen:]}
    seen = len(receiver.accepted)
    url = ["--server", f"http://127.0.0.1:{server.port}", "--token", root]
    done = greenroom("webhook", "replay", "audit", "lobby", "--at", "0", *url, cwd=tmp_path)
    assert done.returncode == 0, done
    until(lambda: len(receiver.accepted) > seen, "it comes again")
    wait_quiet(server)
    assert [t for r in receiver.accepted[seen:] for t in r.texts] == ["one", "two", "three"]
    shown = greenroom("webhook", "list", *url, cwd=tmp_path)
    assert shown.returncode == 0 and "audit" in shown.stdout
    refused = greenroom("webhook", "list", "--server", f"http://127.0.0.1:{server.port}", "--token", server.token("bob"),
                        cwd=tmp_path)
    assert refused.returncode != 0 and "for admins" in refused.stderr


def test_secrets_are_changed_and_webhooks_added_without_a_restart(make, receiver, tmp_path):
    server = make(receiver, events=["message"])
    bob = server.sign_in("bob")
    bob.request("create", room="lobby")
    say(bob, "lobby", ["one"])
    receiver.wait_texts("lobby", ["one"])
    secret_file(tmp_path, SECRET, "another-secret-for-this-test")
    server.reload()
    server.wait_logged("what=reload_done")
    say(bob, "lobby", ["two"])
    receiver.wait_texts("lobby", ["two"])
    assert receiver.accepted[-1].headers["greenroom-signature"].count("v1=") == 2
    receiver.secrets = ["another-secret-for-this-test"]
    say(bob, "lobby", ["three"])
    receiver.wait_texts("lobby", ["three"])
    with Receiver() as second:
        since = len(server.log_text())
        server.write_config(webhook__late__url=second.url, webhook__late__secret_file=secret_file(tmp_path, name="late"),
                            webhook__late__events=["message"])
        server.reload()
        server.wait_logged("what=reload_done", since)
        say(bob, "lobby", ["four"])
        second.wait_texts("lobby", ["four"])
        assert {e["text"] for e in second.events("lobby").values()} == {"four"}  # from the head on
        receiver.wait_texts("lobby", ["four"])
        server.end()  # while it listens, so that nothing waits for it
    since = len(server.log_text())
    secret_file(tmp_path, "short")
    assert server.spawn().process.wait(LIMIT_S) == 1
    assert "webhook.audit.secret_file" in server.log_text()[since:]


def test_three_nodes_push_through_the_death_of_a_primary(tmp_path, receiver):
    cluster = Cluster(tmp_path / "cluster", log__level="info", **with_hook(receiver, tmp_path, events=["message"]))
    try:
        cluster.start()
        cluster.wait_replicated()
        rooms = [f"room{i}" for i in range(12)]
        said = {room: [] for room in rooms}
        bob = cluster.sign_in("bob", on=cluster.nodes[0])
        for room in rooms:
            bob.request("create", room=room)
            said[room] = [f"{room}-{i}" for i in range(5)]
            say(bob, room, said[room])
        for room in rooms:
            receiver.wait_texts(room, said[room])
        # The receiver is down, and with it goes a node that leads rooms.
        receiver.fails(503)
        for room in rooms:
            more = [f"{room}-while-down-{i}" for i in range(3)]
            say(bob, room, more)
            said[room] += more
        records = cluster.records()
        victim = next(n for n in cluster.nodes[1:] if any(
            cluster.node_of(records[shard_of(room)]["primary"]) is n for room in rooms))
        victim.kill()
        receiver.works()
        for room in rooms:
            receiver.wait_texts(room, said[room], LIMIT_S * 4)
        for room in rooms:
            more = [f"{room}-after"]
            until(lambda room=room, more=more: try_to_say(bob, room, more), f"{room} is led again", LIMIT_S * 4)
            said[room] += more
            receiver.wait_texts(room, said[room], LIMIT_S * 4)
        known = {room: receiver.events(room) for room in rooms}
        for room in rooms:
            assert sorted(e["text"] for e in known[room].values()) == sorted(said[room])
        # A node is asked for all of them, and pushes anew wherever the room is led.
        victim.start()
        token = cluster.token("root", admin=True)
        listed = until(lambda: (lambda a: a.status == 200 and len(a.json["webhooks"]) == 3 and a.json)(
            cluster.nodes[0].rest("GET", "/api/v1/webhooks", token=token)), "all nodes are listed", LIMIT_S * 2)
        assert sorted(w["node"] for w in listed["webhooks"]) == ["n1", "n2", "n3"]
        seen = len(receiver.accepted)
        for room in rooms:
            answer = cluster.nodes[0].rest("POST", "/api/v1/webhooks/audit/replay", {"room": room, "seq": 1}, token)
            assert answer.status == 200, answer
        until(lambda: {t for r in receiver.accepted[seen:] for t in r.texts} >= {t for all in said.values() for t in all},
              "everything comes once more", LIMIT_S * 2)
    finally:
        cluster.end()


def try_to_say(client, room, texts):
    try:
        say(client, room, texts)
        return True
    except RequestError:
        return False
