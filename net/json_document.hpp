// json_document: one JSON object out of untrusted text, for reading. Boost.JSON's parser checks syntax, UTF-8, escapes
// and depth; what it finds lies here in two flat buffers, which the next text uses again: a frame costs no allocation.
//
// - An object's repeated keys: the last one wins.
// - Boost.JSON 1.81 rounds fractions wrongly in the last bit, so they are read anew from their text; those beyond the
//   range of a double are refused.
#pragma once

#include "config/outcome.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace greenroom::net::json {

class document;

/// A place in a document, or nothing: what is asked of nothing is absent, too. Valid until the document changes.
class value {
public:
  value() = default;

  explicit operator bool() const noexcept { return of_ != nullptr; }
  bool is_null() const noexcept;
  bool is_object() const noexcept;
  bool is_array() const noexcept;
  std::optional<bool> flag() const noexcept;
  /// An integer without sign, fraction and exponent, up to 2^64 - 1.
  std::optional<uint64_t> whole() const noexcept;
  /// Any number, as a double.
  std::optional<double> number() const noexcept;
  std::optional<std::string_view> text() const noexcept;

  /// Elements of an array, members of an object (repeated ones each); else 0.
  size_t size() const noexcept;
  /// The member with this name; none where this is no object.
  value find(std::string_view name) const noexcept;
  /// Calls `f(element)`, or `f(name, member)`, in the order of the text.
  template <class F>
  void each_element(F f) const;
  template <class F>
  void each_member(F f) const;

  /// Appends the value in canonical form: compact, keys in byte order, integers beyond 64 bits as doubles.
  void append_canonical(std::string& out) const;

private:
  friend class document;
  value(const document& of, uint32_t at) noexcept : of_(&of), at_(at) {}
  value next() const noexcept;

  const document* of_ = nullptr;
  uint32_t at_ = 0;
};

class document {
public:
  /// An empty object.
  document();

  /// Reads `text` (RFC 8259), of any length: whoever has it has bounded it. Fails with bad_request where it is not JSON
  /// (wrong UTF-8 and lone surrogates included) or no object, with too_large where it is nested deeper than
  /// `depth_max`; the document means nothing then. Never throws, but for want of memory.
  outcome<void> parse(std::string_view text, uint32_t depth_max);
  value root() const noexcept { return {*this, 0}; }
  value find(std::string_view name) const noexcept { return root().find(name); }
  /// Adds a member to the object, or replaces the one of that name.
  void set(std::string_view name, std::string_view text);
  void set(std::string_view name, uint64_t whole);
  void set_flag(std::string_view name, bool on);
  /// Gives back what a long text left behind, if that is more than `kept_bytes` in all.
  void shrink(size_t kept_bytes);

private:
  friend class value;
  struct builder;
  enum class kind : uint8_t { null, flag, whole, integer, real, text, key, array, object };
  struct node {
    kind what = kind::null;
    bool on = false;
    uint32_t end = 0;   // the first node behind this one and what is in it
    uint32_t begin = 0; // text, key and numbers: where in text_; arrays and objects: how many are in it
    uint32_t size = 0;
    uint64_t whole = 0; // the number; a real's bits
  };
  std::string_view text_of(const node& n) const noexcept { return std::string_view(text_).substr(n.begin, n.size); }
  void add_key(std::string_view name);
  node& add(kind what, std::string_view text);

  std::vector<node> nodes_; // depth first; an object's members are a key and a value each
  std::string text_;
  std::vector<uint32_t> open_; // for parse()
};

template <class F>
void value::each_element(F f) const {
  if (!is_array())
    return;
  const auto end = of_->nodes_[at_].end;
  for (value v{*of_, at_ + 1}; v.at_ < end; v = v.next())
    f(v);
}

template <class F>
void value::each_member(F f) const {
  if (!is_object())
    return;
  const auto end = of_->nodes_[at_].end;
  for (auto at = at_ + 1; at < end;) {
    const value v{*of_, at + 1};
    f(of_->text_of(of_->nodes_[at]), v);
    at = v.next().at_;
  }
}

} // namespace greenroom::net::json
