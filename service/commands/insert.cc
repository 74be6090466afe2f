#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <iostream>
#include <memory>
#include <stop_token>
#include <string_view>
#include <system_error>
#include <utility>

#include "service/commands/commands.h"
#include "service/commands/formats.h"
#include "service/commands/interrupt.h"
#include "service/commands/progress_line.h"
#include "transport/client.h"
#include "transport/format_header.h"

namespace millrace {
namespace {

constexpr std::size_t kReadBytes = 256u << 10;

std::string name_of(const std::string& file) { return file == "-" ? "standard input" : file; }

// A file or standard input, read in pieces, with the progress line on the way.
class Input {
 public:
  Input(const std::string& name, ProgressLine& line, std::stop_token stop)
      : name_(name), line_(line), stop_(std::move(stop)) {
    if (name == "-") return;
    fd_ = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "cannot open " + name);
    std::error_code error;
    if (std::filesystem::is_regular_file(name, error)) {
      counts_.total_bytes = std::filesystem::file_size(name);
    }
  }
  Input(const Input&) = delete;
  ~Input() {
    if (fd_ != STDIN_FILENO) ::close(fd_);
  }

  std::optional<std::string_view> next() {
    const std::size_t size = read_some(fd_, buffer_, name_of(name_), stop_);
    if (size == 0) return std::nullopt;
    counts_.bytes += size;
    line_.show(counts_, std::chrono::steady_clock::now());
    return std::string_view(buffer_).substr(0, size);
  }

 private:
  const std::string& name_;
  ProgressLine& line_;
  const std::stop_token stop_;
  int fd_ = STDIN_FILENO;
  std::string buffer_ = std::string(kReadBytes, '\0');
  ProgressCounts counts_;
};

Codec coding_to_apply(const std::string& name) {
  const auto codec = name == "none" ? Codec::kNone : codec_of(name);
  if (!codec || (*codec != Codec::kNone && !can_code(*codec))) {
    throw UsageError("--compression " + name + ": known are none, gzip, deflate, zstd, lz4");
  }
  return *codec;
}

InsertOptions insert_options(const InsertArguments& arguments, const std::string& file) {
  InsertOptions options;
  options.columns = arguments.columns;
  options.deduplication_token = arguments.deduplication_token;
  options.format = arguments.format;
  if (options.format.empty()) {
    const auto names = options.columns.empty() ? ColumnNames::kInFile : ColumnNames::kGiven;
    const auto format = file == "-" ? std::nullopt : format_of_file(file, names);
    if (!format)
      throw UsageError("the name of " + file + " does not say its format: give --format");
    options.format = *format;
  }
  if (file != "-") options.compression = codec_of_file(file).value_or(Codec::kNone);
  if (options.compression == Codec::kNone && !arguments.compression.empty()) {
    options.compress_with = coding_to_apply(arguments.compression);
  }
  return options;
}

// What the server would pass over without a word: a first row that it takes for a header, and what
// has no column. --setting can say otherwise.
void expect_every_field(const ClientOptions& connection, InsertOptions& options) {
  const auto unless_said = [&](const std::string& setting, const char* value) {
    if (!setting.empty() && !connection.settings.contains(setting)) {
      options.settings[setting] = value;
    }
  };
  unless_said(header_guess_setting(options.format), "0");
  unless_said(std::string(kSkipUnknownFields), "0");
}

QuerySummary insert_file(Client& client, const InsertArguments& arguments, std::size_t index,
                         const std::stop_token& stop) {
  const std::string& file = arguments.files[index];
  InsertOptions options = insert_options(arguments, file);
  options.stop = stop;
  expect_every_field(client.options(), options);
  // With one token for all, all but the first would be taken for its repetition.
  if (!options.deduplication_token.empty() && arguments.files.size() > 1) {
    options.deduplication_token += "/" + std::to_string(index + 1);
  }
  ProgressLine line(true);
  const auto input = std::make_shared<Input>(file, line, stop);
  return client.raw_insert(arguments.table,
                           InsertBody(PullSource([input] { return input->next(); })), options);
}

}  // namespace

int insert(const InsertArguments& arguments) {
  ClientOptions connection = connection_options(arguments.connection, process_environment);
  for (const std::string& file : arguments.files) (void)insert_options(arguments, file);
  const Interrupt interrupt;
  connection.connect_stop = interrupt.token();
  std::string current = arguments.files.front();
  try {
    Client client(connection);
    for (std::size_t i = 0; i < arguments.files.size(); ++i) {
      current = arguments.files[i];
      const auto started = std::chrono::steady_clock::now();
      const QuerySummary summary = insert_file(client, arguments, i, interrupt.token());
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - started;
      std::cerr << name_of(current) << ": " << summary.written_rows << " rows inserted in "
                << short_number(seconds.count() * 1000) << "ms\n";
    }
    return static_cast<int>(ExitCode::kOk);
  } catch (const AbortedError&) {
    std::cerr << name_of(current)
              << ": interrupted; the server drops the block that was under way\n";
    return 128 + interrupt.signal();
  } catch (const TransportError& error) {
    std::cerr << "millrace: " << name_of(current) << ": " << error.what() << "\n";
    if (error.disposition() == Disposition::kSplit && !arguments.columns.empty() &&
        !header_guess_setting(insert_options(arguments, current).format).empty()) {
      std::cerr << "With --columns every line is a row. If the first one has the names, say "
                   "--format CSVWithNames, or TSVWithNames.\n";
    }
  } catch (const std::system_error& error) {
    std::cerr << "millrace: " << error.what() << "\n";
  }
  return static_cast<int>(ExitCode::kFailure);
}

}  // namespace millrace
