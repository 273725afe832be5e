#include "actors/cluster/flow.hpp"

#include <algorithm>
#include <utility>

namespace greenroom::cluster {

flow::flow(const link_options& options, const credits& peers, std::shared_ptr<outbox> queue, link_metrics& figures)
    : batch_max_(options.batch_bytes), queue_(std::move(queue)), metrics_(figures), in_{in{options}, in{options}} {
  for (size_t i = 0; i < channels; ++i) {
    out_[i].window = peers[i];
    in_[i].window = options.credit(static_cast<channel>(i));
  }
}

std::optional<flow::outgoing> flow::next() {
  for (auto by : {channel::control, channel::bulk}) {
    auto& x = out_[static_cast<size_t>(by)];
    if (x.cutter.empty())
      x.cutter.fill(queue_->take(by));
    if (x.cutter.empty())
      continue;
    // The peer may keep a quarter of the window to itself, see grant(); half of it is to be had sooner or later.
    auto want = std::min<uint64_t>({batch_max_, x.window / 2, x.cutter.bytes()});
    if (x.window - (x.sent - x.granted) < want) {
      if (!std::exchange(x.waits, true))
        metrics_[by].credit_waits.add();
      continue;
    }
    x.waits = false;
    auto piece = x.cutter.cut(want);
    queue_->done(piece.ended, piece.ended_text);
    x.sent += piece.bytes.size();
    auto& figures = metrics_[by];
    figures.letters_out.add(static_cast<int64_t>(piece.ended));
    figures.bytes_out.add(static_cast<int64_t>(piece.bytes.size()));
    figures.frames_out.add();
    return outgoing{by, ++x.number, std::move(piece.bytes)};
  }
  return std::nullopt;
}

bool flow::granted(channel by, uint64_t bytes) {
  auto& x = out_[static_cast<size_t>(by)];
  if (bytes > x.sent)
    return false;
  x.granted = std::max(x.granted, bytes);
  return true;
}

const char* flow::take(channel by, uint64_t number, std::string_view bytes, std::vector<letter>& whole) {
  auto& x = in_[static_cast<size_t>(by)];
  if (number != x.number + 1)
    return "a frame is missing";
  x.number = number;
  x.got += bytes.size();
  if (x.got - x.told > x.window)
    return "the peer sends more than its credit";
  auto before = whole.size();
  if (!x.reader.read(bytes, whole))
    return "a letter is longer than letter_bytes_max";
  auto& figures = metrics_[by];
  figures.letters_in.add(static_cast<int64_t>(whole.size() - before));
  figures.bytes_in.add(static_cast<int64_t>(bytes.size()));
  figures.frames_in.add();
  return nullptr;
}

std::optional<uint64_t> flow::grant(channel by) {
  auto& x = in_[static_cast<size_t>(by)];
  if (x.got - x.told < std::max<uint64_t>(1, x.window / 4))
    return std::nullopt;
  return x.told = x.got;
}

} // namespace greenroom::cluster
