"""scripts/run and scripts/cluster, as README.md tells newcomers to use them: what they say is true, and what they start ends
with them."""

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from support.client import connect
from support.server import BIN, GREENROOM, ROOT, free_port
from support.waiting import LIMIT_S, until

pytestmark = pytest.mark.skipif(GREENROOM.parent != BIN, reason="the scripts look for both programs in one folder")


class Script:
    """One of scripts/ on the programs that are built already, in a terminal's place."""

    def __init__(self, name, *arguments, temporary, **environment):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("GREENROOM_")}
        clean.update(environment, GREENROOM_BIN=str(BIN), TMPDIR=str(temporary))
        self.process = subprocess.Popen([str(ROOT / "scripts" / name), *arguments], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=clean,
                                        start_new_session=True)
        self.lines = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True)
        self.reader.start()

    def said(self):
        return "".join(self.lines)

    def says(self, pattern):
        """The match of the pattern in what it has said, as soon as it is there."""
        def found():
            if self.process.poll() is not None:
                self.reader.join(LIMIT_S)
                raise AssertionError(f"it ended with {self.process.returncode}:\n{self.said()}")
            return re.search(pattern, self.said())

        try:
            return until(found, pattern, LIMIT_S * 4)
        except AssertionError as e:
            raise AssertionError(f"{e}; it said:\n{self.said()}") from None

    def token_command(self, user):
        """The words behind --token, as they are printed for that user."""
        return self.says(rf'--token "\$\((.* --user {user})\)"').group(1)

    def token(self, user):
        """As a newcomer gets one: by typing what is printed."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("GREENROOM_")}
        done = subprocess.run(["bash", "-c", self.token_command(user)], cwd=ROOT, env=clean, capture_output=True, text=True,
                              timeout=LIMIT_S)
        assert done.returncode == 0, done
        return done.stdout.strip()

    def end(self, how):
        """SIGINT as Ctrl-C does it, to all that belongs to the terminal; SIGTERM to the script alone. Returns its exit code."""
        if how == signal.SIGINT:
            os.killpg(self.process.pid, how)
        else:
            self.process.send_signal(how)
        try:
            return self.process.wait(LIMIT_S * 2)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end; it said:\n{self.said()}") from None

    def clean_up(self):
        """When the test has failed: nothing may stay."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@pytest.fixture
def script(tmp_path):
    """script(name, arguments...) starts one; its temporary files are in `temporary`."""
    started = []
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    def start(name, *arguments, **environment):
        started.append(Script(name, *map(str, arguments), temporary=temporary, **environment))
        return started[-1]

    start.temporary = temporary
    yield start
    for s in started:
        s.clean_up()
    for pid in processes_of(temporary):  # of this test only: they have its directory in their command line
        os.kill(pid, signal.SIGKILL)


def processes_of(directory):
    """Those that have the directory in their command line: pid -> command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has ended meanwhile
        if f"{directory}/" in line and int(entry.name) != os.getpid():
            found[int(entry.name)] = line
    return found


def port_of(url):
    host, port, path = re.fullmatch(r"ws://([^:/]+):(\d+)(/\S*)", url).groups()
    assert (host, path) == ("127.0.0.1", "/ws"), url
    return int(port)


def is_refused(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) != 0


def free_base():
    """A port from which on all those are free that scripts/cluster takes for three nodes."""
    while True:
        base = free_port()
        if all(is_refused(base + i) for i in (0, 1, 2, 3, 101, 102, 103, 201, 202)):
            return base


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_run_says_where_to_talk_to_it_and_ends_in_order(script, tmp_path, how):
    port, data = free_port(), tmp_path / "da ta"
    flags = [f"--listen.port={port}", f"--node.data_dir={data}", "--storage.cache_mb=16"]
    run = script("run", *flags)
    url = run.says(r"Greenroom listens on (\S+) with its data in (.*);").group(1)
    assert port_of(url) == port and str(data) in run.said()
    assert shlex.split(run.token_command("alice"))[0] == str(BIN / "greenroom")
    alice, bob = (connect(port_of(url), run.token(user)) for user in ("alice", "bob"))
    alice.request("create", room="lobby")
    bob.request("join", room="lobby")
    alice.request("send", room="lobby", key="a-1", text="hello all")
    assert bob.event("message", room="lobby")["text"] == "hello all"
    assert "installing" not in run.said() and "building" not in run.said()
    assert run.end(how) == 0
    assert bob.closed() == 1001
    assert is_refused(port) and not processes_of(data)

    # What was said is on the disk, where it said: the next run has it.
    again = script("run", *flags)
    again.says(r"Greenroom listens on")
    carl = connect(port, again.token("alice"))
    events = carl.request("history", room="lobby", after=0)["events"]
    assert [e["text"] for e in events if e["ev"] == "message"] == ["hello all"]
    carl.leave()
    assert again.end(how) == 0


def test_run_ends_with_the_nodes_own_words_when_it_can_t_start(script, tmp_path):
    run = script("run", "--listen.port=none", f"--node.data_dir={tmp_path / 'data'}")
    assert run.process.wait(LIMIT_S) != 0
    run.reader.join(LIMIT_S)
    assert "listen.port" in run.said() and "listens on" not in run.said()


@pytest.mark.parametrize("name", ["run", "cluster"])
def test_without_the_programs_a_script_says_so(tmp_path, name):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GREENROOM_")}
    done = subprocess.run([str(ROOT / "scripts" / name)], env={**clean, "GREENROOM_BIN": str(tmp_path)}, text=True,
                          capture_output=True, timeout=LIMIT_S)
    assert done.returncode == 1 and f"there is no {tmp_path}/greenroomd" in done.stderr, done


@pytest.mark.skipif(not shutil.which("haproxy"), reason="needs HAProxy")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_a_cluster_is_one_server_and_leaves_nothing_behind(script, how):
    base = free_base()
    cluster = script("cluster", 3, "--storage.cache_mb=16", PORT=str(base))
    directory = Path(cluster.says(r"A cluster of 3 nodes is ready; Ctrl-C ends it and removes (\S+)\.").group(1))
    front = port_of(cluster.says(r"HAProxy +(ws://\S+)").group(1))
    first, last = (port_of(url) for url in cluster.says(r"nodes +(ws://\S+) to (ws://\S+),").groups())
    cluster.says(r"cluster drain")  # the end of what it says
    assert front == base and (first, last) == (base + 1, base + 3)
    assert directory.parent == script.temporary and directory.is_dir()
    assert len(processes_of(directory)) == 5, processes_of(directory)  # etcd, three nodes, HAProxy

    alice = connect(front, cluster.token("alice"))
    nodes = {port: connect(port, cluster.token("bob")) for port in range(first, last + 1)}
    assert sorted(c.hello["node"] for c in nodes.values()) == ["n1", "n2", "n3"]
    alice.request("create", room="lobby")
    elsewhere = [c for c in nodes.values() if c.hello["node"] != alice.hello["node"]]
    assert len(elsewhere) == 2
    elsewhere[0].request("join", room="lobby")
    elsewhere[1].request("subscribe", room="lobby")
    sent = alice.request("send", room="lobby", key="a-1", text="hello all")
    for c in elsewhere:
        assert c.event("message", room="lobby", seq=sent["seq"])["text"] == "hello all"

    assert cluster.end(how) == 0
    assert processes_of(directory) == {}
    assert list(script.temporary.iterdir()) == []
    assert all(is_refused(base + i) for i in (0, 1, 2, 3, 101, 102, 103, 201, 202))


def test_a_cluster_that_is_ended_while_it_starts_leaves_nothing_behind(script):
    cluster = script("cluster", 3, PORT=str(free_base()))
    until(lambda: cluster.process.poll() is not None or len(processes_of(script.temporary)) >= 2,
          "etcd and the first node are started", LIMIT_S * 2)
    assert cluster.process.poll() is None, cluster.said()
    cluster.end(signal.SIGINT)
    assert processes_of(script.temporary) == {}
    assert list(script.temporary.iterdir()) == []


def test_a_cluster_says_which_port_is_taken(script):
    base = free_base()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", base + 2))
        taken.listen()
        cluster = script("cluster", 3, PORT=str(base))
        assert cluster.process.wait(LIMIT_S) == 1
    cluster.reader.join(LIMIT_S)
    assert f"port {base + 2} is in use; PORT=n scripts/cluster begins at another" in cluster.said()
    assert list(script.temporary.iterdir()) == []
