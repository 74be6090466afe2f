#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "pipeline/guarantee.h"
#include "pipeline/insert_settings.h"
#include "pipeline/question.h"
#include "pipeline/refusal.h"
#include "pipeline/sender.h"
#include "pipeline/setting_check.h"

namespace millrace {
namespace {

constexpr int kNotImplemented = 48;  // "Method write is not supported by storage View"
constexpr int kUnknownSetting = 115;

// Of two limits; 0 is none.
std::uint64_t smaller(std::uint64_t one, std::uint64_t other) {
  return one == 0 || other == 0 ? std::max(one, other) : std::min(one, other);
}

class ClickHouseSender final : public BlockSender {
 public:
  ClickHouseSender(ClientOptions options, Settings insert_settings, EndpointList& endpoints,
                   HttpSessionPool& pool)
      : client_(options, endpoints, pool),
        bare_client_(without_settings(std::move(options)), endpoints, pool),
        settings_(std::move(insert_settings)) {}

  QuerySummary send(const TableTarget& target, const std::string& token,
                    const EncodedBody& body) override {
    if (target.delivery != Delivery::kAtLeastOnce) expect_guarantee(target);
    InsertOptions options;
    options.format = body.format;
    options.columns.assign(body.columns.begin(), body.columns.end());
    const bool misleads = token_misleads(target.table);
    if (!misleads) options.deduplication_token = token;
    options.compression = body.compression;
    if (!body.traceparent.empty()) options.headers["traceparent"] = body.traceparent;
    return with_settings(target, body.format, [&](Settings settings) {
      options.settings = std::move(settings);
      if (misleads) remember_nothing(options.settings);
      return client_.raw_insert(target.table, body.pieces, options);
    });
  }

  void probe(const TableTarget& target) override {
    ask_columns(client_, target.table);
    memory_.erase(target.table);  // it may be another table now
    misleads_.erase(target.table);
  }

  EncodeFacts encode_facts(const TableTarget& target) override {
    return with_settings(target, target.format, [&](const Settings& settings) {
      return ask_encode_facts(client_, target.table, settings);
    });
  }

  RepeatProof repeat_proof(const TableTarget& target, const FirstTry& then) override {
    return ask_repeat_proof(client_, target, then);
  }
  RowsByOffset rows_of_records(const TableTarget& target, const LaneId& lane, Cut range,
                               std::optional<FirstTry> since) override {
    return ask_rows_of_records(client_, target, lane, range, since);
  }
  bool may_have_forgotten(const TableTarget& target, const FirstTry& then) override {
    if (target.delivery == Delivery::kAtLeastOnce) return false;
    expect_guarantee(target);
    const auto found = memory_.find(target.table);
    return found != memory_.end() &&
           may_be_forgotten(found->second, ask_inserts_since(client_, target.table, then));
  }

  std::string why_part_may_be_in(const TableTarget& target,
                                 const TransportError& refusal) override {
    return millrace::why_part_may_be_in(ask_refusal_facts(client_, target.table), refusal);
  }

  std::string session_id() const override { return client_.session_id(); }

 private:
  static ClientOptions without_settings(ClientOptions options) {
    options.settings.clear();
    options.session_policy = ClickHouseSessionPolicy::kNone;
    return options;
  }

  // The server names one of them; an operator who changes the profile wants to know all.
  TransportError settings_refused(const ClickHouseError& error, Settings sent) {
    for (const auto& [name, value] : client_.options().settings) sent.try_emplace(name, value);
    const auto refused = ask_refused_settings(bare_client_, sent);
    const std::string all =
        refused.empty() ? "" : "; all that this user may not change so: " + setting_list(refused);
    return {error.what() + all,
            Disposition::kWait,
            false,
            {.code = error.code(), .name = error.details().name}};
  }

  // In words, where the error speaks of a storage or a column.
  void throw_if_view(const TableTarget& target, const ClickHouseError& error) {
    std::string words;
    try {
      if (const auto facts = ask_table_facts(client_, target.table))
        words = view_as_target(target.table, facts->engine);
    } catch (const TransportError&) {
      return;  // the first error says enough
    }
    if (words.empty()) return;
    throw TransportError(words + ": " + error.what(), Disposition::kWait, false,
                         {.code = error.code(), .name = error.details().name});
  }

  static void remember_nothing(Settings& settings) {
    const bool new_name = settings.contains("deduplicate_insert");
    settings[new_name ? "deduplicate_insert" : "insert_deduplicate"] = new_name ? "disable" : "0";
  }

  // Whether a repeat under its token can lose rows: then they go without one, and can come twice.
  // Asked once for each table.
  bool token_misleads(const std::string& table) {
    const auto known = misleads_.find(table);
    if (known != misleads_.end()) return known->second;
    const RefusalFacts facts = ask_refusal_facts(client_, table);
    if (facts.engine.empty()) return false;  // a table that is missing may come as another one
    return misleads_[table] = shards_at_random(facts);
  }
  // Asked once for each table. With `delivery: exactly_once` nothing is sent to one that would not
  // recognise a repeat.
  void expect_guarantee(const TableTarget& target) {
    const std::string& table = target.table;
    if (memory_.contains(table)) return;
    const auto guarantees = exactly_once_guarantees(
        client_, table,
        target.columns.name_records() ? Rows::kCanBeLookedFor : Rows::kCanNotBeLookedFor);
    // A table that is missing may come as another one.
    if (guarantees.empty() || guarantees.front().first != table) return;
    TableMemory memory;
    GuaranteeNote::Value note{true, guarantees.front().second.text};
    for (const auto& [name, guarantee] : guarantees) {
      const std::string text =
          (name == table ? "" : "by a view into " + name + ": ") + guarantee.text;
      if (!guarantee.possible && target.delivery == Delivery::kExactlyOnce) {
        throw TransportError("table " + table + ": " + text, Disposition::kWait, false,
                             {.name = "NOT_EXACTLY_ONCE"});
      }
      if (!guarantee.holds && note.holds) note = {false, text};
      memory.inserts = smaller(memory.inserts, guarantee.window);
      memory.seconds = smaller(memory.seconds, guarantee.window_seconds);
    }
    if (client_.options().trust_status) {
      note = {false,
              "exactly_once does not hold, and rows can be lost: clickhouse.trust_status believes "
              "what else answers 200; set clickhouse.proof_header instead"};
    }
    target.stats->guarantee.set(std::move(note));
    memory_.emplace(table, memory);
  }

  // A setting that the server does not know is refused before anything is done: the same again
  // without it.
  template <class Call>
  std::invoke_result_t<Call, Settings> with_settings(const TableTarget& target,
                                                     std::string_view format, const Call& call) {
    for (;;) {
      const auto now = std::chrono::steady_clock::now();
      const Settings settings = settings_.of_insert(target, format, now);
      try {
        return call(settings);
      } catch (const ClickHouseError& error) {
        if (is_setting_refusal(error.code())) throw settings_refused(error, settings);
        if (error.disposition() == Disposition::kWait || error.code() == kNotImplemented)
          throw_if_view(target, error);
        if (error.code() != kUnknownSetting || !settings_.leave_out(error.message(), now)) throw;
      }
    }
  }

  Client client_;
  Client bare_client_;  // sends no settings of its own
  InsertSettings settings_;
  // Of each table and those behind its views, as far as asked.
  std::map<std::string, TableMemory> memory_;
  std::map<std::string, bool> misleads_;  // see token_misleads
};

}  // namespace

std::unique_ptr<BlockSender> make_clickhouse_sender(ClientOptions options, Settings insert_settings,
                                                    EndpointList& endpoints,
                                                    HttpSessionPool& pool) {
  return std::make_unique<ClickHouseSender>(std::move(options), std::move(insert_settings),
                                            endpoints, pool);
}

}  // namespace millrace
