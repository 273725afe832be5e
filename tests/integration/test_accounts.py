"""Accounts, tokens and REST."""

import json
import time
from http.client import HTTPConnection

import pytest
from support import tokens
from support.server import path_of
from support.waiting import until

PASSWORD = "correct horse battery staple"


def register(server, user, password=PASSWORD, device="laptop", **how):
    return server.rest("POST", "/api/v1/auth/register", {"user": user, "password": password, "device": device}, **how)


def refused(answer, status, code):
    assert answer.status == status, answer
    error = answer.json["error"]
    assert error["code"] == code and error["message"], error
    return error


# -- accounts ------------------------------------------------------------------------------------------------------------
def test_register_then_log_in_then_talk(shared, own, tls):
    user = own("alice")
    grant = register(shared, user, tls=tls)
    assert grant.status in (200, 201), grant
    assert grant.json["expires_in"] == 3600 and grant.json["refresh_token"] and grant.json["session"]
    refused(register(shared, user), 409, "exists")
    login = shared.rest("POST", "/api/v1/auth", {"user": user, "password": PASSWORD}, tls=tls)
    assert login.status == 200 and login.json["session"] != grant.json["session"]
    for token in (grant.json["token"], login.json["token"]):
        client = shared.sign_in(user, token=token, tls=tls)
        assert client.hello["user"] == user
        client.leave()
    client = shared.sign_in(user, token=login.json["token"])
    assert client.hello["session"] == login.json["session"]
    client.leave()


def test_a_wrong_password_and_an_unknown_user_look_alike(shared, own):
    register(shared, own("alice"))
    wrong = shared.rest("POST", "/api/v1/auth", {"user": own("alice"), "password": PASSWORD + "!"})
    nobody = shared.rest("POST", "/api/v1/auth", {"user": own("nobody"), "password": PASSWORD})
    refused(wrong, 401, "unauthenticated"), refused(nobody, 401, "unauthenticated")
    assert wrong.body == nobody.body


def test_what_cannot_be_registered(shared, own):
    refused(register(shared, "Not A Name"), 400, "bad_request")
    error = refused(register(shared, own("bob"), "short"), 400, "bad_request")
    assert "password" in error["message"]
    refused(register(shared, own("bob"), "x" * 100_000), 413, "too_large")
    refused(shared.rest("POST", "/api/v1/auth/register", {"user": own("bob")}), 400, "bad_request")
    refused(shared.rest("POST", "/api/v1/auth/register", {"user": own("bob"), "password": 7}), 400, "bad_request")
    assert shared.rest("POST", "/api/v1/auth", {"user": own("bob"), "password": "short"}).status == 401


def test_logins_of_one_account_are_throttled(make_server):
    server = make_server(limits__logins_per_minute=3)
    register(server, "alice")
    statuses = [server.rest("POST", "/api/v1/auth", {"user": "alice", "password": f"wrong {i}"}).status for i in range(8)]
    assert statuses[0] == 401 and statuses[-1] == 429 and sorted(statuses) == statuses, statuses
    answer = server.rest("POST", "/api/v1/auth", {"user": "alice", "password": PASSWORD})
    refused(answer, 429, "rate_limited")
    assert int(answer.headers["retry-after"]) >= 1
    register(server, "bob")
    assert server.rest("POST", "/api/v1/auth", {"user": "bob", "password": PASSWORD}).status == 200


def test_logins_from_one_address_are_throttled(make_server):
    server = make_server(limits__logins_per_minute_address=5, limits__allow_addresses=[])
    statuses = [server.rest("POST", "/api/v1/auth", {"user": f"user{i}", "password": PASSWORD}).status for i in range(12)]
    assert statuses[0] == 401 and statuses[-1] == 429
    answer = server.rest("POST", "/api/v1/auth/guest", {})
    refused(answer, 429, "rate_limited")


def test_a_guest_gets_a_name_and_may_talk(shared, own, tls):
    answer = shared.rest("POST", "/api/v1/auth/guest", {"device": "kiosk"}, tls=tls)
    assert answer.status in (200, 201), answer
    guest = shared.sign_in("guest", token=answer.json["token"])
    host = shared.sign_in(own("alice"))
    room = own("room")
    host.request("create", room=room)
    guest.request("join", room=room)
    guest.request("send", room=room, key="k", text="just looking")
    assert host.event("message", room=room)["from"] == guest.hello["user"]
    other = shared.rest("POST", "/api/v1/auth/guest", {})
    assert shared.sign_in("guest", token=other.json["token"]).hello["user"] != guest.hello["user"]
    guest.leave(), host.leave()


def test_registration_and_guests_can_be_forbidden(make_server):
    server = make_server(auth__registration=False, auth__guests=False)
    refused(register(server, "alice"), 403, "forbidden")
    refused(server.rest("POST", "/api/v1/auth/guest", {}), 403, "forbidden")


def test_a_refresh_token_gives_new_tokens_of_the_same_session(shared, own):
    grant = register(shared, own("alice")).json
    client = shared.sign_in(own("alice"), token=grant["token"])
    answer = shared.rest("POST", "/api/v1/auth/refresh", {"refresh_token": grant["refresh_token"]})
    assert answer.status == 200, answer
    renewed = answer.json
    assert renewed["session"] == grant["session"]
    assert client.request("refresh", token=renewed["token"])["expires_at"] >= client.hello["expires_at"]
    for bad in ["nonsense", "", grant["token"], renewed.get("refresh_token", grant["refresh_token"])[:-2] + "zz"]:
        assert shared.rest("POST", "/api/v1/auth/refresh", {"refresh_token": bad}).status in (400, 401)
    client.leave()


def test_logging_out_closes_every_socket_of_the_session_within_a_second(shared, own, tls):
    grant = register(shared, own("alice")).json
    other = shared.rest("POST", "/api/v1/auth", {"user": own("alice"), "password": PASSWORD}).json
    clients = [shared.sign_in(own("alice"), token=grant["token"], tls=tls) for _ in range(3)]
    kept = shared.sign_in(own("alice"), token=other["token"])
    begin = time.monotonic()
    assert shared.rest("DELETE", "/api/v1/auth", token=grant["token"]).status in (200, 204)
    assert [c.closed() for c in clients] == [3502] * 3
    assert time.monotonic() - begin < 1
    kept.settle()
    # The token is of no use any more, whatever its time says.
    again = shared.open()
    again.refused("hello", "unauthenticated", token=grant["token"])
    assert again.closed() in (3501, 3502)
    refused(shared.rest("GET", "/api/v1/sessions", token=grant["token"]), 401, "unauthenticated")
    assert shared.rest("POST", "/api/v1/auth/refresh", {"refresh_token": grant["refresh_token"]}).status == 401
    kept.leave()


def test_a_revoked_session_stays_revoked_after_a_restart(make_server):
    server = make_server()
    grant = register(server, "alice").json
    server.rest("DELETE", "/api/v1/auth", token=grant["token"])
    server.kill()
    server.start()
    assert server.rest("GET", "/api/v1/sessions", token=grant["token"]).status == 401
    assert server.rest("POST", "/api/v1/auth/refresh", {"refresh_token": grant["refresh_token"]}).status == 401
    assert server.rest("POST", "/api/v1/auth", {"user": "alice", "password": PASSWORD}).status == 200


def test_sessions_lists_the_own_live_connections_and_ends_them(shared, own):
    grant = register(shared, own("alice")).json
    phone_grant = shared.rest("POST", "/api/v1/auth", {"user": own("alice"), "password": PASSWORD, "device": "phone"}).json
    laptop = shared.sign_in(own("alice"), token=grant["token"], device="laptop-1")
    phone = shared.sign_in(own("alice"), token=phone_grant["token"], device="phone-1")
    stranger = shared.sign_in(own("bob"))
    listed = shared.rest("GET", "/api/v1/sessions", token=grant["token"]).json["sessions"]
    assert {s["device"] for s in listed} == {"laptop-1", "phone-1"}
    assert all(s["node"] == "n1" and s["since"] > 0 for s in listed)
    theirs = phone.hello["session"]
    assert theirs in [s["session"] for s in listed]
    not_mine = shared.rest("DELETE", f"/api/v1/sessions/{stranger.hello['session']}", token=grant["token"])
    assert not_mine.status in (403, 404), not_mine
    assert shared.rest("DELETE", f"/api/v1/sessions/{theirs}", token=grant["token"]).status in (200, 204)
    assert phone.closed() == 3502
    laptop.settle(), stranger.settle()

    def one_left():
        devices = [s["device"] for s in shared.rest("GET", "/api/v1/sessions", token=grant["token"]).json["sessions"]]
        return devices == ["laptop-1"]

    until(one_left, "the closed connection is not listed any more")
    laptop.leave(), stranger.leave()


def test_a_connection_ends_with_its_token_and_is_told_before(shared, own):
    alice = shared.sign_in(own("alice"), token=shared.token(own("alice"), 3))
    assert alice.event("expiring")["expires_at"] == alice.hello["expires_at"]
    assert alice.closed() == 3501
    stays = shared.sign_in(own("alice"), token=shared.token(own("alice"), 3, sid="one-" + own("a")))
    stays.event("expiring")
    stays.request("refresh", token=shared.token(own("alice"), 600, sid="one-" + own("a")))
    until(lambda: stays.settle() and time.time() * 1000 > stays.hello["expires_at"] + 1500, "the first token has expired")
    stays.leave()


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_tokens_of_an_outside_identity_provider(make_server, tmp_path, algorithm):
    private, public = tokens.make_key_pair(tmp_path, algorithm)
    (tmp_path / "other").mkdir()
    other_private, _ = tokens.make_key_pair(tmp_path / "other", algorithm)
    server = make_server(auth__algorithm=algorithm, auth__public_key_file=str(public), auth__issuer="https://id.example.org",
                         auth__audience="chat")
    claims = tokens.claims("alice", iss="https://id.example.org", aud="chat")
    alice = server.sign_in("alice", token=tokens.encode_signed(claims, private, algorithm))
    assert alice.hello["user"] == "alice" and alice.hello["session"]
    other = "ES256" if algorithm == "RS256" else "RS256"
    bad = {
        # The confusion of RFC 8725 section 2.1: the public key taken for an HMAC secret.
        "HS256 under the public key": tokens.encode(claims, public.read_bytes()),
        "HS256 under the public key, stripped": tokens.encode(claims, public.read_bytes().strip()),
        "none": tokens.encode(claims, b"", "none"),
        "HMAC that says it is ours": tokens.encode(claims, public.read_bytes(), algorithm),
        "HMAC that says it is the other": tokens.encode(claims, public.read_bytes(), other),
        "another key": tokens.encode_signed(claims, other_private, algorithm),
        "another audience": tokens.encode_signed({**claims, "aud": "mail"}, private, algorithm),
        "another issuer": tokens.encode_signed({**claims, "iss": "greenroom"}, private, algorithm),
        "expired": tokens.encode_signed({**claims, "exp": int(time.time()) - 60}, private, algorithm),
    }
    for what, token in bad.items():
        assert server.rest("GET", "/api/v1/sessions", token=token).status == 401, what
        eve = server.open()
        eve.refused("hello", "unauthenticated", token=token)
        assert eve.closed() == 3501, what
    # This node can't sign: accounts are elsewhere.
    refused(server.rest("POST", "/api/v1/auth/register", {"user": "bob", "password": PASSWORD}), 501, "unsupported")
    alice.leave()


# -- REST ----------------------------------------------------------------------------------------------------------------
def test_messages_over_rest_are_the_same_as_over_the_socket(shared, own, tls):
    room = own("team") + "/room"
    alice = shared.sign_in(own("alice"))
    made = alice.request("create", room=room)
    token = shared.token(own("alice"))
    path = f"/api/v1/rooms/{path_of(room)}/messages"
    answer = shared.rest("POST", path, {"text": "by post", "data": {"x": 1}}, token, {"Idempotency-Key": "k1"}, tls=tls)
    assert answer.status in (200, 201), answer
    sent = answer.json
    assert (sent["room"], sent["seq"], sent["epoch"]) == (room, 2, made["epoch"])
    assert sent["stored"] == {"replicas": 1, "synced": 1}
    assert alice.event("message", room=room)["text"] == "by post"
    again = shared.rest("POST", path, {"text": "by post", "data": {"x": 1}}, token, {"Idempotency-Key": "k1"})
    assert again.json == {**sent, "duplicate": True}
    # One key space with the socket.
    assert alice.request("send", room=room, key="k1", text="by post", data={"x": 1})["duplicate"]
    refused(shared.rest("POST", path, {"text": "other"}, token, {"Idempotency-Key": "k1"}), 409, "conflict")
    error = refused(shared.rest("POST", path, {"text": "no key"}, token), 400, "bad_request")
    assert "idempotency-key" in error["message"].lower()
    events = shared.rest("GET", f"/api/v1/rooms/{path_of(room)}/events?after=0&limit=10", token=token, tls=tls).json
    assert events == alice.request("history", room=room, after=0, limit=10)
    chat = shared.rest("POST", "/api/v1/chat", {"room": room, "before": 3}, token).json
    assert chat == alice.request("history", room=room, before=3)
    alice.leave()


def test_a_direct_room_over_rest(shared, own):
    alice, bob = own("alice"), own("bob")
    room = "@" + "+".join(sorted([alice, bob]))
    sent = shared.rest("POST", f"/api/v1/rooms/{path_of(room)}/messages", {"text": "psst"}, shared.token(alice),
                       {"Idempotency-Key": "k"})
    assert sent.status in (200, 201), sent
    seen = shared.rest("GET", f"/api/v1/rooms/{path_of(room)}/events", token=shared.token(bob)).json
    assert [e["text"] for e in seen["events"]] == ["psst"]
    eve = shared.rest("GET", f"/api/v1/rooms/{path_of(room)}/events", token=shared.token(own("eve")))
    assert eve.status == 403


def test_rest_errors_have_code_message_and_status(shared, own):
    token = shared.token(own("alice"))
    refused(shared.rest("POST", "/api/v1/chat", {"room": own("nowhere")}, token), 404, "not_found")
    refused(shared.rest("POST", "/api/v1/chat", {"room": "Not A Room"}, token), 400, "bad_request")
    refused(shared.rest("POST", "/api/v1/chat", {"room": own("nowhere")}), 401, "unauthenticated")
    refused(shared.rest("POST", "/api/v1/chat", b"{not json", token, {"Content-Type": "application/json"}), 400, "bad_request")
    refused(shared.rest("POST", "/api/v1/chat", b"{}", token, {"Content-Type": "text/plain"}), 415, "unsupported")
    refused(shared.rest("POST", "/api/v1/chat", [1, 2], token), 400, "bad_request")
    refused(shared.rest("GET", "/api/v1/nothing", token=token), 404, "not_found")
    refused(shared.rest("GET", "/nothing"), 404, "not_found")
    wrong_method = shared.rest("PUT", "/api/v1/chat", {"room": "x"}, token)
    assert wrong_method.status == 405 and "POST" in wrong_method.headers["allow"]
    refused(shared.rest("POST", "/api/v1/chat", {"room": "x" * 300_000}, token), 413, "too_large")
    assert shared.rest("GET", "/livez", headers={"X-Long": "x" * 20_000}).status == 431
    assert shared.rest("GET", "/api/v1/rooms/%zz/events", token=token).status == 400


def test_a_connection_serves_many_requests_and_head(shared):
    connection = HTTPConnection("127.0.0.1", shared.port, timeout=30)
    for _ in range(20):
        connection.request("GET", "/livez")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
    connection.request("HEAD", "/livez")
    answer = connection.getresponse()
    assert answer.status == 200 and answer.read() == b""
    connection.close()


def test_health_and_metrics(shared, own):
    assert shared.rest("GET", "/livez").status == 200
    assert shared.rest("GET", "/readyz").status == 200
    before = shared.metrics()
    alice = shared.sign_in(own("alice"))
    alice.request("create", room=own("room"))
    for i in range(10):
        alice.request("send", room=own("room"), key=f"k{i}", text="x")
    try:
        alice.request("join", room=own("nowhere"))
    except Exception as e:
        assert e.code == "not_found"
    alice.messages(10, own("room"))
    after = shared.metrics()
    grown = {name for name in after if after[name] > before.get(name, 0)}
    for word in ("connections", "deliver", "send", "commit", "error", "activated"):
        assert any(word in name for name in grown), f"no metric with '{word}' grew: {sorted(grown)}"
    answer = shared.rest("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert b"# HELP" in answer.body and b"# TYPE" in answer.body
    alice.leave()


def test_logs_hold_no_message_bodies_passwords_or_tokens(shared, own):
    secret = "the-" + own("secret") + "-word"
    grant = register(shared, own("alice"), password=secret).json
    alice = shared.sign_in(own("alice"), token=grant["token"])
    alice.request("create", room=own("room"))
    alice.request("send", room=own("room"), key="k", text=secret, data={"x": secret})
    alice.ws.send_text('{"op":"send","id":50,"room":"' + own("room") + '","text":"' + secret)
    alice.null_error()
    alice.leave()
    log = shared.log_text()
    assert secret not in log and grant["token"] not in log and grant["refresh_token"] not in log


def test_log_lines_may_be_json(make_server):
    server = make_server(log__format="json")
    server.sign_in("alice").leave()
    assert server.stop() == 0
    lines = server.log_text().splitlines()
    assert lines
    for line in lines:
        entry = json.loads(line)
        assert entry, line
