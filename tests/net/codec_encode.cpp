// Answers and events to finished WebSocket frames: golden samples, and whatever is in a string parses back.
#include "net/codec.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <random>

using namespace greenroom;

namespace {

const limits bounds;
const net::json_encoder encode{[] { return &bounds; }};

// The payload of an unmasked text message, after its header was checked byte by byte.
std::string payload(const frame& f) {
  REQUIRE(f);
  auto at = [&](size_t i) { return static_cast<unsigned char>(f->at(i)); };
  REQUIRE(at(0) == 0x81);
  size_t header = 2;
  uint64_t size = at(1);
  if (size >= 126) {
    header = size == 126 ? 4 : 10;
    size = 0;
    for (size_t i = 2; i < header; ++i)
      size = size << 8 | at(i);
    REQUIRE(size >= (header == 4 ? 126u : 65536u)); // the shortest form, RFC 6455 section 5.2
  }
  REQUIRE(f->size() == header + size);
  return f->substr(header);
}

std::string ok_of(ok::any what) { return payload(encode.answer(3, answer(std::move(what)))); }

user_id user(const char* text) { return user_id::trusted(text); }
room_id room(const char* text) { return room_id::trusted(text); }

storage::event message() {
  storage::event e;
  e.seq = 58;
  e.ts = 1764000001456;
  e.from = user("bob");
  e.key = "b-17";
  e.text = "hi";
  return e;
}

} // namespace

TEST_CASE("golden answers", "[codec]") {
  CHECK(ok_of(ok::none{}) == R"({"re":3,"ok":{}})");
  CHECK(payload(encode.answer(std::nullopt, answer(ok::none{}))) == R"({"re":null,"ok":{}})");
  CHECK(payload(encode.answer(9007199254740991, answer(ok::none{}))) == R"({"re":9007199254740991,"ok":{}})");

  ok::hello hello;
  hello.presence = {user("alice"), seen_as::away, {}};
  hello.session = "s_9f";
  hello.user = user("alice");
  hello.node = "n1";
  hello.time = 1764000000123;
  hello.expires_at = 1764003600000;
  hello.rooms.push_back(
      {room("general"), "k3v9", 57, 41, storage::member_role::member, storage::room_kind::public_, true, 0});
  hello.resumed.push_back({room("general"), true, "k3v9", 57, std::nullopt});
  hello.resumed.push_back({room("old"), false, "k4", 2, std::nullopt});
  hello.resumed.push_back({room("secret"), false, "", 0, fail(errc::not_member, "not a member of secret")});
  CHECK(
      ok_of(hello) ==
      R"({"re":3,"ok":{"session":"s_9f","user":"alice","node":"n1","server":"greenroom/)" GREENROOM_VERSION
      R"(","time":1764000000123,"ping_ms":25000,"expires_at":1764003600000,"limits":{"frame_bytes":65536,)"
      R"("message_bytes":262144,"text_bytes":16384,"data_bytes":16384,"in_flight":64,"sends_per_s":20,)"
      R"("hello_rooms":200,"subscriptions":1000,"watched":200,"resume_events":10000},"rooms":[{"room":"general","epoch":"k3v9",)"
      R"("seq":57,"read":41,"role":"member","kind":"public","subscribed":true}],"more":false,"presence":{"status":"away"},"resumed":{)"
      R"("general":{"recovered":true,"epoch":"k3v9","seq":57},"old":{"recovered":false,"epoch":"k4","seq":2},)"
      R"("secret":{"error":{"code":"not_member","message":"not a member of secret"}}}}})");

  CHECK(ok_of(ok::refresh{5}) == R"({"re":3,"ok":{"expires_at":5}})");
  CHECK(ok_of(ok::ping{1764000000123}) == R"({"re":3,"ok":{"time":1764000000123}})");
  CHECK(ok_of(ok::created{room("a/b"), "e", 1}) == R"({"re":3,"ok":{"room":"a/b","epoch":"e","seq":1}})");
  ok::joined joined{"e", 7, storage::member_role::owner, 3, 2, std::nullopt};
  CHECK(ok_of(joined) == R"({"re":3,"ok":{"epoch":"e","seq":7,"role":"owner","member_count":3,"online_count":2}})");
  joined.recovered = false;
  CHECK(ok_of(joined) ==
        R"({"re":3,"ok":{"epoch":"e","seq":7,"role":"owner","member_count":3,"online_count":2,"recovered":false}})");
  CHECK(ok_of(ok::left{8}) == R"({"re":3,"ok":{"seq":8}})");
  ok::sent sent{room("r"), "e", 8, 9, false, 1, 1};
  CHECK(ok_of(sent) == R"({"re":3,"ok":{"room":"r","epoch":"e","seq":8,"ts":9,"stored":{"replicas":1,"synced":1}}})");
  sent.duplicate = true;
  CHECK(ok_of(sent) ==
        R"({"re":3,"ok":{"room":"r","epoch":"e","seq":8,"ts":9,"stored":{"replicas":1,"synced":1},"duplicate":true}})");
  CHECK(ok_of(ok::page{room("r"), "e", {message()}, {}, true, 4, 58}) ==
        R"({"re":3,"ok":{"events":[{"ev":"message","room":"r","seq":58,"ts":1764000001456,"from":"bob","key":"b-17",)"
        R"("text":"hi"}],"more":true,"epoch":"e","first":4,"as_of":58}})");
  CHECK(ok_of(ok::page{room("r"), "e", {}, {}, false, 1, 0}) ==
        R"({"re":3,"ok":{"events":[],"more":false,"epoch":"e","first":1,"as_of":0}})");
  CHECK(ok_of(ok::page{room("r"), "", {}, {}, false, 1, 0}) ==
        R"({"re":3,"ok":{"events":[],"more":false,"first":1,"as_of":0}})");
  CHECK(ok_of(ok::scheduled{room("r"), {{5, "k", "x", {}, 0}}, "5.k"}) ==
        R"({"re":3,"ok":{"sends":[{"room":"r","key":"k","at":5,"text":"x"}],"next":"5.k"}})");
  CHECK(ok_of(ok::sessions{{}, "5,a,n,s"}) == R"({"re":3,"ok":{"sessions":[],"next":"5,a,n,s"}})");
  CHECK(ok_of(ok::read{8}) == R"({"re":3,"ok":{"seq":8}})");
  CHECK(
      ok_of(ok::members{
          {{user("a"), storage::member_role::owner, seen_as::online}, {user("b"), storage::member_role::guest}},
          "b"}) ==
      R"({"re":3,"ok":{"members":[{"user":"a","role":"owner","online":true},{"user":"b","role":"guest","online":false}],"next":"b"}})");
  CHECK(ok_of(ok::members{}) == R"({"re":3,"ok":{"members":[]}})");
  CHECK(ok_of(ok::blocks{{{user("a"), 5}, {user("b"), 6}}, "b"}) ==
        R"({"re":3,"ok":{"blocks":[{"user":"a","since":5},{"user":"b","since":6}],"next":"b"}})");
  CHECK(ok_of(ok::erasure{user("a"), {7, user("root"), "spam", true, 9, 2, 3}, 1}) ==
        R"({"re":3,"ok":{"user":"a","by":"root","asked":7,"reason":"spam","keep_messages":true,"rooms":2,)"
        R"("messages":3,"completed":9,"rooms_left":1}})");
  ok::about_user about;
  about.user = user("a");
  about.what.edit().account = storage::account_record{"secret", 5, false, true};
  about.what.edit().sessions = {{"s", {"phone", 1, 2, "digest", false, "family", "previous", "salt", 0}}};
  CHECK(ok_of(about) ==
        R"({"re":3,"ok":{"part":"user","user":"a","account":{"created":5,"guest":false,"admin":true},)"
        R"("sessions":[{"session":"s","device":"phone","created":1,"expires":2,"revoked":false}],"blocks":[]}})");
  ok::inbox_room inbox{
      {room("r"), "e", 58, 50, storage::member_role::moderator, storage::room_kind::private_, false, 0},
      8,
      1,
      message()};
  CHECK(ok_of(ok::rooms{{inbox}, "r"}) ==
        R"({"re":3,"ok":{"rooms":[{"room":"r","epoch":"e","seq":58,"read":50,"role":"moderator","kind":"private",)"
        R"("subscribed":false,"unread":8,"mentions":1,"last":{"ev":"message","room":"r","seq":58,"ts":1764000001456,)"
        R"("from":"bob","key":"b-17","text":"hi"}}],"next":"r"}})");
  ok::grant grant{{user("alice"), "s_1", 99, false, nullptr}, "secret"};
  CHECK(ok_of(grant) == R"({"re":3,"ok":{"user":"alice","session":"s_1","expires_at":99}})");
  CHECK(
      ok_of(ok::sessions{{{user("a"), "s", "phone", "n1", 5, 6}}}) ==
      R"({"re":3,"ok":{"sessions":[{"user":"a","session":"s","device":"phone","node":"n1","since":5,"queued_bytes":6}]}})");
}

TEST_CASE("REST gets what stands behind ok, without a header", "[codec]") {
  CHECK(encode.body(ok::left{8}) == R"({"seq":8})");
}

TEST_CASE("golden errors", "[codec]") {
  CHECK(
      payload(encode.answer(9, failure{errc::rate_limited, "20 sends per second", 850})) ==
      R"({"re":9,"error":{"code":"rate_limited","message":"20 sends per second","retryable":true,"retry_after_ms":850}})");
  CHECK(payload(encode.answer(std::nullopt, fail(errc::bad_request, "frame: \"x\""))) ==
        R"({"re":null,"error":{"code":"bad_request","message":"frame: \"x\"","retryable":false}})");
}

TEST_CASE("golden events", "[codec]") {
  auto e = message();
  CHECK(payload(encode.event(room("general"), e)) ==
        R"({"ev":"message","room":"general","seq":58,"ts":1764000001456,"from":"bob","key":"b-17","text":"hi"})");
  e.more.edit().data = R"({"a":[1]})";
  e.more.edit().reply_to = 4;
  e.more.edit().attachments = {{"a1", "cat \"x\".png", "image/png", 7, std::string("\x00\xff", 2)}};
  CHECK(
      payload(encode.event(room("general"), e)) ==
      R"({"ev":"message","room":"general","seq":58,"ts":1764000001456,"from":"bob","key":"b-17","text":"hi",)"
      R"("data":{"a":[1]},"reply_to":4,"attachments":[{"id":"a1","name":"cat \"x\".png","type":"image/png","size":7,"sha256":"00ff"}]})");
  storage::event m;
  m.kind = storage::event_kind::member;
  m.seq = 1;
  m.ts = 2;
  m.from = user("alice");
  m.user = user("bob");
  m.change = storage::member_change::joined;
  m.role = storage::member_role::member;
  CHECK(payload(encode.event(room("r"), m)) ==
        R"({"ev":"member","room":"r","seq":1,"ts":2,"from":"alice","user":"bob","change":"joined","role":"member"})");
  CHECK(payload(encode.subscribed(room("@alice+bob"), {"c1", 0})) ==
        R"({"ev":"subscribed","room":"@alice+bob","epoch":"c1","seq":0})");
  CHECK(payload(encode.typing(room("r"), user("bob"), true)) == R"({"ev":"typing","room":"r","user":"bob","on":true})");
  CHECK(payload(encode.read(room("r"), user("bob"), 7, true)) ==
        R"({"ev":"delivered","room":"r","user":"bob","seq":7})");
  CHECK(payload(encode.read(room("r"), user("bob"), 7, false)) == R"({"ev":"read","room":"r","user":"bob","seq":7})");
  const auto ada = user_id::trusted("ada");
  CHECK(payload(encode.presence({{{room_id::trusted("r"), 2, {{ada, seen_as::away}}}}, {}})) ==
        R"({"ev":"presence","rooms":[{"room":"r","online_count":2,"users":[{"user":"ada","status":"away"}]}]})");
  CHECK(payload(encode.presence({{}, {{ada, seen_as::dnd, "no"}}})) ==
        R"({"ev":"presence","users":[{"user":"ada","status":"dnd","note":"no"}]})");
  CHECK(payload(encode.signal(ada, R"({"x":1})")) == R"({"ev":"signal","from":"ada","data":{"x":1}})");
  CHECK(payload(encode.expiring(123)) == R"({"ev":"expiring","expires_at":123})");
  CHECK(payload(encode.goaway(250, "the node drains")) ==
        R"({"ev":"goaway","reconnect_ms":250,"reason":"the node drains"})");
}

TEST_CASE("the frame header takes its shortest form at every length", "[codec]") {
  auto e = message();
  e.text.clear();
  const size_t bare = payload(encode.event(room("r"), e)).size() + std::string(R"(,"text":"")").size();
  for (size_t size : {125u, 126u, 127u, 65535u, 65536u, 70000u, 1000000u, 200u}) {
    e.text = std::string(size - bare, 'x');
    CHECK(payload(encode.event(room("r"), e)).size() == size);
  }
}

TEST_CASE("whatever is in a string parses back as it was", "[codec]") {
  const uint32_t seed = std::random_device{}();
  INFO("seed " << seed);
  std::mt19937 random(seed);
  auto code_point = [&]() -> uint32_t {
    switch (random() % 5) {
    case 0:
      return random() % 0x20;
    case 1:
      return "\"\\/\x7f<&"[random() % 6];
    case 2:
      return 0x20 + random() % 0x60;
    case 3:
      return 0x80 + random() % 0xd780; // below the surrogates
    default:
      return 0x10000 + random() % 0x100000;
    }
  };
  auto append_utf8 = [](std::string& out, uint32_t c) {
    auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
    if (c < 0x80) {
      put(c);
    } else if (c < 0x800) {
      put(0xc0 | c >> 6);
      put(0x80 | (c & 63));
    } else if (c < 0x10000) {
      put(0xe0 | c >> 12);
      put(0x80 | (c >> 6 & 63));
      put(0x80 | (c & 63));
    } else {
      put(0xf0 | c >> 18);
      put(0x80 | (c >> 12 & 63));
      put(0x80 | (c >> 6 & 63));
      put(0x80 | (c & 63));
    }
  };
  for (int round = 0; round < 5000; ++round) {
    auto e = message();
    e.text.clear();
    for (auto n = 1 + random() % 40; n > 0; --n)
      append_utf8(e.text, code_point());
    const auto json = payload(encode.event(room("r"), e));
    REQUIRE(json.find('\n') == std::string::npos);
    REQUIRE(nlohmann::json::parse(json).at("text").get<std::string>() == e.text);
    const auto error = payload(encode.answer(1, fail(errc::internal, e.text)));
    REQUIRE(nlohmann::json::parse(error).at("error").at("message").get<std::string>() == e.text);
  }
}

TEST_CASE("golden events that change a message, and messages as they stand", "[codec]") {
  storage::event e;
  e.kind = storage::event_kind::edited;
  e.seq = 60;
  e.ts = 2;
  e.from = user("bob");
  e.key = "e";
  e.target = 58;
  e.text = "ho";
  CHECK(payload(encode.event(room("r"), e)) ==
        R"({"ev":"edited","room":"r","seq":60,"ts":2,"from":"bob","key":"e","target":58,"text":"ho"})");
  e.revoked = true;
  e.text.clear();
  CHECK(payload(encode.event(room("r"), e)) ==
        R"({"ev":"edited","room":"r","seq":60,"ts":2,"from":"bob","key":"e","target":58,"revoked":true})");
  e.kind = storage::event_kind::reaction;
  e.revoked = false;
  e.text = "+1";
  CHECK(payload(encode.event(room("r"), e)) ==
        R"({"ev":"reaction","room":"r","seq":60,"ts":2,"from":"bob","key":"e","target":58,"emoji":"+1","on":false})");
  e.kind = storage::event_kind::revoked;
  e.text.clear();
  CHECK(payload(encode.event(room("r"), e)) ==
        R"({"ev":"revoked","room":"r","seq":60,"ts":2,"from":"bob","key":"e","target":58})");

  auto stands = [](storage::message_fold fold) {
    auto m = message();
    m.more.edit().data = "{}";
    return ok_of(ok::page{room("r"), "e", {m}, {std::move(fold)}, false, 1, 60});
  };
  const std::string head =
      R"({"re":3,"ok":{"events":[{"ev":"message","room":"r","seq":58,"ts":1764000001456,"from":"bob","key":"b-17")";
  const std::string tail = R"(}],"more":false,"epoch":"e","first":1,"as_of":60}})";
  CHECK(
      stands({58, 60, 2, "ho", false, {{"+1", 2, true}, {"x", 1, false}}}) ==
      head +
          R"(,"text":"ho","data":{},"edited":60,"edited_ts":2,"reactions":{"+1":{"count":2,"mine":true},"x":{"count":1}})" +
          tail);
  CHECK(stands({58, 0, 0, "", false, {{"\":{}}\\", 1, false}}}) ==
        head + R"(,"text":"hi","data":{},"reactions":{"\":{}}\\":{"count":1}})" + tail);
  CHECK(stands({58, 0, 0, "", true, {}}) == head + R"(,"revoked":true)" + tail);
  CHECK(stands({59, 60, 2, "another's", false, {}}) == head + R"(,"text":"hi","data":{})" + tail);
}

TEST_CASE("what was sent comes back in the event as it was", "[codec]") {
  auto decoded = net::decode(
      R"({"op":"send","id":1,"room":"r","key":"k","text":"a\u0000\"\\\u2028b","data":{"z":1.5,"n":{"m":[true,null,"\n"]},"big":18446744073709551615}})",
      limits{});
  auto& sent = std::get<op::send>(std::get<request>(decoded).what);
  auto e = message();
  e.text = sent.text;
  e.more.edit().data = sent.data;
  auto back = nlohmann::json::parse(payload(encode.event(room("r"), e)));
  CHECK(back.at("text").get<std::string>() == std::string("a\0\"\\\u2028b", 8));
  CHECK(back.at("data") == nlohmann::json::parse(R"({"z":1.5,"n":{"m":[true,null,"\n"]},"big":18446744073709551615})"));
}
