// What concerns the shards of users, too: blocks, which a direct room keeps in its two seats; invitations, about which
// the invited one is asked; and what there is about one user, to be exported or erased.
#include "actors/house.hpp"
#include "actors/room.hpp"

#include <algorithm>

namespace greenroom::room {
namespace {

using storage::event_kind;
using storage::member_change;
using storage::member_role;

constexpr uint32_t gathered_at_once = 1'000; // events of the log that are looked at for one page

/// What a client asks for and expects to take effect in order.
bool is_clients(const command& c) {
  return !std::holds_alternative<pull>(c.what) && !std::holds_alternative<peek>(c.what) &&
         !std::holds_alternative<receipt>(c.what) && !std::holds_alternative<watch>(c.what) &&
         !std::holds_alternative<fall_due>(c.what) && !std::holds_alternative<shun>(c.what) &&
         !std::holds_alternative<gather>(c.what);
}

} // namespace

// -- blocks ----------------------------------------------------------------------------------------------------------

/// Why nothing can be said in a direct room. REQUIRES: the user is one of its two.
std::optional<failure> room_actor::silenced(const user_id& user) const {
  for (const auto& [peer, seat] : members_) {
    if (seat.more->erased)
      return fail(errc::forbidden, peer == user ? "room: your account is gone" : "room: the other account is gone");
    if (seat.more->blocks)
      return fail(errc::forbidden, peer == user ? "room: you have blocked the other one; unblock comes first"
                                                : "room: the other one takes no messages from you");
  }
  return std::nullopt;
}

/// Whether neither of a direct room's two is to notice the other one.
bool room_actor::is_apart() const {
  return room_.is_direct() &&
         std::any_of(members_.begin(), members_.end(), [](const auto& m) { return m.second.more->blocks; });
}

/// A word of the user's shard, which it repeats until it is answered. Words may overtake each other on the way.
void room_actor::shunned(const command_ptr& c, const shun& x) {
  const auto& user = c->from.user;
  if (!room_.is_direct() || role_of(user) == member_role::none) {
    c->from.refuse(errc::bad_request, "room: not a direct room of this user");
    return;
  }
  auto i = members_.find(user);
  const auto known = i == members_.end() ? 0 : i->second.more->block_version;
  if (known >= x.version || (!present() && !x.on)) {
    if (pending_.empty())
      c->from.answer(ok::any{ok::changed{std::max(known, x.version)}});
    else
      pending_.back().followers.push_back(c); // what it finds may be on its way to the disk
    return;
  }
  auto batch = std::make_shared<storage::batch>(room_.shard());
  pending p;
  if (!present()) {
    establish_direct(*batch);
    p.record = record_;
  }
  auto& seat = members_[user];
  seat.more.edit().blocks = x.on;
  seat.more.edit().block_version = x.version;
  batch->put(room_, user, seat);
  for (const auto& [who, until] : std::exchange(typing_, {}))
    audience_->tell(relay::typing{who, false});
  p.causes = {c};
  p.seq = x.version;
  commit(std::move(batch), std::move(p));
}

/// The account of one of a direct room's two goes. The other one keeps the room, and nothing more is said in it.
void room_actor::part(const command_ptr& c) {
  const auto& user = c->from.user;
  if (!present() || role_of(user) == member_role::none) {
    c->from.answer(ok::any{ok::left{0}});
    return;
  }
  auto seat = members_[user];
  if (seat.more->erased && !pending_.empty()) {
    pending_.back().followers.push_back(c);
    return;
  }
  if (seat.more->erased) {
    c->from.answer(ok::any{ok::left{seat.since}});
    return;
  }
  seat.role = member_role::none;
  seat.more.edit().blocks = false;
  seat.more.edit().block_version = INT64_MAX; // no word that is still on its way counts
  seat.more.edit().erased = true;
  if (drawn_ > 0) {
    change_member(c, user, member_change::left, seat);
    return;
  }
  // Nothing was ever said: an event would bring the room onto the other one's list.
  members_[user] = seat;
  auto batch = std::make_shared<storage::batch>(room_.shard());
  batch->put(room_, user, seat);
  pending p;
  p.causes = {c};
  commit(std::move(batch), std::move(p));
}

// -- invitations -----------------------------------------------------------------------------------------------------

/// The invited one knows who is blocked and how many rooms there may be; that is asked before anything is admitted.
/// What the same caller wants next waits behind it, everybody else goes on.
void room_actor::ask_invitee(const command_ptr& c, const user_id& invitee) {
  if (retiring_) {
    refuse(*c, fail(errc::unavailable, "the room was about to leave memory; try again"));
    return;
  }
  auto& q = rare_.edit().questions.emplace_back();
  q.ticket = ++next_token_;
  q.cause = c;
  q.deadline = house_.steady_ms() + house_.limits_now()->request_ms;
  caller from;
  from.to = self();
  from.ticket = q.ticket;
  from.user = c->from.user;
  auto ask = std::make_shared<const user::command>(user::command{invitee, from, user::invitation{room_}});
  tell(house_.shard_of(invitee), user::ask{std::move(ask)});
  ask_for_tick();
}

bool room_actor::is_behind_question(const command_ptr& c) {
  if (!is_clients(*c))
    return false;
  auto& questions = rare_.edit().questions; // there are some
  auto q = std::find_if(questions.begin(), questions.end(),
                        [&](const question& x) { return x.cause->from.user == c->from.user; });
  if (q == questions.end())
    return false;
  if (auto bound = house_.config.rooms.pending; q->behind.size() >= bound)
    refuse(*c, fail(errc::unavailable, "rooms.pending: " + std::to_string(bound) + " commands wait for this room"));
  else
    q->behind.push_back(c);
  return true;
}

void room_actor::receive(const reply& x) {
  if (rare_->questions.empty())
    return;
  auto& questions = rare_.edit().questions;
  auto q = std::find_if(questions.begin(), questions.end(), [&](const question& y) { return y.ticket == x.ticket; });
  if (q == questions.end())
    return;
  end_question(q, x.what);
  go_on();
}

/// Goes on, in order, in front of all that came later.
void room_actor::end_question(std::list<question>::iterator q, const answer& what) {
  auto asked = std::move(*q);
  rare_.edit().questions.erase(q);
  waiting_.splice(waiting_.begin(), asked.behind);
  if (what) {
    rare_.edit().agreed_to.push_back(asked.cause);
    waiting_.push_front(asked.cause);
  } else {
    refuse(*asked.cause, what.error());
  }
}

/// Those whose time is over by `due`.
void room_actor::end_questions(int64_t due) {
  if (rare_->questions.empty())
    return;
  auto& questions = rare_.edit().questions;
  const auto late = fail(errc::unavailable, "the shard of the invited user gave no answer in time; try again");
  bool any = false;
  for (auto q = questions.begin(); q != questions.end();)
    if (auto next = std::next(q); q->deadline <= due) {
      end_question(q, late);
      any = true;
      q = next;
    } else {
      q = next;
    }
  if (!questions.empty())
    ask_for_tick();
  if (any)
    go_on();
}

// -- what there is about one user ------------------------------------------------------------------------------------

void room_actor::gather_page(const command_ptr& c, const gather& x) {
  if (!present() || head_ == 0) {
    ok::page nothing;
    nothing.room = room_;
    answer_gathered(*c, x, std::move(nothing));
    return;
  }
  reader::read_page page;
  page.where = reader::read_page::how::after;
  page.seq = std::max(x.after, record_->first - 1);
  page.limit = gathered_at_once;
  page.bytes = house_.limits_now()->page_bytes;
  page.fold_for = c->from.user;
  read_from_store(c, std::move(page));
}

/// Of a whole page of the log, what the user has done, what was done to the user, and who meant the user by name.
void room_actor::answer_gathered(const command& c, const gather&, ok::page page) const {
  const auto& user = c.from.user;
  ok::about_events mine;
  if (page.more && !page.events.empty())
    mine.next = page.events.back().seq;
  if (auto m = members_.find(user); m != members_.end()) {
    const auto now = house_.now_ms();
    mine.role = m->second.role;
    mine.muted_until = m->second.more->muted_until > now ? m->second.more->muted_until : 0;
    mine.banned_until = m->second.more->banned_until > now ? m->second.more->banned_until : 0;
  }
  for (const auto& e : page.events) {
    const auto& meant = e.more->mentions;
    if (e.from != user && !e.revoked && std::find(meant.begin(), meant.end(), user.str()) != meant.end())
      mine.mentions.push_back({e.seq, e.ts, e.from});
  }
  auto of_others = [&](const storage::event& e) {
    return e.from != user && !(e.kind == event_kind::member && e.user == user);
  };
  page.events.erase(std::remove_if(page.events.begin(), page.events.end(), of_others), page.events.end());
  auto is_left_out = [&](const storage::message_fold& f) {
    auto e = std::lower_bound(page.events.begin(), page.events.end(), f.seq,
                              [](const storage::event& x, uint64_t seq) { return x.seq < seq; });
    return e == page.events.end() || e->seq != f.seq;
  };
  page.folds.erase(std::remove_if(page.folds.begin(), page.folds.end(), is_left_out), page.folds.end());
  mine.what = std::move(page);
  c.from.answer(ok::any{std::move(mine)});
}

} // namespace greenroom::room
