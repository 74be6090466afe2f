// Where the parts of a query go: into the query string, the body, or a form in the body.
//
// Pure functions, but for one look at the size of each external file. Nothing is copied that may be
// large: a Multipart points into the BoundQuery and the ExternalData that it was made of, which
// must outlive it. UsageError for what cannot be sent.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "transport/external_data.h"
#include "transport/parameters.h"

namespace millrace {

using UrlParameters = std::vector<std::pair<std::string, std::string>>;

// "a=1&b=x+y": keys and values encoded, a space as `+`.
std::string query_string(const UrlParameters& parameters);

// A body of multipart/form-data: for each part its head and its content, then the tail.
// https://datatracker.ietf.org/doc/html/rfc7578
struct Multipart {
  struct Part {
    std::string head;  // the boundary and the part's header
    std::variant<std::string_view, std::filesystem::path> content;
    // Bytes of the content. Whoever sends a file must send exactly so many, or give up the request:
    // the file may have changed since.
    std::uint64_t size = 0;
  };
  std::string content_type;
  std::vector<Part> parts;
  std::string tail;

  std::uint64_t size() const noexcept;  // Content-Length
};

struct QueryRequest {
  UrlParameters url;  // beside database, settings, session and the like
  std::variant<std::string_view, Multipart> body;  // a statement has no Content-Type
};

// The server takes a URL of 1 MiB, proxies before it much less.
constexpr std::size_t kMaxUrlParameters = 4096;

// `boundary` must not occur in any content: something random; of letters, digits and `-`. A form is
// used if `force_form` says so, or the parameters are longer than kMaxUrlParameters (never for a
// binary statement). `external` may be null.
QueryRequest query_request(const BoundQuery& query, const ExternalData* external, bool force_form,
                           std::string_view boundary);

}  // namespace millrace
