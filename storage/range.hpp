// range: an iterator over the keys with one prefix, and the slices that its bounds point into. Private to storage/.
#pragma once

#include "storage/database.hpp"

#include <rocksdb/db.h>

#include <memory>
#include <string>
#include <string_view>

namespace greenroom::storage {

class range {
public:
  range(const database& db, keys::family family, std::string prefix, const rocksdb::Snapshot* snapshot = nullptr)
      : range(db, family, prefix, prefix, snapshot) {}
  /// Only from key `from` on, so that what was deleted before it is not stepped over.
  range(const database& db, keys::family family, std::string prefix, std::string from,
        const rocksdb::Snapshot* snapshot, bool fill_cache = true)
      : prefix_(std::move(prefix)), from_(std::move(from)), end_(keys::end_of(prefix_)), lower_(from_), upper_(end_) {
    rocksdb::ReadOptions options;
    options.iterate_lower_bound = &lower_;
    options.iterate_upper_bound = &upper_;
    options.snapshot = snapshot;
    options.fill_cache = fill_cache;
    it_.reset(db->NewIterator(options, db.family(family)));
  }

  rocksdb::Iterator* operator->() const noexcept { return it_.get(); }
  const std::string& prefix() const noexcept { return prefix_; }
  /// What stands in the key behind the prefix. REQUIRES: the iterator is valid.
  std::string_view rest() const noexcept { return key().substr(prefix_.size()); }
  std::string_view key() const noexcept { return it_->key().ToStringView(); }
  std::string_view value() const noexcept { return it_->value().ToStringView(); }
  outcome<void> status() const {
    auto status = it_->status();
    if (!status.ok())
      return to_failure("can't read", status);
    return {};
  }

private:
  std::string prefix_, from_, end_;
  rocksdb::Slice lower_, upper_;
  std::unique_ptr<rocksdb::Iterator> it_;
};

} // namespace greenroom::storage
