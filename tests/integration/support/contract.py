"""Holds everything that is said against net/api/openapi.json and net/api/asyncapi.json, in both directions:

- what the server sends is there as it came: frame or body, status, headers, error code, close code;
- what the server does was asked as the documents say, and what is asked so is not a bad_request, but for what no schema can
  say (REASONS).

conftest.py puts it behind every WebSocket and Server.rest(), so that all integration tests look as they go. The documents use
only keywords that draft 7 (AsyncAPI) and 2020-12 (OpenAPI) understand alike (KEYWORDS); a validator is compiled once, when it
is first needed.

A Watch is used from one thread, the rest from any.
"""

import copy
import json
import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import fastjsonschema

API = Path(__file__).resolve().parents[3] / "net" / "api"

KEYWORDS = {"$ref", "type", "enum", "const", "properties", "required", "additionalProperties", "propertyNames", "minProperties", "items",
            "minItems", "minimum", "maximum", "minLength", "maxLength", "pattern", "anyOf", "oneOf", "allOf", "not",
            # what says nothing about a value
            "description", "default", "examples", "x-limit"}

# Requests that fit the schemas and are a bad_request nevertheless.
REASONS = re.compile("|".join([
    "id: a request with this id is still in flight", "op: hello was said before", "to: yourself", "target: not a message",
    "user: yourself", "(until|at): has passed", "thread: must be below seq", "idempotency-key: this header is required",
    "reply_to: no such event", "seq: beyond the room's last event", "room: a direct room exists without being created",
    "room: exactly one of room and to is required", ".*: a room id is .* with the names in byte order", "password: at least",
    "sha256: the content has another one", "(before|after|around|at): only one of before, after, around and at may be given",
]))
# HTTP's own headers, and those for pages of other origins.
GENERAL_HEADERS = {"server", "date", "connection", "content-type", "content-length", "transfer-encoding", "vary", "access-control-allow-origin",
                   "access-control-expose-headers"}


class Broken(AssertionError):
    """Something was said that the documents do not say."""


def without_nulls(fields):
    """A field that is null counts as absent."""
    return {k: without_nulls(v) if isinstance(v, dict) else v for k, v in fields.items() if v is not None}


def parse_request(text):
    """The JSON object as the server reads it: a number with a fraction or exponent is no integer. None: there is none."""
    try:
        fields = json.loads(text, parse_float=str)
    except (ValueError, RecursionError):
        return None
    return without_nulls(fields) if isinstance(fields, dict) else None


class Document:
    """One of the documents, and validators for the schemas in it."""

    def __init__(self, path):
        self.path = path
        self.text = path.read_text()
        self.root = json.loads(self.text)
        self.schemas = self.root["components"]["schemas"]
        self._compiled = {}

    def at(self, pointer):
        found = self.root
        for part in pointer.removeprefix("#/").split("/"):
            found = found[part.replace("~1", "/").replace("~0", "~")]
        return found

    def resolved(self, value):
        """The value that a reference leads to, or the value itself."""
        while isinstance(value, dict) and "$ref" in value:
            value = self.at(value["$ref"])
        return value

    def flaw(self, schema, value, name):
        """What is wrong with the value by this schema; None: nothing. `name` is the schema's own, for the next time."""
        check = self._compiled.get(name)
        if check is None:
            # It is changed by what compiles it.
            whole = copy.deepcopy({"$schema": "http://json-schema.org/draft-07/schema", "$ref": "#/components/entry",
                                   "components": {"entry": schema, "schemas": self.schemas}})
            check = self._compiled[name] = fastjsonschema.compile(whole, use_default=False)
        try:
            check(value)
        except fastjsonschema.JsonSchemaException as e:
            return e.message
        return None


# -- WebSocket -----------------------------------------------------------------------------------------------------------------
class Socket(Document):
    """asyncapi.json."""

    def __init__(self, path=API / "asyncapi.json"):
        super().__init__(path)
        self.channel = self.root["channels"]["socket"]
        self.close_codes = {c["code"] for c in self.channel["x-close-codes"]}
        self.payloads = {name: m["payload"] for name, m in self.root["components"]["messages"].items()}
        self.ops, self.errors, self.events = {}, {}, set()  # op -> messages of its ok; op -> codes
        for name, operation in self.root["operations"].items():
            messages = [m["$ref"].rsplit("/", 1)[1] for m in operation["messages"]]
            if operation["action"] == "send":
                self.events |= {m.removeprefix("ev.") for m in messages}
            else:
                answers = [m["$ref"].rsplit("/", 1)[1] for m in operation["reply"]["messages"]]
                self.ops[name] = [m for m in answers if m != "error"]
                self.errors[name] = set(self.channel["x-errors"]) | set(operation.get("x-errors", ()))

    def message_flaw(self, message, value):
        return self.flaw(self.payloads[message], value, message)

    def answer_to(self, op, frame):
        """The message that the frame is, of those that may answer the op; None: it is none of them."""
        return next((m for m in self.ops.get(op, ()) if self.message_flaw(m, frame) is None), None)


class Watch:
    """One WebSocket connection, as the client sees it."""

    def __init__(self):
        self.open = {}  # id -> requests without an answer
        self.raw = False  # bytes were sent that were not looked at
        self.said_goodbye = False

    def sent(self, text):
        for line in (text if isinstance(text, str) else text.decode(errors="surrogateescape")).split("\n"):
            request = parse_request(line) if line else None
            if request and type(request.get("id")) is int:
                if not isinstance(request.get("op"), str):
                    request["op"] = ""
                self.open.setdefault(request["id"], []).append(request)
                SEEN.update(("field", request["op"], name) for name in request)

    def received(self, text):
        for line in text.split("\n"):
            if line:
                self._frame(json.loads(line))

    def closed(self, code):
        if not self.said_goodbye and not self.raw:
            if code not in SOCKET.close_codes:
                raise Broken(f"asyncapi.json: no x-close-codes {code}")
            SEEN.add(("close", code))

    def _frame(self, frame):
        if "ev" in frame:
            if frame["ev"] not in SOCKET.events:
                raise Broken(f"asyncapi.json: no event {frame['ev']}: {frame}")
            SEEN.add(("ev", frame["ev"]))
            return self._expect(f"ev.{frame['ev']}", frame)
        requests = self.open.get(frame.get("re"), [])
        if "error" in frame:
            return self._error(frame, requests)
        message = next(filter(None, (SOCKET.answer_to(op, frame) for op in [r["op"] for r in requests] or SOCKET.ops)), None)
        if message is None:
            first = requests[0] if requests else {}
            whys = [SOCKET.message_flaw(m, frame) for m in SOCKET.ops.get(first.get("op"), ())]
            raise Broken(f"asyncapi.json: {' / '.join(whys) or 'no such answer'}: {frame} to {first}")
        # Of several that it may be the answer to, it is to one that was asked as the document says.
        flaws = [(SOCKET.message_flaw(f"op.{r['op']}", r), i) for i, r in enumerate(requests)
                 if message in SOCKET.ops.get(r["op"], ())]
        if flaws:
            why, i = next((f for f in flaws if f[0] is None), flaws[0])
            request = requests.pop(i)
            SEEN.update({("op", request["op"]), ("ok", request["op"], message)})
            if why:
                raise Broken(f"asyncapi.json: {why}: {request} was answered {frame}")
        if not requests:
            self.open.pop(frame["re"], None)

    def _error(self, frame, requests):
        self._expect("error", frame)
        error = frame["error"]
        allowed = {"bad_request", "unsupported", "too_large", "rate_limited"}
        if len(requests) > 1:  # whose answer it is nobody can say
            allowed |= set().union(*(SOCKET.errors.get(r["op"], ()) for r in requests))
        elif requests:
            request = requests.pop()
            allowed = SOCKET.errors.get(request["op"], allowed)
            SEEN.add(("op", request["op"], error["code"]))
            if error["code"] == "bad_request" and request["op"] in SOCKET.ops and not error["message"].startswith("frame:"):
                fits = SOCKET.message_flaw(f"op.{request['op']}", request) is None
                if fits and not REASONS.match(error["message"]):
                    raise Broken(f"asyncapi.json allows {request}, which was answered {error}")
        elif self.raw and frame["re"] is not None:
            return  # to bytes that were not looked at
        if error["code"] not in allowed:
            raise Broken(f"asyncapi.json: no x-errors {error['code']} here: {error} to {frame['re']}, {requests}")

    @staticmethod
    def _expect(message, frame):
        if why := SOCKET.message_flaw(message, frame):
            raise Broken(f"asyncapi.json, {message}: {why}: {json.dumps(frame, ensure_ascii=False)[:2000]}")


# -- REST ----------------------------------------------------------------------------------------------------------------------
class Rest(Document):
    """openapi.json."""

    def __init__(self, path=API / "openapi.json"):
        super().__init__(path)
        # As the server looks for them: what is spelled out goes before what stands for anything.
        self.templates = sorted(((t, t.split("/")) for t in self.root["paths"]), key=lambda t: t[0].count("{"))
        self.refused = self.root["components"]["responses"]["Refused"]

    def find(self, path):
        """[(template, the path's parts by name)] of a path as it is sent; the first with the method is the one."""
        given, found = path.split("/"), []
        for template, parts in self.templates:
            if len(parts) == len(given) and all(p == g or (p.startswith("{") and g) for p, g in zip(parts, given)):
                found.append((template, {p[1:-1]: g for p, g in zip(parts, given) if p.startswith("{")}))
        return found

    def check(self, method, target, headers, body, answer):
        """One request and its answer. `answer` has status, headers (names in lower case) and body."""
        split = urlsplit(target)
        found = self.find(split.path)
        where = f"{method} {found[0][0] if found else split.path} {answer.status}"
        if not found:
            return self._must(where, answer, [(404, self.refused)])
        name = "get" if method == "HEAD" else method.lower()
        for template, parts in found:
            operation = self.root["paths"][template].get(name)
            if operation:
                break
        else:
            return self._other_method(where, method, {m for t, _ in found for m in self.root["paths"][t]}, answer)
        documented = operation["responses"].get(str(answer.status))
        self._must(where, answer, [(answer.status, self.resolved(documented))] if documented else [], method == "HEAD")
        SEEN.add(("rest", operation["operationId"], answer.status))
        flaw = self.request_flaw(operation, parts, split.query, headers, body)
        if answer.status < 300 and flaw:
            raise Broken(f"openapi.json: {where}: answered, although {flaw}")
        if answer.status == 400 and not flaw and not template.startswith("/ws"):
            message = json.loads(answer.body)["error"]["message"] if answer.body else ""
            if not REASONS.match(message) and "HTTP" not in message:
                raise Broken(f"openapi.json allows {method} {target} {body}, which was answered {answer}")

    def _other_method(self, where, method, methods, answer):
        allowed = {m.upper() for m in methods} | ({"HEAD"} if "get" in methods else set())
        if method == "OPTIONS":
            allowed.add("OPTIONS")
        if answer.status in (204, 405) and set(re.findall(r"\w+", answer.headers.get("allow", ""))) != allowed:
            raise Broken(f"openapi.json: {where}: Allow: {answer.headers.get('allow')}, but there are {allowed}")
        if method == "OPTIONS" and answer.status == 204:
            return
        self._must(where, answer, [(405, {**self.refused, "headers": {"Allow": {}}})])

    def _must(self, where, answer, ways, without_body=False):
        """The answer is one of these, or one that came before any operation was reached."""
        ways = [r for status, r in ways if status == answer.status]
        # What the operation says itself is marked no-store; but for the size of the body, it must be among its own.
        if answer.status in self.refused["x-statuses"] and (answer.status == 413 or "cache-control" not in answer.headers):
            ways.append(self.refused)
        if not ways:
            raise Broken(f"openapi.json: {where}: there is no such status; {answer}")
        flaws = [self._response_flaw(where, r, answer, without_body) for r in ways]
        if all(flaws):
            raise Broken(f"openapi.json: {where}: {flaws[0]}; {answer}")

    def _response_flaw(self, where, response, answer, without_body):
        headers = {name.lower(): self.resolved(h) for name, h in response.get("headers", {}).items()}
        for name, header in headers.items():
            if name in answer.headers:
                value, schema = answer.headers[name], self.resolved(header.get("schema", {}))
                if schema.get("type") == "integer" and re.fullmatch(r"[0-9]+", value):
                    value = int(value)
                if why := self.flaw(schema, value, json.dumps(schema, sort_keys=True)):
                    return f"{name}: {why}"
            elif header.get("required"):
                return f"{name} is missing"
        also = GENERAL_HEADERS | ({"cache-control"} if response is self.refused or response.get("x-statuses") else set())
        if more := set(answer.headers) - set(headers) - also:
            return f"headers {more}"
        if without_body or "content" not in response:
            return f"a body: {answer.body[:200]}" if answer.body else None
        kind = answer.headers.get("content-type", "").split(";")[0]
        if kind not in response["content"] and "*/*" not in response["content"]:
            return f"content type {kind}"
        if kind not in response["content"] or kind != "application/json":
            return None
        schema = response["content"][kind]["schema"]
        return self.flaw(schema, json.loads(answer.body), json.dumps(schema, sort_keys=True))

    def request_flaw(self, operation, parts, query, headers, body):
        """Why the document does not allow the request; None: it does."""
        headers = {k.lower(): str(v) for k, v in headers.items()}
        if operation.get("security", self.root["security"]) == self.root["security"]:
            if not headers.get("authorization", "").lower().startswith("bearer "):
                return "there is no token"
        given = parse_qsl(query, keep_blank_values=True)
        for parameter in map(self.resolved, operation.get("parameters", ())):
            name, schema = parameter["name"], self.resolved(parameter["schema"])
            if parameter["in"] == "path":
                if re.search(r"%(?![0-9A-Fa-f]{2})", parts[name]):
                    return f"{name}: a broken escape"
                values = [unquote(parts[name], errors="surrogateescape")]
            elif parameter["in"] == "query":
                values = [v for k, v in given if k == name]
                SEEN.update(("parameter", operation["operationId"], name) for _ in values)
            else:
                values = [headers[name.lower()]] if name.lower() in headers else []
            if len(values) > 1 or (parameter.get("required") and not values):
                return f"{name} is there {len(values)} times"
            for value in values:
                if schema.get("type") == "integer" and re.fullmatch(r"[0-9]+", value):
                    value = int(value)
                if why := self.flaw(schema, value, json.dumps(schema, sort_keys=True)):
                    return f"{name}: {why}"
        wanted = operation.get("requestBody")
        if wanted is None or (not body and not wanted.get("required")):
            return None
        is_json = headers.get("content-type", "").split(";")[0].strip().lower() == "application/json"
        if "*/*" in wanted["content"]:  # a file, as it is
            if "application/json" not in wanted["content"] or not is_json or any(k == "name" for k, _ in given):
                return None
        if not is_json:
            return "the body is not said to be JSON"
        fields = parse_request(body)
        if fields is None:
            return "the body is no JSON object"
        SEEN.update(("body", operation["operationId"], name) for name in fields)
        schema = wanted["content"]["application/json"]["schema"]
        return self.flaw(schema, fields, json.dumps(schema, sort_keys=True))


SOCKET = Socket()
REST = Rest()
SEEN = set()  # what was said in this process, for test_contracts.py
