"""A full disk: sends are refused with `unavailable`, nothing acknowledged is lost, and service returns without a restart
as soon as there is space again."""

import os
import subprocess

import pytest
from support.client import RequestError
from support.waiting import until

MB = 1024 * 1024


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 96 MB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", str(place)], capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"needs the right to mount a tmpfs (root): {made.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def free_bytes(place):
    s = os.statvfs(place)
    return s.f_bavail * s.f_frsize


def fill(place, leave_bytes):
    """Takes space until about `leave_bytes` are free."""
    with open(place / "ballast", "ab", buffering=0) as ballast:
        try:
            while free_bytes(place) > leave_bytes:
                ballast.write(b"\0" * min(MB, max(4096, free_bytes(place) - leave_bytes)))
        except OSError:
            pass  # full to the last block


def send_until_refused(client, listener, room, n=0):
    """Sends large messages until one is refused, while the listener keeps up; returns (acknowledged seq -> text, the refused
    request)."""
    taken = {}
    while True:
        text = f"{n}-" + "x" * 15_000
        try:
            taken[client.request("send", room=room, key=f"k{n}", text=text)["seq"]] = text
        except RequestError as e:
            assert e.code == "unavailable" and e.error["retryable"] is True, e
            return taken, {"key": f"k{n}", "text": text}
        n += 1
        if n % 10 == 0:
            listener.settle()
        assert n < 20_000, "the disk is full, yet everything is taken"


@pytest.mark.parametrize("leave_bytes", [6 * MB, 0], ids=["below min_free_mb", "to the last block"])
def test_a_full_disk_refuses_and_recovers(make_server, small_disk, leave_bytes):
    server = make_server(node__data_dir=str(small_disk / "data"), storage__min_free_mb=8 if leave_bytes else 1,
                         storage__write_buffer_mb=4, storage__reopen_ms=100)
    alice, bob = server.sign_in("alice"), server.sign_in("bob")
    alice.request("create", room="room")
    bob.request("join", room="room")
    kept = {}
    for i in range(50):
        kept[alice.request("send", room="room", key=f"before{i}", text=f"before {i}")["seq"]] = f"before {i}"
    fill(small_disk, leave_bytes)
    taken, refused = send_until_refused(alice, bob, "room")
    kept.update(taken)

    # Refused, not closed: both connections live on, reading goes on, others are refused as well and as clearly.
    bob.refused("send", "unavailable", room="room", key="b", text="y")
    bob.settle()
    assert alice.request("history", room="room", after=0, limit=5)["events"][0]["seq"] == 1
    over_rest = server.rest("POST", "/api/v1/rooms/room/messages", {"text": "x"}, server.token("bob"),
                            {"Idempotency-Key": "rest"})
    assert over_rest.status == 503 and over_rest.json["error"]["code"] == "unavailable"
    assert int(over_rest.headers["retry-after"]) >= 1
    assert server.rest("GET", "/livez").status == 200

    (small_disk / "ballast").unlink()

    def taken_again():
        try:
            return alice.request("send", room="room", **refused)
        except RequestError as e:
            assert e.code == "unavailable", e

    first = until(taken_again, "service returns when there is space")
    kept[first["seq"]] = refused["text"]
    assert server.starts == 1 and server.process.poll() is None
    until(server.is_ready, "ready again")
    kept[bob.request("send", room="room", key="b", text="y")["seq"]] = "y"

    def judge():
        events, _ = server.history(server.token("alice"), "room")
        assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
        log = {e["seq"]: e.get("text") for e in events if e["ev"] == "message"}
        assert log == kept, {s: (str(log.get(s))[:20], str(kept.get(s))[:20]) for s in set(log) ^ set(kept)}

    judge()
    # A listener saw all of it once, in order (its Client checks that), through failure and return.
    assert bob.event("message", room="room", seq=max(kept))
    alice.request("read", room="room", seq=max(kept))
    server.kill()
    server.start()
    judge()


def test_many_senders_through_a_full_disk(make_server, small_disk):
    """The disk fills and empties three times under ten pipelining senders: what was acknowledged is there, in order."""
    server = make_server(node__data_dir=str(small_disk / "data"), storage__min_free_mb=1, storage__write_buffer_mb=4,
                         storage__reopen_ms=100)
    clients = [server.sign_in(f"user{i}", subscribe="none") for i in range(10)]
    for i, c in enumerate(clients):
        c.request("create", room=f"room{i}")
    kept = {i: {} for i in range(10)}
    n = 0

    def everybody_sends():
        """Returns how many were refused."""
        nonlocal n
        refused = 0
        rounds = []
        for i, c in enumerate(clients):
            requests = [c.prepare("send", room=f"room{i}", key=f"k{n + j}", text=f"{n + j} " + "x" * 2000) for j in range(20)]
            c.post_all(requests)
            rounds.append((i, c, requests))
        n += 20
        for i, c, requests in rounds:
            for r in requests:
                try:
                    kept[i][c.answer(r["id"])["seq"]] = r["text"]
                except RequestError as e:
                    assert e.code == "unavailable", e
                    refused += 1
        return refused

    for _ in range(3):
        assert until(lambda: everybody_sends() == 0, "all are served")
        fill(small_disk, 0)
        until(lambda: everybody_sends() > 0, "the disk is full")
        everybody_sends()
        (small_disk / "ballast").unlink()
    until(lambda: everybody_sends() == 0, "all are served")
    for restart in (False, True):
        if restart:
            server.kill()
            server.start()
        for i in range(10):
            events, _ = server.history(server.token(f"user{i}"), f"room{i}")
            assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
            assert {e["seq"]: e["text"] for e in events if e["ev"] == "message"} == kept[i]
