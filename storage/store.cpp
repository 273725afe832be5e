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
  if (!self.healthy)
    return fail(errc::unavailable, "storage: not yet reopened after: " + self.broken_by);
  if (self.db->failed())
    return self.broken("background work failed");
  if (auto enough = self.check_free_space(); !enough)
    return enough;

  size_t bytes = 0;
  for (auto* x : batches)
    bytes += x->bytes().size();
  rocksdb::WriteBatch all(bytes + 64);
  struct {
    database& db;
    rocksdb::WriteBatch& all;
    rocksdb::Status status;
    void note(const rocksdb::Status& s) {
      if (!s.ok())
        status = s;
    }
  } into{*self.db, all, {}};
  for (auto* x : batches)
    x->replay(
        [&into](std::string_view key, std::string_view value) {
          into.note(into.all.Put(into.db.family(keys::family_of(key)), key, value));
        },
        [&into](std::string_view key) { into.note(into.all.Delete(into.db.family(keys::family_of(key)), key)); });
  if (!into.status.ok())
    return self.broken(into.status.ToString());
  if (all.Count() == 0)
    return {};
  rocksdb::WriteOptions synced;
  synced.sync = true;
  if (auto status = (*self.db)->Write(synced, &all); !status.ok())
    return self.broken(status.ToString());
  return {};
}

outcome<void> store::reopen() {
  auto& self = *impl_;
  self.space_checked = {};
  if (self.db) {
    if (auto enough = self.check_free_space(); !enough)
      return enough;
  }
  self.healthy = false;
  self.closing = true;
  std::unique_lock lock(self.gate);
  self.db.reset();
  auto opened = self.open_database_now();
  self.closing = false;
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
