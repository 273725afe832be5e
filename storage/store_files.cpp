// The readers of attachments: their records, their content, and what they take of a user's quota.
#include "storage/coding.hpp"
#include "storage/reading.hpp"
#include "storage/store_impl.hpp"

namespace greenroom::storage {

outcome<std::optional<file_record>> store::load_file(const room_id& room, std::string_view file) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  return get<file_record>(**db, keys::family::state, keys::file(room, file), rocksdb::ReadOptions());
}

outcome<std::optional<std::string>> store::load_chunk(const room_id& room, std::string_view file,
                                                      uint64_t index) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  rocksdb::ReadOptions once;
  once.fill_cache = false; // events and keys need the room
  std::string bytes;
  auto status = (**db)->Get(once, (*db)->family(keys::family::files), keys::chunk(room, file, index), &bytes);
  if (status.IsNotFound())
    return std::optional<std::string>{};
  if (!status.ok())
    return to_failure("can't read", status);
  return std::optional(std::move(bytes));
}

outcome<std::vector<std::pair<std::string, file_record>>> store::files(const room_id& room, size_t limit) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  std::vector<std::pair<std::string, file_record>> result;
  if (limit == 0)
    return result;
  range all(**db, keys::family::state, keys::prefix(room, keys::tag::file));
  auto scanned = scan<file_record>(all, [&](std::string_view rest, file_record&& x) {
    result.emplace_back(rest, std::move(x));
    return result.size() < limit;
  });
  if (!scanned)
    return scanned.error();
  return result;
}

outcome<std::vector<attached_file>> store::attached(const room_id& room, uint64_t first, uint64_t last,
                                                    size_t limit) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  std::vector<attached_file> result;
  range all(**db, keys::family::state, keys::prefix(room, keys::tag::attached), keys::attached(room, first, {}),
            nullptr);
  for (all->SeekToFirst(); all->Valid() && result.size() < limit; all->Next()) {
    const auto rest = all.rest();
    auto owner = user_id::parse(all.value());
    if (!owner || rest.size() != keys::seq_bytes + file_id_bytes)
      return fail(errc::internal, "storage: not a valid place of an attachment");
    const auto seq = keys::seq_of(rest.substr(0, keys::seq_bytes));
    if (seq >= last)
      break;
    result.push_back({seq, std::string(rest.substr(keys::seq_bytes)), std::move(*owner)});
  }
  if (auto good = all.status(); !good)
    return good.error();
  return result;
}

outcome<std::pair<usage_record, uint64_t>> store::load_usage(const user_id& user, const room_id& room,
                                                             std::string_view file) const {
  auto db = impl_->read();
  if (!db)
    return db.error();
  auto all = get<usage_record>(**db, keys::family::state, keys::usage(user), rocksdb::ReadOptions());
  if (!all)
    return all.error();
  rocksdb::PinnableSlice value;
  auto status =
      (**db)->Get(rocksdb::ReadOptions(), (*db)->family(keys::family::state), keys::charge(user, room, file), &value);
  if (!status.ok() && !status.IsNotFound())
    return to_failure("can't read", status);
  uint64_t one = 0;
  if (status.ok()) {
    byte_reader in(value.ToStringView());
    one = in.varint();
    if (!in.finished())
      return fail(errc::internal, "storage: not a valid charge");
  }
  return std::pair{all->value_or(usage_record{}), one};
}

} // namespace greenroom::storage
