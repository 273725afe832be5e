// outcome: the one way in which a function of Greenroom says that something went wrong.
//
// What a client, a peer or a disk can cause is a value: outcome<T> holds a T or a failure. Exceptions are for start-up
// and programmer mistakes and never leave their folder.
#pragma once

#include "config/errc.hpp"

#include <boost/system/result.hpp>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

namespace greenroom {

/// Why a request was refused. The message names the field or limit that was crossed and is shown to the client.
struct failure {
  errc code = errc::internal;
  std::string message;
  /// When a repetition makes sense, in milliseconds; 0: not said.
  uint32_t retry_after_ms = 0;

  friend bool operator==(const failure&, const failure&) = default;
};

/// Called by result::value() on a failure: asking without looking is a programmer's mistake.
[[noreturn]] inline void throw_exception_from_error(const failure& what, const boost::source_location&) {
  throw std::logic_error("unchecked failure: " + std::string(to_string(what.code)) + ": " + what.message);
}

template <class T>
using outcome = boost::system::result<T, failure>;

/// One function object out of several lambdas, for std::visit.
template <class... Fs>
struct overloaded : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
overloaded(Fs...) -> overloaded<Fs...>;

inline failure fail(errc code, std::string message) { return failure{code, std::move(message), 0}; }

} // namespace greenroom
