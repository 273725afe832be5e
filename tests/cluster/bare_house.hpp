// bare_house: what a house must be given though nobody in the test asks for it, and CAF's deterministic scheduler.
#pragma once

#include "actors/house.hpp"

#include <caf/actor_system_config.hpp>

namespace greenroom::cluster::test {

struct silent_encoder : encoder {
  frame answer(std::optional<int64_t>, const greenroom::answer&) const override { return {}; }
  frame event(const room_id&, const storage::event&) const override { return {}; }
  frame subscribed(const room_id&, const position&) const override { return {}; }
  frame typing(const room_id&, const user_id&, bool) const override { return {}; }
  frame ephemeral(const room_id&, const user_id&, int64_t, std::string_view, std::string_view) const override {
    return {};
  }
  frame read(const room_id&, const user_id&, uint64_t, bool) const override { return {}; }
  frame expiring(int64_t) const override { return {}; }
  frame presence(const presence_news&) const override { return {}; }
  frame signal(const user_id&, std::string_view) const override { return {}; }
  frame goaway(uint32_t, std::string_view) const override { return {}; }
};
struct no_tokens : token_verifier {
  outcome<identity> verify(std::string_view) const override { return fail(errc::unauthenticated, "none"); }
};
/// What etcd says is said by the test itself; nobody asks this.
struct no_agreement : agreement {
  void grant(std::chrono::milliseconds, handler<int64_t>) override {}
  void renew(int64_t, handler<std::chrono::milliseconds>) override {}
  void revoke(int64_t, handler<void>) override {}
  void list(std::string, handler<listing>) override {}
  void commit(std::vector<condition>, std::vector<change>, handler<cluster::committed>) override {}
  std::shared_ptr<void> watch(std::string, watcher) override { return {}; }
};
inline const silent_encoder encoder_of_all;
inline const no_tokens tokens_of_all;
inline no_agreement agreement_of_all;

struct caf_settings : caf::actor_system_config {
  caf_settings() { set("scheduler.policy", caf::atom("testing")); }
};

} // namespace greenroom::cluster::test
