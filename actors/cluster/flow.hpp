// flow: what goes over one live link in both directions, and how much of it at a time. Owns the frames' numbers and the
// credit. Sends nothing itself: the gateway asks it for the next frame and tells it of each that came.
//
// Credit counts the bytes of a channel's frames. The receiver says in the hello how many may be on the way, and later
// how many it has handed over in all; so neither CAF's buffers nor the gateway's mailbox hold more. Control comes first
// whenever it has credit, but what of bulk was already handed to CAF goes before it: at most bulk's credit.
//
// Used by the gateway only.
#pragma once

#include "actors/cluster/outbox.hpp"
#include "actors/cluster/stream.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace greenroom::cluster {

/// How many bytes of a channel may be on the way to whoever says it.
using credits = std::array<uint64_t, channels>;

/// A frame, whatever the sizes that are asked for, is no longer than this: CAF takes a connection for dead while a long
/// message is on its way.
inline constexpr size_t frame_bytes_max = 1'000'000;

class flow {
public:
  flow(const link_options& options, const credits& peers, std::shared_ptr<outbox> queue, link_metrics& figures);

  struct outgoing {
    channel by;
    uint64_t number; // 1, 2, 3 ... in each channel
    std::string bytes;
  };
  /// What can be sent now; null: nothing waits, or there is no credit.
  std::optional<outgoing> next();
  /// The peer has handed over so many bytes of frames in all. False: more than were sent: the link is of no more use.
  bool granted(channel by, uint64_t bytes);

  /// A frame that came; appends the letters that ended in it. Null: fine; otherwise what is wrong with it
  /// (a number was left out, more bytes than credit, too long a letter), and the link is of no more use.
  const char* take(channel by, uint64_t number, std::string_view bytes, std::vector<letter>& whole);
  /// What has been handed over in all, in bytes, if it is time that the peer knew.
  std::optional<uint64_t> grant(channel by);

private:
  struct out {
    letter_cutter cutter;
    uint64_t window = 0;
    uint64_t sent = 0;
    uint64_t granted = 0;
    uint64_t number = 0;
    bool waits = false;
  };
  struct in {
    explicit in(const link_options& options) : reader(options.letter_bytes_max) {}
    letter_reader reader;
    uint64_t window = 0;
    uint64_t got = 0;
    uint64_t told = 0;
    uint64_t number = 0;
  };

  const size_t batch_max_;
  const std::shared_ptr<outbox> queue_;
  link_metrics& metrics_;
  std::array<out, channels> out_;
  std::array<in, channels> in_;
};

} // namespace greenroom::cluster
