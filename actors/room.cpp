#include "actors/room.hpp"

#include "actors/house.hpp"
#include "actors/permissions.hpp"

#include <algorithm>

namespace greenroom::room {
namespace {

using storage::event_kind;
using storage::member_change;
using storage::member_role;
using storage::room_kind;

/// Whether the answer comes when the user's own list knows.
bool waits_for_list(const command& c) {
  return std::holds_alternative<op::create>(c.what) || std::holds_alternative<op::join>(c.what) ||
         std::holds_alternative<op::leave>(c.what);
}

bool only_looks(const command& c) {
  return std::holds_alternative<op::history>(c.what) || std::holds_alternative<op::thread>(c.what) ||
         std::holds_alternative<op::scheduled>(c.what) || std::holds_alternative<op::members>(c.what) ||
         std::holds_alternative<op::pins>(c.what) || std::holds_alternative<op::subscribe>(c.what) ||
         std::holds_alternative<pull>(c.what) || std::holds_alternative<op::fetch>(c.what) ||
         std::holds_alternative<peek>(c.what) || std::holds_alternative<watch>(c.what) ||
         std::holds_alternative<gather>(c.what);
}

} // namespace

room_actor::room_actor(caf::actor_config& cfg, house& in, host& on, room_id room, keeper shard,
                       std::shared_ptr<audience> listeners)
    : hosted_actor(cfg, on, actor_kind::room, room.str(), in.living), house_(in), room_(std::move(room)),
      shard_(std::move(shard)), audience_(std::move(listeners)), tenant_(in.tenants.find(room_.name_space())) {
  if (tenant_)
    tenant_->counts.rooms.add();
  house_.metrics.rooms_active.add();
  house_.metrics.rooms_activated.add();
}

room_actor::~room_actor() {
  if (tenant_)
    tenant_->counts.rooms.add(-1);
  house_.metrics.rooms_active.add(-1);
}

// -- life ------------------------------------------------------------------------------------------------------------

void room_actor::load() {
  phase_ = phase::loading;
  era_ = house_.era_of(room_.shard()); // before the read: what fails meanwhile makes the image stale
  hooks_version_ = house_.hooks.version();
  hook_set_ = house_.hooks.set();
  tell(house_.reader_of(room_.shard()), reader::load_room{room_, hooks_version_ > 1, self()});
}

void room_actor::receive(const room_loaded& x) {
  if (!*x.what) {
    phase_ = phase::cold;
    auto why = fail(errc::unavailable, "the store takes no writes at present: " + x.what->error().message);
    for (const auto& c : std::exchange(waiting_, {})) {
      // What was committed before the failure stays true: looking goes on.
      if (head_ > 0 && only_looks(*c) && !void_)
        carry_out(c);
      else
        refuse(*c, why);
    }
    try_to_end();
    return;
  }
  phase_ = phase::serving;
  void_ = false;
  record_.reset();
  members_.clear();
  member_count_ = 0;
  ring_.clear();
  ring_bytes_ = 0;
  drawn_ = head_ = announced_ = told_ = drawn_messages_ = head_messages_ = 0;
  hooks_.clear();
  asks_first_ = hook_set_->before_send && hooks::covers(hook_set_->before_send->what.rooms, room_.str());
  if (const auto& image = **x.what) {
    record_ = image->record;
    shown_ = image->record;
    drawn_ = head_ = announced_ = told_ = image->head;
    drawn_messages_ = head_messages_ = image->messages;
    last_ts_ = head_ts_ = image->head_ts;
    for (const auto& [user, member] : image->members) {
      members_.emplace(user, member);
      member_count_ += member.role != member_role::none ? 1 : 0;
    }
    for (const auto& e : image->recent) {
      ring_.push_back(std::make_shared<const storage::event>(e));
      ring_bytes_ += size_of(e);
    }
    load_hooks(image->hooks);
    // A write that was reported as failed may have reached the disk after all: listeners must not miss it.
    audience_->tell(relay::announce{head_});
    tell_size();
    if (present() && keeps_some(*record_)) // a room of an older store may not stand among what is due
      tell(shard_, due_later{next_retention()});
    clear_out();
  } else {
    load_hooks({});
  }
  go_on();
}

void room_actor::receive(const ask& x) {
  auto bound = house_.config.rooms.pending;
  if (waiting_.size() + pending_.size() + awaiting_effects_.size() + rare_->begun.size() + rare_->uploads.size() +
          rare_->vettings.size() + rare_->lined_up >=
      bound) {
    refuse(*x.what,
           fail(errc::unavailable, "rooms.pending: " + std::to_string(bound) + " commands wait for this room"));
    return;
  }
  if (phase_ == phase::serving && waiting_.empty() && !stale()) {
    perform(x.what); // the usual way
    if (!present())
      go_on();
    return;
  }
  waiting_.push_back(x.what);
  go_on();
}

/// Carries out what waits, as far as nothing makes it wait.
void room_actor::go_on() {
  while (!waiting_.empty() && phase_ == phase::serving) {
    if (stale()) {
      // A write failed since this room was read, here or elsewhere. What is under way settles first.
      if (pending_.empty())
        load();
      return;
    }
    auto c = std::move(waiting_.front());
    waiting_.pop_front();
    perform(c);
  }
  if (waiting_.empty() && phase_ == phase::serving && !rare_->agreed_to.empty())
    rare_.edit().agreed_to.clear();
  if (!waiting_.empty() && phase_ == phase::cold)
    load();
  if (phase_ == phase::serving && !present() && pending_.empty() && rare_->vettings.empty())
    ask_to_retire(); // there is no such room: no reason to stay
  try_to_end();
}

/// Something has changed that is only known when the room has been read.
bool room_actor::stale() const noexcept {
  return era_ != house_.era_of(room_.shard()) || hooks_version_ != house_.hooks.version();
}

/// A write failed. Nothing that was admitted is acknowledged, and the room must be read anew.
void room_actor::fail_pending() {
  auto why = fail(errc::unavailable, "the store takes no writes at present; nothing was acknowledged");
  void_ = void_ || seats_are_unsettled();
  spoke_.clear();
  for (const auto& [seq, page] : std::exchange(held_pages_, {}))
    refuse(*page.cause, why);
  for (const auto& p : std::exchange(pending_, {})) {
    for (const auto& c : p.causes)
      refuse(*c, why);
    for (const auto& c : p.followers)
      refuse(*c, why);
  }
  keys_in_flight_.clear();
  changing_.clear();
  if (looked_up_)
    waiting_.push_front(std::exchange(looked_up_, nullptr));
  finish_awaiting();
  phase_ = phase::cold;
  go_on();
}

void room_actor::refuse(const command& c, const failure& why) {
  if (const auto* p = std::get_if<pull>(&c.what))
    tell(p->to, pulled{c.from.ticket, false, {}, 0, 1}); // the connection asks again
  else if (const auto* k = std::get_if<peek>(&c.what))
    tell(k->to, stands{c.from.ticket, why, nullptr});
  else if (listens(c))
    refuse_listener(c.from, why);
  else
    c.from.answer(why);
}

void room_actor::receive(const retire& x) {
  retiring_ = true;
  if (x.stopping)
    finish_awaiting();
  end_questions(INT64_MAX); // what that lets go may begin to be vetted
  if (x.stopping)
    end_vetting(fail(errc::unavailable, "the server is going down"));
  try_to_end();
}

void room_actor::ask_to_retire() {
  if (!std::exchange(asked_to_retire_, true))
    tell(shard_, wants_retire{room_, this->id()});
}

void room_actor::try_to_end() {
  if (!retiring_ || phase_ == phase::loading || phase_ == phase::looking_up)
    return; // the answer of a reader is under way
  if (std::any_of(rare_->uploads.begin(), rare_->uploads.end(), [](const auto& u) { return u.second.token != 0; }))
    return; // the bulk lane answers yet
  if (!pending_.empty() || !awaiting_effects_.empty() || !rare_->begun.empty() || !reading_.empty() ||
      !waiting_.empty() || !held_pages_.empty() || !rare_->vettings.empty() || !rare_->lines.empty())
    return;
  tell(shard_, retired{room_, this->id()});
  retiring_ = false;
  quit();
}

void room_actor::ask_for_tick() {
  if (!std::exchange(reminded_, true))
    tell(shard_, remind{room_});
}

void room_actor::receive(const tick&) {
  reminded_ = false;
  auto now = house_.steady_ms();
  for (auto i = typing_.begin(); i != typing_.end();) {
    if (i->second > now) {
      ++i;
      continue;
    }
    audience_->tell(relay::typing{i->first, false});
    i = typing_.erase(i);
  }
  std::erase_if(spoke_, [&](const auto& s) { return !record_ || s.second + record_->slow_ms <= now; });
  if (announced_ != head_)
    audience_->tell(relay::announce{announced_ = head_});
  if (!typing_.empty())
    ask_for_tick();
  end_questions(now);
  tell_activity();
}

/// However large the room and however much happens in it, a tick costs only so many messages. Nobody is woken by them.
void room_actor::tell_activity() {
  const auto& config = house_.config.rooms;
  if (config.activity_members == 0 || (next_told_.empty() && told_ == head_))
    return;
  ask_for_tick();
  auto now = house_.steady_ms();
  auto member = members_.begin();
  if (!next_told_.empty()) {
    member = members_.lower_bound(next_told_);
  } else if (now - told_at_ < int64_t{config.activity_s} * 1'000) {
    return;
  } else {
    told_at_ = now;
    told_ = head_;
  }
  auto share = (config.activity_members + config.activity_s - 1) / config.activity_s;
  for (; member != members_.end() && share > 0; ++member) {
    if (member->second.role == member_role::none)
      continue;
    --share;
    user::activity what{room_, {record_->epoch, head_, head_ts_}};
    auto news = std::make_shared<const user::command>(user::command{member->first, caller{}, std::move(what)});
    tell(house_.shard_of(member->first), user::ask{std::move(news)});
  }
  next_told_ = member == members_.end() ? user_id{} : member->first;
}

// -- commands --------------------------------------------------------------------------------------------------------

void room_actor::perform(const command_ptr& c) {
  if (!rare_->questions.empty() && is_behind_question(c))
    return;
  if (waits_in_line(c))
    return;
  bool writes = has_key(*c) || waits_for_list(*c) || changes_room(*c) || std::holds_alternative<op::cancel>(c->what) ||
                std::holds_alternative<fall_due>(c->what) || std::holds_alternative<shun>(c->what) ||
                std::holds_alternative<op::upload>(c->what) || std::holds_alternative<op::store>(c->what) ||
                std::holds_alternative<op::discard>(c->what) || std::holds_alternative<hook_moved>(c->what) ||
                std::holds_alternative<replay>(c->what);
  if (writes && house_.storage_is_full()) { // before a seq is drawn: what is admitted is never skipped
    refuse(*c, fail(errc::unavailable, "storage.queue: too many writes wait for the disk"));
    return;
  }
  // A page or a read position takes account of what was sent before it, so it waits until that is durable. And nobody
  // is let in by a decision that may yet turn out never to have been made.
  bool looks_back = std::holds_alternative<op::history>(c->what) || std::holds_alternative<op::thread>(c->what) ||
                    std::holds_alternative<op::scheduled>(c->what) || std::holds_alternative<op::read>(c->what) ||
                    std::holds_alternative<op::pins>(c->what) || std::holds_alternative<gather>(c->what) ||
                    (std::holds_alternative<op::configure>(c->what) && !changes_room(*c));
  bool comes_in = std::holds_alternative<op::subscribe>(c->what) || std::holds_alternative<peek>(c->what);
  if ((looks_back && !pending_.empty()) || (comes_in && seats_are_unsettled())) {
    pending_.back().followers.push_back(c);
    return;
  }
  // What is repeated after a failover, without a key of its client's, may have been done.
  if (changes_room(*c) && c->from.retried) {
    phase_ = phase::looking_up;
    looked_up_ = c;
    tell(house_.reader_of(room_.shard()), reader::find_key{room_, key_of(*c), self()});
    return;
  }
  carry_out(c);
}

/// Whether anything on its way to the disk changes who may see the room.
bool room_actor::seats_are_unsettled() const {
  return std::any_of(pending_.begin(), pending_.end(), [](const pending& p) {
    return p.what && (p.what->kind == event_kind::member || p.what->kind == event_kind::room);
  });
}

/// Does what is asked; it has waited for all that it has to wait for.
void room_actor::carry_out(const command_ptr& c) {
  auto dispatch = [&](const auto& x) {
    using op_type = std::decay_t<decltype(x)>;
    if constexpr (std::is_same_v<op_type, op::create>)
      create(c, x);
    else if constexpr (std::is_same_v<op_type, op::join>)
      join(c, x);
    else if constexpr (std::is_same_v<op_type, op::leave>)
      leave(c, x);
    else if constexpr (std::is_same_v<op_type, op::subscribe>)
      subscribe(c, x);
    else if constexpr (std::is_same_v<op_type, op::send>)
      send(c, x);
    else if constexpr (std::is_same_v<op_type, op::edit> || std::is_same_v<op_type, op::revoke> ||
                       std::is_same_v<op_type, op::react> || std::is_same_v<op_type, op::pin>)
      change(c, x);
    else if constexpr (std::is_same_v<op_type, op::moderate>)
      moderate(c, x);
    else if constexpr (std::is_same_v<op_type, op::topic>)
      topic(c, x);
    else if constexpr (std::is_same_v<op_type, op::configure>)
      configure(c, x);
    else if constexpr (std::is_same_v<op_type, op::history>)
      history(c, x);
    else if constexpr (std::is_same_v<op_type, op::thread>)
      thread(c, x);
    else if constexpr (std::is_same_v<op_type, op::scheduled>)
      scheduled(c, x);
    else if constexpr (std::is_same_v<op_type, op::cancel>)
      look_for_scheduled(c, c->from.user, key_of(*c));
    else if constexpr (std::is_same_v<op_type, op::upload>)
      begin(c, x);
    else if constexpr (std::is_same_v<op_type, op::store>)
      store(c, x);
    else if constexpr (std::is_same_v<op_type, op::fetch>)
      fetch(c, x);
    else if constexpr (std::is_same_v<op_type, op::discard>)
      look_for_files(c, {x.file});
    else if constexpr (std::is_same_v<op_type, fall_due>)
      fall_due_now(c, x.what);
    else if constexpr (std::is_same_v<op_type, hook_moved>)
      move_hook(c, x);
    else if constexpr (std::is_same_v<op_type, replay>)
      set_back(c, x);
    else if constexpr (std::is_same_v<op_type, op::read>)
      read(c, x);
    else if constexpr (std::is_same_v<op_type, op::typing>)
      typing(c, x);
    else if constexpr (std::is_same_v<op_type, op::members>)
      members(c, x);
    else if constexpr (std::is_same_v<op_type, op::pins>)
      pins(c, x);
    else if constexpr (std::is_same_v<op_type, shun>)
      shunned(c, x);
    else if constexpr (std::is_same_v<op_type, gather>)
      gather_page(c, x);
    else
      look(c, x);
  };
  std::visit(dispatch, c->what);
}

// -- pieces ----------------------------------------------------------------------------------------------------------

storage::event room_actor::next_event(event_kind kind, const user_id& from) {
  storage::event e;
  e.kind = kind;
  e.seq = ++drawn_;
  e.messages = drawn_messages_ += kind == event_kind::message ? 1 : 0;
  e.ts = last_ts_ = std::max(house_.now_ms(), last_ts_); // the clock may step back; the log's time never does
  e.from = from;
  return e;
}

void room_actor::commit(std::shared_ptr<const storage::batch> batch, pending p) {
  p.token = ++next_token_;
  pending_.push_back(std::move(p));
  house_.commits_waiting.fetch_add(1);
  if (auto& last = pending_.back(); last.key)
    keys_in_flight_[last.key->key] = &last;
  tell(house_.committer_of(room_.shard()), persist::commit{std::move(batch), era_, next_token_, self()});
}

void room_actor::receive(const committed& x) {
  if (pending_.empty() || pending_.front().token != x.token)
    return; // of a time before a failure: refused already
  if (!x.ok) {
    fail_pending();
    return;
  }
  auto p = std::move(pending_.front());
  pending_.pop_front();
  if (p.key)
    keys_in_flight_.erase(p.key->key);
  succeed(p, x.copies);
  for (const auto& c : p.followers)
    carry_out(c);
  answer_held_pages();
  if (!pending_.empty())
    return;
  clear_out();
  if (phase_ == phase::settling)
    phase_ = phase::serving;
  go_on(); // a stale room waited for this; a retiring one may end
}

void room_actor::succeed(pending& p, uint32_t copies) {
  if (!p.effects.empty())
    tell(shard_, effects{std::move(p.effects)});
  if (p.record) {
    shown_ = std::move(*p.record);
    for (; !ring_.empty() && ring_.front()->seq < shown_.first; ring_.pop_front())
      ring_bytes_ -= size_of(*ring_.front());
  }
  if (p.opened != 0)
    tell_hooks(p);
  if (p.settled)
    tell(house_.pusher, *p.settled);
  if (p.done)
    tell(shard_, due_done{*p.done});
  if (p.later)
    tell(shard_, due_later{*p.later});
  for (const auto& e : p.blanked)
    replace_in_ring(e);
  if (p.what) {
    head_ = p.what->seq;
    head_ts_ = p.what->ts;
    head_messages_ = p.what->messages;
    publish(p.what);
  }
  if (p.target != 0)
    change_landed(p.target);
  const auto& first = *p.causes.front();
  const auto* sent = std::get_if<op::send>(&first.what);
  if (sent && sent->at != 0) {
    bool duplicate = false;
    for (const auto& c : p.causes)
      c->from.answer(ok::any{ok::kept{room_, record_->epoch, sent->at, sent->key, std::exchange(duplicate, true)}});
  } else if (has_key(first)) {
    bool duplicate = false;
    for (const auto& c : p.causes) {
      c->from.answer(ok::any{ok::sent{room_, record_->epoch, p.seq, p.ts, duplicate, copies, copies}});
      house_.metrics.acks.add();
      duplicate = true;
    }
  } else if (p.what && waits_for_list(first)) {
    awaiting_effects_[p.what->seq] = std::move(p.causes);
  } else {
    for (const auto& c : p.causes)
      finish(c, p.what ? p.what->seq : p.seq);
  }
  if (p.ends_room)
    forget_room();
}

/// The room is gone; another one may be made under its name by this very actor.
void room_actor::forget_room() {
  finish_awaiting(); // while there is an epoch to name
  const auto gone = fail(errc::not_found, "room: no such room");
  for (const auto& [token, r] : std::exchange(reading_, {}))
    refuse(*r.cause, gone);
  for (const auto& [seq, page] : std::exchange(held_pages_, {}))
    refuse(*page.cause, gone);
  record_.reset();
  members_.clear();
  member_count_ = 0;
  ring_.clear();
  ring_bytes_ = 0;
  drawn_ = head_ = announced_ = told_ = drawn_messages_ = head_messages_ = 0;
  last_ts_ = head_ts_ = 0;
  changing_.clear();
  typing_.clear();
  spoke_.clear();
  next_told_ = {};
  load_hooks({});
}

void room_actor::publish(const event_ptr& e) {
  ring_.push_back(e);
  ring_bytes_ += size_of(*e);
  const auto& c = house_.config.rooms;
  while (ring_.size() > c.ring_events || (ring_bytes_ > c.ring_bytes && ring_.size() > 1)) {
    ring_bytes_ -= size_of(*ring_.front());
    ring_.pop_front();
  }
  tell_size();
  if (audience_->anybody())
    audience_->tell(relay::publish{e});
  ask_for_tick();
}

} // namespace greenroom::room
