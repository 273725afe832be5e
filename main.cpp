// greenroomd: one Greenroom node. This file only wires the parts; each line of main() is one of them.
//
//   settings -> log -> store -> tokens, codec -> etcd, front -> I/O threads -> node (actors) -> REST -> server
//   (sockets)
//
// Signals are taken one after the other on the main thread: SIGHUP reloads what can be reloaded, SIGTERM and SIGINT
// stop the node in order, so that everything in flight is finished and every client is told. A node that has drained
// sends SIGTERM to itself.
#include "actors/metrics.hpp"
#include "actors/node.hpp"
#include "config/load.hpp"
#include "config/reload.hpp"
#include "net/codec.hpp"
#include "net/etcd/client.hpp"
#include "net/etcd/configured.hpp"
#include "net/front/front.hpp"
#include "net/hook_json.hpp"
#include "net/io_threads.hpp"
#include "net/jwt.hpp"
#include "net/log.hpp"
#include "net/metrics.hpp"
#include "net/provider_keys.hpp"
#include "net/rest.hpp"
#include "net/server.hpp"
#include "net/web_client.hpp"
#include "storage/store.hpp"

#include <spdlog/spdlog.h>

#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <stdexcept>

namespace {

using namespace greenroom;

/// What a function of ours could not do at start-up ends the program with its message.
template <class T>
T or_throw(outcome<T> x, std::string_view what) {
  if (!x)
    throw std::runtime_error(std::string(what) + ": " + x.error().message);
  return std::move(*x);
}

storage::store_options store_options_of(const settings& config) {
  storage::store_options o;
  o.path = config.node.data_dir + "/store";
  o.cache_bytes = uint64_t{config.storage.cache_mb} << 20;
  o.write_buffer_bytes = uint64_t{config.storage.write_buffer_mb} << 20;
  o.min_free_bytes = uint64_t{config.storage.min_free_mb} << 20;
  return o;
}

/// For this thread and all that it starts (sched(7)). A thread that is woken does not push aside the one that woke it,
/// so requests, commits and answers gather, and each is handled in bunches. Nobody waits on an idle core.
void let_threads_finish() {
  const sched_param none{};
  if (sched_setscheduler(0, SCHED_BATCH, &none) != 0)
    spdlog::warn("what=no_batch_scheduling why=\"{}\"", std::strerror(errno));
}

net::server_options server_options_of(const settings& config) {
  net::server_options o;
  if (config.listen.port != 0)
    o.listen.push_back({config.listen.address, config.listen.port, false});
  if (config.listen.tls_port != 0) {
    o.listen.push_back({config.listen.address, config.listen.tls_port, true});
    o.tls = net::tls_files{config.tls.certificate, config.tls.key, config.tls.min_version};
  }
  o.backlog = config.listen.backlog;
  o.unsent_bytes = config.listen.unsent_bytes;
  return o;
}

net::rest_hooks rest_hooks_of(node& actors, const storage::store& store, const metrics& figures,
                              const net::front::mtls_front* front, const net::provider_keys* provider) {
  net::rest_hooks h;
  h.perform = [&actors](lane& on, const identity& who, op::any what, std::function<void(answer)> done) {
    actors.perform(on, who, std::move(what), std::move(done));
  };
  h.perform_account = [&actors](lane& on, const identity& who, account::any what, std::function<void(answer)> done) {
    actors.perform(on, who, std::move(what), std::move(done));
  };
  h.perform_admin = [&actors](lane& on, const identity& who, admin::any what, std::function<void(answer)> done) {
    actors.perform(on, who, std::move(what), std::move(done));
  };
  // Without keys every client would be turned away; another node may have them.
  h.ready = [&actors, provider] { return actors.ready() && (!provider || provider->ready()); };
  h.draining = [&actors] { return actors.draining(); };
  h.limits = [&actors] { return actors.limits_kept(); };
  h.floods = &actors.floods();
  h.metrics_text = [&actors, &store, &figures, front, provider] {
    return net::render_metrics({figures, store.figures(), actors.cluster_figures(), front ? &front->figures() : nullptr,
                                provider ? &provider->figures() : nullptr, actors.hook_figures(),
                                &actors.tenant_figures()});
  };
  return h;
}

net::server_hooks server_hooks_of(node& actors, net::rest& rest, const net::jwt_tokens& tokens, metrics& figures,
                                  const settings& config) {
  net::server_hooks h;
  h.connect = [&actors](lane& on, std::shared_ptr<transport> socket, std::optional<identity> who, const remote& from) {
    return actors.connect(on, std::move(socket), std::move(who), from);
  };
  h.decode = [&actors](std::string_view line, client& to) {
    std::visit([&to](auto&& x) { to.receive(std::forward<decltype(x)>(x)); }, net::decode(line, *actors.limits_now()));
  };
  h.http = &rest;
  h.tokens = &tokens;
  h.metrics = &figures;
  h.floods = &actors.floods();
  h.limits = [&actors] { return actors.limits_kept(); };
  h.turns_away = [&actors] { return actors.turns_clients_away(); };
  h.allowed_origins = config.listen.allowed_origins;
  return h;
}

/// Null: links are not encrypted, or there are none.
std::unique_ptr<net::front::mtls_front> front_of(const settings& config) {
  if (config.cluster.etcd.empty() || config.cluster.tls_certificate_file.empty())
    return nullptr;
  auto own = or_throw(net::front::credentials::load(net::front::files_of(config), config.node.name), "cluster");
  spdlog::info("what=links_encrypted address={} port={} certificate_until=\"{}\"", config.cluster.listen_address,
               config.cluster.listen_port, own->not_after());
  return std::make_unique<net::front::mtls_front>(net::front::configured(config), std::move(own));
}

/// SIGHUP: everything or nothing.
void reload(config::sources& from, settings& running, node& actors, net::server& server, net::front::mtls_front* front,
            net::provider_keys* provider) {
  auto wanted = config::load(from);
  for (const auto& m : wanted.mistakes)
    spdlog::error("what=reload_refused mistake=\"{}\"", config::to_string(m));
  if (!wanted.ok())
    return;
  const auto refuse = [](const failure& why) { spdlog::error("what=reload_refused mistake=\"{}\"", why.message); };
  if (!actors.may_reload())
    return refuse(fail(errc::unavailable, "a thread is still busy with what it did before the last reload; try again"));
  std::shared_ptr<const net::front::credentials> own;
  if (front) {
    auto loaded = net::front::credentials::load(net::front::files_of(running), running.node.name);
    if (!loaded)
      return refuse(loaded.error());
    own = std::move(*loaded);
  }
  std::shared_ptr<const net::key_set> keys; // null: not from a file
  if (provider) {
    auto loaded = provider->read_file();
    if (!loaded)
      return refuse(loaded.error());
    keys = std::move(*loaded);
  }
  auto hooks = net::load_hooks(wanted.values);
  if (!hooks)
    return refuse(hooks.error());
  const bool encrypts = running.listen.tls_port != 0;
  if (encrypts) {
    if (auto done = server.reload_tls(); !done)
      return refuse(done.error());
  }
  if (front)
    front->use(own);
  if (provider)
    provider->renew(keys);
  auto plan = config::reload(running, wanted.values);
  running = plan.effective;
  actors.reload(running.limits);
  const auto webhooks = hooks->webhooks.size();
  actors.reload(std::move(*hooks)); // their secrets, too, whether or not a key changed
  net::set_log_level(running.log.level);
  for (const auto& key : plan.applied)
    spdlog::info("what=reloaded key={}", key);
  if (encrypts) // Read anew each time: what changes is the content of the file, not its name.
    spdlog::info("what=reloaded key=tls.certificate file={}", running.tls.certificate);
  if (front)
    spdlog::info("what=reloaded key=cluster.tls_certificate_file file={} certificate_until=\"{}\"",
                 running.cluster.tls_certificate_file, own->not_after());
  if (keys)
    spdlog::info("what=reloaded key=auth.jwks_file file={} keys={}", running.auth.jwks_file, keys->size());
  if (webhooks > 0)
    spdlog::info("what=reloaded key=webhook webhooks={}", webhooks);
  for (const auto& key : plan.needs_restart)
    spdlog::warn("what=reload_needs_restart key={}", key);
  spdlog::info("what=reload_done applied={} needs_restart={}",
               plan.applied.size() + (encrypts ? 1 : 0) + (front ? 1 : 0) + (keys ? 1 : 0), plan.needs_restart.size());
}

/// Null: the node is by itself. What its store holds must fit that.
std::unique_ptr<net::etcd::client> join_cluster(const settings& config, const storage::store& store) {
  bool clustered = or_throw(store.clustered(), "store");
  if (config.cluster.etcd.empty()) {
    if (clustered)
      throw std::runtime_error("cluster.etcd is empty, but the store in " + config.node.data_dir +
                               " belongs to a cluster: alone it would go its own way");
    return nullptr;
  }
  if (!clustered && !or_throw(store.empty(), "store"))
    throw std::runtime_error(
        "the store in " + config.node.data_dir +
        " holds the rooms and users of a single node. Either a cluster is founded with it (greenroom "
        "cluster init), or the node joins with an empty node.data_dir");
  auto options = or_throw(net::etcd::configured(config), "cluster");
  return or_throw(net::etcd::client::open(std::move(options)), "cluster.etcd");
}

int serve(config::sources from, settings config) {
  if (config.scheduler.batch)
    let_threads_finish();
  std::filesystem::create_directories(config.node.data_dir);
  metrics figures;
  auto store = or_throw(storage::store::open(store_options_of(config)), "store");
  auto tokens = or_throw(net::jwt_tokens::open(config), "tokens");
  auto etcd = join_cluster(config, *store);
  auto front = front_of(config);
  net::io_threads threads{config.listen.io_threads, figures};
  std::atomic<bool> drained{false};
  const auto on_drained = [&drained] {
    drained = true;
    ::kill(::getpid(), SIGTERM); // to the process, where the main thread waits for it
  };
  const settings at_start = config;  // what needs a restart stays as it was
  const node* encodes_for = nullptr; // nobody asks before there is a server
  net::json_encoder encode{[&encodes_for] { return encodes_for->limits_now(); }};
  const net::hook_json hook_wire;
  auto web = std::make_unique<net::web_client>();
  auto actors = std::make_unique<node>(node::parts{at_start, *store, encode, *tokens, figures, threads.lanes(),
                                                   etcd.get(), front.get(), web.get(), &hook_wire,
                                                   or_throw(net::load_hooks(at_start), "webhooks"), on_drained});
  encodes_for = actors.get();
  net::rest rest{at_start, *tokens, encode, figures,
                 rest_hooks_of(*actors, *store, figures, front.get(), tokens->provider())};
  net::server server{threads, server_options_of(at_start), server_hooks_of(*actors, rest, *tokens, figures, at_start)};
  for (size_t i = 0; i < server.ports().size(); ++i)
    spdlog::info("what=listening address={} port={} tls={}", at_start.listen.address, server.ports()[i],
                 server.options().listen[i].encrypted ? "yes" : "no");

  sigset_t signals;
  sigemptyset(&signals);
  for (int s : {SIGHUP, SIGTERM, SIGINT})
    sigaddset(&signals, s);
  for (;;) {
    int got = 0;
    sigwait(&signals, &got);
    if (got != SIGHUP) {
      if (drained)
        spdlog::info("what=stopping reason=drained");
      else
        spdlog::info("what=stopping signal={}", got == SIGTERM ? "SIGTERM" : "SIGINT");
      break;
    }
    reload(from, config, *actors, server, front.get(), tokens->provider());
  }

  server.stop_accepting();
  server.close_all(drained ? close_code::draining : close_code::shutdown);
  bool clean = actors->stop();
  if (!clean)
    std::_Exit(EXIT_FAILURE); // an actor hangs; everything acknowledged is on disk
  threads.join();
  // Said when it is true: whatever goes wrong on the way is seen to have done so. What the web client has yet to answer
  // holds actors, which must go before their system does.
  web.reset();
  actors.reset();
  front.reset();
  etcd.reset();
  store.reset();
  spdlog::info("what=stopped");
  return EXIT_SUCCESS;
}

} // namespace

int main(int argc, char** argv, char** envp) {
  auto line = config::read_command_line(argc, argv, envp);
  if (!line.answer.empty()) {
    std::cout << line.answer;
    return EXIT_SUCCESS;
  }
  auto loaded = line.mistakes.empty() ? config::load(line.from) : config::load_result{};
  loaded.mistakes.insert(loaded.mistakes.begin(), line.mistakes.begin(), line.mistakes.end());
  for (const auto& m : loaded.mistakes)
    std::cerr << "greenroomd: " << config::to_string(m) << '\n';
  if (!loaded.ok())
    return 2;
  // Blocked before the first thread starts, so that every thread inherits it and only sigwait() takes them.
  sigset_t signals;
  sigemptyset(&signals);
  for (int s : {SIGHUP, SIGTERM, SIGINT})
    sigaddset(&signals, s);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  try {
    net::start_log(loaded.values.log.level, loaded.values.log.format);
    return serve(line.from, loaded.values);
  } catch (const std::exception& e) {
    std::cerr << "greenroomd: " << e.what() << '\n';
    return EXIT_FAILURE;
  }
}
