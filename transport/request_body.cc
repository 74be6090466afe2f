#include "transport/request_body.h"

#include <filesystem>
#include <string>
#include <utility>
#include <variant>

namespace millrace {
namespace {

class MultipartBody final : public RequestBody {
 public:
  explicit MultipartBody(const Multipart& form) : form_(form) {}
  std::optional<std::uint64_t> length() const override { return form_.size(); }
  void write_to(BodyWriter& out) override {
    for (const Multipart::Part& part : form_.parts) {
      out.write(part.head);
      if (const auto* text = std::get_if<std::string_view>(&part.content)) {
        out.write(*text);
      } else {
        InsertBody(std::get<std::filesystem::path>(part.content)).open()->write_to(out);
      }
    }
    out.write(form_.tail);
  }

 private:
  const Multipart& form_;
};

class PrefixedBody final : public RequestBody {
 public:
  PrefixedBody(std::string_view prefix, std::unique_ptr<RequestBody> body)
      : prefix_(prefix), body_(std::move(body)) {}
  std::optional<std::uint64_t> length() const override {
    const auto length = body_->length();
    return length ? std::optional(*length + prefix_.size()) : std::nullopt;
  }
  void write_to(BodyWriter& out) override {
    out.write(prefix_);
    body_->write_to(out);
  }

 private:
  const std::string_view prefix_;
  const std::unique_ptr<RequestBody> body_;
};

class CompressingWriter final : public BodyWriter {
 public:
  CompressingWriter(Compressor& compressor, BodyWriter& out) : compressor_(compressor), out_(out) {}
  void finish() {
    flush();
    compressor_.finish(coded_);
    pass_on();
  }

 private:
  void send(BodyPieces pieces) override {
    for (const std::string_view piece : pieces) compressor_.compress(piece, coded_);
    pass_on();
  }
  void pass_on() {
    out_.write(coded_);
    coded_.clear();
  }

  Compressor& compressor_;
  BodyWriter& out_;
  std::string coded_;
};

class CompressedBody final : public RequestBody {
 public:
  CompressedBody(std::unique_ptr<RequestBody> body, std::unique_ptr<Compressor> compressor)
      : body_(std::move(body)), compressor_(std::move(compressor)) {}
  std::optional<std::uint64_t> length() const override { return {}; }
  void write_to(BodyWriter& out) override {
    CompressingWriter writer(*compressor_, out);
    body_->write_to(writer);
    writer.finish();
  }

 private:
  const std::unique_ptr<RequestBody> body_;
  const std::unique_ptr<Compressor> compressor_;
};

}  // namespace

std::unique_ptr<RequestBody> multipart_body(const Multipart& form) {
  return std::make_unique<MultipartBody>(form);
}

std::unique_ptr<RequestBody> prefixed_body(std::string_view prefix,
                                           std::unique_ptr<RequestBody> body) {
  return std::make_unique<PrefixedBody>(prefix, std::move(body));
}

std::unique_ptr<RequestBody> compressed_body(std::unique_ptr<RequestBody> body, Codec codec,
                                             std::optional<int> level) {
  return std::make_unique<CompressedBody>(std::move(body), Compressor::make(codec, level));
}

}  // namespace millrace
