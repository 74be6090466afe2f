#include "transport/insert_body.h"

#include <array>
#include <cerrno>
#include <fstream>
#include <istream>
#include <system_error>

#include "transport/error.h"

namespace millrace {
namespace {

constexpr std::size_t kCollectBytes = 64u << 10;  // short writes, to one send
constexpr std::size_t kReadBytes = 256u << 10;    // of a stream or file at a time

class BytesBody final : public RequestBody {
 public:
  explicit BytesBody(std::string_view bytes) : bytes_(bytes) {}
  std::optional<std::uint64_t> length() const override { return bytes_.size(); }
  void write_to(BodyWriter& out) override { out.write(bytes_); }

 private:
  const std::string_view bytes_;
};

class PullBody final : public RequestBody {
 public:
  explicit PullBody(PullSource source) : source_(std::move(source)) {}
  std::optional<std::uint64_t> length() const override { return {}; }
  void write_to(BodyWriter& out) override {
    while (const auto bytes = source_()) out.write(*bytes);
  }

 private:
  const PullSource source_;
};

class PushBody final : public RequestBody {
 public:
  explicit PushBody(PushSource source) : source_(std::move(source)) {}
  std::optional<std::uint64_t> length() const override { return {}; }
  void write_to(BodyWriter& out) override { source_(out); }

 private:
  const PushSource source_;
};

void copy(std::istream& in, BodyWriter& out, const std::string& what) {
  std::string buffer(kReadBytes, '\0');
  while (in) {
    in.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    if (in.bad()) throw UsageError("cannot read " + what);
    out.write(std::string_view(buffer.data(), static_cast<std::size_t>(in.gcount())));
  }
}

class StreamBody final : public RequestBody {
 public:
  explicit StreamBody(std::istream& in) : in_(in) {}
  std::optional<std::uint64_t> length() const override { return {}; }
  void write_to(BodyWriter& out) override { copy(in_, out, "the insert's stream"); }

 private:
  std::istream& in_;
};

class FileBody final : public RequestBody {
 public:
  explicit FileBody(const std::filesystem::path& path)
      : name_(path.string()), in_(path, std::ios::binary) {
    if (!in_) {
      throw UsageError("cannot open " + name_ + ": " + std::generic_category().message(errno));
    }
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error)) return;
    const std::uint64_t size = std::filesystem::file_size(path, error);
    if (!error) size_ = size;
  }
  std::optional<std::uint64_t> length() const override { return size_; }
  void write_to(BodyWriter& out) override { copy(in_, out, name_); }

 private:
  const std::string name_;
  std::ifstream in_;
  std::optional<std::uint64_t> size_;  // of a pipe: none
};

}  // namespace

void BodyWriter::write(std::string_view bytes) {
  if (small_.size() + bytes.size() < kCollectBytes) {
    small_ += bytes;
    return;
  }
  const std::array<std::string_view, 2> pieces{small_, bytes};
  send(pieces);
  small_.clear();
}

void BodyWriter::write(std::span<const std::byte> bytes) {
  write(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

void BodyWriter::flush() {
  if (small_.empty()) return;
  const std::string_view piece = small_;
  send(BodyPieces(&piece, 1));
  small_.clear();
}

InsertBody::InsertBody(Borrowed borrowed)
    : InsertBody([bytes = borrowed.bytes] { return std::make_unique<BytesBody>(bytes); }, true) {
  bytes_ = borrowed.bytes;
}

InsertBody::InsertBody(std::string&& bytes) {
  const auto kept = std::make_shared<const std::string>(std::move(bytes));
  bytes_ = *kept;
  open_ = [kept] { return std::make_unique<BytesBody>(*kept); };
}

InsertBody::InsertBody(std::istream& in) {
  if (in.bad() || (in.fail() && !in.eof())) {
    throw UsageError("the insert's stream had failed already: was its file opened?");
  }
  const std::istream::pos_type start = in.tellg();
  again_ = start != std::istream::pos_type(-1);
  in.clear();
  open_ = [&in, start, again = again_] {
    if (again) {
      in.clear();
      in.seekg(start);
    }
    return std::make_unique<StreamBody>(in);
  };
}

InsertBody::InsertBody(std::shared_ptr<std::istream> in) : InsertBody(*in) {
  open_ = [kept = std::move(in), open = std::move(open_)] { return open(); };
}

InsertBody::InsertBody(std::filesystem::path file) {
  open_ = [file = std::move(file)] { return std::make_unique<FileBody>(file); };
}

InsertBody::InsertBody(PullSource source)
    : InsertBody([source = std::move(source)] { return std::make_unique<PullBody>(source); },
                 false) {}

InsertBody::InsertBody(PushSource source)
    : InsertBody([source = std::move(source)] { return std::make_unique<PushBody>(source); },
                 false) {}

InsertBody InsertBody::replayable(std::function<PullSource()> make) {
  return {[make = std::move(make)] { return std::make_unique<PullBody>(make()); }, true};
}

std::unique_ptr<RequestBody> InsertBody::open() {
  if (opened_ && !again_) return nullptr;
  opened_ = true;
  return open_();
}

}  // namespace millrace
