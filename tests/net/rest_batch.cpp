// Many operations in one request, and the routes that came with them.
#include "rest_fixture.hpp"

#include <catch2/catch.hpp>

namespace greenroom {
namespace {

using nlohmann::json;

std::string batch_of(std::initializer_list<const char*> operations, const char* more = "") {
  std::string all;
  for (const auto* one : operations)
    all += std::string(all.empty() ? "" : ",") + one;
  return R"({"operations":[)" + all + "]" + more + "}";
}

json answers_in(const net::http_response& r) {
  INFO(r.body);
  REQUIRE(r.status == 200);
  return json::parse(r.body).at("answers");
}

constexpr auto send_it = R"({"op":"send","room":"r","key":"k","text":"x"})";
constexpr auto rooms = R"({"op":"rooms"})";

} // namespace

TEST_CASE_METHOD(rest_fixture, "each operation of a batch begins when the one before it is answered", "[rest]") {
  hold = true;
  std::vector<net::http_response> got;
  api->handle(home, request("POST", "/api/v1/batch", batch_of({send_it, R"({"op":"history","room":"r","id":9})"})),
              [&](net::http_response x) { got.push_back(std::move(x)); });
  REQUIRE(held.size() == 1);
  CHECK(last_op<op::send>().key == "k");
  held[0](ok::any{ok::sent{room_id::trusted("r"), "e", 7, 8, false, 1, 1}});
  REQUIRE(held.size() == 2);
  CHECK(last_op<op::history>().room.str() == "r");
  CHECK(got.empty());
  held[1](ok::any{ok::page{room_id::trusted("r"), "e", {}, {}, false, 1, 7}});
  REQUIRE(got.size() == 1);
  const auto answers = answers_in(got[0]);
  REQUIRE(answers.size() == 2);
  CHECK(answers[0].at("ok").at("seq") == 7);
  CHECK_FALSE(answers[0].contains("re"));
  CHECK(answers[1].at("re") == 9);
  CHECK(answers[1].at("ok").at("as_of") == 7);
}

TEST_CASE_METHOD(rest_fixture, "a refusal in a batch is an answer like any other, or the end of it", "[rest]") {
  const auto bad = {R"({"op":"rooms"})",        R"({"op":"dance"})",           R"({"room":"r"})",  "7",
                    R"({"op":"rooms","id":0})", R"({"op":"join","room":"R"})", R"({"op":"rooms"})"};
  auto answers = answers_in(call("POST", "/api/v1/batch", batch_of(bad)));
  REQUIRE(answers.size() == 7);
  const char* codes[] = {nullptr, "unsupported", "bad_request", "bad_request", "bad_request", "bad_request", nullptr};
  for (size_t i = 0; i < 7; ++i) {
    INFO(i << " " << answers[i]);
    CHECK(answers[i].contains("ok") == (codes[i] == nullptr));
    if (codes[i] != nullptr)
      CHECK(answers[i].at("error").at("code") == codes[i]);
  }
  CHECK(times_asked == 2);
  answers = answers_in(call("POST", "/api/v1/batch", batch_of(bad, R"(,"on_error":"stop")")));
  CHECK(answers.size() == 2);
  CHECK(times_asked == 3);
  reply = fail(errc::conflict, "key: used before");
  answers = answers_in(call("POST", "/api/v1/batch", batch_of({send_it, rooms}, R"(,"on_error":"stop")")));
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].at("error").at("message") == "key: used before");
  CHECK(times_asked == 4);
}

TEST_CASE_METHOD(rest_fixture, "a batch that is none is refused as a whole", "[rest]") {
  for (auto body : {"{}", R"({"operations":{}})", R"({"operations":[]})", R"({"operations":[{}],"on_error":7})",
                    R"({"operations":[{}],"on_error":"perhaps"})"})
    CHECK(call("POST", "/api/v1/batch", body).status == 400);
  bounds.batch_operations = 1;
  check_error(call("POST", "/api/v1/batch", batch_of({rooms, rooms})), 413, errc::too_large,
              "operations: 2, at most 1");
  CHECK(times_asked == 0);
  CHECK(answers_in(call("POST", "/api/v1/batch", batch_of({rooms}))).size() == 1);
}

TEST_CASE_METHOD(rest_fixture, "what stands behind too long answers is not begun", "[rest]") {
  bounds.batch_bytes = 100;
  reply = ok::any{ok::profile{user_id::trusted("alice"), {std::string(200, 'x'), {}, {}, 0}}};
  const auto answers = answers_in(call("POST", "/api/v1/batch", batch_of({rooms, rooms, rooms})));
  REQUIRE(answers.size() == 3);
  CHECK(answers[0].contains("ok"));
  for (int i : {1, 2})
    CHECK(answers[static_cast<size_t>(i)].at("error").at("code") == "too_large");
  CHECK(times_asked == 1);
}

TEST_CASE_METHOD(rest_fixture, "a batch is held to the limits of its user, operation by operation", "[rest]") {
  SECTION("sends") {
    bounds.sends_per_s_user = bounds.sends_burst_user = bounds.sends_per_s = bounds.sends_burst = 1;
    const auto answers = answers_in(call("POST", "/api/v1/batch", batch_of({send_it, send_it, rooms})));
    CHECK(answers[0].contains("ok"));
    CHECK(answers[1].at("error").at("code") == "rate_limited");
    CHECK(answers[1].at("error").at("retry_after_ms") > 0);
    CHECK(answers[2].contains("ok"));
  }
  SECTION("requests: many in one are many") {
    bounds.calls_per_s_user = bounds.calls_burst_user = 2;
    const auto answers = answers_in(call("POST", "/api/v1/batch", batch_of({rooms, rooms, rooms})));
    CHECK(answers[1].contains("ok"));
    CHECK(answers[2].at("error").at("code") == "rate_limited");
  }
}

TEST_CASE_METHOD(rest_fixture, "a thousand operations that are answered at once take no stack", "[rest]") {
  bounds.batch_operations = 1'000;
  bounds.calls_per_s_user = bounds.calls_burst_user = 100'000;
  std::string all = rooms;
  for (int i = 1; i < 1'000; ++i)
    all.append(",").append(rooms);
  CHECK(answers_in(call("POST", "/api/v1/batch", R"({"operations":[)" + all + "]}")).size() == 1'000);
}

// -- routes of one operation -----------------------------------------------------------------------------------------
TEST_CASE_METHOD(rest_fixture, "pins, bans and mutes are listed page by page", "[rest]") {
  auto pins = request("GET", "/api/v1/rooms/r/pins");
  pins.query = {{"after", "7"}, {"limit", "3"}};
  CHECK(call(pins).status == 200);
  CHECK(last_op<op::pins>().after == 7);
  CHECK(last_op<op::pins>().limit == 3);
  CHECK(call("GET", "/api/v1/rooms/r/mutes").status == 200);
  CHECK(last_op<op::members>().muted);
  CHECK_FALSE(last_op<op::members>().banned);
  CHECK(call("GET", "/api/v1/rooms/r/bans").status == 200);
  CHECK(last_op<op::members>().banned);
  auto kept = request("GET", "/api/v1/rooms/r/scheduled");
  kept.query = {{"after", "5.k"}, {"limit", "2"}};
  CHECK(call(kept).status == 200);
  CHECK(last_op<op::scheduled>().after == "5.k");
  CHECK(last_op<op::scheduled>().limit == 2);
  auto sessions = request("GET", "/api/v1/sessions");
  sessions.query = {{"after", "5,alice,n1,s"}, {"limit", "201"}};
  check_error(call(sessions), 413, errc::too_large, "limit:");
  sessions.query[1].second = "200";
  CHECK(call(sessions).status == 200);
  CHECK(last_account<account::list_sessions>().after == "5,alice,n1,s");
}

TEST_CASE_METHOD(rest_fixture, "one event is the page that holds it", "[rest]") {
  storage::event e;
  e.seq = 7;
  reply = ok::any{ok::page{room_id::trusted("r"), "e", {e}, {}, true, 1, 9}};
  const auto r = call("GET", "/api/v1/rooms/r/messages/7");
  CHECK(r.status == 200);
  CHECK(json::parse(r.body).at("more") == false);
  CHECK(last_op<op::history>().seq == 6);
  CHECK(last_op<op::history>().limit == 1);
  check_error(call("GET", "/api/v1/rooms/r/messages/8"), 404, errc::not_found, "target:");
  times_asked = 0;
  for (auto bad : {"0", "-1", "x", "9007199254740992"})
    check_error(call("GET", std::string("/api/v1/rooms/r/messages/") + bad), 400, errc::bad_request, "target:");
  check_error(call("GET", "/api/v1/rooms/R/messages/1"), 400, errc::bad_request, "room:");
  CHECK(times_asked == 0);
}

TEST_CASE_METHOD(rest_fixture, "how far somebody is, that they type, and what is said to one", "[rest]") {
  CHECK(call("PUT", "/api/v1/rooms/r/read", R"({"seq":5,"thread":2,"private":true})").status == 200);
  CHECK(last_op<op::read>().thread == 2);
  CHECK(last_op<op::read>().quiet);
  CHECK(call("PUT", "/api/v1/rooms/r/delivered", R"({"seq":5})").status == 200);
  CHECK(last_op<op::read>().arrived);
  CHECK(call("PUT", "/api/v1/rooms/r/typing", R"({"on":true})").status == 200);
  CHECK(last_op<op::typing>().on);
  auto send = request("POST", "/api/v1/users/bob/messages", R"({"text":"psst"})");
  check_error(call(send), 400, errc::bad_request, "idempotency-key");
  send.headers["idempotency-key"] = "k";
  CHECK(call(send).status == 201);
  CHECK(last_op<op::send>().to->str() == "bob");
  CHECK(call("POST", "/api/v1/users/bob/messages", R"({"text":"psst","ephemeral":true})").status == 200);
}

TEST_CASE_METHOD(rest_fixture, "a room is deleted by DELETE only", "[rest]") {
  for (auto body : {R"({"delete":true})", R"({"delete":false,"title":"x"})"})
    check_error(call("PATCH", "/api/v1/rooms/r", body), 400, errc::bad_request, "delete:");
  CHECK(times_asked == 0);
  CHECK(call("PATCH", "/api/v1/rooms/r", R"({"delete":null,"title":"x"})").status == 200);
  CHECK(call("DELETE", "/api/v1/rooms/r").status == 200);
  CHECK(last_op<op::configure>().remove);
}

} // namespace greenroom
