"""Judges what a run left behind: what was acknowledged, what is in the log, what each subscriber saw. What has become of
messages since they were sent is judged in changes.py.

Knows no sockets. Answers a list of sentences, empty when nothing is wrong; test_checker.py shows that it finds each kind
of mistake.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from .changes import check_changes, check_idle, check_pages, check_refusals, check_resumed, check_silence, check_threads
from .story import Story, blank, event_of, shown_by, whole


@dataclass
class Ack:
    """A request that was answered with ok."""

    room: str
    user: str
    key: str
    text: str
    epoch: str
    seq: int
    ts: int
    asked: dict = field(default_factory=dict)  # the request, without its id; empty: a send of that text

    def event(self):
        """What the log must show at its seq."""
        return event_of(self.asked or {"op": "send", "key": self.key, "text": self.text})


@dataclass
class Kept:
    """A send with a time that was answered before it was made."""

    room: str
    user: str
    key: str
    epoch: str
    at: int


@dataclass
class Refusal:
    """A change that was refused for good, and not sent again; or a send whose time had passed."""

    room: str
    user: str
    key: str
    asked: dict
    code: str


@dataclass
class Page:
    """What history told."""

    room: str
    user: str
    node: str
    after: int
    at_least: int  # a seq that was known before it was asked for
    as_of: int
    events: list
    is_whole: bool = False  # when nothing was said any more, and to the end


@dataclass
class Thread:
    """A page of what replies to a message."""

    room: str
    user: str
    node: str
    target: int
    after: int
    at_least: int
    as_of: int
    events: list
    is_whole: bool = False  # to the end of the thread


@dataclass
class Record:
    """What the clients know at the end of a run."""

    acks: list = field(default_factory=list)
    # answers to sends with a time, as Kept
    kept: list = field(default_factory=list)
    # (room, user, key) of those that were refused because their time had passed
    passed: set = field(default_factory=set)
    # whether clocks of servers jumped, so that the time that an event shows may be another than the one that made it due
    clocks_jump: bool = False
    # (user, room) -> keys in the order in which they were sent; one that was refused stands where it was sent last.
    sent: dict = field(default_factory=dict)
    # (user, room, key) of sends that were, or may have been, refused once and done once, and of those with a time: their place
    # in the order is open
    uncertain: set = field(default_factory=set)
    # what players found wrong while they played, as sentences
    broken: list = field(default_factory=list)
    # subscriber -> room -> durable events in the order of arrival, over all connections
    seen: dict = field(default_factory=dict)
    # subscriber -> room -> the position it started from
    start: dict = field(default_factory=dict)
    # subscribers that did not stay to the end
    left: set = field(default_factory=set)
    # (room, user, key) -> the request, without its id, whatever became of it
    asked: dict = field(default_factory=dict)
    # changes that were refused for good
    refusals: list = field(default_factory=list)
    # room -> seqs of messages that were acknowledged; (room, seq) of those whose revocation was
    said: dict = field(default_factory=lambda: defaultdict(list))
    revoked: set = field(default_factory=set)
    # what history told, as Pages, and threads, as Threads; (who, room, events) of resumes from seq 0 at the end
    pages: list = field(default_factory=list)
    threads: list = field(default_factory=list)
    resumed: list = field(default_factory=list)


def check(record, logs, epochs):
    """`logs`: room -> all events as a resume tells them, oldest first; `epochs`: room -> epoch. Returns what is wrong."""
    problems = list(record.broken)
    stories = {room: Story(log, record.asked) for room, log in logs.items()}
    for room, log in logs.items():
        problems += check_log(room, log)
        problems += check_changes(room, log, stories[room], record.asked)
    problems += check_acks(record, logs, epochs, stories)
    problems += check_scheduled(record, logs, epochs)
    problems += check_order(record, logs)
    for name, rooms in record.seen.items():
        for room, events in rooms.items():
            problems += check_seen(name, room, events, record, logs[room])
    problems += check_refusals(record, stories)
    problems += check_pages(record, stories)
    problems += check_threads(record, stories)
    problems += check_resumed(record, logs)
    problems += check_silence(record, logs, stories)
    return problems


def check_log(room, log):
    problems = []
    for at, event in enumerate(log, 1):
        if event["seq"] != at:
            problems.append(f"{room}: gap: seq {event['seq']} stands where {at} should")
            break
    for a, b in zip(log, log[1:]):
        if b["ts"] < a["ts"]:
            problems.append(f"{room}: time runs backwards at seq {b['seq']}")
    keys = {}
    for event in log:
        if "key" in event:
            first = keys.setdefault((event["from"], event["key"]), event["seq"])
            if first != event["seq"]:
                problems.append(f"{room}: twice: key {event['key']} of {event['from']} at seq {first} and {event['seq']}")
    return problems


def check_acks(record, logs, epochs, stories):
    problems = []
    answered = {}
    by_seq = {room: {e["seq"]: e for e in log} for room, log in logs.items()}
    by_key = {(room, e["from"], e["key"]) for room, log in logs.items() for e in log if "key" in e}
    for a in record.acks:
        first = answered.setdefault((a.room, a.user, a.key), a)
        if (first.seq, first.ts) != (a.seq, a.ts):
            problems.append(f"{a.room}: key {a.key} of {a.user} was answered with seq {first.seq} and with {a.seq}")
        if a.epoch != epochs[a.room]:
            problems.append(f"{a.room}: key {a.key} was answered with epoch {a.epoch}, the room has {epochs[a.room]}")
        event = by_seq[a.room].get(a.seq)
        if event is None:
            problems.append(f"{a.room}: lost: seq {a.seq} (key {a.key} of {a.user}) was acknowledged")
        elif a.asked.get("op") == "react" and (a.room, a.user, a.key) not in by_key:
            problems += check_idle(a, stories[a.room])
        elif (event["from"], event["ts"]) != (a.user, a.ts) or shown_by(event) not in (a.event(), blank(a.event())):
            problems.append(f"{a.room}: seq {a.seq} was acknowledged as {a}, the log has {event}")
    settled = answered.keys() | record.passed | {(k.room, k.user, k.key) for k in record.kept}
    for (user, room), keys in record.sent.items():
        missing = [k for k in keys if (room, user, k) not in settled]
        if missing:
            problems.append(f"{room}: {len(missing)} sends of {user} were never answered, first {missing[0]}")
    return problems


def check_scheduled(record, logs, epochs):
    """What was kept for later is in the log (once, as check_log sees), and nothing is there before its time."""
    problems = []
    made = {(room, e["from"], e["key"]) for room, log in logs.items() for e in log if "key" in e}
    for k in record.kept:
        name = (k.room, k.user, k.key)
        if name not in made:
            problems.append(f"{k.room}: lost: {k} was answered and never sent")
        if k.at != record.asked[name].get("at") or k.epoch != epochs[k.room]:
            problems.append(f"{k.room}: {k} was the answer to {record.asked[name]}, in epoch {epochs[k.room]}")
    for room, log in logs.items() if not record.clocks_jump else ():
        for e in log:
            at = record.asked.get((room, e["from"], e.get("key")), {}).get("at", 0)
            if e["ts"] < at:
                problems.append(f"{room}: early: {e} was to be sent at {at}")
    return problems


def check_order(record, logs):
    """Of sends and changes alike: what one connection asks of one room is done in that order."""
    problems = []
    for room, log in logs.items():
        last = {}
        orders = {user: {k: i for i, k in enumerate(keys)} for (user, r), keys in record.sent.items() if r == room}
        for event in log:
            if "key" not in event or event["from"] not in orders:
                continue
            user = event["from"]
            at = orders[user].get(event["key"])
            if at is None:
                problems.append(f"{room}: seq {event['seq']}: key {event['key']} was never sent by {user}, or refused")
            elif (user, room, event["key"]) in record.uncertain:
                continue
            elif at < last.get(user, -1):
                problems.append(f"{room}: reordered: key {event['key']} of {user} at seq {event['seq']} was sent earlier")
            else:
                last[user] = at
    return problems


def check_seen(name, room, events, record, log):
    """A subscriber that started after seq `start` saw exactly the rest of the log; but for what has been revoked since, which it
    may have seen as it was sent."""
    problems, start = [], record.start[name][room]
    for at, event in enumerate(events, start + 1):
        if event["seq"] != at:
            kind = "repeat or reordering" if event["seq"] < at else "gap"
            return problems + [f"{room}: {name}: {kind}: saw seq {event['seq']} where {at} should follow"]
        if at > len(log):
            return problems + [f"{room}: {name} saw seq {at}, which the log does not have"]
        if event not in (log[at - 1], whole(log[at - 1], record.asked)):
            problems.append(f"{room}: {name} saw {event}, the log has {log[at - 1]}")
    if start + len(events) != len(log) and name not in record.left:
        problems.append(f"{room}: {name} saw up to seq {start + len(events)} of {len(log)}")
    return problems
