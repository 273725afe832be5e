#include "actors/cluster/wire.hpp"

#include <caf/actor_system_config.hpp>
#include <caf/binary_deserializer.hpp>
#include <caf/sec.hpp>

namespace greenroom::cluster::wire {
namespace {

/// Inlined, it makes g++ 12 see an overrun in its own std::string.
template <class Message>
[[gnu::noinline]] void add_type(caf::actor_system_config& config, std::string name) {
  config.add_message_type<Message>(std::move(name));
}

} // namespace

caf::error inspect(caf::serializer& to, blob& x) {
  auto bytes = x.view();
  size_t n = bytes.size();
  if (auto e = to.begin_sequence(n))
    return e;
  if (n > 0)
    if (auto e = to.apply_raw(n, const_cast<char*>(bytes.data()))) // a serializer only reads
      return e;
  return to.end_sequence();
}

caf::error inspect(caf::deserializer& from, blob& x) {
  size_t n = 0;
  if (auto e = from.begin_sequence(n))
    return e;
  auto* binary = dynamic_cast<caf::binary_deserializer*>(&from);
  if (n > frame_bytes_max || (binary && n > binary->remaining()))
    return caf::sec::invalid_argument;
  std::string bytes(n, '\0');
  if (n > 0)
    if (auto e = from.apply_raw(n, bytes.data()))
      return e;
  x = blob{std::move(bytes)};
  return from.end_sequence();
}

std::string to_string(const blob& x) { return std::to_string(x.view().size()) + " bytes"; }

void add_types(caf::actor_system_config& config) {
  // The names go with every message.
  add_type<hello>(config, "gr.hello");
  add_type<welcome>(config, "gr.welcome");
  add_type<refusal>(config, "gr.refusal");
  add_type<frame>(config, "gr.frame");
  add_type<credit>(config, "gr.credit");
  add_type<pulse>(config, "gr.pulse");
  add_type<bye>(config, "gr.bye");
}

} // namespace greenroom::cluster::wire
