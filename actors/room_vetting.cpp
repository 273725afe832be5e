// The pre-send hook, the room's part. A message that everything else has been said about waits here for the hook's
// answer, and then comes once more, as if it were new: what has changed meanwhile is judged again. What its connection
// has asked for behind it waits, too; all others go on.
#include "actors/house.hpp"
#include "actors/room.hpp"

namespace greenroom::room {
namespace {

using kind = hooks::verdict::kind;

/// Whether it has to keep its place behind what its connection has sent. The rest is not the client's.
bool keeps_order(const command& c) {
  return c.from.connection != 0 && !std::holds_alternative<pull>(c.what) && !std::holds_alternative<peek>(c.what) &&
         !std::holds_alternative<watch>(c.what) && !std::holds_alternative<receipt>(c.what) &&
         !std::holds_alternative<fall_due>(c.what);
}

/// The same, with what the hook wants to be said instead.
command_ptr with(const command_ptr& c, const hooks::verdict& v, uint64_t content) {
  auto next = std::make_shared<command>(*c);
  next->vetted = std::make_shared<const vetted_content>(vetted_content{content, std::nullopt, v.text, v.data});
  if (auto* send = std::get_if<op::send>(&next->what)) {
    send->text = v.text.value_or(send->text);
    send->data = v.data.value_or(send->data);
  } else if (auto* edit = std::get_if<op::edit>(&next->what)) {
    edit->text = v.text.value_or(edit->text);
  }
  return next;
}

} // namespace

/// REQUIRES: files_found are those of `x`, and none of them is wrong.
hooks::question room_actor::question_of(const user_id& from, const op::send& x) const {
  hooks::question q;
  q.what = x.ephemeral ? hooks::said::ephemeral : hooks::said::message;
  q.from = from;
  q.key = x.key;
  q.text = x.text;
  q.data = x.data;
  q.reply_to = x.reply_to;
  if (!x.ephemeral) // which has none
    q.attachments = found_of(x);
  return q;
}

bool room_actor::wants_vetting(const command& c) const { return asks_first_ && !c.vetted; }

/// REQUIRES: `c` is all right so far.
void room_actor::vet(const command_ptr& c, std::optional<storage::key_hash> key, hooks::question what,
                     uint64_t content) {
  if (keeps_order(*c))
    rare_.edit().lines.try_emplace({c->from.node, c->from.connection});
  auto& vettings = rare_.edit().vettings;
  for (auto& [token, v] : vettings) {
    if (!key || v.key != key)
      continue;
    if (!std::holds_alternative<fall_due>(c->what)) // the shard asks again
      v.same.push_back(c);
    return;
  }
  const auto token = ++next_token_;
  vettings.emplace(token, vetting{c, key, content, {}});
  what.room = room_;
  tell(house_.vetter, vetter::ask{token, std::make_shared<const hooks::question>(std::move(what)),
                                  caf::actor_cast<vetter::asker>(self())});
}

bool room_actor::waits_in_line(const command_ptr& c) {
  if (rare_->lines.empty() || !keeps_order(*c))
    return false;
  auto& mine = rare_.edit();
  auto i = mine.lines.find({c->from.node, c->from.connection});
  if (i == mine.lines.end())
    return false;
  i->second.push_back(c);
  ++mine.lined_up;
  return true;
}

void room_actor::receive(const vetter::vetted& x) {
  if (!rare_->vettings.contains(x.token))
    return;
  auto& mine = rare_.edit();
  auto v = std::move(mine.vettings.extract(x.token).mapped());
  // In front of all that has come since: what their connections have asked for behind them is older than that, too.
  std::list<command_ptr> next;
  const auto let_go = [&](const command_ptr& c, command_ptr again) {
    if (again)
      next.push_back(std::move(again));
    if (!keeps_order(*c))
      return;
    if (auto l = mine.lines.find({c->from.node, c->from.connection}); l != mine.lines.end()) {
      mine.lined_up -= l->second.size();
      next.splice(next.end(), l->second);
      mine.lines.erase(l);
    }
  };
  const bool due = std::holds_alternative<fall_due>(v.cause->what);
  switch (x.what.what) {
  case kind::allow:
  case kind::replace:
    let_go(v.cause, with(v.cause, x.what, v.content));
    break;
  case kind::reject:
    if (due) {
      auto refused = std::make_shared<command>(*v.cause);
      refused->vetted = std::make_shared<const vetted_content>(
          vetted_content{0, "presend: " + x.what.reason, std::nullopt, std::nullopt});
      let_go(v.cause, std::move(refused));
    } else {
      v.cause->from.refuse(errc::forbidden, "presend: " + x.what.reason);
      let_go(v.cause, nullptr);
    }
    break;
  case kind::failed: // what was scheduled is asked for again
    if (!due)
      v.cause->from.refuse(errc::unavailable, x.what.reason);
    let_go(v.cause, nullptr);
    break;
  }
  for (const auto& c : v.same)
    let_go(c, c);
  waiting_.splice(waiting_.begin(), next);
  go_on();
}

/// Nobody waits any longer.
void room_actor::end_vetting(const failure& why) {
  if (rare_->vettings.empty() && rare_->lines.empty())
    return;
  auto& mine = rare_.edit();
  for (const auto& [token, v] : std::exchange(mine.vettings, {})) {
    refuse(*v.cause, why);
    for (const auto& c : v.same)
      refuse(*c, why);
  }
  for (const auto& [l, all] : std::exchange(mine.lines, {}))
    for (const auto& c : all)
      refuse(*c, why);
  mine.lined_up = 0;
}

} // namespace greenroom::room
