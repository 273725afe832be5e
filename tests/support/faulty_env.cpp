#include "faulty_env.hpp"

#include <rocksdb/file_system.h>
#include <rocksdb/system_clock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>

namespace greenroom::testing {

namespace fs = std::filesystem;
using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

class faulty_env::disk : public rocksdb::FileSystemWrapper {
public:
  disk() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  const char* Name() const override { return "greenroom::testing::faulty_env"; }

  void fail_at(uint64_t nth, fault kind) {
    std::lock_guard lock(mutex_);
    kind_ = kind;
    countdown_ = nth;
    failed_ = failed_ && kind == fault::none;
  }
  bool failed() const {
    std::lock_guard lock(mutex_);
    return failed_;
  }

  /// Called before every operation that changes something.
  IOStatus attempt() {
    std::lock_guard lock(mutex_);
    if (countdown_ > 1) {
      --countdown_;
      return IOStatus::OK();
    }
    if (kind_ == fault::none)
      return IOStatus::OK();
    failed_ = true;
    auto kind = kind_;
    if (kind == fault::io_error || kind == fault::no_space_once)
      kind_ = fault::none;
    bool full = kind == fault::no_space || kind == fault::no_space_once;
    return full ? IOStatus::NoSpace("injected") : IOStatus::IOError("injected");
  }

  /// See the header. Without power it only seems to work: then nothing that could follow from it does.
  bool spares(const std::string& name) const {
    std::lock_guard lock(mutex_);
    return name.ends_with(".log") && name != newest_log_;
  }
  bool powered() const {
    std::lock_guard lock(mutex_);
    return !(failed_ && kind_ == fault::power_loss);
  }

  void synced(const std::string& name) {
    std::error_code error;
    auto size = fs::file_size(name, error);
    std::lock_guard lock(mutex_);
    if (!error)
      synced_bytes_[name] = size;
  }
  void names_synced() {
    std::lock_guard lock(mutex_);
    before_.clear();
  }

  void lose_power(bool torn) {
    fail_at(0, fault::none);
    for (auto& [name, content] : before_) {
      if (content)
        std::ofstream(name, std::ios::binary | std::ios::trunc) << *content;
      else
        fs::remove(name);
      synced_bytes_.erase(name);
    }
    before_.clear();
    for (auto& [name, bytes] : synced_bytes_) {
      if (!fs::exists(name) || fs::file_size(name) <= bytes)
        continue;
      fs::resize_file(name, torn ? (bytes + fs::file_size(name)) / 2 : bytes);
      if (torn && name.ends_with(".log"))
        std::ofstream(name, std::ios::binary | std::ios::app) << std::string(300, '\x5a');
    }
  }

  IOStatus NewWritableFile(const std::string& name, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* result, IODebugContext* dbg) override;
  IOStatus NewDirectory(const std::string& name, const IOOptions& options,
                        std::unique_ptr<rocksdb::FSDirectory>* result, IODebugContext* dbg) override;

  // Not used with the store's options; without this, what they write would escape.
  IOStatus ReopenWritableFile(const std::string&, const FileOptions&, std::unique_ptr<rocksdb::FSWritableFile>*,
                              IODebugContext*) override {
    return IOStatus::NotSupported("faulty_env");
  }
  IOStatus ReuseWritableFile(const std::string&, const std::string&, const FileOptions&,
                             std::unique_ptr<rocksdb::FSWritableFile>*, IODebugContext*) override {
    return IOStatus::NotSupported("faulty_env");
  }

  IOStatus RenameFile(const std::string& from, const std::string& to, const IOOptions& options,
                      IODebugContext* dbg) override {
    if (auto status = attempt(); !status.ok())
      return status;
    remember(to);
    auto status = target()->RenameFile(from, to, options, dbg);
    std::lock_guard lock(mutex_);
    if (auto found = synced_bytes_.find(from); status.ok() && found != synced_bytes_.end()) {
      synced_bytes_[to] = found->second;
      synced_bytes_.erase(from);
    }
    return status;
  }

private:
  /// Keeps what stood under a name before it changes.
  void remember(const std::string& name) {
    std::optional<std::string> content;
    if (std::ifstream in(name, std::ios::binary); in)
      content.emplace(std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>());
    std::lock_guard lock(mutex_);
    before_.emplace(name, std::move(content));
  }

  mutable std::mutex mutex_;
  fault kind_ = fault::none;
  uint64_t countdown_ = 0;
  bool failed_ = false;
  std::string newest_log_;
  /// How much of each file is safe.
  std::map<std::string, uint64_t> synced_bytes_;
  /// Names that changed since their directory was synced: what stood there before, nothing at all included.
  std::map<std::string, std::optional<std::string>> before_;
};

namespace {

template <class Disk>
class faulty_file : public rocksdb::FSWritableFileOwnerWrapper {
public:
  faulty_file(std::unique_ptr<rocksdb::FSWritableFile> file, Disk& on, std::string name)
      : FSWritableFileOwnerWrapper(std::move(file)), disk_(on), name_(std::move(name)) {}

  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options, IODebugContext* dbg) override {
    auto status = disk_.attempt();
    if (status.ok())
      return target()->Append(data, options, dbg);
    target()->Append(rocksdb::Slice(data.data(), data.size() / 2), options, dbg).PermitUncheckedError();
    return status;
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo&,
                  IODebugContext* dbg) override {
    return Append(data, options, dbg);
  }
  IOStatus Sync(const IOOptions&, IODebugContext*) override { return sync(); }
  IOStatus Fsync(const IOOptions&, IODebugContext*) override { return sync(); }
  IOStatus RangeSync(uint64_t, uint64_t, const IOOptions&, IODebugContext*) override { return IOStatus::OK(); }

private:
  IOStatus sync() {
    auto spared = disk_.spares(name_);
    auto status = spared ? IOStatus::OK() : disk_.attempt();
    if (status.ok() && (!spared || disk_.powered()))
      disk_.synced(name_);
    return status;
  }

  Disk& disk_;
  const std::string name_;
};

template <class Disk>
class faulty_directory : public rocksdb::FSDirectoryWrapper {
public:
  faulty_directory(std::unique_ptr<rocksdb::FSDirectory> directory, Disk& on)
      : FSDirectoryWrapper(std::move(directory)), disk_(on) {}

  IOStatus Fsync(const IOOptions&, IODebugContext*) override { return sync(); }
  IOStatus FsyncWithDirOptions(const IOOptions&, IODebugContext*, const rocksdb::DirFsyncOptions&) override {
    return sync();
  }

private:
  IOStatus sync() {
    auto status = disk_.attempt();
    if (status.ok())
      disk_.names_synced();
    return status;
  }

  Disk& disk_;
};

} // namespace

IOStatus faulty_env::disk::NewWritableFile(const std::string& name, const FileOptions& options,
                                           std::unique_ptr<rocksdb::FSWritableFile>* result, IODebugContext* dbg) {
  if (auto status = attempt(); !status.ok())
    return status;
  remember(name);
  std::unique_ptr<rocksdb::FSWritableFile> file;
  auto status = target()->NewWritableFile(name, options, &file, dbg);
  if (!status.ok())
    return status;
  {
    std::lock_guard lock(mutex_);
    synced_bytes_[name] = 0;
    if (name.ends_with(".log"))
      newest_log_ = name;
  }
  *result = std::make_unique<faulty_file<disk>>(std::move(file), *this, name);
  return status;
}

IOStatus faulty_env::disk::NewDirectory(const std::string& name, const IOOptions& options,
                                        std::unique_ptr<rocksdb::FSDirectory>* result, IODebugContext* dbg) {
  std::unique_ptr<rocksdb::FSDirectory> directory;
  auto status = target()->NewDirectory(name, options, &directory, dbg);
  if (status.ok())
    *result = std::make_unique<faulty_directory<disk>>(std::move(directory), *this);
  return status;
}

namespace {

/// RocksDB's background threads sleep for a second after each failure; tests of hundreds of failures need not.
struct impatient_clock : rocksdb::SystemClockWrapper {
  using SystemClockWrapper::SystemClockWrapper;
  const char* Name() const override { return "greenroom::testing::impatient_clock"; }
  void SleepForMicroseconds(int micros) override { target_->SleepForMicroseconds(std::min(micros, 1'000)); }
};

struct faulty_composite : rocksdb::EnvWrapper {
  explicit faulty_composite(const std::shared_ptr<rocksdb::FileSystem>& files)
      : EnvWrapper(rocksdb::NewCompositeEnv(files)) {
    file_system_ = files;
    system_clock_ = std::make_shared<impatient_clock>(rocksdb::SystemClock::Default());
  }
};

} // namespace

faulty_env::faulty_env() : disk_(std::make_shared<disk>()), env_(std::make_unique<faulty_composite>(disk_)) {}
faulty_env::~faulty_env() = default;
void faulty_env::fail_at(uint64_t nth, fault kind) { disk_->fail_at(nth, kind); }
bool faulty_env::failed() const { return disk_->failed(); }
void faulty_env::heal() { disk_->fail_at(0, fault::none); }
void faulty_env::lose_power(bool torn) { disk_->lose_power(torn); }

} // namespace greenroom::testing
