#include "net/cli/cluster_tables.hpp"

#include "net/cli/show.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace greenroom::cli {
namespace {

using cluster::cluster_view;
using cluster::shard_record;
using cluster::store_id;
using nlohmann::json;

bool has(const std::vector<store_id>& list, const store_id& id) {
  return std::find(list.begin(), list.end(), id) != list.end();
}

/// One store, with what the shards say of it.
struct line_of_store {
  store_id id;
  std::string node;
  std::string zone;
  std::string address; // empty: its node is gone
  std::string version;
  bool drains = false;
  size_t leads = 0;
  size_t in_sync = 0;
  size_t learns = 0;
};

std::vector<line_of_store> stores_of(const cluster_view& view) {
  std::vector<line_of_store> out;
  for (const auto& [id, store] : view.stores()) {
    line_of_store x{id, store.what.node, store.what.zone, {}, {}, view.drains(id)};
    for (const auto& [name, node] : view.nodes())
      if (node.what.store == id) {
        x.node = name;
        x.address = node.what.address;
        x.version = node.what.version;
      }
    for (const auto& s : view.shards()) {
      x.leads += s.what.primary == id ? 1 : 0;
      x.in_sync += has(s.what.in_sync, id) ? 1 : 0;
      x.learns += has(s.what.replicas, id) && !has(s.what.in_sync, id) ? 1 : 0;
    }
    out.push_back(std::move(x));
  }
  std::sort(out.begin(), out.end(),
            [](const auto& a, const auto& b) { return std::tie(a.node, a.id) < std::tie(b.node, b.id); });
  return out;
}

/// The name of the node that has the store, or the beginning of its id; with a mark if it is gone.
std::string name_of(const cluster_view& view, const store_id& id) {
  constexpr size_t shown = 8;
  for (const auto& [name, node] : view.nodes())
    if (node.what.store == id)
      return name;
  const auto found = view.stores().find(id);
  return (found != view.stores().end() ? found->second.what.node : id.substr(0, shown)) + "?";
}

std::string names_of(const cluster_view& view, const std::vector<store_id>& ids) {
  std::string out;
  for (const auto& id : ids)
    out += (out.empty() ? "" : " ") + name_of(view, id);
  return out.empty() ? "-" : out;
}

std::vector<store_id> learners_of(const shard_record& x) {
  std::vector<store_id> out;
  for (const auto& id : x.replicas)
    if (!has(x.in_sync, id))
      out.push_back(id);
  return out;
}

std::string count_of(size_t n, const std::string& what) { return std::to_string(n) + " " + what + (n == 1 ? "" : "s"); }

std::vector<std::string> draining_nodes(const cluster_view& view) {
  std::vector<std::string> out;
  for (const auto& [name, node] : view.nodes())
    if (view.drain_of(name))
      out.push_back(name);
  return out;
}

} // namespace

std::string table_of(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i)
      line += printable(row[i]) + std::string(widths[i] - row[i].size() + 2, ' ');
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

cluster_figures figures_of(const cluster_view& view) {
  const auto alive = view.alive();
  cluster_figures f;
  f.stores = view.stores().size();
  for (const auto& [id, store] : view.stores())
    f.alive += has(alive, id) ? 1 : 0;
  const size_t wanted = std::min<size_t>(view.cluster() ? view.cluster()->what.replicas : 0, f.stores);
  for (const auto& s : view.shards()) {
    if (!has(alive, s.what.primary)) {
      ++f.shards_without;
      continue;
    }
    ++f.shards_led;
    const auto copies =
        std::count_if(s.what.in_sync.begin(), s.what.in_sync.end(), [&](const auto& id) { return has(alive, id); });
    f.shards_short += static_cast<size_t>(copies) < wanted ? 1 : 0;
  }
  return f;
}

json status_json(const cluster_view& view) {
  const auto f = figures_of(view);
  json out;
  out["id"] = view.cluster()->what.id;
  out["replicas"] = view.cluster()->what.replicas;
  out["min_in_sync"] = view.cluster()->what.min_in_sync;
  out["controller"] = view.controller() ? json(view.controller()->what) : json();
  out["draining"] = draining_nodes(view);
  out["stores"] = f.stores;
  out["alive"] = f.alive;
  out["shards"] = {{"all", view.shards().size()},
                   {"with_primary", f.shards_led},
                   {"under_replicated", f.shards_short},
                   {"without_primary", f.shards_without}};
  return out;
}

std::string status_text(const std::string& name, const cluster_view& view) {
  const auto f = figures_of(view);
  const auto& c = view.cluster()->what;
  std::string draining;
  for (const auto& node : draining_nodes(view))
    draining += ", " + node + " drains";
  const std::string copies = std::to_string(c.replicas) + (c.replicas == 1 ? " copy" : " copies");
  return table_of({
      {"cluster", name + ", id " + c.id + ", " + copies + " of each shard, at least " + std::to_string(c.min_in_sync) +
                      " in sync"},
      {"controller", view.controller() ? view.controller()->what : "nobody"},
      {"nodes", std::to_string(f.alive) + " alive of " + count_of(f.stores, "store") + draining},
      {"shards", std::to_string(f.shards_led) + " of " + std::to_string(view.shards().size()) + " have a primary, " +
                     std::to_string(f.shards_short) + " under-replicated, " + std::to_string(f.shards_without) +
                     " without a primary"},
  });
}

json nodes_json(const cluster_view& view) {
  json out = json::array();
  for (const auto& x : stores_of(view))
    out.push_back({{"node", x.node},
                   {"store", x.id},
                   {"zone", x.zone},
                   {"alive", !x.address.empty()},
                   {"draining", x.drains},
                   {"address", x.address},
                   {"version", x.version},
                   {"leads", x.leads},
                   {"in_sync", x.in_sync},
                   {"learns", x.learns}});
  return out;
}

std::string nodes_text(const cluster_view& view) {
  std::vector<std::vector<std::string>> rows = {
      {"NODE", "STATE", "ZONE", "ADDRESS", "VERSION", "LEADS", "IN SYNC", "LEARNS", "STORE"}};
  const auto or_dash = [](const std::string& text) { return text.empty() ? std::string("-") : text; };
  for (const auto& x : stores_of(view))
    rows.push_back({x.node,
                    x.address.empty() ? "gone"
                    : x.drains        ? "draining"
                                      : "alive",
                    or_dash(x.zone), or_dash(x.address), or_dash(x.version), std::to_string(x.leads),
                    std::to_string(x.in_sync), std::to_string(x.learns), x.id});
  return table_of(rows);
}

json shards_json(const cluster_view& view) {
  json out = json::array();
  for (size_t s = 0; s < view.shards().size(); ++s) {
    const auto& x = view.shards()[s].what;
    out.push_back({{"shard", s},
                   {"epoch", x.epoch},
                   {"primary", x.primary.empty() ? json() : json(x.primary)},
                   {"in_sync", x.in_sync},
                   {"learners", learners_of(x)}});
  }
  return out;
}

std::string shards_text(const cluster_view& view) {
  std::vector<std::vector<std::string>> rows = {{"SHARD", "EPOCH", "PRIMARY", "IN SYNC", "LEARNERS"}};
  for (size_t s = 0; s < view.shards().size(); ++s) {
    const auto& x = view.shards()[s].what;
    rows.push_back({std::to_string(s), std::to_string(x.epoch), x.primary.empty() ? "-" : name_of(view, x.primary),
                    names_of(view, x.in_sync), names_of(view, learners_of(x))});
  }
  return table_of(rows);
}

} // namespace greenroom::cli
