"""A client of the protocol: requests and answers matched by id, events in a queue, positions kept for resuming.

Presence comes when it likes: its events stand apart, so that nobody stumbles over them who does not ask.

Used from one thread; it reads only while it is asked for something. What every correct server must do is checked on each
event: the durable events of a room come with seq = last + 1, after an answer or a `subscribed` event that named the room.
"""

import json
import time
from collections import deque

from .waiting import LIMIT_S
from .websocket import Closed, WebSocket

DURABLE = {"message", "edited", "revoked", "reaction", "member", "topic", "pinned", "unpinned", "room"}


class RequestError(Exception):
    """A request was answered with an error."""

    def __init__(self, error):
        super().__init__(f"{error['code']}: {error.get('message')}")
        self.error = error
        self.code = error["code"]
        self.message = error.get("message", "")


class TooLong(AssertionError):
    """Nothing came within the limit."""


class Client:
    """`positions` maps room -> {epoch, seq} and can be handed to the next Client as `resume`."""

    def __init__(self, port, name="", check_order=True, **how):
        self.name = name
        self.ws = WebSocket(port, **how)
        self.events = deque()
        self.presence = deque()
        self.answers = {}  # re -> answer, those with "re": null under None as a list
        self.frames = 0
        self.positions = {}
        self.check_order = check_order
        self._next_id = 1
        self.user = None
        self._resumes = {}  # request id -> (room, position asked for), settled by the answer

    # -- sending -------------------------------------------------------------------------------------------------------
    def post(self, op, **fields):
        """Sends one request without waiting; returns its id."""
        request = self.prepare(op, **fields)
        self.ws.send_text(json.dumps(request))
        return request["id"]

    def post_all(self, requests):
        """Sends prepared requests as one WebSocket message."""
        self.ws.send_text("\n".join(json.dumps(r) for r in requests))

    def prepare(self, op, **fields):
        request = {"op": op, "id": self._next_id, **fields}
        self._next_id += 1
        if op in ("join", "subscribe", "create"):
            self._resumes[request["id"]] = (fields.get("room"), fields.get("resume"))
        elif op == "unsubscribe":
            self._resumes[request["id"]] = (fields.get("room"), op)
        elif op == "hello":
            self._resumes[request["id"]] = (None, fields.get("resume", {}))
        return request

    def request(self, op, **fields):
        """The `ok` of the answer; raises RequestError for an error."""
        return self.answer(self.post(op, **fields))

    def refused(self, op, code, **fields):
        """The error of a request that must be refused with `code`."""
        try:
            ok = self.request(op, **fields)
        except RequestError as e:
            assert e.code == code, f"{op} {fields}: wanted {code}, got {e}"
            assert e.message, "an error without a message"
            assert e.error.get("retryable", False) == (code in ("rate_limited", "unavailable")), e.error
            return e.error
        raise AssertionError(f"{op} {fields}: wanted {code}, was answered {ok}")

    # -- receiving -----------------------------------------------------------------------------------------------------
    def answer(self, re, limit_s=LIMIT_S):
        deadline = time.monotonic() + limit_s
        while re not in self.answers:
            self._pump(deadline, f"the answer to request {re}")
        frame = self.answers.pop(re)
        if "error" in frame:
            raise RequestError(frame["error"])
        return frame["ok"]

    def null_error(self, limit_s=LIMIT_S):
        """The next error with "re": null."""
        deadline = time.monotonic() + limit_s
        while not self.answers.get(None):
            self._pump(deadline, "an answer with re null")
        return self.answers[None].pop(0)["error"]

    def event(self, kind=None, limit_s=LIMIT_S, **fields):
        """The next event of that kind with these fields; those of the same room before it are dropped."""
        deadline = time.monotonic() + limit_s
        while True:
            if kind == "presence":
                while self.presence:
                    e = self.presence.popleft()
                    if all(e.get(k) == v for k, v in fields.items()):
                        return e
            for e in self.events:
                if (kind is None or e["ev"] == kind) and all(e.get(k) == v for k, v in fields.items()):
                    self._drop_up_to(e)
                    return e
            self._pump(deadline, f"event {kind} {fields}")

    def _drop_up_to(self, last):
        kept = deque()
        while (e := self.events.popleft()) is not last:
            if e.get("room") != last.get("room"):
                kept.append(e)
        self.events.extendleft(reversed(kept))

    def messages(self, n, room, limit_s=LIMIT_S):
        """The next n messages of a room."""
        return [self.event("message", limit_s, room=room) for _ in range(n)]

    def settle(self):
        """Everything the server sent before it answered a ping that was sent now has been read."""
        self.request("ping")
        return self

    def has_event(self, kind, **fields):
        """Whether such an event waits already."""
        return any(e["ev"] == kind and all(e.get(k) == v for k, v in fields.items()) for e in self.events)

    def closed(self, limit_s=LIMIT_S):
        """Reads until the connection ends; returns the close code (None: no close frame)."""
        deadline = time.monotonic() + limit_s
        try:
            while True:
                self._pump(deadline, "the end of the connection")
        except Closed as e:
            return e.code

    def kill(self):
        self.ws.kill()

    def leave(self):
        self.ws.send_close()
        return self.closed()

    def _pump(self, deadline, what):
        left = deadline - time.monotonic()
        try:
            text = self.ws.receive_text(max(left, 0))
        except TimeoutError:
            raise TooLong(f"{self.name or 'client'}: nothing came for too long while waiting for {what}") from None
        for line in text.split("\n"):
            if line:
                self.frames += 1
                self._note(json.loads(line))

    def _note(self, frame):
        if "re" in frame:
            assert ("ok" in frame) != ("error" in frame), frame
            if frame["re"] is None:
                self.answers.setdefault(None, []).append(frame)
                return
            assert frame["re"] not in self.answers, f"a second answer: {frame}"
            self._settle_position(frame)
            self.answers[frame["re"]] = frame
            return
        if frame["ev"] == "subscribed":
            self.positions[frame["room"]] = {"epoch": frame["epoch"], "seq": frame["seq"]}
        elif frame["ev"] in DURABLE:
            self._check(frame)
        (self.presence if frame["ev"] == "presence" else self.events).append(frame)

    def _settle_position(self, frame):
        room, asked = self._resumes.pop(frame["re"], (None, None))
        ok = frame.get("ok")
        if ok is None:
            return
        if asked == "unsubscribe":
            self.positions.pop(room, None)
            return
        if "rooms" in ok and "session" in ok:  # hello
            self.user = ok["user"]
            for r in ok["rooms"]:
                if r["subscribed"]:
                    self.positions[r["room"]] = {"epoch": r["epoch"], "seq": r["seq"]}
            for r, result in ok.get("resumed", {}).items():
                if result.get("recovered"):
                    self.positions[r] = {"epoch": result["epoch"], "seq": asked[r]["seq"]}
        elif room and "epoch" in ok:
            recovered = ok.get("recovered") and asked
            known = self.positions.get(room)
            if recovered or not known or known["epoch"] != ok["epoch"]:
                self.positions[room] = {"epoch": ok["epoch"], "seq": asked["seq"] if recovered else ok["seq"]}
            # Else it joined or subscribed where it already was: the stream goes on from where it is.

    def _check(self, e):
        at = self.positions.get(e["room"])
        if self.check_order:
            assert at, f"{self.name}: an event of a room that nothing has named: {e}"
            assert e["seq"] == at["seq"] + 1, f"{self.name}: after seq {at['seq']} came {e}"
        if at:
            at["seq"] = e["seq"]
        thrown_out = e["ev"] == "member" and e["change"] in ("left", "kicked", "banned") and e["user"] == self.user
        if thrown_out or e["ev"] == "room" and e.get("deleted"):
            self.positions.pop(e["room"], None)  # the last that is heard of it


def connect(port, token, device="test", name="", resume=None, subscribe=None, in_header=False, **how):
    """A Client that has said hello; its answer is in `.hello`."""
    check_order = how.pop("check_order", True)
    headers = list(how.pop("headers", ()))
    if in_header:
        headers.append(("Authorization", f"Bearer {token}"))
    client = Client(port, name=name, check_order=check_order, headers=headers, **how)
    fields = {"device": device}
    if not in_header:
        fields["token"] = token
    if resume is not None:
        fields["resume"] = resume
    if subscribe is not None:
        fields["subscribe"] = subscribe
    client.hello = client.request("hello", **fields)
    return client
