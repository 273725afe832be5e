#include "actors/cluster/stream.hpp"

#include <algorithm>
#include <utility>

namespace greenroom::cluster {
namespace {

std::array<char, letter_header> header_of(const letter& x) {
  auto size = static_cast<uint32_t>(x.what->size());
  std::array<char, letter_header> h{};
  for (size_t i = 0; i < 2; ++i)
    h[i] = static_cast<char>(x.to >> (8 * i));
  for (size_t i = 0; i < 4; ++i)
    h[2 + i] = static_cast<char>(size >> (8 * i));
  return h;
}

uint32_t number(const char* from, size_t bytes) {
  uint32_t n = 0;
  for (size_t i = 0; i < bytes; ++i)
    n |= static_cast<uint32_t>(static_cast<unsigned char>(from[i])) << (8 * i);
  return n;
}

} // namespace

void letter_cutter::fill(std::vector<letter> letters) {
  letters_ = std::move(letters);
  at_ = offset_ = left_ = 0;
  for (const auto& x : letters_)
    left_ += length_of(x);
}

letter_cutter::piece letter_cutter::cut(size_t max) {
  piece p;
  size_t want = std::min(max, left_);
  p.bytes.reserve(want);
  left_ -= want;
  while (want > 0) {
    auto& x = letters_[at_];
    if (offset_ < letter_header) {
      auto header = header_of(x);
      size_t n = std::min(want, letter_header - offset_);
      p.bytes.append(header.data() + offset_, n);
      offset_ += n;
      want -= n;
    }
    size_t from = offset_ - std::min(offset_, letter_header);
    size_t n = offset_ < letter_header ? 0 : std::min(want, x.what->size() - from);
    p.bytes.append(*x.what, from, n);
    offset_ += n;
    want -= n;
    if (offset_ == length_of(x)) {
      ++p.ended;
      p.ended_text += x.what->size();
      x.what.reset(); // the rest may wait for long
      ++at_;
      offset_ = 0;
    }
  }
  if (left_ == 0)
    letters_ = {}; // with its capacity: it may have been a crowd
  return p;
}

bool letter_reader::read(std::string_view frame, std::vector<letter>& whole) {
  while (!frame.empty()) {
    if (header_got_ < letter_header) {
      size_t n = std::min(frame.size(), letter_header - header_got_);
      std::copy_n(frame.data(), n, header_.data() + header_got_);
      header_got_ += n;
      frame.remove_prefix(n);
      if (header_got_ < letter_header)
        return true;
      text_size_ = number(header_.data() + 2, 4);
      if (text_size_ > text_max_)
        return false;
    }
    // Grows as the bytes come, not as announced. A letter without text ends here at once. Most letters are whole and
    // are copied once.
    size_t n = std::min(frame.size(), text_size_ - text_.size());
    bool ends = text_.size() + n == text_size_;
    if (ends && text_.empty()) {
      whole.push_back(
          {static_cast<uint16_t>(number(header_.data(), 2)), std::make_shared<const std::string>(frame.substr(0, n))});
    } else {
      text_.append(frame.substr(0, n));
      if (ends)
        whole.push_back({static_cast<uint16_t>(number(header_.data(), 2)),
                         std::make_shared<const std::string>(std::exchange(text_, {}))});
    }
    frame.remove_prefix(n);
    if (ends)
      header_got_ = 0;
  }
  return true;
}

} // namespace greenroom::cluster
