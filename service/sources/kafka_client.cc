#include "service/sources/kafka_client.h"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <future>
#include <stdexcept>
#include <thread>

namespace millrace {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kWakeTimeout{5};
constexpr milliseconds kClosePoll{20};
constexpr milliseconds kDestroyTimeout{3'000};  // usually some milliseconds

int to_int(milliseconds time) { return static_cast<int>(std::max(time, milliseconds{0}).count()); }

struct ListDeleter {
  void operator()(rd_kafka_topic_partition_list_t* list) const noexcept {
    rd_kafka_topic_partition_list_destroy(list);
  }
};
using List = std::unique_ptr<rd_kafka_topic_partition_list_t, ListDeleter>;

List to_list(const KafkaPartitions& partitions) {
  List list(rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())));
  for (const KafkaPartition& each : partitions) {
    rd_kafka_topic_partition_t* added =
        rd_kafka_topic_partition_list_add(list.get(), each.topic.c_str(), each.partition);
    added->offset = each.offset;
    if (each.metadata.empty()) continue;
    added->metadata = ::strdup(each.metadata.c_str());  // the list frees it
    added->metadata_size = each.metadata.size();
  }
  return list;
}

KafkaPartitions from_list(const rd_kafka_topic_partition_list_t* list) {
  KafkaPartitions partitions;
  if (list == nullptr) return partitions;
  partitions.reserve(static_cast<std::size_t>(list->cnt));
  for (int i = 0; i < list->cnt; ++i) {
    const rd_kafka_topic_partition_t& each = list->elems[i];
    const std::string_view metadata(static_cast<const char*>(each.metadata), each.metadata_size);
    partitions.push_back(
        {each.topic, each.partition, each.offset, kafka_error(each.err), std::string(metadata)});
  }
  return partitions;
}

// Takes the error object that many calls return.
KafkaError take(rd_kafka_error_t* error) {
  if (error == nullptr) return {};
  KafkaError taken = kafka_error(rd_kafka_error_code(error), rd_kafka_error_string(error));
  taken.fatal = taken.fatal || rd_kafka_error_is_fatal(error) != 0;
  rd_kafka_error_destroy(error);
  return taken;
}

LogLevel log_level(int syslog_level) {
  if (syslog_level <= 3) return LogLevel::kError;
  if (syslog_level == 4) return LogLevel::kWarning;
  return syslog_level <= 6 ? LogLevel::kInfo : LogLevel::kDebug;
}

std::chrono::milliseconds session_timeout_of(const rd_kafka_conf_t* conf) {
  std::array<char, 32> text{};
  std::size_t size = text.size();
  if (rd_kafka_conf_get(conf, "session.timeout.ms", text.data(), &size) != RD_KAFKA_CONF_OK) {
    return milliseconds{45'000};
  }
  return milliseconds{std::atoll(text.data())};
}

}  // namespace

void KafkaHandleDeleter::operator()(rd_kafka_s* handle) const noexcept {
  // Without the flag it would leave the group first, which has no time limit: close() has.
  rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}
void KafkaConfDeleter::operator()(rd_kafka_conf_s* conf) const noexcept {
  rd_kafka_conf_destroy(conf);
}
void KafkaQueueDeleter::operator()(rd_kafka_queue_s* queue) const noexcept {
  rd_kafka_queue_destroy(queue);
}
void KafkaMessageDeleter::operator()(rd_kafka_message_s* message) const noexcept {
  rd_kafka_message_destroy(message);
}

bool end_client(KafkaHandle handle, std::shared_ptr<void> keep) {
  if (!handle) return true;
  std::promise<void> done;
  const std::future<void> finished = done.get_future();
  std::thread destroyer(
      [handle = std::move(handle), keep = std::move(keep), done = std::move(done)]() mutable {
        handle.reset();
        done.set_value();
      });
  if (finished.wait_for(kDestroyTimeout) == std::future_status::ready) {
    destroyer.join();
    return true;
  }
  destroyer.detach();
  return false;
}

KafkaError kafka_error(int code, std::string text) {
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  const auto err = static_cast<rd_kafka_resp_err_t>(code);
  if (text.empty()) text = rd_kafka_err2str(err);
  return {code, rd_kafka_err2name(err), std::move(text), err == RD_KAFKA_RESP_ERR__FATAL};
}

int kafka_library_version() { return rd_kafka_version(); }

bool KafkaMessage::is_error() const noexcept { return message_->err != RD_KAFKA_RESP_ERR_NO_ERROR; }
KafkaError KafkaMessage::error() const {
  const char* text = rd_kafka_message_errstr(message_.get());
  return kafka_error(message_->err, text == nullptr ? "" : text);
}
const void* KafkaMessage::topic_handle() const noexcept { return message_->rkt; }
std::string KafkaMessage::topic() const {
  return message_->rkt == nullptr ? "" : rd_kafka_topic_name(message_->rkt);
}
std::int32_t KafkaMessage::partition() const noexcept { return message_->partition; }
std::int64_t KafkaMessage::offset() const noexcept { return message_->offset; }
std::size_t KafkaMessage::bytes() const noexcept { return message_->len + message_->key_len; }
std::int64_t KafkaMessage::timestamp_ms() const noexcept {
  rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
  return rd_kafka_message_timestamp(message_.get(), &type);
}
bool KafkaMessage::is_tombstone() const noexcept { return message_->payload == nullptr; }

Record KafkaMessage::record(Wants wants, std::vector<RecordHeader>& headers) const {
  Record record;
  record.offset = message_->offset;
  record.tombstone = is_tombstone();
  if (!record.tombstone) {
    record.payload = {static_cast<const char*>(message_->payload), message_->len};
  }
  if (wants.key && message_->key != nullptr) {
    record.key = {static_cast<const char*>(message_->key), message_->key_len};
    record.has_key = true;
  }
  if (wants.timestamp) record.timestamp_ms = timestamp_ms();
  if (!wants.headers && !wants.traceparent) return record;
  rd_kafka_headers_t* list = nullptr;
  if (rd_kafka_message_headers(message_.get(), &list) != RD_KAFKA_RESP_ERR_NO_ERROR) return record;
  const void* value = nullptr;
  std::size_t size = 0;
  if (wants.traceparent &&
      rd_kafka_header_get_last(list, "traceparent", &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR) {
    record.traceparent = {static_cast<const char*>(value), size};
  }
  if (wants.headers) {
    headers.clear();
    const char* name = nullptr;
    for (std::size_t i = 0;
         rd_kafka_header_get_all(list, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
         ++i) {
      headers.push_back({name, {static_cast<const char*>(value), size}});
    }
    record.headers = headers;
  }
  return record;
}

// What librdkafka calls while it is polled (the log: on any of its threads).
struct KafkaConsumer::Callbacks {
  static void rebalance(rd_kafka_t* handle, rd_kafka_resp_err_t what,
                        rd_kafka_topic_partition_list_t* partitions, void* opaque) {
    auto kind = KafkaRebalance::Kind::kAssign;
    if (what != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
      kind = rd_kafka_assignment_lost(handle) != 0 ? KafkaRebalance::Kind::kLost
                                                   : KafkaRebalance::Kind::kRevoke;
    }
    static_cast<Inbox*>(opaque)->rebalances.push_back({kind, from_list(partitions)});
  }
  static void error(rd_kafka_t* handle, int code, const char* text, void* opaque) {
    KafkaError error = kafka_error(code, text);
    if (error.fatal) {
      std::array<char, 512> original{};
      const auto cause = rd_kafka_fatal_error(handle, original.data(), original.size());
      error = kafka_error(cause, original.data());
      error.fatal = true;
    }
    static_cast<Inbox*>(opaque)->errors.push_back(std::move(error));
  }
  static void commit(rd_kafka_t*, rd_kafka_resp_err_t code,
                     rd_kafka_topic_partition_list_t* partitions, void* opaque) {
    auto* inbox = static_cast<Inbox*>(opaque);
    inbox->commit_in_flight = false;
    inbox->commit_result = KafkaCommitResult{kafka_error(code), from_list(partitions)};
  }
  static void log(const rd_kafka_t* handle, int level, const char* facility, const char* text) {
    const auto* inbox = static_cast<const Inbox*>(rd_kafka_opaque(handle));
    if (inbox == nullptr || !inbox->log || inbox->quiet) return;
    inbox->log({log_level(level), std::string("librdkafka/") + facility, text, {}});
  }
};

KafkaConsumer::KafkaConsumer(const KafkaSourceOptions& options, const std::string& client_id,
                             LogSink log) {
  inbox_->log = std::move(log);
  std::vector<std::string> faults;
  KafkaConf conf = make_kafka_conf(options, client_id, faults);
  if (!faults.empty()) throw std::runtime_error(faults.front());
  session_timeout_ = session_timeout_of(conf.get());
  rd_kafka_conf_set_opaque(conf.get(), inbox_.get());
  rd_kafka_conf_set_rebalance_cb(conf.get(), &Callbacks::rebalance);
  rd_kafka_conf_set_error_cb(conf.get(), &Callbacks::error);
  rd_kafka_conf_set_log_cb(conf.get(), &Callbacks::log);
  std::array<char, 512> text{};
  handle_.reset(rd_kafka_new(RD_KAFKA_CONSUMER, conf.get(), text.data(), text.size()));
  if (!handle_) throw std::runtime_error(std::string("librdkafka: ") + text.data());
  (void)conf.release();  // it belongs to the handle now
  rd_kafka_poll_set_consumer(handle_.get());
  queue_.reset(rd_kafka_queue_get_consumer(handle_.get()));
  commit_queue_.reset(rd_kafka_queue_new(handle_.get()));
}

KafkaConsumer::~KafkaConsumer() {
  if (!handle_) return;
  queue_.reset();
  commit_queue_.reset();
  if (end_client(std::move(handle_), inbox_)) return;
  inbox_->quiet = true;
  if (inbox_->log) {
    inbox_->log({LogLevel::kWarning,
                 "kafka/destroy",
                 "librdkafka does not end its threads (a topic was deleted?): they are left behind",
                 {}});
  }
}

KafkaError KafkaConsumer::subscribe(const std::vector<std::string>& topics) {
  KafkaPartitions wanted;
  for (const std::string& topic : topics) wanted.push_back({topic, RD_KAFKA_PARTITION_UA});
  return kafka_error(rd_kafka_subscribe(handle_.get(), to_list(wanted).get()));
}

KafkaMessage KafkaConsumer::poll(milliseconds timeout) {
  return KafkaMessage(rd_kafka_consumer_poll(handle_.get(), to_int(timeout)));
}

std::optional<KafkaRebalance> KafkaConsumer::take_rebalance() {
  if (inbox_->rebalances.empty()) return {};
  KafkaRebalance first = std::move(inbox_->rebalances.front());
  inbox_->rebalances.pop_front();
  owes_answer_ = true;
  return first;
}

std::vector<KafkaError> KafkaConsumer::take_errors() { return std::exchange(inbox_->errors, {}); }

KafkaError KafkaConsumer::committed(KafkaPartitions& partitions, milliseconds timeout) {
  for (KafkaPartition& each : partitions) each.offset = KafkaPartition::kNoOffset;
  const List list = to_list(partitions);
  if (KafkaError error =
          kafka_error(rd_kafka_committed(handle_.get(), list.get(), to_int(timeout)))) {
    return error;
  }
  partitions = from_list(list.get());
  for (const KafkaPartition& each : partitions) {
    if (each.error) return each.error;
  }
  return {};
}

bool KafkaConsumer::reaches_coordinator(const std::string& topic, milliseconds timeout) {
  KafkaPartitions any{{topic, 0}};
  const KafkaError error = committed(any, timeout);
  return !error ||
         !(error.name == "_TIMED_OUT" || error.name == "_TRANSPORT" ||
           error.name == "_WAIT_COORD" || error.name == "COORDINATOR_NOT_AVAILABLE" ||
           error.name == "COORDINATOR_LOAD_IN_PROGRESS" || error.name == "NOT_COORDINATOR");
}

KafkaError KafkaConsumer::offsets_for_times(KafkaPartitions& partitions, milliseconds timeout) {
  const List list = to_list(partitions);
  const auto code = rd_kafka_offsets_for_times(handle_.get(), list.get(), to_int(timeout));
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) partitions = from_list(list.get());
  return kafka_error(code);
}

// Not by rd_kafka_query_watermark_offsets(): of librdkafka 2.0.2 that one waits for an answer until
// the request is given up (socket.timeout.ms, a minute), whatever time it is given.
KafkaError KafkaConsumer::query_watermarks(const KafkaPartition& of, milliseconds timeout,
                                           Watermarks& out) {
  const auto ask = [&](std::int64_t which, std::int64_t& answer) {
    const List list = to_list({{of.topic, of.partition, which}});
    const auto failed = rd_kafka_offsets_for_times(handle_.get(), list.get(), to_int(timeout));
    const rd_kafka_topic_partition_t& found = list->elems[0];
    if (failed != RD_KAFKA_RESP_ERR_NO_ERROR) return kafka_error(failed);
    if (found.err != RD_KAFKA_RESP_ERR_NO_ERROR) return kafka_error(found.err);
    if (found.offset < 0) return kafka_error(RD_KAFKA_RESP_ERR__TIMED_OUT);  // none has come
    answer = found.offset;
    return KafkaError{};
  };
  if (KafkaError error = ask(RD_KAFKA_OFFSET_BEGINNING, out.low)) return error;
  return ask(RD_KAFKA_OFFSET_END, out.high);
}

KafkaConsumer::Watermarks KafkaConsumer::cached_watermarks(const std::string& topic,
                                                           std::int32_t partition) {
  Watermarks found;
  if (rd_kafka_get_watermark_offsets(handle_.get(), topic.c_str(), partition, &found.low,
                                     &found.high) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    return {};
  }
  return found;  // librdkafka says "invalid" by a number below 0, as we do
}

std::size_t KafkaConsumer::queued() const noexcept {
  return queue_ ? rd_kafka_queue_length(queue_.get()) : 0;
}

// Any request will do; of those that take a list this one costs the broker least. An answer that
// comes too late is dropped.
void KafkaConsumer::wake_fetchers(const KafkaPartitions& partitions) {
  const List list = to_list(partitions);
  for (int i = 0; i < list->cnt; ++i) list->elems[i].offset = kEnd;
  (void)rd_kafka_offsets_for_times(handle_.get(), list.get(), to_int(kWakeTimeout));
}

bool KafkaConsumer::cooperative() const {
  return std::string_view(rd_kafka_rebalance_protocol(handle_.get())) == "COOPERATIVE";
}

KafkaError KafkaConsumer::assign(const KafkaPartitions& all, const KafkaPartitions& added) {
  owes_answer_ = false;
  if (cooperative()) {
    return take(rd_kafka_incremental_assign(handle_.get(), to_list(added).get()));
  }
  return kafka_error(rd_kafka_assign(handle_.get(), to_list(all).get()));
}

KafkaError KafkaConsumer::unassign(const KafkaPartitions& removed) {
  owes_answer_ = false;
  // librdkafka remembers a pause beyond the assignment: a partition that comes back would never be
  // read.
  (void)resume(removed);
  if (cooperative()) {
    return take(rd_kafka_incremental_unassign(handle_.get(), to_list(removed).get()));
  }
  return kafka_error(rd_kafka_assign(handle_.get(), nullptr));
}

KafkaError KafkaConsumer::restart(const KafkaPartitions& all, const KafkaPartition& one) {
  // Not by a seek: a partition that met an offset out of range is not being fetched any more, and
  // a seek does not change that.
  if (!cooperative()) return kafka_error(rd_kafka_assign(handle_.get(), to_list(all).get()));
  const List list = to_list({one});
  if (KafkaError error = take(rd_kafka_incremental_unassign(handle_.get(), list.get()))) {
    return error;
  }
  return take(rd_kafka_incremental_assign(handle_.get(), list.get()));
}

KafkaError KafkaConsumer::pause(const KafkaPartitions& partitions) {
  return kafka_error(rd_kafka_pause_partitions(handle_.get(), to_list(partitions).get()));
}

KafkaError KafkaConsumer::resume(const KafkaPartitions& partitions) {
  return kafka_error(rd_kafka_resume_partitions(handle_.get(), to_list(partitions).get()));
}

KafkaError KafkaConsumer::start_commit(const KafkaPartitions& partitions) {
  KafkaError error =
      kafka_error(rd_kafka_commit_queue(handle_.get(), to_list(partitions).get(),
                                        commit_queue_.get(), &Callbacks::commit, inbox_.get()));
  if (!error) inbox_->commit_in_flight = true;
  return error;
}

std::optional<KafkaCommitResult> KafkaConsumer::take_commit_result(milliseconds timeout) {
  // Only this way of polling calls the callback; rd_kafka_queue_poll() would make an event of it.
  if (!inbox_->commit_result) rd_kafka_queue_poll_callback(commit_queue_.get(), to_int(timeout));
  return std::exchange(inbox_->commit_result, {});
}

bool KafkaConsumer::close(milliseconds timeout) {
  queue_.reset();  // or librdkafka would wait for it
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  const bool owed = owes_answer_ || !inbox_->rebalances.empty();
  inbox_->rebalances.clear();
  const KafkaQueue events(rd_kafka_queue_new(handle_.get()));
  if (take(rd_kafka_consumer_close_queue(handle_.get(), events.get()))) return false;
  // Only now: before, it would have joined the group again.
  if (owed) rd_kafka_assign(handle_.get(), nullptr);
  while (rd_kafka_consumer_closed(handle_.get()) == 0) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    // Not rd_kafka_queue_poll_callback(): it aborts the process when it meets a message.
    (void)poll(kClosePoll);
    if (take_rebalance()) rd_kafka_assign(handle_.get(), nullptr);
  }
  return true;
}

}  // namespace millrace
