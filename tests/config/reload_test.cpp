#include "config/reload.hpp"
#include "config/schema.hpp"
#include "tests/config/support.hpp"

namespace greenroom::config {

TEST_CASE("a reload without a change does nothing", "[reload]") {
  auto plan = reload({}, {});
  CHECK(plan.applied.empty());
  CHECK(plan.needs_restart.empty());
}

TEST_CASE("a reload applies limits and the log level and names what needs a restart", "[reload]") {
  settings running;
  settings wanted;
  wanted.limits.sends_per_s = 5;
  wanted.log.level = log_level::debug;
  wanted.log.format = log_format::json;
  wanted.listen.port = 9000;
  wanted.tls.certificate = "new.pem";
  auto plan = reload(running, wanted);
  CHECK(plan.applied == strings{"log.level", "limits.sends_per_s"});
  CHECK(plan.needs_restart == strings{"listen.port", "tls.certificate", "log.format"});
  CHECK(plan.effective.limits.sends_per_s == 5);
  CHECK(plan.effective.log.level == log_level::debug);
  CHECK(plan.effective.log.format == log_format::text);
  CHECK(plan.effective.listen.port == 8080);
  CHECK(plan.effective.tls.certificate.empty());
}

TEST_CASE("every limit can be changed by a reload", "[reload]") {
  for (const auto& f : fields())
    CHECK((f.takes_effect == change::reload) ==
          (f.section == "limits" || f.section == "webhook" || f.section == "presend" || f.name() == "log.level"));
}

TEST_CASE("webhooks come, go and change by a reload", "[reload]") {
  settings running, wanted;
  running.webhooks = {{"gone", {}}, {"same", {}}, {"other", {}}};
  wanted.webhooks = {{"same", {}}, {"other", {}}, {"new", {}}};
  wanted.webhooks[1].what.timeout_ms = 1;
  const auto plan = reload(running, wanted);
  CHECK(plan.applied == strings{"webhook.other", "webhook.new", "webhook.gone"});
  CHECK(plan.effective.webhooks == wanted.webhooks);
}

} // namespace greenroom::config
