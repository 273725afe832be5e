"""The real greenroomd as a process, on a data directory and ports of its own.

Its configuration is a file, as an operator's; its log goes to a file beside the data and is shown when a test fails.
"""

import json
import os
import re
import signal
import socket
import subprocess
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import quote

from . import client, tokens, websocket
from .sanitizers import FREES_AT_ONCE
from .waiting import LIMIT_S, until
from .websocket import tls_context

ROOT = Path(__file__).resolve().parents[3]
BIN = Path(os.environ.get("GREENROOM_BIN") or ROOT / "build" / "release").resolve()
GREENROOMD = BIN / "greenroomd"


def find_greenroom():
    """The command line program; the build puts it beside greenroomd or into the folder of its sources."""
    for place in (BIN / "greenroom", BIN / "net" / "cli" / "greenroom"):
        if place.exists():
            return place
    return BIN / "greenroom"


GREENROOM = find_greenroom()

# What tests need other than the defaults: they send faster than people, and sign in more often; hashing a password
# need not be expensive.
FAST = {
    "limits.sends_per_s": 1_000_000,
    "limits.sends_burst": 1_000_000,
    "limits.logins_per_minute_address": 100_000,
    "limits.connections_per_address": 10_000,
    "limits.requests_per_s": 0,
    "limits.joins_per_minute_user": 0,
    "limits.calls_per_s_user": 0,
    "limits.calls_per_s_address": 0,
    "limits.connects_per_minute_address": 0,
    "auth.argon2_mem_mb": 8,
    "auth.argon2_ops": 1,
    "storage.cache_mb": 16,
    "storage.write_buffer_mb": 16,
    "log.level": "debug",
}


def free_port():
    """A port that nothing listens on now. Below the range from which the kernel picks for outgoing connections, so that
    none of the tests' own connections takes it before the server does."""
    while True:
        port = 10_000 + int.from_bytes(os.urandom(2), "big") % 20_000
        with socket.socket() as s:
            # As the server does: connections of an earlier run in TIME_WAIT are no hindrance.
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def certificate(directory, name="server", common_name="localhost"):
    """A self-signed certificate, as the README tells newcomers to make one. Returns (certificate, key) paths."""
    cert, key = Path(directory) / f"{name}.pem", Path(directory) / f"{name}.key"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "30", "-subj", f"/CN={common_name}", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    return cert, key


def to_toml(settings):
    sections = {}
    for name, value in settings.items():
        section, key = name.rsplit(".", 1)
        sections.setdefault(section, {})[key] = value
    lines = []
    for section, keys in sections.items():
        lines.append(f"[{section}]")
        # JSON's numbers, strings, booleans and lists of strings are TOML, too.
        lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join(lines) + "\n"


class Server:
    """A greenroomd process. Started by `start()`, which returns when it is ready; usable again after `kill()`."""

    def __init__(self, directory, tls=False, defaults=FAST, frees_at_once=False, **settings):
        """`settings` are keys with `__` for the dot: limits__hello_ms=500. `frees_at_once` for tests that look at
        resident_bytes()."""
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.host = "127.0.0.1"  # where the process is reached
        self.before = []  # what stands in front of the program's name
        self.environment = {}  # beside what the test itself has
        self.port = free_port()
        self.tls_port = 0
        self.frees_at_once = frees_at_once
        self.settings = dict(defaults)
        self.settings.update({"node.data_dir": str(self.directory / "data"), "listen.port": self.port})
        if tls:
            self.tls_port = free_port()
            self.certificate, self.key = certificate(self.directory)
            self.settings.update({"listen.tls_port": self.tls_port, "tls.certificate": str(self.certificate),
                                  "tls.key": str(self.key)})
        self.settings.update({k.replace("__", "."): v for k, v in settings.items()})
        self.config = self.directory / "greenroom.toml"
        self.log = self.directory / "log"
        self.process = None
        self.starts = 0

    # -- the process ---------------------------------------------------------------------------------------------------
    def write_config(self, **changes):
        self.settings.update({k.replace("__", "."): v for k, v in changes.items()})
        self.config.write_text(to_toml(self.settings))

    def spawn(self):
        """Starts the process without waiting for anything."""
        self.write_config()
        self.starts += 1
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GREENROOM_")}
        if self.frees_at_once:
            environment["ASAN_OPTIONS"] = f"{environment.get('ASAN_OPTIONS', '')}:{FREES_AT_ONCE}"
        environment.update(self.environment)
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*self.before, str(GREENROOMD), "--config", str(self.config)],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.directory,
                                            env=environment)
        return self

    def start(self, limit_s=LIMIT_S):
        self.spawn()
        self.wait_ready(limit_s)
        return self

    def is_ready(self):
        try:
            return all(self.rest("GET", "/readyz", tls=tls, limit_s=5).status == 200
                       for tls in ([False, True] if self.tls_port else [False]))
        except (OSError, HTTPException):
            return False

    def wait_ready(self, limit_s=LIMIT_S):
        def ready_or_dead():
            if self.process.poll() is not None:
                raise AssertionError(f"greenroomd ended with {self.process.returncode}:\n{self.log_tail()}")
            return self.is_ready()

        until(ready_or_dead, f"{self.port} ready; its log:\n{self.log_tail()}", limit_s)

    def kill(self):
        """SIGKILL; the data stays."""
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()

    def stop(self, limit_s=LIMIT_S):
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"greenroomd did not end after SIGTERM:\n{self.log_tail()}") from None

    def end(self):
        """For the end of a test: a server that still runs must stop in good order."""
        if self.process is None:
            return
        if self.process.poll() is None:
            try:
                code = self.stop()
            finally:
                self.kill()
            assert code == 0, f"greenroomd ended with {code}:\n{self.log_tail()}"

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def log_tail(self, lines=40):
        return "\n".join(self.log_text().splitlines()[-lines:])

    def wait_logged(self, text, since=0, limit_s=LIMIT_S):
        return until(lambda: text in self.log_text()[since:], f"{text!r} in the log", limit_s)

    def cpu_s(self):
        """CPU seconds the process has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self):
        return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text()).group(1)) * 1024

    # -- clients -------------------------------------------------------------------------------------------------------
    @property
    def secret(self):
        named = self.settings.get("auth.secret_file")
        return Path(named or Path(self.settings["node.data_dir"]) / "token.secret").read_bytes().strip()

    def token(self, user, lifetime_s=3600, **claims):
        return tokens.encode(tokens.claims(user, lifetime_s, **claims), self.secret)

    def tls(self):
        return tls_context(str(self.certificate))

    def open(self, name="", tls=False, **how):
        """A connected client that has not said hello."""
        if tls:
            return client.Client(self.tls_port, name=name, tls=self.tls(), host=self.host, **how)
        return client.Client(self.port, name=name, host=self.host, **how)

    def sign_in(self, user, tls=False, token=None, **how):
        """A client that has said hello with a token of its own."""
        how.setdefault("name", user)
        how.setdefault("host", self.host)
        if tls:
            how["tls"] = self.tls()
        return client.connect(self.tls_port if tls else self.port, token or self.token(user), **how)

    # -- REST ----------------------------------------------------------------------------------------------------------
    def rest(self, method, path, body=None, token=None, headers=None, tls=False, limit_s=LIMIT_S):
        """One request on a connection of its own. `body` is sent as JSON unless it is bytes."""
        all_headers = dict(headers or {})
        if token:
            all_headers["Authorization"] = f"Bearer {token}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            all_headers.setdefault("Content-Type", "application/json")
        if tls:
            context = self.tls()
            connection = HTTPSConnection(self.host, self.tls_port, timeout=limit_s, context=context)
        else:
            connection = HTTPConnection(self.host, self.port, timeout=limit_s)
        try:
            connection.request(method, path, body, all_headers)
            answer = Answer(connection.getresponse())
            if websocket.contract:
                websocket.contract.REST.check(method, path, all_headers, body, answer)
            return answer
        finally:
            connection.close()

    def history(self, token, room, after=0, limit=200):
        """All kept events of a room, page by page, through REST."""
        events = []
        while True:
            answer = self.rest("POST", "/api/v1/chat", {"room": room, "after": after, "limit": limit}, token)
            assert answer.status == 200, (answer.status, answer.body)
            page = answer.json
            events += page["events"]
            if not page["more"]:
                return events, page
            assert page["events"], "an empty page that says there is more"
            after = page["events"][-1]["seq"]

    def thread(self, token, room, target, limit=200):
        """All that replies to an event, page by page, through REST; and what the last page takes account of."""
        events, after = [], 0
        while True:
            path = f"/api/v1/rooms/{path_of(room)}/messages/{target}/replies?after={after}&limit={limit}"
            answer = self.rest("GET", path, token=token)
            assert answer.status == 200, (answer.status, answer.body)
            page = answer.json
            events += page["events"]
            if not page["more"]:
                return events, page["as_of"]
            assert page["events"], "an empty page that says there is more"
            after = page["events"][-1]["seq"]

    def metrics(self):
        """Samples of /metrics: name with its labels -> value."""
        text = self.rest("GET", "/metrics").body.decode()
        samples = {}
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, value = line.rsplit(" ", 1)
                samples[name] = float(value)
        return samples


class Answer:
    """A REST answer that has been read."""

    def __init__(self, response):
        self.status = response.status
        self.headers = {k.lower(): v for k, v in response.getheaders()}
        self.body = response.read()

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"HTTP {self.status} {self.body[:300]!r}"


def path_of(room):
    """The room as a part of a REST path."""
    return quote(room, safe="")


