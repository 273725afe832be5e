"""The protocol against the real server, over plain sockets and TLS: signing in, requests and their ids, the upgrade. Rooms are in
test_rooms.py, messages in test_messages.py."""

import json
import time

import pytest
from support import tokens
from support.client import connect
from support.waiting import now_ms
from support.websocket import Refused, WebSocket


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
        "sends_per_s": 1_000_000, "hello_rooms": 200, "subscriptions": 1000, "resume_events": 10000, "watched": 200}
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
