#include "transport/raw_stream.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <istream>
#include <ostream>
#include <streambuf>
#include <system_error>
#include <utility>

#include "transport/call.h"
#include "transport/read_ahead.h"

namespace millrace {
namespace {

[[noreturn]] void fail(const std::string& what) {
  throw FileError(what + ": " + std::generic_category().message(errno));
}

// A file beside the one that is wanted; gone again unless it was published. A device or a pipe
// under that name is written itself: it is to be used, not replaced.
class PendingFile {
 public:
  explicit PendingFile(const std::filesystem::path& file)
      : special_(is_special(file)),
        wanted_(behind_links(file)),
        name_(wanted_.string() + (special_ ? "" : "." + random_uuid().substr(0, 8) + ".part")) {
    fd_ = ::open(name_.c_str(), O_WRONLY | O_CLOEXEC | (special_ ? 0 : O_CREAT | O_EXCL), 0666);
    if (fd_ < 0) fail("cannot write " + name_);
  }
  PendingFile(const PendingFile&) = delete;
  ~PendingFile() {
    if (fd_ >= 0) ::close(fd_);
    if (!published_ && !special_) ::unlink(name_.c_str());
  }

  void write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
      if (n >= 0) {
        bytes.remove_prefix(static_cast<std::size_t>(n));
      } else if (errno != EINTR) {
        fail("cannot write " + name_);
      }
    }
  }

  void publish() {
    if (!special_ && ::fsync(fd_) != 0) fail("cannot sync " + name_);
    if (::close(std::exchange(fd_, -1)) != 0) fail("cannot close " + name_);
    if (!special_ && std::rename(name_.c_str(), wanted_.c_str()) != 0)
      fail("cannot rename to " + wanted_.string());
    published_ = true;
  }

 private:
  // What can't be looked at can't be opened, which says why.
  static bool is_special(const std::filesystem::path& file) {
    std::error_code ignored;
    return std::filesystem::exists(file, ignored) &&
           !std::filesystem::is_regular_file(file, ignored);
  }
  static std::filesystem::path behind_links(const std::filesystem::path& file) {
    std::error_code error;
    if (!std::filesystem::is_regular_file(file, error)) return file;
    const std::filesystem::path target = std::filesystem::canonical(file, error);
    return error ? file : target;
  }

  const bool special_;
  const std::filesystem::path wanted_;
  const std::string name_;
  int fd_ = -1;
  bool published_ = false;
};

}  // namespace

struct RawStream::State {
  explicit State(std::unique_ptr<Call> opened) : call(std::move(opened)) {}

  // One thread at a time; reported, not undefined.
  class Turn {
   public:
    explicit Turn(State& state) : state_(state) {
      if (state_.busy.exchange(true)) {
        throw UsageError("a RawStream is read by two threads at once: it belongs to one at a time");
      }
    }
    ~Turn() { state_.busy = false; }
    Turn(const Turn&) = delete;

   private:
    State& state_;
  };

  // Empty at the end.
  std::string_view next() {
    if (closed) throw StreamClosedError("the stream was closed");
    if (failure) std::rethrow_exception(failure);
    if (ended) return {};
    try {
      const std::string_view piece = call->next();
      ended = piece.empty();
      return piece;
    } catch (...) {
      failure = std::current_exception();
      throw;
    }
  }

  std::unique_ptr<Call> call;
  std::string_view pending;  // read and not yet handed out by read()
  std::atomic<bool> busy{false};
  bool ended = false;
  bool closed = false;
  std::exception_ptr failure;  // thrown by every later read: what came is not the whole
  Headers headers;
  std::unique_ptr<std::streambuf> buffer;
  std::unique_ptr<std::istream> in;
};

namespace {

class StreamBuffer final : public std::streambuf {
 public:
  explicit StreamBuffer(std::function<std::string_view()> next) : next_(std::move(next)) {}

 protected:
  int_type underflow() override {
    const std::string_view piece = next_();
    if (piece.empty()) return traits_type::eof();
    char* start = const_cast<char*>(piece.data());  // read only
    setg(start, start, start + piece.size());
    return traits_type::to_int_type(*start);
  }

 private:
  const std::function<std::string_view()> next_;
};

}  // namespace

RawStream::RawStream(std::unique_ptr<Call> call)
    : state_(std::make_unique<State>(std::move(call))) {
  for (const auto& [name, value] : state_->call->head().headers) state_->headers[name] = value;
}
RawStream::RawStream(RawStream&&) noexcept = default;
RawStream& RawStream::operator=(RawStream&&) noexcept = default;
RawStream::~RawStream() = default;

RawStream::State& RawStream::state() const {
  if (!state_) throw StreamClosedError("the stream was moved away");
  return *state_;
}

std::optional<std::string_view> RawStream::next_chunk() {
  const State::Turn turn(state());
  if (!state_->pending.empty()) return std::exchange(state_->pending, {});
  if (state_->ended) throw StreamClosedError("the stream was read to its end already");
  const std::string_view piece = state_->next();
  return piece.empty() ? std::nullopt : std::optional(piece);
}

std::size_t RawStream::read(std::span<std::byte> into) {
  const State::Turn turn(state());
  std::string_view& pending = state_->pending;
  if (pending.empty()) pending = state_->next();
  const std::size_t size = std::min(into.size(), pending.size());
  if (size > 0) std::memcpy(into.data(), pending.data(), size);
  pending.remove_prefix(size);
  return size;
}

std::uint64_t RawStream::drain(const std::function<void(std::string_view)>& write,
                               std::size_t read_ahead_bytes) {
  const State::Turn turn(state());
  if (state_->ended) throw StreamClosedError("the stream was read to its end already");
  std::uint64_t total = 0;
  const auto next = [this]() -> std::string_view {
    if (!state_->pending.empty()) return std::exchange(state_->pending, {});
    return state_->next();
  };
  const auto consume = [&](std::string_view piece) {
    write(piece);
    total += piece.size();
  };
  try {
    if (read_ahead_bytes == 0) {
      for (std::string_view piece = next(); !piece.empty(); piece = next()) consume(piece);
    } else {
      read_ahead(read_ahead_bytes, next, consume, [this] { state_->call->shut_down(); });
    }
  } catch (...) {
    state_->failure = std::current_exception();  // of the writer, too: its piece is lost
    throw;
  }
  return total;
}

std::uint64_t RawStream::copy_to(std::ostream& out, std::size_t read_ahead_bytes) {
  return drain(
      [&out](std::string_view piece) {
        out.write(piece.data(), static_cast<std::streamsize>(piece.size()));
        if (!out) throw FileError("cannot write the result: the stream takes no more");
      },
      read_ahead_bytes);
}

std::uint64_t RawStream::save_as(const std::filesystem::path& file, std::size_t read_ahead_bytes,
                                 const std::function<void(std::string_view)>& on_piece,
                                 Codec compress_with) {
  const auto compressor = compress_with == Codec::kNone ? nullptr : Compressor::make(compress_with);
  PendingFile pending(file);
  std::string packed;
  const auto write = [&](std::string_view piece) {
    if (on_piece) on_piece(piece);
    if (!compressor) return pending.write(piece);
    packed.clear();
    compressor->compress(piece, packed);
    pending.write(packed);
  };
  const std::uint64_t bytes = drain(write, read_ahead_bytes);
  if (compressor) {
    packed.clear();
    compressor->finish(packed);
    pending.write(packed);
  }
  pending.publish();
  return bytes;
}

std::istream& RawStream::istream() {
  State& state = this->state();
  if (!state.in) {
    state.buffer = std::make_unique<StreamBuffer>([&state] {
      const State::Turn turn(state);
      if (!state.pending.empty()) return std::exchange(state.pending, {});
      return state.next();
    });
    state.in = std::make_unique<std::istream>(state.buffer.get());
    state.in->exceptions(std::ios::badbit);  // rethrows what reading threw
  }
  return *state.in;
}

const std::string& RawStream::query_id() const { return state().call->summary().query_id; }
const Headers& RawStream::headers() const { return state().headers; }
const QuerySummary& RawStream::summary() const { return state().call->summary(); }

void RawStream::cancel() noexcept {
  if (state_) state_->call->shut_down();
}

void RawStream::close() noexcept {
  if (!state_) return;
  if (state_->busy.exchange(true)) return state_->call->shut_down();  // under another's read
  state_->closed = true;
  state_->pending = {};
  state_->call->close();
  state_->busy = false;
}

}  // namespace millrace
