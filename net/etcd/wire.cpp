#include "net/etcd/wire.hpp"

#include "net/json.hpp"
#include "net/json_document.hpp"

#include <sodium.h>

#include <algorithm>
#include <charconv>

namespace greenroom::net::etcd::wire {
namespace {

constexpr uint32_t depth_max = 16; // etcd's answers are 8 deep

void append_base64(std::string& out, std::string_view bytes) {
  constexpr int form = sodium_base64_VARIANT_ORIGINAL;
  const auto begin = out.size();
  const auto size = sodium_base64_encoded_len(bytes.size(), form); // with the zero behind it
  out.resize(begin + size);
  sodium_bin2base64(out.data() + begin, size, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), form);
  out.pop_back();
}

bool decode_base64(std::string_view text, std::string& out) {
  out.resize(text.size() / 4 * 3);
  size_t size = 0;
  const char* end = nullptr;
  if (sodium_base642bin(reinterpret_cast<unsigned char*>(out.data()), out.size(), text.data(), text.size(), nullptr,
                        &size, &end, sodium_base64_VARIANT_ORIGINAL) != 0 ||
      end != text.data() + text.size())
    return false;
  out.resize(size);
  return true;
}

/// An object of a request; fields of bytes and integers in the gateway's forms.
class message : public json::object {
public:
  explicit message(std::string& out) : object(out), out_(out) {}
  std::string& out() noexcept { return out_; }
  void bytes(std::string_view name, std::string_view value) {
    auto& to = key(name);
    to += '"';
    append_base64(to, value);
    to += '"';
  }
  void integer64(std::string_view name, int64_t value) {
    auto& to = key(name);
    to += '"';
    json::append_integer(to, value);
    to += '"';
  }

private:
  std::string& out_;
};

/// The first key behind all that begin with the prefix; "\0" is etcd's word for: no end.
std::string end_of(std::string_view prefix) {
  std::string out(prefix);
  while (!out.empty() && static_cast<unsigned char>(out.back()) == 0xff)
    out.pop_back();
  if (out.empty())
    return std::string(1, '\0');
  out.back() = static_cast<char>(static_cast<unsigned char>(out.back()) + 1);
  return out;
}

void put_prefix(message& to, std::string_view prefix) {
  // etcd takes no empty key; the least one is "\0".
  to.bytes("key", prefix.empty() ? std::string_view("\0", 1) : prefix);
  to.bytes("range_end", end_of(prefix));
}

template <class F>
std::string written(F f) {
  std::string out;
  {
    message body(out);
    f(body);
  }
  return out;
}

failure unreadable(std::string_view what) {
  return fail(errc::unavailable, "etcd's answer cannot be read: " + std::string(what));
}

/// Reads fields of an answer. What is absent is zero; what is there and wrong makes `wrong` true.
class reader {
public:
  bool wrong = false;

  int64_t integer(json::value of, std::string_view name) {
    const auto v = of.find(name);
    if (!v || v.is_null())
      return 0;
    if (const auto whole = v.whole(); whole && *whole <= static_cast<uint64_t>(INT64_MAX))
      return static_cast<int64_t>(*whole);
    int64_t out = 0;
    const auto text = v.text();
    if (!text)
      return wrong = true, 0;
    const auto [end, bad] = std::from_chars(text->data(), text->data() + text->size(), out);
    if (bad != std::errc{} || end != text->data() + text->size())
      wrong = true;
    return out;
  }
  /// Ids and counts, which never are below zero.
  uint64_t count(json::value of, std::string_view name) {
    const auto out = integer(of, name);
    if (out < 0)
      wrong = true;
    return static_cast<uint64_t>(out);
  }
  bool flag(json::value of, std::string_view name) {
    const auto v = of.find(name);
    if (!v || v.is_null())
      return false;
    const auto out = v.flag();
    if (!out)
      wrong = true;
    return out.value_or(false);
  }
  std::string bytes(json::value of, std::string_view name) {
    std::string out;
    const auto v = of.find(name);
    if (!v || v.is_null())
      return out;
    const auto text = v.text();
    if (!text || !decode_base64(*text, out))
      wrong = true;
    return out;
  }
  cluster::entry entry(json::value kv) {
    cluster::entry out;
    out.key = bytes(kv, "key");
    out.value = bytes(kv, "value");
    out.revision = integer(kv, "mod_revision");
    out.lease = integer(kv, "lease");
    if (out.key.empty() || out.revision <= 0)
      wrong = true;
    return out;
  }
  /// Every answer says where the store stood.
  int64_t revision(json::value answer) {
    const auto out = integer(answer.find("header"), "revision");
    if (out <= 0)
      wrong = true;
    return out;
  }
  uint64_t term(json::value answer) {
    const auto out = count(answer.find("header"), "raft_term");
    if (out == 0)
      wrong = true;
    return out;
  }
};

/// What a stream answers inside a status of 200: {"result": ...} or {"error": ...}.
outcome<json::value> result_of(const json::document& line) {
  if (const auto error = line.find("error")) {
    const auto said = error.is_object() ? error.find("message").text() : error.text();
    return fail(errc::unavailable, "etcd ended the stream: " + std::string(said.value_or("without a reason")));
  }
  const auto result = line.find("result");
  if (!result.is_object())
    return unreadable("a stream without a result");
  return result;
}

} // namespace

// -- requests ---------------------------------------------------------------------------------------------------------

std::string list_body(std::string_view prefix) {
  return written([&](message& body) { put_prefix(body, prefix); });
}

std::string changed_body(std::string_view prefix, int64_t revision) {
  return written([&](message& body) {
    put_prefix(body, prefix);
    body.integer64("min_mod_revision", revision + 1);
    body.flag("keys_only", true);
  });
}

std::string probe_body(std::string_view key) {
  return written([&](message& body) {
    body.bytes("key", key);
    body.flag("count_only", true);
  });
}

std::string commit_body(const std::vector<cluster::condition>& conditions,
                        const std::vector<cluster::change>& changes) {
  return written([&](message& body) {
    json::append_array(body.key("compare"), conditions, [&](const cluster::condition& c) {
      message one(body.out());
      one.text("target", "MOD");
      one.text("result", "EQUAL");
      one.bytes("key", c.key);
      one.integer64("mod_revision", c.revision); // a key that is not there has 0
    });
    json::append_array(body.key("success"), changes, [&](const cluster::change& c) {
      message one(body.out());
      message change(one.key(c.value ? "request_put" : "request_delete_range"));
      change.bytes("key", c.key);
      if (c.value) {
        change.bytes("value", *c.value);
        change.integer64("lease", c.lease);
      }
    });
    json::append_array(body.key("failure"), conditions, [&](const cluster::condition& c) {
      message one(body.out());
      message range(one.key("request_range"));
      range.bytes("key", c.key);
    });
  });
}

std::string grant_body(std::chrono::milliseconds ttl) {
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(ttl).count();
  return written([&](message& body) { body.integer64("TTL", std::max<int64_t>(seconds, 1)); });
}

std::string lease_body(int64_t lease) {
  return written([&](message& body) { body.integer64("ID", lease); });
}

std::string watch_body(std::string_view prefix, int64_t first_revision) {
  return written([&](message& body) {
    message create(body.key("create_request"));
    put_prefix(create, prefix);
    create.integer64("start_revision", first_revision);
    create.flag("progress_notify", true);
    create.flag("fragment", true);
  });
}

std::string authenticate_body(std::string_view user, std::string_view password) {
  return written([&](message& body) {
    body.text("name", user);
    body.text("password", password);
  });
}

// -- answers ----------------------------------------------------------------------------------------------------------

outcome<cluster::listing> read_listing(std::string_view body) {
  json::document answer;
  if (!answer.parse(body, depth_max))
    return unreadable("no JSON");
  reader in;
  cluster::listing out;
  out.revision = in.revision(answer.root());
  answer.find("kvs").each_element([&](json::value kv) { out.entries.push_back(in.entry(kv)); });
  // Without a limit etcd answers all; were it ever less, keys would seem to be gone.
  const bool all = in.count(answer.root(), "count") == out.entries.size() && !in.flag(answer.root(), "more");
  if (in.wrong || !all)
    return unreadable("a range");
  return out;
}

outcome<summary> read_summary(std::string_view body) {
  json::document answer;
  if (!answer.parse(body, depth_max))
    return unreadable("no JSON");
  reader in;
  summary out;
  out.keys = in.count(answer.root(), "count");
  out.changed = answer.find("kvs").size();
  out.revision = in.revision(answer.root());
  out.term = in.term(answer.root());
  if (in.wrong)
    return unreadable("a range");
  return out;
}

outcome<cluster::committed> read_committed(std::string_view body) {
  json::document answer;
  if (!answer.parse(body, depth_max))
    return unreadable("no JSON");
  reader in;
  cluster::committed out;
  out.revision = in.revision(answer.root());
  out.done = in.flag(answer.root(), "succeeded");
  if (!out.done)
    answer.find("responses").each_element([&](json::value response) {
      response.find("response_range").find("kvs").each_element([&](json::value kv) {
        out.present.push_back(in.entry(kv));
      });
    });
  if (in.wrong)
    return unreadable("a transaction");
  return out;
}

outcome<int64_t> read_granted(std::string_view body) {
  json::document answer;
  if (!answer.parse(body, depth_max))
    return unreadable("no JSON");
  reader in;
  const auto id = in.integer(answer.root(), "ID");
  if (in.wrong || id == 0)
    return unreadable("a lease");
  return id;
}

outcome<std::string> read_token(std::string_view body) {
  json::document answer;
  if (!answer.parse(body, depth_max))
    return unreadable("no JSON");
  const auto token = answer.find("token").text();
  // It goes into a header as it is: nothing may be in it that would end the line.
  if (!token || token->empty() || std::any_of(token->begin(), token->end(), [](char c) { return c <= ' ' || c > '~'; }))
    return unreadable("a token");
  return std::string(*token);
}

outcome<renewal> read_renewal(std::string_view body) {
  json::document line;
  if (!line.parse(body, depth_max))
    return unreadable("no JSON");
  const auto result = result_of(line);
  if (!result)
    return result.error();
  reader in;
  renewal out;
  out.ttl = std::chrono::seconds{in.integer(*result, "TTL")};
  out.term = in.term(*result);
  if (in.wrong)
    return unreadable("a renewal");
  // Below zero: it has ended, and etcd is about to erase it.
  out.ttl = std::max(out.ttl, std::chrono::seconds{0});
  return out;
}

outcome<watch_message> read_watch_message(std::string_view text) {
  json::document line;
  if (!line.parse(text, depth_max))
    return unreadable("no JSON");
  const auto result = result_of(line);
  if (!result)
    return result.error();
  reader in;
  watch_message out;
  out.created = in.flag(*result, "created");
  out.canceled = in.flag(*result, "canceled");
  out.fragment = in.flag(*result, "fragment");
  out.compact_revision = in.integer(*result, "compact_revision");
  out.reason = std::string(result->find("cancel_reason").text().value_or(""));
  result->find("events").each_element([&](json::value event) {
    const auto type = event.find("type").text().value_or("PUT");
    if (type != "PUT" && type != "DELETE")
      in.wrong = true;
    out.updates.push_back({in.entry(event.find("kv")), type == "DELETE"});
  });
  if (in.wrong)
    return unreadable("a watch");
  return out;
}

refusal read_refusal(unsigned status, std::string_view body) {
  refusal out;
  out.why = fail(errc::unavailable, "etcd answers HTTP status " + std::to_string(status));
  json::document answer;
  if (!answer.parse(body, depth_max)) {
    // Not etcd's words: somebody between us and it, or somebody else at its place. Another endpoint may be etcd.
    if (status == 401)
      out.what = refusal::kind::token;
    return out;
  }
  // A stream that fails at once has it one level deeper.
  const auto error = answer.find("error").is_object() ? answer.find("error") : answer.root();
  auto said = error.find("message").text();
  if (!said)
    said = error.find("error").text();
  if (said)
    out.why.message = "etcd: " + std::string(*said);
  const auto has = [&](std::string_view part) { return said && said->find(part) != std::string_view::npos; };
  const auto code = error.find(error.find("grpc_code") ? "grpc_code" : "code").whole().value_or(0);

  // The second is what a request without a token is told.
  if (code == 16 || status == 401 || has("invalid auth token") || has("user name is empty") ||
      has("revision of auth store is old")) {
    out.what = refusal::kind::token;
    return out;
  }
  switch (code) { // gRPC's
  case 3:         // invalid argument
  case 11:        // out of range
    out.what = refusal::kind::definite;
    out.why.code = has("authentication failed") ? errc::forbidden : errc::bad_request;
    break;
  case 5: // not found
    out.what = refusal::kind::definite;
    out.why.code = errc::not_found;
    break;
  case 7: // permission denied
    out.what = refusal::kind::definite;
    out.why.code = errc::forbidden;
    break;
  case 9:  // failed precondition
  case 12: // unimplemented
    out.what = refusal::kind::definite;
    break;
  default:
    break;
  }
  return out;
}

} // namespace greenroom::net::etcd::wire
