"""Blocks, exports and erasures over real sockets, on one node and on three, with nodes that are killed in between."""

import json
import threading
from http.client import HTTPConnection
from pathlib import Path

import pytest
from support.client import RequestError
from support.cluster import Cluster
from support.command_line import greenroom
from support.waiting import LIMIT_S, now_ms, until

PASSWORD = "correct horse battery staple"
USERS = "/api/v1/users"


def export_of(node, token, user="me"):
    """The lines of an export, which must be whole."""
    answer = node.rest("GET", f"{USERS}/{user}/export", token=token)
    assert answer.status == 200 and answer.headers["content-type"] == "application/x-ndjson", answer
    lines = [json.loads(line) for line in answer.body.decode().splitlines()]
    assert lines[0]["part"] == "user" and lines[-1] == {"part": "end"}
    return lines[:-1]


def parts(lines, part, room=None):
    return [line for line in lines if line["part"] == part and (room is None or line["room"] == room)]


def record_of(node, user, token):
    answer = node.rest("GET", f"{USERS}/{user}/erasure", token=token)
    return answer.json if answer.status == 200 else None


def said_by(node, token, room, user):
    return [e["text"] for e in node.history(token, room)[0] if e["from"] == user and e.get("text")]


# -- blocks --------------------------------------------------------------------------------------------------------------
def test_a_block_holds_from_its_answer_on(shared, own):
    ann, bob = shared.sign_in(own("ann")), shared.sign_in(own("bob"))
    room = bob.request("send", to=own("ann"), key="k1", text="hi")["room"]
    ann.event("message", room=room)
    ann.request("block", user=own("bob"))
    bob.refused("send", "forbidden", to=own("ann"), key="k2", text="hi again")
    bob.refused("typing", "forbidden", room=room, on=True)
    bob.request("read", room=room, seq=1)
    ann.refused("send", "forbidden", to=own("bob"), key="k1", text="no")
    hall = own("hall")
    bob.request("create", room=hall)
    bob.refused("invite", "forbidden", room=hall, user=own("ann"))
    assert {m["user"]: m["online"] for m in bob.request("members", room=room)["members"]}[own("ann")] is False
    mine = shared.rest("GET", f"{USERS}/me/blocks", token=shared.token(own("ann"))).json["blocks"]
    assert [b["user"] for b in mine] == [own("bob")] == [b["user"] for b in ann.request("blocks")["blocks"]]
    assert shared.rest("DELETE", f"{USERS}/me/blocks/{own('bob')}", token=shared.token(own("ann"))).status == 200
    seq = bob.request("send", to=own("ann"), key="k2", text="hi again")["seq"]
    assert ann.event("message", room=room, seq=seq)["text"] == "hi again"
    bob.request("invite", room=hall, user=own("ann"))


def test_a_block_that_was_answered_outlives_a_kill(make_server):
    server = make_server()
    for n in range(3):
        ann, bob = server.sign_in(f"ann{n}", subscribe="none"), server.sign_in(f"bob{n}", subscribe="none")
        ann.request("block", user=f"bob{n}")
        server.kill()
        server.start()
        bob = server.sign_in(f"bob{n}", subscribe="none")
        bob.refused("send", "forbidden", to=f"ann{n}", key="k", text="hi")
    # One that was not answered holds as well, as soon as it is listed; or it was never made.
    for n in range(3):
        ann = server.sign_in(f"amy{n}", subscribe="none")
        ann.post("block", user="ben")
        server.kill()
        server.start()
        ann, ben = server.sign_in(f"amy{n}", subscribe="none"), server.sign_in("ben", subscribe="none")
        if ann.request("blocks")["blocks"]:
            def refused():
                try:
                    ben.request("send", to=f"amy{n}", text="look", ephemeral=True)
                    return False
                except RequestError as e:
                    return e.code == "forbidden"
            until(refused, "the room has been told")


# -- exports -------------------------------------------------------------------------------------------------------------
def test_an_export_has_everything_and_no_word_of_others(make_server):
    server = make_server(limits__page_bytes=65_536)
    grant = server.rest("POST", "/api/v1/auth/register", {"user": "ann", "password": PASSWORD, "device": "phone"}).json
    ann = server.sign_in("ann", token=grant["token"], subscribe="none")
    bob = server.sign_in("bob", subscribe="none")
    ann.request("profile", name="Ann", fields={"likes": "tea"})
    ann.request("create", room="hall")
    bob.request("join", room="hall")
    bob.request("create", room="cellar", kind="private")
    bob.request("invite", room="cellar", user="ann")
    ann.request("send", room="cellar", key="c", text="ann's secret")
    bob.request("kick", room="cellar", user="ann", reason="too loud")
    text = "ann's " + "x" * 1000
    requests = [ann.prepare("send", room="hall", key=f"k{i}", text=f"{text} {i}") for i in range(300)]
    for r in requests:
        ann.ws.send_text(json.dumps(r))
    for r in requests:
        ann.answer(r["id"])
    said = bob.request("send", room="hall", key="b", text="bob's word for @ann")["seq"]
    ann.request("edit", room="hall", target=3, key="e", text="ann's better")
    ann.request("send", room="hall", key="r", text="ann's reply", reply_to=said)
    ann.request("read", room="hall", thread=said, seq=said + 2)
    ann.request("read", room="hall", seq=said)
    ann.request("block", user="eve")
    ann.request("send", room="hall", key="later", text="ann's later", at=now_ms() + 3_600_000)
    lines = export_of(server, grant["token"])
    who = lines[0]
    assert who["account"]["guest"] is False and "password" not in json.dumps(who) and "argon" not in json.dumps(who)
    assert who["profile"]["name"] == "Ann" and who["profile"]["fields"] == {"likes": "tea"}
    assert [s["device"] for s in who["sessions"]] == ["phone"]
    assert [b["user"] for b in who["blocks"]] == ["eve"]
    rooms = {r["room"]: r for p in parts(lines, "rooms") for r in p["rooms"]}
    assert set(rooms) == {"hall", "cellar"} and rooms["cellar"]["left"] and rooms["hall"]["read"] == said
    pages = parts(lines, "events", "hall")
    assert len(pages) > 3  # of 64 KiB each
    mine = [e for p in pages for e in p["events"]]
    assert [e["text"] for e in mine if e["ev"] == "message"] == ["ann's better"] + [
        f"{text} {i}" for i in range(1, 300)] + ["ann's reply"]
    assert [m["seq"] for p in pages for m in p["mentions"]] == [said]
    cellar = [e for p in parts(lines, "events", "cellar") for e in p["events"]]
    assert [e.get("change", e.get("text")) for e in cellar] == ["invited", "ann's secret", "kicked"]
    assert parts(lines, "scheduled")[0]["sends"][0]["text"] == "ann's later"
    assert parts(lines, "threads", "hall")[0]["threads"] == [{"target": said, "read": said + 2}]
    assert "bob's word" not in json.dumps(lines)
    # Others are for admins.
    assert server.rest("GET", f"{USERS}/ann/export", token=server.token("bob")).status == 403
    assert export_of(server, server.token("root", admin=True), "ann")[1:] == lines[1:]
    done = greenroom("user", "export", "--url", f"http://127.0.0.1:{server.port}", "--token", grant["token"],
                     cwd=server.directory)
    assert done.returncode == 0 and [json.loads(x) for x in done.stdout.splitlines()][1:] == lines[1:] + [{"part": "end"}]


def test_an_export_waits_for_its_reader(make_server):
    """Back pressure: what nobody takes is not made. And what breaks off does not look whole."""
    server = make_server(frees_at_once=True, limits__text_bytes=65_536)
    ann = server.sign_in("ann", subscribe="none")
    ann.request("create", room="hall")
    requests = [ann.prepare("send", room="hall", key=f"k{i}", text="x" * 16_000) for i in range(2_000)]
    for r in requests:
        ann.ws.send_text(json.dumps(r))
    for r in requests:
        ann.answer(r["id"])
    before = server.resident_bytes()
    connection = HTTPConnection(server.host, server.port, timeout=LIMIT_S)
    connection.request("GET", f"{USERS}/me/export", headers={"Authorization": f"Bearer {server.token('ann')}"})
    answer = connection.getresponse()
    assert answer.status == 200 and answer.getheader("transfer-encoding") == "chunked"
    answer.read(1000)
    # Others are served meanwhile, and the 32 MB stay where they are.
    for _ in range(50):
        assert server.rest("GET", f"{USERS}/me", token=server.token("bob")).status == 200
    assert server.resident_bytes() < before + 16_000_000
    rest = answer.read()
    assert rest.endswith(b'{"part":"end"}\n') and rest.count(b'"ev":"message"') > 1_900
    connection.close()


# -- erasures ------------------------------------------------------------------------------------------------------------
def is_on_disk(directory, words):
    return [str(f) for f in Path(directory).rglob("*") if f.is_file() and words.encode() in f.read_bytes()]


def test_an_account_is_erased_and_its_words_leave_the_disk(make_server):
    server = make_server(storage__scrub_minutes=1)
    words, name = "ann's words that nobody should find", "Ann of the long name"
    account = {"user": "ann", "password": PASSWORD, "device": "ann's own phone"}
    grant = server.rest("POST", "/api/v1/auth/register", account).json
    ann = server.sign_in("ann", token=grant["token"])
    bob = server.sign_in("bob")
    ann.request("profile", name=name)
    ann.request("create", room="hall")
    bob.request("join", room="hall")
    for i in range(20):
        ann.request("send", room="hall", key=f"k{i}", text=f"{words} {i}")
    ann.request("edit", room="hall", target=3, key="e", text=f"{words}, better")
    ann.request("send", to="bob", key="d", text=f"{words}, in private")
    ann.request("send", room="hall", key="later", text=f"{words}, later", at=now_ms() + 3_600_000)
    assert is_on_disk(server.directory / "data", words) and is_on_disk(server.directory / "data", name)
    token, root = grant["token"], server.token("root", admin=True)
    assert server.rest("DELETE", f"{USERS}/me", {"password": "wrong"}, token).status == 403
    answer = server.rest("DELETE", f"{USERS}/me", {"password": PASSWORD, "reason": "enough"}, token)
    assert answer.status == 202 and answer.json["by"] == "ann"
    assert ann.closed() == 3502
    for path, method, body in (("/api/v1/rooms", "GET", None), (f"{USERS}/me/export", "GET", None)):
        assert server.rest(method, path, body, token).status == 401
    assert server.rest("POST", "/api/v1/auth", account).status == 401
    assert server.rest("POST", "/api/v1/auth/refresh", {"refresh_token": grant["refresh_token"]}).status == 401
    assert server.rest("POST", "/api/v1/auth/register", account).status == 409
    assert server.rest("GET", f"{USERS}/ann", token=server.token("bob")).status == 404
    record = until(lambda: (r := record_of(server, "ann", root)) and r.get("completed") and r, "it is completed")
    assert (record["by"], record["reason"], record["messages"], record["rooms_left"]) == ("ann", "enough", 21, 0)
    assert server.rest("GET", f"{USERS}/ann/erasure", token=server.token("bob")).status == 403
    for _ in range(21):
        bob.event("revoked")
    for room in ("hall", "@ann+bob"):
        assert said_by(server, server.token("bob"), room, "ann") == []
    members = bob.request("members", room="hall")["members"]
    assert [(m["user"], m["role"]) for m in members] == [("bob", "owner")]
    bob.refused("send", "forbidden", to="ann", key="x", text="are you there?")
    bob.refused("invite", "not_found", room="hall", user="ann")
    until(lambda: not is_on_disk(server.directory / "data", words) and not is_on_disk(server.directory / "data", name),
          "the words have left the disk", 150)
    server.kill()
    server.start()
    assert record_of(server, "ann", server.token("root", admin=True)) == record
    assert server.rest("POST", "/api/v1/auth/register", account).status == 409


def fill(node, user, rooms, count):
    """`user` says something in rooms of somebody else, and to somebody."""
    owner, client = node.sign_in("owner", subscribe="none"), node.sign_in(user, subscribe="none")
    for room in rooms:
        owner.request("create", room=room)
        client.request("join", room=room)
        requests = [client.prepare("send", room=room, key=f"k{i}", text=f"{user}'s word {i}") for i in range(count)]
        client.post_all(requests)
        for r in requests:
            client.answer(r["id"])
        owner.request("send", room=room, key="o", text="the owner's word")
    client.request("send", to="owner", key="d", text=f"{user}'s whisper")
    for c in (owner, client):
        c.leave()


def check_gone(node, user, rooms, token):
    for room in [*rooms, "@" + "+".join(sorted((user, "owner")))]:
        assert said_by(node, token, room, user) == [], room
    for room in rooms:
        assert said_by(node, token, room, "owner") == ["the owner's word"]
        answer = node.rest("GET", f"/api/v1/rooms/{room}/members", token=token)
        assert [m["user"] for m in answer.json["members"]] == ["owner"]


def test_a_kill_in_the_midst_of_an_erasure_leaves_nothing_of_it_undone(make_server):
    server = make_server(limits__sends_per_s=1000, limits__sends_burst=1000, limits__sends_per_s_user=1000,
                         limits__sends_burst_user=1000)
    rooms = [f"room{i}" for i in range(6)]
    for n, when in enumerate(("unanswered", "at once", "later")):
        user = f"user{n}"
        here = [f"{r}-{n}" for r in rooms]
        fill(server, user, here, 150)
        if when == "unanswered":
            def ask():
                try:
                    server.rest("DELETE", f"{USERS}/{user}", token=server.token("root", admin=True))
                except OSError:
                    pass
            asking = threading.Thread(target=ask)
            asking.start()
        else:
            assert server.rest("DELETE", f"{USERS}/{user}", token=server.token("root", admin=True)).status == 202
        if when == "later":
            until(lambda: record_of(server, user, server.token("root", admin=True))["rooms"] > 0, "one room is done")
        server.kill()
        if when == "unanswered":
            asking.join()
        server.start()
        root = server.token("root", admin=True)
        if record_of(server, user, root) is None:
            assert when == "unanswered"
            assert server.rest("DELETE", f"{USERS}/{user}", token=root).status == 202
        until(lambda: "completed" in record_of(server, user, root), f"{user} is erased")
        check_gone(server, user, here, server.token("owner"))


@pytest.fixture
def cluster(tmp_path):
    made = Cluster(tmp_path / "cluster", limits__sends_per_s=1000, limits__sends_burst=1000, limits__sends_per_s_user=1000,
                   limits__sends_burst_user=1000, log__level="info")
    try:
        made.start()
        made.wait_replicated()
        yield made
    finally:
        made.end()


def test_in_a_cluster_blocks_exports_and_erasures_hold_on_every_node_and_through_failovers(cluster):
    n1, n2, n3 = cluster.nodes
    # Blocks.
    pairs = [(f"ann{i}", f"bob{i}") for i in range(12)]
    for i, (ann, bob) in enumerate(pairs):
        cluster.sign_in(ann, on=cluster.nodes[i % 3], subscribe="none").request("block", user=bob)
        for n in cluster.nodes:
            cluster.sign_in(bob, on=n, subscribe="none").refused("send", "forbidden", to=ann, key="k", text="hi")
    # What is exported comes from all nodes' shards.
    rooms = [f"room{i}" for i in range(12)]
    fill(n1, "cat", rooms, 30)
    lines = export_of(n2, cluster.token("cat"))
    for room in rooms:
        assert len([e for p in parts(lines, "events", room) for e in p["events"] if e["ev"] == "message"]) == 30
    assert export_of(n3, cluster.token("cat")) == lines
    # A node dies in the midst of an erasure.
    there = [cluster.sign_in("cat", on=n) for n in cluster.nodes]
    root = cluster.token("root", admin=True)
    assert n2.rest("DELETE", f"{USERS}/cat", {"reason": "asked for"}, root).status == 202
    assert [c.closed() for c in there] == [3502] * 3
    n1.kill()
    for ann, bob in pairs:
        cluster.sign_in(bob, on=n2, subscribe="none").refused("send", "forbidden", to=ann, key="k", text="hi")
    until(lambda: "completed" in (record_of(n3, "cat", root) or {}), "it is completed on the other nodes", LIMIT_S * 4)
    for n in (n2, n3):
        check_gone(n, "cat", rooms, cluster.token("owner"))
        assert n.rest("GET", "/api/v1/rooms", token=cluster.token("cat")).status == 401
    n1.start()
    cluster.wait_replicated()
    assert n1.rest("POST", "/api/v1/auth/register", {"user": "cat", "password": PASSWORD}).status == 409
    check_gone(n1, "cat", rooms, cluster.token("owner"))
    assert record_of(n1, "cat", root)["reason"] == "asked for"
