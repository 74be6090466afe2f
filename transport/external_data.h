// Files that go with a query and are temporary tables in it.
// https://clickhouse.com/docs/engines/table-engines/special/external-data
//
// Values: they own names and given data; a file is only named here, and read when the request is
// sent. Immutable once passed on, so any number of requests may use one. All errors are
// UsageErrors, when a file is added.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace millrace {

class ExternalSource : public std::variant<std::filesystem::path, std::string> {
 public:
  ExternalSource() = default;
  ExternalSource(std::filesystem::path file) : variant(std::move(file)) {}
  ExternalSource(const char* file) : variant(std::filesystem::path(file)) {}
  ExternalSource(std::string data) : variant(std::move(data)) {}
};

// The fields have the names of ClickHouse Connect's ExternalData, and stand in its order, but for
// file_name, which may stand before each of the sources.
struct ExternalFile {
  // The table's name is what stands before the last dot. Empty: the name of the file at the path.
  std::string file_name{};
  // A file, or the data itself. One of these three: `source` takes either, a path (a literal is a
  // path) or a std::string of data.
  std::filesystem::path file_path{};
  std::optional<std::string> data{};
  ExternalSource source{};
  std::string fmt{}, format{};  // one thing under two names
  // As in the server's parameters of these names; empty ones are not sent. Structure is
  // "m String, y UInt16", types is "String,UInt16" (columns are _1, _2 …); one of them.
  std::string types{}, structure{};
  std::string mime_type = "application/octet-stream";

  std::string table() const;
};

class ExternalData {
 public:
  ExternalData() = default;
  explicit ExternalData(ExternalFile file) { add_file(std::move(file)); }
  // A file for the same table takes the place of the one before.
  ExternalData& add_file(ExternalFile file);

  // Both throw UsageError when there is no file.
  const std::vector<ExternalFile>& files() const;
  // movies_format, movies_structure, movies_types: for the query string, not encoded.
  std::vector<std::pair<std::string, std::string>> url_parameters() const;

 private:
  std::vector<ExternalFile> files_;
};

}  // namespace millrace
