"""Flood control of the real program: limits by user and by address, over WebSocket and REST; what happens to those who go
on; lists of addresses, and that SIGHUP takes new ones. Other addresses are those of 127.0.0.0/8, all of which are this machine."""

import re
import socket
import time
from http.client import HTTPConnection, HTTPException

from support.client import RequestError
from support.waiting import LIMIT_S, until
from support.websocket import Closed, Refused

SECRET = "nobody may find this in a log"


def ask_from(server, address, path="/api/v1/rooms", token=None, method="GET", body=None):
    """(status, headers in lower case) of one request from an address of this machine; None: closed without an answer."""
    connection = HTTPConnection(server.host, server.port, timeout=LIMIT_S, source_address=(address, 0))
    try:
        connection.request(method, path, body, {"Authorization": f"Bearer {token}"} if token else {})
        answer = connection.getresponse()
        answer.read()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}
    except (ConnectionError, HTTPException):
        return None
    finally:
        connection.close()


def flood(client, room, n):
    """Sends as fast as it goes; how many were taken, and the first refusal. The connection may be closed over it."""
    requests = [client.prepare("send", room=room, key=f"f{i}", text=SECRET) for i in range(n)]
    taken, refusal = 0, None
    try:
        client.post_all(requests)
        for r in requests:
            try:
                client.answer(r["id"])
                taken += 1
            except RequestError as e:
                assert e.code == "rate_limited", e
                refusal = refusal or e.error
    except Closed as e:
        assert e.code == 3429
    return taken, refusal


def test_a_users_devices_and_rest_share_what_the_user_may_send(make_server):
    server = make_server(limits__sends_per_s=1, limits__sends_burst=4, limits__sends_per_s_user=1, limits__sends_burst_user=6)
    laptop, phone, bob = server.sign_in("alice"), server.sign_in("alice"), server.sign_in("bob")
    laptop.request("create", room="room")
    bob.request("join", room="room")
    begin = time.monotonic()
    one, why = flood(laptop, "room", 12)
    assert one >= 4 and "limits.sends_per_s:" in why["message"] and 0 < why["retry_after_ms"] <= 1_000
    two, why = flood(phone, "room", 12)
    assert "limits.sends_per_s_user" in why["message"] and why["retryable"] is True
    assert 6 <= one + two <= 7 + time.monotonic() - begin
    token = server.token("alice")
    statuses = [server.rest("POST", "/api/v1/rooms/room/messages", {"text": "x"}, token, {"Idempotency-Key": f"r{i}"})
                for i in range(20)]
    refused = [a for a in statuses if a.status == 429]
    assert refused and refused[0].json["error"]["code"] == "rate_limited"
    assert refused[0].headers["retry-after"] == "1" and "sends_per_s_user" in refused[0].json["error"]["message"]
    bob.request("send", room="room", key="b", text="not my fault")
    laptop.leave(), phone.leave(), bob.leave()


def test_rest_has_a_rate_of_its_own_for_each_user(make_server):
    server = make_server(limits__calls_per_s_user=2, limits__calls_burst_user=5)
    token = server.token("alice")
    answers = [server.rest("GET", "/api/v1/rooms", token=token) for _ in range(20)]
    assert [a.status for a in answers[:5]] == [200] * 5
    refused = [a for a in answers if a.status == 429]
    assert len(refused) >= 10 and all(int(a.headers["retry-after"]) >= 1 for a in refused)
    assert server.rest("GET", "/api/v1/rooms", token=server.token("bob")).status == 200

    def again():
        return server.rest("GET", "/api/v1/rooms", token=token).status == 200

    assert until(again, "the rate allows another", step_s=0.1)


def test_other_requests_and_joins_have_their_limits(make_server):
    server = make_server(limits__requests_per_s=5, limits__requests_burst=20, limits__joins_per_minute_user=3)
    alice = server.sign_in("alice")
    requests = [alice.prepare("ping") for _ in range(40)]
    alice.post_all(requests)
    answers = []
    for r in requests:
        try:
            alice.answer(r["id"])
            answers.append("ok")
        except RequestError as e:
            assert e.code == "rate_limited" and "requests_per_s" in e.message
            answers.append(e.error["retry_after_ms"])
    assert answers[:19] == ["ok"] * 19 and 0 < answers[-1] <= 200
    alice.leave()
    bob = server.sign_in("bob")
    for i in range(3):
        bob.request("create", room=f"room{i}")
    assert "joins_per_minute_user" in bob.refused("join", "rate_limited", room="room0")["message"]
    assert server.rest("POST", "/api/v1/rooms/room0/members/me", token=server.token("bob")).status == 429
    bob.leave()


def test_a_room_has_a_rate_for_all_together(make_server):
    server = make_server(limits__sends_per_s_room=1, limits__sends_burst_room=3)
    alice, bob = server.sign_in("alice"), server.sign_in("bob")
    alice.request("create", room="room")
    alice.request("create", room="quiet")
    bob.request("join", room="room")
    taken, why = flood(alice, "room", 10)
    assert taken >= 3 and "sends_per_s_room" in why["message"]
    taken, why = flood(bob, "room", 10)
    assert taken < 3 and "sends_per_s_room" in why["message"]
    alice.request("send", room="quiet", key="q", text="x")
    alice.leave(), bob.leave()


def test_who_goes_on_is_closed_logged_counted_and_shut_out_for_a_while(make_server):
    server = make_server(limits__sends_per_s=1, limits__sends_burst=1, limits__flood_refusals=20, limits__ban_s=8,
                         limits__allow_addresses=[])
    password = "correct horse battery staple"
    assert server.rest("POST", "/api/v1/auth/register", {"user": "eve", "password": password}).status == 201
    eve, bob = server.sign_in("eve"), server.sign_in("bob")
    eve.request("create", room="room")
    taken, why = flood(eve, "room", 10)
    assert taken >= 1 and why["retry_after_ms"] > 0
    flood(eve, "room", 200)
    begin = time.monotonic()
    # Not by hello, not by the upgrade's header, not through REST, not with the password.
    back = server.open()
    why = back.refused("hello", "rate_limited", token=server.token("eve"))
    assert "ban_s" in why["message"] and 0 < why["retry_after_ms"] <= 8_000
    assert back.closed() == 3429
    try:
        server.open(headers=[("Authorization", f"Bearer {server.token('eve')}")]).kill()
        raise AssertionError("a banned user was let in")
    except Refused as e:
        assert e.status == 429 and 1 <= int({k.lower(): v for k, v in dict(e.headers).items()}["retry-after"]) <= 8
    for answer in (server.rest("GET", "/api/v1/rooms", token=server.token("eve")),
                   server.rest("POST", "/api/v1/auth", {"user": "eve", "password": password})):
        assert answer.status == 429 and 1 <= int(answer.headers["retry-after"]) <= 8
    assert server.rest("DELETE", "/api/v1/auth", token=server.token("eve", sid="stolen")).status == 204
    assert time.monotonic() - begin < 8, "the machine is too slow for this test"
    # Nobody else is touched, from the same address.
    bob.request("join", room="room")
    server.sign_in("carol").leave()
    line = next(x for x in server.log_text().splitlines() if "what=abuse" in x)
    assert re.search(r"what=abuse kind=sends user=eve address=127\.0\.0\.1 refusals=20 window_ms=10000 ban_s=8$", line), line
    assert SECRET not in server.log_text()
    figures = server.metrics()
    assert figures['greenroom_abuses_total{kind="sends"}'] == 1
    assert figures['greenroom_rate_limited_total{kind="sends"}'] >= 21

    def let_in():
        try:
            return server.sign_in("eve")
        except RequestError as e:
            assert e.code == "rate_limited"
        except Closed:
            pass

    until(let_in, "the ban is over", step_s=0.2).leave()
    bob.leave()


def test_an_address_that_tries_passwords_is_shut_out_and_no_other(make_server):
    server = make_server(limits__logins_per_minute_address=3, limits__flood_refusals=5, limits__ban_s=3_600,
                         limits__allow_addresses=["127.0.0.1"])
    for _ in range(12):
        answer = ask_from(server, "127.0.0.2", "/api/v1/auth/guest", method="POST")
    status, headers = answer
    assert status == 429 and int(headers["retry-after"]) > 3_000
    # Whatever comes from there is refused; what is not from there, or is on the list, is not.
    assert ask_from(server, "127.0.0.2", "/livez")[0] == 429
    assert ask_from(server, "127.0.0.3", "/livez")[0] == 200
    assert all(server.rest("POST", "/api/v1/auth/guest", {}).status == 201 for _ in range(10))
    assert "what=abuse kind=logins user= address=127.0.0.2 " in server.log_text()
    assert server.metrics()['greenroom_abuses_total{kind="logins"}'] == 1


def test_an_address_connects_only_so_often(make_server):
    server = make_server(limits__connects_per_minute_address=4, limits__allow_addresses=["127.0.0.1"])
    statuses = [ask_from(server, "127.0.0.2", "/livez") for _ in range(8)]
    assert [s[0] for s in statuses] == [200] * 4 + [429] * 4
    assert 1 <= int(statuses[-1][1]["retry-after"]) <= 15
    assert ask_from(server, "127.0.0.3", "/livez")[0] == 200
    assert server.metrics()['greenroom_rate_limited_total{kind="connects"}'] == 4


def test_denied_addresses_are_closed_and_sighup_takes_new_lists(make_server):
    server = make_server(limits__deny_addresses=["127.0.0.2", "127.0.16.0/20"])
    assert ask_from(server, "127.0.0.2", "/livez")[0] == 200  # all of this machine is allowed by default
    server.write_config(limits__allow_addresses=["127.0.0.1"])
    server.reload()
    server.wait_logged("limits.allow_addresses")
    assert until(lambda: ask_from(server, "127.0.0.2", "/livez") is None, "the address is denied")
    assert ask_from(server, "127.0.31.255", "/livez") is None
    assert ask_from(server, "127.0.32.0", "/livez")[0] == 200
    with socket.create_connection((server.host, server.port), timeout=LIMIT_S, source_address=("127.0.16.9", 0)) as s:
        try:
            assert s.recv(1) == b""  # without a word, and without one from us
        except ConnectionResetError:
            pass
    assert server.metrics()["greenroom_connections_denied_total"] >= 3
    # A list with a mistake is refused as a whole, and says where it stands.
    server.write_config(limits__deny_addresses=["127.0.0.1/8"])
    server.reload()
    server.wait_logged("what=reload_refused")
    assert re.search(r"greenroom\.toml:\d+: limits\.deny_addresses: .*127\.0\.0\.1/8.*nothing set behind", server.log_text())
    assert ask_from(server, "127.0.0.2", "/livez") is None
    assert server.rest("GET", "/livez").status == 200
