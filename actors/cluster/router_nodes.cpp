// The router's half that other nodes speak to: links, the shard's record, and what comes in letters.
#include "actors/cluster/router.hpp"
#include "actors/house.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace greenroom::cluster {

/// A node keeps its number for as long as this process runs; 63 is what the attendance of a room has bits for.
uint32_t router::node_of(const std::string& name) {
  auto i = std::find(names_.begin(), names_.end(), name);
  if (i == names_.end()) {
    if (names_.size() == 63) {
      spdlog::error("what=too_many_nodes name={} limit=63", name);
      return 0;
    }
    i = names_.insert(names_.end(), name);
  }
  return static_cast<uint32_t>(i - names_.begin()) + 1;
}

bool router::post(uint32_t node, const shard_letter& x, channel by) {
  auto n = nodes_.find(node);
  if (n == nodes_.end() || !n->second.link)
    return false;
  return n->second.link->post(by, {shard_mailbox(id_), std::make_shared<const std::string>(encode(x))});
}

void router::receive(const peer_up& x) {
  auto node = node_of(x.who->name);
  if (node == 0)
    return;
  auto& n = nodes_[node];
  n.link = x.who;
  n.turned_away = 0;
  if (!here_ && primary_ == x.who->store) {
    forget_departs();
    resend();
  }
}

void router::receive(const peer_down& x) {
  auto node = node_of(x.who->name);
  auto i = nodes_.find(node);
  if (i == nodes_.end() || i->second.link != x.who)
    return;
  i->second.link.reset();
  std::erase_if(guests_, [&](const auto& g) { return g.second.node == node; });
  forget_watchers(node);
  for (auto* a : shard_.all_audiences()) {
    std::erase(a->nodes, node);
    a->present->forget(node);
    shard_.forget_audience(room_id(a->room));
  }
  shard_.not_watched_from(node);
  for (const auto& [connection, user] : std::exchange(i->second.connections, {})) {
    auto gone = std::make_shared<user::command>(user::command{user, caller{}, user::depart{connection}});
    if (here_)
      shard_.perform(user::ask{std::move(gone)});
  }
}

void router::receive(const primary_is& x) {
  bool other = x.who != primary_ || x.epoch != epoch_;
  if (other)
    forget_departs();
  epoch_ = x.epoch;
  primary_ = x.who;
  if (other && !here_ && primary())
    resend();
}

void router::receive(const serve& x) {
  here_ = true;
  epoch_ = x.epoch;
  forget_departs();
  empty_audiences();
  resend();
}

void router::receive(const yield&) {
  here_ = false;
  guests_.clear(); // their nodes send again
  for (auto& [node, n] : nodes_)
    n.connections.clear();
  watchers_.clear();
  watcher_tickets_.clear();
  empty_audiences();
  stalled_ = true;
}

void router::receive(const arrived& x) {
  auto node = node_of(x.from->name);
  auto n = nodes_.find(node);
  if (n == nodes_.end() || n->second.link != x.from)
    return;
  auto letter = read_shard_letter(*x.what);
  if (!letter) {
    spdlog::error("what=letter_unreadable from={} shard={}", x.from->name, id_);
    return;
  }
  std::visit([&](const auto& l) { come(node, l); }, *letter);
}

/// Whether what came in that stream is to be done here. If not, its sender is told so once, and sends all of it anew.
bool router::takes(uint32_t node, uint64_t epoch, uint64_t stream, bool serves) {
  auto& n = nodes_[node];
  if (stream <= n.turned_away)
    return false;
  if (serves && epoch == epoch_)
    return true;
  n.turned_away = stream;
  post(node, turned_away{stream});
  return false;
}

void router::come(uint32_t node, const forward& x) {
  if (!takes(node, x.epoch, x.stream, here_ && house_.cluster->may_read(id_)))
    return;
  auto ticket = x.ticket == 0 ? 0 : ++next_ticket_;
  command c = std::visit(
      []<class Command>(const Command& what) -> command { return std::make_shared<const Command>(what); }, x.what);
  if (auto bound = house_.config.cluster.guests; ticket != 0 && guests_.size() >= bound && !is_departure(c)) {
    auto why = fail(errc::unavailable,
                    "cluster.guests: " + std::to_string(bound) + " requests of other nodes wait for this shard");
    const auto* u = std::get_if<user::command_ptr>(&c);
    if (u && std::holds_alternative<user::arrive>((*u)->what)) // which may be one that nobody waits for
      post(node, answered_letter{x.ticket, user::welcome{why, close_code::shutdown, 0, {}}});
    else
      post(node, answered_letter{x.ticket, answer{why}});
    return;
  }
  if (ticket != 0)
    guests_.emplace(ticket, guest{node, x.ticket, only_reads(c), house_.steady_ms()});
  perform_here(ticket, c, node, x.again);
}

void router::come(uint32_t, const turned_away& x) {
  if (x.stream == stream_)
    stalled_ = true;
}

void router::come(uint32_t, const answered_letter& x) {
  auto i = find(x.ticket, std::visit([](const auto& what) { return stays_true(what); }, x.what));
  if (i == pending_.end())
    return; // the second answer; or a primary of before, whose word does not count any more
  auto p = take_out(i);
  std::visit([&](const auto& what) { finish(p, what); }, x.what);
}

void router::come(uint32_t node, const news& x) {
  auto* a = shard_.find_audience(x.room);
  if (a && a->relay)
    std::visit([&](const auto& what) { greenroom::tell(a->relay, what); }, x.what);
  else
    post(node, cluster::quiet{x.room});
}

void router::come(uint32_t node, const cluster::quiet& x) {
  if (auto* a = shard_.find_audience(x.room)) {
    std::erase(a->nodes, node);
    a->present->forget(node);
    shard_.forget_audience(x.room);
  }
  if (auto w = watcher_tickets_.find({node, x.room}); w != watcher_tickets_.end()) {
    watchers_.erase(w->second);
    watcher_tickets_.erase(w);
  }
}

void router::come(uint32_t node, const watching& x) {
  if (!takes(node, x.epoch, x.stream, here_))
    return;
  auto& a = shard_.make_audience(x.room); // before the room is awake: what follows must find it
  a.enter(node);
  a.present->forget(node);
  a.present->look_anew(); // it may have missed something, and others have now been told that its users are gone
  watch(node, x.room);
}

void router::come(uint32_t node, const cluster::seen& x) {
  if (!takes(node, x.epoch, x.stream, here_))
    return;
  if (auto* a = shard_.find_audience(x.room))
    a->present->report(node, x.user, x.status);
}

void router::come(uint32_t node, const watching_users& x) {
  if (takes(node, x.epoch, x.stream, here_))
    shard_.watched_from(node, x.users, x.on, x.anew);
}

void router::come(uint32_t, const appearances& x) { shard_.appeared(x.users); }

namespace {

template <class Letter>
auto to_connection(const Letter& x) {
  auto what = x.what;
  what.connection = x.connection;
  return what;
}

} // namespace

void router::come(uint32_t, const listed_there& x) { tell_connection(to_connection(x)); }
void router::come(uint32_t, const ended_there& x) { tell_connection(to_connection(x)); }
void router::come(uint32_t, const shown_there& x) { tell_connection(to_connection(x)); }
void router::come(uint32_t, const signalled_there& x) { tell_connection(to_connection(x)); }
void router::come(uint32_t, const vanished_there& x) { tell_connection(to_connection(x)); }

} // namespace greenroom::cluster
