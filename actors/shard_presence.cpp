// The shard's part in presence: who of its users is watched, from where, and how they appear; and what has changed in
// its rooms. Told with the clock's turns, so that what comes and goes in between costs nobody anything.
#include "actors/house.hpp"
#include "actors/shard.hpp"

namespace greenroom::shard {

void shard_actor::receive(const user::busy& x) {
  users_.set_busy(x.as.user, x.on);
  if (is_home()) // else it is a last word of somebody who has been ended
    board_.appears(x.as, !x.on, house_.steady_ms());
}

/// Nobody is woken to say that they are not there, unless they may have something against whoever asks.
bool shard_actor::answer_for_absent(const user::command& c) {
  if (const auto* p = std::get_if<op::presence>(&c.what)) {
    if (p->changes() || c.from.user == c.user)
      return false;
    board_.asked(c.user, house_.steady_ms());
    if (users_.find(c.user))
      return false;
    if (auto block = house_.store.find_block(c.user, c.from.user); !block || *block != storage::lookup::absent)
      return false;
    c.from.answer(ok::any{ok::presence{{c.user, seen_as::offline, {}}}});
    return true;
  }
  const bool is_word = std::holds_alternative<op::signal>(c.what) || std::holds_alternative<user::vanish>(c.what);
  if (is_word && !users_.find(c.user)) {
    c.from.answer(ok::any{ok::none{}});
    return true;
  }
  return false;
}

void shard_actor::receive(const watched& x) {
  const bool is_news = x.on ? board_.watch(x.user, x.lane) : board_.unwatch(x.user, x.lane);
  if (is_news && !is_home())
    router_->watch_user(x.user, x.on);
  else if (x.on)
    find_out(x.user);
}

/// Before anybody is answered who asks how the user appears: what changes after that is news.
void shard_actor::find_out(const user_id& user) {
  if (!is_home() || board_.knows(user))
    return;
  if (const auto* to = users_.find(user))
    tell(*to, user::report{});
  else
    board_.presume_offline(user);
}

void shard_actor::watched_from(uint32_t node, const std::vector<user_id>& users, bool on, bool anew) {
  for (const auto& user : users) {
    if (!on) {
      board_.unwatch_from(node, user);
      continue;
    }
    board_.watch_from(node, user, anew);
    find_out(user);
  }
}

/// The home of these users has told this node.
void shard_actor::appeared(const std::vector<appearance>& users) {
  if (is_home()) // nobody knows better: it was said by a home before this one
    return;
  std::vector<presence_board::notice> list;
  for (const auto& user : users) {
    if (auto n = board_.told(user))
      list.push_back(std::move(*n));
    else
      router_->watch_user(user.user, false); // said before, which has got lost
  }
  tell_lanes(list);
}

void shard_actor::tell_lanes(const std::vector<presence_board::notice>& list) {
  for (uint32_t lane = 0; lane < house_.relay_lanes.size(); ++lane) {
    auto users = std::make_shared<std::vector<appearance>>();
    for (const auto& n : list)
      if (n.lanes >> lane & 1)
        users->push_back(n.what);
    if (!users->empty())
      tell(house_.relay_lanes[lane], relay_lane::appeared{std::move(users)});
  }
}

/// The clock's turn.
void shard_actor::tell_presence() {
  const auto is_awake = [this](const user_id& user) {
    const auto* to = users_.find(user);
    if (to)
      tell(*to, user::report{});
    return to != nullptr;
  };
  if (!is_home()) {
    board_.rest();
  } else if (auto list = board_.settle(house_.steady_ms(), int64_t{house_.config.users.grace_s} * 1'000, is_awake);
             !list.empty()) {
    tell_lanes(list);
    if (router_)
      router_->tell_watchers(list);
  }
  for (const auto& room : std::exchange(*restless_, {})) {
    auto a = audiences_.find(room);
    if (a == audiences_.end())
      continue;
    auto& [id, who] = *a;
    if (is_home() && who->anybody() && who->members == 0 && !room.is_direct()) {
      restless_->push_back(room); // it is on its way, and will say how large it is
      continue;
    }
    const auto now = house_.steady_ms();
    auto news = who->present->take_news(who->members <= house_.config.rooms.presence_members,
                                        !is_home() || now >= unsure_until_ms_, now);
    // Where two talk, each watches the other if they want to know.
    if (news && is_home() && who->anybody() && who->members > 0)
      who->tell(relay::presence{std::move(*news)});
  }
}

} // namespace greenroom::shard
