"""Links between nodes through the TLS front: certificates from `greenroom cluster certs`, a cluster that uses them, and
nodes that are not let in."""

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest
from support.cluster import Cluster
from support.server import GREENROOM, GREENROOMD, Server, free_port
from support.waiting import LIMIT_S, until


def certs(*arguments, cwd):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("GREENROOM_")}
    return subprocess.run([str(GREENROOM), "cluster", "certs", *map(str, arguments)], capture_output=True, text=True,
                          cwd=cwd, timeout=LIMIT_S, env=clean)


@pytest.fixture
def cluster(tmp_path):
    made = Cluster(tmp_path / "cluster", log__level="info")
    try:
        made.encrypt()
        made.start()
        made.wait_replicated()
        yield made
    finally:
        made.end()


def crosses(cluster, room, n):
    """What is said on each node is heard on the others."""
    who = [cluster.sign_in(f"user{i}", on=node) for i, node in enumerate(cluster.nodes)]
    for w in who[1:]:
        w.request("join", room=room)
    for w in who:
        sent = w.request("send", room=room, key=f"{n}-{w.user}", text=f"{n} {w.user}")
        assert sent["stored"] == {"replicas": 3, "synced": 3}
        for other in who:
            assert other.event("message", text=f"{n} {w.user}")
    for w in who:
        w.leave()


def test_a_cluster_whose_links_are_encrypted(cluster):
    n1, n2, n3 = cluster.nodes
    first = cluster.sign_in("user0", on=n1)
    first.request("create", room="hall")
    first.leave()
    crosses(cluster, "hall", "first")
    for low, high in ((n1, n2), (n1, n3), (n2, n3)):
        low.wait_logged(f"what=front_open peer={high.settings['node.name']}")
        high.wait_logged(f"what=front_open peer={low.settings['node.name']}")
    # CAF does not hear who comes without a certificate.
    with socket.create_connection(("127.0.0.1", n1.settings["cluster.listen_port"]), LIMIT_S) as stranger:
        stranger.sendall(b"hello, is this CAF?\n")
        while stranger.recv(4096):
            pass
    n1.wait_logged("reason=not_tls")
    # A node that was killed finds its way back.
    n2.kill()
    n2.start()
    cluster.wait_replicated()
    crosses(cluster, "hall", "again")


def test_new_certificates_are_taken_on_sighup(cluster):
    n1, n2, n3 = cluster.nodes
    first = cluster.sign_in("user0", on=n1)
    first.request("create", room="hall")
    first.leave()
    refused = len(n1.log_text())
    good = Path(n1.settings["cluster.tls_certificate_file"])
    kept = good.read_text()
    good.write_text("not a certificate")
    n1.reload()
    n1.wait_logged("what=reload_refused", refused)
    assert str(good) in n1.log_text()[refused:]
    good.write_text(kept)
    # All nodes change to another CA. Links stay; those that are made anew need it.
    cluster.encrypt("others")
    for n in cluster.nodes:
        since = len(n.log_text())
        n.write_config()
        n.reload()
        n.wait_logged("what=reload_needs_restart key=cluster.tls_ca_file", since)
    for kind in ("certificate", "key", "ca"):
        for i, n in enumerate(cluster.nodes):
            old = cluster.directory / "certs" / ("ca.pem" if kind == "ca" else f"n{i + 1}.{'pem' if kind == 'certificate' else 'key'}")
            old.write_text(Path(n.settings[f"cluster.tls_{kind}_file"]).read_text())
    for n in cluster.nodes:
        since = len(n.log_text())
        n.reload()
        n.wait_logged("what=reloaded key=cluster.tls_certificate_file", since)
    crosses(cluster, "hall", "kept")
    n3.kill()
    n3.start()
    cluster.wait_replicated()
    crosses(cluster, "hall", "anew")


def test_a_node_with_a_certificate_of_another_ca_does_not_get_in(cluster):
    n1 = cluster.nodes[0]
    made = json.loads(certs("others", "--node", "n4", "--json", cwd=cluster.directory).stdout)
    # It trusts the others, so that the refusal is theirs.
    both = cluster.directory / "both.pem"
    both.write_text(Path(made["ca"]["certificate"]).read_text() + Path(n1.settings["cluster.tls_ca_file"]).read_text())
    node = Server(cluster.directory / "n4", **{
        k.replace(".", "__"): v for k, v in n1.settings.items() if k.startswith(("cluster.", "auth.", "log."))})
    node.settings.update({"node.name": "n4", "cluster.listen_port": free_port(),
                          "cluster.tls_certificate_file": made["nodes"][0]["certificate"],
                          "cluster.tls_key_file": made["nodes"][0]["key"], "cluster.tls_ca_file": str(both)})
    try:
        node.spawn()
        for n in cluster.nodes:
            n.wait_logged("reason=unknown_ca why=\"a certificate of n4, not from our CA: unable to get local issuer")
            node.wait_logged(f"what=front_failed peer={n.settings['node.name']}")
            node.wait_logged(f"what=link_failed peer={n.settings['node.name']}")
        assert "reason=refused_there" in node.log_text()
        until(lambda: n1.metrics()['greenroom_cluster_tls_refused_total{reason="unknown_ca"}'] >= 2, "a second attempt")
        assert n1.log_text().count("reason=unknown_ca") == 1, "the second one is not news"
        assert "what=link_up" not in node.log_text()
        assert "what=link_up peer=n4" not in n1.log_text()
    finally:
        node.kill()


def test_a_node_says_what_is_wrong_with_its_links(tmp_path):
    assert certs("certs", "--node", "n1", "n2", cwd=tmp_path).returncode == 0
    files = {"tls_certificate_file": "certs/n1.pem", "tls_key_file": "certs/n1.key", "tls_ca_file": "certs/ca.pem"}

    def start(**cluster):
        flags = [f"--cluster.{k}={v}" for k, v in {"etcd": "http://127.0.0.1:1", **cluster}.items()]
        done = subprocess.run([str(GREENROOMD), "--node.name=n1", "--listen.port=0", *flags], capture_output=True,
                              text=True, cwd=tmp_path, timeout=LIMIT_S, stdin=subprocess.DEVNULL)
        assert done.returncode != 0
        return done.stderr

    assert "--cluster.listen_address: cluster.listen_address: is not 127.0.0.1" in start(listen_address="10.1.2.3")
    assert "cluster.tls_ca_file: is needed" in start(tls_certificate_file="certs/n1.pem", tls_key_file="certs/n1.key")
    assert "cluster.advertise_address: is needed" in start(**files, listen_address="0.0.0.0")


def test_certificates(tmp_path):
    done = certs("made/here", "--node", "n1", "n2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    here = tmp_path / "made" / "here"
    assert sorted(f.name for f in here.iterdir()) == ["ca.key", "ca.pem", "n1.key", "n1.pem", "n2.key", "n2.pem"]
    assert {f.stat().st_mode & 0o777 for f in here.iterdir()} == {0o600}
    for line in ("[cluster]", f'tls_certificate_file = "{here}/n1.pem"', f'tls_key_file = "{here}/n1.key"',
                 f'tls_ca_file = "{here}/ca.pem"'):
        assert line in done.stdout
    for name in ("n1", "n2"):
        shown = subprocess.run(["openssl", "x509", "-in", here / f"{name}.pem", "-noout", "-text"], capture_output=True,
                               text=True, check=True).stdout
        assert f"DNS:{name}\n" in shown
        assert "TLS Web Server Authentication, TLS Web Client Authentication" in shown
        assert "NIST CURVE: P-256" in shown
        for purpose in ("sslserver", "sslclient"):
            subprocess.run(["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", here / "ca.pem",
                            here / f"{name}.pem"], check=True, capture_output=True)
    before = {f.name: f.read_text() for f in here.iterdir()}
    # Nothing is replaced unasked, not even in part.
    done = certs(here, "--node", "n3", "n1", cwd=tmp_path)
    assert done.returncode == 1 and "n1.pem is there already: --force replaces it" in done.stderr
    assert {f.name: f.read_text() for f in here.iterdir()} == before
    done = certs(here, "--node", "n1", "--force", "--days", "7", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["ca"]["made"] is False and [n["name"] for n in answer["nodes"]] == ["n1"]
    after = {f.name: f.read_text() for f in here.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"n1.pem", "n1.key"}
    subprocess.run(["openssl", "x509", "-in", here / "n1.pem", "-noout", "-checkend", str(6 * 86_400)], check=True,
                   capture_output=True)
    assert subprocess.run(["openssl", "x509", "-in", here / "n1.pem", "-noout", "-checkend", str(8 * 86_400)],
                          capture_output=True).returncode == 1
    for words, complaint in ((("--node", "N1"), "is not the name of a node"), (("--node", "ca"), "can't be named"),
                             (("--node", "n4", "n4"), "is named twice"),
                             (("--node", "n4", "--days", "36500"), "n4: the CA ends before, on ")):
        done = certs(here, *words, cwd=tmp_path)
        assert done.returncode == 1 and complaint in done.stderr, (words, done.stderr)
    assert certs(here, cwd=tmp_path).returncode == 2
    assert certs(here, "--node", "n4", "--days", "0", cwd=tmp_path).returncode == 2
    (here / "ca.key").write_text((here / "n2.key").read_text())
    assert "the CA's key is not the one of its certificate" in certs(here, "--node", "n4", cwd=tmp_path).stderr
    (here / "ca.key").unlink()
    assert "has only one of ca.pem and ca.key" in certs(here, "--node", "n4", cwd=tmp_path).stderr
    assert not (here / "n4.pem").exists()
