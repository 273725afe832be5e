// base: what all actors share, and everything that leans on CAF 0.17's inner workings (handbook 3.6, 3.7, 8): how
// messages are declared, the two base classes, and sending from outside. A move to CAF 1.x changes this file.
//
// - pooled_actor: runs on CAF's scheduler, or on a thread of its own when spawned detached.
// - lane_actor:   runs on a lane, that is, on an I/O thread, among its sockets.
//
// Both keep the vital signs. A mailbox of a lane actor is bounded; pooled actors are bounded by who sends to them: the
// clients' in-flight limit on one side, their own requests on the other.
#pragma once

#include "actors/lane.hpp"
#include "actors/vital_signs.hpp"

#include <caf/actor_cast.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/detail/sync_request_bouncer.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scoped_execution_unit.hpp>
#include <caf/send.hpp>
#include <caf/typed_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <chrono>
#include <concepts>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

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

template <class Handle>
struct base_of_handle;
template <class... Signatures>
struct base_of_handle<caf::typed_actor<Signatures...>> {
  using type = caf::typed_event_based_actor<Signatures...>;
};

/// Sends from an actor or from any other thread; receiver first, sender unknown: our messages carry their way back.
template <class Handle, class Message>
void tell(const Handle& to, Message&& message) {
  if (to)
    caf::anon_send(to, std::forward<Message>(message));
}

/// An actor with the interface `Handle` on CAF's scheduler.
template <class Handle>
class pooled_actor : public base_of_handle<Handle>::type {
public:
  using super = typename base_of_handle<Handle>::type;
  using handle_type = Handle;

  pooled_actor(caf::actor_config& cfg, actor_kind kind, std::string name, directory& living)
      : super(cfg), living_(living), signs_(std::make_shared<vital_signs>(kind, this->id(), std::move(name))) {
    living_.add(signs_);
    this->set_exception_handler([signs = signs_](std::exception_ptr& e) -> caf::error {
      try {
        std::rethrow_exception(e);
      } catch (const std::exception& x) {
        signs->failed(x.what());
      } catch (...) {
        signs->failed("unknown exception");
      }
      return caf::sec::runtime_error;
    });
  }

  const char* name() const override { return to_string(signs_->kind); }

  void enqueue(caf::mailbox_element_ptr element, caf::execution_unit* unit) override {
    signs_->received.fetch_add(1, std::memory_order_relaxed);
    super::enqueue(std::move(element), unit);
  }

  caf::resumable::resume_result resume(caf::execution_unit* unit, size_t throughput) override {
    auto signs = signs_; // when resume() returns, another thread may run or have destroyed this actor already
    auto start = std::chrono::steady_clock::now();
    auto result = super::resume(unit, throughput);
    auto spent = std::chrono::steady_clock::now() - start;
    signs->busy_ns.fetch_add(static_cast<uint64_t>(spent.count()), std::memory_order_relaxed);
    return result;
  }

  using super::consume;
  caf::invoke_message_result consume(caf::mailbox_element& x) override {
    auto result = super::consume(x);
    if (result != caf::invoke_message_result::skipped)
      signs_->handled.fetch_add(1, std::memory_order_relaxed);
    return result;
  }

  bool cleanup(caf::error&& reason, caf::execution_unit* unit) override {
    living_.remove(signs_);
    return super::cleanup(std::move(reason), unit);
  }

protected:
  Handle self() { return caf::actor_cast<Handle>(this->ctrl()); }
  vital_signs& signs() noexcept { return *signs_; }

private:
  directory& living_;
  std::shared_ptr<vital_signs> signs_;
};

/// An actor with the interface `Handle` on a lane. When `mailbox_max` messages wait, those that may_drop() names are
/// dropped: the subclass makes sure that their loss is noticed. Everything else must be bounded where it comes from.
/// Subclasses neither skip messages nor await.
template <class Handle>
class lane_actor : public base_of_handle<Handle>::type, public hosted {
public:
  using super = typename base_of_handle<Handle>::type;
  using handle_type = Handle;

  lane_actor(caf::actor_config& cfg, actor_kind kind, std::string name, directory& living, lane& on, size_t mailbox_max)
      : super(cfg), living_(living), signs_(std::make_shared<vital_signs>(kind, this->id(), std::move(name))),
        lane_(on), mailbox_max_(mailbox_max), unit_(&cfg.host->system()) {
    living_.add(signs_);
  }

  const char* name() const override { return to_string(signs_->kind); }

  void launch(caf::execution_unit*, bool, bool hide) override {
    if (!hide)
      this->register_at_system();
    push(nullptr);
  }

  void enqueue(caf::mailbox_element_ptr element, caf::execution_unit*) override { push(std::move(element)); }

  void drain() override {
    if (!this->activate(&unit_)) {
      close({});
      return;
    }
    auto start = std::chrono::steady_clock::now();
    mailbox_queue burst;
    {
      std::lock_guard guard{mutex_};
      burst.swap(queue_);
      listed_ = false;
    }
    size_t count = 0;
    bool ended = false;
    while (count < burst.size() && !ended) {
      auto element = std::move(burst[count++]);
      ended = this->reactivate(*element) == caf::scheduled_actor::activation_result::terminated;
    }
    auto spent = std::chrono::steady_clock::now() - start;
    signs_->handled.fetch_add(count, std::memory_order_relaxed);
    signs_->busy_ns.fetch_add(static_cast<uint64_t>(spent.count()), std::memory_order_relaxed);
    if (ended)
      close(std::span{burst}.subspan(count));
  }

  bool cleanup(caf::error&& reason, caf::execution_unit* unit) override {
    living_.remove(signs_);
    return super::cleanup(std::move(reason), unit);
  }

protected:
  Handle self() { return caf::actor_cast<Handle>(this->ctrl()); }
  vital_signs& signs() noexcept { return *signs_; }
  /// Called in the sender's thread.
  virtual bool may_drop(const caf::mailbox_element&) const { return false; }
  lane& here() noexcept { return lane_; }
  caf::execution_unit* unit() noexcept { return &unit_; }

private:
  using mailbox_queue = std::vector<caf::mailbox_element_ptr>; // a deque would hold 576 bytes when idle

  void push(caf::mailbox_element_ptr element) {
    bool list = false;
    {
      std::lock_guard guard{mutex_};
      if (!closed_ && (!element || queue_.size() < mailbox_max_ || !may_drop(*element))) {
        if (element) {
          queue_.push_back(std::move(element));
          signs_->received.fetch_add(1, std::memory_order_relaxed);
        }
        list = !listed_;
        listed_ = true;
      }
    }
    if (element) { // full or ended
      bounce(*element);
      return;
    }
    if (list)
      lane_.add(caf::strong_actor_ptr{this->ctrl()}, *this);
  }

  void close(std::span<caf::mailbox_element_ptr> rest) {
    mailbox_queue later;
    {
      std::lock_guard guard{mutex_};
      closed_ = true;
      later.swap(queue_);
    }
    for (auto& e : rest)
      bounce(*e);
    for (auto& e : later)
      bounce(*e);
  }

  static void bounce(const caf::mailbox_element& e) {
    caf::detail::sync_request_bouncer bouncer{caf::exit_reason::unknown};
    bouncer(e);
  }

  directory& living_;
  std::shared_ptr<vital_signs> signs_;
  lane& lane_;
  const size_t mailbox_max_;
  caf::scoped_execution_unit unit_;
  std::mutex mutex_; // guards what follows
  mailbox_queue queue_;
  bool listed_ = false;
  bool closed_ = false;
};

} // namespace greenroom
