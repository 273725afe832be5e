#include "config/address.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>

namespace greenroom {
namespace {

constexpr ip_address::bytes_type v4_mapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0};
constexpr unsigned v4_prefix_bits = 96;
constexpr unsigned all_bits = 128;

/// The first `bits` of the address, the others zero.
ip_address::bytes_type beginning(const ip_address& a, unsigned bits) {
  auto bytes = a.bytes();
  for (size_t i = 0; i < bytes.size(); ++i) {
    const auto kept = std::min<size_t>(bits > i * 8 ? bits - i * 8 : 0, 8);
    bytes[i] = static_cast<uint8_t>(bytes[i] & (0xff00u >> kept));
  }
  return bytes;
}

} // namespace

std::string to_string(network_id network) {
  auto n = static_cast<uint64_t>(network);
  ip_address::bytes_type bytes{};
  if (n >> 32 == 0xffff) {
    bytes = v4_mapped;
    for (size_t i = 0; i < 4; ++i)
      bytes[12 + i] = static_cast<uint8_t>(n >> (24 - 8 * i));
    return ip_address{bytes}.str();
  }
  for (size_t i = 0; i < 8; ++i)
    bytes[i] = static_cast<uint8_t>(n >> (56 - 8 * i));
  return ip_address{bytes}.str() + "/64";
}

std::optional<ip_address> ip_address::parse(const std::string& text) {
  auto bytes = v4_mapped;
  if (inet_pton(AF_INET, text.c_str(), bytes.data() + 12) == 1 || inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1)
    return ip_address{bytes};
  return std::nullopt;
}

bool ip_address::is_v4() const noexcept { return std::equal(bytes_.begin(), bytes_.begin() + 12, v4_mapped.begin()); }

network_id ip_address::network() const noexcept {
  const size_t begin = is_v4() ? 8 : 0;
  uint64_t n = 0;
  for (size_t i = 0; i < 8; ++i)
    n = n << 8 | bytes_[begin + i];
  return network_id{n};
}

std::string ip_address::str() const {
  char text[INET6_ADDRSTRLEN] = "";
  if (is_v4())
    inet_ntop(AF_INET, bytes_.data() + 12, text, sizeof text);
  else
    inet_ntop(AF_INET6, bytes_.data(), text, sizeof text);
  return text;
}

std::optional<ip_range> ip_range::parse(const std::string& text) {
  const auto slash = text.find('/');
  const auto written = text.substr(0, slash);
  const auto first = ip_address::parse(written);
  if (!first)
    return std::nullopt;
  // ::ffff:192.0.2.0/120 is written as IPv6, and so is its prefix.
  const unsigned width = written.find(':') == std::string::npos ? all_bits - v4_prefix_bits : all_bits;
  unsigned bits = width;
  if (slash != std::string::npos) {
    const auto* begin = text.data() + slash + 1;
    const auto* end = text.data() + text.size();
    if (std::from_chars(begin, end, bits) != std::from_chars_result{end, std::errc{}} || bits > width)
      return std::nullopt;
  }
  bits += all_bits - width;
  if (beginning(*first, bits) != first->bytes())
    return std::nullopt;
  return ip_range{*first, bits};
}

bool ip_range::contains(const ip_address& a) const noexcept {
  return beginning(a, bits_) == first_.bytes() && (bits_ >= v4_prefix_bits || !a.is_v4());
}

ip_list::ip_list(const std::vector<std::string>& ranges) {
  for (const auto& text : ranges)
    if (auto range = ip_range::parse(text))
      ranges_.push_back(*range);
}

bool ip_list::contains(const ip_address& a) const noexcept {
  return std::any_of(ranges_.begin(), ranges_.end(), [&](const ip_range& r) { return r.contains(a); });
}

} // namespace greenroom
