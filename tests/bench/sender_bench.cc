// Blocks through transport's Client to a sink that throws them away, against a bare loop of sendmsg
// and recv. Prints one JSON object a line for each round; see README.md.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <barrier>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "tests/bench/discard_sink.h"
#include "transport/client.h"

namespace millrace::bench {
namespace {

using Clock = std::chrono::steady_clock;

// One request and its answer. Owned by one thread.
using SendOne = std::function<void(std::string_view body)>;

[[noreturn]] void throw_errno(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

// The least that can be done: one sendmsg for header and body, one recv for the answer.
class BareConnection {
 public:
  explicit BareConnection(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      throw_errno("connect");
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  ~BareConnection() { ::close(fd_); }
  BareConnection(const BareConnection&) = delete;
  BareConnection& operator=(const BareConnection&) = delete;

  void send(std::string_view body) {
    char header[256];
    const int header_bytes =
        std::snprintf(header, sizeof header,
                      "POST /?query=INSERT%%20INTO%%20bench%%20FORMAT%%20JSONEachRow HTTP/1.1\r\n"
                      "Host: 127.0.0.1\r\nContent-Length: %zu\r\n\r\n",
                      body.size());
    iovec parts[2] = {{header, static_cast<std::size_t>(header_bytes)},
                      {const_cast<char*>(body.data()), body.size()}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    // A blocking socket takes all of it in one call, unless a signal comes.
    const ssize_t sent = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (sent != header_bytes + static_cast<ssize_t>(body.size())) throw_errno("sendmsg");
    char answer[2048];
    std::size_t answer_bytes = 0;
    receive_header(fd_, answer, sizeof answer, answer_bytes);
    if (!std::string_view(answer, answer_bytes).starts_with("HTTP/1.1 200"))
      throw std::runtime_error("the sink did not answer 200");
  }

 private:
  const int fd_;
};

SendOne make_bare_sender(std::uint16_t port) {
  return [connection = std::make_shared<BareConnection>(port)](std::string_view body) {
    connection->send(body);
  };
}

// What all threads of a run share, as workers do.
struct SharedTransport {
  explicit SharedTransport(std::uint16_t port)
      : endpoints({Endpoint{.host = "127.0.0.1", .port = port}}) {}
  HttpSessionPool pool;
  EndpointList endpoints;
};

SendOne make_client_sender(const std::shared_ptr<SharedTransport>& shared) {
  auto client = std::make_shared<Client>(ClientOptions{}, shared->endpoints, shared->pool);
  InsertOptions options;
  options.format = "JSONEachRow";
  options.deduplication_token = "group/topic/0/0/0-1";
  return [shared, client, options](std::string_view body) {
    client->raw_insert("bench", body, options);
  };
}

double thread_cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_THREAD, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Result {
  std::size_t requests = 0;
  double seconds = 0, cpu_seconds = 0;
};

// All threads send until `duration` is over; each measures itself alone.
std::vector<Result> measure(const std::vector<SendOne>& senders, std::string_view body,
                            Clock::duration duration) {
  std::vector<Result> results(senders.size());
  std::barrier start(static_cast<std::ptrdiff_t>(senders.size()));
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < senders.size(); ++i) {
    threads.emplace_back([&, i] {
      // Connects, and lets the congestion window and the socket's buffers grow to their size.
      for (int warm_up = 0; warm_up < 20; ++warm_up) senders[i](body);
      start.arrive_and_wait();
      const auto begin = Clock::now();
      const double cpu_begin = thread_cpu_seconds();
      auto now = begin;
      for (; now - begin < duration; now = Clock::now(), ++results[i].requests) senders[i](body);
      results[i].cpu_seconds = thread_cpu_seconds() - cpu_begin;
      results[i].seconds = std::chrono::duration<double>(now - begin).count();
    });
  }
  for (auto& thread : threads) thread.join();
  return results;
}

struct Case {
  const char* sink_name;
  std::uint16_t port;
  std::size_t body_bytes, threads;
};

void run_round(const Case& what, const char* client_name, int round, std::string_view body,
               Clock::duration duration) {
  const bool bare = client_name == std::string_view("bare");
  const auto shared = std::make_shared<SharedTransport>(what.port);
  std::vector<SendOne> senders;
  for (std::size_t i = 0; i < what.threads; ++i)
    senders.push_back(bare ? make_bare_sender(what.port) : make_client_sender(shared));
  double bytes = 0, bytes_per_second = 0, cpu_seconds = 0;
  for (const Result& result : measure(senders, body, duration)) {
    const double sent = static_cast<double>(result.requests * body.size());
    bytes += sent;
    bytes_per_second += sent / result.seconds;
    cpu_seconds += result.cpu_seconds;
  }
  std::printf(
      "{\"sink\":\"%s\",\"body_bytes\":%zu,\"threads\":%zu,\"client\":\"%s\",\"round\":%d,"
      "\"megabytes_per_second\":%.1f,\"cpu_seconds_per_gigabyte\":%.4f}\n",
      what.sink_name, what.body_bytes, what.threads, client_name, round, bytes_per_second / 1e6,
      cpu_seconds / (bytes / 1e9));
  std::fflush(stdout);
}

}  // namespace
}  // namespace millrace::bench

// millrace_sender_bench [ROUNDS [MILLISECONDS]]
int main(int argc, char** argv) {
  using namespace millrace::bench;
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 5;
  const std::chrono::milliseconds duration(argc > 2 ? std::atoi(argv[2]) : 500);
  const DiscardSink copied(Discard::kCopied);
  const DiscardSink in_kernel(Discard::kInKernel);
  const std::string block(8 << 20, 'x');
  try {
    for (int round = 1; round <= rounds; ++round)
      for (const auto& [name, port] :
           {std::pair{"copied", copied.port()}, std::pair{"in kernel", in_kernel.port()}})
        for (const std::size_t body_bytes : {64u << 10, 1u << 20, 8u << 20})
          for (const std::size_t threads : {1u, 2u})
            for (const char* client : {"millrace", "bare"})
              run_round({name, port, body_bytes, threads}, client, round,
                        std::string_view(block).substr(0, body_bytes), duration);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sender bench: %s\n", error.what());
    return 1;
  }
}
