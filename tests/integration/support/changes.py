"""Judges edits, revocations and reactions, and what is told of messages after them. A part of checker.py, which explains Record.

Knows no sockets. Answers lists of sentences; test_checker.py shows that each kind of mistake is found.
"""

from collections import defaultdict

from .story import CHANGES, CONTENT, blank, event_of, shown_by


def check_changes(room, log, story, asked):
    """Each change in the log is what was asked under its key, and was possible where it stands. What was revoked is blank."""
    problems = []
    for e in log:
        request = asked.get((room, e["from"], e.get("key")))
        message = story.messages.get(e["seq"] if e["ev"] == "message" else e.get("target"))
        if e["ev"] in CHANGES:
            if request is None:
                problems.append(f"{room}: never asked: {e}")
            elif reason := impossible(e, request, message):
                problems.append(f"{room}: {reason}: {e}")
        if request is not None:
            wanted = event_of(request)
            if message and message.revocation(story.head + 1) and e["ev"] in ("message", "edited"):
                wanted = blank(wanted)
            if shown_by(e) != wanted:
                problems.append(f"{room}: asked was {wanted}, the log has {e}")
        elif e.get("revoked") is True and not (message and message.revocation(story.head + 1)):
            problems.append(f"{room}: blank without a revocation: {e}")
    return problems


def impossible(e, request, message):
    """Why this change may not stand where it does; None: it may."""
    if message is None or message.event["seq"] >= e["seq"]:
        return "a change of what is no message"
    if message.revocation(e["seq"]):
        return "a change of what was revoked"
    if e["ev"] != "reaction" and e["from"] != message.event["from"]:
        return "a change by somebody who is not the author"
    if e["ev"] == "reaction" and (e["emoji"] in message.emojis_of(e["from"], e["seq"])) == e["on"]:
        return "a reaction that changes nothing"
    if e["ev"] == "edited" and (base := request.get("base")) is not None:
        last = message.last_edit(e["seq"])
        if (0 if base == message.event["seq"] else base) != last:
            return f"an edit on base {base}, after the last edit {last}"
    return None


def check_idle(ack, story):
    """A react that was acknowledged and made no event: its answer names the user's last reaction to the message, after which it
    changed nothing; or the message, if there is none that could be taken back."""
    asked, named = ack.asked, story.events.get(ack.seq)
    message = story.messages.get(asked["target"])
    if message is None or named is None or named["ts"] != ack.ts:
        return [f"{ack.room}: {ack} names nothing that is there"]
    if ack.seq == asked["target"]:
        held = False
    elif named in message.reactions_of(ack.user, ack.seq + 1):
        held = asked["emoji"] in message.emojis_of(ack.user, ack.seq + 1)
    else:
        return [f"{ack.room}: {ack} names {named}, which is no reaction of that user to that message"]
    return [] if held == asked["on"] else [f"{ack.room}: {ack} made no event, although it changes something after {named}"]


def check_refusals(record, stories):
    """What was refused for good was not done, and there was a reason for it."""
    problems = []
    done = {(room, e["from"], e.get("key")) for room, story in stories.items() for e in story.events.values()}
    for r in record.refusals:
        story = stories[r.room]
        if (r.room, r.user, r.key) in done:
            problems.append(f"{r.room}: refused and done: {r}")
        if r.asked["op"] == "send":
            continue  # too late, which its sender has looked at
        message = story.messages.get(r.asked["target"])
        revoked = message and message.revocation(story.head + 1)
        if r.code == "conflict" and not revoked:
            base = r.asked.get("base")
            last = message.last_edit(story.head + 1) if message else None
            if base is None or (0 if base == r.asked["target"] else base) == last:
                problems.append(f"{r.room}: a conflict without a reason, the last edit is {last}: {r}")
        elif r.code == "not_found" and not revoked:
            problems.append(f"{r.room}: a refusal as revoked of what is not: {r}")
    return problems


def check_pages(record, stories):
    """History told each message as it stood at `as_of`, and every seq."""
    problems = []
    for p in record.pages:
        story, where = stories[p.room], f"{p.room}: history told {p.user} at {p.node} after {p.after}, as of {p.as_of}"
        seqs = [e["seq"] for e in p.events]
        if seqs != list(range(p.after + 1, p.after + 1 + len(seqs))) or p.is_whole and seqs[-1:] != [story.head]:
            problems.append(f"{where}: a gap, or not all: seqs {seqs[:10]} to {seqs[-1:]}")
        elif not max(p.at_least, *seqs, 0) <= p.as_of <= story.head:
            problems.append(f"{where}: {p.at_least} was known, the log ends at {story.head}")
        else:
            for e in p.events:
                wanted = story.told(e["seq"], p.user, p.as_of)
                # An edit goes with its message. If that is on another page, `as_of` says nothing of when.
                early = e["ev"] == "edited" and e.get("target") not in seqs and story.told(e["seq"], p.user, story.head)
                if e != wanted and e != early:
                    problems.append(f"{where}: {e}, which should be {wanted}")
    return problems


def check_threads(record, stories):
    """A thread has each reply once, as it stood at `as_of`."""
    problems = []
    for t in record.threads:
        story, where = stories[t.room], f"{t.room}: {t.user} at {t.node} read the thread of {t.target} after {t.after}, as of {t.as_of}"
        wanted = [story.told(s, t.user, t.as_of) for s in story.replies(t.target, t.as_of) if s > t.after]
        if not t.at_least <= t.as_of <= story.head:
            problems.append(f"{where}: {t.at_least} was known, the log ends at {story.head}")
        elif t.events != (wanted if t.is_whole else wanted[:len(t.events)]):
            problems.append(f"{where}: {t.events}, which should be {wanted}")
    return problems


def check_resumed(record, logs):
    """A resume from seq 0 told the same log from every node."""
    return [f"{room}: {name} resumed from 0: {a} where the log has {b}" for name, room, events in record.resumed
            for a, b in zip([*events, None], [*logs[room], None]) if a != b][:10]


def check_silence(record, logs, stories):
    """What a message said, or was edited to, is told by nobody who was asked after its revocation was acknowledged."""
    texts = texts_of_messages(record.asked, stories)
    silent = {}  # (room, text) -> the revocation
    for a in record.acks:
        if a.asked.get("op") == "revoke":
            silent.update({(a.room, text): a for text in texts.get((a.room, a.asked["target"]), ())})
    problems = []
    tellings = [(room, "the log", log, len(log)) for room, log in logs.items()]
    tellings += [(room, f"a resume of {name}", events, len(logs[room])) for name, room, events in record.resumed]
    tellings += [(p.room, f"history of {p.user} at {p.node}", p.events, p.as_of) for p in record.pages]
    tellings += [(t.room, f"a thread of {t.user} at {t.node}", t.events, t.as_of) for t in record.threads]
    for room, who, events, as_of in tellings:
        for e in events:
            for text in said_in(e):
                a = silent.get((room, text))
                if a and a.seq <= as_of:
                    problems.append(f"{room}: {who} tells what was revoked by seq {a.seq}: {e}")
    return problems


def texts_of_messages(asked, stories):
    """(room, seq of a message) -> each text that somebody wanted it to have, done or not."""
    texts = defaultdict(set)
    seqs = {(room, e["from"], e["key"]): s for room, story in stories.items() for s, m in story.messages.items()
            if "key" in (e := m.event)}
    for name, request in asked.items():
        seq = request["target"] if request["op"] == "edit" else seqs.get(name)
        if seq is not None and "text" in request:
            texts[(name[0], seq)].add(request["text"])
    return texts


def said_in(event):
    """Every text in an event, however deep."""
    found = []

    def look(x):
        if isinstance(x, str):
            found.append(x)
        elif isinstance(x, (dict, list)):
            for y in x.values() if isinstance(x, dict) else x:
                look(y)

    look([event.get(name) for name in CONTENT])
    return found
