// outbox: the bytes that wait for one socket, as shared frames. Bounded by its user (stream); this keeps the order and
// knows what may still be dropped.
//
// Invariants
// - Frames leave in the order in which they came, each whole.
// - A frame of which a byte has left, or which lies in a TLS record that was begun, is never dropped.
// - Empty, it holds room for a few entries only.
#pragma once

#include "actors/encoder.hpp"

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace greenroom::net {

class outbox {
public:
  bool empty() const noexcept { return head_ == items_.size(); }
  /// Bytes that have not left.
  size_t bytes() const noexcept { return bytes_; }
  size_t frames() const noexcept { return items_.size() - head_; }

  /// REQUIRES: what is not null and not empty.
  void push(frame what, bool ephemeral) {
    bytes_ += what->size();
    ephemerals_ += ephemeral ? 1 : 0;
    items_.push_back({std::move(what), ephemeral});
  }

  /// Fills `out` with what waits, in order; returns how many entries were filled. Valid until the next change.
  size_t gather(iovec* out, size_t max) const noexcept;
  /// The same as a copy of at most `max` bytes, for a TLS record; returns how many.
  size_t copy(char* out, size_t max) const noexcept;
  /// `n` bytes have left.
  void sent(size_t n) noexcept;
  /// The first `n` bytes must stay as they are until they have left: OpenSSL was given them and will ask for them
  /// again.
  void pin(size_t n) noexcept { pinned_ = n; }
  size_t pinned() const noexcept { return pinned_; }

  /// Drops what is ephemeral and may be dropped; returns how many frames.
  size_t drop_ephemeral();
  /// Drops all that may be dropped.
  void drop_all();

private:
  struct item {
    frame bytes;
    bool ephemeral;
  };
  /// Position of the first frame that may be dropped.
  size_t first_loose() const noexcept;
  void settle() noexcept;

  std::vector<item> items_;
  uint32_t head_ = 0; // entries before it have left
  uint32_t ephemerals_ = 0;
  size_t offset_ = 0; // bytes of the first frame that have left
  size_t pinned_ = 0;
  size_t bytes_ = 0;
};

} // namespace greenroom::net
