#include "tests/actors/scene.hpp"

#include <sodium.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace greenroom::testing {
namespace {

frame text(std::string s) { return std::make_shared<const std::string>(std::move(s)); }

std::string describe(const storage::event& e) {
  auto where = "#" + std::to_string(e.seq) + " ";
  const auto of = " #" + std::to_string(e.target);
  switch (e.kind) {
  case storage::event_kind::member:
    return where + e.user.str() + " " + std::string(to_string(e.change));
  case storage::event_kind::edited:
    return where + e.from.str() + " edits" + of + (e.revoked ? " (revoked)" : ": " + e.text);
  case storage::event_kind::revoked:
    return where + e.from.str() + " revokes" + of;
  case storage::event_kind::reaction:
    return where + e.from.str() + (e.on ? " +" : " -") + e.text + of;
  case storage::event_kind::topic:
  case storage::event_kind::room:
    return where + e.from.str() + " calls it " + e.text;
  case storage::event_kind::pinned:
  case storage::event_kind::unpinned:
    return where + e.from.str() + " " + std::string(to_string(e.kind)) + of;
  default:
    return where + e.from.str() + (e.revoked ? " (revoked)" : ": " + e.text);
  }
}

/// "{edited 5: text, +1 2 mine}"
std::string describe(const storage::message_fold& f) {
  std::string s;
  auto add = [&](const std::string& what) { s += (s.empty() ? "" : ", ") + what; };
  if (f.edited != 0)
    add("edited " + std::to_string(f.edited) + ": " + f.text);
  if (f.revoked)
    add("revoked");
  for (const auto& r : f.reactions)
    add(r.emoji + " " + std::to_string(r.count) + (r.mine ? " mine" : ""));
  if (f.replies != 0)
    add(std::to_string(f.replies) + " replies, last " + std::to_string(f.last_reply));
  return "{" + s + "}";
}

/// "ada:away(at lunch)"
std::string describe(const appearance& a) {
  return a.user.str() + ":" + std::string(to_string(a.status)) + (a.note.empty() ? "" : "(" + a.note + ")");
}

struct caf_settings : caf::actor_system_config {
  caf_settings() { set("scheduler.policy", caf::atom("testing")); }
};

/// Hears one answer.
class ear_actor : public hosted_actor<ear_actor, asker> {
public:
  ear_actor(caf::actor_config& cfg, house& in, std::optional<answer>& into)
      : hosted_actor(cfg, *in.strands.front(), actor_kind::requester, "ear", in.living), into_(into) {}

  void receive(const reply& x) {
    into_ = x.what;
    quit();
  }

private:
  std::optional<answer>& into_;
};

/// Their seqs, and how those stand that were changed.
std::string events_of(const ok::page& x) {
  std::string s;
  auto fold = x.folds.begin();
  for (const auto& e : x.events) {
    s += " " + std::to_string(e.seq);
    if (fold != x.folds.end() && fold->seq == e.seq)
      s += describe(*fold++);
  }
  return s + (x.more ? " more" : "");
}

} // namespace

// -- what the actors are given ---------------------------------------------------------------------------------------

frame readable::answer(std::optional<int64_t> re, const greenroom::answer& what) const {
  auto head = (re ? std::to_string(*re) : std::string("null")) + " ";
  if (!what)
    return text(head + std::string(to_string(what.error().code)));
  auto body = std::visit(
      overloaded{
          [](const ok::none&) { return std::string("ok"); },
          [](const ok::hello& x) {
            std::string s = "hello " + x.user.str();
            for (const auto& r : x.rooms)
              s += " " + r.room.str() + "#" + std::to_string(r.seq) + (r.subscribed ? "" : "-");
            for (const auto& r : x.resumed)
              s += " " + r.room.str() + "=" +
                   (r.error       ? std::string(to_string(r.error->code))
                    : r.recovered ? "recovered"
                                  : "lost");
            return s + (x.more ? " more" : "");
          },
          [](const ok::refresh&) { return std::string("refreshed"); },
          [](const ok::ping&) { return std::string("pong"); },
          [](const ok::created& x) { return "created " + x.room.str() + "#" + std::to_string(x.seq); },
          [](const ok::joined& x) {
            return "joined #" + std::to_string(x.seq) + " " + std::to_string(x.online_count) + "/" +
                   std::to_string(x.member_count) + (x.recovered ? *x.recovered ? " recovered" : " lost" : "");
          },
          [](const ok::left& x) { return "left #" + std::to_string(x.seq); },
          [](const ok::changed& x) { return "changed #" + std::to_string(x.seq); },
          [](const ok::room& x) { return "room " + x.what->title + " #" + std::to_string(x.seq); },
          [](const ok::sent& x) {
            return "sent " + x.room.str() + "#" + std::to_string(x.seq) + (x.duplicate ? " duplicate" : "");
          },
          [](const ok::kept& x) { return "kept " + x.room.str() + " " + x.key + (x.duplicate ? " duplicate" : ""); },
          [](const ok::scheduled& x) {
            std::string s = "scheduled";
            for (const auto& send : x.list)
              s += " " + send.key + ":" + send.text;
            return s;
          },
          [](const ok::thread& x) { return "thread" + events_of(x.what) + " read " + std::to_string(x.read); },
          [](const ok::page& x) { return "page" + events_of(x); },
          [](const ok::read& x) { return "read " + std::to_string(x.seq); },
          [](const ok::members& x) {
            std::string s = "members";
            for (const auto& m : x.list)
              s += " " + m.user.str() + (m.status != seen_as::offline ? "*" : "") + (m.muted_until ? " muted" : "") +
                   (m.banned_until ? " banned" : "");
            return s + (x.next.empty() ? "" : " next=" + x.next);
          },
          [](const ok::rooms& x) {
            std::string s = "rooms";
            for (const auto& r : x.list)
              s += " " + r.summary.room.str() + "#" + std::to_string(r.summary.seq) + ":" + std::to_string(r.unread) +
                   (r.mentions ? "@" + std::to_string(r.mentions) : "");
            return s + (x.next.empty() ? "" : " next=" + x.next);
          },
          [](const ok::profile& x) { return "profile " + x.user.str() + " " + x.what.name + x.what.fields; },
          [](const ok::presence& x) { return describe(x.what); },
          [](const ok::watched& x) {
            std::string s = "watched";
            for (const auto& a : x.users)
              s += " " + describe(a);
            return s;
          },
          [](const ok::blocks& x) {
            std::string s = "blocks";
            for (const auto& [user, since] : x.list)
              s += " " + user.str();
            return s + (x.next.empty() ? "" : " next=" + x.next);
          },
          [](const ok::erasure& x) { return "erasure " + x.user.str(); },
          [](const ok::about_user& x) { return "about " + x.user.str(); },
          [](const ok::about_rooms&) { return std::string("about rooms"); },
          [](const ok::about_threads& x) { return "about threads " + x.room.str(); },
          [](const ok::about_events& x) { return "about events " + x.what.room.str(); },
          [](const ok::grant&) { return std::string("grant"); },
          [](const ok::sessions&) { return std::string("sessions"); },
          [](const ok::file& x) {
            return "file " + std::to_string(x.what->received) + "/" + std::to_string(x.what->size);
          },
          [](const ok::webhooks& x) {
            std::string s = "webhooks";
            for (const auto& w : x.list)
              s += " " + w.name + ":" + std::to_string(w.pending_rooms);
            return s;
          },
          [](const ok::replay& x) { return "replay " + x.room.str() + "#" + std::to_string(x.from); },
      },
      *what);
  return text(head + body);
}

frame readable::event(const room_id& room, const storage::event& e) const { return text(room.str() + describe(e)); }
frame readable::subscribed(const room_id& room, const position& from) const {
  return text("subscribed " + room.str() + "#" + std::to_string(from.seq));
}
frame readable::typing(const room_id& room, const user_id& user, bool on) const {
  return text(room.str() + " " + user.str() + (on ? " types" : " rests"));
}
frame readable::ephemeral(const room_id& room, const user_id& from, int64_t, std::string_view what,
                          std::string_view) const {
  return text(room.str() + " " + from.str() + " in passing: " + std::string(what));
}
frame readable::read(const room_id& room, const user_id& user, uint64_t seq, bool arrived) const {
  return text(room.str() + " " + user.str() + (arrived ? " has " : " read ") + std::to_string(seq));
}
frame readable::presence(const presence_news& news) const {
  std::string s = "presence";
  for (const auto& r : news.rooms) {
    s += " " + r.room.str() + "=" + std::to_string(r.online) + (r.whole ? " all" : "");
    for (const auto& [user, status] : r.users)
      s += " " + describe({user, status, {}});
  }
  for (const auto& a : news.users)
    s += " " + describe(a);
  return text(s + (news.incomplete ? " incomplete" : ""));
}
frame readable::signal(const user_id& from, std::string_view data) const {
  return text(from.str() + " signals " + std::string(data));
}
frame readable::expiring(int64_t) const { return text("expiring"); }
frame readable::goaway(uint32_t reconnect_ms, std::string_view) const {
  return text("goaway " + std::to_string(reconnect_ms));
}

namespace {

/// Takes "#acme,beta" off the token; null: it opens all.
std::shared_ptr<const std::vector<std::string>> opened_by(std::string_view& token) {
  const auto hash = token.find('#');
  if (hash == std::string_view::npos)
    return nullptr;
  auto open = std::make_shared<std::vector<std::string>>();
  for (auto rest = token.substr(hash + 1);; rest.remove_prefix(rest.find(',') + 1)) {
    open->emplace_back(rest.substr(0, rest.find(',')));
    if (rest.find(',') == std::string_view::npos)
      break;
  }
  token = token.substr(0, hash);
  return open;
}

} // namespace

outcome<identity> plain_tokens::verify(std::string_view token) const {
  auto open = opened_by(token);
  auto slash = token.find('/');
  auto user = user_id::parse(token.substr(0, slash), "token");
  if (!user)
    return fail(errc::unauthenticated, "token: not valid");
  auto session = slash == std::string_view::npos ? token : token.substr(slash + 1);
  return identity{*user, "s_" + std::string(session), clock_ + lifetime_ms, token.ends_with("/admin"), std::move(open)};
}

std::string plain_wire::delivery(const hooks::delivery& x) const {
  const auto& p = x.what.what;
  auto s = p.hook + " " + p.room.str() + " " + std::to_string(std::max(p.after + 1, p.first)) + "-" +
           std::to_string(x.what.through) + (p.first > p.after + 1 ? " missed:" : ":");
  for (const auto& e : x.what.events)
    s += " " + std::to_string(e.seq) + "=" + (e.revoked ? "(revoked)" : e.text);
  return s;
}

hooks::verdict plain_wire::read_verdict(unsigned status, std::string_view body, const hooks::question&,
                                        const limits&) const {
  using kind = hooks::verdict::kind;
  if (status != 200)
    return {kind::failed, "status", {}, {}};
  if (body.starts_with("reject "))
    return {kind::reject, std::string(body.substr(7)), {}, {}};
  if (body.starts_with("replace "))
    return {kind::replace, {}, std::string(body.substr(8)), {}};
  return {};
}

bool recorder::write(const frame& bytes, delivery how) {
  if (broken)
    throw std::runtime_error("the socket is broken");
  if (full && how == delivery::reliable)
    return false;
  if (!full)
    frames.push_back(*bytes);
  return true;
}

// -- a person --------------------------------------------------------------------------------------------------------

person::person(scene& in, std::string name, uint32_t on)
    : scene_(&in), name_(std::move(name)), socket_(std::make_shared<recorder>()),
      client_(connection::make_client(
          in.system_->spawn<connection::connection_actor>(*in.home, *in.lanes[on], socket_, std::nullopt))) {}

std::vector<std::string> person::heard() {
  std::vector<std::string> news(socket_->frames.begin() + static_cast<ptrdiff_t>(looked_at_), socket_->frames.end());
  looked_at_ = socket_->frames.size();
  return news;
}

person& person::hello(std::string token, op::hello rest) {
  rest.token = token.empty() ? name_ : token;
  return ask(next_id_++, std::move(rest));
}

person& person::ask_later(int64_t id, op::any what) {
  next_id_ = std::max(next_id_, id + 1);
  client_->receive(request{id, std::move(what)});
  return *this;
}

person& person::ask(int64_t id, op::any what) {
  ask_later(id, std::move(what));
  scene_->run();
  return *this;
}

person& person::create(std::string room, storage::room_kind kind) {
  return ask(next_id_++, op::create{room_id::trusted(std::move(room)), kind, {}, 0});
}

person& person::join(std::string room, std::optional<position> resume) {
  return ask(next_id_++, op::join{room_id::trusted(std::move(room)), std::move(resume)});
}

person& person::say_later(std::string room, std::string words, std::string key) {
  op::send s;
  if (room.starts_with("to:"))
    s.to = user_id::trusted(room.substr(3));
  else
    s.room = room_id::trusted(std::move(room));
  s.text = std::move(words);
  s.key = key.empty() ? name_ + std::to_string(next_key_++) : std::move(key);
  return ask_later(next_id_++, std::move(s));
}

person& person::say(std::string room, std::string words, std::string key) {
  say_later(std::move(room), std::move(words), std::move(key));
  scene_->run();
  return *this;
}

void person::garble(bool not_an_object) {
  client_->receive(bad_frame{std::nullopt, fail(errc::bad_request, "garbled"), not_an_object});
  scene_->run();
}

void person::drained() {
  client_->drained();
  scene_->run();
}

void person::hang_up() {
  std::exchange(client_, nullptr)->closed();
  scene_->run();
}

// -- the scene -------------------------------------------------------------------------------------------------------

scene::scene(const std::function<void(settings&)>& adjust) {
  spdlog::set_level(spdlog::level::off); // injected faults are no news
  if (sodium_init() < 0)
    throw std::runtime_error("libsodium can't start");
  auto pattern = (std::filesystem::temp_directory_path() / "greenroom-actors-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr)
    throw std::runtime_error("can't make a temporary directory");
  directory_ = pattern;
  config.rooms.gather_ms = 0;
  config.storage.readers = 1;
  config.auth.argon2_mem_mb = 8;
  config.auth.argon2_ops = 1;
  config.limits.sends_per_s = 100'000;
  config.limits.sends_burst = 100'000;
  config.limits.presence_per_s = 0; // a stage of its own: presence_test.cpp
  config.limits.requests_per_s = config.limits.joins_per_minute_user = 0;
  if (adjust)
    adjust(config);
  start();
}

scene::~scene() {
  stop();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

caf::scheduler::test_coordinator& scene::scheduler() {
  return dynamic_cast<caf::scheduler::test_coordinator&>(system_->scheduler());
}

void scene::start() {
  storage::store_options o;
  o.path = directory_ + "/store";
  o.env = disk.env();
  o.min_free_bytes = 0;
  auto opened = storage::store::open(o);
  if (!opened)
    throw std::runtime_error(opened.error().message);
  store = std::move(*opened);
  caf_config_ = std::make_unique<caf_settings>();
  system_ = std::make_unique<caf::actor_system>(*caf_config_);
  home = std::make_unique<house>(config, *store, encode_, tokens_, figures);
  home->now_ms = [this] { return clock; };
  home->steady_ms = [this] { return clock; };
  home->random_text = [this](size_t n) {
    auto s = std::to_string(++drawn_);
    return std::string(n > s.size() ? n - s.size() : 0, 'r') + s;
  };
  scheduled_.assign(2, false);
  for (uint32_t i = 0; i < 2; ++i)
    lanes.push_back(std::make_unique<lane>(i, [this, i] { scheduled_[i] = true; }));
  auto& h = *home;
  h.storage = system_->spawn<persist::storage_actor>(h);
  h.hasher = system_->spawn<hasher::hasher_actor>(h);
  h.bulk = system_->spawn<bulk::bulk_actor>(h);
  h.readers.push_back(system_->spawn<reader::reader_actor>(h, 0));
  for (auto& l : lanes)
    h.relay_lanes.push_back(system_->spawn<relay_lane::relay_lane_actor>(h, *l));
  for (auto& l : lanes)
    requesters_.push_back(system_->spawn<requester::requester_actor>(h, *l));
  for (unsigned s = 0; s < shard_count; ++s)
    h.strands.push_back(std::make_unique<strand>(*system_, config.scheduler.throughput));
  h.web = &web;
  h.wire = &wire_;
  if (hook_set_)
    h.hooks.use(hook_set_);
  h.hook_strand = std::make_unique<strand>(*system_, config.scheduler.throughput);
  h.pusher = system_->spawn<pusher::pusher_actor>(h, *h.hook_strand);
  h.vetter = system_->spawn<vetter::vetter_actor>(h, *h.hook_strand);
  for (unsigned s = 0; s < shard_count; ++s)
    h.shards.push_back(system_->spawn<shard::shard_actor>(h, static_cast<shard_id>(s)));
  for (const auto& s : h.shards)
    tell(s, shard::tick{});
  run();
}

void scene::stop() {
  disk.heal();
  for (const auto& r : requesters_)
    tell(r, requester::stop{});
  for (const auto& s : home->shards)
    tell(s, shard::stop{});
  run();
  tell(home->storage, persist::stop{});
  tell(home->hasher, hasher::stop{});
  tell(home->bulk, bulk::stop{});
  tell(home->readers.front(), reader::stop{});
  tell(home->pusher, pusher::stop{});
  tell(home->vetter, vetter::stop{});
  for (const auto& l : home->relay_lanes)
    tell(l, relay_lane::stop{});
  run();
  scheduler().trigger_timeouts();
  run();
  requesters_.clear();
  home->shards.clear();
  home->relay_lanes.clear();
  home->readers.clear();
  web.posts.clear();
  home->pusher = pusher::handle{};
  home->vetter = vetter::handle{};
  home->storage = persist::handle{};
  home->hasher = hasher::handle{};
  home->bulk = bulk::handle{};
  system_.reset();
  lanes.clear();
  home.reset();
  store.reset();
}

void scene::use_hooks(hooks::hook_set set) {
  hook_set_ = std::make_shared<const hooks::hook_set>(std::move(set));
  home->hooks.use(hook_set_);
  tell(home->pusher, pusher::changed{});
  run();
}

void scene::web_says(unsigned status, std::string body, int64_t retry_after_ms) {
  auto i = std::find_if(web.posts.begin(), web.posts.end(), [](const auto& p) { return !p.answered; });
  if (i == web.posts.end())
    throw std::logic_error("nothing was posted");
  i->answered = true;
  i->done(http_answer{status, std::move(body), retry_after_ms});
  run();
}

void scene::restart() {
  stop();
  start();
}

bool scene::run_lanes() {
  bool any = false;
  for (size_t i = 0; i < lanes.size(); ++i)
    if (scheduled_[i] && i != stuck_lane) {
      scheduled_[i] = false;
      lanes[i]->run();
      any = true;
    }
  return any;
}

bool scene::step() { return scheduler().try_run_once() || run_lanes(); }

void scene::run() {
  bool more = true;
  while (more) {
    more = scheduler().run() > 0;
    more = run_lanes() || more;
  }
}

void scene::pass(std::chrono::milliseconds time) {
  using namespace std::chrono_literals;
  for (auto left = time; left > 0ms; left -= 100ms) {
    clock += 100;
    for (auto& l : lanes)
      l->timers().tick();
    if (clock % 1'000 == 0) {
      for (const auto& s : home->shards)
        tell(s, shard::tick{});
      tell(home->bulk, bulk::tick{});
      tell(home->pusher, pusher::tick{});
    }
    scheduler().advance_time(100ms);
    run();
  }
}

void scene::perform_later(const std::string& user, decltype(requester::call::what) what,
                          std::function<void(answer)> done, std::string session) {
  identity who;
  if (!user.empty()) {
    std::string_view name = user;
    who.namespaces = opened_by(name);
    who.user = user_id::trusted(std::string(name));
    who.session = session.empty() ? "s_" + std::string(name) : session;
    who.expires_at = clock + 3'600'000;
    who.admin = session == "s_admin";
    who.issued_at = session == "s_fresh" ? clock : 0;
  }
  tell(requesters_[0],
       requester::perform{std::make_shared<requester::call>(requester::call{who, std::move(what), std::move(done)})});
}

answer scene::perform(const std::string& user, decltype(requester::call::what) what, std::string session) {
  std::optional<answer> result;
  perform_later(
      user, std::move(what), [&](answer a) { result = std::move(a); }, std::move(session));
  run();
  if (!result)
    throw std::logic_error("the call was not answered");
  return *result;
}

answer scene::perform_again(const user_id& user,
                            std::variant<account::register_user, account::guest, account::refresh> what) {
  std::optional<answer> result;
  caller from;
  from.to = system_->spawn<ear_actor>(*home, result);
  from.retried = true;
  auto c = std::make_shared<user::command>(user::command{user, from, {}});
  std::visit([&](auto& x) { c->what = std::move(x); }, what);
  tell(home->shard_of(user), user::ask{std::move(c)});
  run();
  if (!result)
    throw std::logic_error("the call was not answered");
  return *result;
}

std::string scene::epoch_of(const std::string& name) {
  auto image = store->load_room(room(name), 0, 0);
  return image && *image ? (*image)->record.epoch : std::string{};
}

} // namespace greenroom::testing
