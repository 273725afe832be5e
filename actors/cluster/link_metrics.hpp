// link_metrics: what the links count. Any thread reads; the gateway and posters write.
#pragma once

#include "actors/cluster/link.hpp"
#include "actors/metrics.hpp"

#include <array>

namespace greenroom::cluster {

struct link_metrics {
  struct by_channel {
    counter letters_out; // handed to CAF, not merely posted
    counter bytes_out;   // of frames
    counter frames_out;
    counter letters_in;
    counter bytes_in;
    counter frames_in;
    counter credit_waits; // how often letters began to wait for credit
  };
  std::array<by_channel, channels> of;
  by_channel& operator[](channel x) noexcept { return of[static_cast<size_t>(x)]; }

  counter queue_bytes;   // gauge: waiting in all queues
  counter links_up;      // gauge
  counter links_total;   // that ever came up
  counter link_losses;   // ended for whatever reason except our own stop
  counter overflows;     // of these: more waited than link_options::queue_bytes
  counter dials;         // attempts
  counter dials_failed;  // no answer, or the connection broke
  counter refusals;      // said and heard
  counter decode_errors; // messages that could not be read, or were not understood
};

} // namespace greenroom::cluster
