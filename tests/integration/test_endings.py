"""How history ends, and rooms, against the real server: what is dropped, what is gone for good, and what stays."""

import pytest
from support.client import RequestError
from support.server import path_of
from support.waiting import now_ms, until

MEMBERS = 1_100  # more than lose it with one write


def delete(client, room):
    """The seq of the room's last event."""
    return client.request("room", room=room, delete=True)["seq"]


def created_again(client, room, **fields):
    """The answer, as soon as the room of this name that was there before has been cleared out."""
    def made():
        try:
            return client.request("create", room=room, **fields)
        except RequestError as e:
            assert e.code == "unavailable", e
            return None
    return until(made, f"{room} can be made again")


def inbox(client):
    return {r["room"] for r in client.request("rooms")["rooms"]}


def first_kept(client, room):
    return client.request("room", room=room)["first"]


# -- what is over history_events -----------------------------------------------------------------------------------------
def test_what_is_over_history_events_is_dropped_within_the_period(make_server):
    """A minute, at most: rooms are spread over it, so one of many is seen to after a few seconds."""
    server = make_server(rooms__retention_minutes=1)
    alice, bob = server.sign_in("alice", subscribe="none"), server.sign_in("bob", subscribe="none")
    rooms = [f"hall-{i}" for i in range(60)]
    epochs = {}
    for room in rooms:
        epochs[room] = alice.request("create", room=room)["epoch"]
        requests = [alice.prepare("send", room=room, key=f"k{i}", text=f"@bob {i}") for i in range(9)]
        alice.post_all([alice.prepare("invite", room=room, user="bob"), *requests])
        assert [alice.answer(r["id"])["seq"] for r in requests] == list(range(3, 12))
        alice.request("send", room=room, key="k9", text="@bob 9", reply_to=3)
        alice.request("pin", room=room, target=3)
    for room in rooms[1:]:
        alice.request("room", room=room, history_events=5)
    room = until(lambda: next((r for r in rooms if first_kept(alice, r) > 1), None), "one room has dropped what is old", 75)
    for _ in range(2):
        # Of 14 events the last five are kept.
        about = alice.request("room", room=room)
        assert (about["seq"], about["first"], about["pins"], about["history_events"]) == (14, 10, [], 5)
        page = alice.request("history", room=room, after=0)
        assert [e["seq"] for e in page["events"]] == [10, 11, 12, 13, 14] and page["first"] == 10 and not page["more"]
        assert alice.request("history", room=room, before=10)["events"] == []
        assert alice.request("history", room=room, at=0)["events"][0]["seq"] == 10
        for op, fields in (("edit", {"text": "x"}), ("react", {"emoji": "+1", "on": True}), ("revoke", {})):
            alice.refused(op, "not_found", room=room, target=3, key=f"late-{op}", **fields)
        alice.refused("thread", "not_found", room=room, target=3)
        alice.refused("pin", "not_found", room=room, target=9)
        # Its key is remembered, whatever has become of the message.
        assert alice.request("send", room=room, key="k0", text="@bob 0")["duplicate"]
        for seq, recovered in ((8, False), (9, True)):
            back = server.sign_in("bob", resume={room: {"epoch": epochs[room], "seq": seq}}, subscribe=[room])
            assert back.hello["resumed"][room]["recovered"] is recovered
            back.leave()
        entry = next(r for r in bob.request("rooms", limit=100)["rooms"] if r["room"] == room)
        assert (entry["unread"], entry["mentions"]) == (3, 3)
        server.kill()
        server.start()
        alice, bob = server.sign_in("alice", subscribe="none"), server.sign_in("bob", subscribe="none")
    # It goes on as before; a room that keeps everything does.
    assert alice.request("send", room=room, key="next", text="next", reply_to=3)["seq"] == 15
    assert len(server.history(server.token("alice"), rooms[0])[0]) == 13


def test_history_events_is_a_setting_that_everybody_is_told(shared, own):
    alice, bob = shared.sign_in(own("alice")), shared.sign_in(own("bob"))
    room = own("room")
    alice.request("create", room=room)
    bob.request("join", room=room)
    about = alice.request("room", room=room, history_events=1000)
    assert about["history_events"] == 1000 and about["first"] == 1
    assert bob.event("room", room=room)["history_events"] == 1000
    assert alice.request("room", room=room, history_events=1000)["seq"] == about["seq"]  # as it is: no event
    answer = shared.rest("PATCH", f"/api/v1/rooms/{path_of(room)}", {"history_events": 0}, shared.token(own("alice")))
    assert (answer.status, answer.json["history_events"], answer.json["seq"]) == (200, 0, about["seq"] + 1)
    bob.refused("room", "forbidden", room=room, history_events=5)


# -- the end of a room ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["public", "private", "announce"])
def test_streams_end_with_the_event_and_there_is_no_such_room(shared, own, kind):
    room, other = own("room"), own("other")
    alice, bob, phone = (shared.sign_in(own(n)) for n in ("alice", "bob", "bob"))
    ears = [alice, bob, phone]
    for name in (room, other):
        made = alice.request("create", room=name, kind=kind, title=name)
        alice.request("invite", room=name, user=own("bob"))
    if kind == "public":
        ears.append(shared.sign_in(own("eve")))
        ears[-1].request("subscribe", room=room)
    said = alice.request("send", room=room, key="k", text="x")["seq"]
    seq = delete(alice, room)
    assert seq == said + 1
    for client in ears:
        e = client.event("room", room=room)
        assert e == {"ev": "room", "room": room, "seq": seq, "ts": e["ts"], "from": own("alice"), "title": room, "kind": kind,
                     "history_days": 0, "slow_ms": 0, "history_events": 0, "deleted": True}
    ops = {"join": {}, "leave": {}, "subscribe": {}, "send": {"key": "late", "text": "x"},
           "edit": {"target": said, "key": "e", "text": "y"}, "revoke": {"target": said, "key": "v"},
           "react": {"target": said, "key": "r", "emoji": "+1", "on": True}, "history": {}, "thread": {"target": said}, "scheduled": {},
           "read": {"seq": said}, "typing": {"on": True}, "members": {}, "room": {}, "topic": {"title": "x"}, "pin": {"target": said},
           "invite": {"user": own("zoe")}, "kick": {"user": own("bob")}}
    for op, fields in ops.items():
        for client in (alice, bob):
            client.refused(op, "not_found", room=room, **fields)
    alice.refused("room", "not_found", room=room, delete=True)
    assert shared.rest("GET", f"/api/v1/rooms/{path_of(room)}", token=shared.token(own("bob"))).status == 404
    for client in (alice, bob):
        until(lambda: inbox(client) == {other}, "the inbox has lost it")
    # Who was away learns it on resume.
    back = shared.sign_in(own("bob"), resume={room: {"epoch": made["epoch"], "seq": 1}})
    assert back.hello["resumed"][room]["error"]["code"] == "not_found"
    assert [r["room"] for r in back.hello["rooms"]] == [other]
    # The other room goes on, and nothing more is heard of this one.
    alice.request("send", room=other, key="k", text="still here")
    for client in (alice, bob, phone):
        assert client.event("message")["text"] == "still here"


def test_only_owners_end_a_room_and_nobody_a_direct_one(shared, own):
    room = own("room")
    alice, bob, eve = (shared.sign_in(own(n), subscribe="none") for n in ("alice", "bob", "eve"))
    alice.request("create", room=room)
    alice.request("invite", room=room, user=own("bob"))
    eve.refused("room", "not_member", room=room, delete=True)
    for role in ("member", "moderator"):
        alice.request("role", room=room, user=own("bob"), role=role)
        bob.refused("room", "forbidden", room=room, delete=True)
        assert shared.rest("DELETE", f"/api/v1/rooms/{path_of(room)}", token=shared.token(own("bob"))).status == 403
    alice.refused("room", "bad_request", room=room, delete=True, title="x")
    direct = bob.request("send", to=own("alice"), key="k", text="x")["room"]
    bob.refused("room", "forbidden", room=direct, delete=True)
    alice.request("role", room=room, user=own("bob"), role="owner")
    answer = shared.rest("DELETE", f"/api/v1/rooms/{path_of(room)}", token=shared.token(own("bob")))
    assert answer.status == 200
    assert shared.rest("DELETE", f"/api/v1/rooms/{path_of(room)}", token=shared.token(own("alice"))).status == 404
    assert bob.request("history", room=direct)["events"]


def test_a_room_that_is_made_again_knows_nothing_of_the_old_one(shared, own):
    room = own("room")
    alice, bob, eve = (shared.sign_in(own(n)) for n in ("alice", "bob", "eve"))
    old = alice.request("create", room=room, title="The old one", history_days=7)
    bob.request("join", room=room)
    alice.request("ban", room=room, user=own("eve"))
    said = alice.request("send", room=room, key="k", text=f"@{own('bob')} once")["seq"]
    reply = bob.request("send", room=room, key="k", text="reply", reply_to=said)["seq"]
    alice.request("read", room=room, thread=said, seq=reply)
    alice.request("pin", room=room, target=said)
    scheduled = {"room": room, "key": "later", "text": "later", "at": now_ms() + 4_000}
    bob.request("send", **scheduled)
    delete(alice, room)
    bob.event("room", room=room, deleted=True)
    eve.refused("history", "not_found", room=room)
    new = created_again(eve, room, title="The new one")
    assert new["seq"] == 1 and new["epoch"] != old["epoch"]
    about = eve.request("room", room=room)
    assert (about["title"], about["creator"], about["member_count"], about["pins"], about["history_days"], about["first"]) == (
        "The new one", own("eve"), 1, [], 0, 1)
    assert [e["ev"] for e in eve.request("history", room=room)["events"]] == ["member"]
    assert eve.request("members", room=room, banned=True)["members"] == []
    alice.refused("send", "not_member", room=room, key="k", text="x")
    for client in (alice, bob):
        client.request("join", room=room)
    ok = alice.request("send", room=room, key="k", text="once")
    assert ok["seq"] == 4 and "duplicate" not in ok
    # Nobody has read anything here, and nothing of what was to be sent is left.
    entry = next(r for r in bob.request("rooms")["rooms"] if r["room"] == room)
    assert (entry["epoch"], entry["read"], entry["unread"], entry["mentions"]) == (new["epoch"], 3, 1, 0)
    bob.request("send", room=room, key="k2", text="reply", reply_to=4)
    assert alice.request("thread", room=room, target=4)["read"] == 0
    assert bob.request("scheduled", room=room) == {"sends": []}
    after = {**scheduled, "key": "after", "at": max(scheduled["at"] + 200, now_ms() + 500)}
    bob.request("send", **after)
    eve.event("message", room=room, key="after")
    history = eve.request("history", room=room)["events"]
    assert [e.get("key") for e in history if e["ev"] == "message"] == ["k", "k2", "after"]
    resumed = shared.sign_in(own("bob"), resume={room: {"epoch": old["epoch"], "seq": said}}).hello["resumed"][room]
    assert resumed["recovered"] is False and resumed["epoch"] == new["epoch"]


def test_other_rooms_are_what_they_were(make_server):
    server = make_server(storage__write_buffer_mb=4)
    alice, bob = server.sign_in("alice", subscribe="none"), server.sign_in("bob", subscribe="none")
    gone, stay = ["hall", "team/hall", "m"], ["hal", "hall-", "hall0", "halls", "team/hall0", "hall/team", "lobby"]
    for room in gone + stay:
        alice.request("create", room=room, title=room)
        bob.request("join", room=room)
        alice.request("ban", room=room, user="eve")
        alice.request("send", room=room, key="root", text=room)
        requests = [alice.prepare("send", room=room, key=f"k{i}", text=f"@bob {i} in {room}",
                                  **({"reply_to": 4} if i % 3 == 2 else {})) for i in range(50)]
        alice.post_all(requests)
        for r in requests:
            alice.answer(r["id"])
        alice.request("edit", room=room, target=4, key="e", text="better")
        bob.request("react", room=room, target=4, key="r", emoji="+1", on=True)
        bob.request("read", room=room, thread=4, seq=9)
        alice.request("pin", room=room, target=5)
        bob.request("send", room=room, key="later", text="later", at=now_ms() + 3_600_000)

    def seen(alice):
        look = server.sign_in("bob", subscribe="none")
        found = {}
        for room in stay:
            found[room] = [server.history(server.token("bob"), room), look.request("thread", room=room, target=4),
                           look.request("room", room=room), look.request("scheduled", room=room),
                           alice.request("members", room=room, banned=True)]
        found["inbox"] = [r for r in look.request("rooms")["rooms"] if r["room"] in stay]
        look.leave()
        return found

    before = seen(alice)
    for room in gone:
        delete(alice, room)
    for room in gone:
        created_again(alice, room)  # so it has been cleared out
    assert seen(alice) == before
    server.kill()
    server.start()
    assert seen(server.sign_in("alice", subscribe="none")) == before
    bob = server.sign_in("bob", subscribe="none")
    assert inbox(bob) == set(stay)
    bob.request("cancel", room="halls", key="later")


# -- across crashes ------------------------------------------------------------------------------------------------------
@pytest.fixture
def crowd(make_server):
    """A server, and a way to make a room with many members."""
    server = make_server(limits__members_per_room=MEMBERS + 10)
    users = [f"user-{i:03}" for i in range(MEMBERS)]

    def fill(owner, room):
        made = owner.request("create", room=room)
        requests = [owner.prepare("invite", room=room, user=u) for u in users]
        requests.append(owner.prepare("send", room=room, key="k", text="welcome"))
        owner.post_all(requests)
        for r in requests:
            owner.answer(r["id"])
        return made["epoch"]

    return server, users, fill


def lists_of(server, users):
    """What stands on the users' lists of rooms."""
    return {r["room"] for u in users for r in server.rest("GET", "/api/v1/rooms", token=server.token(u)).json["rooms"]}


def test_a_large_room_goes_as_a_whole_wherever_the_server_is_killed(crowd):
    server, users, fill = crowd
    owner = server.sign_in("owner", subscribe="none")
    fill(owner, "stays")
    for n, time_of_death in enumerate(("unanswered", "at once", "later", "on the way up")):
        room = f"hall-{n}"
        fill(owner, room)
        request = owner.post("room", room=room, delete=True)
        if time_of_death != "unanswered":
            owner.answer(request)
        if time_of_death == "later":
            until(lambda: room not in lists_of(server, users[:1]), "somebody's list has lost it")
        server.kill()
        server.start()
        if time_of_death == "on the way up":
            server.kill()
            server.start()
        owner = server.sign_in("owner", subscribe="none")
        if time_of_death == "unanswered":
            try:
                delete(owner, room)
            except RequestError as e:
                assert e.code == "not_found", e
        owner.refused("history", "not_found", room=room)
        until(lambda: lists_of(server, users) == {"stays"}, "all lists have lost it, and nothing else")
        assert created_again(owner, room)["seq"] == 1
        assert [m["user"] for m in owner.request("members", room=room)["members"]] == ["owner"]
        assert owner.request("history", room=room, limit=1)["as_of"] == 1
    assert owner.request("room", room="stays")["member_count"] == MEMBERS + 1
