#include "actors/hooks.hpp"

#include "storage/records.hpp"

#include <sodium.h>

#include <algorithm>
#include <array>

namespace greenroom::hooks {
namespace {

/// `*` is any characters, or none. Looks at each character of the text once for each star at most.
bool matches(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0;
  size_t star = std::string_view::npos, from = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      from = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) { // the last star takes one more
      p = star + 1;
      t = ++from;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*')
    ++p;
  return p == pattern.size();
}

std::string hex_of(const unsigned char* bytes, size_t size) {
  std::string out(2 * size + 1, '\0');
  sodium_bin2hex(out.data(), out.size(), bytes, size);
  out.pop_back();
  return out;
}

constexpr auto first_kind = static_cast<unsigned>(storage::event_kind::message);
constexpr auto last_kind = static_cast<unsigned>(storage::event_kind::room);

} // namespace

bool covers(const std::vector<std::string>& patterns, std::string_view room) {
  bool meant = false;
  for (const std::string_view p : patterns) {
    const bool excludes = p.starts_with('!');
    if ((excludes || !meant) && matches(excludes ? p.substr(1) : p, room)) {
      if (excludes)
        return false;
      meant = true;
    }
  }
  return meant;
}

uint32_t kinds_of(const std::vector<std::string>& words) {
  uint32_t kinds = 0;
  for (auto k = first_kind; k <= last_kind; ++k)
    if (words.empty() ||
        std::find(words.begin(), words.end(), to_string(static_cast<storage::event_kind>(k))) != words.end())
      kinds |= 1u << k;
  return kinds;
}

hook_set_ptr in_force::set() const {
  std::lock_guard guard{mutex_};
  return set_;
}

void in_force::use(hook_set_ptr set) {
  std::lock_guard guard{mutex_};
  set_ = std::move(set);
  version_.fetch_add(1, std::memory_order_release);
}

figures_ptr in_force::figures_of(const std::string& name) {
  std::lock_guard guard{mutex_};
  auto i = std::find_if(figures_.begin(), figures_.end(), [&](const auto& f) { return f.first == name; });
  if (i == figures_.end())
    i = figures_.insert(i, {name, std::make_shared<figures>()});
  return i->second;
}

std::vector<std::pair<std::string, figures_ptr>> in_force::all_figures() const {
  std::lock_guard guard{mutex_};
  return figures_;
}

std::string delivery_id(const read_piece& x) {
  const auto& p = x.what;
  std::string all;
  for (const auto& part :
       {p.hook, p.room.str(), p.epoch, std::to_string(p.turn), std::to_string(p.after), std::to_string(x.through)})
    all.append(part).push_back('\0');
  const auto hash = storage::hash_of(user_id{}, all);
  return hex_of(hash.data(), hash.size());
}

std::string sign(std::string_view secret, std::string_view timestamp, std::string_view body) {
  const auto bytes = [](std::string_view x) { return reinterpret_cast<const unsigned char*>(x.data()); };
  crypto_auth_hmacsha256_state state;
  crypto_auth_hmacsha256_init(&state, bytes(secret), secret.size());
  crypto_auth_hmacsha256_update(&state, bytes(timestamp), timestamp.size());
  crypto_auth_hmacsha256_update(&state, bytes("."), 1);
  crypto_auth_hmacsha256_update(&state, bytes(body), body.size());
  std::array<unsigned char, crypto_auth_hmacsha256_BYTES> mac{};
  crypto_auth_hmacsha256_final(&state, mac.data());
  return hex_of(mac.data(), mac.size());
}

std::vector<std::pair<std::string, std::string>> signed_headers(const std::vector<std::string>& secrets, int64_t now_ms,
                                                                std::string_view body) {
  const auto timestamp = std::to_string(now_ms / 1'000);
  std::string signatures;
  for (const auto& secret : secrets)
    signatures.append(signatures.empty() ? "" : ", ").append("v1=").append(sign(secret, timestamp, body));
  return {{"Greenroom-Timestamp", timestamp}, {"Greenroom-Signature", std::move(signatures)}};
}

} // namespace greenroom::hooks
