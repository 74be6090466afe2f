// Dead letters in a file: JSON lines, appended and synced.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <thread>
#include <utility>

#include "service/dead_letters/letter_text.h"
#include "transport/error.h"
#include "transport/mutex.h"

namespace millrace {
namespace {

constexpr std::chrono::seconds kLockPatience{5};
constexpr std::chrono::milliseconds kLockLook{10};

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  int get() const noexcept { return fd_; }

 private:
  const int fd_;
};

class FileArchive final : public DeadLetterArchive {
 public:
  explicit FileArchive(std::string path) : path_(std::move(path)) {}

  void store(std::span<const DeadLetter> letters) override {
    std::string lines;
    for (const DeadLetter& letter : letters) append_letter(letter, LetterBytes::kStrict, lines);
    const MutexLock lock(mutex_);
    // Opened each time: it may be rotated, and a mount may come and go.
    // Without O_NONBLOCK a pipe that nobody reads would hold a worker for ever.
    const FileDescriptor file(
        ::open(path_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0640));
    check(file.get() >= 0, "open");
    take_lock(file.get());
    struct stat before {};
    check(::fstat(file.get(), &before) == 0, "look at");
    // Whoever wrote before us may have been killed in mid-line.
    char last = '\n';
    if (before.st_size > 0) check(::pread(file.get(), &last, 1, before.st_size - 1) == 1, "read");
    if (last != '\n') lines.insert(0, 1, '\n');
    try {
      write_all(file.get(), lines);
      check(::fdatasync(file.get()) == 0, "sync");
    } catch (...) {
      // A part of them, on a full disk: they come again, all of them. Where even this fails the
      // next store() begins a new line, and readers leave out what is torn.
      (void)!::ftruncate(file.get(), before.st_size);
      throw;
    }
    if (before.st_size == 0) sync_folder();
  }

  void abort() noexcept override { aborted_ = true; }

  std::string name() const override { return "file " + path_; }

  DeadLetters read(const DeadLetterFilter& filter) override {
    LetterLog log;
    std::ifstream file(path_);
    if (!file && errno != ENOENT) check(false, "read");
    for (std::string line; std::getline(file, line);) log.add(line);
    return log.take(filter);
  }

 private:
  // `millrace dead-letters replay` writes to the file, too. Not for ever: it may be stopped.
  void take_lock(int fd) const {
    const auto deadline = std::chrono::steady_clock::now() + kLockPatience;
    while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
      check(errno == EWOULDBLOCK || errno == EINTR, "lock");
      if (aborted_) throw AbortedError("stopping", false);
      if (std::chrono::steady_clock::now() >= deadline)
        throw std::runtime_error("another process keeps " + path_ + " locked");
      std::this_thread::sleep_for(kLockLook);
    }
  }
  // So that a new file is still there after a power failure.
  void sync_folder() const {
    const std::filesystem::path parent = std::filesystem::path(path_).parent_path();
    const FileDescriptor folder(
        ::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    check(folder.get() >= 0 && ::fsync(folder.get()) == 0, "sync the folder of");
  }
  void check(bool good, const char* what) const {
    if (good) return;
    throw std::system_error(errno, std::generic_category(),
                            std::string("cannot ") + what + " " + path_);
  }
  void write_all(int fd, std::string_view text) const {
    while (!text.empty()) {
      const ssize_t written = ::write(fd, text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      check(written >= 0, "write");
      text.remove_prefix(static_cast<std::size_t>(written));
    }
  }

  const std::string path_;
  std::atomic<bool> aborted_{false};
  Mutex mutex_;
};

}  // namespace

std::shared_ptr<DeadLetterArchive> make_file_archive(std::string path) {
  return std::make_shared<FileArchive>(std::move(path));
}

std::string file_archive_fault(const std::string& path) {
  if (::access(path.c_str(), W_OK) == 0) return {};
  const std::error_code error(errno, std::generic_category());
  if (error != std::errc::no_such_file_or_directory) return path + ": " + error.message();
  std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  if (::access(folder.c_str(), W_OK | X_OK) == 0) return {};
  return "folder " + folder.string() + ": " +
         std::error_code(errno, std::generic_category()).message();
}

}  // namespace millrace
