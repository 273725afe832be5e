"""The programs as people and scripts use them: `greenroom chat` with pipes, tokens, accounts, configuration; flags and
environment of `greenroomd`."""

import os
import re
import signal
import subprocess

import pytest
from support.command_line import Chat, greenroom
from support.server import GREENROOM, GREENROOMD, certificate
from support.waiting import LIMIT_S, until

PASSWORD = "correct horse battery staple"


@pytest.fixture(autouse=True)
def built():
    if not GREENROOM.exists():
        pytest.fail(f"{GREENROOM} is not there: build it, or set GREENROOM_BIN to the build directory")


@pytest.fixture
def chat():
    """chat(cwd, *arguments): a Chat that is gone after the test."""
    chats = []

    def start(cwd, *arguments):
        chats.append(Chat(cwd, *arguments))
        return chats[-1]

    yield start
    for c in chats:
        c.kill()


def token_of(server, user):
    made = greenroom("token", "--config", server.config, "--user", user, cwd=server.directory)
    assert made.returncode == 0, made
    return made.stdout.strip()


def test_version_and_help(tmp_path):
    assert re.match(r"greenroom \d+\.\d+\.\d+", greenroom("version", cwd=tmp_path).stdout)
    for word in ("chat", "token", "user", "config", "version"):
        assert word in greenroom("--help", cwd=tmp_path).stdout
    assert greenroom("dance", cwd=tmp_path).returncode == 2
    assert greenroom("chat", "--no-such-flag", cwd=tmp_path).returncode == 2
    for program, option in ((GREENROOMD, "--version"), (GREENROOMD, "--help")):
        done = subprocess.run([str(program), option], capture_output=True, text=True, timeout=LIMIT_S, cwd=tmp_path)
        assert done.returncode == 0 and "greenroom" in done.stdout


def test_two_people_talk_through_pipes(make_server, chat):
    server = make_server()
    url = f"ws://127.0.0.1:{server.port}"
    alice = chat(server.directory, "--url", url, "--token", token_of(server, "alice"), "--room", "lobby")
    alice.notices_that("connected as alice")
    alice.type("hello, is anybody there?")
    alice.sees("alice: hello, is anybody there?")
    bob = chat(server.directory, "--url", url, "--token", token_of(server, "bob"), "--room", "lobby")
    bob.sees("alice: hello, is anybody there?")
    bob.type("I am")
    alice.sees("bob: I am")
    alice.type("/who")
    alice.sees("bob (member, online)")
    alice.type("/to bob psst")
    bob.sees("alice: psst")
    assert (alice.end(), bob.end()) == (0, 0)


def test_a_chat_goes_on_when_the_server_is_killed(make_server, chat):
    server = make_server()
    url = f"ws://127.0.0.1:{server.port}"
    alice = chat(server.directory, "--url", url, "--token", token_of(server, "alice"), "--room", "lobby")
    bob = chat(server.directory, "--url", url, "--token", token_of(server, "bob"), "--room", "lobby")
    alice.type("before")
    bob.sees("alice: before")
    server.kill()
    alice.type("in mid-sentence")
    alice.notices_that("connection lost")
    server.start()
    bob.sees("alice: in mid-sentence")
    bob.type("still here")
    alice.sees("bob: still here")
    assert (alice.end(), bob.end()) == (0, 0)
    for c in (alice, bob):
        assert not any("mistake of the server" in n for n in c.notices), c.notices
        assert sum("in mid-sentence" in line for line in c.said) == 1
    texts = [e["text"] for e in server.history(server.token("alice"), "lobby")[0] if e["ev"] == "message"]
    assert texts == ["before", "in mid-sentence", "still here"]


def test_a_whole_file_is_piped_in(make_server, chat):
    server = make_server(limits__sends_per_s=200, limits__sends_burst=200)
    url = f"ws://127.0.0.1:{server.port}"
    lines = [f"line {i}" for i in range(300)]
    done = greenroom("chat", "--url", url, "--token", token_of(server, "alice"), "--room", "lobby", cwd=server.directory,
                     input="\n".join(lines) + "\n")
    assert done.returncode == 0, done.stderr
    texts = [e["text"] for e in server.history(server.token("alice"), "lobby")[0] if e["ev"] == "message"]
    assert texts == lines


def test_chat_over_tls(make_server, chat):
    server = make_server(tls=True)
    url = f"wss://localhost:{server.tls_port}"
    alice = chat(server.directory, "--url", url, "--ca", server.certificate, "--token", token_of(server, "alice"))
    alice.type("safe and sound")
    alice.sees("alice: safe and sound")
    assert alice.end() == 0
    untrusted = greenroom("chat", "--url", url, "--token", token_of(server, "alice"), cwd=server.directory, input="x\n")
    assert untrusted.returncode == 1 and "certificate" in untrusted.stderr and "--ca FILE" in untrusted.stderr
    other, _ = certificate(server.directory, "other")
    wrong = greenroom("chat", "--url", url, "--ca", other, "--token", "x", cwd=server.directory, input="x\n")
    assert wrong.returncode == 1 and str(other) in wrong.stderr and "--ca FILE" not in wrong.stderr
    # Of the node that is configured here, TLS is taken when it is asked for.
    here = greenroom("chat", "--config", server.config, "--ca", server.certificate, "--token", token_of(server, "bob"),
                     cwd=server.directory, input="x\n")
    assert here.returncode == 0, here


def test_a_url_whose_scheme_does_not_fit_is_said(make_server):
    server = make_server(tls=True)
    plain, tls = f"127.0.0.1:{server.port}", f"localhost:{server.tls_port}"
    for url, options, words in [(f"wss://{plain}", ["--insecure"], "use ws:// or http://"),
                                (f"ws://{tls}", [], "use wss:// or https://"),
                                (f"ws://{plain}", ["--ca", server.certificate], "--ca: ws://"),
                                (f"http://{plain}", ["--insecure"], "--insecure: http://")]:
        for command in (["chat", "--token", "x"], ["user", "login", "alice", "--password", "x"]):
            done = greenroom(*command, "--url", url, *options, cwd=server.directory, input="x\n")
            assert done.returncode == 1 and words in done.stderr, (url, command, done)


def test_accounts_from_the_command_line(make_server, chat):
    server = make_server()
    url = f"http://127.0.0.1:{server.port}"
    made = greenroom("user", "register", "alice", "--password", PASSWORD, "--url", url, cwd=server.directory)
    assert made.returncode == 0 and "registered alice" in made.stdout, made
    again = greenroom("user", "register", "alice", "--password", PASSWORD, "--url", url, cwd=server.directory)
    assert again.returncode == 1 and again.stderr
    wrong = greenroom("chat", "--user", "alice", "--password", "wrong password", "--url", url, cwd=server.directory, input="")
    assert wrong.returncode == 1
    alice = chat(server.directory, "--user", "alice", "--password", PASSWORD, "--url", url, "--room", "lobby")
    alice.notices_that("connected as alice")
    listed = greenroom("user", "sessions", "--user", "alice", "--password", PASSWORD, "--url", url, cwd=server.directory)
    assert listed.returncode == 0 and "1 live" in listed.stdout, listed
    assert alice.end() == 0
    guest = chat(server.directory, "--guest", "--url", url, "--room", "lobby")
    guest.notices_that("connected as guest")
    assert guest.end() == 0


def test_a_wrong_token_and_a_server_that_is_not_there(make_server, tmp_path):
    server = make_server()
    done = greenroom("chat", "--url", f"ws://127.0.0.1:{server.port}", "--token", "nonsense", cwd=tmp_path, input="x\n")
    assert done.returncode == 1 and done.stderr
    server.stop()
    done = greenroom("chat", "--url", f"ws://127.0.0.1:{server.port}", "--token", "x", cwd=tmp_path, input="x\n")
    assert done.returncode == 1 and "cannot reach" in done.stderr and "is the node running?" in done.stderr


def test_who_says_nothing_of_themselves_is_told_how(tmp_path):
    done = greenroom("chat", cwd=tmp_path, input="")
    assert done.returncode == 1 and "--user, --token or --guest" in done.stderr
    done = greenroom("user", "sessions", cwd=tmp_path)
    assert done.returncode == 1 and "--user or --token" in done.stderr
    done = greenroom("chat", "--token", "x", "--room", "Not A Room", cwd=tmp_path, input="")
    assert done.returncode == 1 and "--room: a room id is" in done.stderr


def test_a_token_that_ends_soon_is_said_with_the_way_out(make_server, chat):
    server = make_server()
    short = greenroom("token", "--config", server.config, "--user", "alice", "--ttl", "30", cwd=server.directory)
    alice = chat(server.directory, "--url", f"ws://127.0.0.1:{server.port}", "--token", short.stdout.strip())
    alice.notices_that("the token expires soon")
    alice.notices_that("--ttl SECONDS")
    alice.notices_that("--user NAME")
    assert alice.end() == 0
    old = greenroom("chat", "--url", f"ws://127.0.0.1:{server.port}", "--token", server.token("alice", -3600),
                    cwd=server.directory, input="x\n")
    assert old.returncode == 1 and "--ttl SECONDS" in old.stderr, old


def test_a_join_that_is_refused_leaves_the_person_in_the_room(make_server, chat):
    server = make_server()
    owner = server.sign_in("owner")
    owner.request("create", room="closed", kind="private")
    alice = chat(server.directory, "--url", f"ws://127.0.0.1:{server.port}", "--token", token_of(server, "alice"),
                 "--room", "lobby")
    for line in ("/join", "/join Not A Room", "/join closed", "not for the lobby"):
        alice.type(line)
    alice.notices_that("/join ROOM")
    alice.notices_that("/join: a room id is")
    alice.notices_that("still in lobby")
    alice.type("for the lobby")
    alice.sees("[lobby 2] alice: for the lobby")
    alice.type("/join hall")
    alice.type("for the hall")
    alice.sees("[hall 2] alice: for the hall")
    assert alice.process.poll() is None
    alice.end()
    assert not any("not for the lobby" in line for line in alice.said)


def test_what_was_shown_is_read_the_next_time(make_server, chat):
    server = make_server()
    url = f"ws://127.0.0.1:{server.port}"
    done = greenroom("chat", "--url", url, "--token", token_of(server, "alice"), "--room", "lobby", cwd=server.directory,
                     input="one\ntwo\n/rooms\n")
    assert done.returncode == 0 and "lobby: 0 unread" in done.stdout, done
    bob = server.sign_in("bob")
    bob.request("join", room="lobby")
    bob.request("send", room="lobby", key="k", text="three")
    alice = chat(server.directory, "--url", url, "--token", token_of(server, "alice"), "--room", "elsewhere")
    alice.notices_that("connected as alice")
    alice.type("/rooms")
    alice.sees("lobby: 1 unread of 5")  # what bob said; that he came is no message
    alice.type("/join lobby")
    alice.sees("bob: three")
    alice.type("/rooms")
    alice.sees("lobby: 0 unread of 5")

    def told():
        rooms = server.sign_in("alice").request("rooms")["rooms"]
        return {r["room"]: r["unread"] for r in rooms} == {"lobby": 0, "elsewhere": 0}

    until(told, "the server knows what was read")
    assert alice.end() == 0


def test_who_leaves_while_the_server_is_away_is_told_what_is_lost(make_server, chat):
    server = make_server()
    alice = chat(server.directory, "--url", f"ws://127.0.0.1:{server.port}", "--token", token_of(server, "alice"),
                 "--room", "lobby")
    alice.type("before")
    alice.sees("alice: before")
    server.kill()
    alice.notices_that("connection lost")
    for line in ("/join hall", "one", "two", "/quit", "/quit"):
        alice.type(line)
    assert alice.end() == 1
    alice.notices_that("hall is entered when the server is back")
    alice.notices_that("2 lines wait for the server")
    alice.notices_that("2 lines were not sent")


def test_a_token_is_not_made_where_no_node_has_run(tmp_path):
    for here in ("nothing", "with data"):
        folder = tmp_path / here
        folder.mkdir()
        if here == "with data":
            (folder / "data").mkdir()
        before = sorted(folder.rglob("*"))
        done = greenroom("token", "--user", "alice", cwd=folder)
        assert done.returncode == 1 and not done.stdout
        for words in ("data/token.secret", "--config", "--node.data_dir"):
            assert words in done.stderr
        assert sorted(folder.rglob("*")) == before


def test_a_token_is_good_for_the_node_whose_secret_it_was_made_with(make_server):
    server = make_server()
    token = token_of(server, "carol")
    carol = server.sign_in("carol", token=token)
    assert carol.hello["user"] == "carol"
    admin = greenroom("token", "--config", server.config, "--user", "root", "--admin", "--ttl", "60", cwd=server.directory)
    listed = server.rest("GET", "/api/v1/sessions?all=true", token=admin.stdout.strip())
    assert listed.status == 200 and [s["user"] for s in listed.json["sessions"]] == ["carol"]
    refused = server.rest("GET", "/api/v1/sessions?all=true", token=token)
    assert refused.status == 403
    carol.leave()
    bad = greenroom("token", "--config", server.config, "--user", "Not A Name", cwd=server.directory)
    assert bad.returncode == 1 and "--user" in bad.stderr


def test_config_check_names_line_and_key_of_each_mistake(tmp_path):
    good = tmp_path / "good.toml"
    default = greenroom("config", "default", cwd=tmp_path)
    assert default.returncode == 0
    good.write_text(default.stdout)
    assert greenroom("config", "check", good, cwd=tmp_path).returncode == 0
    bad = tmp_path / "bad.toml"
    bad.write_text('[listen]\nport = 99999\nprot = 8080\n\n[limits]\nping_ms = "often"\n\n[limts]\nx = 1\n')
    done = greenroom("config", "check", bad, cwd=tmp_path)
    assert done.returncode == 1
    for words in [("bad.toml:2", "listen.port"), ("bad.toml:3", "port"), ("bad.toml:6", "ping_ms"), ("bad.toml:8", "limits")]:
        assert any(all(w in line for w in words) for line in done.stdout.splitlines()), (words, done.stdout)
    started = subprocess.run([str(GREENROOMD), "--config", str(bad)], capture_output=True, text=True, timeout=LIMIT_S,
                             cwd=tmp_path)
    assert started.returncode not in (0, -signal.SIGSEGV) and "listen.port" in started.stdout + started.stderr
    assert not (tmp_path / "data").exists(), "a node with a bad configuration touched the disk"


def test_config_print_says_where_each_value_comes_from(tmp_path):
    (tmp_path / "greenroom.toml").write_text('[listen]\nport = 1234\n[limits]\nping_ms = 30000\n')
    done = greenroom("config", "print", "--limits.ping_ms=40000", cwd=tmp_path,
                     environment={"GREENROOM_LIMITS_PING_MS": "35000", "GREENROOM_LOG_LEVEL": "debug"})
    assert done.returncode == 0, done
    lines = {line.split("=")[0].strip(): line for line in done.stdout.splitlines() if "=" in line}
    assert "1234" in lines["port"] and "greenroom.toml" in lines["port"]
    assert "40000" in lines["ping_ms"] and "--limits.ping_ms" in lines["ping_ms"]
    assert "debug" in lines["level"] and "GREENROOM_LOG_LEVEL" in lines["level"]
    unknown = greenroom("config", "print", cwd=tmp_path, environment={"GREENROOM_LIMITS_PING": "1"})
    assert unknown.returncode == 1 and "GREENROOM_LIMITS_PING" in unknown.stderr


def test_flags_and_environment_reach_the_node(make_server):
    server = make_server(start=False)
    server.write_config()
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GREENROOM_")}
    environment["GREENROOM_NODE_NAME"] = "from-the-environment"
    with open(server.log, "ab") as log:
        server.process = subprocess.Popen([str(GREENROOMD), "--config", str(server.config), "--limits.text_bytes=77"],
                                          stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                                          cwd=server.directory)
    server.wait_ready()
    hello = server.sign_in("alice").hello
    assert hello["node"] == "from-the-environment" and hello["limits"]["text_bytes"] == 77
