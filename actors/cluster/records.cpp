#include "actors/cluster/records.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>

namespace greenroom::cluster {

namespace {

using nlohmann::json;

failure wrong(std::string_view field, std::string_view why) {
  return fail(errc::bad_request, std::string(field).append(": ").append(why));
}

/// Reads one object, and remembers the first thing that was wrong: what was read after it is not to be used.
class reader {
public:
  explicit reader(std::string_view text) : object_(json::parse(text, nullptr, false)) {
    if (!object_.is_object())
      failed_ = fail(errc::bad_request, "record: not a JSON object");
  }

  std::string text(const char* field, size_t bytes_min, size_t bytes_max = record_name_bytes_max) {
    const json* found = find(field);
    return found ? text_of(*found, field, bytes_min, bytes_max) : std::string();
  }

  bool has(const char* field) const { return object_.is_object() && object_.contains(field); }

  /// A text, or null, which is read as empty.
  std::string text_or_null(const char* field) {
    const json* found = find(field);
    return !found || found->is_null() ? std::string() : text_of(*found, field, 1, record_name_bytes_max);
  }

  uint64_t number(const char* field, uint64_t least, uint64_t most) {
    const json* found = find(field);
    if (!found)
      return 0;
    if (!found->is_number_unsigned()) {
      refuse(field, "not a whole number from 0");
      return 0;
    }
    auto value = found->get<uint64_t>();
    if (value < least || value > most)
      refuse(field, "not between " + std::to_string(least) + " and " + std::to_string(most));
    return value;
  }

  std::vector<std::string> names(const char* field) {
    std::vector<std::string> all;
    const json* found = find(field);
    if (!found)
      return all;
    if (!found->is_array()) {
      refuse(field, "not an array");
      return all;
    }
    if (found->size() > record_members_max) {
      refuse(field, "more than " + std::to_string(record_members_max) + " members");
      return all;
    }
    for (const json& one : *found) {
      auto place = std::string(field) + '[' + std::to_string(all.size()) + ']';
      auto name = text_of(one, place, 1, record_name_bytes_max);
      if (std::find(all.begin(), all.end(), name) != all.end())
        refuse(place, "named twice");
      all.push_back(std::move(name));
    }
    return all;
  }

  void refuse(std::string_view field, std::string_view why) {
    if (!failed_)
      failed_ = wrong(field, why);
  }

  template <class Record>
  outcome<Record> finish(Record record) && {
    if (failed_)
      return *std::move(failed_);
    return record;
  }

private:
  const json* find(const char* field) {
    if (failed_)
      return nullptr;
    auto found = object_.find(field);
    if (found != object_.end())
      return &*found;
    refuse(field, "missing");
    return nullptr;
  }

  std::string text_of(const json& value, std::string_view field, size_t bytes_min, size_t bytes_max) {
    if (!value.is_string()) {
      refuse(field, "not a text");
      return {};
    }
    auto text = value.get<std::string>();
    if (text.size() < bytes_min)
      refuse(field, "empty");
    if (text.size() > bytes_max)
      refuse(field, "longer than " + std::to_string(bytes_max) + " bytes");
    return text;
  }

  json object_;
  std::optional<failure> failed_;
};

/// Keeps the order of the fields as they are written here, which is the order that people read them in.
using ordered = nlohmann::ordered_json;

std::string text_of(const ordered& object) {
  // Names come from the configuration, which need not be UTF-8 in full: a bad byte must not end the process.
  return object.dump(-1, ' ', false, ordered::error_handler_t::replace);
}

bool has(const std::vector<store_id>& list, const store_id& id) {
  return std::find(list.begin(), list.end(), id) != list.end();
}

constexpr size_t address_bytes_max = 255; // a host name's own bound, RFC 1035 section 2.3.4
constexpr uint32_t shards_max = 1000;     // three digits

} // namespace

std::string encode(const cluster_record& x) {
  return text_of({{"id", x.id}, {"shards", x.shards}, {"replicas", x.replicas}, {"min_in_sync", x.min_in_sync}});
}

std::string encode(const store_record& x) { return text_of({{"node", x.node}, {"zone", x.zone}}); }

std::string encode(const node_record& x) {
  return text_of({{"store", x.store}, {"zone", x.zone}, {"address", x.address}, {"version", x.version}});
}

std::string encode(const shard_record& x) {
  ordered primary = nullptr;
  if (!x.primary.empty())
    primary = x.primary;
  return text_of({{"epoch", x.epoch}, {"primary", primary}, {"in_sync", x.in_sync}, {"replicas", x.replicas}});
}

std::string encode(const drain_record& x) {
  ordered out = {{"store", x.store}};
  if (x.connections)
    out["connections"] = *x.connections;
  return text_of(out);
}

std::string encode(const request_record& x) {
  return x.out.empty() ? text_of({{"to", x.to}}) : text_of({{"out", x.out}});
}

outcome<cluster_record> parse_cluster_record(std::string_view text) {
  reader in(text);
  cluster_record x;
  x.id = in.text("id", 1);
  x.shards = static_cast<uint32_t>(in.number("shards", 1, shards_max));
  x.replicas = static_cast<uint32_t>(in.number("replicas", 1, record_members_max));
  x.min_in_sync = static_cast<uint32_t>(in.number("min_in_sync", 1, record_members_max));
  if (x.min_in_sync > x.replicas)
    in.refuse("min_in_sync", "more than replicas");
  return std::move(in).finish(std::move(x));
}

outcome<store_record> parse_store_record(std::string_view text) {
  reader in(text);
  store_record x;
  x.node = in.text("node", 1);
  x.zone = in.text("zone", 0);
  return std::move(in).finish(std::move(x));
}

outcome<node_record> parse_node_record(std::string_view text) {
  reader in(text);
  node_record x;
  x.store = in.text("store", 1);
  x.zone = in.text("zone", 0);
  x.address = in.text("address", 1, address_bytes_max);
  x.version = in.text("version", 1);
  return std::move(in).finish(std::move(x));
}

outcome<shard_record> parse_shard_record(std::string_view text) {
  reader in(text);
  shard_record x;
  x.epoch = in.number("epoch", 0, std::numeric_limits<int64_t>::max());
  x.primary = in.text_or_null("primary");
  x.in_sync = in.names("in_sync");
  x.replicas = in.names("replicas");
  if (!x.primary.empty() && !has(x.in_sync, x.primary))
    in.refuse("primary", "not a member of in_sync");
  for (size_t i = 0; i < x.in_sync.size(); ++i)
    if (!has(x.replicas, x.in_sync[i]))
      in.refuse("in_sync[" + std::to_string(i) + "]", "not one of replicas");
  return std::move(in).finish(std::move(x));
}

outcome<drain_record> parse_drain_record(std::string_view text) {
  reader in(text);
  drain_record x;
  x.store = in.text("store", 1);
  if (in.has("connections"))
    x.connections = in.number("connections", 0, std::numeric_limits<int64_t>::max());
  return std::move(in).finish(std::move(x));
}

outcome<request_record> parse_request_record(std::string_view text) {
  reader in(text);
  request_record x;
  if (in.has("out"))
    x.out = in.text("out", 1);
  else
    x.to = in.text("to", 1);
  return std::move(in).finish(std::move(x));
}

record_keys::record_keys(std::string_view cluster_name)
    : prefix_(std::string("/greenroom/").append(cluster_name).append("/")) {}

namespace {

/// What follows `folder`, if that is a single name.
std::optional<std::string> name_under(const std::string& folder, std::string_view key) {
  if (!key.starts_with(folder))
    return std::nullopt;
  auto name = key.substr(folder.size());
  if (name.empty() || name.find('/') != std::string_view::npos)
    return std::nullopt;
  return std::string(name);
}

std::string three_digits(uint32_t number) {
  auto digits = std::to_string(number);
  return std::string(digits.size() < 3 ? 3 - digits.size() : 0, '0') + digits;
}

std::optional<uint32_t> number_under(const std::string& folder, std::string_view key) {
  auto digits = name_under(folder, key);
  if (!digits || digits->size() != 3 || digits->find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  return static_cast<uint32_t>(std::stoul(*digits));
}

} // namespace

std::string record_keys::shard(uint32_t number) const { return shards() + three_digits(number); }
std::string record_keys::request(uint32_t number) const { return requests() + three_digits(number); }

std::optional<std::string> record_keys::store_of(std::string_view key) const { return name_under(stores(), key); }
std::optional<std::string> record_keys::node_of(std::string_view key) const { return name_under(nodes(), key); }

std::optional<std::string> record_keys::drain_of(std::string_view key) const { return name_under(drains(), key); }
std::optional<uint32_t> record_keys::shard_of(std::string_view key) const { return number_under(shards(), key); }
std::optional<uint32_t> record_keys::request_of(std::string_view key) const { return number_under(requests(), key); }

} // namespace greenroom::cluster
