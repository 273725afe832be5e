// info_log: RocksDB's own notes, warnings and errors only, in the file LOG of the store. Private to storage/.
//
// RocksDB's logger aborts the program when it is used after a write of its own has failed, which on a full disk is
// sure to happen. This one drops what it can't write, and keeps at most two files of log_bytes_max.
//
// Threads: any.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace rocksdb {
class Logger;
}

namespace greenroom::storage {

inline constexpr size_t log_bytes_max = 1u << 20;

/// Writes to `path`, and moves it to `path`.old when it is full.
std::shared_ptr<rocksdb::Logger> open_info_log(std::string path);

} // namespace greenroom::storage
