#include "actors/base.hpp"

#include <caf/system_messages.hpp>
#include <spdlog/spdlog.h>

namespace greenroom {

std::string what_of(const std::exception_ptr& e) {
  try {
    std::rethrow_exception(e);
  } catch (const std::exception& x) {
    return x.what();
  } catch (...) {
    return "unknown exception";
  }
}

namespace {

/// By tell_ahead(). CAF's own messages of high priority stay in their place: the last word of an actor must not come
/// after the news that it has ended.
bool is_ahead(const caf::mailbox_element& x) {
  return x.mid.is_urgent_message() && x.content().size() == 1 && x.content().type(0).first == 0;
}

/// Whoever sent a request hears that it was not handled; our own messages are none.
void send_back(const caf::mailbox_element& x) {
  caf::detail::sync_request_bouncer bouncer{caf::exit_reason::unknown};
  bouncer(x);
}

} // namespace

hosted_base::hosted_base(caf::actor_config& cfg, host& on, actor_kind kind, std::string name, directory& living,
                         size_t mailbox_max)
    : caf::local_actor(cfg), host_(on), kind_(kind), signs_(living, kind, this->id(), std::move(name)),
      mailbox_max_(mailbox_max) {}

void hosted_base::launch(caf::execution_unit*, bool, bool hide) {
  if (!hide)
    register_at_system();
  {
    std::lock_guard guard{mutex_};
    listed_ = true;
  }
  host_.add(caf::strong_actor_ptr{ctrl()}, *this); // for start()
}

void hosted_base::enqueue(caf::mailbox_element_ptr element, caf::execution_unit*) {
  const auto& x = *element;
  const bool ahead = is_ahead(x);
  bool refused = false;
  bool list = false;
  {
    std::lock_guard guard{mutex_};
    refused = closed_ || (!ahead && waiting_ >= mailbox_max_ && may_drop(x));
    if (refused) {
      lost_ = true; // seen by the burst that makes the mailbox full, or by the next one
    } else {
      (ahead ? ahead_ : queue_).push(std::move(element));
      ++waiting_;
      vital_signs::count(signs_->received, 1); // under the lock
      list = !std::exchange(listed_, true);
    }
  }
  if (refused)
    send_back(x);
  if (list)
    host_.add(caf::strong_actor_ptr{ctrl()}, *this);
}

void hosted_base::drain(clock::time_point& since, size_t turn) {
  bool ended = getf(is_cleaned_up_flag); // a last message crossed the end
  bool lost = false;
  auto [ahead, burst] = [&] {
    std::lock_guard guard{mutex_};
    lost = std::exchange(lost_, false);
    return std::pair{std::move(ahead_), std::move(queue_)};
  }();
  size_t count = 0;
  if (!ended) {
    try {
      if (!std::exchange(started_, true))
        start();
      if (lost)
        on_loss();
      for (; !ending_ && !ahead.empty(); ++count)
        handle(*ahead.pop());
      for (turn += count; count < turn && !ending_ && !burst.empty(); ++count)
        handle(*burst.pop());
    } catch (...) {
      end_by_failure(what_of(std::current_exception()));
    }
  }
  auto now = clock::now();
  vital_signs::count(signs_->handled, count);
  vital_signs::count(signs_->busy_ns, static_cast<uint64_t>((now - since).count()));
  since = now;
  if (ended || ending_) {
    ahead.append(std::move(burst));
    close(std::move(ahead), std::move(failed_));
    return;
  }
  {
    std::lock_guard guard{mutex_};
    waiting_ -= count; // what is left of the burst still waits
    queue_.prepend(std::move(burst));
    listed_ = !ahead_.empty() || !queue_.empty() || lost_;
    if (!listed_)
      return;
  }
  host_.add(caf::strong_actor_ptr{ctrl()}, *this);
}

void hosted_base::handle(caf::mailbox_element& x) {
  const auto& content = x.content();
  if (dispatch(content))
    return;
  if (content.match_elements<caf::down_msg>())
    on_down(content.get_as<caf::down_msg>(0));
  else if (content.match_elements<caf::exit_msg>())
    quit();
  else
    send_back(x);
}

void hosted_base::end_by_failure(const std::string& why) {
  signs_.failed(why);
  spdlog::error("what=actor_failed kind={} id={} why=\"{}\"", name(), id(), why);
  failed_ = caf::sec::runtime_error;
  ending_ = true;
  try {
    on_failure();
  } catch (...) {
    spdlog::error("what=actor_failed_twice kind={} id={} why=\"{}\"", name(), id(), what_of(std::current_exception()));
  }
}

void hosted_base::close(mailbox_chain rest, caf::error reason) {
  mailbox_chain later = [this] {
    std::lock_guard guard{mutex_};
    closed_ = true;
    ahead_.append(std::move(queue_));
    return std::move(ahead_);
  }();
  if (!getf(is_cleaned_up_flag)) {
    on_exit();
    cleanup(std::move(reason), unit());
  }
  for (auto* chain : {&rest, &later})
    while (auto x = chain->pop())
      send_back(*x);
}

bool hosted_base::cleanup(caf::error&& reason, caf::execution_unit* unit) {
  signs_.remove();
  return caf::local_actor::cleanup(std::move(reason), unit);
}

} // namespace greenroom
