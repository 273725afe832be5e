"""The kill test: clients talk with keys and listen while the server is killed with SIGKILL at random points; nothing that
was acknowledged may be missing, nothing may be there twice, no subscriber may see a gap, a repeat or another order.

The points are drawn from a seed that is printed; GREENROOM_KILL_SEED repeats them (the scheduling of threads and processes
is not repeated by it). GREENROOM_KILLS sets how often, 100 without it.
"""

import os
import random
import time
from collections import Counter

import pytest
from support.checker import Ack, Record, check
from support.fault_players import Latecomer, Reader, Repeater
from support.kill import Play, Sender, Subscriber
from support.uploader import Uploader

KILLS = int(os.environ.get("GREENROOM_KILLS", "100"))
ROOMS = ["hall", "team/green", "quiet"]


@pytest.fixture
def seed():
    value = os.environ.get("GREENROOM_KILL_SEED") or str(int.from_bytes(os.urandom(4), "big"))
    print(f"GREENROOM_KILL_SEED={value}")
    return value


def set_up(server, record, seed, window):
    owner = server.sign_in("owner", subscribe="none")
    members = [f"sender{i}" for i in range(3)] + ["member"]
    positions = {}
    for room in ROOMS:
        owner.request("create", room=room)
        for user in members:
            client = server.sign_in(user, subscribe="none")
            joined = client.request("join", room=room)
            client.leave()
        positions[room] = {"epoch": joined["epoch"], "seq": joined["seq"]}
    direct = "@member+sender0"
    client = server.sign_in("uploader", subscribe="none")
    client.request("create", room="files", kind="private")
    client.leave()
    client = server.sign_in("sender0", subscribe="none")
    first = client.request("send", to="member", key="sender0-first", text="hello")
    owner.leave(), client.leave()
    mine = {**positions, direct: {"epoch": first["epoch"], "seq": 1}}

    play = Play(server, record, seed)
    for i in range(3):
        play.players.append(Sender(server, record, f"sender{i}", seed, tls=i == 1, rooms=ROOMS, window=window,
                                   direct=["member"] if i == 0 else []))
    play.players += [
        # A member with everything, on TLS; one who only listens; one from the beginning of the log.
        Subscriber(server, record, "member", seed, tls=True, positions=mine, subscribe="all"),
        Subscriber(server, record, "listener", seed, positions=positions, subscribe=ROOMS),
        Subscriber(server, record, "latecomer", seed, positions={r: {**p, "seq": 0} for r, p in positions.items()},
                   subscribe=ROOMS),
        Reader(server, record, "reader", seed),
        Reader(server, record, "sender0", f"{seed}/reads"),  # who sees own reactions
        Repeater(server, record, "sender1", f"{seed}/repeats"),
        Latecomer(server, record, "newcomer", seed, positions=positions),
    ]
    play.players[-1].pause_s = 10  # it keeps whole logs
    play.players.append(Uploader(server, record, "uploader", seed, room="files"))
    # The first direct message was sent outside of the play.
    record.sent[("sender0", direct)].insert(0, "sender0-first")
    return play, {**{room: ("owner", "sender0") for room in ROOMS}, direct: ("member", "sender0")}, first


def test_nothing_acknowledged_is_lost_when_the_server_is_killed(make_server, seed):
    # A small write buffer, so that flushes and compactions are hit, too, and rooms that fall asleep between two words.
    server = make_server(tls=True, limits__resume_events=1_000_000, log__level="info", storage__write_buffer_mb=4,
                         rooms__idle_s=1, users__idle_s=1)
    chance = random.Random(seed)
    record = Record()
    play, rooms, first = set_up(server, record, seed, window=16)
    play.begin()
    kills_with_progress = 0
    before = 0
    try:
        for kill in range(KILLS):
            # Most kills hit a server that talks, some one that is still starting. The delay is the random point, not
            # a wait for something.
            if chance.random() < 0.8:
                server.wait_ready()
                time.sleep(chance.choice([0.02, 0.3, 1.5]) * chance.random())
            else:
                time.sleep(0.25 * chance.random())
            server.kill()
            server.spawn()
            play.check_players()
            kills_with_progress += play.answered() > before
            before = play.answered()
        server.wait_ready()
        logs, epochs = play.end(rooms)
    finally:
        for p in play.players:
            p.finish.set()
            p.goal = {}
            p.unanswered = []
        server.is_ready() or (server.kill(), server.start())
    record.acks.append(Ack(first["room"], "sender0", "sender0-first", "hello", first["epoch"], first["seq"], first["ts"]))
    problems = check(record, logs, epochs)
    duplicates = sum(p.duplicates for p in play.players if isinstance(p, Sender))
    kept = Counter(e["ev"] for log in logs.values() for e in log)
    later = len({(k.room, k.user, k.key) for k in record.kept})
    print(f"{KILLS} kills, {len(record.acks)} acknowledged, {duplicates} answered as duplicates, {later} kept for later, "
          f"{len(record.refusals)} refused for good, {len(record.passed)} of them as too late, kept: {dict(kept)}, "
          f"{len(record.threads)} threads read, "
          f"{sum(getattr(p, 'uploads', 0) for p in play.players)} attachments, "
          f"{sum(len(e) for s in record.seen.values() for e in s.values())} events seen, "
          f"{sum(p.connections for p in play.players)} connections")
    assert not problems, "\n".join(problems[:20])
    assert kills_with_progress >= KILLS // 3, "the kills left no time to talk"
    assert server.starts == KILLS + 1
