"""A network of its own on this machine: a place (a network namespace) per process, joined by a bridge, on which single
directions between two places can be cut or made lossy with nftables. The bridge has an address, too: from there the test
reaches every place, whatever is cut between them.

Needs root, iproute2 and nftables; `why_not()` says what is missing.
"""

import ctypes
import ipaddress
import json
import os
import shutil
import socket
import subprocess
import threading
from contextlib import contextmanager

CLONE_NEWNET = 0x40000000
# For measurements of networks (RFC 2544), so nothing that this machine talks to has such an address.
SUBNETS = list(ipaddress.ip_network("198.18.0.0/15").subnets(new_prefix=24))
_libc = ctypes.CDLL(None, use_errno=True)


class NoNetwork(Exception):
    """This machine does not let us make one; says why."""


def run(*words, **how):
    done = subprocess.run(words, capture_output=True, text=True, stdin=how.pop("stdin", subprocess.DEVNULL), **how)
    if done.returncode != 0:
        raise NoNetwork(f"{' '.join(words)}: {done.stderr.strip() or done.returncode}")
    return done.stdout


def why_not():
    """What keeps us from making networks; None: nothing does."""
    for program in ("ip", "nft", "nsenter"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    try:
        with Network(["probe"]) as network:
            network.drop("probe", "probe", 50)
    except NoNetwork as e:
        return f"needs the right to make network namespaces and nftables rules (root): {e}"
    return None


@contextmanager
def inside(place):
    """Sockets that this thread makes meanwhile are in the namespace of `place`."""
    if place.file is None:
        yield
        return
    with open("/proc/thread-self/ns/net") as here, open(place.file) as there:
        _enter(there.fileno())
        try:
            yield
        finally:
            _enter(here.fileno())


def _enter(namespace):
    if _libc.setns(namespace, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


class Place:
    """One namespace with one address; None: the one that the test is in."""

    def __init__(self, name, namespace, address):
        self.name, self.namespace, self.address = name, namespace, address
        self.file = namespace and f"/run/netns/{namespace}"
        self.command = ["nsenter", f"--net={self.file}"] if namespace else []  # in front of a program that is to run there


class Loopback:
    """Where no network can be made: all places are this machine's own, and nothing can be cut."""

    address = "127.0.0.1"

    def __init__(self, names):
        self.places = {name: Place(name, None, self.address) for name in names}

    def heal(self):
        pass

    def end(self):
        pass


class Network:
    """Places with addresses of their own."""

    def __init__(self, names):
        self.mark = os.urandom(3).hex()
        self.bridge = f"gr{self.mark}"
        self.places = {}
        self.losses = []  # (from, to, percent) as often as it was asked for
        self.lock = threading.Lock()
        try:
            self._make(names)
        except BaseException:
            self.end()
            raise

    def _make(self, names):
        run("ip", "link", "add", self.bridge, "type", "bridge")
        subnet = self._take_subnet()
        hosts = subnet.hosts()
        self.address = str(next(hosts))
        run("ip", "addr", "add", f"{self.address}/24", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")
        for number, name in enumerate(names):
            place = Place(name, f"greenroom-{self.mark}-{name}", str(next(hosts)))
            run("ip", "netns", "add", place.namespace)
            self.places[name] = place
            run("ip", "link", "add", f"{self.bridge}v{number}", "type", "veth", "peer", "name", "eth0", "netns",
                place.namespace)
            run("ip", "link", "set", f"{self.bridge}v{number}", "master", self.bridge, "up")
            for words in (["addr", "add", f"{place.address}/24", "dev", "eth0"], ["link", "set", "eth0", "up"],
                          ["link", "set", "lo", "up"]):
                run("ip", "-n", place.namespace, *words)
            self._write_rules(name)

    def _take_subnet(self):
        taken = {a["local"] for link in json.loads(run("ip", "-j", "-4", "addr")) for a in link["addr_info"]}
        start = int(self.mark, 16)
        for i in range(len(SUBNETS)):
            subnet = SUBNETS[(start + i) % len(SUBNETS)]
            if not any(ipaddress.ip_address(a) in subnet for a in taken):
                return subnet
        raise NoNetwork("no subnet is free")

    # -- what is lost --------------------------------------------------------------------------------------------------
    def drop(self, sender, receiver, percent=100):
        """What `sender` sends to `receiver` gets lost, for that part, until undrop() with what this returns."""
        loss = (sender, receiver, percent)
        with self.lock:
            self.losses.append(loss)
            self._write_rules(receiver)
        return loss

    def undrop(self, loss):
        with self.lock:
            if loss in self.losses:
                self.losses.remove(loss)
                self._write_rules(loss[1])

    def heal(self):
        with self.lock:
            self.losses.clear()
            for name in self.places:
                self._write_rules(name)

    def _write_rules(self, receiver):
        """All rules of a place in one transaction. They stand where packets come in, so that each direction is by itself
        and the sender does not notice."""
        rules = ["table inet nemesis {}", "delete table inet nemesis", "table inet nemesis {", " chain arriving {",
                 "  type filter hook input priority -10; policy accept;"]
        for sender, to, percent in self.losses:
            if to == receiver:
                part = "" if percent >= 100 else f"numgen random mod 100 < {percent} "
                rules.append(f"  ip saddr {self.places[sender].address} {part}drop")
        rules += [" }", "}"]
        place = self.places[receiver]
        done = subprocess.run([*place.command, "nft", "-f", "-"], input="\n".join(rules) + "\n", capture_output=True,
                              text=True)
        if done.returncode != 0:
            raise NoNetwork(f"nft: {done.stderr.strip()}")

    def end(self):
        """Processes that still run there, and sockets that are still open, lose their links."""
        for number, place in enumerate(self.places.values()):
            subprocess.run(["ip", "link", "del", f"{self.bridge}v{number}"], capture_output=True)
            subprocess.run(["ip", "netns", "del", place.namespace], capture_output=True)
        subprocess.run(["ip", "link", "del", self.bridge], capture_output=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def listener(place, address, backlog=64):
    """A listening socket in that namespace."""
    with inside(place):
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(address)
    made.listen(backlog)
    return made
