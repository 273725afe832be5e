"""Everything that net/api/openapi.json and net/api/asyncapi.json say, done once: each operation with success and with the errors
that can be provoked, each op with all of its fields. Whether what comes back is what they say is looked at by contract.py, as
in every test; here it has to be the status or code that was wanted. What has been seen stands in contract.SEEN."""

import hashlib
import random
import threading
from urllib.parse import quote

from . import tokens
from .client import RequestError
from .contract import REST, SOCKET
from .waiting import now_ms, until

PASSWORD = "correct horse battery staple"
AUTH = "/api/v1/auth"
EMOJI = "\U0001f44d"
LONG = "x" * 20_000  # over limits.text_bytes
FAR = 33_333_333_333_333  # a time
DAY_MS = 86_400_000
# What is done to people in a room, and how they stand afterwards.
MODERATION = ("invite", "kick", "ban", "unban", "mute", "unmute", "role")
SETTINGS = ("room", "topic", "pin", "unpin")

# One good request for each operation that asks the node: (method, path, body, key or headers).
GOOD = {
    "log_in": ("POST", AUTH, {"user": "ann", "password": PASSWORD}, None),
    "register": ("POST", f"{AUTH}/register", {"user": "amy", "password": PASSWORD}, None),
    "guest": ("POST", f"{AUTH}/guest", {}, None),
    "refresh": ("POST", f"{AUTH}/refresh", {"refresh_token": "ann:x:y"}, None),
    "log_out": ("DELETE", AUTH, None, None),
    "list_sessions": ("GET", "/api/v1/sessions", None, None),
    "end_session": ("DELETE", "/api/v1/sessions/other", None, None),
    "show_own_profile": ("GET", "/api/v1/users/me", None, None),
    "change_profile": ("PATCH", "/api/v1/users/me", {"name": "Alice"}, None),
    "show_profile": ("GET", "/api/v1/users/alice", None, None),
    "show_own_presence": ("GET", "/api/v1/users/me/presence", None, None),
    "change_presence": ("PUT", "/api/v1/users/me/presence", {"status": "away"}, None),
    "show_presence": ("GET", "/api/v1/users/alice/presence", None, None),
    "send_to_user": ("POST", "/api/v1/users/bob/messages", {"text": "x"}, "good"),
    "batch": ("POST", "/api/v1/batch", {"operations": [{"op": "rooms"}]}, None),
    "list_blocks": ("GET", "/api/v1/users/me/blocks", None, None),
    "block": ("PUT", "/api/v1/users/me/blocks/zoe", None, None),
    "unblock": ("DELETE", "/api/v1/users/me/blocks/zoe", None, None),
    "export_own": ("GET", "/api/v1/users/me/export", None, None),
    "export_user": ("GET", "/api/v1/users/alice/export", None, None),
    "erase_own": ("DELETE", "/api/v1/users/me", None, None),
    "erase_user": ("DELETE", "/api/v1/users/nobody", None, None),
    "show_erasure": ("GET", "/api/v1/users/nobody/erasure", None, None),
    "chat": ("POST", "/api/v1/chat", {"room": "general"}, None),
    "list_rooms": ("GET", "/api/v1/rooms", None, None),
    "create_room": ("POST", "/api/v1/rooms", {"room": "general"}, None),
    "list_events": ("GET", "/api/v1/rooms/general/events", None, None),
    "send": ("POST", "/api/v1/rooms/general/messages", {"text": "x"}, "good"),
    "show_message": ("GET", "/api/v1/rooms/general/messages/2", None, None),
    "mark_read": ("PUT", "/api/v1/rooms/general/read", {"seq": 1}, None),
    "mark_delivered": ("PUT", "/api/v1/rooms/general/delivered", {"seq": 1}, None),
    "show_typing": ("PUT", "/api/v1/rooms/general/typing", {"on": True}, None),
    "edit": ("PATCH", "/api/v1/rooms/general/messages/2", {"text": "y"}, "good"),
    "revoke": ("DELETE", "/api/v1/rooms/general/messages/2", None, "good"),
    "react": ("PUT", f"/api/v1/rooms/general/messages/2/reactions/{quote(EMOJI)}", None, "good"),
    "unreact": ("DELETE", f"/api/v1/rooms/general/messages/2/reactions/{quote(EMOJI)}", None, "good"),
    "list_members": ("GET", "/api/v1/rooms/general/members", None, None),
    "list_replies": ("GET", "/api/v1/rooms/general/messages/2/replies", None, None),
    "list_scheduled": ("GET", "/api/v1/rooms/general/scheduled", None, None),
    "cancel": ("DELETE", "/api/v1/rooms/general/scheduled/good", None, None),
    "join": ("POST", "/api/v1/rooms/general/members/me", None, None),
    "leave": ("DELETE", "/api/v1/rooms/general/members/me", None, None),
    "show_room": ("GET", "/api/v1/rooms/general", None, None),
    "configure_room": ("PATCH", "/api/v1/rooms/general", {"title": "General"}, None),
    "delete_room": ("DELETE", "/api/v1/rooms/hall", None, None),
    "set_topic": ("PUT", "/api/v1/rooms/general/topic", {"title": "Cats"}, None),
    "list_pins": ("GET", "/api/v1/rooms/general/pins", None, None),
    "pin": ("PUT", "/api/v1/rooms/general/pins/2", None, None),
    "unpin": ("DELETE", "/api/v1/rooms/general/pins/2", None, None),
    "invite": ("PUT", "/api/v1/rooms/general/members/zoe", None, None),
    "set_role": ("PATCH", "/api/v1/rooms/general/members/zoe", {"role": "guest"}, None),
    "kick": ("DELETE", "/api/v1/rooms/general/members/zoe", None, None),
    "list_bans": ("GET", "/api/v1/rooms/general/bans", None, None),
    "ban": ("PUT", "/api/v1/rooms/general/bans/zoe", None, None),
    "unban": ("DELETE", "/api/v1/rooms/general/bans/zoe", None, None),
    "list_mutes": ("GET", "/api/v1/rooms/general/mutes", None, None),
    "mute": ("PUT", "/api/v1/rooms/general/mutes/zoe", None, None),
    "unmute": ("DELETE", "/api/v1/rooms/general/mutes/zoe", None, None),
    "begin_attachment": ("POST", "/api/v1/rooms/general/attachments", {"name": "cat.png", "size": 1}, None),
    "fetch_attachment": ("GET", f"/api/v1/rooms/general/attachments/{'a' * 32}", None, None),
    "store_attachment": ("PATCH", f"/api/v1/rooms/general/attachments/{'a' * 32}", b"x", {"Upload-Offset": 0}),
    "discard_attachment": ("DELETE", f"/api/v1/rooms/general/attachments/{'a' * 32}", None, None),
    "show_attachment": ("GET", f"/api/v1/rooms/general/attachments/{'a' * 32}/info", None, None),
    "list_webhooks": ("GET", "/api/v1/webhooks", None, None),
    "replay": ("POST", "/api/v1/webhooks/audit/replay", {"room": "general", "seq": 1}, None),
}


def headers_of(key):
    return key if isinstance(key, dict) else {"Idempotency-Key": key} if key else {}


class Caller:
    """REST requests of several users to one server."""

    def __init__(self, server):
        self.server, self.count = server, 0

    def __call__(self, status, method, path, body=None, who="alice", key=None, token=None, **headers):
        """The JSON of the answer, which must have this status. `who` None: without a token."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers.update(headers_of(key))
        if token is None and who:
            token = self.server.token(who, sid=f"of-{who}")
        answer = self.server.rest(method, path, body, token, headers)
        assert answer.status == status, f"{method} {path}: wanted {status}, got {answer}"
        is_json = answer.body and answer.headers.get("content-type") == "application/json"
        return answer.json if is_json else None

    def good(self, operation, status, **how):
        """The good request for an operation, which gets this status all the same; under a session of its own."""
        method, path, body, key = GOOD[operation]
        self.count += 1
        if "who" not in how:
            how["token"] = self.server.token("alice", sid=f"good-{self.count}")
        return self(status, method, path, body, key=key, **how)


def needs_token(operation):
    return operation.get("security", REST.root["security"]) == REST.root["security"]


# -- REST ----------------------------------------------------------------------------------------------------------------------
def accounts(call):
    call(200, "GET", "/", who=None)
    call(200, "GET", "/livez", who=None)
    call(200, "GET", "/readyz", who=None)
    call(200, "GET", "/metrics", who=None)
    new = {"user": "ann", "password": PASSWORD, "device": "laptop"}
    grant = call(201, "POST", f"{AUTH}/register", new, None)
    call(409, "POST", f"{AUTH}/register", new, None)
    call(403, "POST", f"{AUTH}/register", {**new, "user": "guest-ann"}, None)
    call(200, "POST", AUTH, new, None)
    call(401, "POST", AUTH, {**new, "password": "wrong"}, None)
    call(201, "POST", f"{AUTH}/guest", {"device": "kiosk"}, None)
    call(200, "POST", f"{AUTH}/refresh", {"refresh_token": grant["refresh_token"]}, None)
    call(401, "POST", f"{AUTH}/refresh", {"refresh_token": "ann:no:such"}, None)
    for path, bad, long in (("", {"user": "ann"}, {**new, "password": "x" * 1025}),
                            ("/register", {"user": "ann"}, {**new, "password": "x" * 1025}),
                            ("/guest", {"device": 7}, {"device": "x" * 65}), ("/refresh", {}, {"refresh_token": "x" * 4097})):
        call(400, "POST", AUTH + path, bad, None)
        call(413, "POST", AUTH + path, long, None)
        call(415, "POST", AUTH + path, b"user=ann", None, Content_Type="text/plain")
    call(200, "GET", "/api/v1/sessions?all=false")
    call(200, "GET", "/api/v1/sessions?all=true", token=call.server.token("root", admin=True))
    call(403, "GET", "/api/v1/sessions?all=true")
    call(400, "GET", "/api/v1/sessions?all=perhaps")
    call(200, "GET", "/api/v1/sessions?limit=1&after=5,alice,n1,s")
    call(413, "GET", "/api/v1/sessions?limit=1000000")
    other = call(200, "POST", AUTH, new, None)
    call(204, "DELETE", f"/api/v1/sessions/{other['session']}", token=grant["token"])
    call(404, "DELETE", "/api/v1/sessions/nobodys", token=grant["token"])
    call(400, "DELETE", "/api/v1/sessions/%zz", token=grant["token"])
    call(204, "DELETE", AUTH, token=grant["token"])
    for _, item in REST.root["paths"].items():
        for operation in item.values():
            if needs_token(operation):
                call.good(operation["operationId"], 401, who=None)


def rooms(call):
    profile = "/api/v1/users/me"
    call(200, "PATCH", profile, {"name": "Alice", "avatar": "a.png", "fields": {"x": 1}})
    call(200, "GET", profile)
    call(200, "GET", "/api/v1/users/alice", who="bob")
    call(400, "PATCH", profile, {"name": 7})
    call(413, "PATCH", profile, {"name": "x" * 257})
    call(415, "PATCH", profile, b"name", Content_Type="text/plain")
    presence = "/api/v1/users/me/presence"
    call(200, "PUT", presence, {"status": "dnd", "note": "in a meeting"})
    call(200, "GET", presence)
    call(200, "GET", "/api/v1/users/alice/presence", who="bob")
    call(400, "GET", "/api/v1/users/No%20One/presence")
    call(400, "PUT", presence, {"status": "asleep"})
    call(413, "PUT", presence, {"note": "x" * 257})
    call(415, "PUT", presence, b"status", Content_Type="text/plain")
    call(404, "GET", "/api/v1/users/nobody")
    call(400, "GET", "/api/v1/users/NotAName")
    rooms, general, cellar, nowhere = "/api/v1/rooms", "/api/v1/rooms/general", "/api/v1/rooms/cellar", "/api/v1/rooms/nowhere"
    call(201, "POST", rooms, {"room": "general", "kind": "public", "title": "General", "history_days": 7})
    call(409, "POST", rooms, {"room": "general"}, "bob")
    call(201, "POST", rooms, {"room": "cellar", "kind": "private"})
    call(400, "POST", rooms, {"room": "Not A Room"})
    call(413, "POST", rooms, {"room": "hall", "title": "x" * 257})
    call(415, "POST", rooms, b"hall", Content_Type="text/plain")

    send = f"{general}/messages"
    call(201, "POST", send, {"text": "one", "data": {"n": 1}}, key="k1")  # seq 2
    call(200, "POST", send, {"text": "one", "data": {"n": 1}}, key="k1")
    call(409, "POST", send, {"text": "another"}, key="k1")
    call(400, "POST", send, {"text": "no key"})
    call(413, "POST", send, {"text": LONG}, key="k2")
    call(415, "POST", send, b"two", key="k2", Content_Type="text/plain")
    call(400, "POST", send, {"text": "two", "attachments": ["x"]}, key="k2")
    call(403, "POST", send, {"text": "two"}, "bob", "k2")
    call(404, "POST", f"{nowhere}/messages", {"text": "two"}, key="k2")

    message = f"{send}/2"
    call(200, "PATCH", message, {"text": "better", "base": 0}, key="e1")
    call(409, "PATCH", message, {"text": "best", "base": 0}, key="e2")
    call(400, "PATCH", f"{send}/first", {"text": "best"}, key="e2")
    call(413, "PATCH", message, {"text": LONG}, key="e2")
    call(415, "PATCH", message, b"best", key="e2", Content_Type="text/plain")
    call(404, "PATCH", f"{send}/40", {"text": "best"}, key="e2")
    call(200, "POST", f"{general}/members/me", who="bob")
    call(403, "PATCH", message, {"text": "best"}, "bob", "e2")
    call(403, "DELETE", message, None, "bob", "v2")
    for method in ("PUT", "DELETE"):
        reaction = f"{message}/reactions/{quote(EMOJI)}"
        call(200, method, reaction, key=f"r-{method}")
        call(409, method, reaction, key="k1")
        call(400, method, reaction)
        call(413, method, f"{message}/reactions/{quote(EMOJI * 20)}", key="r2")
        call(403, method, reaction, None, "eve", "r2")
        call(404, method, f"{send}/40/reactions/x", key="r2")
    call(409, "DELETE", message, key="k1")
    call(400, "DELETE", message)
    call(413, "DELETE", message, key="k" * 65)
    call(404, "DELETE", f"{send}/40", key="v1")

    later(call, general, cellar, nowhere)
    call(201, "POST", send, {"text": "@bob", "reply_to": 2}, key="k3")
    call(200, "GET", f"{message}/replies?after=0&limit=10")
    call(400, "GET", f"{message}/replies?limit=some")
    call(413, "GET", f"{message}/replies?limit=1000000")
    call(403, "GET", f"{cellar}/messages/1/replies", who="eve")
    call(404, "GET", f"{send}/40/replies")

    for place in ("before=3", "after=1", "around=2", "at=0", "limit=1"):
        call(200, "GET", f"{general}/events?{place}")
        name, number = place.split("=")
        call(200, "POST", "/api/v1/chat", {"room": "general", name: int(number)})
    call(200, "GET", message)
    call(400, "GET", f"{send}/first")
    call(403, "GET", f"{cellar}/messages/1", who="eve")
    call(404, "GET", f"{send}/4000")
    call(200, "DELETE", message, key="v1")
    call(200, "GET", f"{general}/events")
    marks(call, general, cellar, nowhere)
    assert "epoch" not in call(200, "GET", f"{rooms}/{quote('@alice+zoe', safe='')}/events")
    to_somebody(call)
    batches(call)
    call(200, "GET", f"{rooms}?limit=1&after=cellar")
    call(200, "GET", f"{general}/members?limit=1&after=alice")
    for path in (f"{rooms}?", f"{general}/events?", f"{general}/members?"):
        call(400, "GET", f"{path}limit=some")
        call(413, "GET", f"{path}limit=1000000")
    for path in ("/events", "/members"):
        call(403, "GET", cellar + path, who="eve")
        call(404, "GET", nowhere + path)
    call(400, "POST", "/api/v1/chat", {})
    call(413, "POST", "/api/v1/chat", {"room": "general", "limit": 1_000_000})
    call(415, "POST", "/api/v1/chat", b"general", Content_Type="text/plain")
    call(403, "POST", "/api/v1/chat", {"room": "cellar"}, "eve")
    call(404, "POST", "/api/v1/chat", {"room": "nowhere"})

    for method in ("POST", "DELETE"):
        call(400, method, f"{rooms}/Not%20A%20Room/members/me")
        call(404, method, f"{nowhere}/members/me")
    call(403, "POST", f"{cellar}/members/me", who="eve")
    call(403, "DELETE", f"{cellar}/members/me", who="eve")
    call(200, "DELETE", f"{general}/members/me", who="bob")


def marks(call, general, cellar, nowhere):
    """What says how far somebody is. REQUIRES: a message 2 of alice's in general, and a reply to it."""
    call(200, "PUT", f"{general}/read", {"seq": 2, "private": True})
    call(200, "PUT", f"{general}/read", {"seq": 3, "thread": 2})
    call(200, "PUT", f"{general}/delivered", {"seq": 2, "private": True})
    call(200, "PUT", f"{general}/typing", {"on": True})
    for name, good in (("read", {"seq": 1}), ("delivered", {"seq": 1}), ("typing", {"on": False})):
        call(400, "PUT", f"{general}/{name}", {})
        call(403, "PUT", f"{cellar}/{name}", good, "eve")
        call(404, "PUT", f"{nowhere}/{name}", good)
        call(415, "PUT", f"{general}/{name}", b"1", Content_Type="text/plain")


def to_somebody(call):
    """What is said to one."""
    send = "/api/v1/users/zoe/messages"
    plan = {"text": "later", "at": now_ms() + DAY_MS}
    call(201, "POST", send, {"text": "psst"}, key="t1")
    call(200, "POST", send, {"text": "psst"}, key="t1")
    call(202, "POST", send, plan, key="t2")
    call(200, "POST", send, {"text": "look!", "data": {"n": 1}, "ephemeral": True})
    call(400, "POST", "/api/v1/users/alice/messages", {"text": "oneself"}, key="t3")
    call(409, "POST", send, {"text": "another", "reply_to": 1}, key="t1")
    call(413, "POST", send, {"text": LONG}, key="t3")
    call(415, "POST", send, b"psst", key="t3", Content_Type="text/plain")
    call(400, "POST", send, {"text": "x", "attachments": ["x"]}, key="t3")


def batches(call):
    """Many operations at once: every answer that one of them can have."""
    path = "/api/v1/batch"
    room = {"room": "lounge"}
    operations = [{"op": "create", **room, "id": 7}, {"op": "send", **room, "key": "b1", "text": "one"}, {"op": "join", **room},
                  {"op": "send", **room, "key": "b2", "text": "two", "at": now_ms() + DAY_MS}, {"op": "scheduled", **room},
                  {"op": "history", **room}, {"op": "thread", **room, "target": 2}, {"op": "members", **room}, {"op": "rooms"},
                  {"op": "profile"}, {"op": "room", **room}, {"op": "pin", **room, "target": 2}, {"op": "pins", **room},
                  {"op": "read", **room, "seq": 2}, {"op": "typing", **room, "on": True}, {"op": "room", **room, "delete": True}]
    answers = call(200, "POST", path, {"operations": operations})["answers"]
    assert [set(a) for a in answers] == [{"re", "ok"}] + [{"ok"}] * 15, answers
    stopped = {"operations": [{"op": "dance"}, {"op": "rooms"}], "on_error": "stop"}
    assert [a["error"]["code"] for a in call(200, "POST", path, stopped)["answers"]] == ["unsupported"]
    call(400, "POST", path, {"operations": 7})
    call(413, "POST", path, {"operations": [{"op": "rooms"}] * 51})
    call(415, "POST", path, b"rooms", Content_Type="text/plain")


def later(call, general, cellar, nowhere):
    """What is sent later, or is gone at once. REQUIRES: a message of alice's in general, under the key k1."""
    send, kept = f"{general}/messages", f"{general}/scheduled"
    call(200, "POST", send, {"text": "look!", "ephemeral": True})
    call(400, "POST", send, {"text": "look!", "ephemeral": True, "reply_to": 2})
    plan = {"text": "soon", "data": {"n": 1}, "at": now_ms() + DAY_MS, "reply_to": 2}
    call(202, "POST", send, plan, key="later")
    call(200, "POST", send, plan, key="later")
    call(400, "POST", send, {**plan, "at": 1}, key="too-late")
    call(413, "POST", send, {**plan, "at": FAR}, key="too-far")
    call(200, "GET", f"{kept}?limit=1&after=1.k")
    call(400, "GET", "/api/v1/rooms/Not%20A%20Room/scheduled")
    call(413, "GET", f"{kept}?limit=1000000")
    call(403, "GET", f"{cellar}/scheduled", who="eve")
    call(404, "GET", f"{nowhere}/scheduled")
    call(200, "DELETE", f"{kept}/later")
    call(400, "DELETE", "/api/v1/rooms/Not%20A%20Room/scheduled/later")
    call(404, "DELETE", f"{kept}/another")
    call(409, "DELETE", f"{kept}/k1")
    call(413, "DELETE", f"{kept}/{'k' * 65}")


def users(call):
    """Blocks; all that there is about somebody; the end of accounts."""
    mine, root = "/api/v1/users/me", call.server.token("root", admin=True)
    for method in ("PUT", "DELETE"):
        call(200, method, f"{mine}/blocks/eve")
        call(400, method, f"{mine}/blocks/alice")
    call(200, "PUT", f"{mine}/blocks/eve")
    call(200, "GET", f"{mine}/blocks?after=bob&limit=1")
    call(400, "GET", f"{mine}/blocks?limit=some")
    call(413, "GET", f"{mine}/blocks?limit=1000000")
    call(200, "GET", f"{mine}/export")
    call(200, "GET", "/api/v1/users/alice/export", token=root)
    call(400, "GET", "/api/v1/users/Not%20A%20User/export")
    call(403, "GET", "/api/v1/users/alice/export", who="bob")
    call(404, "GET", "/api/v1/users/nobody/export", token=root)

    new = {"user": "ned", "password": PASSWORD}
    grant = call(201, "POST", f"{AUTH}/register", new, None)
    call(403, "DELETE", mine, token=grant["token"])
    for path, token in ((mine, grant["token"]), ("/api/v1/users/ned", root)):
        call(400, "DELETE", path, {"keep_messages": 7}, token=token)
        call(413, "DELETE", path, {"reason": "x" * 257}, token=token)
        call(415, "DELETE", path, b"now", token=token, Content_Type="text/plain")
    call(202, "DELETE", mine, {"password": PASSWORD, "reason": "enough", "keep_messages": True}, token=grant["token"])
    call(400, "DELETE", "/api/v1/users/Not%20A%20User", token=root)
    call(403, "DELETE", "/api/v1/users/alice", who="bob")
    call(404, "DELETE", "/api/v1/users/nobody", token=root)
    call(201, "POST", f"{AUTH}/register", {**new, "user": "nan"}, None)
    call(202, "DELETE", "/api/v1/users/nan", {"password": "", "reason": "spam", "keep_messages": False}, token=root)
    until(lambda: "completed" in call(200, "GET", "/api/v1/users/nan/erasure", token=root), "it is done")
    call(200, "DELETE", "/api/v1/users/nan", token=root)
    call(400, "GET", "/api/v1/users/Not%20A%20User/erasure", token=root)
    call(403, "GET", "/api/v1/users/nan/erasure")
    call(404, "GET", "/api/v1/users/alice/erasure", token=root)


def settings(call):
    """A room of its own, its topic and pins; slow mode."""
    club, vault, nowhere = "/api/v1/rooms/club", "/api/v1/rooms/vault", "/api/v1/rooms/nowhere"
    call(201, "POST", "/api/v1/rooms", {"room": "club"})
    call(201, "POST", "/api/v1/rooms", {"room": "vault", "kind": "private"})
    call(200, "GET", club, who="eve")
    call(400, "GET", "/api/v1/rooms/Not%20A%20Room")
    call(403, "GET", vault, who="eve")
    call(404, "GET", nowhere)
    changes = {"title": "The club", "kind": "public", "history_days": 9, "history_events": 1000, "slow_ms": 60_000,
               "limits": {"members": 1000, "text_bytes": 10_000, "sends_per_s": 100}}
    call(200, "PATCH", club, changes)
    call(400, "PATCH", club, {"kind": "direct"})
    endings(call)
    call(200, "PUT", f"{club}/topic", {"title": "Cats"})
    call(400, "PUT", f"{club}/topic", {})
    for method, path, good in (("PATCH", "", changes), ("PUT", "/topic", {"title": "Dogs"})):
        call(403, method, club + path, good, "eve")
        call(404, method, nowhere + path, good)
        call(413, method, club + path, {"title": "x" * 257})
        call(415, method, club + path, b"Dogs", Content_Type="text/plain")

    call(200, "PUT", f"{club}/members/bob")
    sent = call(201, "POST", f"{club}/messages", {"text": "one"}, "bob", "s1")["seq"]
    call(429, "POST", f"{club}/messages", {"text": "two"}, "bob", "s2")
    for method in ("PUT", "DELETE"):
        call(200, method, f"{club}/pins/{sent}")
        call(400, method, f"{club}/pins/1")
        call(400, method, f"{club}/pins/first")
        call(403, method, f"{club}/pins/{sent}", None, "bob")
        call(404, method, f"{club}/pins/40")
        call(200, "GET", f"{club}/pins?after=0&limit=1")
    for status, query in ((400, "limit=some"), (413, "limit=1000000")):
        call(status, "GET", f"{club}/pins?{query}")
    call(403, "GET", f"{vault}/pins", who="eve")
    call(404, "GET", f"{nowhere}/pins")


def endings(call):
    """The end of rooms."""
    for room in ("one", "two"):
        call(201, "POST", "/api/v1/rooms", {"room": room})
    call(400, "PATCH", "/api/v1/rooms/one", {"delete": True})
    call(200, "DELETE", "/api/v1/rooms/one")
    call(403, "DELETE", "/api/v1/rooms/two", who="eve")
    call(200, "DELETE", "/api/v1/rooms/two")
    call(404, "DELETE", "/api/v1/rooms/two")
    call(400, "DELETE", "/api/v1/rooms/Not%20A%20Room")


def moderation(call):
    """Who is in a room, in which role, banned and muted. REQUIRES: settings()."""
    club, nowhere = "/api/v1/rooms/club", "/api/v1/rooms/nowhere"
    zoe, reason = {"reason": "knows about cats"}, "?reason=enough"
    call(200, "PUT", f"{club}/members/zoe", zoe)
    call(200, "PATCH", f"{club}/members/zoe", {"role": "guest", **zoe})
    call(400, "PATCH", f"{club}/members/zoe", {"role": "none"})
    call(409, "PATCH", f"{club}/members/alice", {"role": "member"})
    call(200, "PUT", f"{club}/mutes/zoe", {"until": FAR, **zoe})
    call(200, "GET", f"{club}/members")
    call(403, "PUT", f"{club}/messages/2/reactions/x", None, "zoe", "z1")
    call(200, "GET", f"{club}/mutes?limit=1&after=bob")
    call(200, "DELETE", f"{club}/mutes/zoe{reason}")
    call(200, "DELETE", f"{club}/members/zoe{reason}")
    call(200, "PUT", f"{club}/bans/zoe", {"until": FAR, **zoe})
    call(403, "GET", club, who="zoe")
    call(409, "PUT", f"{club}/members/zoe")
    call(200, "GET", f"{club}/bans?limit=1&after=bob")
    call(200, "DELETE", f"{club}/bans/zoe{reason}")
    for method, path in (("PUT", "members"), ("PATCH", "members"), ("DELETE", "members"), ("PUT", "bans"), ("DELETE", "bans"),
                         ("PUT", "mutes"), ("DELETE", "mutes")):
        body = {"role": "member"} if method == "PATCH" else None
        call(400, method, f"{club}/{path}/Not%20A%20User", body)
        call(403, method, f"{club}/{path}/alice", body, "eve")
        call(404, method, f"{nowhere}/{path}/zoe", body)
        if method == "DELETE":
            call(413, method, f"{club}/{path}/bob?reason={'x' * 257}")
        else:
            call(413, method, f"{club}/{path}/bob", {**(body or {}), "reason": "x" * 257})
            call(415, method, f"{club}/{path}/bob", b"enough", Content_Type="text/plain")
    for method, path in (("DELETE", "members"), ("PUT", "bans"), ("DELETE", "bans"), ("PUT", "mutes"), ("DELETE", "mutes")):
        call(400, method, f"{club}/{path}/alice")  # oneself
    call(400, "PUT", f"{club}/bans/zoe", {"until": 5})
    for who in ("bans", "mutes"):
        for status, query in ((400, "limit=some"), (413, "limit=1000000")):
            call(status, "GET", f"{club}/{who}?{query}")
        call(403, "GET", f"{club}/{who}", who="bob")
        call(404, "GET", f"{nowhere}/{who}")


def attachments(call):
    """A file up, down and away. REQUIRES: settings()."""
    club, vault, nowhere = "/api/v1/rooms/club", "/api/v1/rooms/vault", "/api/v1/rooms/nowhere"
    files, bad = f"{club}/attachments", "/api/v1/rooms/Not%20A%20Room/attachments"
    content = b"no cat" * 100
    hashed = hashlib.sha256(content).hexdigest()
    begun = call(201, "POST", files, {"name": "cat.png", "type": "image/png", "size": len(content), "sha256": hashed})
    file = f"{files}/{begun['id']}"
    call(204, "HEAD", file)
    call(409, "GET", file)
    call(409, "PATCH", file, content, Upload_Offset=5)
    call(413, "PATCH", file, content + b"x", Upload_Offset=0)
    call(400, "PATCH", file, content)
    call(200, "PATCH", file, content, Upload_Offset=0)
    call(200, "GET", file)
    call(200, "GET", f"{file}/info")
    call(206, "GET", file, Range="bytes=1-2")
    call(416, "GET", file, Range="bytes=1000-")
    call(304, "GET", file, If_None_Match=f'"{hashed}"')
    at_once = call(201, "POST", f"{files}?name=cat.txt&sha256={hashed}", content, Content_Type="text/plain")
    call(204, "DELETE", f"{files}/{at_once['id']}")
    sent = call(201, "POST", f"{club}/messages", {"attachments": [begun["id"]]}, key="with-file")
    call(200, "GET", f"{club}/events")
    call(409, "DELETE", file)
    call(409, "POST", f"{club}/messages", {"attachments": [begun["id"]]}, key="with-file-again")
    call(200, "DELETE", f"{club}/messages/{sent['seq']}", key="without-file")
    call(404, "GET", file)
    call(400, "POST", files, {"name": "cat.png", "size": 0})
    call(413, "POST", files, {"name": "cat.png", "size": 2**40})
    call(415, "POST", files, b"cat", Content_Type="text/plain")
    lost = "a" * 32
    for method, path, body, headers in (("POST", "", {"name": "x", "size": 1}, {}), ("GET", f"/{lost}", None, {}),
                                        ("GET", f"/{lost}/info", None, {}), ("PATCH", f"/{lost}", b"x", {"Upload_Offset": 0}),
                                        ("DELETE", f"/{lost}", None, {})):
        call(400, method, bad + path, body, **headers)
        call(404, method, f"{nowhere}/attachments{path}", body, **headers)
        if method != "DELETE":  # what is one's own can be given up from anywhere
            call(403, method, f"{vault}/attachments{path}", body, "eve", **headers)


def webhooks(call):
    """What operators ask of webhooks. REQUIRES: one, named audit."""
    root = call.server.token("root", admin=True)
    replay = "/api/v1/webhooks/audit/replay"
    call(201, "POST", "/api/v1/rooms", {"room": "general"})
    call(201, "POST", "/api/v1/rooms/general/messages", {"text": "one"}, key="k1")
    call(200, "GET", "/api/v1/webhooks", token=root)
    call(403, "GET", "/api/v1/webhooks")
    call(200, "POST", replay, {"room": "general", "seq": 2}, token=root)
    call(200, "POST", replay, {"room": "general", "at": 0}, token=root)
    call(403, "POST", replay, {"room": "general", "seq": 2})
    call(400, "POST", replay, {"room": "general"}, token=root)
    call(400, "POST", replay, {"room": "general", "seq": 40}, token=root)
    call(404, "POST", replay, {"room": "nowhere", "seq": 2}, token=root)
    call(404, "POST", "/api/v1/webhooks/another/replay", {"room": "general", "seq": 2}, token=root)
    call(413, "POST", replay, {"room": "x" * 300, "seq": 2}, token=root)
    call(415, "POST", replay, b"general", token=root, Content_Type="text/plain")


def upgrades(call):
    """Answers at /ws. A WebSocket there and one that is refused for its token are what every client does."""
    good = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    call(400, "GET", "/ws", who=None, **{**good, "Sec-WebSocket-Protocol": "another"})
    call(401, "GET", "/ws", token="nonsense", **good)
    call(403, "GET", "/ws", who=None, **{**good, "Origin": "https://elsewhere.example"})
    call(426, "GET", "/ws", who=None)
    call(426, "GET", "/ws", who=None, **{**good, "Sec-WebSocket-Version": "12"})


def outside_of_operations(call):
    call(404, "GET", "/api/v1/nothing")
    for template, item in REST.root["paths"].items():
        path = template.replace("{", "x").replace("}", "")
        if template != "/ws" and not template.endswith(".json"):  # those are in test_contracts.py
            call(405, "BREW", path)
            call(204, "OPTIONS", path)
        if "get" in item and template in ("/", "/livez", "/api/v1/rooms"):
            call(200, "HEAD", path)


def few_attempts(call):
    """429. REQUIRES: limits.logins_per_minute_address = 1, also for this machine."""
    call(401, "POST", AUTH, {"user": "ann", "password": PASSWORD}, None)
    for operation in ("log_in", "register", "guest"):
        call.good(operation, 429, who=None)


def few_calls(call):
    """429 of each operation that needs a token. REQUIRES: limits.calls_per_s_user = limits.calls_burst_user = 1."""
    limited = {o["operationId"] for item in REST.root["paths"].values() for o in item.values()
               if "429" in o["responses"] and o.get("security") != []}
    for n, operation in enumerate(sorted(limited)):
        method, path, body, key = GOOD[operation]

        def refused():
            token = call.server.token("alice", sid=f"few-{n}-{random.random()}")
            return call.server.rest(method, path, body, token, headers_of(key)).status == 429

        until(refused, f"429 of {operation}")


def few_places(call):
    """413 of join, pin and block, and no guests. REQUIRES: limits.members_per_room = 2, limits.pins_per_room = 0, limits.blocks = 1,
    auth.guests = false."""
    call.good("guest", 403, who=None)
    call(201, "POST", "/api/v1/rooms", {"room": "general"})
    call(200, "POST", "/api/v1/rooms/general/members/me", who="bob")
    call(413, "POST", "/api/v1/rooms/general/members/me", who="carol")
    call(200, "PUT", "/api/v1/users/me/blocks/bob")
    call(413, "PUT", "/api/v1/users/me/blocks/carol")
    seq = call(201, "POST", "/api/v1/rooms/general/messages", {"text": "x"}, key="k1")["seq"]
    call(413, "PUT", f"/api/v1/rooms/general/pins/{seq}")


def identity_provider(server, directory):
    """501: a node that had accounts of its own."""
    call = Caller(server)
    grant = call(201, "POST", f"{AUTH}/register", {"user": "ann", "password": PASSWORD}, None)
    server.stop()
    _, public = tokens.make_key_pair(directory, "RS256")
    server.settings.update({"auth.algorithm": "RS256", "auth.public_key_file": str(public)})
    server.start()
    for operation in ("log_in", "register", "guest"):
        call.good(operation, 501, who=None)
    call(501, "POST", f"{AUTH}/refresh", {"refresh_token": grant["refresh_token"]}, None)


def busy(call, dear):
    """503 of each operation that asks the node. REQUIRES: limits.rest_requests = 1, one I/O thread, and an account `dear`, the
    hash of whose password takes long: while it is made there is no room for another request."""
    left = {o["operationId"] for item in REST.root["paths"].values() for o in item.values() if "503" in o["responses"]}
    left &= set(GOOD)

    def slow_login():
        call.server.rest("POST", AUTH, {"user": dear, "password": "wrong"})

    def once():
        login = threading.Thread(target=slow_login)
        login.start()
        while login.is_alive() and left:
            operation = sorted(left)[0]
            method, path, body, key = GOOD[operation]
            token = call.server.token("alice", sid=f"busy-{len(left)}")
            answer = call.server.rest(method, path, body, token, headers_of(key))
            if answer.status == 503:
                left.discard(operation)
        login.join()
        return not left

    until(once, f"503 of {left}")


# -- WebSocket -----------------------------------------------------------------------------------------------------------------
def conversation(server):
    """Every op with all of its fields, and the errors that are not everybody's."""
    at_first = server.open("early")
    for name in SOCKET.ops:
        if name != "hello":
            at_first.refused(name, "unauthenticated", **fields_for(name))
    at_first.leave()
    alice = server.sign_in("alice", token=server.token("alice"))
    made = alice.request("create", room="hall", kind="public", title="The hall", history_days=7)
    alice.request("create", room="cellar", kind="private")
    alice.request("create", room="news", kind="announce")
    place = {"epoch": made["epoch"], "seq": 1}
    bob = server.sign_in("bob", token=server.token("bob"), device="phone", resume={"hall": place}, subscribe=["hall"])
    bob.request("unsubscribe", room="hall")
    bob.request("subscribe", room="hall", resume=place)
    bob.request("unsubscribe", room="hall")
    bob.request("join", room="hall", resume=place)
    bob.request("join", room="news")
    bob.request("refresh", token=server.token("bob"))
    bob.request("ping")
    bob.request("typing", room="hall", on=True)
    alice.event("typing", room="hall")
    said = bob.request("send", room="hall", key="b1", text="hello", data={"n": 1.5})["seq"]
    bob.request("send", to="alice", key="b1", text="psst")
    alice.event("subscribed", room="@alice+bob")
    bob.request("delivered", room="hall", seq=said, private=False)
    alice.event("delivered", room="hall")
    bob.request("read", room="hall", seq=said)
    alice.event("read", room="hall")
    bob.request("read", room="hall", seq=said, private=True)
    bob.request("profile", name="Bob", avatar="bob.png", fields={"x": 1})
    alice.request("profile", user="bob")
    alice.refused("profile", "not_found", user="nobody")
    alice.request("watch", users=["bob"])
    bob.request("presence", status="away", note="at lunch")
    alice.event("presence", users=[{"user": "bob", "status": "away", "note": "at lunch"}])
    alice.request("presence", user="bob")
    bob.request("members", room="hall")
    alice.request("unwatch", users=["bob"])
    for name in ("watch", "unwatch"):
        alice.refused(name, "too_large", users=[f"u{i}" for i in range(201)])
    alice.request("signal", to="bob", device="phone", data={"ring": True})
    bob.event("signal")
    alice.request("block", user="bob")
    for name in ("send", "react", "typing"):
        bob.refused(name, "forbidden", **{**fields_for(name), "room": "@alice+bob"})
    alice.request("unblock", user="bob")
    alice.request("block", user="zoe")
    alice.request("blocks", after="bob", limit=1)
    alice.request("unblock", user="zoe")
    reply = alice.request("send", room="hall", key="a2", text="@bob hello", reply_to=said)["seq"]
    bob.request("thread", room="hall", target=said, after=0, limit=10)
    bob.request("read", room="hall", thread=said, seq=reply)
    bob.request("send", room="hall", text="look!", data={"x": 1}, ephemeral=True)
    alice.event("ephemeral", room="hall")
    plan = {"room": "hall", "key": "b6", "text": "soon", "data": {"x": 1}, "reply_to": said, "at": now_ms() + DAY_MS}
    bob.request("send", **plan)
    bob.request("scheduled", room="hall", after="1.k", limit=1)
    bob.request("cancel", room="hall", key="b6")
    bob.request("edit", room="hall", target=said, key="b2", text="hello all", base=0)
    bob.request("react", room="hall", target=said, key="b3", emoji=EMOJI, on=True)
    moderate(alice, said)
    for where in ({"before": said}, {"after": 0}, {"around": said}, {"at": 0}):
        bob.request("history", room="hall", limit=10, **where)
    bob.request("members", room="hall", after="alice", limit=1)
    bob.request("rooms", after="@alice+bob", limit=1)

    eve = server.sign_in("eve", token=server.token("eve"))
    inside = ("subscribe", "send", "edit", "revoke", "react", "history", "thread", "scheduled", "read", "delivered", "typing", "members",
              "pins",
              *MODERATION, *SETTINGS)
    for name in ("join", "leave", *inside):
        eve.refused(name, "not_found", **{**fields_for(name), "room": "nowhere"})
        eve.refused(name, "not_member", **{**fields_for(name), "room": "@alice+bob" if name == "join" else "cellar"})
    eve.refused("create", "exists", room="hall")
    eve.refused("join", "forbidden", room="cellar")
    bob.refused("leave", "forbidden", room="@alice+bob")
    for name in ("send", *MODERATION, *SETTINGS):
        bob.refused(name, "forbidden", **{**fields_for(name), "room": "news"})
    bob.refused("members", "forbidden", room="hall", banned=True)
    bob.refused("send", "not_found", room="hall", key="b4", text="x", attachments=["a" * 32])
    bob.refused("cancel", "not_found", room="hall", key="b4")
    alice.refused("edit", "forbidden", room="hall", target=said, key="a1", text="mine now")
    carol = server.sign_in("carol", token=server.token("carol"))
    carol.request("join", room="hall")
    carol.refused("revoke", "forbidden", room="hall", target=said, key="c1")
    alice.request("mute", room="hall", user="carol")
    for name in ("send", "edit", "react", "typing"):
        carol.refused(name, "muted", **fields_for(name))
    alice.request("ban", room="hall", user="eve")
    for name in ("join", *inside):
        eve.refused(name, "banned", **fields_for(name))
    alice.refused("invite", "conflict", room="hall", user="eve")
    alice.refused("role", "conflict", room="hall", user="alice", role="member")
    for name in ("send", "edit", "revoke", "react", "cancel"):
        wanted = fields_for(name)
        bob.refused(name, "conflict", **{**wanted, "room": "hall", "key": "b1", **({"target": said} if "target" in wanted else {})})
    for name in SOCKET.ops:
        if name not in ("ping", "hello"):
            wrong = {"refresh": {"token": 7}, "rooms": {"limit": 0}, "profile": {"name": 7}, "presence": {"status": 7}, "watch": {"users": 7},
                     "unwatch": {"users": 7}, "signal": {"to": "No One"}, "block": {"user": "alice"}, "unblock": {"user": "alice"},
                     "blocks": {"limit": 0}}.get(name, {"room": "Not A Room"})
            alice.refused(name, "bad_request", **{**fields_for(name), **wrong})
    bob.request("revoke", room="hall", target=said, key="b5")
    bob.request("history", room="hall")
    alice.request("create", room="attic")
    alice.request("room", room="attic", delete=True)
    carol.request("leave", room="hall")
    alice.event("member", room="hall", change="left")  # after all the others
    for client in (alice, bob, carol, eve):
        client.leave()
    short = server.sign_in("dave", token=server.token("dave", 3))
    short.event("expiring")
    assert short.closed() == 3501


def moderate(owner, said):
    """What an owner can do to somebody and to the room, with all fields. REQUIRES: the room hall, and a message in it."""
    about = {"room": "hall", "user": "zoe", "reason": "knows about cats"}
    owner.request("invite", **about)
    owner.request("role", role="guest", **about)
    owner.request("mute", until=FAR, **about)
    owner.request("members", room="hall")
    owner.request("members", room="hall", muted=True)
    owner.request("unmute", **about)
    owner.request("kick", **about)
    owner.request("ban", until=FAR, **about)
    owner.request("members", room="hall", banned=True)
    owner.request("unban", **about)
    owner.request("topic", room="hall", title="Cats")
    owner.request("pin", room="hall", target=said)
    assert [e["seq"] for e in owner.request("pins", room="hall", after=0, limit=1)["events"]] == [said]
    owner.request("room", room="hall", title="The large hall", kind="public", history_days=8, history_events=1000, slow_ms=0,
                  limits={"members": 1000, "text_bytes": 10_000, "sends_per_s": 100})
    owner.request("unpin", room="hall", target=said)
    owner.event("unpinned", room="hall")  # after all the others


def two_at_once(client, name):
    """The error codes of an op that is asked twice in one WebSocket message."""
    requests = [client.prepare(name, **fields_for(name)) for _ in range(2)]
    client.post_all(requests)
    codes = []
    for request in requests:
        try:
            client.answer(request["id"])
        except RequestError as e:
            codes.append(e.code)
    return codes


def fields_for(name):
    """Fields with which an op is whole; who may do it in which room is another question."""
    schema = SOCKET.payloads[f"op.{name}"]
    values = {"room": "hall", "key": "k", "text": "x", "target": 2, "seq": 1, "on": True, "emoji": EMOJI, "token": "nonsense",
              "user": "zoe", "role": "member", "title": "x"}
    wanted = {**{f: values[f] for f in schema["required"] if f in values}}
    if name == "room":
        wanted["title"] = "x"  # else it is only a question
    if name == "profile":
        wanted["name"] = "x"  # likewise
    if name == "presence":
        wanted["status"] = "away"  # likewise
    if name in ("watch", "unwatch"):
        wanted["users"] = ["bob"]
    if name == "signal":
        wanted.update(to="bob", data={"x": 1})
    return {**wanted, "room": "hall", "key": "k", "text": "x"} if name == "send" else wanted


def few_sends(server):
    """rate_limited. REQUIRES: limits.sends_per_s = limits.sends_burst = 1, and limits.connections_per_user = 1."""
    alice = server.sign_in("alice", token=server.token("alice"))
    alice.request("create", room="hall")
    alice.request("send", room="hall", key="first", text="x")
    for name in ("send", "edit", "revoke", "react", "cancel", "profile", "presence", "signal", "block", "unblock", *MODERATION, *SETTINGS):
        until(lambda: "rate_limited" in two_at_once(alice, name), f"{name} is refused")
    try:
        server.sign_in("alice", token=server.token("alice"))
    except RequestError as e:
        assert e.code == "forbidden", e
    else:
        raise AssertionError("two connections of one user")
    alice.leave()
