// Bodies made of others: a form with files, and anything compressed on its way.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "transport/compression.h"
#include "transport/insert_body.h"
#include "transport/request_text.h"

namespace millrace {

// `form`, and what its parts point to, must outlive the body. Files are read while it is sent;
// UsageError if one of them cannot be read.
std::unique_ptr<RequestBody> multipart_body(const Multipart& form);

// `prefix`, which must outlive it, then `body`.
std::unique_ptr<RequestBody> prefixed_body(std::string_view prefix,
                                           std::unique_ptr<RequestBody> body);

// Of unknown length. Throws UsageError as Compressor::make() does.
std::unique_ptr<RequestBody> compressed_body(std::unique_ptr<RequestBody> body, Codec codec,
                                             std::optional<int> level);

}  // namespace millrace
