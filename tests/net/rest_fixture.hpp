// rest_fixture: REST over a node that only records what it is asked and answers what it is told.
#pragma once

#include "net/metrics.hpp"
#include "net/rest.hpp"

#include "jwt_forge.hpp"

#include <nlohmann/json.hpp>

#include <map>
#include <optional>

namespace greenroom {

struct rest_fixture {
  forge::directory files;
  settings config;
  limits bounds;
  metrics figures;
  flood_control floods{figures};
  lane home{0, [] {}};
  std::unique_ptr<net::jwt_tokens> tokens;
  net::json_encoder encode{[this] { return &bounds; }};
  std::unique_ptr<net::rest> api;
  std::string token;
  std::string admin_token;

  // What the node was asked last, and what it answers.
  std::optional<op::any> asked;
  std::optional<account::any> account_asked;
  identity asked_by;
  int times_asked = 0;
  answer reply = ok::any{ok::none{}};
  std::vector<std::function<void(answer)>> held; // answers that are due, when `hold`
  bool hold = false;
  bool is_ready = true;
  bool drains = false;

  rest_fixture() {
    config.node.data_dir = files.path.string();
    config.listen.allowed_origins = {"https://chat.example"};
    open();
  }

  void open() {
    auto opened = net::jwt_tokens::open(config);
    REQUIRE(opened.has_value());
    tokens = std::move(*opened);
    if (tokens->can_issue()) {
      token = *tokens->issue({user_id::trusted("alice"), "s_1", 0, false, nullptr}, std::chrono::hours(1));
      admin_token = *tokens->issue({user_id::trusted("root"), "s_2", 0, true, nullptr}, std::chrono::hours(1));
    }
    net::rest_hooks hooks;
    hooks.perform = [this](lane& on, const identity& who, op::any what, std::function<void(answer)> done) {
      CHECK(&on == &home);
      asked = std::move(what);
      note(who, std::move(done));
    };
    hooks.perform_account = [this](lane& on, const identity& who, account::any what, std::function<void(answer)> done) {
      CHECK(&on == &home);
      account_asked = std::move(what);
      note(who, std::move(done));
    };
    hooks.ready = [this] { return is_ready; };
    hooks.draining = [this] { return drains; };
    hooks.limits = [this] { return std::make_shared<const limits>(bounds); };
    hooks.floods = &floods;
    hooks.metrics_text = [this] {
      return net::render_metrics({figures, {{"rocksdb.estimate-num-keys", 42}}, nullptr, nullptr, nullptr});
    };
    api = std::make_unique<net::rest>(config, *tokens, encode, figures, std::move(hooks));
  }

  void note(const identity& who, std::function<void(answer)> done) {
    asked_by = who;
    ++times_asked;
    if (hold)
      held.push_back(std::move(done));
    else
      done(reply);
  }

  using headers = std::map<std::string, std::string, std::less<>>;
  using query = std::vector<std::pair<std::string, std::string>>;

  net::http_request request(std::string method, std::string path, std::string body = {}) {
    net::http_request r;
    r.method = std::move(method);
    r.path = std::move(path);
    r.body = std::move(body);
    r.from = from("192.0.2.1");
    if (!r.body.empty())
      r.headers["content-type"] = "application/json";
    r.headers["authorization"] = "Bearer " + token;
    return r;
  }

  static remote from(const std::string& address) { return {address, ip_address::parse(address)->network()}; }

  /// Fails unless the request is answered once, at once.
  net::http_response call(net::http_request r) {
    std::vector<net::http_response> answers;
    api->handle(home, std::move(r), [&](net::http_response x) { answers.push_back(std::move(x)); });
    REQUIRE(answers.size() == 1);
    return answers.front();
  }
  net::http_response call(std::string method, std::string path, std::string body = {}) {
    return call(request(std::move(method), std::move(path), std::move(body)));
  }

  template <class Op>
  const Op& last_op() {
    REQUIRE(asked);
    REQUIRE(std::holds_alternative<Op>(*asked));
    return std::get<Op>(*asked);
  }
  template <class Op>
  const Op& last_account() {
    REQUIRE(account_asked);
    REQUIRE(std::holds_alternative<Op>(*account_asked));
    return std::get<Op>(*account_asked);
  }
};

inline std::string header(const net::http_response& r, std::string_view name) {
  std::string found;
  for (auto& [key, value] : r.headers)
    if (key == name) {
      INFO("repeated header " << name);
      REQUIRE(found.empty());
      found = value;
    }
  return found;
}

/// Checks status, code and the beginning of the message.
inline void check_error(const net::http_response& r, unsigned status, errc code, const std::string& message) {
  INFO(r.body);
  CHECK(r.status == status);
  CHECK(r.content_type == "application/json");
  auto error = nlohmann::json::parse(r.body).at("error");
  CHECK(error.at("code").get<std::string>() == to_string(code));
  CHECK_THAT(error.at("message").get<std::string>(), Catch::StartsWith(message));
}

} // namespace greenroom
