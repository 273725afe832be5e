#include "net/etcd/watching.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

namespace greenroom::net::etcd {

namespace asio = boost::asio;

// -- from other threads -----------------------------------------------------------------------------------------------

void watching::stop() {
  const std::lock_guard lock(gate_);
  stopped_ = true;
}

bool watching::stopped() {
  const std::lock_guard lock(gate_);
  return stopped_;
}

void watching::hang_up() {
  if (current_)
    current_->link->close();
}

// -- the watch --------------------------------------------------------------------------------------------------------

asio::awaitable<void> watching::run(std::shared_ptr<watching> self, caller& by) {
  self->at_ = by.preferred();
  while (!by.closed() && !self->stopped()) {
    if (self->list_next_)
      if (const bool listed = co_await self->list(by); !listed) {
        ++self->failures_;
        co_await self->rest(by);
        continue;
      }
    co_await self->follow(by);
    co_await self->rest(by);
  }
}

/// The first failure in a row is followed by another try at once: the next endpoint may be well.
asio::awaitable<void> watching::rest(caller& by) {
  if (failures_ < 2 || by.closed())
    co_return;
  const auto doubled = uint64_t{by.limits().pause_ms} << std::min(failures_ - 2, 16u);
  co_await by.pause(static_cast<uint32_t>(std::min<uint64_t>(doubled, by.limits().pause_ms_max)));
}

asio::awaitable<bool> watching::list(caller& by) {
  auto found = std::make_shared<cluster::listing>();
  request r;
  r.first = {wire::range_path, wire::list_body(prefix_)};
  r.begin = [found] {
    return [found](const std::string& answer) -> outcome<std::optional<step>> {
      auto got = wire::read_listing(answer);
      if (!got)
        return std::move(got).error();
      *found = std::move(*got);
      return std::optional<step>();
    };
  };
  r.until = steady::now() + std::chrono::milliseconds{by.limits().request_ms};
  const auto done = co_await by.ask(std::move(r));
  if (!done)
    co_return false;
  known_.clear();
  for (const auto& e : found->entries)
    known_[e.key] = e.revision;
  told_ = found->revision;
  list_next_ = false;
  const std::lock_guard lock(gate_);
  if (!stopped_) {
    ++by.counts().watch_listings;
    to_.listed(*found);
  }
  co_return true;
}

asio::awaitable<void> watching::follow(caller& by) {
  held_back_.clear();
  const auto until = steady::now() + std::chrono::milliseconds{by.limits().request_ms};
  auto open = co_await by.open(at_, until);
  if (!open)
    co_return lost(by);
  const auto header =
      co_await open->link->begin(wire::watch_path, wire::watch_body(prefix_, told_ + 1), open->token, until);
  if (header.broken || header.status != 200) {
    if (!header.broken && wire::read_refusal(header.status, header.body).what == wire::refusal::kind::token)
      by.drop_token(at_, open->token);
    co_return lost(by);
  }
  ++by.counts().watch_streams;
  auto s = std::make_shared<stream>();
  s->link = std::move(open->link);
  s->heard = steady::now();
  current_ = s;
  asio::co_spawn(by.io(), look_after(shared_from_this(), s, by), asio::detached);
  co_await read(*s, by);
  s->over = true;
  s->end.ring();
  s->link->close();
  current_.reset();
  lost(by);
}

void watching::lost(caller& by) {
  ++failures_;
  by.step_past(at_);
  ++at_;
}

asio::awaitable<void> watching::read(stream& s, caller& by) {
  // That the watch has begun is said at once; what comes later comes when it comes, and look_after() minds the silence.
  auto until = steady::now() + std::chrono::milliseconds{by.limits().request_ms};
  while (!stopped()) {
    auto line = co_await s.link->line(by.limits().watch_line_bytes_max, until);
    if (!line) {
      // To ask for the same again would answer the same.
      if (line.error().code == errc::too_large)
        list_next_ = true;
      co_return;
    }
    if (line->empty())
      continue;
    auto message = wire::read_watch_message(*line);
    if (!message)
      co_return;
    s.heard = steady::now();
    until = steady::time_point::max();
    if (!take(std::move(*message)))
      co_return;
  }
}

bool watching::take(wire::watch_message message) {
  if (message.canceled) {
    // By compaction; or because the user may not, or the token is old: then listing says so, or mends it.
    list_next_ = true;
    return false;
  }
  auto& updates = message.updates;
  if (!held_back_.empty()) {
    updates.insert(updates.begin(), std::make_move_iterator(held_back_.begin()),
                   std::make_move_iterator(held_back_.end()));
    held_back_.clear();
  }
  if (message.fragment && !updates.empty()) {
    const auto rest = std::find_if(updates.begin(), updates.end(), [&](const cluster::update& u) {
      return u.what.revision == updates.back().what.revision;
    });
    held_back_.assign(std::make_move_iterator(rest), std::make_move_iterator(updates.end()));
    updates.erase(rest, updates.end());
  }
  tell(std::move(updates));
  return true;
}

void watching::tell(std::vector<cluster::update> updates) {
  const auto stale = [this](const cluster::update& u) {
    const auto known = known_.find(u.what.key);
    return u.what.revision <= told_ || (known != known_.end() && u.what.revision <= known->second);
  };
  std::erase_if(updates, stale);
  if (updates.empty())
    return;
  for (const auto& u : updates) {
    if (u.erased)
      known_.erase(u.what.key);
    else
      known_[u.what.key] = u.what.revision;
    told_ = std::max(told_, u.what.revision);
  }
  failures_ = 0;
  const std::lock_guard lock(gate_);
  if (!stopped_)
    to_.updated(updates);
}

// -- silence ----------------------------------------------------------------------------------------------------------

asio::awaitable<void> watching::look_after(std::shared_ptr<watching> self, std::shared_ptr<stream> s, caller& by) {
  co_await self->look_after(*s, by);
}

asio::awaitable<void> watching::look_after(stream& s, caller& by) {
  const auto silence = std::chrono::milliseconds{by.limits().watch_silence_ms};
  while (!s.over && !by.closed()) {
    const auto heard = s.heard;
    if (steady::now() < heard + silence) {
      co_await by.wait(s.end, heard + silence);
      continue;
    }
    auto found = std::make_shared<wire::summary>();
    request r;
    r.first = {wire::range_path, wire::changed_body(prefix_, told_)};
    r.begin = [found] {
      return [found](const std::string& answer) -> outcome<std::optional<step>> {
        const auto got = wire::read_summary(answer);
        if (!got)
          return got.error();
        *found = *got;
        return std::optional<step>();
      };
    };
    r.until = steady::now() + std::chrono::milliseconds{by.limits().request_ms};
    ++by.counts().watch_checks;
    const auto done = co_await by.ask(std::move(r));
    if (s.over)
      co_return;
    // What came while it was asked makes the answer old, and shows that the stream lives.
    if (s.heard != heard)
      continue;
    if (!done) {
      co_await by.wait(s.end, steady::now() + std::chrono::milliseconds{by.limits().pause_ms_max});
      continue;
    }
    // A store that stands before what it told was put back from a copy: nothing that is known counts.
    if (found->changed > 0 || found->keys != known_.size() || found->revision < told_) {
      ++by.counts().watches_behind;
      list_next_ = true;
      s.link->close();
      co_return;
    }
    failures_ = 0;
    s.heard = steady::now();
  }
}

} // namespace greenroom::net::etcd
