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
  case actor_kind::requester:
    return "requester";
  case actor_kind::clock:
    return "clock";
  }
  return "?";
}

std::string vital_signs::name() const { return *std::atomic_load(&name_); }

void vital_signs::rename(std::string name) {
  std::atomic_store(&name_, std::make_shared<const std::string>(std::move(name)));
}

void vital_signs::failed(std::string what) {
  std::atomic_store(&last_error_, std::make_shared<const std::string>(std::move(what)));
}

std::string vital_signs::last_error() const {
  auto p = std::atomic_load(&last_error_);
  return p ? *p : std::string{};
}

void directory::add(std::shared_ptr<vital_signs> signs) {
  counts_[static_cast<size_t>(signs->kind)].fetch_add(1);
  auto& p = parts_[signs->id % parts];
  std::lock_guard guard{p.mutex};
  p.living.insert(std::move(signs));
}

void directory::remove(const std::shared_ptr<vital_signs>& signs) {
  auto& p = parts_[signs->id % parts];
  std::lock_guard guard{p.mutex};
  if (p.living.erase(signs) > 0)
    counts_[static_cast<size_t>(signs->kind)].fetch_sub(1);
}

void directory::each(const std::function<void(const vital_signs&)>& f) const {
  for (const auto& p : parts_) {
    std::lock_guard guard{p.mutex};
    for (const auto& signs : p.living)
      f(*signs);
  }
}

} // namespace greenroom
