// The user's half that others see: how they appear, and words that are passed on to their devices.
#include "actors/house.hpp"
#include "actors/user.hpp"

namespace greenroom::user {

/// To oneself.
appearance user_actor::chosen() const {
  appearance a{user_, seen_as::online, {}};
  if (presence_) {
    a.status = presence_->status == storage::presence_status::invisible ? seen_as::invisible : seen(presence_->status);
    a.note = presence_->note;
  }
  return a;
}

void user_actor::tell_shard() {
  const bool here = !connections_.empty() && !is_erased();
  tell(shard_, busy{here, appearance_of(user_, presence_ ? *presence_ : storage::presence_record{}, here)});
}

void user_actor::perform(const command_ptr& c, const op::presence& x) {
  if (!x.changes()) {
    const auto record = presence_ ? *presence_ : storage::presence_record{};
    const bool hidden = blocked(c->from.user);
    const bool here = !connections_.empty() && !is_erased();
    c->from.answer(ok::any{c->from.user == user_
                               ? ok::presence{chosen()}
                               : ok::presence{appearance_of(user_, record, here && !hidden), hidden}});
    return;
  }
  if (house_.storage_is_full()) {
    c->from.refuse(errc::unavailable, "storage.queue: too many writes wait for the disk");
    return;
  }
  auto next = presence_ ? *presence_ : storage::presence_record{};
  next.status = x.status.value_or(next.status);
  next.note = x.note.value_or(next.note);
  next.changed = house_.now_ms();
  presence_ = std::make_unique<storage::presence_record>(next);
  auto batch = std::make_shared<storage::batch>(user_.shard());
  batch->put(user_, next);
  commit(std::move(batch), c, [this, c] {
    auto now = chosen();
    for (const auto& device : connections_)
      tell(device.to, shown{now, device.id});
    tell_shard();
    c->from.answer(ok::any{ok::presence{std::move(now)}});
  });
}

/// Whom the caller may see at all; the connection asks each of them.
void user_actor::perform(const command_ptr& c, const op::watch& x) {
  ok::watched list;
  for (const auto& user : x.users) {
    list.users.push_back({user, seen_as::offline, {}});
    if (blocked(user))
      list.hidden.push_back(user);
  }
  c->from.answer(ok::any{std::move(list)});
}

/// Whoever is blocked is answered as if nobody were there.
void user_actor::perform(const command_ptr& c, const op::signal& x) {
  if (!blocked(c->from.user))
    for (const auto& device : connections_)
      tell(device.to, signalled{c->from.user, x.device, x.data, device.id});
  c->from.answer(ok::any{ok::none{}});
}

void user_actor::perform(const command_ptr& c, const vanish& x) {
  tell_vanished(x.whom);
  c->from.answer(ok::any{ok::none{}});
}

void user_actor::tell_vanished(const user_id& whom) {
  for (const auto& device : connections_)
    tell(device.to, vanished{whom, device.id});
}

} // namespace greenroom::user
