// schema: the version of the key schema that a store was written with, and the steps that bring an older one up to
// date. Private to storage/ and its tests.
//
// Invariant: the version on disk is raised only after its step is on disk. A crash in a step runs it again, so a step
// must be repeatable.
#pragma once

#include "storage/database.hpp"

#include <functional>
#include <span>
#include <string>

namespace greenroom::storage {

/// The version that this program writes. README.md has its table.
inline constexpr uint32_t schema_version = 6;

struct schema_record {
  uint32_t version = 0;
  std::string store; // the random id of the store
};

/// Brings a store from version `from` to `from + 1`.
struct migration {
  uint32_t from = 0;
  std::function<outcome<void>(database&)> run;
};

/// The steps up to schema_version, in order.
std::span<const migration> migrations();

/// Reads the schema record, writes it into a new store, and runs the steps that lead to `target`, which may take as
/// long as reading the store. Answers with the store's id. Fails with errc::unavailable if the store is newer than
/// `target` or there is no step, and as a step does.
outcome<std::string> bring_up_to_date(database& db, uint32_t target, std::span<const migration> steps);

} // namespace greenroom::storage
