// Whom a user has blocked: what is known of it here.
#include "actors/user.hpp"

namespace greenroom::user {

bool user_actor::blocked(const user_id& other) const {
  auto i = blocks_.find(other);
  return i != blocks_.end() && i->second.on;
}

} // namespace greenroom::user
