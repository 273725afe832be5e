// What the routes of REST do that are about whole accounts: erasing one, the record of that, and all that there is
// about a user; which ones there are stands in rest.cpp.
#include "net/op_reader.hpp"
#include "net/rest.hpp"
#include "net/rest_call.hpp"
#include "net/user_export.hpp"

namespace greenroom::net {
namespace {

using presence = rest_call::presence;

unsigned status_of(const failure& why) { return why.code == errc::unsupported ? 415 : 0; }

} // namespace

void rest::export_own(const call_ptr& c) { begin_export(c, c->who.user); }

void rest::export_user(const call_ptr& c) {
  auto user = user_id::parse(c->parts.at(0), "user");
  if (!user)
    return c->refuse(user.error());
  begin_export(c, std::move(*user));
}

/// The answer begins when the first line is there: until then it can still be a refusal.
void rest::begin_export(const call_ptr& c, user_id user) {
  auto source = std::make_shared<user_export>(c->on, c->who, std::move(user), encode_, hooks_);
  source->begin([c, source](outcome<void> begun) {
    if (!begun)
      return c->pass_on(begun.error());
    http_response r;
    r.content_type = "application/x-ndjson";
    r.source = source;
    c->respond(std::move(r));
  });
}

void rest::erase_own(const call_ptr& c) { erase(c, c->who.user); }

void rest::erase_user(const call_ptr& c) {
  auto user = user_id::parse(c->parts.at(0), "user");
  if (!user)
    return c->refuse(user.error());
  erase(c, std::move(*user));
}

void rest::erase(const call_ptr& c, user_id user) {
  auto fields = c->body(presence::optional);
  if (!fields)
    return c->refuse(fields.error(), status_of(fields.error()));
  auto wanted = read_erasure(*fields);
  if (!wanted)
    return c->refuse(wanted.error());
  wanted->user = std::move(user);
  hooks_.perform_account(c->on, c->who, std::move(*wanted), [this, c](answer a) {
    if (!a)
      return c->pass_on(a.error());
    const auto* erasure = std::get_if<ok::erasure>(&*a);
    c->respond(erasure != nullptr && erasure->what.completed == 0 ? 202 : 200, encode_.body(*a));
  });
}

void rest::show_erasure(const call_ptr& c) {
  auto user = user_id::parse(c->parts.at(0), "user");
  if (!user)
    return c->refuse(user.error());
  ask_account(c, account::show_erasure{std::move(*user)}, 200);
}

} // namespace greenroom::net
