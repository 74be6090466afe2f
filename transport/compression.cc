#include "transport/compression.h"

#include <lz4frame.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <new>
#include <span>
#include <stdexcept>

#include "transport/error.h"

namespace millrace {
namespace {

struct CodecName {
  Codec codec;
  std::string_view name;
};

constexpr CodecName kCodings[] = {
    {Codec::kNone, ""},       {Codec::kNone, "identity"},   {Codec::kGzip, "gzip"},
    {Codec::kGzip, "x-gzip"}, {Codec::kDeflate, "deflate"}, {Codec::kZstd, "zstd"},
    {Codec::kLz4, "lz4"},     {Codec::kBr, "br"},           {Codec::kXz, "xz"},
    {Codec::kBz2, "bz2"},     {Codec::kSnappy, "snappy"},
};

constexpr CodecName kExtensions[] = {
    {Codec::kGzip, ".gz"}, {Codec::kGzip, ".gzip"}, {Codec::kZstd, ".zst"},
    {Codec::kLz4, ".lz4"}, {Codec::kBr, ".br"},     {Codec::kXz, ".xz"},
    {Codec::kBz2, ".bz2"}, {Codec::kSnappy, ".sz"}, {Codec::kSnappy, ".snappy"},
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::optional<Codec> find_name(std::span<const CodecName> names, std::string_view name) {
  for (const auto& known : names) {
    if (std::equal(name.begin(), name.end(), known.name.begin(), known.name.end(),
                   [](char a, char b) { return lower(a) == b; })) {
      return known.codec;
    }
  }
  return std::nullopt;
}

[[noreturn]] void refuse(Codec codec) {
  throw UsageError("no compressor for the coding \"" + std::string(content_coding(codec)) + "\"");
}

int checked_level(Codec codec, std::optional<int> level, int lowest, int highest, int otherwise) {
  if (!level) return otherwise;
  if (*level >= lowest && *level <= highest) return *level;
  throw UsageError("compression level " + std::to_string(*level) + " of " +
                   std::string(content_coding(codec)) + ": must be " + std::to_string(lowest) +
                   " to " + std::to_string(highest));
}

// Lets `write(data, size)` fill new room at the end of `out`; it returns how much it used. Room is
// made for about `expected` bytes: making it costs time, even if it stays empty.
template <typename Write>
void append(std::string& out, std::size_t expected, Write write) {
  const std::size_t before = out.size();
  const std::size_t room = std::clamp<std::size_t>(expected, 1u << 10, 128u << 10);
  out.resize(before + room);
  out.resize(before + write(out.data() + before, room));
}

// zlib counts in 32 bits.
uInt zlib_size(std::size_t size) {
  return static_cast<uInt>(std::min<std::size_t>(size, 1u << 30));
}
Bytef* zlib_bytes(const char* data) {
  return const_cast<Bytef*>(reinterpret_cast<const Bytef*>(data));  // z_stream is not const-correct
}

constexpr int kZlibWindow = MAX_WBITS;         // a zlib header
constexpr int kGzipWindow = MAX_WBITS + 16;    // a gzip header
constexpr int kRawDeflateWindow = -MAX_WBITS;  // none

class ZlibCompressor : public Compressor {
 public:
  ZlibCompressor(int window, int level) {
    constexpr int kMemoryLevel = 8;  // zlib's default
    if (deflateInit2(&stream_, level, Z_DEFLATED, window, kMemoryLevel, Z_DEFAULT_STRATEGY) !=
        Z_OK) {
      throw std::bad_alloc();
    }
  }
  ~ZlibCompressor() override { deflateEnd(&stream_); }

  void compress(std::string_view in, std::string& out) override {
    while (!in.empty()) {
      const uInt offered = zlib_size(in.size());
      stream_.next_in = zlib_bytes(in.data());
      stream_.avail_in = offered;
      append(out, in.size(),
             [this](char* data, std::size_t size) { return deflate_into(data, size, Z_NO_FLUSH); });
      in.remove_prefix(offered - stream_.avail_in);
    }
  }
  void finish(std::string& out) override {
    stream_.avail_in = 0;
    do {
      append(out, 0,
             [this](char* data, std::size_t size) { return deflate_into(data, size, Z_FINISH); });
    } while (result_ != Z_STREAM_END);
    reset();
  }
  void reset() override { deflateReset(&stream_); }

 private:
  std::size_t deflate_into(char* data, std::size_t size, int flush) {
    stream_.next_out = zlib_bytes(data);
    stream_.avail_out = static_cast<uInt>(size);
    result_ = deflate(&stream_, flush);
    if (result_ == Z_STREAM_ERROR) throw std::logic_error("zlib: inconsistent state");
    return size - stream_.avail_out;
  }

  z_stream stream_{};
  int result_ = Z_OK;
};

class ZstdCompressor : public Compressor {
 public:
  explicit ZstdCompressor(int level) : context_(ZSTD_createCCtx()) {
    if (!context_) throw std::bad_alloc();
    check(ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, level));
  }

  void compress(std::string_view in, std::string& out) override {
    ZSTD_inBuffer input{in.data(), in.size(), 0};
    while (input.pos < input.size) run(input, out, input.size - input.pos, ZSTD_e_continue);
  }
  void finish(std::string& out) override {
    ZSTD_inBuffer input{nullptr, 0, 0};
    while (run(input, out, 0, ZSTD_e_end) > 0) {
    }
  }
  void reset() override { ZSTD_CCtx_reset(context_.get(), ZSTD_reset_session_only); }

 private:
  // Returns how much is still to be written.
  std::size_t run(ZSTD_inBuffer& input, std::string& out, std::size_t expected,
                  ZSTD_EndDirective directive) {
    std::size_t left = 0;
    append(out, expected, [&](char* data, std::size_t size) {
      ZSTD_outBuffer output{data, size, 0};
      left = check(ZSTD_compressStream2(context_.get(), &output, &input, directive));
      return output.pos;
    });
    return left;
  }
  static std::size_t check(std::size_t result) {
    if (!ZSTD_isError(result)) return result;
    throw std::runtime_error(std::string("zstd: ") + ZSTD_getErrorName(result));
  }

  struct Free {
    void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
  };
  std::unique_ptr<ZSTD_CCtx, Free> context_;
};

class Lz4Compressor : public Compressor {
 public:
  explicit Lz4Compressor(int level) {
    LZ4F_cctx* context = nullptr;
    if (LZ4F_isError(LZ4F_createCompressionContext(&context, LZ4F_VERSION))) {
      throw std::bad_alloc();
    }
    context_.reset(context);
    preferences_.compressionLevel = level;
  }

  void compress(std::string_view in, std::string& out) override {
    begin(out);
    while (!in.empty()) {
      const auto piece = in.substr(0, kPiece);
      append_bound(out, piece.size(), [&](char* data, std::size_t size) {
        return LZ4F_compressUpdate(context_.get(), data, size, piece.data(), piece.size(), nullptr);
      });
      in.remove_prefix(piece.size());
    }
  }
  void finish(std::string& out) override {
    begin(out);
    append_bound(out, 0, [this](char* data, std::size_t size) {
      return LZ4F_compressEnd(context_.get(), data, size, nullptr);
    });
    begun_ = false;
  }
  void reset() override { begun_ = false; }

 private:
  // The library wants room for the worst case of what it is given: it gets one block at a time.
  static constexpr std::size_t kPiece = 64u << 10;

  void begin(std::string& out) {
    if (begun_) return;
    append(out, LZ4F_HEADER_SIZE_MAX, [this](char* data, std::size_t size) {
      return check(LZ4F_compressBegin(context_.get(), data, size, &preferences_));
    });
    begun_ = true;
  }
  template <typename Write>
  void append_bound(std::string& out, std::size_t input, Write write) {
    const std::size_t before = out.size();
    const std::size_t room = LZ4F_compressBound(input, &preferences_);
    out.resize(before + room);
    out.resize(before + check(write(out.data() + before, room)));
  }
  static std::size_t check(std::size_t result) {
    if (!LZ4F_isError(result)) return result;
    throw std::runtime_error(std::string("lz4: ") + LZ4F_getErrorName(result));
  }

  struct Free {
    void operator()(LZ4F_cctx* context) const { LZ4F_freeCompressionContext(context); }
  };
  std::unique_ptr<LZ4F_cctx, Free> context_;
  LZ4F_preferences_t preferences_{};
  bool begun_ = false;
};

[[noreturn]] void corrupt(std::string_view coding, const char* detail) {
  throw NetworkError(NetworkError::Kind::kProtocol,
                     "corrupt " + std::string(coding) + " data: " + (detail ? detail : "no detail"),
                     true);
}

// What all libraries have in common: one call stops at the end of the input, of the room or of a
// frame.
class FrameDecompressor : public Decompressor {
 public:
  std::size_t decompress(std::string_view& in, char* out, std::size_t size) final {
    std::size_t written = 0;
    while (written < size && (full_ || !in.empty())) {
      const Step done = step(in, out + written, size - written);
      in.remove_prefix(done.read);
      written += done.written;
      at_end_ = done.ended;
      full_ = !done.ended && written == size;
      if (done.read == 0 && done.written == 0 && !done.ended && !in.empty()) {
        corrupt("compressed", "no progress");
      }
    }
    return written;
  }
  bool at_end() const final { return at_end_; }

 protected:
  struct Step {
    std::size_t read, written;
    bool ended;  // at the end of a frame
  };
  virtual Step step(std::string_view in, char* out, std::size_t size) = 0;

 private:
  bool at_end_ = false;
  bool full_ = false;  // the room was used up: the library may hold more output
};

class ZlibDecompressor : public FrameDecompressor {
 public:
  explicit ZlibDecompressor(Codec codec) : codec_(codec) {
    if (inflateInit2(&stream_, codec == Codec::kGzip ? kGzipWindow : kZlibWindow) != Z_OK) {
      throw std::bad_alloc();
    }
  }
  ~ZlibDecompressor() override { inflateEnd(&stream_); }

 private:
  Step step(std::string_view in, char* out, std::size_t size) override {
    if (codec_ == Codec::kDeflate && !in.empty()) begin_deflate(in.front());
    stream_.next_in = zlib_bytes(in.data());
    stream_.avail_in = zlib_size(in.size());
    stream_.next_out = zlib_bytes(out);
    stream_.avail_out = zlib_size(size);
    const uInt offered = stream_.avail_in, room = stream_.avail_out;
    const int result = inflate(&stream_, Z_NO_FLUSH);
    if (result == Z_MEM_ERROR) throw std::bad_alloc();
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR) {
      corrupt(content_coding(codec_), stream_.msg);
    }
    ended_ = result == Z_STREAM_END;
    if (ended_) inflateReset(&stream_);
    return {offered - stream_.avail_in, room - stream_.avail_out, ended_};
  }

  // A zlib header begins with its method, 8. As raw deflate that would be a stored block with a bit
  // set in its padding, which no compressor writes.
  void begin_deflate(char first) {
    if (ended_) corrupt("deflate", "bytes behind the end");
    if (!begun_ && (first & 0x0f) != Z_DEFLATED) inflateReset2(&stream_, kRawDeflateWindow);
    begun_ = true;
  }

  const Codec codec_;
  z_stream stream_{};
  bool begun_ = false;
  bool ended_ = false;
};

class ZstdDecompressor : public FrameDecompressor {
 public:
  ZstdDecompressor() : context_(ZSTD_createDCtx()) {
    if (!context_) throw std::bad_alloc();
    constexpr int kMaxWindowLog = 27;
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kMaxWindowLog);
  }

 private:
  Step step(std::string_view in, char* out, std::size_t size) override {
    ZSTD_inBuffer input{in.data(), in.size(), 0};
    ZSTD_outBuffer output{out, size, 0};
    const std::size_t result = ZSTD_decompressStream(context_.get(), &output, &input);
    if (ZSTD_isError(result)) corrupt("zstd", ZSTD_getErrorName(result));
    return {input.pos, output.pos, result == 0};
  }

  struct Free {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
  };
  std::unique_ptr<ZSTD_DCtx, Free> context_;
};

class Lz4Decompressor : public FrameDecompressor {
 public:
  Lz4Decompressor() {
    LZ4F_dctx* context = nullptr;
    if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION))) {
      throw std::bad_alloc();
    }
    context_.reset(context);
  }

 private:
  Step step(std::string_view in, char* out, std::size_t size) override {
    std::size_t read = in.size(), written = size;
    const std::size_t result =
        LZ4F_decompress(context_.get(), out, &written, in.data(), &read, nullptr);
    if (LZ4F_isError(result)) corrupt("lz4", LZ4F_getErrorName(result));
    return {read, written, result == 0};
  }

  struct Free {
    void operator()(LZ4F_dctx* context) const { LZ4F_freeDecompressionContext(context); }
  };
  std::unique_ptr<LZ4F_dctx, Free> context_;
};

}  // namespace

std::string_view content_coding(Codec codec) {
  const auto* found = std::find_if(std::begin(kCodings), std::end(kCodings),
                                   [codec](const CodecName& n) { return n.codec == codec; });
  return found == std::end(kCodings) ? std::string_view() : found->name;
}

std::optional<Codec> codec_of(std::string_view coding) { return find_name(kCodings, coding); }

std::optional<Codec> codec_of_file(std::string_view path) {
  return find_name(kExtensions, std::filesystem::path(path).extension().string());
}

Coding::Coding(std::string_view name) : codec_(Codec::kNone) {
  if (name == "none") return;
  const auto codec = codec_of(name);
  if (!codec) {
    throw UsageError("'" + std::string(name) +
                     "' is no coding: known are gzip, deflate, zstd, lz4, br, xz, bz2 and snappy");
  }
  codec_ = *codec;
}

bool can_code(Codec codec) {
  return codec == Codec::kGzip || codec == Codec::kDeflate || codec == Codec::kZstd ||
         codec == Codec::kLz4;
}

std::unique_ptr<Compressor> Compressor::make(Codec codec, std::optional<int> level) {
  switch (codec) {
    case Codec::kGzip:
    case Codec::kDeflate:
      return std::make_unique<ZlibCompressor>(
          codec == Codec::kGzip ? kGzipWindow : kZlibWindow,
          checked_level(codec, level, 0, Z_BEST_COMPRESSION, Z_DEFAULT_COMPRESSION));
    case Codec::kZstd:
      return std::make_unique<ZstdCompressor>(
          checked_level(codec, level, 1, ZSTD_maxCLevel(), ZSTD_CLEVEL_DEFAULT));
    case Codec::kLz4:
      return std::make_unique<Lz4Compressor>(
          checked_level(codec, level, 0, LZ4F_compressionLevel_max(), 0));
    default:
      refuse(codec);
  }
}

std::unique_ptr<Decompressor> Decompressor::make(Codec codec) {
  switch (codec) {
    case Codec::kGzip:
    case Codec::kDeflate:
      return std::make_unique<ZlibDecompressor>(codec);
    case Codec::kZstd:
      return std::make_unique<ZstdDecompressor>();
    case Codec::kLz4:
      return std::make_unique<Lz4Decompressor>();
    default:
      refuse(codec);
  }
}

}  // namespace millrace
