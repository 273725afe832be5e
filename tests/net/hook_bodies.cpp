// What webhooks and the pre-send hook are sent, and what their answers mean.
#include "net/hook_json.hpp"

#include <catch2/catch.hpp>

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace greenroom::net {
namespace {

using kind = hooks::verdict::kind;

storage::event message(uint64_t seq, std::string text) {
  storage::event e;
  e.kind = storage::event_kind::message;
  e.seq = seq;
  e.ts = 1000;
  e.from = user_id::trusted("bob");
  e.key = "k";
  e.text = std::move(text);
  return e;
}

hooks::verdict read(std::string_view body, unsigned status = 200, hooks::said what = hooks::said::message) {
  hooks::question q;
  q.what = what;
  q.text = "hi";
  limits bounds;
  bounds.text_bytes = 10;
  bounds.data_bytes = 20;
  return hook_json{}.read_verdict(status, body, q, bounds);
}

} // namespace

TEST_CASE("a delivery has its events as clients see them", "[hooks]") {
  hooks::read_piece piece;
  piece.what.hook = "audit";
  piece.what.room = room_id::trusted("lobby");
  piece.what.epoch = "e1";
  piece.what.after = 4;
  piece.what.first = 1;
  piece.through = 7;
  piece.events = {message(6, "a \"quoted\" one")};
  CHECK(hook_json{}.delivery({"id1", piece}) ==
        R"({"hook":"audit","delivery":"id1","room":"lobby","epoch":"e1","first":5,"last":7,"events":[)"
        R"({"ev":"message","room":"lobby","seq":6,"ts":1000,"from":"bob","key":"k","text":"a \"quoted\" one"}]})");
  piece.what.first = 6;
  CHECK(hook_json{}.delivery({"id1", piece}).find(R"("first":6,"last":7,"missed":{"first":5,"last":5},)") !=
        std::string::npos);
}

TEST_CASE("a delivery's id is that of its events", "[hooks]") {
  hooks::read_piece piece;
  piece.what.hook = "audit";
  piece.what.room = room_id::trusted("lobby");
  piece.through = 7;
  const auto id = hooks::delivery_id(piece);
  CHECK(id.size() == 32);
  CHECK(hooks::delivery_id(piece) == id);
  auto other = piece;
  other.through = 8;
  CHECK(hooks::delivery_id(other) != id);
  other = piece;
  other.what.turn = 1;
  CHECK(hooks::delivery_id(other) != id);
}

TEST_CASE("the signature is HMAC-SHA256 of time and body", "[hooks]") {
  // By Python: hmac.new(b"0123456789abcdef", b'1700000000.{"hook":"audit"}', "sha256").hexdigest()
  const auto headers =
      hooks::signed_headers({"0123456789abcdef", "0123456789abcdef"}, 1'700'000'000'999, R"({"hook":"audit"})");
  CHECK(headers[0] == std::pair<std::string, std::string>{"Greenroom-Timestamp", "1700000000"});
  CHECK(headers[1].second == "v1=7041214401087e66281e5c3a5cee0178c89f125f79a146a2235e026b2677a032, "
                             "v1=7041214401087e66281e5c3a5cee0178c89f125f79a146a2235e026b2677a032");
}

TEST_CASE("a question says what is to be sent", "[hooks]") {
  hooks::question q;
  q.room = room_id::trusted("lobby");
  q.from = user_id::trusted("bob");
  q.key = "k";
  q.text = "hi";
  q.data = R"({"n":1})";
  q.reply_to = 4;
  CHECK(
      hook_json{}.question(q) ==
      R"({"hook":"presend","op":"send","room":"lobby","from":"bob","key":"k","text":"hi","data":{"n":1},"reply_to":4})");
  q.data.clear();
  q.reply_to = 0;
  q.attachments = {{"id1", "cat.png", "image/png", 5, std::string(2, '\xab')}};
  CHECK(hook_json{}.question(q) ==
        R"({"hook":"presend","op":"send","room":"lobby","from":"bob","key":"k","text":"hi","attachments":[)"
        R"({"id":"id1","name":"cat.png","type":"image/png","size":5,"sha256":"abab"}]})");
  q = {};
  q.what = hooks::said::edit;
  q.room = room_id::trusted("lobby");
  q.from = user_id::trusted("bob");
  q.text = "hi";
  q.target = 9;
  q.scheduled = true;
  CHECK(hook_json{}.question(q) ==
        R"({"hook":"presend","op":"edit","room":"lobby","from":"bob","text":"hi","target":9,"scheduled":true})");
}

TEST_CASE("a replacement may leave nothing but attachments", "[hooks]") {
  hooks::question q;
  q.text = "hi";
  const limits bounds;
  const auto reads = [&] { return hook_json{}.read_verdict(200, R"({"action":"replace","text":""})", q, bounds).what; };
  CHECK(reads() == kind::failed);
  q.attachments = {{"id1", "cat.png", "image/png", 5, {}}};
  CHECK(reads() == kind::replace);
}

TEST_CASE("verdicts are read, and what is none is a failure", "[hooks]") {
  CHECK(read("", 204).what == kind::allow);
  CHECK(read(R"({"action":"allow"})").what == kind::allow);
  CHECK(read(R"({"action":"reject","message":"be\u0000\nkind"})").reason == "be  kind");
  CHECK(read(R"({"action":"reject"})").reason == "refused");
  CHECK(read(R"({"action":"reject","message":")" + std::string(300, 'x') + "\"}").reason.size() == 256);
  auto cut = read(R"({"action":"reject","message":")" + std::string(255, 'x') + "\u00e9\"}").reason;
  CHECK(cut.size() == 255); // never half a character
  const auto replaced = read(R"({"action":"replace","text":"ho","data":{"b":1,"a":2}})");
  CHECK(replaced.what == kind::replace);
  CHECK(replaced.text == "ho");
  CHECK(replaced.data == R"({"a":2,"b":1})");
  CHECK(read(R"({"action":"replace","text":""})").what == kind::failed);
  CHECK(read(R"({"action":"replace","text":"","data":{"a":1}})").what == kind::replace);
  CHECK(read(R"({"action":"replace","text":"longer than ten"})").what == kind::failed);
  CHECK(read(R"({"action":"replace","data":{"a":"longer than twenty bytes"}})").what == kind::failed);
  CHECK(read(R"({"action":"replace","data":[1]})").what == kind::failed);
  CHECK(read(R"({"action":"replace","data":{}})", 200, hooks::said::edit).what == kind::failed);
  CHECK(read(R"({"action":"perhaps"})").what == kind::failed);
  CHECK(read("[]").what == kind::failed);
  CHECK(read("nonsense").what == kind::failed);
  CHECK(read(R"({"action":"allow"})", 500).what == kind::failed);
}

TEST_CASE("secrets are one line or two", "[hooks]") {
  const auto path =
      (std::filesystem::temp_directory_path() / ("greenroom-secret-" + std::to_string(::getpid()))).string();
  const auto load = [&](const std::string& text) {
    std::ofstream(path) << text;
    settings config;
    settings::webhook_settings w;
    w.url = "http://localhost/";
    w.secret_file = path;
    config.webhooks.push_back({"audit", w});
    return load_hooks(config);
  };
  const std::string one = "0123456789abcdef", two = "abcdef0123456789";
  CHECK(load(one).value().webhooks[0]->secrets == std::vector{one});
  CHECK(load(one + "\r\n" + two + "\n").value().webhooks[0]->secrets == std::vector{one, two});
  for (const auto& bad :
       {std::string{}, std::string("short"), one + "\n" + two + "\n" + one, one + " x", std::string(300, 'x')})
    CHECK(load(bad).has_error());
  std::filesystem::remove(path);
  settings config;
  config.presend.url = "http://localhost/";
  config.presend.secret_file = path;
  const auto missing = load_hooks(config);
  REQUIRE(missing.has_error());
  CHECK(missing.error().message == "presend.secret_file: " + path + ": can't be read");
}

} // namespace greenroom::net
