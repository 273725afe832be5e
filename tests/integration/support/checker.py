"""Judges what a run left behind: what was acknowledged, what is in the log, what each subscriber saw.

Knows no sockets. Answers a list of sentences, empty when nothing is wrong; test_checker.py shows that it finds each kind
of mistake.
"""

from dataclasses import dataclass, field


@dataclass
class Ack:
    """A send that was answered with ok."""

    room: str
    user: str
    key: str
    text: str
    epoch: str
    seq: int
    ts: int


@dataclass
class Record:
    """What the clients know at the end of a run."""

    acks: list = field(default_factory=list)
    # (user, room) -> keys in the order in which they were sent; one that was refused stands where it was sent last.
    sent: dict = field(default_factory=dict)
    # (user, room, key) of sends that were, or may have been, refused once and done once: their place in the order is open
    uncertain: set = field(default_factory=set)
    # what players found wrong while they played, as sentences
    broken: list = field(default_factory=list)
    # subscriber -> room -> durable events in the order of arrival, over all connections
    seen: dict = field(default_factory=dict)
    # subscriber -> room -> the position it started from
    start: dict = field(default_factory=dict)


def check(record, logs, epochs):
    """`logs`: room -> all events, oldest first; `epochs`: room -> epoch. Returns what is wrong."""
    problems = list(record.broken)
    for room, log in logs.items():
        problems += check_log(room, log)
    problems += check_acks(record, logs, epochs)
    problems += check_order(record, logs)
    for name, rooms in record.seen.items():
        for room, events in rooms.items():
            problems += check_seen(name, room, events, record.start[name][room], logs[room])
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
        if event["ev"] == "message":
            first = keys.setdefault((event["from"], event["key"]), event["seq"])
            if first != event["seq"]:
                problems.append(f"{room}: twice: key {event['key']} of {event['from']} at seq {first} and {event['seq']}")
    return problems


def check_acks(record, logs, epochs):
    problems = []
    answered = {}
    by_seq = {room: {e["seq"]: e for e in log} for room, log in logs.items()}
    for a in record.acks:
        first = answered.setdefault((a.room, a.user, a.key), a)
        if (first.seq, first.ts) != (a.seq, a.ts):
            problems.append(f"{a.room}: key {a.key} of {a.user} was answered with seq {first.seq} and with {a.seq}")
        if a.epoch != epochs[a.room]:
            problems.append(f"{a.room}: key {a.key} was answered with epoch {a.epoch}, the room has {epochs[a.room]}")
        event = by_seq[a.room].get(a.seq)
        if event is None:
            problems.append(f"{a.room}: lost: seq {a.seq} (key {a.key} of {a.user}) was acknowledged")
        elif (event.get("key"), event["from"], event.get("text"), event["ts"]) != (a.key, a.user, a.text, a.ts):
            problems.append(f"{a.room}: seq {a.seq} was acknowledged as {a}, the log has {event}")
    for (user, room), keys in record.sent.items():
        missing = [k for k in keys if (room, user, k) not in answered]
        if missing:
            problems.append(f"{room}: {len(missing)} sends of {user} were never answered, first {missing[0]}")
    return problems


def check_order(record, logs):
    problems = []
    for room, log in logs.items():
        last = {}
        orders = {user: {k: i for i, k in enumerate(keys)} for (user, r), keys in record.sent.items() if r == room}
        for event in log:
            if event["ev"] != "message" or event["from"] not in orders:
                continue
            user = event["from"]
            at = orders[user].get(event["key"])
            if at is None:
                problems.append(f"{room}: seq {event['seq']}: key {event['key']} was never sent by {user}")
            elif (user, room, event["key"]) in record.uncertain:
                continue
            elif at < last.get(user, -1):
                problems.append(f"{room}: reordered: key {event['key']} of {user} at seq {event['seq']} was sent earlier")
            else:
                last[user] = at
    return problems


def check_seen(name, room, events, start, log):
    """A subscriber that started after seq `start` saw exactly the rest of the log."""
    problems = []
    for at, event in enumerate(events, start + 1):
        if event["seq"] != at:
            kind = "repeat or reordering" if event["seq"] < at else "gap"
            return problems + [f"{room}: {name}: {kind}: saw seq {event['seq']} where {at} should follow"]
        if at > len(log):
            return problems + [f"{room}: {name} saw seq {at}, which the log does not have"]
        if event != log[at - 1]:
            problems.append(f"{room}: {name} saw {event}, the log has {log[at - 1]}")
    if start + len(events) != len(log):
        problems.append(f"{room}: {name} saw up to seq {start + len(events)} of {len(log)}")
    return problems
