#include "service/admin_connections.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "service/admin_connection.h"
#include "service/admin_workers.h"

namespace millrace {
namespace {

using Connection = AdminConnection;
using Peer = AdminPeer;
using SharedReply = AdminSharedReply;
using Id = AdminPeer::Id;
using SteadyTime = Connection::SteadyTime;

constexpr Id kListening = 0, kDone = 1, kFirstConnection = 2;
constexpr std::size_t kThreads = 2;  // for a scraper and a person; probes have their own
constexpr std::size_t kMostReplyBytes = 64u << 20;  // of replies that were not read yet
constexpr int kAcceptsAtOnce = 64;                  // then those that are there have their turn
// How long what a refused client still sends is thrown away, so that it can read why.
constexpr std::chrono::milliseconds kLinger{500};
// After this the descriptors may be enough again.
constexpr std::chrono::milliseconds kWithoutDescriptors{100};

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

std::string address_of(const sockaddr_storage& peer) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const void* address =
      peer.ss_family == AF_INET6
          ? static_cast<const void*>(&reinterpret_cast<const sockaddr_in6&>(peer).sin6_addr)
          : &reinterpret_cast<const sockaddr_in&>(peer).sin_addr;
  return ::inet_ntop(peer.ss_family, address, text.data(), text.size()) == nullptr ? ""
                                                                                   : text.data();
}

}  // namespace

AdminConnectionLimits admin_connection_limits(std::size_t descriptors) {
  const std::size_t share = descriptors >= 1024 ? descriptors / 2 : descriptors / 4;
  const std::size_t most = std::clamp<std::size_t>(share, 16, 1024);
  return {.most = most, .idle_of_peer = most / 4, .busy_of_peer = most / 2};
}

// All but done() is of the loop's thread.
class AdminConnections::Loop {
 public:
  Loop(int listening, AdminAnswers answers, AdminConnectionLimits limits,
       std::chrono::milliseconds timeout)
      : listening_(listening), answers_(std::move(answers)), limits_(limits), timeout_(timeout) {
    if (poll_ < 0 || wake_ < 0) fail("admin server");
    ::fcntl(listening_, F_SETFL, ::fcntl(listening_, F_GETFL) | O_NONBLOCK);
    watch(EPOLL_CTL_ADD, listening_, kListening, EPOLLIN);
    watch(EPOLL_CTL_ADD, wake_, kDone, EPOLLIN);
    thread_ = std::thread([this] { run(); });
  }
  ~Loop() {
    stopping_ = true;
    wake();
    thread_.join();
    urgent_.reset();
    others_.reset();
    ::close(poll_);
    ::close(wake_);
  }
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

 private:
  void run() {
    std::array<epoll_event, 64> events{};
    while (!stopping_) {
      const int ready = ::epoll_wait(poll_, events.data(), events.size(), wait_time());
      now_ = std::chrono::steady_clock::now();
      for (int i = 0; i < ready; ++i) handle(events.at(static_cast<std::size_t>(i)));
      if (now_ >= next_look_) close_overdue();
    }
    while (!connections_.empty()) close(connections_.begin()->first);
  }

  int wait_time() const {
    if (next_look_ == SteadyTime::max()) return -1;
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(next_look_ - std::chrono::steady_clock::now());
    return static_cast<int>(std::clamp<std::chrono::milliseconds::rep>(left.count(), 0, 60'000));
  }

  void handle(const epoll_event& event) {
    if (event.data.u64 == kListening) return accept_some();
    if (event.data.u64 == kDone) return take_done();
    const Id id = event.data.u64;
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    if ((event.events & (EPOLLERR | EPOLLHUP)) != 0) return close(id);
    if ((event.events & EPOLLIN) != 0) return read_some(id, found->second);
    if ((event.events & EPOLLOUT) != 0) write_some(id, found->second);
  }

  void accept_some() {
    for (int i = 0; i < kAcceptsAtOnce; ++i) {
      sockaddr_storage peer{};
      socklen_t size = sizeof peer;
      const int fd = ::accept4(listening_, reinterpret_cast<sockaddr*>(&peer), &size,
                               SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        add(fd, address_of(peer));
      } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        if (make_room()) continue;
        watch(EPOLL_CTL_MOD, listening_, kListening, 0);
        listen_again_ = now_ + kWithoutDescriptors;
        next_look_ = std::min(next_look_, listen_again_);
        return;
      } else if (errno != EINTR && errno != ECONNABORTED) {
        return;
      }
    }
  }

  void add(int fd, std::string address) {
    Peer& peer = peers_[address];
    if (peer.idle.size() >= limits_.idle_of_peer) close(*peer.idle.begin());
    if (connections_.size() >= limits_.most) make_room();
    const Id id = next_id_++;
    Connection& connection = connections_[id];
    connection.fd = fd;
    connection.peer = std::move(address);
    peers_[connection.peer].idle.insert(id);
    idle_.insert(id);
    set_deadline(connection, timeout_);
    watch(EPOLL_CTL_ADD, fd, id, EPOLLIN);
    read_some(id, connection);  // mostly it is there already
  }

  // The oldest that has sent no request, else the oldest that is no probe.
  bool make_room() {
    if (!idle_.empty()) {
      close(*idle_.begin());
      return true;
    }
    for (const auto& [id, connection] : connections_) {
      if (connection.urgent) continue;
      close(id);
      return true;
    }
    return false;
  }

  void read_some(Id id, Connection& connection) {
    std::array<char, 16'384> buffer;
    const ssize_t got = ::recv(connection.fd, buffer.data(), buffer.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return close(id);
    if (connection.state != Connection::State::kReading) return;  // thrown away
    switch (connection.reader.add({buffer.data(), static_cast<std::size_t>(got)})) {
      case RequestReader::State::kReading:
        return;
      case RequestReader::State::kRefused:
        end_of_idle(id, connection);
        return reply_with(id, to_bytes(connection.reader.refusal(), ""));
      case RequestReader::State::kComplete:
        end_of_idle(id, connection);
        return start(id, connection);
    }
  }

  void end_of_idle(Id id, Connection& connection) {
    Peer& peer = peers_[connection.peer];
    peer.idle.erase(id);
    idle_.erase(id);
    ++peer.busy;
    set_deadline(connection, timeout_);
    watch(EPOLL_CTL_MOD, connection.fd, id, 0);  // errors are told all the same
  }

  void start(Id id, Connection& connection) {
    connection.urgent = answers_.urgent(connection.reader.request());
    if (connection.urgent) {
      connection.state = Connection::State::kAnswering;
      return urgent_->add(job(connection, {id}));
    }
    if (peers_[connection.peer].busy > limits_.busy_of_peer) {
      const Reply busy{.status = 503, .body = "too many requests of this address at once\n"};
      return reply_with(id, to_bytes(busy, connection.reader.request().method));
    }
    connection.state = Connection::State::kQueued;
    queued_.push_back(id);
    start_queued();
  }

  // As many as there are threads; those that ask the same go together.
  void start_queued() {
    while (running_ < kThreads && !queued_.empty()) {
      const auto first = connections_.find(queued_.front());
      if (first == connections_.end()) {
        queued_.pop_front();
        continue;
      }
      const std::string same = answers_.same(first->second.reader.request());
      std::vector<Id> together;
      std::erase_if(queued_, [&](Id id) {
        const auto found = connections_.find(id);
        if (found == connections_.end()) return true;
        const bool joins = found == first ||
                           (!same.empty() && answers_.same(found->second.reader.request()) == same);
        if (joins) together.push_back(id);
        if (joins) found->second.state = Connection::State::kAnswering;
        return joins;
      });
      ++running_;
      others_->add(job(first->second, std::move(together)));
    }
  }

  std::function<void()> job(const Connection& connection, std::vector<Id> ids) {
    return [this, request = connection.reader.request(), peer = connection.peer,
            urgent = connection.urgent, ids = std::move(ids)] {
      done({ids, answers_.answer(request, peer), urgent});
    };
  }

  struct Done {
    std::vector<Id> ids;
    std::string bytes;
    bool urgent = false;
  };
  // By the threads that answer.
  void done(Done done) {
    {
      MutexLock lock(mutex_);
      done_.push_back(std::move(done));
    }
    wake();
  }
  void wake() const {
    const std::uint64_t one = 1;
    (void)!::write(wake_, &one, sizeof one);
  }

  void take_done() {
    std::uint64_t count = 0;
    (void)!::read(wake_, &count, sizeof count);
    std::vector<Done> all;
    {
      MutexLock lock(mutex_);
      all.swap(done_);
    }
    for (Done& each : all) {
      if (!each.urgent) --running_;
      const auto reply = std::make_shared<const SharedReply>(std::move(each.bytes), reply_bytes_);
      for (const Id id : each.ids) reply_to(id, reply);
    }
    close_unread();
    start_queued();
  }

  void reply_to(Id id, const std::shared_ptr<const SharedReply>& reply) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) return;
    found->second.reply = reply;
    found->second.state = Connection::State::kWriting;
    set_deadline(found->second, timeout_);
    write_some(id, found->second);
  }
  void reply_with(Id id, std::string bytes) {
    reply_to(id, std::make_shared<const SharedReply>(std::move(bytes), reply_bytes_));
  }

  void write_some(Id id, Connection& connection) {
    const std::string_view bytes = connection.reply->bytes();
    while (connection.sent < bytes.size()) {
      const ssize_t sent = ::send(connection.fd, bytes.data() + connection.sent,
                                  bytes.size() - connection.sent, MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0 && errno == EAGAIN) {
        return watch(EPOLL_CTL_MOD, connection.fd, id, EPOLLOUT);
      }
      if (sent < 0) return close(id);
      connection.sent += static_cast<std::size_t>(sent);
    }
    end_of_reply(id, connection);
  }

  // Closing with something unread would reset the connection, and the reply be lost.
  void end_of_reply(Id id, Connection& connection) {
    connection.reply.reset();
    if (connection.reader.state() == RequestReader::State::kComplete) {
      std::array<char, 4096> rest;
      (void)!::recv(connection.fd, rest.data(), rest.size(), 0);
      return close(id);
    }
    ::shutdown(connection.fd, SHUT_WR);
    connection.state = Connection::State::kLingering;
    set_deadline(connection, std::min(timeout_, kLinger));
    watch(EPOLL_CTL_MOD, connection.fd, id, EPOLLIN);
  }

  // Replies that their clients do not read, oldest first, but for the newest.
  void close_unread() {
    std::vector<Id> writing;
    if (reply_bytes_ <= kMostReplyBytes) return;
    for (const auto& [id, connection] : connections_) {
      if (connection.state == Connection::State::kWriting) writing.push_back(id);
    }
    for (std::size_t i = 0; i + 1 < writing.size() && reply_bytes_ > kMostReplyBytes; ++i) {
      close(writing[i]);
    }
  }

  void set_deadline(Connection& connection, std::chrono::milliseconds time) {
    connection.deadline = now_ + time;
    next_look_ = std::min(next_look_, connection.deadline);
  }

  void close_overdue() {
    next_look_ = SteadyTime::max();
    std::vector<Id> overdue;
    for (const auto& [id, connection] : connections_) {
      if (connection.deadline <= now_) {
        overdue.push_back(id);
      } else {
        next_look_ = std::min(next_look_, connection.deadline);
      }
    }
    for (const Id id : overdue) close(id);
    if (listen_again_ == SteadyTime::max()) return;
    watch(EPOLL_CTL_MOD, listening_, kListening, EPOLLIN);
    listen_again_ = SteadyTime::max();
  }

  void close(Id id) {
    const auto found = connections_.find(id);
    const auto peer = peers_.find(found->second.peer);
    if (idle_.erase(id) > 0) {
      peer->second.idle.erase(id);
    } else {
      --peer->second.busy;
    }
    if (peer->second.idle.empty() && peer->second.busy == 0) peers_.erase(peer);
    ::close(found->second.fd);  // leaves the epoll by itself
    connections_.erase(found);
  }

  void watch(int operation, int fd, Id id, std::uint32_t events) const {
    epoll_event event{};
    event.events = events;
    event.data.u64 = id;
    ::epoll_ctl(poll_, operation, fd, &event);
  }

  const int listening_;
  const AdminAnswers answers_;
  const AdminConnectionLimits limits_;
  const std::chrono::milliseconds timeout_;
  const int poll_ = ::epoll_create1(EPOLL_CLOEXEC);
  const int wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  std::atomic<bool> stopping_{false};

  SteadyTime now_ = std::chrono::steady_clock::now();
  SteadyTime next_look_ = SteadyTime::max(), listen_again_ = SteadyTime::max();
  std::size_t reply_bytes_ = 0, running_ = 0;
  Id next_id_ = kFirstConnection;
  std::map<Id, Connection> connections_;  // oldest first
  std::set<Id> idle_;
  std::map<std::string, Peer> peers_;
  std::deque<Id> queued_;

  Mutex mutex_;
  std::vector<Done> done_ GUARDED_BY(mutex_);
  std::unique_ptr<AdminWorkers> urgent_ = std::make_unique<AdminWorkers>(1);
  std::unique_ptr<AdminWorkers> others_ = std::make_unique<AdminWorkers>(kThreads);
  std::thread thread_;
};

AdminConnections::AdminConnections(int listening, AdminAnswers answers,
                                   AdminConnectionLimits limits, std::chrono::milliseconds timeout)
    : loop_(std::make_unique<Loop>(listening, std::move(answers), limits, timeout)) {}

AdminConnections::~AdminConnections() = default;

}  // namespace millrace
