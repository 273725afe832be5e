#include "actors/hasher.hpp"

#include "actors/house.hpp"

#include <sodium.h>

namespace greenroom::hasher {

hasher_actor::hasher_actor(caf::actor_config& cfg, house& in)
    : detached_actor(cfg, actor_kind::hasher, "passwords", in.living), house_(in) {}

hasher_actor::behavior_type hasher_actor::make_behavior() {
  return {
      [this](const hash& x) {
        tell(x.to, hashed{x.token, hash_of(x.password)});
      },
      [this](const verify& x) {
        if (nobody_.empty() && x.text.empty())
          nobody_ = hash_of(house_.random_text(16));
        const auto& against = x.text.empty() ? nobody_ : x.text;
        bool match = crypto_pwhash_str_verify(against.c_str(), x.password.data(), x.password.size()) == 0;
        tell(x.to, verified{x.token, match && !x.text.empty()});
      },
      [this](const stop&) { this->quit(); },
  };
}

std::string hasher_actor::hash_of(const std::string& password) const {
  char text[crypto_pwhash_STRBYTES];
  const auto& c = house_.config.auth;
  if (crypto_pwhash_str_alg(text, password.data(), password.size(), c.argon2_ops, size_t{c.argon2_mem_mb} << 20,
                            crypto_pwhash_ALG_ARGON2ID13) != 0)
    return {};
  return text;
}

} // namespace greenroom::hasher
