// wire: what gateways say to each other, as CAF messages. The only messages of the house that CAF carries to another
// node, and so the only ones with type names and inspection; letters are opaque bytes in a frame.
//
// Anybody who reaches CAF's port can send these, so all of them but the hello carry a token: a random number that the
// receiver drew for this link and told nobody but the peer. It also keeps what is late apart from the next link.
#pragma once

#include "actors/cluster/flow.hpp"

#include <caf/actor.hpp>
#include <caf/deserializer.hpp>
#include <caf/serializer.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <string>

namespace caf {
class actor_system_config;
}

namespace greenroom::cluster::wire {

/// Bytes that are shared within a process and written in one piece.
class blob {
public:
  blob() = default;
  explicit blob(std::string bytes) : bytes_(std::make_shared<const std::string>(std::move(bytes))) {}
  std::string_view view() const noexcept { return bytes_ ? std::string_view(*bytes_) : std::string_view(); }

  friend caf::error inspect(caf::serializer& to, blob& x);
  /// Refuses a length that is above frame_bytes_max or above what is there, before any memory is had for it.
  friend caf::error inspect(caf::deserializer& from, blob& x);

private:
  std::shared_ptr<const std::string> bytes_;
};
std::string to_string(const blob& x);

/// The first thing said, by the node with the greater name. `facts` can grow with versions, the rest can't.
struct hello {
  uint32_t version = 0;
  uint64_t incarnation = 0; // of the link that is wished for
  uint64_t process = 0;     // random, drawn when the dialer's gateway started
  uint64_t attempt = 0;     // grows within the process
  uint64_t token = 0;       // for what is sent to the dialer
  caf::actor from;
  credits credit{};
  std::map<std::string, std::string> facts; // cluster, name, store, to, to_store
};
/// The link is up.
struct welcome {
  uint64_t incarnation = 0;
  uint64_t token = 0; // for what is sent to the one who was dialled
  credits credit{};
  std::map<std::string, std::string> facts; // cluster, name, store
};
/// It won't be.
struct refusal {
  uint64_t incarnation = 0;
  std::string field; // which is not what it should be
  std::string why;
  bool lasting = true; // trying again soon is of no use
};

struct frame {
  uint64_t token = 0;
  uint8_t by = 0; // channel
  uint64_t number = 0;
  blob bytes;
};
/// So many bytes of the channel's frames were handed over since the link came up.
struct credit {
  uint64_t token = 0;
  uint8_t by = 0;
  uint64_t bytes = 0;
};
/// Said when there is nothing else to say.
struct pulse {
  uint64_t token = 0;
};
/// The link has ended here.
struct bye {
  uint64_t token = 0;
};

template <class I>
typename I::result_type inspect(I& f, hello& x) {
  return f(x.version, x.incarnation, x.process, x.attempt, x.token, x.from, x.credit, x.facts);
}
template <class I>
typename I::result_type inspect(I& f, welcome& x) {
  return f(x.incarnation, x.token, x.credit, x.facts);
}
template <class I>
typename I::result_type inspect(I& f, refusal& x) {
  return f(x.incarnation, x.field, x.why, x.lasting);
}
template <class I>
typename I::result_type inspect(I& f, frame& x) {
  return f(x.token, x.by, x.number, x.bytes);
}
template <class I>
typename I::result_type inspect(I& f, credit& x) {
  return f(x.token, x.by, x.bytes);
}
template <class I>
typename I::result_type inspect(I& f, pulse& x) {
  return f(x.token);
}
template <class I>
typename I::result_type inspect(I& f, bye& x) {
  return f(x.token);
}

/// Makes these known to CAF.
void add_types(caf::actor_system_config& config);

} // namespace greenroom::cluster::wire
