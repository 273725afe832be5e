"""A cluster on this machine: a real etcd, and nodes that are real greenroomd processes, each with a data directory of its
own. To players (support.kill) it looks like a server whose port is another node's each time."""

import base64
import json
import os
import random
import shutil
import subprocess
from pathlib import Path

from . import tokens
from .etcd import Etcd
from .server import GREENROOM, Server, free_port
from .waiting import LIMIT_S, until


def shard_of(text):
    """The shard of a room or user id, as config/ids.cpp computes it."""
    h = 0xcbf29ce484222325
    for byte in text.encode():
        h = ((h ^ byte) * 0x100000001b3) % 2**64
    for factor in (0xff51afd7ed558ccd, 0xc4ceb9fe1a85ec53):
        h = ((h ^ h >> 33) * factor) % 2**64
    return (h ^ h >> 33) % 128


class Cluster:
    node_class = Server

    def __init__(self, directory, nodes=3, **settings):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        secret = self.directory / "token.secret"
        secret.write_text("a-secret-that-all-nodes-of-this-cluster-know-0123456789")
        self.secret = secret.read_bytes().strip()
        self.chance = random.Random(1)
        self.etcd = self.make_etcd()
        self.nodes = [self.make_node(f"n{i}", auth__secret_file=str(secret), cluster__listen_port=free_port(), **settings)
                      for i in range(1, nodes + 1)]

    def make_etcd(self):
        return Etcd(self.directory / "etcd")

    def make_node(self, name, **settings):
        return self.node_class(self.directory / name, node__name=name, **{"cluster__etcd": self.etcd.urls, **settings})

    def encrypt(self, into="certs"):
        """Links go through the TLS front from the next start on, with certificates of a CA in that directory."""
        names = [n.settings["node.name"] for n in self.nodes]
        made = json.loads(self.command("certs", str(self.directory / into), "--node", *names, "--json"))
        for n, files in zip(self.nodes, made["nodes"]):
            n.settings.update({"cluster.tls_certificate_file": files["certificate"],
                               "cluster.tls_key_file": files["key"], "cluster.tls_ca_file": made["ca"]["certificate"]})

    def start(self):
        self.etcd.start()
        first = self.nodes[0]
        first.write_config()
        self.command("init")
        for n in self.nodes:
            n.spawn()
        for n in self.nodes:
            n.wait_ready()
        return self

    def command(self, *words):
        """`greenroom cluster ...` with the first node's configuration; returns its output."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GREENROOM_")}
        first = self.nodes[0]
        done = subprocess.run([*first.before, str(GREENROOM), "cluster", *words, "--config", str(first.config)],
                              env=environment, capture_output=True, text=True, timeout=LIMIT_S, cwd=first.directory)
        assert done.returncode == 0, (words, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def stored(self, prefix):
        """What stands in etcd under the cluster's keys that begin so: key -> text."""
        name = "/greenroom/greenroom/" + prefix
        end = name[:-1] + chr(ord(name[-1]) + 1)
        answer = self.etcd.request("POST", "/v3/kv/range", {"key": base64.b64encode(name.encode()).decode(),
                                                            "range_end": base64.b64encode(end.encode()).decode()})
        return {base64.b64decode(x["key"]).decode().split("/", 3)[3]: base64.b64decode(x["value"]).decode()
                for x in answer.get("kvs", [])}

    def records(self):
        """Of all shards, as they stand in etcd, in the order of their numbers."""
        return [json.loads(v) for k, v in sorted(self.stored("shards/").items())]

    def controller(self):
        """The name of the node; None: there is none now."""
        return self.stored("controller").get("controller")

    def node_of(self, store):
        """The node that holds the store now; None: none does."""
        for key, text in self.stored("nodes/").items():
            if json.loads(text)["store"] == store:
                return next(n for n in self.nodes if f"nodes/{n.settings['node.name']}" == key)
        return None

    def wait_replicated(self, members=3, limit_s=LIMIT_S * 8):
        """Until every shard has a primary and so many members in sync."""
        def is_done():
            records = self.records()
            return len(records) == 128 and all(r["primary"] and len(r["in_sync"]) >= members for r in records)

        until(is_done, f"every shard has {members} members in sync", limit_s)

    def wipe(self, node):
        node.kill()
        shutil.rmtree(Path(node.settings["node.data_dir"]))

    def end(self):
        try:
            for n in self.nodes:
                n.end()
        finally:
            for n in self.nodes:
                n.kill()
            self.etcd.kill()

    # -- as one server -------------------------------------------------------------------------------------------------
    def any_node(self):
        """One that is alive, if there is one."""
        living = [n for n in self.nodes if n.process and n.process.poll() is None]
        return self.chance.choice(living or self.nodes)

    def open(self, name="", **how):
        """A connection that has not said hello."""
        return self.any_node().open(name, **how)

    def token(self, user, lifetime_s=3600, **claims):
        return tokens.encode(tokens.claims(user, lifetime_s, **claims), self.secret)

    def sign_in(self, user, on=None, **how):
        return (on or self.any_node()).sign_in(user, token=self.token(user), **how)

    def history(self, token, room):
        return self.any_node().history(token, room)
