"""Threads, mentions, what is not kept and what is sent later, against the real server: over WebSocket and REST, across crashes."""

import itertools

import pytest
from support.client import DURABLE, RequestError
from support.server import path_of
from support.waiting import now_ms, until

SOON_MS = 1_500  # how far ahead a test schedules; it waits for the event
FAR_MS = 3_600_000


class Stage:
    """A room of alice's with bob and carol in it."""

    def __init__(self, server, own=lambda name: name):
        self.server, self.own, self.room, self.numbers = server, own, own("room"), itertools.count(1)
        self.alice, self.bob, self.carol = (server.sign_in(own(n)) for n in ("alice", "bob", "carol"))
        self.alice.request("create", room=self.room)
        for client in (self.bob, self.carol):
            client.request("join", room=self.room)

    def say(self, client, text, **fields):
        """The seq of what was said."""
        return client.request("send", room=self.room, key=f"k{next(self.numbers)}", text=text, **fields)["seq"]

    def schedule(self, client, text, ahead_ms=SOON_MS, **fields):
        """The answer, and the request as it would be repeated."""
        asked = {"room": self.room, "key": f"k{next(self.numbers)}", "text": text, "at": now_ms() + ahead_ms, **fields}
        return client.request("send", **asked), asked

    def entry(self, client):
        """The room in the client's inbox."""
        return next(r for r in client.request("rooms")["rooms"] if r["room"] == self.room)

    def thread(self, client, target, **fields):
        return client.request("thread", room=self.room, target=target, **fields)

    def log(self):
        return self.server.history(self.server.token(self.own("alice")), self.room)[0]

    def rest(self, user, method, path, body=None, **headers):
        headers = {k.replace("_", "-"): v for k, v in headers.items()}
        return self.server.rest(method, f"/api/v1/rooms/{path_of(self.room)}{path}", body,
                                self.server.token(self.own(user)), headers)


@pytest.fixture
def stage(shared, own):
    return Stage(shared, own)


def seqs(page):
    return [e["seq"] for e in page["events"]]


# -- threads -------------------------------------------------------------------------------------------------------------
def test_a_thread_is_what_replies_to_a_message_page_by_page(stage):
    root = stage.say(stage.alice, "what do you think?")
    replies = []
    for i in range(7):
        stage.say(stage.carol, "something else")
        replies.append(stage.say(stage.bob, f"reply {i}", reply_to=root))
    assert seqs(stage.thread(stage.alice, root)) == replies
    found, after = [], 0
    while True:
        page = stage.thread(stage.alice, root, after=after, limit=3)
        assert len(page["events"]) <= 3 and page["as_of"] == replies[-1]
        found += seqs(page)
        over_rest = stage.rest("alice", "GET", f"/messages/{root}/replies?after={after}&limit=3").json
        assert over_rest == page
        if not page["more"]:
            break
        after = found[-1]
    assert found == replies
    told = stage.alice.request("history", room=stage.room, around=root, limit=1)["events"][0]
    assert told["replies"] == {"count": 7, "last": replies[-1]}
    # A reply to a reply begins a thread of its own.
    deeper = stage.say(stage.alice, "how so?", reply_to=replies[2])
    assert seqs(stage.thread(stage.bob, replies[2])) == [deeper]
    assert seqs(stage.thread(stage.bob, root)) == replies
    stage.alice.refused("thread", "not_found", room=stage.room, target=deeper + 1)
    stage.alice.refused("send", "bad_request", room=stage.room, key="x", text="x", reply_to=deeper + 1)


def test_any_event_can_be_replied_to(stage):
    reply = stage.say(stage.bob, "welcome", reply_to=3)  # carol's coming
    assert seqs(stage.thread(stage.carol, 3)) == [reply]
    assert stage.alice.request("history", room=stage.room, around=3, limit=1)["events"][0]["replies"] == {"count": 1, "last": reply}


def test_a_thread_shows_replies_as_they_stand(stage):
    root = stage.say(stage.alice, "root")
    first, second = (stage.say(stage.bob, text, reply_to=root) for text in ("one", "two"))
    edit = stage.bob.request("edit", room=stage.room, target=first, key="e", text="better")["seq"]
    stage.carol.request("react", room=stage.room, target=first, key="r", emoji="+1", on=True)
    stage.bob.request("revoke", room=stage.room, target=second, key="v")
    one, two = stage.thread(stage.carol, root)["events"]
    assert (one["text"], one["edited"], one["reactions"]) == ("better", edit, {"+1": {"count": 1, "mine": True}})
    assert two["revoked"] is True and two["reply_to"] == root and "text" not in two
    # The thread outlives its message, and what was revoked still counts.
    stage.alice.request("revoke", room=stage.room, target=root, key="v")
    assert seqs(stage.thread(stage.carol, root)) == [first, second]
    told = stage.carol.request("history", room=stage.room, around=root, limit=1)["events"][0]
    assert told["revoked"] is True and told["replies"] == {"count": 2, "last": second}


def test_threads_have_read_positions_of_their_own(stage):
    one, other = stage.say(stage.alice, "one"), stage.say(stage.alice, "other")
    first, second = (stage.say(stage.bob, "reply", reply_to=one) for _ in range(2))
    elsewhere = stage.say(stage.bob, "reply", reply_to=other)
    unread = stage.entry(stage.alice)
    assert stage.alice.request("read", room=stage.room, thread=one, seq=first) == {"seq": first}
    assert stage.alice.request("read", room=stage.room, thread=other, seq=elsewhere) == {"seq": elsewhere}
    assert [stage.thread(stage.alice, t)["read"] for t in (one, other)] == [first, elsewhere]
    # Forward only; nobody else's, and not the room's.
    assert stage.alice.request("read", room=stage.room, thread=one, seq=second) == {"seq": second}
    assert stage.alice.request("read", room=stage.room, thread=one, seq=first) == {"seq": second}
    assert stage.thread(stage.alice, one)["read"] == second and stage.thread(stage.bob, one)["read"] == 0
    assert stage.entry(stage.alice) == unread
    stage.alice.refused("read", "bad_request", room=stage.room, thread=second, seq=first)
    stage.alice.refused("read", "bad_request", room=stage.room, thread=one, seq=elsewhere + 1)


def test_threads_and_their_read_positions_survive_a_crash(make_server):
    stage = Stage(make_server())
    root = stage.say(stage.alice, "root")
    replies = [stage.say(stage.bob, f"reply {i}", reply_to=root) for i in range(5)]
    stage.alice.request("read", room=stage.room, thread=root, seq=replies[2])
    before = stage.thread(stage.alice, root)
    stage.server.kill()
    stage.server.start()
    alice = stage.server.sign_in("alice")
    assert stage.thread(alice, root) == before and before["read"] == replies[2]
    late = stage.server.sign_in("bob").request("send", room=stage.room, key="late", text="late", reply_to=root)["seq"]
    assert alice.request("history", room=stage.room, around=root, limit=1)["events"][0]["replies"] == {"count": 6, "last": late}


# -- mentions, what is unread --------------------------------------------------------------------------------------------
def test_mentions_are_members_whose_names_stand_in_the_text(stage):
    alice, bob, carol = (stage.own(n) for n in ("alice", "bob", "carol"))
    stage.server.sign_in(stage.own("dave"))  # no member
    for text, meant in ((f"@{alice} and @{carol.upper()}, @{alice}!", [alice, carol]), (f"mail to me@{alice}", []),
                        (f"@{bob} says so himself", []), (f"@{stage.own('dave')} @nobody @", []), (f"(@{alice}.)", [alice])):
        seq = stage.say(stage.bob, text)
        assert stage.carol.event("message", room=stage.room, seq=seq).get("mentions", []) == meant, text
    # What an edit adds means nobody, what was revoked mentions nobody.
    seq = stage.say(stage.bob, f"@{alice}")
    stage.bob.request("edit", room=stage.room, target=seq, key="e", text=f"@{carol}")
    told = stage.alice.request("history", room=stage.room, around=seq, limit=1)["events"][0]
    assert (told["text"], told["mentions"]) == (f"@{carol}", [alice])
    stage.bob.request("revoke", room=stage.room, target=seq, key="v")
    assert "mentions" not in stage.alice.request("history", room=stage.room, around=seq, limit=1)["events"][0]


def unread(entry):
    return entry["read"], entry["unread"], entry["mentions"]


def test_the_inbox_counts_messages_and_mentions_behind_the_read_position(stage):
    alice = stage.own("alice")

    def both():
        """Over WebSocket, and the same over REST."""
        entry = stage.entry(stage.alice)
        listed = stage.server.rest("GET", "/api/v1/rooms", token=stage.server.token(alice)).json["rooms"]
        assert {**entry, "subscribed": False} == next(r for r in listed if r["room"] == stage.room)
        return unread(entry)

    assert both() == (1, 0, 0)  # that somebody came is no message
    first = stage.say(stage.bob, "hello")
    meant = stage.say(stage.bob, f"@{alice} hello")
    last = stage.say(stage.carol, f"@{alice} @{stage.own('bob')} hello", reply_to=first)
    assert both() == (1, 3, 2) and unread(stage.entry(stage.bob))[1:] == (3, 1)
    stage.bob.request("react", room=stage.room, target=first, key="r", emoji="+1", on=True)
    stage.bob.request("edit", room=stage.room, target=first, key="e", text="hello all")
    assert both() == (1, 3, 2)  # nor are these
    stage.bob.request("revoke", room=stage.room, target=meant, key="v")
    assert both() == (1, 3, 1)
    stage.alice.request("read", room=stage.room, seq=meant)
    assert both() == (meant, 1, 1)
    stage.alice.request("read", room=stage.room, seq=last)
    assert both() == (last, 0, 0)


def test_what_is_unread_is_counted_from_the_disk_as_from_memory(make_server):
    server = make_server(rooms__ring_events=1, limits__mentions_counted=5)
    stage = Stage(server)
    for i in range(20):
        stage.say(stage.bob, "@alice hello" if i % 2 else "hello")
    assert unread(stage.entry(stage.alice)) == (1, 20, 5)
    stage.alice.request("read", room=stage.room, seq=17)
    counted = unread(stage.entry(stage.alice))
    assert counted == (17, 6, 3)
    server.kill()
    server.start()
    assert unread(stage.entry(server.sign_in("alice"))) == counted


# -- ephemeral -----------------------------------------------------------------------------------------------------------
def test_what_is_ephemeral_is_heard_now_and_kept_nowhere(stage):
    at = {stage.room: dict(stage.alice.positions[stage.room])}
    stage.alice.kill()
    assert stage.bob.request("send", room=stage.room, ephemeral=True, text="look!", data={"x": 3}) == {}
    heard = stage.carol.event("ephemeral", room=stage.room)
    assert heard == {"ev": "ephemeral", "room": stage.room, "ts": heard["ts"], "from": stage.own("bob"), "text": "look!", "data": {"x": 3}}
    assert abs(heard["ts"] - now_ms()) < 60_000
    answer = stage.rest("bob", "POST", "/messages", {"text": "again", "ephemeral": True})
    assert (answer.status, answer.json) == (200, {})
    assert stage.carol.event("ephemeral", room=stage.room)["text"] == "again"
    after = stage.say(stage.bob, "kept")
    assert after == 4  # no seq was drawn
    back = stage.server.sign_in(stage.own("alice"), resume=at, subscribe=[stage.room])
    assert back.event(room=stage.room)["seq"] == 2  # the very next one
    back.event("message", room=stage.room, text="kept")
    assert {e["ev"] for e in stage.log()} == {"member", "message"}
    assert unread(stage.entry(back))[1] == 1
    stage.server.sign_in(stage.own("eve")).refused("send", "not_member", room=stage.room, ephemeral=True, text="x")
    stage.bob.refused("send", "bad_request", room=stage.room, ephemeral=True, text="x", reply_to=after)
    stage.bob.refused("send", "bad_request", room=stage.room, ephemeral=True, text="x", at=now_ms() + FAR_MS)


def test_what_is_ephemeral_between_two_is_heard_by_both(shared, own):
    alice, bob = shared.sign_in(own("alice")), shared.sign_in(own("bob"))
    alice.request("send", to=own("bob"), key="k", text="psst")
    bob.event("message")
    assert alice.request("send", to=own("bob"), ephemeral=True, data={"x": 1}) == {}
    for client in (alice, bob):
        assert client.event("ephemeral")["data"] == {"x": 1}


# -- scheduled -----------------------------------------------------------------------------------------------------------
def test_what_is_scheduled_is_sent_when_its_time_has_come(stage):
    root = stage.say(stage.alice, "root")
    ok, asked = stage.schedule(stage.bob, f"@{stage.own('alice')} good morning", data={"n": 1}, reply_to=root)
    assert ok == {"room": stage.room, "epoch": stage.entry(stage.bob)["epoch"], "key": asked["key"], "at": asked["at"]}
    assert stage.bob.request("send", **asked) == {**ok, "duplicate": True}
    stage.bob.refused("send", "conflict", **{**asked, "text": "good evening"})
    between = stage.say(stage.alice, "between")
    e = stage.carol.event("message", room=stage.room, key=asked["key"])
    assert e == {"ev": "message", "room": stage.room, "seq": between + 1, "ts": e["ts"], "from": stage.own("bob"), "key": asked["key"],
                 "text": asked["text"], "data": {"n": 1}, "reply_to": root, "mentions": [stage.own("alice")]}
    assert asked["at"] <= e["ts"] <= now_ms()
    assert stage.bob.event("message", room=stage.room, key=asked["key"]) == e  # its author hears it, too
    assert seqs(stage.thread(stage.alice, root)) == [e["seq"]]
    again = stage.bob.request("send", **asked)  # now it is a message
    assert (again["seq"], again["ts"], again["duplicate"]) == (e["seq"], e["ts"], True)
    assert stage.bob.request("scheduled", room=stage.room) == {"sends": []}
    stage.bob.refused("cancel", "conflict", room=stage.room, key=asked["key"])


def test_what_is_scheduled_is_listed_to_its_author_the_next_one_first(stage):
    late, early = stage.schedule(stage.bob, "late", FAR_MS + 5_000)[1], stage.schedule(stage.bob, "early", FAR_MS)[1]
    stage.schedule(stage.alice, "somebody else's", FAR_MS)
    listed = [{"room": stage.room, **{k: x[k] for k in ("key", "at", "text")}} for x in (early, late)]
    assert stage.bob.request("scheduled", room=stage.room)["sends"] == listed
    answer = stage.rest("bob", "GET", "/scheduled")
    assert (answer.status, answer.json) == (200, {"sends": listed})
    answer = stage.rest("bob", "DELETE", f"/scheduled/{early['key']}")
    assert (answer.status, answer.json) == (200, {})
    assert [s["key"] for s in stage.bob.request("scheduled", room=stage.room)["sends"]] == [late["key"]]
    # Done again it is answered the same; its key is used up.
    assert stage.bob.request("cancel", room=stage.room, key=early["key"]) == {}
    stage.bob.refused("send", "conflict", **early)
    stage.alice.refused("cancel", "not_found", room=stage.room, key=late["key"])
    stage.server.sign_in(stage.own("eve")).refused("send", "not_member", **early)


def test_over_rest_it_is_accepted_and_then_sent(stage):
    body = {"text": "later", "at": now_ms() + SOON_MS}
    answers = [stage.rest("bob", "POST", "/messages", body, Idempotency_Key="later") for _ in range(2)]
    assert [a.status for a in answers] == [202, 200] and answers[1].json == {**answers[0].json, "duplicate": True}
    e = stage.alice.event("message", room=stage.room, key="later")
    again = stage.rest("bob", "POST", "/messages", body, Idempotency_Key="later")
    assert (again.status, again.json["seq"], again.json["ts"]) == (200, e["seq"], e["ts"])


def test_what_was_cancelled_is_not_sent(stage):
    gone, comes = (stage.schedule(stage.bob, text)[1] for text in ("gone", "comes"))
    assert stage.bob.request("cancel", room=stage.room, key=gone["key"]) == {}
    stage.alice.event("message", room=stage.room, key=comes["key"])  # which was later
    assert gone["key"] not in [e.get("key") for e in stage.log()]


def test_scheduled_sends_have_bounds(make_server):
    stage = Stage(make_server(limits__scheduled_per_room=2, limits__schedule_days=1))
    day_ms = 86_400_000
    first = stage.schedule(stage.bob, "one", FAR_MS)[1]
    stage.schedule(stage.bob, "two", FAR_MS)
    more = {"room": stage.room, "key": "more", "text": "more", "at": now_ms() + FAR_MS}
    assert "scheduled_per_room" in stage.bob.refused("send", "too_large", **more)["message"]
    stage.alice.request("send", **more)  # the bound is each one's own
    stage.bob.request("cancel", room=stage.room, key=first["key"])
    stage.bob.request("send", **more)  # a refused request has used up no key
    stage.alice.refused("send", "bad_request", room=stage.room, key="past", text="x", at=now_ms() - 1)
    too_far = stage.alice.refused("send", "too_large", room=stage.room, key="far", text="x", at=now_ms() + day_ms + 60_000)
    assert "schedule_days" in too_far["message"]


@pytest.mark.parametrize("op,fields", [("kick", {}), ("ban", {}), ("mute", {}), ("role", {"role": "guest"})])
def test_who_may_not_send_any_more_when_the_time_has_come_is_not_heard(stage, op, fields):
    dropped = stage.schedule(stage.bob, "dropped")[1]
    comes = stage.schedule(stage.carol, "comes")[1]  # later, so the other one has been seen to
    stage.alice.request(op, room=stage.room, user=stage.own("bob"), **fields)
    stage.alice.event("message", room=stage.room, key=comes["key"])
    assert dropped["key"] not in [e.get("key") for e in stage.log()]
    # Whoever may again does not say it then.
    stage.alice.request({"kick": "invite", "ban": "unban", "mute": "unmute", "role": "role"}[op], room=stage.room,
                        user=stage.own("bob"), **({"role": "member"} if op == "role" else {}))
    if op != "ban":
        assert stage.bob.request("scheduled", room=stage.room) == {"sends": []}
        stage.bob.refused("send", "conflict", **dropped)


def test_scheduled_sends_survive_crashes_and_are_sent_once(make_server):
    """The server is killed when they are kept, and again while they are being sent."""
    server = make_server(rooms__idle_s=1, limits__scheduled_per_room=1000)
    stage = Stage(server)
    start = now_ms()
    asked = [{"room": stage.room, "key": f"at-{i}", "text": f"number {i}", "at": start + 1_000 + 40 * i} for i in range(100)]
    asked.append({"to": "alice", "key": "direct", "text": "psst", "at": start + 1_000})
    requests = [stage.bob.prepare("send", **a) for a in asked]
    stage.bob.post_all(requests)
    for r in requests:
        assert stage.bob.answer(r["id"])["at"] == r["at"]
    cancelled = {"key": "never", "room": stage.room}
    stage.bob.request("send", **cancelled, text="never", at=start + FAR_MS)
    stage.bob.request("cancel", **cancelled)
    server.kill()
    server.start()
    for count in (10, 60):
        watcher = server.sign_in("carol", subscribe="none")
        until(lambda: watcher.request("history", room=stage.room, limit=1)["as_of"] >= 3 + count, f"{count} are sent")
        server.kill()
        server.start()
    watcher = server.sign_in("alice", subscribe="none")
    until(lambda: watcher.request("history", room=stage.room, limit=1)["as_of"] >= 103, "all are sent")
    until(lambda: any(r["room"] == "@alice+bob" for r in watcher.request("rooms")["rooms"]), "the direct room is there")
    log = stage.log()
    assert [e["key"] for e in log if e["ev"] == "message"] == [a["key"] for a in asked[:-1]]
    at = {a["key"]: a["at"] for a in asked}
    assert all(e["ts"] >= at[e["key"]] for e in log if e["ev"] == "message")
    direct = until(lambda: server.history(server.token("alice"), "@alice+bob")[0], "the direct message")
    assert [e["key"] for e in direct] == ["direct"]
    bob = server.sign_in("bob", subscribe="none")
    assert bob.request("scheduled", room=stage.room) == {"sends": []}
    assert all(bob.request("send", **a)["duplicate"] for a in asked)
    bob.refused("send", "conflict", **cancelled, text="never", at=start + FAR_MS)
    assert len([e for e in stage.log() if e["ev"] in DURABLE]) == 103


def test_what_is_scheduled_in_a_room_that_nobody_uses_wakes_it(make_server):
    server = make_server(rooms__idle_s=1, users__idle_s=1)
    stage = Stage(server)
    asked = stage.schedule(stage.bob, "anybody here?", 4_000)[1]
    for client in (stage.alice, stage.bob, stage.carol):
        client.leave()
    until(lambda: server.metrics()["greenroom_rooms_active"] == 0, "the room sleeps")
    assert now_ms() < asked["at"]
    until(lambda: server.metrics()["greenroom_rooms_active"] == 1, "it wakes")
    until(lambda: stage.log()[-1].get("key") == asked["key"], "it was said")
    assert stage.log()[-1]["ts"] >= asked["at"]


def test_an_answer_that_got_lost_is_asked_for_again(make_server):
    """Killed at any point: whatever was answered or not, the same request leads to one message."""
    server = make_server(limits__scheduled_per_room=1000)
    stage = Stage(server)
    at = now_ms() + 2_000
    asked = [{"room": stage.room, "key": f"k-{i}", "text": "x", "at": at} for i in range(200)]
    for a in asked:
        stage.bob.post("send", **a)
    server.kill()
    server.start()
    bob = server.sign_in("bob", subscribe="none")
    for a in asked:
        try:
            assert bob.request("send", **a).get("at", at) == at
        except RequestError as e:
            assert e.message == "at: has passed", e  # never heard of, and too late now
    kept = len(bob.request("scheduled", room=stage.room)["sends"])
    until(lambda: not bob.request("scheduled", room=stage.room)["sends"], "they are sent")
    said = [e["key"] for e in stage.log() if e["ev"] == "message"]
    assert len(said) == len(set(said)) >= kept
