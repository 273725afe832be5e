"""Who somebody is, by an outside identity provider; and refresh tokens, by which a session of our own goes on."""

import json
import threading
import time

import pytest
from support import tokens
from support.identity_provider import AUDIENCE, ISSUER, Key, Provider, claims
from support.server import certificate
from support.waiting import until

PASSWORD = "correct horse battery staple"
SESSIONS = "/api/v1/sessions"


@pytest.fixture
def provide():
    """provide(*keys): a provider that ends with the test."""
    providers = []

    def make(*keys, **how):
        providers.append(Provider(*keys, **how))
        return providers[-1]

    yield make
    for provider in providers:
        provider.end()


@pytest.fixture
def make_node(make_server):
    """make_node(algorithm, **settings): a server that takes tokens of the provider."""

    def make(algorithm="ES256", **settings):
        return make_server(auth__algorithm=algorithm, auth__issuer=ISSUER, auth__audience=AUDIENCE, **settings)

    return make


def status(server, token):
    return server.rest("GET", SESSIONS, token=token).status


def refused(server, token):
    """Refused over REST, in the upgrade and in hello; the message."""
    answer = server.rest("GET", SESSIONS, token=token)
    assert answer.status == 401, answer
    eve = server.open()
    eve.refused("hello", "unauthenticated", token=token)
    assert eve.closed() == 3501
    return answer.json["error"]["message"]


# -- keys from a URL -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_provider_changes_its_keys_and_nobody_is_locked_out(make_node, provide, tmp_path, algorithm):
    old, new = Key(tmp_path, "old", algorithm), Key(tmp_path, "new", algorithm)
    chain = certificate(tmp_path)
    provider = provide(old, certificate=chain)
    server = make_node(algorithm, auth__jwks_url=provider.url, auth__jwks_ca_file=str(chain[0]), auth__jwks_unknown_s=1)
    alice = server.sign_in("alice", token=old.token(claims("alice", sid="a")))
    assert alice.hello["user"] == "alice" and alice.hello["session"] == "a"
    provider.show(old, new)
    message = refused(server, new.token(claims("bob")))
    assert "kid" in message and "try again in" in message
    until(lambda: status(server, new.token(claims("bob"))) == 200, "the new key is known")
    # The connection goes on with a token of the new key.
    assert alice.request("refresh", token=new.token(claims("alice", 7200, sid="a")))["expires_at"] > alice.hello["expires_at"]
    assert status(server, old.token(claims("alice"))) == 200
    provider.show(new)
    server.reload()
    until(lambda: status(server, old.token(claims("alice"))) == 401, "the old key is not good any more")
    assert status(server, new.token(claims("alice"))) == 200
    alice.settle(), alice.leave()


def test_while_the_provider_is_away_the_last_keys_stay_in_force(make_node, provide, tmp_path):
    first, second = Key(tmp_path, "1", "ES256"), Key(tmp_path, "2", "ES256")
    provider = provide(first)
    server = make_node(auth__jwks_url=provider.url, auth__jwks_unknown_s=1)
    assert status(server, first.token(claims("alice"))) == 200
    for number, (body, code) in enumerate([(b"away", 503), (b"<html>", 200), (b'{"keys":[]}', 200), (b" " * 70_000, 200)]):
        at = len(server.log_text())
        provider.show_raw(body, code)
        assert "try again" in refused(server, second.token(claims("alice")))
        server.wait_logged("what=jwks_fetch_failed", since=at)
        until(lambda: server.metrics()["greenroom_provider_fetch_failures_total"] > number, "the failure is counted")
        assert status(server, first.token(claims("alice"))) == 200
        assert server.metrics()["greenroom_provider_keys"] == 1
    provider.show(second)
    until(lambda: status(server, second.token(claims("alice"))) == 200, "the provider is back")
    assert status(server, first.token(claims("alice"))) == 401


def test_a_node_whose_provider_is_away_starts_and_is_not_ready(make_node, provide, tmp_path):
    key = Key(tmp_path, "1", "ES256")
    provider = provide()
    provider.show_raw(b"away", 503)
    server = make_node(auth__jwks_url=provider.url, start=False)
    server.spawn()
    until(lambda: "what=listening" in server.log_text(), "it has started")
    assert server.rest("GET", "/readyz").status == 503
    assert "try again" in refused(server, key.token(claims("alice")))
    provider.show(key)
    server.wait_ready()
    assert status(server, key.token(claims("alice"))) == 200


def test_a_provider_that_cannot_show_who_it_is_is_not_believed(make_node, provide, tmp_path):
    key = Key(tmp_path, "1", "ES256")
    chain, other = certificate(tmp_path), certificate(tmp_path, "other")
    provider = provide(key, certificate=chain)
    server = make_node(auth__jwks_url=provider.url, auth__jwks_ca_file=str(other[0]), start=False)
    server.spawn()
    server.wait_logged("what=jwks_fetch_failed")
    until(lambda: "what=listening" in server.log_text(), "it has started")
    assert "certificate verify failed" in server.log_text()
    refused(server, key.token(claims("alice")))
    assert provider.asked == 0


def test_a_flood_of_unknown_keys_costs_the_provider_nothing_and_delays_nobody(make_node, provide, tmp_path):
    key, stranger = Key(tmp_path, "1", "ES256"), Key(tmp_path, "x", "ES256")
    provider = provide(key)
    server = make_node(auth__jwks_url=provider.url, auth__jwks_unknown_s=3600)
    alice = server.sign_in("alice", token=key.token(claims("alice")))
    forged = [stranger.token(claims("alice"), kid=f"made-up-{n}") for n in range(20)]

    def flood():
        for _ in range(5):
            for token in forged:
                assert status(server, token) == 401

    players = [threading.Thread(target=flood) for _ in range(4)]
    for player in players:
        player.start()
    while any(p.is_alive() for p in players):
        alice.settle()
    for player in players:
        player.join()
    assert status(server, key.token(claims("alice"))) == 200
    assert provider.asked == 1
    assert server.metrics()["greenroom_provider_unknown_keys_total"] == 400
    alice.leave()


def test_keys_from_a_file_are_read_again_on_sighup(make_node, tmp_path):
    first, second = Key(tmp_path, "1", "RS256"), Key(tmp_path, "2", "RS256")
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [first.jwk()]}))
    server = make_node("RS256", auth__jwks_file=str(file))
    assert status(server, first.token(claims("alice"))) == 200
    file.write_text("not yet written")
    at = len(server.log_text())
    server.reload()
    server.wait_logged('what=reload_refused mistake="auth.jwks_file: ', since=at)
    assert status(server, first.token(claims("alice"))) == 200
    file.write_text(json.dumps({"keys": [second.jwk(), first.jwk(use="enc")]}))
    at = len(server.log_text())
    server.reload()
    server.wait_logged("what=reloaded key=auth.jwks_file", since=at)
    assert status(server, second.token(claims("alice"))) == 200
    assert "kid" in refused(server, first.token(claims("alice")))


# -- forged tokens, claims -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_forged_tokens_are_refused(make_node, provide, tmp_path, algorithm):
    other = "ES256" if algorithm == "RS256" else "RS256"
    key, stranger = Key(tmp_path, "1", algorithm), Key(tmp_path, "s", algorithm)
    wrong_kind, weak = Key(tmp_path, "k", other), Key(tmp_path, "e", algorithm)
    provider = provide(key, wrong_kind, weak.jwk(use="enc"), {"kty": "oct", "kid": "o", "k": tokens.b64(b"0" * 32)})
    server = make_node(algorithm, auth__jwks_url=provider.url, auth__jwks_unknown_s=3600)
    good = claims("alice")
    assert status(server, key.token(good)) == 200
    now = int(time.time())
    forged = {
        "none": tokens.encode(good, b"", "none", kid="1"),
        # The confusion of RFC 8725 section 2.1: the public key taken for an HMAC secret.
        "HS256 under the PEM": tokens.encode(good, key.public.read_bytes(), kid="1"),
        "HS256 under the JWK": tokens.encode(good, json.dumps(key.jwk()).encode(), kid="1"),
        "HMAC that says it is ours": tokens.encode(good, key.public.read_bytes(), algorithm, kid="1"),
        "HS256 under a shared key of the set": tokens.encode(good, b"0" * 32, kid="o"),
        "HMAC under it that says it is ours": tokens.encode(good, b"0" * 32, algorithm, kid="o"),
        "another algorithm, of the set": wrong_kind.token(good),
        "another algorithm, that says it is ours": wrong_kind.token(good, alg=algorithm),
        "our algorithm, that says it is another": key.token(good, alg=other),
        "a key for encryption": weak.token(good),
        "a stranger's key": stranger.token(good, kid="1"),
        "a stranger's key by its own name": stranger.token(good),
        "a stranger's key that is brought along": stranger.token(good, kid="1", jwk=stranger.jwk()),
        "a stranger's key by reference": stranger.token(good, kid="1", jku="http://127.0.0.1:1/keys"),
        "an empty kid": key.token(good, kid=""),
        "another kind of token": key.token(good, typ="logout+jwt"),
        "expired": key.token({**good, "exp": now - 60}),
        "without an end": key.token({k: v for k, v in good.items() if k != "exp"}),
        "not valid yet": key.token({**good, "nbf": now + 60}),
        "another audience": key.token({**good, "aud": "mail"}),
        "no audience": key.token({k: v for k, v in good.items() if k != "aud"}),
        "another issuer": key.token({**good, "iss": "https://evil.example"}),
        "another user under the signature": ".".join(
            [key.token(good).split(".")[0], tokens.b64(json.dumps({**good, "sub": "root"}).encode()), key.token(good).split(".")[2]]),
    }
    for what, token in forged.items():
        assert refused(server, token).startswith("token: "), what
    assert status(server, key.token(good, typ="at+jwt")) == 200
    assert provider.asked == 1


def test_claims_say_who_it_is_and_who_is_an_admin(make_node, provide, tmp_path):
    key = Key(tmp_path, "1", "ES256")
    provider = provide(key)
    server = make_node(auth__jwks_url=provider.url, auth__user_claim="preferred_username",
                       auth__admin_claim="/realm_access/roles", auth__admin_value="chat-admin")
    nobody = claims("00u1ab2cd")
    alice = server.sign_in("alice", token=key.token({**nobody, "preferred_username": "alice"}))
    assert alice.hello["user"] == "alice"
    assert "preferred_username: " in refused(server, key.token(nobody))
    assert "preferred_username: " in refused(server, key.token({**nobody, "preferred_username": "Alice Liddell"}))

    def lists_all(**more):
        return server.rest("GET", SESSIONS + "?all=true", token=key.token({**nobody, "preferred_username": "root", **more})).status

    assert lists_all(realm_access={"roles": ["user", "chat-admin"]}) == 200
    assert lists_all(realm_access={"roles": ["user"]}) == 403
    assert lists_all(admin=True, roles=["chat-admin"]) == 403
    alice.leave()


def test_an_outside_session_is_ended_like_any_other(make_node, provide, tmp_path):
    key = Key(tmp_path, "1", "ES256")
    server = make_node(auth__jwks_url=provide(key).url)
    token = key.token(claims("alice", sid="sso-1"))
    alice = server.sign_in("alice", token=token)
    assert server.rest("DELETE", "/api/v1/auth", token=token).status == 204
    assert alice.closed() == 3502
    # Whatever else the provider says in the name of that session.
    assert status(server, key.token(claims("alice", 7200, sid="sso-1"))) == 401
    assert status(server, key.token(claims("alice", sid="sso-2"))) == 200


# -- refresh tokens ------------------------------------------------------------------------------------------------------
def log_in(server, user):
    how = {"user": user, "password": PASSWORD}
    answer = server.rest("POST", "/api/v1/auth/register", how)
    return (answer if answer.status == 201 else server.rest("POST", "/api/v1/auth", how)).json


def renew(server, refresh_token):
    return server.rest("POST", "/api/v1/auth/refresh", {"refresh_token": refresh_token})


def test_a_refresh_token_that_is_used_again_ends_the_session_within_a_second(shared, own):
    stolen = log_in(shared, own("alice"))
    kept = log_in(shared, own("alice"))
    before = shared.metrics()["greenroom_refresh_reuses_total"]
    victim = shared.sign_in(own("alice"), token=stolen["token"])
    other = shared.sign_in(own("alice"), token=kept["token"])
    first = stolen["refresh_token"]
    second = renew(shared, first).json["refresh_token"]
    # A lost answer is no theft.
    assert renew(shared, first).json["refresh_token"] == second
    third = renew(shared, second).json["refresh_token"]
    assert len({first, second, third}) == 3
    victim.settle()
    at, begin = len(shared.log_text()), time.monotonic()
    assert renew(shared, first).status == 401
    assert victim.closed() == 3502
    assert time.monotonic() - begin < 1
    event = shared.wait_logged("what=security_event kind=refresh_token_reused", since=at)
    assert event and f"user={own('alice')} session={stolen['session']}" in shared.log_text()[at:]
    assert shared.metrics()["greenroom_refresh_reuses_total"] == before + 1
    for token in (first, second, third):
        assert renew(shared, token).status == 401
    assert status(shared, stolen["token"]) == 401
    assert renew(shared, kept["refresh_token"]).status == 200
    other.settle(), other.leave()
    assert not any(token in shared.log_text() for token in (first, second, third))


def test_the_moment_for_a_lost_answer_ends(make_server):
    server = make_server(auth__refresh_grace_s=1)
    grant = log_in(server, "alice")
    second = renew(server, grant["refresh_token"]).json["refresh_token"]
    begin = time.monotonic()
    until(lambda: time.monotonic() - begin > 1.1, "the moment is over")
    assert renew(server, grant["refresh_token"]).status == 401
    assert renew(server, second).status == 401


def test_a_lost_answer_is_made_good_by_a_server_that_was_killed_meanwhile(make_server):
    server = make_server()
    first = log_in(server, "alice")["refresh_token"]
    second = renew(server, first).json["refresh_token"]
    server.kill()
    server.start()
    assert renew(server, first).json["refresh_token"] == second
    third = renew(server, second).json["refresh_token"]
    server.kill()
    server.start()
    assert renew(server, first).status == 401
    assert renew(server, third).status == 401


def test_many_who_refresh_at_once_with_one_token_get_one_successor(shared, own):
    first = log_in(shared, own("alice"))["refresh_token"]
    answers = []
    players = [threading.Thread(target=lambda: answers.append(renew(shared, first))) for _ in range(8)]
    for player in players:
        player.start()
    for player in players:
        player.join()
    assert [a.status for a in answers] == [200] * 8
    assert len({a.json["refresh_token"] for a in answers}) == 1
    assert renew(shared, answers[0].json["refresh_token"]).status == 200


def test_whoever_knows_no_refresh_token_can_end_nothing(shared, own):
    grant = log_in(shared, own("alice"))
    user, session, secret = grant["refresh_token"].split(":")
    for made_up in ("", "0" * 40, "0" * 104, secret[40:], secret[:39]):
        assert renew(shared, f"{user}:{session}:{made_up}").status == 401
    assert renew(shared, grant["refresh_token"]).status == 200
