#include "net/json_document.hpp"

#include "net/json.hpp"

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/src.hpp> // the library's own sources, here once: nothing needs to be linked

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>

namespace greenroom::net::json {

using boost::json::error_code;
using boost::json::string_view;

// -- reading ----------------------------------------------------------------------------------------------------------

/// What Boost.JSON's parser calls.
struct document::builder {
  static constexpr size_t max_array_size = static_cast<size_t>(-1);
  static constexpr size_t max_object_size = static_cast<size_t>(-1);
  static constexpr size_t max_string_size = static_cast<size_t>(-1);
  static constexpr size_t max_key_size = static_cast<size_t>(-1);

  document& to;
  std::vector<uint32_t>& open; // objects and arrays around what comes next
  uint32_t part_begin = 0;     // of a text that comes in parts

  explicit builder(document& d) : to(d), open(d.open_) {}

  bool begin(kind what) {
    open.push_back(static_cast<uint32_t>(to.nodes_.size()));
    to.nodes_.push_back({what});
    return true;
  }
  bool end(size_t n) {
    auto& outer = to.nodes_[open.back()];
    outer.end = static_cast<uint32_t>(to.nodes_.size());
    outer.begin = static_cast<uint32_t>(n);
    open.pop_back();
    return true;
  }
  bool part(string_view s) {
    to.text_.append(s.data(), s.size());
    return true;
  }
  node& finish(kind what, string_view s) {
    part(s);
    auto& n = to.nodes_.emplace_back();
    n.what = what;
    n.end = static_cast<uint32_t>(to.nodes_.size());
    n.begin = part_begin;
    n.size = static_cast<uint32_t>(to.text_.size()) - part_begin;
    part_begin = static_cast<uint32_t>(to.text_.size());
    return n;
  }

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_array_begin(error_code&) { return begin(kind::array); }
  bool on_array_end(size_t n, error_code&) { return end(n); }
  bool on_object_begin(error_code&) { return begin(kind::object); }
  bool on_object_end(size_t n, error_code&) { return end(n); }
  bool on_string_part(string_view s, size_t, error_code&) { return part(s); }
  bool on_string(string_view s, size_t, error_code&) { return finish(kind::text, s), true; }
  bool on_key_part(string_view s, size_t, error_code&) { return part(s); }
  bool on_key(string_view s, size_t, error_code&) { return finish(kind::key, s), true; }
  bool on_number_part(string_view s, error_code&) { return part(s); }
  bool on_int64(int64_t i, string_view s, error_code&) {
    auto& n = finish(kind::integer, s);
    n.whole = static_cast<uint64_t>(i);
    if (to.text_[n.begin] != '-')
      n.what = kind::whole;
    return true;
  }
  bool on_uint64(uint64_t u, string_view s, error_code&) { return finish(kind::whole, s).whole = u, true; }
  bool on_double(double d, string_view s, error_code& ec) {
    auto& n = finish(kind::real, s);
    double exact = 0; // stays so for what is too small for a double
    const char* first = to.text_.data() + n.begin;
    if (std::from_chars(first, first + n.size, exact).ec == std::errc::result_out_of_range && std::abs(d) > 1) {
      ec = boost::json::error::exponent_overflow;
      return false;
    }
    n.whole = std::bit_cast<uint64_t>(exact);
    return true;
  }
  bool on_bool(bool b, error_code&) { return finish(kind::flag, {}).on = b, true; }
  bool on_null(error_code&) { return finish(kind::null, {}), true; }
  bool on_comment_part(string_view, error_code&) { return true; }
  bool on_comment(string_view, error_code&) { return true; }
};

document::document() { nodes_.push_back({kind::object, false, 1}); }

outcome<void> document::parse(std::string_view text, uint32_t depth_max) {
  nodes_.clear();
  text_.clear();
  open_.clear();
  boost::json::parse_options strict;
  strict.max_depth = depth_max;
  boost::json::basic_parser<builder> parser(strict, *this);
  error_code ec;
  const auto used = parser.write_some(false, text.data(), text.size(), ec);
  if (ec == boost::json::error::too_deep)
    return fail(errc::too_large, "nested deeper than " + std::to_string(depth_max) + " (limits.json_depth)");
  if (ec || used != text.size())
    return fail(errc::bad_request, "not valid JSON in UTF-8");
  if (nodes_.front().what != kind::object)
    return fail(errc::bad_request, "not a JSON object");
  return {};
}

document::node& document::add(kind what, std::string_view text) {
  auto& n = nodes_.emplace_back();
  n.what = what;
  n.end = static_cast<uint32_t>(nodes_.size());
  n.begin = static_cast<uint32_t>(text_.size());
  n.size = static_cast<uint32_t>(text.size());
  text_.append(text);
  ++nodes_.front().begin;
  nodes_.front().end = n.end;
  return n;
}

void document::add_key(std::string_view name) {
  add(kind::key, name);
  --nodes_.front().begin; // a member counts once, by its value
}

void document::set(std::string_view name, std::string_view text) {
  add_key(name);
  add(kind::text, text);
}

void document::set(std::string_view name, uint64_t whole) {
  add_key(name);
  add(kind::whole, std::to_string(whole)).whole = whole;
}

void document::set_flag(std::string_view name, bool on) {
  add_key(name);
  add(kind::flag, {}).on = on;
}

void document::shrink(size_t kept_bytes) {
  if (text_.capacity() + nodes_.capacity() * sizeof(node) > kept_bytes) {
    std::vector<node>().swap(nodes_);
    std::string().swap(text_);
  }
}

// -- asking -----------------------------------------------------------------------------------------------------------

value value::next() const noexcept { return {*of_, of_->nodes_[at_].end}; }

bool value::is_null() const noexcept { return of_ != nullptr && of_->nodes_[at_].what == document::kind::null; }
bool value::is_object() const noexcept { return of_ != nullptr && of_->nodes_[at_].what == document::kind::object; }
bool value::is_array() const noexcept { return of_ != nullptr && of_->nodes_[at_].what == document::kind::array; }

std::optional<bool> value::flag() const noexcept {
  if (of_ == nullptr || of_->nodes_[at_].what != document::kind::flag)
    return std::nullopt;
  return of_->nodes_[at_].on;
}

std::optional<uint64_t> value::whole() const noexcept {
  if (of_ == nullptr || of_->nodes_[at_].what != document::kind::whole)
    return std::nullopt;
  return of_->nodes_[at_].whole;
}

std::optional<double> value::number() const noexcept {
  if (of_ == nullptr)
    return std::nullopt;
  const auto& n = of_->nodes_[at_];
  switch (n.what) {
  case document::kind::whole:
    return static_cast<double>(n.whole);
  case document::kind::integer:
    return static_cast<double>(static_cast<int64_t>(n.whole));
  case document::kind::real:
    return std::bit_cast<double>(n.whole);
  default:
    return std::nullopt;
  }
}

std::optional<std::string_view> value::text() const noexcept {
  if (of_ == nullptr || of_->nodes_[at_].what != document::kind::text)
    return std::nullopt;
  return of_->text_of(of_->nodes_[at_]);
}

size_t value::size() const noexcept { return is_array() || is_object() ? of_->nodes_[at_].begin : 0; }

value value::find(std::string_view name) const noexcept {
  value found;
  each_member([&](std::string_view key, const value& v) {
    if (key == name)
      found = v;
  });
  return found;
}

void value::append_canonical(std::string& out) const {
  const auto& n = of_->nodes_[at_];
  switch (n.what) {
  case document::kind::null:
    out += "null";
    break;
  case document::kind::flag:
    out += n.on ? "true" : "false";
    break;
  case document::kind::whole:
    append_integer(out, n.whole);
    break;
  case document::kind::integer:
    append_integer(out, static_cast<int64_t>(n.whole));
    break;
  case document::kind::real: {
    char digits[32];
    const std::string_view shortest(digits,
                                    std::to_chars(digits, digits + sizeof digits, std::bit_cast<double>(n.whole)).ptr);
    out += shortest;
    if (shortest.find_first_of(".e") == std::string_view::npos)
      out += ".0"; // still no integer
    break;
  }
  case document::kind::text:
  case document::kind::key:
    append_string(out, of_->text_of(n));
    break;
  case document::kind::array: {
    std::vector<value> elements;
    each_element([&](const value& v) { elements.push_back(v); });
    append_array(out, elements, [&](const value& v) { v.append_canonical(out); });
    break;
  }
  case document::kind::object: {
    std::vector<std::pair<std::string_view, value>> members;
    each_member([&](std::string_view key, const value& v) { members.emplace_back(key, v); });
    std::stable_sort(members.begin(), members.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    out += '{';
    for (size_t i = 0; i < members.size(); ++i) {
      if (i + 1 < members.size() && members[i].first == members[i + 1].first)
        continue; // a later one replaces it
      if (out.back() != '{')
        out += ',';
      append_string(out, members[i].first);
      out += ':';
      members[i].second.append_canonical(out);
    }
    out += '}';
    break;
  }
  }
}

} // namespace greenroom::net::json
