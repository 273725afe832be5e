#include "storage/store.hpp"

#include "storage/schema.hpp"
#include "storage/store_impl.hpp"

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <sys/statvfs.h>

#include <cerrno>
#include <cstring>

namespace greenroom::storage {
namespace {

/// How long a look at the free space holds. In this time a busy node writes a few megabytes, far less than the reserve.
constexpr auto space_check_holds = std::chrono::milliseconds(250);

} // namespace

store::store(std::unique_ptr<impl> x) : impl_(std::move(x)) {}
store::~store() = default;

outcome<std::unique_ptr<store>> store::open(store_options options) {
  auto made = std::make_unique<impl>(std::move(options));
  if (auto opened = made->open_database_now(); !opened)
    return opened.error();
  made->healthy = true;
  return std::unique_ptr<store>(new store(std::move(made)));
}

bool store::healthy() const noexcept { return impl_->healthy; }
uint64_t store::generation() const noexcept { return impl_->generation; }
const std::string& store::id() const noexcept { return impl_->id; }

outcome<void> store::commit(std::span<const batch* const> batches) {
  auto& self = *impl_;
  if (auto ready = self.ready(); !ready)
    return ready;
  size_t bytes = 0;
  for (auto* x : batches)
    bytes += x->bytes().size();
  pending_write all(*self.db, self.known, bytes);
  for (auto* x : batches)
    if (auto added = all.add(x); !added)
      return added;
  return self.write_now(all);
}

outcome<void> store::write(std::span<const mutation> mutations) {
  auto& self = *impl_;
  if (auto ready = self.ready(); !ready)
    return ready;
  size_t bytes = 0;
  for (auto& x : mutations)
    bytes += pending_write::size_of(x);
  pending_write all(*self.db, self.known, bytes);
  for (auto& x : mutations)
    if (auto added = std::visit([&all](auto& one) { return all.add(one); }, x); !added)
      return added;
  return self.write_now(all);
}

outcome<void> store::reopen() {
  auto& self = *impl_;
  self.space_checked = {};
  if (self.db) {
    if (auto enough = self.check_free_space(); !enough)
      return enough;
  }
  self.healthy = false;
  self.closing = self.break_scrub = true;
  std::unique_lock lock(self.gate);
  self.snapshots->close_all();
  self.known = {};
  self.db.reset();
  auto opened = self.open_database_now();
  self.closing = false;
  self.break_scrub = false;
  if (self.scrubs_ended)
    self.break_scrub = true;
  if (!opened)
    return opened;
  self.healthy = true;
  ++self.generation;
  return {};
}

outcome<void> store::impl::open_database_now() {
  auto opened = database::open(options, parts);
  if (!opened)
    return opened.error();
  auto current = bring_up_to_date(**opened, schema_version, migrations());
  if (!current)
    return current.error();
  id = std::move(*current);
  db = std::move(*opened);
  return {};
}

outcome<void> store::impl::ready() {
  if (!healthy)
    return fail(errc::unavailable, "storage: not yet reopened after: " + broken_by);
  if (db->failed())
    return broken("background work failed");
  return {};
}

outcome<void> store::impl::write_now(pending_write& x) {
  auto bytes = x.finish();
  if (!bytes)
    return broken(bytes.error().message);
  if ((*bytes)->Count() == 0) {
    x.take_effect(); // an empty chunk may be the last one of its snapshot
    return {};
  }
  if (x.takes_space())
    if (auto enough = check_free_space(); !enough)
      return enough;
  rocksdb::WriteOptions how;
  how.sync = x.synced();
  if (auto status = (*db)->Write(how, *bytes); !status.ok())
    return broken(status.ToString());
  x.take_effect();
  // The mark that the shard holds no truth is on the disk. Range deletions alone would free the space only when
  // compactions come by, while the snapshot that is about to arrive needs it.
  for (auto shard : x.dropped()) {
    snapshots->close(shard);
    for (auto family : keys::state_families)
      if (auto status = db->drop_files(family, keys::prefix(shard)); !status.ok())
        return broken(status.ToString());
    if (auto status = db->drop_files(keys::family::log, keys::prefix(shard, keys::tag::entry)); !status.ok())
      return broken(status.ToString());
  }
  return {};
}

failure store::impl::broken(std::string_view why) {
  healthy = false;
  broken_by = why;
  return fail(errc::unavailable, "storage: the write failed: " + broken_by);
}

outcome<void> store::impl::check_free_space() {
  if (options.min_free_bytes == 0)
    return {};
  auto now = std::chrono::steady_clock::now();
  if (space_checked != std::chrono::steady_clock::time_point{} && now - space_checked < space_check_holds)
    return {};
  struct statvfs disk;
  if (::statvfs(options.path.c_str(), &disk) != 0)
    return fail(errc::unavailable, std::string("storage: can't tell the free space: ") + std::strerror(errno));
  uint64_t bytes = uint64_t{disk.f_bavail} * disk.f_frsize;
  if (bytes < options.min_free_bytes) {
    space_checked = {}; // so that the next commit looks again
    return fail(errc::unavailable, "storage: " + std::to_string(bytes) + " bytes are free, min_free_bytes is " +
                                       std::to_string(options.min_free_bytes));
  }
  space_checked = now;
  return {};
}

} // namespace greenroom::storage
