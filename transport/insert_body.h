// The body of an insert, however the caller has it: bytes, text, a stream, a file, a generator.
//
// ```cpp
// Client client({.host = "127.0.0.1"});
// const InsertOptions tsv{.format = "TSV"};
// std::ofstream("rows.tsv") << "1\n2\n";
// std::ifstream stream("rows.tsv");
// int left = 3;
// const auto next = [&] { return left-- > 0 ? std::optional("7\n") : std::nullopt; };
// client.raw_insert("t1", "1\n2\n", tsv);
// client.raw_insert("t1", std::filesystem::path("rows.tsv"), tsv);
// client.raw_insert("t1", stream, tsv);
// client.raw_insert("t1", PullSource(next), tsv);
// client.raw_insert("t1", PushSource([](BodyWriter& out) { out.write("1\n"); }), tsv);
// ```
//
// A body of known length is sent with Content-Length, others in chunks. Sources run on the calling
// thread. What a source throws ends the request and reaches the caller unchanged; the connection is
// closed within the body, so that the server drops the block it belongs to. (Blocks that the server
// had finished before stay: one block is about a million rows, max_insert_block_size.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace millrace {

// A body in pieces, sent one after the other without being copied together. The memory stays the
// caller's and must live until the call returns.
using BodyPieces = std::span<const std::string_view>;

// Where a push source writes to. Owned by the call that hands it out, for that call only.
class BodyWriter {
 public:
  BodyWriter() = default;
  BodyWriter(const BodyWriter&) = delete;
  virtual ~BodyWriter() = default;
  // May wait for the server to take more. Throws when the request failed: let that pass.
  void write(std::string_view bytes);
  void write(std::span<const std::byte> bytes);
  // On the way now, and not only with the next 64 KiB. (A compressor, compress_with, may keep
  // some.)
  void flush();

 protected:
  virtual void send(BodyPieces pieces) = 0;

 private:
  std::string small_;  // short writes, collected
};

// The next bytes, or nothing at the end; the view must live until the next call. Empty ones are
// skipped.
using PullSource = std::function<std::optional<std::string_view>()>;
using PushSource = std::function<void(BodyWriter&)>;

// What is sent as a request's body. Owned by the call that sends it.
class RequestBody {
 public:
  RequestBody() = default;
  RequestBody(const RequestBody&) = delete;
  virtual ~RequestBody() = default;
  virtual std::optional<std::uint64_t> length() const = 0;  // none: not known
  virtual void write_to(BodyWriter& out) = 0;               // once
};

class InsertBody {
 public:
  // Borrowed: must live until the call returns.
  template <class Text>
  requires(std::is_convertible_v<const Text&, std::string_view>) InsertBody(const Text& bytes)
      : InsertBody(Borrowed{std::string_view(bytes)}) {}
  InsertBody(std::span<const std::byte> bytes)
      : InsertBody(Borrowed{{reinterpret_cast<const char*>(bytes.data()), bytes.size()}}) {}
  // Kept by the body.
  InsertBody(std::string&& bytes);
  // From where it stands to its end; replayable when it can be set back. Throws UsageError for a
  // stream that has failed, as one of a file that is not there.
  InsertBody(std::istream& in);
  InsertBody(std::filesystem::path file);  // opened for each try
  // One try only: a half-read source can't begin again.
  InsertBody(PullSource source);
  InsertBody(PushSource source);
  // `make` is called for each try.
  static InsertBody replayable(std::function<PullSource()> make);

  // For the client. nullptr when a body that can be read only once was read.
  std::unique_ptr<RequestBody> open();
  bool can_open_again() const noexcept { return again_; }
  // Bytes in memory, so that a statement can stand in front of them.
  std::optional<std::string_view> in_memory() const noexcept { return bytes_; }

 private:
  struct Borrowed {
    std::string_view bytes;
  };
  explicit InsertBody(Borrowed borrowed);
  using Open = std::function<std::unique_ptr<RequestBody>()>;
  InsertBody(Open open, bool again) : open_(std::move(open)), again_(again) {}

  Open open_;
  bool again_ = true;
  bool opened_ = false;
  std::optional<std::string_view> bytes_;
};

}  // namespace millrace
