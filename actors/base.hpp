// base: what all actors share, and everything that leans on CAF 0.17's inner workings (handbook 3.6, 3.7, 8): how
// messages are declared, the two base classes, and sending from outside. A move to CAF 1.x changes this file.
//
// - hosted_actor:   runs on a host, that is, on a lane (among the sockets of an I/O thread) or on a strand (on CAF's
//                   workers). Nearly all actors; there are two for each idle client, so they are small.
// - detached_actor: has a thread of its own, because it blocks.
// - pooled_actor:   runs on CAF's workers and has CAF's own requests and timers. For the few that talk to CAF itself.
//
// All keep the vital signs. A hosted actor is one of CAF's actors to everybody else: typed handle, monitors, mailbox
// elements. But instead of CAF's scheduled_actor it builds on local_actor. That one's behaviors, multiplexed queues and
// response tables, which we do not use, cost 800 bytes and more an actor, and 3,000 instructions a message against 400.
#pragma once

#include "actors/lane.hpp"
#include "actors/vital_signs.hpp"

#include <caf/actor_cast.hpp>
#include <caf/actor_clock.hpp>
#include <caf/actor_system.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/detail/sync_request_bouncer.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/local_actor.hpp>
#include <caf/send.hpp>
#include <caf/typed_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <chrono>
#include <concepts>
#include <exception>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace greenroom {

/// Marks a struct as a message between actors of one process: `using local = message_tag;`. Such messages never cross
/// to another node as they are, so they need neither a type id nor inspection.
struct message_tag {};
template <class T>
concept local_message = std::same_as<typename T::local, message_tag>;

} // namespace greenroom

namespace caf {
template <greenroom::local_message T>
struct allowed_unsafe_message_type<T> : std::true_type {};
} // namespace caf

namespace greenroom {

/// Sends from an actor or from any other thread; receiver first, sender unknown: our messages carry their way back.
template <class Handle, class Message>
void tell(const Handle& to, Message&& message) {
  if (to)
    caf::anon_send(to, std::forward<Message>(message));
}

/// The same, ahead of all that waits in the mailbox of a hosted actor: for the few messages that a flood must not hold
/// up, such as the end of a revoked session. Among each other they keep their order.
/// REQUIRES: the message may overtake earlier ones of the same sender.
template <class Handle, class Message>
void tell_ahead(const Handle& to, Message&& message) {
  if (to)
    caf::anon_send<caf::message_priority::high>(to, std::forward<Message>(message));
}

/// What an exception says, for the vital signs.
std::string what_of(const std::exception_ptr& e);

// -- hosted -----------------------------------------------------------------------------------------------------------

/// Mailbox elements in order, linked by themselves, the last one to the first: a chain is one pointer, and there are
/// two in each actor.
class mailbox_chain {
public:
  mailbox_chain() = default;
  mailbox_chain(mailbox_chain&& other) noexcept : last_(std::exchange(other.last_, nullptr)) {}
  mailbox_chain& operator=(mailbox_chain&&) = delete;
  ~mailbox_chain() {
    while (pop())
      ;
  }

  bool empty() const noexcept { return last_ == nullptr; }
  void push(caf::mailbox_element_ptr x) noexcept {
    node* n = x.release();
    n->next = n;
    link(n);
  }
  /// Null: empty.
  caf::mailbox_element_ptr pop() noexcept {
    if (!last_)
      return nullptr;
    auto* first = last_->next;
    if (first == last_)
      last_ = nullptr;
    else
      last_->next = first->next;
    first->next = nullptr;
    return caf::mailbox_element_ptr{static_cast<caf::mailbox_element*>(first)};
  }
  /// Puts `later` behind what is here.
  void append(mailbox_chain&& later) noexcept {
    if (auto* last = std::exchange(later.last_, nullptr))
      link(last);
  }
  /// Puts `earlier` before what is here.
  void prepend(mailbox_chain&& earlier) noexcept {
    earlier.append(std::move(*this));
    last_ = std::exchange(earlier.last_, nullptr);
  }

private:
  using node = caf::intrusive::singly_linked<caf::mailbox_element>;
  /// `last` ends a ring of its own.
  void link(node* last) noexcept {
    if (last_)
      std::swap(last_->next, last->next);
    last_ = last;
  }

  node* last_ = nullptr;
};

/// What all hosted actors do alike, whatever their messages.
class hosted_base : public caf::local_actor, public hosted {
public:
  /// When `mailbox_max` messages wait, those that may_drop() names are dropped, and on_loss() is called afterwards.
  /// Everything else must be bounded where it comes from. What was told ahead is handled first, even in the middle of a
  /// flood: at most one turn later.
  hosted_base(caf::actor_config& cfg, host& on, actor_kind kind, std::string name, directory& living,
              size_t mailbox_max);

  const char* name() const override { return to_string(kind_); }
  void launch(caf::execution_unit*, bool, bool hide) override;
  void enqueue(caf::mailbox_element_ptr element, caf::execution_unit*) override;
  void drain(clock::time_point& since, size_t turn) override;
  bool cleanup(caf::error&& reason, caf::execution_unit* unit) override;

protected:
  /// Before the first message.
  virtual void start() {}
  /// A message of ours; false: of another type.
  virtual bool dispatch(const caf::type_erased_tuple& x) = 0;
  /// An actor that this one monitors has ended.
  virtual void on_down(const caf::down_msg&) {}
  /// A handler of this actor threw; it ends afterwards. For what others would wait for in vain.
  virtual void on_failure() {}
  /// Called in the sender's thread.
  virtual bool may_drop(const caf::mailbox_element&) const { return false; }
  /// Messages were dropped since the last call.
  virtual void on_loss() {}

  /// Ends after the present message; what waits is dropped.
  void quit() { ending_ = true; }
  kept_signs& signs() noexcept { return signs_; }
  caf::execution_unit* unit() const { return home_system().dummy_execution_unit(); }
  /// Handed to the actor itself after `wait`.
  template <class Message>
  void tell_self_after(std::chrono::nanoseconds wait, Message message) {
    home_system().clock().schedule_message(
        home_system().clock().now() + wait, caf::strong_actor_ptr{ctrl()},
        caf::make_mailbox_element(nullptr, caf::make_message_id(), {}, std::move(message)));
  }

private:
  void handle(caf::mailbox_element& x);
  void end_by_failure(const std::string& why);
  void close(mailbox_chain rest, caf::error reason);

  host& host_;
  const actor_kind kind_;
  bool started_ = false;
  bool ending_ = false;
  caf::error failed_;
  kept_signs signs_;
  const size_t mailbox_max_;
  std::mutex mutex_; // guards what follows
  mailbox_chain ahead_;
  mailbox_chain queue_;
  size_t waiting_ = 0; // in both
  bool listed_ = false;
  bool closed_ = false;
  bool lost_ = false; // on_loss() is to be called
};

/// An actor with the interface `Handle`. `Self` has a public `void receive(const X&)` for each of its messages; those
/// that come first in the interface are found fastest.
template <class Self, class Handle>
class hosted_actor : public hosted_base {
public:
  using handle_type = Handle;
  using behavior_type = typename Handle::behavior_type; // tells CAF's spawn() the type of the handle
  static constexpr size_t unbounded = std::numeric_limits<size_t>::max();

  hosted_actor(caf::actor_config& cfg, host& on, actor_kind kind, std::string name, directory& living,
               size_t mailbox_max = unbounded)
      : hosted_base(cfg, on, kind, std::move(name), living, mailbox_max) {}

protected:
  Handle self() { return caf::actor_cast<Handle>(this->ctrl()); }

private:
  bool dispatch(const caf::type_erased_tuple& x) final { return dispatch(x, static_cast<const Handle*>(nullptr)); }

  template <class... Messages>
  bool dispatch(const caf::type_erased_tuple& x,
                const caf::typed_actor<caf::typed_mpi<caf::detail::type_list<Messages>, caf::output_tuple<void>>...>*) {
    if (x.size() != 1)
      return false;
    const auto* type = x.type(0).second; // of a local message, which has no number
    return ((type == &typeid(Messages) &&
             (static_cast<Self*>(this)->receive(*static_cast<const Messages*>(x.get(0))), true)) ||
            ...);
  }
};

/// A hosted actor that needs its lane: the thread's timers and index.
template <class Self, class Handle>
class lane_actor : public hosted_actor<Self, Handle> {
public:
  lane_actor(caf::actor_config& cfg, lane& on, actor_kind kind, std::string name, directory& living, size_t mailbox_max)
      : hosted_actor<Self, Handle>(cfg, on, kind, std::move(name), living, mailbox_max), lane_(on) {}

protected:
  lane& here() noexcept { return lane_; }

private:
  lane& lane_;
};

// -- detached ---------------------------------------------------------------------------------------------------------

template <class Handle>
struct base_of_handle;
template <class... Signatures>
struct base_of_handle<caf::typed_actor<Signatures...>> {
  using type = caf::typed_event_based_actor<Signatures...>;
};

/// An actor with the interface `Handle` that is spawned detached, or on CAF's test scheduler.
template <class Handle>
class detached_actor : public base_of_handle<Handle>::type {
public:
  using super = typename base_of_handle<Handle>::type;
  using handle_type = Handle;

  detached_actor(caf::actor_config& cfg, actor_kind kind, std::string name, directory& living)
      : super(cfg), kind_(kind), signs_(living, kind, this->id(), std::move(name)) {
    this->set_exception_handler([this](std::exception_ptr& e) -> caf::error {
      signs_.failed(what_of(e));
      return caf::sec::runtime_error;
    });
  }

  const char* name() const override { return to_string(kind_); }

  void enqueue(caf::mailbox_element_ptr element, caf::execution_unit* unit) override {
    signs_->received.fetch_add(1, std::memory_order_relaxed); // by several senders at once
    super::enqueue(std::move(element), unit);
  }

  // Whoever runs the actor holds it until this has returned.
  caf::resumable::resume_result resume(caf::execution_unit* unit, size_t throughput) override {
    auto start = std::chrono::steady_clock::now();
    auto result = super::resume(unit, throughput);
    auto spent = std::chrono::steady_clock::now() - start;
    // A pooled actor may already run on another worker.
    signs_->busy_ns.fetch_add(static_cast<uint64_t>(spent.count()), std::memory_order_relaxed);
    return result;
  }

  using super::consume;
  caf::invoke_message_result consume(caf::mailbox_element& x) override {
    auto result = super::consume(x);
    if (result != caf::invoke_message_result::skipped)
      vital_signs::count(signs_->handled, 1);
    return result;
  }

  bool cleanup(caf::error&& reason, caf::execution_unit* unit) override {
    signs_.remove();
    return super::cleanup(std::move(reason), unit);
  }

protected:
  Handle self() { return caf::actor_cast<Handle>(this->ctrl()); }
  kept_signs& signs() noexcept { return signs_; }

private:
  const actor_kind kind_;
  kept_signs signs_;
};

/// The same, spawned without a thread of its own.
template <class Handle>
using pooled_actor = detached_actor<Handle>;

} // namespace greenroom
