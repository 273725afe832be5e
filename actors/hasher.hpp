// hasher: Argon2id (RFC 9106), by libsodium, on a thread of its own, so that a login never delays a message. One hash
// takes tens of milliseconds and auth.argon2_mem_mb of memory; how many may wait is bounded by auth.hash_queue.
//
// In   hash, verify
// Out  hashed, verified, always
//
// Blocks: spawned detached, or on the test scheduler.
#pragma once

#include "actors/base.hpp"

#include <string>

namespace greenroom {

struct house;

struct hashed {
  using local = message_tag;
  uint64_t token = 0;
  std::string text; // libsodium's text form, parameters included; empty: out of memory
};
struct verified {
  using local = message_tag;
  uint64_t token = 0;
  bool match = false;
};

namespace hasher {

using asker = caf::typed_actor<caf::reacts_to<hashed>, caf::reacts_to<verified>>;
struct hash {
  using local = message_tag;
  std::string password;
  uint64_t token = 0;
  asker to;
};
/// An empty `text` (no such account) never matches, but takes as long.
struct verify {
  using local = message_tag;
  std::string password, text;
  uint64_t token = 0;
  asker to;
};
struct stop {
  using local = message_tag;
};
using handle = caf::typed_actor<caf::reacts_to<hash>, caf::reacts_to<verify>, caf::reacts_to<stop>>;

class hasher_actor : public detached_actor<handle> {
public:
  hasher_actor(caf::actor_config& cfg, house& in);
  behavior_type make_behavior() override;

private:
  std::string hash_of(const std::string& password) const;

  house& house_;
  std::string nobody_; // the hash that a password of an unknown account is held against
};

} // namespace hasher
} // namespace greenroom
