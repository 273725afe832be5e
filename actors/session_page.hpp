// session page: one page out of a list of live connections, by a cursor. The lanes of all nodes each keep the page that
// they could fill alone, and whoever gathers them keeps one of all: so nobody holds more than a page of each lane.
//
// The order is by age, so that who comes meanwhile stands behind what has been read. Connections that nothing in the
// cursor tells apart (of one session, on one node, of the same millisecond) stay on one page, which is longer then.
#pragma once

#include "actors/requests.hpp"

#include <cstdint>
#include <string_view>

namespace greenroom {

/// Sorts, drops what is not behind `after`, keeps `limit` of the rest and says in `next` where to go on. Fails with
/// bad_request where `after` is no cursor; then the list is empty.
outcome<void> keep_page(ok::sessions& all, std::string_view after, uint32_t limit);

} // namespace greenroom
