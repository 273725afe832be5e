"""Resuming exactly as promised: everything missed, in order, once, joined to what is live; or `recovered: false`."""

import json
import threading

import pytest

from support.waiting import now_ms, until


@pytest.fixture(scope="module")
def settings():
    return {"limits__resume_events": 100}


@pytest.fixture(scope="module")
def shared(tmp_path_factory, settings):
    from support.server import Server

    server = Server(tmp_path_factory.mktemp("shared"), tls=True, **settings)
    server.start()
    yield server
    server.end()


def room_with(server, own, n, kind="public"):
    """A room of alice's with n events; returns (alice, room, epoch)."""
    alice = server.sign_in(own("alice"))
    room = own("room")
    epoch = alice.request("create", room=room, kind=kind)["epoch"]
    say(alice, room, n - 1)
    return alice, room, epoch


def say(client, room, n, prefix="k"):
    requests = [client.prepare("send", room=room, key=f"{prefix}{i}", text=f"{prefix} {i}") for i in range(n)]
    if requests:
        client.post_all(requests)
    return [client.answer(r["id"])["seq"] for r in requests]


def seqs_until(client, room, last):
    """The durable seqs of the room that come, up to `last`; the client itself checks that none is missing."""
    seqs = []
    while not seqs or seqs[-1] < last:
        e = client.event()
        if e.get("room") == room and "seq" in e and e["ev"] not in ("read", "subscribed"):
            seqs.append(e["seq"])
    return seqs


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_what_was_missed_comes_after_the_answer_and_then_what_is_live(shared, own, tls):
    alice, room, epoch = room_with(shared, own, 30)
    bob = shared.sign_in(own("bob"), tls=tls, resume={room: {"epoch": epoch, "seq": 12}}, subscribe=[room])
    assert bob.hello["resumed"] == {room: {"recovered": True, "epoch": epoch, "seq": 30}}
    assert seqs_until(bob, room, 30) == list(range(13, 31))
    say(alice, room, 3, "live")
    assert seqs_until(bob, room, 33) == [31, 32, 33]
    alice.leave(), bob.leave()


def test_a_member_resumes_with_the_rooms_of_all(shared, own):
    alice, room, epoch = room_with(shared, own, 30)
    phone = shared.sign_in(own("alice"), resume={room: {"epoch": epoch, "seq": 0}})
    assert phone.hello["resumed"][room]["recovered"] is True
    assert seqs_until(phone, room, 30) == list(range(1, 31))
    alice.leave(), phone.leave()


def test_nothing_missed_is_recovered_without_events(shared, own):
    alice, room, epoch = room_with(shared, own, 5)
    phone = shared.sign_in(own("alice"), resume={room: {"epoch": epoch, "seq": 5}})
    assert phone.hello["resumed"] == {room: {"recovered": True, "epoch": epoch, "seq": 5}}
    phone.settle()
    assert not phone.events
    say(alice, room, 1, "live")
    assert seqs_until(phone, room, 6) == [6]
    alice.leave(), phone.leave()


@pytest.mark.parametrize("how", ["hello", "join", "subscribe"])
@pytest.mark.parametrize("case", ["unknown epoch", "beyond the head", "too far behind", "at the limit"])
def test_recovered_or_not_and_never_a_part(shared, own, how, case):
    alice, room, epoch = room_with(shared, own, 120)
    position = {"unknown epoch": {"epoch": "nonsense", "seq": 118}, "beyond the head": {"epoch": epoch, "seq": 121},
                "too far behind": {"epoch": epoch, "seq": 19}, "at the limit": {"epoch": epoch, "seq": 20}}[case]
    recovered = case == "at the limit"
    if how == "hello":
        phone = shared.sign_in(own("alice"), resume={room: position})
        result = phone.hello["resumed"][room]
    else:
        phone = shared.sign_in(own("alice"), subscribe="none")
        result = phone.request(how, room=room, resume=position)
    assert result["recovered"] is recovered and "error" not in result
    assert (result["epoch"], result["seq"]) == (epoch, 120)
    if recovered:
        assert seqs_until(phone, room, 120) == list(range(21, 121))
    phone.settle()
    assert not phone.events, "a part was replayed"
    say(alice, room, 2, "live")
    assert seqs_until(phone, room, 122) == [121, 122]
    alice.leave(), phone.leave()


def test_one_bad_room_never_fails_hello(shared, own):
    alice, room, epoch = room_with(shared, own, 5)
    secret = own("secret")
    alice.request("create", room=secret, kind="private")
    direct = "@" + "+".join(sorted([own("x"), own("y")]))
    position = {"epoch": epoch, "seq": 1}
    bob = shared.sign_in(own("bob"), subscribe=[room],
                         resume={room: position, secret: position, own("nowhere"): position, direct: position})
    resumed = bob.hello["resumed"]
    assert resumed[room]["recovered"] is True
    assert resumed[secret]["error"]["code"] == "not_member"
    assert resumed[own("nowhere")]["error"]["code"] == "not_found"
    assert resumed[direct]["error"]["code"] == "not_member"
    assert seqs_until(bob, room, 5) == [2, 3, 4, 5]
    alice.leave(), bob.leave()


def test_resuming_does_not_subscribe_to_more_than_subscribe_says(shared, own):
    alice, room, epoch = room_with(shared, own, 10)
    phone = shared.sign_in(own("alice"), subscribe="none", resume={room: {"epoch": epoch, "seq": 4}}, check_order=False)
    assert room in phone.hello["resumed"]
    assert phone.hello["rooms"][0]["subscribed"] is False
    say(alice, room, 1, "live")
    phone.settle()
    assert all(e["seq"] <= 10 for e in phone.events), "it was subscribed"
    alice.leave(), phone.leave()


def test_who_left_a_private_room_cannot_resume_it(shared, own):
    alice, room, epoch = room_with(shared, own, 3, "private")
    alice.request("leave", room=room)
    again = shared.sign_in(own("alice"), resume={room: {"epoch": epoch, "seq": 1}})
    assert again.hello["resumed"][room]["error"]["code"] == "not_member"
    again.settle()
    assert not again.events
    alice.leave(), again.leave()


def test_resuming_joins_seamlessly_while_others_talk(shared, own):
    """A client comes back fifty times while two others never stop talking; Client checks each seq against the last."""
    alice, room, epoch = room_with(shared, own, 2)
    stop = threading.Event()
    said, failures = {"last": 2}, []

    def talk(name):
        try:
            talker = shared.sign_in(own(name), subscribe="none")
            talker.request("join", room=room)
            talker.request("unsubscribe", room=room)
            n = 0
            while not stop.is_set():
                requests = [talker.prepare("send", room=room, key=f"{name}{n + i}", text="x") for i in range(10)]
                n += 10
                talker.post_all(requests)
                said["last"] = max([said["last"]] + [talker.answer(r["id"])["seq"] for r in requests])
            talker.leave()
        except BaseException as e:
            failures.append(e)

    talkers = [threading.Thread(target=talk, args=(name,)) for name in ("bob", "carol")]
    for t in talkers:
        t.start()
    position = {"epoch": epoch, "seq": 2}
    got = []
    try:
        for round_ in range(50):
            phone = shared.sign_in(own("alice"), subscribe=[room] if round_ % 2 else "all", resume={room: position})
            result = phone.hello["resumed"][room]
            if not result["recovered"]:  # too far behind: this room is fast
                got.clear()
            else:
                assert position["seq"] <= result["seq"]
            for _ in range(15):
                e = phone.event(room=room)
                if "seq" in e and e["ev"] in ("message", "member"):
                    got.append(e["seq"])
            position = dict(phone.positions[room])
            # What was read from the socket beyond the last event taken counts as seen, too.
            got += [e["seq"] for e in phone.events if e["ev"] in ("message", "member")]
            phone.kill()
            assert got == list(range(got[0], got[-1] + 1))
    finally:
        stop.set()
        for t in talkers:
            t.join()
    assert not failures, failures
    alice.leave()


def test_subscribing_again_leaves_the_stream_as_it_is(shared, own):
    """While bob talks, alice joins and subscribes again and again; nothing is left out of what she hears."""
    alice, room, _ = room_with(shared, own, 1)
    bob = shared.sign_in(own("bob"), subscribe="none")
    bob.request("join", room=room)
    last = 2
    for i in range(30):
        requests = [bob.prepare("send", room=room, key=f"{i}-{k}", text="x") for k in range(10)]
        bob.post_all(requests)
        again = alice.post("join" if i % 2 else "subscribe", room=room)
        last = max(bob.answer(r["id"])["seq"] for r in requests)
        assert alice.answer(again)["seq"] <= last
    assert seqs_until(alice, room, last)[-1] == last  # Client has checked that none was missing
    alice.leave(), bob.leave()


def test_join_with_resume_replays_what_a_member_missed(shared, own):
    alice, room, epoch = room_with(shared, own, 10)
    bob = shared.sign_in(own("bob"))
    joined = bob.request("join", room=room, resume={"epoch": epoch, "seq": 7})
    assert joined["recovered"] is True and joined["seq"] == 11 and joined["epoch"] == epoch
    assert seqs_until(bob, room, 11) == [8, 9, 10, 11]
    alice.leave(), bob.leave()


def test_subscribed_events_make_every_room_resumable(shared, own):
    """Rooms that no answer named: the direct room, and one joined on another device."""
    alice, bob = shared.sign_in(own("alice")), shared.sign_in(own("bob"))
    phone = shared.sign_in(own("alice"))
    room = own("room")
    bob.request("create", room=room)
    alice.request("join", room=room)
    say(bob, room, 2)
    direct = bob.request("send", to=own("alice"), key="k", text="psst")["room"]
    phone.event("message", room=room, seq=4)
    phone.event("message", room=direct)
    phone.kill()
    say(bob, room, 2, "missed")
    bob.request("send", to=own("alice"), key="k2", text="there?")
    again = shared.sign_in(own("alice"), resume=phone.positions)
    assert {r: v["recovered"] for r, v in again.hello["resumed"].items()} == {room: True, direct: True}
    assert again.event("message", room=direct)["text"] == "there?"
    for c in (alice, bob, again):
        c.leave()


def test_rooms_over_the_limit_of_subscriptions_say_so(make_server, own):
    server = make_server(limits__subscriptions=4, limits__hello_rooms=4)
    alice = server.sign_in("alice", subscribe="none")
    for i in range(7):
        alice.request("create", room=f"room{i}")
        alice.request("send", room=f"room{i}", key="k", text="x")
        sent_by = now_ms()
        until(lambda: now_ms() > sent_by, "the clock goes on")  # of two rooms with the same time either is the later one

    def most_recent():
        phone = server.sign_in("alice")
        if [r["room"] for r in phone.hello["rooms"]] == ["room6", "room5", "room4", "room3"]:
            return phone
        phone.leave()

    phone = until(most_recent, "the inbox knows which rooms are the most recently active")
    listed = phone.hello["rooms"]
    assert [r["subscribed"] for r in listed] == [True] * 4
    assert phone.hello["more"] is True
    everything = {}
    after = None
    while after is None or after:
        page = phone.request("rooms", **({"after": after} if after else {}))
        everything.update({r["room"]: r["subscribed"] for r in page["rooms"]})
        after = page.get("next", "")
    assert everything == {f"room{i}": i >= 3 for i in range(7)}
    for i in range(7):
        alice.request("send", room=f"room{i}", key="k2", text="y")
    assert {phone.event("message")["room"] for _ in range(4)} == {"room6", "room5", "room4", "room3"}
    phone.settle()
    assert not phone.has_event("message")
    phone.refused("subscribe", "too_large", room="room0")
    phone.request("unsubscribe", room="room5")
    phone.request("subscribe", room="room0")


def test_resume_of_many_rooms_at_once(shared, own):
    alice = shared.sign_in(own("alice"))
    rooms = [own(f"room{i}") for i in range(60)]
    epochs = {}
    for room in rooms:
        epochs[room] = alice.request("create", room=room)["epoch"]
    requests = [alice.prepare("send", room=room, key=f"k{i}", text="x") for i in range(20) for room in rooms]
    alice.post_all(requests[:600]), alice.post_all(requests[600:])
    for r in requests:
        alice.answer(r["id"])
    phone = shared.sign_in(own("alice"), resume={r: {"epoch": epochs[r], "seq": i % 21} for i, r in enumerate(rooms)})
    assert all(r["recovered"] for r in phone.hello["resumed"].values())
    missing = sum(21 - i % 21 for i in range(60))
    for _ in range(missing):
        phone.event()
    assert all(phone.positions[r]["seq"] == 21 for r in rooms)
    phone.settle()
    assert not phone.events, json.dumps(phone.events[0])
    alice.leave(), phone.leave()
