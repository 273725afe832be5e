// What this node asks of a shard, and the answers. What other nodes say: router_nodes.cpp.
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

bool reads(const room::command& c) {
  if (std::holds_alternative<op::configure>(c.what))
    return !room::changes_room(c);
  return std::holds_alternative<op::history>(c.what) || std::holds_alternative<op::thread>(c.what) ||
         std::holds_alternative<op::scheduled>(c.what) || std::holds_alternative<op::members>(c.what) ||
         std::holds_alternative<op::pins>(c.what) || std::holds_alternative<op::fetch>(c.what) ||
         std::holds_alternative<room::pull>(c.what) || std::holds_alternative<room::peek>(c.what) ||
         std::holds_alternative<room::gather>(c.what);
}
bool reads(const user::command& c) {
  if (const auto* p = std::get_if<op::profile>(&c.what))
    return !p->changes();
  if (const auto* p = std::get_if<op::presence>(&c.what))
    return !p->changes();
  return std::holds_alternative<op::watch>(c.what) || std::holds_alternative<op::rooms>(c.what) ||
         std::holds_alternative<op::thread>(c.what) || std::holds_alternative<op::blocks>(c.what) ||
         std::holds_alternative<user::vouch>(c.what) || std::holds_alternative<user::invitation>(c.what) ||
         std::holds_alternative<account::show_erasure>(c.what) || std::holds_alternative<account::look_into>(c.what);
}

/// Chunks of attachments leave control to what people wait for. One that is overtaken says by its offset where it
/// belongs, and nothing that follows on it is under way.
bool is_bulk(const room::command& c) { return std::holds_alternative<op::store>(c.what); }
bool is_bulk(const user::command&) { return false; }

/// Whether somebody waits for what becomes of it.
bool is_answered(const room::command& c) { return !std::holds_alternative<room::receipt>(c.what); }
// A departure, too: one that got lost would leave a ghost.
bool is_answered(const user::command& c) { return !std::holds_alternative<user::activity>(c.what); }
bool has_key(const room::command_ptr* c) { return c && room::has_key(**c); }

constexpr size_t users_per_letter = 500; // with their notes far below the bound of a letter

failure lease_has_ended() { return fail(errc::unavailable, "the node has lost touch with its cluster"); }

template <class Command>
using shared = std::shared_ptr<const Command>;

} // namespace

bool router::is_departure(const command& c) {
  const auto* u = std::get_if<user::command_ptr>(&c);
  return u && std::holds_alternative<user::depart>((*u)->what);
}

bool router::only_reads(const command& c) {
  return std::visit([](const auto& x) { return reads(*x); }, c);
}

/// Whether an answer is true whatever has become of its sender since.
///
/// That is so of a message that was sent, now or for later: a room says so when its batch is committed, that is, synced
/// by every member of in_sync, of both sets while it changes, all of them under the sender's epoch
/// (replication::advance); or when it finds the key in the store, which holds only what was committed. The next primary
/// is one of these members, so the entry is in its log and in that of each later one. And what a primary learns after
/// it has stepped down it tells nobody (replica_actor::yield), so nothing is reported for an index where something else
/// stands by now. Of the same key every primary has the same room epoch, seq and ts to say, because they stand in the
/// entry.
///
/// Nothing else is: a refusal may be the old primary's alone, a page may lack what the next one has taken. Creating and
/// leaving are told apart by what they find, and answered the same the second time.
bool router::stays_true(const answer& what) {
  return what && (std::holds_alternative<ok::sent>(*what) || std::holds_alternative<ok::kept>(*what));
}

// -- from this node --------------------------------------------------------------------------------------------------

void router::take(room::command_ptr c) {
  if (room::listens(*c))
    shard_.will_listen(c->room);
  take(command{std::move(c)}, false);
}

void router::take(user::command_ptr c) {
  if (const auto* a = std::get_if<user::arrive>(&c->what)) {
    connections_[a->connection] = c;
  } else if (const auto* d = std::get_if<user::depart>(&c->what)) {
    connections_.erase(d->connection);
    bool untold = false;
    std::erase_if(pending_, [&](const auto& p) {
      const auto* u = std::get_if<user::command_ptr>(&p.second.what);
      const auto* arriving = u ? std::get_if<user::arrive>(&(*u)->what) : nullptr;
      if (!arriving || arriving->connection != d->connection)
        return false;
      untold = untold || (!p.second.sent && !p.second.again); // one that arrives again may be known there
      return true;
    });
    if (untold)
      return; // nobody has heard that it came
  }
  take(command{std::move(c)}, false);
}

void router::take(command c, bool is_again) {
  pending p{std::move(c), house_.steady_ms(), false, is_again};
  if (!std::visit([](const auto& x) { return is_answered(*x); }, p.what)) {
    dispatch(0, p);
    return;
  }
  if (auto bound = house_.config.cluster.pending; pending_.size() >= bound && !is_departure(p.what)) {
    finish(p, answer{fail(errc::unavailable, "cluster.pending: " + std::to_string(bound) +
                                                 " requests of this node wait for the shard of this room or user")});
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
  const bool bulk = std::visit([](const auto& c) { return is_bulk(*c); }, p.what);
  post_to(*to, x, bulk ? channel::bulk : channel::control);
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
  refused_.clear();
  // Under new tickets: of a room that was woken here before this node gave the shard up, or of an older primary, no
  // refusal counts any more, nor what it has read.
  for (auto& [ticket, p] : std::exchange(pending_, {})) {
    rename(ticket, ++next_ticket_, p);
    pending_.emplace_hint(pending_.end(), next_ticket_, std::move(p));
  }
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
      watch(0, a->room);
    } else if (auto* to = primary()) {
      post_to(*to, watching{epoch_, stream_, a->room});
      for (const auto& [user, status] : a->present->here())
        post_to(*to, cluster::seen{epoch_, stream_, a->room, user, status});
    }
  }
  if (auto* to = here_ ? nullptr : primary()) {
    auto users = shard_.watched_users();
    for (size_t from = 0; from < users.size(); from += users_per_letter) {
      watching_users x{epoch_, stream_, {}, true, true};
      x.users.assign(users.begin() + static_cast<ptrdiff_t>(from),
                     users.begin() + static_cast<ptrdiff_t>(std::min(from + users_per_letter, users.size())));
      post_to(*to, x);
    }
  }
}

void router::post_to(neighbour& to, const shard_letter& x, channel by) {
  to.link->post(by, {shard_mailbox(id_), std::make_shared<const std::string>(encode(x))});
}

/// The answer to what has a key may be on its way from where it was sent first. It is the true one: whoever is asked
/// again finds the key and says `duplicate` to a client that has sent once.
void router::rename(uint64_t from, uint64_t to, pending& p) {
  if (!p.sent || !has_key(std::get_if<room::command_ptr>(&p.what)))
    return;
  if (p.earlier.size() == earlier_max) {
    // Not the first: what came behind one that was turned away has been carried out nowhere.
    auto second = p.earlier.begin() + 1;
    present_ticket_.erase(*second);
    p.earlier.erase(second);
  }
  p.earlier.push_back(from);
  for (auto ticket : p.earlier)
    present_ticket_[ticket] = to;
}

router::pending_at router::find(uint64_t ticket, bool or_earlier) {
  if (auto now = present_ticket_.find(ticket); or_earlier && now != present_ticket_.end())
    ticket = now->second;
  return pending_.find(ticket);
}

router::pending router::take_out(pending_at i) {
  auto p = std::move(i->second);
  pending_.erase(i);
  for (auto ticket : p.earlier)
    present_ticket_.erase(ticket);
  return p;
}

/// A primary that has just begun, or lost its link to us, knows of no connection here: there is nothing to depart from.
void router::forget_departs() {
  std::erase_if(pending_, [](const auto& p) { return is_departure(p.second.what); });
}

// -- relays that listen ----------------------------------------------------------------------------------------------

void router::watch(uint32_t node, const room_id& room) {
  auto [known, is_new] = watcher_tickets_.try_emplace({node, room}, next_ticket_ + 1);
  if (is_new)
    watchers_[++next_ticket_] = {node, room};
  auto& w = watchers_.at(known->second);
  w.asked = house_.steady_ms();
  ask(known->second, w);
}

void router::ask(uint64_t ticket, const watcher& w) {
  auto look = std::make_shared<room::command>(room::command{w.room, caller{}, room::watch{}});
  look->from.to = shard_.as_asker();
  look->from.ticket = ticket;
  look->from.node = w.node;
  shard_.perform(room::ask{std::move(look)});
}

void router::forget_watchers(uint32_t node) {
  std::erase_if(watchers_, [&](const auto& w) { return w.second.node == node; });
  std::erase_if(watcher_tickets_, [&](const auto& w) { return w.first.first == node; });
}

/// What other nodes have said of listeners is void.
void router::empty_audiences() {
  for (auto* a : shard_.all_audiences()) {
    a->nodes.clear();
    for (uint32_t node = 1; node <= names_.size(); ++node)
      a->present->forget(node);
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
    post_to(*to, cluster::quiet{room});
}

void router::seen(const room_id& room, const user_id& user, seen_as status) {
  if (auto* to = here_ || stalled_ ? nullptr : primary()) // stalled: all who are here are told of with the rest
    post_to(*to, cluster::seen{epoch_, stream_, room, user, status});
}

void router::watch_user(const user_id& user, bool on) {
  if (auto* to = here_ || stalled_ ? nullptr : primary()) // likewise
    post_to(*to, watching_users{epoch_, stream_, {user}, on, false});
}

void router::tick() {
  auto late = house_.steady_ms() - house_.limits_now()->request_ms;
  while (!pending_.empty() && pending_.begin()->second.since < late) {
    auto p = take_out(pending_.begin());
    expire(p);
  }
  for (auto ticket : std::exchange(refused_, {}))
    if (auto p = pending_.find(ticket); p != pending_.end())
      dispatch(ticket, p->second);
  end_unconfirmed();
  // Not while our own lease is out: what is under way may be answered yet, and nothing else could be done.
  if (stalled_ && (here_ ? house_.cluster->may_read(id_) : primary() != nullptr))
    resend();
  for (auto& [ticket, w] : watchers_)
    if (here_ && w.asked < late) {
      w.asked = house_.steady_ms();
      ask(ticket, w);
    }
  // A room that ended by a mistake answers nobody. Who asked has had its own deadline meanwhile, on its own node.
  if (late > swept_ms_) {
    std::erase_if(guests_, [&](const auto& g) { return g.second.since < swept_ms_; });
    swept_ms_ = house_.steady_ms();
  }
}

/// Of users whose primary has been out of reach for long: nobody would tell us that a session was revoked. A primary
/// without a lease is this node itself, which then ends all of its connections.
void router::end_unconfirmed() {
  const auto now = house_.steady_ms();
  if (here_ || (primary() && !stalled_)) {
    reached_ms_ = now;
    return;
  }
  if (now - reached_ms_ < house_.config.cluster.unconfirmed_ms)
    return;
  reached_ms_ = now;
  for (const auto& [id, c] : connections_)
    greenroom::tell(std::get<user::arrive>(c->what).to,
                    user::ended{close_code::draining, "the node can't reach who knows of this session", id});
}

void router::expire(pending& p) {
  if (p.again || is_departure(p.what)) { // nobody waits for it, and it is to be done
    pending_.emplace_hint(pending_.end(), ++next_ticket_, pending{p.what, house_.steady_ms(), p.sent, p.again});
    if (p.sent)
      refused_.push_back(next_ticket_); // it was lost, or its answer will find nobody: both may be done twice
    return;
  }
  finish(p, answer{fail(errc::unavailable, "the shard of this room or user had no primary in time; try again")});
}

// -- answers ---------------------------------------------------------------------------------------------------------

/// Whether it holds a chunk of an attachment.
bool router::is_large(const answer& what) {
  const auto* f = what ? std::get_if<ok::file>(&*what) : nullptr;
  return f && f->bytes;
}

template <class What>
void router::give(uint64_t ticket, const What& what) {
  if (auto g = guests_.find(ticket); g != guests_.end()) {
    auto who = g->second;
    guests_.erase(g);
    if (who.reads && !house_.cluster->may_read(id_))
      post(who.node, answered_letter{who.ticket, answer{lease_has_ended()}});
    else
      post(who.node, answered_letter{who.ticket, what}, is_large(what) ? channel::bulk : channel::control);
    return;
  }
  auto i = find(ticket, stays_true(what));
  if (i == pending_.end() || (!here_ && !stays_true(what)))
    return; // too late, or the second time; or from the last moments of this node's time, and asked of the next one
  auto p = take_out(i);
  bool reads = only_reads(p.what);
  if (reads && here_ && !house_.cluster->may_read(id_))
    finish(p, answer{lease_has_ended()});
  else
    finish(p, what);
}

void router::answered(uint64_t ticket, answer what) {
  auto w = watchers_.find(ticket);
  if (w == watchers_.end()) {
    give(ticket, what);
  } else if (what) {
    watcher_tickets_.erase({w->second.node, w->second.room});
    watchers_.erase(w);
  } else {
    w->second.asked = 0;
  }
}
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
    greenroom::tell(a->to, user::welcome{what.error(), close_code::shutdown, 0, {}});
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
    if (what.otherwise == close_code::shutdown) { // not now: nobody else would tell the user of it
      pending_.emplace_hint(pending_.end(), ++next_ticket_, pending{p.what, house_.steady_ms(), p.sent, true});
      refused_.push_back(next_ticket_);
    } else
      greenroom::tell(to, user::ended{what.otherwise, what.rooms.error().message});
  } else {
    greenroom::tell(to, user::shown{what.presence, 0});
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

/// To a connection, on whatever node.
template <class Letter, class What>
void router::pass_on(const What& what) {
  if (auto node = node_of_connection(what.connection); node != 0)
    post(node, Letter{local_id(what.connection), what});
  else if (auto c = connections_.find(what.connection); c != connections_.end())
    greenroom::tell(std::get<user::arrive>(c->second->what).to, what);
}

void router::tell_connection(const user::listed& what) { pass_on<listed_there>(what); }
void router::tell_connection(const user::shown& what) { pass_on<shown_there>(what); }
void router::tell_connection(const user::signalled& what) { pass_on<signalled_there>(what); }
void router::tell_connection(const user::vanished& what) { pass_on<vanished_there>(what); }

void router::tell_connection(const user::ended& what) {
  if (auto node = node_of_connection(what.connection); node != 0)
    post(node, ended_there{local_id(what.connection), what});
  else if (auto c = connections_.find(what.connection); c != connections_.end())
    tell_ahead(std::get<user::arrive>(c->second->what).to, what);
}

void router::tell_watchers(const std::vector<presence_board::notice>& list) {
  for (auto& [node, n] : nodes_) {
    appearances x;
    for (const auto& notice : list)
      if (notice.nodes >> node & 1) {
        x.users.push_back(notice.what);
        if (x.users.size() == users_per_letter)
          post(node, std::exchange(x, {}));
      }
    if (!x.users.empty())
      post(node, x);
  }
}

void router::tell(uint32_t node, const room_id& room, const relay_news& what) { post(node, news{room, what}); }

} // namespace greenroom::cluster
