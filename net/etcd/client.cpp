#include "net/etcd/client.hpp"

#include "net/etcd/caller.hpp"
#include "net/etcd/watching.hpp"
#include "net/etcd/wire.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/context.hpp>

#include <pthread.h>

#include <algorithm>
#include <thread>

namespace greenroom::net::etcd {

namespace asio = boost::asio;
using namespace std::chrono;

// -- the thread -------------------------------------------------------------------------------------------------------

struct client::core {
  options limits;
  counters counts;
  asio::io_context io{1};
  asio::executor_work_guard<asio::io_context::executor_type> stay{io.get_executor()};
  caller calls;
  std::atomic<size_t> pending{0};
  std::thread thread;

  core(const options& o, std::vector<address> at, std::shared_ptr<asio::ssl::context> tls)
      : limits(o), calls(io, o, std::move(at), std::move(tls), counts) {}

  /// Puts a request in line on the thread, and tells `done` there what came of it.
  template <class T>
  void submit(request r, std::shared_ptr<T> answer, handler<T> done) {
    ++counts.requests;
    const auto waiting = ++pending;
    auto finish = [this, answer, done = std::move(done)](outcome<void> result) {
      --pending;
      if (result)
        return done(std::move(*answer));
      ++counts.failures;
      done(std::move(result).error());
    };
    if (waiting > limits.pending_max) {
      asio::post(io, [finish = std::move(finish)] {
        finish(fail(errc::unavailable, "etcd: too many requests wait for an answer"));
      });
      return;
    }
    r.done = std::move(finish);
    r.until = steady::now() + milliseconds{limits.request_ms};
    asio::post(io, [this, r = std::move(r)]() mutable { calls.submit(std::move(r)); });
  }
};

outcome<std::unique_ptr<client>> client::open(options o) {
  auto at = validate(o);
  if (!at)
    return std::move(at).error();
  std::shared_ptr<asio::ssl::context> tls;
  if (std::any_of(at->begin(), at->end(), [](const address& a) { return a.tls; })) {
    auto made = tls_of(o);
    if (!made)
      return std::move(made).error();
    tls = std::move(*made);
  }
  auto c = std::make_shared<core>(o, std::move(*at), std::move(tls));
  c->thread = std::thread([&io = c->io] {
    ::pthread_setname_np(::pthread_self(), "etcd");
    io.run();
  });
  return std::unique_ptr<client>(new client(std::move(c)));
}

client::~client() {
  asio::post(core_->io, [c = core_.get()] {
    c->calls.close();
    c->stay.reset(); // run() returns when all coroutines have seen it
  });
  core_->thread.join();
}

const counters& client::counts() const noexcept { return core_->counts; }

// -- requests ---------------------------------------------------------------------------------------------------------

namespace {

/// A request of one step, whose answer `read` understands.
template <class T, class Read>
request simple(const char* path, std::string body, std::shared_ptr<T> answer, Read read) {
  request r;
  r.first = {path, std::move(body)};
  r.begin = [answer, read] {
    return [answer, read](const std::string& text) -> outcome<std::optional<step>> {
      auto got = read(text);
      if (!got)
        return std::move(got).error();
      *answer = std::move(*got);
      return std::optional<step>();
    };
  };
  return r;
}

/// A renewal, and then proof that it counts: a leader that was deposed and does not know it yet renews leases that its
/// successor lets end (etcd-io/etcd issue 15247; open in 3.4.23). A read that can't be out of date is answered only if
/// the member hears from the leader of its term that most members still follow it; if its term is the same as before
/// the renewal, no other leader can have come to power by then.
///
/// A lease that is not there is asked for again after that read: a leader that came to power just now may not have got
/// to its granting yet.
class renewing {
public:
  renewing(int64_t lease, std::string probe_key, std::shared_ptr<milliseconds> answer)
      : lease_(lease), probe_key_(std::move(probe_key)), answer_(std::move(answer)) {}

  static step ask(int64_t lease) { return {wire::renew_path, wire::lease_body(lease)}; }

  outcome<std::optional<step>> operator()(const std::string& text) {
    if (!probing_) {
      const auto got = wire::read_renewal(text);
      if (!got)
        return got.error();
      said_ = *got;
      probing_ = true;
      return std::optional<step>({wire::range_path, wire::probe_body(probe_key_)});
    }
    const auto got = wire::read_summary(text);
    if (!got)
      return got.error();
    if (got->term != said_.term)
      return fail(errc::unavailable, "etcd: the leader changed while it renewed a lease");
    probing_ = false;
    *answer_ = said_.ttl;
    if (said_.ttl > seconds{0} || ++absent_ == 2)
      return std::optional<step>();
    return std::optional<step>(ask(lease_));
  }

private:
  int64_t lease_;
  std::string probe_key_;
  std::shared_ptr<milliseconds> answer_;
  wire::renewal said_;
  bool probing_ = false;
  int absent_ = 0;
};

struct nothing {};

} // namespace

void client::grant(milliseconds ttl, handler<int64_t> done) {
  // Repeated, it may leave a lease behind that nobody knows; that one has no keys and ends by itself.
  auto answer = std::make_shared<int64_t>(0);
  core_->submit(simple(wire::grant_path, wire::grant_body(ttl), answer, wire::read_granted), answer, std::move(done));
}

void client::renew(int64_t lease, handler<milliseconds> done) {
  auto answer = std::make_shared<milliseconds>(0);
  request r;
  r.first = renewing::ask(lease);
  r.urgent = true;
  r.begin = [lease, key = core_->limits.probe_key, answer] { return renewing(lease, key, answer); };
  core_->submit<milliseconds>(std::move(r), answer, [done = std::move(done)](outcome<milliseconds> got) {
    if (got && *got == milliseconds{0})
      return done(fail(errc::not_found, "etcd: the lease has ended"));
    done(std::move(got));
  });
}

void client::revoke(int64_t lease, handler<void> done) {
  auto answer = std::make_shared<nothing>();
  const auto read = [](const std::string&) { return outcome<nothing>(nothing{}); };
  core_->submit<nothing>(simple(wire::revoke_path, wire::lease_body(lease), answer, read), answer,
                         [done = std::move(done)](outcome<nothing> got) {
                           // It had ended, or an attempt whose answer was lost ended it.
                           if (got || got.error().code == errc::not_found)
                             return done(boost::system::in_place_value);
                           done(std::move(got).error());
                         });
}

void client::list(std::string prefix, handler<cluster::listing> done) {
  auto answer = std::make_shared<cluster::listing>();
  core_->submit(simple(wire::range_path, wire::list_body(prefix), answer, wire::read_listing), answer, std::move(done));
}

void client::commit(std::vector<cluster::condition> conditions, std::vector<cluster::change> changes,
                    handler<cluster::committed> done) {
  auto answer = std::make_shared<cluster::committed>();
  auto r = simple(wire::txn_path, wire::commit_body(conditions, changes), answer, wire::read_committed);
  r.repeatable = false;
  core_->submit(std::move(r), answer, std::move(done));
}

// -- watches ----------------------------------------------------------------------------------------------------------

std::shared_ptr<void> client::watch(std::string prefix, cluster::watcher to) {
  auto watch = std::make_shared<watching>(std::move(prefix), std::move(to));
  asio::post(core_->io,
             [watch, c = core_.get()] { asio::co_spawn(c->io, watching::run(watch, c->calls), asio::detached); });
  return {watch.get(), [watch, of = std::weak_ptr<core>(core_)](void*) {
            watch->stop();
            // A client that is gone has ended its streams.
            if (const auto c = of.lock())
              asio::post(c->io, [watch] { watch->hang_up(); });
          }};
}

} // namespace greenroom::net::etcd
