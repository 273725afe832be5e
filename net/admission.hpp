// admission: how many connections there are, in all and per address, and the place that each of them holds.
//
// An address is a network_id: all that a single customer commonly owns.
// Threads: any.
#pragma once

#include "config/address.hpp"

#include <array>
#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace greenroom::net {

class address_book;

/// One connection's place; given back when it ends.
class admission {
public:
  admission() = default;
  admission(admission&& x) noexcept : book_(std::exchange(x.book_, nullptr)), address_(x.address_) {}
  admission& operator=(admission&& x) noexcept {
    std::swap(book_, x.book_);
    std::swap(address_, x.address_);
    return *this;
  }
  inline ~admission();

private:
  friend class address_book;
  admission(address_book& b, network_id address) : book_(&b), address_(address) {}
  address_book* book_ = nullptr;
  network_id address_{};
};

class address_book {
public:
  enum class verdict : uint8_t { welcome, full, address_full };

  /// Takes a place when both counts are below their limits. Everybody who was let in is in `place`.
  std::pair<verdict, admission> enter(network_id address, uint32_t connections_max, uint32_t per_address_max) {
    std::lock_guard guard{mutex_};
    if (total_ >= connections_max)
      return {verdict::full, admission{}};
    auto& here = by_address_[address];
    if (here >= per_address_max)
      return {verdict::address_full, admission{}};
    ++here;
    ++total_;
    return {verdict::welcome, admission{*this, address}};
  }

  /// Places that are taken.
  uint32_t total() {
    std::lock_guard guard{mutex_};
    return total_;
  }

private:
  friend class admission;
  void leave(network_id address) {
    std::lock_guard guard{mutex_};
    --total_;
    if (auto i = by_address_.find(address); --i->second == 0)
      by_address_.erase(i);
  }

  std::mutex mutex_;
  std::unordered_map<network_id, uint32_t> by_address_;
  uint32_t total_ = 0;
};

admission::~admission() {
  if (book_ != nullptr)
    book_->leave(address_);
}

} // namespace greenroom::net
