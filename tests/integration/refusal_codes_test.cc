// What a real ClickHouse refuses in mid-run, code by code: half of the rows are in when it begins,
// and when it is over the other half arrives by itself.
//
// Elsewhere: 241 and 243 in waiting_test, 242 in failure_table_servers_test (KeeperThatIsAway), the
// codes of bad rows in refusal_test. 16 does not come of what millrace sends, which names no
// columns: a column that is missing is a 117 then, and a 47 where a view reads it.
#include <gtest/gtest.h>

#include <future>
#include <vector>

#include "tests/integration/rows.h"
#include "tests/integration/servers.h"
#include "tests/support/http_get.h"

namespace millrace::test {
namespace {

constexpr std::uint64_t kHalf = 100;

struct Trouble {
  const char* name;
  const char* code;  // as metrics call it
  bool waits;        // for somebody to act; else it is only tried again
  // Of the table, named %; so in statements.
  const char* columns = "";
  const char* settings = "";
  const char* clickhouse_more = "";
  std::vector<std::string> before = {}, begin = {}, end = {};
  std::uint64_t left_of_first_half = kHalf;
};

const Trouble kTroubles[] = {
    {.name = "TableThatIsDroppedAndMadeAgain",
     .code = "UNKNOWN_TABLE",
     .waits = true,
     .begin = {"DROP TABLE % SYNC"},
     .end = {"CREATE TABLE % (n UInt64, text String) ENGINE = MergeTree ORDER BY n SETTINGS "
             "non_replicated_deduplication_window = 100000"},
     .left_of_first_half = 0},
    {.name = "ColumnThatIsDroppedAndAdded",
     .code = "INCORRECT_DATA",
     .waits = true,
     // The rows that are there come through without it.
     .begin = {"ALTER TABLE % RENAME COLUMN text TO away"},
     .end = {"ALTER TABLE % RENAME COLUMN away TO text"}},
    {.name = "ColumnThatAViewMissesAndThatIsAdded",
     .code = "UNKNOWN_IDENTIFIER",
     .waits = true,
     .before = {"CREATE TABLE %_side (z UInt8, w UInt8) ENGINE = MergeTree ORDER BY w",
                "CREATE TABLE %_target (n UInt64, z UInt8) ENGINE = MergeTree ORDER BY n "
                "SETTINGS non_replicated_deduplication_window = 100000",
                "CREATE MATERIALIZED VIEW %_view TO %_target AS SELECT n, assumeNotNull((SELECT "
                "max(z) FROM %_side)) AS z FROM %"},
     .begin = {"ALTER TABLE %_side DROP COLUMN z"},
     .end = {"ALTER TABLE %_side ADD COLUMN z UInt8"}},
    {.name = "MorePartsThanMergesKeepUpWith",
     .code = "TOO_MANY_PARTS",
     .waits = false,
     .settings = ", parts_to_delay_insert = 50, parts_to_throw_insert = 100",
     .begin = {"SYSTEM STOP MERGES %",
               "ALTER TABLE % MODIFY SETTING parts_to_delay_insert = 1, parts_to_throw_insert = 1"},
     .end = {"ALTER TABLE % MODIFY SETTING parts_to_delay_insert = 50, parts_to_throw_insert = "
             "100"}},
    {.name = "InsertThatTakesTooLong",
     .code = "TIMEOUT_EXCEEDED",
     .waits = false,
     .columns = ", y UInt8 DEFAULT 0",
     .clickhouse_more = "insert_settings: {max_execution_time: 1}",
     .begin = {"ALTER TABLE % MODIFY COLUMN y UInt8 DEFAULT sleepEachRow(0.02)"},
     .end = {"ALTER TABLE % MODIFY COLUMN y UInt8 DEFAULT 0"}},
};

class RefusalCodes : public WithServers {
 protected:
  // Topic, table and group.
  const std::string& subject() const { return subject_; }
  void set_subject(const std::string& subject) { subject_ = subject; }
  static void run(const std::vector<std::string>& statements, const std::string& table) {
    for (std::string sql : statements) {
      for (std::size_t at; (at = sql.find('%')) != std::string::npos;) sql.replace(at, 1, table);
      clickhouse().query(sql);
    }
  }
  void produce_half(std::uint64_t half) const {
    produce_rows(kafka(), subject(), half * kHalf, (half + 1) * kHalf, 1);
  }
  // The first half is in the table.
  std::unique_ptr<Millrace> start_with_half(const RealClickHouse& server,
                                            const std::string& clickhouse_more = "") const {
    kafka().create_topic(subject(), 1);
    produce_half(0);
    const std::string joined = clickhouse_more.empty() ? "" : ", " + clickhouse_more;
    auto millrace = std::make_unique<Millrace>(
        folder(subject()),
        "clickhouse: {endpoints: ['" + server.url() + "']" + joined + "}\n" +
            "pipelines:\n  - {name: test, table: " + subject() +
            ", delivery: exactly_once, batch: {max_rows: 100}, source: {kafka: {brokers: '" +
            kafka().brokers() + "', group: " + subject() + ", topics: [" + subject() + "]}}}\n" +
            "workers: {count: 1, retry: {max: 500ms, wait_probe: 200ms, wait_probe_max: 500ms}}\n");
    millrace->start();
    EXPECT_TRUE(is_at(kHalf)) << millrace->get("/status").body;
    return millrace;
  }
  testing::AssertionResult is_at(std::uint64_t position) const {
    return eventually(
        [&] {
          return total(kafka().committed_offsets(subject(), subject())) ==
                 static_cast<std::int64_t>(position);
        },
        kPatience, "the position is " + std::to_string(position), Millis{100});
  }
  // It says what is wrong, again and again, and does not go on.
  void expect_trouble(const Millrace& millrace, const std::string& code, bool waits) const {
    const std::vector<std::string> label{"code=\"" + code + "\"", "table=\"" + subject() + "\""};
    ASSERT_TRUE(
        eventually([&] { return millrace.metric("millrace_retries_total", label).value_or(0) > 1; },
                   kPatience, "it is tried again for " + code))
        << millrace.get("/status").body << millrace.log();
    if (waits) {
      EXPECT_EQ(
          millrace.metric("millrace_lanes_waiting", {"reason=\"" + code + "\"", R"(kind="wait")"}),
          1);
    }
    EXPECT_NE(millrace.get("/status").body.find(code), std::string::npos);
    EXPECT_TRUE(is_at(kHalf));
  }
  // The second half is there, once, and nothing is left of the trouble.
  void expect_recovery(const RealClickHouse& server, const Millrace& millrace,
                       std::uint64_t left_of_first_half = kHalf) const {
    ASSERT_TRUE(is_at(2 * kHalf)) << millrace.get("/status").body;
    EXPECT_EQ(server.number("SELECT count() FROM " + subject()), kHalf + left_of_first_half);
    EXPECT_EQ(missing_rows(server, subject(), 2 * kHalf), kHalf - left_of_first_half);
    EXPECT_EQ(duplicate_rows(server, subject()), 0u);
    EXPECT_TRUE(
        eventually([&] { return millrace.metric("millrace_lanes_waiting").value_or(0) == 0; },
                   kPatience, "no lane waits"));
    EXPECT_EQ(millrace.metric("millrace_ledger_difference_records"), 0);
    EXPECT_EQ(millrace.metric("millrace_dead_letters_total").value_or(0), 0);
  }

 private:
  std::string subject_ = name();
};

TEST_F(RefusalCodes, RestArrivesWhenItIsOver) {
  for (const Trouble& trouble : kTroubles) {
    SCOPED_TRACE(trouble.name);
    set_subject(trouble.name);
    clickhouse().query("CREATE TABLE " + subject() + " (n UInt64, text String" + trouble.columns +
                       ") ENGINE = MergeTree ORDER BY n SETTINGS "
                       "non_replicated_deduplication_window = 100000" +
                       trouble.settings);
    run(trouble.before, subject());
    const auto millrace = start_with_half(clickhouse(), trouble.clickhouse_more);
    run(trouble.begin, subject());
    produce_half(1);
    expect_trouble(*millrace, trouble.code, trouble.waits);
    run(trouble.end, subject());
    expect_recovery(clickhouse(), *millrace, trouble.left_of_first_half);
    if (!trouble.before.empty()) {
      EXPECT_EQ(clickhouse().query("SELECT count(), uniqExact(n) FROM " + subject() + "_target"),
                "200\t200");
    }
    EXPECT_EQ(millrace->stop(), 0);
  }
}

// A query that runs until it is killed.
class EndlessQuery {
 public:
  EndlessQuery(const RealClickHouse& server, const std::string& id,
               const std::string& url_more = "")
      : server_(server),
        id_(id),
        reply_(std::async(std::launch::async, [port = server.port(), id, url_more] {
          return http_request(port, "/?query_id=" + id + url_more,
                              "SELECT sleepEachRow(1) FROM system.numbers SETTINGS "
                              "max_block_size = 1 FORMAT Null");
        })) {
    EXPECT_TRUE(eventually([&] { return running(); }, kPatience, "the query " + id + " runs"));
  }
  ~EndlessQuery() {
    server_.query("KILL QUERY WHERE query_id = '" + id_ + "' SYNC");
    reply_.wait();
  }
  EndlessQuery(const EndlessQuery&) = delete;
  EndlessQuery& operator=(const EndlessQuery&) = delete;

 private:
  bool running() const {
    return server_.number("SELECT count() FROM system.processes WHERE query_id = '" + id_ + "'") ==
           1;
  }
  const RealClickHouse& server_;
  const std::string id_;
  std::future<HttpReply> reply_;
};

// The limit is the user's: the server's own is not read by the development server, and its code is
// the same.
TEST_F(RefusalCodes, TooManyQueries) {
  create_rows_table(clickhouse(), subject(), 100'000);
  const auto millrace =
      start_with_half(clickhouse(), "insert_settings: {max_concurrent_queries_for_user: 1}");
  {
    const EndlessQuery other(clickhouse(), subject());
    produce_half(1);
    expect_trouble(*millrace, "TOO_MANY_SIMULTANEOUS_QUERIES", false);
  }
  expect_recovery(clickhouse(), *millrace);
  EXPECT_EQ(millrace->stop(), 0);
}

TEST_F(RefusalCodes, SessionThatSomebodyElseHolds) {
  create_rows_table(clickhouse(), subject(), 100'000);
  const auto millrace = start_with_half(clickhouse());
  const std::string status = millrace->get("/status").body;
  const std::string key = R"("clickhouse_session":")";
  ASSERT_NE(status.find(key), std::string::npos) << status;
  const auto begin = status.find(key) + key.size();
  const std::string session = status.substr(begin, status.find('"', begin) - begin);
  const EndlessQuery other(clickhouse(), subject(), "&session_id=" + session);
  produce_half(1);
  // It takes another session, and does not wait for that one.
  expect_recovery(clickhouse(), *millrace);
  EXPECT_EQ(millrace->metric("millrace_retries_total", {R"(code="SESSION_IS_LOCKED")"}), 1);
  EXPECT_EQ(millrace->stop(), 0);
}

TEST_F(RefusalCodes, PasswordThatIsChangedAndChangedBack) {
  const auto users = [](const std::string& password) {
    const std::string common =
        "<networks><ip>::/0</ip></networks><quota>default</quota><profile>default</profile>";
    return "<profiles><default/></profiles><quotas><default/></quotas><users><default><password/>" +
           common + "</default><feeder><password>" + password + "</password>" + common +
           "</feeder></users>";
  };
  RealClickHouse guarded({.folder = folder("clickhouse"), .users_xml = users("first")});
  const auto restart_with = [&](const std::string& password) {
    guarded.stop();
    guarded.configure(users(password));
    guarded.start();
  };
  guarded.start();
  create_rows_table(guarded, subject(), 100'000);
  const auto millrace = start_with_half(guarded, "user: feeder, password: first");
  restart_with("second");
  produce_half(1);
  expect_trouble(*millrace, "AUTHENTICATION_FAILED", true);
  restart_with("first");
  expect_recovery(guarded, *millrace);
  EXPECT_EQ(millrace->stop(), 0);
}

}  // namespace
}  // namespace millrace::test
