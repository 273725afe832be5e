#include "storage/schema.hpp"

#include "storage/coding.hpp"

#include <rocksdb/db.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

namespace greenroom::storage {
namespace {

// The record must be readable by every version there will ever be: version, store id, and nothing else is looked at.
std::string encode_schema(const schema_record& x) {
  std::string out;
  put_varint(out, x.version);
  put_text(out, x.store);
  return out;
}

outcome<std::optional<schema_record>> read_schema(database& db) {
  std::string bytes;
  auto status = db->Get(rocksdb::ReadOptions(), db.family(keys::family::state), keys::schema, &bytes);
  if (status.IsNotFound())
    return std::optional<schema_record>{};
  if (!status.ok())
    return to_failure("can't read the schema version", status);
  byte_reader in(bytes);
  schema_record record;
  record.version = in.varint32();
  record.store = std::string(in.text());
  if (!in.good() || record.version == 0 || record.store.empty())
    return fail(errc::unavailable, "storage: the schema record is damaged");
  return std::optional<schema_record>{record};
}

outcome<void> write_schema(database& db, const schema_record& record) {
  rocksdb::WriteOptions synced;
  synced.sync = true;
  auto status = db->Put(synced, db.family(keys::family::state), keys::schema, encode_schema(record));
  if (!status.ok())
    return to_failure("can't write the schema version", status);
  return {};
}

bool is_empty(database& db) {
  for (size_t i = 0; i < keys::family_count; ++i) {
    std::unique_ptr<rocksdb::Iterator> it(
        db->NewIterator(rocksdb::ReadOptions(), db.family(static_cast<keys::family>(i))));
    it->SeekToFirst();
    if (it->Valid() || !it->status().ok())
      return false;
  }
  return true;
}

std::string random_id() {
  std::array<unsigned char, 16> bytes;
  randombytes_buf(bytes.data(), bytes.size());
  std::array<char, 2 * bytes.size() + 1> hex;
  return sodium_bin2hex(hex.data(), hex.size(), bytes.data(), bytes.size());
}

} // namespace

std::span<const migration> migrations() {
  static const std::array<migration, 5> steps{
      // Version 2 has the family `log`, which opening the database has made; there is nothing to move. A program of
      // version 1 must not open such a store all the same: it would change the state beside the log.
      migration{1, [](database&) -> outcome<void> { return {}; }},
      // Version 3 has activity records. There are none yet, and rooms tell them anew; but a program of version 2 would
      // refuse a batch that holds one.
      migration{2, [](database&) -> outcome<void> { return {}; }},
      // Version 4 has events of another form, beside the old ones, and the states of messages.
      migration{3, [](database&) -> outcome<void> { return {}; }},
      // Version 5 counts messages in their events and has threads, mentions, scheduled sends and due entries; batches
      // may erase ranges and leave traces.
      migration{4, [](database&) -> outcome<void> { return {}; }},
      // Version 6 has the family `files`, which opening the database has made, attachments, and new forms of what names
      // them; what users have chosen to appear as, limits in rooms and their events, blocks, erasures and errands of
      // users; how far webhooks are. Older forms are read as they are.
      migration{5, [](database&) -> outcome<void> { return {}; }},
  };
  return steps;
}

outcome<std::string> bring_up_to_date(database& db, uint32_t target, std::span<const migration> steps) {
  auto found = read_schema(db);
  if (!found)
    return found.error();
  if (!*found) {
    // A store without a version is a new one, or it is not ours.
    if (!is_empty(db))
      return fail(errc::unavailable, "storage: there are data, but no schema version: not a store of Greenroom");
    schema_record fresh{target, random_id()};
    if (auto written = write_schema(db, fresh); !written)
      return written.error();
    return fresh.store;
  }
  auto record = **found;
  if (record.version > target)
    return fail(errc::unavailable, "storage: the store has schema version " + std::to_string(record.version) +
                                       ", this version of Greenroom knows up to " + std::to_string(target));
  while (record.version < target) {
    auto step = std::find_if(steps.begin(), steps.end(), [&](const migration& x) { return x.from == record.version; });
    if (step == steps.end())
      return fail(errc::unavailable,
                  "storage: there is no way from schema version " + std::to_string(record.version) + " to the next");
    if (auto done = step->run(db); !done)
      return done.error();
    ++record.version;
    if (auto written = write_schema(db, record); !written)
      return written.error();
  }
  return record.store;
}

} // namespace greenroom::storage
