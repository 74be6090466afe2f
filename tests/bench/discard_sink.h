// An HTTP server that takes a request body, throws it away and says 200: what a sender is measured
// against. It runs in a process of its own, so that its CPU time is not the sender's.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

namespace millrace::bench {

// How a body is thrown away.
enum class Discard {
  kCopied,    // read into a 256 KiB buffer, as any server does
  kInKernel,  // dropped by the kernel uncopied (MSG_TRUNC): the sender alone is left to be seen
};

// Owned by one thread; start it before the process has others, as it forks.
class DiscardSink {
 public:
  explicit DiscardSink(Discard discard);
  ~DiscardSink();  // ends the process
  DiscardSink(const DiscardSink&) = delete;
  DiscardSink& operator=(const DiscardSink&) = delete;

  std::uint16_t port() const noexcept { return port_; }

 private:
  std::uint16_t port_ = 0;
  pid_t process_ = -1;
};

// Reads one HTTP header, up to and including the empty line, from the socket into `buffer`, and
// returns how many bytes of what follows were read with it. `size` is set to the header's bytes; 0
// when the peer closed. Throws when the header does not fit.
std::size_t receive_header(int fd, char* buffer, std::size_t capacity, std::size_t& size);

}  // namespace millrace::bench
