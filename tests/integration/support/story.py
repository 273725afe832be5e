"""What the events of a room mean: how each message stands after any of them, for any reader. The server keeps that beside its
log; here it is told from the log alone, by what net/PROTOCOL.md says.

Knows no sockets and judges nothing. A log is what a resume from seq 0 tells: events as they were sent, but for what has been
revoked.
"""

from collections import defaultdict

KINDS = {"send": "message", "edit": "edited", "revoke": "revoked", "react": "reaction"}
CHANGES = {"edited", "revoked", "reaction"}
CONTENT = ("text", "data", "attachments")  # what a revocation takes back
PLACE = ("room", "seq", "ts", "from")  # what the server adds to what was asked


def event_of(asked):
    """What an event shows of the request that made it; `asked` is the request without its id."""
    shown = {k: v for k, v in asked.items() if k not in ("op", "room", "to", "base", "at")}
    return {"ev": KINDS[asked["op"]], **shown}


def shown_by(event):
    """The same of an event."""
    return {k: v for k, v in event.items() if k not in PLACE}


def blank(event):
    return {**{k: v for k, v in event.items() if k not in CONTENT}, "revoked": True}


def whole(event, asked):
    """An event as it was sent. `asked`: (room, user, key) -> request."""
    request = asked.get((event["room"], event["from"], event.get("key")))
    if event.get("revoked") is not True or request is None:
        return event
    return {**{k: event[k] for k in PLACE}, **event_of(request)}


class Message:
    def __init__(self, event):
        self.event = event
        self.changes = []  # in their order

    def edits(self, before):
        return [e for e in self.changes if e["ev"] == "edited" and e["seq"] < before]

    def last_edit(self, before):
        """0: there was none."""
        return max((e["seq"] for e in self.edits(before)), default=0)

    def revocation(self, before):
        return next((e for e in self.changes if e["ev"] == "revoked" and e["seq"] < before), None)

    def reactions_of(self, user, before):
        return [e for e in self.changes if e["ev"] == "reaction" and e["from"] == user and e["seq"] < before]

    def emojis_of(self, user, before):
        held = set()
        for e in self.reactions_of(user, before):
            (held.add if e["on"] else held.discard)(e["emoji"])
        return held

    def reactions(self, reader, before):
        """emoji -> how many, and whether the reader is one of them, as history says it."""
        people = defaultdict(set)
        for e in self.changes:
            if e["ev"] == "reaction" and e["seq"] < before:
                (people[e["emoji"]].add if e["on"] else people[e["emoji"]].discard)(e["from"])
        return {emoji: {"count": len(users), **({"mine": True} if reader in users else {})}
                for emoji, users in people.items() if users}


class Story:
    """`asked` gives the texts back that have been revoked since, to know what was told before."""

    def __init__(self, log, asked):
        self.events = {e["seq"]: whole(e, asked) for e in log}
        self.head = log[-1]["seq"] if log else 0
        self.messages = {s: Message(e) for s, e in self.events.items() if e["ev"] == "message"}
        for e in self.events.values():
            if e["ev"] in CHANGES and e["target"] in self.messages:
                self.messages[e["target"]].changes.append(e)
        self.threads = defaultdict(list)  # seq -> seqs of what replies to it
        for m in self.messages.values():
            if "reply_to" in m.event:
                self.threads[m.event["reply_to"]].append(m.event["seq"])

    def replies(self, seq, as_of):
        return [s for s in self.threads.get(seq, ()) if s <= as_of]

    def told(self, seq, reader, as_of):
        """The event as history tells it to `reader` when all up to `as_of` is taken account of; None: there is none."""
        event = self._as_it_stands(self.events.get(seq), reader, as_of)
        replies = self.replies(seq, as_of)
        return {**event, "replies": {"count": len(replies), "last": replies[-1]}} if event and replies else event

    def _as_it_stands(self, event, reader, as_of):
        message = event and self.messages.get(event["target"] if event["ev"] == "edited" else event["seq"])
        if message is None:
            return event
        if message.revocation(as_of + 1):
            return blank(event)
        if event["ev"] == "edited":
            return event
        told = dict(event)
        if edits := message.edits(as_of + 1):
            told.update(text=edits[-1]["text"], edited=edits[-1]["seq"], edited_ts=edits[-1]["ts"])
        if reactions := message.reactions(reader, as_of + 1):
            told["reactions"] = reactions
        return told
