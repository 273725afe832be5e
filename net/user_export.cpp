#include "net/user_export.hpp"

namespace greenroom::net {

user_export::user_export(lane& on, identity who, user_id user, const json_encoder& encode, const rest_hooks& hooks)
    : on_(on), who_(std::move(who)), user_(std::move(user)), encode_(encode), hooks_(hooks) {}

void user_export::begin(std::function<void(outcome<void>)> done) {
  look first;
  first.user = user_;
  hooks_.perform_account(on_, who_, std::move(first), [self = shared_from_this(), done = std::move(done)](answer a) {
    if (!a)
      return done(std::move(a).error());
    self->add(self->encode_.body(*a));
    done({});
  });
}

void user_export::next(std::function<void(http_piece)> take) {
  take_ = std::move(take);
  if (!lines_.empty())
    std::exchange(take_, nullptr)({std::exchange(lines_, {}), at_ == step::end, false});
  else
    go_on();
}

/// Asks for pages until there is a line to be handed over: of most rooms a user has little.
void user_export::go_on() {
  hooks_.perform_account(on_, who_, what_comes(), [self = shared_from_this()](answer a) {
    if (!a && a.error().code != errc::not_found) { // the connection ends without the last line
      std::exchange(self->take_, nullptr)({{}, true, true});
      return;
    }
    self->took(a ? *a : ok::any{ok::none{}});
    if (self->at_ == step::end)
      self->add(R"({"part":"end"})");
    if (self->lines_.empty())
      self->go_on();
    else
      std::exchange(self->take_, nullptr)({std::exchange(self->lines_, {}), self->at_ == step::end, false});
  });
}

user_export::look user_export::what_comes() const {
  look x;
  x.user = user_;
  switch (at_) {
  case step::rooms:
  case step::end:
    x.what = look::part::rooms;
    x.after = after_;
    return x;
  case step::threads:
    x.what = look::part::threads;
    break;
  case step::scheduled:
    x.what = look::part::scheduled;
    break;
  case step::events:
    x.what = look::part::events;
    break;
  }
  x.room = rooms_.front();
  x.seq = seq_;
  return x;
}

/// One page. A room that is gone meanwhile, ok::none, has nothing more.
void user_export::took(const ok::any& what) {
  if (at_ == step::rooms) {
    const auto* page = std::get_if<ok::about_rooms>(&what);
    more_rooms_ = page != nullptr && !page->next.empty();
    after_ = more_rooms_ ? page->next : std::string{};
    if (page != nullptr && !page->list.empty())
      add(encode_.body(what));
    if (page != nullptr)
      for (const auto& [room, entry] : page->list)
        rooms_.push_back(room);
    if (!rooms_.empty())
      at_ = step::threads;
    else if (!more_rooms_) // else: the token opens none of these
      at_ = step::end;
  } else if (at_ == step::threads) {
    const auto* page = std::get_if<ok::about_threads>(&what);
    if (page != nullptr && !page->list.empty())
      add(encode_.body(what));
    seq_ = page != nullptr && page->more ? page->list.back().first : 0;
    if (seq_ == 0)
      at_ = step::scheduled;
  } else if (at_ == step::scheduled) {
    if (const auto* page = std::get_if<ok::scheduled>(&what); page != nullptr && !page->list.empty())
      add(R"({"part":"scheduled",)" + encode_.body(what).substr(1));
    at_ = step::events;
  } else {
    const auto* page = std::get_if<ok::about_events>(&what);
    const bool is_first = seq_ == 0; // it says how the user stands in the room
    if (page != nullptr && (is_first || !page->what.events.empty() || !page->mentions.empty()))
      add(encode_.body(what));
    seq_ = page != nullptr ? page->next : 0;
    if (seq_ == 0)
      next_room();
  }
}

void user_export::next_room() {
  rooms_.pop_front();
  if (!rooms_.empty())
    at_ = step::threads;
  else
    at_ = more_rooms_ ? step::rooms : step::end;
}

} // namespace greenroom::net
