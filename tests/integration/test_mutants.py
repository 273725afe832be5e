"""The checks of the kill test fail when a server errs with edits, revocations, reactions, threads or scheduled sends. Players speak to a real one, through
something that alters what passes: each kind of error is found, and nothing is found when nothing is altered.

GREENROOM_MUTANTS_SEED repeats what was drawn.
"""

import json
import os

import pytest
from support.checker import Record, check
from support.kill import Play, Sender, Subscriber
from support.waiting import until

ROOM = "hall"
SENDERS = ["ann", "ben"]
PLAYS = 5  # not every play that is drawn gives an occasion to err: in one of some fifty, no reply is revoked


class Faithful:
    """Alters nothing. A request, a frame to a player, or the events of a whole history or thread."""

    def __init__(self):
        self.texts = {}  # seq -> what was told live

    def request(self, r):
        return r

    def frame(self, f):
        return f

    def history(self, events):
        return events

    def thread(self, events):
        return events

    def hear(self, f):
        """Before it is altered."""
        if f.get("ev") in ("message", "edited") and "text" in f:
            self.texts.setdefault(f["seq"], f["text"])
        return self.frame(f)

    def revive(self, event):
        """What the event said before it was revoked, if that was heard."""
        if event.get("revoked") is not True or event["seq"] not in self.texts:
            return event
        return {**{k: v for k, v in event.items() if k != "revoked"}, "text": self.texts[event["seq"]]}


class IgnoresBase(Faithful):
    def request(self, r):
        return {k: v for k, v in r.items() if k != "base"}


class RefusesEveryBase(Faithful):
    def request(self, r):
        return {**r, "base": r["target"] - 1} if "base" in r else r


class EditsAnother(Faithful):
    def request(self, r):
        return {**r, "text": "something else"} if r["op"] == "edit" else r


class DropsRevocations(Faithful):
    """Says that it was done, and does something that is nothing."""

    def request(self, r):
        if r["op"] != "revoke":
            return r
        return {**{k: r[k] for k in ("id", "room", "target", "key")}, "op": "react", "emoji": "-", "on": False}


class DropsReactions(Faithful):
    def request(self, r):
        return {**r, "emoji": "-", "on": False} if r["op"] == "react" else r


class ReactsToMore(Faithful):
    def request(self, r):
        return {**r, "emoji": r["emoji"] + "!"} if r["op"] == "react" else r


class ResumesRevoked(Faithful):
    def frame(self, f):
        return self.revive(f) if "ev" in f else f


class TellsRevoked(Faithful):
    def history(self, events):
        return [self.revive(e) for e in events]


class ForgetsEdits(Faithful):
    def history(self, events):
        return [{**{k: v for k, v in e.items() if not k.startswith("edited")}, "text": self.texts.get(e["seq"])}
                if "edited" in e else e for e in events]


class ForgetsWhose(Faithful):
    def history(self, events):
        return [{**e, "reactions": {k: {"count": v["count"]} for k, v in e["reactions"].items()}} if "reactions" in e else e
                for e in events]


class CountsTwice(Faithful):
    def history(self, events):
        return [{**e, "reactions": {k: {**v, "count": v["count"] + 1} for k, v in e["reactions"].items()}}
                if "reactions" in e else e for e in events]


class BlanksTooMuch(Faithful):
    """Every tenth message, live and on resume."""

    def frame(self, f):
        if f.get("ev") != "message" or f["seq"] % 10 or "revoked" in f:
            return f
        return {**{k: v for k, v in f.items() if k not in ("text", "data")}, "revoked": True}


class SendsAtOnce(Faithful):
    """What was to be sent later."""

    def request(self, r):
        return {k: v for k, v in r.items() if k != "at"}


class LosesScheduled(Faithful):
    """Something else is sent in their place."""

    def request(self, r):
        return {**r, "key": f"not-{r['key']}"} if "at" in r else r


class RepliesToNothing(Faithful):
    def request(self, r):
        return {k: v for k, v in r.items() if k != "reply_to"}


class CountsNoReplies(Faithful):
    def history(self, events):
        return [{k: v for k, v in e.items() if k != "replies"} for e in events]


class LosesReplies(Faithful):
    def thread(self, events):
        return events[1:]


class ShowsRepliesTwice(Faithful):
    def thread(self, events):
        return [*events, events[-1]]


class ShowsRepliesAsSent(Faithful):
    def thread(self, events):
        return [self.revive(e) for e in events]


class Between:
    """Looks like the server."""

    def __init__(self, server, mutant):
        self.server, self.mutant = server, mutant

    def __getattr__(self, name):
        return getattr(self.server, name)

    def open(self, *args, **how):
        return self._alter(self.server.open(*args, **how))

    def sign_in(self, *args, **how):
        return self._alter(self.server.sign_in(*args, **how))

    def history(self, *args, **how):
        events, page = self.server.history(*args, **how)
        return self.mutant.history(events), page

    def thread(self, *args, **how):
        events, as_of = self.server.thread(*args, **how)
        return self.mutant.thread(events), as_of

    def _alter(self, client):
        send, note = client.ws.send_text, client._note
        alter = self.mutant.request
        client.ws.send_text = lambda text: send("\n".join(json.dumps(alter(json.loads(x))) for x in text.split("\n")))
        client._note = lambda frame: note(self.mutant.hear(frame))
        for e in client.events:  # that came together with the answer to hello
            altered = self.mutant.hear(dict(e))
            e.clear()
            e.update(altered)
        return client


def problems_with(mutant, server, seed):
    between, record = Between(server, mutant), Record()
    owner = server.sign_in("owner", subscribe="none")
    made = owner.request("create", room=ROOM)
    for user in SENDERS:
        client = server.sign_in(user, subscribe="none")
        client.request("join", room=ROOM)
        client.leave()
    owner.leave()
    play = Play(between, record, seed)
    play.players = [Sender(between, record, user, seed, rooms=[ROOM], window=8) for user in SENDERS]
    play.players.append(Subscriber(between, record, "ear", seed, positions={ROOM: {"epoch": made["epoch"], "seq": 1}},
                                   subscribe=[ROOM]))
    play.begin()
    try:
        until(lambda: play.check_players() or play.answered() > 400, "requests are answered")
        logs, epochs = play.end({ROOM: ("owner", *SENDERS)})
    finally:
        for p in play.players:
            p.stops.set()
    return check(record, logs, epochs)


@pytest.mark.parametrize("mutant,word", [
    (Faithful, None), (IgnoresBase, "an edit on base"), (RefusesEveryBase, "a conflict without a reason"),
    (EditsAnother, "asked was"), (DropsRevocations, "acknowledged as"), (DropsReactions, "made no event, although"),
    (ReactsToMore, "asked was"), (ResumesRevoked, "tells what was revoked"), (TellsRevoked, "tells what was revoked"),
    (ForgetsEdits, "which should be"), (ForgetsWhose, "which should be"), (CountsTwice, "which should be"),
    (BlanksTooMuch, "asked was"), (SendsAtOnce, "early"), (LosesScheduled, "answered and never sent"),
    (RepliesToNothing, "asked was"), (CountsNoReplies, "which should be"), (LosesReplies, "read the thread"),
    (ShowsRepliesTwice, "read the thread"), (ShowsRepliesAsSent, "tells what was revoked"),
], ids=lambda x: getattr(x, "__name__", x))
def test_an_error_of_a_server_is_found(make_server, mutant, word):
    seed = os.environ.get("GREENROOM_MUTANTS_SEED") or str(int.from_bytes(os.urandom(4), "big"))
    print(f"GREENROOM_MUTANTS_SEED={seed}")
    for play in range(PLAYS):
        problems = problems_with(mutant(), make_server(), f"{seed}/{play}")
        if word is None:
            assert not problems, "\n".join(problems[:20])
            return
        if any(word in p for p in problems):
            return
    raise AssertionError(f"not found in {PLAYS} plays, the last of which found {problems[:20]}")
