#include "actors/relay.hpp"

#include "actors/house.hpp"

#include <algorithm>

namespace greenroom::relay {

relay_actor::relay_actor(caf::actor_config& cfg, house& in, host& on, room_id room, keeper shard,
                         std::shared_ptr<attendance> present)
    : hosted_actor(cfg, on, actor_kind::relay, room.str(), in.living), house_(in), room_(std::move(room)),
      shard_(std::move(shard)), lanes_(in.relay_lanes.size()), present_(std::move(present)) {
  house_.metrics.relays_active.add();
}

relay_actor::~relay_actor() { house_.metrics.relays_active.add(-1); }

void relay_actor::receive(const publish& x) {
  gathered_.push_back(x.what);
  auto gather = std::chrono::milliseconds(house_.config.rooms.gather_ms);
  auto since = std::chrono::steady_clock::now() - last_fan_out_;
  if (since >= gather) {
    flush();
  } else if (!gather_armed_) {
    gather_armed_ = true;
    tell_self_after(gather - since, gather_due{});
  }
}

void relay_actor::receive(const admit& x) {
  ++attaches_;
  auto where = x.where;
  if (!house_.cluster) // else the room's home has counted, on all nodes
    where.online_count = present_->count_for(x.from.user, where.role != storage::member_role::none, where.apart);
  if (!face_ || face_->epoch != where.epoch)
    face_ = std::make_shared<const room_face>(room_face{room_, where.epoch, this->id()});
  flush(); // what was published before must not reach the new listener, nor come after its answer
  ++lanes_[x.from.lane].unconfirmed;
  tell(house_.relay_lanes[x.from.lane],
       relay_lane::admit{x.from, std::move(where), face_, caf::actor_cast<relay_lane::relay_handle>(this->ctrl())});
}

void relay_actor::receive(const refuse& x) {
  ++attaches_;
  tell(house_.relay_lanes[x.from.lane], relay_lane::refuse{x.from, x.why});
  check_idle();
}

void relay_actor::receive(const typing& x) { send_ephemeral(house_.encode.typing(room_, x.user, x.on), x.user); }

void relay_actor::receive(const remark& x) {
  send_ephemeral(house_.encode.ephemeral(room_, x.from, x.ts, x.text, x.data), user_id{});
}

void relay_actor::receive(const receipt& x) {
  send_ephemeral(house_.encode.read(room_, x.user, x.seq, x.arrived), user_id{});
}

void relay_actor::receive(const presence& x) {
  auto p = std::make_shared<publication>();
  p->relay = this->id();
  auto news = std::make_shared<presence_news>();
  news->rooms.push_back(x.what);
  p->ephemeral = house_.encode.presence(*news);
  p->presence = std::move(news);
  fan_out(p);
}

void relay_actor::receive(const announce& x) {
  auto p = std::make_shared<publication>();
  p->relay = this->id();
  p->head = x.head;
  flush();
  fan_out(p);
}

void relay_actor::receive(const who& x) {
  auto page = x.page;
  for (auto& m : page.list)
    m.status = present_->status(m.user);
  x.from.answer(ok::any{std::move(page)});
}

void relay_actor::receive(const gather_due&) {
  gather_armed_ = false;
  flush();
}

void relay_actor::flush() {
  if (!wanted())
    gathered_.clear(); // the last listener has just left
  if (gathered_.empty())
    return;
  auto p = std::make_shared<publication>();
  p->relay = this->id();
  p->events.reserve(gathered_.size());
  for (auto& e : gathered_)
    p->events.push_back({e, house_.encode.event(room_, *e)});
  p->head = gathered_.back()->seq;
  gathered_.clear();
  last_fan_out_ = std::chrono::steady_clock::now();
  fan_out(p);
}

void relay_actor::send_ephemeral(frame bytes, const user_id& except) {
  auto p = std::make_shared<publication>();
  p->relay = this->id();
  p->ephemeral = std::move(bytes);
  p->except = except;
  fan_out(p);
}

void relay_actor::fan_out(const std::shared_ptr<const publication>& what) {
  for (size_t i = 0; i < lanes_.size(); ++i)
    if (lanes_[i].wanted())
      tell(house_.relay_lanes[i], relay_lane::fan_out{what});
}

void relay_actor::receive(const relay_lane::confirmed& x) {
  auto& l = lanes_[x.lane];
  --l.unconfirmed;
  l.listeners += x.entered ? 1 : 0;
  if ((x.entered || x.member) && present_->enter(x.user, x.member, x.entered, x.status))
    tell_shard(x.user);
  check_idle();
}

void relay_actor::receive(const relay_lane::appears& x) {
  if (present_->appear(x.user, x.status))
    tell_shard(x.user);
}

void relay_actor::tell_shard(const user_id& user) {
  if (house_.cluster)
    tell(shard_, seen{room_, user, present_->status_here(user)});
}

void relay_actor::receive(const relay_lane::gone& x) {
  --lanes_[x.lane].listeners;
  if (present_->leave(x.user))
    tell_shard(x.user);
  check_idle();
}

void relay_actor::receive(const recount& x) {
  attaches_ = x.attaches;
  check_idle();
}

bool relay_actor::wanted() const {
  return std::any_of(lanes_.begin(), lanes_.end(), [](const lane_state& l) { return l.wanted(); });
}

void relay_actor::check_idle() {
  if (!wanted())
    tell(shard_, idle{room_, this->id(), attaches_});
}

} // namespace greenroom::relay
