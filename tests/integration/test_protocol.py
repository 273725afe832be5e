"""Every op of the protocol against the real server, over plain sockets and TLS."""

import json
import time

import pytest
from support import tokens
from support.client import connect
from support.websocket import Refused, WebSocket


@pytest.fixture(params=["plain", "tls"])
def tls(request):
    return request.param == "tls"


def now_ms():
    return int(time.time() * 1000)


# -- hello, refresh, ping ------------------------------------------------------------------------------------------------
def test_hello_says_who_and_where_and_what_is_allowed(shared, own, tls):
    alice = shared.sign_in(own("alice"), tls=tls, device="phone-1")
    hello = alice.hello
    assert hello["user"] == own("alice")
    assert hello["session"] and hello["node"] == "n1" and hello["server"].startswith("greenroom/")
    assert abs(hello["time"] - now_ms()) < 60_000
    assert hello["ping_ms"] == 25_000
    assert abs(hello["expires_at"] - (now_ms() + 3_600_000)) < 60_000
    assert hello["limits"] == {
        "frame_bytes": 65536, "message_bytes": 262144, "text_bytes": 16384, "data_bytes": 16384, "in_flight": 64,
        "sends_per_s": 1_000_000, "hello_rooms": 200, "subscriptions": 1000, "resume_events": 10000}
    assert hello["rooms"] == [] and hello["more"] is False and hello.get("resumed", {}) == {}
    assert alice.leave() == 1000


def test_a_token_in_the_header_needs_none_in_hello(shared, own, tls):
    alice = shared.sign_in(own("alice"), tls=tls, in_header=True)
    assert alice.hello["user"] == own("alice")
    alice.leave()


def test_a_token_in_hello_must_belong_to_the_user_of_the_header(shared, own):
    alice = shared.open(headers=[("Authorization", f"Bearer {shared.token(own('alice'))}")])
    error = alice.refused("hello", "unauthenticated", token=shared.token(own("bob")))
    assert error["message"]
    assert alice.closed() == 3501
    again = shared.open(headers=[("Authorization", f"Bearer {shared.token(own('alice'))}")])
    assert again.request("hello", token=shared.token(own("alice")))["user"] == own("alice")
    again.leave()


def test_a_bad_token_in_the_header_is_401_and_no_upgrade(shared, own):
    with pytest.raises(Refused) as refused:
        shared.open(headers=[("Authorization", "Bearer nonsense")])
    assert refused.value.status == 401
    assert json.loads(refused.value.body)["error"]["code"] == "unauthenticated"


def bad_tokens(server, user):
    good = tokens.claims(user)
    secret = server.secret
    signed = tokens.encode(good, secret)
    yield "not a token", "x"
    yield "empty", ""
    yield "other secret", tokens.encode(good, b"another secret that is long enough")
    yield "no algorithm", tokens.encode(good, secret, "none")
    yield "none in other letters", tokens.encode(good, secret, "nOnE")
    yield "signature cut off", signed.rsplit(".", 1)[0] + "."
    yield "another algorithm in the header", tokens.encode(good, secret, "HS512")
    yield "asymmetric in the header", tokens.encode(good, secret, "RS256")
    yield "another body", ".".join([signed.split(".")[0], tokens.b64(json.dumps({**good, "sub": "root"}).encode()),
                                    signed.split(".")[2]])
    yield "expired", tokens.encode(tokens.claims(user, -60), secret)
    yield "not yet", tokens.encode({**good, "nbf": int(time.time()) + 600}, secret)
    yield "other issuer", tokens.encode({**good, "iss": "elsewhere"}, secret)
    yield "no subject", tokens.encode({k: v for k, v in good.items() if k != "sub"}, secret)
    yield "no user's name", tokens.encode({**good, "sub": "Not A Name"}, secret)
    yield "no end", tokens.encode({k: v for k, v in good.items() if k != "exp"}, secret)
    yield "key by reference", tokens.encode(good, b"", kid="../../../../dev/null")


def test_a_bad_token_in_hello_is_unauthenticated_and_3501(shared, own):
    for what, token in bad_tokens(shared, own("alice")):
        alice = shared.open(name=what)
        alice.refused("hello", "unauthenticated", token=token)
        assert alice.closed() == 3501, what
        assert shared.rest("GET", "/api/v1/sessions", token=token or "x").status == 401, what


def test_before_hello_every_op_is_unauthenticated(shared, own):
    alice = shared.open()
    for op, fields in [("ping", {}), ("join", {"room": "x"}), ("send", {"room": "x", "key": "k", "text": "t"}),
                       ("rooms", {}), ("refresh", {"token": "x"})]:
        alice.refused(op, "unauthenticated", **fields)
    assert alice.request("hello", token=shared.token(own("alice")))["user"] == own("alice")
    alice.leave()


def test_a_second_hello_is_a_bad_request(shared, own):
    alice = shared.sign_in(own("alice"))
    alice.refused("hello", "bad_request", token=shared.token(own("alice")))
    alice.settle().leave()


def test_refresh_extends_the_session_of_the_same_user_only(shared, own):
    token = shared.token(own("alice"), 100, sid="s-" + own("alice"))
    alice = shared.sign_in(own("alice"), token=token)
    longer = shared.token(own("alice"), 7200, sid="s-" + own("alice"))
    ok = alice.request("refresh", token=longer)
    assert abs(ok["expires_at"] - (now_ms() + 7_200_000)) < 60_000
    alice.refused("refresh", "unauthenticated", token="nonsense")
    try:
        alice.request("refresh", token=shared.token(own("bob")))
        raise AssertionError("the token of another user was taken")
    except Exception as e:
        assert getattr(e, "code", None) in ("unauthenticated", "forbidden"), e
    alice.settle().leave()


def test_ping_answers_the_time(shared, own, tls):
    alice = shared.sign_in(own("alice"), tls=tls)
    assert abs(alice.request("ping")["time"] - now_ms()) < 60_000
    alice.leave()


# -- requests and their ids ----------------------------------------------------------------------------------------------
def test_ids_are_integers_from_1_and_wrong_ones_are_answered_with_null(shared, own):
    alice = shared.sign_in(own("alice"))
    for bad in [0, -1, 2**53, 1.5, "7", None, [1], {}, True]:
        alice.ws.send_text(json.dumps({"op": "ping", "id": bad}))
        assert alice.null_error()["code"] == "bad_request", bad
    alice.ws.send_text(json.dumps({"op": "ping", "id": 2**53 - 1}))
    assert alice.answer(2**53 - 1)["time"]
    alice.ws.send_text(json.dumps({"op": "ping"}))
    assert alice.null_error()["code"] == "bad_request"
    alice.leave()


def test_an_id_may_be_used_again_after_its_answer(shared, own):
    alice = shared.sign_in(own("alice"))
    for _ in range(3):
        alice.ws.send_text('{"op":"ping","id":5}')
        assert alice.answer(5)["time"]
    alice.leave()


def test_an_unknown_op_is_unsupported(shared, own):
    alice = shared.sign_in(own("alice"))
    alice.refused("dance", "unsupported")
    alice.ws.send_text('{"id":9}')
    try:
        alice.answer(9)
        raise AssertionError("a frame without op was accepted")
    except Exception as e:
        assert e.code == "bad_request"
    alice.leave()


def test_one_message_holds_many_frames_and_a_bad_one_does_not_spoil_its_neighbours(shared, own, tls):
    alice = shared.sign_in(own("alice"), tls=tls)
    alice.ws.send_text('{"op":"ping","id":101}\n\n{"op":"ping"\n[1]\n{"op":"ping","id":102}\n"x"\n{"op":"ping","id":103}\n')
    for re in (101, 102, 103):
        assert alice.answer(re)["time"]
    assert [alice.null_error()["code"] for _ in range(3)] == ["bad_request"] * 3
    alice.leave()


def test_a_message_may_come_in_fragments_with_control_frames_between(shared, own, tls):
    from support.websocket import CONTINUATION, PING, PONG, TEXT, frame

    alice = shared.sign_in(own("alice"), tls=tls)
    text = '{"op":"ping","id":77,"note":"grün € 🎭"}'.encode()
    for i, byte in enumerate(text):
        alice.ws.send_bytes(frame(CONTINUATION if i else TEXT, bytes([byte]), fin=i == len(text) - 1))
        if i % 10 == 0:
            alice.ws.send_bytes(frame(PING, b"%d" % i))
    pongs = []
    while True:
        _, opcode, data = alice.ws.receive_frame()
        if opcode == TEXT:
            assert json.loads(data)["re"] == 77
            break
        assert opcode == PONG
        pongs.append(int(data))
    # RFC 6455 5.5.2 lets a server answer only the last of several pings.
    assert pongs == sorted(pongs) and pongs and pongs[-1] == (len(text) - 1) // 10 * 10
    alice.leave()


def test_fields_that_the_server_does_not_know_are_ignored(shared, own):
    alice = shared.sign_in(own("alice"))
    assert alice.request("ping", new_field={"deep": [1, 2, {"x": None}]})["time"]
    alice.leave()


WRONG_FIELDS = [
    ("create", {"room": "Not A Room"}, "room"),
    ("create", {"room": "x" * 65}, "room"),
    ("create", {}, "room"),
    ("create", {"room": "r1", "kind": "secret"}, "kind"),
    ("create", {"room": "r1", "kind": 7}, "kind"),
    ("create", {"room": "r1", "title": 7}, "title"),
    ("create", {"room": "r1", "history_days": -1}, "history_days"),
    ("create", {"room": "@alice+bob"}, "room"),
    ("join", {"room": 7}, "room"),
    ("join", {"room": "r1", "resume": {"epoch": "x"}}, "resume"),
    ("join", {"room": "r1", "resume": {"epoch": "x", "seq": -1}}, "seq"),
    ("join", {"room": "r1", "resume": [1]}, "resume"),
    ("send", {"room": "r1", "text": "hi"}, "key"),
    ("send", {"room": "r1", "text": "hi", "key": ""}, "key"),
    ("send", {"room": "r1", "text": "hi", "key": "k" * 65}, "key"),
    ("send", {"room": "r1", "text": "hi", "key": "a b"}, "key"),
    ("send", {"room": "r1", "text": "hi", "key": "schlüssel"}, "key"),
    ("send", {"room": "r1", "key": "k"}, "text"),
    ("send", {"room": "r1", "key": "k", "text": 5}, "text"),
    ("send", {"room": "r1", "key": "k", "text": "hi", "data": [1]}, "data"),
    ("send", {"room": "r1", "key": "k", "text": "hi", "reply_to": "x"}, "reply_to"),
    ("send", {"key": "k", "text": "hi"}, "room"),
    ("send", {"room": "r1", "to": "bob", "key": "k", "text": "hi"}, "to"),
    ("send", {"to": "Not A User", "key": "k", "text": "hi"}, "to"),
    ("history", {"room": "r1", "before": "x"}, "before"),
    ("history", {"room": "r1", "before": 5, "after": 1}, "after"),
    ("history", {"room": "r1", "limit": 0}, "limit"),
    ("history", {"room": "r1", "limit": "many"}, "limit"),
    ("read", {"room": "r1"}, "seq"),
    ("read", {"room": "r1", "seq": "x"}, "seq"),
    ("typing", {"room": "r1"}, "on"),
    ("typing", {"room": "r1", "on": 1}, "on"),
    ("rooms", {"after": 5}, "after"),
    ("members", {"room": "r1", "after": 5}, "after"),
    ("refresh", {}, "token"),
]


def test_a_wrong_field_is_a_bad_request_that_names_it(shared, own):
    alice = shared.sign_in(own("alice"))
    for op, fields, name in WRONG_FIELDS:
        # What is longer than it may ever be is too_large; everything else a bad request.
        too_long = any(isinstance(v, str) and len(v) == 65 for v in fields.values()) and name == "key"
        error = alice.refused(op, "too_large" if too_long else "bad_request", **fields)
        assert name in error["message"], f"{op} {fields}: {error}"
    alice.leave()


WRONG_HELLOS = [
    ({"device": 7}, "device"),
    ({"device": "d" * 5000}, "device"),
    ({"resume": []}, "resume"),
    ({"resume": {"general": 5}}, "resume"),
    ({"resume": {"general": {"seq": 1}}}, "epoch"),
    ({"subscribe": "some"}, "subscribe"),
    ({"subscribe": ["Not A Room"]}, "subscribe"),
    ({"token": 7}, "token"),
]


def test_a_wrong_field_in_hello_is_named_and_hello_may_be_tried_again(shared, own):
    for fields, name in WRONG_HELLOS:
        alice = shared.open()
        code = "too_large" if len(str(fields.get("device", ""))) > 1000 else "bad_request"
        error = alice.refused("hello", code, **{"token": shared.token(own("alice")), **fields})
        assert name in error["message"], f"{fields}: {error}"
        if name != "token":
            assert alice.request("hello", token=shared.token(own("alice")))["user"] == own("alice")
        alice.kill()


# -- create, join, leave, subscribe --------------------------------------------------------------------------------------
def test_create_makes_the_creator_the_owner(shared, own, tls):
    alice = shared.sign_in(own("alice"), tls=tls)
    room = own("room")
    made = alice.request("create", room=room, kind="public", title="A room", history_days=0)
    assert made["room"] == room and made["epoch"] and made["seq"] == 1
    joined = alice.request("join", room=room)
    assert joined["role"] == "owner" and joined["seq"] == 1 and joined["epoch"] == made["epoch"]
    assert joined["member_count"] == 1 and joined["online_count"] == 1
    repeated = alice.request("create", room=room, kind="public", title="A room", history_days=0)
    assert repeated == made, "the answer got lost, and the client asks again"
    alice.refused("create", "exists", room=room)
    alice.leave()


def test_join_makes_one_member_event_and_leave_another(shared, own, tls):
    room = own("room")
    alice, bob = shared.sign_in(own("alice"), tls=tls), shared.sign_in(own("bob"))
    made = alice.request("create", room=room)
    joined = bob.request("join", room=room)
    assert joined["seq"] == 2 and joined["role"] == "member" and joined["member_count"] == 2
    assert joined["epoch"] == made["epoch"] and joined["online_count"] == 2 and "recovered" not in joined
    event = alice.event("member", room=room, user=own("bob"))
    assert (event["seq"], event["change"], event["role"], event["from"]) == (2, "joined", "member", own("bob"))
    assert abs(event["ts"] - now_ms()) < 60_000
    assert bob.request("join", room=room)["seq"] == 2, "joining again made an event"
    bob.request("leave", room=room)
    event = alice.event("member", room=room)
    assert (event["seq"], event["change"], event["user"]) == (3, "left", own("bob"))
    assert bob.request("leave", room=room)["seq"] == 3, "leaving again made an event"
    alice.request("send", room=room, key="k1", text="are you there?")
    bob.settle()
    assert not bob.has_event("message"), "leave did not end the subscription"
    bob.refused("send", "not_member", room=room, key="k2", text="hi")
    assert bob.request("join", room=room)["seq"] == 5
    alice.leave(), bob.leave()


def test_what_is_not_there_is_not_found(shared, own):
    alice = shared.sign_in(own("alice"))
    nowhere = own("nowhere")
    for op, fields in [("join", {}), ("leave", {}), ("subscribe", {}), ("send", {"key": "k", "text": "x"}),
                       ("history", {}), ("read", {"seq": 1}), ("members", {}), ("typing", {"on": True})]:
        alice.refused(op, "not_found", room=nowhere, **fields)
    alice.leave()


def test_a_public_room_can_be_listened_to_and_read_without_joining(shared, own):
    room = own("room")
    alice, eve = shared.sign_in(own("alice")), shared.sign_in(own("eve"))
    alice.request("create", room=room)
    ok = eve.request("subscribe", room=room)
    assert ok["seq"] == 1 and ok["role"] == "none" and ok["member_count"] == 1
    alice.request("send", room=room, key="k", text="hello all")
    assert eve.event("message", room=room)["text"] == "hello all"
    assert [e["seq"] for e in eve.request("history", room=room)["events"]] == [1, 2]
    eve.refused("send", "not_member", room=room, key="k", text="may I?")
    eve.refused("read", "not_member", room=room, seq=1)
    eve.request("unsubscribe", room=room)
    alice.request("send", room=room, key="k2", text="anyone?")
    eve.settle()
    assert not eve.has_event("message")
    alice.leave(), eve.leave()


def test_a_private_room_shows_nothing_to_strangers(shared, own):
    room = own("room")
    alice, eve = shared.sign_in(own("alice")), shared.sign_in(own("eve"))
    alice.request("create", room=room, kind="private")
    for op, fields in [("subscribe", {}), ("history", {}), ("send", {"key": "k", "text": "x"}), ("members", {})]:
        eve.refused(op, "not_member", room=room, **fields)
    eve.refused("join", "forbidden", room=room)
    answer = shared.rest("GET", f"/api/v1/rooms/{room}/events", token=shared.token(own("eve")))
    assert answer.status == 403
    alice.leave(), eve.leave()


def test_only_its_owner_speaks_in_an_announce_room(shared, own):
    room = own("room")
    alice, bob = shared.sign_in(own("alice")), shared.sign_in(own("bob"))
    alice.request("create", room=room, kind="announce")
    alice.request("send", room=room, key="k", text="news")
    # The contract opens only public rooms to everybody; where joining is open, speaking still is not.
    try:
        bob.request("join", room=room)
    except Exception as e:
        assert e.code == "forbidden", e
        bob.refused("send", "not_member", room=room, key="k", text="me, too")
    else:
        bob.refused("send", "forbidden", room=room, key="k", text="me, too")
    alice.leave(), bob.leave()


def test_subscribing_is_for_one_connection_and_leaves_membership_alone(shared, own):
    room = own("room")
    alice = shared.sign_in(own("alice"))
    other = shared.sign_in(own("alice"), subscribe="none")
    alice.request("create", room=room)
    alice.request("send", room=room, key="k1", text="one")
    other.settle()
    assert not other.events, "a connection that subscribed to nothing got events"
    assert other.request("subscribe", room=room)["role"] == "owner"
    alice.request("send", room=room, key="k2", text="two")
    assert other.event("message", room=room)["text"] == "two"
    other.request("unsubscribe", room=room)
    alice.request("send", room=room, key="k3", text="three")
    other.settle()
    assert not other.has_event("message")
    assert alice.request("rooms")["rooms"][0]["room"] == room
    alice.leave(), other.leave()


def test_hello_may_subscribe_to_a_list_of_rooms(shared, own):
    a, b = own("a"), own("b")
    alice = shared.sign_in(own("alice"))
    for room in (a, b):
        alice.request("create", room=room)
    phone = shared.sign_in(own("alice"), subscribe=[a])
    assert {r["room"]: r["subscribed"] for r in phone.hello["rooms"]} == {a: True, b: False}
    alice.request("send", room=b, key="k", text="to b")
    alice.request("send", room=a, key="k", text="to a")
    assert phone.event("message")["room"] == a
    phone.settle()
    assert not phone.has_event("message")
    alice.leave(), phone.leave()


def test_a_room_joined_on_one_device_is_heard_on_all(shared, own, tls):
    room = own("room")
    bob, laptop = shared.sign_in(own("bob")), shared.sign_in(own("alice"))
    phone = shared.sign_in(own("alice"), tls=tls)
    made = bob.request("create", room=room)
    joined = laptop.request("join", room=room)
    bob.request("send", room=room, key="k", text="welcome")
    said = phone.event("subscribed", room=room)
    assert said["epoch"] == made["epoch"] and said["seq"] <= joined["seq"]
    assert phone.event("message", room=room)["seq"] == 3
    laptop.request("leave", room=room)
    left = phone.event("member", room=room, change="left")
    assert left["user"] == own("alice"), "who is removed gets the own member event last"
    bob.request("send", room=room, key="k2", text="gone?")
    phone.settle()
    assert not phone.has_event("message")
    for c in (bob, laptop, phone):
        c.leave()


def test_hello_lists_the_rooms_of_the_user(shared, own):
    rooms = [own(f"room{i}") for i in range(3)]
    alice = shared.sign_in(own("alice"))
    for room in rooms:
        alice.request("create", room=room)
    for i, room in enumerate(rooms):
        for k in range(i + 1):
            alice.request("send", room=room, key=f"k{k}", text="x")
    alice.request("read", room=rooms[2], seq=2)
    listed = {r["room"]: r for r in shared.sign_in(own("alice")).hello["rooms"]}
    assert set(listed) == set(rooms)
    for i, room in enumerate(rooms):
        r = listed[room]
        assert r["seq"] == i + 2 and r["role"] == "owner" and r["kind"] == "public" and r["subscribed"] is True
    assert listed[rooms[2]]["read"] == 2
    alice.leave()


def test_namespaces_and_the_longest_names(shared, own):
    user = ("u" + own("x")).ljust(32, "z")
    alice = shared.sign_in(user)
    for room in (own("team") + "/" + "r" * 64, own("r").ljust(64, "r"), "0." + own("_-")):
        assert alice.request("create", room=room)["room"] == room
        assert alice.request("send", room=room, key="k", text="x")["room"] == room
    alice.leave()


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


# -- read, typing --------------------------------------------------------------------------------------------------------
def test_a_read_position_moves_forward_only_and_is_shown_to_others(shared, own):
    room = own("room")
    alice, bob = shared.sign_in(own("alice")), shared.sign_in(own("bob"))
    alice.request("create", room=room)
    bob.request("join", room=room)
    for i in range(5):
        alice.request("send", room=room, key=f"k{i}", text="x")
    bob.request("read", room=room, seq=4)
    assert alice.event("read", room=room) == {"ev": "read", "room": room, "user": own("bob"), "seq": 4}
    bob.request("read", room=room, seq=2)
    listed = {r["room"]: r for r in shared.sign_in(own("bob")).hello["rooms"]}
    assert listed[room]["read"] == 4
    # Without an id it is done without an answer.
    bob.ws.send_text(json.dumps({"op": "read", "room": room, "seq": 6}))
    assert alice.event("read", room=room)["seq"] == 6
    entry = next(r for r in bob.request("rooms")["rooms"] if r["room"] == room)
    assert (entry["read"], entry["seq"], entry["unread"]) == (6, 7, 1)
    alice.leave(), bob.leave()


def test_a_read_position_beyond_the_head_is_not_taken_as_it_is(shared, own):
    room = own("room")
    alice = shared.sign_in(own("alice"))
    alice.request("create", room=room)
    try:
        alice.request("read", room=room, seq=1000)
    except Exception as e:
        assert getattr(e, "code", None) == "bad_request", e
    assert shared.sign_in(own("alice")).hello["rooms"][0]["read"] <= 1
    alice.leave()


def test_typing_is_shown_to_others_and_needs_no_answer(shared, own):
    room = own("room")
    alice, bob = shared.sign_in(own("alice")), shared.sign_in(own("bob"))
    alice.request("create", room=room)
    bob.request("join", room=room)
    bob.ws.send_text(json.dumps({"op": "typing", "room": room, "on": True}))
    shown = alice.event("typing", room=room)
    assert (shown["user"], shown["on"]) == (own("bob"), True)
    assert bob.request("typing", room=room, on=False) == {}
    assert alice.event("typing", room=room)["on"] is False
    stranger = shared.sign_in(own("eve"))
    stranger.refused("typing", "not_member", room=room, on=True)
    # Other requests without an id are refused.
    bob.ws.send_text(json.dumps({"op": "send", "room": room, "key": "k", "text": "x"}))
    assert bob.null_error()["code"] == "bad_request"
    assert len(bob.request("history", room=room)["events"]) == 2
    for c in (alice, bob, stranger):
        c.leave()


# -- rooms, members ------------------------------------------------------------------------------------------------------
def test_rooms_pages_through_the_inbox(shared, own):
    alice = shared.sign_in(own("alice"), subscribe="none")
    names = [own(f"room{i:02}") for i in range(25)]
    for room in names:
        alice.request("create", room=room)
    alice.request("send", room=names[7], key="k", text="last one")
    found, after = {}, None
    for _ in range(26):
        ok = alice.request("rooms", limit=4, **({"after": after} if after else {}))
        assert len(ok["rooms"]) <= 4
        for r in ok["rooms"]:
            assert r["room"] not in found, "a room came twice"
            found[r["room"]] = r
        after = ok.get("next")
        if not after:
            break
    assert set(found) == set(names)
    entry = found[names[7]]
    assert (entry["seq"], entry["read"], entry["mentions"]) == (2, 1, 0)
    assert entry["last"]["text"] == "last one" and entry["last"]["seq"] == 2
    alice.refused("rooms", "too_large", limit=101)
    alice.leave()


def test_members_pages_through_the_room(shared, own):
    room = own("room")
    alice = shared.sign_in(own("alice"))
    alice.request("create", room=room)
    clients = [shared.sign_in(own(f"m{i:02}")) for i in range(12)]
    for c in clients:
        c.request("join", room=room)
    clients[3].leave()
    found, after = [], None
    for _ in range(14):
        ok = alice.request("members", room=room, limit=5, **({"after": after} if after else {}))
        found += ok["members"]
        after = ok.get("next")
        if not after:
            break
    by_name = {m["user"]: m for m in found}
    assert len(found) == len(by_name) == 13
    assert by_name[own("alice")]["role"] == "owner" and by_name[own("m00")]["role"] == "member"
    assert by_name[own("m00")]["online"] is True
    # Going offline is told asynchronously: ask until it is known.
    from support.waiting import until

    until(lambda: not {m["user"]: m for m in alice.request("members", room=room)["members"]}[own("m03")]["online"],
          "a member who left is offline")
    for c in clients[:3] + clients[4:]:
        c.leave()
    alice.leave()


# -- the upgrade ---------------------------------------------------------------------------------------------------------
def test_the_subprotocol_may_be_left_out_and_an_unknown_one_is_refused(shared, own):
    alice = connect(shared.port, shared.token(own("alice")), protocol=None)
    assert alice.ws.protocol is None
    alice.leave()
    with pytest.raises(Refused) as refused:
        WebSocket(shared.port, protocol="mqtt")
    assert refused.value.status == 400


def test_a_binary_message_is_1003(shared, own):
    from support.websocket import BINARY, frame

    alice = shared.sign_in(own("alice"))
    alice.ws.send_bytes(frame(BINARY, b'{"op":"ping","id":1}'))
    assert alice.closed() == 1003


def test_pages_of_other_origins_are_not_let_in(make_server):
    server = make_server(listen__allowed_origins=["https://chat.example.org"])
    for origin, allowed in [("https://chat.example.org", True), ("https://evil.example.org", False), ("null", False),
                            ("https://chat.example.org.evil.org", False), (None, True)]:
        headers = [("Origin", origin)] if origin else []
        if allowed:
            server.sign_in("alice", headers=headers).leave()
        else:
            with pytest.raises(Refused) as refused:
                server.open(headers=headers)
            assert refused.value.status == 403, origin
