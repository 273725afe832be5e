// What changes a message after it was sent: edit, revoke and react. Each is an event in the log; how the message stands
// after it is kept beside the log (storage/changes.hpp), in the same batch.
#include "actors/house.hpp"
#include "actors/permissions.hpp"
#include "actors/room.hpp"

#include <algorithm>

namespace greenroom::room {
namespace {

using storage::event_kind;

event_kind kind_of(const op::send&) { return event_kind::message; }
event_kind kind_of(const op::edit&) { return event_kind::edited; }
event_kind kind_of(const op::revoke&) { return event_kind::revoked; }
event_kind kind_of(const op::react&) { return event_kind::reaction; }

uint64_t digest(const op::send& x) { return content_of(x); }
uint64_t digest(const op::edit& x) {
  return content_of(std::to_string(x.target), x.text, x.base ? std::to_string(*x.base) : std::string{});
}
uint64_t digest(const op::revoke& x) { return content_of(std::to_string(x.target), {}, {}); }
uint64_t digest(const op::react& x) { return content_of(std::to_string(x.target), x.emoji, x.on ? "on" : "off"); }

// An edit is said like a message; to take one's own word back, it is enough to be there.
action needed(const op::send&) { return action::send; }
action needed(const op::edit&) { return action::send; }
action needed(const op::revoke&) { return action::take_back; }
action needed(const op::react&) { return action::react; }
action needed(const op::pin&) { return action::pin; }

// A reply changes the message in whose thread it is.
template <class Operation>
uint64_t target_of(const Operation& x) {
  return x.target;
}
uint64_t target_of(const op::send& x) { return x.reply_to; }

/// Without what it said; its place in a thread stays.
event_ptr blank(storage::event e) {
  e.revoked = true;
  e.text.clear();
  const auto reply_to = e.more->reply_to;
  e.more = {};
  if (reply_to != 0)
    e.more.edit().reply_to = reply_to;
  return std::make_shared<const storage::event>(std::move(e));
}

/// Counts one more, or one less.
void count(storage::message_state& state, const std::string& emoji, bool on) {
  auto i = std::lower_bound(state.reactions.begin(), state.reactions.end(), emoji,
                            [](const auto& r, const std::string& e) { return r.first < e; });
  bool there = i != state.reactions.end() && i->first == emoji;
  if (!there && on)
    state.reactions.emplace(i, emoji, 1);
  else if (there && on)
    ++i->second;
  else if (there && --i->second == 0)
    state.reactions.erase(i);
}

} // namespace

template <class Operation>
void room_actor::change(const command_ptr& c, const Operation& x) {
  constexpr bool revokes = std::is_same_v<Operation, op::revoke>;
  bool anyway = false;
  if constexpr (revokes)
    anyway = x.erased;
  if (is_stranger(c->from.user) && !anyway) {
    c->from.answer(*refusal(c->from.user, needed(x)));
    return;
  }
  if constexpr (requires { x.key; }) { // what is on its way answers its repetition, too
    const keyed what{kind_of(x), key_of(*c), content_as_sent(*c, digest(x))};
    if (keys_in_flight_.contains(what.key)) {
      settle_by_key(c, what, std::pair{storage::lookup::absent, storage::key_record{}});
      return;
    }
  }
  if (auto i = changing_.find(target_of(x)); revokes && i != changing_.end() && i->second.in_flight > 0) {
    // The texts of all edits go with the message, so they must be where they can be read.
    waiting_.push_front(c);
    phase_ = phase::settling;
    return;
  }
  phase_ = phase::looking_up;
  looked_up_ = c;
  tell(house_.reader_of(room_.shard()),
       reader::find_target{room_, key_of(*c), target_of(x), c->from.user, revokes, self()});
}
template void room_actor::change(const command_ptr&, const op::send&);
template void room_actor::change(const command_ptr&, const op::edit&);
template void room_actor::change(const command_ptr&, const op::revoke&);
template void room_actor::change(const command_ptr&, const op::react&);
template void room_actor::change(const command_ptr&, const op::pin&);

void room_actor::receive(const target_found& x) {
  auto c = std::exchange(looked_up_, nullptr);
  if (phase_ != phase::looking_up)
    return;
  phase_ = phase::serving;
  if (const auto* due = std::get_if<fall_due>(&c->what)) {
    make_reply(c, due->what, *x.what);
    go_on();
    return;
  }
  auto carry_out = [&](const auto& what) {
    if constexpr (requires { needed(what); }) {
      if constexpr (requires { what.key; })
        if (settle_by_key(c, {kind_of(what), key_of(*c), content_as_sent(*c, digest(what))}, x.key))
          return;
      bool anyway = false;
      if constexpr (requires { what.erased; })
        anyway = what.erased && present();
      if (auto why = anyway ? std::nullopt : refusal(c->from.user, needed(what))) {
        c->from.answer(std::move(*why));
        return;
      }
      if (!*x.what) {
        c->from.answer(x.what->error());
        return;
      }
      auto target = **x.what;
      if (auto i = changing_.find(target_of(what)); i != changing_.end()) { // newer than what was read
        target.state = i->second.state;
        if (auto own = i->second.own.find(c->from.user); own != i->second.own.end())
          target.own = own->second;
      }
      const auto& e = target.what;
      if constexpr (std::is_same_v<std::decay_t<decltype(what)>, op::send>)
        change_with(c, what, target);
      else if (!e || e->seq > head_ || e->seq < record_->first)
        c->from.refuse(errc::not_found, "target: no such message");
      else if (e->kind != event_kind::message)
        c->from.refuse(errc::bad_request, "target: not a message");
      else if (e->revoked || target.state.revoked != 0)
        c->from.refuse(errc::not_found, "target: it has been revoked");
      else
        change_with(c, what, target);
    }
  };
  std::visit(carry_out, c->what);
  std::erase_if(changing_, [](const auto& i) { return i.second.in_flight == 0; }); // kept for what was just read
  go_on();
}

void room_actor::change_with(const command_ptr& c, const op::send& x, const storage::target_image& target) {
  if (auto why = too_long(x.text)) {
    c->from.answer(std::move(*why));
    return;
  }
  if (auto why = too_soon(c->from.user)) {
    c->from.answer(std::move(*why));
    return;
  }
  if (x.reply_to > drawn_) {
    c->from.refuse(errc::bad_request, "reply_to: no such event");
    return;
  }
  if (auto why = wrong_files(x, c->from.user)) {
    c->from.answer(std::move(*why));
    return;
  }
  const bool asks = wants_vetting(*c);
  if (auto why = too_many(!asks)) {
    c->from.answer(std::move(*why));
    return;
  }
  if (!target.what && (!record_ || x.reply_to >= record_->first)) { // on its way: nobody can have seen it
    c->from.refuse(errc::bad_request, "reply_to: no such event");
    return;
  }
  // What has been dropped has no thread any more; the reply says all the same what it replies to.
  const auto content = content_as_sent(*c, digest(x));
  if (asks) {
    vet(c, key_of(*c), question_of(c->from.user, x), content);
    return;
  }
  const bool there = target.what && target.what->seq >= record_->first;
  auto batch = std::make_shared<storage::batch>(room_.shard());
  auto files = use_files(*batch, x);
  say(c, x, c->from.user, {kind_of(x), key_of(*c), content}, std::move(batch), {},
      there ? std::optional(target.state) : std::nullopt, std::move(files));
}

void room_actor::change_with(const command_ptr& c, const op::edit& x, const storage::target_image& target) {
  auto state = target.state;
  if (target.what->from != c->from.user) {
    c->from.refuse(errc::forbidden, "target: only its author may edit a message");
    return;
  }
  auto seen = x.base == x.target ? 0 : x.base.value_or(state.edited);
  if (seen != state.edited) {
    c->from.refuse(errc::conflict, "base: the last edit is " + std::to_string(state.edited));
    return;
  }
  if (auto why = too_long(x.text)) {
    c->from.answer(std::move(*why));
    return;
  }
  if (auto bound = house_.limits_now()->edits_per_message; state.edits.size() >= bound) {
    c->from.refuse(errc::too_large, "limits.edits_per_message: " + std::to_string(bound));
    return;
  }
  const auto content = content_as_sent(*c, digest(x));
  if (wants_vetting(*c)) {
    hooks::question q;
    q.what = hooks::said::edit;
    q.from = c->from.user;
    q.key = x.key;
    q.text = x.text;
    q.target = x.target;
    vet(c, key_of(*c), std::move(q), content);
    return;
  }
  auto e = next_event(event_kind::edited, c->from.user);
  e.target = x.target;
  e.key = x.key;
  e.text = x.text;
  state.changed = state.edited = e.seq;
  state.edited_ts = e.ts;
  state.text = x.text;
  state.edits.push_back(e.seq);
  auto batch = std::make_shared<storage::batch>(room_.shard());
  batch->put(room_, x.target, state);
  changing_[x.target].state = std::move(state);
  commit_change(c, x.target, {kind_of(x), key_of(*c), content}, std::move(batch), std::move(e), {});
}

void room_actor::change_with(const command_ptr& c, const op::revoke& x, const storage::target_image& target) {
  if (target.what->from != c->from.user && !may(kind(), role_of(c->from.user), action::revoke)) {
    c->from.refuse(errc::forbidden, "target: only its author and moderators may revoke a message");
    return;
  }
  auto e = next_event(event_kind::revoked, c->from.user);
  e.target = x.target;
  e.key = x.key;
  storage::message_state state;
  state.changed = state.revoked = e.seq;
  state.replies = target.state.replies; // they stay
  state.last_reply = target.state.last_reply;
  pending p;
  auto batch = std::make_shared<storage::batch>(room_.shard());
  batch->replace(room_, x.target, state);
  changing_[x.target].state = state;
  for (const auto& who : target.what->more->mentions)
    batch->erase_mention(room_, who, x.target);
  for (const auto& file : target.what->more->attachments) {
    batch->erase_attached(room_, x.target, file.id);
    remove_file(*batch, p, file.id, target.what->from);
  }
  p.blanked.push_back(blank(*target.what));
  for (const auto& edit : target.edits)
    p.blanked.push_back(blank(edit));
  for (const auto& blanked : p.blanked)
    batch->replace(room_, *blanked);
  if (std::erase(record_->pins, x.target) > 0) {
    batch->put(room_, *record_);
    p.record = record_;
  }
  commit_change(c, x.target, {kind_of(x), key_of(*c), digest(x)}, std::move(batch), std::move(e), std::move(p));
}

void room_actor::change_with(const command_ptr& c, const op::react& x, const storage::target_image& target) {
  auto own = target.own;
  auto state = target.state;
  auto i = std::lower_bound(own.emojis.begin(), own.emojis.end(), x.emoji);
  bool was = i != own.emojis.end() && *i == x.emoji;
  const keyed what{kind_of(x), key_of(*c), digest(x)};
  auto batch = std::make_shared<storage::batch>(room_.shard());
  if (was == x.on) { // nothing to tell anybody; the key is remembered all the same
    pending p;
    p.seq = own.changed != 0 ? own.changed : x.target;
    p.ts = own.changed != 0 ? own.ts : target.what->ts;
    commit_keyed(c, what, std::move(batch), std::nullopt, std::move(p));
    return;
  }
  bool is_new =
      std::none_of(state.reactions.begin(), state.reactions.end(), [&](const auto& r) { return r.first == x.emoji; });
  if (auto bound = house_.limits_now()->reactions_per_message; x.on && is_new && state.reactions.size() >= bound) {
    c->from.refuse(errc::too_large, "limits.reactions_per_message: " + std::to_string(bound));
    return;
  }
  auto e = next_event(event_kind::reaction, c->from.user);
  e.target = x.target;
  e.key = x.key;
  e.text = x.emoji;
  e.on = x.on;
  count(state, x.emoji, x.on);
  state.changed = own.changed = e.seq;
  own.ts = e.ts;
  if (x.on)
    own.emojis.insert(i, x.emoji);
  else
    own.emojis.erase(i);
  batch->put(room_, x.target, state);
  batch->put(room_, c->from.user, x.target, own);
  auto& on_the_way = changing_[x.target];
  on_the_way.state = std::move(state);
  on_the_way.own[c->from.user] = std::move(own);
  commit_change(c, x.target, what, std::move(batch), std::move(e), {});
}

/// REQUIRES: changing_ has the message as it will stand.
void room_actor::commit_change(const command_ptr& c, uint64_t target, const keyed& what,
                               std::shared_ptr<storage::batch> batch, storage::event e, pending p) {
  ++changing_[target].in_flight;
  p.target = target;
  house_.metrics.changes.add();
  commit_keyed(c, what, std::move(batch), std::move(e), std::move(p));
}

/// A change is durable. While another one is being looked up, what it may have read is older than this.
void room_actor::change_landed(uint64_t target) {
  auto i = changing_.find(target);
  if (i != changing_.end() && --i->second.in_flight == 0 && phase_ != phase::looking_up)
    changing_.erase(i);
}

void room_actor::replace_in_ring(const event_ptr& e) {
  if (ring_.empty() || e->seq < ring_.front()->seq || e->seq > ring_.back()->seq)
    return;
  auto& place = ring_[e->seq - ring_.front()->seq];
  ring_bytes_ -= size_of(*place) - size_of(*e);
  place = e;
}

} // namespace greenroom::room
