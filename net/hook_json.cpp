#include "net/hook_json.hpp"

#include "net/codec.hpp"
#include "net/event_json.hpp"
#include "net/json.hpp"
#include "net/json_document.hpp"

#include <algorithm>
#include <fstream>

namespace greenroom::net {
namespace {

using json::append_array;
using json::object;
using kind = hooks::verdict::kind;

constexpr size_t reason_bytes_max = 256;
constexpr size_t secret_bytes_min = 16;
constexpr size_t secret_bytes_max = 256;
constexpr size_t secrets_max = 2;
constexpr size_t file_bytes_max = secrets_max * (secret_bytes_max + 2);

hooks::verdict failed(std::string why) { return {kind::failed, std::move(why), {}, {}}; }

/// In one line, and not too long: it goes to a client, who did not ask for more.
std::string reason_of(std::string_view text) {
  auto end = std::min(text.size(), reason_bytes_max);
  while (end > 0 && end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80)
    --end;
  std::string out(text.substr(0, end));
  for (auto& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      c = ' ';
  return out.empty() ? "refused" : out;
}

hooks::verdict read_replacement(const json::document& answer, const hooks::question& to, const limits& bounds) {
  hooks::verdict v;
  v.what = kind::replace;
  if (const auto text = answer.find("text"); text && !text.is_null()) {
    if (!text.text())
      return failed("text: not a string");
    v.text = std::string(*text.text());
    if (v.text->size() > bounds.text_bytes)
      return failed("text: longer than limits.text_bytes");
  }
  if (const auto data = answer.find("data"); data && !data.is_null()) {
    if (to.what == hooks::said::edit)
      return failed("data: an edit has none");
    if (!data.is_object())
      return failed("data: not an object");
    v.data.emplace();
    data.append_canonical(*v.data);
    if (v.data->size() > bounds.data_bytes)
      return failed("data: longer than limits.data_bytes");
  }
  if (v.text.value_or(to.text).empty() && v.data.value_or(to.data).empty() && to.attachments.empty())
    return failed("text: nothing would be left of the message");
  return v;
}

/// One or two lines.
outcome<std::vector<std::string>> read_secrets(const std::string& key, const std::string& path) {
  const auto trouble = [&](std::string_view why) {
    return fail(errc::unavailable, key + ": " + path + ": " + std::string(why));
  };
  std::ifstream in(path, std::ios::binary);
  std::string text(file_bytes_max + 1, '\0');
  if (!in || in.read(text.data(), static_cast<std::streamsize>(text.size())).bad())
    return trouble("can't be read");
  text.resize(static_cast<size_t>(in.gcount()));
  std::vector<std::string> secrets;
  for (std::string_view rest = text; !rest.empty();) {
    const auto end = std::min(rest.find('\n'), rest.size());
    auto line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    if (line.empty())
      continue;
    if (line.size() < secret_bytes_min || line.size() > secret_bytes_max ||
        std::any_of(line.begin(), line.end(), [](char c) { return c <= 0x20 || c >= 0x7f; }))
      return trouble("a secret is 16 to 256 visible ASCII characters on a line");
    secrets.emplace_back(line);
  }
  if (secrets.empty() || secrets.size() > secrets_max)
    return trouble("must hold one secret, or two, a line each");
  return secrets;
}

} // namespace

std::string hook_json::delivery(const hooks::delivery& x) const {
  const auto& p = x.what.what;
  const auto begin = std::max(p.after + 1, p.first);
  std::string out;
  {
    object o(out);
    o.text("hook", p.hook);
    o.text("delivery", x.id);
    o.text("room", p.room.str());
    o.text("epoch", p.epoch);
    o.integer("first", begin);
    o.integer("last", x.what.through);
    if (begin > p.after + 1) { // dropped before it could be pushed
      object missed(o.key("missed"));
      missed.integer("first", p.after + 1);
      missed.integer("last", begin - 1);
    }
    append_array(o.key("events"), x.what.events, [&](const storage::event& e) { append_event(out, p.room, e); });
  }
  return out;
}

std::string hook_json::question(const hooks::question& x) const {
  std::string out;
  {
    object o(out);
    o.text("hook", "presend");
    o.text("op", x.what == hooks::said::edit ? "edit" : "send");
    o.text("room", x.room.str());
    o.text("from", x.from.str());
    if (!x.key.empty())
      o.text("key", x.key);
    o.text("text", x.text);
    if (!x.data.empty())
      o.raw("data", x.data);
    if (!x.attachments.empty())
      append_attachments(o, x.attachments);
    if (x.target != 0)
      o.integer("target", x.target);
    if (x.reply_to != 0)
      o.integer("reply_to", x.reply_to);
    if (x.what == hooks::said::ephemeral)
      o.flag("ephemeral", true);
    if (x.scheduled)
      o.flag("scheduled", true);
  }
  return out;
}

hooks::verdict hook_json::read_verdict(unsigned status, std::string_view body, const hooks::question& to,
                                       const limits& bounds) const {
  if (status == 204)
    return {};
  if (status != 200)
    return failed("the answer has status " + std::to_string(status));
  json::document answer;
  if (auto parsed = answer.parse(body, bounds.json_depth); !parsed)
    return failed("the answer is no JSON object: " + parsed.error().message);
  const auto action = answer.find("action").text().value_or("");
  if (action == "allow")
    return {};
  if (action == "reject")
    return {kind::reject, reason_of(answer.find("message").text().value_or("")), {}, {}};
  if (action == "replace")
    return read_replacement(answer, to, bounds);
  return failed("action: must be allow, reject or replace");
}

void append_webhooks(std::string& out, const ok::webhooks& x) {
  object o(out);
  append_array(o.key("webhooks"), x.list, [&](const ok::webhook& w) {
    object h(out);
    h.text("name", w.name);
    h.text("node", w.node);
    h.text("url", w.url);
    h.integer("pending_rooms", w.pending_rooms);
    h.flag("more", w.more);
    h.integer("in_flight", w.in_flight);
    h.integer("lag_ms", w.lag_ms);
    h.integer("deliveries", w.deliveries);
    h.integer("events", w.events);
    h.integer("failures", w.failures);
    h.integer("retry_ms", w.retry_ms);
    if (!w.last_failure.empty()) {
      h.text("last_failure", w.last_failure);
      h.integer("failed_at", w.failed_at);
    }
  });
}

void append_replay(std::string& out, const ok::replay& x) {
  object o(out);
  o.text("hook", x.hook);
  o.text("room", x.room.str());
  o.integer("from", x.from);
  o.integer("head", x.head);
}

outcome<hooks::hook_set> load_hooks(const settings& config) {
  hooks::hook_set set;
  for (const auto& w : config.webhooks) {
    auto secrets = read_secrets("webhook." + w.name + ".secret_file", w.what.secret_file);
    if (!secrets)
      return secrets.error();
    set.webhooks.push_back(std::make_shared<const hooks::webhook>(
        hooks::webhook{w.name, w.what, std::move(*secrets), hooks::kinds_of(w.what.events)}));
  }
  if (!config.presend.url.empty()) {
    auto secrets = read_secrets("presend.secret_file", config.presend.secret_file);
    if (!secrets)
      return secrets.error();
    set.before_send = std::make_shared<const hooks::presend>(hooks::presend{config.presend, std::move(*secrets)});
  }
  return set;
}

} // namespace greenroom::net
