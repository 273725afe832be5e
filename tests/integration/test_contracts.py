"""net/api/openapi.json and net/api/asyncapi.json are true: by themselves (well-formed, closed, complete), against the sources
(each route, op, field, event and word of the server is in them, and none that it does not have), and against the running
server, where everything in them is done once. What is said in all the other tests is held against them as well, by
support/contract.py."""

import copy
import json
import re
import subprocess
import tomllib

import jsonschema
import pytest
from support import contract_tour as tour
from support.contract import KEYWORDS, REASONS, REST, SEEN, SOCKET, Broken, Rest, Watch, without_nulls
from support.server import GREENROOM, ROOT, Answer, Server, free_port

DOCUMENTS = pytest.mark.parametrize("document", [REST, SOCKET], ids=["openapi", "asyncapi"])
OFFICIAL = ROOT / "build" / "schemas" / "node_modules"

# What no test can ask for, and what another test shows.
NOT_HERE = {
    "openapi": "test_the_node_serves_the_document", "asyncapi": "test_the_node_serves_the_document",
    "500": "a mistake of the server's; net/PROTOCOL.md shows one",
    "connect 503": "a node that drains: test_drain.py",
    "readyz 503": "a node that drains: test_drain.py",
    "goaway": "a node that drains: net/PROTOCOL.md and test_drain.py",
}


def source(name):
    return (ROOT / name).read_text()


def walk(value, path=""):
    """Each object in a document, with where it stands."""
    if isinstance(value, dict):
        yield path, value
        for k, v in value.items():
            yield from walk(v, f"{path}/{k}")
    elif isinstance(value, list):
        for i, v in enumerate(value):
            yield from walk(v, f"{path}/{i}")


def schemas_of(document):
    """Each schema in a document, those within others included, with where it stands."""
    def inside(schema, path):
        yield path, schema
        for keyword in ("properties",):
            for name, inner in schema.get(keyword, {}).items():
                yield from inside(inner, f"{path}/{name}")
        for keyword in ("items", "additionalProperties", "propertyNames", "not"):
            if isinstance(schema.get(keyword), dict):
                yield from inside(schema[keyword], f"{path}/{keyword}")
        for keyword in ("anyOf", "oneOf", "allOf"):
            for i, inner in enumerate(schema.get(keyword, ())):
                yield from inside(inner, f"{path}/{keyword}/{i}")

    for name, schema in document.schemas.items():
        yield from inside(schema, f"schemas/{name}")
    for path, value in walk({k: v for k, v in document.root.items()}):
        for keyword in ("schema", "payload"):
            if isinstance(value.get(keyword), dict) and not path.startswith("/components/schemas"):
                yield from inside(value[keyword], f"{path}/{keyword}")


# -- by themselves -------------------------------------------------------------------------------------------------------------
@DOCUMENTS
def test_every_reference_leads_somewhere_and_nothing_is_left_over(document):
    references = {v["$ref"] for _, v in walk(document.root) if "$ref" in v}
    for reference in references:
        document.at(reference)
    for kind in set(document.root["components"]) - {"securitySchemes"}:
        for name in document.root["components"][kind]:
            assert f"#/components/{kind}/{name}" in references | {m["$ref"] for m in document.root.get("channels", {}).get(
                "socket", {}).get("messages", {}).values()}, f"{kind}/{name} is not used"


@DOCUMENTS
def test_schemas_are_of_the_part_that_both_dialects_share(document):
    for path, schema in schemas_of(document):
        assert set(schema) <= KEYWORDS, f"{path}: {set(schema) - KEYWORDS}"
        if "$ref" in schema:  # draft 7 overlooks what stands beside it
            assert set(schema) <= {"$ref", "description"}, path
        if "pattern" in schema:
            re.compile(schema["pattern"])


def test_schemas_of_one_name_are_alike():
    for name in set(REST.schemas) & set(SOCKET.schemas):
        assert REST.schemas[name] == SOCKET.schemas[name], name


def reachable(document, schemas):
    """All schemas that these lead to."""
    found, todo = {}, list(schemas)
    while todo:
        for _, value in walk(todo.pop()):
            if "$ref" in value and value["$ref"] not in found:
                found[value["$ref"]] = document.at(value["$ref"])
                todo.append(found[value["$ref"]])
    return found


@DOCUMENTS
def test_what_the_server_sends_is_closed(document):
    if document is SOCKET:
        sent = {name: p for name, p in SOCKET.payloads.items() if not name.startswith("op.")}
    else:
        sent = {p: v["schema"] for p, v in walk(REST.root) if "schema" in v and "/responses/" in p and "/content/" in p}
    for name, schema in [*sent.items(), *reachable(document, sent.values()).items()]:
        for path, part in walk(schema):
            narrowing = "allOf" in path  # says more about an object that is closed elsewhere
            if "properties" in part and part.get("type") == "object" and not narrowing:
                assert "additionalProperties" in part, f"{name}{path} is open"


@DOCUMENTS
def test_bounds_of_the_operator_are_named_with_their_defaults(document):
    defaults = tomllib.loads(subprocess.run([GREENROOM, "config", "default"], check=True, capture_output=True, text=True).stdout)
    named = [(path, s) for path, s in schemas_of(document) if "x-limit" in s]
    assert named
    for path, schema in named:
        section, key = schema["x-limit"]["setting"].split(".")
        assert schema["x-limit"]["default"] == defaults[section][key], path
        assert not {"maximum", "maxLength"} & set(schema), f"{path}: an operator can make this untrue"
    # Settings that the texts name are there, too.
    for name in re.findall(r"\b(limits|auth|listen)\.(\w+)", document.text):
        assert name[1] in defaults[name[0]], name


@DOCUMENTS
def test_the_version_is_the_programs(document):
    version = subprocess.run([GREENROOM, "version"], check=True, capture_output=True, text=True).stdout.split()[-1]
    assert document.root["info"]["version"] == version


@pytest.mark.parametrize("document,schema,validator", [
    (SOCKET, "@asyncapi/specs/schemas/3.0.0.json", jsonschema.Draft7Validator),
    (REST, "@seriousme/openapi-schema-validator/schemas/v3.1/schema.json", jsonschema.Draft202012Validator),
], ids=["asyncapi", "openapi"])
def test_a_document_fits_the_official_schema(document, schema, validator):
    if not (OFFICIAL / schema).exists():
        pytest.skip(f"no {schema}: scripts/install --schemas gets it from npm")
    check = validator(json.loads((OFFICIAL / schema).read_text()))
    assert not [e.message[:500] for e in check.iter_errors(document.root)]
    wrong = copy.deepcopy(document.root)
    wrong["info"].pop("title")
    assert list(check.iter_errors(wrong))


@DOCUMENTS
def test_schemas_are_schemas(document):
    for path, schema in schemas_of(document):
        jsonschema.Draft7Validator.check_schema(schema)
        jsonschema.Draft202012Validator.check_schema(schema)


# -- against the sources -------------------------------------------------------------------------------------------------------
def words(text, function):
    """What a to_string() of C++ can return, except for what is no word of the protocol."""
    body = re.search(rf"to_string\({function}[^)]*\) noexcept {{(.*?)\n}}", text, re.S).group(1)
    return set(re.findall(r'case .*?return "(\w+)"', body, re.S))


def test_the_routes_are_those_of_the_server():
    access = {(m, p): a for m, p, a in re.findall(r'{"([A-Z]+)", "(\S+)", access::(\w+),', source("net/rest.cpp"))}
    documented = {}
    for template, item in REST.root["paths"].items():
        for method, operation in item.items():
            documented[(method.upper(), re.sub(r"{\w+}", "*", template))] = operation
    assert set(documented) - {("GET", "/ws")} == set(access)
    for route, needs in access.items():
        assert tour.needs_token(documented[route]) == (needs in ("token", "parting")), route


def readers():
    """op -> the function of op_reader.cpp that reads it, and what that is a template of."""
    table = re.search(r"readers{{(.*?)}};", source("net/op_reader.cpp"), re.S).group(1)
    return {op: (function, of or "") for op, function, of in re.findall(r'{"(\w+)", (read_\w+)(?:<(?:\w+::)*(\w+)>)?}', table)}


def fields_read(function, of):
    """The fields that it looks for, by itself or through what field_reader has for those of several ops."""
    text = source("net/op_reader.cpp")
    body = re.search(rf"\nop::any {function}\(field_reader&[^)]*\) {{(.*?}}\n)(?=\n|op::any)", text, re.S).group(1)
    # What is only for some of a template's ops, up to the end of that statement.
    body = re.sub(r"\n  if constexpr \((.*?)\)(.*?)(?=\n  \S)",
                  lambda m: m.group(2) if f"::{of}" in m.group(1) else "", body, flags=re.S)
    found = set(re.findall(r'in\.(?:find|required|line)\("(\w+)"', body)) | set(re.findall(r'{"(\w+)", from::', body))
    for call, field in (("room()", "room"), ("target()", "target"), ("key()", "key"), ("page(", "limit"), ("resume()", "resume"),
                        ("device()", "device"), ("room_kind()", "kind"), ("history_days()", "history_days"),
                        ("attachments()", "attachments")):
        if f"in.{call}" in body:
            found.add(field)
    return found


def test_the_ops_are_those_of_the_server():
    assert set(SOCKET.ops) == set(readers())


def test_the_fields_of_ops_are_those_of_the_server():
    for op, reader in readers().items():
        documented = set(SOCKET.payloads[f"op.{op}"]["properties"]) - {"op", "id"}
        assert fields_read(*reader) == documented, op


def test_rest_asks_for_what_its_ops_have():
    """Body, path, query and key of an operation are fields of the op that rest_routes.cpp makes of them; all the operations of
    an op have all of its fields."""
    # The route says it, or it is for connections.
    without = {"react": {"on"}, "join": {"resume"}, "members": {"banned", "muted"}, "room": {"delete"}}
    routes = {(m, p): h for m, p, h in re.findall(r'{"([A-Z]+)", "(\S+)", access::\w+, &rest::(\w+)}', source("net/rest.cpp"))}
    asked = dict(re.findall(r'\nvoid rest::(\w+)\(const call_ptr& c\) {(?:(?!\nvoid ).)*?ask(?:_\w+)?\(c, "(\w+)"',
                            source("net/rest_routes.cpp"), re.S))
    met = {op: set() for op in asked.values()}
    for template, item in REST.root["paths"].items():
        for method, operation in item.items():
            op = asked.get(routes.get((method.upper(), re.sub(r"{\w+}", "*", template))))
            if op is None:
                continue
            fields = {p["name"].replace("Idempotency-Key", "key") for p in map(REST.resolved, operation.get("parameters", ()))}
            if "requestBody" in operation:
                fields |= set(REST.resolved(operation["requestBody"]["content"]["application/json"]["schema"])["properties"])
            assert fields <= set(SOCKET.payloads[f"op.{op}"]["properties"]), operation["operationId"]
            met[op] |= fields
    for op, fields in met.items():
        assert fields == set(SOCKET.payloads[f"op.{op}"]["properties"]) - {"op", "id"} - without.get(op, set()), op


def test_the_events_are_those_of_the_server():
    kinds = words(source("storage/event.cpp"), "event_kind")
    assert kinds and SOCKET.events == kinds | set(re.findall(r'o\.text\("ev", "(\w+)"\)', source("net/codec.cpp")))
    in_history = {s["properties"]["ev"]["const"] for s in reachable(REST, [REST.schemas["HistoryEvent"]]).values()
                  if "ev" in s.get("properties", {})}
    assert in_history == kinds


def test_the_words_are_those_of_the_server():
    errors = source("config/errc.hpp")
    codes = words(errors, "errc")
    assert set(SOCKET.schemas["ErrorCode"]["enum"]) == codes
    assert SOCKET.close_codes == {int(n) for n in re.findall(r"^  \w+ = (\d{4}),", errors, re.M)}
    event, record = source("storage/event.cpp"), source("storage/records.cpp")
    assert set(SOCKET.schemas["Role"]["enum"]) == words(event, "member_role")
    assert set(SOCKET.schemas["RoomKind"]["enum"]) == words(record, "room_kind")
    assert set(SOCKET.schemas["MemberChange"]["properties"]["change"]["enum"]) == words(event, "member_change") - {"none"}
    for names in [SOCKET.channel["x-errors"], *SOCKET.errors.values()]:
        assert set(names) <= codes
    # The status of each code is that of its response.
    for code, status in re.findall(r"case errc::(\w+):(?:\n  case errc::\w+:)*\n    return (\d+);", errors):
        for path, value in walk(REST.root["components"]["responses"]):
            if path.endswith("/code") and code in value.get("enum", ()) and code != "unsupported":
                name = path.split("/")[1]
                used = {s for _, v in walk(REST.root["paths"]) for s, r in v.get("responses", {}).items()
                        if r == {"$ref": f"#/components/responses/{name}"}}
                assert used == {status}, name


# -- against the running server ------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def toured(tmp_path_factory):
    """What has been seen of the server after everything has been done."""
    servers = []

    def server(**settings):
        servers.append(Server(tmp_path_factory.mktemp("toured"), **settings))
        return servers[-1].start()

    SEEN.clear()  # what other files met does not count
    try:
        call = tour.Caller(server())
        tour.accounts(call), tour.rooms(call), tour.users(call), tour.settings(call), tour.moderation(call), tour.attachments(call)
        tour.upgrades(call), tour.outside_of_operations(call)
        tour.conversation(server(limits__sends_per_s=1000, limits__sends_burst=1000))
        tour.few_sends(server(limits__sends_per_s=1, limits__sends_burst=1, limits__connections_per_user=1))
        tour.few_attempts(tour.Caller(server(limits__logins_per_minute_address=1, limits__allow_addresses=[])))
        tour.few_calls(tour.Caller(server(limits__calls_per_s_user=1, limits__calls_burst_user=1)))
        tour.few_places(tour.Caller(server(limits__members_per_room=2, limits__pins_per_room=0, limits__blocks=1,
                                            auth__guests=False)))
        secret = tmp_path_factory.mktemp("hook") / "secret"
        secret.write_text("a-secret-of-this-test\n")
        tour.webhooks(tour.Caller(server(webhook__audit__url=f"http://127.0.0.1:{free_port()}/", webhook__audit__secret_file=str(secret))))
        tour.identity_provider(server(), tmp_path_factory.mktemp("keys"))
        slow = server(limits__rest_requests=1, listen__io_threads=1, auth__argon2_ops=32, auth__argon2_mem_mb=64)
        call = tour.Caller(slow)
        call(201, "POST", f"{tour.AUTH}/register", {"user": "ann", "password": tour.PASSWORD}, None)
        tour.busy(call, "ann")
        yield frozenset(SEEN)
    finally:
        for s in servers:
            s.end()


def test_each_operation_and_each_of_its_statuses_was_met(toured):
    missing = []
    for item in REST.root["paths"].values():
        for operation in item.values():
            name = operation["operationId"]
            for status in operation["responses"]:
                if status != "default" and not {name, status, f"{name} {status}"} & set(NOT_HERE):
                    if ("rest", name, int(status)) not in toured:
                        missing.append(f"{name} {status}")
    assert not missing


def test_each_parameter_and_field_of_rest_was_used(toured):
    missing = []
    for item in REST.root["paths"].values():
        for operation in item.values():
            name = operation["operationId"]
            for parameter in map(REST.resolved, operation.get("parameters", ())):
                if parameter["in"] == "query" and ("parameter", name, parameter["name"]) not in toured:
                    missing.append(f"{name}?{parameter['name']}")
            if "application/json" in operation.get("requestBody", {}).get("content", {}):
                schema = REST.resolved(operation["requestBody"]["content"]["application/json"]["schema"])
                missing += [f"{name}: {f}" for f in schema["properties"] if ("body", name, f) not in toured]
    assert not missing


def test_each_op_was_used_with_all_of_its_fields_and_got_each_answer_and_each_error(toured):
    missing = []
    for op in SOCKET.ops:
        if ("op", op) not in toured:
            missing.append(op)
        missing += [f"{op}.{f}" for f in SOCKET.payloads[f"op.{op}"]["properties"] if ("field", op, f) not in toured]
        missing += [f"{op}: {answer}" for answer in SOCKET.ops[op] if ("ok", op, answer) not in toured]
        for code in SOCKET.root["operations"][op].get("x-errors", ()):
            if ("op", op, code) not in toured:
                missing.append(f"{op}: {code}")
    assert not missing


def test_each_event_was_met(toured):
    assert {e for e in SOCKET.events if ("ev", e) not in toured} == set(NOT_HERE) & SOCKET.events


@DOCUMENTS
def test_the_node_serves_the_document(make_server, document):
    server, path = make_server(), f"/api/v1/{document.path.name}"
    answer = server.rest("GET", path)
    assert answer.status == 200 and answer.body.decode() == document.text
    assert server.rest("HEAD", path).headers["content-length"] == str(len(answer.body))
    assert server.rest("POST", path, {}).status == 405


# -- the look itself can fail --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("frame", [
    {"re": 1, "ok": {"time": 1, "more": 1}}, {"re": 1, "ok": {"time": "1"}}, {"re": 1, "ok": {}}, {"re": 2, "ok": {"expires_at": 1}},
    {"re": 1, "error": {"code": "exists", "message": "x", "retryable": False}}, {"ev": "news"},
    {"re": None, "error": {"code": "internal", "message": "x", "retryable": False}},
    {"re": 1, "error": {"code": "bad_request", "message": "time: not today", "retryable": False}},
    {"ev": "typing", "room": "hall", "user": "ann"}, {"ev": "typing", "room": "Hall", "user": "ann", "on": True},
    {"ev": "message", "room": "hall", "seq": 1, "ts": 1, "from": "ann", "key": "k", "text": "x", "revoked": True},
    {"ev": "message", "room": "hall", "seq": 1, "ts": 1, "from": "ann", "key": "k", "text": "x", "mentions": ["@hall"]},
    {"ev": "topic", "room": "hall", "seq": 1, "ts": 1, "from": "ann", "title": "x", "replies": {"count": 1, "last": 2}},
    {"ev": "ephemeral", "room": "hall", "ts": 1, "from": "ann"},
])
def test_a_wrong_frame_is_found(frame):
    watch = Watch()
    watch.sent('{"op":"ping","id":1}\n{"op":"hello","id":2}')
    with pytest.raises(Broken):
        watch.received(json.dumps(frame))


def test_what_was_done_though_no_document_allows_it_is_found():
    watch = Watch()
    watch.sent('{"op":"read","id":1,"room":"hall","seq":1.0}')
    with pytest.raises(Broken, match="answered"):
        watch.received('{"re":1,"ok":{"seq":1}}')
    with pytest.raises(Broken):
        watch.closed(3000)


def test_of_requests_with_one_id_that_are_open_together_the_answer_is_to_one_that_the_document_allows():
    good, bad = '{"op":"read","id":1,"room":"hall","seq":1}', '{"op":"read","id":1,"room":"Hall","seq":1}'
    refusal = '{"re":1,"error":{"code":"bad_request","message":"room: no","retryable":false}}'
    for order in ((refusal, '{"re":1,"ok":{"seq":1}}'), ('{"re":1,"ok":{"seq":1}}', refusal)):
        watch = Watch()
        watch.sent(f"{bad}\n{good}")
        for frame in order:
            watch.received(frame)
    watch = Watch()
    watch.sent(f"{bad}\n{bad}")
    with pytest.raises(Broken, match="answered"):
        watch.received('{"re":1,"ok":{"seq":1}}')


class Pretended(Answer):
    def __init__(self, status, body=b"", **headers):
        self.status, self.body = status, body
        self.headers = {"cache-control": "no-store", "content-type": "application/json",
                        **{k.replace("_", "-"): v for k, v in headers.items()}}


@pytest.mark.parametrize("method,path,answer", [
    ("GET", "/api/v1/rooms", Pretended(200, b'{"rooms":[],"more":false}')), ("GET", "/api/v1/rooms", Pretended(202, b'{"rooms":[]}')),
    ("GET", "/api/v1/rooms", Pretended(401, b'{"error":{"code":"unauthenticated","message":"x","retryable":false}}')),
    ("GET", "/api/v1/rooms", Pretended(200, b'{"rooms":[]}', x_more="1")), ("GET", "/api/v1/room", Pretended(200, b"{}")),
    ("GET", "/api/v1/rooms?limit=1.0", Pretended(200, b'{"rooms":[]}')), ("PUT", "/api/v1/rooms", Pretended(200, b"{}")),
    ("GET", "/api/v1/rooms", Pretended(400, b'{"error":{"code":"bad_request","message":"not today","retryable":false}}')),
    ("GET", "/api/v1/rooms", Pretended(409, b'{"error":{"code":"conflict","message":"x","retryable":false}}')),
    ("DELETE", "/api/v1/auth", Pretended(204, b"{}")),
])
def test_a_wrong_answer_is_found(method, path, answer):
    with pytest.raises(Broken):
        Rest().check(method, path, {"Authorization": "Bearer x"}, None, answer)


def test_both_validators_say_the_same():
    """The quick one, which looks at everything, against the one that knows the whole language."""
    event = {"ev": "message", "room": "hall", "seq": 1, "ts": 1, "from": "ann", "key": "k", "text": "x"}
    frames = [("ev.message", event), ("ev.member", {**event, "ev": "member"}), ("error", {"re": None, "error": {"code": "internal",
              "message": "x", "retryable": False}}), ("ok.page", {"re": 1, "ok": {"events": [{**event, "edited": 2, "edited_ts": 2,
              "reactions": {"x": {"count": 1, "mine": True}}}], "more": False, "epoch": "e", "first": 1, "as_of": 1}}),
              ("op.send", {"op": "send", "id": 1, "to": "ann", "key": "k", "text": "x", "at": 1, "reply_to": 1}),
              ("op.send", {"op": "send", "id": 1, "room": "hall", "data": {}, "ephemeral": True}),
              ("op.room", {"op": "room", "id": 1, "room": "hall", "delete": True}),
              ("op.room", {"op": "room", "id": 1, "room": "hall", "title": "x", "delete": False}), ("op.history", {"op": "history", "id": 1,
              "room": "hall", "before": 1}), ("op.hello", {"op": "hello", "id": 1, "subscribe": ["hall"], "resume": {"hall": {
                  "epoch": "e", "seq": 0}}})]
    verdicts = set()
    for message, good in frames:
        whole = {**SOCKET.payloads[message], "components": SOCKET.root["components"]}
        slow = jsonschema.Draft7Validator(whole)
        changed = [good]
        for path, part in walk(good):
            for name in part:
                for value in (None, -1, "", "Hall", [], {}, True, 2**60):
                    other = copy.deepcopy(good)
                    dict(walk(other))[path][name] = value
                    changed.append(other)
                changed.append(copy.deepcopy(good))
                del dict(walk(changed[-1]))[path][name]
            changed.append(copy.deepcopy(good))
            dict(walk(changed[-1]))[path]["unknown"] = 1
        for value in changed:
            assert (SOCKET.message_flaw(message, value) is None) == slow.is_valid(value), (message, value)
            verdicts.add(slow.is_valid(value))
    assert verdicts == {True, False}
    assert without_nulls({"a": None, "b": {"c": None}}) == {"b": {}} and REASONS.match("to: yourself")
