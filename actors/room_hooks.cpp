// Webhooks, the room's part. How far each of them is stands beside the log; whoever has something left to push stands
// in an index of the shard, too. Both are written by the room, in the batch that makes it so: opened with an event that
// the webhook wants, where it was closed; moved on when the pusher says so, and closed where nothing is left. So an
// event costs nothing more while it is open, and never a read.
#include "actors/house.hpp"
#include "actors/room.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace greenroom::room {

/// Those that mean this room, and those that it has a record of: that goes with the room.
void room_actor::load_hooks(const std::vector<std::pair<std::string, storage::hook_record>>& records) {
  hooks_.clear();
  for (const auto& w : hook_set_->webhooks)
    if (hooks::covers(w->what.rooms, room_.str()))
      hooks_.push_back({w, w->name, {}, false, 0});
  for (const auto& [name, record] : records) {
    auto* h = find_hook(name);
    if (!h)
      h = &hooks_.emplace_back(hooked{nullptr, name, {}, false, 0});
    h->record = record;
    h->there = true;
    if (!record.open || !h->what)
      continue;
    h->wanted = head_; // what there is behind the record was not looked at
    tell(house_.pusher, pusher::pending{room_, name, 0});
  }
}

room_actor::hooked* room_actor::find_hook(const std::string& name) {
  auto i = std::find_if(hooks_.begin(), hooks_.end(), [&](const hooked& h) { return h.name == name; });
  return i == hooks_.end() ? nullptr : &*i;
}

void room_actor::note_for_hooks(storage::batch& batch, const storage::event& e, pending& p) {
  for (size_t i = 0; i < hooks_.size(); ++i) {
    auto& h = hooks_[i];
    if (!h.what || !h.what->wants(e.kind))
      continue;
    h.wanted = e.seq;
    if (h.record.open)
      continue;
    if (!std::exchange(h.there, true))
      h.record.seq = h.what->what.start == "first" && record_ ? record_->first - 1 : e.seq - 1;
    h.record.open = true;
    batch.put(room_, h.name, h.record);
    batch.put_hooked(h.name, room_);
    p.opened |= 1u << i;
  }
}

void room_actor::tell_hooks(const pending& p) {
  for (size_t i = 0; i < hooks_.size(); ++i)
    if ((p.opened & (1u << i)) != 0)
      tell(house_.pusher, pusher::pending{room_, hooks_[i].name, p.ts});
}

/// What is durable and not yet known to have arrived, whatever it is.
void room_actor::look(const command_ptr&, const collect& x) {
  const auto& asked = x.what;
  const auto* h = find_hook(asked.hook);
  if (!record_ || !h || !h->what || !h->record.open) {
    tell(house_.pusher, pusher::settled{room_, asked.hook, asked.token, false});
    return;
  }
  // What has been dropped meanwhile makes it another delivery.
  const bool bounded = asked.upto > h->record.seq && asked.upto < head_ && shown_.first <= h->record.seq + 1;
  reader::read_hooked wanted;
  wanted.what = {asked.hook,     room_,         record_->epoch, asked.token,
                 h->record.turn, h->record.seq, shown_.first,   bounded ? asked.upto : head_,
                 !bounded};
  wanted.kinds = h->what->kinds;
  wanted.limit = h->what->what.batch_events;
  wanted.bytes = h->what->what.batch_bytes;
  wanted.to = house_.pusher;
  tell(house_.reader_of(room_.shard()), std::move(wanted));
}

void room_actor::move_hook(const command_ptr& c, const hook_moved& x) {
  const auto& m = x.what;
  auto* h = find_hook(m.hook);
  const bool open = record_ && h && h->what && h->record.open;
  if (!open || m.turn != h->record.turn || m.through < h->record.seq) { // an operator has set it back meanwhile
    tell(house_.pusher, pusher::settled{room_, m.hook, m.token, open});
    return;
  }
  auto batch = std::make_shared<storage::batch>(room_.shard());
  h->record.seq = m.through;
  if (m.all && m.through >= h->wanted) {
    h->record.open = false;
    batch->erase_hooked(m.hook, room_);
  }
  batch->put(room_, m.hook, h->record);
  pending p;
  p.causes = {c};
  p.settled = pusher::settled{room_, m.hook, m.token, h->record.open};
  commit(std::move(batch), std::move(p));
}

// -- an operator's
// -----------------------------------------------------------------------------------------------------

void room_actor::set_back(const command_ptr& c, const replay& x) {
  const auto* h = find_hook(x.hook);
  if (!present())
    c->from.refuse(errc::not_found, "room: no such room");
  else if (!h || !h->what)
    c->from.refuse(errc::not_found, "hook: no such webhook means this room");
  else if (x.seq > drawn_)
    c->from.refuse(errc::bad_request, "seq: beyond the room's last event");
  else if (x.seq != 0)
    set_back_to(c, x, std::max(x.seq, record_->first));
  else {
    phase_ = phase::looking_up;
    looked_up_ = c;
    tell(house_.reader_of(room_.shard()), reader::find_first{room_, x.ts, record_->first, head_, 0, self()});
  }
}

void room_actor::set_back_to(const command_ptr& c, const replay& x, uint64_t seq) {
  auto* h = find_hook(x.hook);
  if (!present() || !h || !h->what) { // it went while this was looked up
    c->from.refuse(errc::not_found, "room: no such room");
    return;
  }
  auto batch = std::make_shared<storage::batch>(room_.shard());
  h->record = {seq - 1, h->record.turn + 1, true};
  h->there = true;
  h->wanted = drawn_;
  batch->put(room_, h->name, h->record);
  batch->put_hooked(h->name, room_);
  pending p;
  p.causes = {c};
  p.seq = seq;
  p.opened = 1u << (h - hooks_.data());
  commit(std::move(batch), std::move(p));
}

// -- when the room goes
// ------------------------------------------------------------------------------------------------

/// Whether a room that was deleted stays for a webhook.
bool room_actor::hooks_wait() const {
  const auto since = house_.now_ms() - head_ts_;
  return std::any_of(hooks_.begin(), hooks_.end(), [&](const hooked& h) {
    return h.what && h.record.open && since < int64_t{h.what->what.deleted_s} * 1'000;
  });
}

void room_actor::erase_hooks(storage::batch& batch) {
  for (const auto& h : hooks_) {
    if (!h.record.open)
      continue;
    batch.erase_hooked(h.name, room_); // the record goes with the room's contents
    if (h.what)
      spdlog::warn("what=webhook_room_gone hook={} room={} delivered={} last={}", h.name, room_.str(), h.record.seq,
                   head_);
  }
}

} // namespace greenroom::room
