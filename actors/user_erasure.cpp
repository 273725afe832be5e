// The end of an account, and all that there is about it.
//
// An erasure begins with one write: the record of it, in front of everything else; account, sessions and profile gone;
// an errand. From then on nobody can act as the user, nor be it again. Then one room after the other that ever was on
// the user's list is left, what was scheduled there is cancelled, and what was said is revoked, each by the room itself
// as if the user had asked for it. A room that has been seen to goes from the list, so that the list is what is left to
// do; whatever interrupts this, it goes on with the next errand at the room where it was. Every step may be done twice.
#include "actors/house.hpp"
#include "actors/user.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace greenroom::user {
namespace {

constexpr size_t at_once = 32; // requests to a room that are under way
constexpr size_t rooms_at_once = 100;
constexpr size_t threads_at_once = 500;

storage::listed_room place(std::string epoch) {
  storage::listed_room r;
  r.epoch = std::move(epoch);
  r.left = true;
  return r;
}

} // namespace

// -- how it begins ---------------------------------------------------------------------------------------------------

/// Everything else is refused to an account that is gone, also what was under way when it went. Others, who may not
/// know yet, are answered as if nobody were there.
bool user_actor::answers_erased(const command& c) const {
  const auto* p = std::get_if<op::profile>(&c.what);
  const auto* seen = std::get_if<op::presence>(&c.what);
  return (p != nullptr && !p->changes()) || (seen != nullptr && !seen->changes() && c.from.user != user_) ||
         std::holds_alternative<op::signal>(c.what) || std::holds_alternative<vanish>(c.what) ||
         std::holds_alternative<arrive>(c.what) || std::holds_alternative<depart>(c.what) ||
         std::holds_alternative<vouch>(c.what) || std::holds_alternative<effect>(c.what) ||
         std::holds_alternative<account::register_user>(c.what) || std::holds_alternative<account::log_in>(c.what) ||
         std::holds_alternative<account::refresh>(c.what) || std::holds_alternative<invitation>(c.what) ||
         std::holds_alternative<fall_due>(c.what) || std::holds_alternative<erase>(c.what) ||
         std::holds_alternative<account::show_erasure>(c.what) || std::holds_alternative<account::look_into>(c.what);
}

void user_actor::perform(const command_ptr& c, const erase& x) {
  if (house_.storage_is_full()) {
    c->from.refuse(errc::unavailable, "storage.queue: too many writes wait for the disk");
    return;
  }
  if (is_erased()) { // said again when it is durable
    auto batch = std::make_shared<storage::batch>(user_.shard());
    batch->put(user_, *erasure_);
    commit(std::move(batch), c, [this, c] { c->from.answer(ok::any{ok::erasure{user_, *erasure_, rooms_.size()}}); });
    return;
  }
  const bool own = c->from.user == user_;
  if (!own && !account_ && !profile_ && rooms_.empty() && sessions_.empty() && rare_->blocks.empty()) {
    c->from.refuse(errc::not_found, "user: no such user");
  } else if (own && account_ && !account_->password.empty()) {
    if (x.what.password.empty()) {
      c->from.refuse(errc::forbidden, "password: required to erase the own account");
    } else if (auto why = throttled()) {
      c->from.answer(*why);
    } else {
      start_hash(c, [&](uint64_t token) {
        tell(house_.hasher, hasher::verify{x.what.password, account_->password, token, self()});
      });
    }
  } else if (own && !x.fresh) {
    c->from.refuse(errc::forbidden, "token: must not be older than auth.fresh_s (" +
                                        std::to_string(house_.config.auth.fresh_s) + " s) to erase the own account");
  } else {
    begin_erasure(c, x.what);
  }
}

void user_actor::begin_erasure(const command_ptr& c, const account::erase& x) {
  erasure_ = std::make_unique<storage::erasure_record>();
  erasure_->asked = house_.now_ms();
  erasure_->by = c->from.user;
  erasure_->reason = x.reason;
  erasure_->keep_messages = x.keep_messages;
  account_.reset();
  profile_.reset();
  presence_.reset();
  sessions_.clear();
  auto batch = std::make_shared<storage::batch>(user_.shard());
  batch->put(user_, *erasure_);
  batch->erase_account(user_);
  // Direct rooms know of blocks, too, whether or not anything was ever said in them.
  for (const auto& [other, b] : rare_->blocks) {
    const auto room = room_id::direct(user_, other);
    if (auto [i, is_new] = rooms_.try_emplace(room, place({})); is_new)
      batch->put(user_, room, i->second);
  }
  drop_tellings(fail(errc::unauthenticated, "user: the account was erased"));
  auto later = begin_errand(*batch);
  commit(std::move(batch), c, [this, c, later] {
    if (later)
      tell(shard_, errand{*later, false});
    house_.metrics.erasures.add();
    spdlog::info("what=erasure_begun user={} by={} rooms={} keep_messages={}", user_.str(), erasure_->by.str(),
                 rooms_.size(), erasure_->keep_messages ? "yes" : "no");
    for (const auto& device : connections_)
      tell_ahead(device.to, ended{close_code::revoked, "the account was erased", device.id});
    c->from.answer(ok::any{ok::erasure{user_, *erasure_, rooms_.size()}});
    continue_erasure();
  });
}

void user_actor::perform(const command_ptr& c, const account::show_erasure&) {
  if (is_erased())
    c->from.answer(ok::any{ok::erasure{user_, *erasure_, rooms_.size()}});
  else
    c->from.refuse(errc::not_found, "user: has not been erased");
}

/// A room in which the user has left something without being in it; or, of an account that is gone, one that an effect
/// names which comes late.
void user_actor::note_place(const command_ptr& c, const effect& x) {
  const auto& e = x.what;
  auto applied = [e, origin = x.origin, ticket = c->from.ticket] { tell(origin, effect_applied{e, ticket}); };
  const bool is_old = is_erased() && e.change != storage::member_change::none && e.role == storage::member_role::none;
  if (is_old || rooms_.contains(e.room)) {
    if (pending_.empty())
      applied();
    return; // else the shard asks again
  }
  auto& entry = rooms_[e.room] = place(e.epoch);
  auto batch = std::make_shared<storage::batch>(user_.shard());
  batch->put(user_, e.room, entry);
  auto later = is_erased() ? begin_errand(*batch) : std::nullopt;
  commit(std::move(batch), c, [this, applied, later] {
    applied();
    if (later)
      tell(shard_, errand{*later, false});
    continue_erasure();
  });
}

// -- one room after the other ----------------------------------------------------------------------------------------

/// Does nothing while a room is being seen to, when it is about to end, and where there is nothing to do.
void user_actor::continue_erasure() {
  if (!is_erased() || erasing_ || finishing_ || phase_ != phase::serving || stale() || retiring_)
    return;
  if (!rooms_.empty()) {
    erasing_ = std::make_unique<erasing>();
    erasing_->room = rooms_.begin()->first;
    erase_in_room();
  } else if (erasure_->completed == 0 || rare_->errand.at != 0) {
    finish_erasure();
  }
}

template <class Operation>
void user_actor::ask_erasing(Operation what) {
  caller from;
  from.to = self();
  from.ticket = ++next_token_;
  from.user = user_;
  erasing_->in_flight.insert(from.ticket);
  erasing_->touched = house_.steady_ms();
  const auto& room = erasing_->room;
  tell(house_.shard_of(room),
       room::ask{std::make_shared<const room::command>(room::command{room, from, std::move(what)})});
}

/// The step that it is at. REQUIRES: nothing is in flight.
void user_actor::erase_in_room() {
  auto& e = *erasing_;
  using step = erasing::step;
  switch (e.at) {
  case step::leave:
    return ask_erasing(op::leave{e.room, true});
  case step::scheduled:
    return ask_erasing(op::scheduled{e.room, {}, UINT32_MAX, true});
  case step::look:
    return ask_erasing(room::gather{e.after});
  case step::revoke:
    for (size_t i = 0; i < at_once && !e.to_do.empty(); ++i) {
      ask_erasing(op::revoke{e.room, e.to_do.back(), "erased", true});
      e.to_do.pop_back();
    }
    return;
  case step::cancel:
    return; // asked for when the list came
  }
}

void user_actor::answered_erasing(const reply& x) {
  auto& e = *erasing_;
  using step = erasing::step;
  e.touched = house_.steady_ms();
  // What is not there need not go.
  const bool gone = !x.what && (x.what.error().code == errc::not_found || x.what.error().code == errc::not_member ||
                                x.what.error().code == errc::conflict);
  e.failed = e.failed || (!x.what && !gone);
  if (e.at == step::revoke && x.what)
    ++e.revoked;
  if (e.failed) {
    if (e.in_flight.empty())
      erasing_.reset(); // the errand begins again with this room
    return;
  }
  if (e.at == step::scheduled) {
    e.at = step::cancel;
    if (const auto* list = x.what ? std::get_if<ok::scheduled>(&*x.what) : nullptr)
      for (const auto& send : list->list)
        ask_erasing(op::cancel{e.room, send.key});
  } else if (e.at == step::look) {
    const auto* found = x.what ? std::get_if<ok::about_events>(&*x.what) : nullptr;
    e.at = step::revoke;
    e.more = found != nullptr && found->next != 0;
    e.after = found != nullptr ? found->next : 0;
    if (found != nullptr)
      for (const auto& said : found->what.events) {
        auto f = std::lower_bound(found->what.folds.begin(), found->what.folds.end(), said.seq,
                                  [](const auto& fold, uint64_t seq) { return fold.seq < seq; });
        const bool revoked = said.revoked || (f != found->what.folds.end() && f->seq == said.seq && f->revoked);
        if (said.kind == storage::event_kind::message && said.from == user_ && !revoked)
          e.to_do.push_back(said.seq);
      }
  }
  if (!e.in_flight.empty())
    return;
  if (e.at == step::revoke && !e.to_do.empty()) {
    erase_in_room();
  } else if (e.at == step::leave) {
    e.at = step::scheduled;
    erase_in_room();
  } else if ((e.at == step::cancel && !erasure_->keep_messages) || (e.at == step::revoke && e.more)) {
    e.at = step::look;
    erase_in_room();
  } else {
    leave_behind();
  }
}

/// Nothing of the user's is left in the room.
void user_actor::leave_behind() {
  if (house_.storage_is_full()) {
    erasing_.reset();
    return;
  }
  const auto room = erasing_->room;
  ++erasure_->rooms;
  erasure_->messages += erasing_->revoked;
  if (auto i = rooms_.find(room); i != rooms_.end()) {
    room_count_ -= i->second.left ? 0 : 1;
    rooms_.erase(i);
  }
  auto batch = std::make_shared<storage::batch>(user_.shard());
  batch->erase(user_, room);
  batch->erase_activity(user_, room);
  batch->erase_threads(user_, room);
  batch->put(user_, *erasure_);
  commit(std::move(batch), nobodys(), [this] {
    erasing_.reset();
    continue_erasure();
  });
}

void user_actor::finish_erasure() {
  if (house_.storage_is_full()) {
    finishing_ = false; // the errand stays
    return;
  }
  if (!rare_->blocks.empty())
    rare_.edit().blocks.clear();
  auto batch = std::make_shared<storage::batch>(user_.shard());
  batch->erase_contents(user_);
  if (!std::exchange(finishing_, true)) {
    // What rooms have said before they were left may be on its way to the disk: the last write comes behind it.
    tell(shard_, gone{user_});
    commit(std::move(batch), nobodys(), [this] { finish_erasure(); });
    return;
  }
  finishing_ = false;
  if (!rooms_.empty()) { // there is more to do by now
    continue_erasure();
    return;
  }
  erasure_->completed = house_.now_ms();
  batch->put(user_, *erasure_);
  auto done = strike_errand(*batch);
  commit(std::move(batch), nobodys(), [this, done] {
    spdlog::info("what=erasure_completed user={} by={} rooms={} messages={}", user_.str(), erasure_->by.str(),
                 erasure_->rooms, erasure_->messages);
    if (done)
      tell(shard_, errand{*done, true});
  });
}

// -- all that there is -----------------------------------------------------------------------------------------------

/// The parts that the user's own shard holds; of rooms, the rooms are asked (requester).
void user_actor::perform(const command_ptr& c, const account::look_into& x) {
  using part = account::look_into::part;
  if (x.what == part::rooms) {
    ok::about_rooms page;
    auto i = x.after.empty() ? rooms_.begin() : rooms_.upper_bound(room_id::trusted(x.after));
    for (; i != rooms_.end() && page.list.size() < rooms_at_once; ++i)
      page.list.emplace_back(*i);
    if (i != rooms_.end())
      page.next = page.list.back().first.str();
    c->from.answer(ok::any{std::move(page)});
  } else if (x.what == part::threads) {
    if (auto bound = house_.config.users.inbox_pages; rare_->looking.size() >= bound) {
      c->from.refuse(errc::unavailable, "users.inbox_pages: " + std::to_string(bound) + " are under way");
      return;
    }
    rare_.edit().looking.emplace_back(++next_token_, c);
    tell(house_.reader_of(user_.shard()),
         reader::load_threads{user_, x.room, x.seq, threads_at_once + 1, next_token_, self()});
  } else if (!account_ && !profile_ && rooms_.empty() && sessions_.empty() && rare_->blocks.empty() && !is_erased() &&
             c->from.user != user_) {
    c->from.refuse(errc::not_found, "user: no such user");
  } else {
    ok::user_contents all;
    all.account = account_;
    if (all.account)
      all.account->password.clear();
    if (profile_)
      all.profile = *profile_;
    if (presence_)
      all.presence = *presence_;
    for (const auto& [id, s] : sessions_) {
      auto shown = s;
      for (auto* secret : {&shown.refresh, &shown.family, &shown.previous, &shown.salt})
        secret->clear();
      all.sessions.emplace_back(id, std::move(shown));
    }
    for (const auto& [other, b] : rare_->blocks)
      if (b.on)
        all.blocks.emplace_back(other, b.since);
    if (is_erased())
      all.erasure = *erasure_;
    c->from.answer(ok::any{ok::about_user{user_, std::move(all)}});
  }
}

void user_actor::receive(const threads_loaded& x) {
  if (rare_->looking.empty())
    return;
  auto& looking = rare_.edit().looking;
  auto i = std::find_if(looking.begin(), looking.end(), [&](const auto& l) { return l.first == x.token; });
  if (i == looking.end())
    return;
  auto c = std::move(i->second);
  looking.erase(i);
  if (!*x.what) {
    c->from.answer(x.what->error());
  } else {
    ok::about_threads page{std::get<account::look_into>(c->what).room, {}, (*x.what)->size() > threads_at_once};
    for (const auto& [target, read] : **x.what)
      if (page.list.size() < threads_at_once)
        page.list.emplace_back(target, read.read);
    c->from.answer(ok::any{std::move(page)});
  }
  try_to_end();
}

} // namespace greenroom::user
