"""Rooms against the real server, over plain sockets and TLS: who is in them, who listens, what is read and typed there."""

import json

from support.waiting import now_ms, until


# -- create, join, leave, subscribe --------------------------------------------------------------------------------------
def test_create_makes_the_creator_the_owner(shared, own, tls):
    alice = shared.sign_in(own("alice"), tls=tls)
    room = own("room")
    made = alice.request("create", room=room, kind="public", title="A room", history_days=0)
    assert made["room"] == room and made["epoch"] and made["seq"] == 1
    joined = alice.request("join", room=room)
    assert joined["role"] == "owner" and joined["seq"] == 1 and joined["epoch"] == made["epoch"]
    assert joined["member_count"] == 1 and joined["online_count"] == 1
    repeated = alice.request("create", room=room, kind="public", title="A room", history_days=0)
    assert repeated == made, "the answer got lost, and the client asks again"
    alice.refused("create", "exists", room=room)
    alice.leave()


def test_join_makes_one_member_event_and_leave_another(shared, own, tls):
    room = own("room")
    alice, bob = shared.sign_in(own("alice"), tls=tls), shared.sign_in(own("bob"))
    made = alice.request("create", room=room)
    joined = bob.request("join", room=room)
    assert joined["seq"] == 2 and joined["role"] == "member" and joined["member_count"] == 2
    assert joined["epoch"] == made["epoch"] and joined["online_count"] == 2 and "recovered" not in joined
    event = alice.event("member", room=room, user=own("bob"))
    assert (event["seq"], event["change"], event["role"], event["from"]) == (2, "joined", "member", own("bob"))
    assert abs(event["ts"] - now_ms()) < 60_000
    assert bob.request("join", room=room)["seq"] == 2, "joining again made an event"
    bob.request("leave", room=room)
    event = alice.event("member", room=room)
    assert (event["seq"], event["change"], event["user"]) == (3, "left", own("bob"))
    assert bob.request("leave", room=room)["seq"] == 3, "leaving again made an event"
    alice.request("send", room=room, key="k1", text="are you there?")
    bob.settle()
    assert not bob.has_event("message"), "leave did not end the subscription"
    bob.refused("send", "not_member", room=room, key="k2", text="hi")
    assert bob.request("join", room=room)["seq"] == 5
    alice.leave(), bob.leave()


def test_what_is_not_there_is_not_found(shared, own):
    alice = shared.sign_in(own("alice"))
    nowhere = own("nowhere")
    for op, fields in [("join", {}), ("leave", {}), ("subscribe", {}), ("send", {"key": "k", "text": "x"}),
                       ("history", {}), ("read", {"seq": 1}), ("members", {}), ("typing", {"on": True})]:
        alice.refused(op, "not_found", room=nowhere, **fields)
    alice.leave()


def test_a_public_room_can_be_listened_to_and_read_without_joining(shared, own):
    room = own("room")
    alice, eve = shared.sign_in(own("alice")), shared.sign_in(own("eve"))
    alice.request("create", room=room)
    ok = eve.request("subscribe", room=room)
    assert ok["seq"] == 1 and ok["role"] == "none" and ok["member_count"] == 1
    alice.request("send", room=room, key="k", text="hello all")
    assert eve.event("message", room=room)["text"] == "hello all"
    assert [e["seq"] for e in eve.request("history", room=room)["events"]] == [1, 2]
    eve.refused("send", "not_member", room=room, key="k", text="may I?")
    eve.refused("read", "not_member", room=room, seq=1)
    eve.request("unsubscribe", room=room)
    alice.request("send", room=room, key="k2", text="anyone?")
    eve.settle()
    assert not eve.has_event("message")
    alice.leave(), eve.leave()


def test_a_private_room_shows_nothing_to_strangers(shared, own):
    room = own("room")
    alice, eve = shared.sign_in(own("alice")), shared.sign_in(own("eve"))
    alice.request("create", room=room, kind="private")
    for op, fields in [("subscribe", {}), ("history", {}), ("send", {"key": "k", "text": "x"}), ("members", {})]:
        eve.refused(op, "not_member", room=room, **fields)
    eve.refused("join", "forbidden", room=room)
    answer = shared.rest("GET", f"/api/v1/rooms/{room}/events", token=shared.token(own("eve")))
    assert answer.status == 403
    alice.leave(), eve.leave()


def test_only_its_owner_speaks_in_an_announce_room(shared, own):
    room = own("room")
    alice, bob = shared.sign_in(own("alice")), shared.sign_in(own("bob"))
    alice.request("create", room=room, kind="announce")
    alice.request("send", room=room, key="k", text="news")
    # The contract opens only public rooms to everybody; where joining is open, speaking still is not.
    try:
        bob.request("join", room=room)
    except Exception as e:
        assert e.code == "forbidden", e
        bob.refused("send", "not_member", room=room, key="k", text="me, too")
    else:
        bob.refused("send", "forbidden", room=room, key="k", text="me, too")
    alice.leave(), bob.leave()


def test_subscribing_is_for_one_connection_and_leaves_membership_alone(shared, own):
    room = own("room")
    alice = shared.sign_in(own("alice"))
    other = shared.sign_in(own("alice"), subscribe="none")
    alice.request("create", room=room)
    alice.request("send", room=room, key="k1", text="one")
    other.settle()
    assert not other.events, "a connection that subscribed to nothing got events"
    assert other.request("subscribe", room=room)["role"] == "owner"
    alice.request("send", room=room, key="k2", text="two")
    assert other.event("message", room=room)["text"] == "two"
    other.request("unsubscribe", room=room)
    alice.request("send", room=room, key="k3", text="three")
    other.settle()
    assert not other.has_event("message")
    assert alice.request("rooms")["rooms"][0]["room"] == room
    alice.leave(), other.leave()


def test_hello_may_subscribe_to_a_list_of_rooms(shared, own):
    a, b = own("a"), own("b")
    alice = shared.sign_in(own("alice"))
    for room in (a, b):
        alice.request("create", room=room)
    phone = shared.sign_in(own("alice"), subscribe=[a])
    assert {r["room"]: r["subscribed"] for r in phone.hello["rooms"]} == {a: True, b: False}
    alice.request("send", room=b, key="k", text="to b")
    alice.request("send", room=a, key="k", text="to a")
    assert phone.event("message")["room"] == a
    phone.settle()
    assert not phone.has_event("message")
    alice.leave(), phone.leave()


def test_a_room_joined_on_one_device_is_heard_on_all(shared, own, tls):
    room = own("room")
    bob, laptop = shared.sign_in(own("bob")), shared.sign_in(own("alice"))
    phone = shared.sign_in(own("alice"), tls=tls)
    made = bob.request("create", room=room)
    joined = laptop.request("join", room=room)
    bob.request("send", room=room, key="k", text="welcome")
    said = phone.event("subscribed", room=room)
    assert said["epoch"] == made["epoch"] and said["seq"] <= joined["seq"]
    assert phone.event("message", room=room)["seq"] == 3
    laptop.request("leave", room=room)
    left = phone.event("member", room=room, change="left")
    assert left["user"] == own("alice"), "who is removed gets the own member event last"
    bob.request("send", room=room, key="k2", text="gone?")
    phone.settle()
    assert not phone.has_event("message")
    for c in (bob, laptop, phone):
        c.leave()


def test_hello_lists_the_rooms_of_the_user(shared, own):
    rooms = [own(f"room{i}") for i in range(3)]
    alice = shared.sign_in(own("alice"))
    for room in rooms:
        alice.request("create", room=room)
    for i, room in enumerate(rooms):
        for k in range(i + 1):
            alice.request("send", room=room, key=f"k{k}", text="x")
    alice.request("read", room=rooms[2], seq=2)
    listed = {r["room"]: r for r in shared.sign_in(own("alice")).hello["rooms"]}
    assert set(listed) == set(rooms)
    for i, room in enumerate(rooms):
        r = listed[room]
        assert r["seq"] == i + 2 and r["role"] == "owner" and r["kind"] == "public" and r["subscribed"] is True
    assert listed[rooms[2]]["read"] == 2
    alice.leave()


def test_namespaces_and_the_longest_names(shared, own):
    user = ("u" + own("x")).ljust(32, "z")
    alice = shared.sign_in(user)
    for room in (own("team") + "/" + "r" * 64, own("r").ljust(64, "r"), "0." + own("_-")):
        assert alice.request("create", room=room)["room"] == room
        assert alice.request("send", room=room, key="k", text="x")["room"] == room
    alice.leave()


# -- read, typing --------------------------------------------------------------------------------------------------------
def test_a_read_position_moves_forward_only_and_is_shown_to_others(shared, own):
    room = own("room")
    alice, bob = shared.sign_in(own("alice")), shared.sign_in(own("bob"))
    alice.request("create", room=room)
    bob.request("join", room=room)
    for i in range(5):
        alice.request("send", room=room, key=f"k{i}", text="x")
    bob.request("read", room=room, seq=4)
    assert alice.event("read", room=room) == {"ev": "read", "room": room, "user": own("bob"), "seq": 4}
    bob.request("read", room=room, seq=2)
    listed = {r["room"]: r for r in shared.sign_in(own("bob")).hello["rooms"]}
    assert listed[room]["read"] == 4
    # Without an id it is done without an answer.
    bob.ws.send_text(json.dumps({"op": "read", "room": room, "seq": 6}))
    assert alice.event("read", room=room)["seq"] == 6
    entry = next(r for r in bob.request("rooms")["rooms"] if r["room"] == room)
    assert (entry["read"], entry["seq"], entry["unread"]) == (6, 7, 1)
    alice.leave(), bob.leave()


def test_a_read_position_beyond_the_head_is_not_taken_as_it_is(shared, own):
    room = own("room")
    alice = shared.sign_in(own("alice"))
    alice.request("create", room=room)
    try:
        alice.request("read", room=room, seq=1000)
    except Exception as e:
        assert getattr(e, "code", None) == "bad_request", e
    assert shared.sign_in(own("alice")).hello["rooms"][0]["read"] <= 1
    alice.leave()


def test_typing_is_shown_to_others_and_needs_no_answer(shared, own):
    room = own("room")
    alice, bob = shared.sign_in(own("alice")), shared.sign_in(own("bob"))
    alice.request("create", room=room)
    bob.request("join", room=room)
    bob.ws.send_text(json.dumps({"op": "typing", "room": room, "on": True}))
    shown = alice.event("typing", room=room)
    assert (shown["user"], shown["on"]) == (own("bob"), True)
    assert bob.request("typing", room=room, on=False) == {}
    assert alice.event("typing", room=room)["on"] is False
    stranger = shared.sign_in(own("eve"))
    stranger.refused("typing", "not_member", room=room, on=True)
    # Other requests without an id are refused.
    bob.ws.send_text(json.dumps({"op": "send", "room": room, "key": "k", "text": "x"}))
    assert bob.null_error()["code"] == "bad_request"
    assert len(bob.request("history", room=room)["events"]) == 2
    for c in (alice, bob, stranger):
        c.leave()


# -- rooms, members ------------------------------------------------------------------------------------------------------
def test_rooms_pages_through_the_inbox(shared, own):
    alice = shared.sign_in(own("alice"), subscribe="none")
    names = [own(f"room{i:02}") for i in range(25)]
    for room in names:
        alice.request("create", room=room)
    alice.request("send", room=names[7], key="k", text="last one")
    found, after = {}, None
    for _ in range(26):
        ok = alice.request("rooms", limit=4, **({"after": after} if after else {}))
        assert len(ok["rooms"]) <= 4
        for r in ok["rooms"]:
            assert r["room"] not in found, "a room came twice"
            found[r["room"]] = r
        after = ok.get("next")
        if not after:
            break
    assert set(found) == set(names)
    entry = found[names[7]]
    assert (entry["seq"], entry["read"], entry["mentions"]) == (2, 1, 0)
    assert entry["last"]["text"] == "last one" and entry["last"]["seq"] == 2
    alice.refused("rooms", "too_large", limit=101)
    alice.leave()


def test_members_pages_through_the_room(shared, own):
    room = own("room")
    alice = shared.sign_in(own("alice"))
    alice.request("create", room=room)
    clients = [shared.sign_in(own(f"m{i:02}")) for i in range(12)]
    for c in clients:
        c.request("join", room=room)
    clients[3].leave()
    found, after = [], None
    for _ in range(14):
        ok = alice.request("members", room=room, limit=5, **({"after": after} if after else {}))
        found += ok["members"]
        after = ok.get("next")
        if not after:
            break
    by_name = {m["user"]: m for m in found}
    assert len(found) == len(by_name) == 13
    assert by_name[own("alice")]["role"] == "owner" and by_name[own("m00")]["role"] == "member"
    assert by_name[own("m00")]["online"] is True
    # Going offline is told asynchronously: ask until it is known.
    until(lambda: not {m["user"]: m for m in alice.request("members", room=room)["members"]}[own("m03")]["online"],
          "a member who left is offline")
    for c in clients[:3] + clients[4:]:
        c.leave()
    alice.leave()
