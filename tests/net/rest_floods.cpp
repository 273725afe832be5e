// REST's share of flood control: what comes too often from an address or in a user's name reaches nobody, and who goes
// on is shut out; who may come through all the same.
#include "rest_fixture.hpp"

#include <spdlog/spdlog.h>

using namespace greenroom;

namespace {

struct flood_fixture : rest_fixture {
  flood_fixture() { spdlog::set_level(spdlog::level::off); } // floods are no news here
  std::string token_of(const std::string& user) {
    return *tokens->issue({user_id::trusted(user), "s_" + user, 0, false, nullptr}, std::chrono::hours(1));
  }
  net::http_response get(const std::string& path, const std::string& address = "192.0.2.1",
                         const std::string& with_token = {}) {
    auto r = request("GET", path);
    r.from = from(address);
    if (!with_token.empty())
      r.headers["authorization"] = "Bearer " + with_token;
    return call(std::move(r));
  }
  net::http_response say(const std::string& who) {
    auto r = request("POST", "/api/v1/rooms/lobby/messages", R"({"text":"hi"})");
    r.headers["idempotency-key"] = "k-" + std::to_string(++keys);
    r.headers["authorization"] = "Bearer " + who;
    return call(std::move(r));
  }
  int64_t abuses(flood kind) const { return figures.abuses[static_cast<size_t>(kind)].get(); }

  int keys = 0;
};

} // namespace

TEST_CASE_METHOD(flood_fixture, "one address asks only so often, with a good token, a bad one or none", "[rest]") {
  bounds.calls_per_s_address = 1;
  bounds.calls_burst_address = 3;
  CHECK(get("/api/v1/rooms").status == 200);
  CHECK(get("/api/v1/rooms", "192.0.2.1", "nonsense").status == 401);
  CHECK(get("/api/v1/nothing").status == 404);
  auto r = get("/api/v1/rooms");
  check_error(r, 429, errc::rate_limited, "limits.calls_per_s_address: 1 REST requests per second per address");
  CHECK(header(r, "Retry-After") == "1");
  CHECK(header(r, "Cache-Control").empty()); // no operation was reached, says openapi.json
  CHECK(times_asked == 1);
  CHECK(get("/api/v1/rooms", "192.0.2.2").status == 200);
  // Probes and figures come often, and cost nothing.
  for (auto path : {"/livez", "/readyz", "/metrics"})
    CHECK(get(path).status == 200);
  bounds.calls_per_s_address = 0;
  CHECK(get("/api/v1/rooms").status == 200);
}

TEST_CASE_METHOD(flood_fixture, "an address that no limit holds for asks as often as it likes", "[rest]") {
  bounds.calls_per_s_address = bounds.calls_burst_address = 1;
  bounds.logins_per_minute_address = 1;
  for (int i = 0; i < 5; ++i) {
    auto r = request("POST", "/api/v1/auth", R"({"user":"alice","password":"p"})");
    r.from.network.reset();
    CHECK(call(std::move(r)).status != 429);
  }
}

TEST_CASE_METHOD(flood_fixture, "one user asks only so often, from wherever", "[rest]") {
  bounds.calls_per_s_user = 1;
  bounds.calls_burst_user = 2;
  CHECK(get("/api/v1/rooms", "192.0.2.1").status == 200);
  CHECK(get("/api/v1/rooms", "192.0.2.2").status == 200);
  auto r = get("/api/v1/rooms", "192.0.2.3");
  check_error(r, 429, errc::rate_limited, "limits.calls_per_s_user: 1 REST requests per second per user");
  CHECK(header(r, "Retry-After") == "1");
  CHECK(header(r, "Cache-Control") == "no-store");
  CHECK(get("/api/v1/rooms", "192.0.2.3", token_of("bob")).status == 200);
}

TEST_CASE_METHOD(flood_fixture, "sends and joins through REST count against the user's own limits", "[rest]") {
  bounds.sends_per_s = bounds.sends_burst = 1;
  bounds.sends_per_s_user = bounds.sends_burst_user = 2;
  bounds.joins_per_minute_user = 1;
  reply = ok::any{ok::sent{}};
  CHECK(say(token).status == 201);
  CHECK(say(token).status == 201);
  check_error(say(token), 429, errc::rate_limited, "limits.sends_per_s_user: 2 sends per second per user");
  CHECK(say(token_of("bob")).status == 201);
  auto topic = request("PUT", "/api/v1/rooms/lobby/topic", R"({"title":"x"})");
  check_error(call(std::move(topic)), 429, errc::rate_limited, "limits.sends_per_s_user");
  CHECK(get("/api/v1/rooms").status == 200);
  CHECK(call("POST", "/api/v1/rooms/lobby/members/me").status == 200);
  check_error(call("POST", "/api/v1/rooms", R"({"room":"den"})"), 429, errc::rate_limited,
              "limits.joins_per_minute_user: 1 joins per minute per user");
  // What can't be read costs nothing.
  CHECK(call("POST", "/api/v1/rooms", "{}").status == 400);
}

TEST_CASE_METHOD(flood_fixture, "a user who goes on is shut out of everything but the way out", "[rest]") {
  bounds.calls_per_s_user = bounds.calls_burst_user = 1;
  bounds.flood_refusals = 3;
  bounds.ban_s = 60;
  for (int i = 0; i < 5; ++i)
    get("/api/v1/rooms");
  CHECK(abuses(flood::calls) == 1);
  bounds.calls_per_s_user = 0;
  auto r = get("/api/v1/rooms");
  check_error(r, 429, errc::rate_limited, "limits.ban_s");
  CHECK(header(r, "Retry-After") == "60");
  const auto asked_so_far = times_asked;
  check_error(call("POST", "/api/v1/auth", R"({"user":"alice","password":"p"})"), 429, errc::rate_limited,
              "limits.ban_s");
  CHECK(times_asked == asked_so_far);
  CHECK(call("DELETE", "/api/v1/auth").status == 204);
  CHECK(get("/api/v1/rooms", "192.0.2.1", token_of("bob")).status == 200);
  CHECK(abuses(flood::calls) == 1); // to be shut out is no new offence
}

TEST_CASE_METHOD(flood_fixture,
                 "an address that goes on trying passwords is shut out, whoever of the two limits it runs into",
                 "[rest]") {
  bounds.flood_refusals = 3;
  const bool by_account = GENERATE(false, true);
  if (by_account) // the user actor says so
    reply = failure{errc::rate_limited, "limits.logins_per_minute: 10 logins per minute per user", 1500};
  else
    bounds.logins_per_minute_address = 1;
  for (int i = 0; i < 6; ++i)
    call("POST", "/api/v1/auth", R"({"user":"alice","password":"p"})");
  CHECK(abuses(flood::logins) == 1);
  check_error(get("/api/v1/rooms"), 429, errc::rate_limited, "limits.ban_s");
  CHECK(get("/livez").status == 200);
  CHECK(get("/api/v1/nothing", "192.0.2.9").status == 404);
}
