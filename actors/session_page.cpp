#include "actors/session_page.hpp"

#include <algorithm>
#include <charconv>
#include <tuple>

namespace greenroom {
namespace {

using place = std::tuple<int64_t, std::string_view, std::string_view, std::string_view>;

place place_of(const ok::live_session& x) { return {x.since, x.user.str(), x.node, x.session}; }

// Neither a user nor a node has a comma in its name; a session may, and comes last.
std::string cursor_of(const ok::live_session& x) {
  return std::to_string(x.since) + "," + x.user.str() + "," + x.node + "," + x.session;
}

std::optional<place> place_behind(std::string_view cursor) {
  int64_t since = 0;
  const auto* end = cursor.data() + cursor.size();
  auto [rest, failed] = std::from_chars(cursor.data(), end, since);
  if (failed != std::errc{} || rest == end || *rest != ',')
    return std::nullopt;
  cursor.remove_prefix(static_cast<size_t>(rest - cursor.data()) + 1);
  const auto user = cursor.substr(0, cursor.find(','));
  if (user.size() == cursor.size())
    return std::nullopt;
  cursor.remove_prefix(user.size() + 1);
  const auto node = cursor.substr(0, cursor.find(','));
  if (node.size() == cursor.size())
    return std::nullopt;
  return place{since, user, node, cursor.substr(node.size() + 1)};
}

} // namespace

outcome<void> keep_page(ok::sessions& all, std::string_view after, uint32_t limit) {
  auto& list = all.list;
  if (!after.empty()) {
    const auto from = place_behind(after);
    if (!from) {
      list.clear();
      return fail(errc::bad_request, "after: not what an answer gave as next");
    }
    std::erase_if(list, [&](const auto& x) { return place_of(x) <= *from; });
  }
  std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) { return place_of(a) < place_of(b); });
  auto end = list.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(limit, list.size()));
  while (end != list.begin() && end != list.end() && place_of(*end) == place_of(*(end - 1)))
    ++end;
  all.next.clear();
  if (end == list.end() || end == list.begin())
    return {};
  all.next = cursor_of(*(end - 1));
  list.erase(end, list.end());
  return {};
}

} // namespace greenroom
