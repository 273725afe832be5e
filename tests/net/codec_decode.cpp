// Frames to requests: every op, every field's bound, and what is refused in which words.
#include "net/codec.hpp"

#include <catch2/catch.hpp>

using namespace greenroom;

namespace {

template <class Op>
Op good(std::string_view frame, std::optional<int64_t> id = 7, const limits& bounds = {}) {
  auto result = net::decode(frame, bounds);
  if (auto* bad = std::get_if<bad_frame>(&result))
    FAIL(frame << ": " << bad->why.message);
  auto& r = std::get<request>(result);
  CHECK(r.id == id);
  REQUIRE(std::holds_alternative<Op>(r.what));
  return std::get<Op>(std::move(r.what));
}

bad_frame bad(std::string_view frame, const limits& bounds = {}) {
  auto result = net::decode(frame, bounds);
  if (!std::holds_alternative<bad_frame>(result))
    FAIL("was accepted: " << frame);
  return std::get<bad_frame>(result);
}

// Whether the frame is refused with this code under id 7 and a message that begins with `names`.
void refused(std::string_view frame, errc code, std::string_view names, const limits& bounds = {}) {
  INFO(frame);
  auto b = bad(frame, bounds);
  CHECK(b.why.code == code);
  CHECK(b.id == 7);
  CHECK_FALSE(b.not_an_object);
  CHECK_THAT(b.why.message, Catch::StartsWith(std::string(names)));
}

std::string with(std::string_view op, std::string_view fields) {
  return R"({"op":")" + std::string(op) + R"(","id":7,)" + std::string(fields) + "}";
}

} // namespace

TEST_CASE("every op is read with all of its fields", "[codec]") {
  SECTION("hello") {
    auto x = good<op::hello>(
        R"({"op":"hello","id":7,"token":"t.o.k","device":"Telefon ü","resume":{"general":{"epoch":"k3","seq":41},"@a+b":{"epoch":"c1","seq":0}},"subscribe":["general","ns/x"]})");
    CHECK(x.token == "t.o.k");
    CHECK(x.device == "Telefon ü");
    REQUIRE(x.resume.size() == 2);
    CHECK(x.resume[0].first.str() == "@a+b");
    CHECK(x.resume[1].first.str() == "general");
    CHECK(x.resume[1].second.epoch == "k3");
    CHECK(x.resume[1].second.seq == 41);
    CHECK(x.subscribe == op::hello::scope::list);
    REQUIRE(x.rooms.size() == 2);
    CHECK(x.rooms[1].str() == "ns/x");

    auto bare = good<op::hello>(R"({"op":"hello","id":7})");
    CHECK_FALSE(bare.token);
    CHECK(bare.subscribe == op::hello::scope::all);
    CHECK(good<op::hello>(R"({"op":"hello","id":7,"subscribe":"none"})").subscribe == op::hello::scope::none);
    CHECK(good<op::hello>(R"({"op":"hello","id":7,"subscribe":"all"})").subscribe == op::hello::scope::all);
  }
  SECTION("refresh and ping") {
    CHECK(good<op::refresh>(R"({"op":"refresh","id":7,"token":"x"})").token == "x");
    good<op::ping>(R"({"op":"ping","id":7})");
  }
  SECTION("create") {
    auto x = good<op::create>(R"({"op":"create","id":7,"room":"r","kind":"private","title":"Grün","history_days":30})");
    CHECK(x.room.str() == "r");
    CHECK(x.kind == storage::room_kind::private_);
    CHECK(x.title == "Grün");
    CHECK(x.history_days == 30);
    CHECK(good<op::create>(R"({"op":"create","id":7,"room":"r","kind":"announce"})").kind ==
          storage::room_kind::announce);
    CHECK(good<op::create>(R"({"op":"create","id":7,"room":"r"})").kind == storage::room_kind::public_);
  }
  SECTION("join, leave, subscribe, unsubscribe") {
    auto x = good<op::join>(R"({"op":"join","id":7,"room":"r","resume":{"epoch":"e","seq":9007199254740991}})");
    REQUIRE(x.resume);
    CHECK(x.resume->seq == 9007199254740991);
    CHECK_FALSE(good<op::join>(R"({"op":"join","id":7,"room":"r","resume":null})").resume);
    CHECK(good<op::leave>(R"({"op":"leave","id":7,"room":"r"})").room.str() == "r");
    CHECK(good<op::subscribe>(R"({"op":"subscribe","id":7,"room":"r","resume":{"epoch":"e","seq":0}})").resume);
    CHECK(good<op::unsubscribe>(R"({"op":"unsubscribe","id":7,"room":"r"})").room.str() == "r");
  }
  SECTION("send") {
    auto x = good<op::send>(
        R"({"op":"send","id":7,"room":"r","key":"k!~","text":"h\u00e9\n\ud83d\ude00","data":{ "b" : [1, 2.5], "a":null },"reply_to":3,"attachments":[],"ephemeral":false,"later":1})");
    CHECK(x.room->str() == "r");
    CHECK_FALSE(x.to);
    CHECK(x.key == "k!~");
    CHECK(x.text == "h\u00e9\n\U0001F600");
    CHECK(x.data == R"({"a":null,"b":[1,2.5]})");
    CHECK(x.reply_to == 3);
    const std::string id(32, 'a');
    x = good<op::send>(with("send", R"("room":"r","key":"k","attachments":[")" + id + R"("])"));
    CHECK(x.attachments == std::vector<std::string>{id});
    refused(with("send", R"("room":"r","key":"k","text":"x","attachments":["a"])"), errc::bad_request, "attachments:");
    refused(with("send", R"("room":"r","key":"k","text":"x","attachments":[7])"), errc::bad_request, "attachments:");
    refused(with("send", R"("room":"r","key":"k","text":"x","attachments":{})"), errc::bad_request, "attachments:");
    refused(with("send", R"("room":"r","key":"k","attachments":[")" + id + R"(",")" + id + R"("])"), errc::bad_request,
            "attachments:");
    refused(with("send", R"("room":"r","attachments":[")" + id + R"("],"ephemeral":true)"), errc::bad_request,
            "attachments:");
    auto direct = good<op::send>(R"({"op":"send","id":7,"to":"bob","key":"k","text":"x"})");
    CHECK(direct.to->str() == "bob");
    CHECK_FALSE(direct.room);
    CHECK(direct.data.empty());
    CHECK(good<op::send>(R"({"op":"send","id":7,"to":"bob","key":"k","data":{}})").data == "{}");
  }
  SECTION("history") {
    using from = op::history::from;
    auto x = good<op::history>(R"({"op":"history","id":7,"room":"r","around":12,"limit":200})");
    CHECK(x.where == from::around);
    CHECK(x.seq == 12);
    CHECK(x.limit == 200);
    auto tail = good<op::history>(R"({"op":"history","id":7,"room":"r"})");
    CHECK(tail.where == from::before);
    CHECK(tail.seq == UINT64_MAX);
    CHECK(tail.limit == 50);
    CHECK(good<op::history>(R"({"op":"history","id":7,"room":"r","before":5})").where == from::before);
    auto after = good<op::history>(R"({"op":"history","id":7,"room":"r","after":0})");
    CHECK(after.where == from::after);
    CHECK(after.seq == 0);
    CHECK(good<op::history>(R"({"op":"history","id":7,"room":"r","at":1764000000000})").ts == 1764000000000);
  }
  SECTION("read and typing, with and without an id") {
    CHECK(good<op::read>(R"({"op":"read","id":7,"room":"r","seq":4})").seq == 4);
    good<op::read>(R"({"op":"read","room":"r","seq":4})", std::nullopt);
    CHECK(good<op::typing>(R"({"op":"typing","room":"r","on":true})", std::nullopt).on);
    CHECK_FALSE(good<op::typing>(R"({"op":"typing","id":7,"room":"r","on":false})").on);
  }
  SECTION("members and rooms") {
    auto m = good<op::members>(R"({"op":"members","id":7,"room":"r","after":"bob","limit":1})");
    CHECK(m.after == "bob");
    CHECK(m.limit == 1);
    auto r = good<op::rooms>(R"({"op":"rooms","id":7,"after":"@a+b"})");
    CHECK(r.after == "@a+b");
    CHECK(r.limit == 50);
  }
}

TEST_CASE("a frame that is no JSON object counts as such and has no id", "[codec]") {
  for (std::string_view frame : {"",
                                 " ",
                                 "x",
                                 "[]",
                                 "1",
                                 "null",
                                 "\"op\"",
                                 "{",
                                 R"({"op":"ping","id":7)",
                                 R"({"op":"ping","id":7}})",
                                 R"({"op":"ping","id":7} {})",
                                 R"({'op':'ping','id':7})",
                                 "{\"op\":\"ping\",\"id\":7,\"x\":\"\xff\"}",
                                 "{\"op\":\"ping\",\"id\":7,\"x\":\"\xc0\xaf\"}",
                                 "{\"op\":\"ping\",\"id\":7,\"x\":\"\xed\xa0\x80\"}",
                                 R"({"op":"ping","id":7,"x":"\ud800"})",
                                 R"({"op":"ping","id":7,"x":"\udc00"})",
                                 R"({"op":"ping","id":7,"x":"\ud800\u0041"})",
                                 "{\"op\":\"ping\",\"id\":7,\"x\":\"a\nb\"}",
                                 R"({"op":"ping","id":7,"x":1e999})",
                                 R"({"op":"ping","id":07})",
                                 R"({"op":"ping","id":NaN})"}) {
    INFO(frame);
    auto b = bad(frame);
    CHECK(b.why.code == errc::bad_request);
    CHECK(b.not_an_object);
    CHECK_FALSE(b.id);
  }
}

TEST_CASE("ids are integers from 1 to 2^53 - 1", "[codec]") {
  good<op::ping>(R"({"op":"ping","id":1})", 1);
  good<op::ping>(R"({"op":"ping","id":9007199254740991})", 9007199254740991);
  for (std::string_view id :
       {"0", "-1", "-0", "1.0", "1e3", "9007199254740992", "18446744073709551616", "\"7\"", "true", "[7]", "{}"}) {
    auto frame = R"({"op":"ping","id":)" + std::string(id) + "}";
    INFO(frame);
    auto b = bad(frame);
    CHECK(b.why.code == errc::bad_request);
    CHECK_FALSE(b.id);
    CHECK_FALSE(b.not_an_object);
    CHECK_THAT(b.why.message, Catch::StartsWith("id: "));
  }
  for (std::string_view frame : {R"({"op":"ping"})", R"({"op":"ping","id":null})", R"({"op":"send","room":"r"})"}) {
    auto b = bad(frame);
    CHECK(b.why.code == errc::bad_request);
    CHECK_FALSE(b.id);
    CHECK_THAT(b.why.message, Catch::StartsWith("id: required"));
  }
  // A wrong id is refused even where none is needed.
  CHECK_FALSE(bad(R"({"op":"typing","id":-1,"room":"r","on":true})").id);
}

TEST_CASE("what changes a message", "[codec]") {
  auto edit = good<op::edit>(with("edit", R"("room":"r","target":3,"key":"k","text":"x")"));
  CHECK(edit.room.str() == "r");
  CHECK(edit.target == 3);
  CHECK(edit.key == "k");
  CHECK(edit.text == "x");
  CHECK_FALSE(edit.base);
  CHECK(good<op::edit>(with("edit", R"("room":"r","target":3,"key":"k","text":"x","base":0)")).base == uint64_t{0});
  CHECK(good<op::revoke>(with("revoke", R"("room":"r","target":9,"key":"k")")).target == 9);
  auto react = good<op::react>(with("react", R"("room":"r","target":3,"key":"k","emoji":"👍🏽","on":false)"));
  CHECK(react.emoji == "👍🏽");
  CHECK_FALSE(react.on);
  refused(with("edit", R"("room":"r","key":"k","text":"x")"), errc::bad_request, "target: required");
  refused(with("edit", R"("room":"r","target":0,"key":"k","text":"x")"), errc::bad_request, "target:");
  refused(with("edit", R"("room":"r","target":3,"key":"k")"), errc::bad_request, "text: required");
  refused(with("edit", R"("room":"r","target":3,"key":"k","text":"")"), errc::bad_request, "text: must not be empty");
  refused(with("edit", R"("room":"r","target":3,"key":"k","text":"x","base":-1)"), errc::bad_request, "base:");
  refused(with("revoke", R"("room":"r","target":3)"), errc::bad_request, "key: required");
  refused(with("react", R"("room":"r","target":3,"key":"k","emoji":"a b","on":true)"), errc::bad_request, "emoji:");
  refused(with("react", R"("room":"r","target":3,"key":"k","emoji":"","on":true)"), errc::bad_request, "emoji:");
  refused(with("react", R"("room":"r","target":3,"key":"k","emoji":"x")"), errc::bad_request, "on: required");
  refused(
      with("react", "\"room\":\"r\",\"target\":3,\"key\":\"k\",\"on\":true,\"emoji\":\"" + std::string(65, 'x') + "\""),
      errc::too_large, "emoji:");
}

TEST_CASE("what is said in passing, later, and in a thread", "[codec]") {
  auto passing = good<op::send>(with("send", R"("room":"r","text":"x","ephemeral":true)"));
  CHECK(passing.ephemeral);
  CHECK(passing.key.empty());
  refused(with("send", R"("room":"r","text":"x","ephemeral":true,"at":9)"), errc::bad_request, "at:");
  refused(with("send", R"("room":"r","text":"x","ephemeral":true,"reply_to":9)"), errc::bad_request, "reply_to:");
  refused(with("send", R"("room":"r","text":"x","ephemeral":false)"), errc::bad_request, "key:");
  CHECK(good<op::send>(with("send", R"("room":"r","key":"k","text":"x","at":1764000000000)")).at == 1'764'000'000'000);
  refused(with("send", R"("room":"r","key":"k","text":"x","at":0)"), errc::bad_request, "at:");
  auto position = good<op::read>(with("read", R"("room":"r","seq":7,"thread":3)"));
  CHECK(position.thread == 3);
  auto arrived = good<op::read>(with("delivered", R"("room":"r","seq":7,"thread":3,"private":true)"));
  CHECK(arrived.arrived);
  CHECK(arrived.quiet);
  CHECK(arrived.thread == 0);
  auto profile = good<op::profile>(with("profile", R"("name":"Ada","fields":{"b":1,"a":[2]})"));
  CHECK(profile.name == "Ada");
  CHECK(profile.fields == R"({"a":[2],"b":1})");
  CHECK_FALSE(profile.avatar);
  CHECK(good<op::profile>(with("profile", R"("user":"ada")")).user->str() == "ada");
  refused(with("profile", R"("user":"ada","name":"x")"), errc::bad_request, "user:");
  refused(with("profile", R"("fields":[])"), errc::bad_request, "fields:");
  refused(with("profile", R"("name":"a\nb")"), errc::bad_request, "name:");
  auto presence = good<op::presence>(with("presence", R"("status":"dnd","note":"no")"));
  CHECK(presence.status == storage::presence_status::dnd);
  CHECK(presence.note == "no");
  refused(with("presence", R"("status":"asleep")"), errc::bad_request, "status:");
  refused(with("presence", R"("user":"ada","status":"away")"), errc::bad_request, "user:");
  refused(with("presence", R"("note":")" + std::string(257, 'x') + R"(")"), errc::too_large, "note:");
  CHECK(good<op::watch>(with("watch", R"("users":["bob","ada","bob"])")).users.size() == 2);
  refused(with("watch", R"("users":"bob")"), errc::bad_request, "users:");
  refused(with("watch", R"("users":["No One"])"), errc::bad_request, "users:");
  refused(with("unwatch", R"("x":1)"), errc::bad_request, "users:");
  CHECK(good<op::signal>(with("signal", R"("to":"bob","device":"phone","data":{"b":1})")).data == R"({"b":1})");
  refused(with("signal", R"("to":"bob")"), errc::bad_request, "data:");
  auto thread = good<op::thread>(with("thread", R"("room":"r","target":3,"after":5,"limit":2)"));
  CHECK(thread.target == 3);
  CHECK(thread.after == 5);
  CHECK(thread.limit == 2);
  refused(with("thread", R"("room":"r")"), errc::bad_request, "target:");
  CHECK(good<op::block>(with("block", R"("user":"ada")")).on);
  CHECK_FALSE(good<op::block>(with("unblock", R"("user":"ada")")).on);
  refused(with("block", R"("user":"Ada")"), errc::bad_request, "user:");
  refused(with("block", R"("room":"r")"), errc::bad_request, "user:");
  auto blocks = good<op::blocks>(with("blocks", R"("after":"ada","limit":2)"));
  CHECK(blocks.after == "ada");
  CHECK(blocks.limit == 2);
  // No client can say what only the server's own requests say.
  CHECK_FALSE(good<op::revoke>(with("revoke", R"("room":"r","target":3,"key":"k","erased":true)")).erased);
  CHECK_FALSE(good<op::leave>(with("leave", R"("room":"r","erased":true)")).erased);
  CHECK(good<op::cancel>(with("cancel", R"("room":"r","key":"k")")).key == "k");
  CHECK(good<op::scheduled>(with("scheduled", R"("room":"r")")).limit == 100);
  auto kept = good<op::scheduled>(with("scheduled", R"("room":"r","after":"5.k","limit":2)"));
  CHECK(kept.after == "5.k");
  CHECK(kept.limit == 2);
  auto pins = good<op::pins>(with("pins", R"("room":"r","after":5,"limit":2)"));
  CHECK(pins.after == 5);
  CHECK(pins.limit == 2);
  refused(with("pins", R"("room":"r","limit":201)"), errc::too_large, "limit:");
  CHECK(good<op::members>(with("members", R"("room":"r","muted":true)")).muted);
  refused(with("members", R"("room":"r","muted":true,"banned":true)"), errc::bad_request, "muted:");
  CHECK(good<op::configure>(with("room", R"("room":"r","history_events":9)")).history_events == 9);
  auto limited = good<op::configure>(with("room", R"("room":"r","limits":{"members":5,"x":1})"));
  CHECK(*limited.limits == storage::room_limits{5, 0, 0});
  CHECK_FALSE(good<op::configure>(with("room", R"("room":"r","limits":{})")).limits->any());
  refused(with("room", R"("room":"r","limits":{"members":0})"), errc::bad_request, "limits.members:");
  refused(with("room", R"("room":"r","limits":7)"), errc::bad_request, "limits:");
  refused(with("room", R"("room":"r","limits":{},"delete":true)"), errc::bad_request, "delete:");
  CHECK(good<op::configure>(with("room", R"("room":"r","delete":true)")).remove);
  refused(with("room", R"("room":"r","delete":true,"title":"x")"), errc::bad_request, "delete:");
}

TEST_CASE("unknown ops and what later versions serve are unsupported by name", "[codec]") {
  refused(R"({"op":"teleport","id":7})", errc::unsupported, "op: teleport");
  refused(R"({"op":"a b\n","id":7})", errc::unsupported, "op: not served");
  refused(R"({"op":"","id":7})", errc::unsupported, "op:");
  CHECK_FALSE(bad(R"({"op":"teleport"})").id);
  CHECK(bad(R"({"op":"teleport"})").why.code == errc::unsupported);
  refused(R"({"id":7})", errc::bad_request, "op: required");
  refused(R"({"id":7,"op":5})", errc::bad_request, "op: required");
}

TEST_CASE("a frame over its limit is too_large, under its id where that is near the front", "[codec]") {
  limits bounds;
  bounds.frame_bytes = 1000;
  const std::string filler(1000, 'x');
  refused(with("ping", R"("x":")" + filler + "\""), errc::too_large, "frame: ", bounds);
  CHECK_THAT(bad(with("ping", R"("x":")" + filler + "\""), bounds).why.message, Catch::Contains("limits.frame_bytes"));
  CHECK_FALSE(bad(R"({"x":")" + filler + R"(","id":7})", bounds).id);
  CHECK_FALSE(bad(R"({"x":{"id":7},"y":")" + filler + "\"}", bounds).id);
  CHECK_FALSE(bad(R"({"x":"\"id\":7","y":")" + filler + "\"}", bounds).id);
  CHECK_FALSE(bad(R"({"id":7.5,"y":")" + filler + "\"}", bounds).id);
  CHECK_FALSE(bad(R"({"id":-7,"y":")" + filler + "\"}", bounds).id);
  CHECK_FALSE(bad(R"({"id":)" + std::string(2000, '7') + "}", bounds).id);
  CHECK(bad(R"({ "x" : "\\" , "id" : 7 , "y":")" + filler + "\"}", bounds).id == 7);
  const auto exact = with("ping", R"("x":")" + std::string(1000 - with("ping", R"("x":"")").size(), 'x') + "\"");
  REQUIRE(exact.size() == 1000);
  good<op::ping>(exact, 7, bounds);
  refused(exact + " ", errc::too_large, "frame: 1001 bytes, at most 1000", bounds);
}

TEST_CASE("deep nesting is refused before it is parsed", "[codec]") {
  limits bounds;
  auto nested = [](size_t arrays) {
    return with("send",
                R"("room":"r","key":"k","data":{"x":)" + std::string(arrays, '[') + std::string(arrays, ']') + "}");
  };
  good<op::send>(nested(bounds.json_depth - 2));
  refused(nested(bounds.json_depth - 1), errc::too_large, "frame: nested deeper than 16 (limits.json_depth)");
  // Bombs: the whole frame is brackets, closed or not; brackets inside strings count nothing.
  for (std::string_view open : {"[", "{\"\":", "[{\"a\":"}) {
    std::string bomb = R"({"op":"ping","id":7,"x":)";
    while (bomb.size() + open.size() < bounds.frame_bytes)
      bomb += open;
    refused(bomb, errc::too_large, "frame: nested");
  }
  CHECK(bad(std::string(bounds.frame_bytes, '[')).why.code == errc::too_large);
  good<op::ping>(with("ping", R"("x":"\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\")"));
}

TEST_CASE("each field has its type and its bound", "[codec]") {
  const auto text_of = [](size_t bytes) { return std::string(bytes, 'x'); };
  SECTION("hello") {
    refused(with("hello", R"("token":1)"), errc::bad_request, "token:");
    refused(with("hello", R"("token":")" + text_of(4097) + "\""), errc::too_large, "token: 4097 bytes, at most 4096");
    refused(with("hello", R"("device":")" + text_of(65) + "\""), errc::too_large, "device: at most 64 characters");
    std::string wide;
    for (int i = 0; i < 64; ++i)
      wide += "\u00fc";
    CHECK(good<op::hello>(with("hello", R"("device":")" + wide + "\"")).device == wide);
    refused(with("hello", R"("device":"a\u0000b")"), errc::bad_request, "device:");
    refused(with("hello", R"("resume":[])"), errc::bad_request, "resume:");
    refused(with("hello", R"("resume":{"R":{"epoch":"e","seq":1}})"), errc::bad_request, "resume:");
    refused(with("hello", R"("resume":{"r":5})"), errc::bad_request, "resume.r:");
    refused(with("hello", R"("resume":{"r":{"seq":1}})"), errc::bad_request, "resume.r: epoch: required");
    refused(with("hello", R"("resume":{"r":{"epoch":"e","seq":-1}})"), errc::bad_request, "resume.r: seq:");
    refused(with("hello", R"("subscribe":"some")"), errc::bad_request, "subscribe:");
    refused(with("hello", R"("subscribe":[1])"), errc::bad_request, "subscribe:");
    refused(with("hello", R"("subscribe":["A"])"), errc::bad_request, "subscribe:");
    limits two;
    two.subscriptions = 2;
    refused(with("hello", R"("subscribe":["a","b","c"])"), errc::too_large, "subscribe: 3 rooms, at most 2", two);
    refused(with("hello", R"("resume":{"a":0,"b":0,"c":0})"), errc::too_large, "resume: 3 rooms, at most 2", two);
  }
  SECTION("rooms and users") {
    for (std::string_view op : {"create", "join", "leave", "subscribe", "unsubscribe", "history", "members"}) {
      refused(with(op, R"("x":1)"), errc::bad_request, "room: required");
      refused(with(op, R"("room":7)"), errc::bad_request, "room: must be a string");
      refused(with(op, R"("room":"No")"), errc::bad_request, "room: a room id is");
      refused(with(op, R"("room":"@b+a")"), errc::bad_request, "room: a room id is");
      refused(with(op, R"("room":")" + text_of(300) + "\""), errc::too_large, "room:");
    }
    refused(with("create", R"("room":"@a+b")"), errc::bad_request, "room:");
    refused(with("create", R"("room":"r","kind":"direct")"), errc::bad_request, "kind:");
    refused(with("create", R"("room":"r","kind":1)"), errc::bad_request, "kind:");
    refused(with("create", R"("room":"r","title":")" + text_of(257) + "\""), errc::too_large, "title:");
    refused(with("create", R"("room":"r","title":"a\tb")"), errc::bad_request, "title:");
    refused(with("create", R"("room":"r","history_days":36501)"), errc::too_large, "history_days:");
    refused(with("create", R"("room":"r","history_days":-1)"), errc::bad_request, "history_days:");
    refused(with("join", R"("room":"r","resume":{"epoch":")" + text_of(65) + R"(","seq":1})"), errc::too_large,
            "resume:");
  }
  SECTION("send") {
    const std::string rest = R"(,"key":"k","text":"x")";
    refused(with("send", R"("key":"k","text":"x")"), errc::bad_request, "room: exactly one");
    refused(with("send", R"("room":"r","to":"bob")" + rest), errc::bad_request, "room: exactly one");
    refused(with("send", R"("to":"Bob")" + rest), errc::bad_request, "to:");
    refused(with("send", R"("room":"r","text":"x")"), errc::bad_request, "key: required");
    for (std::string_view key : {R"("")", R"("a b")", R"("\u007f")", R"("ü")", R"("\n")", "5"})
      refused(with("send", R"("room":"r","text":"x","key":)" + std::string(key)), errc::bad_request, "key:");
    refused(with("send", R"("room":"r","text":"x","key":")" + text_of(65) + "\""), errc::too_large, "key:");
    good<op::send>(with("send", R"("room":"r","text":"x","key":")" + text_of(64) + "\""));
    refused(with("send", R"("room":"r","key":"k","text":"")"), errc::bad_request, "text:");
    refused(with("send", R"("room":"r","key":"k")"), errc::bad_request, "text:");
    refused(with("send", R"("room":"r","key":"k","text":[])"), errc::bad_request, "text: must be a string");
    good<op::send>(with("send", R"("room":"r","key":"k","text":")" + text_of(16384) + "\""));
    refused(with("send", R"("room":"r","key":"k","text":")" + text_of(16385) + "\""), errc::too_large,
            "text: 16385 bytes, at most 16384 (limits.text_bytes)");
    for (std::string_view data : {"[]", "1", R"("x")", "true"})
      refused(with("send", R"("room":"r","key":"k","data":)" + std::string(data)), errc::bad_request, "data:");
    // Spaces do not count.
    good<op::send>(with("send", R"("room":"r","key":"k","data":{"x":")" + text_of(16376) + "\"   }"));
    refused(with("send", R"("room":"r","key":"k","data":{"x":")" + text_of(16377) + "\"}"), errc::too_large,
            "data: 16385 bytes, at most 16384 (limits.data_bytes)");
    for (std::string_view seq : {"0", "-1", "1.5", R"("1")", "9007199254740992"})
      refused(with("send", R"("room":"r","key":"k","text":"x","reply_to":)" + std::string(seq)), errc::bad_request,
              "reply_to:");
    refused(with("send", R"("room":"r","key":"k","text":"x","ephemeral":1)"), errc::bad_request, "ephemeral:");
  }
  SECTION("pages") {
    refused(with("history", R"("room":"r","limit":201)"), errc::too_large, "limit: at most 200 (limits.history_page)");
    refused(with("history", R"("room":"r","limit":0)"), errc::bad_request, "limit:");
    refused(with("history", R"("room":"r","before":1,"after":2)"), errc::bad_request, "after: only one");
    refused(with("history", R"("room":"r","before":0)"), errc::bad_request, "before:");
    refused(with("history", R"("room":"r","at":"noon")"), errc::bad_request, "at:");
    refused(with("members", R"("room":"r","limit":201)"), errc::too_large, "limit:");
    refused(with("members", R"("room":"r","after":"No")"), errc::bad_request, "after:");
    refused(with("rooms", R"("limit":101)"), errc::too_large, "limit:");
    refused(with("rooms", R"("after":5)"), errc::bad_request, "after:");
    limits small;
    small.history_page = 10;
    CHECK(good<op::history>(R"({"op":"history","id":7,"room":"r"})", 7, small).limit == 10);
  }
  SECTION("read and typing") {
    refused(with("read", R"("room":"r")"), errc::bad_request, "seq: required");
    refused(with("read", R"("room":"r","seq":0)"), errc::bad_request, "seq:");
    refused(with("typing", R"("room":"r")"), errc::bad_request, "on: required");
    refused(with("typing", R"("room":"r","on":1)"), errc::bad_request, "on: must be true or false");
  }
}

TEST_CASE("of repeated keys the last one wins", "[codec]") {
  CHECK(good<op::leave>(R"({"op":"leave","id":3,"room":"a","room":"b","id":7})").room.str() == "b");
}
