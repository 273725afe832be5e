#include "actors/pusher.hpp"

#include "actors/house.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace greenroom::pusher {
namespace {

constexpr int64_t ask_again_ms = 5'000;         // a room that has not answered
constexpr int64_t read_again_ms = 1'000;        // what could not be read
constexpr int64_t retry_after_max = 86'400'000; // a receiver may ask for patience, but not for ever
constexpr uint32_t ailing = 3;                  // failures in a row, after which one delivery at a time is tried
constexpr size_t scan_page = 1'000;             // rooms of an index with one read
constexpr size_t answer_bytes_max = 65'536;     // nobody reads it

/// Without a draw of lots: who fails together comes back apart.
uint64_t scatter(const std::string& text, uint64_t n) {
  uint64_t h = 0xcbf29ce484222325ULL ^ (n * 0x9e3779b97f4a7c15ULL);
  for (unsigned char c : text)
    h = (h ^ c) * 0x100000001b3ULL;
  return h ^ (h >> 29);
}

} // namespace

pusher_actor::pusher_actor(caf::actor_config& cfg, house& in, host& on)
    : hosted_actor(cfg, on, actor_kind::pusher, {}, in.living), house_(in) {
  receive(changed{});
}

pusher_actor::hook_lane* pusher_actor::find(const std::string& name) {
  auto i = hooks_.find(name);
  return i == hooks_.end() ? nullptr : &i->second;
}

// -- what is left ----------------------------------------------------------------------------------------------------

/// Webhooks that are new here, or here again, read the indexes; those that have gone are forgotten: what is left for
/// them stays in the store.
void pusher_actor::receive(const changed&) {
  const auto set = house_.hooks.set();
  for (auto i = hooks_.begin(); i != hooks_.end();) {
    auto& [name, l] = *i;
    const bool stays = std::any_of(set->webhooks.begin(), set->webhooks.end(),
                                   [&, n = &name](const auto& w) { return w->name == *n; });
    if (stays) {
      ++i;
      continue;
    }
    l.rooms.clear();
    l.in_flight = 0;
    take_stock(l);
    l.counts->lag_ms.add(-l.counts->lag_ms.get());
    i = hooks_.erase(i);
  }
  for (const auto& w : set->webhooks) {
    auto [i, is_new] = hooks_.try_emplace(w->name);
    auto& l = i->second;
    l.what = w;
    if (is_new) {
      l.counts = house_.hooks.figures_of(w->name);
      l.to_scan = served_;
    }
    // What was wrong may have been put right.
    l.paused_until = 0;
    for (auto& [room, e] : l.rooms)
      if (e.at == phase::waiting)
        e.due = std::min(e.due, house_.steady_ms());
    scan(l);
    go_on(l);
  }
}

void pusher_actor::receive(const serves& x) {
  served_.insert(x.shard);
  for (auto& [name, l] : hooks_) {
    l.to_scan.insert(x.shard);
    scan(l);
  }
}

/// Whoever serves it now reads the index there. A delivery under way may still arrive, and is made again.
void pusher_actor::receive(const yields& x) {
  served_.erase(x.shard);
  for (auto& [name, l] : hooks_) {
    l.to_scan.erase(x.shard);
    if (l.scanned == x.shard) {
      l.scanned.reset();
      l.scanning = false;
    }
    std::erase_if(l.rooms, [&](const auto& r) {
      const bool goes = r.first.shard() == x.shard;
      if (goes && r.second.at >= phase::collecting)
        --l.in_flight;
      return goes;
    });
    go_on(l);
  }
}

/// Reads the indexes, a page at a time, as long as there is room for what stands in them.
void pusher_actor::scan(hook_lane& l) {
  if (l.scanning || l.to_scan.empty() || l.rooms.size() >= l.what->what.pending_rooms)
    return;
  if (!l.scanned) {
    l.scanned = *l.to_scan.begin();
    l.scan_after.clear();
  }
  l.scanning = true;
  l.scan_token = ++next_token_;
  tell(house_.reader_of(*l.scanned),
       reader::load_hooked{*l.scanned, l.what->name, l.scan_after, scan_page, l.scan_token, self()});
}

void pusher_actor::receive(const hooked_rooms& x) {
  auto* l = find(x.hook);
  if (!l || !l->scanning || x.token != l->scan_token)
    return;
  l->scanning = false;
  if (!*x.what)
    return; // the next tick tries again
  const auto& found = **x.what;
  const auto bound = l->what->what.pending_rooms;
  for (const auto& room : found) {
    if (l->rooms.size() >= bound) {
      go_on(*l);
      return; // from here on when there is room
    }
    add(*l, room, 0);
    l->scan_after = room.str();
  }
  if (found.size() < scan_page) {
    l->to_scan.erase(*l->scanned);
    l->scanned.reset();
  }
  scan(*l);
  go_on(*l);
}

void pusher_actor::receive(const pending& x) {
  auto* l = find(x.hook);
  if (!l || !served_.contains(x.room.shard()))
    return; // the index has it
  if (l->rooms.size() >= l->what->what.pending_rooms && !l->rooms.contains(x.room)) {
    l->to_scan.insert(x.room.shard());
    if (l->scanned == x.room.shard()) { // it may have been passed already
      l->scanned.reset();
      l->scanning = false;
    }
    return;
  }
  add(*l, x.room, x.ts);
  go_on(*l);
}

void pusher_actor::add(hook_lane& l, const room_id& room, int64_t ts) {
  auto [i, is_new] = l.rooms.try_emplace(room);
  auto& e = i->second;
  if (is_new) {
    e.since = ts;
    make_ready(l, room, e);
  } else {
    e.again = true;
  }
}

void pusher_actor::make_ready(hook_lane& l, const room_id& room, entry& e) {
  e.at = phase::ready;
  e.again = false;
  l.ready.push_back(room);
}

// -- deliveries ------------------------------------------------------------------------------------------------------

void pusher_actor::go_on(hook_lane& l) {
  const auto now = house_.steady_ms();
  const size_t at_once = l.failures >= ailing ? 1 : l.what->what.in_flight;
  while (!l.ready.empty() && l.in_flight < at_once && now >= l.paused_until) {
    const auto room = std::move(l.ready.front());
    l.ready.pop_front();
    auto i = l.rooms.find(room);
    if (i == l.rooms.end() || i->second.at != phase::ready)
      continue;
    auto& e = i->second;
    e.at = phase::collecting;
    e.due = now + ask_again_ms;
    e.token = ++next_token_;
    ++l.in_flight;
    tell(house_.shard_of(room), collect{room, l.what->name, e.token, e.upto});
  }
  take_stock(l);
}

void pusher_actor::receive(const hooked_page& x) {
  auto* l = find(x.what.hook);
  auto i = l ? l->rooms.find(x.what.room) : entries::iterator{};
  if (!l || i == l->rooms.end() || i->second.at != phase::collecting || i->second.token != x.what.token)
    return;
  auto& e = i->second;
  const auto& found = *x.events;
  if (!found) {
    e.at = phase::waiting;
    e.due = house_.steady_ms() + read_again_ms;
    --l->in_flight;
    go_on(*l);
    return;
  }
  e.turn = x.what.turn;
  e.after = x.what.after;
  e.through = x.through;
  e.all = x.what.to_head && x.through >= x.what.head;
  e.events = found->size();
  if (found->empty())
    move(*l, x.what.room, e); // nothing that it wants
  else
    push(*l, x.what.room, e, {x.what, *found, x.through});
}

void pusher_actor::push(hook_lane& l, const room_id& room, entry& e, hooks::read_piece what) {
  e.at = phase::pushing;
  e.token = ++next_token_;
  e.upto = what.through;
  if (e.since == 0)
    e.since = what.events.front().ts;
  const auto& w = *l.what;
  hooks::delivery d{hooks::delivery_id(what), std::move(what)};
  http_post post;
  post.url = w.what.url;
  post.ca_file = w.what.ca_file;
  post.body = house_.wire->delivery(d);
  post.headers = hooks::signed_headers(w.secrets, house_.now_ms(), post.body);
  post.headers.emplace_back("Greenroom-Hook", w.name);
  post.headers.emplace_back("Greenroom-Delivery", d.id);
  post.headers.emplace_back("Greenroom-Attempt", std::to_string(e.failures + 1));
  post.timeout_ms = w.what.timeout_ms;
  post.answer_bytes = answer_bytes_max;
  house_.web->post(std::move(post), [to = self(), hook = w.name, room, token = e.token](outcome<http_answer> got) {
    tell(to, answered{hook, room, token, std::move(got)});
  });
}

void pusher_actor::receive(const answered& x) {
  auto* l = find(x.hook);
  auto i = l ? l->rooms.find(x.room) : entries::iterator{};
  if (!l || i == l->rooms.end() || i->second.at != phase::pushing || i->second.token != x.token)
    return;
  auto& e = i->second;
  if (!x.what) {
    failed(*l, x.room, e, x.what.error().message, 0);
  } else if (x.what->status < 200 || x.what->status > 299) {
    const auto why = "the answer has status " + std::to_string(x.what->status);
    failed(*l, x.room, e, why, std::min(x.what->retry_after_ms, retry_after_max));
  } else {
    l->counts->deliveries.add();
    l->counts->events.add(static_cast<int64_t>(e.events));
    l->failures = 0;
    l->paused_until = 0;
    e.failures = 0;
    e.upto = 0;
    e.since = 0;
    move(*l, x.room, e);
  }
  go_on(*l);
}

/// It stays, and is tried again. Where others fail, too, it is the receiver that has to be left alone for a while.
void pusher_actor::failed(hook_lane& l, const room_id& room, entry& e, const std::string& why, int64_t wait_ms) {
  const auto now = house_.steady_ms();
  l.counts->failures.add();
  l.failed_at = house_.now_ms();
  l.last_failure = why;
  ++e.failures;
  if (l.failures < UINT32_MAX)
    ++l.failures;
  const auto own = std::max(backoff(l, room, e.failures), wait_ms);
  if (wait_ms > 0)
    l.paused_until = std::max(l.paused_until, now + wait_ms);
  else if (l.failures >= ailing)
    l.paused_until = std::max(l.paused_until, now + backoff(l, {}, l.failures - ailing + 1));
  e.at = phase::waiting;
  e.due = now + own;
  --l.in_flight;
  spdlog::warn("what=webhook_failed hook={} room={} attempt={} retry_ms={} reason=\"{}\"", l.what->name, room.str(),
               e.failures, std::max(own, l.paused_until - now), why);
}

int64_t pusher_actor::backoff(const hook_lane& l, const room_id& room, uint32_t failures) const {
  const auto& c = l.what->what;
  const int64_t most = int64_t{c.retry_max_s} * 1'000;
  const int64_t doubled = int64_t{c.retry_min_ms} << std::min(failures - 1, 20u);
  const int64_t wait = std::min(doubled, most);
  // Between three quarters and five quarters of it.
  return wait - wait / 4 + static_cast<int64_t>(scatter(l.what->name + room.str(), failures) % (wait / 2 + 1));
}

void pusher_actor::move(hook_lane& l, const room_id& room, entry& e) {
  e.at = phase::moving;
  e.due = house_.steady_ms() + ask_again_ms;
  e.token = ++next_token_;
  tell(house_.shard_of(room), moved{room, l.what->name, e.token, e.turn, e.through, e.all});
}

void pusher_actor::receive(const settled& x) {
  auto* l = find(x.hook);
  auto i = l ? l->rooms.find(x.room) : entries::iterator{};
  if (!l || i == l->rooms.end() || i->second.token != x.token ||
      (i->second.at != phase::collecting && i->second.at != phase::moving))
    return;
  auto& e = i->second;
  --l->in_flight;
  if (x.more || e.again)
    make_ready(*l, x.room, e);
  else
    l->rooms.erase(i);
  if (l->rooms.size() < l->what->what.pending_rooms / 2 + 1)
    scan(*l);
  go_on(*l);
}

// -- time ------------------------------------------------------------------------------------------------------------

void pusher_actor::receive(const tick&) {
  const auto now = house_.steady_ms();
  for (auto& [name, l] : hooks_) {
    for (auto& [room, e] : l.rooms) {
      if (e.at == phase::ready || e.at == phase::pushing || e.due > now)
        continue;
      if (e.at == phase::moving) {
        move(l, room, e);
        continue;
      }
      if (e.at == phase::collecting)
        --l.in_flight;
      make_ready(l, room, e);
    }
    scan(l);
    go_on(l);
    int64_t oldest = 0;
    for (const auto& [room, e] : l.rooms)
      if (e.since != 0 && (oldest == 0 || e.since < oldest))
        oldest = e.since;
    const auto lag = oldest == 0 ? 0 : std::max<int64_t>(house_.now_ms() - oldest, 0);
    l.counts->lag_ms.add(lag - l.counts->lag_ms.get());
  }
}

void pusher_actor::take_stock(hook_lane& l) {
  auto& c = *l.counts;
  c.pending.add(static_cast<int64_t>(l.rooms.size()) - c.pending.get());
  c.in_flight.add(static_cast<int64_t>(l.in_flight) - c.in_flight.get());
}

void pusher_actor::receive(const list& x) {
  ok::webhooks all;
  const auto now = house_.steady_ms();
  for (const auto& [name, l] : hooks_) {
    ok::webhook w;
    w.name = name;
    w.url = l.what->what.url.substr(0, l.what->what.url.find('?')); // a query may hold a secret
    w.node = house_.config.node.name;
    w.pending_rooms = l.rooms.size();
    w.in_flight = l.in_flight;
    w.more = !l.to_scan.empty();
    w.lag_ms = static_cast<uint64_t>(std::max<int64_t>(l.counts->lag_ms.get(), 0));
    w.deliveries = static_cast<uint64_t>(l.counts->deliveries.get());
    w.events = static_cast<uint64_t>(l.counts->events.get());
    w.failures = static_cast<uint64_t>(l.counts->failures.get());
    w.last_failure = l.last_failure;
    w.failed_at = l.failed_at;
    w.retry_ms = static_cast<uint64_t>(std::max<int64_t>(l.paused_until - now, 0));
    all.list.push_back(std::move(w));
  }
  x.from.answer(ok::any{std::move(all)});
}

void pusher_actor::receive(const stop&) { quit(); }

} // namespace greenroom::pusher
