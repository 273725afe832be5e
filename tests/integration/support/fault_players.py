"""More players, for a cluster with faults in it: one that reads what was acknowledged before it asked, and one that comes
and goes. What they find wrong is in record.broken."""

import time

from .client import RequestError, TooLong
from .kill import DOWN, Player, is_passing


class Reader(Player):
    """Asks, on whichever node, for the last send that was acknowledged before: a read must show it."""

    pause_s = 0.2

    def __init__(self, *args, **how):
        super().__init__(*args, **how)
        self.reads = 0

    def play(self):
        client = None
        while not self.finish.is_set() and not self.stops.is_set():
            time.sleep(self.pause_s)  # the pace of this reader, not a wait for something
            acks = [a for a in self.record.acks[-20:] if not a.room.startswith("@")]
            if not acks:
                continue
            ack = self.chance.choice(acks)
            try:
                if client is None or self.chance.random() < 0.2:
                    if client:
                        client.kill()
                    client = self.connect(subscribe="none")
                page = client.answer(client.post("history", room=ack.room, after=ack.seq - 1, limit=1), self.patience_s)
                self.reads += 1
                if not page["events"] or page["events"][0].get("key") != ack.key or page["as_of"] < ack.seq:
                    self.record.broken.append(f"{ack.room}: a stale read: {ack} was acknowledged, then {page} was read")
            except (*DOWN, TooLong, RequestError) as e:
                if client:
                    client.kill()
                client = None
                if not isinstance(e, DOWN) and not is_passing(e):
                    raise
        if client:
            client.kill()


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
