// audience: who listens to one room. Belongs to the room's shard, so that it survives the room's passivation; the room
// speaks through it, the relay counts in it. The room's relay serves this node; other nodes of a cluster have their
// own.
//
// Threads: the shard's strand.
//
// Invariant: everything that the room says to one node takes the same way, in order: what was published before somebody
// was admitted does not reach them, what is published afterwards does.
#pragma once

#include "actors/attendance.hpp"
#include "actors/relay.hpp"

#include <algorithm>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

namespace greenroom {

/// What every relay of a room is told.
using relay_news =
    std::variant<relay::publish, relay::typing, relay::remark, relay::receipt, relay::presence, relay::announce>;

/// The way to relays in a cluster: of rooms that listen on other nodes; and, as it knows who asked, the way of what is
/// said to one caller, also on this node.
class far_relays {
public:
  virtual ~far_relays() = default;
  virtual void tell(uint32_t node, const room_id& room, const relay_news& what) = 0;
  virtual void admit(const room_id& room, const caller& from, const standing& where) = 0;
  virtual void refuse(const room_id& room, const caller& from, const failure& why) = 0;
};

struct audience {
  audience(room_id r, far_relays* f, std::shared_ptr<restless_rooms> noted)
      : room(std::move(r)), far(f), present(std::make_shared<attendance>(room, std::move(noted))) {}

  bool anybody() const noexcept { return relay || !nodes.empty(); }
  void tell(const relay_news& what) {
    if (relay)
      std::visit([this](const auto& x) { greenroom::tell(relay, x); }, what);
    for (auto n : nodes)
      far->tell(n, room, what);
  }
  /// The caller may listen. REQUIRES: it has a connection.
  void admit(const caller& from, standing where) {
    if (!far) {
      greenroom::tell(relay, relay::admit{from, std::move(where)});
      return;
    }
    where.online_count = present->count_for(from.user, where.role != storage::member_role::none, where.apart);
    far->admit(room, from, where);
    enter(from.node);
  }
  void refuse(const caller& from, failure why) {
    if (far)
      far->refuse(room, from, why);
    else
      greenroom::tell(relay, relay::refuse{from, std::move(why)});
  }
  /// The node has a relay of the room, which may have missed something.
  void announce_to(uint32_t node, uint64_t head) {
    enter(node);
    if (node == 0)
      greenroom::tell(relay, relay::announce{head});
    else
      far->tell(node, room, relay::announce{head});
  }

  /// A node other than this one has a relay of the room from now on.
  void enter(uint32_t node) {
    if (node != 0 && std::find(nodes.begin(), nodes.end(), node) == nodes.end())
      nodes.push_back(node);
  }

  const room_id room;
  far_relays* const far;       // null on a single node
  relay::handle relay;         // null: nobody listens here
  uint64_t attaches = 0;       // commands that will attach to the relay, or be refused by it
  std::vector<uint32_t> nodes; // others with a relay of the room
  uint64_t members = 0;        // of the room, as it said last; 0: it has not been awake yet, or is a direct one
  const std::shared_ptr<attendance> present;
};

} // namespace greenroom
