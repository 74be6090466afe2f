// Dead letters in a ClickHouse table.
#include <charconv>
#include <cstdint>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "service/dead_letters/letter_text.h"
#include "transport/http_status.h"

namespace millrace {
namespace {

constexpr int kUnknownTable = 60;
constexpr int kAccessDenied = 497;
constexpr std::uint64_t kRoomForTable = 8u << 20;

class TableArchive final : public DeadLetterArchive {
 public:
  TableArchive(ClientOptions options, Endpoint endpoint, HttpSessionPool& pool, std::string table)
      : endpoints_({std::move(endpoint)}),
        client_(without_session(std::move(options)), endpoints_, pool),
        table_(std::move(table)) {}

  // Without a deduplication token: the table keeps one row for each letter's token, whatever comes
  // twice, and a plain MergeTree can lose the rows of a token that it knows.
  void store(std::span<const DeadLetter> letters) override {
    try {
      store_together(letters);
    } catch (const ClickHouseError& error) {
      if (!is_too_large(error) || letters.size() < 2) throw;
      // A proxy takes no body of this size.
      store(letters.first(letters.size() / 2));
      store(letters.subspan(letters.size() / 2));
    }
  }

  void prepare() override {
    if (client_.command("EXISTS TABLE " + quote_table(table_)) != "1") make_table();
  }

  std::string name() const override { return "table " + table_; }

  DeadLetters read(const DeadLetterFilter& filter) override {
    QueryOptions options;
    options.format = "JSONEachRow";
    options.settings = {{"output_format_json_quote_64bit_integers", "0"}};
    LetterLog log;
    try {
      RawStream rows = client_.raw_stream(
          "SELECT toUnixTimestamp64Milli(time) AS time, pipeline, table, format, group, topic, "
          "partition, offset, token, code, reason, message, attempts, replayed, "
          "base64Encode(payload) AS payload_base64, base64Encode(sent) AS sent_base64 FROM " +
              quote_table(table_) + " FINAL ORDER BY time, topic, partition, offset",
          options);
      for (std::string line; std::getline(rows.istream(), line);) log.add(line);
      rows.close();
    } catch (const ClickHouseError& error) {
      if (error.code() != kUnknownTable) throw;
    }
    return log.take(filter);
  }

 private:
  void store_together(std::span<const DeadLetter> letters) {
    std::string rows;
    for (const DeadLetter& letter : letters) append_letter(letter, LetterBytes::kRaw, rows);
    try {
      insert(rows);
    } catch (const ClickHouseError& error) {
      if (error.code() != kUnknownTable) throw;
      make_table();  // somebody has dropped it
      insert(rows);
    }
  }

  void insert(std::string_view rows) {
    InsertOptions options;
    options.format = "JSONEachRow";
    options.settings = {{"async_insert", "0"}, {"input_format_skip_unknown_fields", "0"}};
    client_.raw_insert(table_, BodyPieces(&rows, 1), options);
  }
  static ClientOptions without_session(ClientOptions options) {
    options.session_policy = ClickHouseSessionPolicy::kNone;
    return options;
  }
  void make_table() {
    expect_room();
    client_.command(
        "CREATE TABLE IF NOT EXISTS " + quote_table(table_) +
        " (time DateTime64(3, 'UTC'), pipeline LowCardinality(String), table "
        "LowCardinality(String), format LowCardinality(String), group LowCardinality(String), "
        "topic LowCardinality(String), partition Int32, offset Int64, token String, code Int32, "
        "reason LowCardinality(String), message String, attempts UInt32, payload String, sent "
        "String, replayed UInt8) ENGINE = ReplacingMergeTree(replayed) ORDER BY token");
  }

  // On a full disk a CREATE leaves a cut-off file of the table's definition behind, with which the
  // server does not start again.
  void expect_room() {
    std::string free;
    try {
      free = client_.command("SELECT min(free_space) FROM system.disks WHERE name = 'default'");
    } catch (const ClickHouseError& error) {
      if (error.code() != kAccessDenied) throw;
      return;  // not ours to see
    }
    std::uint64_t bytes = 0;
    const auto [end, fault] = std::from_chars(free.data(), free.data() + free.size(), bytes);
    if (fault != std::errc{} || end != free.data() + free.size() || bytes < kRoomForTable)
      throw std::runtime_error("it is missing, and is not made while the server's disk is full (" +
                               (free.empty() ? "?" : free) + " bytes are free)");
  }

  EndpointList endpoints_;
  Client client_;
  const std::string table_;
};

}  // namespace

std::shared_ptr<DeadLetterArchive> make_table_archive(ClientOptions client, Endpoint endpoint,
                                                      HttpSessionPool& pool, std::string table) {
  return std::make_shared<TableArchive>(std::move(client), std::move(endpoint), pool,
                                        std::move(table));
}

}  // namespace millrace
