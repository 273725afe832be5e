// REST for the operators of webhooks: what they have done, and pushing anew. Which routes there are stands in rest.cpp.
#include "net/field_reader.hpp"
#include "net/rest.hpp"
#include "net/rest_call.hpp"

namespace greenroom::net {
namespace {

constexpr size_t name_bytes_max = 32;

outcome<admin::any> read_replay(const outcome<json::document>& fields, const std::string& hook, const limits& bounds) {
  if (!fields)
    return fields.error();
  field_reader in(fields->root(), bounds);
  admin::replay x;
  if (hook.empty() || hook.size() > name_bytes_max)
    return fail(errc::not_found, "hook: no such webhook means this room");
  x.hook = hook;
  x.room = in.id<room_id>(in.required("room"), "room");
  const auto seq = in.find("seq");
  const auto at = in.find("at");
  if (static_cast<bool>(seq) == static_cast<bool>(at))
    in.refuse(errc::bad_request, "seq", "exactly one of seq and at is needed");
  x.seq = in.integer(seq, "seq", 1);
  x.ts = static_cast<int64_t>(in.integer(at, "at", 0));
  if (in.why())
    return *in.why();
  return x;
}

} // namespace

void rest::ask_admin(const call_ptr& c, admin::any what) {
  hooks_.perform_admin(c->on, c->who, std::move(what), [this, c](answer a) {
    if (!a)
      return c->pass_on(a.error());
    c->respond(200, encode_.body(*a));
  });
}

void rest::list_webhooks(const call_ptr& c) { ask_admin(c, admin::webhooks{}); }

void rest::replay(const call_ptr& c) {
  const auto fields = c->body(rest_call::presence::required);
  auto what = read_replay(fields, c->parts.at(0), *c->bounds);
  if (!what)
    return c->refuse(what.error(), what.error().code == errc::unsupported ? 415 : 0);
  ask_admin(c, std::move(*what));
}

} // namespace greenroom::net
