// message history: what was said in a room, from any place in it, over as many pages as wanted, and what is said from
// then on. Following asks again and again behind the last event: so nothing is missed or shown twice, whatever becomes
// of the connection or the node meanwhile.
#include "net/cli/cli.hpp"
#include "net/cli/listing.hpp"
#include "net/cli/show.hpp"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <optional>
#include <thread>

namespace greenroom::cli {
namespace {

using nlohmann::json;

constexpr uint64_t page_max = 200; // limits.history_page, as it is by default
constexpr int64_t backoff_max_ms = 10'000;

struct history_flags {
  std::shared_ptr<client_flags> client;
  std::string room;
  std::optional<uint64_t> before, after, around;
  std::string at;
  uint64_t limit = 0;
  bool all = false;
  bool follow = false;
  double interval_s = 1;
};

/// One walk through the log of a room.
class walk {
public:
  walk(node_client& node, const history_flags& flags, std::string path)
      : node_(node), flags_(flags), path_(std::move(path)) {}

  int run(std::optional<int64_t> at) {
    const bool backwards = !flags_.after && !at && !flags_.around && !(flags_.all && !flags_.before);
    const int done = flags_.around ? page("around", *flags_.around)
                     : backwards   ? older(flags_.before)
                                   : newer(flags_.after.value_or(0), at);
    return done != exit_done || !flags_.follow ? done : follow();
  }

private:
  bool limited() const noexcept { return flags_.limit != 0; }

  /// Reads one page. False: it was refused, and that has been said.
  bool read(std::string_view place, std::optional<uint64_t> where, uint64_t count) {
    auto path = path_;
    if (where)
      path = with_query(std::move(path), place, std::to_string(*where));
    if (count != 0)
      path = with_query(std::move(path), "limit", std::to_string(std::min(count, page_max)));
    return take(ask_patiently(node_, path));
  }
  bool take(const http_reply& reply) {
    if (!reply.good()) {
      code_ = tell_failure(reply, flags_.client->json);
      return false;
    }
    const auto answer = json::parse(reply.body, nullptr, false);
    const auto list = answer.is_object() ? answer.value("events", json()) : json();
    if (!list.is_array()) {
      code_ = tell_failure(fail(errc::unavailable, "an answer without events"), flags_.client->json);
      return false;
    }
    events_.assign(list.begin(), list.end());
    more_ = answer.value("more", json()) == true;
    as_of_ = number_of(answer, "as_of");
    return true;
  }

  void print(const std::vector<json>& events) {
    print_entries({}, events, flags_.client->json);
    if (!events.empty())
      last_ = number_of(events.back(), "seq");
  }

  int page(std::string_view place, uint64_t where) {
    if (!read(place, where, flags_.limit))
      return code_;
    last_ = as_of_;
    print(events_);
    return exit_done;
  }

  /// From `before`, or the end, towards the beginning; shown in the order of the log.
  int older(std::optional<uint64_t> before) {
    std::vector<json> found;
    bool more = true;
    for (uint64_t left = flags_.limit; more && (found.empty() || flags_.all || left > 0);) {
      if (!read("before", before, left))
        return code_;
      if (found.empty() && !flags_.before)
        last_ = as_of_;
      more = more_ && !events_.empty();
      left -= std::min<uint64_t>(left, events_.size());
      before = events_.empty() ? before : number_of(events_.front(), "seq");
      found.insert(found.begin(), events_.begin(), events_.end());
      if (!limited() && !flags_.all)
        break;
    }
    print(found);
    if (more && before)
      hint("before", *before);
    return exit_done;
  }

  int newer(uint64_t after, std::optional<int64_t> at) {
    last_ = after;
    for (uint64_t left = flags_.limit; true;) {
      const bool by_time = at && last_ == 0;
      if (!read(by_time ? "at" : "after", by_time ? static_cast<uint64_t>(*at) : last_, left))
        return code_;
      if (events_.empty() && by_time)
        last_ = as_of_;
      print(events_);
      left -= std::min<uint64_t>(left, events_.size());
      // To follow means to come to the end first.
      const bool on = flags_.all || left > 0 || (flags_.follow && !limited());
      if (!more_ || events_.empty() || !on)
        break;
    }
    if (more_ && !flags_.follow)
      hint("after", last_);
    return exit_done;
  }

  void hint(std::string_view place, uint64_t where) const {
    if (flags_.client->json)
      std::cerr << json{{std::string(place), where}}.dump() << "\n";
    else
      std::cerr << "there is more: --all, or --" << place << " " << where << "\n";
  }

  int follow() {
    const auto pause = static_cast<int64_t>(flags_.interval_s * 1000);
    auto wait = pause;
    while (std::cout) {
      std::this_thread::sleep_for(std::chrono::milliseconds(wait));
      const auto reply = node_.ask("GET", with_query(path_, "after", std::to_string(last_)));
      if (!reply.good() && (reply.status == 0 || reply.status == 429 || reply.status == 503) && !reply.own) {
        if (wait == pause)
          tell_failure(reply, flags_.client->json);
        wait = std::max<int64_t>(std::min(backoff_max_ms, wait * 2), failure_of(reply).retry_after_ms);
        continue;
      }
      if (!take(reply))
        return code_;
      wait = more_ ? 0 : pause;
      print(events_);
    }
    return exit_refused; // nobody reads any more
  }

  node_client& node_;
  const history_flags& flags_;
  const std::string path_;
  std::vector<json> events_; // of the page that was read last
  bool more_ = false;
  uint64_t as_of_ = 0;
  uint64_t last_ = 0; // what has been shown up to
  int code_ = exit_done;
};

int show(const history_flags& flags, const config::sources& from) {
  const bool as_json = flags.client->json;
  std::optional<int64_t> at;
  if (!flags.at.empty()) {
    auto ms = parse_time(flags.at, now_ms());
    if (!ms)
      return tell_failure(fail(errc::bad_request, "--at: " + ms.error().message), as_json);
    at = *ms;
  }
  return with_node(*flags.client, from, [&](node_client& node) {
    return walk(node, flags, "/api/v1/rooms/" + escaped(flags.room) + "/events").run(at);
  });
}

} // namespace

void add_history_command(CLI::App& message, context& shared) {
  auto* command = message.add_subcommand("history", "what was said in a room (default: its last page)");
  auto flags = std::make_shared<history_flags>();
  command->add_option("ROOM", flags->room, "the room's id")->required();
  auto* before = command->add_option("--before", flags->before, "what stands before this event");
  auto* after = command->add_option("--after", flags->after, "what stands behind this event");
  auto* around = command->add_option("--around", flags->around, "one page around this event");
  auto* at = command->add_option("--at", flags->at, "what was said from this time on (2026-11-23T10:00:00Z, ms)");
  for (auto* one : {before, after, around, at})
    for (auto* other : {before, after, around, at})
      if (one != other)
        one->excludes(other);
  auto* limit = command->add_option("--limit", flags->limit, "at most so many, of as many pages as it takes");
  command->add_flag("--all", flags->all, "to the end of the log (with --before: to its beginning)")
      ->excludes(limit)
      ->excludes(around);
  command->add_flag("--follow", flags->follow, "then go on with what is said from now on, until interrupted")
      ->excludes(before)
      ->excludes(around);
  command->add_option("--interval", flags->interval_s, "seconds between two looks while following")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
  flags->client = add_client_flags(*command);
  command->callback([&shared, flags] { shared.run = [&shared, flags] { return show(*flags, shared.from); }; });
}

} // namespace greenroom::cli
