"""What players find wrong while they play, each kind of mistake; and what they ask."""

import random
from collections import Counter, deque

import pytest
from support.author import LATER_AT_ONCE, Author
from support.checker import Ack, Kept, Record
from support.client import RequestError
from support.fault_players import Guest, Latecomer, Reader, Repeater, altered
from support.kill import Sender, Subscriber
from support.waiting import now_ms
from support.websocket import Closed


class Answers:
    """Stands in for a server and for the client at it: answers what it is told to, then ends its player."""

    def __init__(self, **answers):
        self.answers, self.player = answers, None

    def token(self, *_, **__):
        return ""

    def open(self, *_, **__):
        return self

    def post(self, op, **_):
        return op

    def answer(self, op, *_):
        if op == "leave" or op == "history":
            self.player.finish.set()
        return self.answers.get(op, {})

    def kill(self):
        pass


def broken(player, server):
    server.player = player
    player.patience_s, player.pause_s = 5, 0.01
    player.play()
    return player.record.broken


@pytest.mark.parametrize("page,is_good", [
    ({"events": [{"ev": "message", "seq": 4, "key": "k"}], "as_of": 4}, True),
    ({"events": [], "as_of": 3}, False),
    ({"events": [{"ev": "message", "seq": 4, "key": "other"}], "as_of": 4}, False),
    ({"events": [{"ev": "message", "seq": 4, "key": "k"}], "as_of": 3}, False),
])
def test_a_read_that_lacks_what_was_acknowledged_before_is_found(page, is_good):
    record = Record(acks=[Ack("r", "a", "k", "text", "e", 4, 10)])
    server = Answers(history=page)
    assert (broken(Reader(server, record, "reader", "seed"), server) == []) == is_good


@pytest.mark.parametrize("page,is_good", [
    ({"events": [{"ev": "message", "seq": 4, "key": "k"}, {"ev": "message", "seq": 6, "key": "l"}], "as_of": 6}, True),
    ({"events": [], "as_of": 4}, False), ({"events": [{"ev": "message", "seq": 6, "key": "l"}], "as_of": 6}, False),
    ({"events": [{"ev": "message", "seq": 4, "key": "k"}], "as_of": 3}, False),
])
def test_a_thread_that_lacks_what_was_acknowledged_before_is_found(page, is_good):
    asked = {"op": "send", "room": "r", "key": "k", "text": "text", "reply_to": 2}
    record = Record(acks=[Ack("r", "a", "k", "text", "e", 4, 10, asked)])
    history = {"events": [{"ev": "message", "seq": 2}, {"ev": "message", "seq": 4, "key": "k"}], "as_of": 6}
    server = Answers(hello={"node": "n1"}, history=history, thread=page)
    assert (broken(Reader(server, record, "reader", "seed"), server) == []) == is_good


MESSAGE = {"ev": "message", "room": "r", "seq": 4, "key": "k", "text": "text"}
EDIT = {"ev": "edited", "room": "r", "seq": 5, "key": "e", "target": 4, "text": "other text"}


def blanked(event):
    return {**{k: v for k, v in event.items() if k != "text"}, "revoked": True}


class Resumed(Answers):
    """What it tells comes behind the answer to hello."""

    def __init__(self, told):
        super().__init__(hello={"node": "n1", "resumed": {"r": {"recovered": True, "seq": 5}}})
        self.told, self.events = told, deque()

    def _pump(self, *_):
        self.events.extend(self.told)
        self.player.finish.set()
        self.player.goal = {"r": 5}


@pytest.mark.parametrize("told,is_good", [
    ([blanked(MESSAGE), blanked(EDIT)], True), ([MESSAGE, blanked(EDIT)], False), ([blanked(MESSAGE), EDIT], False),
], ids=["blank", "the message", "its edit"])
def test_who_tells_what_had_been_revoked_before_it_was_asked_is_found(told, is_good):
    def record(**how):
        return Record(revoked={("r", 4)}, acks=[Ack("r", "a", "k", "text", "e", 4, 10)], **how)

    at = {"r": {"epoch": "e", "seq": 3}}
    for player in (Subscriber(Resumed(told), record(), "ear", "seed", positions=at, subscribe="all"),
                   Latecomer(Resumed(told), record(), "latecomer", "seed", positions=at),
                   Reader(Answers(hello={"node": "n1"}, history={"events": told, "as_of": 7}), record(), "reader", "seed")):
        assert (broken(player, player.server) == []) == is_good, type(player)
        assert all("revoked" in p for p in player.record.broken)


def test_a_resume_that_stops_short_of_what_was_acknowledged_is_found():
    record = Record(acks=[Ack("r", "a", "k", "text", "e", 6, 10)])
    server = Resumed([MESSAGE, EDIT])
    found = broken(Latecomer(server, record, "latecomer", "seed", positions={"r": {"epoch": "e", "seq": 3}}), server)
    assert len(found) == 1 and "a stale resume" in found[0]


class Again(Answers):
    """Says the same to whatever is asked again."""

    def post(self, op, **request):
        if op != "hello":
            self.player.finish.set()
        return op, request

    def answer(self, asked, *_):
        if asked[0] == "hello":
            return {}
        if isinstance(self.answers["says"], Exception):
            raise self.answers["says"]
        return self.answers["says"]


@pytest.mark.parametrize("says,word", [
    ({"epoch": "e", "seq": 4, "ts": 10, "duplicate": True}, None), ({"epoch": "e", "seq": 4, "ts": 10}, "no duplicate"),
    (RequestError({"code": "not_found"}), "with the same content"), (RequestError({"code": "unavailable"}), None),
], ids=["as before", "anew", "refused", "refused for now"])
def test_who_does_not_answer_a_repetition_as_before_is_found(says, word):
    found = repeated(says, 0.0)
    assert not found if word is None else len(found) == 1 and word in found[0], found


@pytest.mark.parametrize("says,word", [
    (RequestError({"code": "conflict"}), None), (RequestError({"code": "not_found"}), "with other content"),
    ({"epoch": "e", "seq": 4, "ts": 10, "duplicate": True}, "of other content"),
], ids=["conflict", "refused", "as before"])
def test_who_takes_a_key_for_other_content_is_found(says, word):
    found = repeated(says, 0.9)
    assert not found if word is None else len(found) == 1 and word in found[0], found


def repeated(says, drawn):
    asked = {"op": "edit", "room": "r", "target": 3, "key": "k", "text": "text"}
    server = Again(says=says)
    player = Repeater(server, Record(acks=[Ack("r", "a", "k", "text", "e", 4, 10, asked)]), "a", "seed")
    player.chance.random = lambda: drawn
    return broken(player, server)


@pytest.mark.parametrize("asked", [
    {"op": "send", "text": "x"}, {"op": "edit", "target": 1, "text": "x"}, {"op": "revoke", "target": 1},
    {"op": "react", "target": 1, "emoji": "no", "on": True},
], ids=lambda x: x["op"])
def test_what_is_altered_is_another_request(asked):
    assert altered(asked) != asked and altered(asked).keys() == asked.keys()


# -- what is asked -----------------------------------------------------------------------------------------------------
def drawn(count):
    """Requests of one author whose acknowledgements come a few requests late, and whether each was possible, as Record."""
    record, chance, waiting = Record(sent={("a", "r"): []}), random.Random(1), []
    author = Author("a", record, chance)
    for n in range(1, count):
        waiting.append((author.draw("r", {"room": "r"}, n), n))
        if len(waiting) > 4:
            request, seq = waiting.pop(0)
            author.note("r", request, seq)
            yield request, seq


def test_everything_is_asked_for_and_targets_are_messages():
    asked = list(drawn(2000))
    assert {r["op"] for r, _ in asked} == {"send", "edit", "revoke", "react"}
    assert len({r["key"] for r, _ in asked}) == len(asked)
    said = {seq for r, seq in asked if r["op"] == "send"}
    targets, replied_to = ({r[name] for r, _ in asked if name in r} for name in ("target", "reply_to"))
    assert targets and replied_to and targets | replied_to <= said
    later = [r for r, _ in asked if "at" in r]
    assert 0 < len(later) <= LATER_AT_ONCE and any("reply_to" in r for r in later)
    assert {r["on"] for r, _ in asked if r["op"] == "react"} == {True, False}


def test_bases_are_left_out_right_or_wrong_for_good():
    edits, kinds = {}, Counter()
    for r, seq in drawn(5000):
        if r["op"] == "edit":
            of_it = edits.setdefault(r["target"], [])
            base = 0 if r.get("base") == r["target"] else r.get("base")
            kinds["none" if base is None else "last" if base == (of_it[-1] if of_it else 0) else "wrong"] += 1
            assert base is None or base < seq  # or it might become right
            of_it.append(seq)
    assert kinds["none"] > kinds["last"] > 100 and kinds["wrong"] > 50, kinds


@pytest.mark.parametrize("op,code,is_final", [("edit", "conflict", True), ("react", "not_found", True),
                                              ("edit", "unavailable", False)])
def test_a_refusal_is_final_or_leads_to_another_attempt(op, code, is_final):
    record = Record()
    sender = Sender(Answers(), record, "a", "seed", rooms=["r"])
    request = {"op": op, "room": "r", "target": 4, "key": "k"}
    sender.unanswered, record.sent["a", "r"] = [request], ["k"]
    answer = {"error": {"code": code}}
    if is_final:
        sender._note(answer, {**request, "id": 1})
        assert (sender.unanswered, record.sent["a", "r"], record.refusals[0].code) == ([], [], code)
    else:
        with pytest.raises(Closed):
            sender._note(answer, {**request, "id": 1})
        assert (sender.unanswered, record.sent["a", "r"], record.refusals) == ([request], ["k"], [])


@pytest.mark.parametrize("ahead_ms,certain,is_good", [(-1, True, True), (60_000, True, False), (60_000, False, True)])
def test_a_send_that_comes_too_late_is_settled_unless_its_time_is_to_come(ahead_ms, certain, is_good):
    sender = Sender(Answers(), Record(), "a", "seed", rooms=["r"])
    sender.refusals_are_certain = certain
    request = {"op": "send", "room": "r", "key": "k", "text": "x", "at": now_ms() + ahead_ms}
    sender.unanswered, sender.record.sent["a", "r"] = [request], ["k"]
    answer = {"error": {"code": "bad_request", "message": "at: has passed"}}
    if is_good:
        sender._note(answer, {**request, "id": 1})
        assert (sender.unanswered, sender.record.passed) == ([], {("r", "a", "k")})
        assert len(sender.record.refusals) == certain
    else:
        with pytest.raises(AssertionError):
            sender._note(answer, {**request, "id": 1})


def test_a_send_that_is_kept_is_noted_as_that_and_once_it_was_sent_as_acknowledged():
    sender = Sender(Answers(), Record(), "a", "seed", rooms=["r"])
    request = {"op": "send", "room": "r", "key": "k", "text": "x", "at": 5}
    for ok in ({"room": "r", "epoch": "e", "key": "k", "at": 5}, {"room": "r", "epoch": "e", "seq": 7, "ts": 6, "duplicate": True}):
        sender.unanswered = [request]
        sender.author.mine["r"] = {}
        sender._note({"ok": ok}, {**request, "id": 1})
    assert sender.record.kept == [Kept("r", "a", "k", "e", 5)]
    assert sender.record.acks == [Ack("r", "a", "k", "x", "e", 7, 6, request)]


@pytest.mark.parametrize("op,code", [("send", "conflict"), ("edit", "forbidden"), ("react", "too_large")])
def test_a_refusal_that_nobody_gave_reason_for_is_found(op, code):
    sender = Sender(Answers(), Record(), "a", "seed", rooms=["r"])
    request = {"op": op, "room": "r", "target": 4, "key": "k"}
    sender.unanswered, sender.record.sent["a", "r"] = [request], ["k"]
    with pytest.raises(AssertionError):
        sender._note({"error": {"code": code}}, {**request, "id": 1})


# -- members -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("members,found", [
    ([[{"user": "guest"}], []], 0), ([[], []], 1), ([[{"user": "guest"}], [{"user": "guest"}]], 1),
])
def test_members_that_do_not_fit_an_acknowledged_join_or_leave_are_found(members, found):
    class Door(Answers):
        def answer(self, op, *_):
            return {"members": members.pop(0)} if op == "members" else super().answer(op)

    server = Door()
    assert len(broken(Guest(server, Record(), "guest", "seed", room="r"), server)) == found
