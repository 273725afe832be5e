// Many operations in one request. They are the ones that frames are made of, in the same words, and each gets the
// answer that it would get alone.
//
// - One begins when the one before it has been answered: what it finds is what that has left, durably.
// - There is no transaction around them: each is done or refused by itself. Whoever wants the rest left undone after a
//   refusal says so by `on_error`.
// - Those that change messages carry keys of their own, so that a batch whose answer got lost is sent again as it was.
// - Each is held to the limits of its user as if it had come alone.
#include "net/io_threads.hpp"
#include "net/json.hpp"
#include "net/op_reader.hpp"
#include "net/rest.hpp"
#include "net/rest_call.hpp"

namespace greenroom::net {

struct rest::batch_work {
  call_ptr c;
  json::document fields; // the operations point into it
  std::vector<json::value> operations;
  size_t next = 0;
  int64_t ends_at = 0; // of steady_ms
  bool stops = false;  // at the first refusal
  bool waits = false;  // for an answer of the node
  bool loops = false;  // go_on() is under way: an answer that comes at once does not call it anew
  std::optional<int64_t> id;
  std::string body = "{\"answers\":[";
};

void rest::batch(const call_ptr& c) {
  auto fields = c->body(rest_call::presence::required);
  if (!fields)
    return c->refuse(fields.error(), fields.error().code == errc::unsupported ? 415 : 0);
  auto b = std::make_shared<batch_work>();
  b->c = c;
  b->fields = std::move(*fields);
  const auto all = b->fields.find("operations");
  if (!all.is_array() || all.size() == 0)
    return c->refuse(fail(errc::bad_request, "operations: must be an array of at least one"));
  if (const auto most = c->bounds->batch_operations; all.size() > most)
    return c->refuse(fail(errc::too_large, "operations: " + std::to_string(all.size()) + ", at most " +
                                               std::to_string(most) + " (limits.batch_operations)"));
  const auto on_error = b->fields.find("on_error");
  b->stops = on_error.text() == "stop";
  if (on_error && !on_error.is_null() && !b->stops && on_error.text() != "go_on")
    return c->refuse(fail(errc::bad_request, "on_error: must be \"go_on\" or \"stop\""));
  b->operations.reserve(all.size());
  all.each_element([&](json::value operation) { b->operations.push_back(operation); });
  b->ends_at = steady_ms() + c->bounds->request_ms;
  go_on(b);
}

void rest::go_on(const batch_ptr& b) {
  if (b->loops)
    return;
  b->loops = true;
  while (!b->waits && b->next < b->operations.size())
    begin(b, b->operations[b->next++]);
  b->loops = false;
  if (!b->waits)
    b->c->respond(200, std::move(b->body) + "]}");
}

/// The next operation; it may be answered before this returns.
void rest::begin(const batch_ptr& b, json::value operation) {
  const auto& c = b->c;
  const auto& bounds = *c->bounds;
  b->waits = true;
  b->id.reset();
  const auto refuse = [&](failure why) {
    figures_.error(why.code);
    settle(b, std::move(why));
  };
  if (auto given = operation.find("id"); given && !given.is_null()) {
    const auto id = given.whole();
    if (!id || *id < 1 || *id > json::integer_max)
      return refuse(fail(errc::bad_request, "id: must be an integer from 1 to 9007199254740991"));
    b->id = static_cast<int64_t>(*id);
  }
  if (steady_ms() > b->ends_at)
    return refuse(fail(errc::unavailable, "limits.request_ms: not begun, those before it took too long"));
  if (b->body.size() > bounds.batch_bytes)
    return refuse(fail(errc::too_large, "limits.batch_bytes: not begun, the answers before it are too long"));
  const auto op = operation.find("op").text();
  if (!op)
    return refuse(fail(errc::bad_request, "op: required, must be a string"));
  auto what = read_op(*op, operation, bounds);
  if (!what)
    return refuse(what.error());
  if (b->next > 1) { // the first one is the request that was counted
    auto& floods = *hooks_.floods;
    const auto now = steady_ms();
    if (auto why = floods.call(floods.cell_of(c->who.user), bounds, now)) {
      floods.refused(flood::calls, c->who.user, c->request.from.network, bounds, now);
      return refuse(*why);
    }
  }
  if (auto why = held_back(c, *what))
    return refuse(*why);
  hooks_.perform(c->on, c->who, std::move(*what), [this, b](answer a) { settle(b, a); });
}

void rest::settle(const batch_ptr& b, const answer& a) {
  if (b->body.back() != '[')
    b->body += ',';
  {
    json::object o(b->body);
    if (b->id)
      o.integer("re", *b->id);
    if (a)
      o.raw("ok", encode_.body(*a));
    else
      json::append_failure(o.key("error"), a.error());
  }
  if (!a && b->stops)
    b->next = b->operations.size();
  b->waits = false;
  go_on(b);
}

} // namespace greenroom::net
