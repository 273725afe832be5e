#include "crowd.hpp"

#include "wire.hpp"

#include <stdexcept>

namespace greenroom::bench {

uint64_t peer::request(std::string_view fields) {
  static std::string frame; // one thread; spares an allocation per request
  frame.assign("{\"id\":").append(std::to_string(++last_id)).append(",").append(fields).append("}");
  sent_ns = now_ns();
  send(frame);
  return last_id;
}

peer& crowd::add(const std::string& user, std::string_view hello_fields, std::vector<std::string> script) {
  peer& p = peers_.emplace_back(loop_, *this);
  p.user = user;
  // Made here, so that signing is no part of what is timed.
  p.hello = R"("op":"hello","token":")" + make_token(target_.secret, user) + "\"";
  if (!hello_fields.empty())
    p.hello.append(",").append(hello_fields);
  p.script = std::move(script);
  return p;
}

void crowd::enter(size_t parallel) {
  const size_t already = ready_;
  while (entered_ < peers_.size() && entered_ - already < parallel)
    next_enters();
  loop_.until([this] { return ready_ == peers_.size(); }, std::chrono::seconds(300), "connecting");
}

void crowd::next_enters() {
  if (entered_ == peers_.size())
    return;
  peer& p = peers_[entered_];
  p.sent_ns = now_ns();
  p.entered_ns = -p.sent_ns;
  p.open(target_.ports[entered_ % target_.ports.size()], static_cast<unsigned>(entered_));
  ++entered_;
}

void crowd::opened(connection& from) {
  auto& p = static_cast<peer&>(from);
  p.request(p.hello);
}

void crowd::received(connection& from, std::string_view frame) {
  auto& p = static_cast<peer&>(from);
  if (p.ready || holds(frame, "\"ev\":")) {
    if (on_frame)
      on_frame(p, frame);
    return;
  }
  if (number_in(frame, "\"re\":") != p.last_id)
    throw_error(p, frame);
  if (holds(frame, "\"error\":") && text_in(frame, "\"code\":\"") != "exists")
    throw_error(p, frame);
  advance(p);
}

void crowd::advance(peer& p) {
  if (p.last_id == 1)
    p.entered_ns += now_ns();
  if (p.step < p.script.size()) {
    p.request(p.script[p.step++]);
    return;
  }
  p.ready = true;
  ++ready_;
  if (leave_when_ready)
    p.close();
  next_enters();
}

void crowd::ended(connection& from, const std::string& why) {
  throw std::runtime_error("the connection of " + static_cast<peer&>(from).user + " ended: " + why);
}

std::string filler(size_t bytes) {
  std::string text(bytes, 'x');
  for (size_t i = 5; i < bytes; i += 6)
    text[i] = ' ';
  return text;
}

void throw_error(const peer& from, std::string_view frame) {
  throw std::runtime_error("unexpected answer to " + from.user + ": " + std::string{frame.substr(0, 400)});
}

} // namespace greenroom::bench
