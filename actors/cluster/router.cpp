#include "actors/cluster/router.hpp"

#include "actors/house.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>

namespace greenroom::cluster {
namespace {

constexpr int node_bits = 48; // an actor id is below it; above stands the node of a connection
constexpr uint64_t local_id(uint64_t connection) { return connection & ((uint64_t{1} << node_bits) - 1); }
constexpr uint32_t node_of_connection(uint64_t connection) { return static_cast<uint32_t>(connection >> node_bits); }
constexpr uint64_t with_node(uint64_t connection, uint32_t node) { return connection | (uint64_t{node} << node_bits); }

bool only_reads(const room::command& c) {
  return std::holds_alternative<op::history>(c.what) || std::holds_alternative<op::members>(c.what) ||
         std::holds_alternative<room::pull>(c.what) || std::holds_alternative<room::peek>(c.what);
}
bool only_reads(const user::command& c) {
  return std::holds_alternative<op::rooms>(c.what) || std::holds_alternative<user::vouch>(c.what);
}

/// Whether somebody waits for what becomes of it.
bool is_answered(const room::command& c) { return !std::holds_alternative<room::receipt>(c.what); }
bool is_answered(const user::command& c) { return !std::holds_alternative<user::depart>(c.what); }

failure lease_has_ended() { return fail(errc::unavailable, "the node has lost touch with its cluster"); }

template <class Command>
using shared = std::shared_ptr<const Command>;

} // namespace

// -- from this node --------------------------------------------------------------------------------------------------

void router::take(room::command_ptr c) {
  if (room::listens(*c))
    shard_.attach(c->room);
  take(command{std::move(c)}, false);
}

void router::take(user::command_ptr c) {
  if (const auto* a = std::get_if<user::arrive>(&c->what)) {
    connections_[a->connection] = c;
  } else if (const auto* d = std::get_if<user::depart>(&c->what)) {
    connections_.erase(d->connection);
    std::erase_if(pending_, [&](const auto& p) {
      const auto* u = std::get_if<user::command_ptr>(&p.second.what);
      const auto* arriving = u ? std::get_if<user::arrive>(&(*u)->what) : nullptr;
      return arriving && arriving->connection == d->connection;
    });
  }
  take(command{std::move(c)}, false);
}

void router::take(command c, bool is_again) {
  pending p{std::move(c), house_.steady_ms(), false, is_again};
  if (!std::visit([](const auto& x) { return is_answered(*x); }, p.what)) {
    dispatch(0, p);
    return;
  }
  auto ticket = ++next_ticket_;
  auto& kept = pending_.emplace_hint(pending_.end(), ticket, std::move(p))->second;
  dispatch(ticket, kept);
}

void router::dispatch(uint64_t ticket, pending& p) {
  bool again = std::exchange(p.sent, true);
  if (here_) {
    if (!stalled_ && house_.cluster->may_read(id_)) { // what came before waits for the tick, and so must this
      perform_here(ticket, p.what, 0, again);
    } else {
      stalled_ = true;
      p.sent = again;
    }
    return;
  }
  auto* to = stalled_ ? nullptr : primary();
  if (!to) {
    p.sent = again;
    return;
  }
  forward x{epoch_, stream_, ticket, again, {}};
  std::visit([&](const auto& c) { x.what = *c; }, p.what);
  to->link->post(channel::control, {shard_mailbox(id_), std::make_shared<const std::string>(encode(shard_letter{x}))});
}

/// The command as the room or the user is to see it: its answer comes to us, under the ticket.
void router::perform_here(uint64_t ticket, const command& c, uint32_t node, bool retried) {
  auto address = [&](caller& from) {
    from.to = ticket != 0 ? shard_.as_asker() : asker{};
    from.ticket = ticket;
    from.node = node;
    from.retried = retried;
  };
  if (const auto* r = std::get_if<room::command_ptr>(&c)) {
    auto made = std::make_shared<room::command>(**r);
    address(made->from);
    if (auto* p = std::get_if<room::pull>(&made->what))
      p->to = shard_.as_puller();
    else if (auto* k = std::get_if<room::peek>(&made->what))
      k->to = shard_.as_looker();
    shard_.perform(room::ask{std::move(made)});
    return;
  }
  auto made = std::make_shared<user::command>(*std::get<user::command_ptr>(c));
  address(made->from);
  if (auto* a = std::get_if<user::arrive>(&made->what)) {
    a->to = shard_.as_connection();
    a->connection = with_node(a->connection, node);
    if (node != 0)
      nodes_[node].connections.emplace(a->connection, made->user);
  } else if (auto* d = std::get_if<user::depart>(&made->what)) {
    d->connection = with_node(d->connection, node);
    if (node != 0)
      nodes_[node].connections.erase(d->connection);
  } else if (auto* e = std::get_if<user::effect>(&made->what)) {
    e->origin = shard_.as_origin();
  }
  shard_.perform(user::ask{std::move(made)});
}

/// Everything that is not answered, to whoever is the primary now; and what it must know of this node.
void router::resend() {
  ++stream_;
  stalled_ = false;
  for (const auto& [id, c] : connections_) {
    bool waits = std::any_of(pending_.begin(), pending_.end(), [&](const auto& p) {
      const auto* u = std::get_if<user::command_ptr>(&p.second.what);
      return u && *u == c;
    });
    if (!waits)
      pending_.emplace_hint(pending_.end(), ++next_ticket_, pending{c, house_.steady_ms(), false, true});
  }
  for (auto& [ticket, p] : pending_)
    dispatch(ticket, p);
  for (auto* a : shard_.all_audiences()) {
    if (!a->relay)
      continue;
    if (here_) {
      auto look = std::make_shared<room::command>(room::command{a->room, caller{}, room::watch{}});
      shard_.perform(room::ask{std::move(look)});
    } else if (auto* to = primary()) {
      auto say = [&](const shard_letter& x) {
        to->link->post(channel::control, {shard_mailbox(id_), std::make_shared<const std::string>(encode(x))});
      };
      say(watching{epoch_, stream_, a->room});
      for (const auto& user : a->present->here())
        say(cluster::seen{a->room, user, true});
    }
  }
}

router::neighbour* router::primary() {
  for (auto& [node, n] : nodes_)
    if (n.link && n.link->store == primary_)
      return &n;
  return nullptr;
}

void router::quiet(const room_id& room) {
  if (auto* to = here_ ? nullptr : primary())
    to->link->post(channel::control, {shard_mailbox(id_),
                                      std::make_shared<const std::string>(encode(shard_letter{cluster::quiet{room}}))});
}

void router::seen(const room_id& room, const user_id& user, bool on) {
  if (auto* to = here_ ? nullptr : primary())
    to->link->post(channel::control, {shard_mailbox(id_), std::make_shared<const std::string>(
                                                              encode(shard_letter{cluster::seen{room, user, on}}))});
}

void router::tick() {
  auto late = house_.steady_ms() - house_.limits_now()->request_ms;
  while (!pending_.empty() && pending_.begin()->second.since < late) {
    auto p = std::move(pending_.begin()->second);
    pending_.erase(pending_.begin());
    expire(p);
  }
  if (stalled_ && (here_ || primary()))
    resend();
  // A room that ended by a mistake answers nobody. Who asked has had its own deadline meanwhile, on its own node.
  if (late > swept_ms_) {
    std::erase_if(guests_, [&](const auto& g) { return g.second.since < swept_ms_; });
    swept_ms_ = house_.steady_ms();
  }
}

void router::expire(pending& p) {
  if (p.again) { // the connection knows nothing of it; it is still to arrive
    pending_.emplace_hint(pending_.end(), ++next_ticket_, pending{p.what, house_.steady_ms(), p.sent, true});
    return;
  }
  finish(p, answer{fail(errc::unavailable, "the shard of this room or user had no primary in time; try again")});
}

// -- answers ---------------------------------------------------------------------------------------------------------

template <class What>
void router::give(uint64_t ticket, const What& what) {
  if (auto g = guests_.find(ticket); g != guests_.end()) {
    auto who = g->second;
    guests_.erase(g);
    if (who.reads && !house_.cluster->may_read(id_))
      post(who.node, answered_letter{who.ticket, answer{lease_has_ended()}});
    else
      post(who.node, answered_letter{who.ticket, what});
    return;
  }
  auto i = pending_.find(ticket);
  if (i == pending_.end())
    return; // too late, or the second time
  auto p = std::move(i->second);
  pending_.erase(i);
  bool reads = std::visit([](const auto& c) { return only_reads(*c); }, p.what);
  if (reads && here_ && !house_.cluster->may_read(id_))
    finish(p, answer{lease_has_ended()});
  else
    finish(p, what);
}

void router::answered(uint64_t ticket, answer what) { give(ticket, what); }
void router::answered(uint64_t ticket, const room::pulled& what) { give(ticket, what); }
void router::answered(uint64_t ticket, const outcome<standing>& what) { give(ticket, what); }
void router::answered(uint64_t ticket, const user::welcome& what) { give(ticket, what); }
void router::answered(uint64_t ticket, const user::effect_applied& what) { give(ticket, what); }
void router::admit(const room_id&, const caller& from, const standing& where) { give(from.ticket, admitted{where}); }
void router::refuse(const room_id&, const caller& from, const failure& why) { give(from.ticket, refused{why}); }

void router::finish(const pending& p, const answer& what) {
  if (const auto* r = std::get_if<room::command_ptr>(&p.what)) {
    const auto& c = **r;
    if (const auto* pull = std::get_if<room::pull>(&c.what))
      greenroom::tell(pull->to, room::pulled{c.from.ticket, false, {}, 0}); // it asks again
    else if (const auto* peek = std::get_if<room::peek>(&c.what))
      greenroom::tell(peek->to, stands{c.from.ticket, what.error(), nullptr});
    else if (room::listens(c) && !what)
      finish(p, refused{what.error()});
    else
      c.from.answer(what);
    return;
  }
  const auto& c = *std::get<user::command_ptr>(p.what);
  if (const auto* a = std::get_if<user::arrive>(&c.what))
    greenroom::tell(a->to, user::welcome{what.error(), close_code::shutdown});
  else if (!std::holds_alternative<user::effect>(c.what)) // an effect is sent again by its shard
    c.from.answer(what);
}

void router::finish(const pending& p, const room::pulled& what) {
  const auto& c = *std::get<room::command_ptr>(p.what);
  auto x = what;
  x.ticket = c.from.ticket;
  greenroom::tell(std::get<room::pull>(c.what).to, std::move(x));
}

void router::finish(const pending& p, const outcome<standing>& what) {
  const auto& c = *std::get<room::command_ptr>(p.what);
  greenroom::tell(std::get<room::peek>(c.what).to, stands{c.from.ticket, what, nullptr});
}

void router::finish(const pending& p, const admitted& what) {
  const auto& c = *std::get<room::command_ptr>(p.what);
  if (auto* a = shard_.find_audience(c.room))
    greenroom::tell(a->relay, relay::admit{c.from, what.where});
}

void router::finish(const pending& p, const refused& what) {
  const auto& c = *std::get<room::command_ptr>(p.what);
  if (auto* a = shard_.find_audience(c.room))
    greenroom::tell(a->relay, relay::refuse{c.from, what.why});
}

/// A connection that arrives anew at another primary hears only what it can't know: that its session has ended, and of
/// rooms that may have come onto the user's list meanwhile.
void router::finish(const pending& p, const user::welcome& what) {
  const auto& c = *std::get<user::command_ptr>(p.what);
  const auto& to = std::get<user::arrive>(c.what).to;
  if (!p.again) {
    greenroom::tell(to, what);
  } else if (!what.rooms) {
    if (what.otherwise != close_code::shutdown)
      greenroom::tell(to, user::ended{what.otherwise, what.rooms.error().message});
  } else {
    for (const auto& [room, entry] : *what.rooms)
      greenroom::tell(
          to,
          user::listed{room, {entry.epoch, entry.since > 0 ? entry.since - 1 : 0}, true, what.rooms->size(), 0, true});
  }
}

void router::finish(const pending& p, const user::effect_applied& what) {
  const auto& c = *std::get<user::command_ptr>(p.what);
  auto x = what;
  x.ticket = c.from.ticket;
  greenroom::tell(std::get<user::effect>(c.what).origin, std::move(x));
}

void router::tell_connection(const user::listed& what) {
  if (auto node = node_of_connection(what.connection); node != 0)
    post(node, listed_there{local_id(what.connection), what});
  else if (auto c = connections_.find(what.connection); c != connections_.end())
    greenroom::tell(std::get<user::arrive>(c->second->what).to, what);
}

void router::tell_connection(const user::ended& what) {
  if (auto node = node_of_connection(what.connection); node != 0)
    post(node, ended_there{local_id(what.connection), what});
  else if (auto c = connections_.find(what.connection); c != connections_.end())
    greenroom::tell(std::get<user::arrive>(c->second->what).to, what);
}

void router::tell(uint32_t node, const room_id& room, const relay_news& what) { post(node, news{room, what}); }

// -- the cluster -----------------------------------------------------------------------------------------------------

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

bool router::post(uint32_t node, const shard_letter& x) {
  auto n = nodes_.find(node);
  if (n == nodes_.end() || !n->second.link)
    return false;
  return n->second.link->post(channel::control, {shard_mailbox(id_), std::make_shared<const std::string>(encode(x))});
}

void router::receive(const peer_up& x) {
  auto node = node_of(x.who->name);
  if (node == 0)
    return;
  auto& n = nodes_[node];
  n.link = x.who;
  n.turned_away = 0;
  if (!here_ && primary_ == x.who->store)
    resend();
}

void router::receive(const peer_down& x) {
  auto node = node_of(x.who->name);
  auto i = nodes_.find(node);
  if (i == nodes_.end() || i->second.link != x.who)
    return;
  i->second.link.reset();
  std::erase_if(guests_, [&](const auto& g) { return g.second.node == node; });
  for (auto* a : shard_.all_audiences()) {
    std::erase(a->nodes, node);
    a->present->forget(node);
  }
  for (const auto& [connection, user] : std::exchange(i->second.connections, {})) {
    auto gone = std::make_shared<user::command>(user::command{user, caller{}, user::depart{connection}});
    if (here_)
      shard_.perform(user::ask{std::move(gone)});
  }
}

void router::receive(const primary_is& x) {
  bool other = x.who != primary_ || x.epoch != epoch_;
  epoch_ = x.epoch;
  primary_ = x.who;
  if (other && !here_ && primary())
    resend();
}

void router::receive(const serve& x) {
  here_ = true;
  epoch_ = x.epoch;
  resend();
}

void router::receive(const yield&) {
  here_ = false;
  guests_.clear(); // their nodes send again
  for (auto& [node, n] : nodes_)
    n.connections.clear();
  for (auto* a : shard_.all_audiences()) {
    for (auto node : std::exchange(a->nodes, {}))
      a->present->forget(node);
  }
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
  if (ticket != 0) {
    bool reads = std::visit([](const auto& what) { return only_reads(what); }, x.what);
    guests_.emplace(ticket, guest{node, x.ticket, reads, house_.steady_ms()});
  }
  perform_here(ticket, c, node, x.again);
}

void router::come(uint32_t, const turned_away& x) {
  if (x.stream == stream_)
    stalled_ = true;
}

void router::come(uint32_t, const answered_letter& x) {
  auto i = pending_.find(x.ticket);
  if (i == pending_.end())
    return;
  auto p = std::move(i->second);
  pending_.erase(i);
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
  }
}

void router::come(uint32_t node, const watching& x) {
  if (!takes(node, x.epoch, x.stream, here_))
    return;
  auto look = std::make_shared<room::command>(room::command{x.room, caller{}, room::watch{}});
  look->from.node = node;
  shard_.perform(room::ask{std::move(look)});
}

void router::come(uint32_t node, const cluster::seen& x) {
  if (auto* a = shard_.find_audience(x.room))
    a->present->report(node, x.user, x.on);
}

void router::come(uint32_t, const listed_there& x) {
  auto what = x.what;
  what.connection = x.connection;
  tell_connection(what);
}

void router::come(uint32_t, const ended_there& x) {
  auto what = x.what;
  what.connection = x.connection;
  tell_connection(what);
}

} // namespace greenroom::cluster
