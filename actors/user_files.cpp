// What a user's attachments take, wherever they are. Rooms say by effects what was begun and what has gone; a beginning
// is refused where the quota is full. One at a time, each in one write with the sum, so that the sum is always that of
// its parts.
#include "actors/house.hpp"
#include "actors/user.hpp"

#include <algorithm>

namespace greenroom::user {
namespace {

// For longer than any command is repeated by a router: a beginning that comes again after the end of its attachment
// must be known as one, and one that comes later than that is refused.
constexpr int64_t remember_ms = 600'000;
constexpr size_t remember_max = 1'000;

} // namespace

void user_actor::charge(const command_ptr& c) {
  if (rare_->charging.size() >= house_.config.users.pending)
    return; // it is sent again
  auto& queue = rare_.edit().charging;
  queue.push_back(c);
  if (queue.size() == 1)
    charge_next();
}

void user_actor::charge_next() {
  if (rare_->charging.empty()) {
    try_to_end();
    return;
  }
  const auto& e = std::get<effect>(rare_->charging.front()->what).what;
  const auto token = rare_.edit().charging_token = ++next_token_;
  tell(house_.reader_of(user_.shard()), reader::load_usage{user_, e.room, e.file, token, self()});
}

void user_actor::receive(const usage_loaded& x) {
  if (rare_->charging.empty() || x.token != rare_->charging_token)
    return;
  const auto c = rare_->charging.front();
  auto next = [this] {
    rare_.edit().charging.pop_front();
    charge_next();
  };
  if (!x.what || stale() || house_.storage_is_full()) {
    next(); // it is sent again
    return;
  }
  const auto& told = std::get<effect>(c->what);
  auto applied = [told, ticket = c->from.ticket](std::optional<failure> refused = {}) {
    tell(told.origin, effect_applied{told.what, ticket, std::move(refused)});
  };
  const auto& e = told.what;
  auto [all, charged] = *x.what;
  const auto now = house_.now_ms();
  std::erase_if(all.gone, [now](const auto& g) { return g.second <= now; });
  auto batch = std::make_shared<storage::batch>(user_.shard());
  if (e.bytes != 0) {
    const bool gone = std::any_of(all.gone.begin(), all.gone.end(), [&](const auto& g) { return g.first == e.file; });
    const auto quota = uint64_t{house_.config.attachments.quota_mb} << 20;
    const bool late = e.at + remember_ms <= now; // it may be forgotten that it has gone
    std::optional<failure> why;
    if (charged == 0 && (gone || late))
      why = fail(errc::unavailable, "attachment: begun too long ago, by the clock of another node; begin again");
    else if (charged == 0 && all.bytes + e.bytes > quota)
      why =
          fail(errc::too_large, "size: your attachments would take more than " +
                                    std::to_string(house_.config.attachments.quota_mb) + " MiB (attachments.quota_mb)");
    if (charged != 0 || why) {
      applied(std::move(why));
      next();
      return;
    }
    all.bytes += e.bytes;
    ++all.files;
    batch->put_charge(user_, e.room, e.file, e.bytes);
  } else {
    if (all.gone.size() >= remember_max)
      all.gone.erase(all.gone.begin());
    all.gone.emplace_back(e.file, now + remember_ms);
    all.bytes -= std::min(all.bytes, charged);
    all.files -= charged != 0 && all.files != 0 ? 1 : 0;
    batch->erase_charge(user_, e.room, e.file);
  }
  batch->put(user_, all);
  commit(std::move(batch), c, [applied, next] {
    applied();
    next();
  });
}

} // namespace greenroom::user
