"""Attachments against the real server: up and down as streams, in parts and ranges, through broken connections and killed
nodes; who may have them; what they take; and that they go with their message."""

import json
import random
import socket
import threading

import pytest
from support.cluster import Cluster, shard_of
from support.files import (Broken, begin, described, download, go_on, json_of, offset_of, path_to, sha256, some_bytes, store,
                           upload)
from support.waiting import until

KIB = 1024
CHUNK = 16 * KIB
SMALL = {"attachments__chunk_kb": 16}


@pytest.fixture
def server(make_server):
    return make_server(**SMALL)


def room_of(server, *people, room="hall", **how):
    """Signed-in clients, the first of whom has made the room; and their tokens."""
    clients = [server.sign_in(p) for p in people]
    clients[0].request("create", room=room, **how)
    for c in clients[1:]:
        c.request("join", room=room)
    return [*clients, *[server.token(p) for p in people]]


def info(server, token, file, room="hall", status=200):
    answer = server.rest("GET", path_to(room, file, "/info"), token=token)
    assert answer.status == status, answer
    return json_of(answer)


# -- up ------------------------------------------------------------------------------------------------------------------------
def test_a_file_comes_up_in_parts_and_everybody_in_the_room_can_have_it(server):
    ann, bob, a, b = room_of(server, "ann", "bob")
    content = some_bytes(5 * CHUNK + 77)
    begun = begin(server, a, "hall", content)
    file = begun["id"]
    assert (begun["offset"], begun["complete"], begun["chunk_bytes"]) == (0, False, CHUNK)
    assert offset_of(server, a, "hall", file) == 0
    first = server.rest("PATCH", path_to("hall", file), content[:2 * CHUNK + 100], a, {"Upload-Offset": 0})
    assert first.status == 200 and first.json["offset"] == 2 * CHUNK, "what is no whole chunk is not stored"
    assert first.headers["upload-offset"] == str(2 * CHUNK)
    wrong = store(server, a, "hall", file, content, 3 * CHUNK, status=409)
    assert wrong.headers["upload-offset"] == str(2 * CHUNK)
    assert server.rest("GET", path_to("hall", file), token=a).status == 409
    assert server.rest("GET", path_to("hall", file), token=b).status == 404
    last = store(server, a, "hall", file, content, 2 * CHUNK).json
    assert last["complete"] and last["sha256"] == sha256(content)
    store(server, a, "hall", file, content, 0, status=409)

    ann.request("send", room="hall", key="k", text="look", attachments=[file])
    said = bob.event("message", room="hall", text="look")
    assert said["attachments"] == [described(content, file)]
    assert server.history(b, "hall")[0][-1]["attachments"] == said["attachments"]
    assert download(server, b, "hall", file) == content
    assert "expires_at" not in info(server, b, file)
    ann.leave(), bob.leave()


def test_a_small_file_comes_up_with_one_request(server):
    ann, a = room_of(server, "ann")
    content = some_bytes(CHUNK + 1)
    answer = server.rest("POST", path_to("hall") + f"?name=no%20cat%20%C3%A4.txt&sha256={sha256(content)}", content, a,
                         {"Content-Type": "Text/Plain; charset=utf-8"})
    assert answer.status == 201 and answer.json["complete"] and answer.json["type"] == "text/plain"
    file = answer.json["id"]
    assert answer.headers["location"] == path_to("hall", file)
    got = server.rest("GET", path_to("hall", file), token=a)
    assert got.body == content and got.headers["content-type"] == "text/plain"
    assert got.headers["content-disposition"] == "attachment; filename*=UTF-8''no%20cat%20%C3%A4.txt"
    assert got.headers["x-content-type-options"] == "nosniff"
    ann.request("send", room="hall", key="k", attachments=[file])
    assert ann.event("message", key="k")["attachments"] == [described(content, file, "no cat ä.txt", "text/plain")]
    ann.leave()


def test_a_broken_connection_costs_no_more_than_a_chunk(server):
    ann, a = room_of(server, "ann")
    content = some_bytes(8 * CHUNK)
    file = begin(server, a, "hall", content)["id"]
    broken = Broken(server, a, "hall", file, 0, len(content), content[:3 * CHUNK + 500])
    until(lambda: offset_of(server, a, "hall", file) == 3 * CHUNK, "what has come is stored, while the rest is awaited")
    broken.cut()
    at = offset_of(server, a, "hall", file)
    assert store(server, a, "hall", file, content, at).json["complete"]
    assert download(server, a, "hall", file) == content
    ann.leave()


def test_the_server_holds_no_more_than_a_piece_of_a_large_file(make_server):
    """The client feels what the disk can take, and what it takes itself: neither up nor down does the server keep the rest."""
    server = make_server(attachments__max_mb=200, storage__write_buffer_mb=8, frees_at_once=True)
    ann, a = room_of(server, "ann")
    content = some_bytes(1 << 20) * 48
    upload(server, a, "hall", content[: 1 << 20], name="warm")
    before = server.resident_bytes()
    most = [before]
    done = threading.Event()

    def watch():
        while not done.wait(0.02):
            most.append(server.resident_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        file = upload(server, a, "hall", content)
        assert download(server, a, "hall", file) == content
    finally:
        done.set()
        watcher.join()
    assert max(most) - before < 36 << 20, (before, max(most))
    ann.leave()


def test_what_is_wrong_is_refused(make_server):
    server = make_server(attachments__max_mb=1, attachments__quota_mb=2, attachments__types=["image/*"],
                         attachments__transfers=1, **SMALL)
    ann, eve, a, e = room_of(server, "ann", "eve")
    eve.request("leave", room="hall")
    content = some_bytes(2 * CHUNK)
    begin(server, a, "hall", content, size=(1 << 20) + 1, status=413)
    begin(server, a, "hall", content, type="text/html", status=415)
    begin(server, e, "hall", content, status=403)
    begin(server, a, "nowhere", content, status=404)
    begin(server, a, "hall", content, size=0, status=400)
    begin(server, a, "hall", content, sha256="x", status=400)
    begin(server, a, "hall", content, name="a\nb", status=400)
    first = begin(server, a, "hall", content, size=1 << 20)["id"]
    begin(server, a, "hall", content, size=(1 << 20) - CHUNK)
    begin(server, a, "hall", content, size=2 * CHUNK, status=413)  # of the quota
    assert server.rest("DELETE", path_to("hall", first), token=a).status == 204
    # Content with another hash than was said.
    lie = begin(server, a, "hall", content, sha256=sha256(b"else"))["id"]
    assert "sha256" in json_of(store(server, a, "hall", lie, content, 0, status=400))["error"]["message"]
    until(lambda: server.rest("GET", path_to("hall", lie, "/info"), token=a).status == 404, "it is void")
    # More than was said, without a length, without an offset, somebody else's.
    file = begin(server, a, "hall", content)["id"]
    store(server, a, "hall", file, content + b"x", 0, status=413)
    store(server, e, "hall", file, content, 0, status=404)
    assert server.rest("PATCH", path_to("hall", file), content, a).status == 400
    # One transfer at a time.
    holding = Broken(server, a, "hall", file, 0, len(content), b"", is_wanted=True)
    assert server.rest("PATCH", path_to("hall", file), content, a, {"Upload-Offset": 7}).status == 503
    holding.cut()
    until(lambda: server.rest("PATCH", path_to("hall", file), content, a, {"Upload-Offset": 7}).status == 409,
          "the place is free again")
    store(server, a, "hall", file, content, 0)
    ann.leave(), eve.leave()


def test_the_body_of_a_request_as_a_stream(server):
    """100 only when a part is wanted; 411 without a length; the next request on the same connection, also when it is there
    already; an answer before the end of the body ends the connection."""
    ann, a = room_of(server, "ann")
    content = some_bytes(CHUNK + 3)

    def head(method, path, *headers):
        return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {a}", *headers, "", ""]).encode()

    def connect():
        s = socket.create_connection((server.host, server.port), timeout=30)
        return s, s.makefile("rb")

    def answer(lines):
        status = int(lines.readline().split()[1])
        length = 0
        while (line := lines.readline().strip()):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        return status, lines.read(length)

    file = begin(server, a, "hall", content)["id"]
    path = path_to("hall", file)
    s, lines = connect()
    s.sendall(head("PATCH", path, "Upload-Offset: 0", "Transfer-Encoding: chunked") + b"0\r\n\r\n")
    assert answer(lines)[0] == 411 and lines.read() == b""
    s, lines = connect()
    s.sendall(head("PATCH", path, "Upload-Offset: 7", f"Content-Length: {len(content)}", "Expect: 100-continue"))
    assert answer(lines)[0] == 409 and lines.read() == b"", "nothing of the body was wanted"
    s, lines = connect()
    s.sendall(head("PATCH", path, "Upload-Offset: 0", f"Content-Length: {CHUNK}", "Expect: 100-continue"))
    assert lines.readline() == b"HTTP/1.1 100 Continue\r\n" and lines.readline() == b"\r\n"
    s.sendall(content[:CHUNK])
    assert answer(lines)[0] == 200
    s.sendall(head("PATCH", path, f"Upload-Offset: {CHUNK}", "Content-Length: 3") + content[CHUNK:] + head("GET", path)
              + head("GET", path, "Range: bytes=1-5") + head("GET", path + "/info"))
    assert answer(lines)[0] == 200
    assert answer(lines) == (200, content)
    assert answer(lines) == (206, content[1:6])
    status, body = answer(lines)
    assert status == 200 and json.loads(body)["complete"]
    s.close()
    ann.leave()


# -- down ----------------------------------------------------------------------------------------------------------------------
def test_ranges_and_conditions(server):
    ann, a = room_of(server, "ann")
    content = some_bytes(3 * CHUNK + 10)
    file = upload(server, a, "hall", content)
    size, etag = len(content), f'"{sha256(content)}"'

    def get(status, method="GET", **headers):
        answer = server.rest(method, path_to("hall", file), token=a, headers={k.replace("_", "-"): v for k, v in headers.items()})
        assert answer.status == status, answer
        return answer

    for spec, first, end in (("0-0", 0, 1), ("5-", 5, size), (f"{CHUNK - 1}-{CHUNK}", CHUNK - 1, CHUNK + 1), ("-10", size - 10, size),
                             (f"{2 * CHUNK}-999999999", 2 * CHUNK, size), ("-999999999", 0, size)):
        part = get(206, Range=f"bytes={spec}")
        assert part.body == content[first:end], spec
        assert part.headers["content-range"] == f"bytes {first}-{end - 1}/{size}"
    for spec in (f"bytes={size}-", "bytes=-0"):
        assert get(416, Range=spec).headers["content-range"] == f"bytes */{size}"
    for spec in ("bytes=5-2", "bytes=0-1,3-4", "lines=1-2", "bytes=x-"):
        assert get(200, Range=spec).body == content, spec
    whole = get(200)
    assert whole.headers["etag"] == etag and whole.headers["accept-ranges"] == "bytes"
    assert get(304, If_None_Match=etag).body == b""
    assert get(304, If_None_Match=f'"x", {etag}').body == b""
    assert get(200, If_None_Match='"x"').body == content
    assert get(206, Range="bytes=1-2", If_Range=etag).body == content[1:3]
    assert get(200, Range="bytes=1-2", If_Range='"x"').body == content
    head = get(200, "HEAD")
    assert head.body == b"" and head.headers["content-length"] == str(size) and head.headers["etag"] == etag
    ann.leave()


def test_who_may_have_it_is_who_may_read_the_room(server):
    ann, bob, a, b = room_of(server, "ann", "bob", room="den", kind="public")
    content = some_bytes(100)
    file = upload(server, a, "den", content)
    ann.request("send", room="den", key="k", text="x", attachments=[file])
    assert download(server, server.token("eve"), "den", file) == content, "a public room is for everybody to read"
    ann.request("room", room="den", kind="private")
    assert server.rest("GET", path_to("den", file), token=server.token("eve")).status == 403
    assert server.rest("GET", path_to("den", file)).status == 401
    assert download(server, b, "den", file) == content
    ann.request("ban", room="den", user="bob")
    assert server.rest("GET", path_to("den", file), token=b).status == 403
    # A direct room comes into being with its first attachment.
    direct = "@ann+bob"
    file = upload(server, a, direct, content)
    ann.request("send", to="bob", key="d", attachments=[file])
    assert bob.event("message", key="d")["attachments"] == [described(content, file)]
    assert download(server, b, direct, file) == content
    assert server.rest("GET", path_to(direct, file), token=server.token("eve")).status == 403
    ann.leave(), bob.leave()


# -- what they belong to -------------------------------------------------------------------------------------------------------
def test_an_attachment_goes_with_its_message(server):
    ann, bob, a, b = room_of(server, "ann", "bob")
    content = some_bytes(2 * CHUNK)
    file, later = upload(server, a, "hall", content), upload(server, a, "hall", content)
    ann.refused("send", "not_found", room="hall", key="k0", text="x", attachments=["a" * 32])
    bob.refused("send", "not_found", room="hall", key="k0", text="x", attachments=[file])
    sent = ann.request("send", room="hall", key="k1", text="x", attachments=[file])["seq"]
    ann.refused("send", "conflict", room="hall", key="k2", text="x", attachments=[file])
    assert ann.request("send", room="hall", key="k1", text="x", attachments=[file])["duplicate"]
    ann.request("edit", room="hall", target=sent, key="e1", text="y")
    event = server.history(b, "hall")[0][sent - 1]
    assert event["text"] == "y" and event["attachments"] == [described(content, file)]
    ann.request("revoke", room="hall", target=sent, key="r1")
    assert "attachments" not in server.history(b, "hall")[0][sent - 1]
    for who in (a, b):
        assert server.rest("GET", path_to("hall", file), token=who).status == 404
    ann.request("send", room="hall", key="k3", text="x", attachments=[later])
    assert download(server, b, "hall", later) == content
    ann.leave(), bob.leave()


# -- kill -9 -------------------------------------------------------------------------------------------------------------------
def test_an_upload_goes_on_after_the_node_was_killed(server):
    chance = random.Random(7)
    ann, a = room_of(server, "ann")
    content = some_bytes(40 * CHUNK + 5)
    file = begin(server, a, "hall", content)["id"]
    stored = 0
    for _ in range(4):
        parts = Broken(server, a, "hall", file, stored, len(content) - stored,
                       content[stored:stored + chance.randrange(1, 9) * CHUNK + chance.randrange(CHUNK)])
        acknowledged = until(lambda: (now := offset_of(server, a, "hall", file)) > stored and now, "something was stored")
        server.kill()
        parts.cut()
        server.start()
        stored = offset_of(server, a, "hall", file)
        assert stored >= acknowledged, "what was stored is there"
    go_on([server], a, "hall", file, content, chance)
    assert download(server, a, "hall", file) == content
    ann = server.sign_in("ann")
    ann.request("send", room="hall", key="k", text="x", attachments=[file])
    server.kill()
    server.start()
    assert download(server, a, "hall", file) == content
    assert server.history(a, "hall")[0][-1]["attachments"] == [described(content, file)]


def test_an_upload_goes_on_on_another_node_when_the_primary_is_killed(tmp_path):
    """Three nodes; the shard's primary is killed in the middle of an upload, which goes on elsewhere. All replicas have it."""
    cluster = Cluster(tmp_path / "cluster", **SMALL)
    chance = random.Random(3)
    try:
        cluster.start()
        cluster.wait_replicated()
        n1, n2, n3 = cluster.nodes
        ann = cluster.sign_in("ann", on=n1)
        ann.request("create", room="hall")
        token, bobs = cluster.token("ann"), cluster.token("bob")
        contents, files = [], []
        for i in range(3):
            contents.append(some_bytes(30 * CHUNK + i, seed=i))
            files.append(begin(n1, token, "hall", contents[-1])["id"])
        uploads = [threading.Thread(target=go_on, args=(cluster.nodes, token, "hall", f, c, random.Random(i), 120))
                   for i, (f, c) in enumerate(zip(files, contents))]
        part = Broken(n2, token, "hall", files[0], 0, len(contents[0]), contents[0][:5 * CHUNK])
        stored = until(lambda: (now := offset_of(n3, token, "hall", files[0])) and now, "a chunk is stored")
        primary = cluster.node_of(cluster.records()[shard_of("hall")]["primary"])
        for u in uploads:
            u.start()
        primary.kill()
        part.cut()
        for u in uploads:
            u.join()
        living = [n for n in cluster.nodes if n is not primary]
        assert stored > 0
        for file, content in zip(files, contents):
            for n in living:
                assert download(n, token, "hall", file) == content
        ann = cluster.sign_in("ann", on=living[0])
        ann.request("send", room="hall", key="k", text="x", attachments=files)
        ann.leave()
        assert download(living[1], bobs, "hall", files[2]) == contents[2]
        # The one that was away gets all of it, and has it when the others are gone from the shard.
        primary.start()
        cluster.wait_replicated()
        assert download(primary, bobs, "hall", files[1]) == contents[1]
        chance.shuffle(files)
    finally:
        cluster.end()
