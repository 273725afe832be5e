// memory_agreement: the agreement of a cluster in memory, for tests on CAF's deterministic scheduler: one thread, a
// clock that moves when told, and failures on demand. Handlers and watchers are called at once.
#pragma once

#include "actors/cluster/agreement.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

namespace greenroom::cluster::test {

class memory_agreement final : public agreement {
public:
  /// What becomes of a commit: it is done and answered; done, and the answer is lost; lost itself; or done only when
  /// late() is called, long after its sender was told that nobody knows.
  enum class fate { answered, answer_lost, lost, late };
  /// Asked about each commit; null: answered.
  std::function<fate(const std::vector<change>&)> judge;
  bool down = false;          // nothing is answered but with unavailable, and nothing is done
  bool renewals_fail = false; // as down, for renew() only
  bool watches_wait = false;  // what watches should tell waits for tell_watches()
  int64_t renewal_ms = 0;     // what renew() answers; 0: what was granted

  int64_t grants = 0;
  int64_t renewals = 0;
  int64_t listings = 0;
  std::vector<std::vector<change>> commits; // all that were asked for, done or not

  // -- what the test does ---------------------------------------------------------------------------------------------
  void pass(std::chrono::milliseconds time) {
    now_ms_ += time.count();
    for (auto i = leases_.begin(); i != leases_.end();) {
      const auto l = i++;
      if (l->second.until_ms <= now_ms_)
        end(l->first);
    }
  }
  void end(int64_t lease) {
    leases_.erase(lease);
    std::vector<change> gone;
    for (const auto& [key, x] : entries_)
      if (x.lease == lease)
        gone.push_back({key, std::nullopt, 0});
    if (!gone.empty())
      apply(gone);
  }
  int64_t put(const std::string& key, const std::string& value, int64_t lease = 0) {
    apply({{key, value, lease}});
    return revision_;
  }
  void erase(const std::string& key) { apply({{key, std::nullopt, 0}}); }
  std::optional<entry> get(const std::string& key) const {
    auto found = entries_.find(key);
    return found == entries_.end() ? std::nullopt : std::optional(found->second);
  }
  /// A lease of somebody else.
  int64_t grant_to_other(std::chrono::milliseconds ttl) {
    leases_[++last_lease_] = {ttl.count(), now_ms_ + ttl.count()};
    return last_lease_;
  }
  bool lives(int64_t lease) const { return leases_.contains(lease); }
  size_t leases() const noexcept { return leases_.size(); }
  void late() {
    for (auto& [conditions, changes] : std::exchange(late_, {}))
      carry_out(conditions, changes);
  }
  void tell_watches() {
    for (auto& news : std::exchange(untold_, {}))
      tell(news);
  }

  // -- agreement ------------------------------------------------------------------------------------------------------
  void grant(std::chrono::milliseconds ttl, handler<int64_t> done) override {
    ++grants;
    if (down)
      return done(unavailable());
    done(grant_to_other(ttl));
  }
  void renew(int64_t lease, handler<std::chrono::milliseconds> done) override {
    ++renewals;
    if (down || renewals_fail)
      return done(unavailable());
    auto found = leases_.find(lease);
    if (found == leases_.end())
      return done(fail(errc::not_found, "no such lease"));
    found->second.until_ms = now_ms_ + found->second.ttl_ms;
    done(std::chrono::milliseconds(renewal_ms > 0 ? renewal_ms : found->second.ttl_ms));
  }
  void revoke(int64_t lease, handler<void> done) override {
    if (down)
      return done(unavailable());
    end(lease);
    done(outcome<void>());
  }
  void list(std::string prefix, handler<listing> done) override {
    ++listings;
    if (down)
      return done(unavailable());
    done(all_under(prefix));
  }
  void commit(std::vector<condition> conditions, std::vector<change> changes, handler<committed> done) override {
    commits.push_back(changes);
    if (down)
      return done(unavailable());
    switch (judge ? judge(changes) : fate::answered) {
    case fate::answered:
      return done(carry_out(conditions, changes));
    case fate::answer_lost:
      (void)carry_out(conditions, changes);
      break;
    case fate::lost:
      break;
    case fate::late:
      late_.emplace_back(std::move(conditions), std::move(changes));
      break;
    }
    done(fail(errc::unavailable, "it is not known whether this was committed"));
  }
  std::shared_ptr<void> watch(std::string prefix, watcher to) override {
    auto w = std::make_shared<watching>(watching{std::move(prefix), std::move(to)});
    watches_.push_back(w);
    w->to.listed(all_under(w->prefix));
    return w;
  }

private:
  struct lease_state {
    int64_t ttl_ms;
    int64_t until_ms;
  };
  struct watching {
    std::string prefix;
    watcher to;
  };

  static failure unavailable() { return fail(errc::unavailable, "etcd: not now"); }

  listing all_under(const std::string& prefix) const {
    listing all{{}, revision_};
    for (const auto& [key, x] : entries_)
      if (key.starts_with(prefix))
        all.entries.push_back(x);
    return all;
  }
  outcome<committed> carry_out(const std::vector<condition>& conditions, const std::vector<change>& changes) {
    std::set<std::string> keys;
    for (const auto& c : changes) {
      if (!keys.insert(c.key).second)
        return fail(errc::bad_request, "a key twice");
      if (c.value && c.lease != 0 && !leases_.contains(c.lease))
        return fail(errc::not_found, "no such lease");
    }
    committed out{true, 0, {}};
    for (const auto& c : conditions) {
      auto there = get(c.key);
      out.done = out.done && (there ? there->revision : 0) == c.revision;
      if (there)
        out.present.push_back(*there);
    }
    if (out.done) {
      out.present.clear();
      apply(changes);
    }
    out.revision = revision_;
    return out;
  }
  void apply(const std::vector<change>& changes) {
    ++revision_;
    std::vector<update> news;
    for (const auto& c : changes) {
      if (c.value) {
        entries_[c.key] = {c.key, *c.value, revision_, c.lease};
        news.push_back({entries_[c.key], false});
      } else if (entries_.erase(c.key) > 0) {
        news.push_back({{c.key, {}, revision_, 0}, true});
      }
    }
    if (watches_wait)
      untold_.push_back(std::move(news));
    else
      tell(news);
  }
  void tell(const std::vector<update>& news) {
    for (const auto& weak : watches_)
      if (auto w = weak.lock()) {
        std::vector<update> mine;
        std::copy_if(news.begin(), news.end(), std::back_inserter(mine),
                     [&](const update& x) { return x.what.key.starts_with(w->prefix); });
        if (!mine.empty())
          w->to.updated(mine);
      }
  }

  int64_t now_ms_ = 0;
  int64_t revision_ = 1;
  int64_t last_lease_ = 0;
  std::map<std::string, entry> entries_;
  std::map<int64_t, lease_state> leases_;
  std::vector<std::weak_ptr<watching>> watches_;
  std::vector<std::vector<update>> untold_;
  std::vector<std::pair<std::vector<condition>, std::vector<change>>> late_;
};

} // namespace greenroom::cluster::test
