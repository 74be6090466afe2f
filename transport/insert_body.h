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
// client.raw_insert("t1", next, tsv);
// client.raw_insert("t1", [](BodyWriter& out) { out.write("1\n"); }, tsv);
// client.raw_insert("t1", std::vector<std::byte>{std::byte{'8'}, std::byte{'\n'}}, tsv);
// ```
//
// A body of known length is sent with Content-Length, others in chunks. Sources run on the calling
// thread. What a source throws ends the request and reaches the caller unchanged; the connection is
// closed within the body, so that the server drops the block it belongs to. (Blocks that the server
// had finished before stay: one block is about a million rows, max_insert_block_size.)
#pragma once

#include <concepts>
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
#include <vector>

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

template <class T>
concept Byte =
    std::same_as<T, std::byte> || std::same_as<T, char> || std::same_as<T, unsigned char>;

// vector, array, span … of bytes; what is text anyway has a constructor of its own.
template <class C>
concept ByteContainer = requires(const C& bytes) {
  typename C::value_type;
  requires Byte<std::remove_cv_t<typename C::value_type>>;
  { bytes.data() } -> std::convertible_to<const typename C::value_type*>;
  { bytes.size() } -> std::convertible_to<std::size_t>;
}
&&!std::is_convertible_v<const C&, std::string_view>;

// What gives the next bytes at each call, and std::nullopt at the end. What it returns is kept
// until the next call, so text of its own (std::optional<std::string>) is as good as a view.
template <class F>
concept Generator = std::invocable<F&> && requires(std::invoke_result_t<F&> next) {
  next.has_value();
  requires std::is_convertible_v<decltype(*next), std::string_view> ||
      ByteContainer<std::remove_cvref_t<decltype(*next)>>;
};

class InsertBody {
 public:
  // Borrowed: must live until the call returns.
  template <class Text>
  requires(std::is_convertible_v<const Text&, std::string_view>) InsertBody(const Text& bytes)
      : InsertBody(Borrowed{std::string_view(bytes)}) {}
  InsertBody(std::span<const std::byte> bytes)
      : InsertBody(Borrowed{{reinterpret_cast<const char*>(bytes.data()), bytes.size()}}) {}
  template <ByteContainer C>
  InsertBody(const C& bytes) : InsertBody(Borrowed{view_of(bytes)}) {}
  // Kept by the body.
  InsertBody(std::string&& bytes);
  template <Byte T>
  InsertBody(std::vector<T>&& bytes)
      : InsertBody(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size())) {}
  // From where it stands to its end; replayable when it can be set back. Throws UsageError for a
  // stream that has failed, as one of a file that is not there.
  InsertBody(std::istream& in);
  // A temporary one is kept by the body. (No lvalue comes here: it is not derived from istream.)
  template <std::derived_from<std::istream> Stream>
  InsertBody(Stream&& in) : InsertBody(std::make_shared<Stream>(std::move(in))) {}  // NOLINT
  InsertBody(std::filesystem::path file);  // opened for each try
  // One try only: a half-read source can't begin again.
  InsertBody(PullSource source);
  InsertBody(PushSource source);
  // The same, as lambdas.
  template <Generator F>
  requires(!std::same_as<F, PullSource>) InsertBody(F generator)
      : InsertBody(pull_source(std::move(generator))) {}
  template <std::invocable<BodyWriter&> F>
  requires(!std::same_as<F, PushSource>) InsertBody(F writer)
      : InsertBody(PushSource(std::move(writer))) {}
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
  explicit InsertBody(std::shared_ptr<std::istream> in);
  template <class C>
  static std::string_view view_of(const C& bytes) {
    if constexpr (std::is_convertible_v<const C&, std::string_view>) {
      return bytes;
    } else {
      return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }
  }
  template <class F>
  static PullSource pull_source(F generator) {
    using Next = std::remove_cvref_t<std::invoke_result_t<F&>>;
    return [generator = std::move(generator),
            last = Next()]() mutable -> std::optional<std::string_view> {
      last = generator();
      if (!last.has_value()) return std::nullopt;
      return view_of(*last);
    };
  }
  using Open = std::function<std::unique_ptr<RequestBody>()>;
  InsertBody(Open open, bool again) : open_(std::move(open)), again_(again) {}

  Open open_;
  bool again_ = true;
  bool opened_ = false;
  std::optional<std::string_view> bytes_;
};

}  // namespace millrace
