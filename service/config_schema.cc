#include "service/config_schema.h"

#include <tuple>

#include "service/config_declare.h"
#include "transport/error.h"

namespace millrace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

using Process = Declare<Config>;
using Flow = Declare<PipelineConfig>;

constexpr std::size_t kKiB = 1u << 10, kMiB = 1u << 20, kGiB = 1u << 30;
constexpr std::size_t kTiB = kGiB << 10;
constexpr seconds kOneHour{3600};

const std::vector<std::pair<std::string, bool>> kTrueFalse{{"true", true}, {"false", false}};

std::string same(const std::string& text) { return text; }

using ProcessSettings = std::vector<Setting<Config>>;

Endpoint parse_endpoint_setting(const std::string& url) {
  // Before the parser sees it, whose text might repeat the password.
  if (url.find('@') != std::string::npos)
    throw std::invalid_argument(
        "has a user or password in it; they belong into clickhouse.user and clickhouse.password");
  try {
    return parse_endpoint(url);
  } catch (const UsageError& error) {
    std::string why = error.what();
    if (const std::string prefix = "endpoint '" + url + "': "; why.starts_with(prefix))
      why.erase(0, prefix.size());
    throw std::invalid_argument("is refused: " + why);
  }
}

constexpr std::string_view kHttpStatus = "HTTP_";  // of an answer without a code: kept as -413

int parse_error_code(const std::string& text) {
  if (text.starts_with(kHttpStatus)) {
    const std::uint64_t status = parse_count(text.substr(kHttpStatus.size()));
    if (status < 300 || status > 599) throw std::invalid_argument("is no HTTP status of an error");
    return -static_cast<int>(status);
  }
  const std::uint64_t code = parse_count(text);
  if (code == 0 || code > 99'999)
    throw std::invalid_argument("is no error code of ClickHouse, and no HTTP_413");
  return static_cast<int>(code);
}

Disposition parse_disposition(const std::string& text) {
  for (const auto what :
       {Disposition::kRetry, Disposition::kWait, Disposition::kSplit, Disposition::kDeadLetter}) {
    if (text == to_string(what)) return what;
  }
  throw std::invalid_argument("is not one of retry, wait, split, dead_letter");
}

ProcessSettings clickhouse_settings() {
  return {
      Process::required(Process::list(
          "clickhouse.endpoints", "list of http[s]://host[:port][/path]",
          FIELD(clickhouse.endpoints), parse_endpoint_setting,
          [](const Endpoint& endpoint) { return endpoint.to_string(); },
          "Where ClickHouse answers; several are used in turn, and one that fails is avoided for "
          "a while.")),
      Process::text("clickhouse.user", FIELD(clickhouse.client.user), "The ClickHouse user."),
      Process::live(
          Process::secret(Process::text("clickhouse.password", FIELD(clickhouse.client.password),
                                        "The user's password; best as ${file:/path} or ${NAME}."))),
      Process::text("clickhouse.database", FIELD(clickhouse.client.database),
                    "The database of tables that are named without one."),
      Process::map("clickhouse.settings", "map of ClickHouse setting to value",
                   FIELD(clickhouse.client.settings),
                   "ClickHouse settings that go with every request."),
      Process::map("clickhouse.insert_settings", "map of ClickHouse setting to value",
                   FIELD(clickhouse.insert_settings),
                   "ClickHouse settings that go with inserts only."),
      Process::choice("clickhouse.session.policy", FIELD(clickhouse.client.session_policy),
                      std::vector<std::pair<std::string, ClickHouseSessionPolicy>>{
                          {"per_client", ClickHouseSessionPolicy::kPerClient},
                          {"per_query", ClickHouseSessionPolicy::kPerQuery},
                          {"none", ClickHouseSessionPolicy::kNone}},
                      "Which ClickHouse session queries run in: one for each worker, one for "
                      "each query, or none."),
      Process::duration("clickhouse.session.timeout", FIELD(clickhouse.client.session_timeout),
                        seconds(1), kOneHour,
                        "How long the server keeps an unused ClickHouse session; longer keeps "
                        "more of them in its memory."),
      Process::live(Process::map_of(
          "clickhouse.dispositions",
          "map of ClickHouse error code (or HTTP_413, a proxy's answer) to one of retry, wait, "
          "split, "
          "dead_letter",
          FIELD(workers.retry.dispositions), parse_error_code,
          [](int code) {
            return code > 0 ? std::to_string(code)
                            : std::string(kHttpStatus) + std::to_string(-code);
          },
          parse_disposition, [](Disposition what) { return std::string(to_string(what)); },
          "What to do with a block that ClickHouse refused with this code, instead of "
          "what millrace does by itself: send it again, wait until somebody acts, find "
          "the rows at fault, or put all its rows aside.")),
      Process::duration("clickhouse.request_timeout", FIELD(clickhouse.client.request_timeout),
                        seconds(1), hours(24),
                        "Deadline of one request as a whole; longer notices a dead server later, "
                        "shorter repeats inserts that were only slow."),
      Process::text("clickhouse.proof_header", FIELD(clickhouse.client.proof_header),
                    "For a proxy that takes ClickHouse's own header fields away: the name of one "
                    "that it lets through (ETag), in which ClickHouse 24.12 or later is asked to "
                    "answer with the query's ID. Empty: X-ClickHouse-Query-Id or "
                    "X-ClickHouse-Summary. An answer without it is not believed."),
      Process::choice("clickhouse.trust_status", FIELD(clickhouse.client.trust_status),
                      std::vector<std::pair<std::string, bool>>{{"true", true}, {"false", false}},
                      "true believes an insert whose answer is an empty 2xx without any proof: "
                      "rows are lost when something else than ClickHouse gives it, so "
                      "exactly_once is refused. Only for a proxy that lets no header field "
                      "through."),
  };
}

ProcessSettings pool_settings() {
  return {
      Process::count("clickhouse.pool.soft_limit", FIELD(clickhouse.pool.soft_limit), 1, 10'000,
                     "Open connections for each endpoint above which idle ones are closed "
                     "sooner; more keeps more sockets on both sides."),
      Process::count("clickhouse.pool.hard_limit", FIELD(clickhouse.pool.hard_limit), 1, 10'000,
                     "Open connections for each endpoint at most, who comes later waits; more "
                     "lets more requests load the server at once."),
      Process::count("clickhouse.pool.store_limit", FIELD(clickhouse.pool.store_limit), 1, 10'000,
                     "Idle connections kept for each endpoint; more spares handshakes after a "
                     "lull and holds more sockets during it."),
      Process::duration("clickhouse.pool.acquire_timeout", FIELD(clickhouse.pool.acquire_timeout),
                        milliseconds(10), minutes(10),
                        "How long a request waits for a free connection; longer hides a pool that "
                        "is too small."),
      Process::duration("clickhouse.pool.connect_timeout", FIELD(clickhouse.pool.connect_timeout),
                        milliseconds(10), minutes(5),
                        "How long opening a connection may take; longer tries the next endpoint "
                        "later."),
      Process::duration("clickhouse.pool.idle_timeout", FIELD(clickhouse.pool.idle_timeout),
                        milliseconds(100), kOneHour,
                        "An idle connection older than this, or than 0.8 times what the server "
                        "announces, is not used again; longer meets more that the network has "
                        "dropped."),
      Process::duration("clickhouse.pool.max_age", FIELD(clickhouse.pool.max_age), milliseconds(0),
                        hours(24),
                        "A connection is replaced at this age, 0 is never; longer follows changes "
                        "of DNS and load balancers later."),
      Process::duration("clickhouse.pool.tcp_keep_alive", FIELD(clickhouse.pool.tcp_keep_alive),
                        seconds(0), kOneHour,
                        "Interval of TCP keep-alive probes, 0 is off; longer finds a vanished "
                        "host later."),
      Process::duration("clickhouse.pool.tcp_user_timeout", FIELD(clickhouse.pool.tcp_user_timeout),
                        milliseconds(0), kOneHour,
                        "How long sent data may stay unacknowledged before the connection is "
                        "given up, 0 is the kernel's choice; longer finds a vanished host later."),
  };
}

// Files are read again with each reload, so that renewed certificates are taken.
ProcessSettings tls_settings() {
  return {
      Process::text("clickhouse.tls.ca_cert", FIELD(clickhouse.pool.tls.ca_cert),
                    "PEM file of the authorities whose certificates are trusted at https "
                    "endpoints; empty: the system's."),
      Process::text("clickhouse.tls.client_cert", FIELD(clickhouse.pool.tls.client_cert),
                    "PEM file of the certificate that is presented, and its chain; empty: none."),
      Process::text("clickhouse.tls.client_cert_key", FIELD(clickhouse.pool.tls.client_cert_key),
                    "PEM file of its key; empty: it is in client_cert, too."),
      Process::text("clickhouse.tls.server_host_name", FIELD(clickhouse.pool.tls.server_host_name),
                    "The name that the server's certificate must have; empty: the endpoint's."),
      Process::choice("clickhouse.tls.verify", FIELD(clickhouse.pool.tls.verify), kTrueFalse,
                      "false takes any certificate, so that whoever is in between can read and "
                      "change everything."),
  };
}

ProcessSettings other_process_settings() {
  return {
      Process::count("workers.count", FIELD(workers.count), 1, 1'024,
                     "Threads that insert, each one block at a time; more loads the server with "
                     "more inserts at once and makes more, smaller parts."),
      Process::live(Process::duration(
          "workers.retry.first", FIELD(workers.retry.first), milliseconds(1), minutes(1),
          "Upper end of the random pause before the first retry, doubled for each "
          "further one; longer recovers later from a hiccup.")),
      Process::live(Process::duration(
          "workers.retry.max", FIELD(workers.retry.max), milliseconds(1), kOneHour,
          "Upper end of the pause between retries; longer spares a server in "
          "trouble and notices its recovery later.")),
      Process::live(Process::duration(
          "workers.retry.wait_probe", FIELD(workers.retry.wait_probe), milliseconds(10), kOneHour,
          "How soon a lane that waits for somebody to act (missing table, wrong "
          "password) is probed again; longer resumes later.")),
      Process::live(Process::duration(
          "workers.retry.wait_probe_max", FIELD(workers.retry.wait_probe_max), milliseconds(10),
          kOneHour, "What that interval grows to; longer resumes later.")),
      Process::bytes("memory.budget", FIELD(memory.budget_bytes), kMiB, kTiB,
                     "Bytes of everything in flight: broker prefetch, open and queued blocks, "
                     "requests; more memory bridges longer pauses of the server. The process "
                     "itself needs about 100MiB besides."),
      Process::value(
          "admin.listen", "host:port", "",
          [](auto& root) { return std::tie(root.admin.host, root.admin.port); }, parse_host_port,
          [](const auto& listen) {
            return print_host_port(std::get<0>(listen), std::get<1>(listen));
          },
          "Where the page, /metrics, /livez, /readyz and /status answer; port 0 takes a free one, "
          "0.0.0.0 "
          "lets everybody ask who reaches the host."),
      Process::live(Process::secret(Process::text(
          "admin.token", FIELD(admin.token),
          "What requests that change something (reload, drain, pause …) must bring as "
          "`Authorization: Bearer …`; best as ${file:/path}. Empty: such requests are taken from "
          "this host only."))),
      Process::choice("admin.protect_reads", FIELD(admin.protect_reads), kTrueFalse,
                      "true: /status and the page need `admin.token`, too: as `Authorization: "
                      "Bearer …`, or in a browser as the password of any user. The probes and "
                      "/metrics stay open."),
      Process::list(
          "admin.allowed_hosts", "list of names", FIELD(admin.allowed_hosts), same, same,
          "Names by which the admin port may be asked, besides addresses, localhost and the host "
          "of `admin.listen`; `*.example.com` is each name below it. A request for another host "
          "is refused: a page of somebody else could make a browser send it."),
      Process::choice("admin.ready_while_waiting", FIELD(admin.ready_while_waiting), kTrueFalse,
                      "What /readyz says while lanes wait for somebody to act, after a missing "
                      "table for example: true is 200 with the reasons, false is 503."),
      Process::live(Process::word("log.level", FIELD(log.level),
                                  {"debug", "info", "warning", "error"},
                                  "Events below this level are not logged.")),
      Process::choice(
          "log.format", FIELD(log.format),
          std::vector<std::pair<std::string, LogFormat>>{
              {"auto", LogFormat::kAuto}, {"text", LogFormat::kText}, {"json", LogFormat::kJson}},
          "How a line of the log looks; auto is text on a terminal, else JSON."),
      Process::live(Process::duration(
          "shutdown.grace", FIELD(shutdown.grace), milliseconds(100), kOneHour,
          "How long SIGTERM lets blocks in flight be inserted and committed; must "
          "be shorter than what the supervisor grants before SIGKILL.")),
  };
}

std::vector<Setting<PipelineConfig>> kafka_settings() {
  return {
      Flow::required(Flow::text("source.kafka.brokers", FIELD(kafka.brokers),
                                "Kafka brokers to start from: host:port, several with commas.")),
      Flow::text("source.kafka.group", FIELD(kafka.group),
                 "The consumer group, which holds the progress; another name starts anew."),
      Flow::required(Flow::list("source.kafka.topics", "list of topics", FIELD(kafka.topics), same,
                                same,
                                "Topics to read; an entry that begins with ^ is a regular "
                                "expression over topic names.")),
      Flow::count("source.kafka.consumers", FIELD(kafka.consumers), 1, 256,
                  "Consumer threads, each a member of the group; more than partitions idle, and "
                  "each takes prefetch from memory.budget."),
      Flow::word("source.kafka.assignment", FIELD(kafka.assignment),
                 {"range", "roundrobin", "cooperative-sticky"},
                 "How the group shares partitions. cooperative-sticky needs librdkafka 2.3.0 or "
                 "later (Debian 12 has 2.0.2, which can end the process)."),
      Flow::word(
          "source.kafka.start_offset", FIELD(kafka.start_offset), {"earliest", "latest", "error"},
          "Where a group that has committed nothing starts. latest: behind what is there when "
          "the group begins, which is committed at once; a partition, or a topic of a "
          "pattern or of this list, that comes later is read from its first offset. The "
          "same when the broker has let the group's offsets expire. error: waits for an "
          "operator."),
      Flow::bytes("source.kafka.prefetch", FIELD(kafka.prefetch_bytes), 64 * kKiB, kGiB,
                  "What each consumer reads ahead, part of memory.budget; more evens out a slow "
                  "broker and leaves less memory for blocks. Fetches are limited as the "
                  "broker sends them: messages that compress 37 to 1 took 145MiB beyond it."),
      Flow::duration("source.kafka.commit_interval", FIELD(kafka.commit_interval), milliseconds(10),
                     minutes(5),
                     "How often offsets are committed; longer repeats more rows after a crash."),
      Flow::choice("source.kafka.tombstones", FIELD(kafka.tombstones),
                   std::vector<std::pair<std::string, Tombstones>>{
                       {"skip", Tombstones::kSkip}, {"empty_payload", Tombstones::kEmptyPayload}},
                   "What becomes of messages without a value: counted and skipped, or a row: of "
                   "JSONEachRow one of the `columns` alone, all else its default; of TSV, CSV, "
                   "TSKV and LineAsString what an empty line is. Not for other formats. "
                   "`columns.deleted` tells them from other rows."),
      Flow::map("source.kafka.options", "map of librdkafka option to value", FIELD(kafka.options),
                "librdkafka options, such as those of SASL and TLS; they win over millrace's own."),
  };
}

std::vector<Setting<PipelineConfig>> row_settings() {
  const auto column = [](const std::string& what) {
    return "Column of each row for the message's " + what + "; none when empty. JSONEachRow only.";
  };
  return {
      Flow::text("table", FIELD(table),
                 "The table, name or database.name; empty: named as the topic."),
      Flow::map("tables", "map of topic to table", FIELD(tables),
                "The table by topic; wins over `table`."),
      Flow::text("format", FIELD(format),
                 "ClickHouse format of the messages; one whose messages can stand one behind the "
                 "other, such as JSONEachRow, CSV, TSV, RowBinary."),
      Flow::choice(
          "encoding", FIELD(encoding),
          std::vector<std::pair<std::string, Encoding>>{{"native", Encoding::kNative},
                                                        {"as_is", Encoding::kAsIs}},
          "native: rows of JSONEachRow, JSONCompactEachRow, TSV and CSV are read here and sent as "
          "Native columns, which costs ClickHouse a fraction; another format, or a table "
          "with columns for which that can't be done is passed on as it is, and the log "
          "says so. as_is: ClickHouse reads them."),
      Flow::choice("compression.codec", FIELD(compression.codec),
                   std::vector<std::pair<std::string, Codec>>{
                       {"none", Codec::kNone}, {"lz4", Codec::kLz4}, {"zstd", Codec::kZstd}},
                   "What bodies are compressed with. It costs millrace and ClickHouse CPU, and "
                   "pays where the network between them is slow, or paid for by the byte."),
      Flow::count("compression.level", FIELD(compression.level), 0, 22,
                  "lz4: up to 12, zstd: up to 22; 0 is the codec's usual one, 0 and 3."),
      Flow::choice(
          "trace_context", FIELD(trace_context),
          std::vector<std::pair<std::string, TraceContext>>{{"none", TraceContext::kNone},
                                                            {"first", TraceContext::kFirst}},
          "first: the `traceparent` header of the first message of a block that has one "
          "goes with its insert, so that ClickHouse's spans (system.opentelemetry_span_log) "
          "belong to that trace."),
      Flow::text("columns.topic", FIELD(columns.topic), column("topic")),
      Flow::text("columns.partition", FIELD(columns.partition), column("partition")),
      Flow::text("columns.offset", FIELD(columns.offset), column("offset")),
      Flow::text("columns.timestamp", FIELD(columns.timestamp), column("timestamp")),
      Flow::text("columns.key", FIELD(columns.key), column("key")),
      Flow::text("columns.headers", FIELD(columns.headers), column("headers")),
      Flow::text("columns.deleted", FIELD(columns.deleted),
                 "Column of each row that is 1 if the message has no value, else 0: the is_deleted "
                 "of a ReplacingMergeTree(version, is_deleted), with columns.offset as version and "
                 "columns.key as key. It needs source.kafka.tombstones: empty_payload. JSONEachRow "
                 "only."),
      Flow::choice(
          "delivery", FIELD(kafka.delivery),
          std::vector<std::pair<std::string, Delivery>>{{"auto", Delivery::kAuto},
                                                        {"at_least_once", Delivery::kAtLeastOnce},
                                                        {"exactly_once", Delivery::kExactlyOnce}},
          "auto: every block is written down in Kafka before it is sent, so that after a crash "
          "the same blocks are sent again, and ClickHouse drops what it has: exactly once in "
          "tables that remember tokens, as any Replicated one does, and a plain MergeTree with "
          "non_replicated_deduplication_window. exactly_once: nothing is sent to a table that "
          "can't give it; its lanes wait. at_least_once: nothing is written down. `millrace "
          "check` and /status tell what holds of each table."),
      Flow::choice(
          "boundary", FIELD(boundary),
          std::vector<std::pair<std::string, Boundary>>{{"filled", Boundary::kFilled},
                                                        {"stride", Boundary::kStride}},
          "Where a partition is cut into blocks. filled: where `batch` says. stride: only "
          "at offsets that are multiples of batch.target_rows, for back-fills: who reads the "
          "partition again from any such offset, even with its progress in Kafka lost, "
          "sends the same blocks under the same tokens, and ClickHouse drops those that "
          "it remembers. The rows behind the last multiple wait until it is reached; "
          "the other limits of `batch` do not count. memory.budget should hold "
          "batch.target_rows of each partition. A topic that is made anew under its name "
          "needs another group."),
      Flow::choice(
          "on_expired_plan", FIELD(on_expired_plan),
          std::vector<std::pair<std::string, ExpiredPlan>>{{"stop", ExpiredPlan::kStop},
                                                           {"resend", ExpiredPlan::kResend},
                                                           {"verify", ExpiredPlan::kVerify}},
          "What to do with blocks that were written down so long ago that the table may "
          "have forgotten whether it has them (half of its deduplication window, in "
          "inserts or in seconds). stop: their lane waits. resend: "
          "their rows can be there twice. verify: rows are looked for by columns.topic, "
          "columns.partition and columns.offset, and those that are missing are sent."),
      Flow::live(Flow::count(
          "batch.target_rows", FIELD(batch.target_rows), 1, 100'000'000,
          "A block is sent when it has so many rows, but while all workers are busy it grows "
          "on. Never more than batch.max_rows. More makes fewer, larger parts and holds more "
          "memory.")),
      Flow::live(Flow::bytes(
          "batch.target_bytes", FIELD(batch.target_bytes), kKiB, kGiB,
          "A block is sent when it has so many bytes, but while all workers are busy it grows "
          "on. Never more than batch.max_bytes.")),
      Flow::live(Flow::count("batch.max_rows", FIELD(batch.max_rows), 1, 100'000'000,
                             "A block never has more rows, nor needs more to be sent.")),
      Flow::live(Flow::bytes("batch.max_bytes", FIELD(batch.max_bytes), kKiB, kGiB,
                             "A block is sent at the latest when it has so many bytes.")),
      Flow::live(
          Flow::duration("batch.max_age", FIELD(batch.max_age), milliseconds(1), kOneHour,
                         "A block is sent when its first row is so old; longer makes larger blocks "
                         "of a thin stream and shows rows later.")),
      Flow::choice("dead_letters.store", FIELD(dead_letters.store),
                   std::vector<std::pair<std::string, DeadLettersIn>>{
                       {"clickhouse", DeadLettersIn::kClickHouse},
                       {"file", DeadLettersIn::kFile},
                       {"kafka", DeadLettersIn::kKafka},
                       {"none", DeadLettersIn::kNone}},
                   "Where messages are kept that ClickHouse refuses even alone, so that the others "
                   "go on: a table, a file of JSON lines, or a topic. none: their lane waits."),
      Flow::text("dead_letters.table", FIELD(dead_letters.table),
                 "The table for store clickhouse, name or database.name, on the first of the "
                 "endpoints; made if it is missing."),
      Flow::text("dead_letters.file", FIELD(dead_letters.file),
                 "The file for store file; on a volume that outlives the process."),
      Flow::text(
          "dead_letters.topic", FIELD(dead_letters.topic),
          "The topic for store kafka, of the pipeline's own brokers; made if it is missing."),
      Flow::live(Flow::count(
          "lanes.max_blocks_in_flight", FIELD(lanes.max_blocks_in_flight), 1, 1'000,
          "Blocks of one lane (a partition) that may wait for their answer before it is "
          "paused; more repeats more rows after a crash.")),
  };
}

template <class T>
void append(std::vector<T>& all, std::vector<T> more) {
  for (T& each : more) all.push_back(std::move(each));
}

}  // namespace

template <class Root>
bool Setting<Root>::hides(const SettingEntry& entry) const {
  // A URL with a password in it, wherever somebody may have written it.
  const std::size_t at = entry.text.rfind('@');
  const bool credentials = at != std::string::npos && entry.text.find(':') < at;
  return secret || credentials || (shape == SettingShape::kMap && is_secret_name(entry.name));
}
template struct Setting<Config>;
template struct Setting<PipelineConfig>;

const std::vector<Setting<Config>>& process_settings() {
  static const auto settings = [] {
    ProcessSettings all = clickhouse_settings();
    append(all, Process::all_live(pool_settings()));
    append(all, Process::all_live(tls_settings()));
    append(all, other_process_settings());
    return all;
  }();
  return settings;
}

const std::vector<Setting<PipelineConfig>>& pipeline_settings() {
  static const auto settings = [] {
    std::vector<Setting<PipelineConfig>> all{
        Flow::required(Flow::text("name", FIELD(name),
                                  "The pipeline's name in logs and metrics; letters, digits, "
                                  "_, - and dots, and no other pipeline's."))};
    append(all, kafka_settings());
    append(all, row_settings());
    return all;
  }();
  return settings;
}

}  // namespace millrace
