#include "actors/cluster/gateway.hpp"

#include "actors/cluster/gateway_actor.hpp"

#include <caf/actor_system_config.hpp>
#include <caf/io/middleman.hpp>
#include <caf/node_id.hpp>
#include <sodium.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <limits>
#include <stdexcept>
#include <utility>

namespace greenroom::cluster {

std::string link_options::wrong() const {
  if (name.empty() || cluster.empty() || store.empty())
    return "name, cluster and store must be given";
  if (batch_bytes == 0 || batch_bytes > frame_bytes_max)
    return "batch_bytes must be from 1 to " + std::to_string(frame_bytes_max);
  if (credit_control_bytes < 1024 || credit_bulk_bytes < 1024)
    return "credit_control_bytes and credit_bulk_bytes must be at least 1024";
  if (letter_bytes_max > std::numeric_limits<uint32_t>::max() || letter_bytes_max >= queue_bytes)
    return "letter_bytes_max must be below 4 GiB and below queue_bytes";
  if (heartbeat_ms == 0 || connection_timeout_ms < 2 * heartbeat_ms)
    return "heartbeat_ms must be above 0 and connection_timeout_ms at least twice as long";
  if (pulse_ms == 0 || silence_ms < 2 * pulse_ms)
    return "pulse_ms must be above 0 and silence_ms at least twice as long";
  if (dial_retry_ms == 0 || refused_retry_ms == 0 || hello_timeout_ms == 0)
    return "dial_retry_ms, refused_retry_ms and hello_timeout_ms must be above 0";
  if (tick_ms == 0 || tick_ms > pulse_ms)
    return "tick_ms must be from 1 to pulse_ms";
  return {};
}

namespace gateway {

// -- the outside ------------------------------------------------------------------------------------------------------

void configure(caf::actor_system_config& config, const link_options& options) {
  wire::add_types(config);
  config.load<caf::io::middleman>();
  config.set("middleman.heartbeat-interval", caf::timespan{std::chrono::milliseconds(options.heartbeat_ms)});
  config.set("middleman.connection-timeout", caf::timespan{std::chrono::milliseconds(options.connection_timeout_ms)});
  config.set("middleman.workers", size_t{0}); // a frame is one block of bytes: nothing to share out
}

void draw_node_id(const caf::actor_system_config& config) {
  // Each call counts up the last byte of the next system's id.
  for (auto n = randombytes_random() % 256; n > 0; --n)
    (void)caf::node_id::default_data::local(config);
}

started start(caf::actor_system& system, parts p) {
  if (auto wrong = p.options.wrong(); !wrong.empty())
    throw std::runtime_error("link options: " + wrong);
  auto wanted = p.options.port;
  auto actor = system.spawn<gateway_actor>(p);
  // Also when a process before us has just left the port.
  auto port = system.middleman().publish(caf::actor_cast<caf::actor>(actor), wanted, "127.0.0.1", true);
  if (!port) {
    tell(actor, stop{});
    throw std::runtime_error("can't take links on 127.0.0.1 port " + std::to_string(wanted) + ": " +
                             system.render(port.error()));
  }
  return {actor, *port};
}

// -- the actor --------------------------------------------------------------------------------------------------------

gateway_actor::gateway_actor(caf::actor_config& cfg, const parts& p)
    : pooled_actor<inside>(cfg, actor_kind::gateway, p.options.name, p.living), parts_(p), options_(parts_.options),
      metrics_(p.metrics), process_(random()), looked_ms_(now_ms()) {
  set_down_handler([this](const caf::down_msg& x) { lost(x.source, "the connection or the peer's gateway is gone"); });
  set_default_handler([this](caf::scheduled_actor*, caf::message_view& x) -> caf::result<caf::message> {
    not_understood(x);
    return caf::sec::unexpected_message;
  });
  // Whoever reaches CAF's port can send these; only stop ends the gateway.
  set_exit_handler([](const caf::exit_msg&) {});
  set_error_handler([](const caf::error&) {});
}

gateway_actor::behavior_type gateway_actor::make_behavior() {
  look_around();
  return {
      [this](const wire::frame& x) { take(x); },
      [this](const due& x) {
        if (auto* l = find(x.token))
          flush(*l);
      },
      [this](const wire::credit& x) { take(x); },
      [this](const tick&) { look_around(); },
      [this](const wire::pulse& x) { take(x); },
      [this](const wire::hello& x) { take(x); },
      [this](const wire::welcome& x) { take(x); },
      [this](const wire::refusal& x) { take(x); },
      [this](const wire::bye& x) { take(x); },
      [this](const way_found& x) { take(x); },
      [this](const know& x) { take(x); },
      [this](const stop&) { quit(); },
  };
}

void gateway_actor::on_exit() {
  stopping_ = true;
  while (!links_.empty())
    end(links_.begin()->first, "this node stops");
  targets_.clear();
  send(system().middleman().actor_handle(), caf::unpublish_atom_v, address(), uint16_t{0});
}

int64_t gateway_actor::now_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
}

gateway_actor::link* gateway_actor::find(uint64_t token) {
  auto found = links_.find(token);
  return found == links_.end() ? nullptr : found->second.get();
}

gateway_actor::link* gateway_actor::link_to(const std::string& name) {
  for (auto& [_, l] : links_)
    if (l->queue->name == name)
      return l.get();
  return nullptr;
}

// -- what goes over a link --------------------------------------------------------------------------------------------

void gateway_actor::flush(link& l) {
  if (auto failure = l.queue->failure(); !failure.empty()) {
    end(l.token, failure);
    return;
  }
  while (auto x = l.traffic.next())
    say(l, wire::frame{0, static_cast<uint8_t>(x->by), x->number, wire::blob{std::move(x->bytes)}});
}

void gateway_actor::take(const wire::frame& x) {
  auto* l = find(x.token);
  if (!l)
    return; // of a link that has ended here
  l->heard_ms = now_ms();
  if (x.by >= channels) {
    end(x.token, "a frame of an unknown channel");
    return;
  }
  auto by = static_cast<channel>(x.by);
  std::vector<letter> whole;
  if (const char* wrong = l->traffic.take(by, x.number, x.bytes.view(), whole)) {
    end(x.token, wrong);
    return;
  }
  if (!whole.empty())
    parts_.events.received(l->queue, by, std::move(whole));
  if (auto bytes = l->traffic.grant(by))
    say(*l, wire::credit{0, x.by, *bytes});
}

void gateway_actor::take(const wire::credit& x) {
  auto* l = find(x.token);
  if (!l)
    return;
  l->heard_ms = now_ms();
  if (x.by >= channels || !l->traffic.granted(static_cast<channel>(x.by), x.bytes)) {
    end(x.token, "credit for what was never sent");
    return;
  }
  flush(*l);
}

void gateway_actor::take(const wire::pulse& x) {
  if (auto* l = find(x.token))
    l->heard_ms = now_ms();
}

void gateway_actor::take(const wire::bye& x) {
  if (find(x.token))
    end(x.token, "the peer has ended it");
}

void gateway_actor::not_understood(const caf::message_view& x) {
  metrics_.decode_errors.add();
  auto what = x.content().empty() ? std::string("that could not be read") : "of another type";
  spdlog::warn("what=link_message_refused why=\"a message {}\"", what);
  if (const auto& from = current_sender())
    lost(caf::actor_cast<caf::actor_addr>(from), "the peer sent a message " + what);
}

// -- how links begin and end ------------------------------------------------------------------------------------------

void gateway_actor::open(const std::string& name, const std::string& store, uint64_t incarnation, uint64_t token,
                         uint64_t far_token, const credits& credit, const far& remote) {
  auto queue = std::make_shared<outbox>(name, store, incarnation, options_, metrics_,
                                        [to = weak(), token] { tell_weak(to, due{token}); });
  auto now = now_ms();
  links_.emplace(token, std::make_unique<link>(
                            link{queue, flow{options_, credit, queue, metrics_}, remote, token, far_token, now, now}));
  metrics_.links_up.add();
  metrics_.links_total.add();
  spdlog::info("what=link_up peer={} incarnation={:016x}", name, incarnation);
  parts_.events.up(queue);
}

void gateway_actor::end(uint64_t token, const std::string& why) {
  auto gone = links_.extract(token);
  auto& l = *gone.mapped();
  l.queue->close();
  demonitor(l.remote.address());
  say(l, wire::bye{});
  metrics_.links_up.add(-1);
  if (!stopping_)
    metrics_.link_losses.add();
  const auto& name = l.queue->name;
  spdlog::info("what=link_down peer={} incarnation={:016x} why=\"{}\"", name, l.queue->incarnation, why);
  if (auto t = targets_.find(name); t != targets_.end() && t->second.at == target::stage::up) {
    t->second.at = target::stage::idle;
    t->second.due_ms = now_ms() + options_.dial_retry_ms;
    t->second.remote = far{};
  }
  parts_.events.down(l.queue);
}

void gateway_actor::lost(const caf::actor_addr& who, const std::string& why) {
  for (auto& [_, t] : targets_)
    if (t.at == target::stage::greeting && t.remote.address() == who)
      give_up(t, options_.dial_retry_ms, why);
  for (auto i = links_.begin(); i != links_.end();) {
    auto& l = *(i++)->second;
    if (l.remote.address() == who)
      end(l.token, why);
  }
}

void gateway_actor::take(const know& x) {
  known_.clear();
  for (const auto& n : x.nodes)
    if (n.name != options_.name)
      known_[n.name] = n;
  // Those that are gone, or are not what they were: another store is another node, and one that takes links elsewhere
  // was started anew.
  for (auto i = targets_.begin(); i != targets_.end();) {
    auto at = i++;
    auto now = known_.find(at->first);
    if (now != known_.end() && now->second == at->second.who)
      continue;
    if (at->second.at == target::stage::greeting)
      demonitor(at->second.remote.address());
    auto name = at->first;
    targets_.erase(at);
    if (auto* l = link_to(name))
      end(l->token, now == known_.end() ? "the node is no longer listed" : "the node is listed elsewhere");
  }
  for (auto i = links_.begin(); i != links_.end();) {
    auto& l = *(i++)->second;
    auto now = known_.find(l.queue->name);
    if (now == known_.end())
      end(l.token, "the node is no longer listed");
    else if (now->second.store != l.queue->store)
      end(l.token, "the node is listed with another store");
  }
  std::erase_if(hellos_, [this](const auto& h) { return !known_.contains(h.first); });
  std::erase_if(told_off_, [this](const auto& h) { return !known_.contains(h.first); });
  for (const auto& [name, who] : known_)
    if (name < options_.name && !targets_.contains(name)) {
      auto& t = targets_[name];
      t.who = who;
      dial(t);
    }
}

void gateway_actor::look_around() {
  auto now = now_ms();
  // We ourselves may have been stopped for a while; what the peers said meanwhile still waits behind this.
  bool absent = now - std::exchange(looked_ms_, now) > options_.silence_ms / 2;
  for (auto i = links_.begin(); i != links_.end();) {
    auto& l = *(i++)->second;
    if (absent)
      l.heard_ms = now;
    if (now - l.heard_ms > options_.silence_ms)
      end(l.token, "the peer was silent for " + std::to_string(now - l.heard_ms) + " ms");
    else if (now - l.said_ms >= options_.pulse_ms)
      say(l, wire::pulse{});
  }
  for (auto& [_, t] : targets_) {
    if (t.at == target::stage::up || now < t.due_ms)
      continue;
    if (t.at == target::stage::idle)
      dial(t);
    else
      give_up(t, options_.dial_retry_ms, "no answer in time");
  }
  delayed_send(this, std::chrono::milliseconds(options_.tick_ms), tick{});
}

} // namespace gateway
} // namespace greenroom::cluster
