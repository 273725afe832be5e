// fixture: plays the server and the person against one conversation.
#pragma once

#include "net/cli/conversation.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace greenroom::cli {

using nlohmann::json;
using strings = std::vector<std::string>;

/// Plays the server and the person, and keeps what came out.
class fixture {
protected:
  explicit fixture(std::string room = "general") : talk(std::move(room), false, outside()) {}

  conversation::outside outside() {
    return {
        .send = [this](std::string frame) { sent.push_back(json::parse(frame)); },
        .show = [this](const std::string& line) { shown.push_back(line); },
        .notice = [this](const std::string& line) { noticed.push_back(line); },
        .retry_after = [this](uint32_t ms) { retry_ms = ms; },
        .mark_read_soon = [this] { marks++; },
        .reconnect = [this] { reconnects++; },
        .leave_after = [this](uint32_t ms) { leave_ms = ms; },
        .say_goodbye = [this] { goodbyes++; },
        .renew_token = [this] { renewals++; },
        .new_key = [this] { return "k" + std::to_string(++keys); },
    };
  }

  /// The next frame that went out; null if there is none.
  json next() {
    if (taken == sent.size())
      return {};
    return sent[taken++];
  }
  void receive(const json& frame) { talk.received(frame.dump()); }
  void answer(const json& request, const json& ok) { receive({{"re", request.at("id")}, {"ok", ok}}); }
  void refuse(const json& request, const std::string& code, bool retryable = false, unsigned retry_after_ms = 0) {
    receive(
        {{"re", request.at("id")},
         {"error", {{"code", code}, {"message", "no"}, {"retryable", retryable}, {"retry_after_ms", retry_after_ms}}}});
  }
  /// At the end the server is told what was read.
  void told_at_the_end(uint64_t seq) {
    auto read = next();
    REQUIRE(read["op"] == "read");
    CHECK(read["seq"] == seq);
    CHECK_FALSE(talk.finished());
    answer(read, {{"seq", seq}});
  }
  void say(const std::string& room, uint64_t seq, const std::string& from, const std::string& text) {
    receive({{"ev", "message"}, {"room", room}, {"seq", seq}, {"ts", 1}, {"from", from}, {"text", text}});
  }

  static json hello_ok(const json& rooms = json::array(), const json& resumed = json::object()) {
    return {{"user", "alice"}, {"rooms", rooms}, {"resumed", resumed}};
  }
  static json room_at(uint64_t seq, const std::string& epoch = "e1") {
    return {{"room", "general"}, {"epoch", epoch}, {"seq", seq}, {"subscribed", true}};
  }
  static json sent_ok(uint64_t seq) { return {{"room", "general"}, {"epoch", "e1"}, {"seq", seq}, {"ts", 1}}; }

  /// Signs in to a room that is at `seq`, and answers the history that is asked for.
  void settle_in(uint64_t seq = 0) {
    talk.connected("t");
    answer(next(), hello_ok(json::array({room_at(seq)})));
    auto history = next();
    REQUIRE(history["op"] == "history");
    answer(history, {{"events", json::array()}});
  }
  /// A new connection after the old one broke.
  void come_back(const json& resumed) {
    talk.disconnected();
    talk.connected("t");
    answer(next(), hello_ok(json::array({room_at(99)}), resumed));
  }

  std::vector<json> sent;
  size_t taken = 0;
  strings shown;
  strings noticed;
  uint32_t retry_ms = 0;
  int marks = 0;
  int reconnects = 0;
  std::optional<uint32_t> leave_ms;
  int goodbyes = 0;
  int renewals = 0;
  int keys = 0;
  conversation talk;
};

inline const json recovered = {{"general", {{"recovered", true}, {"epoch", "e1"}, {"seq", 99}}}};

} // namespace greenroom::cli
