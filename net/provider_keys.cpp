#include "net/provider_keys.hpp"

#include "net/key_file.hpp"

#include <spdlog/spdlog.h>

#include <pthread.h>

#include <algorithm>

namespace greenroom::net {
namespace {

using namespace std::chrono_literals;

// After a failure, doubled with each further one.
constexpr std::chrono::seconds retry_first = 1s;
constexpr std::chrono::seconds retry_most = 60s;

int64_t unix_s() {
  return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

outcome<key_set> read_set(const std::string& path, token_algorithm algorithm) {
  auto text = load_key_set(path);
  if (!text)
    return std::move(text).error();
  auto set = key_set::parse(*text, algorithm);
  if (!set)
    return fail(errc::unavailable, "auth.jwks_file: " + path + ": " + set.error().message);
  return set;
}

} // namespace

provider_keys::provider_keys(const settings& config)
    : algorithm_(config.auth.algorithm), file_(config.auth.jwks_file), url_(config.auth.jwks_url),
      every_(config.auth.jwks_refresh_s), apart_(config.auth.jwks_unknown_s), patience_(config.auth.jwks_timeout_ms) {}

provider_keys::~provider_keys() = default; // the thread is asked to stop, and waited for

outcome<std::unique_ptr<provider_keys>> provider_keys::open(const settings& config) {
  std::unique_ptr<provider_keys> made(new provider_keys(config));
  auto& x = *made;
  if (!x.url_.empty()) {
    auto from = parse_web_address(x.url_);
    if (!from)
      return fail(errc::unavailable, "auth.jwks_url: " + from.error().message);
    x.from_.emplace(std::move(*from), config.auth.jwks_ca_file);
    // Waited for this once: when the node is up, tokens can be verified, if at all possible.
    const bool good = x.fetch({});
    x.last_ = steady::now();
    x.next_ = x.last_ + (good ? x.every_ : retry_first);
    x.thread_ = std::jthread([&x](std::stop_token stop) { x.keep_fetching(stop); });
    return made;
  }
  if (!x.file_.empty()) {
    auto set = read_set(x.file_, x.algorithm_);
    if (!set)
      return std::move(set).error();
    x.use(std::make_shared<const key_set>(std::move(*set)));
    return made;
  }
  auto key = load_public_key(config.auth.public_key_file, x.algorithm_);
  if (!key)
    return std::move(key).error();
  x.use(std::make_shared<const key_set>(key_set::only(std::move(*key))));
  return made;
}

outcome<public_key> provider_keys::find(std::optional<std::string_view> kid) {
  std::lock_guard guard{mutex_};
  if (set_)
    if (const auto* key = set_->find(kid))
      return *key;
  figures_.unknown.fetch_add(1, std::memory_order_relaxed);
  if (set_ && !kid)
    return fail(errc::unauthenticated, "token: kid: required, the provider has several keys");
  if (url_.empty())
    return fail(errc::unauthenticated, "token: kid: the provider has no such key");
  if (!std::exchange(wanted_, true))
    changed_.notify_all();
  const auto wait = std::chrono::ceil<std::chrono::seconds>(std::max(due() - steady::now(), steady::duration{0}));
  return fail(errc::unauthenticated,
              "token: kid: the provider has no such key; its keys are fetched anew, try again in " +
                  std::to_string(wait.count() + 1) + " s");
}

outcome<std::shared_ptr<const key_set>> provider_keys::read_file() const {
  if (file_.empty())
    return std::shared_ptr<const key_set>{};
  auto set = read_set(file_, algorithm_);
  if (!set)
    return std::move(set).error();
  return std::make_shared<const key_set>(std::move(*set));
}

void provider_keys::renew(std::shared_ptr<const key_set> set) {
  if (set)
    return use(std::move(set));
  std::lock_guard guard{mutex_};
  next_ = steady::now();
  changed_.notify_all();
}

void provider_keys::use(std::shared_ptr<const key_set> set) {
  // A key that is missing here because of something about it should be found in the log, not by its users' tokens.
  for (const auto& why : set->passed_over())
    spdlog::info("what=jwks_key_passed_over key=\"{}\"", why);
  figures_.keys = static_cast<int64_t>(set->size());
  figures_.read_at = unix_s();
  std::lock_guard guard{mutex_};
  set_ = std::move(set);
}

/// True: the set in force is what the provider has.
bool provider_keys::fetch(std::stop_token stop) {
  const auto complain = [&](const std::string& why) {
    if (stop.stop_requested())
      return false;
    ++figures_.failures;
    spdlog::warn("what=jwks_fetch_failed url={} keys_in_force={} why=\"{}\"", url_, figures_.keys.load(), why);
    return false;
  };
  ++figures_.fetches;
  auto text = from_->fetch(patience_, key_set::text_bytes_max, stop);
  if (!text)
    return complain(text.error().message);
  if (*text == text_) {
    figures_.read_at = unix_s();
    return true;
  }
  auto set = key_set::parse(*text, algorithm_);
  if (!set)
    return complain(set.error().message);
  spdlog::info("what=jwks_fetched url={} keys={}", url_, set->size());
  use(std::make_shared<const key_set>(std::move(*set)));
  text_ = std::move(*text);
  return true;
}

/// When the next fetch is to begin. REQUIRES: mutex_ is held.
provider_keys::steady::time_point provider_keys::due() const {
  return wanted_ ? std::min(next_, last_ + apart_) : next_;
}

void provider_keys::keep_fetching(std::stop_token stop) {
  ::pthread_setname_np(::pthread_self(), "jwks");
  auto pause = retry_first;
  std::unique_lock lock{mutex_};
  while (!stop.stop_requested()) {
    const auto until = due();
    changed_.wait_until(lock, stop, until, [&] { return due() < until; });
    if (stop.stop_requested() || steady::now() < due())
      continue;
    wanted_ = false;
    last_ = steady::now();
    lock.unlock();
    const bool good = fetch(stop);
    lock.lock();
    pause = good ? retry_first : std::min(2 * pause, retry_most);
    next_ = steady::now() + (good ? every_ : std::min(every_, pause));
  }
}

} // namespace greenroom::net
