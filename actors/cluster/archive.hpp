// archive: values to bytes and back, for letters between nodes of one version. One function describes a struct for both
// ways: `carry(a, x)` calls `a(x.first, x.second, ...)`. Integers are LEB128 varints, signed ones in zigzag as in
// Protocol Buffers; texts, lists and the like have their length before them.
//
// What is read comes from a node that has shown its certificate, but a mistake there must not become one here: a reader
// that meets anything odd fails, and all that it gives from then on is empty.
#pragma once

#include "config/ids.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace greenroom::cluster {

/// Never fails; what is too long for a letter (link_options::letter_bytes_max) is found when it is posted.
class writer {
public:
  static constexpr bool reads = false;
  template <class... Ts>
  void operator()(const Ts&... xs) {
    (put(xs), ...);
  }
  std::string take() { return std::move(bytes_); }

private:
  void number(uint64_t x) {
    for (; x >= 0x80; x >>= 7)
      bytes_.push_back(static_cast<char>(x | 0x80));
    bytes_.push_back(static_cast<char>(x));
  }
  template <class T>
  requires std::is_integral_v<T> || std::is_enum_v<T>
  void put(const T& x) {
    if constexpr (std::is_signed_v<T>)
      number((static_cast<uint64_t>(x) << 1) ^ static_cast<uint64_t>(x < 0 ? -1 : 0)); // zigzag
    else
      number(static_cast<uint64_t>(x));
  }
  void put(const std::string& x) {
    number(x.size());
    bytes_ += x;
  }
  void put(const user_id& x) { put(x.str()); }
  void put(const room_id& x) { put(x.str()); }
  void put(const failure& x) { (*this)(x.code, x.message, x.retry_after_ms); }
  template <class T>
  void put(const std::optional<T>& x) {
    put(x.has_value());
    if (x)
      put(*x);
  }
  template <class T>
  void put(const std::shared_ptr<const T>& x) {
    put(x != nullptr);
    if (x)
      put(*x);
  }
  template <class T>
  void put(const std::vector<T>& x) {
    number(x.size());
    for (const auto& e : x)
      put(e);
  }
  template <class A, class B>
  void put(const std::pair<A, B>& x) {
    (*this)(x.first, x.second);
  }
  template <class T>
  void put(const outcome<T>& x) {
    put(x.has_value());
    if (x)
      put(*x);
    else
      put(x.error());
  }
  template <class... Ts>
  void put(const std::variant<Ts...>& x) {
    number(x.index());
    std::visit([this](const auto& alternative) { put(alternative); }, x);
  }
  template <class T>
  requires std::is_class_v<T>
  void put(const T& x) { carry(*this, const_cast<T&>(x)); }

  std::string bytes_;
};

/// Memory for a list is had only if there are as many bytes as elements: an element's size times the letter's bytes, at
/// worst.
class reader {
public:
  static constexpr bool reads = true;
  explicit reader(std::string_view bytes) : rest_(bytes) {}
  template <class... Ts>
  void operator()(Ts&... xs) {
    (get(xs), ...);
  }
  /// Everything was there, and nothing more.
  bool done() const noexcept { return ok_ && rest_.empty(); }

private:
  void fail() noexcept {
    ok_ = false;
    rest_ = {};
  }
  uint64_t number() {
    uint64_t x = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      auto b = static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      x |= uint64_t{b & 0x7fu} << shift;
      if (b < 0x80)
        return x;
    }
    fail();
    return 0;
  }
  template <class T>
  requires std::is_integral_v<T> || std::is_enum_v<T>
  void get(T& x) {
    auto n = number();
    if constexpr (std::is_signed_v<T>)
      x = static_cast<T>((n >> 1) ^ (~(n & 1) + 1));
    else
      x = static_cast<T>(n);
  }
  void get(std::string& x) {
    auto n = number();
    if (n > rest_.size()) {
      fail();
      return;
    }
    x.assign(rest_.substr(0, n));
    rest_.remove_prefix(n);
  }
  void get(user_id& x) { get_id(x); }
  void get(room_id& x) { get_id(x); }
  template <class Id>
  void get_id(Id& x) {
    std::string text;
    get(text);
    if (text.empty())
      x = Id{};
    else if (auto id = Id::parse(text))
      x = *id;
    else
      fail();
  }
  void get(failure& x) { (*this)(x.code, x.message, x.retry_after_ms); }
  template <class T>
  void get(std::optional<T>& x) {
    bool there = false;
    get(there);
    x.reset();
    if (there)
      get(x.emplace());
  }
  template <class T>
  void get(std::shared_ptr<const T>& x) {
    bool there = false;
    get(there);
    x.reset();
    if (!there)
      return;
    auto made = std::make_shared<T>();
    get(*made);
    x = std::move(made);
  }
  template <class T>
  void get(std::vector<T>& x) {
    auto n = number();
    if (n > rest_.size()) { // each element takes a byte at least
      fail();
      return;
    }
    x.clear();
    x.reserve(n);
    for (; n > 0 && ok_; --n)
      get(x.emplace_back());
  }
  template <class A, class B>
  void get(std::pair<A, B>& x) {
    (*this)(x.first, x.second);
  }
  template <class T>
  void get(outcome<T>& x) {
    bool there = false;
    get(there);
    if (there) {
      T value{};
      get(value);
      x = std::move(value);
    } else {
      failure why;
      get(why);
      x = std::move(why);
    }
  }
  template <class... Ts>
  void get(std::variant<Ts...>& x) {
    auto index = number();
    if (index >= sizeof...(Ts)) {
      fail();
      return;
    }
    size_t i = 0;
    ((i++ == index ? get(x.template emplace<Ts>()) : void()), ...);
  }
  template <class T>
  requires std::is_class_v<T>
  void get(T& x) { carry(*this, x); }

  std::string_view rest_;
  bool ok_ = true;
};

} // namespace greenroom::cluster
