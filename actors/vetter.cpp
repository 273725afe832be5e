#include "actors/vetter.hpp"

#include "actors/house.hpp"

#include <spdlog/spdlog.h>

namespace greenroom::vetter {
namespace {

constexpr int64_t quiet_ms = 1'000;
constexpr size_t answer_bytes_max = 262'144; // room for the longest text and data, escaped

hooks::verdict failed(std::string why) { return {hooks::verdict::kind::failed, std::move(why), {}, {}}; }

} // namespace

vetter_actor::vetter_actor(caf::actor_config& cfg, house& in, host& on)
    : hosted_actor(cfg, on, actor_kind::vetter, {}, in.living), house_(in) {}

void vetter_actor::receive(const ask& x) {
  const auto set = house_.hooks.set();
  const auto& hook = set->before_send;
  if (!hook || house_.web == nullptr || house_.wire == nullptr) { // switched off since the room looked
    tell(x.to, vetted{x.token, {}});
    return;
  }
  if (asked_.size() >= hook->what.waiting) {
    house_.metrics.presend_refused.add();
    tell(x.to, vetted{x.token, failed("presend.waiting: " + std::to_string(hook->what.waiting) +
                                      " messages wait for the content filter")});
    return;
  }
  house_.metrics.presend_asked.add();
  const auto ticket = ++next_ticket_;
  asked_.emplace(ticket, open_question{x.to, x.token, hook->what.on_failure == "open"});
  http_post post;
  post.url = hook->what.url;
  post.ca_file = hook->what.ca_file;
  post.body = house_.wire->question(*x.what);
  post.headers = hooks::signed_headers(hook->secrets, house_.now_ms(), post.body);
  post.headers.emplace_back("Greenroom-Hook", "presend");
  post.timeout_ms = hook->what.deadline_ms;
  post.answer_bytes = answer_bytes_max;
  const auto bounds = house_.limits.kept();
  house_.web->post(std::move(post), [to = self(), ticket, bounds, question = x.what,
                                     wire = house_.wire](const outcome<http_answer>& got) {
    tell(to, answered{ticket, got ? wire->read_verdict(got->status, got->body, *question, *bounds)
                                  : failed(got.error().message)});
  });
}

void vetter_actor::receive(const answered& x) {
  auto i = asked_.find(x.ticket);
  if (i == asked_.end())
    return;
  const auto q = std::move(i->second);
  asked_.erase(i);
  auto verdict = x.what;
  switch (verdict.what) {
  case hooks::verdict::kind::allow:
    break;
  case hooks::verdict::kind::reject:
    house_.metrics.presend_rejected.add();
    break;
  case hooks::verdict::kind::replace:
    house_.metrics.presend_replaced.add();
    break;
  case hooks::verdict::kind::failed:
    house_.metrics.presend_failed.add();
    if (const auto now = house_.steady_ms(); now >= quiet_until_) { // an outage is no flood of lines
      quiet_until_ = now + quiet_ms;
      spdlog::warn("what=presend_failed message={} reason=\"{}\"", q.open ? "taken" : "refused", verdict.reason);
    }
    if (q.open)
      verdict = {};
    else
      verdict.reason = "presend: the content filter does not answer";
    break;
  }
  tell(q.to, vetted{q.token, std::move(verdict)});
}

void vetter_actor::receive(const stop&) {
  for (const auto& [ticket, q] : asked_)
    tell(q.to, vetted{q.token, failed("the server is going down")});
  quit();
}

} // namespace greenroom::vetter
