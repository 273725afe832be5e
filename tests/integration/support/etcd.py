"""A real etcd: one process by itself, or several that are members of one. Data stays over kill() and start()."""

import json
import subprocess
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from .server import free_port
from .waiting import LIMIT_S, until

MEMBERS = 3  # of a group


def etcd_names():
    """Of the members of a group."""
    return [f"e{i}" for i in range(1, MEMBERS + 1)]


class Etcd:
    """One process. Alone, or a member of an EtcdGroup."""

    # One by itself has nobody to wait for.
    ALONE = ["--heartbeat-interval", "50", "--election-timeout", "500"]

    def __init__(self, directory, name="e", host="127.0.0.1", before=(), flags=ALONE):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.name, self.host, self.before, self.flags = name, host, list(before), list(flags)
        self.port, self.peer_port = free_port(), free_port()
        self.url, self.peer_url = f"http://{host}:{self.port}", f"http://{host}:{self.peer_port}"
        self.urls = [self.url]
        self.peers = f"{name}={self.peer_url}"  # all members
        self.process = None

    def spawn(self):
        with open(self.directory / "log", "ab") as log:
            self.process = subprocess.Popen(
                [*self.before, "etcd", "--name", self.name, "--data-dir", str(self.directory / "data"),
                 "--listen-client-urls", self.url, "--advertise-client-urls", self.url,
                 "--listen-peer-urls", self.peer_url, "--initial-advertise-peer-urls", self.peer_url,
                 "--initial-cluster", self.peers, "--log-level", "warn", *self.flags],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory)

    def start(self):
        self.spawn()
        until(self.is_healthy, "etcd answers")
        return self

    def request(self, method, path, body=None, limit_s=LIMIT_S):
        """The answer to one request, which is JSON."""
        connection = HTTPConnection(self.host, self.port, timeout=limit_s)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), {"Content-Type": "application/json"})
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def is_healthy(self):
        try:
            return self.request("GET", "/health", limit_s=5).get("health") == "true"
        except (OSError, HTTPException, ValueError):
            return False

    def status(self):
        """As this process sees itself and the others; None: it does not answer, or knows of no leader."""
        try:
            answer = self.request("POST", "/v3/maintenance/status", {}, limit_s=5)
        except (OSError, HTTPException, ValueError):
            return None
        return answer if "leader" in answer else None

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()


class EtcdGroup:
    """Members of one etcd; answers come from one that gives them."""

    def __init__(self, members):
        self.members = members
        for m in members:
            m.peers = ",".join(f"{x.name}={x.peer_url}" for x in members)
        self.urls = [m.url for m in members]

    def start(self):
        for m in self.members:
            m.spawn()
        self.wait_healthy()

    def wait_healthy(self):
        until(lambda: all(m.is_healthy() for m in self.members), "all members of etcd are healthy")

    def leader(self):
        """(the member that leads, its term); None: none does now. One that has not heard of its successor yet does not count."""
        leaders = [(m, int(s["raftTerm"])) for m in self.members
                   if (s := m.status()) and s["leader"] == s["header"]["member_id"]]
        return max(leaders, key=lambda x: x[1], default=None)

    def request(self, method, path, body=None, limit_s=5):
        for m in self.members:
            try:
                answer = m.request(method, path, body, limit_s)
                if "error" not in answer:
                    return answer
            except (OSError, HTTPException, ValueError):
                continue
        raise OSError("no member of etcd answers")

    def kill(self):
        for m in self.members:
            m.kill()
