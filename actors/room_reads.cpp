// The half of the room that only looks: subscriptions, pages, pulls, read positions, typing, members.
#include "actors/house.hpp"
#include "actors/permissions.hpp"
#include "actors/room.hpp"

#include <algorithm>
#include <iterator>

namespace greenroom::room {
namespace {

std::string until_text(int64_t ms) {
  return ms == INT64_MAX ? std::string{} : " until " + std::to_string(ms) + " (ms since 1970 UTC)";
}

using storage::member_role;
using storage::room_kind;

} // namespace

member_role room_actor::role_of(const user_id& user) const {
  if (room_.is_direct()) {
    auto [a, b] = room_.peers();
    return user == a || user == b ? member_role::member : member_role::none;
  }
  auto i = members_.find(user);
  return i == members_.end() ? member_role::none : i->second.role;
}

/// Whoever is here for the first time: what they can't do, they are told without a look at the disk.
bool room_actor::is_stranger(const user_id& user) const {
  return room_.is_direct() ? role_of(user) == member_role::none : !members_.contains(user);
}

std::optional<failure> room_actor::refusal(const user_id& user, action what) const {
  if (!present() && !room_.is_direct())
    return fail(errc::not_found, "room: no such room");
  const auto role = role_of(user);
  const auto m = members_.find(user);
  const auto now = house_.now_ms();
  if (m != members_.end() && m->second.more->banned_until > now)
    return fail(errc::banned, "room: you are banned" + until_text(m->second.more->banned_until));
  if (!may(kind(), role, what)) {
    if (room_.is_direct())
      return role == member_role::none ? fail(errc::not_member, "room: nobody else can enter a direct room")
                                       : fail(errc::forbidden, "room: not in a direct room");
    if (what == action::join)
      return fail(errc::forbidden, "room: private, an invitation is needed");
    if (role == member_role::none)
      return fail(errc::not_member, "room: you are not a member");
    return fail(errc::forbidden, "room: not as " + std::string(to_string(role)));
  }
  if (room_.is_direct() && what != action::see && what != action::join && what != action::take_back)
    if (auto why = silenced(user))
      return why;
  const bool speaks = what == action::send || what == action::react;
  if (speaks && m != members_.end() && m->second.more->muted_until > now)
    return fail(errc::muted, "room: you are muted" + until_text(m->second.more->muted_until));
  return std::nullopt;
}

standing room_actor::stand(const user_id& user, const std::optional<position>& resume, bool goes_on) const {
  standing s;
  s.role = role_of(user);
  s.head = head_;
  s.head_ts = head_ts_;
  s.cursor = head_;
  s.member_count = member_count_;
  s.apart = is_apart();
  if (!ring_.empty())
    s.last = ring_.back();
  if (record_) {
    s.epoch = record_->epoch;
    s.kind = record_->kind;
    s.first = record_->first;
  }
  if (resume) {
    s.recovered = present() && resume->epoch == record_->epoch && resume->seq <= head_ &&
                  resume->seq + 1 >= record_->first &&
                  (goes_on || head_ - resume->seq <= house_.limits_now()->resume_events);
    if (*s.recovered)
      s.cursor = resume->seq;
  }
  return s;
}

/// `at`: the caller's own event, after which its stream begins whatever has been said since.
void room_actor::let_in(const caller& from, const std::optional<position>& resume, std::optional<uint64_t> at,
                        bool goes_on) {
  auto s = stand(from.user, resume, goes_on);
  if (at && !resume)
    s.cursor = *at;
  if (from.connection != 0)
    audience_->admit(from, std::move(s));
  else // through REST
    from.answer(ok::any{ok::joined{s.epoch, s.head, s.role, s.member_count,
                                   s.apart ? uint64_t{audience_->present->status(from.user) != seen_as::offline}
                                           : audience_->present->count(),
                                   s.recovered}});
}

void room_actor::refuse_listener(const caller& from, failure why) {
  if (from.connection != 0)
    audience_->refuse(from, std::move(why));
  else
    from.answer(std::move(why));
}

void room_actor::subscribe(const command_ptr& c, const op::subscribe& x) {
  if (auto why = refusal(c->from.user, action::see)) {
    refuse_listener(c->from, std::move(*why));
    return;
  }
  if (x.goes_on && role_of(c->from.user) == member_role::none) {
    refuse_listener(c->from, fail(errc::not_member, "room: you are not a member"));
    return;
  }
  if (!present()) {
    // Positions need an epoch that lasts: a direct room is made durable for its first listener.
    auto batch = std::make_shared<storage::batch>(room_.shard());
    establish_direct(*batch);
    pending p;
    p.causes = {c};
    p.record = record_;
    commit(std::move(batch), std::move(p));
  } else if (drawn_ == 0 && !pending_.empty()) {
    pending_.back().followers.push_back(c); // it is being made
  } else {
    let_in(c->from, x.resume, std::nullopt, x.goes_on);
  }
}

void room_actor::look(const command_ptr& c, const peek& x) {
  if (auto why = refusal(c->from.user, action::see))
    tell(x.to, stands{c->from.ticket, std::move(*why), nullptr});
  else if (x.read && present())
    count_for(c, x);
  else
    tell(x.to, stands{c->from.ticket, stand(c->from.user, x.resume), nullptr});
}

void room_actor::look(const command_ptr& c, const pull& x) {
  // Of a room that was deleted, listeners get what they have not seen yet, as long as it is there.
  bool refused = !record_ || record_->epoch != x.epoch;
  if (!refused && record_->deleted == 0 && refusal(c->from.user, action::see)) {
    // Who has been removed still gets everything up to the event that says so.
    auto m = members_.find(c->from.user);
    refused = m == members_.end() || m->second.since <= x.after;
  }
  if (refused) {
    tell(x.to, pulled{c->from.ticket, true, {}, head_, 1});
    return;
  }
  house_.metrics.pulls.add();
  auto l = house_.limits_now();
  auto bytes = std::min(l->page_bytes, l->outbox_bytes / 4);
  pulled found{c->from.ticket, false, {}, head_, record_->first};
  if (from_ring(x.after, l->pull_events, bytes, found.events)) {
    tell(x.to, std::move(found));
    return;
  }
  reader::read_page page;
  page.where = reader::read_page::how::after;
  page.seq = x.after;
  page.limit = l->pull_events;
  page.bytes = bytes;
  read_from_store(c, std::move(page));
}

void room_actor::history(const command_ptr& c, const op::history& x) {
  if (auto why = refusal(c->from.user, action::see)) {
    c->from.answer(std::move(*why));
    return;
  }
  if (!present() || head_ == 0) {
    ok::page nothing;
    nothing.room = room_;
    if (present())
      nothing.epoch = record_->epoch;
    c->from.answer(ok::any{std::move(nothing)});
    return;
  }
  auto l = house_.limits_now();
  using from = op::history::from;
  bool before = x.where == from::before;
  if (before || x.where == from::after) {
    // The end of the log is what most people ask for, and it is at hand.
    uint64_t last = before ? std::min(x.seq - 1, head_) : std::min(head_, std::min(x.seq, head_) + x.limit);
    uint64_t after = before ? last - std::min<uint64_t>(last, x.limit) : x.seq;
    after = std::max(after, record_->first - 1);
    std::vector<event_ptr> found;
    if (after < last && !changed_in_ring(after, last) &&
        from_ring(after, static_cast<uint32_t>(last - after), l->page_bytes, found) && found.size() == last - after) {
      ok::page page;
      page.room = room_;
      page.epoch = record_->epoch;
      page.more = before ? after + 1 > record_->first : last < head_;
      page.first = record_->first;
      page.as_of = head_;
      page.events.reserve(found.size());
      for (const auto& e : found)
        page.events.push_back(*e);
      c->from.answer(ok::any{std::move(page)});
      return;
    }
  }
  reader::read_page page;
  switch (x.where) {
  case from::before:
    page.where = reader::read_page::how::before;
    break;
  case from::after:
    page.where = reader::read_page::how::after;
    break;
  case from::around:
    page.where = reader::read_page::how::around;
    break;
  case from::at:
    page.where = reader::read_page::how::at;
    break;
  }
  page.seq = x.seq;
  page.ts = x.ts;
  page.limit = x.limit;
  page.bytes = l->page_bytes;
  page.fold_for = c->from.user;
  read_from_store(c, std::move(page));
}

/// True if the ring holds what follows `after`; then `into` has as much of it as the bounds allow.
bool room_actor::from_ring(uint64_t after, uint32_t limit, uint32_t bytes, std::vector<event_ptr>& into) const {
  if (after >= head_)
    return true;
  if (ring_.empty() || ring_.front()->seq > after + 1)
    return false;
  size_t size = 0;
  for (auto i = after + 1 - ring_.front()->seq; i < ring_.size() && into.size() < limit; ++i) {
    size += size_of(*ring_[i]);
    if (size > bytes && !into.empty())
      break;
    into.push_back(ring_[i]);
  }
  return true;
}

/// Whether a message in (after, last] has been changed by an event that the ring holds. Where the ring holds the
/// messages, it holds all that has changed them.
bool room_actor::changed_in_ring(uint64_t after, uint64_t last) const {
  return std::any_of(ring_.begin(), ring_.end(), [&](const event_ptr& e) {
    const auto changed = e->target != 0 ? e->target : e->more->reply_to;
    return changed > after && changed <= last;
  });
}

void room_actor::read_from_store(const command_ptr& c, reader::read_page page) {
  page.room = room_;
  page.first = record_->first;
  page.head = head_;
  page.token = ++next_token_;
  page.to = self();
  reading_.emplace(page.token, reading{c, head_, record_->first});
  tell(house_.reader_of(room_.shard()), std::move(page));
}

void room_actor::receive(const page_read& x) {
  auto i = reading_.find(x.token);
  if (i == reading_.end())
    return;
  auto [c, as_of, first] = std::move(i->second);
  reading_.erase(i);
  const auto& found = *x.what;
  if (const auto* p = std::get_if<pull>(&c->what)) {
    pulled page{c->from.ticket, false, {}, head_, record_ ? record_->first : 1};
    if (found)
      for (const auto& e : found->events)
        page.events.push_back(std::make_shared<const storage::event>(e));
    tell(p->to, std::move(page)); // empty on failure: the connection asks again
    try_to_end();
    return;
  }
  if (!found && record_ && record_->first != first) { // what was to be read has been dropped meanwhile
    waiting_.push_back(c);
    go_on();
    return;
  }
  if (!found) {
    c->from.answer(found.error());
    try_to_end();
    return;
  }
  if (found->folded > head_ && pending_.empty()) {
    // No commit will bring it: the page was read while the room does not know where it stands. Once it does, again.
    waiting_.push_back(c);
    go_on();
    return;
  }
  held_page page{c,
                 {room_, record_->epoch, found->events, found->folds, found->more, record_->first,
                  std::max(as_of, found->folded)}};
  held_pages_.emplace(page.what.as_of, std::move(page));
  answer_held_pages();
  try_to_end();
}

/// A page may show a change that is on the disk and not yet known here to be. Whoever goes on at its `as_of` must get
/// what follows, so it waits for that.
void room_actor::answer_held_pages() {
  for (auto i = held_pages_.begin(); i != held_pages_.end() && i->first <= head_; i = held_pages_.erase(i)) {
    auto& [cause, page] = i->second;
    if (const auto* t = std::get_if<op::thread>(&cause->what))
      cause->from.answer(ok::any{ok::thread{std::move(page), t->read}});
    else if (const auto* g = std::get_if<gather>(&cause->what))
      answer_gathered(*cause, *g, std::move(page));
    else
      cause->from.answer(ok::any{std::move(page)});
  }
}

/// By seq, not by when they were pinned: so a page goes on where the last one ended whatever is pinned meanwhile.
void room_actor::pins(const command_ptr& c, const op::pins& x) {
  if (auto why = refusal(c->from.user, action::see)) {
    c->from.answer(std::move(*why));
    return;
  }
  if (!present()) {
    c->from.refuse(errc::not_found, "room: nothing has been said in it");
    return;
  }
  reader::read_page page;
  page.where = reader::read_page::how::picked;
  std::copy_if(record_->pins.begin(), record_->pins.end(), std::back_inserter(page.picks),
               [&](uint64_t seq) { return seq > x.after && seq >= record_->first; });
  std::sort(page.picks.begin(), page.picks.end());
  page.limit = x.limit;
  page.bytes = house_.limits_now()->page_bytes;
  page.fold_for = c->from.user;
  read_from_store(c, std::move(page));
}

void room_actor::read(const command_ptr& c, const op::read& x) {
  if (auto why = refusal(c->from.user, action::see)) {
    c->from.answer(std::move(*why));
    return;
  }
  if (role_of(c->from.user) == member_role::none) { // who only listens has no position
    c->from.refuse(errc::not_member, "room: you are not a member");
    return;
  }
  if (x.seq > head_) {
    c->from.refuse(errc::bad_request, "seq: beyond the room's last event");
    return;
  }
  if (x.thread >= x.seq) { // a reply comes after what it replies to
    c->from.refuse(errc::bad_request, "thread: must be below seq");
    return;
  }
  // The position is the user's; the room only says that it is a possible one.
  auto mark = std::make_shared<const user::command>(user::command{
      c->from.user, c->from,
      user::mark_read{room_, present() ? record_->epoch : std::string{}, x.seq, x.thread, x.arrived, x.quiet}});
  tell(house_.shard_of(c->from.user), user::ask{std::move(mark)});
}

/// The user's position has moved forward, durably: others may see it.
void room_actor::look(const command_ptr& c, const receipt& x) {
  if (present() && record_->epoch == x.epoch && !is_apart() && member_count_ <= house_.config.rooms.receipts_members)
    audience_->tell(relay::receipt{c->from.user, x.seq, x.arrived});
}

void room_actor::look(const command_ptr& c, const watch&) {
  audience_->announce_to(c->from.node, head_);
  c->from.answer(ok::any{ok::none{}});
}

void room_actor::typing(const command_ptr& c, const op::typing& x) {
  const auto& user = c->from.user;
  if (auto why = refusal(user, action::react)) {
    c->from.answer(std::move(*why));
    return;
  }
  const auto& config = house_.config.rooms;
  auto i = typing_.find(user);
  bool was = i != typing_.end();
  if (x.on && (was || typing_.size() < config.typing_users)) {
    typing_[user] = house_.steady_ms() + int64_t{config.typing_s} * 1000;
    ask_for_tick();
  } else if (!x.on && was) {
    typing_.erase(i);
  }
  if (x.on != was)
    audience_->tell(relay::typing{user, x.on});
  c->from.answer(ok::any{ok::none{}});
}

void room_actor::members(const command_ptr& c, const op::members& x) {
  if (auto why = refusal(c->from.user, action::see)) {
    c->from.answer(std::move(*why));
    return;
  }
  if (auto why = x.banned || x.muted ? refusal(c->from.user, action::moderate) : std::nullopt) {
    c->from.answer(std::move(*why));
    return;
  }
  const auto now = house_.now_ms();
  auto listed = [&](const storage::member_record& m) {
    if (x.muted)
      return m.more->muted_until > now;
    return x.banned ? m.more->banned_until > now : m.role != member_role::none;
  };
  ok::members page;
  auto i = x.after.empty() ? members_.begin() : members_.upper_bound(user_id::trusted(x.after));
  for (; i != members_.end() && page.list.size() < x.limit; ++i)
    if (listed(i->second))
      page.list.push_back({i->first, i->second.role, seen_as::offline,
                           i->second.more->muted_until > now ? i->second.more->muted_until : 0,
                           x.banned ? i->second.more->banned_until : 0});
  if (i != members_.end() && !page.list.empty())
    page.next = page.list.back().user.str();
  if (is_apart()) {
    for (auto& m : page.list)
      m.status = m.user == c->from.user ? audience_->present->status(m.user) : seen_as::offline;
    c->from.answer(ok::any{std::move(page)});
    return;
  }
  if (audience_->relay) { // behind those who have just come
    tell(audience_->relay, relay::who{c->from, std::move(page)});
    return;
  }
  for (auto& m : page.list)
    m.status = audience_->present->status(m.user);
  c->from.answer(ok::any{std::move(page)});
}

} // namespace greenroom::room
