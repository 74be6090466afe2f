// The result of a query, read piece by piece.
//
// ```cpp
// Client client({.host = "127.0.0.1"});
// client.raw_stream("SELECT 1 AS x", {.format = "CSVWithNames"}).save_as("x.csv");
//
// RawStream stream = client.raw_stream("SELECT * FROM numbers(10)", {.format = "TSV"});
// for (const std::string_view piece : stream) std::cout << piece;
// ```
//
// It holds an HTTP session, and the query's ClickHouse session, until it is read to its end, closed
// or destroyed. Memory: half a MiB, whatever the size of the result. Nobody reads ahead: the server
// waits while the caller does, and gives up after its http_send_timeout (30 s), which is then an
// error here (209, or a body cut short); copy_to() and save_as() take a bounded read-ahead for a
// writer that stalls.
//
// The end is reported only when it is proven: the body was whole, and no exception of ClickHouse
// stood behind it. Otherwise reading throws ClickHouseError or NetworkError, now and at every
// later call; what was read before is part of a result and never all of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "transport/client_options.h"

namespace millrace {

class Call;

// Owned by one thread at a time; movable. Two threads at once get UsageError.
class RawStream {
 public:
  // A read-ahead that costs little. One that outgrows the processor's cache doubles the CPU time of
  // writing a file.
  static constexpr std::size_t kReadAheadBytes = 1u << 20;

  explicit RawStream(std::unique_ptr<Call> call);
  RawStream(RawStream&&) noexcept;
  RawStream& operator=(RawStream&&) noexcept;
  ~RawStream();

  // The next bytes, valid until the next call; nothing at the proven end. Throws StreamClosedError
  // when the end was reported already, or the stream was closed.
  std::optional<std::string_view> next_chunk();
  // The same, for `for (std::string_view chunk : stream)`: once, from where it stands.
  class Iterator {
   public:
    using value_type = std::string_view;
    using difference_type = std::ptrdiff_t;
    explicit Iterator(RawStream& stream) : stream_(&stream), chunk_(stream.next_chunk()) {}
    std::string_view operator*() const { return *chunk_; }
    Iterator& operator++() {
      chunk_ = stream_->next_chunk();
      return *this;
    }
    void operator++(int) { ++*this; }
    bool operator==(std::default_sentinel_t) const noexcept { return !chunk_; }

   private:
    RawStream* stream_;
    std::optional<std::string_view> chunk_;
  };
  Iterator begin() { return Iterator(*this); }
  std::default_sentinel_t end() const noexcept { return {}; }
  // At least one byte; 0 at the proven end, as often as it is asked.
  std::size_t read(std::span<std::byte> into);
  // All that is left, to a stream. Returns its bytes. Throws FileError when `out` takes no more.
  // `read_ahead_bytes`: how much is read while
  // `out` is busy, on a thread of its own; 0: nothing.
  std::uint64_t copy_to(std::ostream& out, std::size_t read_ahead_bytes = 0);
  // All that is left, into a file that appears under its name only when the end is proven: it is
  // written beside it (name.….part), synced and renamed. A failure leaves an older file as it was.
  // What is there and no regular file (a device, a pipe) is written straight into. `on_piece` sees
  // each piece before it is written, compressed if so wanted. No read-ahead by default: a file
  // seldom stalls for longer than what the sockets hold. Throws FileError.
  std::uint64_t save_as(const std::filesystem::path& file, std::size_t read_ahead_bytes = 0,
                        const std::function<void(std::string_view)>& on_piece = {},
                        Codec compress_with = Codec::kNone);
  // A std::istream over it, which lives as long as the stream. At a failure reading throws (its
  // exceptions are on), so that nobody takes it for the end.
  std::istream& istream();

  const std::string& query_id() const;
  const Headers& headers() const;
  // As the server had it when the first byte left: counts of rows are complete only for results
  // that are small.
  const QuerySummary& summary() const;
  // Drops the connection, so that the server cancels the query. Any thread.
  void cancel() noexcept;
  // Gives the stream up. While another thread reads it, as cancel().
  void close() noexcept;

 private:
  struct State;
  State& state() const;
  std::uint64_t drain(const std::function<void(std::string_view)>& write,
                      std::size_t read_ahead_bytes);

  std::unique_ptr<State> state_;
};

}  // namespace millrace
