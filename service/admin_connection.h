// What the loop of admin_connections.cc knows of each connection. Of that thread alone.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "service/admin_http.h"

namespace millrace {

// The same bytes for all who asked the same.
class AdminSharedReply {
 public:
  AdminSharedReply(std::string bytes, std::size_t& total)
      : bytes_(std::move(bytes)), total_(total) {
    total_ += bytes_.size();
  }
  ~AdminSharedReply() { total_ -= bytes_.size(); }
  AdminSharedReply(const AdminSharedReply&) = delete;
  AdminSharedReply& operator=(const AdminSharedReply&) = delete;
  std::string_view bytes() const { return bytes_; }

 private:
  const std::string bytes_;
  std::size_t& total_;
};

// One client, from its first byte to the last of its reply.
struct AdminConnection {
  using SteadyTime = std::chrono::steady_clock::time_point;
  enum class State { kReading, kQueued, kAnswering, kWriting, kLingering };
  int fd = -1;
  std::string peer;
  State state = State::kReading;
  bool urgent = false;
  SteadyTime deadline{};
  RequestReader reader{};
  std::shared_ptr<const AdminSharedReply> reply{};
  std::size_t sent = 0;
};

// All connections of one address.
struct AdminPeer {
  using Id = std::uint64_t;  // in the order in which they came
  std::set<Id> idle;         // oldest first
  std::size_t busy = 0;
};

}  // namespace millrace
