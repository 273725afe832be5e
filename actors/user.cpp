#include "actors/user.hpp"

#include "actors/house.hpp"

#include <algorithm>

namespace greenroom::user {
namespace {

storage::listed_room not_listed(std::string epoch) {
  storage::listed_room r;
  r.epoch = std::move(epoch);
  r.left = true;
  return r;
}

} // namespace

user_actor::user_actor(caf::actor_config& cfg, house& in, host& on, user_id user, keeper shard)
    : hosted_actor(cfg, on, actor_kind::user, user.str(), in.living), house_(in), user_(std::move(user)),
      shard_(std::move(shard)) {
  house_.metrics.users_active.add();
  house_.metrics.users_activated.add();
}

user_actor::~user_actor() { house_.metrics.users_active.add(-1); }

// -- life ------------------------------------------------------------------------------------------------------------

void user_actor::load() {
  phase_ = phase::loading;
  era_ = house_.era_of(user_.shard());
  tell(house_.reader_of(user_.shard()), reader::load_user{user_, self()});
}

void user_actor::receive(const user_loaded& x) {
  if (!*x.what) {
    phase_ = phase::cold;
    auto why = fail(errc::unavailable, "the account can't be read: " + x.what->error().message);
    for (const auto& c : std::exchange(waiting_, {}))
      refuse(*c, why);
    try_to_end();
    return;
  }
  const auto& image = **x.what;
  account_ = image.account;
  profile_ = image.profile ? std::make_unique<storage::profile_record>(*image.profile) : nullptr;
  presence_ = image.presence ? std::make_unique<storage::presence_record>(*image.presence) : nullptr;
  sessions_ = {image.sessions.begin(), image.sessions.end()};
  rooms_ = {image.rooms.begin(), image.rooms.end()};
  if (!image.blocks.empty() || rare_) {
    auto& r = rare_.edit();
    r.blocks = {image.blocks.begin(), image.blocks.end()};
    r.errand = {};
  }
  erasure_ = image.erasure ? std::make_unique<storage::erasure_record>(*image.erasure) : nullptr;
  erasing_.reset();
  finishing_ = false;
  room_count_ = static_cast<size_t>(
      std::count_if(rooms_.begin(), rooms_.end(), [](const auto& entry) { return !entry.second.left; }));
  phase_ = phase::serving;
  go_on();
}

void user_actor::receive(const ask& x) {
  if (const auto* d = std::get_if<depart>(&x.what->what)) {
    // Touches nothing stored, so it never waits; an arrival that still does is void.
    waiting_.remove_if([&](const command_ptr& c) {
      const auto* a = std::get_if<arrive>(&c->what);
      return a && a->connection == d->connection;
    });
    perform(x.what, *d);
    return;
  }
  if (auto bound = house_.config.users.pending; waiting_.size() + pending_.size() >= bound) {
    refuse(*x.what,
           fail(errc::unavailable, "users.pending: " + std::to_string(bound) + " requests wait for this user"));
    return;
  }
  waiting_.push_back(x.what);
  go_on();
}

void user_actor::go_on() {
  while (!waiting_.empty() && phase_ == phase::serving) {
    if (stale()) {
      if (pending_.empty())
        load();
      return;
    }
    auto c = std::move(waiting_.front());
    waiting_.pop_front();
    if (is_erased() && !answers_erased(*c)) {
      refuse(*c, fail(errc::unauthenticated, "user: the account was erased"));
      continue;
    }
    std::visit([&](const auto& op) { perform(c, op); }, c->what);
  }
  if (!waiting_.empty() && phase_ == phase::cold)
    load();
  try_to_end();
}

bool user_actor::stale() const noexcept { return era_ != house_.era_of(user_.shard()); }

void user_actor::commit(std::shared_ptr<storage::batch> batch, const command_ptr& cause, std::function<void()> then) {
  pending_.push_back({++next_token_, cause, std::move(then)});
  house_.commits_waiting.fetch_add(1);
  tell(house_.committer_of(user_.shard()), persist::commit{std::move(batch), era_, next_token_, self()});
}

void user_actor::receive(const committed& x) {
  if (pending_.empty() || pending_.front().token != x.token)
    return; // of a time before a failure: refused already
  if (!x.ok) {
    auto why = fail(errc::unavailable, "the store takes no writes at present; nothing was acknowledged");
    for (const auto& p : std::exchange(pending_, {}))
      refuse(*p.cause, why);
    marking_.clear();
    drop_tellings(why);
    if (!rare_->charging.empty())
      rare_.edit().charging.clear(); // they are sent again
    phase_ = phase::cold;
    go_on();
    return;
  }
  auto p = std::move(pending_.front());
  pending_.pop_front();
  p.then();
  if (pending_.empty())
    go_on();
}

void user_actor::refuse(const command& c, const failure& why) {
  if (const auto* a = std::get_if<arrive>(&c.what))
    tell(a->to, welcome{why, close_code::shutdown, c.from.ticket, {}});
  else
    c.from.answer(why); // an effect has no caller: its shard sends it again
}

void user_actor::receive(const retire& x) {
  if (!x.stopping && !connections_.empty()) {
    tell(shard_, stays{user_, this->id()});
    return;
  }
  retiring_ = true;
  try_to_end();
}

void user_actor::try_to_end() {
  if (!retiring_ || phase_ == phase::loading || !pending_.empty() || !hashing_.empty() || !waiting_.empty() ||
      !threads_.empty() || !rare_->looking.empty() || !rare_->charging.empty())
    return;
  retiring_ = false;
  drop_tellings(fail(errc::unavailable, "the user's shard had to put it off; try again"));
  tell(shard_, retired{user_, this->id()});
  quit();
}

// -- connections -----------------------------------------------------------------------------------------------------

void user_actor::perform(const command_ptr& c, const arrive& x) {
  if (is_revoked(x.session)) {
    tell(x.to,
         welcome{fail(errc::unauthenticated, "the session was revoked"), close_code::revoked, c->from.ticket, {}});
    return;
  }
  auto mine = find(x.connection); // it is known already when it arrives anew, or with another session
  if (auto bound = house_.limits_now()->connections_per_user;
      mine == connections_.end() && connections_.size() >= bound) {
    tell(x.to, welcome{fail(errc::forbidden, "limits.connections_per_user: " + std::to_string(bound)),
                       close_code::too_many_connections,
                       c->from.ticket,
                       {}});
    return;
  }
  const bool was_away = connections_.empty();
  if (mine == connections_.end())
    mine = connections_.insert(mine, {x.connection, x.to, {}});
  mine->session = x.session;
  if (was_away)
    tell_shard();
  if (room_count_ > house_.limits_now()->hello_rooms)
    tell(house_.reader_of(user_.shard()), reader::load_activity{user_, x.connection, c->from.ticket, self()});
  else
    tell(x.to, welcome{list(), close_code::normal, c->from.ticket, chosen()});
}

std::vector<std::pair<room_id, storage::listed_room>> user_actor::list() const {
  std::vector<std::pair<room_id, storage::listed_room>> rooms;
  rooms.reserve(room_count_);
  for (const auto& [room, entry] : rooms_)
    if (!entry.left)
      rooms.emplace_back(room, entry);
  return rooms;
}

/// Hello lists some of many rooms. To ask each of them when it was last used would wake them all; what they have told
/// is good enough to choose by. If that can't be read, the choice is by name.
void user_actor::receive(const activity_loaded& x) {
  auto mine = find(x.connection);
  if (mine == connections_.end())
    return; // has gone meanwhile
  auto rooms = list();
  if (*x.what) {
    const auto& told = **x.what; // by room, as is the list
    auto last = [&](const auto& entry) -> int64_t {
      auto i = std::lower_bound(told.begin(), told.end(), entry.first,
                                [](const auto& t, const room_id& room) { return t.first < room; });
      return i != told.end() && i->first == entry.first && i->second.epoch == entry.second.epoch ? i->second.ts : -1;
    };
    std::vector<std::pair<int64_t, size_t>> order;
    for (size_t i = 0; i < rooms.size(); ++i)
      order.emplace_back(-last(rooms[i]), i);
    std::sort(order.begin(), order.end());
    std::vector<std::pair<room_id, storage::listed_room>> sorted;
    sorted.reserve(rooms.size());
    for (const auto& [ts, i] : order)
      sorted.push_back(std::move(rooms[i]));
    rooms = std::move(sorted);
  }
  tell(mine->to, welcome{std::move(rooms), close_code::normal, x.ticket, chosen()});
}

void user_actor::perform(const command_ptr& c, const depart& x) {
  if (auto mine = find(x.connection); mine != connections_.end()) {
    connections_.erase(mine);
    if (connections_.empty())
      tell_shard();
  }
  c->from.answer(ok::any{ok::none{}});
  try_to_end();
}

std::vector<user_actor::connection>::iterator user_actor::find(uint64_t id) {
  return std::find_if(connections_.begin(), connections_.end(), [id](const connection& c) { return c.id == id; });
}

void user_actor::perform(const command_ptr& c, const vouch& x) {
  if (is_revoked(x.session))
    c->from.refuse(errc::unauthenticated, "the session was revoked");
  else if (auto bound = house_.limits_now()->rooms_per_user; x.one_more_room && room_count_ >= bound)
    c->from.refuse(errc::too_large, "limits.rooms_per_user: " + std::to_string(bound));
  else
    c->from.answer(ok::any{ok::none{}});
}

// -- rooms -----------------------------------------------------------------------------------------------------------

void user_actor::perform(const command_ptr& c, const mark_read& x) {
  if (house_.storage_is_full()) {
    c->from.refuse(errc::unavailable, "storage.queue: too many writes wait for the disk");
    return;
  }
  if (x.thread != 0) {
    ask_for_thread(c, x.room, x.thread);
    return;
  }
  auto [i, is_new] = rooms_.try_emplace(x.room);
  auto& entry = i->second;
  room_count_ += is_new ? 1 : 0;
  if (entry.epoch != x.epoch) {
    // The room is new, or the effect that lists it has not come yet.
    entry.epoch = x.epoch;
    entry.read = entry.delivered = 0;
  }
  auto& position = x.arrived ? entry.delivered : entry.read;
  bool moves = x.seq > position;
  if (!moves && pending_.empty()) {
    c->from.answer(ok::any{ok::read{position}}); // what was said before is durable
    return;
  }
  position = std::max(position, x.seq);
  entry.delivered = std::max(entry.delivered, entry.read); // who has read it has it
  auto batch = std::make_shared<storage::batch>(user_.shard());
  batch->put(user_, x.room, entry);
  commit(std::move(batch), c, [this, c, moves, mark = x, seq = position] {
    c->from.answer(ok::any{ok::read{seq}});
    if (!moves || mark.quiet)
      return;
    caller from;
    from.user = user_;
    room::receipt what{mark.epoch, seq, mark.arrived};
    auto told = std::make_shared<const room::command>(room::command{mark.room, from, std::move(what)});
    tell(house_.shard_of(mark.room), room::ask{std::move(told)});
  });
}

void user_actor::perform(const command_ptr& c, const effect& x) {
  const auto& e = x.what;
  if (!e.file.empty()) {
    charge(c);
    return;
  }
  if (e.change == storage::member_change::none || (is_erased() && !rooms_.contains(e.room))) {
    note_place(c, x);
    return;
  }
  auto applied = [e, origin = x.origin, ticket = c->from.ticket] { tell(origin, effect_applied{e, ticket}); };
  auto& entry = rooms_.try_emplace(e.room, not_listed(e.epoch)).first->second;
  if (entry.epoch == e.epoch && entry.since >= e.seq) {
    if (pending_.empty())
      applied(); // a repetition
    return;      // else: it may be on its way to the disk; the shard asks again
  }
  if (entry.epoch != e.epoch) { // another room under the same name
    room_count_ -= entry.left ? 0 : 1;
    entry = not_listed(e.epoch);
  }
  const bool joined = e.role != storage::member_role::none;
  const bool is_news = entry.left == joined; // else another role
  if (is_news)
    room_count_ += joined ? 1 : -1;
  entry.kind = e.kind;
  entry.role = e.role;
  entry.since = e.seq;
  entry.left = !joined;
  if (joined && is_news && e.kind != storage::room_kind::direct)
    entry.read = std::max(entry.read, e.seq); // what was said before is not unread
  auto batch = std::make_shared<storage::batch>(user_.shard());
  batch->put(user_, e.room, entry);
  if (!joined) {
    batch->erase_activity(user_, e.room);
    batch->erase_threads(user_, e.room);
  }
  commit(std::move(batch), c, [this, e, joined, is_news, applied] {
    if (is_news)
      for (const auto& device : connections_)
        tell(device.to, listed{e.room, {e.epoch, e.seq - 1}, joined, room_count_, device.id});
    applied();
  });
}

// -- threads ---------------------------------------------------------------------------------------------------------
// Nobody knows how many threads a user reads: their positions stay on the disk, and are looked up when they are needed.

void user_actor::ask_for_thread(const command_ptr& c, const room_id& room, uint64_t target) {
  if (auto bound = house_.config.users.inbox_pages; threads_.size() >= bound) {
    c->from.refuse(errc::unavailable, "users.inbox_pages: " + std::to_string(bound) + " are under way");
    return;
  }
  threads_.emplace_back(++next_token_, c);
  tell(house_.reader_of(user_.shard()), reader::load_thread{user_, room, target, next_token_, self()});
}

void user_actor::perform(const command_ptr& c, const op::thread& x) { ask_for_thread(c, x.room, x.target); }

void user_actor::receive(const thread_loaded& x) {
  auto i = std::find_if(threads_.begin(), threads_.end(), [&](const auto& t) { return t.first == x.token; });
  if (i == threads_.end())
    return;
  auto c = std::move(i->second);
  threads_.erase(i);
  if (!x.what) {
    c->from.answer(x.what.error());
  } else if (const auto* mark = std::get_if<mark_read>(&c->what)) {
    mark_thread(c, *mark, *x.what);
  } else {
    // The room says the rest. Of a room that was made anew since, nothing has been read.
    auto what = std::get<op::thread>(c->what);
    auto listed = rooms_.find(what.room);
    what.read = listed != rooms_.end() && listed->second.epoch == x.what->epoch ? x.what->read : 0;
    auto ask = std::make_shared<const room::command>(room::command{what.room, c->from, what});
    tell(house_.shard_of(what.room), room::ask{std::move(ask)});
  }
  try_to_end();
}

void user_actor::mark_thread(const command_ptr& c, const mark_read& x, const storage::thread_record& known) {
  const std::pair thread{x.room, x.thread};
  storage::thread_record next{x.epoch, x.seq};
  if (known.epoch == x.epoch)
    next.read = std::max(next.read, known.read);
  auto& on_the_way = marking_[thread]; // newer than what was read
  if (on_the_way.furthest.epoch == x.epoch)
    next.read = std::max(next.read, on_the_way.furthest.read);
  on_the_way.furthest = next;
  ++on_the_way.in_flight;
  auto batch = std::make_shared<storage::batch>(user_.shard());
  batch->put(user_, x.room, x.thread, next);
  commit(std::move(batch), c, [this, c, thread, read = next.read] {
    if (auto i = marking_.find(thread); i != marking_.end() && --i->second.in_flight == 0)
      marking_.erase(i);
    c->from.answer(ok::any{ok::read{read}});
  });
}

// -- the profile ------------------------------------------------------------------------------------------------------

void user_actor::perform(const command_ptr& c, const op::profile& x) {
  if (!x.changes()) {
    if (is_erased())
      c->from.refuse(errc::not_found, "user: no such user");
    else if (profile_ || account_ || room_count_ > 0 || c->from.user == user_)
      c->from.answer(ok::any{ok::profile{user_, profile_ ? *profile_ : storage::profile_record{}}});
    else
      c->from.refuse(errc::not_found, "user: no such user");
    return;
  }
  if (house_.storage_is_full()) {
    c->from.refuse(errc::unavailable, "storage.queue: too many writes wait for the disk");
    return;
  }
  auto next = profile_ ? *profile_ : storage::profile_record{};
  next.name = x.name.value_or(next.name);
  next.avatar = x.avatar.value_or(next.avatar);
  next.fields = x.fields.value_or(next.fields);
  next.changed = house_.now_ms();
  profile_ = std::make_unique<storage::profile_record>(next);
  auto batch = std::make_shared<storage::batch>(user_.shard());
  batch->put(user_, next);
  commit(std::move(batch), c, [c, user = user_, next = std::move(next)] {
    c->from.answer(ok::any{ok::profile{user, next}});
  });
}

// -- the inbox -------------------------------------------------------------------------------------------------------

/// One page of rooms; each room is asked where it stands.
void user_actor::perform(const command_ptr& c, const op::rooms& x) {
  if (auto bound = house_.config.users.inbox_pages; gatherings_.size() >= bound) {
    c->from.refuse(errc::unavailable, "users.inbox_pages: " + std::to_string(bound) + " are under way");
    return;
  }
  gathering g;
  g.cause = c;
  auto i = x.after.empty() ? rooms_.begin() : rooms_.upper_bound(room_id::trusted(x.after));
  for (; i != rooms_.end() && g.page.list.size() < x.limit; ++i) {
    if (i->second.left)
      continue;
    ok::inbox_room r;
    r.summary.room = i->first;
    r.summary.epoch = i->second.epoch;
    r.summary.read = i->second.read;
    r.summary.role = i->second.role;
    r.summary.kind = i->second.kind;
    g.page.list.push_back(std::move(r));
  }
  if (i != rooms_.end() && !g.page.list.empty())
    g.page.next = g.page.list.back().summary.room.str();
  g.missing = g.page.list.size();
  if (g.missing == 0) {
    finish(g);
    return;
  }
  g.first_ticket = next_token_ + 1;
  for (const auto& r : g.page.list) {
    const auto& room = r.summary.room;
    caller from;
    from.user = user_;
    from.ticket = ++next_token_;
    room::peek asked{std::nullopt, position{r.summary.epoch, r.summary.read}, self()};
    auto look = std::make_shared<const room::command>(room::command{room, from, std::move(asked)});
    tell(house_.shard_of(room), room::ask{std::move(look)});
  }
  gatherings_.push_back(std::move(g));
}

void user_actor::receive(const stands& x) {
  auto g = std::find_if(gatherings_.begin(), gatherings_.end(), [&](const gathering& c) {
    return x.ticket >= c.first_ticket && x.ticket - c.first_ticket < c.page.list.size();
  });
  if (g == gatherings_.end())
    return;
  auto& entry = g->page.list[x.ticket - g->first_ticket];
  if (x.where) {
    auto& s = entry.summary;
    s.epoch = x.where->epoch;
    s.seq = x.where->head;
    s.kind = x.where->kind;
    s.role = x.where->role;
    s.ts = x.where->head_ts;
    entry.unread = x.where->unread;
    entry.mentions = x.where->mentions;
    if (x.where->last)
      entry.last = *x.where->last;
  } else {
    entry.summary.room = room_id{}; // the list is behind: the room is gone, or the user from it
  }
  if (--g->missing > 0)
    return;
  finish(*g);
  gatherings_.erase(g);
}

void user_actor::finish(gathering& g) {
  auto& list = g.page.list;
  list.erase(std::remove_if(list.begin(), list.end(), [](const auto& r) { return r.summary.room.empty(); }),
             list.end());
  g.cause->from.answer(ok::any{std::move(g.page)});
}

} // namespace greenroom::user
