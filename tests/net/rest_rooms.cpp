// REST: rooms, messages, and everything that all routes have in common.
#include "rest_fixture.hpp"

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <sstream>

using namespace greenroom;

TEST_CASE_METHOD(rest_fixture, "a message is sent once, under its idempotency key", "[rest]") {
  ok::sent sent{room_id::trusted("general"), "e", 8, 9, false, 1, 1};
  reply = ok::any{sent};
  auto send = request("POST", "/api/v1/rooms/general/messages", R"({"text":"hi","data":{"a":1},"reply_to":3})");
  send.headers["idempotency-key"] = "k-1";
  auto r = call(send);
  CHECK(r.status == 201);
  CHECK(r.body == R"({"room":"general","epoch":"e","seq":8,"ts":9,"stored":{"replicas":1,"synced":1}})");
  auto& op = last_op<op::send>();
  CHECK(op.room->str() == "general");
  CHECK(op.key == "k-1");
  CHECK(op.text == "hi");
  CHECK(op.data == R"({"a":1})");
  CHECK(op.reply_to == 3);
  CHECK(asked_by.user.str() == "alice");

  sent.duplicate = true;
  reply = ok::any{sent};
  r = call(send);
  CHECK(r.status == 200);
  CHECK(nlohmann::json::parse(r.body).at("duplicate") == true);

  times_asked = 0;
  check_error(call("POST", "/api/v1/rooms/general/messages", R"({"text":"hi","key":"k"})"), 400, errc::bad_request,
              "idempotency-key:");
  auto wrong = [&](std::string body, unsigned status, errc code, const std::string& message) {
    auto x = send;
    x.body = std::move(body);
    check_error(call(x), status, code, message);
  };
  wrong(R"({"text":""})", 400, errc::bad_request, "text:");
  wrong(R"({"text":"x","to":"bob"})", 400, errc::bad_request, "room: exactly one");
  wrong(R"({"text":"x","attachments":["a"]})", 400, errc::bad_request, "attachments:");
  wrong(R"({"text":")" + std::string(16385, 'x') + "\"}", 413, errc::too_large, "text:");
  wrong("", 400, errc::bad_request, "body: not valid JSON");
  send.headers["idempotency-key"] = std::string(65, 'k');
  check_error(call(send), 413, errc::too_large, "key:");
  CHECK(times_asked == 0);
}

TEST_CASE_METHOD(rest_fixture, "room ids in a path are percent-encoded", "[rest]") {
  auto room_of = [this](std::string segment) {
    CHECK(call("DELETE", "/api/v1/rooms/" + segment + "/members/me").status == 200);
    return last_op<op::leave>().room.str();
  };
  CHECK(room_of("ns%2Froom") == "ns/room");
  CHECK(room_of("ns%2froom") == "ns/room");
  CHECK(room_of("%40alice%2Bbob") == "@alice+bob");
  CHECK(room_of("@alice+bob") == "@alice+bob");
  times_asked = 0;
  for (auto segment : {"%", "%4", "%zz", "a%2"})
    check_error(call("DELETE", std::string("/api/v1/rooms/") + segment + "/members/me"), 400, errc::bad_request,
                "path: a broken percent escape");
  for (auto segment : {"Room", "a%00b", "..", "a%2F%2Fb"})
    check_error(call("DELETE", std::string("/api/v1/rooms/") + segment + "/members/me"), 400, errc::bad_request,
                "room:");
  check_error(call("DELETE", "/api/v1/rooms/ns/room/members/me"), 404, errc::not_found, "path:");
  check_error(call("DELETE", "/api/v1/rooms//members/me"), 404, errc::not_found, "path:");
  CHECK(times_asked == 0);
}

TEST_CASE_METHOD(rest_fixture, "rooms are created, joined and listed", "[rest]") {
  CHECK(call("POST", "/api/v1/rooms", R"({"room":"r","kind":"private","title":"T"})").status == 201);
  CHECK(last_op<op::create>().title == "T");
  check_error(call("POST", "/api/v1/rooms", R"({"kind":"private"})"), 400, errc::bad_request, "room: required");
  CHECK(call("POST", "/api/v1/rooms/r/members/me").status == 200);
  CHECK(last_op<op::join>().room.str() == "r");

  auto members = request("GET", "/api/v1/rooms/r/members");
  members.query = {{"after", "bob"}, {"limit", "7"}, {"unknown", "x"}};
  CHECK(call(members).status == 200);
  CHECK(last_op<op::members>().after == "bob");
  CHECK(last_op<op::members>().limit == 7);

  auto rooms = request("GET", "/api/v1/rooms");
  CHECK(call(rooms).status == 200);
  CHECK(last_op<op::rooms>().limit == 50);
  rooms.query = {{"after", "ns/r"}, {"limit", "3"}};
  CHECK(call(rooms).status == 200);
  CHECK(last_op<op::rooms>().after == "ns/r");
  CHECK(last_op<op::rooms>().limit == 3);
}

TEST_CASE_METHOD(rest_fixture, "history is read by query and by body alike", "[rest]") {
  reply = ok::any{ok::page{room_id::trusted("r"), "e", {}, {}, false, 1, 0}};
  auto get = request("GET", "/api/v1/rooms/r/events");
  auto r = call(get);
  CHECK(r.status == 200);
  CHECK(r.body == R"({"events":[],"more":false,"epoch":"e","first":1,"as_of":0})");
  CHECK(last_op<op::history>().seq == UINT64_MAX);
  get.query = {{"after", "41"}, {"limit", "200"}};
  CHECK(call(get).status == 200);
  CHECK(last_op<op::history>().where == op::history::from::after);
  CHECK(last_op<op::history>().seq == 41);
  CHECK(last_op<op::history>().limit == 200);
  get.query = {{"at", "1764000000000"}};
  CHECK(call(get).status == 200);
  CHECK(last_op<op::history>().ts == 1764000000000);

  CHECK(call("POST", "/api/v1/chat", R"({"room":"r","around":9})").status == 200);
  CHECK(last_op<op::history>().where == op::history::from::around);

  times_asked = 0;
  auto wrong = [&](query q, unsigned status, errc code, const std::string& message) {
    get.query = std::move(q);
    check_error(call(get), status, code, message);
  };
  wrong({{"limit", "201"}}, 413, errc::too_large, "limit:");
  wrong({{"limit", ""}}, 400, errc::bad_request, "limit: must be an integer");
  wrong({{"before", "-1"}}, 400, errc::bad_request, "before:");
  wrong({{"before", "1e3"}}, 400, errc::bad_request, "before:");
  wrong({{"before", "99999999999999999999"}}, 400, errc::bad_request, "before:");
  wrong({{"before", "1"}, {"after", "1"}}, 400, errc::bad_request, "after: only one");
  wrong({{"before", "1"}, {"before", "2"}}, 400, errc::bad_request, "before: given more than once");
  check_error(call("POST", "/api/v1/chat", R"({"before":1})"), 400, errc::bad_request, "room: required");
  CHECK(times_asked == 0);
}

TEST_CASE_METHOD(rest_fixture, "what changes a message, a member or a room is read from path, query and body",
                 "[rest]") {
  reply = ok::any{ok::sent{room_id::trusted("r"), "e", 9, 5, false, 1, 1}};
  auto change = [&](const char* method, const char* path, std::string body = {}) {
    auto r = request(method, path, std::move(body));
    r.headers["idempotency-key"] = "k";
    return call(r);
  };
  CHECK(change("PATCH", "/api/v1/rooms/r/messages/7", R"({"text":"x","base":3})").status == 200);
  CHECK(last_op<op::edit>().target == 7);
  CHECK(last_op<op::edit>().key == "k");
  CHECK(last_op<op::edit>().base == uint64_t{3});
  CHECK(change("DELETE", "/api/v1/rooms/r/messages/7").status == 200);
  CHECK(last_op<op::revoke>().target == 7);
  CHECK(change("PUT", "/api/v1/rooms/r/messages/7/reactions/%F0%9F%91%8D").status == 200);
  CHECK(last_op<op::react>().emoji == "\xf0\x9f\x91\x8d");
  CHECK(last_op<op::react>().on);
  CHECK(change("DELETE", "/api/v1/rooms/r/messages/7/reactions/x").status == 200);
  CHECK_FALSE(last_op<op::react>().on);

  reply = ok::any{ok::changed{9}};
  CHECK(call("PUT", "/api/v1/rooms/r/members/bob").body == R"({"seq":9})");
  CHECK(last_op<op::moderate>().what == op::moderate::act::invite);
  CHECK(last_op<op::moderate>().user.str() == "bob");
  CHECK(call("PATCH", "/api/v1/rooms/r/members/bob", R"({"role":"owner"})").status == 200);
  CHECK(last_op<op::moderate>().role == storage::member_role::owner);
  auto kick = request("DELETE", "/api/v1/rooms/r/members/bob");
  kick.query = {{"reason", "spam"}};
  CHECK(call(kick).status == 200);
  CHECK(last_op<op::moderate>().what == op::moderate::act::kick);
  CHECK(last_op<op::moderate>().reason == "spam");
  CHECK(call("PUT", "/api/v1/rooms/r/bans/bob", R"({"until":5})").status == 200);
  CHECK(last_op<op::moderate>().until == 5);
  CHECK(call("DELETE", "/api/v1/rooms/r/mutes/bob").status == 200);
  CHECK(last_op<op::moderate>().what == op::moderate::act::unmute);
  CHECK(call("PUT", "/api/v1/rooms/r/pins/8").status == 200);
  CHECK(last_op<op::pin>().target == 8);

  times_asked = 0;
  check_error(call("PATCH", "/api/v1/rooms/r/messages/7", R"({"text":"x"})"), 400, errc::bad_request,
              "idempotency-key");
  check_error(change("DELETE", "/api/v1/rooms/r/messages/seven"), 400, errc::bad_request, "target:");
  // What a socket would refuse as bad UTF-8 must not come in by another door: it would go to everybody's socket.
  check_error(change("PUT", "/api/v1/rooms/r/messages/7/reactions/%FF"), 400, errc::bad_request, "path: must be UTF-8");
  check_error(change("PUT", "/api/v1/rooms/r/messages/7/reactions/%ED%A0%80"), 400, errc::bad_request, "path:");
  check_error(change("PUT", "/api/v1/rooms/r/messages/7/reactions/%C0%AF"), 400, errc::bad_request, "path:");
  kick.query = {{"reason", "\xff"}};
  check_error(call(kick), 400, errc::bad_request, "reason: must be UTF-8");
  CHECK(times_asked == 0);
}

TEST_CASE_METHOD(rest_fixture, "without a good token nothing behind one is reached", "[rest]") {
  for (auto [method, path] : std::vector<std::pair<std::string, std::string>>{{"DELETE", "/api/v1/auth"},
                                                                              {"GET", "/api/v1/sessions"},
                                                                              {"DELETE", "/api/v1/sessions/x"},
                                                                              {"POST", "/api/v1/chat"},
                                                                              {"GET", "/api/v1/rooms"},
                                                                              {"POST", "/api/v1/rooms"},
                                                                              {"GET", "/api/v1/rooms/r/events"},
                                                                              {"POST", "/api/v1/rooms/r/messages"},
                                                                              {"GET", "/api/v1/rooms/r/members"},
                                                                              {"POST", "/api/v1/rooms/r/members/me"},
                                                                              {"DELETE", "/api/v1/rooms/r/members/me"}})
    for (std::string authorization : {std::string{}, std::string("Bearer "), std::string("Bearer x.y.z"),
                                      "Basic " + token, token, "Bearer " + token + ", Bearer " + token}) {
      INFO(method << " " << path << " " << authorization);
      auto r = request(method, path, R"({"room":"r","text":"x"})");
      r.headers["authorization"] = authorization;
      auto refused = call(r);
      CHECK(refused.status == 401);
      CHECK(header(refused, "WWW-Authenticate") == "Bearer");
    }
  CHECK(times_asked == 0);
}

TEST_CASE_METHOD(rest_fixture, "unknown paths, methods and content types say what would do", "[rest]") {
  for (auto path : {"/nothing", "/api/v1", "/api/v1/", "/api/v1/auth/", "/api/v2/auth", "/livez/", "", "*"})
    check_error(call("GET", path), 404, errc::not_found, "path:");
  auto r = call("PUT", "/api/v1/auth");
  check_error(r, 405, errc::bad_request, "method:");
  CHECK(header(r, "Allow") == "POST, DELETE");
  CHECK(header(call("POST", "/livez"), "Allow") == "GET, HEAD");

  auto post = request("POST", "/api/v1/chat", R"({"room":"r"})");
  for (auto type : {"", "text/plain", "application/jsonx", "application/x-www-form-urlencoded", ";"}) {
    post.headers["content-type"] = type;
    check_error(call(post), 415, errc::unsupported, "content-type:");
  }
  for (auto type : {"application/json", "Application/JSON", "application/json; charset=utf-8", "application/json ;x"}) {
    post.headers["content-type"] = type;
    CHECK(call(post).status == 200);
  }
  bounds.body_bytes = 5;
  post.headers["content-type"] = "application/json";
  check_error(call(post), 413, errc::too_large, "body:");
  bounds.body_bytes = 1000;
  post.body = R"({"room":)" + std::string(100, '[');
  check_error(call(post), 413, errc::too_large, "body: nested deeper than 16");
}

TEST_CASE_METHOD(rest_fixture, "an answer may come later, and comes once", "[rest]") {
  hold = true;
  int answers = 0;
  unsigned status = 0;
  api->handle(home, request("GET", "/api/v1/rooms"), [&](net::http_response r) {
    ++answers;
    status = r.status;
  });
  CHECK(answers == 0);
  REQUIRE(held.size() == 1);
  held[0](fail(errc::unavailable, "limits.request_ms"));
  CHECK(answers == 1);
  CHECK(status == 503);
  held[0](ok::any{ok::none{}});
  CHECK(answers == 1);
  CHECK(figures.errors[static_cast<size_t>(errc::unavailable)].get() == 0); // the node's to count
}

TEST_CASE_METHOD(rest_fixture, "health, figures and the front page need no token", "[rest]") {
  auto get = [this](std::string path) {
    auto r = request("GET", std::move(path));
    r.headers.clear();
    return call(std::move(r));
  };
  CHECK(get("/livez").status == 200);
  CHECK(get("/readyz").status == 200);
  is_ready = false;
  CHECK(get("/livez").status == 200);
  CHECK(get("/readyz").status == 503);
  CHECK(header(get("/readyz"), "Retry-After") == "1");
  CHECK(get("/readyz").body == "not ready\n");
  drains = true;
  CHECK(get("/readyz").status == 503);
  CHECK_THAT(get("/readyz").body, Catch::StartsWith("draining"));
  CHECK_THAT(get("/").body, Catch::Contains("Greenroom") && Catch::Contains("/ws"));
  auto page = get("/metrics");
  CHECK(page.status == 200);
  CHECK(page.content_type == "text/plain; version=0.0.4; charset=utf-8");
  CHECK_THAT(page.body, Catch::Contains("greenroom_store_estimate_num_keys 42"));
}

TEST_CASE_METHOD(rest_fixture, "pages of allowed origins may read answers", "[rest]") {
  auto from = [this](std::string origin, std::string method = "GET") {
    auto r = request(std::move(method), "/api/v1/rooms");
    r.headers["origin"] = std::move(origin);
    r.headers["access-control-request-method"] = "POST";
    return call(std::move(r));
  };
  auto r = from("https://chat.example");
  CHECK(header(r, "Access-Control-Allow-Origin") == "https://chat.example");
  CHECK(header(r, "Vary") == "Origin");
  r = from("https://evil.example");
  CHECK(header(r, "Access-Control-Allow-Origin").empty());
  CHECK(header(r, "Vary") == "Origin");

  r = from("https://chat.example", "OPTIONS");
  CHECK(r.status == 204);
  CHECK(header(r, "Access-Control-Allow-Origin") == "https://chat.example");
  CHECK(header(r, "Access-Control-Allow-Methods") == "GET, HEAD, POST, OPTIONS");
  CHECK_THAT(header(r, "Access-Control-Allow-Headers"), Catch::Contains("Idempotency-Key"));
  CHECK(call("OPTIONS", "/nothing").status == 404);
  CHECK(call("OPTIONS", "*").status == 204);

  // A refusal can be read, too.
  auto refused = request("GET", "/api/v1/rooms");
  refused.headers["origin"] = "https://chat.example";
  refused.headers["authorization"] = "";
  CHECK(header(call(refused), "Access-Control-Allow-Origin") == "https://chat.example");

  config.listen.allowed_origins = {"*"};
  open();
  CHECK(header(from("https://any.example"), "Access-Control-Allow-Origin") == "*");
  config.listen.allowed_origins = {};
  open();
  CHECK(header(from("https://chat.example"), "Access-Control-Allow-Origin").empty());
}

TEST_CASE_METHOD(rest_fixture, "the log line holds path, status and trace id, and no secrets", "[rest]") {
  std::ostringstream lines;
  auto logger = std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(lines));
  logger->set_level(spdlog::level::debug);
  logger->set_pattern("%v");
  auto before = spdlog::default_logger();
  spdlog::set_default_logger(logger);
  auto r = request("POST", "/api/v1/rooms/r/messages", R"({"text":"whispered"})");
  r.headers["idempotency-key"] = "k";
  r.query = {{"q", "asked"}};
  r.headers["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  call(r);
  for (auto wrong : {"00-00000000000000000000000000000000-b7ad6b7169203331-01",
                     "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", "what=forged", "00-\n"}) {
    r.headers["traceparent"] = wrong;
    call(r);
  }
  call("GET", "/x\n\"what=forged\"");
  spdlog::set_default_logger(before);
  const auto text = lines.str();
  INFO(text);
  CHECK_THAT(text, Catch::StartsWith("what=http method=POST path=/api/v1/rooms/r/messages status=201 us="));
  CHECK_THAT(text, Catch::Contains(" user=alice trace=0af7651916cd43dd8448eb211c80319c\n"));
  CHECK(std::count(text.begin(), text.end(), '\n') == 6);
  for (auto secret : {"whispered", "asked", "forged\"", "0AF7", "00000000000000000000000000000000"})
    CHECK_THAT(text, !Catch::Contains(secret));
  CHECK_THAT(text, !Catch::Contains(token));
}
