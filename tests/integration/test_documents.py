"""Plays every example of net/PROTOCOL.md and every conversation of tests/samples/ against the real server. And each folder has
a README whose tables name its files, and none that is not there."""

import re
from pathlib import Path

import pytest
from support.conversation import Conversation, Mismatch, blocks_of, compare, settings_of
from support.preparations import Stage
from support.server import ROOT

# The documents show the defaults; only what would make the examples slow or depend on the machine is changed.
DEFAULTS = {"auth.argon2_mem_mb": 8, "auth.argon2_ops": 1, "storage.cache_mb": 16, "log.level": "debug"}

PROTOCOL = ROOT / "net" / "PROTOCOL.md"
SAMPLES = sorted((ROOT / "tests" / "samples").glob("*.md"))


def examples():
    for path in [PROTOCOL, *SAMPLES]:
        heading = ""
        text = path.read_text()
        blocks = {number: (info, lines) for number, info, lines in blocks_of(text)}
        for number, line in enumerate(text.splitlines(), 1):
            if line.startswith("#") and not any(n < number <= n + len(b[1]) for n, b in blocks.items()):
                heading = line.lstrip("# ")
            if number in blocks:
                yield pytest.param(path, number, *blocks[number], id=f"{path.name}:{number} {heading}")


SEEN = set()
PLAYED = set()  # the protocol's examples that held in this run, by line number


@pytest.fixture
def make_stage(make_server, tmp_path):
    """make_stage(**settings and preparations): a started server and what stands around it."""
    stages = []

    def make(**names):
        stages.append(Stage(tmp_path, make_server, DEFAULTS, **names))
        return stages[-1]

    yield make
    for stage in stages:
        stage.server.end()
        stage.end()


@pytest.mark.parametrize("path,number,info,lines", examples())
def test_example(make_stage, path, number, info, lines):
    stage = make_stage(**settings_of(info))
    conversation = Conversation(stage.server, path.relative_to(ROOT), stage)
    conversation.play(lines)
    if path == PROTOCOL:
        SEEN.update(conversation.seen)
        PLAYED.add(number)


def test_the_document_shows_everything():
    """Every op, event, error and close code of this server has an example."""
    if PLAYED != {number for number, _, _ in blocks_of(PROTOCOL.read_text())}:
        pytest.skip("not all examples were played in this run")
    ops = {"hello", "refresh", "ping", "create", "join", "leave", "subscribe", "unsubscribe", "send", "history", "read",
           "typing", "rooms", "members", "edit", "revoke", "react", "invite", "role", "ban", "mute", "kick", "room", "topic",
           "pin", "unpin", "pins", "thread", "delivered", "profile", "scheduled", "cancel", "presence", "watch", "unwatch",
           "signal", "block", "unblock", "blocks"}
    assert ops <= {name for kind, name in SEEN if kind == "op"}
    events = {"message", "edited", "revoked", "reaction", "member", "topic", "pinned", "unpinned", "room", "subscribed", "typing", "read",
              "ephemeral", "expiring", "goaway", "presence", "signal"}
    assert events <= {n for k, n in SEEN if k == "ev"}
    errors = {"bad_request", "unauthenticated", "forbidden", "not_found", "exists", "too_large", "rate_limited", "not_member",
              "conflict", "muted", "banned", "unavailable", "unsupported", "internal"}
    assert errors <= {n for k, n in SEEN if k == "error"}
    closes = {1000, 1001, 1002, 1003, 1007, 1009, 3001, 3008, 3012, 3400, 3429, 3501, 3502, 3503, 3504}
    assert closes <= {n for k, n in SEEN if k == "close"}
    # The tables of the document name what there is; nothing in them may be without an example.
    document = PROTOCOL.read_text().split("\n### Roles\n")
    rest = document[0] + document[1].split("\n### ", 1)[1]  # the table of roles is played by test_permissions.py
    tables = [line.split("|")[1] for line in rest.splitlines() if line.startswith("| ")]
    assert {n for t in tables for n in re.findall(r"`(\w+)`", t)} == errors
    assert {int(n) for t in tables for n in re.findall(r"\b[1-4]\d{3}\b", t)} == closes
    paths = {n for k, n in SEEN if k == "rest"}
    for part in ("auth", "auth/register", "auth/guest", "auth/refresh", "sessions", "chat", "rooms/", "livez", "readyz",
                 "metrics", "attachments"):
        assert any(part in p for p in paths), part


@pytest.mark.parametrize("expected,got", [
    ({"a": 1}, {"a": 2}), ({"a": 1}, {}), ({"a": 1}, {"a": 1, "b": 2}), ([1], [1, 2]), ({"a": True}, {"a": 1}),
    (["$x", "$x"], [1, 2]), ({"a": "1"}, {"a": 1}), ({"a": {"...": "..."}}, {"a": [1]}),
])
def test_the_comparison_can_fail(expected, got):
    with pytest.raises(Mismatch):
        compare(expected, got, {})


def test_the_comparison_can_pass():
    compare({"a": "...", "b": "$x", "c": ["$x", {"...": "...", "d": 1}]}, {"a": 7, "b": 2, "c": [2, {"d": 1, "e": 3}]}, {})


def test_a_conversation_that_does_not_hold_fails(make_server):
    server = make_server(defaults=DEFAULTS)
    lines = list(enumerate(['alice signs in', 'alice> {"op":"ping","id":1}', 'alice< {"re":1,"ok":{"time":1}}'], 1))
    with pytest.raises(AssertionError, match="3: .*time"):
        Conversation(server, Path("here")).play(lines)
    with pytest.raises(AssertionError, match="not written down"):
        Conversation(server, Path("here")).play(lines[:2])


# -- each folder's README ----------------------------------------------------------------------------------------------------
TOP = ("config", "storage", "actors", "net", "scripts", "tests")
UNNAMED = {"README.md", "CMakeLists.txt", "__init__.py"}


def folders():
    for top in TOP:
        yield ROOT / top
        yield from sorted(d for d in (ROOT / top).rglob("*") if d.is_dir() and not d.name.startswith(("_", ".")))


def named_files(readme):
    """What the first cells of its tables of files name. A table of files says "file" at its top left."""
    names, inside = set(), False
    for line in readme.splitlines():
        cells = line.split("|")
        if len(cells) < 3 or cells[0].strip():
            inside = False
        elif cells[1].strip() in ("file", "folder"):
            inside = True
        elif inside:
            names.update(re.findall(r"`([^`]+)`", cells[1]))
    return names


def names_of(path):
    """How a file may be named: in full or without its ending; a .cpp by its header, too."""
    if path.is_dir():
        return {path.name + "/"}
    return {path.name, path.stem} | ({path.stem + ".hpp"} if path.suffix == ".cpp" else set())


def flaws_of_readme(folder):
    readme = folder / "README.md"
    if not readme.exists():
        return [f"{readme.relative_to(ROOT)} is missing"]
    named = named_files(readme.read_text())
    inside = [p for p in folder.iterdir() if p.name not in UNNAMED and not p.name.startswith(("_", "."))]
    return [f"{readme.relative_to(ROOT)}: no table names {p.name}" for p in inside if not names_of(p) & named] + [
        f"{readme.relative_to(ROOT)}: there is no {name}" for name in named if not any(name in names_of(p) for p in inside)]


@pytest.mark.parametrize("folder", folders(), ids=lambda x: str(x.relative_to(ROOT)))
def test_a_folder_has_a_readme_that_names_its_files(folder):
    assert not flaws_of_readme(folder)


def test_the_look_at_readmes_can_fail(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    assert flaws_of_readme(tmp_path) == ["README.md is missing"]
    (tmp_path / "README.md").write_text("| file | what |\n|---|---|\n| `a.hpp`, `gone` | `b.cpp` |\n\n`c.cpp`, | `d` |\n")
    for name in ("a.hpp", "a.cpp", "b.cpp", "c.cpp"):
        (tmp_path / name).touch()
    (tmp_path / "sub").mkdir()
    assert sorted(flaws_of_readme(tmp_path)) == [
        "README.md: no table names b.cpp", "README.md: no table names c.cpp", "README.md: no table names sub",
        "README.md: there is no gone"]
