#include "transport/external_data.h"

#include <algorithm>

#include "transport/error.h"
#include "transport/wire_text.h"

namespace millrace {
namespace {

// Leaves the one source in `source`, and the one format in `format`.
void take_other_names(ExternalFile& file) {
  const auto* path = std::get_if<std::filesystem::path>(&file.source);
  const bool has_source = path == nullptr || !path->empty();
  if (has_source + !file.file_path.empty() + file.data.has_value() > 1) {
    throw UsageError("Only data or file_path should be specified for external data, not both");
  }
  if (!file.file_path.empty()) file.source = std::exchange(file.file_path, {});
  if (file.data) file.source = *std::exchange(file.data, {});
  if (!file.fmt.empty()) {
    if (!file.format.empty()) throw UsageError("fmt and format are one thing: give one of them");
    file.format = std::exchange(file.fmt, {});
  }
}

void complete_and_check(ExternalFile& file) {
  take_other_names(file);
  const auto* path = std::get_if<std::filesystem::path>(&file.source);
  if (path != nullptr && path->empty()) {
    throw UsageError("Either data or file_path must be specified for external data");
  }
  if (file.file_name.empty() && path != nullptr) file.file_name = path->filename().string();
  if (file.file_name.empty() || file.table().empty()) {
    throw UsageError("Name is required for query external data");
  }
  if (!file.types.empty() && !file.structure.empty()) {
    throw UsageError("Only types or structure should be specified for external data, not both");
  }
  // They stand in a header of the request's body.
  wire::check_header_value("The name of external data", file.file_name);
  wire::check_header_value("The MIME type of external data", file.mime_type);
  if (file.file_name.find_first_of("\"\\") != std::string::npos) {
    throw UsageError("The name of external data must not have a quote or a backslash");
  }
}

}  // namespace

std::string ExternalFile::table() const { return file_name.substr(0, file_name.rfind('.')); }

ExternalData& ExternalData::add_file(ExternalFile file) {
  complete_and_check(file);
  const auto same = std::find_if(files_.begin(), files_.end(), [&](const ExternalFile& other) {
    return other.table() == file.table();
  });
  if (same != files_.end()) {
    *same = std::move(file);
  } else {
    files_.push_back(std::move(file));
  }
  return *this;
}

const std::vector<ExternalFile>& ExternalData::files() const {
  if (files_.empty()) throw UsageError("No external files set for external data");
  return files_;
}

std::vector<std::pair<std::string, std::string>> ExternalData::url_parameters() const {
  std::vector<std::pair<std::string, std::string>> parameters;
  for (const ExternalFile& file : files()) {
    const std::string table = file.table();
    if (!file.format.empty()) parameters.emplace_back(table + "_format", file.format);
    if (!file.structure.empty()) parameters.emplace_back(table + "_structure", file.structure);
    if (!file.types.empty()) parameters.emplace_back(table + "_types", file.types);
  }
  return parameters;
}

}  // namespace millrace
