// rare: a part that few values of a kind have. A pointer where it is absent, so that the many without it stay small.
#pragma once

#include <memory>
#include <utility>

namespace greenroom::storage {

/// A value like any other: copied, compared. Absent is the same as a default-constructed T, and is read as one.
template <class T>
class rare {
public:
  rare() = default;
  rare(T part) : part_(std::make_unique<T>(std::move(part))) {} // like the value that it is
  rare(const rare& other) : part_(other.part_ ? std::make_unique<T>(*other.part_) : nullptr) {}
  rare(rare&&) noexcept = default;
  rare& operator=(const rare& other) { return *this = rare(other); }
  rare& operator=(rare&&) noexcept = default;

  /// Whether it has been made. A part that was made may still be equal to none.
  explicit operator bool() const noexcept { return part_ != nullptr; }
  const T& operator*() const noexcept { return part_ ? *part_ : none(); }
  const T* operator->() const noexcept { return &**this; }
  /// Makes it, where it is absent.
  T& edit() {
    if (!part_)
      part_ = std::make_unique<T>();
    return *part_;
  }
  friend bool operator==(const rare& a, const rare& b) { return *a == *b; }

private:
  static const T& none() noexcept {
    static const T value{};
    return value;
  }
  std::unique_ptr<T> part_;
};

} // namespace greenroom::storage
