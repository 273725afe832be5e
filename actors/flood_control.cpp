#include "actors/flood_control.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <limits>
#include <string>

namespace greenroom {
namespace {

constexpr uint32_t second_ms = 1'000;
constexpr uint32_t minute_ms = 60'000;

rate sends_of_user(const limits& l) noexcept {
  if (l.sends_per_s_user == 0)
    return {};
  return {std::max(l.sends_per_s_user, l.sends_per_s), second_ms, std::max(l.sends_burst_user, l.sends_burst)};
}

rate per_minute(uint32_t count) noexcept { return {count, minute_ms, count}; }

std::optional<failure> unless(uint32_t wait_ms, std::string_view key, uint32_t count, std::string_view of_what) {
  if (wait_ms == 0)
    return std::nullopt;
  return too_often(key, count, of_what, wait_ms);
}

std::optional<failure> until(int64_t left_ms) {
  if (left_ms == 0)
    return std::nullopt;
  const auto wait = std::min<int64_t>(left_ms, std::numeric_limits<uint32_t>::max());
  return failure{errc::rate_limited, "limits.ban_s: refused too often, so shut out for a while",
                 static_cast<uint32_t>(wait)};
}

} // namespace

flood kind_of(const op::any& what) noexcept {
  return std::visit(overloaded{
                        [](const op::send&) { return flood::sends; },
                        [](const op::edit&) { return flood::sends; },
                        [](const op::revoke&) { return flood::sends; },
                        [](const op::react&) { return flood::sends; },
                        [](const op::moderate&) { return flood::sends; },
                        [](const op::cancel&) { return flood::sends; },
                        [](const op::upload&) { return flood::sends; },
                        [](const op::discard&) { return flood::sends; },
                        [](const op::topic&) { return flood::sends; },
                        [](const op::pin&) { return flood::sends; },
                        [](const op::configure& x) { return x.changes() ? flood::sends : flood::requests; },
                        [](const op::profile& x) { return x.changes() ? flood::sends : flood::requests; },
                        [](const op::presence& x) { return x.changes() ? flood::sends : flood::requests; },
                        [](const op::signal&) { return flood::sends; },
                        [](const op::block&) { return flood::sends; },
                        [](const op::join&) { return flood::joins; },
                        [](const op::create&) { return flood::joins; },
                        [](const auto&) { return flood::requests; },
                    },
                    what);
}

failure too_often(std::string_view key, uint32_t count, std::string_view of_what, uint32_t wait_ms) {
  std::string message(key);
  message.append(": ").append(std::to_string(count)).append(" ").append(of_what);
  return {errc::rate_limited, std::move(message), wait_ms};
}

// -- by user ---------------------------------------------------------------------------------------------------------

std::optional<failure> flood_control::send(uint32_t user_cell, const limits& l, int64_t now_ms) {
  const auto r = sends_of_user(l);
  return unless(users_.take(user_cell, sends, r, now_ms), "limits.sends_per_s_user", r.count,
                "sends per second per user");
}

std::optional<failure> flood_control::join(uint32_t user_cell, const limits& l, int64_t now_ms) {
  const auto count = l.joins_per_minute_user;
  return unless(users_.take(user_cell, joins, per_minute(count), now_ms), "limits.joins_per_minute_user", count,
                "joins per minute per user");
}

std::optional<failure> flood_control::call(uint32_t user_cell, const limits& l, int64_t now_ms) {
  const rate r{l.calls_per_s_user, second_ms, l.calls_burst_user};
  return unless(users_.take(user_cell, calls, r, now_ms), "limits.calls_per_s_user", r.count,
                "REST requests per second per user");
}

// -- by address ------------------------------------------------------------------------------------------------------

uint32_t flood_control::cell_of(network_id from) const noexcept {
  return networks_.cell_of({reinterpret_cast<const char*>(&from), sizeof from});
}

std::optional<failure> flood_control::connect(network_id from, const limits& l, int64_t now_ms) {
  const auto count = l.connects_per_minute_address;
  return unless(networks_.take(cell_of(from), connects, per_minute(count), now_ms),
                "limits.connects_per_minute_address", count, "connections per minute per address");
}

std::optional<failure> flood_control::log_in(network_id from, const limits& l, int64_t now_ms) {
  const auto count = l.logins_per_minute_address;
  return unless(networks_.take(cell_of(from), logins, per_minute(count), now_ms), "limits.logins_per_minute_address",
                count, "logins per minute per address");
}

std::optional<failure> flood_control::call(network_id from, const limits& l, int64_t now_ms) {
  const rate r{l.calls_per_s_address, second_ms, l.calls_burst_address};
  return unless(networks_.take(cell_of(from), calls, r, now_ms), "limits.calls_per_s_address", r.count,
                "REST requests per second per address");
}

// -- those who go on -------------------------------------------------------------------------------------------------

bool flood_control::refused(flood kind, const user_id& user, std::optional<network_id> from, const limits& l,
                            int64_t now_ms) {
  metrics_.refused(kind);
  if (user.empty() && !from)
    return false;
  auto& table = user.empty() ? networks_ : users_;
  const auto cell = user.empty() ? cell_of(*from) : cell_of(user);
  if (table.take(cell, refusals, {l.flood_refusals, l.flood_window_ms, l.flood_refusals}, now_ms) == 0)
    return false;
  // Where nobody is banned, the next line comes after as many refusals again: the log must not be flooded, too.
  table.fill(cell, refusals);
  abused(kind, user, from, l, now_ms);
  return true;
}

void flood_control::abused(flood kind, const user_id& user, std::optional<network_id> from, const limits& l,
                           int64_t now_ms) {
  metrics_.abused(kind);
  spdlog::warn("what=abuse kind={} user={} address={} refusals={} window_ms={} ban_s={}", to_string(kind), user.str(),
               from ? to_string(*from) : "", l.flood_refusals, l.flood_window_ms, l.ban_s);
  if (l.ban_s == 0)
    return;
  const auto until_ms = now_ms + int64_t{l.ban_s} * second_ms;
  if (!user.empty())
    banned_users_.add(user, until_ms, now_ms, l.bans);
  else if (from)
    banned_networks_.add(*from, until_ms, now_ms, l.bans);
}

std::optional<failure> flood_control::banned(const user_id& user, int64_t now_ms) {
  return until(banned_users_.left_ms(user, now_ms));
}

std::optional<failure> flood_control::banned(std::optional<network_id> from, int64_t now_ms) {
  return from ? until(banned_networks_.left_ms(*from, now_ms)) : std::nullopt;
}

} // namespace greenroom
