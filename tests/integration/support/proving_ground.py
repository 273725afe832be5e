"""A cluster that faults can be done to: every node and each of three members of etcd in a namespace of its own, every node's
data on a small file system of its own, its clock in a file, and the lines between nodes over proxies that can be slow.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from .cluster import Cluster
from .etcd import Etcd, EtcdGroup, etcd_names
from .network import Loopback, Network, NoNetwork, run, why_not
from .server import BIN, GREENROOM, Server, to_toml
from .stores import START
from .tcp_proxy import Proxy
from .waiting import LIMIT_S, until

REAL_TIMERS = BIN / "tests" / "libreal_timers.so"
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
DISK_MB = 384
# What the nodes and the players are told, so that a round is about seconds, and that what was logged is still there to be
# compared. A node that was wiped is a store that is gone; another one takes its place at once.
SETTINGS = {"limits.resume_events": 1_000_000, "log.level": "info", "storage.min_free_mb": 4, "storage.reopen_ms": 200,
            "storage.write_buffer_mb": 8, "cluster.log_kb": 65_536, "cluster.replace_s": 0, "listen.address": "0.0.0.0",
            # Players do not heed `goaway`; a drain that gets nowhere should not hold up a plan for long.
            "cluster.drain_spread_ms": 1_500, "cluster.drain_grace_ms": 500, "cluster.drain_ms": 15_000}


class Node(Server):
    """Its log says where a process began."""

    def has_begun(self):
        """Whether the process that was started last listens, or has."""
        return "what=listening" in self.log_of_process()

    def log_of_process(self):
        """What the process that was started last has said."""
        return self.log_text().rsplit(START, 1)[-1]

    def spawn(self):
        with open(self.log, "a") as log:
            log.write(f"{START}{self.starts + 1}\n")
        return super().spawn()


class DrainOrder:
    """`greenroom cluster drain`, from the order until the node has gone."""

    # It tries a few times for two seconds each while etcd does not answer, then gives up.
    limit_s = LIMIT_S * 2

    def __init__(self, place, number, words):
        self.output = place / f"drain-{number}"
        clean = {k: v for k, v in os.environ.items() if not k.startswith("GREENROOM_")}
        with open(self.output, "wb") as output:
            self.process = subprocess.Popen([str(GREENROOM), "cluster", "drain", *words], stdin=subprocess.DEVNULL,
                                            stdout=output, stderr=output, cwd=place, env=clean)

    def said(self):
        return self.output.read_text()

    def has_ended(self):
        return self.process.poll() is not None

    def is_given(self):
        """False: it was refused; said() has the reason. A command that does neither is ended, so that it can't give its order
        at another time."""
        try:
            until(lambda: " drains: it leads " in self.said() or self.has_ended(), "the order is given, or refused", self.limit_s)
        except AssertionError as e:
            self.kill()
            raise AssertionError(f"{e}; the command has said: {self.said().strip() or 'nothing'}") from None
        return not self.has_ended() or self.process.returncode == 0 or " drains: it leads " in self.said()

    def wait(self):
        until(self.has_ended, "the drain command ends")
        return self.process.returncode

    def kill(self):
        self.process.kill()
        self.process.wait()


def what_is_lacking():
    """What faults may need and this machine does not have -> why."""
    lacking = {}
    if reason := why_not():
        lacking["network"] = reason
    for file in (FAKETIME, REAL_TIMERS):
        if not file.exists():
            lacking["clock"] = f"{file} is not there (libfaketime has to be installed, and our part of it built)"
    if os.environ.get("GREENROOM_SANITIZE"):
        lacking["clock"] = "a sanitizer's runtime has to be loaded before everything else, libfaketime as well"
    with tempfile.TemporaryDirectory() as place:
        try:
            run("mount", "-t", "tmpfs", "tmpfs", place)
            run("umount", place)
        except NoNetwork as e:
            lacking["disk"] = f"needs the right to mount a tmpfs (root): {e}"
    return lacking


class ProvingGround(Cluster):
    """`lacking`: what is done without, see what_is_lacking()."""

    node_class = Node

    def __init__(self, directory, nodes=3, lacking=(), **settings):
        self.network = self.proxy = None
        self.mounts = []
        self.drains = []
        self.lacking = lacking
        self.links = {}  # (one, other): the two lines of their link
        self.etcd_lines = {}  # node: the lines to the members of etcd
        try:
            names = [*etcd_names(), *(f"n{i}" for i in range(1, nodes + 1))]
            self.network = Loopback(names) if "network" in lacking else Network(names)
            self.proxy = Proxy()
            super().__init__(directory, nodes, **{**{k.replace(".", "__"): v for k, v in SETTINGS.items()}, **settings})
            if "network" not in lacking:
                self.encrypt()
                self._join_nodes()
        except BaseException:
            self.end()
            raise

    # -- what it is made of --------------------------------------------------------------------------------------------
    def make_etcd(self):
        # In a real cluster it has machines of its own: what else runs here should not starve it.
        first = ["nice", "-n", "-10"] if os.geteuid() == 0 else []
        # Nothing here takes the power from the machine, so its writes need not wait for the disk.
        return EtcdGroup([Etcd(self.directory / name, name, self.network.places[name].address,
                               self.network.places[name].command + first, ["--unsafe-no-fsync"]) for name in etcd_names()])

    def make_node(self, name, **settings):
        place = self.network.places[name]
        disk = self.directory / name / "disk"
        disk.mkdir(parents=True)
        if "disk" not in self.lacking:
            run("mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(disk))
            self.mounts.append(disk)
        node = super().make_node(name, node__data_dir=str(disk / "data"), cluster__etcd=self._ways_to_etcd(name), **settings)
        node.name, node.host, node.before, node.disk = name, place.address, place.command, disk
        node.clock = self.directory / name / "clock"
        self.set_clock(node, 0)
        if "clock" not in self.lacking:
            node.environment = {"LD_PRELOAD": f"{REAL_TIMERS} {FAKETIME}", "FAKETIME_TIMESTAMP_FILE": str(node.clock),
                                "FAKETIME_CACHE_DURATION": "1", "NO_FAKE_STAT": "1",
                                # Only the clock that can be set jumps; the others never do on a real machine either.
                                "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1"}
        node.data = disk / "data"
        return node

    def _ways_to_etcd(self, name):
        """Every second node reaches etcd over lines that can be slow, the others directly."""
        if int(name[1:]) % 2 == 0 or "network" in self.lacking:
            return self.etcd.urls
        place = self.network.places[name]
        lines = [self.proxy.line(f"{name} to {m.name}", (place, "127.0.0.1", m.port), (place, m.host, m.port))
                 for m in self.etcd.members]
        self.etcd_lines[name] = lines
        return [f"http://127.0.0.1:{m.port}" for m in self.etcd.members]

    def _join_nodes(self):
        """Each node is said to be on loopback: there whoever dials it (of two nodes the one with the greater name) finds a
        line of the proxy, which goes over the network to its TLS front."""
        for to in self.nodes:
            port = to.settings["cluster.listen_port"]
            to.settings.update({"cluster.listen_address": to.host, "cluster.advertise_address": "127.0.0.1"})
            for dialler in self.nodes:
                if dialler.name > to.name:
                    there = self.network.places[dialler.name]
                    self.links[to.name, dialler.name] = self.proxy.line(
                        f"{dialler.name} to {to.name}", (there, "127.0.0.1", port), (there, to.host, port))

    # -- what can be done to it ----------------------------------------------------------------------------------------
    def node(self, name):
        return next(n for n in self.nodes if n.name == name)

    def member(self, name):
        return next(m for m in self.etcd.members if m.name == name)

    def process_of(self, name):
        return self.member(name) if name.startswith("e") else self.node(name)

    def signal(self, name, number):
        process = self.process_of(name).process
        if process and process.poll() is None:
            process.send_signal(number)

    def set_clock(self, node, offset_s):
        """The process reads it once a second."""
        new = node.clock.with_suffix(".new")
        new.write_text(f"{offset_s:+d}\n")
        os.replace(new, node.clock)

    def fill_disk(self, node, leave_bytes):
        with open(node.disk / "ballast", "ab", buffering=0) as ballast:
            try:
                while (free := os.statvfs(node.disk).f_bavail * os.statvfs(node.disk).f_frsize - leave_bytes) > 0:
                    ballast.write(b"\0" * min(1 << 20, free))
            except OSError:
                pass  # full to the last block

    def empty_disk(self, node):
        (node.disk / "ballast").unlink(missing_ok=True)

    def order_drain(self, node, force=False):
        """From a machine that is none of the cluster's, so that it reaches etcd whatever is cut there."""
        config = self.directory / "operator.toml"
        config.write_text(to_toml({"cluster.etcd": self.etcd.urls}))
        words = [node, "--config", str(config), *(["--force"] if force else [])]
        self.drains.append(DrainOrder(self.directory, len(self.drains) + 1, words))
        return self.drains[-1]

    @property
    def drain_limit_s(self):
        """Within this a node that was told to drain has ended."""
        return LIMIT_S * 2 + self.nodes[0].settings["cluster.drain_ms"] / 1000

    def heal(self):
        """Undoes everything that may be broken, and starts what does not run. Returns the nodes and members that had ended
        by themselves or by a fault."""
        self.network.heal()
        self.proxy.clear()
        started = []
        for m in self.etcd.members:
            self.signal(m.name, signal.SIGCONT)
            if m.process.poll() is not None:
                m.spawn()
                started.append(m.name)
        for n in self.nodes:
            self.empty_disk(n)
            self.set_clock(n, 0)
            self.signal(n.name, signal.SIGCONT)
            if n.process.poll() is not None:
                n.spawn()
                started.append(n.name)
        return started

    def wait_whole(self, limit_s=LIMIT_S * 4):
        """Until each shard is led by a living store, and as many living ones as there can be are in sync."""
        wanted = min(3, len(self.nodes))
        seen = {}

        def is_whole():
            try:
                living = {n["store"] for n in self.living_stores()}
                records = self.records()
            except OSError:
                return False
            seen["lacking"] = [(i, r) for i, r in enumerate(records)
                               if r["primary"] not in living or len(living & set(r["in_sync"])) < wanted]
            return len(records) == 128 and len(living) == len(self.nodes) and not seen["lacking"]

        try:
            until(is_whole, "every shard is led, with all its members in sync", limit_s, step_s=0.2)
        except AssertionError as e:
            lacking = seen.get("lacking")
            raise AssertionError(f"{e}; lacking: {lacking and (len(lacking), lacking[:3])}") from None

    def living_stores(self):
        return [json.loads(text) for text in self.stored("nodes/").values()]

    def kill_nodes(self):
        for n in self.nodes:
            n.kill()

    def end(self):
        for d in self.drains:
            d.kill()
        for n in getattr(self, "nodes", []):
            n.kill()
        if getattr(self, "etcd", None):
            self.etcd.kill()
        if self.proxy:
            self.proxy.end()
        if self.network:
            self.network.end()
        for disk in self.mounts:
            subprocess.run(["umount", "-l", str(disk)], capture_output=True)


def keep_evidence(ground):
    """Copies what stands on the nodes' file systems, which go with them, and what stands in etcd, beside the logs."""
    try:
        (ground.directory / "etcd.json").write_text(json.dumps(ground.stored(""), indent=1))
    except (OSError, ValueError) as e:
        (ground.directory / "etcd.json").write_text(f"could not be read: {e}\n")
    for n in ground.nodes:
        ground.signal(n.name, signal.SIGCONT)
        n.kill()
        if n.data.exists():
            shutil.copytree(n.data, ground.directory / n.name / "kept", dirs_exist_ok=True)
