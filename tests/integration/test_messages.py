"""Messages against the real server, over plain sockets and TLS: sending, keys, direct messages, history."""

import json

import pytest


# -- send ----------------------------------------------------------------------------------------------------------------
def test_send_is_answered_and_heard_by_everybody_in_the_room(shared, own, tls):
    room = own("room")
    alice, bob = shared.sign_in(own("alice"), tls=tls), shared.sign_in(own("bob"), tls=tls)
    made = alice.request("create", room=room)
    bob.request("join", room=room)
    ok = bob.request("send", room=room, key="b-17", text="hi 🎭\n\u2028", data={"x": [1, {"y": None}]}, reply_to=1)
    assert ok["room"] == room and ok["epoch"] == made["epoch"] and ok["seq"] == 3
    assert ok["stored"] == {"replicas": 1, "synced": 1} and "duplicate" not in ok
    expected = {"ev": "message", "room": room, "seq": 3, "ts": ok["ts"], "from": own("bob"), "key": "b-17",
                "text": "hi 🎭\n\u2028", "data": {"x": [1, {"y": None}]}, "reply_to": 1}
    for client in (alice, bob):
        assert client.event("message", room=room) == expected
    assert bob.request("history", room=room, limit=1)["events"] == [expected]
    alice.leave(), bob.leave()


def test_text_and_data_up_to_their_limits(shared, own):
    room = own("room")
    alice = shared.sign_in(own("alice"))
    alice.request("create", room=room)
    alice.request("send", room=room, key="k1", text="x" * 16384)
    alice.request("send", room=room, key="k2", text="", data={"x": "y" * (16384 - len('{"x":""}'))})
    assert "text_bytes" in alice.refused("send", "too_large", room=room, key="k3", text="x" * 16385)["message"]
    assert "text_bytes" in alice.refused("send", "too_large", room=room, key="k3", text="é" * 8193)["message"]
    assert "data_bytes" in alice.refused("send", "too_large", room=room, key="k3", text="x",
                                         data={"x": "y" * 16384})["message"]
    # A refused request uses up no key.
    assert alice.request("send", room=room, key="k3", text="short")["seq"] == 4
    alice.leave()


def test_a_frame_over_its_limit_is_refused_and_a_message_over_its_limit_ends_the_connection(shared, own):
    alice = shared.sign_in(own("alice"))
    alice.ws.send_text(json.dumps({"op": "ping", "id": 3, "pad": "x" * 70_000}) + '\n{"op":"ping","id":4}')
    assert alice.answer(4)["time"]
    errors = [alice.answers.pop(3)["error"]] if 3 in alice.answers else [alice.null_error()]
    assert errors[0]["code"] == "too_large" and "frame_bytes" in errors[0]["message"]
    alice.ws.send_text("\n".join(json.dumps({"op": "ping", "pad": "x" * 1000}) for _ in range(300)))
    assert alice.closed() == 1009


def test_requests_of_one_connection_on_one_room_take_effect_in_their_order(shared, own, tls):
    room = own("room")
    alice = shared.sign_in(own("alice"), tls=tls)
    requests = [alice.prepare("create", room=room), alice.prepare("join", room=room)]
    sends = [alice.prepare("send", room=room, key=f"k{i}", text=str(i)) for i in range(40)]
    last = alice.prepare("history", room=room, limit=5)
    alice.post_all(requests + sends + [last])
    seqs = [alice.answer(r["id"])["seq"] for r in sends]
    assert seqs == list(range(2, 42))
    assert [e["seq"] for e in alice.answer(last["id"])["events"]] == [37, 38, 39, 40, 41]
    assert [m["text"] for m in alice.messages(40, room)] == [str(i) for i in range(40)]
    alice.leave()


def test_a_thousand_pipelined_sends_are_all_taken(shared, own, tls):
    """Over limits.in_flight the server only stops reading: no error, no loss."""
    room = own("room")
    alice = shared.sign_in(own("alice"), tls=tls)
    alice.request("create", room=room)
    requests = [alice.prepare("send", room=room, key=f"k{i}", text=f"message {i}") for i in range(1000)]
    for r in requests:
        alice.ws.send_text(json.dumps(r))
    assert [alice.answer(r["id"])["seq"] for r in requests] == list(range(2, 1002))
    assert [m["seq"] for m in alice.messages(1000, room)] == list(range(2, 1002))
    alice.leave()


def test_many_frames_in_one_message_are_all_taken(shared, own):
    room = own("room")
    alice = shared.sign_in(own("alice"))
    alice.request("create", room=room)
    requests = [alice.prepare("send", room=room, key=f"k{i}", text="x") for i in range(1000)]
    alice.post_all(requests)
    assert [alice.answer(r["id"])["seq"] for r in requests] == list(range(2, 1002))
    alice.leave()


# -- idempotency ---------------------------------------------------------------------------------------------------------
def test_a_key_returns_the_first_answer_again(shared, own, tls):
    room = own("room")
    alice, bob = shared.sign_in(own("alice"), tls=tls), shared.sign_in(own("bob"))
    alice.request("create", room=room)
    first = alice.request("send", room=room, key="k", text="once", data={"a": 1, "b": 2}, reply_to=1)
    again = alice.request("send", room=room, key="k", text="once", data={"b": 2, "a": 1}, reply_to=1)
    assert again == {**first, "duplicate": True}
    other_connection = shared.sign_in(own("alice"))
    assert other_connection.request("send", room=room, key="k", text="once", data={"a": 1, "b": 2},
                                    reply_to=1)["duplicate"]
    for changed in [{"text": "twice"}, {"text": "once"}, {"text": "once", "data": {"a": 1}, "reply_to": 1},
                    {"text": "once", "data": {"a": 1, "b": 2}}]:
        alice.refused("send", "conflict", room=room, key="k", **changed)
    # One key space per (user, room).
    bob.request("join", room=room)
    assert "duplicate" not in bob.request("send", room=room, key="k", text="once")
    other = own("other")
    alice.request("create", room=other)
    assert "duplicate" not in alice.request("send", room=other, key="k", text="once")
    assert [e["ev"] for e in alice.request("history", room=room)["events"]] == ["member", "message", "member", "message"]
    for c in (alice, bob, other_connection):
        c.leave()


def test_a_key_in_flight_waits_for_the_first_result(shared, own):
    room = own("room")
    alice = shared.sign_in(own("alice"))
    alice.request("create", room=room)
    for round_ in range(20):
        same = [alice.prepare("send", room=room, key=f"k{round_}", text="x") for _ in range(5)]
        alice.post_all(same)
        answers = [alice.answer(r["id"]) for r in same]
        assert len({a["seq"] for a in answers}) == 1
        assert sorted("duplicate" in a for a in answers) == [False] + [True] * 4
    alice.leave()


# -- direct messages -----------------------------------------------------------------------------------------------------
def test_a_direct_message_wakes_every_connection_of_both(shared, own, tls):
    alice, bob = own("alice"), own("bob")
    room = "@" + "+".join(sorted([alice, bob]))
    a = shared.sign_in(alice)
    a2 = shared.sign_in(alice, tls=tls)
    b = [shared.sign_in(bob, tls=tls) for _ in range(3)]
    silent = shared.sign_in(bob, subscribe="none")
    ok = a.request("send", to=bob, key="k1", text="psst")
    assert ok["room"] == room and ok["seq"] == 1
    for client in [a2] + b:
        said = client.event("subscribed", room=room)
        assert (said["epoch"], said["seq"]) == (ok["epoch"], 0)
        assert client.event("message", room=room)["text"] == "psst"
    assert a.event("message", room=room)["seq"] == 1
    ok = b[0].request("send", to=alice, key="k1", text="what?")
    assert (ok["room"], ok["seq"]) == (room, 2)
    for client in [a, a2] + b:
        assert client.event("message", room=room, seq=2)["from"] == bob
    silent.settle()
    assert not silent.events
    assert [r["room"] for r in shared.sign_in(bob).hello["rooms"]] == [room]
    for c in [a, a2, silent] + b:
        c.leave()


def test_a_direct_message_waits_for_who_is_away(shared, own):
    alice, bob = own("alice"), own("bob")
    a = shared.sign_in(alice)
    sent = a.request("send", to=bob, key="k1", text="read this later")
    b = shared.sign_in(bob)
    listed = b.hello["rooms"]
    assert [(r["room"], r["seq"], r["kind"], r["subscribed"]) for r in listed] == [(sent["room"], 1, "direct", True)]
    assert b.request("history", room=sent["room"])["events"][0]["text"] == "read this later"
    a.leave(), b.leave()


def test_nobody_else_enters_a_direct_room(shared, own):
    alice, bob = own("alice"), own("bob")
    room = "@" + "+".join(sorted([alice, bob]))
    a, eve = shared.sign_in(alice), shared.sign_in(own("eve"))
    assert a.request("history", room=room)["events"] == [], "it exists without being created"
    a.request("send", room=room, key="k", text="by its name")
    for op, fields in [("join", {}), ("subscribe", {}), ("history", {}), ("send", {"key": "k", "text": "x"}),
                       ("members", {}), ("read", {"seq": 1})]:
        try:
            eve.request(op, room=room, **fields)
            raise AssertionError(f"{op} by a stranger was accepted")
        except Exception as e:
            assert getattr(e, "code", None) in ("not_member", "forbidden"), e
    a.refused("send", "bad_request", to=alice, key="k2", text="to myself")
    a.refused("subscribe", "bad_request", room="@zed+alice")
    a.leave(), eve.leave()


# -- history -------------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def long_room(shared):
    """A room with 501 events: the owner's, then 500 messages."""
    client = shared.sign_in("historian")
    made = client.request("create", room="long-room")
    requests = [client.prepare("send", room="long-room", key=f"k{i}", text=f"m{i}") for i in range(2, 502)]
    client.post_all(requests)
    stamps = {r["id"]: client.answer(r["id"])["ts"] for r in requests}
    client.leave()
    return {"room": "long-room", "epoch": made["epoch"], "ts": stamps}


HISTORY = [
    ({}, (452, 501), True),
    ({"limit": 200}, (302, 501), True),
    ({"before": 11}, (1, 10), False),
    ({"before": 11, "limit": 5}, (6, 10), True),
    ({"before": 12, "limit": 11}, (1, 11), False),
    ({"before": 1}, None, False),
    ({"before": 100_000, "limit": 2}, (500, 501), True),
    ({"after": 0, "limit": 3}, (1, 3), True),
    ({"after": 490}, (491, 501), False),
    ({"after": 491, "limit": 10}, (492, 501), False),
    ({"after": 501}, None, False),
    ({"after": 100_000}, None, False),
]


@pytest.mark.parametrize("fields,expected,more", HISTORY, ids=lambda x: json.dumps(x))
def test_history_by_seq(shared, own, long_room, fields, expected, more):
    alice = shared.sign_in(own("alice"))
    ok = alice.request("history", room=long_room["room"], **fields)
    seqs = [e["seq"] for e in ok["events"]]
    assert seqs == (list(range(expected[0], expected[1] + 1)) if expected else [])
    assert ok["more"] is more
    assert (ok["epoch"], ok["first"], ok["as_of"]) == (long_room["epoch"], 1, 501)
    over_rest = shared.rest("POST", "/api/v1/chat", {"room": long_room["room"], **fields}, shared.token(own("alice")))
    assert over_rest.json == ok
    alice.leave()


def test_history_around_a_seq_and_at_a_time(shared, own, long_room):
    alice = shared.sign_in(own("alice"))
    around = [e["seq"] for e in alice.request("history", room=long_room["room"], around=250, limit=11)["events"]]
    assert 250 in around and around == list(range(around[0], around[0] + len(around)))
    assert 8 <= len(around) <= 11 and around[0] < 250 < around[-1]
    for near in (1, 501):
        seqs = [e["seq"] for e in alice.request("history", room=long_room["room"], around=near, limit=11)["events"]]
        assert near in seqs and len(seqs) >= 5
    everything = []
    after = 0
    while True:
        page = alice.request("history", room=long_room["room"], after=after, limit=200)
        everything += page["events"]
        if not page["more"]:
            break
        after = everything[-1]["seq"]
    assert [e["seq"] for e in everything] == list(range(1, 502))
    assert all(x["ts"] <= y["ts"] for x, y in zip(everything, everything[1:]))
    moment = everything[250]["ts"]
    first_then = next(e["seq"] for e in everything if e["ts"] >= moment)
    at = alice.request("history", room=long_room["room"], at=moment, limit=20)["events"]
    assert first_then in [e["seq"] for e in at]
    assert alice.request("history", room=long_room["room"], at=0, limit=5)["events"][0]["seq"] == 1
    late = alice.request("history", room=long_room["room"], at=everything[-1]["ts"] + 1_000_000)
    assert late["events"] == [] and late["more"] is False
    alice.leave()


def test_a_page_over_the_limit_is_refused(shared, own, long_room):
    alice = shared.sign_in(own("alice"))
    error = alice.refused("history", "too_large", room=long_room["room"], limit=201)
    assert "limit" in error["message"] or "history_page" in error["message"]
    alice.leave()
