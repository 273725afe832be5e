// scene: a client whose answers are waited for, a watcher that writes down what it is told, and generous limits.
#pragma once

#include "net/etcd/caller.hpp"
#include "net/etcd/client.hpp"
#include "support/etcd_process.hpp"

#include <catch2/catch.hpp>

#include <condition_variable>
#include <future>
#include <map>
#include <mutex>

/// A test that fails shows what an outcome failed with.
template <class T>
struct Catch::StringMaker<greenroom::outcome<T>> {
  static std::string convert(const greenroom::outcome<T>& x) {
    return x ? "an answer" : std::string(to_string(x.error().code)) + ": " + x.error().message;
  }
};

namespace greenroom::test {

using namespace std::chrono_literals;
using cluster::change;
using cluster::committed;
using cluster::condition;
using cluster::listing;
using cluster::update;
using net::etcd::client;

inline constexpr auto patience = 60s;

/// Whether `f` becomes true within a generous limit.
template <class F>
bool eventually(F f) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (!f()) {
    if (std::chrono::steady_clock::now() > deadline)
      return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}

/// The one answer of `start(handler)`.
template <class T, class F>
outcome<T> answer_of(F start) {
  auto got = std::make_shared<std::promise<outcome<T>>>();
  auto future = got->get_future();
  start([got](outcome<T> x) { got->set_value(std::move(x)); });
  if (future.wait_for(patience) != std::future_status::ready)
    throw std::runtime_error("no answer");
  return future.get();
}

/// A client that waits for its answers.
class patient {
public:
  explicit patient(net::etcd::options o) {
    auto made = client::open(std::move(o));
    if (!made)
      throw std::runtime_error(made.error().message);
    client_ = std::move(*made);
  }
  explicit patient(const etcd_process& at) : patient(to({at.url()})) {}
  static net::etcd::options to(std::vector<std::string> endpoints) {
    net::etcd::options o;
    o.endpoints = std::move(endpoints);
    o.request_ms = 10'000; // what is tried under a sanitizer on a busy machine takes its time
    return o;
  }

  client& operator*() { return *client_; }
  client* operator->() { return client_.get(); }
  void reset() { client_.reset(); }

  outcome<int64_t> grant(std::chrono::milliseconds ttl) {
    return answer_of<int64_t>([&](auto done) { client_->grant(ttl, done); });
  }
  outcome<std::chrono::milliseconds> renew(int64_t lease) {
    return answer_of<std::chrono::milliseconds>([&](auto done) { client_->renew(lease, done); });
  }
  outcome<void> revoke(int64_t lease) {
    return answer_of<void>([&](auto done) { client_->revoke(lease, done); });
  }
  outcome<listing> list(const std::string& prefix) {
    return answer_of<listing>([&](auto done) { client_->list(prefix, done); });
  }
  outcome<committed> commit(std::vector<condition> conditions, std::vector<change> changes) {
    return answer_of<committed>([&](auto done) { client_->commit(conditions, changes, done); });
  }
  /// Writes one key, whatever there was. Its revision.
  int64_t put(const std::string& key, const std::string& value, int64_t lease = 0) {
    const auto got = commit({}, {{key, value, lease}});
    REQUIRE(got);
    REQUIRE(got->done);
    return got->revision;
  }
  int64_t erase(const std::string& key) {
    const auto got = commit({}, {{key, std::nullopt, 0}});
    REQUIRE(got);
    return got->revision;
  }
  /// Keys and values under a prefix, as one text.
  std::string contents(const std::string& prefix) {
    const auto got = list(prefix);
    if (!got)
      return got.error().message;
    std::string out;
    for (const auto& e : got->entries)
      out += (out.empty() ? "" : " ") + e.key + "=" + e.value;
    return out;
  }

private:
  std::unique_ptr<client> client_;
};

/// What a watcher was told, and what it would believe by now.
class record {
  template <class F>
  auto with(F f) {
    const std::lock_guard lock(mutex_);
    return f();
  }

public:
  cluster::watcher watcher() {
    return {[this](const listing& all) {
              const std::lock_guard lock(mutex_);
              ++listings_;
              believed_.clear();
              for (const auto& e : all.entries)
                believed_[e.key] = e.value;
              if (all.revision < revision_)
                mistakes_ += "a listing of old; ";
              revision_ = all.revision;
              changed_.notify_all();
            },
            [this](const std::vector<update>& updates) {
              const std::lock_guard lock(mutex_);
              if (listings_ == 0)
                mistakes_ += "an update before the listing; ";
              batches_.emplace_back();
              for (const auto& u : updates) {
                if (u.what.revision < last_ || u.what.revision <= revision_)
                  mistakes_ += "out of order: " + u.what.key + "; ";
                last_ = u.what.revision;
                auto said = u.what.key + (u.erased ? " erased" : "=" + u.what.value);
                if (u.erased)
                  believed_.erase(u.what.key);
                else
                  believed_[u.what.key] = u.what.value;
                said_.push_back(said);
                batches_.back().push_back(said);
              }
              // Each batch is of whole revisions.
              revision_ = last_;
              changed_.notify_all();
            }};
  }
  template <class F>
  bool eventually(F f) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, patience, f);
  }
  bool await_listings(int n) {
    return eventually([&] { return listings_ >= n; });
  }
  bool await_updates(size_t n) {
    return eventually([&] { return said_.size() >= n; });
  }
  bool await_belief(const std::map<std::string, std::string>& x) {
    return eventually([&] { return believed_ == x; });
  }
  int listings() {
    return with([&] { return listings_; });
  }
  std::vector<std::string> said() {
    return with([&] { return said_; });
  }
  std::vector<std::vector<std::string>> batches() {
    return with([&] { return batches_; });
  }
  std::map<std::string, std::string> believed() {
    return with([&] { return believed_; });
  }
  std::string mistakes() {
    return with([&] { return mistakes_; });
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int listings_ = 0;
  int64_t revision_ = 0;
  int64_t last_ = 0;
  std::vector<std::string> said_;
  std::vector<std::vector<std::string>> batches_;
  std::map<std::string, std::string> believed_;
  std::string mistakes_;
};

/// One etcd for all tests that do not harm it; each uses a prefix of its own.
inline etcd_process& shared_etcd() {
  static etcd_process one;
  return one;
}

} // namespace greenroom::test
