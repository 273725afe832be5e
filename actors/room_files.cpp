// Which attachments belong to messages, and how they go. An attachment belongs to one message, or to one send that is
// scheduled: so that it is known without counting when nothing refers to it any more, and it goes in the same write in
// which the message is revoked, dropped or cancelled. Its owner's quota hears of it by an effect.
#include "actors/house.hpp"
#include "actors/permissions.hpp"
#include "actors/room.hpp"

#include <algorithm>

namespace greenroom::room {

using storage::file_record;

/// What a send refers to has been read, and everything that was admitted before is on the disk.
void room_actor::send_found(const command_ptr& c, const op::send& x, const files_found& found) {
  auto& files = rare_.edit().files_found;
  files.clear();
  for (const auto& f : **found.what)
    files.push_back(f ? *f : file_record{});
  if (x.at != 0)
    look_for_scheduled(c, c->from.user, key_of(*c));
  else if (x.reply_to != 0)
    change(c, x);
  else
    send_with(c, x, found.key);
}

/// REQUIRES: files_found are those of `x`.
std::optional<failure> room_actor::wrong_files(const op::send& x, const user_id& from) const {
  for (size_t i = 0; i < x.attachments.size(); ++i) {
    const auto& f = rare_->files_found.at(i);
    const auto here = "attachments[" + std::to_string(i) + "]: ";
    if (f.owner != from)
      return fail(errc::not_found, here + "you have no such attachment in this room");
    if (f.at == file_record::stage::used)
      return fail(errc::conflict, here + "belongs to another message");
    if (f.at != file_record::stage::complete)
      return fail(errc::conflict, here + "its upload is not complete");
  }
  return std::nullopt;
}

/// As the event says it. REQUIRES: none of them is wrong.
std::vector<storage::attachment> room_actor::found_of(const op::send& x) const {
  std::vector<storage::attachment> result;
  for (size_t i = 0; i < x.attachments.size(); ++i) {
    const auto& f = rare_->files_found.at(i);
    result.push_back({x.attachments[i], f.name, f.type, f.size, f.sha256});
  }
  return result;
}

/// They belong to it from now on. REQUIRES: none of them is wrong.
std::vector<storage::attachment> room_actor::use_files(storage::batch& batch, const op::send& x) {
  auto result = found_of(x);
  for (size_t i = 0; i < x.attachments.size(); ++i) {
    auto& f = rare_.edit().files_found.at(i);
    const auto& id = x.attachments[i];
    batch.erase(storage::due_entry{f.expires, room_, storage::due_entry::kind::file, {}, {}, id});
    f.at = file_record::stage::used;
    batch.put(room_, id, f);
  }
  if (!rare_->files_found.empty())
    rare_.edit().files_found.clear();
  return result;
}

/// Its bytes leave the disk with the next scrub.
void room_actor::remove_file(storage::batch& batch, pending& p, const std::string& file, const user_id& owner) {
  batch.erase_file(room_, file);
  p.effects.push_back(charge(file, owner, 0, 0));
  batch.put(p.effects.back());
  if (rare_)
    rare_.edit().uploads.erase(file);
  house_.metrics.attachments_removed.add();
}

void room_actor::fetch(const command_ptr& c, const op::fetch& x) {
  if (auto why = refusal(c->from.user, action::see))
    c->from.answer(std::move(*why));
  else
    tell(house_.reader_of(room_.shard()), reader::read_file{room_, x.file, x.chunk, c->from});
}

/// Of a room that was deleted, those that are left go some at a time.
void room_actor::receive(const files_listed& x) {
  if (phase_ != phase::looking_up)
    return;
  if (*x.what && (**x.what).empty()) {
    tell(house_.reader_of(room_.shard()), reader::any_effects{room_, self()});
    return;
  }
  auto c = std::exchange(looked_up_, nullptr);
  phase_ = phase::serving;
  if (*x.what && record_) {
    auto batch = std::make_shared<storage::batch>(room_.shard());
    pending p;
    p.causes = {c};
    for (const auto& [file, what] : **x.what)
      remove_file(*batch, p, file, what.owner);
    commit(std::move(batch), std::move(p));
  }
  go_on(); // the shard asks again
}

} // namespace greenroom::room
