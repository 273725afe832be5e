// What messages say of each other and of people: threads, mentions, and what somebody has not read yet.
#include "actors/house.hpp"
#include "actors/permissions.hpp"
#include "actors/room.hpp"

#include <algorithm>

namespace greenroom::room {
namespace {

constexpr size_t name_bytes_max = 32;
constexpr int marks_after_name = 3; // "..."

bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }
bool is_mark(char c) noexcept { return c == '.' || c == '_' || c == '-'; } // in a name, but not at its beginning

/// What may be a user's name at the beginning of the text, in small letters; empty: nothing can.
std::string name_at(std::string_view text) {
  std::string name;
  for (char c : text) {
    if (!is_letter(c) && !is_mark(c))
      break;
    if (name.size() > name_bytes_max)
      return {};
    name.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
  }
  return name;
}

bool means(const storage::event& e, const user_id& user) {
  const auto& all = e.more->mentions;
  return std::any_of(all.begin(), all.end(), [&](const std::string& who) {
    return who == user.str() || (who == storage::everybody && e.from != user);
  });
}

} // namespace

// -- mentions --------------------------------------------------------------------------------------------------------

/// Members whose names stand behind an `@`, and everybody; each once, in the order of the text, at most
/// limits.mentions_per_message. What follows a letter is a mail address; a sentence may end behind a name.
std::vector<std::string> room_actor::mentioned_in(std::string_view text, const user_id& from) const {
  std::vector<std::string> meant;
  auto is_meant = [&](const std::string& name) {
    if (name == storage::everybody.substr(1))
      return may(kind(), role_of(from), action::call_all);
    auto m = members_.find(user_id::trusted(name));
    return name != from.str() && m != members_.end() && m->second.role != storage::member_role::none;
  };
  const auto bound = house_.limits_now()->mentions_per_message;
  auto tries = 4 * bound; // a text full of names of nobody costs no more
  for (auto at = text.find('@'); at != std::string_view::npos && meant.size() < bound && tries > 0;
       at = text.find('@', at + 1), --tries) {
    if (at > 0 && is_letter(text[at - 1]))
      continue;
    auto name = name_at(text.substr(at + 1));
    for (int marks = 0; marks < marks_after_name && !name.empty() && is_mark(name.back()) && !is_meant(name); ++marks)
      name.pop_back();
    if (name.empty() || !is_meant(name))
      continue;
    auto who = name == storage::everybody.substr(1) ? std::string(storage::everybody) : std::move(name);
    if (std::find(meant.begin(), meant.end(), who) == meant.end())
      meant.push_back(std::move(who));
  }
  return meant;
}

// -- threads ---------------------------------------------------------------------------------------------------------

/// The caller's own position has been filled in by the user.
void room_actor::thread(const command_ptr& c, const op::thread& x) {
  if (auto why = refusal(c->from.user, action::see)) {
    c->from.answer(std::move(*why));
    return;
  }
  if (!present() || x.target == 0 || x.target > head_ || x.target < record_->first) {
    c->from.refuse(errc::not_found, "target: no such message");
    return;
  }
  reader::read_page page;
  page.where = reader::read_page::how::thread;
  page.target = x.target;
  page.seq = x.after;
  page.limit = x.limit;
  page.bytes = house_.limits_now()->page_bytes;
  page.fold_for = c->from.user;
  read_from_store(c, std::move(page));
}

// -- what is unread --------------------------------------------------------------------------------------------------

/// Where the ring reaches back to what was read, nothing is looked for on the disk.
std::optional<storage::room_counts> room_actor::counts_in_ring(const user_id& user, uint64_t read) const {
  if (read >= head_ || record_->first > head_) // all was read, or dropped
    return storage::room_counts{head_messages_, 0};
  if (ring_.empty() || ring_.front()->seq > read + 1)
    return std::nullopt;
  storage::room_counts result;
  const auto& front = *ring_.front();
  if (front.seq == read + 1)
    result.messages = front.messages - (front.kind == storage::event_kind::message ? 1 : 0);
  else
    result.messages = ring_[read - front.seq]->messages;
  const auto most = house_.limits_now()->mentions_counted;
  for (auto i = read + 1 - front.seq; i < ring_.size() && result.mentions < most; ++i)
    result.mentions += means(*ring_[i], user) ? 1 : 0;
  return result;
}

void room_actor::count_for(const command_ptr& c, const peek& x) {
  const auto read = x.read->epoch == record_->epoch ? x.read->seq : 0; // else of another room under this name
  if (auto known = counts_in_ring(c->from.user, read)) {
    auto s = stand(c->from.user, x.resume);
    s.unread = head_messages_ - std::min(head_messages_, known->messages);
    s.mentions = known->mentions;
    tell(x.to, stands{c->from.ticket, std::move(s), nullptr});
    return;
  }
  const auto token = ++next_token_;
  reading_.emplace(token, reading{c, head_});
  tell(house_.reader_of(room_.shard()), reader::count_unread{room_, c->from.user, read, record_->first,
                                                             house_.limits_now()->mentions_counted, token, self()});
}

void room_actor::receive(const counted& x) {
  auto i = reading_.find(x.token);
  if (i == reading_.end())
    return;
  auto c = std::move(i->second.cause);
  reading_.erase(i);
  const auto& asked = std::get<peek>(c->what);
  if (x.what) {
    auto s = stand(c->from.user, asked.resume);
    s.unread = head_messages_ - std::min(head_messages_, x.what->messages);
    s.mentions = x.what->mentions;
    tell(asked.to, stands{c->from.ticket, std::move(s), nullptr});
  } else {
    tell(asked.to, stands{c->from.ticket, x.what.error(), nullptr});
  }
  try_to_end();
}

} // namespace greenroom::room
