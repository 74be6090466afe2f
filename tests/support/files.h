// Files, folders and ports of a test. Owned by the test that uses them, one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace millrace::test {

// A folder under the system's temporary one. Removed with its content at the end, unless the test
// failed: then it is kept and its path printed.
class TempDir {
 public:
  explicit TempDir(const std::string& name = "test");
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

std::string read_file(const std::filesystem::path& file);  // empty when it does not exist
void write_file(const std::filesystem::path& file, std::string_view text);

// A port of 127.0.0.1 that nothing listens on, below those the kernel hands out by itself. Never
// the same twice in one process.
std::uint16_t free_port();

// A program of the build tree that this test belongs to.
std::filesystem::path built_program(const std::string& name);
// A file of the project, from its root.
std::filesystem::path project_file(const std::string& relative);

}  // namespace millrace::test
