#include "net/cli/answer_tables.hpp"
#include "net/cli/api_command.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

namespace greenroom::cli {
namespace {

using nlohmann::json;

constexpr int64_t now = 1'764'000'000'000;

const api_command& row(std::string_view group, std::string_view name) {
  for (const auto& r : api_commands())
    if (r.group == group && r.name == name)
      return r;
  FAIL("no command " << group << " " << name);
  return api_commands().front();
}

api_request built(std::string_view group, std::string_view name, const given_values& given) {
  auto request = build_request(row(group, name), given, now);
  REQUIRE(request.has_value());
  return *request;
}

std::string refused(std::string_view group, std::string_view name, const given_values& given) {
  auto request = build_request(row(group, name), given, now);
  REQUIRE(request.has_error());
  CHECK(request.error().code == errc::bad_request);
  return request.error().message;
}

} // namespace

TEST_CASE("every row can be typed and asked for", "[commands]") {
  std::set<std::string> names, routes;
  for (const auto& r : api_commands()) {
    CAPTURE(r.group, r.name);
    CHECK(names.insert(std::string(r.group) + " " + std::string(r.name)).second);
    CHECK(routes.insert(std::string(r.method) + " " + std::string(r.path)).second);
    CHECK_FALSE(about_group(r.group).empty());
    CHECK_FALSE(r.help.empty());
    std::string path(r.path);
    for (const auto& p : r.parameters) {
      CAPTURE(p.name);
      CHECK_FALSE(p.help.empty());
      const bool option = p.name.starts_with("--");
      CHECK((option || p.name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == std::string_view::npos));
      CHECK((p.where == place::path || p.where == place::key) == p.field.empty());
      if (p.where != place::path)
        continue;
      CHECK(p.required);
      const auto mark = "{" + std::string(p.name) + "}";
      REQUIRE(path.find(mark) != std::string::npos);
      path.erase(path.find(mark), mark.size());
    }
    CHECK(path.find('{') == std::string::npos);
    CHECK((r.paged == pages::none || !r.list.empty()));
  }
}

TEST_CASE("what is typed goes where the row says", "[commands]") {
  auto r = built("message", "send",
                 {{"ROOM", "team/general"},
                  {"TEXT", "hi \"you\""},
                  {"--reply-to", "7"},
                  {"--data", R"({"x":1})"},
                  {"--at", "+15m"},
                  {"--key", "k-1"}});
  CHECK(r.method == "POST");
  CHECK(r.path == "/api/v1/rooms/team%2Fgeneral/messages");
  CHECK(r.key == "k-1");
  CHECK(json::parse(r.body) ==
        json({{"text", "hi \"you\""}, {"reply_to", 7}, {"data", {{"x", 1}}}, {"at", now + 900'000}}));
  r = built("message", "react", {{"ROOM", "@a+b"}, {"SEQ", "3"}, {"EMOJI", "\xf0\x9f\x91\x8d"}});
  CHECK(r.path == "/api/v1/rooms/%40a%2Bb/messages/3/reactions/%F0%9F%91%8D");
  CHECK(r.body.empty());
  r = built("member", "kick", {{"ROOM", "r"}, {"USER", "bob"}, {"--reason", "too loud & more"}});
  CHECK(r.path == "/api/v1/rooms/r/members/bob?reason=too%20loud%20%26%20more");
  r = built("session", "list", {{"--everybody", ""}});
  CHECK(r.path == "/api/v1/sessions?all=true");
  CHECK(built("room", "typing", {{"ROOM", "r"}, {"ON", "off"}}).body == R"({"on":false})");
  CHECK(built("member", "invite", {{"ROOM", "r"}, {"USER", "bob"}}).body == "{}");
}

TEST_CASE("what can't be meant is refused by its name, before anybody is asked", "[commands]") {
  CHECK(refused("message", "pin", {{"ROOM", "r"}, {"SEQ", "seven"}}) == "SEQ: must be a number");
  CHECK(refused("message", "pin", {{"ROOM", "r"}, {"SEQ", "-7"}}) == "SEQ: must be a number");
  CHECK(refused("room", "show", {{"ROOM", ""}}) == "ROOM: must not be empty");
  CHECK(refused("message", "send", {{"ROOM", "r"}, {"TEXT", "x"}, {"--data", "[1]"}}) ==
        "--data: must be a JSON object");
  CHECK(refused("message", "send", {{"ROOM", "r"}, {"TEXT", "x"}, {"--at", "soon"}}).starts_with("--at: must be ms"));
  CHECK(refused("room", "typing", {{"ROOM", "r"}, {"ON", "perhaps"}}) == "ON: must be on or off");
}

TEST_CASE("times are typed in several ways", "[commands]") {
  for (auto [text, ms] : {std::pair<const char*, int64_t>{"1764000000123", 1'764'000'000'123},
                          {"+90s", now + 90'000},
                          {"+15m", now + 900'000},
                          {"+2h", now + 7'200'000},
                          {"+7d", now + 604'800'000},
                          {"2026-11-23", 1'795'392'000'000},
                          {"2026-11-23T10:00:00Z", 1'795'428'000'000}}) {
    CAPTURE(text);
    REQUIRE(parse_time(text, now).has_value());
    CHECK(*parse_time(text, now) == ms);
  }
  for (auto bad : {"", "+", "+5", "+m", "-5m", "+5y", "-1", "tomorrow", "2026-11-23T10:00", "2026-11-23T10:00:00Z!",
                   "99999999999999999999"}) {
    CAPTURE(bad);
    CHECK(parse_time(bad, now).has_error());
  }
}

TEST_CASE("what is passed on needs no key", "[commands]") {
  CHECK(wants_key(row("message", "send"), {}));
  CHECK_FALSE(wants_key(row("message", "send"), {{"--ephemeral", ""}}));
  CHECK_FALSE(wants_key(row("room", "create"), {}));
}

TEST_CASE("answers are tables for people", "[commands]") {
  CHECK(object_text({{"seq", 5}, {"topic", ""}, {"created", 1'764'000'000'000}}) ==
        "created  2025-11-24T16:00:00Z\nseq      5\ntopic    -\n");
  CHECK(object_text(json::object()) == "done\n");
  CHECK(entries_text({"user", "online"}, {{{"user", "ann"}, {"online", true}}, {{"user", "b"}}}) ==
        "user  online\nann   yes\nb     -\n");
  const auto event = json::parse(R"({"ev":"message","room":"r","seq":2,"from":"ann","text":"hi\u001b[2J"})");
  CHECK(entries_text({}, {event}) == "[r 2] ann: hi?[2J\n");
  CHECK(cell_of("last", event) == "[r 2] ann: hi?[2J");
}

} // namespace greenroom::cli
