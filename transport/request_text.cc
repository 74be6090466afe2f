#include "transport/request_text.h"

#include <system_error>

#include "transport/error.h"
#include "transport/wire_text.h"

namespace millrace {
namespace {

bool needs_form(const BoundQuery& query) {
  if (query.binary) return false;
  std::size_t length = 0;
  for (const auto& [name, value] : query.params) {
    length += length > 0 ? 1 : 0;
    length += wire::url_encode(name).size() + 1 + wire::url_encode(value).size();
  }
  return length > kMaxUrlParameters;
}

class MultipartBuilder {
 public:
  explicit MultipartBuilder(std::string_view boundary) : delimiter_("--" + std::string(boundary)) {
    body_.content_type = "multipart/form-data; boundary=" + std::string(boundary);
    body_.tail = "\r\n" + delimiter_ + "--\r\n";
  }

  void add_text(std::string_view name, std::string_view value) {
    add("form-data; name=\"" + std::string(name) + "\"", value, value.size());
  }
  void add_file(const ExternalFile& file) {
    const std::string header = "form-data; name=\"" + file.table() + "\"; filename=\"" +
                               file.file_name + "\"\r\nContent-Type: " + file.mime_type;
    if (const auto* data = std::get_if<std::string>(&file.source)) {
      return add(header, std::string_view(*data), data->size());
    }
    const auto& path = std::get<std::filesystem::path>(file.source);
    std::error_code error;
    const std::uint64_t size = std::filesystem::file_size(path, error);
    if (error) {
      throw UsageError("Failed to open file " + path.string() +
                       " for external data: " + error.message());
    }
    add(header, path, size);
  }
  Multipart take() { return std::move(body_); }

 private:
  using Content = std::variant<std::string_view, std::filesystem::path>;

  void add(const std::string& disposition, Content content, std::uint64_t size) {
    std::string head = body_.parts.empty() ? "" : "\r\n";
    head += delimiter_ + "\r\nContent-Disposition: " + disposition + "\r\n\r\n";
    body_.parts.push_back({std::move(head), std::move(content), size});
  }

  const std::string delimiter_;
  Multipart body_;
};

}  // namespace

std::string query_string(const UrlParameters& parameters) {
  std::string result;
  const auto append = [&result](std::string_view text) {
    // Encoded word by word: what is between them is a `+`.
    bool first = true;
    for (const std::string_view word : wire::split(text, ' ')) {
      if (!first) result += '+';
      first = false;
      result += wire::url_encode(word);
    }
  };
  for (const auto& [name, value] : parameters) {
    if (!result.empty()) result += '&';
    append(name);
    result += '=';
    append(value);
  }
  return result;
}

std::uint64_t Multipart::size() const noexcept {
  std::uint64_t total = tail.size();
  for (const Part& part : parts) total += part.head.size() + part.size;
  return total;
}

QueryRequest query_request(const BoundQuery& query, const ExternalData* external, bool force_form,
                           std::string_view boundary) {
  QueryRequest request;
  const bool form = force_form || needs_form(query);
  if (!form) request.url = query.params;
  if (!form && external == nullptr) {
    request.body = query.sql;
    return request;
  }
  MultipartBuilder builder(boundary);
  if (form) {
    builder.add_text("query", query.sql);
    for (const auto& [name, value] : query.params) builder.add_text(name, value);
  } else if (query.binary) {
    throw UsageError(
        "Binary query cannot be placed in URL when using External Data; enable form encoding.");
  } else {
    request.url.emplace_back("query", query.sql);
  }
  if (external != nullptr) {
    for (auto& parameter : external->url_parameters()) request.url.push_back(std::move(parameter));
    for (const ExternalFile& file : external->files()) builder.add_file(file);
  }
  request.body = builder.take();
  return request;
}

}  // namespace millrace
