#include "net/outbox.hpp"

#include <algorithm>
#include <cstring>

namespace greenroom::net {
namespace {

// What an idle connection may keep: most never have more than this many frames waiting.
constexpr size_t idle_entries = 4;

} // namespace

size_t outbox::gather(iovec* out, size_t max) const noexcept {
  size_t n = 0;
  size_t skip = offset_;
  for (size_t i = head_; i < items_.size() && n < max; ++i, ++n) {
    const auto& bytes = *items_[i].bytes;
    out[n].iov_base = const_cast<char*>(bytes.data()) + skip; // iovec serves readers, too; nobody writes here
    out[n].iov_len = bytes.size() - skip;
    skip = 0;
  }
  return n;
}

size_t outbox::copy(char* out, size_t max) const noexcept {
  size_t n = 0;
  size_t skip = offset_;
  for (size_t i = head_; i < items_.size() && n < max; ++i) {
    const auto& bytes = *items_[i].bytes;
    const auto take = std::min(max - n, bytes.size() - skip);
    std::memcpy(out + n, bytes.data() + skip, take);
    n += take;
    skip = 0;
  }
  return n;
}

void outbox::sent(size_t n) noexcept {
  bytes_ -= n;
  pinned_ -= std::min(pinned_, n);
  while (n > 0) {
    auto& first = items_[head_];
    const auto left = first.bytes->size() - offset_;
    if (n < left) {
      offset_ += n;
      return;
    }
    n -= left;
    offset_ = 0;
    ephemerals_ -= first.ephemeral ? 1 : 0;
    first.bytes.reset();
    ++head_;
  }
  settle();
}

void outbox::settle() noexcept {
  if (empty()) {
    head_ = 0;
    if (items_.capacity() > idle_entries)
      std::vector<item>{}.swap(items_);
    else
      items_.clear();
  } else if (head_ > 64 && head_ > items_.size() / 2) {
    // A queue that never runs dry must not grow at its front for ever.
    items_.erase(items_.begin(), items_.begin() + head_);
    head_ = 0;
  }
}

size_t outbox::first_loose() const noexcept {
  // Bytes that are bound to leave, counted from the start of the first frame.
  size_t bound = pinned_ > 0 || offset_ > 0 ? offset_ + pinned_ : 0;
  size_t i = head_;
  for (; i < items_.size() && bound > 0; ++i)
    bound -= std::min(bound, items_[i].bytes->size());
  return i;
}

size_t outbox::drop_ephemeral() {
  if (ephemerals_ == 0)
    return 0;
  size_t dropped = 0;
  auto loose = items_.begin() + static_cast<std::ptrdiff_t>(first_loose());
  items_.erase(std::remove_if(loose, items_.end(),
                              [&](const item& x) {
                                if (!x.ephemeral)
                                  return false;
                                bytes_ -= x.bytes->size();
                                ++dropped;
                                return true;
                              }),
               items_.end());
  ephemerals_ -= static_cast<uint32_t>(dropped);
  settle();
  return dropped;
}

void outbox::drop_all() {
  const auto loose = first_loose();
  for (size_t i = loose; i < items_.size(); ++i) {
    bytes_ -= items_[i].bytes->size();
    ephemerals_ -= items_[i].ephemeral ? 1 : 0;
  }
  items_.erase(items_.begin() + static_cast<std::ptrdiff_t>(loose), items_.end());
  settle();
}

} // namespace greenroom::net
