// rounds: how often a random test of pure functions is played.
#pragma once

namespace greenroom::test {

/// A tenth under ThreadSanitizer, which makes such tests fifteen times slower and has nothing to find in one thread.
constexpr unsigned rounds(unsigned all) noexcept {
#ifdef __SANITIZE_THREAD__
  return all / 10;
#else
  return all;
#endif
}

} // namespace greenroom::test
