"""What is done to the server before or in a conversation, so that it says what it says only then: its disk is full, a record
of its store is damaged, it is a node of a cluster and drains, somebody does not read.

Some of it must be there from the server's start and stands behind ```greenroom (PREPARED): `disk_mb=96`, the data is on a
file system of its own of that size; `nodes=3`, the server is n1 of a cluster of so many. The rest are lines (LINES).
"""

import os
import subprocess
import time

import pytest

from .client import RequestError
from .cluster import Cluster, shard_of
from .command_line import greenroom
from .waiting import LIMIT_S, until

MB = 1024 * 1024
PREPARED = ("disk_mb", "nodes")


# -- before the start ------------------------------------------------------------------------------------------------------
class Stage:
    """The server that a conversation is played with, and what stands around it. `names` are its settings and what is
    PREPARED."""

    def __init__(self, directory, make_server, defaults, **names):
        self.directory, self.disk, self.cluster = directory, None, None
        prepared = {k: names.pop(k) for k in PREPARED if k in names}
        try:
            if "nodes" in prepared:
                self.cluster = Cluster(directory / "cluster", nodes=prepared["nodes"], defaults=defaults, **names)
                self.cluster.start()
                self.cluster.wait_replicated(prepared["nodes"])
                self.server = self.cluster.nodes[0]
            else:
                if "disk_mb" in prepared:
                    self.mount(prepared["disk_mb"])
                    names["node__data_dir"] = str(self.disk / "data")
                self.server = make_server(defaults=defaults, **names)
        except BaseException:
            self.end()
            raise

    def mount(self, megabytes):
        place = self.directory / "disk"
        place.mkdir()
        made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)], capture_output=True,
                              text=True)
        if made.returncode != 0:
            pytest.skip(f"needs the right to mount a tmpfs (root): {made.stderr.strip()}")
        self.disk = place

    def node(self, name):
        return next(n for n in self.cluster.nodes if n.settings["node.name"] == name) if name else self.server

    def end(self):
        if self.cluster:
            self.cluster.end()
        if self.disk:
            subprocess.run(["umount", "-l", str(self.disk)], check=True)


# -- the disk --------------------------------------------------------------------------------------------------------------
def takes_writes(conversation):
    """Whether a room can be made just now: what the server knows of the space is up to a quarter of a second old."""
    conversation.probes = getattr(conversation, "probes", 0) + 1
    client = conversation.server.sign_in("probe", subscribe="none")
    try:
        client.request("create", room=f"probe-{conversation.probes}")
        return True
    except RequestError as e:
        assert e.code == "unavailable", e
        return False
    finally:
        client.leave()


def disk_is_full(conversation):
    """Less is free than storage.min_free_mb, so that the server keeps it for itself."""
    disk, leave_bytes = conversation.stage.disk, conversation.server.settings["storage.min_free_mb"] * MB * 3 // 4
    with open(disk / "ballast", "ab", buffering=0) as ballast:
        while (free := os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize) > leave_bytes:
            ballast.write(b"\0" * min(MB, free - leave_bytes + 4096))
    until(lambda: not takes_writes(conversation), "the server has noticed that its disk is full")


def disk_has_space(conversation):
    (conversation.stage.disk / "ballast").unlink()
    until(lambda: takes_writes(conversation), "the server has noticed that its disk has space")


# -- the store -------------------------------------------------------------------------------------------------------------
def damage_event(conversation, seq, room):
    """Writes nonsense where the event stands (storage/README.md, "Schema"), with RocksDB's own tool, while the server is
    stopped."""
    server = conversation.server
    assert server.stop() == 0, server.log_tail()
    key = bytes([shard_of(room)]) + b"e" + room.encode() + b"\0" + int(seq).to_bytes(8, "big")
    store = os.path.join(server.settings["node.data_dir"], "store")

    def ldb(*words):
        try:
            return subprocess.run(["ldb", f"--db={store}", "--column_family=events", "--hex", *words], capture_output=True,
                                  text=True, timeout=LIMIT_S)
        except FileNotFoundError:
            pytest.skip("needs ldb, of Debian's rocksdb-tools")

    there = ldb("get", f"0x{key.hex()}")
    assert there.returncode == 0 and there.stdout.startswith("0x04"), ("the event is not where the schema says", there)
    done = ldb("put", f"0x{key.hex()}", "0x7f")  # no version of a record
    assert done.returncode == 0, done
    server.start()


# -- who does not read -----------------------------------------------------------------------------------------------------
def reads_nothing(conversation, name, speaker, room):
    """Signs in, listens to one room and reads nothing, while the speaker says more in it than the buffers on the way and the
    outbox hold, until the server has given up. Then it reads what had come before, which is `$seen`."""
    server = conversation.server
    talker = server.sign_in(speaker, subscribe="none", token=conversation.token(speaker))
    said = 0

    def say():
        nonlocal said
        requests = [talker.prepare("send", room=room, key=f"loud-{time.monotonic_ns()}-{i}", text="x" * 16_000)
                    for i in range(10)]
        talker.post_all(requests)
        for r in requests:
            said = talker.answer(r["id"])["seq"]

    def waiting():
        return server.metrics()["greenroom_outbox_bytes"]

    bound = server.settings["limits.outbox_bytes"]
    # The close frame waits 3 s for a client that reads again; on a very busy machine that may be too short for ours.
    for _ in range(3):
        client = server.sign_in(name, subscribe=[room], token=conversation.token(name), receive_buffer=8192)
        until(lambda: say() or waiting() > bound / 2, "more was said than the buffers hold")
        until(lambda: waiting() < bound / 4, "what waits for it is thrown away")
        if client.closed():
            break
    talker.leave()
    conversation.clients[name], conversation.unseen[name] = client, []
    conversation.names.update({"$epoch": client.positions[room]["epoch"], "$seen": client.positions[room]["seq"],
                               "$head": said})


def gets_all_events(conversation, name, room, first_after, last):
    """Every event in between, each once and in order."""
    begin, end = conversation.value_of(first_after), conversation.value_of(last)
    for seq in range(begin + 1, end + 1):
        got = conversation.take(name, lambda f: f.get("ev") == "message" and f.get("room") == room, f"event {seq} of {room}")
        assert got["seq"] == seq, f"event {seq} is due, {got['seq']} came"


# -- a cluster -------------------------------------------------------------------------------------------------------------
def connects_at(conversation, name, node):
    conversation.connect(name, node=conversation.stage.node(node))
    conversation.clients[name].greeted = False


def drain(conversation, node):
    cluster = conversation.stage.cluster
    done = greenroom("cluster", "drain", node, "--no-wait", "--config", cluster.nodes[0].config, cwd=cluster.directory)
    assert done.returncode == 0, done


def has_ended(conversation, node):
    process = conversation.stage.node(node).process
    assert process.wait(LIMIT_S * 2) == 0, conversation.stage.node(node).log_tail()


LINES = [
    (r"the disk is full", disk_is_full),
    (r"the disk has space again", disk_has_space),
    (r"given: the record of event (\d+) in (\S+) is damaged", damage_event),
    (r"given: (\w+) reads nothing while (\w+) says more in (\S+) than limits\.outbox_bytes", reads_nothing),
    (r"(\w+) gets the events of (\S+) after (\$\w+) up to (\$\w+)", gets_all_events),
    (r"(\w+) connects to (n\d+)", connects_at),
    (r"(n\d+) is told to drain", drain),
    (r"(n\d+) has ended", has_ended),
]
