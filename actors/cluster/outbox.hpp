// outbox: what waits for one peer, on one link. Owns the letters between peer::post and the gateway, and the limit of
// their bytes.
//
// Threads: post() and queued() from anywhere; everything else from the gateway only.
//
// Invariants
// - After post() has returned true the gateway is woken, unless it is going to look anyway.
// - Once closed, it holds no letters and wakes nobody: a peer may be kept for longer than the gateway lives.
#pragma once

#include "actors/cluster/link.hpp"
#include "actors/cluster/link_metrics.hpp"

#include <array>
#include <functional>
#include <mutex>
#include <string>
#include <vector>

namespace greenroom::cluster {

class outbox : public peer {
public:
  /// `wake` is called in the thread of whoever posts, with a lock held: it may only send a message.
  outbox(std::string peer_name, std::string peer_store, uint64_t link_incarnation, const link_options& options,
         link_metrics& figures, std::function<void()> wake);
  ~outbox() override;

  bool post(channel by, letter what) const override;
  size_t queued() const override;

  /// All that waits in the channel. The bytes count as queued until they are told done.
  std::vector<letter> take(channel by);
  /// So many letters, with so many bytes of text, have gone.
  void done(size_t letters, size_t text_bytes);
  /// Why nothing can be posted any more; empty: it can.
  std::string failure() const;
  void close();

  /// What a letter counts for besides its text.
  static constexpr size_t letter_overhead = 64;

private:
  struct state {
    std::array<std::vector<letter>, channels> waiting;
    std::array<bool, channels> woken{}; // the gateway has yet to take the channel
    size_t bytes = 0;
    std::string failure;
    std::function<void()> wake; // null: closed
  };

  void fail(std::string why) const;

  const size_t queue_max_;
  const size_t letter_max_;
  link_metrics& metrics_;
  mutable std::mutex mutex_;
  mutable state state_; // peers are const to those who post
};

} // namespace greenroom::cluster
