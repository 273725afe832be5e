"""Hostile clients: each costs only itself. While they do their worst, two others go on talking and nothing of theirs is
delayed beyond patience, refused or lost."""

import json
import os
import random
import socket
import struct
import threading
import time

import pytest
from support.waiting import LIMIT_S, until
from support.websocket import (BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Closed, Refused, WebSocket, frame,
                               open_socket)


class Talkers:
    """Two well-behaved clients that talk to each other in a thread of their own, all the time."""

    def __init__(self, server):
        self.alice, self.bob = server.sign_in("alice"), server.sign_in("bob", tls=bool(server.tls_port))
        self.alice.request("create", room="quiet-corner")
        self.bob.request("join", room="quiet-corner")
        self.said = 0
        self.slowest_s = 0.0
        self.failure = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._talk)
        self._thread.start()

    def _talk(self):
        try:
            while not self._stop.is_set():
                begin = time.monotonic()
                ok = self.alice.request("send", room="quiet-corner", key=f"k{self.said}", text="how are you?")
                assert self.bob.event("message", room="quiet-corner")["seq"] == ok["seq"]
                self.slowest_s = max(self.slowest_s, time.monotonic() - begin)
                self.said += 1
        except BaseException as e:
            self.failure = e

    def keep_talking(self, n=20):
        """Waits until n more messages got through."""
        goal = self.said + n
        until(lambda: self.failure or self.said >= goal, "the others go on talking")
        assert self.failure is None, self.failure

    def end(self):
        self._stop.set()
        self._thread.join()
        assert self.failure is None, self.failure
        assert self.slowest_s < LIMIT_S / 3, f"a message took {self.slowest_s:.1f} s"
        self.alice.leave(), self.bob.leave()


@pytest.fixture
def talkers(make_server, request):
    """(server, talkers); the test may be parametrised with settings."""
    server = make_server(tls=True, **getattr(request, "param", {}))
    them = Talkers(server)
    yield server, them
    them.keep_talking()
    them.end()
    assert server.process.poll() is None


@pytest.fixture(params=["plain", "tls"])
def secure(request):
    return request.param == "tls"


def end_of(ws, limit_s=LIMIT_S):
    """The close code with which the connection ends; None without a close frame."""
    try:
        while True:
            ws.receive_text(limit_s)
    except Closed as e:
        return e.code


def opened(server, secure):
    return WebSocket(server.tls_port if secure else server.port, tls=server.tls() if secure else None,
                     headers=[("Authorization", f"Bearer {server.token('eve')}")])


# -- frames that RFC 6455 forbids ----------------------------------------------------------------------------------------
FORBIDDEN = {
    "reserved bit 1": (frame(TEXT, b'{"op":"ping","id":1}', rsv=4), 1002),
    "reserved bit 2": (frame(TEXT, b'{"op":"ping","id":1}', rsv=2), 1002),
    "reserved bit 3": (frame(TEXT, b'{"op":"ping","id":1}', rsv=1), 1002),
    "reserved opcode 3": (frame(3, b"x"), 1002),
    "reserved opcode 11": (frame(11, b"x"), 1002),
    "not masked": (frame(TEXT, b'{"op":"ping","id":1}', mask=False), 1002),
    "ping of 126 bytes": (frame(PING, b"x" * 126), 1002),
    "ping in fragments": (frame(PING, b"x", fin=False), 1002),
    "continuation of nothing": (frame(CONTINUATION, b"x"), 1002),
    "text within a text": (frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), 1002),
    "close with one byte": (frame(CLOSE, b"x"), 1002),
    "close with code 1005": (frame(CLOSE, struct.pack("!H", 1005)), 1002),
    "close with code 999": (frame(CLOSE, struct.pack("!H", 999)), 1002),
    "close with code 5000": (frame(CLOSE, struct.pack("!H", 5000)), 1002),
    "close with a reason that is not UTF-8": (frame(CLOSE, struct.pack("!H", 1000) + b"\xff"), (1002, 1007)),
    "length in more bytes than needed": (b"\x81\xfe\x00\x02" + b"\0\0\0\0" + b"{}", 1002),
    "length with the top bit": (b"\x81\xff\xff" + b"\xff" * 7 + b"\0\0\0\0", (1002, 1009)),
    "2^63 - 1 bytes announced": (frame(TEXT, b"x", length=2**63 - 1), (1002, 1009)),
    "4 GB announced": (frame(TEXT, b"x", length=2**32), 1009),
    "300,000 bytes in one frame": (frame(TEXT, b"x" * 300_000), 1009),
    "300,000 bytes in fragments": (frame(TEXT, b"x" * 100_000, fin=False) + frame(CONTINUATION, b"x" * 100_000, fin=False)
                                   + frame(CONTINUATION, b"x" * 100_000), 1009),
    "binary": (frame(BINARY, b"{}"), 1003),
    "byte FF": (frame(TEXT, b'{"op":"ping\xff","id":1}'), 1007),
    "overlong NUL": (frame(TEXT, b"\xc0\x80"), 1007),
    "surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "above U+10FFFF": (frame(TEXT, b"\xf4\x90\x80\x80"), 1007),
    "code point cut off": (frame(TEXT, b"\xe2\x82"), 1007),
    "code point cut off, then an empty last fragment": (
        frame(TEXT, b"\xe2\x82", fin=False) + frame(CONTINUATION, b""), 1007),
    "wrong UTF-8 in the second fragment": (frame(TEXT, b"ok", fin=False) + frame(CONTINUATION, b"\xff"), 1007),
}


def test_forbidden_frames_end_the_connection_with_the_right_code(talkers, secure):
    server, them = talkers
    for what, (data, codes) in FORBIDDEN.items():
        ws = opened(server, secure)
        try:
            ws.send_bytes(data)
        except Closed as e:
            code = e.code
        else:
            code = end_of(ws)
        assert code in (codes if isinstance(codes, tuple) else (codes,)), f"{what}: {code}"
        ws.kill()
    them.keep_talking()


def test_frames_that_are_odd_but_allowed(talkers, secure):
    server, _ = talkers
    ws = opened(server, secure)
    ws.send_text('{"op":"hello","id":1}')
    assert json.loads(ws.receive_text())["re"] == 1
    ws.send_bytes(frame(TEXT, b""))
    ws.send_bytes(frame(TEXT, b"\n\n\n"))
    ws.send_bytes(frame(TEXT, b"", fin=False) + frame(CONTINUATION, b"", fin=False) +
                  frame(PING, b"") + frame(CONTINUATION, b'{"op":"ping","id":2}'))
    ws.send_bytes(frame(PONG, b"nobody asked"))
    replies = []
    while len(replies) < 2:
        _, opcode, data = ws.receive_frame()
        replies.append((opcode, json.loads(data)["re"] if opcode == TEXT else data))
    assert set(replies) == {(TEXT, 2), (PONG, b"")}
    ws.send_close(1000)
    assert end_of(ws) == 1000


def test_a_frame_that_is_cut_off_costs_nothing(talkers, secure):
    server, them = talkers
    whole = frame(TEXT, b'{"op":"ping","id":1}')
    for n in range(1, len(whole)):
        ws = opened(server, secure)
        ws.send_bytes(whole[:n])
        ws.kill()
    them.keep_talking()


def test_random_bytes_after_the_upgrade(talkers, secure):
    server, them = talkers
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(100):
        ws = opened(server, secure)
        try:
            for _ in range(chance.randrange(1, 5)):
                ws.send_bytes(chance.randbytes(chance.choice([1, 10, 1000, 100_000])))
        except (Closed, OSError):
            pass
        ws.kill()
    them.keep_talking()


def test_changed_frames(talkers):
    """Real requests with single bytes changed: answered or closed, never anything else."""
    server, them = talkers
    seed = int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}")
    chance = random.Random(seed)
    samples = [
        {"op": "send", "id": 5, "room": "quiet-corner", "key": "k", "text": "x", "data": {"y": [1]}, "reply_to": 1},
        {"op": "history", "id": 5, "room": "quiet-corner", "before": 10, "limit": 5},
        {"op": "join", "id": 5, "room": "other", "resume": {"epoch": "x", "seq": 5}},
        {"op": "rooms", "id": 5, "after": "x", "limit": 3}, {"op": "read", "id": 5, "room": "other", "seq": 2},
    ]
    ws = opened(server, False)
    ws.send_text('{"op":"hello","id":1,"subscribe":"none"}')
    ws.receive_text()
    for i in range(3000):
        text = bytearray(json.dumps(chance.choice(samples)).encode())
        for _ in range(chance.randrange(1, 4)):
            text[chance.randrange(len(text))] = chance.choice(b'{}[]",:\\x0198tfn \x00\x7f')
        try:
            ws.send_text(bytes(text))
            ws.send_text(f'{{"op":"ping","id":{10_000 + i}}}')
            while json.loads(ws.receive_text().split("\n")[-1]).get("re") != 10_000 + i:
                pass
        except Closed as e:
            assert e.code == 3400, e
            ws = opened(server, False)
            ws.send_text('{"op":"hello","id":1,"subscribe":"none"}')
            ws.receive_text()
    them.keep_talking()


# -- JSON that means harm ------------------------------------------------------------------------------------------------
BOMBS = {
    "60,000 open arrays": "[" * 60_000,
    "60,000 open objects": '{"a":' * 12_000,
    "deep data": '{"op":"send","id":5,"room":"r","key":"k","text":"x","data":' + '{"a":' * 5000 + "1" + "}" * 5001,
    "deep in an unknown field": '{"op":"ping","id":5,"x":' + "[" * 20_000 + "]" * 20_000 + "}",
    "a number of 60,000 digits": '{"op":"ping","id":' + "9" * 60_000 + "}",
    "a number too large": '{"op":"ping","id":1e999}',
    "many keys": '{"op":"ping","id":5,' + ",".join(f'"{i}":1' for i in range(6000)) + "}",
    "the same key often": '{"op":"ping",' + ",".join('"id":1' for _ in range(6000)) + "}",
    "lone surrogate": '{"op":"send","id":5,"room":"quiet-corner","key":"k","text":"\\ud800"}',
    "NUL": '{"op":"send","id":5,"room":"quiet-corner","key":"k","text":"\\u0000"}',
    "raw control character": '{"op":"send","id":5,"room":"quiet-corner","key":"k","text":"\x01"}',
    "byte order mark": '\ufeff{"op":"ping","id":5}',
    "names": '{"__proto__":{"op":"ping"},"id":5}',
}


def test_json_bombs_are_answered_and_cost_nothing(talkers):
    server, them = talkers
    cpu = server.cpu_s()
    for what, text in BOMBS.items():
        eve = server.sign_in("eve", subscribe="none")
        eve._next_id = 1000  # the bombs bring ids of their own
        for _ in range(8):
            eve.ws.send_text(text)
            until(lambda: eve.settle() and eve.answers, f"{what}: answered")
            eve.answers.clear()
        eve.kill()
    assert server.cpu_s() - cpu < 20, "bombs burn CPU"
    them.keep_talking()


def test_a_thousand_small_frames_in_one_message(talkers):
    server, them = talkers
    eve = server.sign_in("eve", subscribe="none")
    eve.ws.send_text("\n" * 200_000)
    eve.settle()
    try:
        eve.ws.send_text("x\n" * 100_000)
        assert eve.closed() == 3400
    except Closed as e:
        assert e.code == 3400
    them.keep_talking()


# -- slow and silent -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("talkers", [{"limits__handshake_ms": 1000}], indirect=True)
def test_slow_loris(talkers):
    """Trickling handshakes end after limits.handshake_ms, however much they trickle."""
    server, them = talkers
    request = b"GET /ws HTTP/1.1\r\nHost: x\r\n" + b"X-Pad: y\r\n" * 1000
    # The first bytes of a TLS ClientHello that announces 16 KB.
    hello = b"\x16\x03\x01\x3f\xff\x01\x00\x3f\xfb" + b"\x03\x03" + b"\0" * 16000
    crowd = [(open_socket(server.port), request) for _ in range(40)] + [(open_socket(server.tls_port), hello)
                                                                        for _ in range(40)]
    silent = [open_socket(p) for p in (server.port, server.tls_port) for _ in range(20)]
    begin = time.monotonic()
    for s, _ in crowd:
        s.setblocking(False)
    alive, at = list(crowd), 0

    def all_gone():
        nonlocal alive, at
        still = []
        for s, data in alive:
            try:
                s.send(data[at:at + 1])
                if s.recv(4096):  # an answer such as 408 is welcome
                    still.append((s, data))
            except BlockingIOError:
                still.append((s, data))
            except OSError:
                pass
        alive, at = still, at + 1
        return not alive

    until(all_gone, "every trickling handshake was ended", step_s=0.05)
    assert time.monotonic() - begin < 15
    for s in silent:
        s.settimeout(LIMIT_S)
        try:
            while s.recv(4096):
                pass
        except ConnectionResetError:
            pass
        s.close()
    them.keep_talking()


@pytest.mark.parametrize("talkers", [{"limits__request_ms": 1000, "limits__keep_alive_ms": 1000}], indirect=True)
def test_a_trickling_body_and_an_idle_connection_are_ended(talkers):
    server, them = talkers
    slow, idle = open_socket(server.port), open_socket(server.port)
    slow.sendall(b"POST /api/v1/auth HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    idle.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    for s in (slow, idle):
        s.settimeout(LIMIT_S)
        try:
            while s.recv(4096):
                pass
        except ConnectionResetError:
            pass
    them.keep_talking()


def test_nonsense_instead_of_http(talkers):
    server, them = talkers
    nonsense = [b"\0" * 1000, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", os.urandom(5000), b"\x16\x03\x01\x00\x05hello",
                b"GET /ws HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 100_000, b"G" * 1_000_000,
                b"POST /api/v1/auth HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n",
                b"POST /api/v1/auth HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                b"POST /api/v1/auth HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n",
                b"GET http://elsewhere/ HTTP/1.1\r\nHost: x\r\n\r\n", b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"]
    for data in nonsense:
        for port in (server.port, server.tls_port):
            s = open_socket(port)
            try:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                while s.recv(65536):
                    pass
            except OSError:
                pass
            s.close()
    them.keep_talking()


def test_upgrades_that_are_none(talkers):
    server, _ = talkers
    good = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    cases = [({"Sec-WebSocket-Key": "short"}, 400), ({"Sec-WebSocket-Key": None}, 400),
             ({"Sec-WebSocket-Key": "!" * 24}, 400), ({"Sec-WebSocket-Version": "12"}, 426), ({"Upgrade": None}, (400, 426)),
             ({"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ"}, 400)]
    for changes, status in cases:
        answer = server.rest("GET", "/ws", headers={k: v for k, v in {**good, **changes}.items() if v is not None})
        assert answer.status in (status if isinstance(status, tuple) else (status,)), (changes, answer)
    assert server.rest("POST", "/ws", {}, headers=good).status in (400, 404, 405)
    assert server.rest("GET", "/elsewhere", headers=good).status == 404
    with pytest.raises((Refused, Closed)):
        WebSocket(server.port, path="/ws/../ws")


def test_bytes_behind_the_upgrade_request_are_not_taken_for_frames(talkers):
    """They came before the 101, so no correct client sent them: the connection is closed."""
    server, _ = talkers
    s = open_socket(server.port)
    s.sendall(b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" +
              frame(TEXT, b'{"op":"ping","id":1}'))
    data = b""
    try:
        while chunk := s.recv(65536):
            data += chunk
    except ConnectionResetError:
        pass
    assert b"unauthenticated" not in data
    s.close()


# -- the client that never reads -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("talkers", [{"limits__outbox_bytes": 262_144, "limits__slow_ms": 1000}], indirect=True)
def test_a_client_that_never_reads_is_closed_with_3008_and_can_resume(talkers, secure):
    server, them = talkers
    speaker, listener = server.sign_in("speaker", subscribe="none"), server.sign_in("listener")
    epoch = speaker.request("create", room="loud")["epoch"]
    listener.request("subscribe", room="loud")
    sent = 1

    def say_something():
        nonlocal sent
        requests = [speaker.prepare("send", room="loud", key=f"k{sent + i}", text="x" * 16_000) for i in range(10)]
        speaker.post_all(requests)
        for r in requests:
            sent = speaker.answer(r["id"])["seq"]
        assert listener.event("message", room="loud", seq=sent)
        listener.events.clear()

    def waiting():
        return server.metrics()["greenroom_outbox_bytes"]

    def be_deaf_until_given_up():
        """A client that does not read before the server has thrown its outbox away. The close frame waits 3 s for it to wake
        up. Returns it and the code that it wakes up to."""
        deaf = server.sign_in("deaf", tls=secure, receive_buffer=8192)
        deaf.request("subscribe", room="loud")
        until(lambda: say_something() or waiting() > 131_072, "more was said than the buffers hold")
        them.keep_talking()  # is not held up meanwhile
        until(lambda: waiting() < 65_536, "what waits for it is thrown away, but for a frame that TLS has begun")
        say_something()  # which it misses
        return deaf, deaf.closed()

    # On a machine that is very busy the close frame may have waited in vain; then the connection is just gone.
    for _ in range(3):
        deaf, code = be_deaf_until_given_up()
        assert code in (3008, None)
        if code:
            break
    assert code == 3008
    until(lambda: any(v > 0 for k, v in server.metrics().items() if "close" in k and "3008" in k), "the close is counted")
    seen = deaf.positions["loud"]
    assert 1 <= seen["seq"] < sent
    # It can resume: nothing is lost by it. What is more than resume_events behind would be told so.
    again = server.sign_in("deaf", tls=secure, subscribe=["loud"], resume={"loud": dict(seen)})
    assert again.hello["resumed"]["loud"] == {"recovered": True, "epoch": epoch, "seq": sent}
    assert again.event("message", room="loud", seq=sent)
    for c in (speaker, listener, again):
        c.leave()


def test_a_client_that_reads_again_in_time_goes_on_where_it_stopped(talkers, secure):
    """Far more than the outbox holds is said while it sleeps; then it reads, and gets all of it on the same connection."""
    server, them = talkers
    speaker, drowsy = server.sign_in("speaker", subscribe="none"), server.sign_in("drowsy", tls=secure, receive_buffer=8192)
    speaker.request("create", room="loud")
    drowsy.request("subscribe", room="loud")
    requests = [speaker.prepare("send", room="loud", key=f"k{i}", text="x" * 16_000) for i in range(600)]
    for begin in range(0, 600, 10):
        speaker.post_all(requests[begin:begin + 10])
    for r in requests:
        last = speaker.answer(r["id"])["seq"]
    them.keep_talking()
    assert [e["seq"] for e in drowsy.messages(600, "loud")] == list(range(2, last + 1))
    for c in (speaker, drowsy):
        c.leave()


def test_a_long_message_that_goes_on_after_the_server_has_closed(talkers, secure):
    """The rest comes into a buffer that is still there: under AddressSanitizer another one ends the server."""
    server, them = talkers
    grant = server.rest("POST", "/api/v1/auth/register", {"user": "mallory", "password": "correct horse"}).json
    eve = server.sign_in("mallory", token=grant["token"], tls=secure)
    message = frame(TEXT, b" " * 30_000)
    eve.ws.send_bytes(message[:2_000])
    assert server.rest("DELETE", "/api/v1/auth", token=grant["token"]).status == 204
    while eve.ws.receive_frame()[1] != CLOSE:  # which is not answered: the message comes first
        pass
    for begin in range(2_000, len(message), 4_000):
        eve.ws.send_bytes(message[begin:begin + 4_000])
    them.keep_talking()
    eve.kill()


@pytest.mark.parametrize("talkers", [{"frees_at_once": True}], indirect=True)
def test_a_client_that_asks_and_never_reads_answers_is_bounded(talkers):
    """Requests whose answers nobody reads: the server stops reading or closes, and its memory stays where it is."""
    server, them = talkers
    eve = server.sign_in("eve", receive_buffer=8192)
    eve.request("create", room="echo")
    for i in range(100):
        eve.request("send", room="echo", key=f"k{i}", text="x" * 10_000)
    eve.events.clear()
    memory = server.resident_bytes()
    eve.ws.sock.settimeout(0.2)
    asked = 0
    try:
        for i in range(20_000):
            # Padded, so that the kernel's buffers can't hold them all: what got through was read.
            eve.ws.send_text(json.dumps(eve.prepare("history", room="echo", limit=100)) + " " * 4_000)
            asked += 1
    except (OSError, Closed):
        pass
    assert asked < 20_000, "the server read 20,000 requests whose answers nobody takes"
    them.keep_talking()
    assert server.resident_bytes() - memory < 200_000_000
    eve.kill()


@pytest.mark.parametrize("talkers", [{"frees_at_once": True}], indirect=True)
def test_connections_that_vanish_without_a_word(talkers, secure):
    server, them = talkers
    before = server.resident_bytes()
    for _ in range(10):
        crowd = [server.sign_in(f"ghost{i}", tls=secure) for i in range(30)]
        for c in crowd:
            c.ws.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            c.kill()
    them.keep_talking()
    assert server.resident_bytes() - before < 100_000_000
