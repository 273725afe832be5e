#include "actors/vital_signs.hpp"

namespace greenroom {

const char* to_string(actor_kind kind) noexcept {
  switch (kind) {
  case actor_kind::connection:
    return "connection";
  case actor_kind::user:
    return "user";
  case actor_kind::room:
    return "room";
  case actor_kind::relay:
    return "relay";
  case actor_kind::relay_lane:
    return "relay_lane";
  case actor_kind::shard:
    return "shard";
  case actor_kind::storage:
    return "storage";
  case actor_kind::reader:
    return "reader";
  case actor_kind::hasher:
    return "hasher";
  case actor_kind::pusher:
    return "pusher";
  case actor_kind::vetter:
    return "vetter";
  case actor_kind::scrubber:
    return "scrubber";
  case actor_kind::requester:
    return "requester";
  case actor_kind::clock:
    return "clock";
  case actor_kind::gateway:
    return "gateway";
  case actor_kind::replica:
    return "replica";
  case actor_kind::member:
    return "member";
  case actor_kind::survey:
    return "survey";
  case actor_kind::bulk:
    return "bulk";
  }
  return "?";
}

void directory::add(vital_signs& signs) {
  counts_[static_cast<size_t>(signs.kind)].fetch_add(1);
  auto& p = part_of(signs);
  std::lock_guard guard{p.mutex};
  p.living.push_back(signs);
}

void directory::remove(vital_signs& signs) noexcept {
  auto& p = part_of(signs);
  std::lock_guard guard{p.mutex};
  if (!signs.is_linked())
    return;
  p.living.erase(p.living.iterator_to(signs));
  counts_[static_cast<size_t>(signs.kind)].fetch_sub(1);
}

void directory::rename(vital_signs& signs, std::string name) {
  std::lock_guard guard{part_of(signs).mutex};
  signs.name_ = std::move(name);
}

void directory::failed(vital_signs& signs, std::string what) {
  std::lock_guard guard{part_of(signs).mutex};
  signs.last_error_ = std::make_unique<std::string>(std::move(what));
}

void directory::each(const std::function<void(const vital_signs&)>& f) const {
  for (const auto& p : parts_) {
    std::lock_guard guard{p.mutex};
    for (const auto& signs : p.living)
      f(signs);
  }
}

} // namespace greenroom
