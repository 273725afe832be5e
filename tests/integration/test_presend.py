"""The pre-send hook over real sockets: a filter that allows, refuses, replaces, is slow, and is gone."""

import threading

import pytest
from support.client import RequestError
from support.server import Server, free_port
from support.waiting import LIMIT_S, now_ms, until
from support.webhooks import Receiver, secret_file


@pytest.fixture
def filter_():
    with Receiver() as made:
        made.says("allow")
        yield made


@pytest.fixture
def make(tmp_path, filter_):
    made = []

    def make(**more):
        settings = {"presend__url": filter_.url, "presend__secret_file": secret_file(tmp_path), **more}
        made.append(Server(tmp_path / f"node{len(made)}", **settings))
        return made[-1].start()

    yield make
    for s in made:
        s.end()


def lobby(server):
    bob, alice = server.sign_in("bob"), server.sign_in("alice")
    bob.request("create", room="lobby")
    alice.request("join", room="lobby")
    return bob, alice


def refused(client, op, **fields):
    with pytest.raises(RequestError) as caught:
        client.request(op, **fields)
    return caught.value


def test_what_the_filter_allows_refuses_and_replaces(make, filter_):
    server = make()
    bob, alice = lobby(server)
    bob.request("send", room="lobby", key="k1", text="hi", data={"n": 1})
    assert alice.event("message")["text"] == "hi"
    asked = filter_.requests[-1].body
    assert asked == {"hook": "presend", "op": "send", "room": "lobby", "from": "bob", "key": "k1", "text": "hi", "data": {"n": 1}}
    filter_.says("reject", message="be\nkind")
    why = refused(bob, "send", room="lobby", key="k2", text="damn")
    assert why.code == "forbidden" and "presend: be kind" in str(why)
    answer = server.rest("POST", "/api/v1/rooms/lobby/messages", {"text": "damn"}, server.token("bob"), {"Idempotency-Key": "k3"})
    assert answer.status == 403 and answer.json["error"]["message"] == "presend: be kind"
    filter_.says("replace", text="d***", data={"was": "bad"})
    first = bob.request("send", room="lobby", key="k4", text="damn")
    heard = alice.event("message")
    assert heard["text"] == "d***" and heard["data"] == {"was": "bad"}
    before = len(filter_.requests)
    again = bob.request("send", room="lobby", key="k4", text="damn")
    assert again["duplicate"] and again["seq"] == first["seq"] and len(filter_.requests) == before
    assert refused(bob, "send", room="lobby", key="k4", text="other").code == "conflict"
    filter_.says("replace", text="d***")
    bob.request("edit", room="lobby", target=first["seq"], key="e1", text="darn")
    assert filter_.requests[-1].body["op"] == "edit" and alice.event("edited")["text"] == "d***"
    bob.request("send", room="lobby", text="psst", ephemeral=True)
    assert filter_.requests[-1].body["ephemeral"] is True and alice.event("ephemeral")["text"] == "d***"
    bob.request("send", to="alice", key="d1", text="between us")
    assert filter_.requests[-1].body["room"] == "@alice+bob"
    samples = server.metrics()
    assert samples["greenroom_presend_rejected_total"] == 2 and samples["greenroom_presend_failed_total"] == 0


def test_a_scheduled_message_is_asked_about_when_it_is_due(make, filter_):
    server = make()
    bob, alice = lobby(server)
    before = len(filter_.requests)
    bob.request("send", room="lobby", key="later", text="soon", at=now_ms() + 1500)
    assert len(filter_.requests) == before
    filter_.says("replace", text="now")
    assert alice.event("message")["text"] == "now"
    assert filter_.requests[-1].body["scheduled"] is True


@pytest.mark.parametrize("on_failure", ["open", "closed"])
@pytest.mark.parametrize("trouble", ["slow", "broken", "nonsense", "gone"])
def test_without_a_good_answer_in_time(make, filter_, on_failure, trouble):
    server = make(presend__on_failure=on_failure, presend__deadline_ms=500)
    bob, alice = lobby(server)
    release = threading.Event()
    if trouble == "slow":
        filter_.answer = lambda request: (release.wait(LIMIT_S), (200, b'{"action":"reject"}', {}))[1]
    elif trouble == "broken":
        filter_.fails(500)
    elif trouble == "nonsense":
        filter_.answer = lambda request: (200, b'{"action":"perhaps"}', {})
    else:
        server.write_config(presend__url=f"http://127.0.0.1:{free_port()}/")
        server.reload()
        server.wait_logged("what=reload_done")
    try:
        if on_failure == "open":
            bob.request("send", room="lobby", key="k", text="hi")
            assert alice.event("message")["text"] == "hi"
        else:
            assert refused(bob, "send", room="lobby", key="k", text="hi").code == "unavailable"
        assert server.metrics()["greenroom_presend_failed_total"] == 1
    finally:
        release.set()


def test_what_one_connection_sends_keeps_its_order_while_others_go_on(make, filter_):
    server = make(presend__deadline_ms=9000)
    bob, alice = lobby(server)
    release = threading.Event()

    def answer(request):
        if request.body["text"] == "first":
            release.wait(LIMIT_S)
        return 200, b'{"action":"allow"}', {}

    filter_.answer = answer
    first = bob.post("send", room="lobby", key="1", text="first")
    second = bob.post("send", room="lobby", key="2", text="second")
    left = bob.post("leave", room="lobby")
    until(lambda: any(r.body["text"] == "first" for r in filter_.requests), "it is asked about")
    alice.request("send", room="lobby", key="3", text="meanwhile")
    release.set()
    for id in (first, second, left):
        bob.answer(id)
    texts = [e.get("text") or e["change"] for e in (alice.event() for _ in range(5)) if e["ev"] in ("message", "member")]
    assert texts == ["meanwhile", "first", "second", "role", "left"]  # the last owner


def test_a_bounded_number_of_messages_waits(make, filter_):
    server = make(presend__waiting=2, presend__deadline_ms=9000)
    bob, _ = lobby(server)
    release = threading.Event()
    filter_.answer = lambda request: (release.wait(LIMIT_S), (204, b"", {}))[1]
    others = [server.sign_in(name) for name in ("carol", "dave")]
    for c in others:
        c.request("join", room="lobby")
    asked = [c.post("send", room="lobby", key="k", text="hi") for c in others]
    until(lambda: len(filter_.requests) == 2, "two wait")
    why = refused(bob, "send", room="lobby", key="k", text="hi")
    assert why.code == "unavailable" and "presend.waiting" in str(why)
    release.set()
    for c, id in zip(others, asked):
        c.answer(id)


def test_a_node_that_stops_does_not_wait_for_the_filter(make, filter_):
    server = make(presend__deadline_ms=9000)
    bob, _ = lobby(server)
    release = threading.Event()
    filter_.answer = lambda request: (release.wait(LIMIT_S), (204, b"", {}))[1]
    bob.post("send", room="lobby", key="k", text="hi")
    until(lambda: filter_.requests, "it is asked about")
    try:
        assert server.stop() == 0
    finally:
        release.set()
