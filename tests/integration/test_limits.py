"""Every error and close code that comes from a bound, with the bound set low."""

import json
import re
import socket
import threading
import time

import pytest
from support import websocket
from support.client import RequestError
from support.server import path_of
from support.waiting import until
from support.websocket import PING, Closed, Refused


def test_no_hello_in_time_is_3503(make_server):
    server = make_server(limits__hello_ms=300)
    begin = time.monotonic()
    silent = server.open()
    babbling = server.open()
    babbling.refused("ping", "unauthenticated")
    assert (silent.closed(), babbling.closed()) == (3503, 3503)
    assert time.monotonic() - begin < 10
    server.sign_in("alice").leave()


def test_pings_are_sent_and_no_pong_is_3012(make_server):
    server = make_server(limits__ping_ms=200, limits__pong_ms=300)
    well, dead = server.sign_in("alice"), server.sign_in("bob")
    assert well.hello["ping_ms"] == 200
    dead.ws.answer_pings = False
    until(lambda: well.settle() and well.ws.pings >= 5, "five pings")
    assert dead.closed() == 3012
    well.leave()


def test_more_than_ten_bad_frames_are_3400(make_server):
    server = make_server()
    alice = server.sign_in("alice")
    for bad in ["x", "[1]", '"text"', "7", "null", "{", '{"op":', "{}x", "\\", "]"]:
        alice.ws.send_text(bad)
        assert alice.null_error()["code"] == "bad_request", bad
    alice.settle()
    # A bad request that is an object does not count.
    for _ in range(20):
        alice.refused("send", "bad_request", room="r")
    alice.ws.send_text("one more")
    assert alice.null_error()["code"] == "bad_request"
    assert alice.closed() == 3400


def test_sends_over_the_rate_are_rate_limited_and_flooding_is_3429(make_server):
    server = make_server(limits__sends_per_s=5, limits__sends_burst=10, limits__flood_refusals=50)
    alice = server.sign_in("alice")
    assert alice.hello["limits"]["sends_per_s"] == 5
    alice.request("create", room="room")
    requests = [alice.prepare("send", room="room", key=f"k{i}", text="x") for i in range(30)]
    alice.post_all(requests)
    taken, errors = [], []
    for r in requests:
        try:
            taken.append(alice.answer(r["id"])["seq"])
        except RequestError as e:
            errors.append(e.error)
    assert 10 <= len(taken) <= 15 and taken == list(range(2, 2 + len(taken)))
    for e in errors:
        assert e["code"] == "rate_limited" and e["retryable"] is True
        assert 0 < e["retry_after_ms"] <= 10_000 and "sends_per_s" in e["message"], e
    # Other ops are not held up; a refused send used up no key.
    alice.settle()
    last = requests[-1]

    def sent():
        try:
            return alice.request("send", room="room", key=last["key"], text="x")
        except RequestError as e:
            assert e.code == "rate_limited"

    assert "duplicate" not in until(sent, "the rate allows another", step_s=0.1)
    flood = [alice.prepare("send", room="room", key=f"f{i}", text="x") for i in range(200)]
    try:
        alice.post_all(flood)
        assert alice.closed() == 3429
    except Closed as e:
        assert e.code == 3429


def test_too_many_connections_of_one_user_are_3504(make_server):
    server = make_server(limits__connections_per_user=3)
    clients = [server.sign_in("alice") for _ in range(3)]
    fourth = server.open()
    assert "connections_per_user" in fourth.refused("hello", "forbidden", token=server.token("alice"))["message"]
    assert fourth.closed() == 3504
    server.sign_in("bob").leave()
    clients[0].leave()

    def place():
        client = server.open()
        try:
            return client.request("hello", token=server.token("alice"))
        except RequestError as e:
            assert e.code == "forbidden" and client.closed() == 3504

    until(place, "a place is free again")


def test_too_many_connections_from_one_address_are_refused_before_the_upgrade(make_server):
    server = make_server(limits__connections_per_address=5, limits__allow_addresses=[])
    clients = [server.sign_in("alice") for _ in range(4)]

    def refused():
        try:
            server.open().kill()
        except Refused as e:
            return e.status == 429
        except Closed:
            return False

    held = [server.open()]
    assert until(refused, "the address has no place left")
    held[0].kill()
    clients[0].leave()

    def let_in():
        try:
            return server.sign_in("bob")
        except (Refused, Closed, OSError):
            return None

    until(let_in, "a place is free again").leave()


def test_too_many_connections_of_the_node_are_503(make_server):
    server = make_server(limits__connections=4)
    clients = [server.sign_in(f"user{i}") for i in range(4)]

    def refused():
        try:
            server.open().kill()
        except Refused as e:
            assert e.status == 503
            return True
        except Closed:
            return False

    until(refused, "the node has no place left")
    for c in clients:
        c.settle()


def test_bounds_of_rooms_and_members(make_server):
    server = make_server(limits__rooms_per_user=3, limits__members_per_room=2)
    alice, bob, carol = (server.sign_in(u) for u in ("alice", "bob", "carol"))
    for i in range(3):
        alice.request("create", room=f"room{i}")
    for op, who, room in [("create", alice, "room3"), ("join", carol, "room0")]:
        if op == "join":
            bob.request("join", room="room0")
        try:
            who.request(op, room=room)
            raise AssertionError(f"{op} over the bound was taken")
        except RequestError as e:
            assert e.code in ("forbidden", "too_large", "rate_limited", "unavailable"), e
            assert "rooms_per_user" in e.message or "members_per_room" in e.message


def test_deep_json_is_refused(make_server):
    server = make_server(limits__json_depth=6)
    alice = server.sign_in("alice")
    alice.request("create", room="room")
    data = {"x": [[[1]]]}
    alice.request("send", room="room", key="k", text="x", data=data)
    error = alice.refused("send", "too_large", room="room", key="k2", text="x", data={"x": [[[[[[1]]]]]]})
    assert "json_depth" in error["message"]


def test_in_flight_requests_are_bounded_without_error(make_server):
    server = make_server(limits__in_flight=4)
    alice = server.sign_in("alice")
    assert alice.hello["limits"]["in_flight"] == 4
    alice.request("create", room="room")
    requests = [alice.prepare("send", room="room", key=f"k{i}", text="x") for i in range(500)]
    alice.post_all(requests)
    assert [alice.answer(r["id"])["seq"] for r in requests] == list(range(2, 502))


def test_an_id_that_is_still_in_flight_is_a_bad_request(make_server):
    server = make_server()
    alice = server.sign_in("alice")
    alice.request("create", room="room")

    # Whether the first is still in flight when the second is read is a matter of time: try until it was seen.
    def seen(n=[0]):
        n[0] += 1
        frames = [{"op": "send", "id": 7, "room": "room", "key": f"{n[0]}-{i}", "text": "x"} for i in range(2)]
        answers = []
        note = alice._note

        def collect(frame):
            if "re" in frame:
                answers.append(frame)
            else:
                note(frame)

        alice._note = collect
        try:
            alice.post_all(frames)
            deadline = time.monotonic() + 30
            while len(answers) < 2:
                alice._pump(deadline, "two answers")
        finally:
            alice._note = note
        assert all(a["re"] == 7 for a in answers)
        errors = [a["error"]["code"] for a in answers if "error" in a]
        assert set(errors) <= {"bad_request"} and len(errors) <= 1
        return errors

    until(seen, "the same id twice in flight")
    alice.leave()


def test_a_page_ends_at_its_bytes(make_server):
    server = make_server(limits__page_bytes=65536)
    alice = server.sign_in("alice")
    alice.request("create", room="room")
    for i in range(12):
        alice.request("send", room="room", key=f"k{i}", text="x" * 10_000)
    seqs, after = [], 0
    while True:
        page = alice.request("history", room="room", after=after, limit=200)
        assert 1 <= len(page["events"]) <= 8
        seqs += [e["seq"] for e in page["events"]]
        if not page["more"]:
            break
        after = seqs[-1]
    assert seqs == list(range(1, 14))


def test_far_more_rooms_and_users_than_may_be_active(make_server):
    """Rooms and users come and go; nothing that was said is lost by it."""
    server = make_server(rooms__active=128, rooms__idle_s=1, users__active=512, users__idle_s=1)
    rooms = [f"room{i}" for i in range(1500)]
    alice = server.sign_in("alice", subscribe="none")

    def all_of(requests):
        for begin in range(0, len(requests), 100):
            alice.post_all(requests[begin:begin + 100])
        return [alice.answer(r["id"]) for r in requests]

    all_of([alice.prepare("create", room=r) for r in rooms[:900]])
    carol = server.sign_in("carol", subscribe="none")
    for i, r in enumerate(rooms[900:]):
        carol.request("create", room=r)
        carol.request("leave", room=r)
        if i % 100 == 0:
            alice.settle()  # a client answers the server's pings only while it reads
    for round_ in range(3):
        ok = all_of([alice.prepare("send", room=r, key=f"k{round_}", text=f"{round_} in {r}") for r in rooms[:900]])
        assert all(a["seq"] == 2 + round_ for a in ok)
    pages = all_of([alice.prepare("history", room=r) for r in rooms[:900]])
    for r, page in zip(rooms, pages):
        assert [e.get("text") for e in page["events"]] == [None] + [f"{i} in {r}" for i in range(3)]
    for i in range(1500):
        path = f"/api/v1/rooms/{path_of(f'@alice+user{i}')}/messages"
        sent = server.rest("POST", path, {"text": "hello"}, server.token(f"user{i}"), {"Idempotency-Key": "k"})
        assert sent.status == 201, sent
        if i % 100 == 0:
            alice.settle()
    # A subscriber of a room keeps hearing it, however many other rooms come and go.
    bob = server.sign_in("bob")
    bob.request("join", room="room0")
    all_of([alice.prepare("history", room=r) for r in rooms])
    alice.request("send", room="room0", key="last", text="still there?")
    assert bob.event("message", room="room0")["text"] == "still there?"
    metrics = server.metrics()
    assert 0 < metrics["greenroom_rooms_active"] <= 128, metrics
    assert 0 < metrics["greenroom_users_active"] <= 512, metrics


def test_many_connections_at_once(make_server):
    server = make_server()
    clients, failures = [], []

    def come(n):
        try:
            for i in range(50):
                clients.append(server.sign_in(f"user{n}-{i}"))
        except BaseException as e:
            failures.append(e)

    threads = [threading.Thread(target=come, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures, failures
    clients[0].request("create", room="room")
    for c in clients[1:]:
        c.post("join", room="room")
    clients[0].request("send", room="room", key="k", text="all here?")
    for c in clients:
        c.settle()
    clients[1].request("send", room="room", key="k", text="yes")
    for c in clients:
        c.event("message", room="room", text="yes")
        c.kill()


def test_a_burst_larger_than_the_outbox_does_not_close_who_reads(make_server):
    """Thirty people say ten long things at once; a listener that reads all the time hears all of it on one connection."""
    server = make_server()
    owner = server.sign_in("owner", subscribe="none")
    owner.request("create", room="loud")
    speakers = [server.sign_in(f"speaker{i}", subscribe="none") for i in range(30)]
    for s in speakers:
        s.request("join", room="loud")
        s.request("unsubscribe", room="loud")
    listener = server.sign_in("listener", subscribe="none")
    listener.request("subscribe", room="loud")
    heard, ended = bytearray(), []

    def listen():
        # Bytes only: the listener must be as fast as a good one, while this process plays the thirty speakers, too.
        try:
            while chunk := listener.ws.sock.recv(1 << 20):
                heard.extend(chunk)
        except OSError:
            pass
        ended.append(True)

    thread = threading.Thread(target=listen)
    thread.start()
    last = 0
    for n in range(4):
        for s in speakers:
            s.requests = [s.prepare("send", room="loud", key=f"{n}-{i}", text="x" * 16_000) for i in range(10)]
            s.post_all(s.requests)
        for s in speakers:
            last = max([last] + [s.answer(r["id"])["seq"] for r in s.requests])
    until(lambda: ended or b'"seq":%d,' % last in heard[-40_000:], "the last message was heard")
    listener.ws.sock.shutdown(socket.SHUT_RDWR)
    thread.join()
    found = [int(x) for x in re.findall(rb'"room":"loud","seq":(\d+)', bytes(heard))]
    assert found == list(range(found[0], last + 1)), f"heard {len(found)} of {last - 31}; the end: {bytes(heard[-80:])}"


def test_a_ping_of_the_client_is_answered(make_server):
    alice = make_server().sign_in("alice")
    alice.ws.send_bytes(websocket.frame(PING, b"are you there"))
    assert alice.ws.receive_frame()[1:] == (websocket.PONG, b"are you there")
    assert alice.leave() == 1000


@pytest.mark.parametrize("room", ["general", "team/general"])
def test_what_a_restart_keeps(make_server, room):
    server = make_server()
    alice = server.sign_in("alice")
    made = alice.request("create", room=room, title="kept")
    first = alice.request("send", room=room, key="k", text="kept", data={"x": 1})
    alice.request("read", room=room, seq=2)
    events = alice.request("history", room=room)
    server.kill()
    server.start()
    again = server.sign_in("alice", resume={room: {"epoch": made["epoch"], "seq": 1}})
    assert again.hello["resumed"][room] == {"recovered": True, "epoch": made["epoch"], "seq": 2}
    assert again.event("message", room=room)["text"] == "kept"
    assert again.hello["rooms"] == [{"room": room, "epoch": made["epoch"], "seq": 2, "read": 2, "role": "owner",
                                     "kind": "public", "subscribed": True}]
    assert again.request("history", room=room) == events
    assert again.request("send", room=room, key="k", text="kept", data={"x": 1}) == {**first, "duplicate": True}
    again.refused("send", "conflict", room=room, key="k", text="changed")
    assert again.request("send", room=room, key="k2", text="next")["seq"] == 3
    assert json.dumps(again.request("rooms")["rooms"]).count(room) >= 1
