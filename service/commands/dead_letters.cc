// `millrace dead-letters list|show|replay`.
#include <ctime>
#include <iomanip>
#include <iostream>
#include <memory>
#include <sstream>
#include <utility>

#include "pipeline/sender.h"
#include "service/commands/commands.h"
#include "service/config_value.h"
#include "service/dead_letters/archive.h"
#include "service/dead_letters/letter_text.h"

namespace millrace {
namespace {

using SystemTime = std::chrono::system_clock::time_point;

std::string print_time(SystemTime time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  std::ostringstream out;
  out << std::put_time(&parts, "%Y-%m-%dT%H:%M:%SZ");
  return out.str();
}

// A moment in UTC, or how long ago it is: 2026-01-31, 2026-01-31T12:00:00, 2h.
std::optional<SystemTime> parse_time(const char* flag, const std::string& text, SystemTime now) {
  if (text.empty()) return std::nullopt;
  for (const char* format : {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d"}) {
    std::tm parts{};
    const char* end = strptime(text.c_str(), format, &parts);
    if (end == nullptr || (*end != '\0' && std::string_view(end) != "Z")) continue;
    return std::chrono::system_clock::from_time_t(timegm(&parts));
  }
  try {
    return now - parse_duration(text);
  } catch (const std::invalid_argument&) {
    throw UsageError(std::string(flag) + " " + text +
                     ": wanted is a time in UTC, as in 2026-01-31T12:00:00, or how long ago, as "
                     "in 2h");
  }
}

// One line of a table: no tab or newline of a message may break it.
std::string cell(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  return text;
}

void print_line(const DeadLetter& letter) {
  std::cout << print_time(letter.time) << '\t' << letter.pipeline << '\t' << letter.table << '\t'
            << letter.topic << '/' << letter.partition << '\t' << letter.offset << '\t'
            << letter.code << '\t' << letter.reason << '\t'
            << (letter.replayed ? "replayed" : "kept") << '\t' << letter.token << '\t'
            << cell(letter.message) << '\n';
}

void print_whole(const DeadLetter& letter) {
  std::cout << "token     " << letter.token << "\ntime      " << print_time(letter.time)
            << "\npipeline  " << letter.pipeline << "\ntable     " << letter.table << "\nlane      "
            << letter.topic << '/' << letter.partition << " (group " << letter.group
            << ")\noffset    " << letter.offset << "\nformat    " << letter.format << "\nattempts  "
            << letter.attempts << "\nreplayed  " << (letter.replayed ? "yes" : "no")
            << "\ncode      " << letter.code << ' ' << letter.reason << "\nmessage   "
            << letter.message << "\npayload   " << letter.payload.size() << " bytes:\n"
            << letter.payload << '\n';
  if (!letter.sent.empty()) std::cout << "sent:\n" << letter.sent;
  std::cout << '\n';
}

// What of the configuration the three need, put together once.
class Archives {
 public:
  Archives(const Config& config, const DeadLettersArguments& arguments)
      : config_(config),
        arguments_(arguments),
        endpoints_(config.clickhouse.endpoints),
        pool_(config.clickhouse.pool) {
    const SystemTime now = std::chrono::system_clock::now();
    filter_.table = arguments.table;
    filter_.token = arguments.token;
    filter_.code = arguments.code;
    filter_.since = parse_time("--since", arguments.since, now);
    filter_.until = parse_time("--until", arguments.until, now);
    filter_.replayed = arguments.all;
  }

  // Calls f(pipeline, archive, letter) for each that is asked for. False when some could not be
  // read.
  template <class F>
  bool for_each(F&& f) {
    bool all = true, known = arguments_.pipeline.empty();
    for (const PipelineConfig& pipeline : config_.pipelines) {
      if (!arguments_.pipeline.empty() && pipeline.name != arguments_.pipeline) continue;
      known = true;
      const auto archive = make_dead_letter_archive(pipeline, config_.clickhouse, pool_);
      if (archive == nullptr) continue;
      const DeadLetters found = archive->read(filter_);
      if (found.unreadable > 0) {
        std::cerr << "millrace: " << found.unreadable << " entries of " << archive->name()
                  << " are no dead letters\n";
        all = false;
      }
      for (const DeadLetter& letter : found.letters) {
        if (letter.pipeline == pipeline.name) f(pipeline, *archive, letter);
      }
    }
    if (!known) throw UsageError("--pipeline " + arguments_.pipeline + ": there is no such one");
    return all;
  }

  std::unique_ptr<BlockSender> make_sender() {
    return make_clickhouse_sender(config_.clickhouse.client, config_.clickhouse.insert_settings,
                                  endpoints_, pool_);
  }

 private:
  const Config& config_;
  const DeadLettersArguments& arguments_;
  DeadLetterFilter filter_;
  EndpointList endpoints_;
  HttpSessionPool pool_;
};

bool list(Archives& archives, const DeadLettersArguments& arguments) {
  if (!arguments.json)
    std::cout << "time\tpipeline\ttable\tlane\toffset\tcode\treason\tstate\ttoken\tmessage\n";
  return archives.for_each([&](const auto&, auto&, const DeadLetter& letter) {
    if (!arguments.json) return print_line(letter);
    std::string line;
    append_letter(letter, LetterBytes::kStrict, line);
    std::cout << line;
  });
}

bool show(Archives& archives) {
  std::size_t found = 0;
  const bool all = archives.for_each([&](const auto&, auto&, const DeadLetter& letter) {
    ++found;
    print_whole(letter);
  });
  if (found == 0) std::cerr << "millrace: there is no such dead letter\n";
  return all && found > 0;
}

// Each row under the token that it had when it was refused: one that is in already is dropped by
// the table's deduplication.
bool replay(Archives& archives) {
  const auto sender = archives.make_sender();
  std::size_t sent = 0, refused = 0;
  const bool all = archives.for_each(
      [&](const PipelineConfig& pipeline, DeadLetterArchive& archive, const DeadLetter& letter) {
        TableTarget target;
        target.pipeline = letter.pipeline;
        target.table = letter.table;
        target.format = letter.format;
        target.columns = pipeline.columns;
        try {
          const std::string_view row = letter.row();
          (void)sender->send(target, letter.token, {target.format, {}, {row}});
        } catch (const ClickHouseError& error) {
          ++refused;
          std::cerr << letter.token << ": " << error.what() << '\n';
          return;
        }
        ++sent;
        DeadLetter done = letter;
        done.replayed = true;
        archive.store({&done, 1});
      });
  std::cout << sent << " replayed, " << refused << " refused again\n";
  return all && refused == 0;
}

}  // namespace

int dead_letters(const DeadLettersArguments& arguments) {
  const Config config = load_config(arguments.config_file);
  Archives archives(config, arguments);
  bool good = false;
  try {
    switch (arguments.action) {
      case DeadLettersArguments::Action::kList:
        good = list(archives, arguments);
        break;
      case DeadLettersArguments::Action::kShow:
        good = show(archives);
        break;
      case DeadLettersArguments::Action::kReplay:
        good = replay(archives);
        break;
    }
  } catch (const TransportError& error) {
    std::cerr << "millrace: " << error.what() << '\n';
  }
  return static_cast<int>(good ? ExitCode::kOk : ExitCode::kFailure);
}

}  // namespace millrace
