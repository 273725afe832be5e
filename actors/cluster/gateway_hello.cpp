#include "actors/cluster/gateway_actor.hpp"

#include <caf/io/middleman.hpp>
#include <sodium.h>
#include <spdlog/fmt/fmt.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>

namespace greenroom::cluster::gateway {
namespace {

std::string fact(const std::map<std::string, std::string>& facts, const char* name) {
  auto found = facts.find(name);
  return found == facts.end() ? std::string() : found->second;
}

std::string instead(std::string_view is, std::string_view should_be) {
  return fmt::format("\"{}\" instead of \"{}\"", is, should_be);
}

/// What a stranger sends goes into the log shortened and without line breaks.
std::string printable(std::string text) {
  if (text.size() > 200)
    text.resize(200);
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, '?');
  return text;
}

} // namespace

uint64_t gateway_actor::random() {
  uint64_t x = 0;
  randombytes_buf(&x, sizeof x);
  return x;
}

credits gateway_actor::own_credit() const { return {options_.credit_control_bytes, options_.credit_bulk_bytes}; }

// -- the side that dials ----------------------------------------------------------------------------------------------

gateway_actor::target* gateway_actor::under_way(const std::string& name, uint64_t attempt, target::stage at) {
  auto found = targets_.find(name);
  bool same = found != targets_.end() && found->second.attempt == attempt && found->second.at == at;
  return same ? &found->second : nullptr;
}

gateway_actor::target* gateway_actor::greeted(uint64_t incarnation) {
  for (auto& [_, t] : targets_)
    if (t.at == target::stage::greeting && t.incarnation == incarnation)
      return &t;
  return nullptr;
}

void gateway_actor::dial(target& t) {
  metrics_.dials.add();
  t.at = target::stage::asking;
  t.attempt = ++attempts_;
  t.due_ms = now_ms() + options_.hello_timeout_ms;
  if (!parts_.way) {
    connect(t, {t.who.host, t.who.port});
    return;
  }
  parts_.way(t.who, [to = weak(), name = t.who.name, attempt = t.attempt](const endpoint* where) {
    tell_weak(to, way_found{name, attempt, where ? std::optional{*where} : std::nullopt});
  });
}

void gateway_actor::take(const way_found& x) {
  auto* t = under_way(x.name, x.attempt, target::stage::asking);
  if (!t)
    return;
  if (x.where)
    connect(*t, *x.where);
  else
    give_up(*t, options_.dial_retry_ms, "there is no way to it");
}

void gateway_actor::connect(target& t, const endpoint& where) {
  t.at = target::stage::connecting;
  // CAF answers always, if late: its connection timeout ends a handshake that hangs. Our own deadline is in the target.
  request(system().middleman().actor_handle(), caf::infinite, caf::connect_atom_v, where.host, where.port)
      .then(
          [this, name = t.who.name, attempt = t.attempt](const caf::node_id&, const caf::strong_actor_ptr& whom,
                                                         const std::set<std::string>&) {
            auto* now = under_way(name, attempt, target::stage::connecting);
            if (!now)
              return;
            if (whom)
              greet(*now, whom);
            else
              give_up(*now, options_.dial_retry_ms, "no gateway there");
          },
          [this, name = t.who.name, attempt = t.attempt](const caf::error& e) {
            if (auto* now = under_way(name, attempt, target::stage::connecting))
              give_up(*now, options_.dial_retry_ms, system().render(e));
          });
}

void gateway_actor::greet(target& t, const caf::strong_actor_ptr& whom) {
  t.at = target::stage::greeting;
  t.incarnation = random();
  t.token = random();
  t.remote = caf::actor_cast<far>(whom);
  monitor(t.remote); // says so at once if CAF handed out what it remembers of a dead one
  send(t.remote, wire::hello{options_.version,
                             t.incarnation,
                             process_,
                             t.attempt,
                             t.token,
                             caf::actor_cast<caf::actor>(self()),
                             own_credit(),
                             {{"cluster", options_.cluster},
                              {"name", options_.name},
                              {"store", options_.store},
                              {"to", t.who.name},
                              {"to_store", t.who.store}}});
}

void gateway_actor::take(const wire::welcome& x) {
  auto* t = greeted(x.incarnation);
  if (!t) {
    // Too late: we have given up, or said hello again.
    if (const auto& from = current_sender())
      send(caf::actor_cast<far>(from), wire::bye{x.token});
    return;
  }
  std::string wrong;
  if (fact(x.facts, "cluster") != options_.cluster)
    wrong = fmt::format("cluster {}", instead(fact(x.facts, "cluster"), options_.cluster));
  else if (fact(x.facts, "name") != t->who.name)
    wrong = fmt::format("name {}", instead(fact(x.facts, "name"), t->who.name));
  else if (fact(x.facts, "store") != t->who.store)
    wrong = fmt::format("store {}", instead(fact(x.facts, "store"), t->who.store));
  if (!wrong.empty()) {
    metrics_.refusals.add();
    send(t->remote, wire::bye{x.token});
    give_up(*t, options_.dial_retry_ms, fmt::format("the peer's {}", printable(wrong)));
    return;
  }
  t->at = target::stage::up;
  t->trouble.clear();
  open(t->who.name, t->who.store, t->incarnation, t->token, x.token, x.credit, t->remote);
}

void gateway_actor::take(const wire::refusal& x) {
  auto* t = greeted(x.incarnation);
  if (!t)
    return;
  metrics_.refusals.add();
  give_up(*t, x.lasting ? options_.refused_retry_ms : options_.dial_retry_ms,
          fmt::format("refused for our {}", printable(fmt::format("{}: {}", x.field, x.why))));
}

void gateway_actor::give_up(target& t, uint32_t retry_ms, const std::string& why) {
  metrics_.dials_failed.add();
  if (t.trouble != why)
    spdlog::warn("what=link_failed peer={} host={} port={} why=\"{}\"", t.who.name, t.who.host, t.who.port, why);
  t.trouble = why;
  if (t.at == target::stage::greeting)
    demonitor(t.remote.address());
  t.remote = far{};
  t.at = target::stage::idle;
  t.due_ms = now_ms() + retry_ms;
}

// -- the side that is dialled -----------------------------------------------------------------------------------------

void gateway_actor::take(const wire::hello& x) {
  if (!x.from)
    return;
  if (x.version != options_.version)
    return refuse(x, "version", instead(std::to_string(x.version), std::to_string(options_.version)), true);
  if (auto is = fact(x.facts, "cluster"); is != options_.cluster)
    return refuse(x, "cluster", instead(is, options_.cluster), true);
  if (auto is = fact(x.facts, "to"); is != options_.name)
    return refuse(x, "to", instead(is, options_.name), false); // etcd may soon know better
  if (auto is = fact(x.facts, "to_store"); is != options_.store)
    return refuse(x, "to_store", instead(is, options_.store), false);
  auto name = fact(x.facts, "name");
  if (name <= options_.name)
    return refuse(x, "name", fmt::format("\"{}\" should be dialled by \"{}\"", name, options_.name), true);
  auto known = known_.find(name);
  if (known == known_.end())
    return refuse(x, "name", fmt::format("\"{}\" is not listed", name), false);
  if (auto is = fact(x.facts, "store"); is != known->second.store)
    return refuse(x, "store", instead(is, known->second.store), false);
  if (x.credit[0] < 2 || x.credit[1] < 2)
    return refuse(x, "credit", "less than 2 bytes", true);
  auto last = hellos_.find(name);
  if (last != hellos_.end() && last->second.process == x.process && x.attempt <= last->second.attempt)
    return; // came by a slower connection than the one after it
  hellos_[name] = {x.process, x.attempt};
  told_off_.erase(name);
  if (auto* older = link_to(name))
    end(older->token, "the peer says hello again");
  auto remote = caf::actor_cast<far>(x.from);
  monitor(remote);
  auto token = random();
  send(remote, wire::welcome{x.incarnation,
                             token,
                             own_credit(),
                             {{"cluster", options_.cluster}, {"name", options_.name}, {"store", options_.store}}});
  open(name, known->second.store, x.incarnation, token, x.token, x.credit, remote);
}

void gateway_actor::refuse(const wire::hello& x, const std::string& field, const std::string& why, bool lasting) {
  metrics_.refusals.add();
  auto name = printable(fact(x.facts, "name"));
  auto text = fmt::format("{} {}", field, printable(why));
  // Strangers must not fill the table.
  auto& told = told_off_[known_.contains(name) ? name : std::string()];
  if (told != text)
    spdlog::warn("what=link_refused peer={} field={} why=\"{}\"", name, field, printable(why));
  told = text;
  send(caf::actor_cast<far>(x.from), wire::refusal{x.incarnation, field, why, lasting});
}

} // namespace greenroom::cluster::gateway
