// What is done later: sends with a time are kept, listed, cancelled, and made when the shard says that it is time.
// Being made is one batch: the message, its key, and that nothing is due any more; so a send is made once, whatever is
// repeated.
#include "actors/house.hpp"
#include "actors/permissions.hpp"
#include "actors/room.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>

namespace greenroom::room {
namespace {

using storage::due_entry;
using storage::event_kind;
using storage::key_record;

constexpr int64_t day_ms = 86'400'000;

due_entry entry_of(const room_id& room, const storage::scheduled_place& place) {
  return {place.at, room, due_entry::kind::send, place.user, place.key, {}};
}

storage::scheduled_place place_of(const due_entry& x) { return {x.at, x.user, x.key}; }

/// Time and key: where a page goes on is known also when the send that it ended with has been made meanwhile.
std::string cursor_of(const storage::scheduled_send& x) { return std::to_string(x.at) + "." + x.key; }

/// nullopt: from the beginning, also behind what was never a cursor.
std::optional<storage::scheduled_place> place_behind(std::string_view cursor, const user_id& user) {
  int64_t at = 0;
  const auto* end = cursor.data() + cursor.size();
  auto [dot, failed] = std::from_chars(cursor.data(), end, at);
  if (failed != std::errc{} || dot == end || *dot != '.')
    return std::nullopt;
  return storage::scheduled_place{at, user, storage::hash_of(user, std::string_view(dot + 1, end))};
}

failure unreadable() { return fail(errc::unavailable, "the store can't be read at present"); }

} // namespace

/// Everything before is on the disk, where it is looked for; everything behind waits.
void room_actor::look_for_scheduled(const command_ptr& c, const user_id& user, const storage::key_hash& key) {
  if (!pending_.empty()) {
    waiting_.push_front(c);
    phase_ = phase::settling;
    return;
  }
  phase_ = phase::looking_up;
  looked_up_ = c;
  reader::find_scheduled what{room_, user, key, std::nullopt, 0, self()};
  if (const auto* due = std::get_if<fall_due>(&c->what))
    what.one = place_of(due->what);
  tell(house_.reader_of(room_.shard()), std::move(what));
}

void room_actor::receive(const scheduled_found& x) {
  if (auto i = reading_.find(x.token); i != reading_.end()) {
    auto c = std::move(i->second.cause);
    reading_.erase(i);
    ok::scheduled mine{room_, {}};
    if (*x.what) {
      const auto& asked = std::get<op::scheduled>(c->what);
      const auto from = place_behind(asked.after, c->from.user);
      for (const auto& [place, send] : **x.what) {
        if (from && place <= *from)
          continue;
        if (mine.list.size() == asked.limit) {
          mine.next = cursor_of(mine.list.back());
          break;
        }
        mine.list.push_back(send);
      }
      c->from.answer(ok::any{std::move(mine)});
    } else {
      c->from.answer(unreadable());
    }
    try_to_end();
    return;
  }
  if (x.token != 0 || phase_ != phase::looking_up)
    return; // a write has failed meanwhile: it is looked for again
  auto c = std::exchange(looked_up_, nullptr);
  phase_ = phase::serving;
  if (const auto* send = std::get_if<op::send>(&c->what))
    schedule(c, *send, x);
  else if (const auto* gone = std::get_if<op::cancel>(&c->what))
    cancel(c, *gone, x);
  else if (const auto* due = std::get_if<fall_due>(&c->what))
    make_scheduled(c, due->what, x);
  std::erase_if(changing_, [](const auto& i) { return i.second.in_flight == 0; });
  go_on();
}

void room_actor::schedule(const command_ptr& c, const op::send& x, const scheduled_found& found) {
  if (!found.key || !*found.what) {
    c->from.answer(unreadable());
    return;
  }
  const keyed what{event_kind::message, key_of(*c), content_of(x)};
  const auto& [there, first] = *found.key;
  const bool same = there == storage::lookup::found && first.content == what.content && record_;
  if (same && first.op == key_record::scheduled) {
    // A write that was reported as failed may have kept it after all.
    tell(shard_, due_later{entry_of(room_, {first.ts, c->from.user, what.key})});
    c->from.answer(ok::any{ok::kept{room_, record_->epoch, first.ts, x.key, true}});
    return;
  }
  if (same && first.op == key_record::cancelled) {
    c->from.refuse(errc::conflict, "key: that send was cancelled, or could not be made when its time had come");
    return;
  }
  if (settle_by_key(c, what, found.key))
    return;
  auto judged = refusal(c->from.user, action::send);
  if (judged || (judged = too_long(x.text))) {
    c->from.answer(std::move(*judged));
    return;
  }
  const auto l = house_.limits_now();
  const auto now = house_.now_ms();
  if (x.at <= now) {
    c->from.refuse(errc::bad_request, "at: has passed");
    return;
  }
  if (x.at > now + int64_t{l->schedule_days} * day_ms) {
    c->from.refuse(errc::too_large,
                   "at: at most " + std::to_string(l->schedule_days) + " days from now (limits.schedule_days)");
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
  size_t bytes = x.text.size() + x.data.size();
  for (const auto& [place, send] : **found.what)
    bytes += send.text.size() + send.data.size();
  if (bytes > l->page_bytes) { // they are listed as one page
    c->from.refuse(errc::too_large,
                   "limits.page_bytes: " + std::to_string(l->page_bytes) + " bytes of scheduled messages in one room");
    return;
  }
  if ((*found.what)->size() >= l->scheduled_per_room) {
    c->from.refuse(errc::too_large, "limits.scheduled_per_room: " + std::to_string(l->scheduled_per_room));
    return;
  }
  auto batch = std::make_shared<storage::batch>(room_.shard());
  pending p;
  if (!present()) {
    establish_direct(*batch);
    p.record = record_;
  }
  const storage::scheduled_place place{x.at, c->from.user, what.key};
  batch->put(room_, place, storage::scheduled_send{x.at, x.key, x.text, x.data, x.reply_to, use_files(*batch, x)});
  batch->put(room_, what.key, key_record{key_record::scheduled, 0, x.at, what.content});
  p.later = entry_of(room_, place);
  batch->put(*p.later);
  if (room_.is_direct() && drawn_ == 0) {
    // Nothing has been said, so it is on nobody's list; but its author must be able to find what was left here.
    p.effects.push_back(
        {room_, record_->epoch, 0, c->from.user, storage::member_change::none, storage::member_role::none, kind()});
    batch->put(p.effects.back());
  }
  p.causes = {c};
  p.key = what;
  commit(std::move(batch), std::move(p));
}

void room_actor::scheduled(const command_ptr& c, const op::scheduled& x) {
  if (auto why = x.anyway ? std::nullopt : refusal(c->from.user, action::see)) {
    c->from.answer(std::move(*why));
    return;
  }
  const auto token = ++next_token_;
  reading_.emplace(token, reading{c, head_});
  tell(house_.reader_of(room_.shard()), reader::find_scheduled{room_, c->from.user, {}, std::nullopt, token, self()});
}

/// Who has left may still take back what he wanted to say.
void room_actor::cancel(const command_ptr& c, const op::cancel& x, const scheduled_found& found) {
  const auto key = storage::hash_of(c->from.user, x.key);
  if (!found.key || !*found.what) {
    c->from.answer(unreadable());
    return;
  }
  const auto& [there, first] = *found.key;
  if (there != storage::lookup::found) {
    c->from.refuse(errc::not_found, "key: no such scheduled send");
  } else if (first.op == key_record::cancelled) {
    c->from.answer(ok::any{ok::none{}}); // done before
  } else if (first.op != key_record::scheduled) {
    c->from.refuse(errc::conflict, "key: it has been sent");
  } else {
    auto batch = std::make_shared<storage::batch>(room_.shard());
    pending p;
    p.causes = {c};
    p.done = entry_of(room_, {first.ts, c->from.user, key});
    batch->erase(room_, place_of(*p.done));
    batch->erase(*p.done);
    for (const auto& [place, send] : **found.what)
      if (place.key == key)
        for (const auto& file : send.attachments)
          remove_file(*batch, p, file.id, c->from.user);
    batch->put(room_, key, key_record{key_record::cancelled, 0, first.ts, first.content});
    commit(std::move(batch), std::move(p));
  }
}

// -- when the time has come ------------------------------------------------------------------------------------------

void room_actor::fall_due_now(const command_ptr& c, const due_entry& x) {
  if (!record_)
    strike_off(c, x); // the room is gone
  else if (x.what == due_entry::kind::retention)
    drop_history(c);
  else if (!present())
    strike_off(c, x); // it goes with the room
  else if (x.what == due_entry::kind::file)
    look_for_files(c, {x.file});
  else
    look_for_scheduled(c, x.user, x.key);
}

/// There is nothing to do about it any more.
void room_actor::strike_off(const command_ptr& c, const due_entry& x) {
  auto batch = std::make_shared<storage::batch>(room_.shard());
  batch->erase(x);
  pending p;
  p.causes = {c};
  p.done = x;
  commit(std::move(batch), std::move(p));
}

void room_actor::make_scheduled(const command_ptr& c, const due_entry& x, const scheduled_found& found) {
  if (!found.key || !*found.what)
    return; // the shard asks again
  const auto& [there, first] = *found.key;
  const auto& all = **found.what;
  if (all.empty() || there != storage::lookup::found || first.op != key_record::scheduled) {
    strike_off(c, x);
    return;
  }
  auto& due = rare_.edit().falling_due.emplace(all.front().second);
  rare_.edit().falling_due_key = first;
  if (due.reply_to == 0) {
    make(c, x, std::nullopt);
    return;
  }
  phase_ = phase::looking_up;
  looked_up_ = c;
  tell(house_.reader_of(room_.shard()), reader::find_target{room_, x.key, due.reply_to, x.user, false, self()});
}

void room_actor::make_reply(const command_ptr& c, const due_entry& x, const outcome<storage::target_image>& root) {
  if (!root)
    return; // the shard asks again
  auto state = root->state;
  if (auto i = changing_.find(rare_->falling_due->reply_to); i != changing_.end())
    state = i->second.state;
  const bool there = root->what && root->what->seq >= record_->first;
  make(c, x, there ? std::optional(std::move(state)) : std::nullopt);
}

/// Whether its author may say it is judged now, not when it was scheduled; so is what it says.
void room_actor::make(const command_ptr& c, const due_entry& x, std::optional<storage::message_state> root) {
  auto why = refusal(x.user, action::send);
  if (!why && c->vetted && c->vetted->refused)
    why = fail(errc::forbidden, *c->vetted->refused);
  if (!why && wants_vetting(*c)) {
    hooks::question q;
    q.from = x.user;
    auto due = *std::exchange(rare_.edit().falling_due, std::nullopt);
    q.key = std::move(due.key);
    q.text = std::move(due.text);
    q.data = std::move(due.data);
    q.reply_to = due.reply_to;
    q.scheduled = true;
    q.attachments = std::move(due.attachments);
    vet(c, x.key, std::move(q), 0);
    return;
  }
  auto batch = std::make_shared<storage::batch>(room_.shard());
  batch->erase(room_, place_of(x));
  batch->erase(x);
  pending p;
  p.done = x;
  auto said = *std::exchange(rare_.edit().falling_due, std::nullopt);
  if (why) {
    spdlog::info("what=scheduled_send_refused room={} user={} reason=\"{}\"", room_.str(), x.user.str(), why->message);
    batch->put(room_, x.key, key_record{key_record::cancelled, 0, x.at, rare_->falling_due_key.content});
    for (const auto& file : said.attachments)
      remove_file(*batch, p, file.id, x.user);
    p.causes = {c};
    commit(std::move(batch), std::move(p));
    return;
  }
  op::send send;
  send.key = said.key;
  send.text = c->vetted && c->vetted->text ? *c->vetted->text : said.text;
  send.data = c->vetted && c->vetted->data ? *c->vetted->data : said.data;
  send.reply_to = said.reply_to;
  say(c, send, x.user, {event_kind::message, x.key, rare_->falling_due_key.content}, std::move(batch), std::move(p),
      std::move(root), std::move(said.attachments));
}

} // namespace greenroom::room
