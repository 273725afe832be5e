"""More players, for servers with faults in them: one that reads what was acknowledged before it asked, one that resumes from the
beginning, one that asks for what was done, and one that comes and goes. What they find wrong is in record.broken, or is found
later in what they note there."""

import time
from dataclasses import replace

from .checker import Page, Thread
from .client import DURABLE, RequestError, TooLong
from .kill import DOWN, Player, breaks_silence, is_passing
from .waiting import LIMIT_S


class Reader(Player):
    """Asks, on whichever node, for something that was acknowledged before, or for the message that it changed: a read must show
    it. The pages are kept, to be compared with what the log says in the end."""

    pause_s = 0.2

    def __init__(self, *args, **how):
        super().__init__(*args, **how)
        self.reads = 0

    def play(self):
        client = None
        while not self.finish.is_set() and not self.stops.is_set():
            time.sleep(self.pause_s)  # the pace of this reader, not a wait for something
            acks = [a for a in self.record.acks[-20:] if self._may_read(a.room)]
            if not acks:
                continue
            ack = self.chance.choice(acks)
            about = self.chance.choice([ack.seq, ack.asked.get("target", ack.seq)])
            after = about - 1 - self.chance.randrange(min(about, 10))
            try:
                if client is None or self.chance.random() < 0.2:
                    if client:
                        client.kill()
                    client = self.connect(subscribe="none")
                revoked = frozenset(self.record.revoked)
                page = client.answer(client.post("history", room=ack.room, after=after, limit=20), self.patience_s or LIMIT_S)
                self.reads += 1
                self._look(ack, about, page, revoked)
                if "reply_to" in ack.asked:
                    self._look_into_thread(client, ack, revoked)
                self.record.pages.append(
                    Page(ack.room, self.user, client.hello.get("node"), after, ack.seq, page["as_of"], page["events"]))
            except (*DOWN, TooLong, RequestError) as e:
                if client:
                    client.kill()
                client = None
                if not isinstance(e, DOWN) and not is_passing(e):
                    raise
        if client:
            client.kill()

    def _look_into_thread(self, client, ack, revoked):
        """Whether the reply that was acknowledged is the next one behind those before it."""
        asked = {"room": ack.room, "target": ack.asked["reply_to"], "after": ack.seq - 1, "limit": 5}
        page = client.answer(client.post("thread", **asked), self.patience_s or LIMIT_S)
        if [(e["seq"], e["key"]) for e in page["events"][:1]] != [(ack.seq, ack.key)] or page["as_of"] < ack.seq:
            self.record.broken.append(f"{ack.room}: a stale read: {ack} was acknowledged, then the thread was {page}")
        for e in page["events"]:
            if breaks_silence(e, ack.room, revoked):
                self.record.broken.append(f"{ack.room}: {self.user} read what had been revoked: {e}")
        self.record.threads.append(Thread(ack.room, self.user, client.hello.get("node"), asked["target"], asked["after"], ack.seq,
                                          page["as_of"], page["events"]))

    def _may_read(self, room):
        return not room.startswith("@") or self.user in room[1:].split("+")

    def _look(self, ack, about, page, revoked):
        event = next((e for e in page["events"] if e["seq"] == about), None)
        has_own_event = about == ack.seq and ack.asked.get("op") != "react"
        if not event or has_own_event and event.get("key") != ack.key or page["as_of"] < ack.seq:
            self.record.broken.append(f"{ack.room}: a stale read: {ack} was acknowledged, then {page} was read")
        for e in page["events"]:
            if breaks_silence(e, ack.room, revoked):
                self.record.broken.append(f"{ack.room}: {self.user} read what had been revoked: {e}")


class Latecomer(Player):
    """Resumes a room from seq 0, over and over, up to the head that is named. Each time it is another subscriber to the judge."""

    pause_s = 1.0

    def __init__(self, *args, positions, **how):
        super().__init__(*args, **how)
        self.positions = {r: {**p, "seq": 0} for r, p in positions.items()}
        self.lives = 0

    def play(self):
        while not self.finish.is_set() and not self.stops.is_set():
            self.finish.wait(self.pause_s)  # the pace of this latecomer
            room = self.chance.choice(list(self.positions))
            revoked = frozenset(self.record.revoked)
            known = max((a.seq for a in self.record.acks[-50:] if a.room == room), default=0)
            client = self.connect(resume={room: self.positions[room]}, subscribe=[room])
            result = client.hello["resumed"][room]
            events = []
            try:
                if result.get("error", {}).get("code") != "unavailable":
                    assert result.get("recovered") is True, f"{self.user}: {room} was not recovered: {result}"
                    self._listen(client, result["seq"], events)
                    if result["seq"] < known:
                        self.record.broken.append(f"{room}: a stale resume, {known} was acknowledged, then came {result}")
            except (*DOWN, TooLong):
                pass  # as far as it came
            finally:
                client.kill()
            self._note(room, events, revoked)

    def _listen(self, client, head, events):
        deadline = time.monotonic() + (self.patience_s or LIMIT_S)
        while not events or events[-1]["seq"] < head:
            client._pump(deadline, "the log")
            events += [e for e in client.events if e["ev"] in DURABLE]
            client.events.clear()

    def _note(self, room, events, revoked):
        self.lives += 1
        name = f"{self.user}, time {self.lives}"
        self.record.left.add(name)
        self.record.start[name], self.record.seen[name] = {room: 0}, {room: events}
        for e in events:
            if breaks_silence(e, room, revoked):
                self.record.broken.append(f"{room}: {name} was told what had been revoked: {e}")


class Repeater(Player):
    """Asks once more, as the same user and under the same key, for what was acknowledged, whatever came after: it gets the first
    answer, as a duplicate. With other content it gets a conflict."""

    pause_s = 0.1

    def __init__(self, *args, **how):
        super().__init__(*args, **how)
        self.repeats = 0

    def play(self):
        client = None
        while not self.finish.is_set() and not self.stops.is_set():
            self.finish.wait(self.pause_s)  # the pace of this repeater
            acks = [a for a in self.record.acks[-200:] if a.user == self.user and a.asked]
            if not acks:
                continue
            ack = self.chance.choice(acks)
            is_same = self.chance.random() < 0.7
            try:
                client = client or self.connect(subscribe="none")
                request = ack.asked if is_same else altered(ack.asked)
                self._note(ack, is_same, client.answer(client.post(**request), self.patience_s or LIMIT_S))
            except RequestError as e:
                if is_same and not is_passing(e) or not is_same and e.code not in ("conflict", "unavailable"):
                    how = "the same" if is_same else "other"
                    self.record.broken.append(f"{ack.room}: asked again, with {how} content: {ack}: {e}")
            except (*DOWN, TooLong):
                client.kill() if client else None
                client = None
        if client:
            client.kill()

    def _note(self, ack, is_same, ok):
        self.repeats += 1
        if not is_same or not ok.get("duplicate"):
            self.record.broken.append(f"{ack.room}: no duplicate, or of other content: {ack} was acknowledged, then {ok}")
        answered = {"epoch": ok["epoch"], "seq": ok["seq"], "ts": ok["ts"]}
        self.record.acks.append(replace(ack, **answered))


def altered(asked):
    """Another request under the same key."""
    if asked["op"] == "react":
        return {**asked, "on": not asked["on"]}
    return {**asked, "target": asked["target"] + 1} if asked["op"] == "revoke" else {**asked, "text": asked["text"] + "!"}


class Guest(Player):
    """Joins and leaves a room, over and over; once that is acknowledged, whoever looks at the members must see it."""

    pause_s = 0.5

    def __init__(self, *args, room, **how):
        super().__init__(*args, **how)
        self.room = room
        self.visits = 0

    def play(self):
        while not self.finish.is_set() and not self.stops.is_set():
            for op, is_member in (("join", True), ("leave", False)):
                self._until_done(op)
                seen = self._until_done("members")["members"]
                if any(m["user"] == self.user for m in seen) != is_member:
                    self.record.broken.append(f"{self.room}: {self.user}: {op} was acknowledged, then the members were {seen}")
                time.sleep(self.pause_s)  # the pace of this guest, not a wait for something
            self.visits += 1

    def _until_done(self, op):
        """On a connection of its own each time, so on whichever node."""
        while True:
            client = self.connect(subscribe="none")
            try:
                return client.answer(client.post(op, room=self.room), self.patience_s)
            except (*DOWN, TooLong, RequestError) as e:
                if op == "leave" and isinstance(e, RequestError) and e.code == "not_member":
                    return None  # an attempt whose answer was lost did it
                if not isinstance(e, DOWN) and not is_passing(e):
                    raise
                if self.stops.is_set():
                    raise
            finally:
                client.kill()
