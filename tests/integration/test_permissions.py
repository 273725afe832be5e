"""Who may do what in a room: the table of net/PROTOCOL.md, "Roles", tried cell by cell against the real server; and what
moderation does to those whom it hits."""

import itertools
import pathlib
import re
import time

import pytest

from support.client import RequestError

PROTOCOL = pathlib.Path(__file__).parents[2] / "net" / "PROTOCOL.md"
KINDS = ["public", "private", "announce"]
ROLES = ["nobody", "guest", "member", "moderator", "owner"]  # here: nobody sits in the room
RANK = {"anybody": 0, "guest": 1, "member": 2, "moderator": 3, "owner": 4, "both": 2, "nobody": 5}
REFUSALS = {"forbidden", "not_member"}
EVERYBODY = "@room"  # the one row that is about no op: who has not the role may write it, and means nobody


def table():
    """op -> the least role, by kind of room. Rows of several ops stand for each of them."""
    rows = {}
    section = PROTOCOL.read_text().split("### Roles\n", 1)[1].split("\n#", 1)[0]
    for line in section.splitlines():
        cells = [c.strip() for c in line.strip("|").split("|")]
        if line.startswith("| `"):
            for op in re.findall(r"`([^`]+)`", cells[0]):
                rows[op] = dict(zip([*KINDS, "direct"], cells[1:]))
    return rows


def ops():
    return {op: least for op, least in table().items() if op != EVERYBODY}


class Stage:
    """A room of a kind, its owner, and somebody in a role; everybody else is made when needed."""

    def __init__(self, server, own, kind):
        self.server, self.own, self.room, self.numbers = server, own, own("room"), itertools.count(1)
        self.owner = server.sign_in(own("owner"))
        self.owner.request("create", room=self.room, kind=kind)
        self.owner.request("invite", room=self.room, user=own("second"))
        self.owner.request("role", room=self.room, user=own("second"), role="owner")

    def somebody(self, role="member"):
        """A user of that role who is not connected."""
        name = self.own(f"u{next(self.numbers)}")
        if role != "nobody":
            self.owner.request("invite", room=self.room, user=name)
            if role != "member":
                self.owner.request("role", room=self.room, user=name, role=role)
        return name

    def message(self, by=None):
        return (by or self.owner).request("send", room=self.room, key=f"k{next(self.numbers)}", text="x")["seq"]

    def fields(self, op):
        """What the op needs, about people and messages that it fits."""
        key = f"k{next(self.numbers)}"
        if op in ("subscribe", "join", "room"):
            return {}
        if op in ("history", "members"):
            return {"limit": 1}
        if op == "send":
            return {"key": key, "text": "hi"}
        if op in ("react", "revoke", "pin", "unpin"):
            target = self.message()
            if op == "unpin":
                self.owner.request("pin", room=self.room, target=target)
            return {"target": target, **({"key": key} if op in ("react", "revoke") else {}),
                    **({"emoji": "+1", "on": True} if op == "react" else {})}
        if op == "typing":
            return {"on": True}
        if op == "topic":
            return {"title": key}
        if op == "room with changes":
            return {"title": key}
        if op == "invite":
            return {"user": self.somebody("nobody")}
        user = self.somebody("guest")
        if op == "unban":
            self.owner.request("ban", room=self.room, user=user)
        if op == "unmute":
            self.owner.request("mute", room=self.room, user=user)
        return {"user": user, **({"role": "member"} if op == "role" else {})}


@pytest.mark.parametrize("kind", KINDS)
def test_every_cell_of_the_table(shared, own, kind):
    stage = Stage(shared, own, kind)
    rows = ops()
    assert len(rows) >= 20
    for role in ROLES:
        for op, least in rows.items():
            actor = shared.sign_in(stage.somebody(role), subscribe="none")
            allowed = ROLES.index(role) >= RANK[least[kind]]
            if op == "join" and role != "nobody":
                allowed = True  # whoever sits in the room may always listen by it
            fields = {"room": stage.room, **stage.fields(op)}
            try:
                actor.request(op.split()[0], **fields)
                assert allowed, f"{op} was allowed to {role} of a {kind} room, the table says {least[kind]}"
            except RequestError as e:
                assert not allowed, f"{op} was refused to {role} of a {kind} room ({e}), the table says {least[kind]}"
                assert e.code in REFUSALS, f"{op} by {role}: {e}"
            actor.leave()


def test_every_cell_of_direct_rooms(shared, own):
    alice, bob, eve = (shared.sign_in(own(n), subscribe="none") for n in ("alice", "bob", "eve"))
    room = "@" + "+".join(sorted([own("alice"), own("bob")]))
    first = alice.request("send", room=room, key="k", text="x")["seq"]
    fields = {"history": {"limit": 1}, "members": {"limit": 1}, "send": {"text": "x"}, "react": {"target": first, "emoji": "+1", "on": True},
              "revoke": {"target": first}, "pin": {"target": first}, "unpin": {"target": first}, "typing": {"on": True},
              "topic": {"title": "t"}, "room with changes": {"title": "t"}, "role": {"user": own("alice"), "role": "member"}}
    for n, (op, least) in enumerate(ops().items()):
        more = dict(fields.get(op, {} if op in ("subscribe", "join", "room") else {"user": own("alice")}))
        if op in ("send", "react", "revoke"):
            more["key"] = f"n{n}"
        eve.refused(op.split()[0], "not_member", room=room, **more)
        if least["direct"] == "both":
            bob.request(op.split()[0], room=room, **more)
        else:
            bob.refused(op.split()[0], "forbidden", room=room, **more)


@pytest.mark.parametrize("kind", KINDS)
def test_who_may_mean_everybody_does_and_who_may_not_just_writes_so(shared, own, kind):
    stage = Stage(shared, own, kind)
    rows = table()
    for role in ROLES:
        if ROLES.index(role) < RANK[rows["send"][kind]]:
            continue  # is refused, which is another row
        actor = shared.sign_in(stage.somebody(role), subscribe=[stage.room])
        actor.request("send", room=stage.room, key="all", text=f"{EVERYBODY} look")
        meant = actor.event("message", room=stage.room, key="all").get("mentions", [])
        allowed = ROLES.index(role) >= RANK[rows[EVERYBODY][kind]]
        assert meant == ([EVERYBODY] if allowed else []), f"{role} of a {kind} room, the table says {rows[EVERYBODY][kind]}"
        actor.leave()


def test_both_sides_of_a_direct_room_may_mean_everybody(shared, own):
    assert table()[EVERYBODY]["direct"] == "both"
    for one, other in (("alice", "bob"), ("bob", "alice")):
        client = shared.sign_in(own(one))
        client.request("send", to=own(other), key="all", text=f"{EVERYBODY} look")
        assert client.event("message", key="all")["mentions"] == [EVERYBODY]


def test_edit_is_for_authors_who_may_send(shared, own):
    stage = Stage(shared, own, "announce")
    name = stage.somebody("moderator")
    actor = shared.sign_in(name, subscribe="none")
    mine = stage.message(actor)
    actor.request("edit", room=stage.room, target=mine, key="e1", text="y")
    stage.owner.request("role", room=stage.room, user=name, role="member")
    actor.refused("edit", "forbidden", room=stage.room, target=mine, key="e2", text="z")
    assert actor.request("edit", room=stage.room, target=mine, key="e1", text="y")["duplicate"]  # asked again, answered again
    stage.owner.refused("edit", "forbidden", room=stage.room, target=mine, key="e3", text="z")


@pytest.mark.parametrize("op", ["kick", "ban"])
def test_who_is_thrown_out_hears_that_and_nothing_more(shared, own, op):
    stage = Stage(shared, own, "public")
    name = stage.somebody()
    bob = shared.sign_in(name)
    epoch = stage.owner.request("room", room=stage.room)["epoch"]
    seq = stage.owner.request(op, room=stage.room, user=name, reason="spam")["seq"]
    e = bob.event("member", room=stage.room, change=op + {"kick": "ed", "ban": "ned"}[op])
    assert e["seq"] == seq and e["user"] == name and e["from"] == own("owner") and e["reason"] == "spam" and e["role"] == "none"
    stage.message()
    stage.owner.request("send", to=name, key="d", text="sorry")
    assert bob.event("message")["text"] == "sorry"  # what came in the room before it did not reach bob
    assert stage.room not in [r["room"] for r in bob.request("rooms")["rooms"]]
    bob.leave()
    late = shared.sign_in(name, subscribe="none")
    if op == "ban":
        for again in ("join", "subscribe", "history"):
            late.refused(again, "banned", room=stage.room)
        late.refused("send", "banned", room=stage.room, key="x", text="x")
        late.leave()
        late = shared.open()
        ok = late.request("hello", token=shared.token(name), subscribe="none",
                          resume={stage.room: {"epoch": epoch, "seq": seq}})
        assert ok["resumed"][stage.room]["error"]["code"] == "banned"
        stage.owner.refused("invite", "conflict", room=stage.room, user=name)
        assert [m["user"] for m in stage.owner.request("members", room=stage.room, banned=True)["members"]] == [name]
        stage.owner.request("unban", room=stage.room, user=name)
    late.request("join", room=stage.room)


def test_a_ban_of_somebody_who_only_listens_ends_that(shared, own):
    stage = Stage(shared, own, "public")
    eve = shared.sign_in(own("eve"))
    eve.request("subscribe", room=stage.room)
    stage.owner.request("ban", room=stage.room, user=own("eve"))
    assert eve.event("member", room=stage.room)["change"] == "banned"
    stage.message()
    stage.owner.request("send", to=own("eve"), key="d", text="bye")
    assert eve.event("message")["text"] == "bye"


def test_bans_and_mutes_end_by_themselves(shared, own):
    stage = Stage(shared, own, "public")
    name = stage.somebody()
    bob = shared.sign_in(name, subscribe="none")
    until = int(time.time() * 1000) + 2_000
    stage.owner.request("mute", room=stage.room, user=name, until=until)
    e = bob.refused("send", "muted", room=stage.room, key="k", text="x")
    assert str(until) in e["message"]
    bob.refused("react", "muted", room=stage.room, target=stage.message(), emoji="x", on=True, key="r")
    muted = [m for m in stage.owner.request("members", room=stage.room)["members"] if m.get("muted")]
    assert [(m["user"], m["muted_until"]) for m in muted] == [(name, until)]

    def sent():
        try:
            return bob.request("send", room=stage.room, key="k", text="x")
        except RequestError as e:
            assert e.code == "muted"
            return None

    deadline = time.monotonic() + 60
    while not sent():
        assert time.monotonic() < deadline
    stage.owner.refused("ban", "bad_request", room=stage.room, user=name, until=5)


def test_moderation_repeated_makes_no_event_and_gets_its_answer_again(shared, own):
    stage = Stage(shared, own, "public")
    name = stage.somebody()
    for op, fields in [("mute", {}), ("unmute", {}), ("role", {"role": "moderator"}), ("kick", {}), ("ban", {}), ("unban", {}), ("invite", {})]:
        first = stage.owner.request(op, room=stage.room, user=name, **fields)
        assert stage.owner.request(op, room=stage.room, user=name, **fields) == first, op
        assert stage.owner.request("history", room=stage.room, limit=1)["events"][0]["seq"] == first["seq"]


def test_nobody_moderates_who_stands_as_high_and_a_room_keeps_an_owner(shared, own):
    room = own("room")
    alice = shared.sign_in(own("alice"))
    alice.request("create", room=room)
    for name in ("bob", "carol"):
        alice.request("invite", room=room, user=own(name))
        alice.request("role", room=room, user=own(name), role="moderator")
    bob = shared.sign_in(own("bob"))
    for op in ("kick", "ban", "mute"):
        bob.refused(op, "forbidden", room=room, user=own("carol"))
        bob.refused(op, "forbidden", room=room, user=own("alice"))
        bob.refused(op, "bad_request", room=room, user=own("bob"))
    alice.refused("role", "conflict", room=room, user=own("alice"), role="member")
    alice.request("role", room=room, user=own("bob"), role="owner")
    bob.request("role", room=room, user=own("alice"), role="member")
    alice.refused("role", "forbidden", room=room, user=own("carol"), role="owner")


def test_who_is_invited_is_in_the_room_at_once(shared, own):
    alice, bob = shared.sign_in(own("alice")), shared.sign_in(own("bob"))
    room = own("room")
    alice.request("create", room=room, kind="private")
    seq = alice.request("invite", room=room, user=own("bob"))["seq"]
    assert bob.event("subscribed", room=room)["seq"] == seq - 1
    e = bob.event("member", room=room)
    assert (e["change"], e["role"], e["from"], e["user"]) == ("invited", "member", own("alice"), own("bob"))
    bob.request("send", room=room, key="k", text="thanks")


def test_a_role_changes_for_everybody_and_survives_a_restart(make_server):
    server = make_server()
    alice, bob = server.sign_in("alice"), server.sign_in("bob")
    alice.request("create", room="r")
    bob.request("join", room="r")
    alice.request("role", room="r", user="bob", role="moderator")
    assert bob.event("member", room="r", change="role")["role"] == "moderator"
    alice.request("ban", room="r", user="eve")
    alice.request("mute", room="r", user="bob")
    alice.request("topic", room="r", title="cats")
    pinned = alice.request("send", room="r", key="k", text="x")["seq"]
    alice.request("pin", room="r", target=pinned)
    alice.request("room", room="r", title="The room", slow_ms=50)
    server.kill()
    server.start()
    bob = server.sign_in("bob")
    bob.refused("send", "muted", room="r", key="k", text="x")
    about = bob.request("room", room="r")
    assert (about["role"], about["topic"], about["title"], about["pins"], about["slow_ms"], about["member_count"]) == (
        "moderator", "cats", "The room", [pinned], 50, 2)
    server.sign_in("eve").refused("join", "banned", room="r")


# -- the room itself -----------------------------------------------------------------------------------------------------
def test_topic_pins_and_settings_are_events_that_everybody_gets(shared, own):
    stage = Stage(shared, own, "public")
    bob = shared.sign_in(stage.somebody())
    owner, room = stage.owner, stage.room
    target = stage.message()
    topic = owner.request("topic", room=room, title="all about cats")
    assert bob.event("topic", room=room) | {"ts": 0} == {"ev": "topic", "room": room, "seq": topic["seq"], "ts": 0, "from": own("owner"), "title": "all about cats"}
    owner.request("pin", room=room, target=target)
    assert bob.event("pinned", room=room)["target"] == target
    about = owner.request("room", room=room, title="Cats", history_days=7, slow_ms=0)
    e = bob.event("room", room=room)
    assert (e["seq"], e["title"], e["kind"], e["history_days"], e["slow_ms"]) == (about["seq"], "Cats", "public", 7, 0)
    assert about["pins"] == [target] and about["topic"] == "all about cats" and about["creator"] == own("owner")
    owner.request("unpin", room=room, target=target)
    assert bob.event("unpinned", room=room)["target"] == target
    again = owner.request("room", room=room, title="Cats")  # as it is: no event
    assert owner.request("history", room=room, limit=1)["events"][0]["ev"] == "unpinned"
    assert again["pins"] == []
    owner.refused("pin", "not_found", room=room, target=10_000)
    owner.refused("pin", "bad_request", room=room, target=1)
    owner.request("pin", room=room, target=target)
    owner.request("revoke", room=room, target=target, key="v")
    assert owner.request("room", room=room)["pins"] == []


def test_a_room_that_is_not_public_any_more_is_heard_by_members_only(shared, own):
    stage = Stage(shared, own, "public")
    bob, eve = shared.sign_in(stage.somebody()), shared.sign_in(own("eve"))
    eve.request("subscribe", room=stage.room)
    stage.owner.request("room", room=stage.room, kind="private")
    seq = stage.message()
    assert eve.event("room", room=stage.room)["kind"] == "private"
    assert bob.event("message", room=stage.room)["seq"] == seq
    stage.owner.request("send", to=own("eve"), key="d", text="bye")
    assert eve.event("message")["text"] == "bye"
    eve.refused("history", "not_member", room=stage.room)


def test_slow_mode_slows_members_down_and_nobody_else(shared, own):
    stage = Stage(shared, own, "public")
    bob, mod = shared.sign_in(stage.somebody()), shared.sign_in(stage.somebody("moderator"))
    stage.owner.request("room", room=stage.room, slow_ms=600_000)
    first = bob.request("send", room=stage.room, key="1", text="x")
    e = bob.refused("send", "rate_limited", room=stage.room, key="2", text="y")
    assert 0 < e["retry_after_ms"] <= 600_000
    assert bob.request("send", room=stage.room, key="1", text="x") == first | {"duplicate": True}
    for n in range(2):
        mod.request("send", room=stage.room, key=str(n), text="x")
    stage.owner.request("room", room=stage.room, slow_ms=0)
    bob.request("send", room=stage.room, key="2", text="y")
