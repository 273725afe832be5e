"""Start, stop, reload: what an operator does to a running server."""

import signal
import ssl
import threading

import pytest
from support.client import Client
from support.server import certificate
from support.waiting import until
from support.websocket import Closed


def test_sigterm_says_goodbye_with_1001_and_loses_nothing(make_server):
    """Senders talk until the door closes: each gets 1001, the process ends with 0, what was acknowledged is there."""
    server = make_server(tls=True)
    owner = server.sign_in("owner", subscribe="none")
    for i in range(4):
        owner.request("create", room=f"room{i}")
    acknowledged, codes, failures = {}, [], []
    ready = threading.Barrier(5)

    def talk(n):
        try:
            client = server.sign_in("owner", subscribe="none", tls=n % 2 == 1)
            ready.wait()
            sent = {}
            try:
                i = 0
                while True:
                    ids = [client.prepare("send", room=f"room{n}", key=f"{n}-{i + j}", text=f"{n}-{i + j}")
                           for j in range(20)]
                    i += 20
                    sent.update({r["id"]: r["key"] for r in ids})
                    client.post_all(ids)
                    for r in ids:
                        acknowledged[(f"room{n}", client.answer(r["id"])["seq"])] = r["key"]
            except Closed as e:
                # Answers that came while waiting for another one count, too.
                for re, answer in client.answers.items():
                    if re in sent and "ok" in answer:
                        acknowledged[(f"room{n}", answer["ok"]["seq"])] = sent[re]
                codes.append(e.code)
        except BaseException as e:
            failures.append(e)

    threads = [threading.Thread(target=talk, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    ready.wait()
    until(lambda: len(acknowledged) > 200, "everybody talks")
    assert server.stop() == 0
    for t in threads:
        t.join()
    assert not failures, failures
    assert codes == [1001] * 4
    assert owner.closed() == 1001
    server.start()
    for i in range(4):
        events, _ = server.history(server.token("owner"), f"room{i}")
        log = {(f"room{i}", e["seq"]): e.get("key") for e in events}
        for position, key in acknowledged.items():
            if position[0] == f"room{i}":
                assert log.get(position) == key, (position, key)


def test_sigint_ends_in_good_order_too(make_server):
    server = make_server()
    alice = server.sign_in("alice")
    server.process.send_signal(signal.SIGINT)
    assert alice.closed() == 1001
    assert server.process.wait(30) == 0


def test_a_second_server_on_the_same_data_is_refused(make_server):
    first = make_server()
    second = make_server(start=False)
    second.settings["node.data_dir"] = first.settings["node.data_dir"]
    second.spawn()
    assert second.process.wait(30) != 0
    assert "another node is using this data directory" in second.log_text()
    first.sign_in("alice").leave()


def test_a_port_in_use_is_said(make_server):
    first = make_server()
    second = make_server(start=False, listen__port=first.port)
    second.spawn()
    assert second.process.wait(30) != 0
    assert f"port {first.port}: Address already in use" in second.log_text()
    assert "--listen.port=" in second.log_text()


def test_the_log_says_where_it_listens(make_server):
    server = make_server(tls=True)
    server.wait_logged(f"what=listening address=127.0.0.1 port={server.port} tls=no")
    server.wait_logged(f"what=listening address=127.0.0.1 port={server.tls_port} tls=yes")


@pytest.mark.parametrize("key", ["tls.certificate", "tls.key"])
def test_a_certificate_that_is_not_there_is_said(make_server, tmp_path, key):
    server = make_server(tls=True, start=False)
    server.settings[key] = str(tmp_path / "nope.pem")
    server.spawn()
    assert server.process.wait(30) != 0
    assert f"{key} {tmp_path / 'nope.pem'}: No such file or directory" in server.log_text()


def test_sighup_changes_limits_for_what_comes(make_server):
    server = make_server(limits__text_bytes=100)
    alice = server.sign_in("alice")
    alice.request("create", room="room")
    alice.refused("send", "too_large", room="room", key="k", text="x" * 101)
    server.write_config(limits__text_bytes=200)
    server.reload()

    def taken():
        try:
            return alice.request("send", room="room", key="k", text="x" * 101)
        except Exception as e:
            assert getattr(e, "code", None) == "too_large", e

    until(taken, "the new limit holds on a connection that was there before")
    assert server.sign_in("alice").hello["limits"]["text_bytes"] == 200


def test_sighup_may_come_often_while_people_talk(make_server):
    """Limits that were replaced are freed while requests still look at some: the last ones are in force in the end."""
    server = make_server(limits__text_bytes=100)
    alice = server.sign_in("alice")
    alice.request("create", room="room")
    over, failures = threading.Event(), []

    def talk(name):
        try:
            client = server.sign_in(name)
            client.request("join", room="room")
            n = 0
            while not over.is_set():
                client.request("send", room="room", key=f"{name}-{n}", text="x")
                n += 1
            client.kill()
        except Exception as e:
            failures.append(e)

    talkers = [threading.Thread(target=talk, args=(name,)) for name in ("bob", "carl", "dora")]
    for t in talkers:
        t.start()
    for bound in range(101, 141):
        at = len(server.log_text())
        server.write_config(limits__text_bytes=bound)
        server.reload()
        server.wait_logged("what=reload_done applied=1 needs_restart=0", since=at)
        assert server.rest("GET", "/api/v1/rooms", token=server.token("alice")).status == 200
        assert server.sign_in("eve").hello["limits"]["text_bytes"] == bound
    over.set()
    for t in talkers:
        t.join()
    assert not failures and "what=reload_refused" not in server.log_text()


def test_sighup_refuses_a_bad_file_as_a_whole(make_server):
    server = make_server(limits__text_bytes=100)
    alice = server.sign_in("alice")
    alice.request("create", room="room")
    good = server.config.read_text()
    for bad, mention in [("[limits]\ntext_bytes = 300\nframe_bytes = -5\n", "frame_bytes"),
                         ("[limits]\ntext_bytes = 300\ntext_bites = 3\n", "text_bites"),
                         ("[limits]\ntext_bytes = 300\nping_ms = \"often\"\n", "ping_ms"),
                         ("[limits\n", "greenroom.toml:1")]:
        at = len(server.log_text())
        server.config.write_text(bad)
        server.reload()
        server.wait_logged(mention, since=at)
        assert alice.request("ping")["time"]
        alice.refused("send", "too_large", room="room", key="k", text="x" * 101)
    # A later good file is taken.
    server.config.write_text(good)
    server.write_config(limits__text_bytes=150)
    server.reload()
    until(lambda: server.sign_in("bob").hello["limits"]["text_bytes"] == 150, "the good file is in force")
    assert server.process.poll() is None


def test_sighup_says_what_needs_a_restart(make_server):
    server = make_server()
    at = len(server.log_text())
    server.write_config(rooms__active=500)
    server.reload()
    server.wait_logged("rooms.active", since=at)
    assert "restart" in server.log_text()[at:]


def test_sighup_takes_a_new_certificate_and_keeps_the_old_when_it_is_bad(make_server, tmp_path):
    server = make_server(tls=True)
    kept = server.sign_in("alice", tls=True)

    def subject():
        return ssl.get_server_certificate(("127.0.0.1", server.tls_port))

    first = subject()
    new_certificate, new_key = certificate(tmp_path, "new")
    server.certificate.write_text(new_certificate.read_text())
    at = len(server.log_text())
    server.reload()  # the certificate is new, its key is not
    server.wait_logged("tls", since=at)
    assert subject() == first
    server.key.write_text(new_key.read_text())
    server.reload()
    until(lambda: subject() == new_certificate.read_text(), "the new certificate is shown")
    server.wait_logged(f"what=reloaded key=tls.certificate file={server.certificate}", since=at)
    server.wait_logged("what=reload_done applied=1 needs_restart=0", since=at)
    kept.settle()
    fresh = Client(server.tls_port, tls=server.tls())
    fresh.request("hello", token=server.token("bob"))
    fresh.leave(), kept.leave()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")  # that is the point of it
def test_old_tls_is_refused(make_server):
    server = make_server(tls=True)
    context = server.tls()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, OSError)):
        Client(server.tls_port, tls=context)
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = server.tls()
        context.minimum_version = context.maximum_version = version
        client = Client(server.tls_port, tls=context)
        client.request("hello", token=server.token("alice"))
        client.leave()


def test_ready_only_when_it_can_serve(make_server):
    server = make_server()
    assert server.rest("GET", "/readyz").status == 200
    assert server.rest("GET", "/livez").status == 200
