// address: IP addresses and ranges of them, as limits, bans and lists see them.
//
// IPv4 is kept as IPv6 (::ffff:a.b.c.d, RFC 4291 section 2.5.5.2), so that a client counts as the same one whichever of
// our sockets it has come to.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace greenroom {

/// What one customer commonly owns, and what limits and bans therefore count by: an IPv4 address, or the first 64 bits
/// of an IPv6 address.
enum class network_id : uint64_t {};
/// 192.0.2.1, or 2001:db8:1:2::/64.
std::string to_string(network_id network);

class ip_address {
public:
  using bytes_type = std::array<uint8_t, 16>;
  explicit ip_address(const bytes_type& bytes) noexcept : bytes_(bytes) {}
  static std::optional<ip_address> parse(const std::string& text);

  const bytes_type& bytes() const noexcept { return bytes_; }
  bool is_v4() const noexcept;
  network_id network() const noexcept;
  std::string str() const;

private:
  bytes_type bytes_;
};

/// Addresses with the same beginning (RFC 4632 section 3.1).
class ip_range {
public:
  /// `192.0.2.0/24`, `2001:db8::/32`, or an address, which is a range of one. nullopt: it is none, or bits are set
  /// behind the prefix: somebody meant another range, and which one can't be known.
  static std::optional<ip_range> parse(const std::string& text);
  /// A range of IPv6, even `::/0`, holds no address of IPv4.
  bool contains(const ip_address& a) const noexcept;

private:
  ip_range(const ip_address& first, unsigned bits) noexcept : first_(first), bits_(bits) {}
  ip_address first_;
  unsigned bits_; // that an address must share with the first
};

class ip_list {
public:
  ip_list() = default;
  /// REQUIRES: every entry is a range; the configuration has seen to it.
  explicit ip_list(const std::vector<std::string>& ranges);
  bool contains(const ip_address& a) const noexcept;

private:
  std::vector<ip_range> ranges_;
};

/// Who is at the other end of a connection.
struct remote {
  std::string address;               // for the eye, without the port
  std::optional<network_id> network; // nullopt: of limits.allow_addresses, so no limit by address holds, and no ban
};

} // namespace greenroom
