"""Plays conversations against a real server and compares what comes back with what is written down.

A conversation is a block of lines. Those that start with white space continue the line before.

    # ...                          a remark
    alice joins lobby              what must be there beforehand (see GIVENS)
    alice> {"op":"ping","id":1}    alice sends one frame; alice>+ {...} adds one to the same WebSocket message
    alice> (binary) (bytes 81 05)  a binary message, raw bytes in hex
    alice< {"re":1,"ok":{...}}     alice gets this frame
    alice< (closed 3501)           the server closes alice's connection with this code
    alice> (leaves)                alice starts the closing handshake with 1000
    alice< HTTP 401 {...}          instead of the upgrade came this answer
    rest> GET /api/v1/sessions     a REST request, with headers `rest>   Name: value` and a body `rest> {...}`, or
                                   `rest> "..."`: text as it is
    rest< 200 {...}                its status and body; `rest<   Name: value` a header

What is done to the server stands in preparations.py, for example `the disk is full`.

In frames "..." stands for any value, "$name" for one that is any at first and then always the same, "$token:alice" for a
token of alice's, "$tomorrow" for a time; `"...":"..."` in an object allows further fields. Everything else must be equal,
and nothing may come that is not written down. Answers and events of one client may come in either order, as the protocol
says; events of one room may not.
"""

import json
import re
import time

from .client import Client
from .preparations import LINES
from .waiting import LIMIT_S, now_ms, until
from .websocket import BINARY, Closed, Refused, frame

FENCE = re.compile(r"^```greenroom *(.*)$")


class Mismatch(AssertionError):
    pass


def blocks_of(text):
    """(line number, info string, lines) of each fenced block `greenroom` of a document."""
    found, inside = [], None
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.match(line)
        if inside is None and fence:
            inside = (number, fence.group(1), [])
        elif inside is not None and line.startswith("```"):
            found.append(inside)
            inside = None
        elif inside is not None:
            inside[2].append((number, line))
    assert inside is None, "a block is not closed"
    return found


def settings_of(info):
    """`limits.hello_ms=500 nodes=3` as settings for the server, and what is prepared for it (preparations.PREPARED)."""
    settings = {}
    for word in info.split():
        name, value = word.split("=", 1)
        settings[name.replace(".", "__")] = json.loads(value)
    return settings


def compare(expected, got, names, path=""):
    """Raises Mismatch where `got` is not what is written."""
    if expected == "...":
        return
    if isinstance(expected, str) and expected.startswith("$"):
        if expected in names:
            if names[expected] != got:
                raise Mismatch(f"{path}: {expected} was {names[expected]!r}, now {got!r}")
        else:
            names[expected] = got
        return
    if isinstance(expected, dict) and isinstance(got, dict):
        open_ended = "..." in expected
        wanted = {k: v for k, v in expected.items() if k != "..."}
        missing = [k for k in wanted if k not in got]
        if missing:
            raise Mismatch(f"{path}: missing {missing} in {json.dumps(got, ensure_ascii=False)}")
        undocumented = [k for k in got if k not in wanted]
        if undocumented and not open_ended:
            raise Mismatch(f"{path}: not written down: {undocumented} in {json.dumps(got, ensure_ascii=False)}")
        for k, v in wanted.items():
            compare(v, got[k], names, f"{path}.{k}")
    elif isinstance(expected, list) and isinstance(got, list):
        if len(expected) != len(got):
            raise Mismatch(f"{path}: {len(expected)} entries are written down, {len(got)} came: {json.dumps(got)}")
        for i, (e, g) in enumerate(zip(expected, got)):
            compare(e, g, names, f"{path}[{i}]")
    elif type(expected) is not type(got) or expected != got:
        raise Mismatch(f"{path}: {json.dumps(expected)} is written down, {json.dumps(got, ensure_ascii=False)} came")


def fits(expected, actual, names):
    try:
        compare(expected, actual, dict(names), "event")
    except Mismatch:
        return False
    return True


class Conversation:
    def __init__(self, server, where, stage=None):
        self.server, self.where, self.stage = server, where, stage
        self.clients = {}  # name -> Client or the Refused of its upgrade
        self.unseen = {}  # name -> frames that came and were not matched yet, in order
        self.names = {}
        self.rest_request = None
        self.rest_answer = None
        self.seen = set()  # what was exercised: ops, events, error and close codes

    # -- reading the lines ---------------------------------------------------------------------------------------------
    def play(self, lines):
        joined = []
        for number, line in lines:
            if line[:1].isspace() and joined:
                joined[-1][1] += line.strip()
            elif line.strip() and not line.startswith("#"):
                joined.append([number, line.rstrip()])
        try:
            i = 0
            while i < len(joined):
                number, line = joined[i]
                extra = []
                while i + 1 < len(joined) and (more := re.match(r"\w+>\+ (.*)", joined[i + 1][1])):
                    extra.append(more.group(1))
                    i += 1
                self.number = number
                self.line(line, extra)
                i += 1
            self.flush_rest()
            for name in list(self.clients):
                self.nothing_left(name)
        except (AssertionError, Closed, Refused, OSError) as e:
            raise AssertionError(f"{self.where}:{self.number}: {e or type(e).__name__}") from e
        finally:
            for c in self.clients.values():
                if isinstance(c, Client):
                    c.kill()

    def line(self, line, extra):
        if m := re.match(r"rest> ?(.*)$", line):
            return self.rest_line(m.group(1))
        if self.rest_request is not None and not line.startswith("rest"):
            self.flush_rest()
        if m := re.match(r"rest< ?(.*)$", line):
            return self.rest_check(m.group(1))
        if m := re.match(r"(\w+)> (.*)$", line):
            return self.sends(m.group(1), m.group(2), extra)
        if m := re.match(r"(\w+)< (.*)$", line):
            return self.gets(m.group(1), m.group(2))
        for pattern, given in GIVENS + LINES:
            if m := re.fullmatch(pattern, line):
                return given(self, *m.groups())
        raise Mismatch(f"not understood: {line}")

    def fill(self, value):
        """Replaces $names by what they stand for, in what is sent."""
        if isinstance(value, dict):
            return {self.fill(k): self.fill(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.fill(v) for v in value]
        if isinstance(value, str) and value.startswith("$"):
            return self.value_of(value)
        return value

    def value_of(self, name):
        if name.startswith("$token:"):
            return self.token(name[len("$token:"):])
        if name == "$tomorrow":
            return self.names.setdefault(name, now_ms() + 86_400_000)
        if name not in self.names:
            raise Mismatch(f"{name} is not known yet")
        return self.names[name]

    def token(self, user, **claims):
        if user not in self.names:
            # One session per user, so that a repeated example shows the same connection.
            self.names[user] = self.server.token(user, sid=f"session-of-{user}")
        return self.names[user]

    # -- clients -------------------------------------------------------------------------------------------------------
    def connect(self, name, *headers, node=None):
        if name in self.clients and isinstance(self.clients[name], Client):
            self.clients[name].kill()
        self.unseen[name] = []
        try:
            client = Client((node or self.server).port, name=name, check_order=False, headers=headers)
        except Refused as e:
            self.clients[name] = e
            return
        client._note = self.unseen[name].append
        self.clients[name] = client

    def sign_in(self, name, subscribe="all"):
        self.connect(name, ("Authorization", f"Bearer {self.token(name)}"))
        self.ask(name, {"op": "hello", "device": f"{name}-1", "subscribe": subscribe})

    def ask(self, name, request):
        """A request outside of the script; returns its ok."""
        client, id_ = self.clients[name], 2**52 + len(self.seen) + len(self.names)
        client.ws.send_text(json.dumps({**request, "id": id_}))
        return self.take(name, lambda f: f.get("re") == id_, f"the answer to {request}")["ok"]

    def take(self, name, matches, what, limit_s=LIMIT_S):
        deadline = time.monotonic() + limit_s
        while True:
            for i, f in enumerate(self.unseen[name]):
                if matches(f):
                    return self.unseen[name].pop(i)
            try:
                self.clients[name]._pump(deadline, what)
            except Closed as e:
                raise Mismatch(f"{name} was closed with {e.code} {e.reason!r} while waiting for {what}; "
                               f"there is {self.unseen[name]}") from None
            except AssertionError as e:
                raise Mismatch(f"{e}; there is {self.unseen[name]}") from None

    def nothing_left(self, name):
        """Nothing came to this client that is not written down."""
        client = self.clients[name]
        if isinstance(client, Client) and client.ws.close_frame is None and client.ws.sock.fileno() >= 0:
            if getattr(client, "greeted", True):
                id_ = 2**53 - 1
                client.ws.send_text(json.dumps({"op": "ping", "id": id_}))
                self.take(name, lambda f: f.get("re") == id_, "the end")
        self.unseen[name] = [f for f in self.unseen[name] if f.get("ev") != "presence"]  # comes when it likes
        if self.unseen[name]:
            raise Mismatch(f"{name} also got, not written down: {json.dumps(self.unseen[name], ensure_ascii=False)}")

    def sends(self, name, what, extra):
        client = self.clients.get(name)
        if client is None:
            raise Mismatch(f"{name} is not connected")
        if what == "(leaves)":
            return client.ws.send_close(1000)
        if what == "(binary)":
            return client.ws.send_bytes(frame(BINARY, b"{}"))
        if m := re.fullmatch(r"\(bytes ([0-9a-f ]+)\)", what):
            return client.ws.send_bytes(bytes.fromhex(m.group(1)))
        if m := re.fullmatch(r"\(text of (\d+) bytes\)", what):
            return client.ws.send_text("x" * int(m.group(1)))
        if m := re.fullmatch(r"\((\d+) times (.*)\)", what):
            return [self.send_frames(client, [m.group(2).replace("$n", str(i + 1))]) for i in range(int(m.group(1)))]
        self.send_frames(client, [what] + extra)

    def send_frames(self, client, frames):
        texts = []
        for text in frames:
            try:
                parsed = json.loads(text)
            except ValueError:
                texts.append(text)  # meant to be wrong
                continue
            if isinstance(parsed, dict):
                self.seen.add(("op", parsed.get("op")))
                text = json.dumps(self.fill(parsed), ensure_ascii=False)
            texts.append(text)
        try:
            client.ws.send_text("\n".join(texts))
        except Closed:
            pass  # what follows says with which code

    def gets(self, name, what):
        client = self.clients[name]
        if m := re.fullmatch(r"\(closed (\d+)\)", what):
            self.seen.add(("close", int(m.group(1))))
            try:
                while True:
                    client._pump(time.monotonic() + LIMIT_S, "the end of the connection")
            except Closed as e:
                if e.code != int(m.group(1)):
                    raise Mismatch(f"{name} was closed with {e.code} {e.reason!r}; before: {self.unseen[name][-3:]}") from None
            return
        if m := re.fullmatch(r"\(closed without a word\)", what):
            return
        if m := re.fullmatch(r"\((\d+) times (.*)\)", what):
            return [self.gets(name, m.group(2).replace('"$n"', str(i + 1)).replace("$n", str(i + 1)))
                    for i in range(int(m.group(1)))]
        if m := re.match(r"HTTP (\d+) (.*)", what):
            if not isinstance(client, Refused):
                raise Mismatch(f"{name} was let in")
            compare(int(m.group(1)), client.status, self.names, "status")
            return compare(json.loads(m.group(2)), json.loads(client.body), self.names, "body")
        expected = json.loads(what)
        if "error" in expected:
            self.seen.add(("error", expected["error"].get("code")))
        if "re" in expected:
            got = self.take(name, lambda f: "re" in f and f["re"] == expected["re"], what)
        else:
            self.seen.add(("ev", expected["ev"]))
            # The first event of the same kind in the same room: whether the room's order was kept shows in the seqs.
            room = expected.get("room")
            room = self.names.get(room, room)
            if expected["ev"] == "presence":  # is merged as it comes: the one that was meant
                same = (lambda f: f.get("ev") == "presence" and fits(expected, f, self.names))
            else:
                same = (lambda f: f.get("ev") == expected["ev"] and f.get("room") == room)
            got = self.take(name, same, what)
        compare(expected, got, self.names, what[:40])
        if "session" in expected.get("ok", {}):
            client.greeted = True

    # -- REST ----------------------------------------------------------------------------------------------------------
    def rest_line(self, text):
        if re.match(r"[A-Z]+ /", text):
            self.flush_rest()
            method, path = text.split(" ", 1)
            self.rest_request = {"method": method, "path": re.sub(r"\$\w+", lambda m: str(self.value_of(m.group(0))), path),
                                 "headers": {}, "body": None}
        elif text.startswith(("{", "[")):
            self.rest_request["body"] = json.dumps(self.fill(json.loads(text))).encode()
        elif text.startswith('"'):
            self.rest_request["body"] = json.loads(text).encode()
            self.rest_request["headers"].setdefault("Content-Type", "text/plain")
        else:
            name, value = text.strip().split(":", 1)
            value = re.sub(r"\$[\w:]+", lambda m: str(self.value_of(m.group(0))), value.strip())
            self.rest_request["headers"][name] = value

    def flush_rest(self):
        if self.rest_request is None:
            return
        r, self.rest_request = self.rest_request, None
        if r["body"]:
            r["headers"].setdefault("Content-Type", "application/json")
        self.seen.add(("rest", f"{r['method']} {r['path']}"))
        self.rest_answer = self.server.rest(r["method"], r["path"], r["body"], headers=r["headers"])

    def rest_check(self, text):
        self.flush_rest()
        answer = self.rest_answer
        if m := re.match(r"(\d+) ?(.*)$", text):
            if answer.status != int(m.group(1)):
                raise Mismatch(f"came: {answer}")
            if m.group(2):
                expected = json.loads(m.group(2))
                if isinstance(expected, str):
                    return compare(expected, answer.body.decode(), self.names, "body")
                if "error" in expected:
                    self.seen.add(("error", expected["error"].get("code")))
                compare(expected, answer.json, self.names, "body")
        else:
            name, value = text.strip().split(":", 1)
            compare(value.strip(), answer.headers.get(name.lower()), self.names, name)


def given_room(conversation, owner, room, kind="public", members=""):
    """A room that is there, with its members; made by the way, on connections of their own."""
    server = conversation.server
    client = server.sign_in(owner, subscribe="none", token=conversation.token(owner))
    made = client.request("create", room=room, kind=kind)
    conversation.names["$epoch"] = made["epoch"]
    client.leave()
    members = list(filter(None, re.split(r", | and ", members or "")))
    for user in members:
        other = server.sign_in(user, subscribe="none", token=conversation.token(user))
        other.request("join", room=room)
        other.leave()
    for user in members[:1]:  # the room learns of departures a little later
        other = server.sign_in(user, subscribe="none", token=conversation.token(user))
        until(lambda: not any(m["online"] and m["user"] != user for m in other.request("members", room=room)["members"]),
              "those who made the room are offline")
        other.leave()


def given_said(conversation, user, count, room):
    client = conversation.server.sign_in(user, subscribe="none", token=conversation.token(user))
    for i in range(1, int(count) + 1):
        client.request("send", room=room, key=f"said-{i}", text=f"message {i}")
    client.leave()


def given_connects(conversation, name, with_token=None):
    headers = []
    if with_token:
        headers = [("Authorization", f"Bearer {conversation.token(name)}")]
    conversation.connect(name, *headers)
    conversation.clients[name].greeted = False


def given_token(conversation, name, word):
    conversation.connect(name, ("Authorization", f"Bearer {word}"))


def given_rude(conversation, name):
    """Connects and does not answer pings."""
    conversation.sign_in(name)
    conversation.clients[name].ws.answer_pings = False


def given_short_token(conversation, name, seconds):
    conversation.names[name] = conversation.server.token(name, int(seconds), sid=f"session-of-{name}")


def given_vanishes(conversation, name):
    conversation.nothing_left(name)
    conversation.clients[name].kill()


def given_stop(conversation):
    conversation.server.process.terminate()


def given_kill(conversation):
    conversation.server.kill()
    conversation.server.start()


def given_user_with(conversation, name, variable):
    conversation.names[name] = conversation.value_of(variable)


GIVENS = [
    (r"given: room (?P<room>\S+) of (\w+)(?: with (.*))?",
     lambda c, room, owner, members: given_room(c, owner, room, "public", members)),
    (r"given: (private|announce) room (\S+) of (\w+)(?: with (.*))?",
     lambda c, kind, room, owner, members: given_room(c, owner, room, kind, members)),
    (r"given: (\w+) said (\d+) messages in (\S+)", given_said),
    (r"given: (\w+) has a token for (\d+) seconds", given_short_token),
    (r"given: (\w+) has the token (\$\w+)", given_user_with),
    (r"(\w+) connects", given_connects),
    (r"(\w+) connects (with a token)", given_connects),
    (r'(\w+) connects with the token "(.*)"', given_token),
    (r"(\w+) signs in", lambda c, name: c.sign_in(name)),
    (r"(\w+) signs in with subscribe none", lambda c, name: c.sign_in(name, "none")),
    (r"(\w+) signs in and answers no pings", given_rude),
    (r"(\w+) vanishes", given_vanishes),
    (r"the server is told to stop", given_stop),
    (r"the server is killed and started again", given_kill),
]
