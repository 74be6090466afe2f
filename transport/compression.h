// Content codings of HTTP bodies: their names, and compression of bytes in pieces.
//
// A Compressor or Decompressor is owned by one thread; the functions may be called by any. Sizes
// are bytes. Memory is bounded by the coding, whatever the peer sends: below 10 MiB, but for zstd:
// 128 MiB to decompress (a window of 2^27, the limit of zstd's own tool) and hundreds of MiB to
// compress at the highest levels.
//
// Which codings ClickHouse takes and gives:
// https://clickhouse.com/docs/interfaces/http#compression
#pragma once

#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace millrace {

enum class Codec { kNone, kGzip, kDeflate, kZstd, kLz4, kBr, kXz, kBz2, kSnappy };

// A Codec as an option takes it: also by its name ("gzip", "lz4"; "" and "none" for kNone), and
// `true` for the one that we prefer, zstd.
class Coding {
 public:
  Coding(Codec codec = Codec::kNone) : codec_(codec) {}
  Coding(const char* name) : Coding(std::string_view(name)) {}
  Coding(const std::string& name) : Coding(std::string_view(name)) {}
  Coding(std::string_view name);  // throws UsageError for a name that is none
  template <std::same_as<bool> T>
  Coding(T wanted) : codec_(wanted ? Codec::kZstd : Codec::kNone) {}
  operator Codec() const noexcept { return codec_; }

 private:
  Codec codec_;
};

// For Content-Encoding and Accept-Encoding; empty for kNone, as ClickHouse refuses "identity".
std::string_view content_coding(Codec codec);
// In any case; also "x-gzip". "" and "identity" are kNone. Nothing for what we don't know, as for a
// list of codings.
std::optional<Codec> codec_of(std::string_view coding);
// By the last extension in any case; nothing if it is not that of a coding.
std::optional<Codec> codec_of_file(std::string_view path);
// Whether we do it ourselves: gzip, deflate, zstd and lz4 (its frame format). Bodies in the others
// can only be passed on as they are.
bool can_code(Codec codec);

class Compressor {
 public:
  // Levels: gzip and deflate 0 to 9 (6 if none is given), zstd 1 to 22 (3), lz4 0 to 12 (0).
  // Throws UsageError for another level and for what can_code() denies.
  static std::unique_ptr<Compressor> make(Codec codec, std::optional<int> level = {});

  Compressor() = default;
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;
  virtual ~Compressor() = default;

  // Appends to `out`, perhaps nothing: the library may keep some input back until finish().
  virtual void compress(std::string_view in, std::string& out) = 0;
  // Ends the frame and appends what was kept back. What is compressed next begins a new frame.
  // Frames one after the other are one valid body, except for deflate.
  virtual void finish(std::string& out) = 0;
  // Forgets a frame that was begun.
  virtual void reset() = 0;
};

class Decompressor {
 public:
  // Takes any number of frames or gzip members one after the other. kDeflate is one stream of zlib
  // (RFC 9110, 8.4.1.2) or, as some servers understand the word, of raw deflate.
  // Throws UsageError for what can_code() denies.
  static std::unique_ptr<Decompressor> make(Codec codec);

  Decompressor() = default;
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;
  virtual ~Decompressor() = default;

  // Consumes from the front of `in` and writes at most `size` bytes (more than 0); returns how
  // many. 0: `in` is used up and more is needed. As long as `size` bytes came there may be more to
  // come without input. Throws NetworkError (kProtocol) for corrupt data; of no use afterwards.
  virtual std::size_t decompress(std::string_view& in, char* out, std::size_t size) = 0;
  // Exactly behind a whole frame, the only place where the input may end. False before the first
  // byte.
  virtual bool at_end() const = 0;
};

}  // namespace millrace
