// REST: accounts, tokens and sessions.
#include "rest_fixture.hpp"

using namespace greenroom;

namespace {
ok::any grant(int64_t expires_at = 0, std::string refresh = "alice:s_7:secret") {
  return ok::grant{{user_id::trusted("alice"), "s_7", expires_at, false, nullptr}, std::move(refresh)};
}
} // namespace

TEST_CASE_METHOD(rest_fixture, "logging in answers a token that is good for the session", "[rest]") {
  reply = grant();
  auto r = call("POST", "/api/v1/auth", R"({"user":"alice","password":"pass word","device":"phone-1"})");
  CHECK(r.status == 200);
  CHECK(header(r, "Cache-Control") == "no-store");
  CHECK(last_account<account::log_in>().user.str() == "alice");
  CHECK(last_account<account::log_in>().password == "pass word");
  CHECK(last_account<account::log_in>().device == "phone-1");
  CHECK(asked_by.user.empty()); // whatever token came along means nothing here
  auto body = nlohmann::json::parse(r.body);
  CHECK(body.size() == 5);
  CHECK(body.at("expires_in") == 3600);
  CHECK(body.at("refresh_token") == "alice:s_7:secret");
  CHECK(body.at("session") == "s_7");
  CHECK(body.at("user") == "alice");
  auto who = tokens->verify(body.at("token").get<std::string>());
  REQUIRE(who.has_value());
  CHECK(who->session == "s_7");
  CHECK(who->user.str() == "alice");
}

TEST_CASE_METHOD(rest_fixture, "registering and guests are answered 201, refreshing 200", "[rest]") {
  reply = grant();
  CHECK(call("POST", "/api/v1/auth/register", R"({"user":"alice","password":"p"})").status == 201);
  CHECK(last_account<account::register_user>().user.str() == "alice");
  CHECK(call("POST", "/api/v1/auth/guest").status == 201);
  CHECK(last_account<account::guest>().device.empty());
  CHECK(call("POST", "/api/v1/auth/guest", R"({"device":"tv"})").status == 201);
  CHECK(last_account<account::guest>().device == "tv");
  reply = grant(0, "alice:s_7:y");
  auto r = call("POST", "/api/v1/auth/refresh", R"({"refresh_token":"alice:s_7:x"})");
  CHECK(r.status == 200);
  CHECK(last_account<account::refresh>().refresh_token == "alice:s_7:x");
  CHECK(nlohmann::json::parse(r.body).at("refresh_token") == "alice:s_7:y");
}

TEST_CASE_METHOD(rest_fixture, "a token does not outlive what the node allows", "[rest]") {
  using namespace std::chrono;
  const auto now = duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
  reply = grant(now + 60'000);
  auto body = nlohmann::json::parse(call("POST", "/api/v1/auth/guest").body);
  CHECK(body.at("expires_in").get<int>() <= 60);
  CHECK(body.at("expires_in").get<int>() >= 30);
}

TEST_CASE_METHOD(rest_fixture, "a login that can't be read is refused before the node is asked", "[rest]") {
  const std::string path = "/api/v1/auth";
  check_error(call("POST", path), 415, errc::unsupported, "content-type:");
  check_error(call("POST", path, "{"), 400, errc::bad_request, "body: not valid JSON");
  check_error(call("POST", path, "[]"), 400, errc::bad_request, "body: not a JSON object");
  check_error(call("POST", path, R"({"password":"p"})"), 400, errc::bad_request, "user: required");
  check_error(call("POST", path, R"({"user":"A","password":"p"})"), 400, errc::bad_request, "user:");
  check_error(call("POST", path, R"({"user":"a"})"), 400, errc::bad_request, "password: required");
  check_error(call("POST", path, R"({"user":"a","password":""})"), 400, errc::bad_request, "password:");
  check_error(call("POST", path, R"({"user":"a","password":7})"), 400, errc::bad_request, "password:");
  check_error(call("POST", path, R"({"user":"a","password":")" + std::string(1025, 'p') + "\"}"), 413, errc::too_large,
              "password: 1025 bytes");
  check_error(call("POST", path, R"({"user":"a","password":"p","device":"\n"})"), 400, errc::bad_request, "device:");
  check_error(call("POST", path + "/refresh", "{}"), 400, errc::bad_request, "refresh_token: required");
  check_error(call("POST", path + "/refresh", R"({"refresh_token":")" + std::string(4097, 'x') + "\"}"), 413,
              errc::too_large, "refresh_token:");
  CHECK(times_asked == 0);
  CHECK(figures.errors[static_cast<size_t>(errc::too_large)].get() == 2);
}

TEST_CASE_METHOD(rest_fixture, "what the node refuses is answered with its status", "[rest]") {
  reply = fail(errc::unauthenticated, "user or password is wrong");
  auto r = call("POST", "/api/v1/auth", R"({"user":"alice","password":"p"})");
  check_error(r, 401, errc::unauthenticated, "user or password");
  CHECK(header(r, "WWW-Authenticate") == "Bearer");
  reply = fail(errc::exists, "user: taken");
  check_error(call("POST", "/api/v1/auth/register", R"({"user":"alice","password":"p"})"), 409, errc::exists, "user:");
  reply = failure{errc::rate_limited, "limits.logins_per_minute: 10", 1500};
  r = call("POST", "/api/v1/auth", R"({"user":"alice","password":"p"})");
  check_error(r, 429, errc::rate_limited, "limits.logins_per_minute");
  CHECK(header(r, "Retry-After") == "2");
  reply = fail(errc::unavailable, "busy");
  CHECK(header(call("POST", "/api/v1/auth", R"({"user":"alice","password":"p"})"), "Retry-After") == "1");
}

TEST_CASE_METHOD(rest_fixture, "one address tries to sign in only so often", "[rest]") {
  bounds.logins_per_minute_address = 3;
  reply = grant();
  auto attempt = [this](std::string path, const std::string& address) {
    auto r = request("POST", "/api/v1/auth" + path, R"({"user":"alice","password":"p"})");
    r.from = from(address);
    return call(std::move(r));
  };
  CHECK(attempt("", "192.0.2.7").status == 200);
  CHECK(attempt("/register", "192.0.2.7").status == 201);
  CHECK(attempt("/guest", "192.0.2.7").status == 201);
  auto r = attempt("", "192.0.2.7");
  check_error(r, 429, errc::rate_limited, "limits.logins_per_minute_address: 3 logins per minute per address");
  const auto wait = std::stoi(header(r, "Retry-After"));
  CHECK((wait >= 1 && wait <= 20));
  CHECK(times_asked == 3);
  CHECK(attempt("", "192.0.2.8").status == 200);
  // Whoever is logged in already is not shut out.
  auto again = request("POST", "/api/v1/auth/refresh", R"({"refresh_token":"x"})");
  again.from = from("192.0.2.7");
  CHECK(call(std::move(again)).status == 200);
}

TEST_CASE_METHOD(rest_fixture, "settings close registration and the door for guests", "[rest]") {
  config.auth.registration = false;
  config.auth.guests = false;
  open();
  check_error(call("POST", "/api/v1/auth/register", R"({"user":"a","password":"p"})"), 403, errc::forbidden,
              "auth.registration");
  check_error(call("POST", "/api/v1/auth/guest"), 403, errc::forbidden, "auth.guests");
  CHECK(times_asked == 0);
}

TEST_CASE_METHOD(rest_fixture, "with an outside identity provider nobody signs in here", "[rest]") {
  config.auth.algorithm = token_algorithm::es256;
  config.auth.public_key_file = files.write("pem", forge::key_pair::ec("P-256").public_pem());
  open();
  for (auto path : {"", "/register", "/guest"})
    check_error(call("POST", std::string("/api/v1/auth") + path, R"({"user":"a","password":"p"})"), 501,
                errc::unsupported, "auth:");
  CHECK(times_asked == 0);
}

TEST_CASE_METHOD(rest_fixture, "sessions are listed and ended", "[rest]") {
  reply = ok::any{ok::sessions{{{user_id::trusted("alice"), "s_1", "phone", "n1", 5, 6}}}};
  auto r = call("GET", "/api/v1/sessions");
  CHECK(r.status == 200);
  CHECK(asked_by.user.str() == "alice");
  CHECK(asked_by.session == "s_1");
  CHECK_FALSE(last_account<account::list_sessions>().all);
  CHECK(nlohmann::json::parse(r.body).at("sessions").at(0).at("device") == "phone");

  auto all = request("GET", "/api/v1/sessions");
  all.query = {{"all", "true"}};
  check_error(call(all), 403, errc::forbidden, "all:");
  all.headers["authorization"] = "bearer " + admin_token;
  CHECK(call(all).status == 200);
  CHECK(last_account<account::list_sessions>().all);
  all.query = {{"all", "yes"}};
  check_error(call(all), 400, errc::bad_request, "all:");

  reply = ok::any{ok::none{}};
  r = call("DELETE", "/api/v1/sessions/s_9");
  CHECK(r.status == 204);
  CHECK(r.body.empty());
  CHECK(last_account<account::end_session>().session == "s_9");
  CHECK(call("DELETE", "/api/v1/auth").status == 204);
  CHECK(last_account<account::end_session>().session.empty());
  reply = fail(errc::not_found, "session: none");
  check_error(call("DELETE", "/api/v1/sessions/s_9"), 404, errc::not_found, "session");
}
