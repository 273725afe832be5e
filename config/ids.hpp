// ids: the names of users and rooms, and the shard in which each of them lives.
#pragma once

#include "config/outcome.hpp"

#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

namespace greenroom {

/// Every store has this many shards from the day it is made; a cluster spreads them over its nodes.
inline constexpr unsigned shard_count = 128;
using shard_id = uint8_t;

/// The shard of a user or room id. Fixed for ever: stored keys begin with it. 64-bit FNV-1a (Fowler, Noll, Vo),
/// finished by the mixer of Appleby's MurmurHash3 (fmix64), modulo shard_count.
shard_id shard_of(std::string_view id) noexcept;

/// A user's name: `[a-z0-9][a-z0-9._-]{0,31}`.
class user_id {
public:
  user_id() = default;
  /// Fails with bad_request; the message names `field`.
  static outcome<user_id> parse(std::string_view text, std::string_view field = "user");
  /// REQUIRES: the text came out of a user_id before (the store, a token that was checked).
  static user_id trusted(std::string text) { return user_id{std::move(text)}; }

  const std::string& str() const noexcept { return text_; }
  bool empty() const noexcept { return text_.empty(); }
  shard_id shard() const noexcept { return shard_of(text_); }
  friend auto operator<=>(const user_id&, const user_id&) = default;

private:
  explicit user_id(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

/// A room's name: `[a-z0-9][a-z0-9._-]{0,63}`, with an optional `namespace/` before it (`[a-z0-9][a-z0-9._-]{0,31}`);
/// or `@alice+bob`, the direct room of two users, whose names stand in byte order. At most 97 bytes.
class room_id {
public:
  room_id() = default;
  /// Fails with bad_request; the message names `field`.
  static outcome<room_id> parse(std::string_view text, std::string_view field = "room");
  /// REQUIRES: the text came out of a room_id before.
  static room_id trusted(std::string text) { return room_id{std::move(text)}; }
  /// The direct room of two users. REQUIRES: a != b.
  static room_id direct(const user_id& a, const user_id& b);

  const std::string& str() const noexcept { return text_; }
  bool empty() const noexcept { return text_.empty(); }
  shard_id shard() const noexcept { return shard_of(text_); }
  /// What stands before the slash; empty: nothing does.
  std::string_view name_space() const noexcept {
    auto slash = text_.find('/');
    return slash == std::string::npos ? std::string_view{} : std::string_view(text_).substr(0, slash);
  }
  bool is_direct() const noexcept { return !text_.empty() && text_.front() == '@'; }
  /// The two users of a direct room. REQUIRES: is_direct().
  std::pair<user_id, user_id> peers() const;
  friend auto operator<=>(const room_id&, const room_id&) = default;

private:
  explicit room_id(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

} // namespace greenroom

template <>
struct std::hash<greenroom::user_id> {
  size_t operator()(const greenroom::user_id& x) const noexcept { return std::hash<std::string>{}(x.str()); }
};
template <>
struct std::hash<greenroom::room_id> {
  size_t operator()(const greenroom::room_id& x) const noexcept { return std::hash<std::string>{}(x.str()); }
};
