#include "config/ids.hpp"

#include <algorithm>

namespace greenroom {
namespace {

constexpr size_t user_length_max = 32;
constexpr size_t room_length_max = 64;
constexpr size_t namespace_length_max = 32;

bool is_first(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_later(char c) noexcept { return is_first(c) || c == '.' || c == '_' || c == '-'; }

bool is_name(std::string_view text, size_t length_max) noexcept {
  return !text.empty() && text.size() <= length_max && is_first(text.front()) &&
         std::all_of(text.begin(), text.end(), is_later);
}

bool is_direct_name(std::string_view text) noexcept {
  auto plus = text.find('+');
  if (plus == std::string_view::npos)
    return false;
  auto a = text.substr(1, plus - 1);
  auto b = text.substr(plus + 1);
  return is_name(a, user_length_max) && is_name(b, user_length_max) && a < b;
}

} // namespace

shard_id shard_of(std::string_view id) noexcept {
  uint64_t h = 0xcbf29ce484222325ULL;
  for (unsigned char c : id)
    h = (h ^ c) * 0x100000001b3ULL;
  h ^= h >> 33;
  h *= 0xff51afd7ed558ccdULL;
  h ^= h >> 33;
  h *= 0xc4ceb9fe1a85ec53ULL;
  h ^= h >> 33;
  return static_cast<shard_id>(h % shard_count);
}

outcome<user_id> user_id::parse(std::string_view text, std::string_view field) {
  if (!is_name(text, user_length_max))
    return fail(errc::bad_request, std::string(field) + ": a user id is [a-z0-9][a-z0-9._-]{0,31}");
  return user_id{std::string(text)};
}

outcome<room_id> room_id::parse(std::string_view text, std::string_view field) {
  bool good = false;
  if (!text.empty() && text.front() == '@') {
    good = is_direct_name(text);
  } else if (auto slash = text.find('/'); slash != std::string_view::npos) {
    good = is_name(text.substr(0, slash), namespace_length_max) && is_name(text.substr(slash + 1), room_length_max);
  } else {
    good = is_name(text, room_length_max);
  }
  if (!good)
    return fail(errc::bad_request, std::string(field) + ": a room id is [a-z0-9][a-z0-9._-]{0,63}, namespace/room, "
                                                        "or @alice+bob with the names in byte order");
  return room_id{std::string(text)};
}

room_id room_id::direct(const user_id& a, const user_id& b) {
  const auto& [first, second] = std::minmax(a, b);
  return room_id{"@" + first.str() + "+" + second.str()};
}

std::pair<user_id, user_id> room_id::peers() const {
  auto plus = text_.find('+');
  return {user_id::trusted(text_.substr(1, plus - 1)), user_id::trusted(text_.substr(plus + 1))};
}

} // namespace greenroom
