"""Who is there: over real sockets, across restarts and failovers, and when many come and go at once."""

import pytest
from support.cluster import Cluster, shard_of
from support.client import connect
from support.waiting import until


@pytest.fixture
def server(make_server):
    return make_server(users__grace_s=0, limits__connections_per_address=1000)


def shown(client, user):
    """The next word of how somebody who is watched appears."""
    while True:
        for u in client.event("presence").get("users", []):
            if u["user"] == user:
                return u["status"]


def test_whom_i_watch_comes_changes_and_goes(server):
    alice = server.sign_in("alice")
    assert alice.request("watch", users=["bob"]) == {"users": [{"user": "bob", "status": "offline"}]}
    bob = server.sign_in("bob")
    assert shown(alice, "bob") == "online"
    bob.request("presence", status="dnd", note="in a meeting")
    assert shown(alice, "bob") == "dnd"
    bob.request("presence", status="invisible")
    assert shown(alice, "bob") == "offline"
    bob.request("presence", status="online")
    assert shown(alice, "bob") == "online"
    bob.kill()
    assert shown(alice, "bob") == "offline"


def test_who_is_invisible_stays_so_over_a_restart(server):
    alice, bob = server.sign_in("alice"), server.sign_in("bob")
    alice.request("create", room="hall")
    bob.request("join", room="hall")
    bob.request("presence", status="invisible", note="writing")
    server.kill()
    server.start()
    alice, bob = server.sign_in("alice"), server.sign_in("bob")
    assert bob.hello["presence"] == {"status": "invisible", "note": "writing"}
    assert alice.request("watch", users=["bob"])["users"] == [{"user": "bob", "status": "offline"}]
    assert alice.request("presence", user="bob") == {"user": "bob", "status": "offline"}
    members = {m["user"]: m["online"] for m in alice.request("members", room="hall")["members"]}
    assert members == {"alice": True, "bob": False}
    assert alice.request("join", room="hall")["online_count"] == 1


def test_a_crowd_that_comes_at_once_is_a_few_events(server):
    """In a room of 150 only the number is told, and that once a second at most."""
    owner = server.sign_in("owner")
    owner.request("create", room="hall")
    crowd = []
    for i in range(150):
        member = server.sign_in(f"u{i}")
        member.request("join", room="hall")
        crowd.append(member)

    def counts_all():
        return any(r["online_count"] == 151 for e in [owner.event("presence")] for r in e["rooms"])

    until(counts_all, "the room counts all who are there")
    seen = owner.frames
    for member in crowd:
        member.kill()
    again = [server.sign_in(f"u{i}") for i in range(150)]

    def counts_again():
        owner.settle()
        return owner.request("join", room="hall")["online_count"] == 151

    until(counts_again, "all are back")
    news = list(owner.presence)
    assert len(news) < 60, "one for each who comes or goes would be 300"
    assert all("users" not in r for e in news for r in e["rooms"]), "in a room of 151 nobody is named"
    assert owner.frames > seen
    assert again


def test_presence_never_keeps_a_message_waiting(server):
    """Whoever reads nothing is sent no presence, and is not thrown out for it."""
    alice = server.sign_in("alice")
    alice.request("create", room="hall")
    bob = server.sign_in("bob")
    bob.request("join", room="hall")
    for i in range(50):
        bob.request("presence", status=("away", "dnd")[i % 2])
        bob.request("send", room="hall", key=f"k{i}", text=str(i))
    assert [m["text"] for m in alice.messages(50, "hall")] == [str(i) for i in range(50)]


def test_signals_pass_and_are_forgotten(server):
    alice = server.sign_in("alice")
    phone = connect(server.port, server.token("bob"), device="phone")
    laptop = connect(server.port, server.token("bob"), device="laptop")
    alice.request("signal", to="bob", data={"ring": 1})
    alice.request("signal", to="bob", device="laptop", data={"ring": 2})
    assert phone.event("signal")["data"] == {"ring": 1}
    assert [laptop.event("signal")["data"] for _ in range(2)] == [{"ring": 1}, {"ring": 2}]
    alice.request("signal", to="nobody", data={})
    assert not phone.settle().has_event("signal")


def test_three_nodes_agree_on_who_is_there(tmp_path):
    cluster = Cluster(tmp_path / "cluster", users__grace_s=1)
    try:
        cluster.start()
        cluster.wait_replicated()
        n1, n2, n3 = cluster.nodes
        # Nobody's home is where they or their watchers are, so that all of it has to travel; and the homes die.
        homes = [record["primary"] for record in cluster.records()]
        bob = next(u for u in (f"bob{i}" for i in range(1000)) if cluster.node_of(homes[shard_of(u)]) is n3)
        watcher = cluster.sign_in("ann", on=n1)
        assert watcher.request("watch", users=[bob])["users"] == [{"user": bob, "status": "offline"}]
        there = cluster.sign_in(bob, on=n2)
        assert shown(watcher, bob) == "online"
        there.request("presence", status="away", note="on a train")
        assert shown(watcher, bob) == "away"
        watcher.request("signal", to=bob, data={"hello": 1})
        assert there.event("signal")["data"] == {"hello": 1}
        watcher.presence.clear()
        n3.kill()
        there.request("presence", status="dnd")  # waits for the next home
        assert shown(watcher, bob) == "dnd", "nobody was taken for gone, and the change is told"
        other = cluster.sign_in("eve", on=n2)
        assert other.request("watch", users=[bob])["users"][0]["status"] == "dnd"
        there.kill()
        assert shown(watcher, bob) == "offline"
        assert shown(other, bob) == "offline"
    finally:
        cluster.end()


def test_who_was_on_a_node_that_died_is_gone(tmp_path):
    cluster = Cluster(tmp_path / "cluster", users__grace_s=1)
    try:
        cluster.start()
        cluster.wait_replicated()
        n1, n2, _ = cluster.nodes
        ann = cluster.sign_in("ann", on=n1)
        ann.request("create", room="hall")
        bob = cluster.sign_in("bob", on=n2)
        bob.request("join", room="hall")
        assert ann.request("watch", users=["bob"])["users"][0]["status"] == "online"
        until(lambda: ann.request("join", room="hall")["online_count"] == 2, "bob is seen in the hall")
        n2.kill()
        assert shown(ann, "bob") == "offline"
        until(lambda: ann.request("join", room="hall")["online_count"] == 1, "the hall has seen it, too")
    finally:
        cluster.end()
