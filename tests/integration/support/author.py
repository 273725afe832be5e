"""What a sender asks next: to say something, now or later, in reply or not; to edit or revoke what it said; or to react to what
anybody said."""

from .waiting import now_ms

SHARES = {"send": 40, "reply": 10, "later": 5, "edit": 20, "revoke": 5, "react": 20}
LATER_MS = (100, 4_000)  # how far ahead; a server that is just down then is asked too late, which is a case of its own
LATER_AT_ONCE = 20  # of one user in one room, far below limits.scheduled_per_room
OVERDUE_MS = 10_000  # a shard looks at what is due once in a second, and a node that is down not at all
EMOJIS = ["\N{THUMBS UP SIGN}", "\N{PARTY POPPER}", "no"]
LATEST = 4  # of how many own messages one is changed, so that one is often changed again while a change is on its way
READ_BACK = 30  # of how many messages of anybody one is reacted to; some have been revoked meanwhile


class Author:
    """Remembers what was acknowledged to this user only, as a client does. Used from its player's thread."""

    def __init__(self, user, record, chance):
        self.user, self.record, self.chance = user, record, chance
        self.mine = {}  # room -> seq of an own message -> seqs of its edits, oldest first
        self.later = {}  # room -> times at which something is to be sent, or was a moment ago

    def draw(self, room, target, n):
        """`target`: the room, or the user, to send to."""
        mine, said = self.mine.setdefault(room, {}), self.record.said[room]
        op = self.chance.choices(list(SHARES), list(SHARES.values()))[0]
        key = f"{self.user}-{n}"
        if op == "react" and said:
            return {"op": op, "room": room, "target": self.chance.choice(said[-READ_BACK:]),
                    "emoji": self.chance.choice(EMOJIS), "on": self.chance.random() < 0.65, "key": key}
        if op in ("edit", "revoke") and mine:
            seq = self.chance.choice(list(mine)[-LATEST:])
            words = {"text": f"{self.user} edits {seq} by {n}", **self._base(seq, mine[seq])} if op == "edit" else {}
            return {"op": op, "room": room, "target": seq, "key": key, **words}
        text = f"{self.user} says {n}"
        more = {"data": {"as": [text]}} if self.chance.random() < 0.2 else {}
        if said and (op == "reply" or op == "later" and self.chance.random() < 0.3):
            more["reply_to"] = self.chance.choice(said[-READ_BACK:])
        if op == "later":
            more.update(self._later(room))
        return {"op": "send", **target, "key": key, "text": text, **more}

    def _later(self, room):
        now = now_ms()
        times = self.later[room] = [t for t in self.later.get(room, ()) if t > now - OVERDUE_MS]
        if len(times) >= LATER_AT_ONCE:
            return {}
        times.append(now + self.chance.randrange(*LATER_MS))
        return {"at": times[-1]}

    def _base(self, seq, edits):
        """None in half of all edits; else the last edit that is known, or one that it surely is not, nor ever will be."""
        what = self.chance.choices(["none", "last", "wrong"], [50, 35, 15])[0]
        wrong = [0, seq, *edits[:-1]] if edits else [seq - 1] if seq > 1 else []
        if what == "none" or what == "wrong" and not wrong:
            return {}
        return {"base": self.chance.choice(wrong if what == "wrong" else edits[-1:] or [0, seq])}

    def note(self, room, asked, seq):
        """It was acknowledged."""
        mine = self.mine[room]
        if asked["op"] == "send":
            mine[seq] = []
            self.record.said[room].append(seq)
        elif asked["op"] == "edit" and asked["target"] in mine:
            edits = mine[asked["target"]]
            edits.append(seq)
            edits.sort()  # after a crash, answers come in another order
        elif asked["op"] == "revoke":
            mine.pop(asked["target"], None)
            self.record.revoked.add((room, asked["target"]))
