"""The commands of `greenroom` that are REST's: each is used, against a real node, and what it prints for programs is JSON."""

import json
import os
import re
import stat
import subprocess
import threading

import pytest
from support.command_line import greenroom
from support.contract import REST
from support.server import GREENROOM
from support.waiting import LIMIT_S, now_ms, until

PASSWORD = "correct horse battery staple"
# What is more than a question and an answer in JSON, or has a command that says so by another name.
BY_OTHERS = {
    "front_page": "api GET /", "livez": "api GET /livez", "readyz": "api GET /readyz", "metrics": "api GET /metrics",
    "connect": "chat", "openapi": "api GET /openapi.json", "asyncapi": "api GET /asyncapi.json", "log_in": "login", "register": "login --register",
    "guest": "login --guest", "refresh": "any command, when the token is about to end", "log_out": "logout", "batch": "batch",
    "chat": "message history", "list_events": "message history", "erase_own": "user erase", "erase_user": "user erase",
    "export_own": "user export", "export_user": "user export", "begin_attachment": "attachment upload",
    "store_attachment": "attachment upload", "fetch_attachment": "attachment download",
}
USED = set()


class Person:
    """Somebody with a terminal: runs commands with a session file of their own."""

    def __init__(self, server, folder, name):
        self.folder, self.name = folder, name
        self.environment = {"GREENROOM_CLI_SERVER": f"http://127.0.0.1:{server.port}", "GREENROOM_CLI_PASSWORD": PASSWORD,
                            "GREENROOM_CLI_SESSION": str(folder / f"{name}.json")}

    def run(self, *arguments, input=None):
        return greenroom(*arguments, cwd=self.folder, input=input, environment=self.environment)

    def __call__(self, *arguments, input=None, code=0):
        """The objects that the command prints; of a failure, its error."""
        USED.add(" ".join(arguments[:2]))
        done = self.run(*arguments, "--json", input=input)
        assert done.returncode == code, (arguments, done)
        if code:
            error = json.loads(done.stderr.splitlines()[-1])["error"]
            assert set(error) >= {"code", "message", "retryable"}, done
            return error
        self.left = [json.loads(line) for line in done.stderr.splitlines()]
        return [json.loads(line) for line in done.stdout.splitlines()]

    def one(self, *arguments, **how):
        found = self(*arguments, **how)
        assert len(found) == 1, found
        return found[0]

    def shows(self, *arguments, input=None):
        """The same for people."""
        done = self.run(*arguments, input=input)
        assert done.returncode == 0, (arguments, done)
        return done.stdout


@pytest.fixture
def people(make_server, tmp_path):
    """people(server, *names): registered, and logged in."""
    def log_in(server, *names):
        found = [Person(server, tmp_path, name) for name in names]
        for p in found:
            assert p.one("login", p.name, "--register")["user"] == p.name
        return found

    return log_in


def quick(make_server, **more):
    return make_server(limits__sends_per_s=1000, limits__sends_burst=1000, limits__sends_per_s_user=1000, limits__sends_burst_user=1000, **more)


def test_a_session_with_every_command(make_server, people):
    ann, bob, eve = people(quick(make_server), "ann", "bob", "eve")
    assert ann.one("room", "create", "lobby", "--title", "Lobby", "--kind", "public")["seq"] == 1
    assert ann.one("room", "show", "lobby")["title"] == "Lobby"
    bob.one("room", "join", "lobby")
    seq = ann.one("message", "send", "lobby", "hello", "--data", '{"n":1}', "--key", "k1")["seq"]
    assert ann.one("message", "send", "lobby", "hello", "--data", '{"n":1}', "--key", "k1")["duplicate"] is True
    assert bob.one("message", "send", "lobby", "-", "--reply-to", str(seq), input="two\nlines\n")["seq"] == seq + 1
    assert [e["text"] for e in ann("message", "thread", "lobby", str(seq))] == ["two\nlines"]
    assert bob.one("message", "to", "ann", "psst")["room"] == "@ann+bob"
    assert ann.one("message", "edit", "lobby", str(seq), "hello all", "--base", "0")["seq"] == seq + 2
    bob.one("message", "react", "lobby", str(seq), "\U0001f44d")
    assert ann.one("message", "show", "lobby", str(seq))["reactions"] == {"\U0001f44d": {"count": 1}}
    bob.one("message", "unreact", "lobby", str(seq), "\U0001f44d")
    ann.one("message", "pin", "lobby", str(seq))
    assert [e["text"] for e in bob("message", "pins", "lobby")] == ["hello all"]
    ann.one("message", "unpin", "lobby", str(seq))
    kept = ann.one("message", "send", "lobby", "soon", "--at", "+1d", "--key", "k2")
    assert abs(kept["at"] - now_ms() - 86_400_000) < 600_000
    assert [s["key"] for s in ann("message", "scheduled", "lobby")] == ["k2"]
    assert ann.one("message", "cancel", "lobby", "k2") == {}
    assert ann.one("message", "send", "lobby", "look!", "--ephemeral") == {}
    ann.one("message", "revoke", "lobby", str(seq))
    assert ann.one("message", "show", "lobby", str(seq))["revoked"] is True

    assert bob.one("room", "read", "lobby", "4", "--private")["seq"] == 4
    assert bob.one("room", "delivered", "lobby", "5")["seq"] == 5
    assert bob.one("room", "typing", "lobby", "on") == {}
    assert {r["room"]: r["unread"] for r in bob("room", "list")} == {"lobby": 0, "@ann+bob": 1}
    ann.one("room", "set", "lobby", "--title", "The lobby", "--slow-ms", "0", "--history-events", "500", "--history-days", "9")
    ann.one("room", "topic", "lobby", "Cats")
    assert ann.one("room", "show", "lobby")["topic"] == "Cats"
    ann.one("room", "topic", "lobby", "")
    assert ann.one("room", "show", "lobby")["topic"] == ""

    ann.one("member", "invite", "lobby", "eve", "--reason", "knows about cats")
    ann.one("member", "role", "lobby", "eve", "moderator")
    assert {m["user"]: m["role"] for m in bob("member", "list", "lobby")} == {"ann": "owner", "bob": "member", "eve": "moderator"}
    eve.one("member", "mute", "lobby", "bob", "--until", "+2h", "--reason", "too loud")
    assert bob("message", "send", "lobby", "but", code=1)["code"] == "muted"
    assert [m["user"] for m in eve("member", "mutes", "lobby")] == ["bob"]
    eve.one("member", "unmute", "lobby", "bob")
    eve.one("member", "kick", "lobby", "bob", "--reason", "enough & more")
    eve.one("member", "ban", "lobby", "bob", "--until", "2100-01-01")
    assert eve.one("member", "bans", "lobby")["banned_until"] == 4_102_444_800_000
    assert bob("room", "join", "lobby", code=1)["code"] == "banned"
    eve.one("member", "unban", "lobby", "bob")
    eve.one("room", "leave", "lobby")

    ann.one("profile", "set", "--name", "Ann", "--avatar", "ann.png", "--fields", '{"x":1}')
    assert ann.one("profile", "me")["name"] == "Ann"
    assert bob.one("profile", "show", "ann")["fields"] == {"x": 1}
    assert ann.one("presence", "set", "--status", "dnd", "--note", "in a meeting")["status"] == "dnd"
    assert ann.one("presence", "me")["note"] == "in a meeting"
    assert bob.one("presence", "show", "ann") == {"user": "ann", "status": "offline"}  # is nowhere connected
    ann("user", "block", "bob")
    assert [b["user"] for b in ann("user", "blocks")] == ["bob"]
    assert bob("message", "to", "ann", "hi", code=1)["code"] == "forbidden"
    ann("user", "unblock", "bob")
    assert ann("user", "erasure", "bob", code=1)["code"] == "forbidden"
    assert ann("webhook", "list", code=1)["code"] == "forbidden"
    assert ann("webhook", "replay", "audit", "lobby", "--seq", "1", code=1)["code"] == "forbidden"
    (ann.folder / "cat.txt").write_bytes(bytes(range(256)) * 10_000)
    file = ann.one("attachment", "upload", "lobby", "cat.txt", "--type", "text/plain")
    assert file["complete"] and ann.one("attachment", "show", "lobby", file["id"])["name"] == "cat.txt"
    assert ann("message", "send", "lobby", "a cat", "--attach", file["id"])
    ann.run("attachment", "download", "lobby", file["id"], "--output", "copy.txt")
    assert (ann.folder / "copy.txt").read_bytes() == (ann.folder / "cat.txt").read_bytes()
    assert ann("attachment", "delete", "lobby", file["id"], code=1)["code"] == "conflict"
    assert ann("attachment", "upload", "lobby", "not-there", code=2)["code"] == "usage"
    assert ann("session", "list") == []
    assert ann("session", "list", "--everybody", code=1)["code"] == "forbidden"
    assert ann("session", "end", "nobodys", code=1)["code"] == "not_found"
    whole = ann("message", "history", "lobby", "--all")
    assert [e["seq"] for e in whole] == list(range(1, len(whole) + 1))
    assert ann.one("room", "delete", "lobby")["seq"] == len(whole) + 1
    assert ann("room", "show", "lobby", code=1) == {"code": "not_found", "message": "room: no such room", "retryable": False}

    # For people the same is said in tables and lines.
    ann.one("room", "create", "hall")
    assert "done" in ann.shows("message", "send", "hall", "look!", "--ephemeral")
    assert re.search(r"^seq +2$", ann.shows("message", "send", "hall", input="from a pipe\n"), re.M)
    assert "[hall 2] ann: from a pipe" in ann.shows("message", "history", "hall")
    assert re.search(r"^user +role +online", ann.shows("member", "list", "hall"), re.M)
    assert re.search(r"^hall +public +owner", ann.shows("room", "list"), re.M)
    assert {c["command"] for c in ann("commands")} <= USED


def test_everything_that_rest_can_do_has_a_command(tmp_path):
    listed = greenroom("commands", "--json", cwd=tmp_path).stdout.splitlines()
    routes = {(c["method"], re.sub(r"{\w+}", "*", c["path"])) for c in map(json.loads, listed)}
    documented = {(m.upper(), re.sub(r"{\w+}", "*", path.removeprefix("/api/v1"))): o["operationId"]
                  for path, item in REST.root["paths"].items() for m, o in item.items()}
    assert not {name for route, name in documented.items() if route not in routes} ^ set(BY_OTHERS)
    assert not {route for route in routes if route not in documented}
    help = greenroom("--help", cwd=tmp_path).stdout
    for name in BY_OTHERS.values():
        assert name.split()[0] in help or name.startswith("any"), name
    for command in map(json.loads, listed):
        shown = greenroom(*command["command"].split(), "--help", cwd=tmp_path)
        assert shown.returncode == 0 and command["help"] in shown.stdout and "--json" in shown.stdout, shown


def test_pages_are_followed_as_far_as_wanted(make_server, people):
    ann, = people(quick(make_server, limits__calls_per_s_user=1000, limits__calls_burst_user=5000), "ann")
    ann.one("room", "create", "lobby")
    lines = "\n".join(json.dumps({"op": "send", "room": "lobby", "key": f"k{i}", "text": f"line {i}"}) for i in range(250))
    assert [set(a) for a in ann("batch", input=lines)] == [{"ok"}] * 250
    def seqs(*where):
        return [e["seq"] for e in ann("message", "history", "lobby", *where)]

    assert seqs() == list(range(202, 252)) and ann.left == [{"before": 202}]
    assert seqs("--limit", "230") == list(range(22, 252)) and ann.left == [{"before": 22}]
    assert seqs("--all") == list(range(1, 252)) and ann.left == []
    assert seqs("--before", "20", "--all") == list(range(1, 20))
    assert seqs("--before", "20", "--limit", "5") == list(range(15, 20))
    assert seqs("--after", "100", "--limit", "7") == list(range(101, 108))
    assert seqs("--after", "240", "--all") == list(range(241, 252))
    assert seqs("--around", "100", "--limit", "4") == [98, 99, 100, 101]
    assert seqs("--at", "2020-01-01", "--limit", "3") == [1, 2, 3]
    assert seqs("--at", "+1h") == []
    for name in ("a", "b", "c", "d"):
        ann.one("room", "create", f"other-{name}")
        ann.one("member", "invite", "lobby", f"u-{name}")
    found = ann("room", "list", "--limit", "3")
    assert len(found) == 3 and len(ann.left) == 1
    rest = ann("room", "list", "--all", "--after", ann.left[0]["next"])
    assert sorted(r["room"] for r in found + rest) == ["lobby", *(f"other-{n}" for n in "abcd")]
    assert [m["user"] for m in ann("member", "list", "lobby", "--limit", "2")] == ["ann", "u-a"] and ann.left == [{"next": "u-a"}]
    assert "there is more: --all, or --after 'u-a'" in ann.run("member", "list", "lobby", "--limit", "2").stderr
    for seq in (5, 9, 7):
        ann.one("message", "pin", "lobby", str(seq))
    assert [e["seq"] for e in ann("message", "pins", "lobby", "--limit", "2")] == [5, 7] and ann.left == [{"next": "7"}]
    for n in range(3):
        ann.one("message", "send", "lobby", f"later {n}", "--at", f"+{n + 1}h", "--key", f"later-{n}")
    assert [s["key"] for s in ann("message", "scheduled", "lobby", "--limit", "2")] == ["later-0", "later-1"]
    assert [s["key"] for s in ann("message", "scheduled", "lobby", "--after", ann.left[0]["next"])] == ["later-2"]


def test_many_operations_in_one_request(make_server, people):
    ann, = people(quick(make_server), "ann")
    operations = [{"op": "create", "room": "lobby"}, {"op": "send", "room": "lobby", "key": "k", "text": "x", "id": 7}, {"op": "dance"},
                  {"op": "history", "room": "lobby"}]
    lines = "\n".join(map(json.dumps, operations))
    done = ann.run("batch", input=lines)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1 and [set(a) for a in answers] == [{"ok"}, {"re", "ok"}, {"error"}, {"ok"}]
    assert len(answers[3]["ok"]["events"]) == 2
    stopped = ann.run("batch", "--stop", "--size", "1", input="\n".join(lines.splitlines()[1:]))
    assert stopped.returncode == 1 and [set(json.loads(line)) for line in stopped.stdout.splitlines()] == [{"re", "ok"}, {"error"}]
    (ann.folder / "all.json").write_text(json.dumps(operations[3:]))
    assert [set(a) for a in ann("batch", "all.json")] == [{"ok"}]
    assert "line 2" in ann("batch", code=2, input="{}\nno JSON\n")["message"]
    assert ann("batch", "not-there", code=2)["code"] == "usage"


def test_any_request_can_be_made(make_server, people):
    ann, = people(make_server(), "ann")
    assert json.loads(ann.shows("api", "post", "/rooms", '{"room":"lobby"}'))["room"] == "lobby"
    assert json.loads(ann.shows("api", "POST", "rooms/lobby/messages", "-", "--key", "k", input='{"text":"x"}'))["seq"] == 2
    assert ann.shows("api", "GET", "/readyz") == "ready\n"
    assert json.loads(ann.shows("api", "GET", "/openapi.json"))["openapi"]
    assert ann("api", "GET", "/nothing", code=1)["code"] == "not_found"


# -- who somebody is -----------------------------------------------------------------------------------------------------------
def test_who_logs_in_stays_so_until_logging_out(make_server, people, tmp_path):
    server = make_server()
    ann, = people(server, "ann")
    file = tmp_path / "ann.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    token = json.loads(file.read_text())["token"]
    me = ann.one("whoami")
    assert me["user"] == "ann" and me["renewable"] is True and me["server"] == f"http://127.0.0.1:{server.port}"
    assert token not in json.dumps(me)
    del ann.environment["GREENROOM_CLI_SERVER"]  # it is in the session
    assert ann.one("whoami") == me
    other = f"http://localhost:{server.port}"
    refused = ann("whoami", "--server", other, code=1)
    assert refused["code"] == "unauthenticated" and other in refused["message"]
    assert ann.one("logout") == {}
    assert not file.exists() and server.rest("GET", "/api/v1/users/me", token=token).status == 401
    assert "greenroom login" in ann("whoami", "--server", other, code=1)["message"]
    ann.environment["GREENROOM_CLI_PASSWORD"] = "wrong password"
    assert ann("login", "ann", "--server", other, code=1)["code"] == "unauthenticated"
    assert not file.exists()
    assert ann.one("login", "--guest", "--server", other)["user"].startswith("guest-")
    assert ann.one("login", "--token", server.token("zoe"), "--server", other)["renewable"] is False
    assert ann.one("whoami")["user"] == "zoe"
    assert ann.one("whoami", "--token", server.token("bob"))["user"] == "bob"
    ann.environment["GREENROOM_CLI_TOKEN"] = server.token("carol")
    assert ann.one("whoami", "--server", other)["user"] == "carol"
    assert ann.one("whoami", "--user", "ann", "--password", PASSWORD, "--server", other)["user"] == "ann"
    file.chmod(0o644)
    del ann.environment["GREENROOM_CLI_TOKEN"]
    assert "chmod 600" in ann("whoami", code=1)["message"]
    assert ann.one("logout", "--forget") == {} and not file.exists()


def test_a_session_remembers_whom_to_trust(make_server, tmp_path):
    server = make_server(tls=True)
    ann = Person(server, tmp_path, "ann")
    ann.folder = server.certificate.parent
    url = f"https://localhost:{server.tls_port}"
    assert ann("login", "ann", "--register", "--server", url, code=3)["code"] == "unreachable"
    assert ann.one("login", "ann", "--register", "--server", url, "--ca", server.certificate.name)["server"] == url
    ann.folder = tmp_path / "elsewhere"
    ann.folder.mkdir()
    del ann.environment["GREENROOM_CLI_SERVER"]
    assert ann.one("whoami")["user"] == "ann"
    assert ann.one("whoami", "--server", f"wss://localhost:{server.tls_port}/")["user"] == "ann"


def test_tokens_are_renewed_by_one_of_many_commands_at_the_same_time(make_server, people, tmp_path):
    # So short that each command renews it, and a spent one that is shown again ends the session.
    server = make_server(auth__token_s=60, auth__refresh_grace_s=0)
    ann, = people(server, "ann")
    file = tmp_path / "ann.json"
    first = json.loads(file.read_text())
    failed = []

    def work():
        for _ in range(3):
            done = ann.run("whoami", "--json")
            if done.returncode:
                failed.append(done)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failed, failed
    last = json.loads(file.read_text())
    assert last["session"] == first["session"] and last["refresh_token"] != first["refresh_token"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "refresh_token_reused" not in server.log.read_text()
    # A thief has used it: the session has ended, and is not kept.
    file.write_text(json.dumps(first))
    assert ann("whoami", code=1)["code"] == "unauthenticated"
    assert not file.exists()


def test_exit_codes_say_what_went_wrong(make_server, people, tmp_path):
    server = make_server()
    ann, = people(server, "ann")
    assert ann.run("room", "create", "Not A Room").returncode == 1
    assert ann("room", code=2)["code"] == "usage"
    assert ann("room", "show", code=2)["code"] == "usage"
    assert ann("message", "pin", "lobby", "seven", code=2)["message"] == "SEQ: must be a number"
    assert ann("message", "history", "lobby", "--before", "3", "--after", "4", code=2)["code"] == "usage"
    assert ann("message", "history", "lobby", "--at", "soon", code=2)["code"] == "usage"
    assert ann("login", code=2)["code"] == "usage"
    assert ann.run("room", "show", "--no-such-flag").returncode == 2
    ann.one("room", "create", "lobby")
    server.stop()
    gone = ann("message", "send", "lobby", "hello", "--key", "k1", code=3)
    assert gone["code"] == "unreachable" and gone["retryable"] is True and gone["key"] == "k1"
    said = ann.run("message", "send", "lobby", "hello")
    assert said.returncode == 3 and "is the node running?" in said.stderr and "--key " in said.stderr
    server.start()
    assert ann.one("message", "send", "lobby", "hello", "--key", "k1")["seq"] == 2


def test_who_follows_a_room_misses_nothing(make_server, people):
    server = quick(make_server)
    ann, bob = people(server, "ann", "bob")
    ann.one("room", "create", "lobby")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GREENROOM_")}
    following = subprocess.Popen([str(GREENROOM), "message", "history", "lobby", "--after", "0", "--follow", "--interval", "0.1", "--json"],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=bob.folder, start_new_session=True,
                                 env={**environment, **bob.environment})
    seen, noted = [], []

    def read(pipe, into):
        for line in pipe:
            into.append(json.loads(line))

    readers = [threading.Thread(target=read, args=a) for a in ((following.stdout, seen), (following.stderr, noted))]
    for r in readers:
        r.start()
    try:
        ann.one("message", "send", "lobby", "one")
        until(lambda: len(seen) == 2, "the first")
        server.kill()
        until(lambda: noted, "that the node is gone")
        server.start()
        for text in ("two", "three"):
            ann.one("message", "send", "lobby", text)
        until(lambda: len(seen) == 4, "the rest")
        assert [e["seq"] for e in seen] == [1, 2, 3, 4]
        assert {n["error"]["code"] for n in noted} <= {"unreachable", "unavailable"}
    finally:
        following.kill()
        following.wait(LIMIT_S)
        for r in readers:
            r.join()
