// stream: letters as a stream of bytes, cut into frames at the sender and put together again at the receiver. Each
// letter is its mailbox number (2 bytes), its length (4), both little-endian, and its text. A frame ends anywhere, so
// that frames are small whatever the letters are: a long one must not keep CAF's heartbeats waiting.
//
// Plain values without locks; one cutter and one reader per channel and direction.
#pragma once

#include "actors/cluster/link.hpp"

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace greenroom::cluster {

inline constexpr size_t letter_header = 6;

/// Bytes of the stream that a letter takes. REQUIRES: its text is shorter than 4 GiB; link_options::letter_bytes_max,
/// which outbox keeps, is far below.
inline size_t length_of(const letter& x) noexcept { return letter_header + x.what->size(); }

class letter_cutter {
public:
  bool empty() const noexcept { return left_ == 0; }
  /// Bytes to cut.
  size_t bytes() const noexcept { return left_; }
  /// REQUIRES: empty().
  void fill(std::vector<letter> letters);

  struct piece {
    std::string bytes;
    size_t ended = 0;      // letters that end in it
    size_t ended_text = 0; // bytes of their texts
  };
  /// The next bytes, at most `max`. REQUIRES: max > 0 and not empty().
  piece cut(size_t max);

private:
  std::vector<letter> letters_;
  size_t at_ = 0;     // index of the letter that is being cut
  size_t offset_ = 0; // in its bytes
  size_t left_ = 0;
};

class letter_reader {
public:
  explicit letter_reader(size_t text_max) : text_max_(text_max) {}
  /// Appends to `whole` the letters that end in `frame`. False: a letter is longer than allowed, and the stream is of
  /// no more use.
  bool read(std::string_view frame, std::vector<letter>& whole);
  /// Of a letter that has begun.
  size_t kept_bytes() const noexcept { return text_.size(); }

private:
  const size_t text_max_;
  std::array<char, letter_header> header_{};
  size_t header_got_ = 0;
  size_t text_size_ = 0; // once the header is whole
  std::string text_;
};

} // namespace greenroom::cluster
