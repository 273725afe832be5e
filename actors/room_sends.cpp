// What is sent: a message into the log, or one in passing; and how often that may be. Replies come in by
// room_changes.cpp, what is sent later by room_due.cpp; all of it is said here.
#include "actors/house.hpp"
#include "actors/permissions.hpp"
#include "actors/room.hpp"

#include <algorithm>

namespace greenroom::room {

using storage::event_kind;
using storage::member_change;
using storage::member_role;

void room_actor::send(const command_ptr& c, const op::send& x) {
  // Whoever has been a member may ask again for the answer to a key, whatever has become of the membership.
  if (is_stranger(c->from.user)) {
    c->from.answer(*refusal(c->from.user, action::send));
    return;
  }
  auto key = key_of(*c);
  if (x.ephemeral)
    return pass_on(c, x);
  if (!x.attachments.empty())
    return look_for_files(c, x.attachments);
  if (x.at != 0)
    return look_for_scheduled(c, c->from.user, key);
  if (x.reply_to != 0)
    return change(c, x); // of the message that it replies to
  auto known = house_.store.find_key(room_, key, storage::read_tier::cached);
  // What is on its way answers its repetition: the disk, asked now, may not know of it when it has long landed.
  if (known && known->first == storage::lookup::would_block && !keys_in_flight_.contains(key)) {
    phase_ = phase::looking_up;
    looked_up_ = c;
    tell(house_.reader_of(room_.shard()), reader::find_key{room_, key, self()});
  } else {
    send_with(c, x, known);
  }
}

void room_actor::receive(const key_found& x) {
  auto c = std::exchange(looked_up_, nullptr);
  if (phase_ != phase::looking_up)
    return;
  phase_ = phase::serving;
  if (const auto* send = std::get_if<op::send>(&c->what))
    send_with(c, *send, x.what);
  else if (!x.what)
    refuse(*c, fail(errc::unavailable, "the store can't be read at present"));
  else if (auto i = keys_in_flight_.find(key_of(*c)); i != keys_in_flight_.end())
    i->second->causes.push_back(c);
  else if (x.what->first == storage::lookup::found)
    finish(c, x.what->second.seq);
  else
    carry_out(c);
  std::erase_if(changing_, [](const auto& i) { return i.second.in_flight == 0; });
  go_on();
}

void room_actor::send_with(const command_ptr& c, const op::send& x, const known_key& known) {
  const keyed what{event_kind::message, key_of(*c), content_as_sent(*c, content_of(x))};
  if (settle_by_key(c, what, known))
    return;
  const bool asks = wants_vetting(*c);
  auto why = refusal(c->from.user, action::send);
  if (why || (why = too_long(x.text)) || (why = too_soon(c->from.user)) || (why = wrong_files(x, c->from.user)) ||
      (why = too_many(!asks))) {
    c->from.answer(std::move(*why));
    return;
  }
  if (asks) {
    vet(c, what.key, question_of(c->from.user, x), what.content);
    return;
  }
  auto batch = std::make_shared<storage::batch>(room_.shard());
  auto files = use_files(*batch, x);
  say(c, x, c->from.user, what, std::move(batch), {}, std::nullopt, std::move(files));
}

/// Into the log. `root`: how that stands which it replies to; `files`: what is attached. REQUIRES: everything has been
/// judged.
void room_actor::say(const command_ptr& c, const op::send& x, const user_id& from, const keyed& what,
                     storage::batch_ptr batch, pending p, std::optional<storage::message_state> root,
                     std::vector<storage::attachment> files) {
  if (!present()) {
    establish_direct(*batch);
    p.record = record_;
  }
  auto e = next_event(event_kind::message, from);
  e.key = x.key;
  e.text = x.text;
  if (!x.data.empty())
    e.more.edit().data = x.data;
  if (auto meant = mentioned_in(x.text, from); !meant.empty()) {
    for (const auto& who : meant)
      batch->put_mention(room_, who, e.seq, from);
    e.more.edit().mentions = std::move(meant);
  }
  if (x.reply_to != 0)
    e.more.edit().reply_to = x.reply_to;
  for (const auto& file : files)
    batch->put_attached(room_, e.seq, file.id, from);
  if (!files.empty())
    e.more.edit().attachments = std::move(files);
  if (root) {
    ++root->replies;
    root->changed = root->last_reply = e.seq;
    batch->put(room_, x.reply_to, *root);
    batch->put_reply(room_, x.reply_to, e.seq);
    auto& on_the_way = changing_[x.reply_to];
    on_the_way.state = std::move(*root);
    ++on_the_way.in_flight;
    p.target = x.reply_to;
  }
  if (room_.is_direct() && e.seq == 1) {
    // The first word wakes both users; they attach their connections to the relay like those of any room.
    auto [a, b] = room_.peers();
    for (const auto& peer : {a, b}) {
      p.effects.push_back(effect_on(peer, e, member_change::joined, member_role::member));
      batch->put(p.effects.back());
    }
  }
  house_.metrics.sends.add();
  if (tenant_)
    tenant_->counts.sends.add();
  if (record_->slow_ms != 0)
    spoke_[from] = house_.steady_ms();
  commit_keyed(c, what, std::move(batch), std::move(e), std::move(p));
}

/// Heard by who listens now, and never again.
void room_actor::pass_on(const command_ptr& c, const op::send& x) {
  const auto& from = c->from.user;
  const bool asks = wants_vetting(*c);
  auto why = refusal(from, action::send);
  if (why || (why = too_long(x.text)) || (why = too_soon(from)) || (why = too_many(!asks))) {
    c->from.answer(std::move(*why));
    return;
  }
  if (asks) {
    vet(c, std::nullopt, question_of(from, x), 0);
    return;
  }
  if (record_ && record_->slow_ms != 0) {
    spoke_[from] = house_.steady_ms();
    ask_for_tick();
  }
  if (audience_->anybody())
    audience_->tell(relay::remark{from, house_.now_ms(), x.text, x.data});
  c->from.answer(ok::any{ok::none{}});
}

/// limits.text_bytes has been seen to by the codec.
std::optional<failure> room_actor::too_long(std::string_view text) const {
  const auto over = [&](uint32_t bound, std::string_view limit) -> std::optional<failure> {
    if (bound == 0 || text.size() <= bound)
      return std::nullopt;
    return fail(errc::too_large, "text: " + std::to_string(text.size()) + " bytes, at most " + std::to_string(bound) +
                                     " (" + std::string(limit) + ")");
  };
  auto why = over(tenant_ ? tenant_->limits.text_bytes : 0, "tenant.text_bytes");
  return why ? why : over(record_ ? record_->limits.text_bytes : 0, "limits.text_bytes of the room");
}

/// Slow mode holds for members; those who moderate are not slowed down.
std::optional<failure> room_actor::too_soon(const user_id& user) const {
  if (!record_ || record_->slow_ms == 0 || role_of(user) >= member_role::moderator)
    return std::nullopt;
  auto i = spoke_.find(user);
  if (i == spoke_.end())
    return std::nullopt;
  const auto left = i->second + record_->slow_ms - house_.steady_ms();
  if (left <= 0)
    return std::nullopt;
  return failure{errc::rate_limited, "room: one message in " + std::to_string(record_->slow_ms) + " ms (slow_ms)",
                 static_cast<uint32_t>(left)};
}

/// The least of what the node, the tenant and the room allow holds for all, and nobody is to blame: this is no flood of
/// one user's. Without `take` it is only looked at.
std::optional<failure> room_actor::too_many(bool take) {
  const auto now = house_.steady_ms();
  auto r = sends_of_room(*house_.limits_now());
  std::string_view key = "limits.sends_per_s_room", what = "sends per second per room";
  const auto lower = [&](uint32_t bound, std::string_view of_key, std::string_view of_what) {
    if (bound != 0 && (r.count == 0 || bound < r.count))
      r = {bound, 1'000, bound}, key = of_key, what = of_what;
  };
  lower(tenant_ ? tenant_->limits.sends_per_s_room : 0, "tenant.sends_per_s_room", what);
  lower(record_ ? record_->limits.sends_per_s : 0, "room", "sends per second (limits.sends_per_s of the room)");
  if (const auto wait = r.count == 0 ? 0 : take ? sends_.take(r, now) : sends_.wait(r, now); wait != 0) {
    house_.metrics.refused(flood::sends);
    return too_often(key, r.count, what, wait);
  }
  if (const auto wait = tenant_ ? tenant_->wait(now, take) : std::nullopt) {
    house_.metrics.refused(flood::sends);
    tenant_->counts.refused.add();
    return too_often("tenant.sends_per_s", tenant_->limits.sends_per_s, "sends per second of the namespace", *wait);
  }
  return std::nullopt;
}

} // namespace greenroom::room
